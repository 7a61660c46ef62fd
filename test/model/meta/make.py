"""Makes this folder's files with PyTorch from case B10: python make.py FOLDER_OF_CASE. The same model as Llama's authors
save it (params.json, consolidated.00.pth) and as a checkpoint of llama2.c's training (ckpt.pt)."""
import json
import re
import struct
import sys

import torch

raw = open(sys.argv[1] + "/model.safetensors", "rb").read()
size = struct.unpack("<Q", raw[:8])[0]
head = json.loads(raw[8 : 8 + size])
NAMES = {"self_attn.q_proj": "attention.wq", "self_attn.k_proj": "attention.wk", "self_attn.v_proj": "attention.wv",
         "self_attn.o_proj": "attention.wo", "mlp.gate_proj": "feed_forward.w1", "mlp.down_proj": "feed_forward.w2",
         "mlp.up_proj": "feed_forward.w3", "input_layernorm": "attention_norm", "post_attention_layernorm": "ffn_norm",
         "embed_tokens": "tok_embeddings", "lm_head": "output"}
w = {}
for name, t in head.items():
    if name == "__metadata__":
        continue
    a, b = t["data_offsets"]
    x = torch.frombuffer(bytearray(raw[8 + size + a : 8 + size + b]), dtype=torch.float32).reshape(t["shape"])
    for theirs, ours in NAMES.items():
        name = re.sub(rf"\b{re.escape(theirs)}\b", ours, name)
    if ".wq." in name or ".wk." in name:  # pairs side by side, heads of 4 rows
        x = x.reshape(-1, 2, 2, 16).transpose(1, 2).reshape(-1, 16)
    w[name.removeprefix("model.")] = x.contiguous()
args = {"dim": 16, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "vocab_size": 16, "multiple_of": 4, "norm_eps": 1e-5}
torch.save({**w, "rope.freqs": torch.ones(2)}, "consolidated.00.pth")
json.dump({**args, "vocab_size": -1}, open("params.json", "w"))
torch.save({"model": {"_orig_mod." + k: v for k, v in w.items()}, "model_args": {**args, "max_seq_len": 32, "dropout": 0.0},
            "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}, "iter_num": 7, "best_val_loss": torch.tensor(2.5)}, "ckpt.pt")
