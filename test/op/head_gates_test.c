/* Gates of heads: values, probabilities and draws against those worked out by hand; what is
 * closed is exactly 0; limits that cannot close or open are refused by name. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/ops.h"
#include "op/hard_concrete.h"

#include "cmocka_all.h"

static const struct mega_hard_concrete usual = { 0.33, -0.1, 1.1, 1e-6 };

static void near(double got, double want, double by, const char *what, double a)
{
    if (!(fabs(got - want) <= by))
        fail_msg("%s of %g is %.9f, expected %.9f", what, a, got, want);
}

static void gates_and_probabilities_are_those_of_the_table(void **state)
{
    (void)state;
    static const double table[][6] = {
        /* a, gate, its slope, P(open), P(0), P(1) */
        { -6, 0, 0, 0.005439063, 0.994560937, 0.001122240 },
        { -3, 0, 0, 0.098972427, 0.901027573, 0.022068132 },
        { -2.5, 0, 0, 0.153333114, 0.846666886, 0.035870671 },
        { -1, 0.222729706, 0.235934320, 0.448014901, 0.551985099, 0.142912747 },
        { 0, 0.5, 0.3, 0.688111565, 0.311888435, 0.311888435 },
        { 0.5, 0.646951197, 0.282004455, 0.784368066, 0.215631934, 0.427684304 },
        { 1, 0.777270294, 0.235934320, 0.857087253, 0.142912747, 0.551985099 },
        { 2.5, 1, 0, 0.964129329, 0.035870671, 0.846666886 },
        { 6, 1, 0, 0.998877760, 0.001122240, 0.994560937 },
        /* closed is not unlikely: the thresholds are -ln 11 and ln 11 */
        { -2.39, 0.000726, NAN, 0.168164, NAN, NAN },
        { -2.41, 0, NAN, 0.165385, NAN, NAN },
        { 2.41, 1, NAN, NAN, NAN, NAN },
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const double *row = table[i];
        double slope, a = row[0], by = isnan(row[2]) ? 5e-7 : 1e-9, got[5];
        double t = mega_hard_stretch(&usual, a, NULL, &slope);
        got[0] = mega_hard_gate(&usual, a);
        got[1] = t > 0 && t < 1 ? slope : 0;
        got[2] = mega_hard_open(&usual, a);
        got[3] = 1 - got[2];
        got[4] = mega_hard_full(&usual, a);
        for (int k = 0; k < 5; k++)
            if (!isnan(row[k + 1])) near(got[k], row[k + 1], by, "a number", a);
        if (a <= -2.41) assert_true(got[0] <= 0 && got[0] >= 0);
    }
}

static void noise_acts_as_in_the_table(void **state)
{
    (void)state;
    static const double table[][6] = {
        /* a, u, stretched, gate, slope */
        { 0, 0.1, -0.098461915, 0, 0 },
        { 0, 0.3, -0.014494004, 0, 0 },
        { 0, 0.5, 0.5, 0.5, 0.909090909 },
        { 1, 0.3, 0.636394998, 0.636394998, 0.862112133 },
        { 1, 0.5, 1.044709393, 1, 0 },
        { -1, 0.5, -0.044709393, 0, 0 },
        { -1, 0.9, 1.068940649, 1, 0 },
        { 3, 0.1, 1.003140311, 1, 0 },
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const double *row = table[i];
        double slope, t = mega_hard_stretch(&usual, row[0], &row[1], &slope);
        near(t, row[2], 1e-9, "stretched", row[0]);
        near(mega_hard_cut(t), row[3], 1e-9, "gate", row[0]);
        near(t > 0 && t < 1 ? slope : 0, row[4], 1e-9, "slope", row[0]);
    }
}

struct trial {
    mega_context *context;
    mega_run *run;
};

static void open(struct trial *t)
{
    assert_int_equal(mega_context_new(&t->context, NULL), MEGA_OK);
    assert_int_equal(mega_run_new(&t->run, t->context), MEGA_OK);
}

static void done(struct trial *t)
{
    mega_run_free(t->run);
    mega_context_free(t->context);
}

/* gates of B texts of T places, in TRAIN of step `step` */
static mega_tensor *draw(struct trial *t, int64_t H, double a, enum mega_gate_noise noise,
    const struct mega_rows *rows, int64_t step)
{
    struct mega_attr_hard_concrete attr;
    memset(&attr, 0, sizeof attr);
    attr.gate = usual;
    attr.noise = noise;
    attr.channels = 2;
    mega_run_begin(
        t->run, &(struct mega_run_args){ .mode = MEGA_RUN_TRAIN, .now = { 7, step } });
    mega_tensor *log_a = mega_run_tensor(t->run, MEGA_F32, 1, &H);
    for (int64_t h = 0; h < H; h++) mega_put(log_a, 0, h, a);
    mega_tensor *g = mega_run_call(t->run,
        &(struct mega_call){
            .op = &mega_op_hard_concrete, .in = { log_a }, .attr = &attr, .rows = rows },
        "gate");
    assert_non_null(g);
    return g;
}

static void draws_have_the_distribution(void **state)
{
    (void)state;
    enum { H = 1000000 };
    static const double table[][4] = {
        /* a, P(0), P(1), P(below 0.4) */
        { -3, 0.9010, 0.0221, 0.9473 },
        { -1, 0.5520, 0.1429, 0.7087 },
        { 0, 0.3119, 0.3119, 0.4723 },
        { 0.7, 0.1837, 0.4772, 0.3077 },
        { 2, 0.0578, 0.7701, 0.1080 },
        { 3, 0.0221, 0.9010, 0.0427 },
    };
    struct trial t;
    struct mega_rows rows = { .B = 1, .T = 1 };
    open(&t);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const float *g =
            draw(&t, H, table[i][0], MEGA_GATE_NOISE_BATCH, &rows, (int64_t)i)->data;
        double closed = 0, full = 0, low = 0;
        for (int64_t h = 0; h < H; h++) {
            closed += g[h] <= 0;
            full += g[h] >= 1;
            low += (double)g[h] < 0.4;
        }
        near(closed / H, table[i][1], 3e-3, "P(0)", table[i][0]);
        near(full / H, table[i][2], 3e-3, "P(1)", table[i][0]);
        near(low / H, table[i][3], 3e-3, "F(0.4)", table[i][0]);
        assert_int_equal(mega_run_end(t.run), MEGA_OK);
    }
    done(&t);
}

static void noise_is_shared_as_far_as_it_says(void **state)
{
    (void)state;
    enum { B = 2, T = 3, H = 5 };
    struct trial t;
    struct mega_rows rows = { .B = B, .T = T };
    float batch[H], example[B * H], element[B * T * H * 2];
    open(&t);
    memcpy(batch, draw(&t, H, 0, MEGA_GATE_NOISE_BATCH, &rows, 1)->data, sizeof batch);
    memcpy(example, draw(&t, H, 0, MEGA_GATE_NOISE_EXAMPLE, &rows, 1)->data, sizeof example);
    memcpy(element, draw(&t, H, 0, MEGA_GATE_NOISE_ELEMENT, &rows, 1)->data, sizeof element);
    assert_memory_not_equal(example, example + H, H * sizeof *example);
    assert_memory_not_equal(element, element + H * 2, H * 2 * sizeof *element);
    /* the same place in the same step draws the same, another step does not */
    assert_memory_equal(
        batch, draw(&t, H, 0, MEGA_GATE_NOISE_BATCH, &rows, 1)->data, sizeof batch);
    assert_memory_not_equal(
        batch, draw(&t, H, 0, MEGA_GATE_NOISE_BATCH, &rows, 2)->data, sizeof batch);
    /* a text draws the same in whichever pass of the update it is */
    static const int32_t number[] = { 1, 0 };
    rows.number = number;
    float *swapped = draw(&t, H, 0, MEGA_GATE_NOISE_EXAMPLE, &rows, 1)->data;
    assert_memory_equal(swapped, example + H, H * sizeof *example);
    done(&t);
}

static void limits_that_cannot_close_or_open_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct mega_hard_concrete h;
        const char *says;
    } bad[] = {
        { { 0.33, 0, 1.1, 1e-6 }, "the lower limit of head gates is 0" },
        { { 0.33, -0.1, 1, 1e-6 }, "the upper limit of head gates is 1" },
        { { 0, -0.1, 1.1, 1e-6 }, "the temperature of head gates is 0" },
        { { 0.33, -0.1, 1.1, 0 }, "the epsilon of head gates is 0" },
        { { 0.33, NAN, 1.1, 1e-6 }, "the lower limit of head gates is nan" },
    };
    assert_int_equal(mega_hard_concrete_check(&usual), MEGA_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(mega_hard_concrete_check(&bad[i].h), MEGA_BAD_ARGUMENT);
        if (!strstr(mega_message(), bad[i].says)) fail_msg("said: %s", mega_message());
    }
}

static void a_factor_that_fits_no_heads_is_refused(void **state)
{
    (void)state;
    struct trial t;
    open(&t);
    mega_run_begin(t.run, &(struct mega_run_args){ 0 });
    mega_tensor *x = mega_run_tensor(t.run, MEGA_F32, 3, (int64_t[]){ 2, 3, 8 }),
                *three = mega_run_tensor(t.run, MEGA_F32, 1, (int64_t[]){ 3 });
    assert_null(head_scale(t.run, x, three));
    assert_int_equal(mega_run_end(t.run), MEGA_BAD_ARGUMENT);
    assert_non_null(strstr(mega_message(), "a number of heads that divides 8 columns"));
    done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gates_and_probabilities_are_those_of_the_table),
        cmocka_unit_test(noise_acts_as_in_the_table),
        cmocka_unit_test(draws_have_the_distribution),
        cmocka_unit_test(noise_is_shared_as_far_as_it_says),
        cmocka_unit_test(limits_that_cannot_close_or_open_are_refused),
        cmocka_unit_test(a_factor_that_fits_no_heads_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
