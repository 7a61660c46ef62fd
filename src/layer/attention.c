#include "layer/attention.h"

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

/* rotated keys and values of a stream */
void mega_attention_states(mega_build *b, struct mega_attention *m)
{
    const struct mega_attention_options *o = &m->options;
    int64_t keys = o->kv_heads * o->keys, values = o->kv_heads * o->values;
    m->past_keys = m->past_values = NULL;
    if (!o->causal) return;
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
    int64_t D = o->width, H = o->heads, G = o->kv_heads;
    m->q = declare(b, names->q, H * o->keys, D, &m->q_bias, o->bias);
    m->k = declare(b, names->k, G * o->keys, D, &m->k_bias, o->bias);
    m->v = declare(b, names->v, G * o->values, D, &m->v_bias, o->bias);
    m->o = declare(b, names->o, D, H * o->values, &m->o_bias, o->bias);
    mega_attention_states(b, m);
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

/* o [B, T, H dv] of rotated q and k */
static mega_tensor *attend(mega_run *r, const struct mega_attention *m, mega_tensor *q,
    mega_tensor *k, mega_tensor *v, const struct mega_rows *rows)
{
    const struct mega_attention_options *o = &m->options;
    struct mega_attr_attention a;
    memset(&a, 0, sizeof a);
    a.fn = MEGA_ATTENTION_SOFTMAX;
    a.causal = o->causal;
    a.chunk = o->chunk;
    a.dropout = o->dropout;
    a.heads = o->heads;
    a.kv_heads = o->kv_heads;
    a.scale = o->scale;
    a.weights = mega_run_wants(r, "weights");
    struct mega_call c = { .op = &mega_op_attention, .attr = &a, .rows = rows };
    c.in[MEGA_ATTENTION_Q] = q;
    c.in[MEGA_ATTENTION_K] = k;
    c.in[MEGA_ATTENTION_V] = v;
    if (m->past_keys) {
        c.in[MEGA_ATTENTION_PAST_K] = mega_cell_get(r, m->past_keys);
        c.in[MEGA_ATTENTION_PAST_V] = mega_cell_get(r, m->past_values);
    }
    mega_tensor *out = mega_run_call(r, &c, "weights");
    mega_run_tap(r, "weights", c.out[1]);
    if (m->past_keys) {
        mega_cell_set(r, m->past_keys, k);
        mega_cell_set(r, m->past_values, v);
    }
    return out;
}

mega_tensor *mega_attention_run(
    mega_run *r, const struct mega_attention *m, mega_tensor *z, const struct mega_rows *rows)
{
    const struct mega_attention_options *o = &m->options;
    mega_tensor *q = linear(r, z, m->q, m->q_bias, MEGA_ACT_LINEAR),
                *k = linear(r, z, m->k, m->k_bias, MEGA_ACT_LINEAR),
                *v = linear(r, z, m->v, m->v_bias, MEGA_ACT_LINEAR);
    q = rotate(r, m, q, o->heads, rows);
    k = rotate(r, m, k, o->kv_heads, rows);
    mega_tensor *y = linear(r, attend(r, m, q, k, v, rows), m->o, m->o_bias, MEGA_ACT_LINEAR);
    return mask_padding(r, y, rows);
}
