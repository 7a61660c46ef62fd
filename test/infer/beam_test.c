/* Beam search over models whose probabilities stand in a table. */
#include "infer/beam.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"

#include "cmocka_all.h"

enum { END, PAD, A, B, C, V, MOST_ROWS = 24, MOST_LENGTH = 12 };

/* A model that knows its text: its logits are a function of the ids of a row. Sentence by
 * sentence of `beam` rows. */
struct book {
    int32_t text[MOST_ROWS][MOST_LENGTH + 1];
    int64_t n[MOST_ROWS];
    int64_t rows, beam;
    float logit[MOST_ROWS][V];
    void (*write)(
        const struct book *b, int64_t sentence, const int32_t *text, int64_t n, float *logit);
    uint64_t seed;
};

static mega_status feed(
    void *self, const int32_t **ids, int64_t T, const int32_t *len, const float **logit)
{
    struct book *b = self;
    assert_int_equal(T, 1);
    for (int64_t r = 0; r < b->rows; r++) {
        logit[r] = NULL;
        if (!len[r]) continue;
        assert_true(b->n[r] <= MOST_LENGTH);
        b->text[r][b->n[r]++] = ids[r][0];
        b->write(b, r / b->beam, b->text[r], b->n[r], b->logit[r]);
        logit[r] = b->logit[r];
    }
    return MEGA_OK;
}

static mega_status reorder(void *self, const int32_t *from)
{
    struct book *b = self;
    struct book was = *b;
    for (int64_t r = 0; r < b->rows; r++) {
        assert_int_equal(from[r] / b->beam, r / b->beam);
        memcpy(b->text[r], was.text[from[r]], sizeof b->text[r]);
        b->n[r] = was.n[from[r]];
    }
    return MEGA_OK;
}

static struct mega_beam_options plain(int64_t beam)
{
    return (struct mega_beam_options){ .beam = beam,
        .longest = 6,
        .least = 1,
        .length_penalty = 1,
        .temperature = 1,
        .start = END,
        .end = END,
        .pad = PAD,
        .unknown = -1 };
}

static struct mega_beam_results search(
    struct book *b, int64_t sentences, const struct mega_beam_options *o)
{
    struct mega_beam_results r;
    b->beam = o->beam;
    b->rows = sentences * o->beam;
    memset(b->n, 0, sizeof b->n);
    struct mega_stepper s = { .self = b,
        .rows = b->rows,
        .vocabulary = V,
        .piece = 1,
        .feed = feed,
        .reorder = reorder };
    assert_int_equal(mega_beam_search(&r, &s, sentences, o), MEGA_OK);
    return r;
}

static void expect(
    const struct mega_hypothesis *h, const int32_t *id, int64_t n, double sum, double score)
{
    assert_int_equal(h->n, n);
    assert_memory_equal(h->id, id, (size_t)n * sizeof *id);
    assert_float_equal(h->sum, sum, 1e-5);
    assert_float_equal(h->score, score, 1e-5);
    double all = 0;
    for (int64_t i = 0; i < n; i++) all += h->by[i];
    assert_float_equal(all, sum, 1e-5);
}

static void the_end_counts_in_the_length(void **state)
{
    (void)state;
    /* -0.5 over a word and the end, -1.5 over four words and the end */
    assert_float_equal(mega_beam_score(-0.5, 2, 1), -0.25, 1e-12);
    assert_float_equal(mega_beam_score(-1.5, 5, 1), -0.3, 1e-12);
    assert_float_equal(mega_beam_score(-0.5, 2, 0), -0.5, 1e-12);
    assert_float_equal(mega_beam_score(-1.5, 5, 0), -1.5, 1e-12);
}

static void set(float *logit, const double p[V])
{
    for (int i = 0; i < V; i++) logit[i] = p[i] > 0 ? (float)log(p[i]) : -INFINITY;
}

/* A then the end: 0.6 x 0.4; B, C, then the end: 0.4 x 0.9 x 0.9 */
static void write_two_ways(
    const struct book *b, int64_t sentence, const int32_t *text, int64_t n, float *logit)
{
    (void)b;
    static const double first[V] = { 0, 0, 0.6, 0.4, 0 },
                        after_a[V] = { 0.4, 0, 0.2, 0.2, 0.2 },
                        after_b[V] = { 0.1, 0, 0, 0, 0.9 }, after_c[V] = { 0.9, 0, 0.1, 0, 0 };
    int32_t last = text[n - 1];
    set(logit, n == 1 ? first : last == A ? after_a : last == B ? after_b : after_c);
    if (sentence == 1) logit[A] = -INFINITY; /* the second sentence knows no A */
}

static void a_wider_beam_finds_what_a_greedy_one_does_not(void **state)
{
    (void)state;
    static struct book book = { .write = write_two_ways };
    struct mega_beam_options o = plain(1);
    o.length_penalty = 0;
    struct mega_beam_results r = search(&book, 1, &o);
    expect(&r.found[0], (int32_t[]){ A, END }, 2, log(0.24), log(0.24));
    mega_beam_results_done(&r);
    o = plain(3);
    r = search(&book, 1, &o);
    double sum = log(0.4 * 0.9 * 0.9);
    expect(&r.found[0], (int32_t[]){ B, C, END }, 3, sum, sum / 3);
    expect(&r.found[1], (int32_t[]){ A, END }, 2, log(0.24), log(0.24) / 2);
    assert_int_equal(r.n[0], 3);
    mega_beam_results_done(&r);
}

static void sentences_are_searched_side_by_side(void **state)
{
    (void)state;
    static struct book book = { .write = write_two_ways };
    struct mega_beam_options o = plain(2);
    struct mega_beam_results r = search(&book, 2, &o);
    assert_int_equal(r.found[0].id[0], B);
    assert_int_equal(r.found[2].id[0], B);
    assert_float_equal(r.found[2].by[0], 0, 1e-6); /* B alone can begin the second */
    mega_beam_results_done(&r);
}

static void lengths_have_bounds(void **state)
{
    (void)state;
    static struct book book = { .write = write_two_ways };
    struct mega_beam_options o = plain(2);
    o.longest = 1; /* only the end can follow the first token */
    struct mega_beam_results r = search(&book, 1, &o);
    assert_int_equal(r.n[0], 2);
    for (int i = 0; i < 2; i++) assert_int_equal(r.found[i].n, 2);
    mega_beam_results_done(&r);
    o.longest = 6;
    o.least = 4;
    r = search(&book, 1, &o);
    for (int64_t i = 0; i < r.n[0]; i++) assert_true(r.found[i].n >= 5);
    mega_beam_results_done(&r);
}

/* A is always likeliest, the end never is */
static void write_the_same(
    const struct book *b, int64_t sentence, const int32_t *text, int64_t n, float *logit)
{
    (void)b, (void)sentence, (void)text, (void)n;
    set(logit, (double[V]){ 0.1, 0, 0.5, 0.25, 0.15 });
}

static void no_ngram_comes_twice(void **state)
{
    (void)state;
    static struct book book = { .write = write_the_same };
    struct mega_beam_options o = plain(3);
    o.ngram = 2;
    struct mega_beam_results r = search(&book, 1, &o);
    for (int64_t k = 0; k < r.n[0]; k++)
        for (int64_t i = 0; i + 2 < r.found[k].n; i++)
            for (int64_t j = 0; j < i; j++)
                assert_false(r.found[k].id[i] == r.found[k].id[j] &&
                             r.found[k].id[i + 1] == r.found[k].id[j + 1]);
    mega_beam_results_done(&r);
}

static void the_unknown_token_pays(void **state)
{
    (void)state;
    static struct book book = { .write = write_the_same };
    struct mega_beam_options o = plain(1);
    o.longest = 1;
    o.unknown = A;
    o.unknown_penalty = 1;
    struct mega_beam_results r = search(&book, 1, &o);
    assert_int_equal(r.found[0].id[0], B);
    assert_float_equal(r.found[0].by[0], log(0.25), 1e-6);
    mega_beam_results_done(&r);
}

/* ---- against trying everything ---- */

static void write_randomly(
    const struct book *b, int64_t sentence, const int32_t *text, int64_t n, float *logit)
{
    struct mega_rng g;
    mega_rng_start(&g, b->seed + (uint64_t)sentence, mega_hash(text, (size_t)n * sizeof *text));
    for (int i = 0; i < V; i++) logit[i] = 2 * (float)mega_rng_normal(&g);
}

struct best {
    const struct book *book;
    const struct mega_beam_options *o;
    double score;
    int32_t text[MOST_LENGTH + 1];
};

/* every text of up to `longest` tokens and its end */
static void try_all(struct best *b, int32_t *text, int64_t n, double sum)
{
    float logit[V];
    double all = 0;
    b->book->write(b->book, 0, text, n, logit);
    for (int i = 0; i < V; i++) all += exp((double)logit[i]);
    for (int32_t t = 0; t < V; t++) {
        if (t == PAD || (t != END && n > b->o->longest)) continue;
        double here = sum + (double)logit[t] - log(all);
        text[n] = t;
        if (t != END) {
            try_all(b, text, n + 1, here);
        } else if (n > b->o->least &&
                   mega_beam_score(here, n, b->o->length_penalty) > b->score) {
            b->score = mega_beam_score(here, n, b->o->length_penalty);
            memcpy(b->text, text + 1, (size_t)n * sizeof *text);
        }
    }
}

static void a_beam_as_wide_as_all_texts_finds_the_best(void **state)
{
    (void)state;
    static struct book book = { .write = write_randomly };
    struct mega_beam_options o = plain(4); /* V - 1 */
    o.longest = 2;
    o.least = 0;
    int found = 0;
    for (book.seed = 1; book.seed <= 20; book.seed++) {
        int32_t text[MOST_LENGTH + 1] = { END };
        struct best b = { &book, &o, -INFINITY, { 0 } };
        try_all(&b, text, 1, 0);
        struct mega_beam_results r = search(&book, 1, &o);
        assert_true(r.found[0].score <= b.score + 1e-5);
        found += fabs(r.found[0].score - b.score) < 1e-5;
        mega_beam_results_done(&r);
    }
    assert_true(found >= 18); /* 12 of 13 continuations are looked at */
}

static void options_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static struct book book = { .write = write_the_same };
    struct mega_stepper s = {
        .self = &book, .rows = 2, .vocabulary = V, .piece = 1, .feed = feed, .reorder = reorder
    };
    struct mega_beam_options o[4];
    for (int i = 0; i < 4; i++) o[i] = plain(2);
    o[0].beam = 0;
    o[1].least = 7;
    o[2].temperature = 0;
    o[3].beam = 3; /* not what the rows are */
    for (int i = 0; i < 4; i++) {
        struct mega_beam_results r;
        assert_int_not_equal(mega_beam_search(&r, &s, 1, &o[i]), MEGA_OK);
        mega_beam_results_done(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_counts_in_the_length),
        cmocka_unit_test(a_wider_beam_finds_what_a_greedy_one_does_not),
        cmocka_unit_test(sentences_are_searched_side_by_side),
        cmocka_unit_test(lengths_have_bounds),
        cmocka_unit_test(no_ngram_comes_twice),
        cmocka_unit_test(the_unknown_token_pays),
        cmocka_unit_test(a_beam_as_wide_as_all_texts_finds_the_best),
        cmocka_unit_test(options_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
