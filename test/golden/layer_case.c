/* Cases of single layers: norms, embeddings of numbers, biases, feed-forward, the encoder
 * layer. */
#include <stdlib.h>

#include "golden/block_case.h"
#include "graph/ops.h"
#include "layer/feed_forward.h"
#include "layer/norm.h"
#include "layer/relative_bias.h"

void golden_norm(struct golden_case *c)
{
    struct golden_block b;
    struct mega_norm n;
    golden_cfg_expect(c, "eps", "1e-05");
    golden_cfg_expect(c, "momentum", "0.1");
    if (golden_block_open(c, &b)) {
        mega_norm_build(&b.build, &n, (enum mega_norm_type)golden_cfg_norm(c),
            golden_cfg_int(c, "embed_dim|embedding_dim", 0),
            golden_cfg_bool(c, "affine|norm_affine", true));
        if (golden_block_begin(&b, "x")) golden_block_end(&b, mega_norm_run(b.run, &n, b.x));
    }
    golden_block_close(&b);
}

void golden_number_embedding(struct golden_case *c)
{
    struct golden_block b;
    int64_t D = golden_cfg_int(c, "embed_dim|embedding_dim", 0);
    if (golden_block_open(c, &b)) {
        struct mega_init zero = { 0 };
        mega_tensor *weight = mega_param_add(&b.build, "weight", zero, 1, &D),
                    *bias = mega_param_add(&b.build, "bias", zero, 1, &D);
        b.time_first = false;
        if (golden_block_begin(&b, "x"))
            golden_block_end(&b, number_embedding(b.run, b.x, weight, bias));
    }
    golden_block_close(&b);
}

/* ---- relative bias ---- */

/* the files hold [n, n], where query i and key j have element middle + j-i of our vector */
static void compare_bias(struct golden_case *c, struct golden_block *b, mega_tensor *vector)
{
    mega_run *r = b->run;
    const struct mega_st_tensor *cotangent = golden_find(c, "in.cotangent");
    int64_t n = cotangent && cotangent->rank == 2 ? cotangent->dim[0] : 0,
            middle = (mega_count(vector) - 1) / 2;
    if (n > middle + 1 || n < 1 || cotangent->dim[1] != n) {
        golden_unsupported(c, "a bias over %lld places, ours covers %lld", (long long)n,
            (long long)middle + 1);
        return;
    }
    double *dense = calloc((size_t)(n * n), sizeof *dense);
    mega_tensor *seed = mega_run_tensor(r, MEGA_F32, vector->rank, vector->dim);
    mega_tensor_zero(seed);
    for (int64_t i = 0; i < n * n; i++) {
        int64_t at = middle + i % n - i / n;
        dense[i] = mega_get(vector, 0, at);
        mega_add_to(seed, 0, at, mega_st_real(cotangent, i));
    }
    golden_compare_numbers(c, "out.y", dense, n * n);
    free(dense);
    mega_run_seed_with(r, vector, seed);
    mega_run_backward(r);
}

static void bias_case(struct golden_case *c, enum mega_bias_type type)
{
    struct golden_block b;
    struct mega_relative_bias p;
    if (golden_block_open(c, &b)) {
        mega_relative_bias_build(&b.build, &p, type, golden_cfg_int(c, "max_positions", 1),
            golden_cfg_int(c, "embed_dim|embedding_dim", 0));
        if (golden_block_begin(&b, NULL)) {
            mega_tensor *vector =
                mega_relative_bias_run(b.run, &p, golden_cfg_int(c, "seq_len", 1));
            if (vector) compare_bias(c, &b, vector);
            if (golden_check(c, mega_run_end(b.run))) golden_compare_gradients(c, &b.store);
        }
    }
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

/* ---- feed-forward and the whole layer ---- */

void golden_feed_forward(struct golden_case *c)
{
    /* Megalodon's class has the same name */
    if (golden_find(c, "in.residual")) {
        golden_megalodon_feed_forward(c);
        return;
    }
    struct golden_block b;
    struct mega_feed_forward f;
    struct mega_feed_forward_options o = {
        .width = golden_cfg_int(c, "embed_dim|embedding_dim", 0),
        .hidden = golden_cfg_int(c, "ffn_hidden_dim", 0),
        .act = golden_cfg_act(c, "activation|activation_fn", MEGA_ACT_SILU),
        .norm = golden_cfg_norm(c),
        .prenorm = golden_cfg_bool(c, GOLDEN_PRENORM, true),
        .affine = golden_cfg_bool(c, "norm_affine", true),
    };
    if (golden_block_open(c, &b)) {
        mega_feed_forward_build(&b.build, &f, &o);
        if (golden_block_begin(&b, "x"))
            golden_block_end(&b, mega_feed_forward_run(b.run, &f, b.x, b.rows));
    }
    golden_block_close(&b);
}

struct layer {
    struct mega_gated_attention mega;
    struct mega_feed_forward feed_forward;
    bool has_feed_forward;
};

static void build_layer(mega_build *b, struct layer *l,
    const struct mega_gated_attention_options *o, int64_t hidden)
{
    size_t entered = mega_build_enter(b, "mega_layer");
    mega_gated_attention_build(b, &l->mega, o);
    mega_build_leave(b, entered);
    l->has_feed_forward = hidden > 0;
    if (!l->has_feed_forward) return;
    entered = mega_build_enter(b, "nffn");
    mega_feed_forward_build(b, &l->feed_forward,
        &(struct mega_feed_forward_options){ .width = o->width,
            .hidden = hidden,
            .act = o->act,
            .norm = o->norm,
            .prenorm = o->prenorm,
            .affine = o->affine });
    mega_build_leave(b, entered);
}

void golden_layer(struct golden_case *c)
{
    struct golden_block b;
    struct layer l;
    struct mega_gated_attention_options o = golden_attention_options(c);
    if (golden_block_open(c, &b)) {
        build_layer(&b.build, &l, &o, golden_cfg_int(c, "ffn_hidden_dim", 0));
        if (golden_block_begin(&b, "x")) {
            mega_tensor *y = mega_gated_attention_run(b.run, &l.mega, b.x, b.rows);
            if (l.has_feed_forward)
                y = mega_feed_forward_run(b.run, &l.feed_forward, y, b.rows);
            golden_block_end(&b, y);
        }
    }
    golden_block_close(&b);
}
