#include "layer/hidden_keys.h"

#include "base/rng.h"

/* a place that may be hidden: real, and not its document's first one */
static bool may_hide(const struct mega_rows *rows, int64_t b, int64_t t)
{
    if (!mega_rows_real(rows, b, t)) return false;
    int64_t before = t - 1;
    while (before >= 0 && !mega_rows_real(rows, b, before)) before--;
    return before >= 0 && mega_rows_doc(rows, b, before) == mega_rows_doc(rows, b, t);
}

/* a place of a context, any real one */
static bool may_drop(const struct mega_rows *rows, int64_t b, int64_t t)
{
    return mega_rows_real(rows, b, t);
}

static int64_t count(const struct mega_rows *rows, int64_t b,
    bool (*may)(const struct mega_rows *rows, int64_t b, int64_t t))
{
    int64_t n = 0;
    for (int64_t t = 0; t < rows->T; t++) n += may(rows, b, t);
    return n;
}

/* hides so many of the places of row b that may be, each set of them as likely as another */
static void hide(int32_t *real, const struct mega_rows *rows, int64_t b, int64_t hidden,
    bool (*may)(const struct mega_rows *rows, int64_t b, int64_t t), struct mega_rng *g)
{
    int64_t left = count(rows, b, may);
    for (int64_t t = 0; t < rows->T; t++) {
        real[t] = mega_rows_real(rows, b, t);
        if (!may(rows, b, t)) continue;
        bool now = mega_rng_below(g, (uint32_t)left) < hidden;
        real[t] = !now;
        hidden -= now;
        left--;
    }
}

/* a copy of rows with room for its own real places; NULL: no memory */
static struct mega_rows *copy(mega_run *r, const struct mega_rows *rows, int32_t **real)
{
    struct mega_rows *keys = mega_run_memory(r, sizeof *keys);
    *real = mega_run_memory(r, (size_t)(rows->B * rows->T) * sizeof **real);
    if (!keys || !*real) return NULL;
    *keys = *rows;
    keys->real = *real;
    return keys;
}

const struct mega_rows *mega_hidden_keys(
    mega_run *r, const struct mega_rows *rows, double most, bool fixed)
{
    int32_t *real;
    if (!(mega_run_mode(r) & MEGA_RUN_TRAIN) || !(most > 0) || !rows->T) return rows;
    struct mega_rows *keys = copy(r, rows, &real);
    for (int64_t b = 0; keys && b < rows->B; b++) {
        struct mega_rng g;
        mega_rng_start(
            &g, mega_run_draws(r, "hidden_keys"), (uint64_t)mega_rows_number(rows, b));
        double share = fixed ? most : most * mega_rng_unit(&g);
        int64_t hidden = (int64_t)(share * (double)count(rows, b, may_drop));
        hide(real + b * rows->T, rows, b, hidden, may_hide, &g);
    }
    return keys ? keys : rows;
}

const struct mega_rows *mega_kept_context(
    mega_run *r, const struct mega_rows *rows, double drop)
{
    int32_t *real;
    if (!(mega_run_mode(r) & MEGA_RUN_TRAIN) || !(drop > 0) || !rows->T) return rows;
    struct mega_rows *keys = copy(r, rows, &real);
    for (int64_t b = 0; keys && b < rows->B; b++) {
        struct mega_rng g;
        mega_rng_start(&g, mega_run_draws(r, "context"), (uint64_t)mega_rows_number(rows, b));
        int64_t places = count(rows, b, may_drop),
                kept = (int64_t)((1 - drop) * (double)places);
        if (kept < 1) kept = 1;
        hide(real + b * rows->T, rows, b, places - kept, may_drop, &g);
    }
    return keys ? keys : rows;
}
