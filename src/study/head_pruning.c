#include "study/head_pruning.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "study/head_relevance.h"

/* ---- scores ---- */

static mega_status by_confidence(const struct mega_study_data *d, const mega_model *m,
    int32_t end, struct mega_head_table *out)
{
    struct mega_head_functions f;
    MEGA_TRY(mega_study_functions(d, m, end, false, &f));
    *out = f.confidence;
    f.confidence = (struct mega_head_table){ 0 };
    mega_head_functions_free(&f);
    return MEGA_OK;
}

static mega_status by_gradient(
    const struct mega_study_data *d, mega_model *gated, struct mega_head_table *out)
{
    struct mega_head_table with_sign;
    MEGA_TRY(mega_study_gradient(d, gated, out, &with_sign));
    mega_head_table_free(&with_sign);
    return MEGA_OK;
}

static mega_status by_gates(const mega_model *m, struct mega_head_table *out)
{
    struct mega_head_table log_a;
    MEGA_TRY(mega_study_gates(m, out, &log_a));
    bool concrete = false;
    for (int64_t i = 0; i < out->layers * out->heads; i++) concrete |= fabs(log_a.value[i]) > 0;
    /* where gates are all closed or open, log_a still tells them apart */
    if (concrete)
        memcpy(
            out->value, log_a.value, (size_t)(out->layers * out->heads) * sizeof *out->value);
    mega_head_table_free(&log_a);
    return MEGA_OK;
}

static mega_status by_chance(const mega_model *m, uint64_t seed, struct mega_head_table *out)
{
    struct mega_model_heads h;
    struct mega_rng g;
    MEGA_TRY(mega_model_heads_list(&h, m));
    mega_status status = mega_head_table_new(out, &h);
    mega_rng_start(&g, seed, mega_hash_text("heads"));
    for (int64_t i = 0; !status && i < out->layers * out->heads; i++)
        out->value[i] += mega_rng_unit(&g);
    mega_model_heads_done(&h);
    return status;
}

mega_status mega_study_score(const struct mega_study_data *d, enum mega_head_method method,
    const mega_model *m, mega_model *gated, int32_t end, uint64_t seed,
    struct mega_head_table *out)
{
    *out = (struct mega_head_table){ 0 };
    switch (method) {
    case MEGA_HEADS_GRADIENT: return by_gradient(d, gated, out);
    case MEGA_HEADS_ABLATION: return mega_study_ablation(d, gated, out);
    case MEGA_HEADS_CONFIDENCE: return by_confidence(d, gated, end, out);
    case MEGA_HEADS_WEIGHT: return mega_study_weight(gated, out);
    case MEGA_HEADS_RELEVANCE: return mega_study_relevance(d, gated, false, out);
    case MEGA_HEADS_GATES: return by_gates(m, out);
    case MEGA_HEADS_RANDOM: return by_chance(m, seed, out);
    }
    return mega_fail(MEGA_INTERNAL, "method %d of head importance", (int)method);
}

/* ---- steps ---- */

struct pruning {
    const struct mega_head_pruning *how;
    const struct mega_study_data *data;
    const mega_model *model;
    mega_model *gated;
    struct mega_head_table *kept, score;
};

static bool is_open(const struct mega_head_table *t, int64_t i)
{
    return !isnan(t->value[i]) && t->value[i] > 0;
}

static int64_t count_open(const struct mega_head_table *t, int64_t from, int64_t n)
{
    int64_t open = 0;
    for (int64_t i = from; i < from + n; i++) open += is_open(t, i);
    return open;
}

/* the open head with the lowest score, or -1 */
static int64_t lowest(const struct pruning *p)
{
    const struct mega_head_table *t = p->kept;
    int64_t best = -1;
    for (int64_t i = 0; i < t->layers * t->heads; i++) {
        if (!is_open(t, i)) continue;
        if (p->how->never_empty && count_open(t, i / t->heads * t->heads, t->heads) == 1)
            continue;
        if (best < 0 || p->score.value[i] < p->score.value[best]) best = i;
    }
    return best;
}

static void set(struct pruning *p, int64_t i, double open)
{
    p->kept->value[i] = open;
    mega_study_set_gate(p->gated, i / p->kept->heads, i % p->kept->heads, open);
}

/* what this step closed, so that it can be taken back */
static int64_t close_some(struct pruning *p, int64_t n, int64_t *closed)
{
    int64_t done = 0;
    for (int64_t i; done < n && (i = lowest(p)) >= 0; done++) {
        set(p, i, 0);
        closed[done] = i;
    }
    return done;
}

static mega_status rank_again(struct pruning *p, int64_t step)
{
    if (p->score.value && p->how->once) return MEGA_OK;
    mega_head_table_free(&p->score);
    return mega_study_score(p->data, p->how->method, p->model, p->gated, p->how->end,
        p->how->seed + (p->how->once ? 0 : (uint64_t)step), &p->score);
}

static mega_status walk(struct pruning *p, struct mega_head_step *steps, int64_t *n,
    int64_t *closed, void (*tell)(void *, const struct mega_head_step *), void *arg)
{
    int64_t all = p->kept->layers * p->kept->heads, open = count_open(p->kept, 0, all);
    for (*n = 0;;) {
        struct mega_head_step *step = &steps[*n];
        *step = (struct mega_head_step){ open, NAN };
        if (p->data) MEGA_TRY(mega_study_loss(p->data, p->gated, &step->loss));
        if (*n && p->how->most > 0 && step->loss > steps[0].loss + p->how->most) {
            for (int64_t i = 0; i < steps[*n - 1].heads - open; i++) set(p, closed[i], 1);
            return MEGA_OK;
        }
        ++*n;
        if (tell) tell(arg, step);
        int64_t some = open - p->how->keep;
        if (some > p->how->at_a_time) some = p->how->at_a_time;
        if (some < 1) return MEGA_OK;
        MEGA_TRY(rank_again(p, *n));
        some = close_some(p, some, closed);
        if (!some) return MEGA_OK;
        open -= some;
    }
}

mega_status mega_study_prune(const struct mega_study_data *d, const mega_model *m,
    mega_model *gated, const struct mega_head_pruning *how, struct mega_head_table *kept,
    struct mega_head_step **steps, int64_t *n_steps,
    void (*tell)(void *arg, const struct mega_head_step *step), void *arg)
{
    struct pruning p = { how, d, m, gated, kept, { 0 } };
    struct mega_model_heads h;
    *steps = NULL;
    *n_steps = 0;
    MEGA_TRY(mega_model_heads_list(&h, m));
    mega_status status = mega_head_table_new(kept, &h);
    mega_model_heads_done(&h);
    if (status) return status;
    int64_t all = kept->layers * kept->heads, *closed = calloc((size_t)all + 1, sizeof *closed);
    for (int64_t i = 0; i < all; i++)
        if (!isnan(kept->value[i])) kept->value[i] = 1;
    *steps = calloc((size_t)all + 2, sizeof **steps);
    status = *steps && closed ? walk(&p, *steps, n_steps, closed, tell, arg)
                              : mega_fail(MEGA_NO_MEMORY, "no memory to remove heads");
    free(closed);
    mega_head_table_free(&p.score);
    return status;
}

/* ---- lists ---- */

void mega_study_kept(
    const struct mega_head_table *kept, const mega_model *m, struct mega_text *to)
{
    struct mega_model_heads h;
    bool *open = calloc((size_t)kept->heads + 1, sizeof *open);
    if (open && !mega_model_heads_list(&h, m)) {
        for (int64_t l = 0; l < kept->layers; l++) {
            for (int64_t k = 0; k < kept->heads; k++)
                open[k] = is_open(kept, l * kept->heads + k);
            mega_kept_heads_print(to, h.layer[l].heads, open);
        }
        mega_model_heads_done(&h);
    }
    free(open);
}

static mega_status refuse(const char *unit, const char *list)
{
    return mega_fail(MEGA_BAD_ARGUMENT,
        "'%.100s' is no list of %ss: expected LAYER.HEAD,... or LAYER: HEAD HEAD; ... from 0",
        list, unit);
}

static mega_status take_off(struct mega_head_table *kept, const char *unit, int64_t layer,
    int64_t head, struct mega_text *remark)
{
    if (layer >= kept->layers || head >= kept->heads)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "layer %lld %s %lld: the model has layers 0 ... %lld of %ss 0 ... %lld",
            (long long)layer, unit, (long long)head, (long long)kept->layers - 1, unit,
            (long long)kept->heads - 1);
    double *at = mega_head_at(kept, layer, head);
    if (isnan(*at) || !(*at > 0))
        mega_text_add(remark, "layer %lld %s %lld was removed before\n", (long long)layer, unit,
            (long long)head);
    else
        *at = 0;
    return MEGA_OK;
}

mega_status mega_study_remove(
    struct mega_head_table *kept, const char *unit, const char *list, struct mega_text *remark)
{
    int64_t layer = -1;
    const char *at = list;
    for (;;) {
        while (*at == ' ' || *at == ',' || *at == ';') layer = *at == ';' ? -1 : layer, at++;
        if (!*at) return MEGA_OK;
        char *end;
        long long n = strtoll(at, &end, 10);
        if (end == at || n < 0) return refuse(unit, list);
        if (*end == '.' || *end == ':') {
            layer = n;
            bool one = *end == '.';
            at = end + 1;
            if (!one) continue;
            n = strtoll(at, &end, 10);
            if (end == at || n < 0) return refuse(unit, list);
        }
        if (layer < 0) return refuse(unit, list);
        MEGA_TRY(take_off(kept, unit, layer, n, remark));
        at = end;
    }
}
