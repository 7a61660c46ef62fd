/* The way back: gradients of views, of a tensor used twice, seeds, accumulation over passes. */
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"

#include "graph/ops.h"

struct setup {
    mega_context *context;
    mega_run *run;
    struct mega_store store;
    mega_tensor *weight; /* [2, 3], 1 ... 6 */
};

static int open(void **state)
{
    struct setup *s = calloc(1, sizeof *s);
    *state = s;
    if (mega_context_new(&s->context, NULL) || mega_run_new(&s->run, s->context) ||
        mega_store_init(&s->store))
        return 1;
    mega_build b = { .store = &s->store };
    s->weight = mega_param_add(
        &b, "weight", (struct mega_init){ MEGA_INIT_CONSTANT, 0, 0 }, 2, (int64_t[]){ 2, 3 });
    if (mega_store_lay_out(&s->store, true)) return 1;
    for (int i = 0; i < 6; i++) mega_put(s->weight, i / 3, i % 3, i + 1);
    return 0;
}

static int done(void **state)
{
    struct setup *s = *state;
    mega_run_free(s->run);
    mega_store_done(&s->store);
    mega_context_free(s->context);
    free(s);
    return 0;
}

static mega_run *begin(void **state)
{
    mega_run *r = ((struct setup *)*state)->run;
    mega_run_begin(r, &(struct mega_run_args){ .mode = MEGA_RUN_GRAD });
    return r;
}

/* first, first+1, ... */
static mega_tensor *numbers(mega_run *r, int64_t rows, int64_t width, float first)
{
    mega_tensor *t = mega_run_tensor(r, MEGA_F32, 2, (int64_t[]){ rows, width });
    for (int64_t i = 0; i < rows * width; i++)
        mega_put(t, i / width, i % width, (double)first + (double)i);
    t->wants_grad = true;
    return t;
}

static void assert_gradient(const mega_tensor *t, const float *want)
{
    assert_non_null(t->grad);
    for (int64_t i = 0, width = mega_width(t); i < mega_count(t); i++)
        assert_true(mega_get(t->grad, i / width, i % width) == (double)want[i]);
}

static void gradients_of_views_meet_in_their_base(void **state)
{
    mega_run *r = begin(state);
    mega_tensor *x = activation(r, numbers(r, 2, 4, 1), MEGA_ACT_LINEAR);
    /* columns 0-1 times columns 2-3 */
    mega_tensor *y = gate(r, columns(r, x, 0, 2), columns(r, x, 2, 2), MEGA_ACT_LINEAR);
    mega_run_seed(r, y, 1);
    mega_run_backward(r);
    assert_gradient(x, (float[]){ 3, 4, 1, 2, 7, 8, 5, 6 });
    assert_int_equal(mega_run_end(r), MEGA_OK);
}

static void views_of_views_count_from_the_base(void **state)
{
    mega_run *r = begin(state);
    mega_tensor *x = numbers(r, 2, 5, 0);
    mega_tensor *inner = columns(r, columns(r, x, 1, 4), 2, 1);
    assert_true(mega_get(inner, 0, 0) == 3 && mega_get(inner, 1, 0) == 8);
    mega_run_seed(r, activation(r, inner, MEGA_ACT_LINEAR), 2);
    mega_run_backward(r);
    assert_gradient(x, (float[]){ 0, 0, 0, 2, 0, 0, 0, 0, 2, 0 });
}

static void a_view_and_its_base_may_both_be_used(void **state)
{
    mega_run *r = begin(state);
    mega_tensor *x = numbers(r, 1, 3, 0);
    mega_tensor *whole = activation(r, x, MEGA_ACT_LINEAR),
                *part = activation(r, columns(r, x, 1, 1), MEGA_ACT_LINEAR);
    mega_run_seed(r, whole, 1);
    mega_run_seed(r, part, 10);
    mega_run_backward(r);
    assert_gradient(x, (float[]){ 1, 11, 1 });
}

static void one_tensor_at_two_inputs_gets_both_gradients(void **state)
{
    mega_run *r = begin(state);
    mega_tensor *x = numbers(r, 1, 3, 1);
    mega_run_seed(r, add(r, x, x), 1.5);
    mega_run_backward(r);
    assert_gradient(x, (float[]){ 3, 3, 3 });
}

static void one_tensor_used_by_many_ops_gets_all_gradients(void **state)
{
    mega_run *r = begin(state);
    mega_tensor *x = numbers(r, 1, 2, 1), *y = x;
    for (int i = 0; i < 5; i++) y = add(r, y, x);
    mega_run_seed(r, y, 1);
    mega_run_backward(r);
    assert_gradient(x, (float[]){ 6, 6 });
}

static void seeds_add_up(void **state)
{
    mega_run *r = begin(state);
    mega_tensor *x = numbers(r, 1, 3, 0), *y = activation(r, x, MEGA_ACT_LINEAR);
    mega_run_seed(r, y, 1);
    mega_run_seed_with(r, y, numbers(r, 1, 3, 5));
    mega_run_seed(r, y, 0.25);
    mega_run_backward(r);
    assert_gradient(x, (float[]){ 6.25f, 7.25f, 8.25f });
}

static void a_cotangent_has_the_shape_of_its_tensor(void **state)
{
    mega_run *r = begin(state);
    mega_tensor *y = activation(r, numbers(r, 1, 3, 0), MEGA_ACT_LINEAR);
    mega_run_seed_with(r, y, numbers(r, 3, 1, 0));
    assert_int_equal(mega_run_end(r), MEGA_BAD_ARGUMENT);
    assert_string_equal(mega_message(), "the cotangent is [3, 1] F32, expected [1, 3] F32");
}

static void what_no_seed_reaches_gets_no_gradient(void **state)
{
    mega_run *r = begin(state);
    mega_tensor *x = numbers(r, 1, 3, 0), *other = numbers(r, 1, 3, 0);
    mega_tensor *y = activation(r, x, MEGA_ACT_LINEAR);
    activation(r, other, MEGA_ACT_LINEAR);
    mega_run_seed(r, y, 1);
    mega_run_backward(r);
    assert_non_null(x->grad);
    assert_null(other->grad);
}

static void what_wants_no_gradient_gets_none(void **state)
{
    mega_run *r = begin(state);
    mega_tensor *x = numbers(r, 1, 3, 0), *constant = numbers(r, 1, 3, 0);
    constant->wants_grad = false;
    mega_run_seed(r, add(r, x, constant), 1);
    mega_run_backward(r);
    assert_gradient(x, (float[]){ 1, 1, 1 });
    assert_null(constant->grad);
}

static void parameters_add_up_over_passes(void **state)
{
    struct setup *s = *state;
    for (int pass = 1; pass <= 3; pass++) {
        mega_run *r = begin(state);
        mega_tensor *y = linear(r, numbers(r, 1, 3, 1), s->weight, NULL, MEGA_ACT_LINEAR);
        assert_true(mega_get(y, 0, 0) == 14 && mega_get(y, 0, 1) == 32);
        mega_run_seed(r, y, 1);
        mega_run_backward(r);
        assert_int_equal(mega_run_end(r), MEGA_OK);
        for (int i = 0; i < 6; i++)
            assert_true(s->store.gradient[i] == (float)(pass * (1 + i % 3)));
    }
    assert_true(s->weight->param->touched);
}

static void a_model_not_made_for_training_has_no_gradients(void **state)
{
    mega_run *r = begin(state);
    struct mega_store store;
    assert_int_equal(mega_store_init(&store), MEGA_OK);
    mega_build b = { .store = &store };
    mega_tensor *w = mega_param_add(
        &b, "w", (struct mega_init){ MEGA_INIT_CONSTANT, 1, 0 }, 2, (int64_t[]){ 2, 3 });
    assert_int_equal(mega_store_lay_out(&store, false), MEGA_OK);
    mega_run_seed(r, linear(r, numbers(r, 1, 3, 1), w, NULL, MEGA_ACT_LINEAR), 1);
    mega_run_backward(r);
    assert_int_equal(mega_run_end(r), MEGA_BAD_ARGUMENT);
    assert_string_equal(mega_message(),
        "parameter w has no room for a gradient: the model was not made for training");
    mega_store_done(&store);
}

static void name_op(void *arg, const struct mega_call *c)
{
    strcat(arg, c->op->name);
    strcat(arg, " ");
}

static void the_tape_is_walked_from_its_end(void **state)
{
    mega_run *r = begin(state);
    char names[128] = "";
    mega_tensor *x = numbers(r, 2, 3, 0);
    mega_tensor *constant = numbers(r, 2, 3, 0);
    constant->wants_grad = false;
    activation(r, constant, MEGA_ACT_RELU); /* leaves no record */
    linear(r, add(r, x, x), ((struct setup *)*state)->weight, NULL, MEGA_ACT_LINEAR);
    mega_run_walk(r, name_op, names);
    assert_string_equal(names, "linear add ");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open, done)
    const struct CMUnitTest tests[] = {
        TEST(gradients_of_views_meet_in_their_base),
        TEST(views_of_views_count_from_the_base),
        TEST(a_view_and_its_base_may_both_be_used),
        TEST(one_tensor_at_two_inputs_gets_both_gradients),
        TEST(one_tensor_used_by_many_ops_gets_all_gradients),
        TEST(seeds_add_up),
        TEST(a_cotangent_has_the_shape_of_its_tensor),
        TEST(what_no_seed_reaches_gets_no_gradient),
        TEST(what_wants_no_gradient_gets_none),
        TEST(parameters_add_up_over_passes),
        TEST(a_model_not_made_for_training_has_no_gradients),
        TEST(the_tape_is_walked_from_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
