#include "layer/attention.h"

#include <stdio.h>

#include "graph/ops.h"
#include "layer/attention_memory.h"
#include "layer/constant.h"
#include "layer/hidden_keys.h"
#include "layer/kept_rows.h"

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

/* what is left of a projection without heads */
static void declare_bias(
    mega_build *b, const char *name, int64_t rows, mega_tensor **bias, bool biased)
{
    struct mega_init zero = { MEGA_INIT_CONSTANT, 0, 0 };
    size_t entered = mega_build_enter(b, "%s", name);
    if (biased) *bias = mega_param_add(b, "bias", zero, 1, &rows);
    mega_build_leave(b, entered);
}

static struct mega_cell *declare_state(
    mega_build *b, const char *name, int64_t places, int64_t width)
{
    return mega_cell_add(b, name, MEGA_CELL_ROW, MEGA_F32, 2, (int64_t[]){ places, width }, 0);
}

static void declare_states(mega_build *b, struct mega_attention *m)
{
    const struct mega_attention_options *o = &m->used;
    int64_t places = o->context_places, G = o->kv_heads;
    if (o->memory) m->memory = declare_state(b, "memory", o->memory, o->width);
    if (!places) return;
    m->context_keys = declare_state(b, "context.keys", places, G * o->keys);
    m->context_values = declare_state(b, "context.values", places, G * o->values);
}

static void declare_projections(
    mega_build *b, struct mega_attention *m, const struct mega_attention_names *names)
{
    const struct mega_attention_options *o = &m->used;
    int64_t D = o->width, H = o->heads, G = o->kv_heads;
    int64_t from = o->cross && o->context ? o->context : D;
    bool wide = o->output.on_attn == MEGA_ON_ATTENTION_PAPER; /* which has a bias by itself */
    if (o->prepare.kv_latent) {
        mega_attention_latent_build(b, &m->latent, o, names->q);
    } else {
        m->q = declare(b, names->q, H * o->keys, D, &m->q_bias, o->bias);
        m->k = declare(b, names->k, G * o->keys, from, &m->k_bias, o->bias);
        m->v = declare(b, names->v, G * o->values, from, &m->v_bias, o->bias);
    }
    m->o = declare(b, names->o, mega_attention_output_makes(o), mega_attention_output_reads(o),
        &m->o_bias, o->bias || wide);
}

static void declare_gates(mega_build *b, struct mega_attention *m)
{
    const struct mega_attention_options *o = &m->used;
    int kind = o->cross ? o->gates.cross : o->gates.kind,
        groups = o->cross ? MEGA_GATES_NONE : o->gates.groups;
    mega_unit_gates_build(b, &m->gates, "gate", kind, o->heads, o->values, &o->gates);
    if (!b->status && groups && m->kept.parts > 1)
        b->status = mega_fail(MEGA_BAD_ARGUMENT,
            "group_gates does not go with kept_heads '%s': groups of unlike numbers of heads "
            "are "
            "left, expected head_gates",
            o->kept);
    mega_unit_gates_build(b, &m->group_gates, "group_gate", groups, o->kv_heads,
        o->heads / o->kv_heads * o->values, &o->gates);
}

/* of the heads that turn, the last ones of all, as many as are left */
static void keep_turning(struct mega_attention *m)
{
    struct mega_rotary_options *o = &m->used.rotary;
    int64_t first = m->options.heads - o->heads, left = 0;
    if (!o->heads) return;
    for (int64_t k = 0; k < m->kept.heads; k++) left += m->kept.number[k] >= first;
    o->heads = left < m->kept.heads ? left : 0;
    if (left) return;
    o->kind = MEGA_ROTARY_NONE;
    o->dims = 0;
}

void mega_attention_build(
    mega_build *b, struct mega_attention *m, const struct mega_attention_options *options)
{
    static const struct mega_attention_names plain = { "q", "k", "v", "o" };
    const struct mega_attention_names *names = options->names ? options->names : &plain;
    *m = (struct mega_attention){ .options = *options, .used = *options };
    struct mega_attention_options *o = &m->used;
    if (!b->status) b->status = mega_attention_check(o);
    if (b->status) return;
    mega_kept_heads_build(b, &m->kept, o->kept, o->layer, o->heads, o->kv_heads);
    o->heads = m->kept.heads;
    o->kv_heads = m->kept.groups;
    if (!b->status) keep_turning(m);
    if (!b->status && !o->heads) {
        declare_bias(b, names->o, o->width, &m->o_bias, o->bias);
        return;
    }
    declare_projections(b, m, names);
    declare_gates(b, m);
    mega_attention_prepare_build(b, &m->prepare, o);
    mega_attention_score_build(b, &m->score, o);
    mega_attention_output_build(b, &m->output, o);
    if (m->score.peaks)
        mega_clip_add(b, &(struct mega_clip){ .q = m->q,
                             .q_bias = m->q_bias,
                             .k = m->k,
                             .k_bias = m->k_bias,
                             .heads = o->heads,
                             .groups = o->kv_heads,
                             .most = o->clip,
                             .peak = m->score.peaks });
    declare_states(b, m);
}

double mega_attention_gate(const struct mega_attention *m, int64_t k)
{
    int64_t group = m->group_gates.heads ? k / (m->used.heads / m->used.kv_heads) : 0;
    return mega_head_gates_value(&m->gates, k) * mega_head_gates_value(&m->group_gates, group);
}

bool mega_attention_is_nothing(const struct mega_attention *m)
{
    return !m->used.heads && !m->o_bias;
}

/* a bank of distances is made anew for every pass: no more of them than places so far */
static int64_t longest_distance(
    const struct mega_attention *m, const struct mega_rows *rows, const mega_tensor *past)
{
    const struct mega_attention_options *o = &m->options;
    int64_t most = 0, reach = o->score.past ? o->score.past + 1 : 0;
    for (int64_t b = 0; past && b < rows->B; b++)
        if (mega_rows_place(rows, b) > most) most = mega_rows_place(rows, b);
    most += rows->T;
    if (o->chunk > 0 && o->chunk < most) most = o->chunk;
    return reach && reach < most ? reach : most;
}

int64_t mega_attention_reach(
    mega_run *r, const struct mega_attention *m, const struct mega_rows *rows)
{
    const mega_tensor *past = m->score.past_keys ? mega_cell_get(r, m->score.past_keys) : NULL;
    int64_t chunk = m->options.chunk;
    if (m->options.memory) return rows->T + m->options.memory;
    if (m->score.xl_r) return longest_distance(m, rows, past);
    if (chunk > 0 && (past || chunk < rows->T)) return chunk;
    return past ? past->dim[1] : rows->T;
}

/* a context where there should be one, and none elsewhere */
static bool fits(mega_run *r, const struct mega_attention *m, struct mega_attention_args *a)
{
    const char *wrong = NULL;
    bool kept = m->context_keys && mega_cell_get(r, m->context_keys);
    bool given = a->context != NULL;
    if (m->options.cross && (!a->context_rows || !(given || kept)))
        wrong = "cross-attention without a context: expected one with its rows";
    if (!m->options.cross && (given || a->context_rows))
        wrong = "a context for self-attention: expected none, or cross_attend";
    if (kept && a->context_rows && a->context_rows->T != m->options.context_places)
        wrong = "a context of other places than the stream keeps: expected it padded to these";
    if (!wrong || mega_run_status(r)) return true;
    mega_run_fail(r, mega_fail(MEGA_BAD_ARGUMENT, "%s", wrong));
    return false;
}

/* keys and values of the memory before those of the call, of which some may be hidden; returns
 * their rows */
static const struct mega_rows *remember(mega_run *r, const struct mega_attention *m,
    struct mega_attention_heads *h, mega_tensor *memory, const struct mega_rows *rows,
    const struct mega_rows *hidden)
{
    if (!memory) return rows;
    mega_tensor *k = linear(r, memory, m->k, m->k_bias, MEGA_ACT_LINEAR),
                *v = linear(r, memory, m->v, m->v_bias, MEGA_ACT_LINEAR);
    h->k = mega_attention_join(r, k, h->k, 0, rows);
    h->v = mega_attention_join(r, v, h->v, 0, rows);
    return mega_attention_memory_rows(r, mega_dim(memory, 1), hidden ? hidden : rows);
}

/* keys and values of a context, which a stream keeps once they are there */
static void keep_context(
    mega_run *r, const struct mega_attention *m, struct mega_attention_heads *h)
{
    if (!m->context_keys) return;
    if (!h->k) {
        h->k = mega_cell_get(r, m->context_keys);
        h->v = mega_cell_get(r, m->context_values);
        return;
    }
    mega_run_need(r, h->k);
    mega_run_need(r, h->v);
    mega_cell_set(r, m->context_keys, h->k);
    mega_cell_set(r, m->context_values, h->v);
}

/* columns of some heads of x, which has `all`; NULL where there is none */
static mega_tensor *cut(mega_run *r, mega_tensor *x, int64_t from, int64_t n, int64_t all)
{
    int64_t channels = x ? mega_width(x) / all : 0;
    return x ? columns(r, x, from * channels, n * channels) : NULL;
}

/* groups that removed heads have left with unlike numbers of them, one part after the other */
static mega_tensor *meet_by_parts(mega_run *r, const struct mega_attention *m,
    const struct mega_attention_heads *all, struct mega_attention_score_args *score)
{
    struct mega_attention_options o = m->used;
    struct mega_attention_score_args args = *score;
    int64_t H = o.heads, G = o.kv_heads;
    mega_tensor *out = NULL;
    for (int64_t i = 0; i < m->kept.parts; i++) {
        const struct mega_head_part *p = &m->kept.part[i];
        struct mega_attention_heads some = {
            .q = cut(r, all->q, p->head, p->heads, H),
            .k = cut(r, all->k, p->group, p->groups, G),
            .v = cut(r, all->v, p->group, p->groups, G),
            .prefix_k = mega_rows_of_units(r, all->prefix_k, p->group, p->groups, G),
            .prefix_v = mega_rows_of_units(r, all->prefix_v, p->group, p->groups, G),
        };
        char site[32];
        snprintf(site, sizeof site, "weights.%lld", (long long)p->group);
        o.heads = p->heads;
        o.kv_heads = p->groups;
        args.part = p;
        args.site = i ? site : NULL;
        mega_tensor *y = mega_attention_score_run(r, &m->score, &o, &some, &args);
        out = out ? concat(r, out, y) : y;
    }
    score->penalty = args.penalty;
    mega_attention_score_keep(r, &m->score, all);
    return out;
}

/* o of projected queries, keys and values */
static mega_tensor *attend(mega_run *r, const struct mega_attention *m,
    struct mega_attention_score_args *score, struct mega_attention_output_args *out,
    struct mega_attention_args *args)
{
    const struct mega_attention_options *o = &m->used;
    mega_tensor *z = score->z, *from = o->cross ? args->context : z,
                *from_v = !o->cross && args->values_from ? args->values_from : from;
    if (!o->cross && args->keys_from) from = args->keys_from;
    const struct mega_rows *rows = score->rows, *keys = args->context_rows;
    struct mega_attention_heads h = { .q = linear(r, z, m->q, m->q_bias, MEGA_ACT_LINEAR) };
    if (from) {
        h.k = linear(r, from, m->k, m->k_bias, MEGA_ACT_LINEAR);
        h.v = linear(r, from_v, m->v, m->v_bias, MEGA_ACT_LINEAR);
    }
    out->q = h.q;
    out->v = args->values = h.v;
    h.v = mega_attention_mix_values(r, &m->prepare, o, h.v, args->first, from_v);
    keys = o->cross ? mega_kept_context(r, keys, o->score.context_drop)
                    : remember(r, m, &h, args->memory, rows, args->keys);
    mega_tensor *phase = mega_kept_rows(r, args->phase, m->kept.group_number, m->kept.groups);
    mega_attention_prepare_run(r, &m->prepare, o, &h, phase, rows, keys);
    keep_context(r, m, &h);
    if (keys != rows) score->keys = keys;
    if (m->kept.parts > 1) return meet_by_parts(r, m, &h, score);
    return mega_attention_score_run(r, &m->score, o, &h, score);
}

mega_tensor *mega_attention_run_with(mega_run *r, const struct mega_attention *m,
    mega_tensor *z, const struct mega_rows *rows, struct mega_attention_args *args)
{
    const struct mega_attention_options *o = &m->used;
    if (!o->heads) return mask_padding(r, mega_constant_run(r, m->o_bias, z, rows), rows);
    if (!fits(r, m, args)) return NULL;
    struct mega_attention_output_args out = {
        .z = z, .gates = &m->gates, .group_gates = &m->group_gates, .rows = rows
    };
    struct mega_attention_score_args score = { .z = z,
        .bias = args->bias,
        .before = args->before,
        .penalty = args->penalty,
        .kept = &m->kept,
        .segments = o->segment && !args->memory,
        .rows = rows,
        .keys = args->keys == rows ? NULL : args->keys };
    mega_tensor *y = o->prepare.kv_latent
                         ? mega_attention_latent_run(r, &m->latent, &m->score, o, &score)
                         : attend(r, m, &score, &out, args);
    args->scores = score.scores;
    args->penalty = score.penalty;
    return mega_attention_output_run(r, &m->output, o, y, m->o, m->o_bias, &out);
}

void mega_attention_states(mega_build *b, struct mega_attention *m)
{
    if (!m->used.heads) return;
    mega_attention_score_states(b, &m->score, &m->used);
    mega_attention_hybrid_states(b, &m->output.hybrid, &m->used);
    declare_states(b, m);
}

mega_tensor *mega_attention_run(
    mega_run *r, const struct mega_attention *m, mega_tensor *z, const struct mega_rows *rows)
{
    return mega_attention_run_with(r, m, z, rows, &(struct mega_attention_args){ 0 });
}
