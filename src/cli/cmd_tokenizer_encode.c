/* mega tokenizer encode: texts to ids. */
#include <stddef.h>
#include <string.h>

#include "base/file.h"
#include "cli/command.h"
#include "megac/tokenizer.h"

struct options {
    bool bytes, special, bos, eos, frame, lines, pieces, count;
};

#define AT(member) offsetof(struct options, member)

static const struct mega_option options[] = {
    { "special", MEGA_OPTION_BOOL, AT(special), "false", 0, 0, NULL, NULL,
        "a text that spells a special token is that token", 's' },
    { "bos", MEGA_OPTION_BOOL, AT(bos), "false", 0, 0, NULL, NULL,
        "the token for the begin of a text comes first", 0 },
    { "eos", MEGA_OPTION_BOOL, AT(eos), "false", 0, 0, NULL, NULL,
        "the token for the end of a text comes last", 0 },
    { "frame", MEGA_OPTION_BOOL, AT(frame), "false", 0, 0, NULL, NULL,
        "what the tokenizer itself puts around a text", 0 },
    { "lines", MEGA_OPTION_BOOL, AT(lines), "false", 0, 0, NULL, NULL,
        "each line is a text: its ids on a line, with blanks between", 'l' },
    { "pieces", MEGA_OPTION_BOOL, AT(pieces), "false", 0, 0, NULL, NULL,
        "pieces instead of ids, as the tokenizer's file writes them", 'p' },
    { "count", MEGA_OPTION_BOOL, AT(count), "false", 0, 0, NULL, NULL,
        "print how many ids a text has, not which", 'c' },
    { "bytes", MEGA_OPTION_BOOL, AT(bytes), "false", 0, 0, NULL, NULL,
        "ids are bytes; no TOKENIZER is given", 'b' },
    { 0 },
};

struct printer {
    const mega_tokenizer *t;
    const struct options *o;
    bool begun; /* a line has ids already */
    int64_t n;
};

static mega_status print_ids(void *arg, const int32_t *id, size_t n)
{
    struct printer *p = arg;
    p->n += (int64_t)n;
    if (p->o->count) return MEGA_OK;
    for (size_t i = 0; i < n; i++) {
        if (p->begun) putchar(p->o->lines ? ' ' : '\n');
        p->begun = true;
        size_t size = 0;
        const char *piece = p->o->pieces ? mega_tokenizer_piece(p->t, id[i], &size) : NULL;
        if (piece)
            fwrite(piece, 1, size, stdout);
        else
            printf("%d", (int)id[i]);
    }
    return ferror(stdout) ? mega_fail(MEGA_IO, "cannot write standard output") : MEGA_OK;
}

static mega_status print_text(
    const mega_tokenizer *t, const struct options *o, const char *text, size_t n, bool always)
{
    struct printer p = { .t = t, .o = o };
    struct mega_encode_options how = {
        .bos = o->bos, .eos = o->eos, .frame = o->frame, .specials = o->special
    };
    MEGA_TRY(mega_tokenizer_encode_each(t, text, n, &how, print_ids, &p));
    if (o->count) printf("%lld\n", (long long)p.n);
    if (!o->count && (p.begun || always)) putchar('\n');
    return MEGA_OK;
}

static mega_status print_lines(
    const mega_tokenizer *t, const struct options *o, const char *text, size_t n)
{
    int64_t line = 0;
    for (const char *p = text, *end = text + n, *stop; p < end; p = stop + 1) {
        stop = memchr(p, '\n', (size_t)(end - p));
        if (!stop) stop = end;
        size_t size = (size_t)(stop - p);
        line++;
        mega_status status = print_text(t, o, p, size, true);
        if (status) return mega_fail_in(status, "line %lld: ", (long long)line);
    }
    return MEGA_OK;
}

static int run(const struct mega_line *line)
{
    const struct options *o = line->options;
    const char *tokenizer = o->bytes ? "bytes" : line->word[0];
    int at = o->bytes ? 0 : 1;
    if (line->n_words < at || line->n_words > at + 1) {
        fprintf(stderr, "mega: tokenizer encode needs %s\nTry: mega help tokenizer encode\n",
            o->bytes ? "at most one FILE with --bytes" : "TOKENIZER [FILE|-]");
        return MEGA_EXIT_USAGE;
    }
    const char *path = line->n_words > at ? line->word[at] : "-";
    struct mega_text text = { 0 };
    struct mega_map map = { 0 };
    mega_tokenizer *t = NULL;
    mega_status status = mega_tokenizer_open(&t, tokenizer);
    if (!status)
        status = strcmp(path, "-") ? mega_map_open(&map, path) : mega_file_read(path, &text);
    const char *bytes = map.data ? (const char *)map.data : text.data ? text.data : "";
    size_t n = map.data ? map.size : text.size;
    if (!status) {
        status = o->lines ? print_lines(t, o, bytes, n) : print_text(t, o, bytes, n, false);
        if (status && status != MEGA_IO) mega_fail_in(status, "%s: ", path);
    }
    mega_map_close(&map);
    mega_text_done(&text);
    mega_tokenizer_close(t);
    return status ? mega_command_fail(status) : MEGA_EXIT_OK;
}

const struct mega_command mega_command_tokenizer_encode = {
    .name = "tokenizer encode",
    .summary = "Print the ids of a text",
    .words = "TOKENIZER [FILE|-]",
    .least = 0,
    .most = 2,
    .options = options,
    .options_size = sizeof(struct options),
    .manual =
        "TOKENIZER is a tokenizer file, a folder that holds one (a model folder), or the word "
        "bytes. The whole file is one text, line ends included; its ids are printed one a "
        "line, "
        "so that wc -l counts them. Nothing is added to the text and nothing taken from it.\n\n"
        "A text that spells a special token (<|endoftext|>) is text like any other, as it is "
        "when data are read; with --special it is that token. --frame adds what a "
        "tokenizer.json asks for around a text (its template), or a dictionary's end of "
        "line.\n\n"
        "A tokenizer over characters refuses what is not valid UTF-8, naming the byte; one "
        "over "
        "bytes takes everything.",
    .run = run,
};
