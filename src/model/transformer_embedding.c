#include "model/transformer_embedding.h"

#include <math.h>
#include <string.h>

#include "graph/ops.h"

/* ---- declaration ---- */

static void build_tables(
    mega_build *b, struct mega_transformer_embedding *e, const struct mega_embedding_place *p)
{
    int64_t D = e->width, one = 1;
    struct mega_init small = { MEGA_INIT_NORMAL, 0, 0.02 },
                     tiny = { MEGA_INIT_NORMAL, 0, 1e-5 };
    if (p->numbers) {
        size_t entered = mega_build_enter(b, "tok_emb");
        e->number_weight =
            mega_param_add(b, "weight", (struct mega_init){ MEGA_INIT_NORMAL, 0, 1 }, 1, &D);
        e->number_bias =
            mega_param_add(b, "bias", (struct mega_init){ MEGA_INIT_NORMAL, 0, 0.1 }, 1, &D);
        mega_build_leave(b, entered);
    } else if (p->table) {
        e->table = p->table;
    } else {
        e->table = mega_param_add(b, "tok_emb.weight", e->options.fixed ? tiny : small, 2,
            (int64_t[]){ p->vocabulary, D });
    }
    if (e->options.fixed_scale)
        e->fixed_scale = mega_param_add(
            b, "tok_emb.scale", (struct mega_init){ MEGA_INIT_CONSTANT, 1, 0 }, 1, &one);
    size_t entered = mega_build_enter(b, "pos_emb");
    mega_positions_build(b, &e->positions, (enum mega_positions_type)p->positions, D,
        p->longest, p->position_scale);
    mega_build_leave(b, entered);
    if (e->options.types)
        e->types = mega_param_add(
            b, "type_emb.token_type.weight", small, 2, (int64_t[]){ e->options.types, D });
}

/* places that a stream's rows begin with */
static int64_t lead_of(const struct mega_transformer_embedding *e)
{
    const struct mega_embedding_options *o = &e->options;
    if (o->memory_every) return 0;
    return (e->segments ? 0 : o->memory) + o->class_tokens;
}

static void build_inserted(mega_build *b, struct mega_transformer_embedding *e, bool streams)
{
    const struct mega_embedding_options *o = &e->options;
    struct mega_init init = { MEGA_INIT_NORMAL, 0, o->memory_std > 0 ? o->memory_std : 0.02 },
                     small = { MEGA_INIT_NORMAL, 0, 0.02 };
    if (o->class_tokens)
        e->classes =
            mega_param_add(b, "cls_token", small, 2, (int64_t[]){ o->class_tokens, e->out });
    if (o->memory)
        e->memory =
            mega_param_add(b, "memory_tokens", init, 2, (int64_t[]){ o->memory, e->out });
    if (!b->status && streams) b->store->lead = lead_of(e);
}

void mega_transformer_embedding_build(mega_build *b, struct mega_transformer_embedding *e,
    const struct mega_embedding_options *o, const struct mega_embedding_place *p)
{
    struct mega_init small = { MEGA_INIT_NORMAL, 0, 0.02 }, zero = { MEGA_INIT_CONSTANT, 0, 0 };
    *e = (struct mega_transformer_embedding){ .options = *o,
        .width = o->width ? o->width : p->width,
        .out = p->width,
        .segments = p->segments };
    build_tables(b, e, p);
    e->has_norm = o->norm;
    if (o->norm) {
        struct mega_norm_options norm = p->norm;
        norm.width = e->width;
        size_t entered = mega_build_enter(b, "emb_norm");
        mega_norm_declare(b, &e->norm, &norm);
        mega_build_leave(b, entered);
    }
    if (e->width != e->out) {
        size_t entered = mega_build_enter(b, "emb_proj");
        e->proj = mega_param_add(b, "weight", small, 2, (int64_t[]){ e->out, e->width });
        e->proj_bias = mega_param_add(b, "bias", zero, 1, &e->out);
        mega_build_leave(b, entered);
    }
    build_inserted(b, e, p->causal);
    e->drop = (struct mega_dropout){ "tok_emb", o->dropout > 0 ? o->dropout : p->dropout,
        MEGA_DROPOUT_ELEMENTS };
}

/* ---- running ---- */

mega_tensor *mega_unit_rows(mega_run *r, mega_tensor *x)
{
    struct mega_attr_norm a;
    memset(&a, 0, sizeof a);
    a.kind = MEGA_NORM_RMS;
    a.guard = true;
    a.eps = 1e-12;
    mega_tensor *y = mega_run_call(
        r, &(struct mega_call){ .op = &mega_op_norm, .in = { x }, .attr = &a }, NULL);
    return scale(r, y, NULL, 1 / sqrt((double)mega_width(x)));
}

/* times one learned number */
static mega_tensor *times(mega_run *r, mega_tensor *x, mega_tensor *factor)
{
    struct mega_attr_squash a;
    memset(&a, 0, sizeof a);
    a.kind = MEGA_SQUASH_LINEAR;
    a.factor = a.inside = 1;
    return mega_run_call(
        r, &(struct mega_call){ .op = &mega_op_squash, .in = { x, factor }, .attr = &a }, NULL);
}

/* looked up, directions alone: before its factor */
static mega_tensor *look_up(mega_run *r, const struct mega_transformer_embedding *e,
    mega_tensor *table, mega_tensor *ids, double factor)
{
    if (!e->options.fixed) return embedding(r, table, ids, -1, factor);
    mega_tensor *x = mega_unit_rows(r, embedding(r, table, ids, -1, 1));
    if (e->fixed_scale && table == e->table) x = times(r, x, e->fixed_scale);
    return factor > 1 || factor < 1 ? scale(r, x, NULL, factor) : x;
}

/* learned positions of length 1 */
static mega_tensor *add_positions(mega_run *r, const struct mega_transformer_embedding *e,
    mega_tensor *x, const struct mega_rows *rows)
{
    if (!e->options.fixed || e->positions.type != MEGA_POSITIONS_LEARNED)
        return mega_positions_run(r, &e->positions, x, rows);
    struct mega_positions unit = e->positions;
    unit.table = mega_unit_rows(r, unit.table);
    unit.scale = 1;
    return mega_positions_run(r, &unit, x, rows);
}

/* a type's row to every place */
static mega_tensor *add_types(
    mega_run *r, const struct mega_transformer_embedding *e, mega_tensor *x, mega_tensor *types)
{
    if (!types) {
        types = mega_run_tensor(r, MEGA_I32, 2, (int64_t[]){ mega_dim(x, 0), mega_dim(x, 1) });
        if (types && types->data) memset(types->data, 0, mega_size(types));
    }
    return add(r, x, embedding(r, e->types, types, -1, 1));
}

static mega_tensor *from_inputs(mega_run *r, const struct mega_transformer_embedding *e,
    const struct mega_transformer_inputs *in)
{
    double said = e->options.scale, factor = said > 0   ? said
                                             : said < 0 ? sqrt((double)e->out)
                                                        : 1;
    mega_tensor *x = in->numbers
                         ? number_embedding(r, in->numbers, e->number_weight, e->number_bias)
                     : in->ids ? look_up(r, e, e->table, in->ids, factor)
                               : in->embedded;
    bool both = in->embedded && (in->numbers || in->ids);
    return both ? add(r, x, in->embedded) : x;
}

static void insert(mega_run *r, struct mega_embedded *out, struct mega_inserted *how,
    mega_tensor *extra, int64_t every)
{
    if (!extra || mega_run_status(r)) return;
    mega_inserted_make(r, how, out->rows, extra->dim[0], every);
    out->x = mega_inserted_add(r, how, out->x, extra);
    out->rows = how->rows;
}

void mega_transformer_embedding_run(mega_run *r, const struct mega_transformer_embedding *e,
    const struct mega_transformer_inputs *in, const struct mega_rows *rows,
    struct mega_embedded *out)
{
    const struct mega_embedding_options *o = &e->options;
    const struct mega_rows *tokens = mega_inserted_tokens(r, rows, lead_of(e));
    mega_tensor *x = add_positions(r, e, from_inputs(r, e, in), tokens);
    if (e->types) x = add_types(r, e, x, in->types);
    if (e->has_norm) x = mega_norm_run_with(r, &e->norm, x, in->condition);
    if (o->gradient > 0 && o->gradient < 1) x = gradient_share(r, x, o->gradient);
    x = mega_dropout_run(r, &e->drop, x, tokens);
    if (e->proj) x = linear(r, x, e->proj, e->proj_bias, MEGA_ACT_LINEAR);
    *out = (struct mega_embedded){ .x = x, .rows = rows };
    insert(r, out, &out->classes, e->classes, 0);
    insert(r, out, &out->memory, e->memory,
        e->segments ? MEGA_INSERTED_EACH_CALL : o->memory_every);
}
