#!/usr/bin/env python3
"""Mega for long-range classification in plain PyTorch: a peer that mega bench models measures.

    torch_mega.py --mode train ...       measure steps, print one JSON line
    torch_mega.py --check                hold the real form of the EMA to the complex one
    torch_mega.py --check FILE...        hold outputs and gradients to reference cases

Shapes: L steps, B rows, D width, E values, S keys, C chunk, K chunks.
Inside the stack activations are (L, B, D); state-dict names are the official ones.
"""

import dataclasses
import math
import sys

import torch
import torch.nn.functional as F
from torch import nn

from torch_cases import EncoderCase, check_files, miss
from torch_ema import FORMS
from torch_encoder import ACTIVATIONS, Classifier, Config, FeedForward, Norm, projection
from torch_measure import config_of, measure, options


class SimpleBias(nn.Module):
    """bias[i, j] = w[P - 1 + j - i], one learned value a distance."""

    def __init__(self, c):
        super().__init__()
        self.rel_pos_bias = nn.Parameter(torch.randn(2 * c.max_positions - 1) * 0.02)

    def forward(self, length):
        middle = self.rel_pos_bias.shape[0] // 2
        near = self.rel_pos_bias[middle - length + 1 : middle + length]
        return near.unfold(0, length, 1).flip(0)


class RotaryBias(nn.Module):
    """bias[i, j] = <alpha rotated to position i, beta rotated to position j>."""

    def __init__(self, c):
        super().__init__()
        self.alpha = nn.Parameter(torch.randn(1, c.keys) * 0.02)
        self.beta = nn.Parameter(torch.randn(1, c.keys) * 0.02)

    def forward(self, length):
        half = self.alpha.shape[1] // 2
        steps = torch.arange(half, dtype=self.alpha.dtype)
        speeds = torch.exp(steps * (-math.log(10000.0) / half))
        angles = torch.arange(length, dtype=speeds.dtype).unsqueeze(1) * speeds
        sin, cos = angles.sin(), angles.cos()

        def rotate(vector):
            a, b = vector.chunk(2, 1)
            return torch.cat([a * cos - b * sin, b * cos + a * sin], 1)

        return rotate(self.alpha) @ rotate(self.beta).t()


class GatedAttention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.norm = Norm(c)
        self.move = FORMS[c.form](c)
        self.v_proj = projection(c.width, c.values)
        self.mx_proj = projection(c.width, c.keys + c.values + 2 * c.width)
        self.h_proj = projection(c.values, c.width)
        self.gamma = nn.Parameter(torch.randn(2, c.keys) * 0.02)
        self.beta = nn.Parameter(torch.zeros(2, c.keys))
        self.rel_pos_bias = RotaryBias(c) if c.bias == "rotary" else SimpleBias(c)
        self.act = ACTIVATIONS[c.activation]

    def windows(self, x):
        """(L, B, *) to (B, K, C, *)"""
        length, chunk = x.shape[0], self.c.chunk
        window = chunk if 0 < chunk <= length else length
        return x.transpose(0, 1).unflatten(1, (-1, window))

    def weights(self, q, k, padding, causal):
        """(B, K, C, C); `padding` (B, K, 1, C) is true at keys that are none."""
        window = q.shape[2]
        bias = self.rel_pos_bias(window)
        seen = torch.ones(window, window, dtype=torch.bool).tril() if causal else None

        if self.c.attention == "softmax":
            scores = (q * self.c.keys**-0.5) @ k.transpose(2, 3) + bias
            if padding is not None:
                # a window of nothing but padding stays unmasked: its output is dropped later
                padding = padding & ~padding.all(-1, keepdim=True)
                scores = scores.masked_fill(padding, -math.inf)
            if causal:
                scores = scores.masked_fill(~seen, -math.inf)
            return F.softmax(scores, dim=-1)

        count = window
        if causal:
            count = seen.sum(-1, keepdim=True).to(q.dtype)
        elif padding is not None:
            count = (~padding).sum(-1, keepdim=True).clamp(min=1).to(q.dtype)
        scores = q @ k.transpose(2, 3) / count + bias
        if self.c.attention == "relu2":
            weights = F.relu(scores).square()
        else:
            weights = 0.5 * (1.0 + torch.erf((scores - 0.707107) / (0.282095 * math.sqrt(2.0))))
        if padding is not None:
            weights = weights.masked_fill(padding, 0.0)
        return weights * seen if causal else weights

    def forward(self, x, padding=None, causal=False):
        c = self.c
        residual = x
        if c.prenorm:
            x = self.norm(x)
        v = self.act(self.v_proj(x))
        mx = F.dropout(self.move(x, padding), c.dropout, self.training)

        gate, zr, candidate = self.mx_proj(mx).split([c.width, c.keys + c.values, c.width], -1)
        gate = torch.sigmoid(gate)
        z, reset = F.silu(zr).split([c.keys, c.values], -1)
        q, k = (z.unsqueeze(2) * self.gamma + self.beta).unbind(2)

        if padding is not None:
            padding = self.windows(padding.t()).unsqueeze(2)
        weights = self.weights(self.windows(q), self.windows(k), padding, causal)
        o = (weights @ self.windows(v)).flatten(1, 2).transpose(0, 1)

        h = self.act(candidate + self.h_proj(o * reset))
        h = F.dropout(h, c.dropout, self.training)
        y = torch.addcmul(residual, gate, h - residual)
        return y if c.prenorm else self.norm(y)


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.mega_layer = GatedAttention(c)
        self.nffn = FeedForward(c) if c.ffn > 0 else nn.Identity()

    def forward(self, x, padding):
        return self.nffn(self.mega_layer(x, padding))


def mega(c):
    return Classifier(c, Layer)


# official class names
MODULES = {
    "MultiHeadEMA": lambda c: FORMS[c.form](c),
    "MovingAverageGatedAttention": GatedAttention,
    "MegaSentenceEncoderLayer": Layer,
    "LRAModel": mega,
    "LRAModel+LRACrossEntropyCriterion": mega,
}


def settings(o):
    return config_of(o, Config, head_width=o.values, max_positions=o.chunk or o.length)


def results(c, tokens, target):
    """Logits and every gradient of a model whose weights depend on the settings alone."""
    torch.manual_seed(1)
    model = mega(c)
    logits = model(tokens, torch.full((len(tokens),), tokens.shape[1]))
    F.cross_entropy(logits, target).backward()
    return {"logits": logits} | {name: p.grad for name, p in model.named_parameters()}


def check_forms(o):
    """Both forms of the EMA on one batch: outputs and gradients within 1e-4 of the largest."""
    c = settings(o)
    c.dropout = 0.0
    tokens = torch.randint(1, o.vocab, (o.batch, o.length))
    target = torch.randint(o.classes, (o.batch,))
    want, got = (results(dataclasses.replace(c, form=form), tokens, target) for form in FORMS)
    floor = max(grad.abs().max().item() for grad in want.values()) / 100
    shares = {name: miss(got[name], want[name], 1e-4, floor) for name in want}
    worst = max(shares, key=shares.get)
    print(f"{len(shares)} tensors, worst {worst} at {shares[worst]:.3f} of what is allowed")
    return 1 if shares[worst] > 1.0 else 0


def main():
    p = options(__doc__.splitlines()[0])
    p.add_argument("--form", choices=list(FORMS), default="complex", help="of the EMA")
    p.add_argument("--check", nargs="*", metavar="FILE", help="compare instead of measuring")
    o = p.parse_args()
    check = vars(o).pop("check")
    if check:
        return check_files(check, lambda path: EncoderCase(path, MODULES, o.form))
    if check is not None:
        return check_forms(o)
    return measure(lambda: mega(settings(o)), o)


if __name__ == "__main__":
    sys.exit(main())
