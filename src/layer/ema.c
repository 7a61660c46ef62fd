#include "layer/ema.h"

#include <string.h>

#include "graph/ops.h"

void mega_ema_build(mega_build *b, struct mega_ema *e, int64_t width, int64_t states,
    bool two_way, int64_t truncation)
{
    *e = (struct mega_ema){ .two_way = two_way, .truncation = truncation > 0 ? truncation : 0 };
    int64_t rows = two_way ? 2 * width : width, dim[] = { rows, states, 1 };
    struct mega_init logits = { MEGA_INIT_NORMAL, 0, 0.2 },
                     signs = { MEGA_INIT_ALTERNATE, 0, 0.02 };
    struct mega_init normal = { MEGA_INIT_NORMAL, 0, 1 };
    e->delta = mega_param_add(b, "delta", logits, 3, dim);
    e->alpha = mega_param_add(b, "alpha", logits, 3, dim);
    e->beta = mega_param_add(b, "beta", signs, 3, dim);
    e->gamma = mega_param_add(b, "gamma", normal, 2, dim);
    e->omega = mega_param_add(b, "omega", normal, 1, &width);
    if (!two_way)
        e->state = mega_cell_add(
            b, "state", MEGA_CELL_ROW, MEGA_F32, 2, (int64_t[]){ width, states }, 0);
}

mega_tensor *mega_ema_run(
    mega_run *r, const struct mega_ema *e, mega_tensor *x, const struct mega_rows *rows)
{
    mega_tensor *h = e->state ? mega_cell_get(r, e->state) : NULL;
    struct mega_attr_ema a;
    memset(&a, 0, sizeof a);
    a.two_way = e->two_way;
    a.state = h != NULL;
    a.truncation = e->truncation;
    /* by rows it needs nothing kept, but sees a sum that bfloat16 has rounded */
    bool by_rows = (mega_run_mode(r) & MEGA_RUN_GRAD) && mega_run_dtype(r) != MEGA_BF16;
    a.silu = !by_rows;
    struct mega_call c = { .op = &mega_op_ema, .attr = &a, .rows = rows };
    c.in[MEGA_EMA_X] = x;
    c.in[MEGA_EMA_DELTA] = e->delta;
    c.in[MEGA_EMA_ALPHA] = e->alpha;
    c.in[MEGA_EMA_BETA] = e->beta;
    c.in[MEGA_EMA_GAMMA] = e->gamma;
    c.in[MEGA_EMA_OMEGA] = e->omega;
    c.in[MEGA_EMA_H] = h;
    mega_tensor *y = mega_run_call(r, &c, NULL);
    if (h) mega_cell_set(r, e->state, c.out[1]);
    return a.silu ? y : activation(r, y, MEGA_ACT_SILU);
}
