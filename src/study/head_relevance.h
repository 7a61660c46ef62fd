/* The share that heads have in what a language model predicts (Voita et al., 2019, section 4):
 * relevance of the likeliest next token, taken back to the heads' outputs. */
#ifndef MEGA_STUDY_HEAD_RELEVANCE_H
#define MEGA_STUDY_HEAD_RELEVANCE_H

#include "study/forward.h"
#include "study/head_importance.h"
#include "study/relevance_rules.h"

/* The mean over texts and places of a head's share of its layer: each layer sums to 1. Steps in
 * which a layer got nothing are left out for it. `zplus`: by the older rule. Language models
 * that are Transformers. */
mega_status mega_study_relevance(const struct mega_study_data *d, const mega_model *m,
    bool zplus, struct mega_head_table *out);

/* The same of one place of a pass: adds each head's share to `share` and 1 to `steps` of layers
 * that got any; what came to the embeddings goes to `to_input` [T], if not NULL. */
mega_status mega_study_relevance_at(const struct mega_study_forward *f,
    const struct mega_relevance_rule *rule, int64_t place, int64_t token,
    struct mega_head_table *share, double *steps, double *to_input);

#endif
