/* Checkpoints of Mega's authors as the official program saves them: found out, read, and they
 * compute what the official code computed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"

#include "base/file.h"
#include "format/safetensors.h"
#include "graph/run.h"
#include "model/decoder_mega.h"
#include "model/foreign.h"

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

static void a_model_of_others_loads_like_ours(void **state)
{
    (void)state;
    mega_model *m;
    assert_int_equal(mega_model_load(&m, path_of("cases/%s", "b10_hf_untied")), MEGA_OK);
    assert_int_equal(mega_model_parameters(m), 4048);
    mega_model_free(m);
    assert_int_equal(
        mega_model_load(&m, path_of("model/official/%s.pt", "lra_text_pre_cls")), MEGA_OK);
    assert_int_equal(mega_model_parameters(m), 1571);
    mega_model_free(m);
    assert_int_not_equal(mega_model_load(&m, path_of("cases/%s", "b13_path_escape")), MEGA_OK);
    assert_non_null(strstr(mega_message(), "expected a file of the same folder"));
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

/* ---- language models ---- */

/* logits of all places against a tensor of a reference case */
static void language_model_gives(struct mega_foreign *f, const struct mega_safetensors *s,
    const char *ids_name, const char *logits)
{
    mega_context *c;
    mega_run *r;
    const struct mega_language_model *l = &f->model->language;
    assert_int_equal(f->model->config.architecture, MEGA_LANGUAGE_MODEL);
    assert_int_equal(mega_context_new(&c, NULL), MEGA_OK);
    assert_int_equal(mega_run_new(&r, c), MEGA_OK);
    mega_run_begin(r, &(struct mega_run_args){ 0 });
    mega_tensor *ids = input(r, s, ids_name, MEGA_I32);
    struct mega_rows rows = { .B = ids->dim[0], .T = ids->dim[1] };
    int32_t *real = mega_run_memory(r, (size_t)mega_count(ids) * sizeof *real);
    for (int64_t i = 0; i < mega_count(ids); i++)
        real[i] = ((const int32_t *)ids->data)[i] != l->vocabulary.pad;
    if (l->vocabulary.pad >= 0) rows.real = real;
    mega_tensor *y = mega_language_model_logits(
        r, l, mega_language_model_features(r, l, ids, mega_run_rows(r, &rows)));
    const struct mega_st_tensor *want = mega_safetensors_find(s, logits);
    assert_non_null(y);
    assert_int_equal(mega_count(y), want->count);
    for (int64_t i = 0; i < want->count; i++)
        assert_true(fabs(mega_get(y, i / mega_width(y), i % mega_width(y)) -
                         mega_st_real(want, i)) < 5e-5);
    assert_int_equal(mega_run_end(r), MEGA_OK);
    mega_run_free(r);
    mega_context_free(c);
}

static void official_language_models_compute_their_logits(void **state)
{
    (void)state;
    static const char *const names[] = { "lm_post_embnorm", "lm_full_relu2_shared" };
    for (int i = 0; i < 2; i++) {
        struct mega_foreign f;
        struct mega_safetensors s;
        loads(&f, names[i]);
        assert_int_equal(
            mega_safetensors_open(&s, path_of("golden/mega/%s.safetensors", names[i])), 0);
        language_model_gives(&f, &s, "in.src_tokens", "out.y");
        mega_safetensors_close(&s);
        mega_foreign_done(&f);
    }
}

/* bands of words, tied in all, in part, or not */
static void words_in_bands_have_their_log_probabilities(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t parameters; /* each once */
        bool tied, tied_projections;
        const char *input[2], *output[2];
    } cases[] = {
        { "lm_adaptive_tied", 1288, true, true, { "8", "14" }, { "8", "14" } },
        { "lm_adaptive_tied_noproj", 1307, true, false, { "7", "13" }, { "7", "13" } },
        { "lm_adaptive_untied", 1379, false, false, { "9", "15" }, { "6", "12" } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mega_foreign f;
        struct mega_safetensors s;
        loads(&f, cases[i].name);
        const struct mega_mega_options *o = (const void *)f.model->config.language.options;
        assert_int_equal(f.model->config.language.vocabulary.size, 20);
        assert_int_equal(o->tied, cases[i].tied);
        assert_int_equal(o->tied_projections, cases[i].tied_projections);
        assert_int_equal(o->input_cutoffs.n, 2);
        assert_int_equal(o->output_cutoffs.n, 2);
        for (int k = 0; k < 2; k++) {
            assert_string_equal(o->input_cutoffs.item[k], cases[i].input[k]);
            assert_string_equal(o->output_cutoffs.item[k], cases[i].output[k]);
        }
        assert_int_equal(mega_model_parameters(f.model), cases[i].parameters);
        assert_int_equal(
            mega_safetensors_open(&s, path_of("golden/mega/%s.safetensors", cases[i].name)), 0);
        language_model_gives(&f, &s, "in.src_tokens", "out.log_probs");
        mega_safetensors_close(&s);
        mega_foreign_done(&f);
    }
}

/* ---- Megalodon ---- */

/* a folder as the authors' program, or the port, leaves it; what is not told is as there */
static void make_folder(const char *name, const char *weights, const char *config)
{
    struct mega_text bytes = { 0 };
    char path[600];
    mega_folder_remove("foreign_test.folder");
    assert_int_equal(mega_folder_make("foreign_test.folder"), MEGA_OK);
    assert_int_equal(mega_file_read(path_of("model/official/%s.pt", name), &bytes), MEGA_OK);
    snprintf(path, sizeof path, "foreign_test.folder/%s", weights);
    assert_int_equal(mega_file_write(path, bytes.data, bytes.size), MEGA_OK);
    assert_int_equal(
        mega_file_write("foreign_test.folder/config.json", config, strlen(config)), MEGA_OK);
    mega_text_done(&bytes);
}

#define MEGALODON                                                                              \
    "\"num_layers\": 2, \"model_dim\": 12, \"z_dim\": 8, \"value_dim\": 10, "                  \
    "\"num_heads\": 2, \"ffn_hidden_dim\": 9, \"cema_ndim\": 3, \"chunk_size\": 5, "           \
    "\"norm_num_groups\": 3, \"rope_base\": null, \"scale_emb\": true, \"vocab_size\": 17"

static const char official_megalodon[] =
    "{\"model\": {" MEGALODON ", \"rescale_nffn\": true, \"share_emb\": true, "
    "\"efficient_attn\": \"fused\"}, \"tokenizer\": {\"path\": \"t.model\"}}";
static const char port_megalodon[] =
    "{\"model_type\": \"megalodon\", " MEGALODON ", \"swiglu\": true, \"output_size\": 7}";

static void megalodon_gives_its_logits(
    const char *name, const char *weights, const char *config, const char *kind)
{
    struct mega_foreign f;
    struct mega_safetensors s;
    make_folder(name, weights, config);
    mega_status status = mega_foreign_load(&f, "foreign_test.folder", NULL, NULL);
    if (status) print_error("%s\n", mega_message());
    assert_int_equal(status, MEGA_OK);
    assert_string_equal(f.kind, kind);
    assert_int_equal(
        mega_safetensors_open(&s, path_of("golden/megalodon/%s.safetensors", name)), MEGA_OK);
    language_model_gives(&f, &s, "in.tokens", "out.y");
    mega_safetensors_close(&s);
    mega_foreign_done(&f);
    mega_folder_remove("foreign_test.folder");
}

static void megalodons_of_both_kinds_compute_their_logits(void **state)
{
    (void)state;
    megalodon_gives_its_logits("off_lm_share_scale", "consolidated.pth", official_megalodon,
        "Megalodon of its authors");
    megalodon_gives_its_logits(
        "hf_lm_swiglu_scale", "pytorch_model.bin", port_megalodon, "Megalodon of Hugging Face");
}

static void refuses_folder(const char *config, const char *message)
{
    struct mega_foreign f;
    make_folder("off_lm_share_scale", "consolidated.00.pth", config);
    assert_int_not_equal(mega_foreign_load(&f, "foreign_test.folder", NULL, NULL), MEGA_OK);
    if (!strstr(mega_message(), message)) fail_msg("%s", mega_message());
    mega_folder_remove("foreign_test.folder");
}

static void keys_of_megalodon_are_read_strictly(void **state)
{
    (void)state;
    refuses_folder(
        "{\"model\": {" MEGALODON ", \"new_key\": 1}}", "the key new_key is not known here");
    refuses_folder("{\"model\": {" MEGALODON ", \"swiglu\": 1}}", "swiglu is 1, expected true");
    refuses_folder("{" MEGALODON "}", "the key model is missing");
    /* the feed-forward's factor is there, and the configuration knows none */
    refuses_folder("{\"model\": {" MEGALODON ", \"share_emb\": true}}",
        "tensor layers.0.nffn.alpha does not belong to this model");
    refuses_folder("{\"model\": {" MEGALODON ", \"rescale_nffn\": true, \"share_emb\": true, "
                   "\"num_layers\": 3}}",
        "num_layers");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(official_classifiers_compute_their_logits),
        cmocka_unit_test(a_model_of_others_loads_like_ours),
        cmocka_unit_test(arguments_decide_what_tensors_do_not_tell),
        cmocka_unit_test(official_language_models_compute_their_logits),
        cmocka_unit_test(words_in_bands_have_their_log_probabilities),
        cmocka_unit_test(keys_of_megalodon_are_read_strictly),
        cmocka_unit_test(megalodons_of_both_kinds_compute_their_logits),
        cmocka_unit_test(tensors_without_arguments_need_a_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
