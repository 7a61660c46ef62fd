/* Batches: which rows go together, as a pure function of lengths, settings, seed and epoch. */
#ifndef MEGA_DATA_BATCHES_H
#define MEGA_DATA_BATCHES_H

#include "data/examples.h"

struct mega_batching {
    uint64_t seed;
    int64_t rows;   /* rows in a batch at most */
    int64_t tokens; /* places in a batch at most, padding counted; 0: no limit (one row always
                       fits) */
    int64_t accumulate; /* batches in an update */
    bool bucket;        /* rows of like length together */
    bool shuffle;       /* false: the order of the file (evaluation) */
    int64_t multiple;   /* rows are padded to a multiple of it */
    int64_t longest;    /* and never beyond this; 0: no limit */
};

/* Places that a row of `length` ids takes in a batch of its own kind: at least 1, a multiple of
 * `multiple`, on a grid of eight steps an octave so that few shapes exist, not beyond
 * `longest`. */
int64_t mega_padded_length(const struct mega_batching *b, int64_t length);

/* The batches of one epoch. */
struct mega_plan {
    struct mega_batching batching;
    int64_t epoch;
    int64_t *order; /* [rows of the set] */
    int64_t *first; /* [batches + 1] into order */
    int64_t rows, batches;
};
mega_status mega_plan_make(struct mega_plan *p, const struct mega_batching *b,
    const struct mega_examples *e, int64_t epoch);
void mega_plan_done(struct mega_plan *p);

/* Updates of the epoch: the batches left over at its end make one of their own. */
int64_t mega_plan_updates(const struct mega_plan *p);

/* Rows and places of the batch with most places, padding counted. */
void mega_plan_largest(
    const struct mega_plan *p, const struct mega_examples *e, int64_t *rows, int64_t *places);

/* One batch on the host. Buffers are kept and grow; nothing is allocated once the largest batch
 * was seen. */
struct mega_host_batch {
    int64_t B, T;
    int32_t *id;    /* [B, T], padded with `pad` */
    int32_t *len;   /* [B] */
    int32_t *label; /* [B] */
    int64_t *index; /* [B] row of the set */
    int64_t room, row_room;
};
mega_status mega_host_batch_fill(struct mega_host_batch *h, const struct mega_plan *p,
    const struct mega_examples *e, int64_t batch, int32_t pad);
void mega_host_batch_done(struct mega_host_batch *h);

#endif
