/* The Mega block (section 5.2). With D width, E values, Z keys:
 *
 *   xn = norm(x) (prenorm)                     v  = act(xn W_v + b_v) [B, T, E] mx =
 * drop(EMA(xn))                         [u | z | r | hx] = mx W_mx + b_mx             D, Z, E,
 * D columns q, k = silu(z) gamma + beta                o  = drop(f(q k / divisor + bias))
 * drop(v) h  = act(hx + (g o * silu(r)) W_h + b_h)   y  = x + sigmoid(u) * (drop(h) - x),
 * norm(y) (postnorm)
 *
 * with a gate g of attention, or 1; without attention h = act(hx + b_h). */
#include "layer/gated_attention.h"

#include <string.h>

#include "graph/ops.h"
#include "layer/constant.h"

static mega_status check(const struct mega_gated_attention_options *o)
{
    if (o->chunk == 0 || o->chunk < -1)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "chunk is %lld, expected a length of at least 1, or -1 for full attention",
            (long long)o->chunk);
    if (o->bias == MEGA_BIAS_ROTARY && o->keys % 2)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "keys is %lld, expected an even number: a rotary bias turns pairs",
            (long long)o->keys);
    return MEGA_OK;
}

static void declare_projections(mega_build *b, struct mega_gated_attention *m)
{
    const struct mega_gated_attention_options *o = &m->options;
    struct mega_init small = { MEGA_INIT_NORMAL, 0, 0.02 }, zero = { MEGA_INIT_CONSTANT, 0, 0 };
    bool attends = m->kept.heads > 0;
    int64_t D = o->width, E = o->values, Z = o->keys, packed = 2 * D + (attends ? Z + E : 0);
    if (attends) {
        m->v_weight = mega_param_add(b, "v_proj.weight", small, 2, (int64_t[]){ E, D });
        m->v_bias = mega_param_add(b, "v_proj.bias", zero, 1, &E);
    }
    m->mx_weight = mega_param_add(b, "mx_proj.weight", small, 2, (int64_t[]){ packed, D });
    m->mx_bias = mega_param_add(b, "mx_proj.bias", zero, 1, &packed);
    if (attends)
        m->h_weight = mega_param_add(b, "h_proj.weight", small, 2, (int64_t[]){ D, E });
    m->h_bias = mega_param_add(b, "h_proj.bias", zero, 1, &D);
    if (!attends) return;
    m->gamma = mega_param_add(b, "gamma", small, 2, (int64_t[]){ 2, Z });
    m->beta = mega_param_add(b, "beta", zero, 2, (int64_t[]){ 2, Z });
}

static void declare_logs(mega_build *b, struct mega_gated_attention *m)
{
    const struct mega_gated_attention_options *o = &m->options;
    m->past_keys = mega_cell_add(b, "keys", MEGA_CELL_LOG, MEGA_F32, 1, &o->keys, 0);
    m->past_values = mega_cell_add(b, "values", MEGA_CELL_LOG, MEGA_F32, 1, &o->values, 0);
    if (b->status) return;
    m->past_keys->window = m->past_values->window = o->chunk > 0 ? o->chunk : 0;
}

/* what attention has beside its projections */
static void declare_attention(mega_build *b, struct mega_gated_attention *m)
{
    const struct mega_gated_attention_options *o = &m->options;
    size_t entered = mega_build_enter(b, "rel_pos_bias");
    mega_relative_bias_build(b, &m->bias, (enum mega_bias_type)o->bias,
        o->chunk > 0 ? o->chunk : o->longest, o->keys);
    mega_build_leave(b, entered);
    mega_unit_gates_build(
        b, &m->gates, "branch_gate", o->gates.branches, 1, o->values, &o->gates);
    if (o->causal) declare_logs(b, m);
}

void mega_gated_attention_build(
    mega_build *b, struct mega_gated_attention *m, const struct mega_gated_attention_options *o)
{
    *m = (struct mega_gated_attention){ .options = *o };
    if (!b->status) b->status = check(o);
    size_t entered = mega_build_enter(b, "norm");
    mega_norm_build(b, &m->norm, (enum mega_norm_type)o->norm, o->width, o->affine);
    mega_build_leave(b, entered);
    entered = mega_build_enter(b, "move");
    mega_ema_build(b, &m->ema, o->width, o->states, !o->causal, o->truncation);
    mega_build_leave(b, entered);
    mega_kept_heads_build(b, &m->kept, o->kept, o->layer, 1, 1);
    declare_projections(b, m);
    if (m->kept.heads) declare_attention(b, m);
    enum mega_dropout_kind kind =
        o->feature_dropout ? MEGA_DROPOUT_FEATURES : MEGA_DROPOUT_ELEMENTS;
    m->drop_ema = (struct mega_dropout){ "move", o->dropout, kind };
    m->drop_value = (struct mega_dropout){ "v_proj", o->hidden_dropout, kind };
    m->drop_hidden = (struct mega_dropout){ "h_proj", o->dropout, kind };
}

/* the longest window that this pass can have */
static int64_t window(const mega_tensor *past, const struct mega_gated_attention_options *o,
    const struct mega_rows *rows)
{
    if (o->chunk > 0 && (past || o->chunk < rows->T)) return o->chunk;
    return past ? past->dim[1] : rows->T;
}

static mega_tensor *attend(mega_run *r, const struct mega_gated_attention *m, mega_tensor *z,
    mega_tensor *v, const struct mega_rows *rows)
{
    const struct mega_gated_attention_options *o = &m->options;
    struct mega_call qk = { .op = &mega_op_query_key, .in = { z, m->gamma, m->beta } };
    mega_run_call(r, &qk, NULL);

    struct mega_attr_attention a;
    memset(&a, 0, sizeof a);
    a.fn = (enum mega_attention_fn)o->attention;
    a.causal = o->causal;
    a.chunk = o->chunk;
    a.dropout = o->attention_dropout;
    a.weights = mega_run_wants(r, "weights");
    struct mega_call c = { .op = &mega_op_attention, .attr = &a, .rows = rows };
    c.in[MEGA_ATTENTION_Q] = qk.out[0];
    c.in[MEGA_ATTENTION_K] = qk.out[1];
    c.in[MEGA_ATTENTION_V] = v;
    if (m->past_keys) {
        c.in[MEGA_ATTENTION_PAST_K] = mega_cell_get(r, m->past_keys);
        c.in[MEGA_ATTENTION_PAST_V] = mega_cell_get(r, m->past_values);
    }
    c.in[MEGA_ATTENTION_BIAS] =
        mega_relative_bias_run(r, &m->bias, window(c.in[MEGA_ATTENTION_PAST_K], o, rows));
    mega_tensor *out = mega_run_call(r, &c, "weights");
    mega_run_tap(r, "weights", c.out[1]);
    if (m->past_keys) {
        mega_cell_set(r, m->past_keys, qk.out[1]);
        mega_cell_set(r, m->past_values, v);
    }
    return out;
}

/* x + sigmoid(u) (drop(act(hx + h)) - x) */
static mega_tensor *gated_residual(mega_run *r, const struct mega_gated_attention *m,
    mega_tensor *x, mega_tensor *u, mega_tensor *hx, mega_tensor *h,
    const struct mega_rows *rows)
{
    const struct mega_dropout *drop = &m->drop_hidden;
    struct mega_attr_gated_residual a;
    memset(&a, 0, sizeof a);
    a.act = (enum mega_act)m->options.act;
    a.kind = drop->kind;
    a.dropout = drop->p;
    struct mega_call c = {
        .op = &mega_op_gated_residual, .in = { x, u, hx, h }, .attr = &a, .rows = rows
    };
    mega_run_call(r, &c, drop->site);
    return c.out[0];
}

/* x + sigmoid(u) (drop(act(hx + W_h (out silu(reset)) + b_h)) - x): as a region where a kernel
 * takes it, else by its parts */
static mega_tensor *gated_output(mega_run *r, const struct mega_gated_attention *m,
    mega_tensor *x, mega_tensor *u, mega_tensor *hx, mega_tensor *out, mega_tensor *reset,
    const struct mega_rows *rows)
{
    const struct mega_dropout *drop = &m->drop_hidden;
    struct mega_attr_gated_output region;
    memset(&region, 0, sizeof region);
    region.act = (enum mega_act)m->options.act;
    region.kind = drop->kind;
    region.dropout = drop->p;
    struct mega_call c = { .op = &mega_op_gated_output,
        .in = { x, u, hx, out, reset, m->h_weight, m->h_bias },
        .attr = &region,
        .rows = rows };
    if (mega_run_region(r, &c, drop->site)) return c.out[0];

    mega_tensor *h =
        linear(r, gate(r, out, reset, MEGA_ACT_SILU), m->h_weight, m->h_bias, MEGA_ACT_LINEAR);
    mega_tensor *y = gated_residual(r, m, x, u, hx, h, rows);
    mega_run_chain_end(r);
    return y;
}

/* u and hx alone, where there is no attention */
static mega_tensor *without_attention(mega_run *r, const struct mega_gated_attention *m,
    mega_tensor *x, mega_tensor *mx, const struct mega_rows *rows)
{
    int64_t D = m->options.width;
    mega_tensor *packed = linear(r, mx, m->mx_weight, m->mx_bias, MEGA_ACT_LINEAR),
                *u = columns(r, packed, 0, D), *hx = columns(r, packed, D, D);
    return gated_residual(r, m, x, u, hx, mega_constant_run(r, m->h_bias, x, rows), rows);
}

mega_tensor *mega_gated_attention_run(mega_run *r, const struct mega_gated_attention *m,
    mega_tensor *x, const struct mega_rows *rows)
{
    const struct mega_gated_attention_options *o = &m->options;
    int64_t D = o->width, E = o->values, Z = o->keys;
    enum mega_act act = (enum mega_act)o->act;
    mega_tensor *xn = o->prenorm ? mega_norm_run(r, &m->norm, x) : x;
    /* first what looks along the whole row: the rest goes by rows and windows */
    mega_tensor *moved = mega_ema_run(r, &m->ema, xn, rows);
    mega_tensor *v = m->v_weight ? linear(r, xn, m->v_weight, m->v_bias, act) : NULL;
    mega_tensor *mx = mega_dropout_run(r, &m->drop_ema, moved, rows);
    if (!m->kept.heads) {
        mega_tensor *alone = without_attention(r, m, x, mx, rows);
        return o->prenorm ? alone : mega_norm_run(r, &m->norm, alone);
    }

    mega_tensor *packed =
        linear(r, mx, m->mx_weight, m->mx_bias, MEGA_ACT_LINEAR); /* [B, T, D + Z + E + D] */
    mega_tensor *u = columns(r, packed, 0, D), *z = columns(r, packed, D, Z);
    mega_tensor *reset = columns(r, packed, D + Z, E), *hx = columns(r, packed, D + Z + E, D);

    mega_tensor *out = attend(r, m, z, mega_dropout_run(r, &m->drop_value, v, rows), rows);
    out = mega_head_gates_run(r, &m->gates, out, rows);
    mega_tensor *y = gated_output(r, m, x, u, hx, out, reset, rows);
    return o->prenorm ? y : mega_norm_run(r, &m->norm, y);
}
