/* shift: groups of channels moved along the sequence, inside each document (token shift of
 * RWKV; in vision: 2106.07477). */
#include "op/shift.h"

enum { X = MEGA_SHIFT_X, PAST = MEGA_SHIFT_PAST };

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const struct mega_attr_shift *a = c->attr;
    const mega_tensor *x = c->in[X], *past = c->in[PAST];
    int64_t B = c->rows->B;
    if (x->rank != 3 || x->dim[0] != B || x->dim[1] != c->rows->T)
        return mega_op_refuse(
            c, "x", x, "[%lld, %lld, D]", (long long)B, (long long)c->rows->T);
    if (past && (past->rank != 3 || past->dim[0] != B || past->dim[1] != a->steps ||
                    past->dim[2] != x->dim[2]))
        return mega_op_refuse(c, "past", past, "[%lld, %lld, %lld]", (long long)B,
            (long long)a->steps, (long long)x->dim[2]);
    if (a->two_way && (past || a->state))
        return mega_op_refuse(c, "past", past, "none where values come from both sides");
    out[0] = mega_activation(c, x);
    if (a->state) out[1] = mega_shaped(mega_wide_type(c), 3, B, a->steps, x->dim[2], 0);
    return MEGA_OK;
}

/* how many places earlier channel j comes from */
static int64_t distance(const struct mega_call *c, int64_t j)
{
    const struct mega_attr_shift *a = c->attr;
    int64_t groups = mega_shift_groups(a), size = mega_width(c->in[X]) / groups;
    int64_t group = size ? j / size : groups;
    return group >= groups ? 0 : group - (a->two_way ? a->steps : 0);
}

static void forward(const struct mega_call *c)
{
    const struct mega_attr_shift *a = c->attr;
    int64_t T = c->rows->T, D = mega_width(c->in[X]), row;
    for (int64_t r = 0; r < c->rows->B * T; r++)
        for (int64_t j = 0; j < D; j++) {
            int from = mega_shift_source(c, r / T, r % T, distance(c, j), &row);
            mega_put(c->out[0], r, j, from < 0 ? 0 : mega_get(c->in[from], row, j));
        }
    for (int64_t r = 0; c->out[1] && r < c->rows->B * a->steps; r++) {
        int from = mega_shift_kept(c, r / a->steps, r % a->steps, &row);
        for (int64_t j = 0; j < D; j++)
            mega_put(c->out[1], r, j, from < 0 ? 0 : mega_get(c->in[from], row, j));
    }
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    const struct mega_attr_shift *a = c->attr;
    int64_t T = c->rows->T, D = mega_width(c->in[X]), row;
    mega_grads_begin(g);
    for (int64_t r = 0; r < c->rows->B * T; r++)
        for (int64_t j = 0; j < D; j++) {
            int from = mega_shift_source(c, r / T, r % T, distance(c, j), &row);
            if (from >= 0) mega_grad_add(g, from, row, j, mega_grad_out(g, 0, r, j));
        }
    for (int64_t r = 0; c->out[1] && r < c->rows->B * a->steps; r++) {
        int from = mega_shift_kept(c, r / a->steps, r % a->steps, &row);
        for (int64_t j = 0; from >= 0 && j < D; j++)
            mega_grad_add(g, from, row, j, mega_grad_out(g, 1, r, j));
    }
}

const struct mega_op mega_op_shift = {
    .name = "shift",
    .n_in = 2,
    .n_out = 2,
    .optional = 1u << PAST,
    .attr_size = sizeof(struct mega_attr_shift),
    .shape = shape,
    .unread = 3u,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
