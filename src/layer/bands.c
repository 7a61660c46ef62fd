#include "layer/bands.h"

#include <math.h>
#include <string.h>

#include "graph/ops.h"

void mega_bands_build(mega_build *b, struct mega_bands *s, const struct mega_bands_options *o)
{
    *s = (struct mega_bands){ .factor = o->factor };
    for (int64_t i = 0; i < o->cutoffs && !b->status; i++) {
        int64_t before = i ? o->cutoff[i - 1] : 0;
        if (i >= MEGA_BANDS || o->cutoff[i] <= before || o->cutoff[i] > o->vocabulary)
            b->status = mega_fail(MEGA_BAD_ARGUMENT,
                "cutoff %lld of the vocabulary is %lld, expected at most %d cutoffs that rise "
                "and end within the %lld words",
                (long long)i + 1, i < MEGA_BANDS ? (long long)o->cutoff[i] : 0, MEGA_BANDS,
                (long long)o->vocabulary);
        else
            s->end[s->n++] = o->cutoff[i];
    }
    if (!b->status && s->n && s->end[s->n - 1] == o->vocabulary) return;
    if (s->n < MEGA_BANDS)
        s->end[s->n++] = o->vocabulary;
    else if (!b->status)
        b->status = mega_fail(MEGA_BAD_ARGUMENT,
            "%d cutoffs leave words over, expected the last one to be %lld", MEGA_BANDS,
            (long long)o->vocabulary);
}

int64_t mega_bands_width(const struct mega_bands *s, int64_t width, int64_t i)
{
    return (int64_t)floor((double)width / pow(s->factor, (double)i));
}

mega_tensor *mega_bands_run(
    mega_run *r, const struct mega_bands *s, mega_tensor *ids, int64_t form, int64_t left_out)
{
    struct mega_attr_band a;
    memset(&a, 0, sizeof a);
    a.bands = s->n;
    memcpy(a.end, s->end, sizeof a.end);
    a.form = form;
    a.left_out = left_out;
    return mega_run_call(
        r, &(struct mega_call){ .op = &mega_op_band, .in = { ids }, .attr = &a }, NULL);
}
