/* The feed-forward region: blocks of rows go through both products without leaving
 * cache. Kept for the backward pass: p = x up^T, in bfloat16 p + b, whose sign no rounding
 * turns; all else there is pointwise.
 *
 *   h = act(x up^T + b) m_0,  y = residual + (h down^T + c) m_1        m: factors of dropout
 *   dz = dy m_1,  dh = dz down,  dp = dh m_0 act',  dx = dp up
 *   d_down = dz^T h,  d_up = dp^T x,  the biases: sums of dz and dp over rows
 *
 * Groups of rows are lanes, each with weight gradients of its own, summed in order. */
#include "kernel/cpu/isa/blocks.h"

enum { X = MEGA_FEED_FORWARD_X, RESIDUAL, UP, UP_BIAS, DOWN, DOWN_BIAS };
enum {
    MOST_GROUPS = 16,
    MOST_PART = 256 << 10 /* floats of a group's sums, which should stay in a core's cache */
};

static bool accepts(const struct mega_call *c, const char **why)
{
    if (!blocks_accept(c, UP, why)) return false;
    *why = "weights too large: their products are a matter of their own";
    return 2 * mega_count(c->in[UP]) <= MOST_PART;
}

static void keep(const struct mega_call *c, mega_tensor saved[MEGA_SAVED])
{
    saved[0] = mega_shaped(c->out[0]->dtype, 2, mega_height(c->in[X]), c->in[UP]->dim[0], 0, 0);
}

struct sizes {
    const struct mega_call *c;
    const struct mega_attr_feed_forward *a;
    int64_t rows, D, F, block;
    uint64_t key[2];
    const float *bias;              /* that p lacks; NULL: none */
    const struct mega_pairs *pairs; /* products of bfloat16; NULL: float32 */
    struct block_weight up,
        down; /* as the pass reads them: turned forward, as they lie backward */
};

static struct sizes sizes_of(const struct mega_call *c)
{
    struct sizes s = { .c = c,
        .a = c->attr,
        .rows = mega_height(c->in[X]),
        .D = mega_width(c->in[X]),
        .F = c->in[UP]->dim[0],
        .block = block_rows(c),
        .pairs = is_half(c) ? pair_products() : NULL,
        .bias = is_half(c) ? NULL : c->in[UP_BIAS]->data };
    for (int i = 0; i < 2; i++) {
        struct mega_call at = *c;
        at.site = s.a->site[i];
        s.key[i] = mega_draw_key(&at);
    }
    return s;
}

/* to *= the factors of dropout `which` in row `row` of the batch; `factor`: room for n */
static void drop_row(
    const struct sizes *s, int which, int64_t row, float *to, int64_t n, float *factor)
{
    const struct mega_rows *rows = s->c->rows;
    int64_t b = row / rows->T, t = row % rows->T;
    int64_t place = s->a->kind == MEGA_DROPOUT_FEATURES ? 0 : mega_rows_place(rows, b) + t;
    struct mega_draw_row d = mega_draw_channels(
        s->key[which], mega_rows_number(rows, b), place, s->a->dropout[which]);
    row_functions->draw(factor, &d, 0, n);
    row_functions->multiply(to, to, factor, n);
}

static bool drops(const struct sizes *s, int which)
{
    return mega_dropout_acts(s->c, s->a->dropout[which]);
}

/* ---- forward ---- */

static void forward_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    const struct sizes *s = arg;
    int64_t row = lane * s->block, m = least(s->rows - row, s->block);
    struct block_view v;
    block_open(&v, s->c, NULL, row, m, scratch);
    const struct mega_call *c = v.c;
    float *factor = mega_arena_get(scratch, (size_t)(s->F + s->D) * sizeof *factor);
    struct mega_matrix h = mega_matrix_scratch(scratch, m, s->F);
    struct mega_matrix p = c->saved[0] ? mega_matrix_of(c->saved[0], row, 0) : h;
    struct mega_matrix y = mega_matrix_of(c->out[0], row, 0);
    struct mega_matrix residual = mega_matrix_of(c->in[RESIDUAL], row, 0);
    block_times(
        s->pairs, m, s->F, s->D, mega_matrix_of(c->in[X], row, 0), &s->up, p, false, scratch);
    for (int64_t r = 0; r < m; r++) {
        float *to = mega_matrix_row(h, r);
        if (!s->bias)
            row_functions->add_scaled(mega_matrix_row(p, r), c->in[UP_BIAS]->data, 1, s->F);
        row_functions->act(s->a->act, to, mega_matrix_row(p, r), s->bias, s->F);
        if (drops(s, 0)) drop_row(s, 0, row + r, to, s->F, factor);
    }
    block_times(s->pairs, m, s->D, s->F, h, &s->down, y, false, scratch);
    for (int64_t r = 0; r < m; r++) {
        float *to = mega_matrix_row(y, r);
        row_functions->add_scaled(to, c->in[DOWN_BIAS]->data, 1, s->D);
        if (drops(s, 1)) drop_row(s, 1, row + r, to, s->D, factor);
        row_functions->add_scaled(to, mega_matrix_row(residual, r), 1, s->D);
    }
    block_close(&v);
}

static void forward(const struct mega_call *c)
{
    struct sizes s = sizes_of(c);
    s.up = block_pack(s.pairs, c->work, turned(mega_matrix_of(c->in[UP], 0, 0)), s.D, s.F);
    s.down = block_pack(s.pairs, c->work, turned(mega_matrix_of(c->in[DOWN], 0, 0)), s.F, s.D);
    double cost = (double)s.rows * (double)(s.D * s.F) / 4;
    mega_lanes(c->work, pieces(s.rows, s.block), cost, forward_lane, &s);
}

/* ---- backward ---- */

/* the gradients of the parameters, in the order of the inputs */
struct sums {
    struct mega_matrix up, down;
    float *up_bias, *down_bias;
};

struct backward {
    struct sizes s;
    struct mega_grads *g;
    int64_t groups;
    char *parts; /* [groups] */
};

static size_t part_bytes(const struct sizes *s)
{
    return mega_matrix_bytes(s->F, s->D) + mega_matrix_bytes(s->D, s->F) +
           mega_matrix_bytes(1, s->F) + mega_matrix_bytes(1, s->D);
}

static struct sums part(const struct backward *b, int64_t group)
{
    const struct sizes *s = &b->s;
    char *at = b->parts + (size_t)group * part_bytes(s);
    struct sums sums;
    sums.up = mega_matrix_over(at, s->D);
    at += mega_matrix_bytes(s->F, s->D);
    sums.down = mega_matrix_over(at, s->F);
    at += mega_matrix_bytes(s->D, s->F);
    sums.up_bias = mega_matrix_over(at, s->F).at;
    at += mega_matrix_bytes(1, s->F);
    sums.down_bias = mega_matrix_over(at, s->D).at;
    return sums;
}

/* gradient of what stands before the residual: dy m_1 */
static struct mega_matrix branch_gradient(
    const struct backward *b, int64_t row, int64_t m, float *factor, struct mega_arena *scratch)
{
    const struct sizes *s = &b->s;
    struct mega_matrix dy = mega_matrix_of(b->g->out[0], row, 0);
    struct mega_matrix dz = mega_matrix_scratch(scratch, m, s->D);
    mega_matrix_copy(dz, dy, m, s->D);
    for (int64_t r = 0; drops(s, 1) && r < m; r++)
        drop_row(s, 1, row + r, mega_matrix_row(dz, r), s->D, factor);
    return dz;
}

static void add_or_copy(const struct backward *b, int i, int64_t row, int64_t m)
{
    if (!b->g->in[i]) return;
    for (int64_t r = 0; r < m; r++) {
        float *to = mega_row(b->g->in[i], row + r);
        const float *dy = mega_row(b->g->out[0], row + r);
        if (b->g->add >> i & 1)
            row_functions->add_scaled(to, dy, 1, b->s.D);
        else
            memcpy(to, dy, (size_t)b->s.D * sizeof *to);
    }
}

/* h from p; dh becomes dp; both biases' sums */
static void inside_backward(const struct backward *b, int64_t row, int64_t m,
    struct mega_matrix h, struct mega_matrix dh, struct mega_matrix dz, struct sums *sums,
    float *factor)
{
    const struct sizes *s = &b->s;
    struct mega_matrix p = mega_matrix_of(s->c->saved[0], row, 0);
    for (int64_t r = 0; r < m; r++) {
        float *d = mega_matrix_row(dh, r), *to = mega_matrix_row(h, r);
        if (drops(s, 0)) drop_row(s, 0, row + r, d, s->F, factor);
        row_functions->act_both(s->a->act, to, d, d, mega_matrix_row(p, r), s->bias, s->F);
        if (drops(s, 0)) row_functions->multiply(to, to, factor, s->F);
    }
    row_functions->add_rows(sums->up_bias, dh.at, dh.stride, m, s->F);
    row_functions->add_rows(sums->down_bias, dz.at, dz.stride, m, s->D);
}

/* all in float32 */
static void rows_backward(const struct backward *b, int64_t row, int64_t m, struct sums *sums,
    bool first, struct mega_arena *scratch)
{
    const struct sizes *s = &b->s;
    float *factor = mega_arena_get(scratch, (size_t)(s->F + s->D) * sizeof *factor);
    struct mega_matrix h = mega_matrix_scratch(scratch, m, s->F),
                       dh = mega_matrix_scratch(scratch, m, s->F);
    struct mega_matrix dz = branch_gradient(b, row, m, factor, scratch);
    struct mega_matrix x = mega_matrix_of(s->c->in[X], row, 0);
    if (first) {
        memset(sums->up_bias, 0, (size_t)s->F * sizeof(float));
        memset(sums->down_bias, 0, (size_t)s->D * sizeof(float));
    }
    block_times(s->pairs, m, s->F, s->D, dz, &s->down, dh, false, scratch);
    inside_backward(b, row, m, h, dh, dz, sums, factor);
    block_product(
        s->pairs, s->D, s->F, m, turned(dz), as_it_lies(h), sums->down, !first, scratch);
    block_product(
        s->pairs, s->F, s->D, m, turned(dh), as_it_lies(x), sums->up, !first, scratch);
    /* x and the residual may be the same tensor: then both gradients add to one matrix */
    add_or_copy(b, RESIDUAL, row, m);
    if (b->g->in[X])
        block_times(s->pairs, m, s->D, s->F, dh, &s->up, mega_matrix_of(b->g->in[X], row, 0),
            b->g->add >> X & 1, scratch);
}

static void block_backward(const struct backward *b, int64_t row, int64_t m, struct sums *sums,
    bool first, struct mega_arena *scratch)
{
    struct block_view v;
    struct backward part = *b;
    block_open(&v, b->s.c, b->g, row, m, scratch);
    part.s.c = v.c;
    part.g = v.g;
    rows_backward(&part, row, m, sums, first, scratch);
    block_close(&v);
}

static void group_lane(void *arg, int64_t group, struct mega_arena *scratch)
{
    const struct backward *b = arg;
    struct sums sums = part(b, group);
    int64_t start = b->s.rows * group / b->groups, end = b->s.rows * (group + 1) / b->groups;
    for (int64_t row = start, m; row < end; row += m) {
        m = least(end - row, b->s.block);
        block_backward(b, row, m, &sums, row == start, scratch);
        mega_arena_release(scratch, 0);
    }
}

/* all rows in one lane, of a part of a call; false: sums are not all to be added to */
static bool by_rows(const struct backward *b)
{
    const uint32_t all = 1u << UP | 1u << UP_BIAS | 1u << DOWN | 1u << DOWN_BIAS;
    mega_tensor *const *to = b->g->in;
    if (!is_part(b->s.c) || (b->g->add & all) != all || !to[UP] || !to[UP_BIAS] || !to[DOWN] ||
        !to[DOWN_BIAS])
        return false;
    struct sums sums = { mega_matrix_of(to[UP], 0, 0), mega_matrix_of(to[DOWN], 0, 0),
        to[UP_BIAS]->data, to[DOWN_BIAS]->data };
    struct mega_arena *scratch = &b->s.c->work->scratch[0];
    for (int64_t row = 0, m; row < b->s.rows; row += m) {
        m = least(b->s.rows - row, b->s.block);
        mega_arena_release(scratch, 0);
        block_backward(b, row, m, &sums, false, scratch);
    }
    return true;
}

/* to (+)= the groups' shares of n numbers, in order; `at` finds a share */
static void total(const struct backward *b, int i, int64_t row, int64_t n)
{
    mega_tensor *g = b->g->in[i];
    struct sums sums = part(b, 0);
    const float *from = i == UP        ? mega_matrix_row(sums.up, row)
                        : i == DOWN    ? mega_matrix_row(sums.down, row)
                        : i == UP_BIAS ? sums.up_bias
                                       : sums.down_bias;
    total_groups(mega_row(g, row), b->g->add >> i & 1, from, part_bytes(&b->s), b->groups, n);
}

static void total_lane(void *arg, int64_t row, struct mega_arena *scratch)
{
    (void)scratch;
    const struct backward *b = arg;
    if (b->g->in[UP] && row < b->s.F) total(b, UP, row, b->s.D);
    if (b->g->in[DOWN] && row < b->s.D) total(b, DOWN, row, b->s.F);
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    struct backward b = { .s = sizes_of(c), .g = g };
    struct sizes *s = &b.s;
    if (!s->rows || !g->out[0]) {
        mega_grads_begin(g);
        return;
    }
    struct mega_operand up = as_it_lies(mega_matrix_of(c->in[UP], 0, 0)),
                        down = as_it_lies(mega_matrix_of(c->in[DOWN], 0, 0));
    s->up = block_pack(s->pairs, c->work, up, s->F, s->D);
    s->down = block_pack(s->pairs, c->work, down, s->D, s->F);
    if (by_rows(&b)) return;
    b.groups = least(pieces(s->rows, 2 * s->block), MOST_GROUPS);
    b.parts = mega_scratch(c->work, (size_t)b.groups * part_bytes(s));
    double cost = (double)s->rows * (double)(s->D * s->F);
    mega_lanes(c->work, b.groups, cost, group_lane, &b);
    mega_lanes(c->work, s->F > s->D ? s->F : s->D, (double)(b.groups * s->D * s->F) / 4,
        total_lane, &b);
    if (g->in[UP_BIAS]) total(&b, UP_BIAS, 0, s->F);
    if (g->in[DOWN_BIAS]) total(&b, DOWN_BIAS, 0, s->D);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_feed_forward) = {
    .name = MEGA_ISA_TEXT,
    .accepts = accepts,
    .keep = keep,
    .forward = forward,
    .backward = backward,
};
