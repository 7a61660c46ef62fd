#include "format/safetensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "format/scalar.h"

enum { PREFIX = 8 };
#define HEADER_MOST ((uint64_t)100 << 20) /* bytes: the limit of the official reader */

static const struct {
    const char *name;
    size_t size;
} types[] = { { "F64", 8 }, { "F32", 4 }, { "F16", 2 }, { "BF16", 2 }, { "I64", 8 },
    { "I32", 4 }, { "I16", 2 }, { "I8", 1 }, { "U64", 8 }, { "U32", 4 }, { "U16", 2 },
    { "U8", 1 }, { "BOOL", 1 }, { "F8_E4M3", 1 }, { "F8_E5M2", 1 } };

size_t mega_st_item_size(const char *dtype)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i].name, dtype)) return types[i].size;
    return 0;
}

/* ---- reading ---- */

struct reader {
    struct mega_safetensors *s;
    const char *name;          /* of the file */
    const unsigned char *data; /* after the header */
    uint64_t size;             /* bytes there */
};

/* what people put in place of a model file */
static mega_status refuse_other_files(const char *name, const unsigned char *p, size_t n)
{
    static const char lfs[] = "version https://git-lfs";
    /* the length of a header can look like the start of a pickle; its brace cannot */
    if (n > PREFIX && p[PREFIX] == '{') return MEGA_OK;
    if (n >= sizeof lfs - 1 && !memcmp(p, lfs, sizeof lfs - 1))
        return mega_fail(MEGA_BAD_FILE,
            "%s is a Git LFS pointer, not the model itself: run git lfs pull where it came "
            "from",
            name);
    if (n >= 4 && !memcmp(p, "PK\3\4", 4))
        return mega_fail(MEGA_BAD_FILE,
            "%s is a ZIP (a PyTorch .pt?), expected safetensors: mega convert makes one of it",
            name);
    if (n >= 2 && p[0] == 0x80 && p[1] >= 2 && p[1] <= 5)
        return mega_fail(MEGA_BAD_FILE,
            "%s is a Python pickle, expected safetensors: mega convert makes one of it", name);
    return MEGA_OK;
}

static mega_status refuse(const struct reader *r, const char *tensor, const char *what)
{
    return mega_fail(MEGA_BAD_FILE, "%s: tensor %.200s: %s", r->name, tensor, what);
}

static mega_status read_shape(
    const struct reader *r, const struct mega_node *shape, struct mega_st_tensor *t)
{
    if (!shape || shape->kind != MEGA_NODE_LIST)
        return refuse(r, t->name, "shape is missing, expected a list of sizes");
    t->count = 1;
    for (const struct mega_node *n = shape->first; n; n = n->next) {
        if (n->kind != MEGA_NODE_INT || n->integer < 0)
            return refuse(r, t->name, "shape holds something that is no size");
        if (t->rank == MEGA_ST_RANK) return refuse(r, t->name, "more than 8 dimensions");
        t->dim[t->rank++] = n->integer;
        if (__builtin_mul_overflow(t->count, n->integer, &t->count))
            return refuse(r, t->name, "shape overflows");
    }
    return MEGA_OK;
}

static mega_status read_offsets(
    const struct reader *r, const struct mega_node *offsets, struct mega_st_tensor *t)
{
    const struct mega_node *a = offsets && offsets->kind == MEGA_NODE_LIST ? offsets->first
                                                                           : NULL,
                           *b = a ? a->next : NULL;
    if (!b || b->next || a->kind != MEGA_NODE_INT || b->kind != MEGA_NODE_INT)
        return refuse(r, t->name, "data_offsets is not [begin, end]");
    size_t item = mega_st_item_size(t->dtype);
    int64_t bytes;
    if (__builtin_mul_overflow(t->count, (int64_t)item, &bytes))
        return refuse(r, t->name, "shape overflows");
    if (a->integer < 0 || b->integer < a->integer || (uint64_t)b->integer > r->size)
        return mega_fail(MEGA_BAD_FILE,
            "%s: tensor %.200s: data_offsets [%lld, %lld] do not lie in the file's %llu bytes "
            "of data: is it cut off?",
            r->name, t->name, (long long)a->integer, (long long)b->integer,
            (unsigned long long)r->size);
    if (b->integer - a->integer != bytes)
        return mega_fail(MEGA_BAD_FILE,
            "%s: tensor %.200s: %lld bytes of data, its shape and type need %lld", r->name,
            t->name, (long long)(b->integer - a->integer), (long long)bytes);
    t->data = r->data + a->integer;
    t->size = (size_t)bytes;
    return MEGA_OK;
}

static mega_status read_tensor(
    const struct reader *r, const struct mega_node *n, struct mega_st_tensor *t)
{
    *t = (struct mega_st_tensor){ .name = mega_arena_text(&r->s->arena, n->key) };
    if (!t->name) return mega_fail(MEGA_NO_MEMORY, "no memory to read %s", r->name);
    if (n->kind != MEGA_NODE_MAP)
        return refuse(r, t->name, "expected dtype, shape and data_offsets");
    const struct mega_node *dtype = mega_node_find(n, "dtype");
    if (!dtype || dtype->kind != MEGA_NODE_TEXT || !mega_st_item_size(dtype->text))
        return mega_fail(MEGA_BAD_FILE, "%s: tensor %.200s: dtype %.40s is not known", r->name,
            t->name, dtype && dtype->text ? dtype->text : "(missing)");
    strcpy(t->dtype, dtype->text);
    MEGA_TRY(read_shape(r, mega_node_find(n, "shape"), t));
    return read_offsets(r, mega_node_find(n, "data_offsets"), t);
}

static mega_status read_meta(const struct reader *r, const struct mega_node *n)
{
    struct mega_safetensors *s = r->s;
    if (n->kind != MEGA_NODE_MAP)
        return mega_fail(MEGA_BAD_FILE, "%s: __metadata__ is not a map of texts", r->name);
    int count = 0;
    for (const struct mega_node *i = n->first; i; i = i->next) count++;
    s->meta = mega_arena_zeroed(&s->arena, ((size_t)count + 1) * sizeof *s->meta);
    for (const struct mega_node *i = n->first; s->meta && i; i = i->next) {
        if (i->kind != MEGA_NODE_TEXT)
            return mega_fail(
                MEGA_BAD_FILE, "%s: __metadata__.%.100s is not a text", r->name, i->key);
        s->meta[s->n_meta++] = (struct mega_st_entry){ mega_arena_text(&s->arena, i->key),
            mega_arena_text(&s->arena, i->text) };
    }
    return s->meta ? MEGA_OK : mega_fail(MEGA_NO_MEMORY, "no memory to read %s", r->name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(
        ((const struct mega_st_tensor *)a)->name, ((const struct mega_st_tensor *)b)->name);
}

static int by_place(const void *a, const void *b)
{
    const struct mega_st_tensor *x = a, *y = b;
    const char *p = x->data, *q = y->data;
    if (p != q) return p < q ? -1 : 1;
    return (x->size > y->size) - (x->size < y->size);
}

/* the data must be covered without overlaps and gaps */
static mega_status check_cover(const struct reader *r)
{
    struct mega_safetensors *s = r->s;
    if (s->n) qsort(s->tensor, (size_t)s->n, sizeof *s->tensor, by_place);
    const unsigned char *end = r->data;
    for (int i = 0; i < s->n; i++) {
        const unsigned char *at = s->tensor[i].data;
        if (at < end)
            return refuse(r, s->tensor[i].name, "its data overlap those of another tensor");
        if (at > end) return refuse(r, s->tensor[i].name, "a gap lies before its data");
        end = at + s->tensor[i].size;
    }
    if (end < r->data + r->size)
        return mega_fail(MEGA_BAD_FILE, "%s: %lld bytes after the last tensor belong to none",
            r->name, (long long)(r->data + r->size - end));
    return MEGA_OK;
}

static mega_status read_header(struct reader *r, const struct mega_node *root)
{
    struct mega_safetensors *s = r->s;
    int count = 0;
    for (const struct mega_node *n = root->first; n; n = n->next) count++;
    s->tensor = mega_arena_zeroed(&s->arena, ((size_t)count + 1) * sizeof *s->tensor);
    if (!s->tensor) return mega_fail(MEGA_NO_MEMORY, "no memory to read %s", r->name);
    for (const struct mega_node *n = root->first; n; n = n->next)
        MEGA_TRY(!strcmp(n->key, "__metadata__") ? read_meta(r, n)
                                                 : read_tensor(r, n, &s->tensor[s->n++]));
    MEGA_TRY(check_cover(r));
    if (s->n) qsort(s->tensor, (size_t)s->n, sizeof *s->tensor, by_name);
    return MEGA_OK;
}

static mega_status parse(
    struct mega_safetensors *s, const char *name, const unsigned char *p, size_t n)
{
    MEGA_TRY(refuse_other_files(name, p, n));
    if (n < PREFIX)
        return mega_fail(
            MEGA_BAD_FILE, "%s: %zu bytes are too short for a safetensors file", name, n);
    uint64_t length = 0;
    for (int i = PREFIX - 1; i >= 0; i--) length = length << 8 | p[i];
    if (length > HEADER_MOST || length > n - PREFIX)
        return mega_fail(MEGA_BAD_FILE,
            "%s: the header says it has %llu bytes, the file has %zu: not safetensors, or cut "
            "off",
            name, (unsigned long long)length, n);
    struct reader r = {
        .s = s, .name = name, .data = p + PREFIX + length, .size = n - PREFIX - length
    };
    if (!length || *(p + PREFIX) != '{')
        return mega_fail(
            MEGA_BAD_FILE, "%s: the header does not begin with '{': not safetensors", name);
    struct mega_document d;
    MEGA_TRY(mega_json_parse(&d, name, p + PREFIX, (size_t)length));
    mega_status status = read_header(&r, d.root);
    mega_document_done(&d);
    return status;
}

mega_status mega_safetensors_parse(
    struct mega_safetensors *s, const char *name, const void *bytes, size_t n)
{
    *s = (struct mega_safetensors){ 0 };
    MEGA_TRY(mega_arena_init(&s->arena, MEGA_DOCUMENT_RESERVE));
    mega_status status = parse(s, name, bytes ? bytes : "", n);
    if (status) mega_safetensors_close(s);
    return status;
}

mega_status mega_safetensors_open(struct mega_safetensors *s, const char *path)
{
    struct mega_map map;
    *s = (struct mega_safetensors){ 0 };
    MEGA_TRY(mega_map_open(&map, path));
    mega_status status = mega_safetensors_parse(s, path, map.data, map.size);
    if (status)
        mega_map_close(&map);
    else
        s->map = map;
    return status;
}

void mega_safetensors_close(struct mega_safetensors *s)
{
    mega_arena_done(&s->arena);
    mega_map_close(&s->map);
    *s = (struct mega_safetensors){ 0 };
}

const struct mega_st_tensor *mega_safetensors_find(
    const struct mega_safetensors *s, const char *name)
{
    struct mega_st_tensor key = { .name = name };
    return s->n ? bsearch(&key, s->tensor, (size_t)s->n, sizeof *s->tensor, by_name) : NULL;
}

const char *mega_safetensors_meta(const struct mega_safetensors *s, const char *key)
{
    for (int i = 0; i < s->n_meta; i++)
        if (!strcmp(s->meta[i].key, key)) return s->meta[i].value;
    return NULL;
}

/* copies element i, which may be unaligned, into `to` */
static void fetch(const struct mega_st_tensor *t, int64_t i, void *to, size_t size)
{
    memcpy(to, (const char *)t->data + (size_t)i * size, size);
}

int64_t mega_st_int(const struct mega_st_tensor *t, int64_t i)
{
    union {
        int64_t i64;
        int32_t i32;
        int16_t i16;
        int8_t i8;
        uint32_t u32;
        uint16_t u16;
        uint8_t u8;
    } v = { 0 };
    fetch(t, i, &v, mega_st_item_size(t->dtype));
    if (!strcmp(t->dtype, "I64") || !strcmp(t->dtype, "U64")) return v.i64;
    if (!strcmp(t->dtype, "I32")) return v.i32;
    if (!strcmp(t->dtype, "I16")) return v.i16;
    if (!strcmp(t->dtype, "I8")) return v.i8;
    if (!strcmp(t->dtype, "U32")) return v.u32;
    if (!strcmp(t->dtype, "U16")) return v.u16;
    if (!strcmp(t->dtype, "U8") || !strcmp(t->dtype, "BOOL")) return v.u8;
    return (int64_t)mega_st_real(t, i);
}

/* eight bits: sign, 4 of exponent (bias 7), 3 of fraction; no infinities, all ones is NaN */
static double from_e4m3(uint8_t v)
{
    int exponent = v >> 3 & 15, fraction = v & 7;
    double size = (v & 0x7F) == 0x7F ? NAN
                  : exponent         ? ldexp(8 + fraction, exponent - 10)
                                     : ldexp(fraction, -9);
    return v & 0x80 ? -size : size;
}

double mega_st_real(const struct mega_st_tensor *t, int64_t i)
{
    double f64 = 0;
    float f32 = 0;
    uint16_t half = 0;
    uint8_t f8 = 0;
    if (!strcmp(t->dtype, "F32")) {
        fetch(t, i, &f32, sizeof f32);
        return (double)f32;
    }
    if (!strcmp(t->dtype, "F64")) {
        fetch(t, i, &f64, sizeof f64);
        return f64;
    }
    if (!strcmp(t->dtype, "BF16") || !strcmp(t->dtype, "F16")) {
        fetch(t, i, &half, sizeof half);
        return (double)(t->dtype[0] == 'B' ? mega_from_bf16(half) : mega_from_f16(half));
    }
    if (!strcmp(t->dtype, "F8_E4M3") || !strcmp(t->dtype, "F8_E5M2")) {
        fetch(t, i, &f8, sizeof f8);
        /* E5M2 is the upper half of a float16 */
        return t->dtype[4] == '4' ? from_e4m3(f8) : (double)mega_from_f16((uint16_t)(f8 << 8));
    }
    return (double)mega_st_int(t, i);
}

/* ---- writing ---- */

enum { ALIGN = 8 };

size_t mega_st_size(const struct mega_st_tensor *t)
{
    size_t n = mega_st_item_size(t->dtype);
    for (int i = 0; i < t->rank; i++) n *= (size_t)t->dim[i];
    return n;
}

static void add_header(struct mega_text *to, const struct mega_st_tensor *tensor, int n,
    const struct mega_st_entry *meta, int n_meta)
{
    size_t at = 0;
    mega_text_add(to, "{");
    if (n_meta) mega_text_add(to, "\"__metadata__\":{");
    for (int i = 0; i < n_meta; i++) {
        if (i) mega_text_add(to, ",");
        mega_json_add_text(to, meta[i].key, strlen(meta[i].key));
        mega_text_add(to, ":");
        mega_json_add_text(to, meta[i].value, strlen(meta[i].value));
    }
    if (n_meta) mega_text_add(to, n ? "}," : "}");
    for (int i = 0; i < n; i++) {
        const struct mega_st_tensor *t = &tensor[i];
        size_t end = at + mega_st_size(t);
        mega_json_add_text(to, t->name, strlen(t->name));
        mega_text_add(to, ":{\"dtype\":\"%s\",\"shape\":[", t->dtype);
        for (int k = 0; k < t->rank; k++)
            mega_text_add(to, "%s%lld", k ? "," : "", (long long)t->dim[k]);
        mega_text_add(to, "],\"data_offsets\":[%zu,%zu]}%s", at, end, i + 1 < n ? "," : "");
        at = end;
    }
    mega_text_add(to, "}");
    while (to->size % ALIGN && !to->failed) mega_text_add(to, " ");
}

static mega_status write_tensors(struct mega_writer *w, const struct mega_text *header,
    const struct mega_st_tensor *tensor, int n)
{
    unsigned char prefix[PREFIX];
    for (int i = 0; i < PREFIX; i++)
        prefix[i] = (unsigned char)((uint64_t)header->size >> 8 * i);
    mega_writer_add(w, prefix, PREFIX);
    mega_writer_add(w, header->data, header->size);
    for (int i = 0; i < n; i++)
        if (mega_st_size(&tensor[i]))
            mega_writer_add(w, tensor[i].data, mega_st_size(&tensor[i]));
    return mega_writer_commit(w);
}

mega_status mega_safetensors_write(const char *path, const struct mega_st_tensor *tensor, int n,
    const struct mega_st_entry *meta, int n_meta)
{
    for (int i = 0; i < n; i++)
        if (!mega_st_item_size(tensor[i].dtype))
            return mega_fail(MEGA_BAD_ARGUMENT, "%s: tensor %.200s: dtype %s is not known",
                path, tensor[i].name, tensor[i].dtype);
    struct mega_text header = { 0 };
    struct mega_writer w;
    add_header(&header, tensor, n, meta, n_meta);
    mega_status status = header.failed
                             ? mega_fail(MEGA_NO_MEMORY, "no memory to write %s", path)
                             : mega_writer_open(&w, path);
    if (!status) status = write_tensors(&w, &header, tensor, n);
    mega_text_done(&header);
    return status;
}
