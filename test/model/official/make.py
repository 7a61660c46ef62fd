"""Makes this folder's files with PyTorch from reference cases: python make.py FOLDER_OF_GOLDEN_MEGA. They are what the
official program saves: the arguments and the state dict, one of them wrapped for several devices."""
import argparse
import json
import struct
import sys

import torch

TYPES = {"F32": torch.float32, "I64": torch.int64, "I32": torch.int32}


def load(name):
    raw = open(f"{sys.argv[1]}/{name}.safetensors", "rb").read()
    size = struct.unpack("<Q", raw[:8])[0]
    head = json.loads(raw[8 : 8 + size])
    meta = head.pop("__metadata__")
    tensors = {}
    for key, t in head.items():
        a, b = t["data_offsets"]
        if key.startswith("param."):
            data = bytearray(raw[8 + size + a : 8 + size + b])
            tensors[key[6:]] = torch.frombuffer(data, dtype=TYPES[t["dtype"]]).reshape(t["shape"])
    return meta, tensors


def value(text):
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return {"True": True, "False": False, "none": None}.get(text, text)


for name, prefix in (("lra_text_pre_cls", ""), ("lra_image_bn_eval", "module."), ("lra_retrieval_chunk", ""),
                     ("lm_post_embnorm", ""), ("lm_full_relu2_shared", ""), ("lm_adaptive_tied", ""),
                     ("lm_adaptive_tied_noproj", ""), ("lm_adaptive_untied", "")):
    meta, tensors = load(name)
    args = argparse.Namespace(**{k[4:]: value(v) for k, v in meta.items() if k.startswith("cfg.")})
    if name.startswith("lm"):
        args.decoder_normalize_before = args.normalize_before
        tensors["decoder.version"] = torch.tensor([3.0])
        if args.share_decoder_input_output_embed:
            tensors["decoder.output_projection.weight"] = tensors["decoder.embed_tokens.weight"]
    if getattr(args, "adaptive_input", False):
        tensors["decoder.embed_tokens._float_tensor"] = torch.zeros(1)
        tensors["decoder.adaptive_softmax.version"] = torch.tensor([1])
        if args.tie_adaptive_weights:
            tensors["decoder.adaptive_softmax.head._float_tensor"] = torch.zeros(1)
        # the numbers of cutoffs are lists there
        args.adaptive_input_cutoff, args.adaptive_softmax_cutoff = (
            [int(n) for n in str(c).split(",")] for c in (args.adaptive_input_cutoff, args.adaptive_softmax_cutoff))
    if args.rel_pos_bias == "rotary":
        for i in range(2):
            where = f"{'decoder' if name.startswith('lm') else 'encoder.encoder'}.layers.{i}"
            tensors[f"{where}.mega_layer.rel_pos_bias._float_tensor"] = torch.zeros(1)
    if "batchnorm" in (getattr(args, "norm_type", ""),):
        for key in [k for k in tensors if k.endswith("running_mean")]:
            tensors[key.replace("running_mean", "num_batches_tracked")] = torch.tensor(7)
    torch.save({"args": args, "model": {prefix + k: v for k, v in sorted(tensors.items())},
                "optimizer_history": [{"optimizer_name": "FairseqAdam", "num_updates": 5}],
                "extra_state": {"epoch": 1, "train_iterator": {"epoch": 1}}, "last_optimizer_state": None}, f"{name}.pt")

# Megalodon of its authors (consolidated.pth) and of the PyTorch port
for name in ("off_lm_share_scale", "hf_lm_swiglu_scale"):
    torch.save(load("../megalodon/" + name)[1], name + ".pt")
