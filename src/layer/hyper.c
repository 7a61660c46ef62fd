#include "layer/hyper.h"

#include <string.h>

#include "graph/ops.h"

void mega_hyper_build(
    mega_build *b, struct mega_hyper *h, const struct mega_hyper_sizes *sizes, int64_t k)
{
    int64_t S = sizes->streams, R = sizes->views, width = sizes->width;
    struct mega_init zero = { MEGA_INIT_CONSTANT, 0, 0 }, one = { MEGA_INIT_CONSTANT, 1, 0 },
                     little = { MEGA_INIT_CONSTANT, 0.01, 0 },
                     first = { MEGA_INIT_STREAMS, (double)(k % S), (double)(R - 1) };
    int64_t single = 1;
    *h = (struct mega_hyper){
        .streams = S, .views = R, .rounds = sizes->rounds, .stochastic = sizes->stochastic
    };
    size_t entered = mega_build_enter(b, "hc"), inside = mega_build_enter(b, "norm");
    mega_norm_declare(b, &h->norm,
        &(struct mega_norm_options){
            .type = MEGA_LAYERNORM, .width = width, .affine = true, .eps = MEGA_NORM_EPS });
    mega_build_leave(b, inside);
    h->alpha = mega_param_add(b, "alpha", first, 2, (int64_t[]){ S, R + S });
    h->beta = mega_param_add(b, "beta", one, 1, &S);
    h->wa = mega_param_add(b, "wa", zero, 2, (int64_t[]){ width, R + S });
    h->wb = mega_param_add(b, "wb", zero, 2, (int64_t[]){ 1, width });
    h->sa = mega_param_add(b, "sa", little, 1, &single);
    h->sb = mega_param_add(b, "sb", little, 1, &single);
    mega_build_leave(b, entered);
}

/* static + factor f(x) */
static mega_tensor *weigh(
    mega_run *r, mega_tensor *x, mega_tensor *factor, mega_tensor *fixed, bool bend)
{
    struct mega_attr_squash a;
    memset(&a, 0, sizeof a);
    a.kind = bend ? MEGA_SQUASH_TANH : MEGA_SQUASH_LINEAR;
    a.factor = a.inside = 1;
    struct mega_call c = { .op = &mega_op_squash, .attr = &a };
    c.in[MEGA_SQUASH_X] = x;
    c.in[MEGA_SQUASH_WEIGHT] = factor;
    c.in[MEGA_SQUASH_BIAS] = fixed;
    return mega_run_call(r, &c, NULL);
}

static mega_tensor *join(mega_run *r, mega_tensor *all, mega_tensor *x)
{
    return all ? concat(r, all, x) : x;
}

/* W_a LN(h_s) of all streams side by side, and w_b LN(h_s) */
static void products(mega_run *r, const struct mega_hyper *h, mega_tensor *const *stream,
    mega_tensor **a, mega_tensor **b)
{
    mega_tensor *wa = transpose(r, h->wa);
    *a = *b = NULL;
    for (int64_t s = 0; s < h->streams; s++) {
        mega_tensor *n = mega_norm_run(r, &h->norm, stream[s]);
        *a = join(r, *a, linear(r, n, wa, NULL, MEGA_ACT_LINEAR));
        *b = join(r, *b, linear(r, n, h->wb, NULL, MEGA_ACT_LINEAR));
    }
}

/* the carry's S x S numbers of alpha, made doubly stochastic, behind the inputs' S each */
static mega_tensor *settle(mega_run *r, const struct mega_hyper *h, mega_tensor *alpha)
{
    int64_t S = h->streams, R = h->views;
    struct mega_attr_sinkhorn a;
    memset(&a, 0, sizeof a);
    a.size = S;
    a.rounds = h->rounds;
    mega_tensor *input = NULL, *carry = NULL;
    for (int64_t v = 0; v < R; v++)
        for (int64_t s = 0; s < S; s++)
            input = join(r, input, columns(r, alpha, s * (R + S) + v, 1));
    for (int64_t s = 0; s < S; s++)
        carry = join(r, carry, columns(r, alpha, s * (R + S) + R, S));
    carry = mega_run_call(
        r, &(struct mega_call){ .op = &mega_op_sinkhorn, .in = { carry }, .attr = &a }, NULL);
    return concat(r, activation(r, input, MEGA_ACT_SIGMOID), carry);
}

static mega_tensor *mixed(mega_run *r, const struct mega_hyper *h, mega_tensor *weights,
    int64_t from, int64_t step, mega_tensor *const *stream)
{
    struct mega_attr_mix a;
    memset(&a, 0, sizeof a);
    a.from = from;
    a.step = step;
    struct mega_call c = { .op = &mega_op_mix, .attr = &a };
    c.in[MEGA_MIX_WEIGHTS] = weights;
    for (int64_t s = 0; s < h->streams; s++) c.in[MEGA_MIX_X + s] = stream[s];
    return mega_run_call(r, &c, NULL);
}

void mega_hyper_read(mega_run *r, const struct mega_hyper *h, mega_tensor *const *stream,
    mega_tensor *view[MEGA_VIEWS], mega_tensor **alpha, mega_tensor **beta)
{
    int64_t S = h->streams, R = h->views;
    mega_tensor *a, *b;
    products(r, h, stream, &a, &b);
    *alpha = weigh(r, a, h->sa, h->alpha, !h->stochastic);
    if (h->stochastic) {
        *alpha = settle(r, h, *alpha);
        /* 2 sigmoid(beta + b g(w)), with g = 2 sigmoid */
        b = scale(r, activation(r, b, MEGA_ACT_SIGMOID), NULL, 2);
        b = weigh(r, b, h->sb, h->beta, false);
        *beta = scale(r, activation(r, b, MEGA_ACT_SIGMOID), NULL, 2);
    } else {
        *beta = weigh(r, b, h->sb, h->beta, true);
    }
    for (int64_t v = 0; v < R; v++)
        view[v] = h->stochastic ? mixed(r, h, *alpha, v * S, 1, stream)
                                : mixed(r, h, *alpha, v, R + S, stream);
}

void mega_hyper_write(mega_run *r, const struct mega_hyper *h, mega_tensor **stream,
    mega_tensor *alpha, mega_tensor *beta, mega_tensor *y)
{
    int64_t S = h->streams, R = h->views;
    mega_tensor *next[MEGA_HYPER_MOST];
    for (int64_t t = 0; t < S; t++) {
        struct mega_attr_mix a;
        memset(&a, 0, sizeof a);
        a.from = t;
        a.step = 1;
        mega_tensor *carry = h->stochastic ? mixed(r, h, alpha, R * S + t, S, stream)
                                           : mixed(r, h, alpha, R + t, R + S, stream),
                    *own = mega_run_call(r,
                        &(struct mega_call){
                            .op = &mega_op_mix, .in = { beta, y }, .attr = &a },
                        NULL);
        next[t] = add(r, own, carry);
    }
    for (int64_t t = 0; t < S; t++) stream[t] = next[t];
}
