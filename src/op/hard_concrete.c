/* hard_concrete: gates between 0 and 1 that may be exactly either (Louizos, Welling and Kingma,
 * 2018; of attention heads: Voita et al., 2019). With a the logarithm of the odds:
 *
 *   training:   s = sigmoid((log u - log(1 - u) + a) / temperature),   u uniform
 *   otherwise:  s = sigmoid(a)
 *   gate = min(1, max(0, s (high - low) + low));  hard: 1 above one half, else 0
 *
 * The gradient of a hard gate is that of the soft one (straight-through). */
#include "op/hard_concrete.h"

#include "op/draw.h"

mega_status mega_hard_concrete_check(const struct mega_hard_concrete *h)
{
    if (!(h->temperature > 0))
        return mega_fail(MEGA_BAD_ARGUMENT,
            "the temperature of head gates is %g, expected more than 0", h->temperature);
    if (!(h->low < 0))
        return mega_fail(MEGA_BAD_ARGUMENT,
            "the lower limit of head gates is %g, expected less than 0: no head could close",
            h->low);
    if (!(h->high > 1))
        return mega_fail(MEGA_BAD_ARGUMENT,
            "the upper limit of head gates is %g, expected more than 1: no head could be fully "
            "open",
            h->high);
    if (!(h->eps > 0 && h->eps < 0.5))
        return mega_fail(MEGA_BAD_ARGUMENT,
            "the epsilon of head gates is %g, expected more than 0 and less than 0.5", h->eps);
    return MEGA_OK;
}

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const struct mega_attr_hard_concrete *a = c->attr;
    const mega_tensor *u = c->in[MEGA_HARD_CONCRETE_U];
    mega_dtype type = mega_wide_type(c);
    int64_t H = mega_count(c->in[MEGA_HARD_CONCRETE_A]);
    switch (a->noise) {
    case MEGA_GATE_NOISE_BATCH: out[0] = mega_shaped(type, 1, H, 0, 0, 0); break;
    case MEGA_GATE_NOISE_EXAMPLE: out[0] = mega_shaped(type, 2, c->rows->B, H, 0, 0); break;
    case MEGA_GATE_NOISE_ELEMENT:
        out[0] = mega_shaped(type, 3, c->rows->B, c->rows->T, H * a->channels, 0);
        break;
    }
    if (u && mega_count(u) != mega_count(&out[0]))
        return mega_op_refuse(c, "u", u, "%lld numbers", (long long)mega_count(&out[0]));
    return MEGA_OK;
}

/* what the draw of an element depends on: the row of the update and the place, as far as the
 * noise differs between them, and the column */
static double drawn(const struct mega_call *c, int64_t r, int64_t j)
{
    const struct mega_attr_hard_concrete *a = c->attr;
    int64_t row = 0, place = 0;
    if (a->noise == MEGA_GATE_NOISE_EXAMPLE) row = mega_rows_number(c->rows, r);
    if (a->noise == MEGA_GATE_NOISE_ELEMENT) {
        row = mega_rows_number(c->rows, r / c->rows->T);
        place = mega_rows_place(c->rows, r / c->rows->T) + r % c->rows->T;
    }
    uint32_t word[4];
    mega_philox(mega_draw_key(c), mega_draw_low(place), mega_draw_high(row, j / 4), word);
    double unit = ((double)word[j & 3] + 0.5) / 4294967296.0;
    return a->gate.eps + (1 - 2 * a->gate.eps) * unit;
}

/* the gate before it is cut */
static double stretched(const struct mega_call *c, int64_t r, int64_t j, double *slope)
{
    const struct mega_attr_hard_concrete *a = c->attr;
    const mega_tensor *given = c->in[MEGA_HARD_CONCRETE_U];
    int64_t width = mega_width(c->out[0]), at = r * width + j, head = j;
    if (a->noise == MEGA_GATE_NOISE_ELEMENT) head /= a->channels;
    double log_a = mega_hard_at(c->in[MEGA_HARD_CONCRETE_A], head), u = 0;
    bool noisy = given || (c->mode & MEGA_RUN_TRAIN);
    if (noisy) u = given ? mega_hard_at(given, at) : drawn(c, r, j);
    return mega_hard_stretch(&a->gate, log_a, noisy ? &u : NULL, slope);
}

static void forward(const struct mega_call *c)
{
    const struct mega_attr_hard_concrete *a = c->attr;
    double slope;
    for (int64_t r = 0, rows = mega_height(c->out[0]), n = mega_width(c->out[0]); r < rows; r++)
        for (int64_t j = 0; j < n; j++) {
            double gate = mega_hard_cut(stretched(c, r, j, &slope));
            mega_put(c->out[0], r, j, a->hard ? gate > 0.5 : gate);
        }
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    const struct mega_attr_hard_concrete *a = c->attr;
    mega_grads_begin(g);
    mega_tensor *to = g->in[MEGA_HARD_CONCRETE_A];
    for (int64_t r = 0, rows = mega_height(c->out[0]), n = mega_width(c->out[0]);
         to && r < rows; r++)
        for (int64_t j = 0; j < n; j++) {
            double slope, t = stretched(c, r, j, &slope);
            int64_t head = a->noise == MEGA_GATE_NOISE_ELEMENT ? j / a->channels : j,
                    width = mega_width(to);
            if (t > 0 && t < 1)
                mega_add_to(to, head / width, head % width, mega_grad_out(g, 0, r, j) * slope);
        }
}

const struct mega_op mega_op_hard_concrete = {
    .name = "hard_concrete",
    .n_in = 2,
    .n_out = 1,
    .optional = 1u << MEGA_HARD_CONCRETE_U,
    .attr_size = sizeof(struct mega_attr_hard_concrete),
    .shape = shape,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
