/* Examples of the feed-forward region, and the chain that judges it: the references of linear,
 * dropout, linear, dropout, add, in double. */
#include <math.h>

#include "kernel/example_parts.h"

enum { X = MEGA_FEED_FORWARD_X, RESIDUAL, UP, UP_BIAS, DOWN, DOWN_BIAS };

extern const struct mega_op mega_op_add, mega_op_dropout, mega_op_linear;

enum { LINKS = 5 };

/* One op of the chain. Its first input is what the link before it made, the first link's the
 * region's x; `more`: which inputs of the region follow. */
static const struct {
    const struct mega_op *op;
    int more[2], n_more;
} links[LINKS] = {
    { &mega_op_linear, { UP, UP_BIAS }, 2 },
    { &mega_op_dropout, { 0 }, 0 },
    { &mega_op_linear, { DOWN, DOWN_BIAS }, 2 },
    { &mega_op_dropout, { 0 }, 0 },
    { &mega_op_add, { RESIDUAL }, 1 },
};

struct chain {
    struct mega_attr_linear linear[2];
    struct mega_attr_dropout dropout[2];
    struct mega_call call[LINKS];
    mega_tensor made[LINKS], gradient[LINKS]; /* of each link's output */
};

static void make_room(const struct mega_call *c, mega_tensor *t)
{
    t->data = mega_scratch(c->work, mega_size(t));
}

/* runs all links; what they make is kept in scratch */
static struct chain *run_chain(const struct mega_call *c)
{
    const struct mega_attr_feed_forward *a = c->attr;
    struct chain *k = mega_scratch(c->work, sizeof *k);
    *k = (struct chain){ .linear = { { a->act }, { MEGA_ACT_LINEAR } },
        .dropout = { { a->dropout[0], a->kind }, { a->dropout[1], a->kind } } };
    const void *attr[LINKS] = { &k->linear[0], &k->dropout[0], &k->linear[1], &k->dropout[1] };
    for (int i = 0; i < LINKS; i++) {
        struct mega_call *link = &k->call[i];
        *link = (struct mega_call){ .op = links[i].op,
            .attr = attr[i],
            .rows = c->rows,
            .dtype = MEGA_F64,
            .mode = c->mode,
            .now = c->now,
            .site = a->site[i / 2 % 2],
            .work = c->work };
        link->in[0] = i ? &k->made[i - 1] : c->in[X];
        for (int n = 0; n < links[i].n_more; n++) link->in[n + 1] = c->in[links[i].more[n]];
        link->op->shape(link, &k->made[i]);
        k->gradient[i] = k->made[i];
        make_room(c, &k->made[i]);
        make_room(c, &k->gradient[i]);
        link->out[0] = &k->made[i];
        link->op->reference.forward(link);
    }
    return k;
}

static void forward(const struct mega_call *c)
{
    struct chain *k = run_chain(c);
    mega_tensor_copy(c->out[0], &k->made[LINKS - 1]);
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    struct chain *k = run_chain(c);
    for (int i = LINKS - 1; i >= 0; i--) {
        struct mega_grads link = { .touched = ~0u };
        link.out[0] = i == LINKS - 1 ? g->out[0] : &k->gradient[i];
        link.in[0] = i ? &k->gradient[i - 1] : g->in[X];
        link.add = i ? 0 : g->add >> X & 1;
        for (int n = 0; n < links[i].n_more; n++) {
            int which = links[i].more[n];
            link.in[n + 1] = g->in[which];
            link.add |= (g->add >> which & 1) << (n + 1);
        }
        links[i].op->reference.backward(&k->call[i], &link);
    }
}

static const struct mega_kernel chain = {
    .name = "chain", .forward = forward, .backward = backward
};

void mega_example_feed_forward(struct mega_maker *m)
{
    struct mega_attr_feed_forward *a = mega_make_attr(m);
    struct mega_call *c = &m->e->call;
    a->act = (enum mega_act)mega_make_choice(m, MEGA_ACTS);
    a->kind = (enum mega_dropout_kind)mega_make_choice(m, 2);
    for (int i = 0; i < 2; i++) {
        a->dropout[i] = mega_make_choice(m, 2) ? 0 : 0.2;
        a->site[i] = (uint64_t)mega_make_below(m, 1 << 30);
    }
    int64_t dim[3], F = mega_make_size(m), D;
    mega_make_text(m, MEGA_ROWS_NUMBER | MEGA_ROWS_PLACE, dim);
    D = dim[2];
    c->in[X] = mega_make_values(m, 3, dim, 0, 1);
    c->in[RESIDUAL] = mega_make_below(m, 3) ? mega_make_values(m, 3, dim, 0, 1) : c->in[X];
    c->in[UP] = mega_make_param(m, 2, (int64_t[]){ F, D }, 0, 2 / sqrt((double)D));
    c->in[UP_BIAS] = mega_make_param(m, 1, &F, 0, 1);
    c->in[DOWN] = mega_make_param(m, 2, (int64_t[]){ D, F }, 0, 2 / sqrt((double)F));
    c->in[DOWN_BIAS] = mega_make_param(m, 1, &D, 0, 1);
    if (mega_make_below(m, 4)) c->mode |= MEGA_RUN_TRAIN;
    m->e->judge = &chain;
    m->e->wants = 63;
    m->e->tolerance = 3e-6;
}
