/* timestep_norm: normalisation over all that came before (Megalodon, sections 3.2 and 4.1 of
 * the specification). The D channels lie in G groups of D / G; in each group, with m[t] and
 * s[t] mean and variance of the numbers at place t, and n[t] the real places up to t,
 *
 *   c = 1 / n[t],  e = m[t] - u[t-1]
 *   u[t] = u[t-1] + c e,   v[t] = v[t-1] + c (s[t] + (1 - c) e^2 - v[t-1])
 *   y[t] = (x[t] - u[t]) w / sqrt(v[t] + eps) + b
 *
 * so that u, v are mean and variance of all numbers of the group so far. A place that is not
 * real changes nothing and gives 0. A document, and a row without statistics that come in,
 * begins with n, u, v = 0, 0, 1, or with prior_count, prior_mean, exp(prior_logv).
 *
 * The pure-PyTorch port counts the means alone (section 10.4). With M for the sum of their
 * squared deviations, M = v max(n, 1) at the start, so that a fresh start has M = 1:
 *
 *   M <- M + (1 - c) e^2 at a real place,   v = max(M / max(n, 1), 1e-6) at every place
 *
 * and every place, real or not, is normalised by the present values. */
#include <math.h>

#include "op/contracts.h"

enum {
    X = MEGA_TIMESTEP_NORM_X,
    W = MEGA_TIMESTEP_NORM_WEIGHT,
    B = MEGA_TIMESTEP_NORM_BIAS,
    PRIOR_MEAN = MEGA_TIMESTEP_NORM_PRIOR_MEAN,
    PRIOR_LOGV = MEGA_TIMESTEP_NORM_PRIOR_LOGV,
    COUNT = MEGA_TIMESTEP_NORM_COUNT,
    MEAN = MEGA_TIMESTEP_NORM_MEAN,
    VAR = MEGA_TIMESTEP_NORM_VAR
};

static const double floor_of_means = 1e-6;

static mega_status check_statistics(const struct mega_call *c)
{
    const struct mega_attr_timestep_norm *a = c->attr;
    int64_t rows = mega_dim(c->in[X], 0), G = a->groups;
    static const char *const names[] = { [MEAN] = "the mean", [VAR] = "the variance" };
    if (c->in[COUNT] && (mega_count(c->in[COUNT]) != rows || c->in[COUNT]->dtype != MEGA_I32))
        return mega_op_refuse(c, "the count", c->in[COUNT], "[%lld] I32", (long long)rows);
    for (int i = MEAN; i <= VAR; i++) {
        const mega_tensor *t = c->in[i];
        if (!t != !c->in[COUNT])
            return mega_fail(MEGA_BAD_ARGUMENT,
                "timestep_norm: count, mean and variance come together or not at all");
        if (t && (t->rank != 2 || t->dim[0] != rows || t->dim[1] != G))
            return mega_op_refuse(
                c, names[i], t, "[%lld, %lld]", (long long)rows, (long long)G);
    }
    return MEGA_OK;
}

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const struct mega_attr_timestep_norm *a = c->attr;
    static const char *const names[] = { [W] = "weight",
        [B] = "bias",
        [PRIOR_MEAN] = "the prior mean",
        [PRIOR_LOGV] = "the prior variance's logarithm" };
    const mega_tensor *x = c->in[X];
    if (x->rank != 3) return mega_op_refuse(c, "x", x, "[B, T, D]");
    int64_t D = x->dim[2], G = a->groups;
    if (G < 1 || D % G)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "timestep_norm: %lld groups of %lld channels, expected a divisor", (long long)G,
            (long long)D);
    for (int i = W; i <= PRIOR_LOGV; i++) {
        int64_t n = i <= B ? D : G;
        if (c->in[i] && mega_count(c->in[i]) != n)
            return mega_op_refuse(c, names[i], c->in[i], "[%lld]", (long long)n);
        if (!c->in[i] && i >= PRIOR_MEAN && a->prior_count > 0)
            return mega_fail(MEGA_BAD_ARGUMENT,
                "timestep_norm: a prior of %lld places without %s", (long long)a->prior_count,
                names[i]);
    }
    MEGA_TRY(check_statistics(c));
    out[0] = mega_activation(c, x);
    if (!a->state) return MEGA_OK;
    out[1] = mega_shaped(MEGA_I32, 1, x->dim[0], 0, 0, 0);
    out[2] = out[3] = mega_shaped(mega_wide_type(c), 2, x->dim[0], G, 0, 0);
    return MEGA_OK;
}

/* ---- one group of one row ---- */

struct walk {
    const struct mega_call *c;
    const struct mega_attr_timestep_norm *a;
    int64_t b, g, T, D, size; /* size: channels of the group */
};

static struct walk walk_of(const struct mega_call *c, int64_t b, int64_t g)
{
    struct walk w = { .c = c, .a = c->attr, .b = b, .g = g };
    w.T = c->in[X]->dim[1];
    w.D = c->in[X]->dim[2];
    w.size = w.D / w.a->groups;
    return w;
}

/* n, u, v after a place; with the port's means v is M */
struct statistics {
    double n, u, v;
};

/* what the way back asks of a place */
struct moment {
    struct statistics before, after;
    double mean, r; /* of the place; 1 / sqrt(v + eps) */
    bool floored;
};

static bool begins(const struct walk *w, int64_t t)
{
    const struct mega_rows *rows = w->c->rows;
    return rows->doc && t < mega_rows_len(rows, w->b) && rows->doc[w->b * w->T + t] == t;
}

static bool takes_state(const struct walk *w)
{
    return w->c->in[COUNT] && !mega_rows_fresh(w->c->rows, w->b) && !begins(w, 0);
}

static double at_least_one(double n)
{
    return n > 1 ? n : 1;
}

static bool means_only(const struct walk *w)
{
    return w->a->kind == MEGA_TIMESTEP_NORM_MEANS;
}

static struct statistics start(
    const struct walk *w, double n, double mean, double variance_of_start)
{
    double times = means_only(w) ? at_least_one(n) : 1;
    return (struct statistics){ n, mean, variance_of_start * times };
}

static struct statistics fresh(const struct walk *w)
{
    const struct mega_call *c = w->c;
    if (w->a->prior_count <= 0) return start(w, 0, 0, 1);
    return start(w, (double)w->a->prior_count, mega_get(c->in[PRIOR_MEAN], 0, w->g),
        exp(mega_get(c->in[PRIOR_LOGV], 0, w->g)));
}

static struct statistics first(const struct walk *w)
{
    const struct mega_call *c = w->c;
    if (!takes_state(w)) return fresh(w);
    return start(w, mega_get(c->in[COUNT], 0, w->b), mega_get(c->in[MEAN], w->b, w->g),
        mega_get(c->in[VAR], w->b, w->g));
}

static double x_at(const struct walk *w, int64_t t, int64_t j)
{
    return mega_get(w->c->in[X], w->b * w->T + t, w->g * w->size + j);
}

static double gain(const struct walk *w, int64_t j)
{
    const mega_tensor *weight = w->c->in[W];
    double stored = weight ? mega_get(weight, 0, w->g * w->size + j) : 0;
    return stored + (!weight || w->a->unit_offset ? 1 : 0);
}

/* the variance that the statistics stand for */
static double variance(const struct walk *w, const struct statistics *s)
{
    return means_only(w) ? fmax(s->v / at_least_one(s->n), floor_of_means) : s->v;
}

static struct statistics advance(
    const struct walk *w, const struct statistics *s, double mean, double spread)
{
    double n = s->n + 1, c = 1 / n, e = mean - s->u;
    struct statistics next = { n, s->u + c * e, s->v };
    next.v += means_only(w) ? (1 - c) * e * e : c * (spread + (1 - c) * e * e - s->v);
    return next;
}

/* all moments of the group; returns what comes out */
static struct statistics run(const struct walk *w, struct moment *m)
{
    struct statistics now = first(w);
    for (int64_t t = 0; t < w->T; t++) {
        if (begins(w, t)) now = fresh(w);
        m[t] = (struct moment){ .before = now };
        double spread = 0, size = (double)w->size;
        for (int64_t j = 0; j < w->size; j++) m[t].mean += x_at(w, t, j) / size;
        for (int64_t j = 0; j < w->size; j++)
            spread += (x_at(w, t, j) - m[t].mean) * (x_at(w, t, j) - m[t].mean) / size;
        if (mega_rows_real(w->c->rows, w->b, t)) now = advance(w, &now, m[t].mean, spread);
        m[t].after = now;
        m[t].r = 1 / sqrt(variance(w, &now) + w->a->eps);
        m[t].floored = means_only(w) && now.v / at_least_one(now.n) < floor_of_means;
    }
    return now;
}

/* a place that gives a number */
static bool speaks(const struct walk *w, int64_t t)
{
    return means_only(w) || mega_rows_real(w->c->rows, w->b, t);
}

static void group_forward(const struct walk *w, struct moment *m)
{
    const struct mega_call *c = w->c;
    struct statistics last = run(w, m);
    for (int64_t t = 0; t < w->T; t++)
        for (int64_t j = 0; j < w->size; j++) {
            int64_t d = w->g * w->size + j;
            double y = (x_at(w, t, j) - m[t].after.u) * m[t].r * gain(w, j) +
                       (c->in[B] ? mega_get(c->in[B], 0, d) : 0);
            mega_put(c->out[0], w->b * w->T + t, d, speaks(w, t) ? y : 0);
        }
    if (!c->out[1]) return;
    mega_put(c->out[1], 0, w->b, last.n);
    mega_put(c->out[2], w->b, w->g, last.u);
    mega_put(c->out[3], w->b, w->g, variance(w, &last));
}

static void forward(const struct mega_call *c)
{
    const struct mega_attr_timestep_norm *a = c->attr;
    struct moment *m =
        mega_scratch(c->work, (size_t)(mega_dim(c->in[X], 1) + 1) * sizeof(struct moment));
    for (int64_t b = 0; b < c->in[X]->dim[0]; b++)
        for (int64_t g = 0; g < a->groups; g++) {
            struct walk w = walk_of(c, b, g);
            group_forward(&w, m);
        }
}

/* ---- backward ---- */

/* of u and v (M with the port's means) on the way back */
struct slopes {
    double u, v;
};

/* what a place says about its own statistics, and about weight and bias */
static void place_back(const struct walk *w, const struct moment *m, int64_t t,
    struct slopes *s, struct mega_grads *g)
{
    double ds = 0, db = 0;
    for (int64_t j = 0; j < w->size; j++) {
        int64_t d = w->g * w->size + j;
        double dy = mega_grad_out(g, 0, w->b * w->T + t, d), e = x_at(w, t, j) - m->after.u;
        ds += dy * e * gain(w, j);
        db += dy * gain(w, j);
        mega_grad_add(g, W, 0, d, dy * e * m->r);
        mega_grad_add(g, B, 0, d, dy);
        mega_grad_add(g, X, w->b * w->T + t, d, dy * gain(w, j) * m->r);
    }
    double share = !means_only(w) ? 1 : m->floored ? 0 : 1 / at_least_one(m->after.n);
    s->u -= m->r * db;
    s->v -= 0.5 * m->r * m->r * m->r * ds * share;
}

/* through the step of the statistics: to x, and to those before */
static void step_back(const struct walk *w, const struct moment *m, int64_t t, struct slopes *s,
    struct mega_grads *g)
{
    double c = 1 / m->after.n, e = m->mean - m->before.u, scale = means_only(w) ? 1 : c;
    double through = 2 * scale * (1 - c) * s->v * e, size = (double)w->size;
    double d_mean = c * s->u + through, d_spread = means_only(w) ? 0 : c * s->v;
    for (int64_t j = 0; j < w->size; j++)
        mega_grad_add(g, X, w->b * w->T + t, w->g * w->size + j,
            (d_mean + 2 * d_spread * (x_at(w, t, j) - m->mean)) / size);
    s->u = (1 - c) * s->u - through;
    if (!means_only(w)) s->v *= 1 - c;
}

static void prior_back(const struct walk *w, const struct slopes *s, struct mega_grads *g)
{
    if (w->a->prior_count <= 0) return;
    double scale = means_only(w) ? at_least_one((double)w->a->prior_count) : 1;
    mega_grad_add(g, PRIOR_MEAN, 0, w->g, s->u);
    mega_grad_add(
        g, PRIOR_LOGV, 0, w->g, s->v * scale * exp(mega_get(w->c->in[PRIOR_LOGV], 0, w->g)));
}

static struct slopes last_slopes(
    const struct walk *w, const struct statistics *last, const struct mega_grads *g)
{
    struct slopes s = { mega_grad_out(g, 2, w->b, w->g), mega_grad_out(g, 3, w->b, w->g) };
    double n = at_least_one(last->n);
    if (means_only(w)) s.v *= last->v / n < floor_of_means ? 0 : 1 / n;
    return s;
}

static void group_backward(const struct walk *w, struct moment *m, struct mega_grads *g)
{
    struct statistics last = run(w, m);
    struct slopes s = last_slopes(w, &last, g);
    for (int64_t t = w->T - 1; t >= 0; t--) {
        if (speaks(w, t)) place_back(w, &m[t], t, &s, g);
        if (mega_rows_real(w->c->rows, w->b, t)) step_back(w, &m[t], t, &s, g);
        if (!begins(w, t)) continue;
        prior_back(w, &s, g);
        s = (struct slopes){ 0, 0 };
    }
    if (!takes_state(w)) {
        if (!begins(w, 0)) prior_back(w, &s, g);
        return;
    }
    double n = mega_get(w->c->in[COUNT], 0, w->b);
    mega_grad_add(g, MEAN, w->b, w->g, s.u);
    mega_grad_add(g, VAR, w->b, w->g, s.v * (means_only(w) ? at_least_one(n) : 1));
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    const struct mega_attr_timestep_norm *a = c->attr;
    struct moment *m =
        mega_scratch(c->work, (size_t)(mega_dim(c->in[X], 1) + 1) * sizeof(struct moment));
    mega_grads_begin(g);
    for (int64_t b = 0; b < c->in[X]->dim[0]; b++)
        for (int64_t k = 0; k < a->groups; k++) {
            struct walk w = walk_of(c, b, k);
            group_backward(&w, m, g);
        }
}

const struct mega_op mega_op_timestep_norm = {
    .name = "timestep_norm",
    .n_in = 8,
    .n_out = 4,
    .optional = 1u << W | 1u << B | 1u << PRIOR_MEAN | 1u << PRIOR_LOGV | 1u << COUNT |
                1u << MEAN | 1u << VAR,
    .attr_size = sizeof(struct mega_attr_timestep_norm),
    .shape = shape,
    .unread = 1u << B,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
