/* A language model with its tokenizer, opened from whatever folder or file it lies in, and what
 * begins and ends its texts. */
#ifndef MEGA_INFER_TEXT_MODEL_H
#define MEGA_INFER_TEXT_MODEL_H

#include "infer/stepper.h"
#include "megac/generate.h"
#include "model/foreign.h"

struct mega_text_model {
    struct mega_foreign foreign; /* holds the model, whoever wrote it */
    bool ours;
    mega_tokenizer *tokenizer;
    struct mega_step_model step;
    enum mega_begin begin; /* resolved: NONE, BOS or EOS; AUTO: as the tokenizer frames texts */
    int32_t bos, eos;      /* -1: there is none */
    char *name;            /* the path it was opened by */
};

mega_status mega_text_model_open(
    struct mega_text_model *m, const char *path, const char *tokenizer, enum mega_begin begin);
void mega_text_model_close(struct mega_text_model *m);

/* Adds the ids of a text: `first`: of one that begins, with what stands before it. */
mega_status mega_text_model_encode(const struct mega_text_model *m, const char *text,
    size_t size, bool first, bool specials, struct mega_ids *ids);

#endif
