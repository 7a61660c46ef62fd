#include "model/classifier.h"

#include <stdio.h>

#include "graph/ops.h"

#define FIELD(member) offsetof(struct mega_head_options, member)

const struct mega_option mega_head_options[] = {
    { "pooling", MEGA_OPTION_CHOICE, FIELD(pooling), "mean", 0, 0, "mean|first|class", NULL,
        "one vector a text: mean over its places, or its first place (--sen-rep-type mp|cls), "
        "or a learned place before it (encoder transformer)",
        0 },
    { "head_layers", MEGA_OPTION_INT, FIELD(layers), "1", 0, MEGA_HEAD_MOST, NULL, "N",
        "hidden layers of the head (--classifier-layers)", 0 },
    { "head_width", MEGA_OPTION_INT, FIELD(width), "256", 1, 1 << 20, NULL, "W",
        "their width (--classifier-out-dim)", 0 },
    { "head_activation", MEGA_OPTION_CHOICE, FIELD(act), "gelu", 0, 0, MEGA_ACT_CHOICES, NULL,
        "their pointwise function (--classifier-activation-fn)", 0 },
    { 0 },
};

static const char *const head_sites[MEGA_HEAD_MOST] = { "classifier.0", "classifier.1",
    "classifier.2", "classifier.3", "classifier.4", "classifier.5", "classifier.6",
    "classifier.7" };

static void build_head(mega_build *b, struct mega_classifier *m)
{
    struct mega_init xavier = { MEGA_INIT_XAVIER, 0, 0 }, zero = { MEGA_INIT_CONSTANT, 0, 0 };
    bool transformer = m->kind == MEGA_ENCODER_TRANSFORMER;
    int64_t width = (transformer ? m->transformer.options.width : m->encoder.options.width) *
                    m->task.towers;
    double dropout = transformer ? m->transformer.options.dropout : m->encoder.options.dropout;
    for (int64_t i = 0; i < m->head.layers; i++) {
        size_t entered = mega_build_enter(b, "classifier.%lld.0", (long long)i);
        m->weight[i] =
            mega_param_add(b, "weight", xavier, 2, (int64_t[]){ m->head.width, width });
        m->bias[i] = mega_param_add(b, "bias", zero, 1, &m->head.width);
        mega_build_leave(b, entered);
        m->drop[i] = (struct mega_dropout){ head_sites[i], dropout, MEGA_DROPOUT_ELEMENTS };
        width = m->head.width;
    }
    m->out = mega_param_add(b, "sentence_projection_layer.weight", xavier, 2,
        (int64_t[]){ m->task.classes, width });
}

static void build_transformer(
    mega_build *b, struct mega_classifier *m, const struct mega_transformer_options *said)
{
    struct mega_transformer_options o = *said;
    o.vocabulary = m->task.inputs.vocabulary;
    o.numbers = m->task.inputs.numbers;
    o.causal = false;
    o.headless = true;
    o.embedding.class_tokens = m->head.pooling == MEGA_POOL_CLASS;
    o.recompute = (int)mega_recompute_resolve(o.recompute);
    size_t entered = mega_build_enter(b, "encoder");
    mega_transformer_build(b, &m->transformer, &o);
    mega_build_leave(b, entered);
}

void mega_classifier_build(mega_build *b, struct mega_classifier *m,
    const struct mega_classifier_encoder *encoder, const struct mega_head_options *head,
    const struct mega_classifier_task *task)
{
    bool transformer = encoder->kind == MEGA_ENCODER_TRANSFORMER;
    *m = (struct mega_classifier){
        .task = *task, .head = *head, .kind = (enum mega_encoder_kind)encoder->kind
    };
    if (!b->status && task->inputs.numbers && head->pooling == MEGA_POOL_FIRST)
        b->status = mega_fail(MEGA_BAD_ARGUMENT, "pooling is first, but numbers (pixels, "
                                                 "samples) have no first token: expected mean");
    if (!b->status && !transformer && head->pooling == MEGA_POOL_CLASS)
        b->status = mega_fail(MEGA_BAD_ARGUMENT, "pooling is class, but class tokens belong to "
                                                 "encoder transformer: expected mean or first");
    if (transformer) {
        build_transformer(b, m, encoder->transformer);
    } else {
        size_t entered = mega_build_enter(b, "encoder.encoder");
        mega_encoder_build(b, &m->encoder, encoder->encoder, encoder->mixer, &task->inputs);
        mega_build_leave(b, entered);
    }
    build_head(b, m);
}

struct mega_stack *mega_classifier_stack(struct mega_classifier *m)
{
    return m->kind == MEGA_ENCODER_TRANSFORMER ? &m->transformer.stack : &m->encoder.stack;
}

/* the vectors of one place each */
static const struct mega_rows *single_rows(mega_run *r, const struct mega_rows *rows)
{
    struct mega_rows *one = mega_run_memory(r, sizeof *one);
    if (one) *one = (struct mega_rows){ .B = rows->B, .T = 1, .number = rows->number };
    return one;
}

static mega_tensor *transformer_representation(mega_run *r, const struct mega_classifier *m,
    mega_tensor *text, const struct mega_rows *rows)
{
    struct mega_transformer_inputs in = { .ids = text };
    mega_tensor *classes;
    if (m->task.inputs.numbers) in = (struct mega_transformer_inputs){ .numbers = text };
    mega_tensor *x = mega_transformer_features_of(r, &m->transformer, &in, rows, &classes);
    if (m->head.pooling == MEGA_POOL_CLASS) {
        const struct mega_rows *one = single_rows(r, rows);
        return x && one ? pool(r, classes, one, MEGA_POOL_FIRST) : NULL;
    }
    if (!x) return NULL;
    x = mask_padding(r, x, rows);
    mega_run_tap(r, "features", x);
    return pool(r, x, rows, (enum mega_pool_kind)m->head.pooling);
}

static mega_tensor *representation(mega_run *r, const struct mega_classifier *m,
    mega_tensor *text, const struct mega_rows *rows)
{
    if (m->kind == MEGA_ENCODER_TRANSFORMER)
        return transformer_representation(r, m, text, rows);
    mega_tensor *x = mega_encoder_run(r, &m->encoder, text, &rows);
    mega_run_tap(r, "features", x);
    return pool(r, x, rows, (enum mega_pool_kind)m->head.pooling); /* [B, D] */
}

/* linear, dropout, activation: in this order; one op where nothing is dropped */
static mega_tensor *hidden_layer(mega_run *r, const struct mega_classifier *m, int64_t i,
    mega_tensor *x, const struct mega_rows *rows)
{
    enum mega_act act = (enum mega_act)m->head.act;
    if (!mega_dropout_active(r, &m->drop[i]))
        return linear(r, x, m->weight[i], m->bias[i], act);
    x = linear(r, x, m->weight[i], m->bias[i], MEGA_ACT_LINEAR);
    return activation(r, mega_dropout_run(r, &m->drop[i], x, rows), act);
}

mega_tensor *mega_classifier_run(mega_run *r, const struct mega_classifier *m,
    mega_tensor *const text[2], const struct mega_rows *const rows[2])
{
    mega_tensor *x = representation(r, m, text[0], rows[0]);
    /* the towers are two passes: the second meets the running statistics that the first left */
    if (m->task.towers == 2) mega_run_turn(r);
    /* the second document comes first, as in the official head */
    if (m->task.towers == 2) x = concat(r, representation(r, m, text[1], rows[1]), x);
    struct mega_rows *heads = mega_run_memory(r, sizeof *heads);
    if (!heads) return NULL;
    *heads = (struct mega_rows){ .B = rows[0]->B, .T = 1, .number = rows[0]->number };
    for (int64_t i = 0; i < m->head.layers; i++) x = hidden_layer(r, m, i, x, heads);
    return linear(r, x, m->out, NULL, MEGA_ACT_LINEAR);
}
