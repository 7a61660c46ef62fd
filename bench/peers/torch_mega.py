#!/usr/bin/env python3
"""Mega for long-range classification in plain PyTorch: the peer that bench/run measures.

    torch_mega.py --check FILE...     hold outputs and gradients to reference cases
    torch_mega.py --mode train ...    measure steps, print one JSON line

Shapes: L steps, B rows, D width, E values, S keys, N EMA states, C chunk, K chunks.
Inside the stack activations are (L, B, D); state-dict names are the official ones.
"""

import argparse
import dataclasses
import json
import math
import statistics
import struct
import sys
import time
from pathlib import Path

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
    pooling: str = "mean"
    pixels: bool = False  # input is real numbers, not tokens
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


class Ema(nn.Module):
    """Damped moving average of every channel as a convolution by FFT, in one or two directions.

    kernel[r, t] = sqrt(1/N) sum_n gamma p beta q^t
    p = sigmoid(delta), q = 1 - p sigmoid(alpha)
    """

    def __init__(self, c):
        super().__init__()
        rows = c.width * (2 if c.two_way else 1)
        self.delta = nn.Parameter(torch.randn(rows, c.ema, 1) * 0.2)
        self.alpha = nn.Parameter(torch.randn(rows, c.ema, 1) * 0.2)
        signs = torch.tensor([1.0, -1.0]).repeat(c.ema)[: c.ema, None]
        self.beta = nn.Parameter(torch.randn(rows, c.ema, 1) * 0.02 + signs)
        self.gamma = nn.Parameter(torch.randn(rows, c.ema))
        self.omega = nn.Parameter(torch.randn(c.width))
        self.two_way, self.truncation = c.two_way, c.truncation
        self.scale = math.sqrt(1.0 / c.ema)
        self.kept = None

    def kernel(self, length):
        taps = min(length, self.truncation or length)
        # fixed weights give a fixed kernel: keep it until the next training step
        if not self.training and self.kept is not None and self.kept.shape[1] == taps:
            return self.kept
        p = torch.sigmoid(self.delta)
        log_q = torch.log1p(-p * torch.sigmoid(self.alpha))
        powers = torch.exp(log_q * torch.arange(taps, dtype=log_q.dtype))
        weights = (p * self.beta).squeeze(-1) * self.gamma * self.scale
        kernel = torch.bmm(weights.unsqueeze(1), powers).squeeze(1)
        self.kept = None if self.training else kernel
        return kernel

    def forward(self, x, padding):
        length = x.shape[0]
        kernel = self.kernel(length)
        taps = kernel.shape[1]
        # a cyclic convolution of this length leaves room for both directions
        size = 1 << (length + taps - 2).bit_length()
        if self.two_way:
            past, future = kernel.chunk(2)
            gap = kernel.new_zeros(past.shape[0], size - 2 * taps + 1)
            first = past[:, :1] + future[:, :1]
            kernel = torch.cat([first, past[:, 1:], gap, future[:, 1:].flip(1)], 1)
        spectrum = torch.fft.rfft(zeroed(x, padding).permute(1, 2, 0), n=size)
        spectrum = spectrum * torch.fft.rfft(kernel, n=size)
        y = torch.fft.irfft(spectrum, n=size)[..., :length]
        return F.silu(y.permute(2, 0, 1) + x * self.omega)


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
        self.move = Ema(c)
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


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.mega_layer = GatedAttention(c)
        self.nffn = FeedForward(c) if c.ffn > 0 else nn.Identity()

    def forward(self, x, padding):
        return self.nffn(self.mega_layer(x, padding))


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

    def __init__(self, c):
        super().__init__()
        self.c = c
        self.embed_tokens = PixelEmbedding(c) if c.pixels else TokenEmbedding(c)
        self.embed_norm = Norm(c) if c.embed_norm else nn.Identity()
        self.layers = nn.ModuleList(Layer(c) for _ in range(c.layers))
        self.final_norm = Norm(c) if c.prenorm else nn.Identity()

    def forward(self, tokens, lengths):
        c, padding = self.c, None
        if not c.pixels:
            length = tokens.shape[1]
            if 0 < c.chunk < length:
                tokens = F.pad(tokens, (0, -length % c.chunk), value=c.pad)
            padding = tokens == c.pad
            padding = padding if padding.any() else None

        x = self.embed_norm(self.embed_tokens(tokens).transpose(0, 1))
        x = F.dropout(x, c.dropout, self.training)
        x = zeroed(x, padding)
        for layer in self.layers:
            x = layer(x, padding)
        x = zeroed(self.final_norm(x), padding)
        return x[0] if c.pooling == "cls" else x.sum(0) / lengths.unsqueeze(1)


class Mega(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        # the official model wraps its encoder once more, hence `encoder.encoder.`
        self.encoder = nn.ModuleDict({"encoder": Encoder(c)})
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


# --- reference cases -----------------------------------------------------------------------

# official class names
MODULES = {
    "MultiHeadEMA": Ema,
    "MovingAverageGatedAttention": GatedAttention,
    "MegaSentenceEncoderLayer": Layer,
    "LRAModel": Mega,
    "LRAModel+LRACrossEntropyCriterion": Mega,
}


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

        model = MODULES[self.module](self.config())
        own = model.state_dict().items()
        counts = {name: t for name, t in own if name.endswith("num_batches_tracked")}
        model.load_state_dict(counts | self.of_kind("param."))
        model.train(self.flag("training", default="True"))

        if isinstance(model, Mega):
            names = ("src_tokens", "src_lengths", "src1_tokens", "src1_lengths")
            logits = model(*(inputs.get(name) for name in names))
            loss = F.cross_entropy(logits.float(), inputs["target"], reduction="sum")
            outputs = {"y": loss if inputs["cotangent"].dim() == 0 else logits, "loss": loss}
        else:
            causal = {"causal": True} if self.flag("causal_mask") else {}
            outputs = {"y": model(inputs["x"], inputs.get("padding_mask"), **causal)}
        (outputs["y"] * inputs["cotangent"]).sum().backward()
        return model, inputs, outputs

    def check(self):
        """Of each tensor compared the error as a share of what is allowed."""
        model, inputs, outputs = self.run()
        outputs.update(model.named_buffers())
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
            elif name in got:
                shares[name] = miss(got[name], want, *out_rule)
        return shares


def miss(got, want, tolerance, floor):
    """The largest difference as a share of what is allowed; infinite if there is no number."""
    if got is None or got.shape != want.shape or not torch.isfinite(got).all():
        return math.inf
    allowed = tolerance * max(want.abs().max().item(), floor)
    return (got.double() - want.double()).abs().max().item() / allowed


def check_files(paths):
    failed = skipped = 0
    for path in paths:
        case, name = Case(path), Path(path).name
        if case.module not in MODULES:
            print(f"skip  {name}: this model has no {case.module}")
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


# --- measuring -----------------------------------------------------------------------------


def peak_rss_mb():
    """The largest resident size of this process so far, in 10^6 bytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


def measure(o):
    import_rss = peak_rss_mb()
    torch.set_num_threads(o.threads)
    torch.manual_seed(1)
    chosen = {field.name for field in dataclasses.fields(Config)} & vars(o).keys()
    config = Config(**{name: getattr(o, name) for name in chosen})
    config.max_positions = o.chunk or o.length
    config.head_width = o.values
    model = Mega(config)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01, fused=True)
    run = torch.compile(model) if o.compile else model
    lengths = torch.full((o.batch,), o.length)

    def train_step(tokens, target):
        optimiser.zero_grad()
        loss = F.cross_entropy(run(tokens, lengths), target, reduction="sum") / o.batch
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
        optimiser.step()
        return loss.item()

    @torch.inference_mode()
    def infer_step(tokens, target):
        return F.cross_entropy(run(tokens, lengths), target).item()

    model.train(o.mode == "train")
    step = train_step if o.mode == "train" else infer_step
    step_ms = []
    for _ in range(o.warmup + o.steps):
        tokens = torch.randint(1, o.vocab, (o.batch, o.length))
        target = torch.randint(o.classes, (o.batch,))
        begin = time.perf_counter()
        loss = step(tokens, target)
        step_ms.append((time.perf_counter() - begin) * 1e3)

    step_ms = step_ms[o.warmup :]
    median = statistics.median(step_ms)
    settings = {name: value for name, value in vars(o).items() if name != "check"}
    measured = {
        "step_ms": [round(ms, 3) for ms in step_ms],
        "median_ms": round(median, 3),
        "tokens_per_s": round(o.batch * o.length / median * 1e3, 1),
        "peak_rss_mb": round(peak_rss_mb(), 1),
        "import_rss_mb": round(import_rss, 1),
        "loss": loss,
    }
    print(json.dumps({"engine": "torch", "torch": torch.__version__} | settings | measured))
    return 0


def options():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--check", nargs="+", metavar="FILE", help="reference cases to hold to")
    p.add_argument("--mode", choices=["train", "infer"], default="train")
    p.add_argument("--length", type=int, default=4096)
    p.add_argument("--batch", type=int, default=2)
    p.add_argument("--chunk", type=int, default=0, help="attention window; 0: the whole length")
    p.add_argument("--truncation", type=int, default=0, help="EMA taps; 0: the whole length")
    numbers = {"width": 128, "values": 256, "keys": 64, "ffn": 256, "ema": 16, "layers": 4}
    numbers |= {"classes": 2, "vocab": 257, "threads": 2, "steps": 5, "warmup": 2}
    for name, number in numbers.items():
        p.add_argument("--" + name, type=int, default=number)
    norms = ["layernorm", "scalenorm", "rmsnorm", "batchnorm"]
    p.add_argument("--norm", choices=norms, default="scalenorm")
    p.add_argument("--prenorm", type=int, choices=[0, 1], default=0)
    p.add_argument("--attention", choices=["softmax", "laplace", "relu2"], default="softmax")
    p.add_argument("--dropout", type=float, default=0.1)
    p.add_argument("--compile", action="store_true", help="through torch.compile")
    return p.parse_args()


if __name__ == "__main__":
    chosen = options()
    sys.exit(check_files(chosen.check) if chosen.check else measure(chosen))
