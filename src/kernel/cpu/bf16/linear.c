/* linear on products of bfloat16: y = act(x w^T + b) in blocks of rows, w rounded and packed
 * once a call. Sums are float32; x and dy are read as they lie.
 *
 * Kept for the backward pass: x w^T, where the derivative of act needs it; relu reads its own
 * output. With d = dy act'(x w^T + b), rounded,
 *
 *   dx = d w,  dw = d^T x,  db = sums of d over rows.
 *
 * Groups of rows are lanes, each with dw and db of its own, summed in order. Where these would
 * not stay in a core's cache, rows are joined first, some thousand at a time, and lanes take
 * rows of dw. */
#include "kernel/cpu/pairs.h"
#include "kernel/cpu/rows.h"
#include "op/contracts.h"

enum { X = MEGA_LINEAR_X, W = MEGA_LINEAR_W, B = MEGA_LINEAR_B };

enum {
    FEW_ROWS = 8,          /* up to so many, packing w costs more than it saves */
    COLUMNS = 128,         /* of dw for a lane that sums over groups */
    MOST_GROUPS = 16,      /* of rows */
    MOST_PART = 256 << 10, /* numbers of a group's dw, which should stay in a core's cache */
    MOST_ROWS = 2048,      /* that are joined together, where it would not */
    PAIRS = 64             /* of a step along them */
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
    char *parts;                 /* [groups]: dw [N, K], then db [N] */
    int64_t start, end;          /* rows that are joined */
    struct mega_pair_right d, x; /* these rows, [pairs, N] and [pairs, K] */
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

static void forward_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    const struct pass *s = arg;
    const struct mega_call *c = s->c;
    int64_t row = lane * s->block, m = least(s->rows - row, s->block);
    struct mega_matrix y = mega_matrix_scratch(scratch, m, s->N);
    s->p->multiply(
        m, s->N, s->K / 2, along(mega_row(c->in[X], row), c->in[X]->stride), s->w, y, false);
    for (int64_t r = 0; r < m; r++) {
        float *at = mega_matrix_row(y, r);
        if (c->saved[0]) s->f->narrow(mega_row(c->saved[0], row + r), at, s->N);
        s->f->act(act_of(c), at, at, bias_of(c), s->N);
        s->f->narrow(mega_row(c->out[0], row + r), at, s->N);
    }
}

static void forward(const struct mega_call *c)
{
    struct pass s = pass_of(c);
    pack_w(&s, true);
    mega_lanes(c->work, pieces(s.rows, s.block), lanes_cost(&s), forward_lane, &s);
}

/* ---- backward ---- */

static size_t part_bytes(const struct pass *s)
{
    return mega_matrix_bytes(s->N + 1, s->K) + mega_matrix_bytes(1, s->N);
}

/* a group's dw; its db stands in the row behind */
static struct mega_matrix part(const struct pass *s, int64_t group)
{
    return mega_matrix_over(s->parts + (size_t)group * part_bytes(s), s->K);
}

/* d of m rows; dy itself where act has no slope */
static const uint16_t *inner_gradient(
    const struct pass *s, int64_t row, int64_t m, int64_t *stride, struct mega_arena *scratch)
{
    const struct mega_call *c = s->c;
    const mega_tensor *dy = s->g->out[0], *inner = c->saved[0] ? c->saved[0] : c->out[0];
    *stride = dy->stride;
    if (act_of(c) == MEGA_ACT_LINEAR) return mega_row(dy, row);
    *stride = s->N;
    uint16_t *d = mega_arena_get(scratch, (size_t)(m * s->N) * sizeof *d);
    float *a = mega_arena_get(scratch, 2 * (size_t)s->N * sizeof *a), *b = a + s->N;
    for (int64_t r = 0; r < m; r++) {
        s->f->widen(a, mega_row(dy, row + r), s->N);
        s->f->widen(b, mega_row(inner, row + r), s->N);
        s->f->act_slope(act_of(c), a, a, b, c->saved[0] ? bias_of(c) : NULL, s->N);
        s->f->narrow(d + r * s->N, a, s->N);
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

static void add_to_sums(const struct pass *s, int64_t row, int64_t m, const uint16_t *d,
    int64_t stride, struct mega_matrix dw, bool add, struct mega_arena *scratch)
{
    static const uint16_t ones[2] = { 0x3F80, 0x3F80 };
    const mega_tensor *x = s->c->in[X];
    struct mega_pair_right joined = over_rows(s, d, stride, m, s->N, scratch);
    struct mega_matrix db = { mega_matrix_row(dw, s->N), s->N };
    s->p->multiply(
        1, s->N, pieces(m, 2), (struct mega_pair_left){ ones, 0, 0 }, joined, db, add);
    if (!s->g->in[W]) return;
    struct mega_pair_left turned = { joined.at, 2, joined.row };
    s->p->multiply(s->N, s->K, pieces(m, 2), turned,
        over_rows(s, mega_row(x, row), x->stride, m, s->K, scratch), dw, add);
}

/* a group of rows: dx, and this group's share of dw and db */
static void group_lane(void *arg, int64_t group, struct mega_arena *scratch)
{
    const struct pass *s = arg;
    int64_t start = s->rows * group / s->groups, end = s->rows * (group + 1) / s->groups;
    for (int64_t row = start, m, stride; row < end; row += m) {
        m = least(end - row, s->block);
        const uint16_t *d = inner_gradient(s, row, m, &stride, scratch);
        input_gradient(s, row, m, d, stride, scratch);
        if (s->g->in[W] || s->g->in[B])
            add_to_sums(s, row, m, d, stride, part(s, group), row > start, scratch);
        mega_arena_release(scratch, 0);
    }
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

static void backward_groups(struct pass *s)
{
    const struct mega_call *c = s->c;
    /* then a group's dw is no larger than its d */
    s->groups = least(s->rows / (s->K > 2 * s->block ? s->K : 2 * s->block), MOST_GROUPS);
    if (s->groups < 1) s->groups = 1;
    s->parts = mega_scratch(c->work, (size_t)s->groups * part_bytes(s));
    mega_lanes(c->work, s->groups, 2 * lanes_cost(s), group_lane, s);
    if (s->g->in[W])
        mega_lanes(c->work, pieces(s->N, COLUMNS), (double)(s->groups * s->N * s->K) / 8,
            total_lane, s);
    if (s->g->in[B]) total(s, B, s->g->in[B]->data, s->N, s->N);
}

/* ---- backward, dw larger than a core's cache ---- */

/* room for all rows of [rows, n], joined by blocks of rows */
static struct mega_pair_right joined_room(const struct pass *s, int64_t rows, int64_t n)
{
    int64_t columns = mega_pair_columns(s->p, n), whole = pieces(n, s->p->lanes) * s->p->lanes,
            pairs = pieces(rows, s->block) * pieces(s->block, 2);
    uint16_t *at = mega_scratch(s->c->work, (size_t)(pairs * 2 * whole) * sizeof *at);
    return (struct mega_pair_right){ at, 2 * whole, 2 * columns, columns };
}

static void join(const struct pass *s, struct mega_pair_right to, int64_t pair,
    const uint16_t *at, int64_t stride, int64_t m, int64_t n)
{
    s->p->join((uint16_t *)(uintptr_t)to.at + pair * to.row, to.row, at, stride, m, n);
}

/* a block of rows: dx, and d and x joined */
static void join_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    const struct pass *s = arg;
    const mega_tensor *x = s->c->in[X];
    int64_t row = s->start + lane * s->block, m = least(s->end - row, s->block), stride,
            pair = lane * pieces(s->block, 2);
    const uint16_t *d = inner_gradient(s, row, m, &stride, scratch);
    input_gradient(s, row, m, d, stride, scratch);
    join(s, s->d, pair, d, stride, m, s->N);
    if (s->g->in[W]) join(s, s->x, pair, mega_row(x, row), x->stride, m, s->K);
}

/* some columns of d: these rows of dw and db, (+)= over all that is joined */
static void sum_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    (void)scratch;
    static const uint16_t ones[2] = { 0x3F80, 0x3F80 };
    const struct pass *s = arg;
    struct mega_grads *g = s->g;
    int64_t n = lane * COLUMNS, count = least(s->N - n, COLUMNS),
            last = (s->end - s->start - 1) / s->block, /* the last block */
        pairs = last * pieces(s->block, 2) + pieces(s->end - s->start - last * s->block, 2),
            columns = mega_pair_columns(s->p, count);
    int64_t step = s->c->work->tile ? s->c->work->tile : PAIRS;
    for (int64_t pair = 0; pair < pairs; pair += step) {
        int64_t some = least(pairs - pair, step);
        const uint16_t *d = s->d.at + pair * s->d.row + 2 * n;
        bool later = s->start || pair;
        if (g->in[B])
            s->p->multiply(1, count, some, (struct mega_pair_left){ ones, 0, 0 },
                (struct mega_pair_right){ d, s->d.row, 2 * columns, columns },
                (struct mega_matrix){ (float *)g->in[B]->data + n, count },
                later || g->add >> B & 1);
        if (!g->in[W]) continue;
        struct mega_pair_right x = s->x;
        x.at += pair * x.row;
        s->p->multiply(count, s->K, some, (struct mega_pair_left){ d, 2, s->d.row }, x,
            (struct mega_matrix){ mega_row(g->in[W], n), g->in[W]->stride },
            later || g->add >> W & 1);
    }
}

static void backward_joined(struct pass *s)
{
    const struct mega_call *c = s->c;
    int64_t rows = c->work->tile ? 3 * s->block : MOST_ROWS,
            most = s->block < rows ? rows / s->block * s->block : s->block;
    s->d = joined_room(s, least(s->rows, most), s->N);
    s->x = joined_room(s, least(s->rows, most), s->K);
    for (s->start = 0; s->start < s->rows; s->start = s->end) {
        s->end = least(s->rows, s->start + most);
        double share = (double)(s->end - s->start) / (double)s->rows;
        mega_lanes(
            c->work, pieces(s->end - s->start, s->block), share * lanes_cost(s), join_lane, s);
        if (s->g->in[W] || s->g->in[B])
            mega_lanes(c->work, pieces(s->N, COLUMNS), share * lanes_cost(s), sum_lane, s);
    }
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
    /* small tiles ask for all that large sizes lead to */
    int64_t most = c->work->tile ? 8 * c->work->tile : MOST_PART;
    (s.N * s.K <= most ? backward_groups : backward_joined)(&s);
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
