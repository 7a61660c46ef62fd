/* Unigram models (Kudo 2018): of all ways to cut a text into pieces, the one with the largest
 * sum of scores, by dynamic programming from left to right.
 *
 * Sums are taken in the original's order and precision, from the start of the text, so that
 * equal sums are equal here, too. Wherever no piece reaches across a place, what is before it
 * is decided: memory depends on the longest stretch without such a place. */
#include <float.h>
#include <stdlib.h>

#include "text/spm.h"
#include "text/unicode.h"

struct search {
    const mega_tokenizer *t;
    const struct mega_spm *m;
    struct mega_workspace *w;
    struct mega_spm_own *own;
    const char *text;
    size_t n, base; /* node[i] is place base + i */
    size_t reached; /* no piece so far ends beyond it */
};

static bool make_room(struct search *s, size_t place)
{
    struct mega_spm_own *own = s->own;
    size_t want = place - s->base + 1;
    if (want > own->nodes) {
        size_t room = own->nodes ? 2 * own->nodes : 1024;
        while (room < want) room *= 2;
        struct mega_spm_node *node = realloc(own->node, room * sizeof *node);
        if (!node) return false;
        own->node = node;
        own->nodes = room;
    }
    for (; s->reached < place; s->reached++)
        own->node[s->reached + 1 - s->base] = (struct mega_spm_node){ 0, -1, -1 };
    return true;
}

/* the first of equal ways stays */
static void offer(struct search *s, size_t from, size_t to, int32_t id, double score)
{
    struct mega_spm_node *node = &s->own->node[to - s->base];
    if (node->start >= 0 && !(score > (double)node->score)) return;
    *node = (struct mega_spm_node){ (float)score, (int32_t)(from - s->base), id };
}

/* every piece that starts at a place; true in *single: one of them is its character */
static bool offer_pieces(struct search *s, size_t from, size_t length, bool *single)
{
    const struct mega_spm *m = s->m;
    float before = s->own->node[from - s->base].score;
    int32_t node = 0;
    for (size_t at = from; at < s->n;) {
        node = mega_trie_step(&m->trie, node, (unsigned char)s->text[at++]);
        if (node < 0) break;
        int32_t id = m->trie.value[node];
        if (id < 0 || m->kind[id] == MEGA_SPM_UNUSED) continue;
        if (!make_room(s, at)) return false;
        /* a user-defined piece is better than anything else that could stand there */
        double score = m->kind[id] == MEGA_SPM_USER_DEFINED
                           ? (double)((float)(at - from) * FLT_MIN) - 0.1
                           : (double)m->score[id];
        offer(s, from, at, id, score + (double)before);
        if (at - from == length) *single = true;
    }
    return true;
}

/* emits the best way to a place that every way passes, and starts afresh there */
static mega_status settle(struct search *s, size_t place)
{
    struct mega_spm_own *own = s->own;
    struct mega_spm_node *node = own->node;
    int32_t end = (int32_t)(place - s->base), next = -1;
    /* turn the links around: each node then knows where the piece that starts there ends */
    for (int32_t at = end; at > 0;) {
        int32_t start = node[at].start;
        node[at].start = next;
        next = at;
        at = start;
    }
    for (int32_t at = 0; next > 0;) {
        int32_t after = node[next].start;
        mega_spm_emit(
            s->m, s->w, node[next].id, s->text + s->base + (size_t)at, (size_t)(next - at));
        at = next;
        next = after;
    }
    node[0] = (struct mega_spm_node){ node[end].score, 0, -1 };
    s->base = place;
    return s->w->status;
}

mega_status mega_unigram_encode(
    const mega_tokenizer *t, struct mega_workspace *w, const char *text, size_t n)
{
    enum { STRETCH = 1 << 12 };
    struct search s = { t, t->model, w, w->own, text, n, 0, 0 };
    uint32_t code;
    if (!n) return MEGA_OK;
    if (!s.own->nodes) {
        s.own->node = malloc(1024 * sizeof *s.own->node);
        if (!s.own->node) return mega_fail(MEGA_NO_MEMORY, "no memory to encode");
        s.own->nodes = 1024;
    }
    s.own->node[0] = (struct mega_spm_node){ 0, 0, -1 };
    for (size_t at = 0; at < n;) {
        bool single = false;
        size_t length = (size_t)mega_char_read(text + at, text + n, &code);
        if (!length) length = 1;
        if (s.reached == at && at - s.base >= STRETCH) MEGA_TRY(settle(&s, at));
        if (at - s.base > INT32_MAX - 4096 || !offer_pieces(&s, at, length, &single) ||
            !make_room(&s, at + length))
            return mega_fail(MEGA_NO_MEMORY, "no memory to encode a long text");
        float before = s.own->node[at - s.base].score;
        if (!single) offer(&s, at, at + length, s.m->unk, (double)(s.m->unk_score + before));
        at += length;
    }
    return settle(&s, n);
}
