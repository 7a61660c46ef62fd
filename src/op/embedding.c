/* embedding: y[b, t] = scale * table[token[b, t]], zero where the token is negative; the pad
 * row gets no gradient. */
#include "op/contracts.h"

enum { TABLE = MEGA_EMBEDDING_TABLE, TOKENS = MEGA_EMBEDDING_TOKENS };

static mega_status shape(const struct mega_call *c, mega_tensor out[MEGA_OUT])
{
    const mega_tensor *tokens = c->in[TOKENS];
    if (c->in[TABLE]->rank != 2) return mega_op_refuse(c, "the table", c->in[TABLE], "[V, D]");
    if (tokens->rank != 2 || tokens->dtype != MEGA_I32)
        return mega_op_refuse(c, "tokens", tokens, "[B, T] I32");
    out[0] = mega_shaped(c->dtype, 3, tokens->dim[0], tokens->dim[1], c->in[TABLE]->dim[1], 0);
    return MEGA_OK;
}

/* a row of the table at most once a token */
static void cost(const struct mega_call *c, double *flops, double *bytes)
{
    (void)flops;
    double table = (double)mega_size(c->in[TABLE]), rows = (double)mega_size(c->out[0]);
    if (rows < table) *bytes -= table - rows;
}

static void forward(const struct mega_call *c)
{
    const struct mega_attr_embedding *a = c->attr;
    const int32_t *token = c->in[TOKENS]->data;
    for (int64_t i = 0, n = mega_count(c->in[TOKENS]), D = mega_width(c->in[TABLE]); i < n; i++)
        for (int64_t d = 0; d < D; d++)
            mega_put(c->out[0], i, d,
                token[i] < 0 ? 0 : a->scale * mega_get(c->in[TABLE], token[i], d));
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    const struct mega_attr_embedding *a = c->attr;
    const int32_t *token = c->in[TOKENS]->data;
    mega_grads_begin(g);
    for (int64_t i = 0, n = mega_count(c->in[TOKENS]), D = mega_width(c->in[TABLE]); i < n; i++)
        for (int64_t d = 0; d < D && token[i] >= 0 && token[i] != a->pad; d++)
            mega_grad_add(g, TABLE, token[i], d, a->scale * mega_grad_out(g, 0, i, d));
}

const struct mega_op mega_op_embedding = {
    .name = "embedding",
    .n_in = 2,
    .n_out = 1,
    .attr_size = sizeof(struct mega_attr_embedding),
    .shape = shape,
    .unread = 1u << TABLE,
    .cost = cost,
    .reference = { .name = "reference", .forward = forward, .backward = backward },
};
