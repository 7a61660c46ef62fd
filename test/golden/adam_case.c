/* Cases of Adam, fairseq's and PyTorch's: some updates of a few tensors, with clipping. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/node.h"
#include "golden/case.h"
#include "graph/context.h"
#include "optim/adam.h"

enum { TENSORS = 64 };

struct adam_case {
    struct golden_case *c;
    struct mega_adam adam;
    struct mega_span span[TENSORS];
    int n;
    int64_t size;
    struct mega_flat flat;
};

static void read_options(struct adam_case *a)
{
    static const char *const keys[] = { "beta1", "beta2", "eps", "weight_decay", "clip_norm",
        "clip_mode" };
    struct golden_case *c = a->c;
    mega_option_defaults(mega_adam_options, &a->adam);
    bool pytorch = strstr(golden_meta(c, "module"), "torch.optim.AdamW") != NULL;
    a->adam.eps_rule = pytorch ? MEGA_EPS_PYTORCH : MEGA_EPS_FAIRSEQ;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *text = golden_cfg(c, keys[i]);
        const struct mega_option *o = mega_option_find(mega_adam_options, keys[i]);
        if (*text && mega_option_parse(o, keys[i], text, &a->adam))
            golden_unsupported(c, "%s", mega_message());
    }
}

/* param.p0, param.p1, ... one after the other */
static bool lay_out(struct adam_case *a)
{
    struct golden_case *c = a->c;
    const struct mega_st_tensor *p;
    for (; a->n < TENSORS && (p = golden_find(c, "param.p%d", a->n)); a->n++) {
        a->span[a->n] =
            (struct mega_span){ .offset = a->size, .count = p->count, .rate = 1, .decay = 1 };
        a->size += p->count;
    }
    float *all = calloc((size_t)a->size * 4 + 1, sizeof *all);
    if (!all) {
        golden_fail(c, "no memory for %lld values", (long long)a->size);
        return false;
    }
    a->flat = (struct mega_flat){ all, all + a->size, all + 2 * a->size, all + 3 * a->size };
    for (int i = 0; i < a->n; i++) {
        p = golden_find(c, "param.p%d", i);
        for (int64_t j = 0; j < p->count; j++)
            a->flat.value[a->span[i].offset + j] = (float)mega_st_real(p, j);
    }
    return true;
}

static void read_gradients(struct adam_case *a, int64_t step)
{
    for (int i = 0; i < a->n; i++) {
        const struct mega_st_tensor *g =
            golden_find(a->c, "in.grad%d.step%lld", i, (long long)step);
        a->span[i].touched = g && g->count == a->span[i].count;
        for (int64_t j = 0; a->span[i].touched && j < g->count; j++)
            a->flat.grad[a->span[i].offset + j] = (float)mega_st_real(g, j);
    }
}

static void compare(struct adam_case *a, const char *name, const float *flat, int i)
{
    int64_t n = a->span[i].count;
    double *got = calloc((size_t)n + 1, sizeof *got);
    for (int64_t j = 0; j < n; j++) got[j] = (double)flat[a->span[i].offset + j];
    golden_compare_numbers(a->c, name, got, n);
    free(got);
}

static bool update(struct adam_case *a, double lr, int64_t step)
{
    struct golden_case *c = a->c;
    struct mega_work *work = &c->context->work;
    char name[64];
    double norm;
    read_gradients(a, step);
    if (!golden_check(c, mega_grad_norm(work, a->flat.grad, 1, a->span, a->n,
                             (enum mega_clip_mode)a->adam.clip_mode, &norm)))
        return false;
    mega_adam_step(work, &a->adam, lr, 1, norm, a->flat, a->span, a->n);
    snprintf(name, sizeof name, "out.grad_norm.step%lld", (long long)step);
    golden_compare_numbers(c, name, &norm, 1);
    for (int i = 0; i < a->n; i++) {
        snprintf(name, sizeof name, "out.p%d.step%lld", i, (long long)step);
        compare(a, name, a->flat.value, i);
    }
    return true;
}

static void compare_moments(struct adam_case *a)
{
    char name[64];
    for (int i = 0; i < a->n; i++) {
        snprintf(name, sizeof name, "out.exp_avg%d", i);
        compare(a, name, a->flat.m, i);
        snprintf(name, sizeof name, "out.exp_avg_sq%d", i);
        compare(a, name, a->flat.v, i);
    }
}

void golden_adam(struct golden_case *c)
{
    struct adam_case a = { .c = c };
    double lr = golden_cfg_real(c, "lr", 0);
    int64_t steps = golden_cfg_int(c, "steps", 0);
    read_options(&a);
    bool fine = !c->verdict && lay_out(&a);
    for (int64_t step = 1; step <= steps && fine; step++) fine = update(&a, lr, step);
    if (fine) compare_moments(&a);
    free(a.flat.value);
}
