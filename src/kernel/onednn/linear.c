/* linear in float32: y = act(x w^T + b) in blocks of rows, a product and one pass over it while
 * it lies in cache.
 *
 * Kept for the backward pass: x w^T where the derivative of act needs it; relu reads its own
 * output. With d = dy act'(x w^T + b), block by block in scratch,
 *
 *   dx = d w,  dw = d^T x,  db = sums of d over rows.
 *
 * Many rows: groups of them are lanes, each with dw and db of its own, summed in order. Few
 * rows, or weights too large for that: lanes are rows for dx, then columns of d for dw and db.
 */
#include <string.h>

#include "kernel/cpu/rows.h"
#include "kernel/onednn/gemm.h"

enum { X = MEGA_LINEAR_X, W = MEGA_LINEAR_W, B = MEGA_LINEAR_B };

enum {
    BLOCK = 128,         /* rows of a product: with its operands it stays in a core's cache */
    COLUMNS = 64,        /* of d for a lane that sums over all rows */
    MOST_GROUPS = 16,    /* of rows */
    MOST_PARTS = 1 << 24 /* floats of all groups' dw */
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

static float *bias_of(const struct mega_call *c, int64_t column)
{
    return c->in[B] ? (float *)c->in[B]->data + column : NULL;
}

static bool accepts(const struct mega_call *c, const char **why)
{
    *why = "float32 only";
    return c->in[X]->dtype == MEGA_F32 && c->in[W]->dtype == MEGA_F32 &&
           (!c->in[B] || c->in[B]->dtype == MEGA_F32) && c->out[0]->dtype == MEGA_F32;
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
    const struct mega_cpu_rows *f;
    int64_t columns, across; /* of a lane; lanes side by side */
};

static void forward_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    (void)scratch;
    const struct forward *s = arg;
    const struct mega_call *c = s->c;
    int64_t row = lane / s->across * BLOCK, column = lane % s->across * s->columns;
    int64_t m = least(mega_height(c->in[X]) - row, BLOCK);
    int64_t n = least(c->in[W]->dim[0] - column, s->columns);
    struct mega_matrix y = mega_matrix_of(c->out[0], row, column);
    struct mega_matrix inner = c->saved[0] ? mega_matrix_of(c->saved[0], row, column) : y;
    mega_gemm("NT", m, n, mega_width(c->in[X]), mega_matrix_of(c->in[X], row, 0),
        mega_matrix_of(c->in[W], column, 0), inner, false);
    if (act_of(c) == MEGA_ACT_LINEAR && !c->in[B]) return;
    for (int64_t r = 0; r < m; r++)
        s->f->act(
            act_of(c), mega_matrix_row(y, r), mega_matrix_row(inner, r), bias_of(c, column), n);
}

static void forward(const struct mega_call *c)
{
    int64_t rows = mega_height(c->in[X]), N = c->in[W]->dim[0];
    struct forward s = { .c = c, .f = mega_cpu_rows(mega_isa_here()) };
    /* a few rows are no work for more than one thread unless their columns are shared out */
    s.columns = rows < BLOCK ? 256 : 1024;
    s.across = pieces(N, s.columns);
    mega_lanes(c->work, pieces(rows, BLOCK) * s.across, lanes_cost(c), forward_lane, &s);
}

/* ---- backward ---- */

struct backward {
    const struct mega_call *c;
    struct mega_grads *g;
    const struct mega_cpu_rows *f;
    int64_t rows, N, K;
    struct mega_matrix w;
    int64_t groups; /* of rows */
    char *parts;    /* [groups]: dw [N, K], then db [N] */
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
    const mega_tensor *from = c->saved[0] ? c->saved[0] : c->out[0];
    struct mega_matrix inner = mega_matrix_of(from, row, column);
    struct mega_matrix d = mega_matrix_scratch(scratch, m, n);
    const float *bias = c->saved[0] ? bias_of(c, column) : NULL;
    for (int64_t r = 0; r < m; r++)
        s->f->act_slope(act_of(c), mega_matrix_row(d, r), mega_matrix_row(dy, r),
            mega_matrix_row(inner, r), bias, n);
    return d;
}

static void input_gradient(
    const struct backward *s, int64_t row, int64_t m, struct mega_matrix d)
{
    if (s->g->in[X])
        mega_gemm("NN", m, s->K, s->N, d, s->w, mega_matrix_of(s->g->in[X], row, 0),
            s->g->add >> X & 1);
}

static void add_to_sums(const struct backward *s, int64_t row, int64_t m, int64_t n,
    struct mega_matrix d, struct sums *sums, struct mega_arena *scratch)
{
    if (sums->dw.at) {
        struct mega_matrix x = mega_matrix_of(s->c->in[X], row, 0);
        /* a copy pays where many columns read it */
        if (n >= 64 && mega_matrix_crowded(x)) {
            struct mega_matrix copy = mega_matrix_scratch(scratch, m, s->K);
            mega_matrix_copy(copy, x, m, s->K);
            x = copy;
        }
        mega_gemm("TN", n, s->K, m, d, x, sums->dw, sums->add_w);
        sums->add_w = true;
    }
    if (!sums->db) return;
    if (!sums->add_b) memset(sums->db, 0, (size_t)n * sizeof *sums->db);
    sums->add_b = true;
    for (int64_t r = 0; r < m; r++) s->f->add_scaled(sums->db, mega_matrix_row(d, r), 1, n);
}

/* a block of rows: dx */
static void rows_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    const struct backward *s = arg;
    int64_t row = lane * BLOCK, m = least(s->rows - row, BLOCK);
    input_gradient(s, row, m, inner_gradient(s, row, m, 0, s->N, scratch));
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
    size_t mark = mega_arena_mark(scratch);
    for (int64_t row = 0; row < s->rows; row += BLOCK) {
        int64_t m = least(s->rows - row, BLOCK);
        struct mega_matrix d = inner_gradient(s, row, m, column, n, scratch);
        add_to_sums(s, row, m, n, d, &sums, scratch);
        mega_arena_release(scratch, mark);
    }
}

static void by_columns(struct backward *s)
{
    double cost = lanes_cost(s->c);
    if (s->g->in[X]) mega_lanes(s->c->work, pieces(s->rows, BLOCK), cost, rows_lane, s);
    if (s->g->in[W] || s->g->in[B])
        mega_lanes(s->c->work, pieces(s->N, COLUMNS), cost, columns_lane, s);
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
        m = least(end - row, BLOCK);
        struct mega_matrix d = inner_gradient(s, row, m, 0, s->N, scratch);
        input_gradient(s, row, m, d);
        add_to_sums(s, row, m, s->N, d, &sums, scratch);
        mega_arena_release(scratch, 0);
    }
}

static void total(const struct backward *s, float *to, bool add, int64_t offset, int64_t n)
{
    if (!add) memset(to, 0, (size_t)n * sizeof *to);
    for (int64_t i = 0; i < s->groups; i++)
        s->f->add_scaled(to, part(s, i).dw.at + offset, 1, n);
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
        .f = mega_cpu_rows(mega_isa_here()),
        .rows = mega_height(c->in[X]),
        .N = c->in[W]->dim[0],
        .K = mega_width(c->in[X]),
        .w = mega_matrix_of(c->in[W], 0, 0) };
    if (!s.rows || !g->out[0]) {
        mega_grads_begin(g);
        return;
    }
    if (g->in[X] && s.rows >= BLOCK && mega_matrix_crowded(s.w)) {
        s.w = mega_matrix_over(mega_scratch(c->work, mega_matrix_bytes(s.N, s.K)), s.K);
        mega_matrix_copy(s.w, mega_matrix_of(c->in[W], 0, 0), s.N, s.K);
    }
    /* then a group's dw is no larger than its d */
    s.groups = least(s.rows / (s.K > 2 * BLOCK ? s.K : 2 * BLOCK), MOST_GROUPS);
    if (s.groups > 1 && s.groups * s.N * s.K <= MOST_PARTS)
        by_groups(&s);
    else
        by_columns(&s);
}

const struct mega_kernel mega_onednn_linear = {
    .name = "onednn",
    .accepts = accepts,
    .keep = keep,
    .forward = forward,
    .backward = backward,
    .reads_out = true,
};
