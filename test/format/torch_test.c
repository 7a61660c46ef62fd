/* Files of PyTorch: every container and protocol gives the same numbers, arguments come as
 * plain data, and what is damaged, hostile or not data is refused by name. The files are made
 * by torch/make.py. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"

#include "format/tensors.h"

static const char *file_of(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/test/format/torch/%s", MEGA_SOURCE, name);
    return path;
}

static void open_file(struct mega_torch *t, const char *name)
{
    mega_status status = mega_torch_open(t, file_of(name));
    if (status) print_error("%s\n", mega_message());
    assert_int_equal(status, MEGA_OK);
}

static const struct mega_named *find(const struct mega_torch *t, const char *name)
{
    for (int i = 0; i < t->n; i++)
        if (!strcmp(t->tensor[i].is.name, name)) return &t->tensor[i];
    fail_msg("%s is missing", name);
    return NULL;
}

/* the numbers of a tensor in its dense order */
static void holds(
    const struct mega_torch *t, const char *name, const char *print, int n, const float *want)
{
    float got[64];
    char shape[200];
    const struct mega_named *tensor = find(t, name);
    assert_string_equal(mega_named_print(tensor, shape), print);
    assert_int_equal(tensor->is.count, n);
    assert_int_equal(mega_named_read(tensor, "file", got), MEGA_OK);
    for (int i = 0; i < n; i++) assert_true(got[i] == want[i]);
}

static void check_state(const char *name)
{
    static const float whole[24] = { 0, .25f, .5f, .75f, 1, 1.25f, 1.5f, 1.75f, 2, 2.25f, 2.5f,
        2.75f, 3, 3.25f, 3.5f, 3.75f, 4, 4.25f, 4.5f, 4.75f, 5, 5.25f, 5.5f, 5.75f };
    struct mega_torch t;
    float turned[24];
    open_file(&t, name);
    assert_int_equal(t.n, 16);
    holds(&t, "whole", "[4, 6] F32", 24, whole);
    for (int i = 0; i < 24; i++) turned[i] = whole[i % 4 * 6 + i / 4];
    holds(&t, "turned", "[6, 4] F32", 24, turned);
    holds(&t, "part", "[2, 3] F32", 6, (float[]){ 2, 2.25f, 2.5f, 3.5f, 3.75f, 4 });
    holds(&t, "repeated", "[3, 2] F32", 6, (float[]){ 1.5f, 1.5f, 1.5f, 1.5f, 1.5f, 1.5f });
    holds(&t, "parameter", "[2] F32", 2, (float[]){ 2, -2 });
    holds(&t, "empty", "[0, 3] F32", 0, NULL);
    holds(&t, "one", "[] F32", 1, (float[]){ 7.25f });
    static const char *const types[][2] = { { "float64", "[3] F64" }, { "float16", "[3] F16" },
        { "bfloat16", "[3] BF16" }, { "int64", "[3] I64" }, { "int32", "[3] I32" },
        { "int16", "[3] I16" }, { "int8", "[3] I8" }, { "uint8", "[3] U8" },
        { "bool", "[3] BOOL" } };
    for (int i = 0; i < 9; i++) holds(&t, types[i][0], types[i][1], 3, (float[]){ 0, 1, 1 });
    mega_torch_close(&t);
}

static void every_container_and_protocol_gives_the_same_numbers(void **state)
{
    (void)state;
    static const char *const files[] = { "state.pt", "row.pt", "protocol3.pt", "protocol4.pt",
        "protocol5.pt" };
    for (int i = 0; i < 5; i++) check_state(files[i]);
}

static void arguments_come_as_plain_data(void **state)
{
    (void)state;
    struct mega_torch t;
    open_file(&t, "fairseq.pt");
    /* the optimiser's tensors are not the model's */
    assert_int_equal(t.n, 2);
    assert_string_equal(t.tensor[0].is.name, "encoder.version");
    assert_string_equal(t.tensor[1].is.name, "encoder.w");
    const struct mega_value *args = mega_value_find(t.root, "args");
    assert_int_equal(args->kind, MEGA_VALUE_OBJECT);
    assert_string_equal(args->text, "argparse.Namespace");
    assert_string_equal(mega_value_find(args, "arch")->text, "mega_lra_listop");
    assert_int_equal(mega_value_find(args, "encoder_layers")->integer, 6);
    assert_true(mega_value_find(args, "dropout")->real == 0.1);
    assert_int_equal(mega_value_find(args, "no_save")->kind, MEGA_VALUE_BOOL);
    assert_int_equal(mega_value_find(args, "no_save")->integer, 0);
    assert_int_equal(mega_value_find(args, "data")->kind, MEGA_VALUE_NONE);
    assert_int_equal(mega_value_find(args, "lrs")->n, 2);
    assert_string_equal(mega_value_find(args, "pair")->item[1]->text, "a");
    assert_int_equal(mega_value_find(args, "big")->kind, MEGA_VALUE_LONG);
    assert_int_equal(mega_value_find(args, "names")->kind, MEGA_VALUE_SET);
    assert_int_equal(mega_value_find(args, "raw")->size, 2);
    assert_memory_equal(mega_value_find(args, "raw")->text, "\0\xFF", 2);
    assert_null(mega_value_find(args, "other"));
    const struct mega_value *extra = mega_value_find(t.root, "extra_state");
    assert_string_equal(mega_value_find(extra, "meters")->text, "fairseq.meters.AverageMeter");
    mega_torch_close(&t);
}

static void maps_in_maps_give_names_with_dots(void **state)
{
    (void)state;
    struct mega_torch t;
    open_file(&t, "megatron.pt");
    assert_int_equal(t.n, 1);
    assert_string_equal(t.tensor[0].is.name, "language_model.embedding.word.weight");
    mega_torch_close(&t);
}

static void what_is_not_data_is_refused_by_its_name(void **state)
{
    (void)state;
    struct mega_torch t;
    assert_int_equal(mega_torch_open(&t, file_of("harm.pt")), MEGA_UNSUPPORTED);
    assert_non_null(strstr(mega_message(), "harm.pt: harm/data.pkl: byte "));
    assert_non_null(strstr(mega_message(), "the pickle wants __builtin__.print of Python"));
}

/* ---- damage ---- */

static unsigned char *read_whole(const char *name, size_t *n)
{
    struct mega_map m;
    assert_int_equal(mega_map_open(&m, file_of(name)), MEGA_OK);
    unsigned char *bytes = malloc(m.size);
    assert_non_null(bytes);
    memcpy(bytes, m.data, *n = m.size);
    mega_map_close(&m);
    return bytes;
}

/* anything may be refused; nothing may be read beyond its end, which a sanitizer sees */
static void try_bytes(const unsigned char *bytes, size_t n, bool must_fail)
{
    struct mega_torch t;
    unsigned char *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, n);
    mega_status status = mega_torch_parse(&t, "cut.pt", copy, n);
    if (must_fail) {
        assert_int_not_equal(status, MEGA_OK);
        assert_non_null(strstr(mega_message(), "cut.pt"));
    }
    if (!status) {
        for (int i = 0; i < t.n; i++) {
            void *to = malloc(t.tensor[i].is.size + 1);
            mega_named_copy(&t.tensor[i], to);
            free(to);
        }
        mega_torch_close(&t);
    }
    free(copy);
}

static void files_cut_off_anywhere_are_refused(void **state)
{
    (void)state;
    static const char *const files[] = { "state.pt", "row.pt" };
    for (int f = 0; f < 2; f++) {
        size_t n;
        unsigned char *bytes = read_whole(files[f], &n);
        for (size_t cut = 0; cut < n; cut++) try_bytes(bytes, cut, true);
        free(bytes);
    }
}

static void files_with_a_wrong_byte_do_no_harm(void **state)
{
    (void)state;
    static const char *const files[] = { "fairseq.pt", "row.pt" };
    for (int f = 0; f < 2; f++) {
        size_t n;
        unsigned char *bytes = read_whole(files[f], &n);
        for (size_t i = 0; i < n; i++) {
            unsigned char was = bytes[i];
            bytes[i] = (unsigned char)(was ^ 0xFF);
            try_bytes(bytes, n, false);
            bytes[i] = (unsigned char)(was + 1);
            try_bytes(bytes, n, false);
            bytes[i] = was;
        }
        free(bytes);
    }
}

static void a_damaged_storage_is_seen_by_its_checksum(void **state)
{
    (void)state;
    size_t n;
    struct mega_torch t;
    unsigned char *bytes = read_whole("megatron.pt", &n);
    static const unsigned char five[] = { 0, 0, 0xA0, 0x40 }; /* 5.0 */
    unsigned char *at = memmem(bytes, n, five, sizeof five);
    assert_non_null(at);
    *at ^= 1;
    assert_int_equal(mega_torch_parse(&t, "m.pt", bytes, n), MEGA_BAD_FILE);
    assert_non_null(
        strstr(mega_message(), "m.pt: entry megatron/data/0: its checksum is wrong"));
    free(bytes);
}

/* ---- hostile pickles, as the main one of a row ---- */

static mega_status row(const char *pickle, size_t n)
{
    static const unsigned char head[] = "\x80\2\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
                                        "\x80\2M\xe9\3."
                                        "\x80\2}.";
    static unsigned char file[1 << 16];
    struct mega_torch t;
    memcpy(file, head, sizeof head - 1);
    memcpy(file + sizeof head - 1, pickle, n);
    memcpy(file + sizeof head - 1 + n, "\x80\2].", 4);
    mega_status status = mega_torch_parse(&t, "row.pt", file, sizeof head - 1 + n + 4);
    if (!status) mega_torch_close(&t);
    return status;
}

static void hostile_pickles_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *pickle;
        size_t n;
        const char *message;
    } cases[] = {
#define PICKLE(text) text, sizeof text - 1
        { PICKLE("\x80\2cposix\nsystem\nX\2\0\0\0ls\x85R."),
            "the pickle wants posix.system of Python" },
        { PICKLE("\x80\2N."), "holds no tensors by their names" },
        { PICKLE("\x80\2\x85."), "the pickle's stack is empty" },
        { PICKLE("\x80\2NN."), "ends with other than one value" },
        { PICKLE("\x80\2h\7."), "recalls what it did not remember" },
        { PICKLE("\x80\2Nr\xFF\xFF\xFF\x7F."), "a memo with gaps" },
        { PICKLE("\x80\2X\xFF\xFF\xFF\xFF."), "is the file cut off?" },
        { PICKLE("\x80\2\x8d\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF."), "is the file cut off?" },
        { PICKLE("\x80\1N."), "another protocol than 2 to 5" },
        { PICKLE("\x80\2I1\n."), "opcode 0x49 is none of a pickle" },
        { PICKLE("\x80\2u."), "ends a group that was not begun" },
        { PICKLE("\x80\2N(NNu."), "added to what is no list, set or map" },
        { PICKLE("\x80\2}(Nu."), "a key without a value" },
        /* a list that holds itself, under a name */
        { PICKLE("\x80\2]q\0h\0a}X\1\0\0\0ah\0s."), "row.pt" },
        { PICKLE("\x80\2}q\0X\1\0\0\0ah\0s."), "maps in maps without an end" },
        { PICKLE("\x80\2ctorch\nSize\nN\x85R."), "torch.Size: expected a tuple" },
        { PICKLE("\x80\2ctorch._utils\n_rebuild_tensor_v2\n)R."),
            "expected a storage and an offset" },
        { PICKLE("\x80\2ctorch\nFloatStorage\n)R."), "it is called" },
        { PICKLE("\x80\2NQ."), "a reference to something else than a storage" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_not_equal(row(cases[i].pickle, cases[i].n), MEGA_OK);
        if (!strstr(mega_message(), cases[i].message))
            fail_msg("case %zu: %s", i, mega_message());
    }
}

/* every list holds the one before it twice: 2^40 ways lead to the bottom */
static void shared_values_are_not_walked_for_ever(void **state)
{
    (void)state;
    char pickle[1024] = "\x80\2]q\1";
    size_t n = 5;
    for (char i = 1; i <= 40; i++) {
        const char step[] = { ']', 'q', (char)(i + 1), '(', 'h', i, 'h', i, 'e' };
        memcpy(pickle + n, step, sizeof step);
        n += sizeof step;
    }
    pickle[n++] = '.';
    /* what the machine left on its stack is one value too many; gathered it is one */
    assert_int_not_equal(row(pickle, n), MEGA_OK);
    char gathered[1200] = "\x80\2(";
    memcpy(gathered + 3, pickle + 2, n - 3);
    memcpy(gathered + 3 + n - 3, "l.", 2);
    assert_int_equal(row(gathered, n + 2), MEGA_BAD_FILE);
    assert_non_null(strstr(mega_message(), "maps in maps without an end"));
}

static void other_files_are_named(void **state)
{
    (void)state;
    struct mega_torch t;
    static const char lfs[] = "version https://git-lfs.github.com/spec/v1\n";
    assert_int_equal(mega_torch_parse(&t, "a.pt", lfs, sizeof lfs - 1), MEGA_BAD_FILE);
    assert_non_null(strstr(mega_message(), "Git LFS pointer"));
    char tar[512] = { 'x' };
    memcpy(tar + 257, "ustar", 5);
    assert_int_equal(mega_torch_parse(&t, "a.pt", tar, sizeof tar), MEGA_UNSUPPORTED);
    assert_non_null(strstr(mega_message(), "tar archive"));
    assert_int_equal(mega_torch_parse(&t, "a.pt", "", 0), MEGA_BAD_FILE);
    assert_non_null(strstr(mega_message(), "neither a ZIP nor a pickle"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_container_and_protocol_gives_the_same_numbers),
        cmocka_unit_test(arguments_come_as_plain_data),
        cmocka_unit_test(maps_in_maps_give_names_with_dots),
        cmocka_unit_test(what_is_not_data_is_refused_by_its_name),
        cmocka_unit_test(files_cut_off_anywhere_are_refused),
        cmocka_unit_test(files_with_a_wrong_byte_do_no_harm),
        cmocka_unit_test(a_damaged_storage_is_seen_by_its_checksum),
        cmocka_unit_test(hostile_pickles_are_refused),
        cmocka_unit_test(shared_values_are_not_walked_for_ever),
        cmocka_unit_test(other_files_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
