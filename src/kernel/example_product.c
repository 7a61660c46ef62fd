/* Examples of the projections. */
#include <math.h>

#include "kernel/example_parts.h"

void mega_example_linear(struct mega_maker *m)
{
    struct mega_attr_linear *a = mega_make_attr(m);
    struct mega_call *c = &m->e->call;
    a->act = (enum mega_act)mega_make_choice(m, MEGA_ACTS);
    bool bias = !mega_make_choice(m, 2);
    int64_t K = mega_make_size(m), N = mega_make_size(m), dim[MEGA_RANK];
    int rank = mega_make_shape(m, K, dim);
    c->in[MEGA_LINEAR_X] = mega_make_values(m, rank, dim, 0, 1);
    c->in[MEGA_LINEAR_W] = mega_make_param(m, 2, (int64_t[]){ N, K }, 0, 2 / sqrt((double)K));
    if (bias) c->in[MEGA_LINEAR_B] = mega_make_param(m, 1, &N, 0, 1);
    m->e->wants = 7;
    m->e->tolerance = 3e-6;
}

void mega_example_query_key(struct mega_maker *m)
{
    struct mega_call *c = &m->e->call;
    int64_t Z = mega_make_size(m), dim[MEGA_RANK], pair[] = { 2, Z };
    int rank = mega_make_shape(m, Z, dim);
    c->in[MEGA_QUERY_KEY_Z] = mega_make_values(m, rank, dim, 0, 2);
    c->in[MEGA_QUERY_KEY_GAMMA] = mega_make_param(m, 2, pair, 0, 1);
    c->in[MEGA_QUERY_KEY_BETA] = mega_make_param(m, 2, pair, 0, 1);
    m->e->wants = 7;
    m->e->gives = 3;
    m->e->tolerance = 5e-6;
}

void mega_example_query_key_norm(struct mega_maker *m)
{
    struct mega_attr_query_key_norm *a = mega_make_attr(m);
    struct mega_call *c = &m->e->call;
    a->heads = 1 + mega_make_choice(m, 4);
    a->eps = 1e-5;
    /* of a head of one channel only the sign is left */
    int64_t Z = a->heads * (1 + mega_make_size(m)), dim[MEGA_RANK], pair[] = { 2, Z };
    int rank = mega_make_shape(m, Z, dim);
    c->in[MEGA_QUERY_KEY_Z] = mega_make_values(m, rank, dim, 0, 2);
    c->in[MEGA_QUERY_KEY_GAMMA] = mega_make_param(m, 2, pair, 0, 1);
    c->in[MEGA_QUERY_KEY_BETA] = mega_make_param(m, 2, pair, 0, 1);
    m->e->wants = 7;
    m->e->gives = 3;
    m->e->tolerance = 5e-6;
}
