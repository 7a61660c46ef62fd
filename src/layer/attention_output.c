#include "layer/attention_output.h"

#include "graph/ops.h"

/* ---- declaration ---- */

static int64_t believed(const struct mega_attention_options *o)
{
    bool both = o->output.belief == (MEGA_BELIEF_WHOLE | MEGA_BELIEF_HEADS);
    return o->heads * o->values * (both ? 2 : 1);
}

int64_t mega_attention_output_reads(const struct mega_attention_options *o)
{
    return believed(o) +
           (o->output.on_attn == MEGA_ON_ATTENTION_PAPER ? o->heads * o->keys : 0);
}

int64_t mega_attention_output_makes(const struct mega_attention_options *o)
{
    return o->output.on_attn ? 2 * o->width : o->width;
}

static mega_tensor *declare_weight(
    mega_build *b, const char *name, struct mega_init init, int64_t rows, int64_t columns)
{
    return mega_param_add(b, name, init, 2, (int64_t[]){ rows, columns });
}

/* weights are zero at first, so that the bias alone says how far a gate is open */
static void declare_gate(mega_build *b, const char *name, struct mega_attention_gate *g,
    const struct mega_attention_options *o, int64_t rows, bool biased, double start)
{
    struct mega_init zero = { MEGA_INIT_CONSTANT, 0, 0 }, small = { MEGA_INIT_NORMAL, 0, 0.02 },
                     open = { MEGA_INIT_CONSTANT, start, 0 };
    int64_t R = o->output.gate_rank, out = o->heads * o->values;
    size_t entered = mega_build_enter(b, "%s", name);
    if (R) g->down = declare_weight(b, "down", small, R, o->width);
    g->weight = declare_weight(b, "weight", zero, rows, R ? R : o->width);
    if (biased) g->bias = mega_param_add(b, "bias", open, 1, &rows);
    if (o->output.gate_output) {
        if (R) g->out_down = declare_weight(b, "out_down", small, R, out);
        g->out_weight = declare_weight(b, "out", zero, rows, R ? R : out);
    }
    mega_build_leave(b, entered);
}

void mega_attention_output_build(
    mega_build *b, struct mega_attention_output *m, const struct mega_attention_options *o)
{
    const struct mega_attention_output_options *a = &o->output;
    if (a->head_scale)
        m->head_scale = mega_param_add(
            b, "head_scale", (struct mega_init){ MEGA_INIT_CONSTANT, 1, 0 }, 1, &o->heads);
    if (a->gate_heads) declare_gate(b, "head_gate", &m->head_gate, o, o->heads, true, 10);
    if (a->gate_values)
        declare_gate(b, "gate", &m->gate, o, o->heads * o->values, a->gate_bias, 1);
    mega_attention_hybrid_build(b, &m->hybrid, o);
    if (!a->inner_norm) return;
    struct mega_norm_options norm = a->norm;
    norm.width = believed(o);
    size_t entered = mega_build_enter(b, "inner_norm");
    mega_norm_declare(b, &m->inner, &norm);
    mega_build_leave(b, entered);
}

/* ---- running ---- */

/* what opens a gate: what the input says, and what the heads bring, if it is asked */
static mega_tensor *opening(
    mega_run *r, const struct mega_attention_gate *g, mega_tensor *z, mega_tensor *y)
{
    if (g->down) z = linear(r, z, g->down, NULL, MEGA_ACT_SILU);
    z = linear(r, z, g->weight, g->bias, MEGA_ACT_LINEAR);
    if (!g->out_weight) return z;
    if (g->out_down) y = linear(r, y, g->out_down, NULL, MEGA_ACT_SILU);
    return add(r, z, linear(r, y, g->out_weight, NULL, MEGA_ACT_LINEAR));
}

static mega_tensor *scale_heads(mega_run *r, const struct mega_attention_output *m,
    const struct mega_attention_options *o, mega_tensor *y, enum mega_act act,
    const struct mega_attention_output_args *args)
{
    mega_tensor *gates = NULL;
    y = mega_head_gates_run(r, args->gates, y, args->rows);
    y = mega_head_gates_run(r, args->group_gates, y, args->rows);
    if (m->head_gate.weight) gates = opening(r, &m->head_gate, args->z, y);
    if (!m->head_scale && !gates) return y;
    return head_gate(r, y, m->head_scale, gates, o->heads, act);
}

static mega_tensor *reject(mega_run *r, const struct mega_attention_options *o, mega_tensor *y,
    mega_tensor *v, bool whole)
{
    struct mega_attr_reject a;
    memset(&a, 0, sizeof a);
    a.heads = o->heads;
    a.kv_heads = o->kv_heads;
    a.whole = whole;
    return mega_run_call(
        r, &(struct mega_call){ .op = &mega_op_reject, .in = { y, v }, .attr = &a }, NULL);
}

static mega_tensor *believe(
    mega_run *r, const struct mega_attention_options *o, mega_tensor *y, mega_tensor *v)
{
    switch (o->output.belief) {
    case MEGA_BELIEF_WHOLE: return reject(r, o, y, v, true);
    case MEGA_BELIEF_HEADS: return reject(r, o, y, v, false);
    case MEGA_BELIEF_WHOLE | MEGA_BELIEF_HEADS:
        return concat(r, reject(r, o, y, v, true), reject(r, o, y, v, false));
    }
    return y;
}

/* a sigmoid(c) of the projection's two halves */
static mega_tensor *project(mega_run *r, const struct mega_attention_options *o, mega_tensor *y,
    mega_tensor *weight, mega_tensor *bias, mega_tensor *q)
{
    if (o->output.on_attn == MEGA_ON_ATTENTION_PAPER) y = concat(r, q, y);
    y = linear(r, y, weight, bias, MEGA_ACT_LINEAR);
    if (!o->output.on_attn) return y;
    return gate(
        r, columns(r, y, 0, o->width), columns(r, y, o->width, o->width), MEGA_ACT_SIGMOID);
}

mega_tensor *mega_attention_output_run(mega_run *r, const struct mega_attention_output *m,
    const struct mega_attention_options *o, mega_tensor *y, mega_tensor *weight,
    mega_tensor *bias, const struct mega_attention_output_args *args)
{
    enum mega_act act = o->output.gate_act ? MEGA_ACT_SILU : MEGA_ACT_SIGMOID;
    if (o->prepare.laser) y = laser(r, y, 0);
    y = scale_heads(r, m, o, y, act, args);
    y = mega_attention_hybrid_run(r, &m->hybrid, o, y, args->z, args->rows);
    if (m->gate.weight) y = gate(r, y, opening(r, &m->gate, args->z, y), act);
    y = believe(r, o, y, args->v);
    if (o->output.inner_norm) y = mega_norm_run(r, &m->inner, y);
    return mask_padding(r, project(r, o, y, weight, bias, args->q), args->rows);
}
