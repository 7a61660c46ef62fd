/* Texts go on from a file exactly where they stopped; what does not fit is refused. */
#include "infer/state.h"

#include <unistd.h>

#include "format/safetensors.h"
#include "model.h"

struct heard {
    int32_t id[2][64];
    int64_t n[2];
};

static enum mega_ending listen(void *arg, int64_t draft, const struct mega_draft *d)
{
    struct heard *h = arg;
    if (!d->ending) h->id[draft][h->n[draft]++] = d->id[d->n - 1];
    return MEGA_ENDING_NONE;
}

static struct mega_composer open(struct test_model *m, int64_t tokens, bool slide)
{
    struct mega_composer c;
    struct mega_compose_options o = { .sampling = mega_sampling_plain(),
        .rows = 2,
        .piece = 4,
        .tokens = tokens,
        .slide = slide };
    o.sampling.repetition_penalty = 1.2;
    assert_int_equal(mega_composer_init(&c, &m->step, m->run, mega_isa_here(), &o), MEGA_OK);
    return c;
}

static void start(struct mega_composer *c, int64_t texts)
{
    assert_int_equal(mega_composer_add(c, (int32_t[]){ 1, 2, 3 }, 3, 0), MEGA_OK);
    if (texts > 1) assert_int_equal(mega_composer_add(c, (int32_t[]){ 7 }, 1, 5), MEGA_OK);
}

static void run(struct mega_composer *c, struct heard *h)
{
    assert_int_equal(mega_composer_run(c, listen, h), MEGA_OK);
}

static const char path[] = "state_test.safetensors";

static void compare(int64_t longest, int64_t chunk, bool slide, int64_t texts)
{
    struct heard whole = { 0 }, parts = { 0 };
    struct test_model m;
    test_model_small(&m, longest, chunk, 1);
    struct mega_composer c = open(&m, 30, slide);
    start(&c, texts);
    run(&c, &whole);
    mega_composer_done(&c);

    c = open(&m, 11, slide);
    start(&c, texts);
    run(&c, &parts);
    assert_int_equal(mega_state_save(path, &c, "small"), MEGA_OK);
    mega_composer_done(&c);

    c = open(&m, 19, slide);
    assert_int_equal(mega_state_load(path, &c, "small"), MEGA_OK);
    for (int64_t k = 0; k < texts; k++)
        assert_int_equal(mega_composer_extend(&c, k, NULL, 0), MEGA_OK);
    run(&c, &parts);
    assert_memory_equal(&whole, &parts, sizeof whole);
    mega_composer_done(&c);
    test_model_close(&m);
}

static void saved_and_loaded_is_never_stopped(void **state)
{
    (void)state;
    for (int64_t texts = 1; texts <= 2; texts++) {
        compare(64, -1, false, texts); /* positions, attention to the start */
        compare(16, -1, true, texts);  /* that slides */
        compare(0, 6, false, texts);   /* attention in chunks */
        compare(0, -1, false, texts);  /* attention that grows */
    }
    unlink(path);
}

static void save_one(struct test_model *m)
{
    struct heard h = { 0 };
    struct mega_composer c = open(m, 9, false);
    start(&c, 2);
    run(&c, &h);
    assert_int_equal(mega_state_save(path, &c, "first"), MEGA_OK);
    mega_composer_done(&c);
}

static void expect_refusal(struct test_model *m, const char *word)
{
    struct mega_composer c = open(m, 5, false);
    assert_int_not_equal(mega_state_load(path, &c, "second"), MEGA_OK);
    assert_non_null(strstr(mega_message(), word));
    mega_composer_done(&c);
}

static void the_state_of_another_model_is_refused_by_name(void **state)
{
    (void)state;
    struct test_model m;
    test_model_small(&m, 64, -1, 1);
    save_one(&m);
    m.store.value[0] += 1;
    expect_refusal(&m, "of first");
    expect_refusal(&m, "second");
    test_model_close(&m);
    unlink(path);
}

/* writes the file again with one tensor changed */
static void change(const char *name, int kind)
{
    struct mega_safetensors s;
    assert_int_equal(mega_safetensors_open(&s, path), MEGA_OK);
    struct mega_st_tensor *t = calloc((size_t)s.n, sizeof *t);
    int n = 0;
    static int64_t numbers[4];
    for (int i = 0; i < s.n; i++) {
        t[n] = s.tensor[i];
        if (!strcmp(t[n].name, name)) {
            if (kind == 0) continue; /* missing */
            if (kind == 1) t[n].dim[0]--;
            if (kind == 2) {
                memcpy(numbers, t[n].data, sizeof numbers);
                numbers[3] += 1; /* one place more */
                t[n].data = numbers;
            }
            if (kind == 3) {
                static int32_t ids[64];
                memcpy(ids, t[n].data, t[n].size);
                ids[2] = 99;
                t[n].data = ids;
            }
        }
        n++;
    }
    assert_int_equal(
        mega_safetensors_write("changed.safetensors", t, n, s.meta, s.n_meta), MEGA_OK);
    free(t);
    mega_safetensors_close(&s);
    assert_int_equal(rename("changed.safetensors", path), 0);
}

static void files_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *tensor;
        int kind;
        const char *word;
    } cases[] = { { "text.1.ids", 0, "text.1.ids" }, { "text.0.sub.0.attn.keys", 0, "keys" },
        { "text.0.sub.2.attn.values", 1, "values" }, { "text.0.stands", 2, "stands" },
        { "text.0.ids", 3, "99" } };
    struct test_model m;
    test_model_small(&m, 64, -1, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        save_one(&m);
        change(cases[i].tensor, cases[i].kind);
        expect_refusal(&m, cases[i].word);
    }
    save_one(&m);
    assert_int_equal(truncate(path, 900), 0);
    expect_refusal(&m, path);
    assert_int_equal(mega_file_write(path, "hello", 5), MEGA_OK);
    expect_refusal(&m, path);
    test_model_close(&m);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(saved_and_loaded_is_never_stopped),
        cmocka_unit_test(the_state_of_another_model_is_refused_by_name),
        cmocka_unit_test(files_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
