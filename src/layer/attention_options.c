#include "layer/attention_latent.h"

/* An option, as it is written in a recipe, that does not go with another. */
static mega_status refuse(const char *option, const char *why)
{
    return mega_fail(MEGA_BAD_ARGUMENT, "%s: %s", option, why);
}

#define REFUSE_IF(wrong, option, why)                                                          \
    do                                                                                         \
        if (wrong) return refuse(option, why);                                                 \
    while (0)

static mega_status check_heads(const struct mega_attention_options *o)
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
    return MEGA_OK;
}

static mega_status check_rotary(const struct mega_attention_options *o)
{
    const struct mega_rotary_options *a = &o->rotary;
    bool on = a->kind || a->dims, pope = a->kind == MEGA_ROTARY_POPE;
    int64_t dims = a->dims || !on || pope ? a->dims : o->keys;
    bool own = o->prepare.kv_latent > 0; /* channels beside those of a head */
    if (dims % 2 || dims < 0 || (dims > o->keys && !own))
        return mega_fail(MEGA_BAD_ARGUMENT,
            "rotary_dims is %lld, expected an even number up to the %lld channels of a head",
            (long long)dims, (long long)o->keys);
    if (a->heads < 0 || a->heads > o->heads)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "rotary_heads is %lld, expected at most the %lld heads", (long long)a->heads,
            (long long)o->heads);
    REFUSE_IF(on && !(a->base > 0 && a->factor > 0), "rotary_base, rotary_factor",
        "expected positive numbers");
    REFUSE_IF(a->heads && a->heads < o->heads && o->kv_heads < o->heads,
        "rotary_heads with kv_heads", "heads that share keys turn together or not at all");
    REFUSE_IF(a->kind == MEGA_ROTARY_XPOS && !o->causal, "rotary: xpos",
        "fades from the past on and needs causal attention; for both ways take rope");
    REFUSE_IF(pope && (a->dims || a->heads), "rotary: pope with rotary_dims or rotary_heads",
        "every channel of every head has its angle");
    REFUSE_IF(pope && a->ntk > 0 && a->ntk != 1, "rotary: pope with rotary_ntk",
        "its frequencies are not pairs; raise rotary_base instead");
    REFUSE_IF(pope && o->prepare.memories, "rotary: pope with attn_num_mem_kv",
        "learned keys have no position to be turned by");
    return MEGA_OK;
}

static mega_status check_prepare(const struct mega_attention_options *o)
{
    const struct mega_attention_prepare_options *a = &o->prepare;
    bool l2 = a->qk_norm == MEGA_QK_NORM_L2;
    REFUSE_IF(a->groups > 1 && !l2, "qk_norm_groups", "needs qk_norm: l2");
    REFUSE_IF(a->dim_scale && !l2, "qk_norm_dim_scale", "needs qk_norm: l2");
    REFUSE_IF(a->qk_scale_kind && !l2, "qk_norm_scale_kind", "needs qk_norm: l2");
    REFUSE_IF(a->qk_scale_kind && a->dim_scale, "qk_norm_scale_kind with qk_norm_dim_scale",
        "one of them says how large scores are");
    REFUSE_IF(a->qk_scale_kind == MEGA_QK_SCALE_LEARNED && o->longest < 2,
        "qk_norm_scale_kind: learned", "starts from the longest text, which is not given");
    if (l2 && a->groups > 0 && (o->keys % a->groups || o->keys / a->groups <= 2))
        return mega_fail(MEGA_BAD_ARGUMENT,
            "qk_norm_groups is %lld: expected groups of more than 2 channels that divide the "
            "%lld of a head",
            (long long)a->groups, (long long)o->keys);
    return MEGA_OK;
}

/* what only a causal self-attention can have */
static mega_status check_causal(const struct mega_attention_options *o)
{
    bool causal = o->causal && !o->cross;
    int kind = o->cross ? MEGA_REL_POS_NONE : o->position.kind;
    REFUSE_IF(kind == MEGA_REL_POS_COPE && !causal, "rel_pos: cope",
        "counts places up to the query and needs causal attention");
    REFUSE_IF(o->score.selective && !causal, "attn_selective",
        "what was read before fades for later queries: needs causal attention");
    REFUSE_IF(o->score.hide > 0 && !causal, "causal_key_mask_prob",
        "hides keys of a next-token model and needs causal attention");
    REFUSE_IF(o->score.prefix && !causal, "prefix_lm",
        "a prefix that all see is the exception of causal attention");
    REFUSE_IF(kind == MEGA_REL_POS_FORGET_ROW && !causal, "rel_pos: forget_row",
        "forgets what lies before the query: needs causal attention");
    REFUSE_IF((o->output.gate_output || o->output.gate_rank) && !o->output.gate_values &&
                  !o->output.gate_heads,
        "attn_gate_output, attn_gate_rank", "need attn_gate_values or attn_gate_heads");
    REFUSE_IF(o->output.hybrid && o->cross, "attn_hybrid",
        "its module reads the text that attention reads: self-attention only");
    REFUSE_IF(o->output.hybrid == MEGA_HYBRID_CEMA && !causal, "attn_hybrid: cema",
        "looks back alone: needs causal attention, or ema");
    REFUSE_IF(
        o->output.hybrid_mix && !o->output.hybrid, "attn_hybrid_mix", "needs attn_hybrid");
    REFUSE_IF(o->output.belief && o->cross, "attn_belief",
        "needs a place's own value: self-attention only");
    REFUSE_IF(o->score.fn == MEGA_ATTENTION_INVERTED && !o->cross, "attn_fn: inverted",
        "keys choose among queries, the future too: cross-attention only");
    return MEGA_OK;
}

/* what position biases ask of the rest */
static mega_status check_positions(const struct mega_attention_options *o)
{
    const struct mega_position_bias_options *p = &o->position;
    const struct mega_attention_score_options *s = &o->score;
    bool alibi = p->kind == MEGA_REL_POS_ALIBI;
    REFUSE_IF(p->alibi_asymmetric && !alibi, "alibi_asymmetric", "needs rel_pos: alibi");
    REFUSE_IF(p->alibi_learned && !alibi, "alibi_learned", "needs rel_pos: alibi");
    if (o->cross) return MEGA_OK;
    REFUSE_IF(p->alibi_asymmetric && o->causal && !s->prefix, "alibi_asymmetric",
        "no query sees keys ahead: needs attention without causality");
    if (p->kind != MEGA_REL_POS_XL) return MEGA_OK;
    REFUSE_IF(o->width % 2, "rel_pos: xl", "sines come in pairs: expected an even width");
    REFUSE_IF(s->l2, "rel_pos: xl with attn_score: l2", "its terms belong to a product");
    REFUSE_IF(o->rotary.kind == MEGA_ROTARY_POPE, "rel_pos: xl with rotary: pope",
        "its heads are as wide as queries are before they turn");
    REFUSE_IF(s->fn == MEGA_ATTENTION_LAPLACE || s->fn == MEGA_ATTENTION_RELU2,
        "rel_pos: xl with attn_fn", "laplace and relu2 divide by the keys counted");
    return MEGA_OK;
}

/* what training asks of scores */
static mega_status check_training(const struct mega_attention_options *o)
{
    const struct mega_attention_score_options *s = &o->score;
    REFUSE_IF(o->z_loss > 0 && s->fn != MEGA_ATTENTION_SOFTMAX, "attn_z_loss with attn_fn",
        "is of the sum that a softmax divides by: expected softmax");
    if (!(o->clip > 0)) return MEGA_OK;
    REFUSE_IF(s->fn == MEGA_ATTENTION_SIGMOID, "qk_clip with attn_fn: sigmoid",
        "its scores have no row to be too large for");
    REFUSE_IF(o->prepare.qk_norm, "qk_clip with qk_norm",
        "norms undo what projections are multiplied by");
    REFUSE_IF(o->prepare.kv_latent, "qk_clip with attn_kv_latent",
        "no head has keys of its own to shrink");
    REFUSE_IF(s->l2, "qk_clip with attn_score: l2", "distances do not shrink with projections");
    REFUSE_IF(o->rotary.kind == MEGA_ROTARY_POPE, "qk_clip with rotary: pope",
        "magnitudes are not proportional to projections");
    return MEGA_OK;
}

static mega_status check_scores(const struct mega_attention_options *o)
{
    const struct mega_attention_score_options *a = &o->score;
    bool l2 = o->prepare.qk_norm == MEGA_QK_NORM_L2, sigmoid = a->fn == MEGA_ATTENTION_SIGMOID,
         topk = a->fn == MEGA_ATTENTION_TOPK;
    REFUSE_IF(a->l2 && a->fn != MEGA_ATTENTION_SOFTMAX, "attn_score: l2 with attn_fn",
        "distances go with softmax alone");
    REFUSE_IF(a->l2 && o->prepare.qk_norm, "attn_score: l2 with qk_norm",
        "of vectors that are all as long the distance is the product");
    REFUSE_IF(sigmoid && a->sink, "attn_fn: sigmoid with attn_sink",
        "nothing is normalised that a sink could take from");
    REFUSE_IF(sigmoid && a->zeros, "attn_fn: sigmoid with attn_zero_kv",
        "nothing is normalised that empty keys could take from");
    REFUSE_IF(sigmoid && a->sigmoid_bias == MEGA_SIGMOID_NEG_LOG && o->longest < 1,
        "attn_sigmoid_bias: neg_log", "is of the longest text, which is not given");
    REFUSE_IF(topk && a->top < 1, "attn_topk", "expected at least 1 key");
    REFUSE_IF(a->gumbel_hard && a->fn != MEGA_ATTENTION_GUMBEL, "gumbel_hard",
        "needs attn_fn: gumbel");
    REFUSE_IF(a->gumbel_eval && a->fn != MEGA_ATTENTION_GUMBEL, "gumbel_eval",
        "needs attn_fn: gumbel");
    REFUSE_IF(a->through && !topk, "attn_topk_straight_through", "needs attn_fn: topk");
    REFUSE_IF(l2 && a->fn >= MEGA_ATTENTION_LAPLACE && a->fn <= MEGA_ATTENTION_RELU2,
        "qk_norm: l2 with attn_fn", "laplace and relu2 divide by the keys counted");
    if (a->exec != MEGA_ATTENTION_FUSED) return MEGA_OK;
    REFUSE_IF(a->talking || a->talking_scaled, "attn_exec: fused with attn_talking_heads",
        "heads that mix need strips");
    REFUSE_IF(!o->cross && o->position.kind == MEGA_REL_POS_COPE,
        "attn_exec: fused with rel_pos: cope", "contextual positions need whole rows: strips");
    REFUSE_IF(!o->cross && o->position.kind == MEGA_REL_POS_FORGET_ROW,
        "attn_exec: fused with rel_pos: forget_row", "gates of rows need whole rows: strips");
    REFUSE_IF(a->selective, "attn_exec: fused with attn_selective",
        "rows that depend on rows before need strips");
    REFUSE_IF(a->residual, "attn_exec: fused with residual_attn",
        "scores that go to the next layer need strips");
    return MEGA_OK;
}

/* segments of one text in one pass: whatever they hand on they do as the whole text does */
static mega_status check_segments(const struct mega_attention_options *o)
{
    if (o->cross) return MEGA_OK;
    REFUSE_IF(!o->memory, "mem_segment", "needs max_mem_len: places that a segment remembers");
    REFUSE_IF(!o->through, "mem_segment with detach_mems: true",
        "in one pass gradients go through memories: expected detach_mems: false");
    REFUSE_IF(o->score.selective, "mem_segment with attn_selective",
        "what has faded ends with a segment");
    REFUSE_IF(o->prepare.value_residual, "mem_segment with value_residual",
        "values of memories are not mixed");
    REFUSE_IF(o->score.hide > 0, "mem_segment with causal_key_mask_prob",
        "no key of a memory is hidden");
    return MEGA_OK;
}

/* segments that see those before */
static mega_status check_memory(const struct mega_attention_options *o)
{
    REFUSE_IF(o->through && !o->segment, "detach_mems: false",
        "gradients go through segments of one pass alone: expected mem_segment");
    if (o->segment) MEGA_TRY(check_segments(o));
    if (!o->memory) return MEGA_OK;
    REFUSE_IF(o->memory < 0, "max_mem_len", "expected a number of places, or 0 for none");
    REFUSE_IF(o->cross || !o->causal, "max_mem_len", "needs causal self-attention");
    REFUSE_IF(o->chunk > 0, "max_mem_len with chunk", "chunks keep to themselves");
    REFUSE_IF(o->position.kind == MEGA_REL_POS_FORGET, "max_mem_len with rel_pos: forget",
        "gates of the segments before are not kept");
    REFUSE_IF(o->position.kind == MEGA_REL_POS_FORGET_ROW,
        "max_mem_len with rel_pos: forget_row", "gates of the segments before are not kept");
    return MEGA_OK;
}

/* removed heads leave no gap in what heads have together, or hand on to other layers */
static mega_status check_kept(const struct mega_attention_options *o)
{
    const struct mega_attention_prepare_options *p = &o->prepare;
    const struct mega_attention_score_options *s = &o->score;
    const struct mega_attention_output_options *out = &o->output;
    if (!o->kept || !*o->kept) return MEGA_OK;
    const struct {
        bool wrong;
        const char *with;
    } rules[] = {
        { p->value_residual, "value_residual" },
        { s->talking || s->talking_scaled, "attn_talking_heads" },
        { s->selective, "attn_selective" },
        { s->residual, "residual_attn" },
        { out->belief, "attn_belief" },
        { out->hybrid, "attn_hybrid" },
        { out->on_attn == MEGA_ON_ATTENTION_PAPER, "attn_on_attn: paper" },
        { out->inner_norm, "an inner norm (placement: subln)" },
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].wrong)
            return mega_fail(MEGA_BAD_ARGUMENT,
                "%s does not go with %s: heads of such a model cannot be removed",
                o->cross ? "kept_cross_heads" : "kept_heads", rules[i].with);
    return MEGA_OK;
}

mega_status mega_attention_check(const struct mega_attention_options *o)
{
    MEGA_TRY(check_heads(o));
    MEGA_TRY(check_rotary(o));
    MEGA_TRY(check_prepare(o));
    MEGA_TRY(check_causal(o));
    MEGA_TRY(check_positions(o));
    MEGA_TRY(check_training(o));
    MEGA_TRY(check_memory(o));
    MEGA_TRY(mega_attention_latent_check(o));
    MEGA_TRY(check_kept(o));
    REFUSE_IF(o->gates.groups && o->prepare.kv_latent, "group_gates with attn_kv_latent",
        "every head has its keys: expected head_gates");
    REFUSE_IF(o->context_places < 0 || (o->context_places && !o->cross), "places of a context",
        "needs cross-attention");
    return check_scores(o);
}
