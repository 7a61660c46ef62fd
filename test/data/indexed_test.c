/* fairseq's and Megatron's corpora of ids: every type, and files that do not fit together. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "cmocka_all.h"

#include "base/text.h"
#include "data/corpus.h"
#include "data/indexed.h"
#include "format/node.h"

/* three items: 5 6 7, none, 9 */
static const int ids[] = { 5, 6, 7, 9 };
static const int32_t sizes[] = { 3, 0, 1 };
enum { ITEMS = 3, IDS = 4 };

static void add(struct mega_text *t, const void *value, size_t n)
{
    mega_text_add_bytes(t, value, n);
}

static void add_number(struct mega_text *t, int64_t v)
{
    add(t, &v, sizeof v);
}

#define ADD_AS(type, value)                                                                    \
    do {                                                                                       \
        type v_ = (type)(value);                                                               \
        add(t, &v_, sizeof v_);                                                                \
    } while (0)

static void add_id(struct mega_text *t, int code, int size, int id)
{
    switch (code) {
    case 1: ADD_AS(uint8_t, id); return;
    case 2: ADD_AS(int8_t, id); return;
    case 3: ADD_AS(int16_t, id); return;
    case 4: ADD_AS(int32_t, id); return;
    case 5: ADD_AS(int64_t, id); return;
    case 8: ADD_AS(uint16_t, id); return;
    case 9: ADD_AS(uint32_t, id); return;
    case 10: ADD_AS(uint64_t, id); return;
    default:
        if (size == 4)
            ADD_AS(float, id);
        else
            ADD_AS(double, id);
    }
}

static void make_mmap(struct mega_text *index, struct mega_text *bin, int code, bool megatron)
{
    int size = mega_id_size(code);
    mega_text_clear(index);
    mega_text_clear(bin);
    add(index, "MMIDIDX\0\0", 9);
    add_number(index, 1);
    add(index, &(char){ (char)code }, 1);
    add_number(index, ITEMS);
    if (megatron) add_number(index, 2);
    add(index, sizes, sizeof sizes);
    for (int64_t i = 0, at = 0; i < ITEMS; at += sizes[i++]) add_number(index, at * size);
    if (megatron) {
        add_number(index, 0);
        add_number(index, ITEMS);
    }
    for (int i = 0; i < IDS; i++) add_id(bin, code, size, ids[i]);
}

static void make_legacy(struct mega_text *index, struct mega_text *bin, int code, int size)
{
    mega_text_clear(index);
    mega_text_clear(bin);
    add(index, "TNTIDX\0\0", 8);
    add_number(index, 1);
    add_number(index, code);
    add_number(index, size);
    add_number(index, ITEMS);
    add_number(index, ITEMS);
    for (int64_t i = 0; i <= ITEMS; i++) add_number(index, i);
    for (int64_t i = 0, at = 0; i <= ITEMS; at += i < ITEMS ? sizes[i] : 0, i++)
        add_number(index, at);
    for (int i = 0; i < ITEMS; i++) add_number(index, sizes[i]);
    for (int i = 0; i < IDS; i++) add_id(bin, code, size, ids[i] + 1);
}

static mega_status read_part(struct mega_token_part *p, const struct mega_text *index,
    const struct mega_text *bin, int64_t vocabulary)
{
    /* exact copies, so that the address sanitizer sees a read beyond */
    char *i = malloc(index->size + !index->size), *b = malloc(bin->size + !bin->size);
    if (index->size) memcpy(i, index->data, index->size);
    if (bin->size) memcpy(b, bin->data, bin->size);
    *p = (struct mega_token_part){ 0 };
    mega_status status =
        mega_indexed_read(p, "f.idx", i, index->size, b, bin->size, vocabulary);
    if (!status) {
        int32_t got[IDS];
        assert_int_equal(p->documents, ITEMS);
        assert_int_equal(p->tokens, IDS);
        mega_token_part_read(p, 0, IDS, got);
        for (int k = 0; k < IDS; k++) assert_int_equal(got[k], ids[k]);
        assert_int_equal(mega_token_part_document(p, 1), 3);
        assert_int_equal(mega_token_part_document(p, 2), 3);
        assert_int_equal(mega_token_part_document(p, 3), 4);
        assert_int_equal(mega_token_part_document_at(p, 2), 0);
        assert_int_equal(mega_token_part_document_at(p, 3), 2);
    }
    free(i);
    free(b);
    return status;
}

static void every_type_reads_as_the_same_ids(void **state)
{
    (void)state;
    struct mega_text index = { 0 }, bin = { 0 };
    struct mega_token_part p;
    for (int code = 1; code <= 10; code++) {
        make_mmap(&index, &bin, code, false);
        assert_int_equal(read_part(&p, &index, &bin, 10), MEGA_OK);
        make_mmap(&index, &bin, code, true);
        assert_int_equal(read_part(&p, &index, &bin, 10), MEGA_OK);
        make_legacy(&index, &bin, code, mega_id_size(code));
        assert_int_equal(read_part(&p, &index, &bin, 10), MEGA_OK);
    }
    make_legacy(&index, &bin, 6, 4);
    assert_int_equal(read_part(&p, &index, &bin, 10), MEGA_OK);
    mega_text_done(&index);
    mega_text_done(&bin);
}

static void ids_beyond_the_vocabulary_are_named(void **state)
{
    (void)state;
    struct mega_text index = { 0 }, bin = { 0 };
    struct mega_token_part p;
    make_mmap(&index, &bin, 8, false);
    assert_int_equal(read_part(&p, &index, &bin, 9), MEGA_BAD_FILE);
    assert_string_equal(mega_message(),
        "f.idx: item 3, place 1: the id 9 lies outside the vocabulary of 9: is the tokenizer "
        "(dict.txt) the one that the file was made with?");
    make_mmap(&index, &bin, 7, false);
    double half = 6.5;
    memcpy(bin.data + 8, &half, sizeof half);
    assert_int_equal(read_part(&p, &index, &bin, 100), MEGA_BAD_FILE);
    assert_non_null(strstr(mega_message(), "item 1, place 2: the id 6.5"));
    /* legacy files hold ids + 1: 0 is none */
    make_legacy(&index, &bin, 4, 4);
    memset(bin.data, 0, 4);
    assert_int_equal(read_part(&p, &index, &bin, 100), MEGA_BAD_FILE);
    assert_non_null(strstr(mega_message(), "item 1, place 1: the id -1"));
    mega_text_done(&index);
    mega_text_done(&bin);
}

static void cut_files_are_refused(void **state)
{
    (void)state;
    struct mega_text index = { 0 }, bin = { 0 };
    struct mega_token_part p;
    for (int form = 0; form < 3; form++) {
        for (size_t n = 0;; n++) {
            form < 2 ? make_mmap(&index, &bin, 8, form) : make_legacy(&index, &bin, 4, 4);
            if (n >= index.size) break;
            index.size = n;
            assert_int_equal(read_part(&p, &index, &bin, 10), MEGA_BAD_FILE);
        }
        size_t whole = bin.size;
        for (size_t n = 0; n < whole; n++) {
            bin.size = n;
            assert_int_equal(read_part(&p, &index, &bin, 10), MEGA_BAD_FILE);
            assert_non_null(strstr(mega_message(), "is it cut off"));
        }
        bin.size = whole;
        add(&bin, "\0\0\0\0", 4);
        assert_int_equal(read_part(&p, &index, &bin, 10), MEGA_BAD_FILE);
    }
    mega_text_done(&index);
    mega_text_done(&bin);
}

static void any_single_byte_may_be_wrong(void **state)
{
    (void)state;
    struct mega_text index = { 0 }, bin = { 0 };
    struct mega_token_part p;
    for (int form = 0; form < 3; form++)
        for (size_t n = 0;; n++) {
            form < 2 ? make_mmap(&index, &bin, 8, form) : make_legacy(&index, &bin, 8, 2);
            if (n >= index.size) break;
            for (int value = 0; value < 256; value += 51) {
                index.data[n] = (char)value;
                p = (struct mega_token_part){ 0 };
                mega_indexed_read(&p, "f.idx", index.data, index.size, bin.data, bin.size, 10);
            }
        }
    mega_text_done(&index);
    mega_text_done(&bin);
}

/* ---- the real files ---- */

static void the_real_test_set_is_as_its_log_says(void **state)
{
    (void)state;
    const char *data = getenv("MEGA_DATA");
    char path[512];
    snprintf(path, sizeof path, "%s/mt/iwslt14_fairseq/test.de-en.de.*",
        data ? data : MEGA_SOURCE "/../shared/data");
    struct mega_corpus_options o;
    mega_option_defaults(mega_corpus_options, &o);
    struct mega_text_encoder e = { .vocabulary = 8848, .bos = 0, .pad = 1, .eos = 2 };
    struct mega_corpus *c;
    struct mega_texts files = { (const char *[]){ path }, 1 };
    mega_status status = mega_corpus_open(&c, "task.train", &files, &o, &e, NULL);
    if (status == MEGA_IO) skip();
    /* its .bin is packed */
    assert_int_equal(status, MEGA_OK);
    assert_int_equal(mega_corpus_documents(c), 6750);
    assert_int_equal(mega_corpus_tokens(c), 161838);
    assert_int_equal(mega_corpus_bytes(c), -1);
    for (int64_t i = 1; i <= 6750; i++) {
        int32_t last;
        mega_corpus_read(c, mega_corpus_document(c, i) - 1, 1, &last);
        assert_int_equal(last, 2);
    }
    mega_corpus_close(c);
    e.vocabulary = 6632; /* the dictionary of the other language */
    assert_int_equal(mega_corpus_open(&c, "task.train", &files, &o, &e, NULL), MEGA_BAD_FILE);
    assert_non_null(strstr(mega_message(), "test.de-en.de.idx: item "));
}

/* two pairs as one corpus, one of them packed */
static void pairs_of_files_stand_one_after_the_other(void **state)
{
    (void)state;
    struct mega_text index = { 0 }, bin = { 0 };
    struct mega_corpus_options o;
    struct mega_corpus *c;
    struct mega_text_encoder e = { .vocabulary = 10, .bos = -1, .pad = -1, .eos = -1 };
    make_mmap(&index, &bin, 8, false);
    mega_folder_remove("indexed_files");
    assert_int_equal(mega_folder_make("indexed_files"), MEGA_OK);
    assert_int_equal(mega_file_write("indexed_files/a.idx", index.data, index.size), MEGA_OK);
    assert_int_equal(mega_file_write("indexed_files/a.bin", bin.data, bin.size), MEGA_OK);
    make_legacy(&index, &bin, 4, 4);
    assert_int_equal(mega_file_write("indexed_files/b.idx", index.data, index.size), MEGA_OK);
    gzFile f = gzopen("indexed_files/b.bin.gz", "wb");
    gzwrite(f, bin.data, (unsigned)bin.size);
    gzclose(f);
    mega_option_defaults(mega_corpus_options, &o);
    const char *asked[] = { "indexed_files", "indexed_files/*.idx", "indexed_files/?.bin*" };
    for (int i = 0; i < 3; i++) {
        int32_t got[6];
        assert_int_equal(mega_corpus_open(&c, "task.train",
                             &(struct mega_texts){ &asked[i], 1 }, &o, &e, NULL),
            MEGA_OK);
        assert_int_equal(mega_corpus_tokens(c), 8);
        assert_int_equal(mega_corpus_documents(c), 6);
        assert_int_equal(mega_corpus_document(c, 3), 4);
        assert_int_equal(mega_corpus_document(c, 5), 7);
        assert_int_equal(mega_corpus_document_at(c, 7), 5);
        mega_corpus_read(c, 1, 6, got);
        assert_memory_equal(got, ((int32_t[]){ 6, 7, 9, 5, 6, 7 }), sizeof got);
        mega_corpus_close(c);
    }
    assert_int_equal(mega_file_write("indexed_files/b.bin.gz", "\x1f\x8b\x08", 3), MEGA_OK);
    assert_int_equal(
        mega_corpus_open(&c, "task.train", &(struct mega_texts){ asked, 1 }, &o, &e, NULL),
        MEGA_BAD_FILE);
    assert_string_equal(
        mega_message(), "indexed_files/b.bin.gz: the gzip data are damaged or cut off");
    mega_folder_remove("indexed_files");
    mega_text_done(&index);
    mega_text_done(&bin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_reads_as_the_same_ids),
        cmocka_unit_test(ids_beyond_the_vocabulary_are_named),
        cmocka_unit_test(cut_files_are_refused),
        cmocka_unit_test(any_single_byte_may_be_wrong),
        cmocka_unit_test(pairs_of_files_stand_one_after_the_other),
        cmocka_unit_test(the_real_test_set_is_as_its_log_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
