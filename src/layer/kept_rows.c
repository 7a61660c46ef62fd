#include "layer/kept_rows.h"

#include "graph/ops.h"

/* each row a 1 where the table has what it stands for: a product, so that gradients go back to
 * the rows that were taken and to no others */
mega_tensor *mega_kept_rows(mega_run *r, mega_tensor *table, const int32_t *number, int64_t n)
{
    int64_t all = table ? mega_height(table) : n;
    if (n == all) return table;
    mega_tensor *which = mega_run_tensor(r, MEGA_F32, 2, (int64_t[]){ n, all });
    if (which && which->data) {
        mega_tensor_zero(which);
        for (int64_t i = 0; i < n; i++) mega_put(which, i, number[i], 1);
    }
    return linear(r, which, transpose(r, table), NULL, MEGA_ACT_LINEAR);
}

mega_tensor *mega_rows_of_units(
    mega_run *r, mega_tensor *x, int64_t from, int64_t n, int64_t units)
{
    if (!x || n == units) return x;
    int64_t each = x->dim[0] / units;
    return mega_run_part(r, x, from * each, n * each);
}
