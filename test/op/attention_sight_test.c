/* What queries of attention see: windows, keys of other rows, streams; and what is refused. */
#include "op/attention_setup.h"

/* ---- what is seen ---- */

static void a_reach_beyond_all_keys_changes_nothing(void **state)
{
    EACH_WAY(s)
    {
        for (int causal = 0; causal < 2; causal++) {
            s.a.causal = causal;
            s.a.reach = s.a.prefix = 0;
            struct mega_call plain = run(&s);
            s.a.reach = T;
            struct mega_call far = run(&s);
            assert_same_output(&plain, &far);
            s.a.reach = 1;
            struct mega_call own = run(&s);
            assert_near(own.out[0], s.c.in[V], 1e-6);
        }
        s.a.reach = 0;
        s.a.causal = false;
        struct mega_call both = run(&s);
        s.a.causal = true;
        s.a.prefix = T;
        struct mega_call prefix = run(&s);
        assert_same_output(&both, &prefix);
    }
}

/* the last queries over all keys: as in the call of all queries */
static void queries_stand_at_the_last_keys(void **state)
{
    EACH_WAY(s)
    {
        enum { LAST = 3 };
        s.a.weights = false;
        s.c.in[BIAS] = numbers(&s, 8, 2, (int64_t[]){ H, 2 * T - 1 });
        s.a.reach = 4;
        struct mega_call all = run(&s);
        struct mega_rows keys = s.rows;
        s.c.keys = &keys;
        s.rows.T = LAST;
        mega_tensor *q = empty(&s, 3, (int64_t[]){ B, LAST, H * D }),
                    *want = empty(&s, 3, (int64_t[]){ B, LAST, H * DV });
        for (int64_t b = 0; b < B; b++)
            for (int64_t i = 0; i < LAST; i++) {
                int64_t row = b * T + T - LAST + i;
                for (int64_t x = 0; x < H * D; x++)
                    mega_put(q, b * LAST + i, x, mega_get(s.c.in[Q], row, x));
                for (int64_t x = 0; x < H * DV; x++)
                    mega_put(want, b * LAST + i, x, mega_get(all.out[0], row, x));
            }
        s.c.in[Q] = q;
        struct mega_call last = run(&s);
        assert_near(want, last.out[0], 2e-6);
    }
}

/* more queries than keys, and keys that are not there: 0, and no gradient */
static void a_query_without_keys_gives_nothing(void **state)
{
    EACH_WAY(s)
    {
        int32_t len[B] = { 3, 0 };
        struct mega_rows keys = { .B = B, .T = 5, .len = len };
        s.a.weights = false;
        s.c.keys = &keys;
        s.c.in[K] = numbers(&s, 2, 3, (int64_t[]){ B, 5, H * D });
        s.c.in[V] = numbers(&s, 3, 3, (int64_t[]){ B, 5, H * DV });
        for (int fn = 0; fn < 9; fn++) {
            s.a.fn = (enum mega_attention_fn)fn;
            s.a.top = fn == MEGA_ATTENTION_TOPK ? 2 : 0;
            s.a.causal = fn != MEGA_ATTENTION_INVERTED;
            struct mega_call c = run(&s);
            const mega_tensor *dq = slope(&s, &c, Q), *dk = slope(&s, &c, K);
            for (int64_t i = s.a.causal ? 0 : T; i < B * T; i++) {
                if (i >= 2 && i < T) continue;
                for (int64_t x = 0; x < H * DV; x++) assert_true(mega_get(c.out[0], i, x) == 0);
                for (int64_t x = 0; x < H * D; x++) assert_true(mega_get(dq, i, x) == 0);
            }
            for (int64_t j = 3; j < B * 5; j++)
                for (int64_t x = 0; x < H * D; x++) assert_true(mega_get(dk, j, x) == 0);
        }
    }
}

/* ---- streams ---- */

static mega_tensor *place_of(struct setup *s, const mega_tensor *all, int64_t i)
{
    mega_tensor *one = empty(s, 3, (int64_t[]){ B, 1, mega_width(all) });
    for (int64_t b = 0; b < B; b++)
        for (int64_t x = 0; x < mega_width(all); x++)
            mega_put(one, b, x, mega_get(all, b * T + i, x));
    return one;
}

/* place i of all joins the log, which has room for T - 1 */
static void note(mega_tensor *log, const mega_tensor *all, int64_t i)
{
    for (int64_t b = 0; b < B; b++)
        for (int64_t x = 0; x < mega_width(all); x++)
            mega_put(log, b * (T - 1) + i % (T - 1), x, mega_get(all, b * T + i, x));
}

static const int logged[][2] = { { MEGA_ATTENTION_K, MEGA_ATTENTION_PAST_K },
    { MEGA_ATTENTION_V, MEGA_ATTENTION_PAST_V },
    { MEGA_ATTENTION_DECAY, MEGA_ATTENTION_PAST_DECAY }, { MEGA_ATTENTION_Q, -1 },
    { MEGA_ATTENTION_SHARE, -1 } };

/* before of the full pass, [B, H, T, T], as query i of a stream has it */
static mega_tensor *before_of(struct setup *s, const mega_tensor *all, int64_t i)
{
    mega_tensor *one = empty(s, 4, (int64_t[]){ B, H, 1, T });
    for (int64_t h = 0; h < B * H; h++)
        for (int64_t j = 0; j <= i; j++)
            mega_put(one, h, T - 1 - i + j, mega_get(all, h * T + i, j));
    return one;
}

/* one query at a time: as in a pass over all of them */
static void streams(struct setup *s)
{
    s->a.weights = false;
    struct mega_call all = run(s), whole = s->c;
    static int32_t place[B];
    for (size_t k = 0; k < sizeof logged / sizeof *logged; k++)
        if (whole.in[logged[k][0]] && logged[k][1] >= 0)
            s->c.in[logged[k][1]] =
                empty(s, 3, (int64_t[]){ B, T - 1, mega_width(whole.in[logged[k][0]]) });
    s->rows = (struct mega_rows){ .B = B, .T = 1, .place = place };
    for (int64_t i = 0; i < T; i++) {
        for (int64_t b = 0; b < B; b++) place[b] = (int32_t)i;
        for (size_t k = 0; k < sizeof logged / sizeof *logged; k++)
            if (whole.in[logged[k][0]])
                s->c.in[logged[k][0]] = place_of(s, whole.in[logged[k][0]], i);
        if (whole.in[MEGA_ATTENTION_BEFORE])
            s->c.in[MEGA_ATTENTION_BEFORE] = before_of(s, whole.in[MEGA_ATTENTION_BEFORE], i);
        struct mega_call one = run(s);
        assert_near(place_of(s, all.out[0], i), one.out[0], 2e-6);
        for (size_t k = 0; k < sizeof logged / sizeof *logged; k++)
            if (whole.in[logged[k][0]] && logged[k][1] >= 0)
                note(s->c.in[logged[k][1]], whole.in[logged[k][0]], i);
    }
}

static void a_stream_of_decay_and_windows(void **state)
{
    EACH_WAY(s)
    {
        s.c.in[MEGA_ATTENTION_DECAY] = numbers(&s, 11, 3, (int64_t[]){ B, T, H });
        s.c.in[BIAS] = numbers(&s, 8, 2, (int64_t[]){ H, 2 * T - 1 });
        s.c.in[MEGA_ATTENTION_SHARE] = numbers(&s, 12, 3, (int64_t[]){ B, T, 2 * H });
        s.c.in[MEGA_ATTENTION_BANK] = numbers(&s, 13, 2, (int64_t[]){ 2, 4 });
        s.c.in[MEGA_ATTENTION_SINK] = numbers(&s, 14, 1, (int64_t[]){ H });
        s.c.in[MEGA_ATTENTION_PREFIX_K] = numbers(&s, 15, 3, (int64_t[]){ H, 2, D });
        s.c.in[MEGA_ATTENTION_PREFIX_V] = numbers(&s, 16, 3, (int64_t[]){ H, 2, DV });
        s.a.reach = 5;
        s.a.clamp = 2;
        streams(&s);
    }
}

static void a_stream_of_contextual_positions(void **state)
{
    EACH_WAY(s)
    {
        s.c.in[MEGA_ATTENTION_COPE] = numbers(&s, 9, 2, (int64_t[]){ 4, D });
        s.c.in[MEGA_ATTENTION_TALK_PRE] = numbers(&s, 17, 2, (int64_t[]){ H, H });
        s.c.in[MEGA_ATTENTION_TALK_POST] = numbers(&s, 18, 2, (int64_t[]){ H, H });
        s.c.in[MEGA_ATTENTION_TALK_SCALED] = numbers(&s, 19, 2, (int64_t[]){ H, H });
        streams(&s);
    }
}

static void a_stream_of_top_scores_over_those_before(void **state)
{
    EACH_WAY(s)
    {
        s.c.in[MEGA_ATTENTION_BEFORE] = numbers(&s, 20, 4, (int64_t[]){ B, H, T, T });
        s.a.fn = MEGA_ATTENTION_TOPK;
        s.a.top = 2;
        streams(&s);
    }
}

/* ---- what does not go together ---- */

static void refuses(struct setup *s, const char *message)
{
    mega_tensor out[MEGA_OUT];
    assert_int_equal(s->c.op->shape(&s->c, out), MEGA_BAD_ARGUMENT);
    if (!strstr(mega_message(), message)) fail_msg("%s", mega_message());
}

static void what_does_not_go_together_is_refused(void **state)
{
    (void)state;
    struct setup s;
    begin(&s, CHOSEN);
    s.a.exec = MEGA_ATTENTION_FUSED;
    s.c.in[MEGA_ATTENTION_TALK_PRE] = filled(&s, 1, H, H, true);
    refuses(&s, "exec fused does not go with heads that are mixed (talking heads)");
    s.c.in[MEGA_ATTENTION_TALK_PRE] = NULL;
    s.a.selective = true;
    refuses(&s, "exec fused does not go with selective attention");
    s.a.exec = MEGA_ATTENTION_AUTO;
    s.a.causal = false;
    refuses(&s, "selective does not go with attention that is not causal");
    s.a.selective = false;
    s.a.fn = MEGA_ATTENTION_SIGMOID;
    s.a.zeros = 1;
    refuses(&s, "sigmoid does not go with zero slots");
    s.a.zeros = 0;
    s.c.in[MEGA_ATTENTION_SINK] = filled(&s, 0, 1, H, false);
    refuses(&s, "sigmoid does not go with sinks");
    s.c.in[MEGA_ATTENTION_SINK] = NULL;
    s.a.fn = MEGA_ATTENTION_TOPK;
    refuses(&s, "top is 0");
    s.a.top = 2;
    s.a.l2 = true;
    refuses(&s, "topk does not go with l2 scores");
    s.a.l2 = false;
    s.a.fn = MEGA_ATTENTION_INVERTED;
    s.a.causal = true;
    refuses(&s, "inverted does not go with causal attention");
    s.a.fn = MEGA_ATTENTION_SOFTMAX;
    s.c.in[MEGA_ATTENTION_BEFORE] = empty(&s, 4, (int64_t[]){ B, H, T, T + 1 });
    refuses(&s, "before is [2, 2, 7, 8] F32, expected [2, 2, 7, 7]");
    done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reach_beyond_all_keys_changes_nothing),
        cmocka_unit_test(queries_stand_at_the_last_keys),
        cmocka_unit_test(a_query_without_keys_gives_nothing),
        cmocka_unit_test(a_stream_of_decay_and_windows),
        cmocka_unit_test(a_stream_of_contextual_positions),
        cmocka_unit_test(a_stream_of_top_scores_over_those_before),
        cmocka_unit_test(what_does_not_go_together_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
