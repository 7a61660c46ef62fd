/* Training steps of a small model: one result for any number of threads, recomputation that
 * changes no bit, memory, and warm steps that allocate nothing. */
#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cmocka_all.h"

#include "base/rng.h"
#include "model/model.h"
#include "task/classify.h"
#include "train/update.h"

/* ---- counting allocations ---- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTED 0 /* sanitizers have an allocator of their own */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define COUNTED 0
#endif
#endif
#if !defined(COUNTED) && defined(__GLIBC__)
#define COUNTED 1
#endif

static atomic_bool counting;
static atomic_long allocations;

#if COUNTED
/* Every allocation of the process comes through here, those of OpenMP included. */
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);

static void count_one(void)
{
    if (atomic_load(&counting)) atomic_fetch_add(&allocations, 1);
}

void *malloc(size_t n)
{
    count_one();
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    count_one();
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    count_one();
    return __libc_realloc(p, n);
}

void *aligned_alloc(size_t align, size_t n)
{
    count_one();
    return __libc_memalign(align, n);
}

int posix_memalign(void **p, size_t align, size_t n)
{
    count_one();
    *p = __libc_memalign(align, n);
    return *p ? 0 : ENOMEM;
}

void *mmap(void *at, size_t n, int protection, int flags, int file, off_t offset)
{
    count_one();
    return (void *)syscall(SYS_mmap, at, n, protection, flags, file, offset);
}

int mprotect(void *at, size_t n, int protection)
{
    count_one();
    return (int)syscall(SYS_mprotect, at, n, protection);
}
#endif

/* ---- models ---- */

/* small: odd sizes; large: enough work for all threads and kernels */
struct size {
    const char *recipe;
    int rows, places;
    double rate;      /* of learning */
    mega_dtype dtype; /* of activations */
};
static const struct size small = {
    "width: 12, values: 10, keys: 4, ffn: 14, ema: 3, chunk: 8, head_width: 9", 5, 32, 1e-2,
    MEGA_F32
};
static const struct size large = {
    "width: 72, values: 136, keys: 24, ffn: 144, ema: 16, chunk: 64, head_width: 72", 6, 192,
    1e-2, MEGA_F32
};
static const struct size transformer = {
    "mixer: attention, width: 72, heads: 6, kv_heads: 2, ffn: 144, head_width: 72", 6, 192,
    1e-2, MEGA_F32
};

static struct size in_bfloat16(const struct size *size)
{
    struct size half = *size;
    half.dtype = MEGA_BF16;
    return half;
}

enum { ROWS_MOST = 6, PLACES_MOST = 192 };

struct training {
    mega_context *context;
    mega_run *run;
    mega_model *model;
    struct mega_batch batch;
    struct mega_optimizer optimizer;
    double rate;
    int32_t id[ROWS_MOST * PLACES_MOST], len[ROWS_MOST], label[ROWS_MOST];
};

static void make_model(struct training *t, const struct size *size, const char *more)
{
    static const char dropouts[] =
        "dropout: 0.2, hidden_dropout: 0.1, attention_dropout: 0.1, longest: 192";
    static const struct mega_adam adam = {
        .beta1 = 0.9, .beta2 = 0.98, .eps = 1e-8, .weight_decay = 0.01
    };
    struct mega_document d;
    struct mega_model_config config;
    char text[512];
    snprintf(text, sizeof text, "model: { %s, %s, %s%s }\n", size->recipe, dropouts,
        strstr(more, "layers") ? "" : "layers: 2, ", more);
    assert_int_equal(mega_yaml_parse(&d, "test", text, strlen(text)), MEGA_OK);
    mega_status status =
        mega_model_config_read(&config, MEGA_CLASSIFIER, &d, mega_node_find(d.root, "model"));
    if (status) print_error("%s\n", mega_message());
    assert_int_equal(status, MEGA_OK);
    config.task = (struct mega_classifier_task){ { .vocabulary = 17 }, 10, 1 };
    assert_int_equal(mega_model_new(&t->model, &config, true, true), MEGA_OK);
    mega_document_done(&d);
    mega_store_fill(&t->model->store, 3);
    assert_int_equal(
        mega_optimizer_init(&t->optimizer, &t->context->work, t->model, &adam), MEGA_OK);
}

/* rows of different length: whole, one place, and between */
static void make_batch(struct training *t, const struct size *size)
{
    struct mega_rng g;
    mega_rng_start(&g, 1, 1);
    for (int b = 0; b < size->rows; b++) {
        t->len[b] = b == 0 ? size->places : b == 1 ? 1 : size->places * b / size->rows + 1;
        t->label[b] = b % 10;
        for (int i = 0; i < size->places; i++) {
            int32_t id = 1 + (int32_t)mega_rng_below(&g, 16);
            t->id[b * size->places + i] = i < t->len[b] ? id : 0;
        }
    }
    mega_batch_view_rows(&t->batch, &(struct mega_host_batch){ .B = size->rows,
                                        .T = size->places,
                                        .id = t->id,
                                        .len = t->len,
                                        .label = t->label });
}

static void start(struct training *t, const struct size *size, const char *more, int threads,
    const char *rooms)
{
    memset(t, 0, sizeof *t);
    assert_int_equal(mega_context_new(&t->context,
                         &(struct mega_context_options){ .threads = threads, .rooms = rooms }),
        MEGA_OK);
    assert_int_equal(mega_run_new(&t->run, t->context), MEGA_OK);
    mega_run_set_dtype(t->run, size->dtype);
    t->rate = size->rate;
    make_model(t, size, more);
    make_batch(t, size);
}

static void done(struct training *t)
{
    mega_optimizer_done(&t->optimizer);
    mega_model_free(t->model);
    mega_run_free(t->run);
    mega_context_free(t->context);
}

static void step(struct training *t, int64_t n, double *loss)
{
    double norm;
    mega_status status = mega_pass_run(
        t->run, t->model, &t->batch, (struct mega_now){ 1, n }, (double)t->batch.n, 0, 0, loss);
    if (status) print_error("%s\n", mega_message());
    assert_int_equal(status, MEGA_OK);
    assert_int_equal(mega_optimizer_norm(&t->optimizer, &norm), MEGA_OK);
    mega_optimizer_step(&t->optimizer, t->rate, norm);
}

enum { STEPS_MOST = 30 };

struct outcome {
    uint64_t hash; /* of parameters and running statistics */
    double loss[STEPS_MOST];
};

static struct outcome train(
    const struct size *size, int64_t steps, const char *more, int threads, const char *rooms)
{
    static struct training t;
    struct outcome out = { 0 };
    start(&t, size, more, threads, rooms);
    for (int64_t i = 0; i < steps; i++) step(&t, i, &out.loss[i]);
    out.hash = mega_store_hash(&t.model->store);
    done(&t);
    return out;
}

static void assert_same(struct outcome a, struct outcome b)
{
    assert_true(a.hash == b.hash);
    for (int i = 0; i < STEPS_MOST; i++) assert_true(a.loss[i] == b.loss[i]);
}

/* ---- tests ---- */

static void one_hash_for_any_number_of_threads(void **state)
{
    (void)state;
    static const char *const models[] = { "norm: layernorm",
        "norm: batchnorm, prenorm: true, attention: laplace" };
    for (int i = 0; i < 2; i++) {
        struct outcome one = train(&large, 20, models[i], 1, NULL);
        assert_same(one, train(&large, 20, models[i], 2, NULL));
        assert_same(one, train(&large, 20, models[i], 3, NULL));
        assert_same(one, train(&large, 20, models[i], 5, NULL));
        assert_true(one.hash != train(&large, 19, models[i], 1, NULL).hash);
    }
}

static void steps_go_down(void **state)
{
    (void)state;
    struct outcome o = train(&large, 20, "norm: layernorm", 2, NULL);
    assert_true(isfinite(o.loss[19]) && o.loss[19] < o.loss[0] / 2);
}

/* the same with cheap ops or the first blocks made again, as auto chooses */
static struct outcome train_again(
    const struct size *size, int64_t steps, const char *more, const char *rooms, int64_t effort)
{
    static struct training t;
    struct outcome out = { 0 };
    start(&t, size, more, 2, rooms);
    mega_stack_set_effort(&t.model->classifier.encoder.stack, effort);
    assert_int_equal(mega_stack_effort(&t.model->classifier.encoder.stack), effort);
    for (int64_t i = 0; i < steps; i++) step(&t, i, &out.loss[i]);
    out.hash = mega_store_hash(&t.model->store);
    done(&t);
    return out;
}

static void recomputation_changes_no_bit(void **state)
{
    (void)state;
    static const char *const models[] = { "norm: batchnorm, layers: 3",
        "norm: batchnorm, prenorm: true, feature_dropout: true, layers: 3",
        "norm: scalenorm, prenorm: true, layers: 3",
        "norm: rmsnorm, attention: laplace, bias: rotary, layers: 3" };
    static const char *const rooms[] = { NULL, "none", NULL };
    static const struct size *const sizes[] = { &small, &small, &large };
    for (int i = 0; i < 4; i++) {
        char every[128];
        snprintf(every, sizeof every, "recompute: block, %s", models[i]);
        for (int k = 0; k < 3; k++) {
            struct outcome kept = train(sizes[k], 4, models[i], 2, rooms[k]);
            assert_same(kept, train(sizes[k], 4, every, 2, rooms[k]));
            for (int64_t effort = 1; effort < 4; effort += 2)
                assert_same(kept, train_again(sizes[k], 4, models[i], rooms[k], effort));
        }
    }
}

static void a_transformer_does_not_depend_on_threads_or_recomputation(void **state)
{
    (void)state;
    static const char *const models[] = { "prenorm: true, positions: learned",
        "norm: rmsnorm, rotary: half, gated: true, positions: sinusoidal" };
    for (int i = 0; i < 2; i++) {
        char again[128];
        snprintf(again, sizeof again, "recompute: true, %s", models[i]);
        struct outcome one = train(&transformer, 20, models[i], 1, NULL);
        assert_same(one, train(&transformer, 20, models[i], 3, NULL));
        assert_same(one, train(&transformer, 20, again, 2, NULL));
        assert_true(isfinite(one.loss[19]) && one.loss[19] < one.loss[0]);
    }
}

/* every model of these tests, as bfloat16 goes through every op that it has */
static void bfloat16_follows_float32(void **state)
{
    (void)state;
    static const struct {
        const struct size *size;
        const char *more;
    } models[] = { { &large, "norm: layernorm" },
        { &large, "norm: scalenorm, prenorm: true, attention: laplace, bias: rotary" },
        { &large, "norm: batchnorm" }, { &transformer, "prenorm: true, positions: learned" },
        { &transformer, "norm: rmsnorm, rotary: half, gated: true, positions: sinusoidal" } };
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        /* slowly, or the roundings send the two to different minima */
        struct size full = *models[i].size;
        full.rate = 1e-3;
        struct size half = in_bfloat16(&full);
        struct outcome wide = train(&full, STEPS_MOST, models[i].more, 2, NULL),
                       narrow = train(&half, STEPS_MOST, models[i].more, 2, NULL);
        assert_true(narrow.hash != wide.hash);
        for (int k = 0; k < STEPS_MOST; k++)
            if (!(fabs(narrow.loss[k] - wide.loss[k]) < 0.02 * wide.loss[0]))
                fail_msg("%s, step %d: the loss is %g, in float32 %g", models[i].more, k,
                    narrow.loss[k], wide.loss[k]);
    }
}

static void bfloat16_does_not_depend_on_threads_or_recomputation(void **state)
{
    (void)state;
    struct size half = in_bfloat16(&large);
    struct outcome one = train(&half, 5, "norm: batchnorm", 1, NULL);
    assert_same(one, train(&half, 5, "norm: batchnorm", 3, NULL));
    assert_same(one, train(&half, 5, "norm: batchnorm, recompute: block", 2, NULL));
}

static void a_warm_step_allocates_nothing(void **state)
{
    (void)state;
    static const char *const models[] = { "norm: layernorm",
        "norm: batchnorm, recompute: block",
        "norm: rmsnorm, prenorm: true, attention: laplace, bias: rotary" };
    static struct training t;
    struct mega_profile *profile;
    double loss;
    if (!COUNTED) skip();
    assert_int_equal(mega_profile_new(&profile), MEGA_OK);
    for (int i = 0; i < 6; i++) {
        start(&t, i < 3 ? &small : &large, models[i % 3], 2, NULL);
        /* a profile changes nothing about it */
        mega_run_profile(t.run, i % 2 ? profile : NULL);
        for (int64_t k = 0; k < 3; k++) step(&t, k, &loss);
        size_t peak = mega_run_peak(t.run);
        atomic_store(&allocations, 0);
        atomic_store(&counting, true);
        for (int64_t k = 3; k < 8; k++) step(&t, k, &loss);
        atomic_store(&counting, false);
        assert_int_equal(atomic_load(&allocations), 0);
        assert_true(mega_run_peak(t.run) == peak);
        done(&t);
    }
    mega_profile_free(profile);
}

static size_t peak_of(const struct size *size, const char *more, unsigned mode)
{
    static struct training t;
    start(&t, size, more, 2, NULL);
    mega_run_begin(t.run, &(struct mega_run_args){ .mode = mode });
    mega_tensor *loss = mega_batch_loss(t.run, t.model, &t.batch);
    if (mode & MEGA_RUN_GRAD) {
        mega_run_seed(t.run, loss, 1);
        mega_run_backward(t.run);
    }
    assert_int_equal(mega_run_end(t.run), MEGA_OK);
    size_t peak = mega_run_peak(t.run);
    done(&t);
    return peak;
}

static void recomputation_and_evaluation_need_less_memory(void **state)
{
    (void)state;
    unsigned train = MEGA_RUN_TRAIN | MEGA_RUN_GRAD;
    size_t plain = peak_of(&large, "layers: 8", train | MEGA_RUN_PLAIN),
           keep = peak_of(&large, "layers: 8", train),
           again = peak_of(&large, "layers: 8, recompute: block", train),
           cheap = peak_of(&large, "layers: 8, recompute: cheap", train),
           evaluate = peak_of(&large, "layers: 8", 0),
           shallow = peak_of(&large, "layers: 2", 0);
    assert_true(again < keep / 2);
    /* what cheap ops make in sweeps is not kept anyway */
    assert_true(keep < plain * 8 / 10);
    assert_true(cheap <= keep);
    assert_true(evaluate < keep / 4);
    /* six more layers cost their carries */
    assert_true(evaluate - shallow < 8 * 6 * 192 * 72 * sizeof(float));
}

static void bfloat16_needs_less_memory(void **state)
{
    (void)state;
    struct size half = in_bfloat16(&large);
    unsigned mode = MEGA_RUN_TRAIN | MEGA_RUN_GRAD;
    size_t wide = peak_of(&large, "layers: 8", mode),
           narrow = peak_of(&half, "layers: 8", mode);
    assert_true(narrow < 0.65 * (double)wide);
}

static void a_dry_step_knows_the_memory_of_a_real_one(void **state)
{
    (void)state;
    static const char *const models[] = { "norm: layernorm",
        "norm: batchnorm, recompute: block", "norm: layernorm, recompute: cheap" };
    const struct size sizes[] = { large, in_bfloat16(&large) };
    unsigned mode = MEGA_RUN_TRAIN | MEGA_RUN_GRAD;
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < 3; i++) {
            size_t real = peak_of(&sizes[k], models[i], mode),
                   dry = peak_of(&sizes[k], models[i], mode | MEGA_RUN_DRY);
            assert_true(dry == real);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_hash_for_any_number_of_threads),
        cmocka_unit_test(steps_go_down),
        cmocka_unit_test(recomputation_changes_no_bit),
        cmocka_unit_test(a_transformer_does_not_depend_on_threads_or_recomputation),
        cmocka_unit_test(bfloat16_follows_float32),
        cmocka_unit_test(bfloat16_does_not_depend_on_threads_or_recomputation),
        cmocka_unit_test(a_warm_step_allocates_nothing),
        cmocka_unit_test(recomputation_and_evaluation_need_less_memory),
        cmocka_unit_test(bfloat16_needs_less_memory),
        cmocka_unit_test(a_dry_step_knows_the_memory_of_a_real_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
