/* Examples of the ops that variants of the Transformer's stack are made of. */
#include "kernel/example_parts.h"

void mega_example_softmax(struct mega_maker *m)
{
    int64_t dim[MEGA_RANK];
    int rank = mega_make_shape(m, mega_make_size(m), dim);
    m->e->call.in[0] = mega_make_values(m, rank, dim, 0, mega_make_below(m, 4) ? 2 : 20);
    m->e->wants = 1;
    m->e->tolerance = 5e-6;
}

void mega_example_squash(struct mega_maker *m)
{
    struct mega_attr_squash *a = mega_make_attr(m);
    struct mega_call *c = &m->e->call;
    a->kind = (enum mega_squash_kind)mega_make_choice(m, 3);
    int gains = mega_make_choice(m, 3);
    bool others = mega_make_choice(m, 2);
    a->unit_offset = mega_make_below(m, 2);
    a->factor = mega_make_below(m, 2) ? 1 : 3;
    a->inside = mega_make_below(m, 2) ? 1 : 0.25;
    int64_t D = mega_make_size(m), one = 1, dim[MEGA_RANK];
    int rank = mega_make_shape(m, D, dim);
    c->in[MEGA_SQUASH_X] = mega_make_values(m, rank, dim, 0, 1);
    if (gains) c->in[MEGA_SQUASH_WEIGHT] = mega_make_param(m, 1, gains == 1 ? &D : &one, 1, 1);
    if (others) {
        c->in[MEGA_SQUASH_BIAS] = mega_make_param(m, 1, &D, 0, 1);
        c->in[MEGA_SQUASH_SLOPE] = mega_make_param(m, 1, &one, 1, 0.5);
        c->in[MEGA_SQUASH_SHIFT] = mega_make_param(m, 1, &one, 0, 0.5);
    }
    m->e->wants = 31;
    m->e->tolerance = 2e-5; /* sums over all numbers */
}

void mega_example_mix(struct mega_maker *m)
{
    struct mega_attr_mix *a = mega_make_attr(m);
    struct mega_call *c = &m->e->call;
    int64_t D = mega_make_size(m), dim[MEGA_RANK];
    int n = 1 + (int)mega_make_below(m, m->small ? 4 : MEGA_MIX_MOST);
    int rank = mega_make_shape(m, D, dim);
    a->from = mega_make_below(m, 3);
    a->step = 1 + mega_make_below(m, 2);
    for (int i = 0; i < n; i++) c->in[MEGA_MIX_X + i] = mega_make_values(m, rank, dim, 0, 1);
    dim[rank - 1] = a->from + n * a->step;
    c->in[MEGA_MIX_WEIGHTS] = mega_make_values(m, rank, dim, 0, 1);
    m->e->wants = (1u << (n + 1)) - 1;
    m->e->tolerance = 1e-5;
}

void mega_example_sinkhorn(struct mega_maker *m)
{
    struct mega_attr_sinkhorn *a = mega_make_attr(m);
    int64_t dim[MEGA_RANK];
    a->size = 1 + mega_make_below(m, 5);
    a->rounds = mega_make_below(m, 6);
    int rank = mega_make_shape(m, a->size * a->size, dim);
    m->e->call.in[0] = mega_make_values(m, rank, dim, 0, 1);
    m->e->wants = 1;
    m->e->tolerance = 1e-5;
}

void mega_example_orthogonal(struct mega_maker *m)
{
    struct mega_attr_orthogonal *a = mega_make_attr(m);
    int64_t dim[3];
    a->sample = mega_make_choice(m, 2);
    mega_make_text(m, MEGA_ROWS_LEN | MEGA_ROWS_REAL, dim);
    for (int i = 0; i < 2; i++) m->e->call.in[i] = mega_make_values(m, 3, dim, 0, 1);
    m->e->wants = 3;
    m->e->tolerance = 1e-5;
}

void mega_example_center(struct mega_maker *m)
{
    struct mega_attr_center *a = mega_make_attr(m);
    int64_t dim[3];
    a->mean = mega_make_choice(m, 2);
    mega_make_text(m, MEGA_ROWS_LEN | MEGA_ROWS_REAL, dim);
    m->e->call.in[0] = mega_make_values(m, 3, dim, 0, 1);
    m->e->wants = 1;
    m->e->tolerance = 5e-6;
}

void mega_example_shift(struct mega_maker *m)
{
    struct mega_attr_shift *a = mega_make_attr(m);
    struct mega_call *c = &m->e->call;
    int64_t dim[3];
    a->two_way = mega_make_choice(m, 2);
    a->blind = mega_make_choice(m, 2);
    a->state = mega_make_choice(m, 2) && !a->two_way;
    a->steps = 1 + mega_make_below(m, 3);
    bool started = a->state && mega_make_below(m, 2);
    unsigned features = MEGA_ROWS_LEN | MEGA_ROWS_REAL | MEGA_ROWS_DOC;
    mega_make_text(m, started ? features | MEGA_ROWS_PLACE : features, dim);
    c->in[MEGA_SHIFT_X] = mega_make_values(m, 3, dim, 0, 1);
    if (started)
        c->in[MEGA_SHIFT_PAST] =
            mega_make_param(m, 3, (int64_t[]){ dim[0], a->steps, dim[2] }, 0, 1);
    m->e->wants = 3;
    m->e->gives = a->state ? 3 : 1;
}

/* some places left out, in order, learned rows and nothing between them */
void mega_example_arrange(struct mega_maker *m)
{
    struct mega_call *c = &m->e->call;
    int64_t dim[3], R = 1 + mega_make_below(m, 4);
    bool extra = mega_make_choice(m, 2);
    mega_make_text(m, 0, dim);
    int64_t T = 1 + mega_make_below(m, dim[1] + 8), index[] = { dim[0], T };
    c->in[MEGA_ARRANGE_X] = mega_make_values(m, 3, dim, 0, 1);
    if (extra)
        c->in[MEGA_ARRANGE_EXTRA] = mega_make_param(m, 2, (int64_t[]){ R, dim[2] }, 0, 1);
    mega_tensor *at = c->in[MEGA_ARRANGE_INDEX] = mega_make_numbers(m, 2, index, 0, 0);
    for (int64_t b = 0; b < dim[0]; b++)
        for (int64_t t = 0, from = 0; t < T; t++) {
            int64_t what = mega_make_below(m, 5);
            int32_t i = MEGA_ARRANGE_NOTHING;
            if (what == 1 && extra) i = (int32_t)(-1 - mega_make_below(m, R));
            if (what > 1 && from < dim[1]) i = (int32_t)from++;
            ((int32_t *)at->data)[b * T + t] = i;
        }
    m->e->wants = 1u << MEGA_ARRANGE_X | 1u << MEGA_ARRANGE_EXTRA;
    m->e->tolerance = 1e-5;
}

void mega_example_log_sum(struct mega_maker *m)
{
    struct mega_attr_log_sum *a = mega_make_attr(m);
    int64_t dim[MEGA_RANK];
    int n = 1 + (int)mega_make_below(m, m->small ? 4 : MEGA_LOG_SUM_MOST);
    a->one = mega_make_choice(m, 2);
    int rank = mega_make_shape(m, mega_make_size(m), dim);
    for (int i = 0; i < n; i++) m->e->call.in[i] = mega_make_values(m, rank, dim, 0, 2);
    m->e->wants = (1u << n) - 1;
}
