/* Ids are bytes. Saved as a tokenizer.json of 256 pieces without merges, which others can read.
 */
#include "text/byte_chars.h"
#include "text/train.h"
#include "text/unicode.h"

static bool is(const char *path, const char *bytes, size_t n)
{
    (void)path, (void)bytes, (void)n;
    return false; /* by name alone */
}

/* byte-level BPE without merges, and without cutting at words, which would change nothing */
static mega_status print(mega_tokenizer *t, struct mega_text *to)
{
    struct mega_vocab pieces = { .arena = &t->arena };
    mega_status status = MEGA_OK;
    for (int32_t id = 0; id < 256 && !status; id++) {
        char text[4];
        int size = mega_char_write(mega_byte_char((unsigned char)id), text);
        status = mega_vocab_set(&pieces, id, text, (size_t)size, 0);
    }
    if (!status)
        mega_json_model_print(
            &(struct mega_json_model){ .pieces = &pieces,
                .parts =
                    "  \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": "
                    "false, \"trim_offsets\": true, \"use_regex\": false},\n"
                    "  \"post_processor\": null,\n"
                    "  \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
                    "\"trim_offsets\": true, \"use_regex\": false},\n" },
            to);
    mega_vocab_done(&pieces);
    return status;
}

static mega_status read(mega_tokenizer *t, const char *path)
{
    (void)path;
    struct mega_text file = { 0 };
    MEGA_TRY(print(t, &file));
    MEGA_TRY(mega_tokenizer_keep(t, "tokenizer.json", &file));
    for (int32_t id = 0; id < 256; id++) {
        char byte = (char)id;
        MEGA_TRY(mega_vocab_set(&t->vocab, id, &byte, 1, 0));
    }
    return MEGA_OK;
}

static mega_status encode(
    const mega_tokenizer *t, struct mega_workspace *w, const char *text, size_t n, bool first)
{
    (void)t, (void)first;
    for (size_t i = 0; i < n; i++) mega_emit(w, (unsigned char)text[i]);
    return MEGA_OK;
}

const struct mega_tokenizer_kind mega_tokenizer_kind_bytes = {
    .name = "bytes",
    .files = "",
    .about = "bytes",
    .is = is,
    .read = read,
    .encode = encode,
};
