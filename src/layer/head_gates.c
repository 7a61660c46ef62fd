#include "layer/head_gates.h"

#include <math.h>
#include <string.h>

#include "graph/ops.h"
#include "op/hard_concrete.h"

void mega_unit_gates_build(mega_build *b, struct mega_head_gates *g, const char *name, int kind,
    int64_t heads, int64_t channels, const struct mega_head_gates_options *o)
{
    *g = (struct mega_head_gates){
        .options = *o, .name = name, .heads = heads, .channels = channels
    };
    if (kind == MEGA_GATES_NONE || !heads) return;
    if (!b->status && kind == MEGA_GATES_CONCRETE)
        b->status = mega_hard_concrete_check(&o->concrete);
    struct mega_init start = { MEGA_INIT_NORMAL, o->init, 0.01 },
                     glorot = { MEGA_INIT_UNIFORM, 0, sqrt(3 / (double)heads) },
                     one = { MEGA_INIT_CONSTANT, 1, 0 };
    size_t entered = mega_build_enter(b, "%s", name);
    if (kind == MEGA_GATES_FIXED)
        g->open = mega_param_add(b, "open", one, 1, &heads);
    else {
        g->decay = mega_arena_zeroed(&b->store->names, sizeof *g->decay);
        if (!g->decay && !b->status)
            b->status = mega_fail(MEGA_NO_MEMORY, "no memory to declare gates");
        g->log_a = mega_param_add(
            b, "log_a", o->glorot ? glorot : start, 4, (int64_t[]){ 1, heads, 1, 1 });
    }
    mega_build_leave(b, entered);
}

void mega_head_gates_build(mega_build *b, struct mega_head_gates *g, int64_t heads,
    int64_t channels, const struct mega_head_gates_options *o)
{
    mega_unit_gates_build(b, g, "gate", o->kind, heads, channels, o);
}

static mega_tensor *sample(
    mega_run *r, const struct mega_head_gates *g, const struct mega_rows *rows)
{
    struct mega_attr_hard_concrete a;
    memset(&a, 0, sizeof a);
    a.gate = g->options.concrete;
    a.noise = (enum mega_gate_noise)g->options.noise;
    a.hard = g->options.hard;
    a.channels = g->channels;
    return mega_run_call(r,
        &(struct mega_call){
            .op = &mega_op_hard_concrete, .in = { g->log_a }, .attr = &a, .rows = rows },
        g->name);
}

/* the L2 part of the penalty: a sum of its own beside the loss */
static void decay(
    mega_run *r, const struct mega_head_gates *g, mega_tensor *o, const struct mega_rows *rows)
{
    struct mega_attr_gate_penalty a;
    memset(&a, 0, sizeof a);
    a.gate = g->options.concrete;
    a.l2 = g->decay->weight;
    struct mega_call c = { .op = &mega_op_gate_penalty, .attr = &a };
    c.in[MEGA_GATE_PENALTY_A] = g->log_a;
    c.in[MEGA_GATE_PENALTY_VALUES] = mask_padding(r, o, rows);
    mega_tensor *cost = mega_run_call(r, &c, NULL);
    /* without a tape the block comes again, with one */
    if (!cost || !cost->wants_grad) return;
    float sum = 0;
    mega_run_seed(r, cost, 1);
    mega_run_read(r, cost, &sum);
    g->decay->sum += (double)sum;
}

mega_tensor *mega_head_gates_run(
    mega_run *r, const struct mega_head_gates *g, mega_tensor *o, const struct mega_rows *rows)
{
    if (g->open) return head_scale(r, o, g->open);
    if (!g->log_a) return o;
    const unsigned both = MEGA_RUN_TRAIN | MEGA_RUN_GRAD;
    if (g->decay && g->decay->weight > 0 && (mega_run_mode(r) & both) == both)
        decay(r, g, o, rows);
    mega_tensor *gates = sample(r, g, rows);
    return g->options.noise == MEGA_GATE_NOISE_ELEMENT ? gate(r, o, gates, MEGA_ACT_LINEAR)
                                                       : head_scale(r, o, gates);
}

mega_tensor *mega_head_gates_penalty(mega_run *r, const struct mega_head_gates *g)
{
    if (!g->log_a) return NULL;
    struct mega_attr_gate_penalty a;
    memset(&a, 0, sizeof a);
    a.gate = g->options.concrete;
    a.l0 = 1;
    return mega_run_call(r,
        &(struct mega_call){ .op = &mega_op_gate_penalty, .in = { g->log_a }, .attr = &a },
        NULL);
}

double mega_head_gates_value(const struct mega_head_gates *g, int64_t head)
{
    if (g->open) return mega_hard_at(g->open, head);
    if (!g->log_a) return 1;
    double value = mega_hard_gate(&g->options.concrete, mega_hard_at(g->log_a, head));
    return g->options.hard ? value > 0.5 : value;
}
