#include "layer/attention.h"

#include "graph/ops.h"

const struct mega_attention_names mega_attention_official = { "q_proj", "k_proj", "v_proj",
    "out_proj" };

/* a projection [rows, columns] and, if wanted, its bias */
static mega_tensor *declare(mega_build *b, const char *name, int64_t rows, int64_t columns,
    mega_tensor **bias, bool biased)
{
    struct mega_init small = { MEGA_INIT_NORMAL, 0, 0.02 }, zero = { MEGA_INIT_CONSTANT, 0, 0 };
    size_t entered = mega_build_enter(b, "%s", name);
    mega_tensor *weight = mega_param_add(b, "weight", small, 2, (int64_t[]){ rows, columns });
    if (biased) *bias = mega_param_add(b, "bias", zero, 1, &rows);
    mega_build_leave(b, entered);
    return weight;
}

void mega_attention_build(
    mega_build *b, struct mega_attention *m, const struct mega_attention_options *o)
{
    static const struct mega_attention_names plain = { "q", "k", "v", "o" };
    const struct mega_attention_names *names = o->names ? o->names : &plain;
    *m = (struct mega_attention){ .options = *o };
    if (!b->status) b->status = mega_attention_check(o);
    if (b->status) return;
    int64_t D = o->width, H = o->heads, G = o->kv_heads, C = o->context ? o->context : D;
    bool wide = o->output.on_attn == MEGA_ON_ATTENTION_PAPER; /* which has a bias by itself */
    m->q = declare(b, names->q, H * o->keys, D, &m->q_bias, o->bias);
    m->k = declare(b, names->k, G * o->keys, o->cross ? C : D, &m->k_bias, o->bias);
    m->v = declare(b, names->v, G * o->values, o->cross ? C : D, &m->v_bias, o->bias);
    m->o = declare(b, names->o, mega_attention_output_makes(o), mega_attention_output_reads(o),
        &m->o_bias, o->bias || wide);
    mega_attention_prepare_build(b, &m->prepare, o);
    mega_attention_score_build(b, &m->score, o);
    mega_attention_output_build(b, &m->output, o);
}

int64_t mega_attention_reach(
    mega_run *r, const struct mega_attention *m, const struct mega_rows *rows)
{
    const mega_tensor *past = m->score.past_keys ? mega_cell_get(r, m->score.past_keys) : NULL;
    int64_t chunk = m->options.chunk;
    if (chunk > 0 && (past || chunk < rows->T)) return chunk;
    return past ? past->dim[1] : rows->T;
}

/* a context where there should be one, and none elsewhere */
static bool fits(mega_run *r, const struct mega_attention *m, struct mega_attention_args *a)
{
    bool given = a->context && a->context_rows;
    if (m->options.cross == given || mega_run_status(r)) return true;
    mega_run_fail(r,
        mega_fail(MEGA_BAD_ARGUMENT,
            m->options.cross ? "cross-attention without a context: expected one with its rows"
                             : "a context for self-attention: expected none, or cross_attend"));
    return false;
}

mega_tensor *mega_attention_run_with(mega_run *r, const struct mega_attention *m,
    mega_tensor *z, const struct mega_rows *rows, struct mega_attention_args *args)
{
    const struct mega_attention_options *o = &m->options;
    if (!fits(r, m, args)) return NULL;
    mega_tensor *from = o->cross ? args->context : z;
    struct mega_attention_heads h = {
        .q = linear(r, z, m->q, m->q_bias, MEGA_ACT_LINEAR),
        .k = linear(r, from, m->k, m->k_bias, MEGA_ACT_LINEAR),
        .v = linear(r, from, m->v, m->v_bias, MEGA_ACT_LINEAR),
    };
    const struct mega_rows *keys = o->cross ? args->context_rows : NULL;
    struct mega_attention_output_args out = {
        .z = z, .q = h.q, .v = h.v, .gate = args->gate, .rows = rows
    };
    args->values = h.v;
    mega_attention_prepare_run(
        r, &m->prepare, o, &h, from, args->first, args->phase, rows, keys ? keys : rows);
    struct mega_attention_score_args score = {
        .z = z, .bias = args->bias, .before = args->before, .rows = rows, .keys = keys
    };
    mega_tensor *y = mega_attention_score_run(r, &m->score, o, &h, &score);
    args->scores = score.scores;
    return mega_attention_output_run(r, &m->output, o, y, m->o, m->o_bias, &out);
}

void mega_attention_states(mega_build *b, struct mega_attention *m)
{
    mega_attention_score_states(b, &m->score, &m->options);
}

mega_tensor *mega_attention_run(
    mega_run *r, const struct mega_attention *m, mega_tensor *z, const struct mega_rows *rows)
{
    return mega_attention_run_with(r, m, z, rows, &(struct mega_attention_args){ 0 });
}
