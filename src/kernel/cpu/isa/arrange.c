/* arrange in float32: rows are copied. A lane has a row of text; the gradient of the learned
 * rows is summed on one thread, in the order of the places. */
#include "kernel/cpu/row_lanes.h"

enum { X = MEGA_ARRANGE_X, INDEX = MEGA_ARRANGE_INDEX, EXTRA = MEGA_ARRANGE_EXTRA };

struct job {
    const struct mega_call *c;
    struct mega_grads *g;
    int64_t T, all, width; /* places before and after */
};

static bool accepts(const struct mega_call *c, const char **why)
{
    *why = "float32 only";
    return c->in[X]->dtype == MEGA_F32 && c->out[0]->dtype == MEGA_F32 &&
           (!c->in[EXTRA] || c->in[EXTRA]->dtype == MEGA_F32);
}

static const int32_t *index_of(const struct job *j, int64_t b)
{
    return (const int32_t *)j->c->in[INDEX]->data + b * j->all;
}

static void forward_lane(void *arg, int64_t b, struct mega_arena *scratch)
{
    (void)scratch;
    const struct job *j = arg;
    const int32_t *index = index_of(j, b);
    size_t bytes = (size_t)j->width * sizeof(float);
    for (int64_t t = 0; t < j->all; t++) {
        float *to = row_of(j->c->out[0], b * j->all + t);
        if (index[t] == MEGA_ARRANGE_NOTHING)
            memset(to, 0, bytes);
        else if (index[t] < 0)
            memcpy(to, row_of(j->c->in[EXTRA], -1 - (int64_t)index[t]), bytes);
        else
            memcpy(to, row_of(j->c->in[X], b * j->T + index[t]), bytes);
    }
}

static void add_row(float *to, const float *from, int64_t n)
{
    for (int64_t k = 0; k < n; k += VEC) vec_add_to(to + k, vec_get(from + k, n - k), n - k);
}

static void backward_lane(void *arg, int64_t b, struct mega_arena *scratch)
{
    (void)scratch;
    const struct job *j = arg;
    const int32_t *index = index_of(j, b);
    for (int64_t t = 0; t < j->T && !(j->g->add >> X & 1); t++)
        memset(row_of(j->g->in[X], b * j->T + t), 0, (size_t)j->width * sizeof(float));
    for (int64_t t = 0; t < j->all; t++)
        if (index[t] >= 0)
            add_row(row_of(j->g->in[X], b * j->T + index[t]),
                row_of(j->g->out[0], b * j->all + t), j->width);
}

static struct job job_of(const struct mega_call *c, struct mega_grads *g)
{
    return (struct job){ c, g, c->in[X]->dim[1], c->in[INDEX]->dim[1], mega_width(c->in[X]) };
}

static void forward(const struct mega_call *c)
{
    struct job j = job_of(c, NULL);
    mega_lanes(c->work, c->in[X]->dim[0], (double)mega_count(c->out[0]) / 4, forward_lane, &j);
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    if (nothing_arrived(c, g)) return;
    struct job j = job_of(c, g);
    int64_t B = c->in[X]->dim[0];
    if (g->in[X]) mega_lanes(c->work, B, (double)mega_count(c->out[0]), backward_lane, &j);
    if (!g->in[EXTRA]) return;
    if (!(g->add >> EXTRA & 1)) mega_tensor_zero(g->in[EXTRA]);
    for (int64_t r = 0; r < B * j.all; r++) {
        int32_t i = ((const int32_t *)c->in[INDEX]->data)[r];
        if (i < 0 && i != MEGA_ARRANGE_NOTHING)
            add_row(row_of(g->in[EXTRA], -1 - (int64_t)i), row_of(g->out[0], r), j.width);
    }
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_arrange) = {
    .name = MEGA_ISA_TEXT, .accepts = accepts, .forward = forward, .backward = backward
};
