"""Makes this folder's files with PyTorch: a BERT with random weights as Hugging Face saves it, old names of norms included, and what it computes."""
import json
import math

import torch

D, L, H, V, T, F, TYPES = 12, 2, 3, 11, 9, 20, 2
torch.manual_seed(5)
w = {}


def new(name, *shape, mean=0.0, std=0.3):
    w[name] = torch.randn(*shape) * std + mean


def linear_new(name, n_out, n_in):
    new(name + ".weight", n_out, n_in)
    new(name + ".bias", n_out)


def norm_new(name):
    # as the files of 2018 have it
    new(name + ".gamma", D, mean=1)
    new(name + ".beta", D)


e = "bert.embeddings."
new(e + "word_embeddings.weight", V, D)
new(e + "position_embeddings.weight", T, D)
new(e + "token_type_embeddings.weight", TYPES, D)
norm_new(e + "LayerNorm")
w[e + "position_ids"] = torch.arange(T).unsqueeze(0)
for i in range(L):
    p = f"bert.encoder.layer.{i}."
    for n in ("query", "key", "value"):
        linear_new(p + "attention.self." + n, D, D)
    linear_new(p + "attention.output.dense", D, D)
    norm_new(p + "attention.output.LayerNorm")
    linear_new(p + "intermediate.dense", F, D)
    linear_new(p + "output.dense", D, F)
    norm_new(p + "output.LayerNorm")
linear_new("bert.pooler.dense", D, D)
linear_new("cls.predictions.transform.dense", D, D)
norm_new("cls.predictions.transform.LayerNorm")
new("cls.predictions.bias", V)
w["cls.predictions.decoder.weight"] = w[e + "word_embeddings.weight"]  # tied
linear_new("cls.seq_relationship", 2, D)


def g(name):
    return w[name].double()


def linear(x, name):
    return x @ g(name + ".weight").T + g(name + ".bias")


def norm(x, name):
    x = x - x.mean(-1, keepdim=True)
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-12) * g(name + ".gamma") + g(name + ".beta")


def gelu(x):
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))


def run(ids, types, mask):
    n = len(ids)
    x = g(e + "word_embeddings.weight")[ids] + g(e + "position_embeddings.weight")[:n]
    x = norm(x + g(e + "token_type_embeddings.weight")[types], e + "LayerNorm")
    for i in range(L):
        p = f"bert.encoder.layer.{i}."
        heads = lambda y: y.reshape(n, H, D // H).transpose(0, 1)
        q, k, v = (heads(linear(x, p + "attention.self." + s)) for s in ("query", "key", "value"))
        s = q @ k.transpose(1, 2) / math.sqrt(D // H)
        s = s.masked_fill(~torch.tensor(mask).bool(), -math.inf).softmax(-1)
        y = (s @ v).transpose(0, 1).reshape(n, D)
        x = norm(x + linear(y, p + "attention.output.dense"), p + "attention.output.LayerNorm")
        y = gelu(linear(x, p + "intermediate.dense"))
        x = norm(x + linear(y, p + "output.dense"), p + "output.LayerNorm")
    pooled = torch.tanh(linear(x[0], "bert.pooler.dense"))
    t = norm(gelu(linear(x, "cls.predictions.transform.dense")), "cls.predictions.transform.LayerNorm")
    logits = t @ g(e + "word_embeddings.weight").T + g("cls.predictions.bias")
    real = [i for i in range(n) if mask[i]]
    return {"ids": ids, "types": types, "mask": mask, "features": x[real].flatten().tolist(), "pooled": pooled.tolist(),
            "logits": logits[real].flatten().tolist(), "next": linear(pooled, "cls.seq_relationship").tolist()}


torch.save(w, "pytorch_model.bin")
json.dump({"model_type": "bert", "architectures": ["BertForPreTraining"], "hidden_act": "gelu", "hidden_size": D, "num_hidden_layers": L,
           "num_attention_heads": H, "intermediate_size": F, "vocab_size": V, "type_vocab_size": TYPES, "max_position_embeddings": T,
           "layer_norm_eps": 1e-12, "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "pad_token_id": 0,
           "initializer_range": 0.02, "position_embedding_type": "absolute", "use_cache": True}, open("config.json", "w"), indent=2)
cases = [run([3, 1, 4, 1, 5, 9, 2, 6, 10], [0, 0, 0, 0, 1, 1, 1, 1, 1], [1] * 9),
         run([7, 2, 8, 0, 0, 0, 0, 0, 0], [0] * 9, [1, 1, 1, 0, 0, 0, 0, 0, 0])]
json.dump({"cases": cases}, open("expected.json", "w"))
