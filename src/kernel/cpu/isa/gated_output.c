/* The gated_output region: blocks of rows go from the attention's output through the gate, the
 * product and the gated residual without leaving cache.
 *
 *   g = o silu(r),  t = a + b + g w^T,  y = x + sigmoid(u) (m act(t) - x)
 *   dg = dt w,  dw = dt^T g,  db: the sum of dt over rows
 *
 * Kept: b + g w^T, in bfloat16 t, whose sign no rounding turns. Groups of rows are lanes, each
 * with dw and db of its own, summed in order.
 */
#include "kernel/cpu/isa/blocks.h"
#include "kernel/cpu/isa/gates.h"
#include "kernel/cpu/row_lanes.h"
#include "kernel/cpu/vector_draw.h"

enum {
    X = MEGA_GATED_OUTPUT_X,
    U = MEGA_GATED_OUTPUT_U,
    A = MEGA_GATED_OUTPUT_A,
    O = MEGA_GATED_OUTPUT_O,
    R = MEGA_GATED_OUTPUT_R,
    W = MEGA_GATED_OUTPUT_W,
    B = MEGA_GATED_OUTPUT_B
};

enum {
    MOST_PART = 256 << 10 /* floats of a group's dw, which should stay in a core's cache */
};

static bool accepts(const struct mega_call *c, const char **why)
{
    if (!blocks_accept(c, W, why)) return false;
    *why = "weights too large: their product is a matter of its own";
    return mega_count(c->in[W]) <= MOST_PART;
}

static void keep(const struct mega_call *c, mega_tensor saved[MEGA_SAVED])
{
    saved[0] =
        mega_shaped(c->out[0]->dtype, 2, mega_height(c->in[X]), mega_width(c->in[X]), 0, 0);
}

struct pass {
    const struct mega_call *c;
    const struct mega_attr_gated_output *a;
    int64_t rows, D, E, block;
    const struct mega_pairs *pairs; /* products of bfloat16; NULL: float32 */
    struct block_weight w;          /* w^T forward, w backward */
    const float *zeros;             /* [D], in place of a row of a where t is kept; else NULL */
    struct mega_grads *g;
    int64_t groups;
    char *parts; /* [groups]: dw [D, E], db [D] */
};

static const float *zeros_of(const struct mega_call *c)
{
    size_t bytes = (size_t)mega_width(c->in[X]) * sizeof(float);
    return is_half(c) ? memset(mega_scratch(c->work, bytes), 0, bytes) : NULL;
}

static struct pass pass_of(const struct mega_call *c)
{
    return (struct pass){ .c = c,
        .a = c->attr,
        .rows = mega_height(c->in[X]),
        .D = mega_width(c->in[X]),
        .E = mega_width(c->in[O]),
        .block = block_rows(c),
        .pairs = is_half(c) ? pair_products() : NULL,
        .zeros = zeros_of(c) };
}

/* what the gated residual of row r reads; h: what is kept of it; `room` for factors of dropout
 */
static struct residual_row inputs_of(
    const struct pass *p, int64_t r, const float *h, float *room)
{
    struct residual_row in = { mega_row(p->c->in[X], r), mega_row(p->c->in[U], r),
        p->zeros ? p->zeros : mega_row(p->c->in[A], r), h, NULL };
    if (!mega_dropout_acts(p->c, p->a->dropout)) return in;
    struct mega_draw_row d = ROW_DRAWS(p->c, p->a->dropout, p->a->kind, r);
    vec_draw_row(room, &d, 0, p->D);
    in.m = room;
    return in;
}

/* ---- forward ---- */

/* all in float32 */
static void rows_forward(
    const struct pass *p, int64_t row, int64_t m, struct mega_arena *scratch)
{
    const struct mega_call *c = p->c;
    float *room = mega_arena_get(scratch, (size_t)p->D * sizeof *room);
    struct mega_matrix g = mega_matrix_scratch(scratch, m, p->E),
                       h = c->saved[0] ? mega_matrix_of(c->saved[0], row, 0)
                                       : mega_matrix_scratch(scratch, m, p->D);
    for (int64_t r = 0; r < m; r++)
        gate_row(MEGA_ACT_SILU, mega_matrix_row(g, r), mega_row(c->in[O], row + r),
            mega_row(c->in[R], row + r), p->E);
    block_times(p->pairs, m, p->D, p->E, g, &p->w, h, false, scratch);
    for (int64_t r = 0; r < m; r++) {
        float *t = mega_matrix_row(h, r);
        row_functions->add_scaled(t, c->in[B]->data, 1, p->D);
        if (p->zeros) row_functions->add_scaled(t, mega_row(c->in[A], row + r), 1, p->D);
        struct residual_row in = inputs_of(p, row + r, t, room);
        residual_row(p->a->act, mega_row(c->out[0], row + r), &in, p->D);
    }
}

static void forward_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    struct pass p = *(const struct pass *)arg;
    int64_t row = lane * p.block, m = least(p.rows - row, p.block);
    struct block_view v;
    block_open(&v, p.c, NULL, row, m, scratch);
    p.c = v.c;
    rows_forward(&p, row, m, scratch);
    block_close(&v);
}

static void forward(const struct mega_call *c)
{
    struct pass p = pass_of(c);
    p.w = block_pack(p.pairs, c->work, turned(mega_matrix_of(c->in[W], 0, 0)), p.E, p.D);
    double cost = (double)p.rows * (double)(p.D * p.E) / 8;
    mega_lanes(c->work, pieces(p.rows, p.block), cost, forward_lane, &p);
}

/* ---- backward ---- */

static size_t part_bytes(const struct pass *p)
{
    return mega_matrix_bytes(p->D, p->E) + mega_matrix_bytes(1, p->D);
}

/* sums over rows */
struct sums {
    struct mega_matrix dw;
    float *db;
};

/* a group's; its db stands in the row behind dw */
static struct sums part(const struct pass *p, int64_t group)
{
    struct mega_matrix dw = mega_matrix_over(p->parts + (size_t)group * part_bytes(p), p->E);
    return (struct sums){ dw, mega_matrix_row(dw, p->D) };
}

static struct row_grad gradient_of(const struct pass *p, int i, int64_t r)
{
    float *at = p->g->in[i] ? mega_row(p->g->in[i], r) : NULL;
    return (struct row_grad){ at, p->g->add >> i & 1 };
}

/* all in float32 */
static void rows_backward(const struct pass *p, int64_t row, int64_t m, struct sums *sums,
    bool first, struct mega_arena *scratch)
{
    const struct mega_call *c = p->c;
    float *room = mega_arena_get(scratch, (size_t)p->D * sizeof *room);
    struct mega_matrix dt = mega_matrix_scratch(scratch, m, p->D),
                       g = mega_matrix_scratch(scratch, m, p->E),
                       dg = mega_matrix_scratch(scratch, m, p->E),
                       h = mega_matrix_of(c->saved[0], row, 0);
    for (int64_t r = 0; r < m; r++) {
        struct residual_row in = inputs_of(p, row + r, mega_matrix_row(h, r), room);
        residual_row_back(p->a->act, gradient_of(p, X, row + r), gradient_of(p, U, row + r),
            gradient_of(p, A, row + r), (struct row_grad){ mega_matrix_row(dt, r), false },
            mega_row(p->g->out[0], row + r), &in, p->D);
    }
    block_times(p->pairs, m, p->E, p->D, dt, &p->w, dg, false, scratch);
    for (int64_t r = 0; r < m; r++)
        gate_row_back(MEGA_ACT_SILU, mega_matrix_row(g, r), gradient_of(p, O, row + r),
            gradient_of(p, R, row + r), mega_matrix_row(dg, r), mega_row(c->in[O], row + r),
            mega_row(c->in[R], row + r), p->E);
    block_product(
        p->pairs, p->D, p->E, m, turned(dt), as_it_lies(g), sums->dw, !first, scratch);
    row_functions->add_rows(sums->db, dt.at, dt.stride, m, p->D);
}

static void block_backward(const struct pass *p, int64_t row, int64_t m, struct sums *sums,
    bool first, struct mega_arena *scratch)
{
    struct block_view v;
    struct pass part = *p;
    block_open(&v, p->c, p->g, row, m, scratch);
    part.c = v.c;
    part.g = v.g;
    rows_backward(&part, row, m, sums, first, scratch);
    block_close(&v);
}

static void group_lane(void *arg, int64_t group, struct mega_arena *scratch)
{
    const struct pass *p = arg;
    struct sums sums = part(p, group);
    memset(sums.db, 0, (size_t)p->D * sizeof(float));
    int64_t start = p->rows * group / p->groups, end = p->rows * (group + 1) / p->groups;
    for (int64_t row = start, m; row < end; row += m) {
        m = least(end - row, p->block);
        block_backward(p, row, m, &sums, row == start, scratch);
        mega_arena_release(scratch, 0);
    }
}

/* all rows in one lane, of a part of a call; false: sums are not all to be added to */
static bool by_rows(const struct pass *p)
{
    const uint32_t all = 1u << W | 1u << B;
    mega_tensor *const *to = p->g->in;
    if (!is_part(p->c) || (p->g->add & all) != all || !to[W] || !to[B]) return false;
    struct sums sums = { mega_matrix_of(to[W], 0, 0), to[B]->data };
    struct mega_arena *scratch = &p->c->work->scratch[0];
    for (int64_t row = 0, m; row < p->rows; row += m) {
        m = least(p->rows - row, p->block);
        mega_arena_release(scratch, 0);
        block_backward(p, row, m, &sums, false, scratch);
    }
    return true;
}

/* to (+)= the groups' shares of n numbers of row r, in order */
static void total(const struct pass *p, int i, float *to, int64_t r, int64_t n)
{
    total_groups(
        to, p->g->add >> i & 1, mega_matrix_row(part(p, 0).dw, r), part_bytes(p), p->groups, n);
}

static void total_lane(void *arg, int64_t row, struct mega_arena *scratch)
{
    (void)scratch;
    const struct pass *p = arg;
    total(p, W, mega_row(p->g->in[W], row), row, p->E);
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    struct pass p = pass_of(c);
    p.g = g;
    if (!p.rows || !g->out[0]) {
        mega_grads_begin(g);
        return;
    }
    p.w = block_pack(p.pairs, c->work, as_it_lies(mega_matrix_of(c->in[W], 0, 0)), p.D, p.E);
    if (by_rows(&p)) return;
    p.groups = least(pieces(p.rows, 2 * p.block), MOST_GROUPS);
    p.parts = mega_scratch(c->work, (size_t)p.groups * part_bytes(&p));
    double cost = (double)p.rows * (double)(p.D * p.E) / 4;
    mega_lanes(c->work, p.groups, cost, group_lane, &p);
    if (g->in[W]) mega_lanes(c->work, p.D, (double)(p.groups * p.D * p.E) / 8, total_lane, &p);
    if (g->in[B]) total(&p, B, g->in[B]->data, p.D, p.D);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_gated_output) = {
    .name = MEGA_ISA_TEXT,
    .accepts = accepts,
    .keep = keep,
    .forward = forward,
    .backward = backward,
};
