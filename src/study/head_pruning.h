/* Which heads to remove, and what becomes of the loss: by the model's gates, by a list, or by
 * importance, some at a time (Michel et al., 2019). */
#ifndef MEGA_STUDY_HEAD_PRUNING_H
#define MEGA_STUDY_HEAD_PRUNING_H

#include "study/head_functions.h"

enum mega_head_method {
    MEGA_HEADS_GRADIENT,
    MEGA_HEADS_ABLATION,
    MEGA_HEADS_CONFIDENCE,
    MEGA_HEADS_WEIGHT,
    MEGA_HEADS_RELEVANCE,
    MEGA_HEADS_GATES,
    MEGA_HEADS_RANDOM
};
#define MEGA_HEAD_METHODS "gradient|ablation|confidence|weight|relevance|gates|random"

/* The score of every head that is left by one method: the larger, the longer it stays. `m` as
 * `gated` (mega_study_gated) is, with its gates open or closed; `seed` is of random. */
mega_status mega_study_score(const struct mega_study_data *d, enum mega_head_method method,
    const mega_model *m, mega_model *gated, int32_t end, uint64_t seed,
    struct mega_head_table *out);

/* Removal some at a time. */
struct mega_head_pruning {
    enum mega_head_method method;
    int64_t keep;      /* heads that are left at the end */
    int64_t at_a_time; /* heads in a step */
    bool once;         /* ranked once, not again before each step */
    bool never_empty;  /* the last head of a layer stays */
    double most;       /* stop before the loss grows by more than this; 0: no such end */
    int32_t end;       /* id of the end token; -1 */
    uint64_t seed;
};

/* What a step left. */
struct mega_head_step {
    int64_t heads;
    double loss; /* NaN: not measured */
};

/* Closes heads of `gated` step by step. Without data (`d` NULL) nothing is measured: for
 * methods that need none, and no `most`. `kept` [layers, heads] is what is left (1) or not (0;
 * NaN where there was none). steps[0] is the whole model; *steps is yours to free. `tell`, if
 * not NULL, is called after each. */
mega_status mega_study_prune(const struct mega_study_data *d, const mega_model *m,
    mega_model *gated, const struct mega_head_pruning *p, struct mega_head_table *kept,
    struct mega_head_step **steps, int64_t *n_steps,
    void (*tell)(void *arg, const struct mega_head_step *step), void *arg);

/* The text of kept_heads for a table of 1 and 0. */
void mega_study_kept(
    const struct mega_head_table *kept, const mega_model *m, struct mega_text *to);

/* Takes "1.2, 3.0" (layer.head, from 0) or "1: 2 3; 3: 0" off the table, whose units are called
 * `unit` ("head"); those that are not there any more are named in `remark`. */
mega_status mega_study_remove(
    struct mega_head_table *kept, const char *unit, const char *list, struct mega_text *remark);

#endif
