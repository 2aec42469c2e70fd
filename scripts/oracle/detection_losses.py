#!/usr/bin/env python3
"""Freeze what torchvision and the original YOLOv5 make of fixed raw outputs: losses, and gradients of the outputs.

Run:     python3 scripts/oracle/detection_losses.py --output tests/fixtures
Needs:   torch, torchvision, numpy, and yolov5 (see scripts/parity for the versions).
Writes:  detection_losses.json: cases of a few images with their objects, and for each case and family (yolov5, rpn, roi,
         mask, retinanet), in float64 and in float32, the parts of the loss, the total, and for each raw output the pair
         [L2 norm, probe] of the total's gradient; for roi also the pairs of what was sampled, for mask of what the masks are to be.

The mask of an object is the ellipse in its box: the pixels whose middles lie within it.

Raw outputs, anchors and proposals are the formula of forward.py: an output is 3 (2u - 1), a box has its corner at
u * 0.8 of the image and sides of 4 + 60 u pixels. Where torchvision draws a random permutation of n, it gets the stable
order of the n numbers `permutation/n`. Objects are written to the file; no centre lies within 1/200 of a cell of where
YOLOv5's choice of cells changes, so that rounding cannot make a difference.
"""

import argparse
import json
import logging
import math
import pathlib
import re
import types
import unittest.mock

import numpy
import torch
import torchvision
import yolov5
import yolov5.models.yolo
import yolov5.utils.loss
from torchvision.models.detection import _utils, retinanet, roi_heads, rpn

from forward import pair, significant, uniform

# Name, height and width, classes, objects per image, label smoothing of yolov5.
CASES = [
    ("normal", [128, 128], 5, [3, 1, 4], 0.0),
    ("wide", [96, 160], 3, [2, 5], 0.1),
    ("an_image_without_objects", [128, 128], 5, [2, 0, 3], 0.0),
    ("no_objects", [128, 128], 5, [0, 0], 0.0),
    ("many_objects", [128, 128], 5, [40, 60], 0.0),
    ("one_class", [128, 128], 1, [3, 2], 0.0),
]
ANCHORS, PROPOSALS = 1500, 700
STRIDES = (8, 16, 32)


def objects(case, size, classes, image, count):
    """Boxes of all sizes, some cut by the edges, in 1/64 px."""
    height, width = size
    boxes, labels = [], []
    numbers = iter(uniform(f"objects/{case}/{image}", 5 * 50 * (count + 1)).tolist())
    while len(boxes) < count:
        x, y, w, h, label = (next(numbers) for _ in range(5))
        w, h = 3 + 120 * w * w, 3 + 120 * h * h
        box = [max(x * width - w / 2, 0), max(y * height - h / 2, 0), min(x * width + w / 2, width), min(y * height + h / 2, height)]
        box = [round(v * 64) / 64 for v in box]
        centre = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]
        clear = all(abs((v / s * 2) % 1 - 0.5) < 0.49 for v in centre for s in STRIDES)
        if clear and box[2] > box[0] and box[3] > box[1]:
            boxes.append(box)
            labels.append(int(label * classes))
    return {"boxes": boxes, "labels": labels}


def output(key, shape, kind):
    values = 3 * (2 * uniform(key, math.prod(shape)) - 1)
    return torch.from_numpy(values.astype(numpy.float32)).reshape(shape).to(kind).requires_grad_()


def boxes(key, count, size, kind):
    u = uniform(key, 4 * count).reshape(count, 4)
    corner = u[:, :2] * 0.8 * numpy.array([size[1], size[0]])
    values = numpy.concatenate([corner, corner + 4 + 60 * u[:, 2:]], 1)
    return torch.from_numpy(values.astype(numpy.float32)).to(kind)


def permutation(n, **_):
    return torch.from_numpy(numpy.argsort(uniform(f"permutation/{n}", n), kind="stable"))


def targets(images, kind, shift):
    """torchvision's, with labels that begin at `shift`."""
    return [
        {
            "boxes": torch.tensor(i["boxes"], dtype=kind).reshape(-1, 4),
            "labels": torch.tensor(i["labels"], dtype=torch.int64) + shift,
        }
        for i in images
    ]


def result(case, family, parts, total, outputs):
    total.backward()
    return {
        "parts": {name: significant(value.item()) for name, value in parts.items()},
        "total": significant(total.item()),
        "gradients": {name: pair(f"{family}/{case}/{name}", tensor.grad) for name, tensor in outputs.items()},
    }


def of_yolov5(case, kind):
    (height, width), classes, images = case["size"], case["classes"], case["images"]
    config = pathlib.Path(yolov5.__file__).parent / "models" / "yolov5n.yaml"
    network = yolov5.models.yolo.Model(str(config), ch=3, nc=classes).to(kind)
    levels = network.model[-1].nl
    # The gains of the original's training script: per level, with the classes, and with the area of the images.
    network.hyp = {
        "box": 0.05 * 3 / levels,
        "cls": 0.5 * classes / 80 * 3 / levels,
        "obj": 1.0 * (max(height, width) / 640) ** 2 * 3 / levels,
        "label_smoothing": case["label_smoothing"],
        "anchor_t": 4.0,
        "cls_pw": 1.0,
        "obj_pw": 1.0,
        "fl_gamma": 0.0,
    }
    heads = {
        f"head{level}": output(
            f"yolov5/{case['name']}/head{level}", [len(images), 3 * (5 + classes), height // stride, width // stride], kind
        )
        for level, stride in enumerate(STRIDES)
    }
    views = [h.view(len(images), 3, 5 + classes, *h.shape[2:]).permute(0, 1, 3, 4, 2) for h in heads.values()]
    rows = [
        [image, label, (x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height]
        for image, found in enumerate(images)
        for (x1, y1, x2, y2), label in zip(found["boxes"], found["labels"])
    ]
    total, parts = yolov5.utils.loss.ComputeLoss(network)(views, torch.tensor(rows, dtype=kind).reshape(-1, 6))
    return result(case["name"], "yolov5", dict(zip(("box", "objectness", "class"), parts)), total, heads)


def of_rpn(case, kind):
    images, count = case["images"], len(case["images"])
    network = rpn.RegionProposalNetwork(None, torch.nn.Identity(), 0.7, 0.3, 256, 0.5, {}, {}, 0.7)
    anchors = [boxes("anchors", ANCHORS, case["size"], kind)] * count
    outputs = {
        "objectness": output(f"rpn/{case['name']}/objectness", [count, ANCHORS], kind),
        "deltas": output(f"rpn/{case['name']}/deltas", [count, ANCHORS, 4], kind),
    }
    labels, matched = network.assign_targets_to_anchors(anchors, targets(images, kind, 1))
    wanted = network.box_coder.encode(matched, anchors)
    objectness, box = network.compute_loss(
        outputs["objectness"].reshape(-1, 1), outputs["deltas"].reshape(-1, 4), [label.to(kind) for label in labels], wanted
    )
    return result(case["name"], "rpn", {"rpn_objectness": objectness, "rpn_box": box}, objectness + box, outputs)


def of_roi(case, kind):
    images, columns = case["images"], case["classes"] + 1
    network = roi_heads.RoIHeads(None, torch.nn.Identity(), None, 0.5, 0.5, 512, 0.25, None, 0.05, 0.5, 100)
    proposals = [boxes(f"proposals/{image}", PROPOSALS, case["size"], kind) for image in range(len(images))]
    chosen, _, labels, wanted = network.select_training_samples(proposals, targets(images, kind, 1))
    count = sum(len(c) for c in chosen)
    outputs = {
        "class_logits": output(f"roi/{case['name']}/class_logits", [count, columns], kind),
        "deltas": output(f"roi/{case['name']}/deltas", [count, 4 * columns], kind),
    }
    cls, box = roi_heads.fastrcnn_loss(outputs["class_logits"], outputs["deltas"], labels, wanted)
    all_labels = torch.cat(labels)
    sampled = {
        "rois": torch.cat([torch.cat([torch.full((len(c), 1), i), c], 1) for i, c in enumerate(chosen)]),
        "labels": all_labels,
        "deltas": torch.where(all_labels[:, None] > 0, torch.cat(wanted), 0.0),
    }
    return {
        **result(case["name"], "roi", {"roi_class": cls, "roi_box": box}, cls + box, outputs),
        "sampled": {name: pair(f"sampled/{name}", tensor) for name, tensor in sampled.items()},
        "positive": int((all_labels > 0).sum()),
        "count": count,
    }


def ellipses(image, size, kind):
    """The mask of each object, [n, height, width]."""
    height, width = size
    y, x = numpy.mgrid[:height, :width] + 0.5
    masks = [
        ((x - (x1 + x2) / 2) / ((x2 - x1) / 2)) ** 2 + ((y - (y1 + y2) / 2) / ((y2 - y1) / 2)) ** 2 <= 1
        for x1, y1, x2, y2 in image["boxes"]
    ]
    return torch.from_numpy(numpy.array(masks).reshape(-1, height, width)).to(kind)


def of_mask(case, kind):
    images, columns = case["images"], case["classes"] + 1
    network = roi_heads.RoIHeads(None, torch.nn.Identity(), None, 0.5, 0.5, 512, 0.25, None, 0.05, 0.5, 100)
    proposals = [boxes(f"proposals/{image}", PROPOSALS, case["size"], kind) for image in range(len(images))]
    chosen, matched, labels, _ = network.select_training_samples(proposals, targets(images, kind, 1))
    positive = [label > 0 for label in labels]
    regions, matched = ([v[p] for v, p in zip(values, positive)] for values in (chosen, matched))
    masks = [ellipses(image, case["size"], kind) for image in images]
    count = sum(len(r) for r in regions)
    outputs = {"mask_logits": output(f"mask/{case['name']}/mask_logits", [count, columns, 28, 28], kind)}
    total = roi_heads.maskrcnn_loss(
        outputs["mask_logits"], regions, masks, [target["labels"] for target in targets(images, kind, 1)], matched
    )
    wanted = [roi_heads.project_masks_on_boxes(m, r, i, 28) for m, r, i in zip(masks, regions, matched) if len(r)]
    wanted = torch.cat(wanted) if wanted else torch.zeros(0, 28, 28)
    return {
        **result(case["name"], "mask", {"roi_mask": total}, total, outputs),
        "sampled": {"masks": pair("sampled/masks", wanted)},
        "count": count,
    }


def of_retinanet(case, kind):
    images, classes = case["images"], case["classes"]
    head = retinanet.RetinaNetHead(8, 9, classes)
    matcher = _utils.Matcher(0.5, 0.4, allow_low_quality_matches=True)
    network = types.SimpleNamespace(head=head, proposal_matcher=matcher)
    outputs = {
        "class_logits": output(f"retinanet/{case['name']}/class_logits", [len(images), ANCHORS, classes], kind),
        "deltas": output(f"retinanet/{case['name']}/deltas", [len(images), ANCHORS, 4], kind),
    }
    raw = {"cls_logits": outputs["class_logits"], "bbox_regression": outputs["deltas"]}
    anchors = [boxes("anchors", ANCHORS, case["size"], kind)] * len(images)
    parts = retinanet.RetinaNet.compute_loss(network, targets(images, kind, 0), raw, anchors)
    cls, box = parts["classification"], parts["bbox_regression"]
    return result(case["name"], "retinanet", {"class": cls, "box": box}, cls + box, outputs)


FAMILIES = {"yolov5": of_yolov5, "rpn": of_rpn, "roi": of_roi, "mask": of_mask, "retinanet": of_retinanet}


def in_precision(kind, loss, case):
    """The default is what yolov5 adds the levels up in, whatever the outputs are."""
    torch.set_default_dtype(kind)
    return loss(case, kind)


def freeze(name, size, classes, counts, smoothing):
    images = [objects(name, size, classes, image, count) for image, count in enumerate(counts)]
    case = {"name": name, "size": size, "classes": classes, "label_smoothing": smoothing, "images": images}
    families = {}
    for family, loss in FAMILIES.items():
        families[family] = {"float64": in_precision(torch.float64, loss, case), "float32": in_precision(torch.float32, loss, case)}
        print(f"{name} {family}: {families[family]['float64']['parts']}")
    return {**case, "families": families}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", required=True, type=pathlib.Path, help="fixture folder")
    args = parser.parse_args()
    logging.disable(logging.INFO)  # yolov5 prints its layers
    torch.set_num_threads(1)  # one order of summation, and the last of several writes wins
    with unittest.mock.patch("torch.randperm", permutation):
        cases = [freeze(*case) for case in CASES]
    made_with = {"torch": torch.__version__, "torchvision": torchvision.__version__, "yolov5": yolov5.__version__}
    text = json.dumps({"made_with": made_with, "cases": cases}, indent=1)
    text = re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda m: "[" + re.sub(r"\s+", " ", m[1]) + "]", text)
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / "detection_losses.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
