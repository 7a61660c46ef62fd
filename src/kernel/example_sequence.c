/* Examples of the ops that look along time. */
#include "kernel/example_parts.h"

static int64_t make_states(struct mega_maker *m)
{
    static const int64_t states[] = { 1, 2, 3, 16, 8, 5, 32, 16 };
    return states[mega_make_below(m, m->small ? 3 : 8)];
}

void mega_example_ema(struct mega_maker *m)
{
    struct mega_attr_ema *a = mega_make_attr(m);
    struct mega_call *c = &m->e->call;
    a->two_way = mega_make_choice(m, 2);
    a->state = mega_make_choice(m, 2) && !a->two_way;
    bool taps = mega_make_choice(m, 2), omega = !mega_make_choice(m, 2),
         started = mega_make_choice(m, 2) && !a->two_way;
    int64_t B = mega_make_few(m), T = mega_make_length(m), D = mega_make_size(m),
            N = make_states(m), Q = a->two_way ? 2 * D : D;
    int64_t logits[] = { Q, N, 1 };
    /* mean 0 as at the start of training; -4: slow channels, q near 1 */
    double mean = mega_make_below(m, 2) ? 0 : -4;
    if (taps) a->truncation = 1 + mega_make_below(m, T + 3);
    c->in[MEGA_EMA_X] = mega_make_values(m, 3, (int64_t[]){ B, T, D }, 0, 1);
    c->in[MEGA_EMA_DELTA] = mega_make_param(m, 3, logits, mean, 1);
    c->in[MEGA_EMA_ALPHA] = mega_make_param(m, 3, logits, 0, 1);
    c->in[MEGA_EMA_BETA] = mega_make_param(m, 3, logits, 0, 1);
    c->in[MEGA_EMA_GAMMA] = mega_make_param(m, 2, logits, 0, 1);
    if (omega) c->in[MEGA_EMA_OMEGA] = mega_make_param(m, 1, &D, 0, 1);
    if (started) c->in[MEGA_EMA_H] = mega_make_param(m, 3, (int64_t[]){ B, D, N }, 0, 1);
    unsigned features = MEGA_ROWS_LEN | MEGA_ROWS_REAL | MEGA_ROWS_DOC;
    mega_make_rows(m, B, T, started ? features | MEGA_ROWS_PLACE : features, 300);
    a->silu = mega_make_below(m, 2);
    m->e->wants = 127;
    m->e->gives = a->state ? 3 : 1;
    m->e->tolerance = 5e-6;
}

void mega_example_cema(struct mega_maker *m)
{
    struct mega_attr_cema *a = mega_make_attr(m);
    struct mega_call *c = &m->e->call;
    a->state = mega_make_choice(m, 2);
    bool omega = !mega_make_choice(m, 2), started = mega_make_choice(m, 2);
    int64_t B = mega_make_few(m), T = mega_make_length(m), D = mega_make_size(m),
            N = make_states(m);
    int64_t logits[] = { D, N, 1 }, turns[] = { D, 1, 1 }, pairs[] = { D, N, 2 };
    /* mean 0 as at the start of training; -4: states that hardly fade, or turn */
    double fading = mega_make_below(m, 2) ? 0 : -4, turning = mega_make_below(m, 2) ? 0 : -4;
    c->in[MEGA_CEMA_X] = mega_make_values(m, 3, (int64_t[]){ B, T, D }, 0, 1);
    c->in[MEGA_CEMA_ALPHA] = mega_make_param(m, 3, logits, 0, 1);
    c->in[MEGA_CEMA_DELTA] = mega_make_param(m, 3, logits, fading, 1);
    c->in[MEGA_CEMA_THETA] = mega_make_param(m, 3, turns, turning, 1);
    c->in[MEGA_CEMA_GAMMA] = mega_make_param(m, 3, pairs, 0, 1);
    if (omega) c->in[MEGA_CEMA_OMEGA] = mega_make_param(m, 2, (int64_t[]){ D, 1 }, 0, 1);
    if (started) c->in[MEGA_CEMA_H] = mega_make_param(m, 4, (int64_t[]){ B, D, N, 2 }, 0, 1);
    unsigned features = MEGA_ROWS_LEN | MEGA_ROWS_REAL | MEGA_ROWS_DOC;
    mega_make_rows(m, B, T, started ? features | MEGA_ROWS_PLACE : features, 300);
    m->e->wants = 127;
    m->e->gives = a->state ? 3 : 1;
    m->e->tolerance = 5e-6;
}

void mega_example_rotary(struct mega_maker *m)
{
    struct mega_attr_rotary *a = mega_make_attr(m);
    int64_t dim[3];
    a->interleaved = mega_make_choice(m, 2);
    bool all = mega_make_choice(m, 2);
    a->heads = 1 + mega_make_choice(m, 4);
    a->base = mega_make_below(m, 3) ? 10000 : 500;
    a->factor = mega_make_below(m, 3) ? 1 : 4;
    if (!mega_make_below(m, 3)) a->restart = 1 + mega_make_below(m, 40);
    mega_make_text(m, MEGA_ROWS_LEN | MEGA_ROWS_REAL | MEGA_ROWS_DOC | MEGA_ROWS_PLACE, dim);
    int64_t d = dim[2] > 40 ? dim[2] / 4 : dim[2];
    if (all) d += d % 2;
    a->dims = all ? 0 : mega_make_below(m, d / 2 + 1) * 2;
    if (!a->dims) d += d % 2;
    if (!mega_make_below(m, 3)) {
        a->from = 1 + mega_make_below(m, 3);
        d += a->from;
    }
    if (!mega_make_below(m, 3)) a->first = mega_make_below(m, a->heads + 1);
    if (!mega_make_below(m, 3)) a->xpos = mega_make_below(m, 2) ? 512 : -300;
    dim[2] = a->heads * d;
    m->e->call.in[0] = mega_make_values(m, 3, dim, 0, 1);
    m->e->wants = 1;
}

void mega_example_rotary_bias(struct mega_maker *m)
{
    struct mega_attr_rotary_bias *a = mega_make_attr(m);
    struct mega_call *c = &m->e->call;
    a->length = 1 + mega_make_length(m);
    int64_t dim[] = { 1, 2 * mega_make_size(m) };
    c->in[MEGA_ROTARY_ALPHA] = mega_make_param(m, 2, dim, 0, 1);
    c->in[MEGA_ROTARY_BETA] = mega_make_param(m, 2, dim, 0, 1);
    m->e->wants = 3;
    m->e->tolerance = 5e-7;
}
