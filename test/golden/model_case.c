/* Cases of whole classifiers: Long Range Arena's (text, images, pairs) and Speech Commands'. */
#include <stdio.h>
#include <string.h>

#include "golden/model_case.h"
#include "graph/ops.h"

/* ---- configuration ---- */

/* one of the mixer's own options, by its key in recipes */
static void set_mixer(
    struct golden_case *c, struct mega_model_config *o, const char *key, const char *value)
{
    const struct mega_option *option =
        mega_option_find(mega_mixers[o->encoder.mixer]->options, key);
    if (mega_option_parse(option, key, value, o->mixer))
        golden_unsupported(c, "%s", mega_message());
}

static void set_mixer_int(
    struct golden_case *c, struct mega_model_config *o, const char *key, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    set_mixer(c, o, key, text);
}

/* flags that change nothing here, or must have the value that changes nothing */
static void read_idle(struct golden_case *c)
{
    static const char *const idle[] = { "sent_loss", "seq_len", "batch", "encoder_layerdrop" };
    for (size_t i = 0; i < sizeof idle / sizeof *idle; i++) golden_cfg(c, idle[i]);
    golden_cfg_expect(c, "use_p", "False");
    golden_cfg_expect(c, "apply_bert_init", "False");
    golden_cfg_expect(c, "layer_type", "mega");
    golden_cfg_expect(c, "sentence_avg", "True");
    golden_cfg_no_dropout(c);
}

static void read_mixer(struct golden_case *c, struct mega_model_config *o)
{
    mega_option_defaults(mega_mixers[o->encoder.mixer]->options, o->mixer);
    set_mixer_int(c, o, "values", golden_cfg_int(c, "encoder_hidden_dim", 1));
    set_mixer_int(c, o, "keys", golden_cfg_int(c, "z_dim", 1));
    set_mixer_int(c, o, "ema", golden_cfg_int(c, "n_dim", 1));
    set_mixer_int(c, o, "chunk", golden_cfg_int(c, "chunk_size", -1));
    int64_t truncation = golden_cfg_int(c, "truncation_length", 0);
    set_mixer_int(c, o, "truncation", truncation > 0 ? truncation : 0);
    set_mixer(c, o, "attention", golden_cfg(c, "attention_activation_fn"));
    set_mixer(c, o, "bias", golden_cfg(c, "rel_pos_bias"));
}

static void read_head(struct golden_case *c, struct mega_model_config *o, int64_t towers)
{
    int64_t width = o->encoder.width * towers, in = golden_cfg_int(c, "classifier_in_dim", 0);
    mega_option_defaults(mega_head_options, &o->head);
    o->head.pooling = golden_cfg_choice(c, "sen_rep_type", "mp|cls", 0);
    o->head.layers = golden_cfg_int(c, "classifier_layers", 1);
    o->head.width = golden_cfg_int(c, "classifier_out_dim", 1);
    o->head.act = golden_cfg_act(c, "classifier_activation_fn", MEGA_ACT_GELU);
    if (in != width || (o->head.layers == 0 && o->head.width != width))
        golden_unsupported(c, "a head from %lld to %lld numbers, the encoder gives %lld",
            (long long)in, (long long)o->head.width, (long long)width);
    if (o->head.layers < 0 || o->head.layers > MEGA_HEAD_MOST)
        golden_unsupported(c, "a head of %lld layers", (long long)o->head.layers);
}

struct mega_model_config golden_model_config(
    struct golden_case *c, bool numbers, int64_t towers)
{
    struct mega_model_config o = { 0 };
    int64_t ffn = golden_cfg_int(c, "encoder_ffn_embed_dim", 0);
    mega_option_defaults(mega_encoder_options, &o.encoder);
    read_idle(c);
    o.encoder.layers = golden_cfg_int(c, "encoder_layers", 1);
    o.encoder.width = golden_cfg_int(c, "encoder_embed_dim", 1);
    o.encoder.ffn = ffn > 0 ? ffn : 0;
    o.encoder.longest = golden_cfg_int(c, "max_positions", 1);
    o.encoder.act = golden_cfg_act(c, "activation_fn", MEGA_ACT_SILU);
    o.encoder.norm = golden_cfg_norm(c);
    o.encoder.prenorm = golden_cfg_bool(c, "encoder_normalize_before", false);
    o.encoder.embed_norm = golden_cfg_bool(c, "normalize_embedding", false);
    read_mixer(c, &o);
    read_head(c, &o, towers);
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
    if (c->verdict || !golden_check(c, mega_model_new(&g->model, config, true, true)))
        return false;
    golden_load(c, &g->model->store);
    return !c->verdict && golden_check(c, golden_run_new(c, &g->run));
}

void golden_model_close(struct golden_model *g)
{
    mega_run_free(g->run);
    mega_model_free(g->model);
}

/* ---- running ---- */

void golden_model_rows(
    struct golden_model *g, const mega_tensor *text, const int32_t *len, struct mega_rows *rows)
{
    const struct mega_inputs *in = &g->model->config.task.inputs;
    int64_t B = text->dim[0], T = text->dim[1];
    *rows = (struct mega_rows){ .B = B, .T = T, .len = len };
    for (int64_t b = 0; in->numbers && len && b < B; b++)
        if (len[b] != T)
            golden_unsupported(g->c,
                "a row of %d numbers of %lld: the official code masks none", len[b],
                (long long)T);
    if (in->numbers) return;
    int32_t *real = mega_run_memory(g->run, (size_t)(B * T) * sizeof *real);
    for (int64_t i = 0; real && i < B * T; i++)
        real[i] = ((const int32_t *)text->data)[i] != in->pad;
    rows->real = real;
}

static void compare_loss(
    struct golden_case *c, mega_run *r, mega_tensor *logits, mega_tensor *target)
{
    golden_compare(c, "out.loss", cross_entropy(r, logits, target), false);
    double correct = 0;
    for (int64_t b = 0; b < logits->dim[0]; b++) {
        int64_t best = 0;
        for (int64_t j = 1; j < logits->dim[1]; j++)
            if (mega_get(logits, b, j) > mega_get(logits, b, best)) best = j;
        correct += (double)best == mega_get(target, 0, b);
    }
    golden_compare_numbers(c, "out.ncorrect", &correct, 1);
}

/* texts and lengths of one or two towers; text[0] is NULL if the case has none */
static void read_texts(struct golden_case *c, struct golden_model *g, mega_tensor *text[2],
    struct mega_rows rows[2])
{
    static const char *const texts[] = { "src_tokens", "src1_tokens" }, *const lengths[] = {
        "src_lengths", "src1_lengths"
    };
    for (int64_t k = 0; k < g->model->config.task.towers; k++) {
        text[k] = golden_input(c, g->run, texts[k], false);
        mega_tensor *len = golden_input(c, g->run, lengths[k], false);
        if (!text[k] || !len || text[k]->rank != 2 || mega_count(len) != text[k]->dim[0]) {
            golden_fail(c, "in.%s or in.%s is missing or misshapen", texts[k], lengths[k]);
            return;
        }
        text[k]->wants_grad = g->model->config.task.inputs.numbers;
        golden_model_rows(g, text[k], len->data, &rows[k]);
    }
}

static void run_model(struct golden_case *c, struct golden_model *g)
{
    mega_run *r = g->run;
    bool training = golden_cfg_bool(c, "training", true),
         criterion = strstr(golden_meta(c, "module"), "Criterion") != NULL;
    mega_tensor *text[2] = { 0 };
    struct mega_rows rows[2];
    const struct mega_rows *row[2] = { &rows[0], &rows[1] };
    mega_run_begin(
        r, &(struct mega_run_args){ .mode = MEGA_RUN_GRAD | (training ? MEGA_RUN_TRAIN : 0) });
    read_texts(c, g, text, rows);
    if (c->verdict) return;
    mega_tensor *logits = mega_classifier_run(r, &g->model->classifier, text, row),
                *target = golden_input(c, r, "target", false);
    if (logits && target && !criterion) compare_loss(c, r, logits, target);
    double rows_used = mega_dim(logits, 0);
    golden_compare_numbers(c, "out.sample_size", &rows_used, 1);
    golden_backward(c, r, criterion ? cross_entropy(r, logits, target) : logits, false);
    if (!golden_check(c, mega_run_end(r))) return;
    golden_compare_gradients(c, &g->model->store);
    golden_compare(c, "grad.in.src_tokens", text[0]->grad, false);
    golden_compare_running(c, &g->model->store);
}

static void model_case(struct golden_case *c, bool numbers)
{
    int64_t towers = golden_find(c, "in.src1_tokens") ? 2 : 1;
    struct mega_model_config config = golden_model_config(c, numbers, towers);
    struct golden_model g;
    if (golden_model_open(c, &g, &config)) run_model(c, &g);
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
