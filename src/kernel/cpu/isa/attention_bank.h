/* Biases that each query makes of a bank, its head's if each has one: sum_r share[i, r]
 * bank[r, ahead + p - j]. In a tile they are a product of the queries' shares and the bank the
 * other way round, of which each query reads another stretch. */
#ifndef MEGA_KERNEL_CPU_ISA_ATTENTION_BANK_H
#define MEGA_KERNEL_CPU_ISA_ATTENTION_BANK_H

#include "kernel/cpu/isa/attention_tile.h"

/* Of a tile; rows 0: no query is a distance of the bank away from a key. */
struct attention_bank {
    int64_t from;              /* the bank's first row for this head */
    int64_t rows, columns;     /* R, and distances that the tile has: top, top - 1, ... */
    int64_t top, first;        /* the column of distance `top`: key 0 and the last query have 0.
                                  Distances count from the bank's first one. */
    struct mega_matrix turned; /* [R, columns]: the bank */
    struct mega_matrix made;   /* [m, columns]: what it adds; backward its gradients */
};

static inline struct mega_matrix bank_shares(
    const struct attention_plan *p, const struct attention_queries *q, int64_t R)
{
    return mega_matrix_of(p->c->in[MEGA_ATTENTION_SHARE], query_row(p, q, 0), q->head * R);
}

static inline struct attention_bank bank_of(const struct attention_plan *p,
    const struct attention_queries *q, const struct attention_keys *k,
    struct mega_arena *scratch)
{
    const mega_tensor *bank = p->c->in[MEGA_ATTENTION_BANK];
    struct attention_bank t = { 0 };
    if (!bank || k->prefix) return t;
    /* distances of the tile, greatest first, and those of them that the bank has */
    int64_t most = p->a->ahead + q->stand + q->m - 1 - k->first, width = q->m + k->n - 1;
    t.top = least(most, mega_width(bank) - 1);
    t.first = most - t.top;
    t.columns = least(width - t.first, t.top + 1);
    if (t.columns <= 0) return t;
    t.rows = mega_heads_bank_rank(p->c);
    t.from = mega_heads_bank_row(p->c, q->head);
    t.turned = mega_matrix_scratch(scratch, t.rows, t.columns);
    t.made = mega_matrix_scratch(scratch, q->m, t.columns);
    for (int64_t i = 0; i < t.rows; i++) {
        const float *from = mega_row(bank, t.from + i);
        float *to = mega_matrix_row(t.turned, i);
        for (int64_t c = 0; c < t.columns; c++) to[c] = from[t.top - c];
    }
    block_product(NULL, q->m, t.columns, t.rows, as_it_lies(bank_shares(p, q, t.rows)),
        as_it_lies(t.turned), t.made, false, scratch);
    return t;
}

/* Where a part of query r's row meets what the bank makes: n numbers from key `key` of the part
 * and column `column` on. */
struct attention_stretch {
    int64_t key, column, n;
};

static inline struct attention_stretch bank_stretch(const struct attention_bank *t,
    const struct attention_queries *q, int64_t r, struct attention_part part)
{
    int64_t column = part.from + q->m - 1 - r - t->first; /* of the part's first key */
    struct attention_stretch s = { column < 0 ? -column : 0, column < 0 ? 0 : column, 0 };
    s.n = least(part.n - s.key, t->columns - s.column);
    if (s.n < 0) s.n = 0;
    return s;
}

/* s, a part of a row of scores, receives it. */
static inline void add_bank(const struct attention_bank *t, const struct attention_queries *q,
    int64_t r, struct attention_part part, float *s)
{
    if (!t->rows) return;
    struct attention_stretch at = bank_stretch(t, q, r, part);
    row_functions->add_scaled(s + at.key, mega_matrix_row(t->made, r) + at.column, 1, at.n);
}

/* ---- backward ---- */

/* Row r of `made` becomes the gradient of what it was, from ds, a part of a row. */
static inline void bank_back(const struct attention_bank *t, const struct attention_queries *q,
    int64_t r, struct attention_part part, const float *ds)
{
    if (!t->rows) return;
    struct attention_stretch at = bank_stretch(t, q, r, part);
    float *d = mega_matrix_row(t->made, r);
    if (!at.n) at.column = 0;
    clear(d, d + at.column);
    memcpy(d + at.column, ds + at.key, (size_t)at.n * sizeof *d);
    clear(d + at.column + at.n, d + t->columns);
}

/* dshare [m, R] and dbank, like the bank, receive a tile's gradients, once all rows are in;
 * `at` NULL: not wanted. */
static inline void bank_give(const struct attention_plan *p, const struct attention_bank *t,
    const struct attention_queries *q, struct mega_matrix dshare, struct mega_matrix dbank,
    struct mega_arena *scratch)
{
    if (!t->rows) return;
    if (dshare.at)
        block_product(NULL, q->m, t->rows, t->columns, as_it_lies(t->made), turned(t->turned),
            dshare, true, scratch);
    if (!dbank.at) return;
    struct mega_matrix d = t->turned; /* no longer needed */
    block_product(NULL, t->rows, t->columns, q->m, turned(bank_shares(p, q, t->rows)),
        as_it_lies(t->made), d, false, scratch);
    for (int64_t i = 0; i < t->rows; i++) {
        float *to = mega_matrix_row(dbank, t->from + i) + t->top;
        const float *from = mega_matrix_row(d, i);
        for (int64_t c = 0; c < t->columns; c++) to[-c] += from[c];
    }
}

#endif
