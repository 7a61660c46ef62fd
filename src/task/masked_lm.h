/* Masked language modelling: which tokens are hidden (data/masking.h), seen from both sides.
 * The job is that of language modelling (lm.h) with rows that stand for themselves; what is
 * different is here. */
#ifndef MEGA_TASK_MASKED_LM_H
#define MEGA_TASK_MASKED_LM_H

#include "task/job.h"
#include "text/tokenizer.h"

/* Refuses what reading from left to right alone has, by name, and a model without the head. */
mega_status mega_masked_lm_check(
    const struct mega_language_options *o, const struct mega_model_config *model);

/* What hides tokens where the vocabulary is V: the tokenizer's own mask, else the first id
 * behind its own. The tokenizer stays borrowed. */
mega_status mega_masked_lm_masks(struct mega_masking *out, const mega_tokenizer *t,
    const struct mega_masking_options *o, int64_t V);

/* Rows as the masks want them: every token of theirs, and room for the frame in `length`. */
mega_status mega_masked_lm_rows(
    struct mega_text_batching *b, const struct mega_masking *masking);

/* Of a split's draws: an epoch's own in training, else always the same. */
uint64_t mega_masked_lm_key(const struct mega_feed_batching *how, int64_t epoch);

#endif
