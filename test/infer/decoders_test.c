/* Every decoder composes: a prompt within one chunk beside one of several, alone and together;
 * states that are saved and loaded; positions that end. */
#include "infer/state.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"
#include "model/model.h"

#include "cmocka_all.h"

enum { V = 17, LONG = 70, NEW = 40 };

struct setup {
    mega_context *context;
    mega_run *run;
    mega_model *model;
    struct mega_document config;
    struct mega_step_model step;
};

static mega_tensor *features(
    mega_run *r, const void *model, mega_tensor *ids, const struct mega_rows *rows)
{
    return mega_language_model_features(r, model, ids, rows);
}

static mega_tensor *logits(mega_run *r, const void *model, mega_tensor *x)
{
    return mega_language_model_logits(r, model, x);
}

static void open(struct setup *s, const char *options)
{
    char json[1024];
    struct mega_model_config config;
    memset(s, 0, sizeof *s);
    snprintf(json, sizeof json,
        "{ \"megac\": 1, \"architecture\": \"language_model\", \"model\": { \"layers\": 2, "
        "\"width\": 16, %s }, \"inputs\": { \"vocabulary\": %d, \"pad\": -1 } }",
        options, V);
    assert_int_equal(mega_json_parse(&s->config, "test", json, strlen(json)), MEGA_OK);
    if (mega_model_config_parse(&config, &s->config)) fail_msg("%s", mega_message());
    assert_int_equal(mega_model_new(&s->model, &config, true, false), MEGA_OK);
    struct mega_store *store = &s->model->store;
    mega_store_fill(store, 3);
    struct mega_rng g;
    mega_rng_start(&g, 1, 2);
    for (int64_t i = 0; i < store->count; i++)
        store->value[i] += 0.15f * (float)mega_rng_normal(&g);
    assert_int_equal(mega_context_new(&s->context, NULL), MEGA_OK);
    assert_int_equal(mega_run_new(&s->run, s->context), MEGA_OK);
    s->step = (struct mega_step_model){ .model = &s->model->language,
        .store = store,
        .features = features,
        .logits = logits,
        .vocabulary = V,
        .longest = s->model->language.shape.longest };
}

static void done(struct setup *s)
{
    mega_run_free(s->run);
    mega_context_free(s->context);
    mega_model_free(s->model);
    mega_document_done(&s->config);
}

static enum mega_ending listen(void *arg, int64_t draft, const struct mega_draft *d)
{
    (void)arg, (void)draft, (void)d;
    return MEGA_ENDING_NONE;
}

static struct mega_composer composer(struct setup *s, int64_t tokens, int64_t rows)
{
    struct mega_composer c;
    struct mega_compose_options o = {
        .sampling = mega_sampling_plain(), .rows = rows, .piece = 24, .tokens = tokens
    };
    assert_int_equal(mega_composer_init(&c, &s->step, s->run, mega_isa_here(), &o), MEGA_OK);
    return c;
}

static void run(struct mega_composer *c)
{
    if (mega_composer_run(c, listen, NULL)) fail_msg("%s", mega_message());
}

/* a short prompt, a long one, the end of the long one */
static void add(struct mega_composer *c, int which)
{
    int32_t id[LONG];
    for (int i = 0; i < LONG; i++) id[i] = (i * i + i / 3) % V;
    int64_t n = which == 0 ? 3 : which == 1 ? LONG : 20;
    assert_int_equal(mega_composer_add(c, id + (which == 2 ? LONG - 20 : 0), n, 0), MEGA_OK);
}

static const char *const decoders[] = {
    "\"decoder\": \"mega\", \"values\": 24, \"keys\": 8, \"ffn\": 20, \"ema\": 3, \"chunk\": "
    "16",
    "\"decoder\": \"mega\", \"values\": 24, \"keys\": 8, \"ffn\": 20, \"ema\": 3, \"chunk\": "
    "-1, "
    "\"longest\": 128",
    "\"decoder\": \"megalodon\", \"values\": 24, \"keys\": 8, \"ffn\": 20, \"ema\": 3, "
    "\"chunk\": 16, \"groups\": 4",
    "\"decoder\": \"llama\", \"heads\": 4, \"kv_heads\": 2, \"longest\": 128",
    "\"decoder\": \"gpt2\", \"heads\": 2, \"longest\": 128",
};
enum { DECODERS = sizeof decoders / sizeof *decoders };

static void prompts_within_and_beyond_a_chunk_do_not_meet(void **state)
{
    (void)state;
    for (int k = 0; k < DECODERS; k++) {
        struct setup s;
        open(&s, decoders[k]);
        struct mega_composer together = composer(&s, NEW, 3);
        for (int i = 0; i < 3; i++) add(&together, i);
        run(&together);
        for (int i = 0; i < 3; i++) {
            struct mega_composer alone = composer(&s, NEW, 1);
            add(&alone, i);
            run(&alone);
            assert_int_equal(alone.draft[0].n, together.draft[i].n);
            assert_memory_equal(alone.draft[0].id, together.draft[i].id,
                (size_t)alone.draft[0].n * sizeof(int32_t));
            mega_composer_done(&alone);
        }
        mega_composer_done(&together);
        done(&s);
    }
}

static void steps_agree_with_the_whole(void **state)
{
    (void)state;
    for (int k = 0; k < DECODERS; k++) {
        struct setup s;
        float whole[V];
        int32_t id[LONG];
        struct mega_model_stepper m;
        const float *logit;
        open(&s, decoders[k]);
        for (int i = 0; i < LONG; i++) id[i] = (i * 5 + i / 7) % V;
        for (int each = LONG; each >= 1; each = each > 1 ? 1 : 0) {
            assert_int_equal(
                mega_model_stepper_init(&m, &s.step, s.run, 1, LONG, LONG), MEGA_OK);
            struct mega_stepper step = mega_model_stepper_of(&m);
            for (int at = 0; at < LONG; at += each) {
                const int32_t *ids = id + at;
                assert_int_equal(
                    step.feed(step.self, &ids, each, &(int32_t){ each }, &logit), MEGA_OK);
            }
            if (each == LONG)
                memcpy(whole, logit, sizeof whole);
            else
                for (int i = 0; i < V; i++) assert_true(fabsf(logit[i] - whole[i]) < 1e-4f);
            mega_model_stepper_done(&m);
        }
        done(&s);
    }
}

static void saved_and_loaded_is_never_stopped(void **state)
{
    (void)state;
    static const char path[] = "decoders_test.safetensors";
    for (int k = 0; k < DECODERS; k++) {
        struct setup s;
        open(&s, decoders[k]);
        struct mega_composer whole = composer(&s, NEW, 2), part = composer(&s, 13, 2);
        struct mega_composer rest = composer(&s, NEW - 13, 2);
        for (int i = 0; i < 2; i++) {
            add(&whole, i);
            add(&part, i);
        }
        run(&whole);
        run(&part);
        assert_int_equal(mega_state_save(path, &part, "one"), MEGA_OK);
        if (mega_state_load(path, &rest, "one")) fail_msg("%s", mega_message());
        for (int i = 0; i < 2; i++)
            assert_int_equal(mega_composer_extend(&rest, i, NULL, 0), MEGA_OK);
        run(&rest);
        for (int i = 0; i < 2; i++)
            assert_memory_equal(whole.draft[i].id, rest.draft[i].id,
                (size_t)whole.draft[i].n * sizeof(int32_t));
        mega_composer_done(&whole);
        mega_composer_done(&part);
        mega_composer_done(&rest);
        done(&s);
    }
    unlink(path);
}

static void a_table_of_positions_ends_the_text(void **state)
{
    (void)state;
    struct setup s;
    open(&s, "\"decoder\": \"gpt2\", \"heads\": 2, \"longest\": 16");
    struct mega_composer c = composer(&s, 20, 1);
    add(&c, 0);
    run(&c);
    assert_int_equal(c.draft[0].ending, MEGA_ENDING_CONTEXT);
    assert_int_equal(c.draft[0].n, 17);
    mega_composer_done(&c);
    done(&s);
}

static void chunks_go_on_for_ever_in_the_same_memory(void **state)
{
    (void)state;
    for (int k = 0; k < 3; k += 2) {
        struct setup s;
        open(&s, decoders[k]);
        struct mega_composer c = composer(&s, 50, 1);
        int64_t row;
        add(&c, 0);
        run(&c);
        size_t states = mega_stream_size(mega_slots_stream(&c.slots, 0, &row));
        size_t peak = mega_run_peak(s.run);
        c.options.tokens = 10000;
        assert_int_equal(mega_composer_extend(&c, 0, NULL, 0), MEGA_OK);
        run(&c);
        assert_int_equal(c.draft[0].n, 10053);
        assert_int_equal(mega_stream_size(mega_slots_stream(&c.slots, 0, &row)), states);
        assert_int_equal(mega_run_peak(s.run), peak);
        mega_composer_done(&c);
        done(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prompts_within_and_beyond_a_chunk_do_not_meet),
        cmocka_unit_test(steps_agree_with_the_whole),
        cmocka_unit_test(saved_and_loaded_is_never_stopped),
        cmocka_unit_test(a_table_of_positions_ends_the_text),
        cmocka_unit_test(chunks_go_on_for_ever_in_the_same_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
