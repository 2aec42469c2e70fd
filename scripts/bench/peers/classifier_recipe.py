"""A classifier fine-tuned the way others do it: classifier_recipe.py WAY WEIGHTS SEED THREADS SECONDS TRAIN.jsonl VALIDATION.jsonl TEST.jsonl

WAY     plain: timm and torchvision, the head for a fifth of the epochs, then everything, each with AdamW and a one-cycle rate
        fastai: fastai's vision_learner and fine_tune, with its transforms and rates
WEIGHTS published EfficientNet-Lite0, 224 px
SECONDS what the training may take. As many epochs are trained as fit in it, at least two; what an epoch takes is measured first.

Prints the probabilities of the test images' classes in the order of the sorted labels, the epochs, and the seconds they took.
"""

import copy
import json
import pathlib
import random
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "oracle"))

import numpy
import timm
import torch
from keys import lite0_key_from_timm
from PIL import Image, ImageOps
from torch.nn import functional
from torchvision import transforms

SIDE, BATCH = 224, 16
MEAN, STD = [127 / 255] * 3, [128 / 255] * 3


def read(jsonl):
    """The paths and labels of a list of images."""
    path = pathlib.Path(jsonl)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [(path.parent / row["image_url"].removeprefix("file://"), row["label"]) for row in rows]


def opened(path):
    with Image.open(path) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def load(network, weights):
    """The published weights but for the head, which has other classes."""
    state = torch.load(weights, weights_only=True, map_location="cpu")
    own = {key: state[lite0_key_from_timm(key)] for key in network.state_dict() if lite0_key_from_timm(key) in state}
    own = {key: value for key, value in own.items() if value.shape == network.state_dict()[key].shape}
    missing = network.load_state_dict(own, strict=False).missing_keys
    assert all("classifier" in key or key.endswith("num_batches_tracked") for key in missing), missing


class Images(torch.utils.data.Dataset):
    def __init__(self, rows, classes, transform):
        self.rows, self.classes, self.transform = rows, classes, transform

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, at):
        path, label = self.rows[at]
        return self.transform(opened(path)), self.classes.index(label)


def epochs_within(seconds, one_epoch):
    """How many epochs fit, of which `one_epoch` trains one that does not count."""
    started = time.monotonic()
    one_epoch()
    return max(2, int(seconds / (time.monotonic() - started)))


def plain(weights, seconds, classes, parts):
    normalise = [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    augmented = transforms.Compose([transforms.RandomResizedCrop(SIDE), transforms.RandomHorizontalFlip(), *normalise])
    cropped = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(SIDE), *normalise])
    train = torch.utils.data.DataLoader(Images(parts["train"], classes, augmented), BATCH, shuffle=True)
    test = torch.utils.data.DataLoader(Images(parts["test"], classes, cropped), BATCH)
    network = timm.create_model("tf_efficientnet_lite0", num_classes=len(classes))
    load(network, weights)

    def fit(network, parameters, rate, epochs):
        optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=max(2, epochs * len(train)))
        network.train()
        for _ in range(epochs):
            for images, labels in train:
                optimizer.zero_grad()
                functional.cross_entropy(network(images), labels).backward()
                optimizer.step()
                schedule.step()

    def one_epoch():
        fit(copied := copy.deepcopy(network), copied.parameters(), 1e-3, 1)

    epochs = epochs_within(seconds, one_epoch)
    started = time.monotonic()
    head = max(1, epochs // 5)
    fit(network, network.get_classifier().parameters(), 1e-2, head)
    fit(network, network.parameters(), 1e-3, epochs - head)
    took = time.monotonic() - started
    network.eval()
    with torch.inference_mode():
        return torch.cat([network(images).softmax(1) for images, _ in test]), epochs, took


def fastai(weights, seconds, classes, parts):
    from fastai.vision.all import DataBlock, CategoryBlock, ImageBlock, IndexSplitter, Normalize, PILImage, Resize, aug_transforms, vision_learner

    rows = parts["train"] + parts["validation"] + parts["test"]
    validation, test = len(parts["train"]), len(parts["train"]) + len(parts["validation"])
    block = DataBlock(
        (ImageBlock, CategoryBlock(vocab=classes)), get_x=lambda at: PILImage.create(numpy.asarray(opened(rows[at][0]))),
        get_y=lambda at: rows[at][1], splitter=IndexSplitter(range(validation, test)), item_tfms=Resize(256),
        batch_tfms=[*aug_transforms(size=SIDE, min_scale=0.75), Normalize.from_stats(MEAN, STD)],
    )
    loaders = block.dataloaders(range(test), bs=BATCH, num_workers=0)

    def learner():
        made = vision_learner(loaders, "tf_efficientnet_lite0", pretrained=False, normalize=False)
        load(made.model[0].model, weights)
        return made

    def one_epoch():
        made = learner()
        with made.no_bar(), made.no_logging():
            made.fit_one_cycle(1)

    epochs = epochs_within(seconds, one_epoch)
    made = learner()
    started = time.monotonic()
    with made.no_bar(), made.no_logging():
        made.fine_tune(epochs - 1)
        took = time.monotonic() - started
        probabilities, _ = made.get_preds(dl=loaders.test_dl(range(test, len(rows)), num_workers=0))
    return probabilities, epochs, took


def main():
    way, weights, seed, threads, seconds, *lists = sys.argv[1:]
    torch.set_num_threads(int(threads))
    random.seed(int(seed))
    numpy.random.seed(int(seed))
    torch.manual_seed(int(seed))
    parts = dict(zip(["train", "validation", "test"], map(read, lists)))
    classes = sorted({label for _, label in parts["train"]})
    probabilities, epochs, took = {"plain": plain, "fastai": fastai}[way](weights, float(seconds), classes, parts)
    rounded = [[round(value, 6) for value in row] for row in probabilities.tolist()]
    print(json.dumps({"classes": classes, "probabilities": rounded, "epochs": epochs, "seconds": took}))


if __name__ == "__main__":
    main()
