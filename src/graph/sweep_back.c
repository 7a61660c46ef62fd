/* The backward pass of a sweep. */
#include <string.h>

#include "graph/sweep.h"
#include "kernel/cpu/matrix.h"
#include "kernel/cpu/rows.h"

enum {
    MOST_GROUPS = 16,
    BLOCKS_A_GROUP = 8, /* so that a group's sums are read seldom beside what is summed */
    LEAST_GROUPS = 4    /* if there are so many blocks */
};

struct back {
    struct plan p;
    int64_t blocks, groups;
    size_t part; /* bytes of a group's sums */
    char *parts; /* [groups] */
};

/* ---- where gradients lie ---- */

static size_t sum_bytes(const mega_tensor *t)
{
    return mega_matrix_bytes(mega_height(t), mega_width(t));
}

/* those that have come from outside */
static void arrive(struct place *p)
{
    if (!p->made || !p->t->grad) return;
    p->slope = SLOPE_FULL;
    p->full = p->t->grad;
    p->filled = p->full->filled;
}

static void place_full(mega_run *r, struct place *p)
{
    p->slope = SLOPE_FULL;
    p->full = run_gradient(r, p->t);
    p->filled = p->full && p->full->filled;
}

/* the gradient of place i, which somebody wants */
static void place_slope(struct back *b, int i)
{
    struct place *p = &b->p.place[i];
    if (p->slope != SLOPE_NONE) return;
    if (p->kind == PLACE_WHOLE) {
        p->slope = SLOPE_SUM;
        p->full = run_gradient(b->p.r, p->t);
        p->offset = b->part;
        b->part += sum_bytes(p->t);
    } else if (p->kind == PLACE_VIEW && p->made) {
        struct place *base = &b->p.place[p->base];
        if (base->slope == SLOPE_FULL) {
            place_full(b->p.r, p);
            return;
        }
        /* views that are not apart add to zeros */
        base->cleared |= !base->parted && !base->filled;
        base->slope = SLOPE_SCRATCH;
        base->filled = true;
        p->slope = SLOPE_VIEW;
        p->filled = !base->parted;
    } else if (p->made) {
        p->slope = SLOPE_SCRATCH;
    } else {
        place_full(b->p.r, p);
    }
}

static short base_of(const struct plan *p, short i)
{
    return p->place[i].kind == PLACE_VIEW ? p->place[i].base : i;
}

/* ---- gradients of views ---- */

static bool apart(const mega_tensor *a, const mega_tensor *b)
{
    return a->offset + mega_width(a) <= b->offset || b->offset + mega_width(b) <= a->offset;
}

static bool is_view_of(const struct plan *p, int i, int base)
{
    return p->place[i].kind == PLACE_VIEW && p->place[i].base == base;
}

/* whether place i, of which there are views, is read through them alone and these are apart */
static bool views_are_apart(const struct plan *p, int i)
{
    for (int k = 0; k < p->s->n; k++)
        for (int j = 0; j < MEGA_IN; j++)
            if (p->step[k].in[j] == i) return false;
    for (int a = 0; a < p->n; a++)
        for (int b = 0; b < a && is_view_of(p, a, i); b++)
            if (is_view_of(p, b, i) && !apart(p->place[a].t, p->place[b].t)) return false;
    return true;
}

static void find_parted(struct plan *p)
{
    for (int i = 0; i < p->n; i++) p->place[i].parted = views_are_apart(p, i);
}

/* columns that no view brings a gradient to are zeros */
static void cover(struct plan *p)
{
    for (int i = 0; i < p->n; i++) {
        struct place *base = &p->place[i];
        int64_t covered = 0;
        for (int k = 0; k < p->n; k++)
            if (is_view_of(p, k, i) && p->place[k].slope == SLOPE_VIEW && p->place[k].filled)
                covered += mega_width(p->place[k].t);
        if (base->parted && covered) base->cleared = covered < mega_width(base->t);
    }
}

/* ---- one call ---- */

/* as graph/tape.c does for a call alone */
static void plan_back(struct back *b, struct step *s)
{
    const struct mega_call *c = &s->rec->call;
    for (int i = 0; i < MEGA_OUT; i++)
        if (s->out[i] >= 0 && b->p.place[s->out[i]].filled) s->arrived |= 1u << i;
    for (int i = 0; s->arrived && i < c->op->n_in; i++) {
        if (s->in[i] < 0 || !c->in[i]->wants_grad) continue;
        place_slope(b, s->in[i]);
        struct place *p = &b->p.place[s->in[i]];
        s->wants |= 1u << i;
        /* the same tensor at two inputs: both add, to zeros (a group's sums have begun so) */
        for (int k = 0; k < i && p->slope != SLOPE_SUM; k++)
            if (s->in[k] == s->in[i] && (s->wants >> k & 1) && !p->filled) {
                s->clear |= 1u << i;
                s->add |= 1u << k;
                p->filled = true;
            }
        if (p->filled || p->slope == SLOPE_SUM) s->add |= 1u << i;
    }
    for (int i = 0; i < c->op->n_in; i++)
        if (s->wants >> i & 1) b->p.place[s->in[i]].filled = true;
}

int64_t sweep_groups(const struct sweep *s)
{
    int64_t blocks = sweep_blocks(s), n = blocks / BLOCKS_A_GROUP;
    int64_t least = blocks < LEAST_GROUPS ? blocks : LEAST_GROUPS;
    return n < least ? least : n > MOST_GROUPS ? MOST_GROUPS : n;
}

/* ---- one block ---- */

static mega_tensor sum_of(const struct place *p, char *part)
{
    mega_tensor t = *p->full;
    t.stride = mega_matrix_easy_stride(mega_width(&t));
    t.data = part + p->offset;
    return t;
}

static void make_slopes(struct lane *l, char *part)
{
    for (int i = 0; i < l->p->n; i++) {
        const struct place *p = &l->p->place[i];
        switch (p->slope) {
        case SLOPE_NONE: break;
        case SLOPE_SCRATCH: l->slope[i] = plan_scratch(l, p->t, &p->slope_room); break;
        case SLOPE_VIEW: l->slope[i] = plan_view(&l->slope[p->base], p->t); break;
        case SLOPE_FULL: l->slope[i] = plan_rows(l, p->full); break;
        case SLOPE_SUM: l->slope[i] = sum_of(p, part); break;
        }
    }
}

static void step_back(struct lane *l, const struct step *s)
{
    double start = l->seconds ? mega_clock_s() : 0;
    struct mega_call c = plan_call(l, s);
    struct mega_grads g = { .add = s->add, .touched = ~0u };
    for (int i = 0; i < MEGA_OUT; i++)
        if (s->arrived >> i & 1) g.out[i] = &l->slope[s->out[i]];
    for (int i = 0; i < MEGA_IN; i++) {
        if (!(s->wants >> i & 1)) continue;
        g.in[i] = &l->slope[s->in[i]];
        if (s->begins >> i & 1) mega_tensor_zero(&l->slope[base_of(l->p, s->in[i])]);
        if (s->clear >> i & 1) mega_tensor_zero(g.in[i]);
    }
    c.kernel->backward(&c, &g);
    if (l->seconds) l->seconds[2 * (s - l->p->step) + 1] += mega_clock_s() - start;
}

/* no gradient comes to the block, and none goes on */
static void clear_slopes(struct lane *l)
{
    for (int i = 0; i < l->p->n; i++) {
        const struct place *p = &l->p->place[i];
        if (p->slope == SLOPE_FULL && p->filled && !p->full->filled)
            mega_tensor_zero(&l->slope[i]);
    }
}

static void block_back(struct lane *l, int64_t i, char *part)
{
    size_t mark = mega_arena_mark(l->scratch);
    plan_block(l, i);
    make_slopes(l, part);
    if (l->left_out) {
        clear_slopes(l);
        mega_arena_release(l->scratch, mark);
        return;
    }
    for (int k = 0; k < l->p->s->n; k++)
        if (l->p->step[k].again) plan_make_again(l, &l->p->step[k]);
    for (int k = l->p->s->n - 1; k >= 0; k--)
        if (l->p->step[k].arrived) step_back(l, &l->p->step[k]);
    mega_arena_release(l->scratch, mark);
}

static void group_lane(void *arg, int64_t group, struct mega_arena *scratch)
{
    const struct back *b = arg;
    struct lane l;
    plan_lane(&l, &b->p, scratch);
    char *part = b->parts + (size_t)group * b->part;
    memset(part, 0, b->part);
    int64_t end = b->blocks * (group + 1) / b->groups;
    for (int64_t i = b->blocks * group / b->groups; i < end; i++) block_back(&l, i, part);
    l.inner->shelf = NULL;
}

/* ---- the sums over groups ---- */

enum { TOTAL_ROWS = 64 };

static int64_t total_lanes(const struct place *p)
{
    return p->slope == SLOPE_SUM ? (mega_height(p->t) + TOTAL_ROWS - 1) / TOTAL_ROWS : 0;
}

/* some rows of a parameter's gradient: the groups' sums, in order */
static void total_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    (void)scratch;
    const struct back *b = arg;
    const struct mega_cpu_rows *f = mega_cpu_rows(b->p.r->context->limits.isa);
    const struct place *p = b->p.place;
    while (lane >= total_lanes(p)) lane -= total_lanes(p++);
    mega_tensor first = sum_of(p, b->parts);
    int64_t end = (lane + 1) * TOTAL_ROWS, n = mega_width(&first);
    for (int64_t row = lane * TOTAL_ROWS; row < end && row < mega_height(&first); row++) {
        float *to = mega_row(p->full, row);
        if (!p->full->filled) memset(to, 0, (size_t)n * sizeof *to);
        f->add_rows(to, mega_row(&first, row), (int64_t)(b->part / sizeof *to), b->groups, n);
    }
}

static void total(struct back *b)
{
    int64_t lanes = 0;
    for (int i = 0; i < b->p.n; i++) lanes += total_lanes(&b->p.place[i]);
    double cost = (double)b->part / sizeof(float) * (double)b->groups / 4;
    mega_lanes(&b->p.r->context->work, lanes, cost, total_lane, b);
}

/* ---- all of it ---- */

static void compute(struct back *b)
{
    mega_run *r = b->p.r;
    struct mega_work *work = &r->context->work;
    double start = mega_profile_start(r->profile);
    mega_arena_release(&work->scratch[work->threads], 0);
    b->parts = mega_scratch(work, (size_t)b->groups * b->part + 1);
    mega_lanes(work, b->groups, (double)(b->p.s->B * b->p.s->T) * 1000, group_lane, b);
    total(b);
    plan_profile(&b->p, true, start);
}

static void mark_filled(const struct back *b)
{
    for (int i = 0; i < b->p.n; i++) {
        const struct place *p = &b->p.place[i];
        if (!p->full || !p->filled) continue;
        p->full->filled = true;
        const mega_tensor *whole = p->t->base ? p->t->base : p->t;
        if (p->slope == SLOPE_SUM && whole->param) whole->param->touched = true;
    }
}

void sweep_back(mega_run *r, struct sweep *s)
{
    if (s->walked) return;
    s->walked = true;
    struct back *b = mega_run_memory(r, sizeof *b);
    if (!b || !plan_make(&b->p, r, s)) return;
    b->blocks = sweep_blocks(s);
    b->groups = sweep_groups(s);
    b->part = 0;
    for (int i = 0; i < b->p.n; i++) arrive(&b->p.place[i]);
    find_parted(&b->p);
    for (int k = s->n - 1; k >= 0; k--) plan_back(b, &b->p.step[k]);
    cover(&b->p);
    plan_room_back(&b->p);
    if (!r->status && !(r->args.mode & MEGA_RUN_DRY)) compute(b);
    if (!r->status) mark_filled(b);
}
