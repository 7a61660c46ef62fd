/* safetensors: written and read back; hostile headers refused by name. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmocka_all.h"

#include "format/safetensors.h"

static mega_status parse(const char *header, size_t data, struct mega_safetensors *s)
{
    static char file[4096];
    size_t n = strlen(header);
    memset(file, 0, sizeof file);
    for (int i = 0; i < 8; i++) file[i] = (char)(n >> 8 * i);
    memcpy(file + 8, header, n);
    return mega_safetensors_parse(s, "m", file, 8 + n + data);
}

static void what_is_written_reads_back(void **state)
{
    (void)state;
    static const float w[6] = { 1, 2, 3, 4, 5, 6 };
    static const int64_t steps = 7;
    const struct mega_st_tensor tensor[] = {
        { .name = "w", .dtype = "F32", .rank = 2, .dim = { 2, 3 }, .data = w },
        { .name = "empty", .dtype = "F32", .rank = 1, .dim = { 0 } },
        { .name = "steps", .dtype = "I64", .rank = 0, .data = &steps }
    };
    const struct mega_st_entry meta[] = { { "format", "pt" }, { "quote", "a \"b\"" } };
    struct mega_safetensors s;
    assert_int_equal(
        mega_safetensors_write("st_test.safetensors", tensor, 3, meta, 2), MEGA_OK);
    assert_int_equal(mega_safetensors_open(&s, "st_test.safetensors"), MEGA_OK);
    assert_int_equal(s.n, 3);
    assert_true(mega_st_real(mega_safetensors_find(&s, "w"), 5) == 6);
    assert_int_equal(mega_st_int(mega_safetensors_find(&s, "steps"), 0), 7);
    assert_int_equal(mega_safetensors_find(&s, "empty")->count, 0);
    assert_string_equal(mega_safetensors_meta(&s, "quote"), "a \"b\"");
    assert_null(mega_safetensors_find(&s, "other"));
    mega_safetensors_close(&s);
    /* cut off anywhere, it is refused */
    FILE *f = fopen("st_test.safetensors", "rb");
    char bytes[1024];
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    for (size_t cut = 0; cut < n; cut++)
        assert_int_not_equal(mega_safetensors_parse(&s, "m", bytes, cut), MEGA_OK);
    unlink("st_test.safetensors");
}

static void hostile_headers_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data;
        const char *message;
    } cases[] = {
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":"
          "\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
            12, "overlap" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[100,108]}}", 108,
            "a gap lies before its data" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]}}", 12,
            "a gap lies before its data" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 4,
            "do not lie in the file's 4 bytes" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8,
            "8 bytes of data, its shape and type need 12" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,0]}"
          "}",
            0, "overflows" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,0]}}", 0, "no size" },
        { "{\"a\":{\"dtype\":\"Q4\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
            "dtype Q4 is not known" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, "do not lie" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"a\":{\"dtype\":"
          "\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
            8, "second time" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 1000,
            "996 bytes after the last tensor" },
        { "{\"a\":1}", 0, "expected dtype, shape" },
        { "[]", 0, "does not begin with '{'" },
        { "{\"a\":", 0, "expected a value" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mega_safetensors s;
        assert_int_equal(parse(cases[i].header, cases[i].data, &s), MEGA_BAD_FILE);
        if (!strstr(mega_message(), cases[i].message)) print_error("%s\n", mega_message());
        assert_non_null(strstr(mega_message(), cases[i].message));
    }
}

static void other_files_are_named(void **state)
{
    (void)state;
    struct mega_safetensors s;
    static const char lfs[] =
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    assert_int_equal(mega_safetensors_parse(&s, "m", lfs, sizeof lfs - 1), MEGA_BAD_FILE);
    assert_non_null(strstr(mega_message(), "Git LFS pointer"));
    assert_int_equal(mega_safetensors_parse(&s, "m", "PK\3\4aaaaaaaa", 12), MEGA_BAD_FILE);
    assert_non_null(strstr(mega_message(), "ZIP"));
    assert_int_equal(
        mega_safetensors_parse(&s, "m", "\x80\x02}q\0aaaaaaaa", 13), MEGA_BAD_FILE);
    assert_non_null(strstr(mega_message(), "pickle"));
    assert_int_equal(
        mega_safetensors_parse(&s, "m", "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F", 8), MEGA_BAD_FILE);
    assert_int_equal(mega_safetensors_parse(&s, "m", "", 0), MEGA_BAD_FILE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(hostile_headers_are_refused),
        cmocka_unit_test(other_files_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
