/* Adaptive input and adaptive softmax: what their forms have in common, and what the original
 * code does otherwise. Parity in numbers: test/golden. */
#include <math.h>
#include <string.h>

#include "graph/ops.h"
#include "layer/adaptive_softmax.h"

#include "cmocka_all.h"

enum { V = 20, D = 8, B = 2, T = 3, ROWS = B * T, PAD = 1 };

/* bands 0 ... 7, 8 ... 13, 14 ... 19 of widths 8, 4, 2 */
static const struct mega_bands_options bands = {
    .vocabulary = V, .cutoffs = 2, .cutoff = { 8, 14 }, .factor = 2
};

struct trial {
    mega_context *context;
    mega_run *run;
    struct mega_store store;
    struct mega_adaptive_input input;
    struct mega_adaptive_softmax softmax;
    struct mega_rows rows;
    mega_tensor *x, *next;
};

/* Input and softmax with initial values of seed 1, and a run in which x goes to words `next`.
 */
static void begin(struct trial *t, bool tied, bool projections, bool skip, const int32_t *next)
{
    *t = (struct trial){ .rows = { .B = B, .T = T } };
    assert_int_equal(mega_context_new(&t->context, NULL), MEGA_OK);
    assert_int_equal(mega_run_new(&t->run, t->context), MEGA_OK);
    assert_int_equal(mega_store_init(&t->store), MEGA_OK);
    mega_build b = { .store = &t->store };
    struct mega_adaptive_input_options i = {
        .bands = bands, .input_width = D, .width = D, .pad = PAD, .scale = 1
    };
    mega_adaptive_input_build(&b, &t->input, &i);
    struct mega_adaptive_softmax_options o = { .bands = bands,
        .width = D,
        .tied = tied ? &t->input : NULL,
        .tied_projections = projections,
        .pad = PAD,
        .skip_pad_number = skip };
    mega_adaptive_softmax_build(&b, &t->softmax, &o);
    assert_int_equal(b.status, MEGA_OK);
    assert_int_equal(mega_store_lay_out(&t->store, true), MEGA_OK);
    mega_store_fill(&t->store, 1);
    mega_run_begin(t->run, &(struct mega_run_args){ .mode = MEGA_RUN_GRAD });
    t->x = mega_run_tensor(t->run, MEGA_F32, 3, (int64_t[]){ B, T, D });
    t->next = mega_run_tensor(t->run, MEGA_I32, 1, (int64_t[]){ ROWS });
    for (int i_x = 0; i_x < ROWS * D; i_x++) ((float *)t->x->data)[i_x] = (float)sin(i_x);
    memcpy(t->next->data, next, ROWS * sizeof *next);
}

static void end(struct trial *t)
{
    assert_int_equal(mega_run_end(t->run), MEGA_OK);
    mega_run_free(t->run);
    mega_store_done(&t->store);
    mega_context_free(t->context);
}

static bool touched(const struct trial *t, const char *name)
{
    const struct mega_param *p = mega_store_find(&t->store, name);
    if (!p) fail_msg("%s is not there", name);
    return p->touched;
}

static void check_probabilities(bool tied, bool projections)
{
    static const int32_t next[ROWS] = { 0, 7, 9, 13, -1, 19 };
    struct trial t;
    mega_tensor *each;
    double sum = 0;
    begin(&t, tied, projections, false, next);
    mega_tensor *loss =
        mega_adaptive_softmax_loss(t.run, &t.softmax, t.x, t.next, &t.rows, &each);
    mega_tensor *all = mega_adaptive_softmax_log_probs(t.run, &t.softmax, t.x);
    assert_int_equal(mega_width(all), V);
    for (int64_t r = 0; r < ROWS; r++) {
        double total = 0, want = next[r] < 0 ? 0 : -mega_get(all, r, next[r]);
        for (int64_t w = 0; w < V; w++) total += exp(mega_get(all, r, w));
        assert_true(fabs(total - 1) < 1e-5);
        assert_true(fabs(mega_get(each, 0, r) - want) < 1e-5);
        sum += want;
    }
    assert_true(fabs(mega_get(loss, 0, 0) - sum) < 1e-4);
    end(&t);
}

static void losses_are_those_of_the_probabilities(void **state)
{
    (void)state;
    check_probabilities(false, false);
    check_probabilities(true, false);
    check_probabilities(true, true);
}

static void a_band_without_a_word_is_left_alone(void **state)
{
    (void)state;
    static const int32_t next[ROWS] = { 0, 1, 14, 19, 15, 2 }; /* bands 0 and 2 */
    struct trial t;
    begin(&t, false, false, false, next);
    mega_tensor *tokens = mega_run_tensor(t.run, MEGA_I32, 2, (int64_t[]){ B, T });
    memcpy(tokens->data, next, sizeof next);
    mega_tensor *x = mega_adaptive_input_run(t.run, &t.input, tokens);
    mega_run_seed(
        t.run, mega_adaptive_softmax_loss(t.run, &t.softmax, x, t.next, &t.rows, NULL), 1);
    mega_run_backward(t.run);
    assert_true(touched(&t, "embeddings.0.0.weight"));
    assert_false(touched(&t, "embeddings.1.0.weight"));
    assert_false(touched(&t, "embeddings.1.1.weight"));
    assert_true(touched(&t, "embeddings.2.0.weight"));
    assert_true(touched(&t, "embeddings.2.1.weight"));
    assert_false(touched(&t, "tail.0.0.weight"));
    assert_false(touched(&t, "tail.0.2.weight"));
    assert_true(touched(&t, "tail.1.0.weight"));
    end(&t);
}

/* words 9 and 15 have number 1 in their tails, as padding has in the vocabulary */
static void the_original_leaves_out_a_word_of_each_tail(void **state)
{
    (void)state;
    static const int32_t next[ROWS] = { 9, 15, 10, 3, -1, 0 };
    struct trial t, original;
    mega_tensor *each, *theirs;
    begin(&t, false, false, false, next);
    begin(&original, false, false, true, next);
    mega_adaptive_softmax_loss(t.run, &t.softmax, t.x, t.next, &t.rows, &each);
    mega_adaptive_softmax_loss(
        original.run, &original.softmax, original.x, original.next, &original.rows, &theirs);
    for (int64_t r = 0; r < ROWS; r++) {
        if (r < 2)
            assert_true(mega_get(theirs, 0, r) < mega_get(each, 0, r) - 0.1);
        else
            assert_true(mega_get(theirs, 0, r) == mega_get(each, 0, r));
    }
    end(&original);
    end(&t);
}

static double row_norm(const struct trial *t, const char *name, int64_t row)
{
    const mega_tensor *w = &mega_store_find(&t->store, name)->value;
    double sum = 0;
    for (int64_t j = 0; j < mega_width(w); j++) sum += fabs(mega_get(w, row, j));
    return sum;
}

static void padding_alone_starts_at_zero(void **state)
{
    (void)state;
    static const int32_t next[ROWS] = { 0 };
    struct trial t;
    begin(&t, false, false, false, next);
    assert_true(row_norm(&t, "embeddings.0.0.weight", PAD) == 0);
    assert_true(row_norm(&t, "embeddings.0.0.weight", 0) > 0);
    assert_true(row_norm(&t, "embeddings.1.0.weight", PAD) > 0);
    end(&t);
}

static void refused(int64_t first, int64_t second, const char *why)
{
    struct mega_store store;
    struct mega_bands s;
    assert_int_equal(mega_store_init(&store), MEGA_OK);
    mega_build b = { .store = &store };
    mega_bands_build(&b, &s,
        &(struct mega_bands_options){
            .vocabulary = V, .cutoffs = 2, .cutoff = { first, second }, .factor = 4 });
    assert_int_equal(b.status, MEGA_BAD_ARGUMENT);
    if (!strstr(mega_message(), why)) fail_msg("%s", mega_message());
    mega_store_done(&store);
}

static void cutoffs_rise_within_the_vocabulary(void **state)
{
    (void)state;
    refused(8, 8, "cutoff 2 of the vocabulary is 8");
    refused(8, 21, "cutoff 2 of the vocabulary is 21");
    refused(0, 5, "cutoff 1 of the vocabulary is 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_are_those_of_the_probabilities),
        cmocka_unit_test(a_band_without_a_word_is_left_alone),
        cmocka_unit_test(the_original_leaves_out_a_word_of_each_tail),
        cmocka_unit_test(padding_alone_starts_at_zero),
        cmocka_unit_test(cutoffs_rise_within_the_vocabulary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
