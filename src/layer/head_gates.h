/* Gates of units, above all of attention heads: a factor of what each unit gives before a
 * linear map reads it.
 *
 *   concrete: g = hard_concrete(log_a), trained with a penalty on open gates (Voita et al.,
 *             2019; Louizos et al., 2018); evaluation has no noise
 *   fixed:    g = open, numbers that are given and do not train
 *
 * A closed gate is exactly 0: its unit adds nothing and may be cut away (model/heads.h). The
 * unit is computed all the same. Units are columns that stand together: a head, the heads of a
 * group, all of attention, a block of hidden channels. */
#ifndef MEGA_LAYER_HEAD_GATES_H
#define MEGA_LAYER_HEAD_GATES_H

#include "base/option.h"
#include "graph/run.h"
#include "op/contracts.h"

enum mega_gates { MEGA_GATES_NONE, MEGA_GATES_CONCRETE, MEGA_GATES_FIXED };
#define MEGA_GATES_CHOICES "none|concrete|fixed"

/* What a model has, a kind of units a number (enum mega_gates), and what all of them share. */
struct mega_head_gates_options {
    int kind;     /* of the heads of self-attention */
    int cross;    /* of the heads of cross-attention */
    int groups;   /* of the groups of query heads that share keys and values */
    int branches; /* of attention as a whole */
    int channels; /* of blocks of the feed-forward's inside */
    struct mega_hard_concrete concrete;
    int noise;   /* enum mega_gate_noise */
    bool hard;   /* 0 or 1, with the gradient of what is between */
    bool glorot; /* log_a begins as the original's: uniform within sqrt(3 / H), half open */
    double init; /* else so, with a spread of 0.01 */
};

/* The rows of an option table whose struct has a struct mega_head_gates_options at `at`. */
#define MEGA_HEAD_GATES_FIELD(at, member)                                                      \
    ((at) + offsetof(struct mega_head_gates_options, member))
#define MEGA_HEAD_GATES_OPTIONS(at)                                                            \
    { "head_gates", MEGA_OPTION_CHOICE, MEGA_HEAD_GATES_FIELD(at, kind), "none", 0, 0,         \
        MEGA_GATES_CHOICES, NULL,                                                              \
        "factors of the heads of self-attention: concrete: trained to close (section heads); " \
        "fixed: given",                                                                        \
        0 },                                                                                   \
        MEGA_GATE_OPTIONS(at)
#define MEGA_BRANCH_GATES_OPTIONS(at)                                                          \
    { "branch_gates", MEGA_OPTION_CHOICE, MEGA_HEAD_GATES_FIELD(at, branches), "none", 0, 0,   \
        MEGA_GATES_CHOICES, NULL,                                                              \
        "a factor of each block's attention, which its moving average does without: "          \
        "concrete: trained to close (section heads); fixed: given",                            \
        0 },                                                                                   \
        MEGA_GATE_OPTIONS(at)
#define MEGA_GATE_OPTIONS(at)                                                                  \
    { "gate_init", MEGA_OPTION_REAL, MEGA_HEAD_GATES_FIELD(at, init), "2.5", -20, 20, NULL,    \
        "X", "where log_a of concrete gates begins: above 2.4 fully open", 0 },                \
        { "gate_glorot", MEGA_OPTION_BOOL, MEGA_HEAD_GATES_FIELD(at, glorot), "false", 0, 0,   \
            NULL, NULL, "log_a begins as in the original code: uniform within sqrt(3/H)", 0 }, \
        { "gate_noise", MEGA_OPTION_CHOICE, MEGA_HEAD_GATES_FIELD(at, noise), "batch", 0, 0,   \
            MEGA_GATE_NOISE_CHOICES, NULL,                                                     \
            "what shares one draw in training: an update, a text, a number", 0 },              \
        { "gate_hard", MEGA_OPTION_BOOL, MEGA_HEAD_GATES_FIELD(at, hard), "false", 0, 0, NULL, \
            NULL, "gates are 0 or 1, with the gradient of what is between", 0 },               \
        { "gate_temperature", MEGA_OPTION_REAL,                                                \
            MEGA_HEAD_GATES_FIELD(at, concrete.temperature), "0.33", 0, 100, NULL, "X",        \
            "of the noise; Louizos et al. have 2/3", 0 },                                      \
        { "gate_low", MEGA_OPTION_REAL, MEGA_HEAD_GATES_FIELD(at, concrete.low), "-0.1",       \
            -1000, 1000, NULL, "X", "lower limit before the cut, below 0", 0 },                \
        { "gate_high", MEGA_OPTION_REAL, MEGA_HEAD_GATES_FIELD(at, concrete.high), "1.1",      \
            -1000, 1000, NULL, "X", "upper limit before the cut, above 1", 0 },                \
    {                                                                                          \
        "gate_eps", MEGA_OPTION_REAL, MEGA_HEAD_GATES_FIELD(at, concrete.eps), "1e-6", 0, 1,   \
            NULL, "X", "noise and probabilities stay so far from 0 and 1", 0                   \
    }

/* The L2 part of the penalty (Louizos et al., 2018, as Voita et al. have it), which training
 * sets: weight/2 mean_h(P(gate_h > 0)) sum(squares of what the gates multiply) is added to the
 * loss. */
struct mega_gate_decay {
    double weight; /* 0: there is none */
    double sum;    /* what came to be added since it was 0 */
};

struct mega_head_gates {
    struct mega_head_gates_options options;
    const char *name;              /* "gate", below its layer's prefix; of its draws, too */
    int64_t heads, channels;       /* H units; columns of one */
    mega_tensor *log_a;            /* [1, H, 1, 1], of concrete gates; else NULL */
    mega_tensor *open;             /* [H], of fixed ones; else NULL */
    struct mega_gate_decay *decay; /* of concrete gates; else NULL */
};

/* Declares gate.log_a or gate.open below the present prefix, as options->kind says; nothing
 * without gates. Refuses limits that cannot close or open, by name. */
void mega_head_gates_build(mega_build *b, struct mega_head_gates *g, int64_t heads,
    int64_t channels, const struct mega_head_gates_options *options);

/* The same for another kind of units: `kind` is what the options say of it, `name` (which
 * stays) what its gates are called. */
void mega_unit_gates_build(mega_build *b, struct mega_head_gates *g, const char *name, int kind,
    int64_t units, int64_t channels, const struct mega_head_gates_options *options);

/* o [B, T, H n] times the gates; o itself where there are none. */
mega_tensor *mega_head_gates_run(
    mega_run *r, const struct mega_head_gates *g, mega_tensor *o, const struct mega_rows *rows);

/* What open gates cost, [] F32; NULL unless they are concrete. */
mega_tensor *mega_head_gates_penalty(mega_run *r, const struct mega_head_gates *g);

/* The gate that evaluation has. */
double mega_head_gates_value(const struct mega_head_gates *g, int64_t head);

#endif
