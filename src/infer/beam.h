/* Beam search (Mega section 14.1; the rules are fairseq's).
 *
 * Each sentence has `beam` hypotheses. In a step every hypothesis is continued by every token;
 * the best 2 beam of all continuations are ranked, by the sum of natural logarithms of
 * probabilities. Of the first `beam` of these, those that end are finished; the best `beam` of
 * those that do not go on. A sentence is over when it has `beam` finished hypotheses, or at the
 * longest length, where only the end can follow. Nothing is cut off by a bound.
 *
 * A finished hypothesis of n tokens, the end counted and the start not, is scored by
 *
 *   score = sum / n^length_penalty
 *
 * so a penalty of 0 divides by nothing; Hugging Face's penalty of the same name differs.
 * Logarithms are natural here; fairseq prints them to base 2. */
#ifndef MEGA_INFER_BEAM_H
#define MEGA_INFER_BEAM_H

#include "base/arena.h"
#include "infer/stepper.h"

struct mega_beam_options {
    int64_t beam;           /* at most the vocabulary less one */
    int64_t longest;        /* tokens before the end, at most */
    int64_t least;          /* tokens before the end, at least (1) */
    double length_penalty;  /* (1) */
    double unknown_penalty; /* taken off the logarithm of the unknown token's probability (0) */
    double temperature;     /* logits are divided by it (1) */
    int64_t ngram; /* so many tokens in a row come only once, the start among them; 0: off */
    int32_t start, end;   /* what stands before a text, and what ends it */
    int32_t pad, unknown; /* -1: there is none; padding never follows */
};

struct mega_hypothesis {
    const int32_t *id; /* [n], the end the last of them */
    const double *by;  /* [n]: what each token adds to the sum */
    int64_t n;
    double sum, score;
};

struct mega_beam_results {
    struct mega_arena arena;
    struct mega_hypothesis *found; /* [sentences, beam], of each the best first */
    int64_t *n;                    /* [sentences]: how many were found */
    int64_t beam;
};

/* The score of a hypothesis of n tokens, its end counted. */
double mega_beam_score(double sum, int64_t n, double length_penalty);

/* Searches for sentences x beam rows of a stepper that have seen nothing yet but what the
 * stepper itself knows of the sentence, row i x beam + j being hypothesis j of sentence i. An
 * ensemble is a stepper whose logits are logarithms of averaged probabilities. The results are
 * yours to end, also after a failure. */
mega_status mega_beam_search(struct mega_beam_results *r, const struct mega_stepper *s,
    int64_t sentences, const struct mega_beam_options *o);
void mega_beam_results_done(struct mega_beam_results *r);

#endif
