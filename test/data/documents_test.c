/* Documents of text files: what each format takes for one, whatever pieces the file comes in.
 */
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "cmocka_all.h"

#include "base/file.h"
#include "data/documents.h"

/* documents as "[one][two]" */
static mega_status take(void *arg, const char *bytes, size_t n)
{
    struct mega_text *out = arg;
    if (!out->size || out->data[out->size - 1] == ']') mega_text_add(out, "[");
    mega_text_add_bytes(out, bytes, n);
    return MEGA_OK;
}

static mega_status end(void *arg)
{
    struct mega_text *out = arg;
    if (!out->size || out->data[out->size - 1] == ']') mega_text_add(out, "[");
    mega_text_add(out, "]");
    return MEGA_OK;
}

static mega_status read_in_pieces(struct mega_text *out, enum mega_corpus_format format,
    const char *bytes, size_t n, size_t piece)
{
    struct mega_document_layout layout = {
        .format = format, .text_field = "meta.text", .separator = "<|end|>"
    };
    struct mega_document_reader r = {
        .name = "f", .layout = &layout, .sink = { take, end, out }, .blank = true
    };
    mega_text_clear(out);
    mega_status status = MEGA_OK;
    for (size_t i = 0; i < n && !status; i += piece)
        status = mega_document_piece(&r, bytes + i, n - i < piece ? n - i : piece);
    if (!status) status = mega_document_piece(&r, NULL, 0);
    mega_document_reader_done(&r);
    return status;
}

#define GIVES(format, bytes, want) gives(format, bytes, sizeof bytes - 1, want, sizeof want - 1)
static void gives(enum mega_corpus_format format, const char *bytes, size_t n, const char *want,
    size_t want_size)
{
    struct mega_text out = { 0 };
    for (size_t piece = 1; piece <= n + 1; piece++) {
        assert_int_equal(read_in_pieces(&out, format, bytes, n, piece), MEGA_OK);
        assert_int_equal(out.size, want_size);
        if (want_size) assert_memory_equal(out.data, want, want_size);
    }
    mega_text_done(&out);
}

static void a_file_is_a_document_byte_for_byte(void **state)
{
    (void)state;
    GIVES(MEGA_CORPUS_FILE,
        "\xEF\xBB\xBF"
        "a\r\nb\0\xFF\n",
        "[\xEF\xBB\xBF"
        "a\r\nb\0\xFF\n]");
    GIVES(MEGA_CORPUS_FILE, "", "");
}

static void lf_or_crlf_ends_a_line(void **state)
{
    (void)state;
    GIVES(
        MEGA_CORPUS_LINES, "one\ntwo\r\n\nx\ry\r\r\n\r\nlast", "[one][two][][x\ry\r][][last]");
    GIVES(MEGA_CORPUS_LINES, "a\n", "[a]");
    GIVES(MEGA_CORPUS_LINES, "a\r", "[a\r]");
    GIVES(MEGA_CORPUS_LINES, "\n\n", "[][]");
    GIVES(MEGA_CORPUS_LINES, "", "");
    GIVES(MEGA_CORPUS_LINES, "u\xE2\x80\xA8v\x0bw\x0cx\n", "[u\xE2\x80\xA8v\x0bw\x0cx]");
}

static void blank_lines_stand_between_paragraphs(void **state)
{
    (void)state;
    GIVES(MEGA_CORPUS_PARAGRAPHS, "\n\na\nb\n\n \t\r\n\n c\n  d \n", "[a\nb][ c\n  d ]");
    GIVES(MEGA_CORPUS_PARAGRAPHS, "a", "[a]");
    GIVES(MEGA_CORPUS_PARAGRAPHS, " \n\n", "");
    GIVES(MEGA_CORPUS_PARAGRAPHS, "a\r\n\r\nb\r\n", "[a\r][b\r]");
}

static void separators_stand_between_documents(void **state)
{
    (void)state;
    GIVES(MEGA_CORPUS_SEPARATOR, "a\n<|end|>\nb<|end|<|end|>c<|end|>", "[a\n][\nb<|end|][c]");
    GIVES(MEGA_CORPUS_SEPARATOR, "<|end|><|end|>a", "[][][a]");
    GIVES(MEGA_CORPUS_SEPARATOR, "<|end", "[<|end]");
    GIVES(MEGA_CORPUS_SEPARATOR, "", "");
}

static void json_lines_hold_a_field(void **state)
{
    (void)state;
    GIVES(MEGA_CORPUS_JSONL,
        "\xEF\xBB\xBF{\"meta\": {\"text\": \"a\\n\\u0000\"}, \"x\": 1}\n\n \t\r\n"
        "{\"meta\": {\"text\": \"\"}}\r\n{\"meta\": {\"text\": \"<|end|>\"}}",
        "[a\n\0][][<|end|>]");
}

static void refuses(const char *bytes, const char *message)
{
    struct mega_text out = { 0 };
    for (size_t piece = 1; piece <= strlen(bytes); piece += 5) {
        assert_int_equal(read_in_pieces(&out, MEGA_CORPUS_JSONL, bytes, strlen(bytes), piece),
            MEGA_BAD_FILE);
        if (!strstr(mega_message(), message)) fail_msg("%s", mega_message());
    }
    mega_text_done(&out);
}

static void json_lines_without_the_field_are_named(void **state)
{
    (void)state;
    refuses("{\"meta\": {\"text\": \"\"}}\n\n{\"text\": \"a\"}\n",
        "f:3: the field \"meta.text\" is missing (task.text_field)");
    refuses("{\"meta\": {\"text\": 5}}\n", "f:1: the field \"meta.text\" is no text");
    refuses("[1]\n", "f:1: expected a JSON object");
    refuses("{\"meta\": {\"text\": \"a\"}", "f (row 1)");
    refuses("{\"meta\": {\"text\": \"a\"}}\n{\"meta\"\n: 1}", "f (row 2)");
}

/* ---- files ---- */

static void write_gz(const char *path, const char *text, int members)
{
    remove(path);
    for (int i = 0; i < members; i++) {
        gzFile f = gzopen(path, "ab");
        assert_int_equal(gzwrite(f, text, (unsigned)strlen(text)), strlen(text));
        gzclose(f);
    }
}

static mega_status read_path(const char *path, struct mega_text *out, int64_t *bytes)
{
    struct mega_document_layout layout = { .format = MEGA_CORPUS_LINES };
    struct mega_document_sink sink = { take, end, out };
    mega_text_clear(out);
    return mega_documents_read(path, &layout, &sink, bytes);
}

static void gzip_is_read_like_plain_text(void **state)
{
    (void)state;
    struct mega_text out = { 0 };
    int64_t bytes;
    write_gz("documents.gz", "one\ntwo\n", 2);
    assert_int_equal(read_path("documents.gz", &out, &bytes), MEGA_OK);
    assert_string_equal(out.data, "[one][two][one][two]");
    assert_int_equal(bytes, 16);
    mega_text_done(&out);
}

static void damaged_gzip_is_refused(void **state)
{
    (void)state;
    struct mega_text packed = { 0 }, out = { 0 };
    int64_t bytes;
    write_gz("documents.gz", "one\ntwo\nthree\nfour, five, six\n", 1);
    assert_int_equal(mega_file_read("documents.gz", &packed), MEGA_OK);
    for (size_t n = 2; n < packed.size; n++) {
        assert_int_equal(mega_file_write("cut.gz", packed.data, n), MEGA_OK);
        assert_int_equal(read_path("cut.gz", &out, &bytes), MEGA_BAD_FILE);
        assert_non_null(strstr(mega_message(), "cut.gz: the gzip data are damaged or cut off"));
    }
    packed.data[packed.size - 6] ^= 1;
    assert_int_equal(mega_file_write("cut.gz", packed.data, packed.size), MEGA_OK);
    assert_int_equal(read_path("cut.gz", &out, &bytes), MEGA_BAD_FILE);
    assert_int_equal(read_path("no such file", &out, &bytes), MEGA_IO);
    assert_int_equal(read_path(".", &out, &bytes), MEGA_BAD_ARGUMENT);
    mega_text_done(&packed);
    mega_text_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_a_document_byte_for_byte),
        cmocka_unit_test(lf_or_crlf_ends_a_line),
        cmocka_unit_test(blank_lines_stand_between_paragraphs),
        cmocka_unit_test(separators_stand_between_documents),
        cmocka_unit_test(json_lines_hold_a_field),
        cmocka_unit_test(json_lines_without_the_field_are_named),
        cmocka_unit_test(gzip_is_read_like_plain_text),
        cmocka_unit_test(damaged_gzip_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
