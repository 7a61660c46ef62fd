#include <math.h>
#include <string.h>

#include "kernel/onednn/attention.h"

enum { Q = MEGA_ATTENTION_Q, K, V, BIAS, PAST_K, PAST_V };

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ---- the plan ---- */

/* visits all windows; fills `span` if there is one */
static int64_t list(struct attention_plan *p, struct attention_span *span, int64_t most_lanes)
{
    int64_t n = 0;
    p->lanes = 0;
    for (int64_t b = 0; b < p->c->rows->B; b++)
        for (int64_t i = 0, end; i < p->T; i = end, n++) {
            struct mega_window w = mega_window_from(p->c, b, i, &end);
            int64_t strips = (end - i + attention_queries(&w) - 1) / attention_queries(&w);
            int64_t lanes = most_lanes ? least(strips, most_lanes) : strips;
            if (span) span[n] = (struct attention_span){ w, b, i, end, lanes, p->lanes };
            p->lanes += lanes;
        }
    return n;
}

struct attention_plan attention_plan(const struct mega_call *c, int64_t most_lanes)
{
    struct attention_plan p = {
        .c = c, .a = c->attr, .f = mega_cpu_rows(mega_isa_here()), .T = c->rows->T
    };
    p.Z = mega_width(c->in[Q]);
    p.E = mega_width(c->in[V]);
    p.bias = c->in[BIAS] ? (const float *)c->in[BIAS]->data + (mega_count(c->in[BIAS]) - 1) / 2
                         : NULL;
    p.drops = mega_dropout_acts(c, p.a->dropout);
    p.key = mega_draw_key(c);
    p.spans = list(&p, NULL, most_lanes);
    p.span = mega_scratch(c->work, (size_t)(p.spans + 1) * sizeof *p.span);
    list(&p, p.span, most_lanes);
    return p;
}

const struct attention_span *attention_find(const struct attention_plan *p, int64_t lane)
{
    int64_t low = 0, high = p->spans - 1;
    while (low < high) {
        int64_t middle = (low + high + 1) / 2;
        if (p->span[middle].lane <= lane)
            low = middle;
        else
            high = middle - 1;
    }
    return &p->span[low];
}

/* ---- a strip ---- */

/* keys or values of the strip: where they lie, or gathered where some of them lie in a stream's
 * past */
static struct mega_matrix gather(const struct attention_plan *p,
    const struct attention_strip *s, int which, struct mega_arena *scratch)
{
    const struct mega_call *c = p->c;
    const mega_tensor *now = c->in[which], *past = c->in[which - K + PAST_K];
    int64_t b = s->span->b, width = mega_width(now);
    if (s->from >= 0) return mega_matrix_of(now, b * p->T + s->from, 0);
    struct mega_matrix all = mega_matrix_scratch(scratch, s->n, width);
    for (int64_t x = 0; x < s->n; x++) {
        int64_t j = s->from + x;
        const float *from =
            j >= 0 ? mega_row(now, b * p->T + j)
                   : mega_row(past,
                         b * past->dim[1] + (mega_rows_place(c->rows, b) + j) % past->dim[1]);
        memcpy(mega_matrix_row(all, x), from, (size_t)width * sizeof(float));
    }
    return all;
}

double attention_divisor(
    const struct attention_plan *p, const struct attention_strip *s, int64_t r)
{
    return mega_window_divisor(p->c, &s->span->window, s->query + r);
}

void attention_hide(const struct attention_plan *p, const struct attention_strip *s, int64_t r,
    float *row, float value)
{
    const struct mega_window *w = &s->span->window;
    int64_t seen = p->a->causal ? s->query + r + 1 - s->from : s->n;
    for (int64_t x = seen; x < s->n; x++) row[x] = value;
    if (w->all || w->real == w->to - w->from) return;
    for (int64_t x = 0; x < seen; x++)
        if (!mega_window_real(p->c, w, s->span->b, s->from + x)) row[x] = value;
}

static void softmax(const struct attention_plan *p, const struct attention_strip *s, int64_t r,
    float *y, float *x)
{
    attention_hide(p, s, r, x, -INFINITY);
    float most = p->f->most(x, s->n);
    if (most == -INFINITY) {
        memset(y, 0, (size_t)s->n * sizeof *y);
        return;
    }
    float sum = p->f->exp_sum(y, x, most, s->n);
    p->f->scale(y, y, 1 / sum, s->n);
}

static void weigh(const struct attention_plan *p, const struct attention_strip *s, int64_t r)
{
    float *x = mega_matrix_row(s->score, r), *y = mega_matrix_row(s->weight, r);
    p->f->scale(x, x, (float)(1 / attention_divisor(p, s, r)), s->n);
    if (p->bias) p->f->add_scaled(x, p->bias + s->from - (s->query + r), 1, s->n);
    switch (p->a->fn) {
    case MEGA_ATTENTION_SOFTMAX: softmax(p, s, r, y, x); return;
    case MEGA_ATTENTION_LAPLACE: p->f->laplace(y, x, s->n); break;
    case MEGA_ATTENTION_RELU2: p->f->relu2(y, x, s->n); break;
    }
    attention_hide(p, s, r, y, 0);
}

static void draw(const struct attention_plan *p, const struct attention_strip *s, int64_t r)
{
    const struct mega_rows *rows = p->c->rows;
    int64_t first = mega_rows_place(rows, s->span->b);
    struct mega_draw_row d = mega_draw_keys(
        p->key, mega_rows_number(rows, s->span->b), 0, first + s->query + r, p->a->dropout);
    p->f->draw(mega_matrix_row(s->factor, r), &d, first + s->from, s->n);
}

struct attention_strip attention_strip(const struct attention_plan *p,
    const struct attention_span *span, int64_t query, bool scores, struct mega_arena *scratch)
{
    struct attention_strip s = { .span = span, .query = query, .from = span->window.from };
    s.m = least(span->end - query, attention_queries(&span->window));
    /* a causal strip sees nothing beyond its last query */
    s.n = (p->a->causal ? query + s.m : span->window.to) - s.from;
    s.k = gather(p, &s, K, scratch);
    s.v = gather(p, &s, V, scratch);
    s.score = s.weight = mega_matrix_scratch(scratch, s.m, s.n);
    if (scores) s.weight = mega_matrix_scratch(scratch, s.m, s.n);
    if (p->drops) s.factor = mega_matrix_scratch(scratch, s.m, s.n);
    mega_gemm("NT", s.m, s.n, p->Z, mega_matrix_of(p->c->in[Q], span->b * p->T + query, 0), s.k,
        s.score, false);
    for (int64_t r = 0; r < s.m; r++) {
        weigh(p, &s, r);
        if (p->drops) draw(p, &s, r);
    }
    return s;
}
