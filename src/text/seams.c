#include "text/seams.h"

#include <stdlib.h>

#include "text/unicode.h"

static uint64_t *place_of(const struct mega_seams *s, uint64_t key)
{
    uint32_t i = (uint32_t)(key * 0x9E3779B97F4A7C15u >> 32) & s->mask;
    while (s->slot[i] && s->slot[i] != key) i = (i + 1) & s->mask;
    return &s->slot[i];
}

/* never 0, since the pair (NUL, NUL) is ASCII */
static uint64_t key_of(uint32_t left, uint32_t right)
{
    return (uint64_t)left << 32 | right;
}

static bool grow(struct mega_seams *s)
{
    uint32_t slots = s->slot ? s->mask + 1 : 0;
    if (2 * (s->n + 1) <= slots) return true;
    struct mega_seams larger = { .mask = slots ? 2 * slots - 1 : 255 };
    larger.slot = calloc((size_t)larger.mask + 1, sizeof *larger.slot);
    if (!larger.slot) return false;
    for (uint32_t i = 0; i < slots; i++)
        if (s->slot[i]) *place_of(&larger, s->slot[i]) = s->slot[i];
    free(s->slot);
    s->slot = larger.slot;
    s->mask = larger.mask;
    return true;
}

static bool learn_pair(struct mega_seams *s, uint32_t left, uint32_t right)
{
    if (left < 128 && right < 128) {
        s->ascii[left][right / 64] |= (uint64_t)1 << right % 64;
        return true;
    }
    if (!grow(s)) return false;
    uint64_t *place = place_of(s, key_of(left, right));
    s->n += !*place;
    *place = key_of(left, right);
    return true;
}

bool mega_seams_learn(struct mega_seams *s, const char *piece, size_t size)
{
    uint32_t left = 0, right;
    int length;
    for (const char *p = piece, *end = piece + size;
         (length = mega_char_read(p, end, &right)) > 0; p += length, left = right)
        if (p > piece && !learn_pair(s, left, right)) return false;
    return true;
}

bool mega_seams_between(const struct mega_seams *s, uint32_t left, uint32_t right)
{
    if (left < 128 && right < 128) return !(s->ascii[left][right / 64] >> right % 64 & 1);
    return !s->slot || !*place_of(s, key_of(left, right));
}

void mega_seams_done(struct mega_seams *s)
{
    free(s->slot);
    *s = (struct mega_seams){ 0 };
}
