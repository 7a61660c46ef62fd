#include "text/learn.h"

#include <stdlib.h>

#include "base/text.h"

static mega_status no_memory(void)
{
    return mega_fail(MEGA_NO_MEMORY, "no memory to train a tokenizer");
}

mega_status mega_learner_init(struct mega_learner *l)
{
    *l = (struct mega_learner){ 0 };
    MEGA_TRY(mega_arena_init(&l->arena, (size_t)1 << 34));
    l->symbols.arena = &l->arena;
    return MEGA_OK;
}

void mega_learner_done(struct mega_learner *l)
{
    for (int32_t i = 0; i < l->pairs; i++) free(l->pair[i].word);
    free(l->pair);
    free(l->slot);
    free(l->heap);
    free(l->grown);
    free(l->word);
    free(l->symbol);
    mega_vocab_done(&l->symbols);
    mega_arena_done(&l->arena);
    *l = (struct mega_learner){ 0 };
}

/* room for one more of something: doubles an array */
static bool more(void *array, int32_t n, int32_t *room, size_t size)
{
    if (n < *room) return true;
    void **at = array;
    int32_t larger = *room ? 2 * *room : 256;
    void *grown = n < INT32_MAX / 2 ? realloc(*at, (size_t)larger * size) : NULL;
    if (!grown) return false;
    *at = grown;
    *room = larger;
    return true;
}

mega_status mega_learner_add(
    struct mega_learner *l, const int32_t *symbol, size_t n, int64_t count)
{
    if (n > INT32_MAX || !more(&l->word, l->words, &l->words_room, sizeof *l->word))
        return no_memory();
    if (l->used + n > l->room) {
        size_t room = l->room ? l->room : 4096;
        while (room < l->used + n) room *= 2;
        int32_t *grown = realloc(l->symbol, room * sizeof *grown);
        if (!grown) return no_memory();
        l->symbol = grown;
        l->room = room;
    }
    if (n) memcpy(l->symbol + l->used, symbol, n * sizeof *symbol);
    l->word[l->words++] = (struct mega_learnt_word){ l->used, (int32_t)n, count };
    l->used += n;
    return MEGA_OK;
}

/* ---- pairs ---- */

static int32_t *place_of(const struct mega_learner *l, int32_t left, int32_t right)
{
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    uint32_t i = (uint32_t)(key * 0x9E3779B97F4A7C15u >> 32) & l->mask;
    for (;; i = (i + 1) & l->mask) {
        int32_t p = l->slot[i];
        if (p < 0 || (l->pair[p].left == left && l->pair[p].right == right)) return &l->slot[i];
    }
}

static bool grow_slots(struct mega_learner *l)
{
    uint32_t slots = l->slot ? l->mask + 1 : 0;
    if (2 * ((uint32_t)l->pairs + 1) <= slots) return true;
    slots = slots ? 2 * slots : 1024;
    int32_t *slot = malloc(slots * sizeof *slot);
    if (!slot) return false;
    memset(slot, 0xFF, slots * sizeof *slot);
    free(l->slot);
    l->slot = slot;
    l->mask = slots - 1;
    for (int32_t p = 0; p < l->pairs; p++) *place_of(l, l->pair[p].left, l->pair[p].right) = p;
    return true;
}

/* the pair's number, made if it is new */
static int32_t pair_of(struct mega_learner *l, int32_t left, int32_t right)
{
    if (!grow_slots(l)) return -1;
    int32_t *place = place_of(l, left, right);
    if (*place >= 0) return *place;
    if (!more(&l->pair, l->pairs, &l->pairs_room, sizeof *l->pair)) return -1;
    l->pair[l->pairs] = (struct mega_learnt_pair){ .left = left, .right = right };
    return *place = l->pairs++;
}

static bool note_word(struct mega_learnt_pair *p, int32_t word)
{
    if (p->n && p->word[p->n - 1] == word) return true;
    if (!more(&p->word, p->n, &p->room, sizeof *p->word)) return false;
    p->word[p->n++] = word;
    return true;
}

/* ---- the most frequent pair: a heap whose counts may be behind the times ---- */

static int compare_texts(const struct mega_learner *l, int32_t a, int32_t b)
{
    const struct mega_span *x = &l->symbols.piece[a].text, *y = &l->symbols.piece[b].text;
    int order = memcmp(x->data, y->data, x->size < y->size ? x->size : y->size);
    return order ? order : (x->size > y->size) - (x->size < y->size);
}

static bool comes_before(const struct mega_learner *l, const struct mega_learnt_candidate *a,
    const struct mega_learnt_candidate *b)
{
    if (a->count != b->count) return a->count > b->count;
    const struct mega_learnt_pair *x = &l->pair[a->pair], *y = &l->pair[b->pair];
    if (!l->larger_first) return x->left != y->left ? x->left < y->left : x->right < y->right;
    int order = compare_texts(l, x->left, y->left);
    return order ? order > 0 : compare_texts(l, x->right, y->right) > 0;
}

static bool push(struct mega_learner *l, int32_t pair)
{
    struct mega_learnt_candidate c = { l->pair[pair].count, pair };
    if (l->waiting == l->heap_room) {
        size_t room = l->heap_room ? 2 * l->heap_room : 1024;
        void *heap = realloc(l->heap, room * sizeof *l->heap);
        if (!heap) return false;
        l->heap = heap;
        l->heap_room = room;
    }
    size_t i = l->waiting++;
    for (; i && comes_before(l, &c, &l->heap[(i - 1) / 2]); i = (i - 1) / 2)
        l->heap[i] = l->heap[(i - 1) / 2];
    l->heap[i] = c;
    return true;
}

static struct mega_learnt_candidate pop(struct mega_learner *l)
{
    struct mega_learnt_candidate first = l->heap[0], last = l->heap[--l->waiting];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < l->waiting; i = child) {
        if (child + 1 < l->waiting && comes_before(l, &l->heap[child + 1], &l->heap[child]))
            child++;
        if (!comes_before(l, &l->heap[child], &last)) break;
        l->heap[i] = l->heap[child];
    }
    l->heap[i] = last;
    return first;
}

/* the pair with the largest count, or -1 */
static int32_t best_pair(struct mega_learner *l)
{
    while (l->waiting) {
        struct mega_learnt_candidate c = pop(l);
        if (c.count == l->pair[c.pair].count) return c.count > 0 ? c.pair : -1;
        if (l->pair[c.pair].count > 0 && !push(l, c.pair)) return -1;
    }
    return -1;
}

/* ---- merging ---- */

/* `merge`: the number of the present one */
static bool change_count(struct mega_learner *l, int32_t left, int32_t right, int32_t word,
    int64_t by, int32_t merge)
{
    int32_t p = pair_of(l, left, right);
    if (p < 0) return false;
    l->pair[p].count += by;
    if (by < 0) return true;
    if (l->pair[p].grown != merge) {
        if (!more(&l->grown, l->n_grown, &l->grown_room, sizeof *l->grown)) return false;
        l->pair[p].grown = merge;
        l->grown[l->n_grown++] = p;
    }
    return note_word(&l->pair[p], word);
}

/* every place of a pair in a word, from the left, becomes the new symbol */
static bool merge_word(struct mega_learner *l, int32_t w, int32_t left, int32_t right,
    int32_t joined, int32_t merge)
{
    struct mega_learnt_word *word = &l->word[w];
    int32_t *s = l->symbol + word->start;
    int32_t n = word->size, to = 0;
    int64_t count = word->count;
    bool fine = true;
    for (int32_t i = 0; i < n; i++, to++) {
        if (i + 1 >= n || s[i] != left || s[i + 1] != right) {
            s[to] = s[i];
            continue;
        }
        if (to) {
            fine &= change_count(l, s[to - 1], left, w, -count, merge);
            fine &= change_count(l, s[to - 1], joined, w, count, merge);
        }
        if (i + 2 < n) {
            fine &= change_count(l, right, s[i + 2], w, -count, merge);
            fine &= change_count(l, joined, s[i + 2], w, count, merge);
        }
        s[to] = joined;
        i++;
    }
    word->size = to;
    return fine;
}

static bool count_pairs(struct mega_learner *l)
{
    for (int32_t w = 0; w < l->words; w++) {
        const int32_t *s = l->symbol + l->word[w].start;
        for (int32_t i = 0; i + 1 < l->word[w].size; i++) {
            int32_t p = pair_of(l, s[i], s[i + 1]);
            if (p < 0 || !note_word(&l->pair[p], w)) return false;
            l->pair[p].count += l->word[w].count;
        }
    }
    for (int32_t p = 0; p < l->pairs; p++)
        if (!push(l, p)) return false;
    return true;
}

/* the symbol of two texts in a row, which another pair may have made before */
static mega_status join(struct mega_learner *l, int32_t left, int32_t right, int32_t *joined)
{
    struct mega_text both = { 0 };
    const struct mega_span *a = &l->symbols.piece[left].text,
                           *b = &l->symbols.piece[right].text;
    mega_text_add_bytes(&both, a->data, a->size);
    mega_text_add_bytes(&both, b->data, b->size);
    mega_status status = both.failed ? no_memory() : MEGA_OK;
    *joined = status ? -1 : mega_vocab_find(&l->symbols, both.data, both.size);
    if (!status && *joined < 0) {
        *joined = l->symbols.n;
        status = mega_vocab_set(&l->symbols, *joined, both.data, both.size, 0);
    }
    mega_text_done(&both);
    return status;
}

mega_status mega_learner_run(struct mega_learner *l, int32_t most, int32_t merges,
    int64_t least, mega_status (*merge)(void *arg, int32_t left, int32_t right, int32_t joined),
    void *arg)
{
    if (!count_pairs(l)) return no_memory();
    for (int32_t done = 0; done < merges && l->symbols.n < most; done++) {
        int32_t best = best_pair(l), joined;
        if (best < 0 || l->pair[best].count < least) break;
        int32_t left = l->pair[best].left, right = l->pair[best].right;
        MEGA_TRY(join(l, left, right, &joined));
        MEGA_TRY(merge(arg, left, right, joined));
        /* the list belongs to nobody while pairs may move */
        int32_t *word = l->pair[best].word, n = l->pair[best].n;
        l->pair[best].word = NULL;
        l->pair[best].n = l->pair[best].room = 0;
        bool fine = true;
        for (int32_t i = 0; i < n && fine; i++)
            fine = merge_word(l, word[i], left, right, joined, done + 1);
        free(word);
        if (!fine) return no_memory();
        /* nothing of it is left; those that grew stand in line with what they have now */
        l->pair[best].count = 0;
        for (int32_t i = 0; i < l->n_grown; i++)
            if (!push(l, l->grown[i])) return no_memory();
        l->n_grown = 0;
    }
    return MEGA_OK;
}
