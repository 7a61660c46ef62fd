/* Which keys attention's queries see: hidden ones, segments before, contexts, latents. */
#include "layer/attention_setup.h"

/* ---- hidden keys ---- */

static void keys_are_hidden_in_training_alone(void **state)
{
    (void)state;
    static float base[N], train[N], eval[N];
    struct mega_attention_options o = plain();
    struct setup s;
    o.score.hide = 0.5;
    o.score.hide_fixed = true;
    open(&s, &o);
    pass(&s, NULL, 0, NULL, NULL, 0, T, eval);
    pass(&s, NULL, MEGA_RUN_TRAIN, NULL, NULL, 0, T, train);
    s.attention.options.score.hide = 0;
    pass(&s, NULL, MEGA_RUN_TRAIN, NULL, NULL, 0, T, base);
    assert_near("evaluation", base, eval);
    assert_true(worst(base, train) > 1e-3);
    for (int b = 0; b < B; b++) /* the first place sees itself, always */
        assert_memory_equal(base + b * T * D, train + b * T * D, D * sizeof(float));
    done(&s);
}

static void so_many_keys_are_hidden_and_never_the_first(void **state)
{
    (void)state;
    struct mega_attention_options o = plain();
    struct setup s;
    int32_t doc[B * T];
    open(&s, &o);
    for (int i = 0; i < B * T; i++) doc[i] = i % T < 4 ? 0 : 4;
    for (int step = 0; step < 50; step++) {
        mega_run_begin(
            s.run, &(struct mega_run_args){ .mode = MEGA_RUN_TRAIN, .now = { 1, step } });
        struct mega_rows rows = { .B = B, .T = T, .doc = doc };
        const struct mega_rows *keys = mega_hidden_keys(s.run, &rows, 0.4, true);
        for (int b = 0; b < B; b++) {
            int hidden = 0;
            for (int t = 0; t < T; t++) hidden += !keys->real[b * T + t];
            assert_int_equal(hidden, 4); /* of 11, 0.4 */
            assert_true(keys->real[b * T] && keys->real[b * T + 4]);
        }
        assert_int_equal(mega_run_end(s.run), MEGA_OK);
    }
    done(&s);
}

/* ---- segments ---- */

/* with a memory that holds all that came before, segments equal one long pass */
static void segments_with_memory_equal_the_whole(void **state)
{
    (void)state;
    static float all[N], segments[N];
    static const int kinds[] = { MEGA_REL_POS_NONE, MEGA_REL_POS_T5, MEGA_REL_POS_ALIBI,
        MEGA_REL_POS_COPE, MEGA_REL_POS_XL };
    for (int k = 0; k < 5; k++)
        for (int rotary = MEGA_ROTARY_NONE; rotary <= MEGA_ROTARY_POPE; rotary++) {
            struct mega_attention_options o = plain();
            struct setup s;
            mega_stream *stream;
            o.memory = T;
            o.position.kind = kinds[k];
            o.rotary.kind = rotary;
            if (rotary != MEGA_ROTARY_POPE) o.prepare.memories = 2;
            if (mega_attention_check(&o)) continue; /* xl with pope */
            o.prepare.value_norm = 1;
            open(&s, &o);
            whole(&s, all);
            assert_int_equal(mega_stream_new(&stream, &s.store, B, 4, T), MEGA_OK);
            for (int64_t at = 0; at < T; at += 4)
                pass(&s, stream, 0, NULL, NULL, at, T - at < 4 ? T - at : 4, segments);
            mega_stream_free(stream);
            assert_near("memory", all, segments);
            done(&s);
        }
}

/* a whole text in segments of one pass is what a stream of such pieces remembers */
static void segments_of_one_pass_equal_those_of_a_stream(void **state)
{
    (void)state;
    static float one[N], pieces[N], unlimited[N];
    static const int kinds[] = { MEGA_REL_POS_T5, MEGA_REL_POS_XL, MEGA_REL_POS_COPE };
    for (int k = 0; k < 3; k++)
        for (int64_t memory = 1; memory <= 5; memory += 2) {
            struct mega_attention_options o = plain();
            struct setup s;
            mega_stream *stream;
            o.memory = memory;
            o.segment = 4;
            o.through = 1;
            o.position.kind = kinds[k];
            o.prepare.memories = 2;
            open(&s, &o);
            whole(&s, one);
            assert_int_equal(mega_stream_new(&stream, &s.store, B, 4, T), MEGA_OK);
            for (int64_t at = 0; at < T; at += 4)
                pass(&s, stream, 0, NULL, NULL, at, T - at < 4 ? T - at : 4, pieces);
            mega_stream_free(stream);
            assert_near("segments", one, pieces);
            s.attention.used.segment = 0;
            whole(&s, unlimited);
            assert_true(worst(one, unlimited) > 1e-3);
            done(&s);
        }
}

/* the last M rows, the latest last, and nobody sees what is not filled yet */
static void a_memory_keeps_the_last_rows(void **state)
{
    (void)state;
    static float y[N];
    struct mega_attention_options o = plain();
    struct setup s;
    mega_stream *stream;
    o.memory = 6;
    open(&s, &o);
    assert_int_equal(mega_stream_new(&stream, &s.store, B, 4, T), MEGA_OK);
    for (int64_t at = 0; at < 8; at += 4) pass(&s, stream, 0, NULL, NULL, at, 4, y);
    const mega_tensor *kept = mega_stream_value(stream, s.attention.memory);
    for (int b = 0; b < B; b++)
        for (int t = 0; t < 6; t++)
            for (int j = 0; j < D; j++)
                assert_true(
                    (float)mega_get(kept, b * 6 + t, j) == s.x[(b * T + t + 2) * D + j]);
    mega_stream_free(stream);
    done(&s);
}

/* ---- contexts ---- */

static void a_context_is_read_by_its_own_rows(void **state)
{
    (void)state;
    enum { S = 5 };
    struct mega_attention_options o = plain();
    struct setup s;
    float y[2][N];
    o.cross = true;
    o.causal = false;
    o.prepare.memories = 2;
    open(&s, &o);
    /* what lies beyond a row's length changes nothing */
    for (int change = 0; change < 2; change++) {
        int32_t len[B] = { S, 3 };
        struct mega_rows rows = { .B = B, .T = T }, there = { .B = B, .T = S, .len = len };
        mega_run_begin(s.run, &(struct mega_run_args){ 0 });
        mega_tensor *context = mega_run_tensor(s.run, MEGA_F32, 3, (int64_t[]){ B, S, D });
        for (int i = 0; i < B * S * D; i++) mega_put(context, i / D, i % D, sin(i));
        if (change) mega_put(context, S + 4, 1, 7);
        struct mega_attention_args a = { .context = context, .context_rows = &there };
        mega_tensor *out = mega_attention_run_with(
            s.run, &s.attention, piece(&s, s.x, D, 0, T), mega_run_rows(s.run, &rows), &a);
        assert_non_null(out);
        for (int i = 0; i < N; i++) y[change][i] = (float)mega_get(out, i / D, i % D);
        assert_int_equal(mega_run_end(s.run), MEGA_OK);
    }
    assert_memory_equal(y[0], y[1], sizeof y[0]);
    mega_run_begin(s.run, &(struct mega_run_args){ 0 });
    struct mega_rows rows = { .B = B, .T = T };
    mega_attention_run(s.run, &s.attention, piece(&s, s.x, D, 0, T), &rows);
    assert_int_equal(mega_run_end(s.run), MEGA_BAD_ARGUMENT);
    assert_non_null(strstr(mega_message(), "without a context"));
    done(&s);
}

/* of 5 and 3 places, 0.6 goes: 2 and 1 stay, others each step; evaluation has all */
static void training_keeps_a_part_of_a_context(void **state)
{
    (void)state;
    struct mega_attention_options o = plain();
    struct setup s;
    int32_t len[] = { 5, 3 };
    struct mega_rows rows = { .B = 2, .T = 5, .len = len };
    int seen[5] = { 0 };
    open(&s, &o);
    for (int step = 0; step < 60; step++) {
        mega_run_begin(
            s.run, &(struct mega_run_args){ .mode = MEGA_RUN_TRAIN, .now = { 1, step } });
        const struct mega_rows *kept = mega_kept_context(s.run, &rows, 0.6);
        int n[2] = { 0 };
        for (int i = 0; i < 10; i++) n[i / 5] += mega_rows_real(kept, i / 5, i % 5);
        for (int t = 0; t < 5; t++) seen[t] += kept->real[t];
        assert_int_equal(n[0], 2);
        assert_int_equal(n[1], 1);
        assert_int_equal(mega_run_end(s.run), MEGA_OK);
    }
    for (int t = 0; t < 5; t++) assert_true(seen[t] > 10 && seen[t] < 40); /* of 24 expected */
    mega_run_begin(s.run, &(struct mega_run_args){ 0 });
    assert_ptr_equal(mega_kept_context(s.run, &rows, 0.6), &rows);
    assert_int_equal(mega_run_end(s.run), MEGA_OK);
    done(&s);
}

/* what a stream keeps of a context serves all that follows */
static void a_stream_keeps_its_context(void **state)
{
    (void)state;
    enum { S = 5 };
    struct mega_attention_options o = plain();
    struct setup s;
    float y[2][B * D];
    mega_stream *stream;
    o.cross = true;
    o.context_places = S;
    o.prepare.qk_norm = MEGA_QK_NORM_RMS;
    open(&s, &o);
    assert_int_equal(mega_stream_new(&stream, &s.store, B, 1, T), MEGA_OK);
    for (int at = 0; at < 2; at++) {
        int32_t len[B] = { S, 3 };
        struct mega_rows rows = { .B = B, .T = 1 }, there = { .B = B, .T = S, .len = len };
        mega_run_begin(s.run, &(struct mega_run_args){ .stream = stream });
        mega_tensor *context = mega_run_tensor(s.run, MEGA_F32, 3, (int64_t[]){ B, S, D });
        for (int i = 0; i < B * S * D; i++) mega_put(context, i / D, i % D, sin(i));
        struct mega_attention_args a = { .context = at ? NULL : context,
            .context_rows = &there };
        mega_tensor *out = mega_attention_run_with(
            s.run, &s.attention, piece(&s, s.x, D, 0, 1), mega_run_rows(s.run, &rows), &a);
        if (!out) fail_msg("%s", mega_run_end(s.run) ? mega_message() : "nothing came");
        for (int i = 0; i < B * D; i++) y[at][i] = (float)mega_get(out, i / D, i % D);
        assert_int_equal(mega_run_end(s.run), MEGA_OK);
    }
    assert_memory_equal(y[0], y[1], sizeof y[0]);
    mega_stream_free(stream);
    done(&s);
}

/* of a token: a latent and the shared rotary key */
static void a_stream_keeps_latents_alone(void **state)
{
    (void)state;
    struct mega_attention_options o = plain();
    struct setup s;
    set_latent_sizes(&o);
    open(&s, &o);
    int64_t numbers = 0;
    for (const struct mega_cell *c = s.store.first_cell; c; c = c->next) numbers += c->dim[0];
    assert_int_equal(numbers, 7 + 4);
    done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_hidden_in_training_alone),
        cmocka_unit_test(so_many_keys_are_hidden_and_never_the_first),
        cmocka_unit_test(segments_with_memory_equal_the_whole),
        cmocka_unit_test(segments_of_one_pass_equal_those_of_a_stream),
        cmocka_unit_test(a_memory_keeps_the_last_rows),
        cmocka_unit_test(a_context_is_read_by_its_own_rows),
        cmocka_unit_test(training_keeps_a_part_of_a_context),
        cmocka_unit_test(a_stream_keeps_its_context),
        cmocka_unit_test(a_stream_keeps_latents_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
