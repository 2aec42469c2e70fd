"""What a machine has of what scripts/gpu takes: the card, its driver, PyTorch with its libraries, and programs that fit them."""

import datetime
import json
import os
import pathlib
import platform
import subprocess

from gpu_unit import Unit
from machine import Failed, processor

# Asks the Python of the peers about PyTorch: its version, its folder, and the card that it sees.
PROBE = """import importlib.metadata as m, json, os, torch
import torch.cuda as c
have = [d.metadata["Name"] for d in m.distributions()]
names = [n for n in ("torchvision", "timm", "safetensors", "yolov5", "onnxruntime") if n in have]
print(json.dumps({"torch": torch.__version__, "folder": os.path.dirname(torch.__file__), "cuda": torch.version.cuda,
    "sees": c.get_device_name(0) if c.is_available() else None, "packages": {n: m.version(n) for n in names}}))"""
QUERY = {"card": "name", "driver": "driver_version", "memory": "memory.total", "capability": "compute_cap"}


def card():
    """What nvidia-smi says of the first card; empty where there is none."""
    command = ["nvidia-smi", f"--query-gpu={','.join(QUERY.values())}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    values = [value.strip() for value in done.stdout.split("\n", 1)[0].split(",")]
    return dict(zip(QUERY, values)) if done.returncode == 0 and len(values) == len(QUERY) else {}


def python(program):
    """What the Python of the peers says of PyTorch; empty where it has none."""
    try:
        done = subprocess.run([program, "-c", PROBE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=300)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 and done.stdout else {}


def libraries(asked, named=None):
    """Folders of shared libraries for our programs: libtorch's, and those of NVIDIA's packages beside it."""
    if named:
        return [pathlib.Path(named)]
    if not asked:
        return []
    torch = pathlib.Path(asked["folder"])
    return [torch / "lib", *sorted({file.parent for file in (torch.parent / "nvidia").glob("**/*.so*")})]


def missing(found, asked, manifest, named=None):
    """What is not there, one sentence for each."""
    if not found:
        yield "no NVIDIA card: nvidia-smi does not name one. Units that need one are left out"
    if not asked and not named:
        yield "no PyTorch: --python names the Python that has it (or --libtorch a folder with libtorch's libraries)"
    elif asked and not named and manifest and asked["torch"].split("+")[0] != manifest["torch"]:
        yield (
            f"the programs were built against libtorch {manifest['torch']}, and this Python has PyTorch {asked['torch']}. Name another "
            "with --python, or make a kit for it"
        )
    if asked and found and not asked["sees"]:
        yield f"PyTorch {asked['torch']} (CUDA {asked['cuda']}) does not see the card: its driver {found['driver']} may be too old for it"


def describe(found, asked, manifest):
    """The machine, as the outcomes keep it."""
    return {
        **found, "torch": asked.get("torch", manifest["torch"]), "cuda": asked.get("cuda"), "packages": asked.get("packages", {}),
        "processor": processor() or platform.machine(), "cores": os.cpu_count(),
        "date": datetime.date.today().isoformat(),
    }


def programs(bench):
    """Every program of the kit starts; and what the trainer's libtorch says of CUDA."""
    for name in ("trainer", "exporter", "server"):
        bench.place.run([f"{{programs}}/{name}", "--version"])
    listed = bench.attempt([bench.place.programs / "parity", "--list"])
    tests = sum(line.endswith(": test") for line in listed.splitlines())
    if not tests:
        raise Failed(f"the program of the tests lists none:\n{listed[-600:]}")
    device = bench.place.run(["{programs}/examples/bench", "device"]).answer()
    if bench.card and not device["devices"]:
        raise Failed(f"there is a card, and the programs see none: libtorch's CUDA half {device['library'] or 'was not found'}: {device['refused']}")
    return {"tests": tests, "devices": device["devices"], "library": device["library"]}


def units():
    yield Unit("programs", "the programs start, and see the card", programs, card=False, needs=30)
