#include "tensor/tensor.h"

#include <stdio.h>
#include <string.h>

const struct mega_device mega_cpu = { .name = "cpu" };

static const struct {
    const char *name;
    size_t size;
} types[] = {
    [MEGA_F32] = { "F32", 4 },
    [MEGA_F64] = { "F64", 8 },
    [MEGA_BF16] = { "BF16", 2 },
    [MEGA_F16] = { "F16", 2 },
    [MEGA_I32] = { "I32", 4 },
    [MEGA_I64] = { "I64", 8 },
    [MEGA_U8] = { "U8", 1 },
};

size_t mega_dtype_size(mega_dtype t)
{
    return types[t].size;
}

const char *mega_dtype_name(mega_dtype t)
{
    return types[t].name;
}

bool mega_dtype_find(const char *name, mega_dtype *out)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i].name, name)) {
            *out = (mega_dtype)i;
            return true;
        }
    return false;
}

mega_tensor mega_tensor_over(void *data, mega_dtype dtype, int rank, const int64_t dim[])
{
    mega_tensor t = { .dtype = dtype, .rank = rank, .data = data, .device = &mega_cpu };
    for (int i = 0; i < rank; i++) t.dim[i] = dim[i];
    t.stride = mega_width(&t);
    return t;
}

int64_t mega_dim(const mega_tensor *t, int i)
{
    if (!t) return 0;
    if (i < 0) i += t->rank;
    return i >= 0 && i < t->rank ? t->dim[i] : 0;
}

int64_t mega_width(const mega_tensor *t)
{
    return t->rank ? t->dim[t->rank - 1] : 1;
}

int64_t mega_height(const mega_tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i + 1 < t->rank; i++) n *= t->dim[i];
    return n;
}

int64_t mega_count(const mega_tensor *t)
{
    return mega_height(t) * mega_width(t);
}

size_t mega_size(const mega_tensor *t)
{
    return (size_t)mega_count(t) * mega_dtype_size(t->dtype);
}

bool mega_is_dense(const mega_tensor *t)
{
    return t->stride == mega_width(t) || mega_height(t) <= 1;
}

bool mega_same_shape(const mega_tensor *a, const mega_tensor *b)
{
    if (a->rank != b->rank) return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i]) return false;
    return true;
}

char *mega_tensor_print(const mega_tensor *t, char *out)
{
    enum { SIZE = 96 };
    if (!t) {
        snprintf(out, SIZE, "nothing");
        return out;
    }
    int n = snprintf(out, SIZE, "[");
    for (int i = 0; i < t->rank; i++)
        n += snprintf(out + n, SIZE - (size_t)n, "%s%lld", i ? ", " : "", (long long)t->dim[i]);
    snprintf(out + n, SIZE - (size_t)n, "] %s", mega_dtype_name(t->dtype));
    return out;
}

double mega_get(const mega_tensor *t, int64_t row, int64_t column)
{
    int64_t i = row * t->stride + column;
    switch (t->dtype) {
    case MEGA_F32: return (double)((const float *)t->data)[i];
    case MEGA_F64: return ((const double *)t->data)[i];
    case MEGA_BF16: return (double)mega_from_bf16(((const uint16_t *)t->data)[i]);
    case MEGA_F16: return (double)mega_from_f16(((const uint16_t *)t->data)[i]);
    case MEGA_I32: return (double)((const int32_t *)t->data)[i];
    case MEGA_I64: return (double)((const int64_t *)t->data)[i];
    case MEGA_U8: return (double)((const uint8_t *)t->data)[i];
    }
    return 0;
}

void mega_put(mega_tensor *t, int64_t row, int64_t column, double value)
{
    int64_t i = row * t->stride + column;
    switch (t->dtype) {
    case MEGA_F32: ((float *)t->data)[i] = (float)value; break;
    case MEGA_F64: ((double *)t->data)[i] = value; break;
    case MEGA_BF16: ((uint16_t *)t->data)[i] = mega_to_bf16((float)value); break;
    case MEGA_F16: ((uint16_t *)t->data)[i] = mega_to_f16((float)value); break;
    case MEGA_I32: ((int32_t *)t->data)[i] = (int32_t)value; break;
    case MEGA_I64: ((int64_t *)t->data)[i] = (int64_t)value; break;
    case MEGA_U8: ((uint8_t *)t->data)[i] = (uint8_t)value; break;
    }
}

void mega_tensor_copy(mega_tensor *to, const mega_tensor *from)
{
    int64_t rows = mega_height(from), width = mega_width(from);
    if (to->dtype == from->dtype) {
        size_t row_size = (size_t)width * mega_dtype_size(to->dtype);
        for (int64_t r = 0; r < rows; r++)
            memmove(mega_row(to, r), mega_row(from, r), row_size);
        return;
    }
    for (int64_t r = 0; r < rows; r++)
        for (int64_t j = 0; j < width; j++) mega_put(to, r, j, mega_get(from, r, j));
}

void mega_tensor_zero(mega_tensor *t)
{
    size_t row_size = (size_t)mega_width(t) * mega_dtype_size(t->dtype);
    if (mega_is_dense(t)) {
        memset(t->data, 0, mega_size(t));
        return;
    }
    for (int64_t r = 0, rows = mega_height(t); r < rows; r++)
        memset(mega_row(t, r), 0, row_size);
}
