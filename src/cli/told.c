#include "cli/told.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "format/node.h"
#include "format/scalar.h"
#include "train/stop.h"

mega_status mega_told_init(struct mega_told *t, int64_t texts, bool json)
{
    *t = (struct mega_told){ .json = json, .texts = texts };
    t->waiting = calloc((size_t)texts + 1, sizeof *t->waiting);
    t->ended = calloc((size_t)texts + 1, sizeof *t->ended);
    if (t->waiting && t->ended) return MEGA_OK;
    mega_told_done(t);
    return mega_fail(MEGA_NO_MEMORY, "no memory for %lld texts", (long long)texts);
}

void mega_told_before(struct mega_told *t, int64_t text, const char *bytes, size_t n)
{
    if (!t->json) mega_text_add_bytes(&t->waiting[text], bytes, n);
}

void mega_told_done(struct mega_told *t)
{
    for (int64_t i = 0; t->waiting && i < t->texts; i++) mega_text_done(&t->waiting[i]);
    free(t->waiting);
    free(t->ended);
    *t = (struct mega_told){ 0 };
}

/* ---- JSON ---- */

static bool is_utf8(const char *bytes, size_t n)
{
    const unsigned char *at = (const unsigned char *)bytes, *end = at + n;
    while (at < end) {
        int length = mega_utf8_length(at, end);
        if (!length) return false;
        at += length;
    }
    return true;
}

static void add_ids(struct mega_text *to, const int32_t *id, int64_t n)
{
    mega_text_add(to, "[");
    for (int64_t i = 0; i < n; i++) mega_text_add(to, "%s%ld", i ? ", " : "", (long)id[i]);
    mega_text_add(to, "]");
}

static void print_object(const struct mega_text *text, const struct mega_generated *g)
{
    struct mega_text line = { 0 };
    const char *bytes = text->data ? text->data : "";
    mega_text_add(&line,
        "{\"prompt\": %lld, \"sample\": %lld, \"text\": ", (long long)g->prompt,
        (long long)g->sample);
    mega_json_add_text(&line, bytes, text->size);
    if (!is_utf8(bytes, text->size)) {
        mega_text_add(&line, ", \"hex\": \"");
        for (size_t i = 0; i < text->size; i++)
            mega_text_add(&line, "%02x", (unsigned)(unsigned char)bytes[i]);
        mega_text_add(&line, "\"");
    }
    mega_text_add(&line, ", \"ids\": ");
    add_ids(&line, g->id + g->from, g->n - g->from);
    mega_text_add(&line, ", \"prompt_ids\": ");
    add_ids(&line, g->id, g->from);
    mega_text_add(&line, ", \"ending\": \"%s\"}\n", mega_ending_name(g->ending));
    if (!line.failed) fwrite(line.data, 1, line.size, stdout);
    mega_text_done(&line);
}

/* ---- plain ---- */

/* the present text as far as it is known, and those after it that have ended */
static void print_ready(struct mega_told *t)
{
    for (; t->at < t->texts; t->at++) {
        struct mega_text *text = &t->waiting[t->at];
        if (text->size) fwrite(text->data, 1, text->size, stdout);
        mega_text_clear(text);
        if (!t->ended[t->at]) break;
        /* nothing is added to a single text, so that its bytes can be told */
        if (t->texts > 1 || isatty(STDOUT_FILENO)) putchar('\n');
    }
    fflush(stdout);
}

bool mega_told_hear(void *arg, const struct mega_generated *g)
{
    struct mega_told *t = arg;
    int64_t k = g->text;
    mega_text_add_bytes(&t->waiting[k], g->bytes, g->size);
    if (g->ending) {
        t->ended[k] = true;
        t->tokens += g->n - g->from;
        t->full += g->ending == MEGA_ENDING_CONTEXT;
        t->interrupted |= g->ending == MEGA_ENDING_INTERRUPTED;
    }
    if (t->json && g->ending)
        print_object(&t->waiting[k], g);
    else if (!t->json)
        print_ready(t);
    return !ferror(stdout) && !mega_stop_signal();
}
