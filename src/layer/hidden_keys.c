#include "layer/hidden_keys.h"

#include <string.h>

#include "base/rng.h"

/* a place that may be hidden: real, and not its document's first one */
static bool may_hide(const struct mega_rows *rows, int64_t b, int64_t t)
{
    if (!mega_rows_real(rows, b, t)) return false;
    int64_t before = t - 1;
    while (before >= 0 && !mega_rows_real(rows, b, before)) before--;
    return before >= 0 && mega_rows_doc(rows, b, before) == mega_rows_doc(rows, b, t);
}

/* hides so many of row b's places, each set of them as likely as another */
static void hide(
    int32_t *real, const struct mega_rows *rows, int64_t b, double share, struct mega_rng *g)
{
    int64_t places = 0, left = 0;
    for (int64_t t = 0; t < rows->T; t++) {
        places += mega_rows_real(rows, b, t);
        left += may_hide(rows, b, t);
    }
    int64_t hidden = (int64_t)(share * (double)places);
    for (int64_t t = 0; t < rows->T; t++) {
        real[t] = mega_rows_real(rows, b, t);
        if (!may_hide(rows, b, t)) continue;
        bool now = mega_rng_below(g, (uint32_t)left) < hidden;
        real[t] = !now;
        hidden -= now;
        left--;
    }
}

const struct mega_rows *mega_hidden_keys(
    mega_run *r, const struct mega_rows *rows, double most, bool fixed)
{
    if (!(mega_run_mode(r) & MEGA_RUN_TRAIN) || !(most > 0) || !rows->T) return rows;
    struct mega_rows *keys = mega_run_memory(r, sizeof *keys);
    int32_t *real = mega_run_memory(r, (size_t)(rows->B * rows->T) * sizeof *real);
    if (!keys || !real) return rows;
    for (int64_t b = 0; b < rows->B; b++) {
        struct mega_rng g;
        mega_rng_start(
            &g, mega_run_draws(r, "hidden_keys"), (uint64_t)mega_rows_number(rows, b));
        double share = fixed ? most : most * mega_rng_unit(&g);
        hide(real + b * rows->T, rows, b, share, &g);
    }
    *keys = *rows;
    keys->real = real;
    return keys;
}
