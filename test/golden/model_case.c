/* Cases of whole classifiers: Long Range Arena's (text, images, pairs) and Speech Commands'. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden/model_case.h"
#include "graph/ops.h"

#define ACTIVATIONS "linear|relu|gelu|gelu_accurate|silu"

static void set_mixer(
    struct mega_model_config *o, const char *key, const char *value, struct golden_case *c)
{
    const struct mega_option *option = mega_option_find(mega_mixers[0]->options, key);
    golden_check(c, mega_option_parse(option, key, value, o->mixer));
}

static void set_mixer_int(
    struct mega_model_config *o, const char *key, int64_t value, struct golden_case *c)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    set_mixer(o, key, text, c);
}

/* flags that change nothing here */
static void read_idle(struct golden_case *c)
{
    static const char *const idle[] = { "sent_loss", "seq_len", "batch", "vocab_size",
        "padding_idx", "encoder_layerdrop", "criterion", "arch" };
    for (size_t i = 0; i < sizeof idle / sizeof *idle; i++) golden_cfg(c, idle[i]);
    golden_cfg_expect(c, "use_p", "False");
    golden_cfg_expect(c, "apply_bert_init", "False");
    golden_cfg_expect(c, "layer_type", "mega");
    golden_cfg_expect(c, "feature_dropout", "False");
    golden_cfg_expect(c, "dropout", "0.0");
    golden_cfg_expect(c, "attention_dropout", "0.0");
    golden_cfg_expect(c, "act_dropout", "0.0");
}

struct mega_model_config golden_model_config(
    struct golden_case *c, bool numbers, int64_t towers)
{
    struct mega_model_config o = { 0 };
    mega_option_defaults(mega_encoder_options, &o.encoder);
    mega_option_defaults(mega_head_options, &o.head);
    mega_option_defaults(mega_mixers[0]->options, o.mixer);
    read_idle(c);
    o.encoder.layers = golden_cfg_int(c, "encoder_layers", 1);
    o.encoder.width = golden_cfg_int(c, "encoder_embed_dim", 1);
    o.encoder.ffn = golden_cfg_int(c, "encoder_ffn_embed_dim", 0);
    if (o.encoder.ffn < 0) o.encoder.ffn = 0;
    o.encoder.longest = golden_cfg_int(c, "max_positions", 1);
    o.encoder.act = golden_cfg_choice(c, "activation_fn", ACTIVATIONS, MEGA_ACT_SILU);
    o.encoder.norm = golden_cfg_choice(c, "norm_type", MEGA_NORM_CHOICES, 0);
    o.encoder.prenorm = golden_cfg_bool(c, "encoder_normalize_before", false);
    o.encoder.embed_norm = golden_cfg_bool(c, "normalize_embedding", false);
    set_mixer_int(&o, "values", golden_cfg_int(c, "encoder_hidden_dim", 1), c);
    set_mixer_int(&o, "keys", golden_cfg_int(c, "z_dim", 1), c);
    set_mixer_int(&o, "ema", golden_cfg_int(c, "n_dim", 1), c);
    set_mixer_int(&o, "chunk", golden_cfg_int(c, "chunk_size", -1), c);
    set_mixer_int(&o, "truncation", golden_cfg_int(c, "truncation_length", 0), c);
    set_mixer(&o, "attention", golden_cfg(c, "attention_activation_fn"), c);
    set_mixer(&o, "bias", golden_cfg(c, "rel_pos_bias"), c);
    o.head.pooling = golden_cfg_choice(c, "sen_rep_type", "mp|cls", 0);
    o.head.layers = golden_cfg_int(c, "classifier_layers", 1);
    o.head.width = golden_cfg_int(c, "classifier_out_dim", 1);
    o.head.act = golden_cfg_choice(c, "classifier_activation_fn", ACTIVATIONS, MEGA_ACT_GELU);
    if (golden_cfg_int(c, "classifier_in_dim", 0) != o.encoder.width * towers)
        golden_unsupported(
            c, "cfg.classifier_in_dim is %s", golden_cfg(c, "classifier_in_dim"));
    o.task.inputs.numbers = numbers;
    o.task.inputs.vocabulary = golden_cfg_int(c, "vocab_size", 0);
    o.task.inputs.pad = golden_cfg_int(c, "padding_idx", -1);
    o.task.classes = golden_cfg_int(c, "sentence_class_num", 2);
    o.task.towers = towers;
    return o;
}

bool golden_model_open(
    struct golden_case *c, struct golden_model *g, const struct mega_model_config *config)
{
    *g = (struct golden_model){ .c = c };
    if (c->status || !golden_check(c, mega_model_new(&g->model, config, true, true)))
        return false;
    mega_store_fill(&g->model->store, 1);
    golden_load(c, &g->model->store, "");
    return !c->status && golden_check(c, mega_run_new(&g->run, c->context));
}

void golden_model_close(struct golden_model *g)
{
    mega_run_free(g->run);
    mega_model_free(g->model);
}

/* rows by lengths, and for text by what is not the pad symbol; `text` [B, T] */
struct mega_rows golden_model_rows(
    struct golden_model *g, const mega_tensor *text, const int32_t *len)
{
    const struct mega_inputs *in = &g->model->config.task.inputs;
    int64_t B = text->dim[0], T = text->dim[1];
    struct mega_rows rows = { .B = B, .T = T, .len = len };
    if (in->numbers) {
        /* numbers have no padding: every place is real, whatever the lengths divide by */
        return rows;
    }
    int32_t *real = mega_run_memory(g->run, (size_t)(B * T) * sizeof *real);
    for (int64_t i = 0; real && i < B * T; i++)
        real[i] = ((const int32_t *)text->data)[i] != in->pad;
    rows.real = real;
    return rows;
}

static void compare_running(struct golden_case *c, const struct mega_store *s)
{
    for (const struct mega_cell *m = s->first_cell; m; m = m->next) {
        char name[512];
        snprintf(name, sizeof name, "out.%s", m->name);
        if (m->kind == MEGA_CELL_MODEL) golden_compare(c, name, &m->value, false);
    }
}

static void compare_loss(
    struct golden_case *c, mega_run *r, mega_tensor *logits, mega_tensor *target)
{
    mega_tensor *loss = target ? cross_entropy(r, logits, target) : NULL;
    if (!loss) return;
    golden_compare(c, "out.loss", loss, false);
    double correct = 0;
    for (int64_t b = 0; b < logits->dim[0]; b++) {
        int64_t best = 0;
        for (int64_t j = 1; j < logits->dim[1]; j++)
            if (mega_get(logits, b, j) > mega_get(logits, b, best)) best = j;
        correct += (double)best == mega_get(target, 0, b);
    }
    golden_compare_numbers(c, "out.ncorrect", &correct, 1);
}

static void run_model(struct golden_case *c, struct golden_model *g, int64_t towers)
{
    mega_run *r = g->run;
    bool training = golden_cfg_bool(c, "training", true),
         criterion = strstr(golden_meta(c, "module"), "Criterion") != NULL;
    mega_run_begin(
        r, &(struct mega_run_args){ .mode = MEGA_RUN_GRAD | (training ? MEGA_RUN_TRAIN : 0) });
    static const char *const texts[] = { "src_tokens", "src1_tokens" }, *const lengths[] = {
        "src_lengths", "src1_lengths"
    };
    mega_tensor *text[2] = { 0 };
    struct mega_rows rows[2];
    const struct mega_rows *row[2] = { 0 };
    for (int64_t k = 0; k < towers; k++) {
        text[k] = golden_input(c, r, texts[k], false);
        mega_tensor *len = golden_input(c, r, lengths[k], false);
        if (g->model->config.task.inputs.numbers) text[k]->wants_grad = true;
        rows[k] = golden_model_rows(g, text[k], len ? len->data : NULL);
        row[k] = &rows[k];
    }
    mega_tensor *logits = mega_classifier_run(r, &g->model->classifier, text, row),
                *target = golden_input(c, r, "target", false);
    mega_tensor *y = criterion ? cross_entropy(r, logits, target) : logits;
    if (y) {
        golden_compare(c, "out.y", y, false);
        if (!criterion) compare_loss(c, r, logits, target);
        double size = (double)logits->dim[0];
        golden_compare_numbers(c, "out.sample_size", &size, 1);
        mega_run_seed_with(r, y, golden_input(c, r, "cotangent", false));
        mega_run_backward(r);
    }
    if (!golden_check(c, mega_run_end(r))) return;
    golden_compare_gradients(c, &g->model->store, "");
    golden_compare(c, "grad.in.src_tokens", text[0]->grad, false);
    compare_running(c, &g->model->store);
}

static void model_case(struct golden_case *c, bool numbers)
{
    int64_t towers = golden_find(c, "in.src1_tokens") ? 2 : 1;
    struct mega_model_config config = golden_model_config(c, numbers, towers);
    struct golden_model g;
    if (golden_model_open(c, &g, &config)) run_model(c, &g, towers);
    golden_model_close(&g);
}

void golden_lra_model(struct golden_case *c)
{
    model_case(c, golden_cfg_choice(c, "input_type", "text|image", 0) == 1);
}

void golden_speech_model(struct golden_case *c)
{
    model_case(c, true);
}
