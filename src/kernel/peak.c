#include "kernel/peak.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "kernel/cpu/fma_loop.h"

enum { TURNS = 5, LANES = 1024 };
#define COPY_BYTES                                                                             \
    ((size_t)32 << 20) /* of each thread's buffer: beyond its share of the last cache */

struct job {
    enum mega_isa isa;
    int64_t turns;
    float sink[LANES];
    double flops[LANES], ran_s[LANES];
    char *from, *to;
};

static void fma_lane(void *arg, int64_t i, struct mega_arena *scratch)
{
    (void)scratch;
    struct job *job = arg;
    double start = mega_thread_s();
#if defined(__x86_64__)
    if (job->isa == MEGA_ISA_AVX512)
        job->flops[i] = mega_fma_loop_avx512(job->turns, &job->sink[i]);
    if (job->isa == MEGA_ISA_AVX2)
        job->flops[i] = mega_fma_loop_avx2(job->turns, &job->sink[i]);
#endif
    if (job->isa == MEGA_ISA_BASE)
        job->flops[i] = mega_fma_loop_base(job->turns, &job->sink[i]);
    job->ran_s[i] = mega_thread_s() - start;
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

static struct job *new_job(struct mega_work *work, enum mega_isa isa)
{
    struct job *job = calloc(1, sizeof *job);
    if (!job || work->threads > LANES) {
        free(job);
        mega_fail(MEGA_NO_MEMORY, "no memory to measure %d threads with", work->threads);
        return NULL;
    }
    job->isa = isa;
    job->turns = 1 << 18;
    fma_lane(job, 0, NULL); /* counts its FLOPs */
    return job;
}

mega_status mega_peak_measure_fma(
    struct mega_work *work, enum mega_isa isa, double seconds, double *gflops)
{
    struct job *job = new_job(work, isa);
    if (!job) return MEGA_NO_MEMORY;
    double end = mega_clock_s() + seconds, best = 0;
    for (int turn = 0; turn < TURNS || mega_clock_s() < end; turn++) {
        mega_lanes(work, work->threads, 1e12, fma_lane, job);
        double rate = 0;
        for (int i = 0; i < work->threads; i++) rate += job->flops[i] / job->ran_s[i];
        if (rate > best) best = rate;
    }
    /* threads that take turns on a processor have its rate together */
    int here = omp_get_num_procs();
    *gflops = best * 1e-9 * (work->threads > here ? (double)here / work->threads : 1);
    free(job);
    return MEGA_OK;
}

static mega_status measure_copies(
    struct mega_work *work, struct job *job, double seconds, struct mega_peak *out)
{
    size_t bytes = (size_t)work->threads * COPY_BYTES;
    job->from = malloc(bytes);
    job->to = malloc(bytes);
    if (job->from && job->to) {
        memset(job->from, 1, bytes);
        memset(job->to, 1, bytes);
        double each = 2.0 * (double)COPY_BYTES;
        out->copy_one = best_rate(work, copy_lane, job, 1, each, seconds);
        out->copy_all = best_rate(work, copy_lane, job, work->threads, each, seconds);
    }
    bool enough = job->from && job->to;
    free(job->from);
    free(job->to);
    return enough ? MEGA_OK
                  : mega_fail(MEGA_NO_MEMORY, "no memory for %zu MiB to measure with",
                        2 * bytes >> 20);
}

mega_status mega_peak_measure(
    struct mega_work *work, enum mega_isa isa, double seconds, struct mega_peak *out)
{
    struct job *job = new_job(work, isa);
    if (!job) return MEGA_NO_MEMORY;
    double part = seconds / 4;
    out->threads = work->threads;
    out->fma_one = best_rate(work, fma_lane, job, 1, job->flops[0], part);
    out->fma_all = best_rate(work, fma_lane, job, work->threads, job->flops[0], part);
    mega_status status = measure_copies(work, job, part, out);
    free(job);
    return status;
}
