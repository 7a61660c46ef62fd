/* Blocks: scopes of the step's memory.
 *
 * Without a tape all but the carry is dropped when a block ends; with one the outputs of cheap
 * ops may be (passing.c); on the way back all but the carry's gradients is. A block that
 * recomputes runs once without a tape and again, with one, when the backward pass arrives. */
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "graph/run_state.h"

int carry_slots(struct mega_carry *c, mega_tensor **slot[CARRY_MOST])
{
    int n = 0;
    slot[n++] = &c->x;
    slot[n++] = &c->aux;
    for (int i = 0; i < c->n_more && n < CARRY_MOST; i++) slot[n++] = &c->more[i];
    return n;
}

/* a dense copy of `from` at the arena's end */
static mega_tensor *copy_dense(mega_run *r, const mega_tensor *from)
{
    mega_tensor was = *from; /* its own memory may be handed out anew */
    mega_tensor *t = mega_run_memory(r, sizeof *t);
    if (!t) return NULL;
    *t = mega_tensor_over(NULL, was.dtype, was.rank, was.dim);
    t->device = was.device;
    t->wants_grad = was.wants_grad;
    void *data = mega_run_memory(r, mega_size(t));
    if (!data || !was.data) return data ? t : NULL;
    t->data = data;
    mega_tensor_copy(t, &was);
    return t;
}

/* one tensor of the carry becomes another one wherever it stands */
static void replace(struct mega_carry *c, const mega_tensor *was, mega_tensor *now)
{
    mega_tensor **slot[CARRY_MOST];
    for (int i = 0, n = carry_slots(c, slot); i < n; i++)
        if (*slot[i] == was) *slot[i] = now;
}

/* the lowest tensor of the carry that was made between two addresses; NULL: none */
static mega_tensor *lowest(struct mega_carry *c, const char *from, const char *to)
{
    mega_tensor **slot[CARRY_MOST], *least = NULL;
    for (int i = 0, n = carry_slots(c, slot); i < n; i++) {
        const char *at = (const char *)*slot[i];
        if (at && at >= from && at < to && (!least || *slot[i] < least)) least = *slot[i];
    }
    return least;
}

/* Of a tensor whose memory came later than itself: a description that lies before its numbers;
 * else itself. */
static mega_tensor *beside_numbers(mega_run *r, mega_tensor *t)
{
    size_t size = (sizeof *t + MEGA_ALIGN - 1) / MEGA_ALIGN * MEGA_ALIGN;
    char *data = t->data, *at = (char *)t, *arena = r->values.base;
    bool inside = data && at >= arena && data > at && data < arena + r->values.used;
    return inside && data != at + size ? (mega_tensor *)(void *)(data - size) : t;
}

/* Drops everything since the mark but the carry, which moves down, lowest first: a tensor's new
 * place never lies above its old one. Views are made dense first, since two of them may share
 * their numbers. */
static void keep_carry(mega_run *r, size_t mark, struct mega_carry *c)
{
    const char *floor = r->values.base + mark;
    mega_tensor **slot[CARRY_MOST];
    for (int i = 0, n = carry_slots(c, slot); i < n; i++) {
        mega_tensor *t = *slot[i];
        if (!t || (const char *)t < floor) continue;
        replace(c, t, t->base ? copy_dense(r, t) : beside_numbers(r, t));
    }
    const char *end = r->values.base + r->values.used;
    if (r->status) return;
    mega_arena_release(&r->values, mark);
    for (mega_tensor *t; !r->status && (t = lowest(c, floor, end));) {
        replace(c, t, copy_dense(r, t));
        floor = r->values.base + r->values.used;
    }
}

struct place {
    char path[256];
    uint64_t hash;
    int chains;
};

static struct place enter(mega_run *r, const struct mega_block *b)
{
    struct place before = { .hash = r->path_hash, .chains = r->n_chains };
    memcpy(before.path, r->path, sizeof before.path);
    snprintf(r->path, sizeof r->path, "%s", b->path);
    r->path_hash = mega_hash_join(mega_hash_text(b->path), (uint64_t)b->repeat);
    return before;
}

static void leave(mega_run *r, const struct place *before)
{
    memcpy(r->path, before->path, sizeof r->path);
    r->path_hash = before->hash;
    r->n_chains = before->chains;
}

void run_record_block(mega_run *r, enum record_kind kind, struct block_record *b)
{
    struct record *rec = mega_run_memory(r, sizeof *rec);
    if (!rec) return;
    *rec = (struct record){ .before = r->last, .kind = kind, .block = b };
    r->last = rec;
}

/* a copy of the carry that stays as it is while the block changes the original */
static struct mega_carry copy_carry(mega_run *r, const struct mega_carry *c)
{
    struct mega_carry copy = *c;
    if (c->n_more) {
        copy.more = mega_run_memory(r, (size_t)c->n_more * sizeof *c->more);
        if (copy.more) memcpy(copy.more, c->more, (size_t)c->n_more * sizeof *c->more);
    }
    return copy;
}

static struct block_record *new_block_record(mega_run *r, const struct mega_block *b,
    const struct mega_carry *in, const struct mega_rows *rows)
{
    size_t start = mega_arena_mark(&r->values);
    struct block_record *rec = mega_run_memory(r, sizeof *rec);
    if (rec)
        *rec = (struct block_record){
            .block = *b, .in = copy_carry(r, in), .rows = rows, .start = start
        };
    return rec;
}

static void run_without_tape(
    mega_run *r, const struct mega_block *b, struct mega_carry *c, const struct mega_rows *rows)
{
    size_t mark = mega_arena_mark(&r->values);
    bool recording = r->recording;
    r->recording = false;
    struct sweep *sweeps = r->sweeps;
    b->fn(r, b->self, c, rows);
    sweep_run_carry(r, c);
    r->sweeps = sweeps;
    r->recording = recording;
    if (!r->status) keep_carry(r, mark, c);
}

static void run_with_tape(
    mega_run *r, struct block_record *b, struct mega_carry *c, const struct mega_rows *rows)
{
    b->passes = b->block.again == MEGA_AGAIN_CHEAP && !r->depth;
    r->depth++;
    r->passes |= b->passes;
    run_record_block(r, RECORD_BLOCK_BEGIN, b);
    b->block.fn(r, b->block.self, c, rows);
    sweep_run_carry(r, c);
    if (b->passes) passing_leave(r, b, c);
    b->out = copy_carry(r, c);
    run_record_block(r, RECORD_BLOCK_END, b);
    r->depth--;
}

void mega_run_block(
    mega_run *r, const struct mega_block *b, struct mega_carry *c, const struct mega_rows *rows)
{
    sweep_run_carry(r, c);
    if (r->status) return;
    struct place before = enter(r, b);
    bool in_block = r->in_block;
    r->in_block = true;
    if (!r->recording) {
        run_without_tape(r, b, c, rows);
    } else {
        struct block_record *rec = new_block_record(r, b, c, rows);
        if (rec && b->again == MEGA_AGAIN_ALL) {
            run_without_tape(r, b, c, rows);
            rec->out = copy_carry(r, c);
            /* parameters inside may want gradients even where the carry does not */
            mega_tensor **slot[CARRY_MOST];
            for (int i = 0, n = carry_slots(c, slot); i < n; i++)
                if (*slot[i]) (*slot[i])->wants_grad = true;
            run_record_block(r, RECORD_RECOMPUTE, rec);
        } else if (rec) {
            run_with_tape(r, rec, c, rows);
        }
    }
    r->in_block = in_block;
    leave(r, &before);
}

/* ---- the way back ---- */

/* the gradients of what entered must outlive the block: make them before its scope opens */
static void open_gradients(mega_run *r, struct block_record *b)
{
    mega_tensor **slot[CARRY_MOST];
    for (int i = 0, n = carry_slots(&b->in, slot); i < n; i++)
        if (*slot[i] && (*slot[i])->wants_grad && !run_gradient(r, *slot[i])) return;
    b->mark = mega_arena_mark(&r->gradients);
}

/* from the end of a block into it: what its ops leave behind serves those before them */
static void go_in(mega_run *r, struct block_record *b)
{
    open_gradients(r, b);
    if (r->depth++) return;
    r->dead = r->values.used;
    r->dead_passing = b->passing;
}

/* out by its beginning: with the outermost block all that was made in it and after it is gone
 */
static void come_out(mega_run *r, const struct block_record *b)
{
    if (--r->depth) return;
    r->spare.n = 0;
    mega_arena_release(&r->values, b->start);
    mega_arena_release(&r->gradients, b->mark);
}

/* what arrived at a kept output arrives at the new one; a view passes it on to its base */
static void hand_over(mega_run *r, const mega_tensor *old, mega_tensor *new)
{
    if (!new->base)
        new->grad = old->grad;
    else if (old->grad && old->grad->filled)
        mega_run_seed_with(r, new, old->grad);
}

/* the block once more, with a tape, which is walked back at once */
static void again(mega_run *r, struct block_record *b)
{
    r->last = NULL;
    r->recording = r->replaying = true;
    struct mega_carry carry = copy_carry(r, &b->in);
    struct sweep *sweeps = r->sweeps;
    r->in_block = true;
    b->block.fn(r, b->block.self, &carry, b->rows);
    sweep_run_carry(r, &carry);
    r->in_block = false;
    r->sweeps = sweeps;
    r->recording = false;

    r->dead = r->values.used;
    mega_tensor **old[CARRY_MOST], **new[CARRY_MOST];
    int n = carry_slots(&b->out, old);
    carry_slots(&carry, new);
    for (int i = 0; i < n && !r->status; i++)
        if (*old[i] && *new[i] && *new[i] != *old[i]) hand_over(r, *old[i], *new[i]);
    run_walk_back(r);
}

static void recompute(mega_run *r, struct block_record *b)
{
    struct place before = enter(r, &b->block);
    bool replaying = r->replaying;
    go_in(r, b);
    size_t mark = mega_arena_mark(&r->values), dead = r->dead, passing = r->dead_passing;
    r->dead_passing = 0;
    again(r, b);
    /* of the places that died, those below stay spare */
    spare_cut(&r->spare, r->values.base + mark, r->values.base + r->values.used);
    mega_arena_release(&r->values, mark);
    r->dead = dead;
    r->dead_passing = passing;
    r->replaying = replaying;
    come_out(r, b);
    leave(r, &before);
}

void block_backward(mega_run *r, struct record *rec)
{
    switch (rec->kind) {
    case RECORD_BLOCK_END:
        if (rec->block->passes) passing_make(r, rec);
        go_in(r, rec->block);
        break;
    case RECORD_BLOCK_BEGIN: come_out(r, rec->block); break;
    case RECORD_RECOMPUTE: recompute(r, rec->block); break;
    case RECORD_OP: break;
    }
}
