/* Training: what Hugging Face's trainer, subword-nmt and fairseq's preprocessing make of the
 * same text; codes as they are applied. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"

#include "base/file.h"
#include "text/tokenizer.h"

extern const struct mega_tokenizer_kind mega_tokenizer_kind_codes;

static const char corpus[] =
    "low low low low low\nlower lower newest newest newest newest newest newest widest widest "
    "widest\nda da da\xC3\x9F \xC3\xB1u\n";

static char folder[64];

static const char *in_folder(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/mega-train-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    /* the same text in one file and in two */
    if (mega_file_write(in_folder("all"), corpus, sizeof corpus - 1)) return -1;
    if (mega_file_write(in_folder("a"), corpus, 20)) return -1;
    return mega_file_write(in_folder("b"), corpus + 20, sizeof corpus - 1 - 20) ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    return mega_folder_remove(folder) ? -1 : 0;
}

static mega_tokenizer *train(const struct mega_tokenizer_training *how)
{
    char all[128];
    const char *files[] = { all };
    mega_tokenizer *t;
    snprintf(all, sizeof all, "%s", in_folder("all"));
    if (mega_tokenizer_train(&t, how, files, 1)) fail_msg("%s", mega_message());
    return t;
}

static const struct mega_text *file_of(const mega_tokenizer *t, const char *name)
{
    for (int i = 0; i < t->sources; i++)
        if (!strcmp(t->source[i].name, name)) return &t->source[i].bytes;
    fail_msg("there is no %s", name);
    return NULL;
}

/* the pieces of a text, with blanks between */
static const char *pieces(const mega_tokenizer *t, const char *text)
{
    static struct mega_text out;
    struct mega_ids ids = { 0 };
    size_t size;
    if (mega_tokenizer_encode(t, text, strlen(text), NULL, &ids)) return mega_message();
    mega_text_clear(&out);
    mega_text_add(&out, "%s", "");
    for (size_t i = 0; i < ids.n; i++) {
        const char *piece = mega_tokenizer_piece(t, ids.id[i], &size);
        mega_text_add(&out, "%s%s", i ? " " : "", piece);
    }
    mega_ids_done(&ids);
    return out.data;
}

static void words_are_numbered_by_frequency(void **state)
{
    (void)state;
    mega_tokenizer *t =
        train(&(struct mega_tokenizer_training){ .kind = "words", .least = 2, .multiple = 8 });
    assert_string_equal(file_of(t, "dict.txt")->data,
        "newest 6\nlow 5\nwidest 3\nda 2\nlower 2\nmadeupword0000 0\nmadeupword0001 0\n"
        "madeupword0002 0\nmadeupword0003 0\nmadeupword0004 0\nmadeupword0005 0\n"
        "madeupword0006 0\n");
    assert_int_equal(mega_tokenizer_size(t), 16);
    mega_tokenizer_close(t);
    t = train(&(struct mega_tokenizer_training){ .kind = "words", .size = 6 });
    assert_string_equal(file_of(t, "dict.txt")->data, "newest 6\nlow 5\n");
    mega_tokenizer_close(t);
}

static void characters_are_sorted_by_code(void **state)
{
    (void)state;
    static const char *const end[] = { "<end>" };
    mega_tokenizer *t = train(&(struct mega_tokenizer_training){
        .kind = "characters", .specials = end, .n_specials = 1 });
    /* <unk>, LF, blank, a d e i l n o r s t u w, sharp s, n with tilde, <end> */
    assert_int_equal(mega_tokenizer_size(t), 18);
    assert_string_equal(pieces(t, "da\xC3\x9F!"), "d a \xC3\x9F <unk>");
    assert_int_equal(mega_tokenizer_find(t, "\xC3\xB1", 2), 16);
    assert_int_equal(mega_tokenizer_find(t, "<end>", 5), 17);
    mega_tokenizer_close(t);
}

static void bytes_are_merged_as_the_original_does(void **state)
{
    (void)state;
    static const char *const end[] = { "<|endoftext|>" };
    mega_tokenizer *t = train(&(struct mega_tokenizer_training){
        .kind = "bpe", .size = 267, .least = 2, .specials = end, .n_specials = 1 });
    assert_string_equal(file_of(t, "merges.txt")->data,
        "#version: 0.2\ne s\nes t\nl o\nlo w\ne w\nn ew\n\xC4\xA0 new\n\xC4\xA0new est\n"
        "\xC4\xA0 low\nd a\n");
    assert_int_equal(mega_tokenizer_size(t), 267);
    assert_int_equal(mega_tokenizer_special(t, MEGA_EOS), 266);
    assert_int_equal(mega_tokenizer_find(t, "!", 1), 0);
    assert_string_equal(pieces(t, "newest lowest"), "new est \xC4\xA0low est");

    /* what is saved opens, as either of its forms */
    char at[128];
    snprintf(at, sizeof at, "%s", in_folder("bpe"));
    assert_int_equal(mega_tokenizer_save(t, at), MEGA_OK);
    mega_tokenizer_close(t);
    static const char *const names[] = { "bpe", "bpe/tokenizer.json", "bpe/vocab.json" };
    for (int i = 0; i < 3; i++) {
        if (mega_tokenizer_open(&t, in_folder(names[i]))) fail_msg("%s", mega_message());
        assert_int_equal(mega_tokenizer_special(t, MEGA_EOS), 266);
        assert_string_equal(pieces(t, "newest lowest"), "new est \xC4\xA0low est");
        mega_tokenizer_close(t);
    }
}

static void codes_are_learnt_as_the_original_does(void **state)
{
    (void)state;
    mega_tokenizer *t = train(&(struct mega_tokenizer_training){
        .kind = "codes", .size = 12, .least = 2, .multiple = 8 });
    assert_string_equal(file_of(t, "bpe.codes")->data,
        "#version: 0.2\ns t</w>\ne st</w>\nl o\nw est</w>\nn e\nne west</w>\nlo w</w>\nw i\n"
        "wi d\nwid est</w>\nw e\nwe r</w>\n");
    assert_string_equal(file_of(t, "dict.txt")->data,
        "newest 6\nlow 5\nd@@ 3\nwidest 3\na 2\nlo@@ 2\nwer 2\na@@ 1\nu 1\n\xC3\x9F 1\n"
        "\xC3\xB1@@ 1\nmadeupword0000 0\n");
    assert_string_equal(
        pieces(t, "newest  lower\nda\xC3\x9F"), "newest lo@@ wer d@@ a@@ \xC3\x9F");
    assert_string_equal(pieces(t, "lowest"), "lo@@ <unk>");
    mega_tokenizer_close(t);
}

static mega_tokenizer *codes(const char *file)
{
    mega_tokenizer *t;
    if (mega_tokenizer_read(&t, &mega_tokenizer_kind_codes, "c", file, strlen(file)))
        fail_msg("%s", mega_message());
    return t;
}

static void codes_alone_number_their_pieces(void **state)
{
    (void)state;
    mega_tokenizer *t = codes("#version: 0.2\nl o\nlo w</w>\nl o\n");
    /* four special ones; l@@ l o@@ o lo@@ w@@ w low */
    assert_int_equal(mega_tokenizer_size(t), 12);
    assert_string_equal(pieces(t, "low lo lolow x wl"), "low l@@ o lo@@ low <unk> w@@ l");
    mega_tokenizer_close(t);
    /* version 0.1: the end of a word is a symbol of its own */
    t = codes("e r\nl o\nlo w\nlow </w>\ner </w>\n");
    assert_string_equal(pieces(t, "low lower lowl er r"), "low low@@ er low@@ l er r");
    mega_tokenizer_close(t);
    assert_int_equal(
        mega_tokenizer_read(&t, &mega_tokenizer_kind_codes, "c", "#version: 0.2\na b c\n", 20),
        MEGA_BAD_FILE);
    assert_string_equal(
        mega_message(), "c:2: expected two symbols with a blank between, found 'a b c'");
}

static void the_order_of_files_does_not_matter(void **state)
{
    (void)state;
    static const char *const kinds[] = { "bpe", "codes", "words", "characters" };
    for (int k = 0; k < 4; k++) {
        struct mega_tokenizer_training how = { .kind = kinds[k], .size = 270, .least = 1 };
        char a[128], b[128];
        snprintf(a, sizeof a, "%s", in_folder("a"));
        snprintf(b, sizeof b, "%s", in_folder("b"));
        const char *forward[] = { a, b }, *backward[] = { b, a };
        mega_tokenizer *one = train(&how), *two, *three;
        assert_int_equal(mega_tokenizer_train(&two, &how, forward, 2), MEGA_OK);
        assert_int_equal(mega_tokenizer_train(&three, &how, backward, 2), MEGA_OK);
        for (int i = 0; i < one->sources; i++) {
            assert_string_equal(one->source[i].bytes.data, two->source[i].bytes.data);
            assert_string_equal(one->source[i].bytes.data, three->source[i].bytes.data);
        }
        mega_tokenizer_close(one);
        mega_tokenizer_close(two);
        mega_tokenizer_close(three);
    }
}

static void wrong_wishes_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct mega_tokenizer_training how;
        const char *says;
    } want[] = {
        { { .kind = "wordpiece" }, "no tokenizer is trained as 'wordpiece', expected one of "
                                   "bpe, characters, codes, words" },
        { { .kind = "bpe", .size = 255 }, "a vocabulary of 255 is too small" },
        { { .kind = "characters", .size = 1 }, "a vocabulary of 1 leaves no room" },
    };
    char path[128];
    const char *files[] = { path };
    mega_tokenizer *t;
    snprintf(path, sizeof path, "%s", in_folder("all"));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mega_tokenizer_train(&t, &want[i].how, files, 1), MEGA_BAD_ARGUMENT);
        if (!strstr(mega_message(), want[i].says)) fail_msg("%s", mega_message());
    }
    snprintf(path, sizeof path, "%s", in_folder("broken"));
    assert_int_equal(mega_file_write(path, "ab\xC3 c", 5), MEGA_OK);
    assert_int_equal(mega_tokenizer_train(
                         &t, &(struct mega_tokenizer_training){ .kind = "words" }, files, 1),
        MEGA_BAD_FILE);
    assert_non_null(strstr(mega_message(), "broken: byte 3, 0xc3, is not valid UTF-8"));
    assert_int_equal(mega_file_write(path, "", 0), MEGA_OK);
    assert_int_equal(mega_tokenizer_train(
                         &t, &(struct mega_tokenizer_training){ .kind = "words" }, files, 1),
        MEGA_BAD_ARGUMENT);
    assert_non_null(strstr(mega_message(), "there is nothing to train on"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_numbered_by_frequency),
        cmocka_unit_test(characters_are_sorted_by_code),
        cmocka_unit_test(bytes_are_merged_as_the_original_does),
        cmocka_unit_test(codes_are_learnt_as_the_original_does),
        cmocka_unit_test(codes_alone_number_their_pieces),
        cmocka_unit_test(the_order_of_files_does_not_matter),
        cmocka_unit_test(wrong_wishes_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
