#!/usr/bin/env python3
"""Write weight files as the packages write them, and what their own networks compute from them.

Run:     scripts/parity does, or: python3 scripts/oracle/real_files.py --output FOLDER
Needs:   torch, torchvision, timm, safetensors (see scripts/parity for the versions).
Writes:  FOLDER/*.safetensors, *.pth (about 1 GB, never committed) and files.json: for each file the model that it is of, the
         side of the pictures, and the logits of the input `input/NAME` of the formula in forward.py.

Weights are random. tests/parity/files.rs loads every file with all that `--pretrained FILE` does and compares the logits.
"""

import argparse
import json
import pathlib

import timm
import torch
import torchvision
from safetensors.torch import save_file
from timm.models.vision_transformer import checkpoint_filter_fn

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


def smaller(net):
    """timm's own way from a file of 224 pixels to a network of 96."""
    other = timm.create_model("vit_small_patch16_224", num_classes=CLASSES, img_size=96).eval()
    other.load_state_dict(checkpoint_filter_fn(dict(net.state_dict()), other))
    return other


def rows():
    """(model, file without ending, side, the network that writes the file, the network that computes, how it is written)."""
    make = lambda name, **options: randomised(timm.create_model(name, num_classes=CLASSES, **options))
    for model, name in [("resnest50", "resnest50d"), ("seresnext", "seresnext50_32x4d"), ("efficientnet_lite0", "tf_efficientnet_lite0")]:
        net = make(name)
        yield model, f"timm_{model}", 64, net, net, "safetensors"
    net = make("vit_small_patch16_224", img_size=64)
    yield "vits16r224", "timm_vits16r224", 64, net, net, "safetensors"
    net = make("vit_small_patch16_224")
    yield "vits16r224", "timm_vits16r224_of_224_pixels", 96, net, smaller(net), "safetensors"
    net = make("legacy_seresnext50_32x4d")
    yield "seresnext", "timm_legacy_seresnext", 64, net, pool_of_today(net), "zip"
    for model, name in [("resnet18", "resnet18"), ("mobilenetv2", "mobilenet_v2")]:
        net = randomised(getattr(torchvision.models, name)(num_classes=CLASSES))
        for how in ("zip", "legacy", "nested"):
            yield model, f"torchvision_{model}_{how}", 64, net, net, how
    net = randomised(torchvision.models.vit_b_16(num_classes=CLASSES, image_size=64))
    yield "vitb16r224", "torchvision_vitb16r224", 64, net, net, "zip"


def write(path, net, how):
    state = net.state_dict()
    if how == "safetensors":
        path = path.with_suffix(".safetensors")
        save_file(state, path)
    else:
        path = path.with_suffix(".pth")
        value = {"epoch": 3, "state_dict": state} if how == "nested" else state
        torch.save(value, path, _use_new_zipfile_serialization=how != "legacy")
    return path.name


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", required=True, type=pathlib.Path, help="folder for the files")
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for model, name, side, writer, net, how in rows():
        file = write(folder / name, writer, how)
        with torch.no_grad():
            logits = net(forward.images(name, [2, 3, side, side]))
        files.append({"file": file, "model": model, "side": side, "input": name, "logits": logits.tolist()})
        print(f"{file}: mean square of the logits {float(logits.square().mean()):.3g}")
    (folder / "files.json").write_text(json.dumps({"classes": CLASSES, "files": files}))


if __name__ == "__main__":
    main()
