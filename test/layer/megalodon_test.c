/* Megalodon layers: rows of a padded batch, on either side, equal the rows alone, in outputs
 * and gradients; and the specification's numbers for timestep norm and complex EMA (section
 * 12.2). */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "graph/ops.h"
#include "layer/left_padding.h"
#include "layer/megalodon.h"

#include "cmocka_all.h"

enum { B = 3, T = 23, D = 6 };

static const int32_t lengths[B] = { 23, 9, 14 };

struct setup {
    mega_context *context;
    struct mega_store store;
    struct mega_megalodon_block block[2];
    mega_run *run;
    float x[B * T * D], dy[B * T * D];
};

static void open(struct setup *s)
{
    memset(s, 0, sizeof *s);
    assert_int_equal(mega_context_new(&s->context, NULL), MEGA_OK);
    assert_int_equal(mega_store_init(&s->store), MEGA_OK);
    mega_build b = { .store = &s->store };
    for (int i = 0; i < 2; i++) {
        size_t entered = mega_build_enter(&b, "%d", i);
        mega_megalodon_block_build(&b, &s->block[i],
            &(struct mega_megalodon_options){ .width = D,
                .keys = 8,
                .values = 10,
                .heads = 2,
                .hidden = 7,
                .states = 3,
                .chunk = 5,
                .groups = 2,
                .affine = true,
                .norm_eps = 1e-5,
                .rotary_base = 10000 });
        mega_build_leave(&b, entered);
    }
    assert_int_equal(b.status, MEGA_OK);
    assert_int_equal(mega_store_lay_out(&s->store, true), MEGA_OK);
    mega_store_fill(&s->store, 11);
    struct mega_rng g;
    mega_rng_start(&g, 1, 2);
    for (int64_t i = 0; i < s->store.count; i++)
        s->store.value[i] += 0.3f * (float)mega_rng_normal(&g);
    for (int i = 0; i < B * T * D; i++) s->x[i] = (float)mega_rng_normal(&g);
    for (int i = 0; i < B * T * D; i++) s->dy[i] = (float)mega_rng_normal(&g);
    assert_int_equal(mega_run_new(&s->run, s->context), MEGA_OK);
}

static void done(struct setup *s)
{
    mega_run_free(s->run);
    mega_store_done(&s->store);
    mega_context_free(s->context);
}

/* rows first ... first+n-1 of `from`, each with its padding in front; padding holds `fill` */
static mega_tensor *batch(struct setup *s, const float *from, int first, int n, int64_t places,
    const int32_t *front, float fill)
{
    mega_tensor *t = mega_run_tensor(s->run, MEGA_F32, 3, (int64_t[]){ n, places, D });
    float *to = t->data;
    for (int64_t i = 0; i < n * places * D; i++) to[i] = fill;
    for (int b = 0; b < n; b++)
        memcpy(to + (b * places + front[b]) * D, from + (first + b) * T * D,
            (size_t)lengths[first + b] * D * sizeof *to);
    return t;
}

struct result {
    float y[B * T * D], dx[B * T * D]; /* rows from their first real place on */
    float gradient[4096];
};

/* adds the rows' results to `out` */
static void pass(struct setup *s, int first, int n, int64_t places, const int32_t *front,
    bool by_len, struct result *out)
{
    int32_t real[B * (T + 8)] = { 0 };
    for (int b = 0; b < n; b++)
        for (int64_t t = front[b]; t < front[b] + lengths[first + b]; t++)
            real[b * places + t] = 1;
    mega_run_begin(s->run, &(struct mega_run_args){ .mode = MEGA_RUN_GRAD });
    struct mega_rows rows = { .B = n,
        .T = places,
        .real = by_len ? NULL : real,
        .len = by_len ? lengths + first : NULL };
    const struct mega_rows *aligned = mega_rows_past_padding(s->run, &rows);
    mega_tensor *x = batch(s, s->x, first, n, places, front, 7), *y = x;
    x->wants_grad = true;
    for (int i = 0; i < 2; i++) y = mega_megalodon_block_run(s->run, &s->block[i], y, aligned);
    assert_non_null(y);
    mega_run_seed_with(s->run, y, batch(s, s->dy, first, n, places, front, 0));
    mega_run_backward(s->run);
    for (int b = 0; b < n; b++) {
        size_t from = (size_t)(b * places + front[b]) * D, to = (size_t)((first + b) * T * D),
               size = (size_t)lengths[first + b] * D * sizeof(float);
        memcpy(out->y + to, (float *)y->data + from, size);
        memcpy(out->dx + to, (float *)x->grad->data + from, size);
    }
    assert_int_equal(mega_run_end(s->run), MEGA_OK);
    assert_true(s->store.count <= 4096);
    memcpy(out->gradient, s->store.gradient, (size_t)s->store.count * sizeof(float));
}

static void begin(struct setup *s, struct result *out)
{
    memset(s->store.gradient, 0, (size_t)s->store.count * sizeof(float));
    memset(out, 0, sizeof *out);
}

static void assert_near(const float *a, const float *b, int64_t n)
{
    double most = 1e-3, difference = 0;
    for (int64_t i = 0; i < n; i++) {
        most = fmax(most, fabs((double)b[i]));
        difference = fmax(difference, fabs((double)a[i] - (double)b[i]));
    }
    assert_true(difference <= 3e-5 * most);
}

static void padded_rows_equal_rows_alone(void **state)
{
    (void)state;
    static struct result alone, padded;
    static const int32_t none[B] = { 0 };
    struct setup s;
    open(&s);
    begin(&s, &alone);
    for (int b = 0; b < B; b++) pass(&s, b, 1, lengths[b], none, false, &alone);

    /* behind, by len and by real; in front; on both sides */
    for (int how = 0; how < 4; how++) {
        int32_t front[B];
        for (int b = 0; b < B; b++) front[b] = how < 2 ? 0 : how == 2 ? T - lengths[b] : 3 + b;
        begin(&s, &padded);
        pass(&s, 0, B, how < 3 ? T : T + 7, front, how == 0, &padded);
        assert_near(padded.y, alone.y, B * T * D);
        assert_near(padded.dx, alone.dx, B * T * D);
        assert_near(padded.gradient, alone.gradient, s.store.count);
    }
    done(&s);
}

/* ---- the specification's numbers ---- */

struct one {
    mega_context *context;
    mega_run *run;
};

static void begin_one(struct one *s)
{
    assert_int_equal(mega_context_new(&s->context, NULL), MEGA_OK);
    assert_int_equal(mega_run_new(&s->run, s->context), MEGA_OK);
    mega_run_begin(s->run, &(struct mega_run_args){ 0 });
}

static void end_one(struct one *s)
{
    assert_int_equal(mega_run_end(s->run), MEGA_OK);
    mega_run_free(s->run);
    mega_context_free(s->context);
}

static mega_tensor *numbers(struct one *s, int rank, const int64_t dim[], const float *from)
{
    mega_tensor *t = mega_run_tensor(s->run, MEGA_F32, rank, dim);
    memcpy(t->data, from, mega_size(t));
    return t;
}

static void assert_numbers(const mega_tensor *t, int64_t n, const double *want, double allowed)
{
    assert_non_null(t);
    assert_int_equal(mega_count(t), n);
    for (int64_t i = 0, width = mega_width(t); i < n; i++)
        if (!(fabs(mega_get(t, i / width, i % width) - want[i]) <= allowed))
            fail_msg("number %lld is %.9g, expected %.9g", (long long)i,
                mega_get(t, i / width, i % width), want[i]);
}

static void timestep_norm_gives_the_numbers_of_the_specification(void **state)
{
    (void)state;
    struct one s;
    float x[16];
    for (int i = 0; i < 16; i++) x[i] = sinf((float)(i + 1));
    begin_one(&s);
    struct mega_attr_timestep_norm a;
    memset(&a, 0, sizeof a);
    a.groups = 2;
    a.state = true;
    a.eps = 1e-5;
    struct mega_rows rows = { .B = 1, .T = 4 };
    struct mega_call c = { .op = &mega_op_timestep_norm, .attr = &a, .rows = &rows };
    c.in[0] = numbers(&s, 3, (int64_t[]){ 1, 4, 4 }, x);
    mega_run_call(s.run, &c, NULL);
    assert_numbers(c.out[0], 16,
        (double[]){ -0.995681, 0.995681, 0.999975, -0.999975, -1.384192, -0.518927, 0.605867,
            1.110156, 0.495264, -0.862766, -1.244458, -0.614644, 0.286452, 1.119064, 0.970296,
            -0.392000 },
        2e-6);
    assert_int_equal(mega_get(c.out[1], 0, 0), 4);
    assert_numbers(c.out[2], 2, (double[]){ 0.2239125507, -0.0179395304 }, 1e-7);
    assert_numbers(c.out[3], 2, (double[]){ 0.4693816572, 0.4742756119 }, 1e-7);
    end_one(&s);
}

static void cema_gives_the_numbers_of_the_specification(void **state)
{
    (void)state;
    struct one s;
    begin_one(&s);
    struct mega_attr_cema a = { .state = true };
    struct mega_rows rows = { .B = 1, .T = 6 };
    struct mega_call c = { .op = &mega_op_cema, .attr = &a, .rows = &rows };
    int64_t logits[] = { 1, 2, 1 };
    c.in[MEGA_CEMA_X] =
        numbers(&s, 3, (int64_t[]){ 1, 6, 1 }, (float[]){ 1, 0, -1, 2, 0.5f, 0 });
    c.in[MEGA_CEMA_ALPHA] = numbers(&s, 3, logits, (float[]){ 0.1f, -0.2f });
    c.in[MEGA_CEMA_DELTA] = numbers(&s, 3, logits, (float[]){ 0.3f, 0.4f });
    c.in[MEGA_CEMA_THETA] = numbers(&s, 3, (int64_t[]){ 1, 1, 1 }, (float[]){ -0.5f });
    c.in[MEGA_CEMA_GAMMA] =
        numbers(&s, 3, (int64_t[]){ 1, 2, 2 }, (float[]){ 1, 0, -0.5f, 0.25f });
    mega_run_call(s.run, &c, NULL);
    assert_numbers(c.out[0], 6,
        (double[]){
            0.212058627, 0.140371244, -0.302397766, 0.103415259, 0.526603971, 0.113265072 },
        2e-7);
    assert_numbers(
        c.out[1], 4, (double[]){ -0.053660872, 0.568501570, -0.149486419, -0.556394651 }, 2e-7);
    end_one(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(padded_rows_equal_rows_alone),
        cmocka_unit_test(timestep_norm_gives_the_numbers_of_the_specification),
        cmocka_unit_test(cema_gives_the_numbers_of_the_specification),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
