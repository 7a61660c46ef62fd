#include "data/masking.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "data/text_plan.h"

#define AT(member) offsetof(struct mega_masking_options, member)

const struct mega_option mega_masking_options[] = {
    { "mask_share", MEGA_OPTION_REAL, AT(share), "0.15", 0.001, 1, NULL, "SHARE",
        "of a row's tokens, to be found", 0 },
    { "mask_random", MEGA_OPTION_REAL, AT(random), "0.1", 0, 1, NULL, "SHARE",
        "of these, that become another token, drawn from all", 0 },
    { "mask_keep", MEGA_OPTION_REAL, AT(keep), "0.1", 0, 1, NULL, "SHARE",
        "of these, that stay as they are; the mask hides the rest", 0 },
    { 0 },
};

mega_status mega_masking_check(const struct mega_masking_options *o)
{
    if (o->random + o->keep <= 1) return MEGA_OK;
    return mega_fail(MEGA_BAD_ARGUMENT,
        "task.mask_random is %g and task.mask_keep %g: expected at most 1 together", o->random,
        o->keep);
}

int64_t mega_masking_count(const struct mega_masking_options *o, int64_t n)
{
    int64_t count = (int64_t)floor(o->share * (double)n + 0.5);
    return count < 1 ? n > 0 : count > n ? n : count;
}

/* what stands in a hidden token's place */
static int32_t hidden(const struct mega_masking *m, struct mega_rng *g, int32_t token)
{
    double u = mega_rng_unit(g);
    if (u < m->options.random) return (int32_t)mega_rng_below(g, (uint32_t)m->vocabulary);
    return u < m->options.random + m->options.keep ? token : m->mask;
}

void mega_masking_draw(const struct mega_masking *m, int64_t row, const int32_t *token,
    int64_t n, int32_t *id, int32_t *target)
{
    struct mega_rng g;
    int64_t want = mega_masking_count(&m->options, n);
    mega_rng_start(&g, m->key, (uint64_t)row);
    /* each set of `want` places is as likely as another */
    for (int64_t i = 0; i < n; i++) {
        int32_t is = token[i];
        bool now = mega_rng_below(&g, (uint32_t)(n - i)) < want;
        id[i] = now ? hidden(m, &g, is) : is;
        target[i] = now ? is : -1;
        want -= now;
    }
}

/* ids and targets of `wide` places a row */
static mega_status widen(struct mega_text_batch *h, int64_t wide)
{
    int64_t places = h->B * wide;
    if (places <= h->room) return MEGA_OK;
    int32_t *id = realloc(h->id, (size_t)places * sizeof *id);
    if (id) h->id = id;
    int32_t *target = realloc(h->target, (size_t)places * sizeof *target);
    if (target) h->target = target;
    if (!id || !target)
        return mega_fail(MEGA_NO_MEMORY, "no memory for a batch of %lld rows of %lld places",
            (long long)h->B, (long long)wide);
    h->room = places;
    return MEGA_OK;
}

static void put(int32_t *to, const int32_t *from, int64_t n)
{
    if (n) memcpy(to, from, (size_t)n * sizeof *to);
}

/* the row's tokens lie at `target`, its first `n_before` places are still free */
static void fill_row(const struct mega_masking *m, int64_t row, int32_t *id, int32_t *target,
    int64_t n, int64_t wide)
{
    int64_t from = m->n_before, to = from + n, end = to + m->n_after;
    put(id, m->before, m->n_before);
    mega_masking_draw(m, row, target + from, n, id + from, target + from);
    put(id + to, m->after, m->n_after);
    for (int64_t i = 0; i < from; i++) target[i] = -1;
    for (int64_t i = to; i < wide; i++) target[i] = -1;
    for (int64_t i = end; i < wide; i++) id[i] = m->pad;
}

mega_status mega_masking_apply(const struct mega_masking *m, struct mega_text_batch *h)
{
    int64_t T = h->T, wide = T + m->n_before + m->n_after;
    MEGA_TRY(widen(h, wide));
    h->units.targets = h->units.bytes = 0;
    /* rows move towards the end, the last one first */
    for (int64_t b = h->B - 1; b >= 0; b--) {
        int64_t n = h->len[b];
        memmove(h->target + b * wide + m->n_before, h->target + b * T,
            (size_t)n * sizeof *h->target);
        fill_row(m, h->row[b], h->id + b * wide, h->target + b * wide, n, wide);
        h->len[b] = (int32_t)(n + m->n_before + m->n_after);
        h->units.targets += mega_masking_count(&m->options, n);
        h->units.tokens += m->n_before + m->n_after;
    }
    h->T = wide;
    return MEGA_OK;
}

void mega_masking_units(const struct mega_masking *m, const struct mega_text_batches *t,
    int64_t batch, int64_t *rows, int64_t *targets)
{
    struct mega_text_where w = mega_text_where_of(t, batch);
    *rows += w.to - w.from;
    for (int64_t i = w.from; i < w.to; i++) {
        int64_t row = t->plan.order[i];
        *targets +=
            mega_masking_count(&m->options, t->lengths.start[row + 1] - t->lengths.start[row]);
    }
}
