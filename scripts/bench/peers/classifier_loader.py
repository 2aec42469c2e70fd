"""The data path of a classifier by torchvision and Pillow, on one core: classifier_loader.py DATA.jsonl PASSES

Read, decode, random crop, resize, flip, normalise. Prints the images a second of each pass, and those a processor second.
"""

import json
import pathlib
import sys
import time

import torch
from PIL import Image
from torchvision import transforms


def paths(jsonl):
    for line in jsonl.read_text(encoding="utf-8").splitlines():
        if line.strip():
            yield jsonl.parent / json.loads(line)["image_url"]


def main():
    jsonl = pathlib.Path(sys.argv[1])
    passes = int(sys.argv[2])
    torch.set_num_threads(1)
    torch.manual_seed(1)
    transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(224),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    images = list(paths(jsonl))
    rates, processor = [], 0.0
    for number in range(passes + 1):
        started, used = time.perf_counter(), time.process_time()
        for first in range(0, len(images), 16):
            views = []
            for path in images[first : first + 16]:
                with Image.open(path) as image:
                    views.append(transform(image.convert("RGB")))
            torch.stack(views)
        # The first pass warms the file cache and is not counted.
        if number > 0:
            rates.append(len(images) / (time.perf_counter() - started))
            processor += time.process_time() - used
    print(json.dumps({"images": rates, "images, by processor time": len(images) * passes / processor}))


if __name__ == "__main__":
    main()
