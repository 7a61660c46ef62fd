#include "model/transformer.h"

#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "graph/ops.h"
#include "model/transformer_init.h"
#include "model/transformer_rules.h"

/* ---- declaration ---- */

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

struct mega_attention_options mega_transformer_attention(
    const struct mega_transformer_options *o, int64_t i)
{
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
    return a;
}

static void build_attention(mega_build *b, struct mega_transformer_sublayer *s, int64_t i,
    const struct mega_transformer_options *o)
{
    struct mega_attention_options a = mega_transformer_attention(o, i);
    size_t entered = mega_build_enter(b, "attn");
    s->empty = !a.heads;
    if (!s->empty)
        mega_attention_build(b, &s->attention, &a);
    else if (a.bias)
        s->attention.o_bias = mega_param_add(
            b, "o.bias", (struct mega_init){ MEGA_INIT_CONSTANT, 0, 0 }, 1, &o->width);
    mega_build_leave(b, entered);
}

static void build_mlp(
    mega_build *b, struct mega_mlp *f, int64_t i, const struct mega_transformer_options *o)
{
    static const struct mega_mlp_names names = { "up", "gate", "down" };
    int64_t hidden = o->ffn_factor > 0 ? (int64_t)(o->ffn_factor * (double)o->width)
                                       : mega_ints_at(&o->ffn, i);
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
            .norm = norm_options(o) });
    mega_build_leave(b, entered);
}

/* the norms and factors around a branch */
static void build_around(mega_build *b, struct mega_transformer_sublayer *s,
    const struct mega_transformer *m, bool half)
{
    const struct mega_transformer_options *o = &m->options;
    bool mlp = s->kind == MEGA_BRANCH_MLP;
    int sites = o->norms.branch_sites;
    double dropout = mega_reals_at(&o->branch.dropout, s->module);
    mega_sublayer_build(b, &s->around,
        &(struct mega_sublayer_options){ .placement = (enum mega_placement)o->placement,
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
    mega_residual_build(b, &s->residual, &o->residual, o->width, i,
        o->placement == MEGA_PLACEMENT_RESIDUAL, mirror_of(m, i) >= 0);
    set_shift(s, o);
    mega_shift_build(b, &s->shift, o->width);
    if (s->kind == MEGA_BRANCH_MLP)
        build_mlp(b, &s->mlp, place_of(&m->plan, s->module), o);
    else
        build_attention(b, s, place_of(&m->plan, s->module), o);
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
    if (s->kind != MEGA_BRANCH_MLP && !s->empty) mega_attention_states(b, &s->attention);
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
    s->drop = mega_reals_at(&m->options.plan.layer_dropout, i);
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
    if (o->kind == MEGA_RESIDUAL_LIME) return m->plan.steps;
    return o->streams > 1 ? o->streams : 0;
}

static void build_plan(mega_build *b, struct mega_transformer *m)
{
    if (!b->status)
        b->status = mega_layer_plan_make(&m->plan, &m->options.plan, &b->store->names);
    if (b->status) return;
    m->listed = listed_states(m);
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
    mega_stack_build(b, &m->stack, m->plan.steps, (enum mega_recompute)m->options.recompute);
    for (int64_t i = 0; i < m->plan.steps && !b->status; i++) build_step(b, m, i);
}

static void build_embedding(mega_build *b, struct mega_transformer *m)
{
    const struct mega_transformer_options *o = &m->options;
    mega_transformer_embedding_build(b, &m->embedding, &o->embedding,
        &(struct mega_embedding_place){ .vocabulary = o->vocabulary,
            .width = o->width,
            .longest = o->longest,
            .numbers = o->numbers,
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

static void build_head(mega_build *b, struct mega_transformer *m)
{
    const struct mega_transformer_options *o = &m->options;
    struct mega_norm_options norm = norm_options(o);
    m->has_final_norm = o->final_norm == MEGA_FINAL_NORM_ON ||
                        (o->final_norm == MEGA_FINAL_NORM_AUTO &&
                            mega_placement_ends_with_norm((enum mega_placement)o->placement));
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
    build_plan(b, m);
    build_head(b, m);
    mega_transformer_init(b, m);
}

/* ---- running ---- */

/* What a block gets: its step, and rows of the context. */
struct execution {
    const struct mega_transformer *m;
    const struct mega_transformer_sublayer *s;
    const struct mega_transformer_inputs *in;
};

/* an attention without heads gives its bias */
static mega_tensor *no_heads(mega_run *r, const struct mega_transformer_sublayer *s,
    mega_tensor *z, const struct mega_rows *rows)
{
    struct mega_attr_squash a;
    memset(&a, 0, sizeof a);
    a.kind = MEGA_SQUASH_LINEAR;
    a.inside = 1;
    struct mega_call c = { .op = &mega_op_squash, .attr = &a };
    c.in[MEGA_SQUASH_X] = z;
    c.in[MEGA_SQUASH_BIAS] = s->attention.o_bias;
    return mask_padding(r, mega_run_call(r, &c, NULL), rows);
}

static mega_tensor *attend(mega_run *r, const struct execution *e, struct mega_carry *c,
    mega_tensor *z, const struct mega_rows *rows)
{
    (void)c;
    if (e->s->empty) return no_heads(r, e->s, z, rows);
    return mega_attention_run(r, &e->s->attention, z, rows);
}

/* stochastic depth by rows: what stays of a branch is rescaled (Larsson et al., 2016) */
static mega_tensor *drop_rows(mega_run *r, const struct mega_transformer_sublayer *s,
    mega_tensor *y, const struct mega_rows *rows)
{
    struct mega_attr_mix a;
    struct mega_now now = mega_run_now(r);
    uint64_t key = mega_hash_join(
        mega_hash_join(now.seed, (uint64_t)now.step), mega_run_site(r, "drop_path"));
    mega_tensor *w = mega_run_tensor(r, MEGA_F32, 3, (int64_t[]){ rows->B, rows->T, 1 });
    memset(&a, 0, sizeof a);
    a.step = 1;
    for (int64_t b = 0; w && w->data && b < rows->B; b++) {
        struct mega_rng g;
        mega_rng_start(&g, key, (uint64_t)mega_rows_number(rows, b));
        float factor = mega_rng_unit(&g) < s->drop ? 0 : (float)(1 / (1 - s->drop));
        for (int64_t t = 0; t < rows->T; t++) ((float *)w->data)[b * rows->T + t] = factor;
    }
    return mega_run_call(
        r, &(struct mega_call){ .op = &mega_op_mix, .in = { w, y }, .attr = &a }, NULL);
}

static void step(
    mega_run *r, const void *self, struct mega_carry *c, const struct mega_rows *rows)
{
    const struct execution *e = self;
    const struct mega_transformer_sublayer *s = e->s;
    struct mega_residual_turn turn;
    bool mlp = s->kind == MEGA_BRANCH_MLP, paths = s->drop > 0 &&
                                                   e->m->options.plan.drop_path &&
                                                   (mega_run_mode(r) & MEGA_RUN_TRAIN);
    mega_tensor *condition = c->more[MEGA_PASSED_CONDITION],
                *u = mega_residual_read(r, &s->residual, c, &turn),
                *z = mega_sublayer_read_with(r, &s->around, u, condition);
    z = mega_shift_run(r, &s->shift, z, rows);
    if (mlp && !paths && mega_residual_is_plain(&s->residual) &&
        mega_sublayer_is_plain(&s->around)) {
        mega_tensor *x = mega_sublayer_keep(r, &s->around, c->x);
        c->x = mega_sublayer_settle(
            r, &s->around, mega_mlp_add(r, &s->mlp, z, x, &s->around.drop, rows), condition);
        return;
    }
    mega_tensor *y = mlp ? mega_mlp_run(r, &s->mlp, z, rows) : attend(r, e, c, z, rows);
    y = mega_sublayer_scale(r, &s->around, y, condition, rows);
    if (paths) y = drop_rows(r, s, y, rows);
    mega_residual_write(r, &s->residual, &s->around, c, &turn, y, rows);
}

/* does training leave this execution out? one draw a step */
static bool is_left_out(const mega_run *r, const struct mega_transformer *m, int64_t i)
{
    const struct mega_transformer_sublayer *s = &m->step[i];
    struct mega_now now = mega_run_now(r);
    struct mega_rng g;
    if (!(mega_run_mode(r) & MEGA_RUN_TRAIN) || !(s->drop > 0) || m->options.plan.drop_path)
        return false;
    uint64_t site = mega_hash_join(mega_hash_text("layer_dropout"), (uint64_t)i);
    mega_rng_start(&g, mega_hash_join(now.seed, (uint64_t)now.step), site);
    return mega_rng_unit(&g) < s->drop;
}

/* what every branch reads of the input: W_i X0, or sigmoid(w X0) of it */
static mega_tensor *reinjected(mega_run *r, const struct mega_transformer *m, mega_tensor *x)
{
    struct mega_attr_mix a;
    if (!m->reinject) return NULL;
    mega_tensor *y = linear(r, x, m->reinject, NULL, MEGA_ACT_LINEAR);
    if (!m->reinject_gate) return y;
    memset(&a, 0, sizeof a);
    a.step = 1;
    mega_tensor *w = linear(r, x, m->reinject_gate, NULL, MEGA_ACT_SIGMOID);
    return mega_run_call(
        r, &(struct mega_call){ .op = &mega_op_mix, .in = { w, y }, .attr = &a }, NULL);
}

/* row s of a table at every place of x */
static mega_tensor *one_row(mega_run *r, mega_tensor *table, mega_tensor *x, int64_t s)
{
    int64_t dim[] = { mega_dim(x, 0), mega_dim(x, 1) };
    mega_tensor *id = mega_run_tensor(r, MEGA_I32, 2, dim);
    for (int64_t i = 0; id && id->data && i < dim[0] * dim[1]; i++)
        ((int32_t *)id->data)[i] = (int32_t)s;
    return embedding(r, table, id, -1, 1);
}

static bool begin(mega_run *r, const struct mega_transformer *m,
    const struct mega_transformer_inputs *in, mega_tensor *x, struct mega_carry *c)
{
    double second = m->step[0].residual.second;
    c->x = x;
    c->n_more = MEGA_PASSED_LIST + (int)m->listed;
    c->more = mega_run_memory(r, (size_t)c->n_more * sizeof *c->more);
    if (!c->more) return false;
    memset(c->more, 0, (size_t)c->n_more * sizeof *c->more);
    c->more[MEGA_PASSED_CONTEXT] = in->context;
    c->more[MEGA_PASSED_CONDITION] = in->condition;
    c->more[MEGA_PASSED_INPUT] = reinjected(r, m, x);
    if (second > 0) c->more[MEGA_PASSED_SECOND] = second < 1 ? scale(r, x, NULL, second) : x;
    for (int64_t s = 0; m->streams && s < m->streams->dim[0]; s++)
        c->more[MEGA_PASSED_LIST + s] = add(r, x, one_row(r, m->streams, x, s));
    return true;
}

/* out of the last sublayer: clamped, normed, without the places that were put in */
static mega_tensor *finish(mega_run *r, const struct mega_transformer *m,
    const struct mega_carry *c, const struct mega_embedded *e, mega_tensor **classes)
{
    mega_tensor *x = c->x, *second = c->more[MEGA_PASSED_SECOND],
                *condition = c->more[MEGA_PASSED_CONDITION];
    double clamp = m->options.head.clamp;
    for (int64_t s = 1; m->streams && s < m->streams->dim[0]; s++)
        x = add(r, x, c->more[MEGA_PASSED_LIST + s]);
    if (second && m->has_final_norm)
        x = add(r, x, mega_norm_run_with(r, &m->final_norm, second, condition));
    if (clamp > 0) x = soft_clamp(r, x, clamp);
    if (!second && m->has_final_norm) x = mega_norm_run_with(r, &m->final_norm, x, condition);
    if (m->embedding.memory) x = mega_inserted_drop(r, &e->memory, x);
    if (classes) *classes = m->embedding.classes ? mega_inserted_take(r, &e->classes, x) : NULL;
    return m->embedding.classes ? mega_inserted_drop(r, &e->classes, x) : x;
}

static bool check_inputs(
    mega_run *r, const struct mega_transformer *m, const struct mega_transformer_inputs *in)
{
    bool adaptive = mega_norm_is_adaptive(m->options.norm) ||
                    m->options.branch.scale == MEGA_BRANCH_ADAPTIVE,
         streams = mega_run_streams(r) && mega_transformer_breaks_stream(&m->options);
    mega_status status = MEGA_OK;
    if (adaptive && !in->condition)
        status = mega_fail(MEGA_BAD_ARGUMENT,
            "norm or branch_scale is adaptive, and there is no condition: expected one of "
            "norm_condition channels a place");
    if (streams)
        status = mega_fail(MEGA_UNSUPPORTED,
            "this Transformer cannot read a text piece by piece: %s",
            mega_transformer_breaks_stream(&m->options));
    if (status) mega_run_fail(r, status);
    return !mega_run_status(r);
}

mega_tensor *mega_transformer_features_of(mega_run *r, const struct mega_transformer *m,
    const struct mega_transformer_inputs *in, const struct mega_rows *rows,
    mega_tensor **classes)
{
    struct mega_embedded e;
    struct mega_carry carry;
    if (mega_run_status(r) || !check_inputs(r, m, in)) return NULL;
    mega_transformer_embedding_run(r, &m->embedding, in, rows, &e);
    struct mega_transformer_inputs *kept = mega_run_memory(r, sizeof *kept);
    struct execution *execution = mega_run_memory(r, (size_t)m->plan.steps * sizeof *execution);
    if (mega_run_status(r) || !begin(r, m, in, e.x, &carry)) return NULL;
    *kept = *in;
    for (int64_t i = 0; i < m->plan.steps; i++) {
        execution[i] = (struct execution){ m, &m->step[i], kept };
        if (is_left_out(r, m, i)) continue;
        struct mega_block block = { m->step[i].path, m->step[i].repeat, m->stack.again[i], step,
            &execution[i] };
        mega_run_block(r, &block, &carry, e.rows);
    }
    return finish(r, m, &carry, &e, classes);
}

mega_tensor *mega_transformer_features(mega_run *r, const struct mega_transformer *m,
    mega_tensor *ids, const struct mega_rows *rows)
{
    struct mega_transformer_inputs in = { .ids = ids };
    return mega_transformer_features_of(r, m, &in, rows, NULL);
}

mega_tensor *mega_transformer_run(mega_run *r, const struct mega_transformer *m,
    mega_tensor *ids, const struct mega_rows *rows)
{
    mega_tensor *x = mega_transformer_features(r, m, ids, rows);
    return x ? mega_transformer_head_run(r, &m->head, x) : NULL;
}
