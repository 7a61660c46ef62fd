/* Attention's reference in double: one query of all heads at a time, a row of scores each.
 *
 * A row's columns are the N prefix keys, then the keys that place and window let the query see.
 * Scores are made and their gradients taken back in attention_scores.c, weights in
 * attention_weights.c; attention_reference.c goes through the queries. */
#ifndef MEGA_OP_ATTENTION_ROW_H
#define MEGA_OP_ATTENTION_ROW_H

#include "op/heads.h"
#include "op/window.h"

/* What the queries of a row b know of each other; M columns. */
struct mega_attention_columns {
    double *log_sum; /* inverted, [H, M]: of each key's softmax over queries */
    double *lost;    /* inverted, [H, M]: sum of w dw of that softmax */
    double *faded;   /* selective, [T + 1, M]: before each query */
    double *later;   /* selective, [M]: gradients that later queries left */
};

struct mega_attention_row {
    const struct mega_call *c;
    const struct mega_attr_attention *a;
    struct mega_heads n;
    struct mega_window w;
    int64_t b, i, p;  /* row, query, the place where it stands */
    int64_t N, count; /* prefix keys, columns */
    int64_t shift;    /* from a key's column here to that of M */
    int64_t M;
    double factor; /* of the products */
    const struct mega_attention_columns *of_b;
    /* [H, count] each */
    double *raw;   /* scores before heads mix */
    double *gates; /* what gates of rows add */
    double *near;  /* after the clamp, before cope */
    double *s;     /* as the function takes them, noise and temperature aside */
    double *sees;  /* 1 or 0 */
    double *f;     /* weights, of the function */
    double *soft;  /* the softmax whose gradient is taken, sign aside; inverted: each key's */
    double *kept;  /* after dropout */
    double *mixed; /* after talk_post */
    double *used;  /* as they multiply v */
    double *d;     /* gradients on their way back */
    double *d_raw; /* of raw, past the function */
    double *sunk;  /* [H] what the sink has of `soft` */
    double *room;  /* [count], [H] */
};

/* Gradients of all inputs that want one, dense; NULL: not wanted. */
struct mega_attention_slopes {
    double *in[MEGA_ATTENTION_INPUTS];
};

static inline int64_t mega_attention_at(
    const struct mega_attention_row *u, int64_t h, int64_t x)
{
    return h * u->count + x;
}

/* The place of column x, which is no prefix key. */
static inline int64_t mega_attention_key(const struct mega_attention_row *u, int64_t x)
{
    return u->w.low + x - u->N;
}

/* Its column of M. */
static inline int64_t mega_attention_column(const struct mega_attention_row *u, int64_t x)
{
    return x < u->N ? x : x + u->shift;
}

/* Element e of the key or value (which: K or V) of column x that head h reads. */
double mega_attention_element(
    const struct mega_attention_row *u, int which, int64_t h, int64_t x, int64_t e);

/* Adds to its gradient; the past has none. */
void mega_attention_element_add(const struct mega_attention_row *u,
    struct mega_attention_slopes *to, int which, int64_t h, int64_t x, int64_t e, double d);

/* What the draw of dropout gives column x: 0 or 1 / (1 - p). */
double mega_attention_drawn(const struct mega_attention_row *u, int64_t h, int64_t x);

/* Fills raw, near, s, sees. */
void mega_attention_scores(struct mega_attention_row *u);
/* What head 0 of this query makes of the others' fading: adds to faded [M]. */
void mega_attention_fade(const struct mega_attention_row *u, double *faded);
/* d, of s, goes back to all inputs of which scores are made; `arrived`: that of the scores
 * given out, or NULL. */
void mega_attention_scores_back(
    struct mega_attention_row *u, const mega_tensor *arrived, struct mega_attention_slopes *to);

/* Fills f ... used. */
void mega_attention_weights(struct mega_attention_row *u);
/* inverted: the sums over queries go on with this one; the second from d, of f. */
void mega_attention_share_out(const struct mega_attention_row *u);
void mega_attention_lose(const struct mega_attention_row *u);
/* d, of `used`, becomes that of f; d_raw and the slopes of what mixes are filled. */
void mega_attention_mix_back(struct mega_attention_row *u, struct mega_attention_slopes *to);
/* d, of f, becomes that of s; the sinks' slope is filled. `arrived`: that of log_sum, or NULL.
 */
void mega_attention_weights_back(
    struct mega_attention_row *u, const mega_tensor *arrived, struct mega_attention_slopes *to);
/* softmax: the logarithm of the sum that divides head h's weights; 0: there is none. */
double mega_attention_log_sum(const struct mega_attention_row *u, int64_t h);

void mega_attention_forward(const struct mega_call *c);
void mega_attention_backward(const struct mega_call *c, struct mega_grads *g);

#endif
