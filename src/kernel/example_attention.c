/* Examples of attention: every other one as Mega and the plain Transformer ask for it, the
 * others with some of what variants add, in all combinations that go together. A kernel that
 * has only part of it refuses the rest. */
#include <math.h>

#include "kernel/example_parts.h"
#include "op/heads.h"
#include "op/window.h"

static struct mega_attr_attention *attr_of(struct mega_maker *m)
{
    return (struct mega_attr_attention *)(uintptr_t)m->e->call.attr;
}

static bool chance(struct mega_maker *m, int64_t in)
{
    return !mega_make_below(m, in);
}

/* one head more often than not, as 0 or 1; else several, with their own keys or fewer of them
 */
static struct mega_heads make_heads(struct mega_maker *m)
{
    static const int64_t pairs[][2] = { { 0, 0 }, { 1, 0 }, { 1, 1 }, { 0, 0 }, { 2, 0 },
        { 3, 0 }, { 3, 1 }, { 4, 2 }, { 6, 3 }, { 5, 5 } };
    struct mega_attr_attention *a = attr_of(m);
    int64_t which = mega_make_below(m, sizeof pairs / sizeof *pairs);
    a->heads = pairs[which][0];
    a->kv_heads = pairs[which][1];
    if (chance(m, 3)) a->scale = 0.3;
    struct mega_heads n = { .H = a->heads ? a->heads : 1 };
    n.G = a->kv_heads ? a->kv_heads : n.H;
    n.d = mega_make_size(m);
    n.dv = mega_make_size(m);
    /* the reference takes its time */
    if (n.H > 1 && n.d > 40) n.d /= 4;
    if (n.H > 1 && n.dv > 40) n.dv /= 4;
    return n;
}

/* q of T places, k and v of S */
static void make_qkv(
    struct mega_maker *m, const struct mega_heads *n, int64_t B, int64_t T, int64_t S)
{
    const struct mega_attr_attention *a = attr_of(m);
    struct mega_call *c = &m->e->call;
    /* scores of some size whatever the divisor is */
    bool counted = a->fn == MEGA_ATTENTION_LAPLACE || a->fn == MEGA_ATTENTION_RELU2;
    double spread = !counted && !a->scale ? 1 : 2 / sqrt(sqrt((double)n->d));
    c->in[MEGA_ATTENTION_Q] =
        mega_make_values(m, 3, (int64_t[]){ B, T, n->H * n->d }, 0, spread);
    c->in[MEGA_ATTENTION_K] =
        mega_make_values(m, 3, (int64_t[]){ B, S, n->G * n->d }, 0, spread);
    c->in[MEGA_ATTENTION_V] = mega_make_values(m, 3, (int64_t[]){ B, S, n->G * n->dv }, 0, 1);
}

/* a stream's log; returns the most places that can lie before this call */
static int64_t make_past(struct mega_maker *m, const struct mega_heads *n, int64_t B, int64_t T)
{
    const struct mega_attr_attention *a = attr_of(m);
    int64_t room = (a->chunk > 0 ? a->chunk : 1 + mega_make_below(m, m->small ? 6 : 50)) + T;
    m->e->call.in[MEGA_ATTENTION_PAST_K] =
        mega_make_param(m, 3, (int64_t[]){ B, room, n->G * n->d }, 0, 1);
    m->e->call.in[MEGA_ATTENTION_PAST_V] =
        mega_make_param(m, 3, (int64_t[]){ B, room, n->G * n->dv }, 0, 1);
    return a->chunk > 0 ? 5 * room : room - T;
}

/* places that the call's windows reach, and some more; for all heads or for each */
static void make_bias(struct mega_maker *m, int64_t heads)
{
    struct mega_call *c = &m->e->call;
    int64_t most = mega_window_most(c), n = (most ? most : 1) + mega_make_below(m, 3);
    c->in[MEGA_ATTENTION_BIAS] = mega_make_param(
        m, heads ? 2 : 1, (int64_t[]){ heads ? heads : 2 * n - 1, 2 * n - 1 }, 0, 1);
}

static const unsigned kinds_of_rows =
    MEGA_ROWS_LEN | MEGA_ROWS_REAL | MEGA_ROWS_DOC | MEGA_ROWS_NUMBER;

static void plain(struct mega_maker *m)
{
    struct mega_attr_attention *a = attr_of(m);
    struct mega_call *c = &m->e->call;
    struct mega_heads n = make_heads(m);
    int64_t B = mega_make_few(m), T = mega_make_length(m), past = 0;
    a->fn = (enum mega_attention_fn)mega_make_choice(m, 3);
    a->causal = mega_make_choice(m, 2);
    a->chunk = mega_make_choice(m, 2) ? 1 + mega_make_below(m, T + 3) : -1;
    bool bias = !mega_make_choice(m, 2), stream = chance(m, 2) && a->causal;
    a->drop_keys = chance(m, 2);
    if (chance(m, 2)) {
        a->dropout = 0.3;
        c->mode |= MEGA_RUN_TRAIN;
    }
    make_qkv(m, &n, B, T, T);
    if (stream) past = make_past(m, &n, B, T);
    mega_make_rows(m, B, T, kinds_of_rows | (stream ? MEGA_ROWS_PLACE : 0), past);
    if (bias) make_bias(m, 0);
    a->weights = !stream && !c->rows->doc && chance(m, 4);
    a->log_sum = a->fn == MEGA_ATTENTION_SOFTMAX && chance(m, 4);
    a->peak = chance(m, 5);
}

/* ---- variants ---- */

/* What is chosen where scores are compared with each other: kernels that round must come to the
 * same end. So scores are exact: sums of products of a few coarse numbers. */
static bool compares(const struct mega_maker *m)
{
    const struct mega_attr_attention *a = m->e->call.attr;
    return !m->small && (a->fn == MEGA_ATTENTION_TOPK || a->fn == MEGA_ATTENTION_HARD ||
                            a->fn == MEGA_ATTENTION_COG || a->selective);
}

/* the function, and what it takes part in; small examples are differentiated, which nothing is
 * that passes straight through */
static void make_function(struct mega_maker *m, bool strips)
{
    struct mega_attr_attention *a = attr_of(m);
    a->fn = (enum mega_attention_fn)mega_make_choice(m, 9);
    if (m->small && a->fn == MEGA_ATTENTION_HARD) a->fn = MEGA_ATTENTION_TOPK;
    bool picks = a->fn == MEGA_ATTENTION_TOPK || a->fn == MEGA_ATTENTION_GUMBEL;
    a->causal = chance(m, 2) && a->fn != MEGA_ATTENTION_INVERTED;
    a->top = a->fn == MEGA_ATTENTION_TOPK ? 1 + mega_make_below(m, 6) : 0;
    a->through = picks && !m->small && chance(m, 2);
    a->temperature = chance(m, 2) ? 0.7 : 0;
    a->sigmoid_bias = a->fn == MEGA_ATTENTION_SIGMOID && chance(m, 2) ? -1.5 : 0;
    a->l2 = a->fn == MEGA_ATTENTION_SOFTMAX && chance(m, 2);
    a->selective = strips && a->causal && chance(m, 3);
    if (!compares(m) && chance(m, 3)) a->clamp = 1.5;
    if (compares(m)) a->scale = 0.25;
    if (chance(m, 3)) {
        a->dropout = 0.3;
        a->drop_keys = chance(m, 3);
        m->e->call.mode |= MEGA_RUN_TRAIN;
    }
}

/* windows; rows of queries and keys; returns how many keys there are */
static int64_t make_places(
    struct mega_maker *m, const struct mega_heads *n, int64_t B, int64_t T)
{
    struct mega_attr_attention *a = attr_of(m);
    struct mega_call *c = &m->e->call;
    bool keys = chance(m, 3), stream = !keys && a->causal && chance(m, 3);
    int64_t S = keys && chance(m, 2) ? 1 + mega_make_below(m, m->small ? 8 : 40) : T, past = 0;
    a->chunk = chance(m, 3) ? 1 + mega_make_below(m, S + 3) : -1;
    /* a lone key has no slope, and what rounding leaves there is nobody's mistake */
    if (chance(m, 4)) a->reach = 2 - m->small + mega_make_below(m, S + 1);
    if (chance(m, 5)) a->prefix = 1 + mega_make_below(m, S + 1);
    if (a->causal && !keys && !stream && a->chunk < 0 && chance(m, 4)) {
        a->segment = 1 + mega_make_below(m, S + 1);
        a->memory = mega_make_below(m, S + 1);
    }
    make_qkv(m, n, B, T, S);
    if (stream) past = make_past(m, n, B, T);
    if (stream && a->selective) {
        int64_t room[] = { B, c->in[MEGA_ATTENTION_PAST_K]->dim[1], 1 };
        c->in[MEGA_ATTENTION_PAST_FADED] = mega_make_param(m, 3, room, 1, 0.5);
    }
    if (keys) {
        mega_make_rows(m, B, S, kinds_of_rows, 0);
        c->keys = c->rows;
    }
    mega_make_rows(m, B, T, kinds_of_rows | (stream ? MEGA_ROWS_PLACE : 0), past);
    return S;
}

static void make_decay(
    struct mega_maker *m, const struct mega_heads *n, int64_t B, int64_t T, int64_t S)
{
    mega_tensor **in = m->e->call.in;
    const mega_tensor *past = in[MEGA_ATTENTION_PAST_K];
    int64_t queries[] = { B, T, n->H }, keys[] = { B, S, n->H };
    if (chance(m, 2)) {
        in[MEGA_ATTENTION_DECAY] = mega_make_param(m, 3, queries, 0, 1);
        if (S != T || chance(m, 3))
            in[MEGA_ATTENTION_DECAY_K] = mega_make_param(m, 3, keys, 0, 1);
        if (past)
            in[MEGA_ATTENTION_PAST_DECAY] =
                mega_make_param(m, 3, (int64_t[]){ B, past->dim[1], n->H }, 0, 1);
    }
    if (S == T && chance(m, 2))
        in[MEGA_ATTENTION_DECAY_BACK] = mega_make_param(m, 3, keys, 0, 1);
}

/* what is added to scores by their places */
static void make_added(
    struct mega_maker *m, const struct mega_heads *n, int64_t B, int64_t T, int64_t S)
{
    mega_tensor **in = m->e->call.in;
    if (chance(m, 2)) make_bias(m, chance(m, 2) ? n->H : 0);
    if (chance(m, 3)) make_decay(m, n, B, T, S);
    if (chance(m, 4)) {
        int64_t R = 1 + mega_make_below(m, 3), heads = chance(m, 2) ? n->H : 1;
        in[MEGA_ATTENTION_SHARE] = mega_make_values(m, 3, (int64_t[]){ B, T, n->H * R }, 0, 1);
        int64_t N = 1 + mega_make_below(m, S + 3);
        in[MEGA_ATTENTION_BANK] = mega_make_param(m, 2, (int64_t[]){ R * heads, N }, 0, 1);
        attr_of(m)->ahead = N % 2 ? N / 2 : 0; /* no draw of its own */
    }
}

/* forgetting row by row */
static void make_gates(struct mega_maker *m, const struct mega_heads *n, int64_t B, int64_t T)
{
    mega_tensor **in = m->e->call.in;
    const mega_tensor *past = in[MEGA_ATTENTION_PAST_K];
    int64_t width = n->H * (1 + mega_make_below(m, 3)), S = mega_window_keys(&m->e->call)->T;
    in[MEGA_ATTENTION_GATE_Q] = mega_make_values(m, 3, (int64_t[]){ B, T, width }, 0, 1);
    in[MEGA_ATTENTION_GATE_K] = mega_make_values(m, 3, (int64_t[]){ B, S, width }, 0, 1);
    if (past)
        in[MEGA_ATTENTION_PAST_GATE_K] =
            mega_make_param(m, 3, (int64_t[]){ B, past->dim[1], width }, 0, 1);
}

/* what only strips can do */
static void make_strips(struct mega_maker *m, const struct mega_heads *n, int64_t B, int64_t T)
{
    struct mega_call *c = &m->e->call;
    struct mega_attr_attention *a = attr_of(m);
    int64_t square[] = { n->H, n->H };
    for (int i = MEGA_ATTENTION_TALK_PRE; i <= MEGA_ATTENTION_TALK_SCALED; i++)
        if (chance(m, 4)) c->in[i] = mega_make_param(m, 2, square, 0, 0.7);
    if (a->causal && !compares(m) && chance(m, 2))
        c->in[MEGA_ATTENTION_COPE] =
            mega_make_param(m, 2, (int64_t[]){ 1 + mega_make_below(m, 7), n->d }, 0, 1);
    if (chance(m, 3))
        c->in[MEGA_ATTENTION_BEFORE] =
            mega_make_param(m, 4, (int64_t[]){ B, n->H, T, mega_attention_columns(c) }, 0, 1);
    if (a->causal && chance(m, 4)) make_gates(m, n, B, T);
    a->weights = !c->in[MEGA_ATTENTION_PAST_K] && !c->rows->doc && chance(m, 4);
    a->scores = chance(m, 3);
    a->full = a->scores && chance(m, 2);
    a->exec = chance(m, 2) ? MEGA_ATTENTION_STRIP : MEGA_ATTENTION_AUTO;
}

static void make_slots(struct mega_maker *m, const struct mega_heads *n)
{
    mega_tensor **in = m->e->call.in;
    struct mega_attr_attention *a = attr_of(m);
    bool sums = a->fn == MEGA_ATTENTION_SOFTMAX ||
                (a->fn >= MEGA_ATTENTION_TOPK && a->fn <= MEGA_ATTENTION_GUMBEL);
    if (sums && chance(m, 3)) in[MEGA_ATTENTION_SINK] = mega_make_param(m, 1, &n->H, 0, 1);
    if (sums && chance(m, 4)) a->zeros = 1 + mega_make_below(m, 2);
    a->log_sum = a->fn == MEGA_ATTENTION_SOFTMAX && chance(m, 4);
    a->peak = chance(m, 5);
    if (!chance(m, 3)) return;
    int64_t N = 1 + mega_make_below(m, m->small ? 2 : 5);
    in[MEGA_ATTENTION_PREFIX_K] = mega_make_param(m, 3, (int64_t[]){ n->G, N, n->d }, 0, 1);
    in[MEGA_ATTENTION_PREFIX_V] = mega_make_param(m, 3, (int64_t[]){ n->G, N, n->dv }, 0, 1);
}

static void variant(struct mega_maker *m)
{
    struct mega_call *c = &m->e->call;
    struct mega_heads n = make_heads(m);
    int64_t B = mega_make_few(m), T = mega_make_length(m);
    if (T > 40) T = 40 - T % 9;
    if (m->small && T > 5) T = 5;
    bool strips = chance(m, 2);
    make_function(m, strips);
    int64_t S = make_places(m, &n, B, T);
    make_slots(m, &n);
    make_added(m, &n, B, T, S);
    if (strips) make_strips(m, &n, B, T);
    for (int i = 0; compares(m) && i < MEGA_ATTENTION_INPUTS; i++)
        if (c->in[i]) mega_make_coarse(c->in[i], 0.25);
}

void mega_example_attention(struct mega_maker *m)
{
    struct mega_attr_attention *a = mega_make_attr(m);
    if (mega_make_choice(m, 2))
        variant(m);
    else
        plain(m);
    m->e->wants = (1u << MEGA_ATTENTION_INPUTS) - 1;
    m->e->wants &= ~(1u << MEGA_ATTENTION_PAST_K | 1u << MEGA_ATTENTION_PAST_V |
                     1u << MEGA_ATTENTION_PAST_DECAY | 1u << MEGA_ATTENTION_PAST_GATE_K |
                     1u << MEGA_ATTENTION_PAST_FADED);
    m->e->gives = 1u << MEGA_ATTENTION_O | (a->scores ? 1u << MEGA_ATTENTION_SCORES : 0) |
                  (a->log_sum ? 1u << MEGA_ATTENTION_LOG_SUM : 0);
    m->e->tolerance = 1e-5;
}
