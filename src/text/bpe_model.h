/* A BPE model: from a text to ids through normaliser, splitter and merges (or, in their place,
 * the longest pieces: WordPiece), as a tokenizer.json or GPT-2's files describe it. */
#ifndef MEGA_TEXT_BPE_MODEL_H
#define MEGA_TEXT_BPE_MODEL_H

#include "text/bpe.h"
#include "text/normalize.h"
#include "text/seams.h"
#include "text/split.h"
#include "text/tokenizer.h"
#include "text/word_cache.h"

struct mega_bpe_model {
    struct mega_document document; /* texts of normaliser and splitter point into it */
    struct mega_normalizer normalizer;
    struct mega_splitter splitter;
    struct mega_merges merges; /* over ids */
    struct mega_seams seams;
    bool cuts;         /* long words may be cut at seams */
    int32_t byte[256]; /* byte level: the piece of each byte; fallback: of "<0x41>"; -1: none */
    bool byte_fallback; /* unknown characters become the pieces of their bytes */
    int32_t unk;        /* -1: unknown characters vanish */
    bool fuse_unk;      /* unknown neighbours are one */
    bool whole_first;   /* a word that is a piece is that piece, whatever the merges say */
    struct mega_span prefix, suffix; /* of pieces inside a word; at a word's end */
    int64_t longest_word; /* > 0: no merges, but the longest pieces from left to right
                             (wordpiece.h); words of more characters are unknown */
    size_t longest_piece; /* bytes; of that */
};

/* To be called when vocabulary, merges and flags are there: bytes and seams. */
mega_status mega_bpe_model_finish(mega_tokenizer *t, struct mega_bpe_model *m);

/* Adds the merge of two pieces by their texts; `where` and `line` begin the message. */
mega_status mega_bpe_model_merge(mega_tokenizer *t, struct mega_bpe_model *m, int32_t rank,
    struct mega_span left, struct mega_span right, const char *where, int line);

/* Parts of a kind. */
mega_status mega_bpe_model_encode(
    const mega_tokenizer *t, struct mega_workspace *w, const char *text, size_t n, bool first);
void mega_bpe_model_free(void *model);
void mega_bpe_model_forget(void *own);

#endif
