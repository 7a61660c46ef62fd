/* Cases of whole Mega language models: one pass, inner states, gradients, and the same features
 * token by token and chunk by chunk. */
#include "golden/language_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/decoder_mega.h"
#include "op/contracts.h"
#include "task/batch.h"

/* ---- configuration ---- */

static void read_idle(struct golden_case *c)
{
    static const char *const idle[] = { "seq_len", "batch", "max_source_positions",
        "sentence_avg" };
    for (size_t i = 0; i < sizeof idle / sizeof *idle; i++) golden_cfg(c, idle[i]);
    golden_cfg_expect(c, "decoder_embed_path", "none");
    golden_cfg_expect(c, "share_all_embeddings", "False");
    golden_cfg_no_dropout(c);
}

static void read_decoder(struct golden_case *c, struct mega_mega_options *o)
{
    int64_t ffn = golden_cfg_int(c, "decoder_ffn_embed_dim", 0),
            truncation = golden_cfg_int(c, "truncation_length", 0);
    o->layers = golden_cfg_int(c, "decoder_layers", 1);
    o->width = golden_cfg_int(c, "decoder_embed_dim", 1);
    o->values = golden_cfg_int(c, "decoder_hidden_dim", 1);
    o->keys = golden_cfg_int(c, "decoder_z_dim", 1);
    o->states = golden_cfg_int(c, "decoder_n_dim", 1);
    o->ffn = ffn > 0 ? ffn : 0;
    o->chunk = golden_cfg_int(c, "decoder_chunk_size", -1);
    o->truncation = truncation > 0 ? truncation : 0;
    o->longest = golden_cfg_int(c, "max_target_positions", 1);
    o->input_width = golden_cfg_int(c, "decoder_input_dim", 0);
    o->act = golden_cfg_act(c, "activation_fn", MEGA_ACT_SILU);
    o->attention = golden_cfg_choice(c, "attention_activation_fn", MEGA_ATTENTION_CHOICES, 0);
    o->bias = golden_cfg_choice(c, "rel_pos_bias", "simple|rotary", 0);
    o->norm = golden_cfg_norm(c);
    o->prenorm = golden_cfg_bool(c, "normalize_before", false);
    o->embed_norm = golden_cfg_bool(c, "normalize_embedding", false);
    o->affine_final_norm = !golden_cfg_bool(c, "no_affine_final_norm", false);
    o->scale_embedding = !golden_cfg_bool(c, "no_scale_embedding", false);
    o->tied = golden_cfg_bool(c, "share_decoder_input_output_embed", false);
}

/* "8,14" as a list; the words stay in `text` */
static struct mega_texts read_cutoffs(
    struct golden_case *c, const char *key, char text[64], const char *item[8])
{
    struct mega_texts list = { item, 0 };
    snprintf(text, 64, "%s", golden_cfg(c, key));
    if (!strcmp(text, "none")) return list;
    for (char *rest, *word = strtok_r(text, "[], ", &rest); word && list.n < 8;
         word = strtok_r(NULL, "[], ", &rest))
        item[list.n++] = word;
    return list;
}

static void read_adaptive(struct golden_case *c, struct mega_mega_options *o)
{
    static char in[64], out[64];
    static const char *in_item[8], *out_item[8];
    golden_cfg_expect(c, "adaptive_softmax_dropout", "0");
    bool input = golden_cfg_bool(c, "adaptive_input", false),
         tied = golden_cfg_bool(c, "tie_adaptive_weights", false);
    o->input_cutoffs = read_cutoffs(c, "adaptive_input_cutoff", in, in_item);
    o->output_cutoffs = read_cutoffs(c, "adaptive_softmax_cutoff", out, out_item);
    if (input != (o->input_cutoffs.n > 0))
        golden_unsupported(c, "adaptive input with %d cutoffs", o->input_cutoffs.n);
    o->input_factor = golden_cfg_real(c, "adaptive_input_factor", 4);
    o->output_factor = golden_cfg_real(c, "adaptive_softmax_factor", 4);
    if (o->output_cutoffs.n) o->tied = tied;
    o->tied_projections = golden_cfg_bool(c, "tie_adaptive_proj", false);
    o->as_original = true;
}

/* tied tensors stand in the file twice */
static void accept_tied(struct golden_case *c)
{
    char text[1024], *rest;
    snprintf(text, sizeof text, "%s", golden_meta(c, "tied"));
    for (char *pair = strtok_r(text, ",", &rest); pair; pair = strtok_r(NULL, ",", &rest)) {
        pair[strcspn(pair, "=")] = 0;
        golden_find(c, "param.%s", pair);
    }
}

struct mega_model_config golden_language_config(struct golden_case *c)
{
    struct mega_model_config config = { .architecture = MEGA_LANGUAGE_MODEL };
    struct mega_language_model_config *l = &config.language;
    l->decoder = mega_choice_find(MEGA_DECODER_CHOICES, "mega");
    mega_option_defaults(mega_decoders[l->decoder]->options, l->options);
    read_idle(c);
    read_decoder(c, (struct mega_mega_options *)(void *)l->options);
    read_adaptive(c, (struct mega_mega_options *)(void *)l->options);
    accept_tied(c);
    l->vocabulary = (struct mega_vocabulary){ golden_cfg_int(c, "vocab_size", 0),
        golden_cfg_int(c, "padding_idx", -1) };
    return config;
}

/* ---- running ---- */

struct language_case {
    struct golden_case *c;
    mega_model *model;
    mega_run *run;
    int32_t *real; /* [B, T] by the pad symbol */
    int64_t B, T;
};

/* "out.inner_state0" is what is embedded, N what layer N leaves; appended padding is not looked
 * at */
static void see_state(void *arg, const char *path, const char *what, const mega_tensor *t)
{
    const struct language_case *l = arg;
    int layer = 0;
    (void)path;
    if (strcmp(what, "embedded") != 0 && sscanf(what, "layers.%d", &layer) != 1) return;
    if (strcmp(what, "embedded") != 0) layer++;
    char name[32];
    snprintf(name, sizeof name, "out.inner_state%d", layer);
    const struct mega_st_tensor *want = golden_find(l->c, "%s", name);
    if (!want) return;
    int64_t B = l->B, D = mega_width(t);
    double *got = calloc((size_t)want->count + 1, sizeof *got);
    for (int64_t i = 0; i < want->count; i++) {
        int64_t at = i / (B * D), b = i / D % B;
        got[i] = at < l->T ? mega_get(t, b * l->T + at, i % D) : golden_value(want, i);
    }
    golden_compare_numbers(l->c, name, got, want->count);
    free(got);
}

static mega_tensor *compare_loss(
    struct language_case *l, mega_tensor *x, const struct mega_rows *rows)
{
    mega_tensor *target = golden_input(l->c, l->run, "target", false);
    int64_t n = l->B * l->T, pad = l->model->config.language.vocabulary.pad;
    mega_tensor *next = mega_run_tensor(l->run, MEGA_I32, 1, &n);
    if (!target || !next) return NULL;
    double counted = 0;
    for (int64_t i = 0; i < n; i++) {
        double id = mega_get(target, i / l->T, i % l->T);
        mega_put(next, 0, i, id == (double)pad ? -1 : id);
        counted += id != (double)pad;
    }
    mega_tensor *loss =
        mega_language_model_loss(l->run, &l->model->language, x, next, rows, 0, NULL);
    golden_compare(l->c, "out.loss", loss, false);
    golden_compare_numbers(l->c, "out.sample_size", &counted, 1);
    return loss;
}

static void run_whole(struct language_case *l)
{
    mega_run *r = l->run;
    mega_run_begin(
        r, &(struct mega_run_args){
               .mode = MEGA_RUN_TRAIN | MEGA_RUN_GRAD, .tap = see_state, .tap_arg = l });
    mega_tensor *ids = golden_input(l->c, r, "src_tokens", false);
    struct mega_rows rows = { .B = l->B, .T = l->T, .real = l->real };
    mega_tensor *x = mega_language_model_features(r, &l->model->language, ids, &rows);
    golden_compare(l->c, "out.features", x, false);
    golden_compare(l->c, "out.features_full", x, false);
    mega_tensor *loss = compare_loss(l, x, &rows),
                *logits = mega_language_model_logits(r, &l->model->language, x);
    golden_compare(l->c, "out.log_probs", logits, false);
    /* the files write a sum as one number in a row */
    if (loss) loss->rank = 1, loss->dim[0] = 1;
    golden_backward(l->c, r, l->model->language.output.adaptive ? loss : logits, false);
    if (golden_check(l->c, mega_run_end(r))) golden_compare_gradients(l->c, &l->model->store);
}

/* the features of pieces of `piece` tokens, as many as the file has */
static void run_pieces(struct language_case *l, const char *name, int64_t piece)
{
    const struct mega_st_tensor *want = golden_find(l->c, "%s", name);
    mega_stream *s = NULL;
    if (!want || l->c->verdict) return;
    int64_t B = l->B, T = want->dim[1], D = want->dim[2];
    double *got = calloc((size_t)want->count + 1, sizeof *got);
    golden_check(l->c, mega_stream_new(&s, &l->model->store, B, piece, T));
    for (int64_t at = 0; at < T && !l->c->verdict; at += piece) {
        int64_t n = T - at < piece ? T - at : piece;
        mega_run_begin(l->run, &(struct mega_run_args){ .stream = s });
        mega_tensor *all = golden_input(l->c, l->run, "src_tokens", false),
                    *ids = mega_run_tensor(l->run, MEGA_I32, 2, (int64_t[]){ B, n });
        for (int64_t i = 0; all && ids && i < B * n; i++)
            mega_put(ids, i / n, i % n, mega_get(all, i / n, at + i % n));
        struct mega_rows rows = { .B = B, .T = n };
        mega_tensor *x = mega_language_model_features(
            l->run, &l->model->language, ids, mega_run_rows(l->run, &rows));
        for (int64_t i = 0; x && i < B * n * D; i++)
            got[(i / (n * D) * T + at) * D + i % (n * D)] = mega_get(x, i / D, i % D);
        golden_check(l->c, mega_run_end(l->run));
    }
    golden_compare_numbers(l->c, name, got, want->count);
    mega_stream_free(s);
    free(got);
}

static bool open_case(struct language_case *l)
{
    struct golden_case *c = l->c;
    struct mega_model_config config = golden_language_config(c);
    golden_cfg_expect(c, "training", "True");
    golden_cfg_complete(c);
    const struct mega_st_tensor *ids = golden_find(c, "in.src_tokens");
    if (!ids || ids->rank != 2) golden_fail(c, "in.src_tokens is missing or misshapen");
    if (c->verdict || !golden_check(c, mega_model_new(&l->model, &config, true, true)))
        return false;
    golden_load(c, &l->model->store);
    golden_find(c, "param.decoder.output_projection.weight"); /* there even when tied */
    l->B = ids->dim[0];
    l->T = ids->dim[1];
    l->real = calloc((size_t)ids->count + 1, sizeof *l->real);
    for (int64_t i = 0; i < ids->count; i++)
        l->real[i] = mega_st_int(ids, i) != config.language.vocabulary.pad;
    return !c->verdict && golden_check(c, golden_run_new(c, &l->run));
}

void golden_language_model(struct golden_case *c)
{
    struct language_case l = { .c = c };
    if (open_case(&l)) {
        run_whole(&l);
        run_pieces(&l, "out.features_incremental", 1);
        run_pieces(&l, "out.features_chunkwise", 4);
    }
    free(l.real);
    mega_run_free(l.run);
    mega_model_free(l.model);
}
