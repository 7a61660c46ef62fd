/* Configurations of other programs' models, read strictly: a key that changes what a model
 * computes is taken or refused by its name; none is passed over. */
#ifndef MEGA_MODEL_FOREIGN_CONFIG_H
#define MEGA_MODEL_FOREIGN_CONFIG_H

#include "format/node.h"
#include "format/tensors.h"
#include "model/masked_model.h"
#include "model/rename.h"

struct mega_foreign_config {
    struct mega_transformer_options options;
    bool pooler, masked, next; /* of BERT: the ends that the tensors have */
    const struct mega_name_table *names;
    int64_t bos, eos, pad;   /* ids of special tokens; -1: not told */
    struct mega_text remark; /* keys that play no part: a line each */
};

/* config.json of Hugging Face: Llama, GPT-2 or BERT, by "model_type". What it leaves out has
 * the value that their program takes. `ignore`: keys, separated by commas, that the user
 * answers for; or NULL. */
mega_status mega_foreign_config_read(
    struct mega_foreign_config *c, const struct mega_document *d, const char *ignore);

/* The same of Llama's authors (params.json) and of llama2.c's training (model_args); the
 * tensors tell the sizes that these leave out, and whether the head is the token table. */
mega_status mega_foreign_config_meta(struct mega_foreign_config *c,
    const struct mega_document *d, const struct mega_tensors *from, const char *ignore);
void mega_foreign_config_done(struct mega_foreign_config *c);

/* The header of a file of llama2.c. */
void mega_foreign_config_llama2c(
    struct mega_foreign_config *c, const struct mega_llama2c_header *h);

/* How the heads of queries and keys lie. */
struct mega_rename_heads mega_foreign_heads(const struct mega_transformer_options *o);

#endif
