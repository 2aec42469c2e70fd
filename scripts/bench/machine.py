"""The machine a measurement runs on: its processor, how busy it is, and which commit of Fovea is measured."""

import datetime
import os
import pathlib
import platform
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What decides which kernels libtorch and ONNX Runtime take, by its name in /proc/cpuinfo.
INSTRUCTION_SETS = {
    "sse4_1": "SSE4.1", "avx": "AVX", "avx2": "AVX2", "fma": "FMA", "avx512f": "AVX-512", "avx512_vnni": "AVX512_VNNI",
    "avx512_bf16": "AVX512_BF16", "amx_bf16": "AMX_BF16",
}
# A measurement beside other work says nothing: this share of all processors may be taken.
ALLOWED_LOAD = 0.25


class Failed(Exception):
    """A measurement could not be made. The message says why, and what to do."""


class Busy(Failed):
    """The machine does other work."""


def cpuinfo(key):
    """The first value of `key` in /proc/cpuinfo; empty where there is none."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.split(":")[0].strip() == key), "")


def processor():
    """The processor's model, with family and model number where its name alone does not tell."""
    name = cpuinfo("model name") or platform.processor() or platform.machine()
    numbers = [cpuinfo("cpu family"), cpuinfo("model")]
    return f"{name} (family {numbers[0]}, model {numbers[1]})" if all(numbers) else name


def instruction_sets():
    flags = set(cpuinfo("flags").split())
    return [name for flag, name in INSTRUCTION_SETS.items() if flag in flags]


def commit():
    """The commit of the working tree, and whether there are changes beside it."""

    def git(*arguments):
        found = subprocess.run(["git", *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        return found.stdout.strip()

    # Records and pages, which a measurement changes itself, make no other program.
    changed = " with changes" if git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs") else ""
    return (git("rev-parse", "--short", "HEAD") or "unknown") + changed


def refuse_when_busy():
    """Raises `Busy` when the load of the last minute says that a measurement would share the processors."""
    load, cores = os.getloadavg()[0], os.cpu_count()
    if load > ALLOWED_LOAD * cores:
        raise Busy(
            f"the load of the last minute is {load:.2f} on {cores} processors, above the limit of {ALLOWED_LOAD * cores:.2f}, so the "
            "numbers would be those of a busy machine. Wait until it has ended, or say --busy: the load is then kept with the numbers"
        )


class OthersUse:
    """How many processors were taken by other processes, on average, between two moments. Our own children do not count."""

    def __init__(self):
        self.start = time.monotonic(), self._busy(), self._own()

    @staticmethod
    def _busy():
        """Processor seconds that were not idle, of the whole machine; None where /proc does not say."""
        try:
            fields = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
        except OSError:
            return None
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields)
        return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")

    @staticmethod
    def _own():
        times = os.times()
        return times.user + times.system + times.children_user + times.children_system

    def processors(self):
        moment, busy, own = self.start
        if busy is None:
            return None
        return round(max(0.0, self._busy() - busy - (self._own() - own)) / max(time.monotonic() - moment, 1e-9), 2)


def describe():
    """What of the machine and the tree belongs to a measurement."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        "started": now.strftime("%Y-%m-%d %H:%M:%S"), "date": now.strftime("%Y-%m-%d"), "commit": commit(),
        "processor": processor(), "cores": os.cpu_count(),
        "instruction_sets": instruction_sets(), "load": round(os.getloadavg()[0], 2),
    }
