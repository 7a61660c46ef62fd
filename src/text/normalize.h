/* Normalisers of tokenizer.json: what happens to a text before it is cut into words. */
#ifndef MEGA_TEXT_NORMALIZE_H
#define MEGA_TEXT_NORMALIZE_H

#include "base/text.h"
#include "format/node.h"
#include "text/pattern.h"

struct mega_normalizer {
    struct mega_normal_step {
        enum mega_normal {
            MEGA_NORMAL_NFC,
            MEGA_NORMAL_NFD,
            MEGA_NORMAL_NFKC,
            MEGA_NORMAL_NFKD,
            MEGA_NORMAL_LOWERCASE,
            MEGA_NORMAL_STRIP_ACCENTS,
            MEGA_NORMAL_STRIP,
            MEGA_NORMAL_PREPEND,
            MEGA_NORMAL_REPLACE,
            /* parts of BERT's */
            MEGA_NORMAL_CLEAN,      /* control characters vanish, white space becomes blanks */
            MEGA_NORMAL_IDEOGRAPHS, /* blanks around Chinese characters */
            MEGA_NORMAL_STRIP_MARKS /* Mn alone */
        } what;
        bool left, right;             /* strip */
        struct mega_span text;        /* prepend, replace: what is put there */
        struct mega_pattern *pattern; /* replace */
    } * step;
    int n;
};

/* Reads the "normalizer" of a tokenizer.json (NULL or null: none). Texts point into the
 * document.
 */
mega_status mega_normalizer_read(
    struct mega_normalizer *z, const struct mega_document *d, const struct mega_node *node);
void mega_normalizer_done(struct mega_normalizer *z);

/* What BERT's normaliser does, as steps. */
struct mega_bert_normalizer {
    bool clean, ideographs, strip_accents, lower;
};
mega_status mega_normalizer_bert(
    struct mega_normalizer *z, const struct mega_bert_normalizer *b);

/* Normalises valid UTF-8; the result is in `out` (cleared first), `spare` is used on the way.
 * `goes_on`: nothing is put before the text, nor taken from its front. */
mega_status mega_normalizer_run(const struct mega_normalizer *z, struct mega_matcher *m,
    const char *text, size_t n, bool goes_on, struct mega_text *out, struct mega_text *spare);

#endif
