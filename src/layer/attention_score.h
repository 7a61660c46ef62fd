/* Slots A3 to A7 of attention: the set of keys, scores, masks and weights, as one call of the
 * op; with a stream's keys and values kept. */
#ifndef MEGA_LAYER_ATTENTION_SCORE_H
#define MEGA_LAYER_ATTENTION_SCORE_H

#include "layer/attention_prepare.h"
#include "layer/kept_heads.h"

struct mega_attention_score {
    mega_tensor *sink;                               /* [H] */
    mega_tensor *talk_pre, *talk_post, *talk_scaled; /* [H, H] */
    mega_tensor *forget, *forget_bias;               /* [H, D], [H] */
    mega_tensor *forget_back, *forget_back_bias;     /* the same for keys after the query */
    mega_tensor *cope;                               /* [P, d] */
    mega_tensor *proj, *bank;                        /* [H R, D], [R, N] */
    mega_tensor *xl_u, *xl_v, *xl_r;                 /* [H, d] twice, [H d, D] */
    mega_tensor *row_q, *row_k;                      /* [H e, D]: gates of rows */
    float *peaks; /* [H]: the largest scores since the last update; NULL: not asked for */
    struct mega_cell *past_keys, *past_values; /* logs of a stream; NULL: it keeps none */
    struct mega_cell *past_decay, *decay;      /* of forget gates: a log, and the last sums */
    struct mega_cell *past_rows;               /* keys of gates of rows */
    struct mega_cell *faded;                   /* of selective attention, of all places */
};

/* What the call reads beside the heads; a part of them goes without what belongs to heads, and
 * leaves it to the caller to keep the whole. */
struct mega_attention_score_args {
    mega_tensor *z;      /* [B, T, D] */
    mega_tensor *bias;   /* [H, 2n-1] of all heads, of xl [n or 2n-1, D], or NULL */
    mega_tensor *before; /* residual attention */
    const struct mega_kept_heads *kept;  /* heads that are left */
    const struct mega_rows *rows, *keys; /* keys: NULL: rows */
    const struct mega_head_part *part;   /* the call is for these heads alone; NULL: for all */
    bool segments;                       /* the call's text is read in segments */
    const char *site;                    /* of its draws; NULL: "weights" */
    mega_tensor *scores;                 /* out: of residual attention */
    mega_tensor *penalty;                /* in and out: [B, T, 1], the z-loss so far, or NULL */
};

void mega_attention_score_build(mega_build *b, struct mega_attention_score *s,
    const struct mega_attention_options *options);

/* The states of a stream alone, of one more use of the same parameters. */
void mega_attention_score_states(mega_build *b, struct mega_attention_score *s,
    const struct mega_attention_options *options);

/* o [B, T, H dv] */
mega_tensor *mega_attention_score_run(mega_run *r, const struct mega_attention_score *s,
    const struct mega_attention_options *options, const struct mega_attention_heads *h,
    struct mega_attention_score_args *args);

/* Keys and values of all heads are left to the rest of a stream, where the runs were in parts.
 */
void mega_attention_score_keep(
    mega_run *r, const struct mega_attention_score *s, const struct mega_attention_heads *h);

#endif
