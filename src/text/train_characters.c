/* Every character its id, in the order of their codes: a tokenizer.json without merges. */
#include <stdlib.h>

#include "text/train.h"
#include "text/unicode.h"

extern const struct mega_tokenizer_kind mega_tokenizer_kind_tokenizer_json;

static mega_status count(struct mega_counts *c, const char *name, const char *text, size_t n)
{
    uint32_t code;
    int length;
    for (const char *p = text, *end = text + n; p < end; p += length) {
        length = mega_char_read(p, end, &code);
        if (!length)
            return mega_fail(MEGA_BAD_FILE, "%s: byte %zu, 0x%02x, is not valid UTF-8", name,
                (size_t)(p - text) + 1, (unsigned char)*p);
        MEGA_TRY(mega_counts_add(c, p, (size_t)length, 1));
    }
    return MEGA_OK;
}

static int by_text(const void *a, const void *b, void *arg)
{
    const struct mega_counts *c = arg;
    const struct mega_span *x = &c->texts.piece[*(const int32_t *)a].text;
    const struct mega_span *y = &c->texts.piece[*(const int32_t *)b].text;
    /* UTF-8 sorts as the codes do */
    int order = memcmp(x->data, y->data, x->size < y->size ? x->size : y->size);
    return order ? order : (x->size > y->size) - (x->size < y->size);
}

/* the characters that are frequent enough, at most `most`, sorted by code */
static int32_t *choose(const struct mega_counts *c, int32_t most, int64_t least, int32_t *n)
{
    int32_t *order = mega_counts_sorted(c);
    *n = 0;
    while (order && *n < c->texts.n && *n < most && c->count[order[*n]] >= least) ++*n;
    if (order) qsort_r(order, (size_t)*n, sizeof *order, by_text, (void *)(uintptr_t)c);
    return order;
}

static mega_status set_pieces(struct mega_vocab *v, const struct mega_counts *c,
    const struct mega_tokenizer_training *how)
{
    int32_t n, most = how->size ? how->size - 1 - how->n_specials : INT32_MAX;
    if (most < 1)
        return mega_fail(MEGA_BAD_ARGUMENT, "a vocabulary of %d leaves no room for characters",
            (int)how->size);
    int32_t *order = choose(c, most, how->least, &n);
    mega_status status = order ? mega_vocab_set(v, 0, "<unk>", 5, MEGA_PIECE_SPECIAL)
                               : mega_fail(MEGA_NO_MEMORY, "no memory to sort characters");
    for (int32_t i = 0; i < n && !status; i++) {
        const struct mega_span *text = &c->texts.piece[order[i]].text;
        status = mega_vocab_set(v, v->n, text->data, text->size, 0);
    }
    for (int i = 0; i < how->n_specials && !status; i++)
        status = mega_vocab_set(
            v, v->n, how->specials[i], strlen(how->specials[i]), MEGA_PIECE_SPECIAL);
    free(order);
    return status;
}

static mega_status make(mega_tokenizer **out, const struct mega_counts *c,
    const struct mega_tokenizer_training *how)
{
    struct mega_arena arena;
    struct mega_text file = { 0 };
    struct mega_vocab pieces = { .arena = &arena };
    MEGA_TRY(mega_arena_init(&arena, (size_t)1 << 32));
    mega_status status = set_pieces(&pieces, c, how);
    if (!status) {
        mega_json_model_print(
            &(struct mega_json_model){ .pieces = &pieces,
                .parts = "  \"pre_tokenizer\": null,\n  \"post_processor\": null,\n"
                         "  \"decoder\": {\"type\": \"Fuse\"},\n",
                .unk = "<unk>" },
            &file);
        status = file.failed ? mega_fail(MEGA_NO_MEMORY, "no memory for a tokenizer")
                             : mega_tokenizer_read(out, &mega_tokenizer_kind_tokenizer_json,
                                   "tokenizer.json", file.data, file.size);
    }
    mega_text_done(&file);
    mega_vocab_done(&pieces);
    mega_arena_done(&arena);
    return status;
}

const struct mega_tokenizer_trainer mega_tokenizer_trainer_characters = {
    .name = "characters",
    .about = "every character its id",
    .count = count,
    .make = make,
};
