/* mega tokenizer decode: ids to text. */
#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/command.h"
#include "megac/tokenizer.h"

struct options {
    bool special, lines;
};

#define AT(member) offsetof(struct options, member)

static const struct mega_option options[] = {
    { "special", MEGA_OPTION_BOOL, AT(special), "false", 0, 0, NULL, NULL,
        "print special tokens as they are spelt, instead of hiding them", 's' },
    { "lines", MEGA_OPTION_BOOL, AT(lines), "false", 0, 0, NULL, NULL,
        "each line of ids is a text, and ends a line", 'l' },
    { 0 },
};

/* the next id of a line; *at stands behind it. NULL ids at the line's end: false */
static mega_status next_id(const char **at, const char *end, int64_t line, int64_t *id)
{
    while (*at < end && isspace((unsigned char)**at)) (*at)++;
    *id = -1;
    if (*at == end) return MEGA_OK;
    const char *from = *at;
    int64_t value = 0;
    while (*at < end && isdigit((unsigned char)**at) && value <= INT32_MAX)
        value = 10 * value + *(*at)++ - '0';
    if (*at == from || value > INT32_MAX || (*at < end && !isspace((unsigned char)**at)))
        return mega_fail(MEGA_BAD_FILE, "line %lld: expected an id, found '%.*s'",
            (long long)line, (int)(end - from < 20 ? end - from : 20), from);
    *id = value;
    return MEGA_OK;
}

static mega_status decode_line(mega_decoder *d, const char *at, const char *end, int64_t line)
{
    const char *bytes;
    size_t size;
    for (int64_t id;;) {
        MEGA_TRY(next_id(&at, end, line, &id));
        if (id < 0) return MEGA_OK;
        mega_status status = mega_decoder_add(d, (int32_t)id, &bytes, &size);
        if (status) return mega_fail_in(status, "line %lld: ", (long long)line);
        fwrite(bytes, 1, size, stdout);
    }
}

static mega_status decode(mega_decoder *d, const struct options *o, const char *text, size_t n)
{
    const char *bytes;
    size_t size;
    int64_t line = 0;
    for (const char *p = text, *end = text + n, *stop; p < end; p = stop + 1) {
        stop = memchr(p, '\n', (size_t)(end - p));
        if (!stop) stop = end;
        MEGA_TRY(decode_line(d, p, stop, ++line));
        if (!o->lines) continue;
        MEGA_TRY(mega_decoder_flush(d, &bytes, &size));
        fwrite(bytes, 1, size, stdout);
        putchar('\n');
    }
    MEGA_TRY(mega_decoder_flush(d, &bytes, &size));
    fwrite(bytes, 1, size, stdout);
    return MEGA_OK;
}

static int run(const struct mega_line *line)
{
    const struct options *o = line->options;
    const char *path = line->n_words > 1 ? line->word[1] : "-";
    struct mega_decode_options how = { .specials = o->special };
    struct mega_text text = { 0 };
    mega_tokenizer *t = NULL;
    mega_decoder *d = NULL;
    mega_status status = mega_tokenizer_open(&t, line->word[0]);
    if (!status) status = mega_decoder_open(&d, t, &how);
    if (!status) status = mega_file_read(path, &text);
    if (!status) {
        status = decode(d, o, text.data, text.size);
        if (status) mega_fail_in(status, "%s, ", strcmp(path, "-") ? path : "standard input");
    }
    mega_text_done(&text);
    mega_decoder_close(d);
    mega_tokenizer_close(t);
    return status ? mega_command_fail(status) : MEGA_EXIT_OK;
}

const struct mega_command mega_command_tokenizer_decode = {
    .name = "tokenizer decode",
    .summary = "Print the text of ids",
    .words = "TOKENIZER [FILE|-]",
    .least = 1,
    .most = 2,
    .options = options,
    .options_size = sizeof(struct options),
    .manual = "Ids are whole numbers with white space between, as mega tokenizer encode prints "
              "them. Their bytes are printed as they are: no newline is added, and bytes that "
              "are not valid UTF-8 are not replaced.\n\n"
              "Special tokens leave nothing, unless --special asks for them as they are spelt.",
    .run = run,
};
