/* Runs: sticky errors, gradients of views and repeated inputs, blocks as scopes of memory,
 * recomputation, and a warm step without allocation. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"

#include "base/rng.h"
#include "graph/ops.h"
#include "model/model.h"
#include "task/classify.h"
#include "train/update.h"

struct setup {
    mega_context *context;
    mega_run *run;
};

static int open(void **state)
{
    struct setup *s = calloc(1, sizeof *s);
    *state = s;
    return mega_context_new(&s->context, NULL) || mega_run_new(&s->run, s->context);
}

static int done(void **state)
{
    struct setup *s = *state;
    mega_run_free(s->run);
    mega_context_free(s->context);
    free(s);
    return 0;
}

static mega_tensor *numbers(mega_run *r, int64_t rows, int64_t width, float first)
{
    mega_tensor *t = mega_run_tensor(r, MEGA_F32, 2, (int64_t[]){ rows, width });
    for (int64_t i = 0; t && i < rows * width; i++)
        mega_put(t, i / width, i % width, (double)first + (double)i);
    if (t) t->wants_grad = true;
    return t;
}

static void the_first_error_stays(void **state)
{
    mega_run *r = ((struct setup *)*state)->run;
    mega_run_begin(r, &(struct mega_run_args){ 0 });
    mega_tensor *a = numbers(r, 2, 3, 0), *b = numbers(r, 2, 4, 0);
    assert_null(add(r, a, b));
    assert_null(add(r, a, a)); /* fine in itself, but the run is not */
    assert_int_equal(mega_run_end(r), MEGA_BAD_ARGUMENT);
    assert_string_equal(mega_message(), "add: b is [2, 4] F32, expected the shape of a");
    mega_run_begin(r, &(struct mega_run_args){ 0 });
    assert_non_null(add(r, numbers(r, 1, 1, 1), numbers(r, 1, 1, 2)));
    assert_int_equal(mega_run_end(r), MEGA_OK);
}

static void a_missing_input_is_an_error(void **state)
{
    mega_run *r = ((struct setup *)*state)->run;
    mega_run_begin(r, &(struct mega_run_args){ 0 });
    assert_null(add(r, numbers(r, 1, 1, 1), NULL));
    assert_int_equal(mega_run_end(r), MEGA_INTERNAL);
}

static void gradients_of_views_meet_in_their_base(void **state)
{
    mega_run *r = ((struct setup *)*state)->run;
    mega_run_begin(r, &(struct mega_run_args){ .mode = MEGA_RUN_GRAD });
    mega_tensor *x = activation(r, numbers(r, 2, 4, 1), MEGA_ACT_LINEAR);
    /* columns 0-1 gated by columns 2-3: y = x_a x_b */
    mega_tensor *y = gate(r, columns(r, x, 0, 2), columns(r, x, 2, 2), MEGA_ACT_LINEAR);
    mega_run_seed(r, y, 1);
    mega_run_backward(r);
    const float want[] = { 3, 4, 1, 2, 7, 8, 5, 6 };
    assert_memory_equal(x->grad->data, want, sizeof want);
    assert_int_equal(mega_run_end(r), MEGA_OK);
}

static void one_tensor_at_two_inputs_gets_both_gradients(void **state)
{
    mega_run *r = ((struct setup *)*state)->run;
    mega_run_begin(r, &(struct mega_run_args){ .mode = MEGA_RUN_GRAD });
    mega_tensor *x = numbers(r, 1, 3, 1);
    mega_run_seed(r, add(r, x, x), 1.5);
    mega_run_backward(r);
    const float want[] = { 3, 3, 3 };
    assert_memory_equal(x->grad->data, want, sizeof want);
}

static void check_mode_names_the_first_bad_tensor(void **state)
{
    mega_run *r = ((struct setup *)*state)->run;
    mega_run_begin(r, &(struct mega_run_args){ .mode = MEGA_RUN_CHECK });
    mega_tensor *x = numbers(r, 2, 3, 1e38f);
    x = add(r, x, x);
    add(r, x, x);
    assert_int_equal(mega_run_end(r), MEGA_NOT_FINITE);
    assert_non_null(
        strstr(mega_message(), "add: output 0 [2, 3] F32 holds inf at row 0, column 0"));
}

/* ---- a small model ---- */

static const char recipe[] =
    "model: { layers: 3, width: 12, values: 10, keys: 4, ffn: 14, ema: 3, longest: 40, chunk: "
    "8, "
    "head_width: 9, dropout: 0.2, hidden_dropout: 0.1, attention_dropout: 0.1, ";

struct small {
    mega_model *model;
    struct mega_host_batch host;
    struct mega_batch batch;
    struct mega_optimizer optimizer;
};

static void open_small(struct small *s, struct mega_context *c, const char *more)
{
    struct mega_document d;
    struct mega_model_config config;
    char text[512];
    memset(s, 0, sizeof *s);
    snprintf(text, sizeof text, "%s%s }\n", recipe, more);
    assert_int_equal(mega_yaml_parse(&d, "test", text, strlen(text)), MEGA_OK);
    mega_status status = mega_model_config_read(&config, &d, mega_node_find(d.root, "model"));
    if (status) print_error("%s\n", mega_message());
    assert_int_equal(status, MEGA_OK);
    config.task = (struct mega_classifier_task){ { .vocabulary = 17 }, 10, 1 };
    assert_int_equal(mega_model_new(&s->model, &config, true, true), MEGA_OK);
    mega_document_done(&d);
    mega_store_fill(&s->model->store, 3);
    assert_int_equal(mega_optimizer_init(&s->optimizer, &c->work, s->model,
                         &(struct mega_adam){
                             .beta1 = 0.9, .beta2 = 0.98, .eps = 1e-8, .weight_decay = 0.01 }),
        MEGA_OK);
    enum { ROWS = 5, PLACES = 32 };
    static int32_t id[ROWS * PLACES], len[ROWS] = { 32, 7, 20, 1, 31 },
                                      label[ROWS] = { 0, 9, 4, 4, 2 };
    struct mega_rng g;
    mega_rng_start(&g, 1, 1);
    for (int i = 0; i < ROWS * PLACES; i++)
        id[i] = i % PLACES < len[i / PLACES] ? 1 + (int32_t)mega_rng_below(&g, 16) : 0;
    s->host = (struct mega_host_batch){
        .B = ROWS, .T = PLACES, .id = id, .len = len, .label = label
    };
    mega_batch_view(&s->batch, &s->host);
}

static void done_small(struct small *s)
{
    mega_optimizer_done(&s->optimizer);
    mega_model_free(s->model);
}

static void step(struct small *s, mega_run *r, int64_t n)
{
    double loss, norm;
    mega_status status =
        mega_pass_run(r, s->model, &s->batch, (struct mega_now){ 1, n }, 5, 0, 0, &loss);
    if (status) print_error("%s\n", mega_message());
    assert_int_equal(status, MEGA_OK);
    assert_int_equal(mega_optimizer_norm(&s->optimizer, &norm), MEGA_OK);
    mega_optimizer_step(&s->optimizer, 1e-2, norm);
}

static uint64_t hash_after(int64_t steps, const char *more, int threads, const char *rooms)
{
    struct small s;
    mega_context *c;
    mega_run *r;
    assert_int_equal(mega_context_new(&c,
                         &(struct mega_context_options){ .threads = threads, .rooms = rooms }),
        MEGA_OK);
    assert_int_equal(mega_run_new(&r, c), MEGA_OK);
    open_small(&s, c, more);
    for (int64_t i = 0; i < steps; i++) step(&s, r, i);
    uint64_t hash = mega_store_hash(&s.model->store);
    done_small(&s);
    mega_run_free(r);
    mega_context_free(c);
    return hash;
}

static void one_hash_for_any_number_of_threads(void **state)
{
    (void)state;
    uint64_t one = hash_after(20, "norm: layernorm", 1, NULL);
    assert_true(one == hash_after(20, "norm: layernorm", 2, NULL));
    assert_true(one == hash_after(20, "norm: layernorm", 3, NULL));
    assert_true(one == hash_after(20, "norm: layernorm", 5, NULL));
    assert_true(one != hash_after(19, "norm: layernorm", 1, NULL));
}

static void recomputation_changes_no_bit(void **state)
{
    (void)state;
    static const char *const models[] = { "norm: batchnorm",
        "norm: batchnorm, prenorm: true, feature_dropout: true",
        "norm: scalenorm, prenorm: true", "norm: rmsnorm, attention: laplace, bias: rotary" };
    static const char *const rooms[] = { NULL, "none" };
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < 4; i++) {
            char with[256], without[256];
            snprintf(with, sizeof with, "recompute: true, %s", models[i]);
            snprintf(without, sizeof without, "recompute: false, %s", models[i]);
            assert_true(
                hash_after(4, with, 2, rooms[k]) == hash_after(4, without, 2, rooms[k]));
        }
}

static void a_warm_step_allocates_nothing(void **state)
{
    struct setup *setup = *state;
    struct small s;
    open_small(&s, setup->context, "norm: batchnorm");
    for (int64_t i = 0; i < 3; i++) step(&s, setup->run, i);
    size_t before = mallinfo2().uordblks, peak = mega_run_peak(setup->run);
    for (int64_t i = 3; i < 8; i++) step(&s, setup->run, i);
    assert_true(mallinfo2().uordblks == before);
    assert_true(mega_run_peak(setup->run) == peak);
    done_small(&s);
}

static void blocks_without_a_tape_leave_only_their_carry(void **state)
{
    struct setup *setup = *state;
    struct small shallow, deep;
    size_t used[2];
    open_small(&shallow, setup->context, "norm: layernorm");
    open_small(&deep, setup->context, "norm: layernorm");
    struct small *each[] = { &shallow, &deep };
    for (int k = 0; k < 2; k++) {
        mega_run *r;
        mega_tensor *logits;
        assert_int_equal(mega_run_new(&r, setup->context), MEGA_OK);
        mega_run_begin(
            r, &(struct mega_run_args){ .mode = k ? 0 : MEGA_RUN_TRAIN | MEGA_RUN_GRAD });
        mega_classify_loss(r, each[k]->model, &each[k]->batch, &logits);
        assert_int_equal(mega_run_end(r), MEGA_OK);
        used[k] = mega_run_peak(r);
        mega_run_free(r);
    }
    /* evaluation holds one layer's values at a time, training all three layers' */
    assert_true(used[1] < used[0] / 2);
    done_small(&shallow);
    done_small(&deep);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open, done)
    const struct CMUnitTest tests[] = {
        TEST(the_first_error_stays),
        TEST(a_missing_input_is_an_error),
        TEST(gradients_of_views_meet_in_their_base),
        TEST(one_tensor_at_two_inputs_gets_both_gradients),
        TEST(check_mode_names_the_first_bad_tensor),
        TEST(one_hash_for_any_number_of_threads),
        TEST(recomputation_changes_no_bit),
        TEST(a_warm_step_allocates_nothing),
        TEST(blocks_without_a_tape_leave_only_their_carry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
