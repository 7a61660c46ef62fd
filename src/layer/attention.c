#include "layer/attention.h"

#include <stdio.h>
#include <string.h>

#include "graph/ops.h"

const struct mega_attention_names mega_attention_official = { "q_proj", "k_proj", "v_proj",
    "out_proj" };

mega_status mega_attention_check(const struct mega_attention_options *o)
{
    if (o->heads < 1 || o->kv_heads < 1 || o->heads % o->kv_heads)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "heads is %lld and kv_heads is %lld: expected heads to be a multiple of kv_heads",
            (long long)o->heads, (long long)o->kv_heads);
    if (o->keys < 1 || o->values < 1)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "heads of %lld key and %lld value channels: expected at least 1 of each",
            (long long)o->keys, (long long)o->values);
    if (o->chunk == 0 || o->chunk < -1)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "chunk is %lld, expected a length of at least 1, or -1 for full attention",
            (long long)o->chunk);
    if (o->rotary.dims % 2 || o->rotary.dims < 0 || o->rotary.dims > o->keys)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "rotary_dims is %lld, expected an even number up to the %lld channels of a head",
            (long long)o->rotary.dims, (long long)o->keys);
    return MEGA_OK;
}

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

/* rotated keys and values of a stream */
static void declare_logs(mega_build *b, struct mega_attention *m)
{
    const struct mega_attention_options *o = &m->options;
    int64_t keys = m->kept.groups * o->keys, values = m->kept.groups * o->values;
    m->past_keys = mega_cell_add(b, "keys", MEGA_CELL_LOG, MEGA_F32, 1, &keys, 0);
    m->past_values = mega_cell_add(b, "values", MEGA_CELL_LOG, MEGA_F32, 1, &values, 0);
    if (b->status) return;
    m->past_keys->window = m->past_values->window = o->chunk > 0 ? o->chunk : 0;
}

void mega_attention_build(
    mega_build *b, struct mega_attention *m, const struct mega_attention_options *o)
{
    static const struct mega_attention_names plain = { "q", "k", "v", "o" };
    const struct mega_attention_names *names = o->names ? o->names : &plain;
    *m = (struct mega_attention){ .options = *o };
    if (!b->status) b->status = mega_attention_check(o);
    if (b->status) return;
    mega_kept_heads_build(b, &m->kept, o->kept, o->layer, o->heads, o->kv_heads);
    int64_t D = o->width, H = m->kept.heads, G = m->kept.groups;
    if (!b->status && !H) {
        declare_bias(b, names->o, D, &m->o_bias, o->bias);
        return;
    }
    m->q = declare(b, names->q, H * o->keys, D, &m->q_bias, o->bias);
    m->k = declare(b, names->k, G * o->keys, D, &m->k_bias, o->bias);
    m->v = declare(b, names->v, G * o->values, D, &m->v_bias, o->bias);
    m->o = declare(b, names->o, D, H * o->values, &m->o_bias, o->bias);
    mega_head_gates_build(b, &m->gates, H, o->values, &o->gates);
    if (o->causal) declare_logs(b, m);
}

static mega_tensor *rotate(mega_run *r, const struct mega_attention *m, mega_tensor *x,
    int64_t heads, const struct mega_rows *rows)
{
    const struct mega_rotary_options *o = &m->options.rotary;
    if (!o->dims) return x;
    struct mega_attr_rotary a;
    memset(&a, 0, sizeof a);
    a.heads = heads;
    a.dims = o->dims;
    a.base = o->base;
    a.factor = o->factor;
    a.interleaved = o->interleaved;
    return mega_run_call(r,
        &(struct mega_call){ .op = &mega_op_rotary, .in = { x }, .attr = &a, .rows = rows },
        NULL);
}

/* Heads of some neighbouring groups, with what they read. */
struct part {
    int64_t heads, groups;
    mega_tensor *q, *k, *v, *past_k, *past_v;
};

/* o [B, T, h dv] of rotated q and k */
static mega_tensor *attend(mega_run *r, const struct mega_attention *m, const struct part *p,
    const char *site, const struct mega_rows *rows)
{
    const struct mega_attention_options *o = &m->options;
    struct mega_attr_attention a;
    memset(&a, 0, sizeof a);
    a.fn = MEGA_ATTENTION_SOFTMAX;
    a.causal = o->causal;
    a.chunk = o->chunk;
    a.dropout = o->dropout;
    a.heads = p->heads;
    a.kv_heads = p->groups;
    a.scale = o->scale;
    a.weights = mega_run_wants(r, "weights");
    struct mega_call c = { .op = &mega_op_attention, .attr = &a, .rows = rows };
    c.in[MEGA_ATTENTION_Q] = p->q;
    c.in[MEGA_ATTENTION_K] = p->k;
    c.in[MEGA_ATTENTION_V] = p->v;
    c.in[MEGA_ATTENTION_PAST_K] = p->past_k;
    c.in[MEGA_ATTENTION_PAST_V] = p->past_v;
    mega_tensor *out = mega_run_call(r, &c, site);
    mega_run_tap(r, "weights", c.out[1]);
    return out;
}

/* columns of some heads of x; NULL where there is none */
static mega_tensor *cut(mega_run *r, mega_tensor *x, int64_t from, int64_t n, int64_t channels)
{
    return x ? columns(r, x, from * channels, n * channels) : NULL;
}

/* groups with unlike numbers of heads, one part after the other */
static mega_tensor *attend_parts(mega_run *r, const struct mega_attention *m,
    const struct part *all, const struct mega_rows *rows)
{
    int64_t d = m->options.keys, dv = m->options.values;
    mega_tensor *out = NULL;
    for (int64_t i = 0; i < m->kept.parts; i++) {
        const struct mega_head_part *p = &m->kept.part[i];
        struct part some = { p->heads, p->groups, cut(r, all->q, p->head, p->heads, d),
            cut(r, all->k, p->group, p->groups, d), cut(r, all->v, p->group, p->groups, dv),
            cut(r, all->past_k, p->group, p->groups, d),
            cut(r, all->past_v, p->group, p->groups, dv) };
        char site[32];
        snprintf(site, sizeof site, "weights.%lld", (long long)p->group);
        mega_tensor *o = attend(r, m, &some, i ? site : "weights", rows);
        out = out ? concat(r, out, o) : o;
    }
    return out;
}

static mega_tensor *attend_all(mega_run *r, const struct mega_attention *m, mega_tensor *q,
    mega_tensor *k, mega_tensor *v, const struct mega_rows *rows)
{
    struct part all = { m->kept.heads, m->kept.groups, q, k, v, NULL, NULL };
    if (m->past_keys) {
        all.past_k = mega_cell_get(r, m->past_keys);
        all.past_v = mega_cell_get(r, m->past_values);
    }
    mega_tensor *out = m->kept.parts > 1 ? attend_parts(r, m, &all, rows)
                                         : attend(r, m, &all, "weights", rows);
    if (m->past_keys) {
        mega_cell_set(r, m->past_keys, k);
        mega_cell_set(r, m->past_values, v);
    }
    return out;
}

bool mega_attention_is_nothing(const struct mega_attention *m)
{
    return !m->kept.heads && !m->o_bias;
}

/* without heads: the output's bias at every place */
static mega_tensor *constant(
    mega_run *r, const struct mega_attention *m, mega_tensor *z, const struct mega_rows *rows)
{
    if (!m->o_bias) return scale(r, z, NULL, 0);
    mega_tensor *none = mega_run_tensor(r, MEGA_F32, 2, (int64_t[]){ rows->B, rows->T });
    if (none && none->data) mega_tensor_zero(none);
    return number_embedding(r, none, m->o_bias, m->o_bias);
}

mega_tensor *mega_attention_run(
    mega_run *r, const struct mega_attention *m, mega_tensor *z, const struct mega_rows *rows)
{
    if (!m->kept.heads) return mask_padding(r, constant(r, m, z, rows), rows);
    mega_tensor *q = linear(r, z, m->q, m->q_bias, MEGA_ACT_LINEAR),
                *k = linear(r, z, m->k, m->k_bias, MEGA_ACT_LINEAR),
                *v = linear(r, z, m->v, m->v_bias, MEGA_ACT_LINEAR);
    q = rotate(r, m, q, m->kept.heads, rows);
    k = rotate(r, m, k, m->kept.groups, rows);
    mega_tensor *o = mega_head_gates_run(r, &m->gates, attend_all(r, m, q, k, v, rows), rows);
    return mask_padding(r, linear(r, o, m->o, m->o_bias, MEGA_ACT_LINEAR), rows);
}
