/* Long documents and tokenizers that do not say where a text may be cut. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"

#include "base/file.h"
#include "data/corpus.h"
#include "data/text_cut.h"
#include "format/node.h"
#include "megac/tokenizer.h"

static const char *data_path(const char *name)
{
    static char path[2][512];
    static int k;
    const char *data = getenv("MEGA_DATA");
    k = !k;
    snprintf(
        path[k], sizeof path[k], "%s/%s", data ? data : MEGA_SOURCE "/../shared/data", name);
    return path[k];
}

/* ---- an encoder of letters and blanks that a test can bend ---- */

struct rule {
    bool marks_begin; /* an id of its own where a text begins */
    size_t longest;   /* the longest text that was asked for */
};

static mega_status encode(
    void *arg, const char *text, size_t n, bool begins, struct mega_token_list *out)
{
    struct rule *r = arg;
    (void)begins;
    if (n > r->longest) r->longest = n;
    if (r->marks_begin) MEGA_TRY(mega_token_list_add(out, &(int32_t){ 1 }, 1));
    for (size_t i = 0; i < n;) {
        /* a word with the blank before it: its bytes as one number */
        size_t k = i + 1;
        while (k < n && text[k] != ' ' && text[k] != '\n') k++;
        uint32_t id = 7;
        for (; i < k; i++) id = id * 31 + (unsigned char)text[i];
        MEGA_TRY(mega_token_list_add(out, &(int32_t){ (int32_t)(id % 60000) + 2 }, 1));
    }
    return MEGA_OK;
}

static struct mega_text_encoder encoder_of(struct rule *r, uint64_t identity)
{
    return (struct mega_text_encoder){ .arg = r,
        .encode = encode,
        .identity = identity,
        .vocabulary = 70000,
        .bos = -1,
        .eos = -1,
        .pad = -1 };
}

static void words(struct mega_text *t, int n)
{
    for (int i = 0; i < n; i++)
        mega_text_add(t, "%s%c%.*s\xC3\xA9%d", i ? " " : "", 'a' + i % 26, i % 5, "xyzxyz", i);
}

static void the_parts_have_the_ids_of_the_whole(void **state)
{
    (void)state;
    struct rule r = { 0 };
    struct mega_text_encoder e = encoder_of(&r, 1);
    struct mega_text t = { 0 };
    struct mega_token_list ids = { 0 }, whole = { 0 };
    size_t cut;
    words(&t, 5000);
    mega_text_add(&t, " last words");
    assert_int_equal(mega_text_cut(&e, t.data, t.size, true, &ids, &cut), MEGA_OK);
    assert_true(cut > t.size / 2 && cut < t.size);
    assert_int_equal(t.data[cut], ' ');
    assert_int_equal(encode(&r, t.data + cut, t.size - cut, false, &ids), MEGA_OK);
    assert_int_equal(encode(&r, t.data, t.size, true, &whole), MEGA_OK);
    assert_int_equal(ids.n, whole.n);
    assert_memory_equal(ids.id, whole.id, (size_t)ids.n * sizeof *ids.id);
    mega_token_list_done(&ids);
    mega_token_list_done(&whole);
    mega_text_done(&t);
}

static void no_place_is_taken_where_ids_would_change(void **state)
{
    (void)state;
    struct rule r = { .marks_begin = true };
    struct mega_text_encoder e = encoder_of(&r, 1);
    struct mega_text t = { 0 };
    struct mega_token_list ids = { 0 };
    size_t cut;
    words(&t, 5000);
    assert_int_equal(mega_text_cut(&e, t.data, t.size, true, &ids, &cut), MEGA_OK);
    assert_int_equal(cut, 0);
    assert_int_equal(ids.n, 0);
    mega_text_done(&t);
}

/* ---- corpora ---- */

static struct mega_corpus *open_file(const char *path, const struct mega_text_encoder *e)
{
    struct mega_corpus_options o;
    struct mega_corpus *c;
    mega_option_defaults(mega_corpus_options, &o);
    o.end_of_document = MEGA_END_NONE;
    o.format = MEGA_CORPUS_FILE;
    o.cache = "none";
    assert_int_equal(
        mega_corpus_open(&c, "task.train", &(struct mega_texts){ &path, 1 }, &o, e, NULL),
        MEGA_OK);
    return c;
}

static void corpus_is(const struct mega_corpus *c, const struct mega_token_list *want)
{
    int32_t *got = malloc((size_t)(want->n + 1) * sizeof *got);
    assert_int_equal(mega_corpus_tokens(c), want->n);
    mega_corpus_read(c, 0, want->n, got);
    assert_memory_equal(got, want->id, (size_t)want->n * sizeof *got);
    free(got);
}

static void a_long_document_is_never_encoded_whole(void **state)
{
    (void)state;
    struct mega_text t = { 0 };
    words(&t, 900000); /* some 10 MB */
    assert_int_equal(mega_file_write("text_cut.txt", t.data, t.size), MEGA_OK);
    for (int marks = 0; marks < 2; marks++) {
        struct rule r = { .marks_begin = marks };
        struct mega_text_encoder e = encoder_of(&r, 1 + (uint64_t)marks);
        struct mega_token_list whole = { 0 };
        struct mega_corpus *c = open_file("text_cut.txt", &e);
        /* unless it has to */
        assert_true(marks ? r.longest == t.size : r.longest < 3 << 20);
        assert_int_equal(encode(&r, t.data, t.size, true, &whole), MEGA_OK);
        corpus_is(c, &whole);
        mega_corpus_close(c);
        mega_token_list_done(&whole);
    }
    remove("text_cut.txt");
    mega_text_done(&t);
}

/* ---- a real tokenizer ---- */

static mega_status take(void *arg, const int32_t *id, size_t n)
{
    return mega_token_list_add(arg, id, (int64_t)n);
}

struct real {
    mega_tokenizer *tokenizer;
    size_t longest;
};

static mega_status encode_real(
    void *arg, const char *text, size_t n, bool begins, struct mega_token_list *out)
{
    struct real *r = arg;
    struct mega_encode_options how = { .inside = !begins };
    if (n > r->longest) r->longest = n;
    return mega_tokenizer_encode_each(r->tokenizer, text, n, &how, take, out);
}

/* the novel in the data folder, through a tokenizer there: byte-level merges; two that put a
 * blank before a text */
static void a_novel_has_its_ids(const char *tokenizer)
{
    struct real t = { 0 };
    struct mega_text novel = { 0 };
    struct mega_token_list whole = { 0 };
    assert_int_equal(mega_tokenizer_open(&t.tokenizer, data_path(tokenizer)), MEGA_OK);
    const char *path = data_path("lm/war_and_peace.txt.gz");
    struct mega_text_encoder e = { .arg = &t,
        .encode = encode_real,
        .identity = 1,
        .vocabulary = mega_tokenizer_size(t.tokenizer),
        .bos = -1,
        .eos = -1,
        .pad = -1 };
    struct mega_corpus *c = open_file(path, &e);
    if (t.longest >= 2 << 20) fail_msg("%s takes the novel whole", tokenizer);
    assert_int_equal(mega_file_read_gz(path, &novel), MEGA_OK);
    assert_int_equal(encode_real(&t, novel.data, novel.size, true, &whole), MEGA_OK);
    corpus_is(c, &whole);
    mega_corpus_close(c);
    mega_token_list_done(&whole);
    mega_text_done(&novel);
    mega_tokenizer_close(t.tokenizer);
}

static void a_novel_has_the_ids_that_it_has_whole(void **state)
{
    (void)state;
    if (!mega_path_exists(data_path("weights/gpt2_vocab"))) skip();
    a_novel_has_its_ids("weights/gpt2_vocab");
    a_novel_has_its_ids("weights/stories260K/tok512.bin");
    a_novel_has_its_ids("weights/llama_tokenizer/tokenizer.json.gz");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_parts_have_the_ids_of_the_whole),
        cmocka_unit_test(no_place_is_taken_where_ids_would_change),
        cmocka_unit_test(a_long_document_is_never_encoded_whole),
        cmocka_unit_test(a_novel_has_the_ids_that_it_has_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
