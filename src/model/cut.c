#include "model/cut.h"

#include <math.h>
#include <string.h>

/* Numbers of the new layer's units and of the old one's; NULL: 0, 1, 2 ... */
struct cutting {
    const int32_t *left, *all;
    int64_t n, n_all;
};

static struct cutting of_heads(
    const struct mega_kept_heads *old, const struct mega_kept_heads *new)
{
    return (struct cutting){ new->number, old->number, new->heads, old->heads };
}

static struct cutting of_groups(
    const struct mega_kept_heads *old, const struct mega_kept_heads *new)
{
    return (struct cutting){ new->group_number, old->group_number, new->groups, old->groups };
}

static int32_t number_of(const int32_t *list, int64_t i)
{
    return list ? list[i] : (int32_t)i;
}

/* where unit i of the new layer stands in the old one, or -1 */
static int64_t place_of(const struct cutting *c, int64_t i)
{
    int32_t number = number_of(c->left, i);
    for (int64_t k = 0; k < c->n_all; k++)
        if (number_of(c->all, k) == number) return k;
    return -1;
}

static mega_status check(const struct cutting *c, int64_t layer, const char *unit)
{
    for (int64_t i = 0; i < c->n; i++)
        if (place_of(c, i) < 0)
            return mega_fail(MEGA_BAD_ARGUMENT,
                "layer %lld has no %s %d any more: it was removed", (long long)layer, unit,
                number_of(c->left, i));
    return MEGA_OK;
}

/* rows of a projection, or numbers of its bias, from row `from` of both on: `channels` of each
 * unit that is left */
static void cut_rows_at(mega_tensor *to, const mega_tensor *old, int64_t at, int64_t old_at,
    int64_t channels, const struct cutting *c)
{
    if (!to || !old) return;
    int64_t width = to->rank > 1 ? mega_width(to) : 1;
    const float *from = old->data;
    float *new = to->data;
    for (int64_t i = 0; i < c->n; i++)
        memcpy(new + (at + i * channels) * width,
            from + (old_at + place_of(c, i) * channels) * width,
            (size_t)(channels * width) * sizeof *new);
    to->param->version++;
}

static void cut_rows(
    mega_tensor *to, const mega_tensor *from, int64_t channels, const struct cutting *c)
{
    cut_rows_at(to, from, 0, 0, channels, c);
}

/* rows that stay as they are */
static void copy_rows(
    mega_tensor *to, const mega_tensor *from, int64_t at, int64_t old_at, int64_t rows)
{
    cut_rows_at(to, from, at, old_at, rows, &(struct cutting){ NULL, NULL, 1, 1 });
}

/* Columns of what reads the units, times the gates that are folded: gate(self, k) of unit k of
 * the old layer. `rows`: so many of each unit, where what reads them gives units, too; 0: all
 * rows stay. */
static void cut_block(mega_tensor *to, const mega_tensor *from, int64_t rows, int64_t channels,
    const struct cutting *c, double (*gate)(const void *self, int64_t k), const void *self)
{
    for (int64_t i = 0; i < c->n; i++) {
        int64_t k = place_of(c, i);
        double factor = gate ? gate(self, k) : 1;
        for (int64_t r = 0; r < mega_height(to); r++) {
            int64_t at = rows ? place_of(c, r / rows) * rows + r % rows : r;
            for (int64_t j = 0; j < channels; j++)
                mega_put(
                    to, r, i * channels + j, factor * mega_get(from, at, k * channels + j));
        }
    }
    to->param->version++;
}

static void cut_columns(mega_tensor *to, const mega_tensor *from, int64_t channels,
    const struct cutting *c, double (*gate)(const void *self, int64_t k), const void *self)
{
    cut_block(to, from, 0, channels, c, gate, self);
}

static void cut_gates(const struct mega_head_gates *old, const struct mega_head_gates *new,
    const struct cutting *c)
{
    if (old->log_a && new->log_a) cut_rows(new->log_a, old->log_a, 1, c);
    if (old->open && new->open) cut_rows(new->open, old->open, 1, c);
}

/* ---- a Transformer's attention ---- */

static double gate_of_head(const void *self, int64_t k)
{
    return mega_attention_gate(self, k);
}

/* in place of q, k and v; latents and the key that turns are of all heads */
static void cut_latent(const struct mega_attention *old, const struct mega_attention *new,
    const struct cutting *heads)
{
    const struct mega_attention_latent *a = &old->latent, *b = &new->latent;
    int64_t d = old->options.keys, all = d + old->options.rotary.dims;
    cut_rows(b->q, a->q, all, heads);
    cut_rows(b->q_bias, a->q_bias, all, heads);
    cut_rows(b->q_up, a->q_up, all, heads);
    cut_rows(b->k_up, a->k_up, d, heads);
    cut_rows(b->v_up, a->v_up, old->options.values, heads);
}

/* before they meet: norms, learned keys and values */
static void cut_prepare(const struct mega_attention *old, const struct mega_attention *new,
    const struct cutting *heads, const struct cutting *groups)
{
    const struct mega_attention_prepare *a = &old->prepare, *b = &new->prepare;
    int64_t memories = old->options.prepare.memories;
    bool each = old->options.prepare.qk_scale_kind == MEGA_QK_SCALE_HEADS;
    cut_rows(b->q_norm, a->q_norm, 1, heads);
    if (each) cut_rows(b->qk_scale, a->qk_scale, 1, heads);
    cut_rows(b->k_norm, a->k_norm, 1, groups);
    cut_rows(b->v_norm, a->v_norm, 1, groups);
    cut_rows(b->mem_k, a->mem_k, memories, groups);
    cut_rows(b->mem_v, a->mem_v, memories, groups);
}

/* scores: what layers share, and what all heads of a layer share, stays whole */
static void cut_scores(const struct mega_attention *old, const struct mega_attention *new,
    const struct cutting *heads)
{
    const struct mega_attention_score *a = &old->score, *b = &new->score;
    const struct mega_position_bias_options *p = &old->options.position;
    int64_t d = old->options.keys;
    cut_rows(b->sink, a->sink, 1, heads);
    cut_rows(b->xl_u, a->xl_u, 1, heads);
    cut_rows(b->xl_v, a->xl_v, 1, heads);
    cut_rows(b->xl_r, a->xl_r, d, heads);
    cut_rows(b->forget, a->forget, 1, heads);
    cut_rows(b->forget_bias, a->forget_bias, 1, heads);
    cut_rows(b->forget_back, a->forget_back, 1, heads);
    cut_rows(b->forget_back_bias, a->forget_back_bias, 1, heads);
    cut_rows(b->proj, a->proj, p->proj_rank, heads);
    cut_rows(b->row_q, a->row_q, p->row_keys, heads);
    cut_rows(b->row_k, a->row_k, p->row_keys, heads);
}

/* a gate of heads or, with `channels` of each, of their channels; it may read the heads' output
 * as well, which comes to it after gates that are folded */
static void cut_gate(const struct mega_attention *old, const struct mega_attention_gate *a,
    const struct mega_attention_gate *b, int64_t channels, const struct cutting *heads,
    bool fold)
{
    double (*gate)(const void *self, int64_t k) = fold ? gate_of_head : NULL;
    int64_t dv = old->options.values;
    cut_rows(b->weight, a->weight, channels, heads);
    cut_rows(b->bias, a->bias, channels, heads);
    if (b->out_down) {
        cut_columns(b->out_down, a->out_down, dv, heads, gate, old);
        cut_rows(b->out_weight, a->out_weight, channels, heads);
    } else if (b->out_weight) {
        cut_block(b->out_weight, a->out_weight, channels, dv, heads, gate, old);
    }
}

static void cut_output(const struct mega_attention *old, const struct mega_attention *new,
    const struct cutting *heads, bool fold)
{
    const struct mega_attention_output *a = &old->output, *b = &new->output;
    cut_rows(b->head_scale, a->head_scale, 1, heads);
    cut_gate(old, &a->head_gate, &b->head_gate, 1, heads, fold);
    cut_gate(old, &a->gate, &b->gate, old->options.values, heads, fold);
}

/* what is left of a layer that gates itself, a sigmoid(c), without any head: of biases [a | c]
 */
static void keep_constant(mega_tensor *to, const mega_tensor *old)
{
    if (!to || !old || mega_count(old) != 2 * mega_count(to)) return;
    for (int64_t i = 0, n = mega_count(to); i < n; i++)
        mega_put(to, 0, i, mega_get(old, 0, i) / (1 + exp(-mega_get(old, 0, n + i))));
    to->param->version++;
}

mega_status mega_cut_attention(const struct mega_attention *old,
    const struct mega_attention *new, int64_t layer, bool fold)
{
    struct cutting heads = of_heads(&old->kept, &new->kept),
                   groups = of_groups(&old->kept, &new->kept);
    int64_t d = old->options.keys, dv = old->options.values;
    MEGA_TRY(check(&heads, layer, "head"));
    if (!heads.n) keep_constant(new->o_bias, old->o_bias);
    if (!heads.n || !new->o) return MEGA_OK;
    cut_rows(new->q, old->q, d, &heads);
    cut_rows(new->q_bias, old->q_bias, d, &heads);
    cut_rows(new->k, old->k, d, &groups);
    cut_rows(new->k_bias, old->k_bias, d, &groups);
    cut_rows(new->v, old->v, dv, &groups);
    cut_rows(new->v_bias, old->v_bias, dv, &groups);
    cut_columns(new->o, old->o, dv, &heads, fold ? gate_of_head : NULL, old);
    cut_latent(old, new, &heads);
    cut_prepare(old, new, &heads, &groups);
    cut_scores(old, new, &heads);
    cut_output(old, new, &heads, fold);
    if (fold) return MEGA_OK;
    cut_gates(&old->gates, &new->gates, &heads);
    cut_gates(&old->group_gates, &new->group_gates, &groups);
    return MEGA_OK;
}

/* ---- Megalodon's ---- */

static double gate_of_megalodon(const void *self, int64_t k)
{
    const struct mega_megalodon_attention *m = self;
    return mega_head_gates_value(&m->gates, k) * mega_head_gates_value(&m->branch, 0);
}

mega_status mega_cut_megalodon(const struct mega_megalodon_attention *old,
    const struct mega_megalodon_attention *new, int64_t layer, bool fold)
{
    struct cutting heads = of_heads(&old->kept, &new->kept);
    int64_t H = old->options.heads, z = old->options.keys / H, e = old->options.values / H;
    MEGA_TRY(check(&heads, layer, "head"));
    if (!heads.n) return MEGA_OK;
    cut_rows(new->wz, old->wz, z, &heads);
    cut_rows(new->wz_bias, old->wz_bias, z, &heads);
    cut_rows(new->wv, old->wv, e, &heads);
    cut_rows(new->wv_bias, old->wv_bias, e, &heads);
    cut_rows(new->wr, old->wr, e, &heads);
    cut_rows(new->wr_bias, old->wr_bias, e, &heads);
    cut_columns(new->gamma, old->gamma, z, &heads, NULL, NULL);
    cut_columns(new->beta, old->beta, z, &heads, NULL, NULL);
    cut_columns(new->wh2, old->wh2, e, &heads, fold ? gate_of_megalodon : NULL, old);
    if (!fold) cut_gates(&old->gates, &new->gates, &heads);
    return MEGA_OK;
}

/* ---- Mega's ---- */

static double gate_of_mega(const void *self, int64_t k)
{
    return mega_head_gates_value(&((const struct mega_gated_attention *)self)->gates, k);
}

mega_status mega_cut_mega(const struct mega_gated_attention *old,
    const struct mega_gated_attention *new, int64_t layer, bool fold)
{
    struct cutting heads = of_heads(&old->kept, &new->kept);
    int64_t D = old->options.width, E = old->options.values, Z = old->options.keys;
    MEGA_TRY(check(&heads, layer, "head"));
    if (heads.n) {
        cut_columns(new->h_weight, old->h_weight, E, &heads, fold ? gate_of_mega : NULL, old);
        return MEGA_OK;
    }
    /* of [u | z | r | hx] the ends */
    int64_t hx = old->kept.heads ? D + Z + E : D;
    copy_rows(new->mx_weight, old->mx_weight, 0, 0, D);
    copy_rows(new->mx_weight, old->mx_weight, D, hx, D);
    copy_rows(new->mx_bias, old->mx_bias, 0, 0, D);
    copy_rows(new->mx_bias, old->mx_bias, D, hx, D);
    return MEGA_OK;
}

/* ---- feed-forwards ---- */

static double gate_of_block(const void *self, int64_t k)
{
    return mega_head_gates_value(&((const struct mega_mlp *)self)->gates, k);
}

/* a feed-forward whose options do not speak of blocks has all of them */
static int64_t blocks_of(const struct mega_mlp *f, int64_t block)
{
    return f->kept.number ? f->kept.heads : f->hidden / block;
}

mega_status mega_cut_mlp(
    const struct mega_mlp *old, const struct mega_mlp *new, int64_t layer, bool fold)
{
    if (!old->kept.number && !new->kept.number) return MEGA_OK;
    int64_t n = (old->kept.number ? old : new)->options.block;
    const struct cutting blocks = { new->kept.number, old->kept.number, blocks_of(new, n),
        blocks_of(old, n) };
    MEGA_TRY(check(&blocks, layer, "block"));
    if (!blocks.n) return MEGA_OK;
    cut_rows(new->up, old->up, n, &blocks);
    cut_rows(new->up_bias, old->up_bias, n, &blocks);
    cut_rows(new->gate, old->gate, n, &blocks);
    cut_rows(new->gate_bias, old->gate_bias, n, &blocks);
    cut_rows(new->mult, old->mult, n, &blocks);
    cut_columns(new->down, old->down, n, &blocks, fold ? gate_of_block : NULL, old);
    if (!fold) cut_gates(&old->gates, &new->gates, &blocks);
    return MEGA_OK;
}
