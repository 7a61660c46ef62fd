/* band: where an id lies in a vocabulary that is cut into bands (adaptive input and softmax:
 * Baevski and Auli, 2019; Grave et al., 2017). */
#include "op/contracts.h"

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const struct mega_attr_band *a = c->attr;
    if (c->in[0]->dtype != MEGA_I32) return mega_op_refuse(c, "ids", c->in[0], "I32");
    if (a->bands < 1 || a->bands > MEGA_BANDS || a->form >= a->bands)
        return mega_fail(MEGA_INTERNAL, "band: form %lld of %lld bands", (long long)a->form,
            (long long)a->bands);
    out[0] = mega_like(c->in[0], MEGA_I32);
    return MEGA_OK;
}

static int64_t number(const struct mega_attr_band *a, int64_t id)
{
    int64_t band = 0;
    while (band < a->bands && id >= a->end[band]) band++;
    if (id < 0 || band == a->bands) return -1;
    if (a->form == MEGA_BAND_WHICH) return band;
    if (a->form == MEGA_BAND_HEAD) return band ? a->end[0] + band - 1 : id;
    int64_t inside = band ? id - a->end[band - 1] : id;
    return band != a->form || inside == a->left_out ? -1 : inside;
}

static void forward(const struct mega_call *c)
{
    for (int64_t r = 0, width = mega_width(c->in[0]); r < mega_height(c->in[0]); r++)
        for (int64_t j = 0; j < width; j++)
            ((int32_t *)mega_row(c->out[0], r))[j] =
                (int32_t)number(c->attr, ((const int32_t *)mega_row(c->in[0], r))[j]);
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    (void)c;
    mega_grads_begin(g);
}

const struct mega_op mega_op_band = {
    .name = "band",
    .n_in = 1,
    .n_out = 1,
    .attr_size = sizeof(struct mega_attr_band),
    .shape = shape,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
