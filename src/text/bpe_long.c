#include "text/bpe_long.h"

#include <stdlib.h>
#include <string.h>

/* what a window became */
struct window {
    size_t at, size; /* of its text */
    int32_t *symbol;
    uint32_t *start; /* of each symbol in the window's text */
    size_t n, room;
};

static mega_status no_memory(void)
{
    return mega_fail(MEGA_NO_MEMORY, "no memory to encode a long word");
}

static bool make_room(struct window *a, size_t n)
{
    if (n <= a->room) return true;
    int32_t *symbol = realloc(a->symbol, n * sizeof *symbol);
    if (symbol) a->symbol = symbol;
    uint32_t *start = symbol ? realloc(a->start, n * sizeof *start) : NULL;
    if (!start) return false;
    a->start = start;
    a->room = n;
    return true;
}

static size_t part_size(
    const struct mega_long_word *word, const char *text, size_t n, size_t size)
{
    if (size >= n) return n;
    /* no continuation byte may begin what follows */
    for (int i = 0; word->characters && i < 3 && ((unsigned char)text[size] & 0xC0) == 0x80;
         i++)
        size--;
    return size;
}

/* encodes the part of the word that begins at a->at, about `size` bytes */
static mega_status encode(const struct mega_merges *m, struct mega_merging *w,
    const struct mega_long_word *word, const char *text, size_t n, size_t size,
    struct window *a)
{
    a->size = part_size(word, text + a->at, n - a->at, size);
    int32_t *symbol = mega_merging_room(w, a->size);
    uint32_t *offset = mega_merging_offsets(w, a->size);
    if (!symbol || !offset) return no_memory();
    size_t count = word->symbols(word->arg, text + a->at, a->size, symbol, offset);
    MEGA_TRY(mega_merges_apply_places(m, w, count, &a->n));
    if (!make_room(a, a->n)) return no_memory();
    memcpy(a->symbol, w->symbol, a->n * sizeof *a->symbol);
    for (size_t i = 0; i < a->n; i++) a->start[i] = offset[w->place[i]];
    return MEGA_OK;
}

/* Goes on from a window to the next, which begins with its k-th symbol; *joined: it does make
 * that symbol. */
static mega_status go_on(const struct mega_merges *m, struct mega_merging *w,
    const struct mega_long_word *word, const char *text, size_t n, size_t size,
    struct window *a, size_t k, struct window *b, bool *joined)
{
    *joined = false;
    if (a->start[k] == UINT32_MAX || !a->start[k]) return MEGA_OK;
    b->at = a->at + a->start[k];
    MEGA_TRY(encode(m, w, word, text, n, size, b));
    *joined = b->n && b->symbol[0] == a->symbol[k];
    return MEGA_OK;
}

mega_status mega_merges_apply_long(const struct mega_merges *m, struct mega_merging *w,
    const struct mega_long_word *word, const char *text, size_t n)
{
    enum { OVERLAP = 64, TRIES = 4 };
    struct window a = { 0 }, b = { 0 };
    size_t size = MEGA_WORD_LONG;
    mega_status status = encode(m, w, word, text, n, size, &a);
    while (!status && a.at + a.size < n) {
        bool joined = false;
        for (size_t i = 1; i <= TRIES && !joined && !status && a.n > i * OVERLAP; i++)
            status = go_on(m, w, word, text, n, size, &a, a.n - i * OVERLAP, &b, &joined);
        if (status) break;
        if (joined) {
            size_t done = 0;
            while (a.start[done] == UINT32_MAX || a.at + a.start[done] < b.at) done++;
            word->emit(word->arg, a.symbol, done);
            struct window was = a;
            a = b;
            b = was;
            size = MEGA_WORD_LONG;
        } else {
            /* pieces as long as windows, or none that two windows agree on */
            size *= 2;
            status = encode(m, w, word, text, n, size, &a);
        }
    }
    if (!status) word->emit(word->arg, a.symbol, a.n);
    free(a.symbol);
    free(a.start);
    free(b.symbol);
    free(b.start);
    return status;
}
