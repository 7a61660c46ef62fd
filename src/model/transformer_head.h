/* From the stream to logits (spec: slot M4). */
#ifndef MEGA_MODEL_TRANSFORMER_HEAD_H
#define MEGA_MODEL_TRANSFORMER_HEAD_H

#include "base/option.h"
#include "graph/run.h"

struct mega_transformer_head_options {
    double clamp;       /* c tanh(x / c) of the last state, before its norm; 0: none */
    double logit_clamp; /* of logits */
    double factor;      /* of the state that they are made of; -1: 1 / sqrt(D); 0: 1 */
    bool fixed;         /* logits are learned factors of cosines (FixNorm) */
    int64_t mixture;    /* softmaxes that are mixed; 0: one */
    bool sigsoftmax;    /* logits + log sigmoid(logits) (1805.10829) */
};

#define MEGA_HEAD_FIELD(at, member)                                                            \
    ((at) + offsetof(struct mega_transformer_head_options, member))
#define MEGA_TRANSFORMER_HEAD_OPTIONS(at)                                                      \
    { "output_softclamp", MEGA_OPTION_REAL, MEGA_HEAD_FIELD(at, clamp), "0", 0, 1e6, NULL,     \
        "X", "bound c of the last state, c tanh(x / c); 0: none", 0 },                         \
        { "logit_softclamp", MEGA_OPTION_REAL, MEGA_HEAD_FIELD(at, logit_clamp), "0", 0, 1e6,  \
            NULL, "X", "the same of logits", 0 },                                              \
        { "fixnorm_output", MEGA_OPTION_BOOL, MEGA_HEAD_FIELD(at, fixed), "false", 0, 0, NULL, \
            NULL, "logits are cosines times one learned number", 0 },                          \
        { "output_mos", MEGA_OPTION_INT, MEGA_HEAD_FIELD(at, mixture), "0", 0, 15, NULL, "N",  \
            "softmaxes that are mixed (1711.03953); 0: one", 0 },                              \
        { "logit_scale", MEGA_OPTION_REAL, MEGA_HEAD_FIELD(at, factor), "1", -1, 1e6, NULL,    \
            "X", "factor of the state that logits are made of; -1: 1 / sqrt(D) (T5)", 0 },     \
    {                                                                                          \
        "output_sigsoftmax", MEGA_OPTION_BOOL, MEGA_HEAD_FIELD(at, sigsoftmax), "false", 0, 0, \
            NULL, NULL, "log sigmoid of a logit is added to it (1805.10829)", 0                \
    }

struct mega_transformer_head {
    struct mega_transformer_head_options options;
    mega_tensor *weight, *bias;       /* [V, D], the table itself if tied; [V] or NULL */
    double factor;                    /* of the state, resolved */
    mega_tensor *scale;               /* [1]: fixed */
    mega_tensor *mos_proj, *mos_gate; /* [k D, D], [k, D] */
};

/* `table`: the tokens' if it is the head too, else NULL. */
void mega_transformer_head_build(mega_build *b, struct mega_transformer_head *h,
    const struct mega_transformer_head_options *options, mega_tensor *table, int64_t vocabulary,
    int64_t width, bool bias);

/* Is it one linear layer and nothing more? */
bool mega_transformer_head_is_plain(const struct mega_transformer_head *h);

/* x [.., D] -> logits [.., V]; of mixtures the logarithms of probabilities. */
mega_tensor *mega_transformer_head_run(
    mega_run *r, const struct mega_transformer_head *h, mega_tensor *x);

/* x [.., D], next I32, one a place -> the sum of -log p(next) over the places where it is not
 * negative, each times its `weight` [..] F32 (NULL: 1); *each, if `each` is not NULL, becomes
 * the single terms without it. */
mega_tensor *mega_transformer_head_loss(mega_run *r, const struct mega_transformer_head *h,
    mega_tensor *x, mega_tensor *next, mega_tensor *weight, double smoothing,
    mega_tensor **each);

#endif
