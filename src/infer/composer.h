/* A composer: texts continued token by token, many side by side.
 *
 * A text's continuation depends on its ids, the model, the seed and its number alone, not on
 * what else is composed. It ends at an end token, when its listener says so, after as many
 * tokens as asked for, or when the context is full: a context of n places holds n ids, and one
 * more token can follow them. */
#ifndef MEGA_INFER_COMPOSER_H
#define MEGA_INFER_COMPOSER_H

#include "infer/sampler.h"
#include "infer/slots.h"
#include "megac/generate.h"

struct mega_compose_options {
    struct mega_sampling sampling;
    int64_t rows;       /* texts side by side, at most */
    int64_t piece;      /* places of a text that is read in, in one pass */
    int64_t tokens;     /* new ones of a text; 0: any number */
    bool slide;         /* a full context goes on with its later half, read in afresh */
    const int32_t *end; /* [n_end] ids that end a text, borrowed; they belong to it */
    int n_end;
};

/* A text under way. */
struct mega_draft {
    int32_t *id; /* [n]: what was given, and what followed */
    int64_t n, space;
    int64_t from;    /* where its newest continuation begins */
    int64_t fed;     /* ids that its slot has seen */
    int64_t made;    /* tokens of that */
    uint64_t number; /* of the sample: draws depend on it */
    int64_t slot;    /* -1: none yet, or no longer */
    uint64_t *seen;  /* the ids in it; NULL without a repetition penalty */
    enum mega_ending ending;
};

/* Hears of each new token, d->id[d->n - 1]; may end the text by returning something other than
 * MEGA_ENDING_NONE (MEGA_ENDING_INTERRUPTED ends the work, the others this text). When a text
 * ends it is called once more, with d->ending set. */
typedef enum mega_ending mega_compose_fn(void *arg, int64_t draft, const struct mega_draft *d);

struct mega_composer {
    struct mega_compose_options options;
    const struct mega_step_model *model;
    mega_run *run;
    enum mega_isa isa;
    struct mega_sampler sampler;
    struct mega_slots slots; /* made when work begins */
    bool has_slots;
    int64_t *taken; /* [slots.rows] draft in each slot, -1: free */
    struct mega_draft *draft;
    int64_t n, space;
    mega_compose_fn *listen;
    void *arg;
};

mega_status mega_composer_init(struct mega_composer *c, const struct mega_step_model *model,
    mega_run *run, enum mega_isa isa, const struct mega_compose_options *options);
void mega_composer_done(struct mega_composer *c);

/* Other options for what follows; rows and piece stay. */
mega_status mega_composer_set_options(
    struct mega_composer *c, const struct mega_compose_options *options);

/* A new text of n >= 1 ids, composed by the next run. Refuses one that the context does not
 * hold (unless it slides: then its last ids are read), and ids that are none. */
mega_status mega_composer_add(
    struct mega_composer *c, const int32_t *id, int64_t n, uint64_t number);

/* More ids behind a text that has ended; the next run goes on with it. n may be 0: then a text
 * that ended by its own end stays ended. It must still have its slot: no more texts were added
 * than options.rows. */
mega_status mega_composer_extend(
    struct mega_composer *c, int64_t draft, const int32_t *id, int64_t n);

/* A text that was under way elsewhere: `fed` of its ids stand in the row of a stream that the
 * caller puts into its slot. */
mega_status mega_composer_take_up(struct mega_composer *c, const int32_t *id, int64_t n,
    int64_t fed, uint64_t number, enum mega_ending ending);

/* Composes until every text has ended. */
mega_status mega_composer_run(struct mega_composer *c, mega_compose_fn *listen, void *arg);

/* The slots, if there are none yet: for those who fill them from a file. */
mega_status mega_composer_open_slots(struct mega_composer *c, int64_t rows);

#endif
