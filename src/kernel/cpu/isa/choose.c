/* choose: rows are copied as they are, in float32 or bfloat16. */
#include "kernel/cpu/isa/blocks.h"
#include "kernel/cpu/row_lanes.h"

enum { WHICH = MEGA_CHOOSE_WHICH, X = MEGA_CHOOSE_X };

static bool accepts(const struct mega_call *c, const char **why)
{
    mega_dtype type = c->out[0]->dtype;
    *why = "activations of one type, float32 or bfloat16";
    for (int i = X; i < MEGA_IN; i++)
        if (c->in[i] && c->in[i]->dtype != type) return false;
    return type == MEGA_F32 || type == MEGA_BF16;
}

static int32_t which_of(const struct mega_call *c, int64_t r)
{
    return ((const int32_t *)c->in[WHICH]->data)[r];
}

/* a lane has some rows of all */
struct job {
    const struct mega_call *c;
    struct mega_grads *g;
    int64_t rows, width;
    size_t bytes; /* of a row */
};

static void forward_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    (void)scratch;
    const struct job *j = arg;
    int64_t end = least(j->rows, (lane + 1) * ROWS_A_LANE);
    for (int64_t r = lane * ROWS_A_LANE; r < end; r++) {
        int32_t from = which_of(j->c, r);
        void *to = mega_row(j->c->out[0], r);
        if (from < 0)
            memset(to, 0, j->bytes);
        else
            memcpy(to, mega_row(j->c->in[X + from], r), j->bytes);
    }
}

/* to = dy where the row chose it, else 0; or to += the same */
static void give(const struct job *j, void *to, const void *dy, bool add, float *room)
{
    if (!dy && !add) memset(to, 0, j->bytes);
    if (!dy) return;
    if (!add) {
        memcpy(to, dy, j->bytes);
    } else if (is_half(j->c)) {
        row_functions->widen(room, dy, j->width);
        row_functions->narrow_add(to, room, j->width);
    } else {
        row_functions->add_scaled(to, dy, 1, j->width);
    }
}

static void backward_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    const struct job *j = arg;
    int64_t end = least(j->rows, (lane + 1) * ROWS_A_LANE);
    float *room = mega_arena_get(scratch, (size_t)j->width * sizeof *room);
    for (int i = X; i < MEGA_IN; i++)
        for (int64_t r = lane * ROWS_A_LANE; j->g->in[i] && r < end; r++)
            give(j, mega_row(j->g->in[i], r),
                which_of(j->c, r) == i - X ? mega_row(j->g->out[0], r) : NULL,
                j->g->add >> i & 1, room);
}

static void run(const struct mega_call *c, struct mega_grads *g,
    void (*lane)(void *, int64_t, struct mega_arena *))
{
    struct job j = { c, g, mega_height(c->in[X]), mega_width(c->in[X]), 0 };
    j.bytes = (size_t)j.width * mega_dtype_size(c->out[0]->dtype);
    mega_lanes(c->work, pieces(j.rows, ROWS_A_LANE), (double)(j.rows * j.width) / 4, lane, &j);
}

static void forward(const struct mega_call *c)
{
    run(c, NULL, forward_lane);
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    if (nothing_arrived(c, g)) return;
    uint32_t chosen = 0;
    for (int64_t r = 0; r < mega_height(c->in[X]); r++)
        if (which_of(c, r) >= 0) chosen |= 1u << (X + which_of(c, r));
    g->touched &= chosen;
    run(c, g, backward_lane);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_choose) = {
    .name = MEGA_ISA_TEXT, .accepts = accepts, .forward = forward, .backward = backward
};
