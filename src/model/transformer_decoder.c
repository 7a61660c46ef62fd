#include "model/transformer_decoder.h"

struct mega_decoder_shape mega_transformer_shape(const struct mega_transformer_options *o)
{
    /* the widest window; no window at all where one layer has none */
    int64_t chunk = mega_ints_at(&o->chunk, 0);
    for (int i = 1; i < o->chunk.n; i++)
        chunk = chunk < 1 || o->chunk.item[i] < 1 ? -1
                : o->chunk.item[i] > chunk        ? o->chunk.item[i]
                                                  : chunk;
    return (struct mega_decoder_shape){ .layers = o->plan.layers,
        .width = o->width,
        .chunk = chunk > 0 ? chunk : 0,
        .longest =
            (chunk > 0 || o->attention.memory > 0) && o->positions != MEGA_POSITIONS_LEARNED
                ? 0
                : o->longest,
        .recompute = mega_recompute_resolve(o->recompute) };
}

void *mega_transformer_new(
    mega_build *b, struct mega_transformer_options o, const struct mega_vocabulary *v)
{
    struct mega_transformer *m =
        b->status ? NULL : mega_arena_zeroed(&b->store->names, sizeof *m);
    if (!m) {
        if (!b->status) b->status = mega_fail(MEGA_NO_MEMORY, "no memory to declare a decoder");
        return NULL;
    }
    o.vocabulary = v->size;
    o.causal = true;
    o.recompute = (int)mega_recompute_resolve(o.recompute);
    mega_transformer_build(b, m, &o);
    return b->status ? NULL : m;
}

mega_tensor *mega_transformer_decode(
    mega_run *r, const void *self, mega_tensor *ids, const struct mega_rows *rows)
{
    return mega_transformer_features(r, self, ids, rows);
}

static mega_tensor *logits(mega_run *r, const void *self, mega_tensor *x)
{
    const struct mega_transformer *m = self;
    return mega_transformer_head_run(r, &m->head, x);
}

static mega_tensor *loss(mega_run *r, const void *self, mega_tensor *x, mega_tensor *next,
    double smoothing, mega_tensor **each)
{
    const struct mega_transformer *m = self;
    return mega_exit_loss(r, &m->exit, &m->head, x, next, smoothing, each);
}

struct mega_output mega_transformer_output(const void *self)
{
    const struct mega_transformer *m = self;
    return (struct mega_output){ .weight = m->head.weight,
        .bias = m->head.bias,
        .logits = mega_transformer_head_is_plain(&m->head) ? NULL : logits,
        .loss = m->exit.weight ? loss : NULL,
        .self = m };
}

struct mega_stack *mega_transformer_stack(void *self)
{
    struct mega_transformer *m = self;
    return &m->stack;
}
