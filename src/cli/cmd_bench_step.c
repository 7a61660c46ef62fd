/* mega bench step: times whole steps of one model, as bench/peers does. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/rng.h"
#include "cli/bench_generate.h"
#include "cli/bench_model.h"
#include "cli/command.h"
#include "cli/median.h"
#include "cli/open.h"
#include "cli/profile.h"
#include "graph/precision.h"
#include "train/update.h"

enum { TRAIN, INFER, GENERATE }; /* mode */

struct options {
    int mode, precision;
    int64_t steps, warmup, tokens;
    bool profile;
    struct mega_bench_model model;
    struct mega_open open;
};

#define AT(member) offsetof(struct options, member)
#define SIZE(name, member, fallback, unit, help)                                               \
    {                                                                                          \
        name, MEGA_OPTION_INT, AT(member), fallback, 0, 1 << 30, NULL, unit, help, 0           \
    }

static const struct mega_option options[] = {
    { "mode", MEGA_OPTION_CHOICE, AT(mode), "train", 0, 0, "train|infer|generate", NULL,
        "a training step, a forward pass, or tokens one by one after a context", 0 },
    MEGA_BENCH_MODEL_OPTIONS(AT(model)),
    { "precision", MEGA_OPTION_CHOICE, AT(precision), "float32", 0, 0, MEGA_PRECISION_CHOICES,
        NULL, "of activations", 0 },
    SIZE("steps", steps, "5", "N", "timed steps"),
    SIZE("warmup", warmup, "2", "N", "steps before them"),
    SIZE("tokens", tokens, "32", "N", "tokens of a step that generates"),
    { "profile", MEGA_OPTION_BOOL, AT(profile), "false", 0, 0, NULL, NULL,
        "also tell where the time goes: a table on standard error, a member `profile`", 0 },
    MEGA_OPEN_OPTIONS(AT(open)),
    { 0 },
};

/* ---- random batches ---- */

static int32_t random_id(struct mega_rng *g, const struct mega_bench_model *m)
{
    return 1 + (int32_t)mega_rng_below(g, (uint32_t)(m->vocab - 1));
}

/* ids and classes */
static bool fill_rows(struct mega_host_batch *h, const struct mega_bench_model *m)
{
    struct mega_rng g;
    mega_rng_start(&g, 1, 2);
    *h = (struct mega_host_batch){ .B = m->batch, .T = m->length };
    h->id = malloc((size_t)(m->batch * m->length) * sizeof *h->id);
    h->len = malloc((size_t)m->batch * sizeof *h->len);
    h->label = malloc((size_t)m->batch * sizeof *h->label);
    if (!h->id || !h->len || !h->label) return false;
    for (int64_t i = 0; i < h->B * h->T; i++) h->id[i] = random_id(&g, m);
    for (int64_t i = 0; i < h->B; i++) {
        h->len[i] = (int32_t)h->T;
        h->label[i] = (int32_t)mega_rng_below(&g, (uint32_t)m->classes);
    }
    return true;
}

/* ids, of which each is the target of the one before */
static bool fill_text(struct mega_text_batch *h, const struct mega_bench_model *m)
{
    struct mega_rng g;
    mega_rng_start(&g, 1, 2);
    int64_t B = m->batch, T = m->length;
    *h = (struct mega_text_batch){ .B = B, .T = T, .begins = true, .ends = true };
    h->units = (struct mega_text_units){
        .passes = 1, .rows = B, .tokens = B * T, .targets = B * T, .last = true
    };
    h->id = malloc((size_t)(B * T) * sizeof *h->id);
    h->target = malloc((size_t)(B * T) * sizeof *h->target);
    h->len = malloc((size_t)B * sizeof *h->len);
    if (!h->id || !h->target || !h->len) return false;
    for (int64_t b = 0; b < B; b++) {
        h->len[b] = (int32_t)T;
        h->id[b * T] = random_id(&g, m);
        for (int64_t t = 0; t < T; t++) {
            int32_t next = random_id(&g, m);
            h->target[b * T + t] = next;
            if (t + 1 < T) h->id[b * T + t + 1] = next;
        }
    }
    return true;
}

static mega_status fill(struct mega_host *h, const struct mega_bench_model *m)
{
    h->is_text = m->decoder > 0;
    bool room = h->is_text ? fill_text(&h->text, m) : fill_rows(&h->rows, m);
    return room ? MEGA_OK : mega_fail(MEGA_NO_MEMORY, "no memory for a batch");
}

/* ---- steps ---- */

struct bench {
    const struct options *o;
    mega_context *context;
    mega_model *model;
    mega_run *run;
    struct mega_optimizer optimizer;
    struct mega_host host;
    struct mega_batch batch;
    struct mega_bench_generator generator;
    struct mega_profile *profile; /* or NULL */
    double loss, flops; /* flops: of the products of a training step, 0 where not counted */
};

/* of what the loss is the mean: rows, or targets */
static double units(const struct bench *b)
{
    return (double)(b->host.is_text ? b->batch.tokens : b->batch.n);
}

static mega_status train(struct bench *b, int64_t n)
{
    double norm;
    MEGA_TRY(mega_pass_run(
        b->run, b->model, &b->batch, (struct mega_now){ 1, n }, units(b), 0, 0, &b->loss));
    b->flops = mega_pass_flops(b->run);
    MEGA_TRY(mega_optimizer_norm(&b->optimizer, &norm));
    mega_optimizer_step(&b->optimizer, 1e-4, norm);
    b->loss /= units(b);
    return MEGA_OK;
}

static mega_status infer(struct bench *b)
{
    float sum = 0;
    MEGA_TRY(mega_run_begin(b->run, &(struct mega_run_args){ 0 }));
    mega_tensor *total = mega_batch_loss(b->run, b->model, &b->batch);
    if (total) mega_run_read(b->run, total, &sum);
    b->loss = (double)sum / units(b);
    return mega_run_end(b->run);
}

static mega_status step(struct bench *b, int64_t n)
{
    switch (b->o->mode) {
    case TRAIN: return train(b, n);
    case INFER: return infer(b);
    default: return mega_bench_generator_make(&b->generator, b->o->tokens);
    }
}

/* ---- what is printed ---- */

static void print(const struct bench *b, double *ms)
{
    const struct options *o = b->o;
    const struct mega_bench_model *m = &o->model;
    char mode[16], decoder[32];
    mega_choice_name("train|infer|generate", o->mode, mode, sizeof mode);
    mega_choice_name(MEGA_BENCH_DECODER_CHOICES, m->decoder, decoder, sizeof decoder);
    printf("{\"engine\": \"mega.c\", \"mode\": \"%s\", \"length\": %lld, \"batch\": %lld, "
           "\"chunk\": %lld, \"layers\": %lld, \"width\": %lld, \"decoder\": \"%s\", "
           "\"parameters\": %lld, \"threads\": %d, \"precision\": \"%s\", \"step_ms\": [",
        mode, (long long)m->length, (long long)m->batch, (long long)m->chunk,
        (long long)m->layers, (long long)m->width, decoder, (long long)b->model->store.numbers,
        mega_context_threads(b->context),
        mega_precision_type(o->precision) == MEGA_BF16 ? "bf16" : "float32");
    for (int64_t i = 0; i < o->steps; i++) printf("%s%.3f", i ? ", " : "", ms[i]);
    double median = mega_median(ms, (int)o->steps);
    int64_t tokens = m->batch * (o->mode == GENERATE ? o->tokens : m->length);
    printf("], \"median_ms\": %.3f, \"tokens_per_s\": %.1f, \"peak_rss_mb\": %.1f", median,
        (double)tokens / median * 1e3, (double)mega_memory_peak() * 1e-6);
    if (o->mode != GENERATE) printf(", \"loss\": %.6f", b->loss);
    if (b->flops > 0)
        printf(", \"gflop\": %.3f, \"gflop_per_s\": %.1f", b->flops * 1e-9,
            b->flops * 1e-6 / median);
    if (b->profile) {
        printf(", \"profile\": ");
        mega_profile_show(b->context, b->profile, true);
    }
    printf("}\n");
}

static mega_status measure(struct bench *b)
{
    const struct options *o = b->o;
    double *ms = calloc((size_t)o->steps + 1, sizeof *ms);
    mega_status status = ms ? MEGA_OK : mega_fail(MEGA_NO_MEMORY, "no memory");
    for (int64_t i = 0; i < o->warmup + o->steps && !status; i++) {
        if (i == o->warmup) mega_profile_forget(b->profile);
        double start = mega_clock_s();
        status = step(b, i);
        mega_profile_step(b->profile, start);
        if (i >= o->warmup) ms[i - o->warmup] = (mega_clock_s() - start) * 1e3;
    }
    if (!status) print(b, ms);
    free(ms);
    return status;
}

/* ---- before ---- */

static mega_status open_optimizer(struct bench *b)
{
    return mega_optimizer_init(&b->optimizer, &b->context->work, b->model,
        &(struct mega_adam){
            .beta1 = 0.9, .beta2 = 0.98, .eps = 1e-8, .weight_decay = 0.01, .clip_norm = 1 });
}

/* the context, of which no time counts */
static mega_status open_generator(struct bench *b, int64_t longest)
{
    const struct mega_bench_model *m = &b->o->model;
    MEGA_TRY(mega_bench_generator_init(&b->generator, b->model, b->run, m->batch, longest));
    return mega_bench_generator_read(&b->generator, b->host.text.id, m->length);
}

static mega_status bench(struct bench *b)
{
    const struct options *o = b->o;
    struct mega_model_config config;
    int64_t made = o->mode == GENERATE ? (o->warmup + o->steps) * o->tokens : 0,
            longest = o->model.length + made;
    MEGA_TRY(mega_open_context(&b->context, &o->open));
    MEGA_TRY(mega_bench_model_configure(&o->model, longest, &config));
    MEGA_TRY(mega_model_new(&b->model, &config, true, o->mode == TRAIN));
    mega_store_fill(&b->model->store, 1);
    MEGA_TRY(mega_run_new(&b->run, b->context));
    mega_run_set_dtype(b->run, mega_precision_type(o->precision));
    MEGA_TRY(open_optimizer(b));
    if (o->profile) MEGA_TRY(mega_profile_new(&b->profile));
    mega_run_profile(b->run, b->profile);
    b->optimizer.profile = b->profile;
    MEGA_TRY(fill(&b->host, &o->model));
    mega_batch_view(&b->batch, &b->host);
    if (o->mode == GENERATE) MEGA_TRY(open_generator(b, longest));
    return measure(b);
}

static mega_status check(const struct options *o)
{
    const struct mega_bench_model *m = &o->model;
    if (m->batch < 1 || m->length < 1 || o->steps < 1 || m->classes < 2 || m->vocab < 2)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "batch, length and steps must be at least 1, classes and vocab at least 2");
    if (o->mode == GENERATE && (!m->decoder || o->tokens < 1))
        return mega_fail(MEGA_BAD_ARGUMENT,
            "--mode generate makes at least 1 token a step (--tokens) with a language model: "
            "name one with --decoder");
    return MEGA_OK;
}

static int run(const struct mega_line *line)
{
    struct bench b = { .o = line->options };
    mega_status status = check(b.o);
    if (!status) status = bench(&b);
    mega_bench_generator_done(&b.generator);
    mega_host_done(&b.host);
    mega_optimizer_done(&b.optimizer);
    mega_profile_free(b.profile);
    mega_run_free(b.run);
    mega_model_free(b.model);
    mega_context_free(b.context);
    return status ? mega_command_fail(status) : MEGA_EXIT_OK;
}

const struct mega_command mega_command_bench_step = {
    .name = "bench step",
    .summary = "Time whole training steps or forward passes of a model",
    .words = "",
    .options = options,
    .options_size = sizeof(struct options),
    .manual =
        "Prints one JSON object. mega bench models measures this and the PyTorch peers of "
        "the same flags in turn and prints the comparison.\n\n"
        "With --decoder the model is a language model: in training and inference each place "
        "is asked for the next token, and --mode generate reads --length tokens first, "
        "outside the clock, and then makes --tokens in a step, one after another. Flags that "
        "the model has no use for are not heeded.\n\n"
        "--profile sums every op, forward and backward, by kernel and shapes, and every "
        "other stage of the step; what nobody accounts for is the rest. The share of the "
        "limit is counted as mega bench ops does; products and filters count FLOPs, all "
        "else only bytes.",
    .run = run,
};
