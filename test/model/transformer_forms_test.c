/* What each variant of the Transformer's stack comes to in a case that is known without it: the
 * tests that the papers' equations suggest. */
#include <stdlib.h>

#include "model/small_transformer.h"

enum { N = B * T * V };

/* all numbers of a parameter */
static void set(struct small *s, const char *name, float value)
{
    struct mega_param *p = mega_store_find(&s->store, name);
    if (!p) fail_msg("there is no parameter %s", name);
    for (int64_t i = 0; i < p->count; i++) ((float *)p->value.data)[i] = value;
}

/* of every parameter that ends so */
static void set_all(struct small *s, const char *end, float value)
{
    int n = 0;
    for (struct mega_param *p = s->store.first; p; p = p->next) {
        size_t all = strlen(p->name), tail = strlen(end);
        if (all < tail || strcmp(p->name + all - tail, end) != 0) continue;
        set(s, p->name, value);
        n++;
    }
    if (!n) fail_msg("no parameter ends with %s", end);
}

/* the same numbers for parameters of the same names; others stay */
static void copy(struct small *to, const struct small *from)
{
    for (struct mega_param *p = to->store.first; p; p = p->next) {
        const struct mega_param *f = mega_store_find(&from->store, p->name);
        if (f && f->count == p->count)
            memcpy(p->value.data, f->value.data, (size_t)p->count * sizeof(float));
    }
}

static void logits(struct small *s, float *y)
{
    small_pass(s, NULL, NULL, 0, T, y);
}

/* two descriptions come to the same, once the second has the first one's numbers and `change`
 */
static void same(bool causal, const char *one, const char *other,
    void (*change)(struct small *one, struct small *other))
{
    static float a[N], b[N];
    struct small s, t;
    small_open(&s, causal, one);
    small_open(&t, causal, other);
    copy(&t, &s);
    if (change) change(&s, &t);
    memcpy(t.ids, s.ids, sizeof s.ids);
    logits(&s, a);
    logits(&t, b);
    small_assert_near(other, a, b);
    small_close(&s);
    small_close(&t);
}

static void close_gates(struct small *one, struct small *other)
{
    (void)one;
    set_all(other, ".gate.bg", 60);
}

static void no_branches(struct small *one, struct small *other)
{
    set_all(one, ".attn.o.weight", 0);
    set_all(one, ".ff.down.weight", 0);
    set_all(one, ".ff.down.bias", 0);
    (void)other;
}

static void nothing_through_closed_gates(struct small *one, struct small *other)
{
    no_branches(one, other);
    close_gates(one, other);
}

static void no_scales(struct small *one, struct small *other)
{
    no_branches(one, other);
    set_all(other, ".layer_scale", 0);
}

static void no_branch_norms(struct small *one, struct small *other)
{
    no_branches(one, other);
    set_all(other, ".norm_branch.weight", 0);
    set_all(other, ".norm_branch.bias", 0);
}

static void latest_state(struct small *one, struct small *other)
{
    (void)one;
    set_all(other, ".lime.weight", 0);
    for (int k = 0; k < 4; k++) {
        char name[64];
        snprintf(name, sizeof name, "sub.%d.lime.bias", k);
        set(other, name, -60);
        ((float *)mega_store_find(&other->store, name)->value.data)[k] = 60;
    }
}

static void no_skips(struct small *one, struct small *other)
{
    (void)one;
    struct mega_tensor *w = &mega_store_find(&other->store, "sub.2.skip.weight")->value;
    for (int64_t i = 0; i < 8; i++)
        for (int64_t j = 0; j < 16; j++) mega_put(w, i, j, j == i + 8);
}

static void no_reinjection(struct small *one, struct small *other)
{
    (void)one;
    set(other, "reinject.weight", 0);
}

static void streams_at_first(struct small *one, struct small *other)
{
    (void)one;
    set(other, "stream_emb", 0);
    for (int k = 0; k < 4; k++) {
        static const char *const zero[] = { "wa", "wb" };
        bool views = other->options.residual.views > 1 && k % 2 == 0; /* attentions */
        char name[64];
        for (int i = 0; i < 2; i++) {
            snprintf(name, sizeof name, "sub.%d.hc.%s", k, zero[i]);
            set(other, name, 0);
        }
        snprintf(name, sizeof name, "sub.%d.hc.beta", k);
        set(other, name, 1);
        snprintf(name, sizeof name, "sub.%d.hc.alpha", k);
        mega_tensor *alpha = &mega_store_find(&other->store, name)->value;
        int64_t inputs = views ? 3 : 1;
        assert_int_equal(mega_width(alpha), inputs + 3);
        for (int64_t s = 0; s < 3; s++)
            for (int64_t j = 0; j < inputs + 3; j++)
                mega_put(alpha, s, j, j < inputs ? s == k % 3 : j - inputs == s);
    }
}

static void no_factors(struct small *one, struct small *other)
{
    (void)one;
    set(other, "deep_emb", 1);
}

static void latest_state_in_all_views(struct small *one, struct small *other)
{
    latest_state(one, other);
    for (int k = 0; k < 4; k += 2) {
        char name[64];
        snprintf(name, sizeof name, "sub.%d.lime.bias", k);
        float *bias = mega_store_find(&other->store, name)->value.data;
        for (int v = 0; v < 3; v++) bias[v * (k + 1) + k] = 60;
    }
}

static void plain_scales(struct small *one, struct small *other)
{
    (void)one;
    set_all(other, ".res_scale", 1);
}

static void as_it_starts(struct small *one, struct small *other)
{
    (void)one;
    set_all(other, ".ff.mult", 1);
}

static void variants_that_do_nothing_are_the_plain_model(void **state)
{
    (void)state;
    same(true, "residual=add", "residual=gru", nothing_through_closed_gates);
    same(true, "placement=pre", "branch_scale=layerscale", no_scales);
    same(true, "placement=pre", "placement=sandwich", no_branch_norms);
    same(true, "residual=add", "residual=lime", latest_state);
    same(true, "residual=add", "residual=lime residual_views=3", latest_state_in_all_views);
    same(true, "residual=add", "unet_skips=true", no_skips);
    same(true, "up_bias=true", "ff_deep_embed=true", no_factors);
    same(true, "residual=add", "reinject_input=true", no_reinjection);
    same(true, "residual=add", "scale_residual=all", plain_scales);
    same(true, "gated=true", "gated=true ff_glu_mult_bias=true", as_it_starts);
    same(true, "placement=post", "placement=deepnorm residual_alpha=1", NULL);
    same(true, "shift_tokens=0", "shift_tokens=0,0,0,0", NULL);
    same(true, "heads=2", "heads=2,2 kv_heads=2,2 ffn=12,12 chunk=-1,-1", NULL);
    same(true, "macaron=false", "layer_types=afaf", NULL);
    same(true, "macaron=false", "layer_order=0,1,2,3", NULL);
}

/* all streams stay as the one stream is; their sum is three times it, which the norm undoes */
static void hyper_connections_begin_as_the_plain_residual(void **state)
{
    (void)state;
    same(true, "norm=rmsnorm rms_guard=max norm_eps=1e-12",
        "norm=rmsnorm rms_guard=max norm_eps=1e-12 residual_streams=3", streams_at_first);
    same(true, "norm=rmsnorm rms_guard=max norm_eps=1e-12",
        "norm=rmsnorm rms_guard=max norm_eps=1e-12 residual_streams=3 residual_views=3",
        streams_at_first);
}

static void residual_scale_changes_nothing(void **state)
{
    (void)state;
    same(true, "placement=residual norm_eps=1e-12",
        "placement=residual norm_eps=1e-12 "
        "residual_scale=0.25",
        NULL);
}

static void tied_layers_are_layers_with_the_same_weights(void **state)
{
    (void)state;
    static float a[N], b[N];
    struct small tied, apart;
    small_open(&tied, true, "layers=3 weight_tie_layers=true");
    small_open(&apart, true, "layers=3");
    for (struct mega_param *p = apart.store.first; p; p = p->next) {
        char name[128];
        int k, skip = 0;
        snprintf(name, sizeof name, "%s", p->name);
        if (sscanf(p->name, "sub.%d%n", &k, &skip) == 1)
            snprintf(name, sizeof name, "sub.%d%s", k % 2, p->name + skip);
        const struct mega_param *from = mega_store_find(&tied.store, name);
        assert_non_null(from);
        memcpy(p->value.data, from->value.data, (size_t)p->count * sizeof(float));
    }
    memcpy(apart.ids, tied.ids, sizeof tied.ids);
    logits(&tied, a);
    logits(&apart, b);
    small_assert_near("weight_tie_layers", a, b);
    small_close(&tied);
    small_close(&apart);
}

static void the_length_of_a_table_row_does_not_count(void **state)
{
    (void)state;
    static float a[N], b[N];
    struct small s;
    small_open(&s, true, "l2norm_embed=true tied=true fixnorm_output=true");
    logits(&s, a);
    for (int v = 0; v < V; v++)
        for (int j = 0; j < 8; j++) {
            float *w = s.model.embedding.table->data;
            w[v * 8 + j] *= (float)(v + 1);
        }
    logits(&s, b);
    small_assert_near("l2norm_embed", a, b);
    small_close(&s);
}

static void memory_tokens_have_no_order_in_an_encoder_without_positions(void **state)
{
    (void)state;
    static float a[N], b[N];
    struct small s;
    small_open(&s, false, "positions=none num_memory_tokens=3");
    logits(&s, a);
    float *m = s.model.embedding.memory->data, row[8];
    memcpy(row, m, sizeof row);
    memcpy(m, m + 16, sizeof row);
    memcpy(m + 16, row, sizeof row);
    logits(&s, b);
    small_assert_near("num_memory_tokens", a, b);
    small_close(&s);
}

static void sizes_are_those_of_the_papers(void **state)
{
    (void)state;
    static const struct {
        const char *plain, *variant;
        int64_t more;
    } known[] = { { "ffn=12", "ff_bias=false", -2 * (12 + 8) },
        { "gated=true", "gated=true ff_bias=false", -2 * (2 * 12 + 8) },
        { "norm=layernorm", "norm_bias=false", -5 * 8 }, { "norm=layernorm", "norm=dyt", 5 },
        { "placement=pre", "placement=sandwich", 4 * 16 },
        { "residual=add", "residual=gru", 4 * (6 * 64 + 8) },
        { "residual=add", "residual=gru residual_gate=gru_cell", 4 * (6 * 64 + 6 * 8) },
        { "positions=none", "positions=none num_memory_tokens=3", 24 },
        { "macaron=false", "macaron=true", 2 * (16 + 2 * 96 + 20) },
        { "output_mos=0", "output_mos=3", 3 * 64 + 24 },
        { "residual_streams=1", "residual_streams=4",
            4 * 8 + 4 * (8 * (4 + 3) + 4 * (4 + 2) + 2) } };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct small a, b;
        small_open(&a, true, known[i].plain);
        small_open(&b, true, known[i].variant);
        if (b.store.numbers - a.store.numbers != known[i].more)
            fail_msg("%s: %lld numbers more, expected %lld", known[i].variant,
                (long long)(b.store.numbers - a.store.numbers), (long long)known[i].more);
        small_close(&a);
        small_close(&b);
    }
}

/* a prefix of all places is attention both ways */
static void a_prefix_is_seen_by_all(void **state)
{
    (void)state;
    static float causal[N], prefix[N], both[N];
    struct small s, t;
    small_open(&s, true, "prefix_lm=12");
    small_open(&t, false, "prefix_lm=0");
    copy(&t, &s);
    memcpy(t.ids, s.ids, sizeof s.ids);
    logits(&s, prefix);
    logits(&t, both);
    small_assert_near("prefix_lm", both, prefix);
    small_close(&t);
    small_open(&t, true, "prefix_lm=0");
    copy(&t, &s);
    memcpy(t.ids, s.ids, sizeof s.ids);
    logits(&t, causal);
    assert_true(fabsf(causal[0] - prefix[0]) > 1e-6f);
    small_close(&t);
    small_close(&s);
}

/* segments that remember all before them are one text */
static void segments_with_memory_are_one_text(void **state)
{
    (void)state;
    static const char *const kinds[] = {
        "positions=none max_mem_len=12 rel_pos=t5",
        "positions=none max_mem_len=12 rotary=rope placement=post",
        "positions=none max_mem_len=12 shift_mem_down=2",
        "positions=none max_mem_len=12 rel_pos=xl",
        "positions=none max_mem_len=12 residual_streams=3",
        "positions=none max_mem_len=12 shift_mem_down=2 shift_mem_wrap=own",
    };
    for (int k = 0; k < 6; k++) {
        static float whole[N], pieces[N];
        struct small s;
        mega_stream *stream;
        small_open(&s, true, kinds[k]);
        logits(&s, whole);
        assert_int_equal(mega_stream_new(&stream, &s.store, B, 4, 0), MEGA_OK);
        for (int64_t at = 0; at < T; at += 4) small_pass(&s, stream, NULL, at, 4, pieces);
        mega_stream_free(stream);
        small_assert_near(kinds[k], whole, pieces);
        small_close(&s);
    }
}

/* sum of the sizes of a parameter's gradient after a pass whose loss is what is besides */
static double besides(const char *settings)
{
    struct small s;
    double sum = 0;
    small_open(&s, true, settings);
    mega_tensor ids = mega_tensor_over(s.ids, MEGA_I32, 2, (int64_t[]){ B, T });
    struct mega_rows rows = { .B = B, .T = T };
    mega_run_begin(s.run, &(struct mega_run_args){ .mode = MEGA_RUN_TRAIN | MEGA_RUN_GRAD });
    mega_transformer_run(
        s.run, &s.model, mega_run_input(s.run, &ids), mega_run_rows(s.run, &rows));
    mega_run_seed_more(s.run, 1);
    mega_run_backward(s.run);
    assert_int_equal(mega_run_end(s.run), MEGA_OK);
    const struct mega_param *q = mega_store_find(&s.store, "sub.0.attn.q.weight");
    for (int64_t i = 0; i < q->count; i++) sum += fabs((double)((float *)q->gradient.data)[i]);
    small_close(&s);
    return sum;
}

static void the_z_loss_is_a_part_of_what_trains(void **state)
{
    (void)state;
    double once = besides("attn_z_loss=0.1"), twice = besides("attn_z_loss=0.2");
    assert_true(besides("attn_z_loss=0") <= 0);
    assert_true(once > 0 && fabs(twice - 2 * once) < 1e-3 * once);
}

/* layers above which there is none get the lowest memories, or keep their own */
static void memories_move_down(void **state)
{
    (void)state;
    static const int64_t from[2][3] = { { 2, 4, 0 }, { 2, 4, 4 } };
    for (int own = 0; own < 2; own++) {
        struct small s;
        small_open(&s, true,
            own ? "positions=none layers=3 max_mem_len=4 shift_mem_down=1 shift_mem_wrap=own"
                : "positions=none layers=3 max_mem_len=4 shift_mem_down=1");
        for (int l = 0; l < 3; l++)
            assert_int_equal(s.model.step[2 * l].memory_from, from[own][l]);
        small_close(&s);
    }
}

/* a place of an encoder without positions does not know where it stands, at any depth */
static void depth_attention_looks_at_one_place(void **state)
{
    (void)state;
    static float one[N], other[N];
    struct small s;
    small_open(&s, false, "positions=none residual=depth_attn depth_attn_heads=2");
    logits(&s, one);
    for (int b = 0; b < B; b++) {
        int32_t first = s.ids[b * T];
        s.ids[b * T] = s.ids[b * T + 5];
        s.ids[b * T + 5] = first;
    }
    logits(&s, other);
    for (int b = 0; b < B; b++)
        for (int v = 0; v < V; v++) {
            assert_true(fabsf(one[b * T * V + v] - other[(b * T + 5) * V + v]) < 3e-5f);
            assert_true(fabsf(one[(b * T + 1) * V + v] - other[(b * T + 1) * V + v]) < 3e-5f);
        }
    small_close(&s);
}

/* the second of two passes over the stack is one over what the first one left */
static void a_recycled_stack_is_two_in_a_row(void **state)
{
    (void)state;
    enum { W = 8 };
    static float both[B * T * W], second[B * T * W], input[B * T * W];
    struct small s;
    small_open(&s, true, "positions=none recycle_steps=2 heads=2");
    const mega_tensor *w = &mega_store_find(&s.store, "recycle.weight")->value,
                      *table = &mega_store_find(&s.store, "tok_emb.weight")->value;
    struct mega_rows rows = { .B = B, .T = T };
    for (int passes = 0; passes < 3; passes++) {
        struct mega_transformer_inputs in = { 0 };
        s.model.options.recycle = passes ? 1 : 2;
        mega_run_begin(s.run, &(struct mega_run_args){ 0 });
        mega_tensor ids = mega_tensor_over(s.ids, MEGA_I32, 2, (int64_t[]){ B, T }),
                    x = mega_tensor_over(input, MEGA_F32, 3, (int64_t[]){ B, T, W });
        if (passes < 2)
            in.ids = mega_run_input(s.run, &ids);
        else
            in.embedded = mega_run_input(s.run, &x);
        mega_tensor *y = mega_transformer_features_of(
            s.run, &s.model, &in, mega_run_rows(s.run, &rows), NULL);
        if (!y) fail_msg("%s", mega_run_end(s.run) ? mega_message() : "nothing came");
        mega_run_read(s.run, y, passes ? second : both);
        assert_int_equal(mega_run_end(s.run), MEGA_OK);
        for (int i = 0; passes == 1 && i < B * T * W; i++) {
            input[i] = (float)mega_get(table, s.ids[i / W], i % W);
            for (int j = 0; j < W; j++)
                input[i] += second[i / W * W + j] * (float)mega_get(w, i % W, j);
        }
    }
    for (int i = 0; i < B * T * W; i++) assert_true(fabsf(both[i] - second[i]) < 1e-4f);
    small_close(&s);
}

/* what training leaves out is a matter of chance, and of training alone */
static void layers_are_left_out_in_training_alone(void **state)
{
    (void)state;
    same(true, "layer_dropout=0", "layer_dropout=0.5", NULL);
    same(true, "layer_dropout=0", "layer_dropout=0.5 drop_path=true", NULL);
    same(true, "dropout=0", "sublayer_dropout=0.5 emb_dropout=0.5 attention_dropout=0.5", NULL);
}

/* logits with a condition of 3 channels a place */
static void conditioned(struct small *s, float size, float *y)
{
    mega_run_begin(s->run, &(struct mega_run_args){ 0 });
    mega_tensor ids = mega_tensor_over(s->ids, MEGA_I32, 2, (int64_t[]){ B, T });
    mega_tensor *c = mega_run_tensor(s->run, MEGA_F32, 3, (int64_t[]){ B, T, 3 });
    for (int i = 0; i < B * T * 3; i++) mega_put(c, i / 3, i % 3, size * (float)(i % 5 - 2));
    struct mega_rows rows = { .B = B, .T = T };
    struct mega_transformer_inputs in = { .ids = mega_run_input(s->run, &ids), .condition = c };
    mega_tensor *x = mega_transformer_features_of(
        s->run, &s->model, &in, mega_run_rows(s->run, &rows), NULL);
    mega_tensor *out = x ? mega_transformer_head_run(s->run, &s->model.head, x) : NULL;
    for (int i = 0; out && i < N; i++) y[i] = (float)mega_get(out, i / V, i % V);
    if (mega_run_end(s->run)) fail_msg("%s", mega_message());
}

static void adaptive_norms_follow_their_condition(void **state)
{
    (void)state;
    static float plain[N], still[N], moved[N];
    struct small s, t;
    small_open(&s, true, "norm=layernorm norm_affine=false");
    small_open(&t, true, "norm=adaln norm_condition=3");
    copy(&t, &s);
    memcpy(t.ids, s.ids, sizeof s.ids);
    logits(&s, plain);
    conditioned(&t, 1, moved);
    assert_true(fabsf(plain[0] - moved[0]) > 1e-4f);
    conditioned(&t, 0, still);
    small_assert_near("no condition", plain, still);
    set_all(&t, ".cond.weight", 0);
    conditioned(&t, 1, still);
    small_assert_near("norm=adaln", plain, still);
    mega_run_begin(t.run, &(struct mega_run_args){ 0 });
    mega_tensor ids = mega_tensor_over(t.ids, MEGA_I32, 2, (int64_t[]){ B, T });
    struct mega_rows rows = { .B = B, .T = T };
    mega_transformer_run(
        t.run, &t.model, mega_run_input(t.run, &ids), mega_run_rows(t.run, &rows));
    assert_int_equal(mega_run_end(t.run), MEGA_BAD_ARGUMENT);
    assert_non_null(strstr(mega_message(), "there is no condition"));
    small_close(&s);
    small_close(&t);
}

/* a gate of a condition that is closed leaves the stream as it was */
static void adaptive_branches_may_be_closed(void **state)
{
    (void)state;
    static float plain[N], closed[N];
    struct small s, t;
    small_open(&s, true, "placement=pre");
    small_open(&t, true, "branch_scale=adaptive norm_condition=3");
    copy(&t, &s);
    memcpy(t.ids, s.ids, sizeof s.ids);
    no_branches(&s, &t);
    set_all(&t, ".branch_gate.weight", 0);
    set_all(&t, ".branch_gate.bias", -60);
    logits(&s, plain);
    conditioned(&t, 1, closed);
    small_assert_near("branch_scale=adaptive", plain, closed);
    small_close(&s);
    small_close(&t);
}

/* log of mixed probabilities: they sum to one */
static void mixed_softmaxes_are_a_distribution(void **state)
{
    (void)state;
    static float y[N];
    struct small s;
    small_open(&s, true, "output_mos=3");
    logits(&s, y);
    for (int r = 0; r < B * T; r++) {
        double sum = 0;
        for (int v = 0; v < V; v++) sum += exp((double)y[r * V + v]);
        assert_true(fabs(sum - 1) < 1e-5);
    }
    small_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variants_that_do_nothing_are_the_plain_model),
        cmocka_unit_test(hyper_connections_begin_as_the_plain_residual),
        cmocka_unit_test(memories_move_down),
        cmocka_unit_test(the_z_loss_is_a_part_of_what_trains),
        cmocka_unit_test(a_recycled_stack_is_two_in_a_row),
        cmocka_unit_test(depth_attention_looks_at_one_place),
        cmocka_unit_test(residual_scale_changes_nothing),
        cmocka_unit_test(tied_layers_are_layers_with_the_same_weights),
        cmocka_unit_test(the_length_of_a_table_row_does_not_count),
        cmocka_unit_test(memory_tokens_have_no_order_in_an_encoder_without_positions),
        cmocka_unit_test(sizes_are_those_of_the_papers),
        cmocka_unit_test(a_prefix_is_seen_by_all),
        cmocka_unit_test(segments_with_memory_are_one_text),
        cmocka_unit_test(layers_are_left_out_in_training_alone),
        cmocka_unit_test(adaptive_norms_follow_their_condition),
        cmocka_unit_test(adaptive_branches_may_be_closed),
        cmocka_unit_test(mixed_softmaxes_are_a_distribution),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
