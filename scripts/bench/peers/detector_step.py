"""Training steps of a detector by the PyTorch originals.

detector_step.py prepare MODEL HEIGHTxWIDTH BATCH FOLDER
detector_step.py MODEL HEIGHTxWIDTH BATCH fp32|bf16 contiguous|channels_last STEPS THREADS FOLDER [DEVICE]

`prepare` writes what both sides read: FOLDER/weights.safetensors, the original's random initial values under its own keys, and
FOLDER/case.safetensors with `images` (uint8 [n, h, w, 3]), `boxes` (float32 [k, 4], xyxy in pixels), `labels` (int64 [k], from 0)
and `owners` (int64 [k], the image of each box), of a mask model also `polygons` (float32 [k, points, 2], in pixels), which are ellipses in
the boxes. The second form prints the milliseconds of each step, the loss of the first, and the most memory that was in use, in MB.
"""

import json
import pathlib
import resource
import sys

import torch
from safetensors.torch import load_file, save_file

import steps as stepping
from originals import damp_residuals, first_label, has_masks, is_yolov5, torchvision_detector, yolov5

CLASSES = 80
BOXES = 8
# A multiple of four, so that an ellipse touches its box.
POINTS = 32


def build(model, height, width):
    if is_yolov5(model):
        return yolov5(model, max(height, width), CLASSES)
    # The images have their final size already, on both sides.
    return torchvision_detector(model, CLASSES, min_size=height, max_size=width, _skip_resize=True)


def prepare(model, size, batch, folder):
    height, width = map(int, size.split("x"))
    torch.manual_seed(0)
    network = build(model, height, width)
    damp_residuals(network)
    extent = torch.tensor([width, height])
    sides = (0.08 + 0.4 * torch.rand(batch * BOXES, 2)) * extent
    corners = torch.rand(batch * BOXES, 2) * (extent - sides)
    case = {
        "images": torch.randint(256, (batch, height, width, 3), dtype=torch.uint8),
        "boxes": torch.cat([corners, corners + sides], 1),
        "labels": torch.randint(CLASSES, (batch * BOXES,)),
        "owners": torch.arange(batch).repeat_interleave(BOXES),
    }
    if has_masks(model):
        case["polygons"] = ellipses(case["boxes"], POINTS)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(case, folder / "case.safetensors")
    save_file({key: value.clone() for key, value in network.state_dict().items()}, folder / "weights.safetensors")


def ellipses(boxes, points):
    """Float [k, points, 2]: of each box the ellipse that touches it."""
    angles = torch.arange(points) * (2 * torch.pi / points)
    middles, radii = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    return middles[:, None] + radii[:, None] * torch.stack([angles.cos(), angles.sin()], 1)


def full_masks(polygons, height, width):
    """Uint8 [k, height, width], by COCO's rule, as torchvision's references make them of annotations."""
    from pycocotools import mask as coco

    decoded = [coco.decode(coco.merge(coco.frPyObjects([ring.flatten().tolist()], height, width))) for ring in polygons]
    return torch.stack([torch.from_numpy(mask) for mask in decoded])


def yolov5_loss(network, case, device):
    """The package's own loss on a batch of pixels."""
    from yolov5.utils.loss import ComputeLoss

    loss = ComputeLoss(network)
    height, width = case["images"].shape[1:3]
    boxes = case["boxes"] / torch.tensor([width, height, width, height])
    centres, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    targets = torch.cat([case["owners"][:, None], case["labels"][:, None], centres, sides], 1).to(device)
    return lambda pixels: loss(network(pixels.float() / 255), targets)[0]


def torchvision_loss(model, network, case, device):
    """The sum of the losses that torchvision's detector returns in training."""
    targets = []
    for image in range(len(case["images"])):
        own = case["owners"] == image
        boxes, labels = case["boxes"][own], case["labels"][own] + first_label(model)
        target = {"boxes": boxes, "labels": labels}
        if has_masks(model):
            target["masks"] = full_masks(case["polygons"][own], *case["images"].shape[1:3])
        targets.append({name: value.to(device) for name, value in target.items()})
    return lambda pixels: sum(network(list(pixels.float() / 255), targets).values())


def groups(network):
    """Decay for weights of more than one dimension only."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    decayed = [p for p in parameters if p.dim() > 1]
    plain = [p for p in parameters if p.dim() <= 1]
    return [{"params": decayed, "weight_decay": 5e-4}, {"params": plain, "weight_decay": 0.0}]


def main():
    if sys.argv[1] == "prepare":
        model, size, batch, folder = sys.argv[2:]
        return prepare(model, size, int(batch), pathlib.Path(folder))
    model, size, batch, arithmetic, layout, steps, threads, folder, *named = sys.argv[1:]
    device = stepping.device(named)
    torch.set_num_threads(int(threads))
    height, width = map(int, size.split("x"))
    case = load_file(pathlib.Path(folder) / "case.safetensors")
    assert case["images"].shape == (int(batch), height, width, 3)
    network = build(model, height, width)
    network.load_state_dict(load_file(pathlib.Path(folder) / "weights.safetensors"))
    network.train().to(device)
    pixels = case["images"].permute(0, 3, 1, 2)
    if layout == "channels_last":
        network = network.to(memory_format=torch.channels_last)
    else:
        pixels = pixels.contiguous()
    loss_of = yolov5_loss(network, case, device) if is_yolov5(model) else torchvision_loss(model, network, case, device)
    # On a CUDA device the faster of PyTorch's own.
    optimizer = torch.optim.SGD(groups(network), lr=1e-3, momentum=0.9, nesterov=True, fused=device.type != "cpu" or None)
    upload, losses = stepping.upload(pixels, device), []

    def step():
        with torch.autocast(device.type, torch.bfloat16, enabled=arithmetic == "bf16"):
            loss = loss_of(upload())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())

    times = stepping.timed(device, int(steps), step)
    losses = [value.sum().item() for value in losses]
    assert all(value == value for value in losses), losses
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps({"step": times, "loss": losses[0], "peak": peak}))


if __name__ == "__main__":
    main()
