#include "layer/depth.h"

#include <math.h>
#include <string.h>

#include "graph/ops.h"

void mega_depth_build(
    mega_build *b, struct mega_depth *d, int64_t heads, bool state, int64_t width)
{
    struct mega_init zero = { MEGA_INIT_CONSTANT, 0, 0 };
    *d = (struct mega_depth){ .heads = heads, .width = width };
    size_t entered = mega_build_enter(b, "depth"), inside = mega_build_enter(b, "norm");
    mega_norm_declare(b, &d->norm,
        &(struct mega_norm_options){
            .type = MEGA_RMSNORM, .width = width, .affine = true, .eps = MEGA_NORM_EPS });
    mega_build_leave(b, inside);
    if (state)
        d->wq = mega_param_add(b, "wq", zero, 2, (int64_t[]){ width, width });
    else
        d->query = mega_param_add(b, "query", zero, 3, (int64_t[]){ 1, 1, width });
    mega_build_leave(b, entered);
}

/* x [B, T, D], each head turned by `far` positions, whatever its place is */
static mega_tensor *turned(mega_run *r, const struct mega_depth *d, mega_tensor *x, int64_t far)
{
    int64_t B = mega_dim(x, 0), T = mega_dim(x, 1);
    struct mega_rows *rows = mega_run_memory(r, sizeof *rows);
    int32_t *doc = mega_run_memory(r, (size_t)(B * T + 1) * sizeof *doc);
    struct mega_attr_rotary a;
    if (!rows || !doc || !far) return x;
    /* a document that began so many places ago */
    for (int64_t i = 0; i < B * T; i++) doc[i] = (int32_t)(i % T - far);
    *rows = (struct mega_rows){ .B = B, .T = T, .doc = doc };
    memset(&a, 0, sizeof a);
    a.heads = d->heads;
    a.dims = d->width / d->heads;
    a.base = 10000;
    a.factor = 1;
    return mega_run_call(r,
        &(struct mega_call){ .op = &mega_op_rotary, .in = { x }, .attr = &a, .rows = rows },
        NULL);
}

/* [heads, D]: 1 where a channel is of the head; times the query, if it is one for all places */
static mega_tensor *head_rows(mega_run *r, const struct mega_depth *d, mega_tensor *query)
{
    int64_t D = d->width, width = D / d->heads;
    mega_tensor *of = mega_run_tensor(r, MEGA_F32, 2, (int64_t[]){ d->heads, D });
    if (of && of->data) mega_tensor_zero(of);
    for (int64_t j = 0; of && of->data && j < D; j++) mega_put(of, j / width, j, 1);
    return query ? scale(r, of, query, 1) : of;
}

/* scores of one state a head, [B, T, heads]; the query has turned by what lies between them */
static mega_tensor *score(
    mega_run *r, const struct mega_depth *d, mega_tensor *query, mega_tensor *hid)
{
    mega_tensor *k = mega_norm_run(r, &d->norm, hid);
    if (d->query) return linear(r, k, head_rows(r, d, query), NULL, MEGA_ACT_LINEAR);
    return linear(
        r, gate(r, k, query, MEGA_ACT_LINEAR), head_rows(r, d, NULL), NULL, MEGA_ACT_LINEAR);
}

static mega_tensor *join(mega_run *r, mega_tensor *all, mega_tensor *x)
{
    return all ? concat(r, all, x) : x;
}

mega_tensor *mega_depth_run(
    mega_run *r, const struct mega_depth *d, mega_tensor *const *hid, int64_t n)
{
    mega_tensor *query = d->query, *u = NULL, *scores[MEGA_DEPTH_MOST], *part[MEGA_DEPTH_MOST];
    int64_t width = d->width / d->heads;
    if (d->wq)
        query = linear(r, mega_norm_run(r, &d->norm, hid[n - 1]), d->wq, NULL, MEGA_ACT_LINEAR);
    for (int64_t t = 0; t < n; t++)
        scores[t] = score(r, d, turned(r, d, query, n - 1 - t), hid[t]);
    for (int64_t h = 0; h < d->heads; h++) {
        mega_tensor *of = NULL;
        for (int64_t t = 0; t < n; t++) {
            of = join(r, of, columns(r, scores[t], h, 1));
            part[t] = columns(r, hid[t], h * width, width);
        }
        of = softmax(r, scale(r, of, NULL, 1 / sqrt((double)width)));
        u = join(r, u, mixture(r, of, part, n));
    }
    return u;
}
