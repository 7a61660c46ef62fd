/* Transformer-XL's relative scores, ALiBi's slopes either way and learned, what training asks
 * of scores (z-loss, QK-clip), a module beside attention: in closed forms. */
#include <stdio.h>
#include <stdlib.h>

#include "layer/attention_setup.h"

/* ---- Transformer-XL ---- */

static double weight_of(struct setup *s, const char *name, int64_t row, int64_t column)
{
    return mega_get(&mega_store_find(&s->store, name)->value, row, column);
}

/* x W^T + b of place t, channel c */
static double projected(struct setup *s, const char *of, int b, int t, int64_t c)
{
    char weight[64], bias[64];
    snprintf(weight, sizeof weight, "%s.weight", of);
    snprintf(bias, sizeof bias, "%s.bias", of);
    double y = (double)parameter(s, bias)[c];
    for (int64_t j = 0; j < D; j++)
        y += (double)s->x[(b * T + t) * D + j] * weight_of(s, weight, c, j);
    return y;
}

/* W_r of the sines of a distance, channel c */
static double relative(struct setup *s, int far, int64_t c)
{
    double y = 0;
    for (int64_t j = 0; j < D / 2; j++) {
        double turn = pow(10000, -2.0 * (double)j / D) * far;
        y += weight_of(s, "xl_r.weight", c, j) * sin(turn) +
             weight_of(s, "xl_r.weight", c, D / 2 + j) * cos(turn);
    }
    return y;
}

/* tau [(q + u) k + (q + v) (W_r r)] */
static double xl_score(
    struct setup *s, const struct mega_attention_options *o, int b, int i, int j, int64_t h)
{
    double sum = 0;
    int64_t g = h / (o->heads / o->kv_heads);
    for (int64_t e = 0; e < o->keys; e++) {
        double q = projected(s, "q", b, i, h * o->keys + e),
               k = projected(s, "k", b, j, g * o->keys + e);
        sum += (q + weight_of(s, "xl_u", h, e)) * k +
               (q + weight_of(s, "xl_v", h, e)) * relative(s, i - j, h * o->keys + e);
    }
    return sum / sqrt((double)o->keys);
}

static void xl_scores_are_those_of_the_paper(void **state)
{
    (void)state;
    static float y[N], expected[N];
    struct mega_attention_options o = plain();
    struct setup s;
    o.position.kind = MEGA_REL_POS_XL;
    open(&s, &o);
    whole(&s, y);
    for (int i = 0; i < N; i++) expected[i] = parameter(&s, "o.bias")[i % D];
    for (int i = 0; i < B * T; i++)
        for (int64_t h = 0; h < o.heads; h++) {
            double w[T], sum = 0, most = -1e30;
            int b = i / T, t = i % T;
            for (int j = 0; j <= t; j++) w[j] = xl_score(&s, &o, b, t, j, h);
            for (int j = 0; j <= t; j++) most = fmax(most, w[j]);
            for (int j = 0; j <= t; j++) sum += w[j] = exp(w[j] - most);
            for (int64_t e = 0; e < o.values; e++) {
                double v = 0;
                int64_t c = h / 2 * o.values + e;
                for (int j = 0; j <= t; j++) v += w[j] / sum * projected(&s, "v", b, j, c);
                for (int64_t d = 0; d < D; d++)
                    expected[i * D + d] +=
                        (float)(v * weight_of(&s, "o.weight", d, h * o.values + e));
            }
        }
    double far = worst(expected, y);
    if (!(far < 1e-4)) fail_msg("%g apart", far);
    done(&s);
}

/* ---- slopes ---- */

static void slopes(struct setup *s, struct mega_attention_options *o, float *to)
{
    o->position.kind = MEGA_REL_POS_ALIBI;
    if (declare(s, o)) fail_msg("%s", mega_message());
    lay_out(s, 0);
    mega_run_begin(s->run, &(struct mega_run_args){ 0 });
    mega_tensor *bias = mega_position_bias_run(s->run, &s->bias, T);
    for (int64_t h = 0; h < o->heads; h++)
        for (int64_t x = 0; x < 2 * T - 1; x++)
            to[h * (2 * T - 1) + x] = (float)mega_get(bias, h, x);
    assert_int_equal(mega_run_end(s->run), MEGA_OK);
}

/* learned slopes begin as ALiBi's; keys ahead have those of the heads the other way round */
static void slopes_begin_as_alibi_has_them(void **state)
{
    (void)state;
    enum { H = 4, W = 2 * T - 1 };
    for (int kind = 0; kind < 4; kind++) {
        struct mega_attention_options o = plain();
        struct setup s;
        float bias[H * W];
        o.causal = false;
        o.position.alibi_asymmetric = kind & 1;
        o.position.alibi_learned = kind & 2;
        slopes(&s, &o, bias);
        for (int h = 0; h < H; h++)
            for (int x = 0; x < W; x++) {
                int far = T - 1 - x, by = far < 0 && kind & 1 ? H - 1 - h : h;
                double expected = -pow(2, -2.0 * (by + 1)) * abs(far);
                assert_true(fabs((double)bias[h * W + x] - expected) < 1e-6);
            }
        done(&s);
    }
}

/* ---- what training asks of scores ---- */

static mega_tensor *trained(
    struct setup *s, struct mega_attention_args *a, const struct mega_rows *rows)
{
    mega_run_begin(s->run, &(struct mega_run_args){ .mode = MEGA_RUN_TRAIN | MEGA_RUN_GRAD });
    mega_tensor *y = mega_attention_run_with(
        s->run, &s->attention, piece(s, s->x, D, 0, T), mega_run_rows(s->run, rows), a);
    if (!y) fail_msg("%s", mega_run_end(s->run) ? mega_message() : "nothing came");
    return y;
}

/* without queries all scores are 0: each head of place i has log(i + 1) */
static void the_z_loss_is_the_square_of_the_sums_logarithm(void **state)
{
    (void)state;
    for (int exec = MEGA_ATTENTION_AUTO; exec <= MEGA_ATTENTION_STRIP; exec += 2) {
        struct mega_attention_options o = plain();
        struct setup s;
        int32_t len[B] = { T, 5 };
        o.z_loss = 0.5;
        o.score.exec = exec;
        open(&s, &o);
        fill(&s, "q.weight", 0);
        fill(&s, "q.bias", 0);
        struct mega_attention_args a = { 0 };
        trained(&s, &a, &(struct mega_rows){ .B = B, .T = T, .len = len });
        for (int i = 0; i < B * T; i++) {
            double log_sum = log(i % T + 1),
                   expected = i % T < len[i / T] ? 4 * log_sum * log_sum : 0;
            assert_true(fabs(mega_get(a.penalty, i, 0) - expected) < 1e-5);
        }
        assert_int_equal(mega_run_end(s.run), MEGA_OK);
        /* outside training nobody asks */
        mega_run_begin(s.run, &(struct mega_run_args){ 0 });
        struct mega_rows rows = { .B = B, .T = T };
        a = (struct mega_attention_args){ 0 };
        mega_attention_run_with(
            s.run, &s.attention, piece(&s, s.x, D, 0, T), mega_run_rows(s.run, &rows), &a);
        assert_null(a.penalty);
        mega_run_end(s.run);
        done(&s);
    }
}

/* the sum of all places' z-loss; with gradients */
static double penalty(struct setup *s)
{
    struct mega_attention_args a = { 0 };
    struct mega_rows rows = { .B = B, .T = T };
    double sum = 0;
    trained(s, &a, &rows);
    for (int i = 0; i < B * T; i++) sum += mega_get(a.penalty, i, 0);
    mega_run_seed(s->run, a.penalty, 1);
    mega_run_backward(s->run);
    assert_int_equal(mega_run_end(s->run), MEGA_OK);
    return sum;
}

static void the_z_loss_has_gradients(void **state)
{
    (void)state;
    struct mega_attention_options o = plain();
    struct setup s;
    o.z_loss = 1;
    o.score.sink = true;
    open(&s, &o);
    float *q = parameter(&s, "q.weight"), *sink = parameter(&s, "sink");
    penalty(&s);
    double slope_q = mega_get(&mega_store_find(&s.store, "q.weight")->gradient, 3, 2),
           slope_sink = mega_get(&mega_store_find(&s.store, "sink")->gradient, 0, 1);
    float was = q[3 * D + 2], at = sink[1], eps = 1e-2f;
    q[3 * D + 2] = was + eps;
    double high = penalty(&s);
    q[3 * D + 2] = was - eps;
    double low = penalty(&s);
    q[3 * D + 2] = was;
    assert_true(fabs((high - low) / (2 * (double)eps) - slope_q) < 1e-2 * (1 + fabs(slope_q)));
    assert_true(fabs(slope_q) > 1e-3);
    sink[1] = at + eps;
    high = penalty(&s);
    sink[1] = at - eps;
    low = penalty(&s);
    assert_true(
        fabs((high - low) / (2 * (double)eps) - slope_sink) < 1e-2 * (1 + fabs(slope_sink)));
    done(&s);
}

/* heads beyond the bound come back to it, the others stay as they are */
static void clipped_heads_have_the_largest_score_that_is_allowed(void **state)
{
    (void)state;
    for (int64_t groups = 2; groups <= 4; groups += 2) {
        struct mega_attention_options o = plain();
        struct setup s;
        float before[4];
        struct mega_attention_args a = { 0 };
        struct mega_rows rows = { .B = B, .T = T };
        o.kv_heads = groups;
        o.clip = 1;
        open(&s, &o);
        /* a bound in the midst of the heads' scores */
        trained(&s, &a, &rows);
        mega_run_end(s.run);
        memcpy(before, s.attention.score.peaks, sizeof before);
        float least = fminf(fminf(before[0], before[1]), fminf(before[2], before[3])),
              most = fmaxf(fmaxf(before[0], before[1]), fmaxf(before[2], before[3]));
        assert_true(least > 0 && most > least * 1.01f);
        float bound = 0.5f * (least + most);
        s.store.first_clip->most = (double)bound;
        mega_store_clip_heads(&s.store);
        for (int h = 0; h < 4; h++) assert_true(s.attention.score.peaks[h] <= 0);
        trained(&s, &a, &rows);
        mega_run_end(s.run);
        for (int h = 0; h < 4; h++) {
            float expected = fminf(before[h], bound), now = s.attention.score.peaks[h];
            if (!(fabsf(now - expected) < 1e-4f * (1 + expected)))
                fail_msg("%d groups, head %d: %g, expected %g", (int)groups, h, (double)now,
                    (double)expected);
        }
        done(&s);
    }
}

/* ---- a module beside attention ---- */

/* a module without input gives 0; what is left is half of the heads, of mean square 1 */
static void a_silent_module_leaves_half_of_normalised_heads(void **state)
{
    (void)state;
    static float one[N], other[N];
    struct mega_attention_options o = plain();
    struct setup s;
    o.output.hybrid = MEGA_HYBRID_EMA;
    o.norm_eps = 1e-12;
    open(&s, &o);
    fill(&s, "hybrid.in.weight", 0);
    whole(&s, one);
    float *v = parameter(&s, "v.weight"), *bias = parameter(&s, "v.bias");
    for (int i = 0; i < 2 * 5 * D; i++) v[i] *= 3;
    for (int i = 0; i < 2 * 5; i++) bias[i] *= 3;
    whole(&s, other);
    assert_near("the size of values", one, other);
    /* and a module alone knows nothing of values */
    fill(&s, "hybrid.own_norm.weight", -1);
    whole(&s, one);
    for (int i = 0; i < N; i++)
        assert_true(fabsf(one[i] - parameter(&s, "o.bias")[i % D]) < 1e-5f);
    done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xl_scores_are_those_of_the_paper),
        cmocka_unit_test(slopes_begin_as_alibi_has_them),
        cmocka_unit_test(the_z_loss_is_the_square_of_the_sums_logarithm),
        cmocka_unit_test(the_z_loss_has_gradients),
        cmocka_unit_test(clipped_heads_have_the_largest_score_that_is_allowed),
        cmocka_unit_test(a_silent_module_leaves_half_of_normalised_heads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
