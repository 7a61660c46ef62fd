#include "cli/bench_subject.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "format/node.h"

/* all settings, as they stand in a file of problems */
static const struct mega_option settings[] = {
    MEGA_SUBJECT_CHOICE(0, mode, "train", "train|infer|generate",
        "a training step, a forward pass, or tokens one by one after `length` others"),
    MEGA_SUBJECT_CHOICE(
        0, decoder, "none", "none|" MEGA_DECODER_CHOICES, "a language model of this kind"),
    MEGA_SUBJECT_CHOICE(0, mixer, "mega", "mega|attention", "what mixes along the sequence"),
    MEGA_SUBJECT_INT(0, length, NULL, "T", "places of a row"),
    MEGA_SUBJECT_OPTIONS(0),
    { "kv-heads", MEGA_OPTION_INT, offsetof(struct mega_subject, kv_heads), "0", 0, 1 << 30,
        NULL, "G", "heads of keys and values; 0: as many as of queries", 0 },
    MEGA_SUBJECT_INT(0, groups, "32", "G", "groups of Megalodon's timestep norm"),
    MEGA_SUBJECT_INT(0, swiglu, "1", "0|1", "a gated feed-forward of Megalodon"),
    MEGA_SUBJECT_INT(0, tokens, "32", "N", "tokens of a step that generates"),
    { 0 },
};

const char *mega_subject_decoder(const struct mega_subject *s)
{
    return s->decoder ? mega_decoders[s->decoder - 1]->name : NULL;
}

bool mega_subject_is_transformer(const struct mega_subject *s)
{
    const char *decoder = mega_subject_decoder(s);
    if (!decoder) return s->mixer == MEGA_SUBJECT_ATTENTION;
    return strcmp(decoder, "mega") != 0 && strcmp(decoder, "megalodon") != 0;
}

const char *mega_subject_model(const struct mega_subject *s)
{
    const char *decoder = mega_subject_decoder(s);
    if (decoder)
        return !strcmp(decoder, "mega")          ? "mega-lm"
               : !strcmp(decoder, "transformer") ? "transformer-lm"
                                                 : decoder;
    return s->mixer == MEGA_SUBJECT_ATTENTION ? "transformer"
           : s->chunk                         ? "mega-chunk"
                                              : "mega";
}

const char *mega_subject_mode(const struct mega_subject *s)
{
    static const char *const words[] = { "train", "infer", "generate" };
    return words[s->mode];
}

bool mega_subject_same_group(const struct mega_subject *a, const struct mega_subject *b)
{
    return a->mode == b->mode && a->length == b->length && !a->decoder == !b->decoder;
}

bool mega_subject_alike(const struct mega_subject *a, const struct mega_subject *b)
{
    for (const struct mega_option *o = settings; o->name; o++) {
        size_t size = o->type == MEGA_OPTION_CHOICE ? sizeof(int) : sizeof(int64_t);
        bool same = !memcmp((const char *)a + o->offset, (const char *)b + o->offset, size);
        if (!same && strcmp(o->name, "length") != 0) return false;
    }
    return true;
}

/* ---- FLOPs ---- */

static double classifier_layer(const struct mega_subject *s)
{
    double D = (double)s->width, E = (double)s->values, Z = (double)s->keys, F = (double)s->ffn,
           N = (double)s->ema, T = (double)s->length, C = s->chunk ? (double)s->chunk : T;
    double mega = 2 * D * E + 2 * D * (Z + E + 2 * D) + 2 * E * D /* projections */
                  + 2 * C * (Z + E) + 2 * 4 * N * D; /* attention, EMA in two directions */
    double attention = 2 * D * 3 * D + 2 * D * D + 2 * T * 2 * D;
    return (s->mixer == MEGA_SUBJECT_ATTENTION ? attention : mega) + 4 * D * F;
}

/* keys that a query sees, on average: half of its window, the whole text at its end */
static double keys_seen(const struct mega_subject *s)
{
    double T = (double)s->length, C = (double)s->chunk;
    if (s->chunk && s->chunk < s->length) return C / 2;
    return s->mode == MEGA_SUBJECT_GENERATE ? T : T / 2;
}

static double decoder_layer(const struct mega_subject *s)
{
    double D = (double)s->width, E = (double)s->values, Z = (double)s->keys, F = (double)s->ffn,
           N = (double)s->ema, seen = keys_seen(s);
    const char *decoder = mega_subject_decoder(s);
    double shared = s->kv_heads ? (double)s->kv_heads / (double)s->heads : 1;
    if (!strcmp(decoder, "mega"))
        return 2 * D * (3 * E + Z + 2 * D) + 2 * seen * (Z + E) + 4 * N * D + 4 * D * F;
    if (!strcmp(decoder, "megalodon"))
        return 2 * D * (3 * E + Z + D) + 2 * seen * (Z + E) + 12 * N * D +
               (s->swiglu ? 6 : 4) * D * F;
    return 4 * D * D * (1 + shared) + 4 * seen * D +
           (!strcmp(decoder, "llama") ? 6 : 4) * D * F;
}

double mega_subject_flops(const struct mega_subject *s)
{
    double layers = (double)s->layers, head = 2 * (double)s->width * (double)s->vocab;
    double forward =
        s->decoder ? layers * decoder_layer(s) + head : layers * classifier_layer(s);
    return forward * (s->mode == MEGA_SUBJECT_TRAIN ? 3 : 1);
}

/* ---- flags ---- */

/* what is not the usual is named; a peer's script is its mixer or decoder */
static bool has_flag(const struct mega_subject *s, bool ours, const char *name)
{
    static const char *const language[] = { "kv-heads", "groups", "swiglu", "tokens" };
    bool attention = s->mixer == MEGA_SUBJECT_ATTENTION && !s->decoder;
    if (!strcmp(name, "mixer")) return ours && attention;
    if (!strcmp(name, "decoder")) return ours && s->decoder;
    for (size_t i = 0; i < sizeof language / sizeof *language; i++)
        if (!strcmp(name, language[i])) return s->decoder;
    return strcmp(name, "heads") != 0 || attention || s->decoder;
}

void mega_subject_flags(const struct mega_subject *s, bool ours, struct mega_words *to)
{
    for (const struct mega_option *o = settings; o->name; o++) {
        if (!has_flag(s, ours, o->name)) continue;
        const void *at = (const char *)s + o->offset;
        char word[32];
        mega_words_add(to, "--%s", o->name);
        switch (o->type) {
        case MEGA_OPTION_INT:
            mega_words_add(to, "%lld", (long long)*(const int64_t *)at);
            break;
        case MEGA_OPTION_REAL: mega_words_add(to, "%g", *(const double *)at); break;
        default:
            mega_choice_name(o->choices, *(const int *)at, word, sizeof word);
            mega_words_add(to, "%s", word);
        }
    }
}

void mega_subjects_done(struct mega_subjects *list)
{
    free(list->item);
    *list = (struct mega_subjects){ 0 };
}

static mega_status add(struct mega_subjects *list, const struct mega_subject *s)
{
    void *item = realloc(list->item, (size_t)(list->n + 1) * sizeof *s);
    if (!item) return mega_fail(MEGA_NO_MEMORY, "no memory for a list of models");
    list->item = item;
    list->item[list->n++] = *s;
    return MEGA_OK;
}

/* ---- models by lengths by modes ---- */

static mega_status set_model(struct mega_subject *s, const char *model)
{
    static const char models[] = "mega|mega-chunk|transformer";
    int which = mega_choice_find(models, model);
    if (which < 0)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "--models: '%s': expected mega, mega-chunk or transformer", model);
    s->mixer = which == 2 ? MEGA_SUBJECT_ATTENTION : MEGA_SUBJECT_MEGA;
    if (which != 1) s->chunk = 0;
    if (which == 1 && s->chunk == 0)
        return mega_fail(MEGA_BAD_ARGUMENT, "--chunk is 0, mega-chunk needs at least 1");
    return MEGA_OK;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* lengths in order: what shorter rows need tells whether longer ones can be tried */
static mega_status read_lengths(const struct mega_words *words, int64_t *length)
{
    const struct mega_option *o = mega_option_find(settings, "length");
    struct mega_subject s;
    int n = 0;
    for (const char *w = mega_words_first(words); w; w = mega_words_next(words, w)) {
        MEGA_TRY(mega_option_parse(o, "--lengths", w, &s));
        if (s.length < 1)
            return mega_fail(MEGA_BAD_ARGUMENT, "--lengths: expected at least 1, found %s", w);
        length[n++] = s.length;
    }
    qsort(length, (size_t)n, sizeof *length, by_size);
    return MEGA_OK;
}

/* the models of one mode and length */
static mega_status cross_models(struct mega_subjects *list, const struct mega_subject *common,
    const struct mega_words *models)
{
    for (const char *m = mega_words_first(models); m; m = mega_words_next(models, m)) {
        struct mega_subject s = *common;
        MEGA_TRY(set_model(&s, m));
        snprintf(
            s.name, sizeof s.name, "%s-%lld-%s", m, (long long)s.length, mega_subject_mode(&s));
        MEGA_TRY(add(list, &s));
    }
    return MEGA_OK;
}

struct lists {
    struct mega_words models, lengths, modes;
    int64_t *length;
};

static mega_status cross(
    struct mega_subjects *list, const struct mega_subject *common, struct lists *l)
{
    const struct mega_option *mode = mega_option_find(settings, "mode");
    struct mega_subject s = *common;
    l->length = calloc((size_t)l->lengths.n + 1, sizeof *l->length);
    if (!l->length || l->models.text.failed || l->lengths.text.failed || l->modes.text.failed)
        return mega_fail(MEGA_NO_MEMORY, "no memory for a list of models");
    MEGA_TRY(read_lengths(&l->lengths, l->length));
    for (const char *w = mega_words_first(&l->modes); w; w = mega_words_next(&l->modes, w)) {
        MEGA_TRY(mega_option_parse(mode, "--modes", w, &s));
        for (int i = 0; i < l->lengths.n; i++) {
            s.length = l->length[i];
            MEGA_TRY(cross_models(list, &s, &l->models));
        }
    }
    if (!list->n) return mega_fail(MEGA_BAD_ARGUMENT, "no models, lengths or modes to measure");
    return MEGA_OK;
}

mega_status mega_subjects_cross(struct mega_subjects *list, const struct mega_subject *common,
    const char *models, const char *lengths, const char *modes)
{
    struct lists l = { 0 };
    mega_words_split(&l.models, models);
    mega_words_split(&l.lengths, lengths);
    mega_words_split(&l.modes, modes);
    mega_status status = cross(list, common, &l);
    mega_words_done(&l.models);
    mega_words_done(&l.lengths);
    mega_words_done(&l.modes);
    free(l.length);
    return status;
}

/* ---- a file of problems ---- */

static mega_status set_pair(struct mega_subject *s, const char *where, char *pair)
{
    char *equals = strchr(pair, '=');
    if (!equals) return mega_fail(MEGA_BAD_FILE, "%s: '%s' is not key=value", where, pair);
    *equals = 0;
    const struct mega_option *o = mega_option_find(settings, pair);
    if (!o) {
        const char *near = mega_option_nearest(settings, pair);
        return mega_fail(MEGA_BAD_FILE, "%s: unknown key %s%s%s%s", where, pair,
            near ? ", did you mean " : "", near ? near : "", near ? "?" : "");
    }
    return mega_option_parse(o, where, equals + 1, s);
}

/* one line, which is cut into words; an empty one adds nothing */
static mega_status read_line(
    struct mega_subjects *list, const char *where, char *line, const char *const *name, int n)
{
    struct mega_subject s = { 0 };
    char *rest, *word = strtok_r(line, " \t\r", &rest);
    if (!word) return MEGA_OK;
    mega_option_defaults(settings, &s);
    s.chunk = 0; /* as mega bench step has it */
    snprintf(s.name, sizeof s.name, "%s", word);
    while ((word = strtok_r(NULL, " \t\r", &rest))) MEGA_TRY(set_pair(&s, where, word));
    if (s.length < 1) return mega_fail(MEGA_BAD_FILE, "%s: %s has no length", where, s.name);
    bool wanted = n == 0;
    for (int i = 0; i < n; i++) wanted |= !strcmp(name[i], s.name);
    return wanted ? add(list, &s) : MEGA_OK;
}

static mega_status read_lines(
    struct mega_subjects *list, const char *path, char *text, const char *const *name, int n)
{
    int number = 0;
    for (char *line = text; line; number++) {
        char *next = strchr(line, '\n'), where[512];
        if (next) *next++ = 0;
        line[strcspn(line, "#")] = 0;
        snprintf(where, sizeof where, "%.400s:%d", path, number + 1);
        MEGA_TRY(read_line(list, where, line, name, n));
        line = next;
    }
    return MEGA_OK;
}

mega_status mega_subjects_load(
    struct mega_subjects *list, const char *path, const char *const *name, int n)
{
    struct mega_text text = { 0 };
    mega_status status = mega_file_read(path, &text);
    if (!status && text.data) status = read_lines(list, path, text.data, name, n);
    mega_text_done(&text);
    for (int i = 0; i < n && !status; i++) {
        bool found = false;
        for (int k = 0; k < list->n; k++) found |= !strcmp(list->item[k].name, name[i]);
        if (!found)
            status = mega_fail(MEGA_BAD_ARGUMENT, "%s has no problem %s", path, name[i]);
    }
    if (!status && !list->n) status = mega_fail(MEGA_BAD_FILE, "%s holds no problem", path);
    return status;
}
