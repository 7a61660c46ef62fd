#include "study/head_relevance.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Relevance on its way down: of the stream [T, D] below the sublayer that is next. */
struct descent {
    const struct mega_study_forward *f;
    const struct mega_relevance_rule *rule;
    int64_t rows; /* T; rows beyond the place have none */
    double *r;
    double *got;   /* [layers, heads] what heads got */
    int64_t heads; /* of the widest layer */
    int64_t layer; /* of the attention that comes next, counted from the top */
};

static void linear_rows(const struct descent *d, const struct mega_study_linear *l,
    const double *x, const double *r_out, double *r_in)
{
    for (int64_t t = 0; t < d->rows; t++)
        mega_relevance_linear(d->rule, l->w, l->b, x + t * l->n_in, r_out + t * l->n_out,
            r_in + t * l->n_in, l->n_in, l->n_out);
    mega_relevance_rescale(
        d->rule, mega_relevance_total(r_out, d->rows * l->n_out), r_in, d->rows * l->n_in);
}

static void norm_rows(const struct descent *d, const struct mega_study_norm *n, const double *x,
    double *r, double *scratch)
{
    int64_t D = d->f->D;
    if (!n->there) return;
    double total = mega_relevance_total(r, d->rows * D);
    for (int64_t t = 0; t < d->rows; t++)
        mega_relevance_norm(
            d->rule, n->rms, n->eps, n->g, n->b, x + t * D, r + t * D, scratch + t * D, D);
    memcpy(r, scratch, (size_t)(d->rows * D) * sizeof *r);
    mega_relevance_rescale(d->rule, total, r, d->rows * D);
}

/* what each head got: r [T, H dv] */
static void note(struct descent *d, const struct mega_study_sublayer *s, const double *r)
{
    const struct mega_attention *m = s->attention;
    int64_t H = m->kept.heads, dv = m->options.values;
    for (int64_t i = 0; i < d->rows * H * dv; i++)
        d->got[d->layer * d->heads + m->kept.number[i / dv % H]] += fabs(r[i]);
}

/* one head's core, whose relevances are added to those of all heads */
static bool core_of(struct descent *d, const struct mega_study_sublayer *s, int64_t h,
    const double *r_c, double *r_q, double *r_k, double *r_v)
{
    const struct mega_attention *m = s->attention;
    int64_t H = m->kept.heads, G = m->kept.groups, dk = m->options.keys, dv = m->options.values,
            g = s->group[h], T = d->rows, whole = d->f->T;
    struct mega_relevance_core c = { T, T, dk, dv,
        m->options.scale > 0 ? m->options.scale : 1 / sqrt((double)dk),
        s->a + h * whole * whole, s->qx + h * dk, s->kx + g * dk, s->vx + g * dv, s->c + h * dv,
        whole, H * dk, G * dk, G * dv, H * dv, m->options.rotary.dims ? mega_study_turn : NULL,
        m };
    int64_t nq = T * H * dk, nk = T * G * dk, nv = T * G * dv;
    double *own = calloc((size_t)(nq + nk + nv) + 1, sizeof *own), total = 0, got = 0;
    if (!own) return false;
    for (int64_t t = 0; t < T; t++)
        total += mega_relevance_total(r_c + t * H * dv + h * dv, dv);
    bool done = mega_relevance_core(
        d->rule, &c, r_c + h * dv, own + h * dk, own + nq + g * dk, own + nq + nk + g * dv);
    got = mega_relevance_total(own, nq + nk + nv);
    double factor = total / (got + d->rule->eps);
    for (int64_t i = 0; i < nq; i++) r_q[i] += fabs(own[i]) * factor;
    for (int64_t i = 0; i < nk; i++) r_k[i] += fabs(own[nq + i]) * factor;
    for (int64_t i = 0; i < nv; i++) r_v[i] += fabs(own[nq + nk + i]) * factor;
    free(own);
    return done;
}

/* q, k and v are one layer: each row's relevance is scaled together */
static void through_projections(const struct descent *d, const struct mega_study_sublayer *s,
    const double *const r[3], double *r_z)
{
    const struct mega_study_linear *l[] = { &s->q, &s->k, &s->v };
    int64_t D = d->f->D;
    double all = 0;
    memset(r_z, 0, (size_t)(d->rows * D) * sizeof *r_z);
    for (int64_t t = 0; t < d->rows; t++) {
        double row = 0;
        for (int i = 0; i < 3; i++) {
            const double *own = r[i] + t * l[i]->n_out;
            row += mega_relevance_total(own, l[i]->n_out);
            mega_relevance_linear_parts(
                d->rule, l[i]->w, l[i]->b, s->z + t * D, own, r_z + t * D, D, l[i]->n_out);
        }
        for (int64_t k = 0; k < D; k++) r_z[t * D + k] = fabs(r_z[t * D + k]);
        mega_relevance_rescale(d->rule, row, r_z + t * D, D);
        all += row;
    }
    mega_relevance_rescale(d->rule, all, r_z, d->rows * D);
}

/* The output projection, from r_y [T, D] to r_c [T, H dv]. It is that of the heads that are
 * open: a closed one has no part in anything, not even in the bias. */
static bool through_output(const struct descent *d, const struct mega_study_sublayer *s,
    const double *r_y, double *r_c)
{
    const struct mega_attention *m = s->attention;
    int64_t T = d->rows, D = d->f->D, dv = m->options.values, all = m->kept.heads * dv, n = 0;
    int64_t *from = malloc((size_t)(all + 1) * sizeof *from);
    for (int64_t i = 0; from && i < all; i++)
        if (fabs(mega_attention_gate(m, i / dv)) > 0) from[n++] = i;
    double *w = malloc((size_t)((D + 2 * T) * n + 1) * sizeof *w), *c = w + D * n,
           *r = c + T * n;
    bool room = from && w;
    for (int64_t i = 0; room && i < D * n; i++) w[i] = s->o.w[i / n * all + from[i % n]];
    for (int64_t i = 0; room && i < T * n; i++) c[i] = s->gated[i / n * all + from[i % n]];
    struct mega_study_linear open = { n, D, w, s->o.b };
    if (room && n) linear_rows(d, &open, c, r_y, r);
    for (int64_t i = 0; room && i < T * n; i++) r_c[i / n * all + from[i % n]] = r[i];
    free(from);
    free(w);
    return room;
}

static bool through_attention(
    struct descent *d, const struct mega_study_sublayer *s, const double *r_y, double *r_z)
{
    const struct mega_attention *m = s->attention;
    int64_t H = m->kept.heads, G = m->kept.groups, dk = m->options.keys, dv = m->options.values,
            T = d->rows, nc = T * H * dv, nq = T * H * dk, nk = T * G * dk, nv = T * G * dv;
    memset(r_z, 0, (size_t)(T * d->f->D) * sizeof *r_z);
    if (!H) return true;
    double *r_c = calloc((size_t)(nc + nq + nk + nv) + 1, sizeof *r_c), *r_q = r_c + nc,
           *r_k = r_q + nq, *r_v = r_k + nk;
    if (!r_c) return false;
    bool done = through_output(d, s, r_y, r_c);
    note(d, s, r_c);
    for (int64_t h = 0; h < H && done; h++) done = core_of(d, s, h, r_c, r_q, r_k, r_v);
    mega_relevance_rescale(d->rule, mega_relevance_total(r_c, nc), r_q, nq + nk + nv);
    if (done) through_projections(d, s, (const double *const[]){ r_q, r_k, r_v }, r_z);
    free(r_c);
    return done;
}

/* a gate, or the function, passes all to what it acts on */
static bool through_mlp(
    struct descent *d, const struct mega_study_sublayer *s, const double *r_y, double *r_z)
{
    double *r_h = calloc((size_t)(d->rows * s->mlp->hidden) + 1, sizeof *r_h);
    memset(r_z, 0, (size_t)(d->rows * d->f->D) * sizeof *r_z);
    if (!r_h) return false;
    if (!s->mlp->hidden) {
        free(r_h);
        return true;
    }
    linear_rows(d, &s->down, s->hidden, r_y, r_h);
    linear_rows(d, &s->up, s->z, r_h, r_z);
    free(r_h);
    return true;
}

static bool through_sublayer(struct descent *d, const struct mega_study_sublayer *s)
{
    int64_t D = d->f->D, n = d->rows * D;
    double *r_x = calloc((size_t)(4 * n) + 1, sizeof *r_x), *r_y = r_x + n, *r_z = r_y + n,
           *scratch = r_z + n;
    if (!r_x) return false;
    bool attention = s->attention != NULL;
    norm_rows(d, &s->post, s->sum, d->r, scratch);
    double total = mega_relevance_total(d->r, n);
    for (int64_t t = 0; t < d->rows; t++)
        mega_relevance_sum(
            d->rule, s->x + t * D, s->y + t * D, d->r + t * D, r_x + t * D, r_y + t * D, D);
    bool done = attention ? through_attention(d, s, r_y, r_z) : through_mlp(d, s, r_y, r_z);
    norm_rows(d, &s->pre, s->x, r_z, scratch);
    for (int64_t i = 0; i < n; i++) d->r[i] = r_x[i] + r_z[i];
    /* what a branch without heads or channels got, a constant, goes to the stream as well */
    mega_relevance_rescale(d->rule, total, d->r, n);
    d->layer -= attention;
    free(r_x);
    return done;
}

/* from the features [rows, D] of a tower, which `r` is the relevance of, down to what was
 * embedded; false: no memory */
static bool descend(const struct mega_study_forward *f, const struct mega_relevance_rule *rule,
    int64_t rows, double *r, double *got, const struct mega_head_table *t)
{
    struct descent d = { f, rule, rows, r, got, t->heads, t->layers - 1 };
    double *scratch = malloc((size_t)(rows * f->D + 1) * sizeof *scratch);
    bool done = scratch != NULL;
    if (done) norm_rows(&d, &f->final, f->x, r, scratch);
    free(scratch);
    for (int64_t k = f->subs - 1; k >= 0 && done; k--) done = through_sublayer(&d, &f->sub[k]);
    return done;
}

/* ---- from a prediction to the features ---- */

/* of a language model: r [place + 1, D] */
static void from_token(const struct mega_study_reading *s,
    const struct mega_relevance_rule *rule, int64_t place, int64_t token, double *r)
{
    int64_t D = s->pass[0].D;
    double one = 1;
    mega_relevance_linear(rule, s->out.w + token * D, NULL, mega_study_last_row(s, place), &one,
        r + place * D, D, 1);
}

/* of a masked model, through its norm and hidden layer: r [T, D]; `inside` has room for 2 D */
static void from_hidden_token(const struct mega_study_reading *s,
    const struct mega_relevance_rule *rule, int64_t prediction, int64_t token, double *inside,
    double *r)
{
    const struct mega_study_linear *l = &s->hidden[0];
    const struct mega_study_norm *n = &s->norm;
    int64_t D = s->pass[0].D, at = mega_study_place(s, prediction);
    double one = 1, *below = inside + D;
    mega_relevance_linear(rule, s->out.w + token * D, NULL, mega_study_last_row(s, prediction),
        &one, inside, D, 1);
    mega_relevance_norm(
        rule, n->rms, n->eps, n->g, n->b, s->inside[0] + at * D, inside, below, D);
    mega_relevance_linear(
        rule, l->w, l->b, s->pass[0].features + at * D, below, r + at * D, D, D);
}

/* through a classifier's head to its pooled texts; a function passes all to what it acts on */
static bool from_class(const struct mega_study_reading *s,
    const struct mega_relevance_rule *rule, int64_t class, double *pooled)
{
    int64_t widest = s->out.n_in;
    double one = 1;
    for (int64_t i = 0; i < s->n_hidden; i++)
        if (s->hidden[i].n_in > widest) widest = s->hidden[i].n_in;
    double *r = calloc((size_t)(2 * widest) + 1, sizeof *r), *next = r + widest;
    if (!r) return false;
    mega_relevance_linear(rule, s->out.w + class * s->out.n_in, NULL, s->inside[s->n_hidden],
        &one, r, s->out.n_in, 1);
    int64_t width = s->out.n_in;
    for (int64_t i = s->n_hidden - 1; i >= 0; i--) {
        const struct mega_study_linear *l = &s->hidden[i];
        mega_relevance_linear(rule, l->w, l->b, s->inside[i], r, next, l->n_in, l->n_out);
        memcpy(r, next, (size_t)l->n_in * sizeof *r);
        width = l->n_in;
    }
    memcpy(pooled, r, (size_t)width * sizeof *pooled);
    free(r);
    return true;
}

/* what a pooled text got goes to its places: r [T, D] */
static void from_pooled(const struct mega_study_reading *s,
    const struct mega_relevance_rule *rule, int64_t tower, const double *pooled, double *r)
{
    const struct mega_study_forward *f = &s->pass[tower];
    const double *own = pooled + (s->passes - 1 - tower) * f->D;
    if (s->model->classifier.head.pooling == MEGA_POOL_MEAN)
        mega_relevance_mean(rule, f->features, own, r, f->T, f->D);
    else
        memcpy(r, own, (size_t)f->D * sizeof *r);
}

/* ---- one prediction ---- */

struct question {
    const struct mega_study_reading *s;
    const struct mega_relevance_rule *rule;
    int64_t prediction, class;
    const double *pooled; /* of a classifier */
};

static bool answer(const struct question *q, int64_t tower, double *got,
    const struct mega_head_table *t, double *to_input)
{
    const struct mega_study_forward *f = &q->s->pass[tower];
    enum mega_architecture kind = q->s->model->config.architecture;
    int64_t rows = kind == MEGA_LANGUAGE_MODEL ? q->prediction + 1 : f->T;
    double *r = calloc((size_t)((rows + 2) * f->D) + 1, sizeof *r);
    if (!r) return false;
    if (kind == MEGA_CLASSIFIER)
        from_pooled(q->s, q->rule, tower, q->pooled, r);
    else if (kind == MEGA_MASKED_MODEL)
        from_hidden_token(q->s, q->rule, q->prediction, q->class, r + rows * f->D, r);
    else
        from_token(q->s, q->rule, q->prediction, q->class, r);
    bool done = descend(f, q->rule, rows, r, got, t);
    for (int64_t i = 0; to_input && i < f->T; i++)
        to_input[i] = done && i < rows ? mega_relevance_total(r + i * f->D, f->D) : 0;
    free(r);
    return done;
}

/* each layer's heads share what they got together */
static void share_out(const double *got, struct mega_head_table *share, double *steps)
{
    for (int64_t l = 0; l < share->layers; l++) {
        double all = mega_relevance_total(got + l * share->heads, share->heads);
        if (!(all > 0)) continue;
        steps[l]++;
        for (int64_t h = 0; h < share->heads; h++)
            *mega_head_at(share, l, h) += got[l * share->heads + h] / all;
    }
}

mega_status mega_study_relevance_at(const struct mega_study_reading *s,
    const struct mega_relevance_rule *rule, int64_t prediction, int64_t class,
    struct mega_head_table *share, double *steps, double *to_input)
{
    bool classifier = s->model->config.architecture == MEGA_CLASSIFIER;
    size_t heads = (size_t)(share->layers * share->heads),
           width = (size_t)(s->passes * s->pass[0].D);
    double *got = calloc(heads + width + 1, sizeof *got), *pooled = got ? got + heads : NULL;
    bool done = got && (!classifier || from_class(s, rule, class, pooled));
    struct question q = { s, rule, prediction, class, classifier ? pooled : NULL };
    for (int64_t k = 0; k < s->passes && done; k++) {
        done = answer(&q, k, got, share, to_input);
        if (to_input) to_input += s->pass[k].T;
    }
    if (done) share_out(got, share, steps);
    free(got);
    return done ? MEGA_OK : mega_fail(MEGA_NO_MEMORY, "no memory for relevance");
}

/* ---- over data ---- */

struct sum {
    const struct mega_study_data *data;
    struct mega_relevance_rule rule;
    struct mega_study_reading reading;
    struct mega_head_table *share;
    double *steps;
};

static mega_status see(void *arg, struct mega_batch *b)
{
    struct sum *s = arg;
    MEGA_TRY(mega_study_reading_run(&s->reading, s->data->run, b));
    for (int64_t p = 0; p < s->reading.predictions; p++)
        MEGA_TRY(mega_study_relevance_at(&s->reading, &s->rule, p,
            mega_study_predicted(&s->reading, p), s->share, s->steps, NULL));
    return MEGA_OK;
}

mega_status mega_study_relevance(const struct mega_study_data *d, const mega_model *m,
    bool zplus, struct mega_head_table *out)
{
    struct mega_model_heads h;
    struct sum s = { .data = d, .rule = mega_relevance_rule_of(zplus), .share = out };
    *out = (struct mega_head_table){ 0 };
    MEGA_TRY(mega_model_heads_find(&h, m));
    mega_status status = mega_study_reading_new(&s.reading, m);
    if (!status) status = mega_head_table_new(out, &h);
    s.steps = calloc((size_t)h.layers + 1, sizeof *s.steps);
    if (!status && !s.steps) status = mega_fail(MEGA_NO_MEMORY, "no memory for relevance");
    if (!status) status = mega_study_each(d, see, &s);
    for (int64_t l = 0; l < h.layers && !status; l++)
        for (int64_t k = 0; k < h.most; k++)
            if (s.steps[l] > 0) *mega_head_at(out, l, k) /= s.steps[l];
    mega_study_reading_free(&s.reading);
    free(s.steps);
    mega_model_heads_done(&h);
    return status;
}
