/* Norms over time that forget: when, what, and nothing else (Megalodon, section 7.4). */
#include "infer/truncation.h"

#include <math.h>
#include <string.h>

#include "cmocka_all.h"

#include "base/rng.h"
#include "infer/score.h"
#include "infer/slots.h"
#include "model/megalodon.h"

enum { V = 17, D = 12, G = 3, C = 4, N = 8, LONGEST = 80 };

struct model {
    mega_context *context;
    mega_run *run;
    struct mega_store store;
    struct mega_megalodon megalodon;
    struct mega_step_model step;
    int32_t id[LONGEST];
};

static mega_tensor *logits_of(
    mega_run *r, const void *model, mega_tensor *ids, const struct mega_rows *rows)
{
    return mega_megalodon_run(r, model, ids, rows);
}

static void open_model(struct model *m)
{
    memset(m, 0, sizeof *m);
    struct mega_megalodon_model_options o = { .vocabulary = V,
        .layers = 2,
        .pad = -1,
        .layer = { .width = D,
            .values = 16,
            .keys = 8,
            .heads = 2,
            .hidden = 10,
            .states = 3,
            .chunk = C,
            .groups = G,
            .rotary_base = 10000,
            .swiglu = true,
            .affine = true,
            .norm_eps = 1e-5 } };
    struct mega_rng g;
    assert_int_equal(mega_context_new(&m->context, NULL), MEGA_OK);
    assert_int_equal(mega_store_init(&m->store), MEGA_OK);
    mega_build b = { .store = &m->store };
    mega_megalodon_build(&b, &m->megalodon, &o);
    assert_int_equal(b.status, MEGA_OK);
    assert_int_equal(mega_store_lay_out(&m->store, false), MEGA_OK);
    mega_store_fill(&m->store, 5);
    assert_int_equal(mega_run_new(&m->run, m->context), MEGA_OK);
    m->step = (struct mega_step_model){ .model = &m->megalodon,
        .store = &m->store,
        .features = logits_of,
        .vocabulary = V,
        .chunk = C };
    mega_rng_start(&g, 3, 4);
    for (int i = 0; i < LONGEST; i++) m->id[i] = (int32_t)mega_rng_below(&g, V);
}

static void close_model(struct model *m)
{
    mega_run_free(m->run);
    mega_store_done(&m->store);
    mega_context_free(m->context);
}

static const struct mega_cell *cell(const struct model *m, const char *name)
{
    for (const struct mega_cell *c = m->store.first_cell; c; c = c->next)
        if (!strcmp(c->name, name)) return c;
    fail_msg("no cell %s", name);
    return NULL;
}

/* the first n ids in pieces of at most `piece`, as a prompt is read: the stepper is yours */
static void read_prompt(struct model *m, struct mega_slots *s, int64_t n, int64_t piece)
{
    const float *logit;
    assert_int_equal(mega_slots_init(s, &m->step, m->run, 1, piece, 0), MEGA_OK);
    assert_int_equal(mega_slots_start(s, 0, m->id, n, &logit), MEGA_OK);
}

/* what the norms of the first layer go by: its input is the embedding, so their statistics are
 * those of the table's rows */
static void expect_statistics(const struct model *m, const mega_stream *s, int from, int to)
{
    int32_t count;
    float mean[G], var[G];
    mega_stream_read(s, cell(m, "layers.0.mega.timenorm.count"), 0, &count);
    mega_stream_read(s, cell(m, "layers.0.mega.timenorm.mean"), 0, mean);
    mega_stream_read(s, cell(m, "layers.0.mega.timenorm.var"), 0, var);
    assert_int_equal(count, to - from);
    const float *table = m->megalodon.table->data;
    for (int g = 0; g < G; g++) {
        /* of channels of a group over places */
        double sum = 0, square = 0, n = (double)(to - from) * (D / G);
        for (int t = from; t < to; t++)
            for (int k = 0; k < D / G; k++) {
                double x = (double)table[m->id[t] * D + g * (D / G) + k];
                sum += x;
                square += x * x;
            }
        double mu = sum / n;
        assert_true(fabs((double)mean[g] - mu) < 1e-6);
        assert_true(fabs((double)var[g] - (square / n - mu * mu)) < 1e-6);
    }
}

/* pairs of chunks end at 8, 16 ... 32, 40 ...; of an odd number of chunks the last one, too */
static void norms_go_by_the_last_six_chunks(void **state)
{
    (void)state;
    static const struct {
        int n, from; /* a prompt; the first place that counts */
        int64_t piece;
    } cases[] = { { 32, 0, 7 }, { 33, 8, 7 }, { 33, 8, 64 }, { 36, 8, 3 }, { 37, 12, 8 },
        { 40, 12, 64 }, { 41, 16, 5 }, { 77, 52, 64 } };
    struct model m;
    open_model(&m);
    assert_int_equal(mega_truncation_set(&m.step, N), MEGA_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mega_slots s;
        read_prompt(&m, &s, cases[i].n, cases[i].piece);
        expect_statistics(&m, s.group[0].stream, cases[i].from, cases[i].n);
        mega_slots_done(&s);
    }
    assert_int_equal(mega_truncation_set(&m.step, 0), MEGA_OK);
    struct mega_slots s;
    read_prompt(&m, &s, 77, 7);
    expect_statistics(&m, s.group[0].stream, 0, 77);
    mega_slots_done(&s);
    close_model(&m);
}

/* Scores by the rule spelled out: a stream that reads two chunks at a time; behind each pair
 * from the 8th chunk on another one reads the last six chunks, and the cells of its norms take
 * the place of the first one's. */
static void score_by_hand(struct model *m, int n, double *out)
{
    struct mega_model_stepper all, recent;
    assert_int_equal(mega_model_stepper_init(&all, &m->step, m->run, 1, 64, 0), MEGA_OK);
    assert_int_equal(mega_model_stepper_init(&recent, &m->step, m->run, 1, 64, 0), MEGA_OK);
    struct mega_stepper step = mega_model_stepper_of(&recent);
    int last = (n - 1) / C * C, at = 0;
    while (at < n) {
        int end = at < last ? (at + 2 * C < last ? at + 2 * C : last) : n;
        const int32_t *target = m->id + at + 1;
        assert_int_equal(
            mega_model_stepper_score(&all, m->id + at, end - at, target, out + at), MEGA_OK);
        at = end;
        if (at < 8 * C || at == n) continue;
        const int32_t *ids = m->id + at - 6 * C, len = 6 * C;
        mega_stream_reset(recent.stream);
        assert_int_equal(step.feed(step.self, &ids, len, &len, NULL), MEGA_OK);
        for (const struct mega_cell *c = m->store.first_cell; c; c = c->next) {
            char values[256];
            if (c->kind != MEGA_CELL_ROW || !strstr(c->name, "norm")) continue;
            mega_stream_read(recent.stream, c, 0, values);
            mega_stream_write(all.stream, c, 0, values);
        }
    }
    mega_model_stepper_done(&all);
    mega_model_stepper_done(&recent);
}

static mega_status take(void *arg, int64_t place, int32_t id, double log_probability)
{
    (void)id;
    ((double *)arg)[place - 1] = log_probability;
    return MEGA_OK;
}

static void score_text(struct model *m, int n, int64_t piece, double *out)
{
    struct mega_model_stepper s;
    struct mega_score_total total;
    struct mega_score_options o = { MEGA_SCORE_CARRY, 0, 0 };
    assert_int_equal(mega_model_stepper_init(&s, &m->step, m->run, 1, piece, 0), MEGA_OK);
    assert_int_equal(mega_score_text(&s, m->id, n + 1, &o, take, out, &total), MEGA_OK);
    mega_model_stepper_done(&s);
}

static void scores_follow_the_rule(void **state)
{
    (void)state;
    static const int lengths[] = { 31, 32, 33, 47, 48, 61, 79 };
    double want[LONGEST], got[LONGEST], plain[LONGEST];
    struct model m;
    open_model(&m);
    for (int i = 0; i < 7; i++) {
        int n = lengths[i];
        mega_truncation_set(&m.step, 0);
        score_by_hand(&m, n, want);
        score_text(&m, n, 9, plain);
        assert_int_equal(mega_truncation_set(&m.step, N), MEGA_OK);
        for (int64_t piece = 3; piece <= 64; piece += 61) {
            score_text(&m, n, piece, got);
            for (int t = 0; t < n; t++) assert_true(fabs(got[t] - want[t]) < 2e-6);
        }
        /* up to the 8th chunk it is the plain reading, behind it not */
        for (int t = 0; t < n && t < 8 * C; t++) assert_true(fabs(got[t] - plain[t]) < 2e-6);
        if (n > 8 * C) assert_true(fabs(got[n - 1] - plain[n - 1]) > 1e-5);
    }
    close_model(&m);
}

static void what_cannot_forget_is_refused(void **state)
{
    (void)state;
    struct model m;
    open_model(&m);
    assert_int_equal(mega_truncation_set(&m.step, 2), MEGA_BAD_ARGUMENT);
    assert_non_null(strstr(mega_message(), "expected at least 3"));
    m.step.chunk = 0;
    assert_int_equal(mega_truncation_set(&m.step, 8), MEGA_BAD_ARGUMENT);
    assert_non_null(strstr(mega_message(), "only Megalodon has"));
    close_model(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norms_go_by_the_last_six_chunks),
        cmocka_unit_test(scores_follow_the_rule),
        cmocka_unit_test(what_cannot_forget_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
