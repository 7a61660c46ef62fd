/* head_concat: heads put together: those of a, each followed by some channels of the same head
 * of b, or of the one head that all share (keys of latent attention: 2405.04434). Without a it
 * takes the heads of b apart. */
#include "op/contracts.h"

enum { B = MEGA_HEAD_CONCAT_B, A = MEGA_HEAD_CONCAT_A };

struct widths {
    int64_t a, b, taken; /* of a head of a and of b; channels of b that are taken */
};

static struct widths widths_of(const struct mega_call *c)
{
    const struct mega_attr_head_concat *attr = c->attr;
    struct widths w = { .b = mega_width(c->in[B]) / (attr->shared ? 1 : attr->heads) };
    if (c->in[A]) w.a = mega_width(c->in[A]) / attr->heads;
    w.taken = attr->count ? attr->count : w.b - attr->from;
    return w;
}

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const struct mega_attr_head_concat *attr = c->attr;
    const mega_tensor *a = c->in[A], *b = c->in[B];
    if (attr->heads < 1 || (!attr->shared && mega_width(b) % attr->heads))
        return mega_op_refuse(
            c, "b", b, "[.., a multiple of %lld heads]", (long long)attr->heads);
    if (a && (mega_height(a) != mega_height(b) || mega_width(a) % attr->heads))
        return mega_op_refuse(c, "a", a, "[%lld rows, a multiple of %lld heads]",
            (long long)mega_height(b), (long long)attr->heads);
    struct widths w = widths_of(c);
    if (attr->from < 0 || w.taken < 0 || attr->from + w.taken > w.b)
        return mega_op_refuse(
            c, "b", b, "heads of %lld channels or more", (long long)(attr->from + attr->count));
    out[0] = mega_activation(c, b);
    out[0].dim[b->rank - 1] = out[0].stride = attr->heads * (w.a + w.taken);
    return MEGA_OK;
}

/* the input and its column that column j of the output holds */
static int source(const struct mega_call *c, const struct widths *w, int64_t j, int64_t *column)
{
    const struct mega_attr_head_concat *attr = c->attr;
    int64_t n = w->a + w->taken, h = j / n, x = j % n;
    *column = x < w->a ? h * w->a + x : (attr->shared ? 0 : h * w->b) + attr->from + x - w->a;
    return x < w->a ? A : B;
}

static void forward(const struct mega_call *c)
{
    struct widths w = widths_of(c);
    for (int64_t j = 0, n = mega_width(c->out[0]); j < n; j++) {
        int64_t column;
        int i = source(c, &w, j, &column);
        for (int64_t r = 0, rows = mega_height(c->out[0]); r < rows; r++)
            mega_put(c->out[0], r, j, mega_get(c->in[i], r, column));
    }
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    struct widths w = widths_of(c);
    mega_grads_begin(g);
    for (int64_t j = 0, n = mega_width(c->out[0]); j < n; j++) {
        int64_t column;
        int i = source(c, &w, j, &column);
        for (int64_t r = 0, rows = mega_height(c->out[0]); r < rows; r++)
            mega_grad_add(g, i, r, column, mega_grad_out(g, 0, r, j));
    }
}

const struct mega_op mega_op_head_concat = {
    .name = "head_concat",
    .n_in = 2,
    .n_out = 1,
    .optional = 1u << A,
    .attr_size = sizeof(struct mega_attr_head_concat),
    .shape = shape,
    .unread = 1u << A | 1u << B,
    .by_rows = 1u << A | 1u << B,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
