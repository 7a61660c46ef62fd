/* mega fill: what stands at the masks of a text, by a masked language model. */
#include <stddef.h>
#include <string.h>

#include "base/file.h"
#include "cli/command.h"
#include "cli/session.h"
#include "format/node.h"
#include "infer/masked.h"
#include "task/tokens.h"

struct options {
    int precision;
    int64_t top;
    bool json, special;
    struct mega_open open;
};

#define AT(member) offsetof(struct options, member)

static const struct mega_option options[] = {
    { "top", MEGA_OPTION_INT, AT(top), "5", 1, 1 << 20, NULL, "N",
        "candidates of each mask that are printed", 'n' },
    { "json", MEGA_OPTION_BOOL, AT(json), "false", 0, 0, NULL, NULL,
        "one JSON object a text instead of tab-separated fields", 0 },
    { "special", MEGA_OPTION_BOOL, AT(special), "false", 0, 0, NULL, NULL,
        "what spells another special token in the text ([SEP]) is that token", 0 },
    MEGA_SESSION_PRECISION_OPTION(AT(precision)),
    MEGA_OPEN_OPTIONS(AT(open)),
    { 0 },
};

struct work {
    const struct options *o;
    struct mega_session session;
    mega_tokenizer *tokenizer;
    int32_t last; /* what ended texts in training; -1: nothing */
    struct mega_text line, filled;
};

/* a piece or a text in a field: what would end it is written as in JSON */
static void add_field(struct mega_text *to, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) switch (bytes[i]) {
        case '\t': mega_text_add(to, "\\t"); break;
        case '\n': mega_text_add(to, "\\n"); break;
        case '\r': mega_text_add(to, "\\r"); break;
        default: mega_text_add_bytes(to, bytes + i, 1);
        }
}

static mega_status add_candidate(
    struct work *w, const struct mega_filling *f, int64_t i, int64_t k)
{
    const struct mega_candidate *c = &f->best[i * f->top + k];
    size_t size = 0;
    const char *piece = mega_tokenizer_piece(w->tokenizer, c->id, &size);
    MEGA_TRY(mega_filling_text(f, w->tokenizer, i, c->id, &w->filled));
    if (!w->o->json) {
        mega_text_add(&w->line, "%lld\t%.6f\t", (long long)i + 1, c->probability);
        add_field(&w->line, piece, size);
        mega_text_add(&w->line, "\t");
        add_field(&w->line, w->filled.data, w->filled.size);
        mega_text_add(&w->line, "\n");
        return MEGA_OK;
    }
    mega_text_add(&w->line, "%s{\"token\": ", k ? ", " : "");
    mega_json_add_text(&w->line, piece, size);
    mega_text_add(
        &w->line, ", \"id\": %d, \"probability\": %.9g, \"text\": ", c->id, c->probability);
    mega_json_add_text(&w->line, w->filled.data, w->filled.size);
    mega_text_add(&w->line, "}");
    return MEGA_OK;
}

static mega_status add_masks(
    struct work *w, const struct mega_filling *f, const char *text, size_t n)
{
    bool json = w->o->json;
    mega_text_clear(&w->line);
    if (json) {
        mega_text_add(&w->line, "{\"text\": ");
        mega_json_add_text(&w->line, text, n);
        mega_text_add(&w->line, ", \"masks\": [");
    }
    for (int64_t i = 0; i < f->masks; i++) {
        if (json)
            mega_text_add(&w->line, "%s{\"place\": %lld, \"candidates\": [", i ? ", " : "",
                (long long)f->place[i]);
        for (int64_t k = 0; k < f->top; k++) MEGA_TRY(add_candidate(w, f, i, k));
        if (json) mega_text_add(&w->line, "]}");
    }
    if (json) mega_text_add(&w->line, "]}\n");
    return w->line.failed ? mega_fail(MEGA_NO_MEMORY, "no memory for a line") : MEGA_OK;
}

static mega_status fill(struct work *w, const char *text, size_t n)
{
    struct mega_filling f;
    MEGA_TRY(mega_fill_text(&f, w->session.run, w->session.model, w->tokenizer, text, n,
        &(struct mega_fill_options){ w->o->top, w->o->special, w->last }));
    mega_status status = add_masks(w, &f, text, n);
    if (!status) fwrite(w->line.data, 1, w->line.size, stdout);
    mega_filling_done(&f);
    return status;
}

/* each line is a text */
static mega_status fill_lines(struct work *w, const char *file)
{
    struct mega_text text = { 0 };
    mega_status status = mega_file_read_gz(file, &text);
    int64_t line = 0;
    const char *p = text.data ? text.data : "", *end = p + text.size;
    for (const char *stop; !status && p < end; p = stop + 1) {
        stop = memchr(p, '\n', (size_t)(end - p));
        if (!stop) stop = end;
        size_t n = (size_t)(stop - p);
        if (n && p[n - 1] == '\r') n--;
        line++;
        status = fill(w, p, n);
        if (status) mega_fail_in(status, "line %lld: ", (long long)line);
    }
    mega_text_done(&text);
    return status;
}

static mega_status open_tokenizer(struct work *w)
{
    const struct mega_session *s = &w->session;
    MEGA_TRY(mega_language_tokenizer(&w->tokenizer, s->model, s->folder));
    struct mega_text_encoder e = mega_text_encoder_of(w->tokenizer);
    enum mega_text_end end = mega_text_end_of(&s->files.language.corpus, &e);
    w->last = end == MEGA_END_EOS ? e.eos : end == MEGA_END_BOS ? e.bos : -1;
    return MEGA_OK;
}

static int run(const struct mega_line *line)
{
    const struct options *o = line->options;
    struct work w = { .o = o };
    mega_status status = mega_session_open(&w.session, line->word[0], &o->open, o->precision);
    if (status) return mega_command_fail(status);
    const char *text = line->n_words > 1 ? line->word[1] : "-";
    if (w.session.model->config.architecture != MEGA_MASKED_MODEL)
        status = mega_fail(MEGA_UNSUPPORTED,
            "%s: expected a masked language model (task masked_lm, BERT): mega generate writes "
            "on with a language model, mega predict classifies",
            w.session.folder);
    if (!status) status = open_tokenizer(&w);
    if (!status)
        status = strcmp(text, "-") ? fill(&w, text, strlen(text)) : fill_lines(&w, "-");
    mega_tokenizer_close(w.tokenizer);
    mega_text_done(&w.line);
    mega_text_done(&w.filled);
    mega_session_close(&w.session);
    return status ? mega_command_fail(status) : MEGA_EXIT_OK;
}

const struct mega_command mega_command_fill = {
    .name = "fill",
    .summary = "Tell what stands at the masks of a text, by a masked language model",
    .words = "RUN_OR_MODEL [TEXT|-]",
    .least = 1,
    .most = 2,
    .options = options,
    .options_size = sizeof(struct options),
    .manual =
        "TEXT holds one [MASK] or several, as the model's tokenizer spells it; without "
        "TEXT each line of standard input is one. A line for each candidate: the number "
        "of the mask, the probability, the token as the tokenizer writes it, and the "
        "text with it, separated by tabs. Of several masks each is told by itself while "
        "the others are hidden.\n\n"
        "Probabilities are over all ids of the model; candidates are those that the "
        "tokenizer has. A text is put into the tokenizer's frame ([CLS] ... [SEP]); what "
        "spells another special token is text unless --special is given. Where documents were "
        "given an end in training (task.end_of_document), so is the text.",
    .run = run,
};
