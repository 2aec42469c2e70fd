"""The detectors of torchvision and of the original YOLOv5 package, with random weights, as the other scripts use them.

Needs:   torch, torchvision; the PyPI package yolov5 7.0.14 for YOLOv5, which is only run, in an environment of its own.
"""

import contextlib
import io
import pathlib

import torch
from torchvision.models.detection import FasterRCNN, MaskRCNN, RetinaNet
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.retinanet import _default_anchorgen
from torchvision.ops import misc
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

YOLOV5 = {f"yolov5_{size}": f"yolov5{size[0]}" for size in ["nano", "small", "medium", "large", "xlarge"]}
FASTER_RCNN = {f"fasterrcnn_resnet{depth}_fpn": f"resnet{depth}" for depth in [18, 34, 50, 101, 152]}
MASK_RCNN = {f"maskrcnn_resnet{depth}_fpn": f"resnet{depth}" for depth in [18, 34, 50, 101, 152]}
RETINANET = {"retinanet_resnet50_fpn": "resnet50"}
DETECTORS = [*YOLOV5, *FASTER_RCNN, *MASK_RCNN, *RETINANET]


def published_classes(name):
    """Classes that parameter counts are published for, without a background."""
    return 80 if name in YOLOV5 else 91 if name in RETINANET else 90


def detector(name, classes):
    """The oracle for `classes` classes, in evaluation mode. torchvision's R-CNN counts the background as one more, and
    its RetinaNet does not (there, every column is a class)."""
    if name in YOLOV5:
        import yolov5
        from yolov5.models.yolo import DetectionModel

        layout = pathlib.Path(yolov5.__file__).parent / "models" / f"{YOLOV5[name]}.yaml"
        with contextlib.redirect_stdout(io.StringIO()):
            return DetectionModel(layout, ch=3, nc=classes).eval()
    frozen = {"weights": None, "norm_layer": misc.FrozenBatchNorm2d, "trainable_layers": 3}
    for family, make in [(FASTER_RCNN, FasterRCNN), (MASK_RCNN, MaskRCNN)]:
        if name in family:
            backbone = resnet_fpn_backbone(backbone_name=family[name], **frozen)
            return make(backbone, num_classes=classes + 1).eval()
    extra = LastLevelP6P7(256, 256)
    backbone = resnet_fpn_backbone(
        backbone_name=RETINANET[name], returned_layers=[2, 3, 4], extra_blocks=extra, **frozen
    )
    return RetinaNet(backbone, num_classes=classes, anchor_generator=_default_anchorgen()).eval()


def first_spelling(name, key):
    """What the first published files of torchvision's detectors (COCO_V1) call the parameter `key`."""
    parts = key.split(".")
    if parts[:2] == ["backbone", "fpn"] and parts[2] in ("inner_blocks", "layer_blocks"):
        return ".".join([*parts[:4], *parts[5:]])
    if parts[:3] == ["rpn", "head", "conv"]:
        return ".".join([*parts[:3], *parts[5:]])
    if parts[:2] == ["roi_heads", "mask_head"]:
        return ".".join([*parts[:2], f"mask_fcn{int(parts[2]) + 1}", *parts[4:]])
    if parts[0] == "head" and parts[2] == "conv":
        return ".".join([*parts[:3], str(2 * int(parts[3])), *parts[5:]])
    return key


def first_state_dict(name, net):
    """The state dict in that spelling. torchvision itself reads it, which says that the spelling is right."""
    old = {first_spelling(name, key): value for key, value in net.state_dict().items()}
    assert len(old) == len(net.state_dict())
    with torch.no_grad():
        net.load_state_dict(old, strict=True)
    return old
