/* Examples of the ops that look along time. */
#include <math.h>

#include "kernel/example_parts.h"
#include "op/heads.h"

static int64_t make_length(struct mega_maker *m)
{
    static const int64_t lengths[] = { 1, 2, 7, 16, 33, 64, 100, 131, 0, 257 };
    return m->small ? 1 + mega_make_below(m, 8)
                    : lengths[mega_make_below(m, sizeof lengths / sizeof *lengths)];
}

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
    int64_t B = mega_make_few(m), T = make_length(m), D = mega_make_size(m), N = make_states(m),
            Q = a->two_way ? 2 * D : D;
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
    int64_t B = mega_make_few(m), T = make_length(m), D = mega_make_size(m), N = make_states(m);
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

/* a stream's log of keys and values of widths Z and E; returns the most places that can lie
 * before this call */
static int64_t make_past(struct mega_maker *m, int64_t B, int64_t T, int64_t Z, int64_t E)
{
    const struct mega_attr_attention *a = m->e->call.attr;
    int64_t room = (a->chunk > 0 ? a->chunk : 1 + mega_make_below(m, 50)) + T;
    m->e->call.in[MEGA_ATTENTION_PAST_K] =
        mega_make_param(m, 3, (int64_t[]){ B, room, Z }, 0, 1);
    m->e->call.in[MEGA_ATTENTION_PAST_V] =
        mega_make_param(m, 3, (int64_t[]){ B, room, E }, 0, 1);
    return a->chunk > 0 ? 5 * room : room - T;
}

/* places that the bias must reach, and some more */
static int64_t make_reach(struct mega_maker *m, int64_t T)
{
    const struct mega_attr_attention *a = m->e->call.attr;
    const mega_tensor *past = m->e->call.in[MEGA_ATTENTION_PAST_K];
    int64_t reach = past ? past->dim[1] : T;
    if (a->chunk > 0 && (past || a->chunk < T)) reach = a->chunk;
    return (reach ? reach : 1) + mega_make_below(m, 3);
}

/* one head more often than not, as 0 or 1; else several, with their own keys or fewer of them
 */
static struct mega_heads make_heads(struct mega_maker *m)
{
    static const int64_t pairs[][2] = { { 0, 0 }, { 1, 0 }, { 1, 1 }, { 0, 0 }, { 2, 0 },
        { 3, 0 }, { 3, 1 }, { 4, 2 }, { 6, 3 }, { 5, 5 } };
    struct mega_attr_attention *a = (struct mega_attr_attention *)m->e->call.attr;
    int64_t which = mega_make_below(m, sizeof pairs / sizeof *pairs);
    a->heads = pairs[which][0];
    a->kv_heads = pairs[which][1];
    if (!mega_make_below(m, 3)) a->scale = 0.3;
    struct mega_heads n = { .H = a->heads ? a->heads : 1 };
    n.G = a->kv_heads ? a->kv_heads : n.H;
    n.d = mega_make_size(m);
    n.dv = mega_make_size(m);
    /* the reference takes its time */
    if (n.H > 1 && n.d > 40) n.d /= 4;
    if (n.H > 1 && n.dv > 40) n.dv /= 4;
    return n;
}

void mega_example_attention(struct mega_maker *m)
{
    struct mega_attr_attention *a = mega_make_attr(m);
    struct mega_call *c = &m->e->call;
    struct mega_heads n = make_heads(m);
    int64_t B = mega_make_few(m), T = make_length(m), past = 0;
    a->fn = (enum mega_attention_fn)mega_make_choice(m, 3);
    a->causal = mega_make_choice(m, 2);
    a->chunk = mega_make_choice(m, 2) ? 1 + mega_make_below(m, T + 3) : -1;
    bool bias = !mega_make_choice(m, 2), stream = mega_make_choice(m, 2) && a->causal;
    a->drop_keys = mega_make_choice(m, 2);
    if (mega_make_below(m, 2)) {
        a->dropout = 0.3;
        c->mode |= MEGA_RUN_TRAIN;
    }
    /* scores of some size whatever the divisor is */
    double spread =
        a->fn == MEGA_ATTENTION_SOFTMAX && !a->scale ? 1 : 2 / sqrt(sqrt((double)n.d));
    c->in[MEGA_ATTENTION_Q] = mega_make_values(m, 3, (int64_t[]){ B, T, n.H * n.d }, 0, spread);
    c->in[MEGA_ATTENTION_K] = mega_make_values(m, 3, (int64_t[]){ B, T, n.G * n.d }, 0, spread);
    c->in[MEGA_ATTENTION_V] = mega_make_values(m, 3, (int64_t[]){ B, T, n.G * n.dv }, 0, 1);
    if (stream) past = make_past(m, B, T, n.G * n.d, n.G * n.dv);
    if (bias) {
        int64_t entries = 2 * make_reach(m, T) - 1;
        c->in[MEGA_ATTENTION_BIAS] = mega_make_param(m, 1, &entries, 0, 1);
    }
    unsigned features = MEGA_ROWS_LEN | MEGA_ROWS_REAL | MEGA_ROWS_DOC | MEGA_ROWS_NUMBER;
    mega_make_rows(m, B, T, stream ? features | MEGA_ROWS_PLACE : features, past);
    a->weights = !stream && !c->rows->doc && !mega_make_below(m, 4);
    m->e->wants = 1u << MEGA_ATTENTION_Q | 1u << MEGA_ATTENTION_K | 1u << MEGA_ATTENTION_V |
                  1u << MEGA_ATTENTION_BIAS;
    m->e->tolerance = 1e-5;
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
    a->length = 1 + make_length(m);
    int64_t dim[] = { 1, 2 * mega_make_size(m) };
    c->in[MEGA_ROTARY_ALPHA] = mega_make_param(m, 2, dim, 0, 1);
    c->in[MEGA_ROTARY_BETA] = mega_make_param(m, 2, dim, 0, 1);
    m->e->wants = 3;
    m->e->tolerance = 5e-7;
}
