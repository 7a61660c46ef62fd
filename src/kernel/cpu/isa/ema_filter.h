/* The filter of the EMA kernel, over one tile of VEC channels.
 *
 * Inside a tile it is a short convolution, from tile to tile it is N states a channel:
 *
 *   y[i] = sum_{j <= i} taps[i-j] x[j] + sum_n out q^(i+1) s      taps[k] = sum_n out q^k
 *   s <- s + sum_j q^(k-1-j) x[j] - (1 - q^k) s                   after k steps
 *
 * with out = sqrt(1/N) gamma p beta, so that s = h / (p beta). A state is rounded once a tile,
 * and 1 - q^k is never a difference of numbers near 1: slow channels (q close to 1) neither
 * drift nor stick. Truncation takes q^M x[t-M] away from x[t], for each state. */
#ifndef MEGA_KERNEL_CPU_ISA_EMA_FILTER_H
#define MEGA_KERNEL_CPU_ISA_EMA_FILTER_H

#include "kernel/cpu/isa/ema_tile.h"
#include "kernel/cpu/vector_math.h"

/* states advanced at once: as many as hide the latency of a multiply-add */
enum { GROUP = 4 };

/* One state of VEC channels; what the loops touch comes first. */
struct state {
    vec pow[STEPS];        /* q^1 ... q^STEPS */
    vec share;             /* out * s: what the state gives to y, but for its decay */
    vec s, q, drop;        /* drop: 1 - q^STEPS */
    vec out;               /* what y takes of s */
    vec late;              /* q^M */
    vec late_slope;        /* M q^(M-1) */
    vec scale;             /* p beta, kept away from zero */
    vec p, a, beta, gamma; /* gamma with sqrt(1/N) inside */
};

static inline bool does_silu(const struct mega_call *c)
{
    return ((const struct mega_attr_ema *)c->attr)->silu;
}

/* The filter of a block in one direction. */
struct filter {
    int N;
    int64_t M;                    /* kernel taps; 0: as long as the row */
    struct state *state[COLUMNS]; /* [N], zeros behind up to a multiple of GROUP */
    columns taps, late_taps;      /* late_taps: of what entered M steps ago, negative */
};

/* ---- from the parameters ---- */

/* One number a channel, `step` apart; zeros behind the last channel. */
static inline vec load_channels(const float *from, int64_t step, int channels)
{
    float one[VEC] = { 0 };
    for (int i = 0; i < channels; i++) one[i] = from[i * step];
    return vec_load(one);
}

/* Where the parameter [Q, N] or [Q, N, 1] holds (row, n); `step` leads to the next row. */
static inline float *coefficient(const mega_tensor *t, int64_t row, int64_t n, int64_t *step)
{
    int64_t N = t->dim[1];
    bool flat = mega_width(t) == 1 && N > 1; /* a row for every n */
    *step = flat ? N * t->stride : t->stride;
    return (float *)t->data + row * *step + n * (flat ? t->stride : 1);
}

static inline vec load_coefficient(
    const struct block *k, int input, int direction, int v, int64_t n)
{
    int64_t step, row = direction * k->c->in[MEGA_EMA_X]->dim[2] + k->channel + v * VEC;
    int channels = channels_in(k, v);
    if (!channels) return vec_all(0);
    const float *from = coefficient(k->c->in[input], row, n, &step);
    return load_channels(from, step, channels);
}

static inline void prepare_late(struct state *k, int64_t M)
{
    vec drop = k->p * k->a;
    for (int i = 0; i < VEC; i++) {
        double log_q = log1p(-(double)drop[i]);
        k->late[i] = (float)exp((double)M * log_q);
        k->late_slope[i] = (float)((double)M * exp((double)(M - 1) * log_q));
    }
}

/* `steps`: how many powers of q will be asked for */
static inline void prepare_state(struct state *k, int64_t M, int steps)
{
    vec drop = vec_all(0), in = k->p * k->beta;
    k->q = 1.0f - k->p * k->a;
    for (int i = 0; i < steps; i++) {
        drop += k->p * k->a * (1.0f - drop);
        k->pow[i] = 1.0f - drop;
    }
    k->drop = drop;
    k->scale = vec_select(vec_abs(in) > 1e-20f, in, vec_all(1e-20f));
    k->out = k->gamma * k->scale;
    if (M) prepare_late(k, M);
}

static inline void add_taps(
    const struct state *k, int steps, vec taps[STEPS], vec late_taps[STEPS])
{
    vec tap = k->out;
    for (int i = 0; i < steps; i++) {
        taps[i] += tap;
        late_taps[i] -= k->late * tap;
        tap = k->out * k->pow[i];
    }
}

static inline struct filter filter_of(
    const struct block *b, int direction, struct mega_arena *scratch)
{
    const struct mega_call *c = b->c;
    const struct mega_attr_ema *attr = c->attr;
    struct filter f = { .N = (int)c->in[MEGA_EMA_DELTA]->dim[1] };
    int64_t T = c->in[MEGA_EMA_X]->dim[1], room = (f.N + GROUP - 1) / GROUP * GROUP;
    bool stateful = c->in[MEGA_EMA_H] || attr->state;
    if (attr->truncation > 0 && attr->truncation < T && !stateful) f.M = attr->truncation;
    int steps = T < STEPS ? (int)T : STEPS;
    float scale = sqrtf(1 / (float)f.N);
    for (int v = 0; v < COLUMNS; v++) {
        f.state[v] = mega_arena_zeroed(scratch, (size_t)room * sizeof(struct state));
        for (int n = 0; n < f.N; n++) {
            struct state *k = &f.state[v][n];
            k->p = vec_sigmoid(load_coefficient(b, MEGA_EMA_DELTA, direction, v, n));
            k->a = vec_sigmoid(load_coefficient(b, MEGA_EMA_ALPHA, direction, v, n));
            k->beta = load_coefficient(b, MEGA_EMA_BETA, direction, v, n);
            k->gamma = load_coefficient(b, MEGA_EMA_GAMMA, direction, v, n) * scale;
            prepare_state(k, f.M, steps);
            add_taps(k, steps, f.taps[v], f.late_taps[v]);
        }
    }
    return f;
}

/* State n of column v in a tensor [B, D, N]. */
static inline float *state_at(const struct block *b, const mega_tensor *h, int v, int n)
{
    return (float *)mega_row(h, b->b * h->dim[1] + b->channel + v * VEC) + n;
}

static inline vec load_state(const struct block *b, const mega_tensor *h, int v, int n)
{
    int channels = channels_in(b, v);
    return channels ? load_channels(state_at(b, h, v, n), h->stride, channels) : vec_all(0);
}

static inline void add_state(const struct block *b, mega_tensor *h, int v, int n, vec by)
{
    for (int i = 0; i < channels_in(b, v); i++) state_at(b, h, v, n)[i * h->stride] += by[i];
}

/* omega of column v; zeros if there is none */
static inline vec load_omega(const struct block *b, int v)
{
    const mega_tensor *omega = b->c->in[MEGA_EMA_OMEGA];
    int channels = channels_in(b, v);
    if (!omega || !channels) return vec_all(0);
    return vec_get((const float *)omega->data + b->channel + v * VEC, channels);
}

/* True if the row goes on from a state that came in. */
static inline bool takes_state(const struct block *b)
{
    struct walk w = { b->c->rows, b->b, b->c->in[MEGA_EMA_X]->dim[1], false, 0 };
    return b->c->in[MEGA_EMA_H] && !mega_rows_fresh(w.rows, w.b) && !document_begins(&w, 0);
}

/* ---- one tile ---- */

static inline void clear_states(struct filter *f, int v)
{
    for (int n = 0; n < f->N; n++) f->state[v][n].s = f->state[v][n].share = vec_all(0);
}

/* True if some input of the tile has a counterpart that leaves the kernel with it. */
static inline bool reaches_back(const struct filter *f, const struct tile *t)
{
    return f->M && t->first + t->steps > t->from + f->M;
}

/* Adds sum_{j <= i} taps[i-j] x[j] to y[i]. */
VEC_INLINE void convolve(const vec *taps, const vec *x, vec y[STEPS])
{
    EACH(j, 0, STEPS) EACH(i, j, STEPS) y[i] += taps[i - j] * x[j];
}

/* Adds to y [STEPS] what the filter makes of the states before the tile, its inputs x and, NULL
 * if there are none, the inputs of M steps ago. */
static inline void filter_tile(
    const struct filter *f, int v, const vec *x, const vec *late, vec *y)
{
    vec sum[STEPS];
    EACH(i, 0, STEPS) sum[i] = y[i];
    convolve(f->taps[v], x, sum);
    if (late) convolve(f->late_taps[v], late, sum);
    for (int n = 0; n < f->N; n++) {
        const struct state *k = &f->state[v][n];
        EACH(i, 0, STEPS) sum[i] += k->pow[i] * k->share;
    }
    EACH(i, 0, STEPS) y[i] = sum[i];
}

#endif
