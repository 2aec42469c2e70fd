"""A training of a classifier as a torchvision user writes it: classifier_epoch.py MODEL BATCH fp32|bf16 EPOCHS THREADS DATA.jsonl [DEVICE]
[WORKERS]

A DataLoader with two processes, or as many as WORKERS says, over PIL images, the views that Fovea makes, SGD. Prints the milliseconds an
image of each epoch.
"""

import json
import pathlib
import sys
import time

import torch
import torchvision
from PIL import Image
from torchvision.transforms import v2 as transforms

import steps as stepping

model, batch, arithmetic, epochs, threads, listing, *named = sys.argv[1:]
device = stepping.device(named)
workers = int(named[1]) if len(named) > 1 else 2


class Images(torch.utils.data.Dataset):
    def __init__(self, rows, folder):
        self.classes = sorted({row["label"] for row in rows})
        self.samples = [(folder / row["image_url"], self.classes.index(row["label"])) for row in rows]
        jitter = transforms.ColorJitter(0.4, 0.4, 0.4, 0.4)
        self.view = transforms.Compose([
            transforms.RandomResizedCrop(224),
            transforms.RandomHorizontalFlip(),
            transforms.RandomApply([jitter], 0.5),
            transforms.ToImage(),
            transforms.ToDtype(torch.float32, scale=True),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ])

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        path, target = self.samples[index]
        return self.view(Image.open(path).convert("RGB")), target


def main():
    torch.set_num_threads(int(threads))
    torch.manual_seed(0)
    path = pathlib.Path(listing)
    data = Images([json.loads(line) for line in path.read_text().splitlines() if line.strip()], path.parent)
    loader = torch.utils.data.DataLoader(
        data, int(batch), shuffle=True, num_workers=workers, persistent_workers=True, prefetch_factor=2,
        pin_memory=device.type != "cpu",
    )
    name = {"mobilenetv2": "mobilenet_v2"}.get(model, model)
    network = getattr(torchvision.models, name)(num_classes=len(data.classes)).train().to(device)
    half = arithmetic == "bf16"
    if half:
        network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-4, fused=device.type != "cpu" or None)
    times = []
    for _ in range(int(epochs)):
        started = time.perf_counter()
        for images, targets in loader:
            images, targets = images.to(device, non_blocking=True), targets.to(device, non_blocking=True)
            if half:
                images = images.to(memory_format=torch.channels_last)
            with torch.autocast(device.type, torch.bfloat16, enabled=half):
                logits = network(images)
            loss = torch.nn.functional.cross_entropy(logits.float(), targets)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            if device.type == "cpu":
                loss.item()
        if device.type != "cpu":
            torch.cuda.synchronize(device)
        times.append(1e3 * (time.perf_counter() - started) / len(data))
    print(json.dumps({"image": times}))


if __name__ == "__main__":
    main()
