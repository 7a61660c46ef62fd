/* Examples of what stands at either end of a model: embeddings and the loss. */
#include <math.h>

#include "kernel/example_parts.h"

void mega_example_embedding(struct mega_maker *m)
{
    struct mega_attr_embedding *a = mega_make_attr(m);
    struct mega_call *c = &m->e->call;
    int64_t V = mega_make_size(m), D = mega_make_size(m);
    int64_t dim[] = { mega_make_few(m), mega_make_size(m) };
    a->pad = mega_make_choice(m, 2) ? mega_make_below(m, V) : -1;
    a->scale = mega_make_choice(m, 2) ? 1 : 1.7;
    c->in[MEGA_EMBEDDING_TABLE] = mega_make_param(m, 2, (int64_t[]){ V, D }, 0, 1);
    c->in[MEGA_EMBEDDING_TOKENS] =
        mega_make_numbers(m, 2, dim, mega_make_choice(m, 2) ? -1 : 0, (int32_t)V - 1);
    m->e->wants = 1;
}

void mega_example_number_embedding(struct mega_maker *m)
{
    struct mega_call *c = &m->e->call;
    int64_t D = mega_make_size(m), dim[] = { mega_make_few(m), mega_make_height(m, D) };
    c->in[MEGA_NUMBER_X] = mega_make_param(m, 2, dim, 0, 1);
    c->in[MEGA_NUMBER_WEIGHT] = mega_make_param(m, 1, &D, 0, 1);
    c->in[MEGA_NUMBER_BIAS] = mega_make_param(m, 1, &D, 0, 1);
    m->e->wants = 7;
    m->e->tolerance = 5e-5; /* sums over all places may cancel */
}

void mega_example_position_embedding(struct mega_maker *m)
{
    struct mega_attr_position_embedding *a = mega_make_attr(m);
    struct mega_call *c = &m->e->call;
    int64_t dim[3], table[] = { 1100, 0 }, one = 1;
    a->kind = (enum mega_position_kind)mega_make_choice(m, 3);
    a->scale = mega_make_choice(m, 2) ? 1 : 0.3;
    bool gain = mega_make_choice(m, 2);
    mega_make_text(m, MEGA_ROWS_LEN | MEGA_ROWS_REAL | MEGA_ROWS_DOC | MEGA_ROWS_PLACE, dim);
    if (a->kind != MEGA_POSITION_LEARNED) dim[2] += dim[2] % 2;
    table[1] = dim[2];
    c->in[MEGA_POSITION_X] = mega_make_values(m, 3, dim, 0, 1);
    if (a->kind == MEGA_POSITION_LEARNED)
        c->in[MEGA_POSITION_TABLE] = mega_make_param(m, 2, table, 0, 1);
    if (gain) c->in[MEGA_POSITION_GAIN] = mega_make_param(m, 1, &one, 1, 0.5);
    m->e->wants = 7;
    m->e->tolerance = 2e-5; /* the gain's gradient sums over all places */
}

void mega_example_band(struct mega_maker *m)
{
    struct mega_attr_band *a = mega_make_attr(m);
    int64_t dim[] = { mega_make_few(m), mega_make_size(m) }, end = 0;
    a->bands = 1 + mega_make_choice(m, 4);
    for (int64_t i = 0; i < a->bands; i++) a->end[i] = end += mega_make_size(m);
    a->form = mega_make_choice(m, (int)a->bands + 2) - 2;
    a->left_out = mega_make_choice(m, 2) ? 1 : -1;
    m->e->call.in[0] = mega_make_numbers(m, 2, dim, -1, (int32_t)end - 1);
    m->e->gives = 0;
}

void mega_example_choose(struct mega_maker *m)
{
    struct mega_call *c = &m->e->call;
    int64_t D = mega_make_size(m), dim[MEGA_RANK];
    int rank = mega_make_shape(m, D, dim), n = 1 + mega_make_choice(m, 4);
    for (int i = 0; i < n; i++) c->in[MEGA_CHOOSE_X + i] = mega_make_values(m, rank, dim, 0, 1);
    int64_t rows = mega_height(c->in[MEGA_CHOOSE_X]);
    c->in[MEGA_CHOOSE_WHICH] = mega_make_numbers(m, 1, &rows, -1, n - 1);
    m->e->wants = ~(1u << MEGA_CHOOSE_WHICH);
}

void mega_example_log_softmax(struct mega_maker *m)
{
    struct mega_call *c = &m->e->call;
    int64_t dim[MEGA_RANK];
    bool base = mega_make_choice(m, 2);
    double mean = mega_make_choice(m, 2) ? 50 : 0;
    int64_t V = mega_make_size(m); /* 2 at least: alone, terms of size 1 cancel to nothing */
    int rank = mega_make_shape(m, V < 2 ? 2 : V, dim);
    c->in[MEGA_LOG_SOFTMAX_X] = mega_make_values(m, rank, dim, mean, 3);
    dim[rank - 1] = 1;
    if (base) c->in[MEGA_LOG_SOFTMAX_BASE] = mega_make_param(m, rank, dim, -2, 1);
    m->e->wants = 3;
    m->e->tolerance = 5e-6;
}

void mega_example_transpose(struct mega_maker *m)
{
    int64_t dim[] = { mega_make_size(m), mega_make_size(m) };
    m->e->call.in[0] = mega_make_param(m, 2, dim, 0, 1);
    m->e->wants = 1;
}

static struct mega_attr_cross_entropy make_loss(struct mega_maker *m)
{
    struct mega_attr_cross_entropy a = { 0 };
    if (mega_make_choice(m, 2)) a.smoothing = 0.1;
    if (mega_make_choice(m, 2)) a.z = 0.01;
    return a;
}

void mega_example_output_loss(struct mega_maker *m)
{
    struct mega_attr_output_loss *a = mega_make_attr(m);
    struct mega_call *c = &m->e->call;
    a->loss = make_loss(m);
    a->rows = mega_make_choice(m, 2);
    bool bias = mega_make_choice(m, 2), more = mega_make_choice(m, 2);
    int64_t D = mega_make_size(m), V = mega_make_size(m), M = more ? mega_make_few(m) : 0,
            dim[MEGA_RANK], classes = V + M, rows;
    if (classes < 2) classes = ++V; /* one alone: terms of size 1 that cancel to nothing */
    int rank = mega_make_shape(m, D, dim);
    double deviation = 2 / sqrt((double)D);
    c->in[MEGA_OUTPUT_LOSS_X] = mega_make_values(m, rank, dim, 0, 1);
    rows = mega_height(c->in[MEGA_OUTPUT_LOSS_X]);
    c->in[MEGA_OUTPUT_LOSS_W] = mega_make_param(m, 2, (int64_t[]){ V, D }, 0, deviation);
    if (bias) c->in[MEGA_OUTPUT_LOSS_BIAS] = mega_make_param(m, 1, &classes, 0, 1);
    c->in[MEGA_OUTPUT_LOSS_TARGET] =
        mega_make_numbers(m, 1, &rows, mega_make_choice(m, 2) ? -1 : 0, (int32_t)classes - 1);
    if (more)
        c->in[MEGA_OUTPUT_LOSS_MORE] = mega_make_param(m, 2, (int64_t[]){ M, D }, 0, deviation);
    if (mega_make_choice(m, 3) == 0)
        c->in[MEGA_OUTPUT_LOSS_WEIGHT] = mega_make_param(m, 1, &rows, 0.5, 0.5);
    m->e->wants = ~(1u << MEGA_OUTPUT_LOSS_TARGET);
    m->e->tolerance = 2e-5; /* sums over rows may cancel */
}

void mega_example_cross_entropy(struct mega_maker *m)
{
    struct mega_attr_cross_entropy *a = mega_make_attr(m);
    struct mega_call *c = &m->e->call;
    *a = make_loss(m);
    a->rows = mega_make_choice(m, 2);
    int64_t dim[] = { mega_make_size(m) - (m->small ? 0 : 1), mega_make_size(m) };
    c->in[MEGA_CROSS_ENTROPY_LOGITS] =
        mega_make_values(m, 2, dim, mega_make_choice(m, 2) ? 50 : 0, 3);
    c->in[MEGA_CROSS_ENTROPY_TARGET] =
        mega_make_numbers(m, 1, dim, mega_make_choice(m, 2) ? -1 : 0, (int32_t)dim[1] - 1);
    if (mega_make_choice(m, 3) == 0)
        c->in[MEGA_CROSS_ENTROPY_WEIGHT] = mega_make_param(m, 1, dim, 0.5, 0.5);
    m->e->wants = 1u << MEGA_CROSS_ENTROPY_LOGITS | 1u << MEGA_CROSS_ENTROPY_WEIGHT;
    m->e->tolerance = 5e-6;
}

void mega_example_exit_gate(struct mega_maker *m)
{
    struct mega_call *c = &m->e->call;
    int64_t dim[MEGA_RANK];
    int rank = mega_make_shape(m, 1, dim);
    c->in[MEGA_EXIT_GATE_Z] = mega_make_values(m, rank, dim, 0, 3);
    int64_t rows = mega_height(c->in[MEGA_EXIT_GATE_Z]);
    if (mega_make_choice(m, 2))
        c->in[MEGA_EXIT_GATE_REST] = mega_make_param(m, rank, dim, 0.5, 0.2);
    if (mega_make_choice(m, 2))
        c->in[MEGA_EXIT_GATE_TARGET] = mega_make_numbers(m, 1, &rows, -1, 5);
    m->e->wants = 1u << MEGA_EXIT_GATE_Z | 1u << MEGA_EXIT_GATE_REST;
    m->e->gives = 7;
}
