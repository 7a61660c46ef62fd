"""Makes the files of this folder with PyTorch (2.x): python make.py, in this folder."""
import argparse
import collections
import sys
import types

import torch

base = torch.arange(24, dtype=torch.float32).reshape(4, 6) / 4


def state():
    """every kind of tensor: types, strides, a view of shared storage, a parameter"""
    d = collections.OrderedDict()
    d["whole"] = base
    d["turned"] = base.t()
    d["part"] = base[1:3, 2:5]
    d["repeated"] = torch.tensor([1.5]).expand(3, 2)
    d["parameter"] = torch.nn.Parameter(torch.tensor([2.0, -2.0]))
    d["empty"] = torch.zeros(0, 3)
    d["one"] = torch.tensor(7.25)
    for name in "float64 float16 bfloat16 int64 int32 int16 int8 uint8 bool".split():
        d[name] = torch.tensor([0, 1, 1], dtype=getattr(torch, name))
    d._metadata = collections.OrderedDict(version=1)
    return d


def module(name, cls):
    """a class that a reader does not have: official arguments objects are such"""
    parts = name.split(".")
    for i in range(len(parts)):
        sys.modules.setdefault(".".join(parts[: i + 1]), types.ModuleType(".".join(parts[: i + 1])))
    setattr(sys.modules[name], cls, type(cls, (), {"__module__": name}))
    return getattr(sys.modules[name], cls)


torch.save(state(), "state.pt")
torch.save(state(), "row.pt", _use_new_zipfile_serialization=False)
for protocol in (3, 4, 5):
    torch.save(state(), f"protocol{protocol}.pt", pickle_protocol=protocol)

args = argparse.Namespace(arch="mega_lra_listop", encoder_layers=6, dropout=0.1, no_save=False, data=None,
                          lrs=[0.001, 2], pair=(1, "a"), big=1 << 80, names={"x"}, raw=b"\x00\xff")
torch.save({"args": args, "model": {"encoder.version": torch.tensor([3.0]), "encoder.w": base},
            "extra_state": {"epoch": 3, "meters": module("fairseq.meters", "AverageMeter")()},
            "last_optimizer_state": {"state": {0: {"exp_avg": base}}}}, "fairseq.pt")
torch.save({"model": {"language_model": {"embedding": {"word": {"weight": base}}}}, "iteration": 5}, "megatron.pt")


class Reduces:
    def __reduce__(self):
        return print, ("never printed",)


torch.save({"w": base, "harm": Reduces()}, "harm.pt")
