/* Byte-level BPE over GPT-2's words: ids are the 256 bytes in GPT-2's order, then merges as
 * they are learnt, then special tokens. Saved as tokenizer.json, and as vocab.json with
 * merges.txt. */
#include <stdlib.h>

#include "format/node.h"
#include "text/byte_chars.h"
#include "text/learn.h"
#include "text/split.h"
#include "text/train.h"
#include "text/unicode.h"

extern const struct mega_tokenizer_kind mega_tokenizer_kind_tokenizer_json;

/* ---- words ---- */

static mega_status count_word(void *arg, const char *word, size_t n)
{
    return mega_counts_add(arg, word, n, 1);
}

static mega_status count(struct mega_counts *c, const char *name, const char *text, size_t n)
{
    struct mega_splitter s = { 0 };
    struct mega_splitting w = { 0 };
    (void)name;
    mega_status status = mega_splitter_gpt2(&s);
    uint32_t code;
    for (const char *p = text, *end = text + n, *from = p; p < end && !status; from = p) {
        p = mega_text_valid_end(p, end);
        status =
            mega_splitter_run(&s, &w, from, (size_t)(p - from), from == text, count_word, c);
        /* what is no character is a word of its own, as it is when encoding */
        from = p;
        while (p < end && !mega_char_read(p, end, &code)) p++;
        if (p > from && !status) status = count_word(c, from, (size_t)(p - from));
    }
    mega_splitting_done(&w);
    mega_splitter_done(&s);
    return status;
}

/* ---- learning ---- */

static mega_status no_memory(void)
{
    return mega_fail(MEGA_NO_MEMORY, "no memory to train a tokenizer");
}

/* symbols are pieces as files write them: a character a byte */
static mega_status add_words(struct mega_learner *l, const struct mega_counts *c)
{
    int32_t symbol_of[256];
    struct mega_ids ids = { 0 };
    mega_status status = MEGA_OK;
    for (int32_t i = 0; i < 256 && !status; i++) {
        char text[4];
        unsigned char byte = mega_byte_in_order(i);
        symbol_of[byte] = i;
        status = mega_vocab_set(
            &l->symbols, i, text, (size_t)mega_char_write(mega_byte_char(byte), text), 0);
    }
    for (int32_t i = 0; i < c->texts.n && !status; i++) {
        const struct mega_span *word = &c->texts.piece[i].text;
        ids.n = 0;
        for (size_t k = 0; k < word->size && !status; k++)
            if (!mega_ids_add(&ids, &symbol_of[(unsigned char)word->data[k]], 1))
                status = no_memory();
        if (!status) status = mega_learner_add(l, ids.id, ids.n, c->count[i]);
    }
    mega_ids_done(&ids);
    return status;
}

struct merges {
    const struct mega_learner *l;
    struct mega_arena *arena;
    const char **text;
    int32_t n, room;
};

static mega_status keep_merge(void *arg, int32_t left, int32_t right, int32_t joined)
{
    struct merges *m = arg;
    const struct mega_span *a = &m->l->symbols.piece[left].text;
    const struct mega_span *b = &m->l->symbols.piece[right].text;
    (void)joined;
    if (m->n == m->room) {
        int32_t room = m->room ? 2 * m->room : 1024;
        void *text = realloc(m->text, (size_t)room * sizeof *m->text);
        if (!text) return no_memory();
        m->text = text;
        m->room = room;
    }
    char *copy = mega_arena_get(m->arena, a->size + b->size + 2);
    if (!copy) return no_memory();
    memcpy(copy, a->data, a->size);
    copy[a->size] = ' ';
    memcpy(copy + a->size + 1, b->data, b->size + 1);
    m->text[m->n++] = copy;
    return MEGA_OK;
}

/* ---- files ---- */

static void print_gpt2(const struct mega_vocab *v, const struct merges *m,
    struct mega_text *vocabulary, struct mega_text *merges)
{
    mega_text_add(vocabulary, "{");
    for (int32_t id = 0; id < v->n; id++) {
        mega_text_add(vocabulary, id ? ", " : "");
        mega_json_add_text(vocabulary, v->piece[id].text.data, v->piece[id].text.size);
        mega_text_add(vocabulary, ": %d", (int)id);
    }
    mega_text_add(vocabulary, "}\n");
    mega_text_add(merges, "#version: 0.2\n");
    for (int32_t i = 0; i < m->n; i++) mega_text_add(merges, "%s\n", m->text[i]);
}

static mega_status make_files(
    mega_tokenizer **out, const struct mega_vocab *v, const struct merges *m)
{
    struct mega_text json = { 0 }, vocabulary = { 0 }, merges = { 0 };
    mega_json_model_print(
        &(struct mega_json_model){ .pieces = v,
            .merges = m->text,
            .n_merges = m->n,
            .parts =
                "  \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
                "\"trim_offsets\": true, \"use_regex\": true},\n"
                "  \"post_processor\": null,\n"
                "  \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, "
                "\"trim_offsets\": true, \"use_regex\": true},\n" },
        &json);
    print_gpt2(v, m, &vocabulary, &merges);
    mega_tokenizer *t = NULL;
    mega_status status = json.failed || vocabulary.failed || merges.failed
                             ? no_memory()
                             : mega_tokenizer_read(&t, &mega_tokenizer_kind_tokenizer_json,
                                   "tokenizer.json", json.data, json.size);
    if (!status) status = mega_tokenizer_keep(t, "vocab.json", &vocabulary);
    if (!status) status = mega_tokenizer_keep(t, "merges.txt", &merges);
    mega_text_done(&json);
    mega_text_done(&vocabulary);
    mega_text_done(&merges);
    if (status)
        mega_tokenizer_close(t);
    else
        *out = t;
    return status;
}

static mega_status make(mega_tokenizer **out, const struct mega_counts *c,
    const struct mega_tokenizer_training *how)
{
    struct mega_learner l;
    if (how->size < 256 + how->n_specials)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "a vocabulary of %d is too small: 256 bytes and %d special tokens", (int)how->size,
            how->n_specials);
    MEGA_TRY(mega_learner_init(&l));
    struct merges m = { .l = &l, .arena = &l.arena };
    mega_status status = add_words(&l, c);
    if (!status)
        status = mega_learner_run(
            &l, how->size - how->n_specials, INT32_MAX, how->least, keep_merge, &m);
    for (int i = 0; i < how->n_specials && !status; i++)
        status = mega_vocab_set(&l.symbols, l.symbols.n, how->specials[i],
            strlen(how->specials[i]), MEGA_PIECE_SPECIAL);
    if (!status) status = make_files(out, &l.symbols, &m);
    free(m.text);
    mega_learner_done(&l);
    return status;
}

const struct mega_tokenizer_trainer mega_tokenizer_trainer_bpe = {
    .name = "bpe",
    .about = "byte-level BPE, as GPT-2's",
    .count = count,
    .make = make,
};
