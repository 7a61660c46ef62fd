#!/usr/bin/env python3
"""Megalodon, a language model, in plain PyTorch: a peer that mega bench models measures.

    torch_megalodon.py --mode train ...       measure steps, print one JSON line
    torch_megalodon.py --mode generate ...    measure tokens one by one after a context
    torch_megalodon.py --check                hold a long text to its pieces
    torch_megalodon.py --check FILE...        hold everything to reference cases

Shapes: B rows, L steps, D width, Z keys, E values, H heads, N EMA states, C chunk, G groups.
Activations are (B, L, D); state-dict names are the official ones.
"""

import dataclasses
import math
import sys

import torch
import torch.nn.functional as F
from torch import nn

from torch_cases import check_files, miss
from torch_cema import ComplexEma, truncated_normal
from torch_language import LanguageModelling
from torch_measure import config_of, measure, options
from torch_timenorm import TimestepNorm


@dataclasses.dataclass
class Config:
    width: int
    values: int
    keys: int
    ffn: int
    ema: int
    heads: int = 1
    layers: int = 1
    vocab: int = 257
    outputs: int = 0  # symbols that can follow; 0: as many as vocab
    chunk: int = 512
    groups: int = 32  # of the timestep norm
    base: float = 10000.0  # of the rotary angles
    eps: float = 1e-5
    affine: bool = True  # of the other norms
    swiglu: bool = False
    rescale: bool = False  # a learned factor a channel behind each feed-forward
    scaled: bool = False  # embeddings times the root of the width
    tied: bool = False
    dropout: float = 0.0
    hidden_dropout: float = 0.0
    attention_dropout: float = 0.0


class RmsNorm(nn.Module):
    """x over the root of its mean square, times weight + 1."""

    def __init__(self, width, eps, affine=True):
        super().__init__()
        self.register_parameter("weight", nn.Parameter(torch.zeros(width)) if affine else None)
        self.eps = eps

    def forward(self, x):
        gain = None if self.weight is None else self.weight + 1
        return F.rms_norm(x, x.shape[-1:], gain, self.eps)


class LayerNorm(nn.Module):
    """The usual one, its gain stored minus one."""

    def __init__(self, width, eps, affine=True):
        super().__init__()
        for name in ("weight", "bias"):
            self.register_parameter(name, nn.Parameter(torch.zeros(width)) if affine else None)
        self.eps = eps

    def forward(self, x):
        gain = None if self.weight is None else self.weight + 1
        return F.layer_norm(x, x.shape[-1:], gain, self.bias, self.eps)


class Rotary(nn.Module):
    """Turns the pairs of channels (2j, 2j + 1) of each head by position times base^(-2j/d)."""

    def __init__(self, size, places, base):
        super().__init__()
        steps = torch.arange(0, size, 2, dtype=torch.float64) / size
        self.register_buffer("freqs", (1.0 / (base**steps).float()))
        angles = (torch.arange(places).unsqueeze(1) * self.freqs).unsqueeze(1)
        self.table = angles.cos(), angles.sin()

    def turns(self, begin, length):
        """cos and sin, (length, 1, d/2) each."""
        return (part[begin : begin + length] for part in self.table)

    def forward(self, x, begin=0):
        """x (..., L, H, d), of which the first is at place `begin`."""
        cos, sin = self.turns(begin, x.shape[-3])
        a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
        return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)


def projection(fan_in, fan_out, bias=True):
    linear = nn.Linear(fan_in, fan_out, bias)
    nn.init.normal_(linear.weight, std=(3 * fan_in) ** -0.5)
    if bias:
        nn.init.zeros_(linear.bias)
    return linear


class BlockState:
    """What one block carries on: rotated keys and values of the unfinished chunk, and more."""

    def __init__(self, c, rows):
        self.keys = torch.zeros(rows, c.heads, c.chunk, c.keys // c.heads)
        self.values = torch.zeros(rows, c.heads, c.chunk, c.values // c.heads)
        self.used = 0
        self.norm = self.average = None


class GatedAttention(nn.Module):
    def __init__(self, c, rope=None):
        super().__init__()
        self.c = c
        # one table for all layers, a part of the whole model
        self.rope = [rope or Rotary(c.keys // c.heads, c.chunk, c.base)]
        self.timenorm = TimestepNorm(c.width, c.groups, eps=c.eps)
        self.cema = ComplexEma(c.width, c.ema)
        self.rmsnorm = RmsNorm(c.width, c.eps, c.affine)
        self.wv = projection(c.width, c.values)
        self.wz = projection(c.width, c.keys)
        self.wr = projection(c.width, c.values)
        self.wh1 = projection(c.width, c.width)
        self.wh2 = projection(c.values, c.width, bias=False)
        self.gamma = nn.Parameter(torch.zeros(2, c.keys))
        self.beta = nn.Parameter(torch.zeros(2, c.keys))

    def queries_keys(self, mx, begin):
        """(B, L, H, d) each, normalised and turned."""
        c = self.c
        z = self.wz(mx).unflatten(-1, (c.heads, -1))
        size = z.shape[-1]
        z = F.rms_norm(z, (size,), eps=c.eps)
        gain = ((self.gamma + 1) * size**-0.5).unflatten(-1, (c.heads, -1))
        beta = self.beta.unflatten(-1, (c.heads, -1))
        return (self.rope[0](torch.addcmul(beta[i], z, gain[i]), begin) for i in range(2))

    def weighted(self, q, k, v, earlier=0):
        """(..., L, d), (..., S, d), (..., S, e) to (..., L, e); query i sees keys 0 ... i + earlier."""
        if q.shape[-2] > 1:
            seen = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool).tril(earlier)
            hidden = torch.zeros(seen.shape, dtype=q.dtype).masked_fill(~seen, -math.inf)
            weights = F.softmax(q @ k.transpose(-1, -2) + hidden, dim=-1)
        else:
            weights = F.softmax(q @ k.transpose(-1, -2), dim=-1)
        return F.dropout(weights, self.c.attention_dropout, self.training) @ v

    def attend(self, q, k, v, state):
        """Inside chunks: (B, L, H, *) to (B, L, E)."""
        length, chunk = q.shape[1], self.c.chunk
        used = state.used if state else 0
        if length % chunk == 0 or not state:
            if length > chunk and length % chunk:
                raise ValueError(f"{length} places are not whole chunks of {chunk}")
            # (B, L, H, *) to (B, chunks, H, C, *)
            window = min(length, chunk)
            q, k, v = (x.unflatten(1, (-1, window)).transpose(2, 3) for x in (q, k, v))
            return self.weighted(q, k, v).transpose(2, 3).flatten(1, 2).flatten(2)

        if used + length > chunk:
            raise ValueError(f"{used} + {length} places in a chunk of {chunk}")
        end = used + length
        state.keys[:, :, used:end] = k.transpose(1, 2)
        state.values[:, :, used:end] = v.transpose(1, 2)
        state.used = end % chunk
        known = state.keys[:, :, :end], state.values[:, :, :end]
        return self.weighted(q.transpose(1, 2), *known, used).transpose(1, 2).flatten(2)

    def forward(self, x, state=None):
        c = self.c
        xt, norm = self.timenorm(x, state and state.norm)
        y, average = self.cema(xt.transpose(1, 2), state and state.average, state is not None)
        mx = self.rmsnorm(y.transpose(1, 2))
        mx = F.dropout(mx, c.hidden_dropout, self.training)

        q, k = self.queries_keys_of_chunks(mx, state)
        v = F.silu(self.wv(xt)).unflatten(-1, (c.heads, -1))
        r = F.silu(self.wr(mx))
        a = F.dropout(self.attend(q, k, v, state) * r, c.hidden_dropout, self.training)
        if state:
            state.norm, state.average = norm, average
        h = self.wh1(mx) + self.wh2(a)
        return F.dropout(h, c.dropout, self.training) + x

    def queries_keys_of_chunks(self, mx, state):
        """Places restart in every chunk."""
        length, chunk = mx.shape[1], self.c.chunk
        if length <= chunk:
            return self.queries_keys(mx, state.used if state else 0)
        q, k = self.queries_keys(mx.unflatten(1, (-1, chunk)), 0)
        return q.flatten(1, 2), k.flatten(1, 2)


class FeedForward(nn.Module):
    def __init__(self, c, number=0):
        super().__init__()
        self.c = c
        self.norm = LayerNorm(c.width, c.eps, c.affine)
        self.fc1 = projection(c.width, c.ffn, bias=False)
        self.fc2 = projection(c.ffn, c.width, bias=False)
        self.fc3 = projection(c.width, c.ffn, bias=False) if c.swiglu else None
        alpha = torch.full((c.width,), 0.1 * 0.5**number)
        self.register_parameter("alpha", nn.Parameter(alpha) if c.rescale else None)

    def forward(self, y, residual):
        c = self.c
        t = self.norm(y)
        hidden = F.silu(self.fc1(t))
        if self.fc3:
            hidden = hidden * self.fc3(t)
        t = self.fc2(F.dropout(hidden, c.hidden_dropout, self.training))
        t = F.dropout(t, c.dropout, self.training)
        return t + residual if self.alpha is None else torch.addcmul(residual, t, self.alpha)


class Block(nn.Module):
    def __init__(self, c, rope, number):
        super().__init__()
        self.mega = GatedAttention(c, rope)
        self.nffn = FeedForward(c, number)

    def forward(self, x, state=None):
        # two hops: the feed-forward is added to the block's input
        return self.nffn(self.mega(x, state), x)


class Megalodon(nn.Module):
    """Logits (B, L, V) of the tokens that follow; with a state, of a text read in pieces."""

    def __init__(self, c):
        super().__init__()
        self.c = c
        self.embed = nn.Embedding(c.vocab, c.width)
        truncated_normal(self.embed.weight, c.width**-0.5)
        self.rope = Rotary(c.keys // c.heads, c.chunk, c.base)
        self.layers = nn.ModuleList(Block(c, self.rope, i) for i in range(c.layers))
        head = nn.Linear(c.width, c.outputs or c.vocab, bias=False)
        truncated_normal(head.weight, c.width**-0.5)
        if c.tied:
            head.weight = self.embed.weight
        final_norm = TimestepNorm(c.width, c.groups, eps=c.eps)
        self.output = nn.ModuleDict({"final_norm": final_norm, "output": head})

    def state(self, rows, places):
        """A state before the first token; it needs the same room for any number of places."""
        return [BlockState(self.c, rows) for _ in self.layers] + [None]

    def admissible(self, tokens, state):
        """The text in pieces: to the end of a chunk, whole chunks two at a time, the rest."""
        chunk, used = self.c.chunk, state[0].used
        while tokens.shape[1]:
            whole = min(tokens.shape[1] // chunk, 2) * chunk
            size = chunk - used if used else whole or tokens.shape[1]
            yield tokens[:, :size]
            tokens, used = tokens[:, size:], 0

    def read(self, tokens, state):
        """The logits after the last token of some more text."""
        for piece in self.admissible(tokens, state):
            logits = self(piece, state)
        return logits[:, -1]

    def forward(self, tokens, state=None):
        c = self.c
        x = self.embed(tokens)
        if c.scaled:
            x = x * math.sqrt(c.width)
        x = F.dropout(x, c.dropout, self.training)
        for i, layer in enumerate(self.layers):
            x = layer(x, state and state[i])
        x, norm = self.output["final_norm"](x, state and state[-1])
        if state:
            state[-1] = norm
        return self.output["output"](x).float()


def settings(o):
    return config_of(o, Config, chunk=o.chunk or o.length)


def average_gradients(c, length, make):
    """Of the moving average of random numbers: y and every gradient."""
    torch.manual_seed(1)
    average, x = ComplexEma(c.width, c.ema), torch.randn(2, c.width, length)
    y = make(average, x.requires_grad_())
    (y * torch.randn(y.shape)).sum().backward()
    return {"y": y, "x": x.grad} | {name: p.grad for name, p in average.named_parameters()}


def by_steps(average, x):
    h, steps = None, []
    for step in x.split(1, -1):
        y, h = average(step, h, True)
        steps.append(y)
    return torch.cat(steps, -1)


def check_pieces(o):
    """Convolution against recursion, and a text in pieces against the whole, within 1e-4."""
    c = settings(o)
    whole = average_gradients(c, o.length, lambda average, x: average(x)[0])
    steps = average_gradients(c, o.length, by_steps)
    shares = {name: miss(whole[name], want, 1e-4, 1e-3) for name, want in steps.items()}

    torch.manual_seed(1)
    model = Megalodon(c).eval()
    tokens = torch.randint(1, o.vocab, (o.batch, o.length))
    with torch.no_grad():
        want, state, rest, pieces = model(tokens), model.state(o.batch, o.length), tokens, []
        for size in (c.chunk, *[3] * c.chunk, o.length):
            for piece in model.admissible(rest[:, :size], state):
                pieces.append(model(piece, state))
            rest = rest[:, size:]
    shares["logits"] = miss(torch.cat(pieces, 1), want, 1e-4, 1e-3)
    worst = max(shares, key=shares.get)
    print(f"{len(shares)} tensors, worst {worst} at {shares[worst]:.3f} of what is allowed")
    return 1 if shares[worst] > 1.0 else 0


def main():
    p = options(__doc__.splitlines()[0], ["train", "infer", "generate"])
    p.add_argument("--check", nargs="*", metavar="FILE", help="compare instead of measuring")
    o = p.parse_args()
    check = vars(o).pop("check")
    if check:
        from torch_megalodon_cases import MegalodonCase

        return check_files(check, MegalodonCase)
    if check is not None:
        return check_pieces(o)
    return measure(lambda: Megalodon(settings(o)), o, LanguageModelling)


if __name__ == "__main__":
    sys.exit(main())
