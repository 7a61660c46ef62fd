/* What the passes of the output_loss kernel share: rows that count in blocks, classes in tiles.
 *
 * Logits of a tile by a block lie turned, a row a class, a column a row of x: the weights are
 * read where they lie, and sums over classes go down columns, a vector of rows at once. */
#ifndef MEGA_KERNEL_CPU_ISA_OUTPUT_LOSS_H
#define MEGA_KERNEL_CPU_ISA_OUTPUT_LOSS_H

#include "kernel/cpu/isa/blocks.h"

enum {
    OUTPUT_LOSS_TILE = 128,  /* classes */
    OUTPUT_LOSS_LANES = 16,  /* what is cut for, where rows or classes are few */
    OUTPUT_LOSS_VECTOR = 16, /* rows that room is made for in whole: of every set's vectors */
};

struct output_loss {
    const struct mega_call *c;
    const struct mega_attr_output_loss *a;
    const struct mega_pairs *pairs; /* products of bfloat16; NULL: float32 */
    int64_t D, classes, tiles, tile, block;
    int64_t rows;      /* that have a target: the others are left out of all that follows */
    int32_t *row, *at; /* [rows]: which they are; their targets */
};

/* Lists the rows that count in the calling thread's scratch. */
void MEGA_ISA_NAME(mega_output_loss_open)(struct output_loss *s, const struct mega_call *c);
void MEGA_ISA_NAME(mega_output_loss_backward)(const struct mega_call *c, struct mega_grads *g);

static inline bool output_loss_half(const struct mega_call *c)
{
    return c->in[MEGA_OUTPUT_LOSS_X]->dtype == MEGA_BF16;
}

/* what row r's loss counts by */
static inline float output_weight(const struct mega_call *c, int64_t r)
{
    const mega_tensor *w = c->in[MEGA_OUTPUT_LOSS_WEIGHT];
    return w ? ((const float *)w->data)[r] : 1;
}

/* Some classes: rows of one of the weights. */
struct output_tile {
    int input;             /* MEGA_OUTPUT_LOSS_W or _MORE */
    int64_t row, first, n; /* of the input; among all classes; how many */
    struct mega_matrix w;  /* [n, D] */
    const float *bias;     /* or NULL */
};

static inline struct output_tile output_tile_at(const struct output_loss *s, int64_t i)
{
    const mega_tensor *w = s->c->in[MEGA_OUTPUT_LOSS_W],
                      *bias = s->c->in[MEGA_OUTPUT_LOSS_BIAS];
    int64_t V = w->dim[0], before = pieces(V, s->tile);
    struct output_tile t = { .input = MEGA_OUTPUT_LOSS_W, .row = i * s->tile };
    if (i >= before) {
        t.input = MEGA_OUTPUT_LOSS_MORE;
        t.row = (i - before) * s->tile;
        w = s->c->in[t.input];
    }
    t.first = t.row + (i >= before ? V : 0);
    t.n = least(w->dim[0] - t.row, s->tile);
    t.w = mega_matrix_of(w, t.row, 0);
    t.bias = bias ? (const float *)bias->data + t.first : NULL;
    return t;
}

static inline float bias_of(const struct output_tile *t, int64_t j)
{
    return t->bias ? t->bias[j] : 0;
}

/* Some rows of x, copied together, and turned where logits are to be made of them. */
struct output_block {
    int64_t first, m;
    struct mega_matrix x;       /* [m, D] */
    struct block_weight turned; /* [D, m] */
};

static inline size_t output_block_bytes(const struct output_loss *s)
{
    return mega_matrix_bytes(s->block, s->D);
}

static inline size_t output_turned_bytes(const struct output_loss *s)
{
    return block_packed_bytes(s->pairs, s->D, s->block);
}

static inline void output_block_turn(
    const struct output_loss *s, struct output_block *b, void *room)
{
    b->turned = block_pack_into(s->pairs, room, turned(b->x), s->D, b->m);
}

static inline struct output_block output_block_at(
    const struct output_loss *s, int64_t i, void *room)
{
    struct output_block b = { .first = i * s->block };
    b.m = least(s->rows - b.first, s->block);
    b.x = mega_matrix_over(room, s->D);
    const mega_tensor *x = s->c->in[MEGA_OUTPUT_LOSS_X];
    for (int64_t r = 0; r < b.m; r++) {
        const void *from = mega_row(x, s->row[b.first + r]);
        if (output_loss_half(s->c))
            row_functions->widen(mega_matrix_row(b.x, r), from, s->D);
        else
            memcpy(mega_matrix_row(b.x, r), from, (size_t)s->D * sizeof(float));
    }
    return b;
}

/* x w^T, turned and without the bias, of a tile by a block: [n, m] */
static inline void output_logits(const struct output_loss *s, const struct output_tile *t,
    const struct output_block *b, struct mega_matrix to, struct mega_arena *scratch)
{
    block_times(s->pairs, t->n, b->m, s->D, t->w, &b->turned, to, false, scratch);
}

/* Few classes: their logits take no more than two activations and are kept. */
static inline bool output_logits_kept(const struct mega_call *c)
{
    int64_t classes =
        c->in[MEGA_OUTPUT_LOSS_W]->dim[0] + mega_dim(c->in[MEGA_OUTPUT_LOSS_MORE], 0);
    return classes <= 2 * mega_width(c->in[MEGA_OUTPUT_LOSS_X]);
}

/* Those of a tile by a block in what is kept: [classes, rows], turned as all of them. */
static inline struct mega_matrix output_kept(
    const struct output_loss *s, const struct output_tile *t, const struct output_block *b)
{
    return mega_matrix_of(s->c->saved[2], t->first, b->first);
}

#endif
