/* Examples of the ops that take each element, or each row of text, for itself. */
#include "kernel/example_parts.h"

void mega_example_activation(struct mega_maker *m)
{
    struct mega_attr_activation *a = mega_make_attr(m);
    int64_t dim[MEGA_RANK];
    a->act = (enum mega_act)mega_make_choice(m, MEGA_ACTS);
    int rank = mega_make_shape(m, mega_make_size(m), dim);
    m->e->call.in[0] = mega_make_values(m, rank, dim, 0, mega_make_below(m, 4) ? 2 : 40);
    m->e->wants = 1;
}

/* two inputs of one shape, now and then the same tensor twice */
static void two_alike(struct mega_maker *m)
{
    int64_t dim[MEGA_RANK];
    int rank = mega_make_shape(m, mega_make_size(m), dim);
    mega_tensor *first = mega_make_values(m, rank, dim, 0, 2);
    m->e->call.in[0] = first;
    m->e->call.in[1] = mega_make_below(m, 5) ? mega_make_values(m, rank, dim, 0.5, 2) : first;
    m->e->wants = 3;
}

void mega_example_add(struct mega_maker *m)
{
    two_alike(m);
}

void mega_example_gate(struct mega_maker *m)
{
    struct mega_attr_gate *a = mega_make_attr(m);
    a->act = (enum mega_act)mega_make_choice(m, MEGA_ACTS);
    two_alike(m);
}

void mega_example_concat(struct mega_maker *m)
{
    int64_t dim[MEGA_RANK];
    int rank = mega_make_shape(m, mega_make_size(m), dim);
    m->e->call.in[0] = mega_make_values(m, rank, dim, 0, 1);
    dim[rank - 1] = mega_make_size(m);
    m->e->call.in[1] = mega_make_values(m, rank, dim, 0, 1);
    m->e->wants = 3;
}

static double make_dropout(struct mega_maker *m)
{
    static const double p[] = { 0.1, 0, 0.5, 0.9 };
    if (mega_make_below(m, 4)) m->e->call.mode |= MEGA_RUN_TRAIN;
    return p[mega_make_choice(m, 4)];
}

void mega_example_dropout(struct mega_maker *m)
{
    struct mega_attr_dropout *a = mega_make_attr(m);
    int64_t dim[3];
    a->p = make_dropout(m);
    a->kind = (enum mega_dropout_kind)mega_make_choice(m, 2);
    mega_make_text(m, MEGA_ROWS_NUMBER | MEGA_ROWS_PLACE, dim);
    m->e->call.in[0] = mega_make_values(m, 3, dim, 0, 1);
    m->e->wants = 1;
}

void mega_example_gated_residual(struct mega_maker *m)
{
    struct mega_attr_gated_residual *a = mega_make_attr(m);
    int64_t dim[3];
    a->dropout = make_dropout(m);
    a->act = (enum mega_act)mega_make_choice(m, MEGA_ACTS);
    a->kind = (enum mega_dropout_kind)mega_make_choice(m, 2);
    mega_make_text(m, MEGA_ROWS_NUMBER | MEGA_ROWS_PLACE, dim);
    for (int i = 0; i < 4; i++) m->e->call.in[i] = mega_make_values(m, 3, dim, 0, 2);
    if (!mega_make_below(m, 5)) m->e->call.in[3] = m->e->call.in[0];
    m->e->wants = 15;
}

void mega_example_scale(struct mega_maker *m)
{
    struct mega_attr_scale *a = mega_make_attr(m);
    int64_t D = mega_make_size(m), dim[MEGA_RANK];
    a->factor = mega_make_choice(m, 2) ? 1 : 0.1;
    bool weight = mega_make_choice(m, 3);
    int rank = mega_make_shape(m, D, dim);
    m->e->call.in[MEGA_SCALE_X] = mega_make_values(m, rank, dim, 0, 1);
    if (weight) m->e->call.in[MEGA_SCALE_WEIGHT] = mega_make_param(m, 1, &D, 0, 1);
    m->e->wants = 3;
    m->e->tolerance = 2e-5; /* sums over all rows */
}

void mega_example_mask(struct mega_maker *m)
{
    int64_t dim[3];
    mega_make_text(m, MEGA_ROWS_LEN | MEGA_ROWS_REAL, dim);
    m->e->call.in[0] = mega_make_values(m, 3, dim, 0, 1);
    m->e->wants = 1;
}

void mega_example_pool(struct mega_maker *m)
{
    struct mega_attr_pool *a = mega_make_attr(m);
    int64_t dim[3];
    a->kind = (enum mega_pool_kind)mega_make_choice(m, 2);
    mega_make_text(m, MEGA_ROWS_LEN | MEGA_ROWS_REAL, dim);
    m->e->call.in[0] = mega_make_values(m, 3, dim, 0, 1);
    m->e->wants = 1;
}

/* a factor for each head: of all rows, of each text, of each place */
void mega_example_head_scale(struct mega_maker *m)
{
    int64_t H = 1 + mega_make_below(m, 5), dim[3];
    int kind = mega_make_choice(m, 3);
    mega_make_text(m, 0, dim);
    dim[2] = H * mega_make_size(m);
    m->e->call.in[MEGA_HEAD_SCALE_X] = mega_make_values(m, 3, dim, 0, 1);
    int64_t factors[3] = { dim[0], dim[1], H };
    if (kind == 1) factors[1] = H;
    m->e->call.in[MEGA_HEAD_SCALE_G] = kind ? mega_make_param(m, kind + 1, factors, 0.5, 1)
                                            : mega_make_param(m, 1, &H, 0.5, 1);
    m->e->wants = 3;
    m->e->tolerance = 2e-5; /* sums over all rows */
}
