/* The attention kernel, forward: exact, by tiles of scores (attention_tile.h). Both ways:
 *
 *   forward:  o = (w m) v over the tiles of keys; a softmax goes on with the largest score and
 *             the sum so far, and is divided by the whole sum at the end
 *   backward: s and w again;  dv = (w m)^T do,  dw = (do v^T) m,  ds = dw f'(s),
 *             dq = ds k / divisor,  dk = ds^T q / divisor,  dbias[j - i] = sum of ds
 *
 * with m the factors of dropout. What is added to the scores, and its slope: attention_score.h.
 * A slot without a key, of score e and value 0, is where the softmax's sum begins. Some
 * functions need a number a query or a key from a pass before: attention_prepass.c.
 *
 * Kept: the logarithm of each softmax's sum, and what the passes before found. */
#include "kernel/cpu/isa/attention.h"

/* what this kernel has no tiles for, or NULL */
static const char *refusal_of(const struct mega_call *c)
{
    const struct mega_attr_attention *a = c->attr;
    if (a->exec == MEGA_ATTENTION_STRIP) return "strips are asked for";
    if (mega_attention_needs_strips(c)) return mega_attention_needs_strips(c);
    const struct mega_rows *keys = mega_window_keys(c);
    if (a->fn == MEGA_ATTENTION_INVERTED && c->in[PREFIX_K] && (a->chunk > 0 || keys->doc))
        return "a softmax over the queries of several windows";
    return NULL;
}

static bool accepts(const struct mega_call *c, const char **why)
{
    *why = refusal_of(c);
    if (*why) return false;
    *why = "float32 only";
    for (int i = 0; i < MEGA_ATTENTION_INPUTS; i++)
        if (c->in[i] && c->in[i]->dtype != MEGA_F32) return false;
    return c->out[0]->dtype == MEGA_F32;
}

static void keep(const struct mega_call *c, mega_tensor saved[MEGA_SAVED])
{
    const struct mega_attr_attention *a = c->attr;
    int64_t B = c->rows->B, H = mega_heads_of(c).H;
    mega_tensor row = mega_shaped(MEGA_F32, 1, B * c->rows->T * H, 0, 0, 0);
    if (is_softmax(a)) saved[KEPT_SUM] = row;
    if (a->fn == MEGA_ATTENTION_TOPK || is_single(a)) saved[KEPT_ROW] = row;
    if (a->fn == MEGA_ATTENTION_INVERTED)
        saved[KEPT_COLUMN] = mega_shaped(
            MEGA_F32, 1, B * H * (mega_window_keys(c)->T + mega_attention_prefix(c)), 0, 0, 0);
}

static float *kept(const struct mega_call *c, int which)
{
    return c->saved[which] ? c->saved[which]->data : NULL;
}

/* ---- weights ---- */

/* a block of queries on its way through the tiles */
struct block {
    struct attention_queries q;
    struct mega_matrix score, o;
    float *most, *sum, *factor; /* of each query: its largest score and sum so far; [keys] */
    float *peak;                /* of each query, if it is asked for: its largest score */
    float *number;              /* of each query, from the pass before; NULL: none */
    bool begun;                 /* o holds something */
};

/* the largest size of n scores, those that are not seen aside */
static float most_size(const float *s, int64_t n)
{
    vec most = vec_all(ATTENTION_UNSEEN);
    for (int64_t j = 0; j < n; j += VEC) {
        vec v = vec_get(s + j, n - j);
        /* the zeros behind the last one are smaller than any size */
        most = vec_max(most, vec_select(v > ATTENTION_UNSEEN / 2, vec_abs(v), v));
    }
    return vec_most(most);
}

/* s becomes exp(|s| - most) with the sign of s; returns the sum without signs */
static float signed_exp_sum(float *s, float most, int64_t n)
{
    vec sum = { 0 };
    for (int64_t j = 0; j < n; j += VEC) {
        vec v = vec_get(s + j, n - j);
        vec e = vec_where(v > ATTENTION_UNSEEN / 2, vec_exp_down(vec_abs(v) - most));
        vec_put(s + j, vec_where(v != 0.0f, vec_turn(e, v)), n - j);
        if (n - j < VEC) {
            float all = vec_sum(sum);
            for (int64_t i = 0; i < n - j; i++) all += e[i];
            return all;
        }
        sum += e;
    }
    return vec_sum(sum);
}

/* s: n scores, `most` the largest, become weights, not yet divided by their sum */
static void softmax(
    const struct attention_plan *p, struct block *b, int64_t r, float *s, float most, int64_t n)
{
    bool is_signed = p->a->fn == MEGA_ATTENTION_COG,
         grows = b->sum[r] <= 0 || most > b->most[r];
    float from = grows ? most : b->most[r];
    float sum = is_signed ? signed_exp_sum(s, from, n) : row_functions->exp_sum(s, s, from, n);
    if (!grows) {
        b->sum[r] += sum;
        return;
    }
    if (b->sum[r] > 0) {
        float less = expf(b->most[r] - most), *o = mega_matrix_row(b->o, r);
        sum += less * b->sum[r];
        if (b->begun) row_functions->scale(o, o, less, p->E);
    }
    b->most[r] = most;
    b->sum[r] = sum;
}

static void sigmoid(float *s, float bias, int64_t n)
{
    for (int64_t j = 0; j < n; j += VEC) {
        vec v = vec_get(s + j, n - j);
        vec_put(s + j, vec_where(v > ATTENTION_UNSEEN / 2, vec_sigmoid(v + bias)), n - j);
    }
}

/* the scores of a part of query r's row become weights; returns false if all are 0 */
static bool weigh_part(const struct attention_plan *p, struct block *b,
    const struct attention_keys *k, const struct attention_terms *t, int64_t r,
    struct attention_part part)
{
    float *s = mega_matrix_row(b->score, r) + part.from;
    const float *least_one =
        p->a->fn == MEGA_ATTENTION_TOPK && b->number ? b->number + r : NULL;
    float most = raise(p, &b->q, k, t, r, part, s, least_one);
    if (b->peak) b->peak[r] = fmaxf(b->peak[r], peak_of(p, &b->q, k, t, part, s, most));
    switch (p->a->fn) {
    case MEGA_ATTENTION_LAPLACE: row_functions->laplace(s, s, part.n); return true;
    case MEGA_ATTENTION_RELU2: row_functions->relu2(s, s, part.n); return true;
    case MEGA_ATTENTION_SIGMOID: sigmoid(s, (float)p->a->sigmoid_bias, part.n); return true;
    case MEGA_ATTENTION_COG: most = most_size(s, part.n); break;
    default: break;
    }
    /* of a softmax nothing is left where no key of the part is seen after all */
    if (most < ATTENTION_UNSEEN / 2) return false;
    softmax(p, b, r, s, most, part.n);
    return true;
}

static void weigh(const struct attention_plan *p, struct block *b,
    const struct attention_keys *k, const struct attention_terms *t, int64_t r)
{
    struct attention_part part = seen_by(p, &b->q, k, r);
    float *s = mega_matrix_row(b->score, r);
    if (is_outside(p, &b->q, r)) part.n = 0;
    bool any = part.n && weigh_part(p, b, k, t, r, part);
    if (!any) part.n = 0;
    clear(s, s + part.from);
    clear(s + part.from + part.n, s + k->n);
    if (!p->drops || !any) return;
    draw(p, &b->q, k, r, part, b->factor);
    row_functions->multiply(s + part.from, s + part.from, b->factor, part.n);
}

/* ---- the block ---- */

/* o of a softmax is divided by its sum; a query that sees no real key has none and gives 0 */
static void finish(const struct attention_plan *p, const struct block *b)
{
    float *log_sum = kept(p->c, KEPT_SUM);
    mega_tensor *given = p->c->out[MEGA_ATTENTION_LOG_SUM];
    for (int64_t r = 0; r < b->q.m; r++) {
        float sum = b->sum[r], *o = mega_matrix_row(b->o, r);
        if (sum > 0) row_functions->scale(o, o, 1 / sum, p->E);
        if (!log_sum && !given) continue;
        float all = sum > 0 ? b->most[r] + logf(sum) : 0;
        if (log_sum) log_sum[kept_at(p, &b->q, r)] = all;
        if (given) ((float *)mega_row(given, query_row(p, &b->q, r)))[b->q.head] = all;
    }
}

/* the largest score of each query that is real */
static void give_peaks(const struct attention_plan *p, const struct block *b)
{
    mega_tensor *to = p->c->out[MEGA_ATTENTION_PEAK];
    for (int64_t r = 0; to && r < b->q.m; r++) {
        bool any = b->peak[r] > ATTENTION_UNSEEN / 2 &&
                   mega_rows_real(p->c->rows, b->q.span->b, b->q.first + r);
        ((float *)mega_row(to, query_row(p, &b->q, r)))[b->q.head] = any ? b->peak[r] : 0;
    }
}

static void pass_before(
    const struct attention_plan *p, struct block *b, struct mega_arena *scratch)
{
    if (p->a->fn != MEGA_ATTENTION_TOPK && !is_single(p->a)) return;
    b->number = mega_arena_get(scratch, (size_t)b->q.m * sizeof *b->number);
    MEGA_ISA_NAME(mega_attention_rows)
    (p, &b->q, b->score, b->number, is_single(p->a) ? b->peak : NULL, scratch);
    float *row = kept(p->c, KEPT_ROW);
    for (int64_t r = 0; row && r < b->q.m; r++) row[kept_at(p, &b->q, r)] = b->number[r];
}

/* o is the value of the one key that the pass before found */
static void read_single(const struct attention_plan *p, struct block *b)
{
    for (int64_t r = 0; r < b->q.m; r++) {
        float *o = mega_matrix_row(b->o, r), factor = 1;
        if (b->number[r] < 0) {
            clear(o, o + p->E);
            continue;
        }
        struct attention_keys k = key_at(p, b->q.span, (int64_t)b->number[r]);
        if (p->drops) draw(p, &b->q, &k, r, (struct attention_part){ 0, 1 }, &factor);
        row_functions->scale(o, k.v.at, factor, p->E);
    }
}

/* o is the sum of all values with their weights */
static void read_all(
    const struct attention_plan *p, struct block *b, struct mega_arena *scratch)
{
    struct attention_sight sight = block_sight(p, &b->q);
    size_t mark = mega_arena_mark(scratch);
    for (struct attention_keys k = { 0 }; next_keys(p, b->q.span, sight, &k); b->begun = true) {
        scores(p, &b->q, &k, b->score, scratch);
        struct attention_terms t = terms_of(p, &b->q, &k, false, scratch);
        for (int64_t r = 0; r < b->q.m; r++) weigh(p, b, &k, &t, r);
        block_product(p->pairs, b->q.m, p->E, k.n, as_it_lies(b->score), as_it_lies(k.v), b->o,
            b->begun, scratch);
        mega_arena_release(scratch, mark);
    }
    for (int64_t r = 0; !b->begun && r < b->q.m; r++)
        clear(mega_matrix_row(b->o, r), mega_matrix_row(b->o, r) + p->E);
    if (is_softmax(p->a)) finish(p, b);
}

static void forward_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    const struct attention_plan *p = arg;
    const struct attention_span *span = find_span(p, lane);
    int64_t first = span->first + (lane - span->lane) * p->tile;
    struct block b = { .q = queries_of(p, span, span->head, first, scratch) };
    b.score = mega_matrix_scratch(scratch, b.q.m, p->tile);
    b.o = mega_matrix_of(p->c->out[0], query_row(p, &b.q, 0), span->head * p->E);
    b.most = mega_arena_get(scratch, (size_t)(3 * p->tile) * sizeof *b.most);
    b.sum = b.most + p->tile;
    b.factor = b.sum + p->tile;
    struct attention_start start = start_of(p, span->head, false);
    for (int64_t r = 0; r < b.q.m; r++) {
        b.most[r] = start.most;
        b.sum[r] = is_softmax(p->a) ? start.sum : 0;
    }
    if (p->c->out[MEGA_ATTENTION_PEAK]) {
        b.peak = mega_arena_get(scratch, (size_t)p->tile * sizeof *b.peak);
        for (int64_t r = 0; r < b.q.m; r++) b.peak[r] = ATTENTION_UNSEEN;
    }
    pass_before(p, &b, scratch);
    if (is_single(p->a))
        read_single(p, &b);
    else
        read_all(p, &b, scratch);
    give_peaks(p, &b);
}

static void forward(const struct mega_call *c)
{
    struct attention_plan p = plan_of(c, false);
    if (p.a->fn == MEGA_ATTENTION_INVERTED) {
        float *column = kept(c, KEPT_COLUMN);
        if (!column)
            column = mega_scratch(
                c->work, (size_t)(c->rows->B * p.n.H * (p.N + p.S)) * sizeof *column);
        MEGA_ISA_NAME(mega_attention_columns)(&p, column);
        p.column = column;
    }
    mega_lanes(c->work, p.lanes, cost_of(&p), forward_lane, &p);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_attention) = {
    .name = MEGA_ISA_TEXT,
    .accepts = accepts,
    .keep = keep,
    .forward = forward,
    .backward = MEGA_ISA_NAME(mega_attention_backward),
    .reads_out = true,
};
