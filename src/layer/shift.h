/* Shifted tokens: before a branch, groups of channels come from places before (or after) it
 * (spec: slot B2). Causal ones keep their last places in a stream. */
#ifndef MEGA_LAYER_SHIFT_H
#define MEGA_LAYER_SHIFT_H

#include "base/option.h"
#include "graph/run.h"

struct mega_shift_options {
    struct mega_ints steps; /* of each sublayer; 0: none */
    int mask;               /* 0: what is not real counts as zero; 1: before attention alone */
};

#define MEGA_SHIFT_OPTIONS(at)                                                                 \
    { "shift_tokens", MEGA_OPTION_INTS, (at) + offsetof(struct mega_shift_options, steps),     \
        "0", 0, 64, NULL, "N",                                                                 \
        "channels in N + 1 groups, each from one place earlier than the one before it; both "  \
        "ways where attention is; 0: none",                                                    \
        0 },                                                                                   \
    {                                                                                          \
        "shift_mask", MEGA_OPTION_CHOICE, (at) + offsetof(struct mega_shift_options, mask),    \
            "all", 0, 0, "all|attn", NULL,                                                     \
            "where padding counts as zero: in front of all sublayers, or of attention alone",  \
            0                                                                                  \
    }

struct mega_shift {
    int64_t steps; /* 0: none */
    bool two_way, blind;
    struct mega_cell *past; /* of a stream: [s, D] */
};

void mega_shift_build(mega_build *b, struct mega_shift *s, int64_t width);

/* x [B, T, D] -> [B, T, D]; x itself if there is nothing to shift. */
mega_tensor *mega_shift_run(
    mega_run *r, const struct mega_shift *s, mega_tensor *x, const struct mega_rows *rows);

#endif
