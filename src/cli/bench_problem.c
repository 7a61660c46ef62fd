#include "cli/bench_problem.h"

#include <stdlib.h>

#include "base/rng.h"
#include "graph/ops.h"

enum {
    D = 128,
    E = 256,
    Z = 64,
    F = 256,
    N = 16,
    C = 128,
    V = 257,
    WORDS = 8192,
    LONGEST = 4096
};
enum { M = 384, Y = 192, G = 32 }; /* a Megalodon: width, keys, groups */
enum { B = MEGA_PROBLEM_B, T = MEGA_PROBLEM_T };

static const struct mega_attr_linear plain = { MEGA_ACT_LINEAR }, silu = { MEGA_ACT_SILU };
static const struct mega_attr_activation pointwise = { MEGA_ACT_SILU };
static const struct mega_attr_feed_forward feed_forward = { .act = MEGA_ACT_SILU };
static const struct mega_attr_norm scale_norm = { .kind = MEGA_NORM_SCALE, .eps = 1e-5 },
                                   layer_norm = { .kind = MEGA_NORM_LAYER, .eps = 1e-5 };
static const struct mega_attr_batch_norm batch_norm = { .eps = 1e-5, .momentum = 0.1 };
static const struct mega_attr_ema two_way = { .two_way = true }, one_way = { .two_way = false };
static const struct mega_attr_attention
    chunked = { .fn = MEGA_ATTENTION_SOFTMAX, .chunk = C },
    full = { .fn = MEGA_ATTENTION_SOFTMAX, .chunk = -1 },
    heads = { .fn = MEGA_ATTENTION_SOFTMAX, .chunk = -1, .heads = 4 },
    causal_heads = { .fn = MEGA_ATTENTION_SOFTMAX, .chunk = -1, .causal = true, .heads = 4 },
    grouped = { .fn = MEGA_ATTENTION_SOFTMAX,
        .chunk = -1,
        .causal = true,
        .heads = 4,
        .kv_heads = 1 },
    head = { .fn = MEGA_ATTENTION_SOFTMAX, .chunk = -1 },
    full_laplace = { .fn = MEGA_ATTENTION_LAPLACE, .chunk = -1 },
    laplace = { .fn = MEGA_ATTENTION_LAPLACE, .chunk = C };
static const struct mega_attr_cema complex_ema = { false };
static const struct mega_attr_timestep_norm timestep_norm = {
    .unit_offset = true, .groups = G, .eps = 1e-5
};
static const struct mega_attr_query_key_norm query_key_norm = { .heads = 1, .eps = 1e-5 };
static const struct mega_attr_head_norm head_norm = {
    .kind = MEGA_HEAD_NORM_RMS, .unit_offset = true, .heads = 4, .eps = 1e-5
};
static const struct mega_attr_scale rescale = { 1 };
static const struct mega_attr_rotary turn = { .heads = 4, .base = 10000, .factor = 1 };
static const struct mega_attr_position_embedding learned = { .scale = 1 },
                                                 sines = { .kind = MEGA_POSITION_SINUSOIDAL,
                                                     .scale = 1 };
static const struct mega_attr_rotary_bias rotary = { .length = LONGEST };
static const struct mega_attr_gate gate_silu = { MEGA_ACT_SILU };
static const struct mega_attr_gated_residual residual = { .act = MEGA_ACT_SILU };
static const struct mega_attr_gated_output gated_output = { .act = MEGA_ACT_SILU };
static const struct mega_attr_dropout tenth = { .p = 0.1 };
static const struct mega_attr_embedding embed = { .pad = 0, .scale = 1 };
static const struct mega_attr_cross_entropy loss = { 0 };
static const struct mega_attr_output_loss output = { .rows = false };
static const struct mega_attr_pool mean = { MEGA_POOL_MEAN };

#define STATISTICS (1u << MEGA_BATCH_NORM_MEAN | 1u << MEGA_BATCH_NORM_VAR)

/* in the order of a layer: projections, moving average, attention, what joins them; then the
 * ends of a model */
const struct mega_problem mega_problems[] = {
    { "linear 128 -> 256, silu", &mega_op_linear, &silu, { { B, T, D }, { E, D }, { E } }, 0,
        0 },
    { "linear 128 -> 576", &mega_op_linear, &plain,
        { { B, T, D }, { Z + E + 2 * D, D }, { Z + E + 2 * D } }, 0, 0 },
    { "linear 256 -> 128", &mega_op_linear, &plain, { { B, T, E }, { D, E }, { D } }, 0, 0 },
    { "feed_forward 128, 256", &mega_op_feed_forward, &feed_forward,
        { { B, T, D }, { B, T, D }, { F, D }, { F }, { D, F }, { D } }, 0, 0 },
    { "norm, scale", &mega_op_norm, &scale_norm, { { B, T, D }, { 1 } }, 0, 0 },
    { "norm, layer", &mega_op_norm, &layer_norm, { { B, T, D }, { D }, { D } }, 0, 0 },
    { "batch_norm", &mega_op_batch_norm, &batch_norm,
        { { B, T, D }, { D }, { D }, { D }, { D } }, 0, STATISTICS },
    { "ema, two ways", &mega_op_ema, &two_way,
        { { B, T, D }, { 2 * D, N }, { 2 * D, N }, { 2 * D, N }, { 2 * D, N }, { D } }, 0, 0 },
    { "ema, one way", &mega_op_ema, &one_way,
        { { B, T, D }, { D, N }, { D, N }, { D, N }, { D, N }, { D } }, 0, 0 },
    { "cema, 384", &mega_op_cema, &complex_ema,
        { { B, T, M }, { M, N }, { M, N }, { M, 1 }, { M, N, 2 }, { M, 1 } }, 0, 0 },
    { "timestep_norm, 384", &mega_op_timestep_norm, &timestep_norm,
        { { B, T, M }, { M }, { M } }, 0, 0 },
    { "query_key_norm, 192", &mega_op_query_key_norm, &query_key_norm,
        { { B, T, Y }, { 2, Y }, { 2, Y } }, 0, 0 },
    { "head_norm, 4 heads of 32", &mega_op_head_norm, &head_norm, { { B, T, D }, { 4, D / 4 } },
        0, 0 },
    { "head_norm, 4 heads of 64", &mega_op_head_norm, &head_norm, { { B, T, 4 * Z }, { 4, Z } },
        0, 0 },
    { "scale, 384", &mega_op_scale, &rescale, { { B, T, M }, { M } }, 0, 0 },
    { "query_key", &mega_op_query_key, NULL, { { B, T, Z }, { 2, Z }, { 2, Z } }, 0, 0 },
    { "rotary_bias", &mega_op_rotary_bias, &rotary, { { 1, Z }, { 1, Z } }, 0, 0 },
    { "attention, chunk 128, softmax", &mega_op_attention, &chunked,
        { { B, T, Z }, { B, T, Z }, { B, T, E }, { 2 * C - 1 } }, 0, 0 },
    { "attention, chunk 128, laplace", &mega_op_attention, &laplace,
        { { B, T, Z }, { B, T, Z }, { B, T, E }, { 2 * C - 1 } }, 0, 0 },
    { "attention, full, softmax", &mega_op_attention, &full,
        { { B, T, Z }, { B, T, Z }, { B, T, E }, { 2 * LONGEST - 1 } }, 0, 0 },
    { "attention, full, laplace", &mega_op_attention, &full_laplace,
        { { B, T, Z }, { B, T, Z }, { B, T, E }, { 2 * LONGEST - 1 } }, 0, 0 },
    { "attention, full, 1 head of 64", &mega_op_attention, &head,
        { { B, T, Z }, { B, T, Z }, { B, T, Z } }, 0, 0 },
    { "attention, full, 4 heads of 64", &mega_op_attention, &heads,
        { { B, T, 4 * Z }, { B, T, 4 * Z }, { B, T, 4 * Z } }, 0, 0 },
    { "attention, causal, 4 heads of 64", &mega_op_attention, &causal_heads,
        { { B, T, 4 * Z }, { B, T, 4 * Z }, { B, T, 4 * Z } }, 0, 0 },
    { "attention, full, 4 heads of 32", &mega_op_attention, &heads,
        { { B, T, 2 * Z }, { B, T, 2 * Z }, { B, T, 2 * Z } }, 0, 0 },
    { "attention, causal, 4/1 heads of 32", &mega_op_attention, &grouped,
        { { B, T, D }, { B, T, D / 4 }, { B, T, D / 4 } }, 0, 0 },
    { "rotary, 4 heads", &mega_op_rotary, &turn, { { B, T, D } }, 0, 0 },
    { "position_embedding, learned", &mega_op_position_embedding, &learned,
        { { B, T, D }, { LONGEST, D } }, 0, 0 },
    { "position_embedding, sinusoidal", &mega_op_position_embedding, &sines, { { B, T, D } }, 0,
        0 },
    { "activation, silu", &mega_op_activation, &pointwise, { { B, T, E } }, 0, 0 },
    { "gate", &mega_op_gate, &gate_silu, { { B, T, E }, { B, T, E } }, 0, 0 },
    { "gated_residual", &mega_op_gated_residual, &residual,
        { { B, T, D }, { B, T, D }, { B, T, D }, { B, T, D } }, 0, 0 },
    { "gated_output 256 -> 128", &mega_op_gated_output, &gated_output,
        { { B, T, D }, { B, T, D }, { B, T, D }, { B, T, E }, { B, T, E }, { D, E }, { D } }, 0,
        0 },
    { "dropout 0.1", &mega_op_dropout, &tenth, { { B, T, D } }, 0, 0 },
    { "add", &mega_op_add, NULL, { { B, T, D }, { B, T, D } }, 0, 0 },
    { "concat", &mega_op_concat, NULL, { { B, T, D }, { B, T, D } }, 0, 0 },
    { "mask", &mega_op_mask, NULL, { { B, T, D } }, 0, 0 },
    { "embedding", &mega_op_embedding, &embed, { { V, D }, { B, T } }, V, 0 },
    { "number_embedding", &mega_op_number_embedding, NULL, { { B, T }, { D }, { D } }, 0, 0 },
    { "pool", &mega_op_pool, &mean, { { B, T, D } }, 0, 0 },
    { "cross_entropy, 64 of 10", &mega_op_cross_entropy, &loss, { { 64, 10 }, { 64 } }, 10, 0 },
    { "output_loss, of 257", &mega_op_output_loss, &output,
        { { B, T, D }, { V, D }, { V }, { B, T } }, V, 0 },
    { "output_loss, of 8192", &mega_op_output_loss, &output,
        { { B, T, D }, { WORDS, D }, { WORDS }, { B, T } }, WORDS, 0 },
    { 0 },
};

/* ---- trials ---- */

static bool allocate(mega_tensor *t)
{
    return posix_memalign(&t->data, MEGA_ALIGN, mega_size(t) + MEGA_ALIGN) == 0;
}

static void fill(mega_tensor *t, uint64_t site, double scale)
{
    struct mega_rng g;
    mega_rng_start(&g, 1, site);
    for (int64_t i = 0, width = mega_width(t); i < mega_count(t); i++)
        mega_put(t, i / width, i % width, scale * mega_rng_normal(&g));
}

static void fill_ids(mega_tensor *t, int64_t below)
{
    struct mega_rng g;
    mega_rng_start(&g, 1, 9);
    for (int64_t i = 0; i < mega_count(t); i++)
        ((int32_t *)t->data)[i] = 1 + (int32_t)mega_rng_below(&g, (uint32_t)below - 1);
}

/* the input that holds whole numbers, where a problem has such */
static int ids_input(const struct mega_problem *p)
{
    return p->op == &mega_op_output_loss ? MEGA_OUTPUT_LOSS_TARGET : 1;
}

/* input i described, its numbers not yet there; false if the problem has none such */
static bool describe(mega_tensor *t, const struct mega_problem *p, int i, int64_t rows,
    int64_t places, mega_dtype activations)
{
    int64_t dim[3];
    int rank = 0;
    for (; rank < 3 && p->in[i][rank]; rank++) {
        int64_t size = p->in[i][rank];
        dim[rank] = size == B ? rows : size == T ? places : size;
    }
    mega_dtype dtype = rank == 3 && p->in[i][0] == B ? activations : MEGA_F32;
    *t = mega_tensor_over(NULL, p->ids && i == ids_input(p) ? MEGA_I32 : dtype, rank, dim);
    return rank > 0;
}

static bool open_inputs(
    struct mega_trial *t, const struct mega_problem *p, int64_t rows, int64_t places)
{
    for (int i = 0; i < MEGA_IN && describe(&t->in[i], p, i, rows, places, t->call.dtype);
         i++) {
        if (!allocate(&t->in[i])) return false;
        t->call.in[i] = &t->in[i];
        if (t->in[i].dtype == MEGA_I32) {
            fill_ids(&t->in[i], p->ids);
            continue;
        }
        /* weights of a layer are small, activations are not */
        bool product = p->op == &mega_op_linear || p->op == &mega_op_feed_forward ||
                       p->op == &mega_op_gated_output || p->op == &mega_op_output_loss;
        fill(&t->in[i], (uint64_t)i, t->in[i].rank == 3 ? 1 : product ? 0.05 : 0.5);
        if (p->fixed >> i & 1) continue;
        t->in_grad[i] = mega_like(&t->in[i], t->in[i].dtype);
        if (!allocate(&t->in_grad[i])) return false;
        t->grads.in[i] = &t->in_grad[i];
        t->in[i].wants_grad = true;
    }
    return true;
}

static mega_status describe_outputs(struct mega_trial *t)
{
    for (int i = 0; i < MEGA_OUT; i++) t->out[i] = mega_absent();
    for (int i = 0; i < MEGA_SAVED; i++) t->saved[i] = mega_absent();
    MEGA_TRY(t->call.op->shape(&t->call, t->out));
    for (int i = 0; i < MEGA_OUT; i++)
        if (t->out[i].rank >= 0) t->call.out[i] = &t->out[i];
    return MEGA_OK;
}

static bool open_outputs(struct mega_trial *t)
{
    for (int i = 0; i < MEGA_OUT; i++) {
        if (t->out[i].rank < 0) continue;
        t->out_grad[i] = mega_like(&t->out[i], t->out[i].dtype);
        if (!allocate(&t->out[i]) || !allocate(&t->out_grad[i])) return false;
        fill(&t->out_grad[i], 20 + (uint64_t)i, 1);
        t->grads.out[i] = &t->out_grad[i];
    }
    const struct mega_kernel *k = t->call.kernel;
    if (k->keep) k->keep(&t->call, t->saved);
    for (int i = 0; i < MEGA_SAVED; i++) {
        if (t->saved[i].rank < 0) continue;
        if (!allocate(&t->saved[i])) return false;
        t->call.saved[i] = &t->saved[i];
    }
    if (k->prepare) t->call.prepared = k->prepare(&t->call);
    return true;
}

mega_status mega_trial_open(struct mega_trial *t, const struct mega_problem *p,
    const struct mega_kernel *k, struct mega_work *work, int64_t rows, int64_t places,
    mega_dtype activations)
{
    *t = (struct mega_trial){ .rows = { .B = rows, .T = places } };
    t->call = (struct mega_call){ .op = p->op,
        .attr = p->attr,
        .dtype = activations,
        .mode = MEGA_RUN_TRAIN | MEGA_RUN_GRAD,
        .now = { 1, 1 },
        .kernel = k,
        .rows = &t->rows,
        .work = work };
    t->grads.touched = ~0u;
    mega_status status = MEGA_OK;
    bool room = open_inputs(t, p, rows, places);
    if (room) status = describe_outputs(t);
    const char *why;
    if (room && !status && k->accepts && !k->accepts(&t->call, &why)) {
        t->refusal = why;
        return MEGA_OK;
    }
    if (room && !status) room = open_outputs(t);
    if (!room) status = mega_fail(MEGA_NO_MEMORY, "%s: no memory to time it with", p->name);
    if (status) mega_trial_close(t);
    return status;
}

void mega_trial_close(struct mega_trial *t)
{
    if (t->call.prepared && t->call.kernel->forget) t->call.kernel->forget(t->call.prepared);
    for (int i = 0; i < MEGA_IN; i++) {
        free(t->in[i].data);
        free(t->in_grad[i].data);
    }
    for (int i = 0; i < MEGA_OUT; i++) {
        free(t->out[i].data);
        free(t->out_grad[i].data);
    }
    for (int i = 0; i < MEGA_SAVED; i++) free(t->saved[i].data);
    *t = (struct mega_trial){ 0 };
}

static void reset_scratch(struct mega_trial *t)
{
    mega_arena_release(&t->call.work->scratch[t->call.work->threads], 0);
}

void mega_trial_forward(struct mega_trial *t)
{
    reset_scratch(t);
    t->call.kernel->forward(&t->call);
}

void mega_trial_backward(struct mega_trial *t)
{
    reset_scratch(t);
    t->call.kernel->backward(&t->call, &t->grads);
}
