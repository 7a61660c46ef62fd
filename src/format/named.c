#include "format/named.h"

#include <stdio.h>
#include <string.h>

#include "base/half.h"

size_t mega_named_item(const char *dtype)
{
    return !strcmp(dtype, "C64") ? 8 : !strcmp(dtype, "C128") ? 16 : mega_st_item_size(dtype);
}

static void set_dense(struct mega_named *n)
{
    int64_t stride = 1;
    for (int i = n->is.rank - 1; i >= 0 && n->is.count; i--) {
        n->stride[i] = stride;
        stride *= n->is.dim[i];
    }
}

struct mega_named mega_named_dense(const struct mega_st_tensor *t)
{
    struct mega_named n = { .is = *t };
    set_dense(&n);
    return n;
}

bool mega_named_is_dense(const struct mega_named *t)
{
    int64_t stride = 1;
    for (int i = t->is.rank - 1; i >= 0 && t->is.count; i--) {
        if (t->is.dim[i] > 1 && t->stride[i] != stride) return false;
        stride *= t->is.dim[i];
    }
    return true;
}

int64_t mega_named_place(const struct mega_named *t, int64_t index)
{
    int64_t place = 0;
    for (int i = t->is.rank - 1; i >= 0; i--) {
        place += index % t->is.dim[i] * t->stride[i];
        index /= t->is.dim[i];
    }
    return place;
}

void mega_named_copy(const struct mega_named *t, void *to)
{
    if (!t->is.size) return;
    if (mega_named_is_dense(t)) {
        memcpy(to, t->is.data, t->is.size);
        return;
    }
    size_t item = mega_named_item(t->is.dtype);
    for (int64_t i = 0; i < t->is.count; i++)
        memcpy((char *)to + (size_t)i * item,
            (const char *)t->is.data + (size_t)mega_named_place(t, i) * item, item);
}

/* two bytes an element, widened by `from` */
static void widen(const struct mega_named *t, float (*from)(uint16_t), float *to)
{
    bool dense = mega_named_is_dense(t);
    for (int64_t i = 0; i < t->is.count; i++) {
        uint16_t half;
        int64_t place = dense ? i : mega_named_place(t, i);
        memcpy(&half, (const char *)t->is.data + (size_t)place * sizeof half, sizeof half);
        to[i] = from(half);
    }
}

mega_status mega_named_read(const struct mega_named *t, const char *file, float *to)
{
    if (!mega_st_item_size(t->is.dtype))
        return mega_fail(MEGA_UNSUPPORTED,
            "%s: tensor %.200s is of type %s, expected real numbers", file, t->is.name,
            t->is.dtype);
    if (!strcmp(t->is.dtype, "F32"))
        mega_named_copy(t, to);
    else if (!strcmp(t->is.dtype, "BF16"))
        widen(t, mega_from_bf16, to);
    else if (!strcmp(t->is.dtype, "F16"))
        widen(t, mega_from_f16, to);
    else
        for (int64_t i = 0; i < t->is.count; i++)
            to[i] = (float)mega_st_real(&t->is, mega_named_place(t, i));
    return MEGA_OK;
}

char *mega_named_print(const struct mega_named *t, char *out)
{
    int n = sprintf(out, "[");
    for (int i = 0; i < t->is.rank; i++)
        n += sprintf(out + n, "%s%lld", i ? ", " : "", (long long)t->is.dim[i]);
    sprintf(out + n, "] %s", t->is.dtype);
    return out;
}
