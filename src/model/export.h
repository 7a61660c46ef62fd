/* Our models in the form of other programs: the import's tables read backwards. */
#ifndef MEGA_MODEL_EXPORT_H
#define MEGA_MODEL_EXPORT_H

#include "model/foreign_config.h"
#include "model/model.h"

/* What a model is to others: a language model that is a Transformer, or a masked one. Sets
 * options, names (of a masked one) and ends; refused where it is neither. */
mega_status mega_export_options(const mega_model *m, struct mega_foreign_config *c);

/* Writes `folder` with config.json and model.safetensors as Hugging Face has them, by the names
 * and the kind of `c`, which is Llama, GPT-2 or BERT. What the other program could not compute
 * is refused by name before anything is written. `type`: MEGA_F32, or MEGA_BF16 or MEGA_F16,
 * rounded to nearest. Tensors of more than `shard_size` bytes in all (0: any number) go into
 * shards of at most that size. */
mega_status mega_export_hf(const char *folder, const struct mega_store *s,
    const struct mega_foreign_config *c, mega_dtype type, int64_t shard_size);

/* Writes a file of llama2.c; refuses what its header cannot say. */
mega_status mega_export_llama2c(
    const char *path, const struct mega_store *s, const struct mega_transformer_options *o);

#endif
