#include "kernel/check.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "kernel/guard.h"

#define EXAMPLE_RESERVE ((size_t)1 << 32)

static const int teams[MEGA_CHECK_TEAMS] = { 1, 2, 3, 5 };

mega_status mega_check_init(struct mega_check *k)
{
    *k = (struct mega_check){ 0 };
    mega_status status = mega_arena_init(&k->example, EXAMPLE_RESERVE);
    if (!status) status = mega_arena_init(&k->results, EXAMPLE_RESERVE);
    for (int i = 0; i < MEGA_CHECK_TEAMS && !status; i++)
        status = mega_work_init(&k->work[i], teams[i]);
    if (status) mega_check_done(k);
    return status;
}

void mega_check_done(struct mega_check *k)
{
    for (int i = 0; i < MEGA_CHECK_TEAMS; i++) mega_work_done(&k->work[i]);
    mega_arena_done(&k->results);
    mega_arena_done(&k->example);
}

/* ---- one side of the comparison: a call, and all that it makes ---- */

struct side {
    struct mega_call c;
    struct mega_guarded out[MEGA_OUT], saved[MEGA_SAVED], gradient[MEGA_IN];
};

/* One kernel on one example. */
struct trial {
    struct mega_check *k;
    const struct mega_kernel_entry *kernel;
    const struct mega_example *e;
    struct side judge, tested;
    struct mega_guarded cotangent[MEGA_OUT];
    void *inputs; /* copy of the example's memory */
    struct mega_rng rng;
};

/* which gradients come, which go where */
struct ways {
    uint32_t out, in, add; /* bits of outputs and inputs */
};

static mega_status out_of_memory(void)
{
    return mega_fail(MEGA_NO_MEMORY, "no memory to check a kernel");
}

static mega_status guarded(struct trial *t, struct mega_guarded *g, const mega_tensor *like,
    int64_t gap, mega_tensor **place)
{
    *g = mega_guard(&t->k->results, like, gap);
    if (!g->base) return out_of_memory();
    *place = &g->t;
    return MEGA_OK;
}

static mega_status make_outputs(struct trial *t, struct side *s, mega_dtype dtype)
{
    s->c = t->e->call;
    s->c.dtype = dtype;
    mega_tensor out[MEGA_OUT];
    for (int i = 0; i < MEGA_OUT; i++) out[i] = mega_absent();
    mega_status status = s->c.op->shape(&s->c, out);
    if (status) return mega_fail_in(status, "%s", t->e->text);
    for (int i = 0; i < MEGA_OUT; i++)
        if (out[i].rank >= 0) MEGA_TRY(guarded(t, &s->out[i], &out[i], 0, &s->c.out[i]));
    return MEGA_OK;
}

static mega_status make_saved(struct trial *t, struct side *s)
{
    if (!s->c.kernel->keep) return MEGA_OK;
    mega_tensor saved[MEGA_SAVED];
    for (int i = 0; i < MEGA_SAVED; i++) saved[i] = mega_absent();
    s->c.kernel->keep(&s->c, saved);
    for (int i = 0; i < MEGA_SAVED; i++)
        if (saved[i].rank >= 0)
            MEGA_TRY(guarded(t, &s->saved[i], &saved[i], 0, &s->c.saved[i]));
    return MEGA_OK;
}

static mega_status make_cotangents(struct trial *t)
{
    for (int i = 0; i < MEGA_OUT; i++) {
        if (!t->tested.c.out[i]) continue;
        t->cotangent[i] = mega_guard(&t->k->results, t->tested.c.out[i], 0);
        if (!t->cotangent[i].base) return out_of_memory();
        mega_tensor *d = &t->cotangent[i].t;
        for (int64_t r = 0; r < mega_height(d); r++)
            for (int64_t j = 0; j < mega_width(d); j++)
                mega_put(d, r, j, mega_rng_normal(&t->rng));
    }
    return MEGA_OK;
}

/* what a gradient holds that is to be added to */
static double beginning(int64_t row, int64_t column)
{
    return (double)((31 * row + 17 * column) % 23 - 11) / 8;
}

static void begin_gradient(mega_tensor *g)
{
    for (int64_t r = 0; r < mega_height(g); r++)
        for (int64_t j = 0; j < mega_width(g); j++) mega_put(g, r, j, beginning(r, j));
}

/* the first input that is the same tensor as input i */
static int first_of(const struct trial *t, int i)
{
    int first = 0;
    while (t->e->call.in[first] != t->e->call.in[i]) first++;
    return first;
}

/* Gradients of the wanted inputs, one for a tensor that comes in twice; `dtype`: of all, NULL:
 * of each input. */
static mega_status make_gradients(struct trial *t, struct side *s, const struct ways *w,
    const mega_dtype *dtype, struct mega_grads *g)
{
    *g = (struct mega_grads){ .add = w->add, .touched = ~0u };
    for (int i = 0; i < MEGA_OUT; i++)
        if (s->c.out[i] && (w->out >> i & 1)) g->out[i] = &t->cotangent[i].t;
    for (int i = 0; i < MEGA_IN; i++) {
        const mega_tensor *x = t->e->call.in[i];
        if (!(w->in >> i & 1)) continue;
        int first = first_of(t, i);
        if (first < i) {
            g->in[i] = g->in[first];
            continue;
        }
        mega_tensor like = mega_like(x, dtype ? *dtype : x->dtype);
        MEGA_TRY(guarded(t, &s->gradient[i], &like, x->stride - mega_width(x), &g->in[i]));
        if (w->add >> i & 1) begin_gradient(g->in[i]);
    }
    return MEGA_OK;
}

static void forward(struct trial *t, struct side *s, int team)
{
    s->c.work = &t->k->work[team];
    mega_arena_release(&s->c.work->scratch[s->c.work->threads], 0);
    s->c.kernel->forward(&s->c);
}

static void backward(struct trial *t, struct side *s, struct mega_grads *g, int team)
{
    s->c.work = &t->k->work[team];
    mega_arena_release(&s->c.work->scratch[s->c.work->threads], 0);
    s->c.kernel->backward(&s->c, g);
}

/* ---- judging ---- */

static mega_status wrong(
    const struct trial *t, const char *what, int i, const char *format, ...) MEGA_PRINTF(4, 5);

static mega_status wrong(
    const struct trial *t, const char *what, int i, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return mega_fail(MEGA_INTERNAL, "%s/%s, %s: %s %d %s", t->kernel->room,
        t->kernel->kernel->name, t->e->text, what, i, text);
}

static double largest(const mega_tensor *t)
{
    double most = 0;
    for (int64_t r = 0; r < mega_height(t); r++)
        for (int64_t j = 0; j < mega_width(t); j++) most = fmax(most, fabs(mega_get(t, r, j)));
    return most;
}

static bool is_rounded(const mega_tensor *t)
{
    return t && t->dtype == MEGA_BF16;
}

/* bfloat16 rounds by 2^-9; a gradient that comes from what the forward pass left in it is less
 * exact, whatever its own type: roundings meet where terms cancel, and at the kink of relu */
static double tolerance(const struct trial *t, const char *what, mega_dtype dtype)
{
    const struct mega_call *c = &t->tested.c;
    bool rounded = dtype == MEGA_BF16, forward = !strcmp(what, "output");
    for (int i = 0; i < MEGA_OUT && !forward; i++) rounded |= is_rounded(c->out[i]);
    for (int i = 0; i < MEGA_SAVED && !forward; i++) rounded |= is_rounded(c->saved[i]);
    bool region = !c->op->reference.forward; /* which may round inside, too */
    double half = forward ? 0x1p-7 : region ? 0x1p-5 : 0x1p-6;
    return rounded ? fmax(t->e->tolerance, half) : t->e->tolerance;
}

/* `got` lies close to `want`, measured against want's largest element (0.01 at least, 0.1
 * where there is rounding to bfloat16) */
static mega_status same(struct trial *t, const char *what, int i,
    const struct mega_guarded *got, const mega_tensor *want)
{
    double share = tolerance(t, what, got->t.dtype),
           least = share > t->e->tolerance ? 0.1 : 0.01, /* terms that cancel were rounded */
        allowed = share * fmax(largest(want), least);
    for (int64_t r = 0; r < mega_height(want); r++)
        for (int64_t j = 0; j < mega_width(want); j++) {
            double error = fabs(mega_get(&got->t, r, j) - mega_get(want, r, j));
            if (error > t->k->worst * allowed) t->k->worst = error / allowed;
            if (!(error <= allowed))
                return wrong(t, what, i,
                    "holds %.9g at row %lld, column %lld, expected %.9g, at most %.2g away",
                    mega_get(&got->t, r, j), (long long)r, (long long)j, mega_get(want, r, j),
                    allowed);
        }
    if (!mega_guard_intact(got)) return wrong(t, what, i, "was written beyond its elements");
    return MEGA_OK;
}

static mega_status inputs_intact(const struct trial *t)
{
    if (!t->e->memory || !memcmp(t->inputs, t->e->memory, t->e->bytes)) return MEGA_OK;
    return wrong(t, "one of the inputs of call", 0, "was written to");
}

static mega_status outputs_right(struct trial *t)
{
    for (int i = 0; i < MEGA_OUT; i++)
        if (t->tested.c.out[i])
            MEGA_TRY(same(t, "output", i, &t->tested.out[i], &t->judge.out[i].t));
    for (int i = 0; i < MEGA_SAVED; i++)
        if (t->tested.c.saved[i] && !mega_guard_intact(&t->tested.saved[i]))
            return wrong(t, "saved tensor", i, "was written beyond its elements");
    return inputs_intact(t);
}

/* the judge's gradients plus, where the kernel was to add, what was there before */
static mega_status gradients_right(
    struct trial *t, const struct ways *w, const struct mega_grads *want)
{
    for (int i = 0; i < MEGA_IN; i++) {
        if (!(w->in >> i & 1) || first_of(t, i) < i) continue;
        struct mega_guarded sum = mega_guard(&t->k->results, want->in[i], 0);
        if (!sum.base) return out_of_memory();
        for (int64_t r = 0; r < mega_height(&sum.t); r++)
            for (int64_t j = 0; j < mega_width(&sum.t); j++)
                mega_put(&sum.t, r, j,
                    mega_get(want->in[i], r, j) + (w->add >> i & 1 ? beginning(r, j) : 0));
        MEGA_TRY(same(t, "gradient of input", i, &t->tested.gradient[i], &sum.t));
    }
    return inputs_intact(t);
}

static bool same_bits(const struct mega_guarded *a, const struct mega_guarded *b)
{
    return a->bytes == b->bytes && (!a->bytes || !memcmp(a->base, b->base, a->bytes));
}

/* ---- the ways of a backward pass ---- */

/* of the inputs `in`, those that are there and may have a gradient; a tensor that comes in
 * twice is wanted for both and added to */
static struct ways ways_of(const struct trial *t, uint32_t out, uint32_t in, uint32_t add)
{
    struct ways w = { .out = out, .in = 0, .add = add };
    for (int i = 0; i < MEGA_IN; i++)
        if (t->e->call.in[i] && (t->e->wants >> i & 1) && (in >> first_of(t, i) & 1)) {
            w.in |= 1u << i;
            if (first_of(t, i) < i) w.add |= 1u << i | 1u << first_of(t, i);
        }
    return w;
}

/* `want`: the judge's gradients of all inputs for w->out */
static mega_status try_ways(
    struct trial *t, const struct ways *w, const struct mega_grads *want)
{
    size_t mark = mega_arena_mark(&t->k->results);
    struct mega_grads g;
    MEGA_TRY(make_gradients(t, &t->tested, w, NULL, &g));
    backward(t, &t->tested, &g, 0);
    MEGA_TRY(gradients_right(t, w, want));
    mega_arena_release(&t->k->results, mark);
    return MEGA_OK;
}

/* all gradients that come with the outputs `out`: every input, each alone, all but each;
 * written, added, mixed */
static mega_status try_outputs(struct trial *t, uint32_t out)
{
    struct mega_grads want;
    struct ways all = ways_of(t, out, ~0u, ~0u);
    const mega_dtype wide = MEGA_F64;
    size_t mark = mega_arena_mark(&t->k->results);
    MEGA_TRY(make_gradients(t, &t->judge, &all, &wide, &want));
    for (int i = 0; i < MEGA_IN; i++)
        if (want.in[i]) mega_tensor_zero(want.in[i]);
    backward(t, &t->judge, &want, 0);

    struct ways w = ways_of(t, out, ~0u, 0);
    MEGA_TRY(try_ways(t, &w, &want));
    MEGA_TRY(try_ways(t, &all, &want));
    for (int i = 0; i < MEGA_IN; i++) {
        if (!(all.in >> i & 1)) continue;
        w = ways_of(t, out, 1u << i, mega_rng_u32(&t->rng));
        MEGA_TRY(try_ways(t, &w, &want));
        w = ways_of(t, out, ~(1u << i), mega_rng_u32(&t->rng));
        MEGA_TRY(try_ways(t, &w, &want));
    }
    mega_arena_release(&t->k->results, mark);
    return MEGA_OK;
}

static mega_status try_backward(struct trial *t)
{
    MEGA_TRY(make_cotangents(t));
    uint32_t gives = 0;
    for (int i = 0; i < MEGA_OUT; i++)
        if (t->tested.c.out[i]) gives |= t->e->gives & 1u << i;
    MEGA_TRY(try_outputs(t, gives));
    for (int i = 0; i < MEGA_OUT; i++)
        if ((gives >> i & 1) && gives != 1u << i) MEGA_TRY(try_outputs(t, gives & ~(1u << i)));
    return MEGA_OK;
}

/* ---- numbers of threads ---- */

static mega_status both_ways(struct trial *t, struct side *s, const struct ways *w, int team)
{
    struct mega_grads g;
    MEGA_TRY(make_outputs(t, s, t->e->call.dtype));
    s->c.mode = t->tested.c.mode;
    s->c.kernel = t->tested.c.kernel;
    s->c.prepared = t->tested.c.prepared;
    MEGA_TRY(make_saved(t, s));
    forward(t, s, team);
    MEGA_TRY(make_gradients(t, s, w, NULL, &g));
    backward(t, s, &g, team);
    return MEGA_OK;
}

static mega_status try_teams(struct trial *t)
{
    struct ways w = ways_of(t, t->e->gives, ~0u, 0);
    struct side one = { 0 };
    MEGA_TRY(both_ways(t, &one, &w, 0));
    for (int team = 1; team < MEGA_CHECK_TEAMS; team++) {
        size_t mark = mega_arena_mark(&t->k->results);
        struct side more = { 0 };
        MEGA_TRY(both_ways(t, &more, &w, team));
        for (int i = 0; i < MEGA_OUT; i++)
            if (!same_bits(&one.out[i], &more.out[i]))
                return wrong(t, "output", i, "differs between 1 and %d threads", teams[team]);
        for (int i = 0; i < MEGA_IN; i++)
            if (!same_bits(&one.gradient[i], &more.gradient[i]))
                return wrong(
                    t, "gradient of input", i, "differs between 1 and %d threads", teams[team]);
        mega_arena_release(&t->k->results, mark);
    }
    return MEGA_OK;
}

/* ---- all of it ---- */

static mega_status judge_outputs(struct trial *t)
{
    MEGA_TRY(make_outputs(t, &t->judge, MEGA_F64));
    t->judge.c.kernel = t->e->judge;
    forward(t, &t->judge, 0);
    return MEGA_OK;
}

/* the kernel without a tape, or with one */
static mega_status try_mode(struct trial *t, unsigned tape, bool *accepts)
{
    struct side *s = &t->tested;
    const struct mega_kernel *kernel = t->kernel->kernel;
    const char *why;
    *s = (struct side){ 0 };
    *accepts = false;
    if (tape && !kernel->backward) return MEGA_OK;
    MEGA_TRY(make_outputs(t, s, t->e->call.dtype));
    s->c.mode |= tape;
    s->c.kernel = kernel;
    s->c.work = &t->k->work[0];
    if (kernel->accepts && !kernel->accepts(&s->c, &why)) return MEGA_OK;
    *accepts = true;
    if (!t->judge.c.kernel) MEGA_TRY(judge_outputs(t));
    if (kernel->prepare) s->c.prepared = kernel->prepare(&s->c);
    mega_status status = tape ? make_saved(t, s) : MEGA_OK;
    if (!status) {
        forward(t, s, 0);
        status = outputs_right(t);
    }
    if (!status && tape) status = try_backward(t);
    if (!status && tape) status = try_teams(t);
    if (kernel->forget && s->c.prepared) kernel->forget(s->c.prepared);
    return status;
}

mega_status mega_check_example(
    struct mega_check *k, const struct mega_kernel_entry *kernel, const struct mega_example *e)
{
    struct trial t = { .k = k, .kernel = kernel, .e = e };
    bool plain, taped;
    mega_rng_start(&t.rng, 1, mega_hash_text(e->text));
    mega_arena_release(&k->results, 0);
    t.inputs = mega_arena_get(&k->results, e->bytes);
    if (!t.inputs) return out_of_memory();
    if (e->memory) memcpy(t.inputs, e->memory, e->bytes);
    MEGA_TRY(try_mode(&t, 0, &plain));
    MEGA_TRY(try_mode(&t, MEGA_RUN_GRAD, &taped));
    k->accepted += plain || taped;
    k->refused += !plain && !taped;
    return MEGA_OK;
}

mega_status mega_check_kernel(struct mega_check *k, const struct mega_kernel_entry *kernel)
{
    static const mega_dtype dtypes[] = { MEGA_F32, MEGA_BF16 };
    for (int d = 0; d < 2; d++)
        for (int i = 0; i < MEGA_EXAMPLES; i++) {
            struct mega_example e;
            mega_arena_release(&k->example, 0);
            MEGA_TRY(mega_example_make(&e, &k->example, kernel->op, i, dtypes[d], false));
            MEGA_TRY(mega_check_example(k, kernel, &e));
        }
    return MEGA_OK;
}

mega_status mega_check_all(struct mega_check *k, const struct mega_example *e)
{
    for (const struct mega_kernel_entry *entry = mega_kernels; entry->op; entry++)
        if (entry->op == e->call.op && entry->isa <= mega_isa_here())
            MEGA_TRY(mega_check_example(k, entry, e));
    return MEGA_OK;
}
