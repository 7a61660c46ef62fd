/* A classifier whose encoder is a Transformer: padding changes nothing, each way of pooling,
 * numbers in place of ids, and a configuration that reads back as it was. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "model/model.h"

#include "cmocka_all.h"

enum { B = 2, T = 9, CLASSES = 3 };

#define CONFIG(options, inputs)                                                                \
    "{ \"megac\": 1, \"architecture\": \"classifier\", \"model\": { \"encoder\": "             \
    "\"transformer\", \"layers\": 2, \"width\": 8, \"ffn\": 12, \"heads\": 2, \"longest\": "   \
    "16, "                                                                                     \
    "\"head_width\": 6" options " }, \"inputs\": { " inputs " }, \"labels\": [\"a\", \"b\", "  \
    "\"c\"] }"
#define TOKENS "\"numbers\": false, \"vocabulary\": 7, \"pad\": 0, \"towers\": 1"
#define NUMBERS "\"numbers\": true, \"vocabulary\": 0, \"pad\": 0, \"towers\": 1"

static mega_status make(mega_model **m, const char *json)
{
    struct mega_document d;
    struct mega_model_config c;
    assert_int_equal(mega_json_parse(&d, "config.json", json, strlen(json)), MEGA_OK);
    mega_status status = mega_model_config_parse(&c, &d);
    if (!status) status = mega_model_new(m, &c, true, true);
    if (status) {
        mega_document_done(&d);
        return status;
    }
    (*m)->document = d;
    mega_store_fill(&(*m)->store, 5);
    return MEGA_OK;
}

/* scores of two texts, the second of 6 places; what stands beyond is `filler` */
static void scores(mega_model *m, int filler, double *y)
{
    static const int32_t lengths[B] = { T, 6 };
    mega_context *context;
    mega_run *r;
    struct mega_rng g;
    assert_int_equal(mega_context_new(&context, NULL), MEGA_OK);
    assert_int_equal(mega_run_new(&r, context), MEGA_OK);
    mega_run_begin(r, &(struct mega_run_args){ .mode = MEGA_RUN_TRAIN | MEGA_RUN_GRAD });
    bool numbers = m->config.task.inputs.numbers;
    mega_tensor *text =
        mega_run_tensor(r, numbers ? MEGA_F32 : MEGA_I32, 2, (int64_t[]){ B, T });
    mega_rng_start(&g, 3, 4);
    for (int i = 0; i < B * T; i++) {
        double value = 1 + mega_rng_below(&g, 6);
        mega_put(text, i / T, i % T, i % T < lengths[i / T] ? value : filler);
    }
    struct mega_rows rows = { .B = B, .T = T, .len = lengths };
    const struct mega_rows *here = mega_run_rows(r, &rows);
    mega_tensor *out = mega_classifier_run(r, &m->classifier, (mega_tensor *[]){ text, NULL },
        (const struct mega_rows *[]){ here, NULL });
    for (int i = 0; out && i < B * CLASSES; i++) y[i] = mega_get(out, i / CLASSES, i % CLASSES);
    if (out) mega_run_seed(r, out, 1);
    mega_run_backward(r);
    if (mega_run_end(r)) fail_msg("%s", mega_message());
    mega_run_free(r);
    mega_context_free(context);
}

static const char *const configs[] = {
    CONFIG("", TOKENS),
    CONFIG(", \"pooling\": \"first\", \"placement\": \"post\", \"rotary\": \"rope\"", TOKENS),
    CONFIG(
        ", \"pooling\": \"class\", \"rel_pos\": \"alibi\", \"num_memory_tokens\": 2", TOKENS),
    CONFIG(", \"shift_tokens\": 1, \"residual\": \"gru\", \"positions\": \"learned\"", TOKENS),
    CONFIG(", \"residual\": \"mv_split\", \"norm\": \"rmsnorm\", \"gated\": true", TOKENS),
    CONFIG(", \"positions\": \"sinusoidal\", \"head_layers\": 0", NUMBERS),
    CONFIG(", \"pooling\": \"class\"", NUMBERS),
};
enum { CONFIGS = sizeof configs / sizeof *configs };

static void padding_changes_nothing(void **state)
{
    (void)state;
    for (int k = 0; k < CONFIGS; k++) {
        double one[B * CLASSES], other[B * CLASSES];
        mega_model *m;
        if (make(&m, configs[k])) fail_msg("%s", mega_message());
        scores(m, 0, one);
        scores(m, 5, other);
        for (int i = 0; i < B * CLASSES; i++)
            if (!(fabs(one[i] - other[i]) < 2e-5))
                fail_msg("%s: score %d is %g, expected %g", configs[k], i, other[i], one[i]);
        mega_model_free(m);
    }
}

static void every_parameter_gets_a_gradient(void **state)
{
    (void)state;
    double y[B * CLASSES];
    mega_model *m;
    assert_int_equal(make(&m, configs[2]), MEGA_OK);
    scores(m, 0, y);
    for (const struct mega_param *p = m->store.first; p; p = p->next) {
        double size = 0;
        for (int64_t i = 0; i < p->count; i++)
            size += fabs((double)((const float *)p->gradient.data)[i]);
        if (!(size > 0)) fail_msg("%s has no gradient", p->name);
    }
    mega_model_free(m);
}

static void a_configuration_reads_back_as_it_was(void **state)
{
    (void)state;
    for (int k = 0; k < CONFIGS; k++) {
        mega_model *m, *again;
        struct mega_text first = { 0 }, second = { 0 };
        assert_int_equal(make(&m, configs[k]), MEGA_OK);
        mega_model_config_json(&m->config, NULL, &first);
        if (make(&again, first.data)) fail_msg("%s", mega_message());
        mega_model_config_json(&again->config, NULL, &second);
        assert_string_equal(first.data, second.data);
        assert_true(mega_model_parameters(m) == mega_model_parameters(again));
        mega_text_done(&first);
        mega_text_done(&second);
        mega_model_free(m);
        mega_model_free(again);
    }
}

static void refuses(const char *json, const char *message)
{
    mega_model *m;
    assert_int_equal(make(&m, json), MEGA_BAD_ARGUMENT);
    if (!strstr(mega_message(), message)) fail_msg("%s", mega_message());
}

static void what_an_encoder_cannot_have_is_refused(void **state)
{
    (void)state;
    refuses(CONFIG(", \"rotary\": \"xpos\"", TOKENS), "rotary: xpos");
    refuses(CONFIG(", \"pooling\": \"first\"", NUMBERS), "numbers (pixels, samples)");
    refuses(CONFIG(", \"tied\": true", TOKENS), "unknown key model.tied");
    refuses(
        "{ \"megac\": 1, \"architecture\": \"classifier\", \"model\": { \"pooling\": \"class\" "
        "}, \"inputs\": { " TOKENS " }, \"labels\": [\"a\"] }",
        "pooling is class");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(padding_changes_nothing),
        cmocka_unit_test(every_parameter_gets_a_gradient),
        cmocka_unit_test(a_configuration_reads_back_as_it_was),
        cmocka_unit_test(what_an_encoder_cannot_have_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
