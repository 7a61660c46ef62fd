#include "model/transformer.h"

#include <stdio.h>

#include "graph/ops.h"
#include "model/layer_options.h"
#include "model/transformer_init.h"
#include "model/transformer_rules.h"

static struct mega_norm_options norm_options(const struct mega_transformer_options *o)
{
    return (struct mega_norm_options){ .type = (enum mega_norm_type)o->norm,
        .width = o->width,
        .affine = o->norm_affine,
        .bias = o->norm_bias,
        .eps = o->norm_eps,
        .unit_offset = o->norms.unit_offset,
        .guard = o->norms.guard,
        .condition = o->norms.condition,
        .slope = o->norms.slope };
}

/* how many attentions, of either kind, or feed-forwards come before module k */
static int64_t place_of(const struct mega_layer_plan *p, int64_t k)
{
    int64_t before = 0;
    for (int64_t i = 0; i < k; i++)
        before += (p->kind[i] == MEGA_BRANCH_MLP) == (p->kind[k] == MEGA_BRANCH_MLP);
    return before;
}

/* how many of the same kind come before module k */
static int64_t like_before(const struct mega_layer_plan *p, int64_t k)
{
    int64_t before = 0;
    for (int64_t i = 0; i < k; i++) before += p->kind[i] == p->kind[k];
    return before;
}

struct mega_attention_options mega_transformer_attention(
    const struct mega_transformer_options *all, int64_t i, bool cross)
{
    const struct mega_transformer_options own = mega_layer_options_at(all, i), *o = &own;
    struct mega_attention_options a = o->attention;
    int64_t heads = mega_ints_at(&o->heads, i), kv_heads = mega_ints_at(&o->kv_heads, i),
            keys = mega_ints_at(&o->keys, i), values = mega_ints_at(&o->values, i);
    int64_t most = o->heads.n ? 1 : heads; /* D / H of the layers as they were */
    for (int k = 0; k < o->heads.n; k++)
        if (o->heads.item[k] > most) most = o->heads.item[k];
    a.width = o->width;
    a.heads = heads;
    a.kv_heads = kv_heads ? kv_heads : heads;
    a.keys = keys ? keys : most ? o->width / most : 0;
    a.values = values ? values : a.keys;
    a.chunk = mega_ints_at(&o->chunk, i);
    a.causal = o->causal;
    a.bias = o->attention_bias;
    a.dropout = mega_reals_at(&o->attention_dropout, i);
    a.longest = o->longest;
    a.output.norm = norm_options(o);
    a.output.inner_norm |= o->placement == MEGA_PLACEMENT_SUBLN;
    a.cross = cross;
    if (o->full_every > 0 && (i + 1) % o->full_every == 0) a.score.past = 0;
    a.score.residual = cross ? o->cross.residual : a.score.residual;
    a.gates = o->gates;
    a.kept = cross ? o->kept_cross : o->kept_heads;
    if (!cross) {
        a.context_places = 0;
        return a;
    }
    a.memory = a.segment = a.through = 0;
    a.output.hybrid = 0;
    a.output.hybrid_mix = false;
    a.context = o->context_width;
    a.causal = false;
    if (o->cross.memories >= 0) a.prepare.memories = o->cross.memories;
    if (!o->cross.fn) return a;
    a.score.fn = o->cross.fn - 1;
    a.score.gumbel_hard &= a.score.fn == MEGA_ATTENTION_GUMBEL;
    a.score.gumbel_eval &= a.score.fn == MEGA_ATTENTION_GUMBEL;
    return a;
}

/* the values of the first of its kind are mixed into those of the others, not into its own */
static bool is_first(const struct mega_transformer *m, int64_t step)
{
    int64_t k = m->plan.step[step];
    for (int64_t i = 0; i < m->plan.pass; i++)
        if (i != step && (m->plan.step[i] == k ||
                             (i < step && m->plan.kind[m->plan.step[i]] == m->plan.kind[k])))
            return false;
    return true;
}

static void build_attention(mega_build *b, struct mega_transformer *m, int64_t step, int64_t i)
{
    const struct mega_transformer_options *o = &m->options;
    struct mega_transformer_sublayer *s = &m->step[step];
    struct mega_attention_options a =
        mega_transformer_attention(o, i, s->kind == MEGA_BRANCH_CROSS);
    a.layer = like_before(&m->plan, s->module);
    if (is_first(m, step)) a.prepare.value_residual = MEGA_VALUE_RESIDUAL_NONE;
    size_t entered = mega_build_enter(b, "attn");
    if (a.heads)
        mega_attention_build(b, &s->attention, &a);
    else if (a.bias)
        s->attention.o_bias = mega_param_add(
            b, "o.bias", (struct mega_init){ MEGA_INIT_CONSTANT, 0, 0 }, 1, &o->width);
    mega_build_leave(b, entered);
}

static int64_t mlp_width(const struct mega_transformer_options *o, int64_t i)
{
    return o->ffn_factor > 0 ? (int64_t)(o->ffn_factor * (double)o->width)
                             : mega_ints_at(&o->ffn, i);
}

/* are there heads, or channels, that were not removed? */
static bool has_units(mega_build *b, const struct mega_transformer *m, int64_t k)
{
    const struct mega_transformer_options *o = &m->options;
    enum mega_branch_kind kind = m->plan.kind[k];
    int64_t i = place_of(&m->plan, k), layer = like_before(&m->plan, k);
    struct mega_kept_heads kept;
    if (kind == MEGA_BRANCH_MLP) {
        if (!o->kept_channels || !*o->kept_channels || o->channel_block < 1) return true;
        int64_t blocks = mlp_width(o, i) / o->channel_block;
        if (blocks < 1) return true;
        mega_kept_build(
            b, &kept, &mega_kept_channels_words, o->kept_channels, layer, blocks, blocks);
        return b->status || kept.heads;
    }
    bool cross = kind == MEGA_BRANCH_CROSS;
    struct mega_attention_options a = mega_transformer_attention(o, i, cross);
    if (!a.heads) return false;
    mega_kept_build(b, &kept, cross ? &mega_kept_cross_words : &mega_kept_heads_words, a.kept,
        layer, a.heads, a.kv_heads);
    return b->status || kept.heads;
}

/* where norms are, around a branch that reads nothing */
static enum mega_placement without_pre(enum mega_placement p)
{
    if (p == MEGA_PLACEMENT_PRE || p == MEGA_PLACEMENT_SUBLN) return MEGA_PLACEMENT_NONE;
    return p == MEGA_PLACEMENT_PRE_POST ? MEGA_PLACEMENT_POST : p;
}

static void build_mlp(
    mega_build *b, struct mega_mlp *f, int64_t i, const struct mega_transformer_options *all)
{
    const struct mega_transformer_options own = mega_layer_options_at(all, i), *o = &own;
    static const struct mega_mlp_names names = { "up", "gate", "down" };
    int64_t hidden = mlp_width(o, i);
    struct mega_mlp_slot_options slot = o->mlp;
    slot.post_norm |= o->placement == MEGA_PLACEMENT_SUBLN;
    if (!b->status && hidden < 1)
        b->status =
            mega_fail(MEGA_BAD_ARGUMENT, "ffn is %lld, expected at least 1", (long long)hidden);
    size_t entered = mega_build_enter(b, "ff");
    mega_mlp_build(b, f,
        &(struct mega_mlp_options){ .width = o->width,
            .hidden = hidden,
            .act = o->act,
            .gated = o->gated,
            .up_bias = o->up_bias,
            .down_bias = o->down_bias,
            .dropout = mega_reals_at(&o->hidden_dropout, i),
            .names = &names,
            .slot = slot,
            .norm = norm_options(o),
            .gates = o->gates,
            .block = o->channel_block,
            .kept = o->kept_channels,
            .layer = i });
    mega_build_leave(b, entered);
}

/* the norms and factors around a branch */
static void build_around(mega_build *b, struct mega_transformer_sublayer *s,
    const struct mega_transformer *m, bool half)
{
    const struct mega_transformer_options own = mega_layer_options_at(
                                              &m->options, place_of(&m->plan, s->module)),
                                          *o = &own;
    bool mlp = s->kind == MEGA_BRANCH_MLP;
    int sites = o->norms.branch_sites;
    double dropout = mega_reals_at(&o->branch.dropout, s->module);
    enum mega_placement placement = (enum mega_placement)o->placement;
    if (!has_units(b, m, s->module)) placement = without_pre(placement);
    mega_sublayer_build(b, &s->around,
        &(struct mega_sublayer_options){ .placement = placement,
            .norm = norm_options(o),
            .branch_norm = sites == MEGA_BRANCH_SITES_ALL ||
                           sites == (mlp ? MEGA_BRANCH_SITES_MLP : MEGA_BRANCH_SITES_ATTENTION),
            .no_branch_norm =
                sites == MEGA_BRANCH_SITES_NONE ||
                sites == (mlp ? MEGA_BRANCH_SITES_ATTENTION : MEGA_BRANCH_SITES_MLP),
            .dropout = dropout > 0 ? dropout : o->dropout,
            .site = "branch",
            .factor = half ? 0.5 : 1,
            .scale = (enum mega_branch_scale)o->branch.scale,
            .first = o->branch.first,
            .alpha = mega_transformer_alpha(o),
            .learned = o->residual.scale == MEGA_SCALED_ALL ||
                       (mlp && o->residual.scale == MEGA_SCALED_MLP) });
}

static void set_shift(
    struct mega_transformer_sublayer *s, const struct mega_transformer_options *o)
{
    s->shift = (struct mega_shift){ .steps = mega_ints_at(&o->shift.steps, s->module),
        .two_way = !o->causal,
        .blind = o->shift.mask && s->kind == MEGA_BRANCH_MLP };
}

/* U-Net: the first sublayer of a block in the second half reads what its mirror image began
 * with */
static int64_t mirror_of(const struct mega_transformer *m, int64_t step)
{
    int64_t block = m->plan.block[step], L = m->options.plan.layers;
    bool first = !step || m->plan.block[step - 1] != block;
    return m->options.residual.unet && first && block >= L - L / 2 ? L - 1 - block : -1;
}

static void build_first(mega_build *b, struct mega_transformer *m, int64_t i)
{
    struct mega_transformer_sublayer *s = &m->step[i];
    const struct mega_transformer_options *o = &m->options;
    build_around(b, s, m, m->plan.half[s->module]);
    mega_residual_build(b, &s->residual, &o->residual,
        &(struct mega_residual_place){ .width = o->width,
            .k = i,
            .second = o->placement == MEGA_PLACEMENT_RESIDUAL,
            .skips = mirror_of(m, i) >= 0,
            .views = s->kind == MEGA_BRANCH_ATTENTION });
    set_shift(s, o);
    mega_shift_build(b, &s->shift, o->width);
    if (s->kind == MEGA_BRANCH_MLP)
        build_mlp(b, &s->mlp, s->deep = place_of(&m->plan, s->module), o);
    else
        build_attention(b, m, i, place_of(&m->plan, s->module));
}

/* the parameters of a module that is executed once more, with states of its own */
static void build_again(mega_build *b, struct mega_transformer *m, int64_t i, int64_t first)
{
    struct mega_transformer_sublayer *s = &m->step[i], own = *s;
    *s = m->step[first];
    s->repeat = own.repeat;
    s->drop = own.drop;
    size_t entered = mega_build_enter(b, "again.%d", own.repeat);
    mega_shift_build(b, &s->shift, m->options.width);
    size_t inside = mega_build_enter(b, "attn");
    if (s->kind != MEGA_BRANCH_MLP) mega_attention_states(b, &s->attention);
    mega_build_leave(b, inside);
    mega_build_leave(b, entered);
}

static void build_step(mega_build *b, struct mega_transformer *m, int64_t i)
{
    struct mega_transformer_sublayer *s = &m->step[i];
    int64_t k = m->plan.step[i], first = 0, L = m->options.plan.layers;
    while (m->plan.step[first] != k) first++;
    s->module = k;
    s->kind = m->plan.kind[k];
    s->drop = mega_reals_at(&m->options.plan.layer_dropout, i % m->plan.pass);
    for (int64_t before = 0; before < i; before++) s->repeat += m->plan.step[before] == k;
    snprintf(s->path, sizeof s->path, "sub.%lld", (long long)k);
    size_t entered = mega_build_enter(b, "%s", s->path);
    if (first == i)
        build_first(b, m, i);
    else
        build_again(b, m, i, first);
    mega_build_leave(b, entered);
    bool starts = !i || m->plan.block[i - 1] != m->plan.block[i];
    if (m->options.residual.unet && starts && m->plan.block[i] < L / 2)
        s->residual.keep_as = m->plan.block[i];
    s->residual.skip_from = mirror_of(m, i);
}

/* how many states of the stream, or streams, sublayers keep for those after them */
static int64_t listed_states(const struct mega_transformer *m)
{
    const struct mega_residual_options *o = &m->options.residual;
    if (o->unet) return m->options.plan.layers / 2;
    /* a last one more: what the head reads of pure depth attention */
    if (o->kind == MEGA_RESIDUAL_LIME || o->kind == MEGA_RESIDUAL_DEPTH)
        return m->plan.pass + 1;
    return o->streams > 1 ? o->streams : 0;
}

/* the l-th attention reads the memory of the one `shift_memory` above it (2012.15688) */
static void route_memories(struct mega_transformer *m)
{
    int64_t n = 0, l = 0, shift = m->options.shift_memory;
    for (int64_t i = 0; i < m->plan.steps; i++) n += m->step[i].kind == MEGA_BRANCH_ATTENTION;
    for (int64_t i = 0; i < m->plan.steps; i++) {
        bool own = m->options.wrap_memory && l + shift >= n; /* none lies so far above */
        int64_t from = i, wanted = own ? l : n ? (l + shift) % n : 0;
        if (m->step[i].kind != MEGA_BRANCH_ATTENTION) continue;
        for (from = 0;; from++)
            if (m->step[from].kind == MEGA_BRANCH_ATTENTION && wanted-- == 0) break;
        m->step[i].memory_from = from;
        l++;
    }
}

static void build_plan(mega_build *b, struct mega_transformer *m)
{
    if (!b->status)
        b->status = mega_layer_plan_make(&m->plan, &m->options.plan, &b->store->names);
    if (b->status) return;
    m->listed = listed_states(m);
    m->first = m->first_cross = -1;
    for (int64_t i = m->plan.steps - 1; i >= 0; i--) {
        enum mega_branch_kind kind = m->plan.kind[m->plan.step[i]];
        if (kind == MEGA_BRANCH_ATTENTION) m->first = i;
        if (kind == MEGA_BRANCH_CROSS) m->first_cross = i;
    }
    if (m->listed > MEGA_PASSED_MOST - MEGA_PASSED_LIST) {
        b->status = mega_fail(MEGA_UNSUPPORTED,
            "the stream would keep %lld of its states, but at most %d are supported: expected "
            "fewer layers",
            (long long)m->listed, MEGA_PASSED_MOST - MEGA_PASSED_LIST);
        return;
    }
    m->step = mega_arena_zeroed(&b->store->names, (size_t)m->plan.steps * sizeof *m->step);
    if (!m->step)
        b->status = mega_fail(
            MEGA_NO_MEMORY, "no memory to declare %lld sublayers", (long long)m->plan.steps);
    if (m->options.deep)
        m->deep =
            mega_param_add(b, "deep_emb", (struct mega_init){ MEGA_INIT_CONSTANT, 1, 0 }, 2,
                (int64_t[]){
                    m->options.vocabulary, m->plan.count[MEGA_BRANCH_MLP] * m->options.width });
    mega_stack_build(b, &m->stack, m->plan.steps, (enum mega_recompute)m->options.recompute);
    for (int64_t i = 0; i < m->plan.steps && !b->status; i++) build_step(b, m, i);
    if (!b->status) route_memories(m);
}

static void build_embedding(mega_build *b, struct mega_transformer *m)
{
    const struct mega_transformer_options *o = &m->options;
    mega_transformer_embedding_build(b, &m->embedding, &o->embedding,
        &(struct mega_embedding_place){ .vocabulary = o->vocabulary,
            .width = o->width,
            .longest = o->longest,
            .table = o->table,
            .numbers = o->numbers,
            .causal = o->causal,
            .segments = o->attention.memory > 0,
            .positions = o->positions,
            .position_scale = o->position_scale,
            .dropout = o->dropout,
            .norm = norm_options(o) });
    if (o->residual.streams > 1)
        m->streams =
            mega_param_add(b, "stream_emb", (struct mega_init){ MEGA_INIT_CONSTANT, 0, 0 }, 2,
                (int64_t[]){ o->residual.streams, o->width });
    if (!o->residual.reinject) return;
    struct mega_init zero = { MEGA_INIT_CONSTANT, 0, 0 }, small = { MEGA_INIT_NORMAL, 0, 0.02 };
    size_t entered = mega_build_enter(b, "reinject");
    m->reinject = mega_param_add(b, "weight", zero, 2, (int64_t[]){ o->width, o->width });
    if (o->residual.reinject_gate)
        m->reinject_gate = mega_param_add(b, "gate", small, 2, (int64_t[]){ 1, o->width });
    mega_build_leave(b, entered);
}

/* what all attentions share: position bias, phases */
static void build_shared(mega_build *b, struct mega_transformer *m)
{
    const struct mega_transformer_options *o = &m->options;
    struct mega_attention_options a = mega_transformer_attention(o, 0, false);
    if (b->status) return;
    if (mega_position_bias_wanted(&a.position))
        mega_position_bias_build(b, &m->bias, &a.position, a.heads, o->width, o->causal);
    if (o->recycle > 1) {
        size_t entered = mega_build_enter(b, "recycle");
        m->recycle =
            mega_param_add(b, "weight", (struct mega_init){ MEGA_INIT_NORMAL, 0, 0.02 }, 2,
                (int64_t[]){ o->width, o->width });
        mega_build_leave(b, entered);
    }
    if (o->plan.loops > 1) mega_exit_gate_build(b, &m->exit, &o->exit, o->width);
    if (a.rotary.kind == MEGA_ROTARY_POPE)
        m->phase =
            mega_param_add(b, "pope.phase", (struct mega_init){ MEGA_INIT_CONSTANT, 0, 0 }, 2,
                (int64_t[]){ a.kv_heads, a.keys });
}

static void build_head(mega_build *b, struct mega_transformer *m)
{
    const struct mega_transformer_options *o = &m->options;
    struct mega_norm_options norm = norm_options(o);
    m->has_final_norm = o->final_norm == MEGA_FINAL_NORM_ON ||
                        (o->final_norm == MEGA_FINAL_NORM_AUTO &&
                            mega_placement_ends_with_norm((enum mega_placement)o->placement));
    if (o->residual.kind == MEGA_RESIDUAL_DEPTH && o->residual.depth_pure) {
        size_t outside = mega_build_enter(b, "final");
        mega_depth_build(b, &m->depth,
            o->residual.depth_heads > 1 ? o->residual.depth_heads : 1, o->residual.depth_query,
            o->width);
        mega_build_leave(b, outside);
    }
    size_t entered = mega_build_enter(b, "final_norm");
    if (m->has_final_norm) mega_norm_declare(b, &m->final_norm, &norm);
    mega_build_leave(b, entered);
    if (!o->headless)
        mega_transformer_head_build(b, &m->head, &o->head, o->tied ? m->embedding.table : NULL,
            o->vocabulary, o->width, o->head_bias);
}

void mega_transformer_build(
    mega_build *b, struct mega_transformer *m, const struct mega_transformer_options *o)
{
    *m = (struct mega_transformer){ .options = *o };
    if (!b->status) b->status = mega_transformer_check(o);
    if (!b->status && o->vocabulary < 1 && !o->numbers)
        b->status = mega_fail(MEGA_BAD_ARGUMENT,
            "a Transformer of vocabulary %lld: expected at least 1", (long long)o->vocabulary);
    if (b->status) return;
    build_embedding(b, m);
    build_shared(b, m);
    build_plan(b, m);
    build_head(b, m);
    mega_transformer_init(b, m);
}
