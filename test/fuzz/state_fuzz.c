#include <stdio.h>
#include <string.h>

#include "infer/state.h"
#include "model/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* models whose states the seeds are: keys and values of a whole text; of a chunk, beside a
 * moving average; the same, with norms over time */
static const char *const configs[] = {
    "\"decoder\": \"gpt2\", \"layers\": 1, \"width\": 4, \"heads\": 2, \"ffn\": 4, "
    "\"longest\": 16",
    "\"decoder\": \"mega\", \"layers\": 1, \"width\": 4, \"values\": 6, \"keys\": 2, "
    "\"ffn\": 4, \"ema\": 2, \"chunk\": 3",
    "\"decoder\": \"megalodon\", \"layers\": 1, \"width\": 4, \"values\": 6, \"keys\": 4, "
    "\"heads\": 1, \"ffn\": 4, \"ema\": 2, \"chunk\": 3, \"groups\": 2",
};
enum { MODELS = sizeof configs / sizeof *configs };

static mega_context *context;
static mega_run *run;
static struct mega_step_model step[MODELS];

static mega_tensor *features(
    mega_run *r, const void *model, mega_tensor *ids, const struct mega_rows *rows)
{
    return mega_language_model_features(r, model, ids, rows);
}

static mega_tensor *logits(mega_run *r, const void *model, mega_tensor *x)
{
    return mega_language_model_logits(r, model, x);
}

static bool make_model(int k)
{
    char json[512];
    struct mega_document d;
    struct mega_model_config config;
    mega_model *m;
    snprintf(json, sizeof json,
        "{ \"megac\": 1, \"architecture\": \"language_model\", \"model\": { %s }, "
        "\"inputs\": { \"vocabulary\": 7 } }",
        configs[k]);
    if (mega_json_parse(&d, "model", json, strlen(json)) ||
        mega_model_config_parse(&config, &d) || mega_model_new(&m, &config, true, false))
        return false;
    mega_store_fill(&m->store, 1);
    step[k] = (struct mega_step_model){ .model = &m->language,
        .store = &m->store,
        .features = features,
        .logits = logits,
        .vocabulary = 7,
        .longest = m->language.shape.longest,
        .chunk = m->language.shape.chunk };
    mega_document_done(&d);
    return true;
}

static bool make_models(void)
{
    for (int k = 0; k < MODELS; k++)
        if (!make_model(k)) return false;
    return !mega_context_new(&context, NULL) && !mega_run_new(&run, context);
}

static enum mega_ending listen(void *arg, int64_t draft, const struct mega_draft *d)
{
    (void)arg, (void)draft, (void)d;
    return MEGA_ENDING_NONE;
}

static void go_on(const uint8_t *data, size_t size, const struct mega_step_model *m)
{
    struct mega_composer c;
    struct mega_compose_options o = { .sampling = mega_sampling_plain(),
        .rows = 4,
        .piece = 4,
        .tokens = 3,
        .slide = m->longest > 0 };
    o.sampling.repetition_penalty = 1.1;
    if (mega_composer_init(&c, m, run, MEGA_ISA_BASE, &o)) __builtin_trap();
    bool loaded = !mega_state_parse("fuzz", data, size, &c, "fuzz");
    for (int64_t k = 0; loaded && k < c.n; k++) loaded = !mega_composer_extend(&c, k, NULL, 0);
    if (loaded) mega_composer_run(&c, listen, NULL);
    mega_composer_done(&c);
}

/* loads a state into each model, of which all but its own refuse it, and goes on with it */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool made;
    if (!made && !make_models()) __builtin_trap();
    made = true;
    for (int k = 0; k < MODELS; k++) go_on(data, size, &step[k]);
    return 0;
}
