#!/usr/bin/env python3
"""Write weight files as the packages write them, and what their own networks compute from them.

Run:     scripts/parity does, or: python3 scripts/oracle/real_files.py --output FOLDER
Needs:   torch, torchvision, timm, safetensors (see scripts/parity for the versions); the PyPI package yolov5 7.0.14 for files
         of the original YOLOv5.
Writes:  FOLDER/*.safetensors, *.pth, *.pt (about 4 GB, never committed) and files.json: for each file the model that it is of,
         the side of the images, and the logits of the input `input/NAME` of the formula in forward.py; for each file of a
         detector its size and the detections of such an input; and files with the keys and shapes of those in the registry's table.

Weights are random. tests/parity/files.rs loads every file with all that `--pretrained FILE` does and compares the logits.
"""

import argparse
import copy
import datetime
import json
import pathlib

import numpy
import timm
import torch
import torchvision
from safetensors.torch import save_file
from timm.models.vision_transformer import checkpoint_filter_fn

import detect_forward
import detectors
import forward

CLASSES = 7


def randomised(net):
    """Numbers in every entry: nothing that is left at its initial 0 or 1 could show that it was not read."""
    torch.manual_seed(0)
    with torch.no_grad():
        for key, value in net.state_dict().items():
            if key.endswith(("running_mean", "bias", "pos_embed", "pos_embedding", "cls_token", "class_token")):
                value.normal_(0, 0.1)
            elif key.endswith("running_var") or value.dim() == 1:
                value.uniform_(0.3, 0.7)
            elif key.endswith("num_batches_tracked"):
                value.fill_(3)
    return net.eval()


def pool_of_today(net):
    """The legacy SE-ResNeXt with the first pooling of its successor, which is all that differs between the two networks."""
    net.pool0 = torch.nn.MaxPool2d(3, stride=2, padding=1)
    return net


def smaller(net, name, side):
    """timm's own way from a file of larger images to a network of this side."""
    other = timm.create_model(name, num_classes=CLASSES, img_size=side).eval()
    other.load_state_dict(checkpoint_filter_fn(dict(net.state_dict()), other))
    return other


def rows():
    """(model, file without ending, side, the network that writes the file, the network that computes, how it is written)."""
    make = lambda name, **options: randomised(timm.create_model(name, num_classes=CLASSES, **options))
    for model, name in [
        ("resnest50", "resnest50d"), ("seresnext", "seresnext50_32x4d"), ("efficientnet_lite0", "tf_efficientnet_lite0"),
        ("convnextv2_atto", "convnextv2_atto"), ("convnextv2_tiny", "convnextv2_tiny"),
    ]:
        net = make(name)
        yield model, f"timm_{model}", 64, net, net, "safetensors"
    net = make("vit_small_patch16_224", img_size=64)
    yield "vits16r224", "timm_vits16r224", 64, net, net, "safetensors"
    net = make("vit_small_patch16_224")
    yield "vits16r224", "timm_vits16r224_of_224_pixels", 96, net, smaller(net, "vit_small_patch16_224", 96), "safetensors"
    # As the authors publish it, but with a head.
    net = make("vit_small_patch14_dinov2", img_size=518)
    net.mask_token = torch.nn.Parameter(torch.ones(1, net.embed_dim))
    yield "dinov2_small", "timm_dinov2_small_of_518_pixels", 98, net, smaller(net, "vit_small_patch14_dinov2", 98), "zip"
    net = make("legacy_seresnext50_32x4d")
    yield "seresnext", "timm_legacy_seresnext", 64, net, pool_of_today(net), "zip"
    for model, name in [("resnet18", "resnet18"), ("mobilenetv2", "mobilenet_v2")]:
        net = randomised(getattr(torchvision.models, name)(num_classes=CLASSES))
        for how in ("zip", "legacy", "nested"):
            yield model, f"torchvision_{model}_{how}", 64, net, net, how
    net = randomised(torchvision.models.vit_b_16(num_classes=CLASSES, image_size=64))
    yield "vitb16r224", "torchvision_vitb16r224", 64, net, net, "zip"


def published():
    """(model, state dict, how it is written) with the keys and shapes of each published file, which the packages would load. That of
    EfficientNet-Lite0 is not among them: scripts/setup fetches the file itself."""
    for depth in [18, 34, 50, 101, 152]:
        yield f"resnet{depth}", getattr(torchvision.models, f"resnet{depth}")().state_dict(), "legacy"
    yield "mobilenetv2", torchvision.models.mobilenet_v2().state_dict(), "legacy"
    for model, name, how in [
        ("resnest50", "resnest50d", "legacy"), ("resnest101", "resnest101e", "legacy"), ("seresnext", "seresnext50_32x4d", "zip"),
        ("vits16r224", "deit_small_patch16_224", "model"), ("vitb16r224", "vit_base_patch16_224", "zip"),
        ("vitl16r224", "vit_large_patch16_224", "zip"),
    ]:
        yield model, timm.create_model(name).state_dict(), how
    for model in ["fasterrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn", "retinanet_resnet50_fpn"]:
        net = detectors.detector(model, detectors.published_classes(model))
        yield model, detectors.first_state_dict(model, net), "legacy"
        yield model, net.state_dict(), "zip"


def write(path, state, how):
    if how == "safetensors":
        path = path.with_suffix(".safetensors")
        save_file(state, path)
    else:
        path = path.with_suffix(".pth")
        value = {"nested": {"epoch": 3, "state_dict": state}, "model": {"model": state}}.get(how, state)
        torch.save(value, path, _use_new_zipfile_serialization=how != "legacy")
    return path.name


def original(net, how):
    """What the original YOLOv5 writes: whole modules in half precision; at the end of a training the average alone, before that
    with the optimizer."""
    final = {key: None for key in ("best_fitness", "ema", "updates", "optimizer", "git")}
    half = copy.deepcopy(net).half()
    if how == "training":
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        state = {"optimizer": optimizer.state_dict(), "updates": 10, "best_fitness": numpy.float64(0.5)}
        return {"epoch": 3, "model": half, "ema": copy.deepcopy(half), **state, "opt": argparse.Namespace(epochs=5)}
    return {"epoch": -1, "model": half.requires_grad_(False), **final, "opt": None, "date": datetime.datetime.now().isoformat()}


def original_files(folder):
    """A description of each file of the original YOLOv5, which is written."""
    for size, how in [("nano", "final"), ("small", "training"), ("nano", "legacy")]:
        name, case = f"yolov5_{size}", {"input": "pair", "shape": [2, 3, 96, 128], "classes": 5, "score": 0.2, "iou": 0.5, "cap": 30}
        net = detectors.detector(name, case["classes"])
        net.load_state_dict({k: detect_forward.parameter(name, k, v) for k, v in net.state_dict().items()})
        file = f"original_{name}_{how}.pt"
        torch.save(original(net, how), folder / file, _use_new_zipfile_serialization=how != "legacy")
        # Twice: the original's suppression gives up on a slow machine, and in single precision boxes may change places.
        found, exact = ([detect_forward.rounded(f) for f in detect_forward.run(name, net.half().to(t), case)[1]] for t in (torch.float32, torch.float64))
        if not all(detect_forward.same(a, b) for a, b in zip(found, exact, strict=True)):
            raise SystemExit(f"{file}: float32 and float64 find different objects; run it again on an idle machine")
        print(f"{file}: {[len(f) for f in found]} found")
        yield {"file": file, "model": "yolov5", "model_size": size, **case, "detections": found}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", required=True, type=pathlib.Path, help="folder for the files")
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for model, name, side, writer, net, how in rows():
        file = write(folder / name, writer.state_dict(), how)
        with torch.no_grad():
            logits = net(forward.images(name, [2, 3, side, side]))
        files.append({"file": file, "model": model, "side": side, "input": name, "logits": logits.tolist()})
        print(f"{file}: mean square of the logits {float(logits.square().mean()):.3g}")
    try:
        import yolov5  # noqa: F401
    except ImportError:
        found = []
    else:
        found = list(original_files(folder))
    named = [{"model": model, "file": write(folder / f"published_{model}_{how}", state, how)} for model, state, how in published()]
    (folder / "files.json").write_text(json.dumps({"classes": CLASSES, "files": files, "detectors": found, "published": named}))


if __name__ == "__main__":
    main()
