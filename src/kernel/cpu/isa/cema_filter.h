/* The filter of the complex EMA kernel, over one tile of VEC channels.
 *
 * Inside a tile it is a short real convolution, from tile to tile it is N complex states a
 * channel:
 *
 *   y[i] = sum_{j <= i} taps[i-j] x[j] + Re sum_n out q^(i+1) s      taps[k] = Re sum_n out q^k
 *   s <- s + sum_j q^(k-1-j) x[j] - (1 - q^k) s                      after k steps
 *
 * with out = p g, so that s = h / p. Powers of q are made in double and rounded once each, and
 * 1 - q^k is never a difference of numbers near 1: states that hardly fade neither drift nor
 * turn at a wrong pace. */
#ifndef MEGA_KERNEL_CPU_ISA_CEMA_FILTER_H
#define MEGA_KERNEL_CPU_ISA_CEMA_FILTER_H

#include "kernel/cpu/isa/ema_tile.h"
#include "kernel/cpu/vector_math.h"

/* a complex number a channel */
struct pair {
    vec re, im;
};

/* One state of VEC channels; what the loops touch comes first. */
struct turn {
    struct pair pow[STEPS]; /* q^1 ... q^STEPS */
    struct pair share;      /* out s: what the state gives to y, but for its decay */
    struct pair s;
    struct pair drop;   /* 1 - q^STEPS */
    struct pair out, g; /* p g; g with sqrt(1/N) inside */
    struct pair way;    /* exp(i phi) */
    vec p, e;           /* a = p; sigmoid of delta */
};

/* The filter of a block. */
struct turns_of_block {
    int N;
    struct turn *turn[COLUMNS]; /* [N] */
    columns taps;
    vec s[COLUMNS]; /* sigmoid of theta */
};

VEC_INLINE struct pair pair_times(struct pair a, struct pair b)
{
    return (struct pair){ a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re };
}

VEC_INLINE struct pair pair_conj(struct pair a)
{
    return (struct pair){ a.re, -a.im };
}

VEC_INLINE struct pair pair_scale(vec by, struct pair a)
{
    return (struct pair){ by * a.re, by * a.im };
}

VEC_INLINE struct pair pair_add(struct pair a, struct pair b)
{
    return (struct pair){ a.re + b.re, a.im + b.im };
}

VEC_INLINE struct pair pair_zero(void)
{
    return (struct pair){ vec_all(0), vec_all(0) };
}

/* ---- from the parameters ---- */

/* number d * each + k of a dense parameter, for the channels of column v; zeros behind the last
 */
static inline vec load_dense(
    const struct block *b, int v, const mega_tensor *t, int64_t each, int64_t k)
{
    float one[VEC] = { 0 };
    const float *from = (const float *)t->data + (b->channel + v * VEC) * each + k;
    for (int i = 0; i < channels_in(b, v); i++) one[i] = from[i * each];
    return vec_load(one);
}

/* cosine and sine of an angle in double, for VEC channels */
struct angles {
    double cos[VEC], sin[VEC];
};

/* the angle of the first state: 2 pi / N sigmoid(theta); that of state n is n times as large */
static inline struct angles first_angles(const struct block *b, int v, int64_t N)
{
    struct angles a = { { 0 }, { 0 } };
    const float *theta = (const float *)b->c->in[MEGA_CEMA_THETA]->data + b->channel + v * VEC;
    for (int i = 0; i < channels_in(b, v); i++) {
        double phi = 2 * 3.14159265358979323846 / (double)N / (1 + exp(-(double)theta[i]));
        a.cos[i] = cos(phi);
        a.sin[i] = sin(phi);
    }
    return a;
}

static inline void turn_angles(struct angles *a, const struct angles *by)
{
    for (int i = 0; i < VEC; i++) {
        double re = a->cos[i] * by->cos[i] - a->sin[i] * by->sin[i];
        a->sin[i] = a->cos[i] * by->sin[i] + a->sin[i] * by->cos[i];
        a->cos[i] = re;
    }
}

/* `steps`: how many powers of q will be asked for */
static inline void prepare_powers(struct turn *k, const struct angles *a, int steps)
{
    double fade[VEC], re[VEC], im[VEC];
    for (int i = 0; i < VEC; i++) {
        fade[i] = 1 - (double)k->p[i] * (double)k->e[i];
        re[i] = fade[i] * a->cos[i];
        im[i] = fade[i] * a->sin[i];
        k->way.re[i] = (float)a->cos[i];
        k->way.im[i] = (float)a->sin[i];
    }
    double now[VEC], side[VEC];
    for (int i = 0; i < VEC; i++) now[i] = re[i], side[i] = im[i];
    for (int m = 0; m < steps; m++) {
        float one[VEC], two[VEC];
        for (int i = 0; i < VEC; i++) {
            one[i] = (float)now[i];
            two[i] = (float)side[i];
        }
        k->pow[m] = (struct pair){ vec_load(one), vec_load(two) };
        if (m == steps - 1) break;
        for (int i = 0; i < VEC; i++) {
            double next = now[i] * re[i] - side[i] * im[i];
            side[i] = now[i] * im[i] + side[i] * re[i];
            now[i] = next;
        }
    }
    float one[VEC], two[VEC];
    for (int i = 0; i < VEC; i++) {
        one[i] = (float)(1 - now[i]);
        two[i] = (float)-side[i];
    }
    k->drop = (struct pair){ vec_load(one), vec_load(two) };
}

static inline void prepare_turn(
    const struct block *b, int v, int64_t n, int64_t N, struct turn *k)
{
    const mega_tensor *const *in = (const mega_tensor *const *)b->c->in;
    float scale = sqrtf(1 / (float)N);
    vec p = vec_sigmoid(load_dense(b, v, in[MEGA_CEMA_ALPHA], N, n));
    k->p = vec_select(p > 1e-20f, p, vec_all(1e-20f));
    k->e = vec_sigmoid(load_dense(b, v, in[MEGA_CEMA_DELTA], N, n));
    k->g.re = scale * load_dense(b, v, in[MEGA_CEMA_GAMMA], 2 * N, 2 * n);
    k->g.im = scale * load_dense(b, v, in[MEGA_CEMA_GAMMA], 2 * N, 2 * n + 1);
    k->out = pair_scale(k->p, k->g);
}

/* In `scratch`; the states are zero. A row of T places asks for no more powers than that. */
static inline struct turns_of_block turns_of_block(
    const struct block *b, struct mega_arena *scratch)
{
    const struct mega_call *c = b->c;
    int64_t N = c->in[MEGA_CEMA_ALPHA]->dim[1], T = c->in[MEGA_CEMA_X]->dim[1];
    struct turns_of_block f = { .N = (int)N };
    int steps = T < STEPS ? (int)(T > 1 ? T : 1) : STEPS;
    for (int v = 0; v < COLUMNS; v++) {
        struct angles first = first_angles(b, v, N), now = first;
        f.turn[v] = mega_arena_zeroed(scratch, (size_t)N * sizeof(struct turn));
        f.s[v] = vec_sigmoid(load_dense(b, v, c->in[MEGA_CEMA_THETA], 1, 0));
        for (int n = 0; n < f.N; n++) {
            struct turn *k = &f.turn[v][n];
            prepare_turn(b, v, n, N, k);
            prepare_powers(k, &now, steps);
            turn_angles(&now, &first);
            f.taps[v][0] += k->out.re;
            for (int m = 1; m < steps; m++)
                f.taps[v][m] += k->out.re * k->pow[m - 1].re - k->out.im * k->pow[m - 1].im;
        }
    }
    return f;
}

/* ---- states that come in and go out ---- */

/* state n of column v in a dense tensor [B, D, N, 2] */
static inline float *cema_state_at(const struct block *b, const mega_tensor *h, int v, int n)
{
    int64_t D = h->dim[1], N = h->dim[2];
    return (float *)h->data + ((b->b * D + b->channel + v * VEC) * N + n) * 2;
}

static inline struct pair load_state(const struct block *b, const mega_tensor *h, int v, int n)
{
    float re[VEC] = { 0 }, im[VEC] = { 0 };
    int channels = channels_in(b, v);
    const float *from = channels ? cema_state_at(b, h, v, n) : NULL;
    for (int i = 0; i < channels; i++) {
        re[i] = from[i * h->dim[2] * 2];
        im[i] = from[i * h->dim[2] * 2 + 1];
    }
    return (struct pair){ vec_load(re), vec_load(im) };
}

/* writes it, or adds to it */
static inline void give_state(
    const struct block *b, mega_tensor *h, int v, int n, struct pair by, bool add)
{
    int channels = channels_in(b, v);
    float *to = channels ? cema_state_at(b, h, v, n) : NULL;
    for (int i = 0; i < channels; i++) {
        float *at = to + i * h->dim[2] * 2;
        at[0] = (add ? at[0] : 0) + by.re[i];
        at[1] = (add ? at[1] : 0) + by.im[i];
    }
}

static inline bool begins_at(const struct mega_rows *rows, int64_t b, int64_t t)
{
    return rows->doc && t < mega_rows_len(rows, b) && rows->doc[b * rows->T + t] == t;
}

/* True if the row goes on from a state that came in. */
static inline bool takes_state(const struct block *b)
{
    const struct mega_rows *rows = b->c->rows;
    return b->c->in[MEGA_CEMA_H] && !mega_rows_fresh(rows, b->b) && !begins_at(rows, b->b, 0);
}

/* omega of column v; zeros if there is none */
static inline vec load_omega(const struct block *b, int v)
{
    const mega_tensor *omega = b->c->in[MEGA_CEMA_OMEGA];
    int channels = channels_in(b, v);
    if (!omega || !channels) return vec_all(0);
    return vec_get((const float *)omega->data + b->channel + v * VEC, channels);
}

/* ---- real places ---- */

/* Places from ... to-1 of a row, all real, of one document. */
struct span {
    int64_t from, to;
    bool fresh; /* a document begins with it, or between it and the real place before */
};

/* Moves on to the next span, behind s->to; false at the end of the row. */
static inline bool next_span(const struct mega_rows *rows, int64_t b, struct span *s)
{
    int64_t len = mega_rows_len(rows, b), t = s->to;
    s->fresh = false;
    if (!rows->real && !rows->doc) {
        *s = (struct span){ t, len, false };
        return t < len;
    }
    for (; t < len; t++) {
        s->fresh |= begins_at(rows, b, t);
        if (mega_rows_real(rows, b, t)) break;
    }
    s->from = s->to = t;
    if (t >= len) return false;
    do s->to++;
    while (s->to < len && mega_rows_real(rows, b, s->to) && !begins_at(rows, b, s->to));
    return true;
}

/* ---- one tile ---- */

static inline void clear_turns(struct turns_of_block *f, int v)
{
    for (int n = 0; n < f->N; n++) f->turn[v][n].s = f->turn[v][n].share = pair_zero();
}

/* Adds sum_{j <= i} taps[i-j] x[j] to y[i]. */
VEC_INLINE void convolve(const vec *taps, const vec *x, vec y[STEPS])
{
    EACH(j, 0, STEPS) EACH(i, j, STEPS) y[i] += taps[i - j] * x[j];
}

/* Adds to y [STEPS] what the filter makes of the states before the tile and its inputs x. */
static inline void filter_turns(const struct turns_of_block *f, int v, const vec *x, vec *y)
{
    vec sum[STEPS];
    EACH(i, 0, STEPS) sum[i] = y[i];
    convolve(f->taps[v], x, sum);
    for (int n = 0; n < f->N; n++) {
        const struct turn *k = &f->turn[v][n];
        struct pair share = k->share;
        EACH(i, 0, STEPS) sum[i] += k->pow[i].re * share.re - k->pow[i].im * share.im;
    }
    EACH(i, 0, STEPS) y[i] = sum[i];
}

/* 1 - q^steps */
VEC_INLINE struct pair drop_of(const struct turn *k, int steps)
{
    if (steps == STEPS) return k->drop;
    struct pair last = k->pow[steps - 1];
    return (struct pair){ 1.0f - last.re, -last.im };
}

#endif
