/* A profile: every op of a step by kernel, pass and shapes, stages, the rest, refused regions.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"

#include "graph/ops.h"
#include "layer/feed_forward.h"

enum { B = 2, T = 8, D = 4, F = 16 };

struct setup {
    mega_context *context;
    mega_run *run;
    struct mega_store store;
    struct mega_feed_forward layer;
    struct mega_profile *profile;
};

static void start(struct setup *s, const char *rooms)
{
    assert_int_equal(mega_context_new(&s->context,
                         &(struct mega_context_options){ .threads = 1, .rooms = rooms }),
        MEGA_OK);
    assert_int_equal(mega_run_new(&s->run, s->context), MEGA_OK);
    assert_int_equal(mega_store_init(&s->store), MEGA_OK);
    assert_int_equal(mega_profile_new(&s->profile), MEGA_OK);
    mega_build b = { .store = &s->store };
    mega_feed_forward_build(&b, &s->layer,
        &(struct mega_feed_forward_options){
            .width = D, .hidden = F, .act = MEGA_ACT_SILU, .norm = MEGA_LAYERNORM });
    assert_int_equal(mega_store_lay_out(&s->store, true), MEGA_OK);
    mega_store_fill(&s->store, 1);
}

static void done(struct setup *s)
{
    mega_profile_free(s->profile);
    mega_run_free(s->run);
    mega_store_done(&s->store);
    mega_context_free(s->context);
}

static void layer(
    mega_run *r, const void *self, struct mega_carry *c, const struct mega_rows *rows)
{
    const struct setup *s = self;
    c->x = mega_feed_forward_run(r, &s->layer, c->x, rows);
}

static void step(struct setup *s, bool recompute)
{
    static float data[B * T * D];
    struct mega_rows rows = { .B = B, .T = T };
    mega_tensor in = mega_tensor_over(data, MEGA_F32, 3, (int64_t[]){ B, T, D });
    double start = mega_profile_start(s->profile);
    mega_run_profile(s->run, s->profile);
    mega_run_begin(s->run, &(struct mega_run_args){ .mode = MEGA_RUN_TRAIN | MEGA_RUN_GRAD });
    struct mega_carry carry = { .x = mega_run_input(s->run, &in) };
    struct mega_block block = { "layer", 0, recompute, layer, s };
    mega_run_block(s->run, &block, &carry, &rows);
    mega_run_seed(s->run, carry.x, 1);
    mega_run_backward(s->run);
    assert_int_equal(mega_run_end(s->run), MEGA_OK);
    mega_run_profile(s->run, NULL);
    double stage = mega_profile_start(s->profile);
    mega_profile_stage(s->profile, "optimiser", 32, stage);
    mega_profile_step(s->profile, start);
}

static const struct mega_profile_line *find(
    const struct mega_profile *p, const char *name, enum mega_profile_pass pass)
{
    for (int i = 0; i < MEGA_PROFILE_LINES; i++)
        if (p->line[i].key && p->line[i].pass == pass && !strcmp(p->line[i].name, name))
            return &p->line[i];
    return NULL;
}

static double seconds_of(const struct mega_profile *p)
{
    double sum = 0;
    for (int i = 0; i < MEGA_PROFILE_LINES; i++) sum += p->line[i].seconds;
    return sum;
}

static void every_op_and_stage_is_a_line(void **state)
{
    (void)state;
    struct setup s = { 0 };
    start(&s, NULL);
    for (int i = 0; i < 3; i++) step(&s, false);
    const struct mega_profile_line *l = find(s.profile, "feed_forward", MEGA_PROFILE_FORWARD);
    assert_non_null(l);
    assert_int_equal(l->calls, 3);
    assert_string_equal(l->kernel, mega_isa_name(mega_isa_here()));
    assert_string_equal(l->shapes, "2x8x4 16x4 4x16");
    assert_true(l->flops == 3 * 2 * 2.0 * B * T * D * F);
    l = find(s.profile, "feed_forward", MEGA_PROFILE_BACKWARD);
    assert_true(l && l->calls == 3 && l->flops == 3 * 4 * 2.0 * B * T * D * F);
    l = find(s.profile, "optimiser", MEGA_PROFILE_STAGE);
    assert_true(l && l->calls == 3 && l->bytes == 96);
    assert_int_equal(s.profile->steps, 3);
    assert_true(seconds_of(s.profile) > 0 && seconds_of(s.profile) <= s.profile->seconds);
    assert_null(s.profile->chain[0].region);
    done(&s);
}

static void a_block_that_recomputes_shows_its_second_pass(void **state)
{
    (void)state;
    struct setup s = { 0 };
    start(&s, NULL);
    step(&s, true);
    assert_int_equal(find(s.profile, "norm", MEGA_PROFILE_FORWARD)->calls, 1);
    assert_int_equal(find(s.profile, "norm", MEGA_PROFILE_AGAIN)->calls, 1);
    assert_int_equal(find(s.profile, "norm", MEGA_PROFILE_BACKWARD)->calls, 1);
    done(&s);
}

static void a_region_that_nobody_takes_is_named_with_its_chain_s_time(void **state)
{
    (void)state;
    struct setup s = { 0 };
    start(&s, "none");
    step(&s, false);
    step(&s, false);
    assert_null(find(s.profile, "feed_forward", MEGA_PROFILE_FORWARD));
    assert_int_equal(find(s.profile, "linear", MEGA_PROFILE_FORWARD)->calls, 2);
    const struct mega_profile_chain *chain = &s.profile->chain[0];
    assert_string_equal(chain->region->name, "feed_forward");
    assert_int_equal(chain->calls, 2);
    /* both products and the sum, there and back, but not the norm after them */
    double chained = 0;
    static const char *const ops[] = { "linear", "add" };
    for (int i = 0; i < MEGA_PROFILE_LINES; i++)
        for (int k = 0; k < 2; k++)
            if (s.profile->line[i].key && !strcmp(s.profile->line[i].name, ops[k]))
                chained += s.profile->line[i].seconds;
    assert_true(chain->seconds > 0.999 * chained && chain->seconds < 1.001 * chained);
    done(&s);
}

static void the_table_ends_with_the_rest_the_step_and_the_chains(void **state)
{
    (void)state;
    struct setup s = { 0 };
    struct mega_text text = { 0 };
    struct mega_peak peak = { .fma_all = 100, .copy_all = 10, .threads = 1 };
    start(&s, NULL);
    mega_profile_print(s.profile, &peak, &text);
    assert_non_null(strstr(text.data, "no step was profiled"));
    mega_text_clear(&text);
    step(&s, false);
    mega_profile_print(s.profile, &peak, &text);
    char line[64];
    snprintf(line, sizeof line, "| feed_forward     | %-11s | backward |",
        mega_isa_name(mega_isa_here()));
    const char *op = strstr(text.data, line), *rest = strstr(text.data, "| rest "),
               *whole = strstr(text.data, "| step ");
    assert_true(op && op < rest && rest < whole);
    assert_non_null(strstr(whole, "no kernel took the region: 0.0 % of the step."));
    mega_text_done(&text);
    done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_and_stage_is_a_line),
        cmocka_unit_test(a_block_that_recomputes_shows_its_second_pass),
        cmocka_unit_test(a_region_that_nobody_takes_is_named_with_its_chain_s_time),
        cmocka_unit_test(the_table_ends_with_the_rest_the_step_and_the_chains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
