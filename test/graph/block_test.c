/* Blocks: scopes of the step's memory, and recomputation. */
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"

#include "base/rng.h"
#include "graph/ops.h"

enum { ROWS = 3, WIDTH = 4 };

struct setup {
    mega_context *context;
    mega_run *run;
    struct mega_store store;
    mega_tensor *weight; /* [8, 4] */
};

static int open(void **state)
{
    struct setup *s = calloc(1, sizeof *s);
    *state = s;
    if (mega_context_new(&s->context, NULL) || mega_run_new(&s->run, s->context) ||
        mega_store_init(&s->store))
        return 1;
    mega_build b = { .store = &s->store };
    s->weight = mega_param_add(&b, "weight", (struct mega_init){ MEGA_INIT_NORMAL, 0, 0.5 }, 2,
        (int64_t[]){ 2 * WIDTH, WIDTH });
    if (mega_store_lay_out(&s->store, true)) return 1;
    mega_store_fill(&s->store, 1);
    return 0;
}

static int done(void **state)
{
    struct setup *s = *state;
    mega_run_free(s->run);
    mega_store_done(&s->store);
    mega_context_free(s->context);
    free(s);
    return 0;
}

static mega_tensor *numbers(mega_run *r, int64_t rows, int64_t width)
{
    struct mega_rng g;
    mega_rng_start(&g, 1, 2);
    mega_tensor *t = mega_run_tensor(r, MEGA_F32, 2, (int64_t[]){ rows, width });
    for (int64_t i = 0; i < rows * width; i++)
        mega_put(t, i / width, i % width, mega_rng_normal(&g));
    t->wants_grad = true;
    return t;
}

/* x, aux <- the two halves of W x, both views of one tensor; x also through dropout */
static void halves(
    mega_run *r, const void *self, struct mega_carry *c, const struct mega_rows *rows)
{
    const struct setup *s = self;
    mega_tensor *both = linear(r, c->x, s->weight, NULL, MEGA_ACT_SILU);
    struct mega_attr_dropout a;
    memset(&a, 0, sizeof a);
    a.p = 0.25;
    struct mega_call drop = { .op = &mega_op_dropout, .in = { both }, .attr = &a };
    drop.rows = rows;
    both = mega_run_call(r, &drop, "both");
    c->x = columns(r, both, 0, WIDTH);
    c->aux = columns(r, both, WIDTH, WIDTH);
}

/* a block within a block, and one that passes its input on */
static void nested(
    mega_run *r, const void *self, struct mega_carry *c, const struct mega_rows *rows)
{
    mega_tensor *in = c->x;
    mega_run_block(r,
        &(struct mega_block){
            .path = "inner", .again = MEGA_AGAIN_ALL, .fn = halves, .self = self },
        c, rows);
    c->x = add(r, c->x, c->aux);
    c->aux = in;
}

struct result {
    float y[2][ROWS * WIDTH], dx[ROWS * WIDTH], dw[2 * WIDTH * WIDTH];
};

/* the block `times` times; gradients of 3 sum(x) + sum(aux^2-like gate) */
static void run_block(
    struct setup *s, mega_block_fn *fn, enum mega_again again, int times, struct result *out)
{
    mega_run *r = s->run;
    memset(out, 0, sizeof *out);
    memset(s->store.gradient, 0, (size_t)s->store.count * sizeof(float));
    mega_run_begin(
        r, &(struct mega_run_args){ .mode = MEGA_RUN_GRAD | MEGA_RUN_TRAIN, .now = { 3, 4 } });
    mega_tensor *x = numbers(r, ROWS, WIDTH);
    struct mega_carry c = { .x = x };
    struct mega_rows rows = { .B = ROWS, .T = 1 };
    for (int i = 0; i < times; i++)
        mega_run_block(r,
            &(struct mega_block){
                .path = "block", .repeat = i, .again = again, .fn = fn, .self = s },
            &c, &rows);
    mega_tensor *y = gate(r, c.x, c.aux, MEGA_ACT_SIGMOID);
    assert_int_equal(mega_run_read(r, c.x, out->y[0]), MEGA_OK);
    assert_int_equal(mega_run_read(r, c.aux, out->y[1]), MEGA_OK);
    mega_run_seed(r, y, 3);
    mega_run_backward(r);
    assert_int_equal(mega_run_read(r, x->grad, out->dx), MEGA_OK);
    assert_int_equal(mega_run_end(r), MEGA_OK);
    memcpy(out->dw, s->weight->param->gradient.data, sizeof out->dw);
}

static void compare(struct setup *s, mega_block_fn *fn, int times)
{
    static struct result keep, made;
    run_block(s, fn, MEGA_AGAIN_NOTHING, times, &keep);
    for (int again = MEGA_AGAIN_ALL; again <= MEGA_AGAIN_CHEAP; again++) {
        run_block(s, fn, (enum mega_again)again, times, &made);
        assert_memory_equal(keep.y, made.y, sizeof keep.y);
        assert_memory_equal(keep.dx, made.dx, sizeof keep.dx);
        assert_memory_equal(keep.dw, made.dw, sizeof keep.dw);
    }
    for (int i = 0; i < ROWS * WIDTH; i++) assert_true(keep.dx[i] != 0);
}

/* a view inside the block of a tensor that leaves with the carry, and other uses of it */
static void used_within(
    mega_run *r, const void *self, struct mega_carry *c, const struct mega_rows *rows)
{
    const struct setup *s = self;
    (void)rows;
    mega_tensor *x = c->aux ? add(r, c->x, c->aux) : c->x;
    mega_tensor *both = linear(r, x, s->weight, NULL, MEGA_ACT_LINEAR);
    mega_tensor *acted = activation(r, both, MEGA_ACT_SILU);
    mega_tensor *left = columns(r, acted, 0, WIDTH), *right = columns(r, acted, WIDTH, WIDTH);
    mega_tensor *more = linear(r, right, s->weight, NULL, MEGA_ACT_SILU);
    c->aux = gate(r, left, columns(r, more, 0, WIDTH), MEGA_ACT_SIGMOID);
    c->x = left;
}

static void recomputation_changes_no_bit_of_views(void **state)
{
    compare(*state, halves, 1);
    compare(*state, used_within, 1);
    compare(*state, used_within, 3);
}

static void recomputation_changes_no_bit_of_nested_blocks(void **state)
{
    compare(*state, nested, 1);
    compare(*state, nested, 3);
}

static void a_block_twice_adds_its_gradients_and_draws_anew(void **state)
{
    struct setup *s = *state;
    static struct result once, twice;
    compare(s, halves, 2);
    run_block(s, halves, MEGA_AGAIN_NOTHING, 1, &once);
    run_block(s, halves, MEGA_AGAIN_NOTHING, 2, &twice);
    assert_memory_not_equal(once.y, twice.y, sizeof once.y);
    assert_memory_not_equal(once.dw, twice.dw, sizeof once.dw);
}

/* d/dw of f(f(x)) is the sum of what each execution gives: here of y = w2 (w1 x) with
 * w1 = w2 = the weight's first rows, held against two separate weights */
static void linear_block(
    mega_run *r, const void *self, struct mega_carry *c, const struct mega_rows *rows)
{
    (void)rows;
    c->x = linear(r, c->x, (mega_tensor *)(uintptr_t)self, NULL, MEGA_ACT_SILU);
}

static void shared_weights_get_the_sum(void **state)
{
    mega_run *r = ((struct setup *)*state)->run;
    struct mega_store store;
    assert_int_equal(mega_store_init(&store), MEGA_OK);
    mega_build b = { .store = &store };
    mega_tensor *w[3];
    const char *const names[] = { "first", "second", "shared" };
    for (int i = 0; i < 3; i++)
        w[i] = mega_param_add(&b, names[i], (struct mega_init){ MEGA_INIT_NORMAL, 0, 1 }, 2,
            (int64_t[]){ WIDTH, WIDTH });
    assert_int_equal(mega_store_lay_out(&store, true), MEGA_OK);
    mega_store_fill(&store, 5);
    mega_tensor_copy(w[0], w[2]);
    mega_tensor_copy(w[1], w[2]);
    for (int shared = 0; shared < 2; shared++) {
        mega_run_begin(r, &(struct mega_run_args){ .mode = MEGA_RUN_GRAD });
        struct mega_carry c = { .x = numbers(r, ROWS, WIDTH) };
        for (int i = 0; i < 2; i++)
            mega_run_block(r,
                &(struct mega_block){ .path = "block",
                    .repeat = i,
                    .fn = linear_block,
                    .self = w[shared ? 2 : i] },
                &c, NULL);
        mega_run_seed(r, c.x, 1);
        mega_run_backward(r);
        assert_int_equal(mega_run_end(r), MEGA_OK);
    }
    for (int i = 0; i < WIDTH * WIDTH; i++) {
        double sum = mega_get(&w[0]->param->gradient, i / WIDTH, i % WIDTH) +
                     mega_get(&w[1]->param->gradient, i / WIDTH, i % WIDTH);
        double got = mega_get(&w[2]->param->gradient, i / WIDTH, i % WIDTH);
        assert_true(got - sum < 1e-5 && sum - got < 1e-5);
    }
    mega_store_done(&store);
}

/* ---- memory ---- */

static void long_chain(
    mega_run *r, const void *self, struct mega_carry *c, const struct mega_rows *rows)
{
    (void)self;
    (void)rows;
    for (int i = 0; i < 20; i++) c->x = activation(r, c->x, MEGA_ACT_SILU);
}

static size_t peak_of(struct setup *s, unsigned mode, enum mega_again again, int blocks)
{
    mega_run *r;
    assert_int_equal(mega_run_new(&r, s->context), MEGA_OK);
    mega_run_begin(r, &(struct mega_run_args){ .mode = mode });
    struct mega_carry c = { .x = numbers(r, 200, 200) }; /* far more than its description */
    for (int i = 0; i < blocks; i++)
        mega_run_block(r,
            &(struct mega_block){ .path = "b", .repeat = i, .again = again, .fn = long_chain },
            &c, NULL);
    if (mode & MEGA_RUN_GRAD) mega_run_seed(r, c.x, 1);
    mega_run_backward(r);
    assert_int_equal(mega_run_end(r), MEGA_OK);
    size_t peak = mega_run_peak(r);
    mega_run_free(r);
    return peak;
}

static void blocks_drop_all_but_their_carry(void **state)
{
    enum { EACH = 200 * 200 * 4 };
    size_t one = peak_of(*state, 0, MEGA_AGAIN_NOTHING, 1),
           ten = peak_of(*state, 0, MEGA_AGAIN_NOTHING, 10);
    /* without a tape: a block's values at a time, and one carry each */
    assert_true(one >= 21 * EACH && one < 22 * EACH);
    assert_true(ten >= 30 * EACH && ten < 31 * EACH);
    /* with a tape: all values; of gradients those of two carries and two inside a block */
    size_t all = peak_of(*state, MEGA_RUN_GRAD, MEGA_AGAIN_NOTHING, 10),
           again = peak_of(*state, MEGA_RUN_GRAD, MEGA_AGAIN_ALL, 10),
           cheap = peak_of(*state, MEGA_RUN_GRAD, MEGA_AGAIN_CHEAP, 10);
    assert_true(all >= (201 + 2) * EACH && all < (201 + 2 + 4) * EACH);
    /* recomputing: a carry each, one block's values and such gradients */
    assert_true(again < (11 + 21 + 2 + 4) * EACH);
    /* cheap ops, which these are, one block's at a time */
    assert_true(cheap < (11 + 20 + 2 + 4) * EACH);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open, done)
    const struct CMUnitTest tests[] = {
        TEST(recomputation_changes_no_bit_of_views),
        TEST(recomputation_changes_no_bit_of_nested_blocks),
        TEST(a_block_twice_adds_its_gradients_and_draws_anew),
        TEST(shared_weights_get_the_sum),
        TEST(blocks_drop_all_but_their_carry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
