/* Examples of the ops of head gates. */
#include "kernel/example_parts.h"

static const struct mega_hard_concrete usual = { 0.33, -0.1, 1.1, 1e-6 },
                                       wide = { 2.0 / 3, -0.2, 1.4, 1e-3 };

/* the gradient of hard gates is not their derivative, so there are none */
void mega_example_hard_concrete(struct mega_maker *m)
{
    struct mega_attr_hard_concrete *a = mega_make_attr(m);
    int64_t H = mega_make_size(m), dim[3];
    a->noise = (enum mega_gate_noise)mega_make_choice(m, 3);
    a->gate = mega_make_choice(m, 2) ? wide : usual;
    a->channels = 1 + mega_make_below(m, 3);
    if (mega_make_below(m, 4)) m->e->call.mode |= MEGA_RUN_TRAIN;
    mega_make_text(m, MEGA_ROWS_NUMBER | MEGA_ROWS_PLACE, dim);
    m->e->call.in[MEGA_HARD_CONCRETE_A] = mega_make_param(m, 1, &H, 0, 2);
    m->e->wants = 1u << MEGA_HARD_CONCRETE_A;
}

void mega_example_gate_penalty(struct mega_maker *m)
{
    struct mega_attr_gate_penalty *a = mega_make_attr(m);
    int64_t H = 1 + mega_make_below(m, 6), dim[MEGA_RANK];
    a->gate = mega_make_choice(m, 2) ? wide : usual;
    a->each = mega_make_choice(m, 2);
    a->l0 = 0.7;
    a->l2 = mega_make_choice(m, 2) ? 0.3 : 0;
    int rank = mega_make_shape(m, H * (1 + mega_make_below(m, 3)), dim);
    m->e->call.in[MEGA_GATE_PENALTY_A] = mega_make_param(m, 1, &H, 0, 2);
    if (mega_make_below(m, 3))
        m->e->call.in[MEGA_GATE_PENALTY_VALUES] = mega_make_values(m, rank, dim, 0, 1);
    m->e->wants = 3;
    m->e->gives = 3;
}
