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
        "coefficient of what open heads, or other units, cost, beside the loss of a row or "
        "token",
        0 },
    { "average", MEGA_OPTION_CHOICE, FIELD(average), "heads", 0, 0, "heads|layers|sum|cost",
        NULL,
        "what the summed probabilities of open units are divided by: the number of units, of "
        "layers (the original code), or nothing (the paper); cost: each counts as the share "
        "that "
        "it has in the parameters of all units",
        0 },
    { "l2", MEGA_OPTION_REAL, FIELD(l2), "0", 0, 1e9, NULL, "X",
        "L2 part of the penalty (in the original code): half the squares of what units give, "
        "summed over an update, times the mean probability that those of a layer are open",
        0 },
    { "begin", MEGA_OPTION_INT, FIELD(begin), "0", 0, 1 << 30, NULL, "N",
        "updates before the penalty begins", 0 },
    { "warmup", MEGA_OPTION_INT, FIELD(warmup), "0", 0, 1 << 30, NULL, "N",
        "updates in which it rises from 0", 0 },
    { "target", MEGA_OPTION_REAL, FIELD(target), "0", 0, 1, NULL, "SHARE",
        "share of heads (by cost: of the units' parameters) that is to be closed: the penalty "
        "then "
        "follows from it; 0: none",
        0 },
    { "target_warmup", MEGA_OPTION_INT, FIELD(target_warmup), "0", 0, 1 << 30, NULL, "N",
        "updates in which the target rises from 0", 0 },
    { "target_rate", MEGA_OPTION_REAL, FIELD(target_rate), "0.1", 0, 1e6, NULL, "RATE",
        "how fast the target's multipliers rise with what is missing", 0 },
    { "finish", MEGA_OPTION_INT, FIELD(finish), "0", 0, 1 << 30, NULL, "N",
        "after so many updates gates are rounded to 0 or 1 and stay there; 0: never", 0 },
    { "keep", MEGA_OPTION_INT, FIELD(keep), "0", 0, 1 << 20, NULL, "N",
        "heads that finish leaves open, those with the largest log_a of all layers; 0: those "
        "whose gate is above one half, or, with a target by cost, what the target leaves",
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
    if (o->l2 > 0 && !(o->penalty > 0))
        return mega_fail(MEGA_BAD_ARGUMENT,
            "heads.l2 is a part of heads.penalty, which is 0: expected a penalty");
    if (o->keep && !o->finish)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "heads.keep is %lld, but nothing says when: give heads.finish", (long long)o->keep);
    return MEGA_OK;
}

/* a number of units to keep is of one kind */
static mega_status check_kinds(
    const struct mega_head_training_options *o, const struct mega_model_units *u)
{
    const struct mega_unit_set *first = NULL;
    for (int64_t i = 0; i < u->n && o->keep; i++) {
        const struct mega_unit_set *s = &u->set[i];
        if (!s->gates->log_a) continue;
        if (!first) first = s;
        if (s->kind != first->kind)
            return mega_fail(MEGA_BAD_ARGUMENT,
                "heads.keep does not go with both %s and %s: expected gates of one kind, or "
                "keep: 0",
                mega_unit_words[first->kind].option, mega_unit_words[s->kind].option);
    }
    return MEGA_OK;
}

/* "1 0 0.5 1" into the fixed gates of a layer */
static mega_status open_layer(
    const struct mega_model_attention *a, int64_t layer, const char *text)
{
    const char *at = text;
    int64_t left = a->kept->heads;
    for (int64_t h = 0; h <= left; h++) {
        char *end;
        double value = strtod(at, &end);
        bool given = end != at;
        if (given != (h < left) || (given && !isfinite(value)))
            return mega_fail(MEGA_BAD_ARGUMENT,
                "heads.open of layer %lld is '%s', expected %lld numbers", (long long)layer,
                text, (long long)left);
        if (!given) continue;
        mega_put(a->gates->open, 0, h, value);
        at = end;
        while (*at == ' ' || *at == ',') at++;
    }
    a->gates->open->param->version++;
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
        if (h->layer[i].gates->open) MEGA_TRY(open_layer(&h->layer[i], i, o->open.item[i]));
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
    for (int64_t k = 0; k < t->units.n; k++) {
        const struct mega_unit_set *u = &t->units.set[k];
        const struct mega_head_gates *g = u->gates;
        if (g->open) o->span_frozen[span_of(m, g->open)] = true;
        if (!g->log_a) continue;
        i = span_of(m, g->log_a);
        o->span[i].decay = 0;
        o->span[i].rate = (float)t->options->rate;
        if (o->span_frozen[i])
            mega_log_line(log, MEGA_LOG_NOTE,
                "the gates of layer %lld (%s) do not train: heads.train leaves them out",
                (long long)u->layer, mega_unit_words[u->kind].option);
    }
}

static void count_gates(struct mega_head_training *t, int64_t *fixed)
{
    *fixed = 0;
    for (int64_t k = 0; k < t->units.n; k++) {
        const struct mega_head_gates *g = t->units.set[k].gates;
        if (g->open) *fixed += g->heads;
        if (!g->log_a) continue;
        t->gates += g->heads;
        t->layers++;
        t->cost += (double)g->heads * t->units.set[k].cost;
    }
}

mega_status mega_head_training_begin(struct mega_head_training *t,
    const struct mega_head_training_options *options, mega_model *m, struct mega_optimizer *o,
    const struct mega_log *log)
{
    int64_t fixed;
    *t = (struct mega_head_training){ .options = options };
    if (mega_model_heads_list(&t->heads, m)) mega_model_heads_done(&t->heads);
    if (mega_model_units_find(&t->units, m)) mega_model_units_done(&t->units);
    count_gates(t, &fixed);
    MEGA_TRY(check(options, t->gates, fixed));
    MEGA_TRY(check_kinds(options, &t->units));
    MEGA_TRY(check_patterns(&options->train, m));
    if (*options->from) MEGA_TRY(begin_from(m, options->from));
    MEGA_TRY(open_gates(options, &t->heads));
    set_spans(t, m, o, log);
    if (t->gates && !(options->penalty > 0) && !(options->target > 0))
        mega_log_line(
            log, MEGA_LOG_NOTE, "the gates train without a penalty: heads.penalty is 0");
    return MEGA_OK;
}

void mega_head_training_done(struct mega_head_training *t)
{
    mega_model_units_done(&t->units);
    mega_model_heads_done(&t->heads);
}

/* ---- an update ---- */

/* how far something has risen that takes `warmup` updates from `begin` on */
static double risen(int64_t step, int64_t begin, int64_t warmup)
{
    if (step < begin) return 0;
    return warmup && step - begin < warmup ? (double)(step - begin + 1) / (double)warmup : 1;
}

/* c times what a unit of a set counts */
static double weighed(
    const struct mega_head_training *t, const struct mega_unit_set *u, double c)
{
    const struct mega_head_training_options *o = t->options;
    switch (o->average) {
    case MEGA_HEADS_BY_COST: return c * u->cost / t->cost;
    case MEGA_HEADS_BY_LAYER:
        return o->target > 0 ? c / (double)t->gates : c / (double)t->layers;
    case MEGA_HEADS_SUM: return o->target > 0 ? c / (double)t->gates : c;
    default: return c / (double)t->gates;
    }
}

/* the sum of the probabilities, so weighed */
static double weighed_sum(const struct mega_head_training *t)
{
    double sum = 0;
    for (int64_t k = 0; k < t->units.n; k++) {
        const struct mega_head_gates *g = t->units.set[k].gates;
        for (int64_t h = 0; g->log_a && h < g->heads; h++)
            sum += weighed(t, &t->units.set[k],
                mega_hard_open(&g->options.concrete, mega_hard_at(g->log_a, h)));
    }
    return sum;
}

/* the factor of the weighed sum; moves the multipliers of a target on */
static double coefficient(
    const struct mega_head_training *t, struct mega_progress *p, struct mega_head_state *state)
{
    const struct mega_head_training_options *o = t->options;
    double sum = weighed_sum(t);
    if (!(o->target > 0)) {
        double c = o->penalty * risen(p->step, o->begin, o->warmup);
        state->penalty = c * sum;
        return c;
    }
    if (p->step < o->begin) return 0;
    double wanted = o->target * risen(p->step, o->begin, o->target_warmup),
           missing = 1 - sum - wanted;
    state->penalty = p->head_l1 * missing + p->head_l2 * missing * missing;
    double c = -(p->head_l1 + 2 * p->head_l2 * missing);
    p->head_l1 += o->target_rate * missing;
    p->head_l2 += o->target_rate * missing * missing;
    return c;
}

static void look_at(struct mega_unit_count *n, const struct mega_head_gates *g, int64_t h)
{
    double value = mega_head_gates_value(g, h);
    n->all++;
    n->closed += value <= 0;
    n->partial += value > 0 && value < 1;
    n->expected += mega_hard_open(&g->options.concrete, mega_hard_at(g->log_a, h));
}

static void look(const struct mega_head_training *t, struct mega_head_state *state)
{
    *state = (struct mega_head_state){ 0 };
    for (int64_t k = 0; k < t->units.n; k++) {
        const struct mega_unit_set *u = &t->units.set[k];
        struct mega_unit_count here = { 0 }, *n = &state->kind[u->kind];
        for (int64_t h = 0; u->gates->log_a && h < u->gates->heads; h++)
            look_at(&here, u->gates, h);
        n->all += here.all, n->closed += here.closed, n->partial += here.partial;
        n->expected += here.expected;
        state->all += here.all, state->closed += here.closed, state->partial += here.partial;
        state->expected += here.expected;
        double share = t->cost > 0 ? u->cost / t->cost : 0;
        state->expected_cost += share * here.expected;
        state->active_cost += share * (double)(here.all - here.closed);
    }
}

/* what the sum of squares counts is what one unit's probability counts */
void mega_head_training_prepare(struct mega_head_training *t, const struct mega_progress *p)
{
    const struct mega_head_training_options *o = t->options;
    double c = t->finished ? 0 : o->penalty * o->l2 * risen(p->step, o->begin, o->warmup);
    for (int64_t k = 0; k < t->units.n; k++) {
        struct mega_gate_decay *decay = t->units.set[k].gates->decay;
        if (!decay) continue;
        decay->weight = c > 0 ? weighed(t, &t->units.set[k], c) : 0;
        decay->sum = 0;
    }
}

mega_status mega_head_training_penalise(struct mega_head_training *t, mega_run *r,
    struct mega_progress *p, struct mega_head_state *state)
{
    look(t, state);
    if (!t->gates || t->finished) return MEGA_OK;
    double c = coefficient(t, p, state);
    for (int64_t k = 0; k < t->units.n; k++)
        if (t->units.set[k].gates->decay) state->penalty += t->units.set[k].gates->decay->sum;
    if (c <= 0 && c >= 0) return MEGA_OK;
    MEGA_TRY(mega_run_begin(r, &(struct mega_run_args){ .mode = MEGA_RUN_GRAD }));
    for (int64_t k = 0; k < t->units.n; k++) {
        const struct mega_unit_set *u = &t->units.set[k];
        mega_tensor *cost = mega_head_gates_penalty(r, u->gates);
        if (cost) mega_run_seed(r, cost, weighed(t, u, c));
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

struct priced {
    double log_a, cost;
};

static int more_open(const void *a, const void *b)
{
    return falling(&((const struct priced *)a)->log_a, &((const struct priced *)b)->log_a);
}

/* log_a above which units stay open, so that the share of parameters is left that the target
 * wants, or a unit more */
static double threshold_by_cost(const struct mega_head_training *t)
{
    struct priced *all = malloc((size_t)t->gates * sizeof *all);
    double wanted = (1 - t->options->target) * t->cost * (1 - 1e-9), sum = 0;
    int64_t n = 0, left = 0;
    if (!all) return 0;
    for (int64_t k = 0; k < t->units.n; k++) {
        const struct mega_unit_set *u = &t->units.set[k];
        for (int64_t h = 0; u->gates->log_a && h < u->gates->heads; h++)
            all[n++] = (struct priced){ mega_hard_at(u->gates->log_a, h), u->cost };
    }
    qsort(all, (size_t)n, sizeof *all, more_open);
    while (left < n && sum < wanted) sum += all[left++].cost;
    /* equals stay together: gates that have been rounded are rounded alike again */
    while (left && left < n && all[left].log_a >= all[left - 1].log_a) left++;
    double above = left < n ? all[left].log_a : -INFINITY;
    free(all);
    return above;
}

/* log_a above which a head stays open */
static double threshold(const struct mega_head_training *t)
{
    const struct mega_head_training_options *o = t->options;
    int64_t keep = o->keep, n = 0;
    if (!keep && o->target > 0 && o->average == MEGA_HEADS_BY_COST) return threshold_by_cost(t);
    double *all = keep && keep < t->gates ? malloc((size_t)t->gates * sizeof *all) : NULL;
    if (!all) return keep ? -INFINITY : 0;
    for (int64_t k = 0; k < t->units.n; k++) {
        const struct mega_head_gates *g = t->units.set[k].gates;
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
    for (int64_t k = 0; k < t->units.n; k++) {
        const struct mega_head_gates *g = t->units.set[k].gates;
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
    static const char *const names[MEGA_UNIT_KINDS][3] = {
        { "expected_heads", "active_heads", "partial_heads" },
        { "expected_cross_heads", "active_cross_heads", "partial_cross_heads" },
        { "expected_groups", "active_groups", "partial_groups" },
        { "expected_branches", "active_branches", "partial_branches" },
        { "expected_channel_blocks", "active_channel_blocks", "partial_channel_blocks" },
    };
    if (!t->gates) return;
    mega_record_add(to, "penalty", state->penalty);
    for (int i = 0; i < MEGA_UNIT_KINDS; i++) {
        const struct mega_unit_count *n = &state->kind[i];
        if (!n->all) continue;
        mega_record_add(to, names[i][0], n->expected);
        mega_record_add(to, names[i][1], (double)(n->all - n->closed));
        mega_record_add(to, names[i][2], (double)n->partial);
    }
    mega_record_add(to, "expected_cost", state->expected_cost);
    mega_record_add(to, "active_cost", state->active_cost);
}

/* what there is one kind of, or all of them */
static const char *kind_of(const struct mega_head_state *state)
{
    const char *name = NULL;
    for (int i = 0; i < MEGA_UNIT_KINDS; i++)
        if (state->kind[i].all) name = name ? "units" : mega_unit_words[i].units;
    return name ? name : "units";
}

void mega_head_training_line(
    const struct mega_head_training *t, const struct mega_head_state *state, char out[64])
{
    *out = 0;
    if (t->gates)
        snprintf(out, 64, "  %s %.1f expected, %lld of %lld open", kind_of(state),
            state->expected, (long long)(state->all - state->closed), (long long)state->all);
}

static void print_kind(
    const struct mega_head_training *t, enum mega_unit_kind kind, struct mega_text *to)
{
    bool begun = false;
    for (int64_t k = 0; k < t->units.n; k++) {
        const struct mega_head_gates *g = t->units.set[k].gates;
        if (t->units.set[k].kind != kind) continue;
        if (!begun)
            mega_text_add(to, "%s\"%s\": [", to->size ? ", " : "", mega_unit_words[kind].gates);
        mega_text_add(to, "%s[", begun ? ", " : "");
        begun = true;
        for (int64_t h = 0; h < g->heads; h++) {
            if (h) mega_text_add(to, ", ");
            mega_json_add_real(to, (double)(float)mega_head_gates_value(g, h));
        }
        mega_text_add(to, "]");
    }
    if (begun) mega_text_add(to, "]");
}

void mega_head_training_print(const struct mega_head_training *t, struct mega_text *to)
{
    for (int i = 0; t->gates && i < MEGA_UNIT_KINDS; i++)
        print_kind(t, (enum mega_unit_kind)i, to);
}
