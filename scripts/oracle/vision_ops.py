#!/usr/bin/env python3
"""Freeze what torchvision's NMS and RoIAlign give for 2,000 cases each, whose inputs a formula gives on both sides.

Run:     python3 scripts/oracle/vision_ops.py --output tests/fixtures
Needs:   torch, torchvision, numpy (see scripts/parity for the versions).
Writes:  vision_ops.json: of every NMS case [survivors, checksum]; of every RoIAlign case [L2 norm, probe] of the output and of the
         gradient of every level, where the probe is the dot product with the vector of `probe/KEY` (see forward.py). The case
         number says what a case looks like; tests/parity/vision.rs has the same formulas in Rust.

NMS is torchvision's per-class loop, so that no class offset moves a coordinate: the script counts the cases where `batched_nms`,
which adds one to small inputs, keeps another set. RoIAlign is `roi_align` on the level that `LevelMapper` gives. Every fourth
RoIAlign case is in float64.
"""

import argparse
import itertools
import json
import pathlib

import numpy
import torch
import torchvision
from torchvision.ops.poolers import LevelMapper

from forward import pair, uniform

CASES = 2000
IOU = [0.1, 0.3, 0.45, 0.5, 0.7, 0.9]
SCORE = [0.0, 0.25, 0.5, 0.9]
CAP = [1, 5, 20, 1000]
OUTPUT = [1, 2, 3, 7]
PRIME = 2**31 - 1


def single(values):
    return torch.from_numpy(numpy.ascontiguousarray(values).astype(numpy.float32))


def corners(start, length):
    return numpy.concatenate([start, start + length], -1)


def boxes(kind, u):
    """[.., 4] numbers in [0, 1) as boxes of a kind."""
    p, q = u[..., :2], u[..., 2:]
    floor = numpy.floor
    match kind:
        case 0:  # usual
            return corners(100 * p, 40 * q)
        case 1:  # tiny
            return corners(0.01 * p, 0.001 * q)
        case 2:  # huge
            return corners((2 * p - 1) * 1e7, 1e7 * q)
        case 3:  # at negative coordinates
            return corners(-100 * p, 40 * q)
        case 4:  # some without an area
            return corners(100 * p, numpy.where(q < 0.3, 0.0, 40 * q))
        case 5:  # many identical, also points
            return corners(7 * floor(3 * p), 5 * floor(3 * q))
        case 6:  # touching, and overlapping by simple fractions
            return corners(10 * floor(6 * p), 10 * (1 + floor(2 * q)))
        case _:  # some inside out
            return corners(100 * p, 40 * (2 * q - 1))


def rois(kind, u, size):
    """[.., 4] numbers in [0, 1) as rois of a kind in a picture of `size` [width, height]."""
    p, q = u[..., :2], u[..., 2:]
    floor = numpy.floor
    match kind:
        case 0:  # inside
            return corners(0.8 * p * size, 0.2 * q * size)
        case 1:  # often outside
            return corners((4 * p - 2) * size, q * size)
        case 2:  # tiny
            return corners(p * size, 0.5 * q)
        case 3:  # huge
            return corners(-1000 * p, 2000 * q)
        case 4:  # on borders
            return corners(floor(3 * p) * size * 0.5, floor(3 * q) * size * 0.5)
        case 5:  # some without an area
            return corners(p * size, numpy.where(q < 0.5, 0.0, q * size))
        case 6:  # inside out
            return corners(p * size, -0.5 * q * size)
        case _:  # at whole pixels
            return corners(floor(p * size), floor(q * size))


def nms_case(i):
    u = uniform(f"nms/{i}", 6)
    n, c = 1 + int(3 * u[0]), 1 + int(4 * u[1])
    b = int(u[2] * (400 if i % 10 == 0 else 60))
    box = single(boxes(i % 8, uniform(f"nms/{i}/boxes", n * b * 4).reshape(n, b, 4)))
    v = uniform(f"nms/{i}/scores", n * c * b).reshape(n, c, b)
    score = single(numpy.floor(8 * v) / 8 if i % 3 == 0 else v)
    iou, threshold, cap = IOU[int(6 * u[3])], SCORE[int(4 * u[4])], CAP[int(4 * u[5])]
    iou = float(numpy.float32(iou))
    count, checksum, moved = 0, 0, False
    for image in range(n):
        kept = []
        for label in range(c):
            rows = torch.nonzero(score[image, label] > threshold)[:, 0]
            keep = rows[torchvision.ops.nms(box[image, rows], score[image, label, rows], iou)]
            kept += [(-float(score[image, label, row]), label * b + row) for row in keep.tolist()]
        label, row = torch.nonzero(score[image] > threshold, as_tuple=True)
        batched = torchvision.ops.batched_nms(box[image, row], score[image, label, row], label, iou)
        moved |= set((label * b + row)[batched].tolist()) != {place for _, place in kept}
        for _, place in sorted(kept)[:cap]:
            checksum = (checksum * 31 + place + 1) % PRIME
            count += 1
        checksum = (checksum * 31) % PRIME
    return [count, checksum], moved


def roi_case(i):
    u = uniform(f"roi/{i}", 8)
    n, levels, k = 1 + int(2 * u[0]), 1 + int(3 * u[1]), int(12 * u[2])
    c = 67 if i % 20 == 0 else 1 + int(6 * u[3])
    size = numpy.array([16 + 4 * int(16 * u[4]), 16 + 4 * int(16 * u[5])])
    output, sampling = OUTPUT[int(4 * u[6])], 1 + int(3 * u[7])
    kind = torch.float64 if i % 4 == 3 else torch.float32
    v = uniform(f"roi/{i}/rois", k * 5).reshape(k, 5)
    roi = single(numpy.concatenate([numpy.floor(n * v[:, :1]), rois(i % 8, v[:, 1:], size)], 1))
    pyramid = []
    for level in range(levels):
        width, height = -(-size // (4 << level))
        values = 2 * uniform(f"roi/{i}/level{level}", n * c * height * width) - 1
        pyramid.append(single(values).reshape(n, c, height, width).to(kind).requires_grad_())
    place = LevelMapper(2, 1 + levels, canonical_scale=16, canonical_level=3)([roi[:, 1:]]) if levels > 1 else torch.zeros(k)
    pooled = torch.zeros(k, c, output, output, dtype=kind)
    for level in range(levels):
        rows = torch.nonzero(place == level)[:, 0]
        scale = 0.25 / 2**level
        part = torchvision.ops.roi_align(pyramid[level], roi[rows].to(kind), output, scale, sampling, aligned=False)
        pooled = pooled.index_put((rows,), part)
    weights = torch.from_numpy(2 * uniform(f"roi/{i}/weights", pooled.numel()) - 1).reshape(pooled.shape).to(kind)
    (pooled * weights).sum().backward()
    pairs = [pair(f"roi/{i}/output", pooled)] + [pair(f"roi/{i}/level{l}", t.grad) for l, t in enumerate(pyramid)]
    return list(itertools.chain.from_iterable(pairs))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", required=True, type=pathlib.Path, help="fixture folder")
    args = parser.parse_args()
    torch.set_num_threads(1)
    suppressed, moved = zip(*(nms_case(i) for i in range(CASES)))
    print(f"batched_nms keeps another set than the per-class loop in {sum(moved)} of {CASES} cases")
    fixture = {
        "made_with": {"torch": torch.__version__, "torchvision": torchvision.__version__},
        "nms": list(suppressed),
        "roi_align": [roi_case(i) for i in range(CASES)],
    }
    text = json.dumps(fixture, separators=(",", ":")).replace("],[", "],\n[") + "\n"
    (args.output / "vision_ops.json").write_text(text)


if __name__ == "__main__":
    main()
