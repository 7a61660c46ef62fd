/* SentencePiece models and llama2.c's tokenizers: small ones made here, real ones where the
 * data are.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"

#include "base/file.h"
#include "text/spm.h"

extern const struct mega_tokenizer_kind mega_tokenizer_kind_spm, mega_tokenizer_kind_llama2c;

/* ---- a model file ---- */

#define MARK MEGA_SPM_BLANK

struct piece {
    const char *text;
    float score;
    enum mega_spm_piece kind;
};

static void add_bytes(struct mega_text *to, int field, const void *bytes, size_t n)
{
    unsigned char head[2] = { (unsigned char)(field << 3 | 2), (unsigned char)n };
    assert_true(n < 128);
    mega_text_add_bytes(to, head, 2);
    mega_text_add_bytes(to, bytes, n);
}

static void add_number(struct mega_text *to, int field, int value)
{
    unsigned char bytes[3] = { (unsigned char)(field << 3 & 0x7F), (unsigned char)(field >> 4),
        (unsigned char)value };
    if (field > 15) bytes[0] |= 0x80;
    mega_text_add_bytes(to, bytes, field > 15 ? 2 : 1);
    mega_text_add_bytes(to, bytes + 2, 1);
}

static void add_piece(struct mega_text *to, const struct piece *p)
{
    struct mega_text inner = { 0 };
    add_bytes(&inner, 1, p->text, strlen(p->text));
    mega_text_add_bytes(&inner, "\x15", 1);
    mega_text_add_bytes(&inner, &p->score, 4);
    add_number(&inner, 3, p->kind);
    add_bytes(to, 1, inner.data, inner.size);
    mega_text_done(&inner);
}

/* the file of a model; all bytes as pieces if `fallback` */
static void make(struct mega_text *to, enum mega_spm_type type, const struct piece *pieces,
    bool fallback, bool keep_blanks)
{
    struct mega_text trainer = { 0 }, normalizer = { 0 };
    for (; pieces->text; pieces++) add_piece(to, pieces);
    for (int i = 0; fallback && i < 256; i++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", (unsigned)i);
        add_piece(to, &(struct piece){ name, 0, MEGA_SPM_BYTE });
    }
    add_number(&trainer, 3, type);
    add_number(&trainer, 35, fallback);
    add_bytes(to, 2, trainer.data, trainer.size);
    add_number(&normalizer, 4, !keep_blanks);
    add_bytes(to, 3, normalizer.data, normalizer.size);
    mega_text_done(&trainer);
    mega_text_done(&normalizer);
}

static mega_tokenizer *model(
    enum mega_spm_type type, const struct piece *pieces, bool fallback, bool keep_blanks)
{
    struct mega_text file = { 0 };
    mega_tokenizer *t;
    make(&file, type, pieces, fallback, keep_blanks);
    if (mega_tokenizer_read(&t, &mega_tokenizer_kind_spm, "m", file.data, file.size))
        fail_msg("%s", mega_message());
    mega_text_done(&file);
    return t;
}

static const char *ids(const mega_tokenizer *t, const char *text)
{
    static struct mega_text out;
    struct mega_ids got = { 0 };
    if (mega_tokenizer_encode(t, text, strlen(text), NULL, &got)) return mega_message();
    mega_text_clear(&out);
    mega_text_add(&out, "%s", "");
    for (size_t i = 0; i < got.n; i++) mega_text_add(&out, "%s%d", i ? " " : "", got.id[i]);
    mega_ids_done(&got);
    return out.data;
}

/* ---- small models ---- */

static const struct piece pieces[] = {
    { "<unk>", 0, MEGA_SPM_UNKNOWN },    /* 0 */
    { "<s>", 0, MEGA_SPM_CONTROL },      /* 1 */
    { "</s>", 0, MEGA_SPM_CONTROL },     /* 2 */
    { MARK, -3, MEGA_SPM_NORMAL },       /* 3 */
    { "a", -2, MEGA_SPM_NORMAL },        /* 4 */
    { "b", -2.5f, MEGA_SPM_NORMAL },     /* 5 */
    { "ab", -3.5f, MEGA_SPM_NORMAL },    /* 6 */
    { MARK "ab", -4, MEGA_SPM_NORMAL },  /* 7 */
    { "ba", -1, MEGA_SPM_NORMAL },       /* 8 */
    { "[x]", 0, MEGA_SPM_USER_DEFINED }, /* 9 */
    { NULL, 0, MEGA_SPM_NORMAL },
};

static void the_best_sum_wins(void **state)
{
    (void)state;
    mega_tokenizer *t = model(MEGA_SPM_UNIGRAM, pieces, false, false);
    assert_string_equal(mega_tokenizer_kind(t), "SentencePiece unigram");
    assert_int_equal(mega_tokenizer_special(t, MEGA_EOS), 2);
    assert_string_equal(ids(t, "ab"), "7");
    /* _ab ab = -7.5; _ a ba b = -8.5 */
    assert_string_equal(ids(t, "abab"), "7 6");
    /* _ ba ba = -5 */
    assert_string_equal(ids(t, "baba"), "3 8 8");
    /* blanks at the ends go, several are one; neighbours that are unknown are one */
    assert_string_equal(ids(t, "  ab  zyz ab "), "7 3 0 7");
    assert_string_equal(ids(t, "[x]ab[x]"), "3 9 6 9");
    assert_string_equal(ids(t, ""), "");
    assert_string_equal(ids(t, "   "), "");
    assert_string_equal(ids(t, "ab\xC3"),
        "byte 3 of the text, 0xc3, is not valid UTF-8, and this tokenizer reads characters");
    mega_tokenizer_close(t);
    t = model(MEGA_SPM_UNIGRAM, pieces, true, true);
    assert_string_equal(ids(t, " \xC3\xA9"), "3 3 205 179");
    mega_tokenizer_close(t);
}

static void the_best_score_is_merged_first(void **state)
{
    (void)state;
    mega_tokenizer *t = model(MEGA_SPM_BPE, pieces, false, false);
    /* ba has the best score, so ab is not made of the middle; [x] is no part of a merge */
    assert_string_equal(ids(t, "abab"), "3 4 8 5");
    assert_string_equal(ids(t, "ab ab"), "7 7");
    assert_string_equal(ids(t, "ab[x]ba zz"), "7 9 8 3 0");
    mega_tokenizer_close(t);
}

static void pieces_come_back_as_text(void **state)
{
    (void)state;
    static const int32_t id[] = { 1, 7, 3, 8, 9, 0, 2 };
    mega_tokenizer *t = model(MEGA_SPM_BPE, pieces, false, false);
    char *out;
    size_t size;
    assert_int_equal(mega_tokenizer_decode(t, id, 7, NULL, &out, &size), MEGA_OK);
    assert_string_equal(out, "ab ba[x] \xE2\x81\x87 ");
    free(out);
    assert_int_equal(mega_tokenizer_decode(t, id + 1, 2,
                         &(struct mega_decode_options){ .inside = true }, &out, &size),
        MEGA_OK);
    assert_string_equal(out, " ab ");
    free(out);
    mega_tokenizer_close(t);
}

static void every_cut_file_is_refused(void **state)
{
    (void)state;
    struct mega_text file = { 0 };
    mega_tokenizer *t;
    make(&file, MEGA_SPM_BPE, pieces, false, false);
    for (size_t n = 0; n < file.size; n++) {
        /* between two fields a file is whole, as protobuf has it */
        mega_status status =
            mega_tokenizer_read(&t, &mega_tokenizer_kind_spm, "m", file.data, n);
        if (status)
            assert_non_null(strstr(mega_message(), "m: not a whole SentencePiece model"));
        else
            mega_tokenizer_close(t);
    }
    struct piece twice[] = { { "<unk>", 0, MEGA_SPM_UNKNOWN }, { "a", 0, MEGA_SPM_NORMAL },
        { "a", 0, MEGA_SPM_NORMAL }, { NULL, 0, MEGA_SPM_NORMAL } };
    mega_text_clear(&file);
    make(&file, MEGA_SPM_BPE, twice, false, false);
    assert_int_equal(
        mega_tokenizer_read(&t, &mega_tokenizer_kind_spm, "m", file.data, file.size),
        MEGA_BAD_FILE);
    assert_string_equal(mega_message(), "m: the piece of id 2, 'a', is there twice");
    mega_text_done(&file);
}

/* windows: 200 KB without a seam become what they become in parts that do not interact */
static void long_words_are_encoded_in_windows(void **state)
{
    (void)state;
    enum { N = 200000 };
    mega_tokenizer *t = model(MEGA_SPM_BPE, pieces, false, false);
    char *text = malloc(N);
    struct mega_ids got = { 0 };
    for (int i = 0; i < N; i++) text[i] = i % 2 ? 'b' : 'a';
    assert_int_equal(mega_tokenizer_encode(t, text, N, NULL, &got), MEGA_OK);
    /* _ a ba ba ... ba b */
    assert_int_equal(got.n, 3 + (N - 2) / 2);
    assert_int_equal(got.id[1], 4);
    for (size_t i = 2; i + 1 < got.n; i++) assert_int_equal(got.id[i], 8);
    assert_int_equal(got.id[got.n - 1], 5);
    mega_ids_done(&got);
    free(text);
    mega_tokenizer_close(t);
}

static void llama2c_files_hold_scores_and_bytes(void **state)
{
    (void)state;
    struct mega_text file = { 0 };
    mega_tokenizer *t;
    int32_t longest = 7;
    mega_text_add_bytes(&file, &longest, 4);
    for (int i = 0; i < 263; i++) {
        static const char *const last[] = { " ", "a", "b", " a", "ab" };
        char name[8] = "<?>";
        if (i >= 3) snprintf(name, sizeof name, "<0x%02X>", (unsigned)(i - 3) & 0xFF);
        if (i >= 259) snprintf(name, sizeof name, "%s", last[i - 259]);
        float score = (float)-i;
        int32_t size = (int32_t)strlen(name);
        mega_text_add_bytes(&file, &score, 4);
        mega_text_add_bytes(&file, &size, 4);
        mega_text_add_bytes(&file, name, (size_t)size);
    }
    assert_int_equal(
        mega_tokenizer_read(&t, &mega_tokenizer_kind_llama2c, "t", file.data, file.size),
        MEGA_OK);
    assert_int_equal(mega_tokenizer_size(t), 263);
    assert_string_equal(ids(t, "ab"), "262 261");
    assert_string_equal(ids(t, "b\xFF\xC3\xA9"), "259 261 258 198 172");
    mega_tokenizer_close(t);
    assert_int_equal(
        mega_tokenizer_read(&t, &mega_tokenizer_kind_llama2c, "t", file.data, file.size - 1),
        MEGA_BAD_FILE);
    assert_string_equal(mega_message(), "t: cut off or damaged behind 262 pieces");
    mega_text_done(&file);
}

/* ---- real ones: a hash of the ids that the original programs give ---- */

static const char *data_path(const char *file)
{
    static char path[600];
    const char *folder = getenv("MEGA_DATA");
    snprintf(path, sizeof path, "%s/%s", folder ? folder : MEGA_SOURCE "/../shared/data", file);
    if (!mega_path_exists(path)) skip();
    return path;
}

struct sum {
    uint64_t hash;
    int64_t n;
};

static mega_status add_to_sum(void *arg, const int32_t *id, size_t n)
{
    struct sum *s = arg;
    for (size_t i = 0; i < n; i++) s->hash = (s->hash ^ (uint32_t)id[i]) * 0x100000001B3u;
    s->n += (int64_t)n;
    return MEGA_OK;
}

static struct sum sum_of_lines(const char *model_file, const char *text_file)
{
    mega_tokenizer *t;
    struct mega_text text = { 0 };
    struct sum sum = { 0xCBF29CE484222325u, 0 };
    if (mega_tokenizer_open(&t, data_path(model_file))) fail_msg("%s", mega_message());
    assert_int_equal(mega_file_read_gz(data_path(text_file), &text), MEGA_OK);
    for (const char *p = text.data, *end = p + text.size, *stop; p < end; p = stop + 1) {
        stop = memchr(p, '\n', (size_t)(end - p));
        if (!stop) stop = end;
        assert_int_equal(
            mega_tokenizer_encode_each(t, p, (size_t)(stop - p), NULL, add_to_sum, &sum),
            MEGA_OK);
    }
    mega_text_done(&text);
    mega_tokenizer_close(t);
    return sum;
}

static void real_models_agree_with_their_programs(void **state)
{
    (void)state;
    static const struct {
        const char *model, *text;
        uint64_t hash;
        int64_t n;
    } want[] = {
        { "weights/spm/sp200.model", "weights/spm/botchan.txt", 0x6DE0E84CAB107D8Fu, 176349 },
        { "weights/spm/test_model.model", "weights/spm/botchan.txt", 0x3A48E5B0818EB7AFu,
            95515 },
        { "weights/stories260K/llama2_tokenizer.model", "mt/wmt/newstest2016.de.gz",
            0xEF204D61B60445EBu, 108825 },
        { "weights/llama_tokenizer/tokenizer.json.gz", "lm/wikitext2.valid.txt.gz",
            0x9165D067384F7CA4u, 296755 },
        { "weights/gpt2_vocab", "lm/wikitext2.valid.txt.gz", 0xD7CCFF506DBC48CFu, 254899 },
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        struct sum got = sum_of_lines(want[i].model, want[i].text);
        if (got.hash != want[i].hash || got.n != want[i].n)
            fail_msg("%s: %lld ids with the hash 0x%016llXu", want[i].model, (long long)got.n,
                (unsigned long long)got.hash);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_sum_wins),
        cmocka_unit_test(the_best_score_is_merged_first),
        cmocka_unit_test(pieces_come_back_as_text),
        cmocka_unit_test(every_cut_file_is_refused),
        cmocka_unit_test(long_words_are_encoded_in_windows),
        cmocka_unit_test(llama2c_files_hold_scores_and_bytes),
        cmocka_unit_test(real_models_agree_with_their_programs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
