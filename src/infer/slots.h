/* Slots: rows of a stream that texts take and leave, so that many texts go through a model
 * together and none notices the others.
 *
 * A new text is read in alone, in pieces of one length, and its state copied into its slot;
 * steps go in groups of at most 8 rows, each by the same kernels as a single row. So every
 * logit of a text is the same bits whatever stands beside it. */
#ifndef MEGA_INFER_SLOTS_H
#define MEGA_INFER_SLOTS_H

#include "infer/stepper.h"

enum { MEGA_SLOTS_GROUP = 8 };

struct mega_slots {
    const struct mega_step_model *model;
    int64_t rows;
    int64_t room;                     /* places that a text can have; 0: any number */
    int64_t piece;                    /* new places in a pass, at most */
    struct mega_model_stepper *group; /* [groups]: rows 0-7, 8-15, ... */
    int groups;
    struct mega_model_stepper fill; /* one row, which new texts are read into; not made where
                                       there is a single slot */
    int32_t *filled;                /* the text that it holds, [n_filled], and the logits */
    int64_t n_filled;               /* after it: samples of one prompt share them */
    float *after;
    int64_t fed; /* places fed to the model since the slots were opened */
};

/* `room`: places that a text can have here; the model may know less. The run is for the slots
 * alone as long as their logits are looked at. */
mega_status mega_slots_init(struct mega_slots *s, const struct mega_step_model *model,
    mega_run *run, int64_t rows, int64_t piece, int64_t room);
void mega_slots_done(struct mega_slots *s);

/* Rows of group g. */
static inline int64_t mega_slots_group_rows(const struct mega_slots *s, int g)
{
    int64_t left = s->rows - (int64_t)g * MEGA_SLOTS_GROUP;
    return left < MEGA_SLOTS_GROUP ? left : MEGA_SLOTS_GROUP;
}

/* The slot's stream and its row there. */
mega_stream *mega_slots_stream(const struct mega_slots *s, int64_t slot, int64_t *row);

/* Places of the slot's text that went through the model. */
int64_t mega_slots_places(const struct mega_slots *s, int64_t slot);

/* A new text of n >= 1 ids, or the next n of the text that is there; `*logit` [V] is what
 * follows it, borrowed until the next call of any of these. */
mega_status mega_slots_start(
    struct mega_slots *s, int64_t slot, const int32_t *id, int64_t n, const float **logit);
mega_status mega_slots_extend(
    struct mega_slots *s, int64_t slot, const int32_t *id, int64_t n, const float **logit);

/* Room for so many places a text in unlimited attention; texts stay as they are. */
mega_status mega_slots_grow(struct mega_slots *s, int64_t room);

/* One more id for each row of group g, negative: the row stands still. `logit` [rows of the
 * group], NULL where it stood still; borrowed as above. */
mega_status mega_slots_step(
    struct mega_slots *s, int g, const int32_t *id, const float **logit);

#endif
