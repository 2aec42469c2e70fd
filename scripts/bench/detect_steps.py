#!/usr/bin/env python3
"""Training steps of Fovea's detectors beside the PyTorch originals: same machine, same libtorch, same threads, in one run.

    cargo build --release -p trainer --examples
    scripts/bench/detect_steps.py --python PYTHON     # torch 2.13, torchvision 0.28, safetensors; for yolov5 see detect_peers.py

Both sides run in turn, ours and theirs, in fresh processes, on the same pixels, boxes and initial weights; of each process
the median step after two warm-up steps counts, and the ratio ours / theirs is taken pair by pair. Below 1 is faster than PyTorch.
80 classes, 8 boxes an image, SGD with Nesterov momentum; uint8 pixels in; forward, assignment, loss, backward and optimiser step.
fp32: PyTorch in its default layout, ours in the layout the trainer uses. bf16: both with autocast and channels-last.
The last columns are the losses of the first step. YOLOv5's and RetinaNet's have to agree; Faster R-CNN's draws its samples.

Our side is `target/release/examples/detect_step` with the arguments of detect_step_peer.py:
MODEL HEIGHTxWIDTH BATCH fp32|bf16 contiguous|channels_last STEPS THREADS FOLDER.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
CASES = [
    "yolov5s:320x320:4",
    "yolov5s:640x640:4",
    "fasterrcnn_resnet50_fpn:600x800:2",
    "retinanet_resnet50_fpn:600x800:2",
]


def run(command):
    """Median milliseconds of a process's steps after two, and the loss of its first step."""
    out = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])
    return statistics.median(out["milliseconds"][2:]), out["loss"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default="python3")
    parser.add_argument("--cases", default=",".join(CASES), help="MODEL:HEIGHTxWIDTH:BATCH, separated by commas")
    parser.add_argument("--arithmetic", default="fp32,bf16")
    parser.add_argument("--layout", default="channels_last", help="our layout in fp32")
    parser.add_argument("--peer-layout", default="contiguous", help="PyTorch's layout in fp32")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    if args.steps < 3:
        parser.error("--steps: the first two are warm-up, so at least 3")
    ours = [str(ROOT / "target/release/examples/detect_step")]
    peer = [args.python, str(ROOT / "scripts/bench/detect_step_peer.py")]
    print("| model | size, batch | arithmetic | ours ms | PyTorch ms | ratio (min to max) | ours img/s | our loss | their loss |")
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for case in args.cases.split(","):
            model, size, batch = case.split(":")
            subprocess.run([*peer, "prepare", model, size, batch, folder], check=True, stdout=subprocess.DEVNULL)
            for arithmetic in args.arithmetic.split(","):
                layouts = (args.layout, args.peer_layout) if arithmetic == "fp32" else ("channels_last", "channels_last")
                tail = [str(args.steps), str(args.threads), folder]
                pairs = []
                for _ in range(args.pairs):
                    a = run([*ours, model, size, batch, arithmetic, layouts[0], *tail])
                    b = run([*peer, model, size, batch, arithmetic, layouts[1], *tail])
                    pairs.append((a, b))
                ratios = sorted(a / b for (a, _), (b, _) in pairs)
                a, b = (statistics.median(ms for ms, _ in side) for side in zip(*pairs))
                (_, our_loss), (_, their_loss) = pairs[-1]
                print(
                    f"| {model} | {size}, {batch} | {arithmetic} | {a:.0f} | {b:.0f} | {statistics.median(ratios):.2f} "
                    f"({ratios[0]:.2f} to {ratios[-1]:.2f}) | {1000 * int(batch) / a:.1f} | {our_loss:.4f} | {their_loss:.4f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
