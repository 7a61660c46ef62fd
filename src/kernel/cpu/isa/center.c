/* center in float32: x less its mean over the real places of a row, or that mean. A lane has
 * some channels of a row. The gradient is the same map of the gradient. */
#include "kernel/cpu/isa/blocks.h"
#include "kernel/cpu/row_lanes.h"

enum { CHANNELS = 64 }; /* of a lane */

struct center {
    const struct mega_call *c;
    const mega_tensor *from;
    mega_tensor *to;
    bool add;
    int64_t blocks; /* of channels */
};

static void mean_of(const struct center *m, int64_t b, int64_t at, int64_t n, float *mean)
{
    int64_t T = m->c->rows->T, real = 0;
    double sum[CHANNELS] = { 0 };
    for (int64_t t = 0; t < T; t++) {
        if (!mega_rows_real(m->c->rows, b, t)) continue;
        const float *x = row_of(m->from, b * T + t) + at;
        for (int64_t j = 0; j < n; j++) sum[j] += (double)x[j];
        real++;
    }
    for (int64_t j = 0; j < n; j++) mean[j] = real ? (float)(sum[j] / (double)real) : 0;
}

static void lane(void *arg, int64_t i, struct mega_arena *scratch)
{
    (void)scratch;
    const struct center *m = arg;
    int64_t b = i / m->blocks, at = i % m->blocks * CHANNELS, T = m->c->rows->T,
            n = least(CHANNELS, mega_width(m->from) - at);
    bool alone = ((const struct mega_attr_center *)m->c->attr)->mean;
    float mean[CHANNELS];
    mean_of(m, b, at, n, mean);
    for (int64_t t = 0; t < T; t++) {
        const float *x = row_of(m->from, b * T + t) + at;
        float *y = row_of(m->to, b * T + t) + at;
        bool real = mega_rows_real(m->c->rows, b, t);
        for (int64_t j = 0; j < n; j += VEC) {
            vec v = vec_get(mean + j, n - j);
            if (!alone) v = vec_get(x + j, n - j) - v;
            vec_give(y + j, real ? v : vec_all(0), m->add, n - j);
        }
    }
}

static void map(struct center m)
{
    m.blocks = (mega_width(m.from) + CHANNELS - 1) / CHANNELS;
    mega_lanes(m.c->work, m.c->rows->B * m.blocks, 4.0 * (double)mega_count(m.from), lane, &m);
}

static void forward(const struct mega_call *c)
{
    map((struct center){ c, c->in[0], c->out[0], false, 0 });
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    if (!g->in[0] || nothing_arrived(c, g)) return;
    map((struct center){ c, g->out[0], g->in[0], g->add & 1, 0 });
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_center) = {
    .name = MEGA_ISA_TEXT, .accepts = rows_accept, .forward = forward, .backward = backward
};
