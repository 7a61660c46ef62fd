"""Reference cases of the official Megalodon: its parts, its block, the whole model."""

import torch
import torch.nn.functional as F

import torch_megalodon as megalodon
from torch_cases import Case
from torch_cema import ComplexEma
from torch_timenorm import TimestepNorm


class MegalodonCase(Case):
    complete = True

    RUNS = {
        "MultiHeadComplexEMA": "run_average",
        "TimestepNorm": "run_timenorm",
        "FusedLayerNorm": "run_norm",
        "FusedRMSNorm": "run_norm",
        "RotaryEmbedding": "run_rotary",
        "NormalizedFeedForwardNetwork": "run_feed_forward",
        "MovingAverageGatedAttention (Megalodon)": "run_attention",
        "Mega (Megalodon LM)": "run_model",
    }

    def refusal(self):
        return "" if self.module in self.RUNS else f"this model has no {self.module}"

    def config(self):
        return megalodon.Config(
            width=self.number("model_dim"),
            values=self.number("value_dim"),
            keys=self.number("z_dim"),
            ffn=self.number("ffn_hidden_dim"),
            ema=self.number("cema_ndim"),
            heads=self.number("num_heads") or 1,
            layers=self.number("num_layers"),
            vocab=self.number("vocab_size"),
            outputs=self.number("output_size"),
            chunk=self.number("chunk_size"),
            groups=self.number("norm_num_groups"),
            base=float(self.setting("rope_base", default=10000.0)),
            affine=self.flag("norm_affine", default="True"),
            swiglu=self.flag("swiglu"),
            rescale=self.flag("rescale_nffn") or self.setting("rescale") is not None,
            scaled=self.flag("scale_emb"),
            tied=self.flag("share_emb"),
        )

    def run(self):
        inputs = self.of_kind("in.")
        for name in self.of_kind("grad.in."):
            inputs[name].requires_grad_()
        model, outputs = getattr(self, self.RUNS[self.module])(inputs)
        (outputs["y"] * inputs["cotangent"]).sum().backward(retain_graph=True)
        return model, inputs, outputs

    def loaded(self, model):
        model.load_state_dict(self.of_kind("param."))
        return model

    def run_norm(self, inputs):
        kind = megalodon.RmsNorm if self.module == "FusedRMSNorm" else megalodon.LayerNorm
        model = self.loaded(kind(self.number("dim"), float(self.setting("eps"))))
        return model, {"y": model(inputs["x"])}

    def run_rotary(self, inputs):
        places, begin = self.number("max_positions"), self.number("start")
        model = megalodon.Rotary(self.number("embed_dim"), places, float(self.setting("base")))
        q, k = (model(inputs[name], begin) for name in "qk")
        return model, {"q": q, "k": k, "y": torch.cat([q, k], -1)}

    def run_feed_forward(self, inputs):
        model = self.loaded(megalodon.FeedForward(self.config()))
        return model, {"y": model(inputs["x"], inputs["residual"])}

    def run_timenorm(self, inputs):
        prior = self.number("prior_count")
        model = TimestepNorm(self.number("num_features"), self.number("num_groups"), prior)
        before = None
        if "prev_count" in inputs:
            before = tuple(inputs["prev_" + name] for name in ("count", "mean", "var"))
        padding = inputs["padding_mask"].bool() if "padding_mask" in inputs else None
        y, (count, mean, var) = self.loaded(model)(inputs["x"], before, padding)
        flat = torch.cat([t.flatten() for t in (y, mean, var)])
        return model, {"norm": y, "count": count, "mean": mean, "var": var, "y": flat}

    def run_average(self, inputs):
        model = self.loaded(ComplexEma(self.number("embed_dim"), self.number("ndim")))
        x, h = inputs["x"], inputs.get("hx")
        y, state = model(x, h, h is not None)
        if h is None:
            return model, {"y": y}
        pieces, at = [], h
        for piece in x.split([int(n) for n in self.setting("pieces").split(",")], -1):
            part, at = model(piece, at, True)
            pieces.append(part)
        flat = torch.cat([y.flatten(), state.flatten()])
        pieces = torch.cat(pieces, -1)
        return model, {"raw": y, "state": state, "raw_pieces": pieces, "y": flat}

    def run_attention(self, inputs):
        model = self.loaded(megalodon.GatedAttention(self.config()))
        x, c = inputs["x"], model.c
        state = megalodon.BlockState(c, len(x))
        with torch.no_grad():
            steps = [model(step, state) for step in x.split(1, 1)]
        outputs = {"y": model(x), "y_incremental": torch.cat(steps, 1)}
        return model, outputs | state_of(state, "state.")

    def run_model(self, inputs):
        model, tokens = self.loaded(megalodon.Megalodon(self.config())), inputs["tokens"]
        logits = model(tokens)
        following = tokens[:, 1:].flatten() % logits.shape[-1]
        loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), following, reduction="sum")
        outputs = {"y": logits, "loss": loss}

        # with fixed weights: token by token, and the first chunk in one piece
        model.eval()
        with torch.no_grad():
            state = model.state(len(tokens), tokens.shape[1])
            steps = [model(step, state) for step in tokens.split(1, 1)]
            outputs["logits_incremental"] = torch.cat(steps, 1)
            outputs["logits_prefill"] = self.prefill(model, tokens)
        outputs |= {"state.final_mean": state[-1][1], "state.final_var": state[-1][2]}
        for i, block in enumerate(state[:-1]):
            outputs |= state_of(block, f"state.{i}.")
        return model, outputs

    def prefill(self, model, tokens):
        state, chunk = model.state(len(tokens), tokens.shape[1]), model.c.chunk
        pieces = model.admissible(tokens[:, chunk:], state)
        return torch.cat([model(piece, state) for piece in (tokens[:, :chunk], *pieces)], 1)


def state_of(block, prefix):
    count, mean, var = block.norm
    named = {"count": count, "mean": mean, "var": var, "ema": block.average}
    if block.used:
        named["key"] = block.keys[:, :, : block.used].transpose(1, 2)
        named["value"] = block.values[:, :, : block.used].transpose(1, 2)
    return {prefix + name: tensor for name, tensor in named.items()}
