/* Bytes as ids, and what every tokenizer shares: decoding as ids arrive. */
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"

#include "base/file.h"
#include "megac/tokenizer.h"
#include "text/byte_chars.h"
#include "text/unicode.h"

#define CASES MEGA_SOURCE "/test/cases/"

static void every_byte_is_its_id_and_comes_back(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        size_t ids;
    } want[] = { { CASES "b18_allbytes.bin", 256 }, { CASES "b18_cr_only.txt", 13 },
        { CASES "b18_bom_nonewline.txt", 6 }, { CASES "b18_empty.txt", 0 } };
    mega_tokenizer *t;
    assert_int_equal(mega_tokenizer_open(&t, "bytes"), MEGA_OK);
    assert_int_equal(mega_tokenizer_size(t), 256);
    for (int i = 0; i < 4; i++) {
        struct mega_text text = { 0 };
        struct mega_ids ids = { 0 };
        char *back;
        size_t size;
        assert_int_equal(mega_file_read(want[i].file, &text), MEGA_OK);
        assert_int_equal(mega_tokenizer_encode(t, text.data, text.size, NULL, &ids), MEGA_OK);
        assert_int_equal(ids.n, want[i].ids);
        for (size_t k = 0; k < ids.n; k++)
            assert_int_equal(ids.id[k], (unsigned char)text.data[k]);
        assert_int_equal(mega_tokenizer_decode(t, ids.id, ids.n, NULL, &back, &size), MEGA_OK);
        assert_int_equal(size, text.size);
        assert_memory_equal(back, text.data, size);
        free(back);
        mega_ids_done(&ids);
        mega_text_done(&text);
    }
    mega_tokenizer_close(t);
}

static void what_is_not_there_is_said(void **state)
{
    (void)state;
    mega_tokenizer *t;
    struct mega_ids ids = { 0 };
    int32_t id = 256;
    char *out;
    size_t size;
    assert_int_equal(mega_tokenizer_open(&t, "/nowhere/tokenizer.json"), MEGA_IO);
    assert_int_equal(mega_tokenizer_open(&t, "bytes"), MEGA_OK);
    assert_int_equal(mega_tokenizer_special(t, MEGA_BOS), -1);
    assert_int_equal(
        mega_tokenizer_encode(t, "a", 1, &(struct mega_encode_options){ .bos = true }, &ids),
        MEGA_BAD_ARGUMENT);
    assert_string_equal(
        mega_message(), "this tokenizer (bytes) has no token for the begin of a text");
    assert_int_equal(mega_tokenizer_decode(t, &id, 1, NULL, &out, &size), MEGA_BAD_ARGUMENT);
    assert_string_equal(mega_message(), "the id 256 is not in the vocabulary of 256");
    mega_tokenizer_close(t);
}

/* bytes one by one: whole characters only, and nothing held back that cannot become one */
static void characters_leave_whole(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out; /* pieces, separated by | */
    } want[] = {
        { "a\xC3\xA9", "a||\xC3\xA9" }, { "\xF0\x9F\x99\x82!", "|||\xF0\x9F\x99\x82|!" },
        { "\xC3(", "|\xC3(" },       /* not a continuation */
        { "\x80\xBF", "\x80|\xBF" }, /* nothing begins so */
        { "\xE0\x9F", "|\xE0\x9F" }, /* an overlong form */
        { "\xED\xA0", "|\xED\xA0" }, /* a surrogate */
        { "\xF4\x90", "|\xF4\x90" }, /* beyond U+10FFFF */
        { "\xE2\x82\xE2\x82\xAC",
            "||\xE2\x82||\xE2\x82\xAC" }, /* what follows shows it broken */
    };
    mega_tokenizer *t;
    mega_decoder *d;
    assert_int_equal(mega_tokenizer_open(&t, "bytes"), MEGA_OK);
    assert_int_equal(mega_decoder_open(&d, t, NULL), MEGA_OK);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        struct mega_text got = { 0 };
        const char *bytes;
        size_t size;
        for (const char *p = want[i].in; *p; p++) {
            assert_int_equal(mega_decoder_add(d, (unsigned char)*p, &bytes, &size), MEGA_OK);
            if (p > want[i].in) mega_text_add(&got, "|");
            mega_text_add_bytes(&got, bytes, size);
        }
        assert_string_equal(got.data, want[i].out);
        assert_int_equal(mega_decoder_flush(d, &bytes, &size), MEGA_OK);
        assert_int_equal(size, 0);
        mega_text_done(&got);
    }
    const char *bytes;
    size_t size;
    assert_int_equal(mega_decoder_add(d, 0xF0, &bytes, &size), MEGA_OK);
    assert_int_equal(mega_decoder_add(d, 0x9F, &bytes, &size), MEGA_OK);
    assert_int_equal(size, 0);
    assert_int_equal(mega_decoder_flush(d, &bytes, &size), MEGA_OK);
    assert_int_equal(size, 2);
    assert_memory_equal(bytes, "\xF0\x9F", 2);
    mega_decoder_close(d);
    mega_tokenizer_close(t);
}

static void bytes_have_printable_characters(void **state)
{
    (void)state;
    assert_int_equal(mega_byte_char(' '), 0x120);
    assert_int_equal(mega_byte_char('\n'), 0x10A);
    assert_int_equal(mega_byte_char(0xAD), 0x143);
    assert_int_equal(mega_byte_in_order(0), '!');
    assert_int_equal(mega_byte_in_order(188), 0);
    assert_int_equal(mega_byte_in_order(255), 0xAD);
    for (int byte = 0; byte < 256; byte++)
        assert_int_equal(mega_byte_of_char(mega_byte_char((unsigned char)byte)), byte);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_is_its_id_and_comes_back),
        cmocka_unit_test(what_is_not_there_is_said),
        cmocka_unit_test(characters_leave_whole),
        cmocka_unit_test(bytes_have_printable_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
