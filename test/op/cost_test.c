/* FLOPs and least bytes of every op, worked out by hand. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/ops.h"

#include "cmocka_all.h"

/* Sizes: products name them apart. */
enum { B = 2, T = 6, D = 8, N = 3, Z = 4, E = 5, F = 7, C = 3, V = 100, R = B * T };

static const struct mega_attr_linear silu = { MEGA_ACT_SILU };
static const struct mega_attr_norm layer_norm = { .kind = MEGA_NORM_LAYER, .eps = 1e-5 };
static const struct mega_attr_batch_norm batch_norm = { .eps = 1e-5, .momentum = 0.1 };
static const struct mega_attr_ema two_way = { .two_way = true };
static const struct mega_attr_attention chunked = { .chunk = C }, whole = { .chunk = -1 },
                                        causal = { .chunk = -1, .causal = true };
static const struct mega_attr_rotary_bias rotary = { .length = 5 };
static const struct mega_attr_rotary turn = { .heads = 1, .base = 10000, .factor = 1 };
static const struct mega_attr_position_embedding learned = { .scale = 1 };
static const struct mega_attr_gate gate_silu = { MEGA_ACT_SILU };
static const struct mega_attr_gated_residual residual = { .act = MEGA_ACT_SILU };
static const struct mega_attr_dropout tenth = { .p = 0.1 };
static const struct mega_attr_embedding embed = { .scale = 1 };
static const struct mega_attr_pool mean = { MEGA_POOL_MEAN }, first = { MEGA_POOL_FIRST };
static const struct mega_attr_activation act = { MEGA_ACT_SILU };
static const struct mega_attr_gated_output gated_output = { .act = MEGA_ACT_SILU };
static const struct mega_attr_band bands = { .bands = 1, .end = { V }, .left_out = -1 };
static const struct mega_attr_cross_entropy loss = { .smoothing = 0.1 };
static const struct mega_attr_output_loss output = { .rows = true };
static const struct mega_attr_cema complex_ema = { false };
static const struct mega_attr_query_key_norm query_key_norm = { .heads = 2, .eps = 1e-5 };
static const struct mega_attr_scale tenfold = { 10 };
static const struct mega_attr_timestep_norm timestep_norm = { .groups = 2, .eps = 1e-5 };
static const struct mega_attr_head_norm head_norm = { .heads = 2 };
static const struct mega_attr_head_gate by_head = { .heads = 2 };
static const struct mega_attr_head_concat head_concat = { .heads = 2 };
static const struct mega_attr_head_linear head_linear = { .heads = 2 };
static const struct mega_attr_distance_bias buckets = { .length = 5, .heads = D };
static const struct mega_attr_forget forget = { true };
static const struct mega_attr_polar polar = { .heads = 2, .base = 10000, .factor = 1 };
static const struct mega_attr_reject reject = { .heads = 2, .kv_heads = 1 };
static const struct mega_attr_laser into_laser = { 15 };
static const struct mega_attr_join join = { 0 };
static const struct mega_attr_hard_concrete hard = { .gate = { 0.33, -0.1, 1.1, 1e-6 } };
static const struct mega_attr_gate_penalty penalty = { .gate = { 0.33, -0.1, 1.1, 1e-6 } };
static const struct mega_attr_feed_forward feed_forward = { .act = MEGA_ACT_SILU };
static const struct mega_attr_center center = { false };
static const struct mega_attr_log_sum log_sum = { false };
static const struct mega_attr_mix mix = { .step = 1 };
static const struct mega_attr_orthogonal orthogonal = { false };
static const struct mega_attr_shift shift_one = { .steps = 1 };
static const struct mega_attr_sinkhorn sinkhorn = { 2, 5 };
static const struct mega_attr_squash squash = { .kind = MEGA_SQUASH_TANH, false, 1, 1 };

/* numbers are counted here, four bytes each; `back` is of the backward pass when every input
 * with numbers wants a gradient */
static const struct line {
    const struct mega_op *op;
    const void *attr;
    int64_t in[MEGA_IN][3]; /* ended by 0 */
    double flops, numbers, flops_back, numbers_back;
} lines[] = {
    { &mega_op_activation, &act, { { B, T, D } }, 0, 2 * R *D, 0, 3 * R *D },
    { &mega_op_add, NULL, { { B, T, D }, { B, T, D } }, 0, 3 * R *D, 0, 3 * R *D },
    { &mega_op_log_sum, &log_sum, { { B, T, D }, { B, T, D } }, 0, 3 * R *D, 0, 5 * R *D },
    { &mega_op_softmax, NULL, { { B, T, D } }, 0, 2 * R *D, 0, 3 * R *D },
    { &mega_op_squash, &squash, { { B, T, D }, { D }, { D } }, 0, 2 * R *D + 2 * D, 0,
        3 * R *D + 3 * D },
    { &mega_op_mix, &mix, { { B, T, 2 }, { B, T, D }, { B, T, D } }, 0, 3 * R *D + 2 * R, 0,
        5 * R *D + 4 * R },
    { &mega_op_sinkhorn, &sinkhorn, { { B, T, 4 } }, 0, 2 * R * 4, 0, 3 * R * 4 },
    { &mega_op_orthogonal, &orthogonal, { { B, T, D }, { B, T, D } }, 0, 3 * R *D, 0,
        5 * R *D },
    { &mega_op_center, &center, { { B, T, D } }, 0, 2 * R *D, 0, 2 * R *D },
    { &mega_op_shift, &shift_one, { { B, T, D } }, 0, 2 * R *D, 0, 2 * R *D },
    /* a row is one of x, and its number */
    { &mega_op_arrange, NULL, { { B, T, D }, { B, T } }, 0, 2 * R *D + R, 0, 2 * R *D + R },
    { &mega_op_concat, NULL, { { B, D }, { B, E } }, 0, 2 * B *(D + E), 0, 2 * B *(D + E) },
    { &mega_op_dropout, &tenth, { { B, T, D } }, 0, 2 * R *D, 0, 2 * R *D },
    { &mega_op_mask, NULL, { { B, T, D } }, 0, 2 * R *D, 0, 2 * R *D },
    { &mega_op_gate, &gate_silu, { { B, T, D }, { B, T, D } }, 0, 3 * R *D, 0, 5 * R *D },
    { &mega_op_gated_residual, &residual,
        { { B, T, D }, { B, T, D }, { B, T, D }, { B, T, D } }, 0, 5 * R *D, 0, 9 * R *D },
    { &mega_op_query_key, NULL, { { B, T, Z }, { 2, Z }, { 2, Z } }, 0, 3 * R *Z + 4 * Z, 0,
        4 * R *Z + 8 * Z },
    { &mega_op_norm, &layer_norm, { { B, T, D }, { D }, { D } }, 0, 2 * R *D + 2 * D, 0,
        3 * R *D + 3 * D },
    /* the running values come in and go out */
    { &mega_op_batch_norm, &batch_norm, { { B, T, D }, { D }, { D }, { D }, { D } }, 0,
        2 * R *D + 6 * D, 0, 3 * R *D + 9 * D },
    { &mega_op_pool, &mean, { { B, T, D } }, 0, R *D + B *D, 0, R *D + B *D },
    { &mega_op_pool, &first, { { B, T, D } }, 0, 2 * B *D, 0, R *D + B *D },
    /* a row of the table a token, and the tokens */
    { &mega_op_embedding, &embed, { { V, D }, { B, T } }, 0, 2 * R *D + R, 0, R *D + R + V *D },
    { &mega_op_number_embedding, NULL, { { B, T }, { D }, { D } }, 0, R *D + R + 2 * D, 0,
        R *D + 2 * R + 4 * D },
    { &mega_op_cross_entropy, &loss, { { R, D }, { R } }, 0, R *D + R + 1, 0,
        2 * R *D + R + 1 },
    { &mega_op_band, &bands, { { B, T } }, 0, 2 * R, 0, 2 * R },
    /* a row is one of either */
    { &mega_op_choose, NULL, { { B, T }, { B, T, D }, { B, T, D } }, 0, 2 * R *D + R, 0,
        3 * R *D + R },
    { &mega_op_log_softmax, NULL, { { R, V }, { R, 1 } }, 0, 2 * R *V + R, 0,
        3 * R *V + 2 * R },
    { &mega_op_transpose, NULL, { { D, E } }, 0, 2 * D *E, 0, 2 * D *E },
    /* a product of R x D with D x V numbers; the loss of each row and of all. Making the
     * logits again is the kernel's affair. */
    { &mega_op_output_loss, &output, { { B, T, D }, { V, D }, { V }, { B, T } }, 2 * R *D *V,
        R *D + V *D + V + R + R + 1, 4 * R *D *V, 2 * (R * D + V * D + V) + R + R + 1 },
    /* a product of R x K with K x N numbers: 2 R K N */
    { &mega_op_linear, &silu, { { B, T, D }, { E, D }, { E } }, 2 * R *D *E,
        R *(D + E) + E *D + E, 4 * R *D *E, R *(2 * D + E) + 2 * (E * D + E) },
    { &mega_op_feed_forward, &feed_forward,
        { { B, T, D }, { B, T, D }, { F, D }, { F }, { D, F }, { D } }, 4 * R *D *F,
        3 * R *D + 2 * F *D + F + D, 8 * R *D *F, 4 * R *D + 2 * (2 * F * D + F + D) },
    { &mega_op_gated_output, &gated_output,
        { { B, T, D }, { B, T, D }, { B, T, D }, { B, T, E }, { B, T, E }, { D, E }, { D } },
        2 * R *D *E, R *(4 * D + 2 * E) + D *E + D, 4 * R *D *E,
        R *(7 * D + 4 * E) + 2 * (D * E + D) },
    { &mega_op_rotary, &turn, { { B, T, D } }, 0, 2 * R *D, 0, 2 * R *D },
    { &mega_op_position_embedding, &learned, { { B, T, D }, { T, D } }, 0, 2 * R *D + T *D, 0,
        2 * R *D + 2 * T *D },
    /* a step of a state: two multiply-adds; both ways: 2 D channels */
    { &mega_op_ema, &two_way,
        { { B, T, D }, { 2 * D, N }, { 2 * D, N }, { 2 * D, N }, { 2 * D, N }, { D } },
        4 * R * 2 * D *N, 2 * R *D + 8 * D *N + D, 8 * R * 2 * D *N,
        3 * R *D + 16 * D *N + 2 * D },
    /* a step of a complex state: six multiply-adds */
    { &mega_op_cema, &complex_ema,
        { { B, T, D }, { D, N }, { D, N }, { D, 1 }, { D, N, 2 }, { D, 1 } }, 12 * R *D *N,
        2 * R *D + 4 * D *N + 2 * D, 24 * R *D *N, 3 * R *D + 8 * D *N + 4 * D },
    { &mega_op_query_key_norm, &query_key_norm, { { B, T, Z }, { 2, Z }, { 2, Z } }, 0,
        3 * R *Z + 4 * Z, 0, 4 * R *Z + 6 * Z },
    { &mega_op_scale, &tenfold, { { B, T, D }, { D } }, 0, 2 * R *D + D, 0, 3 * R *D + 2 * D },
    { &mega_op_head_norm, &head_norm, { { B, T, D }, { 2, D / 2 } }, 0, 2 * R *D + D, 0,
        3 * R *D + 2 * D },
    { &mega_op_slot_norm, &head_norm, { { 2, T, D }, { 2, D } }, 0, 2 * R *D + 2 * D, 0,
        3 * R *D + 4 * D },
    { &mega_op_head_gate, &by_head, { { B, T, D }, { 2 }, { B, T, 2 } }, 0,
        2 * R *D + 2 + 2 * R, 0, 3 * R *D + 4 + 4 * R },
    { &mega_op_head_concat, &head_concat, { { B, T, Z }, { B, T, D } }, 0, 2 * R *(Z + D), 0,
        2 * R *(Z + D) },
    /* two heads of Z and E channels */
    { &mega_op_head_linear, &head_linear, { { B, T, 2 * Z }, { 2 * E, Z } }, 2 * R * 2 * Z *E,
        R *(2 * Z + 2 * E) + 2 * E *Z, 4 * R * 2 * Z *E, R *(4 * Z + 2 * E) + 4 * E *Z },
    /* 2 T - 1 = 9 entries a head */
    { &mega_op_distance_bias, &buckets, { { 4, D } }, 0, 4 * D + 9 * D, 0, 4 * D + 9 * D },
    { &mega_op_forget, &forget, { { B, T, D }, { B, D } }, 0, 2 * R *D + 2 * B *D, 0,
        3 * R *D + 2 * B *D },
    { &mega_op_polar, &polar, { { B, T, D }, { 2, D / 2 } }, 0, 3 * R *D + D, 0,
        4 * R *D + 2 * D },
    { &mega_op_reject, &reject, { { B, T, D }, { B, T, D / 2 } }, 0, 2 * R *D + R *D / 2, 0,
        3 * R *D + R *D },
    { &mega_op_laser, &into_laser, { { B, T, D } }, 0, 2 * R *D, 0, 3 * R *D },
    { &mega_op_join, &join, { { B, N, D }, { B, T, D } }, 0, 2 * (B * N * D + R * D), 0,
        2 * (B * N * D + R * D) },
    /* a number a head in, one out */
    { &mega_op_hard_concrete, &hard, { { Z } }, 0, 2 * Z, 0, 3 * Z },
    { &mega_op_exit_gate, NULL, { { R, 1 }, { R, 1 }, { R } }, 0, 5 * R + 1, 0, 7 * R + 1 },
    { &mega_op_gate_penalty, &penalty, { { Z } }, 0, 2 * Z + 1, 0, 3 * Z + 1 },
    { &mega_op_head_scale, NULL, { { B, T, D }, { Z } }, 0, 2 * R *D + Z, 0, 3 * R *D + 2 * Z },
    { &mega_op_timestep_norm, &timestep_norm, { { B, T, D }, { D }, { D } }, 0,
        2 * R *D + 2 * D, 0, 3 * R *D + 3 * D },
    /* 2 T - 1 = 9 entries of Z numbers each */
    { &mega_op_rotary_bias, &rotary, { { 1, Z }, { 1, Z } }, 2 * 9 * Z, 9 + 2 * Z, 4 * 9 * Z,
        9 + 4 * Z },
    /* each query meets the keys of its window: a product with Z, one with E */
    { &mega_op_attention, &chunked, { { B, T, Z }, { B, T, Z }, { B, T, E } },
        2 * R *C *(Z + E), 2 * R *(Z + E), 4 * R *C *(Z + E), R *(4 * Z + 3 * E) },
    { &mega_op_attention, &whole, { { B, T, Z }, { B, T, Z }, { B, T, E } }, 2 * R *T *(Z + E),
        2 * R *(Z + E), 4 * R *T *(Z + E), R *(4 * Z + 3 * E) },
    { &mega_op_attention, &causal, { { B, T, Z }, { B, T, Z }, { B, T, E } },
        R *(T + 1) * (Z + E), 2 * R *(Z + E), 2 * R *(T + 1) * (Z + E), R *(4 * Z + 3 * E) },
};

struct trial {
    struct mega_call call;
    mega_tensor in[MEGA_IN], out[MEGA_OUT];
    struct mega_rows rows;
};

/* ids where an op asks for them */
static bool is_ids(const struct mega_op *op, int i)
{
    if (op == &mega_op_band || op == &mega_op_choose) return i == 0;
    if (op == &mega_op_output_loss) return i == MEGA_OUTPUT_LOSS_TARGET;
    if (op == &mega_op_exit_gate) return i == MEGA_EXIT_GATE_TARGET;
    return i == 1 &&
           (op == &mega_op_embedding || op == &mega_op_arrange || op == &mega_op_cross_entropy);
}

static void make(struct trial *t, const struct line *l)
{
    *t = (struct trial){ .rows = { .B = B, .T = T } };
    t->call = (struct mega_call){
        .op = l->op, .attr = l->attr, .rows = &t->rows, .mode = MEGA_RUN_TRAIN | MEGA_RUN_GRAD
    };
    for (int i = 0; i < MEGA_IN; i++) {
        int rank = 0;
        while (rank < 3 && l->in[i][rank]) rank++;
        if (!rank) continue;
        bool ids = is_ids(l->op, i);
        t->in[i] = mega_tensor_over(NULL, ids ? MEGA_I32 : MEGA_F32, rank, l->in[i]);
        t->in[i].wants_grad = !ids;
        t->call.in[i] = &t->in[i];
    }
    for (int i = 0; i < MEGA_OUT; i++) t->out[i] = mega_absent();
    if (l->op->shape(&t->call, t->out)) fail_msg("%s: %s", l->op->name, mega_message());
    for (int i = 0; i < MEGA_OUT; i++)
        if (t->out[i].rank >= 0) t->call.out[i] = &t->out[i];
}

static void expect(const struct line *l, const char *what, double found, double want)
{
    if (found != want) fail_msg("%s: %s: %g, expected %g", l->op->name, what, found, want);
}

static void every_op_counts_what_it_must_do(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct trial t;
        double flops, bytes;
        make(&t, &lines[i]);
        mega_op_cost(&t.call, &flops, &bytes);
        expect(&lines[i], "FLOPs forward", flops, lines[i].flops);
        expect(&lines[i], "numbers forward", bytes / 4, lines[i].numbers);
        mega_op_cost_back(&t.call, &flops, &bytes);
        expect(&lines[i], "FLOPs backward", flops, lines[i].flops_back);
        expect(&lines[i], "numbers backward", bytes / 4, lines[i].numbers_back);
    }
}

static void every_op_is_in_the_table(void **state)
{
    (void)state;
    for (const struct mega_op *const *op = mega_ops; *op; op++) {
        bool found = false;
        for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) found |= lines[i].op == *op;
        if (!found) fail_msg("%s has no line", (*op)->name);
    }
}

static void a_tensor_given_twice_is_read_once(void **state)
{
    (void)state;
    struct trial t;
    double flops, bytes;
    make(&t, &lines[1]); /* add */
    t.call.in[1] = t.call.in[0];
    mega_op_cost(&t.call, &flops, &bytes);
    assert_true(bytes == 4 * 2 * R * D);
}

static void an_unwanted_gradient_is_not_written(void **state)
{
    (void)state;
    struct trial t;
    double flops, bytes;
    make(&t, &lines[1]);
    t.in[1].wants_grad = false;
    mega_op_cost_back(&t.call, &flops, &bytes);
    assert_true(bytes == 4 * 2 * R * D);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_counts_what_it_must_do),
        cmocka_unit_test(every_op_is_in_the_table),
        cmocka_unit_test(a_tensor_given_twice_is_read_once),
        cmocka_unit_test(an_unwanted_gradient_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
