/* What waits for its sweep, and the forward pass. */
#include "graph/sweep.h"

#include <string.h>

#include "op/contracts.h"

extern const struct mega_op mega_op_attention;

enum {
    ROWS = 128,           /* of a block where no window asks for more */
    LONGEST_WINDOW = 512, /* of attention in a sweep: the block is to stay in a core's cache */
    WEIGHTS = 1152 << 10  /* numbers: their sums, one a group, are to stay near, too */
};

/* ---- may it wait? ---- */

/* rows and places of the first input that lies in rows; a parameter lies in none */
static bool shape_of(const struct mega_call *c, int64_t *B, int64_t *T)
{
    int i = 0;
    while (i < MEGA_IN && !(c->op->by_rows >> i & 1)) i++;
    if (i == MEGA_IN || !c->in[i] || c->in[i]->rank != 3 || c->in[i]->param) return false;
    *B = c->in[i]->dim[0];
    *T = c->in[i]->dim[1];
    return *B > 0 && *T > 0 && (!c->rows || (c->rows->B == *B && c->rows->T == *T));
}

/* the longest window of an attention that may wait; 0: it may not */
static int64_t window_of(const struct mega_call *c, int64_t T)
{
    const struct mega_attr_attention *a = c->attr;
    int64_t window = a->chunk > 0 && a->chunk < T ? a->chunk : T;
    bool past = c->in[MEGA_ATTENTION_PAST_K] || c->rows->doc;
    bool others = c->keys || c->in[MEGA_ATTENTION_DECAY_K];
    bool scores = a->weights || a->scores || c->in[MEGA_ATTENTION_BEFORE];
    return past || others || scores || window > LONGEST_WINDOW ? 0 : window;
}

/* rows of a block, so that whole windows and about ROWS of them lie in it; 0: it may not wait
 */
static int64_t unit_of(const mega_run *r, const struct mega_call *c, int64_t T)
{
    int tile = r->context->work.tile;
    int64_t rows = tile ? tile : ROWS;
    if (c->op != &mega_op_attention) return rows;
    int64_t window = window_of(c, T);
    return window < rows && window ? rows / window * window : window;
}

static int64_t weights_of(const struct mega_call *c)
{
    int64_t n = 0;
    for (int i = 0; i < MEGA_IN; i++)
        if (c->in[i] && !(c->op->by_rows >> i & 1) && c->in[i]->wants_grad)
            n += mega_count(c->in[i]);
    return n;
}

bool sweep_takes(const mega_run *r, const struct mega_call *c)
{
    int64_t B, T;
    unsigned not_now = MEGA_RUN_PLAIN | MEGA_RUN_CHECK;
    /* a block knows its first place, not what lies before it */
    if (c->op->by_position && (!c->rows || c->rows->doc || c->rows->real)) return false;
    if (!r->in_block || !c->op->by_rows || (r->args.mode & not_now) ||
        r->args.dtype == MEGA_F64 || r->args.stream)
        return false;
    return shape_of(c, &B, &T) && (!c->rows || (!c->rows->place && !c->rows->fresh)) &&
           unit_of(r, c, T) && weights_of(c) <= WEIGHTS / 2;
}

/* ---- who waits ---- */

static const mega_tensor *whole_of(const mega_tensor *t)
{
    return t->base ? t->base : t;
}

bool sweep_makes(const struct record *rec, const mega_tensor *t)
{
    for (int i = 0; i < MEGA_OUT; i++)
        if (rec->call.out[i] == t) return true;
    return false;
}

static struct record *maker(const struct sweep *s, const mega_tensor *t)
{
    for (int k = 0; k < s->n; k++)
        if (sweep_makes(s->call[k], t)) return s->call[k];
    return NULL;
}

/* whether c reads something that waits */
static bool reads_waiting(const mega_run *r, const struct mega_call *c)
{
    for (int i = 0; r->waiting && i < MEGA_IN; i++)
        if (c->in[i] && maker(r->waiting, whole_of(c->in[i]))) return true;
    return false;
}

/* c goes over the same rows, in the same mode */
static bool fits(const mega_run *r, const struct mega_call *c, int64_t B, int64_t T)
{
    const struct sweep *s = r->waiting;
    unsigned mode = s->call[0]->call.mode;
    if (s->n == SWEEP_CALLS || s->B != B || s->T != T || mode != c->mode) return false;
    if (s->rows && c->rows && s->rows != c->rows) return false;
    bool windows = c->op == &mega_op_attention;
    if (windows && s->windows && unit_of(r, c, T) != s->unit) return false;
    return s->weights + weights_of(c) <= WEIGHTS;
}

void sweep_meet(mega_run *r, const struct mega_call *c, bool takes)
{
    int64_t B, T;
    bool joins = takes && r->waiting && shape_of(c, &B, &T) && fits(r, c, B, T);
    if (r->waiting && !joins && (takes || reads_waiting(r, c))) sweep_run(r, c->in, MEGA_IN);
    for (int i = 0; i < MEGA_IN && !r->status; i++)
        if (c->in[i] && !(r->waiting && maker(r->waiting, whole_of(c->in[i]))))
            sweep_need(r, c->in[i]);
}

void sweep_add(mega_run *r, struct record *rec)
{
    const struct mega_call *c = &rec->call;
    int64_t B = 0, T = 0;
    shape_of(c, &B, &T);
    if (!r->waiting) {
        struct sweep *s = mega_run_memory(r, sizeof *s);
        if (!s) return;
        *s = (struct sweep){
            .before = r->sweeps, .B = B, .T = T, .leaves_padding = r->leaves_padding
        };
        r->waiting = s;
    }
    struct sweep *s = r->waiting;
    if (!s->windows) s->unit = unit_of(r, c, T);
    s->windows |= c->op == &mega_op_attention;
    if (c->rows) s->rows = c->rows;
    s->weights += weights_of(c);
    s->call[s->n++] = rec;
    rec->sweep = s;
}

/* ---- numbers for all rows ---- */

/* with a description before it, for blocks that move what leaves them */
bool sweep_give_memory(mega_run *r, mega_tensor *t)
{
    mega_tensor *twin = mega_run_memory(r, sizeof *twin);
    void *data = twin ? mega_run_memory(r, mega_size(t)) : NULL;
    if (!data) return false;
    t->waits = false;
    if (!(r->args.mode & MEGA_RUN_DRY)) t->data = data;
    *twin = *t;
    return true;
}

void sweep_need(mega_run *r, mega_tensor *t)
{
    mega_tensor *whole = t->base ? t->base : t;
    struct record *rec = NULL;
    for (const struct sweep *s = r->sweeps; whole->waits && s && !rec; s = s->before)
        rec = maker(s, whole);
    if (rec) {
        for (int i = 0; i < MEGA_IN; i++)
            if (rec->call.in[i]) sweep_need(r, rec->call.in[i]);
        for (int i = 0; i < MEGA_OUT; i++)
            if (rec->call.out[i] && rec->call.out[i]->waits &&
                !sweep_give_memory(r, rec->call.out[i]))
                return;
        run_forward(r, &rec->call, MEGA_PROFILE_AGAIN, rec->chain);
    }
    if (t->base && whole->data)
        t->data = (char *)whole->data + (size_t)t->offset * mega_dtype_size(whole->dtype);
}

/* ---- the forward pass ---- */

static bool read_inside(const struct sweep *s, const mega_tensor *t)
{
    for (int k = 0; k < s->n; k++)
        for (int i = 0; i < MEGA_IN; i++) {
            const mega_tensor *in = s->call[k]->call.in[i];
            if (in && whole_of(in) == t) return true;
        }
    return false;
}

static bool is_root(const mega_tensor *t, mega_tensor *const *root, int n)
{
    for (int i = 0; i < n; i++)
        if (root[i] && whole_of(root[i]) == t) return true;
    return false;
}

/* what somebody outside asks for, or nobody inside, has memory */
static void give_roots(mega_run *r, const struct sweep *s, mega_tensor *const *root, int n)
{
    for (int k = 0; k < s->n; k++)
        for (int i = 0; i < MEGA_OUT; i++) {
            mega_tensor *t = s->call[k]->call.out[i];
            if (t && t->waits && (is_root(t, root, n) || !read_inside(s, t)))
                if (!sweep_give_memory(r, t)) return;
        }
}

int64_t sweep_blocks(const struct sweep *s)
{
    return s->B * ((s->T + s->unit - 1) / s->unit);
}

/* zeros in outputs that have memory: somebody outside may go over them */
static void clear_block(struct lane *l)
{
    for (int k = 0; k < l->p->s->n; k++)
        for (int i = 0; i < MEGA_OUT; i++) {
            short out = l->p->step[k].out[i];
            if (out >= 0 && l->p->place[out].kind == PLACE_ROWS)
                mega_tensor_zero(&l->value[out]);
        }
}

static void forward_lane(void *arg, int64_t i, struct mega_arena *scratch)
{
    const struct plan *p = arg;
    struct lane l;
    plan_lane(&l, p, scratch);
    plan_block(&l, i);
    if (l.left_out)
        clear_block(&l);
    else
        for (int k = 0; k < p->s->n; k++) plan_forward(&l, &p->step[k]);
    l.inner->shelf = NULL;
}

static void forward(mega_run *r, const struct sweep *s)
{
    struct plan p;
    size_t mark = mega_arena_mark(&r->values);
    if (plan_make(&p, r, s)) {
        plan_room_forward(&p);
        struct mega_work *work = &r->context->work;
        double start = mega_profile_start(r->profile);
        mega_arena_release(&work->scratch[work->threads], 0);
        mega_lanes(work, sweep_blocks(s), (double)(s->B * s->T) * 1000, forward_lane, &p);
        plan_profile(&p, false, start);
    }
    mega_arena_release(&r->values, mark);
}

/* What a sweep takes beside values and gradients: sums of the groups, packed weights; of each
 * thread values and gradients of a block, twice for what kernels need beside them. */
static size_t scratch_of(const mega_run *r, const struct sweep *s)
{
    int64_t widths = 0, groups = sweep_groups(s);
    for (int k = 0; k < s->n; k++)
        for (int i = 0; i < MEGA_OUT; i++)
            if (s->call[k]->call.out[i]) widths += mega_width(s->call[k]->call.out[i]);
    int64_t rows = s->unit * r->context->work.threads;
    return (size_t)((groups + 2) * s->weights + 3 * rows * widths) * sizeof(float);
}

/* What was called after the sweep's last call lies before the sweep's memory, and the backward
 * pass reads that memory later than it is done with those. */
static void share(mega_run *r, const struct sweep *s)
{
    if (!(s->call[0]->call.mode & MEGA_RUN_GRAD)) return;
    for (struct record *rec = r->last; rec && rec->kind == RECORD_OP && rec->sweep != s;
         rec = rec->before)
        rec->shared = true;
}

void sweep_run(mega_run *r, mega_tensor *const *root, int n)
{
    struct sweep *s = r->waiting;
    if (!s || r->status) return;
    r->waiting = NULL;
    r->sweeps = s;
    size_t scratch = scratch_of(r, s);
    if (scratch > r->scratch) r->scratch = scratch;
    give_roots(r, s, root, n);
    sweep_keep(r, s);
    share(r, s);
    if (!r->status && !(r->args.mode & MEGA_RUN_DRY)) forward(r, s);
    for (int i = 0; i < n && !r->status; i++)
        if (root[i]) sweep_need(r, root[i]);
}

void sweep_run_carry(mega_run *r, struct mega_carry *c)
{
    mega_tensor **slot[CARRY_MOST], *root[CARRY_MOST];
    int n = carry_slots(c, slot);
    for (int i = 0; i < n; i++) root[i] = *slot[i];
    sweep_run(r, root, n);
}
