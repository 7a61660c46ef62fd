#include "layer/timestep_norm.h"

#include <string.h>

#include "graph/ops.h"

/* the official file has all three for every norm, as parameters only where they count */
static void declare_prior(mega_build *b, struct mega_timestep_norm *n)
{
    int64_t G = n->options.groups, none = 0;
    double count = (double)n->options.prior_count;
    struct mega_init zero = { MEGA_INIT_CONSTANT, 0, 0 };
    n->prior = mega_cell_add(b, "prior_count", MEGA_CELL_MODEL, MEGA_I64, 0, &none, count);
    if (n->options.prior_count > 0) {
        n->prior_mean = mega_param_add(b, "prior_mean", zero, 1, &G);
        n->prior_logv = mega_param_add(b, "prior_logv", zero, 1, &G);
    } else {
        n->no_mean = mega_cell_add(b, "prior_mean", MEGA_CELL_MODEL, MEGA_F32, 1, &G, 0);
        n->no_logv = mega_cell_add(b, "prior_logv", MEGA_CELL_MODEL, MEGA_F32, 1, &G, 0);
    }
}

void mega_timestep_norm_build(
    mega_build *b, struct mega_timestep_norm *n, const struct mega_timestep_norm_options *o)
{
    *n = (struct mega_timestep_norm){ .options = *o };
    if (!b->status && (o->groups < 1 || o->width % o->groups))
        b->status =
            mega_fail(MEGA_BAD_ARGUMENT, "groups is %lld, expected a divisor of the width %lld",
                (long long)o->groups, (long long)o->width);
    struct mega_init zero = { MEGA_INIT_CONSTANT, 0, 0 };
    int64_t G = o->groups, one = 1;
    n->weight = mega_param_add(b, "weight", zero, 1, &o->width);
    n->bias = mega_param_add(b, "bias", zero, 1, &o->width);
    if (!o->port) declare_prior(b, n);
    n->count = mega_cell_add(b, "count", MEGA_CELL_ROW, MEGA_I32, 1, &one, 0);
    n->mean = mega_cell_add(b, "mean", MEGA_CELL_ROW, MEGA_F32, 1, &G, 0);
    n->var = mega_cell_add(b, "var", MEGA_CELL_ROW, MEGA_F32, 1, &G, 1);
    struct mega_cell *statistics[] = { n->count, n->mean, n->var };
    for (size_t i = 0; i < sizeof statistics / sizeof *statistics; i++)
        if (statistics[i]) statistics[i]->statistics = true;
}

/* what a start counts for; a file's buffer has the last word */
static int64_t prior_count(const struct mega_timestep_norm *n)
{
    const mega_tensor *t = n->prior ? &n->prior->value : NULL;
    return t && t->data ? (int64_t)mega_get(t, 0, 0) : n->options.prior_count;
}

mega_tensor *mega_timestep_norm_run(mega_run *r, const struct mega_timestep_norm *n,
    mega_tensor *x, const struct mega_rows *rows)
{
    mega_tensor *count = mega_cell_get(r, n->count);
    struct mega_attr_timestep_norm a;
    memset(&a, 0, sizeof a);
    a.kind = n->options.port ? MEGA_TIMESTEP_NORM_MEANS : MEGA_TIMESTEP_NORM_FULL;
    a.unit_offset = true;
    a.state = count != NULL;
    a.groups = n->options.groups;
    a.prior_count = prior_count(n);
    a.eps = n->options.eps;
    struct mega_call c = { .op = &mega_op_timestep_norm, .attr = &a, .rows = rows };
    c.in[MEGA_TIMESTEP_NORM_X] = x;
    c.in[MEGA_TIMESTEP_NORM_WEIGHT] = n->weight;
    c.in[MEGA_TIMESTEP_NORM_BIAS] = n->bias;
    if (a.prior_count > 0) {
        c.in[MEGA_TIMESTEP_NORM_PRIOR_MEAN] =
            n->prior_mean ? n->prior_mean : mega_cell_get(r, n->no_mean);
        c.in[MEGA_TIMESTEP_NORM_PRIOR_LOGV] =
            n->prior_logv ? n->prior_logv : mega_cell_get(r, n->no_logv);
    }
    c.in[MEGA_TIMESTEP_NORM_COUNT] = count;
    c.in[MEGA_TIMESTEP_NORM_MEAN] = mega_cell_get(r, n->mean);
    c.in[MEGA_TIMESTEP_NORM_VAR] = mega_cell_get(r, n->var);
    mega_tensor *y = mega_run_call(r, &c, NULL);
    if (count) {
        mega_cell_set(r, n->count, c.out[1]);
        mega_cell_set(r, n->mean, c.out[2]);
        mega_cell_set(r, n->var, c.out[3]);
    }
    return y;
}
