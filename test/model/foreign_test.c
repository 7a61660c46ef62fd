/* Checkpoints of Mega's authors as the official program saves them: found out, read, and they
 * compute what the official code computed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"

#include "format/safetensors.h"
#include "graph/run.h"
#include "model/foreign.h"
#include "model/import.h"
#include "model/megalodon.h"

static const char *path_of(const char *format, const char *name)
{
    static char path[600];
    char tail[256];
    snprintf(tail, sizeof tail, format, name);
    snprintf(path, sizeof path, "%s/test/%s", MEGA_SOURCE, tail);
    return path;
}

static void loads(struct mega_foreign *f, const char *name)
{
    mega_status status =
        mega_foreign_load(f, path_of("model/official/%s.pt", name), NULL, NULL);
    if (status) print_error("%s\n", mega_message());
    assert_int_equal(status, MEGA_OK);
}

/* a tensor of the reference case in the run's memory */
static mega_tensor *input(
    mega_run *r, const struct mega_safetensors *s, const char *name, mega_dtype type)
{
    const struct mega_st_tensor *from = mega_safetensors_find(s, name);
    if (!from) return NULL;
    mega_tensor *t = mega_run_tensor(r, type, from->rank, from->dim);
    for (int64_t i = 0; i < from->count; i++)
        mega_put(t, i / mega_width(t), i % mega_width(t), mega_st_real(from, i));
    return t;
}

static void set_rows(mega_run *r, struct mega_rows *rows, const mega_tensor *text,
    const mega_tensor *len, bool ids)
{
    int64_t n = mega_count(text);
    *rows = (struct mega_rows){ .B = text->dim[0], .T = text->dim[1], .len = len->data };
    int32_t *real = mega_run_memory(r, (size_t)n * sizeof *real);
    for (int64_t i = 0; ids && i < n; i++) real[i] = ((const int32_t *)text->data)[i] != 1;
    if (ids) rows->real = real;
}

static void gives_the_logits(const char *name)
{
    struct mega_foreign f;
    struct mega_safetensors s;
    mega_context *c;
    mega_run *r;
    loads(&f, name);
    assert_int_equal(mega_safetensors_open(&s, path_of("golden/mega/%s.safetensors", name)), 0);
    assert_int_equal(mega_context_new(&c, NULL), MEGA_OK);
    assert_int_equal(mega_run_new(&r, c), MEGA_OK);
    mega_run_begin(r, &(struct mega_run_args){ 0 });
    bool ids = !f.model->config.task.inputs.numbers;
    mega_dtype type = ids ? MEGA_I32 : MEGA_F32;
    mega_tensor *text[2] = { input(r, &s, "in.src_tokens", type),
        input(r, &s, "in.src1_tokens", type) };
    struct mega_rows rows[2];
    const struct mega_rows *row[2] = { &rows[0], &rows[1] };
    set_rows(r, &rows[0], text[0], input(r, &s, "in.src_lengths", MEGA_I32), ids);
    if (text[1]) set_rows(r, &rows[1], text[1], input(r, &s, "in.src1_lengths", MEGA_I32), ids);
    mega_tensor *y = mega_classifier_run(r, &f.model->classifier, text, row);
    const struct mega_st_tensor *want = mega_safetensors_find(&s, "out.y");
    assert_non_null(y);
    assert_int_equal(mega_count(y), want->count);
    for (int64_t i = 0; i < want->count; i++) {
        double got = mega_get(y, i / mega_width(y), i % mega_width(y));
        if (fabs(got - mega_st_real(want, i)) > 2e-5)
            fail_msg(
                "%s: logit %d is %g, expected %g", name, (int)i, got, mega_st_real(want, i));
    }
    assert_int_equal(mega_run_end(r), MEGA_OK);
    mega_run_free(r);
    mega_context_free(c);
    mega_safetensors_close(&s);
    mega_foreign_done(&f);
}

static void official_classifiers_compute_their_logits(void **state)
{
    (void)state;
    gives_the_logits("lra_text_pre_cls");
    gives_the_logits("lra_image_bn_eval"); /* wrapped for several devices; running statistics */
    gives_the_logits("lra_retrieval_chunk");
}

static void arguments_decide_what_tensors_do_not_tell(void **state)
{
    (void)state;
    struct mega_foreign f;
    loads(&f, "lra_text_pre_cls");
    const struct mega_model_config *c = &f.model->config;
    assert_string_equal(f.kind, "Mega classifier of its authors");
    assert_int_equal(c->encoder.layers, 2);
    assert_int_equal(c->encoder.longest, 24);
    assert_true(c->encoder.prenorm);
    assert_int_equal(c->task.inputs.vocabulary, 13);
    assert_int_equal(c->task.inputs.pad, 1);
    assert_int_equal(c->task.classes, 4);
    assert_int_equal(c->head.width, 9);
    assert_int_equal(c->head.pooling, MEGA_POOL_FIRST);
    mega_foreign_done(&f);
}

static void tensors_without_arguments_need_a_configuration(void **state)
{
    (void)state;
    struct mega_foreign f;
    char bare[600], config[600];
    snprintf(
        bare, sizeof bare, "%s", path_of("golden/mega/%s.safetensors", "lra_text_pre_cls"));
    assert_int_equal(mega_foreign_load(&f, bare, NULL, NULL), MEGA_BAD_FILE);
    assert_non_null(strstr(mega_message(), "the args of training are missing"));
    /* a folder's own weights under its own configuration */
    snprintf(config, sizeof config, "%s", path_of("cases/%s/config.json", "b10_hf_untied"));
    assert_int_not_equal(mega_foreign_load(&f, bare, NULL, config), MEGA_OK);
    assert_non_null(strstr(mega_message(), config));
}

/* ---- Megalodon ---- */

static int64_t number(const struct mega_safetensors *s, const char *key)
{
    char name[64];
    snprintf(name, sizeof name, "cfg.%s", key);
    const char *text = mega_safetensors_meta(s, name);
    return text && strcmp(text, "True") == 0 ? 1 : text ? strtoll(text, NULL, 10) : 0;
}

static struct mega_megalodon_model_options options_of(
    const struct mega_safetensors *s, bool port)
{
    int64_t output = number(s, "output_size") > 0 ? number(s, "output_size") : 0;
    bool tied = (port && !output) || number(s, "share_emb");
    return (struct mega_megalodon_model_options){
        .layer = { .width = number(s, "model_dim"),
            .keys = number(s, "z_dim"),
            .values = number(s, "value_dim"),
            .heads = number(s, "num_heads"),
            .hidden = number(s, "ffn_hidden_dim"),
            .states = number(s, "cema_ndim"),
            .chunk = number(s, "chunk_size"),
            .groups = number(s, "norm_num_groups"),
            .affine = true,
            .swiglu = number(s, "swiglu"),
            .rescale = number(s, "rescale_nffn"),
            .port = port,
            .norm_eps = 1e-5,
            .rotary_base = 10000 },
        .vocabulary = number(s, "vocab_size"),
        .output = output,
        .layers = number(s, "num_layers"),
        .pad = -1,
        .scale_embedding = number(s, "scale_emb"),
        .share_embedding = tied,
    };
}

static void gives_megalodons_logits(
    const char *name, const struct mega_name_table *names, bool port)
{
    struct mega_safetensors s;
    struct mega_tensors t;
    struct mega_store store;
    struct mega_megalodon model;
    mega_context *c;
    mega_run *r;
    assert_int_equal(
        mega_safetensors_open(&s, path_of("golden/megalodon/%s.safetensors", name)), MEGA_OK);
    assert_int_equal(mega_tensors_open(&t, path_of("model/official/%s.pt", name)), MEGA_OK);
    struct mega_megalodon_model_options o = options_of(&s, port);
    assert_int_equal(mega_store_init(&store), MEGA_OK);
    mega_build b = { .store = &store };
    mega_megalodon_build(&b, &model, &o);
    assert_int_equal(b.status, MEGA_OK);
    assert_int_equal(mega_store_lay_out(&store, false), MEGA_OK);
    mega_store_fill(&store, 0);
    mega_status status = mega_import(&store, &t, names, &(struct mega_rename_heads){ 0 });
    if (status) print_error("%s\n", mega_message());
    assert_int_equal(status, MEGA_OK);
    assert_int_equal(mega_context_new(&c, NULL), MEGA_OK);
    assert_int_equal(mega_run_new(&r, c), MEGA_OK);
    mega_run_begin(r, &(struct mega_run_args){ 0 });
    mega_tensor *ids = input(r, &s, "in.tokens", MEGA_I32);
    struct mega_rows rows = { .B = ids->dim[0], .T = ids->dim[1] };
    mega_tensor *y = mega_megalodon_run(r, &model, ids, &rows);
    const struct mega_st_tensor *want = mega_safetensors_find(&s, "out.y");
    assert_non_null(y);
    assert_int_equal(mega_count(y), want->count);
    for (int64_t i = 0; i < want->count; i++)
        assert_true(fabs(mega_get(y, i / mega_width(y), i % mega_width(y)) -
                         mega_st_real(want, i)) < 5e-5);
    assert_int_equal(mega_run_end(r), MEGA_OK);
    mega_run_free(r);
    mega_context_free(c);
    mega_store_done(&store);
    mega_tensors_close(&t);
    mega_safetensors_close(&s);
}

static void megalodons_of_both_kinds_compute_their_logits(void **state)
{
    (void)state;
    gives_megalodons_logits("off_lm_share_scale", &mega_names_megalodon, false);
    gives_megalodons_logits("hf_lm_swiglu_scale", &mega_names_hf_megalodon, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(official_classifiers_compute_their_logits),
        cmocka_unit_test(arguments_decide_what_tensors_do_not_tell),
        cmocka_unit_test(megalodons_of_both_kinds_compute_their_logits),
        cmocka_unit_test(tensors_without_arguments_need_a_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
