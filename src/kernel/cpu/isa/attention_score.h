/* A tile's scores: products of queries and keys, and all that is added to them or done to them
 * before the function of the weights. What a call has of these is a mask of bits; the loop over
 * a row is compiled for the common masks, and for the others asks once a vector. */
#ifndef MEGA_KERNEL_CPU_ISA_ATTENTION_SCORE_H
#define MEGA_KERNEL_CPU_ISA_ATTENTION_SCORE_H

#include "kernel/cpu/isa/attention_bank.h"
#include "kernel/cpu/vector_draw.h"

/* The score of a key that is not seen after all: each of the functions makes 0 of it, and slope
 * 0. */
#define ATTENTION_UNSEEN -1e15f

enum {
    TERM_BIAS = 1,  /* of the distance */
    TERM_SIDE = 2,  /* a number of the query and one of the key: decay, or their lengths */
    TERM_CLAMP = 4, /* c tanh(s / c) */
    TERM_NOISE = 8, /* (s + noise) / temperature */
    TERM_GONE = 16, /* a number of the key, after the clamp: keys that are not real */
    TERM_HIDE = 32, /* keys that dropout hides */
    TERM_CUT = 64   /* scores below the row's least that counts */
};

/* For keys up to the query, and for those after it. */
enum { UP_TO, AFTER, SIDES };

/* What a tile of keys adds for all queries of a block; [n] each, NULL: nothing. */
struct attention_terms {
    unsigned on;
    const float *side[SIDES]; /* the same for both: the query's place does not matter */
    const float *gone;
    struct attention_bank bank;
    float *drawn, *noise; /* room for a row of draws */
    float *bend;          /* room for a row of the clamp's slope; NULL: not wanted */
};

/* The same for one query's part of a tile. */
struct attention_row {
    const float *bias, *side, *gone, *drawn, *noise;
    float *bend;
    float own, clamp, cool, least;
};

/* ---- products ---- */

/* s [m, n] = q k^T, divided. */
static inline void scores(const struct attention_plan *p, const struct attention_queries *q,
    const struct attention_keys *k, struct mega_matrix s, struct mega_arena *scratch)
{
    enum { FEW = 4 }; /* queries for which packing the keys costs more than it saves */
    if (!p->pairs && q->m <= FEW)
        products->few(q->m, k->n, p->Z, q->q, k->k, s);
    else
        block_product(
            p->pairs, q->m, k->n, p->Z, as_it_lies(q->q), turned(k->k), s, false, scratch);
    for (int64_t r = 0; q->by && r < q->m; r++)
        row_functions->scale(mega_matrix_row(s, r), mega_matrix_row(s, r), q->by[r], k->n);
}

/* ---- what a tile adds ---- */

static inline float *term_room(int64_t n, struct mega_arena *scratch)
{
    return mega_arena_get(scratch, (size_t)n * sizeof(float));
}

/* One head's column x of [B, places, H], from this call or, for negative keys, from the log. */
static inline float side_number(const struct attention_plan *p, const mega_tensor *here,
    const mega_tensor *past, const struct attention_queries *q, int64_t j)
{
    if (j >= 0) return ((const float *)mega_row(here, q->span->b * p->S + j))[q->head];
    int64_t places = past->dim[1];
    int64_t place = (mega_rows_place(p->c->rows, q->span->b) + j) % places;
    return ((const float *)mega_row(past, q->span->b * places + place))[q->head];
}

/* The running sums of decay that the keys have, for keys up to the query; NULL: none. */
static inline const mega_tensor *decay_keys(const struct attention_plan *p)
{
    const mega_tensor *own = p->c->in[MEGA_ATTENTION_DECAY_K];
    return own ? own : p->c->in[MEGA_ATTENTION_DECAY];
}

/* side += -|k|^2, divided as the scores are */
static inline void add_lengths(
    const struct attention_plan *p, const struct attention_keys *k, float by, float *side)
{
    enum { AT_ONCE = 4 }; /* keys, so that their sums need not wait for one another */
    int64_t x = 0;
    for (; x + AT_ONCE <= k->n; x += AT_ONCE) {
        vec sum[AT_ONCE] = { 0 };
        for (int64_t e = 0; e < p->Z; e += VEC)
            for (int i = 0; i < AT_ONCE; i++) {
                vec v = vec_get(mega_matrix_row(k->k, x + i) + e, p->Z - e);
                sum[i] += v * v;
            }
        for (int i = 0; i < AT_ONCE; i++) side[x + i] -= 0.5f * by * vec_sum(sum[i]);
    }
    for (; x < k->n; x++) {
        const float *row = mega_matrix_row(k->k, x);
        side[x] -= 0.5f * by * row_functions->dot(row, row, p->Z);
    }
}

static inline void add_sides(const struct attention_plan *p, const struct attention_queries *q,
    const struct attention_keys *k, struct attention_terms *t, struct mega_arena *scratch)
{
    const mega_tensor *decay = p->c->in[MEGA_ATTENTION_DECAY],
                      *back = p->c->in[MEGA_ATTENTION_DECAY_BACK];
    bool fades = (decay || back) && !k->prefix;
    if (!fades && !p->a->l2) return;
    t->on |= TERM_SIDE;
    float *side[SIDES] = { term_room(k->n, scratch), NULL };
    side[AFTER] = fades ? term_room(k->n, scratch) : side[UP_TO];
    for (int i = 0; i < SIDES; i++) clear(side[i], side[i] + k->n);
    for (int64_t x = 0; fades && x < k->n; x++) {
        int64_t j = k->first + x;
        if (decay)
            side[UP_TO][x] -=
                side_number(p, decay_keys(p), p->c->in[MEGA_ATTENTION_PAST_DECAY], q, j);
        if (back && j >= 0) side[AFTER][x] += side_number(p, back, NULL, q, j);
    }
    for (int i = 0; p->a->l2 && i < 1 + fades; i++)
        add_lengths(p, k, factor_of(p, q->span, q->first), side[i]);
    t->side[UP_TO] = side[UP_TO];
    t->side[AFTER] = side[AFTER];
}

/* keys of a tile that are not real; what is known of the keys' own sums */
static inline void add_gone(const struct attention_plan *p, const struct attention_queries *q,
    const struct attention_keys *k, struct attention_terms *t, struct mega_arena *scratch)
{
    bool holes = q->span->holes && !k->prefix;
    if (!holes && !p->column) return;
    t->on |= TERM_GONE;
    float *gone = term_room(k->n, scratch);
    clear(gone, gone + k->n);
    for (int64_t x = 0; holes && x < k->n; x++)
        if (!mega_window_real(p->c, &q->span->window, q->span->b, k->first + x))
            gone[x] = ATTENTION_UNSEEN;
    if (p->column)
        row_functions->add_scaled(
            gone, p->column + column_of(p, q->span, q->head, k), -1, k->n);
    t->gone = gone;
}

/* All that the tile adds, after its products, which brought its keys near; `bends`: the clamp's
 * slope is wanted, too. */
static inline struct attention_terms terms_of(const struct attention_plan *p,
    const struct attention_queries *q, const struct attention_keys *k, bool bends,
    struct mega_arena *scratch)
{
    struct attention_terms t = { 0 };
    if (p->bias && !k->prefix) t.on |= TERM_BIAS;
    add_sides(p, q, k, &t, scratch);
    t.bank = bank_of(p, q, k, scratch);
    add_gone(p, q, k, &t, scratch);
    if (p->a->clamp > 0) t.on |= TERM_CLAMP;
    if (p->a->clamp > 0 && bends) t.bend = term_room(k->n, scratch);
    if (p->a->fn == MEGA_ATTENTION_GUMBEL) t.on |= TERM_NOISE;
    if (p->a->fn == MEGA_ATTENTION_GUMBEL) t.noise = term_room(k->n, scratch);
    if (p->hides && !k->prefix) t.on |= TERM_HIDE;
    if (p->hides && !k->prefix) t.drawn = term_room(k->n, scratch);
    return t;
}

/* ---- a row ---- */

/* noise[0 ... n-1]: Gumbel's, for a row of draws from key `first` on */
static inline void draw_noise(
    float *noise, const struct mega_draw_row *row, int64_t first, int64_t n)
{
    enum { STEP = 4 * VEC };
    struct vec_draw d;
    vec_draw_begin(&d, row);
    for (int64_t i = -(first & 3); i < n; i += STEP) {
        uvec word[4];
        float part[STEP];
        bool whole = i >= 0 && n - i >= STEP;
        float *to = whole ? noise + i : part;
        vec_draw_words(&d, (first + i) / 4, word);
        for (int k = 0; k < 4; k++) {
            vec u = (__builtin_convertvector((ivec)(word[k] >> 9), vec) + 0.5f) * 0x1p-23f;
            vec_store(to + k * VEC, -vec_log_normal(-vec_log_normal(u)));
        }
        for (int64_t j = i < 0 ? -i : 0; !whole && j < STEP && i + j < n; j++)
            noise[i + j] = part[j];
    }
}

static inline void fill_noise(const struct attention_plan *p, const struct attention_queries *q,
    const struct attention_keys *k, int64_t r, struct attention_part part, float *noise)
{
    const struct mega_rows *rows = p->c->rows;
    int64_t b = q->span->b, place = mega_rows_place(rows, b);
    struct mega_draw_row d =
        mega_draw_keys(p->noise, mega_rows_number(rows, b), q->head, place + q->first + r, 0);
    int64_t first = (k->prefix ? MEGA_DRAW_PREFIX : place) + k->first;
    draw_noise(noise, &d, first + part.from, part.n);
}

/* What the query itself adds, for keys up to it or after it. */
static inline float own_term(
    const struct attention_plan *p, const struct attention_queries *q, int64_t r, int side)
{
    const mega_tensor *decay = p->c->in[MEGA_ATTENTION_DECAY],
                      *back = p->c->in[MEGA_ATTENTION_DECAY_BACK];
    if (side == UP_TO && decay)
        return ((const float *)mega_row(decay, query_row(p, q, r)))[q->head];
    if (side == AFTER && back && q->stand + r >= 0)
        return -side_number(p, back, NULL, q, q->stand + r);
    return 0;
}

/* The bias of query r for the first key of a part of its row. */
static inline const float *bias_at(const struct attention_plan *p,
    const struct attention_queries *q, const struct attention_keys *k, int64_t r,
    struct attention_part part)
{
    return p->bias + q->head * p->bias_head + k->first + part.from - (q->stand + r);
}

/* The terms of a part of query r's row, all of whose keys lie on one side of the query. */
static inline struct attention_row row_of(const struct attention_plan *p,
    const struct attention_queries *q, const struct attention_keys *k,
    const struct attention_terms *t, int64_t r, struct attention_part part, int side)
{
    struct attention_row row = { 0 };
    if (t->on & TERM_BIAS) row.bias = bias_at(p, q, k, r, part);
    if (t->on & TERM_SIDE) {
        row.side = t->side[side] + part.from;
        row.own = (q->norm ? q->norm[r] : 0) +
                  (t->side[UP_TO] != t->side[AFTER] ? own_term(p, q, r, side) : 0);
    }
    row.clamp = (float)p->a->clamp;
    row.cool = p->a->temperature > 0 ? (float)(1 / p->a->temperature) : 1;
    if (t->on & TERM_GONE) row.gone = t->gone + part.from;
    if (t->on & TERM_NOISE) row.noise = t->noise;
    if (t->on & TERM_HIDE) row.drawn = t->drawn;
    row.bend = t->bend;
    return row;
}

/* A vector of the row from key j on, of which `left` are left. */
VEC_INLINE vec add_terms(
    const unsigned on, const struct attention_row *t, vec s, int64_t j, int64_t left)
{
    if (on & TERM_BIAS) s += vec_get(t->bias + j, left);
    if (on & TERM_SIDE) s += t->own + vec_get(t->side + j, left);
    if (on & TERM_CLAMP) {
        vec bent = vec_tanh_often_small(s * (1 / t->clamp));
        s = t->clamp * bent;
        if (t->bend) vec_put(t->bend + j, 1.0f - bent * bent, left);
    }
    if (on & TERM_NOISE) s = (s + vec_get(t->noise + j, left)) * t->cool;
    if (on & TERM_GONE) s += vec_get(t->gone + j, left);
    if (on & TERM_HIDE)
        s = vec_select(vec_get(t->drawn + j, left) > 0.0f, s, vec_all(ATTENTION_UNSEEN));
    if (on & TERM_CUT) s = vec_select(s >= t->least, s, vec_all(ATTENTION_UNSEEN));
    return s;
}

VEC_INLINE float raise_row(
    const unsigned on, const struct attention_row *t, float *s, int64_t n)
{
    vec most = vec_all(-INFINITY);
    int64_t j = 0;
    for (; j + VEC <= n; j += VEC) {
        vec v = add_terms(on, t, vec_load(s + j), j, VEC);
        if (on) vec_store(s + j, v);
        most = vec_max(most, v);
    }
    float all = vec_most(most);
    if (on && j < n)
        vec_store_part(s + j, add_terms(on, t, vec_load_part(s + j, n - j), j, n - j), n - j);
    for (; j < n; j++) all = s[j] > all ? s[j] : all;
    return all;
}

/* s: n scores of a part of a row receive all that is added; returns the largest. */
static inline float raise_part(unsigned on, const struct attention_row *t, float *s, int64_t n)
{
    switch (on) {
    case 0: return raise_row(0, t, s, n);
    case TERM_BIAS: return raise_row(TERM_BIAS, t, s, n);
    case TERM_SIDE: return raise_row(TERM_SIDE, t, s, n);
    case TERM_CLAMP: return raise_row(TERM_CLAMP, t, s, n);
    default: return raise_row(on, t, s, n);
    }
}

/* How many keys of a part of query r's row stand up to the query; all, if that does not matter.
 */
static inline int64_t keys_up_to(const struct attention_queries *q,
    const struct attention_keys *k, const struct attention_terms *t, int64_t r,
    struct attention_part part)
{
    int64_t n = q->stand + r + 1 - (k->first + part.from);
    if (t->side[UP_TO] == t->side[AFTER] || n > part.n) return part.n;
    return n < 0 ? 0 : n;
}

/* Query r's scores s of a part of a tile receive all that is added; returns the largest,
 * -infinity if there is none. `least`: of TERM_CUT. */
static inline float raise(const struct attention_plan *p, const struct attention_queries *q,
    const struct attention_keys *k, const struct attention_terms *t, int64_t r,
    struct attention_part part, float *s, const float *least_one)
{
    add_bank(&t->bank, q, r, part, s);
    if (!t->on && !least_one) return raise_row(0, NULL, s, part.n);
    if (t->on & TERM_NOISE) fill_noise(p, q, k, r, part, t->noise);
    if (t->on & TERM_HIDE) draw(p, q, k, r, part, t->drawn);
    unsigned on = t->on | (least_one ? TERM_CUT : 0);
    struct attention_row row = row_of(p, q, k, t, r, part, UP_TO);
    row.least = least_one ? *least_one : 0;
    int64_t up_to = keys_up_to(q, k, t, r, part);
    if (up_to == part.n) return raise_part(on, &row, s, part.n);
    /* the side of the keys after the query is another one */
    float most = raise_part(on, &row, s, up_to);
    struct attention_part after = { part.from + up_to, part.n - up_to };
    row = row_of(p, q, k, t, r, after, AFTER);
    row.least = least_one ? *least_one : 0;
    if (row.noise) row.noise += up_to;
    if (row.drawn) row.drawn += up_to;
    if (row.bend) row.bend += up_to;
    float more = raise_part(on, &row, s + up_to, after.n);
    return more > most ? more : most;
}

/* The largest of n raised scores as it was before noise, or before what keys' sums took from
 * it; `most`: of the raised ones. */
static inline float peak_of(const struct attention_plan *p, const struct attention_queries *q,
    const struct attention_keys *k, const struct attention_terms *t, struct attention_part part,
    const float *s, float most)
{
    const float *sum =
        p->column ? p->column + column_of(p, q->span, q->head, k) + part.from : NULL;
    float warm = p->a->temperature > 0 ? (float)p->a->temperature : 1, peak = ATTENTION_UNSEEN;
    if (!sum && !(t->on & TERM_NOISE)) return most;
    for (int64_t j = 0; j < part.n; j++) {
        if (s[j] < ATTENTION_UNSEEN / 2) continue;
        float before = sum ? s[j] + sum[j] : s[j] * warm - t->noise[j];
        if (before > peak) peak = before;
    }
    return peak;
}

#endif
