#include "kernel/widen.h"

#include "kernel/wide.h"

static const struct mega_kernel *inner_of(const struct mega_call *c)
{
    return ((const struct mega_widened *)(const void *)c->kernel)->inner;
}

bool mega_widened_accepts(const struct mega_call *c, const char **why)
{
    const struct mega_kernel *k = inner_of(c);
    *why = "bfloat16 only";
    if (c->dtype != MEGA_BF16) return false;
    *why = "no backward pass";
    if ((c->mode & MEGA_RUN_GRAD) && !k->backward) return false;
    *why = "prepares";
    if (k->prepare) return false;
    *why = "takes this itself";
    struct mega_call asked = *c;
    const char *refusal;
    asked.kernel = k;
    if (k->accepts && k->accepts(&asked, &refusal)) return false;
    struct mega_wide w;
    mega_wide_describe(&w, c, NULL, k);
    return !k->accepts || k->accepts(&w.c, why);
}

/* activations that a kernel keeps have the type of its output, statistics their own */
void mega_widened_keep(const struct mega_call *c, mega_tensor saved[MEGA_SAVED])
{
    if (inner_of(c)->keep) inner_of(c)->keep(c, saved);
}

void mega_widened_forward(const struct mega_call *c)
{
    struct mega_wide w;
    mega_wide_open(&w, c, NULL, inner_of(c));
    w.c.kernel->forward(&w.c);
    mega_wide_close(&w);
}

void mega_widened_backward(const struct mega_call *c, struct mega_grads *g)
{
    struct mega_wide w;
    mega_wide_open(&w, c, g, inner_of(c));
    w.c.kernel->backward(&w.c, &w.g);
    mega_wide_close(&w);
    g->touched = w.g.touched;
}
