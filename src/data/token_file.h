/* Files of tokens: ids, where documents begin, how many bytes of text they were. Written once,
 * then mapped; of this program and machine alone: whatever is not as it was written is made
 * again.
 *
 *     ids           u16 or i32, padded to 8 bytes
 *     documents     (count + 1) times { i64 token, i64 byte }
 *     marks         cuts within long documents, { i64 token, i64 byte }
 *     footer        counts, key, hash of all before, hash of itself */
#ifndef MEGA_DATA_TOKEN_FILE_H
#define MEGA_DATA_TOKEN_FILE_H

#include <stdio.h>

#include "data/token_part.h"

/* What a file of tokens was made from: it is used only where both are equal. */
struct mega_token_key {
    uint64_t a, b;
};

struct mega_token_writer {
    struct mega_writer file;
    FILE *documents, *marks; /* tables grow in files without a name */
    struct mega_block_hash hash;
    int type;
    int64_t tokens, bytes, document_count, mark_count;
    int64_t end_bytes; /* added to each document's bytes; -1: documents have no end token */
};
/* `folder` holds the tables meanwhile. Ids are stored as u16 if they all lie below 65536. */
mega_status mega_token_writer_open(struct mega_token_writer *w, const char *path,
    const char *folder, int64_t vocabulary, int64_t end_bytes);
mega_status mega_token_writer_begin(struct mega_token_writer *w); /* a document begins here */
mega_status mega_token_writer_add(struct mega_token_writer *w, const int32_t *id, int64_t n);
/* so many bytes more were encoded; within a document: remember the place */
mega_status mega_token_writer_bytes(struct mega_token_writer *w, int64_t n, bool within);
mega_status mega_token_writer_commit(
    struct mega_token_writer *w, const struct mega_token_key *key);
void mega_token_writer_abandon(struct mega_token_writer *w);

/* Maps a file; MEGA_BAD_FILE where it is not what was written under `key`. */
mega_status mega_token_file_open(
    struct mega_token_part *p, const char *path, const struct mega_token_key *key);

#endif
