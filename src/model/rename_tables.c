/* The names of tensors in the files of others (docs/checkpoints.md). */
#include <stddef.h>

#include "model/rename.h"

/* ---- Llama, as Hugging Face has it ---- */

static const struct mega_rename hf_llama[] = {
    { "model.embed_tokens.weight", "tok_emb.weight", MEGA_RENAME_AS_IS, 0, 0 },
    { "model.layers.{i}.input_layernorm.weight", "sub.{2i}.norm_pre.weight", MEGA_RENAME_AS_IS,
        0, 0 },
    { "model.layers.{i}.self_attn.q_proj.weight", "sub.{2i}.attn.q.weight", MEGA_RENAME_QUERIES,
        0, 0 },
    { "model.layers.{i}.self_attn.k_proj.weight", "sub.{2i}.attn.k.weight", MEGA_RENAME_KEYS, 0,
        0 },
    { "model.layers.{i}.self_attn.v_proj.weight", "sub.{2i}.attn.v.weight", MEGA_RENAME_AS_IS,
        0, 0 },
    { "model.layers.{i}.self_attn.o_proj.weight", "sub.{2i}.attn.o.weight", MEGA_RENAME_AS_IS,
        0, 0 },
    { "model.layers.{i}.self_attn.q_proj.bias", "sub.{2i}.attn.q.bias", MEGA_RENAME_QUERIES, 0,
        0 },
    { "model.layers.{i}.self_attn.k_proj.bias", "sub.{2i}.attn.k.bias", MEGA_RENAME_KEYS, 0,
        0 },
    { "model.layers.{i}.self_attn.v_proj.bias", "sub.{2i}.attn.v.bias", MEGA_RENAME_AS_IS, 0,
        0 },
    { "model.layers.{i}.self_attn.o_proj.bias", "sub.{2i}.attn.o.bias", MEGA_RENAME_AS_IS, 0,
        0 },
    { "model.layers.{i}.post_attention_layernorm.weight", "sub.{2i+1}.norm_pre.weight",
        MEGA_RENAME_AS_IS, 0, 0 },
    { "model.layers.{i}.mlp.gate_proj.weight", "sub.{2i+1}.ff.gate.weight", MEGA_RENAME_AS_IS,
        0, 0 },
    { "model.layers.{i}.mlp.up_proj.weight", "sub.{2i+1}.ff.up.weight", MEGA_RENAME_AS_IS, 0,
        0 },
    { "model.layers.{i}.mlp.down_proj.weight", "sub.{2i+1}.ff.down.weight", MEGA_RENAME_AS_IS,
        0, 0 },
    { "model.layers.{i}.mlp.gate_proj.bias", "sub.{2i+1}.ff.gate.bias", MEGA_RENAME_AS_IS, 0,
        0 },
    { "model.layers.{i}.mlp.up_proj.bias", "sub.{2i+1}.ff.up.bias", MEGA_RENAME_AS_IS, 0, 0 },
    { "model.layers.{i}.mlp.down_proj.bias", "sub.{2i+1}.ff.down.bias", MEGA_RENAME_AS_IS, 0,
        0 },
    { "model.norm.weight", "final_norm.weight", MEGA_RENAME_AS_IS, 0, 0 },
    { "lm_head.weight", "lm_head.weight", MEGA_RENAME_AS_IS, 0, 0 },
    { "lm_head.weight", "tok_emb.weight", MEGA_RENAME_SAME, 0, 0 },
    { NULL, NULL, MEGA_RENAME_AS_IS, 0, 0 },
};
static const char *const hf_llama_ignored[] = { ".rotary_emb.inv_freq", NULL };
const struct mega_name_table mega_names_hf_llama = { "Llama of Hugging Face", hf_llama,
    "model.embed_tokens.weight", hf_llama_ignored, false, false, false };

/* ---- Llama, as its authors have it, and llama2.c ---- */

static const struct mega_rename meta_llama[] = {
    { "tok_embeddings.weight", "tok_emb.weight", MEGA_RENAME_AS_IS, 0, 0 },
    { "layers.{i}.attention_norm.weight", "sub.{2i}.norm_pre.weight", MEGA_RENAME_AS_IS, 0, 0 },
    { "layers.{i}.attention.wq.weight", "sub.{2i}.attn.q.weight", MEGA_RENAME_QUERIES, 0, 0 },
    { "layers.{i}.attention.wk.weight", "sub.{2i}.attn.k.weight", MEGA_RENAME_KEYS, 0, 0 },
    { "layers.{i}.attention.wv.weight", "sub.{2i}.attn.v.weight", MEGA_RENAME_AS_IS, 0, 0 },
    { "layers.{i}.attention.wo.weight", "sub.{2i}.attn.o.weight", MEGA_RENAME_AS_IS, 0, 0 },
    { "layers.{i}.ffn_norm.weight", "sub.{2i+1}.norm_pre.weight", MEGA_RENAME_AS_IS, 0, 0 },
    { "layers.{i}.feed_forward.w1.weight", "sub.{2i+1}.ff.gate.weight", MEGA_RENAME_AS_IS, 0,
        0 },
    { "layers.{i}.feed_forward.w2.weight", "sub.{2i+1}.ff.down.weight", MEGA_RENAME_AS_IS, 0,
        0 },
    { "layers.{i}.feed_forward.w3.weight", "sub.{2i+1}.ff.up.weight", MEGA_RENAME_AS_IS, 0, 0 },
    { "norm.weight", "final_norm.weight", MEGA_RENAME_AS_IS, 0, 0 },
    { "output.weight", "lm_head.weight", MEGA_RENAME_AS_IS, 0, 0 },
    { "output.weight", "tok_emb.weight", MEGA_RENAME_SAME, 0, 0 },
    { NULL, NULL, MEGA_RENAME_AS_IS, 0, 0 },
};
static const char *const meta_llama_ignored[] = { "rope.freqs", "freqs_cos", "freqs_sin",
    NULL };
const struct mega_name_table mega_names_meta_llama = { "Llama of its authors", meta_llama,
    "tok_embeddings.weight", meta_llama_ignored, true, false, false };

/* ---- GPT-2, as Hugging Face has it: linear layers are stored [in, out] ---- */

static const struct mega_rename hf_gpt2[] = {
    { "wte.weight", "tok_emb.weight", MEGA_RENAME_AS_IS, 0, 0 },
    { "wpe.weight", "pos_emb.weight", MEGA_RENAME_AS_IS, 0, 0 },
    { "h.{i}.ln_1.weight", "sub.{2i}.norm_pre.weight", MEGA_RENAME_AS_IS, 0, 0 },
    { "h.{i}.ln_1.bias", "sub.{2i}.norm_pre.bias", MEGA_RENAME_AS_IS, 0, 0 },
    { "h.{i}.attn.c_attn.weight", "sub.{2i}.attn.q.weight", MEGA_RENAME_TURNED, 0, 3 },
    { "h.{i}.attn.c_attn.weight", "sub.{2i}.attn.k.weight", MEGA_RENAME_TURNED, 1, 3 },
    { "h.{i}.attn.c_attn.weight", "sub.{2i}.attn.v.weight", MEGA_RENAME_TURNED, 2, 3 },
    { "h.{i}.attn.c_attn.bias", "sub.{2i}.attn.q.bias", MEGA_RENAME_AS_IS, 0, 3 },
    { "h.{i}.attn.c_attn.bias", "sub.{2i}.attn.k.bias", MEGA_RENAME_AS_IS, 1, 3 },
    { "h.{i}.attn.c_attn.bias", "sub.{2i}.attn.v.bias", MEGA_RENAME_AS_IS, 2, 3 },
    { "h.{i}.attn.c_proj.weight", "sub.{2i}.attn.o.weight", MEGA_RENAME_TURNED, 0, 0 },
    { "h.{i}.attn.c_proj.bias", "sub.{2i}.attn.o.bias", MEGA_RENAME_AS_IS, 0, 0 },
    { "h.{i}.ln_2.weight", "sub.{2i+1}.norm_pre.weight", MEGA_RENAME_AS_IS, 0, 0 },
    { "h.{i}.ln_2.bias", "sub.{2i+1}.norm_pre.bias", MEGA_RENAME_AS_IS, 0, 0 },
    { "h.{i}.mlp.c_fc.weight", "sub.{2i+1}.ff.up.weight", MEGA_RENAME_TURNED, 0, 0 },
    { "h.{i}.mlp.c_fc.bias", "sub.{2i+1}.ff.up.bias", MEGA_RENAME_AS_IS, 0, 0 },
    { "h.{i}.mlp.c_proj.weight", "sub.{2i+1}.ff.down.weight", MEGA_RENAME_TURNED, 0, 0 },
    { "h.{i}.mlp.c_proj.bias", "sub.{2i+1}.ff.down.bias", MEGA_RENAME_AS_IS, 0, 0 },
    { "ln_f.weight", "final_norm.weight", MEGA_RENAME_AS_IS, 0, 0 },
    { "ln_f.bias", "final_norm.bias", MEGA_RENAME_AS_IS, 0, 0 },
    { "lm_head.weight", "lm_head.weight", MEGA_RENAME_AS_IS, 0, 0 },
    { "lm_head.weight", "tok_emb.weight", MEGA_RENAME_SAME, 0, 0 },
    { NULL, NULL, MEGA_RENAME_AS_IS, 0, 0 },
};
/* the mask of causality, which is no vector of biases */
static const char *const hf_gpt2_ignored[] = { ".attn.bias", ".attn.masked_bias", NULL };
const struct mega_name_table mega_names_hf_gpt2 = { "GPT-2 of Hugging Face", hf_gpt2,
    "wte.weight", hf_gpt2_ignored, false, false, false };

/* ---- BERT, as Hugging Face has it ---- */

static const struct mega_rename hf_bert[] = {
    { "embeddings.word_embeddings.weight", "tok_emb.weight", MEGA_RENAME_AS_IS, 0, 0 },
    { "embeddings.position_embeddings.weight", "pos_emb.weight", MEGA_RENAME_AS_IS, 0, 0 },
    { "embeddings.token_type_embeddings.weight", "type_emb.token_type.weight",
        MEGA_RENAME_AS_IS, 0, 0 },
    { "embeddings.LayerNorm.weight", "emb_norm.weight", MEGA_RENAME_AS_IS, 0, 0 },
    { "embeddings.LayerNorm.bias", "emb_norm.bias", MEGA_RENAME_AS_IS, 0, 0 },
    { "encoder.layer.{i}.attention.self.query.weight", "sub.{2i}.attn.q.weight",
        MEGA_RENAME_AS_IS, 0, 0 },
    { "encoder.layer.{i}.attention.self.query.bias", "sub.{2i}.attn.q.bias", MEGA_RENAME_AS_IS,
        0, 0 },
    { "encoder.layer.{i}.attention.self.key.weight", "sub.{2i}.attn.k.weight",
        MEGA_RENAME_AS_IS, 0, 0 },
    { "encoder.layer.{i}.attention.self.key.bias", "sub.{2i}.attn.k.bias", MEGA_RENAME_AS_IS, 0,
        0 },
    { "encoder.layer.{i}.attention.self.value.weight", "sub.{2i}.attn.v.weight",
        MEGA_RENAME_AS_IS, 0, 0 },
    { "encoder.layer.{i}.attention.self.value.bias", "sub.{2i}.attn.v.bias", MEGA_RENAME_AS_IS,
        0, 0 },
    { "encoder.layer.{i}.attention.output.dense.weight", "sub.{2i}.attn.o.weight",
        MEGA_RENAME_AS_IS, 0, 0 },
    { "encoder.layer.{i}.attention.output.dense.bias", "sub.{2i}.attn.o.bias",
        MEGA_RENAME_AS_IS, 0, 0 },
    { "encoder.layer.{i}.attention.output.LayerNorm.weight", "sub.{2i}.norm_post.weight",
        MEGA_RENAME_AS_IS, 0, 0 },
    { "encoder.layer.{i}.attention.output.LayerNorm.bias", "sub.{2i}.norm_post.bias",
        MEGA_RENAME_AS_IS, 0, 0 },
    { "encoder.layer.{i}.intermediate.dense.weight", "sub.{2i+1}.ff.up.weight",
        MEGA_RENAME_AS_IS, 0, 0 },
    { "encoder.layer.{i}.intermediate.dense.bias", "sub.{2i+1}.ff.up.bias", MEGA_RENAME_AS_IS,
        0, 0 },
    { "encoder.layer.{i}.output.dense.weight", "sub.{2i+1}.ff.down.weight", MEGA_RENAME_AS_IS,
        0, 0 },
    { "encoder.layer.{i}.output.dense.bias", "sub.{2i+1}.ff.down.bias", MEGA_RENAME_AS_IS, 0,
        0 },
    { "encoder.layer.{i}.output.LayerNorm.weight", "sub.{2i+1}.norm_post.weight",
        MEGA_RENAME_AS_IS, 0, 0 },
    { "encoder.layer.{i}.output.LayerNorm.bias", "sub.{2i+1}.norm_post.bias", MEGA_RENAME_AS_IS,
        0, 0 },
    { "pooler.dense.weight", "pooler.weight", MEGA_RENAME_AS_IS, 0, 0 },
    { "pooler.dense.bias", "pooler.bias", MEGA_RENAME_AS_IS, 0, 0 },
    { "cls.predictions.transform.dense.weight", "mlm.dense.weight", MEGA_RENAME_AS_IS, 0, 0 },
    { "cls.predictions.transform.dense.bias", "mlm.dense.bias", MEGA_RENAME_AS_IS, 0, 0 },
    { "cls.predictions.transform.LayerNorm.weight", "mlm.norm.weight", MEGA_RENAME_AS_IS, 0,
        0 },
    { "cls.predictions.transform.LayerNorm.bias", "mlm.norm.bias", MEGA_RENAME_AS_IS, 0, 0 },
    { "cls.predictions.bias", "mlm.bias", MEGA_RENAME_AS_IS, 0, 0 },
    { "cls.seq_relationship.weight", "next.weight", MEGA_RENAME_AS_IS, 0, 0 },
    { "cls.seq_relationship.bias", "next.bias", MEGA_RENAME_AS_IS, 0, 0 },
    { "cls.predictions.decoder.weight", "tok_emb.weight", MEGA_RENAME_SAME, 0, 0 },
    { "cls.predictions.decoder.bias", "mlm.bias", MEGA_RENAME_SAME, 0, 0 },
    { NULL, NULL, MEGA_RENAME_AS_IS, 0, 0 },
};
static const char *const hf_bert_ignored[] = { "embeddings.position_ids",
    "embeddings.token_type_ids", NULL };
const struct mega_name_table mega_names_hf_bert = { "BERT of Hugging Face", hf_bert,
    "embeddings.word_embeddings.weight", hf_bert_ignored, false, true, false };

/* ---- Mega, as its authors have it: ours are the same ---- */

static const char *const official_ignored[] = { "version", "_float_tensor",
    "num_batches_tracked", NULL };
static const struct mega_rename official_lra[] = { { NULL, NULL, MEGA_RENAME_AS_IS, 0, 0 } };
const struct mega_name_table mega_names_official_lra = { "Mega classifier of its authors",
    official_lra, "encoder.encoder.layers.0.mega_layer.move.delta", official_ignored, false,
    false, true };

/* the output matrix is there even where it is tied, and so are those of an adaptive softmax */
static const struct mega_rename official_lm[] = {
    { "decoder.output_projection.weight", "decoder.embed_tokens.weight", MEGA_RENAME_SAME, 0,
        0 },
    { "decoder.adaptive_softmax.head.word_proj.weight",
        "decoder.embed_tokens.embeddings.0.0.weight", MEGA_RENAME_SAME, 0, 0 },
    { "decoder.adaptive_softmax.tail.{i}.0.weight",
        "decoder.embed_tokens.embeddings.{i+1}.1.weight", MEGA_RENAME_SAME, 0, 0 },
    { "decoder.adaptive_softmax.tail.{i}.2.weight",
        "decoder.embed_tokens.embeddings.{i+1}.0.weight", MEGA_RENAME_SAME, 0, 0 },
    { NULL, NULL, MEGA_RENAME_AS_IS, 0, 0 },
};
const struct mega_name_table mega_names_official_lm = { "Mega language model of its authors",
    official_lm, "decoder.layers.0.mega_layer.move.delta", official_ignored, false, false,
    true };

/* ---- Megalodon: of its authors, ours are the same; and of the PyTorch port ---- */

static const char *const megalodon_ignored[] = { "rope.freqs", NULL };
static const struct mega_rename official_megalodon[] = {
    { "output.output.weight", "embed.weight", MEGA_RENAME_SAME, 0, 0 },
    { NULL, NULL, MEGA_RENAME_AS_IS, 0, 0 },
};
const struct mega_name_table mega_names_megalodon = { "Megalodon of its authors",
    official_megalodon, "layers.0.mega.cema.alpha", megalodon_ignored, false, false, true };

/* complex numbers are two tensors there; pairs of channels stay as they are (the model knows)
 */
static const struct mega_rename hf_megalodon[] = {
    { "model.embed.weight", "embed.weight", MEGA_RENAME_AS_IS, 0, 0 },
    { "model.layers.{i}.attn.timenorm.weight", "layers.{i}.mega.timenorm.weight",
        MEGA_RENAME_AS_IS, 0, 0 },
    { "model.layers.{i}.attn.timenorm.bias", "layers.{i}.mega.timenorm.bias", MEGA_RENAME_AS_IS,
        0, 0 },
    { "model.layers.{i}.attn.cema.alpha", "layers.{i}.mega.cema.alpha", MEGA_RENAME_AS_IS, 0,
        0 },
    { "model.layers.{i}.attn.cema.delta", "layers.{i}.mega.cema.delta", MEGA_RENAME_AS_IS, 0,
        0 },
    { "model.layers.{i}.attn.cema.theta", "layers.{i}.mega.cema.theta", MEGA_RENAME_AS_IS, 0,
        0 },
    { "model.layers.{i}.attn.cema.gamma_real", "layers.{i}.mega.cema.gamma", MEGA_RENAME_LAST,
        0, 2 },
    { "model.layers.{i}.attn.cema.gamma_imag", "layers.{i}.mega.cema.gamma", MEGA_RENAME_LAST,
        1, 2 },
    { "model.layers.{i}.attn.cema.omega", "layers.{i}.mega.cema.omega", MEGA_RENAME_FLAT, 0,
        0 },
    { "model.layers.{i}.attn.rmsnorm.gamma", "layers.{i}.mega.rmsnorm.weight",
        MEGA_RENAME_AS_IS, 0, 0 },
    { "model.layers.{i}.attn.wv.weight", "layers.{i}.mega.wv.weight", MEGA_RENAME_AS_IS, 0, 0 },
    { "model.layers.{i}.attn.wv.bias", "layers.{i}.mega.wv.bias", MEGA_RENAME_AS_IS, 0, 0 },
    { "model.layers.{i}.attn.wz.weight", "layers.{i}.mega.wz.weight", MEGA_RENAME_AS_IS, 0, 0 },
    { "model.layers.{i}.attn.wz.bias", "layers.{i}.mega.wz.bias", MEGA_RENAME_AS_IS, 0, 0 },
    { "model.layers.{i}.attn.wr.weight", "layers.{i}.mega.wr.weight", MEGA_RENAME_AS_IS, 0, 0 },
    { "model.layers.{i}.attn.wr.bias", "layers.{i}.mega.wr.bias", MEGA_RENAME_AS_IS, 0, 0 },
    { "model.layers.{i}.attn.wh1.weight", "layers.{i}.mega.wh1.weight", MEGA_RENAME_AS_IS, 0,
        0 },
    { "model.layers.{i}.attn.wh1.bias", "layers.{i}.mega.wh1.bias", MEGA_RENAME_AS_IS, 0, 0 },
    { "model.layers.{i}.attn.wh2.weight", "layers.{i}.mega.wh2.weight", MEGA_RENAME_AS_IS, 0,
        0 },
    { "model.layers.{i}.attn.wh2.bias", "layers.{i}.mega.wh2.bias", MEGA_RENAME_AS_IS, 0, 0 },
    { "model.layers.{i}.attn.gamma", "layers.{i}.mega.gamma", MEGA_RENAME_AS_IS, 0, 0 },
    { "model.layers.{i}.attn.beta", "layers.{i}.mega.beta", MEGA_RENAME_AS_IS, 0, 0 },
    { "model.layers.{i}.ffn.norm.weight", "layers.{i}.nffn.norm.weight", MEGA_RENAME_AS_IS, 0,
        0 },
    { "model.layers.{i}.ffn.norm.bias", "layers.{i}.nffn.norm.bias", MEGA_RENAME_AS_IS, 0, 0 },
    { "model.layers.{i}.ffn.fc1.weight", "layers.{i}.nffn.fc1.weight", MEGA_RENAME_AS_IS, 0,
        0 },
    { "model.layers.{i}.ffn.fc1.bias", "layers.{i}.nffn.fc1.bias", MEGA_RENAME_AS_IS, 0, 0 },
    { "model.layers.{i}.ffn.fc2.weight", "layers.{i}.nffn.fc2.weight", MEGA_RENAME_AS_IS, 0,
        0 },
    { "model.layers.{i}.ffn.fc2.bias", "layers.{i}.nffn.fc2.bias", MEGA_RENAME_AS_IS, 0, 0 },
    { "model.layers.{i}.ffn.fc3.weight", "layers.{i}.nffn.fc3.weight", MEGA_RENAME_AS_IS, 0,
        0 },
    { "model.layers.{i}.ffn.fc3.bias", "layers.{i}.nffn.fc3.bias", MEGA_RENAME_AS_IS, 0, 0 },
    { "model.norm.weight", "output.final_norm.weight", MEGA_RENAME_AS_IS, 0, 0 },
    { "model.norm.bias", "output.final_norm.bias", MEGA_RENAME_AS_IS, 0, 0 },
    { "lm_head.weight", "output.output.weight", MEGA_RENAME_AS_IS, 0, 0 },
    { "lm_head.weight", "embed.weight", MEGA_RENAME_SAME, 0, 0 },
    { NULL, NULL, MEGA_RENAME_AS_IS, 0, 0 },
};
const struct mega_name_table mega_names_hf_megalodon = { "Megalodon of Hugging Face",
    hf_megalodon, "model.layers.0.attn.cema.alpha", megalodon_ignored, false, false, false };
