/* Every op's reference: its backward pass against finite differences of its forward pass, in
 * double, over all small examples. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "kernel/example.h"

#include "cmocka_all.h"

struct trial {
    struct mega_example e;
    struct mega_arena arena;
    struct mega_work work;
    mega_tensor out[MEGA_OUT], cotangent[MEGA_OUT];
};

static void dense(struct trial *t, mega_tensor *of)
{
    of->data = mega_arena_zeroed(&t->arena, mega_size(of));
    assert_non_null(of->data);
}

static void make_outputs(struct trial *t)
{
    struct mega_call *c = &t->e.call;
    for (int i = 0; i < MEGA_OUT; i++) t->out[i] = mega_absent();
    if (c->op->shape(c, t->out)) fail_msg("%s: %s", t->e.text, mega_message());
    struct mega_rng g;
    mega_rng_start(&g, 1, 2);
    for (int i = 0; i < MEGA_OUT; i++) {
        if (t->out[i].rank < 0) continue;
        dense(t, &t->out[i]);
        c->out[i] = &t->out[i];
        t->cotangent[i] = mega_like(&t->out[i], MEGA_F64);
        dense(t, &t->cotangent[i]);
        for (int64_t k = 0, n = mega_count(&t->out[i]); k < n; k++)
            ((double *)t->cotangent[i].data)[k] = mega_rng_normal(&g);
    }
}

static void fresh_scratch(struct trial *t)
{
    mega_arena_release(&t->work.scratch[t->work.threads], 0);
}

/* sum of the outputs times the cotangents */
static double total(struct trial *t)
{
    double sum = 0;
    fresh_scratch(t);
    t->e.judge->forward(&t->e.call);
    for (int i = 0; i < MEGA_OUT; i++) {
        if (!t->e.call.out[i] || !(t->e.gives >> i & 1)) continue;
        const double *out = t->out[i].data, *by = t->cotangent[i].data;
        for (int64_t k = 0, n = mega_count(&t->out[i]); k < n; k++) sum += out[k] * by[k];
    }
    return sum;
}

static double total_at(struct trial *t, double *at, double value)
{
    double here = *at;
    *at = value;
    double sum = total(t);
    *at = here;
    return sum;
}

/* of fourth order in h */
static double difference(struct trial *t, double *at)
{
    const double h = 1e-5, x = *at;
    double near = total_at(t, at, x + h) - total_at(t, at, x - h);
    double far = total_at(t, at, x + 2 * h) - total_at(t, at, x - 2 * h);
    return (8 * near - far) / (12 * h);
}

/* an embedding's pad row has no gradient, whatever depends on it */
static bool padding(const struct trial *t, int64_t row)
{
    const struct mega_call *c = &t->e.call;
    const struct mega_attr_embedding *a = c->attr;
    return !strcmp(c->op->name, "embedding") && row == a->pad;
}

static void check_input(struct trial *t, int i, const mega_tensor *gradient)
{
    mega_tensor *x = t->e.call.in[i];
    for (int64_t r = 0; r < mega_height(x); r++)
        for (int64_t j = 0; j < mega_width(x); j++) {
            double want = padding(t, r) ? 0 : difference(t, (double *)mega_row(x, r) + j);
            double got = mega_get(gradient, r, j);
            if (!(fabs(got - want) <= 1e-7 + 1e-6 * fabs(want)))
                fail_msg("%s: gradient of input %d at row %lld, column %lld: %.9g, finite "
                         "differences give %.9g",
                    t->e.text, i, (long long)r, (long long)j, got, want);
        }
}

static void check_gradients(struct trial *t)
{
    struct mega_call *c = &t->e.call;
    struct mega_grads g = { 0 };
    mega_tensor gradient[MEGA_IN];
    for (int i = 0; i < MEGA_OUT; i++)
        if (c->out[i] && (t->e.gives >> i & 1)) g.out[i] = &t->cotangent[i];
    for (int i = 0; i < MEGA_IN; i++) {
        if (!c->in[i] || !(t->e.wants >> i & 1)) continue;
        gradient[i] = mega_like(c->in[i], MEGA_F64);
        dense(t, &gradient[i]);
        g.in[i] = &gradient[i];
        /* the same tensor twice has one gradient, as in a run */
        for (int k = 0; k < i; k++)
            if (c->in[k] == c->in[i]) g.in[i] = &gradient[k];
    }
    g.add = ~0u;
    fresh_scratch(t);
    t->e.judge->backward(c, &g);
    for (int i = 0; i < MEGA_IN; i++)
        if (g.in[i]) check_input(t, i, g.in[i]);
}

static void check_op(const struct mega_op *op)
{
    static struct trial t;
    assert_int_equal(mega_arena_init(&t.arena, (size_t)1 << 32), 0);
    assert_int_equal(mega_work_init(&t.work, 1), 0);
    for (int i = 0; i < MEGA_EXAMPLES; i++) {
        mega_arena_release(&t.arena, 0);
        assert_int_equal(mega_example_make(&t.e, &t.arena, op, i, MEGA_F64, true), 0);
        t.e.call.work = &t.work;
        make_outputs(&t);
        check_gradients(&t);
    }
    mega_work_done(&t.work);
    mega_arena_done(&t.arena);
}

static void check(void **state)
{
    check_op(*state);
}

int main(void)
{
    /* one test an op, named after it */
    struct CMUnitTest tests[64] = { { 0 } };
    size_t n = 0;
    for (; mega_ops[n]; n++)
        tests[n] = (struct CMUnitTest){ .name = mega_ops[n]->name,
            .test_func = check,
            .initial_state = (void *)(uintptr_t)mega_ops[n] };
    return _cmocka_run_group_tests("gradients of references", tests, n, NULL, NULL);
}
