/* A lane's room for one block: values that have no memory of their own, and gradients, lie
 * there no longer than somebody needs them, and what comes later lies in the same bytes. So a
 * block stays in a core's cache. */
#include "graph/sweep.h"
#include "kernel/cpu/matrix.h"

static struct place *whole(struct plan *p, short i)
{
    return &p->place[p->place[i].kind == PLACE_VIEW ? p->place[i].base : i];
}

static void touch(struct room *r, int moment)
{
    if (r->from < 0) r->from = (short)moment;
    r->to = (short)moment;
}

static void touch_values(struct plan *p, const short *place, int n, int moment)
{
    for (int i = 0; i < n; i++)
        if (place[i] >= 0) touch(&whole(p, place[i])->value_room, moment);
}

static void touch_slopes(struct plan *p, const short *place, uint32_t which, int n, int moment)
{
    for (int i = 0; i < n; i++)
        if (which >> i & 1) touch(&whole(p, place[i])->slope_room, moment);
}

/* ---- laying out ---- */

static bool meet(const struct room *a, const struct room *b)
{
    bool at_once = a->from <= b->to && b->from <= a->to;
    return at_once && a->at < b->at + b->size && b->at < a->at + a->size;
}

/* the lowest bytes that are free as long as r lives */
static void lay(struct plan *p, struct room *r, struct room **laid, int n)
{
    r->at = 0;
    for (int i = 0; i < n; i++)
        if (meet(r, laid[i])) {
            r->at = laid[i]->at + laid[i]->size;
            i = -1;
        }
    laid[n] = r;
    if (r->at + r->size > p->room) p->room = r->at + r->size;
}

static size_t size_of(const struct plan *p, const mega_tensor *t)
{
    int64_t stride = mega_matrix_easy_stride(mega_width(t));
    size_t bytes = (size_t)(p->s->unit * stride) * mega_dtype_size(t->dtype);
    return (bytes + MEGA_ALIGN - 1) / MEGA_ALIGN * MEGA_ALIGN;
}

static void begin(struct plan *p)
{
    for (int i = 0; i < p->n; i++) {
        size_t size = size_of(p, p->place[i].t);
        p->place[i].value_room = p->place[i].slope_room = (struct room){ -1, -1, 0, size };
    }
}

/* in the order of their beginnings */
static void lay_all(struct plan *p, int moments)
{
    struct room **laid = mega_run_memory(p->r, (size_t)(2 * p->n + 1) * sizeof(*laid));
    int n = 0;
    for (int m = 0; laid && m < moments; m++)
        for (int i = 0; i < p->n; i++) {
            struct place *at = &p->place[i];
            if (at->kind == PLACE_SCRATCH && at->value_room.from == m)
                lay(p, &at->value_room, laid, n++);
            if (at->slope == SLOPE_SCRATCH && at->slope_room.from == m)
                lay(p, &at->slope_room, laid, n++);
        }
}

/* ---- the passes ---- */

void plan_room_forward(struct plan *p)
{
    begin(p);
    for (int k = 0; k < p->s->n; k++) {
        touch_values(p, p->step[k].in, MEGA_IN, k);
        touch_values(p, p->step[k].out, MEGA_OUT, k);
    }
    lay_all(p, p->s->n);
}

/* of step s, the inputs whose gradients it is the first to touch, and which begin with zeros */
static uint32_t begins(struct plan *p, const struct step *s, int moment)
{
    uint32_t found = 0;
    for (int i = 0; i < MEGA_IN; i++) {
        if (!(s->wants >> i & 1)) continue;
        const struct place *at = whole(p, s->in[i]);
        bool first = at->cleared && at->slope_room.from == moment;
        for (int k = 0; k < i; k++)
            if ((found >> k & 1) && whole(p, s->in[k]) == at) first = false;
        if (first) found |= 1u << i;
    }
    return found;
}

void plan_room_back(struct plan *p)
{
    int n = p->s->n;
    begin(p);
    for (int k = 0; k < n; k++) {
        if (!p->step[k].again) continue;
        touch_values(p, p->step[k].in, MEGA_IN, k);
        touch_values(p, p->step[k].out, MEGA_OUT, k);
    }
    for (int k = n - 1, moment = n; k >= 0; k--, moment++) {
        struct step *s = &p->step[k];
        if (!s->arrived) continue;
        touch_values(p, s->in, MEGA_IN, moment);
        touch_values(p, s->out, MEGA_OUT, moment);
        touch_slopes(p, s->out, s->arrived, MEGA_OUT, moment);
        touch_slopes(p, s->in, s->wants, MEGA_IN, moment);
        s->begins = begins(p, s, moment);
    }
    lay_all(p, 2 * n);
}
