/* BPE by scores, as SentencePiece and llama2.c do it: neighbours whose text together is a piece
 * become it, the best score first. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>

#include "text/bpe_long.h"
#include "text/spm.h"
#include "text/unicode.h"

/* ---- merges from pieces ---- */

static mega_status no_memory(void)
{
    return mega_fail(MEGA_NO_MEMORY, "no memory for a tokenizer");
}

static bool is_mergeable(const struct mega_spm *m, int32_t id)
{
    return m->kind[id] == MEGA_SPM_NORMAL || m->kind[id] == MEGA_SPM_USER_DEFINED;
}

static int32_t find_piece(
    const mega_tokenizer *t, const struct mega_spm *m, const char *text, size_t n)
{
    int32_t id = mega_vocab_find(&t->vocab, text, n);
    return id >= 0 && is_mergeable(m, id) ? id : -1;
}

/* a piece, or a character that only stands in pieces; -1: neither */
static int32_t find_symbol(
    const mega_tokenizer *t, const struct mega_spm *m, const char *text, size_t n)
{
    int32_t id = find_piece(t, m, text, n);
    if (id >= 0) return id;
    id = mega_vocab_find(&m->extra, text, n);
    return id < 0 ? -1 : m->pieces + id;
}

static size_t char_size(const char *p, const char *end)
{
    uint32_t code;
    int length = mega_char_read(p, end, &code);
    return length ? (size_t)length : 1;
}

static mega_status add_characters(
    const mega_tokenizer *t, struct mega_spm *m, const struct mega_span *piece)
{
    const char *end = piece->data + piece->size;
    for (const char *p = piece->data; p < end; p += char_size(p, end)) {
        size_t n = char_size(p, end);
        if (find_symbol(t, m, p, n) < 0)
            MEGA_TRY(mega_vocab_set(&m->extra, m->extra.n, p, n, 0));
    }
    return MEGA_OK;
}

/* every way to make a piece of two symbols */
static mega_status add_merges(
    const mega_tokenizer *t, struct mega_spm *m, int32_t id, int32_t rank)
{
    const struct mega_span *piece = &t->vocab.piece[id].text;
    const char *from = piece->data, *end = from + piece->size;
    for (const char *p = from + char_size(from, end); p < end; p += char_size(p, end)) {
        int32_t left = find_symbol(t, m, from, (size_t)(p - from));
        int32_t right = left < 0 ? -1 : find_symbol(t, m, p, (size_t)(end - p));
        if (right >= 0)
            MEGA_TRY(mega_merges_add(
                &m->merges, (struct mega_merge){ left, right, rank, id }, false));
    }
    return MEGA_OK;
}

static int by_score(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

/* equal scores have one rank: then the leftmost pair comes first */
static int32_t rank_of(const float *sorted, int32_t n, float score)
{
    int32_t low = 0, high = n;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (sorted[middle] > score)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

mega_status mega_spm_bpe_prepare(mega_tokenizer *t, struct mega_spm *m)
{
    enum { LONGEST = 4096 };
    m->extra.arena = &t->arena;
    for (int32_t id = 0; id < m->pieces; id++) {
        const struct mega_span *text = &t->vocab.piece[id].text;
        if (text->size > LONGEST)
            return mega_fail(MEGA_UNSUPPORTED, "the piece %d is longer than %d bytes", (int)id,
                (int)LONGEST);
        if (m->kind[id] == MEGA_SPM_UNUSED)
            return mega_fail(MEGA_UNSUPPORTED,
                "the piece '%.80s' is marked unused, which is not supported in a BPE model",
                text->data);
        if (!is_mergeable(m, id)) continue;
        MEGA_TRY(add_characters(t, m, text));
        if (!mega_seams_learn(&m->seams, text->data, text->size)) return no_memory();
    }
    m->frozen = m->pieces + m->extra.n;
    float *sorted = malloc(((size_t)m->pieces + 1) * sizeof *sorted);
    if (!sorted) return no_memory();
    if (m->pieces) memcpy(sorted, m->score, (size_t)m->pieces * sizeof *sorted);
    qsort(sorted, (size_t)m->pieces, sizeof *sorted, by_score);
    mega_status status = MEGA_OK;
    for (int32_t id = 0; id < m->pieces && !status; id++)
        if (is_mergeable(m, id))
            status = add_merges(t, m, id, rank_of(sorted, m->pieces, m->score[id]));
    free(sorted);
    return status;
}

/* ---- encoding ---- */

struct job {
    const mega_tokenizer *t;
    const struct mega_spm *m;
    struct mega_workspace *w;
    struct mega_spm_own *own;
    bool failed;
};

/* llama2.c takes a byte and the continuation bytes behind it for a character, up to four */
static size_t loose_char_size(const char *p, const char *end)
{
    size_t n = 1;
    while (n < 4 && p + n < end && ((unsigned char)p[n] & 0xC0) == 0x80) n++;
    return n;
}

static size_t unknown_symbols(
    const struct mega_spm *m, const char *p, size_t n, int32_t *symbol)
{
    symbol[0] = m->unk;
    for (size_t i = 0; m->byte_fallback && i < n; i++) symbol[i] = m->byte[(unsigned char)p[i]];
    return m->byte_fallback ? n : 1;
}

static size_t symbols_of(
    void *arg, const char *text, size_t n, int32_t *symbol, uint32_t *offset)
{
    const struct job *j = arg;
    const struct mega_spm *m = j->m;
    const char *end = text + n;
    size_t count = 0, size;
    for (const char *p = text; p < end; p += size) {
        int32_t user = mega_trie_longest(&m->user, p, end, &size);
        size_t was = count;
        if (user < 0) size = m->any_bytes ? loose_char_size(p, end) : char_size(p, end);
        int32_t id = user < 0 ? find_symbol(j->t, m, p, size) : m->frozen + user;
        if (id >= 0)
            symbol[count++] = id;
        else
            count += unknown_symbols(m, p, size, symbol + count);
        for (size_t i = was; offset && i < count; i++)
            offset[i] = i == was && id >= 0 && user < 0 ? (uint32_t)(p - text) : UINT32_MAX;
    }
    return count;
}

/* symbols become ids; characters without a piece become what stands for them */
static void add_ids(void *arg, const int32_t *symbol, size_t n)
{
    struct job *j = arg;
    const struct mega_spm *m = j->m;
    for (size_t i = 0; i < n; i++) {
        int32_t id[4] = { symbol[i] };
        size_t count = 1;
        if (symbol[i] >= m->frozen) {
            id[0] -= m->frozen;
        } else if (symbol[i] >= m->pieces) {
            const struct mega_span *text = &m->extra.piece[symbol[i] - m->pieces].text;
            count = unknown_symbols(m, text->data, text->size, id);
        }
        j->failed |= !mega_ids_add(&j->own->ids, id, count);
    }
}

static void emit_ids(const struct job *j, const int32_t *id, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool unknown = id[i] == j->m->unk && !j->m->byte_fallback;
        if (!unknown || !j->own->was_unknown) mega_emit(j->w, id[i]);
        j->own->was_unknown = unknown;
    }
}

static mega_status encode_part(struct job *j, const char *text, size_t n)
{
    struct mega_spm_own *own = j->own;
    uint64_t hash = mega_hash_bytes(text, n);
    int32_t known;
    const int32_t *id = mega_word_cache_find(&own->cache, text, n, hash, &known);
    if (id) {
        emit_ids(j, id, (size_t)known);
        return MEGA_OK;
    }
    own->ids.n = 0;
    if (n >= MEGA_WORD_LONG) {
        struct mega_long_word word = { symbols_of, add_ids, j, true };
        MEGA_TRY(mega_merges_apply_long(&j->m->merges, &own->merging, &word, text, n));
    } else {
        size_t count;
        int32_t *symbol = mega_merging_room(&own->merging, n);
        if (!symbol) return no_memory();
        MEGA_TRY(mega_merges_apply(
            &j->m->merges, &own->merging, symbols_of(j, text, n, symbol, NULL), &count));
        add_ids(j, own->merging.symbol, count);
    }
    if (j->failed) return no_memory();
    emit_ids(j, own->ids.id, own->ids.n);
    if (n <= MEGA_WORD_CACHED)
        mega_word_cache_add(&own->cache, text, n, hash, own->ids.id, (int32_t)own->ids.n);
    return MEGA_OK;
}

mega_status mega_spm_bpe_encode(
    const mega_tokenizer *t, struct mega_workspace *w, const char *text, size_t n)
{
    struct job j = { t, t->model, w, w->own, false };
    const char *from = text, *end = text + n;
    uint32_t left = 0, right = 0;
    for (const char *p = text; p < end && !w->status; left = right) {
        int length = mega_char_read(p, end, &right);
        /* what is no character stays with its neighbours */
        bool seam = length && left && p > from && mega_seams_between(&j.m->seams, left, right);
        if (seam) {
            MEGA_TRY(encode_part(&j, from, (size_t)(p - from)));
            from = p;
        }
        if (!length) right = 0;
        p += length ? length : 1;
    }
    return from < end ? encode_part(&j, from, (size_t)(end - from)) : MEGA_OK;
}
