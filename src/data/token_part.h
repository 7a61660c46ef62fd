/* A part of a corpus: ids of one type in a mapped file, and where documents begin. */
#ifndef MEGA_DATA_TOKEN_PART_H
#define MEGA_DATA_TOKEN_PART_H

#include "base/file.h"

enum mega_id_type {
    MEGA_ID_U8 = 1, /* the codes of fairseq's files */
    MEGA_ID_I8,
    MEGA_ID_I16,
    MEGA_ID_I32,
    MEGA_ID_I64,
    MEGA_ID_F64,
    MEGA_ID_DOUBLE,
    MEGA_ID_U16,
    MEGA_ID_U32,
    MEGA_ID_U64,
    MEGA_ID_F32 /* of ours: code 6 with elements of 4 bytes */
};
int mega_id_size(int type); /* bytes; 0: no such type */

struct mega_token_part {
    struct mega_map ids, index; /* index may be empty: both lie in one file */
    const unsigned char *id;
    int type;      /* enum mega_id_type */
    int64_t minus; /* taken from each stored value */
    int64_t tokens, documents;
    /* document i begins at (i64 at start + i * stride) / unit */
    const unsigned char *start;
    int64_t stride, unit;
    /* bytes of text before documents (i64 at bytes + i * stride), and at cuts within long ones;
     * NULL: not known */
    const unsigned char *bytes, *marks;
    int64_t mark_count;
    int64_t end_tokens,
        end_bytes; /* of each document's end token, 0 or 1; of text that it is */
    uint64_t hash; /* of tokens and documents */
};
void mega_token_part_close(struct mega_token_part *p);

int64_t mega_token_part_document(const struct mega_token_part *p, int64_t i);
int64_t mega_token_part_document_at(const struct mega_token_part *p, int64_t token);
int64_t mega_token_part_bytes_before(const struct mega_token_part *p, int64_t token);
void mega_token_part_read(
    const struct mega_token_part *p, int64_t from, int64_t n, int32_t *out);

/* A running hash of bytes, block by block of 1 MiB, for data of any size. */
struct mega_block_hash {
    uint64_t hash;
    size_t in_block;
    uint32_t crc, adler;
};
void mega_block_hash_start(struct mega_block_hash *h);
void mega_block_hash_add(struct mega_block_hash *h, const void *bytes, size_t n);
uint64_t mega_block_hash_end(const struct mega_block_hash *h);

#endif
