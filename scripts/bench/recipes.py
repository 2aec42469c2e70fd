#!/usr/bin/env python3
"""The documented trainings on real pictures, from images to served labels, with the numbers they give.

    scripts/recipes.py fridge     --data ../shared/data/fridge/classification --seeds 5
    scripts/recipes.py fridge-multilabel --data ../shared/data/fridge/multilabel --seeds 5
    scripts/recipes.py clothing   --data ../shared/data/clothing
    scripts/recipes.py from-scratch --data ../shared/data/clothing
    scripts/recipes.py bccd       --data ../shared/data/bccd/BCCD --seeds 2
    scripts/recipes.py fridge-detection --data ../shared/data/fridge/detection --seeds 2
    scripts/recipes.py pcb        --data ../shared/data/pcb --seeds 2

Needs the release binaries (`cargo build --release --workspace`). Every number is that of the exported file, measured by
ONNX Runtime; for each run the server is started on it, every picture is sent, and its labels are compared with the file's.
`--threads N` is passed on to the training.

fridge        EfficientNet-Lite0 from its ImageNet weights with the defaults: AdamW 1e-3, batch 16, 10 epochs
fridge-multilabel  the same for label sets, 20 epochs
clothing      as fridge
from-scratch  ResNet-18 from random weights: AdamW 1e-3, weight decay 0.05, batch 32, 128 px, 80 epochs
The others train detectors; scripts/detection_recipes.py says how.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request

import detection_recipes

ROOT = pathlib.Path(__file__).resolve().parents[1]
BIN = ROOT / "target/release"
SCRATCH = """--model_name resnet18 --pretrained none --optimizer adamw --learning_rate 0.001 --weight_decay 0.05
--training_batch_size 32 --number_of_epochs 80 --early_stopping false
--train_crop_size 128 --valid_resize_size 144 --valid_crop_size 128""".split()

MULTILABEL = {"fridge-multilabel": "--task image-classification-multilabel --number_of_epochs 20".split()}


def trainer(*args):
    out = subprocess.run([BIN / "trainer", *map(str, args), "--json"], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(out.stdout)


def said(answer, many):
    """What an answer says of its image: the most probable label, or those above one half."""
    ranked = sorted(zip(answer["probs"], answer["labels"]), reverse=True)
    return [label for probability, label in ranked if probability > 0.5] if many else ranked[0][1]


def served_labels(onnx, images, many):
    """What the server says of each image."""
    command = [BIN / "server", "--model", f"m={onnx}", "--bind", "127.0.0.1:0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        url = server.stdout.readline().split()[-1]
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        labels = []
        for image in images:
            headers = {"Content-Type": "application/octet-stream"}
            request = urllib.request.Request(f"{url}/score", pathlib.Path(image).read_bytes(), headers)
            with opener.open(request, timeout=60) as answer:
                body = json.load(answer)
            labels.append(said(body, many))
        return labels
    finally:
        server.terminate()
        server.wait()


def file_labels(onnx, images, many):
    return [said(answer, many) for answer in trainer("predict", "--onnx", onnx, *images)["predictions"]]


def pictures(listing):
    rows = [json.loads(line) for line in pathlib.Path(listing).read_text().splitlines() if line.strip()]
    folder = pathlib.Path(listing).parent
    local = [urllib.parse.unquote(row["image_url"].removeprefix("file://")) for row in rows]
    return [str(folder / path) for path in local]


def run(name, train, seed, test, options, folder):
    """Trains with one seed, prints a row, and returns the metrics of the exported file."""
    output, many = folder / f"{name}-{seed}", name in MULTILABEL
    started = time.time()
    made = trainer("train", "--training_data", train[0], "--validation_data", train[1], "--seed", seed, "--output", output, *options)
    seconds = time.time() - started
    listing = test or output / "data/validation.jsonl"
    by_file = trainer("evaluate", "--onnx", made["onnx"], "--data", listing)["metrics"]
    by_checkpoint = trainer("evaluate", "--checkpoint", output, "--data", listing)["metrics"]
    images = pictures(listing)
    same = sum(a == b for a, b in zip(served_labels(made["onnx"], images, many), file_labels(made["onnx"], images, many)))
    shown = " | ".join(f"{values[metric]:.4f}" for values in [made["metrics"], by_file, by_checkpoint] for metric in metrics(name))
    print(f"| {name} | {seed} | {made['best_epoch']} | {shown} | {same} of {len(images)} | {seconds:.0f} |", flush=True)
    return by_file


def metrics(name):
    return ["iou", "accuracy"] if name in MULTILABEL else ["accuracy"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", choices=["fridge", *MULTILABEL, "clothing", "from-scratch", *detection_recipes.RECIPES])
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--output", type=pathlib.Path, help="keep the runs here")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.output or pathlib.Path(temporary)
        if args.recipe in detection_recipes.RECIPES:
            return detection_recipes.run(trainer, args, folder)
        if args.recipe in ["fridge", *MULTILABEL]:
            train, test = (args.data / "training-mltable-folder", args.data / "validation-mltable-folder"), None
        else:
            trainer("convert", "folders", args.data, "--output", folder / "data", "--overwrite")
            train, test = (folder / "data/train.jsonl", folder / "data/validation.jsonl"), folder / "data/test.jsonl"
        options = {"from-scratch": SCRATCH, **MULTILABEL}.get(args.recipe, [])
        if args.threads:
            options = [*options, "--threads", args.threads]
        parts = ["validation", "measured: exported file", "checkpoint"]
        names = " | ".join(f"{part}, {metric}" for part in parts for metric in metrics(args.recipe))
        print(f"| recipe | seed | best epoch | {names} | served labels equal | seconds |")
        print("|---" * (5 + len(parts) * len(metrics(args.recipe))) + "|")
        measured = [run(args.recipe, train, seed, test, options, folder) for seed in range(args.seeds)]
        for metric in metrics(args.recipe):
            scores = [values[metric] for values in measured]
            print(f"\n{metric}: mean {statistics.mean(scores):.4f}, lowest {min(scores):.4f}, on the {'test part' if test else 'validation data'}")


if __name__ == "__main__":
    main()
