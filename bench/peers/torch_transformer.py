#!/usr/bin/env python3
"""The Transformer for long-range classification in PyTorch: a peer of mega bench models.

    torch_transformer.py --mode train ...      measure steps, print one JSON line

Full attention by scaled_dot_product_attention. On the CPU its flash kernel runs without
dropout on the weights (--attention-dropout 0, the default); with it the weights are
materialised. Positions are learned; embedding, feed-forward, head and pooling are Mega's.

Shapes: L steps, B rows, D width, H heads; activations are (L, B, D).
"""

import sys

import torch.nn.functional as F
from torch import nn

from torch_encoder import Classifier, Config, FeedForward, Norm, projection
from torch_measure import config_of, measure, options


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.norm = Norm(c)
        self.qkv_proj = projection(c.width, 3 * c.width)
        self.out_proj = projection(c.width, c.width)

    def forward(self, x, padding):
        c = self.c
        t = self.norm(x) if c.prenorm else x
        # (L, B, 3, H, D/H) to three of (B, H, L, D/H)
        heads = self.qkv_proj(t).unflatten(-1, (3, c.heads, -1))
        q, k, v = heads.permute(2, 1, 3, 0, 4).unbind(0)
        seen = None if padding is None else ~padding[:, None, None, :]
        dropout = c.attention_dropout if self.training else 0.0
        o = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, dropout_p=dropout)
        t = self.out_proj(o.permute(2, 0, 1, 3).flatten(2))
        t = F.dropout(t, c.dropout, self.training)
        return t + x if c.prenorm else self.norm(t + x)


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.attention = Attention(c)
        self.ffn = FeedForward(c) if c.ffn > 0 else nn.Identity()

    def forward(self, x, padding):
        return self.ffn(self.attention(x, padding))


def main():
    o = options(__doc__.splitlines()[0]).parse_args()
    # the window of Mega has no meaning here
    o.chunk = 0
    more = {"positions": o.length, "activation": "gelu", "head_width": o.values}
    return measure(lambda: Classifier(config_of(o, Config, **more), Layer), o)


if __name__ == "__main__":
    sys.exit(main())
