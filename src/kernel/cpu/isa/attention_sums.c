/* Sums of attention's gradients over the lanes of its backward pass. */
#include "kernel/cpu/isa/attention_sums.h"

enum {
    DECAY = MEGA_ATTENTION_DECAY,
    DECAY_K = MEGA_ATTENTION_DECAY_K,
    DECAY_BACK = MEGA_ATTENTION_DECAY_BACK,
    SHARE = MEGA_ATTENTION_SHARE,
    BANK = MEGA_ATTENTION_BANK
};

static bool wants(const struct attention_sums *s, int which)
{
    return s->g->in[which] != NULL;
}

static bool adds(const struct attention_sums *s, int which)
{
    return s->g->add >> which & 1;
}

/* ---- room ---- */

static float *room(const struct attention_sums *s, int64_t numbers)
{
    return mega_scratch(s->p->c->work, (size_t)(numbers + 1) * sizeof(float));
}

static float *zeros(const struct attention_sums *s, int64_t numbers)
{
    float *all = room(s, numbers);
    clear(all, all + numbers);
    return all;
}

static struct attention_lane lane_of(
    const struct attention_sums *s, const struct attention_span *span)
{
    const struct attention_plan *p = s->p;
    const mega_tensor *bank = p->c->in[BANK];
    struct attention_lane own = { 0 };
    int64_t rows = (span->end - span->first) * span->heads,
            tables = p->bias_head ? span->heads : 1;
    if (wants(s, Q) && span->lanes > 1) own.dq = room(s, rows * p->Z);
    if (wants(s, DECAY)) own.drow[UP_TO] = zeros(s, rows);
    if (wants(s, DECAY_BACK)) own.drow[AFTER] = zeros(s, rows);
    if (wants(s, SHARE)) own.dshare = zeros(s, rows * mega_heads_bank_rank(p->c));
    if (wants(s, BIAS)) own.dbias = zeros(s, tables * differences_of(span));
    if (wants(s, BANK)) own.dbank = zeros(s, mega_height(bank) * mega_width(bank));
    return own;
}

void MEGA_ISA_NAME(mega_attention_sums)(struct attention_sums *s)
{
    const struct attention_plan *p = s->p;
    int64_t keys = p->c->rows->B * p->S * p->n.H;
    s->lane = mega_scratch(p->c->work, (size_t)(p->lanes + 1) * sizeof *s->lane);
    for (int64_t i = 0; i < p->spans; i++) {
        const struct attention_span *span = &p->span[i];
        float *dprefix[2] = { wants(s, PREFIX_K) ? room(s, p->N * p->Z) : NULL,
            wants(s, PREFIX_V) ? room(s, p->N * p->E) : NULL };
        for (int64_t lane = span->lane; lane < span->lane + span->lanes; lane++) {
            s->lane[lane] = lane_of(s, span);
            for (int k = 0; k < 2; k++) s->lane[lane].dprefix[k] = dprefix[k];
        }
    }
    bool own = p->c->in[DECAY_K] != NULL;
    if (wants(s, own ? DECAY_K : DECAY)) s->column[UP_TO] = zeros(s, keys);
    if (wants(s, DECAY_BACK)) s->column[AFTER] = zeros(s, keys);
}

/* ---- rows of queries, by lanes over windows ---- */

/* to, n numbers, receives or is added the lanes' numbers at `at`, in order */
static void total_row(const struct attention_sums *s, const struct attention_span *span,
    int which, size_t member, int64_t at, float *to, int64_t n)
{
    if (!adds(s, which)) clear(to, to + n);
    for (int64_t lane = span->lane; lane < span->lane + span->lanes; lane++) {
        const float *const *sums =
            (const float *const *)(const void *)((const char *)&s->lane[lane] + member);
        row_functions->add_scaled(to, *sums + at, 1, n);
    }
}

/* what the keys' side of decay adds to the same tensor */
static void total_sides(
    const struct attention_sums *s, const struct attention_span *span, int64_t i, int64_t at)
{
    const struct attention_plan *p = s->p;
    int64_t row = span->b * p->T + i, n = span->heads;
    if (wants(s, DECAY)) {
        float *to = (float *)mega_row(s->g->in[DECAY], row) + span->head;
        total_row(s, span, DECAY, offsetof(struct attention_lane, drow[UP_TO]), at, to, n);
        const float *column = s->column[UP_TO] + row * p->n.H + span->head;
        if (!p->c->in[DECAY_K]) row_functions->add_scaled(to, column, -1, n);
    }
    if (wants(s, DECAY_BACK)) {
        float *to = (float *)mega_row(s->g->in[DECAY_BACK], row) + span->head;
        if (!adds(s, DECAY_BACK)) clear(to, to + n);
        row_functions->add_scaled(to, s->column[AFTER] + row * p->n.H + span->head, 1, n);
        for (int64_t lane = span->lane; lane < span->lane + span->lanes; lane++)
            row_functions->add_scaled(to, s->lane[lane].drow[AFTER] + at, -1, n);
    }
}

static void total_lane(void *arg, int64_t which, struct mega_arena *scratch)
{
    (void)scratch;
    const struct attention_sums *s = arg;
    const struct attention_plan *p = s->p;
    const struct attention_span *span = &p->span[which];
    int64_t R = wants(s, SHARE) ? mega_heads_bank_rank(p->c) : 0;
    for (int64_t i = span->first; i < span->end; i++) {
        int64_t row = span->b * p->T + i, at = (i - span->first) * span->heads;
        if (wants(s, Q) && span->lanes > 1)
            total_row(s, span, Q, offsetof(struct attention_lane, dq), at * p->Z,
                (float *)mega_row(s->g->in[Q], row) + span->head * p->Z, span->heads * p->Z);
        if (wants(s, SHARE))
            total_row(s, span, SHARE, offsetof(struct attention_lane, dshare), at * R,
                (float *)mega_row(s->g->in[SHARE], row) + span->head * R, span->heads * R);
        total_sides(s, span, i, at);
    }
}

/* ---- parameters ---- */

/* differences of a window that the bias has: with a reach, not all */
static void total_bias(const struct attention_sums *s)
{
    const struct attention_plan *p = s->p;
    mega_tensor *g = s->g->in[BIAS];
    int64_t middle = (mega_width(g) - 1) / 2;
    if (!adds(s, BIAS)) mega_tensor_zero(g);
    for (int64_t i = 0; i < p->spans; i++) {
        const struct attention_span *span = &p->span[i];
        int64_t from = least_difference(p, span),
                to = least(from + differences_of(span), middle + 1);
        if (from < -middle) from = -middle;
        for (int64_t h = 0; from < to && h < span->heads; h += p->bias_head ? 1 : span->heads) {
            float *of = (float *)mega_row(g, p->bias_head ? span->head + h : 0) + middle;
            for (int64_t lane = span->lane; lane < span->lane + span->lanes; lane++)
                row_functions->add_scaled(of + from,
                    bias_sum(p, span, &s->lane[lane], span->head + h) + from, 1, to - from);
        }
    }
}

static void total_bank(const struct attention_sums *s)
{
    mega_tensor *g = s->g->in[BANK];
    int64_t width = mega_width(g);
    if (!adds(s, BANK)) mega_tensor_zero(g);
    for (int64_t lane = 0; lane < s->p->lanes; lane++)
        for (int64_t i = 0; i < mega_height(g); i++)
            row_functions->add_scaled(
                mega_row(g, i), s->lane[lane].dbank + i * width, 1, width);
}

/* one head of keys, over all windows */
static void prefix_lane(void *arg, int64_t group, struct mega_arena *scratch)
{
    (void)scratch;
    const struct attention_sums *s = arg;
    const struct attention_plan *p = s->p;
    for (int k = 0; k < 2; k++) {
        int which = k ? PREFIX_V : PREFIX_K;
        int64_t n = k ? p->E : p->Z;
        for (int64_t slot = 0; wants(s, which) && slot < p->N; slot++) {
            /* sums of a sweep have rows apart */
            float *to = mega_row(s->g->in[which], group * p->N + slot);
            if (!adds(s, which)) clear(to, to + n);
            for (int64_t i = group; i < p->spans; i += p->n.G)
                row_functions->add_scaled(
                    to, s->lane[p->span[i].lane].dprefix[k] + slot * n, 1, n);
        }
    }
}

/* a sink's slope, as that of any other score: -w sum of w dw */
static void sink_lane(void *arg, int64_t h, struct mega_arena *scratch)
{
    (void)scratch;
    const struct attention_sums *s = arg;
    const struct attention_plan *p = s->p;
    bool soft = passes_through(p->a);
    const float *log_sum = soft ? s->log_sum : p->c->saved[KEPT_SUM]->data;
    const mega_tensor *less = s->g->out[MEGA_ATTENTION_LOG_SUM];
    float e = sink_of(p, h, soft), sum = 0;
    for (int64_t row = 0; row < p->c->rows->B * p->T; row++) {
        float mean = soft ? s->mean[row * p->n.H + h]
                          : row_functions->dot((float *)mega_row(s->g->out[0], row) + h * p->E,
                                (float *)mega_row(p->c->out[0], row) + h * p->E, p->E);
        if (less) mean -= ((const float *)mega_row(less, row))[h];
        sum -= expf(e - log_sum[row * p->n.H + h]) * mean;
    }
    float own = ((const float *)p->c->in[SINK]->data)[h],
          *to = (float *)s->g->in[SINK]->data + h;
    if (p->a->fn == MEGA_ATTENTION_COG) sum *= own > 0 ? 1 : own < 0 ? -1 : 0;
    bool cools = (soft || p->a->fn == MEGA_ATTENTION_GUMBEL) && p->a->temperature > 0;
    if (cools) sum *= (float)(1 / p->a->temperature);
    *to = adds(s, SINK) ? *to + sum : sum;
}

static void total_decay_keys(const struct attention_sums *s)
{
    const struct attention_plan *p = s->p;
    mega_tensor *g = s->g->in[DECAY_K];
    if (!adds(s, DECAY_K)) mega_tensor_zero(g);
    for (int64_t row = 0; row < mega_height(g); row++)
        row_functions->add_scaled(
            mega_row(g, row), s->column[UP_TO] + row * p->n.H, -1, p->n.H);
}

void MEGA_ISA_NAME(mega_attention_totals)(const struct attention_sums *s)
{
    const struct attention_plan *p = s->p;
    void *arg = (void *)(uintptr_t)s;
    double rows = (double)(p->lanes * p->T), heads = (double)p->n.H;
    if (wants(s, Q) || wants(s, SHARE) || wants(s, DECAY) || wants(s, DECAY_BACK))
        mega_lanes(p->c->work, p->spans, rows * (double)p->Z / 8, total_lane, arg);
    if (wants(s, BIAS)) total_bias(s);
    if (wants(s, BANK)) total_bank(s);
    if (wants(s, DECAY_K)) total_decay_keys(s);
    if (wants(s, PREFIX_K) || wants(s, PREFIX_V))
        mega_lanes(p->c->work, p->n.G,
            (double)p->spans * (double)p->N * (double)(p->Z + p->E) / 8, prefix_lane, arg);
    if (wants(s, SINK))
        mega_lanes(p->c->work, p->n.H,
            (double)(p->c->rows->B * p->T) * heads * (double)p->E / 8, sink_lane, arg);
}
