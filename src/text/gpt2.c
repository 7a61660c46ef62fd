/* GPT-2's own files: vocab.json (encoder.json) maps pieces to ids, merges.txt (vocab.bpe) holds
 * a merge a line, best first. What is in the vocabulary and neither a byte nor made by a merge
 * is a special token. */
#include <stdlib.h>

#include "text/bpe_model.h"
#include "text/byte_chars.h"

#define VOCABULARIES "vocab.json|encoder.json"
#define MERGES "merges.txt|vocab.bpe"

static const char *name_in(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool is(const char *path, const char *bytes, size_t n)
{
    if (mega_choice_find(MERGES, name_in(path)) >= 0) return true;
    size_t i = n >= 3 && !memcmp(bytes, "\xEF\xBB\xBF", 3) ? 3 : 0;
    while (
        i < n && (bytes[i] == ' ' || bytes[i] == '\n' || bytes[i] == '\r' || bytes[i] == '\t'))
        i++;
    return i < n && bytes[i] == '{';
}

static mega_status read_vocabulary(mega_tokenizer *t, const struct mega_document *d)
{
    if (d->root->kind != MEGA_NODE_MAP || !d->root->first)
        return mega_fail(MEGA_BAD_FILE, "%s: expected an object of pieces and ids", d->name);
    return mega_vocab_read(&t->vocab, d, d->root);
}

static mega_status read_merges(
    mega_tokenizer *t, struct mega_bpe_model *m, const char *name, const char *text, size_t n)
{
    int32_t rank = 0;
    int line = 0;
    for (const char *p = text, *end = text + n, *stop; p < end; p = stop + 1) {
        stop = memchr(p, '\n', (size_t)(end - p));
        if (!stop) stop = end;
        line++;
        size_t size = (size_t)(stop - p);
        if (size && p[size - 1] == '\r') size--;
        if (!size || (line == 1 && size >= 8 && !memcmp(p, "#version", 8))) continue;
        const char *blank = memchr(p, ' ', size);
        size_t left = blank ? (size_t)(blank - p) : 0, right = blank ? size - left - 1 : 0;
        if (!left || !right || memchr(blank + 1, ' ', right))
            return mega_fail(MEGA_BAD_FILE,
                "%s:%d: expected two pieces with a blank between, found '%.*s'", name, line,
                (int)(size < 80 ? size : 80), p);
        char *copy = mega_arena_get(&t->arena, size + 1);
        if (!copy) return mega_fail(MEGA_NO_MEMORY, "no memory for %s", name);
        memcpy(copy, p, size);
        copy[left] = copy[size] = 0;
        MEGA_TRY(mega_bpe_model_merge(t, m, rank++, (struct mega_span){ copy, left },
            (struct mega_span){ copy + left + 1, right }, name, line));
    }
    return MEGA_OK;
}

/* specials by what they are not, and surfaces by the bytes that characters stand for */
static mega_status mark_pieces(mega_tokenizer *t, struct mega_bpe_model *m)
{
    bool *made = calloc((size_t)t->vocab.n + 1, sizeof *made);
    mega_status status =
        made ? MEGA_OK : mega_fail(MEGA_NO_MEMORY, "no memory for a tokenizer");
    for (uint32_t i = 0; made && m->merges.slot && i <= m->merges.mask; i++)
        if (m->merges.slot[i].left >= 0) made[m->merges.slot[i].joined] = true;
    for (int i = 0; made && i < 256; i++)
        if (m->byte[i] >= 0) made[m->byte[i]] = true;
    for (int32_t id = 0; id < t->vocab.n && !status; id++) {
        struct mega_piece *p = &t->vocab.piece[id];
        struct mega_text bytes = { 0 };
        if (!(p->flags & MEGA_PIECE_USED)) continue;
        if (!made[id]) {
            p->flags |= MEGA_PIECE_SPECIAL;
            status = mega_specials_add(&t->specials,
                &(struct mega_added){ .text = p->text, .id = id, .special = true });
        } else if (mega_bytes_of_chars(p->text.data, p->text.size, &bytes)) {
            status = mega_vocab_surface(&t->vocab, id, bytes.data, bytes.size);
        }
        mega_text_done(&bytes);
    }
    free(made);
    return status;
}

static mega_status read_both(mega_tokenizer *t, struct mega_bpe_model *m, const char *path)
{
    bool merges_first = mega_choice_find(MERGES, name_in(path)) >= 0;
    const char *wanted = merges_first ? VOCABULARIES : MERGES;
    const struct mega_text *other, *first = &t->source[0].bytes;
    if (merges_first) t->source[0].name = "merges.txt";
    MEGA_TRY(mega_tokenizer_sibling(t, path, wanted, &other));
    if (!other)
        return mega_fail(MEGA_BAD_FILE, "%s: expected %s in the same folder", path, wanted);
    const struct mega_text *vocabulary = merges_first ? other : first;
    const struct mega_text *merges = merges_first ? first : other;
    MEGA_TRY(mega_json_parse(
        &m->document, merges_first ? "vocab.json" : path, vocabulary->data, vocabulary->size));
    MEGA_TRY(read_vocabulary(t, &m->document));
    MEGA_TRY(read_merges(t, m, merges_first ? path : "merges.txt", merges->data, merges->size));
    MEGA_TRY(mega_splitter_gpt2(&m->splitter));
    MEGA_TRY(mega_bpe_model_finish(t, m));
    return mark_pieces(t, m);
}

static mega_status read(mega_tokenizer *t, const char *path)
{
    struct mega_bpe_model *m = calloc(1, sizeof *m);
    if (!m) return mega_fail(MEGA_NO_MEMORY, "no memory for a tokenizer");
    t->model = m;
    m->unk = -1;
    MEGA_TRY(read_both(t, m, path));
    t->special[MEGA_BOS] = mega_vocab_any(&t->vocab, "<|endoftext|> <s>");
    t->special[MEGA_EOS] = mega_vocab_any(&t->vocab, "<|endoftext|> </s>");
    t->special[MEGA_PAD] = mega_vocab_any(&t->vocab, "<pad>");
    t->special[MEGA_UNK] = mega_vocab_any(&t->vocab, "<unk>");
    return MEGA_OK;
}

const struct mega_tokenizer_kind mega_tokenizer_kind_gpt2 = {
    .name = "byte-level BPE",
    .files = VOCABULARIES,
    .about = "GPT-2's vocabulary and merges",
    .is = is,
    .read = read,
    .encode = mega_bpe_model_encode,
    .done = mega_bpe_model_free,
    .forget = mega_bpe_model_forget,
};
