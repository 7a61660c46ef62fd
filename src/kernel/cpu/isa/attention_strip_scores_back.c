/* Strips of attention: gradients of scores on their way back to the inputs, the steps of
 * attention_strip_scores.c from the last to the first. */
#include "kernel/cpu/isa/attention_strip.h"

/* ---- selective attention ---- */

/* A score of head 0 also takes from the later ones of its key: what these lose, it loses. */
static void fade_back(const struct strip *s, float *d)
{
    int64_t N = s->p->N, first = N + s->window.from - s->lo;
    float *later = s->of_row->later + strip_shift(s), *own = s->room;
    for (int64_t r = s->m - 1; r >= 0; r--) {
        const float *sees = strip_sees(s, 0, r), *x = strip_row(s, s->s, 0, r),
                    *faded = s->faded + r * s->stride;
        float *head = strip_row(s, d, 0, r);
        strip_clear(own, s->n);
        for (int64_t h = 0; h < s->p->n.H; h++)
            row_functions->add_scaled(own, strip_row(s, d, h, r), 1, s->n);
        int64_t end = least(s->seen[r], strip_stand(s, r));
        if (!mega_rows_real(s->p->c->rows, s->b, s->first + r)) end = 0;
        for (int64_t j = s->low[r]; j < end; j++)
            if (sees[j] > 0 && x[j] + faded[j] > 0 && j != first) head[j] -= later[j];
        row_functions->add_scaled(later + N, own + N, 1, s->n - N);
    }
}

/* ---- contextual positions ---- */

/* d of query r goes to the products of q with cope, and to the gates */
static void cope_row_back(const struct strip *s, float *d, const float *product,
    float *to_product, int64_t h, int64_t r)
{
    const float *sees = strip_sees(s, h, r), *near = strip_row(s, s->near, h, r);
    float *gate = s->room, *moved = s->room + s->stride, sum = 0, all = 0,
          last = (float)(s->p->in[COPE]->dim[0] - 1);
    int64_t low = s->low[r], end = least(s->seen[r], strip_stand(s, r) + 1);
    if (end > low)
        row_functions->act(MEGA_ACT_SIGMOID, gate + low, near + low, NULL, end - low);
    for (int64_t j = end - 1; j >= low; j--) {
        moved[j] = 0;
        if (sees[j] == 0) continue;
        sum += gate[j];
        float position = sum < last ? sum : last, share = position - floorf(position);
        int64_t at = (int64_t)position;
        to_product[at] += d[j] * (1 - share);
        if (share > 0) to_product[at + 1] += d[j] * share;
        if (sum < last) moved[j] = d[j] * (product[at + 1] - product[at]);
    }
    for (int64_t j = low; j < end; j++) {
        all += moved[j];
        if (sees[j] != 0) d[j] += all * gate[j] * (1 - gate[j]);
    }
}

/* dq [m, d] of head h is added to */
static void cope_back(const struct strip *s, float *d, int64_t h, struct mega_matrix dq,
    const struct strip_slopes *to, struct mega_arena *scratch)
{
    const struct strip_plan *p = s->p;
    size_t mark = mega_arena_mark(scratch);
    int64_t positions = p->in[COPE]->dim[0];
    struct mega_matrix table = mega_matrix_of(p->in[COPE], 0, 0),
                       q = mega_matrix_of(p->in[Q], strip_query(s, 0), h * p->n.d),
                       product = mega_matrix_scratch(scratch, s->m, positions),
                       slope = mega_matrix_scratch(scratch, s->m, positions);
    block_product(
        NULL, s->m, positions, p->n.d, as_it_lies(q), turned(table), product, false, scratch);
    for (int64_t r = 0; r < s->m; r++) {
        strip_clear(mega_matrix_row(slope, r), positions);
        cope_row_back(s, strip_row(s, d, h, r), mega_matrix_row(product, r),
            mega_matrix_row(slope, r), h, r);
    }
    block_product(
        NULL, s->m, p->n.d, positions, as_it_lies(slope), as_it_lies(table), dq, true, scratch);
    if (to->in[COPE].at)
        block_product(NULL, positions, p->n.d, s->m, turned(slope), as_it_lies(q), to->in[COPE],
            true, scratch);
    mega_arena_release(scratch, mark);
}

/* ---- what places add ---- */

/* d through the clamp, of n scores near */
static void clamp_back(float *d, const float *near, float most, int64_t n)
{
    for (int64_t j = 0; j < n; j += VEC) {
        vec share = vec_get(near + j, n - j) * (1 / most);
        vec_put(d + j, vec_get(d + j, n - j) * (1.0f - share * share), n - j);
    }
}

/* The strip's sums of what goes to running sums of decay, [H, n]; NULL: not wanted. */
struct decays {
    float *keys, *back;
};

/* row of a gradient that belongs to query r */
static float *query_slope(const struct strip *s, const struct mega_grads *g, int i, int64_t r)
{
    return mega_row(g->in[i], strip_query(s, r));
}

static void decays_back(const struct strip *s, const float *d, int64_t h, int64_t r,
    const struct decays *of, const struct strip_slopes *to)
{
    const struct mega_cpu_rows *f = row_functions;
    int64_t low = s->low[r], seen = s->seen[r], upto = least(seen, strip_stand(s, r) + 1),
            after = upto > low ? upto : low, i = s->first + r;
    if (s->c_keys && upto > low) {
        if (of->keys) f->add_scaled(of->keys + h * s->stride + low, d + low, -1, upto - low);
        if (to->in[DECAY].at)
            mega_matrix_row(to->in[DECAY], i)[h] += f->sum(d + low, upto - low);
    }
    if (of->back && seen > after) {
        f->add_scaled(of->back + h * s->stride + after, d + after, 1, seen - after);
        mega_matrix_row(to->in[DECAY_BACK], i)[h] -= f->sum(d + after, seen - after);
    }
}

static void places_back(const struct strip *s, const float *d, int64_t h, int64_t r,
    struct mega_grads *g, const struct strip_slopes *to)
{
    const struct strip_plan *p = s->p;
    const struct mega_cpu_rows *f = row_functions;
    int64_t low = s->low[r], seen = s->seen[r], stand = strip_stand(s, r);
    if (to->in[BIAS].at) {
        int64_t width = mega_width(p->in[BIAS]), row = mega_height(p->in[BIAS]) > 1 ? h : 0;
        f->add_scaled(to->in[BIAS].at + row * width + (width - 1) / 2 + low - stand, d + low, 1,
            seen - low);
    }
    if (!p->bank) return;
    int64_t width = mega_width(p->in[BANK]), R = mega_heads_bank_rank(p->c),
            row = mega_heads_bank_row(p->c, h);
    struct strip_stretch near = strip_near(s, r);
    const float *share = (const float *)mega_row(p->in[SHARE], strip_query(s, r)) + h * R;
    float *to_share = g->in[SHARE] ? query_slope(s, g, SHARE, r) + h * R : NULL;
    for (int64_t k = 0; k < R; k++) {
        int64_t at = (row + k) * width + near.column;
        float sum = near.n > 0 ? f->dot(d + near.key, p->bank + at, near.n) : 0;
        if (to_share) to_share[k] = (g->add >> SHARE & 1 ? to_share[k] : 0) + sum;
        if (to->in[BANK].at && near.n > 0)
            f->add_scaled(to->in[BANK].at + at, d + near.key, share[k], near.n);
    }
}

/* sums of a strip's keys, [H, n], to their rows */
static void give_decays(const struct strip *s, const float *sums, struct mega_matrix to)
{
    for (int i = 0; sums && i < s->parts; i++)
        for (int64_t x = 0; s->part[i].which == K && x < s->part[i].n; x++) {
            float *row = mega_matrix_row(to, s->part[i].row - s->b * s->p->S + x);
            for (int64_t h = 0; h < s->p->n.H; h++)
                row[h] += sums[h * s->stride + s->part[i].x + x];
        }
}

static float *decay_sums(
    const struct strip *s, struct mega_matrix to, struct mega_arena *scratch)
{
    if (!to.at) return NULL;
    int64_t n = s->p->n.H * s->stride;
    float *sums = mega_arena_get(scratch, (size_t)n * sizeof *sums);
    strip_clear(sums, n);
    return sums;
}

/* ---- raw scores ---- */

static float *score_row(const struct strip *s, const mega_tensor *t, int64_t h, int64_t r)
{
    return mega_row(t, (s->b * s->p->n.H + h) * s->p->T + s->first + r);
}

/* what arrived for a row of the scores given out is added to d */
static void arrive(
    const struct strip *s, float *d, int64_t h, int64_t r, const struct mega_grads *g)
{
    const mega_tensor *arrived = g->out[MEGA_ATTENTION_SCORES];
    int64_t N = s->p->N;
    if (!arrived) return;
    const float *more = score_row(s, arrived, h, r);
    row_functions->add_scaled(d, more, 1, N);
    row_functions->add_scaled(d + N, more + N + strip_shift(s), 1, s->n - N);
}

/* d of raw: what arrived for the scores given out is added; the layer's before has it all */
static void residual_back(const struct strip *s, float *d, struct mega_grads *g)
{
    const struct strip_plan *p = s->p;
    const mega_tensor *before = g->in[BEFORE];
    int64_t N = p->N, at = N + strip_shift(s);
    for (int64_t h = 0; h < p->n.H; h++)
        for (int64_t r = 0; r < s->m; r++) {
            float *row = strip_row(s, d, h, r);
            if (!p->a->full) arrive(s, row, h, r, g);
            row_functions->multiply(row, row, s->there + r * s->stride, s->n);
            if (!before) continue;
            float *to = score_row(s, before, h, r);
            if (!(g->add >> BEFORE & 1)) strip_clear(to, p->M);
            row_functions->add_scaled(to, row, 1, N);
            row_functions->add_scaled(to + at, row + N, 1, s->n - N);
        }
}

/* l2: the queries' gradient is 2 sum_j d_j (k_j - q), times factor; dq comes with half of the
 * first part */
static void distance_queries(
    const struct strip *s, struct mega_matrix d, int64_t h, struct mega_matrix dq)
{
    for (int64_t r = 0; r < s->m; r++) {
        const float *q =
            (const float *)mega_row(s->p->in[Q], strip_query(s, r)) + h * s->p->n.d;
        float *to = mega_matrix_row(dq, r),
              sum = row_functions->sum(mega_matrix_row(d, r), s->n);
        row_functions->add_scaled(to, q, -sum, s->p->n.d);
        row_functions->scale(to, to, 2, s->p->n.d);
    }
}

/* l2: what keys have beyond twice the product: -2 k_j sum_i factor_i d_ij */
static void distance_keys(
    const struct strip *s, struct mega_matrix d, int64_t h, const struct strip_slopes *to)
{
    float *sum = s->room;
    strip_clear(sum, s->n);
    for (int64_t r = 0; r < s->m; r++)
        row_functions->add_scaled(sum, mega_matrix_row(d, r), s->factor[r], s->n);
    for (int i = 0; i < s->parts; i++) {
        struct mega_matrix slope = strip_keys_slope(s, to, &s->part[i], K, h),
                           k = strip_keys(s, &s->part[i], K, h);
        for (int64_t x = 0; slope.at && x < s->part[i].n; x++)
            row_functions->add_scaled(mega_matrix_row(slope, x), mega_matrix_row(k, x),
                -2 * sum[s->part[i].x + x], s->p->n.d);
    }
}

/* d of head h, of raw scores, to its queries and keys; dq holds what cope has left */
static void products_back(const struct strip *s, float *of, int64_t h, struct mega_matrix dq,
    struct mega_grads *g, const struct strip_slopes *to, struct mega_arena *scratch)
{
    const struct strip_plan *p = s->p;
    struct mega_matrix d = strip_head(s, of, h),
                       own = mega_matrix_scratch(scratch, s->m, p->n.d);
    for (int64_t r = 0; r < s->m; r++) strip_clear(mega_matrix_row(own, r), p->n.d);
    for (int i = 0; i < s->parts; i++) {
        const struct strip_part *part = &s->part[i];
        struct mega_matrix x = { d.at + part->x, d.stride },
                           slope = strip_keys_slope(s, to, part, K, h);
        if (g->in[Q])
            block_product(NULL, s->m, p->n.d, part->n, as_it_lies(x),
                as_it_lies(strip_keys(s, part, K, h)), own, true, scratch);
        if (!slope.at) continue;
        block_product(NULL, part->n, p->n.d, s->m, turned(x), as_it_lies(strip_queries(s, h)),
            slope, true, scratch);
        if (p->a->l2)
            block_product(NULL, part->n, p->n.d, s->m, turned(x),
                as_it_lies(strip_queries(s, h)), slope, true, scratch);
    }
    if (p->a->l2) {
        distance_queries(s, d, h, own);
        distance_keys(s, d, h, to);
    }
    for (int64_t r = 0; g->in[Q] && r < s->m; r++) {
        float *row = query_slope(s, g, Q, r) + h * p->n.d;
        row_functions->add_scaled(
            mega_matrix_row(dq, r), mega_matrix_row(own, r), s->factor[r], p->n.d);
        if (g->add >> Q & 1)
            row_functions->add_scaled(row, mega_matrix_row(dq, r), 1, p->n.d);
        else
            memcpy(row, mega_matrix_row(dq, r), (size_t)p->n.d * sizeof *row);
    }
}

/* ---- all together ---- */

void MEGA_ISA_NAME(mega_strip_scores_back)(struct strip *s, float *d, const float *d_raw,
    struct mega_grads *g, const struct strip_slopes *to, struct mega_arena *scratch)
{
    const struct strip_plan *p = s->p;
    int64_t H = p->n.H, all = H * s->m * s->stride;
    struct decays decays = { decay_sums(s, to->in[p->in[DECAY_K] ? DECAY_K : DECAY], scratch),
        decay_sums(s, to->in[DECAY_BACK], scratch) };
    float *mixed = p->in[TALK_PRE] ? strip_array(s, scratch) : d;
    struct mega_matrix dq = mega_matrix_scratch(scratch, H * s->m, p->n.d);
    for (int64_t r = 0; r < H * s->m; r++) strip_clear(mega_matrix_row(dq, r), p->n.d);
    if (p->a->selective) fade_back(s, d);
    for (int64_t h = 0; h < H; h++) {
        struct mega_matrix of_h = { mega_matrix_row(dq, h * s->m), dq.stride };
        if (p->in[COPE]) cope_back(s, d, h, of_h, to, scratch);
        for (int64_t r = 0; r < s->m; r++) {
            float *row = strip_row(s, d, h, r);
            if (p->a->full) arrive(s, row, h, r, g);
            if (p->a->clamp > 0)
                clamp_back(row, strip_row(s, s->near, h, r), (float)p->a->clamp, s->n);
            row_functions->multiply(row, row, strip_sees(s, h, r), s->n);
            places_back(s, row, h, r, g, to);
            decays_back(s, row, h, r, &decays, to);
            if (s->gates) MEGA_ISA_NAME(mega_strip_gates_slope)(s, row, h, r);
        }
    }
    if (s->gates) MEGA_ISA_NAME(mega_strip_gates_back)(s, g, to, scratch);
    give_decays(s, decays.keys, to->in[p->in[DECAY_K] ? DECAY_K : DECAY]);
    give_decays(s, decays.back, to->in[DECAY_BACK]);
    if (p->in[TALK_PRE]) {
        if (to->in[TALK_PRE].at)
            block_product(NULL, H, H, s->m * s->stride, as_it_lies(strip_heads(s, d)),
                turned(strip_heads(s, s->raw)), to->in[TALK_PRE], true, scratch);
        block_product(NULL, H, s->m * s->stride, H,
            turned(mega_matrix_of(p->in[TALK_PRE], 0, 0)), as_it_lies(strip_heads(s, d)),
            strip_heads(s, mixed), false, scratch);
    }
    if (d_raw) row_functions->add_scaled(mixed, d_raw, 1, all);
    residual_back(s, mixed, g);
    for (int64_t h = 0; h < H; h++) {
        size_t mark = mega_arena_mark(scratch);
        struct mega_matrix of_h = { mega_matrix_row(dq, h * s->m), dq.stride };
        products_back(s, mixed, h, of_h, g, to, scratch);
        mega_arena_release(scratch, mark);
    }
}
