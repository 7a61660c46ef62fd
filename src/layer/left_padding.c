#include "layer/left_padding.h"

/* the first real place of a row; 0 if there is none */
static int64_t first_real(const struct mega_rows *rows, int64_t b)
{
    int64_t t = 0;
    while (t < rows->T && !mega_rows_real(rows, b, t)) t++;
    return t < rows->T ? t : 0;
}

const struct mega_rows *mega_rows_past_padding(mega_run *r, const struct mega_rows *rows)
{
    bool led = false;
    if (!rows->real || rows->doc || rows->place) return rows;
    for (int64_t b = 0; b < rows->B; b++) led |= first_real(rows, b) > 0;
    if (!led) return rows;
    struct mega_rows *aligned = mega_run_memory(r, sizeof *aligned);
    int32_t *doc = mega_run_memory(r, (size_t)(rows->B * rows->T) * sizeof *doc);
    if (!aligned || !doc) return rows;
    for (int64_t b = 0; b < rows->B; b++) {
        int32_t lead = (int32_t)first_real(rows, b);
        for (int64_t t = 0; t < rows->T; t++) doc[b * rows->T + t] = t < lead ? 0 : lead;
    }
    *aligned = *rows;
    aligned->doc = doc;
    return aligned;
}
