/* Corpora of ids with an index: fairseq's binary formats (mmap and legacy), Megatron's. */
#ifndef MEGA_DATA_INDEXED_H
#define MEGA_DATA_INDEXED_H

#include "data/token_part.h"

/* Maps `path` (the .idx) and the .bin beside it (a .bin.gz is unpacked into TMPDIR, else
 * /var/tmp), and checks all of both: sizes against each other, every id against the vocabulary.
 * Documents are the items, as they were written. */
mega_status mega_indexed_open(struct mega_token_part *p, const char *path, int64_t vocabulary);

/* The same from memory that stays the caller's, for tests. */
mega_status mega_indexed_read(struct mega_token_part *p, const char *name, const void *index,
    size_t index_size, const void *ids, size_t ids_size, int64_t vocabulary);

#endif
