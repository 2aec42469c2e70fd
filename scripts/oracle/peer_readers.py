#!/usr/bin/env python3
"""Checks that other programs read what `trainer convert` writes, and that it reads what other programs write.

    python scripts/oracle/peer_readers.py --trainer target/release/trainer [--count 24] [--seed 1]

A set of awkward images and boxes (peer_cases.py) goes both ways for each layout: rows that `trainer convert jsonl` writes are read by the
peer's own reader, and a data set that is written here is read by `trainer convert`. Each time there must be the same images, with the same
boxes in the same order. Masks (peer_masks.py) must have the same pixels. A reader that is not installed is skipped by name.
"""
import argparse
import pathlib
import subprocess
import tempfile
from dataclasses import dataclass
from typing import Callable

import peer_coco
import peer_masks
import peer_voc
import peer_yolo
from peer_cases import read_rows, samples, write_rows

# How far corners and outlines may be apart, as fractions of the image. Rows are float64. ultralytics computes in float32, whose steps
# below 1 are 6e-8: a corner is a centre and half a side that were rounded, and where there are outlines, computed from rounded corners.
DOUBLE, SINGLE = 1e-12, 2e-7


class Trainer:
    """The program, which must end well and leave nothing out."""

    def __init__(self, program):
        self.program = program

    def convert(self, *words):
        command = [str(word) for word in (self.program, "convert", *words)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(command)}: exit code {done.returncode}: {done.stderr}"
        assert "left out" not in done.stdout + done.stderr, done.stdout + done.stderr

    def write(self, parts, folder, layout, *words, place="written"):
        """The set in a layout of others."""
        output = folder / place
        files = write_rows(parts, folder / "rows")
        self.convert("jsonl", *files, "--to", layout, "--output", output, *words)
        return output

    def read(self, words, output):
        """The rows of a set in a layout of others; `output` is a folder."""
        self.convert(*words, "--output", output)
        return read_rows(output)


def coco(trainer, parts, folder):
    found = peer_coco.read(trainer.write(parts, folder, "coco"))
    back = {}
    for part, images in parts.items():
        output = folder / "read" / part
        [back[part]] = trainer.read(peer_coco.write(part, images, folder / "other" / part), output).values()
    return compare(found, fractions(parts), DOUBLE), compare(back, fractions(parts), DOUBLE)


def yolo(trainer, parts, folder):
    found = peer_yolo.read(trainer.write(parts, folder, "yolo"))
    back = trainer.read(peer_yolo.write(parts, folder / "other"), folder / "read")
    return compare(found, fractions(parts), SINGLE), compare(back, fractions(parts), DOUBLE)


def voc(trainer, parts, folder, inclusive=False):
    words = ["--voc_pixels", "inclusive" if inclusive else "corners"]
    trainer.write(parts, folder, "voc", *words, place=f"written/{peer_voc.PLACE}")
    found = peer_voc.read(folder / "written", inclusive)
    back = trainer.read(peer_voc.write(parts, folder / "other", inclusive), folder / "read")
    pixels = lambda image: [(one.label, image.inside(one), []) for one in image.objects]
    wanted = {part: {image.name: pixels(image) for image in images} for part, images in parts.items()}
    found = {part: {image: [(*one, []) for one in boxes] for image, boxes in images.items()} for part, images in found.items()}
    return compare(found, wanted, 0.0), compare(back, fractions(parts), DOUBLE)


def voc_inclusive(trainer, parts, folder):
    return voc(trainer, parts, folder, inclusive=True)


@dataclass
class Reader:
    """A layout and its reader: a function of (trainer, set, empty folder) that gives how many images and boxes were equal, and the
    largest difference, for each of the two ways."""

    name: str
    check: Callable
    # Endings of files that the peer reads.
    endings: tuple
    outlined: bool = False


COMMON = ("jpg", "png", "JPG", "webp", "tif", "jpeg")
READERS = [
    Reader("COCO, pycocotools", coco, COMMON),
    Reader("COCO with outlines, pycocotools", coco, COMMON, outlined=True),
    Reader("YOLO, ultralytics", yolo, COMMON),
    Reader("YOLO with outlines, ultralytics", yolo, COMMON, outlined=True),
    Reader("VOC, torchvision", voc, ("jpg",)),
    Reader("VOC counted from 1, torchvision", voc_inclusive, ("jpg",)),
]


def fractions(parts):
    """The set as a reader has to find it."""
    objects = lambda image: [
        (one.label, image.fractions(image.inside(one)), image.fractions(one.outline)) for one in image.objects
    ]
    return {part: {image.name: objects(image) for image in images} for part, images in parts.items()}


def compare(found, wanted, limit):
    assert found.keys() == wanted.keys(), f"parts {sorted(found)}, not {sorted(wanted)}"
    boxes, worst = 0, 0.0
    for part, images in wanted.items():
        assert found[part].keys() == images.keys(), f"{part}: images {sorted(found[part].keys() ^ images.keys())}"
        for image, expected in images.items():
            place, seen = f"{part}, {image}", found[part][image]
            assert [one[0] for one in seen] == [one[0] for one in expected], f"{place}: {seen}, not {expected}"
            for one, other in zip(seen, expected):
                assert [len(numbers) for numbers in one[1:]] == [len(numbers) for numbers in other[1:]], f"{place}: {one}, not {other}"
                apart = max(abs(a - b) for a, b in zip([*one[1], *one[2]], [*other[1], *other[2]]))
                assert apart <= limit, f"{place}: {one}, not {other}: {apart} apart"
                worst = max(worst, apart)
            boxes += len(seen)
    return sum(map(len, wanted.values())), boxes, worst


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trainer", type=pathlib.Path, required=True)
    parser.add_argument("--count", type=int, default=24, help="images of each of three parts")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    trainer = Trainer(arguments.trainer.resolve())
    for reader in READERS:
        parts = samples(arguments.seed, reader.endings, arguments.count, reader.outlined)
        with tempfile.TemporaryDirectory() as folder:
            try:
                ways = reader.check(trainer, parts, pathlib.Path(folder))
            except ModuleNotFoundError as error:
                print(f"{reader.name}: skipped, {error.name} is not installed")
                continue
        for way, (images, boxes, worst) in zip(("written here and read there", "written there and read here"), ways):
            print(f"{reader.name}, {way}: {images} images, {boxes} boxes, at most {worst:.1e} apart")
    with tempfile.TemporaryDirectory() as folder:
        try:
            for name, images, objects in peer_masks.check(trainer, arguments.seed, arguments.count, pathlib.Path(folder)):
                print(f"masks: {name}: {images} images, {objects} objects, the same pixels")
        except ModuleNotFoundError as error:
            print(f"masks: skipped, {error.name} is not installed")


if __name__ == "__main__":
    main()
