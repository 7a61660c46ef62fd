/* The ops' contracts: attributes, and the order of inputs and outputs. The mathematics stands
 * in each op's own file. Activations have the run's type (mega_activation); F32 here means
 * float32 in a run of bfloat16 too. */
#ifndef MEGA_OP_CONTRACTS_H
#define MEGA_OP_CONTRACTS_H

#include "op/contracts_stack.h"
#include "op/op.h"

/* Pointwise functions, in the order of the choice list below (gelu: exact erf form; gelu_tanh:
 * the tanh form; relu2: the square of relu). */
enum mega_act {
    MEGA_ACT_LINEAR,
    MEGA_ACT_RELU,
    MEGA_ACT_GELU,
    MEGA_ACT_GELU_TANH,
    MEGA_ACT_SILU,
    MEGA_ACT_SIGMOID,
    MEGA_ACT_RELU2,
    MEGA_ACT_TANH
};
enum { MEGA_ACTS = MEGA_ACT_TANH + 1 }; /* how many */
#define MEGA_ACT_CHOICES "linear|relu|gelu|gelu_tanh|silu|sigmoid|relu2|tanh"

/* Inverted dropout. An element's draw depends on (seed, step, site, number of its row in the
 * update, place, channel) alone. */
enum mega_dropout_kind {
    MEGA_DROPOUT_ELEMENTS, /* every element for itself */
    MEGA_DROPOUT_FEATURES  /* one draw for (row, channel), shared over time */
};

/* activation: x -> y, same shape */
struct mega_attr_activation {
    enum mega_act act;
};

/* add: a, b -> y, same shape */

/* attention: exact attention of H heads inside windows, G heads of keys and values; query head
 * h reads head h / (H / G) of them. A head is a range of columns (heads.h). T queries a row, S
 * keys. c->keys: the rows that the keys lie in, with a padding and documents of their own;
 * NULL: the call's rows, S = T. Query i stands at key place p = S - T + i.
 *
 * A query without a key that it sees gives 0 and passes no gradient. (The one exception: a
 * softmax window of the call's own rows that holds padding alone reads it as if it were real,
 * as Mega's official code does.)
 *
 * in: q [B,T,H*d], k [B,S,G*d], v [B,S,G*dv]; all others are optional:
 *   bias [2n-1] for all heads or [H,2n-1], F32: entry n-1+j-p for key j
 *   past_k [B,P,G*d], past_v [B,P,G*dv]: a stream's log; place x lies at x modulo P, places
 *     before rows->place are valid
 *   prefix_k [G,N,d], prefix_v [G,N,dv]: keys that every query sees; no position, bias, mask,
 *     window or hiding concerns them (persistent memory: 1907.01470)
 *   sink [H] F32: a logit a head, whose share of the softmax goes nowhere (2508.10925)
 *   decay [B,T,H], decay_k [B,S,H] (absent: decay), past_decay [B,P,H], F32: running sums C of
 *     the logarithms of forget gates; C_p - C_j is added for j <= p (2503.02130)
 *   decay_back [B,S,H], F32: the same for keys after the query: its j-th less its p-th
 *   share [B,T,H*R], bank [R,N], or [H*R,N] with rows for each head: sum_r share[i,h,r]
 *     bank[r,ahead+p-j] is added for 0 <= ahead+p-j < N
 *   talk_pre, talk_post, talk_scaled [H,H], [to, from]: heads mixed (2003.02436): scores before
 *     bias and mask; weights after dropout; then a factor of these made of raw scores
 *   cope [N,d]: contextual positions (2405.18719), for keys j <= p
 *   before [B,H,T,M]: raw scores of the layer before, which are added (2012.11747). M = N + P +
 *     S: prefix keys, places of the past by their distance (place -P first), keys
 *   gate_q [B,T,H*e], gate_k [B,S,H*e], past_gate_k [B,P,H*e]: the sum of log sigmoid(gate_q
 *     gate_k / sqrt(e)) over the keys j ... p-1 that the query sees is added (forgetting row by
 *     row); causal only
 *   past_faded [B,P,1], F32, of selective: what had faded of the past's keys, as the log lies
 * out: o [B,T,H*dv];
 *   weights, if attr.weights (not in streams or documents), as they multiply v: [B,H*K,W,W] of
 *     K windows of at most W places, those of head 0 first; where there is one window, or keys
 *     of other rows: [B,H,T,N+S];
 *   scores [B,H,T,M], F32 (F64), if attr.scores: raw (attr.full: after bias and clamp), the
 *     next layer's `before`; 0 for keys that the query does not see;
 *   log_sum [B,T,H], F32 (F64), if attr.log_sum, of softmax alone: the logarithm of the sum
 *     that divides a query's weights; 0 where it sees nothing;
 *   faded [B,P,1], F32 (F64), with past_faded: the same after this call, its keys included;
 *   peak [B,T,H], F32 (F64), if attr.peak: the largest score, as the function takes it, of the
 *     keys that a real query sees; 0 where there is none. No gradient comes to it.
 *
 * A score is made in this order: product or distance, scaled; + before: raw. talk_pre; + bias,
 * decay, share, gates; clamp; + cope; - what selective attention has faded; + noise,
 * temperature. */
enum mega_attention_fn {
    MEGA_ATTENTION_SOFTMAX,
    MEGA_ATTENTION_LAPLACE,
    MEGA_ATTENTION_RELU2,
    MEGA_ATTENTION_SIGMOID,  /* sigmoid(s + sigmoid_bias) (2409.04431) */
    MEGA_ATTENTION_TOPK,     /* softmax of the scores not below the k-th largest (1912.11637) */
    MEGA_ATTENTION_HARD,     /* 1 at the first largest; the gradient is the softmax's */
    MEGA_ATTENTION_COG,      /* softmax of |s|, with the sign of s (2411.07176) */
    MEGA_ATTENTION_GUMBEL,   /* softmax((s + noise) / temperature); draw.h: the noise */
    MEGA_ATTENTION_INVERTED, /* softmax over the real queries, then divided by each row's sum;
                                a query that is not real gives 0 */
};
#define MEGA_ATTENTION_CHOICES "softmax|laplace|relu2|sigmoid|topk|hard|cog|gumbel|inverted"

/* How it may be computed: tiles of scores, or strips of whole rows of all heads
 * (docs/adr/0016-strips.md). Auto: tiles where they can. Fused is refused with what needs
 * strips: mega_attention_needs_strips. */
enum mega_attention_exec { MEGA_ATTENTION_AUTO, MEGA_ATTENTION_FUSED, MEGA_ATTENTION_STRIP };
#define MEGA_ATTENTION_EXEC_CHOICES "auto|fused|strip"

struct mega_attr_attention {
    enum mega_attention_fn fn;
    bool causal;
    bool weights, scores;
    bool full;      /* scores given out are those after bias and clamp, in place of raw ones */
    bool drop_keys; /* dropout hides keys from a query before the function, and scales nothing
                       (DropKey: Li et al., 2022) */
    int64_t chunk;  /* window length C, counted from the start of each document; -1: the whole
                       document */
    double dropout; /* of the weights, after the function, or of keys; only in TRAIN */
    int64_t heads, kv_heads; /* H, 0: 1; G, which divides H, 0: H */
    double scale;            /* factor of the scores; 0: what the function says, 1/keys counted
                                for laplace and relu2, else 1/sqrt(d) */
    enum mega_attention_exec exec;
    int64_t reach;  /* a query sees keys less than so many places away; 0: any number */
    int64_t prefix; /* places of a document below it are seen by all its queries that reach
                       them, causal or not (prefix LM) */
    int64_t zeros;  /* slots of score 0 and value 0 in the softmax (softmax-plus-one) */
    bool l2;        /* scores -scale |q - k|^2 in place of the product (2006.04710) */
    double clamp;   /* c: s becomes c tanh(s / c); 0: no */
    int64_t top;    /* k of topk */
    bool through; /* topk, gumbel: straight-through: the gradient of the softmax over all keys;
                     of gumbel the weight is 1 at the first largest */
    double sigmoid_bias;
    double temperature; /* of gumbel, and of the softmax whose gradient passes straight through;
                           0: 1 */
    bool selective; /* what head 0 has read fades for later queries (2410.02703): its positive
                       scores, the first place of the window excepted; causal only. A query that
                       is not real reads nothing. */
    int64_t ahead;  /* distances of the bank for keys after the query */
    bool log_sum, peak;
    /* Transformer-XL in one pass: a window is read in segments of so many places, and a query
     * sees its own one and `memory` places before that; 0: no segments. Causal only. */
    int64_t segment, memory;
};
enum {
    MEGA_ATTENTION_Q,
    MEGA_ATTENTION_K,
    MEGA_ATTENTION_V,
    MEGA_ATTENTION_BIAS,
    MEGA_ATTENTION_PAST_K,
    MEGA_ATTENTION_PAST_V,
    MEGA_ATTENTION_PREFIX_K,
    MEGA_ATTENTION_PREFIX_V,
    MEGA_ATTENTION_SINK,
    MEGA_ATTENTION_DECAY,
    MEGA_ATTENTION_DECAY_K,
    MEGA_ATTENTION_PAST_DECAY,
    MEGA_ATTENTION_SHARE,
    MEGA_ATTENTION_BANK,
    MEGA_ATTENTION_TALK_PRE,
    MEGA_ATTENTION_TALK_POST,
    MEGA_ATTENTION_TALK_SCALED,
    MEGA_ATTENTION_COPE,
    MEGA_ATTENTION_BEFORE,
    MEGA_ATTENTION_DECAY_BACK,
    MEGA_ATTENTION_GATE_Q,
    MEGA_ATTENTION_GATE_K,
    MEGA_ATTENTION_PAST_GATE_K,
    MEGA_ATTENTION_PAST_FADED,
    MEGA_ATTENTION_INPUTS /* how many */
};
enum {
    MEGA_ATTENTION_O,
    MEGA_ATTENTION_WEIGHTS,
    MEGA_ATTENTION_SCORES,
    MEGA_ATTENTION_LOG_SUM,
    MEGA_ATTENTION_FADED,
    MEGA_ATTENTION_PEAK,
    MEGA_ATTENTION_OUTPUTS /* how many */
};

/* The name of what only strips can do and this call asks for, or NULL. */
const char *mega_attention_needs_strips(const struct mega_call *c);

/* N prefix keys, M columns of scores. */
int64_t mega_attention_prefix(const struct mega_call *c);
int64_t mega_attention_columns(const struct mega_call *c);

/* band: ids of a vocabulary that is cut into bands, I32 -> numbers of the same shape, I32, no
 * gradient. Band i holds the ids below end[i] that no band before it holds; a negative id gives
 * -1. */
enum { MEGA_BANDS = 7 };
enum {
    MEGA_BAND_WHICH = -1, /* the id's band */
    MEGA_BAND_HEAD = -2   /* an id of band 0 as it is, band i > 0 as end[0] + i - 1 */
};
struct mega_attr_band {
    int64_t bands, end[MEGA_BANDS];
    int64_t form;     /* one of the above; i >= 0: the id's number in band i, -1 outside */
    int64_t left_out; /* a number in band i that counts as outside; -1: none */
};

/* batch_norm: x [B,T,D], weight [D]?, bias [D]?, running_mean [D], running_var [D] -> y, new
 * running mean, new running var (the last two only in TRAIN). Statistics over all B*T places,
 * padding included. */
struct mega_attr_batch_norm {
    double eps, momentum; /* running <- (1 - momentum) running + momentum batch */
};
enum {
    MEGA_BATCH_NORM_X,
    MEGA_BATCH_NORM_WEIGHT,
    MEGA_BATCH_NORM_BIAS,
    MEGA_BATCH_NORM_MEAN,
    MEGA_BATCH_NORM_VAR
};

/* cema: complex exponential moving average plus omega x (Megalodon). A place that is not real
 * leaves the states as they are and gives 0; documents start anew.
 * in: x [B,T,D], alpha, delta [D,N,1], theta [D,1,1], gamma [D,N,2], omega [D,1]?, state h
 * [B,D,N,2]? F32, last dimension real and imaginary part; out: y [B,T,D]; state after the last
 * place in use [B,D,N,2] F32, only if attr.state. */
struct mega_attr_cema {
    bool state;
};
enum {
    MEGA_CEMA_X,
    MEGA_CEMA_ALPHA,
    MEGA_CEMA_DELTA,
    MEGA_CEMA_THETA,
    MEGA_CEMA_GAMMA,
    MEGA_CEMA_OMEGA,
    MEGA_CEMA_H
};

/* choose: which [rows] I32, x_0 ... x_6 [..,D] (from x_1 on optional) -> y: row r is row r of
 * x_which[r], or zero where which[r] is negative */
enum { MEGA_CHOOSE_WHICH, MEGA_CHOOSE_X };

/* concat: a [.., n], b [.., m] -> [.., n+m] */

/* cross_entropy: logits [..,V], target I32, one a row (negative: ignored) -> sum of the rows'
 * losses (row_loss.h), [] F32; -log softmax(logits)[target] of each row as output_loss has it,
 * only if attr.rows. A target beyond V-1 is an error that the caller has excluded. With a
 * weight, one a row F32 (optional), the sum is of weight times loss, and a weight's gradient is
 * its row's loss. */
struct mega_attr_cross_entropy {
    double smoothing; /* share of the target that all V classes have alike; 0: none */
    double z;         /* weight of the squared log of the softmax's divisor; 0: none */
    bool rows;        /* (output_loss has one of its own) */
};
enum { MEGA_CROSS_ENTROPY_LOGITS, MEGA_CROSS_ENTROPY_TARGET, MEGA_CROSS_ENTROPY_WEIGHT };

/* distance_bias: table [buckets,H] (t5 alone) -> [H,2n-1] F32, entry n-1+j-i of a head for
 * query i and key j, with the distance i - j: */
enum mega_distance_kind {
    MEGA_DISTANCE_T5,    /* scale times the table's row of the distance's bucket */
    MEGA_DISTANCE_ALIBI, /* less the head's slope times the distance's size */
    MEGA_DISTANCE_PLAIN, /* the distance */
    MEGA_DISTANCE_LOG    /* its sign times log(1 + its size) */
};
struct mega_attr_distance_bias {
    enum mega_distance_kind kind;
    bool two_way;   /* keys behind and ahead have buckets (t5), slopes (alibi) of their own */
    int64_t length; /* n */
    int64_t heads;  /* H */
    int64_t sloped; /* alibi: the first so many heads; the others have slope 0 */
    int64_t max_distance; /* t5: from here on all is one bucket */
    double scale;
};

/* dropout: x [B,T,D] or [B,D] -> y; identity outside TRAIN or for p = 0 */
struct mega_attr_dropout {
    double p;
    enum mega_dropout_kind kind;
};

/* ema: multi-dimensional damped moving average, and omega x; then silu, if attr.silu.
 * in: x [B,T,D], delta, alpha, beta [Q,N,1], gamma [Q,N], omega [D] (optional: without it the
 * raw y comes out), h [B,D,N]? with Q = D one way, 2D both ways (rows D.. look back from the
 * future) out: y [B,T,D]; state after the last place in use [B,D,N] F32, only if attr.state. */
struct mega_attr_ema {
    bool two_way;
    bool state;
    bool silu; /* of the sum before it is rounded to the type of activations */
    int64_t
        truncation; /* kernel taps M; 0 or less: as long as the row. Ignored with a state. */
};
enum {
    MEGA_EMA_X,
    MEGA_EMA_DELTA,
    MEGA_EMA_ALPHA,
    MEGA_EMA_BETA,
    MEGA_EMA_GAMMA,
    MEGA_EMA_OMEGA,
    MEGA_EMA_H
};

/* embedding: table [V,D], tokens [B,T] I32 -> [B,T,D]; the row of `pad` gets no gradient. A
 * negative token gives zeros and no gradient; one beyond V-1 is an error that the caller has
 * excluded. */
struct mega_attr_embedding {
    int64_t pad; /* -1: none */
    double scale;
};
enum { MEGA_EMBEDDING_TABLE, MEGA_EMBEDDING_TOKENS };

/* feed_forward: a region. x, residual [B,T,D], up [F,D], up_bias [F], down [D,F], down_bias [D]
 * -> residual + drop_1(down drop_0(act(up x + up_bias)) + down_bias) [B,T,D] */
struct mega_attr_feed_forward {
    enum mega_act act;
    enum mega_dropout_kind kind;
    double dropout[2]; /* of the inside, of the branch */
    uint64_t site[2];  /* of their draws, as mega_run_site gives them */
};
enum {
    MEGA_FEED_FORWARD_X,
    MEGA_FEED_FORWARD_RESIDUAL,
    MEGA_FEED_FORWARD_UP,
    MEGA_FEED_FORWARD_UP_BIAS,
    MEGA_FEED_FORWARD_DOWN,
    MEGA_FEED_FORWARD_DOWN_BIAS
};

/* forget: x [B,T,H], before [B,H]? F32 -> running sums of log sigmoid(x) over the real places
 * of each row, after those before [B,T,H] F32; the sums after the last place in use [B,H] F32,
 * only if attr.state. */
struct mega_attr_forget {
    bool state;
};
enum { MEGA_FORGET_X, MEGA_FORGET_BEFORE };

/* gate: x, g -> y = x * act(g), same shape (x and g may have different strides) */
struct mega_attr_gate {
    enum mega_act act;
};
enum { MEGA_GATE_X, MEGA_GATE_G };

/* Hard Concrete gates (hard_concrete.h). */
struct mega_hard_concrete {
    double temperature, low, high; /* low < 0, high > 1 */
    double eps;                    /* noise and probabilities stay so far from 0 and 1 */
};

/* gate_penalty: log_a [H] F32, values [..,H*n]? -> l0 sum p + l2/2 (squares of values), [] F32;
 * p [H] F32, the probabilities that gates are open */
struct mega_attr_gate_penalty {
    struct mega_hard_concrete gate;
    double l0, l2;
    bool each; /* l2: a head's values by its own p, instead of all by the mean of p */
};
enum { MEGA_GATE_PENALTY_A, MEGA_GATE_PENALTY_VALUES };

/* gated_output: a region. x, u, a [B,T,D], o, r [B,T,E], w [D,E], b [D] -> x + sigmoid(u) *
 * (drop(act(a + w (o silu(r)) + b)) - x) [B,T,D]. The call's site is that of the dropout. */
struct mega_attr_gated_output {
    enum mega_act act;
    enum mega_dropout_kind kind;
    double dropout;
};
enum {
    MEGA_GATED_OUTPUT_X,
    MEGA_GATED_OUTPUT_U,
    MEGA_GATED_OUTPUT_A,
    MEGA_GATED_OUTPUT_O,
    MEGA_GATED_OUTPUT_R,
    MEGA_GATED_OUTPUT_W,
    MEGA_GATED_OUTPUT_B
};

/* gated_residual: x, u, a, b [B,T,D] -> y = x + sigmoid(u) * (drop(act(a + b)) - x) */
struct mega_attr_gated_residual {
    enum mega_act act;
    enum mega_dropout_kind kind;
    double dropout;
};
enum {
    MEGA_GATED_RESIDUAL_X,
    MEGA_GATED_RESIDUAL_U,
    MEGA_GATED_RESIDUAL_A,
    MEGA_GATED_RESIDUAL_B
};

/* head_concat: a [..,H*n]?, b [..,H*m] or, shared, [..,m] -> [..,H*(n+k)]: each head of a,
 * then channels from ... from+k-1 of the head of b */
struct mega_attr_head_concat {
    int64_t heads, from, count; /* H, k; count 0: all from there on */
    bool shared;
};
enum { MEGA_HEAD_CONCAT_B, MEGA_HEAD_CONCAT_A };

/* head_linear: x [..,H*n], w [H*m,n] -> [..,H*m], or back: w [H*n,m]: each head of x with its
 * own rows of w */
struct mega_attr_head_linear {
    int64_t heads;
    bool back;
};
enum { MEGA_HEAD_LINEAR_X, MEGA_HEAD_LINEAR_W };

/* head_norm: x [..,H*d], weight [H,d]? -> y: each head in groups of d/groups channels, of
 * length 1 (l2) or mean square 1 (rms) */
enum mega_head_norm_kind { MEGA_HEAD_NORM_L2, MEGA_HEAD_NORM_RMS };
struct mega_attr_head_norm {
    enum mega_head_norm_kind kind;
    bool unit_offset;      /* the gain is weight + 1 */
    int64_t heads, groups; /* groups of a head; 0: 1 */
    double eps;            /* rms: inside the root; l2: the least length */
};
enum { MEGA_HEAD_NORM_X, MEGA_HEAD_NORM_WEIGHT };

/* head_gate: x [..,H*n], weight [H] or [1]?, gate [..,H]? -> y = x w act(gate), head by head
 */
struct mega_attr_head_gate {
    int64_t heads;
    enum mega_act act; /* of the gate */
    bool log;          /* w = exp(min(weight, log 100)); else weight itself */
};
enum { MEGA_HEAD_GATE_X, MEGA_HEAD_GATE_WEIGHT, MEGA_HEAD_GATE_GATE };

/* join: a [B,M,D], b [B,T,D], rows those of b -> [B,M+T,D]: a's places, then b's; last N > 0:
 * of these the last N in use [B,N,D] */
struct mega_attr_join {
    int64_t last;
};
enum { MEGA_JOIN_A, MEGA_JOIN_B };

/* laser: x -> exp(c tanh(x / c)), same shape; c = 0: log(max(x, 1e-20)) */
struct mega_attr_laser {
    double clamp; /* c */
};
#define MEGA_LASER_CLAMP 15
/* hard_concrete: log_a [H] F32, u? (noise of (0, 1), like the gates) -> gates F32, by `noise`
 * [H], [B,H] or [B,T,H*channels]; without u there is noise in TRAIN alone, drawn as dropout is
 */
enum mega_gate_noise {
    MEGA_GATE_NOISE_BATCH,   /* one draw a head */
    MEGA_GATE_NOISE_EXAMPLE, /* a head and text */
    MEGA_GATE_NOISE_ELEMENT  /* every number of a head */
};
#define MEGA_GATE_NOISE_CHOICES "batch|example|element"
struct mega_attr_hard_concrete {
    struct mega_hard_concrete gate;
    enum mega_gate_noise noise;
    bool hard;        /* 0 or 1, with the soft gate's gradient */
    int64_t channels; /* ELEMENT: of a head */
};
enum { MEGA_HARD_CONCRETE_A, MEGA_HARD_CONCRETE_U };

/* head_scale: x [B,T,H*n], g [H], [B,H] or [B,T,H], F32 -> y: each head of columns times its
 * factor */
enum { MEGA_HEAD_SCALE_X, MEGA_HEAD_SCALE_G };

/* linear: x [..,K], w [N,K], b [N]? -> act(x w^T + b) [..,N] */
struct mega_attr_linear {
    enum mega_act act;
};
enum { MEGA_LINEAR_X, MEGA_LINEAR_W, MEGA_LINEAR_B };

/* log_softmax: x [..,V], base [..,1] F32 (optional) -> base + log softmax(x), F32 */
enum { MEGA_LOG_SOFTMAX_X, MEGA_LOG_SOFTMAX_BASE };

/* mask: x [B,T,D] -> y, zero at places that are not real */

/* norm: x [..,D], weight ([D]; scale norm [1])?, bias [D]? -> y. One row at a time. */
enum mega_norm_kind { MEGA_NORM_LAYER, MEGA_NORM_SCALE, MEGA_NORM_RMS };
struct mega_attr_norm {
    enum mega_norm_kind kind;
    bool unit_offset; /* the gain is weight + 1 */
    bool guard;       /* the root is at least eps / sqrt(D), in place of eps inside it */
    double eps;
};
enum { MEGA_NORM_X, MEGA_NORM_WEIGHT, MEGA_NORM_BIAS };

/* number_embedding: x [B,T] F32, weight [D], bias [D] -> x weight + bias [B,T,D] */
enum { MEGA_NUMBER_X, MEGA_NUMBER_WEIGHT, MEGA_NUMBER_BIAS };

/* output_loss: cross_entropy over logits x w^T + b that never exist at once. in: x [..,D], w
 * [V,D], bias [V+M] (optional), target I32, one a row (negative: ignored), more [M,D]
 * (optional: classes behind those of w), weight as cross_entropy has it (optional)
 * out: sum of the rows' losses, [] F32; -log
 * softmax(logits)[target] of each row, the target's shape, F32, 0 where ignored and without a
 * gradient, only if attr.rows. */
struct mega_attr_output_loss {
    struct mega_attr_cross_entropy loss;
    bool rows;
};
enum {
    MEGA_OUTPUT_LOSS_X,
    MEGA_OUTPUT_LOSS_W,
    MEGA_OUTPUT_LOSS_BIAS,
    MEGA_OUTPUT_LOSS_TARGET,
    MEGA_OUTPUT_LOSS_MORE,
    MEGA_OUTPUT_LOSS_WEIGHT
};

/* pool: x [B,T,D] -> [B,D] F32: mean over the places in use (padding inside counts as zero:
 * mask first), or the first place */
enum mega_pool_kind { MEGA_POOL_MEAN, MEGA_POOL_FIRST };
struct mega_attr_pool {
    enum mega_pool_kind kind;
};

/* polar: x [B,T,H*d], phase [H,d]? -> [B,T,H*2d]: softplus of each channel as a radius, turned
 * by the place's position: d cosines of a head, then d sines */
struct mega_attr_polar {
    int64_t heads;
    double base, factor;
};
enum { MEGA_POLAR_X, MEGA_POLAR_PHASE };

/* position_embedding: x [B,T,D], table [P,D]?, gain [1]? -> x + scale gain e(position), with e
 * a row of the table or a vector of sines and cosines. Positions: position.h; places beyond a
 * row's len stay as they are. */
enum mega_position_kind {
    MEGA_POSITION_LEARNED,    /* the table; the others have none */
    MEGA_POSITION_SINUSOIDAL, /* channels 2t, 2t+1: sine, cosine */
    MEGA_POSITION_HALVES      /* channel t < D/2: sine, t + D/2: cosine */
};
struct mega_attr_position_embedding {
    enum mega_position_kind kind;
    double scale;
};
enum { MEGA_POSITION_X, MEGA_POSITION_TABLE, MEGA_POSITION_GAIN };

/* query_key: z [B,T,Z], gamma [2,Z], beta [2,Z] -> q, k = silu(z) gamma[i] + beta[i], i = 0, 1
 */
enum { MEGA_QUERY_KEY_Z, MEGA_QUERY_KEY_GAMMA, MEGA_QUERY_KEY_BETA };

/* query_key_norm: z [.., H*d], gamma [2,H*d], beta [2,H*d] -> q, k: each head of z with a mean
 * square of 1, times (gamma[i] + 1) / sqrt(d), plus beta[i] (Megalodon). The inputs' numbers
 * are those of query_key. */
struct mega_attr_query_key_norm {
    int64_t heads; /* H */
    double eps;
};

/* reject: o [..,H*n], v [..,G*n] -> o less its part along v, each head along its group's, or
 * whole: all heads together */
struct mega_attr_reject {
    int64_t heads, kv_heads;
    bool whole;
};
enum { MEGA_REJECT_O, MEGA_REJECT_V };

/* rotary: x [B,T,H*d] -> y, same shape: in each head, pairs of the first `dims` channels turned
 * by the place's position (position.h) */
struct mega_attr_rotary {
    int64_t heads;    /* H */
    int64_t dims;     /* even, at most d; 0: d */
    double base;      /* of the frequencies; usually 10000 */
    double factor;    /* positions are divided by it; usually 1 */
    int64_t restart;  /* positions restart every so many places of a document; 0: never */
    bool interleaved; /* channels 2t, 2t+1 are a pair; else t, t + dims/2 */
    int64_t from;     /* the first channel of a head that turns */
    int64_t first;    /* the first head that turns */
    double xpos;      /* places over which a pair fades once: queries; less than 0: keys */
};

/* rotary_bias: alpha, beta [1,Z] -> bias [2n-1] F32 */
struct mega_attr_rotary_bias {
    int64_t length; /* n: the longest window */
};
enum { MEGA_ROTARY_ALPHA, MEGA_ROTARY_BETA };

/* scale: x [..,D], weight [D]? -> factor * weight * x, channel by channel */
struct mega_attr_scale {
    double factor;
};
enum { MEGA_SCALE_X, MEGA_SCALE_WEIGHT };

/* slot_norm: x [H,N,d], weight [H,d]? -> y, same shape: head_norm of heads that lie one after
 * the other (persistent memory) */

/* timestep_norm: x normalised by the mean and variance of all that its group of channels held
 * up to this place of the document (Megalodon).
 * in: x [B,T,D], weight, bias [D]?, prior_mean, prior_logv [G] where there is a prior; the
 * statistics so far, all or none: count [B] I32, mean, variance [B,G] F32.
 * out: y [B,T,D]; the statistics after the last place in use, only if attr.state: count, mean,
 * variance as they come in. */
enum mega_timestep_norm_kind {
    MEGA_TIMESTEP_NORM_FULL, /* variance of all numbers; 0 at places that are not real */
    MEGA_TIMESTEP_NORM_MEANS /* variance of the places' means, as the pure-PyTorch port has it
                              */
};
struct mega_attr_timestep_norm {
    enum mega_timestep_norm_kind kind;
    bool unit_offset; /* the gain is weight + 1 */
    bool state;
    int64_t groups;      /* G, which divides D */
    int64_t prior_count; /* places that a start counts for; 0: none */
    double eps;
};
enum {
    MEGA_TIMESTEP_NORM_X,
    MEGA_TIMESTEP_NORM_WEIGHT,
    MEGA_TIMESTEP_NORM_BIAS,
    MEGA_TIMESTEP_NORM_PRIOR_MEAN,
    MEGA_TIMESTEP_NORM_PRIOR_LOGV,
    MEGA_TIMESTEP_NORM_COUNT,
    MEGA_TIMESTEP_NORM_MEAN,
    MEGA_TIMESTEP_NORM_VAR
};

/* transpose: x [M,N] -> [N,M], of x's type: a parameter that is read the other way round */

#endif
