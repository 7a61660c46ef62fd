/* mega generate: a language model continues texts. */
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/language.h"
#include "cli/open.h"
#include "cli/told.h"
#include "infer/sampler.h"
#include "train/stop.h"

struct options {
    struct mega_texts prompt, stop;
    const char *file, *load, *save;
    bool lines, special, echo, json, interactive, ignore_end, quiet;
    int context;
    int64_t tokens, samples, batch;
    struct mega_sampling sampling;
    struct mega_language_choice choice;
    struct mega_open open;
};

#define AT(member) offsetof(struct options, member)

static const struct mega_option options[] = {
    { "prompt", MEGA_OPTION_TEXTS, AT(prompt), "", 0, 0, NULL, "TEXT",
        "a prompt, as a word is; several times: several", 'p' },
    { "file", MEGA_OPTION_TEXT, AT(file), "", 0, 0, NULL, "FILE",
        "a prompt from a file, -: from standard input", 'f' },
    { "lines", MEGA_OPTION_BOOL, AT(lines), "false", 0, 0, NULL, NULL,
        "each line of the file is a prompt", 0 },
    { "tokens", MEGA_OPTION_INT, AT(tokens), "256", 0, (double)(1ll << 40), NULL, "N",
        "new tokens of a text, at most; 0: until it ends or the context is full", 'n' },
    MEGA_SAMPLING_OPTIONS(AT(sampling)),
    { "samples", MEGA_OPTION_INT, AT(samples), "1", 1, 4096, NULL, "N", "texts for each prompt",
        0 },
    { "stop", MEGA_OPTION_TEXTS, AT(stop), "", 0, 0, NULL, "TEXT",
        "a text ends before this string; several times: before the first of them", 0 },
    { "ignore-end", MEGA_OPTION_BOOL, AT(ignore_end), "false", 0, 0, NULL, NULL,
        "go on behind the end token", 0 },
    { "context", MEGA_OPTION_CHOICE, AT(context), "stop", 0, 0, "stop|slide", NULL,
        "when the model's context is full: stop, or go on with its later half", 0 },
    { "special", MEGA_OPTION_BOOL, AT(special), "false", 0, 0, NULL, NULL,
        "what spells a special token in a prompt is that token", 0 },
    { "echo", MEGA_OPTION_BOOL, AT(echo), "false", 0, 0, NULL, NULL,
        "print the prompt before what follows it", 0 },
    { "json", MEGA_OPTION_BOOL, AT(json), "false", 0, 0, NULL, NULL,
        "a JSON object for each text, when it has ended", 0 },
    { "interactive", MEGA_OPTION_BOOL, AT(interactive), "false", 0, 0, NULL, NULL,
        "read lines from standard input and continue the text behind each", 'i' },
    { "load-state", MEGA_OPTION_TEXT, AT(load), "", 0, 0, NULL, "FILE",
        "go on with the texts of a saved state, a prompt put behind them if there is one", 0 },
    { "save-state", MEGA_OPTION_TEXT, AT(save), "", 0, 0, NULL, "FILE",
        "save where the texts stand when they have ended", 0 },
    { "batch", MEGA_OPTION_INT, AT(batch), "8", 1, 4096, NULL, "ROWS",
        "texts side by side; no text depends on it", 'b' },
    { "quiet", MEGA_OPTION_BOOL, AT(quiet), "false", 0, 0, NULL, NULL,
        "say nothing on standard error but errors", 'q' },
    MEGA_LANGUAGE_OPTIONS(AT(choice)),
    MEGA_OPEN_OPTIONS(AT(open)),
    { 0 },
};

/* ---- prompts ---- */

struct prompts {
    struct mega_prompt *item;
    int64_t n;
    struct mega_text file; /* what the file's prompts point into */
};

static mega_status add(struct prompts *p, const char *text, size_t size)
{
    struct mega_prompt *larger = realloc(p->item, (size_t)(p->n + 1) * sizeof *larger);
    if (!larger) return mega_fail(MEGA_NO_MEMORY, "no memory for prompts");
    p->item = larger;
    larger[p->n++] = (struct mega_prompt){ text, size };
    return MEGA_OK;
}

static mega_status read_file(struct prompts *p, const char *path, bool lines)
{
    MEGA_TRY(mega_file_read(path, &p->file));
    const char *at = p->file.data ? p->file.data : "", *end = at + p->file.size;
    if (!lines) return add(p, at, p->file.size);
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) stop = end;
        size_t n = (size_t)(stop - at);
        MEGA_TRY(add(p, at, n && at[n - 1] == '\r' ? n - 1 : n));
        at = stop + 1;
    }
    return MEGA_OK;
}

static mega_status find_prompts(
    struct prompts *p, const struct mega_line *line, const struct options *o)
{
    const char *file = *o->file ? o->file : NULL;
    for (int i = 1; i < line->n_words; i++) {
        if (strcmp(line->word[i], "-")) {
            MEGA_TRY(add(p, line->word[i], strlen(line->word[i])));
        } else if (file) {
            return mega_fail(MEGA_BAD_ARGUMENT,
                "a prompt from standard input and one from a file: one only");
        } else {
            file = "-";
        }
    }
    for (int i = 0; i < o->prompt.n; i++)
        MEGA_TRY(add(p, o->prompt.item[i], strlen(o->prompt.item[i])));
    if (file) MEGA_TRY(read_file(p, file, o->lines));
    if (o->lines && !file)
        return mega_fail(MEGA_BAD_ARGUMENT, "--lines needs a file of prompts: --file FILE");
    if ((o->interactive || *o->load) && p->n > 1)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "%lld prompts, but %s takes one text at most to begin with", (long long)p->n,
            o->interactive ? "--interactive" : "--load-state");
    /* nothing given: the model begins a text */
    return p->n || o->interactive || *o->load ? MEGA_OK : add(p, "", 0);
}

/* ---- generating ---- */

struct work {
    mega_generator *generator;
    const struct options *o;
    struct mega_generate_options how;
    int64_t tokens;
    double seconds;
    bool interrupted;
};

static struct mega_generate_options how(const struct options *o, int64_t prompts)
{
    struct mega_generate_options h;
    mega_generate_options_init(&h);
    h.temperature = o->sampling.temperature;
    h.top_k = o->sampling.top_k;
    h.top_p = o->sampling.top_p;
    h.min_p = o->sampling.min_p;
    h.repetition_penalty = o->sampling.repetition_penalty;
    h.seed = o->sampling.seed;
    h.tokens = o->tokens;
    h.samples = o->samples;
    h.batch = o->batch;
    /* a state holds texts that stand side by side */
    if ((*o->save || o->interactive) && prompts * o->samples > h.batch)
        h.batch = prompts * o->samples;
    h.stop = o->stop.item;
    h.stops = o->stop.n;
    h.specials = o->special;
    h.slide = o->context == 1;
    h.ignore_end = o->ignore_end;
    return h;
}

static void echo(struct mega_told *t, const struct work *w, const struct mega_prompt *prompt)
{
    for (int64_t i = 0; w->o->echo && i < t->texts; i++)
        mega_told_before(t, i, prompt[i / w->o->samples].text, prompt[i / w->o->samples].size);
}

/* Continues n prompts; or, where texts go on, puts the one prompt, if there is any, behind
 * them. */
static mega_status generate(
    struct work *w, const struct mega_prompt *prompt, int64_t n, bool goes_on)
{
    struct mega_told told;
    double start = mega_clock_s();
    int64_t texts = goes_on ? mega_generator_texts(w->generator) : n * w->o->samples;
    MEGA_TRY(mega_told_init(&told, texts, w->o->json));
    if (n) echo(&told, w, prompt);
    mega_status status =
        goes_on ? mega_generator_go_on(
                      w->generator, n ? prompt : NULL, &w->how, mega_told_hear, &told)
                : mega_generator_run(w->generator, prompt, n, &w->how, mega_told_hear, &told);
    w->tokens += told.tokens;
    w->seconds += mega_clock_s() - start;
    w->interrupted |= told.interrupted;
    if (!status && told.full)
        fprintf(stderr, "mega: the context of %lld is full\n",
            (long long)mega_generator_context(w->generator));
    mega_told_done(&told);
    return status;
}

/* a text that goes on behind each line of standard input */
static mega_status converse(struct work *w, const struct mega_prompt *first, bool goes_on)
{
    bool terminal = isatty(STDIN_FILENO);
    char *line = NULL;
    size_t room = 0;
    mega_status status = MEGA_OK;
    if (first) status = generate(w, first, 1, goes_on);
    goes_on |= first != NULL;
    while (!status && !w->interrupted && !ferror(stdout)) {
        if (terminal) fprintf(stderr, "> ");
        ssize_t n = getline(&line, &room, stdin);
        if (n < 0) break;
        if (n && line[n - 1] == '\n') n--;
        struct mega_prompt prompt = { line, (size_t)n };
        status = generate(w, &prompt, 1, goes_on);
        goes_on = true;
        if (!w->o->json && !isatty(STDOUT_FILENO)) putchar('\n');
        fflush(stdout);
    }
    free(line);
    return status;
}

static mega_status note_cut(const struct work *w, const struct prompts *p)
{
    int64_t context = mega_generator_context(w->generator);
    for (int64_t i = 0; w->how.slide && context && !w->o->quiet && i < p->n; i++) {
        struct mega_ids ids = { 0 };
        MEGA_TRY(mega_tokenizer_encode(mega_generator_tokenizer(w->generator), p->item[i].text,
            p->item[i].size, NULL, &ids));
        if ((int64_t)ids.n > context)
            fprintf(stderr,
                "mega: prompt %lld has %zu tokens, the context is %lld: only the last %lld of "
                "them are read\n",
                (long long)i + 1, ids.n, (long long)context, (long long)(context + 1) / 2);
        mega_ids_done(&ids);
    }
    return MEGA_OK;
}

static mega_status work(struct work *w, const struct prompts *p)
{
    const struct options *o = w->o;
    bool loaded = *o->load;
    if (loaded) MEGA_TRY(mega_generator_load(w->generator, o->load, &w->how));
    MEGA_TRY(note_cut(w, p));
    if (o->interactive)
        MEGA_TRY(converse(w, p->n ? p->item : NULL, loaded));
    else
        MEGA_TRY(generate(w, p->item, p->n, loaded));
    if (!*o->save || !mega_generator_texts(w->generator)) return MEGA_OK;
    return mega_generator_save(w->generator, o->save);
}

static void report(const struct work *w, double opening)
{
    int64_t fed = mega_generator_fed(w->generator);
    if (w->o->quiet) return;
    fprintf(stderr,
        "mega: %lld new tokens in %.3f s, %.0f a second (%lld read in or fed back; "
        "opened in %.2f s)\n",
        (long long)w->tokens, w->seconds, w->seconds > 0 ? (double)w->tokens / w->seconds : 0,
        (long long)fed, opening);
}

static mega_status open_and_work(
    struct work *w, mega_context **context, const char *path, const struct prompts *p)
{
    double start = mega_clock_s();
    MEGA_TRY(mega_open_context(context, &w->o->open));
    MEGA_TRY(mega_language_generator(&w->generator, *context, path, &w->o->choice));
    double opening = mega_clock_s() - start;
    mega_status status = work(w, p);
    if (!status || w->tokens) report(w, opening);
    return status;
}

/* an interrupt also ends the waiting for a line */
static void listen_to_signals(void)
{
    struct sigaction action;
    mega_stop_listen();
    sigaction(SIGINT, NULL, &action);
    action.sa_flags &= ~SA_RESTART;
    sigaction(SIGINT, &action, NULL);
}

static int run(const struct mega_line *line)
{
    const struct options *o = line->options;
    struct prompts prompts = { 0 };
    mega_context *context = NULL;
    listen_to_signals();
    mega_status status = find_prompts(&prompts, line, o);
    struct work w = { .o = o, .how = how(o, prompts.n) };
    if (!status) status = open_and_work(&w, &context, line->word[0], &prompts);
    int exit = status ? mega_command_fail(status) : MEGA_EXIT_OK;
    mega_generator_close(w.generator);
    mega_context_free(context);
    mega_text_done(&prompts.file);
    free(prompts.item);
    return !status && mega_stop_signal() ? MEGA_EXIT_STOPPED : exit;
}

const struct mega_command mega_command_generate = {
    .name = "generate",
    .summary = "Continue texts with a language model",
    .words = "MODEL [PROMPT|-]...",
    .least = 1,
    .most = -1,
    .options = options,
    .options_size = sizeof(struct options),
    .manual =
        "MODEL is a run folder (its best checkpoint), a model folder, or a model of another "
        "program (a folder of Hugging Face, a file of llama2.c beside its tokenizer). Each "
        "word "
        "behind it is a prompt, - one from standard input; without any the model begins a "
        "text. The new text is printed as it is made, in whole characters; nothing is added to "
        "it, but with several texts each ends with a newline. Several prompts and --samples go "
        "through the model side by side; what follows a prompt depends on the prompt, the "
        "options and the number of the sample alone, not on --batch or --threads, and equal "
        "seeds give equal texts.\n\n"
        "The filters are applied in the order --repetition-penalty (once for each token that "
        "the text holds, the prompt included), --temperature, --top-k, --top-p, --min-p, each "
        "to what those before it left. --top-p keeps the likeliest tokens as long as those "
        "before have less than P together, so the smallest set that reaches P. At "
        "--temperature 0 the likeliest token is taken, the first of equals.\n\n"
        "A text ends at the model's end token, before a --stop string, after --tokens tokens, "
        "or when the context is full. Stop strings are looked for in the bytes of the new "
        "text, wherever tokens begin; the text before the first that is complete (of several "
        "complete at the same byte, the longest) is printed, the string is not. A context of N "
        "places holds N tokens, the begin token among them, and the token that follows the "
        "last of them is still printed: of no prompt N new tokens where a begin token stands "
        "before them. A longer prompt is refused. With --context slide the later half of a "
        "full context is read in afresh and the text goes on; of a longer prompt the last half "
        "context is read, which is said. Models without a limit (chunked attention and no "
        "table of positions) go on for ever in constant memory.\n\n"
        "--json prints an object a line: text, ids (of the new tokens), prompt_ids, ending "
        "(tokens, end, stop, context, interrupted). Bytes that are no UTF-8 stand in text as "
        "U+FFFD; such a text has a member hex, all its bytes exactly.\n\n"
        "--save-state writes the state of the model behind the texts, --load-state goes on "
        "with it: n tokens, saved, and m more are the same as n + m. A state belongs to one "
        "model, and another one refuses it. An interrupt ends the texts where they are; they "
        "are printed and saved so.",
    .run = run,
};
