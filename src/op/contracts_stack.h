/* The contracts of the ops that variants of the Transformer's stack are made of; part of
 * contracts.h. */
#ifndef MEGA_OP_CONTRACTS_STACK_H
#define MEGA_OP_CONTRACTS_STACK_H

#include "op/op.h"

/* arrange: x [B,T,D], index [B,T'] I32, extra [R,D]? -> y [B,T',D]: place t' of row b is place
 * index[b,t'] of row b of x, or row -1-i of extra for an index i below 0, or zero where index
 * is MEGA_ARRANGE_NOTHING. No place of x stands twice. */
enum { MEGA_ARRANGE_NOTHING = INT32_MIN };
enum { MEGA_ARRANGE_X, MEGA_ARRANGE_INDEX, MEGA_ARRANGE_EXTRA };

/* center: x [B,T,D] -> y: less the mean over the real places of its row, channel by channel; or
 * that mean itself. Zero at places that are not real. */
struct mega_attr_center {
    bool mean;
};

/* exit_gate: one step of a distribution over steps of which each is left with probability
 * sigmoid(z). in: z [..,1], rest, one a row F32: the probability of not having left before
 * (optional: 1), target I32, one a row (optional) out: rest sigmoid(z), of leaving here; rest
 * sigmoid(-z), what remains, both z's shape F32; the step's part of the distribution's entropy,
 * rest times that of sigmoid(z), summed over the rows whose target is not negative, [] F32 */
enum { MEGA_EXIT_GATE_Z, MEGA_EXIT_GATE_REST, MEGA_EXIT_GATE_TARGET };
enum { MEGA_EXIT_GATE_SHARE, MEGA_EXIT_GATE_REMAINS, MEGA_EXIT_GATE_ENTROPY };

/* log_sum: x_0 ... x_14 [..,n] (from x_1 on optional) -> log sum_i exp(x_i), number by number,
 * F32; with attr.one the sum has one more term, 1 */
struct mega_attr_log_sum {
    bool one;
};
enum { MEGA_LOG_SUM_MOST = 15 };

/* mix: weights [..,n], x_0 ... x_14 [..,D] (from x_1 on optional) -> sum_i weights[.., from + i
 * step] x_i */
struct mega_attr_mix {
    int64_t from, step;
};
enum { MEGA_MIX_WEIGHTS, MEGA_MIX_X, MEGA_MIX_INPUTS = 16, MEGA_MIX_MOST = 15 };

/* orthogonal: x, y [B,T,D] -> y less its part along x: y - (y.x / |x|^2) x, a place for itself,
 * or a row with all its places (2505.11881) */
struct mega_attr_orthogonal {
    bool sample; /* products over all real places of a row */
};
enum { MEGA_ORTHOGONAL_X, MEGA_ORTHOGONAL_Y };

/* shift: x [B,T,D], past [B,s,D]? F32 -> y; past for the next call [B,s,D], F32, only if
 * attr.state. Channels are in s+1 groups of D/(s+1), group t takes its values from t places
 * earlier in the document; two ways: 2s+1 groups, of which group t takes them from t-s places
 * earlier. Channels left over stay, as does the group of 0. What is not there is zero, and so
 * is, as a source, what is not real (unless attr.blind). */
struct mega_attr_shift {
    int64_t steps; /* s */
    bool two_way, state, blind;
};
enum { MEGA_SHIFT_X, MEGA_SHIFT_PAST };

/* sinkhorn: x [..,S*S], a matrix a row -> y: softmax of its columns, then `rounds` times its
 * rows and its columns are divided by their sums (nearly doubly stochastic) */
struct mega_attr_sinkhorn {
    int64_t size, rounds; /* S; at most MEGA_SINKHORN_MOST each */
};
enum { MEGA_SINKHORN_MOST = 20 };

/* softmax: x [..,n] -> y, of each row */

/* squash: x [..,D], weight ([D] or [1])?, bias [D]?, slope [1]?, shift [1]? ->
 * factor weight f(inside slope x + shift) + bias (DynamicTanh: 2503.10622; Derf: 2512.10938) */
enum mega_squash_kind { MEGA_SQUASH_LINEAR, MEGA_SQUASH_TANH, MEGA_SQUASH_ERF };
struct mega_attr_squash {
    enum mega_squash_kind kind;
    bool unit_offset; /* the gain is weight + 1 */
    double factor, inside;
};
enum {
    MEGA_SQUASH_X,
    MEGA_SQUASH_WEIGHT,
    MEGA_SQUASH_BIAS,
    MEGA_SQUASH_SLOPE,
    MEGA_SQUASH_SHIFT
};

#endif
