"""What all peers share: flags of sizes, a training or inference step, its time, one JSON line.

A peer that fails says why in its JSON line, {"failed": "..."}, and ends with status 1.
"""

import argparse
import dataclasses
import json
import statistics
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from torch_encoder import Config


def options(description):
    """A parser of the flags that every peer takes; what a model has no use for it ignores."""
    p = argparse.ArgumentParser(description=description)
    p.add_argument("--mode", choices=["train", "infer"], default="train")
    numbers = {"length": 4096, "batch": 2, "width": 128, "values": 256, "keys": 64}
    numbers |= {"ffn": 256, "ema": 16, "heads": 4, "layers": 4, "classes": 2, "vocab": 257}
    numbers |= {"threads": 2, "steps": 5, "warmup": 2}
    for name, number in numbers.items():
        p.add_argument("--" + name, type=int, default=number)
    p.add_argument("--chunk", type=int, default=0, help="attention window; 0: the whole length")
    p.add_argument("--truncation", type=int, default=0, help="EMA taps; 0: the whole length")
    norms = ["layernorm", "scalenorm", "rmsnorm", "batchnorm"]
    p.add_argument("--norm", choices=norms, default="scalenorm")
    p.add_argument("--prenorm", type=int, choices=[0, 1], default=0)
    p.add_argument("--attention", choices=["softmax", "laplace", "relu2"], default="softmax")
    p.add_argument("--dropout", type=float, default=0.1)
    p.add_argument("--attention-dropout", type=float, default=0.0, help="on attention weights")
    p.add_argument("--compiled", action="store_true", help="through torch.compile")
    p.add_argument("--autocast", choices=["bf16"], help="products in bfloat16")
    return p


def config_of(o, **more):
    """The model's settings as the flags say."""
    names = {field.name for field in dataclasses.fields(Config)} & vars(o).keys()
    return Config(**{name: getattr(o, name) for name in names}, head_width=o.values, **more)


def peak_rss_mb():
    """The largest resident size of this process so far, in 10^6 bytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


def stepper(model, o):
    """A function of tokens and targets that makes one step and returns the loss."""
    run = torch.compile(model) if o.compiled else model
    lengths = torch.full((o.batch,), o.length)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01, fused=True)

    def loss_of(tokens, target):
        with torch.autocast("cpu", torch.bfloat16, enabled=o.autocast == "bf16"):
            logits = run(tokens, lengths)
        return F.cross_entropy(logits.float(), target, reduction="sum") / o.batch

    def train(tokens, target):
        optimiser.zero_grad()
        loss = loss_of(tokens, target)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
        optimiser.step()
        return loss.item()

    @torch.inference_mode()
    def infer(tokens, target):
        return loss_of(tokens, target).item()

    model.train(o.mode == "train")
    return train if o.mode == "train" else infer


def timed(model, o):
    """Milliseconds of each measured step, and the last loss; a new batch each, off the clock."""
    step, step_ms = stepper(model, o), []
    for _ in range(o.warmup + o.steps):
        tokens = torch.randint(1, o.vocab, (o.batch, o.length))
        target = torch.randint(o.classes, (o.batch,))
        begin = time.perf_counter()
        loss = step(tokens, target)
        step_ms.append((time.perf_counter() - begin) * 1e3)
    return step_ms[o.warmup :], loss


def reason(error):
    """Why a peer failed, in one line."""
    said = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, MemoryError) or "memory" in said and "alloc" in said:
        return f"out of memory: {said}"[:300]
    return f"{type(error).__name__}: {said}"[:300]


def measure(make, o):
    """Measures the model that `make` makes, prints the JSON line, returns the exit status."""
    import_rss = peak_rss_mb()
    torch.set_num_threads(o.threads)
    torch.manual_seed(1)
    line = {"engine": "torch", "torch": torch.__version__} | vars(o)
    try:
        step_ms, loss = timed(make(), o)
    except Exception as error:  # whatever it is, the table is to say so
        print(json.dumps(line | {"failed": reason(error)}))
        return 1
    median = statistics.median(step_ms)
    measured = {
        "step_ms": [round(ms, 3) for ms in step_ms],
        "median_ms": round(median, 3),
        "tokens_per_s": round(o.batch * o.length / median * 1e3, 1),
        "peak_rss_mb": round(peak_rss_mb(), 1),
        "import_rss_mb": round(import_rss, 1),
        "loss": loss,
    }
    print(json.dumps(line | measured))
    return 0
