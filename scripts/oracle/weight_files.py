#!/usr/bin/env python3
"""Write the tiny weight files on which the reader of `.pth` and `.safetensors` is tested.

Run:     python3 scripts/oracle/weight_files.py --output tests/fixtures
Needs:   torch, timm, safetensors (see scripts/parity for the versions).
Writes:  weights/*.pth, weights/*.safetensors, and keys/efficientnet_lite0.timm.txt (timm's spelling, in its order).

Every sound file holds the same numbers: `a.weight` [2, 3, 2, 2] = 0, 0.5, 1, ... and `a.bias` [3] = -1, 0.25, 65504,
`steps` = 7 (int64, scalar).
"""

import argparse
import collections
import datetime
import pathlib
import struct
import sys
import types

import numpy
import timm
import torch
from safetensors.torch import save_file


class Refused:
    """Asks the reader to run a command. The command, were it run, would do nothing but print."""

    def __reduce__(self):
        import os

        return (os.system, ("echo this must never run",))


def foreign(module, name, base):
    """A class under the name of another program's, of which a reader has no code."""
    cls = type(name, (base,), {"__module__": module})
    parts = module.split(".")
    for i in range(len(parts)):
        sys.modules.setdefault(".".join(parts[: i + 1]), types.ModuleType(".".join(parts[: i + 1])))
    setattr(sys.modules[module], name, cls)
    return cls


def module_tree():
    """A whole module, as the original YOLOv5 saves one, with the same numbers as everywhere."""
    state = numbers()
    inner = foreign("models.common", "Conv", torch.nn.Module)()
    inner.register_parameter("weight", torch.nn.Parameter(state["a.weight"]))
    inner.register_parameter("bias", torch.nn.Parameter(state["a.bias"], requires_grad=False))
    inner.register_parameter("none", None)
    inner.register_buffer("passing", torch.ones(1), persistent=False)
    inner.stride = torch.tensor([8.0, 16.0])  # an attribute, which no state dict has
    tree = foreign("models.yolo", "DetectionModel", torch.nn.Module)()
    tree.register_buffer("steps", state["steps"])
    tree.a = inner
    tree.list = foreign("models.common", "Rows", torch.nn.Module)()
    tree.names, tree.yaml, tree.save = {0: "cat"}, {"nc": 1}, [4, 6]
    return tree


def objects():
    """What training scripts lay beside the weights: instances of classes that have nothing to do with them."""
    options = argparse.Namespace(lr=0.1, nested=argparse.Namespace(names=["a"]), path=pathlib.PurePosixPath("/x/y"))
    return {
        "best": numpy.float64(0.5),
        "fitness": numpy.arange(3.0),
        "opt": options,
        "date": datetime.datetime(2020, 1, 2),
        "counts": collections.Counter("aab"),
        "queue": collections.deque([1, 2]),
        "kinds": {torch.float16},
        "frozen": frozenset([1]),
        "size": torch.Size([1, 2]),
        "device": torch.device("cpu"),
        "complex": torch.zeros(2, dtype=torch.complex64),
        "big": 1 << 3000,
        "bytes": b"\xff" * 300,
        "own": foreign("somebody.tools", "Settings", dict)(lr=0.1),
        "list": foreign("somebody.tools", "Rows", list)([1, 2]),
    }


def numbers(dtype=torch.float32):
    state = collections.OrderedDict()
    state["a.weight"] = (torch.arange(24, dtype=torch.float32) / 2).reshape(2, 3, 2, 2).to(dtype)
    state["a.bias"] = torch.tensor([-1.0, 0.25, 65504.0]).to(dtype)
    state["steps"] = torch.tensor(7)
    return state


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", required=True, type=pathlib.Path, help="fixture folder")
    folder = parser.parse_args().output / "weights"
    folder.mkdir(parents=True, exist_ok=True)

    def save(name, value, **options):
        torch.save(value, folder / f"{name}.pth", **options)

    legacy = {"_use_new_zipfile_serialization": False}
    save("zip", numbers())
    save("zip_plain_dict", dict(numbers()))
    save("zip_half", numbers(torch.float16))
    save("zip_double", numbers(torch.float64))
    save("zip_protocol4", numbers(), pickle_protocol=4)
    save("legacy", numbers(), **legacy)
    save("legacy_half", numbers(torch.float16), **legacy)
    bfloat = numbers()
    bfloat["a.bias"][2] = 65536.0  # 65504 is not a bfloat16
    save("zip_bfloat16", {k: v.to(torch.bfloat16) if v.is_floating_point() else v for k, v in bfloat.items()})
    last = numbers()
    last["a.weight"] = last["a.weight"].to(memory_format=torch.channels_last)
    save("zip_channels_last", last)
    save("legacy_channels_last", last, **legacy)
    shared = torch.full((40,), 99.0)
    views = numbers()
    shared[4:28] = views["a.weight"].flatten()
    shared[30:33] = views["a.bias"]
    views["a.weight"], views["a.bias"] = shared[4:28].view(2, 3, 2, 2), shared[30:33]
    save("zip_shared_storage", views)
    parameters = numbers()
    for key in ("a.weight", "a.bias"):
        parameters[key] = torch.nn.Parameter(parameters[key])
    save("zip_parameters", parameters)
    save("zip_wrapped", {f"module.{k}": v for k, v in numbers().items()})
    save("zip_compiled_and_wrapped", {f"_orig_mod.module.{k}": v for k, v in numbers().items()})
    save("zip_nested", {"epoch": 3, "best": 0.5, "name": "x", "state_dict": numbers(), "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}})
    save("legacy_nested", {"model": {"state_dict": numbers()}, "epoch": 3}, **legacy)
    save("refused_call", {"a.weight": torch.zeros(1), "x": Refused()})
    save("refused_call_legacy", {"a.weight": torch.zeros(1), "x": Refused()}, **legacy)
    save("zip_module", module_tree())
    save("zip_yolov5", {"epoch": -1, "best_fitness": numpy.float64(0.5), "model": module_tree().half(), "ema": None, **objects()})
    save("zip_parallel", torch.nn.DataParallel(module_tree()))
    for protocol in (2, 4, 5):
        save(f"zip_objects_{protocol}", {**objects(), "state_dict": numbers()}, pickle_protocol=protocol)
    save("no_tensors", {"epoch": 3})
    save_file({k: v.contiguous() for k, v in numbers().items()}, folder / "plain.safetensors", metadata={"fovea": "{}"})
    save_file({k: v.half() if v.is_floating_point() else v for k, v in numbers().items()}, folder / "half.safetensors")

    # Every finite half-precision number class: bits and the float32 they mean.
    halves = [0x0000, 0x8000, 0x0001, 0x03FF, 0x0400, 0x3C00, 0xBC01, 0x7BFF, 0x7C00, 0xFC00, 0x3555]
    tensor = torch.tensor([struct.unpack("<h", struct.pack("<H", h))[0] for h in halves], dtype=torch.int16).view(torch.float16)
    save_file({"half": tensor, "float": tensor.float()}, folder / "halves.safetensors")

    timm_state = timm.create_model("tf_efficientnet_lite0").state_dict()
    lines = [f"{k} {str(v.dtype).removeprefix('torch.')} [{','.join(map(str, v.shape))}]\n" for k, v in timm_state.items()]
    keys = folder.parent / "keys"
    keys.mkdir(exist_ok=True)
    (keys / "efficientnet_lite0.timm.txt").write_text("".join(lines))
    print(f"{len(list(folder.iterdir()))} files")


if __name__ == "__main__":
    main()
