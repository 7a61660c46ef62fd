#include "data/token_part.h"

#include <string.h>
#include <zlib.h>

#include "base/rng.h"

int mega_id_size(int type)
{
    static const signed char size[] = { [MEGA_ID_U8] = 1,
        [MEGA_ID_I8] = 1,
        [MEGA_ID_I16] = 2,
        [MEGA_ID_I32] = 4,
        [MEGA_ID_I64] = 8,
        [MEGA_ID_F64] = 8,
        [MEGA_ID_DOUBLE] = 8,
        [MEGA_ID_U16] = 2,
        [MEGA_ID_U32] = 4,
        [MEGA_ID_U64] = 8,
        [MEGA_ID_F32] = 4 };
    return type < MEGA_ID_U8 || type > MEGA_ID_F32 ? 0 : size[type];
}

void mega_token_part_close(struct mega_token_part *p)
{
    mega_map_close(&p->ids);
    mega_map_close(&p->index);
    *p = (struct mega_token_part){ 0 };
}

/* tables of files lie anywhere: no alignment */
static int64_t number_at(const unsigned char *p)
{
    int64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* ---- documents ---- */

int64_t mega_token_part_document(const struct mega_token_part *p, int64_t i)
{
    return i >= p->documents ? p->tokens : number_at(p->start + i * p->stride) / p->unit;
}

int64_t mega_token_part_document_at(const struct mega_token_part *p, int64_t token)
{
    int64_t low = 0, high = p->documents; /* the last that begins at `token` or before */
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (mega_token_part_document(p, middle) <= token)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* ---- bytes ---- */

struct mark {
    int64_t token, byte;
};

/* the last of the cuts before or at `token`: its number; -1: there is none */
static int64_t mark_at(const struct mega_token_part *p, int64_t token)
{
    int64_t low = -1, high = p->mark_count;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (number_at(p->marks + middle * (int64_t)sizeof(struct mark)) <= token)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static struct mark mark_of(const struct mega_token_part *p, int64_t i)
{
    const unsigned char *at = p->marks + i * (int64_t)sizeof(struct mark);
    return (struct mark){ number_at(at), number_at(at + 8) };
}

/* bytes that k of n tokens are; exact where a token is a byte */
static int64_t in_proportion(int64_t k, int64_t n, int64_t bytes)
{
    int64_t product;
    if (!__builtin_mul_overflow(k, bytes, &product)) return product / n;
    return (int64_t)((double)k / (double)n * (double)bytes);
}

int64_t mega_token_part_bytes_before(const struct mega_token_part *p, int64_t token)
{
    if (!p->bytes || !p->documents) return 0;
    int64_t i = mega_token_part_document_at(p, token);
    struct mark a = { mega_token_part_document(p, i), number_at(p->bytes + i * p->stride) },
                b = { mega_token_part_document(p, i + 1),
                    number_at(p->bytes + (i + 1) * p->stride) };
    if (token >= b.token) return b.byte;
    /* the end token is what lies between documents */
    b.token -= p->end_tokens;
    if (p->end_tokens) b.byte -= p->end_bytes;
    int64_t k = mark_at(p, token);
    if (k >= 0 && mark_of(p, k).token > a.token) a = mark_of(p, k);
    if (k + 1 < p->mark_count && mark_of(p, k + 1).token < b.token) b = mark_of(p, k + 1);
    if (token <= a.token) return a.byte;
    if (token >= b.token) return b.byte;
    return a.byte + in_proportion(token - a.token, b.token - a.token, b.byte - a.byte);
}

/* ---- ids ---- */

#define COPY(name, type)                                                                       \
    static void copy_##name(const unsigned char *at, int64_t n, int64_t minus, int32_t *out)   \
    {                                                                                          \
        for (int64_t i = 0; i < n; i++) {                                                      \
            type v;                                                                            \
            memcpy(&v, at + i * (int64_t)sizeof v, sizeof v);                                  \
            out[i] = (int32_t)((int64_t)v - minus);                                            \
        }                                                                                      \
    }
COPY(u8, uint8_t)
COPY(i8, int8_t)
COPY(i16, int16_t)
COPY(i32, int32_t)
COPY(i64, int64_t)
COPY(f64, double)
COPY(u16, uint16_t)
COPY(u32, uint32_t)
COPY(f32, float)

void mega_token_part_read(
    const struct mega_token_part *p, int64_t from, int64_t n, int32_t *out)
{
    static void (*const copy[])(
        const unsigned char *, int64_t, int64_t, int32_t *) = { [MEGA_ID_U8] = copy_u8,
        [MEGA_ID_I8] = copy_i8,
        [MEGA_ID_I16] = copy_i16,
        [MEGA_ID_I32] = copy_i32,
        [MEGA_ID_I64] = copy_i64,
        [MEGA_ID_F64] = copy_f64,
        [MEGA_ID_DOUBLE] = copy_f64,
        [MEGA_ID_U16] = copy_u16,
        [MEGA_ID_U32] = copy_u32,
        [MEGA_ID_U64] = copy_i64,
        [MEGA_ID_F32] = copy_f32 };
    copy[p->type](p->id + from * mega_id_size(p->type), n, p->minus, out);
}

/* ---- hash ---- */

enum { BLOCK = 1 << 20 };

static void start_block(struct mega_block_hash *h)
{
    h->in_block = 0;
    h->crc = (uint32_t)crc32(0, NULL, 0);
    h->adler = (uint32_t)adler32(0, NULL, 0);
}

static uint64_t join_block(const struct mega_block_hash *h)
{
    return mega_hash_join(h->hash, (uint64_t)h->crc << 32 | h->adler);
}

void mega_block_hash_start(struct mega_block_hash *h)
{
    h->hash = mega_hash_text("blocks");
    start_block(h);
}

void mega_block_hash_add(struct mega_block_hash *h, const void *bytes, size_t n)
{
    const unsigned char *at = bytes;
    while (n) {
        size_t now = BLOCK - h->in_block < n ? BLOCK - h->in_block : n;
        h->crc = (uint32_t)crc32(h->crc, at, (unsigned)now);
        h->adler = (uint32_t)adler32(h->adler, at, (unsigned)now);
        h->in_block += now;
        at += now;
        n -= now;
        if (h->in_block < BLOCK) continue;
        h->hash = join_block(h);
        start_block(h);
    }
}

uint64_t mega_block_hash_end(const struct mega_block_hash *h)
{
    return mega_hash_join(join_block(h), h->in_block);
}
