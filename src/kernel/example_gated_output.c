/* Examples of the gated_output region, and the chain that judges it: gate, linear, gated
 * residual. */
#include <math.h>

#include "kernel/example_chain.h"
#include "kernel/example_parts.h"

enum {
    X = MEGA_GATED_OUTPUT_X,
    U = MEGA_GATED_OUTPUT_U,
    A = MEGA_GATED_OUTPUT_A,
    O = MEGA_GATED_OUTPUT_O,
    R = MEGA_GATED_OUTPUT_R,
    W = MEGA_GATED_OUTPUT_W,
    B = MEGA_GATED_OUTPUT_B
};

extern const struct mega_op mega_op_gate, mega_op_gated_residual, mega_op_linear;

enum { LINKS = 3 };

struct parts {
    struct mega_attr_gate gate;
    struct mega_attr_linear linear;
    struct mega_attr_gated_residual residual;
    struct mega_link link[LINKS];
};

static void list_parts(const struct mega_call *c, struct parts *p)
{
    const struct mega_attr_gated_output *a = c->attr;
    *p = (struct parts){ .gate = { MEGA_ACT_SILU },
        .linear = { MEGA_ACT_LINEAR },
        .residual = { a->act, a->kind, a->dropout } };
    p->link[0] = (struct mega_link){ &mega_op_gate, { O, R }, 2, &p->gate, 0 };
    p->link[1] =
        (struct mega_link){ &mega_op_linear, { MEGA_MADE(0), W, B }, 3, &p->linear, 0 };
    p->link[2] = (struct mega_link){ &mega_op_gated_residual, { X, U, A, MEGA_MADE(1) }, 4,
        &p->residual, c->site };
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

void mega_example_gated_output(struct mega_maker *m)
{
    struct mega_attr_gated_output *a = mega_make_attr(m);
    struct mega_call *c = &m->e->call;
    a->act = mega_make_act(m, MEGA_ACTS);
    a->kind = (enum mega_dropout_kind)mega_make_choice(m, 2);
    a->dropout = mega_make_choice(m, 2) ? 0 : 0.2;
    int64_t dim[3], wide[3], D;
    mega_make_text(m, MEGA_ROWS_NUMBER | MEGA_ROWS_PLACE, dim);
    D = dim[2];
    for (int i = 0; i < 2; i++) wide[i] = dim[i];
    wide[2] = mega_make_size(m);
    for (int i = X; i <= A; i++) c->in[i] = mega_make_values(m, 3, dim, 0, 1);
    c->in[O] = mega_make_values(m, 3, wide, 0, 1);
    c->in[R] = mega_make_values(m, 3, wide, 0, 1);
    c->in[W] = mega_make_param(m, 2, (int64_t[]){ D, wide[2] }, 0, 2 / sqrt((double)wide[2]));
    c->in[B] = mega_make_param(m, 1, &D, 0, 1);
    if (mega_make_below(m, 4)) c->mode |= MEGA_RUN_TRAIN;
    m->e->judge = &chain;
    m->e->wants = 127;
    m->e->tolerance = 1e-5; /* for the reason of the feed-forward */
}
