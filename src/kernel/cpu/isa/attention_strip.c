/* The strip kernel of attention: the plan, the forward pass. It takes all that the op has; what
 * tiles can do goes to them first (attention_forward.c). */
#include "kernel/cpu/isa/attention_strip.h"

/* ---- the plan ---- */

/* Queries of a strip: some arrays of all heads' scores are to stay in a core's cache. */
static int64_t strip_rows(const struct mega_call *c, const struct strip_plan *p)
{
    enum { SCORES = 1 << 18, FEW = 8, MANY = 64 };
    if (c->work->tile) return c->work->tile;
    int64_t rows = SCORES / (p->n.H * (p->N + mega_window_most(c)) + 1);
    return rows < FEW ? FEW : least(rows, MANY);
}

/* visits all strips; fills p->span and p->of_row if they are there */
static void list(struct strip_plan *p)
{
    int64_t rows = strip_rows(p->c, p);
    p->spans = 0;
    for (int64_t b = 0; b < p->c->rows->B; b++) {
        if (p->of_row) p->of_row[b] = p->spans;
        for (int64_t i = 0, end; i < p->T; i = end) {
            struct mega_window w = mega_window_from(p->c, b, i, &end);
            for (int64_t first = i; first < end; first += rows, p->spans++)
                if (p->span)
                    p->span[p->spans] =
                        (struct strip_span){ b, first, least(rows, end - first), w };
        }
    }
    if (p->of_row) p->of_row[p->c->rows->B] = p->spans;
}

/* the bank with the farthest place first, so that it lies as keys do */
static float *turned_bank(const struct strip_plan *p)
{
    const mega_tensor *bank = p->in[BANK];
    if (!bank) return NULL;
    int64_t width = mega_width(bank), R = mega_height(bank);
    float *turned = mega_scratch(p->c->work, (size_t)(R * width + 1) * sizeof *turned);
    for (int64_t r = 0; r < R; r++)
        for (int64_t x = 0; x < width; x++)
            turned[r * width + x] = ((const float *)mega_row(bank, r))[width - 1 - x];
    return turned;
}

struct strip_plan MEGA_ISA_NAME(mega_strip_plan)(const struct mega_call *c)
{
    struct strip_plan p = { .c = c,
        .a = c->attr,
        .in = c->in,
        .n = mega_heads_of(c),
        .T = c->rows->T,
        .S = mega_window_keys(c)->T,
        .N = mega_attention_prefix(c),
        .P = mega_dim(c->in[PAST_K], 1),
        .M = mega_attention_columns(c),
        .key = mega_draw_key(c),
        .noise = mega_draw_noise_key(c) };
    bool acts = mega_dropout_acts(c, p.a->dropout);
    p.drops = acts && !p.a->drop_keys;
    p.hides = acts && p.a->drop_keys;
    p.in_order = p.a->selective || p.a->fn == MEGA_ATTENTION_INVERTED;
    p.bank = turned_bank(&p);
    list(&p);
    p.of_row = mega_scratch(c->work, (size_t)(c->rows->B + 1) * sizeof *p.of_row);
    p.span = mega_scratch(c->work, (size_t)(p.spans + 1) * sizeof *p.span);
    list(&p);
    return p;
}

double MEGA_ISA_NAME(mega_strip_cost)(const struct strip_plan *p)
{
    return (double)(p->c->rows->B * p->T * p->n.H) * (double)(mega_window_most(p->c) + p->N) *
           (double)(p->n.d + p->n.dv + 32) / 8;
}

/* ---- a strip ---- */

/* the keys as they lie in memory: prefix, past round the end of its log, this call's */
static void find_parts(struct strip *s, int64_t hi)
{
    const struct strip_plan *p = s->p;
    if (p->N) s->part[s->parts++] = (struct strip_part){ 0, p->N, 0, PREFIX_K };
    for (int64_t j = s->lo, n; j < hi; j += n) {
        struct strip_part part = { .x = p->N + j - s->lo, .which = K, .row = s->b * p->S + j };
        n = hi - j;
        if (j < 0) {
            int64_t place = (mega_rows_place(p->c->rows, s->b) + j) % p->P;
            n = least(n, least(-j, p->P - place));
            part.which = PAST_K;
            part.row = s->b * p->P + place;
        }
        part.n = n;
        s->part[s->parts++] = part;
    }
}

/* which columns each query sees */
static void look(struct strip *s, struct mega_arena *scratch)
{
    const struct strip_plan *p = s->p;
    s->there = mega_arena_get(scratch, (size_t)(s->m * s->stride) * sizeof(float));
    for (int64_t x = 0; x < s->n; x++)
        s->room[x] = x < p->N || mega_window_real(p->c, &s->window, s->b, s->lo + x - p->N);
    for (int64_t r = 0; r < s->m; r++) {
        float *there = s->there + r * s->stride;
        strip_clear(there, s->stride);
        memcpy(there, s->room, (size_t)p->N * sizeof *there);
        if (s->low[r] < s->seen[r])
            memcpy(there + s->low[r], s->room + s->low[r],
                (size_t)(s->seen[r] - s->low[r]) * sizeof *there);
    }
}

/* what dropout hides of it */
static void hide(struct strip *s, struct mega_arena *scratch)
{
    s->sees = strip_array(s, scratch);
    for (int64_t h = 0; h < s->p->n.H; h++)
        for (int64_t r = 0; r < s->m; r++) {
            float *sees = strip_row(s, s->sees, h, r);
            const float *there = s->there + r * s->stride;
            strip_clear(sees, s->stride);
            strip_factors(s, h, r, s->room);
            for (int64_t x = 0; x < s->n; x++)
                sees[x] = x < s->p->N || s->room[x] > 0 ? there[x] : 0;
        }
}

/* q times the factor of the scores, of all heads */
static void scale_queries(struct strip *s, struct mega_arena *scratch)
{
    int64_t width = s->p->n.H * s->p->n.d;
    struct mega_matrix q = mega_matrix_scratch(scratch, s->m, width);
    for (int64_t r = 0; r < s->m; r++) {
        s->factor[r] = (float)(1 / mega_window_divisor(s->p->c, &s->window, s->first + r));
        row_functions->scale(mega_matrix_row(q, r), mega_row(s->p->in[Q], strip_query(s, r)),
            s->factor[r], width);
    }
    s->q = q.at;
}

/* the arrays; forward, what is no longer needed makes room for what comes next */
static void make_arrays(struct strip *s, bool back, struct mega_arena *scratch)
{
    mega_tensor *const *in = s->p->in;
    bool bends = in[COPE] || s->p->a->clamp > 0;
    s->raw = strip_array(s, scratch);
    s->s = back || in[TALK_PRE] || in[TALK_SCALED] ? strip_array(s, scratch) : s->raw;
    s->near = back && bends ? strip_array(s, scratch) : s->s;
    s->f = back ? strip_array(s, scratch) : s->s;
    s->kept = back && s->p->drops ? strip_array(s, scratch) : s->f;
    s->mixed = in[TALK_POST] ? strip_array(s, scratch) : s->kept;
    s->scaled = in[TALK_SCALED] ? strip_array(s, scratch) : NULL;
    s->used = back && s->scaled ? strip_array(s, scratch) : s->mixed;
}

struct strip MEGA_ISA_NAME(mega_strip_open)(const struct strip_plan *p,
    const struct strip_span *at, const struct strip_columns *of_row, bool back,
    struct mega_arena *scratch)
{
    struct strip s = { .p = p,
        .of_row = of_row,
        .b = at->b,
        .first = at->first,
        .m = at->m,
        .window = at->window };
    struct mega_window w = at->window;
    mega_window_look(p->c, s.b, s.first + s.m - 1, &w);
    int64_t hi = w.seen;
    mega_window_look(p->c, s.b, s.first, &w);
    s.lo = w.low;
    s.n = p->N + (hi > s.lo ? hi - s.lo : 0);
    s.stride = mega_matrix_easy_stride(s.n ? s.n : 1);
    find_parts(&s, hi);
    s.low = mega_arena_get(scratch, (size_t)(2 * s.m) * sizeof *s.low);
    s.seen = s.low + s.m;
    for (int64_t r = 0; r < s.m; r++) {
        mega_window_look(p->c, s.b, s.first + r, &w);
        s.low[r] = p->N + w.low - s.lo;
        s.seen[r] = p->N + w.seen - s.lo;
    }
    s.factor = mega_arena_get(scratch, (size_t)s.m * sizeof *s.factor);
    s.sunk = mega_arena_get(scratch, (size_t)(p->n.H * s.m) * sizeof *s.sunk);
    s.room = mega_arena_get(scratch, (size_t)(2 * s.stride) * sizeof *s.room);
    look(&s, scratch);
    if (p->hides) hide(&s, scratch);
    scale_queries(&s, scratch);
    make_arrays(&s, back, scratch);
    MEGA_ISA_NAME(mega_strip_scores)(&s, scratch);
    return s;
}

/* ---- what strips of a row share ---- */

static float *columns(struct mega_arena *scratch, int64_t n, float each)
{
    float *x = mega_arena_get(scratch, (size_t)(n + 1) * sizeof *x);
    for (int64_t i = 0; i < n; i++) x[i] = each;
    return x;
}

/* selective: what had faded of the past, place by place */
static void remember_faded(const struct strip_plan *p, int64_t b, float *faded)
{
    int64_t place = mega_rows_place(p->c->rows, b);
    for (int64_t j = place < p->P ? -place : -p->P; j < 0; j++)
        faded[p->N + p->P + j] =
            *(const float *)mega_row(p->in[PAST_FADED], b * p->P + (place + j) % p->P);
}

/* what has faded after the row: its own keys go over the oldest places */
static void give_faded(const struct strip_plan *p, int64_t b, const float *faded)
{
    int64_t place = mega_rows_place(p->c->rows, b), len = mega_rows_len(p->c->rows, b);
    mega_tensor *to = p->c->out[MEGA_ATTENTION_FADED];
    for (int64_t x = 0; x < p->P; x++) *(float *)mega_row(to, b * p->P + x) = 0;
    for (int64_t j = place < p->P ? -place : -p->P; j < len; j++)
        *(float *)mega_row(to, b * p->P + (place + j) % p->P) = faded[p->N + p->P + j];
}

struct strip_columns MEGA_ISA_NAME(mega_strip_columns)(
    const struct strip_plan *p, int64_t b, struct mega_arena *scratch)
{
    struct strip_columns of = { 0 };
    int64_t all = p->n.H * p->M;
    if (p->a->selective) of.faded = columns(scratch, p->M, 0);
    if (p->in[PAST_FADED]) remember_faded(p, b, of.faded);
    if (p->a->fn != MEGA_ATTENTION_INVERTED) return of;
    of.most = columns(scratch, all, -1e30f);
    of.sum = columns(scratch, all, 0);
    for (int64_t i = p->of_row[b]; i < p->of_row[b + 1]; i++) {
        size_t mark = mega_arena_mark(scratch);
        struct strip s = MEGA_ISA_NAME(mega_strip_open)(p, &p->span[i], &of, false, scratch);
        MEGA_ISA_NAME(mega_strip_share_out)(&s);
        mega_arena_release(scratch, mark);
    }
    of.log_sum = of.sum;
    for (int64_t x = 0; x < all; x++)
        of.log_sum[x] = of.sum[x] > 0 ? of.most[x] + logf(of.sum[x]) : 0;
    return of;
}

/* ---- forward ---- */

static void give_weights(const struct strip *s)
{
    const struct strip_plan *p = s->p;
    mega_tensor *to = p->c->out[MEGA_ATTENTION_WEIGHTS];
    int64_t W = to->dim[2], each = to->dim[1] / p->n.H;
    bool windows = W < p->T;
    for (int64_t h = 0; h < p->n.H; h++)
        for (int64_t r = 0; r < s->m; r++) {
            int64_t i = s->first + r,
                    row = windows ? (s->b * to->dim[1] + h * each + i / W) * W + i % W
                                  : (s->b * p->n.H + h) * p->T + i;
            float *w = mega_row(to, row);
            const float *used = strip_row(s, s->used, h, r);
            if (!windows) memcpy(w, used, (size_t)p->N * sizeof *w);
            memcpy(w + (windows ? s->lo % W : p->N + s->lo), used + p->N,
                (size_t)(s->n - p->N) * sizeof *w);
        }
}

/* o = used v, of all heads */
static void give_output(const struct strip *s, struct mega_arena *scratch)
{
    const struct strip_plan *p = s->p;
    for (int64_t h = 0; h < p->n.H; h++) {
        struct mega_matrix o = mega_matrix_of(p->c->out[0], strip_query(s, 0), h * p->n.dv);
        for (int64_t r = 0; !s->parts && r < s->m; r++)
            strip_clear(mega_matrix_row(o, r), p->n.dv);
        for (int i = 0; i < s->parts; i++) {
            struct mega_matrix w = strip_head(s, s->used, h);
            w.at += s->part[i].x;
            block_product(NULL, s->m, p->n.dv, s->part[i].n, as_it_lies(w),
                as_it_lies(strip_keys(s, &s->part[i], V, h)), o, i > 0, scratch);
        }
    }
}

static void strip_forward(const struct strip_plan *p, const struct strip_span *at,
    const struct strip_columns *of_row, struct mega_arena *scratch)
{
    struct strip s = MEGA_ISA_NAME(mega_strip_open)(p, at, of_row, false, scratch);
    MEGA_ISA_NAME(mega_strip_weights)(&s, scratch);
    give_output(&s, scratch);
    if (p->c->out[MEGA_ATTENTION_WEIGHTS]) give_weights(&s);
}

static void one_strip(void *arg, int64_t lane, struct mega_arena *scratch)
{
    const struct strip_plan *p = arg;
    strip_forward(p, &p->span[lane], NULL, scratch);
}

static void one_row(void *arg, int64_t b, struct mega_arena *scratch)
{
    const struct strip_plan *p = arg;
    struct strip_columns of_row = MEGA_ISA_NAME(mega_strip_columns)(p, b, scratch);
    for (int64_t i = p->of_row[b]; i < p->of_row[b + 1]; i++) {
        size_t mark = mega_arena_mark(scratch);
        strip_forward(p, &p->span[i], &of_row, scratch);
        mega_arena_release(scratch, mark);
    }
    if (p->c->out[MEGA_ATTENTION_FADED]) give_faded(p, b, of_row.faded);
}

static void forward(const struct mega_call *c)
{
    struct strip_plan p = MEGA_ISA_NAME(mega_strip_plan)(c);
    if (c->out[MEGA_ATTENTION_WEIGHTS]) mega_tensor_zero(c->out[MEGA_ATTENTION_WEIGHTS]);
    mega_lanes(c->work, p.in_order ? c->rows->B : p.spans, MEGA_ISA_NAME(mega_strip_cost)(&p),
        p.in_order ? one_row : one_strip, &p);
}

static bool accepts(const struct mega_call *c, const char **why)
{
    const struct mega_attr_attention *a = c->attr;
    *why = "tiles are asked for";
    if (a->exec == MEGA_ATTENTION_FUSED) return false;
    *why = "float32 only";
    for (int i = 0; i < MEGA_ATTENTION_INPUTS; i++)
        if (c->in[i] && c->in[i]->dtype != MEGA_F32) return false;
    return c->out[0]->dtype == MEGA_F32;
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_attention_strip) = {
    .name = "strip " MEGA_ISA_TEXT,
    .accepts = accepts,
    .forward = forward,
    .backward = MEGA_ISA_NAME(mega_attention_strip_backward),
};
