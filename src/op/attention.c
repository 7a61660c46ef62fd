/* attention: for each head, o[i] = sum_j w[i, j] v[j] over the keys that query i sees, with
 * weights w made of scores (Vaswani et al., 2017; Mega sections 2.2, 4, 5.3; groups of heads:
 * heads.h). What a query sees: window.h. Scores: attention_scores.c; weights:
 * attention_weights.c. */
#include "op/attention_check.h"
#include "op/attention_row.h"

enum { Q = MEGA_ATTENTION_Q, K, V };

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const struct mega_attr_attention *a = c->attr;
    int64_t B = c->rows->B, T = c->rows->T, W = a->chunk > 0 && a->chunk < T ? a->chunk : T;
    MEGA_TRY(mega_attention_call_check(c));
    struct mega_heads n = mega_heads_of(c);
    mega_dtype type = mega_activation(c, c->in[Q]).dtype;
    out[MEGA_ATTENTION_O] = mega_shaped(type, 3, B, T, n.H * n.dv, 0);
    mega_tensor each = mega_shaped(mega_wide_type(c), 3, B, T, n.H, 0); /* of query and head */
    if (a->scores)
        out[MEGA_ATTENTION_SCORES] =
            mega_shaped(mega_wide_type(c), 4, B, n.H, T, mega_attention_columns(c));
    if (a->log_sum) out[MEGA_ATTENTION_LOG_SUM] = each;
    if (a->peak) out[MEGA_ATTENTION_PEAK] = each;
    const mega_tensor *faded = c->in[MEGA_ATTENTION_PAST_FADED];
    if (faded)
        out[MEGA_ATTENTION_FADED] = mega_shaped(mega_wide_type(c), 3, B, faded->dim[1], 1, 0);
    if (!a->weights) return MEGA_OK;
    if (W < T && !c->keys)
        out[MEGA_ATTENTION_WEIGHTS] = mega_shaped(type, 4, B, n.H * ((T + W - 1) / W), W, W);
    else
        out[MEGA_ATTENTION_WEIGHTS] =
            mega_shaped(type, 4, B, n.H, T, mega_attention_columns(c));
    return MEGA_OK;
}

static double size_of(const mega_tensor *t)
{
    return t ? (double)mega_size(t) : 0;
}

/* products of queries with keys, and of weights with values; of heads with heads */
static void cost(const struct mega_call *c, double *flops, double *bytes)
{
    const struct mega_attr_attention *a = c->attr;
    struct mega_heads n = mega_heads_of(c);
    double queries = (double)mega_height(c->in[Q]), keys = (double)mega_window_most(c);
    /* half of the keys, and oneself */
    if (a->causal && !a->reach) keys = (keys + 1) / 2;
    if (!a->causal && a->reach) keys *= 2;
    keys += (double)mega_attention_prefix(c);
    double width = (double)(n.H * (n.d + n.dv));
    for (int i = MEGA_ATTENTION_TALK_PRE; i <= MEGA_ATTENTION_TALK_SCALED; i++)
        if (c->in[i]) width += (double)(n.H * n.H);
    *flops = 2 * queries * width * keys;
    if (c->in[MEGA_ATTENTION_COPE])
        *flops += 2 * queries * (double)(n.H * mega_count(c->in[MEGA_ATTENTION_COPE]));
    if (c->in[MEGA_ATTENTION_GATE_Q])
        *flops += 2 * queries * (double)mega_width(c->in[MEGA_ATTENTION_GATE_Q]) * keys;
    *bytes = size_of(c->in[Q]) + size_of(c->in[K]) + size_of(c->in[V]) +
             size_of(c->in[MEGA_ATTENTION_BEFORE]) + size_of(c->in[MEGA_ATTENTION_GATE_Q]) +
             size_of(c->in[MEGA_ATTENTION_GATE_K]);
    for (int i = 0; i < MEGA_ATTENTION_OUTPUTS; i++) *bytes += size_of(c->out[i]);
}

/* In rows [B, T, .] as the output is: a query looks at its own window alone, which is what a
 * sweep cuts by; it takes no call whose keys or scores lie otherwise (graph/sweep.c). */
#define BY_ROWS                                                                                \
    (1u << MEGA_ATTENTION_Q | 1u << MEGA_ATTENTION_K | 1u << MEGA_ATTENTION_V |                \
        1u << MEGA_ATTENTION_DECAY | 1u << MEGA_ATTENTION_DECAY_BACK |                         \
        1u << MEGA_ATTENTION_SHARE | 1u << MEGA_ATTENTION_GATE_Q |                             \
        1u << MEGA_ATTENTION_GATE_K)

const struct mega_op mega_op_attention = {
    .name = "attention",
    .n_in = MEGA_ATTENTION_INPUTS,
    .n_out = MEGA_ATTENTION_OUTPUTS,
    .optional = (1u << MEGA_ATTENTION_INPUTS) - (1u << MEGA_ATTENTION_BIAS),
    .attr_size = sizeof(struct mega_attr_attention),
    .shape = shape,
    .cost = cost,
    .by_rows = BY_ROWS,
    .reference = { .name = "reference",
        .forward = mega_attention_forward,
        .backward = mega_attention_backward },
};
