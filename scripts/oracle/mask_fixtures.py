"""Freezes what pycocotools and torchvision make of masks, for models/tests/mask.

Run from the project's root, with NumPy, pycocotools, PyTorch and torchvision installed (see scripts/oracle/environment):

    python scripts/oracle/mask_fixtures.py [--output FOLDER] [--factor N]

Writes to models/tests/fixtures/mask, one case a line, N times as many cases as are committed:
- `rle.json`: of random masks the checksum of the compressed counts, area and box; of pairs of them the union, the
  intersection and the overlaps with and without crowds.
- `polygons.json`: of random polygons the checksum of the compressed counts of `frPyObjects` and `merge`, area and box.
- `paste.json`: of random probabilities and boxes what `paste_masks_in_image` gives: mean, some values, the compressed counts
  of the pixels above the threshold.
What is asked is made from a seed on both sides by integer arithmetic alone; `Lcg` and the generators below have their
counterparts in models/tests/mask.
"""

import argparse
import json
import zlib
from pathlib import Path

import numpy as np
import torch
from pycocotools import mask as coco
from torchvision.models.detection.roi_heads import paste_masks_in_image

from detection_metric_fixtures import Lcg


def crc(rle):
    return zlib.crc32(rle["counts"])


def summary(rle):
    return [crc(rle), int(coco.area(rle)), *map(int, coco.toBbox(rle))]


def random_mask(random):
    """A mask from random runs: column by column, with long and short runs; empty and full masks too."""
    height, width = 1 + random.below(40), 1 + random.below(40)
    longest = 1 + random.below(3) * random.below(60)
    values, inside = [], random.below(2)
    while len(values) < width * height:
        values += [inside] * (random.below(longest) + 1)
        inside = 1 - inside
    if random.below(8) == 0:
        values = [random.below(2)] * (width * height)
    values = values[: width * height]
    return np.array(values, dtype=np.uint8).reshape(width, height)


def rle_case(seed):
    """Two masks of one size, each the pixels of another seed moved into the first one's size."""
    first = random_mask(Lcg(seed))
    second = np.resize(random_mask(Lcg(seed + 1_000_003)).ravel(), first.shape)
    # Arrays are [column, row] here; the transpose of one in C's order is Fortran's order, which pycocotools wants.
    a, b = coco.encode(first.T), coco.encode(second.T)
    assert (coco.decode(a) == first.T).all()
    overlaps = [float(coco.iou([a], [b], [crowd])[0, 0]) for crowd in (False, True)]
    both = [summary(a), summary(b), crc(coco.merge([a, b])), crc(coco.merge([a, b], intersect=True)), *overlaps]
    return {"seed": seed, "size": list(first.shape), "expected": both}


def random_polygons(random):
    """(width, height, rings as flat lists of pixels). Coordinates are whole numbers over `unit`; some lie outside."""
    width, height = 1 + random.below(90), 1 + random.below(90)
    unit = [1, 2, 5, 7, 10, 64, 1000][random.below(7)]
    margin = [0, 0, 3, 40][random.below(4)]
    rings = []
    for _ in range(1 + random.below(3)):
        points = 3 + random.below([1, 4, 20][random.below(3)])
        ring = []
        for _ in range(points):
            for side in (width, height):
                ring.append((random.below((side + 2 * margin) * unit + 1) - margin * unit) / unit)
        rings.append(ring)
    return width, height, rings


def polygon_case(seed):
    width, height, rings = random_polygons(Lcg(seed))
    return [seed, *summary(coco.merge(coco.frPyObjects(rings, height, width)))]


def random_paste(random):
    """(width, height, box, probabilities [28, 28] float32, threshold): a blob of 16 levels, noise, or one value."""
    most = [60, 60, 60, 700][random.below(4)]
    width, height = 1 + random.below(most), 1 + random.below(most)
    unit = [1, 2, 16, 100][random.below(4)]
    reach = [0, 0, 10, 200][random.below(4)]
    ends = [[random.below((side + 2 * reach) * unit + 1) / unit - reach for _ in range(2)] for side in (width, height)]
    (x1, x2), (y1, y2) = (sorted(pair) for pair in ends)
    kind, row, column, spread = random.below(4), random.below(28), random.below(28), 1 + random.below(300)
    values = []
    for y in range(28):
        for x in range(28):
            distance = (x - column) ** 2 + (y - row) ** 2
            if kind == 0:
                values.append(random.below(65) / 64)
            elif kind == 1:
                values.append(0.5)
            else:
                values.append(max(0, 64 - distance * 64 // spread) / 64)
    box = np.array([x1, y1, x2, y2], dtype=np.float32)
    threshold = [0.5, 0.5, 0.25, 0.9][random.below(4)]
    return width, height, box, np.array(values, dtype=np.float32).reshape(28, 28), threshold


def paste_case(seed):
    width, height, box, values, threshold = random_paste(Lcg(seed))
    try:
        pasted = paste_masks_in_image(torch.from_numpy(values)[None, None], torch.from_numpy(box)[None], (height, width))
        pasted = pasted[0, 0].numpy()
    except RuntimeError:  # the whole box lies outside of the image, which torchvision refuses
        pasted = np.zeros((height, width), dtype=np.float32)
    inside = (pasted > np.float32(threshold)).astype(np.uint8)
    counts = coco.encode(np.asfortranarray(inside))["counts"].decode()
    places = [place % pasted.size for place in (0, 7919, 104729, 1299709)]
    picked = [round(float(pasted.ravel()[place]), 7) for place in places]
    return [seed, round(float(pasted.astype(np.float64).mean()), 7), picked, counts]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("models/tests/fixtures/mask"))
    parser.add_argument("--factor", type=int, default=1, help="times as many cases as are committed")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name, make, count in [("rle", rle_case, 150), ("polygons", polygon_case, 1500), ("paste", paste_case, 150)]:
        cases = [json.dumps(make(seed), separators=(",", ":")) for seed in range(1, count * arguments.factor + 1)]
        (arguments.output / f"{name}.json").write_text("[\n" + ",\n".join(cases) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
