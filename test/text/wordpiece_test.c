/* BERT's vocabularies, a piece a line: how words are cut, what is normalised before that, what
 * comes back, and what is refused. Numbers by hand; those of a tokenizer.json are compared with
 * the original's in expected_test.c. */
#include <stdlib.h>

#include "cmocka_all.h"

#include "base/file.h"
#include "text/tokenizer.h"

extern const struct mega_tokenizer_kind mega_tokenizer_kind_wordpiece,
    mega_tokenizer_kind_tokenizer_json;

/* the ids are the numbers of the lines */
static const char vocabulary[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n" /* 0 1 2 3 4 */
                                 "want\n##want\n##ed\nwa\nun\n"         /* 5 6 7 8 9 */
                                 "runn\n##ing\n,\nlow\nlowest\n"        /* 10 11 12 13 14 */
                                 "the\n\xE4\xB8\xAD\n##s\ncafe\n!\n"    /* 15 16 17 18 19 */
                                 "'\nx\n##x\n";                         /* 20 21 22 */

static mega_status open_with(mega_tokenizer **t, const char *vocab, const char *config)
{
    struct mega_text file = { 0 }, other = { 0 };
    mega_text_add(&file, "%s", vocab);
    if (config) mega_text_add(&other, "%s", config);
    mega_status status = mega_tokenizer_read_pair(t, &mega_tokenizer_kind_wordpiece,
        "vocab.txt", &file, config ? "tokenizer_config.json" : NULL, &other);
    mega_text_done(&file);
    mega_text_done(&other);
    return status;
}

static mega_tokenizer *opened(const char *vocab, const char *config)
{
    mega_tokenizer *t;
    if (open_with(&t, vocab, config)) fail_msg("%s", mega_message());
    return t;
}

static void gives(const mega_tokenizer *t, const char *text,
    const struct mega_encode_options *how, const char *want)
{
    struct mega_ids got = { 0 };
    struct mega_text out = { 0 };
    if (mega_tokenizer_encode(t, text, strlen(text), how, &got)) fail_msg("%s", mega_message());
    mega_text_add(&out, "%s", "");
    for (size_t i = 0; i < got.n; i++) mega_text_add(&out, "%s%d", i ? " " : "", got.id[i]);
    if (strcmp(out.data, want) != 0)
        fail_msg("'%s' gives %s, expected %s", text, out.data, want);
    mega_text_done(&out);
    mega_ids_done(&got);
}

static void words_are_cut_into_the_longest_pieces(void **state)
{
    mega_tokenizer *t = opened(vocabulary, NULL);
    (void)state;
    assert_string_equal(mega_tokenizer_kind(t), "WordPiece, lower case");
    assert_int_equal(mega_tokenizer_size(t), 23);
    gives(t, "", NULL, "");
    gives(t, "unwanted running", NULL, "9 6 7 10 11");
    gives(t, "lowest lows", NULL, "14 13 17");
    /* a word that cannot be cut to its end is unknown as a whole */
    gives(t, "unwantedX", NULL, "9 6 7 22");
    gives(t, "unwantedq want", NULL, "1 5");
    gives(t, "ing", NULL, "1");
    mega_tokenizer_close(t);
}

static void text_is_normalised_as_berts(void **state)
{
    mega_tokenizer *t = opened(vocabulary, NULL);
    (void)state;
    gives(t,
        "UNwant\xC3\xA9"
        "d,running",
        NULL, "9 6 7 12 10 11");
    gives(t, "  The\tTHE\r\n", NULL, "15 15");
    gives(t, "CAF\xC3\x89 cafe\xCC\x81", NULL, "18 18");
    /* Chinese characters and punctuation marks are words of their own */
    gives(t, "the\xE4\xB8\xADthe", NULL, "15 16 15");
    gives(t, "the!!'the", NULL, "15 19 19 20 15");
    /* control characters and U+FFFD vanish, other blanks part words */
    gives(t,
        "th\x01"
        "e\xEF\xBF\xBD t\xE2\x80\x8Bhe\xC2\xA0the",
        NULL, "15 15 15");
    mega_tokenizer_close(t);
}

static void words_of_more_than_a_hundred_characters_are_unknown(void **state)
{
    mega_tokenizer *t = opened(vocabulary, NULL);
    char text[256] = "x", want[512] = "21";
    (void)state;
    for (int i = 1; i < 100; i++) {
        strcat(text, "x");
        strcat(want, " 22");
    }
    gives(t, text, NULL, want);
    strcat(text, "x");
    gives(t, text, NULL, "1");
    mega_tokenizer_close(t);
}

static void special_tokens_and_the_frame(void **state)
{
    mega_tokenizer *t = opened(vocabulary, NULL);
    (void)state;
    struct mega_encode_options frame = { .frame = true }, specials = { .specials = true };
    gives(t, "the", &frame, "2 15 3");
    gives(t, "the [MASK]the", &specials, "15 4 15");
    /* without asking it is text: three words of which none is known */
    gives(t, "[MASK]", NULL, "1 1 1");
    assert_int_equal(mega_tokenizer_special(t, MEGA_PAD), 0);
    assert_int_equal(mega_tokenizer_special(t, MEGA_UNK), 1);
    assert_int_equal(mega_tokenizer_special(t, MEGA_EOS), -1);
    assert_int_equal(mega_tokenizer_mask(t), 4);
    assert_true(mega_tokenizer_is_special(t, 4));
    mega_tokenizer_close(t);
}

static void what_comes_back_has_its_blanks(void **state)
{
    mega_tokenizer *t = opened(vocabulary, NULL);
    const int32_t id[] = { 2, 9, 6, 7, 12, 15, 13, 17, 19, 3 };
    char *back;
    size_t size;
    (void)state;
    assert_int_equal(mega_tokenizer_decode(t, id, 10, NULL, &back, &size), MEGA_OK);
    assert_string_equal(back, "unwanted, the lows!");
    free(back);
    struct mega_decode_options specials = { .specials = true };
    assert_int_equal(mega_tokenizer_decode(t, id, 10, &specials, &back, &size), MEGA_OK);
    assert_string_equal(back, "[CLS] unwanted, the lows! [SEP]");
    free(back);
    /* the first piece of a text is written as it is; of one that goes on it is joined */
    assert_int_equal(mega_tokenizer_decode(t, id + 2, 2, NULL, &back, &size), MEGA_OK);
    assert_string_equal(back, "##wanted");
    free(back);
    struct mega_decode_options inside = { .inside = true };
    assert_int_equal(mega_tokenizer_decode(t, id + 2, 2, &inside, &back, &size), MEGA_OK);
    assert_string_equal(back, "wanted");
    free(back);
    mega_tokenizer_close(t);
}

static void case_is_what_the_configuration_says_else_what_the_pieces_show(void **state)
{
    static const char cased[] = "[UNK]\nThe\nthe\n\xC3\x89t\xC3\xA9\n";
    (void)state;
    mega_tokenizer *t = opened(cased, NULL);
    assert_string_equal(mega_tokenizer_kind(t), "WordPiece");
    gives(t, "The the THE \xC3\x89t\xC3\xA9", NULL, "1 2 0 3");
    mega_tokenizer_close(t);
    t = opened(cased, "{ \"do_lower_case\": true }");
    gives(t, "The \xC3\x89t\xC3\xA9", NULL, "2 0");
    mega_tokenizer_close(t);
    t = opened(vocabulary, "{ \"do_lower_case\": false }");
    gives(t, "The the caf\xC3\xA9", NULL, "1 15 1");
    mega_tokenizer_close(t);
    t = opened(vocabulary, "{ \"tokenize_chinese_chars\": false, \"strip_accents\": false }");
    gives(t, "the\xE4\xB8\xAD caf\xC3\xA9", NULL, "1 1");
    mega_tokenizer_close(t);
}

static void lines_may_end_as_they_like(void **state)
{
    mega_tokenizer *t = opened("[UNK]\r\na\r\n\r\nb", NULL);
    (void)state;
    /* an empty line takes a number, too */
    assert_int_equal(mega_tokenizer_size(t), 4);
    gives(t, "a b", NULL, "1 3");
    mega_tokenizer_close(t);
    /* of two equal lines the later one counts */
    t = opened("[UNK]\na\na\n", NULL);
    gives(t, "a", NULL, "2");
    mega_tokenizer_close(t);
}

static void a_folder_is_recognised_and_saved(void **state)
{
    mega_tokenizer *t;
    (void)state;
    mega_folder_remove("wordpiece_test.folder");
    assert_int_equal(mega_folder_make("wordpiece_test.folder"), MEGA_OK);
    assert_int_equal(
        mega_file_write("wordpiece_test.folder/vocab.txt", vocabulary, sizeof vocabulary - 1),
        MEGA_OK);
    static const char config[] = "{\"do_lower_case\": false}";
    assert_int_equal(mega_file_write("wordpiece_test.folder/tokenizer_config.json", config,
                         sizeof config - 1),
        MEGA_OK);
    assert_int_equal(mega_tokenizer_open(&t, "wordpiece_test.folder"), MEGA_OK);
    mega_folder_remove("wordpiece_test.other");
    assert_int_equal(mega_tokenizer_save(t, "wordpiece_test.other"), MEGA_OK);
    mega_tokenizer_close(t);
    /* the rules go along */
    assert_int_equal(mega_tokenizer_open(&t, "wordpiece_test.other/vocab.txt"), MEGA_OK);
    gives(t, "The the", NULL, "1 15");
    mega_tokenizer_close(t);
    mega_folder_remove("wordpiece_test.folder");
    mega_folder_remove("wordpiece_test.other");
}

static void what_is_no_vocabulary_is_refused(void **state)
{
    static const struct {
        const char *vocab, *config, *message;
    } bad[] = {
        { "a\nb\n", NULL, "without its unknown piece [UNK]" },
        { "[UNK]\na\xFF\n", NULL, "vocab.txt:2: expected a piece in UTF-8" },
        { "[UNK]\n", "{\"do_basic_tokenize\": false}", "do_basic_tokenize is false" },
        { "[UNK]\n", "{", "tokenizer_config.json" },
    };
    mega_tokenizer *t;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_not_equal(open_with(&t, bad[i].vocab, bad[i].config), MEGA_OK);
        if (!strstr(mega_message(), bad[i].message))
            fail_msg("says: %s; expected: %s", mega_message(), bad[i].message);
    }
}

/* what a tokenizer.json does not say is as the original has it */
static void a_tokenizer_json_has_defaults(void **state)
{
    static const char plain[] =
        "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"[UNK]\":0,\"a\":1,\"##b\":2}},"
        "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"decoder\":{\"type\":\"WordPiece\"}"
        "}";
    static const char other[] = "{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}}}";
    static const char no_unk[] = "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0}}}";
    mega_tokenizer *t;
    (void)state;
    assert_int_equal(mega_tokenizer_read(&t, &mega_tokenizer_kind_tokenizer_json,
                         "tokenizer.json", plain, sizeof plain - 1),
        MEGA_OK);
    assert_string_equal(mega_tokenizer_kind(t), "WordPiece");
    gives(t, "abb a c", NULL, "1 2 2 1 0");
    mega_tokenizer_close(t);
    assert_int_equal(mega_tokenizer_read(&t, &mega_tokenizer_kind_tokenizer_json,
                         "tokenizer.json", no_unk, sizeof no_unk - 1),
        MEGA_BAD_FILE);
    assert_non_null(strstr(mega_message(), "without its unknown piece [UNK]"));
    assert_int_equal(mega_tokenizer_read(&t, &mega_tokenizer_kind_tokenizer_json,
                         "tokenizer.json", other, sizeof other - 1),
        MEGA_UNSUPPORTED);
    assert_non_null(strstr(
        mega_message(), "the model 'WordLevel' is not supported, expected BPE or WordPiece"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_cut_into_the_longest_pieces),
        cmocka_unit_test(text_is_normalised_as_berts),
        cmocka_unit_test(words_of_more_than_a_hundred_characters_are_unknown),
        cmocka_unit_test(special_tokens_and_the_frame),
        cmocka_unit_test(what_comes_back_has_its_blanks),
        cmocka_unit_test(case_is_what_the_configuration_says_else_what_the_pieces_show),
        cmocka_unit_test(lines_may_end_as_they_like),
        cmocka_unit_test(a_folder_is_recognised_and_saved),
        cmocka_unit_test(what_is_no_vocabulary_is_refused),
        cmocka_unit_test(a_tokenizer_json_has_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
