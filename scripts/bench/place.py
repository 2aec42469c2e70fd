"""Where programs, peers and datasets lie, and how a command of the tables is filled in and run."""

import dataclasses
import json
import os
import pathlib
import subprocess
import time
import urllib.parse
from typing import Callable, Optional

from machine import ROOT, Failed

PROGRAMS = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
BENCH = ROOT / "scripts/bench"


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images in the folder of datasets, and how `trainer convert` makes rows of them (not at all: they are MLTable folders)."""

    folder: str
    task: str
    convert: tuple = ()
    # Changes an object of a row, where what was published has a slip; the rows are written anew.
    mend: Optional[Callable] = None
    # Of a set without parts: one image in so many is to validate on.
    validation_share: Optional[int] = None


def without_corner(one):
    """An object without the corner of the image, which most rings of the fridge's masks begin with and no object reaches."""
    return {**one, "polygon": [ring[2:] if ring[:2] == [0, 0] else ring for ring in one["polygon"]]}


CLASSIFICATION, MULTILABEL, DETECTION, SEGMENTATION = (
    "image-classification", "image-classification-multilabel", "image-object-detection", "image-instance-segmentation",
)
DATASETS = {
    "fridge": Dataset("fridge/classification", CLASSIFICATION),
    "fridge-multilabel": Dataset("fridge/multilabel", MULTILABEL),
    "fridge-detection": Dataset("fridge/detection", DETECTION),
    "fridge-masks": Dataset("fridge/segmentation", SEGMENTATION, mend=without_corner),
    "nuclei": Dataset("nuclei", SEGMENTATION, ("masks", "{source}", "--label", "nucleus"), validation_share=5),
    "clothing": Dataset("clothing", CLASSIFICATION, ("folders", "{source}")),
    "signs": Dataset("signs", CLASSIFICATION, ("folders", "{source}")),
    "bccd": Dataset("bccd/BCCD", DETECTION, ("voc", "{source}")),
    "pcb": Dataset("pcb", DETECTION, ("coco", "{source}/train.coco.json", "{source}/test.coco.json")),
}


@dataclasses.dataclass(frozen=True)
class Finished:
    """What a program printed, and how long it ran in seconds."""

    output: str
    seconds: float

    def answer(self):
        """The JSON object in its last line."""
        lines = self.output.splitlines()
        if not lines:
            raise Failed("a program of the benchmarks printed nothing")
        return json.loads(lines[-1])


@dataclasses.dataclass
class Place:
    """Everything that commands are filled in with, but for what a case says itself."""

    folder: pathlib.Path
    data: pathlib.Path
    python: str = "python3"
    # Of a program; 0 leaves it to the program.
    threads: int = 0
    quick: bool = False
    # Where our programs lie, and what their environment has besides.
    programs: pathlib.Path = PROGRAMS
    environment: dict = dataclasses.field(default_factory=dict)
    # The moment of time.monotonic() at which a program is ended, if it has not ended; none without one.
    deadline: Optional[float] = None

    def remaining(self):
        """Seconds until the deadline, at least one; None without one."""
        return None if self.deadline is None else max(1.0, self.deadline - time.monotonic())

    def run(self, command, words=None):
        """Runs a command of the tables: in each part, {name} is filled in from `words` or from this place."""
        known = {
            "programs": self.programs, "bench": BENCH, "peers": BENCH / "peers", "python": self.python, "threads": self.threads,
            **(words or {}),
        }
        parts = [str(part).format(**known) for part in command]
        # The last lines of a program that fails are shown: they are to say why, and not where in its code.
        ours = self.environment if str(self.programs) in parts[0] else {}
        environment = {**os.environ, **ours, "PYTHONDONTWRITEBYTECODE": "1", "RUST_BACKTRACE": "0"}
        if known["threads"]:
            environment["OMP_NUM_THREADS"] = str(known["threads"])
        started = time.perf_counter()
        try:
            done = subprocess.run(parts, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, timeout=self.remaining())
        except OSError as error:
            raise Failed(f"{parts[0]} could not be started: {error.strerror}. {self._hint(parts[0])}") from error
        seconds = time.perf_counter() - started
        if done.returncode:
            said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
            raise Failed(f"{' '.join(parts)} ended with exit code {done.returncode}:\n{said}")
        return Finished(done.stdout, seconds)

    def _hint(self, program):
        if str(self.programs) in program:
            return (
                "Build the programs and their benchmark drivers: cargo build --release --workspace --features tests/torch --bins --examples"
            )
        return "--python names the Python of the oracles, which scripts/oracle/environment installs"

    def trainer(self, *arguments):
        """The JSON answer of a command of the trainer."""
        return json.loads(self.run(["{programs}/trainer", *arguments, "--json"]).output)

    def dataset(self, name):
        """The parts of a dataset by name (train, validation, sometimes test), as what the trainer takes; made once."""
        made, dataset = self.folder / "data" / name, DATASETS[name]
        if self.quick:
            if not made.exists():
                self.trainer("sample-data", "--task", dataset.task, "--count", 24, "--output", made)
        else:
            source = self.data / dataset.folder
            if not source.exists():
                raise Failed(f"{source}, the images of '{name}', is not there; --data names the folder of all datasets")
            if not dataset.convert:
                tables = {part: source / f"{folder}-mltable-folder" for part, folder in [("train", "training"), ("validation", "validation")]}
                return tables if dataset.mend is None else {part: mended(table, dataset.mend, made) for part, table in tables.items()}
            if not made.exists():
                convert = [part.format(source=source) for part in dataset.convert]
                self.trainer("convert", *convert, "--output", made)
                if dataset.validation_share:
                    divided(made, dataset.validation_share)
        return {part: made / f"{part}.jsonl" for part in ["train", "validation", "test"] if (made / f"{part}.jsonl").exists()}


def listing(part):
    """The JSONL file of a dataset's part."""
    return next(part.glob("*.jsonl")) if part.is_dir() else part


def divided(folder, share):
    """Makes train.jsonl and validation.jsonl of the one file of rows in a folder: every `share`-th row is to validate on."""
    [whole] = folder.glob("*.jsonl")
    lines = whole.read_text(encoding="utf-8").splitlines(keepends=True)
    whole.unlink()
    parts = {"train": [], "validation": []}
    for number, line in enumerate(lines):
        parts["validation" if number % share == share - 1 else "train"].append(line)
    for name, rows_of_part in parts.items():
        (folder / f"{name}.jsonl").write_text("".join(rows_of_part), encoding="utf-8")


def mended(part, mend, folder):
    """A part of a dataset as a JSONL file in the folder, each object changed by `mend`."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps({**row, "image_url": str(path.resolve()), "label": [mend(one) for one in row["label"]]}) for path, row in rows(part)
    ]
    output = folder / f"{part.name}.jsonl"
    output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return output


def rows(part):
    """The rows of a dataset's part, each with the path of its image."""
    path = listing(part)
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip():
            row = json.loads(line)
            address = row["image_url"]
            if address.startswith("file://"):
                address = urllib.parse.unquote(address[len("file://"):])
            yield path.parent / address, row
