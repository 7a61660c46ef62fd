/* Weights of attention's reference, and their gradients.
 *
 *   softmax:  f = exp(z) / (sum exp(z) + zeros exp(0) + exp(sink)),  z = s
 *   topk:     the same of the scores not below the k-th largest
 *   hard:     1 at the first largest
 *   cog:      z = |s|, f has the sign of s;   gumbel: z = (s + noise) / temperature
 *   laplace:  f = (1 + erf((s - mu) / (sigma sqrt 2))) / 2
 *   relu2:    f = max(0, s)^2;   sigmoid: f = 1 / (1 + exp(-s - sigmoid_bias))
 *   inverted: p = exp(s) / (sum over real queries of exp(s)),  f = p / (sum over keys of p)
 *
 * of the keys that the query sees; 0 elsewhere. Where the gradient passes straight through, it
 * is that of the softmax of z / temperature over all of them. */
#include <math.h>

#include "op/attention_row.h"
#include "op/draw.h"

static const double mu = 0.707107, sigma = 0.282095; /* as printed in Mega's official code */

static double temperature(const struct mega_attention_row *u)
{
    return u->a->temperature > 0 ? u->a->temperature : 1;
}

static bool straight_through(const struct mega_attention_row *u)
{
    return u->a->fn == MEGA_ATTENTION_HARD || u->a->through;
}

/* z is divided by it */
static double cooling(const struct mega_attention_row *u)
{
    return u->a->fn == MEGA_ATTENTION_GUMBEL || straight_through(u) ? temperature(u) : 1;
}

static double sign(double x)
{
    return x > 0 ? 1 : x < 0 ? -1 : 0;
}

static double noise(const struct mega_attention_row *u, int64_t h, int64_t x)
{
    int64_t before = mega_rows_place(u->c->rows, u->b);
    int64_t to = x < u->N ? MEGA_DRAW_PREFIX + x : before + mega_attention_key(u, x);
    uint32_t word[4];
    mega_philox(mega_draw_noise_key(u->c), mega_draw_weights_low(before + u->i, to / 4),
        mega_draw_weights_high(mega_rows_number(u->c->rows, u->b), h), word);
    return -log(-log(mega_draw_between(word[to & 3])));
}

/* ---- softmax ---- */

static double size_of(const struct mega_attention_row *u, int64_t h, int64_t x)
{
    double s = u->s[mega_attention_at(u, h, x)];
    if (u->a->fn == MEGA_ATTENTION_COG) return fabs(s);
    if (u->a->fn == MEGA_ATTENTION_GUMBEL) s += noise(u, h, x);
    return s / cooling(u);
}

static double sink_of(const struct mega_attention_row *u, int64_t h)
{
    const mega_tensor *sink = u->c->in[MEGA_ATTENTION_SINK];
    if (!sink) return -INFINITY;
    double e = mega_get(sink, 0, h);
    return u->a->fn == MEGA_ATTENTION_COG ? fabs(e) : e / cooling(u);
}

/* z [count], -infinity where there is none, becomes its softmax; returns the sink's part */
static double softmax(const struct mega_attention_row *u, double *z, double sink)
{
    double most = sink, sum = 0;
    if (u->a->zeros) most = fmax(most, 0);
    for (int64_t x = 0; x < u->count; x++) most = fmax(most, z[x]);
    for (int64_t x = 0; x < u->count; x++) {
        z[x] = z[x] > -INFINITY ? exp(z[x] - most) : 0;
        sum += z[x];
    }
    double part = sink > -INFINITY ? exp(sink - most) : 0;
    sum += part + (u->a->zeros ? (double)u->a->zeros * exp(-most) : 0);
    for (int64_t x = 0; sum > 0 && x < u->count; x++) z[x] /= sum;
    return sum > 0 ? part / sum : 0;
}

/* fewer than k of the keys have a larger score */
static bool among_top(const struct mega_attention_row *u, int64_t h, int64_t x)
{
    const double *s = u->s + h * u->count, *sees = u->sees + h * u->count;
    int64_t larger = 0;
    for (int64_t y = 0; y < u->count; y++) larger += sees[y] != 0 && s[y] > s[x];
    return larger < u->a->top;
}

/* the first largest of z [count]; -1: there is none */
static int64_t first_largest(const struct mega_attention_row *u, const double *z)
{
    int64_t first = -1;
    for (int64_t x = 0; x < u->count; x++)
        if (z[x] > -INFINITY && (first < 0 || z[x] > z[first])) first = x;
    return first;
}

static void softmax_weights(struct mega_attention_row *u, int64_t h)
{
    double *z = u->soft + h * u->count, *f = u->f + h * u->count, sink = sink_of(u, h);
    bool top = u->a->fn == MEGA_ATTENTION_TOPK;
    for (int64_t x = 0; x < u->count; x++) {
        int64_t at = mega_attention_at(u, h, x);
        z[x] = u->sees[at] != 0 ? size_of(u, h, x) : -INFINITY;
        f[x] = top && u->sees[at] != 0 && among_top(u, h, x) ? u->s[at] : -INFINITY;
    }
    int64_t first = first_largest(u, z);
    if (top && !straight_through(u))
        for (int64_t x = 0; x < u->count; x++) z[x] = f[x];
    else if (top)
        softmax(u, f, u->c->in[MEGA_ATTENTION_SINK] ? sink * cooling(u) : sink);
    u->sunk[h] = softmax(u, z, sink);
    for (int64_t x = 0; x < u->count; x++) {
        if (straight_through(u) && !top)
            f[x] = x == first;
        else if (!straight_through(u))
            f[x] = z[x];
        if (u->a->fn == MEGA_ATTENTION_COG) f[x] *= sign(u->s[mega_attention_at(u, h, x)]);
    }
}

/* d of f becomes that of s */
static void softmax_back(struct mega_attention_row *u, int64_t h, const mega_tensor *arrived,
    struct mega_attention_slopes *to)
{
    const double *soft = u->soft + h * u->count, *s = u->s + h * u->count;
    double *d = u->d + h * u->count, mean = 0, *sink = to->in[MEGA_ATTENTION_SINK];
    bool cog = u->a->fn == MEGA_ATTENTION_COG;
    for (int64_t x = 0; x < u->count; x++) mean += soft[x] * d[x] * (cog ? sign(s[x]) : 1);
    /* of the sum's logarithm the weights are the slopes */
    if (arrived) mean -= mega_get(arrived, u->b * u->c->rows->T + u->i, h);
    for (int64_t x = 0; x < u->count; x++) {
        double turn = cog ? sign(s[x]) : 1;
        d[x] = turn * soft[x] * (turn * d[x] - mean) / cooling(u);
    }
    if (!sink) return;
    double turn = cog ? sign(mega_get(u->c->in[MEGA_ATTENTION_SINK], 0, h)) : 1;
    sink[h] -= turn * u->sunk[h] * mean / cooling(u);
}

/* ---- one score at a time ---- */

static double pointwise(const struct mega_attention_row *u, double s)
{
    if (u->a->fn == MEGA_ATTENTION_LAPLACE)
        return 0.5 * (1 + erf((s - mu) / (sigma * sqrt(2))));
    if (u->a->fn == MEGA_ATTENTION_RELU2) return s > 0 ? s * s : 0;
    return 1 / (1 + exp(-s - u->a->sigmoid_bias));
}

static double pointwise_slope(const struct mega_attention_row *u, double s)
{
    double z = (s - mu) / (sigma * sqrt(2)), f = pointwise(u, s);
    if (u->a->fn == MEGA_ATTENTION_LAPLACE)
        return exp(-z * z) / (sigma * sqrt(2 * 3.14159265358979323846));
    if (u->a->fn == MEGA_ATTENTION_RELU2) return s > 0 ? 2 * s : 0;
    return f * (1 - f);
}

/* ---- inverted ---- */

static bool takes_part(const struct mega_attention_row *u)
{
    return mega_rows_real(u->c->rows, u->b, u->i);
}

static double log_add(double a, double b)
{
    double most = fmax(a, b);
    return most > -INFINITY ? most + log(exp(a - most) + exp(b - most)) : most;
}

void mega_attention_share_out(const struct mega_attention_row *u)
{
    for (int64_t h = 0; h < u->n.H && takes_part(u); h++)
        for (int64_t x = 0; x < u->count; x++) {
            double *sum = &u->of_b->log_sum[h * u->M + mega_attention_column(u, x)];
            int64_t at = mega_attention_at(u, h, x);
            if (u->sees[at] != 0) *sum = log_add(*sum, u->s[at]);
        }
}

static void inverted_weights(struct mega_attention_row *u, int64_t h)
{
    double sum = 0;
    for (int64_t x = 0; x < u->count; x++) {
        int64_t at = mega_attention_at(u, h, x);
        const double *of = &u->of_b->log_sum[h * u->M + mega_attention_column(u, x)];
        u->soft[at] = takes_part(u) && u->sees[at] != 0 ? exp(u->s[at] - *of) : 0;
        sum += u->soft[at];
    }
    for (int64_t x = 0; x < u->count; x++) {
        int64_t at = mega_attention_at(u, h, x);
        u->f[at] = sum > 0 ? u->soft[at] / sum : 0;
    }
}

/* d of f becomes that of p */
static void unshare(const struct mega_attention_row *u, int64_t h, double *d)
{
    double mean = 0, sum = 0;
    for (int64_t x = 0; x < u->count; x++) {
        mean += u->f[mega_attention_at(u, h, x)] * u->d[mega_attention_at(u, h, x)];
        sum += u->soft[mega_attention_at(u, h, x)];
    }
    for (int64_t x = 0; x < u->count; x++)
        d[x] = sum > 0 ? (u->d[mega_attention_at(u, h, x)] - mean) / sum : 0;
}

void mega_attention_lose(const struct mega_attention_row *u)
{
    for (int64_t h = 0; h < u->n.H; h++) {
        unshare(u, h, u->room);
        for (int64_t x = 0; x < u->count; x++)
            u->of_b->lost[h * u->M + mega_attention_column(u, x)] +=
                u->soft[mega_attention_at(u, h, x)] * u->room[x];
    }
}

static void inverted_back(struct mega_attention_row *u, int64_t h)
{
    double *d = u->d + h * u->count;
    unshare(u, h, d);
    for (int64_t x = 0; x < u->count; x++)
        d[x] = u->soft[mega_attention_at(u, h, x)] *
               (d[x] - u->of_b->lost[h * u->M + mega_attention_column(u, x)]);
}

/* ---- heads mixed ---- */

static double mix(
    const struct mega_attention_row *u, int which, const double *of, int64_t h, int64_t x)
{
    const mega_tensor *by = u->c->in[which];
    double sum = 0;
    for (int64_t e = 0; e < u->n.H; e++)
        sum += mega_get(by, h, e) * of[mega_attention_at(u, e, x)];
    return sum;
}

/* of[e] += by[h, e] d, for all e; the slope of by, too */
static void mix_back(const struct mega_attention_row *u, int which, const double *of,
    double *to_of, int64_t h, int64_t x, double d, struct mega_attention_slopes *to)
{
    int64_t H = u->n.H;
    for (int64_t e = 0; e < H; e++) {
        to_of[mega_attention_at(u, e, x)] += mega_get(u->c->in[which], h, e) * d;
        if (to->in[which]) to->in[which][h * H + e] += of[mega_attention_at(u, e, x)] * d;
    }
}

static double dropped(const struct mega_attention_row *u, int64_t h, int64_t x)
{
    bool acts = mega_dropout_acts(u->c, u->a->dropout) && !u->a->drop_keys;
    return acts ? mega_attention_drawn(u, h, x) : 1;
}

static void mix_heads(struct mega_attention_row *u)
{
    bool post = u->c->in[MEGA_ATTENTION_TALK_POST],
         scaled = u->c->in[MEGA_ATTENTION_TALK_SCALED];
    for (int64_t h = 0; h < u->n.H; h++)
        for (int64_t x = 0; x < u->count; x++) {
            int64_t at = mega_attention_at(u, h, x);
            u->kept[at] = u->f[at] != 0 ? u->f[at] * dropped(u, h, x) : 0;
        }
    for (int64_t h = 0; h < u->n.H; h++)
        for (int64_t x = 0; x < u->count; x++) {
            int64_t at = mega_attention_at(u, h, x);
            u->mixed[at] = post ? mix(u, MEGA_ATTENTION_TALK_POST, u->kept, h, x) : u->kept[at];
            u->used[at] = u->mixed[at];
            if (scaled) u->used[at] *= mix(u, MEGA_ATTENTION_TALK_SCALED, u->raw, h, x);
        }
}

void mega_attention_mix_back(struct mega_attention_row *u, struct mega_attention_slopes *to)
{
    int64_t n = u->n.H * u->count;
    for (int64_t i = 0; i < n; i++) u->d_raw[i] = 0;
    for (int64_t h = 0; u->c->in[MEGA_ATTENTION_TALK_SCALED] && h < u->n.H; h++)
        for (int64_t x = 0; x < u->count; x++) {
            int64_t at = mega_attention_at(u, h, x);
            double by = mix(u, MEGA_ATTENTION_TALK_SCALED, u->raw, h, x);
            mix_back(u, MEGA_ATTENTION_TALK_SCALED, u->raw, u->d_raw, h, x,
                u->d[at] * u->mixed[at], to);
            u->d[at] *= by;
        }
    if (u->c->in[MEGA_ATTENTION_TALK_POST]) {
        double *d_kept = u->used; /* no longer needed */
        for (int64_t i = 0; i < n; i++) d_kept[i] = 0;
        for (int64_t h = 0; h < u->n.H; h++)
            for (int64_t x = 0; x < u->count; x++)
                mix_back(u, MEGA_ATTENTION_TALK_POST, u->kept, d_kept, h, x,
                    u->d[mega_attention_at(u, h, x)], to);
        for (int64_t i = 0; i < n; i++) u->d[i] = d_kept[i];
    }
    for (int64_t h = 0; h < u->n.H; h++)
        for (int64_t x = 0; x < u->count; x++)
            u->d[mega_attention_at(u, h, x)] *= dropped(u, h, x);
}

/* ---- all together ---- */

void mega_attention_weights(struct mega_attention_row *u)
{
    for (int64_t h = 0; h < u->n.H; h++) switch (u->a->fn) {
        case MEGA_ATTENTION_LAPLACE:
        case MEGA_ATTENTION_RELU2:
        case MEGA_ATTENTION_SIGMOID:
            for (int64_t x = 0; x < u->count; x++) {
                int64_t at = mega_attention_at(u, h, x);
                u->f[at] = u->sees[at] != 0 ? pointwise(u, u->s[at]) : 0;
            }
            break;
        case MEGA_ATTENTION_INVERTED: inverted_weights(u, h); break;
        default: softmax_weights(u, h);
        }
    mix_heads(u);
}

double mega_attention_log_sum(const struct mega_attention_row *u, int64_t h)
{
    double most = sink_of(u, h), sum = 0;
    if (u->a->zeros) most = fmax(most, 0);
    for (int64_t x = 0; x < u->count; x++)
        if (u->sees[mega_attention_at(u, h, x)] != 0)
            most = fmax(most, u->s[mega_attention_at(u, h, x)]);
    if (!(most > -INFINITY)) return 0;
    for (int64_t x = 0; x < u->count; x++)
        if (u->sees[mega_attention_at(u, h, x)] != 0)
            sum += exp(u->s[mega_attention_at(u, h, x)] - most);
    if (u->a->zeros) sum += (double)u->a->zeros * exp(-most);
    return most + log(sum + exp(sink_of(u, h) - most));
}

void mega_attention_weights_back(
    struct mega_attention_row *u, const mega_tensor *arrived, struct mega_attention_slopes *to)
{
    for (int64_t h = 0; h < u->n.H; h++) switch (u->a->fn) {
        case MEGA_ATTENTION_LAPLACE:
        case MEGA_ATTENTION_RELU2:
        case MEGA_ATTENTION_SIGMOID:
            for (int64_t x = 0; x < u->count; x++) {
                int64_t at = mega_attention_at(u, h, x);
                u->d[at] *= u->sees[at] != 0 ? pointwise_slope(u, u->s[at]) : 0;
            }
            break;
        case MEGA_ATTENTION_INVERTED: inverted_back(u, h); break;
        default: softmax_back(u, h, arrived, to);
        }
}
