#!/usr/bin/env python3
"""Time of an epoch of training yolov5s, data included, beside the original package's own training.

    scripts/bench/detect_epoch.py --python PYTHON --training TRAIN.jsonl --validation VALIDATION.jsonl

Both start from random weights with the same recipe (scripts/detection_recipes.py): mosaics, scale, shift, colours, SGD, averaged
weights; both cache pictures in memory. They run in turn, in fresh processes; the first epoch of each, which fills the caches, is
left out, and so is validation. Ours runs once as it is (auto: bf16 where the processor has it) and once in fp32; the original's
training runs in fp32 on a processor. PYTHON is an environment with yolov5 7.0.14. Below 1 is faster than the original.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from detection_recipes import YOLO


def ours(args, precision, folder):
    output = folder / precision
    command = [ROOT / "target/release/trainer", "train", "--training_data", args.training, "--validation_data", args.validation,
        *YOLO, "--img_size", args.side, "--number_of_epochs", args.epochs, "--warmup_cosine_lr_warmup_epochs", 1,
        "--export", "none", "--precision", precision, "--threads", args.threads, "--output", output]
    subprocess.run([*map(str, command)], check=True, stdout=subprocess.DEVNULL)
    records = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    return [record["timing"]["seconds"] for record in records]


def theirs(args, data):
    command = [args.python, ROOT / "scripts/bench/detect_epoch_peer.py", data, args.side, 16, args.epochs, args.threads]
    environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads)}
    out = subprocess.run([*map(str, command)], check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
    return json.loads(out.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default="python3")
    parser.add_argument("--training", type=pathlib.Path, required=True)
    parser.add_argument("--validation", type=pathlib.Path, required=True)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    print("| yolov5s, px, batch 16 | arithmetic | ours, s | original, s | ratio, median (min to max) |")
    print("|---|---|---:|---:|---|")
    rows = {"auto": [], "fp32": []}
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        parts = [args.training.resolve(), args.validation.resolve()]
        convert = [ROOT / "target/release/trainer", "convert", "jsonl", *parts, "--to", "yolo", "--output", folder / "yolo"]
        subprocess.run([*map(str, convert)], check=True, stdout=subprocess.DEVNULL)
        listing = folder / "yolo/data.yaml"
        # The original reads a relative path as one of its own folder.
        listing.write_text(listing.read_text().replace("path: .", f"path: {folder / 'yolo'}"))
        for pair in range(args.pairs):
            original = statistics.median(theirs(args, listing)[1:])
            for precision, found in rows.items():
                found.append((statistics.median(ours(args, precision, folder / str(pair))[1:]), original))
    for precision, found in rows.items():
        ratios = [a / b for a, b in found]
        a, b = (statistics.median(column) for column in zip(*found))
        print(f"| {args.side} | {precision} | {a:.1f} | {b:.1f} | {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |")


if __name__ == "__main__":
    main()
