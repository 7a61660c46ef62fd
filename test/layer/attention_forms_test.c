/* Attention's variants in closed form: what they give where it is known. */
#include "layer/attention_setup.h"

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

static void a_closed_gate_removes_a_head(void **state)
{
    (void)state;
    static float all[N], less[N];
    struct mega_attention_options o = plain();
    struct setup s;
    o.gates.kind = MEGA_GATES_FIXED;
    open(&s, &o);
    fill(&s, "gate.open", 1);
    parameter(&s, "gate.open")[2] = 0;
    whole(&s, less);
    /* the same with the head's columns of the projection gone */
    fill(&s, "gate.open", 1);
    for (int i = 0; i < D * 20; i++)
        if (i % 20 / 5 == 2) parameter(&s, "o.weight")[i] = 0;
    whole(&s, all);
    assert_near("gate", all, less);
    done(&s);
}

/* a second layer without queries has the scores of the first, and so its weights */
static void scores_pass_to_the_next_layer(void **state)
{
    (void)state;
    static float first[N], second[N];
    struct mega_attention_options o = plain();
    struct setup s;
    o.score.residual = true;
    open(&s, &o);
    mega_run_begin(s.run, &(struct mega_run_args){ 0 });
    struct mega_rows held = { .B = B, .T = T };
    const struct mega_rows *rows = mega_run_rows(s.run, &held);
    mega_tensor *x = piece(&s, s.x, D, 0, T);
    struct mega_attention other = s.attention;
    other.q = mega_run_tensor(s.run, MEGA_F32, 2, (int64_t[]){ 24, D });
    mega_tensor_zero(other.q);
    other.q_bias = NULL;
    struct mega_attention_args a = { 0 }, b = { 0 };
    mega_tensor *y = mega_attention_run_with(s.run, &s.attention, x, rows, &a);
    b.before = a.scores;
    mega_tensor *z = mega_attention_run_with(s.run, &other, x, rows, &b);
    if (!y || !z) fail_msg("%s", mega_run_end(s.run) ? mega_message() : "nothing came");
    for (int i = 0; i < N; i++) {
        first[i] = (float)mega_get(y, i / D, i % D);
        second[i] = (float)mega_get(z, i / D, i % D);
    }
    assert_int_equal(mega_run_end(s.run), MEGA_OK);
    assert_near("residual", first, second);
    done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neutral_parameters_give_the_baseline),
        cmocka_unit_test(empty_memories_are_zero_slots),
        cmocka_unit_test(normalised_queries_forget_their_size),
        cmocka_unit_test(laser_passes_a_constant),
        cmocka_unit_test(a_closed_gate_removes_a_head),
        cmocka_unit_test(scores_pass_to_the_next_layer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
