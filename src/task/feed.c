#include "task/feed.h"

#include <stdlib.h>

#include "data/prefetch.h"

/* what lies in one slot of the ring: a batch, and the update that begins with it */
struct slot {
    struct mega_host host;
    struct mega_update update;
};

struct mega_feed {
    struct mega_prefetch *ahead;
    struct mega_job *job;
    enum mega_split split;
    struct mega_feed_batching batching;
    /* of the thread that makes batches */
    struct mega_batches *batches;
    int64_t epoch, batch;
    struct slot slot[MEGA_PREFETCH_SLOTS];
    /* of the one that takes them */
    struct mega_batch view;
    struct mega_update update;
};

/* rows and tokens of the update that begins with `batch` */
static struct mega_update describe(const struct mega_feed *f, int64_t batch)
{
    const struct mega_batches *b = f->batches;
    int64_t k = f->batching.accumulate, end = batch + k < b->n ? batch + k : b->n;
    struct mega_update u = { .passes = end - batch, .last = end == b->n };
    for (int64_t i = batch; i < end; i++) b->type->count(b, i, &u.rows, &u.tokens);
    return u;
}

static mega_status make(void *arg, int64_t position, int slot)
{
    (void)position;
    struct mega_feed *f = arg;
    if (f->batch >= f->batches->n) {
        mega_batches_free(f->batches);
        f->batch = 0;
        MEGA_TRY(mega_job_batches(f->job, f->split, &f->batching, ++f->epoch, &f->batches));
    }
    if (f->batch % f->batching.accumulate == 0) f->slot[slot].update = describe(f, f->batch);
    return f->batches->type->fill(f->batches, f->batch++, &f->slot[slot].host);
}

static mega_status open_feed(struct mega_feed **out, struct mega_job *j, enum mega_split split,
    const struct mega_feed_batching *batching, int64_t epoch, int64_t position)
{
    *out = NULL;
    struct mega_feed *f = calloc(1, sizeof *f);
    if (!f) return mega_fail(MEGA_NO_MEMORY, "no memory to feed batches");
    *f = (struct mega_feed){ .job = j, .split = split, .batching = *batching, .epoch = epoch };
    f->batch = position * batching->accumulate;
    mega_status status = mega_job_batches(j, split, batching, epoch, &f->batches);
    if (!status)
        status =
            mega_prefetch_start(&f->ahead, make, f, 0, batching->shuffle ? -1 : f->batches->n);
    if (status)
        mega_feed_close(f);
    else
        *out = f;
    return status;
}

mega_status mega_feed_open(struct mega_feed **out, struct mega_job *j, enum mega_split split,
    int64_t rows, int64_t tokens)
{
    return open_feed(out, j, split,
        &(struct mega_feed_batching){ .rows = rows, .tokens = tokens, .accumulate = 1 }, 0, 0);
}

static struct mega_feed_batching shuffled(const struct mega_feed_batching *b)
{
    struct mega_feed_batching batching = *b;
    batching.shuffle = true;
    return batching;
}

mega_status mega_feed_open_training(struct mega_feed **out, struct mega_job *j,
    const struct mega_feed_batching *b, int64_t epoch, int64_t position)
{
    struct mega_feed_batching batching = shuffled(b);
    return open_feed(out, j, MEGA_SPLIT_TRAIN, &batching, epoch, position);
}

mega_status mega_feed_next(struct mega_feed *f, struct mega_batch **out)
{
    int slot;
    *out = NULL;
    MEGA_TRY(mega_prefetch_next(f->ahead, &slot));
    if (slot < 0) return MEGA_OK;
    f->update = f->slot[slot].update;
    mega_batch_view(&f->view, &f->slot[slot].host);
    *out = &f->view;
    return MEGA_OK;
}

struct mega_update mega_feed_update(const struct mega_feed *f)
{
    return f->update;
}

void mega_feed_close(struct mega_feed *f)
{
    if (!f) return;
    mega_prefetch_stop(f->ahead);
    mega_batches_free(f->batches);
    for (int i = 0; i < MEGA_PREFETCH_SLOTS; i++) mega_host_done(&f->slot[i].host);
    free(f);
}

mega_status mega_feed_count(
    struct mega_job *j, const struct mega_feed_batching *b, int64_t epoch, int64_t *updates)
{
    struct mega_batches *batches;
    struct mega_feed_batching batching = shuffled(b);
    MEGA_TRY(mega_job_batches(j, MEGA_SPLIT_TRAIN, &batching, epoch, &batches));
    *updates = (batches->n + b->accumulate - 1) / b->accumulate;
    mega_batches_free(batches);
    return MEGA_OK;
}

static mega_status largest(struct mega_job *j, enum mega_split split,
    const struct mega_feed_batching *batching, int64_t *rows, int64_t *places)
{
    struct mega_batches *batches;
    MEGA_TRY(mega_job_batches(j, split, batching, 0, &batches));
    batches->type->largest(batches, rows, places);
    mega_batches_free(batches);
    return MEGA_OK;
}

mega_status mega_feed_largest(
    struct mega_job *j, const struct mega_feed_batching *b, int64_t *rows, int64_t *places)
{
    struct mega_feed_batching batching = shuffled(b);
    return largest(j, MEGA_SPLIT_TRAIN, &batching, rows, places);
}

mega_status mega_feed_largest_of(struct mega_job *j, enum mega_split split, int64_t rows,
    int64_t *most_rows, int64_t *places)
{
    struct mega_feed_batching batching = { .rows = rows, .accumulate = 1 };
    return largest(j, split, &batching, most_rows, places);
}
