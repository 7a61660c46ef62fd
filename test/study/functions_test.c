/* What heads do, told from weights made by hand: confidence, positions, rare tokens, syntax,
 * rollout; and sentences in CoNLL-U. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "study/conllu.h"
#include "study/head_functions.h"
#include "study/head_syntax.h"

#include "cmocka_all.h"

/* two layers of two heads, without a model behind them */
static struct mega_attention attention[2];
static struct mega_model_attention layers[2] = {
    { .path = "0", .heads = 2, .kept = &attention[0].kept, .attention = &attention[0] },
    { .path = "1", .heads = 2, .kept = &attention[1].kept, .attention = &attention[1] },
};
static const int32_t numbers[] = { 0, 1 };
static const struct mega_model_heads heads = { layers, 2, 2 };

static void begin(struct mega_head_maps *m, int64_t T, bool causal)
{
    for (int l = 0; l < 2; l++)
        attention[l].kept =
            (struct mega_kept_heads){ .heads = 2, .groups = 2, .number = numbers };
    assert_int_equal(mega_head_maps_new(m, 2, 2, T), MEGA_OK);
    for (int64_t i = 0; i < T; i++) {
        m->from[i] = 0;
        m->to[i] = (int32_t)(causal ? i + 1 : T);
        m->id[i] = (int32_t)i;
    }
    for (int c = 0; c < 4; c++) {
        m->there[c] = true;
        m->gate[c] = 1;
    }
}

static void set(
    struct mega_head_maps *m, int64_t layer, int64_t head, int64_t i, int64_t j, double w)
{
    mega_map_row(m, layer, head, i)[j] = (float)w;
}

static void near(double got, double want, const char *what)
{
    if (!(fabs(got - want) <= 1e-6)) fail_msg("%s is %.7f, expected %.7f", what, got, want);
}

static void confidence_leaves_the_end_token_out(void **state)
{
    (void)state;
    enum { END = 2 };
    struct mega_head_maps m;
    struct mega_head_functions f;
    begin(&m, 3, false);
    /* the end gets most, 0.3 and 0.2 are the largest of the rest; the end's own query not
     * counted */
    const double w[3][3] = { { 0.1, 0.3, 0.6 }, { 0.2, 0.1, 0.7 }, { 0, 0.9, 0.1 } };
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) set(&m, 0, 1, i, j, w[i][j]);
    assert_int_equal(mega_head_functions_new(&f, &heads, 3, END, NULL, 0), MEGA_OK);
    mega_head_functions_see(&f, &m);
    mega_head_functions_finish(&f);
    near(*mega_head_at(&f.confidence, 0, 1), 0.25, "the confidence");
    double entropy = -(0.1 * log(0.1) + 0.3 * log(0.3) + 0.6 * log(0.6) + 0.2 * log(0.2) +
                         0.1 * log(0.1) + 0.7 * log(0.7)) /
                     2;
    near(*mega_head_at(&f.entropy, 0, 1), entropy, "the entropy");
    near(*mega_head_at(&f.relative, 0, 1), entropy / log(3), "the relative entropy");
    near(*mega_head_at(&f.distance, 0, 1), (0.3 + 2 * 0.6 + 0.2 + 0.7) / 2, "the distance");
    mega_head_functions_free(&f);
    mega_head_maps_free(&m);
}

static void shifts_are_positional_from_nine_tenths_on(void **state)
{
    (void)state;
    enum { T = 100 };
    struct mega_head_maps m;
    struct mega_head_functions f;
    begin(&m, T, false);
    /* head 0: 90 queries look one back, the others at themselves; head 1: 89 look one on */
    for (int64_t i = 0; i < T; i++) {
        set(&m, 0, 0, i, i >= 10 ? i - 1 : i, 1);
        set(&m, 0, 1, i, i < 89 ? i + 1 : i, 1);
    }
    assert_int_equal(mega_head_functions_new(&f, &heads, T, -1, NULL, 0), MEGA_OK);
    mega_head_functions_see(&f, &m);
    mega_head_functions_finish(&f);
    near(*mega_head_at(&f.position, 0, 0), 0.90, "the share");
    near(f.exists[T - 1], 99, "queries with a place before");
    near(*mega_head_at(&f.where, 0, 0), -1, "the offset");
    near(*mega_head_at(&f.position, 0, 1), 0.89, "the share");
    near(*mega_head_at(&f.where, 0, 1), 1, "the offset");
    assert_true(mega_head_is_positional(*mega_head_at(&f.position, 0, 0)));
    assert_false(mega_head_is_positional(*mega_head_at(&f.position, 0, 1)));
    mega_head_functions_free(&f);
    /* without the one query that has no place after it */
    assert_int_equal(mega_head_functions_new(&f, &heads, T, -1, NULL, 0), MEGA_OK);
    f.skip_border = true;
    mega_head_functions_see(&f, &m);
    mega_head_functions_finish(&f);
    near(*mega_head_at(&f.position, 0, 1), 89.0 / 99, "the share");
    mega_head_functions_free(&f);
    mega_head_maps_free(&m);
}

static void the_rarest_token_is_found(void **state)
{
    (void)state;
    enum { V = 600, T = 4 };
    int64_t count[V];
    for (int i = 0; i < V; i++) count[i] = 1000 - i;
    struct mega_head_maps m;
    struct mega_head_functions f;
    begin(&m, T, false);
    const int32_t ids[] = { 1, 599, 550, 2 };
    memcpy(m.id, ids, sizeof ids);
    const int at[] = { 1, 1, 2, 0 };
    for (int i = 0; i < T; i++) set(&m, 1, 0, i, at[i], 1);
    assert_int_equal(mega_head_functions_new(&f, &heads, T, -1, count, V), MEGA_OK);
    mega_head_functions_see(&f, &m);
    /* a text without rare tokens does not count */
    for (int i = 0; i < T; i++) m.id[i] = i;
    mega_head_functions_see(&f, &m);
    mega_head_functions_finish(&f);
    near(*mega_head_at(&f.rarest, 1, 0), 0.5, "the share at the rarest");
    near(*mega_head_at(&f.rare_two, 1, 0), 0.75, "the share at the two rarest");
    /* 2 of 4 queries are no majority */
    near(*mega_head_at(&f.majority, 1, 0), 0, "the share of texts");
    mega_head_functions_free(&f);
    mega_head_maps_free(&m);
}

static const char parsed[] = "# text = Big dogs see cats.\n"
                             "1\tBig\tbig\tADJ\t_\t_\t2\tamod\t_\t_\n"
                             "2\tdogs\tdog\tNOUN\t_\t_\t3\tnsubj\t_\t_\n"
                             "3\tsee\tsee\tVERB\t_\t_\t0\troot\t_\t_\n"
                             "4-5\tcats.\t_\t_\t_\t_\t_\t_\t_\t_\n"
                             "4\tcats\tcat\tNOUN\t_\t_\t3\tobj\t_\tSpaceAfter=No\n"
                             "4.1\tx\tx\tX\t_\t_\t_\t_\t_\t_\n"
                             "5\t.\t.\tPUNCT\t_\t_\t3\tpunct\t_\t_\n\n";

static void heads_that_follow_syntax_are_found(void **state)
{
    (void)state;
    struct mega_conllu c;
    struct mega_head_maps m;
    struct mega_head_syntax s;
    assert_int_equal(mega_conllu_parse(&c, "test", parsed, strlen(parsed)), MEGA_OK);
    assert_int_equal(c.n, 1);
    assert_int_equal(c.sentence[0].n, 5);
    assert_string_equal(c.sentence[0].word[1].form, "dogs");
    assert_int_equal(c.sentence[0].word[1].head, 2);
    assert_false(c.sentence[0].word[3].space);
    /* "dogs" in two pieces, which together get more than any other word */
    begin(&m, 6, false);
    const int32_t word_of[] = { 0, 1, 1, 2, 3, 4 };
    set(&m, 0, 0, 3, 1, 0.3);
    set(&m, 0, 0, 3, 2, 0.3);
    set(&m, 0, 0, 3, 4, 0.4);
    set(&m, 0, 0, 4, 3, 1);
    assert_int_equal(mega_head_syntax_new(&s, &heads), MEGA_OK);
    assert_int_equal(mega_head_syntax_see(&s, &m, word_of, &c.sentence[0]), MEGA_OK);
    mega_head_syntax_finish(&s);
    near(*mega_head_at(&s.score[1], 0, 0), 1, "verb to subject");
    near(*mega_head_at(&s.score[0], 0, 0), 0, "subject to verb");
    near(*mega_head_at(&s.score[2], 0, 0), 1, "object to verb");
    near(*mega_head_at(&s.score[3], 0, 0), 0, "verb to object");
    near(s.baseline[1], 1, "the baseline of one pair");
    assert_true(mega_head_is_syntactic(0.6, 0.5));
    assert_false(mega_head_is_syntactic(0.59, 0.5));
    mega_head_syntax_free(&s);
    mega_head_maps_free(&m);
    mega_conllu_done(&c);
}

static void what_is_no_sentence_is_refused_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } bad[] = {
        { "1\tBig\n", "t:1: expected 10 columns" },
        { "2\ta\t_\t_\t_\t_\t0\troot\t_\t_\n", "t:1: words are not numbered" },
        { "1\ta\t_\t_\t_\t_\tx\troot\t_\t_\n", "t:1: the head (column 7)" },
        { "1\ta\t_\t_\t_\t_\t9\tobj\t_\t_\n\n", "depends on itself or on none of it" },
        { "1\ta\t_\t_\t_\t_\t1\tobj\t_\t_\n", "depends on itself or on none of it" },
        { "1\t\t_\t_\t_\t_\t0\troot\t_\t_\n", "the word (column 2) is empty" },
        { "# nothing\n\n", "t holds no sentence" },
        { "", "t holds no sentence" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct mega_conllu c;
        assert_int_equal(
            mega_conllu_parse(&c, "t", bad[i].text, strlen(bad[i].text)), MEGA_BAD_FILE);
        if (!strstr(mega_message(), bad[i].says)) fail_msg("said: %s", mega_message());
    }
}

static void rollout_multiplies_the_layers(void **state)
{
    (void)state;
    struct mega_head_maps m;
    double out[4];
    begin(&m, 2, false);
    /* layer 0: both heads look at place 0; layer 1: closed */
    for (int h = 0; h < 2; h++)
        for (int i = 0; i < 2; i++) set(&m, 0, h, i, 0, 1);
    m.gate[2] = m.gate[3] = 0;
    assert_int_equal(mega_head_rollout(&m, out), MEGA_OK);
    near(out[0], 1, "the first place");
    near(out[2], 0.5, "what the second has of the first");
    near(out[3], 0.5, "what it has of itself");
    mega_head_maps_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(confidence_leaves_the_end_token_out),
        cmocka_unit_test(shifts_are_positional_from_nine_tenths_on),
        cmocka_unit_test(the_rarest_token_is_found),
        cmocka_unit_test(heads_that_follow_syntax_are_found),
        cmocka_unit_test(what_is_no_sentence_is_refused_with_its_line),
        cmocka_unit_test(rollout_multiplies_the_layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
