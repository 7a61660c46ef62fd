/* Adaptive softmax (Grave et al., 2017; Mega section 8.5): a head over the frequent words and a
 * slot for each further band, and a narrow tail over the words of each band.
 *
 *   log p(w) = log softmax(head x)[w]                                            w in band 0
 *   log p(w) = log softmax(head x)[slot i] + log softmax(U_i A_i x)[w - first]   else
 *
 * Names, as in the official model: head.weight [c_0 + tails, D], tail.<i>.0.weight [d, D] and
 * tail.<i>.2.weight [size, d], d = D / f^(i+1), all without a bias. Tied to adaptive input, the
 * head is its first table and head.class_proj.weight [tails, D], U_i is the table of band i +
 * 1, and with tied projections A_i is that band's projection, turned; those have the names of
 * the input (the official files hold them a second time: head.word_proj.weight and so on). */
#ifndef MEGA_LAYER_ADAPTIVE_SOFTMAX_H
#define MEGA_LAYER_ADAPTIVE_SOFTMAX_H

#include "layer/adaptive_input.h"
#include "layer/dropout.h"

struct mega_adaptive_softmax_options {
    struct mega_bands_options bands;
    int64_t width;                          /* D */
    double dropout;                         /* of x, and inside the tails */
    const struct mega_adaptive_input *tied; /* whose tables it shares, with equal bands and D_in
                                               = D; NULL: its own */
    bool tied_projections;                  /* and whose projections */
    int64_t pad;
    bool skip_pad_number; /* as the original code: a word whose number in its tail is `pad`
                             counts in the head alone */
};

struct mega_adaptive_softmax {
    struct mega_adaptive_softmax_options options;
    struct mega_bands bands;
    mega_tensor *head, *slots; /* [c_0 (+ tails), D]; tied: [tails, D], else NULL */
    mega_tensor *down[MEGA_BANDS], *up[MEGA_BANDS]; /* A, U of tail i; A tied: [D, d] */
    struct mega_dropout drop, drop_tail[MEGA_BANDS];
};

void mega_adaptive_softmax_build(mega_build *b, struct mega_adaptive_softmax *f,
    const struct mega_adaptive_softmax_options *options);

/* x [B, T, D], next [rows] I32 (negative: not counted) -> sum of -log p(next), [] F32. `each`,
 * if not NULL, receives the single terms [rows] F32, 0 where not counted, without a gradient.
 * `rows` are those of the dropout. A tail without a word in the batch takes no part: its
 * weights count as untouched. */
mega_tensor *mega_adaptive_softmax_loss(mega_run *r, const struct mega_adaptive_softmax *f,
    mega_tensor *x, mega_tensor *next, const struct mega_rows *rows, mega_tensor **each);

/* x [.., D] -> log p [.., V] F32 of all words. */
mega_tensor *mega_adaptive_softmax_log_probs(
    mega_run *r, const struct mega_adaptive_softmax *f, mega_tensor *x);

#endif
