#!/usr/bin/env python3
"""The plain Transformer as a language model (GPT-2) in PyTorch: a peer that mega bench models measures.

    torch_gpt2.py --mode train ...       measure steps, print one JSON line
    torch_gpt2.py --mode generate ...    measure tokens one by one after a context
    torch_gpt2.py --check FILE...        hold everything to reference cases

Learned positions, LayerNorm before each branch, GELU, one table for tokens and logits; attention
by scaled_dot_product_attention, whose flash kernel is the CPU's fastest. Shapes: B rows, L steps,
D width, H heads of d channels. Linear weights are (out, in), unlike those of Hugging Face's files.
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
    head_width: int = 0  # 0: width / heads
    layers: int = 1
    vocab: int = 257
    places: int = 1024  # that a text can have
    eps: float = 1e-5
    dropout: float = 0.0
    tied: bool = True
    bias: bool = True  # of attention and norms
    gelu: str = "tanh"


def projection(fan_in, fan_out, bias=True):
    linear = nn.Linear(fan_in, fan_out, bias)
    nn.init.normal_(linear.weight, std=0.02)
    if bias:
        nn.init.zeros_(linear.bias)
    return linear


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.size = c.head_width or c.width // c.heads
        self.inner = c.heads * self.size
        self.c_attn = projection(c.width, 3 * self.inner, c.bias)
        self.c_proj = projection(self.inner, c.width, c.bias)

    def forward(self, x, known=None, begin=0):
        """`known`: keys and values (2, B, H, places, d) of the text before `begin`."""
        length = x.shape[1]
        parts = self.c_attn(x).split(self.inner, -1)
        q, k, v = (t.unflatten(-1, (-1, self.size)).transpose(1, 2) for t in parts)
        if known is not None:
            known[0][:, :, begin : begin + length] = k
            known[1][:, :, begin : begin + length] = v
            k, v = (t[:, :, : begin + length] for t in known)
        # one query sees all; a first piece is causal from its beginning
        causal, mask = length > 1 and begin == 0, None
        if length > 1 and begin > 0:
            mask = torch.ones(length, begin + length, dtype=torch.bool).tril(begin)
        o = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
        return self.c_proj(o.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.gelu = c.gelu
        self.c_fc = projection(c.width, c.ffn)
        self.c_proj = projection(c.ffn, c.width)

    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x), approximate=self.gelu))


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.ln_1 = nn.LayerNorm(c.width, c.eps, bias=c.bias)
        self.attn = Attention(c)
        self.ln_2 = nn.LayerNorm(c.width, c.eps, bias=c.bias)
        self.mlp = FeedForward(c)
        self.drop = nn.Dropout(c.dropout)

    def forward(self, x, *place):
        x = x + self.drop(self.attn(self.ln_1(x), *place))
        return x + self.drop(self.mlp(self.ln_2(x)))


class State:
    """Keys and values of all layers, with room for so many places, and how many there are."""

    def __init__(self, c, rows, places):
        size = c.head_width or c.width // c.heads
        self.known = torch.zeros((c.layers, 2, rows, c.heads, places, size))
        self.used = 0


class GPT2(nn.Module):
    """Logits (B, L, V) of the tokens that follow; with a state, of a text read in pieces."""

    def __init__(self, c):
        super().__init__()
        self.c = c
        self.wte = nn.Embedding(c.vocab, c.width)
        self.wpe = nn.Embedding(c.places, c.width)
        for table in (self.wte, self.wpe):
            nn.init.normal_(table.weight, std=0.02)
        self.drop = nn.Dropout(c.dropout)
        self.h = nn.ModuleList(Layer(c) for _ in range(c.layers))
        self.ln_f = nn.LayerNorm(c.width, c.eps, bias=c.bias)
        self.lm_head = projection(c.width, c.vocab, False)
        if c.tied:
            self.lm_head.weight = self.wte.weight

    def state(self, rows, places):
        return State(self.c, rows, places)

    def read(self, tokens, state):
        """The logits after the last token of some more text."""
        return self(tokens, state)[:, -1]

    def forward(self, tokens, state=None):
        begin, length = state.used if state else 0, tokens.shape[1]
        x = self.wte(tokens) + self.wpe(torch.arange(begin, begin + length))
        x = self.drop(x)
        for i, layer in enumerate(self.h):
            x = layer(x, state.known[i] if state else None, begin)
        if state:
            state.used += length
        return self.lm_head(self.ln_f(x)).float()


def main():
    p = options(__doc__.splitlines()[0], ["train", "infer", "generate"])
    p.add_argument("--check", nargs="+", metavar="FILE", help="compare instead of measuring")
    o = p.parse_args()
    check = vars(o).pop("check")
    if check:
        from torch_gpt2_cases import GPT2Case

        return check_files(check, GPT2Case)
    if 0 < o.chunk < o.length:
        p.error(f"--chunk {o.chunk}: expected 0, attention is full")
    places = o.length + (o.warmup + o.steps) * o.tokens
    return measure(lambda: GPT2(config_of(o, Config, places=places)), o, LanguageModelling)


if __name__ == "__main__":
    sys.exit(main())
