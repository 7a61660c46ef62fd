/* The strip kernel of attention, backward: each strip is made again, then its steps are taken
 * back. What strips of a row of the batch both add to, its keys' gradients, is summed by lanes:
 * every lanes-th strip each, then the lanes in order. */
#include "kernel/cpu/isa/attention_strip.h"

enum { LANES = 16 }; /* as many are made if the strips are enough */

struct backward {
    struct strip_plan p;
    struct mega_grads *g;
    int64_t each;               /* lanes of a row */
    struct strip_slopes *slope; /* [lanes] */
};

/* inputs that lie in rows of keys or queries, of which a lane sums one b's */
static bool of_rows(int i)
{
    return i == K || i == V || i == DECAY || i == DECAY_K || i == DECAY_BACK || i == GATE_K;
}

/* those that belong to a strip's queries alone */
static bool of_queries(int i)
{
    return i == Q || i == SHARE || i == BEFORE || i == GATE_Q;
}

/* places of a row of in[i] */
static int64_t places(const struct strip_plan *p, int i)
{
    return i == DECAY ? p->T : p->S;
}

/* ---- a lane ---- */

/* zeroes what a lane sums */
static void begin(const struct backward *b, int64_t lane)
{
    for (int i = 0; i < INPUTS; i++) {
        struct mega_matrix to = b->slope[lane].in[i];
        bool own = to.at && of_rows(i) && b->each == 1;
        if (!to.at || (own && b->g->add >> i & 1)) continue;
        int64_t height = of_rows(i) ? places(&b->p, i) : mega_height(b->p.in[i]);
        for (int64_t r = 0; r < height; r++)
            strip_clear(mega_matrix_row(to, r), mega_width(b->p.in[i]));
    }
}

/* d [H, m, n] of the weights as they multiply v; v's gradient, too */
static void values_back(const struct backward *b, struct strip *s, float *d,
    const struct strip_slopes *to, struct mega_arena *scratch)
{
    const struct strip_plan *p = s->p;
    const mega_tensor *dy = b->g->out[0];
    strip_clear(d, p->n.H * s->m * s->stride);
    for (int64_t h = 0; dy && h < p->n.H; h++)
        for (int i = 0; i < s->parts; i++) {
            const struct strip_part *part = &s->part[i];
            struct mega_matrix w = strip_head(s, s->used, h), dw = strip_head(s, d, h),
                               o = mega_matrix_of(dy, strip_query(s, 0), h * p->n.dv),
                               slope = strip_keys_slope(s, to, part, V, h);
            w.at += part->x;
            dw.at += part->x;
            block_product(NULL, s->m, part->n, p->n.dv, as_it_lies(o),
                turned(strip_keys(s, part, V, h)), dw, false, scratch);
            if (slope.at)
                block_product(NULL, part->n, p->n.dv, s->m, turned(w), as_it_lies(o), slope,
                    true, scratch);
        }
}

/* a strip with its weights, and d of f */
static struct strip open_back(const struct backward *b, const struct strip_span *at,
    const struct strip_columns *of_row, const struct strip_slopes *to, float **d, float **d_raw,
    struct mega_arena *scratch)
{
    struct strip s = MEGA_ISA_NAME(mega_strip_open)(&b->p, at, of_row, true, scratch);
    MEGA_ISA_NAME(mega_strip_weights)(&s, scratch);
    *d = strip_array(&s, scratch);
    *d_raw = s.scaled ? strip_array(&s, scratch) : NULL;
    values_back(b, &s, *d, to, scratch);
    MEGA_ISA_NAME(mega_strip_mix_back)(&s, *d, *d_raw, to, scratch);
    return s;
}

/* selective: what had faded before each strip of row b, [strips, M] */
static float *faded_before(
    const struct backward *b, int64_t row, struct strip_columns *of, struct mega_arena *scratch)
{
    const struct strip_plan *p = &b->p;
    int64_t first = p->of_row[row], n = p->of_row[row + 1] - first;
    float *all = mega_arena_get(scratch, (size_t)(n * p->M + 1) * sizeof *all);
    for (int64_t i = 0; i < n; i++) {
        size_t mark = mega_arena_mark(scratch);
        memcpy(all + i * p->M, of->faded, (size_t)p->M * sizeof *all);
        MEGA_ISA_NAME(mega_strip_open)(p, &p->span[first + i], of, false, scratch);
        mega_arena_release(scratch, mark);
    }
    return all;
}

/* inverted: what each key's softmax over the queries of row b loses */
static void find_lost(
    const struct backward *b, int64_t row, struct strip_columns *of, struct mega_arena *scratch)
{
    const struct strip_plan *p = &b->p;
    struct strip_slopes none = { { { NULL, 0 } } };
    of->lost = mega_arena_get(scratch, (size_t)(p->n.H * p->M + 1) * sizeof *of->lost);
    strip_clear(of->lost, p->n.H * p->M);
    for (int64_t i = p->of_row[row]; i < p->of_row[row + 1]; i++) {
        size_t mark = mega_arena_mark(scratch);
        float *d, *d_raw;
        struct strip s = open_back(b, &p->span[i], of, &none, &d, &d_raw, scratch);
        MEGA_ISA_NAME(mega_strip_lose)(&s, d);
        mega_arena_release(scratch, mark);
    }
}

static void strip_backward(const struct backward *b, const struct strip_span *at,
    const struct strip_columns *of_row, const struct strip_slopes *to,
    struct mega_arena *scratch)
{
    size_t mark = mega_arena_mark(scratch);
    float *d, *d_raw;
    struct strip s = open_back(b, at, of_row, to, &d, &d_raw, scratch);
    MEGA_ISA_NAME(mega_strip_weights_back)(&s, d, b->g, to);
    MEGA_ISA_NAME(mega_strip_scores_back)(&s, d, d_raw, b->g, to, scratch);
    mega_arena_release(scratch, mark);
}

static void backward_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    const struct backward *b = arg;
    const struct strip_plan *p = &b->p;
    int64_t row = lane / b->each, first = p->of_row[row], n = p->of_row[row + 1] - first;
    const struct strip_slopes *to = &b->slope[lane];
    begin(b, lane);
    struct strip_columns of = { 0 };
    if (p->in_order) of = MEGA_ISA_NAME(mega_strip_columns)(p, row, scratch);
    if (p->a->fn == MEGA_ATTENTION_INVERTED) find_lost(b, row, &of, scratch);
    float *before = NULL;
    if (p->a->selective) {
        before = faded_before(b, row, &of, scratch);
        of.later = mega_arena_get(scratch, (size_t)(p->M + 1) * sizeof *of.later);
        strip_clear(of.later, p->M);
    }
    for (int64_t i = n - 1; i >= 0; i--) {
        if (i % b->each != lane % b->each) continue;
        if (before) memcpy(of.faded, before + i * p->M, (size_t)p->M * sizeof *before);
        strip_backward(b, &p->span[first + i], &of, to, scratch);
    }
}

/* ---- sums ---- */

/* room for what a lane sums: the gradient itself where no other lane does */
static struct mega_matrix room_of(const struct backward *b, int i, int64_t lane)
{
    const struct strip_plan *p = &b->p;
    const mega_tensor *g = b->g->in[i];
    if (!g || of_queries(i)) return (struct mega_matrix){ NULL, 0 };
    int64_t width = mega_width(g);
    if (of_rows(i) && b->each == 1) return mega_matrix_of(g, lane * places(p, i), 0);
    int64_t height = of_rows(i) ? places(p, i) : mega_height(g);
    return (struct mega_matrix){
        mega_scratch(p->c->work, (size_t)(height * width + 1) * sizeof(float)), width
    };
}

static void total_rows(const struct backward *b, int i, int64_t row)
{
    int64_t width = mega_width(b->p.in[i]), n = places(&b->p, i);
    for (int64_t r = 0; r < n; r++) {
        float *to = mega_row(b->g->in[i], row * n + r);
        if (!(b->g->add >> i & 1)) strip_clear(to, width);
        for (int64_t lane = row * b->each; lane < (row + 1) * b->each; lane++)
            row_functions->add_scaled(to, mega_matrix_row(b->slope[lane].in[i], r), 1, width);
    }
}

/* of a row of the batch, from its lanes */
static void total_lane(void *arg, int64_t row, struct mega_arena *scratch)
{
    (void)scratch;
    const struct backward *b = arg;
    for (int i = 0; i < INPUTS; i++)
        if (b->g->in[i] && of_rows(i)) total_rows(b, i, row);
}

/* a row of a parameter's gradient from that of all lanes, in order */
static void total_parameter(const struct backward *b, int i, int64_t row, int64_t lanes)
{
    mega_tensor *g = b->g->in[i];
    int64_t width = mega_width(g);
    float *to = mega_row(g, row);
    if (!(b->g->add >> i & 1)) strip_clear(to, width);
    for (int64_t lane = 0; lane < lanes; lane++) {
        const float *from = mega_matrix_row(b->slope[lane].in[i], row);
        if (i == BANK)
            for (int64_t x = 0; x < width; x++) to[x] += from[width - 1 - x];
        else
            row_functions->add_scaled(to, from, 1, width);
    }
}

void MEGA_ISA_NAME(mega_attention_strip_backward)(
    const struct mega_call *c, struct mega_grads *g)
{
    if (!g->out[MEGA_ATTENTION_O] && !g->out[MEGA_ATTENTION_SCORES] &&
        !g->out[MEGA_ATTENTION_LOG_SUM]) {
        mega_grads_begin(g);
        return;
    }
    struct backward b = { .p = MEGA_ISA_NAME(mega_strip_plan)(c), .g = g, .each = 1 };
    b.p.back = true;
    int64_t B = c->rows->B, most = B ? pieces(b.p.spans, B) : 0;
    if (B && !b.p.in_order) b.each = least((LANES + B - 1) / B, most > 1 ? most : 1);
    int64_t lanes = B * b.each;
    b.slope = mega_scratch(c->work, (size_t)(lanes + 1) * sizeof *b.slope);
    for (int64_t lane = 0; lane < lanes; lane++)
        for (int i = 0; i < INPUTS; i++) b.slope[lane].in[i] = room_of(&b, i, lane);
    mega_lanes(c->work, lanes, 3 * MEGA_ISA_NAME(mega_strip_cost)(&b.p), backward_lane, &b);
    if (b.each > 1)
        mega_lanes(c->work, B, (double)(lanes * b.p.S * b.p.n.G * b.p.n.d) / 4, total_lane, &b);
    for (int i = 0; i < INPUTS; i++)
        for (int64_t r = 0;
             g->in[i] && !of_rows(i) && !of_queries(i) && r < mega_height(g->in[i]); r++)
            total_parameter(&b, i, r, lanes);
}
