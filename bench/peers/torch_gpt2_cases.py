"""Reference cases of another library's plain decoder: LayerNorm, learned positions, GELU.

Its names differ, it stores gains minus one, multiplies positions with D^-0.5 and has separate
projections to queries, keys and values; attention and norms are without biases.
"""

import torch

import torch_gpt2 as gpt2
from torch_cases import Case

PLAIN = {"attn_layers." + name for name in ("attn_dim_head", "depth", "dim", "ff_mult", "heads")}
PLAIN |= {"kind", "layer_types", "layers_execute_order", "mask", "max_seq_len", "num_tokens"}
PLAIN |= {"seq_len", "batch", "wrapper.tie_embedding"}


class GPT2Case(Case):
    complete = True

    NAMES = {
        "token_emb.emb.weight": "wte.weight",
        "attn_layers.final_norm.gamma": "ln_f.weight",
        "to_logits.weight": "lm_head.weight",
        "1.to_out.weight": "attn.c_proj.weight",
        "1.ff.0.0.weight": "mlp.c_fc.weight",
        "1.ff.0.0.bias": "mlp.c_fc.bias",
        "1.ff.2.weight": "mlp.c_proj.weight",
        "1.ff.2.bias": "mlp.c_proj.bias",
    }

    def refusal(self):
        given = {name.removeprefix("cfg.") for name in self.metadata if name.startswith("cfg.")}
        if self.setting("kind") != "Decoder" or given - PLAIN:
            return f"not plain: {', '.join(sorted(given - PLAIN)) or 'an encoder'}"
        return ""

    def config(self):
        width = self.number("attn_layers.dim")
        return gpt2.Config(
            width=width,
            ffn=width * self.number("attn_layers.ff_mult"),
            heads=self.number("attn_layers.heads"),
            head_width=self.number("attn_layers.attn_dim_head"),
            layers=self.number("attn_layers.depth"),
            vocab=self.number("num_tokens"),
            places=self.number("max_seq_len"),
            tied=self.flag("wrapper.tie_embedding"),
            bias=False,
            gelu="none",
        )

    def named(self, prefix, is_value):
        """The tensors below a prefix under this model's names; of values, gains are plus one."""
        to, parts = {}, {}
        for name, x in self.of_kind(prefix).items():
            if name.endswith(".gamma"):
                x = x + 1 if is_value else x
            if name == "pos_emb.emb.weight":
                scale = self.config().width ** 0.5
                to["wpe.weight"] = x / scale if is_value else x * scale
                continue
            if not name.startswith("attn_layers.layers."):
                to[self.NAMES[name]] = x
                continue
            number, rest = name.removeprefix("attn_layers.layers.").split(".", 1)
            path = f"h.{int(number) // 2}."
            if rest == "0.0.gamma":
                to[path + ("ln_2" if int(number) % 2 else "ln_1") + ".weight"] = x
            elif rest.startswith("1.to_") and rest[5] in "qkv":
                parts.setdefault(path, {})[rest[5]] = x
            else:
                to[path + self.NAMES[rest]] = x
        for path, part in parts.items():
            to[path + "attn.c_attn.weight"] = torch.cat([part[k] for k in "qkv"])
        if is_value and "lm_head.weight" not in to:
            to["lm_head.weight"] = to["wte.weight"]
        return to

    def run(self):
        inputs = self.of_kind("in.")
        model = gpt2.GPT2(self.config())
        model.load_state_dict(self.named("param.", is_value=True))
        outputs = {"y": model(inputs["tokens"])}
        (outputs["y"] * inputs["cotangent"]).sum().backward()

        # pieces of three lengths equal the whole
        state, steps = model.state(*inputs["tokens"].shape), []
        with torch.no_grad():
            for piece in inputs["tokens"].split([2, 3] + [1] * (inputs["tokens"].shape[1] - 5), 1):
                steps.append(model(piece, state))
        outputs["pieces"] = outputs["logits_incremental"] = torch.cat(steps, 1)
        return model, inputs, outputs

    def check(self):
        wanted = self.named("grad.param.", is_value=False)
        kept = {n: t for n, t in self.tensors.items() if not n.startswith("grad.param.")}
        kept["out.pieces"] = kept["out.y"]
        self.tensors = kept | {"grad.param." + name: t for name, t in wanted.items()}
        return super().check()
