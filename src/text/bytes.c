/* Ids are bytes. Saved as a tokenizer.json of 256 pieces without merges, which others can read.
 */
#include "format/node.h"
#include "text/byte_chars.h"
#include "text/tokenizer.h"

static bool is(const char *path, const char *bytes, size_t n)
{
    (void)path, (void)bytes, (void)n;
    return false; /* by name alone */
}

/* byte-level BPE without merges, and without cutting at words, which would change nothing */
static void print(struct mega_text *to)
{
    mega_text_add(to,
        "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n"
        "  \"added_tokens\": [],\n  \"normalizer\": null,\n"
        "  \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
        "\"trim_offsets\": true, \"use_regex\": false},\n  \"post_processor\": null,\n"
        "  \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
        "\"trim_offsets\": true, \"use_regex\": false},\n"
        "  \"model\": {\"type\": \"BPE\", \"dropout\": null, \"unk_token\": null, "
        "\"continuing_subword_prefix\": null, \"end_of_word_suffix\": null, \"fuse_unk\": "
        "false, \"byte_fallback\": false, \"ignore_merges\": false,\n    \"vocab\": {");
    for (int id = 0; id < 256; id++) {
        struct mega_text piece = { 0 };
        char byte = (char)id;
        mega_chars_of_bytes(&byte, 1, &piece);
        mega_text_add(to, id ? ", " : "");
        if (piece.data) mega_json_add_text(to, piece.data, piece.size);
        mega_text_add(to, ": %d", id);
        mega_text_done(&piece);
    }
    mega_text_add(to, "},\n    \"merges\": []}\n}\n");
}

static mega_status read(mega_tokenizer *t, const char *path)
{
    (void)path;
    struct mega_text file = { 0 };
    print(&file);
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
