#!/usr/bin/env python3
"""Time of an epoch of training a classifier, data included, beside a torchvision script with a DataLoader.

    scripts/bench/classify_epoch.py --python PYTHON --data fridge=TRAIN.jsonl,clothing=TRAIN.jsonl

Same model, batch, views (random crops of 224 pixels, flips, colours) and optimiser from random weights; PyTorch reads with two
loader processes, Fovea with the loader threads of its default. They run in turn, in fresh processes; the first epoch of each is
left out, and so is validation. PYTHON is an environment with torchvision. Below 1 is faster than PyTorch.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def ours(args, listing, model, arithmetic, output):
    options = ["--model_name", model, "--pretrained", "none", "--optimizer", "sgd", "--learning_rate", 0.01,
        "--training_batch_size", args.batch, "--number_of_epochs", args.epochs, "--evaluation_frequency", args.epochs,
        "--early_stopping", "false", "--export", "none", "--precision", arithmetic, "--threads", args.threads]
    command = [ROOT / "target/release/trainer", "train", "--training_data", listing, *options, "--output", output]
    subprocess.run([*map(str, command)], check=True, stdout=subprocess.DEVNULL)
    records = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    # What is held back for validation is not trained on, so both sides are compared by the picture.
    images = len((output / "data/train.jsonl").read_text().splitlines())
    waits = sum(r["timing"]["data_wait_seconds"] for r in records[1:]) / sum(r["timing"]["seconds"] for r in records[1:])
    return statistics.median(record["timing"]["seconds"] for record in records[1:]) / images, waits


def theirs(args, listing, model, arithmetic):
    peer = ROOT / "scripts/bench/classify_epoch_peer.py"
    command = [args.python, peer, model, args.batch, arithmetic, args.epochs, args.threads, listing]
    environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads)}
    out = subprocess.run([*map(str, command)], check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
    images = sum(1 for line in listing.read_text().splitlines() if line.strip())
    return statistics.median(json.loads(out.splitlines()[-1])[1:]) / images


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default="python3")
    parser.add_argument("--data", required=True, help="NAME=TRAIN.jsonl, comma separated")
    parser.add_argument("--models", default="mobilenetv2,resnet18")
    parser.add_argument("--arithmetic", default="fp32,bf16")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    print("| pictures | model, batch | arithmetic | ours, img/s | PyTorch, img/s | ratio of times, median (min to max) | our wait for data |")
    print("|---|---|---|---:|---:|---|---:|")
    for name, listing in (pair.split("=") for pair in args.data.split(",")):
        for model in args.models.split(","):
            for arithmetic in args.arithmetic.split(","):
                found = []
                for _ in range(args.pairs):
                    with tempfile.TemporaryDirectory() as folder:
                        path = pathlib.Path(listing).resolve()
                        mine, wait = ours(args, path, model, arithmetic, pathlib.Path(folder) / "run")
                        found.append((mine, theirs(args, path, model, arithmetic), wait))
                ratios = [a / b for a, b, _ in found]
                a, b, wait = (statistics.median(column) for column in zip(*found))
                spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
                print(f"| {name} | {model}, {args.batch} | {arithmetic} | {1 / a:.1f} | {1 / b:.1f} | {spread} | {wait:.1%} |", flush=True)


if __name__ == "__main__":
    main()
