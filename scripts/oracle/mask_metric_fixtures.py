#!/usr/bin/env python3
"""Freeze what pycocotools says of generated masks.

Run:     python3 scripts/oracle/mask_metric_fixtures.py [--cases 24] [--output trainer/metrics/tests/fixtures/mask_metrics.json]
Needs:   numpy, pycocotools 2.0.11.
Writes:  a JSON list of cases, as detection_metric_fixtures.py does and with its generator: the seed and shape of a case,
         and pycocotools' twelve numbers of masks (-1 becomes null).

The mask of a box is the diamond in it, as far as it lies in an image of `side` pixels: pixel (px, py) of the box x, y, width,
height is in it if |2 (px - x) + 1 - width| height + |2 (py - y) + 1 - height| width <= width height.
"""

import argparse
import json

import numpy as np
from pycocotools import mask

from detection_metric_fixtures import NAMES, capped, defined, evaluated, generate, plan, rounded, width_and_height


def diamond(corners, side):
    x, y, width, height = (int(value) for value in width_and_height(corners))
    py, px = np.mgrid[:side, :side]
    across = np.abs(2 * (px - x) + 1 - width) * height
    down = np.abs(2 * (py - y) + 1 - height) * width
    inside = (px >= x) & (px < x + width) & (py >= y) & (py < y + height)
    return mask.encode(np.asfortranarray(inside & (across + down <= width * height), dtype=np.uint8))


def numbers(images, classes, side):
    info = {
        "images": [{"id": index, "width": side, "height": side} for index in range(len(images))],
        "categories": [{"id": category} for category in range(classes)],
    }
    true, guessed = {**info, "annotations": []}, {**info, "annotations": []}
    for index, (truth, found) in enumerate(images):
        for table, rows in [(true, truth), (guessed, found)]:
            for corners, category, last in rows:
                shape = diamond(corners, side)
                row = {"image_id": index, "category_id": category, "segmentation": shape, "area": float(mask.area(shape))}
                row |= {"iscrowd": int(last)} if table is true else {"iscrowd": 0, "score": last}
                table["annotations"].append({**row, "id": len(table["annotations"]) + 1})
    return {name: defined(value) for name, value in zip(NAMES, evaluated(true, guessed, "segm").stats)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=24)
    parser.add_argument("--output", default="trainer/metrics/tests/fixtures/mask_metrics.json")
    arguments = parser.parse_args()
    lines = []
    for index in range(arguments.cases):
        # Whole pixels; objects at the lower and right edges of the image are cut.
        case = {**plan(index), "unit": 1, "canvas": 100}
        case["objects"], case["extras"] = min(case["objects"], 12), min(case["extras"], 30)
        side = 160
        expected = numbers(capped(generate(case), case["max_detections"]), case["classes"], side)
        lines.append(json.dumps({**case, "side": side, "masks": rounded(expected)}, separators=(",", ":")))
    with open(arguments.output, "w", encoding="utf-8") as file:
        file.write("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
