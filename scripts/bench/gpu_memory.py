"""Memory of the host and of the card over a training, as scripts/gpu reads it from outside."""

import statistics
import subprocess
import time

from gpu_bench import epochs, tail
from gpu_unit import Unit
from machine import Failed
from memory import resident

# What a training may grow by from its first half to its second, in MiB: an allocator's blocks come and go.
ALLOWED = {"host": 64, "card": 16}
STEPS = 200


def of_card():
    """MiB in use on the first card; None where nvidia-smi does not say."""
    command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    first = done.stdout.split("\n", 1)[0].strip()
    return float(first) if done.returncode == 0 and first.replace(".", "", 1).isdigit() else None


def readings(process, run, card, limit, pause=0.1):
    """MiB of the host and of the card while a training runs, from the end of its first epoch on, when its caches are full."""
    found, until = {"host": [], **({"card": []} if card else {})}, time.monotonic() + limit
    while process.poll() is None:
        if time.monotonic() > until:
            raise Failed(f"the training did not end within {limit:.0f} s")
        if epochs(run):
            for name, read in [("host", lambda: resident(process)), ("card", of_card)]:
                value = read() if name in found else None
                if value is not None:
                    found[name].append(value)
        time.sleep(pause)
    return found


def growth(values):
    """By how much the second half of the readings lies above the first: the difference of their medians."""
    half = len(values) // 2
    return statistics.median(values[half:]) - statistics.median(values[:half])


def judged(found):
    """Facts of readings; raises `Failed` where memory grows, or was not seen."""
    facts = {}
    for name, values in found.items():
        if len(values) < 8:
            raise Failed(f"memory of the {name} was read {len(values)} times only; the training was too short for it")
        facts[f"{name}, MiB"], facts[f"{name}, growth in MiB"] = round(statistics.median(values), 1), round(growth(values), 1)
    grown = [name for name in found if facts[f"{name}, growth in MiB"] > ALLOWED[name]]
    if grown:
        raise Failed(f"memory of the {grown[0]} grows: {facts}; {ALLOWED[grown[0]]} MiB are allowed")
    return facts


def steps(task):
    """200 steps of a training with its loader, in five epochs."""

    def run(bench):
        folder = bench.folder(f"memory-{task}")
        batch, count = (4, 24) if bench.rehearses else (8, round(STEPS * 8 / 5 / 0.7))
        command = bench.command(task, folder / "run", number_of_epochs=5, training_batch_size=batch, count=count)
        log = folder / "log"
        process = bench.process(command, log)
        try:
            found = readings(process, folder / "run", bench.card, bench.place.remaining() or 600)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
        if process.returncode:
            raise Failed(f"the training ended with exit code {process.returncode}: {tail(log)}")
        return {"steps": epochs(folder / "run")[-1]["updates"], **judged(found)}

    return run


def units():
    for task in ("classification", "yolov5", "fasterrcnn"):
        yield Unit(f"memory/{task}", f"{task}: memory over {STEPS} steps", steps(task), needs=150)
