/* The exit gate of a looped stack (2510.25741): after every loop but the last, each place is
 * left with probability sigmoid(w x + b) of what the loop gave for it. Training takes the
 * losses of all loops by these shares; otherwise a place may be left as soon as the shares so
 * far sum to enough.
 *
 *   p_t = sigmoid(z_t) prod_(s < t) sigmoid(-z_s),  the last loop takes what remains
 *   loss = sum_t p_t loss_t - entropy H(p),  for each place */
#ifndef MEGA_MODEL_EXIT_GATE_H
#define MEGA_MODEL_EXIT_GATE_H

#include "base/option.h"
#include "model/transformer_head.h"

struct mega_exit_options {
    double at; /* the sum of shares at which a place is left in evaluation; 1: never early */
    double entropy; /* weight of H(p) in the loss that is differentiated */
};

#define MEGA_EXIT_FIELD(from, member) ((from) + offsetof(struct mega_exit_options, member))
#define MEGA_EXIT_OPTIONS(from)                                                                \
    { "exit_at", MEGA_OPTION_REAL, MEGA_EXIT_FIELD(from, at), "1", 0.001, 1, NULL, "P",        \
        "loops: outside of training a place is left after the first loop at which its exit "   \
        "gates' shares sum to so much; 1: never early",                                        \
        0 },                                                                                   \
    {                                                                                          \
        "exit_entropy", MEGA_OPTION_REAL, MEGA_EXIT_FIELD(from, entropy), "0.05", 0, 1000,     \
            NULL, "X",                                                                         \
            "loops: weight of the entropy of a place's shares, which training keeps up", 0     \
    }

struct mega_exit_gate {
    struct mega_exit_options options;
    mega_tensor *weight, *bias; /* [1, D], [1]; NULL: there is no loop */
};

void mega_exit_gate_build(mega_build *b, struct mega_exit_gate *g,
    const struct mega_exit_options *options, int64_t width);

/* x [B, T, n D]: what n loops gave, side by side; next [B * T] I32 -> the sum of the expected
 * losses over the places whose next token is known, [] F32. The entropy is a part of the loss
 * besides (mega_run_more). *each, if wanted, becomes the terms of the last loop alone. */
mega_tensor *mega_exit_loss(mega_run *r, const struct mega_exit_gate *g,
    const struct mega_transformer_head *h, mega_tensor *x, mega_tensor *next, double smoothing,
    mega_tensor **each);

/* What places come to, loop by loop; all zero at first. */
struct mega_exit_choice {
    mega_tensor *y; /* [B, T, D]: of each place what its last loop so far gave */
    double *stays;  /* [B * T]: the probability of not having left */
    bool *left;     /* [B * T] */
};

/* Takes on x [B, T, D], what one more loop gave; true if all places are left. */
bool mega_exit_take(mega_run *r, const struct mega_exit_gate *g, struct mega_exit_choice *k,
    mega_tensor *x, const struct mega_rows *rows);

#endif
