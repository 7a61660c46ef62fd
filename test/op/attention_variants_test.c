/* What variants do to scores and weights, said by attention without them, in closed forms. */
#include "op/attention_setup.h"

/* ---- scores ---- */

static void additions_of_nothing_change_nothing(void **state)
{
    EACH_WAY(s)
    {
        struct mega_call plain = run(&s);
        s.c.in[BIAS] = filled(&s, 1.5f, H, 2 * T - 1, false);
        s.c.in[MEGA_ATTENTION_DECAY] = empty(&s, 3, (int64_t[]){ B, T, H });
        s.c.in[MEGA_ATTENTION_SHARE] = numbers(&s, 5, 3, (int64_t[]){ B, T, H });
        s.c.in[MEGA_ATTENTION_BANK] = empty(&s, 2, (int64_t[]){ 1, 4 });
        struct mega_call added = run(&s);
        assert_same_output(&plain, &added);
        s.c.in[MEGA_ATTENTION_COPE] = empty(&s, 2, (int64_t[]){ 4, D });
        s.c.in[MEGA_ATTENTION_TALK_PRE] = filled(&s, 1, H, H, true);
        s.c.in[MEGA_ATTENTION_TALK_POST] = filled(&s, 1, H, H, true);
        s.c.in[MEGA_ATTENTION_BEFORE] = empty(&s, 4, (int64_t[]){ B, H, T, T });
        s.a.clamp = 1e6;
        struct mega_call all = run(&s);
        assert_near(plain.out[0], all.out[0], 1e-5);
    }
}

static void a_constant_gate_is_a_slope_of_distance(void **state)
{
    EACH_WAY(s)
    {
        mega_tensor *bias = filled(&s, 0, H, 2 * T - 1, false),
                    *decay = empty(&s, 3, (int64_t[]){ B, T, H });
        for (int64_t h = 0; h < H; h++)
            for (int64_t x = 0; x < 2 * T - 1; x++)
                mega_put(bias, h, x, -0.5 / (double)(h + 1) * fabs((double)(x - T + 1)));
        for (int64_t r = 0; r < B * T; r++)
            for (int64_t h = 0; h < H; h++)
                mega_put(decay, r, h, -0.5 / (double)(h + 1) * (double)(r % T));
        for (int causal = 0; causal < 2; causal++) {
            s.a.causal = causal;
            s.c.in[BIAS] = bias;
            s.c.in[MEGA_ATTENTION_DECAY] = s.c.in[MEGA_ATTENTION_DECAY_BACK] = NULL;
            struct mega_call sloped = run(&s);
            s.c.in[BIAS] = NULL;
            s.c.in[MEGA_ATTENTION_DECAY] = s.c.in[MEGA_ATTENTION_DECAY_BACK] = decay;
            struct mega_call gated = run(&s);
            assert_same_output(&sloped, &gated);
        }
    }
}

/* shares of one pattern are a bias: of a bank that all heads have, or of each head's rows */
static void shares_are_a_bias(void **state, int64_t banks, float share)
{
    EACH_WAY(s)
    {
        mega_tensor *bias = filled(&s, 0, banks, 2 * T - 1, false),
                    *bank = numbers(&s, 6, 2, (int64_t[]){ banks, 4 });
        for (int64_t h = 0; h < banks; h++)
            for (int64_t far = 0; far < 4; far++)
                mega_put(bias, h, T - 1 - far, share * mega_get(bank, h, far));
        s.c.in[BIAS] = bias;
        struct mega_call plain = run(&s);
        s.c.in[BIAS] = NULL;
        s.c.in[MEGA_ATTENTION_BANK] = bank;
        s.c.in[MEGA_ATTENTION_SHARE] = empty(&s, 3, (int64_t[]){ B, T, H });
        for (int64_t i = 0; i < B * T * H; i++)
            ((float *)s.c.in[MEGA_ATTENTION_SHARE]->data)[i] = share;
        struct mega_call shared = run(&s);
        assert_same_output(&plain, &shared);
    }
}

static void a_share_of_one_pattern_is_its_bias(void **state)
{
    shares_are_a_bias(state, 1, 1);
}

static void a_bank_may_have_rows_for_each_head(void **state)
{
    shares_are_a_bias(state, H, 2);
}

/* gates of rows that are all alike are a slope of distance; wide open, nothing */
static void gates_of_rows_forget_by_distance(void **state)
{
    EACH_WAY(s)
    {
        struct mega_call plain = run(&s);
        mega_tensor *q = empty(&s, 3, (int64_t[]){ B, T, H * 4 });
        for (int64_t i = 0; i < B * T * H * 4; i++) ((float *)q->data)[i] = 5;
        s.c.in[MEGA_ATTENTION_GATE_Q] = s.c.in[MEGA_ATTENTION_GATE_K] = q; /* 50 */
        struct mega_call open = run(&s);
        assert_same_output(&plain, &open);
        mega_tensor *bias = filled(&s, 0, 1, 2 * T - 1, false);
        for (int64_t i = 0; i < B * T * H * 4; i++) ((float *)q->data)[i] = 0.5f; /* 0.5 */
        for (int64_t far = 0; far < T; far++)
            mega_put(bias, 0, T - 1 - far, -log1p(exp(-0.5)) * (double)far);
        struct mega_call gated = run(&s);
        s.c.in[MEGA_ATTENTION_GATE_Q] = s.c.in[MEGA_ATTENTION_GATE_K] = NULL;
        s.c.in[BIAS] = bias;
        struct mega_call sloped = run(&s);
        assert_same_output(&sloped, &gated);
    }
}

/* -|q - k|^2 = (2q, |q|^2, -1) . (k, -1, |k|^2) */
static void distances_are_products_of_longer_vectors(void **state)
{
    EACH_WAY(s)
    {
        s.a.scale = 0.4;
        s.a.l2 = true;
        struct mega_call distances = run(&s);
        mega_tensor *q = empty(&s, 3, (int64_t[]){ B, T, H * (D + 2) }),
                    *k = empty(&s, 3, (int64_t[]){ B, T, H * (D + 2) });
        for (int64_t r = 0; r < B * T * H; r++) {
            double qq = 0, kk = 0;
            float *to_q = (float *)q->data + r * (D + 2),
                  *to_k = (float *)k->data + r * (D + 2);
            for (int64_t e = 0; e < D; e++) {
                double qe = ((float *)s.c.in[Q]->data)[r * D + e],
                       ke = ((float *)s.c.in[K]->data)[r * D + e];
                to_q[e] = (float)(2 * qe);
                to_k[e] = (float)ke;
                qq += qe * qe;
                kk += ke * ke;
            }
            to_q[D] = (float)qq;
            to_q[D + 1] = to_k[D] = -1;
            to_k[D + 1] = (float)kk;
        }
        s.c.in[Q] = q;
        s.c.in[K] = k;
        s.a.l2 = false;
        struct mega_call products = run(&s);
        assert_near(distances.out[0], products.out[0], 1e-5);
    }
}

static void what_is_carried_on_stands_for_the_layer_before(void **state)
{
    EACH_WAY(s)
    {
        s.a.scores = true;
        struct mega_call first = run(&s);
        s.c.in[MEGA_ATTENTION_BEFORE] = first.out[MEGA_ATTENTION_SCORES];
        s.c.in[Q] = empty(&s, 3, (int64_t[]){ B, T, H * D });
        struct mega_call second = run(&s);
        assert_same_output(&first, &second);
        assert_near(first.out[MEGA_ATTENTION_SCORES], second.out[MEGA_ATTENTION_SCORES], 1e-6);
        /* raw: no bias goes with them */
        s.c.in[BIAS] = numbers(&s, 8, 2, (int64_t[]){ H, 2 * T - 1 });
        struct mega_call third = run(&s);
        assert_near(first.out[MEGA_ATTENTION_SCORES], third.out[MEGA_ATTENTION_SCORES], 1e-6);
    }
}

/* head 0 reads nothing where its scores are negative; else a key fades by what was read of it
 */
static void keys_fade_by_what_head_0_has_read(void **state)
{
    EACH_WAY(s)
    {
        mega_tensor *one = empty(&s, 3, (int64_t[]){ B, T, H * D }),
                    *minus = empty(&s, 3, (int64_t[]){ B, T, H * D });
        for (int64_t i = 0; i < B * T * H * D; i++) {
            ((float *)one->data)[i] = 1;
            ((float *)minus->data)[i] = -1;
        }
        s.a.scale = 1;
        s.c.in[Q] = one;
        s.c.in[K] = minus;
        struct mega_call plain = run(&s);
        s.a.selective = true;
        struct mega_call unread = run(&s);
        assert_same_output(&plain, &unread);
        /* scores of 3 everywhere: key j has lost 3 a query between it and the present one, the
         * first key nothing */
        s.c.in[K] = one;
        struct mega_call faded = run(&s);
        s.a.selective = false;
        s.c.in[MEGA_ATTENTION_BEFORE] = empty(&s, 4, (int64_t[]){ B, H, T, T });
        for (int64_t r = 0; r < B * H * T; r++)
            for (int64_t j = 1; j < r % T; j++)
                mega_put(s.c.in[MEGA_ATTENTION_BEFORE], r, j, -3.0 * (double)(r % T - 1 - j));
        struct mega_call said = run(&s);
        assert_same_output(&said, &faded);
    }
}

/* the first gate is the key's own: with open gates a key j has position i - j + 1 */
static void open_gates_of_cope_count_places(void **state)
{
    EACH_WAY(s)
    {
        mega_tensor *q = empty(&s, 3, (int64_t[]){ B, T, H * D }),
                    *cope = numbers(&s, 9, 2, (int64_t[]){ T + 2, D });
        for (int64_t i = 0; i < B * T * H * D; i++) ((float *)q->data)[i] = 2;
        s.c.in[Q] = s.c.in[K] = q;
        s.a.scale = 3; /* scores of 36 */
        s.c.in[MEGA_ATTENTION_COPE] = cope;
        struct mega_call counted = run(&s);
        mega_tensor *bias = filled(&s, 0, 1, 2 * T - 1, false);
        for (int64_t far = 0; far < T; far++) {
            double sum = 0;
            for (int64_t e = 0; e < D; e++) sum += 2 * mega_get(cope, far + 1, e);
            mega_put(bias, 0, T - 1 - far, sum);
        }
        s.c.in[MEGA_ATTENTION_COPE] = NULL;
        s.c.in[BIAS] = bias;
        struct mega_call biased = run(&s);
        assert_near(counted.out[0], biased.out[0], 2e-5);
    }
}

/* ---- functions ---- */

static void prefix_keys_of_nothing_are_zero_slots(void **state)
{
    EACH_WAY(s)
    {
        s.a.weights = false;
        s.c.in[MEGA_ATTENTION_PREFIX_K] = empty(&s, 3, (int64_t[]){ H, 3, D });
        s.c.in[MEGA_ATTENTION_PREFIX_V] = empty(&s, 3, (int64_t[]){ H, 3, DV });
        struct mega_call prefixed = run(&s);
        s.c.in[MEGA_ATTENTION_PREFIX_K] = s.c.in[MEGA_ATTENTION_PREFIX_V] = NULL;
        s.a.zeros = 3;
        struct mega_call zeros = run(&s);
        assert_same_output(&prefixed, &zeros);
        /* a sink of logarithm 3, too; one far below every score is none */
        s.a.zeros = 0;
        struct mega_call plain = run(&s);
        s.c.in[MEGA_ATTENTION_SINK] = filled(&s, logf(3), 1, H, false);
        struct mega_call sunk = run(&s);
        assert_same_output(&zeros, &sunk);
        s.c.in[MEGA_ATTENTION_SINK] = filled(&s, -100, 1, H, false);
        struct mega_call far = run(&s);
        assert_same_output(&plain, &far);
        s.c.in[MEGA_ATTENTION_SINK] = filled(&s, 100, 1, H, false);
        struct mega_call nothing = run(&s);
        assert_near(nothing.out[0], empty(&s, 3, nothing.out[0]->dim), 1e-6);
    }
}

static void the_largest_scores_are_kept(void **state)
{
    EACH_WAY(s)
    {
        struct mega_call softmax = run(&s);
        s.a.fn = MEGA_ATTENTION_TOPK;
        s.a.top = T;
        struct mega_call all = run(&s);
        assert_same_output(&softmax, &all);
        s.a.top = 1;
        struct mega_call one = run(&s);
        s.a.fn = MEGA_ATTENTION_HARD;
        struct mega_call hard = run(&s);
        assert_same_output(&one, &hard);
        s.a.fn = MEGA_ATTENTION_TOPK;
        s.a.top = 3;
        struct mega_call three = run(&s);
        for (int64_t r = 0; three.out[1] && r < mega_height(three.out[1]); r++) {
            int64_t n = 0;
            for (int64_t j = 0; j < T; j++) n += mega_get(three.out[1], r, j) != 0;
            assert_int_equal(n, r % T < 3 ? r % T + 1 : 3);
        }
    }
}

/* straight through: the softmax's gradient for scores, the sparse weights' for values */
static void what_is_picked_passes_gradients_straight_through(void **state)
{
    EACH_WAY(s)
    {
        struct mega_call softmax = run(&s);
        s.a.fn = MEGA_ATTENTION_TOPK;
        s.a.top = 2;
        struct mega_call sparse = run(&s);
        s.a.through = true;
        struct mega_call through = run(&s);
        assert_same_output(&sparse, &through);
        assert_near(slope(&s, &softmax, Q), slope(&s, &through, Q), 2e-6);
        assert_near(slope(&s, &softmax, K), slope(&s, &through, K), 2e-6);
        assert_near(slope(&s, &sparse, V), slope(&s, &through, V), 2e-6);
        s.a.through = false;
        s.a.fn = MEGA_ATTENTION_HARD;
        struct mega_call hard = run(&s);
        assert_near(slope(&s, &softmax, Q), slope(&s, &hard, Q), 2e-6);
    }
}

static void heads_that_change_places(void **state)
{
    EACH_WAY(s)
    {
        s.c.in[V] = empty(&s, 3, (int64_t[]){ B, T, H * DV });
        const mega_tensor *v = numbers(&s, 3, 3, (int64_t[]){ B, T, DV });
        for (int64_t r = 0; r < B * T; r++)
            for (int64_t x = 0; x < H * DV; x++)
                mega_put(s.c.in[V], r, x, mega_get(v, r, x % DV));
        struct mega_call plain = run(&s);
        mega_tensor *turn = filled(&s, 1, H, H, false);
        for (int64_t h = 0; h < H; h++) mega_put(turn, h, h, 0);
        s.c.in[MEGA_ATTENTION_TALK_POST] = turn;
        struct mega_call turned = run(&s);
        for (int64_t r = 0; r < B * T; r++)
            for (int64_t x = 0; x < H * DV; x++)
                assert_float_equal((float)mega_get(plain.out[0], r, x),
                    (float)mega_get(turned.out[0], r, (x + DV) % (H * DV)), 2e-6f);
    }
}

static void other_functions(void **state)
{
    EACH_WAY(s)
    {
        mega_tensor *q = s.c.in[Q], *none = empty(&s, 3, (int64_t[]){ B, T, H * DV });
        s.a.fn = MEGA_ATTENTION_SIGMOID;
        s.a.sigmoid_bias = -40;
        struct mega_call shut = run(&s);
        assert_near(shut.out[0], none, 1e-6);
        /* scores that are not negative */
        s.c.in[Q] = s.c.in[K] = empty(&s, 3, (int64_t[]){ B, T, H * D });
        for (int64_t i = 0; i < B * T * H * D; i++)
            ((float *)s.c.in[Q]->data)[i] = fabsf(((const float *)q->data)[i]);
        s.a.fn = MEGA_ATTENTION_SOFTMAX;
        struct mega_call softmax = run(&s);
        s.a.fn = MEGA_ATTENTION_COG;
        struct mega_call cog = run(&s);
        assert_same_output(&softmax, &cog);
        /* noise counts for little beside scores that are a thousand times as large */
        s.a.fn = MEGA_ATTENTION_HARD;
        s.a.scale = 1e3;
        struct mega_call hard = run(&s);
        s.a.fn = MEGA_ATTENTION_GUMBEL;
        struct mega_call gumbel = run(&s);
        assert_near(hard.out[0], gumbel.out[0], 1e-4);
        s.a.scale = 0;
        struct mega_call noisy = run(&s);
        double moved = 0;
        for (int64_t i = 0; i < B * T; i++)
            moved += fabs(mega_get(noisy.out[0], i, 0) - mega_get(softmax.out[0], i, 0));
        assert_true(moved > 0.1);
    }
}

/* keys of equal scores are shared out evenly: all weights of a query are alike; and a query
 * that is not real takes no share */
static void inverted_shares_a_key_out_among_queries(void **state)
{
    EACH_WAY(s)
    {
        int32_t len[B] = { T, 4 };
        s.rows.len = len;
        struct mega_rows keys = { .B = B, .T = T };
        s.c.keys = &keys;
        s.a.causal = false;
        s.a.fn = MEGA_ATTENTION_INVERTED;
        struct mega_call c = run(&s);
        const mega_tensor *w = c.out[1];
        for (int64_t b = 0; w && b < B; b++)
            for (int64_t h = 0; h < H; h++) {
                double unnormalised[T][T], sum[T];
                for (int64_t i = 0; i < T; i++) {
                    double all = 0;
                    for (int64_t j = 0; j < T; j++) all += mega_get(w, (b * H + h) * T + i, j);
                    assert_true(fabs(all - (i < len[b])) < 1e-5);
                    for (int64_t j = 0; j < T; j++) {
                        double score = 0;
                        for (int64_t e = 0; e < D; e++)
                            score += mega_get(s.c.in[Q], b * T + i, h * D + e) *
                                     mega_get(s.c.in[K], b * T + j, h * D + e) / sqrt(D);
                        unnormalised[i][j] = i < len[b] ? exp(score) : 0;
                    }
                }
                for (int64_t i = 0; i < T; i++) {
                    sum[i] = 0;
                    for (int64_t j = 0; j < T; j++) {
                        double column = 0;
                        for (int64_t k = 0; k < T; k++) column += unnormalised[k][j];
                        sum[i] += unnormalised[i][j] / column;
                    }
                    for (int64_t j = 0; j < T && i < len[b]; j++) {
                        double column = 0;
                        for (int64_t k = 0; k < T; k++) column += unnormalised[k][j];
                        assert_true(fabs(unnormalised[i][j] / column / sum[i] -
                                         mega_get(w, (b * H + h) * T + i, j)) < 1e-5);
                    }
                }
            }
        s.rows.len = NULL;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(additions_of_nothing_change_nothing),
        cmocka_unit_test(a_constant_gate_is_a_slope_of_distance),
        cmocka_unit_test(a_share_of_one_pattern_is_its_bias),
        cmocka_unit_test(a_bank_may_have_rows_for_each_head),
        cmocka_unit_test(gates_of_rows_forget_by_distance),
        cmocka_unit_test(distances_are_products_of_longer_vectors),
        cmocka_unit_test(what_is_carried_on_stands_for_the_layer_before),
        cmocka_unit_test(keys_fade_by_what_head_0_has_read),
        cmocka_unit_test(open_gates_of_cope_count_places),
        cmocka_unit_test(prefix_keys_of_nothing_are_zero_slots),
        cmocka_unit_test(the_largest_scores_are_kept),
        cmocka_unit_test(what_is_picked_passes_gradients_straight_through),
        cmocka_unit_test(heads_that_change_places),
        cmocka_unit_test(other_functions),
        cmocka_unit_test(inverted_shares_a_key_out_among_queries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
