/* The plan of a Transformer: which sublayers there are, and in which order they are executed.
 * Modules hold parameters; an execution is one use of a module (spec: slot M2). */
#ifndef MEGA_MODEL_PLAN_H
#define MEGA_MODEL_PLAN_H

#include "base/arena.h"
#include "base/fail.h"
#include "base/option.h"

struct mega_plan_options {
    int64_t layers;               /* L: base blocks */
    const char *layer_types;      /* the sublayers by hand: "affa"; "": base blocks */
    struct mega_ints layer_order; /* modules as they are executed; 0: each once, in order */
    struct mega_ints repeat;      /* first and last module, times; 0: none */
    int64_t sandwich_coef;        /* s: a^s (af)^(L-s) f^s (Press et al., 2019); 0: none */
    int64_t par_ratio; /* R: sublayers for one attention (Mandava et al., 2020); 0: none */
    bool macaron;      /* f a f, with halves of the feed-forwards (Lu et al., 2019) */
    bool tied;         /* one base block, executed L times (ALBERT: Lan et al., 2019) */
    bool cross_attend; /* attention to a context in every block */
    bool only_cross;   /* in place of self-attention */
    struct mega_reals layer_dropout; /* an execution is left out in training */
    bool drop_path;                  /* row by row, what stays is rescaled */
    int64_t loops;      /* times that all of it is executed, each on what the last gave; 0: 1 */
    int64_t eval_loops; /* the same outside of training; 0: as in training */
};

#define MEGA_PLAN_FIELD(at, member) ((at) + offsetof(struct mega_plan_options, member))
#define MEGA_PLAN_OPTIONS(at)                                                                  \
    { "layers", MEGA_OPTION_INT, MEGA_PLAN_FIELD(at, layers), "6", 1, 1000, NULL, "N",         \
        "number of layers: attention and a feed-forward each", 0 },                            \
        { "layer_types", MEGA_OPTION_TEXT, MEGA_PLAN_FIELD(at, layer_types), "", 0, 0, NULL,   \
            "TEXT",                                                                            \
            "sublayers by hand, in place of layers: a attention, c attention to a context, f " \
            "feed-forward, as in affa",                                                        \
            0 },                                                                               \
        { "layer_order", MEGA_OPTION_INTS, MEGA_PLAN_FIELD(at, layer_order), "0", 0, 10000,    \
            NULL, "LIST", "numbers of the sublayers as they are executed; 0: once each", 0 },  \
        { "repeat_blocks", MEGA_OPTION_INTS, MEGA_PLAN_FIELD(at, repeat), "0", 0, 10000, NULL, \
            "LIST", "[first, last, times]: blocks executed several times; 0: none", 0 },       \
        { "sandwich_coef", MEGA_OPTION_INT, MEGA_PLAN_FIELD(at, sandwich_coef), "0", 0, 1000,  \
            NULL, "N", "so many attentions first, as many feed-forwards last", 0 },            \
        { "par_ratio", MEGA_OPTION_INT, MEGA_PLAN_FIELD(at, par_ratio), "0", 0, 2000, NULL,    \
            "N", "one attention in so many sublayers, none near the end", 0 },                 \
        { "macaron", MEGA_OPTION_BOOL, MEGA_PLAN_FIELD(at, macaron), "false", 0, 0, NULL,      \
            NULL, "half a feed-forward before and after each attention", 0 },                  \
        { "weight_tie_layers", MEGA_OPTION_BOOL, MEGA_PLAN_FIELD(at, tied), "false", 0, 0,     \
            NULL, NULL, "all layers are one, executed again and again", 0 },                   \
        { "layer_dropout", MEGA_OPTION_REALS, MEGA_PLAN_FIELD(at, layer_dropout), "0", 0,      \
            0.999, NULL, "P", "sublayers left out in training", 0 },                           \
    {                                                                                          \
        "drop_path", MEGA_OPTION_BOOL, MEGA_PLAN_FIELD(at, drop_path), "false", 0, 0, NULL,    \
            NULL, "layer_dropout row by row; what stays is rescaled", 0                        \
    }

/* of stacks that may go round */
#define MEGA_PLAN_LOOP_OPTIONS(at)                                                             \
    { "loops", MEGA_OPTION_INT, MEGA_PLAN_FIELD(at, loops), "1", 1, 100, NULL, "N",            \
        "times that the stack is executed, each on what the last gave, with a gate for where " \
        "to stop",                                                                             \
        0 },                                                                                   \
    {                                                                                          \
        "eval_loops", MEGA_OPTION_INT, MEGA_PLAN_FIELD(at, eval_loops), "0", 0, 100, NULL,     \
            "N", "loops outside of training, at most; 0: as loops says", 0                     \
    }

/* of stacks that may have a context */
#define MEGA_PLAN_CROSS_OPTIONS(at)                                                            \
    { "cross_attend", MEGA_OPTION_BOOL, MEGA_PLAN_FIELD(at, cross_attend), "false", 0, 0,      \
        NULL, NULL, "attention to a context in every layer", 0 },                              \
    {                                                                                          \
        "only_cross", MEGA_OPTION_BOOL, MEGA_PLAN_FIELD(at, only_cross), "false", 0, 0, NULL,  \
            NULL, "attention to a context in place of attention to the text itself", 0         \
    }

enum mega_branch_kind { MEGA_BRANCH_ATTENTION, MEGA_BRANCH_CROSS, MEGA_BRANCH_MLP };

struct mega_layer_plan {
    int64_t modules, steps;
    int64_t pass;                /* executions of one loop; steps is a multiple */
    enum mega_branch_kind *kind; /* [modules] */
    bool *half;                  /* [modules]: a Macaron feed-forward */
    int64_t *step;               /* [steps]: the module that is executed, loop by loop */
    int64_t *block;              /* [steps]: the base block it belongs to; -1 by hand */
    int64_t count[3];            /* modules of each kind */
};

/* Times that the plan is executed in training, or else. */
int64_t mega_plan_loops(const struct mega_plan_options *o, bool training);

/* Lays the plan out in the arena; what cannot be is refused by name. */
mega_status mega_layer_plan_make(
    struct mega_layer_plan *p, const struct mega_plan_options *o, struct mega_arena *arena);

#endif
