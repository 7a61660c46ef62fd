#include "model/stack.h"

enum mega_recompute mega_recompute_resolve(int said)
{
    if (said == MEGA_RECOMPUTE_FALSE) return MEGA_RECOMPUTE_NONE;
    if (said == MEGA_RECOMPUTE_TRUE) return MEGA_RECOMPUTE_BLOCK;
    return (enum mega_recompute)said;
}

void mega_stack_build(
    mega_build *b, struct mega_stack *s, int64_t blocks, enum mega_recompute recompute)
{
    *s = (struct mega_stack){ 0 };
    if (b->status) return;
    s->again = mega_arena_zeroed(&b->store->names, (size_t)blocks * sizeof *s->again);
    if (!s->again) {
        b->status =
            mega_fail(MEGA_NO_MEMORY, "no memory to declare %lld blocks", (long long)blocks);
        return;
    }
    s->blocks = blocks;
    mega_stack_set_effort(s, recompute == MEGA_RECOMPUTE_BLOCK   ? 1 + blocks
                             : recompute == MEGA_RECOMPUTE_CHEAP ? 1
                                                                 : 0);
}

void mega_stack_set_effort(struct mega_stack *s, int64_t effort)
{
    /* the first blocks: when their turn comes, those after them are done and their memory is
     * free */
    for (int64_t i = 0; i < s->blocks; i++)
        s->again[i] = i + 1 < effort ? MEGA_AGAIN_ALL
                      : effort       ? MEGA_AGAIN_CHEAP
                                     : MEGA_AGAIN_NOTHING;
}

int64_t mega_stack_effort(const struct mega_stack *s)
{
    int64_t all = 0;
    while (all < s->blocks && s->again[all] == MEGA_AGAIN_ALL) all++;
    return all || (s->blocks && s->again[0]) ? 1 + all : 0;
}
