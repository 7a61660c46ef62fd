/* Cases of Megalodon's parts: timestep norm, complex EMA, rotary positions, norms whose gain is
 * stored less one, feed-forward. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden/megalodon_case.h"
#include "graph/ops.h"
#include "layer/norm.h"

static bool begin(struct megalodon_case *m)
{
    golden_cfg_int(m->c, "seq_len", 0);
    golden_cfg_int(m->c, "batch", 0);
    if (!megalodon_ready(m)) return false;
    mega_run_begin(m->run, &(struct mega_run_args){ .mode = MEGA_RUN_TRAIN | MEGA_RUN_GRAD });
    return true;
}

static mega_tensor *wanted(struct megalodon_case *m, const char *name)
{
    mega_tensor *x = golden_input(m->c, m->run, name, false);
    if (x && x->dtype != MEGA_I32) x->wants_grad = true;
    return x;
}

/* ---- several outputs in one flat cotangent ---- */

enum { PARTS = 3 };

/* compares out.y with the parts one after the other, and seeds each with its share of
 * in.cotangent */
static void join(struct megalodon_case *m, mega_tensor *const part[PARTS])
{
    const struct mega_st_tensor *cotangent = golden_find(m->c, "in.cotangent");
    int64_t n = 0, at = 0;
    for (int k = 0; k < PARTS; k++) n += part[k] ? mega_count(part[k]) : 0;
    if (!cotangent || cotangent->count != n) {
        golden_fail(m->c, "in.cotangent does not fit the outputs");
        return;
    }
    double *flat = calloc((size_t)n + 1, sizeof *flat);
    for (int k = 0; k < PARTS && part[k]; k++) {
        mega_tensor *seed = mega_run_tensor(m->run, MEGA_F32, part[k]->rank, part[k]->dim);
        for (int64_t i = 0, width = mega_width(part[k]); i < mega_count(part[k]); i++, at++) {
            flat[at] = mega_get(part[k], i / width, i % width);
            mega_put(seed, i / width, i % width, golden_value(cotangent, at));
        }
        mega_run_seed_with(m->run, part[k], seed);
    }
    golden_compare_numbers(m->c, "out.y", flat, n);
    free(flat);
}

/* ---- timestep norm ---- */

static void compare_count(struct megalodon_case *m, const mega_tensor *count)
{
    double got[64];
    int64_t n = mega_count(count) < 64 ? mega_count(count) : 64;
    for (int64_t i = 0; i < n; i++) got[i] = mega_get(count, 0, i);
    golden_compare_numbers(m->c, "out.count", got, n);
}

static void norm_back(struct megalodon_case *m, struct mega_call *c)
{
    mega_tensor *y = c->out[0];
    golden_compare(m->c, "out.norm", y, false);
    golden_compare(m->c, "out.mean", c->out[2], false);
    golden_compare(m->c, "out.var", c->out[3], false);
    compare_count(m, c->out[1]);
    if (m->port) {
        golden_backward(m->c, m->run, y, false);
    } else {
        join(m, (mega_tensor *[PARTS]){ y, c->out[2], c->out[3] });
        mega_run_backward(m->run);
    }
    golden_compare(m->c, "grad.in.x", c->in[MEGA_TIMESTEP_NORM_X]->grad, false);
    if (c->in[MEGA_TIMESTEP_NORM_MEAN]) {
        golden_compare(m->c, "grad.in.prev_mean", c->in[MEGA_TIMESTEP_NORM_MEAN]->grad, false);
        golden_compare(m->c, "grad.in.prev_var", c->in[MEGA_TIMESTEP_NORM_VAR]->grad, false);
    }
}

static void run_norm(struct megalodon_case *m, const struct mega_timestep_norm *n)
{
    struct mega_attr_timestep_norm a;
    memset(&a, 0, sizeof a);
    a.kind = m->port ? MEGA_TIMESTEP_NORM_MEANS : MEGA_TIMESTEP_NORM_FULL;
    a.unit_offset = true;
    a.state = true;
    a.groups = n->options.groups;
    a.prior_count = n->options.prior_count;
    a.eps = n->options.eps;
    struct mega_call c = { .op = &mega_op_timestep_norm, .attr = &a };
    mega_tensor *x = c.in[MEGA_TIMESTEP_NORM_X] = wanted(m, "x");
    struct mega_rows rows = {
        .B = mega_dim(x, 0), .T = mega_dim(x, 1), .real = megalodon_real(m)
    };
    c.rows = &rows;
    c.in[MEGA_TIMESTEP_NORM_WEIGHT] = n->weight;
    c.in[MEGA_TIMESTEP_NORM_BIAS] = n->bias;
    c.in[MEGA_TIMESTEP_NORM_PRIOR_MEAN] = n->prior_mean;
    c.in[MEGA_TIMESTEP_NORM_PRIOR_LOGV] = n->prior_logv;
    c.in[MEGA_TIMESTEP_NORM_COUNT] = wanted(m, "prev_count");
    c.in[MEGA_TIMESTEP_NORM_MEAN] = wanted(m, "prev_mean");
    c.in[MEGA_TIMESTEP_NORM_VAR] = wanted(m, "prev_var");
    if (mega_run_call(m->run, &c, NULL)) norm_back(m, &c);
    if (golden_check(m->c, mega_run_end(m->run))) megalodon_compare_gradients(m);
}

static void timestep_norm(struct golden_case *c, bool port)
{
    struct megalodon_case m;
    struct mega_timestep_norm n;
    int64_t D = golden_cfg_int(c, "num_features", 0);
    golden_cfg_expect(c, "weight_offset", "1");
    golden_cfg_expect(c, "mask_is", port ? "1 = valid token" : "1 = padding");
    golden_cfg_bool(c, "carry", false);
    if (megalodon_open(c, &m, port)) {
        mega_timestep_norm_build(&m.build, &n,
            &(struct mega_timestep_norm_options){ .width = D,
                .groups = golden_cfg_int(c, "num_groups", D),
                .prior_count = golden_cfg_int(c, "prior_count", 0),
                .eps = golden_cfg_real(c, "eps", 1e-5),
                .port = port });
        if (begin(&m)) run_norm(&m, &n);
    }
    megalodon_close(&m);
}

void golden_timestep_norm(struct golden_case *c)
{
    timestep_norm(c, false);
}

void golden_timestep_norm_port(struct golden_case *c)
{
    timestep_norm(c, true);
}

/* ---- complex EMA ---- */

/* the same in pieces, one state after the other */
static void run_pieces(struct megalodon_case *m, const struct mega_cema *e, const float *x,
    const float *h, int64_t B, int64_t D, int64_t T)
{
    if (!golden_find(m->c, "out.raw_pieces")) return;
    const char *pieces = golden_cfg(m->c, "pieces");
    int64_t N = e->alpha->dim[1];
    double *got = calloc((size_t)(B * D * T), sizeof *got);
    float *state = calloc((size_t)(B * D * N * 2), sizeof *state);
    memcpy(state, h, (size_t)(B * D * N * 2) * sizeof *state);
    for (int64_t at = 0, n; at < T && !m->c->verdict; at += n) {
        char *end;
        n = strtoll(pieces, &end, 10);
        pieces = *end ? end + 1 : end;
        if (n < 1 || n > T - at) n = T - at;
        mega_run_begin(m->run, &(struct mega_run_args){ 0 });
        struct mega_attr_cema a = { .state = true };
        struct mega_rows rows = { .B = B, .T = n };
        struct mega_call c = { .op = &mega_op_cema, .attr = &a, .rows = &rows };
        c.in[MEGA_CEMA_X] = mega_run_tensor(m->run, MEGA_F32, 3, (int64_t[]){ B, n, D });
        for (int64_t i = 0; i < B * n * D; i++)
            mega_put(c.in[MEGA_CEMA_X], i / D, i % D,
                (double)x[(i / (n * D) * D + i % D) * T + at + i / D % n]);
        c.in[MEGA_CEMA_ALPHA] = e->alpha;
        c.in[MEGA_CEMA_DELTA] = e->delta;
        c.in[MEGA_CEMA_THETA] = e->theta;
        c.in[MEGA_CEMA_GAMMA] = e->gamma;
        c.in[MEGA_CEMA_OMEGA] = e->omega;
        mega_tensor given = mega_tensor_over(state, MEGA_F32, 4, (int64_t[]){ B, D, N, 2 });
        c.in[MEGA_CEMA_H] = mega_run_input(m->run, &given);
        mega_tensor *y = mega_run_call(m->run, &c, NULL);
        for (int64_t i = 0; y && i < B * n * D; i++)
            got[(i / (n * D) * D + i % D) * T + at + i / D % n] = mega_get(y, i / D, i % D);
        if (y) mega_tensor_copy(&given, c.out[1]);
        golden_check(m->c, mega_run_end(m->run));
    }
    golden_compare_numbers(m->c, "out.raw_pieces", got, B * D * T);
    free(state);
    free(got);
}

/* y as the file has it, with the state behind it if there is one */
static void cema_back(struct megalodon_case *m, struct mega_call *c)
{
    mega_run *r = m->run;
    mega_tensor *y = megalodon_turned(r, c->out[0]);
    const struct mega_st_tensor *cotangent = golden_find(m->c, "in.cotangent");
    int64_t n = mega_count(y), states = c->out[1] ? mega_count(c->out[1]) : 0;
    if (!cotangent || cotangent->count != n + states) {
        golden_fail(m->c, "in.cotangent does not fit y and the state");
        return;
    }
    double *flat = calloc((size_t)(n + states) + 1, sizeof *flat);
    mega_tensor *dy = mega_run_tensor(r, MEGA_F32, 3, y->dim), *dh = NULL;
    for (int64_t i = 0, T = y->dim[2]; i < n; i++) {
        flat[i] = mega_get(y, i / T, i % T);
        mega_put(dy, i / T, i % T, golden_value(cotangent, i));
    }
    if (c->out[1]) dh = mega_run_tensor(r, MEGA_F32, 4, c->out[1]->dim);
    for (int64_t i = 0; i < states; i++) {
        flat[n + i] = mega_get(c->out[1], i / 2, i % 2);
        mega_put(dh, i / 2, i % 2, golden_value(cotangent, n + i));
    }
    golden_compare(m->c, "out.raw", y, false);
    golden_compare(m->c, "out.state", c->out[1], false);
    golden_compare_numbers(m->c, "out.y", flat, n + states);
    free(flat);
    mega_run_seed_with(r, c->out[0], megalodon_turned(r, dy));
    if (dh) mega_run_seed_with(r, c->out[1], dh);
    mega_run_backward(r);
    golden_compare(m->c, "grad.in.x", megalodon_turned(r, c->in[MEGA_CEMA_X]->grad), false);
    if (c->in[MEGA_CEMA_H]) golden_compare(m->c, "grad.in.hx", c->in[MEGA_CEMA_H]->grad, false);
}

static void run_cema(struct megalodon_case *m, const struct mega_cema *e)
{
    mega_tensor *file = golden_input(m->c, m->run, "x", false), *h = wanted(m, "hx");
    if (!file) {
        golden_fail(m->c, "in.x is missing");
        return;
    }
    int64_t B = file->dim[0], D = file->dim[1], T = file->dim[2], N = e->alpha->dim[1];
    /* inputs outlive the run */
    float *x = calloc((size_t)(B * D * T), sizeof *x),
          *first = calloc((size_t)(B * D * N * 2), sizeof *first);
    for (int64_t i = 0; i < B * D * T; i++) x[i] = (float)mega_get(file, i / T, i % T);
    for (int64_t i = 0; h && i < B * D * N * 2; i++)
        first[i] = (float)mega_get(h, i / 2, i % 2);
    struct mega_attr_cema a = { .state = h != NULL };
    struct mega_rows rows = { .B = B, .T = T };
    struct mega_call c = { .op = &mega_op_cema, .attr = &a, .rows = &rows };
    c.in[MEGA_CEMA_X] = megalodon_turned(m->run, file);
    c.in[MEGA_CEMA_X]->wants_grad = true;
    c.in[MEGA_CEMA_ALPHA] = e->alpha;
    c.in[MEGA_CEMA_DELTA] = e->delta;
    c.in[MEGA_CEMA_THETA] = e->theta;
    c.in[MEGA_CEMA_GAMMA] = e->gamma;
    c.in[MEGA_CEMA_OMEGA] = e->omega;
    c.in[MEGA_CEMA_H] = h;
    if (mega_run_call(m->run, &c, NULL)) cema_back(m, &c);
    if (golden_check(m->c, mega_run_end(m->run))) {
        megalodon_compare_gradients(m);
        run_pieces(m, e, x, first, B, D, T);
    }
    free(x);
    free(first);
}

static void cema(struct golden_case *c, bool port)
{
    struct megalodon_case m;
    struct mega_cema e;
    if (megalodon_open(c, &m, port)) {
        mega_cema_build(
            &m.build, &e, golden_cfg_int(c, "embed_dim", 0), golden_cfg_int(c, "ndim", 1));
        golden_cfg(c, "pieces");
        if (begin(&m)) run_cema(&m, &e);
    }
    megalodon_close(&m);
}

void golden_cema(struct golden_case *c)
{
    cema(c, false);
}

void golden_cema_port(struct golden_case *c)
{
    cema(c, true);
}

/* ---- rotary positions ---- */

/* [B, T, H, d] as [B, T, H d]; element i is element from(i) of the file's tensor */
struct heads {
    int64_t n, d, dim[3];
    const int32_t *start;
};

static mega_tensor *flatten(struct megalodon_case *m, const struct heads *h,
    const struct mega_st_tensor *t, int64_t each, int64_t half)
{
    mega_tensor *x = mega_run_tensor(m->run, MEGA_F32, 3, h->dim);
    for (int64_t i = 0; i < h->n; i++)
        mega_put(x, i / h->dim[2], i % h->dim[2],
            golden_value(t, (i / h->d * each + half) * h->d + i % h->d));
    return x;
}

static void compare_flat(
    struct megalodon_case *m, const char *what, const char *name, const mega_tensor *t)
{
    char full[32];
    double *flat = calloc((size_t)mega_count(t) + 1, sizeof *flat);
    for (int64_t i = 0, width = mega_width(t); i < mega_count(t); i++)
        flat[i] = mega_get(t, i / width, i % width);
    snprintf(full, sizeof full, "%s.%s", what, name);
    golden_compare_numbers(m->c, full, flat, mega_count(t));
    free(flat);
}

/* q or k, and its half of the joint y and cotangent [B, T, H, 2 d]; returns its input */
static mega_tensor *rotary_half(struct megalodon_case *m, const struct heads *h,
    struct mega_rows *rows, const char *name, int half, double *joint)
{
    const struct mega_st_tensor *in = golden_find(m->c, "in.%s", name),
                                *cotangent = golden_find(m->c, "in.cotangent");
    struct mega_attr_rotary a;
    memset(&a, 0, sizeof a);
    a.heads = h->dim[2] / h->d;
    a.base = golden_cfg_real(m->c, "base", 10000);
    a.factor = 1;
    a.interleaved = true;
    *rows = (struct mega_rows){ .B = h->dim[0], .T = h->dim[1], .place = h->start };
    mega_tensor *x = flatten(m, h, in, 1, 0), *dy = flatten(m, h, cotangent, 2, half);
    x->wants_grad = true;
    struct mega_call c = { .op = &mega_op_rotary, .in = { x }, .attr = &a, .rows = rows };
    mega_tensor *y = mega_run_call(m->run, &c, NULL);
    for (int64_t i = 0; y && i < h->n; i++)
        joint[(i / h->d * 2 + half) * h->d + i % h->d] =
            mega_get(y, i / h->dim[2], i % h->dim[2]);
    if (y) mega_run_seed_with(m->run, y, dy);
    if (y) compare_flat(m, "out", name, y);
    return x;
}

void golden_rope(struct golden_case *c)
{
    struct megalodon_case m;
    const struct mega_st_tensor *q = golden_find(c, "in.q"),
                                *cotangent = golden_find(c, "in.cotangent");
    int32_t start[16];
    for (int i = 0; i < 16; i++) start[i] = (int32_t)golden_cfg_int(c, "start", 0);
    golden_cfg_expect(c, "pairs", "interleaved");
    golden_cfg_int(c, "max_positions", 0);
    golden_cfg_int(c, "embed_dim", 0);
    golden_cfg_int(c, "heads", 0);
    if (!q || !golden_find(c, "in.k") || q->rank != 4 || q->dim[0] > 16 || !cotangent ||
        cotangent->count != 2 * q->count) {
        golden_fail(c, "in.q or in.cotangent is missing or of another shape");
        return;
    }
    struct heads h = { q->count, q->dim[3], { q->dim[0], q->dim[1], q->dim[2] * q->dim[3] },
        start };
    double *joint = calloc((size_t)cotangent->count, sizeof *joint);
    if (megalodon_open(c, &m, false) && begin(&m)) {
        struct mega_rows rows[2];
        mega_tensor *x[] = { rotary_half(&m, &h, &rows[0], "q", 0, joint),
            rotary_half(&m, &h, &rows[1], "k", 1, joint) };
        golden_compare_numbers(c, "out.y", joint, cotangent->count);
        mega_run_backward(m.run);
        compare_flat(&m, "grad.in", "q", x[0]->grad);
        compare_flat(&m, "grad.in", "k", x[1]->grad);
        golden_check(c, mega_run_end(m.run));
    }
    free(joint);
    megalodon_close(&m);
}

/* ---- norms whose gain is stored less one ---- */

static void norm(struct golden_case *c, enum mega_norm_type type)
{
    struct megalodon_case m;
    struct mega_norm n;
    golden_cfg_expect(c, "weight_offset", "1");
    if (megalodon_open(c, &m, false)) {
        mega_norm_declare(&m.build, &n,
            &(struct mega_norm_options){ .type = type,
                .width = golden_cfg_int(c, "dim", 0),
                .affine = true,
                .bias = true,
                .eps = golden_cfg_real(c, "eps", 1e-5),
                .unit_offset = true });
        if (begin(&m)) {
            mega_tensor *x = wanted(&m, "x");
            golden_backward(c, m.run, mega_norm_run(m.run, &n, x), false);
            golden_compare(c, "grad.in.x", x->grad, false);
            if (golden_check(c, mega_run_end(m.run))) megalodon_compare_gradients(&m);
        }
    }
    megalodon_close(&m);
}

void golden_rms_norm(struct golden_case *c)
{
    norm(c, MEGA_RMSNORM);
}

void golden_layer_norm(struct golden_case *c)
{
    norm(c, MEGA_LAYERNORM);
}

/* ---- feed-forward ---- */

void golden_megalodon_feed_forward(struct golden_case *c)
{
    struct megalodon_case m;
    struct mega_megalodon_feed_forward f;
    golden_cfg_expect(c, "bias", "False");
    if (megalodon_open(c, &m, false)) {
        mega_megalodon_feed_forward_build(&m.build, &f,
            &(struct mega_megalodon_options){ .width = golden_cfg_int(c, "model_dim", 0),
                .hidden = golden_cfg_int(c, "ffn_hidden_dim", 0),
                .swiglu = golden_cfg_bool(c, "swiglu", false),
                .rescale = golden_cfg_real(c, "rescale", 0) > 0,
                .affine = golden_cfg_bool(c, "norm_affine", true),
                .norm_eps = golden_cfg_real(c, "norm_eps", 1e-5) });
        if (begin(&m)) {
            mega_tensor *y = wanted(&m, "x"), *x = wanted(&m, "residual");
            struct mega_rows rows = { .B = mega_dim(x, 0), .T = mega_dim(x, 1) };
            mega_tensor *out = mega_megalodon_feed_forward_run(m.run, &f, y, x, &rows);
            golden_backward(c, m.run, out, false);
            golden_compare(c, "grad.in.x", y->grad, false);
            golden_compare(c, "grad.in.residual", x->grad, false);
            if (golden_check(c, mega_run_end(m.run))) megalodon_compare_gradients(&m);
        }
    }
    megalodon_close(&m);
}
