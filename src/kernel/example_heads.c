/* Examples of the ops around the heads of attention. */
#include "kernel/example_parts.h"

/* heads, and a width of each that a row can have */
static int64_t make_heads(struct mega_maker *m, int64_t *heads)
{
    int64_t n = mega_make_size(m);
    *heads = 1 + mega_make_choice(m, 4);
    return *heads > 1 && n > 40 ? n / 4 : n;
}

void mega_example_head_norm(struct mega_maker *m)
{
    struct mega_attr_head_norm *a = mega_make_attr(m);
    struct mega_call *c = &m->e->call;
    a->kind = (enum mega_head_norm_kind)mega_make_choice(m, 2);
    a->unit_offset = mega_make_choice(m, 2);
    bool weight = mega_make_choice(m, 2);
    a->groups = mega_make_choice(m, 3);
    a->eps = a->kind == MEGA_HEAD_NORM_L2 ? 1e-12 : 1e-5;
    /* groups of one or two numbers lose all that a gradient could say */
    int64_t each = make_heads(m, &a->heads) + 3, dim[MEGA_RANK],
            d = each * (a->groups ? a->groups : 1);
    int rank = mega_make_shape(m, a->heads * d, dim);
    c->in[MEGA_HEAD_NORM_X] = mega_make_values(m, rank, dim, 0, 1);
    if (weight)
        c->in[MEGA_HEAD_NORM_WEIGHT] =
            mega_make_param(m, 2, (int64_t[]){ a->heads, d }, 1, 0.5);
    m->e->wants = 3;
    m->e->tolerance = 2e-5;
}

void mega_example_slot_norm(struct mega_maker *m)
{
    struct mega_attr_head_norm *a = mega_make_attr(m);
    struct mega_call *c = &m->e->call;
    a->kind = (enum mega_head_norm_kind)mega_make_choice(m, 2);
    bool weight = mega_make_choice(m, 2);
    a->groups = mega_make_choice(m, 3);
    a->eps = a->kind == MEGA_HEAD_NORM_L2 ? 1e-12 : 1e-5;
    int64_t d = (mega_make_size(m) + 3) * (a->groups ? a->groups : 1);
    int64_t dim[] = { 1 + mega_make_below(m, 3), mega_make_few(m), d };
    c->in[MEGA_HEAD_NORM_X] = mega_make_param(m, 3, dim, 0, 1);
    if (weight)
        c->in[MEGA_HEAD_NORM_WEIGHT] = mega_make_param(m, 2, (int64_t[]){ dim[0], d }, 1, 0.5);
    m->e->wants = 3;
    m->e->tolerance = 2e-5;
}

void mega_example_head_gate(struct mega_maker *m)
{
    struct mega_attr_head_gate *a = mega_make_attr(m);
    struct mega_call *c = &m->e->call;
    int weight = mega_make_choice(m, 3);
    bool gate = mega_make_choice(m, 2);
    a->log = mega_make_choice(m, 2);
    a->act = mega_make_below(m, 2) ? MEGA_ACT_SIGMOID : MEGA_ACT_SILU;
    int64_t n = make_heads(m, &a->heads), dim[MEGA_RANK];
    int rank = mega_make_shape(m, a->heads * n, dim);
    c->in[MEGA_HEAD_GATE_X] = mega_make_values(m, rank, dim, 0, 1);
    if (weight)
        c->in[MEGA_HEAD_GATE_WEIGHT] =
            mega_make_param(m, 1, (int64_t[]){ weight == 1 ? 1 : a->heads }, 1, 0.5);
    dim[rank - 1] = a->heads;
    if (gate) c->in[MEGA_HEAD_GATE_GATE] = mega_make_values(m, rank, dim, 0, 2);
    m->e->wants = 7;
    m->e->tolerance = 2e-5;
}

void mega_example_head_concat(struct mega_maker *m)
{
    struct mega_attr_head_concat *a = mega_make_attr(m);
    struct mega_call *c = &m->e->call;
    a->shared = mega_make_choice(m, 2);
    bool first = mega_make_choice(m, 2);
    int64_t n = make_heads(m, &a->heads), k = 1 + mega_make_below(m, 9), dim[MEGA_RANK];
    a->from = mega_make_below(m, k);
    if (mega_make_below(m, 2)) a->count = 1 + mega_make_below(m, k - a->from);
    int rank = mega_make_shape(m, k * (a->shared ? 1 : a->heads), dim);
    c->in[MEGA_HEAD_CONCAT_B] = mega_make_values(m, rank, dim, 0, 1);
    dim[rank - 1] = a->heads * n;
    if (first) c->in[MEGA_HEAD_CONCAT_A] = mega_make_values(m, rank, dim, 0, 1);
    m->e->wants = 3;
}

void mega_example_head_linear(struct mega_maker *m)
{
    struct mega_attr_head_linear *a = mega_make_attr(m);
    struct mega_call *c = &m->e->call;
    a->back = mega_make_choice(m, 2);
    int64_t n = make_heads(m, &a->heads), k = 1 + mega_make_below(m, 30), dim[MEGA_RANK];
    int rank = mega_make_shape(m, a->heads * n, dim);
    c->in[MEGA_HEAD_LINEAR_X] = mega_make_values(m, rank, dim, 0, 1);
    c->in[MEGA_HEAD_LINEAR_W] = mega_make_param(
        m, 2, a->back ? (int64_t[]){ a->heads * n, k } : (int64_t[]){ a->heads * k, n }, 0, 1);
    m->e->wants = 3;
    m->e->tolerance = 2e-5;
}

void mega_example_reject(struct mega_maker *m)
{
    struct mega_attr_reject *a = mega_make_attr(m);
    struct mega_call *c = &m->e->call;
    a->whole = mega_make_choice(m, 2);
    int64_t group = 1 + mega_make_choice(m, 2), n = make_heads(m, &a->kv_heads) + 3,
            dim[MEGA_RANK];
    a->heads = group * a->kv_heads;
    int rank = mega_make_shape(m, a->heads * n, dim);
    c->in[MEGA_REJECT_O] = mega_make_values(m, rank, dim, 0, 1);
    dim[rank - 1] = a->kv_heads * n;
    c->in[MEGA_REJECT_V] = mega_make_values(m, rank, dim, 0, 1);
    m->e->wants = 3;
    m->e->tolerance = 2e-5;
}

void mega_example_laser(struct mega_maker *m)
{
    struct mega_attr_laser *a = mega_make_attr(m);
    int64_t dim[MEGA_RANK];
    a->clamp = mega_make_choice(m, 2) ? 0 : 15;
    int rank = mega_make_shape(m, mega_make_size(m), dim);
    m->e->call.in[0] = mega_make_values(m, rank, dim, a->clamp > 0 ? 0 : 20, 3);
    m->e->wants = 1;
    m->e->tolerance = 1e-5;
}

void mega_example_polar(struct mega_maker *m)
{
    struct mega_attr_polar *a = mega_make_attr(m);
    struct mega_call *c = &m->e->call;
    int64_t dim[3];
    bool phase = mega_make_choice(m, 2);
    a->base = mega_make_below(m, 3) ? 10000 : 500;
    a->factor = mega_make_below(m, 3) ? 1 : 4;
    int64_t d = make_heads(m, &a->heads);
    mega_make_text(m, MEGA_ROWS_LEN | MEGA_ROWS_REAL | MEGA_ROWS_DOC | MEGA_ROWS_PLACE, dim);
    dim[2] = a->heads * d;
    c->in[MEGA_POLAR_X] = mega_make_values(m, 3, dim, 0, 1);
    if (phase)
        c->in[MEGA_POLAR_PHASE] = mega_make_param(m, 2, (int64_t[]){ a->heads, d }, -3, 0.5);
    m->e->wants = 3;
    m->e->tolerance = 2e-5;
}

void mega_example_distance_bias(struct mega_maker *m)
{
    struct mega_attr_distance_bias *a = mega_make_attr(m);
    a->kind = (enum mega_distance_kind)mega_make_choice(m, 4);
    a->two_way = mega_make_choice(m, 2);
    a->length = 1 + mega_make_below(m, m->small ? 12 : 300);
    a->heads = 1 + mega_make_below(m, 6);
    a->sloped = mega_make_below(m, a->heads + 1);
    a->max_distance = 40;
    a->scale = mega_make_below(m, 2) ? 1 : 3;
    if (a->kind == MEGA_DISTANCE_T5)
        m->e->call.in[0] =
            mega_make_param(m, 2, (int64_t[]){ 4 + 2 * mega_make_below(m, 9), a->heads }, 0, 1);
    m->e->wants = 1;
}

void mega_example_forget(struct mega_maker *m)
{
    struct mega_attr_forget *a = mega_make_attr(m);
    struct mega_call *c = &m->e->call;
    int64_t dim[3];
    a->state = mega_make_choice(m, 2);
    bool started = mega_make_choice(m, 2);
    mega_make_text(m, MEGA_ROWS_LEN | MEGA_ROWS_REAL | (started ? MEGA_ROWS_PLACE : 0), dim);
    c->in[MEGA_FORGET_X] = mega_make_values(m, 3, dim, 2, 2);
    if (started)
        c->in[MEGA_FORGET_BEFORE] = mega_make_param(m, 2, (int64_t[]){ dim[0], dim[2] }, -5, 2);
    m->e->wants = 3;
    m->e->gives = a->state ? 3 : 1;
    m->e->tolerance = 5e-6;
}

void mega_example_join(struct mega_maker *m)
{
    struct mega_attr_join *a = mega_make_attr(m);
    struct mega_call *c = &m->e->call;
    int64_t dim[3], M = 1 + mega_make_below(m, 9);
    if (mega_make_choice(m, 2)) a->last = 1 + mega_make_below(m, M);
    mega_make_text(m, MEGA_ROWS_LEN | MEGA_ROWS_REAL, dim);
    c->in[MEGA_JOIN_B] = mega_make_values(m, 3, dim, 0, 1);
    dim[1] = M;
    c->in[MEGA_JOIN_A] = mega_make_values(m, 3, dim, 0, 1);
    m->e->wants = 3;
}
