/* Megalodon from tokens to logits: the tiny model of the specification (section 12.3) in
 * numbers, five updates of it, and options that cannot be. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/ops.h"
#include "model/megalodon.h"

#include "cmocka_all.h"

enum { T = 12, V = 11, D = 8, Z = 8, H = 2, N = 3, C = 4 };

static const int32_t tokens[T + 1] = { 1, 7, 3, 9, 2, 5, 10, 4, 8, 6, 0, 3, 7 };

struct setup {
    mega_context *context;
    struct mega_store store;
    struct mega_megalodon model;
    mega_run *run;
};

static struct mega_megalodon_model_options tiny(void)
{
    return (struct mega_megalodon_model_options){ .layer = { .width = D,
                                                      .keys = Z,
                                                      .values = 8,
                                                      .heads = H,
                                                      .hidden = 12,
                                                      .states = N,
                                                      .chunk = C,
                                                      .groups = 2,
                                                      .affine = true,
                                                      .swiglu = true,
                                                      .rescale = true,
                                                      .norm_eps = 1e-5,
                                                      .rotary_base = 10000 },
        .vocabulary = V,
        .layers = 2,
        .pad = -1,
        .scale_embedding = true };
}

/* the specification's order of tensors */
static const char *const ends[] = { "output.final_norm.weight", "output.final_norm.bias",
    "output.output.weight" };
static const char *const parts[] = { "mega.timenorm.weight", "mega.timenorm.bias",
    "mega.cema.alpha", "mega.cema.delta", "mega.cema.theta", "mega.cema.gamma",
    "mega.cema.omega", "mega.rmsnorm.weight", "mega.wv.weight", "mega.wv.bias",
    "mega.wz.weight", "mega.wz.bias", "mega.wr.weight", "mega.wr.bias", "mega.wh1.weight",
    "mega.wh1.bias", "mega.wh2.weight", "mega.gamma", "mega.beta", "nffn.norm.weight",
    "nffn.norm.bias", "nffn.fc1.weight", "nffn.fc2.weight", "nffn.fc3.weight", "nffn.alpha" };
enum { PARTS = sizeof parts / sizeof *parts, TENSORS = 1 + 2 * PARTS + 3 };

static struct mega_param *tensor(struct setup *s, int k)
{
    char name[64];
    int part = (k - 1) % PARTS, block = (k - 1) / PARTS;
    if (k == 0)
        snprintf(name, sizeof name, "embed.weight");
    else if (block < 2)
        snprintf(name, sizeof name, "layers.%d.%s", block, parts[part]);
    else
        snprintf(name, sizeof name, "%s", ends[part]);
    struct mega_param *p = mega_store_find(&s->store, name);
    assert_non_null(p);
    return p;
}

static void open(struct setup *s)
{
    struct mega_megalodon_model_options o = tiny();
    memset(s, 0, sizeof *s);
    assert_int_equal(mega_context_new(&s->context, NULL), MEGA_OK);
    assert_int_equal(mega_store_init(&s->store), MEGA_OK);
    mega_build b = { .store = &s->store };
    mega_megalodon_build(&b, &s->model, &o);
    assert_int_equal(b.status, MEGA_OK);
    assert_int_equal(s->store.n_params, TENSORS);
    assert_int_equal(mega_store_lay_out(&s->store, true), MEGA_OK);
    mega_store_fill(&s->store, 1);
    for (int k = 0; k < TENSORS; k++) {
        struct mega_param *p = tensor(s, k);
        double size = strstr(p->name, "theta") ? 1.0 : 0.3;
        for (int64_t i = 0; i < p->count; i++)
            ((float *)p->value.data)[i] = (float)(size * sin(0.37 * (double)i + 1.3 * k + 0.5));
    }
    assert_int_equal(mega_run_new(&s->run, s->context), MEGA_OK);
}

static void done(struct setup *s)
{
    mega_run_free(s->run);
    mega_store_done(&s->store);
    mega_context_free(s->context);
}

static mega_tensor *numbers(struct setup *s, const int32_t *from, int64_t n)
{
    mega_tensor *ids = mega_run_tensor(s->run, MEGA_I32, 2, (int64_t[]){ 1, n });
    memcpy(ids->data, from, (size_t)n * sizeof *from);
    return ids;
}

/* the mean loss of the 12 places; gradients are added to; logits, if wanted, into y [T, V] */
static double loss(struct setup *s, double *y)
{
    mega_run_begin(s->run, &(struct mega_run_args){ .mode = MEGA_RUN_TRAIN | MEGA_RUN_GRAD });
    struct mega_rows rows = { .B = 1, .T = T };
    mega_tensor *logits = mega_megalodon_run(s->run, &s->model, numbers(s, tokens, T), &rows);
    assert_non_null(logits);
    for (int i = 0; y && i < T * V; i++) y[i] = mega_get(logits, i / V, i % V);
    mega_tensor *target = mega_run_tensor(s->run, MEGA_I32, 1, (int64_t[]){ T });
    memcpy(target->data, tokens + 1, T * sizeof *tokens);
    mega_tensor *sum = cross_entropy(s->run, logits, target);
    double mean = mega_get(sum, 0, 0) / T;
    mega_run_seed(s->run, sum, 1.0 / T);
    mega_run_backward(s->run);
    assert_int_equal(mega_run_end(s->run), MEGA_OK);
    return mean;
}

static double length(const float *x, int64_t n)
{
    double squares = 0;
    for (int64_t i = 0; i < n; i++) squares += (double)x[i] * (double)x[i];
    return sqrt(squares);
}

static void assert_close(const char *what, double got, double want, double allowed)
{
    if (!(fabs(got - want) <= allowed))
        fail_msg("%s: %.9g, expected %.9g, at most %.2g away", what, got, want, allowed);
}

static void logits_and_loss_are_those_of_the_specification(void **state)
{
    (void)state;
    static const double first[V] = { -0.314216561, 0.232394626, -0.142930307, 0.048765672,
        0.047002641, -0.141225254, 0.230803622, -0.312791927, 0.384493952, -0.443551750,
        0.488023182 };
    static const double last[V] = { -1.168303800, 1.153046224, -1.099870291, 1.010524713,
        -0.887947651, 0.736170100, -0.560183319, 0.365774700, -0.159337443, -0.052339685,
        0.262295603 };
    struct setup s;
    double y[T * V];
    open(&s);
    assert_close("the loss", loss(&s, y), 2.687857103669, 1e-5);
    for (int v = 0; v < V; v++) {
        assert_close("a logit of place 0", y[v], first[v], 2e-5);
        assert_close("a logit of place 11", y[11 * V + v], last[v], 2e-5);
    }
    done(&s);
}

static void gradients_are_those_of_the_specification(void **state)
{
    (void)state;
    /* lengths, block 0 and block 1 */
    static const double want[PARTS][2] = { { 6.9929593887e-03, 3.9700355573e-03 },
        { 4.2038277249e-03, 3.7535501277e-03 }, { 2.1107549674e-03, 1.2969042717e-03 },
        { 1.3254210174e-03, 6.0855515529e-04 }, { 9.0527654559e-03, 5.0542870900e-03 },
        { 2.5901600086e-02, 1.6964794941e-02 }, { 2.3122494102e-02, 1.5253018888e-02 },
        { 9.6321438198e-03, 6.6580646110e-03 }, { 5.6204304994e-03, 1.2867009279e-03 },
        { 7.8022000037e-04, 4.2426768220e-04 }, { 3.3969501150e-03, 3.5786131533e-04 },
        { 1.6240537790e-03, 1.2241506986e-04 }, { 9.3777436969e-03, 2.8939111561e-03 },
        { 2.7884441563e-03, 6.0468313379e-04 }, { 4.0041423836e-02, 3.1343688258e-02 },
        { 1.1202227276e-02, 1.0402649373e-02 }, { 8.5769065357e-03, 5.6426634977e-03 },
        { 2.6606190456e-03, 8.4609156306e-05 }, { 2.4503870023e-03, 1.6362064971e-04 },
        { 1.7790624605e-02, 1.1559731576e-02 }, { 7.9466810976e-04, 1.7023834288e-02 },
        { 3.2508386910e-02, 1.7248912965e-02 }, { 5.0153126328e-02, 4.6415345484e-02 },
        { 2.1183600699e-02, 1.7839238277e-02 }, { 1.0440087098e-01, 6.9329322067e-02 } };
    static const double want_ends[] = { 2.2715792564e-01, 2.4733907215e-01, 6.9265765459e-01 };
    struct setup s;
    open(&s);
    loss(&s, NULL);
    assert_close(
        "all gradients", length(s.store.gradient, s.store.count), 1.092470742394, 1e-5);
    for (int k = 0; k < TENSORS; k++) {
        const struct mega_param *p = tensor(&s, k);
        int part = (k - 1) % PARTS, block = (k - 1) / PARTS;
        double expected = k == 0      ? 7.5666147302e-01
                          : block < 2 ? want[part][block]
                                      : want_ends[part];
        /* small beside the gradients that it is a difference of */
        assert_close(
            p->name, length(p->gradient.data, p->count), expected, 1e-4 * expected + 2e-7);
    }
    done(&s);
}

/* n tokens in a stream, in pieces of `each` */
static mega_stream *stream(struct setup *s, int64_t n, int64_t each)
{
    mega_stream *t;
    assert_int_equal(mega_stream_new(&t, &s->store, 1, T, 0), MEGA_OK);
    for (int64_t at = 0; at < n; at += each) {
        struct mega_rows rows = { .B = 1, .T = n - at < each ? n - at : each };
        mega_run_begin(s->run, &(struct mega_run_args){ .stream = t });
        mega_megalodon_run(
            s->run, &s->model, numbers(s, tokens + at, rows.T), mega_run_rows(s->run, &rows));
        assert_int_equal(mega_run_end(s->run), MEGA_OK);
    }
    return t;
}

static void assert_state(const mega_stream *t, const struct mega_cell *c, const char *what,
    int64_t n, const double *want)
{
    const mega_tensor *value = mega_stream_value(t, c);
    for (int64_t i = 0, width = mega_width(value); i < n; i++)
        assert_close(what, mega_get(value, i / width, i % width), want[i], 2e-6);
}

static void states_are_those_of_the_specification(void **state)
{
    (void)state;
    struct setup s;
    open(&s);
    const struct mega_megalodon_attention *first = &s.model.layer[0].block.mega,
                                          *second = &s.model.layer[1].block.mega;
    for (int64_t each = 1; each <= T; each += each == 1 ? 6 : 5) {
        mega_stream *t = stream(&s, T, each);
        assert_int_equal(mega_get(mega_stream_value(t, first->timenorm.count), 0, 0), T);
        assert_state(t, first->timenorm.mean, "block 0, mean", 2,
            (double[]){ -0.026486049, -0.024014936 });
        assert_state(t, first->timenorm.var, "block 0, variance", 2,
            (double[]){ 0.248851490, 0.476683634 });
        assert_state(t, first->cema.state, "block 0, channel 0", 2 * N,
            (double[]){ 0.325658005, 0.490658063, -0.599175561, -0.243908760, -0.199101846,
                -0.601519448 });
        assert_state(t, second->timenorm.mean, "block 1, mean", 2,
            (double[]){ -0.049177738, -0.007421660 });
        assert_state(t, second->timenorm.var, "block 1, variance", 2,
            (double[]){ 0.237454556, 0.472518286 });
        assert_state(t, s.model.final_norm.mean, "final norm, mean", 2,
            (double[]){ -0.045897143, -0.003431319 });
        assert_state(t, s.model.final_norm.var, "final norm, variance", 2,
            (double[]){ 0.262867722, 0.496087827 });
        mega_stream_free(t);
    }
    done(&s);
}

/* place 8 begins the third chunk; place p lies at p modulo the log's places */
static void keys_are_kept_rotated(void **state)
{
    (void)state;
    static const double want[Z / H] = { 0.617871812, -0.841272340, 0.195528548, -0.877978256 };
    struct setup s;
    open(&s);
    mega_stream *t = stream(&s, 10, 10);
    const mega_tensor *keys = mega_stream_value(t, s.model.layer[0].block.mega.past_keys);
    for (int j = 0; j < Z / H; j++)
        assert_close("a key", mega_get(keys, 8 % keys->dim[1], j), want[j], 2e-6);
    mega_stream_free(t);
    done(&s);
}

/* AdamW of PyTorch: lr 0.03, betas 0.9 and 0.98, eps 1e-8, decay 0.1 of everything, clipped at
 * 1, linear schedule with warm-up 2 of 10 from 1e-4 to 0.01 */
static void update(struct setup *s, int step)
{
    double norm = length(s->store.gradient, s->store.count), clip = 1 / (norm + 1e-6);
    double k = (step - 2) / 8.0,
           rate = 0.03 * (step < 2 ? 1e-4 + step * (1 - 1e-4) / 2 : 1 - k + k * 0.01);
    for (int64_t i = 0; i < s->store.count; i++) {
        double g = (double)s->store.gradient[i] * (clip < 1 ? clip : 1),
               p = (double)s->store.value[i] * (1 - rate * 0.1);
        double m = 0.9 * (double)s->store.moment1[i] + 0.1 * g,
               v = 0.98 * (double)s->store.moment2[i] + 0.02 * g * g;
        s->store.moment1[i] = (float)m;
        s->store.moment2[i] = (float)v;
        m /= 1 - pow(0.9, step + 1);
        v /= 1 - pow(0.98, step + 1);
        s->store.value[i] = (float)(p - rate * m / (sqrt(v) + 1e-8));
        s->store.gradient[i] = 0;
    }
}

static void five_updates_are_those_of_the_specification(void **state)
{
    (void)state;
    static const double want[] = { 2.687857103669, 2.687813246090, 2.486280707238,
        2.166794476058, 1.958669762216, 1.802995280196 };
    struct setup s;
    open(&s);
    for (int step = 0; step < 6; step++) {
        assert_close("the loss", loss(&s, NULL), want[step], 1e-4);
        update(&s, step);
    }
    done(&s);
}

/* ---- options ---- */

static void refuse(struct mega_megalodon_model_options o, const char *word)
{
    struct mega_store store;
    struct mega_megalodon m;
    assert_int_equal(mega_store_init(&store), MEGA_OK);
    mega_build b = { .store = &store };
    mega_megalodon_build(&b, &m, &o);
    assert_int_equal(b.status, MEGA_BAD_ARGUMENT);
    assert_non_null(strstr(mega_message(), word));
    mega_store_done(&store);
}

static void options_that_cannot_be_are_refused_by_name(void **state)
{
    (void)state;
    struct mega_megalodon_model_options o = tiny();
    o.layer.heads = 3;
    refuse(o, "keys is 8 and heads is 3");
    o = tiny();
    o.layer.keys = 6;
    refuse(o, "even");
    o = tiny();
    o.layer.values = 9;
    refuse(o, "values is 9");
    o = tiny();
    o.layer.groups = 3;
    refuse(o, "groups is 3");
    o = tiny();
    o.layer.chunk = 0;
    refuse(o, "chunk is 0");
    o = tiny();
    o.output = 7;
    o.share_embedding = true;
    refuse(o, "share");
}

/* ---- initial values ---- */

static double deviation(const struct mega_param *p)
{
    return length(p->value.data, p->count) / sqrt((double)p->count);
}

static void weights_begin_as_the_official_ones(void **state)
{
    (void)state;
    struct setup s;
    struct mega_megalodon_model_options o = tiny();
    memset(&s, 0, sizeof s);
    o.layer.width = 64;
    o.vocabulary = 200;
    assert_int_equal(mega_store_init(&s.store), MEGA_OK);
    mega_build b = { .store = &s.store };
    mega_megalodon_build(&b, &s.model, &o);
    assert_int_equal(mega_store_lay_out(&s.store, false), MEGA_OK);
    mega_store_fill(&s.store, 5);
    /* 1/sqrt(3 * 64); 0.9866 of 1/sqrt(64), cut at three deviations; 0.1 and half of it */
    assert_close(
        "wh1", deviation(mega_store_find(&s.store, "layers.0.mega.wh1.weight")), 0.0722, 0.003);
    assert_close("embed", deviation(mega_store_find(&s.store, "embed.weight")), 0.1233, 0.003);
    assert_close(
        "alpha 0", deviation(mega_store_find(&s.store, "layers.0.nffn.alpha")), 0.1, 1e-6);
    assert_close(
        "alpha 1", deviation(mega_store_find(&s.store, "layers.1.nffn.alpha")), 0.05, 1e-6);
    assert_close(
        "rmsnorm", deviation(mega_store_find(&s.store, "layers.0.mega.rmsnorm.weight")), 0, 0);
    /* frequencies m: exp(-m ln 64 / 64), each once */
    const float *theta = mega_store_find(&s.store, "layers.0.mega.cema.theta")->value.data;
    bool found[64] = { false }, in_order = true;
    for (int d = 0; d < 64; d++) {
        double f = 1 / (1 + exp(-(double)theta[d])), m = -log(f) * 64 / log(64);
        int k = (int)lround(m) - 1;
        assert_true(k >= 0 && k < 64 && !found[k] && fabs(m - k - 1) < 1e-3);
        found[k] = true;
        in_order &= k == d;
    }
    assert_false(in_order);
    const float *gamma = mega_store_find(&s.store, "layers.0.mega.cema.gamma")->value.data;
    for (int i = 1; i < 64 * N * 2; i += 2) assert_true(gamma[i] == 0);
    mega_store_done(&s.store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_and_loss_are_those_of_the_specification),
        cmocka_unit_test(gradients_are_those_of_the_specification),
        cmocka_unit_test(states_are_those_of_the_specification),
        cmocka_unit_test(keys_are_kept_rotated),
        cmocka_unit_test(five_updates_are_those_of_the_specification),
        cmocka_unit_test(options_that_cannot_be_are_refused_by_name),
        cmocka_unit_test(weights_begin_as_the_official_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
