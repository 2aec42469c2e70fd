"""Training steps of a classifier by torchvision's and timm's models, in PyTorch.

classifier_step.py MODEL BATCH fp32|bf16 contiguous|channels_last STEPS THREADS [DEVICE] prints the milliseconds of each step, and the
loss of the last.
"""

import json
import sys

import torch
import torchvision

import steps as stepping

model, batch, arithmetic, layout, steps, threads, *named = sys.argv[1:]
device = stepping.device(named)
torch.set_num_threads(int(threads))
TIMM = {
    "efficientnet_lite0": ("tf_efficientnet_lite0", {"drop_rate": 0.2}),
    "resnest50": ("resnest50d", {}),
    "resnest101": ("resnest101e", {}),
    "seresnext": ("seresnext50_32x4d", {}),
    "vits16r224": ("vit_small_patch16_224", {}),
    "vitb16r224": ("vit_base_patch16_224", {}),
    "vitl16r224": ("vit_large_patch16_224", {}),
    "dinov2_small": ("vit_small_patch14_dinov2", {"img_size": 224, "num_classes": 1000}),
    "dinov2_base": ("vit_base_patch14_dinov2", {"img_size": 224, "num_classes": 1000}),
    **{f"convnextv2_{size}": (f"convnextv2_{size}", {}) for size in ("atto", "femto", "pico", "nano", "tiny", "base")},
}
if model in TIMM:
    import timm

    name, options = TIMM[model]
    network = timm.create_model(name, **options)
else:
    name = {"mobilenetv2": "mobilenet_v2"}.get(model, model)
    network = getattr(torchvision.models, name)()
network.train().to(device)
images = torch.randint(256, (int(batch), 3, 224, 224), dtype=torch.uint8)
mean = torch.tensor([123.675, 116.28, 103.53]).view(1, 3, 1, 1).to(device)
scale = 1 / torch.tensor([58.395, 57.12, 57.375]).view(1, 3, 1, 1).to(device)
if layout == "channels_last":
    network = network.to(memory_format=torch.channels_last)
    images = images.to(memory_format=torch.channels_last)
targets = torch.randint(1000, (int(batch),)).to(device)
pixels = stepping.upload(images, device)
decayed = [p for p in network.parameters() if p.dim() > 1]
plain = [p for p in network.parameters() if p.dim() <= 1]
groups = [{"params": decayed, "weight_decay": 1e-4}, {"params": plain, "weight_decay": 0.0}]
# On a CUDA device the faster of PyTorch's own.
optimizer = torch.optim.SGD(groups, lr=0.01, momentum=0.9, nesterov=True, fused=device.type != "cpu" or None)
losses = []


def step():
    x = (pixels().float() - mean) * scale
    with torch.autocast(device.type, torch.bfloat16, enabled=arithmetic == "bf16"):
        logits = network(x)
    loss = torch.nn.functional.cross_entropy(logits.float(), targets)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    losses[:] = [loss.detach()]


times = stepping.timed(device, int(steps), step)
print(json.dumps({"step": times, "loss": losses[0].item()}))
