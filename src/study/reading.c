#include "study/reading.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "graph/ops.h"
#include "op/act.h"
#include "study/head_maps.h"

static enum mega_architecture kind_of(const struct mega_study_reading *s)
{
    return s->model->config.architecture;
}

/* ---- parameters ---- */

static bool take_output(struct mega_study_reading *s)
{
    const struct mega_transformer *t = s->model->language.self;
    return mega_study_linear_take(&s->out, t->head.weight, t->head.bias);
}

static bool take_masked(struct mega_study_reading *s)
{
    const struct mega_masked_model *m = &s->model->masked;
    s->n_hidden = 1;
    return mega_study_linear_take(&s->hidden[0], m->dense, m->dense_bias) &&
           mega_study_norm_take(&s->norm, &m->norm, true) &&
           mega_study_linear_take(&s->out, m->encoder.embedding.table, m->bias);
}

static bool take_head(struct mega_study_reading *s)
{
    const struct mega_classifier *c = &s->model->classifier;
    int64_t width = c->task.towers * s->pass[0].D;
    s->n_hidden = c->head.layers;
    for (int64_t i = 0; i <= s->n_hidden; i++) {
        s->inside[i] = calloc((size_t)width + 1, sizeof(double));
        if (!s->inside[i] || (i < s->n_hidden && !mega_study_linear_take(
                                                     &s->hidden[i], c->weight[i], c->bias[i])))
            return false;
        width = c->head.width;
    }
    return mega_study_linear_take(&s->out, c->out, NULL);
}

static mega_status check(const mega_model *m)
{
    return m->config.architecture != MEGA_MASKED_MODEL || m->masked.options.masked
               ? MEGA_OK
               : mega_fail(MEGA_UNSUPPORTED,
                     "this model does not tell masked tokens: relevance of its predictions "
                     "needs its masked_head");
}

mega_status mega_study_reading_new(struct mega_study_reading *s, const mega_model *m)
{
    static bool (*const take[])(struct mega_study_reading *) = {
        [MEGA_CLASSIFIER] = take_head,
        [MEGA_LANGUAGE_MODEL] = take_output,
        [MEGA_MASKED_MODEL] = take_masked,
    };
    *s = (struct mega_study_reading){ .model = m };
    MEGA_TRY(check(m));
    int64_t towers = m->config.architecture == MEGA_CLASSIFIER ? m->classifier.task.towers : 1;
    for (; s->passes < towers; s->passes++) {
        mega_status status = mega_study_forward_new(&s->pass[s->passes], m);
        if (status) {
            mega_study_reading_free(s);
            return status;
        }
    }
    if (take[kind_of(s)](s)) {
        s->classes = s->out.n_out;
        return MEGA_OK;
    }
    mega_study_reading_free(s);
    return mega_fail(MEGA_NO_MEMORY, "no memory for a model's head in double precision");
}

void mega_study_reading_free(struct mega_study_reading *s)
{
    for (int64_t i = 0; i < s->passes; i++) mega_study_forward_free(&s->pass[i]);
    for (int64_t i = 0; i < MEGA_HEAD_MOST; i++) mega_study_linear_free(&s->hidden[i]);
    for (int64_t i = 0; i <= MEGA_HEAD_MOST; i++) free(s->inside[i]);
    mega_study_norm_free(&s->norm);
    mega_study_linear_free(&s->out);
    free(s->at);
    *s = (struct mega_study_reading){ 0 };
}

/* ---- the model's own run ---- */

/* What the run of the model itself gives: embedded texts, logits. */
struct own {
    float *embedded[2], *logits;
    int64_t T[2], D;
    int n;
    bool failed;
};

static void see_embedded(void *arg, const char *path, const char *what, const mega_tensor *t)
{
    struct own *o = arg;
    (void)path;
    if (strcmp(what, "embedded") != 0 || o->n == 2 || !o->T[o->n]) return;
    float *x = malloc((size_t)(o->T[o->n] * o->D + 1) * sizeof *x);
    for (int64_t i = 0; x && i < o->T[o->n] * o->D; i++)
        x[i] = (float)mega_get(t, i / o->D, i % o->D);
    o->failed |= !x;
    o->embedded[o->n++] = x;
}

static mega_tensor *logits_of(mega_run *r, const mega_model *m, struct mega_batch *b)
{
    mega_tensor *text[2];
    const struct mega_rows *rows[2];
    mega_batch_enter(r, m, b, text, rows);
    if (m->config.architecture == MEGA_CLASSIFIER)
        return mega_classifier_run(r, &m->classifier, text, rows);
    if (m->config.architecture == MEGA_MASKED_MODEL)
        return mega_masked_model_logits(
            r, &m->masked, mega_masked_model_states(r, &m->masked, text[0], rows[0]));
    return mega_language_model_logits(
        r, &m->language, mega_language_model_features(r, &m->language, text[0], rows[0]));
}

static mega_status run_model(
    struct own *o, const mega_model *m, mega_run *r, struct mega_batch *b)
{
    MEGA_TRY(mega_run_begin(
        r, &(struct mega_run_args){ .wants = "embedded", .tap = see_embedded, .tap_arg = o }));
    mega_tensor *x = logits_of(r, m, b);
    if (x) o->logits = malloc((size_t)(mega_count(x) + 1) * sizeof *o->logits);
    if (x && o->logits) mega_run_read(r, x, o->logits);
    MEGA_TRY(mega_run_end(r));
    return o->logits && !o->failed
               ? MEGA_OK
               : mega_fail(MEGA_NO_MEMORY, "no memory for a text and its logits");
}

static mega_status compare(
    const struct mega_study_reading *s, const float *logits, int64_t prediction)
{
    for (int64_t v = 0; v < s->classes; v++) {
        double mine = mega_study_logit(s, prediction, v),
               theirs = (double)logits[mega_study_place(s, prediction) * s->classes + v];
        if (!(fabs(mine - theirs) <= 1e-3 * fmax(1, fabs(theirs))))
            return mega_fail(MEGA_UNSUPPORTED,
                "relevance does not know all that this model does: its own pass gives a logit "
                "of %g where the model's is %g",
                mine, theirs);
    }
    return MEGA_OK;
}

/* ---- a classifier's head ---- */

/* the mean of a text's places, or the first (of a class token: its own), into one vector; the
 * second text stands first */
static void pool_texts(struct mega_study_reading *s)
{
    const struct mega_classifier *c = &s->model->classifier;
    for (int64_t k = 0; k < s->passes; k++) {
        const struct mega_study_forward *f = &s->pass[k];
        double *to = s->inside[0] + (s->passes - 1 - k) * f->D;
        int64_t n = c->head.pooling == MEGA_POOL_MEAN ? f->T : 1;
        memset(to, 0, (size_t)f->D * sizeof *to);
        for (int64_t i = 0; i < n * f->D; i++) to[i % f->D] += f->features[i] / (double)n;
    }
}

static void run_head(struct mega_study_reading *s)
{
    enum mega_act act = (enum mega_act)s->model->classifier.head.act;
    pool_texts(s);
    for (int64_t i = 0; i < s->n_hidden; i++) {
        mega_study_linear_apply(&s->hidden[i], s->inside[i], s->inside[i + 1]);
        for (int64_t k = 0; k < s->hidden[i].n_out; k++)
            s->inside[i + 1][k] = mega_act(act, s->inside[i + 1][k]);
    }
}

/* ---- a masked model's ---- */

/* the places that have a target, and the head's inside at all of them */
static bool run_masked(struct mega_study_reading *s, const struct mega_batch *b)
{
    const struct mega_study_forward *f = &s->pass[0];
    const int32_t *target = b->target.data;
    enum mega_act act = (enum mega_act)s->model->masked.encoder.options.act;
    for (int k = 0; k < 2; k++) {
        free(s->inside[k]);
        s->inside[k] = malloc((size_t)(f->T * f->D + 1) * sizeof *s->inside[k]);
    }
    free(s->at);
    s->at = malloc((size_t)(f->T + 1) * sizeof *s->at);
    s->predictions = 0;
    if (!s->inside[0] || !s->inside[1] || !s->at) return false;
    for (int64_t i = 0; i < f->T; i++) {
        if (target[i] >= 0) s->at[s->predictions++] = i;
        double *row = s->inside[0] + i * f->D;
        mega_study_linear_apply(&s->hidden[0], f->features + i * f->D, row);
        for (int64_t k = 0; k < f->D; k++) row[k] = mega_act(act, row[k]);
    }
    mega_study_norm_apply(&s->norm, s->inside[0], s->inside[1], f->T, f->D);
    return true;
}

static mega_status run_end(struct mega_study_reading *s, const struct mega_batch *b)
{
    s->predictions = kind_of(s) == MEGA_CLASSIFIER ? 1 : s->pass[0].T;
    if (kind_of(s) == MEGA_CLASSIFIER) run_head(s);
    return kind_of(s) != MEGA_MASKED_MODEL || run_masked(s, b)
               ? MEGA_OK
               : mega_fail(MEGA_NO_MEMORY, "no memory for a masked model's head");
}

mega_status mega_study_reading_run(
    struct mega_study_reading *s, mega_run *r, struct mega_batch *b)
{
    struct own o = { .D = s->pass[0].D };
    for (int64_t k = 0; k < s->passes; k++)
        o.T[k] = mega_rows_len(&b->rows[k], 0) + mega_head_maps_lead(s->model);
    mega_status status = run_model(&o, s->model, r, b);
    if (!status && o.n != s->passes)
        status = mega_fail(MEGA_UNSUPPORTED, "relevance does not know how this model embeds");
    for (int64_t k = 0; k < s->passes && !status; k++)
        status = mega_study_forward_run(&s->pass[k], o.embedded[k], o.T[k]);
    if (!status) status = run_end(s, b);
    if (!status && s->predictions) status = compare(s, o.logits, s->predictions - 1);
    free(o.embedded[0]);
    free(o.embedded[1]);
    free(o.logits);
    return status;
}

/* ---- logits ---- */

int64_t mega_study_place(const struct mega_study_reading *s, int64_t prediction)
{
    return s->at ? s->at[prediction] : prediction;
}

const double *mega_study_last_row(const struct mega_study_reading *s, int64_t prediction)
{
    const double *rows =
        kind_of(s) == MEGA_LANGUAGE_MODEL ? s->pass[0].features : s->inside[s->n_hidden];
    return rows + mega_study_place(s, prediction) * s->pass[0].D;
}

double mega_study_logit(const struct mega_study_reading *s, int64_t prediction, int64_t class)
{
    const double *x = mega_study_last_row(s, prediction);
    double sum = s->out.b ? s->out.b[class] : 0;
    for (int64_t i = 0; i < s->out.n_in; i++) sum += x[i] * s->out.w[class * s->out.n_in + i];
    return sum;
}

int64_t mega_study_predicted(const struct mega_study_reading *s, int64_t prediction)
{
    int64_t best = 0;
    double most = -INFINITY;
    for (int64_t v = 0; v < s->classes; v++) {
        double x = mega_study_logit(s, prediction, v);
        if (x > most) most = x, best = v;
    }
    return best;
}
