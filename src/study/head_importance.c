#include "study/head_importance.h"

#include <math.h>
#include <string.h>

#include "op/hard_concrete.h"
#include "task/feed.h"
#include "train/evaluate.h"

mega_status mega_study_each(const struct mega_study_data *d,
    mega_status (*see)(void *arg, struct mega_batch *b), void *arg)
{
    struct mega_feed *feed;
    MEGA_TRY(mega_feed_open(&feed, d->job, d->split, 1, 0));
    mega_status status = MEGA_OK;
    struct mega_batch *b;
    for (int64_t n = 0; !status && (!d->texts || n < d->texts); n++) {
        status = mega_feed_next(feed, &b);
        if (status || !b) break;
        status = see(arg, b);
    }
    mega_feed_close(feed);
    return status;
}

/* ---- models with a factor of each head ---- */

mega_status mega_study_gated(mega_model **out, const mega_model *m)
{
    return mega_model_heads_change(out, m,
        &(struct mega_model_heads_change){
            .gates = MEGA_GATES_FIXED, .fold = true, .for_training = true });
}

/* the place of a head among those that are left, or -1 */
static int64_t place_of(const struct mega_kept_heads *kept, int64_t head)
{
    for (int64_t k = 0; k < kept->heads; k++)
        if (kept->number[k] == head) return k;
    return -1;
}

void mega_study_set_gate(mega_model *gated, int64_t layer, int64_t head, double xi)
{
    struct mega_model_heads h;
    if (mega_model_heads_list(&h, gated)) return;
    const struct mega_head_gates *g = h.layer[layer].gates;
    int64_t k = place_of(h.layer[layer].kept, head);
    if (k >= 0 && g->open) {
        mega_put(g->open, 0, k, xi);
        g->open->param->version++;
    }
    mega_model_heads_done(&h);
}

/* ---- gradients ---- */

struct gradient {
    mega_run *run;
    mega_model *model;
    const struct mega_model_heads *heads;
    struct mega_head_table *absolute, *with_sign;
    double places;
};

static void add(struct gradient *g)
{
    for (int64_t l = 0; l < g->heads->layers; l++) {
        const struct mega_model_attention *a = &g->heads->layer[l];
        for (int64_t k = 0; k < a->kept->heads; k++) {
            double d = mega_get(&a->gates->open->param->gradient, 0, k);
            *mega_head_at(g->absolute, l, a->kept->number[k]) += fabs(d);
            *mega_head_at(g->with_sign, l, a->kept->number[k]) += d;
        }
    }
}

static mega_status see(void *arg, struct mega_batch *b)
{
    struct gradient *g = arg;
    struct mega_store *s = &g->model->store;
    memset(s->gradient, 0, (size_t)s->count * sizeof *s->gradient);
    MEGA_TRY(mega_run_begin(g->run, &(struct mega_run_args){ .mode = MEGA_RUN_GRAD }));
    mega_run_seed(g->run, mega_batch_loss(g->run, g->model, b), 1);
    mega_run_backward(g->run);
    MEGA_TRY(mega_run_end(g->run));
    add(g);
    g->places += (double)b->tokens;
    return MEGA_OK;
}

/* gates alone want gradients, so that no other product is made */
static void want(mega_model *m, const struct mega_model_heads *h)
{
    for (struct mega_param *p = m->store.first; p; p = p->next) p->value.wants_grad = false;
    for (int64_t l = 0; l < h->layers; l++)
        if (h->layer[l].gates->open) h->layer[l].gates->open->wants_grad = true;
}

static void divide(struct mega_head_table *t, double by)
{
    for (int64_t i = 0; i < t->layers * t->heads; i++) t->value[i] /= by;
}

mega_status mega_study_gradient(const struct mega_study_data *d, mega_model *gated,
    struct mega_head_table *absolute, struct mega_head_table *with_sign)
{
    struct mega_model_heads h;
    *absolute = *with_sign = (struct mega_head_table){ 0 };
    MEGA_TRY(mega_model_heads_list(&h, gated));
    mega_status status = mega_head_table_new(absolute, &h);
    if (!status) status = mega_head_table_new(with_sign, &h);
    struct gradient g = { d->run, gated, &h, absolute, with_sign, 0 };
    want(gated, &h);
    if (!status) status = mega_study_each(d, see, &g);
    if (!status && !(g.places > 0))
        status = mega_fail(MEGA_BAD_ARGUMENT, "the data hold no token that counts");
    if (!status) divide(absolute, g.places);
    if (!status) divide(with_sign, g.places);
    mega_model_heads_done(&h);
    if (status) mega_head_table_free(absolute);
    if (status) mega_head_table_free(with_sign);
    return status;
}

/* ---- losses ---- */

struct losses {
    mega_run *run;
    const mega_model *model;
    double sum, units;
};

static mega_status see_loss(void *arg, struct mega_batch *b)
{
    struct losses *l = arg;
    float loss = 0;
    MEGA_TRY(mega_run_begin(l->run, &(struct mega_run_args){ 0 }));
    mega_tensor *total = mega_batch_loss(l->run, l->model, b);
    if (total) mega_run_read(l->run, total, &loss);
    MEGA_TRY(mega_run_end(l->run));
    l->sum += (double)loss;
    l->units +=
        l->model->config.architecture == MEGA_CLASSIFIER ? (double)b->n : (double)b->tokens;
    return MEGA_OK;
}

mega_status mega_study_loss(const struct mega_study_data *d, const mega_model *m, double *loss)
{
    struct losses l = { .run = d->run, .model = m };
    MEGA_TRY(mega_study_each(d, see_loss, &l));
    if (!(l.units > 0))
        return mega_fail(MEGA_BAD_ARGUMENT, "the data hold no token that counts");
    *loss = l.sum / l.units;
    return MEGA_OK;
}

mega_status mega_study_ablation(
    const struct mega_study_data *d, mega_model *gated, struct mega_head_table *out)
{
    struct mega_model_heads h;
    double whole, without;
    MEGA_TRY(mega_study_loss(d, gated, &whole));
    MEGA_TRY(mega_model_heads_list(&h, gated));
    mega_status status = mega_head_table_new(out, &h);
    for (int64_t l = 0; l < h.layers && !status; l++) {
        const struct mega_model_attention *a = &h.layer[l];
        for (int64_t k = 0; k < a->kept->heads && !status; k++) {
            double xi = mega_get(a->gates->open, 0, k);
            mega_study_set_gate(gated, l, a->kept->number[k], 0);
            status = mega_study_loss(d, gated, &without);
            mega_study_set_gate(gated, l, a->kept->number[k], xi);
            *mega_head_at(out, l, a->kept->number[k]) = without - whole;
        }
    }
    mega_model_heads_done(&h);
    return status;
}

/* ---- without data ---- */

mega_status mega_study_weight(const mega_model *m, struct mega_head_table *out)
{
    struct mega_model_heads h;
    MEGA_TRY(mega_model_heads_find(&h, m));
    mega_status status = mega_head_table_new(out, &h);
    for (int64_t l = 0; l < h.layers && !status; l++) {
        const struct mega_attention *a = h.layer[l].attention;
        int64_t dv = a->options.values,
                share = a->kept.heads ? a->options.heads / a->options.kv_heads : 1, group = -1;
        for (int64_t k = 0; k < a->kept.heads; k++) {
            /* which of the groups that are left */
            group += !k || a->kept.number[k] / share != a->kept.number[k - 1] / share;
            double value = 0, output = 0;
            for (int64_t j = 0; j < dv; j++) {
                for (int64_t i = 0; i < mega_width(a->v); i++)
                    value += pow(mega_get(a->v, group * dv + j, i), 2);
                for (int64_t r = 0; r < mega_height(a->o); r++)
                    output += pow(mega_get(a->o, r, k * dv + j), 2);
            }
            *mega_head_at(out, l, a->kept.number[k]) =
                sqrt(value * output) * fabs(mega_attention_gate(a, k));
        }
    }
    mega_model_heads_done(&h);
    return status;
}

mega_status mega_study_gates(
    const mega_model *m, struct mega_head_table *gate, struct mega_head_table *log_a)
{
    struct mega_model_heads h;
    *gate = *log_a = (struct mega_head_table){ 0 };
    MEGA_TRY(mega_model_heads_list(&h, m));
    mega_status status = mega_head_table_new(gate, &h);
    if (!status) status = mega_head_table_new(log_a, &h);
    bool gated = false;
    for (int64_t l = 0; l < h.layers && !status; l++) {
        const struct mega_model_attention *a = &h.layer[l];
        const struct mega_head_gates *branch = a->megalodon ? &a->megalodon->branch : NULL,
                                     *g = branch && branch->log_a ? branch : a->gates;
        gated |= g->log_a || g->open || (a->attention && a->attention->group_gates.log_a);
        for (int64_t k = 0; k < a->kept->heads; k++) {
            *mega_head_at(gate, l, a->kept->number[k]) = mega_model_head_gate(a, k);
            if (g->log_a)
                *mega_head_at(log_a, l, a->kept->number[k]) =
                    mega_hard_at(g->log_a, g == branch ? 0 : k);
        }
    }
    if (!status && !gated)
        status =
            mega_fail(MEGA_BAD_ARGUMENT, "the model's heads have no gates: expected a model "
                                         "that was trained with model.head_gates");
    mega_model_heads_done(&h);
    if (status) mega_head_table_free(gate);
    if (status) mega_head_table_free(log_a);
    return status;
}
