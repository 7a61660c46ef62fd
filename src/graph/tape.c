/* The way back: gradients by walking the tape. */
#include <math.h>
#include <string.h>

#include "graph/run_state.h"

static mega_tensor *new_gradient(mega_run *r, const mega_tensor *t)
{
    mega_tensor *g = mega_arena_get(&r->gradients, sizeof *g);
    void *data = g ? mega_arena_get(&r->gradients, mega_size(t)) : NULL;
    if (!data) {
        char shape[96];
        mega_run_fail(r, mega_fail(MEGA_NO_MEMORY, "no memory for the gradient of %s",
                             mega_tensor_print(t, shape)));
        return NULL;
    }
    *g = mega_tensor_over(r->args.mode & MEGA_RUN_DRY ? NULL : data, t->dtype, t->rank, t->dim);
    g->device = t->device;
    return g;
}

/* the gradient of a view is the view of the base's gradient, which therefore must hold zeros
 * where nothing came yet */
static mega_tensor *view_gradient(mega_run *r, mega_tensor *t)
{
    mega_tensor *whole = run_gradient(r, t->base);
    mega_tensor *g = whole ? mega_arena_get(&r->gradients, sizeof *g) : NULL;
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

mega_tensor *run_gradient(mega_run *r, mega_tensor *t)
{
    if (t->param) return &t->param->gradient;
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

static void op_backward(mega_run *r, const struct mega_call *c)
{
    struct mega_grads g = { .touched = ~0u };
    if (!collect_outputs(c, &g) || !collect_inputs(r, c, &g)) return;
    if (!(r->args.mode & MEGA_RUN_DRY)) {
        mega_arena_release(&c->work->scratch[c->work->threads], 0);
        c->kernel->backward(c, &g);
    }
    for (int i = 0; i < c->op->n_in; i++) {
        if (!g.in[i]) continue;
        g.in[i]->filled = true;
        if (c->in[i]->param && (g.touched >> i & 1)) c->in[i]->param->touched = true;
    }
}

void run_walk_back(mega_run *r, struct record *stop)
{
    for (struct record *rec = r->last; rec != stop && !r->status; rec = rec->before) {
        if (rec->kind == RECORD_OP)
            op_backward(r, &rec->call);
        else
            block_backward(r, rec);
    }
}

void mega_run_backward(mega_run *r)
{
    r->recording = false;
    run_walk_back(r, NULL);
}

void mega_run_seed_with(mega_run *r, mega_tensor *t, const mega_tensor *cotangent)
{
    if (r->status || !t) return;
    mega_tensor *g = run_gradient(r, t);
    if (!g) return;
    for (int64_t row = 0, n = mega_height(t); g->data && row < n; row++)
        for (int64_t j = 0; j < mega_width(t); j++)
            mega_put(
                g, row, j, (g->filled ? mega_get(g, row, j) : 0) + mega_get(cotangent, row, j));
    g->filled = true;
}

void mega_run_seed(mega_run *r, mega_tensor *t, double each)
{
    if (r->status || !t) return;
    mega_tensor *g = run_gradient(r, t);
    if (!g) return;
    for (int64_t row = 0, n = mega_height(t); g->data && row < n; row++)
        for (int64_t j = 0; j < mega_width(t); j++)
            mega_put(g, row, j, (g->filled ? mega_get(g, row, j) : 0) + each);
    g->filled = true;
}
