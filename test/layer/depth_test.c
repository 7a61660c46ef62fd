/* Attention over depth, worked out place by place. */
#include "layer/depth.h"

#include <math.h>

#include "base/rng.h"
#include "graph/ops.h"

#include "cmocka_all.h"

enum { B = 2, T = 3, D = 8, STATES = 17, N = B * T * D };

struct setup {
    mega_context *context;
    struct mega_store store;
    struct mega_depth depth;
    mega_run *run;
    float hid[STATES][N];
};

static void open(struct setup *s, int64_t heads, bool state)
{
    struct mega_rng g;
    assert_int_equal(mega_context_new(&s->context, NULL), MEGA_OK);
    assert_int_equal(mega_store_init(&s->store), MEGA_OK);
    mega_build b = { .store = &s->store };
    mega_depth_build(&b, &s->depth, heads, state, D);
    assert_int_equal(b.status, MEGA_OK);
    assert_int_equal(mega_store_lay_out(&s->store, true), MEGA_OK);
    mega_store_fill(&s->store, 1);
    mega_rng_start(&g, 2, 3);
    for (int t = 0; t < STATES; t++)
        for (int i = 0; i < N; i++) s->hid[t][i] = (float)mega_rng_normal(&g);
    assert_int_equal(mega_run_new(&s->run, s->context), MEGA_OK);
}

static void done(struct setup *s)
{
    mega_run_free(s->run);
    mega_store_done(&s->store);
    mega_context_free(s->context);
}

static void noise(struct setup *s)
{
    struct mega_rng g;
    mega_rng_start(&g, 4, 5);
    for (int64_t i = 0; i < s->store.count; i++)
        s->store.value[i] += 0.7f * (float)mega_rng_normal(&g);
}

static void run(struct setup *s, int64_t n, float *y)
{
    mega_tensor of[STATES], *hid[STATES];
    mega_run_begin(s->run, &(struct mega_run_args){ 0 });
    for (int64_t t = 0; t < n; t++) {
        of[t] = mega_tensor_over(s->hid[t], MEGA_F32, 3, (int64_t[]){ B, T, D });
        hid[t] = mega_run_input(s->run, &of[t]);
    }
    mega_tensor *u = mega_depth_run(s->run, &s->depth, hid, n);
    if (!u) fail_msg("%s", mega_run_end(s->run) ? mega_message() : "nothing came");
    mega_run_read(s->run, u, y);
    if (mega_run_end(s->run)) fail_msg("%s", mega_message());
}

/* a query that knows nothing reads the mean of all states */
static void it_begins_with_the_mean(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++)
        for (int64_t heads = 1; heads <= 2; heads++) {
            struct setup s;
            float y[N];
            open(&s, heads, kind);
            run(&s, 5, y);
            for (int i = 0; i < N; i++) {
                float mean = 0;
                for (int t = 0; t < 5; t++) mean += s.hid[t][i] / 5;
                assert_true(fabsf(y[i] - mean) < 1e-5f);
            }
            done(&s);
        }
}

/* rms(x) times its gain */
static void key(struct setup *s, const float *x, double *k)
{
    const float *gain = mega_store_find(&s->store, "depth.norm.weight")->value.data;
    double square = 0;
    for (int j = 0; j < D; j++) square += (double)x[j] * (double)x[j] / D;
    for (int j = 0; j < D; j++) k[j] = (double)x[j] * (double)gain[j] / sqrt(square + 1e-5);
}

/* heads of d channels turned by `far` */
static void turn(double *x, int64_t heads, double far)
{
    int64_t d = D / heads;
    for (int64_t h = 0; h < heads; h++)
        for (int64_t t = 0; t < d / 2; t++) {
            double a = far * pow(10000, -2.0 * (double)t / (double)d), *u = x + h * d + t,
                   *v = u + d / 2, was = *u;
            *u = was * cos(a) - *v * sin(a);
            *v = *v * cos(a) + was * sin(a);
        }
}

static void expect(struct setup *s, int64_t n, int row, bool made, double *y)
{
    const struct mega_param *p = mega_store_find(&s->store, made ? "depth.wq" : "depth.query");
    int64_t heads = s->depth.heads, d = D / heads;
    double q[D], last[D], k[STATES][D];
    key(s, s->hid[n - 1] + row * D, last);
    for (int i = 0; i < D; i++) {
        q[i] = made ? 0 : (double)((const float *)p->value.data)[i];
        for (int j = 0; made && j < D; j++) q[i] += mega_get(&p->value, i, j) * last[j];
    }
    turn(q, heads, (double)(n - 1));
    for (int64_t t = 0; t < n; t++) {
        key(s, s->hid[t] + row * D, k[t]);
        turn(k[t], heads, (double)t);
    }
    for (int64_t h = 0; h < heads; h++) {
        double w[STATES], sum = 0;
        for (int64_t t = 0; t < n; t++) {
            double score = 0;
            for (int64_t e = h * d; e < (h + 1) * d; e++) score += q[e] * k[t][e];
            sum += w[t] = exp(score / sqrt((double)d));
        }
        for (int64_t e = h * d; e < (h + 1) * d; e++) {
            y[e] = 0;
            for (int64_t t = 0; t < n; t++) y[e] += w[t] / sum * (double)s->hid[t][row * D + e];
        }
    }
}

/* also of more states than one mixture takes */
static void a_place_attends_to_what_it_has_been(void **state)
{
    (void)state;
    for (int made = 0; made < 2; made++)
        for (int64_t heads = 1; heads <= 2; heads++)
            for (int64_t n = 1; n <= STATES; n += 4) {
                struct setup s;
                float y[N];
                open(&s, heads, made);
                noise(&s);
                run(&s, n, y);
                for (int row = 0; row < B * T; row++) {
                    double expected[D];
                    expect(&s, n, row, made, expected);
                    for (int e = 0; e < D; e++)
                        if (!(fabs((double)y[row * D + e] - expected[e]) < 1e-4))
                            fail_msg("%d states, place %d: %g, expected %g", (int)n, row,
                                (double)y[row * D + e], expected[e]);
                }
                done(&s);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_begins_with_the_mean),
        cmocka_unit_test(a_place_attends_to_what_it_has_been),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
