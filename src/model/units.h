/* The units of a model that have gates, of every kind, and what each costs. */
#ifndef MEGA_MODEL_UNITS_H
#define MEGA_MODEL_UNITS_H

#include "model/model.h"

enum mega_unit_kind {
    MEGA_UNIT_HEADS,       /* of self-attention */
    MEGA_UNIT_CROSS_HEADS, /* of cross-attention */
    MEGA_UNIT_GROUPS,      /* of heads that share keys and values */
    MEGA_UNIT_BRANCHES,    /* attention as a whole */
    MEGA_UNIT_CHANNELS,    /* blocks of a feed-forward's channels */
    MEGA_UNIT_KINDS
};

/* What they are called: many of them ("heads"), what log.jsonl calls their gates ("gates"), the
 * option that gives them ("head_gates"). */
struct mega_unit_words {
    const char *units, *gates, *option;
};
extern const struct mega_unit_words mega_unit_words[MEGA_UNIT_KINDS];

/* The units of one kind in one layer; none where all were removed. */
struct mega_unit_set {
    enum mega_unit_kind kind;
    int64_t layer; /* among those of its kind, from 0 */
    const struct mega_head_gates *gates;
    double cost; /* parameters that go with one of them; with gates of heads and of their group
                    each has its own: queries and outputs, keys and values */
};

struct mega_model_units {
    struct mega_unit_set *set;
    int64_t n;
};

/* All of a model, layer by layer; none in one whose options speak of no gates. */
mega_status mega_model_units_find(struct mega_model_units *u, const mega_model *m);

/* Adds those of one Transformer. */
mega_status mega_transformer_units_add(
    struct mega_model_units *u, const struct mega_transformer *t);
void mega_model_units_done(struct mega_model_units *u);

#endif
