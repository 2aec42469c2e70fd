#!/usr/bin/env python3
"""The work of trainer/examples/loader.rs with torchvision and Pillow, on one core.

Needs torch, torchvision and Pillow (measured with torchvision 0.28). Run both on an otherwise idle machine:

    cargo run --release -p trainer --example loader -- DATA.jsonl 5
    python3 scripts/bench/loader_peer.py DATA.jsonl 5
"""

import json
import pathlib
import sys
import time

import torch
from PIL import Image
from torchvision import transforms


def paths(jsonl):
    for line in jsonl.read_text(encoding="utf-8").splitlines():
        if line.strip():
            yield jsonl.parent / json.loads(line)["image_url"]


def main():
    jsonl = pathlib.Path(sys.argv[1])
    epochs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    torch.set_num_threads(1)
    torch.manual_seed(1)
    transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(224),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    images = list(paths(jsonl))
    best = processor = 0.0
    for epoch in range(epochs + 1):
        started, used = time.perf_counter(), time.process_time()
        for first in range(0, len(images), 16):
            views = []
            for path in images[first : first + 16]:
                with Image.open(path) as image:
                    views.append(transform(image.convert("RGB")))
            torch.stack(views)
        # The first pass warms the file cache and is not counted.
        if epoch > 0:
            best = max(best, len(images) / (time.perf_counter() - started))
            processor += time.process_time() - used
    per_core = len(images) * epochs / processor
    print(f"{per_core:.1f} images per processor second; {best:.1f} images/s in the best of {epochs} passes")


if __name__ == "__main__":
    main()
