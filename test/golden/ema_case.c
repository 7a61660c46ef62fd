/* Cases of the EMA: whole rows, its kernel, pieces with a carried state, one piece with a given
 * state. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "golden/block_case.h"
#include "graph/ops.h"

static void build(struct golden_case *c, struct golden_block *b, struct mega_ema *e)
{
    mega_ema_build(&b->build, e, golden_cfg_int(c, "embed_dim|embedding_dim", 0),
        golden_cfg_int(c, "ndim|n_dim", 1), golden_cfg_bool(c, "bidirectional", false),
        golden_cfg_int(c, "truncation|truncation_length", 0));
}

/* kernel[row, t] = sqrt(1/N) sum_n gamma p beta q^t: the coefficients' meaning, apart from any
 * way to apply them */
static void compare_kernel(struct golden_case *c, const struct mega_ema *e)
{
    const struct mega_st_tensor *want = golden_find(c, "out.kernel");
    if (!want || want->rank != 2 || want->dim[0] != e->delta->dim[0]) return;
    int64_t N = e->delta->dim[1], taps = want->dim[1];
    double *kernel = calloc((size_t)want->count + 1, sizeof *kernel);
    for (int64_t i = 0; i < want->count; i++)
        for (int64_t n = 0; n < N; n++) {
            int64_t at = i / taps * N + n;
            double p = 1 / (1 + exp(-mega_get(e->delta, at, 0))),
                   a = 1 / (1 + exp(-mega_get(e->alpha, at, 0)));
            double weight = mega_get(e->gamma, i / taps, n) * sqrt(1 / (double)N) * p *
                            mega_get(e->beta, at, 0);
            kernel[i] += weight * pow(1 - p * a, (double)(i % taps));
        }
    golden_compare_numbers(c, "out.kernel", kernel, want->count);
    free(kernel);
}

static mega_tensor *stream_forward(
    mega_run *r, const void *self, mega_tensor *x, const struct mega_rows *rows)
{
    return mega_ema_run(r, self, x, rows);
}

void golden_ema(struct golden_case *c)
{
    struct golden_block b;
    struct mega_ema e;
    if (golden_block_open(c, &b)) {
        build(c, &b, &e);
        if (golden_block_begin(&b, "x")) {
            golden_block_end(&b, mega_ema_run(b.run, &e, b.x, b.rows));
            compare_kernel(c, &e);
            golden_block_stream(&b, &(struct golden_stream){ .forward = stream_forward,
                                        .self = &e,
                                        .state = e.state,
                                        .last = "out.state",
                                        .first = "out.state_after_first_piece" });
        }
    }
    golden_block_close(&b);
}

/* ---- one piece with a given state ---- */

/* the last two dimensions exchanged */
static mega_tensor *turned(mega_run *r, const mega_tensor *x)
{
    int64_t B = x->dim[0], m = x->dim[1], n = x->dim[2];
    mega_tensor *y = mega_run_tensor(r, MEGA_F32, 3, (int64_t[]){ B, n, m });
    for (int64_t i = 0; y && i < B * m * n; i++)
        mega_put(y, i / m, i % m, mega_get(x, i / (m * n) * m + i % m, i / m % n));
    return y;
}

/* element i of the flat output: y [T, B, D] raw, then the state [B, D, N] */
static mega_tensor *flat_place(
    mega_tensor *y, mega_tensor *state, int64_t i, int64_t *row, int64_t *column)
{
    int64_t B = y->dim[0], T = y->dim[1], D = y->dim[2], raw = T * B * D;
    mega_tensor *t = i < raw ? y : state;
    int64_t at = i < raw ? i : i - raw, width = mega_width(t);
    *row = i < raw ? at / D % B * T + at / (B * D) : at / width;
    *column = at % width;
    return t;
}

static void compare_flat(struct golden_case *c, mega_tensor *y, mega_tensor *state)
{
    int64_t n = mega_count(y) + mega_count(state), row, column;
    double *flat = calloc((size_t)n + 1, sizeof *flat);
    for (int64_t i = 0; i < n; i++) {
        const mega_tensor *t = flat_place(y, state, i, &row, &column);
        flat[i] = mega_get(t, row, column);
    }
    golden_compare_numbers(c, "out.y", flat, n);
    free(flat);
}

static void seed_flat(struct golden_case *c, mega_run *r, mega_tensor *y, mega_tensor *state)
{
    const struct mega_st_tensor *cotangent = golden_find(c, "in.cotangent");
    if (!cotangent || cotangent->count != mega_count(y) + mega_count(state)) {
        golden_fail(c, "in.cotangent does not fit y and the state");
        return;
    }
    mega_tensor *dy = mega_run_tensor(r, MEGA_F32, 3, y->dim),
                *dh = mega_run_tensor(r, MEGA_F32, 3, state->dim);
    for (int64_t i = 0, row, column; dy && dh && i < cotangent->count; i++) {
        mega_tensor *t = flat_place(dy, dh, i, &row, &column);
        mega_put(t, row, column, mega_st_real(cotangent, i));
    }
    mega_run_seed_with(r, y, dy);
    mega_run_seed_with(r, state, dh);
}

/* in.x, in.hx -> out.y (flat), out.raw, out.state and their gradients; no residual, no silu */
static void step(struct golden_block *b, const struct mega_ema *e)
{
    struct golden_case *c = b->c;
    mega_run *r = b->run;
    mega_tensor *x = turned(r, b->x), *h = golden_input(c, r, "hx", false);
    if (!h) {
        golden_fail(c, "in.hx is missing");
        return;
    }
    x->wants_grad = h->wants_grad = true;
    struct mega_rows rows = { .B = x->dim[0], .T = x->dim[1] };
    struct mega_attr_ema a;
    memset(&a, 0, sizeof a);
    a.state = true;
    struct mega_call call = { .op = &mega_op_ema, .attr = &a, .rows = &rows };
    call.in[MEGA_EMA_X] = x;
    call.in[MEGA_EMA_DELTA] = e->delta;
    call.in[MEGA_EMA_ALPHA] = e->alpha;
    call.in[MEGA_EMA_BETA] = e->beta;
    call.in[MEGA_EMA_GAMMA] = e->gamma;
    call.in[MEGA_EMA_H] = h;
    mega_tensor *y = mega_run_call(r, &call, NULL), *state = call.out[1];
    if (y) {
        compare_flat(c, y, state);
        golden_compare(c, "out.raw", y, true);
        golden_compare(c, "out.state", state, false);
        seed_flat(c, r, y, state);
        mega_run_backward(r);
        golden_compare(c, "grad.in.hx", h->grad, false);
        golden_compare(c, "grad.in.x", turned(r, x->grad), false);
    }
    if (golden_check(c, mega_run_end(r))) golden_compare_gradients(c, &b->store);
}

void golden_ema_step(struct golden_case *c)
{
    struct golden_block b;
    struct mega_ema e;
    golden_cfg_expect(c, "bidirectional", "False");
    if (golden_block_open(c, &b)) {
        build(c, &b, &e);
        b.time_first = false;
        if (golden_block_begin(&b, "x")) step(&b, &e);
    }
    golden_block_close(&b);
}
