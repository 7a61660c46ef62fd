/* mega bench step: times whole steps of one model, as bench/peers does. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/rng.h"
#include "cli/command.h"
#include "cli/median.h"
#include "cli/open.h"
#include "cli/profile.h"
#include "graph/precision.h"
#include "train/update.h"

struct options {
    int mode, mixer, norm, attention, recompute, precision;
    int64_t heads, kv_heads, length, batch, chunk, width, values, keys, ffn, ema, layers,
        classes, vocab, prenorm, steps, warmup;
    double dropout;
    bool profile;
    struct mega_open open;
};

#define AT(member) offsetof(struct options, member)
#define SIZE(name, member, fallback, unit, help)                                               \
    {                                                                                          \
        name, MEGA_OPTION_INT, AT(member), fallback, 0, 1 << 30, NULL, unit, help, 0           \
    }

static const struct mega_option options[] = {
    { "mode", MEGA_OPTION_CHOICE, AT(mode), "train", 0, 0, "train|infer", NULL,
        "a training step, or a forward pass", 0 },
    { "mixer", MEGA_OPTION_CHOICE, AT(mixer), "mega", 0, 0, MEGA_MIXER_CHOICES, NULL,
        "Mega, or the Transformer's attention", 0 },
    SIZE("heads", heads, "4", "H", "attention: heads of queries, width / H wide"),
    SIZE("kv-heads", kv_heads, "0", "G", "attention: heads of keys and values; 0: as many"),
    SIZE("length", length, "1024", "T", "places of a row"),
    SIZE("batch", batch, "2", "B", "rows"),
    SIZE("chunk", chunk, "0", "C", "attention window; 0: full attention"),
    SIZE("width", width, "128", "D", "model width"),
    SIZE("values", values, "256", "E", "value width; also of the head's hidden layer"),
    SIZE("keys", keys, "64", "Z", "query and key width"),
    SIZE("ffn", ffn, "256", "F", "feed-forward width"),
    SIZE("ema", ema, "16", "N", "EMA states a channel"),
    SIZE("layers", layers, "4", "N", "blocks"),
    SIZE("classes", classes, "2", "N", "classes"),
    SIZE("vocab", vocab, "257", "V", "ids"),
    { "norm", MEGA_OPTION_CHOICE, AT(norm), "scalenorm", 0, 0, MEGA_NORM_CHOICES, NULL,
        "kind of norm", 0 },
    SIZE("prenorm", prenorm, "0", "0|1", "norm before each block instead of after"),
    { "attention", MEGA_OPTION_CHOICE, AT(attention), "softmax", 0, 0, MEGA_ATTENTION_CHOICES,
        NULL, "attention function", 0 },
    { "dropout", MEGA_OPTION_REAL, AT(dropout), "0", 0, 0.99, NULL, "P", "dropout", 0 },
    { "precision", MEGA_OPTION_CHOICE, AT(precision), "float32", 0, 0, MEGA_PRECISION_CHOICES,
        NULL, "of activations", 0 },
    SIZE("steps", steps, "5", "N", "timed steps"),
    SIZE("warmup", warmup, "2", "N", "steps before them"),
    { "recompute", MEGA_OPTION_CHOICE, AT(recompute), "none", 0, 0, "none|cheap|block", NULL,
        "what the backward pass makes again rather than keep", 0 },
    { "profile", MEGA_OPTION_BOOL, AT(profile), "false", 0, 0, NULL, NULL,
        "also tell where the time goes: a table on standard error, a member `profile`", 0 },
    MEGA_OPEN_OPTIONS(AT(open)),
    { 0 },
};

/* what only one of the mixers has */
static void describe_mixer(struct mega_text *text, const struct options *o)
{
    char mixer[32], attention[32];
    mega_choice_name(MEGA_MIXER_CHOICES, o->mixer, mixer, sizeof mixer);
    mega_choice_name(MEGA_ATTENTION_CHOICES, o->attention, attention, sizeof attention);
    mega_text_add(text, "mixer: %s, ", mixer);
    if (!strcmp(mixer, "attention"))
        mega_text_add(text,
            "heads: %lld, kv_heads: %lld, attention_bias: true, positions: learned, "
            "activation: gelu",
            (long long)o->heads, (long long)o->kv_heads);
    else
        mega_text_add(text, "values: %lld, keys: %lld, ema: %lld, attention: %s",
            (long long)o->values, (long long)o->keys, (long long)o->ema, attention);
}

/* the model that the flags describe */
static mega_status configure(const struct options *o, struct mega_model_config *c)
{
    struct mega_text text = { 0 };
    struct mega_document d;
    char norm[32], recompute[32];
    mega_choice_name(MEGA_RECOMPUTE_CHOICES, o->recompute, recompute, sizeof recompute);
    mega_choice_name(MEGA_NORM_CHOICES, o->norm, norm, sizeof norm);
    mega_text_add(&text, "model: { ");
    describe_mixer(&text, o);
    mega_text_add(&text,
        ", layers: %lld, width: %lld, ffn: %lld, chunk: %lld, longest: %lld, norm: %s, "
        "prenorm: %s, dropout: %g, head_width: %lld, recompute: %s }\n",
        (long long)o->layers, (long long)o->width, (long long)o->ffn,
        (long long)(o->chunk ? o->chunk : -1), (long long)o->length, norm,
        o->prenorm ? "true" : "false", o->dropout, (long long)o->values, recompute);
    mega_status status = text.failed ? mega_fail(MEGA_NO_MEMORY, "no memory")
                                     : mega_yaml_parse(&d, "the flags", text.data, text.size);
    mega_text_done(&text);
    if (status) return status;
    status = mega_model_config_read(c, MEGA_CLASSIFIER, &d, mega_node_find(d.root, "model"));
    mega_document_done(&d);
    c->task = (struct mega_classifier_task){ { .vocabulary = o->vocab }, o->classes, 1 };
    return status;
}

/* random ids and classes */
static void fill(struct mega_host_batch *h, const struct options *o)
{
    struct mega_rng g;
    mega_rng_start(&g, 1, 2);
    for (int64_t i = 0; i < h->B * h->T; i++)
        h->id[i] = 1 + (int32_t)mega_rng_below(&g, (uint32_t)(o->vocab - 1));
    for (int64_t i = 0; i < h->B; i++) {
        h->len[i] = (int32_t)h->T;
        h->label[i] = (int32_t)mega_rng_below(&g, (uint32_t)o->classes);
    }
}

struct bench {
    const struct options *o;
    mega_context *context;
    mega_model *model;
    mega_run *run;
    struct mega_optimizer optimizer;
    struct mega_batch batch;
    struct mega_profile *profile; /* or NULL */
    double loss, flops; /* flops: of the products of a training step, 0 where not counted */
};

static mega_status step(struct bench *b, int64_t n)
{
    double norm;
    if (b->o->mode == 0) {
        MEGA_TRY(mega_pass_run(b->run, b->model, &b->batch, (struct mega_now){ 1, n },
            (double)b->batch.n, 0, 0, &b->loss));
        b->flops = mega_pass_flops(b->run);
        MEGA_TRY(mega_optimizer_norm(&b->optimizer, &norm));
        mega_optimizer_step(&b->optimizer, 1e-4, norm);
        b->loss /= (double)b->batch.n;
        return MEGA_OK;
    }
    float sum = 0;
    MEGA_TRY(mega_run_begin(b->run, &(struct mega_run_args){ 0 }));
    mega_tensor *total = mega_batch_loss(b->run, b->model, &b->batch);
    if (total) mega_run_read(b->run, total, &sum);
    b->loss = (double)sum / (double)b->batch.n;
    return mega_run_end(b->run);
}

static void print(const struct bench *b, double *ms)
{
    const struct options *o = b->o;
    printf("{\"engine\": \"mega.c\", \"mode\": \"%s\", \"length\": %lld, \"batch\": %lld, "
           "\"chunk\": %lld, \"layers\": %lld, \"width\": %lld, \"threads\": %d, "
           "\"precision\": \"%s\", "
           "\"step_ms\": [",
        o->mode ? "infer" : "train", (long long)o->length, (long long)o->batch,
        (long long)o->chunk, (long long)o->layers, (long long)o->width,
        mega_context_threads(b->context),
        mega_precision_type(o->precision) == MEGA_BF16 ? "bf16" : "float32");
    for (int64_t i = 0; i < o->steps; i++) printf("%s%.3f", i ? ", " : "", ms[i]);
    double median = mega_median(ms, (int)o->steps);
    printf("], \"median_ms\": %.3f, \"tokens_per_s\": %.1f, \"peak_rss_mb\": %.1f, \"loss\": "
           "%.6f",
        median, (double)(o->batch * o->length) / median * 1e3,
        (double)mega_memory_peak() * 1e-6, b->loss);
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

static mega_status bench(struct bench *b)
{
    const struct options *o = b->o;
    struct mega_model_config config;
    MEGA_TRY(mega_open_context(&b->context, &o->open));
    MEGA_TRY(configure(o, &config));
    MEGA_TRY(mega_model_new(&b->model, &config, true, o->mode == 0));
    mega_store_fill(&b->model->store, 1);
    MEGA_TRY(mega_run_new(&b->run, b->context));
    mega_run_set_dtype(b->run, mega_precision_type(o->precision));
    MEGA_TRY(mega_optimizer_init(&b->optimizer, &b->context->work, b->model,
        &(struct mega_adam){
            .beta1 = 0.9, .beta2 = 0.98, .eps = 1e-8, .weight_decay = 0.01, .clip_norm = 1 }));
    if (o->profile) MEGA_TRY(mega_profile_new(&b->profile));
    mega_run_profile(b->run, b->profile);
    b->optimizer.profile = b->profile;
    struct mega_host_batch host = { .B = o->batch, .T = o->length };
    host.id = malloc((size_t)(o->batch * o->length) * sizeof *host.id);
    host.len = malloc((size_t)o->batch * sizeof *host.len);
    host.label = malloc((size_t)o->batch * sizeof *host.label);
    mega_status status = host.id && host.len && host.label
                             ? MEGA_OK
                             : mega_fail(MEGA_NO_MEMORY, "no memory for a batch");
    if (!status) {
        fill(&host, o);
        mega_batch_view_rows(&b->batch, &host);
        status = measure(b);
    }
    mega_host_batch_done(&host);
    return status;
}

static int run(const struct mega_line *line)
{
    const struct options *o = line->options;
    struct bench b = { .o = o };
    if (o->batch < 1 || o->length < 1 || o->steps < 1 || o->classes < 2 || o->vocab < 2)
        return mega_command_fail(mega_fail(MEGA_BAD_ARGUMENT,
            "batch, length and steps must be at least 1, classes and vocab at least 2"));
    mega_status status = bench(&b);
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
        "--profile sums every op, forward and backward, by kernel and shapes, and every "
        "other stage of the step; what nobody accounts for is the rest. The share of the "
        "limit is counted as mega bench ops does; products and filters count FLOPs, all "
        "else only bytes.",
    .run = run,
};
