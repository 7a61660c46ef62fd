/* Heads that follow syntax (Voita et al., 2019, section 5.2.2): how often a head looks from one
 * end of a dependency to the other, against the commonest distance of that relation. */
#ifndef MEGA_STUDY_HEAD_SYNTAX_H
#define MEGA_STUDY_HEAD_SYNTAX_H

#include "megac/tokenizer.h"
#include "study/conllu.h"
#include "study/head_maps.h"
#include "study/head_table.h"

/* Subject, object, adjectival and adverbial modifier; from the dependent to its head, and back.
 */
enum { MEGA_RELATIONS = 4, MEGA_SYNTAX_SCORES = 2 * MEGA_RELATIONS };
extern const char *const mega_syntax_names[MEGA_SYNTAX_SCORES]; /* "nsubj", "nsubj_back", ... */

struct mega_head_syntax {
    struct mega_head_table score[MEGA_SYNTAX_SCORES]; /* share of pairs */
    double pairs[MEGA_SYNTAX_SCORES];
    double baseline[MEGA_SYNTAX_SCORES]; /* share at the commonest distance */
    double *distance;                    /* [scores, 2 WIDEST + 1] */
    int64_t left_out;                    /* sentences that the model cannot take whole */
};

mega_status mega_head_syntax_new(struct mega_head_syntax *s, const struct mega_model_heads *h);
void mega_head_syntax_free(struct mega_head_syntax *s);

/* Adds a sentence: word_of[i] is the word that place i is a piece of, or -1. What goes to a
 * word is the sum over its pieces, what comes from it their mean. A pair counts where the query
 * sees the other word. */
mega_status mega_head_syntax_see(struct mega_head_syntax *s, const struct mega_head_maps *m,
    const int32_t *word_of, const struct mega_conllu_sentence *sentence);
void mega_head_syntax_finish(struct mega_head_syntax *s);

/* A score is syntactic if it is at least 0.1 above the baseline. */
bool mega_head_is_syntactic(double score, double baseline);

/* Over the sentences of a file with a language model; where a tokenizer joins words by blanks
 * they are encoded one by one. `start`: an id before each, or -1; a masked model's sentences
 * are framed, and nothing in them is hidden. At most `most` sentences, 0: all. */
mega_status mega_study_syntax(mega_run *r, const mega_model *m, const mega_tokenizer *t,
    int32_t start, const struct mega_conllu *c, int64_t most, struct mega_head_syntax *out);

#endif
