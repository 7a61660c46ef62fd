/* Attention's reference: goes through the queries of each row, forward from the first to the
 * last, backward the other way; what queries know of each other goes with them. */
#include <math.h>

#include "op/attention_row.h"

enum { Q = MEGA_ATTENTION_Q, K, V, O = MEGA_ATTENTION_O };

/* n numbers in scratch */
static double *numbers(const struct mega_call *c, int64_t n, double each)
{
    double *x = mega_scratch(c->work, (size_t)(n + 1) * sizeof *x);
    for (int64_t i = 0; i < n; i++) x[i] = each;
    return x;
}

/* ---- rows of scores ---- */

enum { ARRAYS = 12 }; /* of [H, count] */

/* room for the longest row there is */
static double *row_room(const struct mega_call *c)
{
    int64_t H = mega_heads_of(c).H, M = mega_attention_columns(c);
    return numbers(c, ARRAYS * H * M + 2 * H + M, 0);
}

/* the scores of query i of row b */
static struct mega_attention_row row_of(const struct mega_call *c,
    const struct mega_attention_columns *of_b, int64_t b, int64_t i, double *room)
{
    struct mega_attention_row u = { .c = c,
        .a = c->attr,
        .n = mega_heads_of(c),
        .w = mega_window_at(c, b, i),
        .b = b,
        .i = i,
        .p = mega_window_stand(c, i),
        .N = mega_attention_prefix(c),
        .M = mega_attention_columns(c),
        .of_b = of_b };
    u.count = u.N + u.w.seen - u.w.low;
    u.shift = mega_dim(c->in[MEGA_ATTENTION_PAST_K], 1) + u.w.low;
    u.factor = 1 / mega_window_divisor(c, &u.w, i);
    double **array[ARRAYS] = { &u.raw, &u.gates, &u.near, &u.s, &u.sees, &u.f, &u.soft, &u.kept,
        &u.mixed, &u.used, &u.d, &u.d_raw };
    for (int k = 0; k < ARRAYS; k++, room += u.n.H * u.count) *array[k] = room;
    u.sunk = room;
    u.room = room + u.n.H;
    mega_attention_scores(&u);
    return u;
}

/* ---- what queries know of each other ---- */

static bool inverted(const struct mega_call *c)
{
    return ((const struct mega_attr_attention *)c->attr)->fn == MEGA_ATTENTION_INVERTED;
}

static bool selective(const struct mega_call *c)
{
    return ((const struct mega_attr_attention *)c->attr)->selective;
}

/* the place of column x of row b in the log of what has faded; -1: none */
static int64_t faded_at(const struct mega_call *c, int64_t b, int64_t x)
{
    const mega_tensor *log = c->in[MEGA_ATTENTION_PAST_FADED];
    int64_t P = mega_dim(log, 1), place = mega_rows_place(c->rows, b),
            j = x - mega_attention_prefix(c) - P;
    return log && j >= -P && place + j >= 0 ? b * P + (place + j) % P : -1;
}

static double past_faded(const struct mega_call *c, int64_t b, int64_t x)
{
    int64_t at = faded_at(c, b, x), P = mega_dim(c->in[MEGA_ATTENTION_PAST_FADED], 1);
    bool past = at >= 0 && x < mega_attention_prefix(c) + P;
    return past ? mega_get(c->in[MEGA_ATTENTION_PAST_FADED], at, 0) : 0;
}

/* what has faded after the last query, [M]: the row's own keys go over the oldest places */
static void put_faded(const struct mega_call *c, int64_t b, const double *faded)
{
    int64_t len = mega_rows_len(c->rows, b), end = mega_attention_columns(c) - c->rows->T + len;
    for (int64_t x = mega_attention_prefix(c); x < end; x++) {
        int64_t at = faded_at(c, b, x);
        if (at >= 0) mega_put(c->out[MEGA_ATTENTION_FADED], at, 0, faded[x]);
    }
}

/* row b's, before its first query; `of_b` has memory after the first call */
static void begin_columns(
    const struct mega_call *c, struct mega_attention_columns *of_b, int64_t b, double *room)
{
    int64_t H = mega_heads_of(c).H, M = mega_attention_columns(c), T = c->rows->T;
    if (inverted(c)) {
        if (!of_b->log_sum) of_b->log_sum = numbers(c, H * M, 0);
        for (int64_t i = 0; i < H * M; i++) of_b->log_sum[i] = -INFINITY;
        for (int64_t i = 0; i < T; i++) {
            struct mega_attention_row u = row_of(c, of_b, b, i, room);
            mega_attention_share_out(&u);
        }
    }
    if (!selective(c)) return;
    if (!of_b->faded) of_b->faded = numbers(c, (T + 1) * M, 0);
    for (int64_t x = 0; x < M; x++) of_b->faded[x] = past_faded(c, b, x);
    for (int64_t i = 0; i < T; i++) {
        struct mega_attention_row u = row_of(c, of_b, b, i, room);
        double *next = of_b->faded + (i + 1) * M;
        for (int64_t x = 0; x < M; x++) next[x] = next[x - M];
        mega_attention_fade(&u, next);
    }
}

/* ---- forward ---- */

static void put_weights(const struct mega_attention_row *u)
{
    mega_tensor *to = u->c->out[MEGA_ATTENTION_WEIGHTS];
    int64_t W = to->dim[2], each = to->dim[1] / u->n.H, T = u->c->rows->T;
    bool windows = W < T;
    for (int64_t h = 0; h < u->n.H; h++) {
        int64_t row = windows ? (u->b * to->dim[1] + h * each + u->i / W) * W + u->i % W
                              : (u->b * u->n.H + h) * T + u->i;
        for (int64_t x = windows ? u->N : 0; x < u->count; x++) {
            int64_t column = windows    ? mega_attention_key(u, x) % W
                             : x < u->N ? x
                                        : u->N + mega_attention_key(u, x);
            mega_put(to, row, column, u->used[mega_attention_at(u, h, x)]);
        }
    }
}

static void put_scores(const struct mega_attention_row *u)
{
    mega_tensor *to = u->c->out[MEGA_ATTENTION_SCORES];
    for (int64_t h = 0; h < u->n.H; h++)
        for (int64_t x = 0; x < u->count; x++)
            mega_put(to, (u->b * u->n.H + h) * u->c->rows->T + u->i,
                mega_attention_column(u, x),
                (u->a->full ? u->near : u->raw)[mega_attention_at(u, h, x)]);
}

/* what is said of a query as a whole */
static void put_numbers(const struct mega_attention_row *u)
{
    mega_tensor *log_sum = u->c->out[MEGA_ATTENTION_LOG_SUM],
                *peak = u->c->out[MEGA_ATTENTION_PEAK];
    int64_t row = u->b * u->c->rows->T + u->i;
    bool takes = mega_rows_real(u->c->rows, u->b, u->i);
    for (int64_t h = 0; h < u->n.H; h++) {
        double most = -INFINITY;
        for (int64_t x = 0; takes && x < u->count; x++)
            if (u->sees[mega_attention_at(u, h, x)] != 0)
                most = fmax(most, u->s[mega_attention_at(u, h, x)]);
        if (peak) mega_put(peak, row, h, most > -INFINITY ? most : 0);
        if (log_sum) mega_put(log_sum, row, h, mega_attention_log_sum(u, h));
    }
}

static void query_forward(struct mega_attention_row *u)
{
    mega_attention_weights(u);
    for (int64_t h = 0; h < u->n.H; h++)
        for (int64_t e = 0; e < u->n.dv; e++) {
            double o = 0;
            for (int64_t x = 0; x < u->count; x++) {
                double w = u->used[mega_attention_at(u, h, x)];
                if (w != 0) o += w * mega_attention_element(u, V, h, x, e);
            }
            mega_put(u->c->out[O], u->b * u->c->rows->T + u->i, h * u->n.dv + e, o);
        }
    if (u->c->out[MEGA_ATTENTION_WEIGHTS]) put_weights(u);
    if (u->c->out[MEGA_ATTENTION_SCORES]) put_scores(u);
    put_numbers(u);
}

void mega_attention_forward(const struct mega_call *c)
{
    struct mega_attention_columns of_b = { 0 };
    double *room = row_room(c);
    for (int i = MEGA_ATTENTION_WEIGHTS; i < MEGA_ATTENTION_OUTPUTS; i++)
        if (c->out[i]) mega_tensor_zero(c->out[i]);
    for (int64_t b = 0; b < c->rows->B; b++) {
        begin_columns(c, &of_b, b, room);
        for (int64_t i = 0; i < c->rows->T; i++) {
            struct mega_attention_row u = row_of(c, &of_b, b, i, room);
            query_forward(&u);
        }
        if (c->out[MEGA_ATTENTION_FADED])
            put_faded(c, b, of_b.faded + c->rows->T * mega_attention_columns(c));
    }
}

/* ---- backward ---- */

/* weights of a query, and d of f */
static void begin_back(
    struct mega_attention_row *u, const struct mega_grads *g, struct mega_attention_slopes *to)
{
    int64_t row = u->b * u->c->rows->T + u->i;
    mega_attention_weights(u);
    for (int64_t h = 0; h < u->n.H; h++)
        for (int64_t x = 0; x < u->count; x++) {
            double *d = &u->d[mega_attention_at(u, h, x)],
                   w = u->used[mega_attention_at(u, h, x)];
            *d = 0;
            for (int64_t e = 0; e < u->n.dv; e++) {
                double o = mega_grad_out(g, O, row, h * u->n.dv + e);
                *d += o * mega_attention_element(u, V, h, x, e);
                if (w != 0) mega_attention_element_add(u, to, V, h, x, e, w * o);
            }
        }
    mega_attention_mix_back(u, to);
}

/* inverted: what each key's softmax over the queries of row b loses */
static void begin_lost(const struct mega_call *c, const struct mega_grads *g,
    struct mega_attention_columns *of_b, int64_t b, double *room)
{
    int64_t n = mega_heads_of(c).H * mega_attention_columns(c);
    struct mega_attention_slopes none = { { 0 } };
    if (!of_b->lost) of_b->lost = numbers(c, n, 0);
    for (int64_t i = 0; i < n; i++) of_b->lost[i] = 0;
    for (int64_t i = 0; i < c->rows->T; i++) {
        struct mega_attention_row u = row_of(c, of_b, b, i, room);
        begin_back(&u, g, &none);
        mega_attention_lose(&u);
    }
}

static void give(const struct mega_call *c, struct mega_grads *g, int i, const double *slope)
{
    int64_t width = mega_width(c->in[i]);
    for (int64_t r = 0; r < mega_height(c->in[i]); r++)
        for (int64_t x = 0; x < width; x++) mega_grad_add(g, i, r, x, slope[r * width + x]);
}

void mega_attention_backward(const struct mega_call *c, struct mega_grads *g)
{
    struct mega_attention_columns of_b = { 0 };
    struct mega_attention_slopes to = { { 0 } };
    double *room = row_room(c);
    mega_grads_begin(g);
    for (int i = 0; i < MEGA_ATTENTION_INPUTS; i++)
        if (g->in[i]) to.in[i] = numbers(c, mega_count(c->in[i]), 0);
    if (selective(c)) of_b.later = numbers(c, mega_attention_columns(c), 0);
    for (int64_t b = 0; b < c->rows->B; b++) {
        begin_columns(c, &of_b, b, room);
        if (inverted(c)) begin_lost(c, g, &of_b, b, room);
        for (int64_t x = 0; of_b.later && x < mega_attention_columns(c); x++) of_b.later[x] = 0;
        for (int64_t i = c->rows->T - 1; i >= 0; i--) {
            struct mega_attention_row u = row_of(c, &of_b, b, i, room);
            begin_back(&u, g, &to);
            mega_attention_weights_back(&u, g->out[MEGA_ATTENTION_LOG_SUM], &to);
            mega_attention_scores_back(&u, g->out[MEGA_ATTENTION_SCORES], &to);
        }
    }
    for (int i = 0; i < MEGA_ATTENTION_INPUTS; i++)
        if (to.in[i]) give(c, g, i, to.in[i]);
}
