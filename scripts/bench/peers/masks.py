#!/usr/bin/env python3
"""pycocotools and torchvision on the masks of `models/examples/mask_bench.rs`: masks.py MASKS.json prints milliseconds for all
of them, the best of nine rounds, and the sums that the example prints too.

Needs numpy, pycocotools, torch and torchvision (scripts/oracle/environment).
"""

import json
import pathlib
import sys
import time

import numpy as np
import torch
from pycocotools import mask as coco
from torchvision.models.detection.roi_heads import paste_masks_in_image


def timed(name, run):
    best = float("inf")
    for _ in range(9):
        start = time.perf_counter()
        answer = run()
        best = min(best, time.perf_counter() - start)
    print(f"{best * 1e3:9.3f} ms  {name} ({answer:.3f})")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    masks = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    height, width = masks["size"]
    found, truth = ([{"size": masks["size"], "counts": text} for text in masks[side]] for side in ("found", "truth"))
    crowds = [0] * len(truth)
    torch.set_num_threads(1)
    timed("overlaps of run lengths (pycocotools.mask.iou)", lambda: coco.iou(found, truth, crowds).sum())
    dense = [np.asfortranarray(coco.decode(one)) for one in found]
    timed("bytes to run lengths (encode)", lambda: sum(float(coco.area(coco.encode(one))) for one in dense))
    row = 1 - np.abs(np.arange(28) - 14) / 14
    probabilities = torch.from_numpy(np.tile(row, (len(found), 1, 28, 1)).astype(np.float32))
    corners = torch.tensor(np.array([coco.toBbox(one) for one in found]), dtype=torch.float32)
    corners[:, 2:] += corners[:, :2]
    timed("paste (torchvision)", lambda: float((paste_masks_in_image(probabilities, corners, (height, width)) > 0.5).sum()))


if __name__ == "__main__":
    main()
