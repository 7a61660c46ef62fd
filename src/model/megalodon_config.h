/* Configurations of Megalodon: of its authors (config.json with "model"), of the PyTorch port
 * (model_type "megalodon"; Megalodon sections 1.1 and 10). */
#ifndef MEGA_MODEL_MEGALODON_CONFIG_H
#define MEGA_MODEL_MEGALODON_CONFIG_H

#include "format/tensors.h"
#include "model/rename.h"

/* The table by which the tensors are named, or NULL: they are no Megalodon's. */
const struct mega_name_table *mega_megalodon_names(const struct mega_tensors *t);

/* Adds the text of our config.json. What theirs leaves out has the value that their program
 * takes; a key that is not known is refused by its name unless `ignore` lists it. Keys that
 * play no part go into `remark`, a line each. *pad: the id that pads; -1: not told. */
mega_status mega_megalodon_config(const struct mega_document *d,
    const struct mega_name_table *names, const struct mega_tensors *t, const char *ignore,
    struct mega_text *json, struct mega_text *remark);

#endif
