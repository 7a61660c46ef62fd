/* From the cfg keys of the reference library to our options, by name: a table of what each key
 * means. The settings that a key does not state are those of spec/variants.md, 9.2. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "format/node.h"
#include "golden/transformer_case.h"
#include "model/decoder.h"

extern const struct mega_decoder_type mega_decoder_transformer;

/* ---- setting by name ---- */

static void set(struct transformer_case *t, const char *name, const char *value)
{
    const struct mega_option *table = mega_decoder_transformer.options;
    const struct mega_option *o = mega_option_find(table, name);
    if (!o)
        golden_unsupported(t->c, "there is no option %s", name);
    else if (mega_option_parse(o, name, value, &t->options))
        golden_unsupported(t->c, "%s", mega_message());
}

static void set_real(struct transformer_case *t, const char *name, double value)
{
    char text[32];
    mega_real_print(value, text);
    set(t, name, text);
}

static void set_int(struct transformer_case *t, const char *name, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    set(t, name, text);
}

/* "name=value name=*": '*' stands for `given` */
static void set_all(struct transformer_case *t, const char *settings, const char *given)
{
    char name[64], value[64];
    for (int n = 0; sscanf(settings, " %63[^= ]=%63s%n", name, value, &n) == 2; settings += n)
        set(t, name, !strcmp(value, "*") ? given : value);
}

/* ---- what the keys mean ---- */

/* what holds for every file; no table of positions in it: none */
static const char base[] = "activation=gelu norm=layernorm norm_eps=1e-5 norm_bias=false "
                           "position_scale=1 positions=none tied=false chunk=-1";

static const struct {
    const char *key, *when; /* "*": any value, for '*' in the settings */
    const char *settings;
} rules[] = {
    { "num_tokens", "*", "" },
    { "max_seq_len", "*", "longest=*" },
    { "seq_len", "*", "" },
    { "batch", "*", "" },
    { "mask", "True", "" },
    { "context_len", "*", "" },
    { "segments", "*", "" },
    { "layers_execute_order", "*", "" },
    { "layer_types", "*", "" },
    { "attn_layers.dim", "*", "width=*" },
    { "attn_layers.depth", "*", "layers=*" },
    { "attn_layers.heads", "*", "heads=*" },
    { "attn_layers.attn_dim_head", "*", "keys=*" },
    { "attn_layers.attn_value_dim_head", "*", "values=*" },
    { "attn_layers.attn_kv_heads", "*", "kv_heads=*" },
    { "attn_layers.attn_one_kv_head", "True", "kv_heads=1" },
    { "attn_layers.ff_mult", "*", "" },
    /* ends */
    { "wrapper.emb_dim", "*", "emb_dim=*" },
    { "wrapper.post_emb_norm", "True", "post_emb_norm=true" },
    { "wrapper.l2norm_embed", "True", "l2norm_embed=true" },
    { "wrapper.num_memory_tokens", "*", "num_memory_tokens=*" },
    { "wrapper.tie_embedding", "True", "tied=true" },
    { "wrapper.use_abs_pos_emb", "False", "" },
    { "wrapper.scaled_sinu_pos_emb", "True", "positions=scaled_sinusoidal position_scale=1" },
    { "wrapper.max_mem_len", "*", "max_mem_len=*" },
    { "wrapper.shift_mem_down", "*", "shift_mem_down=*" },
    /* plan */
    { "attn_layers.custom_layers", "*", "" },
    { "attn_layers.sandwich_coef", "*", "sandwich_coef=*" },
    { "attn_layers.par_ratio", "*", "par_ratio=*" },
    { "attn_layers.macaron", "True", "macaron=true" },
    { "attn_layers.weight_tie_layers", "True", "weight_tie_layers=true" },
    { "attn_layers.cross_attend", "True", "cross_attend=true" },
    /* norms and residuals; RMSNorm and ScaleNorm divide by the length of x, nothing inside the
     * root */
    { "attn_layers.pre_norm", "False", "placement=post" },
    { "attn_layers.pre_norm_has_final_norm", "False", "final_norm=off" },
    { "attn_layers.norm_add_unit_offset", "False", "" },
    { "attn_layers.sandwich_norm", "True", "placement=sandwich" },
    { "resi_dual_scale", "*", "placement=residual residual_scale=*" },
    { "attn_layers.use_scalenorm", "True", "norm=scalenorm norm_eps=1e-12 rms_guard=max" },
    { "attn_layers.use_rmsnorm", "True", "norm=rmsnorm norm_eps=1e-12 rms_guard=max" },
    { "attn_layers.use_simple_rmsnorm", "True",
        "norm=simple_rmsnorm norm_eps=1e-12 rms_guard=max" },
    { "attn_layers.use_dynamic_tanh", "True", "norm=dyt" },
    { "attn_layers.gate_residual", "True", "residual=gru residual_gate=gru_cell" },
    { "attn_layers.scale_residual", "True", "scale_residual=all" },
    { "attn_layers.scale_residual_constant", "*", "residual_alpha=*" },
    { "attn_layers.use_layerscale", "True", "branch_scale=layerscale" },
    { "attn_layers.layerscale_init_value", "*", "layerscale_init=*" },
    { "attn_layers.shift_tokens", "*", "shift_tokens=* shift_mask=attn" },
    /* feed-forward; its switch leaves the biases of a gated projection */
    { "attn_layers.ff_glu", "True", "gated=true" },
    { "attn_layers.ff_swish", "True", "activation=silu" },
    { "attn_layers.ff_relu_squared", "True", "activation=relu2" },
    { "attn_layers.ff_no_bias", "True", "down_bias=false" },
    { "attn_layers.ff_glu_mult_bias", "True", "ff_glu_mult_bias=true" },
    { "attn_layers.ff_post_act_ln", "True", "ff_post_act_norm=true" },
    /* attention: queries, keys, values */
    { "attn_layers.rotary_pos_emb", "True", "rotary=rope rotary_interleaved=true" },
    { "attn_layers.rotary_emb_dim", "*", "" }, /* the file has its frequencies */
    { "attn_layers.rotary_xpos", "True", "rotary=xpos rotary_interleaved=true" },
    { "attn_layers.rotary_xpos_scale_base", "*", "xpos_scale_base=*" },
    { "attn_layers.attn_qk_norm", "True", "qk_norm=l2" },
    { "attn_layers.attn_qk_norm_groups", "*", "qk_norm_groups=*" },
    { "attn_layers.attn_qk_norm_dim_scale", "True", "qk_norm_dim_scale=true" },
    { "attn_layers.attn_qk_rmsnorm", "True", "qk_norm=rms" },
    { "attn_layers.add_value_residual", "True", "value_residual=learned" },
    { "attn_layers.attn_num_mem_kv", "*", "attn_num_mem_kv=*" },
    { "attn_layers.cross_attn_num_mem_kv", "*", "cross_attn_num_mem_kv=*" },
    /* scores and weights */
    { "attn_layers.rel_pos_bias", "True", "rel_pos=t5" },
    { "attn_layers.rel_pos_num_buckets", "*", "rel_pos_buckets=*" },
    { "attn_layers.rel_pos_max_distance", "*", "rel_pos_max_distance=*" },
    { "attn_layers.alibi_pos_bias", "True", "rel_pos=alibi" },
    { "attn_layers.alibi_num_heads", "*", "alibi_heads=*" },
    { "attn_layers.dynamic_pos_bias", "True", "rel_pos=dynamic" },
    { "attn_layers.dynamic_pos_bias_log_distance", "True", "dynamic_pos_bias_log=true" },
    { "attn_layers.dynamic_pos_bias_norm", "True", "dynamic_pos_bias_norm=true" },
    { "attn_layers.residual_attn", "True", "residual_attn=true" },
    { "attn_layers.attn_l2_distance", "True", "attn_score=l2" },
    { "attn_layers.attn_softclamp_logits", "True", "attn_softclamp=50" },
    { "attn_layers.attn_logit_softclamp_value", "*", "attn_softclamp=*" },
    { "attn_layers.attn_max_attend_past", "*", "max_attend_past=*" },
    { "attn_layers.attn_pre_talking_heads", "True", "attn_talking_heads=pre" },
    { "attn_layers.attn_post_talking_heads", "True", "attn_talking_heads=post" },
    { "attn_layers.attn_sigmoid", "True", "attn_fn=sigmoid attn_sigmoid_bias=none" },
    { "attn_layers.attn_sparse_topk", "*", "attn_fn=topk attn_topk=*" },
    { "attn_layers.attn_add_zero_kv", "True", "attn_zero_kv=1" },
    { "attn_layers.attn_head_learned_sink", "True", "attn_sink=true" },
    /* heads joined */
    { "attn_layers.attn_head_scale", "True", "attn_head_scale=true" },
    { "attn_layers.attn_gate_values", "True", "attn_gate_values=true attn_gate_bias=false" },
    { "attn_layers.attn_gate_value_heads", "True", "attn_gate_heads=true" },
    { "attn_layers.attn_on_attn", "True", "attn_on_attn=true" },
};

static bool is_absent(const char *value)
{
    return !*value || !strcmp(value, "none") || !strcmp(value, "None");
}

static void follow_rules(struct transformer_case *t)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        const char *value = golden_cfg(t->c, rules[i].key), *when = rules[i].when;
        bool opposite = !strcmp(value, !strcmp(when, "True") ? "False" : "True");
        if (is_absent(value) || (*when != '*' && opposite)) continue;
        if (*when != '*' && strcmp(when, value) != 0)
            golden_unsupported(t->c, "cfg.%s is %s", rules[i].key, value);
        else
            set_all(t, rules[i].settings, value);
    }
}

static bool flag(struct transformer_case *t, const char *key)
{
    return golden_cfg_bool(t->c, key, false);
}

/* what follows from several keys, or from what the file holds */
static void follow_more(struct transformer_case *t)
{
    struct golden_case *c = t->c;
    const struct mega_st_tensor *frequencies =
        golden_find(c, "param.attn_layers.rotary_pos_emb.inv_freq");
    golden_find(c, "param.attn_layers.rotary_pos_emb.scale"); /* follows from the dims */
    set_int(t, "ffn", t->width * golden_cfg_int(c, "attn_layers.ff_mult", 4));
    if (frequencies) set_int(t, "rotary_dims", 2 * frequencies->count);
    const struct mega_st_tensor *table = golden_find(c, "param.pos_emb.emb.weight");
    if (!table) table = golden_find(c, "param.net.pos_emb.emb.weight");
    if (table) {
        set(t, "positions", "learned");
        set_real(t, "position_scale", 1 / sqrt((double)table->dim[1]));
    }
    if (flag(t, "attn_layers.ff_no_bias") && !flag(t, "attn_layers.ff_glu"))
        set(t, "up_bias", "false");
    if (flag(t, "attn_layers.attn_pre_talking_heads") &&
        flag(t, "attn_layers.attn_post_talking_heads"))
        set(t, "attn_talking_heads", "both");
    if (flag(t, "attn_layers.rel_pos_bias"))
        set_real(t, "rel_pos_scale", sqrt((double)t->keys));
    if (*golden_cfg(c, "attn_layers.custom_layers"))
        set(t, "layer_types", golden_cfg(c, "layer_types"));
}

void transformer_case_options(struct transformer_case *t)
{
    struct golden_case *c = t->c;
    t->width = golden_cfg_int(c, "attn_layers.dim", 0);
    t->heads = golden_cfg_int(c, "attn_layers.heads", 8);
    t->keys = golden_cfg_int(c, "attn_layers.attn_dim_head", 64);
    t->values = golden_cfg_int(c, "attn_layers.attn_value_dim_head", t->keys);
    t->kv_heads = flag(t, "attn_layers.attn_one_kv_head")
                      ? 1
                      : golden_cfg_int(c, "attn_layers.attn_kv_heads", t->heads);
    t->norm_offset = golden_cfg_bool(c, "attn_layers.norm_add_unit_offset", true);
    mega_option_defaults(mega_decoder_transformer.options, &t->options);
    set_all(t, base, "");
    follow_rules(t);
    follow_more(t);
    if (c->exec) set(t, "attn_exec", c->exec);
    t->options.vocabulary = golden_cfg_int(c, "num_tokens", 0);
    t->options.causal = golden_cfg_choice(c, "kind", "Encoder|Decoder", 0);
    golden_cfg_complete(c);
}
