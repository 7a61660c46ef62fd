#include "format/llama2c.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBERS = 7, HEADER = 4 * NUMBERS, HEADER1 = 256, FLAG1 = 8 + HEADER };
enum { LAYERS_MOST = 4096, SIZE_MOST = 1 << 24 };
static const char magic[] = "24ka"; /* 0x616b3432, the lowest byte first */

/* ---- the order of tensors ---- */

/* What the sizes of a tensor are, by letter: D width, F ffn, V vocabulary, Q and K columns of
 * queries and of keys. A name with a '%' stands for one tensor a layer. */
struct part {
    const char *name, *shape;
};
static const struct part first_order[] = { { "tok_embeddings.weight", "VD" },
    { "layers.%d.attention_norm.weight", "D" }, { "layers.%d.attention.wq.weight", "QD" },
    { "layers.%d.attention.wk.weight", "KD" }, { "layers.%d.attention.wv.weight", "KD" },
    { "layers.%d.attention.wo.weight", "DQ" }, { "layers.%d.ffn_norm.weight", "D" },
    { "layers.%d.feed_forward.w1.weight", "FD" }, { "layers.%d.feed_forward.w2.weight", "DF" },
    { "layers.%d.feed_forward.w3.weight", "FD" }, { "norm.weight", "D" }, { "freqs_cos", "TR" },
    { "freqs_sin", "TR" }, { "output.weight", "VD" }, { NULL, NULL } };
static const struct part second_order[] = { { "layers.%d.attention_norm.weight", "D" },
    { "layers.%d.ffn_norm.weight", "D" }, { "norm.weight", "D" },
    { "tok_embeddings.weight", "VD" }, { "layers.%d.attention.wq.weight", "QD" },
    { "layers.%d.attention.wk.weight", "KD" }, { "layers.%d.attention.wv.weight", "KD" },
    { "layers.%d.attention.wo.weight", "DQ" }, { "layers.%d.feed_forward.w1.weight", "FD" },
    { "layers.%d.feed_forward.w2.weight", "DF" }, { "layers.%d.feed_forward.w3.weight", "FD" },
    { "output.weight", "VD" }, { NULL, NULL } };

static int64_t size_of(const struct mega_llama2c_header *h, char letter)
{
    switch (letter) {
    case 'D':
    case 'Q': return h->width;
    case 'F': return h->ffn;
    case 'V': return h->vocabulary;
    case 'K': return h->width / h->heads * h->kv_heads;
    case 'T': return h->longest;
    default: return h->width / h->heads / 2; /* R: pairs of a head */
    }
}

static bool is_layers(const struct part *p)
{
    return strchr(p->name, '%') != NULL;
}

/* a table of angles, which are computed here anyhow */
static bool is_angles(const struct part *p)
{
    return *p->shape == 'T';
}

static bool is_there(const struct mega_llama2c_header *h, const struct part *p)
{
    return !(h->tied && !strcmp(p->name, "output.weight"));
}

static struct mega_named shape_of(const struct mega_llama2c_header *h, const struct part *p)
{
    struct mega_st_tensor t = { .rank = (int)strlen(p->shape), .count = 1 };
    strcpy(t.dtype, "F32");
    for (int i = 0; i < t.rank; i++) t.count *= t.dim[i] = size_of(h, p->shape[i]);
    t.size = (size_t)t.count * sizeof(float);
    return mega_named_dense(&t);
}

/* numbers in all tensors; the sizes are small enough not to overflow in double */
static double numbers(const struct mega_llama2c_header *h, const struct part *order)
{
    double sum = 0;
    for (const struct part *p = order; p->name; p++) {
        double count = is_layers(p) ? (double)h->layers : 1;
        for (const char *s = p->shape; *s; s++) count *= (double)size_of(h, *s);
        if (is_there(h, p)) sum += count;
    }
    return sum;
}

/* ---- reading ---- */

static int64_t number(const unsigned char *p)
{
    int32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static struct mega_llama2c_header read_header(const unsigned char *p)
{
    int64_t v[NUMBERS];
    for (int i = 0; i < NUMBERS; i++) v[i] = number(p + 4 * i);
    /* a negative vocabulary says that the classifier is a tensor of its own */
    return (struct mega_llama2c_header){ v[0], v[1], v[2], v[3], v[4], v[5] < 0 ? -v[5] : v[5],
        v[6], v[5] > 0 };
}

static bool is_sensible(const struct mega_llama2c_header *h)
{
    const int64_t v[] = { h->width, h->ffn, h->layers, h->heads, h->kv_heads, h->vocabulary,
        h->longest };
    for (int i = 0; i < NUMBERS; i++)
        if (v[i] < 1 || v[i] > SIZE_MOST) return false;
    return h->layers <= LAYERS_MOST && h->width % h->heads == 0 &&
           h->heads % h->kv_heads == 0 && h->width / h->heads % 2 == 0;
}

static bool is_second(const unsigned char *p, size_t n)
{
    return n >= 8 && !memcmp(p, magic, 4);
}

bool mega_llama2c_begins(const unsigned char *bytes, size_t n)
{
    if (is_second(bytes, n)) return true;
    if (n < HEADER) return false;
    struct mega_llama2c_header h = read_header(bytes);
    return is_sensible(&h) && (double)(n - HEADER) == 4 * numbers(&h, first_order);
}

/* where the numbers begin, and what order they have */
static mega_status read_head(struct mega_llama2c *f, const char *path, const unsigned char *p,
    size_t n, size_t *at, const struct part **order)
{
    bool second = is_second(p, n);
    *at = second ? HEADER1 : HEADER;
    *order = second ? second_order : first_order;
    if (second && number(p + 4) != 1)
        return mega_fail(MEGA_UNSUPPORTED,
            "%s: version %lld of llama2.c's files (2 is quantised), expected 1 or the one "
            "without",
            path, (long long)number(p + 4));
    if (n < *at)
        return mega_fail(
            MEGA_BAD_FILE, "%s: %zu bytes are too short for a llama2.c file", path, n);
    f->header = read_header(p + (second ? 8 : 0));
    if (second) {
        f->header.vocabulary = number(p + 8 + 4 * 5);
        f->header.tied = p[FLAG1] != 0;
    }
    const struct mega_llama2c_header *h = &f->header;
    if (!is_sensible(h))
        return mega_fail(MEGA_BAD_FILE,
            "%s: a llama2.c file of width %lld, hidden %lld, layers %lld, heads %lld, kv heads "
            "%lld, vocabulary %lld, context %lld: these cannot be",
            path, (long long)h->width, (long long)h->ffn, (long long)h->layers,
            (long long)h->heads, (long long)h->kv_heads, (long long)h->vocabulary,
            (long long)h->longest);
    double want = 4 * numbers(h, *order);
    if ((double)(n - *at) != want)
        return mega_fail(MEGA_BAD_FILE,
            "%s: %zu bytes of numbers, its header asks for %.0f: is it cut off?", path, n - *at,
            want);
    return MEGA_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(
        ((const struct mega_named *)a)->is.name, ((const struct mega_named *)b)->is.name);
}

/* the size was checked: all tensors lie in the file */
static mega_status name_all(
    struct mega_llama2c *f, const struct part *order, const unsigned char *at)
{
    f->tensor =
        mega_arena_get(&f->arena, (size_t)(9 * f->header.layers + 5) * sizeof *f->tensor);
    if (!f->tensor) return MEGA_NO_MEMORY;
    for (const struct part *p = order; p->name; p++) {
        struct mega_named shape = shape_of(&f->header, p);
        for (int64_t i = 0;
             is_there(&f->header, p) && i < (is_layers(p) ? f->header.layers : 1);
             i++, at += shape.is.size) {
            char name[64];
            if (is_angles(p)) continue;
            snprintf(name, sizeof name, "%s", p->name);
            if (is_layers(p))
                snprintf(
                    name, sizeof name, "layers.%lld%s", (long long)i, strchr(p->name, 'd') + 1);
            struct mega_named *t = &f->tensor[f->n++];
            *t = shape;
            t->is.data = at;
            t->is.name = mega_arena_text(&f->arena, name);
            if (!t->is.name) return MEGA_NO_MEMORY;
        }
    }
    qsort(f->tensor, (size_t)f->n, sizeof *f->tensor, by_name);
    return MEGA_OK;
}

mega_status mega_llama2c_parse(
    struct mega_llama2c *f, const char *path, const void *bytes, size_t n)
{
    *f = (struct mega_llama2c){ 0 };
    size_t at;
    const struct part *order;
    MEGA_TRY(read_head(f, path, bytes, n, &at, &order));
    MEGA_TRY(mega_arena_init(&f->arena, (size_t)64 << 20));
    mega_status status = name_all(f, order, (const unsigned char *)bytes + at);
    if (!status) return MEGA_OK;
    mega_llama2c_close(f);
    return mega_fail(status, "no memory to read %s", path);
}

mega_status mega_llama2c_open(struct mega_llama2c *f, const char *path)
{
    struct mega_map map;
    *f = (struct mega_llama2c){ 0 };
    MEGA_TRY(mega_map_open(&map, path));
    mega_status status = mega_llama2c_parse(f, path, map.data, map.size);
    if (status)
        mega_map_close(&map);
    else
        f->map = map;
    return status;
}

void mega_llama2c_close(struct mega_llama2c *f)
{
    mega_arena_done(&f->arena);
    mega_map_close(&f->map);
    *f = (struct mega_llama2c){ 0 };
}

/* ---- writing ---- */

/* cos or sin of position times frequency, as PyTorch computes them in float32 */
static void fill_angles(const struct mega_llama2c_header *h, bool sine, float *to)
{
    int64_t pairs = h->width / h->heads / 2;
    for (int64_t t = 0; t < h->longest; t++)
        for (int64_t j = 0; j < pairs; j++) {
            float exponent = (float)(2 * j) / (float)(2 * pairs);
            float frequency = 1.0f / (float)pow(10000, (double)exponent);
            float angle = (float)t * frequency;
            *to++ = (float)(sine ? sin((double)angle) : cos((double)angle));
        }
}

static mega_status write_part(struct mega_writer *w, const struct mega_llama2c_header *h,
    const struct part *p, mega_llama2c_fn *fill, void *arg)
{
    struct mega_named shape = shape_of(h, p);
    float *numbers_of_one = malloc(shape.is.size);
    mega_status status =
        numbers_of_one ? MEGA_OK : mega_fail(MEGA_NO_MEMORY, "no memory to write %s", w->path);
    for (int64_t i = 0; !status && i < (is_layers(p) ? h->layers : 1); i++) {
        char name[64];
        snprintf(name, sizeof name, "%s", p->name);
        if (is_layers(p))
            snprintf(
                name, sizeof name, "layers.%lld%s", (long long)i, strchr(p->name, 'd') + 1);
        if (is_angles(p))
            fill_angles(h, !strcmp(p->name, "freqs_sin"), numbers_of_one);
        else
            status = fill(arg, name, numbers_of_one, shape.is.count);
        if (!status) mega_writer_add(w, numbers_of_one, shape.is.size);
    }
    free(numbers_of_one);
    return status;
}

mega_status mega_llama2c_write(
    const char *path, const struct mega_llama2c_header *h, mega_llama2c_fn *fill, void *arg)
{
    struct mega_writer w;
    int32_t v[NUMBERS] = { (int32_t)h->width, (int32_t)h->ffn, (int32_t)h->layers,
        (int32_t)h->heads, (int32_t)h->kv_heads,
        (int32_t)(h->tied ? h->vocabulary : -h->vocabulary), (int32_t)h->longest };
    if (!is_sensible(h))
        return mega_fail(MEGA_UNSUPPORTED, "%s: llama2.c's files cannot say these sizes", path);
    MEGA_TRY(mega_writer_open(&w, path));
    mega_writer_add(&w, v, sizeof v);
    for (const struct part *p = first_order; p->name; p++) {
        mega_status status = is_there(h, p) ? write_part(&w, h, p, fill, arg) : MEGA_OK;
        if (status) {
            mega_writer_abandon(&w);
            return status;
        }
    }
    return mega_writer_commit(&w);
}
