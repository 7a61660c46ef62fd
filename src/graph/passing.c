/* Passing values: outputs of cheap ops (norms, gates, dropout) inside a block.
 *
 * Keeping them costs as much memory as a product's output, making them again a fraction of the
 * product's time. So they lie in an arena that starts anew with every block: the forward pass
 * of the next block writes over them, and when the backward pass enters a block its cheap ops
 * run once more, in their order, by the same kernels, to the same bits. What leaves the block
 * with its carry is moved among the values first. */
#include <string.h>

#include "graph/run_state.h"

static bool begins(const struct record *rec, const struct block_record *b)
{
    return rec->kind == RECORD_BLOCK_BEGIN && rec->block == b;
}

static void follow_base(mega_tensor *view)
{
    const mega_tensor *base = view->base;
    view->passing = base->passing;
    if (base->data)
        view->data = (char *)base->data + (size_t)view->offset * mega_dtype_size(base->dtype);
}

/* its numbers among the values from now on; false after an error */
static bool move(mega_run *r, mega_tensor *t)
{
    void *data = mega_run_memory(r, mega_size(t));
    if (!data) return false;
    t->passing = false;
    if (t->data) t->data = memcpy(data, t->data, mega_size(t));
    return true;
}

/* views inside the block look where their bases have gone */
static void turn_views(mega_run *r, const struct block_record *b)
{
    for (struct record *rec = r->last; !begins(rec, b); rec = rec->before)
        for (int i = 0; rec->kind == RECORD_OP && i < MEGA_IN; i++)
            if (rec->call.in[i] && rec->call.in[i]->base) follow_base(rec->call.in[i]);
}

void passing_leave(mega_run *r, struct block_record *b, struct mega_carry *c)
{
    mega_tensor **slot[CARRY_MOST];
    bool moved = false;
    for (int i = 0, n = carry_slots(c, slot); i < n && !r->status; i++) {
        mega_tensor *t = *slot[i], *whole = t && t->base ? t->base : t;
        if (whole && whole->passing) moved |= move(r, whole);
        if (t && t->base) follow_base(t);
    }
    if (moved && !r->status) turn_views(r, b);
    b->passing = r->passing.used;
    mega_arena_release(&r->passing, 0);
    r->passes = false;
}

static bool passes(const struct record *rec)
{
    return rec->kind == RECORD_OP && rec->call.out[0]->passing;
}

void passing_make(mega_run *r, const struct record *end)
{
    size_t mark = mega_arena_mark(&r->values), n = 0;
    for (const struct record *rec = end->before; !begins(rec, end->block); rec = rec->before)
        n += passes(rec);
    const struct record **list = mega_run_memory(r, (n + 1) * sizeof *list);
    if (!list) return;
    /* the tape runs backwards */
    size_t at = n;
    for (const struct record *rec = end->before; !begins(rec, end->block); rec = rec->before)
        if (passes(rec)) list[--at] = rec;
    for (size_t i = 0; i < n; i++)
        run_forward(r, &list[i]->call, MEGA_PROFILE_AGAIN, list[i]->chain);
    mega_arena_release(&r->values, mark);
}
