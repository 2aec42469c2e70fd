"""What scripts/gpu times beside PyTorch on the same card: groups and cases in the manner of speed_cases.py, and the units of them."""

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import page
from compare import compare
from gpu_unit import Skipped, Unit
from place import rows
from speed_cases import Case, Group, epochs, prepared_by_peer

CLASSIFIERS = {"resnet50": "ResNet-50", "vitb16r224": "ViT-B/16", "mobilenetv2": "MobileNetV2"}
DETECTORS = {
    "yolov5s": ("yolov5s", "640x640", 16), "fasterrcnn_resnet50_fpn": ("Faster R-CNN ResNet-50", "608x800", 8),
}
# Packages of Python without which a peer is not there.
NEEDED = {"yolov5s": "yolov5", "vitb16r224": "timm"}
PAIRS = 3


def many_images(place, words):
    """At least `images` rows for a training of classes: the kit's photographs where it has some, generated ones otherwise, copied until
    there are enough, so that files are opened and decoded as often as in a large data set."""
    own = words["photographs"]
    if own.exists():
        found = list(rows(own))
    else:
        made = place.folder / "generated"
        place.trainer("sample-data", "--count", min(words["images"], 600), "--output", made)
        found = list(rows(made / "train.jsonl"))
    folder, lines = words["folder"] / "copies", []
    folder.mkdir()
    while len(lines) < words["images"]:
        for path, row in found:
            name = f"{len(lines)}{path.suffix}"
            shutil.copyfile(path, folder / name)
            lines.append(json.dumps({**row, "image_url": name}))
    listing = folder / "data.jsonl"
    listing.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {"listing": listing}


GROUPS = [
    Group(
        name="classifier-step",
        title="Training steps of classifiers",
        compares="""Batch 64 at 224 pixels, 1000 classes, autocast to bf16, channels-last, SGD with Nesterov momentum: uint8 pixels of the
            host in, normalisation on the card and the optimizer's step included. Ten steps are queued before the card is waited for.
            PyTorch is eager, with pinned memory and its fused optimizer.""",
        unit="ms", better="less", measures={"step": ""}, warm_up=2, images="batch",
        ours=["{programs}/examples/bench", "classifier-step", "{model}", "{batch}", "bf16", "channels_last", "{steps}", "{threads}", "{device}"],
        peer=["{python}", "{peers}/classifier_step.py", "{model}", "{batch}", "bf16", "channels_last", "{steps}", "{threads}", "{device}"],
        cases=[
            Case(model, {"model": title}, {"model": model, "batch": 64, "steps": 100}) for model, title in CLASSIFIERS.items()
        ],
        quick={"batch": 2, "steps": 2},
    ),
    Group(
        name="detector-step",
        title="Training steps of detectors",
        compares="""As for classifiers, with 80 classes and 8 boxes an image, beside the original yolov5 and torchvision's Faster R-CNN on
            the same pixels, boxes and initial weights.""",
        unit="ms", better="less", measures={"step": ""}, warm_up=2, images="batch",
        ours=[
            "{programs}/examples/bench", "detector-step", "{model}", "{size}", "{batch}", "bf16", "channels_last", "{steps}", "{threads}",
            "{folder}", "{device}",
        ],
        peer=[
            "{python}", "{peers}/detector_step.py", "{model}", "{size}", "{batch}", "bf16", "channels_last", "{steps}", "{threads}",
            "{folder}", "{device}",
        ],
        prepare=prepared_by_peer,
        cases=[
            Case(
                model, {"model": title, "size, batch": f"{size}, {batch}"},
                {
                    "model": model, "size": size, "batch": batch, "steps": 60, "program": "detector_step.py",
                    "case": ["{model}", "{size}", "{batch}"],
                },
            )
            for model, (title, size, batch) in DETECTORS.items()
        ],
        quick={"size": "96x96", "batch": 1, "steps": 2},
    ),
    Group(
        name="classifier-epoch",
        title="An epoch of a classifier with its data",
        compares="""A training from files, with random crops of 224 pixels, flips and colours, batch 64, bf16: `trainer train` beside a
            torchvision script with a DataLoader, with as many workers on both sides. The first epoch is left out, and so is
            validation.""",
        unit="ms/image", better="less", measures={"image": ""}, warm_up=1, images="one",
        ours=[
            "{programs}/trainer", "train", "--recipe", "specification", "--training_data", "{listing}", "--model_name", "{model}",
            "--pretrained", "none",
            "--optimizer", "sgd", "--learning_rate", "0.01", "--training_batch_size", "{batch}", "--number_of_epochs", "{epochs}",
            "--evaluation_frequency", "{epochs}", "--early_stopping", "false", "--export", "none", "--precision", "bf16",
            "--number_of_workers", "{workers}", "--threads", "{threads}", "--device", "{device}", "--output", "{folder}/run",
        ],
        peer=[
            "{python}", "{peers}/classifier_epoch.py", "{model}", "{batch}", "bf16", "{epochs}", "{threads}", "{listing}", "{device}",
            "{workers}",
        ],
        prepare=many_images, read=epochs,
        cases=[
            Case(model, {"model": CLASSIFIERS[model]}, {"model": model, "batch": 64, "images": 4096, "epochs": 3, "one": 1})
            for model in ("resnet50", "mobilenetv2")
        ],
        quick={"batch": 4, "images": 24, "epochs": 2},
    ),
]


def timed(group, case):
    """A case beside PyTorch; the facts are the record that compare.py makes of it."""

    def run(bench):
        model = case.parameters["model"]
        needed = NEEDED.get(model)
        probe = f"import torch, torchvision, safetensors{', ' + needed if needed else ''}"
        if subprocess.run([bench.place.python, "-c", probe], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
            raise Skipped(f"{bench.place.python} cannot `{probe}`, which the peer takes")
        chosen = {**case.parameters, **(group.quick if bench.rehearses else {})}
        chosen.update(device=bench.device, workers=2 if bench.rehearses else min(16, workers()), photographs=bench.kit / "data/train.jsonl")
        if bench.rehearses and model in ("vitb16r224", "resnet50", "fasterrcnn_resnet50_fpn"):
            raise Skipped("too large for a rehearsal")
        with tempfile.TemporaryDirectory(dir=bench.place.folder) as folder:
            own = dataclasses.replace(bench.place, folder=pathlib.Path(folder), threads=1 if bench.rehearses else workers())
            [record] = compare(group, dataclasses.replace(case, parameters=chosen), own, 1 if bench.rehearses else PAIRS)
        return {key: record[key] for key in ("ours", "peer", "ratio", "pairs")}

    return run


def workers():
    """Processes or threads that load images, and threads that compute on the host."""
    return os.cpu_count() or 1


def row(group, case, record):
    """A row of a group's table; a record of nothing where it was not measured."""
    cells = {**case.columns, "ours, " + group.unit: page.spread_middle(record.get("ours")), "PyTorch, " + group.unit: page.spread_middle(record.get("peer"))}
    cells["ratio (low to high)"] = page.spread(record.get("ratio"), lambda value: f"{value:.2f}")
    middle = page.middle(record.get("ours"))
    images = case.parameters[group.images]
    cells["ours, images/s"] = f"{1000 * images / middle:.0f}" if middle else ""
    return cells


def units():
    for group in GROUPS:
        for case in group.cases:
            yield Unit(f"speed/{group.name}/{case.name}", f"{group.title}: {case.columns['model']}", timed(group, case), needs=200)
