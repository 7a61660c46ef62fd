#include "study/head_maps.h"

#include <stdlib.h>
#include <string.h>

#define MOST_BYTES ((double)((int64_t)4 << 30))

mega_status mega_head_maps_new(
    struct mega_head_maps *m, int64_t layers, int64_t heads, int64_t T)
{
    *m = (struct mega_head_maps){ .layers = layers, .heads = heads, .T = T };
    size_t all = (size_t)(layers * heads);
    if ((double)all * (double)T * (double)T * sizeof(float) > MOST_BYTES)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "the attention weights of %lld places in %zu heads do not fit into memory: take "
            "shorter texts (--length)",
            (long long)T, all);
    m->weight = calloc(all * (size_t)(T * T) + 1, sizeof *m->weight);
    m->there = calloc(all + 1, sizeof *m->there);
    m->gate = calloc(all + 1, sizeof *m->gate);
    m->id = calloc((size_t)T + 1, sizeof *m->id);
    m->from = calloc((size_t)T + 1, sizeof *m->from);
    m->to = calloc((size_t)T + 1, sizeof *m->to);
    if (m->weight && m->there && m->gate && m->id && m->from && m->to) return MEGA_OK;
    mega_head_maps_free(m);
    return mega_fail(
        MEGA_NO_MEMORY, "no memory for attention weights of %lld places", (long long)T);
}

void mega_head_maps_free(struct mega_head_maps *m)
{
    free(m->weight);
    free(m->there);
    free(m->gate);
    free(m->id);
    free(m->from);
    free(m->to);
    *m = (struct mega_head_maps){ 0 };
}

/* ---- from a run ---- */

struct taking {
    struct mega_head_maps *maps;
    const struct mega_model_heads *heads;
    int64_t layer, part; /* of the last side output; which of its parts comes next */
    bool whole;          /* the second text of a pair comes: only the first is looked at */
};

/* weights [1, H K, W, W] of K windows, or [1, H, T, T], of the next part of a layer's heads */
static void take(void *arg, const char *path, const char *what, const mega_tensor *t)
{
    struct taking *k = arg;
    struct mega_head_maps *m = k->maps;
    int64_t layer = 0;
    while (layer < k->heads->layers && strcmp(k->heads->layer[layer].path, path) != 0) layer++;
    if (strcmp(what, "weights") != 0 || layer == k->heads->layers) return;
    k->whole |= layer < k->layer;
    if (k->whole) return;
    if (k->layer != layer) k->layer = layer, k->part = 0;
    const struct mega_kept_heads *kept = &k->heads->layer[layer].attention->kept;
    if (k->part == kept->parts) return;
    const struct mega_head_part *p = &kept->part[k->part++];
    int64_t Q = t->dim[2], W = t->dim[3], windows = t->dim[1] / p->heads;
    for (int64_t n = 0; n < p->heads; n++)
        for (int64_t i = 0; i < m->T && i < windows * Q; i++)
            for (int64_t j = i / Q * W; j < m->T && j < i / Q * W + W; j++)
                mega_map_row(m, layer, kept->number[p->head + n], i)[j] =
                    (float)mega_get(t, (n * windows + i / Q) * Q + i % Q, j - i / Q * W);
}

int64_t mega_head_maps_lead(const mega_model *m)
{
    const struct mega_transformer *t = mega_model_transformer(m);
    return t ? t->options.embedding.memory + t->options.embedding.class_tokens : 0;
}

/* what stands at places before the text: memory first */
static int32_t put_in(const mega_model *m, int64_t place)
{
    return place < mega_model_transformer(m)->options.embedding.memory ? MEGA_PLACE_MEMORY
                                                                       : MEGA_PLACE_CLASS;
}

static void describe(struct mega_head_maps *m, const struct mega_model_heads *h,
    const struct mega_batch *b, const mega_model *model)
{
    const struct mega_rows *rows = &b->rows[0];
    int64_t lead = mega_head_maps_lead(model);
    const struct mega_attention_options *o = &h->layer[0].attention->options;
    for (int64_t i = 0; i < m->T; i++) {
        int64_t at = i - lead, doc = at >= 0 ? mega_rows_doc(rows, 0, at) : 0,
                from = doc > 0 ? doc + lead : 0;
        if (o->chunk > 0) from = from + (i - from) / o->chunk * o->chunk;
        int64_t to = o->causal ? i + 1 : m->T;
        if (o->chunk > 0 && to > from + o->chunk) to = from + o->chunk;
        m->from[i] = (int32_t)from;
        m->to[i] = (int32_t)to;
        if (at < 0)
            m->id[i] = put_in(model, i);
        else if (b->text[0].dtype == MEGA_I32)
            m->id[i] = ((const int32_t *)b->text[0].data)[at];
    }
    for (int64_t l = 0; l < h->layers; l++) {
        const struct mega_attention *a = h->layer[l].attention;
        for (int64_t k = 0; k < a->kept.heads; k++) {
            int64_t at = l * m->heads + a->kept.number[k];
            m->there[at] = true;
            m->gate[at] = mega_attention_gate(a, k);
        }
    }
}

mega_status mega_head_maps_take(
    struct mega_head_maps *m, mega_run *r, const mega_model *model, struct mega_batch *b)
{
    struct mega_model_heads h;
    *m = (struct mega_head_maps){ 0 };
    MEGA_TRY(mega_model_heads_find(&h, model));
    const struct mega_transformer *t = mega_model_transformer(model);
    mega_status status =
        t && t->options.embedding.memory_every
            ? mega_fail(MEGA_UNSUPPORTED, "maps are of texts whose places stand together: this "
                                          "model has memory between them (memory_every)")
            : mega_head_maps_new(m, h.layers, h.most,
                  mega_rows_len(&b->rows[0], 0) + mega_head_maps_lead(model));
    if (!status) {
        struct taking k = { m, &h, -1, 0, false };
        describe(m, &h, b, model);
        status = mega_run_begin(
            r, &(struct mega_run_args){ .wants = "weights", .tap = take, .tap_arg = &k });
        if (!status) {
            mega_batch_loss(r, model, b);
            status = mega_run_end(r);
        }
    }
    if (status) mega_head_maps_free(m);
    mega_model_heads_done(&h);
    return status;
}

/* ---- rollout ---- */

/* the mean of a layer's heads, with the identity, into b [T, T]; false: it has none */
static bool mix(const struct mega_head_maps *m, int64_t layer, double *b)
{
    double gates = 0;
    memset(b, 0, (size_t)(m->T * m->T) * sizeof *b);
    for (int64_t h = 0; h < m->heads; h++) {
        int64_t at = layer * m->heads + h;
        if (!m->there[at]) continue;
        gates += m->gate[at];
        for (int64_t i = 0; i < m->T * m->T; i++)
            b[i] += m->gate[at] * (double)mega_map_row(m, layer, h, 0)[i];
    }
    if (!(gates > 0)) return false;
    for (int64_t i = 0; i < m->T; i++)
        for (int64_t j = 0; j < m->T; j++)
            b[i * m->T + j] = b[i * m->T + j] / gates / 2 + (i == j ? 0.5 : 0);
    return true;
}

mega_status mega_head_rollout(const struct mega_head_maps *m, double *out)
{
    int64_t T = m->T;
    double *b = malloc((size_t)(T * T + 1) * sizeof *b),
           *next = malloc((size_t)(T * T + 1) * sizeof *next);
    mega_status status =
        b && next ? MEGA_OK : mega_fail(MEGA_NO_MEMORY, "no memory for a rollout");
    for (int64_t i = 0; i < T * T; i++) out[i] = i / T == i % T;
    for (int64_t l = 0; l < m->layers && !status; l++) {
        if (!mix(m, l, b)) continue;
        for (int64_t i = 0; i < T; i++) {
            for (int64_t j = 0; j < T; j++) next[i * T + j] = 0;
            for (int64_t k = 0; k < T; k++)
                for (int64_t j = 0; j < T && b[i * T + k] > 0; j++)
                    next[i * T + j] += b[i * T + k] * out[k * T + j];
        }
        memcpy(out, next, (size_t)(T * T) * sizeof *out);
    }
    free(b);
    free(next);
    return status;
}
