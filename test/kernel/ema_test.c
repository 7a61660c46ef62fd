/* What small examples do not show of the EMA kernels: long rows, slow channels, streams.
 * Checked on every instruction set here. */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "kernel/kernel.h"
#include "op/contracts.h"

#include "cmocka_all.h"

enum { INPUTS = MEGA_EMA_H + 1 };

#define EACH_ISA(isa) for (enum mega_isa isa = MEGA_ISA_BASE; isa <= mega_isa_here(); isa++)

#define assert_below(value, bound)                                                             \
    do {                                                                                       \
        double value_ = (value);                                                               \
        if (!(value_ <= (bound))) fail_msg("%g is above %g: %s", value_, bound, #value);       \
    } while (0)

struct memory {
    struct mega_arena arena;
    struct mega_work work;
    struct mega_rng rng;
};

static void begin(struct memory *m, int threads)
{
    assert_int_equal(mega_arena_init(&m->arena, (size_t)1 << 30), MEGA_OK);
    assert_int_equal(mega_work_init(&m->work, threads), MEGA_OK);
    mega_rng_start(&m->rng, 1, 2);
}

static void end(struct memory *m)
{
    mega_work_done(&m->work);
    mega_arena_done(&m->arena);
}

static mega_tensor *make(struct memory *m, mega_dtype dtype, int rank, const int64_t dim[])
{
    mega_tensor *t = mega_arena_get(&m->arena, sizeof *t);
    *t = mega_tensor_over(NULL, dtype, rank, dim);
    t->data = mega_arena_zeroed(&m->arena, mega_size(t));
    return t;
}

static mega_tensor *noise(
    struct memory *m, int rank, const int64_t dim[], double mean, double deviation)
{
    mega_tensor *t = make(m, MEGA_F32, rank, dim);
    for (int64_t i = 0; i < mega_count(t); i++)
        ((float *)t->data)[i] = (float)(mean + deviation * mega_rng_normal(&m->rng));
    return t;
}

static mega_tensor *in_double(struct memory *m, const mega_tensor *t)
{
    mega_tensor *copy = make(m, MEGA_F64, t->rank, t->dim);
    mega_tensor_copy(copy, t);
    return copy;
}

/* largest difference, as a share of the largest element of `want` */
static double apart(const mega_tensor *t, const mega_tensor *want)
{
    double most = 0, worst = 0;
    for (int64_t r = 0; r < mega_height(t); r++)
        for (int64_t j = 0; j < mega_width(t); j++) {
            double difference = fabs(mega_get(t, r, j) - mega_get(want, r, j));
            most = fmax(most, fabs(mega_get(want, r, j)));
            if (!(difference <= worst)) worst = difference;
        }
    return worst / most;
}

/* ---- calls ---- */

struct task {
    struct mega_call call;
    struct mega_attr_ema attr;
    struct mega_rows rows;
    struct mega_grads grads;
};

/* x of noise; logits around `mean` */
static void prepare(struct memory *m, struct task *k, int64_t B, int64_t T, int64_t D,
    int64_t N, bool two_way, double mean)
{
    memset(k, 0, sizeof *k);
    int64_t x[] = { B, T, D }, coefficient[] = { two_way ? 2 * D : D, N, 1 };
    k->attr.two_way = two_way;
    k->rows = (struct mega_rows){ .B = B, .T = T };
    k->call = (struct mega_call){ .op = mega_op_find("ema"),
        .attr = &k->attr,
        .rows = &k->rows,
        .mode = MEGA_RUN_GRAD,
        .work = &m->work };
    mega_tensor **in = k->call.in;
    in[MEGA_EMA_X] = noise(m, 3, x, 0, 1);
    in[MEGA_EMA_DELTA] = noise(m, 3, coefficient, mean, 0.2);
    in[MEGA_EMA_ALPHA] = noise(m, 3, coefficient, mean, 0.2);
    in[MEGA_EMA_BETA] = noise(m, 3, coefficient, 0, 1);
    in[MEGA_EMA_GAMMA] = noise(m, 2, coefficient, 0, 1);
    in[MEGA_EMA_OMEGA] = noise(m, 1, &D, 0, 1);
}

/* the same inputs for the reference in double */
static void prepare_exact(struct memory *m, struct task *exact, const struct task *k)
{
    *exact = *k;
    exact->call.attr = &exact->attr;
    exact->call.rows = &exact->rows;
    exact->call.dtype = MEGA_F64;
    exact->call.kernel = &k->call.op->reference;
    memset(exact->call.out, 0, sizeof exact->call.out);
    for (int i = 0; i < INPUTS; i++)
        if (k->call.in[i]) exact->call.in[i] = in_double(m, k->call.in[i]);
}

static void choose(struct task *k, enum mega_isa isa)
{
    struct mega_kernel_limits limits = { isa, "cpu" };
    k->call.kernel = mega_kernel_choose(&k->call, &limits, NULL);
    assert_string_equal(k->call.kernel->name, mega_isa_name(isa));
}

static void forward(struct memory *m, struct task *k)
{
    struct mega_call *c = &k->call;
    mega_tensor out[MEGA_OUT], saved[MEGA_SAVED];
    for (int i = 0; i < MEGA_OUT; i++) out[i] = mega_absent();
    for (int i = 0; i < MEGA_SAVED; i++) saved[i] = mega_absent();
    assert_int_equal(c->op->shape(c, out), MEGA_OK);
    if (c->kernel->keep) c->kernel->keep(c, saved);
    for (int i = 0; i < MEGA_OUT; i++)
        if (out[i].rank >= 0) c->out[i] = make(m, out[i].dtype, out[i].rank, out[i].dim);
    for (int i = 0; i < MEGA_SAVED; i++)
        if (saved[i].rank >= 0)
            c->saved[i] = make(m, saved[i].dtype, saved[i].rank, saved[i].dim);
    c->kernel->forward(c);
}

static void backward(struct memory *m, struct task *k, const mega_tensor *dy)
{
    k->grads = (struct mega_grads){ .out = { dy } };
    for (int i = 0; i < INPUTS; i++) {
        const mega_tensor *in = k->call.in[i];
        if (in) k->grads.in[i] = make(m, in->dtype, in->rank, in->dim);
    }
    k->call.kernel->backward(&k->call, &k->grads);
}

/* ---- slow channels ---- */

/* a row of 4096 places whose channels forget a thousandth a step, of noise or of one number */
static void check_slow(enum mega_isa isa, bool two_way, int64_t truncation, bool level)
{
    struct memory m;
    struct task k, exact;
    begin(&m, 2);
    prepare(&m, &k, 1, 4096, 5, 16, two_way, -3.4);
    k.attr.truncation = truncation;
    for (int64_t i = 0; level && i < mega_count(k.call.in[MEGA_EMA_X]); i++)
        ((float *)k.call.in[MEGA_EMA_X]->data)[i] = 0.7f;
    prepare_exact(&m, &exact, &k);
    choose(&k, isa);
    forward(&m, &k);
    forward(&m, &exact);
    assert_below(apart(k.call.out[0], exact.call.out[0]), 1e-5);

    mega_tensor *dy = noise(&m, 3, k.call.in[MEGA_EMA_X]->dim, 0, 1);
    backward(&m, &k, dy);
    backward(&m, &exact, in_double(&m, dy));
    for (int i = 0; i < INPUTS; i++)
        if (k.grads.in[i]) assert_below(apart(k.grads.in[i], exact.grads.in[i]), 5e-5);
    end(&m);
}

static void slow_channels_stay_exact_over_long_rows(void **state)
{
    (void)state;
    EACH_ISA(isa)
    {
        check_slow(isa, false, 0, false);
        check_slow(isa, true, 0, false);
    }
}

static void slow_channels_stay_exact_where_the_kernel_is_truncated(void **state)
{
    (void)state;
    EACH_ISA(isa)
    {
        check_slow(isa, false, 1024, false);
        check_slow(isa, true, 1021, false);
    }
}

static void slow_channels_do_not_stick_on_a_level_input(void **state)
{
    (void)state;
    EACH_ISA(isa)
    {
        check_slow(isa, false, 0, true);
        check_slow(isa, true, 1024, true);
    }
}

/* ---- streams ---- */

/* places first ... first+n-1 of a row */
static mega_tensor *cut(struct memory *m, const mega_tensor *whole, int64_t first, int64_t n)
{
    int64_t D = whole->dim[2];
    mega_tensor *t = make(m, MEGA_F32, 3, (int64_t[]){ 1, n, D });
    memcpy(t->data, mega_row(whole, first), mega_size(t));
    return t;
}

/* runs a row in pieces of `piece` places and compares with the whole, outputs and last state */
static void check_pieces(enum mega_isa isa, int64_t piece)
{
    struct memory m;
    struct task k, exact;
    int64_t T = 301, D = 19;
    begin(&m, 1);
    prepare(&m, &k, 1, T, D, 16, false, -1);
    k.attr.state = true;
    prepare_exact(&m, &exact, &k);
    forward(&m, &exact);

    mega_tensor *x = k.call.in[MEGA_EMA_X], *y = make(&m, MEGA_F32, 3, x->dim);
    for (int64_t first = 0; first < T; first += piece) {
        k.rows.T = first + piece < T ? piece : T - first;
        k.call.in[MEGA_EMA_X] = cut(&m, x, first, k.rows.T);
        choose(&k, isa);
        forward(&m, &k);
        memcpy(mega_row(y, first), k.call.out[0]->data, mega_size(k.call.out[0]));
        k.call.in[MEGA_EMA_H] = k.call.out[1];
    }
    assert_below(apart(y, exact.call.out[0]), 2e-6);
    assert_below(apart(k.call.out[1], exact.call.out[1]), 2e-6);
    end(&m);
}

static void pieces_of_a_stream_give_what_the_whole_gives(void **state)
{
    (void)state;
    static const int64_t pieces[] = { 1, 2, 7, 8, 9, 16, 64, 300, 301 };
    EACH_ISA(isa)
    {
        for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
            check_pieces(isa, pieces[i]);
    }
}

/* ---- threads ---- */

static void gradients_do_not_depend_on_the_number_of_threads(void **state)
{
    (void)state;
    EACH_ISA(isa)
    {
        struct memory m[2];
        struct task k[2];
        for (int i = 0; i < 2; i++) {
            begin(&m[i], i ? 3 : 1);
            prepare(&m[i], &k[i], 5, 77, 40, 3, true, 0);
            choose(&k[i], isa);
            forward(&m[i], &k[i]);
            backward(&m[i], &k[i], noise(&m[i], 3, k[i].call.in[MEGA_EMA_X]->dim, 0, 1));
        }
        assert_memory_equal(
            k[0].call.out[0]->data, k[1].call.out[0]->data, mega_size(k[0].call.out[0]));
        for (int i = 0; i < INPUTS; i++)
            if (k[0].grads.in[i])
                assert_memory_equal(k[0].grads.in[i]->data, k[1].grads.in[i]->data,
                    mega_size(k[0].grads.in[i]));
        for (int i = 0; i < 2; i++) end(&m[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slow_channels_stay_exact_over_long_rows),
        cmocka_unit_test(slow_channels_stay_exact_where_the_kernel_is_truncated),
        cmocka_unit_test(slow_channels_do_not_stick_on_a_level_input),
        cmocka_unit_test(pieces_of_a_stream_give_what_the_whole_gives),
        cmocka_unit_test(gradients_do_not_depend_on_the_number_of_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
