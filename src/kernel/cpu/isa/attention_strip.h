/* Attention by strips: all scores of a few queries, of all heads, at once (docs/adr/0016).
 *
 * A strip is [H, m, n]: m neighbouring queries of a window against n columns, the prefix keys
 * and the keys that any of them sees. Everything that acts on scores and weights goes over it
 * in the order of contracts.h: attention_strip_scores.c, attention_strip_weights.c and the way
 * back in ..._back.c; gates of rows both ways in attention_strip_gates.c. Strips that know of
 * those before them (selective, inverted) are taken in order by one lane a row of the batch. */
#ifndef MEGA_KERNEL_CPU_ISA_ATTENTION_STRIP_H
#define MEGA_KERNEL_CPU_ISA_ATTENTION_STRIP_H

#include "kernel/cpu/isa/blocks.h"
#include "kernel/cpu/vector_math.h"
#include "op/heads.h"
#include "op/window.h"

enum {
    Q = MEGA_ATTENTION_Q,
    K,
    V,
    BIAS,
    PAST_K,
    PAST_V,
    PREFIX_K,
    PREFIX_V,
    SINK,
    DECAY,
    DECAY_K,
    PAST_DECAY,
    SHARE,
    BANK,
    TALK_PRE,
    TALK_POST,
    TALK_SCALED,
    COPE,
    BEFORE,
    DECAY_BACK,
    GATE_Q,
    GATE_K,
    INPUTS, /* that gradients go to */
    PAST_GATE_K = MEGA_ATTENTION_PAST_GATE_K,
    PAST_FADED = MEGA_ATTENTION_PAST_FADED
};

/* Queries first ... first + m - 1 of row b, in one window. */
struct strip_span {
    int64_t b, first, m;
    struct mega_window window;
};

struct strip_plan {
    const struct mega_call *c;
    const struct mega_attr_attention *a;
    mega_tensor *const *in;
    struct mega_heads n;
    int64_t T, S, N, P, M; /* queries, keys, prefix keys, places of the past, columns in all */
    uint64_t key, noise;   /* of the draws */
    bool drops, hides;     /* dropout of weights, of keys */
    bool back;             /* on the way back, when outputs have been given */
    bool in_order;         /* strips of a row know of those before them */
    float *bank;           /* turned round: [R, its width], the farthest first; or NULL */
    struct strip_span *span;
    int64_t spans, *of_row; /* [B + 1] the first of each row */
};

/* What the queries of a row know of each other; [M] columns each, or NULL. */
struct strip_columns {
    float *most, *sum; /* inverted, [H, M]: of each key's softmax over queries; then */
    float *log_sum;    /* [H, M] (where sum was) */
    float *lost;       /* [H, M]: sum of w dw of that softmax */
    float *faded;      /* selective: so far */
    float *later;      /* gradients that later queries left */
};

/* Columns x ... x + n - 1: rows from `row` on of in[which], the keys; of the values beside it.
 */
struct strip_part {
    int64_t x, n, row;
    int which; /* PREFIX_K, PAST_K or K */
};

struct strip {
    const struct strip_plan *p;
    const struct strip_columns *of_row;
    int64_t b, first, m;
    struct mega_window window;
    int64_t lo, n, stride; /* the key of column N; columns; floats between rows */
    struct strip_part part[4];
    int parts;
    int64_t *low, *seen;       /* [m] columns of keys that a query sees: low ... seen - 1 */
    float *factor;             /* [m] of products */
    float *there;              /* [m, n] 1 or 0 */
    float *sees;               /* [H, m, n] where dropout hides keys; else NULL */
    float *q;                  /* [m, H d] times factor */
    float *c_keys, *back_keys; /* [H, n] decay and decay_back of the keys, or NULL */
    float *faded;              /* [m, n] before each query, or NULL */
    float *gates; /* [H, m, n] products of gates of rows; on the way back their gradients */
    /* [H, m, n] each; on the way forward most are one and the same */
    float *raw, *near, *s, *f, *kept, *mixed, *scaled, *used;
    float *sunk; /* [H, m] what the sink has of a softmax */
    float *room; /* [2 stride] */
};

/* Where gradients of inputs are summed: of K, V and decays the rows of one b; of parameters all
 * of it, BANK's turned round. at NULL: not wanted. */
struct strip_slopes {
    struct mega_matrix in[INPUTS];
};

/* ---- the plan: attention_strip.c ---- */

struct strip_plan MEGA_ISA_NAME(mega_strip_plan)(const struct mega_call *c);
/* scalar operations of a pass, as mega_lanes counts them */
double MEGA_ISA_NAME(mega_strip_cost)(const struct strip_plan *p);
/* A strip with its scores and weights; `back`: all that the way back needs stays. */
struct strip MEGA_ISA_NAME(mega_strip_open)(const struct strip_plan *p,
    const struct strip_span *at, const struct strip_columns *of_row, bool back,
    struct mega_arena *scratch);
/* What strips of a row share, in scratch; the pass over its keys' softmax is made. */
struct strip_columns MEGA_ISA_NAME(mega_strip_columns)(
    const struct strip_plan *p, int64_t b, struct mega_arena *scratch);

void MEGA_ISA_NAME(mega_strip_scores)(struct strip *s, struct mega_arena *scratch);
/* gates of rows: their products; what they add to a row of scores; a row's gradients in their
 * place; and these on to the inputs */
void MEGA_ISA_NAME(mega_strip_gates)(struct strip *s, struct mega_arena *scratch);
void MEGA_ISA_NAME(mega_strip_add_gates)(const struct strip *s, float *x, int64_t h, int64_t r);
void MEGA_ISA_NAME(mega_strip_gates_slope)(
    const struct strip *s, const float *d, int64_t h, int64_t r);
void MEGA_ISA_NAME(mega_strip_gates_back)(const struct strip *s, struct mega_grads *g,
    const struct strip_slopes *to, struct mega_arena *scratch);
void MEGA_ISA_NAME(mega_strip_weights)(struct strip *s, struct mega_arena *scratch);
/* inverted: each key's softmax goes on with the strip; `lost` from d, of f */
void MEGA_ISA_NAME(mega_strip_share_out)(const struct strip *s);
void MEGA_ISA_NAME(mega_strip_lose)(const struct strip *s, const float *d);
/* d, of `used`, becomes that of s; d_raw (or NULL) what raw has of it past the function */
void MEGA_ISA_NAME(mega_strip_mix_back)(struct strip *s, float *d, float *d_raw,
    const struct strip_slopes *to, struct mega_arena *scratch);
void MEGA_ISA_NAME(mega_strip_weights_back)(
    struct strip *s, float *d, const struct mega_grads *g, const struct strip_slopes *to);
/* from d, of s, and d_raw on to the inputs */
void MEGA_ISA_NAME(mega_strip_scores_back)(struct strip *s, float *d, const float *d_raw,
    struct mega_grads *g, const struct strip_slopes *to, struct mega_arena *scratch);

void MEGA_ISA_NAME(mega_attention_strip_backward)(
    const struct mega_call *c, struct mega_grads *g);

/* ---- inside a strip ---- */

static inline float *strip_row(const struct strip *s, float *of, int64_t h, int64_t r)
{
    return of + (h * s->m + r) * s->stride;
}

static inline float *strip_array(const struct strip *s, struct mega_arena *scratch)
{
    return mega_arena_get(scratch, (size_t)(s->p->n.H * s->m * s->stride) * sizeof(float));
}

static inline void strip_clear(float *from, int64_t n)
{
    if (n > 0) memset(from, 0, (size_t)n * sizeof *from);
}

/* 1 or 0 for each column, of head h and query r */
static inline const float *strip_sees(const struct strip *s, int64_t h, int64_t r)
{
    return s->sees ? strip_row(s, s->sees, h, r) : s->there + r * s->stride;
}

/* The column of the key at which query r stands; it may lie outside. */
static inline int64_t strip_stand(const struct strip *s, int64_t r)
{
    return s->p->N + mega_window_stand(s->p->c, s->first + r) - s->lo;
}

/* The keys of query r whose distances the bank has: n from column `key` on, and from `column`
 * on of the bank turned round. */
struct strip_stretch {
    int64_t key, column, n;
};

static inline struct strip_stretch strip_near(const struct strip *s, int64_t r)
{
    int64_t end = strip_stand(s, r) + s->p->a->ahead + 1, low = s->low[r],
            start = end - mega_width(s->p->in[MEGA_ATTENTION_BANK]),
            from = start > low ? start : low;
    return (struct strip_stretch){ from, from - start, least(s->seen[r], end) - from };
}

/* From a key's column here to that of M. */
static inline int64_t strip_shift(const struct strip *s)
{
    return s->p->P + s->lo;
}

/* A row of scores [H, m, n] as a matrix [H, m n]. */
static inline struct mega_matrix strip_heads(const struct strip *s, float *of)
{
    return (struct mega_matrix){ of, s->m * s->stride };
}

static inline struct mega_matrix strip_head(const struct strip *s, float *of, int64_t h)
{
    return (struct mega_matrix){ of + h * s->m * s->stride, s->stride };
}

/* Keys (which = K) or values (V) of a part for head h: [n, width]. */
static inline struct mega_matrix strip_keys(
    const struct strip *s, const struct strip_part *part, int which, int64_t h)
{
    const struct strip_plan *p = s->p;
    int64_t group = mega_heads_group(&p->n, h), width = which == K ? p->n.d : p->n.dv;
    const mega_tensor *t = p->in[part->which + which - K];
    if (part->which == PREFIX_K) return mega_matrix_of(t, group * p->N, 0);
    return mega_matrix_of(t, part->row, group * width);
}

/* The same of their gradients; at NULL: there are none. */
static inline struct mega_matrix strip_keys_slope(const struct strip *s,
    const struct strip_slopes *to, const struct strip_part *part, int which, int64_t h)
{
    const struct strip_plan *p = s->p;
    int64_t group = mega_heads_group(&p->n, h), width = which == K ? p->n.d : p->n.dv;
    struct mega_matrix none = { NULL, 0 };
    struct mega_matrix all = part->which == PAST_K ? none : to->in[part->which + which - K];
    if (!all.at) return none;
    all.at += part->which == PREFIX_K ? group * p->N * all.stride
                                      : (part->row - s->b * p->S) * all.stride + group * width;
    return all;
}

static inline struct mega_matrix strip_queries(const struct strip *s, int64_t h)
{
    int64_t d = s->p->n.d;
    return (struct mega_matrix){ s->q + h * d, mega_matrix_easy_stride(s->p->n.H * d) };
}

/* Row of the queries' tensors. */
static inline int64_t strip_query(const struct strip *s, int64_t r)
{
    return s->b * s->p->T + s->first + r;
}

/* The draws of head h and query r, of words or of dropout. */
static inline struct mega_draw_row strip_draw(
    const struct strip *s, uint64_t key, int64_t h, int64_t r)
{
    const struct mega_rows *rows = s->p->c->rows;
    return mega_draw_keys(key, mega_rows_number(rows, s->b), h,
        mega_rows_place(rows, s->b) + s->first + r, s->p->a->dropout);
}

/* Number of column x among the draws, of a key. */
static inline int64_t strip_draw_first(const struct strip *s)
{
    return mega_rows_place(s->p->c->rows, s->b) + s->lo;
}

/* factors of dropout for all columns */
static inline void strip_factors(const struct strip *s, int64_t h, int64_t r, float *factor)
{
    struct mega_draw_row d = strip_draw(s, s->p->key, h, r);
    int64_t N = s->p->N;
    row_functions->draw(factor, &d, MEGA_DRAW_PREFIX, N);
    row_functions->draw(factor + N, &d, strip_draw_first(s), s->n - N);
}

#endif
