/* Cases of single layers: norms, embeddings of numbers, biases, the EMA, feed-forward, the
 * encoder layer. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "golden/block_case.h"
#include "graph/ops.h"
#include "layer/ema.h"
#include "layer/feed_forward.h"
#include "layer/norm.h"
#include "layer/relative_bias.h"

void golden_norm(struct golden_case *c)
{
    struct golden_block b;
    struct mega_norm n;
    golden_cfg_expect(c, "eps", "1e-05");
    golden_cfg_expect(c, "momentum", "0.1");
    int type = golden_cfg_choice(c, "norm_type", MEGA_NORM_CHOICES, 0);
    if (!golden_block_open(c, &b)) return;
    mega_norm_build(&b.build, &n, (enum mega_norm_type)type,
        golden_cfg_int(c, "embedding_dim", 0), golden_cfg_bool(c, "affine", true));
    if (golden_block_begin(&b, "x")) {
        mega_tensor *y = mega_norm_run(b.run, &n, b.x);
        golden_block_end(&b, y, "norm.");
    }
    golden_block_close(&b);
}

void golden_number_embedding(struct golden_case *c)
{
    struct golden_block b;
    if (!golden_block_open(c, &b)) return;
    int64_t D = golden_cfg_int(c, "embedding_dim", 0);
    struct mega_init zero = { 0 };
    mega_tensor *weight = mega_param_add(&b.build, "weight", zero, 1, &D),
                *bias = mega_param_add(&b.build, "bias", zero, 1, &D);
    b.time_first = false;
    if (golden_block_begin(&b, "x"))
        golden_block_end(&b, number_embedding(b.run, b.x, weight, bias), "");
    golden_block_close(&b);
}

/* [n, n] from the Toeplitz vector, and back for its gradient */
static void compare_bias(struct golden_case *c, struct golden_block *b,
    const struct mega_relative_bias *p, int64_t n)
{
    mega_run *r = b->run;
    const struct mega_st_tensor *cotangent = golden_find(c, "in.cotangent");
    mega_tensor *vector = mega_relative_bias_run(r, p, n);
    if (!vector) {
        golden_check(c, mega_run_end(r));
        return;
    }
    int64_t middle = (mega_count(vector) - 1) / 2;
    double *dense = calloc((size_t)(n * n), sizeof *dense);
    mega_tensor *seed = mega_run_tensor(r, MEGA_F32, 1, &vector->dim[0]);
    mega_tensor_zero(seed);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            dense[i * n + j] = mega_get(vector, 0, middle + j - i);
            mega_add_to(seed, 0, middle + j - i, mega_st_real(cotangent, i * n + j));
        }
    golden_compare_numbers(c, "out.y", dense, n * n);
    mega_run_seed_with(r, vector, seed);
    mega_run_backward(r);
    golden_check(c, mega_run_end(r));
    golden_compare_gradients(c, &b->store, "");
    free(dense);
}

static void bias_case(struct golden_case *c, enum mega_bias_type type)
{
    struct golden_block b;
    struct mega_relative_bias p;
    int64_t longest = golden_cfg_int(c, "max_positions", 1),
            n = golden_cfg_int(c, "seq_len", 1);
    if (!golden_block_open(c, &b)) return;
    mega_relative_bias_build(&b.build, &p, type, longest, golden_cfg_int(c, "embed_dim", 0));
    if (golden_block_begin(&b, NULL)) compare_bias(c, &b, &p, n);
    golden_block_close(&b);
}

void golden_simple_bias(struct golden_case *c)
{
    bias_case(c, MEGA_BIAS_SIMPLE);
}

void golden_rotary_bias(struct golden_case *c)
{
    bias_case(c, MEGA_BIAS_ROTARY);
}

/* ---- the EMA ---- */

/* kernel[row, t] = sqrt(1/N) sum_n gamma p beta q^t: the coefficients' meaning, apart from any
 * way to apply them */
static void compare_kernel(struct golden_case *c, const struct mega_ema *e)
{
    const struct mega_st_tensor *want = golden_find(c, "out.kernel");
    if (!want) return;
    int64_t N = e->delta->dim[1], taps = want->dim[1];
    double *kernel = calloc((size_t)want->count, sizeof *kernel);
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

void golden_ema(struct golden_case *c)
{
    struct golden_block b;
    struct mega_ema e;
    if (!golden_block_open(c, &b)) return;
    mega_ema_build(&b.build, &e, golden_cfg_int(c, "embed_dim", 0),
        golden_cfg_int(c, "ndim", 1), golden_cfg_bool(c, "bidirectional", false),
        golden_cfg_int(c, "truncation", 0));
    if (golden_block_begin(&b, "x")) {
        golden_block_end(&b, mega_ema_run(b.run, &e, b.x, b.rows), "");
        compare_kernel(c, &e);
    }
    const char *pieces = golden_cfg(c, "pieces");
    if (*pieces)
        golden_block_stream(&b, pieces, (golden_forward *)mega_ema_run, &e, e.state,
            "out.state", "out.state_after_first_piece");
    golden_block_close(&b);
}

/* x [B, D, T] with a given state; out.y: the raw output [T, B, D] and the state, one after the
 * other */
void golden_ema_step(struct golden_case *c)
{
    struct golden_block b;
    struct mega_ema e;
    if (!golden_block_open(c, &b)) return;
    mega_ema_build(&b.build, &e, golden_cfg_int(c, "embed_dim", 0),
        golden_cfg_int(c, "ndim", 1), golden_cfg_bool(c, "bidirectional", false),
        golden_cfg_int(c, "truncation", 0));
    b.time_first = false;
    if (!golden_block_begin(&b, "x")) {
        golden_block_close(&b);
        return;
    }
    mega_run *r = b.run;
    int64_t B = b.x->dim[0], D = b.x->dim[1], T = b.x->dim[2], N = e.delta->dim[1];
    mega_tensor *x = mega_run_tensor(r, MEGA_F32, 3, (int64_t[]){ B, T, D }),
                *h = golden_input(c, r, "hx", false);
    for (int64_t i = 0; i < B * T * D; i++)
        mega_put(x, i / D, i % D, mega_get(b.x, i / (T * D) * D + i % D, i / D % T));
    x->wants_grad = h->wants_grad = true;
    struct mega_rows rows = { .B = B, .T = T };
    struct mega_attr_ema a;
    memset(&a, 0, sizeof a);
    a.state = true;
    struct mega_call call = { .op = &mega_op_ema,
        .in = { x, e.delta, e.alpha, e.beta, e.gamma, NULL, h },
        .attr = &a,
        .rows = &rows };
    mega_tensor *y = mega_run_call(r, &call, NULL), *state = call.out[1];
    if (y) {
        const struct mega_st_tensor *cotangent = golden_find(c, "in.cotangent");
        mega_tensor *dy = mega_run_tensor(r, MEGA_F32, 3, y->dim),
                    *dh = mega_run_tensor(r, MEGA_F32, 3, state->dim);
        double *flat = calloc((size_t)(T * B * D + B * D * N), sizeof *flat);
        for (int64_t i = 0; i < T * B * D; i++) {
            int64_t row = i / D % B * T + i / (B * D);
            flat[i] = mega_get(y, row, i % D);
            mega_put(dy, row, i % D, mega_st_real(cotangent, i));
        }
        for (int64_t i = 0; i < B * D * N; i++) {
            flat[T * B * D + i] = mega_get(state, i / N, i % N);
            mega_put(dh, i / N, i % N, mega_st_real(cotangent, T * B * D + i));
        }
        golden_compare_numbers(c, "out.y", flat, T * B * D + B * D * N);
        golden_compare(c, "out.raw", y, true);
        golden_compare(c, "out.state", state, false);
        mega_run_seed_with(r, y, dy);
        mega_run_seed_with(r, state, dh);
        mega_run_backward(r);
        free(flat);
    }
    if (golden_check(c, mega_run_end(r))) {
        golden_compare_gradients(c, &b.store, "");
        golden_compare(c, "grad.in.hx", h->grad, false);
        double *dx = calloc((size_t)(B * T * D), sizeof *dx);
        for (int64_t i = 0; i < B * D * T; i++)
            dx[i] = mega_get(x->grad, i / (D * T) * T + i % T, i / T % D);
        golden_compare_numbers(c, "grad.in.x", dx, B * D * T);
        free(dx);
    }
    golden_block_close(&b);
}

/* ---- feed-forward and the whole layer ---- */

#define ACTIVATIONS "linear|relu|gelu|gelu_accurate|silu"

void golden_feed_forward(struct golden_case *c)
{
    struct golden_block b;
    struct mega_feed_forward f;
    if (!golden_block_open(c, &b)) return;
    mega_feed_forward_build(&b.build, &f,
        &(struct mega_feed_forward_options){
            .width = golden_cfg_int(c, "embed_dim", 0),
            .hidden = golden_cfg_int(c, "ffn_hidden_dim", 0),
            .act = golden_cfg_choice(c, "activation", ACTIVATIONS, 0),
            .norm = golden_cfg_choice(c, "norm_type", MEGA_NORM_CHOICES, 0),
            .prenorm = golden_cfg_bool(c, "prenorm", true),
            .affine = golden_cfg_bool(c, "norm_affine", true),
        });
    if (golden_block_begin(&b, "x"))
        golden_block_end(&b, mega_feed_forward_run(b.run, &f, b.x, b.rows), "norm.norm.");
    golden_block_close(&b);
}

struct layer {
    struct mega_gated_attention mega;
    struct mega_feed_forward feed_forward;
    bool has_feed_forward;
};

void golden_layer(struct golden_case *c)
{
    struct golden_block b;
    struct layer l;
    if (!golden_block_open(c, &b)) return;
    struct mega_gated_attention_options o = golden_attention_options(c);
    size_t entered = mega_build_enter(&b.build, "mega_layer");
    mega_gated_attention_build(&b.build, &l.mega, &o);
    mega_build_leave(&b.build, entered);
    int64_t hidden = golden_cfg_int(c, "ffn_hidden_dim", 0);
    l.has_feed_forward = hidden > 0;
    if (l.has_feed_forward) {
        entered = mega_build_enter(&b.build, "nffn");
        mega_feed_forward_build(&b.build, &l.feed_forward,
            &(struct mega_feed_forward_options){ .width = o.width,
                .hidden = hidden,
                .act = o.act,
                .norm = o.norm,
                .prenorm = o.prenorm,
                .affine = true });
        mega_build_leave(&b.build, entered);
    }
    if (golden_block_begin(&b, "x")) {
        mega_tensor *y = mega_gated_attention_run(b.run, &l.mega, b.x, b.rows);
        if (l.has_feed_forward) y = mega_feed_forward_run(b.run, &l.feed_forward, y, b.rows);
        golden_block_end(&b, y, "");
    }
    golden_block_close(&b);
}
