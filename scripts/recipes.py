#!/usr/bin/env python3
"""The documented trainings on real pictures, from images to served labels, with the numbers they give.

    scripts/recipes.py fridge     --data ../shared/data/fridge/classification --seeds 5
    scripts/recipes.py clothing   --data ../shared/data/clothing
    scripts/recipes.py from-scratch --data ../shared/data/clothing
    scripts/recipes.py bccd       --data ../shared/data/bccd/BCCD --seeds 2
    scripts/recipes.py fridge-detection --data ../shared/data/fridge/detection --seeds 2
    scripts/recipes.py pcb        --data ../shared/data/pcb --seeds 2

Needs the release binaries (`cargo build --release --workspace`). Every accuracy is that of the exported file, measured by
ONNX Runtime; for each run the server is started on it, every picture is sent, and its labels are compared with the file's.

fridge        EfficientNet-Lite0 from its ImageNet weights with the defaults: AdamW 1e-3, batch 16, 10 epochs
clothing      the same
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


def trainer(*args):
    out = subprocess.run([BIN / "trainer", *map(str, args), "--json"], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(out.stdout)


def served_labels(onnx, images):
    """Most probable label of each image, as the server answers."""
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
            labels.append(max(zip(body["probs"], body["labels"]))[1])
        return labels
    finally:
        server.terminate()
        server.wait()


def file_labels(onnx, images):
    predictions = trainer("predict", "--onnx", onnx, *images)["predictions"]
    return [max(zip(p["probs"], p["labels"]))[1] for p in predictions]


def pictures(listing):
    rows = [json.loads(line) for line in pathlib.Path(listing).read_text().splitlines() if line.strip()]
    folder = pathlib.Path(listing).parent
    local = [urllib.parse.unquote(row["image_url"].removeprefix("file://")) for row in rows]
    return [str(folder / path) for path in local]


def run(name, train, seed, test, options, folder):
    output = folder / f"{name}-{seed}"
    started = time.time()
    made = trainer("train", "--training_data", train[0], "--validation_data", train[1], "--seed", seed, "--output", output, *options)
    seconds = time.time() - started
    listing = test or output / "data/validation.jsonl"
    measured = trainer("evaluate", "--onnx", made["onnx"], "--data", listing)
    by_checkpoint = trainer("evaluate", "--checkpoint", output, "--data", listing)
    images = pictures(listing)
    same = sum(a == b for a, b in zip(served_labels(made["onnx"], images), file_labels(made["onnx"], images)))
    accuracy = measured["metrics"]["accuracy"]
    print(
        f"| {name} | {seed} | {made['best_epoch']} | {made['metrics']['accuracy']:.4f} | {accuracy:.4f} "
        f"| {by_checkpoint['metrics']['accuracy']:.4f} | {same} of {len(images)} | {seconds:.0f} |",
        flush=True,
    )
    return accuracy


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", choices=["fridge", "clothing", "from-scratch", *detection_recipes.RECIPES])
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--output", type=pathlib.Path, help="keep the runs here")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.output or pathlib.Path(temporary)
        if args.recipe in detection_recipes.RECIPES:
            return detection_recipes.run(trainer, args, folder)
        if args.recipe == "fridge":
            train, test = (args.data / "training-mltable-folder", args.data / "validation-mltable-folder"), None
        else:
            trainer("convert", "folders", args.data, "--output", folder / "data")
            train, test = (folder / "data/train.jsonl", folder / "data/validation.jsonl"), folder / "data/test.jsonl"
        options = SCRATCH if args.recipe == "from-scratch" else []
        print("| recipe | seed | best epoch | validation | measured: exported file | checkpoint | served labels equal | seconds |")
        print("|---|---|---|---|---|---|---|---|")
        scores = [run(args.recipe, train, seed, test, options, folder) for seed in range(args.seeds)]
        print(f"\nmean {statistics.mean(scores):.4f}, lowest {min(scores):.4f}, on the {'test part' if test else 'validation data'}")


if __name__ == "__main__":
    main()
