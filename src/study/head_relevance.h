/* The share that heads have in what a model predicts (Voita et al., 2019, section 4): relevance
 * of the likeliest next token, hidden token, or class, taken back to the heads' outputs and to
 * the text. */
#ifndef MEGA_STUDY_HEAD_RELEVANCE_H
#define MEGA_STUDY_HEAD_RELEVANCE_H

#include "study/head_importance.h"
#include "study/reading.h"
#include "study/relevance_rules.h"

/* The mean over texts and predictions of a head's share of its layer: each layer sums to 1.
 * Steps in which a layer got nothing are left out for it. `zplus`: by the older rule. Language
 * models and classifiers that are Transformers, classifiers with mixer attention. */
mega_status mega_study_relevance(const struct mega_study_data *d, const mega_model *m,
    bool zplus, struct mega_head_table *out);

/* The same of one prediction of a reading: adds each head's share to `share` and 1 to `steps`
 * of layers that got any; what came to the places goes to `to_input`, if not NULL: [T] of the
 * first text, then of the second. */
mega_status mega_study_relevance_at(const struct mega_study_reading *s,
    const struct mega_relevance_rule *rule, int64_t prediction, int64_t class,
    struct mega_head_table *share, double *steps, double *to_input);

#endif
