#include "study/head_functions.h"

#include <math.h>
#include <stdlib.h>

/* ---- sums ---- */

static int64_t cells(const struct mega_head_functions *f)
{
    return f->confidence.layers * f->confidence.heads;
}

struct frequency {
    int64_t count, id;
};

static int rarer_last(const void *a, const void *b)
{
    const struct frequency *x = a, *y = b;
    if (x->count != y->count) return (x->count < y->count) - (x->count > y->count);
    return (x->id > y->id) - (x->id < y->id);
}

static mega_status rank_ids(struct mega_head_functions *f)
{
    struct frequency *all = malloc((size_t)(f->vocabulary + 1) * sizeof *all);
    f->rank = malloc((size_t)(f->vocabulary + 1) * sizeof *f->rank);
    if (!all || !f->rank) {
        free(all);
        return mega_fail(MEGA_NO_MEMORY, "no memory to rank tokens");
    }
    for (int64_t i = 0; i < f->vocabulary; i++) all[i] = (struct frequency){ f->count[i], i };
    qsort(all, (size_t)f->vocabulary, sizeof *all, rarer_last);
    for (int64_t i = 0; i < f->vocabulary; i++) f->rank[all[i].id] = i;
    free(all);
    return MEGA_OK;
}

mega_status mega_head_functions_new(struct mega_head_functions *f,
    const struct mega_model_heads *h, int64_t longest, int32_t end, const int64_t *count,
    int64_t vocabulary)
{
    *f = (struct mega_head_functions){
        .end = end, .count = count, .vocabulary = vocabulary, .longest = longest
    };
    struct mega_head_table *const table[] = { &f->confidence, &f->entropy, &f->relative,
        &f->distance, &f->position, &f->where, &f->rarest, &f->rare_two, &f->majority };
    mega_status status = MEGA_OK;
    for (size_t i = 0; i < sizeof table / sizeof *table && !status; i++)
        status = mega_head_table_new(table[i], h);
    size_t n = (size_t)cells(f);
    f->queries = calloc(n + 1, sizeof *f->queries);
    f->rare_queries = calloc(n + 1, sizeof *f->rare_queries);
    f->offset = calloc(n * (size_t)(2 * longest + 1) + 1, sizeof *f->offset);
    f->rare_texts = calloc(n + 1, sizeof *f->rare_texts);
    f->exists = calloc((size_t)(2 * longest + 2), sizeof *f->exists);
    if (!status &&
        (!f->queries || !f->rare_queries || !f->offset || !f->rare_texts || !f->exists))
        status = mega_fail(MEGA_NO_MEMORY, "no memory for statistics of heads");
    if (!status && count) status = rank_ids(f);
    if (status) mega_head_functions_free(f);
    return status;
}

void mega_head_functions_free(struct mega_head_functions *f)
{
    struct mega_head_table *const table[] = { &f->confidence, &f->entropy, &f->relative,
        &f->distance, &f->position, &f->where, &f->rarest, &f->rare_two, &f->majority };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) mega_head_table_free(table[i]);
    free(f->queries);
    free(f->rare_queries);
    free(f->offset);
    free(f->rare_texts);
    free(f->exists);
    free(f->rank);
    *f = (struct mega_head_functions){ 0 };
}

int64_t mega_head_looks_at(
    const float *weight, const int32_t *id, int32_t end, int64_t from, int64_t to)
{
    int64_t best = -1;
    for (int64_t j = from; j < to; j++)
        if (!(end >= 0 && id[j] == end) && (best < 0 || weight[j] > weight[best])) best = j;
    return best;
}

/* the two ids of a text that come most seldom; -1: there is none that is rare */
static void find_rare(
    const struct mega_head_functions *f, const struct mega_head_maps *m, int32_t rare[2])
{
    rare[0] = rare[1] = -1;
    for (int64_t i = 0; f->rank && i < m->T; i++) {
        int32_t id = m->id[i];
        if (id < 0 || id >= f->vocabulary || id == f->end || id == rare[0] || id == rare[1])
            continue;
        if (rare[0] < 0 || f->rank[id] > f->rank[rare[0]]) {
            rare[1] = rare[0];
            rare[0] = id;
        } else if (rare[1] < 0 || f->rank[id] > f->rank[rare[1]]) {
            rare[1] = id;
        }
    }
    if (rare[0] >= 0 && f->rank[rare[0]] < MEGA_RARE_RANK) rare[0] = rare[1] = -1;
}

static bool sees(const struct mega_head_maps *m, int64_t i, int32_t id)
{
    for (int64_t j = m->from[i]; id >= 0 && j < m->to[i]; j++)
        if (m->id[j] == id) return true;
    return false;
}

static void see_query(struct mega_head_functions *f, const struct mega_head_maps *m,
    int64_t cell, int64_t i, const float *w, const int32_t rare[2])
{
    int64_t from = m->from[i], to = m->to[i],
            at = mega_head_looks_at(w, m->id, f->end, from, to);
    double entropy = 0, distance = 0;
    for (int64_t j = from; j < to; j++) {
        if ((double)w[j] < 1e-30) continue;
        entropy -= (double)w[j] * log((double)w[j]);
        distance += (double)w[j] * fabs((double)(j - i));
    }
    f->queries[cell]++;
    f->entropy.value[cell] += entropy;
    f->relative.value[cell] += to - from > 1 ? entropy / log((double)(to - from)) : 0;
    f->distance.value[cell] += distance;
    if (at < 0) return;
    f->confidence.value[cell] += (double)w[at];
    f->offset[cell * (2 * f->longest + 1) + at - i + f->longest]++;
    if (!sees(m, i, rare[0])) return;
    f->rare_queries[cell]++;
    f->rarest.value[cell] += m->id[at] == rare[0];
    f->rare_two.value[cell] += m->id[at] == rare[0] || m->id[at] == rare[1];
}

static bool is_query(
    const struct mega_head_functions *f, const struct mega_head_maps *m, int64_t i)
{
    return !(f->end >= 0 && m->id[i] == f->end);
}

/* one text in one head */
static void see_head(struct mega_head_functions *f, const struct mega_head_maps *m,
    int64_t cell, const int32_t rare[2])
{
    double seen = f->rare_queries[cell], hits = f->rarest.value[cell];
    for (int64_t i = 0; i < m->T; i++)
        if (is_query(f, m, i))
            see_query(
                f, m, cell, i, mega_map_row(m, cell / m->heads, cell % m->heads, i), rare);
    seen = f->rare_queries[cell] - seen;
    hits = f->rarest.value[cell] - hits;
    f->rare_texts[cell] += seen > 0;
    f->majority.value[cell] += 2 * hits > seen;
}

void mega_head_functions_see(struct mega_head_functions *f, const struct mega_head_maps *m)
{
    int32_t rare[2];
    if (m->T > f->longest) return;
    find_rare(f, m, rare);
    for (int64_t i = 0; i < m->T; i++)
        for (int64_t j = m->from[i]; is_query(f, m, i) && j < m->to[i]; j++)
            f->exists[j - i + f->longest]++;
    for (int64_t cell = 0; cell < cells(f); cell++)
        if (m->there[cell]) see_head(f, m, cell, rare);
}

/* ---- what they give ---- */

bool mega_head_is_positional(double share)
{
    return share >= 0.9;
}

void mega_head_functions_finish(struct mega_head_functions *f)
{
    for (int64_t c = 0; c < cells(f); c++) {
        if (isnan(f->confidence.value[c])) continue;
        double n = f->queries[c], rare = f->rare_queries[c], most = 0;
        int64_t best = f->longest;
        for (int64_t k = 0; k <= 2 * f->longest; k++) {
            double here = f->offset[c * (2 * f->longest + 1) + k];
            if (here > most) most = here, best = k;
        }
        f->confidence.value[c] /= n;
        f->entropy.value[c] /= n;
        f->relative.value[c] /= n;
        f->distance.value[c] /= n;
        f->position.value[c] = most / (f->skip_border && most > 0 ? f->exists[best] : n);
        f->where.value[c] = (double)(best - f->longest);
        f->rarest.value[c] = rare > 0 ? f->rarest.value[c] / rare : 0;
        f->rare_two.value[c] = rare > 0 ? f->rare_two.value[c] / rare : 0;
        f->majority.value[c] =
            f->rare_texts[c] > 0 ? f->majority.value[c] / f->rare_texts[c] : 0;
    }
}

/* ---- over data ---- */

struct counting {
    int64_t *count, vocabulary, longest;
};

static mega_status count_ids(void *arg, struct mega_batch *b)
{
    struct counting *c = arg;
    int64_t len = mega_rows_len(&b->rows[0], 0);
    if (len > c->longest) c->longest = len;
    if (b->text[0].dtype != MEGA_I32) return MEGA_OK;
    for (int64_t i = 0; i < len; i++) {
        int32_t id = ((const int32_t *)b->text[0].data)[i];
        if (id >= 0 && id < c->vocabulary) c->count[id]++;
    }
    return MEGA_OK;
}

struct seeing {
    const struct mega_study_data *data;
    const mega_model *model;
    struct mega_head_functions *functions;
};

static mega_status see(void *arg, struct mega_batch *b)
{
    struct seeing *s = arg;
    struct mega_head_maps maps;
    MEGA_TRY(mega_head_maps_take(&maps, s->data->run, s->model, b));
    mega_head_functions_see(s->functions, &maps);
    mega_head_maps_free(&maps);
    return MEGA_OK;
}

mega_status mega_study_functions(const struct mega_study_data *d, const mega_model *m,
    int32_t end, bool skip_border, struct mega_head_functions *out)
{
    const struct mega_model_config *config = &m->config;
    int64_t V = config->architecture == MEGA_CLASSIFIER
                    ? config->task.inputs.vocabulary
                    : mega_model_config_vocabulary(config).size;
    struct counting c = { calloc((size_t)V + 1, sizeof *c.count), V, 1 };
    struct mega_model_heads h = { 0 };
    *out = (struct mega_head_functions){ 0 };
    mega_status status =
        c.count ? MEGA_OK : mega_fail(MEGA_NO_MEMORY, "no memory to count tokens");
    if (!status) status = mega_study_each(d, count_ids, &c);
    if (!status) status = mega_model_heads_find(&h, m);
    if (!status)
        status = mega_head_functions_new(
            out, &h, c.longest + mega_head_maps_lead(m), end, V ? c.count : NULL, V);
    if (!status) out->skip_border = skip_border;
    if (!status) status = mega_study_each(d, see, &(struct seeing){ d, m, out });
    if (!status)
        mega_head_functions_finish(out);
    else
        mega_head_functions_free(out);
    out->count = NULL;
    mega_model_heads_done(&h);
    free(c.count);
    return status;
}
