/* Losses on numbers worked out by hand, by every kernel and by the references. */
#include <math.h>
#include <stdio.h>

#include "graph/ops.h"

#include "cmocka_all.h"

enum { ROWS = 3, V = 5 };

/* three rows of five words; the last target is padding */
static float logits[ROWS][V] = { { 2, 0.5f, -1, 0, 1 }, { 0.1f, 3, 0.2f, -0.5f, 0 },
    { 1, 1, 1, 1, 1 } };
static int32_t targets[ROWS] = { 0, 4, -1 };

/* The reference rule: all five words in the smoothing sum, padded targets nowhere. The logs of
 * the sums of exponentials are 2.574438 and 3.178830; -log p of the targets 0.574438 and
 * 3.178830, on average over all words 2.074438 and 2.618830:
 * 0.9 * 3.753268 + 0.1 * 4.693268 = 3.847268. */
static const double summed = 3.847268, summed_nll = 3.753268;

static void close_to(double got, double want, const char *what)
{
    if (!(fabs(got - want) <= 5e-6)) fail_msg("%s is %.7f, expected %.7f", what, got, want);
}

/* x w^T = logits, with w the identity */
struct trial {
    mega_context *context;
    mega_run *run;
    mega_tensor *logits, *w, *target;
};

static void begin(struct trial *t, const char *rooms)
{
    struct mega_context_options o = { .rooms = rooms };
    assert_int_equal(mega_context_new(&t->context, &o), MEGA_OK);
    assert_int_equal(mega_run_new(&t->run, t->context), MEGA_OK);
    mega_run_begin(t->run, &(struct mega_run_args){ .mode = MEGA_RUN_GRAD });
    t->logits = mega_run_tensor(t->run, MEGA_F32, 2, (int64_t[]){ ROWS, V });
    t->w = mega_run_tensor(t->run, MEGA_F32, 2, (int64_t[]){ V, V });
    t->target = mega_run_tensor(t->run, MEGA_I32, 1, (int64_t[]){ ROWS });
    for (int64_t r = 0; r < ROWS; r++) mega_put(t->target, 0, r, targets[r]);
    for (int64_t r = 0; r < ROWS; r++)
        for (int64_t j = 0; j < V; j++) mega_put(t->logits, r, j, (double)logits[r][j]);
    for (int64_t r = 0; r < V; r++)
        for (int64_t j = 0; j < V; j++) mega_put(t->w, r, j, r == j);
    t->logits->wants_grad = true;
}

static void end(struct trial *t)
{
    assert_int_equal(mega_run_end(t->run), MEGA_OK);
    mega_run_free(t->run);
    mega_context_free(t->context);
}

/* d = p - 0.1/5 - 0.9 [target], 0 in the ignored row */
static void check_gradient(const struct trial *t)
{
    for (int64_t r = 0; r < ROWS; r++) {
        double sum = 0;
        for (int64_t j = 0; j < V; j++) sum += exp((double)logits[r][j]);
        for (int64_t j = 0; j < V; j++) {
            double p = exp((double)logits[r][j]) / sum;
            double want = targets[r] < 0 ? 0 : p - 0.02 - (j == targets[r] ? 0.9 : 0);
            close_to(mega_get(t->logits->grad, r, j), want, "a gradient");
        }
    }
}

static void smoothing(const char *rooms)
{
    struct trial t;
    begin(&t, rooms);
    mega_tensor *loss = smoothed_cross_entropy(t.run, t.logits, t.target, 0.1),
                *nll = cross_entropy(t.run, t.logits, t.target);
    close_to(mega_get(loss, 0, 0), summed, "the smoothed loss");
    close_to(mega_get(nll, 0, 0), summed_nll, "the loss");
    mega_run_seed(t.run, loss, 1);
    mega_run_backward(t.run);
    check_gradient(&t);
    end(&t);
}

static void output(const char *rooms)
{
    struct trial t;
    mega_tensor *nll;
    begin(&t, rooms);
    mega_tensor *loss = output_loss(t.run, t.logits, t.w, NULL, t.target, 0.1, &nll);
    close_to(mega_get(loss, 0, 0), summed, "the smoothed loss");
    close_to(mega_get(nll, 0, 0) + mega_get(nll, 0, 1), summed_nll, "the sum of the rows");
    close_to(mega_get(nll, 0, 2), 0, "an ignored row");
    mega_run_seed(t.run, loss, 1);
    mega_run_backward(t.run);
    check_gradient(&t);
    end(&t);
}

static void smoothing_counts_every_word_and_no_padding(void **state)
{
    (void)state;
    smoothing(NULL);
    smoothing("none");
    output(NULL);
    output("none");
}

/* 2 tokens: 3.847268 / 2 / log 2 = 2.775, 3.753268 / 2 / log 2 = 2.707 and 2^2.707 = 6.53 */
static void what_is_logged_follows(void **state)
{
    (void)state;
    char text[64];
    double bits = summed_nll / 2 / log(2);
    snprintf(text, sizeof text, "%.3f %.3f %.2f", summed / 2 / log(2), bits, pow(2, bits));
    assert_string_equal(text, "2.775 2.707 6.53");
}

/* A target of 1 - q for its word and q / (V - 1) for each other is ours with q V / (V - 1);
 * where the prediction is the target itself the loss is its entropy: 1.362429 for V = 32000, q
 * = 0.1. */
static void entropy(const char *rooms, double by)
{
    enum { WORDS = 32000 };
    struct mega_context_options o = { .rooms = rooms };
    struct trial t;
    double q = 0.1;
    assert_int_equal(mega_context_new(&t.context, &o), MEGA_OK);
    assert_int_equal(mega_run_new(&t.run, t.context), MEGA_OK);
    mega_run_begin(t.run, &(struct mega_run_args){ 0 });
    mega_tensor *x = mega_run_tensor(t.run, MEGA_F32, 2, (int64_t[]){ 1, WORDS }),
                *word = mega_run_tensor(t.run, MEGA_I32, 1, (int64_t[]){ 1 });
    mega_put(word, 0, 0, 7);
    for (int64_t j = 0; j < WORDS; j++)
        mega_put(x, 0, j, log(j == 7 ? 1 - q : q / (WORDS - 1)));
    mega_tensor *loss = smoothed_cross_entropy(t.run, x, word, q * WORDS / (WORDS - 1));
    double got = mega_get(loss, 0, 0);
    if (!(fabs(got / 1.362429 - 1) <= by)) fail_msg("%.7f, expected 1.362429", got);
    end(&t);
}

static void a_prediction_like_the_target_leaves_its_entropy(void **state)
{
    (void)state;
    entropy("none", 1e-6);
    entropy(NULL, 3e-5); /* sums of 32000 numbers in float32 */
}

/* z = 0.5: rows add 0.5 * 2.574438^2 and 0.5 * 3.178830^2 */
static void the_divisor_of_the_softmax_can_be_held(void **state)
{
    (void)state;
    struct trial t;
    begin(&t, NULL);
    struct mega_attr_cross_entropy a = { .z = 0.5 };
    struct mega_call c = {
        .op = &mega_op_cross_entropy, .in = { t.logits, t.target }, .attr = &a
    };
    double first = 2.574438, second = 3.178830;
    close_to(mega_get(mega_run_call(t.run, &c, NULL), 0, 0),
        summed_nll + 0.5 * (first * first + second * second), "the loss with z");
    end(&t);
}

/* what leaves at each of three gates, and what remains, is a distribution */
static void gates_chained_are_a_distribution(void **state)
{
    (void)state;
    static const double z[3] = { -0.7, 1.9, 40 };
    struct trial t;
    double sum = 0, entropy = 0, parts = 0;
    begin(&t, NULL);
    mega_tensor *remains = NULL;
    for (int k = 0; k <= 3; k++) {
        struct mega_call c = { .op = &mega_op_exit_gate };
        c.in[MEGA_EXIT_GATE_REST] = remains;
        c.in[MEGA_EXIT_GATE_Z] = mega_run_tensor(t.run, MEGA_F32, 2, (int64_t[]){ 1, 1 });
        if (k < 3) mega_put(c.in[MEGA_EXIT_GATE_Z], 0, 0, z[k]);
        double p = mega_get(k < 3 ? mega_run_call(t.run, &c, NULL) : remains, 0, 0);
        sum += p;
        if (p > 0) entropy -= p * log(p);
        if (k == 3) break;
        remains = c.out[MEGA_EXIT_GATE_REMAINS];
        parts += mega_get(c.out[MEGA_EXIT_GATE_ENTROPY], 0, 0);
    }
    close_to(sum, 1, "the sum of what leaves");
    close_to(parts, entropy, "the entropy");
    end(&t);
}

static void a_batch_of_padding_has_no_loss(void **state)
{
    (void)state;
    struct trial t;
    mega_tensor *nll;
    begin(&t, NULL);
    for (int64_t r = 0; r < ROWS; r++) mega_put(t.target, 0, r, -1);
    mega_tensor *loss = output_loss(t.run, t.logits, t.w, NULL, t.target, 0.1, &nll);
    assert_true(mega_get(loss, 0, 0) == 0 && mega_get(nll, 0, 1) == 0);
    mega_run_seed(t.run, loss, 1);
    mega_run_backward(t.run);
    for (int64_t j = 0; j < V; j++) assert_true(mega_get(t.logits->grad, 1, j) == 0);
    end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(smoothing_counts_every_word_and_no_padding),
        cmocka_unit_test(what_is_logged_follows),
        cmocka_unit_test(a_prediction_like_the_target_leaves_its_entropy),
        cmocka_unit_test(the_divisor_of_the_softmax_can_be_held),
        cmocka_unit_test(a_batch_of_padding_has_no_loss),
        cmocka_unit_test(gates_chained_are_a_distribution),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
