/* mega score: how likely a language model finds a text, token by token. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/language.h"
#include "cli/open.h"
#include "format/node.h"
#include "format/scalar.h"
#include "infer/score.h"
#include "infer/text_model.h"
#include "infer/truncation.h"

struct options {
    int context;
    int64_t window, stride;
    bool json, total, special, quiet;
    struct mega_language_choice choice;
    struct mega_open open;
};

#define AT(member) offsetof(struct options, member)

enum { CONTEXT_AUTO, CONTEXT_CARRY, CONTEXT_WINDOWS, CONTEXT_SLIDE };

static const struct mega_option options[] = {
    { "context", MEGA_OPTION_CHOICE, AT(context), "auto", 0, 0, "auto|" MEGA_SCORE_WAYS, NULL,
        "what a token is scored after: all that came before; its window; at least window - "
        "stride tokens; auto: all if the model has no limit, else slide",
        0 },
    { "window", MEGA_OPTION_INT, AT(window), "0", 0, 1 << 30, NULL, "N",
        "windows, slide: tokens that the model sees at a time; 0: its context, else 1024", 0 },
    { "stride", MEGA_OPTION_INT, AT(stride), "0", 0, 1 << 30, NULL, "N",
        "slide: tokens that each window scores; 0: half of it", 0 },
    { "json", MEGA_OPTION_BOOL, AT(json), "false", 0, 0, NULL, NULL,
        "JSON objects, one for each token and one for the whole", 0 },
    { "total", MEGA_OPTION_BOOL, AT(total), "false", 0, 0, NULL, NULL,
        "only the line for the whole", 0 },
    { "special", MEGA_OPTION_BOOL, AT(special), "false", 0, 0, NULL, NULL,
        "what spells a special token in the text is that token", 0 },
    { "quiet", MEGA_OPTION_BOOL, AT(quiet), "false", 0, 0, NULL, NULL,
        "say nothing on standard error but errors", 'q' },
    MEGA_LANGUAGE_OPTIONS(AT(choice)),
    MEGA_OPEN_OPTIONS(AT(open)),
    { 0 },
};

struct work {
    const struct options *o;
    mega_context *context;
    mega_run *run;
    struct mega_text_model model;
    struct mega_text text, line;
    struct mega_ids ids;
    int64_t bytes, characters; /* of the scored part of the text */
};

/* ---- printing ---- */

/* a token's bytes in a field: what would end it, and what is no printable ASCII, as \xNN */
static void add_field(struct mega_text *to, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c == '\\')
            mega_text_add(to, "\\\\");
        else if (c == '\n' || c == '\t' || c == '\r')
            mega_text_add(to, "\\%c", c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
        else if (c < 0x20 || c == 0x7f)
            mega_text_add(to, "\\x%02x", c);
        else
            mega_text_add(to, "%c", c);
    }
}

static mega_status print_token(void *arg, int64_t place, int32_t id, double log_probability)
{
    struct work *w = arg;
    struct mega_decode_options how = { .specials = true, .inside = true };
    char *bytes;
    size_t n;
    MEGA_TRY(mega_tokenizer_decode(w->model.tokenizer, &id, 1, &how, &bytes, &n));
    mega_text_clear(&w->line);
    if (w->o->json) {
        mega_text_add(
            &w->line, "{\"place\": %lld, \"id\": %ld, \"text\": ", (long long)place, (long)id);
        mega_json_add_text(&w->line, bytes, n);
        mega_text_add(&w->line, ", \"log_probability\": ");
        mega_json_add_real(&w->line, log_probability);
        mega_text_add(&w->line, "}\n");
    } else {
        mega_text_add(
            &w->line, "%lld\t%ld\t%.6f\t", (long long)place, (long)id, log_probability);
        add_field(&w->line, bytes, n);
        mega_text_add(&w->line, "\n");
    }
    free(bytes);
    if (w->line.failed) return mega_fail(MEGA_NO_MEMORY, "no memory for a line");
    fwrite(w->line.data, 1, w->line.size, stdout);
    return ferror(stdout) ? mega_fail(MEGA_IO, "cannot write standard output") : MEGA_OK;
}

static void print_total(const struct work *w, const struct mega_score_total *t)
{
    struct mega_text line = { 0 };
    const char *json = "{\"tokens\": %lld, \"bytes\": %lld, \"characters\": %lld, \"nll\": ";
    if (!w->o->json) {
        printf("%lld tokens, %lld bytes, %lld characters: %.6f nats, %.6f a token, "
               "perplexity %.4f, %.6f bits a byte, %.6f bits a character\n",
            (long long)t->tokens, (long long)w->bytes, (long long)w->characters, -t->sum,
            t->tokens ? -t->sum / (double)t->tokens : 0, mega_score_perplexity(t),
            mega_score_bits(t, w->bytes), mega_score_bits(t, w->characters));
        return;
    }
    mega_text_add(
        &line, json, (long long)t->tokens, (long long)w->bytes, (long long)w->characters);
    mega_json_add_real(&line, -t->sum);
    mega_text_add(&line, ", \"perplexity\": ");
    mega_json_add_real(&line, mega_score_perplexity(t));
    mega_text_add(&line, ", \"bits_per_byte\": ");
    mega_json_add_real(&line, mega_score_bits(t, w->bytes));
    mega_text_add(&line, ", \"bits_per_character\": ");
    mega_json_add_real(&line, mega_score_bits(t, w->characters));
    mega_text_add(&line, "}\n");
    if (!line.failed) fwrite(line.data, 1, line.size, stdout);
    mega_text_done(&line);
}

/* ---- scoring ---- */

/* bytes that are no UTF-8 are characters of their own */
static int64_t count_characters(const char *text, size_t n)
{
    const unsigned char *at = (const unsigned char *)text, *end = at + n;
    int64_t count = 0;
    for (; at < end; count++) {
        int length = mega_utf8_length(at, end);
        at += length ? length : 1;
    }
    return count;
}

/* the ids; and what they say of, which is less than the whole where nothing stands before the
 * first token */
static mega_status encode(struct work *w)
{
    const char *text = w->text.data ? w->text.data : "";
    MEGA_TRY(
        mega_text_model_encode(&w->model, text, w->text.size, true, w->o->special, &w->ids));
    size_t unscored = 0;
    if (w->model.begin == MEGA_BEGIN_NONE && w->text.size && w->ids.n) {
        char *bytes;
        MEGA_TRY(
            mega_tokenizer_decode(w->model.tokenizer, w->ids.id, 1, NULL, &bytes, &unscored));
        free(bytes);
        if (unscored > w->text.size) unscored = w->text.size;
    }
    w->bytes = (int64_t)(w->text.size - unscored);
    w->characters = count_characters(text + unscored, w->text.size - unscored);
    return MEGA_OK;
}

static struct mega_score_options resolve(const struct work *w)
{
    const struct options *o = w->o;
    int64_t longest = w->model.step.longest;
    bool limited = longest || mega_step_model_unlimited(&w->model.step);
    int way = o->context == CONTEXT_AUTO ? limited ? CONTEXT_SLIDE : CONTEXT_CARRY : o->context;
    struct mega_score_options s = { .way = (enum mega_score_way)(way - CONTEXT_CARRY),
        .window = o->window ? o->window
                  : longest ? longest
                            : 1024 };
    s.stride = o->stride ? o->stride : (s.window + 1) / 2;
    return s;
}

static mega_status score(struct work *w)
{
    enum { PIECE = 512 };
    struct mega_score_options how = resolve(w);
    struct mega_score_total total;
    struct mega_model_stepper stepper;
    int64_t n = (int64_t)w->ids.n, room = how.way == MEGA_SCORE_CARRY ? n : how.window;
    double start = mega_clock_s();
    if (w->model.step.longest && room > w->model.step.longest) room = w->model.step.longest;
    if (room < 1) room = 1;
    MEGA_TRY(mega_model_stepper_init(&stepper, &w->model.step, w->run, 1, PIECE, room));
    mega_status status = mega_score_text(
        &stepper, w->ids.id, n, &how, w->o->total ? NULL : print_token, w, &total);
    mega_model_stepper_done(&stepper);
    if (status) return status;
    print_total(w, &total);
    double seconds = mega_clock_s() - start;
    if (!w->o->quiet)
        fprintf(stderr, "mega: %lld tokens scored in %.3f s, %.0f a second\n",
            (long long)total.tokens, seconds, seconds > 0 ? (double)total.tokens / seconds : 0);
    return MEGA_OK;
}

static mega_status work(struct work *w, const char *path, const char *file)
{
    char folder[1280];
    MEGA_TRY(mega_language_path(path, folder));
    MEGA_TRY(mega_open_context(&w->context, &w->o->open));
    MEGA_TRY(mega_text_model_open(
        &w->model, folder, w->o->choice.tokenizer, (enum mega_begin)w->o->choice.begin));
    MEGA_TRY(mega_truncation_set(&w->model.step, w->o->choice.truncate));
    MEGA_TRY(mega_run_new(&w->run, w->context));
    mega_run_set_dtype(w->run, mega_precision_type(w->o->choice.precision));
    MEGA_TRY(mega_file_read_gz(file, &w->text));
    MEGA_TRY(encode(w));
    return score(w);
}

static int run(const struct mega_line *line)
{
    struct work w = { .o = line->options };
    mega_status status = work(&w, line->word[0], line->n_words > 1 ? line->word[1] : "-");
    int exit = status ? mega_command_fail(status) : MEGA_EXIT_OK;
    mega_ids_done(&w.ids);
    mega_text_done(&w.text);
    mega_text_done(&w.line);
    mega_text_model_close(&w.model);
    mega_run_free(w.run);
    mega_context_free(w.context);
    return exit;
}

const struct mega_command mega_command_score = {
    .name = "score",
    .summary = "Score a text by a language model, token by token",
    .words = "MODEL [FILE|-]",
    .least = 1,
    .most = 2,
    .options = options,
    .options_size = sizeof(struct options),
    .manual =
        "A line for each token: its place, id, the natural logarithm of its probability, and "
        "its text (tabs, line ends, backslashes and control characters escaped). The last line "
        "tells of the whole: the negative sum (nats), perplexity for each token, bits for each "
        "byte "
        "and for each character (a byte that is no UTF-8 is a character). With --json these "
        "are objects. Sums go in double from the first token to the last.\n\n"
        "The token that begins a text (see --begin) is only looked at. Where a model has none, "
        "the text's first token is, and its bytes do not count. Every other token is scored "
        "once.\n\n"
        "--context carry scores each token after all that came before it; a model with a limit "
        "refuses a longer text. windows: every --window tokens the model starts afresh. slide: "
        "windows begin every --stride tokens and each scores what the one before did not, so "
        "that a token is scored after at least window - stride others.",
    .run = run,
};
