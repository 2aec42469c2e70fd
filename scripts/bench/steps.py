#!/usr/bin/env python3
"""Training steps of Fovea beside PyTorch eager: same machine, same libtorch, same threads, in one run.

    cargo build --release -p trainer --examples
    scripts/bench/steps.py --python PYTHON          # a Python that has torch 2.13, torchvision 0.28 and timm 1.0.31

Both sides run in turn, ours and theirs, in fresh processes; of each process the median step after two warm-up steps
counts, and the ratio ours / theirs is taken pair by pair. Below 1 is faster than PyTorch.
Batch 16 (or each model's default) at 224 px, SGD with Nesterov momentum, 1000 classes; uint8 pixels in, normalisation and
optimiser step included. Ours is in the layout the trainer uses. PyTorch is in its default layout in fp32 and, with autocast on
both sides, in channels-last in bf16, but for ResNeSt, which is slower in it.
"""

import argparse
import json
import pathlib
import statistics
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODELS = ["mobilenetv2", "efficientnet_lite0", "resnet18", "resnet50", "resnest50", "seresnext", "vits16r224"]


def run(command):
    """The median step in milliseconds and the batch size."""
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    answer = json.loads(out.splitlines()[-1])
    return statistics.median(answer["milliseconds"][2:]), answer["batch"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default="python3")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--arithmetic", default="fp32,bf16")
    parser.add_argument("--layout", default="preferred", help="ours: preferred (the trainer's), contiguous or channels_last")
    parser.add_argument("--batch", default="16", help="a number, or default for each model's own")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    ours = str(ROOT / "target/release/examples/step")
    peer = [args.python, str(ROOT / "scripts/bench/step_peer.py")]
    print("| model | batch | arithmetic | ours ms | PyTorch ms | ratio (min to max) | ours img/s |")
    print("|---|---|---|---|---|---|---|")
    for model in args.models.split(","):
        for arithmetic in args.arithmetic.split(","):
            theirs = "contiguous" if arithmetic == "fp32" or model.startswith("resnest") else "channels_last"
            tail = [str(args.steps), str(args.threads)]
            pairs = []
            for _ in range(args.pairs):
                a, batch = run([ours, model, args.batch, arithmetic, args.layout, *tail])
                b, _ = run([*peer, model, str(batch), arithmetic, theirs, *tail])
                pairs.append((a, b))
            ratios = sorted(a / b for a, b in pairs)
            a, b = (statistics.median(side) for side in zip(*pairs))
            print(
                f"| {model} | {batch} | {arithmetic} | {a:.0f} | {b:.0f} | {statistics.median(ratios):.2f} "
                f"({ratios[0]:.2f} to {ratios[-1]:.2f}) | {1000 * batch / a:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
