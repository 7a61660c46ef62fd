/* gate_penalty: what the open heads of a layer cost (Voita et al., 2019, section 5.1).
 *
 *   p_h = P(gate_h > 0) = sigmoid(a_h - temperature log(-low / high)), cut to eps ... 1 - eps
 *   penalty = l0 sum_h p_h + l2/2 mean_h(p_h) sum(values^2)
 *
 * where l2 weighs all values by the mean of the layer, as the authors' code does, or those of
 * each head by its own p. No gradient passes where p is cut. */
#include "op/hard_concrete.h"

enum { A = MEGA_GATE_PENALTY_A, VALUES = MEGA_GATE_PENALTY_VALUES };

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const struct mega_attr_gate_penalty *a = c->attr;
    int64_t H = mega_count(c->in[A]);
    if (a->each && c->in[VALUES] && mega_width(c->in[VALUES]) % H)
        return mega_op_refuse(
            c, "values", c->in[VALUES], "rows of a multiple of %lld", (long long)H);
    out[0] = mega_shaped(mega_wide_type(c), 0, 0, 0, 0, 0);
    out[1] = mega_shaped(mega_wide_type(c), 1, H, 0, 0, 0);
    return MEGA_OK;
}

static double open(const struct mega_call *c, int64_t h, double *slope)
{
    const struct mega_attr_gate_penalty *a = c->attr;
    double p = mega_hard_open(&a->gate, mega_hard_at(c->in[A], h)), eps = a->gate.eps;
    *slope = p > eps && p < 1 - eps ? p * (1 - p) : 0;
    return p < eps ? eps : p > 1 - eps ? 1 - eps : p;
}

/* the sum of squares that p_h is a factor of, and the square's weight there */
static double squares(const struct mega_call *c, int64_t h)
{
    const struct mega_attr_gate_penalty *a = c->attr;
    const mega_tensor *v = c->in[VALUES];
    if (!v || !a->l2) return 0;
    int64_t H = mega_count(c->in[A]), n = a->each ? mega_width(v) / H : mega_width(v),
            from = a->each ? h * n : 0;
    double sum = 0;
    for (int64_t r = 0, rows = mega_height(v); r < rows; r++)
        for (int64_t j = 0; j < n; j++)
            sum += mega_get(v, r, from + j) * mega_get(v, r, from + j);
    return a->l2 / 2 * sum / (double)(a->each ? 1 : H);
}

static void forward(const struct mega_call *c)
{
    const struct mega_attr_gate_penalty *a = c->attr;
    double total = 0, slope;
    for (int64_t h = 0, H = mega_count(c->in[A]); h < H; h++) {
        double p = open(c, h, &slope);
        total += p * (a->l0 + squares(c, h));
        mega_put(c->out[1], 0, h, p);
    }
    mega_put(c->out[0], 0, 0, total);
}

static void give_values(const struct mega_call *c, struct mega_grads *g)
{
    const struct mega_attr_gate_penalty *a = c->attr;
    const mega_tensor *v = c->in[VALUES];
    int64_t H = mega_count(c->in[A]);
    double d = mega_grad_out(g, 0, 0, 0), mean = 0, slope;
    if (!v || !g->in[VALUES]) return;
    for (int64_t h = 0; h < H; h++) mean += open(c, h, &slope) / (double)H;
    for (int64_t r = 0, rows = mega_height(v), n = mega_width(v); r < rows; r++)
        for (int64_t j = 0; j < n; j++) {
            double p = a->each ? open(c, j / (n / H), &slope) : mean;
            mega_grad_add(g, VALUES, r, j, d * a->l2 * p * mega_get(v, r, j));
        }
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    const struct mega_attr_gate_penalty *a = c->attr;
    mega_grads_begin(g);
    mega_tensor *to = g->in[A];
    for (int64_t h = 0, H = mega_count(c->in[A]); to && h < H; h++) {
        double slope, d = mega_grad_out(g, 0, 0, 0);
        open(c, h, &slope);
        mega_add_to(to, h / mega_width(to), h % mega_width(to),
            slope * (d * (a->l0 + squares(c, h)) + mega_grad_out(g, 1, 0, h)));
    }
    give_values(c, g);
}

const struct mega_op mega_op_gate_penalty = {
    .name = "gate_penalty",
    .n_in = 2,
    .n_out = 2,
    .optional = 1u << VALUES,
    .attr_size = sizeof(struct mega_attr_gate_penalty),
    .shape = shape,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
