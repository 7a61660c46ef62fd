/* position_embedding: absolute positions added to x, y = x + scale gain e(position).
 *
 *   learned:    e(p) = table[p]
 *   sinusoidal: e(p)[2t], e(p)[2t + 1] = sin(p w_t), cos(p w_t)   (Vaswani et al., 2017)
 *   halves:     e(p)[t], e(p)[t + D/2] = sin(p w_t), cos(p w_t)
 *
 * with w_t = 10000^(-2t / D). Places beyond a row's len stay as they are. */
#include "op/contracts.h"
#include "op/position.h"

enum { X = MEGA_POSITION_X, TABLE = MEGA_POSITION_TABLE, GAIN = MEGA_POSITION_GAIN };

/* the largest position in use, -1 if there is none */
static int64_t last_position(const struct mega_rows *r)
{
    int64_t last = -1;
    for (int64_t b = 0; b < r->B; b++) {
        int64_t lead = mega_position_lead(r, b), len = mega_rows_len(r, b);
        for (int64_t t = r->doc ? 0 : len - 1; t >= 0 && t < len; t++) {
            int64_t position = mega_position(r, b, t, lead);
            if (position > last) last = position;
        }
    }
    return last;
}

static mega_status check_table(const struct mega_call *c)
{
    const struct mega_attr_position_embedding *a = c->attr;
    const mega_tensor *table = c->in[TABLE];
    int64_t D = mega_width(c->in[X]), last;
    if ((a->kind == MEGA_POSITION_LEARNED) != (table != NULL))
        return mega_op_refuse(c, "the table", table, "one for learned positions, else none");
    if (!table && D % 2)
        return mega_op_refuse(c, "x", c->in[X], "an even width for sines and cosines");
    if (!table) return MEGA_OK;
    if (table->rank != 2 || table->dim[1] != D)
        return mega_op_refuse(c, "the table", table, "[positions, %lld]", (long long)D);
    last = last_position(c->rows);
    if (last >= table->dim[0])
        return mega_fail(MEGA_BAD_ARGUMENT,
            "position_embedding: position %lld, but the table covers %lld: raise the model's "
            "longest length",
            (long long)last, (long long)table->dim[0]);
    return MEGA_OK;
}

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const mega_tensor *x = c->in[X];
    int64_t B = c->rows->B, T = c->rows->T;
    if (x->rank != 3 || x->dim[0] != B || x->dim[1] != T)
        return mega_op_refuse(c, "x", x, "[%lld, %lld, D]", (long long)B, (long long)T);
    MEGA_TRY(check_table(c));
    if (c->in[GAIN] && mega_count(c->in[GAIN]) != 1)
        return mega_op_refuse(c, "gain", c->in[GAIN], "[1]");
    out[0] = mega_activation(c, x);
    return MEGA_OK;
}

/* channel d of e(position) */
static double channel(const struct mega_call *c, int64_t position, int64_t d)
{
    const struct mega_attr_position_embedding *a = c->attr;
    int64_t D = mega_width(c->in[X]);
    if (a->kind == MEGA_POSITION_LEARNED) return mega_get(c->in[TABLE], position, d);
    bool halves = a->kind == MEGA_POSITION_HALVES;
    int64_t t = halves ? d % (D / 2) : d / 2;
    double angle = (double)position * mega_frequency(t, D, 10000);
    return (halves ? d < D / 2 : d % 2 == 0) ? sin(angle) : cos(angle);
}

/* the position of row r of x; -1 beyond the row's len */
static int64_t position_of(const struct mega_call *c, int64_t r)
{
    int64_t T = c->rows->T, b = r / T, t = r % T;
    if (t >= mega_rows_len(c->rows, b)) return -1;
    return mega_position(c->rows, b, t, mega_position_lead(c->rows, b));
}

static double factor(const struct mega_call *c)
{
    const struct mega_attr_position_embedding *a = c->attr;
    return a->scale * (c->in[GAIN] ? mega_get(c->in[GAIN], 0, 0) : 1);
}

static void forward(const struct mega_call *c)
{
    for (int64_t r = 0, n = mega_height(c->in[X]), D = mega_width(c->in[X]); r < n; r++) {
        int64_t position = position_of(c, r);
        for (int64_t d = 0; d < D; d++)
            mega_put(c->out[0], r, d,
                mega_get(c->in[X], r, d) +
                    (position < 0 ? 0 : factor(c) * channel(c, position, d)));
    }
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    const struct mega_attr_position_embedding *a = c->attr;
    double gain = 0;
    mega_grads_begin(g);
    for (int64_t r = 0, n = mega_height(c->in[X]), D = mega_width(c->in[X]); r < n; r++) {
        int64_t position = position_of(c, r);
        for (int64_t d = 0; d < D; d++) {
            double dy = mega_grad_out(g, 0, r, d);
            mega_grad_add(g, X, r, d, dy);
            if (position < 0) continue;
            if (c->in[TABLE]) mega_grad_add(g, TABLE, position, d, factor(c) * dy);
            if (c->in[GAIN]) gain += a->scale * dy * channel(c, position, d);
        }
    }
    mega_grad_add(g, GAIN, 0, 0, gain);
}

const struct mega_op mega_op_position_embedding = {
    .name = "position_embedding",
    .n_in = 3,
    .n_out = 1,
    .optional = 1u << TABLE | 1u << GAIN,
    .attr_size = sizeof(struct mega_attr_position_embedding),
    .shape = shape,
    .unread = 1u << 0,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
