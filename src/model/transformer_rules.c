#include "model/transformer_rules.h"

#include <string.h>

#include "format/node.h"
#include "model/layer_options.h"
#include "model/transformer_options.h"
#include "op/contracts.h"

/* both are on, and they do not go together */
struct pair {
    bool bad;
    const char *one, *other, *why;
};

static mega_status refuse_pairs(const struct pair *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i].bad)
            return mega_fail(MEGA_BAD_ARGUMENT, "%s does not go with %s: %s", p[i].one,
                p[i].other, p[i].why);
    return MEGA_OK;
}
#define REFUSE(pairs) MEGA_TRY(refuse_pairs(pairs, sizeof pairs / sizeof *pairs))

static mega_status check_sizes(const struct mega_transformer_options *o)
{
    bool some = o->ffn_factor > 0 || mega_ints_at(&o->ffn, 0) >= 1;
    if (o->width >= 1 && some && mega_ints_at(&o->heads, 0) >= 0) return MEGA_OK;
    return mega_fail(MEGA_BAD_ARGUMENT,
        "a Transformer of width %lld, ffn %lld, heads %lld: expected at least 1 of each",
        (long long)o->width, (long long)mega_ints_at(&o->ffn, 0),
        (long long)mega_ints_at(&o->heads, 0));
}

/* a list has a value for each of `n` modules */
static mega_status check_list(const char *name, int has, int64_t n, const char *what)
{
    if (!has || has == n) return MEGA_OK;
    return mega_fail(MEGA_BAD_ARGUMENT,
        "%s is a list of %d, but the plan has %lld %s: expected one number, or one for each",
        name, has, (long long)n, what);
}

static mega_status check_lists(
    const struct mega_transformer_options *o, const struct mega_layer_plan *plan)
{
    static const char attention[] = "attentions", mlp[] = "feed-forwards", all[] = "sublayers";
    int64_t a = plan->count[MEGA_BRANCH_ATTENTION] + plan->count[MEGA_BRANCH_CROSS],
            f = plan->count[MEGA_BRANCH_MLP], k = plan->modules;
    MEGA_TRY(check_list("heads", o->heads.n, a, attention));
    MEGA_TRY(check_list("kv_heads", o->kv_heads.n, a, attention));
    MEGA_TRY(check_list("keys", o->keys.n, a, attention));
    MEGA_TRY(check_list("values", o->values.n, a, attention));
    MEGA_TRY(check_list("chunk", o->chunk.n, a, attention));
    MEGA_TRY(check_list("attention_dropout", o->attention_dropout.n, a, attention));
    MEGA_TRY(check_list("ffn", o->ffn.n, f, mlp));
    MEGA_TRY(check_list("hidden_dropout", o->hidden_dropout.n, f, mlp));
    MEGA_TRY(check_list("shift_tokens", o->shift.steps.n, k, all));
    MEGA_TRY(check_list("sublayer_dropout", o->branch.dropout.n, k, all));
    return check_list("layer_dropout", o->plan.layer_dropout.n, plan->pass, "executions");
}

/* is the i-th attention one to a context? */
static bool is_cross(const struct mega_layer_plan *plan, int64_t i)
{
    for (int64_t k = 0; k < plan->modules; k++)
        if (plan->kind[k] != MEGA_BRANCH_MLP && i-- == 0)
            return plan->kind[k] == MEGA_BRANCH_CROSS;
    return false;
}

/* what passes from attention to attention fits them all */
static mega_status check_chain(
    const struct mega_transformer_options *o, const struct mega_layer_plan *plan)
{
    int64_t n = plan->count[MEGA_BRANCH_ATTENTION] + plan->count[MEGA_BRANCH_CROSS];
    bool heads = true, values = true, windows = true;
    struct mega_attention_options first = mega_transformer_attention(o, 0, false);
    bool some = true, hybrid = first.output.hybrid != 0;
    for (int64_t i = 0; i < n; i++) some &= mega_ints_at(&o->heads, i) > 0;
    for (int64_t i = 1; i < n; i++) {
        struct mega_attention_options a = mega_transformer_attention(o, i, false);
        heads &= a.heads == first.heads;
        values &= a.kv_heads == first.kv_heads && a.values == first.values;
        windows &= a.chunk == first.chunk;
        hybrid |= a.output.hybrid != 0;
    }
    const struct mega_attention_options *a = &o->attention;
    const struct pair pairs[] = {
        { a->memory > 0 && !some, "max_mem_len", "heads",
            "every attention leaves a memory: expected heads in each" },
        { a->memory > 0 && o->embedding.memory && hybrid, "max_mem_len with num_memory_tokens",
            "attn_hybrid",
            "its state would go through the memory tokens again in every segment" },
        { (a->score.residual || o->cross.residual) && !heads, "residual_attn", "heads",
            "scores are added head by head: expected equal numbers of heads" },
        { a->score.residual && !windows, "residual_attn", "chunk",
            "scores are added key by key: expected equal windows" },
        { a->prepare.value_residual && !values, "value_residual", "kv_heads or values",
            "the first layer's values are mixed into those of all: expected equal sizes" },
        { mega_position_bias_wanted(&a->position) && a->position.kind != MEGA_REL_POS_XL &&
                !heads,
            "rel_pos", "heads",
            "all layers share a table of the heads: expected equal numbers of heads" },
        { a->rotary.kind == MEGA_ROTARY_POPE && (!heads || !values), "rotary pope", "heads",
            "all layers share the phases of the heads: expected equal numbers of heads" },
    };
    REFUSE(pairs);
    return MEGA_OK;
}

/* the attentions, each with its own sizes */
static mega_status check_attentions(
    const struct mega_transformer_options *o, const struct mega_layer_plan *plan)
{
    int64_t n = plan->count[MEGA_BRANCH_ATTENTION] + plan->count[MEGA_BRANCH_CROSS];
    for (int64_t i = 0; i < n; i++) {
        struct mega_attention_options a = mega_transformer_attention(o, i, is_cross(plan, i));
        if (a.heads) MEGA_TRY(mega_attention_check(&a));
    }
    return check_chain(o, plan);
}

static mega_status check_options(const struct mega_transformer_options *o);

/* layers with options of their own, each by the rules of all */
static mega_status check_layers(
    const struct mega_transformer_options *o, const struct mega_layer_plan *plan)
{
    for (int64_t i = 0; mega_layer_options_given(o) && i < plan->modules; i++) {
        struct mega_transformer_options own = mega_layer_options_at(o, i);
        MEGA_TRY(check_options(&own));
    }
    return MEGA_OK;
}

/* what needs the plan, which is laid out for that */
static mega_status check_plan(const struct mega_transformer_options *o)
{
    struct mega_arena room;
    struct mega_layer_plan plan;
    MEGA_TRY(mega_arena_init(&room, (size_t)1 << 24));
    mega_status status = mega_layer_plan_make(&plan, &o->plan, &room);
    if (!status) status = check_lists(o, &plan);
    if (!status) status = check_attentions(o, &plan);
    if (!status) status = check_layers(o, &plan);
    if (!status)
        status = mega_kept_heads_check(o->kept_heads, plan.count[MEGA_BRANCH_ATTENTION]);
    if (!status)
        status = mega_kept_check(
            &mega_kept_cross_words, o->kept_cross, plan.count[MEGA_BRANCH_CROSS]);
    if (!status)
        status = mega_kept_check(
            &mega_kept_channels_words, o->kept_channels, plan.count[MEGA_BRANCH_MLP]);
    if (!status && o->gates.cross && !plan.count[MEGA_BRANCH_CROSS])
        status = mega_fail(MEGA_BAD_ARGUMENT,
            "cross_gates is given, but nothing attends to a context: expected cross_attend");
    if (!status && o->plan.loops > 1 && plan.count[MEGA_BRANCH_CROSS])
        status = mega_fail(MEGA_BAD_ARGUMENT,
            "loops does not go with attention to a context: its exit gate learns from the "
            "losses of a language model");
    mega_arena_done(&room);
    return status;
}

static mega_status check_norms(const struct mega_transformer_options *o)
{
    enum mega_placement p = (enum mega_placement)o->placement;
    bool squash = o->norm == MEGA_DYT || o->norm == MEGA_DERF,
         adaptive = mega_norm_is_adaptive(o->norm);
    if (o->norm == MEGA_BATCHNORM || o->norm == MEGA_SYNCBATCHNORM)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "norm is over the batch: expected one of layernorm, scalenorm, rmsnorm, "
            "simple_rmsnorm, dyt, derf, adaln, ada_rmsnorm");
    if (adaptive && o->norms.condition < 1)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "norm is adaptive and norm_condition is 0: expected the channels of its condition");
    const struct pair pairs[] = {
        { squash && p != MEGA_PLACEMENT_PRE && p != MEGA_PLACEMENT_NONE, "norm dyt or derf",
            "placement", "only pre: what it makes has no fixed size to add to or to end with" },
        { o->norms.branch_sites > MEGA_BRANCH_SITES_NONE && !mega_placement_has_pre(p),
            "norm_branch_sites", "placement",
            "a norm on a branch's output needs one on its input: expected pre or sandwich" },
        { o->branch.scale == MEGA_BRANCH_ADAPTIVE && o->norms.condition < 1,
            "branch_scale adaptive", "norm_condition 0", "its gate is made of a condition" },
    };
    REFUSE(pairs);
    return MEGA_OK;
}

/* branches read all states that the stream has had */
static bool collects(const struct mega_residual_options *s)
{
    return s->kind == MEGA_RESIDUAL_LIME || s->kind == MEGA_RESIDUAL_DEPTH;
}

/* the placement has no norm behind the sum */
static bool only_reads(int placement)
{
    return placement == MEGA_PLACEMENT_PRE || placement == MEGA_PLACEMENT_SANDWICH ||
           placement == MEGA_PLACEMENT_SUBLN || placement == MEGA_PLACEMENT_NONE;
}

static mega_status check_residual(const struct mega_transformer_options *o)
{
    const struct mega_residual_options *s = &o->residual;
    bool add = s->kind == MEGA_RESIDUAL_ADD, second = o->placement == MEGA_PLACEMENT_RESIDUAL,
         deep = o->placement == MEGA_PLACEMENT_DEEPNORM;
    const struct pair pairs[] = {
        { second && !add, "placement residual", "residual",
            "its two streams are both plain sums: expected add" },
        { deep && !add, "placement deepnorm", "residual",
            "its factor belongs to a plain sum: expected add" },
        { !add && s->kind == MEGA_RESIDUAL_GRU && (s->scale || s->alpha > 0), "residual gru",
            s->scale ? "scale_residual" : "residual_alpha",
            "the gates decide what the stream keeps" },
        { s->kind == MEGA_RESIDUAL_MV_SPLIT && o->causal, "residual mv_split", "a decoder",
            "means over the sequence look into the future" },
        { s->kind == MEGA_RESIDUAL_ORTHOGONAL && s->sample && o->causal,
            "orthogonal_scope sample", "a decoder",
            "a product over the sequence looks into the future" },
        { s->unet && !add, "unet_skips", "residual", "expected add" },
        { s->unet && (o->plan.tied || o->plan.sandwich_coef || o->plan.par_ratio ||
                         (o->plan.layer_types && *o->plan.layer_types) ||
                         o->plan.layer_order.n || o->plan.repeat.n),
            "unet_skips", "another order of layers",
            "a layer needs a mirror image: expected layers alone" },
        { s->streams > 1 && !add, "residual_streams", "residual",
            "streams are mixed their own way: expected add" },
        { s->streams > 1 && s->unet, "residual_streams", "unet_skips",
            "a skip belongs to one stream" },
        { s->streams > 1 && (second || deep), "residual_streams",
            second ? "placement residual" : "placement deepnorm", "it belongs to one stream" },
        { s->streams > 1 && (o->placement == MEGA_PLACEMENT_POST ||
                                o->placement == MEGA_PLACEMENT_PRE_POST),
            "residual_streams", "placement", "there is no sum to norm: expected pre or none" },
        { s->streams > 1 && (s->scale || s->alpha > 0), "residual_streams",
            s->scale ? "scale_residual" : "residual_alpha",
            "learned weights decide what a stream keeps" },
        { s->constraint && s->streams < 2, "stream_constraint", "residual_streams 1",
            "there is nothing to mix" },
        { collects(s) && (o->plan.tied || o->plan.layer_order.n || o->plan.repeat.n),
            s->kind == MEGA_RESIDUAL_LIME ? "residual lime" : "residual depth_attn",
            "layers that are executed again",
            "a sublayer weighs all states before it: expected each once" },
        { collects(s) && !o->plan.drop_path &&
                (o->plan.layer_dropout.n || o->plan.layer_dropout.each > 0),
            s->kind == MEGA_RESIDUAL_LIME ? "residual lime" : "residual depth_attn",
            "layer_dropout", "a state would be missing: expected drop_path" },
        { s->kind == MEGA_RESIDUAL_DEPTH && s->depth_heads > 0 &&
                o->width % (2 * s->depth_heads),
            "depth_attn_heads", "width",
            "heads over the depth turn by pairs of channels: "
            "expected an even number in each" },
        { s->kind != MEGA_RESIDUAL_DEPTH &&
                (s->depth_heads > 1 || s->depth_query || s->depth_pure),
            "depth_attn_heads, depth_attn_query, depth_attn_add", "residual",
            "expected depth_attn" },
        { s->kind == MEGA_RESIDUAL_DEPTH && s->depth_pure &&
                (s->scale || s->alpha > 0 || !only_reads(o->placement)),
            "depth_attn_add false", "placement, scale_residual or residual_alpha",
            "there is no sum to norm or to scale: expected pre, sandwich, subln or none" },
        { s->views > 1 && !(s->streams > 1) && s->kind != MEGA_RESIDUAL_LIME, "residual_views",
            "residual", "expected lime or residual_streams: views are mixtures" },
        { s->views == 2, "residual_views", "2", "expected 1, or 3: queries, keys and values" },
        { s->views > 1 && (o->shift.steps.n || o->shift.steps.each), "residual_views",
            "shift_tokens", "one past of tokens is kept, not one a view" },
        { s->views > 1 && o->attention.prepare.kv_latent, "residual_views", "attn_kv_latent",
            "keys and values come from one latent" },
        { s->views > 1 && o->attention.memory > 0, "residual_views", "max_mem_len",
            "a memory is of one view" },
        { s->reinject_gate && !s->reinject, "reinject_gate", "reinject_input false",
            "there is nothing to gate" },
    };
    REFUSE(pairs);
    return MEGA_OK;
}

static mega_status check_ends(const struct mega_transformer_options *o)
{
    const struct mega_embedding_options *e = &o->embedding;
    int64_t width = e->width ? e->width : o->width;
    if (o->tied && !o->headless && width != o->width)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "tied is true, but emb_dim is %lld and width is %lld: the table has another width "
            "than what the head reads: expected tied: false",
            (long long)width, (long long)o->width);
    bool remembers = o->attention.memory > 0;
    const struct pair pairs[] = {
        { remembers && o->positions, "max_mem_len", "positions",
            "positions of every segment would be the same: expected positions none" },
        { remembers && e->memory_every, "max_mem_len", "memory_every",
            "memory tokens begin every segment as it is" },
        { o->attention.segment && e->memory, "mem_segment", "num_memory_tokens",
            "in one pass they stand before the first segment alone: attn_num_mem_kv serves all "
            "of them" },
        { o->shift_memory && !remembers, "shift_mem_down", "max_mem_len 0",
            "there is no memory to move" },
        { o->shift_memory && o->attention.segment, "shift_mem_down", "mem_segment",
            "layers of one pass read their own past" },
        { o->wrap_memory && !o->shift_memory, "shift_mem_wrap", "shift_mem_down 0",
            "no memory moves" },
        { e->memory_every && !e->memory, "memory_every", "num_memory_tokens 0",
            "there is nothing to repeat" },
        { e->memory_every && !o->causal, "memory_every", "an encoder",
            "memory between the places belongs to causal attention" },
        { e->fixed_scale && !e->fixed, "l2norm_embed_scale", "l2norm_embed false",
            "the factor is of normalised rows" },
        { o->numbers && (e->fixed || o->tied), e->fixed ? "l2norm_embed" : "tied", "numbers",
            "there is no table" },
        { o->deep && (e->memory || e->class_tokens), "ff_deep_embed",
            e->memory ? "num_memory_tokens" : "class tokens",
            "places that are no tokens have no factors" },
        { o->recycle > 1 && remembers, "recycle_steps", "max_mem_len",
            "a segment would leave a memory of every pass" },
        { o->deep && o->numbers, "ff_deep_embed", "numbers", "there are no tokens" },
        { (o->head.factor < 0 || o->head.factor > 1 ||
              (o->head.factor > 0 && o->head.factor < 1)) &&
                o->head.fixed,
            "logit_scale", "fixnorm_output", "cosines do not know it" },
        { o->head.mixture && o->head.fixed, "output_mos", "fixnorm_output",
            "each mixes logits its own way" },
    };
    REFUSE(pairs);
    return MEGA_OK;
}

static mega_status check_loops(const struct mega_transformer_options *o)
{
    bool loops = o->plan.loops > 1;
    const struct pair pairs[] = {
        { loops && o->placement != MEGA_PLACEMENT_PRE_POST, "loops", "placement",
            "what a loop gives is read by the next: expected pre_post, whose norms keep its "
            "size" },
        { loops && o->recycle > 1, "loops", "recycle_steps",
            "each says what the next pass over the stack begins with" },
        { loops && !o->causal, "loops", "an encoder",
            "its exit gate learns from the losses of a language model" },
        { loops && o->shift_memory, "loops", "shift_mem_down",
            "the memories of one loop are not those of another" },
        { !loops && o->plan.eval_loops > 1, "eval_loops", "loops 1",
            "no gate learnt where to stop" },
        { !loops && o->exit.at > 0 && o->exit.at < 1, "exit_at", "loops 1",
            "there is no exit gate" },
    };
    REFUSE(pairs);
    return MEGA_OK;
}

static mega_status check_rest(const struct mega_transformer_options *o)
{
    const struct mega_shift_options *s = &o->shift;
    bool solu = o->act == MEGA_MLP_SOLU;
    const struct mega_attention_score_options *a = &o->attention.score;
    const struct pair pairs[] = {
        { a->carry && !a->residual && !o->cross.residual, "residual_attn_carry",
            "residual_attn false", "no scores are carried on" },
        { solu && o->gated, "activation solu", "gated", "it has a gate of its own" },
        { o->mlp.gate_clamp > 0 && !o->gated, "ff_gate_clamp", "gated false",
            "there is no gate" },
        { o->full_every && !o->attention.score.past, "max_attend_full_every",
            "max_attend_past 0", "every attention sees all keys" },
        { s->mask && !s->steps.n && !s->steps.each, "shift_mask", "shift_tokens 0",
            "nothing is shifted" },
        { o->plan.drop_path && !o->plan.layer_dropout.n && !(o->plan.layer_dropout.each > 0),
            "drop_path", "layer_dropout 0", "nothing is left out" },
    };
    REFUSE(pairs);
    return MEGA_OK;
}

static mega_status check_options(const struct mega_transformer_options *o)
{
    MEGA_TRY(check_sizes(o));
    MEGA_TRY(check_norms(o));
    MEGA_TRY(check_residual(o));
    MEGA_TRY(check_ends(o));
    MEGA_TRY(check_loops(o));
    return check_rest(o);
}

mega_status mega_transformer_check(const struct mega_transformer_options *o)
{
    MEGA_TRY(mega_layer_options_check(o));
    MEGA_TRY(check_options(o));
    return check_plan(o);
}

static bool no_feed_forward(const struct mega_transformer_options *o)
{
    const char *types = o->plan.layer_types;
    return types && *types && !strchr(types, 'f');
}

const char *mega_transformer_doubt(const struct mega_transformer_options *o, int n)
{
    const struct {
        bool is;
        const char *text;
    } doubts[] = {
        { o->embedding.fixed && o->embedding.norm,
            "l2norm_embed and post_emb_norm are both on: each fixes the size of what is "
            "embedded" },
        { o->attention.rotary.kind && o->attention.position.kind,
            "rotary and rel_pos are both on: scores know the positions twice" },
        { o->attention.prepare.laser && o->attention.score.zeros,
            "attn_laser and attn_zero_kv are both on: the logarithm of what empty keys leave" },
        { no_feed_forward(o) && !o->attention.prepare.memories,
            "layer_types has no feed-forward and attn_num_mem_kv is 0: nothing is done place "
            "by "
            "place" },
    };
    for (size_t i = 0; i < sizeof doubts / sizeof *doubts; i++)
        if (doubts[i].is && n-- == 0) return doubts[i].text;
    return NULL;
}

const char *const mega_transformer_core[] = { "layers", "width", "ffn", "longest", "heads",
    "kv_heads", "keys", "values", "chunk", "positions", "position_scale", "rotary_dims",
    "rotary_base", "rotary_factor", "rotary_interleaved", "attention_bias", "activation",
    "gated", "up_bias", "down_bias", "norm", "norm_eps", "norm_affine", "norm_bias",
    "placement", "final_norm", "tied", "head_bias", "dropout", "attention_dropout",
    "hidden_dropout", "recompute", "init_std", "attn_init", "zero_init_branch_output",
    "branch_init_depth", "head_gates", "gate_init", "gate_glorot", "gate_noise", "gate_hard",
    "gate_temperature", "gate_low", "gate_high", "gate_eps", "kept_heads", NULL };

static bool is_known(const char *name, const char *const known[])
{
    for (; *known; known++)
        if (!strcmp(name, *known)) return true;
    return false;
}

static size_t size_of(const struct mega_option *o)
{
    switch (o->type) {
    case MEGA_OPTION_INT: return sizeof(int64_t);
    case MEGA_OPTION_REAL: return sizeof(double);
    case MEGA_OPTION_BOOL: return sizeof(bool);
    case MEGA_OPTION_CHOICE: return sizeof(int);
    case MEGA_OPTION_INTS: return sizeof(struct mega_ints);
    case MEGA_OPTION_REALS: return sizeof(struct mega_reals);
    case MEGA_OPTION_TEXT: return sizeof(const char *);
    default: return 0;
    }
}

static bool is_zero(const struct mega_option *o, const void *options)
{
    static const struct mega_transformer_options none;
    return !memcmp(
        (const char *)options + o->offset, (const char *)&none + o->offset, size_of(o));
}

/* is the field zero, or as in the other struct? */
static bool is_usual(const struct mega_option *o, const void *options, const void *usual)
{
    const char *field = (const char *)options + o->offset;
    if (o->type == MEGA_OPTION_TEXT) {
        const char *text = *(const char *const *)(const void *)field;
        return !text || !*text;
    }
    return is_zero(o, options) || !memcmp(field, (const char *)usual + o->offset, size_of(o));
}

void mega_transformer_complete(struct mega_transformer_options *o)
{
    struct mega_transformer_options usual = { 0 };
    mega_option_defaults(mega_transformer_table, &usual);
    for (const struct mega_option *row = mega_transformer_table; row->name; row++)
        if (!is_known(row->name, mega_transformer_core) && is_zero(row, o))
            memcpy((char *)o + row->offset, (const char *)&usual + row->offset, size_of(row));
}

const char *mega_transformer_unusual(
    const struct mega_transformer_options *o, const char *const known[])
{
    struct mega_transformer_options usual = { 0 };
    mega_option_defaults(mega_transformer_table, &usual);
    for (const struct mega_option *row = mega_transformer_table; row->name; row++)
        if (row->type != MEGA_OPTION_ALIAS && !is_known(row->name, known) &&
            !is_usual(row, o, &usual))
            return row->name;
    if (o->heads.n || o->kv_heads.n) return "heads";
    if (o->keys.n || o->values.n) return "keys";
    return o->ffn.n ? "ffn" : o->chunk.n ? "chunk" : NULL;
}

const char *mega_transformer_breaks_stream(const struct mega_transformer_options *o)
{
    if (!o->causal) return "its attention looks into the future";
    if (o->embedding.memory_every) return "memory_every stands between the places";
    if (o->attention.score.prefix) return "prefix_lm lets places see what follows them";
    if (o->recycle > 1) return "recycle_steps reads what the stack gave of all places before";
    return NULL;
}
