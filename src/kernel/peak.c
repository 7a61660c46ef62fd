#include "kernel/peak.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "kernel/cpu/fma_loop.h"

enum { TURNS = 5 };
#define COPY_BYTES                                                                             \
    ((size_t)32 << 20) /* of each thread's buffer: beyond its share of the last cache */

struct job {
    enum mega_isa isa;
    int64_t turns;
    float sink[1024];
    double flops[1024];
    char *from, *to;
};

static void fma_lane(void *arg, int64_t i, struct mega_arena *scratch)
{
    (void)scratch;
    struct job *job = arg;
#if defined(__x86_64__)
    if (job->isa == MEGA_ISA_AVX512)
        job->flops[i] = mega_fma_loop_avx512(job->turns, &job->sink[i]);
    if (job->isa == MEGA_ISA_AVX2)
        job->flops[i] = mega_fma_loop_avx2(job->turns, &job->sink[i]);
#endif
    if (job->isa == MEGA_ISA_BASE)
        job->flops[i] = mega_fma_loop_base(job->turns, &job->sink[i]);
}

static void copy_lane(void *arg, int64_t i, struct mega_arena *scratch)
{
    (void)scratch;
    struct job *job = arg;
    memcpy(job->to + (size_t)i * COPY_BYTES, job->from + (size_t)i * COPY_BYTES, COPY_BYTES);
}

typedef void lane_fn(void *, int64_t, struct mega_arena *);

/* the best rate of `lanes` lanes; `work_of` is what one lane does */
static double best_rate(struct mega_work *work, lane_fn *lane, struct job *job, int lanes,
    double work_of, double seconds)
{
    double best = 0, end = mega_clock_s() + seconds;
    for (int turn = 0; turn < TURNS || mega_clock_s() < end; turn++) {
        double start = mega_clock_s();
        mega_lanes(work, lanes, 1e12, lane, job);
        double rate = work_of * lanes / (mega_clock_s() - start) * 1e-9;
        if (rate > best) best = rate;
    }
    return best;
}

mega_status mega_peak_measure(
    struct mega_work *work, enum mega_isa isa, double seconds, struct mega_peak *out)
{
    int threads = work->threads < 1024 ? work->threads : 1024;
    struct job *job = calloc(1, sizeof *job);
    size_t bytes = (size_t)threads * COPY_BYTES;
    if (job) {
        job->from = malloc(bytes);
        job->to = malloc(bytes);
    }
    mega_status status = MEGA_OK;
    if (!job || !job->from || !job->to) {
        status =
            mega_fail(MEGA_NO_MEMORY, "no memory for %zu MiB to measure with", 2 * bytes >> 20);
    } else {
        memset(job->from, 1, bytes);
        memset(job->to, 1, bytes);
        job->isa = isa;
        job->turns = 1 << 18;
        fma_lane(job, 0, NULL);
        double flops = job->flops[0], part = seconds / 4;
        out->threads = threads;
        out->fma_one = best_rate(work, fma_lane, job, 1, flops, part);
        out->fma_all = best_rate(work, fma_lane, job, threads, flops, part);
        out->copy_one = best_rate(work, copy_lane, job, 1, 2.0 * (double)COPY_BYTES, part);
        out->copy_all =
            best_rate(work, copy_lane, job, threads, 2.0 * (double)COPY_BYTES, part);
    }
    if (job) {
        free(job->from);
        free(job->to);
    }
    free(job);
    return status;
}
