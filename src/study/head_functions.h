/* What heads do, told from their attention weights (Voita et al., 2019, section 5; entropy and
 * distance: Clark et al., 2019).
 *
 * Queries are the real places but the end token; what goes to the end token is left out of a
 * largest weight, not of the others, and nothing is normalised again. */
#ifndef MEGA_STUDY_HEAD_FUNCTIONS_H
#define MEGA_STUDY_HEAD_FUNCTIONS_H

#include "study/head_importance.h"
#include "study/head_maps.h"

enum { MEGA_RARE_RANK = 500 }; /* rarer than so many tokens: rare */

/* Sums over texts, and what they give. */
struct mega_head_functions {
    int32_t end;          /* id that is left out; -1: none */
    const int64_t *count; /* [vocabulary] how often ids come; NULL: rare tokens are not told */
    int64_t vocabulary, longest; /* texts have at most so many places */
    int64_t *rank;               /* [vocabulary] 0: the most frequent */
    bool skip_border; /* queries that have no place at the commonest offset do not count in
                         `position` */
    double *queries, *rare_queries, *offset; /* sums; offset [layers, heads, 2 longest + 1] */
    double *exists, *rare_texts; /* [2 longest + 1]: queries that have it; [layers, heads] */
    /* after mega_head_functions_finish: */
    struct mega_head_table confidence; /* mean of the largest weight */
    struct mega_head_table entropy;    /* mean entropy of a query's weights, nats */
    struct mega_head_table relative;   /* the same, of the logarithm of the keys it sees */
    struct mega_head_table distance;   /* mean distance to what is looked at */
    struct mega_head_table
        position;                 /* share of queries whose largest weight is at one offset */
    struct mega_head_table where; /* that offset */
    struct mega_head_table rarest, rare_two; /* share that points at the rarest token, at one of
                                                the two rarest */
    struct mega_head_table majority; /* share of texts most of whose queries point there */
};

mega_status mega_head_functions_new(struct mega_head_functions *f,
    const struct mega_model_heads *h, int64_t longest, int32_t end, const int64_t *count,
    int64_t vocabulary);
void mega_head_functions_free(struct mega_head_functions *f);

void mega_head_functions_see(struct mega_head_functions *f, const struct mega_head_maps *m);
void mega_head_functions_finish(struct mega_head_functions *f);

/* A head is positional if its share is at least 0.9. */
bool mega_head_is_positional(double share);

/* The place among from ... to-1 of the largest weight, the first of equals, without places that
 * hold `end`; -1: none. */
int64_t mega_head_looks_at(
    const float *weight, const int32_t *id, int32_t end, int64_t from, int64_t to);

/* The same over data: counts ids first. */
mega_status mega_study_functions(const struct mega_study_data *d, const mega_model *m,
    int32_t end, bool skip_border, struct mega_head_functions *out);

#endif
