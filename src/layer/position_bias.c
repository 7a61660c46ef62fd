#include "layer/position_bias.h"

#include <math.h>
#include <stdio.h>

#include "graph/ops.h"

/* ---- declaration ---- */

bool mega_position_bias_wanted(const struct mega_position_bias_options *o)
{
    return o->kind > MEGA_REL_POS_NONE && o->kind < MEGA_REL_POS_FORGET;
}

/* 1 -> W, then W -> W, at last W -> H */
static void declare_layers(mega_build *b, struct mega_position_bias *p, int64_t width)
{
    int64_t depth = p->options.dynamic_depth, W = width / 4 > 0 ? width / 4 : 1;
    struct mega_init small = { MEGA_INIT_NORMAL, 0, 0.02 }, zero = { MEGA_INIT_CONSTANT, 0, 0 };
    p->layer = mega_arena_zeroed(&b->store->names, (size_t)(depth + 1) * sizeof *p->layer);
    if (!p->layer && !b->status)
        b->status = mega_fail(MEGA_NO_MEMORY, "no memory to declare a position bias");
    for (int64_t i = 0; i <= depth && !b->status; i++) {
        struct mega_dynamic_layer *l = &p->layer[i];
        int64_t in = i ? W : 1, out = i < depth ? W : p->heads;
        size_t entered = mega_build_enter(b, "dpb.%lld", (long long)i);
        l->weight = mega_param_add(b, "weight", small, 2, (int64_t[]){ out, in });
        l->bias = mega_param_add(b, "bias", zero, 1, &out);
        if (p->options.dynamic_norm && i < depth) {
            size_t norm = mega_build_enter(b, "norm");
            mega_norm_declare(b, &l->norm,
                &(struct mega_norm_options){ .type = MEGA_LAYERNORM,
                    .width = W,
                    .affine = true,
                    .bias = true,
                    .eps = MEGA_NORM_EPS });
            mega_build_leave(b, norm);
        }
        mega_build_leave(b, entered);
    }
}

/* slopes that begin as ALiBi's: of each head, or of either side of the query */
static void declare_slopes(mega_build *b, struct mega_position_bias *p)
{
    const struct mega_position_bias_options *o = &p->options;
    int64_t sloped = o->alibi_heads ? o->alibi_heads : p->heads;
    struct mega_init slopes = { MEGA_INIT_SLOPES, (double)sloped, 0 };
    size_t entered = mega_build_enter(b, "alibi");
    p->table = mega_param_add(
        b, "slopes", slopes, 2, (int64_t[]){ p->heads, o->alibi_asymmetric ? 2 : 1 });
    mega_build_leave(b, entered);
}

void mega_position_bias_build(mega_build *b, struct mega_position_bias *p,
    const struct mega_position_bias_options *o, int64_t heads, int64_t width, bool causal)
{
    *p = (struct mega_position_bias){
        .options = *o, .heads = heads, .width = width, .causal = causal
    };
    if (o->kind == MEGA_REL_POS_DYNAMIC) declare_layers(b, p, width);
    if (o->kind == MEGA_REL_POS_ALIBI && o->alibi_learned) declare_slopes(b, p);
    if (o->kind != MEGA_REL_POS_T5) return;
    size_t entered = mega_build_enter(b, "rel_bias");
    p->table = mega_param_add(b, "weight", (struct mega_init){ MEGA_INIT_NORMAL, 0, 0.02 }, 2,
        (int64_t[]){ o->buckets, heads });
    mega_build_leave(b, entered);
}

/* ---- running ---- */

static mega_tensor *distances(mega_run *r, const struct mega_position_bias *p,
    enum mega_distance_kind kind, int64_t length)
{
    const struct mega_position_bias_options *o = &p->options;
    struct mega_attr_distance_bias a;
    memset(&a, 0, sizeof a);
    a.kind = kind;
    a.length = length;
    a.heads = kind == MEGA_DISTANCE_T5 || kind == MEGA_DISTANCE_ALIBI ? p->heads : 1;
    if (kind == MEGA_DISTANCE_T5) {
        a.two_way = !p->causal;
        a.max_distance = o->max_distance;
        a.scale = o->scale;
    }
    if (kind == MEGA_DISTANCE_ALIBI) {
        a.sloped = o->alibi_heads ? o->alibi_heads : p->heads;
        a.two_way = o->alibi_asymmetric;
    }
    return mega_run_call(r,
        &(struct mega_call){
            .op = &mega_op_distance_bias, .in = { p->table }, .attr = &a }, /* of t5 */
        NULL);
}

/* [H, 2n-1] of slopes that learn: less the distance's size on either side times its own */
static mega_tensor *slopes(mega_run *r, const struct mega_position_bias *p, int64_t length)
{
    int64_t sides = p->options.alibi_asymmetric ? 2 : 1, n = 2 * length - 1;
    mega_tensor *far = mega_run_tensor(r, MEGA_F32, 2, (int64_t[]){ n, sides });
    for (int64_t x = 0; far && far->data && x < n; x++) {
        double delta = (double)(length - 1 - x);
        mega_put(far, x, 0, sides > 1 ? -fmax(delta, 0) : -fabs(delta));
        if (sides > 1) mega_put(far, x, 1, fmin(delta, 0));
    }
    return linear(r, p->table, far, NULL, MEGA_ACT_LINEAR);
}

/* [n, D] of the distances 0 ... n - 1, [2n-1, D] with those of keys after the query before
 * them: sines, then cosines */
static mega_tensor *sines(mega_run *r, const struct mega_position_bias *p, int64_t length)
{
    int64_t D = p->width, half = D / 2, ahead = p->causal ? 0 : length - 1, n = ahead + length;
    mega_tensor *t = mega_run_tensor(r, MEGA_F32, 2, (int64_t[]){ n, D });
    for (int64_t k = 0; t && t->data && k < half; k++) {
        double turn = pow(10000, -2 * (double)k / (double)D);
        for (int64_t x = 0; x < n; x++) {
            mega_put(t, x, k, sin((double)(x - ahead) * turn));
            mega_put(t, x, half + k, cos((double)(x - ahead) * turn));
        }
    }
    return t;
}

/* [H, 2n-1] of a network that reads one distance a row */
static mega_tensor *dynamic(mega_run *r, const struct mega_position_bias *p, int64_t length)
{
    const struct mega_position_bias_options *o = &p->options;
    mega_tensor *x = transpose(
        r, distances(r, p, o->dynamic_log ? MEGA_DISTANCE_LOG : MEGA_DISTANCE_PLAIN, length));
    for (int64_t i = 0; i < o->dynamic_depth; i++) {
        const struct mega_dynamic_layer *l = &p->layer[i];
        enum mega_act act = o->dynamic_norm ? MEGA_ACT_LINEAR : MEGA_ACT_SILU;
        x = linear(r, x, l->weight, l->bias, act);
        if (o->dynamic_norm) x = activation(r, mega_norm_run(r, &l->norm, x), MEGA_ACT_SILU);
    }
    const struct mega_dynamic_layer *last = &p->layer[o->dynamic_depth];
    return transpose(r, linear(r, x, last->weight, last->bias, MEGA_ACT_LINEAR));
}

mega_tensor *mega_position_bias_run(
    mega_run *r, const struct mega_position_bias *p, int64_t length)
{
    if (length < 1) length = 1;
    switch (p->options.kind) {
    case MEGA_REL_POS_T5: return distances(r, p, MEGA_DISTANCE_T5, length);
    case MEGA_REL_POS_ALIBI:
        return p->table ? slopes(r, p, length) : distances(r, p, MEGA_DISTANCE_ALIBI, length);
    case MEGA_REL_POS_XL: return sines(r, p, length);
    case MEGA_REL_POS_DYNAMIC: return dynamic(r, p, length);
    }
    return NULL;
}
