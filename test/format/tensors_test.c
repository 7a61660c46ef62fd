/* Named tensors from wherever they lie: shards and their index (case B13), files of llama2.c,
 * one file in a folder. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmocka_all.h"

#include "base/file.h"
#include "format/tensors.h"

static const char *case_of(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/test/cases/%s", MEGA_SOURCE, name);
    return path;
}

static void opens(struct mega_tensors *t, const char *path)
{
    mega_status status = mega_tensors_open(t, path);
    if (status) print_error("%s\n", mega_message());
    assert_int_equal(status, MEGA_OK);
}

static void refuses(const char *path, const char *message)
{
    struct mega_tensors t;
    assert_int_equal(mega_tensors_open(&t, path), MEGA_BAD_FILE);
    if (!strstr(mega_message(), message)) fail_msg("%s", mega_message());
}

/* the first number of a tensor */
static float first(const struct mega_tensors *t, const char *name)
{
    const struct mega_named *n = mega_tensors_find(t, name);
    assert_non_null(n);
    float *all = malloc((size_t)n->is.count * sizeof *all), value;
    assert_int_equal(mega_named_read(n, t->path, all), MEGA_OK);
    value = all[0];
    free(all);
    return value;
}

static void shards_are_one_source(void **state)
{
    (void)state;
    struct mega_tensors shards, single;
    opens(&single, case_of("b10_hf_untied"));
    opens(&shards, case_of("b13_good"));
    assert_int_equal(shards.n, single.n);
    assert_int_equal(shards.files, 2);
    assert_int_equal(shards.remark.size, 0);
    for (int i = 0; i < single.n; i++) {
        const struct mega_named *a = &single.tensor[i],
                                *b = mega_tensors_find(&shards, a->is.name);
        assert_non_null(b);
        assert_int_equal(a->is.size, b->is.size);
        assert_memory_equal(a->is.data, b->is.data, a->is.size);
    }
    mega_tensors_close(&shards);
    mega_tensors_close(&single);
}

static void a_wrong_total_is_remarked_upon(void **state)
{
    (void)state;
    struct mega_tensors t;
    opens(&t, case_of("b13_wrong_total"));
    assert_non_null(strstr(
        t.remark.data, "metadata.total_size is 1, the tensors have 16192 bytes: not heeded"));
    mega_tensors_close(&t);
}

static void a_stray_single_file_is_not_mixed_in(void **state)
{
    (void)state;
    struct mega_tensors t;
    opens(&t, case_of("b13_stray_single"));
    assert_true(first(&t, "model.embed_tokens.weight") != 0);
    assert_non_null(strstr(t.remark.data, "model.safetensors is not read"));
    mega_tensors_close(&t);
}

static void an_index_must_be_right(void **state)
{
    (void)state;
    refuses(case_of("b13_shard_missing"), "shard model-00002-of-00002.safetensors is missing");
    refuses(case_of("b13_tensor_not_in_its_file"),
        "tensor model.norm.weight is not in model-00001-of-00002.safetensors");
    refuses(case_of("b13_path_escape"), "expected a file of the same folder");
    refuses(case_of("b13_path_escape/model.safetensors.index.json"),
        "expected a file of the same folder");
    refuses(MEGA_SOURCE, "has no tensors: expected model.safetensors");
}

static void a_single_file_is_known_by_its_content(void **state)
{
    (void)state;
    struct mega_tensors t;
    char path[600];
    snprintf(path, sizeof path, "%s/test/format/torch/state.pt", MEGA_SOURCE);
    opens(&t, path);
    assert_int_equal(t.file->kind, MEGA_TENSORS_TORCH);
    assert_true(first(&t, "one") == 7.25f);
    assert_non_null(mega_tensors_root(&t));
    mega_tensors_close(&t);
    refuses(case_of("a01_listops.tsv"), "a01_listops.tsv");
}

/* ---- shards of PyTorch ---- */

static void copy(const char *from, const char *to)
{
    struct mega_text text = { 0 };
    assert_int_equal(mega_file_read(from, &text), MEGA_OK);
    assert_int_equal(mega_file_write(to, text.data, text.size), MEGA_OK);
    mega_text_done(&text);
}

static void shards_of_pytorch_have_the_same_index(void **state)
{
    (void)state;
    char from[600];
    struct mega_tensors t;
    static const char index[] =
        "{\"weight_map\": {\"one\": \"pytorch_model-00001-of-00002.bin\", "
        "\"encoder.w\": \"pytorch_model-00002-of-00002.bin\"}}";
    mega_folder_remove("tensors_shards");
    assert_int_equal(mega_folder_make("tensors_shards"), MEGA_OK);
    snprintf(from, sizeof from, "%s/test/format/torch/state.pt", MEGA_SOURCE);
    copy(from, "tensors_shards/pytorch_model-00001-of-00002.bin");
    snprintf(from, sizeof from, "%s/test/format/torch/fairseq.pt", MEGA_SOURCE);
    copy(from, "tensors_shards/pytorch_model-00002-of-00002.bin");
    assert_int_equal(
        mega_file_write("tensors_shards/pytorch_model.bin.index.json", index, sizeof index - 1),
        MEGA_OK);
    opens(&t, "tensors_shards");
    assert_int_equal(t.n, 2);
    assert_true(first(&t, "one") == 7.25f);
    assert_true(first(&t, "encoder.w") == 0);
    mega_tensors_close(&t);
    mega_folder_remove("tensors_shards");
}

/* ---- llama2.c ---- */

static const struct mega_llama2c_header small = {
    .width = 8, .ffn = 12, .layers = 2, .heads = 2, .kv_heads = 1, .vocabulary = 5, .longest = 6
};

/* every number tells the tensor and its place */
static float number_of(const char *name, int64_t i)
{
    unsigned sum = 0;
    for (const char *p = name; *p; p++) sum = sum * 31 + (unsigned char)*p;
    return (float)(sum % 1000) + (float)i / 1024;
}

static mega_status fill(void *arg, const char *name, float *to, int64_t count)
{
    (void)arg;
    for (int64_t i = 0; i < count; i++) to[i] = number_of(name, i);
    return MEGA_OK;
}

static void check_llama2c(bool tied)
{
    struct mega_llama2c_header h = small;
    struct mega_tensors t;
    h.tied = tied;
    assert_int_equal(mega_llama2c_write("tensors_test.bin", &h, fill, NULL), MEGA_OK);
    opens(&t, "tensors_test.bin");
    assert_int_equal(t.file->kind, MEGA_TENSORS_LLAMA2C);
    const struct mega_llama2c_header *got = &t.file->llama2c.header;
    assert_int_equal(got->width, 8);
    assert_int_equal(got->ffn, 12);
    assert_int_equal(got->layers, 2);
    assert_int_equal(got->heads, 2);
    assert_int_equal(got->kv_heads, 1);
    assert_int_equal(got->vocabulary, 5);
    assert_int_equal(got->longest, 6);
    assert_int_equal(got->tied, tied);
    assert_int_equal(t.n, 2 * 9 + 2 + !tied);
    for (int i = 0; i < t.n; i++) {
        float value;
        const struct mega_named *n = &t.tensor[i];
        for (int64_t k = 0; k < n->is.count; k++) {
            memcpy(&value, (const char *)n->is.data + 4 * k, sizeof value);
            assert_true(value == number_of(n->is.name, k));
        }
    }
    const struct mega_named *k = mega_tensors_find(&t, "layers.1.attention.wk.weight");
    assert_int_equal(k->is.dim[0], 4); /* one head of two */
    assert_int_equal(k->is.dim[1], 8);
    mega_tensors_close(&t);
}

static void files_of_llama2c_read_back(void **state)
{
    (void)state;
    check_llama2c(true);
    check_llama2c(false);
    struct mega_text bytes = { 0 };
    struct mega_llama2c f;
    assert_int_equal(mega_file_read("tensors_test.bin", &bytes), MEGA_OK);
    for (size_t cut = 0; cut < bytes.size; cut += cut < 40 ? 1 : 97) {
        assert_false(mega_llama2c_begins((unsigned char *)bytes.data, cut));
        assert_int_equal(mega_llama2c_parse(&f, "cut.bin", bytes.data, cut), MEGA_BAD_FILE);
    }
    mega_text_done(&bytes);
    unlink("tensors_test.bin");
}

/* the second format: norms first, the flag in the header, 256 bytes */
static void the_second_format_is_read(void **state)
{
    (void)state;
    enum { FLOATS = 5 * 8 + 2 * (8 + 64 + 32 + 32 + 64 + 8 + 3 * 96) + 8 };
    static struct {
        char magic[4];
        int32_t version, v[7];
        unsigned char shared, rest[256 - 37];
        float number[FLOATS];
    } file = { "24ka", 1, { 8, 12, 2, 2, 1, 5, 6 }, 1, { 0 }, { 0 } };
    _Static_assert(sizeof file == 256 + 4 * FLOATS, "no gaps");
    for (int i = 0; i < FLOATS; i++) file.number[i] = (float)i;
    struct mega_llama2c f;
    memcpy(file.magic, "24ka", 4);
    assert_int_equal(mega_llama2c_parse(&f, "v1.bin", &file, sizeof file), MEGA_OK);
    assert_true(f.header.tied);
    float value = 0;
    for (int i = 0; i < f.n; i++)
        if (!strcmp(f.tensor[i].is.name, "tok_embeddings.weight"))
            memcpy(&value, f.tensor[i].is.data, sizeof value);
    assert_true(value == 2 * 8 + 2 * 8 + 8);
    mega_llama2c_close(&f);
    file.version = 2;
    assert_int_equal(mega_llama2c_parse(&f, "v2.bin", &file, sizeof file), MEGA_UNSUPPORTED);
    assert_non_null(strstr(mega_message(), "version 2 of llama2.c's files (2 is quantised)"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shards_are_one_source),
        cmocka_unit_test(a_wrong_total_is_remarked_upon),
        cmocka_unit_test(a_stray_single_file_is_not_mixed_in),
        cmocka_unit_test(an_index_must_be_right),
        cmocka_unit_test(a_single_file_is_known_by_its_content),
        cmocka_unit_test(shards_of_pytorch_have_the_same_index),
        cmocka_unit_test(files_of_llama2c_read_back),
        cmocka_unit_test(the_second_format_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
