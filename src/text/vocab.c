#include "text/vocab.h"

#include <stdlib.h>

static mega_status no_memory(void)
{
    return mega_fail(MEGA_NO_MEMORY, "no memory for the tokenizer's vocabulary");
}

static int32_t *place_of(const struct mega_vocab *v, const char *text, size_t size)
{
    uint32_t at = (uint32_t)mega_hash_bytes(text, size) & v->mask;
    for (;; at = (at + 1) & v->mask) {
        int32_t id = v->slot[at];
        if (id < 0) return &v->slot[at];
        const struct mega_span *have = &v->piece[id].text;
        if (have->size == size && !memcmp(have->data, text, size)) return &v->slot[at];
    }
}

/* room for one more piece in an index that is at most half full */
static bool grow_index(struct mega_vocab *v)
{
    uint32_t slots = v->slot ? v->mask + 1 : 0;
    if (2 * (uint32_t)(v->used + 1) <= slots) return true;
    slots = slots ? 2 * slots : 1024;
    int32_t *slot = malloc(slots * sizeof *slot), *old = v->slot;
    if (!slot) return false;
    memset(slot, 0xFF, slots * sizeof *slot);
    uint32_t had = old ? v->mask + 1 : 0;
    v->slot = slot;
    v->mask = slots - 1;
    for (uint32_t i = 0; i < had; i++)
        if (old[i] >= 0) {
            const struct mega_span *text = &v->piece[old[i]].text;
            *place_of(v, text->data, text->size) = old[i];
        }
    free(old);
    return true;
}

static bool grow_pieces(struct mega_vocab *v, int32_t n)
{
    if (n > v->room) {
        int32_t room = v->room ? v->room : 512;
        while (room < n) room *= 2;
        struct mega_piece *piece = realloc(v->piece, (size_t)room * sizeof *piece);
        if (!piece) return false;
        v->piece = piece;
        v->room = room;
    }
    for (; v->n < n; v->n++) v->piece[v->n] = (struct mega_piece){ 0 };
    return true;
}

static char *keep(struct mega_vocab *v, const char *text, size_t size)
{
    char *copy = mega_arena_get(v->arena, size + 1);
    if (!copy) return NULL;
    if (size) memcpy(copy, text, size);
    copy[size] = 0;
    return copy;
}

mega_status mega_vocab_set(
    struct mega_vocab *v, int32_t id, const char *text, size_t size, int flags)
{
    char *copy = keep(v, text, size);
    if (!copy || !grow_pieces(v, id + 1) || !grow_index(v)) return no_memory();
    v->piece[id].text = v->piece[id].surface = (struct mega_span){ copy, size };
    v->piece[id].flags = flags | MEGA_PIECE_USED;
    int32_t *place = place_of(v, text, size);
    if (*place < 0) {
        *place = id;
        v->used++;
    }
    return MEGA_OK;
}

mega_status mega_vocab_surface(struct mega_vocab *v, int32_t id, const char *text, size_t size)
{
    char *copy = keep(v, text, size);
    if (!copy) return no_memory();
    v->piece[id].surface = (struct mega_span){ copy, size };
    return MEGA_OK;
}

void mega_vocab_prefer(struct mega_vocab *v, int32_t id)
{
    *place_of(v, v->piece[id].text.data, v->piece[id].text.size) = id;
}

int32_t mega_vocab_find(const struct mega_vocab *v, const char *text, size_t size)
{
    return v->slot ? *place_of(v, text, size) : -1;
}

mega_status mega_vocab_read(
    struct mega_vocab *v, const struct mega_document *d, const struct mega_node *map)
{
    int64_t count = 0;
    for (const struct mega_node *n = map->first; n; n = n->next) count++;
    int64_t most = 16 * count + 4096;
    if (most > MEGA_VOCAB_MOST) most = MEGA_VOCAB_MOST;
    for (const struct mega_node *n = map->first; n; n = n->next) {
        if (n->kind != MEGA_NODE_INT || n->integer < 0 || n->integer > most)
            return mega_fail(MEGA_BAD_FILE,
                "%s:%d:%d: expected the id of '%.80s', a whole number from 0 to %lld", d->name,
                n->line, n->column, n->key, (long long)most);
        if (mega_vocab_has(v, (int32_t)n->integer))
            return mega_fail(MEGA_BAD_FILE,
                "%s:%d:%d: the id %lld of '%.80s' is also that of '%.80s'", d->name, n->line,
                n->column, (long long)n->integer, n->key, v->piece[n->integer].text.data);
        MEGA_TRY(mega_vocab_set(v, (int32_t)n->integer, n->key, strlen(n->key), 0));
    }
    return MEGA_OK;
}

void mega_vocab_done(struct mega_vocab *v)
{
    free(v->piece);
    free(v->slot);
    *v = (struct mega_vocab){ 0 };
}
