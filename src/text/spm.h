/* SentencePiece models (Kudo and Richardson 2018), read from their protobuf file: pieces with
 * scores, and a normaliser that is compiled into the file. llama2.c's tokenizer files are the
 * same model with less around it. */
#ifndef MEGA_TEXT_SPM_H
#define MEGA_TEXT_SPM_H

#include "text/bpe.h"
#include "text/seams.h"
#include "text/tokenizer.h"
#include "text/trie.h"
#include "text/word_cache.h"

#define MEGA_SPM_BLANK "\xE2\x96\x81" /* what blanks become */

enum mega_spm_type { MEGA_SPM_UNIGRAM = 1, MEGA_SPM_BPE, MEGA_SPM_WORD, MEGA_SPM_CHAR };

enum mega_spm_piece {
    MEGA_SPM_NORMAL = 1,
    MEGA_SPM_UNKNOWN,
    MEGA_SPM_CONTROL,
    MEGA_SPM_USER_DEFINED,
    MEGA_SPM_UNUSED,
    MEGA_SPM_BYTE
};

struct mega_spm {
    enum mega_spm_type type;
    float *score;        /* [pieces] */
    unsigned char *kind; /* [pieces], enum mega_spm_piece */
    int32_t pieces, room;
    int32_t unk, byte[256];
    bool byte_fallback;
    bool any_bytes; /* what is no character is a symbol, too (llama2.c) */

    /* the normaliser */
    bool dummy_prefix, remove_extra, escape;
    struct mega_span blank; /* what a blank becomes */
    const uint32_t *unit;   /* a double-array trie; NULL: characters stay */
    uint32_t units;
    struct mega_span replaced; /* texts ended by NULs, at which the trie's values point */
    struct mega_trie user;     /* pieces that are taken as they are */

    /* unigram */
    struct mega_trie trie;
    float unk_score;

    /* BPE: merges over pieces and, from `pieces` on, over characters that are no pieces, and
     * then frozen forms of user-defined pieces */
    struct mega_merges merges;
    struct mega_vocab extra;
    int32_t frozen; /* the symbol of piece 0 if it were frozen */
    struct mega_seams seams;
};

/* One thread's memory. */
struct mega_spm_own {
    struct mega_text normal;
    struct mega_merging merging;
    struct mega_word_cache cache;
    struct mega_ids ids; /* of a part */
    struct mega_spm_node {
        float score;
        int32_t start, id; /* start -1: not reached */
    } * node;
    size_t nodes;
    bool was_unknown; /* the last id: neighbours of unknown characters are one */
};

/* The normal form of a text; `first`: it begins the whole text. */
mega_status mega_spm_normalize(const struct mega_spm *m, struct mega_workspace *w,
    const char *text, size_t n, bool first, struct mega_text *out);

/* Reads precompiled rules; what does not fit into its bounds is refused. */
mega_status mega_spm_read_rules(
    struct mega_spm *m, const char *name, const char *rules, size_t n);

/* Encoders of a normalised text. */
mega_status mega_unigram_encode(
    const mega_tokenizer *t, struct mega_workspace *w, const char *text, size_t n);
mega_status mega_spm_bpe_encode(
    const mega_tokenizer *t, struct mega_workspace *w, const char *text, size_t n);

/* Makes merges of the pieces, a better score being a better rank; to be called once all are
 * known.
 */
mega_status mega_spm_bpe_prepare(mega_tokenizer *t, struct mega_spm *m);

/* Emits a piece, or for an unknown stretch of the text what stands for it. */
void mega_spm_emit(
    const struct mega_spm *m, struct mega_workspace *w, int32_t id, const char *text, size_t n);

/* Adds a piece with the next id. */
mega_status mega_spm_add(mega_tokenizer *t, struct mega_spm *m, struct mega_span text,
    float score, enum mega_spm_piece kind);

/* Parts of a kind. */
mega_status mega_spm_read(mega_tokenizer *t, const char *path);
void mega_spm_free(void *model);
void mega_spm_forget(void *own);
mega_status mega_spm_encode(
    const mega_tokenizer *t, struct mega_workspace *w, const char *text, size_t n, bool first);

#endif
