#include "optim/grad_norm.h"

#include <math.h>

#include "base/fail.h"

struct sums {
    const float *grad;
    double *slot;
};

/* eight running sums, so that the order is the same however wide the machine's vectors are */
static double squares(const float *x, int64_t n)
{
    enum { WIDE = 8 };
    double sum[WIDE] = { 0 };
    int64_t i = 0;
    for (; i + WIDE <= n; i += WIDE)
        for (int j = 0; j < WIDE; j++) sum[j] += (double)x[i + j] * x[i + j];
    for (; i < n; i++) sum[0] += (double)x[i] * x[i];
    return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

static void add_part(
    void *arg, const struct mega_span *span, int64_t begin, int64_t end, int64_t slot)
{
    const struct sums *s = arg;
    s->slot[slot] = span->touched ? squares(s->grad + begin, end - begin) : 0;
}

/* the largest, or NaN if there is one: fmax would hide it */
static double larger(double a, double b)
{
    return isnan(a) || a > b ? a : b;
}

mega_status mega_grad_norm(struct mega_work *work, const float *grad, double scale,
    struct mega_span *span, int n_spans, enum mega_clip_mode mode, double *norm)
{
    int64_t slots = mega_span_slots(span, n_spans);
    struct sums s = { grad, mega_scratch(work, (size_t)slots * sizeof *s.slot) };
    if (!s.slot)
        return mega_fail(MEGA_NO_MEMORY,
            "gradient norm: no memory for the %lld partial sums of %d parameters",
            (long long)slots, n_spans);
    mega_span_walk(work, span, n_spans, 2, add_part, &s);

    double total = 0, largest = 0;
    for (int i = 0; i < n_spans; i++) {
        int64_t first, parts = mega_span_slots_of(span, i, &first);
        double sum = 0;
        for (int64_t j = 0; j < parts; j++) sum += s.slot[first + j];
        span[i].norm = fabs(scale) * sqrt(sum);
        total += sum;
        largest = larger(span[i].norm, largest);
    }
    *norm = mode == MEGA_CLIP_EACH ? largest : fabs(scale) * sqrt(total);
    return MEGA_OK;
}
