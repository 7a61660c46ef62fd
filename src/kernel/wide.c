#include "kernel/wide.h"

#include <string.h>

#include "kernel/cpu/rows.h"

/* what becomes of a pair's numbers */
enum {
    READ = 1,    /* widened before */
    WRITTEN = 2, /* narrowed after */
    ADDED = 4,   /* added to what is there after */
    ZEROED = 8   /* zeros before: several inputs add to it */
};

/* ---- describing ---- */

/* `t` as the kernel sees it; `use` counts only where it is bfloat16 */
static mega_tensor *widened(struct mega_wide *w, const mega_tensor *t, unsigned use)
{
    if (!t || t->dtype != MEGA_BF16) return (mega_tensor *)(uintptr_t)t;
    struct mega_wide_pair *p = w->pair;
    while (p < w->pair + w->n && p->narrow != t) p++;
    if (p == w->pair + w->n) {
        *p = (struct mega_wide_pair){ .narrow = t, .wide = *t };
        p->wide.dtype = MEGA_F32;
        p->wide.stride = mega_width(t);
        p->wide.data = NULL;
        p->wide.base = NULL;
        w->n++;
    }
    p->use |= use;
    return &p->wide;
}

/* Gradients that are to be added to are written by the kernel and added here: the sum is
 * rounded once, and two gradients that share their memory add in turn. */
static void describe_gradient(struct mega_wide *w, const struct mega_grads *g, int i)
{
    bool shared = false;
    for (int k = 0; k < MEGA_IN; k++) shared |= k != i && g->in[k] && g->in[k] == g->in[i];
    bool add = g->add >> i & 1, narrow = g->in[i] && g->in[i]->dtype == MEGA_BF16;
    unsigned use = (add ? ADDED : WRITTEN) | (shared ? ZEROED : 0);
    w->g.in[i] = widened(w, g->in[i], use);
    if (narrow && !shared) w->g.add &= ~(1u << i);
    if (narrow && shared) w->g.add |= 1u << i;
}

void mega_wide_describe(struct mega_wide *w, const struct mega_call *c,
    const struct mega_grads *g, const struct mega_kernel *k)
{
    unsigned out_use = !g ? WRITTEN : k->reads_out ? READ : 0;
    w->c = *c;
    w->c.dtype = MEGA_F32;
    w->c.rounded = true;
    w->c.kernel = k;
    w->n = 0;
    for (int i = 0; i < MEGA_IN; i++) {
        bool unread = g && (c->op->unread >> i & 1);
        w->c.in[i] = widened(w, c->in[i], unread ? 0 : READ);
    }
    for (int i = 0; i < MEGA_OUT; i++) w->c.out[i] = widened(w, c->out[i], out_use);
    for (int i = 0; i < MEGA_SAVED; i++)
        w->c.saved[i] = widened(w, c->saved[i], g ? READ : WRITTEN);
    if (!g) return;
    w->g = *g;
    for (int i = 0; i < MEGA_OUT; i++) w->g.out[i] = widened(w, g->out[i], READ);
    for (int i = 0; i < MEGA_IN; i++) describe_gradient(w, g, i);
}

/* ---- converting ---- */

/* of a pair, those before the kernel runs or those after it */
static bool has_work(const struct mega_wide_pair *p, bool after)
{
    return p->use & (after ? WRITTEN | ADDED : READ | ZEROED);
}

/* n numbers at a row of both */
static void convert(const struct mega_cpu_rows *f, const struct mega_wide_pair *p, bool after,
    int64_t row, int64_t n)
{
    float *wide = mega_row(&p->wide, row);
    uint16_t *narrow = mega_row(p->narrow, row);
    if (after && (p->use & ADDED))
        f->narrow_add(narrow, wide, n);
    else if (after)
        f->narrow(narrow, wide, n);
    else if (p->use & ZEROED)
        memset(wide, 0, (size_t)n * sizeof *wide);
    else
        f->widen(wide, narrow, n);
}

static void convert_rows(const struct mega_cpu_rows *f, const struct mega_wide_pair *p,
    bool after, int64_t from, int64_t to)
{
    int64_t width = mega_width(&p->wide);
    if (mega_is_dense(p->narrow))
        convert(f, p, after, from, (to - from) * width);
    else
        for (int64_t r = from; r < to; r++) convert(f, p, after, r, width);
}

/* a lane converts some rows of one pair */
struct conversion {
    const struct mega_cpu_rows *functions;
    const struct mega_wide *w;
    bool after;
    int64_t first[MEGA_WIDE_MOST + 1]; /* lane of each pair */
};

static int64_t rows_a_lane(const struct mega_wide_pair *p)
{
    enum { NUMBERS = 1 << 14 };
    int64_t width = mega_width(&p->wide);
    return width < NUMBERS ? NUMBERS / (width ? width : 1) : 1;
}

static void convert_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    (void)scratch;
    const struct conversion *v = arg;
    int i = 0;
    while (v->first[i + 1] <= lane) i++;
    const struct mega_wide_pair *p = &v->w->pair[i];
    int64_t rows = mega_height(&p->wide), size = rows_a_lane(p),
            from = (lane - v->first[i]) * size, to = from + size < rows ? from + size : rows;
    convert_rows(v->functions, p, v->after, from, to);
}

static void convert_all(const struct mega_wide *w, bool after)
{
    struct conversion v = { mega_cpu_rows(mega_isa_here()), w, after, { 0 } };
    double numbers = 0;
    for (int i = 0; i < w->n; i++) {
        const struct mega_wide_pair *p = &w->pair[i];
        int64_t rows = mega_height(&p->wide), size = rows_a_lane(p);
        bool work = has_work(p, after);
        v.first[i + 1] = v.first[i] + (work ? (rows + size - 1) / size : 0);
        if (work) numbers += (double)mega_count(&p->wide);
    }
    mega_lanes(w->c.work, v.first[w->n], numbers / 4, convert_lane, &v);
}

void mega_wide_open(struct mega_wide *w, const struct mega_call *c, const struct mega_grads *g,
    const struct mega_kernel *k)
{
    mega_wide_describe(w, c, g, k);
    for (int i = 0; i < w->n; i++)
        w->pair[i].wide.data = mega_scratch(c->work, mega_size(&w->pair[i].wide));
    convert_all(w, false);
}

void mega_wide_close(struct mega_wide *w)
{
    convert_all(w, true);
}

/* ---- some rows ---- */

bool mega_wide_by_rows(const struct mega_call *c, int64_t rows)
{
    const mega_tensor *const *all[] = { (const mega_tensor *const *)c->in,
        (const mega_tensor *const *)c->out };
    static const int n[] = { MEGA_IN, MEGA_OUT };
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < n[k]; i++) {
            const mega_tensor *t = all[k][i];
            if (t && t->dtype == MEGA_BF16 && mega_height(t) != rows) return false;
        }
    return true;
}

void mega_wide_open_rows(struct mega_wide *w, const struct mega_call *c,
    const struct mega_grads *g, int64_t from, int64_t to, struct mega_arena *scratch)
{
    const struct mega_cpu_rows *f = mega_cpu_rows(mega_isa_here());
    mega_wide_describe(w, c, g, c->kernel);
    w->from = from;
    w->to = to;
    for (int i = 0; i < w->n; i++) {
        struct mega_wide_pair *p = &w->pair[i];
        size_t row = (size_t)mega_width(&p->wide) * sizeof(float);
        char *room = mega_arena_get(scratch, (size_t)(to - from) * row);
        /* as if the rows before were there, too */
        p->wide.data = (void *)((uintptr_t)room - (size_t)from * row);
        if (has_work(p, false)) convert_rows(f, p, false, from, to);
    }
}

void mega_wide_close_rows(struct mega_wide *w)
{
    const struct mega_cpu_rows *f = mega_cpu_rows(mega_isa_here());
    for (int i = 0; i < w->n; i++)
        if (has_work(&w->pair[i], true)) convert_rows(f, &w->pair[i], true, w->from, w->to);
}
