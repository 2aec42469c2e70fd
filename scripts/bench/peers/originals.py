"""The PyTorch originals of the detectors, as detector_step.py and detector_evaluation.py run them.

The YOLOv5 models come from the package `yolov5` of the Python in use (scripts/oracle/environment installs it). That package is under
the GPL: this project does not contain it; only these benchmarks and the oracles of scripts/parity import it.
"""

import pathlib
import re

import torch
import torchvision
from torchvision.models.detection import FasterRCNN, MaskRCNN, RetinaNet
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
from torchvision.ops.feature_pyramid_network import LastLevelP6P7
from torchvision.ops.misc import FrozenBatchNorm2d


def is_yolov5(model):
    return model.startswith("yolov5")


def yolov5_hyperparameters(side, classes):
    """The package's `hyp.scratch-low`, its gains scaled to image size and classes as its training script scales them."""
    import yaml
    import yolov5

    text = (pathlib.Path(yolov5.__file__).parent / "data/hyps/hyp.scratch-low.yaml").read_text()
    hyp = yaml.safe_load(text)
    hyp["cls"] *= classes / 80
    hyp["obj"] *= (side / 640) ** 2
    hyp["label_smoothing"] = 0.0
    return hyp


def yolov5(model, side, classes):
    import yolov5 as package
    from yolov5.models.yolo import Model

    network = Model(str(pathlib.Path(package.__file__).parent / f"models/{model}.yaml"), ch=3, nc=classes)
    network.hyp = yolov5_hyperparameters(side, classes)
    return network


def torchvision_detector(model, classes, **options):
    """The model as torchvision builds it for fine-tuning: frozen batch norm, three trainable stages."""
    resnet = re.fullmatch(r"(?:fasterrcnn|maskrcnn|retinanet)_(resnet\d+)_fpn", model).group(1)
    body = getattr(torchvision.models, resnet)(norm_layer=FrozenBatchNorm2d)
    if not model.startswith("retinanet"):
        network = MaskRCNN if has_masks(model) else FasterRCNN
        return network(_resnet_fpn_extractor(body, 3), classes + 1, **options)
    extra = LastLevelP6P7(256, 256)
    backbone = _resnet_fpn_extractor(body, 3, returned_layers=[2, 3, 4], extra_blocks=extra)
    return RetinaNet(backbone, classes, **options)


def has_masks(model):
    return model.startswith("maskrcnn")


def first_label(model):
    """Column 0 of an R-CNN is the background; RetinaNet has columns for the classes only."""
    return 0 if model.startswith("retinanet") else 1


def damp_residuals(network):
    """Scales the last frozen norm of each residual block, so that random weights keep activations of the order of one."""
    for module in network.modules():
        if isinstance(module, torchvision.models.resnet.Bottleneck):
            module.bn3.weight.fill_(0.25)
        elif isinstance(module, torchvision.models.resnet.BasicBlock):
            module.bn2.weight.fill_(0.25)
