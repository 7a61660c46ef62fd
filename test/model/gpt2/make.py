"""Makes this folder's files with PyTorch: a GPT-2 with random weights as Hugging Face saves it, and its logits."""
import json
import math

import torch

D, L, H, V, T, F = 12, 2, 3, 11, 9, 20
torch.manual_seed(4)
w = {}


def new(name, *shape, mean=0.0, std=0.3):
    w["transformer." + name] = torch.randn(*shape) * std + mean


new("wte.weight", V, D)
new("wpe.weight", T, D)
for i in range(L):
    for n in ("ln_1", "ln_2"):
        new(f"h.{i}.{n}.weight", D, mean=1)
        new(f"h.{i}.{n}.bias", D)
    for n, a, b in (("attn.c_attn", D, 3 * D), ("attn.c_proj", D, D), ("mlp.c_fc", D, F), ("mlp.c_proj", F, D)):
        new(f"h.{i}.{n}.weight", a, b)
        new(f"h.{i}.{n}.bias", b)
    w[f"transformer.h.{i}.attn.bias"] = torch.ones(1, 1, T, T).tril().to(torch.uint8)
    w[f"transformer.h.{i}.attn.masked_bias"] = torch.tensor(-1e4)
new("ln_f.weight", D, mean=1)
new("ln_f.bias", D)
w["lm_head.weight"] = w["transformer.wte.weight"]  # tied: one storage, two names


def g(name):
    return w["transformer." + name].double()


def norm(x, name):
    x = x - x.mean(-1, keepdim=True)
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-5) * g(name + ".weight") + g(name + ".bias")


def linear(x, name):
    return x @ g(name + ".weight") + g(name + ".bias")


ids = [3, 1, 4, 1, 5, 9, 2, 6, 0]
x = g("wte.weight")[ids] + g("wpe.weight")[: len(ids)]
for i in range(L):
    q, k, v = linear(norm(x, f"h.{i}.ln_1"), f"h.{i}.attn.c_attn").split(D, -1)
    heads = lambda y: y.reshape(len(ids), H, D // H).transpose(0, 1)
    s = heads(q) @ heads(k).transpose(1, 2) / math.sqrt(D // H)
    s = s.masked_fill(torch.ones(len(ids), len(ids)).triu(1).bool(), -math.inf).softmax(-1)
    x = x + linear((s @ heads(v)).transpose(0, 1).reshape(len(ids), D), f"h.{i}.attn.c_proj")
    y = linear(norm(x, f"h.{i}.ln_2"), f"h.{i}.mlp.c_fc")
    y = 0.5 * y * (1 + torch.tanh(math.sqrt(2 / math.pi) * (y + 0.044715 * y**3)))
    x = x + linear(y, f"h.{i}.mlp.c_proj")
logits = norm(x, "ln_f") @ g("wte.weight").T

torch.save(w, "pytorch_model.bin")
json.dump({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "activation_function": "gelu_new",
           "attn_pdrop": 0.1, "resid_pdrop": 0.1, "embd_pdrop": 0.1, "n_embd": D, "n_layer": L, "n_head": H, "n_positions": T,
           "n_ctx": T, "n_inner": F, "vocab_size": V, "layer_norm_epsilon": 1e-5, "initializer_range": 0.02,
           "bos_token_id": 10, "eos_token_id": 10, "use_cache": True}, open("config.json", "w"), indent=1)
json.dump({"tokens": ids, "last": logits[-1].tolist()}, open("expected.json", "w"), indent=1)
