/* Strips of attention: forgetting row by row. The gates of a query's keys are products with
 * small keys, like scores; what a key loses is the sum from it to the query. */
#include "kernel/cpu/isa/attention_strip.h"

/* channels of a head's gates */
static int64_t width_of(const struct strip *s)
{
    return mega_width(s->p->in[GATE_Q]) / s->p->n.H;
}

static float factor_of(const struct strip *s)
{
    return 1 / sqrtf((float)width_of(s));
}

static struct mega_matrix queries(const struct strip *s, int64_t h)
{
    return mega_matrix_of(s->p->in[GATE_Q], strip_query(s, 0), h * width_of(s));
}

/* small keys of a part, [n, e]; of prefix keys there are none */
static struct mega_matrix keys(const struct strip *s, const struct strip_part *part, int64_t h)
{
    int which = part->which == K ? GATE_K : PAST_GATE_K;
    return mega_matrix_of(s->p->in[which], part->row, h * width_of(s));
}

void MEGA_ISA_NAME(mega_strip_gates)(struct strip *s, struct mega_arena *scratch)
{
    const struct strip_plan *p = s->p;
    s->gates = strip_array(s, scratch);
    strip_clear(s->gates, p->n.H * s->m * s->stride);
    for (int64_t h = 0; h < p->n.H; h++)
        for (int i = 0; i < s->parts; i++) {
            const struct strip_part *part = &s->part[i];
            struct mega_matrix to = strip_head(s, s->gates, h);
            to.at += part->x;
            if (part->which == PREFIX_K) continue;
            block_product(NULL, s->m, part->n, width_of(s), as_it_lies(queries(s, h)),
                turned(keys(s, part, h)), to, false, scratch);
        }
}

/* log sigmoid(z) */
static float log_gate(float z)
{
    return z > 0 ? -log1pf(expf(-z)) : z - log1pf(expf(z));
}

/* columns of keys before query r: low ... end - 1 */
static int64_t gated_end(const struct strip *s, int64_t r)
{
    return least(s->seen[r], strip_stand(s, r));
}

void MEGA_ISA_NAME(mega_strip_add_gates)(const struct strip *s, float *x, int64_t h, int64_t r)
{
    const float *sees = strip_sees(s, h, r), *z = strip_row(s, s->gates, h, r);
    float sum = 0, by = factor_of(s);
    for (int64_t j = gated_end(s, r) - 1; j >= s->low[r]; j--) {
        if (sees[j] == 0) continue;
        sum += log_gate(by * z[j]);
        x[j] += sum;
    }
}

void MEGA_ISA_NAME(mega_strip_gates_slope)(
    const struct strip *s, const float *d, int64_t h, int64_t r)
{
    const float *sees = strip_sees(s, h, r);
    float *z = strip_row(s, s->gates, h, r), all = 0, by = factor_of(s);
    int64_t end = gated_end(s, r), low = s->low[r];
    if (end < low) end = low;
    strip_clear(z, low);
    for (int64_t j = low; j < end; j++) {
        if (sees[j] != 0) all += d[j];
        z[j] = sees[j] != 0 ? by * all / (1 + expf(by * z[j])) : 0;
    }
    strip_clear(z + end, s->stride - end);
}

/* gate_q of head h */
static void queries_back(
    const struct strip *s, int64_t h, struct mega_grads *g, struct mega_arena *scratch)
{
    int64_t e = width_of(s);
    struct mega_matrix own = mega_matrix_scratch(scratch, s->m, e);
    for (int64_t r = 0; r < s->m; r++) strip_clear(mega_matrix_row(own, r), e);
    for (int i = 0; i < s->parts; i++) {
        struct mega_matrix d = strip_head(s, s->gates, h);
        d.at += s->part[i].x;
        if (s->part[i].which != PREFIX_K)
            block_product(NULL, s->m, e, s->part[i].n, as_it_lies(d),
                as_it_lies(keys(s, &s->part[i], h)), own, true, scratch);
    }
    for (int64_t r = 0; r < s->m; r++) {
        float *row = (float *)mega_row(g->in[GATE_Q], strip_query(s, r)) + h * e;
        if (!(g->add >> GATE_Q & 1)) strip_clear(row, e);
        row_functions->add_scaled(row, mega_matrix_row(own, r), 1, e);
    }
}

void MEGA_ISA_NAME(mega_strip_gates_back)(const struct strip *s, struct mega_grads *g,
    const struct strip_slopes *to, struct mega_arena *scratch)
{
    for (int64_t h = 0; h < s->p->n.H; h++) {
        size_t mark = mega_arena_mark(scratch);
        if (g->in[GATE_Q]) queries_back(s, h, g, scratch);
        for (int i = 0; i < s->parts; i++) {
            const struct strip_part *part = &s->part[i];
            struct mega_matrix d = strip_head(s, s->gates, h), slope = to->in[GATE_K];
            if (part->which != K || !slope.at) continue;
            d.at += part->x;
            slope.at += (part->row - s->b * s->p->S) * slope.stride + h * width_of(s);
            block_product(NULL, part->n, width_of(s), s->m, turned(d),
                as_it_lies(queries(s, h)), slope, true, scratch);
        }
        mega_arena_release(scratch, mark);
    }
}
