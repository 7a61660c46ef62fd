/* Strips of attention: scores, in the order of contracts.h. */
#include "kernel/cpu/isa/attention_strip.h"

/* ---- raw scores ---- */

/* [n] sums of squares of the keys that head h reads */
static void key_squares(const struct strip *s, int64_t h, float *square)
{
    for (int i = 0; i < s->parts; i++) {
        struct mega_matrix k = strip_keys(s, &s->part[i], K, h);
        for (int64_t x = 0; x < s->part[i].n; x++) {
            const float *key = mega_matrix_row(k, x);
            square[s->part[i].x + x] = row_functions->dot(key, key, s->p->n.d);
        }
    }
}

/* raw = q . k  becomes  -|q - k|^2, both times factor */
static void distances(const struct strip *s, int64_t h, struct mega_matrix raw)
{
    int64_t d = s->p->n.d;
    float *square = s->room;
    key_squares(s, h, square);
    for (int64_t r = 0; r < s->m; r++) {
        const float *q = (const float *)mega_row(s->p->in[Q], strip_query(s, r)) + h * d;
        float own = row_functions->dot(q, q, d), by = s->factor[r],
              *x = mega_matrix_row(raw, r);
        for (int64_t j = 0; j < s->n; j += VEC) {
            vec v = 2.0f * vec_get(x + j, s->n - j);
            v -= by * (own + vec_get(square + j, s->n - j));
            vec_put(x + j, v, s->n - j);
        }
    }
}

static void products_of(const struct strip *s, int64_t h, struct mega_arena *scratch)
{
    enum { FEW = 4 }; /* queries for which packing the keys costs more than it saves */
    struct mega_matrix raw = strip_head(s, s->raw, h), q = strip_queries(s, h);
    for (int i = 0; i < s->parts; i++) {
        const struct strip_part *part = &s->part[i];
        struct mega_matrix k = strip_keys(s, part, K, h), to = { raw.at + part->x, raw.stride };
        if (s->m <= FEW)
            products->few(s->m, part->n, s->p->n.d, q, k, to);
        else
            block_product(
                NULL, s->m, part->n, s->p->n.d, as_it_lies(q), turned(k), to, false, scratch);
    }
    if (s->p->a->l2) distances(s, h, raw);
}

/* y = x where the mask is not 0, else 0; zeros up to the next row */
static void mask_row(const struct strip *s, float *y, const float *x, const float *mask)
{
    for (int64_t j = 0; j < s->n; j += VEC)
        vec_put(y + j, vec_where(vec_get(mask + j, s->n - j) > 0.0f, vec_get(x + j, s->n - j)),
            s->n - j);
    strip_clear(y + s->n, s->stride - s->n);
}

/* row of `before` and of the scores given out: columns of M */
static float *score_row(const struct strip *s, const mega_tensor *t, int64_t h, int64_t r)
{
    return mega_row(t, (s->b * s->p->n.H + h) * s->p->T + s->first + r);
}

/* x, a row of head h, goes to the next layer */
static void give_scores(const struct strip *s, const float *x, int64_t h, int64_t r)
{
    const struct strip_plan *p = s->p;
    const mega_tensor *out = p->c->out[MEGA_ATTENTION_SCORES];
    int64_t N = p->N, at = N + strip_shift(s);
    if (!out || p->back) return;
    float *to = score_row(s, out, h, r);
    strip_clear(to, p->M);
    memcpy(to, x, (size_t)N * sizeof *to);
    memcpy(to + at, x + N, (size_t)(s->n - N) * sizeof *to);
}

static void raw_scores(struct strip *s, struct mega_arena *scratch)
{
    const struct strip_plan *p = s->p;
    const mega_tensor *before = p->in[BEFORE];
    int64_t N = p->N, at = N + strip_shift(s);
    for (int64_t h = 0; h < p->n.H; h++) {
        products_of(s, h, scratch);
        for (int64_t r = 0; r < s->m; r++) {
            float *raw = strip_row(s, s->raw, h, r);
            if (before) {
                const float *more = score_row(s, before, h, r);
                row_functions->add_scaled(raw, more, 1, N);
                row_functions->add_scaled(raw + N, more + at, 1, s->n - N);
            }
            mask_row(s, raw, raw, s->there + r * s->stride);
            if (!p->a->full) give_scores(s, raw, h, r);
        }
    }
}

/* ---- what places add ---- */

/* a column of each head, of the keys' rows of in[which] or, if not NULL, the past: [H, n] */
static float *key_columns(
    const struct strip *s, int which, const mega_tensor *past, struct mega_arena *scratch)
{
    int64_t H = s->p->n.H;
    float *all = mega_arena_get(scratch, (size_t)(H * s->stride) * sizeof *all);
    for (int i = 0; i < s->parts; i++) {
        const struct strip_part *part = &s->part[i];
        const mega_tensor *t = part->which == K        ? s->p->in[which]
                               : part->which == PAST_K ? past
                                                       : NULL;
        for (int64_t x = 0; t && x < part->n; x++) {
            const float *row = mega_row(t, part->row + x);
            for (int64_t h = 0; h < H; h++) all[h * s->stride + part->x + x] = row[h];
        }
    }
    return all;
}

/* y += by (x - less), n numbers */
static void add_difference(float *y, const float *x, float less, float by, int64_t n)
{
    for (int64_t j = 0; j < n; j += VEC)
        vec_put(y + j, vec_get(y + j, n - j) + by * (vec_get(x + j, n - j) - less), n - j);
}

/* query r of head h: bias, decay, share, of the keys low ... seen - 1 */
static void add_places(const struct strip *s, float *x, int64_t h, int64_t r)
{
    const struct strip_plan *p = s->p;
    mega_tensor *const *in = p->in;
    int64_t low = s->low[r], seen = s->seen[r], stand = strip_stand(s, r),
            upto = least(seen, stand + 1), after = upto > low ? upto : low;
    if (in[BIAS]) {
        const float *bias = mega_row(in[BIAS], mega_height(in[BIAS]) > 1 ? h : 0);
        row_functions->add_scaled(
            x + low, bias + (mega_width(in[BIAS]) - 1) / 2 + low - stand, 1, seen - low);
    }
    if (s->c_keys && upto > low)
        add_difference(x + low, s->c_keys + h * s->stride + low,
            ((const float *)mega_row(in[DECAY], strip_query(s, r)))[h], -1, upto - low);
    if (s->back_keys && seen > after)
        add_difference(x + after, s->back_keys + h * s->stride + after,
            ((const float *)mega_row(in[DECAY_BACK], strip_query(s, r)))[h], 1, seen - after);
    if (!p->bank) return;
    int64_t width = mega_width(in[BANK]), R = mega_heads_bank_rank(p->c),
            row = mega_heads_bank_row(p->c, h);
    struct strip_stretch near = strip_near(s, r);
    const float *share = (const float *)mega_row(in[SHARE], strip_query(s, r)) + h * R;
    for (int64_t k = 0; k < R && near.n > 0; k++)
        row_functions->add_scaled(
            x + near.key, p->bank + (row + k) * width + near.column, share[k], near.n);
}

static void clamp_row(float *x, float most, int64_t n)
{
    for (int64_t j = 0; j < n; j += VEC)
        vec_put(x + j, most * vec_tanh(vec_get(x + j, n - j) * (1 / most)), n - j);
}

/* ---- contextual positions ---- */

/* query r of head h: x += what cope has at the keys' positions; product [positions] of q with
 * cope */
static void cope_row(
    const struct strip *s, float *x, const float *product, int64_t h, int64_t r)
{
    const float *sees = strip_sees(s, h, r);
    float *gate = s->room, sum = 0, last = (float)(s->p->in[COPE]->dim[0] - 1);
    int64_t low = s->low[r], end = least(s->seen[r], strip_stand(s, r) + 1);
    if (end > low) row_functions->act(MEGA_ACT_SIGMOID, gate + low, x + low, NULL, end - low);
    for (int64_t j = end - 1; j >= low; j--) {
        if (sees[j] == 0) continue;
        sum += gate[j];
        float position = sum < last ? sum : last, share = position - floorf(position);
        int64_t at = (int64_t)position;
        x[j] += (1 - share) * product[at];
        if (share > 0) x[j] += share * product[at + 1];
    }
}

static void cope(const struct strip *s, struct mega_arena *scratch)
{
    const struct strip_plan *p = s->p;
    mega_tensor *table = p->in[COPE];
    size_t mark = mega_arena_mark(scratch);
    struct mega_matrix product = mega_matrix_scratch(scratch, s->m, table->dim[0]);
    for (int64_t h = 0; h < p->n.H; h++) {
        block_product(NULL, s->m, table->dim[0], p->n.d,
            as_it_lies(mega_matrix_of(p->in[Q], strip_query(s, 0), h * p->n.d)),
            turned(mega_matrix_of(table, 0, 0)), product, false, scratch);
        for (int64_t r = 0; r < s->m; r++)
            cope_row(s, strip_row(s, s->s, h, r), mega_matrix_row(product, r), h, r);
    }
    mega_arena_release(scratch, mark);
}

/* ---- selective attention ---- */

/* scores less what has faded before each query, which goes on with what head 0 reads */
static void fade(struct strip *s, struct mega_arena *scratch)
{
    int64_t N = s->p->N, first = N + s->window.from - s->lo;
    float *now = s->of_row->faded + strip_shift(s);
    s->faded = mega_arena_get(scratch, (size_t)(s->m * s->stride) * sizeof *s->faded);
    for (int64_t r = 0; r < s->m; r++) {
        const float *sees = strip_sees(s, 0, r), *x = strip_row(s, s->s, 0, r);
        float *before = s->faded + r * s->stride;
        memcpy(before + N, now + N, (size_t)(s->n - N) * sizeof *before);
        int64_t end = least(s->seen[r], strip_stand(s, r));
        /* what is not real reads nothing */
        if (!mega_rows_real(s->p->c->rows, s->b, s->first + r)) end = 0;
        for (int64_t j = s->low[r]; j < end; j++)
            if (sees[j] > 0 && x[j] > 0 && j != first) now[j] += x[j];
        for (int64_t h = 0; h < s->p->n.H; h++)
            row_functions->add_scaled(strip_row(s, s->s, h, r) + N, before + N, -1, s->n - N);
    }
}

/* ---- all together ---- */

void MEGA_ISA_NAME(mega_strip_scores)(struct strip *s, struct mega_arena *scratch)
{
    const struct strip_plan *p = s->p;
    int64_t H = p->n.H, all = s->m * s->stride;
    raw_scores(s, scratch);
    if (p->in[TALK_PRE])
        block_product(NULL, H, all, H, as_it_lies(mega_matrix_of(p->in[TALK_PRE], 0, 0)),
            as_it_lies(strip_heads(s, s->raw)), strip_heads(s, s->s), false, scratch);
    else if (s->s != s->raw)
        memcpy(s->s, s->raw, (size_t)(H * all) * sizeof *s->s);
    if (p->in[DECAY])
        s->c_keys =
            key_columns(s, p->in[DECAY_K] ? DECAY_K : DECAY, p->in[PAST_DECAY], scratch);
    if (p->in[GATE_Q]) MEGA_ISA_NAME(mega_strip_gates)(s, scratch);
    if (p->in[DECAY_BACK]) s->back_keys = key_columns(s, DECAY_BACK, NULL, scratch);
    for (int64_t h = 0; h < H; h++)
        for (int64_t r = 0; r < s->m; r++) {
            float *x = strip_row(s, s->s, h, r);
            add_places(s, x, h, r);
            if (s->gates) MEGA_ISA_NAME(mega_strip_add_gates)(s, x, h, r);
            mask_row(s, x, x, strip_sees(s, h, r));
            if (p->a->clamp > 0) clamp_row(x, (float)p->a->clamp, s->n);
            if (p->a->full) give_scores(s, x, h, r);
        }
    if (s->near != s->s) memcpy(s->near, s->s, (size_t)(H * all) * sizeof *s->s);
    if (p->in[COPE]) cope(s, scratch);
    if (p->a->selective) fade(s, scratch);
}
