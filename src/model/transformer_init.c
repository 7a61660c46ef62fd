#include "model/transformer_init.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* own layers N, those of a decoder M */
static void count(const struct mega_transformer_options *o, double *n, double *m)
{
    *n = (double)(o->causal ? o->other_layers : o->plan.layers);
    *m = (double)(o->causal ? o->plan.layers : o->other_layers);
}

double mega_transformer_alpha(const struct mega_transformer_options *o)
{
    double n, m, own = (double)o->plan.layers;
    if (o->residual.alpha > 0) return o->residual.alpha;
    if (o->placement != MEGA_PLACEMENT_DEEPNORM) return 1;
    count(o, &n, &m);
    if (!o->other_layers) return pow(2 * own, 0.25);
    return o->causal ? pow(3 * m, 0.25) : 0.81 * pow(pow(n, 4) * m, 1.0 / 16);
}

double mega_transformer_gain(const struct mega_transformer_options *o)
{
    double n, m, own = (double)o->plan.layers;
    bool both = o->other_layers > 0;
    count(o, &n, &m);
    if (o->placement == MEGA_PLACEMENT_DEEPNORM) {
        if (!both) return pow(8 * own, -0.25);
        return o->causal ? pow(12 * m, -0.25) : 0.87 * pow(pow(n, 4) * m, -1.0 / 16);
    }
    if (o->placement == MEGA_PLACEMENT_SUBLN) {
        if (!both) return sqrt(log(2 * own));
        return o->causal ? sqrt(log(3 * m)) : sqrt(log(3 * m) * log(2 * n) / 3);
    }
    return 1;
}

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && !strcmp(name + n - m, end);
}

static bool is_one_of(const char *name, const char *const *ends)
{
    for (; *ends; ends++)
        if (ends_with(name, *ends)) return true;
    return false;
}

static const char *const scaled[] = { ".attn.v.weight", ".attn.o.weight", ".ff.up.weight",
    ".ff.gate.weight", ".ff.down.weight", NULL };
static const char *const plain[] = { ".attn.q.weight", ".attn.k.weight", NULL };
static const char *const last[] = { ".attn.o.weight", ".attn.o.bias", ".ff.down.weight",
    ".ff.down.bias", NULL };

/* Xavier's normal form: gain sqrt(2 / (in + out)) */
static struct mega_init xavier(const struct mega_param *p, double gain)
{
    double both = (double)(p->value.dim[0] + p->value.dim[1]);
    return (struct mega_init){ MEGA_INIT_NORMAL, 0, gain * sqrt(2 / both) };
}

static void begin(struct mega_param *p, const struct mega_transformer_options *o)
{
    bool gains =
             o->placement == MEGA_PLACEMENT_DEEPNORM || o->placement == MEGA_PLACEMENT_SUBLN,
         branch = is_one_of(p->name, scaled) || is_one_of(p->name, plain);
    bool usual = p->init.kind == MEGA_INIT_NORMAL && p->init.a >= 0 && p->init.a <= 0 &&
                 p->init.b >= 0.02 && p->init.b <= 0.02;
    if (o->std > 0 && usual) p->init.b = o->std;
    if (gains && branch)
        p->init = xavier(p, is_one_of(p->name, scaled) ? mega_transformer_gain(o) : 1);
    if (o->start == MEGA_START_SMALL && strstr(p->name, ".attn.") && usual)
        p->init.b = sqrt(2 / (5 * (double)o->width));
    if (o->depth_init && p->init.kind == MEGA_INIT_NORMAL && is_one_of(p->name, last))
        p->init.b /= sqrt(2 * (double)o->plan.layers);
    if (o->zero_init && is_one_of(p->name, last))
        p->init = (struct mega_init){ MEGA_INIT_CONSTANT, 0, 0 };
}

void mega_transformer_init(mega_build *b, const struct mega_transformer *m)
{
    size_t n = strlen(b->prefix);
    for (struct mega_param *p = b->status ? NULL : b->store->first; p; p = p->next)
        if (!strncmp(p->name, b->prefix, n)) begin(p, &m->options);
}
