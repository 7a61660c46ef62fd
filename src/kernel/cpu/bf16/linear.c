/* linear on products of bfloat16: y = act(x w^T + b) in blocks of rows, w rounded and packed
 * once a call. Sums are float32; x and dy are read as they lie.
 *
 * Kept for the backward pass: x w^T, where the derivative of act needs it; relu reads its own
 * output. With d = dy act'(x w^T + b), rounded,
 *
 *   dx = d w,  dw = d^T x,  db = sums of d over rows.
 *
 * Groups of rows are lanes, each with dw and db of its own, summed in order. Weights too large
 * for such sums: lanes are rows for dx, then columns of d for dw and db. */
#include "kernel/cpu/pairs.h"
#include "kernel/cpu/rows.h"
#include "op/contracts.h"

enum { X = MEGA_LINEAR_X, W = MEGA_LINEAR_W, B = MEGA_LINEAR_B };

enum {
    FEW_ROWS = 8,           /* up to so many, packing w costs more than it saves */
    COLUMNS = 256,          /* of y that are finished while they lie in cache; of d for a lane
                               that sums over groups, or over all rows */
    MOST_GROUPS = 16,       /* of rows */
    LEAST_GROUPS = 4,       /* or the lanes are too few */
    SMALL_PART = 256 << 10, /* numbers of a group's dw that stays in a core's cache */
    MOST_PARTS = 8 << 20    /* numbers of all groups' dw, where one is larger than that */
};

static int64_t pieces(int64_t n, int64_t size)
{
    return (n + size - 1) / size;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static enum mega_act act_of(const struct mega_call *c)
{
    return ((const struct mega_attr_linear *)c->attr)->act;
}

static const float *bias_of(const struct mega_call *c)
{
    return c->in[B] ? c->in[B]->data : NULL;
}

static bool accepts(const struct mega_call *c, const char **why)
{
    *why = "no instructions for products of bfloat16";
    if (!mega_pairs()) return false;
    *why = "bfloat16 activations only, float32 parameters";
    if (c->in[X]->dtype != MEGA_BF16 || c->out[0]->dtype != MEGA_BF16 ||
        c->in[W]->dtype != MEGA_F32 || (c->in[B] && c->in[B]->dtype != MEGA_F32))
        return false;
    *why = "odd widths";
    if (c->in[W]->dim[0] % 2 || c->in[W]->dim[1] % 2) return false;
    *why = "few rows";
    return mega_height(c->in[X]) > FEW_ROWS;
}

static void keep(const struct mega_call *c, mega_tensor saved[MEGA_SAVED])
{
    if (act_of(c) != MEGA_ACT_LINEAR && act_of(c) != MEGA_ACT_RELU)
        saved[0] =
            mega_shaped(MEGA_BF16, 2, mega_height(c->in[X]), mega_width(c->out[0]), 0, 0);
}

/* ---- both ways ---- */

struct pass {
    const struct mega_call *c;
    struct mega_grads *g;
    const struct mega_pairs *p;
    const struct mega_cpu_rows *f;
    int64_t rows, N, K, block;
    struct mega_pair_right w; /* w^T [K, N] forward, w [N, K] backward */
    int64_t groups;
    char *parts; /* [groups]: dw [N, K], then db [N] */
};

static struct pass pass_of(const struct mega_call *c)
{
    return (struct pass){ .c = c,
        .p = mega_pairs(),
        .f = mega_cpu_rows(MEGA_ISA_AVX512),
        .rows = mega_height(c->in[X]),
        .N = c->in[W]->dim[0],
        .K = c->in[W]->dim[1],
        .block = c->work->tile ? c->work->tile : 128 };
}

static uint16_t *number_at(const mega_tensor *t, int64_t row, int64_t column)
{
    return (uint16_t *)mega_row(t, row) + column;
}

/* rows of a tensor, as a left operand summed along them */
static struct mega_pair_left along(const void *at, int64_t stride)
{
    return (struct mega_pair_left){ at, stride, 2 };
}

/* w as the pass reads it */
static void pack_w(struct pass *s, bool turned)
{
    struct mega_operand w = { mega_matrix_of(s->c->in[W], 0, 0), turned };
    s->w = mega_pairs_pack(s->p, s->c->work, w, turned ? s->K : s->N, turned ? s->N : s->K);
}

static double lanes_cost(const struct pass *s)
{
    return (double)s->rows * (double)(s->N * s->K) / 16;
}

/* ---- forward ---- */

/* n columns of x w^T in one row, at `y`, have come */
static void finish(const struct pass *s, int64_t row, int64_t column, int64_t n, float *y)
{
    const struct mega_call *c = s->c;
    const float *bias = bias_of(c);
    if (c->saved[0]) s->f->narrow(number_at(c->saved[0], row, column), y, n);
    s->f->act(act_of(c), y, y, bias ? bias + column : NULL, n);
    s->f->narrow(number_at(c->out[0], row, column), y, n);
}

static void forward_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    const struct pass *s = arg;
    const struct mega_call *c = s->c;
    int64_t row = lane * s->block, m = least(s->rows - row, s->block);
    struct mega_matrix y = mega_matrix_scratch(scratch, m, COLUMNS);
    struct mega_pair_left x = along(mega_row(c->in[X], row), c->in[X]->stride);
    struct mega_pair_right w = s->w;
    int64_t panels = COLUMNS / w.columns, step = panels * w.columns;
    for (int64_t column = 0; column < s->N; column += step, w.at += panels * w.panel) {
        int64_t n = least(s->N - column, step);
        s->p->multiply(m, n, s->K / 2, x, w, y, false);
        for (int64_t r = 0; r < m; r++) finish(s, row + r, column, n, mega_matrix_row(y, r));
    }
}

static void forward(const struct mega_call *c)
{
    struct pass s = pass_of(c);
    pack_w(&s, true);
    mega_lanes(c->work, pieces(s.rows, s.block), lanes_cost(&s), forward_lane, &s);
}

/* ---- backward ---- */

/* where a lane sums dw and db of some columns of d */
struct sums {
    struct mega_matrix dw; /* at NULL: not wanted, as db */
    float *db;
    bool add_w, add_b; /* to what is there */
};

static struct sums sums_in_place(const struct pass *s, int64_t column)
{
    struct mega_grads *g = s->g;
    struct sums sums = { .add_w = g->add >> W & 1, .add_b = g->add >> B & 1 };
    if (g->in[W]) sums.dw = mega_matrix_of(g->in[W], column, 0);
    if (g->in[B]) sums.db = (float *)g->in[B]->data + column;
    return sums;
}

/* n columns of d in m rows; dy itself where act has no slope */
static const uint16_t *inner_gradient(const struct pass *s, int64_t row, int64_t m,
    int64_t column, int64_t n, int64_t *stride, struct mega_arena *scratch)
{
    const struct mega_call *c = s->c;
    const mega_tensor *dy = s->g->out[0], *inner = c->saved[0] ? c->saved[0] : c->out[0];
    const float *bias = c->saved[0] && bias_of(c) ? bias_of(c) + column : NULL;
    *stride = dy->stride;
    if (act_of(c) == MEGA_ACT_LINEAR) return number_at(dy, row, column);
    *stride = n;
    uint16_t *d = mega_arena_get(scratch, (size_t)(m * n) * sizeof *d);
    float *a = mega_arena_get(scratch, 2 * (size_t)n * sizeof *a), *b = a + n;
    for (int64_t r = 0; r < m; r++) {
        s->f->widen(a, number_at(dy, row + r, column), n);
        s->f->widen(b, number_at(inner, row + r, column), n);
        s->f->act_slope(act_of(c), a, a, b, bias, n);
        s->f->narrow(d + r * n, a, n);
    }
    return d;
}

static void input_gradient(const struct pass *s, int64_t row, int64_t m, const uint16_t *d,
    int64_t stride, struct mega_arena *scratch)
{
    mega_tensor *to = s->g->in[X];
    if (!to) return;
    struct mega_matrix dx = mega_matrix_scratch(scratch, m, s->K);
    s->p->multiply(m, s->K, s->N / 2, along(d, stride), s->w, dx, false);
    for (int64_t r = 0; r < m; r++)
        (s->g->add >> X & 1 ? s->f->narrow_add : s->f->narrow)(
            mega_row(to, row + r), mega_matrix_row(dx, r), s->K);
}

/* m rows of n numbers, joined two by two: a right operand summed over rows */
static struct mega_pair_right over_rows(const struct pass *s, const uint16_t *at,
    int64_t stride, int64_t m, int64_t n, struct mega_arena *scratch)
{
    int64_t columns = mega_pair_columns(s->p, n), whole = pieces(n, s->p->lanes) * s->p->lanes;
    uint16_t *to = mega_arena_get(scratch, (size_t)(pieces(m, 2) * 2 * whole) * sizeof *to);
    s->p->join(to, 2 * whole, at, stride, m, n);
    return (struct mega_pair_right){ to, 2 * whole, 2 * columns, columns };
}

static void add_to_sums(const struct pass *s, int64_t row, int64_t m, int64_t n,
    const uint16_t *d, int64_t stride, struct sums *sums, struct mega_arena *scratch)
{
    static const uint16_t ones[2] = { 0x3F80, 0x3F80 };
    if (!sums->dw.at && !sums->db) return;
    struct mega_pair_right joined = over_rows(s, d, stride, m, n, scratch);
    if (sums->db) {
        struct mega_matrix db = { sums->db, n };
        struct mega_pair_left all = { ones, 0, 0 };
        s->p->multiply(1, n, pieces(m, 2), all, joined, db, sums->add_b);
        sums->add_b = true;
    }
    if (sums->dw.at) {
        const mega_tensor *x = s->c->in[X];
        struct mega_pair_left turned = { joined.at, 2, joined.row };
        struct mega_pair_right right =
            over_rows(s, mega_row(x, row), x->stride, m, s->K, scratch);
        s->p->multiply(n, s->K, pieces(m, 2), turned, right, sums->dw, sums->add_w);
        sums->add_w = true;
    }
}

/* rows from ... to - 1: dx, and their part of the sums that are wanted */
static void rows_backward(const struct pass *s, int64_t from, int64_t to, struct sums *sums,
    struct mega_arena *scratch)
{
    for (int64_t row = from, m, stride; row < to; row += m) {
        m = least(to - row, s->block);
        mega_arena_release(scratch, 0);
        const uint16_t *d = inner_gradient(s, row, m, 0, s->N, &stride, scratch);
        input_gradient(s, row, m, d, stride, scratch);
        add_to_sums(s, row, m, s->N, d, stride, sums, scratch);
    }
}

/* ---- groups of rows ---- */

/* 1: none */
static int64_t groups_of(const struct pass *s)
{
    int64_t weights = s->N * s->K;
    /* then a group's dw is no larger than its d */
    int64_t n = least(s->rows / (s->K > 2 * s->block ? s->K : 2 * s->block), MOST_GROUPS);
    if (weights <= SMALL_PART) return n;
    n = least(n, MOST_PARTS / weights);
    return n < LEAST_GROUPS ? 1 : n;
}

static size_t part_bytes(const struct pass *s)
{
    return mega_matrix_bytes(s->N + 1, s->K) + mega_matrix_bytes(1, s->N);
}

/* a group's dw; its db stands in the row behind */
static struct mega_matrix part(const struct pass *s, int64_t group)
{
    return mega_matrix_over(s->parts + (size_t)group * part_bytes(s), s->K);
}

static void group_lane(void *arg, int64_t group, struct mega_arena *scratch)
{
    const struct pass *s = arg;
    struct mega_matrix dw = part(s, group);
    struct sums sums = { .dw = dw, .db = mega_matrix_row(dw, s->N) };
    if (!s->g->in[W]) sums.dw.at = NULL;
    if (!s->g->in[B]) sums.db = NULL;
    rows_backward(
        s, s->rows * group / s->groups, s->rows * (group + 1) / s->groups, &sums, scratch);
}

/* to (+)= the groups' shares of n numbers of row r, in order */
static void total(const struct pass *s, int i, float *to, int64_t r, int64_t n)
{
    if (!(s->g->add >> i & 1)) memset(to, 0, (size_t)n * sizeof *to);
    for (int64_t k = 0; k < s->groups; k++)
        s->f->add_scaled(to, mega_matrix_row(part(s, k), r), 1, n);
}

static void total_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    (void)scratch;
    const struct pass *s = arg;
    int64_t end = least(s->N, (lane + 1) * COLUMNS);
    for (int64_t n = lane * COLUMNS; n < end; n++)
        total(s, W, mega_row(s->g->in[W], n), n, s->K);
}

static void by_groups(struct pass *s)
{
    struct mega_grads *g = s->g;
    s->parts = mega_scratch(s->c->work, (size_t)s->groups * part_bytes(s));
    mega_lanes(s->c->work, s->groups, 2 * lanes_cost(s), group_lane, s);
    if (g->in[W])
        mega_lanes(s->c->work, pieces(s->N, COLUMNS), (double)(s->groups * s->N * s->K) / 8,
            total_lane, s);
    if (g->in[B]) total(s, B, g->in[B]->data, s->N, s->N);
}

/* ---- without groups ---- */

static void rows_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    const struct pass *s = arg;
    struct sums none = { 0 };
    int64_t row = lane * s->block;
    rows_backward(s, row, least(s->rows, row + s->block), &none, scratch);
}

/* some columns of d: their rows of dw and db, over all rows */
static void columns_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    const struct pass *s = arg;
    int64_t column = lane * COLUMNS, n = least(s->N - column, COLUMNS);
    struct sums sums = sums_in_place(s, column);
    for (int64_t row = 0, m, stride; row < s->rows; row += m) {
        m = least(s->rows - row, s->block);
        mega_arena_release(scratch, 0);
        const uint16_t *d = inner_gradient(s, row, m, column, n, &stride, scratch);
        add_to_sums(s, row, m, n, d, stride, &sums, scratch);
    }
}

static void by_columns(struct pass *s)
{
    double cost = lanes_cost(s);
    if (s->g->in[X]) mega_lanes(s->c->work, pieces(s->rows, s->block), cost, rows_lane, s);
    if (s->g->in[W] || s->g->in[B])
        mega_lanes(s->c->work, pieces(s->N, COLUMNS), cost, columns_lane, s);
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    struct pass s = pass_of(c);
    s.g = g;
    if (!g->out[0]) {
        mega_grads_begin(g);
        return;
    }
    pack_w(&s, false);
    s.groups = groups_of(&s);
    if (c->work->shelf) {
        /* a part of a call: the caller sums over all of them */
        struct sums sums = sums_in_place(&s, 0);
        rows_backward(&s, 0, s.rows, &sums, &c->work->scratch[0]);
    } else if (s.groups > 1) {
        by_groups(&s);
    } else {
        by_columns(&s);
    }
}

extern const struct mega_kernel mega_bf16_linear;
const struct mega_kernel mega_bf16_linear = {
    .name = "bf16",
    .accepts = accepts,
    .keep = keep,
    .forward = forward,
    .backward = backward,
    .reads_out = true,
};
