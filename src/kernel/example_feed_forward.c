/* Examples of the feed-forward region, and the chain that judges it: the references of linear,
 * dropout, linear, dropout, add, in double. */
#include <math.h>

#include "kernel/example_chain.h"
#include "kernel/example_parts.h"

enum { X = MEGA_FEED_FORWARD_X, RESIDUAL, UP, UP_BIAS, DOWN, DOWN_BIAS };

extern const struct mega_op mega_op_add, mega_op_dropout, mega_op_linear;

enum { LINKS = 5 };

struct parts {
    struct mega_attr_linear linear[2];
    struct mega_attr_dropout dropout[2];
    struct mega_link link[LINKS];
};

static void list_parts(const struct mega_call *c, struct parts *p)
{
    const struct mega_attr_feed_forward *a = c->attr;
    *p = (struct parts){ .linear = { { a->act }, { MEGA_ACT_LINEAR } },
        .dropout = { { a->dropout[0], a->kind }, { a->dropout[1], a->kind } } };
    p->link[0] = (struct mega_link){ &mega_op_linear, { X, UP, UP_BIAS }, 3, &p->linear[0], 0 };
    p->link[1] =
        (struct mega_link){ &mega_op_dropout, { MEGA_MADE(0) }, 1, &p->dropout[0], a->site[0] };
    p->link[2] = (struct mega_link){ &mega_op_linear, { MEGA_MADE(1), DOWN, DOWN_BIAS }, 3,
        &p->linear[1], 0 };
    p->link[3] =
        (struct mega_link){ &mega_op_dropout, { MEGA_MADE(2) }, 1, &p->dropout[1], a->site[1] };
    p->link[4] = (struct mega_link){ &mega_op_add, { MEGA_MADE(3), RESIDUAL }, 2, NULL, 0 };
}

static void forward(const struct mega_call *c)
{
    struct parts p;
    list_parts(c, &p);
    mega_chain_forward(c, p.link, LINKS);
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    struct parts p;
    list_parts(c, &p);
    mega_chain_backward(c, g, p.link, LINKS);
}

static const struct mega_kernel chain = {
    .name = "chain", .forward = forward, .backward = backward
};

void mega_example_feed_forward(struct mega_maker *m)
{
    struct mega_attr_feed_forward *a = mega_make_attr(m);
    struct mega_call *c = &m->e->call;
    a->act = mega_make_act(m, MEGA_ACTS);
    a->kind = (enum mega_dropout_kind)mega_make_choice(m, 2);
    for (int i = 0; i < 2; i++) {
        a->dropout[i] = mega_make_choice(m, 2) ? 0 : 0.2;
        a->site[i] = (uint64_t)mega_make_below(m, 1 << 30);
    }
    int64_t dim[3], F = mega_make_size(m), D;
    mega_make_text(m, MEGA_ROWS_NUMBER | MEGA_ROWS_PLACE, dim);
    D = dim[2];
    /* of one hidden channel a gradient is one sum, alone in its tensor; rounded terms cancel */
    if (c->dtype == MEGA_BF16 && F == 1) F = 2;
    c->in[X] = mega_make_values(m, 3, dim, 0, 1);
    c->in[RESIDUAL] = mega_make_below(m, 3) ? mega_make_values(m, 3, dim, 0, 1) : c->in[X];
    c->in[UP] = mega_make_param(m, 2, (int64_t[]){ F, D }, 0, 2 / sqrt((double)D));
    c->in[UP_BIAS] = mega_make_param(m, 1, &F, 0, 1);
    c->in[DOWN] = mega_make_param(m, 2, (int64_t[]){ D, F }, 0, 2 / sqrt((double)F));
    c->in[DOWN_BIAS] = mega_make_param(m, 1, &D, 0, 1);
    if (mega_make_below(m, 4)) c->mode |= MEGA_RUN_TRAIN;
    m->e->judge = &chain;
    m->e->wants = 63;
    /* the bound is relative to a tensor's largest number: where F is 1 that is one sum of some
     * 80 products of either sign, whose terms are a hundred times as large */
    m->e->tolerance = 1e-5;
}
