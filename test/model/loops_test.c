/* The looped stack: a loop is the stack over what the last one gave, the loss of training is
 * the expected one under the exit gate, less its entropy, and a place may be left early, in
 * whole rows and in streams alike. */
#include "graph/ops.h"
#include "model/small_transformer.h"

enum { W = 8, LOOPS = 4 };
#define LOOPED "placement=pre_post loops=4 "

struct pass {
    float x[B * T * W], logits[B * T * V];
};

/* features and logits with so many loops, or of places `embedded` in place of the tokens */
static void evaluate(struct small *s, int64_t loops, const float *embedded, struct pass *to)
{
    struct mega_rows rows = { .B = B, .T = T };
    struct mega_transformer_inputs in = { 0 };
    mega_tensor ids = mega_tensor_over(s->ids, MEGA_I32, 2, (int64_t[]){ B, T }),
                x = mega_tensor_over(
                    (void *)(uintptr_t)embedded, MEGA_F32, 3, (int64_t[]){ B, T, W });
    s->model.options.plan.eval_loops = loops;
    mega_run_begin(s->run, &(struct mega_run_args){ 0 });
    if (embedded)
        in.embedded = mega_run_input(s->run, &x);
    else
        in.ids = mega_run_input(s->run, &ids);
    mega_tensor *y = mega_transformer_features_of(
        s->run, &s->model, &in, mega_run_rows(s->run, &rows), NULL);
    if (!y) fail_msg("%s", mega_run_end(s->run) ? mega_message() : "nothing came");
    mega_run_read(s->run, y, to->x);
    mega_run_read(s->run, mega_transformer_head_run(s->run, &s->model.head, y), to->logits);
    assert_int_equal(mega_run_end(s->run), MEGA_OK);
}

static void a_loop_reads_what_the_last_one_gave(void **state)
{
    (void)state;
    static struct pass one, both, second;
    struct small s;
    small_open(&s, true, LOOPED "positions=none");
    evaluate(&s, 1, NULL, &one);
    evaluate(&s, 2, NULL, &both);
    evaluate(&s, 1, one.x, &second);
    for (int i = 0; i < B * T * W; i++) assert_true(fabsf(both.x[i] - second.x[i]) < 1e-4f);
    small_close(&s);
}

/* ---- shares, by hand ---- */

/* sigmoid(w x + b) of a place */
static double exit_gate(const struct small *s, const float *x)
{
    double z = mega_get(&mega_store_find(&s->store, "exit.bias")->value, 0, 0);
    for (int j = 0; j < W; j++)
        z += mega_get(&mega_store_find(&s->store, "exit.weight")->value, 0, j) * (double)x[j];
    return 1 / (1 + exp(-z));
}

/* p[t] of place i */
static void shares(const struct small *s, const struct pass *loop, int i, double p[LOOPS])
{
    double rest = 1;
    for (int t = 0; t < LOOPS; t++) {
        double g = t + 1 < LOOPS ? exit_gate(s, loop[t].x + (size_t)i * W) : 1;
        p[t] = rest * g;
        rest *= 1 - g;
    }
}

static int next_of(const struct small *s, int i)
{
    return i % T + 1 < T ? s->ids[i + 1] : -1;
}

static double surprise(const float *logits, int y)
{
    double sum = 0;
    for (int v = 0; v < V; v++) sum += exp((double)logits[v]);
    return log(sum) - (double)logits[y];
}

/* ---- the loss of training ---- */

/* what is differentiated; with gradients if asked; *expected: without the entropy */
static double objective(struct small *s, mega_dtype type, bool gradients, double *expected)
{
    unsigned mode = gradients ? MEGA_RUN_TRAIN | MEGA_RUN_GRAD : MEGA_RUN_TRAIN;
    struct mega_rows rows = { .B = B, .T = T };
    int64_t places = B * T;
    mega_run_begin(s->run, &(struct mega_run_args){ .mode = mode, .dtype = type });
    mega_tensor ids = mega_tensor_over(s->ids, MEGA_I32, 2, (int64_t[]){ B, T });
    mega_tensor *next = mega_run_tensor(s->run, MEGA_I32, 1, &places);
    for (int i = 0; i < B * T; i++) ((int32_t *)next->data)[i] = next_of(s, i);
    mega_tensor *x = mega_transformer_features(
        s->run, &s->model, mega_run_input(s->run, &ids), mega_run_rows(s->run, &rows));
    assert_true(x && mega_width(x) == LOOPS * W);
    mega_tensor *loss =
        mega_exit_loss(s->run, &s->model.exit, &s->model.head, x, next, 0, NULL);
    if (!loss) fail_msg("%s", mega_run_end(s->run) ? mega_message() : "no loss");
    *expected = mega_get(loss, 0, 0);
    double all = *expected, weight = s->model.exit.options.entropy;
    /* the entropy once more, of the shares, so that its gradient is held to something */
    mega_tensor *remains = NULL;
    for (int64_t t = 0; t + 1 < LOOPS; t++) {
        struct mega_call c = { .op = &mega_op_exit_gate };
        c.in[MEGA_EXIT_GATE_Z] = linear(s->run, columns(s->run, x, t * W, W),
            s->model.exit.weight, s->model.exit.bias, MEGA_ACT_LINEAR);
        c.in[MEGA_EXIT_GATE_REST] = remains;
        c.in[MEGA_EXIT_GATE_TARGET] = next;
        mega_run_call(s->run, &c, NULL);
        remains = c.out[MEGA_EXIT_GATE_REMAINS];
        all -= weight * mega_get(c.out[MEGA_EXIT_GATE_ENTROPY], 0, 0);
    }
    if (gradients) {
        mega_run_seed(s->run, loss, 1);
        mega_run_seed_more(s->run, 1);
        mega_run_backward(s->run);
    }
    if (mega_run_end(s->run)) fail_msg("%s", mega_message());
    return all;
}

static void the_loss_is_the_expected_one(void **state)
{
    (void)state;
    static const char *const heads[] = { LOOPED "exit_entropy=0.3",
        LOOPED "exit_entropy=0.3 logit_softclamp=5 tied=true positions=none",
        LOOPED "exit_entropy=0.3 num_memory_tokens=2" };
    static struct pass loop[LOOPS];
    for (size_t k = 0; k < sizeof heads / sizeof *heads; k++) {
        struct small s;
        double expected, sum = 0, entropy = 0;
        small_open(&s, true, heads[k]);
        for (int t = 0; t < LOOPS; t++) evaluate(&s, t + 1, NULL, &loop[t]);
        for (int i = 0; i < B * T; i++) {
            double p[LOOPS];
            if (next_of(&s, i) < 0) continue;
            shares(&s, loop, i, p);
            for (int t = 0; t < LOOPS; t++) {
                sum += p[t] * surprise(loop[t].logits + (size_t)i * V, next_of(&s, i));
                entropy -= p[t] * log(p[t]);
            }
        }
        double all = objective(&s, MEGA_F32, false, &expected);
        if (!(fabs(expected - sum) < 1e-4 * sum))
            fail_msg("%s: a loss of %g, expected %g", heads[k], expected, sum);
        if (!(fabs(all - (sum - 0.3 * entropy)) < 1e-4 * sum))
            fail_msg("%s: with entropy %g, expected %g", heads[k], all, sum - 0.3 * entropy);
        small_close(&s);
    }
}

static void gradients_go_through_losses_and_gates(void **state)
{
    (void)state;
    static const char *const settings[] = { LOOPED "exit_entropy=0.3",
        LOOPED "exit_entropy=2 output_sigsoftmax=true",
        LOOPED "residual=lime value_residual=half attn_z_loss=0",
        LOOPED "rel_pos=t5 "
               "eval_loops=2" };
    for (size_t k = 0; k < sizeof settings / sizeof *settings; k++) {
        struct small s;
        struct mega_rng g;
        small_open(&s, true, settings[k]);
        double expected, slope = 0, size = 1e-3, end[2];
        size_t bytes = (size_t)s.store.count * sizeof(float);
        float *at = malloc(bytes), *step = malloc(bytes);
        memcpy(at, s.store.value, bytes);
        objective(&s, MEGA_F64, true, &expected);
        mega_rng_start(&g, 8, 9);
        for (int64_t i = 0; i < s.store.count; i++) step[i] = (float)mega_rng_normal(&g);
        for (int way = 0; way < 2; way++) {
            for (int64_t i = 0; i < s.store.count; i++)
                s.store.value[i] = at[i] + (way ? 3e-4f : -3e-4f) * step[i];
            end[way] = objective(&s, MEGA_F64, false, &expected);
        }
        for (int64_t i = 0; i < s.store.count; i++) {
            double term = (double)s.store.gradient[i] * 6e-4 * (double)step[i];
            slope += term;
            size += fabs(term);
        }
        if (!(fabs(end[1] - end[0] - slope) < 2e-3 * size))
            fail_msg("%s: moving all parameters changes the loss by %g, gradients say %g",
                settings[k], end[1] - end[0], slope);
        assert_true(mega_get(&mega_store_find(&s.store, "exit.bias")->gradient, 0, 0) != 0);
        free(at);
        free(step);
        small_close(&s);
    }
}

/* ---- places that are left early ---- */

static void a_place_is_left_when_its_shares_suffice(void **state)
{
    (void)state;
    static struct pass loop[LOOPS], early;
    int taken[LOOPS] = { 0 };
    struct small s;
    small_open(&s, true, LOOPED);
    for (int t = 0; t < LOOPS; t++) evaluate(&s, t + 1, NULL, &loop[t]);
    s.model.exit.options.at = 0.7;
    evaluate(&s, LOOPS, NULL, &early);
    for (int i = 0; i < B * T; i++) {
        double p[LOOPS], sum;
        int t = 0;
        shares(&s, loop, i, p);
        for (sum = p[0]; sum < 0.7 && t + 1 < LOOPS;) sum += p[++t];
        taken[t]++;
        for (int v = 0; v < V; v++)
            assert_true(fabsf(early.logits[i * V + v] - loop[t].logits[i * V + v]) < 1e-5f);
    }
    assert_true(taken[0] && taken[1]); /* the trial is one */
    s.model.exit.options.at = 0.001;
    evaluate(&s, LOOPS, NULL, &early);
    for (int i = 0; i < B * T * V; i++)
        assert_true(fabsf(early.logits[i] - loop[0].logits[i]) < 1e-6f);
    small_close(&s);
}

/* token by token as at once, with as many loops and thresholds as there may be */
static void a_stream_leaves_where_the_whole_does(void **state)
{
    (void)state;
    static const char *const settings[] = { LOOPED "exit_at=0.7", LOOPED "eval_loops=6",
        LOOPED "eval_loops=2 exit_at=0.5 kv_heads=1 rotary=rope positions=none",
        LOOPED "num_memory_tokens=2 exit_at=0.8", LOOPED "shift_tokens=1 exit_at=0.6",
        LOOPED "residual=lime exit_at=0.7", LOOPED "weight_tie_layers=true chunk=5 exit_at=0.7",
        LOOPED "positions=none rel_pos=forget" };
    for (size_t k = 0; k < sizeof settings / sizeof *settings; k++)
        small_assert_streams(settings[k], NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loop_reads_what_the_last_one_gave),
        cmocka_unit_test(the_loss_is_the_expected_one),
        cmocka_unit_test(gradients_go_through_losses_and_gates),
        cmocka_unit_test(a_place_is_left_when_its_shares_suffice),
        cmocka_unit_test(a_stream_leaves_where_the_whole_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
