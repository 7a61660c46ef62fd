/* Texts that are composed side by side: each as if alone, ends, contexts, going on. */
#include "infer/composer.h"

#include "model.h"

enum { MOST = 16 };

/* what a run of the composer left */
struct heard {
    int32_t id[MOST][700];
    int64_t n[MOST];
    enum mega_ending ending[MOST];
    int64_t stop_after, stop_draft; /* the listener's own end */
};

static enum mega_ending listen(void *arg, int64_t draft, const struct mega_draft *d)
{
    struct heard *h = arg;
    if (d->ending) {
        h->ending[draft] = d->ending;
        return MEGA_ENDING_NONE;
    }
    if (h->n[draft] < 700) h->id[draft][h->n[draft]] = d->id[d->n - 1];
    h->n[draft]++;
    return h->stop_after && draft == h->stop_draft && h->n[draft] == h->stop_after
               ? MEGA_ENDING_STOP
               : MEGA_ENDING_NONE;
}

static struct mega_compose_options options(double temperature, int64_t tokens, int64_t rows)
{
    struct mega_compose_options o = {
        .sampling = mega_sampling_plain(), .rows = rows, .piece = 16, .tokens = tokens
    };
    o.sampling.temperature = temperature;
    return o;
}

static struct mega_composer open(struct test_model *m, const struct mega_compose_options *o)
{
    struct mega_composer c;
    assert_int_equal(mega_composer_init(&c, &m->step, m->run, mega_isa_here(), o), MEGA_OK);
    return c;
}

static void add(struct mega_composer *c, const int32_t *id, int64_t n, uint64_t number)
{
    assert_int_equal(mega_composer_add(c, id, n, number), MEGA_OK);
}

static void run(struct mega_composer *c, struct heard *h)
{
    assert_int_equal(mega_composer_run(c, listen, h), MEGA_OK);
}

/* ---- the real model ---- */

static const int32_t lily[] = { 1, 317, 391, 266, 261, 280, 294 };
enum { LILY = 7, NEW = 20 };

/* the bytes that follow */
static void print(
    const struct test_words *w, const struct mega_draft *d, int64_t from, struct mega_text *to)
{
    mega_text_clear(to);
    for (int64_t i = from; i < d->n; i++) test_words_add(w, d->id[i - 1], d->id[i], to);
}

static void greedy_text_is_that_of_the_reference_program(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        int64_t given, steps; /* its steps count every place */
    } cases[] = { { "greedy_200_no_prompt.txt", 1, 200 },
        { "greedy_256_lily.txt", LILY, 256 } };
    struct test_model m;
    struct test_words w;
    if (!test_model_stories(&m, 1)) skip();
    test_words_open(&w);
    for (int k = 0; k < 2; k++) {
        struct mega_compose_options o = options(0, cases[k].steps + 1 - cases[k].given, 1);
        struct mega_composer c = open(&m, &o);
        static struct heard h;
        struct mega_text text = { 0 }, wanted = { 0 };
        char name[256], path[1024];
        memset(&h, 0, sizeof h);
        snprintf(name, sizeof name, "weights/stories260K/%s", cases[k].file);
        assert_int_equal(mega_file_read(test_data(name, path), &wanted), MEGA_OK);
        add(&c, lily, cases[k].given, 0);
        run(&c, &h);
        print(&w, &c.draft[0], 1, &text);
        mega_text_add(&text, "\n"); /* the program ends its output so */
        assert_string_equal(text.data, wanted.data);
        mega_text_done(&text);
        mega_text_done(&wanted);
        mega_composer_done(&c);
    }
    mega_map_close(&w.map);
    test_model_close(&m);
}

static const int32_t dog[] = { 1, 385, 328, 432, 261, 370, 352, 266, 400, 428 };

/* the prompts of case B07, in this order, `rows` at a time */
static void compose_prompts(struct test_model *m, const struct test_words *w, const int *order,
    int n, int64_t rows, const char *const *wanted)
{
    const int32_t *const prompt[3] = { lily, dog, lily };
    const int64_t size[3] = { LILY, 10, 1 };
    static struct heard h;
    memset(&h, 0, sizeof h);
    struct mega_compose_options o = options(0, NEW, rows);
    struct mega_composer c = open(m, &o);
    struct mega_text text = { 0 };
    for (int i = 0; i < n; i++) add(&c, prompt[order[i]], size[order[i]], 0);
    run(&c, &h);
    for (int i = 0; i < n; i++) {
        print(w, &c.draft[i], size[order[i]], &text);
        assert_string_equal(text.data, wanted[order[i]]);
        assert_int_equal(h.ending[i], MEGA_ENDING_TOKENS);
    }
    mega_text_done(&text);
    mega_composer_done(&c);
}

static void prompts_of_different_lengths_do_not_meet(void **state)
{
    (void)state;
    static const char *const wanted[3] = {
        " named Max. Max was very happy. He wanted to play with his friend",
        " named Max went to the park with his mom. They saw a big b",
        "Once upon a time, there was a little girl named Lily. She loved to play",
    };
    static const int orders[][3] = { { 0, 1, 2 }, { 2, 1, 0 }, { 1, 0, 2 } };
    struct test_model m;
    struct test_words w;
    if (!test_model_stories(&m, 1)) skip();
    test_words_open(&w);
    for (int i = 0; i < 3; i++)
        for (int64_t rows = 1; rows <= 3; rows++) /* alone; with one left over; together */
            compose_prompts(&m, &w, orders[i], 3, rows, wanted);
    for (int i = 0; i < 3; i++) compose_prompts(&m, &w, &orders[0][i], 1, 1, wanted);
    mega_map_close(&w.map);
    test_model_close(&m);
}

static void the_context_of_the_real_model_ends_at_512(void **state)
{
    (void)state;
    struct test_model m;
    static struct heard h;
    static int32_t full[513];
    if (!test_model_stories(&m, 1)) skip();
    for (int i = 0; i < 513; i++) full[i] = i ? 300 + i % 100 : 1;
    /* 600 tokens from the begin token alone: 512 places, and the token after the last */
    struct mega_compose_options o = options(0, 600, 2);
    struct mega_composer c = open(&m, &o);
    memset(&h, 0, sizeof h);
    add(&c, lily, 1, 0);
    add(&c, full, 512, 0);
    assert_int_equal(mega_composer_add(&c, full, 513, 0), MEGA_BAD_ARGUMENT);
    assert_non_null(strstr(mega_message(), "513"));
    assert_non_null(strstr(mega_message(), "512"));
    run(&c, &h);
    assert_int_equal(h.n[0], 512);
    assert_int_equal(h.ending[0], MEGA_ENDING_CONTEXT);
    assert_int_equal(h.n[1], 1);
    assert_int_equal(h.ending[1], MEGA_ENDING_CONTEXT);
    mega_composer_done(&c);
    test_model_close(&m);
}

/* ---- small models ---- */

/* the four texts of a small model at temperature 1, `rows` side by side */
static void compose_four(struct heard *h, int64_t longest, int64_t chunk, int64_t rows,
    int64_t repeats, int threads, double penalty)
{
    static const int32_t prompt[4][9] = { { 1, 2, 3 }, { 4 }, { 5, 6, 7, 8, 9, 10, 11, 12, 1 },
        { 3, 3 } };
    static const int64_t size[4] = { 3, 1, 9, 2 };
    struct test_model m;
    test_model_small(&m, longest, chunk, threads);
    struct mega_compose_options o = options(1, 12, rows);
    o.piece = 4;
    o.sampling.repetition_penalty = penalty;
    struct mega_composer c = open(&m, &o);
    memset(h, 0, sizeof *h);
    for (int64_t k = 0; k < 4 * repeats; k++)
        add(&c, prompt[k % 4], size[k % 4], (uint64_t)(k / 4));
    run(&c, h);
    mega_composer_done(&c);
    test_model_close(&m);
}

static void equal_seeds_give_equal_texts_at_any_batch_and_threads(void **state)
{
    (void)state;
    static struct heard alone, together;
    static const int64_t chunks[] = { -1, 6 };
    for (int i = 0; i < 2; i++)
        for (int penalty = 1; penalty <= 2; penalty++) {
            compose_four(&alone, 64, chunks[i], 1, 4, 1, penalty);
            for (int64_t rows = 2; rows <= 16; rows += 7)
                for (int threads = 1; threads <= 3; threads++) {
                    compose_four(&together, 64, chunks[i], rows, 4, threads, penalty);
                    assert_memory_equal(&alone, &together, sizeof alone);
                }
        }
    /* samples of one prompt differ, and so do seeds */
    assert_memory_not_equal(alone.id[0], alone.id[4], 12 * sizeof(int32_t));
}

static void an_end_token_ends_its_text_alone(void **state)
{
    (void)state;
    static struct heard free, ended;
    static const int32_t prompt[2][2] = { { 1, 2 }, { 5, 6 } };
    struct test_model m;
    test_model_small(&m, 64, -1, 1);
    int32_t end = -1;
    for (int k = 0; k < 2; k++) {
        struct mega_compose_options o = options(1, 20, 2);
        o.end = &end;
        o.n_end = k;
        struct mega_composer c = open(&m, &o);
        struct heard *h = k ? &ended : &free;
        memset(h, 0, sizeof *h);
        add(&c, prompt[0], 2, 0);
        add(&c, prompt[1], 2, 1);
        run(&c, h);
        mega_composer_done(&c);
        end = free.id[0][5];
    }
    int64_t n = ended.n[0];
    assert_true(n <= 6);
    assert_int_equal(ended.ending[0], MEGA_ENDING_END);
    assert_int_equal(ended.id[0][n - 1], end);
    assert_memory_equal(ended.id[0], free.id[0], (size_t)n * sizeof(int32_t));
    assert_memory_equal(ended.id[1], free.id[1], (size_t)ended.n[1] * sizeof(int32_t));
    test_model_close(&m);
}

static void a_listener_ends_a_text(void **state)
{
    (void)state;
    static struct heard h;
    struct test_model m;
    test_model_small(&m, 64, -1, 1);
    struct mega_compose_options o = options(1, 20, 2);
    struct mega_composer c = open(&m, &o);
    memset(&h, 0, sizeof h);
    h.stop_draft = 1;
    h.stop_after = 3;
    add(&c, (int32_t[]){ 1 }, 1, 0);
    add(&c, (int32_t[]){ 2 }, 1, 0);
    run(&c, &h);
    assert_int_equal(h.n[1], 3);
    assert_int_equal(h.ending[1], MEGA_ENDING_STOP);
    assert_int_equal(h.n[0], 20);
    mega_composer_done(&c);
    test_model_close(&m);
}

static void positions_end_the_context_and_it_slides_only_when_asked(void **state)
{
    (void)state;
    static struct heard h;
    struct test_model m;
    int32_t prompt[20] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 1, 2, 3, 4, 5, 6, 7, 8 };
    test_model_small(&m, 16, -1, 1);
    for (int slide = 0; slide < 2; slide++) {
        struct mega_compose_options o = options(0, 100, 1);
        o.slide = slide;
        struct mega_composer c = open(&m, &o);
        memset(&h, 0, sizeof h);
        add(&c, prompt, 4, 0);
        run(&c, &h);
        assert_int_equal(h.n[0], slide ? 100 : 13);
        assert_int_equal(h.ending[0], slide ? MEGA_ENDING_TOKENS : MEGA_ENDING_CONTEXT);
        assert_int_equal(mega_composer_add(&c, prompt, 20, 0), slide ? 0 : MEGA_BAD_ARGUMENT);
        mega_composer_done(&c);
    }
    test_model_close(&m);
}

/* after the context is full its later half is read in afresh: the next token is that of a text
 * of these ids alone */
static void what_slides_is_the_later_half(void **state)
{
    (void)state;
    static struct heard h, half;
    struct test_model m;
    test_model_small(&m, 16, -1, 1);
    struct mega_compose_options o = options(0, 14, 1);
    o.slide = true;
    struct mega_composer c = open(&m, &o);
    memset(&h, 0, sizeof h);
    add(&c, (int32_t[]){ 1, 2, 3, 4 }, 4, 0);
    run(&c, &h);
    o.tokens = 1;
    struct mega_composer d = open(&m, &o);
    memset(&half, 0, sizeof half);
    add(&d, c.draft[0].id + 17 - 8, 8, 0);
    run(&d, &half);
    assert_int_equal(h.id[0][13], half.id[0][0]);
    mega_composer_done(&c);
    mega_composer_done(&d);
    test_model_close(&m);
}

static void unlimited_attention_without_a_limit_grows(void **state)
{
    (void)state;
    static struct heard h, again;
    struct test_model m;
    test_model_small(&m, 0, -1, 1);
    for (int side = 1; side <= 2; side++) {
        struct mega_compose_options o = options(1, 0, side);
        struct mega_composer c = open(&m, &o);
        struct heard *to = side == 1 ? &h : &again;
        memset(to, 0, sizeof *to);
        to->stop_after = 600;
        add(&c, (int32_t[]){ 1, 2 }, 2, 0);
        if (side == 2) add(&c, (int32_t[]){ 5 }, 1, 0);
        c.options.tokens = 600;
        run(&c, to);
        assert_int_equal(to->n[0], 600);
        mega_composer_done(&c);
    }
    assert_memory_equal(h.id[0], again.id[0], sizeof h.id[0]);
    test_model_close(&m);
}

static void a_text_goes_on_where_it_ended(void **state)
{
    (void)state;
    static struct heard whole, parts;
    static const int64_t chunks[] = { -1, 6 };
    for (int i = 0; i < 2; i++) {
        struct test_model m;
        test_model_small(&m, 64, chunks[i], 1);
        struct mega_compose_options o = options(1, 20, 2);
        struct mega_composer c = open(&m, &o);
        memset(&whole, 0, sizeof whole);
        add(&c, (int32_t[]){ 1, 2 }, 2, 0);
        add(&c, (int32_t[]){ 5 }, 1, 0);
        run(&c, &whole);
        mega_composer_done(&c);

        o.tokens = 8;
        c = open(&m, &o);
        memset(&parts, 0, sizeof parts);
        add(&c, (int32_t[]){ 1, 2 }, 2, 0);
        add(&c, (int32_t[]){ 5 }, 1, 0);
        run(&c, &parts);
        c.options.tokens = 12;
        for (int k = 0; k < 2; k++)
            assert_int_equal(mega_composer_extend(&c, k, NULL, 0), MEGA_OK);
        run(&c, &parts);
        assert_memory_equal(&whole, &parts, sizeof whole);

        /* and with something put in between as if it had stood in the prompt */
        int32_t more[3] = { 7, 8, 9 };
        assert_int_equal(mega_composer_extend(&c, 0, more, 3), MEGA_OK);
        run(&c, &parts);
        assert_int_equal(parts.n[0], 32);
        struct mega_composer d = open(&m, &o);
        memset(&whole, 0, sizeof whole);
        add(&d, c.draft[0].id, 25, 0);
        d.options.tokens = 12;
        run(&d, &whole);
        assert_memory_equal(whole.id[0], parts.id[0] + 20, 12 * sizeof(int32_t));
        mega_composer_done(&c);
        mega_composer_done(&d);
        test_model_close(&m);
    }
}

static void ids_that_are_none_are_refused(void **state)
{
    (void)state;
    struct test_model m;
    test_model_small(&m, 16, -1, 1);
    struct mega_compose_options o = options(0, 4, 1);
    struct mega_composer c = open(&m, &o);
    assert_int_equal(mega_composer_add(&c, (int32_t[]){ 1, 13 }, 2, 0), MEGA_BAD_ARGUMENT);
    assert_int_equal(mega_composer_add(&c, (int32_t[]){ -1 }, 1, 0), MEGA_BAD_ARGUMENT);
    assert_int_equal(mega_composer_add(&c, NULL, 0, 0), MEGA_BAD_ARGUMENT);
    mega_composer_done(&c);
    test_model_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_text_is_that_of_the_reference_program),
        cmocka_unit_test(prompts_of_different_lengths_do_not_meet),
        cmocka_unit_test(the_context_of_the_real_model_ends_at_512),
        cmocka_unit_test(equal_seeds_give_equal_texts_at_any_batch_and_threads),
        cmocka_unit_test(an_end_token_ends_its_text_alone),
        cmocka_unit_test(a_listener_ends_a_text),
        cmocka_unit_test(positions_end_the_context_and_it_slides_only_when_asked),
        cmocka_unit_test(what_slides_is_the_later_half),
        cmocka_unit_test(unlimited_attention_without_a_limit_grows),
        cmocka_unit_test(a_text_goes_on_where_it_ended),
        cmocka_unit_test(ids_that_are_none_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
