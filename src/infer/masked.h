/* Masked tokens told by a masked language model: logits of the places that are asked for. */
#ifndef MEGA_INFER_MASKED_H
#define MEGA_INFER_MASKED_H

#include "model/model.h"
#include "text/tokenizer.h"

/* Gets the logits [V] of a place (row * T + place in it), one after the other. */
typedef void mega_logits_fn(void *arg, int64_t place, const float *logits, int64_t V);

/* One pass over ids [B, T], then the head for the places alone of which `wanted` [B * T] is not
 * negative, some at a time; `rows` say what is padding. The run is begun and ended here. */
mega_status mega_masked_logits(mega_run *r, const mega_model *m, const mega_tensor *ids,
    const struct mega_rows *rows, const int32_t *wanted, mega_logits_fn *take, void *arg);

/* ---- texts with masks in them ---- */

struct mega_candidate {
    int32_t id;
    double probability;
};

struct mega_filling {
    struct mega_ids ids;         /* of the text, with its frame */
    size_t begin, end;           /* the text's own among them */
    int64_t masks, top;          /* places that are masked; candidates of each */
    int64_t *place;              /* [masks] in ids */
    struct mega_candidate *best; /* [masks, top], the most probable first */
};

/* How a text spells the mask: as the tokenizer does, else "[MASK]". */
const char *mega_mask_spelling(const mega_tokenizer *t);

struct mega_fill_options {
    int64_t top;   /* candidates of a mask */
    bool specials; /* other special tokens that the text spells are tokens, too */
    int32_t last;  /* what ends a text, as in training; -1: nothing */
};

/* What stands at the masks of a text: each by itself, the others hidden. Only ids of the
 * tokenizer are told, by their probability among all. Refuses a text without a mask and one
 * that is too long. */
mega_status mega_fill_text(struct mega_filling *out, mega_run *r, const mega_model *m,
    const mega_tokenizer *t, const char *text, size_t n, const struct mega_fill_options *o);
void mega_filling_done(struct mega_filling *f);

/* The text with candidate `id` at its mask number i and the others as they are spelt, without
 * the frame; *out is yours to free. */
mega_status mega_filling_text(const struct mega_filling *f, const mega_tokenizer *t, int64_t i,
    int32_t id, struct mega_text *out);

#endif
