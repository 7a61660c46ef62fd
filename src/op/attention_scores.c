/* Scores of attention's reference, and their gradients (the order: contracts.h).
 *
 *   raw  = factor q . k  or  -factor |q - k|^2,  + before
 *   near = clamp(sum_e talk_pre[h, e] raw[e] + bias + decay + share + gates),
 *          clamp(s) = c tanh(s / c)
 *   s    = near + (1 - r) q . cope[l] + r q . cope[l + 1] - faded
 *
 * with l + r the sum of sigmoid(near) from the key to the query, at most the last of cope. */
#include <math.h>

#include "op/attention_row.h"
#include "op/draw.h"

enum { Q = MEGA_ATTENTION_Q, K, V };

/* ---- elements ---- */

/* row of in[which] that key x lies in, or of its past; the tensor */
static const mega_tensor *tensor_of(
    const struct mega_attention_row *u, int which, int past, int64_t x, int64_t *row)
{
    int64_t j = mega_attention_key(u, x);
    const mega_tensor *t = u->c->in[j >= 0 ? which : past];
    *row = j >= 0 ? u->b * mega_window_keys(u->c)->T + j
                  : u->b * t->dim[1] + (mega_rows_place(u->c->rows, u->b) + j) % t->dim[1];
    return t;
}

double mega_attention_element(
    const struct mega_attention_row *u, int which, int64_t h, int64_t x, int64_t e)
{
    int64_t group = mega_heads_group(&u->n, h), row;
    if (x < u->N)
        return mega_get(u->c->in[which - K + MEGA_ATTENTION_PREFIX_K], group * u->N + x, e);
    const mega_tensor *t = tensor_of(u, which, which - K + MEGA_ATTENTION_PAST_K, x, &row);
    return mega_get(t, row, group * (which == K ? u->n.d : u->n.dv) + e);
}

void mega_attention_element_add(const struct mega_attention_row *u,
    struct mega_attention_slopes *to, int which, int64_t h, int64_t x, int64_t e, double d)
{
    int64_t group = mega_heads_group(&u->n, h), width = which == K ? u->n.d : u->n.dv;
    double *prefix = to->in[which - K + MEGA_ATTENTION_PREFIX_K], *all = to->in[which];
    if (x < u->N) {
        if (prefix) prefix[(group * u->N + x) * width + e] += d;
        return;
    }
    int64_t j = mega_attention_key(u, x), row = u->b * mega_window_keys(u->c)->T + j;
    if (j >= 0 && all) all[(row * u->n.G + group) * width + e] += d;
}

double mega_attention_drawn(const struct mega_attention_row *u, int64_t h, int64_t x)
{
    int64_t before = mega_rows_place(u->c->rows, u->b);
    int64_t to = x < u->N ? MEGA_DRAW_PREFIX + x : before + mega_attention_key(u, x);
    return mega_draw(mega_draw_key(u->c), mega_draw_weights_low(before + u->i, to / 4),
        mega_draw_weights_high(mega_rows_number(u->c->rows, u->b), h), to, u->a->dropout);
}

static int64_t query_row(const struct mega_attention_row *u)
{
    return u->b * u->c->rows->T + u->i;
}

static double q_at(const struct mega_attention_row *u, int64_t h, int64_t e)
{
    return mega_get(u->c->in[Q], query_row(u), h * u->n.d + e);
}

static void q_add(const struct mega_attention_row *u, struct mega_attention_slopes *to,
    int64_t h, int64_t e, double d)
{
    if (to->in[Q]) to->in[Q][(query_row(u) * u->n.H + h) * u->n.d + e] += d;
}

/* ---- raw scores ---- */

/* row of `before` and of the scores given out */
static int64_t score_row(const struct mega_attention_row *u, int64_t h)
{
    return (u->b * u->n.H + h) * u->c->rows->T + u->i;
}

static double raw_score(const struct mega_attention_row *u, int64_t h, int64_t x)
{
    const mega_tensor *before = u->c->in[MEGA_ATTENTION_BEFORE];
    double s = 0;
    for (int64_t e = 0; e < u->n.d; e++) {
        double q = q_at(u, h, e), k = mega_attention_element(u, K, h, x, e);
        s += u->a->l2 ? -(q - k) * (q - k) : q * k;
    }
    s *= u->factor;
    return before ? s + mega_get(before, score_row(u, h), mega_attention_column(u, x)) : s;
}

static void raw_back(const struct mega_attention_row *u, int64_t h, int64_t x, double d,
    struct mega_attention_slopes *to)
{
    double *before = to->in[MEGA_ATTENTION_BEFORE];
    if (before) before[score_row(u, h) * u->M + mega_attention_column(u, x)] += d;
    for (int64_t e = 0; e < u->n.d; e++) {
        double q = q_at(u, h, e), k = mega_attention_element(u, K, h, x, e);
        double dq = u->a->l2 ? -2 * (q - k) : k, dk = u->a->l2 ? 2 * (q - k) : q;
        q_add(u, to, h, e, d * u->factor * dq);
        mega_attention_element_add(u, to, K, h, x, e, d * u->factor * dk);
    }
}

/* key x counts for some head (what dropout hides aside) */
static bool is_there(const struct mega_attention_row *u, int64_t x)
{
    return x < u->N || mega_window_real(u->c, &u->w, u->b, mega_attention_key(u, x));
}

static bool hidden(const struct mega_attention_row *u, int64_t h, int64_t x)
{
    return u->a->drop_keys && mega_dropout_acts(u->c, u->a->dropout) && x >= u->N &&
           mega_attention_drawn(u, h, x) == 0;
}

/* ---- what places add ---- */

/* Each gives what it adds to the score of head h and column x, a key `far` places back; with
 * `to`, it takes d of that score to its inputs. */

static double bias(const struct mega_attention_row *u, int64_t h, int64_t far, double d,
    struct mega_attention_slopes *to)
{
    const mega_tensor *table = u->c->in[MEGA_ATTENTION_BIAS];
    if (!table) return 0;
    int64_t width = mega_width(table), row = mega_height(table) > 1 ? h : 0,
            at = (width - 1) / 2 - far;
    double *slope = to ? to->in[MEGA_ATTENTION_BIAS] : NULL;
    if (slope) slope[row * width + at] += d;
    return mega_get(table, row, at);
}

/* of keys up to the query */
static double decay(const struct mega_attention_row *u, int64_t h, int64_t x, double d,
    struct mega_attention_slopes *to)
{
    const mega_tensor *queries = u->c->in[MEGA_ATTENTION_DECAY];
    int which =
        u->c->in[MEGA_ATTENTION_DECAY_K] ? MEGA_ATTENTION_DECAY_K : MEGA_ATTENTION_DECAY;
    int64_t row;
    if (!queries) return 0;
    const mega_tensor *keys = tensor_of(u, which, MEGA_ATTENTION_PAST_DECAY, x, &row);
    double *of_queries = to ? to->in[MEGA_ATTENTION_DECAY] : NULL,
           *of_keys = to && keys == u->c->in[which] ? to->in[which] : NULL;
    if (of_queries) of_queries[query_row(u) * u->n.H + h] += d;
    if (of_keys) of_keys[row * u->n.H + h] -= d;
    return mega_get(queries, query_row(u), h) - mega_get(keys, row, h);
}

/* of keys after it */
static double decay_back(const struct mega_attention_row *u, int64_t h, int64_t x, double d,
    struct mega_attention_slopes *to)
{
    const mega_tensor *sums = u->c->in[MEGA_ATTENTION_DECAY_BACK];
    if (!sums) return 0;
    int64_t key = u->b * mega_window_keys(u->c)->T + mega_attention_key(u, x);
    double *slope = to ? to->in[MEGA_ATTENTION_DECAY_BACK] : NULL;
    if (slope) slope[key * u->n.H + h] += d;
    if (slope) slope[query_row(u) * u->n.H + h] -= d;
    return mega_get(sums, key, h) - mega_get(sums, query_row(u), h);
}

static double patterns(const struct mega_attention_row *u, int64_t h, int64_t far, double d,
    struct mega_attention_slopes *to)
{
    const mega_tensor *bank = u->c->in[MEGA_ATTENTION_BANK],
                      *shares = u->c->in[MEGA_ATTENTION_SHARE];
    far += u->a->ahead;
    if (!bank || far < 0 || far >= mega_width(bank)) return 0;
    double *of_bank = to ? to->in[MEGA_ATTENTION_BANK] : NULL,
           *of_shares = to ? to->in[MEGA_ATTENTION_SHARE] : NULL, sum = 0;
    int64_t R = mega_heads_bank_rank(u->c), first = (query_row(u) * u->n.H + h) * R,
            from = mega_heads_bank_row(u->c, h);
    for (int64_t r = 0; r < R; r++) {
        double share = mega_get(shares, query_row(u), h * R + r),
               of = mega_get(bank, from + r, far);
        sum += share * of;
        if (of_shares) of_shares[first + r] += d * of;
        if (of_bank) of_bank[(from + r) * mega_width(bank) + far] += d * share;
    }
    return sum;
}

static double added(const struct mega_attention_row *u, int64_t h, int64_t x, double d,
    struct mega_attention_slopes *to)
{
    if (x < u->N) return 0;
    int64_t far = u->p - mega_attention_key(u, x);
    double sum = bias(u, h, far, d, to) + patterns(u, h, far, d, to);
    return sum + (far < 0 ? decay_back : decay)(u, h, x, d, to);
}

/* ---- gates of rows ---- */

/* the key has a gate for this query: it lies before it */
static bool row_gated(const struct mega_attention_row *u, int64_t h, int64_t x)
{
    return x >= u->N && mega_attention_key(u, x) < u->p &&
           u->sees[mega_attention_at(u, h, x)] != 0;
}

/* the product of query and key that the gate is made of; with `to`, d of it goes back */
static double row_gate(const struct mega_attention_row *u, int64_t h, int64_t x, double d,
    struct mega_attention_slopes *to)
{
    const mega_tensor *q = u->c->in[MEGA_ATTENTION_GATE_Q];
    int64_t width = mega_width(q), e = width / u->n.H, row;
    const mega_tensor *k =
        tensor_of(u, MEGA_ATTENTION_GATE_K, MEGA_ATTENTION_PAST_GATE_K, x, &row);
    double *of_q = to ? to->in[MEGA_ATTENTION_GATE_Q] : NULL,
           *of_k = to && k == u->c->in[MEGA_ATTENTION_GATE_K] ? to->in[MEGA_ATTENTION_GATE_K]
                                                              : NULL,
           sum = 0, factor = 1 / sqrt((double)e);
    for (int64_t j = h * e; j < (h + 1) * e; j++) {
        double a = mega_get(q, query_row(u), j), b = mega_get(k, row, j);
        sum += a * b;
        if (of_q) of_q[query_row(u) * width + j] += d * factor * b;
        if (of_k) of_k[row * width + j] += d * factor * a;
    }
    return factor * sum;
}

/* log sigmoid(z) */
static double log_gate(double z)
{
    return z > 0 ? -log1p(exp(-z)) : z - log1p(exp(z));
}

static void add_gates(struct mega_attention_row *u, int64_t h)
{
    double sum = 0;
    for (int64_t x = u->count - 1; x >= 0; x--) {
        if (row_gated(u, h, x)) sum += log_gate(row_gate(u, h, x, 0, NULL));
        u->gates[mega_attention_at(u, h, x)] = row_gated(u, h, x) ? sum : 0;
    }
}

/* a gate is part of what all keys up to its own were given */
static void gates_back(
    const struct mega_attention_row *u, int64_t h, struct mega_attention_slopes *to)
{
    double all = 0;
    for (int64_t x = u->N; x < u->count; x++) {
        if (!row_gated(u, h, x)) continue;
        all += u->d[mega_attention_at(u, h, x)];
        row_gate(u, h, x, all / (1 + exp(row_gate(u, h, x, 0, NULL))), to);
    }
}

/* ---- contextual positions ---- */

struct gate {
    double value;    /* sigmoid(near), 0 where it does not count */
    double position; /* of the key: the sum from it to the query */
    bool last;       /* at most the last of cope */
};

/* the gates of head h, from the query back; a key after it has none */
static bool cope_counts(const struct mega_attention_row *u, int64_t h, int64_t x)
{
    return x >= u->N && mega_attention_key(u, x) <= u->p &&
           u->sees[mega_attention_at(u, h, x)] != 0;
}

static struct gate cope_next(
    const struct mega_attention_row *u, int64_t h, int64_t x, double *sum)
{
    double near = u->near[mega_attention_at(u, h, x)],
           most = (double)(u->c->in[MEGA_ATTENTION_COPE]->dim[0] - 1);
    struct gate g = { .value = cope_counts(u, h, x) ? 1 / (1 + exp(-near)) : 0 };
    *sum += g.value;
    g.last = *sum >= most;
    g.position = g.last ? most : *sum;
    return g;
}

/* q . cope[l] */
static double cope_product(const struct mega_attention_row *u, int64_t h, int64_t l)
{
    double s = 0;
    for (int64_t e = 0; e < u->n.d; e++)
        s += q_at(u, h, e) * mega_get(u->c->in[MEGA_ATTENTION_COPE], l, e);
    return s;
}

/* the two positions around one, and their products with q */
struct between {
    int64_t low, high;
    double share, at_low, at_high;
};

static struct between cope_between(
    const struct mega_attention_row *u, int64_t h, const struct gate *g)
{
    int64_t low = (int64_t)floor(g->position), last = u->c->in[MEGA_ATTENTION_COPE]->dim[0] - 1;
    struct between t = { low, low < last ? low + 1 : last, g->position - (double)low, 0, 0 };
    t.at_low = cope_product(u, h, t.low);
    t.at_high = cope_product(u, h, t.high);
    return t;
}

static void cope(struct mega_attention_row *u, int64_t h)
{
    double sum = 0;
    for (int64_t x = u->count - 1; x >= u->N; x--) {
        struct gate g = cope_next(u, h, x, &sum);
        if (!cope_counts(u, h, x)) continue;
        struct between t = cope_between(u, h, &g);
        u->s[mega_attention_at(u, h, x)] += (1 - t.share) * t.at_low + t.share * t.at_high;
    }
}

static void cope_add(const struct mega_attention_row *u, int64_t h, int64_t l, double d,
    struct mega_attention_slopes *to)
{
    const mega_tensor *table = u->c->in[MEGA_ATTENTION_COPE];
    for (int64_t e = 0; e < u->n.d; e++) {
        q_add(u, to, h, e, d * mega_get(table, l, e));
        if (to->in[MEGA_ATTENTION_COPE])
            to->in[MEGA_ATTENTION_COPE][l * u->n.d + e] += d * q_at(u, h, e);
    }
}

/* d of s becomes that of near: a gate moves the positions of all keys up to its own */
static void cope_back(struct mega_attention_row *u, int64_t h, struct mega_attention_slopes *to)
{
    double sum = 0, moved = 0;
    double *d = u->d + h * u->count, *slope = u->room;
    for (int64_t x = u->count - 1; x >= u->N; x--) {
        struct gate g = cope_next(u, h, x, &sum);
        slope[x] = 0;
        if (!cope_counts(u, h, x)) continue;
        struct between t = cope_between(u, h, &g);
        cope_add(u, h, t.low, d[x] * (1 - t.share), to);
        cope_add(u, h, t.high, d[x] * t.share, to);
        slope[x] = g.last ? 0 : d[x] * (t.at_high - t.at_low);
    }
    for (int64_t x = u->N; x < u->count; x++) {
        moved += slope[x];
        double near = u->near[mega_attention_at(u, h, x)], g = 1 / (1 + exp(-near));
        if (cope_counts(u, h, x)) d[x] += moved * g * (1 - g);
    }
}

/* ---- selective attention ---- */

/* key x fades by what head 0 of this query reads of it: s as it was before fading */
static bool fades(const struct mega_attention_row *u, int64_t x)
{
    int64_t j = x < u->N ? 0 : mega_attention_key(u, x);
    return x >= u->N && j < u->p && j != u->w.from && u->sees[x] != 0;
}

static double *faded_of(const struct mega_attention_row *u)
{
    return u->of_b->faded + u->i * u->M;
}

static double unfaded(const struct mega_attention_row *u, int64_t x)
{
    return u->s[x] + (x < u->N ? 0 : faded_of(u)[mega_attention_column(u, x)]);
}

void mega_attention_fade(const struct mega_attention_row *u, double *faded)
{
    if (!mega_rows_real(u->c->rows, u->b, u->i)) return;
    for (int64_t x = u->N; x < u->count; x++)
        if (fades(u, x)) faded[mega_attention_column(u, x)] += fmax(0, unfaded(u, x));
}

static void fade_back(struct mega_attention_row *u)
{
    double *later = u->of_b->later;
    bool reads = mega_rows_real(u->c->rows, u->b, u->i);
    for (int64_t x = u->N; x < u->count; x++) {
        double own = 0, *of = &later[mega_attention_column(u, x)];
        for (int64_t h = 0; h < u->n.H; h++) own += u->d[mega_attention_at(u, h, x)];
        if (reads && fades(u, x) && unfaded(u, x) > 0) u->d[x] -= *of;
        *of += own;
    }
}

/* ---- all together ---- */

static double talk(const struct mega_attention_row *u, int64_t h, int64_t x)
{
    const mega_tensor *pre = u->c->in[MEGA_ATTENTION_TALK_PRE];
    if (!pre) return u->raw[mega_attention_at(u, h, x)];
    double s = 0;
    for (int64_t e = 0; e < u->n.H; e++)
        s += mega_get(pre, h, e) * u->raw[mega_attention_at(u, e, x)];
    return s;
}

void mega_attention_scores(struct mega_attention_row *u)
{
    double clamp = u->a->clamp;
    for (int64_t h = 0; h < u->n.H; h++)
        for (int64_t x = 0; x < u->count; x++) {
            int64_t at = mega_attention_at(u, h, x);
            u->sees[at] = is_there(u, x) && !hidden(u, h, x);
            u->raw[at] = is_there(u, x) ? raw_score(u, h, x) : 0;
        }
    for (int64_t h = 0; h < u->n.H; h++) {
        if (u->c->in[MEGA_ATTENTION_GATE_Q]) add_gates(u, h);
        for (int64_t x = 0; x < u->count; x++) {
            int64_t at = mega_attention_at(u, h, x);
            double s = u->sees[at] != 0 ? talk(u, h, x) + added(u, h, x, 0, NULL) : 0;
            if (u->c->in[MEGA_ATTENTION_GATE_Q]) s += u->gates[at];
            u->near[at] = u->s[at] = clamp > 0 ? clamp * tanh(s / clamp) : s;
        }
        if (u->c->in[MEGA_ATTENTION_COPE]) cope(u, h);
        for (int64_t x = u->N; u->a->selective && x < u->count; x++)
            u->s[mega_attention_at(u, h, x)] -= faded_of(u)[mega_attention_column(u, x)];
    }
}

/* d, of mixed scores, becomes that of the raw ones */
static void talk_back(struct mega_attention_row *u, int64_t x, struct mega_attention_slopes *to)
{
    const mega_tensor *pre = u->c->in[MEGA_ATTENTION_TALK_PRE];
    double *slope = to->in[MEGA_ATTENTION_TALK_PRE];
    int64_t H = u->n.H;
    if (!pre) return;
    for (int64_t e = 0; e < H; e++) u->room[e] = 0;
    for (int64_t h = 0; h < H; h++)
        for (int64_t e = 0; e < H; e++) {
            double d = u->d[mega_attention_at(u, h, x)];
            u->room[e] += mega_get(pre, h, e) * d;
            if (slope) slope[h * H + e] += d * u->raw[mega_attention_at(u, e, x)];
        }
    for (int64_t e = 0; e < H; e++) u->d[mega_attention_at(u, e, x)] = u->room[e];
}

void mega_attention_scores_back(
    struct mega_attention_row *u, const mega_tensor *arrived, struct mega_attention_slopes *to)
{
    double clamp = u->a->clamp;
    if (u->a->selective) fade_back(u);
    for (int64_t h = 0; h < u->n.H; h++) {
        if (u->c->in[MEGA_ATTENTION_COPE]) cope_back(u, h, to);
        for (int64_t x = 0; x < u->count; x++) {
            int64_t at = mega_attention_at(u, h, x);
            double share = clamp > 0 ? u->near[at] / clamp : 0;
            if (arrived && u->a->full)
                u->d[at] += mega_get(arrived, score_row(u, h), mega_attention_column(u, x));
            u->d[at] *= u->sees[at] * (1 - share * share);
            if (u->d[at] != 0) added(u, h, x, u->d[at], to);
        }
        if (u->c->in[MEGA_ATTENTION_GATE_Q]) gates_back(u, h, to);
    }
    for (int64_t x = 0; x < u->count; x++) {
        if (!is_there(u, x)) continue;
        talk_back(u, x, to);
        for (int64_t h = 0; h < u->n.H; h++) {
            double d = u->d[mega_attention_at(u, h, x)] + u->d_raw[mega_attention_at(u, h, x)];
            if (arrived && !u->a->full)
                d += mega_get(arrived, score_row(u, h), mega_attention_column(u, x));
            if (d != 0) raw_back(u, h, x, d, to);
        }
    }
}
