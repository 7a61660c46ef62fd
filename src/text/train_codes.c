/* Codes as subword-nmt learns them (Sennrich et al. 2016), and a dictionary of the pieces that
 * they make of the words they were learnt from. */
#include <limits.h>
#include <stdlib.h>

#include "text/codes.h"
#include "text/learn.h"
#include "text/train.h"
#include "text/unicode.h"

extern const struct mega_tokenizer_kind mega_tokenizer_kind_codes;

static bool separates(uint32_t code)
{
    return code == ' ' || code == '\n' || code == '\r';
}

static mega_status count(struct mega_counts *c, const char *name, const char *text, size_t n)
{
    return mega_count_words(c, name, text, n, separates);
}

/* ---- learning ---- */

static mega_status symbol_of(
    struct mega_learner *l, const char *text, size_t n, int32_t *symbol)
{
    *symbol = mega_vocab_find(&l->symbols, text, n);
    if (*symbol >= 0) return MEGA_OK;
    *symbol = l->symbols.n;
    return mega_vocab_set(&l->symbols, *symbol, text, n, 0);
}

/* its characters, the last with the mark of a word's end */
static mega_status add_word(
    struct mega_learner *l, struct mega_ids *ids, const struct mega_span *word, int64_t count_)
{
    const char *end = word->data + word->size;
    uint32_t code;
    ids->n = 0;
    for (const char *p = word->data; p < end;) {
        int length = mega_char_read(p, end, &code);
        char text[16];
        int32_t symbol;
        memcpy(text, p, (size_t)length);
        p += length;
        if (p == end) memcpy(text + length, "</w>", 4);
        MEGA_TRY(symbol_of(l, text, (size_t)length + (p == end ? 4 : 0), &symbol));
        if (!mega_ids_add(ids, &symbol, 1)) return mega_fail(MEGA_NO_MEMORY, "no memory");
    }
    return mega_learner_add(l, ids->id, ids->n, count_);
}

struct printer {
    const struct mega_learner *l;
    struct mega_text *to;
};

static mega_status print_merge(void *arg, int32_t left, int32_t right, int32_t joined)
{
    const struct printer *p = arg;
    const struct mega_piece *piece = p->l->symbols.piece;
    (void)joined;
    mega_text_add_bytes(p->to, piece[left].text.data, piece[left].text.size);
    mega_text_add(p->to, " ");
    mega_text_add_bytes(p->to, piece[right].text.data, piece[right].text.size);
    mega_text_add(p->to, "\n");
    return p->to->failed ? mega_fail(MEGA_NO_MEMORY, "no memory for codes") : MEGA_OK;
}

static mega_status learn(const struct mega_counts *c, const struct mega_tokenizer_training *how,
    struct mega_text *codes)
{
    struct mega_learner l;
    struct mega_ids ids = { 0 };
    struct printer p = { &l, codes };
    MEGA_TRY(mega_learner_init(&l));
    l.larger_first = true;
    mega_status status = MEGA_OK;
    for (int32_t i = 0; i < c->texts.n && !status; i++)
        status = add_word(&l, &ids, &c->texts.piece[i].text, c->count[i]);
    mega_text_add(codes, "#version: 0.2\n");
    if (!status)
        status = mega_learner_run(&l, INT32_MAX, how->size, how->least, print_merge, &p);
    mega_ids_done(&ids);
    mega_learner_done(&l);
    return status;
}

/* ---- the dictionary ---- */

struct counter {
    struct mega_counts *pieces;
    int64_t times;
};

static mega_status count_piece(void *arg, const char *piece, size_t size)
{
    const struct counter *k = arg;
    return mega_counts_add(k->pieces, piece, size, k->times);
}

static mega_status count_pieces(
    const struct mega_counts *c, const struct mega_text *file, struct mega_counts *pieces)
{
    struct mega_codes codes = { 0 };
    struct mega_merging merging = { 0 };
    mega_status status =
        mega_codes_read(&codes, &pieces->arena, "bpe.codes", file->data, file->size);
    for (int32_t i = 0; i < c->texts.n && !status; i++) {
        const struct mega_span *word = &c->texts.piece[i].text;
        struct counter k = { pieces, c->count[i] };
        status =
            mega_codes_each_piece(&codes, &merging, word->data, word->size, count_piece, &k);
    }
    mega_merging_done(&merging);
    mega_codes_done(&codes);
    return status;
}

static mega_status print_dictionary(const struct mega_counts *c,
    const struct mega_tokenizer_training *how, const struct mega_text *codes,
    struct mega_text *out)
{
    struct mega_counts pieces;
    MEGA_TRY(mega_counts_init(&pieces));
    mega_status status = count_pieces(c, codes, &pieces);
    if (!status) status = mega_dictionary_print(&pieces, 0, 0, how->multiple, out);
    mega_counts_done(&pieces);
    return status;
}

static mega_status make(mega_tokenizer **out, const struct mega_counts *c,
    const struct mega_tokenizer_training *how)
{
    struct mega_text codes = { 0 }, dictionary = { 0 };
    mega_status status = learn(c, how, &codes);
    if (!status) status = print_dictionary(c, how, &codes, &dictionary);
    if (!status)
        status = mega_tokenizer_read_pair(
            out, &mega_tokenizer_kind_codes, "bpe.codes", &codes, "dict.txt", &dictionary);
    mega_text_done(&codes);
    mega_text_done(&dictionary);
    return status;
}

const struct mega_tokenizer_trainer mega_tokenizer_trainer_codes = {
    .name = "codes",
    .about = "merges inside words, with a dictionary of pieces",
    .count = count,
    .make = make,
};
