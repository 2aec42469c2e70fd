#!/usr/bin/env python3
"""What sweeps bring beside one training without a word, on images that neither of them chose by.

    scripts/bench/studies.py --list                       every case, and what is known of it
    scripts/bench/studies.py --quick [CASE...]            trials of one epoch on generated images: does the benchmark work? Nothing is recorded
    scripts/bench/studies.py CASE...                      trains, sweeps, prints the table, keeps the records, makes the page anew
    scripts/bench/studies.py --page                       makes docs/studies.md of docs/records/studies.json
    scripts/bench/studies.py --check                      ends with 1 when that page says something else than the records

CASE is the name of a case or the beginning of names (auto/signs, median); all is everything. Before: cargo build --release --locked --workspace
--features tests/torch --bins. Every number is that of the exported file of the best epoch, measured by ONNX Runtime on the test part,
by which nothing was chosen. A new record replaces the one of its case and seed.
"""

import dataclasses
import hashlib
import json
import pathlib
import sys
import tempfile
import time
from typing import Dict, Sequence

import command
import machine
import page
from command import Book
from place import CLASSIFICATION, DATASETS, Place, rows
from probabilities import paired
from recipe_table import flags, settings
from serving import predicted

# Trials at the same time.
AT_ONCE = 2
QUICK = settings("--number_of_epochs 1 --pretrained none --training_batch_size 4")


@dataclasses.dataclass(frozen=True)
class Way:
    """A way to come to a model: a training, or a study with so many trials, and what it is told besides."""

    options: Dict[str, object]
    trials: int = 0


@dataclasses.dataclass(frozen=True)
class Case:
    """A set of images and two ways to come to a model of it."""

    name: str
    title: str
    data: str
    ways: Dict[str, Way]
    # Images of a class to train on; 0 is all of them.
    per_class: int = 0
    # What is measured on the test part, the first of which decides.
    metrics: Sequence[str] = ("accuracy", "log_loss")
    seeds: Sequence[int] = (0,)
    # What every training and every trial is told, so that it ends on a processor within minutes.
    settings: Dict[str, object] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the page."""

    name: str
    title: str
    text: str
    cases: Sequence[Case]


DEFAULT = {"one training": Way({})}
AUTO = {**DEFAULT, "six trials": Way({}, 6)}
AP = ("ap50_95", "ap50")
# Two models, each with settings of its own. MobileNetV2's published weights are not asked for, because they have to be fetched.
SPACE = """
  - model_name: efficientnet_lite0
    learning_rate: "loguniform(-6.5, -3)"
    weight_decay: "loguniform(-9, -3)"
    layer_lr_decay: "choice(0.6, 0.8, 1.0)"
  - model_name: mobilenetv2
    pretrained: none
    learning_rate: "loguniform(-6.5, -3)"
    optimizer: "choice('sgd', 'adamw')"
"""
# One model by random points, which both ways draw alike, of rates as wide as one takes them who knows nothing; small images.
RANDOM = {
    "sampling": "random", "search": ["learning_rate=loguniform(-11,-1)", "weight_decay=loguniform(-9,-3)"],
    "settings": settings("--train_crop_size 128 --valid_resize_size 146 --valid_crop_size 128"),
}
SECTIONS = [
    Section(
        "sweep", "A sweep over two models",
        """Twelve trials, two at once, of two models with settings of their own, by the Bayesian sampler with the bandit policy
        (slack factor 0.2, from the fifth report on), beside `trainer train` without a word.""",
        [Case(
            "signs", "signs, 20 images a class", "signs",
            {**DEFAULT, "twelve trials": Way({"space": SPACE, "policy": "{type: bandit, slack_factor: 0.2, delay_evaluation: 5}"}, 12)},
            per_class=20,
        )],
    ),
    Section(
        "auto", "AutoMode",
        """A study of six trials, two at once, that is given nothing but the images, beside `trainer train` without a word. Where a row
        names settings, both sides are given them. Detectors begin from random weights, because no others are at hand.""",
        [
            Case("signs", "signs, 20 images a class", "signs", AUTO, per_class=20),
            Case("clothing", "clothing, 20 images a class", "clothing", AUTO, per_class=20),
            Case("bccd", "blood cells, boxes", "bccd", AUTO, metrics=AP, settings=settings("--image_size 256")),
            Case("fridge-masks", "fridge, outlines", "fridge-masks", AUTO, metrics=AP, settings=settings("--min_size 256 --number_of_epochs 2")),
        ],
    ),
    Section(
        "median", "Median stopping",
        """Twelve random points of EfficientNet-Lite0 on images of 128 px, two at once, the same on either side; rates from 1.7e-5 to 0.37. The
        second study ends trials whose best is below the median of the others' means, from the second report on.""",
        [Case(
            "signs", "signs, 20 images a class", "signs",
            {"twelve trials": Way(RANDOM, 12), "with median stopping": Way({**RANDOM, "policy": "median_stopping(delay_evaluation=2)"}, 12)},
            per_class=20,
        )],
    ),
]
INTRODUCTION = """Made by `scripts/bench/studies.py --page` of [records/studies.json](records/studies.json); do not change it by hand. What
[sweeps](sweeps.md) bring, on images that nothing was chosen by. Every number is that of the exported file. The difference is the second row
of a set less the first, in points, with the 95 % interval of a paired bootstrap of the test images. Time of training is the sum over all
trials. The number under run leads to [machine and commit](#runs)."""


def all_cases():
    """Every case with its full name and section."""
    return [(f"{section.name}/{case.name}", section, case) for section in SECTIONS for case in section.cases]


def parts(place, case):
    """Rows to train on, to choose by and to test on. Of a set without a test part, the validation part is that, and every fifth row to
    train on is to choose by; in the order of the hashes of their names."""
    made = place.dataset(case.data)
    ordered = sorted(rows(made["train"]), key=lambda one: hashlib.sha256(one[0].name.encode()).digest())
    seen, chosen = {}, []
    for path, row in ordered:
        label = row["label"] if case.per_class else ""
        seen[label] = seen.get(label, 0) + 1
        if not case.per_class or seen[label] <= case.per_class:
            chosen.append({**row, "image_url": str(path.resolve())})
    found = {"validation": made["validation"], "test": made.get("test", made["validation"])}
    if "test" not in made:
        found["validation"] = written(place, f"{case.data}-validation", chosen[::5])
        chosen = [row for at, row in enumerate(chosen) if at % 5]
    return {**found, "train": written(place, f"{case.data}-{case.per_class}-train", chosen)}


def written(place, name, content):
    path = place.folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    return path


def trained(place, case, way, seed, output):
    """The answer of a training: its file, and seconds of it."""
    made, started = parts(place, case), time.monotonic()
    options = {"task": DATASETS[case.data].task, **case.settings, **(QUICK if place.quick else {}), **way.options}
    answer = place.trainer(
        "train", "--training_data", made["train"], "--validation_data", made["validation"], "--seed", seed, "--output", output, *flags(options),
    )
    seconds = round(time.monotonic() - started)
    return {"onnx": answer["onnx"], "seconds": seconds, "training": seconds}


def swept(place, case, way, seed, output):
    """The answer of a study: the best file, seconds of it and of its trials, and what became of them."""
    made, started, task = parts(place, case), time.monotonic(), DATASETS[case.data].task
    trials = 3 if place.quick else way.trials
    options = way.options
    fixed = {**case.settings, **options.get("settings", {}), **(QUICK if place.quick else {})}
    if "space" in options:
        # As a job file, which is where spaces of several models are written.
        body = [
            "type: automl", f"task: {task}", f"training_data: {{type: mltable, path: {made['train']}}}",
            f"validation_data: {{type: mltable, path: {made['validation']}}}",
            f"limits: {{max_trials: {trials}, max_concurrent_trials: {AT_ONCE}}}",
            f"training_parameters: {json.dumps({'recipe': 'auto', 'seed': seed, **fixed})}",
            f"sweep: {{sampling_algorithm: {{type: bayesian, seed: {seed}}}, early_termination: {options['policy']}}}",
            f"search_space:{options['space']}",
        ]
        job = output.with_suffix(".yml")
        job.write_text("\n".join(body), encoding="utf-8")
        arguments = ["job", job]
    else:
        arguments = [
            "sweep", "--task", task, "--training_data", made["train"], "--validation_data", made["validation"], "--seed", seed,
            "--max_trials", trials, "--max_concurrent_trials", AT_ONCE, *flags(fixed),
        ]
        arguments += ["--sampling", options["sampling"]] if "sampling" in options else []
        arguments += [word for one in options.get("search", []) for word in ("--search", one)]
        arguments += ["--early_termination", options["policy"]] if "policy" in options else []
    answer = place.trainer(*arguments, "--output", output)
    trials = answer["trials"]
    states = {state: sum(trial["state"] == state for trial in trials) for state in dict.fromkeys(trial["state"] for trial in trials)}
    return {
        "onnx": answer["best"]["onnx"], "seconds": round(time.monotonic() - started), "training": round(sum(trial["seconds"] for trial in trials)),
        "epochs": sum(trial["epochs"] for trial in trials), "states": states, "best": answer["best"]["trial"], "point": answer["best"]["point"],
        "validation": round(answer["best"]["value"], 4),
    }


def measured(place, case, onnx):
    """The metrics of a file on the test part, and of a classifier which of its images it names right."""
    test = parts(place, case)["test"]
    found = place.trainer("evaluate", "--onnx", onnx, "--data", test)["metrics"]
    record = {"metrics": {key: round(found[key], 4) for key in case.metrics}}
    if DATASETS[case.data].task == CLASSIFICATION:
        labels = predicted(place, onnx, [str(path) for path, _ in rows(test)], False)
        record["right"] = "".join(str(int(label == row["label"])) for label, (_, row) in zip(labels, rows(test)))
    return record


def studied(name, case, place, seed):
    """The records of a case: one a way."""
    found = []
    for title, way in case.ways.items():
        output = place.folder / "-".join([*name.split("/"), *title.split(), str(seed)])
        come = (swept if way.trials else trained)(place, case, way, seed, output)
        onnx = come.pop("onnx")
        found.append({"case": name, "way": title, "seeds": [seed], **come, **measured(place, case, onnx)})
    return found


def difference(pair):
    """By how many points the second of two records is ahead of the first."""
    first, second = pair
    if "right" in first:
        points = [[[100 * int(one) for one in record["right"]]] for record in (second, first)]
        mean, low, high = paired(*points)
        return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"
    key = next(iter(first["metrics"]))
    return f"{100 * (second['metrics'][key] - first['metrics'][key]):+.1f}"


def row(case, record, of_case, mark):
    first = next(one for one in of_case if one["seeds"] == record["seeds"])
    states = record.get("states", {})
    return {
        "set": case.title + "".join(f", {name} {value}" for name, value in case.settings.items()), "way": record["way"], "seed": str(record["seeds"][0]),
        **{name.replace("_", " "): f"{value:.4f}" for name, value in record["metrics"].items()},
        "difference": difference((first, record)) if record is not first else "",
        "trials": ", ".join(f"{count} {state}" for state, count in states.items()), "epochs": str(record.get("epochs", "")), "best on the validation data": str(record.get("validation", "")),
        "time of training": f"{record['training']} s", "time": f"{record['seconds']} s", "run": mark,
    }


def section(one, records, runs):
    """A section of the page."""
    table, missing = [], []
    for case in one.cases:
        name = f"{one.name}/{case.name}"
        found = [record for record in records.records if record["case"] == name]
        missing += [] if found else [name]
        table += [row(case, record, found, runs.mark(record["run"])) for record in found]
    notes = [best(one, records.records), *page.remarks(records, one.name, runs), *page.missing(missing)]
    return page.section(one.title, f"`{one.name}`. {one.text}", table, [note for note in notes if note])


def best(one, records):
    """What the best trials tried, in a list."""
    shown = lambda value: page.number(value) if isinstance(value, float) else str(value)
    items = [
        f"- `{record['case']}`, {record['way']}: trial {record['best']}, "
        + ", ".join(f"`{name}` {shown(value)}" for name, value in record["point"].items())
        for record in records if record["case"].startswith(f"{one.name}/") and "point" in record
    ]
    return "The best trials:\n\n" + "\n".join(page.paragraph(item, "  ") for item in items) if items else ""


BOOK = Book(
    name="studies", title="Studies", introduction=INTRODUCTION, key=("case", "way"), names=[name for name, _, _ in all_cases()],
    section=section, sections=SECTIONS,
)


def run(args):
    if args.list:
        for name, _, case in all_cases():
            known = [one for one in BOOK.records().records if one["case"] == name]
            print(f"  {name:26} {case.title:32} {'recorded' if known else 'no record'}")
        return 0
    if args.page or args.check:
        return BOOK.publish(args.check)
    this, found = machine.describe(), []
    this.update({"note": args.note} if args.note else {})
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.output or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        place = Place(folder.resolve(), args.data.resolve(), args.python, 0, args.quick)
        for name, _, case in command.select(args.names, all_cases(), str.startswith):
            for seed in case.seeds[:1] if args.quick else case.seeds:
                records = studied(name, case, place, seed)
                print("\n".join(json.dumps(record) for record in records), flush=True)
                found += records
                if args.json or not args.quick:
                    BOOK.keep(this, found, args.json)
    return 0


def arguments():
    parser = command.parser(__doc__, "cases")
    parser.add_argument("--output", type=pathlib.Path, help="keep the runs and studies in this new folder")
    return command.read(parser)


if __name__ == "__main__":
    sys.exit(command.main("studies", arguments(), run))
