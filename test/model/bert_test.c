/* A BERT of Hugging Face, made with PyTorch (bert/make.py): its names, old ones of norms
 * included, what it computes, and the way back. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"

#include "base/file.h"
#include "graph/run.h"
#include "model/export.h"
#include "model/foreign.h"

static const char folder[] = MEGA_SOURCE "/test/model/bert";

static void must(mega_status status)
{
    if (status) print_error("%s\n", mega_message());
    assert_int_equal(status, MEGA_OK);
}

static mega_tensor *ids_of(mega_run *r, const struct mega_node *list, int64_t T)
{
    mega_tensor *t = mega_run_tensor(r, MEGA_I32, 2, (int64_t[]){ 1, T });
    const struct mega_node *n = list->first;
    for (int64_t i = 0; i < T; i++, n = n->next) ((int32_t *)t->data)[i] = (int32_t)n->integer;
    return t;
}

static void equals(const struct mega_node *want, mega_tensor *got)
{
    const struct mega_node *n = want->first;
    assert_non_null(got);
    for (int64_t i = 0; n; n = n->next, i++) {
        double value = mega_get(got, i / mega_width(got), i % mega_width(got));
        if (fabs(value - n->real) > 3e-5 * fmax(1, fabs(n->real)))
            fail_msg(
                "%s[%lld] is %.9g, expected %.9g", want->key, (long long)i, value, n->real);
    }
}

static void gives(mega_run *r, const mega_model *m, const struct mega_node *wanted, bool types)
{
    enum { T = 9 };
    mega_run_begin(r, &(struct mega_run_args){ 0 });
    mega_tensor *ids = ids_of(r, mega_node_find(wanted, "ids"), T),
                *type = ids_of(r, mega_node_find(wanted, "types"), T),
                *real = ids_of(r, mega_node_find(wanted, "mask"), T);
    struct mega_rows rows = { .B = 1, .T = T, .real = real->data };
    struct mega_masked_model_ends ends;
    mega_masked_model_run(r, &m->masked, ids, types ? type : NULL, &rows, &ends);
    must(mega_run_status(r));
    /* padding stands behind the text: what is wanted is of the first places */
    equals(mega_node_find(wanted, "features"), ends.features);
    equals(mega_node_find(wanted, "pooled"), ends.pooled);
    equals(mega_node_find(wanted, "logits"), ends.logits);
    equals(mega_node_find(wanted, "next"), ends.next);
    must(mega_run_end(r));
}

static void computes_what_is_expected(const mega_model *m)
{
    struct mega_document d;
    mega_context *c;
    mega_run *r;
    must(mega_json_load(&d, MEGA_SOURCE "/test/model/bert/expected.json"));
    must(mega_context_new(&c, NULL));
    must(mega_run_new(&r, c));
    const struct mega_node *first = mega_node_find(d.root, "cases")->first;
    gives(r, m, first, true);
    gives(r, m, first->next, true);
    /* types that are not told are 0 */
    gives(r, m, first->next, false);
    mega_run_free(r);
    mega_context_free(c);
    mega_document_done(&d);
}

static void a_file_of_hugging_face_computes_what_pytorch_does(void **state)
{
    struct mega_foreign f;
    (void)state;
    must(mega_foreign_load(&f, folder, NULL, NULL));
    assert_string_equal(f.kind, "BERT of Hugging Face");
    assert_int_equal(f.model->config.architecture, MEGA_MASKED_MODEL);
    assert_int_equal(mega_model_parameters(f.model), 3029);
    computes_what_is_expected(f.model);
    mega_foreign_done(&f);
}

static void the_masked_head_reads_the_token_table(void **state)
{
    struct mega_foreign f;
    (void)state;
    must(mega_foreign_load(&f, folder, NULL, NULL));
    assert_null(mega_store_find(&f.model->store, "lm_head.weight"));
    assert_non_null(mega_store_find(&f.model->store, "mlm.bias"));
    mega_foreign_done(&f);
}

static void it_goes_out_as_it_came_in(void **state)
{
    struct mega_foreign f, back;
    struct mega_foreign_config c = { .bos = -1, .eos = -1, .pad = 0 };
    (void)state;
    must(mega_foreign_load(&f, folder, NULL, NULL));
    must(mega_export_options(f.model, &c));
    must(mega_export_hf("bert_test.hf", &f.model->store, &c, MEGA_F32, 0));
    must(mega_foreign_load(&back, "bert_test.hf", NULL, NULL));
    assert_int_equal(mega_store_hash(&back.model->store), mega_store_hash(&f.model->store));
    computes_what_is_expected(back.model);
    mega_foreign_done(&back);
    mega_foreign_done(&f);
    mega_folder_remove("bert_test.hf");
}

static void what_a_bert_cannot_have_is_refused_by_name(void **state)
{
    struct mega_foreign f;
    struct mega_foreign_config c = { .bos = -1, .eos = -1, .pad = 0 };
    (void)state;
    must(mega_foreign_load(&f, folder, NULL, NULL));
    must(mega_export_options(f.model, &c));
    c.options.attention.score.clamp = 50;
    assert_int_equal(
        mega_export_hf("bert_test.no", &f.model->store, &c, MEGA_F32, 0), MEGA_UNSUPPORTED);
    assert_non_null(strstr(mega_message(), "attn_softclamp"));
    c.options.attention.score.clamp = 0;
    c.options.placement = MEGA_PLACEMENT_PRE;
    assert_int_equal(
        mega_export_hf("bert_test.no", &f.model->store, &c, MEGA_F32, 0), MEGA_UNSUPPORTED);
    assert_non_null(strstr(mega_message(), "norms that are not behind"));
    assert_false(mega_path_exists("bert_test.no"));
    mega_foreign_done(&f);
}

static void a_key_that_changes_the_model_is_refused(void **state)
{
    static const char config[] =
        "{ \"model_type\": \"bert\", \"hidden_size\": 12, \"num_hidden_layers\": 2, "
        "\"num_attention_heads\": 3, \"intermediate_size\": 20, \"vocab_size\": 11, "
        "\"position_embedding_type\": \"relative_key\" }";
    struct mega_foreign_config c;
    struct mega_document d;
    (void)state;
    must(mega_json_parse(&d, "config.json", config, sizeof config - 1));
    assert_int_equal(mega_foreign_config_read(&c, &d, NULL), MEGA_UNSUPPORTED);
    assert_non_null(strstr(mega_message(), "position_embedding_type"));
    mega_document_done(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_of_hugging_face_computes_what_pytorch_does),
        cmocka_unit_test(the_masked_head_reads_the_token_table),
        cmocka_unit_test(it_goes_out_as_it_came_in),
        cmocka_unit_test(what_a_bert_cannot_have_is_refused_by_name),
        cmocka_unit_test(a_key_that_changes_the_model_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
