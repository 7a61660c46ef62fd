#include "train/head_training.h"

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/node.h"
#include "graph/ops.h"
#include "op/hard_concrete.h"

#define FIELD(member) offsetof(struct mega_head_training_options, member)

const struct mega_option mega_head_training_table[] = {
    { "penalty", MEGA_OPTION_REAL, FIELD(penalty), "0", 0, 1e9, NULL, "X",
        "coefficient of what open heads cost, beside the loss of a row or token", 0 },
    { "average", MEGA_OPTION_CHOICE, FIELD(average), "heads", 0, 0, "heads|layers|sum", NULL,
        "what the summed probabilities of open heads are divided by: the number of heads, of "
        "layers (the original code), or nothing (the paper)",
        0 },
    { "begin", MEGA_OPTION_INT, FIELD(begin), "0", 0, 1 << 30, NULL, "N",
        "updates before the penalty begins", 0 },
    { "warmup", MEGA_OPTION_INT, FIELD(warmup), "0", 0, 1 << 30, NULL, "N",
        "updates in which it rises from 0", 0 },
    { "target", MEGA_OPTION_REAL, FIELD(target), "0", 0, 1, NULL, "SHARE",
        "share of heads that is to be closed: the penalty then follows from it; 0: none", 0 },
    { "target_warmup", MEGA_OPTION_INT, FIELD(target_warmup), "0", 0, 1 << 30, NULL, "N",
        "updates in which the target rises from 0", 0 },
    { "target_rate", MEGA_OPTION_REAL, FIELD(target_rate), "0.1", 0, 1e6, NULL, "RATE",
        "how fast the target's multipliers rise with what is missing", 0 },
    { "finish", MEGA_OPTION_INT, FIELD(finish), "0", 0, 1 << 30, NULL, "N",
        "after so many updates gates are rounded to 0 or 1 and stay there; 0: never", 0 },
    { "keep", MEGA_OPTION_INT, FIELD(keep), "0", 0, 1 << 20, NULL, "N",
        "heads that finish leaves open, those with the largest log_a of all layers; 0: those "
        "whose gate is above one half",
        0 },
    { "rate", MEGA_OPTION_REAL, FIELD(rate), "1", 0, 1e6, NULL, "X",
        "factor of the gates' learning rate", 0 },
    { "from", MEGA_OPTION_TEXT, FIELD(from), "", 0, 0, NULL, "MODEL",
        "a model whose parameters the run begins with; gates begin as the model's options say",
        0 },
    { "train", MEGA_OPTION_TEXTS, FIELD(train), "", 0, 0, NULL, "PATTERNS",
        "parameters that train, by name, as in [\"*.attn.*\"]; empty: all", 0 },
    { "open", MEGA_OPTION_TEXTS, FIELD(open), "", 0, 0, NULL, "GATES",
        "fixed gates, a text a layer, as in [\"1 1 0 1\", \"1 0 0 0.5\"]: alive_heads; empty: "
        "all "
        "1",
        0 },
    { 0 },
};

/* ---- the beginning ---- */

static bool matches_any(const struct mega_texts *patterns, const char *name)
{
    for (int i = 0; i < patterns->n; i++)
        if (!fnmatch(patterns->item[i], name, 0)) return true;
    return false;
}

static mega_status check_patterns(const struct mega_texts *patterns, const mega_model *m)
{
    for (int i = 0; i < patterns->n; i++) {
        bool found = false;
        for (const struct mega_param *p = m->store.first; p && !found; p = p->next)
            found = !fnmatch(patterns->item[i], p->name, 0);
        if (!found)
            return mega_fail(MEGA_BAD_ARGUMENT,
                "heads.train: no parameter's name matches '%s': mega inspect lists them",
                patterns->item[i]);
    }
    return MEGA_OK;
}

static mega_status check(
    const struct mega_head_training_options *o, int64_t concrete, int64_t fixed)
{
    if (!concrete && (o->penalty > 0 || o->target > 0 || o->finish || o->keep))
        return mega_fail(MEGA_BAD_ARGUMENT,
            "section heads has a penalty, a target or an end of gates, but the model has no "
            "gates that train: expected model.head_gates: concrete");
    if (o->open.n && !fixed)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "heads.open is given, but the model has no fixed gates: expected "
            "model.head_gates: fixed");
    if (o->penalty > 0 && o->target > 0)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "heads.penalty and heads.target are both given: expected one of them");
    if (o->keep && !o->finish)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "heads.keep is %lld, but nothing says when: give heads.finish", (long long)o->keep);
    return MEGA_OK;
}

/* "1 0 0.5 1" into the fixed gates of a layer */
static mega_status open_layer(const struct mega_attention *a, int64_t layer, const char *text)
{
    const char *at = text;
    for (int64_t h = 0; h <= a->kept.heads; h++) {
        char *end;
        double value = strtod(at, &end);
        bool given = end != at;
        if (given != (h < a->kept.heads) || (given && !isfinite(value)))
            return mega_fail(MEGA_BAD_ARGUMENT,
                "heads.open of layer %lld is '%s', expected %lld numbers", (long long)layer,
                text, (long long)a->kept.heads);
        if (!given) continue;
        mega_put(a->gates.open, 0, h, value);
        at = end;
        while (*at == ' ' || *at == ',') at++;
    }
    a->gates.open->param->version++;
    return *at ? mega_fail(MEGA_BAD_ARGUMENT,
                     "heads.open of layer %lld is '%s', expected numbers alone",
                     (long long)layer, text)
               : MEGA_OK;
}

static mega_status open_gates(
    const struct mega_head_training_options *o, const struct mega_model_heads *h)
{
    if (!o->open.n) return MEGA_OK;
    if (o->open.n != h->layers)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "heads.open has %d texts, expected one for each of %lld layers", o->open.n,
            (long long)h->layers);
    for (int64_t i = 0; i < h->layers; i++)
        if (h->layer[i].attention->gates.open)
            MEGA_TRY(open_layer(h->layer[i].attention, i, o->open.item[i]));
    return MEGA_OK;
}

static mega_status begin_from(mega_model *m, const char *folder)
{
    mega_model *old;
    MEGA_TRY(mega_model_load(&old, folder));
    mega_status status = mega_model_take(m, old);
    mega_model_free(old);
    return status ? mega_fail_in(status, "heads.from: %s: ", folder) : MEGA_OK;
}

/* the span of a parameter's value */
static int span_of(const mega_model *m, const mega_tensor *t)
{
    int i = 0;
    for (const struct mega_param *p = m->store.first; p && &p->value != t; p = p->next) i++;
    return i;
}

static void set_spans(struct mega_head_training *t, mega_model *m, struct mega_optimizer *o,
    const struct mega_log *log)
{
    int i = 0;
    for (const struct mega_param *p = m->store.first; p; p = p->next, i++)
        o->span_frozen[i] = t->options->train.n && !matches_any(&t->options->train, p->name);
    for (int64_t k = 0; k < t->heads.layers; k++) {
        const struct mega_head_gates *g = &t->heads.layer[k].attention->gates;
        if (g->open) o->span_frozen[span_of(m, g->open)] = true;
        if (!g->log_a) continue;
        i = span_of(m, g->log_a);
        o->span[i].decay = 0;
        o->span[i].rate = (float)t->options->rate;
        if (o->span_frozen[i])
            mega_log_line(log, MEGA_LOG_NOTE,
                "the gates of layer %lld do not train: heads.train leaves them out",
                (long long)k);
    }
}

static void count_gates(const struct mega_head_training *t, int64_t *concrete, int64_t *fixed)
{
    *concrete = *fixed = 0;
    for (int64_t k = 0; k < t->heads.layers; k++) {
        const struct mega_head_gates *g = &t->heads.layer[k].attention->gates;
        if (g->log_a) *concrete += g->heads;
        if (g->open) *fixed += g->heads;
    }
}

mega_status mega_head_training_begin(struct mega_head_training *t,
    const struct mega_head_training_options *options, mega_model *m, struct mega_optimizer *o,
    const struct mega_log *log)
{
    int64_t fixed;
    *t = (struct mega_head_training){ .options = options };
    if (mega_model_heads_find(&t->heads, m)) mega_model_heads_done(&t->heads);
    count_gates(t, &t->gates, &fixed);
    MEGA_TRY(check(options, t->gates, fixed));
    MEGA_TRY(check_patterns(&options->train, m));
    if (*options->from) MEGA_TRY(begin_from(m, options->from));
    MEGA_TRY(open_gates(options, &t->heads));
    set_spans(t, m, o, log);
    if (t->gates && !(options->penalty > 0) && !(options->target > 0))
        mega_log_line(log, MEGA_LOG_NOTE,
            "the gates of heads train without a penalty: heads.penalty is 0");
    return MEGA_OK;
}

void mega_head_training_done(struct mega_head_training *t)
{
    mega_model_heads_done(&t->heads);
}

/* ---- an update ---- */

/* how far something has risen that takes `warmup` updates from `begin` on */
static double risen(int64_t step, int64_t begin, int64_t warmup)
{
    if (step < begin) return 0;
    return warmup && step - begin < warmup ? (double)(step - begin + 1) / (double)warmup : 1;
}

static double divisor(const struct mega_head_training *t)
{
    int64_t gated = 0;
    for (int64_t k = 0; k < t->heads.layers; k++)
        gated += t->heads.layer[k].attention->gates.log_a != NULL;
    switch (t->options->average) {
    case MEGA_HEADS_BY_HEAD: return (double)t->gates;
    case MEGA_HEADS_BY_LAYER: return (double)gated;
    default: return 1;
    }
}

/* the factor of the summed probabilities; moves the multipliers of a target on */
static double coefficient(
    const struct mega_head_training *t, struct mega_progress *p, struct mega_head_state *state)
{
    const struct mega_head_training_options *o = t->options;
    if (!(o->target > 0)) {
        double c = o->penalty * risen(p->step, o->begin, o->warmup) / divisor(t);
        state->penalty = c * state->expected;
        return c;
    }
    if (p->step < o->begin) return 0;
    double wanted = o->target * risen(p->step, o->begin, o->target_warmup),
           missing = 1 - state->expected / (double)t->gates - wanted;
    state->penalty = p->head_l1 * missing + p->head_l2 * missing * missing;
    double c = -(p->head_l1 + 2 * p->head_l2 * missing) / (double)t->gates;
    p->head_l1 += o->target_rate * missing;
    p->head_l2 += o->target_rate * missing * missing;
    return c;
}

static void look(const struct mega_head_training *t, struct mega_head_state *state)
{
    *state = (struct mega_head_state){ .all = t->gates };
    for (int64_t k = 0; k < t->heads.layers; k++) {
        const struct mega_head_gates *g = &t->heads.layer[k].attention->gates;
        for (int64_t h = 0; g->log_a && h < g->heads; h++) {
            double value = mega_head_gates_value(g, h);
            state->closed += value <= 0;
            state->partial += value > 0 && value < 1;
            state->expected += mega_hard_open(&g->options.concrete, mega_hard_at(g->log_a, h));
        }
    }
}

mega_status mega_head_training_penalise(struct mega_head_training *t, mega_run *r,
    struct mega_progress *p, struct mega_head_state *state)
{
    look(t, state);
    if (!t->gates || t->finished) return MEGA_OK;
    double c = coefficient(t, p, state);
    if (c <= 0 && c >= 0) return MEGA_OK;
    MEGA_TRY(mega_run_begin(r, &(struct mega_run_args){ .mode = MEGA_RUN_GRAD }));
    for (int64_t k = 0; k < t->heads.layers; k++) {
        mega_tensor *cost = mega_head_gates_penalty(r, &t->heads.layer[k].attention->gates);
        if (cost) mega_run_seed(r, cost, c);
    }
    mega_run_backward(r);
    return mega_run_end(r);
}

/* ---- the end ---- */

static int falling(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* log_a above which a head stays open */
static double threshold(const struct mega_head_training *t)
{
    int64_t keep = t->options->keep, n = 0;
    double *all = keep && keep < t->gates ? malloc((size_t)t->gates * sizeof *all) : NULL;
    if (!all) return keep ? -INFINITY : 0;
    for (int64_t k = 0; k < t->heads.layers; k++) {
        const struct mega_head_gates *g = &t->heads.layer[k].attention->gates;
        for (int64_t h = 0; g->log_a && h < g->heads; h++) all[n++] = mega_hard_at(g->log_a, h);
    }
    qsort(all, (size_t)n, sizeof *all, falling);
    double last = all[keep];
    free(all);
    return last;
}

bool mega_head_training_finish(
    struct mega_head_training *t, mega_model *m, struct mega_optimizer *o, int64_t step)
{
    /* beyond the noise, so that training and evaluation have one gate */
    enum { FAR = 20 };
    const struct mega_head_training_options *p = t->options;
    if (!t->gates || t->finished || !p->finish || step < p->finish) return false;
    double above = threshold(t);
    for (int64_t k = 0; k < t->heads.layers; k++) {
        const struct mega_head_gates *g = &t->heads.layer[k].attention->gates;
        if (!g->log_a) continue;
        for (int64_t h = 0; h < g->heads; h++)
            mega_put(g->log_a, h, 0, mega_hard_at(g->log_a, h) > above ? FAR : -FAR);
        g->log_a->param->version++;
        o->span_frozen[span_of(m, g->log_a)] = true;
    }
    t->finished = true;
    return true;
}

void mega_head_training_record(const struct mega_head_training *t,
    const struct mega_head_state *state, struct mega_record *to)
{
    if (!t->gates) return;
    mega_record_add(to, "penalty", state->penalty);
    mega_record_add(to, "expected_heads", state->expected);
    mega_record_add(to, "active_heads", (double)(state->all - state->closed));
    mega_record_add(to, "partial_heads", (double)state->partial);
}

void mega_head_training_line(
    const struct mega_head_training *t, const struct mega_head_state *state, char out[64])
{
    *out = 0;
    if (t->gates)
        snprintf(out, 64, "  heads %.1f expected, %lld of %lld open", state->expected,
            (long long)(state->all - state->closed), (long long)state->all);
}

void mega_head_training_print(const struct mega_head_training *t, struct mega_text *to)
{
    if (!t->gates) return;
    mega_text_add(to, "%s\"gates\": [", to->size ? ", " : "");
    for (int64_t k = 0; k < t->heads.layers; k++) {
        const struct mega_head_gates *g = &t->heads.layer[k].attention->gates;
        mega_text_add(to, "%s[", k ? ", " : "");
        for (int64_t h = 0; h < g->heads; h++) {
            if (h) mega_text_add(to, ", ");
            mega_json_add_real(to, (double)(float)mega_head_gates_value(g, h));
        }
        mega_text_add(to, "]");
    }
    mega_text_add(to, "]");
}
