#include "task/feed.h"

#include <stdlib.h>

#include "data/prefetch.h"

/* what lies in one slot of the ring: a batch, and the update that begins with it */
struct slot {
    struct mega_host_batch host;
    struct mega_update update;
};

struct mega_feed {
    struct mega_prefetch *ahead;
    struct mega_classify *task;
    enum mega_split split;
    struct mega_batching batching;
    /* of the thread that makes batches */
    struct mega_plan plan;
    int64_t epoch, batch;
    struct slot slot[MEGA_PREFETCH_SLOTS];
    /* of the one that takes them */
    struct mega_batch view;
    struct mega_update update;
};

/* rows and tokens of the update that begins with `batch` */
static struct mega_update describe(const struct mega_feed *f, int64_t batch)
{
    const struct mega_plan *p = &f->plan;
    const struct mega_examples *e = mega_classify_examples(f->task, f->split);
    int64_t k = f->batching.accumulate, end = batch + k < p->batches ? batch + k : p->batches;
    struct mega_update u = { .passes = end - batch,
        .rows = p->first[end] - p->first[batch],
        .last = end == p->batches };
    for (int64_t i = p->first[batch]; i < p->first[end]; i++)
        u.tokens += e->start[p->order[i] + 1] - e->start[p->order[i]];
    return u;
}

static mega_status make(void *arg, int64_t position, int slot)
{
    (void)position;
    struct mega_feed *f = arg;
    const struct mega_examples *e = mega_classify_examples(f->task, f->split);
    if (f->batch >= f->plan.batches) {
        f->batch = 0;
        MEGA_TRY(mega_plan_make(&f->plan, &f->batching, e, ++f->epoch));
    }
    if (f->batch % f->batching.accumulate == 0) f->slot[slot].update = describe(f, f->batch);
    return mega_host_batch_fill(
        &f->slot[slot].host, &f->plan, e, f->batch++, mega_classify_pad(f->task));
}

static struct mega_batching training_batching(const struct mega_feed_batching *b)
{
    return (struct mega_batching){ .seed = b->seed,
        .rows = b->rows,
        .tokens = b->tokens,
        .accumulate = b->accumulate,
        .bucket = b->bucket,
        .shuffle = true };
}

static void pad_for(struct mega_batching *b, const struct mega_classify *c)
{
    b->multiple = mega_classify_multiple(c);
    b->longest = mega_classify_longest(c);
}

static mega_status open_feed(struct mega_feed **out, struct mega_classify *c,
    enum mega_split split, const struct mega_batching *batching, int64_t epoch,
    int64_t position, bool training)
{
    *out = NULL;
    struct mega_feed *f = calloc(1, sizeof *f);
    if (!f) return mega_fail(MEGA_NO_MEMORY, "no memory to feed batches");
    *f = (struct mega_feed){ .task = c, .split = split, .batching = *batching, .epoch = epoch };
    pad_for(&f->batching, c);
    f->batch = position * batching->accumulate;
    mega_status status =
        mega_plan_make(&f->plan, &f->batching, mega_classify_examples(c, split), epoch);
    if (!status)
        status = mega_prefetch_start(&f->ahead, make, f, 0, training ? -1 : f->plan.batches);
    if (status)
        mega_feed_close(f);
    else
        *out = f;
    return status;
}

mega_status mega_feed_open(struct mega_feed **out, struct mega_classify *c,
    enum mega_split split, int64_t rows, int64_t tokens)
{
    return open_feed(out, c, split,
        &(struct mega_batching){ .rows = rows, .tokens = tokens, .accumulate = 1 }, 0, 0,
        false);
}

mega_status mega_feed_open_training(struct mega_feed **out, struct mega_classify *c,
    const struct mega_feed_batching *b, int64_t epoch, int64_t position)
{
    struct mega_batching batching = training_batching(b);
    return open_feed(out, c, MEGA_SPLIT_TRAIN, &batching, epoch, position, true);
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
    mega_plan_done(&f->plan);
    for (int i = 0; i < MEGA_PREFETCH_SLOTS; i++) mega_host_batch_done(&f->slot[i].host);
    free(f);
}

mega_status mega_feed_count(struct mega_classify *c, const struct mega_feed_batching *b,
    int64_t epoch, int64_t *updates)
{
    struct mega_plan plan = { 0 };
    struct mega_batching batching = training_batching(b);
    pad_for(&batching, c);
    MEGA_TRY(
        mega_plan_make(&plan, &batching, mega_classify_examples(c, MEGA_SPLIT_TRAIN), epoch));
    *updates = mega_plan_updates(&plan);
    mega_plan_done(&plan);
    return MEGA_OK;
}

static mega_status largest(struct mega_classify *c, enum mega_split split,
    struct mega_batching batching, int64_t *rows, int64_t *places)
{
    struct mega_plan plan = { 0 };
    const struct mega_examples *e = mega_classify_examples(c, split);
    pad_for(&batching, c);
    MEGA_TRY(mega_plan_make(&plan, &batching, e, 0));
    mega_plan_largest(&plan, e, rows, places);
    mega_plan_done(&plan);
    return MEGA_OK;
}

mega_status mega_feed_largest(
    struct mega_classify *c, const struct mega_feed_batching *b, int64_t *rows, int64_t *places)
{
    return largest(c, MEGA_SPLIT_TRAIN, training_batching(b), rows, places);
}

mega_status mega_feed_largest_of(struct mega_classify *c, enum mega_split split, int64_t rows,
    int64_t *most_rows, int64_t *places)
{
    struct mega_batching batching = { .rows = rows, .accumulate = 1 };
    return largest(c, split, batching, most_rows, places);
}
