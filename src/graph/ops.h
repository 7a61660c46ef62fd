/* The ops' short names: layers, mixers and models read as the mathematics over these. */
#ifndef MEGA_GRAPH_OPS_H
#define MEGA_GRAPH_OPS_H

#include <string.h>

#include "graph/run.h"
#include "op/contracts.h"

#define X(name) extern const struct mega_op mega_op_##name;
#include "op/ops.def"
#undef X

static inline mega_tensor *columns(mega_run *r, mega_tensor *x, int64_t from, int64_t n)
{
    return mega_run_columns(r, x, from, n);
}

static inline mega_tensor *activation(mega_run *r, mega_tensor *x, enum mega_act act)
{
    struct mega_attr_activation a = { act };
    return mega_run_call(
        r, &(struct mega_call){ .op = &mega_op_activation, .in = { x }, .attr = &a }, NULL);
}

static inline mega_tensor *add(mega_run *r, mega_tensor *a, mega_tensor *b)
{
    return mega_run_call(r, &(struct mega_call){ .op = &mega_op_add, .in = { a, b } }, NULL);
}

static inline mega_tensor *concat(mega_run *r, mega_tensor *a, mega_tensor *b)
{
    return mega_run_call(r, &(struct mega_call){ .op = &mega_op_concat, .in = { a, b } }, NULL);
}

/* With a weight of each row (or NULL); `nll`, if not NULL, receives -log p of each row. */
static inline mega_tensor *cross_entropy_weighted(mega_run *r, mega_tensor *logits,
    mega_tensor *target, mega_tensor *weight, double smoothing, mega_tensor **nll)
{
    struct mega_attr_cross_entropy a;
    memset(&a, 0, sizeof a);
    a.smoothing = smoothing;
    a.rows = nll != NULL;
    struct mega_call c = {
        .op = &mega_op_cross_entropy, .in = { logits, target, weight }, .attr = &a
    };
    mega_tensor *loss = mega_run_call(r, &c, NULL);
    if (nll) *nll = loss ? c.out[1] : NULL;
    return loss;
}

static inline mega_tensor *cross_entropy_rows(
    mega_run *r, mega_tensor *logits, mega_tensor *target, double smoothing, mega_tensor **nll)
{
    return cross_entropy_weighted(r, logits, target, NULL, smoothing, nll);
}

static inline mega_tensor *smoothed_cross_entropy(
    mega_run *r, mega_tensor *logits, mega_tensor *target, double smoothing)
{
    return cross_entropy_rows(r, logits, target, smoothing, NULL);
}

static inline mega_tensor *cross_entropy(mega_run *r, mega_tensor *logits, mega_tensor *target)
{
    return smoothed_cross_entropy(r, logits, target, 0);
}

static inline mega_tensor *embedding(
    mega_run *r, mega_tensor *table, mega_tensor *tokens, int64_t pad, double scale)
{
    struct mega_attr_embedding a;
    memset(&a, 0, sizeof a);
    a.pad = pad;
    a.scale = scale;
    return mega_run_call(r,
        &(struct mega_call){ .op = &mega_op_embedding, .in = { table, tokens }, .attr = &a },
        NULL);
}

static inline mega_tensor *gate(mega_run *r, mega_tensor *x, mega_tensor *g, enum mega_act act)
{
    struct mega_attr_gate a = { act };
    return mega_run_call(
        r, &(struct mega_call){ .op = &mega_op_gate, .in = { x, g }, .attr = &a }, NULL);
}

/* x times a number w of each head, times act of a gate [.., H]; both may be NULL. */
static inline mega_tensor *head_gate(mega_run *r, mega_tensor *x, mega_tensor *w,
    mega_tensor *g, int64_t heads, enum mega_act act)
{
    struct mega_attr_head_gate a;
    memset(&a, 0, sizeof a);
    a.heads = heads;
    a.act = act;
    return mega_run_call(r,
        &(struct mega_call){ .op = &mega_op_head_gate, .in = { x, w, g }, .attr = &a }, NULL);
}

/* The same with w by its logarithm, at most log 100. */
static inline mega_tensor *head_gate_log(
    mega_run *r, mega_tensor *x, mega_tensor *w, int64_t heads)
{
    struct mega_attr_head_gate a;
    memset(&a, 0, sizeof a);
    a.heads = heads;
    a.log = true;
    return mega_run_call(
        r, &(struct mega_call){ .op = &mega_op_head_gate, .in = { x, w }, .attr = &a }, NULL);
}

/* In with its clamp, out with 0. */
static inline mega_tensor *laser(mega_run *r, mega_tensor *x, double clamp)
{
    struct mega_attr_laser a = { clamp };
    return mega_run_call(
        r, &(struct mega_call){ .op = &mega_op_laser, .in = { x }, .attr = &a }, NULL);
}

static inline mega_tensor *head_scale(mega_run *r, mega_tensor *x, mega_tensor *g)
{
    return mega_run_call(
        r, &(struct mega_call){ .op = &mega_op_head_scale, .in = { x, g } }, NULL);
}

static inline mega_tensor *linear(
    mega_run *r, mega_tensor *x, mega_tensor *w, mega_tensor *b, enum mega_act act)
{
    struct mega_attr_linear a = { act };
    return mega_run_call(
        r, &(struct mega_call){ .op = &mega_op_linear, .in = { x, w, b }, .attr = &a }, NULL);
}

static inline mega_tensor *log_softmax(mega_run *r, mega_tensor *x, mega_tensor *base)
{
    return mega_run_call(
        r, &(struct mega_call){ .op = &mega_op_log_softmax, .in = { x, base } }, NULL);
}

static inline mega_tensor *mask(mega_run *r, mega_tensor *x, const struct mega_rows *rows)
{
    return mega_run_call(
        r, &(struct mega_call){ .op = &mega_op_mask, .in = { x }, .rows = rows }, NULL);
}

/* The same where rows have such places; else x itself. */
static inline mega_tensor *mask_padding(
    mega_run *r, mega_tensor *x, const struct mega_rows *rows)
{
    return rows->len || rows->real ? mask(r, x, rows) : x;
}

/* sum_i w[.., i] x_i of n tensors, in groups of what one op takes */
static inline mega_tensor *mixture(
    mega_run *r, mega_tensor *w, mega_tensor *const *x, int64_t n)
{
    mega_tensor *sum = NULL;
    for (int64_t from = 0; from < n; from += MEGA_MIX_MOST) {
        struct mega_attr_mix a;
        memset(&a, 0, sizeof a);
        a.from = from;
        a.step = 1;
        struct mega_call call = { .op = &mega_op_mix, .attr = &a };
        call.in[MEGA_MIX_WEIGHTS] = w;
        for (int64_t i = from; i < n && i < from + MEGA_MIX_MOST; i++)
            call.in[MEGA_MIX_X + i - from] = x[i];
        mega_tensor *part = mega_run_call(r, &call, NULL);
        sum = sum ? add(r, sum, part) : part;
    }
    return sum;
}

static inline mega_tensor *number_embedding(
    mega_run *r, mega_tensor *x, mega_tensor *weight, mega_tensor *bias)
{
    return mega_run_call(r,
        &(struct mega_call){ .op = &mega_op_number_embedding, .in = { x, weight, bias } },
        NULL);
}

/* The loss of a linear layer's output, with a weight of each row (or NULL); `nll`, if not NULL,
 * receives that of each row. */
static inline mega_tensor *output_loss_weighted(mega_run *r, mega_tensor *x, mega_tensor *w,
    mega_tensor *bias, mega_tensor *target, mega_tensor *weight, double smoothing,
    mega_tensor **nll)
{
    struct mega_attr_output_loss a;
    memset(&a, 0, sizeof a);
    a.loss.smoothing = smoothing;
    a.rows = nll != NULL;
    struct mega_call c = {
        .op = &mega_op_output_loss, .in = { x, w, bias, target }, .attr = &a
    };
    c.in[MEGA_OUTPUT_LOSS_WEIGHT] = weight;
    mega_tensor *loss = mega_run_call(r, &c, NULL);
    if (nll) *nll = loss ? c.out[1] : NULL;
    return loss;
}

static inline mega_tensor *output_loss(mega_run *r, mega_tensor *x, mega_tensor *w,
    mega_tensor *bias, mega_tensor *target, double smoothing, mega_tensor **nll)
{
    return output_loss_weighted(r, x, w, bias, target, NULL, smoothing, nll);
}

static inline mega_tensor *pool(
    mega_run *r, mega_tensor *x, const struct mega_rows *rows, enum mega_pool_kind kind)
{
    struct mega_attr_pool a = { kind };
    return mega_run_call(r,
        &(struct mega_call){ .op = &mega_op_pool, .in = { x }, .rows = rows, .attr = &a },
        NULL);
}

static inline mega_tensor *scale(
    mega_run *r, mega_tensor *x, mega_tensor *weight, double factor)
{
    struct mega_attr_scale a = { factor };
    return mega_run_call(
        r, &(struct mega_call){ .op = &mega_op_scale, .in = { x, weight }, .attr = &a }, NULL);
}

static inline mega_tensor *softmax(mega_run *r, mega_tensor *x)
{
    return mega_run_call(r, &(struct mega_call){ .op = &mega_op_softmax, .in = { x } }, NULL);
}

/* c tanh(x / c) */
static inline mega_tensor *soft_clamp(mega_run *r, mega_tensor *x, double c)
{
    struct mega_attr_squash a;
    memset(&a, 0, sizeof a);
    a.kind = MEGA_SQUASH_TANH;
    a.factor = c;
    a.inside = 1 / c;
    return mega_run_call(
        r, &(struct mega_call){ .op = &mega_op_squash, .in = { x }, .attr = &a }, NULL);
}

/* x, of whose gradient only this share goes further. */
static inline mega_tensor *gradient_share(mega_run *r, mega_tensor *x, double share)
{
    mega_tensor *fixed = x ? mega_run_input(r, x) : NULL;
    if (!fixed) return NULL;
    fixed->wants_grad = false;
    fixed->grad = NULL;
    fixed->param = NULL;
    return add(r, scale(r, x, NULL, share), scale(r, fixed, NULL, 1 - share));
}

static inline mega_tensor *transpose(mega_run *r, mega_tensor *x)
{
    return mega_run_call(r, &(struct mega_call){ .op = &mega_op_transpose, .in = { x } }, NULL);
}

#endif
