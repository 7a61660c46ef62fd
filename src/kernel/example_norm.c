/* Examples of the norms, also where the mean is large beside the deviation. */
#include "kernel/example_parts.h"

void mega_example_norm(struct mega_maker *m)
{
    struct mega_attr_norm *a = mega_make_attr(m);
    struct mega_call *c = &m->e->call;
    a->kind = (enum mega_norm_kind)mega_make_choice(m, 3);
    bool weight = !mega_make_choice(m, 2), bias = !mega_make_choice(m, 2);
    a->eps = 1e-5;
    int64_t D = mega_make_size(m), gains = a->kind == MEGA_NORM_SCALE ? 1 : D, dim[MEGA_RANK];
    int rank = mega_make_shape(m, D, dim);
    c->in[MEGA_NORM_X] = mega_make_values(m, rank, dim, mega_make_below(m, 3) ? 0 : 10, 1);
    if (weight) c->in[MEGA_NORM_WEIGHT] = mega_make_param(m, 1, &gains, 1, 0.5);
    if (bias) c->in[MEGA_NORM_BIAS] = mega_make_param(m, 1, &D, 0, 1);
    m->e->wants = 7;
    m->e->tolerance = 2e-5;
}

void mega_example_batch_norm(struct mega_maker *m)
{
    struct mega_attr_batch_norm *a = mega_make_attr(m);
    struct mega_call *c = &m->e->call;
    bool train = !mega_make_choice(m, 2), weight = !mega_make_choice(m, 2),
         bias = !mega_make_choice(m, 2);
    a->eps = 1e-5;
    a->momentum = 0.1;
    int64_t D = mega_make_size(m), B = 1 + mega_make_below(m, 4);
    int64_t dim[] = { B, mega_make_height(m, D) + train, D };
    if (train) c->mode |= MEGA_RUN_TRAIN;
    c->in[MEGA_BATCH_NORM_X] = mega_make_values(m, 3, dim, mega_make_below(m, 3) ? 0 : 10, 1);
    if (weight) c->in[MEGA_BATCH_NORM_WEIGHT] = mega_make_param(m, 1, &D, 1, 0.5);
    if (bias) c->in[MEGA_BATCH_NORM_BIAS] = mega_make_param(m, 1, &D, 0, 1);
    c->in[MEGA_BATCH_NORM_MEAN] = mega_make_param(m, 1, &D, 0, 1);
    c->in[MEGA_BATCH_NORM_VAR] = mega_make_param(m, 1, &D, 2, 0.1);
    m->e->wants = 7;
    m->e->tolerance = 5e-6;
}
