/* Numbers about heads: a table of layers and of the heads that each once had. */
#ifndef MEGA_STUDY_HEAD_TABLE_H
#define MEGA_STUDY_HEAD_TABLE_H

#include "base/text.h"
#include "model/heads.h"

struct mega_head_table {
    int64_t layers, heads; /* heads of the widest layer */
    double *value;         /* [layers, heads]; NaN: no such head, or it was removed */
};

/* A table for these heads, 0 where there is one. */
mega_status mega_head_table_new(struct mega_head_table *t, const struct mega_model_heads *h);
void mega_head_table_free(struct mega_head_table *t);

static inline double *mega_head_at(const struct mega_head_table *t, int64_t layer, int64_t head)
{
    return &t->value[layer * t->heads + head];
}

int64_t mega_head_table_count(const struct mega_head_table *t); /* heads that are there */

/* Each layer divided by its norm (Michel et al., 2019). */
void mega_head_table_normalise(struct mega_head_table *t);

/* {"name": [[..], ..]}'s member, null for NaN; lines "layer,head,value"; a table for people.
 * Layers and heads count from 0. */
void mega_head_table_json(
    const struct mega_head_table *t, const char *name, struct mega_text *to);
void mega_head_table_csv(const struct mega_head_table *const table[], const char *const name[],
    int n, struct mega_text *to);
void mega_head_table_print(const struct mega_head_table *t, struct mega_text *to);

#endif
