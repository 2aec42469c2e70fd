#!/usr/bin/env python3
"""The documented trainings on real images, from images to served labels, with the numbers they give.

    scripts/bench/recipes.py --list                       every recipe, and what is known of it
    scripts/bench/recipes.py --quick [RECIPE...]          one epoch on generated images: does the recipe work? Nothing is recorded
    scripts/bench/recipes.py RECIPE...                    trains, measures, prints the table, keeps the records, makes the page anew
    scripts/bench/recipes.py --page                       makes docs/results.md of docs/records/results.json and the table of recipes
    scripts/bench/recipes.py --check                      ends with 1 when that page says something else than the records

RECIPE is the name of a recipe or the beginning of names (detection, detection/bccd); all is everything. Before: cargo build --release
--locked --workspace --features tests/torch --bins --examples. Every number is that of the exported file, measured by ONNX Runtime,
with the checkpoint's beside it; of classifiers the server is started on the file, every image is sent, and its labels are compared with
the file's. With --original and the Python of the oracles (--python) the original package trains by the same recipe, and peers for the same time.

A new record replaces the one of its recipe, variant, part and seed.
"""

import hashlib
import json
import pathlib
import statistics
import sys
import tempfile
import time

import command
import machine
import page
from command import Book
from place import DATASETS, MULTILABEL, Place, listing, rows
from probabilities import measures
from recipe_summary import summary
from recipe_table import SECTIONS, flags
from serving import equal_labels, predicted

# What the peers start from; scripts/quickstart gets it.
WEIGHTS = machine.ROOT / "native/weights/efficientnet-lite0-57934424.pth"
INTRODUCTION = """Made by `scripts/bench/recipes.py --page` of [records/results.json](records/results.json); do not
change it by hand. `scripts/bench/recipes.py` makes each row again: the settings of a recipe stand in `scripts/bench/recipe_table.py`. Of
several seeds each one's number is shown, and their mean. The number under run leads to [the list](#runs) of machines and commits. Each
section begins with the names of its recipes."""


def all_recipes():
    """Every recipe with its full name and section."""
    return [(f"{section.name}/{recipe.name}", section, recipe) for section in SECTIONS for recipe in section.recipes]


def parts(place, recipe):
    """The dataset's parts by name; of a recipe that learns images by heart, only these."""
    made = place.dataset(recipe.data)
    if recipe.per_class:
        return slices(place, recipe, made)
    if not recipe.by_heart:
        return made
    few = place.folder / "by-heart.jsonl"
    chosen_rows = list(rows(made["train"]))[: recipe.by_heart]
    few.write_text("".join(json.dumps({**row, "image_url": str(path.resolve())}) + "\n" for path, row in chosen_rows), encoding="utf-8")
    return {"train": few}


def slices(place, recipe, made):
    """The dataset with only so many training images of each class, chosen by the hash of their names, and a test part."""
    by_class, left = {}, []
    for path, row in sorted(rows(made["train"]), key=lambda one: hashlib.sha256(one[0].name.encode()).digest()):
        of_class = by_class.setdefault(row["label"], [])
        (of_class if len(of_class) < recipe.per_class else left).append({**row, "image_url": str(path.resolve())})
    folder = place.folder / f"slice-{recipe.name}"
    folder.mkdir(exist_ok=True)
    if "test" not in made and not left:
        # All of the set: every fifth of a class is to validate on.
        left = [row for of_class in by_class.values() for row in of_class[::5]]
        by_class = {label: [row for at, row in enumerate(of_class) if at % 5] for label, of_class in by_class.items()}
    written = {"train": [row for of_class in by_class.values() for row in of_class]}
    if "test" not in made:
        written["validation"] = left
    for part, of_part in written.items():
        (folder / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in of_part), encoding="utf-8")
    parts_of = {**made, "test": made.get("test", made["validation"])}
    return {**parts_of, **{part: folder / f"{part}.jsonl" for part in written}}


def train(place, recipe, options, seed, output):
    """Trains with one seed. Returns the trainer's answer and the seconds it took, export and report included."""
    made = parts(place, recipe)
    # What is tested on is never chosen by.
    validation = made["validation"] if recipe.parts[0] == "test" else made.get(recipe.parts[0], made.get("validation"))
    data = ["--training_data", made["train"], "--validation_data", validation]
    if place.threads:
        data += ["--threads", place.threads]
    started = time.monotonic()
    answer = place.trainer("train", *data, "--seed", seed, "--output", output, *flags({"recipe": "specification", **options}))
    return answer, round(time.monotonic() - started)


def measured(place, recipe, command, part):
    """The recipe's metrics of a file or checkpoint on a part."""
    metrics = place.trainer("evaluate", *command, "--data", part)["metrics"]
    return {key: round(metrics[key], 4) for key in recipe.metrics}


def ours(place, recipe, options, seed, output):
    """Records of one training: of each part the file's numbers, the checkpoint's, and how many images are served with the same label."""
    answer, seconds = train(place, recipe, options, seed, output)
    made, records = parts(place, recipe), []
    for part in [part for part in recipe.parts if part in made]:
        found = {
            "part": part, "side": "ours", "seeds": [seed], "metrics": measured(place, recipe, ["--onnx", answer["onnx"]], made[part]),
            "checkpoint": measured(place, recipe, ["--checkpoint", output], made[part]), "best_epoch": answer["best_epoch"],
            "seconds": seconds,
        }
        images = [str(path) for path, _ in rows(made[part])]
        if recipe.served:
            equal = equal_labels(place, answer["onnx"], images, DATASETS[recipe.data].task == MULTILABEL)
            found["served"] = {"equal": equal, "of": len(images)}
        if recipe.peers:
            found["right"] = right(predicted(place, answer["onnx"], images, False), made[part])
        records.append(found)
    return records


def right(labels, part):
    """Whether each image of a part was given its label, as text of 0 and 1."""
    return "".join(str(int(label == row["label"])) for label, (_, row) in zip(labels, rows(part)))


def peers(place, recipe, seed, seconds):
    """Records of what others make of the same images and weights, in as many seconds."""
    made, [part] = parts(place, recipe), recipe.parts
    lists = [listing(made[one]) for one in ("train", "validation", part)]
    records = []
    for name, way in recipe.peers.items():
        answer = place.run([
            "{python}", "{peers}/classifier_recipe.py", way, WEIGHTS, seed, place.threads or 2, seconds, *lists,
        ]).answer()
        classes, rows_of = answer["classes"], answer["probabilities"]
        found = measures(rows_of, [classes.index(row["label"]) for _, row in rows(made[part])])
        labels = [classes[row.index(max(row))] for row in rows_of]
        records.append({
            "variant": name, "part": part, "side": "peer", "seeds": [seed], "metrics": {key: round(found[key], 4) for key in recipe.metrics},
            "epochs": answer["epochs"], "seconds": round(answer["seconds"]), "right": right(labels, made[part]),
        })
    return records


def originals(place, recipe, seed):
    """Records of the original package's training by the same recipe."""
    made, facts = parts(place, recipe), recipe.original
    chosen_parts = [part for part in recipe.parts if part in made]
    converted = place.folder / "yolo" / recipe.name
    if not converted.exists():
        place.trainer("convert", "jsonl", listing(made["train"]), listing(made["validation"]), "--to", "yolo", "--output", converted)
    epochs, side = (1, 64) if place.quick else (facts["epochs"], facts["side"])
    found = place.run([
        "{python}", "{peers}/detector_recipe.py", converted / "data.yaml", side, facts["batch"], epochs, seed, place.threads or 2,
        *(listing(made[part]) for part in chosen_parts),
    ]).answer()
    return [
        {"part": part, "side": "original", "seeds": [seed], "metrics": {key: round(metrics[key], 4) for key in recipe.metrics}}
        for part, metrics in zip(chosen_parts, found)
    ]


def files(place, recipe, options, seed, output):
    """Records of a training whose exported files are compared with the checkpoint: of each file and kind of images."""
    train(place, recipe, options, seed, output)
    # Generated data has fewer images to validate with than there are odd pieces to cut.
    images = [path for path, _ in rows(place.dataset(recipe.data)["train" if place.quick else "validation"])]
    (output / "files").mkdir()
    compared = place.run(["{programs}/examples/bench", "detector-files", output, output / "files", *images]).answer()
    found = {}
    for row in compared:
        of_file = found.setdefault((row["file"], row["images"]), {})
        for key in ("boxes", "unmatched", "corners", "scores", "masks", "pixels", "strays"):
            of_file[key] = max(of_file.get(key, 0), float(f"{row[key]:.2g}") if isinstance(row[key], float) else row[key])
    return [
        {"variant": file, "part": kind, "side": "ours", "seeds": [seed], "metrics": metrics} for (file, kind), metrics in found.items()
    ]


def quickened(recipe, options):
    """Settings of a variant, in seconds."""
    chosen = {**options, **recipe.quick}
    return {**chosen, "head_epochs": min(chosen["head_epochs"], int(chosen["number_of_epochs"]))} if "head_epochs" in chosen else chosen


def trainings(section, recipe, place, args):
    """The records of each training of a recipe, one list after the other: with every seed every variant, and then the peers."""
    name = f"{section.name}/{recipe.name}"
    for seed in recipe.seeds[args.after : args.seeds]:
        longest = 0
        for variant, options in recipe.variants.items():
            output = place.folder / "-".join([section.name, recipe.name, *variant.replace(",", "").split(), str(seed)])
            run = files if section.files else ours
            found = run(place, recipe, quickened(recipe, options) if place.quick else options, seed, output)
            longest = max([longest, *(record.get("seconds", 0) for record in found)])
            if args.original and recipe.original:
                found += originals(place, recipe, seed)
            yield [{"case": name, "variant": variant, **record} for record in found]
        if args.original and recipe.peers:
            yield [{"case": name, **record} for record in peers(place, recipe, seed, longest)]


def decimals(value, digits=3):
    """A metric as papers print it: .922."""
    return f"{value:.{digits}f}".lstrip("0") if value < 1 else f"{value:.{digits}f}"


def seeds_of(records):
    """'0 to 4' or '0, 1': the seeds of records."""
    seeds = sorted({seed for record in records for seed in record["seeds"]})
    if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))


def spread(records, field, key):
    """The mean of the seeds' numbers, and the least and the greatest; where there is no room for each."""
    found = [record[field][key] for record in records if key in record.get(field, {})]
    if not found:
        return ""
    ends = f" ({decimals(min(found))} to {decimals(max(found))})" if len(set(found)) > 1 else ""
    return f"{decimals(statistics.mean(found))}{ends}"


def values(records, side, field, key, digits=3):
    """Each seed's number and their mean, or mean and lowest where no more was written down."""
    found = [record[field][key] for record in records if record["side"] == side and key in record.get(field, {})]
    if not found:
        return ""
    summaries = [value for value in found if isinstance(value, dict)]
    if summaries:
        return "; ".join(f"mean {decimals(value['mean'], digits)}, lowest {decimals(value['lowest'], digits)}" for value in summaries)
    if len(found) == 1:
        return decimals(found[0], digits)
    mean = f"mean {decimals(statistics.mean(found), digits)}"
    return f"each {decimals(found[0], digits)}" if len(set(found)) == 1 else f"{', '.join(decimals(v, digits) for v in found)} ({mean})"


def seconds_of(records):
    found = [second for record in records for second in [record.get("seconds")] if second is not None]
    ends = [end for second in found for end in (second if isinstance(second, list) else [second])]
    if not ends:
        return ""
    return f"{min(ends)} to {max(ends)} s" if min(ends) != max(ends) else f"{ends[0]} s"


def measured_row(section, recipe, records, runs):
    """The row of a recipe's variant on a part: what all its seeds gave. The columns are the same throughout a section."""
    mine = [record for record in records if record["side"] != "original"]
    metrics = {key: title for one in section.recipes for key, title in sorted(one.metrics.items(), reverse=True)}
    metrics = {key: recipe.metrics.get(key, title) for key, title in metrics.items()}
    cells = {"set, model": recipe.title, "recipe": mine[0]["variant"], "part": mine[0]["part"], "seeds": seeds_of(records)}
    for key, title in metrics.items():
        cells[title] = spread(mine, "metrics", key) if recipe.peers else values(records, "ours", "metrics", key)
        cells[f"{title}, original"] = values(records, "original", "metrics", key)
    # One number tells whether the file is the checkpoint; the page has no room for all of them.
    key = next(iter(recipe.metrics))
    if not recipe.peers:
        cells[f"{recipe.metrics[key]} of the checkpoint"] = values(records, "ours", "checkpoint", key, 4)
    cells["best epoch"] = ", ".join(str(record["best_epoch"]) for record in mine if "best_epoch" in record)
    cells["served alike"] = ", ".join(f"{one['served']['equal']} of {one['served']['of']}" for one in mine if "served" in one)
    cells.update({"known figure": recipe.known, "time": seconds_of(mine)})
    return {**cells, "run": ", ".join(dict.fromkeys(runs.mark(record["run"]) for record in records))}


def files_row(record, runs):
    """The row of an exported file and a kind of images."""
    metrics = record["metrics"]
    return {
        "file": record["variant"], "images": record["part"], "boxes": str(metrics["boxes"]), "without partner": str(metrics["unmatched"]),
        "corners, px": page.number(metrics["corners"]), "scores": page.number(metrics["scores"]),
        **masks_cells(metrics), "run": runs.mark(record["run"]),
    }


def masks_cells(metrics):
    """What differs between masks, and nothing for models without: a count of pixels would read as if they had been compared."""
    if not metrics.get("pixels"):
        return {"mask probabilities": "", "pixels": ""}
    return {"mask probabilities": page.number(metrics["masks"]), "pixels": f"{metrics['strays']} of {metrics['pixels']}"}


def section_text(section, records, runs):
    """A section's part of the page."""
    table, missing = [], []
    for recipe in section.recipes:
        name = f"{section.name}/{recipe.name}"
        found = sorted((record for record in records.records if record["case"] == name), key=lambda record: record["seeds"])
        missing += [] if found else [name]
        if section.files:
            table += [files_row(record, runs) for record in found]
            continue
        for row in dict.fromkeys((record["variant"], record["part"]) for record in found):
            table.append(measured_row(section, recipe, [one for one in found if (one["variant"], one["part"]) == row], runs))
    names = ", ".join(f"`{section.name}/{recipe.name}`" for recipe in section.recipes)
    notes = summary(section, records.records) + page.remarks(records, section.name, runs) + page.missing(missing)
    return page.section(section.title, f"{names}. {section.text}", table, notes)


BOOK = Book(
    name="results", title="Results", introduction=INTRODUCTION, key=("case", "variant", "part", "side"),
    names=[name for name, _, _ in all_recipes()], section=section_text, sections=SECTIONS,
)


def listed(records):
    """Every recipe, and the seeds that there are records of."""
    for section in SECTIONS:
        print(f"\n{section.name}: {section.title.lower()}")
        for recipe in section.recipes:
            name = f"{section.name}/{recipe.name}"
            found = [record for record in records.records if record["case"] == name]
            print(f"  {name:36} {recipe.title}; {'seeds ' + seeds_of(found) if found else 'no record'}")


def arguments():
    parser = command.parser(__doc__, "recipes")
    parser.add_argument("--original", action="store_true", help="let the original package, or peers, train, too, where a recipe has them")
    parser.add_argument("--seeds", type=int, help="only the first so many of a recipe's seeds")
    parser.add_argument("--after", type=int, default=0, help="leave out the first so many of a recipe's seeds")
    parser.add_argument("--threads", type=int, default=0, help="of the trainings; as many as the trainer takes when not said")
    parser.add_argument("--output", type=pathlib.Path, help="keep the runs in this new folder")
    return command.read(parser)


def run(args):
    if args.list:
        return listed(BOOK.records())
    if args.page or args.check:
        return BOOK.publish(args.check)
    if args.quick:
        args.seeds = 1
    this, found = machine.describe(), []
    this.update({key: value for key, value in [("threads", args.threads), ("note", args.note)] if value})
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.output or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        place = Place(folder.resolve(), args.data.resolve(), args.python, args.threads, args.quick)
        for _, section, recipe in command.select(args.names, all_recipes(), str.startswith):
            for records in trainings(section, recipe, place, args):
                print("\n".join(json.dumps(record) for record in records), flush=True)
                found += records
                if args.json or not args.quick:
                    # After each training, so that what ends the run early costs no more than one.
                    BOOK.keep(this, found, args.json)
    return 0


if __name__ == "__main__":
    sys.exit(command.main("recipes", arguments(), run))
