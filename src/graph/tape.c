/* The way back: gradients by walking the tape. */
#include <math.h>
#include <string.h>

#include "graph/run_state.h"

enum { HEAD = (sizeof(mega_tensor) + MEGA_ALIGN - 1) / MEGA_ALIGN * MEGA_ALIGN };

/* What died, else: inside a block behind the values, which end with the block; outside, an
 * arena of its own. */
static void *gradient_memory(mega_run *r, size_t bytes)
{
    void *p = spare_take(r->depth ? &r->spare : &r->carried, bytes);
    return p ? p : mega_arena_get(r->depth ? &r->values : &r->gradients, bytes);
}

static void bury_gradient(mega_run *r, mega_tensor *g)
{
    char *at = (char *)g, *carried = r->gradients.base;
    bool outlives = at >= carried && at < carried + r->gradients.reserved;
    spare_give(outlives ? &r->carried : &r->spare, g, HEAD + mega_size(g));
}

/* a tensor with its numbers behind it, so that both die as one */
static mega_tensor *new_gradient(mega_run *r, const mega_tensor *t)
{
    mega_tensor *g = gradient_memory(r, HEAD + mega_size(t));
    if (!g) {
        char shape[96];
        mega_run_fail(r, mega_fail(MEGA_NO_MEMORY, "no memory for the gradient of %s",
                             mega_tensor_print(t, shape)));
        return NULL;
    }
    bool dry = r->args.mode & MEGA_RUN_DRY;
    *g = mega_tensor_over(dry ? NULL : (char *)g + HEAD, t->dtype, t->rank, t->dim);
    g->device = t->device;
    return g;
}

/* the gradient of a view is the view of the base's gradient, which therefore must hold zeros
 * where nothing came yet */
static mega_tensor *view_gradient(mega_run *r, mega_tensor *t)
{
    mega_tensor *whole = run_gradient(r, t->base);
    mega_tensor *g = whole ? gradient_memory(r, sizeof *g) : NULL;
    if (!g) return NULL;
    if (!whole->filled) {
        if (whole->data) mega_tensor_zero(whole);
        whole->filled = true;
    }
    *g = *t;
    g->grad = NULL;
    g->dtype = whole->dtype;
    g->data = whole->data
                  ? (char *)whole->data + (size_t)t->offset * mega_dtype_size(whole->dtype)
                  : NULL;
    g->filled = true;
    return g;
}

static mega_tensor *param_gradient(mega_run *r, struct mega_param *p)
{
    if (p->gradient.data || (r->args.mode & MEGA_RUN_DRY)) return &p->gradient;
    mega_run_fail(r, mega_fail(MEGA_BAD_ARGUMENT,
                         "parameter %s has no room for a gradient: the model was not made for "
                         "training",
                         p->name));
    return NULL;
}

mega_tensor *run_gradient(mega_run *r, mega_tensor *t)
{
    if (t->param) return param_gradient(r, t->param);
    if (!t->grad) t->grad = t->base ? view_gradient(r, t) : new_gradient(r, t);
    return t->grad;
}

/* true if a gradient arrived at one of the outputs */
static bool collect_outputs(const struct mega_call *c, struct mega_grads *g)
{
    bool any = false;
    for (int i = 0; i < MEGA_OUT; i++) {
        const mega_tensor *t = c->out[i];
        if (!t || !t->grad || !t->grad->filled) continue;
        g->out[i] = t->grad;
        any = true;
    }
    return any;
}

static bool collect_inputs(mega_run *r, const struct mega_call *c, struct mega_grads *g)
{
    for (int i = 0; i < c->op->n_in; i++) {
        mega_tensor *t = c->in[i];
        if (!t || !t->wants_grad) continue;
        mega_tensor *grad = run_gradient(r, t);
        if (!grad) return false;
        g->in[i] = grad;
        /* the same tensor at two inputs: both add, to zeros */
        for (int k = 0; k < i; k++)
            if (g->in[k] == grad && !grad->filled) {
                if (grad->data) mega_tensor_zero(grad);
                grad->filled = true;
                g->add |= 1u << k;
            }
        if (grad->filled) g->add |= 1u << i;
    }
    return true;
}

static void op_backward(mega_run *r, const struct record *rec)
{
    const struct mega_call *c = &rec->call;
    struct mega_grads g = { .touched = ~0u };
    if (!collect_outputs(c, &g) || !collect_inputs(r, c, &g)) return;
    if (!(r->args.mode & MEGA_RUN_DRY)) {
        double start = mega_profile_start(r->profile);
        mega_arena_release(&c->work->scratch[c->work->threads], 0);
        c->kernel->backward(c, &g);
        if (r->profile)
            mega_profile_call(r->profile, c, MEGA_PROFILE_BACKWARD, rec->chain, start);
    }
    for (int i = 0; i < c->op->n_in; i++) {
        /* what was not used gets no gradient, nor does what it was made of */
        if (!g.in[i] || !(g.touched >> i & 1)) continue;
        g.in[i]->filled = true;
        const mega_tensor *whole = c->in[i]->base ? c->in[i]->base : c->in[i];
        if (whole->param) whole->param->touched = true;
    }
}

/* In a block: nothing made by this op or after it is read again, nor the gradients of its
 * outputs. */
static void bury(mega_run *r, const struct record *rec)
{
    if (!r->depth) return;
    for (int i = 0; i < MEGA_OUT; i++) {
        const mega_tensor *t = rec->call.out[i];
        if (t && t->grad && !t->grad->base) bury_gradient(r, t->grad);
    }
    if (rec->shared) return; /* it dies with the sweep */
    spare_give(&r->spare, r->values.base + rec->start, r->dead - rec->start);
    r->dead = rec->start;
    if (rec->passing >= r->dead_passing) return;
    spare_give(&r->spare, r->passing.base + rec->passing, r->dead_passing - rec->passing);
    r->dead_passing = rec->passing;
}

void run_walk_back(mega_run *r)
{
    for (struct record *rec = r->last, *before; rec && !r->status; rec = before) {
        before = rec->before;
        if (rec->kind == RECORD_OP) {
            if (rec->sweep)
                sweep_back(r, rec->sweep);
            else
                op_backward(r, rec);
            bury(r, rec);
        } else {
            block_backward(r, rec);
        }
    }
    r->last = NULL;
}

void mega_run_backward(mega_run *r)
{
    sweep_run(r, NULL, 0);
    r->recording = false;
    run_walk_back(r);
}

/* adds `each`, or the cotangent where there is one, to t's gradient */
static void seed(mega_run *r, mega_tensor *t, const mega_tensor *cotangent, double each)
{
    mega_tensor *g = run_gradient(r, t);
    if (!g) return;
    for (int64_t row = 0, n = mega_height(t); g->data && row < n; row++)
        for (int64_t j = 0; j < mega_width(t); j++)
            mega_put(g, row, j,
                (g->filled ? mega_get(g, row, j) : 0) +
                    (cotangent ? mega_get(cotangent, row, j) : each));
    g->filled = true;
}

void mega_run_seed_with(mega_run *r, mega_tensor *t, const mega_tensor *cotangent)
{
    char have[96], want[96];
    if (r->status || !t) return;
    if (!cotangent || !mega_same_shape(t, cotangent)) {
        mega_run_fail(r, mega_fail(MEGA_BAD_ARGUMENT, "the cotangent is %s, expected %s",
                             cotangent ? mega_tensor_print(cotangent, have) : "missing",
                             mega_tensor_print(t, want)));
        return;
    }
    seed(r, t, cotangent, 0);
}

void mega_run_seed(mega_run *r, mega_tensor *t, double each)
{
    if (!r->status && t) seed(r, t, NULL, each);
}

void mega_run_more(mega_run *r, mega_tensor *t, double each)
{
    if (r->status || !t || r->replaying) return;
    if (r->n_more == MORE_MOST) {
        mega_run_fail(r, mega_fail(MEGA_UNSUPPORTED,
                             "a run with more than %d parts of a loss besides", MORE_MOST));
        return;
    }
    r->more[r->n_more].t = t;
    r->more[r->n_more++].each = each;
}

void mega_run_seed_more(mega_run *r, double units)
{
    for (int i = 0; i < r->n_more; i++) mega_run_seed(r, r->more[i].t, r->more[i].each * units);
}
