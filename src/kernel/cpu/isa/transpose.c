/* transpose in float32, by squares that stay in cache. */
#include "kernel/cpu/isa/blocks.h"
#include "kernel/cpu/row_lanes.h"

enum { SIDE = 32 };

struct job {
    struct mega_matrix to, from; /* [rows, columns], [columns, rows] */
    int64_t rows, columns;
    bool add;
};

static void square(const struct job *s, int64_t i, int64_t j)
{
    int64_t end_i = least(i + SIDE, s->rows), end_j = least(j + SIDE, s->columns);
    for (; i < end_i; i++) {
        float *to = mega_matrix_row(s->to, i);
        for (int64_t k = j; k < end_j; k++)
            to[k] = mega_matrix_row(s->from, k)[i] + (s->add ? to[k] : 0);
    }
}

static void lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    (void)scratch;
    const struct job *s = arg;
    for (int64_t j = 0; j < s->columns; j += SIDE) square(s, lane * SIDE, j);
}

static void turn(struct mega_work *work, mega_tensor *to, const mega_tensor *from, bool add)
{
    struct job s = { mega_matrix_of(to, 0, 0), mega_matrix_of(from, 0, 0), mega_height(to),
        mega_width(to), add };
    mega_lanes(work, pieces(s.rows, SIDE), (double)(s.rows * s.columns), lane, &s);
}

static void forward(const struct mega_call *c)
{
    turn(c->work, c->out[0], c->in[0], false);
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    if (!g->in[0] || nothing_arrived(c, g)) return;
    turn(c->work, g->in[0], g->out[0], g->add & 1);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_transpose) = {
    .name = MEGA_ISA_TEXT, .accepts = rows_accept, .forward = forward, .backward = backward
};
