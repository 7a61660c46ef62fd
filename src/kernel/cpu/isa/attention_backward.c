/* The attention kernel, backward. The mathematics stands in attention_forward.c; the slopes of
 * a row of weights in attention_slope.h. */
#include "kernel/cpu/isa/attention_slope.h"

/* The tiles of a window that are a lane's own. */
struct lane {
    const struct attention_sums *all;
    const struct attention_lane *own;
    const struct attention_span *span;
    int64_t mine;     /* its number among the window's lanes */
    int64_t *reached; /* of each tile of the window: its keys whose dk and dv hold something */
};

/* A block of queries on its way through the tiles of a lane. */
struct block {
    const struct lane *lane;
    struct attention_queries q;
    struct mega_matrix dy, s, d, dq;
    struct attention_slopes slopes;
    float *lengths; /* of each query: sum of ds, for scores of distances; NULL: not such ones */
    bool begun;     /* dq holds something */
};

/* What a block adds to besides, at one tile. */
struct tile {
    const struct attention_keys *k;
    struct attention_terms terms;
    float *column[SIDES]; /* [n]: sums of ds over queries; NULL: not wanted */
    float *dbias;         /* its middle */
};

/* ---- the block ---- */

static struct mega_matrix output_gradient(const struct attention_sums *all,
    const struct attention_queries *q, struct mega_arena *scratch)
{
    const struct attention_plan *p = all->p;
    struct mega_matrix dy = mega_matrix_of(all->g->out[0], query_row(p, q, 0), q->head * p->E);
    if (!mega_matrix_crowded(dy)) return dy;
    struct mega_matrix copy = mega_matrix_scratch(scratch, q->m, p->E);
    mega_matrix_copy(copy, dy, q->m, p->E);
    return copy;
}

/* All that a block sees lies in one tile. */
static bool is_one_tile(const struct attention_plan *p, const struct attention_queries *q)
{
    struct attention_sight sight = block_sight(p, q);
    struct attention_keys k = { 0 };
    return !next_keys(p, q->span, sight, &k) || !next_keys(p, q->span, sight, &k);
}

/* of each query the sum of w dw over all tiles, which is do o */
static float *means(const struct attention_plan *p, const struct attention_queries *q,
    struct mega_matrix dy, struct mega_arena *scratch)
{
    if (!is_softmax(p->a) || is_one_tile(p, q)) return NULL;
    float *mean = mega_arena_get(scratch, (size_t)p->tile * sizeof *mean);
    struct mega_matrix o = mega_matrix_of(p->c->out[0], query_row(p, q, 0), q->head * p->E);
    for (int64_t r = 0; r < q->m; r++)
        mean[r] = row_functions->dot(mega_matrix_row(dy, r), mega_matrix_row(o, r), p->E);
    return mean;
}

static struct block block_of(
    const struct lane *lane, int64_t head, int64_t first, struct mega_arena *scratch)
{
    const struct attention_sums *all = lane->all;
    const struct attention_plan *p = all->p;
    struct block w = { .lane = lane, .q = queries_of(p, lane->span, head, first, scratch) };
    w.dy = output_gradient(all, &w.q, scratch);
    w.s = mega_matrix_scratch(scratch, w.q.m, p->tile);
    w.d = mega_matrix_scratch(scratch, w.q.m, p->tile);
    w.dq = mega_matrix_scratch(scratch, w.q.m, p->Z);
    w.slopes = (struct attention_slopes){ .factor = mega_arena_get(
                                              scratch, (size_t)p->tile * sizeof(float)),
        .mean = means(p, &w.q, w.dy, scratch),
        .soft_sum = all->log_sum,
        .soft_mean = all->mean,
        .lost = all->lost };
    const mega_tensor *less = all->g->out[MEGA_ATTENTION_LOG_SUM];
    if (less) {
        w.slopes.less = mega_arena_get(scratch, (size_t)w.q.m * sizeof *w.slopes.less);
        for (int64_t r = 0; r < w.q.m; r++)
            w.slopes.less[r] = ((const float *)mega_row(less, query_row(p, &w.q, r)))[head];
    }
    if (p->a->l2) {
        w.lengths = mega_arena_get(scratch, (size_t)w.q.m * sizeof *w.lengths);
        clear(w.lengths, w.lengths + w.q.m);
    }
    return w;
}

/* ---- what is added to the scores ---- */

static struct tile tile_of(
    const struct block *w, const struct attention_keys *k, struct mega_arena *scratch)
{
    const struct attention_plan *p = w->lane->all->p;
    struct tile t = { .k = k, .terms = terms_of(p, &w->q, k, true, scratch) };
    if (t.terms.on & TERM_BIAS) t.dbias = bias_sum(p, w->lane->span, w->lane->own, w->q.head);
    for (int i = 0; (t.terms.on & TERM_SIDE) && i < SIDES; i++) {
        t.column[i] = term_room(k->n, scratch);
        clear(t.column[i], t.column[i] + k->n);
    }
    return t;
}

/* where a number of query r is summed by the lane, of so many a head */
static int64_t sum_at(const struct block *w, int64_t r, int64_t numbers)
{
    const struct attention_span *span = w->lane->span;
    return ((w->q.first + r - span->first) * span->heads + w->q.head - span->head) * numbers;
}

/* ds of a part of a row on one side of the query */
static void side_back(struct block *w, struct tile *t, int64_t r, int64_t from, const float *ds,
    int64_t n, int side)
{
    if (n <= 0) return;
    const struct attention_lane *own = w->lane->own;
    float sum = row_functions->sum(ds, n);
    row_functions->add_scaled(t->column[side] + from, ds, 1, n);
    if (w->lengths) w->lengths[r] += sum;
    if (!t->k->prefix && own->drow[side]) own->drow[side][sum_at(w, r, 1)] += sum;
}

/* ds of a row goes to all that was added to its scores, the bias aside */
static void terms_back(
    struct block *w, struct tile *t, int64_t r, struct attention_part part, const float *ds)
{
    if (t->terms.on & TERM_SIDE) {
        int64_t up_to = keys_up_to(&w->q, t->k, &t->terms, r, part);
        side_back(w, t, r, part.from, ds, up_to, UP_TO);
        side_back(w, t, r, part.from + up_to, ds + up_to, part.n - up_to, AFTER);
    }
    bank_back(&t->terms.bank, &w->q, r, part, ds);
}

/* what the tile's rows added up goes to the keys */
static void columns_back(struct block *w, struct tile *t)
{
    const struct attention_sums *all = w->lane->all;
    const struct attention_plan *p = all->p;
    const struct attention_keys *k = t->k;
    for (int i = 0; i < SIDES && !k->prefix && (t->terms.on & TERM_SIDE); i++)
        for (int64_t x = 0; all->column[i] && x < k->n; x++)
            if (k->first + x >= 0)
                all->column[i][(w->q.span->b * p->S + k->first + x) * p->n.H + w->q.head] +=
                    t->column[i][x];
}

/* ---- the tile ---- */

/* a query's row of a tile: s becomes w m, d = do v^T becomes ds, divided where q is not */
static void row_backward(struct block *w, struct tile *t, int64_t r)
{
    const struct attention_plan *p = w->lane->all->p;
    const struct mega_cpu_rows *f = row_functions;
    const struct attention_keys *k = t->k;
    struct attention_part part = seen_by(p, &w->q, k, r);
    if (is_outside(p, &w->q, r)) part.n = 0;
    float *s = mega_matrix_row(w->s, r), *d = mega_matrix_row(w->d, r);
    if (part.n) {
        if (p->drops) {
            draw(p, &w->q, k, r, part, w->slopes.factor);
            f->multiply(d + part.from, d + part.from, w->slopes.factor, part.n);
        }
        float *dbias = t->dbias ? t->dbias + k->first + part.from - (w->q.stand + r) : NULL;
        slope_row(
            p, &w->slopes, &w->q, k, &t->terms, r, part, dbias, s + part.from, d + part.from);
        terms_back(w, t, r, part, d + part.from);
        if (p->drops) f->multiply(s + part.from, s + part.from, w->slopes.factor, part.n);
        if (w->q.by) f->scale(d + part.from, d + part.from, w->q.by[r], part.n);
    } else {
        bank_back(&t->terms.bank, &w->q, r, part, d);
    }
    clear(s, s + part.from);
    clear(d, d + part.from);
    clear(s + part.from + part.n, s + k->n);
    clear(d + part.from + part.n, d + k->n);
}

/* zeroes gradients that are to be written, of keys from ... to - 1 of this call */
static void clear_keys(const struct lane *lane, int64_t from, int64_t to)
{
    const struct attention_plan *p = lane->all->p;
    const struct mega_grads *g = lane->all->g;
    int64_t group = mega_heads_group(&p->n, lane->span->head), first = from < 0 ? 0 : from;
    for (int i = K; i <= V; i++) {
        if (!g->in[i] || g->add >> i & 1) continue;
        int64_t width = i == K ? p->Z : p->E;
        for (int64_t j = first; j < to; j++) {
            float *row = (float *)mega_row(g->in[i], lane->span->b * p->S + j) + group * width;
            clear(row, row + width);
        }
    }
}

/* Where dk or dv (which: K or V) of a tile lies; nowhere if it is not wanted. */
static struct mega_matrix key_gradient(
    const struct block *w, const struct attention_keys *k, int which)
{
    const struct attention_plan *p = w->lane->all->p;
    mega_tensor *to = w->lane->all->g->in[which];
    int64_t width = which == K ? p->Z : p->E;
    if (k->prefix) {
        float *room = w->lane->own->dprefix[which - K];
        return (struct mega_matrix){ room ? room + k->first * width : NULL, width };
    }
    if (k->first < 0 || !to) return (struct mega_matrix){ NULL, 0 };
    int64_t group = mega_heads_group(&p->n, w->q.head);
    return mega_matrix_of(to, w->q.span->b * p->S + k->first, group * width);
}

/* Readies dk and dv of a tile for this block of queries: the first to reach them writes what is
 * not to be added to. Returns the gradients' `add` bits. */
static uint32_t begin_keys(const struct block *w, const struct attention_keys *k)
{
    int64_t *reached = &w->lane->reached[k->tile], before = *reached;
    if (*reached < k->n) *reached = k->n;
    if (!before) return k->prefix ? 0 : w->lane->all->g->add;
    if (!k->prefix) clear_keys(w->lane, k->first + before, k->first + k->n);
    return ~(uint32_t)0;
}

static void keys_backward(struct block *w, struct tile *t, struct mega_arena *scratch)
{
    const struct attention_plan *p = w->lane->all->p;
    const struct attention_keys *k = t->k;
    uint32_t add = begin_keys(w, k);
    struct mega_matrix dk = key_gradient(w, k, K), dv = key_gradient(w, k, V);
    if (dk.at)
        block_product(p->pairs, k->n, p->Z, w->q.m, turned(w->d), as_it_lies(w->q.q), dk,
            add >> K & 1, scratch);
    if (dv.at)
        block_product(p->pairs, k->n, p->E, w->q.m, turned(w->s), as_it_lies(w->dy), dv,
            add >> V & 1, scratch);
    for (int64_t x = 0; w->lengths && dk.at && x < k->n; x++) {
        float sum = t->column[UP_TO][x] + t->column[AFTER][x],
              by = factor_of(p, w->q.span, w->q.first);
        row_functions->add_scaled(
            mega_matrix_row(dk, x), mega_matrix_row(k->k, x), -by * sum, p->Z);
    }
}

/* Where the lane sums the gradients of the queries' shares of the bank, and of the bank. */
static struct mega_matrix share_sums(const struct block *w)
{
    const struct attention_lane *own = w->lane->own;
    int64_t R = mega_heads_bank_rank(w->lane->all->p->c);
    if (!own->dshare) return (struct mega_matrix){ NULL, 0 };
    return (struct mega_matrix){ own->dshare + sum_at(w, 0, R), w->lane->span->heads * R };
}

static struct mega_matrix bank_sums(const struct block *w)
{
    const mega_tensor *bank = w->lane->all->p->c->in[MEGA_ATTENTION_BANK];
    return (struct mega_matrix){ w->lane->own->dbank, bank ? mega_width(bank) : 0 };
}

static void tile_backward(
    struct block *w, const struct attention_keys *k, struct mega_arena *scratch)
{
    const struct attention_sums *all = w->lane->all;
    const struct attention_plan *p = all->p;
    int64_t m = w->q.m;
    size_t mark = mega_arena_mark(scratch);
    scores(p, &w->q, k, w->s, scratch);
    struct tile t = tile_of(w, k, scratch);
    block_product(
        p->pairs, m, k->n, p->E, as_it_lies(w->dy), turned(k->v), w->d, false, scratch);
    for (int64_t r = 0; r < m; r++) row_backward(w, &t, r);
    if (all->g->in[Q])
        block_product(p->pairs, m, p->Z, k->n, as_it_lies(w->d), as_it_lies(k->k), w->dq,
            w->begun, scratch);
    w->begun = true;
    keys_backward(w, &t, scratch);
    columns_back(w, &t);
    bank_give(p, &t.terms.bank, &w->q, share_sums(w), bank_sums(w), scratch);
    mega_arena_release(scratch, mark);
}

/* dq of a block, to the lane's sums or to where it belongs */
static void give(const struct block *w)
{
    const struct attention_sums *all = w->lane->all;
    const struct attention_plan *p = all->p;
    const struct attention_span *span = w->lane->span;
    float *sums = w->lane->own->dq;
    bool add = !sums && (all->g->add >> Q & 1);
    struct mega_matrix to =
        sums ? (struct mega_matrix){ sums + sum_at(w, 0, p->Z), span->heads * p->Z }
             : mega_matrix_of(all->g->in[Q], query_row(p, &w->q, 0), w->q.head * p->Z);
    for (int64_t r = 0; r < w->q.m; r++) {
        float factor = factor_of(p, span, w->q.first + r), by = w->q.by ? 1 : factor;
        float *dq = mega_matrix_row(w->dq, r), *row = mega_matrix_row(to, r);
        if (!w->begun) clear(dq, dq + p->Z);
        if (add)
            row_functions->add_scaled(row, dq, by, p->Z);
        else
            row_functions->scale(row, dq, by, p->Z);
        if (w->lengths)
            row_functions->add_scaled(row,
                (const float *)mega_row(p->c->in[Q], query_row(p, &w->q, r)) + w->q.head * p->Z,
                -factor * w->lengths[r], p->Z);
    }
}

/* ---- the lane ---- */

/* the lane's tiles for the queries of one head */
static void head_backward(const struct lane *lane, int64_t head, struct mega_arena *scratch)
{
    const struct attention_plan *p = lane->all->p;
    const struct attention_span *span = lane->span;
    size_t mark = mega_arena_mark(scratch);
    for (int64_t i = span->first; i < span->end; i += p->tile) {
        struct block w = block_of(lane, head, i, scratch);
        struct attention_sight sight = block_sight(p, &w.q);
        for (struct attention_keys k = { 0 }; next_keys(p, span, sight, &k);)
            if (k.tile % span->lanes == lane->mine) tile_backward(&w, &k, scratch);
        if (lane->all->g->in[Q]) give(&w);
        mega_arena_release(scratch, mark);
    }
}

/* keys of the lane's tiles that no query reached */
static void clear_rest(const struct lane *lane)
{
    const struct attention_plan *p = lane->all->p;
    const struct attention_span *span = lane->span;
    struct attention_sight whole = { .from = span->lo, .to = span->hi };
    for (struct attention_keys k = { 0 }; next_keys(p, span, whole, &k);)
        if (!k.prefix && k.tile % span->lanes == lane->mine)
            clear_keys(lane, k.first + lane->reached[k.tile], k.first + k.n);
}

/* a window's share of its tiles, every lanes-th, for all its queries */
static void backward_lane(void *arg, int64_t number, struct mega_arena *scratch)
{
    const struct attention_sums *all = arg;
    const struct attention_span *span = find_span(all->p, number);
    struct lane lane = {
        .all = all, .own = &all->lane[number], .span = span, .mine = number - span->lane
    };
    enum { CUT = 3 }; /* tiles more, where the past's log ends and where this call begins */
    size_t tiles = (size_t)(tiles_of(all->p, span) + CUT);
    lane.reached = mega_arena_zeroed(scratch, tiles * sizeof *lane.reached);
    if (!lane.mine) {
        /* before the first window of a row of keys there may be some that no query sees */
        clear_keys(&lane, span->first ? span->window.from : 0, span->lo);
        clear_keys(&lane, span->hi, span->window.to);
    }
    for (int64_t h = span->head; h < span->head + span->heads; h++)
        head_backward(&lane, h, scratch);
    clear_rest(&lane);
}

/* ---- all ---- */

static float *numbers(const struct attention_plan *p, int64_t n)
{
    return mega_scratch(p->c->work, (size_t)(n + 1) * sizeof(float));
}

static void passes_before(const struct attention_plan *p, struct attention_sums *all)
{
    int64_t B = p->c->rows->B, rows = B * p->T * p->n.H, columns = B * p->n.H * (p->N + p->S);
    if (passes_through(p->a)) {
        float *log_sum = numbers(p, rows), *mean = numbers(p, rows);
        MEGA_ISA_NAME(mega_attention_soft)(p, all->g->out[0], log_sum, mean);
        all->log_sum = log_sum;
        all->mean = mean;
    }
    if (p->a->fn == MEGA_ATTENTION_INVERTED) {
        float *lost = numbers(p, columns);
        MEGA_ISA_NAME(mega_attention_column_slopes)(p, all->g->out[0], lost);
        all->lost = lost;
    }
}

void MEGA_ISA_NAME(mega_attention_backward)(const struct mega_call *c, struct mega_grads *g)
{
    struct attention_plan p = plan_of(c, true);
    mega_tensor none = *c->out[0];
    if (!g->out[0] && g->out[MEGA_ATTENTION_LOG_SUM]) {
        none = mega_like(c->out[0], MEGA_F32);
        none.data = numbers(&p, mega_count(&none));
        mega_tensor_zero(&none);
        g->out[0] = &none;
    }
    if (!g->out[0] || !p.spans) {
        mega_grads_begin(g);
        return;
    }
    if (p.a->fn == MEGA_ATTENTION_INVERTED) p.column = c->saved[KEPT_COLUMN]->data;
    struct attention_sums all = { .p = &p, .g = g };
    passes_before(&p, &all);
    MEGA_ISA_NAME(mega_attention_sums)(&all);
    mega_lanes(c->work, p.lanes, 2 * cost_of(&p), backward_lane, &all);
    MEGA_ISA_NAME(mega_attention_totals)(&all);
    if (g->out[0] == &none) g->out[0] = NULL;
}
