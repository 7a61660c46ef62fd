/* join: places of a [B,M,D] and, after them, those of b [B,T,D]: keys that begin with a memory;
 * with last N, the last N of these that are in use: the memory that is left to the next segment
 * (Transformer-XL, 1901.02860). */
#include "op/contracts.h"

enum { A = MEGA_JOIN_A, B = MEGA_JOIN_B };

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const struct mega_attr_join *attr = c->attr;
    const mega_tensor *a = c->in[A], *b = c->in[B];
    int64_t rows = c->rows->B, T = c->rows->T;
    if (b->rank != 3 || b->dim[0] != rows || b->dim[1] != T)
        return mega_op_refuse(c, "b", b, "[%lld, %lld, width]", (long long)rows, (long long)T);
    if (a->rank != 3 || a->dim[0] != rows || a->dim[2] != b->dim[2] || attr->last > a->dim[1])
        return mega_op_refuse(c, "a", a, "[%lld, %lld or more, %lld]", (long long)rows,
            (long long)attr->last, (long long)b->dim[2]);
    out[0] = mega_activation(c, b);
    out[0].dim[1] = attr->last ? attr->last : a->dim[1] + T;
    return MEGA_OK;
}

/* the input and its row that row (b, t) of the output holds */
static int source(const struct mega_call *c, int64_t b, int64_t t, int64_t *row)
{
    const struct mega_attr_join *attr = c->attr;
    int64_t M = c->in[A]->dim[1], T = c->rows->T;
    if (attr->last) t += M + mega_rows_len(c->rows, b) - attr->last;
    *row = t < M ? b * M + t : b * T + t - M;
    return t < M ? A : B;
}

static void forward(const struct mega_call *c)
{
    int64_t n = c->out[0]->dim[1];
    for (int64_t r = 0, rows = mega_height(c->out[0]); r < rows; r++) {
        int64_t from;
        int i = source(c, r / n, r % n, &from);
        for (int64_t j = 0, width = mega_width(c->out[0]); j < width; j++)
            mega_put(c->out[0], r, j, mega_get(c->in[i], from, j));
    }
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    int64_t n = c->out[0]->dim[1];
    mega_grads_begin(g);
    for (int64_t r = 0, rows = mega_height(c->out[0]); r < rows; r++) {
        int64_t to;
        int i = source(c, r / n, r % n, &to);
        for (int64_t j = 0, width = mega_width(c->out[0]); j < width; j++)
            mega_grad_add(g, i, to, j, mega_grad_out(g, 0, r, j));
    }
}

const struct mega_op mega_op_join = {
    .name = "join",
    .n_in = 2,
    .n_out = 1,
    .attr_size = sizeof(struct mega_attr_join),
    .shape = shape,
    .unread = 1u << A | 1u << B,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
