/* distance_bias: a number for each head and each distance i - j of a query i from a key j.
 *
 *   t5 (1910.10683): scale E[bucket(distance)][h]. Of nb buckets, half for keys ahead if
 *     two_way, the first nb/2 hold a distance each; beyond them e = nb/2,
 *     bucket = e + floor(log(a / e) / log(max_distance / e) (nb - e)), at most nb - 1
 *   alibi (2108.12409): -slope_h |distance|, slopes of distance.h; two_way: keys ahead have
 *     slopes of their own
 *   plain, log: what a network of distances reads (2108.00154, 2111.09883) */
#include <math.h>

#include "op/contracts.h"
#include "op/distance.h"

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const struct mega_attr_distance_bias *a = c->attr;
    const mega_tensor *t = c->in[0];
    if (a->length < 1 || a->heads < 1)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "distance_bias: %lld heads over %lld places, expected at least 1 of each",
            (long long)a->heads, (long long)a->length);
    if (a->kind == MEGA_DISTANCE_T5 &&
        (!t || t->rank != 2 || mega_width(t) != a->heads || t->dim[0] < (a->two_way ? 4 : 2)))
        return mega_op_refuse(
            c, "the table", t, "[buckets, %lld], 2 buckets each way", (long long)a->heads);
    out[0] = mega_shaped(mega_wide_type(c), 2, a->heads, 2 * a->length - 1, 0, 0);
    return MEGA_OK;
}

static int64_t bucket(const struct mega_attr_distance_bias *a, int64_t buckets, int64_t delta)
{
    int64_t base = 0, far = delta > 0 ? delta : 0;
    if (a->two_way) {
        buckets /= 2;
        base = delta < 0 ? buckets : 0;
        far = delta < 0 ? -delta : delta;
    }
    int64_t e = buckets / 2;
    if (far < e) return base + far;
    double turn = log((double)far / (double)e) / log((double)a->max_distance / (double)e) *
                  (double)(buckets - e);
    int64_t which = e + (turn < (double)buckets ? (int64_t)turn : buckets);
    return base + (which < buckets - 1 ? which : buckets - 1);
}

static double number(const struct mega_call *c, int64_t h, int64_t delta)
{
    const struct mega_attr_distance_bias *a = c->attr;
    double size = fabs((double)delta);
    switch (a->kind) {
    case MEGA_DISTANCE_T5:
        return a->scale * mega_get(c->in[0], bucket(a, c->in[0]->dim[0], delta), h);
    case MEGA_DISTANCE_ALIBI:
        return -mega_alibi_slope(a->sloped, h, a->two_way && delta < 0) * size;
    case MEGA_DISTANCE_PLAIN: return (double)delta;
    case MEGA_DISTANCE_LOG: return delta < 0 ? -log1p(size) : log1p(size);
    }
    return 0;
}

static void forward(const struct mega_call *c)
{
    const struct mega_attr_distance_bias *a = c->attr;
    for (int64_t h = 0; h < a->heads; h++)
        for (int64_t x = 0; x < 2 * a->length - 1; x++)
            mega_put(c->out[0], h, x, number(c, h, a->length - 1 - x));
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    const struct mega_attr_distance_bias *a = c->attr;
    mega_grads_begin(g);
    if (a->kind != MEGA_DISTANCE_T5) return;
    for (int64_t h = 0; h < a->heads; h++)
        for (int64_t x = 0; x < 2 * a->length - 1; x++)
            mega_grad_add(g, 0, bucket(a, c->in[0]->dim[0], a->length - 1 - x), h,
                a->scale * mega_grad_out(g, 0, h, x));
}

const struct mega_op mega_op_distance_bias = {
    .name = "distance_bias",
    .n_in = 1,
    .n_out = 1,
    .optional = 1u,
    .unread = 1u,
    .attr_size = sizeof(struct mega_attr_distance_bias),
    .shape = shape,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
