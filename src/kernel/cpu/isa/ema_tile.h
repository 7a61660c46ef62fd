/* A row of the batch as the EMA kernel sees it: blocks of channels, walked in tiles.
 *
 * Channels lie in vectors, WIDTH to a lane; the walk goes forwards or, mirrored, backwards, and
 * cuts tiles where documents begin. */
#ifndef MEGA_KERNEL_CPU_ISA_EMA_TILE_H
#define MEGA_KERNEL_CPU_ISA_EMA_TILE_H

#include "kernel/cpu/vector_half.h"
#include "op/contracts.h"

enum {
    STEPS = 8,             /* of a tile */
    WIDTH = 16,            /* channels of a lane: one cache line */
    COLUMNS = WIDTH / VEC, /* vectors that they fill */
    AHEAD = 16             /* steps between asking memory for a place and using it */
};

/* a loop that is gone after compiling */
#define EACH(i, from, to) _Pragma("GCC unroll 32") for (int i = from; i < (to); i++)

/* ---- the lanes' share of the work ---- */

/* One row of the batch, up to WIDTH channels of it. */
struct block {
    const struct mega_call *c;
    int64_t b, channel; /* the first */
    int width;          /* channels */
};

static inline int64_t blocks_across(const struct mega_call *c)
{
    return (c->in[MEGA_EMA_X]->dim[2] + WIDTH - 1) / WIDTH;
}

static inline struct block block_at(const struct mega_call *c, int64_t b, int64_t across)
{
    struct block k = { c, b, across * WIDTH, WIDTH };
    int64_t rest = c->in[MEGA_EMA_X]->dim[2] - k.channel;
    if (rest < WIDTH) k.width = (int)rest;
    return k;
}

/* Lanes that run side by side have different rows, or blocks that are not neighbours: cores
 * fetch cache lines two by two, and would take them from each other. */
static inline struct block block_of(const struct mega_call *c, int64_t lane)
{
    int64_t B = c->in[MEGA_EMA_X]->dim[0], i = lane / B, even = (blocks_across(c) + 1) / 2;
    return block_at(c, lane % B, i < even ? 2 * i : 2 * (i - even) + 1);
}

/* channels of a block that lie in column v */
static inline int channels_in(const struct block *k, int v)
{
    int rest = k->width - v * VEC;
    return rest < 0 ? 0 : rest > VEC ? VEC : rest;
}

/* ---- the walk along a row ---- */

/* Step i is at place i, or at T-1-i when mirrored. */
struct walk {
    const struct mega_rows *rows;
    int64_t b, T;
    bool mirrored;
    int64_t stop; /* no tile reaches across this step */
};

struct tile {
    int64_t first; /* step */
    int64_t from;  /* step where its document begins, in the direction of the walk */
    int steps;     /* 1 ... STEPS; 0: before the first tile */
    bool fresh;    /* the document begins with this tile */
};

VEC_INLINE int64_t place_of(const struct walk *w, int64_t step)
{
    return w->mirrored ? w->T - 1 - step : step;
}

static inline bool document_begins(const struct walk *w, int64_t step)
{
    int64_t t = w->mirrored ? w->T - step : step;
    return w->rows->doc && t < w->T && w->rows->doc[w->b * w->T + t] == t;
}

/* Moves on to the next tile; false at the end of the row. */
static inline bool next_tile(const struct walk *w, struct tile *t)
{
    t->first += t->steps;
    if (t->first >= w->T) return false;
    int64_t end = t->first + STEPS < w->T ? t->first + STEPS : w->T;
    if (t->first < w->stop && w->stop < end) end = w->stop;
    t->fresh = document_begins(w, t->first);
    if (t->fresh) t->from = t->first;
    t->steps = 1;
    while (t->first + t->steps < end && !document_begins(w, t->first + t->steps)) t->steps++;
    return true;
}

/* ---- numbers of a tile ---- */

typedef vec columns[COLUMNS][STEPS];

/* One row's channels of a block in a tensor [B, T, D], or scratch memory [T, WIDTH]. */
struct strip {
    void *row;
    int64_t stride; /* numbers from place to place */
    int width;
    bool half; /* bfloat16 */
};

static inline struct strip strip_of(const struct block *k, const mega_tensor *t)
{
    char *row = mega_row(t, k->b * t->dim[1]);
    size_t channel = (size_t)k->channel * mega_dtype_size(t->dtype);
    return (struct strip){ row + channel, t->stride, k->width, t->dtype == MEGA_BF16 };
}

/* The types that a moving average takes: float32, or bfloat16 from x to its output. */
static inline bool types_accepted(const struct mega_call *c, const char **why)
{
    mega_dtype type = c->in[MEGA_EMA_X]->dtype;
    *why = "float32 or bfloat16, float32 parameters and states";
    if ((type != MEGA_F32 && type != MEGA_BF16) || c->out[0]->dtype != type) return false;
    for (int i = MEGA_EMA_X + 1; i < MEGA_IN; i++)
        if (c->in[i] && c->in[i]->dtype != MEGA_F32) return false;
    return !c->out[1] || c->out[1]->dtype == MEGA_F32;
}

static inline struct strip scratch_strip(struct mega_arena *scratch, int64_t T)
{
    float *row = mega_arena_get(scratch, (size_t)T * WIDTH * sizeof *row);
    return (struct strip){ row, WIDTH, WIDTH, false };
}

/* by single stores: memset is slow to start */
VEC_INLINE void clear_tile(columns x)
{
    EACH(v, 0, COLUMNS) EACH(i, 0, STEPS) x[v][i] = vec_all(0);
}

/* Asks memory for the places that a later tile will touch. */
#define FETCH_AHEAD(w, s, first, row, move, write)                                             \
    if ((s)->stride != WIDTH && (first) + AHEAD + STEPS <= (w)->T)                             \
    EACH(i, AHEAD, AHEAD + STEPS) __builtin_prefetch((row) + i * (move), write)

/* up to VEC numbers of a place from channel j on */
VEC_INLINE vec strip_get(const struct strip *s, int64_t place, int j)
{
    int64_t at = place * s->stride + j;
    int left = s->width - j;
    if (!s->half) return vec_get((const float *)s->row + at, left);
    const uint16_t *from = (const uint16_t *)s->row + at;
    if (left >= VEC) return vec_widen_load(from);
    hvec some = { 0 };
    memcpy(&some, from, (size_t)left * sizeof *from);
    return vec_widen(some);
}

VEC_INLINE void strip_put(const struct strip *s, int64_t place, int j, vec v)
{
    int64_t at = place * s->stride + j;
    int left = s->width - j;
    if (!s->half) {
        vec_put((float *)s->row + at, v, left);
        return;
    }
    uint16_t *to = (uint16_t *)s->row + at;
    hvec narrow = vec_narrow(v);
    memcpy(to, &narrow, (left >= VEC ? (size_t)VEC : (size_t)left) * sizeof *to);
}

/* zeros in places from ... to - 1 */
static inline void clear_strip(const struct strip *s, int64_t from, int64_t to)
{
    for (int64_t t = from; t < to; t++)
        for (int v = 0; v * VEC < s->width; v++) strip_put(s, t, v * VEC, vec_all(0));
}

/* Steps first ... first+steps-1 of a strip; zero before step `from`, behind the last step, and
 * in channels not in use. */
static inline void load_tile(const struct walk *w, const struct strip *s, int64_t first,
    int64_t from, int steps, columns to)
{
    int skip = first < from ? (int)(from - first) : 0;
    if (!skip && steps == STEPS && s->width == WIDTH && !s->half) {
        int64_t move = w->mirrored ? -s->stride : s->stride;
        const float *row = (const float *)s->row + place_of(w, first) * s->stride;
        FETCH_AHEAD(w, s, first, row, move, 0);
        EACH(i, 0, STEPS) EACH(v, 0, COLUMNS) to[v][i] = vec_load(row + i * move + v * VEC);
        return;
    }
    if (!skip && steps == STEPS && s->width == WIDTH) {
        EACH(i, 0, STEPS)
        EACH(v, 0, COLUMNS) to[v][i] = strip_get(s, place_of(w, first + i), v * VEC);
        return;
    }
    clear_tile(to);
    for (int v = 0; v * VEC < s->width; v++)
        for (int i = skip; i < steps; i++)
            to[v][i] = strip_get(s, place_of(w, first + i), v * VEC);
}

static inline void store_tile(
    const struct walk *w, const struct strip *s, int64_t first, int steps, columns from)
{
    if (steps == STEPS && s->width == WIDTH && !s->half) {
        int64_t move = w->mirrored ? -s->stride : s->stride;
        float *row = (float *)s->row + place_of(w, first) * s->stride;
        FETCH_AHEAD(w, s, first, row, move, 1);
        EACH(i, 0, STEPS) EACH(v, 0, COLUMNS) vec_store(row + i * move + v * VEC, from[v][i]);
        return;
    }
    if (steps == STEPS && s->width == WIDTH) {
        EACH(i, 0, STEPS)
        EACH(v, 0, COLUMNS) strip_put(s, place_of(w, first + i), v * VEC, from[v][i]);
        return;
    }
    for (int v = 0; v * VEC < s->width; v++)
        for (int i = 0; i < steps; i++)
            strip_put(s, place_of(w, first + i), v * VEC, from[v][i]);
}

/* Zeroes the steps that are not real. */
static inline void mask_tile(
    const struct walk *w, int64_t first, int64_t from, int steps, columns x)
{
    if (!w->rows->real && mega_rows_len(w->rows, w->b) >= w->T) return;
    for (int i = first < from ? (int)(from - first) : 0; i < steps; i++)
        if (!mega_rows_real(w->rows, w->b, place_of(w, first + i)))
            for (int v = 0; v < COLUMNS; v++) x[v][i] = vec_all(0);
}

#endif
