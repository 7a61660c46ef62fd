/* Parallel work: lanes cut by shape, threads take lanes.
 *
 * mega_lanes is the only parallel region of the library. The number of lanes comes from shapes,
 * never from the number of threads, so that every sum has one order and results do not depend
 * on how many threads ran them. */
#ifndef MEGA_BASE_WORK_H
#define MEGA_BASE_WORK_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/shelf.h"

struct mega_work {
    int threads;
    int tile; /* rows and columns of the kernels' blocks, so that tests cross many; 0: the best
               */
    struct mega_arena *scratch; /* one a thread, and one for the calling thread */
    /* For lanes that call kernels themselves: [threads] works of one thread each; NULL in one
     * of these. */
    struct mega_work *inner;
    struct mega_shelf *shelf; /* (of an inner one) where its lanes share what they pack; or NULL
                               */
};

mega_status mega_work_init(struct mega_work *w, int threads); /* 0: as OpenMP would choose */
void mega_work_done(struct mega_work *w);

/* Calls lane(arg, i, scratch) for i = 0 ... n-1; lanes may run at the same time and in any
 * order. `scratch` is the running thread's arena, empty at the start of each lane. `cost` is a
 * rough count of the scalar operations of all lanes together: small work stays on the calling
 * thread. A library called in a lane runs on one thread. */
void mega_lanes(struct mega_work *w, int64_t n, double cost,
    void (*lane)(void *arg, int64_t i, struct mega_arena *scratch), void *arg);

/* The inner work of the thread that runs a lane with this scratch. */
static inline struct mega_work *mega_work_inner(
    const struct mega_work *w, const struct mega_arena *scratch)
{
    return &w->inner[scratch - w->scratch];
}

/* Memory of the calling thread, outside lanes: partial sums live here from one mega_lanes to
 * the next. The run takes it back before each op. NULL if there is none. */
void *mega_scratch(struct mega_work *w, size_t bytes);

#endif
