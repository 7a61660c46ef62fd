/* What tests of attention's variants are made of: a small call, run by the reference, by the
 * kernel that is chosen, and by strips. */
#ifndef MEGA_TEST_OP_ATTENTION_SETUP_H
#define MEGA_TEST_OP_ATTENTION_SETUP_H

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "kernel/kernel.h"
#include "op/contracts.h"

#include "cmocka_all.h"

extern const struct mega_op mega_op_attention;

enum { B = 2, T = 7, H = 2, D = 3, DV = 2 };
enum { Q = MEGA_ATTENTION_Q, K, V, BIAS };
enum way { REFERENCE, CHOSEN, STRIPS, WAYS };

/* a call, and memory for all that it has and makes */
struct setup {
    enum way way;
    struct mega_arena arena;
    struct mega_work work;
    struct mega_rows rows;
    struct mega_attr_attention a;
    struct mega_call c;
};

static inline mega_tensor *empty(struct setup *s, int rank, const int64_t dim[])
{
    mega_tensor *t = mega_arena_get(&s->arena, sizeof *t);
    *t = mega_tensor_over(NULL, MEGA_F32, rank, dim);
    t->data = mega_arena_zeroed(&s->arena, mega_size(t) + 1);
    return t;
}

/* normal numbers, the same for the same site */
static inline mega_tensor *numbers(
    struct setup *s, uint64_t site, int rank, const int64_t dim[])
{
    mega_tensor *t = empty(s, rank, dim);
    struct mega_rng g;
    mega_rng_start(&g, 3, site);
    for (int64_t i = 0; i < mega_count(t); i++)
        ((float *)t->data)[i] = (float)mega_rng_normal(&g);
    return t;
}

static inline mega_tensor *filled(
    struct setup *s, float each, int64_t rows, int64_t columns, bool diagonal)
{
    mega_tensor *t = empty(s, 2, (int64_t[]){ rows, columns });
    for (int64_t i = 0; i < rows * columns; i++)
        if (!diagonal || i / columns == i % columns) ((float *)t->data)[i] = each;
    return t;
}

/* queries of `queries` places, keys of as many rows as the call has */
static inline void begin(struct setup *s, enum way way)
{
    memset(s, 0, sizeof *s);
    s->way = way;
    assert_int_equal(mega_arena_init(&s->arena, (size_t)1 << 30), MEGA_OK);
    assert_int_equal(mega_work_init(&s->work, 2), MEGA_OK);
    s->work.tile = way == STRIPS ? 3 : 0;
    s->rows = (struct mega_rows){ .B = B, .T = T };
    s->a.chunk = -1;
    s->a.causal = true;
    s->a.heads = H;
    s->a.weights = way != CHOSEN;
    s->a.exec = way == STRIPS ? MEGA_ATTENTION_STRIP : MEGA_ATTENTION_AUTO;
    s->c = (struct mega_call){ .op = &mega_op_attention,
        .attr = &s->a,
        .rows = &s->rows,
        .dtype = MEGA_F32,
        .work = &s->work };
    s->c.in[Q] = numbers(s, 1, 3, (int64_t[]){ B, T, H * D });
    s->c.in[K] = numbers(s, 2, 3, (int64_t[]){ B, T, H * D });
    s->c.in[V] = numbers(s, 3, 3, (int64_t[]){ B, T, H * DV });
}

static inline void done(struct setup *s)
{
    mega_work_done(&s->work);
    mega_arena_done(&s->arena);
}

/* runs the call as it stands; a copy with its outputs */
static inline struct mega_call run(struct setup *s)
{
    struct mega_call c = s->c;
    mega_tensor made[MEGA_OUT];
    struct mega_attr_attention *a = mega_arena_get(&s->arena, sizeof *a);
    *a = s->a;
    c.attr = a;
    c.mode |= MEGA_RUN_GRAD;
    for (int i = 0; i < MEGA_OUT; i++) made[i] = mega_absent();
    if (c.op->shape(&c, made)) fail_msg("%s", mega_message());
    for (int i = 0; i < MEGA_OUT; i++)
        if (made[i].rank >= 0) c.out[i] = empty(s, made[i].rank, made[i].dim);
    const struct mega_kernel_limits all = { .isa = mega_isa_here() };
    c.kernel = s->way == REFERENCE ? &c.op->reference : mega_kernel_choose(&c, &all, NULL);
    if (s->way == STRIPS) assert_memory_equal(c.kernel->name, "strip", 5);
    for (int i = 0; i < MEGA_SAVED; i++) made[i] = mega_absent();
    if (c.kernel->keep) c.kernel->keep(&c, made);
    for (int i = 0; i < MEGA_SAVED; i++)
        if (made[i].rank >= 0) c.saved[i] = empty(s, made[i].rank, made[i].dim);
    c.kernel->forward(&c);
    return c;
}

/* gradient of in[i] for one of o that is the same every time */
static inline mega_tensor *slope(struct setup *s, const struct mega_call *c, int i)
{
    mega_tensor *to = empty(s, c->in[i]->rank, c->in[i]->dim);
    struct mega_grads g = { .touched = ~0u };
    g.out[0] = numbers(s, 77, c->out[0]->rank, c->out[0]->dim);
    g.in[i] = to;
    c->kernel->backward(c, &g);
    return to;
}

static inline void assert_near(const mega_tensor *a, const mega_tensor *b, double most)
{
    assert_true(mega_same_shape(a, b));
    for (int64_t r = 0; r < mega_height(a); r++)
        for (int64_t j = 0; j < mega_width(a); j++)
            if (!(fabs(mega_get(a, r, j) - mega_get(b, r, j)) <= most))
                fail_msg("row %d, column %d: %g and %g", (int)r, (int)j, mega_get(a, r, j),
                    mega_get(b, r, j));
}

static inline void assert_same_output(const struct mega_call *a, const struct mega_call *b)
{
    assert_near(a->out[0], b->out[0], 2e-6);
}

/* every test goes three ways */
#define EACH_WAY(s)                                                                            \
    struct setup s;                                                                            \
    (void)state;                                                                               \
    for (enum way way = REFERENCE; way < WAYS && (begin(&s, way), true); way++, done(&s))

#endif
