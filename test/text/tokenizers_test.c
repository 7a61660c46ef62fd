/* Files of tokenizers as they are found: GPT-2's, tokenizer.json in both spellings,
 * dictionaries, and what is refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"

#include "base/file.h"
#include "megac/tokenizer.h"
#include "text/tokenizer.h"

#define CASES MEGA_SOURCE "/test/cases/"

extern const struct mega_tokenizer_kind mega_tokenizer_kind_tokenizer_json,
    mega_tokenizer_kind_words;

static mega_tokenizer *opened(const char *path)
{
    mega_tokenizer *t;
    if (mega_tokenizer_open(&t, path)) fail_msg("%s", mega_message());
    return t;
}

static mega_tokenizer *data(const char *file)
{
    const char *folder = getenv("MEGA_DATA");
    char path[600];
    snprintf(path, sizeof path, "%s/%s", folder ? folder : MEGA_SOURCE "/../shared/data", file);
    if (!mega_path_exists(path)) skip();
    return opened(path);
}

/* the ids of a text, as words */
static const char *ids(
    const mega_tokenizer *t, const char *text, const struct mega_encode_options *how)
{
    static struct mega_text out;
    struct mega_ids got = { 0 };
    if (mega_tokenizer_encode(t, text, strlen(text), how, &got)) return mega_message();
    mega_text_clear(&out);
    mega_text_add(&out, "%s", "");
    for (size_t i = 0; i < got.n; i++) mega_text_add(&out, "%s%d", i ? " " : "", got.id[i]);
    mega_ids_done(&got);
    return out.data;
}

static void assert_back(
    const mega_tokenizer *t, const char *text, size_t n, const struct mega_encode_options *how)
{
    struct mega_ids got = { 0 };
    char *back;
    size_t size;
    assert_int_equal(mega_tokenizer_encode(t, text, n, how, &got), MEGA_OK);
    assert_int_equal(mega_tokenizer_decode(t, got.id, got.n,
                         &(struct mega_decode_options){ .specials = true }, &back, &size),
        MEGA_OK);
    assert_int_equal(size, n);
    assert_memory_equal(back, text, n);
    free(back);
    mega_ids_done(&got);
}

static const struct mega_encode_options specials = { .specials = true };

static void merges_are_strings_or_pairs(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        mega_tokenizer *t = opened(i ? CASES "b03_tokenizers/merges_as_pairs.json"
                                     : CASES "b03_tokenizers/merges_as_strings.json");
        assert_int_equal(mega_tokenizer_size(t), 261);
        assert_string_equal(ids(t, "ab ab abab", NULL), "256 257 257 256");
        assert_string_equal(ids(t, "abab", NULL), "258");
        assert_string_equal(ids(t, " ab ab", NULL), "257 257");
        assert_string_equal(ids(t, "ba b\n", NULL), "98 97 32 98 10");
        assert_string_equal(ids(t, "\xF0\x9F\x99\x82", NULL), "240 159 153 130");
        assert_string_equal(ids(t, "a<|end|>", NULL), "97 60 124 101 110 100 124 62");
        assert_string_equal(ids(t, "a<|end|>", &specials), "97 260");
        mega_tokenizer_close(t);
    }
}

static void a_piece_may_hold_a_blank(void **state)
{
    (void)state;
    mega_tokenizer *t = opened(CASES "b03_tokenizers/space_inside_token.json");
    assert_string_equal(ids(t, "a b", NULL), "4");
    assert_string_equal(ids(t, "ab", NULL), "0 2");
    assert_string_equal(ids(t, "a a b", NULL), "3 4");
    assert_back(t, "a a bb a", 8, NULL);
    mega_tokenizer_close(t);
}

static void what_is_not_supported_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *file, *says;
    } want[] = {
        { "refuse_merge_without_space", "expected a merge of two pieces" },
        { "refuse_merge_result_not_in_vocab", "gives 'ac', which is not in the vocabulary" },
        { "refuse_wordpiece", "a WordPiece vocabulary without its unknown piece [UNK]" },
        { "refuse_unknown_normalizer", "the normalizer 'Precompiled' is not supported" },
    };
    for (int i = 0; i < 4; i++) {
        char path[600];
        mega_tokenizer *t;
        snprintf(path, sizeof path, CASES "b03_tokenizers/%s.json", want[i].file);
        assert_true(mega_tokenizer_open(&t, path) != MEGA_OK);
        if (!strstr(mega_message(), want[i].says)) fail_msg("%s", mega_message());
        assert_non_null(strstr(mega_message(), want[i].file));
    }
}

/* parts of a tokenizer.json around a model of three pieces */
static mega_status read_parts(mega_tokenizer **t, const char *parts)
{
    struct mega_text file = { 0 };
    mega_text_add(&file,
        "{%s \"model\": {\"type\": \"BPE\", \"unk_token\": \"?\", \"vocab\": {\"?\": 0, \"a\": "
        "1, "
        "\"b\": 2, \"ab\": 3}, \"merges\": [\"a b\"]}}",
        parts);
    mega_status status =
        mega_tokenizer_read(t, &mega_tokenizer_kind_tokenizer_json, "f", file.data, file.size);
    mega_text_done(&file);
    return status;
}

static void parts_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *parts, *says;
    } want[] = {
        { "\"pre_tokenizer\": {\"type\": \"UnicodeScripts\"},",
            "the pre-tokenizer 'UnicodeScripts' is not supported" },
        { "\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"(a\"}, "
          "\"behavior\": \"Isolated\"},",
            "the pattern '(a' is not understood: missing closing parenthesis" },
        { "\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"[a&&b]\"}},",
            "&& inside [...] in a pattern is not supported" },
        { "\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"String\": \"a\"}, "
          "\"behavior\": \"Torn\"},",
            "the split behavior 'Torn' is not supported" },
        { "\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": "
          "\"ByteLevel\"}, {\"type\": \"Digits\"}]},",
            "a pre-tokenizer after ByteLevel, 'Digits'" },
        { "\"decoder\": {\"type\": \"CTC\"},", "the decoder 'CTC' is not supported" },
        { "\"post_processor\": {\"type\": \"Other\"},",
            "the post-processor 'Other' is not supported" },
        { "\"added_tokens\": [{\"id\": 2, \"content\": \"<s>\"}],",
            "the added token '<s>' has the id 2, but in the vocabulary that is another piece" },
        { "\"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": "
          "[{\"SpecialToken\": {\"id\": \"x\"}}], \"special_tokens\": {\"x\": {\"ids\": "
          "[9]}}},",
            "the post-processor needs the id 9" },
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        mega_tokenizer *t;
        assert_true(read_parts(&t, want[i].parts) != MEGA_OK);
        if (!strstr(mega_message(), want[i].says)) fail_msg("%s", mega_message());
    }
}

static void accents_are_marks_of_every_kind(void **state)
{
    (void)state;
    mega_tokenizer *t;
    assert_int_equal(read_parts(&t, "\"normalizer\": {\"type\": \"StripAccents\"},"), MEGA_OK);
    /* a grave accent, a millions sign, a Devanagari vowel sign */
    assert_string_equal(ids(t,
                            "a\xCC\x80"
                            "b\xD2\x89"
                            "a\xE0\xA4\xBE"
                            "b",
                            NULL),
        "3 3");
    mega_tokenizer_close(t);
}

static void characters_need_valid_text(void **state)
{
    (void)state;
    mega_tokenizer *t;
    assert_int_equal(read_parts(&t, ""), MEGA_OK);
    assert_string_equal(ids(t, "ab?xba", NULL), "3 0 0 2 1");
    assert_string_equal(ids(t, "abb\xFF", NULL),
        "byte 4 of the text, 0xff, is not valid UTF-8, and this tokenizer reads characters");
    mega_tokenizer_close(t);
}

static void gpt2_is_read_from_its_own_files(void **state)
{
    (void)state;
    mega_tokenizer *t = data("weights/gpt2_vocab");
    static const char hostile[] =
        "\xFF\x00 \xC3( \xE2\x82 x\xF0\x9F\x99\x82\xED\xA0\x80 <|endoftext|>";
    assert_int_equal(mega_tokenizer_size(t), 50257);
    assert_int_equal(mega_tokenizer_special(t, MEGA_EOS), 50256);
    assert_string_equal(ids(t, "a<|endoftext|>b", NULL), "64 27 91 437 1659 5239 91 29 65");
    assert_string_equal(ids(t, "a<|endoftext|>b", &specials), "64 50256 65");
    assert_string_equal(
        ids(t, "I'll go  there\n\n 2024!", NULL), "40 1183 467 220 612 628 48609 0");
    /* U+180E is no white space, U+3000 is */
    assert_string_equal(ids(t,
                            "a\xE1\xA0\x8E"
                            "b\xE3\x80\x80",
                            NULL),
        "64 157 254 236 65 5099 222");
    assert_back(t, hostile, sizeof hostile - 1, NULL);
    assert_back(t, hostile, sizeof hostile - 1, &specials);
    mega_tokenizer_close(t);
}

static void a_dictionary_numbers_words(void **state)
{
    (void)state;
    static const char file[] = "the 10\na b 7\nmadeupword0000 0\n<unk> 3 #fairseq:overwrite\n";
    static const struct mega_encode_options framed = { .frame = true };
    mega_tokenizer *t;
    assert_int_equal(
        mega_tokenizer_read(&t, &mega_tokenizer_kind_words, "d", file, sizeof file - 1),
        MEGA_OK);
    assert_int_equal(mega_tokenizer_size(t), 8);
    assert_string_equal(ids(t, "  the  a\tthe <pad> <unk>\n", NULL), "4 3 4 1 7");
    assert_string_equal(ids(t, "the\n\na", &framed), "4 2 2 3 2");
    assert_string_equal(ids(t, "", &framed), "2");
    assert_string_equal(ids(t, "the \xC3\xC3", NULL),
        "byte 5 of the text, 0xc3, is not valid UTF-8, and this tokenizer reads characters");
    mega_tokenizer_close(t);
    static const struct {
        const char *file, *says;
    } want[] = { { "a 1\na 2\n", "d:2: the word 'a' stands here for the second time" },
        { "a 1\nb\n", "d:2: expected a word, a blank and its count" },
        { "a 1\n\n", "d:2: expected a word" }, { "a x\n", "d:1: expected a word" },
        { "<s> 5\n", "d:1: the word '<s>' stands here for the second time (its id is 0)" } };
    for (int i = 0; i < 5; i++) {
        assert_int_equal(mega_tokenizer_read(&t, &mega_tokenizer_kind_words, "d", want[i].file,
                             strlen(want[i].file)),
            MEGA_BAD_FILE);
        if (!strstr(mega_message(), want[i].says)) fail_msg("%s", mega_message());
    }
}

static void bytes_are_saved_as_a_file_that_opens_again(void **state)
{
    (void)state;
    char folder[] = "/tmp/mega-tokenizer-XXXXXX";
    assert_non_null(mkdtemp(folder));
    mega_tokenizer *t = opened("bytes");
    assert_int_equal(mega_tokenizer_save(t, folder), MEGA_OK);
    mega_tokenizer_close(t);
    t = opened(folder);
    char all[256];
    for (int i = 0; i < 256; i++) all[i] = (char)i;
    assert_int_equal(mega_tokenizer_size(t), 256);
    assert_string_equal(ids(t, "A \n\xFF\xC3\xA9", NULL), "65 32 10 255 195 169");
    assert_back(t, all, 256, NULL);
    mega_tokenizer_close(t);
    assert_int_equal(mega_folder_remove(folder), MEGA_OK);
}

struct worker {
    const mega_tokenizer *t;
    const struct mega_text *text;
    uint64_t hash;
};

static mega_status add_hash(void *arg, const int32_t *id, size_t n)
{
    struct worker *w = arg;
    for (size_t i = 0; i < n; i++) w->hash = (w->hash ^ (uint32_t)id[i]) * 0x100000001B3u;
    return MEGA_OK;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    for (int i = 0; i < 20; i++)
        mega_tokenizer_encode_each(w->t, w->text->data, w->text->size, NULL, add_hash, w);
    return NULL;
}

static void threads_share_a_tokenizer(void **state)
{
    (void)state;
    mega_tokenizer *t = opened(CASES "b03_tokenizers/merges_as_strings.json");
    struct mega_text text = { 0 };
    struct worker w[4];
    pthread_t thread[4];
    for (int i = 0; i < 3000; i++) mega_text_add(&text, " ab%dabab ba", i * 7919 % 1000);
    for (int i = 0; i < 4; i++) {
        w[i] = (struct worker){ t, &text, 0 };
        assert_int_equal(pthread_create(&thread[i], NULL, work, &w[i]), 0);
    }
    for (int i = 0; i < 4; i++) pthread_join(thread[i], NULL);
    for (int i = 1; i < 4; i++) assert_int_equal(w[i].hash, w[0].hash);
    mega_text_done(&text);
    mega_tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_are_strings_or_pairs),
        cmocka_unit_test(a_piece_may_hold_a_blank),
        cmocka_unit_test(what_is_not_supported_is_refused_by_name),
        cmocka_unit_test(parts_are_refused_by_name),
        cmocka_unit_test(accents_are_marks_of_every_kind),
        cmocka_unit_test(characters_need_valid_text),
        cmocka_unit_test(gpt2_is_read_from_its_own_files),
        cmocka_unit_test(a_dictionary_numbers_words),
        cmocka_unit_test(threads_share_a_tokenizer),
        cmocka_unit_test(bytes_are_saved_as_a_file_that_opens_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
