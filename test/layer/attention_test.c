/* Attention with each of its variants: a stream token by token or in pieces equals the whole,
 * packed documents equal documents alone, and what is known in closed form. */
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

static struct mega_attention_options plain(void)
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
            .proj_reach = 5 } };
}

/* ---- variants ---- */

/* latent attention with and without a rotary key */
static void set_latent_sizes(struct mega_attention_options *o)
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
    static void set_##name(struct mega_attention_options *o)                                   \
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

static mega_status declare(struct setup *s, const struct mega_attention_options *o)
{
    memset(s, 0, sizeof *s);
    assert_int_equal(mega_context_new(&s->context, NULL), MEGA_OK);
    assert_int_equal(mega_store_init(&s->store), MEGA_OK);
    mega_build b = { .store = &s->store };
    mega_attention_build(&b, &s->attention, o);
    mega_position_bias_build(&b, &s->bias, &o->position, o->heads, D, o->causal);
    return b.status;
}

static void lay_out(struct setup *s, double noise)
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

static void open(struct setup *s, const struct mega_attention_options *o)
{
    if (declare(s, o)) fail_msg("%s", mega_message());
    lay_out(s, 0.3);
}

static void done(struct setup *s)
{
    mega_run_free(s->run);
    mega_store_done(&s->store);
    mega_context_free(s->context);
}

static float *parameter(struct setup *s, const char *name)
{
    struct mega_param *p = mega_store_find(&s->store, name);
    if (!p) fail_msg("no parameter %s", name);
    return p->value.data;
}

static void fill(struct setup *s, const char *name, float value)
{
    float *at = parameter(s, name);
    for (int64_t i = 0, n = mega_store_find(&s->store, name)->count; i < n; i++) at[i] = value;
}

/* places from ... from+n-1 of [B, T, width] numbers */
static mega_tensor *piece(
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
static void pass(struct setup *s, mega_stream *stream, unsigned mode, const int32_t *len,
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

static void whole(struct setup *s, float *y)
{
    pass(s, NULL, 0, NULL, NULL, 0, T, y);
}

static double worst(const float *a, const float *b)
{
    double most = 0;
    for (int i = 0; i < N; i++) most = fmax(most, fabs((double)a[i] - (double)b[i]));
    return most;
}

static void assert_near(const char *name, const float *a, const float *b)
{
    double most = worst(a, b);
    if (!(most < 2e-5)) fail_msg("%s: %g apart", name, most);
}

/* ---- every variant ---- */

static void a_stream_equals_the_whole(void **state)
{
    (void)state;
    static float all[N], pieces[N];
    static const int32_t full[B] = { T, 7 };
    for (int v = 0; v < VARIANT_COUNT; v++)
        for (int64_t each = 1; each <= 4; each += 3) {
            struct setup s;
            struct mega_attention_options o = plain();
            mega_stream *stream;
            variants[v].set(&o);
            open(&s, &o);
            pass(&s, NULL, 0, full, NULL, 0, T, all);
            assert_int_equal(mega_stream_new(&stream, &s.store, B, each, T), MEGA_OK);
            for (int64_t at = 0; at < T; at += each) {
                int64_t n = at + each < T ? each : T - at;
                int32_t len[B];
                for (int b = 0; b < B; b++)
                    len[b] = (int32_t)(full[b] < at ? 0 : full[b] < at + n ? full[b] - at : n);
                pass(&s, stream, 0, len, NULL, at, n, pieces);
            }
            mega_stream_free(stream);
            assert_near(variants[v].name, all, pieces);
            done(&s);
        }
}

static void packed_documents_equal_documents_alone(void **state)
{
    (void)state;
    static const int64_t starts[] = { 0, 4, 5, T };
    static float packed[N], alone[N];
    int32_t doc[B * T];
    for (int i = 0; i < B * T; i++) doc[i] = i % T < 4 ? 0 : i % T < 5 ? 4 : 5;
    for (int v = 0; v < VARIANT_COUNT; v++)
        for (int causal = 0; causal < 2; causal++) {
            struct setup s;
            struct mega_attention_options o = plain();
            variants[v].set(&o);
            o.causal = causal;
            if (!causal && mega_attention_check(&o)) continue;
            open(&s, &o);
            pass(&s, NULL, 0, NULL, doc, 0, T, packed);
            for (int d = 0; d < 3; d++)
                pass(&s, NULL, 0, NULL, NULL, starts[d], starts[d + 1] - starts[d], alone);
            assert_near(variants[v].name, packed, alone);
            done(&s);
        }
}

static void training_finds_gradients_for_every_parameter(void **state)
{
    (void)state;
    for (int v = 0; v < VARIANT_COUNT; v++) {
        struct setup s;
        struct mega_attention_options o = plain();
        variants[v].set(&o);
        open(&s, &o);
        mega_run_begin(
            s.run, &(struct mega_run_args){ .mode = MEGA_RUN_TRAIN | MEGA_RUN_GRAD });
        struct mega_rows rows = { .B = B, .T = T };
        struct mega_attention_args a = { .bias = mega_position_bias_run(s.run, &s.bias, T) };
        if (o.prepare.value_residual) a.first = piece(&s, s.first, o.kv_heads * o.values, 0, T);
        mega_tensor *out = mega_attention_run_with(
            s.run, &s.attention, piece(&s, s.x, D, 0, T), mega_run_rows(s.run, &rows), &a);
        mega_run_seed(s.run, out, 1);
        mega_run_backward(s.run);
        if (mega_run_end(s.run)) fail_msg("%s: %s", variants[v].name, mega_message());
        for (struct mega_param *p = s.store.first; p; p = p->next) {
            double sum = 0;
            for (int64_t i = 0; i < p->count; i++)
                sum += fabs((double)((float *)p->gradient.data)[i]);
            /* a bias of all keys moves no softmax; hard weights have none */
            bool idle = !strcmp(p->name, "k.bias") || !strcmp(p->name, "dpb.2.bias");
            if (!(sum > 0) && !idle) fail_msg("%s: %s got nothing", variants[v].name, p->name);
            assert_true(isfinite(sum));
        }
        done(&s);
    }
}

/* ---- in closed form ---- */

/* a layer with `set`, in which `change` sets parameters, gives what the baseline gives */
static void equals_baseline(const char *name, void (*set)(struct mega_attention_options *o),
    void (*change)(struct setup *s), double factor)
{
    static float base[N], now[N];
    struct mega_attention_options o = plain();
    struct setup s, t;
    set(&o);
    open(&t, &o);
    struct mega_attention_options unchanged = plain();
    unchanged.kv_heads = o.kv_heads;
    open(&s, &unchanged);
    /* the projections alike, as far as both have them */
    for (struct mega_param *p = s.store.first; p; p = p->next) {
        struct mega_param *other = mega_store_find(&t.store, p->name);
        if (other)
            memcpy(other->value.data, p->value.data,
                sizeof(float) * (size_t)(p->count < other->count ? p->count : other->count));
    }
    change(&t);
    whole(&s, base);
    memcpy(t.x, s.x, sizeof t.x);
    whole(&t, now);
    for (int i = 0; i < N; i++) base[i] *= (float)factor;
    assert_near(name, base, now);
    done(&s);
    done(&t);
}

static void fill_identity(struct setup *s, const char *name)
{
    float *at = parameter(s, name);
    for (int i = 0; i < 16; i++) at[i] = i % 5 == 0;
}

static void identities(struct setup *s)
{
    fill_identity(s, "talk_pre");
    fill_identity(s, "talk_post");
}

static void deep_sink(struct setup *s)
{
    fill(s, "sink", -1e4f);
}

static void ones(struct setup *s)
{
    fill(s, "head_scale", 1);
}

static void open_gates(struct setup *s)
{
    fill(s, "gate.weight", 0);
    fill(s, "gate.bias", 40);
    fill(s, "head_gate.weight", 0);
    fill(s, "head_gate.bias", 40);
}

static void own_values(struct setup *s)
{
    fill(s, "vmix.weight", 0);
    fill(s, "vmix.bias", 40);
}

/* the rows of the gate, and their biases */
static void half_gate(struct setup *s)
{
    float *w = parameter(s, "o.weight"), *b = parameter(s, "o.bias");
    for (int i = D * 20; i < 2 * D * 20; i++) w[i] = 0;
    for (int i = D; i < 2 * D; i++) b[i] = 0;
}

static void nothing_forgotten(struct setup *s)
{
    fill(s, "forget.weight", 0);
    fill(s, "forget.bias", 50);
}

static void no_cope(struct setup *s)
{
    fill(s, "cope", 0);
}

static void no_bank(struct setup *s)
{
    fill(s, "rel_bank", 0);
}

static void constant_table(struct setup *s)
{
    fill(s, "rel_bias.weight", 2);
}

static void no_last_layer(struct setup *s)
{
    fill(s, "dpb.2.weight", 0);
    fill(s, "dpb.2.bias", 0);
}

static void unchanged(struct setup *s)
{
    (void)s;
}

static void set_wide_clamp(struct mega_attention_options *o)
{
    o->score.clamp = 1e5;
}

static void set_topk_of_all(struct mega_attention_options *o)
{
    o->score.fn = MEGA_ATTENTION_TOPK;
    o->score.top = T;
}

static void set_wide_window(struct mega_attention_options *o)
{
    o->score.past = T;
}

static void set_strips(struct mega_attention_options *o)
{
    o->score.exec = MEGA_ATTENTION_STRIP;
}

static void neutral_parameters_give_the_baseline(void **state)
{
    (void)state;
    equals_baseline("talking heads", set_talking, identities, 1);
    equals_baseline("sink", set_sink, deep_sink, 1);
    equals_baseline("head scale", set_head_scale, ones, 1);
    equals_baseline("gates", set_gates, open_gates, 1);
    equals_baseline("value residual", set_values_mixed, own_values, 1);
    equals_baseline("attention on attention", set_on_attention, half_gate, 0.5);
    equals_baseline("forget", set_forgets, nothing_forgotten, 1);
    equals_baseline("cope", set_cope, no_cope, 1);
    equals_baseline("rel_proj", set_rel_proj, no_bank, 1);
    equals_baseline("t5", set_t5, constant_table, 1);
    equals_baseline("dynamic", set_dynamic, no_last_layer, 1);
    equals_baseline("clamp", set_wide_clamp, unchanged, 1);
    equals_baseline("topk", set_topk_of_all, unchanged, 1);
    equals_baseline("window", set_wide_window, unchanged, 1);
    equals_baseline("strips", set_strips, unchanged, 1);
}

static void empty_memories_are_zero_slots(void **state)
{
    (void)state;
    static float a[N], b[N];
    struct mega_attention_options o = plain(), p = plain();
    struct setup s, t;
    o.prepare.memories = p.score.zeros = 3;
    open(&s, &o);
    open(&t, &p);
    for (struct mega_param *x = t.store.first; x; x = x->next)
        memcpy(x->value.data, parameter(&s, x->name), sizeof(float) * (size_t)x->count);
    fill(&s, "mem_k", 0);
    fill(&s, "mem_v", 0);
    memcpy(t.x, s.x, sizeof t.x);
    whole(&s, a);
    whole(&t, b);
    assert_near("memories", a, b);
    done(&s);
    done(&t);
}

static void normalised_queries_forget_their_size(void **state)
{
    (void)state;
    static float before[N], after[N];
    for (int norm = MEGA_QK_NORM_L2; norm <= MEGA_QK_NORM_RMS; norm++) {
        struct mega_attention_options o = plain();
        struct setup s;
        o.prepare.qk_norm = norm;
        o.norm_eps = 1e-12;
        open(&s, &o);
        whole(&s, before);
        for (int i = 0; i < 24 * D; i++) parameter(&s, "q.weight")[i] *= 3;
        for (int i = 0; i < 24; i++) parameter(&s, "q.bias")[i] *= 3;
        whole(&s, after);
        assert_near("qk_norm", before, after);
        done(&s);
    }
}

/* v is the same number everywhere: so is what laser brings */
static void laser_passes_a_constant(void **state)
{
    (void)state;
    static float y[N];
    struct mega_attention_options o = plain();
    struct setup s;
    o.prepare.laser = true;
    open(&s, &o);
    fill(&s, "v.weight", 0);
    fill(&s, "v.bias", 2);
    fill(&s, "o.weight", 1);
    fill(&s, "o.bias", 0);
    whole(&s, y);
    for (int i = 0; i < N; i++)
        assert_true(fabs((double)y[i] - 20 * 15 * tanh(2.0 / 15)) < 1e-3);
    done(&s);
}

static void a_lent_gate_removes_a_head(void **state)
{
    (void)state;
    static float all[N], less[N];
    struct mega_attention_options o = plain();
    struct setup s;
    open(&s, &o);
    mega_run_begin(s.run, &(struct mega_run_args){ 0 });
    struct mega_rows rows = { .B = B, .T = T };
    mega_tensor *gate = mega_run_tensor(s.run, MEGA_F32, 1, (int64_t[]){ 4 });
    for (int h = 0; h < 4; h++) mega_put(gate, 0, h, h != 2);
    struct mega_attention_args a = { .gate = gate };
    mega_tensor *out = mega_attention_run_with(
        s.run, &s.attention, piece(&s, s.x, D, 0, T), mega_run_rows(s.run, &rows), &a);
    for (int i = 0; i < N; i++) less[i] = (float)mega_get(out, i / D, i % D);
    assert_int_equal(mega_run_end(s.run), MEGA_OK);
    /* the same with the head's columns of the projection gone */
    for (int i = 0; i < D * 20; i++)
        if (i % 20 / 5 == 2) parameter(&s, "o.weight")[i] = 0;
    whole(&s, all);
    assert_near("gate", all, less);
    done(&s);
}

/* ---- hidden keys ---- */

static void keys_are_hidden_in_training_alone(void **state)
{
    (void)state;
    static float base[N], train[N], eval[N];
    struct mega_attention_options o = plain();
    struct setup s;
    o.score.hide = 0.5;
    o.score.hide_fixed = true;
    open(&s, &o);
    pass(&s, NULL, 0, NULL, NULL, 0, T, eval);
    pass(&s, NULL, MEGA_RUN_TRAIN, NULL, NULL, 0, T, train);
    s.attention.options.score.hide = 0;
    pass(&s, NULL, MEGA_RUN_TRAIN, NULL, NULL, 0, T, base);
    assert_near("evaluation", base, eval);
    assert_true(worst(base, train) > 1e-3);
    for (int b = 0; b < B; b++) /* the first place sees itself, always */
        assert_memory_equal(base + b * T * D, train + b * T * D, D * sizeof(float));
    done(&s);
}

static void so_many_keys_are_hidden_and_never_the_first(void **state)
{
    (void)state;
    struct mega_attention_options o = plain();
    struct setup s;
    int32_t doc[B * T];
    open(&s, &o);
    for (int i = 0; i < B * T; i++) doc[i] = i % T < 4 ? 0 : 4;
    for (int step = 0; step < 50; step++) {
        mega_run_begin(
            s.run, &(struct mega_run_args){ .mode = MEGA_RUN_TRAIN, .now = { 1, step } });
        struct mega_rows rows = { .B = B, .T = T, .doc = doc };
        const struct mega_rows *keys = mega_hidden_keys(s.run, &rows, 0.4, true);
        for (int b = 0; b < B; b++) {
            int hidden = 0;
            for (int t = 0; t < T; t++) hidden += !keys->real[b * T + t];
            assert_int_equal(hidden, 4); /* of 11, 0.4 */
            assert_true(keys->real[b * T] && keys->real[b * T + 4]);
        }
        assert_int_equal(mega_run_end(s.run), MEGA_OK);
    }
    done(&s);
}

/* ---- segments ---- */

/* with a memory that holds all that came before, segments equal one long pass */
static void segments_with_memory_equal_the_whole(void **state)
{
    (void)state;
    static float all[N], segments[N];
    static const int kinds[] = { MEGA_REL_POS_NONE, MEGA_REL_POS_T5, MEGA_REL_POS_ALIBI,
        MEGA_REL_POS_COPE };
    for (int k = 0; k < 4; k++)
        for (int rotary = MEGA_ROTARY_NONE; rotary <= MEGA_ROTARY_POPE; rotary++) {
            struct mega_attention_options o = plain();
            struct setup s;
            mega_stream *stream;
            o.memory = T;
            o.position.kind = kinds[k];
            o.rotary.kind = rotary;
            if (rotary != MEGA_ROTARY_POPE) o.prepare.memories = 2;
            o.prepare.value_norm = 1;
            open(&s, &o);
            whole(&s, all);
            assert_int_equal(mega_stream_new(&stream, &s.store, B, 4, T), MEGA_OK);
            for (int64_t at = 0; at < T; at += 4)
                pass(&s, stream, 0, NULL, NULL, at, T - at < 4 ? T - at : 4, segments);
            mega_stream_free(stream);
            assert_near("memory", all, segments);
            done(&s);
        }
}

/* the last M rows, the latest last, and nobody sees what is not filled yet */
static void a_memory_keeps_the_last_rows(void **state)
{
    (void)state;
    static float y[N];
    struct mega_attention_options o = plain();
    struct setup s;
    mega_stream *stream;
    o.memory = 6;
    open(&s, &o);
    assert_int_equal(mega_stream_new(&stream, &s.store, B, 4, T), MEGA_OK);
    for (int64_t at = 0; at < 8; at += 4) pass(&s, stream, 0, NULL, NULL, at, 4, y);
    const mega_tensor *kept = mega_stream_value(stream, s.attention.memory);
    for (int b = 0; b < B; b++)
        for (int t = 0; t < 6; t++)
            for (int j = 0; j < D; j++)
                assert_true(
                    (float)mega_get(kept, b * 6 + t, j) == s.x[(b * T + t + 2) * D + j]);
    mega_stream_free(stream);
    done(&s);
}

/* ---- contexts ---- */

static void a_context_is_read_by_its_own_rows(void **state)
{
    (void)state;
    enum { S = 5 };
    struct mega_attention_options o = plain();
    struct setup s;
    float y[2][N];
    o.cross = true;
    o.causal = false;
    o.prepare.memories = 2;
    open(&s, &o);
    /* what lies beyond a row's length changes nothing */
    for (int change = 0; change < 2; change++) {
        int32_t len[B] = { S, 3 };
        struct mega_rows rows = { .B = B, .T = T }, there = { .B = B, .T = S, .len = len };
        mega_run_begin(s.run, &(struct mega_run_args){ 0 });
        mega_tensor *context = mega_run_tensor(s.run, MEGA_F32, 3, (int64_t[]){ B, S, D });
        for (int i = 0; i < B * S * D; i++) mega_put(context, i / D, i % D, sin(i));
        if (change) mega_put(context, S + 4, 1, 7);
        struct mega_attention_args a = { .context = context, .context_rows = &there };
        mega_tensor *out = mega_attention_run_with(
            s.run, &s.attention, piece(&s, s.x, D, 0, T), mega_run_rows(s.run, &rows), &a);
        assert_non_null(out);
        for (int i = 0; i < N; i++) y[change][i] = (float)mega_get(out, i / D, i % D);
        assert_int_equal(mega_run_end(s.run), MEGA_OK);
    }
    assert_memory_equal(y[0], y[1], sizeof y[0]);
    mega_run_begin(s.run, &(struct mega_run_args){ 0 });
    struct mega_rows rows = { .B = B, .T = T };
    mega_attention_run(s.run, &s.attention, piece(&s, s.x, D, 0, T), &rows);
    assert_int_equal(mega_run_end(s.run), MEGA_BAD_ARGUMENT);
    assert_non_null(strstr(mega_message(), "without a context"));
    done(&s);
}

/* what a stream keeps of a context serves all that follows */
static void a_stream_keeps_its_context(void **state)
{
    (void)state;
    enum { S = 5 };
    struct mega_attention_options o = plain();
    struct setup s;
    float y[2][B * D];
    mega_stream *stream;
    o.cross = true;
    o.context_places = S;
    o.prepare.qk_norm = MEGA_QK_NORM_RMS;
    open(&s, &o);
    assert_int_equal(mega_stream_new(&stream, &s.store, B, 1, T), MEGA_OK);
    for (int at = 0; at < 2; at++) {
        int32_t len[B] = { S, 3 };
        struct mega_rows rows = { .B = B, .T = 1 }, there = { .B = B, .T = S, .len = len };
        mega_run_begin(s.run, &(struct mega_run_args){ .stream = stream });
        mega_tensor *context = mega_run_tensor(s.run, MEGA_F32, 3, (int64_t[]){ B, S, D });
        for (int i = 0; i < B * S * D; i++) mega_put(context, i / D, i % D, sin(i));
        struct mega_attention_args a = { .context = at ? NULL : context,
            .context_rows = &there };
        mega_tensor *out = mega_attention_run_with(
            s.run, &s.attention, piece(&s, s.x, D, 0, 1), mega_run_rows(s.run, &rows), &a);
        if (!out) fail_msg("%s", mega_run_end(s.run) ? mega_message() : "nothing came");
        for (int i = 0; i < B * D; i++) y[at][i] = (float)mega_get(out, i / D, i % D);
        assert_int_equal(mega_run_end(s.run), MEGA_OK);
    }
    assert_memory_equal(y[0], y[1], sizeof y[0]);
    mega_stream_free(stream);
    done(&s);
}

/* of a token: a latent and the shared rotary key */
static void a_stream_keeps_latents_alone(void **state)
{
    (void)state;
    struct mega_attention_options o = plain();
    struct setup s;
    set_latent_sizes(&o);
    open(&s, &o);
    int64_t numbers = 0;
    for (const struct mega_cell *c = s.store.first_cell; c; c = c->next) numbers += c->dim[0];
    assert_int_equal(numbers, 7 + 4);
    done(&s);
}

/* ---- refusals ---- */

#define REFUSED(X)                                                                             \
    X("qk_norm_groups", o->prepare.groups = 2)                                                 \
    X("qk_norm_groups", o->prepare.qk_norm = MEGA_QK_NORM_L2; o->prepare.groups = 3)           \
    X("qk_norm_dim_scale", o->prepare.dim_scale = true)                                        \
    X("rotary_dims", o->rotary.dims = 3)                                                       \
    X("rotary_heads with kv_heads", o->rotary.kind = MEGA_ROTARY_ROPE; o->rotary.heads = 2)    \
    X("rotary: xpos", o->rotary.kind = MEGA_ROTARY_XPOS; o->causal = false)                    \
    X("rotary: pope with attn_num_mem_kv", o->rotary.kind = MEGA_ROTARY_POPE;                  \
        o->prepare.memories = 1)                                                               \
    X("rel_pos: cope", o->position.kind = MEGA_REL_POS_COPE; o->causal = false)                \
    X("attn_selective", o->score.selective = true; o->causal = false)                          \
    X("causal_key_mask_prob", o->score.hide = 0.1; o->causal = false)                          \
    X("attn_belief", o->output.belief = MEGA_BELIEF_WHOLE; o->cross = true)                    \
    X("attn_fn: inverted", o->score.fn = MEGA_ATTENTION_INVERTED)                              \
    X("attn_score: l2 with attn_fn", o->score.l2 = 1; o->score.fn = MEGA_ATTENTION_TOPK)       \
    X("attn_score: l2 with qk_norm", o->score.l2 = 1; o->prepare.qk_norm = MEGA_QK_NORM_L2)    \
    X("attn_fn: sigmoid with attn_sink", o->score.fn = MEGA_ATTENTION_SIGMOID;                 \
        o->score.sink = true)                                                                  \
    X("attn_fn: sigmoid with attn_zero_kv", o->score.fn = MEGA_ATTENTION_SIGMOID;              \
        o->score.zeros = 1)                                                                    \
    X("attn_topk_straight_through", o->score.through = true)                                   \
    X("attn_exec: fused with attn_talking_heads", o->score.exec = MEGA_ATTENTION_FUSED;        \
        o->score.talking = MEGA_TALKING_PRE)                                                   \
    X("attn_exec: fused with rel_pos: cope", o->score.exec = MEGA_ATTENTION_FUSED;             \
        o->position.kind = MEGA_REL_POS_COPE)                                                  \
    X("attn_exec: fused with attn_selective", o->score.exec = MEGA_ATTENTION_FUSED;            \
        o->score.selective = true)                                                             \
    X("attn_exec: fused with residual_attn", o->score.exec = MEGA_ATTENTION_FUSED;             \
        o->score.residual = true)                                                              \
    X("attn_kv_latent does not go with kv_heads", o->prepare.kv_latent = 4)                    \
    X("attn_kv_latent does not go with qk_norm", set_latent_sizes(o);                          \
        o->prepare.qk_norm = MEGA_QK_NORM_RMS)                                                 \
    X("attn_kv_latent does not go with attn_q_latent", o->prepare.q_latent = 4)                \
    X("attn_kv_latent does not go with max_mem_len", set_latent_sizes(o); o->memory = 4)       \
    X("max_mem_len with chunk", o->memory = 3; o->chunk = 4)

static void combinations_that_cannot_be_are_refused_by_name(void **state)
{
    (void)state;
#define REFUSE(text, ...)                                                                      \
    {                                                                                          \
        struct mega_attention_options options = plain(), *o = &options;                        \
        __VA_ARGS__;                                                                           \
        assert_int_equal(mega_attention_check(o), MEGA_BAD_ARGUMENT);                          \
        if (!strstr(mega_message(), text))                                                     \
            fail_msg("expected \"%s\" in: %s", text, mega_message());                          \
    }
    REFUSED(REFUSE)
#undef REFUSE
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_equals_the_whole),
        cmocka_unit_test(packed_documents_equal_documents_alone),
        cmocka_unit_test(training_finds_gradients_for_every_parameter),
        cmocka_unit_test(neutral_parameters_give_the_baseline),
        cmocka_unit_test(empty_memories_are_zero_slots),
        cmocka_unit_test(normalised_queries_forget_their_size),
        cmocka_unit_test(laser_passes_a_constant),
        cmocka_unit_test(a_lent_gate_removes_a_head),
        cmocka_unit_test(keys_are_hidden_in_training_alone),
        cmocka_unit_test(so_many_keys_are_hidden_and_never_the_first),
        cmocka_unit_test(segments_with_memory_equal_the_whole),
        cmocka_unit_test(a_memory_keeps_the_last_rows),
        cmocka_unit_test(a_context_is_read_by_its_own_rows),
        cmocka_unit_test(a_stream_keeps_its_context),
        cmocka_unit_test(a_stream_keeps_latents_alone),
        cmocka_unit_test(combinations_that_cannot_be_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
