/* Examples of the norms, also where the mean is large beside the deviation. */
#include "kernel/example_parts.h"

void mega_example_norm(struct mega_maker *m)
{
    struct mega_attr_norm *a = mega_make_attr(m);
    struct mega_call *c = &m->e->call;
    a->kind = (enum mega_norm_kind)mega_make_choice(m, 3);
    bool weight = !mega_make_choice(m, 2), bias = !mega_make_choice(m, 2);
    a->eps = 1e-5;
    a->unit_offset = mega_make_choice(m, 2);
    a->guard = mega_make_choice(m, 2);
    int64_t D = mega_make_size(m);
    /* one channel alone has gradient 0, of which rounding is all that is seen */
    if (D == 1) a->guard = false;
    int64_t gains = a->kind == MEGA_NORM_SCALE ? 1 : D, dim[MEGA_RANK];
    int rank = mega_make_shape(m, D, dim);
    c->in[MEGA_NORM_X] = mega_make_values(m, rank, dim, mega_make_below(m, 3) ? 0 : 10, 1);
    if (weight) c->in[MEGA_NORM_WEIGHT] = mega_make_param(m, 1, &gains, 1, 0.5);
    if (bias) c->in[MEGA_NORM_BIAS] = mega_make_param(m, 1, &D, 0, 1);
    m->e->wants = 7;
    m->e->tolerance = 2e-5;
}

/* statistics of places before the call, of none for some rows */
static void make_statistics(struct mega_maker *m, int64_t B, int64_t G)
{
    struct mega_call *c = &m->e->call;
    c->in[MEGA_TIMESTEP_NORM_COUNT] = mega_make_numbers(m, 1, &B, 0, 40);
    c->in[MEGA_TIMESTEP_NORM_MEAN] = mega_make_param(m, 2, (int64_t[]){ B, G }, 0, 0.5);
    c->in[MEGA_TIMESTEP_NORM_VAR] = mega_make_param(m, 2, (int64_t[]){ B, G }, 1, 0.1);
}

void mega_example_timestep_norm(struct mega_maker *m)
{
    static const int64_t lengths[] = { 1, 2, 7, 33, 64, 0, 300, 131 };
    struct mega_attr_timestep_norm *a = mega_make_attr(m);
    struct mega_call *c = &m->e->call;
    a->kind = (enum mega_timestep_norm_kind)mega_make_choice(m, 2);
    a->state = mega_make_choice(m, 2);
    bool started = mega_make_choice(m, 2), affine = !mega_make_choice(m, 2);
    a->unit_offset = mega_make_below(m, 2);
    a->prior_count = mega_make_below(m, 3) ? 0 : 4;
    a->eps = 1e-5;
    int64_t B = mega_make_few(m),
            T = m->small ? 1 + mega_make_below(m, 6) : lengths[mega_make_below(m, 8)];
    a->groups = 1 + mega_make_below(m, 4);
    int64_t size = mega_make_size(m), D = a->groups * size;
    /* few numbers may lie so close together that their variance is rounding: there eps divides
     */
    a->eps = size < 8 ? 0.01 : 1e-5;
    double mean = size < 8 || mega_make_below(m, 2) ? 0 : 5;
    c->in[MEGA_TIMESTEP_NORM_X] = mega_make_values(m, 3, (int64_t[]){ B, T, D }, mean, 1);
    /* one channel a group has no variance at its start: that is for a prior to say */
    if (size == 1) a->prior_count = 4;
    if (affine) {
        c->in[MEGA_TIMESTEP_NORM_WEIGHT] = mega_make_param(m, 1, &D, 1, 0.5);
        c->in[MEGA_TIMESTEP_NORM_BIAS] = mega_make_param(m, 1, &D, 0, 1);
    }
    if (a->prior_count) {
        c->in[MEGA_TIMESTEP_NORM_PRIOR_MEAN] = mega_make_param(m, 1, &a->groups, 0, 0.5);
        c->in[MEGA_TIMESTEP_NORM_PRIOR_LOGV] = mega_make_param(m, 1, &a->groups, 0, 0.5);
    }
    if (started) make_statistics(m, B, a->groups);
    unsigned features = MEGA_ROWS_LEN | MEGA_ROWS_REAL | MEGA_ROWS_DOC;
    mega_make_rows(m, B, T, started ? features | MEGA_ROWS_PLACE : features, 300);
    m->e->wants = 0xFF & ~(1u << MEGA_TIMESTEP_NORM_COUNT);
    m->e->gives = a->state ? 13 : 1;
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
