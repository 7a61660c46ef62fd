/* Which blocks of a model's feed-forward channels are left, as a table of feed-forwards and of
 * the blocks that each once had: by gates, or by a list. */
#ifndef MEGA_STUDY_CHANNELS_H
#define MEGA_STUDY_CHANNELS_H

#include "study/head_table.h"

/* 1 where a block is, NaN where there was none or it was removed. Without feed-forwards whose
 * blocks can be told apart: no layers. */
mega_status mega_study_channels(const mega_model *m, struct mega_head_table *out);

/* Blocks whose gate is exactly closed become 0; *partial counts those between. */
void mega_study_channels_close(
    const mega_model *m, struct mega_head_table *kept, int64_t *partial);

/* The text of kept_channels for such a table; "" where all blocks are there. */
void mega_study_channels_kept(
    const struct mega_head_table *kept, const mega_model *m, struct mega_text *to);

#endif
