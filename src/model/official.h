/* Checkpoints of Mega's authors (fairseq; Mega sections 9 and 15): what model they hold. */
#ifndef MEGA_MODEL_OFFICIAL_H
#define MEGA_MODEL_OFFICIAL_H

#include "format/tensors.h"
#include "model/rename.h"

/* The table by which the tensors are named, or NULL: they are no Mega's. */
const struct mega_name_table *mega_official_names(const struct mega_tensors *t);

/* Adds the text of our config.json: sizes from the tensors, everything else from the arguments
 * beside them. A model that is not made here, or arguments that are not there, are refused by
 * name. */
mega_status mega_official_config(
    const struct mega_tensors *t, const struct mega_name_table *names, struct mega_text *json);

#endif
