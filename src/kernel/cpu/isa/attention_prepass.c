/* The attention kernel's passes before the others: one number a query or a key, from all its
 * scores. Tiles are those of the pass that follows, so that a score which decides rounds the
 * same there. */
#include "kernel/cpu/isa/attention.h"

/* ---- a number a query ---- */

/* A row's largest k scores so far stand in ascending order, infinities behind them to the next
 * whole vector and one more; at first none is seen. */
static int64_t room_for(int64_t k)
{
    return pieces(k, VEC) * VEC + VEC;
}

static void none_seen(float *top, int64_t k)
{
    for (int64_t i = 0; i < room_for(k); i++) top[i] = i < k ? ATTENTION_UNSEEN : INFINITY;
}

/* s, which is larger than the least of them, takes its place */
static void take(float *top, int64_t k, float s)
{
    ivec next;
    for (int i = 0; i < VEC; i++) next[i] = i + 1;
    vec here = vec_load(top);
    for (int64_t i = 0; i < k; i += VEC) {
        vec after = vec_load(top + i + VEC), one_on = vec_pick(here, after, next);
        vec_store(top + i, vec_min(one_on, vec_max(here, vec_all(s))));
        here = after;
    }
}

/* the scores s [n], `most` the largest of them */
static void take_row(float *top, int64_t k, float most, const float *s, int64_t n)
{
    for (int64_t j = 0; j < n && most > top[0]; j += VEC) {
        uint32_t lanes = n - j < VEC ? (1u << (n - j)) - 1 : ~0u;
        uint32_t larger = vec_bits(vec_get(s + j, n - j) > top[0]) & lanes;
        for (; larger; larger &= larger - 1) {
            float one = s[j + __builtin_ctz(larger)];
            if (one > top[0]) take(top, k, one);
        }
    }
}

/* the keys that a block may see */
static int64_t keys_seen(const struct attention_plan *p, struct attention_sight sight)
{
    return p->N + sight.to - sight.from;
}

/* the largest score of a query so far, and where it stands first */
struct first {
    float most, at;
};

static void take_first(struct first *f, float most, const float *s, int64_t n, int64_t at)
{
    if (most < ATTENTION_UNSEEN / 2 || (f->at >= 0 && most <= f->most)) return;
    int64_t j = 0;
    while (j + 1 < n && s[j] != most) j++;
    *f = (struct first){ most, (float)(at + j) };
}

void MEGA_ISA_NAME(mega_attention_rows)(const struct attention_plan *p,
    const struct attention_queries *q, struct mega_matrix score, float *number, float *peak,
    struct mega_arena *scratch)
{
    size_t begin = mega_arena_mark(scratch);
    struct attention_sight sight = block_sight(p, q);
    bool all = !is_single(p->a) && keys_seen(p, sight) < p->a->top; /* count, of every row */
    int64_t k_most = is_single(p->a) || all ? 1 : p->a->top, room = room_for(k_most);
    struct first *first = mega_arena_get(scratch, (size_t)q->m * sizeof *first);
    float *top = mega_arena_get(scratch, (size_t)(q->m * room) * sizeof *top);
    for (int64_t r = 0; r < q->m; r++) {
        first[r] = (struct first){ 0, -1 };
        none_seen(top + r * room, k_most);
    }
    size_t mark = mega_arena_mark(scratch);
    for (struct attention_keys k = { 0 }; !all && next_keys(p, q->span, sight, &k);) {
        scores(p, q, &k, score, scratch);
        struct attention_terms t = terms_of(p, q, &k, false, scratch);
        for (int64_t r = 0; r < q->m; r++) {
            struct attention_part part = seen_by(p, q, &k, r);
            float *s = mega_matrix_row(score, r) + part.from;
            if (!part.n) continue;
            float most = raise(p, q, &k, &t, r, part, s, NULL);
            if (peak) peak[r] = fmaxf(peak[r], peak_of(p, q, &k, &t, part, s, most));
            if (is_single(p->a))
                take_first(&first[r], most, s, part.n, k.at + part.from);
            else
                take_row(top + r * room, k_most, most, s, part.n);
        }
        mega_arena_release(scratch, mark);
    }
    for (int64_t r = 0; r < q->m; r++)
        number[r] = is_single(p->a) ? first[r].at : all ? ATTENTION_UNSEEN : top[r * room];
    mega_arena_release(scratch, begin);
}

/* ---- all queries of a window and head ---- */

/* a pass over them; what it makes of them goes to one or two tensors of numbers */
struct pass {
    const struct attention_plan *p;
    const mega_tensor *dy;
    float *a, *b;
    int64_t heads; /* of a span */
};

/* A lane is a head of a span. */
static void run(const struct attention_plan *p, struct pass *pass, double work,
    void (*lane)(void *arg, int64_t lane, struct mega_arena *scratch))
{
    pass->p = p;
    pass->heads = p->spans ? p->span[0].heads : 1;
    mega_lanes(p->c->work, p->spans * pass->heads, work * cost_of(p), lane, pass);
}

static const struct attention_span *lane_span(
    const struct pass *pass, int64_t lane, int64_t *head)
{
    const struct attention_span *span = &pass->p->span[lane / pass->heads];
    *head = span->head + lane % pass->heads;
    return span;
}

/* d [m, n] = do v^T */
static void weight_slopes(const struct pass *pass, const struct attention_queries *q,
    const struct attention_keys *k, struct mega_matrix d, struct mega_arena *scratch)
{
    const struct attention_plan *p = pass->p;
    struct mega_matrix dy = mega_matrix_of(pass->dy, query_row(p, q, 0), q->head * p->E);
    block_product(p->pairs, q->m, k->n, p->E, as_it_lies(dy), turned(k->v), d, false, scratch);
}

/* d *= the factors of dropout */
static void drop(const struct attention_plan *p, const struct attention_queries *q,
    const struct attention_keys *k, int64_t r, struct attention_part part, float *d,
    float *factor)
{
    if (!p->drops) return;
    draw(p, q, k, r, part, factor);
    row_functions->multiply(d, d, factor, part.n);
}

/* ---- the softmax behind a function that is none ---- */

/* of a query: the largest score, the sum of the weights and of weights times their slopes */
struct soft {
    float most, sum, slope;
};

static void take_soft(
    struct soft *f, float cool, float most, float *s, const float *d, int64_t n)
{
    most *= cool;
    if (most < ATTENTION_UNSEEN / 2) return;
    if (cool != 1) row_functions->scale(s, s, cool, n);
    if (f->sum <= 0 || most > f->most) {
        float less = f->sum > 0 ? expf(f->most - most) : 0;
        f->sum *= less;
        f->slope *= less;
        f->most = most;
    }
    f->sum += row_functions->exp_sum(s, s, f->most, n);
    f->slope += row_functions->dot(s, d, n);
}

static void soft_block(
    const struct pass *pass, const struct attention_queries *q, struct mega_arena *scratch)
{
    const struct attention_plan *p = pass->p;
    struct mega_matrix s = mega_matrix_scratch(scratch, q->m, p->tile),
                       d = mega_matrix_scratch(scratch, q->m, p->tile);
    struct soft *soft = mega_arena_get(scratch, (size_t)q->m * sizeof *soft);
    float *factor = mega_arena_get(scratch, (size_t)p->tile * sizeof *factor);
    struct attention_start start = start_of(p, q->head, true);
    for (int64_t r = 0; r < q->m; r++) soft[r] = (struct soft){ start.most, start.sum, 0 };
    size_t mark = mega_arena_mark(scratch);
    struct attention_sight sight = block_sight(p, q);
    for (struct attention_keys k = { 0 }; next_keys(p, q->span, sight, &k);) {
        scores(p, q, &k, s, scratch);
        struct attention_terms t = terms_of(p, q, &k, false, scratch);
        weight_slopes(pass, q, &k, d, scratch);
        for (int64_t r = 0; r < q->m; r++) {
            struct attention_part part = seen_by(p, q, &k, r);
            float *row = mega_matrix_row(s, r) + part.from,
                  *slope = mega_matrix_row(d, r) + part.from;
            if (!part.n) continue;
            float most = raise(p, q, &k, &t, r, part, row, NULL);
            drop(p, q, &k, r, part, slope, factor);
            take_soft(&soft[r], soft_factor(p->a), most, row, slope, part.n);
        }
        mega_arena_release(scratch, mark);
    }
    for (int64_t r = 0; r < q->m; r++) {
        float sum = soft[r].sum;
        pass->a[kept_at(p, q, r)] = sum > 0 ? soft[r].most + logf(sum) : 0;
        pass->b[kept_at(p, q, r)] = sum > 0 ? soft[r].slope / sum : 0;
    }
}

static void soft_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    const struct pass *pass = arg;
    int64_t head;
    const struct attention_span *span = lane_span(pass, lane, &head);
    for (int64_t i = span->first; i < span->end; i += pass->p->tile) {
        struct attention_queries q = queries_of(pass->p, span, head, i, scratch);
        soft_block(pass, &q, scratch);
        mega_arena_release(scratch, 0);
    }
}

void MEGA_ISA_NAME(mega_attention_soft)(
    const struct attention_plan *p, const mega_tensor *dy, float *log_sum, float *mean)
{
    struct pass pass = { .dy = dy, .a = log_sum, .b = mean };
    run(p, &pass, 1.5, soft_lane);
}

/* ---- a number a key ---- */

static bool is_real(
    const struct attention_plan *p, const struct attention_queries *q, int64_t r)
{
    return mega_rows_real(p->c->rows, q->span->b, q->first + r);
}

/* s of a tile, raised; scores of keys that a query does not see, or of queries that are not
 * real, far below all others */
static void raise_tile(const struct attention_plan *p, const struct attention_queries *q,
    const struct attention_keys *k, struct mega_matrix s, struct mega_arena *scratch)
{
    scores(p, q, k, s, scratch);
    struct attention_terms t = terms_of(p, q, k, false, scratch);
    for (int64_t r = 0; r < q->m; r++) {
        struct attention_part part = seen_by(p, q, k, r);
        float *row = mega_matrix_row(s, r);
        if (!is_real(p, q, r)) part.n = 0;
        if (part.n) raise(p, q, k, &t, r, part, row + part.from, NULL);
        for (int64_t x = 0; x < k->n; x++)
            if (x < part.from || x >= part.from + part.n) row[x] = ATTENTION_UNSEEN;
    }
}

/* each column's largest score and sum go on with the m rows of s */
static void take_columns(float *most, float *sum, struct mega_matrix s, int64_t m, int64_t n)
{
    for (int64_t j = 0; j < n; j += VEC) {
        vec before = vec_get(most + j, n - j), all = before, total = vec_get(sum + j, n - j);
        for (int64_t r = 0; r < m; r++)
            all = vec_max(all, vec_get(mega_matrix_row(s, r) + j, n - j));
        total *= vec_exp_down(before - all);
        for (int64_t r = 0; r < m; r++) {
            vec v = vec_get(mega_matrix_row(s, r) + j, n - j);
            total += vec_where(v > ATTENTION_UNSEEN / 2, vec_exp_down(v - all));
        }
        vec_put(most + j, all, n - j);
        vec_put(sum + j, total, n - j);
    }
}

/* visits all blocks of queries that see something of a tile of keys */
static void each_block(const struct pass *pass, const struct attention_span *span, int64_t head,
    const struct attention_keys *k, struct mega_arena *scratch,
    void (*visit)(const struct pass *pass, const struct attention_queries *q,
        const struct attention_keys *k, float *state, struct mega_arena *scratch),
    float *state)
{
    const struct attention_plan *p = pass->p;
    size_t mark = mega_arena_mark(scratch);
    for (int64_t i = span->first; i < span->end; i += p->tile) {
        struct attention_queries q = queries_of(p, span, head, i, scratch);
        if (k->prefix || attention_sight_meets(block_sight(p, &q), k->first, k->first + k->n))
            visit(pass, &q, k, state, scratch);
        mega_arena_release(scratch, mark);
    }
}

static void sum_block(const struct pass *pass, const struct attention_queries *q,
    const struct attention_keys *k, float *state, struct mega_arena *scratch)
{
    const struct attention_plan *p = pass->p;
    struct mega_matrix s = mega_matrix_scratch(scratch, q->m, k->n);
    raise_tile(p, q, k, s, scratch);
    take_columns(state, state + p->tile, s, q->m, k->n);
}

static void columns_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    const struct pass *pass = arg;
    const struct attention_plan *p = pass->p;
    int64_t head;
    const struct attention_span *span = lane_span(pass, lane, &head);
    float *most = mega_arena_get(scratch, (size_t)(2 * p->tile) * sizeof *most),
          *sum = most + p->tile;
    struct attention_sight whole = { .from = span->lo, .to = span->hi };
    for (struct attention_keys k = { 0 }; next_keys(p, span, whole, &k);) {
        for (int64_t x = 0; x < k.n; x++) most[x] = ATTENTION_UNSEEN;
        clear(sum, sum + k.n);
        each_block(pass, span, head, &k, scratch, sum_block, most);
        float *log_sum = pass->a + column_of(p, span, head, &k);
        /* of a key that no query reads nothing is to be left */
        for (int64_t x = 0; x < k.n; x++)
            log_sum[x] = sum[x] > 0 ? most[x] + logf(sum[x]) : -ATTENTION_UNSEEN;
    }
}

void MEGA_ISA_NAME(mega_attention_columns)(const struct attention_plan *p, float *log_sum)
{
    struct pass pass = { .a = log_sum };
    run(p, &pass, 0.5, columns_lane);
}

static void slope_block(const struct pass *pass, const struct attention_queries *q,
    const struct attention_keys *k, float *state, struct mega_arena *scratch)
{
    const struct attention_plan *p = pass->p;
    struct mega_matrix s = mega_matrix_scratch(scratch, q->m, k->n),
                       d = mega_matrix_scratch(scratch, q->m, k->n);
    float *factor = mega_arena_get(scratch, (size_t)k->n * sizeof *factor);
    const float *log_sum = p->c->saved[KEPT_SUM]->data;
    raise_tile(p, q, k, s, scratch);
    weight_slopes(pass, q, k, d, scratch);
    for (int64_t r = 0; r < q->m; r++) {
        if (!is_real(p, q, r)) continue;
        int64_t row = query_row(p, q, r);
        float mean = row_functions->dot((const float *)mega_row(pass->dy, row) + q->head * p->E,
            (const float *)mega_row(p->c->out[0], row) + q->head * p->E, p->E);
        float *w = mega_matrix_row(s, r), *dw = mega_matrix_row(d, r);
        drop(p, q, k, r, (struct attention_part){ 0, k->n }, dw, factor);
        for (int64_t j = 0; j < k->n; j += VEC) {
            vec one = vec_exp_down(vec_get(w + j, k->n - j) - log_sum[kept_at(p, q, r)]);
            vec slope = one * (vec_get(dw + j, k->n - j) - mean);
            vec_put(state + j, vec_get(state + j, k->n - j) + slope, k->n - j);
        }
    }
}

static void slopes_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    const struct pass *pass = arg;
    const struct attention_plan *p = pass->p;
    int64_t head;
    const struct attention_span *span = lane_span(pass, lane, &head);
    struct attention_sight whole = { .from = span->lo, .to = span->hi };
    for (struct attention_keys k = { 0 }; next_keys(p, span, whole, &k);) {
        float *slope = pass->a + column_of(p, span, head, &k);
        clear(slope, slope + k.n);
        each_block(pass, span, head, &k, scratch, slope_block, slope);
    }
}

void MEGA_ISA_NAME(mega_attention_column_slopes)(
    const struct attention_plan *p, const mega_tensor *dy, float *slope)
{
    struct pass pass = { .dy = dy, .a = slope };
    run(p, &pass, 1.5, slopes_lane);
}
