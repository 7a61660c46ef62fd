#include "layer/sublayer.h"

#include "graph/ops.h"

enum { PRE = 1, BRANCH = 2, POST = 4, FINAL = 8 };

/* of a placement: its norms, and whether the stack ends with one */
static const unsigned sites[] = {
    [MEGA_PLACEMENT_PRE] = PRE | FINAL,
    [MEGA_PLACEMENT_POST] = POST,
    [MEGA_PLACEMENT_SANDWICH] = PRE | BRANCH | FINAL,
    [MEGA_PLACEMENT_PRE_POST] = PRE | POST,
    [MEGA_PLACEMENT_NONE] = 0,
};

bool mega_placement_ends_with_norm(enum mega_placement p)
{
    return sites[p] & FINAL;
}

static void declare(
    mega_build *b, struct mega_norm *n, const char *name, const struct mega_norm_options *o)
{
    size_t entered = mega_build_enter(b, "%s", name);
    mega_norm_declare(b, n, o);
    mega_build_leave(b, entered);
}

void mega_sublayer_build(
    mega_build *b, struct mega_sublayer *s, const struct mega_sublayer_options *o)
{
    static const struct mega_sublayer_names plain = { "norm_pre", "norm_branch", "norm_post" };
    const struct mega_sublayer_names *names = o->names ? o->names : &plain;
    *s = (struct mega_sublayer){ .sites = sites[o->placement] };
    if (s->sites & PRE) declare(b, &s->pre, names->pre, &o->norm);
    if (s->sites & BRANCH) declare(b, &s->branch, names->branch, &o->norm);
    if (s->sites & POST) declare(b, &s->post, names->post, &o->norm);
    s->drop = (struct mega_dropout){ o->site, o->dropout,
        o->feature_dropout ? MEGA_DROPOUT_FEATURES : MEGA_DROPOUT_ELEMENTS };
}

mega_tensor *mega_sublayer_read(mega_run *r, const struct mega_sublayer *s, mega_tensor *x)
{
    return s->sites & PRE ? mega_norm_run(r, &s->pre, x) : x;
}

static mega_tensor *settle(mega_run *r, const struct mega_sublayer *s, mega_tensor *x)
{
    return s->sites & POST ? mega_norm_run(r, &s->post, x) : x;
}

mega_tensor *mega_sublayer_write(mega_run *r, const struct mega_sublayer *s, mega_tensor *x,
    mega_tensor *y, const struct mega_rows *rows)
{
    if (s->sites & BRANCH) y = mega_norm_run(r, &s->branch, y);
    return settle(r, s, add(r, mega_dropout_run(r, &s->drop, y, rows), x));
}

mega_tensor *mega_sublayer_mlp(mega_run *r, const struct mega_sublayer *s,
    const struct mega_mlp *f, mega_tensor *x, const struct mega_rows *rows)
{
    mega_tensor *z = mega_sublayer_read(r, s, x);
    if (s->sites & BRANCH)
        return mega_sublayer_write(r, s, x, mega_mlp_run(r, f, z, rows), rows);
    return settle(r, s, mega_mlp_add(r, f, z, x, &s->drop, rows));
}
