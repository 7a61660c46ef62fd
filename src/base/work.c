#include "base/work.h"

#include <omp.h>
#include <stdlib.h>

#include "base/fail.h"

enum {
    SMALL_WORK = 20000
}; /* scalar operations that a parallel region costs (1-4 microseconds) */

#define SCRATCH_RESERVE ((size_t)1 << 36)

static mega_status init(struct mega_work *w, int threads)
{
    *w = (struct mega_work){ .threads = threads };
    w->scratch = calloc((size_t)w->threads + 1, sizeof *w->scratch);
    if (!w->scratch) return mega_fail(MEGA_NO_MEMORY, "no memory for %d threads", w->threads);
    /* the last arena belongs to the calling thread outside lanes */
    for (int i = 0; i <= w->threads; i++) {
        MEGA_TRY(mega_arena_init(&w->scratch[i], SCRATCH_RESERVE));
        /* committed at once: on a busy machine a thread may get its first lane late, and a warm
         * step is to ask for nothing */
        mega_arena_get(&w->scratch[i], 1);
        mega_arena_release(&w->scratch[i], 0);
    }
    return MEGA_OK;
}

static mega_status init_inner(struct mega_work *w)
{
    w->inner = calloc((size_t)w->threads, sizeof *w->inner);
    if (!w->inner) return mega_fail(MEGA_NO_MEMORY, "no memory for %d threads", w->threads);
    for (int i = 0; i < w->threads; i++) MEGA_TRY(init(&w->inner[i], 1));
    return MEGA_OK;
}

mega_status mega_work_init(struct mega_work *w, int threads)
{
    mega_status status = init(w, threads > 0 ? threads : omp_get_max_threads());
    if (!status) status = init_inner(w);
    if (status) mega_work_done(w);
    return status;
}

static void done(struct mega_work *w)
{
    for (int i = 0; w->scratch && i <= w->threads; i++) mega_arena_done(&w->scratch[i]);
    free(w->scratch);
}

void mega_work_done(struct mega_work *w)
{
    for (int i = 0; w->inner && i < w->threads; i++) done(&w->inner[i]);
    free(w->inner);
    done(w);
    *w = (struct mega_work){ 0 };
}

void mega_lanes(struct mega_work *w, int64_t n, double cost,
    void (*lane)(void *, int64_t, struct mega_arena *), void *arg)
{
    int team = w->threads;
    if (n < team) team = (int)n;
    if (cost < SMALL_WORK || omp_in_parallel()) team = 1;
    if (team > 1) {
#pragma omp parallel for schedule(dynamic, 1) num_threads(team)
        for (int64_t i = 0; i < n; i++) {
            struct mega_arena *scratch = &w->scratch[omp_get_thread_num()];
            mega_arena_release(scratch, 0);
            lane(arg, i, scratch);
        }
    } else {
        /* a library that looks for more threads must not find them here: its sums would change
         * their order */
        int most = omp_get_max_threads();
        omp_set_num_threads(1);
        for (int64_t i = 0; i < n; i++) {
            mega_arena_release(&w->scratch[0], 0);
            lane(arg, i, &w->scratch[0]);
        }
        omp_set_num_threads(most);
    }
}

void *mega_scratch(struct mega_work *w, size_t bytes)
{
    return mega_arena_get(&w->scratch[w->threads], bytes);
}
