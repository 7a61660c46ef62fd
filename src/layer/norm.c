#include "layer/norm.h"

#include <string.h>

#include "graph/ops.h"

static bool over_batch(enum mega_norm_type type)
{
    return type == MEGA_BATCHNORM || type == MEGA_SYNCBATCHNORM;
}

/* what looks at each number alone */
static void declare_squash(
    mega_build *b, struct mega_norm *n, const struct mega_norm_options *o)
{
    int64_t one = 1;
    double slope = o->slope > 0 ? o->slope : o->type == MEGA_DYT ? 1 : 0.5;
    struct mega_init gain = { MEGA_INIT_CONSTANT, o->unit_offset ? 0 : 1, 0 },
                     zero = { MEGA_INIT_CONSTANT, 0, 0 },
                     first = { MEGA_INIT_CONSTANT, slope, 0 };
    if (o->affine) {
        n->weight = mega_param_add(b, "weight", gain, 1, &o->width);
        n->bias = mega_param_add(b, "bias", zero, 1, &o->width);
    }
    n->slope = mega_param_add(b, "alpha", first, 1, &one);
    if (o->type == MEGA_DERF) n->shift = mega_param_add(b, "shift", zero, 1, &one);
}

static void declare(mega_build *b, struct mega_norm *n, const struct mega_norm_options *o,
    const char *scale_name)
{
    *n = (struct mega_norm){
        .type = o->type, .unit_offset = o->unit_offset, .guard = o->guard, .eps = o->eps
    };
    if (o->type == MEGA_DYT || o->type == MEGA_DERF) {
        declare_squash(b, n, o);
        return;
    }
    if (mega_norm_is_adaptive(o->type)) {
        n->condition =
            mega_param_add(b, "cond.weight", (struct mega_init){ MEGA_INIT_CONSTANT, 0, 0 }, 2,
                (int64_t[]){ o->width, o->condition });
        return;
    }
    if (o->type == MEGA_SIMPLE_RMSNORM) return;
    bool scale = o->type == MEGA_SCALENORM, batch = over_batch(o->type);
    struct mega_init one = { MEGA_INIT_CONSTANT, o->unit_offset ? 0 : 1, 0 },
                     zero = { MEGA_INIT_CONSTANT, 0, 0 };
    if (o->affine && scale)
        n->weight = mega_param_add(b, scale_name, one, 1, (int64_t[]){ 1 });
    else if (o->affine)
        n->weight = mega_param_add(b, "weight", one, 1, &o->width);
    if (o->affine && o->bias && (o->type == MEGA_LAYERNORM || batch))
        n->bias = mega_param_add(b, "bias", zero, 1, &o->width);
    if (!batch) return;
    n->running_mean =
        mega_cell_add(b, "running_mean", MEGA_CELL_MODEL, MEGA_F32, 1, &o->width, 0);
    n->running_var =
        mega_cell_add(b, "running_var", MEGA_CELL_MODEL, MEGA_F32, 1, &o->width, 1);
}

void mega_norm_build(
    mega_build *b, struct mega_norm *n, enum mega_norm_type type, int64_t width, bool affine)
{
    size_t entered = mega_build_enter(b, "norm");
    declare(b, n,
        &(struct mega_norm_options){ .type = type,
            .width = width,
            .affine = affine,
            .bias = true,
            .eps = MEGA_NORM_EPS },
        "scalar");
    mega_build_leave(b, entered);
}

void mega_norm_declare(mega_build *b, struct mega_norm *n, const struct mega_norm_options *o)
{
    declare(b, n, o, "weight");
}

static mega_tensor *batch_norm(mega_run *r, const struct mega_norm *n, mega_tensor *x)
{
    struct mega_attr_batch_norm a = { .eps = n->eps, .momentum = 0.1 };
    struct mega_call c = { .op = &mega_op_batch_norm, .attr = &a };
    c.in[MEGA_BATCH_NORM_X] = x;
    c.in[MEGA_BATCH_NORM_WEIGHT] = n->weight;
    c.in[MEGA_BATCH_NORM_BIAS] = n->bias;
    c.in[MEGA_BATCH_NORM_MEAN] = mega_cell_get(r, n->running_mean);
    c.in[MEGA_BATCH_NORM_VAR] = mega_cell_get(r, n->running_var);
    mega_tensor *y = mega_run_call(r, &c, NULL);
    mega_cell_set(r, n->running_mean, c.out[1]);
    mega_cell_set(r, n->running_var, c.out[2]);
    return y;
}

static mega_tensor *squash_run(mega_run *r, const struct mega_norm *n, mega_tensor *x)
{
    struct mega_attr_squash a;
    memset(&a, 0, sizeof a);
    a.kind = n->type == MEGA_DYT ? MEGA_SQUASH_TANH : MEGA_SQUASH_ERF;
    a.unit_offset = n->unit_offset && n->weight;
    a.factor = a.inside = 1;
    return mega_run_call(r,
        &(struct mega_call){ .op = &mega_op_squash,
            .in = { x, n->weight, n->bias, n->slope, n->shift },
            .attr = &a },
        NULL);
}

mega_tensor *mega_norm_run_with(
    mega_run *r, const struct mega_norm *n, mega_tensor *x, mega_tensor *condition)
{
    mega_tensor *y = mega_norm_run(r, n, x);
    if (!n->condition) return y;
    /* y (1 + W_c c) */
    return add(r, y,
        gate(r, y, linear(r, condition, n->condition, NULL, MEGA_ACT_LINEAR), MEGA_ACT_LINEAR));
}

mega_tensor *mega_norm_run(mega_run *r, const struct mega_norm *n, mega_tensor *x)
{
    if (over_batch(n->type)) return batch_norm(r, n, x);
    if (n->type == MEGA_DYT || n->type == MEGA_DERF) return squash_run(r, n, x);
    static const enum mega_norm_kind kinds[] = { [MEGA_LAYERNORM] = MEGA_NORM_LAYER,
        [MEGA_SCALENORM] = MEGA_NORM_SCALE,
        [MEGA_RMSNORM] = MEGA_NORM_RMS,
        [MEGA_SIMPLE_RMSNORM] = MEGA_NORM_RMS,
        [MEGA_ADALN] = MEGA_NORM_LAYER,
        [MEGA_ADA_RMSNORM] = MEGA_NORM_RMS };
    struct mega_attr_norm a;
    memset(&a, 0, sizeof a);
    a.kind = kinds[n->type];
    a.unit_offset = n->unit_offset && n->weight;
    a.guard = n->guard;
    a.eps = n->eps;
    return mega_run_call(r,
        &(struct mega_call){ .op = &mega_op_norm, .in = { x, n->weight, n->bias }, .attr = &a },
        NULL);
}
