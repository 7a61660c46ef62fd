/* Models of others, read by name tables, compute what they should: Llama in both orders of
 * rotary pairs (case B10), shards (B13), GPT-2, real weights of llama2.c; and what is written
 * reads back. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmocka_all.h"

#include "base/file.h"
#include "graph/run.h"
#include "model/export.h"
#include "model/import.h"

/* ---- a model read from a folder or file ---- */

struct foreign {
    mega_context *context;
    struct mega_store store;
    struct mega_transformer model;
    struct mega_foreign_config config;
    struct mega_document document;
    mega_run *run;
};

static void must(mega_status status)
{
    if (status) print_error("%s\n", mega_message());
    assert_int_equal(status, MEGA_OK);
}

static mega_status declare_and_fill(
    struct foreign *f, const struct mega_tensors *t, const struct mega_transformer_options *o)
{
    mega_build b = { .store = &f->store };
    must(mega_store_init(&f->store));
    mega_transformer_build(&b, &f->model, o);
    must(b.status);
    must(mega_store_lay_out(&f->store, false));
    struct mega_rename_heads heads = mega_foreign_heads(o);
    return mega_import(&f->store, t, f->config.names, &heads);
}

static void read_config(struct foreign *f, const struct mega_tensors *t, const char *folder)
{
    char path[600];
    if (t->file->kind == MEGA_TENSORS_LLAMA2C) {
        mega_foreign_config_llama2c(&f->config, &t->file->llama2c.header);
        return;
    }
    snprintf(path, sizeof path, "%s/config.json", folder);
    must(mega_json_load(&f->document, path));
    must(mega_foreign_config_read(&f->config, &f->document, NULL));
}

/* `wrong_order`: as a reader would that knows nothing of the order of rotary pairs */
static void open_model(struct foreign *f, const char *path, bool wrong_order)
{
    struct mega_tensors t;
    memset(f, 0, sizeof *f);
    must(mega_context_new(&f->context, NULL));
    must(mega_tensors_open(&t, path));
    read_config(f, &t, path);
    struct mega_transformer_options o = f->config.options;
    if (wrong_order) o.attention.rotary.interleaved = !o.attention.rotary.interleaved;
    /* what the options say is what is read: the numbers stay as they are */
    struct mega_name_table names = *f->config.names;
    names.interleaved = o.attention.rotary.interleaved;
    const struct mega_name_table *right = f->config.names;
    f->config.names = &names;
    must(declare_and_fill(f, &t, &o));
    f->config.names = right;
    mega_tensors_close(&t);
    must(mega_run_new(&f->run, f->context));
}

static void close_model(struct foreign *f)
{
    mega_run_free(f->run);
    mega_store_done(&f->store);
    mega_context_free(f->context);
    mega_foreign_config_done(&f->config);
    mega_document_done(&f->document);
}

/* logits of the last place of ids [1, n], [V] */
static void last_logits(
    struct foreign *f, mega_stream *stream, const int32_t *ids, int64_t n, float *out)
{
    int64_t V = f->config.options.vocabulary;
    must(mega_run_begin(f->run, &(struct mega_run_args){ .stream = stream }));
    mega_tensor *in = mega_run_tensor(f->run, MEGA_I32, 2, (int64_t[]){ 1, n });
    memcpy(in->data, ids, (size_t)n * sizeof *ids);
    struct mega_rows rows = { .B = 1, .T = n };
    mega_tensor *y = mega_transformer_run(f->run, &f->model, in, mega_run_rows(f->run, &rows));
    if (y) memcpy(out, (float *)y->data + (n - 1) * V, (size_t)V * sizeof *out);
    must(mega_run_end(f->run));
}

static int32_t largest(const float *x, int64_t n)
{
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

/* ids[0] is there; the others follow greedily */
static void greedy(struct foreign *f, int32_t *ids, int64_t n)
{
    float logits[1024];
    mega_stream *stream;
    must(mega_stream_new(&stream, &f->store, 1, 1, n));
    for (int64_t i = 0; i + 1 < n; i++) {
        last_logits(f, stream, &ids[i], 1, logits);
        ids[i + 1] = largest(logits, f->config.options.vocabulary);
    }
    mega_stream_free(stream);
}

/* ---- what is expected ---- */

static const char *case_of(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/test/%s", MEGA_SOURCE, name);
    return path;
}

static void expect_logits(struct foreign *f, const char *folder, const char *key)
{
    struct mega_document d;
    char path[600];
    float logits[64];
    int32_t ids[64];
    int64_t n = 0;
    snprintf(path, sizeof path, "%s/expected.json", folder);
    must(mega_json_load(&d, path));
    for (const struct mega_node *i = mega_node_find(d.root, "tokens")->first; i; i = i->next)
        ids[n++] = (int32_t)i->integer;
    last_logits(f, NULL, ids, n, logits);
    int k = 0;
    for (const struct mega_node *i = mega_node_find(d.root, key)->first; i; i = i->next, k++)
        if (fabs((double)logits[k] - i->real) > 2e-5)
            fail_msg("%s[%d] is %g, expected %g", key, k, (double)logits[k], i->real);
    assert_int_equal(k, f->config.options.vocabulary);
    mega_document_done(&d);
}

static void expect_greedy(struct foreign *f, const char *key)
{
    struct mega_document d;
    int32_t ids[64] = { 3 };
    must(mega_json_load(&d, case_of("cases/b10_hf_untied/expected.json")));
    int n = 0;
    const struct mega_node *list = mega_node_find(d.root, key);
    for (const struct mega_node *i = list->first; i; i = i->next) n++;
    greedy(f, ids, n);
    n = 0;
    for (const struct mega_node *i = list->first; i; i = i->next)
        assert_int_equal(ids[n++], i->integer);
    mega_document_done(&d);
}

/* ---- Llama of Hugging Face ---- */

static void a_llama_of_hugging_face_computes_its_logits(void **state)
{
    (void)state;
    struct foreign f;
    char folder[512];
    snprintf(folder, sizeof folder, "%s", case_of("cases/b10_hf_untied"));
    open_model(&f, folder, false);
    expect_logits(&f, folder, "unshared_last");
    expect_greedy(&f, "greedy_from_3_unshared");
    close_model(&f);
    /* the other order of pairs is what the case warns of */
    open_model(&f, folder, true);
    expect_logits(&f, folder, "without_unpermuting_last");
    expect_greedy(&f, "greedy_from_3_wrong_rope");
    close_model(&f);
}

static void shards_compute_the_same(void **state)
{
    (void)state;
    static const char *const folders[] = { "cases/b13_good", "cases/b13_wrong_total",
        "cases/b13_stray_single" };
    char expected[512];
    snprintf(expected, sizeof expected, "%s", case_of("cases/b10_hf_untied"));
    for (int i = 0; i < 3; i++) {
        struct foreign f;
        open_model(&f, case_of(folders[i]), false);
        expect_logits(&f, expected, "unshared_last");
        close_model(&f);
    }
}

/* ---- GPT-2 ---- */

static void a_gpt2_of_hugging_face_computes_its_logits(void **state)
{
    (void)state;
    struct foreign f;
    char folder[512];
    snprintf(folder, sizeof folder, "%s", case_of("model/gpt2"));
    open_model(&f, folder, false);
    assert_int_equal(f.config.options.ffn.each, 20);
    assert_true(f.config.options.tied);
    expect_logits(&f, folder, "last");
    /* written and read back, it is the same */
    struct foreign back;
    must(mega_export_hf("import_test.gpt2", &f.store, &f.config, MEGA_F32, 0));
    open_model(&back, "import_test.gpt2", false);
    expect_logits(&back, folder, "last");
    assert_int_equal(mega_store_hash(&back.store), mega_store_hash(&f.store));
    close_model(&back);
    close_model(&f);
    mega_folder_remove("import_test.gpt2");
}

/* bfloat16 is widened on the way in; what came so goes out the same */
static void halves_go_out_and_come_back(void **state)
{
    (void)state;
    struct foreign f, half, back;
    open_model(&f, case_of("cases/b10_hf_untied"), false);
    static const mega_dtype types[] = { MEGA_BF16, MEGA_F16 };
    for (int i = 0; i < 2; i++) {
        must(mega_export_hf("import_test.half", &f.store, &f.config, types[i], 0));
        open_model(&half, "import_test.half", false);
        must(mega_export_hf("import_test.half2", &half.store, &half.config, types[i], 0));
        open_model(&back, "import_test.half2", false);
        assert_int_equal(mega_store_hash(&back.store), mega_store_hash(&half.store));
        const float *a = f.store.first->value.data, *b = half.store.first->value.data;
        for (int64_t k = 0; k < f.store.first->count; k++)
            assert_true(fabsf(a[k] - b[k]) <= fabsf(a[k]) / 256);
        close_model(&back);
        close_model(&half);
        mega_folder_remove("import_test.half");
        mega_folder_remove("import_test.half2");
    }
    close_model(&f);
}

/* ---- files of llama2.c ---- */

static void assert_files_equal(const char *a, const char *b)
{
    struct mega_text x = { 0 }, y = { 0 };
    must(mega_file_read(a, &x));
    must(mega_file_read(b, &y));
    assert_int_equal(x.size, y.size);
    assert_memory_equal(x.data, y.data, x.size);
    mega_text_done(&x);
    mega_text_done(&y);
}

/* The tables of angles at the end were computed by PyTorch's own cosine, which is not always
 * rounded right; nobody reads them. */
static void assert_same_weights(const char *a, const char *b)
{
    enum { ANGLES = 2 * 512 * 4 };
    struct mega_text x = { 0 }, y = { 0 };
    must(mega_file_read(a, &x));
    must(mega_file_read(b, &y));
    assert_int_equal(x.size, y.size);
    size_t weights = x.size - ANGLES * sizeof(float);
    assert_memory_equal(x.data, y.data, weights);
    for (size_t i = 0; i < ANGLES; i++) {
        float u, v;
        memcpy(&u, x.data + weights + i * sizeof u, sizeof u);
        memcpy(&v, y.data + weights + i * sizeof v, sizeof v);
        assert_true(fabsf(u - v) < 1e-7f);
    }
    mega_text_done(&x);
    mega_text_done(&y);
}

static void both_orders_of_rotary_pairs_lead_to_each_other(void **state)
{
    (void)state;
    struct foreign hf, bin, back;
    char folder[512];
    snprintf(folder, sizeof folder, "%s", case_of("cases/b10_hf_untied"));
    open_model(&hf, folder, false);
    must(mega_export_llama2c("import_test.bin", &hf.store, &hf.config.options));
    open_model(&bin, "import_test.bin", false);
    assert_true(bin.config.options.attention.rotary.interleaved);
    expect_logits(&bin, folder, "unshared_last");
    /* and back: the same tensors, bit for bit */
    must(mega_export_hf("import_test.hf", &bin.store, &bin.config, MEGA_F32, 0));
    open_model(&back, "import_test.hf", false);
    assert_int_equal(mega_store_hash(&back.store), mega_store_hash(&hf.store));
    expect_logits(&back, folder, "unshared_last");
    must(mega_export_llama2c("import_test2.bin", &back.store, &back.config.options));
    assert_files_equal("import_test.bin", "import_test2.bin");
    close_model(&back);
    close_model(&bin);
    close_model(&hf);
    unlink("import_test.bin");
    unlink("import_test2.bin");
    mega_folder_remove("import_test.hf");
}

/* ---- real weights ---- */

static const char *data_of(const char *name)
{
    static char path[600];
    const char *data = getenv("MEGA_DATA");
    if (data)
        snprintf(path, sizeof path, "%s/weights/stories260K/%s", data, name);
    else
        snprintf(
            path, sizeof path, "%s/../shared/data/weights/stories260K/%s", MEGA_SOURCE, name);
    if (!mega_path_exists(path)) skip();
    return path;
}

/* tok512.bin: the longest piece, then score, length and bytes of each */
static void decode(const int32_t *ids, int64_t n, struct mega_text *to)
{
    struct mega_text file = { 0 };
    const char *piece[512];
    int32_t length[512];
    must(mega_file_read(data_of("tok512.bin"), &file));
    const char *at = file.data + 4;
    for (int i = 0; i < 512; i++, at += length[i - 1]) {
        memcpy(&length[i], at + 4, 4);
        piece[i] = at += 8;
    }
    for (int64_t i = 1; i < n; i++) {
        const char *p = piece[ids[i]];
        int32_t m = length[ids[i]];
        unsigned byte;
        char text[8] = { 0 };
        memcpy(text, p, m < 7 ? (size_t)m : 7);
        /* the blank before the first word is not printed; <0x0A> is a byte */
        if (i == 1 && ids[0] == 1 && m && *p == ' ') p++, m--;
        if (m == 6 && sscanf(text, "<0x%02X>", &byte) == 1)
            mega_text_add(to, "%c", (char)byte);
        else
            mega_text_add_bytes(to, p, (size_t)m);
    }
    mega_text_done(&file);
}

static void real_weights_of_llama2c_write_its_text(void **state)
{
    (void)state;
    enum { STEPS = 201 }; /* the begin token and 200 new ones */
    struct foreign f;
    int32_t ids[STEPS] = { 1 };
    struct mega_text text = { 0 }, want = { 0 };
    must(mega_file_read(data_of("greedy_200_no_prompt.txt"), &want));
    open_model(&f, data_of("stories260K.bin"), false);
    greedy(&f, ids, STEPS);
    decode(ids, STEPS, &text);
    mega_text_add(&text, "\n");
    assert_string_equal(text.data, want.data);
    close_model(&f);
    mega_text_done(&text);
    mega_text_done(&want);
}

/* case B10: within each head of width 8 rows are taken in the order 0 2 4 6 1 3 5 7, keys with
 * their 4 heads; and back again nothing has changed */
static void real_weights_become_a_folder_of_hugging_face(void **state)
{
    (void)state;
    struct foreign f, hf;
    struct mega_tensors t;
    open_model(&f, data_of("stories260K.bin"), false);
    must(mega_export_hf("import_test.stories", &f.store, &f.config, MEGA_F32, 0));
    must(mega_tensors_open(&t, "import_test.stories"));
    const struct mega_named *k =
        mega_tensors_find(&t, "model.layers.0.self_attn.k_proj.weight");
    float row[3];
    memcpy(row, (const char *)k->is.data + (size_t)(2 * 64) * 4, sizeof row);
    assert_true(fabsf(row[0] - 0.0951419f) < 1e-6f);
    assert_true(fabsf(row[1] - 0.1193131f) < 1e-6f);
    assert_true(fabsf(row[2] + 0.2166009f) < 1e-6f);
    assert_null(mega_tensors_find(&t, "lm_head.weight"));
    mega_tensors_close(&t);
    /* the text is the same, and back again so are the bytes */
    enum { STEPS = 64 };
    int32_t a[STEPS] = { 1 }, b[STEPS] = { 1 };
    open_model(&hf, "import_test.stories", false);
    greedy(&f, a, STEPS);
    greedy(&hf, b, STEPS);
    assert_memory_equal(a, b, sizeof a);
    must(mega_export_llama2c("import_test.stories.bin", &hf.store, &hf.config.options));
    assert_same_weights("import_test.stories.bin", data_of("stories260K.bin"));
    close_model(&hf);
    close_model(&f);
    mega_folder_remove("import_test.stories");
    unlink("import_test.stories.bin");
}

/* ---- what is refused ---- */

#define LLAMA                                                                                  \
    "\"model_type\": \"llama\", \"hidden_size\": 16, \"intermediate_size\": 20, "              \
    "\"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"vocab_size\": 16"
#define GPT2                                                                                   \
    "\"model_type\": \"gpt2\", \"n_embd\": 12, \"n_layer\": 1, \"n_head\": 3, "                \
    "\"vocab_size\": 11"

static void read_text(struct foreign *f, const char *text, mega_status want)
{
    memset(f, 0, sizeof *f);
    must(mega_json_parse(&f->document, "config.json", text, strlen(text)));
    mega_status status = mega_foreign_config_read(&f->config, &f->document, NULL);
    if (status != want) print_error("%s\n", mega_message());
    assert_int_equal(status, want);
}

static void end_text(struct foreign *f)
{
    mega_foreign_config_done(&f->config);
    mega_document_done(&f->document);
}

static void keys_that_change_the_mathematics_are_taken(void **state)
{
    (void)state;
    struct foreign f;
    const struct mega_transformer_options *o = &f.config.options;
    read_text(&f, "{" LLAMA "}", MEGA_OK);
    assert_int_equal(o->kv_heads.each, 4);
    assert_int_equal(o->keys.each, 4);
    assert_int_equal(o->longest, 2048);
    assert_true(o->norm_eps == 1e-6 && o->attention.rotary.base == 10000 &&
                o->attention.rotary.factor == 1);
    assert_false(o->tied || o->attention_bias || o->up_bias || o->attention.rotary.interleaved);
    end_text(&f);
    read_text(&f,
        "{" LLAMA ", \"num_key_value_heads\": 2, \"head_dim\": 6, \"rope_theta\": 5e5, "
        "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 4}, \"attention_bias\": true, "
        "\"mlp_bias\": true, \"hidden_act\": \"gelu\", \"tie_word_embeddings\": true, "
        "\"rms_norm_eps\": 1e-5, \"use_cache\": true, \"some_key\": null}",
        MEGA_OK);
    assert_int_equal(o->kv_heads.each, 2);
    assert_int_equal(o->attention.rotary.dims, 6);
    assert_true(o->attention.rotary.base == 5e5 && o->attention.rotary.factor == 4 &&
                o->norm_eps == 1e-5);
    assert_true(o->tied && o->attention_bias && o->up_bias && o->down_bias);
    assert_string_equal(
        f.config.remark.data, "use_cache: plays no part\nsome_key: plays no part\n");
    end_text(&f);
    read_text(&f,
        "{" LLAMA ", \"rope_parameters\": {\"rope_theta\": 2e4, \"rope_type\": \"default\"}}",
        MEGA_OK);
    assert_true(o->attention.rotary.base == 2e4);
    end_text(&f);
    read_text(&f, "{" GPT2 ", \"n_inner\": null, \"activation_function\": \"relu\"}", MEGA_OK);
    assert_int_equal(o->ffn.each, 48);
    assert_int_equal(o->longest, 1024);
    assert_true(o->tied && o->norm_bias && o->positions == MEGA_POSITIONS_LEARNED);
    end_text(&f);
}

static void keys_that_are_not_computed_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        { "{" LLAMA ", \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8}}",
            "rope_scaling.rope_type is \"llama3\", expected default or linear" },
        { "{" LLAMA ", \"rope_scaling\": {\"type\": \"linear\", \"factor\": 2, \"x\": 1}}",
            "rope_scaling.x is 1" },
        { "{" LLAMA ", \"hidden_act\": \"tanh\"}", "hidden_act is \"tanh\", expected silu" },
        { "{" LLAMA ", \"sliding_window\": 4096}", "sliding_window is 4096, expected null" },
        { "{" LLAMA ", \"quantization_config\": {\"bits\": 4}}", "quantization_config is" },
        { "{" LLAMA ", \"logit_scale\": 0.5}", "the key logit_scale is not known here" },
        { "{" LLAMA ", \"rms_norm_eps\": \"small\"}", "expected a number above 0" },
        { "{" LLAMA ", \"num_key_value_heads\": 0}", "expected a whole number from 1" },
        { "{" LLAMA ", \"attention_bias\": 1}", "expected true or false" },
        { "{" LLAMA ", \"architectures\": [\"LlamaForSequenceClassification\"]}",
            "expected LlamaForCausalLM" },
        { "{" GPT2 ", \"scale_attn_weights\": false}", "scale_attn_weights is false" },
        { "{" GPT2 ", \"scale_attn_by_inverse_layer_idx\": true}",
            "scale_attn_by_inverse_layer_idx is true" },
        { "{" GPT2 ", \"reorder_and_upcast_attn\": true}", "reorder_and_upcast_attn is true" },
        { "{" GPT2 ", \"n_ctx\": 7}", "n_ctx is 7 and n_positions 1024" },
        { "{\"model_type\": \"bloom\"}",
            "model_type is \"bloom\", expected llama, gpt2 or bert" },
        { "{}", "model_type is missing" },
        { "{\"model_type\": \"gpt2\"}", "the key n_embd is missing" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mega_document d;
        struct mega_foreign_config c;
        must(mega_json_parse(&d, "config.json", cases[i].text, strlen(cases[i].text)));
        assert_int_not_equal(mega_foreign_config_read(&c, &d, NULL), MEGA_OK);
        if (!strstr(mega_message(), cases[i].message))
            fail_msg("case %zu: %s", i, mega_message());
        assert_non_null(strstr(mega_message(), "config.json"));
        mega_document_done(&d);
    }
}

static void a_key_may_be_passed_over_on_request(void **state)
{
    (void)state;
    struct mega_document d;
    struct mega_foreign_config c;
    static const char text[] = "{" LLAMA ", \"x\": 1, \"y\": 2, "
                               "\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4}}";
    must(mega_json_parse(&d, "config.json", text, strlen(text)));
    must(mega_foreign_config_read(&c, &d, "y,rope_scaling,x"));
    assert_true(c.options.attention.rotary.factor == 1);
    assert_non_null(strstr(c.remark.data, "x: not heeded, as was asked for"));
    mega_foreign_config_done(&c);
    mega_document_done(&d);
}

/* a folder's weights under a configuration that the test changes */
static void refuses_weights(
    void (*change)(struct mega_transformer_options *o), const char *message)
{
    struct foreign f = { 0 };
    struct mega_tensors t;
    const char *folder = case_of("cases/b10_hf_untied");
    must(mega_tensors_open(&t, folder));
    read_config(&f, &t, folder);
    change(&f.config.options);
    assert_int_equal(declare_and_fill(&f, &t, &f.config.options), MEGA_BAD_FILE);
    if (!strstr(mega_message(), message)) fail_msg("%s", mega_message());
    mega_tensors_close(&t);
    mega_store_done(&f.store);
    end_text(&f);
}

static void more_layers(struct mega_transformer_options *o)
{
    o->plan.layers = 3;
}
static void fewer_layers(struct mega_transformer_options *o)
{
    o->plan.layers = 1;
}
static void more_heads_of_keys(struct mega_transformer_options *o)
{
    o->kv_heads.each = 4;
}
static void tie(struct mega_transformer_options *o)
{
    o->tied = true;
}

static void weights_of_another_model_are_refused_by_name(void **state)
{
    (void)state;
    refuses_weights(more_layers, "tensor model.layers.2.input_layernorm.weight is missing");
    refuses_weights(fewer_layers, "does not belong to this model");
    refuses_weights(more_heads_of_keys,
        "tensor model.layers.0.self_attn.k_proj.weight is [8, 16] F32, expected [16, 16] F32");
    refuses_weights(tie, "tensor lm_head.weight differs from tok_emb.weight");
}

static void what_others_cannot_compute_is_not_exported(void **state)
{
    (void)state;
    struct mega_foreign_config c = { 0 };
    struct mega_store s = { 0 };
    struct mega_llama2c_header h = { 8, 12, 1, 2, 1, 5, 6, true };
    mega_foreign_config_llama2c(&c, &h);
    c.options.chunk.each = 4;
    assert_int_equal(mega_export_hf("import_test.no", &s, &c, MEGA_F32, 0), MEGA_UNSUPPORTED);
    assert_non_null(strstr(mega_message(), "cannot have an attention window"));
    c.options.chunk.each = -1;
    c.options.attention.rotary.base = 5e5;
    assert_int_equal(mega_export_llama2c("import_test.no", &s, &c.options), MEGA_UNSUPPORTED);
    assert_non_null(strstr(mega_message(), "another rotary base than 10000"));
    assert_false(mega_path_exists("import_test.no"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_llama_of_hugging_face_computes_its_logits),
        cmocka_unit_test(shards_compute_the_same),
        cmocka_unit_test(a_gpt2_of_hugging_face_computes_its_logits),
        cmocka_unit_test(halves_go_out_and_come_back),
        cmocka_unit_test(both_orders_of_rotary_pairs_lead_to_each_other),
        cmocka_unit_test(real_weights_of_llama2c_write_its_text),
        cmocka_unit_test(real_weights_become_a_folder_of_hugging_face),
        cmocka_unit_test(keys_that_change_the_mathematics_are_taken),
        cmocka_unit_test(keys_that_are_not_computed_are_refused_by_name),
        cmocka_unit_test(a_key_may_be_passed_over_on_request),
        cmocka_unit_test(weights_of_another_model_are_refused_by_name),
        cmocka_unit_test(what_others_cannot_compute_is_not_exported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
