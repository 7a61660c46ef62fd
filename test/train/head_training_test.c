/* Training gates: the penalty's gradient by each average, a target's multipliers, freezing, the
 * end of gates. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "model/from_json.h"
#include "op/hard_concrete.h"
#include "train/head_training.h"

#include "cmocka_all.h"

static const char config[] =
    "{ \"megac\": 1, \"architecture\": \"language_model\", \"model\": { \"decoder\": "
    "\"transformer\", \"layers\": 3, \"width\": 8, \"ffn\": 8, \"heads\": 2, \"longest\": 16, "
    "\"head_gates\": \"concrete\" }, \"inputs\": { \"vocabulary\": 11, \"pad\": -1 } }";

static const struct mega_hard_concrete usual = { 0.33, -0.1, 1.1, 1e-6 };

enum { LAYERS = 3, HEADS = 2, ALL = LAYERS * HEADS };

struct setup {
    mega_context *context;
    mega_model *model;
    mega_run *run;
    struct mega_adam adam;
    struct mega_optimizer optimizer;
    struct mega_head_training_options options;
    struct mega_head_training heads;
    struct mega_progress progress;
    struct mega_head_state state;
};

static void open_model(struct setup *s, const char *json)
{
    memset(s, 0, sizeof *s);
    assert_int_equal(mega_context_new(&s->context, NULL), MEGA_OK);
    assert_int_equal(mega_run_new(&s->run, s->context), MEGA_OK);
    s->model = model_from_json(json, true);
    mega_store_fill(&s->model->store, 1);
    mega_option_defaults(mega_adam_options, &s->adam);
    mega_option_defaults(mega_head_training_table, &s->options);
    assert_int_equal(
        mega_optimizer_init(&s->optimizer, &s->context->work, s->model, &s->adam), MEGA_OK);
}

static void open(struct setup *s)
{
    open_model(s, config);
}

static void begin(struct setup *s)
{
    if (mega_head_training_begin(
            &s->heads, &s->options, s->model, &s->optimizer, &s->context->log))
        fail_msg("%s", mega_message());
}

static void done(struct setup *s)
{
    mega_head_training_done(&s->heads);
    mega_optimizer_done(&s->optimizer);
    mega_model_free(s->model);
    mega_run_free(s->run);
    mega_context_free(s->context);
}

static mega_tensor *log_a(const struct setup *s, int64_t i)
{
    return s->heads.heads.layer[i / HEADS].attention->gates.log_a;
}

static double value(const struct setup *s, int64_t i)
{
    return mega_get(log_a(s, i), i % HEADS, 0);
}

static double gradient(const struct setup *s, int64_t i)
{
    return mega_get(&log_a(s, i)->param->gradient, i % HEADS, 0);
}

static void penalise(struct setup *s)
{
    memset(s->model->store.gradient, 0, (size_t)s->model->store.count * sizeof(float));
    if (mega_head_training_penalise(&s->heads, s->run, &s->progress, &s->state))
        fail_msg("%s", mega_message());
}

static void averages_differ_by_a_number(void **state)
{
    (void)state;
    static const double divisor[] = { ALL, LAYERS, 1 };
    for (int average = 0; average < 3; average++) {
        struct setup s;
        open(&s);
        s.options.penalty = 0.6;
        s.options.average = average;
        begin(&s);
        penalise(&s);
        double sum = 0;
        for (int64_t i = 0; i < ALL; i++) {
            double p = mega_hard_open(&usual, value(&s, i)),
                   want = 0.6 / divisor[average] * p * (1 - p);
            sum += p;
            if (!(fabs(gradient(&s, i) - want) <= 1e-7))
                fail_msg("a gradient of %.9f, expected %.9f", gradient(&s, i), want);
        }
        assert_true(fabs(s.state.penalty - 0.6 / divisor[average] * sum) < 1e-9);
        assert_true(fabs(s.state.expected - sum) < 1e-9);
        done(&s);
    }
}

static void the_penalty_alone_closes_every_gate_a_little(void **state)
{
    (void)state;
    struct setup s;
    double before[ALL], norm;
    open(&s);
    s.options.penalty = 1;
    s.options.warmup = 4;
    begin(&s);
    penalise(&s);
    double first = s.state.penalty;
    for (int64_t i = 0; i < ALL; i++) before[i] = value(&s, i);
    assert_int_equal(mega_optimizer_norm(&s.optimizer, &norm), MEGA_OK);
    mega_optimizer_step(&s.optimizer, 0.01, norm);
    for (int64_t i = 0; i < ALL; i++) assert_true(value(&s, i) < before[i]);
    /* it rises by quarters */
    s.progress.step = 3;
    penalise(&s);
    assert_true(s.state.penalty > 3.5 * first && s.state.penalty < 4 * first);
    done(&s);
}

static void a_target_pushes_harder_while_heads_are_missing(void **state)
{
    (void)state;
    struct setup s;
    open(&s);
    s.options.target = 0.5;
    s.options.target_rate = 0.2;
    begin(&s);
    penalise(&s);
    /* multipliers begin at 0: nothing yet */
    for (int64_t i = 0; i < ALL; i++) assert_true(fabs(gradient(&s, i)) <= 0);
    double missing = 1 - s.state.expected / ALL - 0.5;
    assert_true(fabs(s.progress.head_l1 - 0.2 * missing) < 1e-12);
    assert_true(fabs(s.progress.head_l2 - 0.2 * missing * missing) < 1e-12);
    penalise(&s);
    for (int64_t i = 0; i < ALL; i++) assert_true(gradient(&s, i) > 0);
    done(&s);
}

static void what_does_not_train_stays(void **state)
{
    (void)state;
    struct setup s;
    const char *patterns[] = { "sub.2.attn.*" };
    double norm;
    open(&s);
    s.options.penalty = 1;
    s.options.train = (struct mega_texts){ patterns, 1 };
    begin(&s);
    for (int64_t i = 0; i < s.model->store.count; i++) s.model->store.gradient[i] = 1;
    for (struct mega_param *p = s.model->store.first; p; p = p->next) p->touched = true;
    float table = *(float *)mega_store_find(&s.model->store, "tok_emb.weight")->value.data,
          query = *(float *)mega_store_find(&s.model->store, "sub.2.attn.q.weight")->value.data;
    assert_int_equal(mega_optimizer_norm(&s.optimizer, &norm), MEGA_OK);
    mega_optimizer_step(&s.optimizer, 0.01, norm);
    const float *now = mega_store_find(&s.model->store, "tok_emb.weight")->value.data;
    assert_true(*now <= table && *now >= table);
    now = mega_store_find(&s.model->store, "sub.2.attn.q.weight")->value.data;
    assert_true(*now < query);
    /* nor does it gather gradients */
    now = mega_store_find(&s.model->store, "tok_emb.weight")->gradient.data;
    assert_true(*now <= 0 && *now >= 0);
    done(&s);
}

static void the_end_leaves_as_many_open_as_asked(void **state)
{
    (void)state;
    static const double a[ALL] = { 0.1, -1, 2, 0.3, -3, 0.2 };
    struct setup s;
    open(&s);
    s.options.penalty = 1;
    s.options.finish = 5;
    s.options.keep = 2;
    begin(&s);
    for (int64_t i = 0; i < ALL; i++) mega_put(log_a(&s, i), i % HEADS, 0, a[i]);
    assert_false(mega_head_training_finish(&s.heads, s.model, &s.optimizer, 4));
    assert_true(mega_head_training_finish(&s.heads, s.model, &s.optimizer, 5));
    assert_false(mega_head_training_finish(&s.heads, s.model, &s.optimizer, 6));
    for (int64_t i = 0; i < ALL; i++) {
        bool open = i == 2 || i == 3;
        if ((value(&s, i) > 0) != open) fail_msg("head %d ends at %g", (int)i, value(&s, i));
    }
    penalise(&s);
    assert_int_equal(s.state.closed, 4);
    assert_int_equal(s.state.partial, 0);
    for (int64_t i = 0; i < ALL; i++) assert_true(fabs(gradient(&s, i)) <= 0);
    done(&s);
}

/* ---- a head that is of no use ---- */

enum { B = 4, T = 12, V = 11 };

static struct mega_batch batch_of(int32_t *id, int32_t *target)
{
    struct mega_batch b = { .n = B, .tokens = B * T };
    b.rows[0] = (struct mega_rows){ .B = B, .T = T };
    b.text[0] = mega_tensor_over(id, MEGA_I32, 2, (int64_t[]){ B, T });
    b.target = mega_tensor_over(target, MEGA_I32, 1, (int64_t[]){ B * T });
    return b;
}

/* logits of all places, and the loss of evaluation */
static double evaluate(
    struct setup *s, const mega_model *m, struct mega_batch *b, float *logits)
{
    mega_tensor *text[2];
    const struct mega_rows *rows[2];
    float loss = 0;
    mega_run_begin(s->run, &(struct mega_run_args){ 0 });
    mega_run_read(s->run, mega_batch_loss(s->run, m, b), &loss);
    assert_int_equal(mega_run_end(s->run), MEGA_OK);
    mega_run_begin(s->run, &(struct mega_run_args){ 0 });
    mega_batch_enter(s->run, m, b, text, rows);
    mega_tensor *x = mega_language_model_features(s->run, &m->language, text[0], rows[0]);
    mega_run_read(s->run, mega_language_model_logits(s->run, &m->language, x), logits);
    assert_int_equal(mega_run_end(s->run), MEGA_OK);
    return (double)loss / (B * T);
}

/* the loss of training at one draw of the noise, with its gradient where that is asked for */
static double loss_at(struct setup *s, struct mega_batch *b, int64_t step, bool gradient_too)
{
    float loss = 0;
    struct mega_run_args args = { .mode = MEGA_RUN_TRAIN | (gradient_too ? MEGA_RUN_GRAD : 0),
        .now = { 1, step } };
    memset(s->model->store.gradient, 0, (size_t)s->model->store.count * sizeof(float));
    assert_int_equal(mega_run_begin(s->run, &args), MEGA_OK);
    mega_tensor *total = mega_batch_loss(s->run, s->model, b);
    mega_run_read(s->run, total, &loss);
    if (gradient_too) {
        mega_run_seed(s->run, total, 1);
        mega_run_backward(s->run);
    }
    assert_int_equal(mega_run_end(s->run), MEGA_OK);
    return (double)loss;
}

/* a draw that leaves every gate strictly between its ends: only there the loss has slopes */
static int64_t draw_between(struct setup *s, struct mega_batch *b)
{
    for (int64_t step = 0; step < 2000; step++) {
        bool between = true;
        loss_at(s, b, step, true);
        for (int64_t i = 0; i < ALL && between; i++) between = fabs(gradient(s, i)) > 0.02;
        if (between) return step;
    }
    fail_msg("no draw of 2000 leaves all gates between 0 and 1");
    return -1;
}

static void gradients_of_gates_are_derivatives_at_the_same_noise(void **state)
{
    (void)state;
    struct setup s;
    int32_t id[B * T], target[B * T];
    struct mega_rng g;
    double want[ALL], most = 0;
    open(&s);
    begin(&s);
    mega_rng_start(&g, 8, 9);
    for (struct mega_param *p = s.model->store.first; p; p = p->next)
        for (int64_t i = 0; i < p->count; i++)
            ((float *)p->value.data)[i] =
                (strstr(p->name, "log_a") ? 0.1f : 0.5f) * (float)mega_rng_normal(&g);
    for (int i = 0; i < B * T; i++) {
        id[i] = (int32_t)mega_rng_below(&g, V);
        target[i] = (int32_t)mega_rng_below(&g, V);
    }
    struct mega_batch b = batch_of(id, target);
    int64_t step = draw_between(&s, &b);
    for (int64_t i = 0; i < ALL; i++) {
        want[i] = gradient(&s, i);
        most = fmax(most, fabs(want[i]));
    }
    for (int64_t i = 0; i < ALL; i++) {
        double a = value(&s, i), by = 4e-3, up, down;
        mega_put(log_a(&s, i), i % HEADS, 0, a + by);
        up = loss_at(&s, &b, step, false);
        mega_put(log_a(&s, i), i % HEADS, 0, a - by);
        down = loss_at(&s, &b, step, false);
        mega_put(log_a(&s, i), i % HEADS, 0, a);
        double got = (up - down) / (2 * by);
        if (!(fabs(got - want[i]) <= 1e-3 * most + 1e-3 * fabs(want[i])))
            fail_msg("head %d: a gradient of %.6f, by differences %.6f", (int)i, want[i], got);
    }
    done(&s);
}

/* All but gates stand still. Head 1 of each layer writes nothing; what the others write decides
 * which words are right. */
static void a_useless_head_closes_and_can_go(void **state)
{
    (void)state;
    static float logits[B * T * V];
    struct setup s;
    const char *gates[] = { "*.gate.log_a" };
    int32_t id[B * T], target[B * T];
    struct mega_rng g;
    open(&s);
    mega_rng_start(&g, 8, 9);
    for (struct mega_param *p = s.model->store.first; p; p = p->next)
        for (int64_t i = 0; i < p->count && !strstr(p->name, "log_a"); i++)
            ((float *)p->value.data)[i] = 0.8f * (float)mega_rng_normal(&g);
    s.options.penalty = 0.2;
    s.options.train = (struct mega_texts){ gates, 1 };
    begin(&s);
    for (int64_t l = 0; l < LAYERS; l++) {
        mega_tensor *o = s.heads.heads.layer[l].attention->o;
        for (int64_t r = 0; r < mega_height(o); r++)
            for (int64_t j = 0; j < mega_width(o); j++)
                mega_put(o, r, j, j < mega_width(o) / 2 ? 3 * mega_get(o, r, j) : 0);
    }
    for (int i = 0; i < B * T; i++) id[i] = (int32_t)mega_rng_below(&g, V), target[i] = 0;
    struct mega_batch b = batch_of(id, target);
    evaluate(&s, s.model, &b, logits);
    for (int i = 0; i < B * T; i++)
        for (int v = 0; v < V; v++)
            if (logits[i * V + v] > logits[i * V + target[i]]) target[i] = v;
    for (; s.progress.step < 300; s.progress.step++) {
        double loss, norm;
        struct mega_now now = { 1, s.progress.step };
        assert_int_equal(mega_pass_run(s.run, s.model, &b, now, B * T, 0, 0, &loss), MEGA_OK);
        assert_int_equal(
            mega_head_training_penalise(&s.heads, s.run, &s.progress, &s.state), MEGA_OK);
        assert_int_equal(mega_optimizer_norm(&s.optimizer, &norm), MEGA_OK);
        mega_optimizer_step(&s.optimizer, 0.05, norm);
    }
    const struct mega_head_gates *first = &s.heads.heads.layer[0].attention->gates;
    for (int64_t l = 0; l < LAYERS; l++) {
        double gate = mega_head_gates_value(&s.heads.heads.layer[l].attention->gates, 1);
        if (!(gate <= 0))
            fail_msg("the useless head of layer %d has a gate of %g", (int)l, gate);
    }
    assert_true(mega_head_gates_value(first, 0) > 0);
    /* without them the loss is the same */
    mega_model *small;
    struct mega_model_heads_change change = { .kept = "0; 0; 0", .fold = true };
    double with = evaluate(&s, s.model, &b, logits), without;
    if (mega_model_heads_change(&small, s.model, &change)) fail_msg("%s", mega_message());
    without = evaluate(&s, small, &b, logits);
    assert_true(fabs(with - without) <= 1e-6);
    mega_model_free(small);
    done(&s);
}

/* a model with gates of heads, of groups and of channels */
static void open_units(struct setup *s)
{
    static const char units[] =
        "{ \"megac\": 1, \"architecture\": \"language_model\", \"model\": { \"decoder\": "
        "\"transformer\", \"layers\": 2, \"width\": 8, \"ffn\": 12, \"heads\": 4, "
        "\"kv_heads\": 2, \"longest\": 16, \"head_gates\": \"concrete\", \"group_gates\": "
        "\"concrete\", \"channel_gates\": \"concrete\", \"channel_block\": 4, \"gate_init\": "
        "0.5 }, \"inputs\": { \"vocabulary\": 11, \"pad\": -1 } }";
    open_model(s, units);
}

static void by_cost_a_unit_counts_as_its_parameters_do(void **state)
{
    (void)state;
    struct setup s;
    open_units(&s);
    s.options.penalty = 0.6;
    s.options.average = MEGA_HEADS_BY_COST;
    begin(&s);
    penalise(&s);
    /* heads of 2 channels: queries and outputs, 2 x 2 x 8; groups: keys and values, 2 x 2 x 8;
     * 4 channels: 4 x (8 + 1) + 4 x 8 */
    static const double cost[] = { 32, 32, 68 };
    const double all = 2 * (4 * 32 + 2 * 32 + 3 * 68);
    double expected = 0;
    assert_int_equal(s.heads.units.n, 6);
    for (int i = 0; i < 6; i++) {
        const struct mega_head_gates *g = s.heads.units.set[i].gates;
        for (int64_t k = 0; k < g->heads; k++) {
            double p = mega_hard_open(&usual, mega_hard_at(g->log_a, k)),
                   have = mega_get(&g->log_a->param->gradient, k, 0),
                   want = 0.6 * cost[i % 3] / all * p * (1 - p);
            if (!(fabs(have - want) <= 1e-7))
                fail_msg("set %d: a gradient of %.9f, expected %.9f", i, have, want);
            expected += p * cost[i % 3] / all;
        }
    }
    assert_true(fabs(s.state.expected_cost - expected) < 1e-9);
    assert_true(fabs(s.state.penalty - 0.6 * expected) < 1e-9);
    assert_true(fabs(s.state.active_cost - 1) < 1e-9);
    assert_int_equal(s.state.kind[MEGA_UNIT_HEADS].all, 8);
    assert_int_equal(s.state.kind[MEGA_UNIT_GROUPS].all, 4);
    assert_int_equal(s.state.kind[MEGA_UNIT_CHANNELS].all, 6);
    assert_int_equal(s.state.all, 18);
    struct mega_text text = { 0 };
    mega_head_training_print(&s.heads, &text);
    assert_non_null(strstr(text.data, "\"gates\": [["));
    assert_non_null(strstr(text.data, "\"group_gates\": [["));
    assert_non_null(strstr(text.data, "\"channel_gates\": [["));
    mega_text_done(&text);
    done(&s);
}

static void the_end_leaves_what_a_target_by_cost_wants(void **state)
{
    (void)state;
    struct setup s;
    open_units(&s);
    s.options.target = 0.4;
    s.options.average = MEGA_HEADS_BY_COST;
    s.options.finish = 5;
    begin(&s);
    /* of 792 parameters 475.2 are to stay: channels, 408, then heads of 32 until it is enough
     */
    double next = -1;
    for (int i = 0; i < 6; i++) {
        const struct mega_head_gates *g = s.heads.units.set[i].gates;
        enum mega_unit_kind kind = s.heads.units.set[i].kind;
        for (int64_t k = 0; k < g->heads; k++, next -= 0.01)
            mega_put(g->log_a, k, 0,
                next + (kind == MEGA_UNIT_CHANNELS    ? 1
                           : kind == MEGA_UNIT_GROUPS ? -5
                                                      : 0));
    }
    /* a resumed run rounds what is round already */
    for (int again = 0; again < 2; again++) {
        s.heads.finished = false;
        assert_true(mega_head_training_finish(&s.heads, s.model, &s.optimizer, 5));
        penalise(&s);
        assert_int_equal(s.state.kind[MEGA_UNIT_CHANNELS].closed, 0);
        assert_int_equal(s.state.kind[MEGA_UNIT_HEADS].closed, 8 - 3);
        assert_int_equal(s.state.kind[MEGA_UNIT_GROUPS].closed, 4);
    }
    done(&s);
}

static void a_number_to_keep_is_of_one_kind(void **state)
{
    (void)state;
    struct setup s;
    open_units(&s);
    s.options.penalty = 1;
    s.options.finish = 5;
    s.options.keep = 2;
    assert_int_equal(
        mega_head_training_begin(&s.heads, &s.options, s.model, &s.optimizer, &s.context->log),
        MEGA_BAD_ARGUMENT);
    assert_non_null(
        strstr(mega_message(), "heads.keep does not go with both head_gates and group_gates"));
    done(&s);
}

/* the loss with all of its penalty, and its gradient in the store */
static double whole_loss(struct setup *s, struct mega_batch *b)
{
    double loss;
    struct mega_now now = { 1, 7 };
    memset(s->model->store.gradient, 0, (size_t)s->model->store.count * sizeof(float));
    mega_head_training_prepare(&s->heads, &s->progress);
    assert_int_equal(mega_pass_run(s->run, s->model, b, now, B * T, 0, 0, &loss), MEGA_OK);
    assert_int_equal(
        mega_head_training_penalise(&s->heads, s->run, &s->progress, &s->state), MEGA_OK);
    return loss / (B * T) + s->state.penalty;
}

static void check_slope(struct setup *s, struct mega_batch *b, const char *name, int64_t i)
{
    const float step = 0.02f;
    struct mega_param *p = mega_store_find(&s->model->store, name);
    float *value = (float *)p->value.data + i, before = *value;
    whole_loss(s, b);
    double have = (double)((float *)p->gradient.data)[i];
    *value = before + step;
    double more = whole_loss(s, b);
    *value = before - step;
    double less = whole_loss(s, b), want = (more - less) / (2 * (double)step);
    *value = before;
    if (!(fabs(have - want) <= 2e-3 * (1 + fabs(want))))
        fail_msg("%s: a gradient of %g, expected %g", name, have, want);
}

/* with blocks that come again, and at places that are not real */
static void squares_of_what_units_give_are_penalised(void **state)
{
    (void)state;
    static const char units[] =
        "{ \"megac\": 1, \"architecture\": \"language_model\", \"model\": { \"decoder\": "
        "\"transformer\", \"layers\": 2, \"width\": 8, \"ffn\": 12, \"heads\": 2, "
        "\"longest\": 16, \"head_gates\": \"concrete\", \"channel_gates\": \"concrete\", "
        "\"channel_block\": 4, \"gate_init\": 0.5, \"recompute\": \"%s\" }, \"inputs\": { "
        "\"vocabulary\": 11, \"pad\": -1 } }";
    static const char *const again[] = { "none", "cheap", "block" };
    int32_t id[B * T], target[B * T], len[B];
    double first = 0;
    for (int i = 0; i < B * T; i++) id[i] = i * 7 % V, target[i] = i * 5 % V;
    for (int i = 0; i < B; i++) len[i] = T - i % 2;
    for (int k = 0; k < 3; k++) {
        char json[600];
        struct setup s;
        struct mega_rng g;
        snprintf(json, sizeof json, units, again[k]);
        open_model(&s, json);
        mega_rng_start(&g, 8, 9);
        for (struct mega_param *p = s.model->store.first; p; p = p->next)
            for (int64_t i = 0; i < p->count && !strstr(p->name, "log_a"); i++)
                ((float *)p->value.data)[i] += 0.5f * (float)mega_rng_normal(&g);
        s.options.penalty = 0.5;
        begin(&s);
        struct mega_batch b = batch_of(id, target);
        b.rows[0].len = len;
        double without = whole_loss(&s, &b);
        s.options.l2 = 0.4;
        double with = whole_loss(&s, &b);
        assert_true(with > without + 0.05);
        if (!k) first = with;
        assert_true(fabs(with - first) <= 1e-6);
        check_slope(&s, &b, "sub.0.attn.gate.log_a", 1);
        check_slope(&s, &b, "sub.1.ff.channel_gate.log_a", 2);
        check_slope(&s, &b, "sub.0.attn.v.weight", 5);
        check_slope(&s, &b, "sub.3.ff.up.weight", 9);
        done(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(averages_differ_by_a_number),
        cmocka_unit_test(the_penalty_alone_closes_every_gate_a_little),
        cmocka_unit_test(a_target_pushes_harder_while_heads_are_missing),
        cmocka_unit_test(what_does_not_train_stays),
        cmocka_unit_test(the_end_leaves_as_many_open_as_asked),
        cmocka_unit_test(gradients_of_gates_are_derivatives_at_the_same_noise),
        cmocka_unit_test(a_useless_head_closes_and_can_go),
        cmocka_unit_test(by_cost_a_unit_counts_as_its_parameters_do),
        cmocka_unit_test(the_end_leaves_what_a_target_by_cost_wants),
        cmocka_unit_test(a_number_to_keep_is_of_one_kind),
        cmocka_unit_test(squares_of_what_units_give_are_penalised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
