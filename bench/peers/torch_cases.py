"""Reference cases of the official code: safetensors files with settings, inputs and results."""

import json
import math
import struct
from pathlib import Path

import torch
import torch.nn.functional as F

from torch_encoder import Classifier, Config


def load_safetensors(path):
    """The metadata and the tensors of a file."""
    kinds = {"F32": torch.float32, "F64": torch.float64, "I64": torch.int64}
    with open(path, "rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(size))
        data = bytearray(file.read())
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        values = torch.frombuffer(data[begin:end], dtype=kinds[entry["dtype"]])
        tensors[name] = values.reshape(entry["shape"])
    return metadata, tensors


class Case:
    """One reference file: settings, inputs, wanted outputs and gradients."""

    complete = False  # whether `run` gives every output that a file can have

    def __init__(self, path):
        self.metadata, self.tensors = load_safetensors(path)
        self.module = self.metadata["module"]

    def setting(self, *names, default=None):
        """The first of the setting's several names that the file has; `none` is the default."""
        found = (self.metadata.get("cfg." + name) for name in names)
        text = next((text for text in found if text is not None), "none")
        return default if text.lower() == "none" else text

    def number(self, *names):
        return max(0, int(self.setting(*names, default=0)))

    def flag(self, *names, default="False"):
        return self.setting(*names, default=default) == "True"

    def of_kind(self, prefix):
        """The tensors below a prefix, by the rest of their names."""
        tensors = self.tensors.items()
        return {name.removeprefix(prefix): t for name, t in tensors if name.startswith(prefix)}

    def check(self):
        """Of each tensor compared the error as a share of what is allowed."""
        model, inputs, outputs = self.run()
        got = {"out." + name: tensor for name, tensor in outputs.items()}
        got |= {"grad.in." + name: tensor.grad for name, tensor in inputs.items()}
        got |= {"grad.param." + name: p.grad for name, p in model.named_parameters()}

        wanted_grads = self.of_kind("grad.").values()
        grad_floor = max((t.abs().max().item() for t in wanted_grads), default=0.0) / 100
        out_rule = (float(self.metadata["tol_out_rel"]), 1e-3)
        grad_rule = (float(self.metadata["tol_grad_rel"]), grad_floor)
        shares = {}
        for name, want in self.tensors.items():
            if name.startswith("grad."):
                shares[name] = miss(got.get(name), want, *grad_rule)
            elif name in got or self.complete and name.startswith("out."):
                shares[name] = miss(got.get(name), want, *out_rule)
        return shares


class EncoderCase(Case):
    """A case of Mega; `modules` holds a maker for each official class name, `form` is the EMA's."""

    def __init__(self, path, modules, form):
        super().__init__(path)
        self.make, self.form = modules.get(self.module), form

    def refusal(self):
        """Why the case cannot be run; empty if it can."""
        if not self.make:
            return f"this model has no {self.module}"
        if self.form == "real" and self.number("truncation", "truncation_length"):
            return "the real form has no truncation"
        return ""

    def config(self):
        chunk = self.number("chunk_size")
        return Config(
            width=self.number("embed_dim", "embedding_dim", "encoder_embed_dim"),
            values=self.number("hdim", "hidden_dim", "encoder_hidden_dim"),
            keys=self.number("zdim", "z_dim"),
            ffn=self.number("ffn_hidden_dim", "encoder_ffn_embed_dim"),
            ema=self.number("ndim", "n_dim"),
            layers=self.number("encoder_layers"),
            classes=self.number("sentence_class_num"),
            vocab=self.number("vocab_size"),
            chunk=chunk,
            truncation=self.number("truncation", "truncation_length"),
            form=self.form,
            max_positions=chunk or self.number("max_positions"),
            norm=self.setting("norm_type", default="layernorm"),
            affine=self.flag("norm_affine", default="True"),
            prenorm=self.flag("prenorm", "encoder_normalize_before"),
            embed_norm=self.flag("normalize_embedding"),
            attention=self.setting("attention_activation", "attention_activation_fn"),
            activation=self.setting("activation", "activation_fn"),
            bias=self.setting("rel_pos_bias"),
            two_way=self.flag("bidirectional", default="True"),
            pooling=self.setting("sen_rep_type"),
            pixels=self.setting("input_type") == "image",
            texts=2 if "in.src1_tokens" in self.tensors else 1,
            head_layers=self.number("classifier_layers"),
            head_width=self.number("classifier_out_dim"),
            pad=self.number("padding_idx"),
        )

    def run(self):
        """The model after forward and backward, its inputs and its outputs."""
        inputs = self.of_kind("in.")
        for name in self.of_kind("grad.in."):
            inputs[name].requires_grad_()
        if "padding_mask" in inputs:
            inputs["padding_mask"] = inputs["padding_mask"].bool()

        model = self.make(self.config())
        own = model.state_dict().items()
        counts = {name: t for name, t in own if name.endswith("num_batches_tracked")}
        model.load_state_dict(counts | self.of_kind("param."))
        model.train(self.flag("training", default="True"))

        if isinstance(model, Classifier):
            names = ("src_tokens", "src_lengths", "src1_tokens", "src1_lengths")
            logits = model(*(inputs.get(name) for name in names))
            loss = F.cross_entropy(logits.float(), inputs["target"], reduction="sum")
            outputs = {"y": loss if inputs["cotangent"].dim() == 0 else logits, "loss": loss}
        else:
            causal = {"causal": True} if self.flag("causal_mask") else {}
            outputs = {"y": model(inputs["x"], inputs.get("padding_mask"), **causal)}
        (outputs["y"] * inputs["cotangent"]).sum().backward()
        return model, inputs, outputs | dict(model.named_buffers())


def miss(got, want, tolerance, floor):
    """The largest difference as a share of what is allowed; infinite if there is no number."""
    if got is None or got.shape != want.shape or not torch.isfinite(got).all():
        return math.inf
    allowed = tolerance * max(want.abs().max().item(), floor)
    return (got.double() - want.double()).abs().max().item() / allowed


def check_files(paths, open_case):
    """Prints a line a file, returns the exit status; `open_case` makes a case of a path."""
    failed = skipped = 0
    for path in paths:
        case, name = open_case(path), Path(path).name
        if case.refusal():
            print(f"skip  {name}: {case.refusal()}")
            skipped += 1
            continue
        shares = case.check()
        worst = max(shares, key=shares.get)
        verdict = "ok  " if shares[worst] <= 1.0 else "FAIL"
        failed += verdict == "FAIL"
        print(f"{verdict}  {name}: {len(shares)} tensors, "
              f"worst {worst} at {shares[worst]:.3f} of what is allowed")
    print(f"{len(paths) - skipped - failed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0
