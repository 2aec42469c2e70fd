#!/usr/bin/env python3
"""Checks that the readers of others read what `trainer convert` writes: the same images, with the same boxes.

    python scripts/oracle/peer_readers.py --trainer target/release/trainer

Each reader is asked for {file name: [(class, x1, y1, x2, y2)]}, with corners as fractions of the image's size, and compared with the JSONL
rows that the data set was written from. A reader that is not installed is skipped by name.
"""
import argparse
import json
import pathlib
import subprocess
import tempfile
from contextlib import redirect_stdout
from io import StringIO

# Sizes of images, to a millionth of which boxes must agree.
CLOSE = 1e-6


def run(*command):
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)


def rows(path):
    """What the rows of a JSONL file say."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        boxes = [(one["label"], one["topX"], one["topY"], one["bottomX"], one["bottomY"]) for one in row["label"]]
        found[pathlib.PurePath(row["image_url"]).name] = boxes
    return found


def coco(trainer, source, folder):
    """Through pycocotools, whose evaluation must also find that the truth is a perfect result."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    output = folder / "set.json"
    run(trainer, "convert", "jsonl", source, "--to", "coco", "--output", output)
    with redirect_stdout(StringIO()):
        truth = COCO(str(output))
        results = [
            {key: one[key] for key in ("image_id", "category_id", "bbox")} | {"score": 1.0} for one in truth.anns.values()
        ]
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert evaluation.stats[0] > 0.999, f"the truth itself has an average precision of {evaluation.stats[0]}"
    found = {}
    for image in truth.imgs.values():
        width, height = image["width"], image["height"]
        assert (folder / image["file_name"]).is_file(), image["file_name"]
        boxes = []
        for one in truth.loadAnns(truth.getAnnIds(imgIds=image["id"])):
            x, y, w, h = one["bbox"]
            assert abs(one["area"] - w * h) < 1e-3 and one["segmentation"] == [], one
            label = truth.cats[one["category_id"]]["name"]
            boxes.append((label, x / width, y / height, (x + w) / width, (y + h) / height))
        found[pathlib.PurePath(image["file_name"]).name] = boxes
    return found


# A line for each layout: its name and what reads it, a function of (trainer, rows, empty folder). YOLO and VOC belong here.
READERS = [
    ("coco, pycocotools", coco),
]


def compare(name, found, wanted):
    assert found.keys() == wanted.keys(), f"{name}: images {sorted(found.keys() ^ wanted.keys())}"
    boxes = 0
    for image, expected in wanted.items():
        assert len(found[image]) == len(expected), f"{name}: {image} has {len(found[image])} boxes, not {len(expected)}"
        for one, other in zip(sorted(found[image]), sorted(expected)):
            near = all(abs(a - b) < CLOSE for a, b in zip(one[1:], other[1:]))
            assert one[0] == other[0] and near, f"{name}: {image}: {one} and not {other}"
            boxes += 1
    print(f"{name}: {len(found)} images, {boxes} boxes, all equal")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trainer", type=pathlib.Path, required=True)
    trainer = parser.parse_args().trainer.resolve()
    with tempfile.TemporaryDirectory() as temporary:
        base = pathlib.Path(temporary)
        run(trainer, "sample-data", "--task", "image-object-detection", "--output", base / "data", "--seed", 7)
        source = base / "data" / "train.jsonl"
        for name, reader in READERS:
            folder = base / name.split(",")[0]
            folder.mkdir()
            try:
                found = reader(trainer, source, folder)
            except ModuleNotFoundError as error:
                print(f"{name}: skipped, {error.name} is not installed")
                continue
            compare(name, found, rows(source))


if __name__ == "__main__":
    main()
