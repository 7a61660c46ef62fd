#include "layer/attention_hybrid.h"

#include <string.h>

#include "graph/ops.h"

/* ---- declaration ---- */

static mega_tensor *declare(
    mega_build *b, const char *name, struct mega_init init, int64_t rows, int64_t columns)
{
    size_t entered = mega_build_enter(b, "%s", name);
    mega_tensor *w = mega_param_add(b, "weight", init, 2, (int64_t[]){ rows, columns });
    mega_build_leave(b, entered);
    return w;
}

void mega_attention_hybrid_build(
    mega_build *b, struct mega_attention_hybrid *m, const struct mega_attention_options *o)
{
    struct mega_init small = { MEGA_INIT_NORMAL, 0, 0.02 }, zero = { MEGA_INIT_CONSTANT, 0, 0 };
    int64_t width = o->heads * o->values, N = o->output.hybrid_states;
    if (!o->output.hybrid) return;
    size_t entered = mega_build_enter(b, "hybrid");
    m->in = declare(b, "in", small, width, o->width);
    m->own_norm = declare(b, "own_norm", zero, o->heads, o->values);
    m->norm = declare(b, "norm", zero, o->heads, o->values);
    if (o->output.hybrid_mix) m->mix = declare(b, "mix", zero, o->heads, o->width);
    if (o->output.hybrid == MEGA_HYBRID_EMA)
        mega_ema_build(b, &m->ema, width, N, !o->causal, 0);
    else
        mega_cema_build(b, &m->cema, width, N);
    mega_build_leave(b, entered);
}

void mega_attention_hybrid_states(
    mega_build *b, struct mega_attention_hybrid *m, const struct mega_attention_options *o)
{
    int64_t state[] = { o->heads * o->values, o->output.hybrid_states, 2 };
    bool real = o->output.hybrid == MEGA_HYBRID_EMA;
    if (!o->output.hybrid || (real && !o->causal)) return;
    size_t entered = mega_build_enter(b, "hybrid");
    struct mega_cell *c =
        mega_cell_add(b, "state", MEGA_CELL_ROW, MEGA_F32, real ? 2 : 3, state, 0);
    mega_build_leave(b, entered);
    *(real ? &m->ema.state : &m->cema.state) = c;
}

/* ---- running ---- */

static mega_tensor *normalised(
    mega_run *r, const struct mega_attention_options *o, mega_tensor *x, mega_tensor *weight)
{
    struct mega_attr_head_norm a;
    memset(&a, 0, sizeof a);
    a.kind = MEGA_HEAD_NORM_RMS;
    a.unit_offset = true;
    a.heads = o->heads;
    a.eps = o->norm_eps > 0 ? o->norm_eps : MEGA_NORM_EPS;
    return mega_run_call(r,
        &(struct mega_call){ .op = &mega_op_head_norm, .in = { x, weight }, .attr = &a }, NULL);
}

mega_tensor *mega_attention_hybrid_run(mega_run *r, const struct mega_attention_hybrid *m,
    const struct mega_attention_options *o, mega_tensor *y, mega_tensor *z,
    const struct mega_rows *rows)
{
    if (!m->in) return y;
    mega_tensor *x = linear(r, z, m->in, NULL, MEGA_ACT_LINEAR);
    mega_tensor *other = o->output.hybrid == MEGA_HYBRID_EMA
                             ? mega_ema_run(r, &m->ema, x, rows)
                             : mega_cema_run(r, &m->cema, x, rows);
    y = normalised(r, o, y, m->own_norm);
    other = normalised(r, o, other, m->norm);
    if (!m->mix) return scale(r, add(r, y, other), NULL, 0.5);
    mega_tensor *mu = linear(r, z, m->mix, NULL, MEGA_ACT_LINEAR);
    mega_tensor *change = add(r, y, scale(r, other, NULL, -1));
    return add(r, head_gate(r, change, NULL, mu, o->heads, MEGA_ACT_SIGMOID), other);
}
