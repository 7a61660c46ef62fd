/* reject: what attention brings to a place, less what lies along the place's own value (belief
 * attention): y = o - (o.v / v.v) v, head by head, query head h with the value of its group, or
 * over all heads together. A value of 0 takes nothing. */
#include "op/contracts.h"

enum { O = MEGA_REJECT_O, V = MEGA_REJECT_V };

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const struct mega_attr_reject *a = c->attr;
    const mega_tensor *o = c->in[O], *v = c->in[V];
    if (a->kv_heads < 1 || a->heads < 1 || a->heads % a->kv_heads || mega_width(o) % a->heads)
        return mega_op_refuse(c, "o", o, "[.., a multiple of %lld heads], %lld of values",
            (long long)a->heads, (long long)a->kv_heads);
    if (mega_height(v) != mega_height(o) ||
        mega_width(v) != mega_width(o) / a->heads * a->kv_heads)
        return mega_op_refuse(c, "v", v, "[%lld rows, %lld]", (long long)mega_height(o),
            (long long)(mega_width(o) / a->heads * a->kv_heads));
    out[0] = mega_activation(c, o);
    return MEGA_OK;
}

/* the column of v that column j of o meets */
static int64_t meets(const struct mega_call *c, int64_t j)
{
    const struct mega_attr_reject *a = c->attr;
    int64_t n = mega_width(c->in[O]) / a->heads;
    return j / n / (a->heads / a->kv_heads) * n + j % n;
}

/* sums over the columns from ... to-1 of row r: with what arrives from g too, if it is there */
struct sums {
    double ov, vv, dv, share; /* o.v, v.v, dy.v, ov / vv */
};

static struct sums sums_of(
    const struct mega_call *c, const struct mega_grads *g, int64_t r, int64_t from, int64_t to)
{
    struct sums s = { 0, 0, 0, 0 };
    for (int64_t j = from; j < to; j++) {
        double v = mega_get(c->in[V], r, meets(c, j));
        s.ov += mega_get(c->in[O], r, j) * v;
        s.vv += v * v;
        if (g) s.dv += mega_grad_out(g, 0, r, j) * v;
    }
    if (s.vv > 0) s.share = s.ov / s.vv;
    return s;
}

static int64_t together(const struct mega_call *c)
{
    const struct mega_attr_reject *a = c->attr;
    return a->whole ? mega_width(c->in[O]) : mega_width(c->in[O]) / a->heads;
}

static void forward(const struct mega_call *c)
{
    int64_t n = together(c), width = mega_width(c->in[O]);
    for (int64_t r = 0, rows = mega_height(c->in[O]); r < rows; r++)
        for (int64_t from = 0; from < width; from += n) {
            struct sums s = sums_of(c, NULL, r, from, from + n);
            for (int64_t j = from; j < from + n; j++)
                mega_put(c->out[0], r, j,
                    mega_get(c->in[O], r, j) - s.share * mega_get(c->in[V], r, meets(c, j)));
        }
}

/* do = dy - (dy.v / v.v) v;  dv = -(o.v dy + dy.v o) / v.v + 2 (o.v) (dy.v) v / (v.v)^2 */
static void backward(const struct mega_call *c, struct mega_grads *g)
{
    int64_t n = together(c), width = mega_width(c->in[O]);
    mega_grads_begin(g);
    for (int64_t r = 0, rows = mega_height(c->in[O]); r < rows; r++)
        for (int64_t from = 0; from < width; from += n) {
            struct sums s = sums_of(c, g, r, from, from + n);
            double back = s.vv > 0 ? s.dv / s.vv : 0;
            for (int64_t j = from; j < from + n; j++) {
                double d = mega_grad_out(g, 0, r, j), o = mega_get(c->in[O], r, j),
                       v = mega_get(c->in[V], r, meets(c, j));
                mega_grad_add(g, O, r, j, d - back * v);
                mega_grad_add(
                    g, V, r, meets(c, j), 2 * s.share * back * v - s.share * d - back * o);
            }
        }
}

const struct mega_op mega_op_reject = {
    .name = "reject",
    .n_in = 2,
    .n_out = 1,
    .attr_size = sizeof(struct mega_attr_reject),
    .shape = shape,
    .cheap = true,
    .by_rows = 1u << O | 1u << V,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
