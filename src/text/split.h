/* Pre-tokenizers of tokenizer.json: how a text is cut into the words that are encoded one by
 * one.
 */
#ifndef MEGA_TEXT_SPLIT_H
#define MEGA_TEXT_SPLIT_H

#include "base/text.h"
#include "format/node.h"
#include "text/pattern.h"

/* What becomes of the pieces that a pattern finds. */
enum mega_split_behavior {
    MEGA_SPLIT_REMOVED,
    MEGA_SPLIT_ISOLATED,
    MEGA_SPLIT_MERGED_WITH_PREVIOUS,
    MEGA_SPLIT_MERGED_WITH_NEXT,
    MEGA_SPLIT_CONTIGUOUS
};

struct mega_splitter {
    struct mega_split_step {
        enum mega_split {
            MEGA_SPLIT_PATTERN,
            MEGA_SPLIT_CHARACTERS, /* of a class */
            MEGA_SPLIT_METASPACE,  /* blanks become another character */
            MEGA_SPLIT_PREFIX      /* ByteLevel's: a blank before the piece */
        } what;
        enum mega_split_behavior behavior;
        bool invert;                  /* what lies between matches counts as found */
        bool (*is)(uint32_t code);    /* characters */
        struct mega_pattern *pattern; /* pattern */
        struct mega_span mark;        /* metaspace: what blanks become */
        enum { MEGA_MARK_NEVER, MEGA_MARK_FIRST, MEGA_MARK_ALWAYS } prepend;
        bool cut; /* metaspace: at the marks */
    } * step;
    int n;
    bool byte_level; /* words are bytes: each is a symbol of its own */
    bool drops;      /* some blanks are thrown away, so decoding puts them back */
};

enum { MEGA_SPLIT_MOST = 16 }; /* steps */

/* Reads the "pre_tokenizer" of a tokenizer.json (NULL or null: none). Texts point into the
 * document. */
mega_status mega_splitter_read(
    struct mega_splitter *s, const struct mega_document *d, const struct mega_node *node);

/* GPT-2's, as its own files mean it. */
mega_status mega_splitter_gpt2(struct mega_splitter *s);

/* BERT's: white space is thrown away, each punctuation mark is a word. */
mega_status mega_splitter_bert(struct mega_splitter *s);
void mega_splitter_done(struct mega_splitter *s);

/* One thread's memory. */
struct mega_splitting {
    struct mega_matcher *matcher;           /* made when first needed */
    struct mega_text text[MEGA_SPLIT_MOST]; /* what steps rewrite */
};
void mega_splitting_done(struct mega_splitting *w);

/* Calls word() for the words of a text of valid UTF-8, in order; `first`: it begins the whole
 * text.
 */
typedef mega_status mega_word_fn(void *arg, const char *word, size_t n);
mega_status mega_splitter_run(const struct mega_splitter *s, struct mega_splitting *w,
    const char *text, size_t n, bool first, mega_word_fn *word, void *arg);

#endif
