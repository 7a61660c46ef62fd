#include "data/masking.h"

#include <math.h>
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

static void put(int32_t *to, const int32_t *from, int64_t n)
{
    if (n) memcpy(to, from, (size_t)n * sizeof *to);
}

/* a row, or a document of a packed one, of n tokens, which lie at `target` behind the first
 * `n_before` places */
static void fill(
    const struct mega_masking *m, int64_t number, int32_t *id, int32_t *target, int64_t n)
{
    int64_t from = m->n_before, to = from + n;
    put(id, m->before, m->n_before);
    mega_masking_draw(m, number, target + from, n, id + from, target + from);
    put(id + to, m->after, m->n_after);
}

void mega_masking_apply(
    const struct mega_masking *m, const struct mega_text_batches *t, struct mega_text_batch *h)
{
    int64_t frame = m->n_before + m->n_after;
    h->units.targets = h->units.bytes = 0;
    for (int64_t b = 0; b < h->B; b++) {
        int64_t row = h->row[b], at = b * h->T;
        for (int64_t k = mega_text_rows_first(&t->rows, row);
             k < mega_text_rows_first(&t->rows, row + 1); k++) {
            int64_t n = t->rows.span[k].n;
            fill(m, mega_text_rows_number(&t->rows, k), h->id + at, h->target + at, n);
            at += n + frame;
            h->units.targets += mega_masking_count(&m->options, n);
            h->units.tokens += frame;
        }
    }
}

void mega_masking_units(const struct mega_masking *m, const struct mega_text_batches *t,
    int64_t batch, int64_t *rows, int64_t *targets)
{
    struct mega_text_where w = mega_text_where_of(t, batch);
    *rows += w.to - w.from;
    for (int64_t i = w.from; i < w.to; i++) {
        int64_t row = t->plan.order[i];
        for (int64_t k = mega_text_rows_first(&t->rows, row);
             k < mega_text_rows_first(&t->rows, row + 1); k++)
            *targets += mega_masking_count(&m->options, t->rows.span[k].n);
    }
}
