#!/usr/bin/env python3
"""How many planted label errors `trainer check` finds: labels of real data are changed, a training learns them, and its doubts are read.

    scripts/bench/label_errors.py                     clothing (classes) and bccd (boxes), with the models of a cross-validation
    scripts/bench/label_errors.py SET --folds 0       one set, with one model that was trained on the wrong labels itself
    scripts/bench/label_errors.py --quick             one epoch on generated images: does the script work?

Before: cargo build --release --locked --workspace --features tests/torch --bins. Trainings take what the trainer takes where nothing is
said. Of classes a label becomes another one; of boxes a third each gets another class, is removed, or is moved by half of its size. An
error counts as found when it is among the first doubts: as many as the trainer lists, or --suspects. Nothing is recorded.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

import command
import page
from machine import ROOT, Failed
from place import CLASSIFICATION, DATASETS, DETECTION, Place, rows
from recipe_table import QUICK_CLASSIFIER, QUICK_YOLO, flags

SETS = ["clothing", "bccd"]
# Errors that are planted, but in no more than a fifth of the rows.
PLANTED = 30
SEED = 0
# IoU from which a doubt is about a box that was removed.
SAME = 0.5
CORNERS = ["topX", "topY", "bottomX", "bottomY"]
QUICK = {
    CLASSIFICATION: {"model_name": "efficientnet_lite0", **QUICK_CLASSIFIER},
    DETECTION: {"model_name": "yolov5", "pretrained": "none", **QUICK_YOLO},
}
# Exit codes of a check: no errors in the data, and some.
CHECKED = (0, 3)


def other(label, labels, chance):
    return chance.choice([one for one in labels if one != label])


def plant_classes(all_rows, chance):
    """Changes the labels of some rows. Returns the lines, from 1, with what was done."""
    labels = sorted({row["label"] for row in all_rows})
    planted = []
    for at in chance.sample(range(len(all_rows)), min(PLANTED, len(all_rows) // 5)):
        all_rows[at]["label"] = other(all_rows[at]["label"], labels, chance)
        planted.append({"line": at + 1, "what": "class"})
    return planted


def plant_boxes(all_rows, chance):
    """Changes a box in some rows, in turn its class, its being there, and its place. Returns the lines, from 1, with what was done."""
    labels = sorted({one["label"] for row in all_rows for one in row["label"]})
    # A row that loses its only box would be another kind of error.
    usable = [at for at, row in enumerate(all_rows) if len(row["label"]) > 1]
    planted = []
    for number, at in enumerate(chance.sample(usable, min(PLANTED, len(usable) // 5))):
        boxes = all_rows[at]["label"]
        place = chance.randrange(len(boxes))
        what = ["class", "removed", "moved"][number % 3]
        one = {"line": at + 1, "what": what, "object": place}
        if what == "class":
            boxes[place]["label"] = other(boxes[place]["label"], labels, chance)
        elif what == "removed":
            details = all_rows[at]["image_details"]
            sides = [details["width"], details["height"]] * 2
            one["corners"] = [float(boxes[place][key]) * side for key, side in zip(CORNERS, sides)]
            del boxes[place]
        else:
            move(boxes[place], chance)
        planted.append(one)
    return planted


def move(box, chance):
    """Moves a box by half of its width, to the side where there is room."""
    left, right = float(box["topX"]), float(box["bottomX"])
    half = (right - left) / 2
    step = half if left < half or (right + half <= 1 and chance.random() < 0.5) else -half
    box["topX"], box["bottomX"] = left + step, min(right + step, 1.0)


def iou(a, b):
    """Intersection over union of two boxes."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    area = lambda box: (box[2] - box[0]) * (box[3] - box[1])
    return width * height / (area(a) + area(b) - width * height)


def is_about(suspect, error):
    """Whether a doubt is about a planted error."""
    if suspect["place"]["line"] != error["line"]:
        return False
    if "corners" in error:
        return suspect["kind"] == "missing_box" and iou(suspect["predicted"]["corners"], error["corners"]) >= SAME
    return "object" not in error or error["object"] in suspect["place"].get("objects", [])


def doubts(place, arguments):
    """What the trainer's check says of labels. Errors in the data besides do not matter."""
    command_line = [str(part) for part in [place.programs / "trainer", "check", *arguments, "--json"]]
    done = subprocess.run(command_line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode not in CHECKED:
        raise Failed(f"{' '.join(command_line)} ended with exit code {done.returncode}:\n{done.stderr.strip()}")
    return json.loads(done.stdout)["suspects"]


def measured(place, name, args):
    """The rows of the table for a set: how many errors of each sort are among the first doubts."""
    task, parts, chance = DATASETS[name].task, place.dataset(name), random.Random(SEED)
    all_rows = [{**row, "image_url": str(path.resolve())} for path, row in rows(parts["train"])]
    planted = (plant_classes if task == CLASSIFICATION else plant_boxes)(all_rows, chance)
    changed = place.folder / f"{name}-planted.jsonl"
    changed.write_text("".join(json.dumps(row) + "\n" for row in all_rows), encoding="utf-8")
    output = place.folder / f"{name}-run"
    validation = ["--folds", args.folds] if args.folds else ["--validation_data", parts["validation"]]
    more = ["--export", "none", *(flags(QUICK[task]) if place.quick else [])]
    place.trainer("train", "--task", task, "--training_data", changed, *validation, "--output", output, *more)
    found = doubts(place, [changed, "--task", task, "--checkpoint", output, "--suspects", args.suspects])
    first = found["listed"]
    sorts = sorted({error["what"] for error in planted})
    count = lambda errors: f"{sum(any(is_about(one, error) for one in first) for error in errors)} of {len(errors)}"
    return [
        {"set": name, "error": sort, f"among the first {args.suspects}": count([one for one in planted if one["what"] == sort])} for sort in sorts
    ] + [{"set": name, "error": f"all, of {found['found']} doubts", f"among the first {args.suspects}": count(planted)}]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"of {', '.join(SETS)}; all when none is named")
    parser.add_argument("--folds", type=int, default=5, help="parts of the cross-validation; 0 trains one model on all rows [5]")
    parser.add_argument("--suspects", type=int, default=60, help="doubts that are looked at [60]")
    parser.add_argument("--quick", action="store_true", help="seconds each, on generated images")
    parser.add_argument("--data", type=pathlib.Path, default=ROOT / "../shared/data", help="the folder of all datasets [../shared/data]")
    parser.add_argument("--output", type=pathlib.Path, help="keep rows and runs in this new folder")
    return parser.parse_args()


def run(args):
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.output or pathlib.Path(temporary)
        if args.output and folder.exists():
            raise Failed(f"{folder} is there already; name a folder that is not, so that nothing in it is written over")
        folder.mkdir(parents=True, exist_ok=True)
        place = Place(folder.resolve(), args.data.resolve(), quick=args.quick)
        for [name] in command.select(args.sets, [[one] for one in SETS], str.startswith):
            print("\n" + page.table(measured(place, name, args)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(command.main("label_errors", arguments(), run))
