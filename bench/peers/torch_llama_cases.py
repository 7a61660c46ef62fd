"""Reference cases of another library's decoder that has all of Llama's parts.

Its names differ, it stores gains minus one, and the channels 2t and 2t + 1 of its heads turn
together: rows of the projections to queries and keys change places on the way.
"""

import torch

import torch_llama as llama
from torch_cases import Case


class LlamaCase(Case):
    complete = True

    NAMES = {
        "token_emb.emb.weight": "model.embed_tokens.weight",
        "attn_layers.final_norm.g": "model.norm.weight",
        "to_logits.weight": "lm_head.weight",
        "0.0.g": "input_layernorm.weight",
        "1.to_q.weight": "self_attn.q_proj.weight",
        "1.to_k.weight": "self_attn.k_proj.weight",
        "1.to_v.weight": "self_attn.v_proj.weight",
        "1.to_out.weight": "self_attn.o_proj.weight",
        "1.ff.2.weight": "mlp.down_proj.weight",
    }

    def refusal(self):
        wanted = ("use_rmsnorm", "rotary_pos_emb", "ff_swish", "ff_glu")
        lacking = [name for name in wanted if not self.flag("attn_layers." + name)]
        return f"not of Llama's kind: no {', '.join(lacking)}" if lacking else ""

    def config(self):
        width = self.number("attn_layers.dim")
        return llama.Config(
            width=width,
            ffn=width * self.number("attn_layers.ff_mult"),
            heads=self.number("attn_layers.heads"),
            kv_heads=self.number("attn_layers.attn_kv_heads"),
            head_width=self.number("attn_layers.attn_dim_head"),
            layers=self.number("attn_layers.depth"),
            vocab=self.number("num_tokens"),
            rotary=2 * len(self.tensors["param.attn_layers.rotary_pos_emb.inv_freq"]),
            eps=0.0,
            ffn_bias=True,
        )

    def halves(self, x):
        """Rows of each head of q and k: pairs (2t, 2t + 1) to (t, t + r/2)."""
        c = self.config()
        heads = x.unflatten(0, (-1, c.head_width))
        turning, still = heads[:, : c.rotary], heads[:, c.rotary :]
        turning = turning.unflatten(1, (-1, 2)).transpose(1, 2).flatten(1, 2)
        return torch.cat([turning, still], 1).flatten(0, 1)

    def named(self, prefix, is_value):
        """The tensors below a prefix under this model's names; of values, gains are plus one."""
        to = {}
        for name, x in self.of_kind(prefix).items():
            if name.endswith("inv_freq"):
                continue
            if name.endswith(".g"):
                x = x + 1 if is_value else x
            if name.endswith(("to_q.weight", "to_k.weight")):
                x = self.halves(x)
            if not name.startswith("attn_layers.layers."):
                to[self.NAMES[name]] = x
                continue
            number, rest = name.removeprefix("attn_layers.layers.").split(".", 1)
            path = f"model.layers.{int(number) // 2}."
            if rest.startswith("1.ff.0.proj."):
                # up first, then the gate
                kind = rest.removeprefix("1.ff.0.proj.")
                to[path + "mlp.up_proj." + kind], to[path + "mlp.gate_proj." + kind] = x.chunk(2)
            elif rest == "0.0.g" and int(number) % 2:
                to[path + "post_attention_layernorm.weight"] = x
            else:
                to[path + self.NAMES[rest]] = x
        return to

    def run(self):
        inputs = self.of_kind("in.")
        model = llama.Llama(self.config())
        model.load_state_dict(self.named("param.", is_value=True))
        outputs = {"y": model(inputs["tokens"])}
        (outputs["y"] * inputs["cotangent"]).sum().backward()

        # pieces of three lengths equal the whole
        state, steps = model.state(*inputs["tokens"].shape), []
        with torch.no_grad():
            for piece in inputs["tokens"].split([2, 3] + [1] * (inputs["tokens"].shape[1] - 5), 1):
                steps.append(model(piece, state))
        outputs["pieces"] = torch.cat(steps, 1)
        return model, inputs, outputs

    def check(self):
        wanted = self.named("grad.param.", is_value=False)
        kept = {n: t for n, t in self.tensors.items() if not n.startswith("grad.param.")}
        kept["out.pieces"] = kept["out.y"]
        self.tensors = kept | {"grad.param." + name: t for name, t in wanted.items()}
        return super().check()
