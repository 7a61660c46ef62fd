/* A small attention with one of its variants, and what is lent to it, for the tests of all. */
#ifndef MEGA_TEST_ATTENTION_SETUP_H
#define MEGA_TEST_ATTENTION_SETUP_H

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "graph/ops.h"
#include "layer/attention_memory.h"
#include "layer/hidden_keys.h"

#include "cmocka_all.h"

enum { B = 2, T = 11, D = 8, N = B * T * D };

struct setup {
    mega_context *context;
    struct mega_store store;
    struct mega_attention attention;
    struct mega_position_bias bias;
    mega_run *run;
    float x[N], first[B * T * 64]; /* first: values of another layer */
};

static inline struct mega_attention_options plain(void)
{
    return (struct mega_attention_options){ .width = D,
        .heads = 4,
        .kv_heads = 2,
        .keys = 6,
        .values = 5,
        .chunk = -1,
        .causal = true,
        .bias = true,
        .longest = 16,
        .rotary = { .base = 10000, .factor = 1 },
        .position = { .buckets = 8,
            .max_distance = 10,
            .scale = 1,
            .dynamic_depth = 2,
            .cope_positions = 4,
            .proj_rank = 3,
            .proj_reach = 5,
            .row_keys = 3 },
        .output = { .hybrid_states = 3 } };
}

/* ---- variants ---- */

/* latent attention with and without a rotary key */
static inline void set_latent_sizes(struct mega_attention_options *o)
{
    o->kv_heads = o->heads;
    o->prepare.kv_latent = 7;
    o->rotary.dims = o->prepare.q_latent ? 0 : 4;
}

#define VARIANTS(X)                                                                            \
    X(baseline, (void)o)                                                                       \
    X(chunks, o->chunk = 4)                                                                    \
    X(rope, o->rotary.kind = MEGA_ROTARY_ROPE)                                                 \
    X(some_heads_turn, o->rotary.kind = MEGA_ROTARY_ROPE; o->rotary.heads = 3;                 \
        o->kv_heads = 4; o->rotary.dims = 4; o->rotary.ntk = 2)                                \
    X(xpos, o->rotary.kind = MEGA_ROTARY_XPOS; o->rotary.xpos_base = 16)                       \
    X(pope, o->rotary.kind = MEGA_ROTARY_POPE)                                                 \
    X(cosine, o->prepare.qk_norm = MEGA_QK_NORM_L2)                                            \
    X(cosine_groups, o->prepare.qk_norm = MEGA_QK_NORM_L2; o->prepare.groups = 2;              \
        o->prepare.memories = 3)                                                               \
    X(cosine_learned, o->prepare.qk_norm = MEGA_QK_NORM_L2;                                    \
        o->prepare.qk_scale_kind = MEGA_QK_SCALE_LEARNED)                                      \
    X(cosine_by_heads, o->prepare.qk_norm = MEGA_QK_NORM_L2;                                   \
        o->prepare.qk_scale_kind = MEGA_QK_SCALE_HEADS)                                        \
    X(cosine_gains, o->prepare.qk_norm = MEGA_QK_NORM_L2; o->prepare.dim_scale = true)         \
    X(rms, o->prepare.qk_norm = MEGA_QK_NORM_RMS; o->prepare.memories = 2;                     \
        o->prepare.value_norm = 1)                                                             \
    X(key_rms, o->prepare.qk_norm = MEGA_QK_NORM_K_RMS)                                        \
    X(values_halved, o->prepare.value_residual = MEGA_VALUE_RESIDUAL_HALF)                     \
    X(values_mixed, o->prepare.value_residual = MEGA_VALUE_RESIDUAL_LEARNED)                   \
    X(memories, o->prepare.memories = 3)                                                       \
    X(with_laser, o->prepare.laser = true; o->prepare.memories = 2)                            \
    X(t5, o->position.kind = MEGA_REL_POS_T5)                                                  \
    X(alibi, o->position.kind = MEGA_REL_POS_ALIBI)                                            \
    X(dynamic, o->position.kind = MEGA_REL_POS_DYNAMIC)                                        \
    X(dynamic_log, o->position.kind = MEGA_REL_POS_DYNAMIC; o->position.dynamic_log = true;    \
        o->position.dynamic_norm = true)                                                       \
    X(forgets, o->position.kind = MEGA_REL_POS_FORGET)                                         \
    X(cope, o->position.kind = MEGA_REL_POS_COPE)                                              \
    X(rel_proj, o->position.kind = MEGA_REL_POS_REL_PROJ)                                      \
    X(slopes_that_learn, o->position.kind = MEGA_REL_POS_ALIBI;                                \
        o->position.alibi_learned = true)                                                      \
    X(xl, o->position.kind = MEGA_REL_POS_XL)                                                  \
    X(xl_cosine, o->position.kind = MEGA_REL_POS_XL; o->prepare.qk_norm = MEGA_QK_NORM_L2;     \
        o->prepare.memories = 2; o->score.past = 4)                                            \
    X(xl_chunks, o->position.kind = MEGA_REL_POS_XL; o->chunk = 4)                             \
    X(xl_strips, o->position.kind = MEGA_REL_POS_XL; o->score.exec = MEGA_ATTENTION_STRIP)     \
    X(forgets_by_rows, o->position.kind = MEGA_REL_POS_FORGET_ROW)                             \
    X(forgets_in_a_window, o->position.kind = MEGA_REL_POS_FORGET_ROW; o->score.past = 3)      \
    X(selective, o->score.selective = true)                                                    \
    X(selective_window, o->score.selective = true; o->score.past = 4)                          \
    X(selective_chunks, o->score.selective = true; o->chunk = 4; o->prepare.memories = 2)      \
    X(hybrid, o->output.hybrid = MEGA_HYBRID_EMA)                                              \
    X(hybrid_mixed, o->output.hybrid = MEGA_HYBRID_CEMA; o->output.hybrid_mix = true;          \
        o->output.gate_values = true)                                                          \
    X(sigmoid, o->score.fn = MEGA_ATTENTION_SIGMOID)                                           \
    X(topk, o->score.fn = MEGA_ATTENTION_TOPK; o->score.top = 3)                               \
    X(hard, o->score.fn = MEGA_ATTENTION_HARD)                                                 \
    X(cog, o->score.fn = MEGA_ATTENTION_COG)                                                   \
    X(l2, o->score.l2 = 1)                                                                     \
    X(sink, o->score.sink = true)                                                              \
    X(zeros, o->score.zeros = 2)                                                               \
    X(clamp, o->score.clamp = 2; o->position.kind = MEGA_REL_POS_ALIBI)                        \
    X(talking, o->score.talking = MEGA_TALKING_PRE | MEGA_TALKING_POST)                        \
    X(talking_scaled, o->score.talking_scaled = true)                                          \
    X(window, o->score.past = 3)                                                               \
    X(window_t5, o->score.past = 3; o->position.kind = MEGA_REL_POS_T5)                        \
    X(head_scale, o->output.head_scale = true)                                                 \
    X(gates, o->output.gate_values = true; o->output.gate_heads = true;                        \
        o->output.gate_bias = true)                                                            \
    X(gates_of_output, o->output.gate_values = o->output.gate_heads = true;                    \
        o->output.gate_output = true)                                                          \
    X(gates_of_low_rank, o->output.gate_values = true; o->output.gate_output = true;           \
        o->output.gate_rank = 3)                                                               \
    X(silu_gates, o->output.gate_values = true; o->output.gate_act = 1)                        \
    X(on_attention, o->output.on_attn = MEGA_ON_ATTENTION)                                     \
    X(on_attention_paper, o->output.on_attn = MEGA_ON_ATTENTION_PAPER)                         \
    X(belief, o->output.belief = MEGA_BELIEF_WHOLE)                                            \
    X(belief_both, o->output.belief = MEGA_BELIEF_WHOLE | MEGA_BELIEF_HEADS)                   \
    X(latent, set_latent_sizes(o))                                                             \
    X(latent_of_queries, set_latent_sizes(o); o->prepare.q_latent = 4;                         \
        o->prepare.latent_norm = true; o->score.past = 4)                                      \
    X(inner_norm, o->output.inner_norm = true;                                                 \
        o->output.norm =                                                                       \
            (struct mega_norm_options){ .type = MEGA_RMSNORM, .affine = true, .eps = 1e-5 })

#define SET(name, ...)                                                                         \
    static inline void set_##name(struct mega_attention_options *o)                            \
    {                                                                                          \
        __VA_ARGS__;                                                                           \
    }
VARIANTS(SET)
#undef SET

static const struct variant {
    const char *name;
    void (*set)(struct mega_attention_options *o);
} variants[] = {
#define ROW(name, ...) { #name, set_##name },
    VARIANTS(ROW)
#undef ROW
};
enum { VARIANT_COUNT = sizeof variants / sizeof *variants };

/* ---- a layer and what is lent to it ---- */

static inline mega_status declare(struct setup *s, const struct mega_attention_options *o)
{
    memset(s, 0, sizeof *s);
    assert_int_equal(mega_context_new(&s->context, NULL), MEGA_OK);
    assert_int_equal(mega_store_init(&s->store), MEGA_OK);
    mega_build b = { .store = &s->store };
    mega_attention_build(&b, &s->attention, o);
    mega_position_bias_build(&b, &s->bias, &o->position, o->heads, D, o->causal);
    return b.status;
}

static inline void lay_out(struct setup *s, double noise)
{
    struct mega_rng g;
    assert_int_equal(mega_store_lay_out(&s->store, true), MEGA_OK);
    mega_store_fill(&s->store, 11);
    mega_rng_start(&g, 1, 2);
    for (int64_t i = 0; i < s->store.count; i++)
        s->store.value[i] += (float)(noise * mega_rng_normal(&g));
    for (int i = 0; i < N; i++) s->x[i] = (float)mega_rng_normal(&g);
    for (int i = 0; i < B * T * 64; i++) s->first[i] = (float)mega_rng_normal(&g);
    assert_int_equal(mega_run_new(&s->run, s->context), MEGA_OK);
}

static inline void open(struct setup *s, const struct mega_attention_options *o)
{
    if (declare(s, o)) fail_msg("%s", mega_message());
    lay_out(s, 0.3);
}

static inline void done(struct setup *s)
{
    mega_run_free(s->run);
    mega_store_done(&s->store);
    mega_context_free(s->context);
}

static inline float *parameter(struct setup *s, const char *name)
{
    struct mega_param *p = mega_store_find(&s->store, name);
    if (!p) fail_msg("no parameter %s", name);
    return p->value.data;
}

static inline void fill(struct setup *s, const char *name, float value)
{
    float *at = parameter(s, name);
    for (int64_t i = 0, n = mega_store_find(&s->store, name)->count; i < n; i++) at[i] = value;
}

/* places from ... from+n-1 of [B, T, width] numbers */
static inline mega_tensor *piece(
    struct setup *s, const float *of, int64_t width, int64_t from, int64_t n)
{
    mega_tensor *t =
        mega_run_tensor(s->run, mega_run_dtype(s->run), 3, (int64_t[]){ B, n, width });
    for (int64_t r = 0; r < B * n; r++)
        for (int64_t j = 0; j < width; j++)
            mega_put(t, r, j, (double)of[(r / n * T + from + r % n) * width + j]);
    return t;
}

/* places from ... from+n-1, of a stream or not, into y [B, T, D] where they belong */
static inline void pass(struct setup *s, mega_stream *stream, unsigned mode, const int32_t *len,
    const int32_t *doc, int64_t from, int64_t n, float *y)
{
    const struct mega_attention_options *o = &s->attention.options;
    mega_run_begin(
        s->run, &(struct mega_run_args){ .stream = stream, .mode = mode, .now = { 3, 4 } });
    struct mega_rows rows = { .B = B, .T = n, .doc = doc, .len = len };
    const struct mega_rows *all = mega_run_rows(s->run, &rows);
    struct mega_attention_args a = { 0 };
    a.bias = mega_position_bias_run(
        s->run, &s->bias, mega_attention_reach(s->run, &s->attention, all));
    if (o->prepare.value_residual)
        a.first = piece(s, s->first, o->kv_heads * o->values, from, n);
    if (o->score.hide > 0)
        a.keys = mega_hidden_keys(s->run, all, o->score.hide, o->score.hide_fixed);
    a.memory = mega_attention_memory(s->run, &s->attention);
    mega_tensor *x = piece(s, s->x, D, from, n);
    mega_tensor *out = mega_attention_run_with(s->run, &s->attention, x, all, &a);
    mega_attention_remember(s->run, &s->attention, a.memory, x, all);
    if (!out) fail_msg("%s", mega_run_end(s->run) ? mega_message() : "nothing came");
    for (int64_t r = 0; r < B * n; r++)
        for (int64_t j = 0; j < D; j++)
            y[(r / n * T + from + r % n) * D + j] = (float)mega_get(out, r, j);
    if (mega_run_end(s->run)) fail_msg("%s", mega_message());
}

static inline void whole(struct setup *s, float *y)
{
    pass(s, NULL, 0, NULL, NULL, 0, T, y);
}

static inline double worst(const float *a, const float *b)
{
    double most = 0;
    for (int i = 0; i < N; i++) most = fmax(most, fabs((double)a[i] - (double)b[i]));
    return most;
}

static inline void assert_near(const char *name, const float *a, const float *b)
{
    double most = worst(a, b);
    if (!(most < 2e-5)) fail_msg("%s: %g apart", name, most);
}

#endif
