#include "layer/norm.h"

#include <string.h>

#include "graph/ops.h"

static bool over_batch(enum mega_norm_type type)
{
    return type == MEGA_BATCHNORM || type == MEGA_SYNCBATCHNORM;
}

static void declare(mega_build *b, struct mega_norm *n, const struct mega_norm_options *o,
    const char *scale_name)
{
    bool scale = o->type == MEGA_SCALENORM, batch = over_batch(o->type);
    struct mega_init one = { MEGA_INIT_CONSTANT, o->unit_offset ? 0 : 1, 0 },
                     zero = { MEGA_INIT_CONSTANT, 0, 0 };
    *n = (struct mega_norm){ .type = o->type, .unit_offset = o->unit_offset, .eps = o->eps };
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
        &(struct mega_norm_options){ type, width, affine, true, MEGA_NORM_EPS, false },
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

mega_tensor *mega_norm_run(mega_run *r, const struct mega_norm *n, mega_tensor *x)
{
    if (over_batch(n->type)) return batch_norm(r, n, x);
    static const enum mega_norm_kind kinds[] = { MEGA_NORM_LAYER, MEGA_NORM_SCALE,
        MEGA_NORM_RMS };
    struct mega_attr_norm a;
    memset(&a, 0, sizeof a);
    a.kind = kinds[n->type];
    a.unit_offset = n->unit_offset;
    a.eps = n->eps;
    return mega_run_call(r,
        &(struct mega_call){ .op = &mega_op_norm, .in = { x, n->weight, n->bias }, .attr = &a },
        NULL);
}
