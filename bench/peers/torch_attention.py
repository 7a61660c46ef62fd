#!/usr/bin/env python3
"""PyTorch's flash attention alone: time and GFLOP/s, one line a case.

Products counted: forward q k and weights v, 4 T T d a head (causal: half of it); both passes
three times that, without what the kernel computes again.
"""

import argparse
import json
import statistics
import time

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel


def timed(run, turns):
    """The median of some turns in milliseconds, after one that warms up."""
    times = []
    for _ in range(turns + 1):
        begin = time.perf_counter()
        run()
        times.append((time.perf_counter() - begin) * 1e3)
    return statistics.median(times[1:])


def measure(o, heads, causal, backward):
    """One case as a dictionary; `failed` says why there is no time."""
    shape = (o.batch, heads, o.length, o.width)
    q, k, v = (torch.randn(shape).requires_grad_(backward) for _ in range(3))
    upstream = torch.randn(shape)

    def run():
        y = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        if backward:
            torch.autograd.grad(y, (q, k, v), upstream)

    case = {"heads": heads, "causal": causal, "pass": "both" if backward else "forward"}
    flops = 4 * o.batch * heads * o.length**2 * o.width
    flops = flops * (0.5 if causal else 1) * (3 if backward else 1)
    try:
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION), torch.set_grad_enabled(backward):
            ms = timed(run, o.turns)
    except RuntimeError as error:
        return case | {"failed": str(error).splitlines()[0]}
    return case | {"ms": round(ms, 3), "gflops": round(flops / ms * 1e-6, 1)}


def options():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    numbers = {"length": 4096, "width": 64, "batch": 1, "threads": 2, "turns": 7}
    for name, number in numbers.items():
        p.add_argument("--" + name, type=int, default=number)
    p.add_argument("--heads", type=int, nargs="+", default=[4, 1])
    p.add_argument("--json", action="store_true", help="one JSON object a line")
    return p.parse_args()


def main():
    o = options()
    torch.set_num_threads(o.threads)
    if not o.json:
        print(f"{o.batch} rows of {o.length} places, heads of {o.width}, {o.threads} threads, "
              "float32\n\n| heads | causal | pass | ms | GFLOP/s |\n|--:|---|---|--:|--:|")
    for heads in o.heads:
        for causal in (False, True):
            for backward in (False, True):
                case = measure(o, heads, causal, backward)
                if o.json:
                    print(json.dumps(case), flush=True)
                    continue
                tail = f"{case['ms']:.2f} | {case['gflops']:.1f}" if "ms" in case else "- | -"
                print(f"| {heads} | {'yes' if causal else 'no'} | {case['pass']} | {tail} |"
                      f" {case.get('failed', '')}".rstrip(), flush=True)


if __name__ == "__main__":
    main()
