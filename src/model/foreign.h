/* A model of another program, found out and read whole: a folder of Hugging Face (Llama,
 * GPT-2), a file of llama2.c, a checkpoint of Mega's authors; or tensors under a config.json of
 * ours. */
#ifndef MEGA_MODEL_FOREIGN_H
#define MEGA_MODEL_FOREIGN_H

#include "model/foreign_config.h"
#include "model/model.h"

struct mega_foreign {
    mega_model *model;       /* with its document; yours through mega_foreign_done */
    const char *kind;        /* "Llama of Hugging Face" */
    struct mega_text config; /* the text of our config.json */
    struct mega_text remark; /* what was passed over: lines to be shown; may be empty */
    int64_t bos, eos, pad;   /* ids of special tokens; -1: not told */
};

/* `ignore`: keys of its configuration to pass over, separated by commas, or NULL. `config`: a
 * config.json of ours that says what the tensors are, or NULL. */
mega_status mega_foreign_load(
    struct mega_foreign *f, const char *path, const char *ignore, const char *config);
void mega_foreign_done(struct mega_foreign *f);

/* A file, or a folder whose config.json is another program's. */
bool mega_foreign_is(const char *path);

/* Adds the text of our config.json for a Transformer; for a BERT a masked model; otherwise the
 * decoder llama or gpt2 where that can say all of it, else transformer. */
void mega_foreign_json(const struct mega_foreign_config *c, struct mega_text *json);

#endif
