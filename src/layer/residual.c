#include "layer/residual.h"

#include <math.h>
#include <string.h>

#include "graph/ops.h"

/* ---- declaration ---- */

static mega_tensor *square(mega_build *b, const char *name, int64_t D)
{
    struct mega_init init = { MEGA_INIT_UNIFORM, 0, 1 / sqrt((double)D) };
    return mega_param_add(b, name, init, 2, (int64_t[]){ D, D });
}

static mega_tensor *line(mega_build *b, const char *name, int64_t D, struct mega_init init)
{
    return mega_param_add(b, name, init, 1, &D);
}

static void build_gru(mega_build *b, struct mega_residual *m, int64_t D)
{
    struct mega_init uniform = { MEGA_INIT_UNIFORM, 0, 1 / sqrt((double)D) },
                     open = { MEGA_INIT_CONSTANT, 2, 0 };
    size_t entered = mega_build_enter(b, "gate");
    m->wr = square(b, "wr", D);
    m->wz = square(b, "wz", D);
    m->wh = square(b, "wh", D);
    m->ur = square(b, "ur", D);
    m->uz = square(b, "uz", D);
    m->uh = square(b, "uh", D);
    if (m->stock) {
        m->br = line(b, "br", D, uniform);
        m->bz = line(b, "bz", D, uniform);
        m->bh = line(b, "bh", D, uniform);
        m->cr = line(b, "cr", D, uniform);
        m->cz = line(b, "cz", D, uniform);
        m->ch = line(b, "ch", D, uniform);
    } else {
        m->bg = line(b, "bg", D, open);
    }
    mega_build_leave(b, entered);
}

/* weights of all states so far, of a mean square of 1 */
static void build_lime(mega_build *b, struct mega_residual *m, int64_t width, int64_t views)
{
    int64_t n = views * m->states;
    struct mega_init small = { MEGA_INIT_NORMAL, 0, 0.02 }, zero = { MEGA_INIT_CONSTANT, 0, 0 };
    size_t entered = mega_build_enter(b, "lime"), inside = mega_build_enter(b, "norm");
    mega_norm_declare(b, &m->lime_norm,
        &(struct mega_norm_options){
            .type = MEGA_RMSNORM, .width = width, .affine = true, .eps = MEGA_NORM_EPS });
    mega_build_leave(b, inside);
    m->lime = mega_param_add(b, "weight", small, 2, (int64_t[]){ n, width });
    m->lime_bias = mega_param_add(b, "bias", zero, 1, &n);
    mega_build_leave(b, entered);
}

static void build_kind(mega_build *b, struct mega_residual *m,
    const struct mega_residual_options *o, const struct mega_residual_place *p)
{
    int64_t width = p->width, views = p->views && o->views > 1 ? o->views : 1;
    if (m->kind == MEGA_RESIDUAL_GRU) build_gru(b, m, width);
    if (m->kind == MEGA_RESIDUAL_MV_SPLIT) {
        size_t entered = mega_build_enter(b, "mv");
        m->a = line(b, "a", width, (struct mega_init){ MEGA_INIT_CONSTANT, 0, 0 });
        m->b = line(b, "b", width, (struct mega_init){ MEGA_INIT_CONSTANT, 0.03, 0 });
        mega_build_leave(b, entered);
    }
    if (m->kind == MEGA_RESIDUAL_LIME) build_lime(b, m, width, views);
    if (m->kind == MEGA_RESIDUAL_DEPTH)
        mega_depth_build(
            b, &m->depth, o->depth_heads > 1 ? o->depth_heads : 1, o->depth_query, width);
    if (o->streams > 1)
        mega_hyper_build(b, &m->hyper,
            &(struct mega_hyper_sizes){ .streams = o->streams,
                .views = views,
                .rounds = o->rounds > 0 ? o->rounds : 5,
                .width = width,
                .stochastic = o->constraint },
            p->k);
}

void mega_residual_build(mega_build *b, struct mega_residual *m,
    const struct mega_residual_options *o, const struct mega_residual_place *p)
{
    *m = (struct mega_residual){ .kind = (enum mega_residual_kind)o->kind,
        .stock = o->gate,
        .relu = o->gate_relu,
        .sample = o->sample,
        .second = !p->second      ? 0
                  : o->second > 0 ? o->second
                                  : 1,
        .states = p->k + 1,
        .pure = o->kind == MEGA_RESIDUAL_DEPTH && o->depth_pure,
        .keep_as = -1,
        .skip_from = -1 };
    build_kind(b, m, o, p);
    if (p->skips)
        m->skip = mega_param_add(b, "skip.weight", (struct mega_init){ MEGA_INIT_FAN_IN, 0, 1 },
            2, (int64_t[]){ p->width, 2 * p->width });
}

/* ---- reading ---- */

/* of each view, softmax(W rms(x) + b) of all states */
static void look_back(mega_run *r, const struct mega_residual *m, struct mega_carry *c,
    mega_tensor *view[MEGA_VIEWS])
{
    int64_t n = m->states, views = m->lime->dim[0] / n;
    mega_tensor **hid = c->more + MEGA_PASSED_LIST;
    mega_tensor *all = linear(
        r, mega_norm_run(r, &m->lime_norm, c->x), m->lime, m->lime_bias, MEGA_ACT_LINEAR);
    for (int64_t v = 0; v < views; v++) {
        mega_tensor *w = softmax(r, views > 1 ? columns(r, all, v * n, n) : all);
        view[v] = mixture(r, w, hid, n);
    }
}

mega_tensor *mega_residual_read(mega_run *r, const struct mega_residual *m,
    struct mega_carry *c, struct mega_residual_turn *turn)
{
    mega_tensor **list = c->more + MEGA_PASSED_LIST;
    *turn = (struct mega_residual_turn){ 0 };
    if (m->keep_as >= 0) list[m->keep_as] = c->x;
    if (m->skip)
        c->x = linear(r, concat(r, list[m->skip_from], c->x), m->skip, NULL, MEGA_ACT_LINEAR);
    mega_tensor *input = c->more[MEGA_PASSED_INPUT], *view[MEGA_VIEWS] = { c->x };
    if (m->lime || m->depth.heads) list[m->states - 1] = c->x;
    if (m->lime) look_back(r, m, c, view);
    if (m->depth.heads) view[0] = mega_depth_run(r, &m->depth, list, m->states);
    if (m->hyper.streams) mega_hyper_read(r, &m->hyper, list, view, &turn->alpha, &turn->beta);
    for (int i = 0; input && i < MEGA_VIEWS; i++)
        if (view[i]) view[i] = add(r, view[i], input);
    turn->keys = view[1];
    turn->values = view[2];
    return view[0];
}

/* ---- writing ---- */

static mega_tensor *both(mega_run *r, mega_tensor *y, mega_tensor *w, mega_tensor *bw,
    mega_tensor *x, mega_tensor *u, mega_tensor *bu)
{
    return add(r, linear(r, y, w, bw, MEGA_ACT_LINEAR), linear(r, x, u, bu, MEGA_ACT_LINEAR));
}

/* x + sigmoid(u) (tanh(a + b) - x) */
static mega_tensor *gated(mega_run *r, mega_tensor *x, mega_tensor *u, mega_tensor *a,
    mega_tensor *b, const struct mega_rows *rows)
{
    struct mega_attr_gated_residual attr;
    memset(&attr, 0, sizeof attr);
    attr.act = MEGA_ACT_TANH;
    return mega_run_call(r,
        &(struct mega_call){
            .op = &mega_op_gated_residual, .in = { x, u, a, b }, .attr = &attr, .rows = rows },
        NULL);
}

/* The GTrXL's: z lets the candidate in, the reset acts before the matrix. A stock cell: z keeps
 * x, the reset acts after it. */
static mega_tensor *gru(mega_run *r, const struct mega_residual *m, mega_tensor *x,
    mega_tensor *y, const struct mega_rows *rows)
{
    if (m->relu) y = activation(r, y, MEGA_ACT_RELU);
    mega_tensor *reset = both(r, y, m->wr, m->br, x, m->ur, m->cr);
    if (m->stock) {
        mega_tensor *in = scale(r, both(r, y, m->wz, m->bz, x, m->uz, m->cz), NULL, -1),
                    *a = linear(r, y, m->wh, m->bh, MEGA_ACT_LINEAR),
                    *b = gate(r, linear(r, x, m->uh, m->ch, MEGA_ACT_LINEAR), reset,
                        MEGA_ACT_SIGMOID);
        return gated(r, x, in, a, b, rows);
    }
    mega_tensor *closed = scale(r, m->bg, NULL, -1),
                *in = both(r, y, m->wz, closed, x, m->uz, NULL),
                *a = linear(r, y, m->wh, NULL, MEGA_ACT_LINEAR),
                *b = linear(
                    r, gate(r, x, reset, MEGA_ACT_SIGMOID), m->uh, NULL, MEGA_ACT_LINEAR);
    return gated(r, x, in, a, b, rows);
}

static mega_tensor *orthogonal(mega_run *r, const struct mega_residual *m, mega_tensor *x,
    mega_tensor *y, const struct mega_rows *rows)
{
    struct mega_attr_orthogonal a;
    memset(&a, 0, sizeof a);
    a.sample = m->sample;
    return mega_run_call(r,
        &(struct mega_call){
            .op = &mega_op_orthogonal, .in = { x, y }, .attr = &a, .rows = rows },
        NULL);
}

static mega_tensor *center(mega_run *r, mega_tensor *x, bool mean, const struct mega_rows *rows)
{
    struct mega_attr_center a;
    memset(&a, 0, sizeof a);
    a.mean = mean;
    return mega_run_call(r,
        &(struct mega_call){ .op = &mega_op_center, .in = { x }, .attr = &a, .rows = rows },
        NULL);
}

/* b (y - mean y) + a (mean y - mean x) */
static mega_tensor *split(mega_run *r, const struct mega_residual *m, mega_tensor *x,
    mega_tensor *y, const struct mega_rows *rows)
{
    mega_tensor *change = add(r, y, scale(r, x, NULL, -1));
    return add(r, scale(r, center(r, y, false, rows), m->b, 1),
        scale(r, center(r, change, true, rows), m->a, 1));
}

void mega_residual_write(mega_run *r, const struct mega_residual *m,
    const struct mega_sublayer *around, struct mega_carry *c,
    const struct mega_residual_turn *turn, mega_tensor *y, const struct mega_rows *rows)
{
    if (m->hyper.streams) {
        mega_tensor **stream = c->more + MEGA_PASSED_LIST;
        mega_hyper_write(r, &m->hyper, stream, turn->alpha, turn->beta, y);
        c->x = stream[0];
        return;
    }
    mega_tensor **second = &c->more[MEGA_PASSED_SECOND];
    if (m->second > 0)
        *second = add(r, *second, m->second < 1 ? scale(r, y, NULL, m->second) : y);
    if (m->pure) {
        c->x = y;
        return;
    }
    mega_tensor *x = mega_sublayer_keep(r, around, c->x);
    switch (m->kind) {
    case MEGA_RESIDUAL_DEPTH:
    case MEGA_RESIDUAL_LIME:
    case MEGA_RESIDUAL_ADD: x = add(r, y, x); break;
    case MEGA_RESIDUAL_GRU: x = gru(r, m, x, y, rows); break;
    case MEGA_RESIDUAL_ORTHOGONAL: x = add(r, orthogonal(r, m, x, y, rows), x); break;
    case MEGA_RESIDUAL_MV_SPLIT: x = add(r, split(r, m, x, y, rows), x); break;
    }
    c->x = mega_sublayer_settle(r, around, x, c->more[MEGA_PASSED_CONDITION]);
}

bool mega_residual_is_plain(const struct mega_residual *m)
{
    bool sum = m->kind == MEGA_RESIDUAL_ADD || m->kind == MEGA_RESIDUAL_LIME ||
               (m->kind == MEGA_RESIDUAL_DEPTH && !m->pure);
    return sum && !(m->second > 0) && !m->hyper.streams;
}
