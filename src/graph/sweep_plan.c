/* A sweep's calls as one block of rows sees them. */
#include <string.h>

#include "graph/sweep.h"
#include "kernel/cpu/matrix.h"

/* ---- the places ---- */

static short find(const struct plan *p, const mega_tensor *t)
{
    for (int i = 0; i < p->n; i++)
        if (p->place[i].t == t) return (short)i;
    return -1;
}

static short enter(struct plan *p, mega_tensor *t, bool whole, bool made)
{
    if (!t) return -1;
    short i = find(p, t);
    if (i >= 0) return i;
    short base = t->base && !whole ? enter(p, t->base, false, false) : -1;
    p->place[p->n] = (struct place){ .t = t,
        .kind = whole      ? PLACE_WHOLE
                : t->base  ? PLACE_VIEW
                : t->waits ? PLACE_SCRATCH
                           : PLACE_ROWS,
        .base = base,
        .made = made || (base >= 0 && p->place[base].made) };
    return (short)p->n++;
}

static void enter_call(struct plan *p, struct step *s, struct record *rec, bool remade)
{
    const struct mega_call *c = &rec->call;
    s->rec = rec;
    for (int i = 0; i < MEGA_IN; i++)
        s->in[i] = enter(p, c->in[i], !(c->op->by_rows >> i & 1), false);
    for (int i = 0; i < MEGA_OUT; i++) {
        s->out[i] = enter(p, c->out[i], false, true);
        s->again |= remade && c->out[i] && c->out[i]->waits;
    }
    for (int i = 0; i < MEGA_SAVED; i++) s->saved[i] = enter(p, c->saved[i], false, true);
}

bool plan_make(struct plan *p, mega_run *r, const struct sweep *s)
{
    enum { EACH = 2 * MEGA_IN + MEGA_OUT + MEGA_SAVED };
    *p = (struct plan){ .r = r, .s = s };
    p->place = mega_run_memory(r, (size_t)(s->n * EACH) * sizeof *p->place);
    if (!p->place) return false;
    for (int k = 0; k < s->n; k++) enter_call(p, &p->step[k], s->call[k], s->remade >> k & 1);
    p->shelf.room = &r->context->work.scratch[r->context->work.threads];
    if (!r->profile) return true;
    size_t bytes = (size_t)(r->context->work.threads * s->n * 2) * sizeof *p->seconds;
    p->seconds = mega_run_memory(r, bytes);
    if (p->seconds) memset(p->seconds, 0, bytes);
    return p->seconds != NULL;
}

/* ---- a block of rows ---- */

void plan_lane(struct lane *l, const struct plan *p, struct mega_arena *scratch)
{
    const struct mega_work *work = &p->r->context->work;
    *l = (struct lane){ .p = p, .scratch = scratch, .inner = mega_work_inner(work, scratch) };
    l->value = mega_arena_get(scratch, (size_t)p->n * sizeof *l->value);
    l->slope = mega_arena_get(scratch, (size_t)p->n * sizeof *l->slope);
    l->room = mega_arena_get(scratch, p->room);
    l->inner->tile = work->tile;
    l->inner->shelf = (struct mega_shelf *)&p->shelf;
    if (p->seconds) l->seconds = p->seconds + (scratch - work->scratch) * p->s->n * 2;
}

/* t's shape with the block's rows; what is kept has its own count of numbers a row */
static mega_tensor shape_of(const struct lane *l, const mega_tensor *t)
{
    mega_tensor s = *t;
    if (t->rank >= 3) {
        s.dim[0] = 1;
        s.dim[1] = l->m;
    } else {
        s.dim[0] = t->dim[0] / (l->p->s->B * l->p->s->T) * l->m;
    }
    return s;
}

mega_tensor plan_scratch(const struct lane *l, const mega_tensor *t, const struct room *room)
{
    mega_tensor s = shape_of(l, t);
    s.base = NULL;
    s.stride = mega_matrix_easy_stride(mega_width(t));
    s.data = l->room + room->at;
    return s;
}

mega_tensor plan_rows(const struct lane *l, const mega_tensor *t)
{
    mega_tensor s = shape_of(l, t);
    int64_t each = t->rank == 1 ? t->dim[0] / (l->p->s->B * l->p->s->T) : t->stride;
    s.data = (char *)t->data + (size_t)(l->row * each) * mega_dtype_size(t->dtype);
    return s;
}

mega_tensor plan_view(const mega_tensor *base, const mega_tensor *t)
{
    mega_tensor s = *base;
    s.dim[s.rank - 1] = mega_width(t);
    s.data = (char *)base->data + (size_t)t->offset * mega_dtype_size(base->dtype);
    return s;
}

/* the rows of the block: a row of the batch of its own, that goes on from the places before */
static void cut_rows(struct lane *l, int64_t b, int64_t from)
{
    const struct mega_rows *all = l->p->s->rows;
    l->rows = (struct mega_rows){ .B = 1, .T = l->m };
    if (!all) return;
    int64_t len = mega_rows_len(all, b) - from;
    l->len = (int32_t)(len < 0 ? 0 : len < l->m ? len : l->m);
    l->number = (int32_t)mega_rows_number(all, b);
    l->first = (int32_t)from;
    l->rows.len = all->len ? &l->len : NULL;
    l->rows.number = &l->number;
    l->rows.place = &l->first;
    l->rows.real = all->real ? all->real + b * all->T + from : NULL;
}

void plan_block(struct lane *l, int64_t i)
{
    const struct sweep *s = l->p->s;
    int64_t each = (s->T + s->unit - 1) / s->unit, b = i / each, from = i % each * s->unit;
    l->row = b * s->T + from;
    l->m = s->T - from < s->unit ? s->T - from : s->unit;
    l->left_out = s->leaves_padding && s->rows && from >= mega_rows_len(s->rows, b);
    cut_rows(l, b, from);
    for (int k = 0; k < l->p->n; k++) {
        const struct place *p = &l->p->place[k];
        switch (p->kind) {
        case PLACE_WHOLE: l->value[k] = *p->t; break;
        case PLACE_ROWS: l->value[k] = plan_rows(l, p->t); break;
        case PLACE_SCRATCH: l->value[k] = plan_scratch(l, p->t, &p->value_room); break;
        case PLACE_VIEW: l->value[k] = plan_view(&l->value[p->base], p->t); break;
        }
    }
}

struct mega_call plan_call(struct lane *l, const struct step *s)
{
    struct mega_call c = s->rec->call;
    for (int i = 0; i < MEGA_IN; i++) c.in[i] = s->in[i] < 0 ? NULL : &l->value[s->in[i]];
    for (int i = 0; i < MEGA_OUT; i++) c.out[i] = s->out[i] < 0 ? NULL : &l->value[s->out[i]];
    for (int i = 0; i < MEGA_SAVED; i++)
        c.saved[i] = s->saved[i] < 0 ? NULL : &l->value[s->saved[i]];
    if (c.rows) c.rows = &l->rows;
    c.work = l->inner;
    mega_arena_release(&l->inner->scratch[1], 0);
    return c;
}

static void make(struct lane *l, const struct step *s, bool again)
{
    double start = l->seconds ? mega_clock_s() : 0;
    struct mega_call c = plan_call(l, s);
    (again && plan_again(&c) ? c.kernel->again : c.kernel->forward)(&c);
    if (l->seconds) l->seconds[2 * (s - l->p->step)] += mega_clock_s() - start;
}

void plan_forward(struct lane *l, const struct step *s)
{
    make(l, s, false);
}

void plan_make_again(struct lane *l, const struct step *s)
{
    make(l, s, true);
}

/* ---- for a profile ---- */

void plan_profile(const struct plan *p, bool backward, double start)
{
    struct mega_profile *to = p->r->profile;
    if (!to) return;
    double all = 0, spent = mega_clock_s() - start;
    int n = p->s->n;
    for (int t = 1; t < p->r->context->work.threads; t++)
        for (int i = 0; i < 2 * n; i++) p->seconds[i] += p->seconds[t * 2 * n + i];
    for (int i = 0; i < 2 * n; i++) all += p->seconds[i];
    for (int k = 0; k < n; k++)
        for (int pass = 0; pass < 2; pass++) {
            double seconds = p->seconds[2 * k + pass];
            if (seconds == 0) continue;
            const struct record *rec = p->step[k].rec;
            bool again = p->r->replaying || backward;
            mega_profile_spent(to, &rec->call,
                pass    ? MEGA_PROFILE_BACKWARD
                : again ? MEGA_PROFILE_AGAIN
                        : MEGA_PROFILE_FORWARD,
                rec->chain, seconds / all * spent);
        }
}
