/* How attention's columns are cut into heads: head h of q and o is a range of their columns,
 * and so is each head of keys and values, which H / G neighbouring query heads share (grouped
 * queries: Ainslie et al., 2023; one group: Shazeer, 2019). */
#ifndef MEGA_OP_HEADS_H
#define MEGA_OP_HEADS_H

#include "op/contracts.h"

struct mega_heads {
    int64_t H, G;  /* query heads, key and value heads */
    int64_t d, dv; /* width of a query or key head, of a value head */
};

static inline struct mega_heads mega_heads_of(const struct mega_call *c)
{
    const struct mega_attr_attention *a = c->attr;
    struct mega_heads n = { .H = a->heads > 0 ? a->heads : 1 };
    n.G = a->kv_heads > 0 ? a->kv_heads : n.H;
    n.d = mega_width(c->in[MEGA_ATTENTION_Q]) / n.H;
    n.dv = mega_width(c->in[MEGA_ATTENTION_V]) / n.G;
    return n;
}

/* The head of keys and values that query head h reads. */
static inline int64_t mega_heads_group(const struct mega_heads *n, int64_t h)
{
    return h / (n->H / n->G);
}

/* The bank's R: what one head's share of it has; and the bank's first row for head h. */
static inline int64_t mega_heads_bank_rank(const struct mega_call *c)
{
    const mega_tensor *share = c->in[MEGA_ATTENTION_SHARE];
    return share ? mega_width(share) / mega_heads_of(c).H : 0;
}

static inline int64_t mega_heads_bank_row(const struct mega_call *c, int64_t h)
{
    int64_t R = mega_heads_bank_rank(c);
    return mega_height(c->in[MEGA_ATTENTION_BANK]) > R ? h * R : 0;
}

#endif
