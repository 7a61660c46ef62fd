/* linear: y = act(x w^T + b) in blocks of rows, a product and one pass over it while
 * it lies in cache; w is packed once a call. A few rows, as in decoding, are dot products.
 *
 * Kept for the backward pass: x w^T where the derivative of act needs it; relu reads its own
 * output. With d = dy act'(x w^T + b), block by block in scratch,
 *
 *   dx = d w,  dw = d^T x,  db = sums of d over rows.
 *
 * Groups of rows are lanes, each with dw and db of its own, summed in order. Few rows, or
 * weights too large for such sums: lanes are rows for dx, then columns of d for dw and db. */
#include "kernel/cpu/isa/blocks.h"

enum { X = MEGA_LINEAR_X, W = MEGA_LINEAR_W, B = MEGA_LINEAR_B };

enum {
    FEW_ROWS = 8,           /* up to so many, packing w costs more than it saves */
    FEW_COLUMNS = 64,       /* of y for a lane of few rows */
    COLUMNS = 256,          /* of y that are finished while they lie in cache; of d for a lane
                               that sums over all rows */
    WORTH_PACKING = 1024,   /* columns of d, for which x is packed */
    MOST_GROUPS = 16,       /* of rows */
    LEAST_GROUPS = 4,       /* or the lanes are too few */
    SMALL_PART = 256 << 10, /* floats of a group's dw that stays in a core's cache */
    MOST_PART = 768 << 10,  /* that stays near */
    MOST_PARTS = 8 << 20    /* floats of all groups' dw, where one is larger than SMALL_PART */
};

static enum mega_act act_of(const struct mega_call *c)
{
    return ((const struct mega_attr_linear *)c->attr)->act;
}

static float *bias_of(const struct mega_call *c, int64_t column)
{
    return c->in[B] ? (float *)c->in[B]->data + column : NULL;
}

static bool accepts(const struct mega_call *c, const char **why)
{
    if (!blocks_accept(c, 1, why)) return false;
    *why = "few rows of bfloat16";
    return !is_half(c) || mega_height(c->in[X]) > FEW_ROWS;
}

static void keep(const struct mega_call *c, mega_tensor saved[MEGA_SAVED])
{
    if (act_of(c) != MEGA_ACT_LINEAR && act_of(c) != MEGA_ACT_RELU)
        saved[0] = mega_shaped(
            c->out[0]->dtype, 2, mega_height(c->in[X]), mega_width(c->out[0]), 0, 0);
}

/* scalar operations, as mega_lanes counts them: vectors do eight at a time */
static double lanes_cost(const struct mega_call *c)
{
    return (double)mega_height(c->in[X]) * (double)mega_count(c->in[W]) / 8;
}

/* ---- forward ---- */

struct forward {
    const struct mega_call *c;
    struct mega_right w; /* w^T [K, N] */
};

/* x w^T in rows row ... row+m-1 and n columns has come: now y */
static void finish(const struct mega_call *c, int64_t row, int64_t m, int64_t column, int64_t n)
{
    if (act_of(c) == MEGA_ACT_LINEAR && !c->in[B]) return;
    struct mega_matrix y = mega_matrix_of(c->out[0], row, column);
    struct mega_matrix inner = c->saved[0] ? mega_matrix_of(c->saved[0], row, column) : y;
    for (int64_t r = 0; r < m; r++)
        row_functions->act(
            act_of(c), mega_matrix_row(y, r), mega_matrix_row(inner, r), bias_of(c, column), n);
}

static const mega_tensor *inner_of(const struct mega_call *c)
{
    return c->saved[0] ? c->saved[0] : c->out[0];
}

static void rows_forward(void *arg, int64_t lane, struct mega_arena *scratch)
{
    const struct forward *s = arg;
    int64_t block = block_rows(s->c), row = lane * block,
            m = least(mega_height(s->c->in[X]) - row, block), N = s->c->in[W]->dim[0];
    struct block_view v;
    block_open(&v, s->c, NULL, row, m, scratch);
    const struct mega_call *c = v.c;
    struct mega_left x = mega_left(mega_matrix_of(c->in[X], row, 0));
    struct mega_right w = s->w;
    int64_t panels = COLUMNS / w.columns, step = panels * w.columns;
    for (int64_t column = 0; column < N; column += step, w.at += panels * w.panel) {
        int64_t n = least(N - column, step);
        products->multiply(
            m, n, mega_width(c->in[X]), x, w, mega_matrix_of(inner_of(c), row, column), false);
        finish(c, row, m, column, n);
    }
    block_close(&v);
}

/* some columns of all of a few rows */
static void few_rows_forward(void *arg, int64_t lane, struct mega_arena *scratch)
{
    (void)scratch;
    const struct mega_call *c = ((const struct forward *)arg)->c;
    int64_t rows = mega_height(c->in[X]), column = lane * FEW_COLUMNS;
    int64_t n = least(c->in[W]->dim[0] - column, FEW_COLUMNS);
    products->few(rows, n, mega_width(c->in[X]), mega_matrix_of(c->in[X], 0, 0),
        mega_matrix_of(c->in[W], column, 0), mega_matrix_of(inner_of(c), 0, column));
    finish(c, 0, rows, column, n);
}

static void forward(const struct mega_call *c)
{
    struct forward s = { .c = c };
    int64_t rows = mega_height(c->in[X]), N = c->in[W]->dim[0], K = mega_width(c->in[X]);
    /* a part of a call may have few rows where the call has not */
    if (rows <= FEW_ROWS && !is_half(c)) {
        mega_lanes(c->work, pieces(N, FEW_COLUMNS), lanes_cost(c), few_rows_forward, &s);
        return;
    }
    s.w = pack_turned(c->work, mega_matrix_of(c->in[W], 0, 0), K, N);
    mega_lanes(c->work, pieces(rows, block_rows(c)), lanes_cost(c), rows_forward, &s);
}

/* y from x w^T, which is kept */
static void again(const struct mega_call *c)
{
    finish(c, 0, mega_height(c->in[X]), 0, c->in[W]->dim[0]);
}

/* ---- backward ---- */

struct backward {
    const struct mega_call *c;
    struct mega_grads *g;
    int64_t rows, N, K, block;
    struct mega_right w; /* w [N, K] */
    int64_t groups;      /* of rows */
    char *parts;         /* [groups]: dw [N, K], then db [N] */
    float *packed;       /* x, block after block, each as a right operand; NULL: not so */
};

/* where a lane sums dw and db of some columns of d */
struct sums {
    struct mega_matrix dw; /* at NULL: not wanted, as db */
    float *db;
    bool add_w, add_b; /* to what is there */
};

/* d in rows row ... row+m-1 and n columns; in scratch, if it is not dy itself */
static struct mega_matrix inner_gradient(const struct backward *s, int64_t row, int64_t m,
    int64_t column, int64_t n, struct mega_arena *scratch)
{
    const struct mega_call *c = s->c;
    struct mega_matrix dy = mega_matrix_of(s->g->out[0], row, column);
    if (act_of(c) == MEGA_ACT_LINEAR) return dy;
    struct mega_matrix inner = mega_matrix_of(inner_of(c), row, column);
    struct mega_matrix d = mega_matrix_scratch(scratch, m, n);
    const float *bias = c->saved[0] ? bias_of(c, column) : NULL;
    for (int64_t r = 0; r < m; r++)
        row_functions->act_slope(act_of(c), mega_matrix_row(d, r), mega_matrix_row(dy, r),
            mega_matrix_row(inner, r), bias, n);
    return d;
}

static void input_gradient(
    const struct backward *s, int64_t row, int64_t m, struct mega_matrix d)
{
    if (s->g->in[X])
        products->multiply(m, s->K, s->N, mega_left(d), s->w,
            mega_matrix_of(s->g->in[X], row, 0), s->g->add >> X & 1);
}

/* x in rows row ... row+m-1, a right operand for n columns of d */
static struct mega_right inputs_of(
    const struct backward *s, int64_t row, int64_t m, int64_t n, struct mega_arena *scratch)
{
    if (s->packed) {
        float *at = s->packed + mega_packed_size(products, row, s->K);
        int64_t columns = mega_panel_columns(products, s->K);
        return (struct mega_right){ at, columns, columns * m, columns };
    }
    struct mega_matrix x = mega_matrix_of(s->c->in[X], row, 0);
    return n >= WORTH_PACKING ? right_packed(scratch, x, m, s->K)
                              : right_of(scratch, x, m, s->K);
}

static void add_to_sums(const struct backward *s, int64_t row, int64_t m, int64_t n,
    struct mega_matrix d, struct sums *sums, struct mega_arena *scratch)
{
    if (sums->dw.at) {
        struct mega_right x = inputs_of(s, row, m, n, scratch);
        products->multiply(n, s->K, m, mega_left_turned(d), x, sums->dw, sums->add_w);
        sums->add_w = true;
    }
    if (!sums->db) return;
    if (!sums->add_b) memset(sums->db, 0, (size_t)n * sizeof *sums->db);
    sums->add_b = true;
    row_functions->add_rows(sums->db, d.at, d.stride, m, n);
}

/* a block of rows: dx, and its part of the sums that are wanted */
static void block_backward(const struct backward *s, int64_t row, int64_t m, struct sums *sums,
    struct mega_arena *scratch)
{
    struct block_view v;
    struct backward part = *s;
    block_open(&v, s->c, s->g, row, m, scratch);
    part.c = v.c;
    part.g = v.g;
    struct mega_matrix d = inner_gradient(&part, row, m, 0, s->N, scratch);
    input_gradient(&part, row, m, d);
    add_to_sums(&part, row, m, s->N, d, sums, scratch);
    block_close(&v);
}

static void rows_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    const struct backward *s = arg;
    struct sums none = { 0 };
    int64_t row = lane * s->block;
    block_backward(s, row, least(s->rows - row, s->block), &none, scratch);
}

/* some columns of d: their rows of dw and db, over all rows */
static void columns_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    const struct backward *s = arg;
    struct mega_grads *g = s->g;
    int64_t column = lane * COLUMNS, n = least(s->N - column, COLUMNS);
    struct sums sums = { .add_w = g->add >> W & 1, .add_b = g->add >> B & 1 };
    if (g->in[W]) sums.dw = mega_matrix_of(g->in[W], column, 0);
    if (g->in[B]) sums.db = (float *)g->in[B]->data + column;
    struct mega_grads without_x = *g;
    without_x.in[X] = NULL; /* other lanes write it */
    for (int64_t row = 0; row < s->rows; row += s->block) {
        int64_t m = least(s->rows - row, s->block);
        struct block_view v;
        struct backward part = *s;
        block_open(&v, s->c, &without_x, row, m, scratch);
        part.c = v.c;
        part.g = v.g;
        struct mega_matrix d = inner_gradient(&part, row, m, column, n, scratch);
        add_to_sums(&part, row, m, n, d, &sums, scratch);
        mega_arena_release(scratch, 0);
    }
}

static void pack_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    (void)scratch;
    const struct backward *s = arg;
    int64_t row = lane * s->block, m = least(s->rows - row, s->block);
    mega_right_packed(products, s->packed + mega_packed_size(products, row, s->K),
        mega_matrix_of(s->c->in[X], row, 0), m, s->K);
}

/* x once for all lanes of columns */
static void pack_inputs(struct backward *s)
{
    size_t bytes = (size_t)mega_packed_size(products, s->rows, s->K) * sizeof(float);
    s->packed = mega_scratch(s->c->work, bytes);
    mega_lanes(s->c->work, pieces(s->rows, s->block), (double)bytes / 8, pack_lane, s);
}

static void by_columns(struct backward *s)
{
    double cost = lanes_cost(s->c);
    if (s->g->in[W] && s->N > COLUMNS && !is_half(s->c)) pack_inputs(s);
    if (s->g->in[X]) mega_lanes(s->c->work, pieces(s->rows, s->block), cost, rows_lane, s);
    if (s->g->in[W] || s->g->in[B])
        mega_lanes(s->c->work, pieces(s->N, COLUMNS), cost, columns_lane, s);
}

/* all rows in one lane, of a part of a call */
static void by_rows(struct backward *s)
{
    struct mega_grads *g = s->g;
    struct sums sums = { .add_w = g->add >> W & 1, .add_b = g->add >> B & 1 };
    struct mega_arena *scratch = &s->c->work->scratch[0];
    if (g->in[W]) sums.dw = mega_matrix_of(g->in[W], 0, 0);
    if (g->in[B]) sums.db = g->in[B]->data;
    for (int64_t row = 0, m; row < s->rows; row += m) {
        m = least(s->rows - row, s->block);
        mega_arena_release(scratch, 0);
        block_backward(s, row, m, &sums, scratch);
    }
}

static size_t part_bytes(const struct backward *s)
{
    return mega_matrix_bytes(s->N + 1, s->K) + mega_matrix_bytes(1, s->N);
}

static struct sums part(const struct backward *s, int64_t group)
{
    struct mega_matrix dw = mega_matrix_over(s->parts + (size_t)group * part_bytes(s), s->K);
    return (struct sums){ .dw = dw, .db = mega_matrix_row(dw, s->N) };
}

/* a group of rows: dx, and this group's share of dw and db */
static void group_lane(void *arg, int64_t group, struct mega_arena *scratch)
{
    const struct backward *s = arg;
    struct sums sums = part(s, group);
    if (!s->g->in[W]) sums.dw.at = NULL;
    if (!s->g->in[B]) sums.db = NULL;
    int64_t end = s->rows * (group + 1) / s->groups;
    for (int64_t row = s->rows * group / s->groups, m; row < end; row += m) {
        m = least(end - row, s->block);
        block_backward(s, row, m, &sums, scratch);
        mega_arena_release(scratch, 0);
    }
}

static void total(const struct backward *s, float *to, bool add, int64_t offset, int64_t n)
{
    total_groups(to, add, part(s, 0).dw.at + offset, part_bytes(s), s->groups, n);
}

/* some rows of dw: the sums over groups, in order */
static void total_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    (void)scratch;
    const struct backward *s = arg;
    int64_t end = least(s->N, (lane + 1) * COLUMNS);
    for (int64_t n = lane * COLUMNS; n < end; n++)
        total(s, mega_row(s->g->in[W], n), s->g->add >> W & 1, n * part(s, 0).dw.stride, s->K);
}

/* 1: none */
static int64_t groups_of(const struct backward *s)
{
    int64_t weights = s->N * s->K;
    /* then a group's dw is no larger than its d */
    int64_t n = least(s->rows / (s->K > 2 * s->block ? s->K : 2 * s->block), MOST_GROUPS);
    if (weights <= SMALL_PART) return n;
    if (weights > MOST_PART) return 1;
    n = least(n, MOST_PARTS / weights);
    return n < LEAST_GROUPS ? 1 : n;
}

static void by_groups(struct backward *s)
{
    s->parts = mega_scratch(s->c->work, (size_t)s->groups * part_bytes(s));
    mega_lanes(s->c->work, s->groups, 2 * lanes_cost(s->c), group_lane, s);
    if (s->g->in[W])
        mega_lanes(s->c->work, pieces(s->N, COLUMNS), (double)(s->groups * s->N * s->K) / 8,
            total_lane, s);
    if (s->g->in[B])
        total(s, s->g->in[B]->data, s->g->add >> B & 1, s->N * part(s, 0).dw.stride, s->N);
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    struct backward s = { .c = c,
        .g = g,
        .rows = mega_height(c->in[X]),
        .N = c->in[W]->dim[0],
        .K = mega_width(c->in[X]),
        .block = block_rows(c) };
    if (!s.rows || !g->out[0]) {
        mega_grads_begin(g);
        return;
    }
    struct mega_matrix w = mega_matrix_of(c->in[W], 0, 0);
    s.w = s.rows <= FEW_ROWS ? mega_right(products, w, s.K) : pack(c->work, w, s.N, s.K);
    s.groups = groups_of(&s);
    if (is_part(c))
        by_rows(&s);
    else if (s.groups > 1)
        by_groups(&s);
    else
        by_columns(&s);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_linear) = {
    .name = MEGA_ISA_TEXT,
    .accepts = accepts,
    .keep = keep,
    .forward = forward,
    .again = again,
    .backward = backward,
    .reads_out = true,
};
