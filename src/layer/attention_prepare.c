#include "layer/attention_prepare.h"

#include <math.h>

#include "graph/ops.h"

/* ---- declaration ---- */

static mega_tensor *declare(
    mega_build *b, const char *name, double start, int64_t rows, int64_t columns)
{
    struct mega_init init = { MEGA_INIT_CONSTANT, start, 0 };
    size_t entered = mega_build_enter(b, "%s", name);
    mega_tensor *w = mega_param_add(b, "weight", init, 2, (int64_t[]){ rows, columns });
    mega_build_leave(b, entered);
    return w;
}

static void declare_qk(
    mega_build *b, struct mega_attention_prepare *p, const struct mega_attention_options *o)
{
    const struct mega_attention_prepare_options *a = &o->prepare;
    bool l2 = a->qk_norm == MEGA_QK_NORM_L2, rms = a->qk_norm >= MEGA_QK_NORM_RMS;
    /* gains of l2 as they are, of rms as what they are more than 1 */
    double start = l2 ? sqrt(sqrt((double)o->keys)) : 0;
    if ((l2 && a->dim_scale) || a->qk_norm == MEGA_QK_NORM_RMS)
        p->q_norm = declare(b, "q_norm", start, o->heads, o->keys);
    if ((l2 && a->dim_scale) || rms)
        p->k_norm = declare(b, "k_norm", start, o->kv_heads, o->keys);
    if (!l2 || a->dim_scale || a->qk_scale_kind == MEGA_QK_SCALE_FIXED) return;
    bool heads = a->qk_scale_kind == MEGA_QK_SCALE_HEADS;
    double L = (double)o->longest;
    p->qk_scale = mega_param_add(b, "qk_scale",
        (struct mega_init){ MEGA_INIT_CONSTANT, heads ? log(10) : log2(L * L - L), 0 }, 1,
        (int64_t[]){ heads ? o->heads : 1 });
}

void mega_attention_prepare_build(
    mega_build *b, struct mega_attention_prepare *p, const struct mega_attention_options *o)
{
    const struct mega_attention_prepare_options *a = &o->prepare;
    struct mega_init zero = { MEGA_INIT_CONSTANT, 0, 0 }, one = { MEGA_INIT_NORMAL, 0, 1 };
    declare_qk(b, p, o);
    if (a->value_norm) p->v_norm = declare(b, "v_norm", 0, o->kv_heads, o->values);
    if (a->value_residual == MEGA_VALUE_RESIDUAL_LEARNED) {
        int64_t width = o->cross && o->context ? o->context : o->width;
        size_t entered = mega_build_enter(b, "vmix");
        p->vmix = mega_param_add(b, "weight", zero, 2, (int64_t[]){ o->kv_heads, width });
        p->vmix_bias = mega_param_add(b, "bias", zero, 1, &o->kv_heads);
        mega_build_leave(b, entered);
    }
    if (!a->memories) return;
    p->mem_k =
        mega_param_add(b, "mem_k", one, 3, (int64_t[]){ o->kv_heads, a->memories, o->keys });
    p->mem_v =
        mega_param_add(b, "mem_v", one, 3, (int64_t[]){ o->kv_heads, a->memories, o->values });
}

/* ---- running ---- */

/* v1 + mu (v - v1), mu = 1/2 or sigmoid(z W + b) of each head */
mega_tensor *mega_attention_mix_values(mega_run *r, const struct mega_attention_prepare *p,
    const struct mega_attention_options *o, mega_tensor *v, mega_tensor *first, mega_tensor *z)
{
    if (!v || !first || !o->prepare.value_residual) return v;
    if (o->prepare.value_residual == MEGA_VALUE_RESIDUAL_HALF)
        return scale(r, add(r, v, first), NULL, 0.5);
    mega_tensor *mu = linear(r, z, p->vmix, p->vmix_bias, MEGA_ACT_LINEAR);
    mega_tensor *change = add(r, v, scale(r, first, NULL, -1));
    return add(r, head_gate(r, change, NULL, mu, o->kv_heads, MEGA_ACT_SIGMOID), first);
}

static struct mega_attr_head_norm norm_of(
    const struct mega_attention_options *o, bool l2, int64_t heads)
{
    struct mega_attr_head_norm a;
    memset(&a, 0, sizeof a);
    a.kind = l2 ? MEGA_HEAD_NORM_L2 : MEGA_HEAD_NORM_RMS;
    a.unit_offset = !l2;
    a.heads = heads;
    a.groups = l2 && o->prepare.groups > 1 ? o->prepare.groups : 0;
    a.eps = l2 ? 1e-12 : o->norm_eps > 0 ? o->norm_eps : MEGA_NORM_EPS;
    return a;
}

static mega_tensor *normalise(mega_run *r, const struct mega_op *op, mega_tensor *x,
    mega_tensor *weight, const struct mega_attr_head_norm *a)
{
    return mega_run_call(
        r, &(struct mega_call){ .op = op, .in = { x, weight }, .attr = a }, NULL);
}

/* learned keys too, whose heads lie one after the other */
static void normalise_keys(mega_run *r, const struct mega_attention_prepare *p,
    const struct mega_attention_options *o, struct mega_attention_heads *h)
{
    bool l2 = o->prepare.qk_norm == MEGA_QK_NORM_L2;
    struct mega_attr_head_norm q = norm_of(o, l2, o->heads), k = norm_of(o, l2, o->kv_heads);
    if (o->prepare.qk_norm == MEGA_QK_NORM_NONE) return;
    if (o->prepare.qk_norm != MEGA_QK_NORM_K_RMS)
        h->q = normalise(r, &mega_op_head_norm, h->q, p->q_norm, &q);
    if (h->k) h->k = normalise(r, &mega_op_head_norm, h->k, p->k_norm, &k);
    if (h->prefix_k) h->prefix_k = normalise(r, &mega_op_slot_norm, h->prefix_k, p->k_norm, &k);
    bool heads = o->prepare.qk_scale_kind == MEGA_QK_SCALE_HEADS;
    if (p->qk_scale)
        h->q = heads ? head_gate_log(r, h->q, p->qk_scale, o->heads)
                     : head_gate(r, h->q, p->qk_scale, NULL, o->heads, MEGA_ACT_LINEAR);
}

double mega_rotary_base(const struct mega_rotary_options *o, int64_t dims)
{
    if (!(o->ntk > 0) || dims <= 2) return o->base;
    return o->base * pow(o->ntk, (double)dims / (double)(dims - 2));
}

enum side { QUERIES = 1, KEYS = -1 };

static mega_tensor *rotate(mega_run *r, const struct mega_rotary_options *o, mega_tensor *x,
    int64_t heads, int64_t width, enum side side, const struct mega_rows *rows)
{
    int64_t dims = o->dims ? o->dims : width;
    struct mega_attr_rotary a;
    memset(&a, 0, sizeof a);
    a.heads = heads;
    a.dims = dims;
    a.base = mega_rotary_base(o, dims);
    a.factor = o->factor;
    a.interleaved = o->interleaved;
    a.first = o->heads ? heads - o->heads : 0;
    if (o->kind == MEGA_ROTARY_XPOS) a.xpos = side * (o->xpos_base > 0 ? o->xpos_base : 512);
    return mega_run_call(r,
        &(struct mega_call){ .op = &mega_op_rotary, .in = { x }, .attr = &a, .rows = rows },
        NULL);
}

static mega_tensor *polar(mega_run *r, const struct mega_rotary_options *o, mega_tensor *x,
    int64_t heads, mega_tensor *phase, const struct mega_rows *rows)
{
    struct mega_attr_polar a;
    memset(&a, 0, sizeof a);
    a.heads = heads;
    a.base = o->base;
    a.factor = o->factor;
    return mega_run_call(r,
        &(struct mega_call){
            .op = &mega_op_polar, .in = { x, phase }, .attr = &a, .rows = rows },
        NULL);
}

static void turn(mega_run *r, const struct mega_attention_options *o,
    struct mega_attention_heads *h, mega_tensor *phase, const struct mega_rows *rows,
    const struct mega_rows *keys)
{
    const struct mega_rotary_options *a = &o->rotary;
    if (o->cross || (!a->kind && !a->dims)) return;
    if (a->kind == MEGA_ROTARY_POPE) {
        h->q = polar(r, a, h->q, o->heads, NULL, rows);
        h->k = polar(r, a, h->k, o->kv_heads, phase, keys);
        return;
    }
    h->q = rotate(r, a, h->q, o->heads, o->keys, QUERIES, rows);
    h->k = rotate(r, a, h->k, o->kv_heads, o->keys, KEYS, keys);
}

void mega_attention_prepare_run(mega_run *r, const struct mega_attention_prepare *p,
    const struct mega_attention_options *o, struct mega_attention_heads *h, mega_tensor *phase,
    const struct mega_rows *rows, const struct mega_rows *keys)
{
    h->prefix_k = p->mem_k;
    h->prefix_v = p->mem_v;
    normalise_keys(r, p, o, h);
    if (p->v_norm && h->v) {
        struct mega_attr_head_norm a = norm_of(o, false, o->kv_heads);
        h->v = normalise(r, &mega_op_head_norm, h->v, p->v_norm, &a);
    }
    turn(r, o, h, phase, rows, keys);
    if (!o->prepare.laser) return;
    if (h->v) h->v = laser(r, h->v, MEGA_LASER_CLAMP);
    if (h->prefix_v) h->prefix_v = laser(r, h->prefix_v, MEGA_LASER_CLAMP);
}

double mega_attention_scale(const struct mega_attention_options *o)
{
    const struct mega_attention_prepare_options *a = &o->prepare;
    bool plain = o->score.fn <= MEGA_ATTENTION_RELU2 && !o->score.l2 &&
                 o->rotary.kind != MEGA_ROTARY_POPE;
    if (a->qk_norm == MEGA_QK_NORM_L2 && !a->dim_scale) {
        if (a->qk_scale_kind != MEGA_QK_SCALE_FIXED) return 1;
        return a->qk_scale > 0 ? a->qk_scale : 10;
    }
    if (o->scale > 0 || (plain && !a->kv_latent)) return o->scale;
    return 1 / sqrt((double)(o->keys + (a->kv_latent ? o->rotary.dims : 0)));
}
