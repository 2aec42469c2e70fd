#!/usr/bin/env python3
"""pycocotools on boxes in JSONL rows: coco.py PREDICTIONS.json DATA.jsonl prints its twelve numbers.

PREDICTIONS is what `trainer predict --json` printed for the images of DATA; predict with `--box_score_thresh 0.001` and as many
boxes an image as COCO looks at. Needs numpy, Pillow and pycocotools (scripts/oracle/environment).
"""

import contextlib
import io
import json
import pathlib
import sys

import numpy as np
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

CORNERS = ("topX", "topY", "bottomX", "bottomY")


def read(listing):
    """Images with their absolute boxes, and the sorted classes."""
    images = []
    for line in listing.read_text(encoding="utf-8").splitlines():
        if line.strip():
            row = json.loads(line)
            path = (listing.parent / row["image_url"]).resolve()
            with Image.open(path) as image:
                width, height = image.size
            extent = np.array([width, height, width, height])
            boxes = [np.array([float(b[k]) for k in CORNERS]) * extent for b in row["label"]]
            one = {"path": path, "width": width, "height": height, "boxes": boxes}
            one["labels"] = [b["label"] for b in row["label"]]
            one["crowds"] = [int(b.get("isCrowd") in (1, True, "1", "true")) for b in row["label"]]
            images.append(one)
    return images, sorted({label for image in images for label in image["labels"]})


def truth(images, classes):
    annotations = []
    for at, image in enumerate(images):
        for (x1, y1, x2, y2), label, crowd in zip(image["boxes"], image["labels"], image["crowds"]):
            box = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "iscrowd": crowd}
            owner = {"id": len(annotations) + 1, "image_id": at, "category_id": classes.index(label)}
            annotations.append({**owner, **box})
    images = [{"id": i, "width": p["width"], "height": p["height"]} for i, p in enumerate(images)]
    return {"images": images, "annotations": annotations, "categories": [{"id": i, "name": c} for i, c in enumerate(classes)]}


def numbers(images, classes, found):
    """The twelve numbers of pycocotools for results in COCO's form."""
    if not found:
        return [0.0] * 12
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth(images, classes)
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


def predicted(answers, images, classes):
    """The boxes of `trainer predict` in COCO's form."""
    index = {image["path"]: i for i, image in enumerate(images)}
    found = []
    for answer in answers:
        at = index[pathlib.Path(answer["filename"]).resolve()]
        extent = np.array([images[at]["width"], images[at]["height"]] * 2)
        for box in answer["boxes"]:
            x1, y1, x2, y2 = (np.array([box["box"][k] for k in CORNERS]) * extent).tolist()
            sides = [x1, y1, x2 - x1, y2 - y1]
            found.append({"image_id": at, "bbox": sides, "score": box["score"], "category_id": classes.index(box["label"])})
    return found


def main():
    answers = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))["predictions"]
    images, classes = read(pathlib.Path(sys.argv[2]))
    names = "AP50:95 AP50 AP75 APs APm APl AR1 AR10 AR100 ARs ARm ARl".split()
    for name, value in zip(names, numbers(images, classes, predicted(answers, images, classes))):
        print(f"{name:8} {value:.6f}")


if __name__ == "__main__":
    main()
