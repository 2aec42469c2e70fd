#!/usr/bin/env python3
"""Evaluation of Fovea's detectors beside the PyTorch originals: images a second from files to the COCO numbers.

    scripts/bench/detect_eval.py --python PYTHON --data VALIDATION.jsonl \\
        --cases yolov5s:320:16:runs/y320,yolov5s:640:16:runs/y640,fasterrcnn_resnet50_fpn:600:2:runs/frcnn

A case is MODEL:SIDE:BATCH:RUN. RUN is a folder of `trainer train` for the same model, classes and size; both sides use its best
weights, which have the original's keys. The pictures are copied until there are about 200. Both sides run in turn, in fresh
processes. Of ours the whole `trainer evaluate` counts: starting, checking the data, predicting, NMS and metrics; of theirs only
loading, predicting, NMS and metrics, after all imports and after the network is built. Above 1 is faster than PyTorch.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def repeat(listing, images, folder):
    """Copies of the listing's pictures under new names, about `images` of them, and their JSONL file."""
    rows = [json.loads(line) for line in listing.read_text(encoding="utf-8").splitlines() if line.strip()]
    lines = []
    for copy in range(max(1, round(images / len(rows)))):
        for index, row in enumerate(rows):
            source = listing.parent / row["image_url"]
            name = f"{copy}-{index}{source.suffix}"
            shutil.copyfile(source, folder / name)
            lines.append(json.dumps({**row, "image_url": name}))
    path = folder / "data.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path, len(lines)


def answer(command, threads):
    """Seconds of a process and what it printed."""
    started = time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": threads}
    out = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
    return time.perf_counter() - started, out


def ours(run, batch, threads, data):
    trainer = ROOT / "target/release/trainer"
    command = [trainer, "evaluate", "--checkpoint", run, "--data", data, "--batch_size", batch, "--json"]
    seconds, out = answer(command, threads)
    return seconds, json.loads(out)["metrics"]


def theirs(python, model, side, batch, threads, data, run):
    weights = pathlib.Path(run) / "checkpoints/best/model.safetensors"
    command = [python, ROOT / "scripts/bench/detect_eval_peer.py", model, side, batch, threads, data, weights]
    _, out = answer(command, threads)
    numbers = json.loads(out.splitlines()[-1])
    return numbers["seconds"], numbers


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default="python3")
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--cases", required=True)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--threads", default="2")
    args = parser.parse_args()
    print("| model | side, batch | ours img/s | PyTorch img/s | ratio (min to max) | our AP50:95, AP50 | theirs |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        data, images = repeat(args.data, args.images, pathlib.Path(folder))
        for case in args.cases.split(","):
            model, side, batch, run = case.split(":")
            pairs = []
            for _ in range(args.pairs):
                a, metrics = ours(run, batch, args.threads, data)
                b, peer = theirs(args.python, model, side, batch, args.threads, data, run)
                pairs.append((images / a, images / b))
            ratios = sorted(a / b for a, b in pairs)
            a, b = (statistics.median(side) for side in zip(*pairs))
            print(
                f"| {model} | {side}, {batch} | {a:.1f} | {b:.1f} "
                f"| {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) "
                f"| {metrics['ap50_95']:.4f}, {metrics['ap50']:.4f} | {peer['ap']:.4f}, {peer['ap50']:.4f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
