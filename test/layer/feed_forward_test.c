/* The feed-forward region computes what its chain of plain ops does, dropout bits included. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"

#include "base/rng.h"
#include "layer/feed_forward.h"

struct result {
    float *y, *dx, *gradient;
    int64_t n, n_gradient;
    bool region; /* it was one */
};

static void note_region(void *arg, const struct mega_call *c)
{
    if (!strcmp(c->op->name, "feed_forward")) ((struct result *)arg)->region = true;
}

static float *copy_of(mega_run *r, const mega_tensor *t)
{
    float *out = malloc(mega_size(t) + 1);
    assert_int_equal(mega_run_read(r, t, out), MEGA_OK);
    return out;
}

static struct result run(
    const struct mega_feed_forward_options *o, int64_t B, int64_t T, unsigned mode, int threads)
{
    struct mega_store store;
    struct mega_feed_forward f;
    mega_context *c;
    mega_run *r;
    assert_int_equal(
        mega_context_new(&c, &(struct mega_context_options){ .threads = threads }), MEGA_OK);
    assert_int_equal(mega_store_init(&store), MEGA_OK);
    mega_build b = { .store = &store };
    mega_feed_forward_build(&b, &f, o);
    assert_int_equal(mega_store_lay_out(&store, true), MEGA_OK);
    mega_store_fill(&store, 7);
    for (int64_t i = 0; i < store.count; i++)
        store.value[i] *= 20; /* so that every part matters */

    float *data = malloc((size_t)(B * T * o->width) * sizeof *data);
    struct mega_rng g;
    mega_rng_start(&g, 3, 4);
    for (int64_t i = 0; i < B * T * o->width; i++) data[i] = (float)mega_rng_normal(&g);
    mega_tensor in = mega_tensor_over(data, MEGA_F32, 3, (int64_t[]){ B, T, o->width });
    assert_int_equal(mega_run_new(&r, c), MEGA_OK);
    mega_run_begin(r, &(struct mega_run_args){
                          .mode = MEGA_RUN_TRAIN | MEGA_RUN_GRAD | mode, .now = { 5, 6 } });
    mega_tensor *x = mega_run_input(r, &in);
    x->wants_grad = true;
    struct mega_rows rows = { .B = B, .T = T };
    mega_tensor *y = mega_feed_forward_run(r, &f, x, &rows);
    mega_run_seed_with(r, y, &in);
    struct result result = { .n = B * T * o->width, .n_gradient = store.count };
    mega_run_walk(r, note_region, &result);
    mega_run_backward(r);
    result.y = copy_of(r, y);
    result.dx = copy_of(r, x->grad);
    assert_int_equal(mega_run_end(r), MEGA_OK);
    result.gradient = malloc((size_t)store.count * sizeof(float));
    memcpy(result.gradient, store.gradient, (size_t)store.count * sizeof(float));
    mega_run_free(r);
    mega_store_done(&store);
    mega_context_free(c);
    free(data);
    return result;
}

static void done(struct result *r)
{
    free(r->y);
    free(r->dx);
    free(r->gradient);
}

static void assert_near(const float *a, const float *b, int64_t n)
{
    double most = 0, worst = 0;
    for (int64_t i = 0; i < n; i++) {
        most = fmax(most, fabs((double)b[i]));
        worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
    }
    assert_true(most > 0);
    assert_true(worst <= 2e-5 * most);
}

static const struct mega_feed_forward_options options[] = {
    { .width = 6,
        .hidden = 11,
        .act = MEGA_ACT_SILU,
        .norm = MEGA_LAYERNORM,
        .prenorm = true,
        .affine = true },
    { .width = 16,
        .hidden = 9,
        .act = MEGA_ACT_GELU,
        .norm = MEGA_SCALENORM,
        .affine = true,
        .dropout = 0.3 },
    { .width = 128,
        .hidden = 256,
        .act = MEGA_ACT_RELU,
        .norm = MEGA_RMSNORM,
        .prenorm = true,
        .affine = true,
        .dropout = 0.1,
        .hidden_dropout = 0.4 },
    { .width = 13,
        .hidden = 32,
        .act = MEGA_ACT_SILU,
        .norm = MEGA_BATCHNORM,
        .affine = true,
        .feature_dropout = true,
        .dropout = 0.2,
        .hidden_dropout = 0.2 },
};

static void region_equals_its_chain(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        struct result fast = run(&options[i], 3, 150, 0, 2),
                      plain = run(&options[i], 3, 150, MEGA_RUN_PLAIN, 2);
        assert_true(fast.region);
        assert_false(plain.region);
        assert_near(fast.y, plain.y, fast.n);
        assert_near(fast.dx, plain.dx, fast.n);
        assert_near(fast.gradient, plain.gradient, fast.n_gradient);
        done(&fast);
        done(&plain);
    }
}

static void threads_do_not_matter(void **state)
{
    (void)state;
    struct result one = run(&options[2], 5, 301, 0, 1);
    for (int threads = 2; threads <= 5; threads++) {
        struct result more = run(&options[2], 5, 301, 0, threads);
        assert_memory_equal(one.y, more.y, (size_t)one.n * sizeof(float));
        assert_memory_equal(one.dx, more.dx, (size_t)one.n * sizeof(float));
        assert_memory_equal(
            one.gradient, more.gradient, (size_t)one.n_gradient * sizeof(float));
        done(&more);
    }
    done(&one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(region_equals_its_chain),
        cmocka_unit_test(threads_do_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
