/* The check itself: a right kernel passes, and every kind of mistake is seen. */
#include "kernel/check.h"

#include <string.h>

#include "cmocka_all.h"

extern const struct mega_op mega_op_add;

enum fault {
    NONE,
    INACCURATE,
    LEAVES_OUT,
    READS_BEYOND,
    WRITES_BEYOND,
    SPOILS_INPUT,
    NEVER_ADDS,
    ALWAYS_ADDS,
    SWAPS_GRADIENTS,
    COUNTS_THREADS
};
static enum fault fault;

static float *at(const mega_tensor *t, int64_t row, int64_t column)
{
    return (float *)mega_row(t, row) + column;
}

static bool accepts(const struct mega_call *c, const char **why)
{
    *why = "float32 only";
    return c->in[0]->dtype == MEGA_F32;
}

static void forward(const struct mega_call *c)
{
    int64_t rows = mega_height(c->in[0]), width = mega_width(c->in[0]);
    int64_t from = fault == LEAVES_OUT, to = width + (fault == WRITES_BEYOND);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t j = from; j < to; j++) {
            int64_t column = j < width ? j : 0;
            float y = *at(c->in[0], r, column) + *at(c->in[1], r, column);
            if (fault == READS_BEYOND) y += 0 * *at(c->in[0], r, width);
            if (fault == INACCURATE) y *= 1.00001f;
            if (fault == COUNTS_THREADS && c->work->threads > 1) y *= 1 + 0x1p-23f;
            *at(c->out[0], r, j) = y;
        }
    if (fault == SPOILS_INPUT && rows) *at(c->in[1], 0, 0) = 0;
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    int64_t rows = mega_height(c->in[0]), width = mega_width(c->in[0]);
    for (int i = 0; i < 2; i++) {
        bool add = (g->add >> i & 1) ? fault != NEVER_ADDS : fault == ALWAYS_ADDS;
        for (int64_t r = 0; g->in[i] && r < rows; r++)
            for (int64_t j = 0; j < width; j++) {
                float d = *at(g->out[0], r, j), *to = at(g->in[i], r, j);
                if (fault == SWAPS_GRADIENTS) d = i ? d : -d;
                *to = add ? *to + d : d;
            }
    }
}

static const struct mega_kernel kernel = {
    .name = "plain", .accepts = accepts, .forward = forward, .backward = backward
};

static mega_status check(enum fault which)
{
    static const struct mega_kernel_entry entry = { "test", &mega_op_add, &kernel,
        MEGA_ISA_BASE, false };
    struct mega_check k;
    assert_int_equal(mega_check_init(&k), MEGA_OK);
    fault = which;
    mega_status status = mega_check_kernel(&k, &entry);
    mega_check_done(&k);
    return status;
}

static void a_right_kernel_passes(void **state)
{
    (void)state;
    assert_int_equal(check(NONE), MEGA_OK);
}

static void expect(enum fault which, const char *words)
{
    assert_int_equal(check(which), MEGA_INTERNAL);
    if (!strstr(mega_message(), words)) fail_msg("\"%s\" is not in: %s", words, mega_message());
}

static void wrong_numbers_are_seen(void **state)
{
    (void)state;
    expect(INACCURATE, "test/plain, add example");
    expect(LEAVES_OUT, "output 0 holds nan at row 0, column 0");
    expect(SWAPS_GRADIENTS, "gradient of input 0 holds");
}

static void trespass_is_seen(void **state)
{
    (void)state;
    expect(READS_BEYOND, "output 0 holds nan");
    expect(WRITES_BEYOND, "written beyond");
    expect(SPOILS_INPUT, "was written to");
}

static void gradients_must_be_written_or_added_as_told(void **state)
{
    (void)state;
    expect(NEVER_ADDS, "gradient of input");
    expect(ALWAYS_ADDS, "gradient of input 0 holds nan");
}

static void results_must_not_depend_on_threads(void **state)
{
    (void)state;
    expect(COUNTS_THREADS, "output 0 differs between 1 and 2 threads");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_right_kernel_passes),
        cmocka_unit_test(wrong_numbers_are_seen),
        cmocka_unit_test(trespass_is_seen),
        cmocka_unit_test(gradients_must_be_written_or_added_as_told),
        cmocka_unit_test(results_must_not_depend_on_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
