/* The blocks of a model, as far as recomputation sees them. */
#ifndef MEGA_MODEL_STACK_H
#define MEGA_MODEL_STACK_H

#include "base/option.h"
#include "graph/run.h"

/* What the backward pass makes again: nothing, cheap ops, whole blocks, as little as fits. */
enum mega_recompute {
    MEGA_RECOMPUTE_NONE,
    MEGA_RECOMPUTE_CHEAP,
    MEGA_RECOMPUTE_BLOCK,
    MEGA_RECOMPUTE_AUTO,
    MEGA_RECOMPUTE_FALSE, /* as it once was: none and block */
    MEGA_RECOMPUTE_TRUE
};
#define MEGA_RECOMPUTE_CHOICES "none|cheap|block|auto|false|true"

/* The option of every model's table, for a field `int recompute`. */
#define MEGA_RECOMPUTE_OPTION(offset)                                                          \
    {                                                                                          \
        "recompute", MEGA_OPTION_CHOICE, offset, "none", 0, 0, MEGA_RECOMPUTE_CHOICES, NULL,   \
            "what the backward pass makes again rather than keep: cheap ops (norms, gates, "   \
            "dropout), or whole blocks: least memory, a third more time; auto: as little as "  \
            "train.memory asks for; false and true are none and block",                        \
            0                                                                                  \
    }

/* The meaning of what a recipe said: false and true are none and block. */
enum mega_recompute mega_recompute_resolve(int said);

struct mega_stack {
    int64_t blocks;
    enum mega_again *again; /* [blocks] */
};

/* Makes room in the store for so many blocks, with the effort that `recompute` (resolved) asks
 * for; auto begins with none. */
void mega_stack_build(
    mega_build *b, struct mega_stack *s, int64_t blocks, enum mega_recompute recompute);

/* How much is made again from now on: 0 nothing, 1 cheap ops, 1 + n the first n blocks and
 * cheap ops in the others. No result depends on it, and more never needs more memory. */
void mega_stack_set_effort(struct mega_stack *s, int64_t effort);
int64_t mega_stack_effort(const struct mega_stack *s);

#endif
