"""What all peers share: flags of sizes, a step of some kind, its time, one JSON line.

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



def options(description, modes=("train", "infer")):
    """A parser of the flags that every peer takes; what a model has no use for it ignores."""
    p = argparse.ArgumentParser(description=description)
    p.add_argument("--mode", choices=modes, default="train")
    numbers = {"length": 4096, "batch": 2, "width": 128, "values": 256, "keys": 64}
    numbers |= {"ffn": 256, "ema": 16, "heads": 4, "layers": 4, "classes": 2, "vocab": 257}
    numbers |= {"kv-heads": 0, "groups": 32, "swiglu": 1, "tokens": 32}
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


def config_of(o, kind, **more):
    """The model's settings, a dataclass, as the flags say."""
    names = {field.name for field in dataclasses.fields(kind)} & vars(o).keys()
    return kind(**{name: getattr(o, name) for name in names} | more)


def peak_rss_mb():
    """The largest resident size of this process so far, in 10^6 bytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


class Classification:
    """Rows of random tokens, none of them padding, and a random class each."""

    def __init__(self, model, o):
        self.o, self.lengths = o, torch.full((o.batch,), o.length)
        self.run = torch.compile(model) if o.compiled else model
        self.tokens = o.batch * o.length  # of a step

    def batch(self):
        tokens = torch.randint(1, self.o.vocab, (self.o.batch, self.o.length))
        return tokens, torch.randint(self.o.classes, (self.o.batch,))

    def loss(self, tokens, target):
        with autocast(self.o):
            logits = self.run(tokens, self.lengths)
        return F.cross_entropy(logits.float(), target, reduction="sum") / self.o.batch


def autocast(o):
    return torch.autocast("cpu", torch.bfloat16, enabled=o.autocast == "bf16")


def stepper(model, task, o):
    """A function of a batch that makes one step and returns the loss."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01, fused=True)

    def train(*batch):
        optimiser.zero_grad()
        loss = task.loss(*batch)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
        optimiser.step()
        return loss.item()

    @torch.inference_mode()
    def infer(*batch):
        return task.loss(*batch).item()

    @torch.inference_mode()
    def generate(*batch):
        return task.generate(*batch)

    model.train(o.mode == "train")
    return {"train": train, "infer": infer, "generate": generate}[o.mode]


def timed(model, task, o):
    """Milliseconds of each measured step, and the last loss; a new batch each, off the clock."""
    step, step_ms = stepper(model, task, o), []
    for _ in range(o.warmup + o.steps):
        batch = task.batch()
        begin = time.perf_counter()
        loss = step(*batch)
        step_ms.append((time.perf_counter() - begin) * 1e3)
    return step_ms[o.warmup :], loss


def reason(error):
    """Why a peer failed, in one line."""
    said = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, MemoryError) or "memory" in said and "alloc" in said:
        return f"out of memory: {said}"[:300]
    return f"{type(error).__name__}: {said}"[:300]


def measure(make, o, task=Classification):
    """Measures the model that `make` makes, prints the JSON line, returns the exit status."""
    import_rss = peak_rss_mb()
    torch.set_num_threads(o.threads)
    torch.manual_seed(1)
    line = {"engine": "torch", "torch": torch.__version__} | vars(o)
    try:
        model = make()
        work = task(model, o)
        step_ms, loss = timed(model, work, o)
    except Exception as error:  # whatever it is, the table is to say so
        print(json.dumps(line | {"failed": reason(error)}))
        return 1
    median = statistics.median(step_ms)
    measured = {
        "step_ms": [round(ms, 3) for ms in step_ms],
        "median_ms": round(median, 3),
        "tokens_per_s": round(work.tokens / median * 1e3, 1),
        "peak_rss_mb": round(peak_rss_mb(), 1),
        "import_rss_mb": round(import_rss, 1),
        "loss": loss,
    }
    print(json.dumps(line | measured))
    return 0
