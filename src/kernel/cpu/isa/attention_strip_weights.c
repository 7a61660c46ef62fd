/* Strips of attention: weights of scores, and their gradients. The functions stand in
 * op/attention_weights.c. */
#include "kernel/cpu/isa/attention_strip.h"
#include "kernel/cpu/vector_draw.h"

static bool straight_through(const struct strip *s)
{
    return s->p->a->fn == MEGA_ATTENTION_HARD || s->p->a->through;
}

/* what the softmax divides its scores by */
static float cooling(const struct strip *s)
{
    bool cools = s->p->a->fn == MEGA_ATTENTION_GUMBEL || straight_through(s);
    return cools && s->p->a->temperature > 0 ? (float)s->p->a->temperature : 1;
}

/* ---- softmax ---- */

/* Gumbel noise of n draws from `first` on is added to x */
static void add_noise(float *x, const struct mega_draw_row *row, int64_t first, int64_t n)
{
    enum { STEP = 4 * VEC };
    struct vec_draw d;
    vec_draw_begin(&d, row);
    for (int64_t i = -(first & 3); i < n; i += STEP) {
        uvec word[4];
        float all[STEP];
        vec_draw_words(&d, (first + i) / 4, word);
        for (int k = 0; k < 4; k++) {
            vec between = __builtin_convertvector((ivec)(word[k] >> 9), vec) + 0.5f;
            vec_store(all + k * VEC, -vec_log(-vec_log(between * 0x1p-23f)));
        }
        int64_t from = i < 0 ? -i : 0, to = least(n - i, STEP);
        for (int64_t j = from; j < to; j++) x[i + j] += all[j];
    }
}

/* z of head h and query r: what the softmax is taken of, divided by `cool`; -infinity where
 * nothing is seen */
static void softmax_of(const struct strip *s, float *z, float cool, int64_t h, int64_t r)
{
    const struct strip_plan *p = s->p;
    const float *x = strip_row(s, s->s, h, r), *sees = strip_sees(s, h, r);
    float by = 1 / cool;
    bool cog = p->a->fn == MEGA_ATTENTION_COG, noise = p->a->fn == MEGA_ATTENTION_GUMBEL;
    if (z != x) memcpy(z, x, (size_t)s->n * sizeof *z);
    if (noise) {
        struct mega_draw_row d = strip_draw(s, p->noise, h, r);
        add_noise(z, &d, MEGA_DRAW_PREFIX, p->N);
        add_noise(z + p->N, &d, strip_draw_first(s), s->n - p->N);
    }
    for (int64_t j = 0; j < s->n; j += VEC) {
        vec v = by * vec_get(z + j, s->n - j);
        if (cog) v = vec_abs(v);
        ivec seen = vec_get(sees + j, s->n - j) > 0.0f;
        vec_put(z + j, vec_select(seen, v, vec_all(-INFINITY)), s->n - j);
    }
}

static float sink_of(const struct strip *s, float cool, int64_t h)
{
    const mega_tensor *sink = s->p->in[SINK];
    if (!sink) return -INFINITY;
    float e = ((const float *)sink->data)[h];
    return s->p->a->fn == MEGA_ATTENTION_COG ? fabsf(e) : e / cool;
}

/* z becomes its softmax; returns what the sink has of it; log_sum, if it is there, receives the
 * logarithm of what divides it */
static float softmax(const struct strip *s, float *z, float sink, float *log_sum)
{
    float zeros = (float)s->p->a->zeros, most = row_functions->most(z, s->n);
    if (zeros > 0 && most < 0) most = 0;
    if (sink > most) most = sink;
    if (log_sum) *log_sum = 0;
    if (most == -INFINITY) {
        strip_clear(z, s->n);
        return 0;
    }
    float sum = row_functions->exp_sum(z, z, most, s->n), part = expf(sink - most);
    sum += part + (zeros > 0 ? zeros * expf(-most) : 0);
    row_functions->scale(z, z, 1 / sum, s->n);
    if (log_sum) *log_sum = most + logf(sum);
    return part / sum;
}

static void swap(float *a, float *b)
{
    float was = *a;
    *a = *b;
    *b = was;
}

/* the k-th largest of x, n numbers that lose their order; 0 < k <= n */
static float find_largest(float *x, int64_t n, int64_t k)
{
    int64_t lo = 0, hi = n - 1, at = k - 1;
    while (lo < hi) {
        float middle = x[lo + (hi - lo) / 2];
        int64_t i = lo, j = hi;
        while (i <= j) {
            while (x[i] > middle) i++;
            while (x[j] < middle) j--;
            if (i <= j) swap(&x[i++], &x[j--]);
        }
        if (at <= j)
            hi = j;
        else if (at >= i)
            lo = i;
        else
            break;
    }
    return x[at];
}

/* z, scores or -infinity: those below the k-th largest become that, too */
static void keep_top(const struct strip *s, float *z)
{
    int64_t n = 0;
    for (int64_t x = 0; x < s->n; x++)
        if (z[x] > -INFINITY) s->room[n++] = z[x];
    if (n <= s->p->a->top) return;
    vec least_kept = vec_all(find_largest(s->room, n, s->p->a->top));
    for (int64_t j = 0; j < s->n; j += VEC) {
        vec v = vec_get(z + j, s->n - j);
        vec_put(z + j, vec_select(v >= least_kept, v, vec_all(-INFINITY)), s->n - j);
    }
}

/* z: 1 at the first largest, 0 elsewhere */
static void keep_first(const struct strip *s, float *z)
{
    float most = row_functions->most(z, s->n);
    bool found = most == -INFINITY;
    for (int64_t x = 0; x < s->n; x++) {
        bool first = !found && z[x] == most;
        found |= first;
        z[x] = first;
    }
}

/* f = softmax with the signs of x */
static void take_signs(float *f, const float *x, int64_t n)
{
    for (int64_t j = 0; j < n; j += VEC) {
        vec s = vec_get(x + j, n - j), v = vec_turn(vec_get(f + j, n - j), s);
        vec_put(f + j, vec_where((s > 0.0f) | (s < 0.0f), v), n - j);
    }
}

/* where an output has a number of head h and query r; NULL: there is none */
static float *given(const struct strip *s, int which, int64_t h, int64_t r)
{
    mega_tensor *t = s->p->c->out[which];
    return t && !s->p->back ? (float *)mega_row(t, strip_query(s, r)) + h : NULL;
}

/* the largest score that a real query sees */
static void give_peak(const struct strip *s, int64_t h, int64_t r)
{
    float *to = given(s, MEGA_ATTENTION_PEAK, h, r), most = -INFINITY;
    const float *x = strip_row(s, s->s, h, r), *sees = strip_sees(s, h, r);
    if (!to) return;
    bool real = mega_rows_real(s->p->c->rows, s->b, s->first + r);
    for (int64_t j = 0; real && j < s->n; j++)
        if (sees[j] > 0 && x[j] > most) most = x[j];
    *to = most > -INFINITY ? most : 0;
}

static void softmax_weights(const struct strip *s, float *f, int64_t h, int64_t r)
{
    const struct strip_plan *p = s->p;
    bool top = p->a->fn == MEGA_ATTENTION_TOPK, cog = p->a->fn == MEGA_ATTENTION_COG;
    float *x = strip_row(s, s->s, h, r), *signs = s->room, cool = top ? 1 : cooling(s);
    if (cog) memcpy(signs, x, (size_t)s->n * sizeof *signs);
    softmax_of(s, f, cool, h, r);
    if (straight_through(s) && !top) {
        keep_first(s, f);
        return;
    }
    if (top) keep_top(s, f);
    s->sunk[h * s->m + r] =
        softmax(s, f, sink_of(s, cool, h), given(s, MEGA_ATTENTION_LOG_SUM, h, r));
    if (cog) take_signs(f, signs, s->n);
}

/* d of f becomes that of s */
static void softmax_back(const struct strip *s, float *d, int64_t h, int64_t r,
    const struct mega_grads *g, const struct strip_slopes *to)
{
    const mega_tensor *arrived = g->out[MEGA_ATTENTION_LOG_SUM];
    const float *f = strip_row(s, s->f, h, r);
    float sunk = s->sunk[h * s->m + r], by = 1 / cooling(s);
    bool cog = s->p->a->fn == MEGA_ATTENTION_COG;
    if (straight_through(s)) {
        softmax_of(s, s->room, cooling(s), h, r);
        sunk = softmax(s, s->room, sink_of(s, cooling(s), h), NULL);
        f = s->room;
    }
    float mean = row_functions->dot(f, d, s->n);
    if (arrived) mean -= ((const float *)mega_row(arrived, strip_query(s, r)))[h];
    for (int64_t j = 0; j < s->n; j += VEC) {
        vec w = vec_get(f + j, s->n - j), size = cog ? vec_abs(w) : w;
        vec_put(d + j, by * (size * vec_get(d + j, s->n - j) - w * mean), s->n - j);
    }
    if (!to->in[SINK].at) return;
    float e = ((const float *)s->p->in[SINK]->data)[h], turn = !cog    ? 1
                                                               : e > 0 ? 1
                                                               : e < 0 ? -1
                                                                       : 0;
    to->in[SINK].at[h] -= turn * sunk * mean * by;
}

/* ---- one score at a time ---- */

static void shift(float *y, const float *x, float by, int64_t n)
{
    for (int64_t j = 0; j < n; j += VEC) vec_put(y + j, vec_get(x + j, n - j) + by, n - j);
}

static void pointwise(const struct strip *s, float *f, int64_t h, int64_t r)
{
    const struct mega_cpu_rows *fs = row_functions;
    const float *x = strip_row(s, s->s, h, r), *sees = strip_sees(s, h, r);
    switch (s->p->a->fn) {
    case MEGA_ATTENTION_LAPLACE: fs->laplace(f, x, s->n); break;
    case MEGA_ATTENTION_RELU2: fs->relu2(f, x, s->n); break;
    default:
        shift(f, x, (float)s->p->a->sigmoid_bias, s->n);
        fs->act(MEGA_ACT_SIGMOID, f, f, NULL, s->n);
    }
    fs->multiply(f, f, sees, s->n);
}

static void pointwise_back(const struct strip *s, float *d, int64_t h, int64_t r)
{
    const struct mega_cpu_rows *fs = row_functions;
    const float *x = strip_row(s, s->s, h, r);
    switch (s->p->a->fn) {
    case MEGA_ATTENTION_LAPLACE: fs->laplace_slope(d, d, x, s->n); break;
    case MEGA_ATTENTION_RELU2: fs->relu2_slope(d, d, x, s->n); break;
    default:
        shift(s->room, x, (float)s->p->a->sigmoid_bias, s->n);
        fs->act_slope(MEGA_ACT_SIGMOID, d, d, s->room, NULL, s->n);
    }
    fs->multiply(d, d, strip_sees(s, h, r), s->n);
}

/* ---- inverted ---- */

/* the columns of M are those of a strip in two pieces: prefix keys, and the others */
static int64_t piece(const struct strip *s, int k, int64_t *x, int64_t *n)
{
    *x = k ? s->p->N : 0;
    *n = k ? s->n - s->p->N : s->p->N;
    return k ? s->p->N + strip_shift(s) : 0;
}

static bool takes_part(const struct strip *s, int64_t r)
{
    return mega_rows_real(s->p->c->rows, s->b, s->first + r);
}

/* most and sum of n keys go on with scores x */
static void share_out(float *most, float *sum, const float *x, const float *sees, int64_t n)
{
    for (int64_t j = 0; j < n; j += VEC) {
        vec was = vec_get(most + j, n - j), v = vec_get(x + j, n - j);
        ivec seen = vec_get(sees + j, n - j) > 0.0f;
        vec now = vec_max(was, vec_select(seen, v, was));
        vec all = vec_get(sum + j, n - j) * vec_exp_down(was - now);
        vec_put(sum + j, all + vec_where(seen, vec_exp_down(v - now)), n - j);
        vec_put(most + j, now, n - j);
    }
}

void MEGA_ISA_NAME(mega_strip_share_out)(const struct strip *s)
{
    for (int64_t h = 0; h < s->p->n.H; h++)
        for (int64_t r = 0; r < s->m; r++)
            for (int k = 0; k < 2 && takes_part(s, r); k++) {
                int64_t x, n, at = h * s->p->M + piece(s, k, &x, &n);
                share_out(s->of_row->most + at, s->of_row->sum + at,
                    strip_row(s, s->s, h, r) + x, strip_sees(s, h, r) + x, n);
            }
}

/* w: the shares that query r has of the keys; returns their sum */
static float shares_of(const struct strip *s, float *w, int64_t h, int64_t r)
{
    const float *x = strip_row(s, s->s, h, r), *sees = strip_sees(s, h, r);
    float total = 0;
    for (int k = 0; k < 2; k++) {
        int64_t from, n, at = h * s->p->M + piece(s, k, &from, &n);
        const float *log_sum = s->of_row->log_sum + at;
        for (int64_t j = 0; j < n; j += VEC) {
            vec v = vec_get(x + from + j, n - j) - vec_get(log_sum + j, n - j);
            ivec seen = vec_get(sees + from + j, n - j) > 0.0f;
            vec_put(w + from + j, vec_where(seen, vec_exp_down(v)), n - j);
        }
        total += row_functions->sum(w + from, n);
    }
    return total;
}

static void inverted(const struct strip *s, float *f, int64_t h, int64_t r)
{
    float sum = takes_part(s, r) ? shares_of(s, f, h, r) : 0;
    row_functions->scale(f, f, sum > 0 ? 1 / sum : 0, s->n);
    if (sum <= 0) strip_clear(f, s->n);
}

/* to: d of f as that of the shares w [n], which are made here */
static void unshare(
    const struct strip *s, float *to, float *w, const float *d, int64_t h, int64_t r)
{
    const float *f = strip_row(s, s->f, h, r);
    float sum = takes_part(s, r) ? shares_of(s, w, h, r) : 0,
          mean = row_functions->dot(f, d, s->n);
    if (sum <= 0) strip_clear(w, s->n);
    for (int64_t j = 0; j < s->n; j += VEC)
        vec_put(to + j, (vec_get(d + j, s->n - j) - mean) * (sum > 0 ? 1 / sum : 0), s->n - j);
}

/* y += a b */
static void add_product(float *y, const float *a, const float *b, int64_t n)
{
    for (int64_t j = 0; j < n; j += VEC)
        vec_put(y + j, vec_get(y + j, n - j) + vec_get(a + j, n - j) * vec_get(b + j, n - j),
            n - j);
}

void MEGA_ISA_NAME(mega_strip_lose)(const struct strip *s, const float *d)
{
    float *w = s->room, *to = s->room + s->stride;
    for (int64_t h = 0; h < s->p->n.H; h++)
        for (int64_t r = 0; r < s->m; r++) {
            unshare(s, to, w, d + (h * s->m + r) * s->stride, h, r);
            for (int k = 0; k < 2; k++) {
                int64_t x, n, at = h * s->p->M + piece(s, k, &x, &n);
                add_product(s->of_row->lost + at, w + x, to + x, n);
            }
        }
}

static void inverted_back(const struct strip *s, float *d, int64_t h, int64_t r)
{
    float *w = s->room, *to = s->room + s->stride;
    unshare(s, to, w, d, h, r);
    for (int k = 0; k < 2; k++) {
        int64_t x, n, at = h * s->p->M + piece(s, k, &x, &n);
        row_functions->add_scaled(to + x, s->of_row->lost + at, -1, n);
    }
    row_functions->multiply(d, w, to, s->n);
}

/* ---- all together ---- */

/* to = by of, of heads [H, m n], or to += */
static void mix(const struct strip *s, struct mega_operand by, float *of, float *to, bool add,
    struct mega_arena *scratch)
{
    int64_t H = s->p->n.H;
    block_product(NULL, H, s->m * s->stride, H, by, as_it_lies(strip_heads(s, of)),
        strip_heads(s, to), add, scratch);
}

/* slope of what mixes: to[h, e] += sum of d[h] of[e] */
static void mix_slope(const struct strip *s, struct mega_matrix to, float *d, float *of,
    struct mega_arena *scratch)
{
    int64_t H = s->p->n.H;
    if (to.at)
        block_product(NULL, H, H, s->m * s->stride, as_it_lies(strip_heads(s, d)),
            turned(strip_heads(s, of)), to, true, scratch);
}

void MEGA_ISA_NAME(mega_strip_weights)(struct strip *s, struct mega_arena *scratch)
{
    const struct strip_plan *p = s->p;
    int64_t all = p->n.H * s->m * s->stride;
    for (int64_t h = 0; h < p->n.H; h++)
        for (int64_t r = 0; r < s->m; r++) {
            float *f = strip_row(s, s->f, h, r), *kept = strip_row(s, s->kept, h, r);
            give_peak(s, h, r);
            switch (p->a->fn) {
            case MEGA_ATTENTION_LAPLACE:
            case MEGA_ATTENTION_RELU2:
            case MEGA_ATTENTION_SIGMOID: pointwise(s, f, h, r); break;
            case MEGA_ATTENTION_INVERTED: inverted(s, f, h, r); break;
            default: softmax_weights(s, f, h, r);
            }
            strip_clear(f + s->n, s->stride - s->n);
            if (!p->drops) continue;
            strip_factors(s, h, r, s->room);
            row_functions->multiply(kept, f, s->room, s->n);
            strip_clear(kept + s->n, s->stride - s->n);
        }
    if (p->in[TALK_POST])
        mix(s, as_it_lies(mega_matrix_of(p->in[TALK_POST], 0, 0)), s->kept, s->mixed, false,
            scratch);
    if (!s->scaled) return;
    mix(s, as_it_lies(mega_matrix_of(p->in[TALK_SCALED], 0, 0)), s->raw, s->scaled, false,
        scratch);
    row_functions->multiply(s->used, s->mixed, s->scaled, all);
}

void MEGA_ISA_NAME(mega_strip_mix_back)(struct strip *s, float *d, float *d_raw,
    const struct strip_slopes *to, struct mega_arena *scratch)
{
    const struct strip_plan *p = s->p;
    int64_t all = p->n.H * s->m * s->stride;
    if (s->scaled) {
        /* the factors, then what is left of d */
        row_functions->multiply(s->used, d, s->mixed, all);
        row_functions->multiply(d, d, s->scaled, all);
        mix_slope(s, to->in[TALK_SCALED], s->used, s->raw, scratch);
        mix(s, turned(mega_matrix_of(p->in[TALK_SCALED], 0, 0)), s->used, d_raw, false,
            scratch);
    }
    if (p->in[TALK_POST]) {
        mix_slope(s, to->in[TALK_POST], d, s->kept, scratch);
        mix(s, turned(mega_matrix_of(p->in[TALK_POST], 0, 0)), d, s->mixed, false, scratch);
        memcpy(d, s->mixed, (size_t)all * sizeof *d);
    }
    for (int64_t h = 0; p->drops && h < p->n.H; h++)
        for (int64_t r = 0; r < s->m; r++) {
            float *row = strip_row(s, d, h, r);
            strip_factors(s, h, r, s->room);
            row_functions->multiply(row, row, s->room, s->n);
        }
}

void MEGA_ISA_NAME(mega_strip_weights_back)(
    struct strip *s, float *d, const struct mega_grads *g, const struct strip_slopes *to)
{
    for (int64_t h = 0; h < s->p->n.H; h++)
        for (int64_t r = 0; r < s->m; r++) {
            float *row = strip_row(s, d, h, r);
            switch (s->p->a->fn) {
            case MEGA_ATTENTION_LAPLACE:
            case MEGA_ATTENTION_RELU2:
            case MEGA_ATTENTION_SIGMOID: pointwise_back(s, row, h, r); break;
            case MEGA_ATTENTION_INVERTED: inverted_back(s, row, h, r); break;
            default: softmax_back(s, row, h, r, g, to);
            }
        }
}
