#!/usr/bin/env python3
"""Compare fixtures that were made anew with the committed ones.

Run:     python3 scripts/oracle/compare.py tests/fixtures FOLDER
Exits 1 and names what differs. Key lists and operator cases have to be equal; the numbers in forward/ and
detection_losses.json may differ by what another processor's order of summation makes of them; weight files that are not
equal are read and compared, because PyTorch's old format holds memory addresses.
"""

import json
import pathlib
import sys

import numpy
import torch
from safetensors.torch import load_file

# Relative to max(1, |value|) for logits, to max(norm, total / 1000) for gradients.
LOGITS, STEP = 5e-6, 1e-6
# Relative to the value, and to the norm for gradients, which are partly in single precision.
LOSS = 5e-6


def forward(name, old, new):
    old, new = json.loads(old.read_text()), json.loads(new.read_text())
    for a, b in zip(old["eval"], new["eval"], strict=True):
        x, y = numpy.array(a["logits"]), numpy.array(b["logits"])
        worst = float((abs(x - y) / numpy.maximum(1, abs(x))).max())
        if not worst <= LOGITS:
            yield f"{name}: logits of {a['input']} differ by {worst:.2g}"
    a, b = old["train"], new["train"]
    if not abs(a["loss"] - b["loss"]) <= STEP * abs(a["loss"]):
        yield f"{name}: loss {a['loss']} and {b['loss']}"
    for part in ("gradients", "buffers"):
        if list(a[part]) != list(b[part]):
            yield f"{name}: keys of {part} differ"
            continue
        total = sum(norm * norm for norm, _ in a[part].values()) ** 0.5
        for key, (norm, probe) in a[part].items():
            scale = max(norm, total / 1000)
            worst = max(abs(norm - b[part][key][0]), abs(probe - b[part][key][1])) / scale
            if not worst <= STEP:
                yield f"{name}: {part} of {key} differ by {worst:.2g}"


def numbers(place, old, new):
    """Trees of numbers; of a pair [norm, probe] both are measured by the norm."""
    if isinstance(old, dict) and isinstance(new, dict) and list(old) == list(new):
        for key in old:
            yield from numbers(f"{place} {key}", old[key], new[key])
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pair = len(old) == 2 and all(isinstance(v, float) for v in old)
        for i, (a, b) in enumerate(zip(old, new)):
            if not pair:
                yield from numbers(f"{place} {i}", a, b)
            elif not abs(a - b) <= LOSS * abs(old[0]):
                yield f"{place}: {old} and {new}"
    elif isinstance(old, float) and isinstance(new, float):
        if not abs(old - new) <= LOSS * abs(old):
            yield f"{place}: {old} and {new}"
    elif old != new:
        yield f"{place}: {str(old)[:40]} and {str(new)[:40]}"


def detections(name, old, new):
    old, new = json.loads(old.read_text()), json.loads(new.read_text())
    for a, b in zip(old["cases"], new["cases"], strict=True):
        what = f"{name}: {a['input']}, {a['classes']} classes"
        if list(a["raw"]) != list(b["raw"]) or [len(d) for d in a["detections"]] != [len(d) for d in b["detections"]]:
            yield f"{what}: other outputs or another number of detections"
            continue
        for key, (norm, probe) in a["raw"].items():
            worst = max(abs(norm - b["raw"][key][0]), abs(probe - b["raw"][key][1])) / norm
            if not worst <= LOGITS:
                yield f"{what}: {key} differs by {worst:.2g}"
        for x, y in zip(a["detections"], b["detections"], strict=True):
            x, y = (numpy.array(sorted(d)).reshape(-1, 6) for d in (x, y))
            if not (abs(x - y) <= [0, 1e-5, 1e-3, 1e-3, 1e-3, 1e-3]).all():
                yield f"{what}: detections differ by {abs(x - y).max():.2g}"


def weights(path):
    if path.suffix == ".safetensors":
        return load_file(path)
    if path.name.startswith(("refused", "no_tensors")):
        return {}
    state = torch.load(path, weights_only=True)
    while "a.weight" not in state and any(k in state for k in ("model", "state_dict")):
        state = state.get("model", state.get("state_dict"))
    return state


def differences(old, new):
    for path in sorted(new.rglob("*")):
        if path.is_dir():
            continue
        name = str(path.relative_to(new))
        committed = old / name
        if not committed.is_file():
            yield f"{name}: not committed"
        elif name.startswith("forward/"):
            yield from forward(name, committed, path)
        elif name == "detection_losses.json":
            yield from numbers(name, *(json.loads(p.read_text())["cases"] for p in (committed, path)))
        elif name.startswith("detect_forward/"):
            yield from detections(name, committed, path)
        elif committed.read_bytes() == path.read_bytes():
            continue
        elif name.startswith("weights/"):
            a, b = weights(committed), weights(path)
            if list(a) != list(b) or not all(torch.equal(a[k], b[k]) and a[k].dtype == b[k].dtype for k in a):
                yield f"{name}: tensors differ"
        else:
            yield f"{name}: differs"
    for folder in (p for p in new.iterdir() if p.is_dir()):
        # YOLOv5's oracle is not in every environment.
        optional = "yolov5_" if not list(folder.glob("yolov5_*")) else None
        for path in sorted((old / folder.name).rglob("*")):
            if optional and path.name.startswith(optional):
                continue
            if path.is_file() and not (folder / path.relative_to(old / folder.name)).is_file():
                yield f"{path.relative_to(old)}: committed, but not made"


def main():
    found = list(differences(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))
    for line in found:
        print(line)
    print(f"compare: {len(found)} differences")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
