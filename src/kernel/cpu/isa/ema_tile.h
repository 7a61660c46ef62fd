/* A row of the batch as the EMA kernel sees it: blocks of channels, walked in tiles.
 *
 * Channels lie in vectors, WIDTH to a lane; the walk goes forwards or, mirrored, backwards, and
 * cuts tiles where documents begin. */
#ifndef MEGA_KERNEL_CPU_ISA_EMA_TILE_H
#define MEGA_KERNEL_CPU_ISA_EMA_TILE_H

#include "kernel/cpu/vector.h"
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
    float *row;
    int64_t stride; /* floats from place to place */
    int width;
};

static inline struct strip strip_of(const struct block *k, const mega_tensor *t)
{
    float *row = mega_row(t, k->b * t->dim[1]);
    return (struct strip){ row + k->channel, t->stride, k->width };
}

static inline struct strip scratch_strip(struct mega_arena *scratch, int64_t T)
{
    float *row = mega_arena_get(scratch, (size_t)T * WIDTH * sizeof *row);
    return (struct strip){ row, WIDTH, WIDTH };
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

/* Steps first ... first+steps-1 of a strip; zero before step `from`, behind the last step, and
 * in channels not in use. */
static inline void load_tile(const struct walk *w, const struct strip *s, int64_t first,
    int64_t from, int steps, columns to)
{
    int skip = first < from ? (int)(from - first) : 0;
    int64_t move = w->mirrored ? -s->stride : s->stride;
    const float *row = s->row + place_of(w, first + skip) * s->stride;
    if (!skip && steps == STEPS && s->width == WIDTH) {
        FETCH_AHEAD(w, s, first, row, move, 0);
        EACH(i, 0, STEPS) EACH(v, 0, COLUMNS) to[v][i] = vec_load(row + i * move + v * VEC);
        return;
    }
    clear_tile(to);
    for (int v = 0; v * VEC < s->width; v++)
        for (int i = skip; i < steps; i++)
            to[v][i] = vec_get(row + (i - skip) * move + v * VEC, s->width - v * VEC);
}

static inline void store_tile(
    const struct walk *w, const struct strip *s, int64_t first, int steps, columns from)
{
    int64_t move = w->mirrored ? -s->stride : s->stride;
    float *row = s->row + place_of(w, first) * s->stride;
    if (steps == STEPS && s->width == WIDTH) {
        FETCH_AHEAD(w, s, first, row, move, 1);
        EACH(i, 0, STEPS) EACH(v, 0, COLUMNS) vec_store(row + i * move + v * VEC, from[v][i]);
        return;
    }
    for (int v = 0; v * VEC < s->width; v++)
        for (int i = 0; i < steps; i++)
            vec_put(row + i * move + v * VEC, from[v][i], s->width - v * VEC);
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
