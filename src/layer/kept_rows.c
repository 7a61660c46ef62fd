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
    mega_tensor *t = mega_run_input(r, x);
    if (!t) return NULL;
    int64_t first = from * (x->rank > 1 ? mega_height(x) / units * x->stride : 1);
    t->dim[0] = x->dim[0] / units * n;
    if (t->rank == 1) t->stride = t->dim[0];
    t->base = x->base ? x->base : x;
    t->offset = x->offset + first;
    t->grad = NULL;
    t->param = NULL;
    if (x->data) t->data = (char *)x->data + (size_t)first * mega_dtype_size(t->dtype);
    return t;
}
