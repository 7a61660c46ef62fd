/* Small tokenizers of many makes, and what Hugging Face's own library makes of texts by them
 * (make_expected.py). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"

#include "base/file.h"
#include "format/node.h"
#include "text/tokenizer.h"

#define FOLDER MEGA_SOURCE "/test/text/expected"

extern const struct mega_tokenizer_kind mega_tokenizer_kind_tokenizer_json;

static void open_inner(mega_tokenizer **t, const struct mega_document *d)
{
    struct mega_text text = { 0 };
    mega_json_add_node(&text, mega_node_find(d->root, "tokenizer"), 0);
    mega_status status = mega_tokenizer_read(
        t, &mega_tokenizer_kind_tokenizer_json, d->name, text.data, text.size);
    if (status) fail_msg("%s", mega_message());
    mega_text_done(&text);
}

/* "12 5 7" */
static void print_ids(const struct mega_ids *ids, struct mega_text *out)
{
    mega_text_clear(out);
    mega_text_add(out, "%s", "");
    for (size_t i = 0; i < ids->n; i++) mega_text_add(out, "%s%d", i ? " " : "", ids->id[i]);
}

static void print_list(const struct mega_node *list, struct mega_text *out)
{
    mega_text_clear(out);
    mega_text_add(out, "%s", "");
    for (const struct mega_node *n = list->first; n; n = n->next)
        mega_text_add(out, "%s%s", n == list->first ? "" : " ", n->text);
}

static int check_ids(const mega_tokenizer *t, const char *name, const struct mega_node *c,
    bool frame, struct mega_ids *ids)
{
    const struct mega_node *text = mega_node_find(c, "text");
    struct mega_encode_options how = { .specials = true, .frame = frame };
    struct mega_text got = { 0 }, want = { 0 };
    ids->n = 0;
    if (mega_tokenizer_encode(t, text->text, text->size, &how, ids))
        fail_msg("%s: '%s': %s", name, text->text, mega_message());
    print_ids(ids, &got);
    print_list(mega_node_find(c, frame ? "frame" : "ids"), &want);
    int wrong = strcmp(got.data, want.data) != 0;
    if (wrong)
        print_error("%s: '%s'%s\n  got  %s\n  want %s\n", name, text->text,
            frame ? " framed" : "", got.data, want.data);
    mega_text_done(&got);
    mega_text_done(&want);
    return wrong;
}

/* the original writes U+FFFD for bytes that are no character; here bytes stay what they are */
static int check_back(const mega_tokenizer *t, const char *name, const struct mega_node *c,
    bool specials, const struct mega_ids *ids)
{
    const struct mega_node *want = mega_node_find(c, specials ? "back_special" : "back");
    struct mega_decode_options how = { .specials = specials };
    char *got;
    size_t size;
    if (mega_tokenizer_decode(t, ids->id, ids->n, &how, &got, &size))
        fail_msg("%s: %s", name, mega_message());
    bool replaced = strstr(want->text, "\xEF\xBF\xBD") != NULL;
    int wrong = !replaced && (size != want->size || memcmp(got, want->text, size) != 0);
    if (wrong) print_error("%s: back\n  got  '%s'\n  want '%s'\n", name, got, want->text);
    free(got);
    return wrong;
}

static void every_file_agrees(void **state)
{
    (void)state;
    struct mega_names names;
    int wrong = 0, cases = 0;
    assert_int_equal(mega_folder_list(FOLDER, &names), MEGA_OK);
    for (int i = 0; i < names.n; i++) {
        char path[512];
        struct mega_document d;
        mega_tokenizer *t;
        struct mega_ids ids = { 0 };
        snprintf(path, sizeof path, FOLDER "/%s", names.item[i]);
        assert_int_equal(mega_json_load(&d, path), MEGA_OK);
        open_inner(&t, &d);
        /* null: the original puts blanks between pieces; here only where blanks were dropped */
        const struct mega_node *decoder = mega_node_find(d.root, "tokenizer.decoder");
        bool decodes = decoder && decoder->kind != MEGA_NODE_NULL;
        for (const struct mega_node *c = mega_node_find(d.root, "cases")->first; c;
             c = c->next, cases++) {
            wrong += check_ids(t, names.item[i], c, true, &ids);
            wrong += check_ids(t, names.item[i], c, false, &ids);
            if (decodes) wrong += check_back(t, names.item[i], c, false, &ids);
            if (decodes) wrong += check_back(t, names.item[i], c, true, &ids);
        }
        mega_ids_done(&ids);
        mega_tokenizer_close(t);
        mega_document_done(&d);
    }
    mega_names_done(&names);
    assert_true(cases > 300);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_file_agrees) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
