"""An encoder of long rows with a classifier on top, whatever its layers are: what the peers share.

Shapes: L steps, B rows, D width. Inside the stack activations are (L, B, D); state-dict names
are those of the official code.
"""

import dataclasses

import torch
import torch.nn.functional as F
from torch import nn

ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu, "silu": F.silu, "linear": lambda x: x}
ACTIVATIONS["gelu_accurate"] = lambda x: F.gelu(x, approximate="tanh")


@dataclasses.dataclass
class Config:
    width: int
    values: int
    keys: int
    ffn: int
    ema: int
    layers: int = 1
    classes: int = 2
    vocab: int = 257
    chunk: int = 0  # 0: the whole sequence is one window
    truncation: int = 0  # EMA taps; 0: as many as the sequence is long
    form: str = "complex"  # how the EMA is computed
    heads: int = 1
    max_positions: int = 0  # longest window of the simple bias
    norm: str = "layernorm"
    affine: bool = True
    prenorm: bool = False
    embed_norm: bool = False
    attention: str = "softmax"
    activation: str = "silu"
    bias: str = "simple"
    two_way: bool = True
    dropout: float = 0.0
    attention_dropout: float = 0.0
    pooling: str = "mean"
    pixels: bool = False  # input is real numbers, not tokens
    positions: int = 0  # learned, so many; 0: none
    texts: int = 1
    head_layers: int = 1
    head_width: int = 0
    pad: int = 0


class GainNorm(nn.Module):
    """x over the root of its mean square; one gain (`scalar`) or one a channel (`weight`)."""

    def __init__(self, name, size, affine):
        super().__init__()
        self.register_parameter(name, nn.Parameter(torch.ones(size)) if affine else None)
        self.name = name

    def forward(self, x):
        gain = getattr(self, self.name)
        scale = torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5)
        return (x if gain is None else gain * x) * scale


class Norm(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.over_batch = c.norm == "batchnorm"
        self.norm = {
            "layernorm": lambda: nn.LayerNorm(c.width, elementwise_affine=c.affine),
            "batchnorm": lambda: nn.BatchNorm1d(c.width, affine=c.affine),
            "scalenorm": lambda: GainNorm("scalar", 1, c.affine),
            "rmsnorm": lambda: GainNorm("weight", c.width, c.affine),
        }[c.norm]()

    def forward(self, x):
        if self.over_batch:
            return self.norm(x.permute(1, 2, 0)).permute(2, 0, 1)
        return self.norm(x)


def zeroed(x, padding):
    """x (L, B, D) with zeros where padding (B, L) is true."""
    return x if padding is None else x.masked_fill(padding.t().unsqueeze(-1), 0.0)


def projection(fan_in, fan_out):
    linear = nn.Linear(fan_in, fan_out)
    nn.init.normal_(linear.weight, std=0.02)
    nn.init.zeros_(linear.bias)
    return linear


class FeedForward(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.norm = Norm(c)
        self.fc1 = projection(c.width, c.ffn)
        self.fc2 = projection(c.ffn, c.width)
        self.act = ACTIVATIONS[c.activation]

    def forward(self, x):
        t = self.norm(x) if self.c.prenorm else x
        t = F.dropout(self.fc2(self.act(self.fc1(t))), self.c.dropout, self.training)
        return t + x if self.c.prenorm else self.norm(t + x)


class TokenEmbedding(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.embed = nn.Embedding(c.vocab, c.width, padding_idx=c.pad)
        nn.init.normal_(self.embed.weight, std=c.width**-0.5)

    def forward(self, tokens):
        return self.embed(tokens)


class PixelEmbedding(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(c.width))
        self.bias = nn.Parameter(torch.randn(c.width) * 0.1)

    def forward(self, pixels):
        return pixels.unsqueeze(-1) * self.weight + self.bias


class Encoder(nn.Module):
    """(B, L) tokens or pixels to one vector a row, (B, D)."""

    def __init__(self, c, layer):
        super().__init__()
        self.c = c
        self.embed_tokens = PixelEmbedding(c) if c.pixels else TokenEmbedding(c)
        if c.positions:
            self.embed_positions = nn.Parameter(torch.randn(c.positions, 1, c.width) * 0.02)
        self.embed_norm = Norm(c) if c.embed_norm else nn.Identity()
        self.layers = nn.ModuleList(layer(c) for _ in range(c.layers))
        self.final_norm = Norm(c) if c.prenorm else nn.Identity()

    def forward(self, tokens, lengths):
        c, padding = self.c, None
        if not c.pixels:
            length = tokens.shape[1]
            if 0 < c.chunk < length:
                tokens = F.pad(tokens, (0, -length % c.chunk), value=c.pad)
            padding = tokens == c.pad
            padding = padding if padding.any() else None

        x = self.embed_tokens(tokens).transpose(0, 1)
        if c.positions:
            x = x + self.embed_positions[: x.shape[0]]
        x = self.embed_norm(x)
        x = F.dropout(x, c.dropout, self.training)
        x = zeroed(x, padding)
        for layer in self.layers:
            x = layer(x, padding)
        x = zeroed(self.final_norm(x), padding)
        return x[0] if c.pooling == "cls" else x.sum(0) / lengths.unsqueeze(1)


class Classifier(nn.Module):
    def __init__(self, c, layer):
        super().__init__()
        # the official model wraps its encoder once more, hence `encoder.encoder.`
        self.encoder = nn.ModuleDict({"encoder": Encoder(c, layer)})
        size = c.width * c.texts
        self.classifier = nn.ModuleList()
        for _ in range(c.head_layers):
            linear = nn.Linear(size, c.head_width)
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)
            self.classifier.append(nn.Sequential(linear, nn.Dropout(c.dropout)))
            size = c.head_width
        self.sentence_projection_layer = nn.Linear(size, c.classes, bias=False)
        nn.init.xavier_uniform_(self.sentence_projection_layer.weight)

    def forward(self, tokens, lengths, tokens1=None, lengths1=None):
        """Logits (B, classes). Of two texts the second comes first in the head's input."""
        encode = self.encoder["encoder"]
        x = encode(tokens, lengths)
        if tokens1 is not None:
            x = torch.cat([encode(tokens1, lengths1), x], 1)
        for layer in self.classifier:
            x = F.gelu(layer(x))
        return self.sentence_projection_layer(x)
