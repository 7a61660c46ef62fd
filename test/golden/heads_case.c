/* Cases of head gates: gates and penalty alone, and attention with gated heads. Their weights
 * are [in, out], so that products go through the transposed. */
#include <stdlib.h>
#include <string.h>

#include "golden/block_case.h"
#include "graph/ops.h"
#include "layer/head_gates.h"
#include "op/hard_concrete.h"

static struct mega_hard_concrete limits(struct golden_case *c)
{
    return (struct mega_hard_concrete){ golden_cfg_real(c, "temperature", 0),
        golden_cfg_real(c, "low", 0), golden_cfg_real(c, "high", 0),
        golden_cfg_real(c, "eps", 0) };
}

/* a parameter of the shape that the file has */
static mega_tensor *declare(struct golden_block *b, const char *name)
{
    const struct mega_st_tensor *t = golden_find(b->c, "param.%s", name);
    struct mega_init zero = { MEGA_INIT_CONSTANT, 0, 0 };
    if (t) return mega_param_add(&b->build, name, zero, t->rank, t->dim);
    golden_fail(b->c, "param.%s is missing", name);
    return NULL;
}

static bool begin(struct golden_block *b, unsigned mode)
{
    if (!golden_ready(b->c, &b->build)) return false;
    mega_run_begin(b->run, &(struct mega_run_args){ .mode = MEGA_RUN_GRAD | mode });
    return !b->c->verdict;
}

/* gates of log_a with the file's noise; without: those of evaluation */
static mega_tensor *sample(struct golden_block *b, mega_tensor *log_a,
    const struct mega_hard_concrete *gate, bool hard)
{
    struct mega_attr_hard_concrete a;
    memset(&a, 0, sizeof a);
    a.gate = *gate;
    a.hard = hard;
    struct mega_call c = { .op = &mega_op_hard_concrete, .attr = &a };
    c.in[MEGA_HARD_CONCRETE_A] = log_a;
    c.in[MEGA_HARD_CONCRETE_U] = golden_input(b->c, b->run, "u", false);
    return mega_run_call(b->run, &c, NULL);
}

/* [0]: the penalty, [1]: p */
static void penalise(struct golden_block *b, mega_tensor *log_a, mega_tensor *values,
    const struct mega_hard_concrete *gate, double l0, double l2, mega_tensor *out[2])
{
    struct mega_attr_gate_penalty a;
    memset(&a, 0, sizeof a);
    a.gate = *gate;
    a.l0 = l0;
    a.l2 = l2;
    struct mega_call c = { .op = &mega_op_gate_penalty, .attr = &a };
    c.in[MEGA_GATE_PENALTY_A] = log_a;
    c.in[MEGA_GATE_PENALTY_VALUES] = values;
    mega_run_call(b->run, &c, NULL);
    out[0] = c.out[0];
    out[1] = c.out[1];
}

/* part of in.cotangent as the cotangent of t; what t holds goes to `y`, if not NULL */
static void seed(struct golden_block *b, mega_tensor *t, int64_t from, double *y)
{
    const struct mega_st_tensor *cotangent = golden_find(b->c, "in.cotangent");
    mega_tensor *d = t ? mega_run_tensor(b->run, t->dtype, t->rank, t->dim) : NULL;
    for (int64_t i = 0, n = d ? mega_count(d) : 0, w = d ? mega_width(d) : 1; i < n; i++) {
        mega_put(d, i / w, i % w, golden_value(cotangent, from + i));
        if (y) y[from + i] = mega_hard_at(t, i);
    }
    if (d) mega_run_seed_with(b->run, t, d);
}

static void compare(struct golden_block *b, const char *name, const mega_tensor *t)
{
    double *number = calloc((size_t)mega_count(t) + 1, sizeof *number);
    for (int64_t i = 0; number && i < mega_count(t); i++) number[i] = mega_hard_at(t, i);
    golden_compare_numbers(b->c, name, number, mega_count(t));
    free(number);
}

/* ---- gates alone ---- */

static void run_gates(struct golden_block *b)
{
    struct golden_case *c = b->c;
    struct mega_hard_concrete gate = limits(c);
    bool hard = golden_cfg_bool(c, "hard", false), noisy = golden_cfg_bool(c, "train", false);
    mega_tensor *log_a = declare(b, "log_a"), *cost[2];
    if (!begin(b, noisy ? MEGA_RUN_TRAIN : 0)) return;
    int64_t H = mega_count(log_a);
    double y[64] = { 0 }, open = 0;
    mega_tensor *g = sample(b, log_a, &gate, hard);
    penalise(b, log_a, NULL, &gate, 1, 0, cost);
    compare(b, "out.gates", g);
    compare(b, "out.p_open", cost[1]);
    compare(b, "out.l0", cost[0]);
    for (int64_t h = 0; h < H; h++) {
        double value = mega_hard_gate(&gate, mega_hard_at(log_a, h));
        open += (hard ? value > 0.5 : value > 0) / (double)H;
    }
    golden_compare_numbers(c, "out.sparsity_rate", &open, 1);
    seed(b, g, 0, y);
    seed(b, cost[1], H, y);
    golden_compare_numbers(c, "out.y", y, 2 * H);
    mega_run_backward(b->run);
    if (golden_check(c, mega_run_end(b->run))) golden_compare_gradients(c, &b->store);
}

static void run_penalty(struct golden_block *b)
{
    struct golden_case *c = b->c;
    struct mega_hard_concrete gate = limits(c);
    double l0 = golden_cfg_real(c, "l0_penalty", 1), l2 = golden_cfg_real(c, "l2_penalty", 0);
    mega_tensor *log_a = declare(b, "log_a"), *all[2], *counted[2], *squared[2];
    golden_cfg_expect(c, "axis", "none");
    if (!begin(b, 0)) return;
    mega_tensor *values = golden_input(c, b->run, "values", false);
    values->wants_grad = true;
    penalise(b, log_a, values, &gate, l0, l2, all);
    penalise(b, log_a, values, &gate, l0, 0, counted);
    penalise(b, log_a, values, &gate, 0, l2, squared);
    compare(b, "out.l0", counted[0]);
    compare(b, "out.l2", squared[0]);
    golden_compare(c, "out.y", all[0], false);
    seed(b, all[0], 0, NULL);
    mega_run_backward(b->run);
    if (!golden_check(c, mega_run_end(b->run))) return;
    golden_compare_gradients(c, &b->store);
    golden_compare(c, "grad.in.values", values->grad, false);
}

/* ---- attention ---- */

/* Projections, of one input or of two, and their widths. */
struct projections {
    mega_tensor *q, *q_bias, *kv, *kv_bias, *out, *out_bias; /* cross; else kv holds q too */
    int64_t heads, keys, values;
    bool cross, causal;
};

static void declare_projections(struct golden_block *b, struct projections *p)
{
    struct golden_case *c = b->c;
    golden_cfg_int(c, "inp_size", 0);
    golden_cfg_int(c, "output_depth", 0);
    golden_cfg_real(c, "attn_bias_value", 0);
    p->heads = golden_cfg_int(c, "num_heads", 1);
    p->keys = golden_cfg_int(c, "key_depth", 0);
    p->values = golden_cfg_int(c, "value_depth", 0);
    p->cross = golden_cfg_bool(c, "cross", false);
    if (p->cross) {
        p->q = declare(b, "query_conv.W");
        p->q_bias = declare(b, "query_conv.b");
    }
    p->kv = declare(b, p->cross ? "kv_conv.W" : "combined_conv.W");
    p->kv_bias = declare(b, p->cross ? "kv_conv.b" : "combined_conv.b");
    p->out = declare(b, "out_conv.W");
    p->out_bias = declare(b, "out_conv.b");
}

/* One sequence that holds keys at its first places and queries at its last: with two inputs
 * these are apart, and places of queries are no keys. */
static mega_tensor *lay_out(struct golden_block *b, const struct projections *p, int64_t q_len,
    int64_t kv_len, int64_t *first_query)
{
    struct golden_case *c = b->c;
    const struct mega_st_tensor *x = golden_find(c, "in.x"), *mask = golden_find(c, "in.mask"),
                                *kv = p->cross ? golden_find(c, "in.kv") : NULL;
    int64_t B = x->dim[0], D = x->dim[2], before = p->cross ? kv_len : 0, T = before + q_len;
    mega_tensor *all = mega_run_tensor(b->run, MEGA_F32, 3, (int64_t[]){ B, T, D });
    int32_t *real = mega_run_memory(b->run, (size_t)(B * T) * sizeof *real);
    for (int64_t i = 0; all && real && i < B * T * D; i++) {
        int64_t row = i / D / T, t = i / D % T, d = i % D;
        mega_put(all, i / D, d,
            t < before ? golden_value(kv, (row * kv_len + t) * D + d)
                       : golden_value(x, (row * q_len + t - before) * D + d));
        /* the last query sees all keys that there are, causal or not */
        real[row * T + t] =
            t < kv_len && golden_value(mask, (row * q_len + q_len - 1) * kv_len + t) > 0;
    }
    all->wants_grad = true;
    b->held = (struct mega_rows){ .B = B, .T = T, .real = real };
    b->rows = mega_run_rows(b->run, &b->held);
    *first_query = before;
    return all;
}

/* x w + b, with w [in, out] */
static mega_tensor *project(mega_run *r, mega_tensor *x, mega_tensor *w, mega_tensor *bias)
{
    return linear(r, x, transpose(r, w), bias, MEGA_ACT_LINEAR);
}

static mega_tensor *attend(
    struct golden_block *b, const struct projections *p, mega_tensor *x, mega_tensor **weights)
{
    struct mega_attr_attention a;
    memset(&a, 0, sizeof a);
    a.fn = MEGA_ATTENTION_SOFTMAX;
    a.chunk = -1;
    a.heads = p->heads;
    a.causal = p->causal;
    a.weights = true;
    mega_run *r = b->run;
    mega_tensor *kv = project(r, x, p->kv, p->kv_bias);
    mega_tensor *q = p->cross ? project(r, x, p->q, p->q_bias) : columns(r, kv, 0, p->keys);
    int64_t from = p->cross ? 0 : p->keys;
    struct mega_call c = { .op = &mega_op_attention, .attr = &a, .rows = b->rows };
    c.in[MEGA_ATTENTION_Q] = q;
    c.in[MEGA_ATTENTION_K] = columns(r, kv, from, p->keys);
    c.in[MEGA_ATTENTION_V] = columns(r, kv, from + p->keys, p->values);
    mega_tensor *o = mega_run_call(r, &c, NULL);
    *weights = c.out[1];
    return o;
}

/* places from ... from+n-1 of t [B, T, D], as numbers */
static double *places(const mega_tensor *t, int64_t from, int64_t n)
{
    int64_t B = t->dim[0], T = t->dim[1], D = t->dim[2];
    double *out = calloc((size_t)(B * n * D) + 1, sizeof *out);
    for (int64_t i = 0; out && i < B * n * D; i++)
        out[i] = mega_get(t, i / (n * D) * T + from + i / D % n, i % D);
    return out;
}

static void compare_places(
    struct golden_block *b, const char *name, const mega_tensor *t, int64_t from, int64_t n)
{
    double *number = places(t, from, n);
    golden_compare_numbers(b->c, name, number, t->dim[0] * n * t->dim[2]);
    free(number);
}

/* [B, H, T, T] less what are no queries or no keys */
static void compare_weights(
    struct golden_block *b, const mega_tensor *w, int64_t first, int64_t q_len, int64_t kv_len)
{
    int64_t T = w->dim[2], n = w->dim[0] * w->dim[1] * q_len * kv_len;
    double *number = calloc((size_t)n + 1, sizeof *number);
    for (int64_t i = 0; number && i < n; i++)
        number[i] =
            mega_get(w, i / (q_len * kv_len) * T + first + i / kv_len % q_len, i % kv_len);
    golden_compare_numbers(b->c, "out.weights", number, n);
    free(number);
}

/* the output and the penalty joined, and their cotangents */
static void seed_joined(
    struct golden_block *b, mega_tensor *y, mega_tensor *penalty, int64_t first, int64_t q_len)
{
    struct golden_case *c = b->c;
    const struct mega_st_tensor *cotangent = golden_find(c, "in.cotangent");
    int64_t B = y->dim[0], T = y->dim[1], D = y->dim[2], n = B * q_len * D;
    double *number = places(y, first, q_len);
    number = realloc(number, (size_t)(n + 1) * sizeof *number);
    number[n] = penalty ? mega_get(penalty, 0, 0) : 0;
    golden_compare_numbers(c, "out.attn_out", number, n);
    golden_compare_numbers(c, "out.penalty", number + n, 1);
    golden_compare_numbers(c, "out.y", number, n + 1);
    free(number);
    mega_tensor *d = mega_run_tensor(b->run, y->dtype, 3, y->dim);
    if (!d) return;
    mega_tensor_zero(d);
    for (int64_t i = 0; i < n; i++)
        mega_put(
            d, i / (q_len * D) * T + first + i / D % q_len, i % D, golden_value(cotangent, i));
    mega_run_seed_with(b->run, y, d);
    if (penalty) mega_run_seed(b->run, penalty, golden_value(cotangent, n));
}

static void run_attention(struct golden_block *b)
{
    struct golden_case *c = b->c;
    struct mega_hard_concrete gate = limits(c);
    struct projections p = { 0 };
    const char *kind = golden_cfg(c, "gate");
    bool fixed = !strcmp(kind, "fixed"),
         noisy = !strcmp(kind, "train") || !strcmp(kind, "hard");
    int64_t q_len = golden_cfg_int(c, "q_len", 0), kv_len = golden_cfg_int(c, "kv_len", 0),
            first;
    golden_cfg_int(c, "batch", 0);
    golden_cfg_expect(c, "l0_penalty", "1");
    declare_projections(b, &p);
    p.causal = strstr(golden_meta(c, "proves"), "causal mask") != NULL;
    mega_tensor *log_a = declare(b, "gate.log_a"), *cost[2] = { NULL, NULL }, *weights;
    if (!begin(b, noisy ? MEGA_RUN_TRAIN : 0)) return;
    mega_tensor *x = lay_out(b, &p, q_len, kv_len, &first);
    mega_tensor *g = fixed ? golden_input(c, b->run, "head_gate", false)
                           : sample(b, log_a, &gate, !strcmp(kind, "hard"));
    if (fixed) *g = mega_tensor_over(g->data, g->dtype, 1, &p.heads);
    mega_tensor *o = attend(b, &p, x, &weights);
    mega_tensor *y = project(b->run, head_scale(b->run, o, g), p.out, p.out_bias);
    if (!fixed) penalise(b, log_a, NULL, &gate, 1, 0, cost);
    if (!golden_check(c, mega_run_status(b->run))) return;
    mega_run_need(b->run, y);
    compare(b, "out.gates", g);
    compare_weights(b, weights, first, q_len, kv_len);
    seed_joined(b, y, cost[0], first, q_len);
    mega_run_backward(b->run);
    if (!golden_check(c, mega_run_end(b->run))) return;
    golden_compare_gradients(c, &b->store);
    compare_places(b, "grad.in.x", x->grad, first, q_len);
    if (p.cross) compare_places(b, "grad.in.kv", x->grad, 0, kv_len);
}

void golden_heads(struct golden_case *c)
{
    struct golden_block b;
    if (golden_block_open(c, &b)) {
        if (golden_find(c, "in.x"))
            run_attention(&b);
        else if (golden_find(c, "in.values"))
            run_penalty(&b);
        else
            run_gates(&b);
    }
    golden_block_close(&b);
}
