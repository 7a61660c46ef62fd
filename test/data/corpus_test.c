/* Corpora: files by name order, tokens kept on disk, documents, bytes, splits by position. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmocka_all.h"

#include "base/file.h"
#include "data/corpus.h"
#include "format/node.h"

#define CASES MEGA_SOURCE "/test/cases/"
#define HERE "corpus_files"
#define CACHE HERE "/cache"

static struct mega_corpus_options options(int format)
{
    struct mega_corpus_options o;
    mega_option_defaults(mega_corpus_options, &o);
    o.format = format;
    o.cache = CACHE;
    o.end_of_document = MEGA_END_NONE;
    return o;
}

/* what was logged */
static char logged[4096];
static void keep_line(void *arg, enum mega_log_level level, const char *line)
{
    (void)arg;
    (void)level;
    strncat(logged, line, sizeof logged - strlen(logged) - 2);
    strcat(logged, "\n");
}
static const struct mega_log log_here = { .write = keep_line };

static mega_status open_with(struct mega_corpus **c, const char *files,
    const struct mega_corpus_options *o, const struct mega_text_encoder *e)
{
    *logged = 0;
    return mega_corpus_open(
        c, "task.train", &(struct mega_texts){ &files, 1 }, o, e, &log_here);
}

static void make_file(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, HERE "/%s", name);
    assert_int_equal(mega_folder_make(HERE), MEGA_OK);
    assert_int_equal(mega_file_write(path, text, strlen(text)), MEGA_OK);
}

static int clean(void **state)
{
    (void)state;
    return mega_folder_remove(HERE) != MEGA_OK;
}

static void tokens_are(const struct mega_corpus *c, const int *want, int n)
{
    int32_t got[64];
    assert_int_equal(mega_corpus_tokens(c), n);
    mega_corpus_read(c, 0, n, got);
    for (int i = 0; i < n; i++) assert_int_equal(got[i], want[i]);
}

/* case B18 */
static void raw_bytes_are_what_they_are(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int tokens;
    } files[] = { { "b18_allbytes.bin", 256 }, { "b18_bom_nonewline.txt", 6 },
        { "b18_cr_only.txt", 13 } };
    struct mega_corpus_options o = options(MEGA_CORPUS_AUTO);
    struct mega_corpus *c;
    for (int i = 0; i < 3; i++) {
        struct mega_text path = { 0 }, bytes = { 0 };
        mega_text_add(&path, CASES "%s", files[i].name);
        assert_int_equal(open_with(&c, path.data, &o, &mega_text_encoder_bytes), MEGA_OK);
        assert_int_equal(mega_file_read(path.data, &bytes), MEGA_OK);
        assert_int_equal(mega_corpus_tokens(c), files[i].tokens);
        assert_int_equal(bytes.size, files[i].tokens);
        int32_t got[256];
        mega_corpus_read(c, 0, files[i].tokens, got);
        for (int k = 0; k < files[i].tokens; k++)
            assert_int_equal(got[k], (unsigned char)bytes.data[k]);
        mega_corpus_close(c);
        mega_text_done(&path);
        mega_text_done(&bytes);
    }
    assert_int_equal(open_with(&c, CASES "b18_*", &o, &mega_text_encoder_bytes), MEGA_OK);
    assert_int_equal(mega_corpus_tokens(c), 256 + 6 + 13);
    assert_int_equal(mega_corpus_documents(c), 3);
    assert_int_equal(mega_corpus_bytes(c), 275);
    assert_non_null(strstr(logged, "b18_empty.txt is empty: skipped"));
    mega_corpus_close(c);
}

static void an_empty_corpus_is_refused(void **state)
{
    (void)state;
    struct mega_corpus_options o = options(MEGA_CORPUS_AUTO);
    struct mega_corpus *c;
    assert_int_equal(
        open_with(&c, CASES "b18_empty.txt", &o, &mega_text_encoder_bytes), MEGA_BAD_FILE);
    assert_string_equal(mega_message(), "task.train: the corpus is empty: no token in 1 file");
    make_file("blank.txt", "\n \n");
    o.format = MEGA_CORPUS_PARAGRAPHS;
    assert_int_equal(
        open_with(&c, HERE "/blank.txt", &o, &mega_text_encoder_bytes), MEGA_BAD_FILE);
    assert_int_equal(open_with(&c, "", &o, &mega_text_encoder_bytes), MEGA_BAD_ARGUMENT);
    assert_string_equal(mega_message(), "task.train: no file is given");
}

/* case B02: in data, text that spells a special token is text */
static void text_never_becomes_the_end_of_a_document(void **state)
{
    (void)state;
    struct mega_corpus_options o = options(MEGA_CORPUS_LINES);
    struct mega_corpus *c;
    o.end_of_document = MEGA_END_EOS;
    make_file("text.txt", "a<|endoftext|>b\n");
    assert_int_equal(open_with(&c, HERE "/text.txt", &o, &mega_text_encoder_bytes), MEGA_OK);
    assert_int_equal(mega_corpus_tokens(c), 15 + 1);
    assert_int_equal(mega_corpus_documents(c), 1);
    mega_corpus_close(c);
}

/* ---- documents ---- */

static void documents_end_as_the_recipe_says(void **state)
{
    (void)state;
    struct mega_corpus_options o = options(MEGA_CORPUS_LINES);
    struct mega_corpus *c;
    make_file("lines.txt", "ab\n\nc");
    assert_int_equal(open_with(&c, HERE "/lines.txt", &o, &mega_text_encoder_bytes), MEGA_OK);
    tokens_are(c, (const int[]){ 'a', 'b', 'c' }, 3);
    assert_int_equal(mega_corpus_documents(c), 2); /* an empty line is no document */
    assert_int_equal(mega_corpus_document(c, 1), 2);
    assert_int_equal(mega_corpus_bytes(c), 3);
    mega_corpus_close(c);
    o.end_of_document = MEGA_END_EOS;
    assert_int_equal(open_with(&c, HERE "/lines.txt", &o, &mega_text_encoder_bytes), MEGA_OK);
    tokens_are(c, (const int[]){ 'a', 'b', 256, 256, 'c', 256 }, 6);
    assert_int_equal(mega_corpus_documents(c), 3);
    assert_int_equal(mega_corpus_document_at(c, 3), 1);
    assert_int_equal(mega_corpus_document_at(c, 5), 2);
    /* the end token of a line stands for its newline */
    static const int64_t bytes[] = { 0, 1, 2, 3, 4, 5, 6 };
    for (int i = 0; i < 7; i++) assert_int_equal(mega_corpus_bytes_before(c, i), bytes[i]);
    mega_corpus_close(c);
    struct mega_text_encoder bare = mega_text_encoder_bytes;
    bare.eos = -1;
    assert_int_equal(open_with(&c, HERE "/lines.txt", &o, &bare), MEGA_BAD_ARGUMENT);
    assert_non_null(strstr(mega_message(), "task.end_of_document is 'eos', but the tokenizer"));
}

static void formats_follow_names_and_do_not_mix(void **state)
{
    (void)state;
    struct mega_corpus_options o = options(MEGA_CORPUS_AUTO);
    struct mega_corpus *c;
    make_file("one.jsonl", "{\"text\": \"ab\"}\n{\"text\": \"c\"}\n");
    assert_int_equal(open_with(&c, HERE "/one.jsonl", &o, &mega_text_encoder_bytes), MEGA_OK);
    tokens_are(c, (const int[]){ 'a', 'b', 'c' }, 3);
    mega_corpus_close(c);
    make_file("two.txt", "x");
    assert_int_equal(
        open_with(&c, HERE "/*.*", &o, &mega_text_encoder_bytes), MEGA_BAD_ARGUMENT);
    assert_non_null(strstr(mega_message(), "one.jsonl and " HERE "/two.txt are of different"));
    make_file("bad.jsonl", "{\"text\": \"ab\"}\n{\"txt\": \"c\"}\n");
    assert_int_equal(
        open_with(&c, HERE "/bad.jsonl", &o, &mega_text_encoder_bytes), MEGA_BAD_FILE);
    assert_string_equal(
        mega_message(), HERE "/bad.jsonl:2: the field \"text\" is missing (task.text_field)");
}

/* ---- an encoder of words, which is cut between them ---- */

static mega_status encode_words(
    void *arg, const char *text, size_t n, bool begins, struct mega_token_list *out)
{
    (void)arg;
    (void)begins;
    for (size_t i = 0; i < n;) {
        size_t k = i;
        while (k < n && text[k] != ' ') k++;
        /* an id for the length of the word and its blank */
        int32_t id = (int32_t)(k - i);
        MEGA_TRY(mega_token_list_add(out, &id, 1));
        i = k + 1;
    }
    return MEGA_OK;
}

static size_t cut_at_blank(void *arg, const char *text, size_t n)
{
    (void)arg;
    while (n && text[n - 1] != ' ') n--;
    return n;
}

static void a_long_document_is_cut_where_its_ids_do_not_change(void **state)
{
    (void)state;
    struct mega_text text = { 0 };
    for (int i = 0; i < 60000; i++) mega_text_add(&text, "%.*s ", i % 7, "wwwwwww");
    make_file("words.txt", text.data);
    struct mega_text_encoder e = { .encode = encode_words,
        .cut = cut_at_blank,
        .identity = 1,
        .vocabulary = 100000,
        .bos = -1,
        .eos = -1,
        .pad = -1 };
    struct mega_corpus_options o = options(MEGA_CORPUS_FILE);
    struct mega_corpus *cut, *whole;
    assert_int_equal(open_with(&cut, HERE "/words.txt", &o, &e), MEGA_OK);
    e.cut = NULL;
    e.identity = 2;
    assert_int_equal(open_with(&whole, HERE "/words.txt", &o, &e), MEGA_OK);
    assert_int_equal(mega_corpus_tokens(cut), 60000);
    assert_int_equal(mega_corpus_tokens(whole), 60000);
    int32_t *a = malloc(60000 * sizeof *a), *b = malloc(60000 * sizeof *b);
    mega_corpus_read(cut, 0, 60000, a);
    mega_corpus_read(whole, 0, 60000, b);
    assert_memory_equal(a, b, 60000 * sizeof *a);
    /* bytes before a token: exact at cuts, near between them */
    int64_t bytes = 0;
    for (int64_t i = 0; i < 60000; i++) {
        assert_true(llabs(mega_corpus_bytes_before(cut, i) - bytes) <= 8);
        bytes += i % 7 + 1;
    }
    assert_int_equal(mega_corpus_bytes_before(cut, 60000), (int64_t)text.size);
    free(a);
    free(b);
    mega_corpus_close(cut);
    mega_corpus_close(whole);
    mega_text_done(&text);
}

static void ids_outside_the_vocabulary_are_an_error(void **state)
{
    (void)state;
    struct mega_corpus_options o = options(MEGA_CORPUS_FILE);
    struct mega_corpus *c;
    struct mega_text_encoder e = mega_text_encoder_bytes;
    e.vocabulary = 'b';
    make_file("ab.txt", "ab");
    assert_int_equal(open_with(&c, HERE "/ab.txt", &o, &e), MEGA_INTERNAL);
    assert_string_equal(
        mega_message(), HERE "/ab.txt: the tokenizer gave the id 98, its vocabulary is 98");
}

/* ---- what is kept ---- */

static void tokens_are_kept_for_the_next_time(void **state)
{
    (void)state;
    struct mega_corpus_options o = options(MEGA_CORPUS_LINES);
    struct mega_corpus *c;
    make_file("kept.txt", "ab\nc\n");
    assert_int_equal(open_with(&c, HERE "/kept.txt", &o, &mega_text_encoder_bytes), MEGA_OK);
    assert_false(mega_corpus_was_cached(c));
    uint64_t hash = mega_corpus_hash(c);
    mega_corpus_close(c);
    assert_int_equal(open_with(&c, HERE "/kept.txt", &o, &mega_text_encoder_bytes), MEGA_OK);
    assert_true(mega_corpus_was_cached(c));
    assert_true(mega_corpus_hash(c) == hash);
    tokens_are(c, (const int[]){ 'a', 'b', 'c' }, 3);
    mega_corpus_close(c);
    /* another tokenizer, another option, another file of that name */
    struct mega_text_encoder e = mega_text_encoder_bytes;
    e.identity++;
    assert_int_equal(open_with(&c, HERE "/kept.txt", &o, &e), MEGA_OK);
    assert_false(mega_corpus_was_cached(c));
    mega_corpus_close(c);
    struct mega_corpus_options ended = o;
    ended.end_of_document = MEGA_END_EOS;
    assert_int_equal(
        open_with(&c, HERE "/kept.txt", &ended, &mega_text_encoder_bytes), MEGA_OK);
    assert_false(mega_corpus_was_cached(c));
    mega_corpus_close(c);
    make_file("kept.txt", "ab\nd\n");
    assert_int_equal(open_with(&c, HERE "/kept.txt", &o, &mega_text_encoder_bytes), MEGA_OK);
    assert_false(mega_corpus_was_cached(c));
    assert_false(mega_corpus_hash(c) == hash);
    mega_corpus_close(c);
}

static void kept_file(char *path, size_t size)
{
    struct mega_names n;
    assert_int_equal(mega_folder_list(CACHE, &n), MEGA_OK);
    assert_int_equal(n.n, 1);
    snprintf(path, size, CACHE "/%s", n.item[0]);
    mega_names_done(&n);
}

static void damaged_tokens_are_made_again(void **state)
{
    (void)state;
    struct mega_corpus_options o = options(MEGA_CORPUS_LINES);
    struct mega_corpus *c;
    struct mega_text good = { 0 };
    char path[256];
    make_file("kept.txt", "ab\nc\n");
    assert_int_equal(open_with(&c, HERE "/kept.txt", &o, &mega_text_encoder_bytes), MEGA_OK);
    mega_corpus_close(c);
    kept_file(path, sizeof path);
    assert_int_equal(mega_file_read(path, &good), MEGA_OK);
    for (size_t i = 0; i < good.size; i++) {
        /* a byte wrong, then the file cut there */
        good.data[i] ^= 1;
        assert_int_equal(mega_file_write(path, good.data, good.size), MEGA_OK);
        good.data[i] ^= 1;
        for (int k = 0; k < 2; k++) {
            if (k) assert_int_equal(mega_file_write(path, good.data, i), MEGA_OK);
            assert_int_equal(
                open_with(&c, HERE "/kept.txt", &o, &mega_text_encoder_bytes), MEGA_OK);
            assert_false(mega_corpus_was_cached(c));
            assert_non_null(strstr(logged, ": made again"));
            tokens_are(c, (const int[]){ 'a', 'b', 'c' }, 3);
            mega_corpus_close(c);
        }
    }
    kept_file(path, sizeof path); /* nothing else was left */
    mega_text_done(&good);
}

static void a_folder_that_keeps_nothing_is_no_obstacle(void **state)
{
    (void)state;
    struct mega_corpus_options o = options(MEGA_CORPUS_LINES);
    struct mega_corpus *c;
    make_file("kept.txt", "ab\nc\n");
    o.cache = HERE "/kept.txt";
    assert_int_equal(open_with(&c, HERE "/kept.txt", &o, &mega_text_encoder_bytes), MEGA_OK);
    assert_non_null(strstr(logged, "tokens cannot be kept in " HERE "/kept.txt"));
    tokens_are(c, (const int[]){ 'a', 'b', 'c' }, 3);
    mega_corpus_close(c);
    o.cache = "none";
    assert_int_equal(open_with(&c, HERE "/kept.txt", &o, &mega_text_encoder_bytes), MEGA_OK);
    assert_string_equal(logged, "");
    tokens_are(c, (const int[]){ 'a', 'b', 'c' }, 3);
    mega_corpus_close(c);
    assert_false(mega_path_exists(CACHE));
}

static void many_processes_may_make_them_at_once(void **state)
{
    (void)state;
    enum { PROCESSES = 6 };
    struct mega_corpus_options o = options(MEGA_CORPUS_LINES);
    struct mega_text text = { 0 };
    for (int i = 0; i < 20000; i++) mega_text_add(&text, "line %d\n", i);
    make_file("kept.txt", text.data);
    for (int i = 0; i < PROCESSES; i++) {
        if (fork()) continue;
        struct mega_corpus *c;
        bool fine = !open_with(&c, HERE "/kept.txt", &o, &mega_text_encoder_bytes) &&
                    mega_corpus_documents(c) == 20000;
        _exit(!fine);
    }
    for (int i = 0; i < PROCESSES; i++) {
        int result;
        wait(&result);
        assert_int_equal(result, 0);
    }
    char path[256];
    kept_file(path, sizeof path);
    struct mega_corpus *c;
    assert_int_equal(open_with(&c, HERE "/kept.txt", &o, &mega_text_encoder_bytes), MEGA_OK);
    assert_true(mega_corpus_was_cached(c));
    mega_corpus_close(c);
    mega_text_done(&text);
}

/* ---- memory ---- */

static void write_long_line(const char *path, int megabytes)
{
    FILE *f = fopen(path, "wb");
    char *piece = malloc(1 << 20);
    memset(piece, 'x', 1 << 20);
    for (int i = 0; i < megabytes; i++) fwrite(piece, 1, 1 << 20, f);
    free(piece);
    assert_int_equal(fclose(f), 0);
}

/* the child may allocate a few MiB; mapped files do not count */
static bool opens_in_little_memory(
    const char *path, const struct mega_corpus_options *o, int64_t tokens, size_t megabytes)
{
    pid_t child = fork();
    if (!child) {
        struct mega_corpus *c;
        struct rlimit limit = { megabytes << 20, megabytes << 20 };
        setrlimit(RLIMIT_DATA, &limit);
        int32_t last;
        bool fine = !open_with(&c, path, o, &mega_text_encoder_bytes) &&
                    mega_corpus_tokens(c) == tokens;
        if (fine) mega_corpus_read(c, tokens - 1, 1, &last);
        _exit(!fine || last != 'x');
    }
    int result;
    waitpid(child, &result, 0);
    return result == 0;
}

static void memory_does_not_grow_with_the_text(void **state)
{
    (void)state;
    const char *large = getenv("MEGA_LARGE");
    int megabytes = large ? atoi(large) : 50;
    static const int formats[] = { MEGA_CORPUS_FILE, MEGA_CORPUS_LINES, MEGA_CORPUS_PARAGRAPHS,
        MEGA_CORPUS_SEPARATOR };
    assert_int_equal(mega_folder_make(HERE), MEGA_OK);
    /* a sanitizer's own memory is data, too: then nothing can be said */
    struct mega_corpus_options small = options(MEGA_CORPUS_FILE);
    make_file("small.txt", "x");
    if (!opens_in_little_memory(HERE "/small.txt", &small, 1, 8)) skip();
    write_long_line(HERE "/long.txt", megabytes);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        struct mega_corpus_options o = options(formats[i]);
        assert_true(opens_in_little_memory(HERE "/long.txt", &o, (int64_t)megabytes << 20, 8));
    }
}

/* ---- splits ---- */

static void the_end_of_the_text_is_held_out(void **state)
{
    (void)state;
    struct mega_corpus_options o = options(MEGA_CORPUS_FILE);
    struct mega_corpus *c;
    struct mega_slice s[3];
    char text[201];
    memset(text, 'x', 200);
    text[200] = 0;
    make_file("one.txt", text);
    assert_int_equal(open_with(&c, HERE "/one.txt", &o, &mega_text_encoder_bytes), MEGA_OK);
    assert_int_equal(mega_corpus_share(c, "task.train", 0.05, 0.05, s), MEGA_OK);
    assert_int_equal(s[0].from, 0);
    assert_int_equal(s[0].to, 180);
    assert_int_equal(s[1].from, 180);
    assert_int_equal(s[1].to, 190);
    assert_int_equal(s[2].from, 190);
    assert_int_equal(s[2].to, 200);
    mega_corpus_close(c);
    /* in documents of 20 the cut moves to their beginning */
    for (int i = 19; i < 200; i += 20) text[i] = '\n';
    make_file("ten.txt", text);
    o.format = MEGA_CORPUS_LINES;
    o.end_of_document = MEGA_END_EOS;
    assert_int_equal(open_with(&c, HERE "/ten.txt", &o, &mega_text_encoder_bytes), MEGA_OK);
    assert_int_equal(mega_corpus_tokens(c), 200);
    assert_int_equal(mega_corpus_share(c, "task.train", 0.25, 0, s), MEGA_OK);
    assert_int_equal(s[0].to, 140);
    assert_int_equal(s[1].to, 200);
    /* but not where a document is longer than the share */
    assert_int_equal(mega_corpus_share(c, "task.train", 0.05, 0, s), MEGA_OK);
    assert_int_equal(s[0].to, 190);
    assert_int_equal(mega_corpus_share(c, "task.train", 0.95, 0, s), MEGA_BAD_ARGUMENT);
    assert_string_equal(mega_message(),
        "task.train: of 200 tokens in 10 documents nothing is left for training with "
        "task.hold_out 0.95 and task.test_share 0");
    mega_corpus_close(c);
}

static void splits_come_from_files_or_shares(void **state)
{
    (void)state;
    struct mega_corpus_options o = options(MEGA_CORPUS_FILE);
    struct mega_corpora *c;
    struct mega_slice s;
    make_file("train.txt", "0123456789");
    make_file("valid.txt", "abc");
    const char *train = HERE "/train.txt", *valid = HERE "/valid.txt";
    o.train = (struct mega_texts){ &train, 1 };
    o.valid = (struct mega_texts){ &valid, 1 };
    o.test_share = 0.2;
    assert_int_equal(mega_corpora_open(&c, &o, &mega_text_encoder_bytes, &log_here), MEGA_OK);
    assert_int_equal(mega_corpora_slice(c, 0, &s), MEGA_OK);
    assert_int_equal(s.to, 8); /* valid has a file: nothing is held out for it */
    assert_int_equal(mega_corpora_slice(c, 1, &s), MEGA_OK);
    assert_int_equal(s.to - s.from, 3);
    assert_int_equal(mega_corpora_slice(c, 2, &s), MEGA_OK);
    assert_int_equal(s.from, 8);
    assert_int_equal(s.to, 10);
    mega_corpora_close(c);
    o.test_share = 0;
    assert_int_equal(mega_corpora_open(&c, &o, &mega_text_encoder_bytes, &log_here), MEGA_OK);
    assert_int_equal(mega_corpora_slice(c, 2, &s), MEGA_BAD_ARGUMENT);
    assert_string_equal(
        mega_message(), "task.test: no file is given, and task.test_share is 0");
    mega_corpora_close(c);
}

static void tinyshakespeare_is_split_as_published(void **state)
{
    (void)state;
    const char *data = getenv("MEGA_DATA");
    char path[512];
    snprintf(path, sizeof path, "%s/lm/tinyshakespeare.txt.gz",
        data ? data : MEGA_SOURCE "/../shared/data");
    if (!mega_path_exists(path)) skip();
    struct mega_corpus_options o = options(MEGA_CORPUS_AUTO);
    struct mega_corpus *c;
    struct mega_slice s[3];
    assert_int_equal(open_with(&c, path, &o, &mega_text_encoder_bytes), MEGA_OK);
    assert_int_equal(mega_corpus_tokens(c), 1115394);
    assert_int_equal(mega_corpus_share(c, "task.train", 0.05, 0.05, s), MEGA_OK);
    assert_int_equal(s[0].to, 1003854);
    assert_int_equal(s[1].to, 1059624);
    mega_corpus_close(c);
}

int main(void)
{
#define WITH_FILES(test) cmocka_unit_test_setup_teardown(test, clean, clean)
    const struct CMUnitTest tests[] = {
        WITH_FILES(raw_bytes_are_what_they_are),
        WITH_FILES(an_empty_corpus_is_refused),
        WITH_FILES(text_never_becomes_the_end_of_a_document),
        WITH_FILES(documents_end_as_the_recipe_says),
        WITH_FILES(formats_follow_names_and_do_not_mix),
        WITH_FILES(a_long_document_is_cut_where_its_ids_do_not_change),
        WITH_FILES(ids_outside_the_vocabulary_are_an_error),
        WITH_FILES(tokens_are_kept_for_the_next_time),
        WITH_FILES(damaged_tokens_are_made_again),
        WITH_FILES(a_folder_that_keeps_nothing_is_no_obstacle),
        WITH_FILES(many_processes_may_make_them_at_once),
        WITH_FILES(memory_does_not_grow_with_the_text),
        WITH_FILES(the_end_of_the_text_is_held_out),
        WITH_FILES(splits_come_from_files_or_shares),
        WITH_FILES(tinyshakespeare_is_split_as_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
