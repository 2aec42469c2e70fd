#!/usr/bin/env python3
"""Freeze what torchvision and timm compute, for parameters and inputs that a formula gives on both sides.

Run:     python3 scripts/oracle/forward.py --output tests/fixtures [MODEL ...]
Needs:   torch, torchvision, timm, numpy (see scripts/parity for the versions).
Writes:  forward/MODEL.json: float32 logits in evaluation mode at three sizes; and of one training step (cross entropy,
         dropout off) the loss, and for every parameter's gradient and every running statistic after it the pair
         [L2 norm, probe], where the probe is the dot product with the uniform vector of the key `probe/KEY`.
         The training step is in float64: in float32 a handful of ReLUs near 0 fall on one side or the other with the
         order of summation, which moves gradients by up to 2 %, on PyTorch as anywhere. `float32_noise` says by how
         much PyTorch's own float32 steps in two memory layouts are away: the largest
         |difference of norms or probes| / max(norm, total / 1000).

The formula (tests/lib.rs has the same in Rust). Element i of the tensor KEY is a function of
u = top 24 bits of mix(fnv1a64(KEY) + (i + 1) * 0x9e3779b97f4a7c15) / 2^24, in [0, 1), where mix is the output function
of SplitMix64; arithmetic is in double precision, rounded to single at the end:
    weight with 2 or 4 dimensions   (2u - 1) * sqrt(gain / fan_in), fan_in the product of all dimensions but the first,
                                    gain 9 for MobileNetV2 and EfficientNet-Lite0, whose values pass from layer to
                                    layer, and 3 for the others, which add branches up
    cls_token, pos_embed            2u - 1
    normalisation weight, gamma     0.5 + u, a quarter of it where it scales the branch of a residual block
    running_var                     0.5 + u
    bias, running_mean              (2u - 1) * 0.1
    num_batches_tracked             0
    input, at the key `input/NAME`  (2u - 1) * 2
    probe                           2u - 1
"""

import argparse
import copy
import json
import math
import pathlib
import re

import numpy
import timm
import torch
import torchvision

import keys

CLASSES = 10
EVAL = {"small": [2, 3, 64, 64], "usual": [1, 3, 224, 224], "odd": [1, 3, 97, 113]}
# Transformers, which have a position for each patch, take squares.
SQUARES = {"small": [2, 3, 64, 64], "usual": [1, 3, 224, 224], "odd": [1, 3, 97, 97]}
TRAIN = [4, 3, 64, 64]
TARGETS = [3, 7, 0, 7]
# The last normalisation of a residual branch: torchvision's ResNets (bottleneck, basic), MobileNetV2, EfficientNet-Lite0.
BRANCH_ENDS = {
    "bottleneck": re.compile(r"\.bn3\.weight$"),
    "basic": re.compile(r"^layer.*\.bn2\.weight$"),
    "mobilenetv2": re.compile(r"\.conv\.3\.weight$"),
    "efficientnet_lite0": re.compile(r"\._bn2\.weight$"),
}


def branch_end(name):
    return BRANCH_ENDS.get({"resnet18": "basic", "resnet34": "basic"}.get(name, name), BRANCH_ENDS["bottleneck"])


def gain(name):
    return 9.0 if name in ("mobilenetv2", "efficientnet_lite0") else 3.0


def fnv1a64(text):
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return h


def uniform(key, count):
    """`count` doubles in [0, 1)."""
    with numpy.errstate(over="ignore"):
        z = numpy.uint64(fnv1a64(key)) + numpy.arange(1, count + 1, dtype=numpy.uint64) * numpy.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        z = z ^ (z >> numpy.uint64(31))
    return (z >> numpy.uint64(40)).astype(numpy.float64) / 2.0**24


def parameter(name, key, shape):
    """The tensor under a published key, float32 (int64 for counters)."""
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    u = uniform(key, math.prod(shape))
    if key.endswith("running_var"):
        values = 0.5 + u
    elif key in ("cls_token", "pos_embed"):
        values = 2 * u - 1
    elif key.endswith(("bias", "running_mean")):
        values = (2 * u - 1) * 0.1
    elif len(shape) == 1:
        values = (0.5 + u) * (0.25 if branch_end(name).search(key) else 1.0)
    else:
        values = (2 * u - 1) * math.sqrt(gain(name) / math.prod(shape[1:]))
    return torch.from_numpy(values.astype(numpy.float32)).reshape(shape)


def images(name, shape):
    values = (2 * uniform(f"input/{name}", math.prod(shape)) - 1) * 2
    return torch.from_numpy(values.astype(numpy.float32)).reshape(shape)


def pair(key, tensor):
    flat = tensor.detach().double().flatten().numpy()
    probe = 2 * uniform(f"probe/{key}", flat.size) - 1
    return [significant(math.sqrt(float((flat * flat).sum()))), significant(float((flat * probe).sum()))]


def significant(value):
    return float(f"{value:.9g}")


def network(name, side):
    """The oracle with the formula's parameters, and the function from its keys to the published ones."""
    if name == "efficientnet_lite0":
        net, published = timm.create_model("tf_efficientnet_lite0", num_classes=CLASSES), keys.lite0_key_from_timm
    else:
        net, published = keys.oracle_net(name, CLASSES, side), lambda key: key
    net.load_state_dict({k: parameter(name, published(k), list(v.shape)) for k, v in net.state_dict().items()})
    return net.eval(), published


def freeze(name):
    cases, distance = [], 0.0
    for case, shape in (SQUARES if keys.is_transformer(name) else EVAL).items():
        net, published = network(name, shape[3])
        with torch.no_grad():
            logits = net(images(case, shape))
            exact = net.double()(images(case, shape).double())
        distance = max(distance, float(((logits - exact) / exact.abs().clamp(min=1)).abs().max()))
        cases.append({"input": case, "shape": shape, "logits": [[significant(v) for v in row] for row in logits.tolist()]})
        print(f"{name} {case}: mean square {float(logits.square().mean()):.3g}")
    net, published = network(name, TRAIN[3])
    net.train()
    exact = training_step(copy.deepcopy(net).double(), published)
    last = copy.deepcopy(net).to(memory_format=torch.channels_last)
    singles = [training_step(net, published), training_step(last, published)]
    total = math.sqrt(sum(norm * norm for norm, _ in exact["gradients"].values()))
    noise = max(
        max(abs(a - b) for a, b in zip(single["gradients"][key], exact["gradients"][key])) / max(norm, total / 1000)
        for single in singles
        for key, (norm, _) in exact["gradients"].items()
    )
    print(f"{name}: loss {exact['loss']:.6g}; float32 against float64: logits {distance:.2g}, gradients {noise:.2g}")
    return {
        "model": name,
        "classes": CLASSES,
        "made_with": {"torch": torch.__version__, "torchvision": torchvision.__version__, "timm": timm.__version__},
        "eval": cases,
        "train": {"input": "train", "shape": TRAIN, "targets": TARGETS, "float32_noise": significant(noise), **exact},
    }


def training_step(net, published):
    """Loss, gradients and statistics of one step in the network's own precision, which is changed by it."""
    precision = next(net.parameters()).dtype
    loss = torch.nn.functional.cross_entropy(net(images("train", TRAIN).to(precision)), torch.tensor(TARGETS))
    loss.backward()
    parameters = dict(net.named_parameters())
    return {
        "loss": significant(loss.item()),
        "gradients": {published(k): pair(published(k), p.grad) for k, p in parameters.items()},
        "buffers": {
            published(k): pair(published(k), v)
            for k, v in net.state_dict().items()
            if k not in parameters and not k.endswith("num_batches_tracked")
        },
    }


def dump(fixture):
    """JSON with one gradient or buffer a line."""
    text = json.dumps(fixture, indent=1)
    return re.sub(r"\[\s+([^\[\]]*?)\s+\]", lambda m: "[" + re.sub(r"\s+", " ", m[1]) + "]", text) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", required=True, type=pathlib.Path, help="fixture folder")
    parser.add_argument("models", nargs="*", default=keys.NETWORKS)
    args = parser.parse_args()
    torch.set_num_threads(1)  # one order of summation
    folder = args.output / "forward"
    folder.mkdir(parents=True, exist_ok=True)
    for name in args.models:
        (folder / f"{name}.json").write_text(dump(freeze(name)))


if __name__ == "__main__":
    main()
