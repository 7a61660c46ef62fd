/* QK-clip (Kimi K2: 2507.20534): heads whose largest score grew beyond a bound are brought back
 * by their projections, queries and keys by the root of what is too much each. */
#include <math.h>
#include <stddef.h>

#include "graph/param.h"

/* rows of head h times `by` */
static void scale_head(mega_tensor *t, int64_t h, int64_t heads, double by)
{
    int64_t n = t ? mega_count(t) / heads : 0, width = t && t->rank > 1 ? mega_width(t) : 1;
    for (int64_t i = h * n; i < (h + 1) * n; i++)
        mega_put(t, t->rank > 1 ? i / width : 0, t->rank > 1 ? i % width : i,
            by * mega_get(t, t->rank > 1 ? i / width : 0, t->rank > 1 ? i % width : i));
}

static void clip(struct mega_clip *c)
{
    /* keys that several heads share stay: one head's score is not the others' affair */
    bool own = c->groups == c->heads;
    for (int64_t h = 0; h < c->heads; h++) {
        double by = c->most / c->peak[h];
        if (c->peak[h] > c->most) {
            scale_head(c->q, h, c->heads, own ? sqrt(by) : by);
            scale_head(c->q_bias, h, c->heads, own ? sqrt(by) : by);
            if (own) scale_head(c->k, h, c->heads, sqrt(by));
            if (own) scale_head(c->k_bias, h, c->heads, sqrt(by));
        }
        c->peak[h] = 0;
    }
}

void mega_store_clip_heads(struct mega_store *s)
{
    for (struct mega_clip *c = s->first_clip; c; c = c->next) clip(c);
}

void mega_clip_add(mega_build *b, const struct mega_clip *clip)
{
    struct mega_clip *c = b->status ? NULL : mega_arena_zeroed(&b->store->names, sizeof *c);
    if (!c) {
        if (!b->status)
            b->status = mega_fail(MEGA_NO_MEMORY, "no memory for the bound of heads");
        return;
    }
    *c = *clip;
    c->next = b->store->first_clip;
    b->store->first_clip = c;
}
