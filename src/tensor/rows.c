#include "tensor/rows.h"

bool mega_rows_padded(const struct mega_rows *r)
{
    for (int64_t b = 0; b < r->B; b++)
        for (int64_t t = 0; t < r->T; t++)
            if (!mega_rows_real(r, b, t)) return true;
    return false;
}
