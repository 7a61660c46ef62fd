/* Sweeps: ops that wait and go over rows together give what they give when each is computed at
 * once (as under MEGA_RUN_CHECK), also to who asks late, on any number of threads. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"

#include "base/rng.h"
#include "graph/ops.h"
#include "megac/context.h"

enum { B = 2, T = 11, D = 6, C = 4 };
static const int32_t lengths[B] = { T, 7 };

struct setup {
    mega_context *context;
    mega_run *run;
    struct mega_store store;
    mega_tensor *up, *up_bias, *gain, *gamma, *beta, *bias;
    mega_tensor *prefix_k, *prefix_v, *sink, *bank, *talk;
    bool variants; /* attention with much of what it has */
};

static void start(struct setup *s, int threads)
{
    setenv("MEGA_TILE", "4", 1);
    memset(s, 0, sizeof *s);
    assert_int_equal(
        mega_context_new(&s->context, &(struct mega_context_options){ .threads = threads }),
        MEGA_OK);
    assert_int_equal(mega_run_new(&s->run, s->context), MEGA_OK);
    assert_int_equal(mega_store_init(&s->store), MEGA_OK);
    mega_build b = { .store = &s->store };
    struct mega_init normal = { MEGA_INIT_NORMAL, 0, 0.5 };
    s->up = mega_param_add(&b, "up", normal, 2, (int64_t[]){ 3 * D, D });
    s->up_bias = mega_param_add(&b, "up_bias", normal, 1, (int64_t[]){ 3 * D });
    s->gain = mega_param_add(&b, "gain", normal, 1, (int64_t[]){ 1 });
    s->gamma = mega_param_add(&b, "gamma", normal, 2, (int64_t[]){ 2, D });
    s->beta = mega_param_add(&b, "beta", normal, 2, (int64_t[]){ 2, D });
    s->bias = mega_param_add(&b, "bias", normal, 1, (int64_t[]){ 2 * C - 1 });
    int64_t prefix[] = { 2, 2, D / 2 };
    s->prefix_k = mega_param_add(&b, "prefix_k", normal, 3, prefix);
    s->prefix_v = mega_param_add(&b, "prefix_v", normal, 3, prefix);
    s->sink = mega_param_add(&b, "sink", normal, 1, (int64_t[]){ 2 });
    s->bank = mega_param_add(&b, "bank", normal, 2, (int64_t[]){ 1, 3 });
    s->talk = mega_param_add(&b, "talk", normal, 2, (int64_t[]){ 2, 2 });
    assert_int_equal(mega_store_lay_out(&s->store, true), MEGA_OK);
    struct mega_rng g;
    mega_rng_start(&g, 3, 4);
    for (struct mega_param *p = s->store.first; p; p = p->next)
        for (int64_t i = 0; i < mega_count(&p->value); i++)
            ((float *)p->value.data)[i] = (float)mega_rng_normal(&g) / 2;
}

static void done(struct setup *s)
{
    mega_run_free(s->run);
    mega_store_done(&s->store);
    mega_context_free(s->context);
    unsetenv("MEGA_TILE");
}

static mega_tensor *input(struct setup *s)
{
    mega_tensor *x = mega_run_tensor(s->run, MEGA_F32, 3, (int64_t[]){ B, T, D });
    struct mega_rng g;
    mega_rng_start(&g, 5, 6);
    for (int i = 0; i < B * T * D; i++) ((float *)x->data)[i] = (float)mega_rng_normal(&g);
    x->wants_grad = true;
    return x;
}

static mega_tensor *norm(struct setup *s, mega_tensor *x)
{
    struct mega_attr_norm a;
    memset(&a, 0, sizeof a);
    a.kind = MEGA_NORM_SCALE;
    a.eps = 1e-5;
    return mega_run_call(s->run,
        &(struct mega_call){ .op = &mega_op_norm, .in = { x, s->gain }, .attr = &a }, NULL);
}

static mega_tensor *drop(struct setup *s, mega_tensor *x, const struct mega_rows *rows)
{
    struct mega_attr_dropout a;
    memset(&a, 0, sizeof a);
    a.p = 0.3;
    return mega_run_call(s->run,
        &(struct mega_call){ .op = &mega_op_dropout, .in = { x }, .attr = &a, .rows = rows },
        "drop");
}

/* two heads, with what lies in rows and what all rows read */
static void vary(
    struct setup *s, struct mega_attr_attention *a, struct mega_call *c, mega_tensor *z)
{
    a->heads = 2;
    a->causal = a->selective = true;
    c->in[MEGA_ATTENTION_PREFIX_K] = s->prefix_k;
    c->in[MEGA_ATTENTION_PREFIX_V] = s->prefix_v;
    c->in[MEGA_ATTENTION_SINK] = s->sink;
    c->in[MEGA_ATTENTION_DECAY] = columns(s->run, z, 0, 2);
    c->in[MEGA_ATTENTION_SHARE] = columns(s->run, z, 2, 2);
    c->in[MEGA_ATTENTION_BANK] = s->bank;
    c->in[MEGA_ATTENTION_TALK_PRE] = c->in[MEGA_ATTENTION_TALK_POST] = s->talk;
}

static mega_tensor *attend(
    struct setup *s, mega_tensor *z, mega_tensor *v, const struct mega_rows *rows)
{
    struct mega_call qk = { .op = &mega_op_query_key, .in = { z, s->gamma, s->beta } };
    mega_run_call(s->run, &qk, NULL);
    struct mega_attr_attention a;
    memset(&a, 0, sizeof a);
    a.chunk = C;
    a.dropout = 0.2;
    struct mega_call c = { .op = &mega_op_attention,
        .in = { qk.out[0], qk.out[1], v, s->bias },
        .attr = &a,
        .rows = rows };
    if (s->variants) vary(s, &a, &c, z);
    return mega_run_call(s->run, &c, "weights");
}

struct result {
    float y[B * T * D], dx[B * T * D], dp[512];
};

/* a small layer: views of one product, a tensor used at once and late, a residual twice */
static void layer(
    mega_run *r, const void *self, struct mega_carry *c, const struct mega_rows *rows)
{
    struct setup *s = (struct setup *)(uintptr_t)self;
    mega_tensor *xn = norm(s, c->x);
    mega_tensor *packed = linear(r, drop(s, xn, rows), s->up, s->up_bias, MEGA_ACT_SILU);
    mega_tensor *z = columns(r, packed, 0, D), *g = columns(r, packed, D, D);
    mega_tensor *y =
        gate(r, attend(s, z, columns(r, packed, 2 * D, D), rows), g, MEGA_ACT_SILU);
    y = add(r, norm(s, y), xn);
    mega_run_need(r, y);
    /* xn and g once more, after all that */
    c->x = mask(r, add(r, add(r, y, y), gate(r, xn, g, MEGA_ACT_SIGMOID)), rows);
}

static void run_by(struct setup *s, unsigned mode, bool leaves_padding, struct result *out)
{
    struct mega_rows rows = { .B = B, .T = T, .len = lengths };
    mega_run *r = s->run;
    memset(out, 0, sizeof *out);
    memset(s->store.gradient, 0, (size_t)s->store.count * sizeof(float));
    mega_run_begin(
        r, &(struct mega_run_args){ .mode = MEGA_RUN_TRAIN | mode, .now = { 7, 8 } });
    if (leaves_padding) mega_run_leave_padding(r);
    mega_tensor *x = input(s);
    struct mega_carry carry = { .x = x };
    struct mega_block block = { "layer", 0, MEGA_AGAIN_NOTHING, layer, s };
    mega_run_block(r, &block, &carry, &rows);
    assert_int_equal(mega_run_read(r, carry.x, out->y), MEGA_OK);
    if (mode & MEGA_RUN_GRAD) {
        mega_run_seed(r, carry.x, 0.5);
        mega_run_backward(r);
        memcpy(out->dx, x->grad->data, sizeof out->dx);
        assert_true(s->store.count <= 512);
        memcpy(out->dp, s->store.gradient, (size_t)s->store.count * sizeof(float));
    }
    assert_int_equal(mega_run_end(r), MEGA_OK);
}

static void run(struct setup *s, unsigned mode, struct result *out)
{
    run_by(s, mode, false, out);
}

static void assert_near(const float *a, const float *b, int n)
{
    for (int i = 0; i < n; i++) assert_true(fabsf(a[i] - b[i]) <= 1e-5f * (1 + fabsf(b[i])));
}

static void gives_what_its_ops_give_alone(bool variants)
{
    struct setup s;
    static struct result alone, swept, read;
    start(&s, 2);
    s.variants = variants;
    run(&s, MEGA_RUN_GRAD | MEGA_RUN_CHECK, &alone);
    run(&s, MEGA_RUN_GRAD, &swept);
    run(&s, 0, &read);
    /* products of few rows sum in another order */
    assert_near(swept.y, alone.y, B * T * D);
    assert_near(read.y, alone.y, B * T * D);
    assert_near(swept.dx, alone.dx, B * T * D);
    assert_near(swept.dp, alone.dp, 512);
    done(&s);
}

static void a_sweep_gives_what_its_ops_give_alone(void **state)
{
    (void)state;
    gives_what_its_ops_give_alone(false);
}

static void variants_of_attention_go_with_it(void **state)
{
    (void)state;
    gives_what_its_ops_give_alone(true);
}

static void no_bit_depends_on_the_threads(void **state)
{
    (void)state;
    struct setup s;
    static struct result one, more;
    start(&s, 1);
    run(&s, MEGA_RUN_GRAD, &one);
    done(&s);
    for (int threads = 2; threads < 5; threads++) {
        start(&s, threads);
        run(&s, MEGA_RUN_GRAD, &more);
        assert_memory_equal(&one, &more, sizeof one);
        done(&s);
    }
}

static void padding_may_be_left_out(void **state)
{
    (void)state;
    struct setup s;
    static struct result all, most;
    start(&s, 2);
    run(&s, MEGA_RUN_GRAD, &all);
    run_by(&s, MEGA_RUN_GRAD, true, &most);
    assert_memory_equal(&most, &all, sizeof all);
    run_by(&s, 0, true, &most);
    assert_memory_equal(most.y, all.y, sizeof all.y);
    done(&s);
}

static void two_norms(
    mega_run *r, const void *self, struct mega_carry *c, const struct mega_rows *rows)
{
    (void)rows;
    struct setup *s = (struct setup *)(uintptr_t)self;
    mega_tensor *y = norm(s, c->x), *z = norm(s, y);
    mega_run_need(r, z);
    assert_true(y->waits && !y->data);
    assert_true(!z->waits && z->data);
    mega_run_need(r, y);
    assert_true(!y->waits && y->data);
    c->x = z;
}

static void what_is_made_for_others_of_a_sweep_alone_takes_no_memory(void **state)
{
    (void)state;
    struct setup s;
    start(&s, 1);
    mega_run_begin(s.run, &(struct mega_run_args){ .mode = MEGA_RUN_GRAD });
    struct mega_carry carry = { .x = input(&s) };
    struct mega_block block = { "norms", 0, MEGA_AGAIN_NOTHING, two_norms, &s };
    mega_run_block(s.run, &block, &carry, NULL);
    assert_int_equal(mega_run_end(s.run), MEGA_OK);
    done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sweep_gives_what_its_ops_give_alone),
        cmocka_unit_test(variants_of_attention_go_with_it),
        cmocka_unit_test(no_bit_depends_on_the_threads),
        cmocka_unit_test(padding_may_be_left_out),
        cmocka_unit_test(what_is_made_for_others_of_a_sweep_alone_takes_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
