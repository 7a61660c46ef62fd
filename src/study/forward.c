#include "study/forward.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "op/act.h"
#include "op/position.h"

static void free_pass(struct mega_study_forward *f)
{
    for (int64_t k = 0; f->sub && k < f->subs; k++) {
        struct mega_study_sublayer *s = &f->sub[k];
        double **all[] = { &s->x, &s->z, &s->y, &s->sum, &s->out, &s->qx, &s->kx, &s->vx, &s->a,
            &s->c, &s->gated, &s->hidden, &s->rise };
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
            free(*all[i]);
            *all[i] = NULL;
        }
    }
    free(f->x);
    free(f->features);
    f->x = f->features = NULL;
}

void mega_study_forward_free(struct mega_study_forward *f)
{
    free_pass(f);
    for (int64_t k = 0; k < f->subs; k++) {
        struct mega_study_sublayer *s = &f->sub[k];
        struct mega_study_linear *linear[] = { &s->q, &s->k, &s->v, &s->o, &s->up, &s->gate,
            &s->down };
        for (size_t i = 0; i < sizeof linear / sizeof *linear; i++)
            mega_study_linear_free(linear[i]);
        mega_study_norm_free(&s->pre);
        mega_study_norm_free(&s->post);
        free(s->group);
    }
    mega_study_norm_free(&f->final);
    free(f->sub);
    *f = (struct mega_study_forward){ 0 };
}

/* ---- the pass ---- */

static double *room(int64_t n, bool *failed)
{
    double *out = calloc((size_t)n + 1, sizeof *out);
    if (!out) *failed = true;
    return out;
}

void mega_study_linear_apply(const struct mega_study_linear *l, const double *x, double *y)
{
    for (int64_t j = 0; j < l->n_out; j++) {
        y[j] = l->b ? l->b[j] : 0;
        for (int64_t i = 0; i < l->n_in; i++) y[j] += l->w[j * l->n_in + i] * x[i];
    }
}

static void apply(const struct mega_study_linear *l, const double *x, double *y, int64_t T)
{
    for (int64_t t = 0; t < T; t++)
        mega_study_linear_apply(l, x + t * l->n_in, y + t * l->n_out);
}

void mega_study_norm_apply(
    const struct mega_study_norm *n, const double *x, double *y, int64_t T, int64_t D)
{
    for (int64_t t = 0; t < T; t++, x += D, y += D) {
        double mean = 0, square = 0;
        for (int64_t i = 0; i < D && n->there && !n->rms; i++) mean += x[i] / (double)D;
        for (int64_t i = 0; i < D && n->there; i++)
            square += (x[i] - mean) * (x[i] - mean) / (double)D;
        for (int64_t i = 0; i < D; i++)
            y[i] = !n->there ? x[i]
                             : (x[i] - mean) / sqrt(square + n->eps) * (n->g ? n->g[i] : 1) +
                                   (n->b ? n->b[i] : 0);
    }
}

void mega_study_turn(const void *attention, int64_t place, bool back, double *x)
{
    const struct mega_attention *m = attention;
    const struct mega_rotary_options *o = &m->options.rotary;
    int64_t half = o->dims / 2;
    for (int64_t t = 0; t < half; t++) {
        double angle =
            (back ? -1 : 1) * (double)place / o->factor * mega_frequency(t, o->dims, o->base);
        int64_t u = o->interleaved ? 2 * t : t, v = o->interleaved ? 2 * t + 1 : t + half;
        double a = x[u], b = x[v];
        x[u] = a * cos(angle) - b * sin(angle);
        x[v] = b * cos(angle) + a * sin(angle);
    }
}

/* the weights of one query of one head, and what it gets */
static void attend(const struct mega_study_sublayer *s, int64_t h, int64_t i, int64_t T,
    double *query, double *key)
{
    const struct mega_attention *m = s->attention;
    int64_t d = m->options.keys, dv = m->options.values, H = m->kept.heads, G = m->kept.groups,
            g = s->group[h], window = m->options.chunk > 0 ? m->options.chunk : T,
            first = i / window * window, last = m->options.causal ? i + 1 : first + window;
    if (last > T) last = T;
    double scale = m->options.scale > 0 ? m->options.scale : 1 / sqrt((double)d),
           most = -INFINITY, sum = 0, *a = s->a + (h * T + i) * T;
    memcpy(query, s->qx + (i * H + h) * d, (size_t)d * sizeof *query);
    mega_study_turn(m, i, false, query);
    for (int64_t j = first; j < last; j++) {
        memcpy(key, s->kx + (j * G + g) * d, (size_t)d * sizeof *key);
        mega_study_turn(m, j, false, key);
        a[j] = 0;
        for (int64_t f = 0; f < d; f++) a[j] += scale * query[f] * key[f];
        most = fmax(most, a[j]);
    }
    for (int64_t j = first; j < last; j++) sum += a[j] = exp(a[j] - most);
    for (int64_t j = first; j < last; j++) {
        a[j] /= sum;
        for (int64_t e = 0; e < dv; e++)
            s->c[(i * H + h) * dv + e] += a[j] * s->vx[(j * G + g) * dv + e];
    }
}

static void add_bias(const mega_tensor *bias, double *y, int64_t T, int64_t D)
{
    for (int64_t i = 0; bias && i < T * D; i++) y[i] += mega_get(bias, 0, i % D);
}

static bool run_attention(struct mega_study_sublayer *s, int64_t T)
{
    const struct mega_attention *m = s->attention;
    int64_t H = m->kept.heads, G = m->kept.groups, d = m->options.keys, dv = m->options.values;
    bool failed = false;
    if (!H) {
        add_bias(m->o_bias, s->y, T, m->options.width);
        return true;
    }
    s->qx = room(T * H * d, &failed);
    s->kx = room(T * G * d, &failed);
    s->vx = room(T * G * dv, &failed);
    s->a = room(H * T * T, &failed);
    s->c = room(T * H * dv, &failed);
    s->gated = room(T * H * dv, &failed);
    double *row = room(2 * d, &failed);
    if (!failed) {
        apply(&s->q, s->z, s->qx, T);
        apply(&s->k, s->z, s->kx, T);
        apply(&s->v, s->z, s->vx, T);
        for (int64_t h = 0; h < H; h++)
            for (int64_t i = 0; i < T; i++) attend(s, h, i, T, row, row + d);
        for (int64_t i = 0; i < T * H * dv; i++)
            s->gated[i] = s->c[i] * mega_attention_gate(m, i / dv % H);
        apply(&s->o, s->gated, s->y, T);
    }
    free(row);
    return !failed;
}

static bool run_mlp(struct mega_study_sublayer *s, int64_t T)
{
    const struct mega_mlp *m = s->mlp;
    int64_t F = m->hidden, block = m->options.block > 0 ? m->options.block : F;
    enum mega_act act = (enum mega_act)m->options.act;
    bool failed = false;
    if (!F) {
        add_bias(m->down_bias, s->y, T, m->options.width);
        return true;
    }
    s->rise = room(T * F, &failed);
    s->hidden = room(T * F, &failed);
    if (failed) return false;
    apply(&s->up, s->z, s->rise, T);
    if (s->gate.w) apply(&s->gate, s->z, s->hidden, T);
    for (int64_t i = 0; i < T * F; i++)
        s->hidden[i] =
            (s->gate.w ? s->rise[i] * mega_act(act, s->hidden[i]) : mega_act(act, s->rise[i])) *
            mega_head_gates_value(&m->gates, i % F / block);
    apply(&s->down, s->hidden, s->y, T);
    return true;
}

static bool run_sublayer(struct mega_study_forward *f, struct mega_study_sublayer *s)
{
    int64_t n = f->T * f->D;
    bool failed = false;
    double **all[] = { &s->x, &s->z, &s->y, &s->sum, &s->out };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) *all[i] = room(n, &failed);
    if (failed) return false;
    memcpy(s->x, f->x, (size_t)n * sizeof *s->x);
    mega_study_norm_apply(&s->pre, s->x, s->z, f->T, f->D);
    if (!(s->attention ? run_attention(s, f->T) : run_mlp(s, f->T))) return false;
    for (int64_t i = 0; i < n; i++) s->sum[i] = s->x[i] + s->y[i];
    mega_study_norm_apply(&s->post, s->sum, s->out, f->T, f->D);
    memcpy(f->x, s->out, (size_t)n * sizeof *s->x);
    return true;
}

mega_status mega_study_forward_run(struct mega_study_forward *f, const float *x, int64_t T)
{
    bool failed = false;
    free_pass(f);
    f->T = T;
    f->x = room(T * f->D, &failed);
    f->features = room(T * f->D, &failed);
    for (int64_t i = 0; !failed && i < T * f->D; i++) f->x[i] = (double)x[i];
    for (int64_t k = 0; k < f->subs && !failed; k++) failed = !run_sublayer(f, &f->sub[k]);
    if (failed)
        return mega_fail(MEGA_NO_MEMORY, "no memory for a text of %lld tokens", (long long)T);
    mega_study_norm_apply(&f->final, f->x, f->features, T, f->D);
    return MEGA_OK;
}
