"""From what a mask model says to COCO's numbers, by torchvision and pycocotools.

mask_evaluation.py prepare IMAGES OBJECTS HEIGHTxWIDTH FOLDER
mask_evaluation.py HEIGHTxWIDTH THREADS FOLDER

`prepare` writes what both sides read, FOLDER/case.safetensors: of every image as many detections as objects, `boxes` (float32
[n, k, 4], xyxy in pixels), `scores`, `labels` (int64, from 0) and `masks` (float32 [n, k, 28, 28], probabilities), and the truth,
`polygons` (float32 [n, k, points, 2], in pixels) and `truth_labels`. The second form does what torchvision's references do: it pastes the
masks, encodes them and has pycocotools evaluate them. It prints seconds, two of the numbers, and the most memory in use, in MB.
"""

import contextlib
import io
import json
import pathlib
import resource
import sys
import time

import numpy as np
import torch
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from safetensors.torch import load_file, save_file
from torchvision.models.detection.roi_heads import paste_masks_in_image

from detector_step import ellipses

CLASSES = 3
POINTS = 32
SIDE = 28


def prepare(images, objects, size, folder):
    height, width = map(int, size.split("x"))
    torch.manual_seed(0)
    extent = torch.tensor([width, height])
    sides = (0.02 + 0.2 * torch.rand(images * objects, 2)) * extent
    corners = torch.rand(images * objects, 2) * (extent - sides)
    truth = torch.cat([corners, corners + sides], 1)
    labels = torch.randint(CLASSES, (images * objects,))
    # What is found lies about the truth, most of it near enough, some of it as another class.
    found = truth + torch.randn(images * objects, 4) * 0.08 * sides.repeat(1, 2)
    found = torch.stack([found[:, :2].minimum(found[:, 2:]), found[:, :2].maximum(found[:, 2:]) + 1], 1).view(-1, 4)
    found = found.clamp(min=0).minimum(extent.repeat(2))
    row = (torch.arange(SIDE) + 0.5) / SIDE * 2 - 1
    inside = 1 - (row[:, None] ** 2 + row[None, :] ** 2)
    masks = torch.sigmoid(6 * inside + torch.randn(images * objects, 1, 1))
    wrong = torch.rand(images * objects) < 0.1
    case = {
        "boxes": found, "scores": torch.rand(images * objects), "masks": masks,
        "labels": torch.where(wrong, (labels + 1) % CLASSES, labels), "polygons": ellipses(truth, POINTS), "truth_labels": labels,
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.view(images, objects, *value.shape[1:]).contiguous() for name, value in case.items()}, folder / "case.safetensors")


def truth(case, height, width):
    annotations = []
    for image, (polygons, labels) in enumerate(zip(case["polygons"].tolist(), case["truth_labels"].tolist())):
        for ring, label in zip(polygons, labels):
            segment = [value for point in ring for value in point]
            area = float(rle.area(rle.merge(rle.frPyObjects([segment], height, width))))
            owner = {"id": len(annotations) + 1, "image_id": image, "category_id": label, "iscrowd": 0}
            annotations.append({**owner, "segmentation": [segment], "area": area, "bbox": [0, 0, 1, 1]})
    images = [{"id": i, "width": width, "height": height} for i in range(len(case["polygons"]))]
    return {"images": images, "annotations": annotations, "categories": [{"id": c, "name": str(c)} for c in range(CLASSES)]}


def found(case, height, width):
    results = []
    for image in range(len(case["boxes"])):
        masks = paste_masks_in_image(case["masks"][image][:, None], case["boxes"][image], (height, width)) > 0.5
        codes = [rle.encode(np.array(mask[0, :, :, np.newaxis].numpy(), dtype=np.uint8, order="F"))[0] for mask in masks]
        for code, score, label in zip(codes, case["scores"][image].tolist(), case["labels"][image].tolist()):
            code["counts"] = code["counts"].decode("utf-8")
            results.append({"image_id": image, "category_id": label, "segmentation": code, "score": score})
    return results


def main():
    if sys.argv[1] == "prepare":
        images, objects, size, folder = sys.argv[2:]
        return prepare(int(images), int(objects), size, pathlib.Path(folder))
    size, threads, folder = sys.argv[1:]
    torch.set_num_threads(int(threads))
    height, width = map(int, size.split("x"))
    case = load_file(pathlib.Path(folder) / "case.safetensors")
    with contextlib.redirect_stdout(io.StringIO()), torch.inference_mode():
        coco = COCO()
        coco.dataset = truth(case, height, width)
        coco.createIndex()
        started = time.perf_counter()
        evaluation = COCOeval(coco, coco.loadRes(found(case, height, width)), "segm")
        evaluation.params.maxDets = [1, 10, case["boxes"].shape[1]]
        evaluation.evaluate()
        evaluation.accumulate()
        seconds = time.perf_counter() - started
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    mean = lambda values: float(values[values > -1].mean())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps({"evaluation": seconds, "AP50:95": mean(precision), "AP50": mean(precision[0]), "peak": peak}))


if __name__ == "__main__":
    main()
