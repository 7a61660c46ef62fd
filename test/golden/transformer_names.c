/* Parameters of the reference library's Transformers and ours: names, layouts, offsets. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden/transformer_case.h"

enum offset {
    AS_IT_IS,
    LESS_ONE, /* stored less 1, unless the file has no offsets */
    LESS_IDENTITY
};

/* Ours, below the model or a module "sub.<k>."; theirs likewise, alternatives in order, the
 * first that the file has ("1." may be "1.fn."). Some of theirs are parts of one tensor. */
static const struct name {
    const char *ours, *theirs;
    enum offset offset;
    int part, parts; /* 0: all of it */
} names[] = {
    { "tok_emb.weight", "token_emb.emb.weight", AS_IT_IS, 0, 0 },
    { "pos_emb.weight", "pos_emb.emb.weight", AS_IT_IS, 0, 0 },
    { "pos_emb.scale", "pos_emb.scale", AS_IT_IS, 0, 0 },
    { "emb_norm.weight", "post_emb_norm.gamma", AS_IT_IS, 0, 0 },
    { "emb_proj.weight", "project_emb.weight", AS_IT_IS, 0, 0 },
    { "emb_proj.bias", "project_emb.bias", AS_IT_IS, 0, 0 },
    { "memory_tokens", "memory_tokens", AS_IT_IS, 0, 0 },
    { "lm_head.weight", "to_logits.weight", AS_IT_IS, 0, 0 },
    { "final_norm.weight",
        "attn_layers.final_norm.gamma|attn_layers.final_norm.g|final_norm.gamma", LESS_ONE, 0,
        0 },
    { "final_norm.bias", "attn_layers.final_norm.beta", AS_IT_IS, 0, 0 },
    { "final_norm.alpha", "attn_layers.final_norm.pre_tanh_scale", LESS_ONE, 0, 0 },
    { "rel_bias.weight", "attn_layers.rel_pos.relative_attention_bias.weight", AS_IT_IS, 0, 0 },
    { "norm_pre.weight", "0.0.gamma|0.0.g", LESS_ONE, 0, 0 },
    { "norm_pre.bias", "0.0.beta", AS_IT_IS, 0, 0 },
    { "norm_pre.alpha", "0.0.pre_tanh_scale", LESS_ONE, 0, 0 },
    { "norm_branch.weight", "0.1.gamma|0.1.g", LESS_ONE, 0, 0 },
    { "norm_post.weight", "0.2.gamma|0.2.g", LESS_ONE, 0, 0 },
    { "attn.q.weight", "1.to_q.weight", AS_IT_IS, 0, 0 },
    { "attn.k.weight", "1.to_k.weight", AS_IT_IS, 0, 0 },
    { "attn.v.weight", "1.to_v.weight", AS_IT_IS, 0, 0 },
    { "attn.o.weight", "1.to_out.weight|1.to_out.0.weight", AS_IT_IS, 0, 0 },
    { "attn.mem_k", "1.mem_k", AS_IT_IS, 0, 0 },
    { "attn.mem_v", "1.mem_v", AS_IT_IS, 0, 0 },
    /* their mixed scores are added to the scores themselves */
    { "attn.talk_pre", "1.attend.pre_softmax_talking_heads.weight", LESS_IDENTITY, 0, 0 },
    { "attn.talk_post", "1.attend.post_softmax_talking_heads.weight", AS_IT_IS, 0, 0 },
    { "attn.sink", "1.attend.head_attn_sink", AS_IT_IS, 0, 0 },
    { "attn.head_scale", "1.head_scale_params", AS_IT_IS, 0, 0 },
    { "attn.gate.weight", "1.to_v_gate.weight", AS_IT_IS, 0, 0 },
    { "attn.head_gate.weight", "1.to_v_head_gate.weight", AS_IT_IS, 0, 0 },
    { "attn.head_gate.bias", "1.to_v_head_gate.bias", AS_IT_IS, 0, 0 },
    { "attn.q_norm.weight", "1.qk_norm_q_scale", AS_IT_IS, 0, 0 },
    { "attn.k_norm.weight", "1.qk_norm_k_scale", AS_IT_IS, 0, 0 },
    /* ours are stored less 1 too */
    { "attn.q_norm.weight", "1.q_rmsnorm.gamma", AS_IT_IS, 0, 0 },
    { "attn.k_norm.weight", "1.k_rmsnorm.gamma", AS_IT_IS, 0, 0 },
    { "attn.vmix.weight", "1.to_value_residual_mix.0.weight", AS_IT_IS, 0, 0 },
    { "attn.vmix.bias", "1.to_value_residual_mix.0.bias", AS_IT_IS, 0, 0 },
    { "ff.up.weight", "1.ff.0.0.weight", AS_IT_IS, 0, 0 },
    { "ff.up.bias", "1.ff.0.0.bias", AS_IT_IS, 0, 0 },
    { "ff.up.weight", "1.ff.0.proj.weight", AS_IT_IS, 0, 2 },
    { "ff.up.bias", "1.ff.0.proj.bias", AS_IT_IS, 0, 2 },
    { "ff.gate.weight", "1.ff.0.proj.weight", AS_IT_IS, 1, 2 },
    { "ff.gate.bias", "1.ff.0.proj.bias", AS_IT_IS, 1, 2 },
    { "ff.mult", "1.ff.0.mult_bias", AS_IT_IS, 0, 0 },
    { "ff.act_norm.weight", "1.ff.1.gamma", AS_IT_IS, 0, 0 },
    { "ff.down.weight", "1.ff.2.weight|1.ff.3.weight", AS_IT_IS, 0, 0 },
    { "ff.down.bias", "1.ff.2.bias|1.ff.3.bias", AS_IT_IS, 0, 0 },
    { "layer_scale", "1.gamma", LESS_ONE, 0, 0 },
    { "res_scale", "2.residual_scale", AS_IT_IS, 0, 0 },
    { "gate.wr", "2.gru.weight_ih", AS_IT_IS, 0, 3 },
    { "gate.wz", "2.gru.weight_ih", AS_IT_IS, 1, 3 },
    { "gate.wh", "2.gru.weight_ih", AS_IT_IS, 2, 3 },
    { "gate.br", "2.gru.bias_ih", AS_IT_IS, 0, 3 },
    { "gate.bz", "2.gru.bias_ih", AS_IT_IS, 1, 3 },
    { "gate.bh", "2.gru.bias_ih", AS_IT_IS, 2, 3 },
    { "gate.ur", "2.gru.weight_hh", AS_IT_IS, 0, 3 },
    { "gate.uz", "2.gru.weight_hh", AS_IT_IS, 1, 3 },
    { "gate.uh", "2.gru.weight_hh", AS_IT_IS, 2, 3 },
    { "gate.cr", "2.gru.bias_hh", AS_IT_IS, 0, 3 },
    { "gate.cz", "2.gru.bias_hh", AS_IT_IS, 1, 3 },
    { "gate.ch", "2.gru.bias_hh", AS_IT_IS, 2, 3 },
};

/* Where a parameter stands in the file. */
struct place {
    const struct mega_st_tensor *tensor; /* NULL: nowhere */
    const struct name *name;
};

/* param.<prefix><theirs>, with the wrappers that some files have */
static const struct mega_st_tensor *find(
    struct transformer_case *t, const char *prefix, const char *theirs)
{
    const struct mega_st_tensor *at = golden_find(t->c, "param.%s%s", prefix, theirs);
    if (!at) at = golden_find(t->c, "param.net.%s%s", prefix, theirs);
    if (!at && !strncmp(theirs, "1.", 2))
        at = golden_find(t->c, "param.%s1.fn.%s", prefix, theirs + 2);
    return at;
}

/* a layer of the network that makes position biases: the last one stands without an index */
static const struct mega_st_tensor *find_dynamic(struct transformer_case *t, const char *ours)
{
    int i = 0, skip = 0;
    char theirs[96];
    if (sscanf(ours, "dpb.%d.%n", &i, &skip) != 1 || !skip) return NULL;
    const char *leaf = ours + skip;
    bool norm = !strncmp(leaf, "norm.", 5);
    snprintf(theirs, sizeof theirs, "%d.%d.%s", i, norm, norm ? leaf + 5 : leaf);
    const struct mega_st_tensor *at = find(t, "attn_layers.rel_pos.mlp.", theirs);
    snprintf(theirs, sizeof theirs, "%d.%s", i, leaf);
    if (!at && !strcmp(leaf, "norm.weight")) snprintf(theirs, sizeof theirs, "%d.1.gamma", i);
    return at ? at : find(t, "attn_layers.rel_pos.mlp.", theirs);
}

/* "sub.3.attn.q.weight" -> "attn_layers.layers.3.1.to_q.weight" */
static struct place place_of(struct transformer_case *t, const char *ours)
{
    static const struct name plain = { "", "", AS_IT_IS, 0, 0 };
    long module = 0;
    int skip = 0;
    char prefix[64] = "", theirs[96];
    if (sscanf(ours, "sub.%ld.%n", &module, &skip) == 1 && skip)
        snprintf(prefix, sizeof prefix, "attn_layers.layers.%ld.", module);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i].ours, ours + skip) != 0) continue;
        for (int k = 0; mega_choice_name(names[i].theirs, k, theirs, sizeof theirs) >= 0; k++) {
            const struct mega_st_tensor *at = find(t, prefix, theirs);
            if (at) return (struct place){ at, &names[i] };
        }
    }
    return (struct place){ find_dynamic(t, ours), &plain };
}

/* The file has query head h read head h mod G of the keys, the library here h / (H / G): so
 * its heads stand in another order. */
static int64_t file_head(const struct transformer_case *t, int64_t h)
{
    int64_t G = t->kv_heads, group = t->heads / G;
    return h % group * G + h / group;
}

/* where element i of a parameter stands in its tensor of the file */
static int64_t file_index(const struct transformer_case *t, const struct mega_param *p,
    const struct name *name, int64_t i)
{
    int64_t d = t->keys * t->width, dv = t->values, H = t->heads;
    if (strstr(p->name, ".attn.q.")) return file_head(t, i / d) * d + i % d;
    if (strstr(p->name, ".attn.o."))
        return file_head(t, i / dv % H) * dv + i % dv + i / (H * dv) * (H * dv);
    return i + name->part * p->count;
}

static double offset_of(const struct transformer_case *t, const struct name *name, int64_t i)
{
    switch (name->offset) {
    case LESS_ONE: return t->norm_offset;
    case LESS_IDENTITY: return i / t->heads == i % t->heads;
    default: return 0;
    }
}

void transformer_case_load(struct transformer_case *t)
{
    for (struct mega_param *p = t->store.first; p; p = p->next) {
        struct place at = place_of(t, p->name);
        const struct mega_st_tensor *from = at.tensor;
        int64_t parts = at.name->parts ? at.name->parts : 1;
        /* the first norm there has no bias */
        if (!from && !strncmp(p->name, "dpb.", 4) && strstr(p->name, ".norm.bias")) {
            memset(p->value.data, 0, (size_t)p->count * sizeof(float));
            continue;
        }
        if (!from || from->count != p->count * parts) {
            golden_fail(t->c, "%s: %s", p->name,
                from ? "it has another size in the file" : "the file does not have it");
            return;
        }
        for (int64_t i = 0; i < p->count; i++)
            ((float *)p->value.data)[i] =
                (float)(golden_value(from, file_index(t, p, at.name, i)) +
                        offset_of(t, at.name, i));
    }
}

/* the gradient of one tensor of the file: of one parameter, or of the parts of it */
static void compare(struct transformer_case *t, const struct mega_st_tensor *want)
{
    double *got = calloc((size_t)want->count + 1, sizeof *got);
    for (const struct mega_param *p = t->store.first; got && p; p = p->next) {
        struct place at = place_of(t, p->name);
        if (!at.tensor || strcmp(at.tensor->name, want->name + strlen("grad.")) != 0) continue;
        for (int64_t i = 0; i < p->count; i++)
            got[file_index(t, p, at.name, i)] = (double)((const float *)p->gradient.data)[i];
    }
    golden_compare_numbers(t->c, want->name, got, want->count);
    free(got);
}

void transformer_case_gradients(struct transformer_case *t)
{
    for (int i = 0; i < t->c->file->n; i++)
        if (!strncmp(t->c->file->tensor[i].name, "grad.param.", 11))
            compare(t, &t->c->file->tensor[i]);
}
