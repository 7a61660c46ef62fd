/* head_linear in float32: a product for each head, forward and for dx of some rows of a head at
 * a time, for dw of a head. */
#include "kernel/cpu/isa/blocks.h"
#include "kernel/cpu/row_lanes.h"

enum { X = MEGA_HEAD_LINEAR_X, W = MEGA_HEAD_LINEAR_W, ROWS = 256 };

struct heads {
    const struct mega_call *c;
    struct mega_grads *g;
    int64_t rows, blocks; /* of ROWS rows */
    int64_t heads, n, m;  /* channels of a head of x and of y */
    bool back;            /* w_h is [n, m], not [m, n] */
};

static struct heads heads_of(const struct mega_call *c, struct mega_grads *g)
{
    const struct mega_attr_head_linear *a = c->attr;
    struct heads s = {
        .c = c, .g = g, .rows = mega_height(c->in[X]), .heads = a->heads, .back = a->back
    };
    s.blocks = (s.rows + ROWS - 1) / ROWS;
    s.n = mega_width(c->in[X]) / s.heads;
    s.m = mega_width(c->out[0]) / s.heads;
    return s;
}

static struct mega_matrix weights(const struct heads *s, const mega_tensor *w, int64_t h)
{
    return mega_matrix_of(w, h * (s->back ? s->n : s->m), 0);
}

/* to [rows, wide] = from [rows, narrow] w_h, or by w_h turned */
static void multiply(const struct heads *s, int64_t h, bool turned, struct mega_matrix from,
    int64_t narrow, struct mega_matrix to, int64_t wide, bool add, int64_t rows,
    struct mega_arena *scratch)
{
    struct mega_matrix w = weights(s, s->c->in[W], h);
    float *room = mega_arena_get(
        scratch, (size_t)mega_packed_size(products, narrow, wide) * sizeof *room + 1);
    struct mega_right b = turned ? mega_right_turned(products, room, w, narrow, wide)
                                 : mega_right_packed(products, room, w, narrow, wide);
    products->multiply(rows, wide, narrow, mega_left(from), b, to, add);
}

static void lane(void *arg, int64_t i, struct mega_arena *scratch)
{
    const struct heads *s = arg;
    int64_t h = i / s->blocks, from = i % s->blocks * ROWS, rows = least(ROWS, s->rows - from);
    multiply(s, h, !s->back, mega_matrix_of(s->c->in[X], from, h * s->n), s->n,
        mega_matrix_of(s->c->out[0], from, h * s->m), s->m, false, rows, scratch);
}

static void lane_dx(void *arg, int64_t i, struct mega_arena *scratch)
{
    const struct heads *s = arg;
    int64_t h = i / s->blocks, from = i % s->blocks * ROWS, rows = least(ROWS, s->rows - from);
    multiply(s, h, s->back, mega_matrix_of(s->g->out[0], from, h * s->m), s->m,
        mega_matrix_of(s->g->in[X], from, h * s->n), s->n, s->g->add >> X & 1, rows, scratch);
}

/* dw_h [m, n] = dy_h^T x_h, or [n, m] = x_h^T dy_h */
static void lane_dw(void *arg, int64_t h, struct mega_arena *scratch)
{
    (void)scratch;
    const struct heads *s = arg;
    struct mega_matrix dw = weights(s, s->g->in[W], h);
    /* once also without rows: then dw is zero */
    for (int64_t from = 0; !from || from < s->rows; from += ROWS) {
        struct mega_matrix x = mega_matrix_of(s->c->in[X], from, h * s->n),
                           dy = mega_matrix_of(s->g->out[0], from, h * s->m);
        int64_t rows = least(ROWS, s->rows - from);
        bool add = from || s->g->add >> W & 1;
        if (s->back)
            products->multiply(
                s->n, s->m, rows, mega_left_turned(x), mega_right(products, dy, s->m), dw, add);
        else
            products->multiply(
                s->m, s->n, rows, mega_left_turned(dy), mega_right(products, x, s->n), dw, add);
    }
}

static double cost(const struct heads *s)
{
    return 2.0 * (double)s->rows * (double)mega_count(s->c->in[W]);
}

static void forward(const struct mega_call *c)
{
    struct heads s = heads_of(c, NULL);
    mega_lanes(c->work, s.heads * s.blocks, cost(&s), lane, &s);
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    if (nothing_arrived(c, g)) return;
    struct heads s = heads_of(c, g);
    if (g->in[X]) mega_lanes(c->work, s.heads * s.blocks, cost(&s), lane_dx, &s);
    if (g->in[W]) mega_lanes(c->work, s.heads, cost(&s), lane_dw, &s);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_head_linear) = {
    .name = MEGA_ISA_TEXT, .accepts = rows_accept, .forward = forward, .backward = backward
};
