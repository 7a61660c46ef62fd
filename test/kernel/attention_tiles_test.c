/* The attention kernel's tiles under all that variants ask of them: random calls, in tiles of a
 * few queries and keys, so that rows cross many, and in tiles of the usual size. */
#include <stdio.h>

#include "kernel/check.h"
#include "kernel/cpu/attention_sight.h"
#include "kernel/example_parts.h"
#include "op/heads.h"
#include "op/window.h"

#include "cmocka_all.h"

extern const struct mega_op mega_op_attention;

enum { CALLS = 12 }; /* of each function and tile */

/* ---- which tiles are visited ---- */

/* tiles of `size` that T queries visit of T keys */
static int64_t visits(
    const struct mega_attr_attention *a, int64_t T, int64_t size, int64_t prefix)
{
    int64_t n = 0;
    for (int64_t i = 0; i < T; i += size) {
        struct attention_sight s = attention_sight(a, 0, T, prefix, i, i + size - 1);
        for (int64_t j = 0; j < T; j += size) n += attention_sight_meets(s, j, j + size);
    }
    return n;
}

static void tiles_that_nobody_sees_are_skipped(void **state)
{
    (void)state;
    struct mega_attr_attention all = { 0 }, causal = { .causal = true };
    assert_int_equal(visits(&all, 64, 8, 0), 8 * 8);
    assert_int_equal(visits(&causal, 64, 8, 0), 8 * 9 / 2);
    /* 9 places back from a block of 8 reach two tiles before it, 8 only one */
    struct mega_attr_attention back = { .causal = true, .reach = 10 };
    assert_int_equal(visits(&back, 64, 8, 0), 1 + 2 + 6 * 3);
    back.reach = 9;
    assert_int_equal(visits(&back, 64, 8, 0), 1 + 7 * 2);
    back.reach = 1;
    assert_int_equal(visits(&back, 64, 8, 0), 8);
    struct mega_attr_attention around = { .reach = 9 };
    assert_int_equal(visits(&around, 64, 8, 0), 2 + 6 * 3 + 2);
    /* 20 places seen from before: of three tiles */
    assert_int_equal(visits(&causal, 64, 8, 20), 3 + 3 + 3 + 4 + 5 + 6 + 7 + 8);
}

static void tiles_that_all_see_are_not_cut(void **state)
{
    (void)state;
    struct mega_attr_attention causal = { .causal = true },
                               back = { .causal = true, .reach = 12 };
    /* queries 16 ... 23 of 64 */
    struct attention_sight s = attention_sight(&causal, 0, 64, 0, 16, 23);
    assert_true(attention_sight_holds(s, 8, 16) && attention_sight_holds(s, 16, 17));
    assert_false(attention_sight_holds(s, 16, 24));
    s = attention_sight(&causal, 0, 64, 30, 16, 23);
    assert_true(attention_sight_holds(s, 16, 30));
    assert_false(attention_sight_holds(s, 16, 31));
    s = attention_sight(&back, 0, 64, 0, 16, 23);
    assert_true(attention_sight_holds(s, 12, 17));
    assert_false(attention_sight_holds(s, 11, 17));
    back.causal = false;
    s = attention_sight(&back, 0, 64, 0, 16, 23);
    assert_true(attention_sight_holds(s, 12, 28));
    assert_false(attention_sight_holds(s, 12, 29));
}

/* ---- random calls ---- */

struct fixture {
    struct mega_check check;
    struct mega_example e;
    struct mega_maker m;
    struct mega_attr_attention *a;
    struct mega_heads n;
    int64_t B, T, S, long_;
};

static bool chance(struct fixture *f, int64_t in)
{
    return !mega_make_below(&f->m, in);
}

static mega_tensor *param(struct fixture *f, int rank, const int64_t dim[])
{
    return mega_make_param(&f->m, rank, dim, 0, 1);
}

static mega_tensor *values(struct fixture *f, int64_t B, int64_t places, int64_t width)
{
    return mega_make_values(&f->m, 3, (int64_t[]){ B, places, width }, 0, 1);
}

/* scores that are compared with one another must come out alike in double and in float32 */
static bool compares(const struct fixture *f)
{
    return f->a->fn == MEGA_ATTENTION_TOPK || f->a->fn == MEGA_ATTENTION_HARD ||
           f->a->fn == MEGA_ATTENTION_COG ||
           (f->a->fn == MEGA_ATTENTION_GUMBEL && f->a->through);
}

static void make_function(struct fixture *f, int fn)
{
    struct mega_attr_attention *a = f->a;
    a->fn = (enum mega_attention_fn)fn;
    a->causal = fn != MEGA_ATTENTION_INVERTED && chance(f, 2);
    a->top = 1 + mega_make_below(&f->m, 6);
    a->through = (fn == MEGA_ATTENTION_TOPK || fn == MEGA_ATTENTION_GUMBEL) && chance(f, 2);
    if (chance(f, 2)) a->temperature = 0.7;
    if (fn == MEGA_ATTENTION_SIGMOID && chance(f, 2)) a->sigmoid_bias = -1.5;
    a->l2 = fn == MEGA_ATTENTION_SOFTMAX && chance(f, 3);
    if (!compares(f) && chance(f, 3)) a->clamp = 1.5;
    if (compares(f)) a->scale = 0.25;
    /* what a key gives one query and loses to the others may cancel */
    if (fn == MEGA_ATTENTION_INVERTED) f->e.tolerance = 1e-3;
    if (chance(f, 3)) {
        a->dropout = 0.3;
        a->drop_keys = chance(f, 2);
        f->e.call.mode |= MEGA_RUN_TRAIN;
        f->e.call.now = (struct mega_now){ 7, 3 };
    }
}

static void make_heads(struct fixture *f)
{
    static const int64_t pairs[][2] = { { 0, 0 }, { 2, 0 }, { 4, 2 }, { 3, 1 } };
    const int64_t *pair = pairs[mega_make_below(&f->m, 4)];
    f->a->heads = pair[0];
    f->a->kv_heads = pair[1];
    f->n.H = pair[0] ? pair[0] : 1;
    f->n.G = pair[1] ? pair[1] : f->n.H;
    f->n.d = 1 + mega_make_below(&f->m, 9);
    f->n.dv = 1 + mega_make_below(&f->m, 9);
}

static void make_places(struct fixture *f)
{
    struct mega_attr_attention *a = f->a;
    mega_tensor **in = f->e.call.in;
    unsigned kinds = MEGA_ROWS_LEN | MEGA_ROWS_REAL | MEGA_ROWS_DOC | MEGA_ROWS_NUMBER;
    bool keys = chance(f, 3), stream = !keys && a->causal && chance(f, 3);
    f->B = 1 + mega_make_below(&f->m, 2);
    f->T = 1 + mega_make_below(&f->m, f->long_);
    f->S = keys && chance(f, 2) ? 1 + mega_make_below(&f->m, f->long_) : f->T;
    a->chunk = chance(f, 4) ? 1 + mega_make_below(&f->m, f->S + 3) : -1;
    if (chance(f, 3)) a->reach = 1 + mega_make_below(&f->m, f->S + 1);
    if (chance(f, 5)) a->prefix = 1 + mega_make_below(&f->m, f->S + 1);
    int64_t B = f->B, past = 0;
    in[MEGA_ATTENTION_Q] = values(f, B, f->T, f->n.H * f->n.d);
    in[MEGA_ATTENTION_K] = values(f, B, f->S, f->n.G * f->n.d);
    in[MEGA_ATTENTION_V] = values(f, B, f->S, f->n.G * f->n.dv);
    if (stream) {
        int64_t room = (a->chunk > 0 ? a->chunk : 1 + mega_make_below(&f->m, f->long_)) + f->T;
        past = a->chunk > 0 ? 3 * room : room - f->T;
        in[MEGA_ATTENTION_PAST_K] = param(f, 3, (int64_t[]){ B, room, f->n.G * f->n.d });
        in[MEGA_ATTENTION_PAST_V] = param(f, 3, (int64_t[]){ B, room, f->n.G * f->n.dv });
    }
    if (keys) mega_make_rows(&f->m, B, f->S, kinds, 0);
    if (keys) f->e.call.keys = f->e.call.rows;
    mega_make_rows(&f->m, B, f->T, kinds | (stream ? MEGA_ROWS_PLACE : 0), past);
}

static void make_added(struct fixture *f)
{
    mega_tensor **in = f->e.call.in;
    const mega_tensor *past = in[MEGA_ATTENTION_PAST_K];
    int64_t H = f->n.H, queries[] = { f->B, f->T, H }, keys[] = { f->B, f->S, H };
    if (chance(f, 3)) {
        int64_t n = mega_window_most(&f->e.call) + mega_make_below(&f->m, 3);
        int64_t dim[] = { H, 2 * (n ? n : 1) - 1 };
        in[MEGA_ATTENTION_BIAS] = chance(f, 2) ? param(f, 2, dim) : param(f, 1, dim + 1);
    }
    if (chance(f, 3)) {
        in[MEGA_ATTENTION_DECAY] = param(f, 3, queries);
        if (f->S != f->T || chance(f, 2)) in[MEGA_ATTENTION_DECAY_K] = param(f, 3, keys);
        /* a softmax does not change with what all keys have: slopes that cancel remain */
        f->e.tolerance = 1e-3;
        if (past)
            in[MEGA_ATTENTION_PAST_DECAY] = param(f, 3, (int64_t[]){ f->B, past->dim[1], H });
    }
    if (f->S == f->T && chance(f, 4)) in[MEGA_ATTENTION_DECAY_BACK] = param(f, 3, keys);
    if (chance(f, 4)) {
        int64_t R = 1 + mega_make_below(&f->m, 3), N = 1 + mega_make_below(&f->m, f->S + 3);
        in[MEGA_ATTENTION_SHARE] = values(f, f->B, f->T, H * R);
        in[MEGA_ATTENTION_BANK] = param(f, 2, (int64_t[]){ R, N });
        f->a->ahead = N % 2 ? N / 2 : 0;
    }
}

static void make_slots(struct fixture *f)
{
    mega_tensor **in = f->e.call.in;
    struct mega_attr_attention *a = f->a;
    bool sums = a->fn == MEGA_ATTENTION_SOFTMAX ||
                (a->fn >= MEGA_ATTENTION_TOPK && a->fn <= MEGA_ATTENTION_GUMBEL);
    if (sums && chance(f, 3)) in[MEGA_ATTENTION_SINK] = param(f, 1, &f->n.H);
    if (sums && chance(f, 4)) a->zeros = 1 + mega_make_below(&f->m, 2);
    if (!chance(f, 3)) return;
    int64_t N = 1 + mega_make_below(&f->m, 9);
    in[MEGA_ATTENTION_PREFIX_K] = param(f, 3, (int64_t[]){ f->n.G, N, f->n.d });
    in[MEGA_ATTENTION_PREFIX_V] = param(f, 3, (int64_t[]){ f->n.G, N, f->n.dv });
}

static void describe(struct fixture *f, int fn, int number, int tile)
{
    int at = snprintf(f->e.text, sizeof f->e.text,
        "function %d, call %d, tile %d: T %d, S %d, causal %d, chunk %d, reach %d, prefix %d, "
        "in",
        fn, number, tile, (int)f->T, (int)f->S, f->a->causal, (int)f->a->chunk,
        (int)f->a->reach, (int)f->a->prefix);
    for (int i = MEGA_ATTENTION_BIAS; i < MEGA_ATTENTION_INPUTS; i++)
        if (f->e.call.in[i] && at < (int)sizeof f->e.text - 4)
            at += snprintf(f->e.text + at, sizeof f->e.text - (size_t)at, " %d", i);
}

static void make_call(
    struct fixture *f, mega_dtype dtype, int fn, int number, int tile, int64_t longest)
{
    mega_arena_release(&f->check.example, 0);
    f->e = (struct mega_example){ .call = { .op = &mega_op_attention, .dtype = dtype },
        .judge = &mega_op_attention.reference,
        .wants = (1u << MEGA_ATTENTION_INPUTS) - 1,
        .gives = 1,
        .tolerance = 2e-4 };
    f->e.wants &= ~(1u << MEGA_ATTENTION_PAST_K | 1u << MEGA_ATTENTION_PAST_V |
                    1u << MEGA_ATTENTION_PAST_DECAY);
    f->m = (struct mega_maker){ .e = &f->e, .arena = &f->check.example, .dtype = dtype };
    mega_rng_start(&f->m.rng, (uint64_t)fn, (uint64_t)number);
    f->a = mega_make_attr(&f->m);
    f->long_ = longest;
    make_function(f, fn);
    make_heads(f);
    make_places(f);
    make_slots(f);
    make_added(f);
    f->a->peak = number % 2;
    for (int i = 0; compares(f) && i < MEGA_ATTENTION_INPUTS; i++)
        if (f->e.call.in[i]) mega_make_coarse(f->e.call.in[i], 0.25);
    describe(f, fn, number, tile);
}

/* `calls` calls of each function, up to so long, in tiles of `tile` */
static void calls_hold(mega_dtype dtype, int calls, int tile, int64_t longest, int turn)
{
    struct fixture f;
    assert_int_equal(mega_check_init(&f.check), MEGA_OK);
    for (int i = 0; i < MEGA_CHECK_TEAMS; i++) f.check.work[i].tile = tile;
    for (int fn = 0; fn <= MEGA_ATTENTION_INVERTED; fn++)
        for (int number = 0; number < calls; number++) {
            make_call(&f, dtype, fn, calls * turn + number, tile, longest);
            if (mega_check_all(&f.check, &f.e)) fail_msg("%s", mega_message());
        }
    print_message("%d accepted, %d refused, largest error %.2f of the bound\n",
        (int)f.check.accepted, (int)f.check.refused, f.check.worst);
    assert_true(f.check.accepted > 9 * calls);
    mega_check_done(&f.check);
}

static void calls_hold_in_small_tiles(void **state)
{
    (void)state;
    for (int tile = 2; tile <= 5; tile++) calls_hold(MEGA_F32, CALLS, tile, 17, tile);
}

static void calls_hold_in_usual_tiles(void **state)
{
    (void)state;
    calls_hold(MEGA_F32, CALLS / 3, 0, 150, 0);
}

static void calls_of_bfloat16_hold(void **state)
{
    (void)state;
    calls_hold(MEGA_BF16, CALLS / 2, 4, 17, 0);
    calls_hold(MEGA_BF16, 1, 0, 150, 1);
}

/* ---- what a pass before finds, the pass after finds again ---- */

enum { PLACES = 60, TOP = 7 };

/* q and k of any numbers; v is the unit matrix, so that the output is the weights */
static void make_weights_visible(struct fixture *f, enum mega_attention_fn fn)
{
    f->B = 1;
    f->T = f->S = PLACES;
    f->e = (struct mega_example){ .call = { .op = &mega_op_attention } };
    f->m = (struct mega_maker){ .e = &f->e, .arena = &f->check.example };
    mega_rng_start(&f->m.rng, 1, 2);
    f->a = mega_make_attr(&f->m);
    f->a->fn = fn;
    f->a->chunk = -1;
    f->a->top = TOP;
    mega_tensor **in = f->e.call.in;
    in[MEGA_ATTENTION_Q] = values(f, 1, PLACES, 33);
    in[MEGA_ATTENTION_K] = values(f, 1, PLACES, 33);
    in[MEGA_ATTENTION_V] = mega_make_param(&f->m, 3, (int64_t[]){ 1, PLACES, PLACES }, 0, 0);
    for (int64_t j = 0; j < PLACES; j++) mega_put(in[MEGA_ATTENTION_V], j, j, 1);
    mega_make_rows(&f->m, 1, PLACES, 0, 0);
    f->e.call.work = &f->check.work[0];
    f->e.call.work->tile = 7;
}

static void exactly_so_many_weights(
    const struct mega_kernel *kernel, struct fixture *f, int count)
{
    float o[PLACES][PLACES];
    struct mega_call c = f->e.call;
    const char *why;
    mega_tensor out = mega_tensor_over(o, MEGA_F32, 3, (int64_t[]){ 1, PLACES, PLACES });
    c.out[0] = &out;
    c.kernel = kernel;
    assert_true(kernel->accepts(&c, &why));
    mega_arena_release(&c.work->scratch[c.work->threads], 0);
    kernel->forward(&c);
    for (int i = 0; i < PLACES; i++) {
        int n = 0;
        double sum = 0;
        for (int j = 0; j < PLACES; j++) n += o[i][j] != 0;
        for (int j = 0; j < PLACES; j++) sum += o[i][j];
        assert_int_equal(n, count);
        assert_true(sum > 0.9999 && sum < 1.0001);
    }
}

static void as_many_weights_are_left_as_asked_for(void **state)
{
    (void)state;
    struct fixture f;
    assert_int_equal(mega_check_init(&f.check), MEGA_OK);
    for (const struct mega_kernel_entry *k = mega_kernels; k->op; k++) {
        if (k->op != &mega_op_attention || k->isa > mega_isa_here() || k->widened) continue;
        make_weights_visible(&f, MEGA_ATTENTION_TOPK);
        exactly_so_many_weights(k->kernel, &f, TOP);
        make_weights_visible(&f, MEGA_ATTENTION_HARD);
        exactly_so_many_weights(k->kernel, &f, 1);
    }
    mega_check_done(&f.check);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles_that_nobody_sees_are_skipped),
        cmocka_unit_test(tiles_that_all_see_are_not_cut),
        cmocka_unit_test(calls_hold_in_small_tiles),
        cmocka_unit_test(calls_hold_in_usual_tiles),
        cmocka_unit_test(calls_of_bfloat16_hold),
        cmocka_unit_test(as_many_weights_are_left_as_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
