/* Generating (megac/generate.h): texts to ids, ids through a composer, bytes to the listener.
 */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "graph/precision.h"
#include "infer/state.h"
#include "infer/stops.h"
#include "infer/text_model.h"
#include "infer/truncation.h"

enum { PIECE = 256 }; /* places of a prompt in one pass */

/* the way of a text's new ids to its listener */
struct voice {
    int64_t prompt, sample;
    mega_decoder *decoder;
    struct mega_stops stops;
    bool stopped;
};

struct mega_generator {
    mega_context *context;
    mega_run *run;
    struct mega_text_model text;
    struct mega_generate_options options;
    int32_t end[1];
    struct mega_composer composer;
    bool composes; /* there is a composer, maybe with texts */
    struct voice *voice;
    int64_t voices;
    mega_generate_fn *listen;
    void *arg;
    mega_status status; /* the first failure while listening */
    int64_t fed;        /* by composers that are gone */
};

const char *mega_ending_name(enum mega_ending ending)
{
    static const char *const names[] = { "none", "tokens", "end", "stop", "context",
        "interrupted" };
    return names[ending];
}

void mega_generate_options_init(struct mega_generate_options *o)
{
    *o = (struct mega_generate_options){ .temperature = 1,
        .top_p = 1,
        .repetition_penalty = 1,
        .seed = 1,
        .tokens = 256,
        .samples = 1,
        .batch = 8 };
}

/* ---- opening ---- */

static mega_status open_all(
    mega_generator *g, const char *model, const struct mega_generator_options *o)
{
    int precision = o->precision && *o->precision
                        ? mega_choice_find(MEGA_PRECISION_CHOICES, o->precision)
                        : MEGA_PRECISION_FLOAT32;
    if (precision < 0)
        return mega_fail(MEGA_BAD_ARGUMENT, "precision is %s, expected " MEGA_PRECISION_CHOICES,
            o->precision);
    MEGA_TRY(mega_text_model_open(&g->text, model, o->tokenizer, o->begin));
    MEGA_TRY(mega_truncation_set(&g->text.step, o->truncate_chunks));
    MEGA_TRY(mega_run_new(&g->run, g->context));
    mega_run_set_dtype(g->run, mega_precision_type(precision));
    return MEGA_OK;
}

mega_status mega_generator_open(mega_generator **out, mega_context *c, const char *model,
    const struct mega_generator_options *options)
{
    struct mega_generator_options plain = { 0 };
    *out = NULL;
    mega_generator *g = calloc(1, sizeof *g);
    if (!g) return mega_fail(MEGA_NO_MEMORY, "no memory for a generator");
    g->context = c;
    mega_status status = open_all(g, model, options ? options : &plain);
    if (status)
        mega_generator_close(g);
    else
        *out = g;
    return status;
}

static void close_voices(mega_generator *g)
{
    for (int64_t i = 0; i < g->voices; i++) {
        mega_decoder_close(g->voice[i].decoder);
        mega_stops_done(&g->voice[i].stops);
    }
    free(g->voice);
    g->voice = NULL;
    g->voices = 0;
}

static void close_composer(mega_generator *g)
{
    close_voices(g);
    if (!g->composes) return;
    if (g->composer.has_slots) g->fed += g->composer.slots.fed;
    mega_composer_done(&g->composer);
    g->composes = false;
}

void mega_generator_close(mega_generator *g)
{
    if (!g) return;
    close_composer(g);
    mega_run_free(g->run);
    mega_text_model_close(&g->text);
    free(g);
}

const mega_tokenizer *mega_generator_tokenizer(const mega_generator *g)
{
    return g->text.tokenizer;
}

int64_t mega_generator_context(const mega_generator *g)
{
    return g->text.step.longest;
}

int64_t mega_generator_texts(const mega_generator *g)
{
    return g->composes ? g->composer.n : 0;
}

int64_t mega_generator_fed(const mega_generator *g)
{
    return g->fed + (g->composes && g->composer.has_slots ? g->composer.slots.fed : 0);
}

/* ---- listening ---- */

/* keeps a failure for the end of the work */
static bool fine(mega_generator *g, mega_status status)
{
    if (!g->status) g->status = status;
    return !status;
}

/* hands on what can go out; false: the listener has enough */
static bool tell(
    mega_generator *g, struct voice *v, const struct mega_draft *d, enum mega_ending ending)
{
    struct mega_generated heard = { .text = v - g->voice,
        .prompt = v->prompt,
        .sample = v->sample,
        .ending = ending,
        .id = d->id,
        .n = d->n,
        .from = d->from };
    heard.bytes = mega_stops_take(&v->stops, ending != MEGA_ENDING_NONE, &heard.size);
    if (!heard.size && !ending) return true;
    return g->listen(g->arg, &heard);
}

/* bytes that belong to the text, up to a stop string; false: something failed */
static bool add_bytes(mega_generator *g, struct voice *v, const char *bytes, size_t size)
{
    if (v->stopped) return true;
    return fine(g, mega_stops_add(&v->stops, bytes, size, &v->stopped));
}

static enum mega_ending hear(void *arg, int64_t draft, const struct mega_draft *d)
{
    mega_generator *g = arg;
    struct voice *v = &g->voice[draft];
    const char *bytes;
    size_t size;
    if (g->status) return MEGA_ENDING_INTERRUPTED;
    mega_status status = d->ending
                             ? mega_decoder_flush(v->decoder, &bytes, &size)
                             : mega_decoder_add(v->decoder, d->id[d->n - 1], &bytes, &size);
    if (!fine(g, status) || !add_bytes(g, v, bytes, size)) return MEGA_ENDING_INTERRUPTED;
    if (d->ending) {
        tell(g, v, d, d->ending);
        return d->ending;
    }
    if (v->stopped) return MEGA_ENDING_STOP; /* what is held goes out with the end */
    return tell(g, v, d, MEGA_ENDING_NONE) ? MEGA_ENDING_NONE : MEGA_ENDING_INTERRUPTED;
}

static mega_status open_voices(mega_generator *g, const bool *inside)
{
    close_voices(g);
    int64_t n = g->composer.n;
    g->voice = calloc((size_t)n + 1, sizeof *g->voice);
    if (!g->voice) return mega_fail(MEGA_NO_MEMORY, "no memory for %lld texts", (long long)n);
    g->voices = n;
    for (int64_t i = 0, prompt = -1; i < n; i++) {
        struct voice *v = &g->voice[i];
        v->sample = (int64_t)g->composer.draft[i].number;
        /* samples of a prompt stand in order */
        if (!i || v->sample <= g->voice[i - 1].sample) prompt++;
        v->prompt = prompt;
        struct mega_decode_options how = { .inside = !inside || inside[i] };
        MEGA_TRY(mega_decoder_open(&v->decoder, g->text.tokenizer, &how));
        MEGA_TRY(mega_stops_init(&v->stops, g->options.stop, NULL, g->options.stops));
    }
    return MEGA_OK;
}

static mega_status compose(mega_generator *g, mega_generate_fn *listen, void *arg)
{
    g->listen = listen;
    g->arg = arg;
    g->status = MEGA_OK;
    MEGA_TRY(mega_composer_run(&g->composer, hear, g));
    return g->status;
}

/* ---- working ---- */

static mega_status check(const struct mega_generate_options *o)
{
    if (o->tokens < 0 || o->samples < 1 || o->batch < 1)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "%lld tokens, %lld samples, %lld texts side by side: expected at least 0, 1 and 1",
            (long long)o->tokens, (long long)o->samples, (long long)o->batch);
    struct mega_stops stops;
    mega_status status = mega_stops_init(&stops, o->stop, NULL, o->stops);
    mega_stops_done(&stops);
    return status;
}

static struct mega_compose_options compose_options(const mega_generator *g)
{
    const struct mega_generate_options *o = &g->options;
    return (struct mega_compose_options){
        .sampling = { o->temperature, o->top_k, o->top_p, o->min_p, o->repetition_penalty,
            o->seed },
        .rows = o->batch,
        .piece = PIECE,
        .tokens = o->tokens,
        .slide = o->slide,
        .end = g->end,
        .n_end = g->text.eos >= 0 && !o->ignore_end,
    };
}

static mega_status take_options(mega_generator *g, const struct mega_generate_options *options)
{
    if (options)
        g->options = *options;
    else
        mega_generate_options_init(&g->options);
    g->end[0] = g->text.eos;
    return check(&g->options);
}

static mega_status open_composer(mega_generator *g, const struct mega_generate_options *options)
{
    close_composer(g);
    MEGA_TRY(take_options(g, options));
    struct mega_compose_options o = compose_options(g);
    MEGA_TRY(
        mega_composer_init(&g->composer, &g->text.step, g->run, g->context->limits.isa, &o));
    g->composes = true;
    return MEGA_OK;
}

static mega_status add_prompt(
    mega_generator *g, const struct mega_prompt *prompt, struct mega_ids *ids)
{
    ids->n = 0;
    MEGA_TRY(mega_text_model_encode(
        &g->text, prompt->text, prompt->size, true, g->options.specials, ids));
    for (int64_t s = 0; s < g->options.samples; s++)
        MEGA_TRY(mega_composer_add(&g->composer, ids->id, (int64_t)ids->n, (uint64_t)s));
    return MEGA_OK;
}

static mega_status add_prompts(mega_generator *g, const struct mega_prompt *prompt, int64_t n)
{
    struct mega_ids ids = { 0 };
    mega_status status = MEGA_OK;
    for (int64_t i = 0; i < n && !status; i++) {
        status = add_prompt(g, &prompt[i], &ids);
        if (status && n > 1) mega_fail_in(status, "prompt %lld: ", (long long)i + 1);
    }
    mega_ids_done(&ids);
    if (status) return status;
    bool *inside = calloc((size_t)(n * g->options.samples) + 1, sizeof *inside);
    if (!inside) return mega_fail(MEGA_NO_MEMORY, "no memory for prompts");
    for (int64_t i = 0; i < n * g->options.samples; i++)
        inside[i] = prompt[i / g->options.samples].size > 0;
    status = open_voices(g, inside);
    free(inside);
    return status;
}

mega_status mega_generator_run(mega_generator *g, const struct mega_prompt *prompt, int64_t n,
    const struct mega_generate_options *options, mega_generate_fn *listen, void *arg)
{
    MEGA_TRY(open_composer(g, options));
    MEGA_TRY(add_prompts(g, prompt, n));
    return compose(g, listen, arg);
}

mega_status mega_generator_go_on(mega_generator *g, const struct mega_prompt *more,
    const struct mega_generate_options *options, mega_generate_fn *listen, void *arg)
{
    struct mega_ids ids = { 0 };
    if (!g->composes)
        return mega_fail(MEGA_BAD_ARGUMENT, "there is no text yet that could go on");
    MEGA_TRY(take_options(g, options));
    struct mega_compose_options o = compose_options(g);
    MEGA_TRY(mega_composer_set_options(&g->composer, &o));
    if (more)
        MEGA_TRY(mega_text_model_encode(
            &g->text, more->text, more->size, false, g->options.specials, &ids));
    mega_status status = MEGA_OK;
    for (int64_t i = 0; i < g->composer.n && !status; i++)
        status = mega_composer_extend(&g->composer, i, ids.id, (int64_t)ids.n);
    mega_ids_done(&ids);
    if (!status) status = open_voices(g, NULL);
    return status ? status : compose(g, listen, arg);
}

mega_status mega_generator_save(const mega_generator *g, const char *path)
{
    if (!g->composes || !g->composer.has_slots)
        return mega_fail(MEGA_BAD_ARGUMENT, "there is no text yet whose state could be saved");
    return mega_state_save(path, &g->composer, g->text.name);
}

mega_status mega_generator_load(
    mega_generator *g, const char *path, const struct mega_generate_options *options)
{
    MEGA_TRY(open_composer(g, options));
    mega_status status = mega_state_load(path, &g->composer, g->text.name);
    if (status) close_composer(g);
    return status;
}
