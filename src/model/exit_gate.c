#include "model/exit_gate.h"

#include <math.h>

#include "graph/ops.h"

void mega_exit_gate_build(mega_build *b, struct mega_exit_gate *g,
    const struct mega_exit_options *options, int64_t width)
{
    struct mega_init small = { MEGA_INIT_NORMAL, 0, 0.02 }, zero = { MEGA_INIT_CONSTANT, 0, 0 };
    int64_t one = 1;
    *g = (struct mega_exit_gate){ .options = *options };
    size_t entered = mega_build_enter(b, "exit");
    g->weight = mega_param_add(b, "weight", small, 2, (int64_t[]){ 1, width });
    g->bias = mega_param_add(b, "bias", zero, 1, &one);
    mega_build_leave(b, entered);
}

/* z [.., 1] of each place */
static mega_tensor *gate_of(mega_run *r, const struct mega_exit_gate *g, mega_tensor *x)
{
    return linear(r, x, g->weight, g->bias, MEGA_ACT_LINEAR);
}

/* ---- training: all loops, by their shares ---- */

/* the share of the loop that gave x, of what remains; *entropy grows by the loop's part */
static mega_tensor *share_of(mega_run *r, const struct mega_exit_gate *g, mega_tensor *x,
    mega_tensor *next, mega_tensor **remains, mega_tensor **entropy)
{
    struct mega_call c = { .op = &mega_op_exit_gate };
    c.in[MEGA_EXIT_GATE_Z] = gate_of(r, g, x);
    c.in[MEGA_EXIT_GATE_REST] = *remains;
    c.in[MEGA_EXIT_GATE_TARGET] = next;
    if (!mega_run_call(r, &c, NULL)) return NULL;
    mega_tensor *part = c.out[MEGA_EXIT_GATE_ENTROPY];
    *remains = c.out[MEGA_EXIT_GATE_REMAINS];
    *entropy = *entropy ? add(r, *entropy, part) : part;
    return c.out[MEGA_EXIT_GATE_SHARE];
}

mega_tensor *mega_exit_loss(mega_run *r, const struct mega_exit_gate *g,
    const struct mega_transformer_head *h, mega_tensor *x, mega_tensor *next, double smoothing,
    mega_tensor **each)
{
    mega_tensor *sum = NULL, *remains = NULL, *entropy = NULL;
    int64_t D = mega_width(g->weight), loops = x ? mega_width(x) / D : 0;
    for (int64_t t = 0; t < loops; t++) {
        bool last = t + 1 == loops;
        mega_tensor *of_loop = columns(r, x, t * D, D), *share = remains;
        if (!last) share = share_of(r, g, of_loop, next, &remains, &entropy);
        mega_tensor *loss = mega_transformer_head_loss(
            r, h, of_loop, next, share, smoothing, last ? each : NULL);
        sum = sum ? add(r, sum, loss) : loss;
    }
    if (g->options.entropy > 0) mega_run_more(r, entropy, -g->options.entropy);
    return sum;
}

/* ---- otherwise: one loop for each place ---- */

static bool begin(mega_run *r, struct mega_exit_choice *k, int64_t places)
{
    k->stays = mega_run_memory(r, (size_t)(places + 1) * sizeof *k->stays);
    k->left = mega_run_memory(r, (size_t)(places + 1) * sizeof *k->left);
    if (!k->stays || !k->left) return false;
    for (int64_t i = 0; i < places; i++) {
        k->stays[i] = 1;
        k->left[i] = false;
    }
    return true;
}

/* places that were left keep what they have */
static mega_tensor *chosen(
    mega_run *r, const struct mega_exit_choice *k, mega_tensor *x, int64_t places)
{
    struct mega_call c = { .op = &mega_op_choose };
    mega_tensor *which = mega_run_tensor(r, MEGA_I32, 1, &places);
    for (int64_t i = 0; which && which->data && i < places; i++)
        ((int32_t *)which->data)[i] = !k->left[i];
    c.in[MEGA_CHOOSE_WHICH] = which;
    c.in[MEGA_CHOOSE_X] = k->y;
    c.in[MEGA_CHOOSE_X + 1] = x;
    return mega_run_call(r, &c, NULL);
}

bool mega_exit_take(mega_run *r, const struct mega_exit_gate *g, struct mega_exit_choice *k,
    mega_tensor *x, const struct mega_rows *rows)
{
    int64_t places = rows->B * rows->T;
    if (!(g->options.at > 0 && g->options.at < 1) || mega_run_status(r)) {
        k->y = x;
        return false;
    }
    if (k->y)
        k->y = chosen(r, k, x, places);
    else
        k->y = begin(r, k, places) ? x : NULL;
    mega_tensor *z = gate_of(r, g, x);
    if (!k->y || !z) return false;
    mega_run_need(r, z);
    bool all = z->data != NULL; /* in a dry run nobody leaves */
    for (int64_t i = 0; z->data && i < places; i++) {
        k->stays[i] /= 1 + exp(mega_get(z, i, 0));
        k->left[i] |= 1 - k->stays[i] >= g->options.at;
        if (mega_rows_real(rows, i / rows->T, i % rows->T)) all &= k->left[i];
    }
    return all;
}
