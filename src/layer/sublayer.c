#include "layer/sublayer.h"

#include <math.h>

#include "graph/ops.h"

enum { PRE = 1, BRANCH = 2, POST = 4, FINAL = 8 };

/* of a placement: its norms, and whether the stack ends with one */
static const unsigned sites[] = {
    [MEGA_PLACEMENT_PRE] = PRE | FINAL,
    [MEGA_PLACEMENT_POST] = POST,
    [MEGA_PLACEMENT_SANDWICH] = PRE | BRANCH | FINAL,
    [MEGA_PLACEMENT_PRE_POST] = PRE | POST,
    [MEGA_PLACEMENT_NONE] = 0,
    [MEGA_PLACEMENT_RESIDUAL] = POST | FINAL,
    [MEGA_PLACEMENT_DEEPNORM] = POST,
    [MEGA_PLACEMENT_SUBLN] = PRE | FINAL,
};

bool mega_placement_ends_with_norm(enum mega_placement p)
{
    return sites[p] & FINAL;
}

bool mega_placement_has_pre(enum mega_placement p)
{
    return sites[p] & PRE;
}

static void declare(
    mega_build *b, struct mega_norm *n, const char *name, const struct mega_norm_options *o)
{
    size_t entered = mega_build_enter(b, "%s", name);
    mega_norm_declare(b, n, o);
    mega_build_leave(b, entered);
}

/* a gate sigmoid(W c + b) of a condition that starts almost closed (DiT: 2212.09748) */
static void declare_gate(
    mega_build *b, struct mega_sublayer *s, const struct mega_norm_options *norm)
{
    size_t entered = mega_build_enter(b, "branch_gate");
    s->branch_gate = mega_param_add(b, "weight", (struct mega_init){ MEGA_INIT_CONSTANT, 0, 0 },
        2, (int64_t[]){ norm->width, norm->condition });
    s->branch_gate_bias = mega_param_add(
        b, "bias", (struct mega_init){ MEGA_INIT_CONSTANT, -2, 0 }, 1, &norm->width);
    mega_build_leave(b, entered);
}

void mega_sublayer_build(
    mega_build *b, struct mega_sublayer *s, const struct mega_sublayer_options *o)
{
    static const struct mega_sublayer_names plain = { "norm_pre", "norm_branch", "norm_post" };
    const struct mega_sublayer_names *names = o->names ? o->names : &plain;
    *s = (struct mega_sublayer){ .sites = sites[o->placement],
        .factor = o->factor > 0 ? o->factor : 1,
        .alpha = o->alpha > 0 ? o->alpha : 1 };
    if (o->branch_norm) s->sites |= BRANCH;
    if (o->no_branch_norm) s->sites &= ~(unsigned)BRANCH;
    if (s->sites & PRE) declare(b, &s->pre, names->pre, &o->norm);
    if (s->sites & BRANCH) declare(b, &s->branch, names->branch, &o->norm);
    if (s->sites & POST) declare(b, &s->post, names->post, &o->norm);
    if (o->scale == MEGA_BRANCH_LAYERSCALE)
        s->layer_scale = mega_param_add(b, "layer_scale",
            (struct mega_init){ MEGA_INIT_CONSTANT, o->first, 0 }, 1, &o->norm.width);
    if (o->scale == MEGA_BRANCH_ADAPTIVE) declare_gate(b, s, &o->norm);
    if (o->learned)
        s->res_scale = mega_param_add(
            b, "res_scale", (struct mega_init){ MEGA_INIT_CONSTANT, 1, 0 }, 1, &o->norm.width);
    s->drop = (struct mega_dropout){ o->site, o->dropout,
        o->feature_dropout ? MEGA_DROPOUT_FEATURES : MEGA_DROPOUT_ELEMENTS };
}

mega_tensor *mega_sublayer_read_with(
    mega_run *r, const struct mega_sublayer *s, mega_tensor *x, mega_tensor *condition)
{
    return s->sites & PRE ? mega_norm_run_with(r, &s->pre, x, condition) : x;
}

mega_tensor *mega_sublayer_read(mega_run *r, const struct mega_sublayer *s, mega_tensor *x)
{
    return mega_sublayer_read_with(r, s, x, NULL);
}

static bool is_one(double x)
{
    return x >= 1 && x <= 1;
}

mega_tensor *mega_sublayer_scale(mega_run *r, const struct mega_sublayer *s, mega_tensor *y,
    mega_tensor *condition, const struct mega_rows *rows)
{
    if (s->sites & BRANCH) y = mega_norm_run_with(r, &s->branch, y, condition);
    y = mega_dropout_run(r, &s->drop, y, rows);
    if (s->layer_scale || !is_one(s->factor)) y = scale(r, y, s->layer_scale, s->factor);
    if (!s->branch_gate) return y;
    return gate(r, y,
        linear(r, condition, s->branch_gate, s->branch_gate_bias, MEGA_ACT_LINEAR),
        MEGA_ACT_SIGMOID);
}

mega_tensor *mega_sublayer_keep(mega_run *r, const struct mega_sublayer *s, mega_tensor *x)
{
    return s->res_scale || !is_one(s->alpha) ? scale(r, x, s->res_scale, s->alpha) : x;
}

mega_tensor *mega_sublayer_settle(
    mega_run *r, const struct mega_sublayer *s, mega_tensor *x, mega_tensor *condition)
{
    return s->sites & POST ? mega_norm_run_with(r, &s->post, x, condition) : x;
}

mega_tensor *mega_sublayer_write(mega_run *r, const struct mega_sublayer *s, mega_tensor *x,
    mega_tensor *y, const struct mega_rows *rows)
{
    y = mega_sublayer_scale(r, s, y, NULL, rows);
    return mega_sublayer_settle(r, s, add(r, y, mega_sublayer_keep(r, s, x)), NULL);
}

bool mega_sublayer_is_plain(const struct mega_sublayer *s)
{
    return !(s->sites & BRANCH) && is_one(s->factor) && !s->layer_scale && !s->branch_gate;
}

bool mega_sublayer_only_adds(const struct mega_sublayer *s)
{
    return !(s->sites & (BRANCH | POST)) && is_one(s->alpha) && !s->res_scale;
}

mega_tensor *mega_sublayer_mlp(mega_run *r, const struct mega_sublayer *s,
    const struct mega_mlp *f, mega_tensor *x, const struct mega_rows *rows)
{
    mega_tensor *z = mega_sublayer_read(r, s, x);
    if (!mega_sublayer_is_plain(s))
        return mega_sublayer_write(r, s, x, mega_mlp_run(r, f, z, rows), rows);
    return mega_sublayer_settle(
        r, s, mega_mlp_add(r, f, z, mega_sublayer_keep(r, s, x), &s->drop, rows), NULL);
}
