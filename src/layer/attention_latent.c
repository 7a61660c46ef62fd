#include "layer/attention_latent.h"

#include <math.h>

#include "graph/ops.h"

/* ---- declaration ---- */

mega_status mega_attention_latent_check(const struct mega_attention_options *o)
{
    const struct mega_attention_prepare_options *a = &o->prepare;
    if (!a->kv_latent && !a->q_latent && !a->latent_norm) return MEGA_OK;
    const struct {
        bool wrong;
        const char *with;
    } rules[] = {
        { !a->kv_latent, "attn_q_latent or attn_latent_norm alone: expected it" },
        { o->kv_heads != o->heads, "kv_heads: every head has its keys" },
        { o->cross, "cross_attend: it is for self-attention" },
        { a->qk_norm, "qk_norm" },
        { a->value_norm, "value_norm" },
        { a->value_residual, "value_residual" },
        { a->memories, "attn_num_mem_kv" },
        { a->laser, "attn_laser" },
        { o->memory, "max_mem_len" },
        { o->score.l2, "attn_score: l2" },
        { o->output.belief, "attn_belief" },
        { o->output.on_attn == MEGA_ON_ATTENTION_PAPER, "attn_on_attn: paper" },
        { o->position.kind == MEGA_REL_POS_COPE, "rel_pos: cope" },
        { o->position.kind == MEGA_REL_POS_XL, "rel_pos: xl" },
        { o->rotary.heads, "rotary_heads" },
        { o->rotary.kind == MEGA_ROTARY_ROPE && !o->rotary.dims,
            "rotary: rope without rotary_dims, the channels of the shared key" },
        { o->rotary.kind > MEGA_ROTARY_ROPE, "rotary: xpos or pope" },
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].wrong)
            return mega_fail(
                MEGA_BAD_ARGUMENT, "attn_kv_latent does not go with %s", rules[i].with);
    return MEGA_OK;
}

static mega_tensor *declare(mega_build *b, const char *name, int64_t rows, int64_t columns)
{
    struct mega_init small = { MEGA_INIT_NORMAL, 0, 0.02 };
    return mega_param_add(b, name, small, 2, (int64_t[]){ rows, columns });
}

static void declare_norm(mega_build *b, struct mega_norm *n, const char *name, int64_t width,
    const struct mega_attention_options *o)
{
    double eps = o->norm_eps > 0 ? o->norm_eps : MEGA_NORM_EPS;
    size_t entered = mega_build_enter(b, "%s", name);
    mega_norm_declare(b, n,
        &(struct mega_norm_options){
            .type = MEGA_RMSNORM, .width = width, .affine = true, .eps = eps });
    mega_build_leave(b, entered);
}

void mega_attention_latent_build(mega_build *b, struct mega_attention_latent *m,
    const struct mega_attention_options *o, const char *q)
{
    const struct mega_attention_prepare_options *a = &o->prepare;
    int64_t D = o->width, H = o->heads, dr = o->rotary.dims, rows = H * (o->keys + dr);
    if (a->q_latent) {
        m->q_down = declare(b, "q_down", a->q_latent, D);
        m->q_up = declare(b, "q_up", rows, a->q_latent);
    } else {
        size_t entered = mega_build_enter(b, "%s", q);
        m->q = declare(b, "weight", rows, D);
        if (o->bias)
            m->q_bias = mega_param_add(
                b, "bias", (struct mega_init){ MEGA_INIT_CONSTANT, 0, 0 }, 1, &rows);
        mega_build_leave(b, entered);
    }
    m->kv_down = declare(b, "kv_down", a->kv_latent, D);
    if (dr) m->k_rope = declare(b, "k_rope", dr, D);
    m->k_up = declare(b, "k_up", H * o->keys, a->kv_latent);
    m->v_up = declare(b, "v_up", H * o->values, a->kv_latent);
    if (!a->latent_norm) return;
    if (a->q_latent) declare_norm(b, &m->q_norm, "q_latent_norm", a->q_latent, o);
    declare_norm(b, &m->kv_norm, "kv_latent_norm", a->kv_latent, o);
}

/* ---- running ---- */

/* the last channels of each head turn */
static mega_tensor *rotate(mega_run *r, const struct mega_attention_options *o, mega_tensor *x,
    int64_t heads, int64_t from, const struct mega_rows *rows)
{
    const struct mega_rotary_options *rotary = &o->rotary;
    struct mega_attr_rotary a;
    if (!rotary->dims) return x;
    memset(&a, 0, sizeof a);
    a.heads = heads;
    a.dims = rotary->dims;
    a.base = mega_rotary_base(rotary, rotary->dims);
    a.factor = rotary->factor;
    a.interleaved = rotary->interleaved;
    a.from = from;
    return mega_run_call(r,
        &(struct mega_call){ .op = &mega_op_rotary, .in = { x }, .attr = &a, .rows = rows },
        NULL);
}

static mega_tensor *head_concat(
    mega_run *r, mega_tensor *a, mega_tensor *b, struct mega_attr_head_concat attr)
{
    struct mega_call c = { .op = &mega_op_head_concat, .attr = &attr };
    c.in[MEGA_HEAD_CONCAT_A] = a;
    c.in[MEGA_HEAD_CONCAT_B] = b;
    return mega_run_call(r, &c, NULL);
}

static mega_tensor *head_linear(
    mega_run *r, mega_tensor *x, mega_tensor *w, int64_t heads, bool back)
{
    struct mega_attr_head_linear a;
    memset(&a, 0, sizeof a);
    a.heads = heads;
    a.back = back;
    return mega_run_call(
        r, &(struct mega_call){ .op = &mega_op_head_linear, .in = { x, w }, .attr = &a }, NULL);
}

/* q [B, T, H (d + dr)] */
static mega_tensor *queries(mega_run *r, const struct mega_attention_latent *m,
    const struct mega_attention_options *o, mega_tensor *z, const struct mega_rows *rows)
{
    mega_tensor *q = z;
    if (m->q_down) {
        q = linear(r, z, m->q_down, NULL, MEGA_ACT_LINEAR);
        if (o->prepare.latent_norm) q = mega_norm_run(r, &m->q_norm, q);
    }
    q = linear(r, q, m->q_down ? m->q_up : m->q, m->q_bias, MEGA_ACT_LINEAR);
    return rotate(r, o, q, o->heads, o->keys, rows);
}

/* heads with keys and values of their own */
static mega_tensor *plain(mega_run *r, const struct mega_attention_latent *m,
    const struct mega_attention_score *s, const struct mega_attention_options *o,
    struct mega_attention_heads h, mega_tensor *latent, mega_tensor *rope,
    struct mega_attention_score_args *args)
{
    struct mega_attr_head_concat shared = { o->heads, 0, 0, true };
    h.k = linear(r, latent, m->k_up, NULL, MEGA_ACT_LINEAR);
    if (rope) h.k = head_concat(r, h.k, rope, shared);
    h.v = linear(r, latent, m->v_up, NULL, MEGA_ACT_LINEAR);
    return mega_attention_score_run(r, s, o, &h, args);
}

/* all heads over the latents: one head of keys [c ; kr], whose values are c */
static mega_tensor *absorbed(mega_run *r, const struct mega_attention_latent *m,
    const struct mega_attention_score *s, const struct mega_attention_options *o,
    struct mega_attention_heads h, mega_tensor *latent, mega_tensor *rope,
    struct mega_attention_score_args *args)
{
    struct mega_attention_options one = *o;
    struct mega_attr_head_concat nope = { o->heads, 0, o->keys, false },
                                 turned = { o->heads, o->keys, 0, false };
    mega_tensor *q = head_linear(r, head_concat(r, NULL, h.q, nope), m->k_up, o->heads, true);
    h.q = rope ? head_concat(r, q, head_concat(r, NULL, h.q, turned),
                     (struct mega_attr_head_concat){ o->heads, 0, 0, false })
               : q;
    h.k = rope ? concat(r, latent, rope) : latent;
    h.v = latent;
    one.kv_heads = 1;
    mega_tensor *y = mega_attention_score_run(r, s, &one, &h, args);
    return head_linear(r, y, m->v_up, o->heads, false);
}

mega_tensor *mega_attention_latent_run(mega_run *r, const struct mega_attention_latent *m,
    const struct mega_attention_score *s, const struct mega_attention_options *o,
    struct mega_attention_score_args *args)
{
    struct mega_attention_heads h = { .q = queries(r, m, o, args->z, args->rows) };
    mega_tensor *latent = linear(r, args->z, m->kv_down, NULL, MEGA_ACT_LINEAR), *rope = NULL;
    if (o->prepare.latent_norm) latent = mega_norm_run(r, &m->kv_norm, latent);
    if (m->k_rope)
        rope = rotate(
            r, o, linear(r, args->z, m->k_rope, NULL, MEGA_ACT_LINEAR), 1, 0, args->rows);
    bool stream = s->past_keys && mega_cell_get(r, s->past_keys);
    return (stream ? absorbed : plain)(r, m, s, o, h, latent, rope, args);
}
