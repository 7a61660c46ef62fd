#include "layer/cema.h"

#include "graph/ops.h"

void mega_cema_build(mega_build *b, struct mega_cema *e, int64_t width, int64_t states)
{
    struct mega_init logits = { MEGA_INIT_NORMAL, 0, 0.2 }, angles = { MEGA_INIT_ANGLES, 0, 0 },
                     real = { MEGA_INIT_REAL, 0, 1 }, cut = { MEGA_INIT_TRUNCATED, 1, 0.25 };
    int64_t logit[] = { width, states, 1 }, pair[] = { width, states, 2 };
    e->alpha = mega_param_add(b, "alpha", logits, 3, logit);
    e->delta = mega_param_add(b, "delta", logits, 3, logit);
    e->theta = mega_param_add(b, "theta", angles, 3, (int64_t[]){ width, 1, 1 });
    e->gamma = mega_param_add(b, "gamma", real, 3, pair);
    e->omega = mega_param_add(b, "omega", cut, 2, (int64_t[]){ width, 1 });
    e->state = mega_cell_add(b, "state", MEGA_CELL_ROW, MEGA_F32, 3, pair, 0);
}

mega_tensor *mega_cema_run(
    mega_run *r, const struct mega_cema *e, mega_tensor *x, const struct mega_rows *rows)
{
    mega_tensor *h = mega_cell_get(r, e->state);
    struct mega_attr_cema a = { .state = h != NULL };
    struct mega_call c = { .op = &mega_op_cema, .attr = &a, .rows = rows };
    c.in[MEGA_CEMA_X] = x;
    c.in[MEGA_CEMA_ALPHA] = e->alpha;
    c.in[MEGA_CEMA_DELTA] = e->delta;
    c.in[MEGA_CEMA_THETA] = e->theta;
    c.in[MEGA_CEMA_GAMMA] = e->gamma;
    c.in[MEGA_CEMA_OMEGA] = e->omega;
    c.in[MEGA_CEMA_H] = h;
    mega_tensor *y = mega_run_call(r, &c, NULL);
    if (h) mega_cell_set(r, e->state, c.out[1]);
    return y;
}
