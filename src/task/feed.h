/* A feed: batches one after the other, made ahead by a thread of their own. */
#ifndef MEGA_TASK_FEED_H
#define MEGA_TASK_FEED_H

#include "task/job.h"

struct mega_feed;

/* A split in the order of its file, `rows` rows a batch at most and (if not 0) `tokens` places,
 * once. */
mega_status mega_feed_open(struct mega_feed **out, struct mega_job *j, enum mega_split split,
    int64_t rows, int64_t tokens);

/* The training batches from update `position` of `epoch` on, epoch after epoch. */
mega_status mega_feed_open_training(struct mega_feed **out, struct mega_job *j,
    const struct mega_feed_batching *batching, int64_t epoch, int64_t position);

/* The next batch, borrowed until the next call; NULL at the end. */
mega_status mega_feed_next(struct mega_feed *f, struct mega_batch **out);

/* What an update of training consists of. */
struct mega_update {
    int64_t passes, rows,
        tokens; /* batches; rows and tokens (without padding) in all of them */
    bool last;  /* the epoch ends with it */
};

/* The update whose first batch the latest one is; meaningful only after the first batch of a
 * group. */
struct mega_update mega_feed_update(const struct mega_feed *f);

void mega_feed_close(struct mega_feed *f);

/* Rows and places of the largest training batch of the first epoch; of the largest batch of a
 * split in the order of its file. */
mega_status mega_feed_largest(struct mega_job *j, const struct mega_feed_batching *batching,
    int64_t *rows, int64_t *places);
mega_status mega_feed_largest_of(struct mega_job *j, enum mega_split split, int64_t rows,
    int64_t *most_rows, int64_t *places);

/* Updates that an epoch has. */
mega_status mega_feed_count(struct mega_job *j, const struct mega_feed_batching *batching,
    int64_t epoch, int64_t *updates);

#endif
