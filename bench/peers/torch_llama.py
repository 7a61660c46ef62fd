#!/usr/bin/env python3
"""A language model of Llama's kind in plain PyTorch: a peer that mega bench models measures.

    torch_llama.py --mode train ...       measure steps, print one JSON line
    torch_llama.py --mode generate ...    measure tokens one by one after a context
    torch_llama.py --check FILE...        hold everything to reference cases

Attention by scaled_dot_product_attention, whose flash kernel is the CPU's fastest. Shapes: B rows,
L steps, D width, H heads of queries and G of keys and values, d channels each. Activations are
(B, L, D); state-dict names are those of Hugging Face's files.
"""

import dataclasses
import sys

import torch
import torch.nn.functional as F
from torch import nn

from torch_cases import check_files
from torch_language import LanguageModelling
from torch_measure import config_of, measure, options


@dataclasses.dataclass
class Config:
    width: int
    ffn: int
    heads: int = 1
    kv_heads: int = 0  # of keys and values; 0: as many
    head_width: int = 0  # 0: width / heads
    layers: int = 1
    vocab: int = 257
    places: int = 4096  # that a text can have
    rotary: int = 0  # channels of a head that turn, the first ones; 0: all
    base: float = 10000.0
    eps: float = 1e-5
    ffn_bias: bool = False  # on the way up


def projection(fan_in, fan_out, bias=False):
    linear = nn.Linear(fan_in, fan_out, bias)
    nn.init.normal_(linear.weight, std=0.02)
    return linear


class Rotary:
    """Turns channels t and t + r/2 of the first r by position times base^(-2t/r)."""

    def __init__(self, c, size):
        self.turning = c.rotary or size
        speeds = c.base ** (-torch.arange(0, self.turning, 2) / self.turning)
        angles = torch.arange(c.places).unsqueeze(1) * speeds
        self.cos, self.sin = angles.cos().repeat(1, 2), angles.sin().repeat(1, 2)

    def turns(self, begin, length):
        return self.cos[begin : begin + length], self.sin[begin : begin + length]

    def __call__(self, x, cos, sin):
        """x (B, H, L, d)"""
        still = x[..., self.turning :]
        a, b = x[..., : self.turning].chunk(2, -1)
        turned = torch.cat([a, b], -1) * cos + torch.cat([-b, a], -1) * sin
        return torch.cat([turned, still], -1) if still.shape[-1] else turned


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.size = c.head_width or c.width // c.heads
        self.groups = c.kv_heads or c.heads
        self.q_proj = projection(c.width, c.heads * self.size)
        self.k_proj = projection(c.width, self.groups * self.size)
        self.v_proj = projection(c.width, self.groups * self.size)
        self.o_proj = projection(c.heads * self.size, c.width)

    def heads(self, x):
        """(B, L, H d) to (B, H, L, d)"""
        return x.unflatten(-1, (-1, self.size)).transpose(1, 2)

    def forward(self, x, rotary, turns, known=None, begin=0):
        q, k = (rotary(self.heads(f(x)), *turns) for f in (self.q_proj, self.k_proj))
        v, length = self.heads(self.v_proj(x)), x.shape[1]
        if known is not None:
            known[0][:, :, begin : begin + length] = k
            known[1][:, :, begin : begin + length] = v
            k, v = (t[:, :, : begin + length] for t in known)
        # one query sees all; a first piece is causal from its beginning
        causal, mask = length > 1 and begin == 0, None
        if length > 1 and begin > 0:
            mask = torch.ones(length, begin + length, dtype=torch.bool).tril(begin)
        grouped = self.groups < self.c.heads
        o = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=causal, enable_gqa=grouped
        )
        return self.o_proj(o.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.gate_proj = projection(c.width, c.ffn, c.ffn_bias)
        self.up_proj = projection(c.width, c.ffn, c.ffn_bias)
        self.down_proj = projection(c.ffn, c.width)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.input_layernorm = nn.RMSNorm(c.width, c.eps)
        self.self_attn = Attention(c)
        self.post_attention_layernorm = nn.RMSNorm(c.width, c.eps)
        self.mlp = FeedForward(c)

    def forward(self, x, *place):
        x = x + self.self_attn(self.input_layernorm(x), *place)
        return x + self.mlp(self.post_attention_layernorm(x))


class State:
    """Keys and values of all layers, with room for so many places, and how many there are."""

    def __init__(self, c, rows, places):
        size = c.head_width or c.width // c.heads
        shape = (c.layers, 2, rows, c.kv_heads or c.heads, places, size)
        self.known, self.used = torch.zeros(shape), 0


class Llama(nn.Module):
    """Logits (B, L, V) of the tokens that follow; with a state, of a text read in pieces."""

    def __init__(self, c):
        super().__init__()
        self.c = c
        embed = nn.Embedding(c.vocab, c.width)
        nn.init.normal_(embed.weight, std=0.02)
        layers = nn.ModuleList(Layer(c) for _ in range(c.layers))
        norm = nn.RMSNorm(c.width, c.eps)
        self.model = nn.ModuleDict({"embed_tokens": embed, "layers": layers, "norm": norm})
        self.lm_head = projection(c.width, c.vocab)
        self.rotary = Rotary(c, c.head_width or c.width // c.heads)

    def state(self, rows, places):
        return State(self.c, rows, places)

    def read(self, tokens, state):
        """The logits after the last token of some more text."""
        return self(tokens, state)[:, -1]

    def forward(self, tokens, state=None):
        begin, length = state.used if state else 0, tokens.shape[1]
        turns = self.rotary.turns(begin, length)
        x = self.model["embed_tokens"](tokens)
        for i, layer in enumerate(self.model["layers"]):
            known = state.known[i] if state else None
            x = layer(x, self.rotary, turns, known, begin)
        if state:
            state.used += length
        return self.lm_head(self.model["norm"](x)).float()


def main():
    p = options(__doc__.splitlines()[0], ["train", "infer", "generate"])
    p.add_argument("--check", nargs="+", metavar="FILE", help="compare instead of measuring")
    o = p.parse_args()
    check = vars(o).pop("check")
    if check:
        from torch_llama_cases import LlamaCase

        return check_files(check, LlamaCase)
    if 0 < o.chunk < o.length:
        p.error(f"--chunk {o.chunk}: expected 0, attention is full")
    places = o.length + (o.warmup + o.steps) * o.tokens
    return measure(lambda: Llama(config_of(o, Config, places=places)), o, LanguageModelling)


if __name__ == "__main__":
    sys.exit(main())
