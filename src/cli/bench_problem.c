#include "cli/bench_problem.h"

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "graph/ops.h"

enum { D = 128, E = 256, Z = 64, F = 256, N = 16, C = 128, V = 257, LONGEST = 4096 };
#define TIME (-1)

static const struct mega_attr_linear plain = { MEGA_ACT_LINEAR }, silu = { MEGA_ACT_SILU };
static const struct mega_attr_feed_forward feed_forward = { .act = MEGA_ACT_SILU };
static const struct mega_attr_norm scale_norm = { .kind = MEGA_NORM_SCALE, .eps = 1e-5 },
                                   layer_norm = { .kind = MEGA_NORM_LAYER, .eps = 1e-5 };
static const struct mega_attr_ema two_way = { .two_way = true }, one_way = { .two_way = false };
static const struct mega_attr_attention chunked = { .fn = MEGA_ATTENTION_SOFTMAX, .chunk = C },
                                        full = { .fn = MEGA_ATTENTION_SOFTMAX, .chunk = -1 },
                                        laplace = { .fn = MEGA_ATTENTION_LAPLACE, .chunk = C };
static const struct mega_attr_gate gate_silu = { MEGA_ACT_SILU };
static const struct mega_attr_gated_residual residual = { .act = MEGA_ACT_SILU };
static const struct mega_attr_dropout tenth = { .p = 0.1 };
static const struct mega_attr_embedding embed = { .pad = 0, .scale = 1 };
static const struct mega_attr_pool mean = { MEGA_POOL_MEAN };

#define X(width)                                                                               \
    {                                                                                          \
        3,                                                                                     \
        {                                                                                      \
            2, TIME, width                                                                     \
        }                                                                                      \
    }
#define M(rows, columns)                                                                       \
    {                                                                                          \
        2,                                                                                     \
        {                                                                                      \
            rows, columns                                                                      \
        }                                                                                      \
    }
#define L(n)                                                                                   \
    {                                                                                          \
        1,                                                                                     \
        {                                                                                      \
            n                                                                                  \
        }                                                                                      \
    }

const struct mega_problem mega_problems[] = {
    { "linear 128 -> 256, silu", &mega_op_linear, &silu, { X(D), M(E, D), L(E) }, false },
    { "linear 128 -> 576", &mega_op_linear, &plain,
        { X(D), M(Z + E + 2 * D, D), L(Z + E + 2 * D) }, false },
    { "linear 256 -> 128", &mega_op_linear, &plain, { X(E), M(D, E), L(D) }, false },
    { "feed_forward 128, 256", &mega_op_feed_forward, &feed_forward,
        { X(D), X(D), M(F, D), L(F), M(D, F), L(D) }, false },
    { "norm, scale", &mega_op_norm, &scale_norm, { X(D), L(1) }, false },
    { "norm, layer", &mega_op_norm, &layer_norm, { X(D), L(D), L(D) }, false },
    { "ema, two ways", &mega_op_ema, &two_way,
        { X(D), M(2 * D, N), M(2 * D, N), M(2 * D, N), M(2 * D, N), L(D) }, false },
    { "ema, one way", &mega_op_ema, &one_way,
        { X(D), M(D, N), M(D, N), M(D, N), M(D, N), L(D) }, false },
    { "query_key", &mega_op_query_key, NULL, { X(Z), M(2, Z), M(2, Z) }, false },
    { "attention, chunk 128, softmax", &mega_op_attention, &chunked,
        { X(Z), X(Z), X(E), L(2 * C - 1) }, false },
    { "attention, chunk 128, laplace", &mega_op_attention, &laplace,
        { X(Z), X(Z), X(E), L(2 * C - 1) }, false },
    { "attention, full, softmax", &mega_op_attention, &full,
        { X(Z), X(Z), X(E), L(2 * LONGEST - 1) }, false },
    { "gate", &mega_op_gate, &gate_silu, { X(E), X(E) }, false },
    { "gated_residual", &mega_op_gated_residual, &residual, { X(D), X(D), X(D), X(D) }, false },
    { "dropout 0.1", &mega_op_dropout, &tenth, { X(D) }, false },
    { "add", &mega_op_add, NULL, { X(D), X(D) }, false },
    { "embedding", &mega_op_embedding, &embed, { M(V, D), M(2, TIME) }, true },
    { "pool", &mega_op_pool, &mean, { X(D) }, false },
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

static void fill_ids(mega_tensor *t)
{
    struct mega_rng g;
    mega_rng_start(&g, 1, 9);
    for (int64_t i = 0; i < mega_count(t); i++)
        ((int32_t *)t->data)[i] = 1 + (int32_t)mega_rng_below(&g, V - 1);
}

static bool open_inputs(
    struct mega_trial *t, const struct mega_problem *p, int64_t B, int64_t T)
{
    for (int i = 0; i < MEGA_IN && p->in[i].rank; i++) {
        int64_t dim[3];
        for (int k = 0; k < p->in[i].rank; k++)
            dim[k] = p->in[i].dim[k] == TIME ? T : p->in[i].dim[k];
        bool ids = p->ids && i == 1;
        if (p->in[i].rank == 3 || ids) dim[0] = B;
        t->in[i] = mega_tensor_over(NULL, ids ? MEGA_I32 : MEGA_F32, p->in[i].rank, dim);
        if (!allocate(&t->in[i])) return false;
        /* weights of a layer are small, activations are not */
        if (ids)
            fill_ids(&t->in[i]);
        else
            fill(&t->in[i], (uint64_t)i,
                p->in[i].rank == 3                                           ? 1
                : p->op == &mega_op_linear || p->op == &mega_op_feed_forward ? 0.05
                                                                             : 0.5);
        t->call.in[i] = &t->in[i];
        if (ids) continue;
        t->in_grad[i] = mega_like(&t->in[i], MEGA_F32);
        if (!allocate(&t->in_grad[i])) return false;
        t->grads.in[i] = &t->in_grad[i];
    }
    return true;
}

static bool open_outputs(struct mega_trial *t)
{
    for (int i = 0; i < MEGA_OUT; i++) t->out[i] = mega_absent();
    for (int i = 0; i < MEGA_SAVED; i++) t->saved[i] = mega_absent();
    if (t->call.op->shape(&t->call, t->out)) return false;
    for (int i = 0; i < MEGA_OUT; i++) {
        if (t->out[i].rank < 0) continue;
        t->out_grad[i] = mega_like(&t->out[i], MEGA_F32);
        if (!allocate(&t->out[i]) || !allocate(&t->out_grad[i])) return false;
        fill(&t->out_grad[i], 20 + (uint64_t)i, 1);
        t->call.out[i] = &t->out[i];
        t->grads.out[i] = &t->out_grad[i];
    }
    if (t->call.kernel->keep) t->call.kernel->keep(&t->call, t->saved);
    for (int i = 0; i < MEGA_SAVED; i++) {
        if (t->saved[i].rank < 0) continue;
        if (!allocate(&t->saved[i])) return false;
        t->call.saved[i] = &t->saved[i];
    }
    return true;
}

mega_status mega_trial_open(struct mega_trial *t, const struct mega_problem *p,
    const struct mega_kernel *k, struct mega_work *work, int64_t B, int64_t T)
{
    *t = (struct mega_trial){ .rows = { .B = B, .T = T } };
    t->call = (struct mega_call){ .op = p->op,
        .attr = p->attr,
        .dtype = MEGA_F32,
        .mode = MEGA_RUN_TRAIN | MEGA_RUN_GRAD,
        .now = { 1, 1 },
        .kernel = k,
        .work = work };
    t->call.rows = &t->rows;
    t->grads.touched = ~0u;
    if (open_inputs(t, p, B, T) && open_outputs(t)) return MEGA_OK;
    mega_trial_close(t);
    return mega_fail(MEGA_NO_MEMORY, "%s: no memory to time it with", p->name);
}

void mega_trial_close(struct mega_trial *t)
{
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

static double difference(const mega_tensor *a, const mega_tensor *b)
{
    double most = 1e-3, worst = 0;
    for (int64_t i = 0, width = mega_width(a); i < mega_count(a); i++) {
        double x = mega_get(a, i / width, i % width), y = mega_get(b, i / width, i % width),
               d = fabs(x - y);
        most = fmax(most, fabs(y));
        if (!(d <= worst)) worst = isnan(d) ? INFINITY : d;
    }
    return worst / most;
}

double mega_trial_difference(const struct mega_trial *a, const struct mega_trial *b)
{
    double worst = 0;
    for (int i = 0; i < MEGA_OUT; i++)
        if (a->call.out[i]) worst = fmax(worst, difference(&a->out[i], &b->out[i]));
    for (int i = 0; i < MEGA_IN; i++)
        if (a->grads.in[i]) worst = fmax(worst, difference(&a->in_grad[i], &b->in_grad[i]));
    return worst;
}
