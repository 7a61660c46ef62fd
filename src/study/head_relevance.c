#include "study/head_relevance.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "graph/ops.h"
#include "model/transformer_decoder.h"

/* Relevance on its way down: of the stream [T, D] below the sublayer that is next. */
struct descent {
    const struct mega_study_forward *f;
    const struct mega_relevance_rule *rule;
    int64_t rows; /* T; rows beyond the place have none */
    double *r;
    struct mega_head_table *share;
    double *steps;
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
    const struct mega_attention *m = &s->from->attention;
    int64_t H = m->kept.heads, dv = m->options.values;
    double all = mega_relevance_total(r, d->rows * H * dv);
    if (!(all > 0)) return;
    d->steps[d->layer]++;
    for (int64_t i = 0; i < d->rows * H * dv; i++)
        *mega_head_at(d->share, d->layer, m->kept.number[i / dv % H]) += r[i] / all;
}

/* one head's core, whose relevances are added to those of all heads */
static bool core_of(struct descent *d, const struct mega_study_sublayer *s, int64_t h,
    const double *r_c, double *r_q, double *r_k, double *r_v)
{
    const struct mega_attention *m = &s->from->attention;
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
    double row[3], total = 0;
    double *part = malloc((size_t)(D + 1) * sizeof *part);
    memset(r_z, 0, (size_t)(d->rows * D) * sizeof *r_z);
    for (int64_t t = 0; part && t < d->rows; t++)
        for (int i = 0; i < 3; i++) {
            row[i] = mega_relevance_total(r[i] + t * l[i]->n_out, l[i]->n_out);
            total += row[i];
            if (!(row[i] > 0)) continue;
            mega_relevance_linear(d->rule, l[i]->w, l[i]->b, s->z + t * D,
                r[i] + t * l[i]->n_out, part, D, l[i]->n_out);
            for (int64_t k = 0; k < D; k++) r_z[t * D + k] += part[k];
        }
    free(part);
    mega_relevance_rescale(d->rule, total, r_z, d->rows * D);
}

static bool through_attention(
    struct descent *d, const struct mega_study_sublayer *s, const double *r_y, double *r_z)
{
    const struct mega_attention *m = &s->from->attention;
    int64_t H = m->kept.heads, G = m->kept.groups, dk = m->options.keys, dv = m->options.values,
            T = d->rows, nc = T * H * dv, nq = T * H * dk, nk = T * G * dk, nv = T * G * dv;
    memset(r_z, 0, (size_t)(T * d->f->D) * sizeof *r_z);
    if (!H) return true;
    double *r_c = calloc((size_t)(nc + nq + nk + nv) + 1, sizeof *r_c), *r_q = r_c + nc,
           *r_k = r_q + nq, *r_v = r_k + nk;
    if (!r_c) return false;
    linear_rows(d, &s->o, s->gated, r_y, r_c);
    note(d, s, r_c);
    bool done = true;
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
    double *r_h = calloc((size_t)(d->rows * s->up.n_out) + 1, sizeof *r_h);
    if (!r_h) return false;
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
    bool attention = s->from->kind == MEGA_BRANCH_ATTENTION;
    norm_rows(d, &s->post, s->sum, d->r, scratch);
    double total = mega_relevance_total(d->r, n);
    for (int64_t t = 0; t < d->rows; t++)
        mega_relevance_sum(
            d->rule, s->x + t * D, s->y + t * D, d->r + t * D, r_x + t * D, r_y + t * D, D);
    bool done = attention ? through_attention(d, s, r_y, r_z) : through_mlp(d, s, r_y, r_z);
    norm_rows(d, &s->pre, s->x, r_z, scratch);
    for (int64_t i = 0; i < n; i++) d->r[i] = r_x[i] + r_z[i];
    if (mega_relevance_total(r_z, n) > 0) mega_relevance_rescale(d->rule, total, d->r, n);
    d->layer -= attention;
    free(r_x);
    return done;
}

mega_status mega_study_relevance_at(const struct mega_study_forward *f,
    const struct mega_relevance_rule *rule, int64_t place, int64_t token,
    struct mega_head_table *share, double *steps, double *to_input)
{
    int64_t D = f->D, n = (place + 1) * D;
    struct descent d = { f, rule, place + 1, calloc((size_t)(2 * n) + 1, sizeof *d.r), share,
        steps, share->layers - 1 };
    bool done = d.r != NULL;
    double one = 1;
    if (done) {
        mega_relevance_linear(rule, f->head + token * D, NULL, f->features + place * D, &one,
            d.r + place * D, D, 1);
        norm_rows(&d, &f->final, f->x, d.r, d.r + n);
    }
    for (int64_t k = f->subs - 1; k >= 0 && done; k--) done = through_sublayer(&d, &f->sub[k]);
    for (int64_t i = 0; to_input && i < f->T; i++)
        to_input[i] = done && i <= place ? mega_relevance_total(d.r + i * D, D) : 0;
    free(d.r);
    return done ? MEGA_OK : mega_fail(MEGA_NO_MEMORY, "no memory for relevance");
}

/* ---- over data ---- */

struct sum {
    const struct mega_study_data *data;
    const mega_model *model;
    struct mega_relevance_rule rule;
    struct mega_study_forward forward;
    struct mega_head_table *share;
    double *steps;
};

static int64_t likeliest(const struct mega_study_forward *f, int64_t place)
{
    int64_t best = 0;
    double most = -INFINITY;
    for (int64_t v = 0; v < f->vocabulary; v++) {
        double x = mega_study_forward_logit(f, place, v);
        if (x > most) most = x, best = v;
    }
    return best;
}

/* the model's own logits of the last place are those of the pass in double */
static mega_status compare(struct sum *s, struct mega_batch *b, int64_t T)
{
    mega_run *r = s->data->run;
    mega_tensor *text[2];
    const struct mega_rows *rows[2];
    int64_t V = s->forward.vocabulary, width = b->text[0].dim[1];
    float *logits = malloc((size_t)(width * V + 1) * sizeof *logits);
    if (!logits) return mega_fail(MEGA_NO_MEMORY, "no memory for logits");
    mega_status status = mega_run_begin(r, &(struct mega_run_args){ 0 });
    if (!status) {
        mega_batch_enter(r, s->model, b, text, rows);
        mega_tensor *x = mega_language_model_features(r, &s->model->language, text[0], rows[0]);
        x = mega_language_model_logits(r, &s->model->language, x);
        if (x) mega_run_read(r, x, logits);
        status = mega_run_end(r);
    }
    for (int64_t v = 0; v < V && !status; v++) {
        double mine = mega_study_forward_logit(&s->forward, T - 1, v),
               theirs = (double)logits[(T - 1) * V + v];
        if (!(fabs(mine - theirs) <= 1e-3 * fmax(1, fabs(theirs))))
            status = mega_fail(MEGA_UNSUPPORTED,
                "relevance does not know all that this model does: its own pass gives a logit "
                "of %g where the model's is %g",
                mine, theirs);
    }
    free(logits);
    return status;
}

static mega_status see(void *arg, struct mega_batch *b)
{
    struct sum *s = arg;
    int64_t T = mega_rows_len(&b->rows[0], 0);
    MEGA_TRY(mega_study_forward_run(&s->forward, b->text[0].data, T));
    MEGA_TRY(compare(s, b, T));
    for (int64_t t = 0; t < T; t++)
        MEGA_TRY(mega_study_relevance_at(
            &s->forward, &s->rule, t, likeliest(&s->forward, t), s->share, s->steps, NULL));
    return MEGA_OK;
}

mega_status mega_study_relevance(const struct mega_study_data *d, const mega_model *m,
    bool zplus, struct mega_head_table *out)
{
    struct mega_model_heads h;
    struct sum s = { .data = d,
        .model = m,
        .rule = zplus ? MEGA_RELEVANCE_ZPLUS : MEGA_RELEVANCE_AB,
        .share = out };
    if (m->config.architecture != MEGA_LANGUAGE_MODEL ||
        m->language.decoder->features != mega_transformer_decode)
        return mega_fail(MEGA_UNSUPPORTED,
            "relevance is of language models that are Transformers; this is another model");
    MEGA_TRY(mega_model_heads_find(&h, m));
    mega_status status = mega_head_table_new(out, &h);
    s.steps = calloc((size_t)h.layers + 1, sizeof *s.steps);
    if (!status && !s.steps) status = mega_fail(MEGA_NO_MEMORY, "no memory for relevance");
    if (!status) status = mega_study_forward_new(&s.forward, m->language.self);
    if (!status) status = mega_study_each(d, see, &s);
    for (int64_t l = 0; l < h.layers && !status; l++)
        for (int64_t k = 0; k < h.most; k++)
            if (s.steps[l] > 0) *mega_head_at(out, l, k) /= s.steps[l];
    mega_study_forward_free(&s.forward);
    free(s.steps);
    mega_model_heads_done(&h);
    return status;
}
