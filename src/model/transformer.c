#include "model/transformer.h"

#include <stdio.h>

#include "graph/ops.h"

/* ---- declaration ---- */

static mega_status check(const struct mega_transformer_options *o)
{
    if (o->vocabulary < 1 || o->width < 1 || o->layers < 1 || o->ffn < 1 || o->heads < 1)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "a Transformer of vocabulary %lld, width %lld, layers %lld, ffn %lld, heads %lld: "
            "expected at least 1 of each",
            (long long)o->vocabulary, (long long)o->width, (long long)o->layers,
            (long long)o->ffn, (long long)o->heads);
    if (o->norm == MEGA_BATCHNORM || o->norm == MEGA_SYNCBATCHNORM)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "norm is over the batch: expected one of layernorm, scalenorm, rmsnorm");
    return mega_kept_heads_check(o->kept_heads, o->layers);
}

static struct mega_norm_options norm_options(const struct mega_transformer_options *o)
{
    return (struct mega_norm_options){ .type = (enum mega_norm_type)o->norm,
        .width = o->width,
        .affine = o->norm_affine,
        .bias = o->norm_bias,
        .eps = o->norm_eps };
}

static void build_attention(mega_build *b, struct mega_attention *m, int64_t layer,
    const struct mega_transformer_options *o)
{
    int64_t d = o->keys ? o->keys : o->width / o->heads;
    size_t entered = mega_build_enter(b, "attn");
    mega_attention_build(b, m,
        &(struct mega_attention_options){ .width = o->width,
            .heads = o->heads,
            .kv_heads = o->kv_heads ? o->kv_heads : o->heads,
            .keys = d,
            .values = o->values ? o->values : d,
            .chunk = o->chunk,
            .causal = o->causal,
            .bias = o->attention_bias,
            .dropout = o->attention_dropout,
            .rotary = o->rotary,
            .gates = o->gates,
            .kept = o->kept_heads,
            .layer = layer });
    mega_build_leave(b, entered);
}

/* how many heads of a layer were not removed */
static int64_t heads_left(
    mega_build *b, int64_t layer, const struct mega_transformer_options *o)
{
    struct mega_kept_heads kept;
    mega_kept_heads_build(
        b, &kept, o->kept_heads, layer, o->heads, o->kv_heads ? o->kv_heads : o->heads);
    return b->status ? o->heads : kept.heads;
}

/* where norms are, around an attention that reads nothing */
static enum mega_placement without_pre(enum mega_placement p)
{
    if (p == MEGA_PLACEMENT_PRE) return MEGA_PLACEMENT_NONE;
    return p == MEGA_PLACEMENT_PRE_POST ? MEGA_PLACEMENT_POST : p;
}

static void build_mlp(
    mega_build *b, struct mega_mlp *f, const struct mega_transformer_options *o)
{
    static const struct mega_mlp_names names = { "up", "gate", "down" };
    size_t entered = mega_build_enter(b, "ff");
    mega_mlp_build(b, f,
        &(struct mega_mlp_options){ .width = o->width,
            .hidden = o->ffn,
            .act = o->act,
            .gated = o->gated,
            .up_bias = o->up_bias,
            .down_bias = o->down_bias,
            .dropout = o->hidden_dropout,
            .names = &names });
    mega_build_leave(b, entered);
}

static void build_sublayer(mega_build *b, struct mega_transformer_sublayer *s, int64_t k,
    const struct mega_transformer_options *o)
{
    snprintf(s->path, sizeof s->path, "sub.%lld", (long long)k);
    size_t entered = mega_build_enter(b, "%s", s->path);
    enum mega_placement placement = (enum mega_placement)o->placement;
    if (s->kind == MEGA_BRANCH_ATTENTION && !heads_left(b, k / 2, o))
        placement = without_pre(placement);
    mega_sublayer_build(b, &s->around,
        &(struct mega_sublayer_options){ .placement = placement,
            .norm = norm_options(o),
            .dropout = o->dropout,
            .site = "branch" });
    if (s->kind == MEGA_BRANCH_ATTENTION)
        build_attention(b, &s->attention, k / 2, o);
    else
        build_mlp(b, &s->mlp, o);
    mega_build_leave(b, entered);
}

/* attention, mlp, attention, mlp ... */
static void build_plan(mega_build *b, struct mega_transformer *m)
{
    m->steps = 2 * m->options.layers;
    m->plan = mega_arena_zeroed(&b->store->names, (size_t)m->steps * sizeof *m->plan);
    if (!m->plan && !b->status)
        b->status = mega_fail(
            MEGA_NO_MEMORY, "no memory to declare %lld layers", (long long)m->options.layers);
    mega_stack_build(b, &m->stack, m->steps, (enum mega_recompute)m->options.recompute);
    for (int64_t k = 0; k < m->steps && !b->status; k++) {
        m->plan[k].kind = k % 2 ? MEGA_BRANCH_MLP : MEGA_BRANCH_ATTENTION;
        build_sublayer(b, &m->plan[k], k, &m->options);
    }
}

static void build_embedding(mega_build *b, struct mega_transformer *m)
{
    const struct mega_transformer_options *o = &m->options;
    struct mega_init small = { MEGA_INIT_NORMAL, 0, 0.02 };
    m->table =
        mega_param_add(b, "tok_emb.weight", small, 2, (int64_t[]){ o->vocabulary, o->width });
    size_t entered = mega_build_enter(b, "pos_emb");
    mega_positions_build(b, &m->positions, (enum mega_positions_type)o->positions, o->width,
        o->longest, o->position_scale);
    mega_build_leave(b, entered);
    m->drop_embed = (struct mega_dropout){ "tok_emb", o->dropout, MEGA_DROPOUT_ELEMENTS };
}

static void build_head(mega_build *b, struct mega_transformer *m)
{
    const struct mega_transformer_options *o = &m->options;
    struct mega_init small = { MEGA_INIT_NORMAL, 0, 0.02 }, zero = { MEGA_INIT_CONSTANT, 0, 0 };
    struct mega_norm_options norm = norm_options(o);
    m->has_final_norm = o->final_norm == MEGA_FINAL_NORM_ON ||
                        (o->final_norm == MEGA_FINAL_NORM_AUTO &&
                            mega_placement_ends_with_norm((enum mega_placement)o->placement));
    size_t entered = mega_build_enter(b, "final_norm");
    if (m->has_final_norm) mega_norm_declare(b, &m->final_norm, &norm);
    mega_build_leave(b, entered);
    m->head = o->tied ? m->table
                      : mega_param_add(b, "lm_head.weight", small, 2,
                            (int64_t[]){ o->vocabulary, o->width });
    if (o->head_bias) m->head_bias = mega_param_add(b, "lm_head.bias", zero, 1, &o->vocabulary);
}

void mega_transformer_build(
    mega_build *b, struct mega_transformer *m, const struct mega_transformer_options *o)
{
    *m = (struct mega_transformer){ .options = *o };
    if (!b->status) b->status = check(o);
    if (b->status) return;
    build_embedding(b, m);
    build_plan(b, m);
    build_head(b, m);
}

/* ---- running ---- */

static mega_tensor *embed(mega_run *r, const struct mega_transformer *m, mega_tensor *ids,
    const struct mega_rows *rows)
{
    mega_tensor *x = embedding(r, m->table, ids, -1, 1);
    return mega_dropout_run(
        r, &m->drop_embed, mega_positions_run(r, &m->positions, x, rows), rows);
}

static void step(
    mega_run *r, const void *self, struct mega_carry *c, const struct mega_rows *rows)
{
    const struct mega_transformer_sublayer *s = self;
    if (s->kind == MEGA_BRANCH_MLP) {
        c->x = mega_sublayer_mlp(r, &s->around, &s->mlp, c->x, rows);
        return;
    }
    /* nothing to add, and no norm behind it */
    if (!s->around.sites && mega_attention_is_nothing(&s->attention)) return;
    mega_tensor *z = mega_sublayer_read(r, &s->around, c->x);
    mega_tensor *y = mega_attention_run(r, &s->attention, z, rows);
    c->x = mega_sublayer_write(r, &s->around, c->x, y, rows);
}

mega_tensor *mega_transformer_features(mega_run *r, const struct mega_transformer *m,
    mega_tensor *ids, const struct mega_rows *rows)
{
    struct mega_carry carry = { .x = embed(r, m, ids, rows) };
    for (int64_t k = 0; k < m->steps; k++) {
        struct mega_block block = { m->plan[k].path, 0, m->stack.again[k], step, &m->plan[k] };
        mega_run_block(r, &block, &carry, rows);
    }
    return m->has_final_norm ? mega_norm_run(r, &m->final_norm, carry.x) : carry.x;
}

mega_tensor *mega_transformer_run(mega_run *r, const struct mega_transformer *m,
    mega_tensor *ids, const struct mega_rows *rows)
{
    mega_tensor *x = mega_transformer_features(r, m, ids, rows);
    return linear(r, x, m->head, m->head_bias, MEGA_ACT_LINEAR);
}
