#!/usr/bin/env python3
"""Freeze what torchvision's detectors and the original YOLOv5 compute, for parameters and inputs that a formula gives on
both sides.

Run:     python3 scripts/oracle/detect_forward.py --output tests/fixtures [MODEL ...]
Needs:   torch, torchvision, timm, numpy; the PyPI package yolov5 7.0.14 for YOLOv5 (an environment of its own).
Writes:  detect_forward/MODEL.json: for COCO's number of classes and for 5, the pair [L2 norm, probe] of every raw output
         (see forward.py), and all detections, in pixels of the prepared images. Networks get normalised images of the
         final size; `inner` says how much of each is picture. Of every case the script checks that float64 finds the
         same detections as float32 does: none of them then hangs on the last digits.

The formula is that of forward.py but for the scale of weights (GAINS) and for YOLOv5's anchors, which stay as they are.
Regions for the second stage of Faster R-CNN, at the key `rois/NAME/I` for image I: of four numbers u, the corners
(u0 * 0.6 * width, u1 * 0.6 * height) and that plus (0.02 + u2 * 0.4) * (width, height).
"""

import argparse
import logging
import math
import pathlib
import re

import numpy
import torch
import torchvision
from torchvision.models.detection.image_list import ImageList

import detectors
import forward

# Normalisation weights that end the branch of a residual block are a quarter.
BRANCH_ENDS = re.compile(r"\.m\.\d+\.cv2\.bn\.weight$")
BRANCH_ENDS_BASIC = re.compile(r"^backbone\.body\.layer.*\.bn2\.weight$")
BRANCH_ENDS_BOTTLENECK = re.compile(r"^backbone\.body\.layer.*\.bn3\.weight$")
# Variance of a weight times its fan-in, times 3, of the first row that fits: outputs are then of order 1, scores differ,
# and boxes are neither points nor whole images.
GAINS = [
    (re.compile(r"^model\.24\.m\."), 30.0),
    (re.compile(r"^model\."), 5.0),
    (re.compile(r"^backbone\.body\."), 3.0),
    (re.compile(r"^backbone\.fpn\.inner_blocks\."), 0.3),
    (re.compile(r"^backbone\.fpn\."), 3.0),
    (re.compile(r"^rpn\.head\.conv\."), 6.0),
    (re.compile(r"^rpn\.head\.cls_logits\."), 6.0),
    (re.compile(r"^rpn\.head\.bbox_pred\."), 0.3),
    (re.compile(r"^roi_heads\.box_head\."), 6.0),
    (re.compile(r"^roi_heads\.box_predictor\.cls_score\."), 12.0),
    (re.compile(r"^roi_heads\.box_predictor\.bbox_pred\."), 10.0),
    (re.compile(r"^roi_heads\.mask_head\."), 6.0),
    # The convolution that doubles the side: its weight is [in, out, 2, 2], and each value of the result sums over `in`.
    (re.compile(r"^roi_heads\.mask_predictor\.conv5_mask\."), 24.0),
    (re.compile(r"^roi_heads\.mask_predictor\.mask_fcn_logits\."), 12.0),
    (re.compile(r"^head\..*_head\.conv\."), 6.0),
    (re.compile(r"^head\.classification_head\.cls_logits\."), 60.0),
    (re.compile(r"^head\.regression_head\.bbox_reg\."), 0.3),
]


def branch_end(name, key):
    if name in detectors.YOLOV5:
        return BRANCH_ENDS.search(key)
    basic = "resnet18" in name or "resnet34" in name
    return (BRANCH_ENDS_BASIC if basic else BRANCH_ENDS_BOTTLENECK).search(key)


def parameter(name, key, value):
    """The tensor under a published key."""
    shape = list(value.shape)
    if key.endswith("num_batches_tracked") or key == "model.24.anchors":
        return value
    u = forward.uniform(key, math.prod(shape))
    if key.endswith("running_var"):
        values = 0.5 + u
    elif key.endswith(("bias", "running_mean")):
        values = (2 * u - 1) * 0.1
    elif len(shape) == 1:
        values = (0.5 + u) * (0.25 if branch_end(name, key) else 1.0)
    else:
        gain = next(gain for pattern, gain in GAINS if pattern.search(key))
        values = (2 * u - 1) * math.sqrt(gain / math.prod(shape[1:]))
    return torch.from_numpy(values.astype(numpy.float32)).reshape(shape)


def rois(case, inner):
    """Eight regions an image, [N][8, 4]."""
    out = []
    for i, (height, width) in enumerate(inner):
        u = forward.uniform(f"rois/{case}/{i}", 8 * 4).reshape(8, 4)
        low = u[:, :2] * 0.6 * [width, height]
        high = low + (0.02 + u[:, 2:] * 0.4) * [width, height]
        out.append(torch.from_numpy(numpy.concatenate([low, high], 1).astype(numpy.float32)))
    return out


def yolov5(net, images, case):
    from yolov5.utils.general import non_max_suppression

    predicted, raw = net(images)
    # [N, 3, h, w, outputs] as the convolution gave it: [N, 3 * outputs, h, w].
    maps = {f"map{i}": r.permute(0, 1, 4, 2, 3).flatten(1, 2) for i, r in enumerate(raw)}
    found = non_max_suppression(
        predicted, case["score"], case["iou"], multi_label=True, max_det=case["cap"]
    )
    return maps, [(f[:, :4], f[:, 4], f[:, 5].long()) for f in found]


def faster_rcnn(net, images, case):
    sizes = [tuple(size) for size in case["inner"]]
    features = net.backbone(images)
    listed = ImageList(images, sizes)
    objectness, deltas = net.rpn.head(list(features.values()))
    rows = lambda maps, last: torch.cat(
        [m.permute(0, 2, 3, 1).reshape(len(m), -1, last) for m in maps], 1
    )
    heads = net.roi_heads
    pooled = heads.box_roi_pool(features, [r.to(images.dtype) for r in rois(case["input"], sizes)], sizes)
    logits, offsets = heads.box_predictor(heads.box_head(pooled))
    raw = {
        "objectness": rows(objectness, 1)[..., 0],
        "rpn_deltas": rows(deltas, 4),
        "logits": logits,
        "deltas": offsets,
    }
    if heads.has_mask():
        shown = heads.mask_roi_pool(features, [r.to(images.dtype) for r in rois(case["input"], sizes)], sizes)
        raw["mask_logits"] = heads.mask_predictor(heads.mask_head(shown))
    proposals, _ = net.rpn(listed, features)
    heads.score_thresh, heads.nms_thresh, heads.detections_per_img = case["score"], case["iou"], case["cap"]
    found, _ = heads(features, proposals, sizes)
    return raw, [(f["boxes"], f["scores"], f["labels"] - 1) for f in found]


def retinanet(net, images, case):
    sizes = [tuple(size) for size in case["inner"]]
    features = list(net.backbone(images).values())
    outputs = net.head(features)
    anchors = net.anchor_generator(ImageList(images, sizes), features)
    per_level = [f.shape[2] * f.shape[3] * 9 for f in features]
    net.score_thresh, net.nms_thresh, net.detections_per_img = case["score"], case["iou"], case["cap"]
    found = net.postprocess_detections(
        {k: list(v.split(per_level, dim=1)) for k, v in outputs.items()}, [list(a.split(per_level)) for a in anchors], sizes
    )
    raw = {"logits": outputs["cls_logits"], "deltas": outputs["bbox_regression"]}
    return raw, [(f["boxes"], f["scores"], f["labels"]) for f in found]


def run(name, net, case):
    images = forward.images(case["input"], case["shape"]).to(next(net.parameters()).dtype)
    family = yolov5 if name in detectors.YOLOV5 else faster_rcnn if name not in detectors.RETINANET else retinanet
    with torch.no_grad():
        return family(net, images, case)


def rounded(image):
    boxes, scores, labels = image
    return [
        [int(label), float(f"{float(score):.7g}"), *(float(f"{v:.7g}") for v in box.tolist())]
        for box, score, label in zip(boxes, scores, labels)
    ]


def same(one, other):
    """Whether two lists of detections pair up one to one."""
    if len(one) != len(other):
        return False
    rest = list(other)
    for a in one:
        near = [b for b in rest if a[0] == b[0] and abs(a[1] - b[1]) < 1e-5 and max(abs(x - y) for x, y in zip(a[2:], b[2:])) < 1e-3]
        if not near:
            return False
        rest.remove(near[0])
    return True


def freeze(name):
    published = detectors.published_classes(name)
    pair = {"input": "pair", "shape": [2, 3, 96, 128], "inner": [[96, 128], [70, 101]]}
    odd = {"input": "odd", "shape": [1, 3, 160, 96], "inner": [[147, 96]]}
    cases = [
        {**pair, "classes": 5, "score": 0.2, "iou": 0.5, "cap": 30},
        # Between the best scores of the two images: one of them finds nothing.
        {**pair, "classes": 5, "score": None, "iou": 0.5, "cap": 30},
        {**odd, "classes": published, "score": 0.1, "iou": 0.3, "cap": 20},
    ]
    out, nets, best = [], {}, None
    for case in cases:
        if case["score"] is None:
            case["score"] = round(sum(best) / 2, 6)
        classes = case["classes"]
        if classes not in nets:
            net = detectors.detector(name, classes)
            net.load_state_dict({k: parameter(name, k, v) for k, v in net.state_dict().items()})
            nets = {classes: net}
        net = nets[classes]
        raw, found = run(name, net, case)
        _, exact = run(name, net.double(), case)
        net.float()
        found, exact = [rounded(f) for f in found], [rounded(f) for f in exact]
        if not all(same(a, b) for a, b in zip(found, exact, strict=True)):
            raise SystemExit(f"{name} {case}: float32 and float64 find different objects; choose another input")
        best = [f[0][1] if f else 0.0 for f in found]
        spread = ", ".join(f"{k} {float(v.double().std()):.2g}" for k, v in raw.items())
        print(f"{name} {case['input']}, {classes} classes: {[len(f) for f in found]} found, best {best}; spread {spread}", flush=True)
        out.append({**case, "raw": {k: forward.pair(k, v) for k, v in raw.items()}, "detections": found})
    versions = {"torch": torch.__version__, "torchvision": torchvision.__version__}
    return {"model": name, "made_with": versions, "cases": out}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", required=True, type=pathlib.Path, help="fixture folder")
    parser.add_argument("models", nargs="*", default=detectors.DETECTORS)
    args = parser.parse_args()
    logging.disable(logging.INFO)
    torch.set_num_threads(1)  # one order of summation
    folder = args.output / "detect_forward"
    folder.mkdir(parents=True, exist_ok=True)
    for name in args.models:
        (folder / f"{name}.json").write_text(forward.dump(freeze(name)))


if __name__ == "__main__":
    main()
