/* A Transformer's pass: embedding, the executions of its plan as blocks, final norm, head. */
#include <string.h>

#include "base/rng.h"
#include "graph/ops.h"
#include "layer/attention_memory.h"
#include "layer/hidden_keys.h"
#include "model/transformer.h"
#include "model/transformer_rules.h"

/* What a block gets: its step, and rows of the context. */
struct execution {
    const struct mega_rows *keys;   /* of self-attention, where training hides some */
    const struct mega_rows *tokens; /* the rows without what was put in: */
    const struct mega_inserted *memory;
    const struct mega_transformer *m;
    const struct mega_transformer_sublayer *s;
    const struct mega_transformer_inputs *in;
};

/* what the segment before left for this attention, as its keys will read it; *memory: as it is
 */
static mega_tensor *remembered(
    mega_run *r, const struct execution *e, mega_tensor *condition, mega_tensor **memory)
{
    const struct mega_transformer_sublayer *from = &e->m->step[e->s->memory_from];
    *memory = mega_attention_memory(r, &from->attention);
    return *memory ? mega_sublayer_read_with(r, &e->s->around, *memory, condition) : NULL;
}

/* u, of whose rows those of tokens are left to the next segment */
static void remember(
    mega_run *r, const struct execution *e, mega_tensor *memory, mega_tensor *u)
{
    if (!memory) return;
    if (e->m->embedding.memory) u = mega_inserted_drop(r, e->memory, u);
    mega_attention_remember(r, &e->s->attention, memory, u, e->tokens);
}

/* the branch of z, which is made of u */
static mega_tensor *attend(mega_run *r, const struct execution *e, struct mega_carry *c,
    const struct mega_residual_turn *turn, mega_tensor *u, mega_tensor *z,
    const struct mega_rows *rows)
{
    const struct mega_sublayer *around = &e->s->around;
    mega_tensor *condition = c->more[MEGA_PASSED_CONDITION];
    const struct mega_attention *a = &e->s->attention;
    bool cross = e->s->kind == MEGA_BRANCH_CROSS;
    mega_tensor **values = &c->more[cross ? MEGA_PASSED_CROSS_VALUES : MEGA_PASSED_VALUES],
                **scores = &c->more[cross ? MEGA_PASSED_CROSS_SCORES : MEGA_PASSED_SCORES];
    struct mega_attention_args args = { .first = *values,
        .penalty = c->more[MEGA_PASSED_PENALTY],
        .before = a->options.score.residual ? *scores : NULL };
    if (cross) {
        args.context = c->more[MEGA_PASSED_CONTEXT];
        args.context_rows = e->in->context_rows;
    } else {
        if (mega_position_bias_wanted(&a->options.position))
            args.bias = c->more[MEGA_PASSED_BIAS];
        args.phase = e->m->phase;
        args.keys = e->keys;
        if (turn->keys)
            args.keys_from = mega_sublayer_read_with(r, around, turn->keys, condition);
        if (turn->values)
            args.values_from = mega_sublayer_read_with(r, around, turn->values, condition);
    }
    mega_tensor *memory = NULL;
    if (a->memory) args.memory = remembered(r, e, condition, &memory);
    mega_tensor *y = mega_attention_run_with(r, a, z, rows, &args);
    remember(r, e, memory, u);
    if (e->m->options.attention.prepare.value_residual && !*values) *values = args.values;
    if (a->options.score.residual) *scores = args.scores;
    c->more[MEGA_PASSED_PENALTY] = args.penalty;
    return y;
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
    bool nothing =
        mlp ? mega_mlp_is_nothing(&s->mlp) : mega_attention_is_nothing(&s->attention);
    if (nothing && mega_sublayer_only_adds(&s->around) &&
        s->residual.kind == MEGA_RESIDUAL_ADD && mega_residual_is_plain(&s->residual))
        return;
    mega_tensor *condition = c->more[MEGA_PASSED_CONDITION],
                *u = mega_residual_read(r, &s->residual, c, &turn),
                *z = mega_sublayer_read_with(r, &s->around, u, condition);
    z = mega_shift_run(r, &s->shift, z, rows);
    mega_tensor *deep = mlp ? c->more[MEGA_PASSED_DEEP] : NULL;
    if (mlp && !paths && !deep && mega_residual_is_plain(&s->residual) &&
        mega_sublayer_is_plain(&s->around)) {
        mega_tensor *x = mega_sublayer_keep(r, &s->around, c->x);
        c->x = mega_sublayer_settle(
            r, &s->around, mega_mlp_add(r, &s->mlp, z, x, &s->around.drop, rows), condition);
        return;
    }
    mega_tensor *y =
        mlp ? mega_mlp_run(r, &s->mlp, z, rows) : attend(r, e, c, &turn, u, z, rows);
    if (deep) {
        int64_t D = e->m->options.width;
        y = gate(r, y, columns(r, deep, s->deep * D, D), MEGA_ACT_LINEAR);
    }
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

/* one table for all self-attentions, long enough for the one that looks furthest */
static mega_tensor *position_bias(
    mega_run *r, const struct mega_transformer *m, const struct mega_rows *rows)
{
    int64_t longest = 1;
    if (!mega_position_bias_wanted(&m->options.attention.position)) return NULL;
    for (int64_t i = 0; i < m->plan.steps; i++) {
        const struct mega_transformer_sublayer *s = &m->step[i];
        if (s->kind != MEGA_BRANCH_ATTENTION || !s->attention.kept.heads) continue;
        int64_t reach = mega_attention_reach(r, &s->attention, rows);
        if (reach > longest) longest = reach;
    }
    return mega_position_bias_run(r, &m->bias, longest);
}

static bool begin(mega_run *r, const struct mega_transformer *m,
    const struct mega_transformer_inputs *in, const struct mega_embedded *e,
    struct mega_carry *c)
{
    mega_tensor *x = e->x;
    const struct mega_rows *rows = e->rows;
    double second = m->step[0].residual.second;
    c->x = x;
    c->n_more = MEGA_PASSED_LIST + (int)m->listed;
    c->more = mega_run_memory(r, (size_t)c->n_more * sizeof *c->more);
    if (!c->more) return false;
    memset(c->more, 0, (size_t)c->n_more * sizeof *c->more);
    c->more[MEGA_PASSED_CONTEXT] = in->context;
    c->more[MEGA_PASSED_CONDITION] = in->condition;
    c->more[MEGA_PASSED_INPUT] = reinjected(r, m, x);
    c->more[MEGA_PASSED_BIAS] = position_bias(r, m, rows);
    if (m->deep) c->more[MEGA_PASSED_DEEP] = embedding(r, m->deep, in->ids, -1, 1);
    if (second > 0) c->more[MEGA_PASSED_SECOND] = second < 1 ? scale(r, x, NULL, second) : x;
    for (int64_t s = 0; m->streams && s < m->streams->dim[0]; s++)
        c->more[MEGA_PASSED_LIST + s] = add(r, x, one_row(r, m->streams, x, s));
    return true;
}

/* out of the last sublayer: clamped, normed */
static mega_tensor *settle(
    mega_run *r, const struct mega_transformer *m, const struct mega_carry *c)
{
    mega_tensor *x = c->x, *second = c->more[MEGA_PASSED_SECOND],
                *condition = c->more[MEGA_PASSED_CONDITION];
    double clamp = m->options.head.clamp;
    for (int64_t s = 1; m->streams && s < m->streams->dim[0]; s++)
        x = add(r, x, c->more[MEGA_PASSED_LIST + s]);
    if (m->depth.heads) {
        mega_tensor **list = c->more + MEGA_PASSED_LIST;
        list[m->plan.pass] = x;
        x = mega_depth_run(r, &m->depth, list, m->plan.pass + 1);
    }
    if (second && m->has_final_norm)
        x = add(r, x, mega_norm_run_with(r, &m->final_norm, second, condition));
    if (clamp > 0) x = soft_clamp(r, x, clamp);
    if (!second && m->has_final_norm) x = mega_norm_run_with(r, &m->final_norm, x, condition);
    return x;
}

/* x without the places that were put in */
static mega_tensor *finish(mega_run *r, const struct mega_transformer *m, mega_tensor *x,
    const struct mega_embedded *e, mega_tensor **classes)
{
    if (m->embedding.memory) x = mega_inserted_drop(r, &e->memory, x);
    if (classes) *classes = m->embedding.classes ? mega_inserted_take(r, &e->classes, x) : NULL;
    return m->embedding.classes ? mega_inserted_drop(r, &e->classes, x) : x;
}

static bool check_inputs(mega_run *r, const struct mega_transformer *m,
    const struct mega_rows *rows, const struct mega_transformer_inputs *in)
{
    bool adaptive = mega_norm_is_adaptive(m->options.norm) ||
                    m->options.branch.scale == MEGA_BRANCH_ADAPTIVE,
         streams = rows->place && mega_transformer_breaks_stream(&m->options);
    mega_status status = MEGA_OK;
    if (adaptive && !in->condition)
        status = mega_fail(MEGA_BAD_ARGUMENT,
            "norm or branch_scale is adaptive, and there is no condition: expected one of "
            "norm_condition channels a place");
    if (streams)
        status = mega_fail(MEGA_UNSUPPORTED,
            "this Transformer cannot read a text piece by piece: %s",
            mega_transformer_breaks_stream(&m->options));
    if (m->deep && !in->ids)
        status = mega_fail(MEGA_BAD_ARGUMENT,
            "ff_deep_embed without tokens: each of them has factors of its own");
    if (status) mega_run_fail(r, status);
    return !mega_run_status(r);
}

/* x, through which no gradient goes */
static mega_tensor *fixed(mega_run *r, mega_tensor *x)
{
    mega_tensor *t = x ? mega_run_input(r, x) : NULL;
    if (!t) return NULL;
    t->wants_grad = false;
    t->grad = NULL;
    t->param = NULL;
    return t;
}

/* what the n-th pass over the stack begins with, after the one before */
static void recycle(mega_run *r, const struct mega_transformer *m,
    const struct mega_transformer_inputs *in, const struct mega_embedded *e,
    struct mega_carry *c)
{
    struct mega_embedded next = *e;
    mega_tensor *given = fixed(r, settle(r, m, c));
    next.x = add(r, e->x, linear(r, given, m->recycle, NULL, MEGA_ACT_LINEAR));
    if (!mega_run_status(r)) begin(r, m, in, &next, c);
}

/* the executions of loop t; n: which pass over the plan this is */
static void run_plan(mega_run *r, const struct mega_transformer *m,
    const struct execution *execution, const struct mega_rows *rows, int64_t t, int64_t n,
    struct mega_carry *c)
{
    for (int64_t i = t * m->plan.pass; i < (t + 1) * m->plan.pass; i++) {
        if (is_left_out(r, m, i)) continue;
        struct mega_block block = { m->step[i].path,
            m->step[i].repeat + (int)(n * m->plan.steps), m->stack.again[i], step,
            &execution[i] };
        mega_run_block(r, &block, c, rows);
    }
}

/* what a loop begins with: x, which the one before gave */
static void begin_loop(mega_run *r, const struct mega_transformer *m,
    const struct mega_transformer_inputs *in, const struct mega_embedded *e, mega_tensor *x,
    struct mega_carry *c)
{
    struct mega_embedded next = *e;
    mega_tensor *penalty = c->more[MEGA_PASSED_PENALTY];
    next.x = x;
    if (!mega_run_status(r) && begin(r, m, in, &next, c))
        c->more[MEGA_PASSED_PENALTY] = penalty;
}

/* Loops: in training what each gave, side by side, otherwise of each place what the loop gave
 * that it was left after. A stream runs through all of them: later tokens look at their keys.
 */
static mega_tensor *loop(mega_run *r, const struct mega_transformer *m,
    const struct mega_transformer_inputs *in, const struct execution *execution,
    const struct mega_embedded *e, const struct mega_rows *rows, struct mega_carry *c)
{
    bool training = mega_run_mode(r) & MEGA_RUN_TRAIN, left = false;
    struct mega_exit_choice choice = { 0 };
    mega_tensor *all = NULL;
    for (int64_t t = 0, n = mega_plan_loops(&m->options.plan, training);
         t < n && (!left || rows->place) && !mega_run_status(r); t++) {
        run_plan(r, m, execution, e->rows, t, 0, c);
        mega_tensor *x = settle(r, m, c), *y = finish(r, m, x, e, NULL);
        if (training)
            all = all ? concat(r, all, y) : y;
        else
            left = mega_exit_take(r, &m->exit, &choice, y, rows);
        if (t + 1 < n) begin_loop(r, m, in, e, x, c);
    }
    return training ? all : choice.y;
}

/* one pass over the plan, or several that each know what the last gave */
static mega_tensor *recycled(mega_run *r, const struct mega_transformer *m,
    const struct mega_transformer_inputs *in, const struct execution *execution,
    const struct mega_embedded *e, struct mega_carry *c, mega_tensor **classes)
{
    run_plan(r, m, execution, e->rows, 0, 0, c);
    for (int64_t n = 1; m->recycle && n < m->options.recycle && !mega_run_status(r); n++) {
        recycle(r, m, in, e, c);
        run_plan(r, m, execution, e->rows, 0, n, c);
    }
    return mega_run_status(r) ? NULL : finish(r, m, settle(r, m, c), e, classes);
}

mega_tensor *mega_transformer_features_of(mega_run *r, const struct mega_transformer *m,
    const struct mega_transformer_inputs *in, const struct mega_rows *rows,
    mega_tensor **classes)
{
    struct mega_embedded e;
    struct mega_carry carry = { 0 };
    if (mega_run_status(r) || !check_inputs(r, m, rows, in)) return NULL;
    mega_transformer_embedding_run(r, &m->embedding, in, rows, &e);
    mega_run_tap(r, "embedded", e.x);
    struct mega_transformer_inputs *kept = mega_run_memory(r, sizeof *kept);
    struct mega_inserted *memory = mega_run_memory(r, sizeof *memory);
    struct execution *execution = mega_run_memory(r, (size_t)m->plan.steps * sizeof *execution);
    if (mega_run_status(r) || !begin(r, m, in, &e, &carry)) return NULL;
    *kept = *in;
    *memory = e.memory;
    const struct mega_rows *tokens = m->embedding.classes ? e.classes.rows : rows;
    const struct mega_attention_score_options *score = &m->options.attention.score;
    const struct mega_rows *keys = mega_hidden_keys(r, e.rows, score->hide, score->hide_fixed);
    for (int64_t i = 0; i < m->plan.steps; i++)
        execution[i] = (struct execution){ keys, tokens, memory, m, &m->step[i], kept };
    mega_tensor *x = m->exit.weight ? loop(r, m, in, execution, &e, rows, &carry)
                                    : recycled(r, m, in, execution, &e, &carry, classes);
    if (mega_run_status(r)) return NULL;
    mega_run_more(r, carry.more[MEGA_PASSED_PENALTY], m->options.attention.z_loss);
    return x;
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
    int64_t D = m->options.width;
    if (x && mega_width(x) > D) x = columns(r, x, mega_width(x) - D, D);
    return x ? mega_transformer_head_run(r, &m->head, x) : NULL;
}
