/* A Megalodon layer (Ma et al., 2024, sections 1 and 3 of the specification): gated attention
 * with timestep norm and complex EMA, then the normalised feed-forward, wired by the two-hop
 * residual, so that one layer owns all of it.
 *
 *   xt = timenorm(x)                          mx = drop(rmsnorm(cema(xt)))
 *   v  = silu(xt W_v + b_v)                   q, k = rotate(query_key_norm(mx W_z + b_z))
 *   a  = attention(q, k, v) in its chunk      r  = silu(mx W_r + b_r)
 *   y  = x + drop(mx W_h1 + b_h1 + drop(g a r) W_h2)
 *   out = x + alpha drop(mlp(norm(y)))        the residual is the layer's input
 *
 * Heads, or attention as a whole, may have gates g (head_gates.h), and heads may have been
 * removed (kept_heads.h): without any the layer keeps its moving average, wh1.
 *
 * Names are the official ones: "mega.timenorm.weight" ... "nffn.fc2.weight". */
#ifndef MEGA_LAYER_MEGALODON_H
#define MEGA_LAYER_MEGALODON_H

#include "layer/cema.h"
#include "layer/head_gates.h"
#include "layer/kept_heads.h"
#include "layer/mlp.h"
#include "layer/norm.h"
#include "layer/timestep_norm.h"

enum mega_megalodon_init {
    MEGA_MEGALODON_HE,       /* normal, 1 / sqrt(3 inputs) */
    MEGA_MEGALODON_BERT,     /* normal, 0.02 */
    MEGA_MEGALODON_XAVIER,   /* uniform */
    MEGA_MEGALODON_GAUSSIAN, /* normal, 1, cut at 3 */
    MEGA_MEGALODON_NONE      /* zeros, where weights are loaded anyhow */
};
#define MEGA_MEGALODON_INIT_CHOICES "he|bert|xavier|gaussian|none"

struct mega_megalodon_options {
    int64_t width, keys, values, heads; /* D; Z, E: of all heads; H */
    int64_t hidden, states;             /* F, N */
    int64_t chunk, groups;              /* C, G */
    int64_t layer;                      /* i, from 0: alpha starts at 0.1 0.5^i */
    int init;                           /* enum mega_megalodon_init */
    bool affine;                        /* of rmsnorm and the feed-forward's norm */
    bool swiglu, rescale;               /* of the feed-forward; rescale: alpha */
    bool drop_keys;                     /* attention dropout hides keys, before the softmax */
    bool port; /* as the pure-PyTorch port has it (section 10.4): its timestep norm, rotary
                  pairs of halves, biases everywhere, a feed-forward norm without offset, alpha
                  a constant, masks that the moving average does not see */
    double norm_eps, rotary_base;
    double dropout, attention_dropout, hidden_dropout;
    struct mega_head_gates_options gates; /* of heads or of branches; of channels */
    const char *kept_heads;               /* that are left, a list a layer; NULL or "": all */
    const char *kept_channels;            /* blocks of the feed-forward's, each so wide: */
    int64_t channel_block;
};

/* Refuses options that cannot be, by name. */
mega_status mega_megalodon_check(const struct mega_megalodon_options *options);

/* The first hop: its input's shape, its residual inside. */
struct mega_megalodon_attention {
    struct mega_megalodon_options options;
    struct mega_megalodon_options used; /* the same with the heads that are left, Z, E and H */
    struct mega_kept_heads kept;
    struct mega_head_gates gates, branch; /* of heads; of all of them together */
    struct mega_timestep_norm timenorm;
    struct mega_cema cema;
    struct mega_norm rmsnorm;
    mega_tensor *wv, *wv_bias, *wz, *wz_bias, *wr, *wr_bias; /* [E,D] [E] [Z,D] [Z] [E,D] [E] */
    mega_tensor *wh1, *wh1_bias, *wh2, *wh2_bias;            /* [D,D] [D] [D,E] [D]; the last of
                                                                the port alone. Of attention
                                                                NULL without heads */
    mega_tensor *gamma, *beta;                               /* [2,Z] */
    struct mega_cell *past_keys, *past_values;               /* logs of a stream */
    struct mega_dropout drop_ema, drop_gated, drop_out;
};

/* The second hop. */
struct mega_megalodon_feed_forward {
    struct mega_norm norm;
    struct mega_mlp mlp; /* fc1, fc2, fc3 */
    mega_tensor *alpha;  /* [D]; NULL: none, or a constant */
    double constant;     /* factor of the branch beside alpha: 1 but for a port that rescales */
    struct mega_dropout drop;
};

/* Each declares its names below the present prefix, without "mega." and "nffn.". */
void mega_megalodon_attention_build(mega_build *b, struct mega_megalodon_attention *m,
    const struct mega_megalodon_options *options);
void mega_megalodon_feed_forward_build(mega_build *b, struct mega_megalodon_feed_forward *f,
    const struct mega_megalodon_options *options);

/* x [B, T, D] -> y [B, T, D]. */
mega_tensor *mega_megalodon_attention_run(mega_run *r, const struct mega_megalodon_attention *m,
    mega_tensor *x, const struct mega_rows *rows);

/* y and the layer's input x -> the layer's output. */
mega_tensor *mega_megalodon_feed_forward_run(mega_run *r,
    const struct mega_megalodon_feed_forward *f, mega_tensor *y, mega_tensor *x,
    const struct mega_rows *rows);

/* The whole layer: "mega" and "nffn" below the present prefix. */
struct mega_megalodon_block {
    struct mega_megalodon_attention mega;
    struct mega_megalodon_feed_forward nffn;
};
void mega_megalodon_block_build(mega_build *b, struct mega_megalodon_block *m,
    const struct mega_megalodon_options *options);

/* x [B, T, D] -> [B, T, D]. With a stream attached any number of new tokens. */
mega_tensor *mega_megalodon_block_run(mega_run *r, const struct mega_megalodon_block *m,
    mega_tensor *x, const struct mega_rows *rows);

#endif
