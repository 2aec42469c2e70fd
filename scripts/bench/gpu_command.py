"""The command scripts/gpu: which units there are, what they are run with, and what the command ends with."""

import argparse
import json
import os
import pathlib
import sys
import tarfile
import tempfile
import time

import gpu_cases
import gpu_checks
import gpu_environment
import gpu_memory
import gpu_page
import gpu_serving
from gpu_bench import Bench
from gpu_unit import FAILED, Outcomes, run_all, selected
from machine import ROOT, Failed
from place import Place

DONE, WRONG, USAGE, NO_CARD, AGAIN = 0, 1, 2, 3, 75
PACKED = "packed.tar.xz"
# Seconds that a unit may take beyond the time that was given.
GRACE = 30
PAGE, RECORDS = ROOT / "docs/gpu.md", ROOT / "docs/records/gpu.json"


def all_units():
    """Every unit, in the order in which a short time with a card is best spent."""
    return [
        *gpu_environment.units(), *gpu_checks.units(), *gpu_cases.units(), *gpu_memory.units(), *gpu_serving.units(),
    ]


def arguments(documentation, given):
    made = argparse.ArgumentParser(prog="gpu", description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--kit", type=pathlib.Path, default=ROOT if (ROOT / "manifest.json").exists() else ROOT / "gpu-kit", help="what scripts/gpu-kit made [gpu-kit]")
    made.add_argument("--json", type=pathlib.Path, help="file of the outcomes [gpu.json; gpu-rehearsal.json with --device cpu]")
    made.add_argument("--only", default="", metavar="UNIT,...", help="units by name, or by the beginning of names")
    made.add_argument("--device", default="cuda:0", help="cpu rehearses everything with small models and images [cuda:0]")
    made.add_argument("--python", default="python3", help="the Python that has PyTorch, and the peers [python3]")
    made.add_argument("--onnxruntime", type=pathlib.Path, help="folder with ONNX Runtime's wheel for CUDA, or its parts, for the server [onnxruntime-gpu of the kit]")
    made.add_argument("--libtorch", type=pathlib.Path, help="folder of libtorch's libraries, where the Python has none")
    made.add_argument("--minutes", type=float, default=9, help="no unit is begun that may take longer than what is left of it [9]")
    made.add_argument("--again", action="store_true", help="run units that have an outcome already, too")
    made.add_argument("--list", action="store_true", help="name all units and end")
    made.add_argument("--page", action="store_true", help="put the tables of --json [docs/records/gpu.json] into docs/gpu.md and end")
    made.add_argument("--check", action="store_true", help="end with 1 where docs/gpu.md says something else, and end")
    return made.parse_args(given)


def published(path, check):
    """Writes the tables of the outcomes into the page, or says whether they stand there."""
    text = PAGE.read_text(encoding="utf-8")
    made = gpu_page.filled(text, gpu_page.tables(all_units(), Outcomes(path)))
    if check:
        print(f"docs/gpu.md {'says' if made == text else 'does not say'} what {path.name} says")
        return DONE if made == text else WRONG
    PAGE.write_text(made, encoding="utf-8")
    print("docs/gpu.md is written")
    return DONE


def unpacked(kit, folder):
    """The kit's programs and files in a folder of their own."""
    path = folder / "kit"
    with tarfile.open(kit / PACKED) as archive:
        # Of later versions of Python, which warn without it.
        archive.extractall(path, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    return path


def bench(args, folder, machine, manifest):
    """What the units work with. `machine` is the card and what the Python says."""
    found, asked = machine
    kit = unpacked(args.kit.resolve(), folder)
    folders = gpu_environment.libraries(asked, args.libtorch)
    path = ":".join([*map(str, folders), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])])
    environment = {
        **({"LD_LIBRARY_PATH": path} if path else {}), "FOVEA_ONNXRUNTIME": str(kit / "onnxruntime"), "FOVEA_FIXTURES": str(kit / "fixtures"),
        "FOVEA_DEVICE": args.device, "FOVEA_OFFLINE": "1",
        # The programs see to it themselves; the tests do not open ONNX Runtime without it.
        "ORT_DISABLE_TELEMETRY": "1",
    }
    peers = kit / "peers"
    if peers.exists():
        # The peers' packages come last: what the Python has itself is what was measured elsewhere too.
        os.environ["PYTHONPATH"] = ":".join(filter(None, [os.environ.get("PYTHONPATH"), str(peers)]))
    # What runs when the time is over gets a little more, and is then ended.
    deadline = time.monotonic() + 60 * args.minutes + GRACE
    place = Place(folder, kit / "data", args.python, programs=kit / "programs", environment=environment, deadline=deadline)
    return Bench(place, args.device, kit, args.onnxruntime or args.kit / "onnxruntime-gpu", manifest["commit"], found)


def read_manifest(kit):
    """What the kit says of itself; empty where there is none."""
    path = kit / "manifest.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def run(args):
    units = all_units()
    if args.list:
        print("\n".join(f"{unit.name:44} {unit.title}" for unit in units))
        return DONE
    if args.page or args.check:
        return published(args.json or RECORDS, args.check)
    chosen = selected(units, [name for name in args.only.split(",") if name])
    deadline = time.monotonic() + 60 * args.minutes
    rehearses = args.device == "cpu"
    manifest = read_manifest(args.kit)
    found, asked = gpu_environment.card(), gpu_environment.python(args.python)
    lacking = list(gpu_environment.missing(found, asked, manifest, args.libtorch))
    print("\n".join([f"card: {found.get('card', 'none')}", *(f"missing: {one}" for one in lacking)]), flush=True)
    if not manifest:
        print(f"missing: no kit in {args.kit}: scripts/gpu-kit makes one, --kit names its folder")
        return USAGE if found or rehearses else NO_CARD
    outcomes = Outcomes(args.json or pathlib.Path("gpu-rehearsal.json" if rehearses else "gpu.json"))
    outcomes.belong_to({"device": args.device, **gpu_environment.describe({} if rehearses else found, asked, manifest)})
    if not args.again:
        chosen = [unit for unit in chosen if not settled(outcomes.of(unit.name))]
    with tempfile.TemporaryDirectory() as folder:
        ready = bench(args, pathlib.Path(folder), (found, asked), manifest)
        left = run_all(chosen, ready, outcomes, deadline, lambda text: print(text, flush=True))
    return concluded(outcomes, left, found or rehearses)


def settled(found):
    """Whether a unit has an outcome that stands: what was left out for want of something is tried again."""
    return found is not None and found["status"] != "skipped"


def concluded(outcomes, left, had_card):
    """Says what there is to do next. Returns the exit code."""
    failed = [one["unit"] for one in outcomes.units if one["status"] == FAILED]
    skipped = [one["unit"] for one in outcomes.units if one["status"] == "skipped"]
    print(f"\n{len(outcomes.units)} outcomes are in {outcomes.path}: {len(failed)} failed, {len(skipped)} left out")
    if failed:
        print(f"failed: {', '.join(failed)}")
    if left:
        print(f"no time was left for {', '.join(unit.name for unit in left)}: start the same command again, it goes on there")
        return AGAIN
    if not had_card:
        print("there is no card: everything that needs none has been run. Start the same command on a machine that has one")
        return NO_CARD
    return WRONG if failed else DONE


def main(documentation):
    try:
        return run(arguments(documentation, sys.argv[1:]))
    except Failed as error:
        print(f"gpu: {error}", file=sys.stderr)
        return USAGE
