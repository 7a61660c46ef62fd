#include "layer/megalodon.h"

#include <math.h>
#include <string.h>

#include "graph/ops.h"
#include "layer/constant.h"
#include "layer/megalodon_init.h"

/* ---- the first hop: declaration ---- */

/* a projection [rows, columns] and, if there is a place for it, its bias */
static mega_tensor *declare(mega_build *b, const struct mega_megalodon_options *o,
    const char *name, int64_t rows, int64_t columns, mega_tensor **bias)
{
    struct mega_init zero = { MEGA_INIT_CONSTANT, 0, 0 };
    size_t entered = mega_build_enter(b, "%s", name);
    mega_tensor *weight =
        mega_param_add(b, "weight", mega_megalodon_init_of(o), 2, (int64_t[]){ rows, columns });
    if (bias) *bias = mega_param_add(b, "bias", zero, 1, &rows);
    mega_build_leave(b, entered);
    return weight;
}

static void declare_norms(mega_build *b, struct mega_megalodon_attention *m)
{
    const struct mega_megalodon_options *o = &m->options;
    size_t entered = mega_build_enter(b, "timenorm");
    mega_timestep_norm_build(b, &m->timenorm,
        &(struct mega_timestep_norm_options){
            .width = o->width, .groups = o->groups, .eps = o->norm_eps, .port = o->port });
    mega_build_leave(b, entered);
    entered = mega_build_enter(b, "cema");
    mega_cema_build(b, &m->cema, o->width, o->states);
    mega_build_leave(b, entered);
    entered = mega_build_enter(b, "rmsnorm");
    mega_norm_declare(b, &m->rmsnorm,
        &(struct mega_norm_options){ .type = MEGA_RMSNORM,
            .width = o->width,
            .affine = o->affine,
            .eps = o->norm_eps,
            .unit_offset = true });
    mega_build_leave(b, entered);
}

/* what is left without heads */
static void declare_average(mega_build *b, struct mega_megalodon_attention *m)
{
    const struct mega_megalodon_options *o = &m->used;
    struct mega_init zero = { MEGA_INIT_CONSTANT, 0, 0 };
    m->wh1 = declare(b, o, "wh1", o->width, o->width, &m->wh1_bias);
    if (o->port) m->wh2_bias = mega_param_add(b, "wh2.bias", zero, 1, &o->width);
}

static void declare_projections(mega_build *b, struct mega_megalodon_attention *m)
{
    const struct mega_megalodon_options *o = &m->used;
    int64_t D = o->width, E = o->values, Z = o->keys;
    struct mega_init zero = { MEGA_INIT_CONSTANT, 0, 0 };
    m->wv = declare(b, o, "wv", E, D, &m->wv_bias);
    m->wz = declare(b, o, "wz", Z, D, &m->wz_bias);
    m->wr = declare(b, o, "wr", E, D, &m->wr_bias);
    m->wh1 = declare(b, o, "wh1", D, D, &m->wh1_bias);
    m->wh2 = declare(b, o, "wh2", D, E, o->port ? &m->wh2_bias : NULL);
    m->gamma = mega_param_add(b, "gamma", zero, 2, (int64_t[]){ 2, Z });
    m->beta = mega_param_add(b, "beta", zero, 2, (int64_t[]){ 2, Z });
}

/* rotated keys and values of a stream's present chunk */
static void declare_logs(mega_build *b, struct mega_megalodon_attention *m)
{
    const struct mega_megalodon_options *o = &m->used;
    m->past_keys = mega_cell_add(b, "keys", MEGA_CELL_LOG, MEGA_F32, 1, &o->keys, 0);
    m->past_values = mega_cell_add(b, "values", MEGA_CELL_LOG, MEGA_F32, 1, &o->values, 0);
    if (!b->status) m->past_keys->window = m->past_values->window = o->chunk;
}

/* H, Z and E of the heads that are left */
static void leave_heads(mega_build *b, struct mega_megalodon_attention *m)
{
    struct mega_megalodon_options *o = &m->used;
    mega_kept_heads_build(b, &m->kept, o->kept_heads, o->layer, o->heads, o->heads);
    o->keys = o->keys / o->heads * m->kept.heads;
    o->values = o->values / o->heads * m->kept.heads;
    o->heads = m->kept.heads;
}

static void declare_heads(mega_build *b, struct mega_megalodon_attention *m)
{
    const struct mega_megalodon_options *o = &m->used;
    declare_projections(b, m);
    mega_head_gates_build(b, &m->gates, o->heads, o->values / o->heads, &o->gates);
    mega_unit_gates_build(
        b, &m->branch, "branch_gate", o->gates.branches, 1, o->values, &o->gates);
    declare_logs(b, m);
}

void mega_megalodon_attention_build(
    mega_build *b, struct mega_megalodon_attention *m, const struct mega_megalodon_options *o)
{
    *m = (struct mega_megalodon_attention){ .options = *o, .used = *o };
    if (!b->status) b->status = mega_megalodon_check(o);
    if (!b->status) leave_heads(b, m);
    if (b->status) return;
    declare_norms(b, m);
    if (m->kept.heads)
        declare_heads(b, m);
    else
        declare_average(b, m);
    m->drop_ema = (struct mega_dropout){ "rmsnorm", o->hidden_dropout, MEGA_DROPOUT_ELEMENTS };
    m->drop_gated = (struct mega_dropout){ "wr", o->hidden_dropout, MEGA_DROPOUT_ELEMENTS };
    m->drop_out = (struct mega_dropout){ "wh2", o->dropout, MEGA_DROPOUT_ELEMENTS };
}

/* ---- the first hop: running ---- */

static mega_tensor *rotate(mega_run *r, const struct mega_megalodon_options *o, mega_tensor *x,
    const struct mega_rows *rows)
{
    struct mega_attr_rotary a;
    memset(&a, 0, sizeof a);
    a.heads = o->heads;
    a.base = o->rotary_base;
    a.factor = 1;
    a.restart = o->chunk;
    a.interleaved = !o->port;
    return mega_run_call(r,
        &(struct mega_call){ .op = &mega_op_rotary, .in = { x }, .attr = &a, .rows = rows },
        NULL);
}

static void query_key(mega_run *r, const struct mega_megalodon_attention *m, mega_tensor *z,
    mega_tensor **q, mega_tensor **k, const struct mega_rows *rows)
{
    struct mega_attr_query_key_norm a;
    memset(&a, 0, sizeof a);
    a.heads = m->used.heads;
    a.eps = m->options.norm_eps;
    struct mega_call c = { .op = &mega_op_query_key_norm, .attr = &a };
    c.in[MEGA_QUERY_KEY_Z] = z;
    c.in[MEGA_QUERY_KEY_GAMMA] = m->gamma;
    c.in[MEGA_QUERY_KEY_BETA] = m->beta;
    mega_run_call(r, &c, NULL);
    *q = rotate(r, &m->used, c.out[0], rows);
    *k = rotate(r, &m->used, c.out[1], rows);
}

/* a [B, T, E]: each head in its chunk, scores as they are */
static mega_tensor *attend(mega_run *r, const struct mega_megalodon_attention *m,
    mega_tensor *z, mega_tensor *v, const struct mega_rows *rows)
{
    const struct mega_megalodon_options *o = &m->used;
    mega_tensor *q, *k;
    query_key(r, m, z, &q, &k, rows);
    struct mega_attr_attention a;
    memset(&a, 0, sizeof a);
    a.fn = MEGA_ATTENTION_SOFTMAX;
    a.causal = true;
    a.chunk = o->chunk;
    a.dropout = o->attention_dropout;
    a.drop_keys = o->drop_keys;
    a.heads = o->heads;
    a.scale = 1;
    a.weights = mega_run_wants(r, "weights");
    struct mega_call c = { .op = &mega_op_attention, .attr = &a, .rows = rows };
    c.in[MEGA_ATTENTION_Q] = q;
    c.in[MEGA_ATTENTION_K] = k;
    c.in[MEGA_ATTENTION_V] = v;
    c.in[MEGA_ATTENTION_PAST_K] = mega_cell_get(r, m->past_keys);
    c.in[MEGA_ATTENTION_PAST_V] = mega_cell_get(r, m->past_values);
    mega_tensor *out = mega_run_call(r, &c, "weights");
    mega_run_tap(r, "weights", c.out[1]);
    mega_cell_set(r, m->past_keys, k);
    mega_cell_set(r, m->past_values, v);
    return mega_head_gates_run(
        r, &m->branch, mega_head_gates_run(r, &m->gates, out, rows), rows);
}

/* the port's mask is not for its moving average */
static const struct mega_rows *unmasked(mega_run *r, const struct mega_rows *rows)
{
    struct mega_rows *all = rows->real ? mega_run_memory(r, sizeof *all) : NULL;
    if (!all) return rows;
    *all = *rows;
    all->real = NULL;
    return all;
}

/* drop(g a r) W_h2 */
static mega_tensor *attention_side(mega_run *r, const struct mega_megalodon_attention *m,
    mega_tensor *xt, mega_tensor *mx, const struct mega_rows *rows)
{
    mega_tensor *v = linear(r, xt, m->wv, m->wv_bias, MEGA_ACT_SILU);   /* [B, T, E] */
    mega_tensor *z = linear(r, mx, m->wz, m->wz_bias, MEGA_ACT_LINEAR); /* [B, T, Z] */
    mega_tensor *a = attend(r, m, z, v, rows);
    mega_tensor *reset = linear(r, mx, m->wr, m->wr_bias, MEGA_ACT_LINEAR);
    mega_tensor *gated =
        mega_dropout_run(r, &m->drop_gated, gate(r, a, reset, MEGA_ACT_SILU), rows);
    return linear(r, gated, m->wh2, m->wh2_bias, MEGA_ACT_LINEAR);
}

mega_tensor *mega_megalodon_attention_run(mega_run *r, const struct mega_megalodon_attention *m,
    mega_tensor *x, const struct mega_rows *rows)
{
    const struct mega_rows *seen = m->options.port ? unmasked(r, rows) : rows;
    mega_tensor *xt = mega_timestep_norm_run(r, &m->timenorm, x, rows);
    mega_tensor *mx = mega_norm_run(r, &m->rmsnorm, mega_cema_run(r, &m->cema, xt, seen));
    mx = mega_dropout_run(r, &m->drop_ema, mx, rows);

    mega_tensor *side = m->kept.heads ? attention_side(r, m, xt, mx, rows)
                        : m->wh2_bias ? mega_constant_run(r, m->wh2_bias, x, rows)
                                      : NULL;
    mega_tensor *h = linear(r, mx, m->wh1, m->wh1_bias, MEGA_ACT_LINEAR);
    if (side) h = add(r, h, side);
    return add(r, mega_dropout_run(r, &m->drop_out, h, rows), x);
}

/* ---- the second hop ---- */

void mega_megalodon_feed_forward_build(mega_build *b, struct mega_megalodon_feed_forward *f,
    const struct mega_megalodon_options *o)
{
    static const struct mega_mlp_names gated = { "fc3", "fc1", "fc2" },
                                       plain = { "fc1", NULL, "fc2" };
    struct mega_init init = mega_megalodon_init_of(o);
    double start = 0.1 * pow(0.5, (double)o->layer);
    *f = (struct mega_megalodon_feed_forward){ .constant = 1 };
    size_t entered = mega_build_enter(b, "norm");
    mega_norm_declare(b, &f->norm,
        &(struct mega_norm_options){ .type = MEGA_LAYERNORM,
            .width = o->width,
            .affine = o->affine,
            .bias = true,
            .eps = o->norm_eps,
            .unit_offset = !o->port });
    mega_build_leave(b, entered);
    mega_mlp_build(b, &f->mlp,
        &(struct mega_mlp_options){ .width = o->width,
            .hidden = o->hidden,
            .act = MEGA_ACT_SILU,
            .gated = o->swiglu,
            .up_bias = o->port,
            .down_bias = o->port,
            .dropout = o->hidden_dropout,
            .init = &init,
            .names = o->swiglu ? &gated : &plain,
            .gates = o->gates,
            .block = o->channel_block,
            .kept = o->kept_channels,
            .layer = o->layer });
    if (o->rescale && o->port) f->constant = start;
    if (o->rescale && !o->port)
        f->alpha = mega_param_add(
            b, "alpha", (struct mega_init){ MEGA_INIT_CONSTANT, start, 0 }, 1, &o->width);
    f->drop = (struct mega_dropout){ "fc2", o->dropout, MEGA_DROPOUT_ELEMENTS };
}

mega_tensor *mega_megalodon_feed_forward_run(mega_run *r,
    const struct mega_megalodon_feed_forward *f, mega_tensor *y, mega_tensor *x,
    const struct mega_rows *rows)
{
    mega_tensor *z = mega_norm_run(r, &f->norm, y);
    bool plain = !f->alpha && f->constant == 1;
    if (plain) return mega_mlp_add(r, &f->mlp, z, x, &f->drop, rows);
    mega_tensor *h = mega_dropout_run(r, &f->drop, mega_mlp_run(r, &f->mlp, z, rows), rows);
    return add(r, scale(r, h, f->alpha, f->constant), x);
}

/* ---- the layer ---- */

void mega_megalodon_block_build(
    mega_build *b, struct mega_megalodon_block *m, const struct mega_megalodon_options *o)
{
    size_t entered = mega_build_enter(b, "mega");
    mega_megalodon_attention_build(b, &m->mega, o);
    mega_build_leave(b, entered);
    entered = mega_build_enter(b, "nffn");
    if (!b->status) mega_megalodon_feed_forward_build(b, &m->nffn, o);
    mega_build_leave(b, entered);
}

mega_tensor *mega_megalodon_block_run(mega_run *r, const struct mega_megalodon_block *m,
    mega_tensor *x, const struct mega_rows *rows)
{
    mega_tensor *y = mega_megalodon_attention_run(r, &m->mega, x, rows);
    return mega_megalodon_feed_forward_run(r, &m->nffn, y, x, rows);
}

/* ---- rows ---- */
