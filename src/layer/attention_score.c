#include "layer/attention_score.h"

#include <math.h>

#include "graph/ops.h"
#include "layer/kept_rows.h"

/* ---- declaration ---- */

/* width of a query or key head when it meets others */
static int64_t met(const struct mega_attention_options *o)
{
    return o->rotary.kind == MEGA_ROTARY_POPE ? 2 * o->keys : o->keys;
}

/* places that a query looks back; 0: all */
static int64_t looks_back(const struct mega_attention_options *o)
{
    int64_t window = o->chunk > 0 ? o->chunk : 0, past = o->score.past;
    return past && (!window || past < window) ? past : window;
}

static struct mega_cell *declare_log(
    mega_build *b, const char *name, int64_t width, const struct mega_attention_options *o)
{
    struct mega_cell *c = mega_cell_add(b, name, MEGA_CELL_LOG, MEGA_F32, 1, &width, 0);
    if (c) c->window = looks_back(o);
    return c;
}

static void declare_gates(mega_build *b, const char *name, mega_tensor **weight,
    mega_tensor **bias, const struct mega_attention_options *o)
{
    struct mega_init small = { MEGA_INIT_NORMAL, 0, 0.02 }, open = { MEGA_INIT_CONSTANT, 5, 0 };
    size_t entered = mega_build_enter(b, "%s", name);
    *weight = mega_param_add(b, "weight", small, 2, (int64_t[]){ o->heads, o->width });
    *bias = mega_param_add(b, "bias", open, 1, &o->heads);
    mega_build_leave(b, entered);
}

static void declare_forget(
    mega_build *b, struct mega_attention_score *s, const struct mega_attention_options *o)
{
    declare_gates(b, "forget", &s->forget, &s->forget_bias, o);
    if (!o->causal) declare_gates(b, "forget_back", &s->forget_back, &s->forget_back_bias, o);
}

/* Transformer-XL: what queries add for content and for places, and the sines' projection */
static void declare_xl(
    mega_build *b, struct mega_attention_score *s, const struct mega_attention_options *o)
{
    struct mega_init small = { MEGA_INIT_NORMAL, 0, 0.02 }, zero = { MEGA_INIT_CONSTANT, 0, 0 };
    int64_t heads[] = { o->heads, o->keys };
    s->xl_u = mega_param_add(b, "xl_u", zero, 2, heads);
    s->xl_v = mega_param_add(b, "xl_v", zero, 2, heads);
    size_t entered = mega_build_enter(b, "xl_r");
    s->xl_r =
        mega_param_add(b, "weight", small, 2, (int64_t[]){ o->heads * o->keys, o->width });
    mega_build_leave(b, entered);
}

static void declare_row_gates(
    mega_build *b, struct mega_attention_score *s, const struct mega_attention_options *o)
{
    struct mega_init small = { MEGA_INIT_NORMAL, 0, 0.02 };
    int64_t dim[] = { o->heads * o->position.row_keys, o->width };
    size_t entered = mega_build_enter(b, "forget");
    s->row_q = mega_param_add(b, "q", small, 2, dim);
    s->row_k = mega_param_add(b, "k", small, 2, dim);
    mega_build_leave(b, entered);
}

static void declare_positions(
    mega_build *b, struct mega_attention_score *s, const struct mega_attention_options *o)
{
    const struct mega_position_bias_options *p = &o->position;
    struct mega_init small = { MEGA_INIT_NORMAL, 0, 0.02 }, zero = { MEGA_INIT_CONSTANT, 0, 0 };
    if (o->cross) return;
    if (p->kind == MEGA_REL_POS_FORGET) declare_forget(b, s, o);
    if (p->kind == MEGA_REL_POS_COPE)
        s->cope = mega_param_add(b, "cope", zero, 2, (int64_t[]){ p->cope_positions, met(o) });
    if (p->kind == MEGA_REL_POS_XL) declare_xl(b, s, o);
    if (p->kind == MEGA_REL_POS_FORGET_ROW) declare_row_gates(b, s, o);
    if (p->kind != MEGA_REL_POS_REL_PROJ) return;
    size_t entered = mega_build_enter(b, "rel_proj");
    s->proj =
        mega_param_add(b, "weight", small, 2, (int64_t[]){ o->heads * p->proj_rank, o->width });
    mega_build_leave(b, entered);
    s->bank =
        mega_param_add(b, "rel_bank", small, 2, (int64_t[]){ p->proj_rank, p->proj_reach });
}

void mega_attention_score_build(
    mega_build *b, struct mega_attention_score *s, const struct mega_attention_options *o)
{
    const struct mega_attention_score_options *a = &o->score;
    struct mega_init same = { MEGA_INIT_IDENTITY, 0, 0 }, zero = { MEGA_INIT_CONSTANT, 0, 0 };
    int64_t square[] = { o->heads, o->heads };
    if (a->sink) s->sink = mega_param_add(b, "sink", zero, 1, &o->heads);
    if (a->talking & MEGA_TALKING_PRE)
        s->talk_pre = mega_param_add(b, "talk_pre", same, 2, square);
    if (a->talking & MEGA_TALKING_POST)
        s->talk_post = mega_param_add(b, "talk_post", same, 2, square);
    if (a->talking_scaled) s->talk_scaled = mega_param_add(b, "talk_scaled", same, 2, square);
    declare_positions(b, s, o);
    if (o->clip > 0) {
        s->peaks = mega_arena_zeroed(&b->store->names, (size_t)o->heads * sizeof *s->peaks);
        if (!s->peaks && !b->status)
            b->status = mega_fail(MEGA_NO_MEMORY, "no memory for the largest scores");
    }
    mega_attention_score_states(b, s, o);
}

void mega_attention_score_states(
    mega_build *b, struct mega_attention_score *s, const struct mega_attention_options *o)
{
    s->past_keys = s->past_values = s->past_decay = s->decay = NULL;
    s->past_rows = s->faded = NULL;
    if (s->forget && o->causal) {
        s->past_decay = declare_log(b, "forget.log", o->heads, o);
        s->decay = mega_cell_add(b, "forget.sum", MEGA_CELL_ROW, MEGA_F32, 1, &o->heads, 0);
    }
    if (!o->causal || o->cross || o->memory) return;
    if (s->row_k)
        s->past_rows = declare_log(b, "forget.keys", o->heads * o->position.row_keys, o);
    if (o->score.selective) s->faded = declare_log(b, "faded", 1, o);
    if (s->faded) s->faded->whole = true;
    if (o->prepare.kv_latent) { /* whose first channels are the values */
        s->past_keys = declare_log(b, "latent", o->prepare.kv_latent + o->rotary.dims, o);
        return;
    }
    s->past_keys = declare_log(b, "keys", o->kv_heads * met(o), o);
    s->past_values = declare_log(b, "values", o->kv_heads * o->values, o);
}

/* ---- running ---- */

static void fill(
    struct mega_attr_attention *a, const struct mega_attention_options *o, bool trains)
{
    const struct mega_attention_score_options *s = &o->score;
    memset(a, 0, sizeof *a);
    a->fn = (enum mega_attention_fn)s->fn;
    a->causal = o->causal && !o->cross;
    a->chunk = o->cross ? -1 : o->chunk;
    a->dropout = o->dropout;
    a->heads = o->heads;
    a->kv_heads = o->kv_heads;
    a->scale = mega_attention_scale(o);
    a->exec = (enum mega_attention_exec)s->exec;
    a->reach = s->past && !o->cross ? s->past + 1 : 0;
    a->prefix = o->cross ? 0 : s->prefix;
    a->zeros = s->zeros;
    a->l2 = s->l2;
    a->clamp = s->clamp;
    a->selective = s->selective;
    a->scores = s->residual;
    a->full = s->residual && s->carry;
    if (s->fn == MEGA_ATTENTION_TOPK) {
        a->top = s->top;
        a->through = s->through;
    }
    if (s->fn == MEGA_ATTENTION_SIGMOID && s->sigmoid_bias == MEGA_SIGMOID_NEG_LOG)
        a->sigmoid_bias = -log((double)o->longest);
    if (s->fn != MEGA_ATTENTION_GUMBEL) return;
    a->temperature = s->temperature;
    a->through = s->gumbel_hard;
    if (!s->gumbel_eval || trains) return;
    a->fn = MEGA_ATTENTION_HARD;
    a->through = false;
}

/* heads that the call is for: all that are left, or a part of them */
static struct mega_head_part heads_of(const struct mega_attention_score_args *args)
{
    if (args->part) return *args->part;
    return (struct mega_head_part){ 0, args->kept->heads, 0, args->kept->groups };
}

/* of a parameter with rows for each head that is left, those of the call's heads */
static mega_tensor *own_rows(
    mega_run *r, mega_tensor *x, const struct mega_attention_score_args *args)
{
    struct mega_head_part p = heads_of(args);
    return mega_rows_of_units(r, x, p.head, p.heads, args->kept->heads);
}

/* columns of the call's heads */
static mega_tensor *own_columns(
    mega_run *r, mega_tensor *x, const struct mega_attention_score_args *args)
{
    struct mega_head_part p = heads_of(args);
    int64_t channels = x ? mega_width(x) / args->kept->heads : 0;
    return x && args->part ? columns(r, x, p.head * channels, p.heads * channels) : x;
}

/* rows of the call's heads of a table [H, n], for an op that goes over rows itself */
static mega_tensor *own_table(
    mega_run *r, mega_tensor *x, const struct mega_attention_score_args *args)
{
    return args->part ? transpose(r, own_columns(r, transpose(r, x), args)) : x;
}

/* of parts the last one leaves what a stream keeps of all */
static bool is_last(const struct mega_attention_score_args *args)
{
    struct mega_head_part p = heads_of(args);
    return p.head + p.heads == args->kept->heads;
}

/* x and a number for each of its columns */
static mega_tensor *shifted(mega_run *r, mega_tensor *x, mega_tensor *by)
{
    struct mega_attr_squash a;
    memset(&a, 0, sizeof a);
    a.kind = MEGA_SQUASH_LINEAR;
    a.factor = a.inside = 1;
    struct mega_call c = { .op = &mega_op_squash, .attr = &a };
    c.in[MEGA_SQUASH_X] = x;
    c.in[MEGA_SQUASH_BIAS] = by;
    return mega_run_call(r, &c, NULL);
}

/* (q + u) k, and (q + v) of each head with its W_r r of every distance, a bank of its own */
static void relate(mega_run *r, const struct mega_attention_score *s,
    const struct mega_attention_options *o, const struct mega_attention_score_args *args,
    struct mega_call *c, struct mega_attr_attention *a)
{
    mega_tensor *q = c->in[MEGA_ATTENTION_Q];
    double by = mega_attention_scale(o);
    c->in[MEGA_ATTENTION_Q] = shifted(r, q, own_table(r, s->xl_u, args));
    c->in[MEGA_ATTENTION_SHARE] = scale(r, shifted(r, q, own_table(r, s->xl_v, args)), NULL,
        by > 0 ? by : 1 / sqrt((double)o->keys));
    c->in[MEGA_ATTENTION_BANK] =
        own_rows(r, linear(r, s->xl_r, args->bias, NULL, MEGA_ACT_LINEAR), args);
    a->ahead = o->causal ? 0 : mega_dim(args->bias, 0) / 2;
}

/* returns the keys of all heads' gates */
static mega_tensor *forget_rows(mega_run *r, const struct mega_attention_score *s,
    const struct mega_attention_score_args *args, struct mega_call *c)
{
    mega_tensor *q = linear(r, args->z, s->row_q, NULL, MEGA_ACT_LINEAR),
                *k = linear(r, args->z, s->row_k, NULL, MEGA_ACT_LINEAR);
    c->in[MEGA_ATTENTION_GATE_Q] = own_columns(r, q, args);
    c->in[MEGA_ATTENTION_GATE_K] = own_columns(r, k, args);
    if (s->past_rows)
        c->in[MEGA_ATTENTION_PAST_GATE_K] =
            own_columns(r, mega_cell_get(r, s->past_rows), args);
    return k;
}

/* what training wants to know of the scores: only while it trains */
static void ask(mega_run *r, const struct mega_attention_score *s,
    const struct mega_attention_options *o, struct mega_attr_attention *a)
{
    bool trains = mega_run_mode(r) & MEGA_RUN_TRAIN;
    a->log_sum = trains && o->z_loss > 0;
    a->peak = trains && s->peaks;
}

/* the largest scores so far; another pass of the same block finds the same */
static void note_peaks(mega_run *r, const struct mega_attention_score *s, mega_tensor *of,
    const struct mega_head_part *part)
{
    if (!of) return;
    mega_run_need(r, of);
    for (int64_t i = 0; of->data && i < mega_height(of); i++)
        for (int64_t h = 0; h < mega_width(of); h++) {
            float *most = &s->peaks[h + (part ? part->head : 0)];
            *most = fmaxf(*most, (float)mega_get(of, i, h));
        }
}

/* sum_h log_sum^2 of each real query, over all attentions */
static void penalise(mega_run *r, struct mega_attention_score_args *args, mega_tensor *log_sum)
{
    if (!log_sum) return;
    mega_tensor *one = mega_run_tensor(r, MEGA_F32, 2, (int64_t[]){ 1, mega_width(log_sum) });
    for (int64_t h = 0; one && one->data && h < one->dim[1]; h++) mega_put(one, 0, h, 1);
    mega_tensor *z =
        linear(r, gate(r, log_sum, log_sum, MEGA_ACT_LINEAR), one, NULL, MEGA_ACT_LINEAR);
    z = mask_padding(r, z, args->rows);
    args->penalty = args->penalty ? add(r, args->penalty, z) : z;
}

/* running sums of the logarithms of forget gates, and those after the last place */
static struct mega_call sum_gates(mega_run *r, mega_tensor *z, mega_tensor *weight,
    mega_tensor *bias, mega_tensor *before, const struct mega_rows *rows)
{
    struct mega_attr_forget a = { before != NULL };
    struct mega_call sums = { .op = &mega_op_forget, .attr = &a, .rows = rows };
    sums.in[MEGA_FORGET_X] = linear(r, z, weight, bias, MEGA_ACT_LINEAR);
    sums.in[MEGA_FORGET_BEFORE] = before;
    mega_run_call(r, &sums, NULL);
    return sums;
}

/* returns those of all heads */
static mega_tensor *decay(mega_run *r, const struct mega_attention_score *s,
    const struct mega_attention_score_args *args, struct mega_call *c)
{
    mega_tensor *before = s->decay ? mega_cell_get(r, s->decay) : NULL;
    struct mega_call sums =
        sum_gates(r, args->z, s->forget, s->forget_bias, before, args->rows);
    mega_tensor *all = sums.out[0];
    c->in[MEGA_ATTENTION_DECAY] = own_columns(r, all, args);
    if (s->decay) {
        c->in[MEGA_ATTENTION_PAST_DECAY] =
            own_columns(r, mega_cell_get(r, s->past_decay), args);
        if (is_last(args)) mega_cell_set(r, s->decay, sums.out[1]);
    }
    if (!s->forget_back) return all;
    sums = sum_gates(r, args->z, s->forget_back, s->forget_back_bias, NULL, args->rows);
    c->in[MEGA_ATTENTION_DECAY_BACK] = own_columns(r, sums.out[0], args);
    return all;
}

/* the past of a part of the groups */
static mega_tensor *cut(
    mega_run *r, mega_tensor *past, const struct mega_head_part *p, int64_t channels)
{
    return past && p ? columns(r, past, p->group * channels, p->groups * channels) : past;
}

static void look_back(mega_run *r, const struct mega_attention_score *s,
    const struct mega_attention_options *o, struct mega_call *c, const struct mega_head_part *p)
{
    if (!s->past_keys) return;
    mega_tensor *k = mega_cell_get(r, s->past_keys);
    c->in[MEGA_ATTENTION_PAST_K] = cut(r, k, p, met(o));
    if (s->past_values)
        c->in[MEGA_ATTENTION_PAST_V] = cut(r, mega_cell_get(r, s->past_values), p, o->values);
    else if (k)
        c->in[MEGA_ATTENTION_PAST_V] = columns(r, k, 0, o->prepare.kv_latent);
}

/* what the heads' places add to scores: by the numbers that they had among all */
static mega_tensor *own_bias(mega_run *r, const struct mega_attention_score *s,
    const struct mega_attention_score_args *args)
{
    struct mega_head_part p = heads_of(args);
    return s->xl_r ? NULL : mega_kept_rows(r, args->bias, args->kept->number + p.head, p.heads);
}

void mega_attention_score_keep(
    mega_run *r, const struct mega_attention_score *s, const struct mega_attention_heads *h)
{
    if (!s->past_keys) return;
    mega_cell_set(r, s->past_keys, h->k);
    if (s->past_values) mega_cell_set(r, s->past_values, h->v);
}

mega_tensor *mega_attention_score_run(mega_run *r, const struct mega_attention_score *s,
    const struct mega_attention_options *o, const struct mega_attention_heads *h,
    struct mega_attention_score_args *args)
{
    struct mega_attr_attention a;
    fill(&a, o, mega_run_mode(r) & MEGA_RUN_TRAIN);
    a.weights = mega_run_wants(r, "weights");
    ask(r, s, o, &a);
    if (args->segments) {
        a.segment = o->segment;
        a.memory = o->memory;
    }
    struct mega_call c = { .op = &mega_op_attention,
        .attr = &a,
        .rows = args->rows,
        .keys = args->keys,
        .in = { [MEGA_ATTENTION_Q] = h->q,
            [MEGA_ATTENTION_K] = h->k,
            [MEGA_ATTENTION_V] = h->v,
            [MEGA_ATTENTION_BIAS] = own_bias(r, s, args),
            [MEGA_ATTENTION_PREFIX_K] = h->prefix_k,
            [MEGA_ATTENTION_PREFIX_V] = h->prefix_v,
            [MEGA_ATTENTION_SINK] = own_rows(r, s->sink, args),
            [MEGA_ATTENTION_BANK] = s->bank,
            [MEGA_ATTENTION_TALK_PRE] = s->talk_pre,
            [MEGA_ATTENTION_TALK_POST] = s->talk_post,
            [MEGA_ATTENTION_TALK_SCALED] = s->talk_scaled,
            [MEGA_ATTENTION_COPE] = s->cope,
            [MEGA_ATTENTION_BEFORE] = args->before } };
    mega_tensor *sums = NULL, *gates = NULL;
    look_back(r, s, o, &c, args->part);
    if (s->forget) sums = decay(r, s, args, &c);
    if (s->xl_r) relate(r, s, o, args, &c, &a);
    if (s->row_q) gates = forget_rows(r, s, args, &c);
    if (s->faded) c.in[MEGA_ATTENTION_PAST_FADED] = mega_cell_get(r, s->faded);
    if (s->proj)
        c.in[MEGA_ATTENTION_SHARE] =
            own_columns(r, linear(r, args->z, s->proj, NULL, MEGA_ACT_LINEAR), args);
    mega_tensor *out = mega_run_call(r, &c, args->site ? args->site : "weights");
    mega_run_tap(r, "weights", c.out[1]);
    args->scores = c.out[2];
    note_peaks(r, s, c.out[MEGA_ATTENTION_PEAK], args->part);
    penalise(r, args, c.out[MEGA_ATTENTION_LOG_SUM]);
    if (s->past_decay && is_last(args)) mega_cell_set(r, s->past_decay, sums);
    if (s->past_rows && is_last(args)) mega_cell_set(r, s->past_rows, gates);
    if (s->faded) mega_cell_set(r, s->faded, c.out[MEGA_ATTENTION_FADED]);
    /* without a stream latent attention has keys of another width, and none to keep */
    if (!args->part && c.in[MEGA_ATTENTION_PAST_K]) mega_attention_score_keep(r, s, h);
    return out;
}
