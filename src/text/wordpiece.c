#include "text/wordpiece.h"

#include <stdlib.h>

#include "text/unicode.h"

mega_status mega_wordpiece_finish(
    mega_tokenizer *t, struct mega_bpe_model *m, struct mega_span unk, const char *name)
{
    m->unk = mega_vocab_find(&t->vocab, unk.data, unk.size);
    if (m->unk < 0)
        return mega_fail(MEGA_BAD_FILE,
            "%s: a WordPiece vocabulary without its unknown piece %.80s", name, unk.data);
    t->special[MEGA_UNK] = m->unk;
    for (int32_t i = 0; i < t->vocab.n; i++) {
        const struct mega_piece *p = &t->vocab.piece[i];
        if (p->flags & MEGA_PIECE_USED && p->text.size > m->longest_piece)
            m->longest_piece = p->text.size;
    }
    return MEGA_OK;
}

static int64_t characters(const char *p, size_t n)
{
    int64_t count = 0;
    for (size_t i = 0; i < n; i++) count += ((unsigned char)p[i] & 0xC0) != 0x80;
    return count;
}

/* the end of the character before the one that ends at `end` */
static size_t shorter(const char *text, size_t end)
{
    do end--;
    while (end && ((unsigned char)text[end] & 0xC0) == 0x80);
    return end;
}

/* the longest piece that begins text[0 ... n), whose first `skip` bytes it must hold; its
 * bytes, or 0 */
static size_t longest(const mega_tokenizer *t, const struct mega_bpe_model *m, const char *text,
    size_t n, size_t skip, int32_t *id)
{
    size_t end = n;
    if (end > m->longest_piece) {
        /* whole characters */
        end = m->longest_piece;
        while (end && ((unsigned char)text[end] & 0xC0) == 0x80) end--;
    }
    for (; end > skip; end = shorter(text, end)) {
        *id = mega_vocab_find(&t->vocab, text, end);
        if (*id >= 0) return end;
    }
    return 0;
}

mega_status mega_wordpiece_cut(const mega_tokenizer *t, const struct mega_bpe_model *m,
    const char *word, size_t n, struct mega_text *room, int32_t *id, size_t *count)
{
    size_t k = 0;
    bool known = characters(word, n) <= m->longest_word;
    for (size_t from = 0, took; known && from < n; from += took) {
        const char *text = word + from;
        size_t skip = from ? m->prefix.size : 0, size = n - from, most = m->longest_piece + 4;
        /* no piece is longer; four bytes more, so that a cut character is seen */
        if (size > most) size = most;
        if (skip) {
            mega_text_clear(room);
            mega_text_add_bytes(room, m->prefix.data, skip);
            mega_text_add_bytes(room, text, size);
            if (room->failed) return mega_fail(MEGA_NO_MEMORY, "no memory to encode a word");
            text = room->data;
        }
        took = longest(t, m, text, skip + size, skip, &id[k]);
        known = took > 0;
        took -= known ? skip : 0;
        k += known;
    }
    if (!known) id[0] = m->unk;
    *count = known ? k : 1;
    return MEGA_OK;
}

/* ---- decoding ---- */

/* what clean-up makes of each token, with the blank before it */
static const char *const cleaned[][2] = { { " .", "." }, { " ?", "?" }, { " !", "!" },
    { " ,", "," }, { " ' ", "'" }, { " n't", "n't" }, { " 'm", "'m" }, { " do not", " don't" },
    { " 's", "'s" }, { " 've", "'ve" }, { " 're", "'re" } };

static void replace(struct mega_text *text, struct mega_text *spare, const char *const pair[2])
{
    const char *at = text->data, *end = at + text->size, *found;
    size_t size = strlen(pair[0]);
    if (!memmem(at, text->size, pair[0], size)) return;
    mega_text_clear(spare);
    mega_text_add(spare, "%s", "");
    for (; (found = memmem(at, (size_t)(end - at), pair[0], size)); at = found + size) {
        mega_text_add_bytes(spare, at, (size_t)(found - at));
        mega_text_add(spare, "%s", pair[1]);
    }
    mega_text_add_bytes(spare, at, (size_t)(end - at));
    struct mega_text was = *text;
    *text = *spare;
    *spare = was;
}

/* the surface of one piece, and whether a blank comes before it */
static mega_status set_surface(struct mega_vocab *v, int32_t id, struct mega_span prefix,
    bool cleanup, struct mega_text *text, struct mega_text *spare)
{
    struct mega_piece *p = &v->piece[id];
    bool inside = prefix.size && p->text.size >= prefix.size &&
                  !memcmp(p->text.data, prefix.data, prefix.size);
    size_t skip = inside ? prefix.size : 0;
    mega_text_clear(text);
    mega_text_add(text, "%s", inside ? "" : " ");
    mega_text_add_bytes(text, p->text.data + skip, p->text.size - skip);
    for (size_t i = 0; cleanup && !text->failed && i < sizeof cleaned / sizeof *cleaned; i++)
        replace(text, spare, cleaned[i]);
    if (text->failed || spare->failed)
        return mega_fail(MEGA_NO_MEMORY, "no memory for a decoder");
    bool blank = !inside && text->size && *text->data == ' ';
    if (!blank) p->flags |= MEGA_PIECE_JOINS;
    return mega_vocab_surface(v, id, text->data + blank, text->size - blank);
}

mega_status mega_wordpiece_surfaces(mega_tokenizer *t, struct mega_span prefix, bool cleanup)
{
    struct mega_text text = { 0 }, spare = { 0 };
    mega_status status = MEGA_OK;
    for (int32_t id = 0; id < t->vocab.n && !status; id++)
        if (mega_vocab_has(&t->vocab, id))
            status = set_surface(&t->vocab, id, prefix, cleanup, &text, &spare);
    t->joining.blank = " ";
    mega_text_done(&text);
    mega_text_done(&spare);
    return status;
}

/* ---- BERT's own file: a piece a line ---- */

static bool flag(const struct mega_node *config, const char *key, bool fallback)
{
    const struct mega_node *n = config ? mega_node_find(config, key) : NULL;
    return n && n->kind == MEGA_NODE_BOOL ? n->boolean : fallback;
}

static mega_status read_lines(mega_tokenizer *t, const char *path)
{
    const struct mega_text *file = &t->source[0].bytes;
    int32_t id = 0;
    for (const char *p = file->data, *end = p + file->size, *stop; p < end;
         p = stop + 1, id++) {
        stop = memchr(p, '\n', (size_t)(end - p));
        if (!stop) stop = end;
        size_t size = (size_t)(stop - p);
        while (size && (p[size - 1] == '\r' || p[size - 1] == ' ' || p[size - 1] == '\t'))
            size--;
        if (mega_text_valid_end(p, p + size) < p + size)
            return mega_fail(MEGA_BAD_FILE, "%s:%d: expected a piece in UTF-8", path, id + 1);
        if (id == MEGA_VOCAB_MOST)
            return mega_fail(
                MEGA_UNSUPPORTED, "%s: more than %d pieces", path, MEGA_VOCAB_MOST);
        /* of two equal lines the later one counts */
        MEGA_TRY(mega_vocab_set(&t->vocab, id, p, size, 0));
        mega_vocab_prefer(&t->vocab, id);
    }
    return MEGA_OK;
}

/* does a piece that is no special token hold capital letters of ASCII? */
static bool has_capitals(const struct mega_vocab *v)
{
    for (int32_t i = 0; i < v->n; i++) {
        const struct mega_span *s = &v->piece[i].text;
        if (!mega_vocab_has(v, i) || v->piece[i].flags & MEGA_PIECE_SPECIAL) continue;
        if (s->size && *s->data == '[') continue;
        for (size_t k = 0; k < s->size; k++)
            if (s->data[k] >= 'A' && s->data[k] <= 'Z') return true;
    }
    return false;
}

/* "[CLS]", or what tokenizer_config.json calls it, as a token of its own */
static mega_status add_special(mega_tokenizer *t, const struct mega_node *config,
    const char *key, const char *usual, int32_t *id)
{
    const struct mega_node *n = config ? mega_node_find(config, key) : NULL;
    if (n && n->kind == MEGA_NODE_MAP) n = mega_node_find(n, "content");
    bool told = n && n->kind == MEGA_NODE_TEXT && n->size;
    *id = told ? mega_vocab_find(&t->vocab, n->text, n->size)
               : mega_vocab_find(&t->vocab, usual, strlen(usual));
    if (*id < 0) return MEGA_OK;
    struct mega_piece *p = &t->vocab.piece[*id];
    p->flags |= MEGA_PIECE_SPECIAL | MEGA_PIECE_ADDED;
    return mega_specials_add(
        &t->specials, &(struct mega_added){ .text = p->text, .id = *id, .special = true });
}

static mega_status add_specials(mega_tokenizer *t, const struct mega_node *config)
{
    int32_t cls, sep, mask;
    MEGA_TRY(add_special(t, config, "pad_token", "[PAD]", &t->special[MEGA_PAD]));
    MEGA_TRY(add_special(t, config, "unk_token", "[UNK]", &t->special[MEGA_UNK]));
    MEGA_TRY(add_special(t, config, "cls_token", "[CLS]", &cls));
    MEGA_TRY(add_special(t, config, "sep_token", "[SEP]", &sep));
    MEGA_TRY(add_special(t, config, "mask_token", "[MASK]", &mask));
    if ((cls >= 0 && !mega_ids_add(&t->before, &cls, 1)) ||
        (sep >= 0 && !mega_ids_add(&t->after, &sep, 1)))
        return mega_fail(MEGA_NO_MEMORY, "no memory for tokens");
    return MEGA_OK;
}

/* a vocabulary does not say how text is normalised: the file beside it does, else its letters
 */
static mega_status configure(mega_tokenizer *t, struct mega_bpe_model *m, const char *path,
    const struct mega_node *config)
{
    MEGA_TRY(add_specials(t, config));
    if (!flag(config, "do_basic_tokenize", true))
        return mega_fail(MEGA_UNSUPPORTED,
            "tokenizer_config.json beside %s: do_basic_tokenize is false, expected true", path);
    bool lower = flag(config, "do_lower_case", !has_capitals(&t->vocab));
    t->name = lower ? "WordPiece, lower case" : "WordPiece";
    MEGA_TRY(mega_normalizer_bert(
        &m->normalizer, &(struct mega_bert_normalizer){ .clean = true,
                            .ideographs = flag(config, "tokenize_chinese_chars", true),
                            .strip_accents = flag(config, "strip_accents", lower),
                            .lower = lower }));
    MEGA_TRY(mega_splitter_bert(&m->splitter));
    m->prefix = (struct mega_span){ "##", 2 };
    m->longest_word = 100;
    int32_t unk = t->special[MEGA_UNK];
    struct mega_span name = { "[UNK]", 5 };
    MEGA_TRY(mega_wordpiece_finish(t, m, unk < 0 ? name : t->vocab.piece[unk].text, path));
    MEGA_TRY(mega_wordpiece_surfaces(t, m->prefix, true));
    return mega_bpe_model_finish(t, m);
}

static mega_status read(mega_tokenizer *t, const char *path)
{
    static const char name[] = "tokenizer_config.json";
    const struct mega_text *file;
    struct mega_bpe_model *m = calloc(1, sizeof *m);
    if (!m) return mega_fail(MEGA_NO_MEMORY, "no memory for a tokenizer");
    t->model = m;
    m->unk = -1;
    MEGA_TRY(read_lines(t, path));
    MEGA_TRY(mega_tokenizer_sibling(t, path, name, &file));
    /* its texts are looked at, not kept */
    struct mega_document config = { 0 };
    if (file) MEGA_TRY(mega_json_parse(&config, name, file->data, file->size));
    mega_status status = configure(t, m, path, file ? config.root : NULL);
    mega_document_done(&config);
    return status;
}

/* one of its lines is the unknown piece alone */
static bool is(const char *path, const char *bytes, size_t n)
{
    (void)path;
    static const char unk[] = "[UNK]";
    const char *end = bytes + n;
    for (const char *p = bytes; p && (p = memmem(p, (size_t)(end - p), unk, sizeof unk - 1));) {
        const char *after = p + sizeof unk - 1;
        bool begins = p == bytes || p[-1] == '\n',
             ends = after == end || *after == '\n' || *after == '\r';
        if (begins && ends) return true;
        p = after;
    }
    return false;
}

const struct mega_tokenizer_kind mega_tokenizer_kind_wordpiece = {
    .name = "WordPiece",
    .files = "vocab.txt",
    .about = "BERT's vocabulary, a piece a line",
    .is = is,
    .read = read,
    .encode = mega_bpe_model_encode,
    .done = mega_bpe_model_free,
    .forget = mega_bpe_model_forget,
};
