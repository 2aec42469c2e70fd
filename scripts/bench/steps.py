#!/usr/bin/env python3
"""Training steps of Fovea beside PyTorch eager: same machine, same libtorch, same threads, in one run.

    cargo build --release -p trainer --examples
    scripts/bench/steps.py --python PYTHON          # a Python that has torch 2.13, torchvision 0.28 and timm 1.0.31

Both sides run in turn, ours and theirs, in fresh processes; of each process the median step after two warm-up steps
counts, and the ratio ours / theirs is taken pair by pair. Below 1 is faster than PyTorch.
Batch 16 at 224 px, SGD with Nesterov momentum, 1000 classes; uint8 pixels in, normalisation and optimiser step included.
fp32: PyTorch in its default layout, ours in the layout the trainer uses. bf16: both with autocast and channels-last.
"""

import argparse
import json
import pathlib
import statistics
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODELS = ["resnet18", "resnet50", "mobilenetv2", "efficientnet_lite0"]


def run(command):
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return statistics.median(json.loads(out.splitlines()[-1])["milliseconds"][2:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default="python3")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--arithmetic", default="fp32,bf16")
    parser.add_argument("--layout", default="channels_last", help="our layout in fp32")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    ours = str(ROOT / "target/release/examples/step")
    peer = [args.python, str(ROOT / "scripts/bench/step_peer.py")]
    print("| model | arithmetic | ours ms | PyTorch ms | ratio (min to max) | ours img/s |")
    print("|---|---|---|---|---|---|")
    for model in args.models.split(","):
        for arithmetic in args.arithmetic.split(","):
            layouts = (args.layout, "contiguous") if arithmetic == "fp32" else ("channels_last", "channels_last")
            tail = [str(args.steps), str(args.threads)]
            pairs = []
            for _ in range(args.pairs):
                a = run([ours, model, str(args.batch), arithmetic, layouts[0], *tail])
                b = run([*peer, model, str(args.batch), arithmetic, layouts[1], *tail])
                pairs.append((a, b))
            ratios = sorted(a / b for a, b in pairs)
            a, b = (statistics.median(side) for side in zip(*pairs))
            print(
                f"| {model} | {arithmetic} | {a:.0f} | {b:.0f} | {statistics.median(ratios):.2f} "
                f"({ratios[0]:.2f} to {ratios[-1]:.2f}) | {1000 * args.batch / a:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
