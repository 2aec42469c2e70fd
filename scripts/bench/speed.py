#!/usr/bin/env python3
"""How fast Fovea is beside what else does the same work: same machine, same libtorch, same threads, in turn in one run.

    scripts/bench/speed.py --list                         every case, what is compared in it, and what is known of it
    scripts/bench/speed.py --quick [CASE...]              seconds instead of hours: does the benchmark work? Nothing is recorded
    scripts/bench/speed.py CASE... --python PYTHON        measures, prints the table, keeps the records, makes the page anew
    scripts/bench/speed.py --page                         makes docs/speed.md of docs/data/speed.json and the table of cases
    scripts/bench/speed.py --check                        ends with 1 when that page says something else than the records

CASE is the name of a case, the beginning of names (classifier-step, classifier-step/resnet18) or a pattern ('*/fp32'); all is
everything. Before: cargo build --release --locked --workspace --features tests/torch --bins --examples, and for the peers
scripts/oracle/environment FOLDER; PYTHON is then FOLDER/bin/python (or what FOVEA_ORACLE_PYTHON names).

Each side runs in fresh processes, who begins alternates, and the ratio ours / peer is taken pair by pair. A new record replaces the
old one of its case. On a busy machine nothing is measured unless --busy says so; how busy it was is kept with the numbers.
"""

import argparse
import fnmatch
import json
import os
import pathlib
import sys
import tempfile

import machine
import page
from compare import compare
from machine import ROOT
from place import Failed, Place
from records import Records
from speed_cases import GROUPS, all_cases, prepared_by_peer

RECORDS, PAGE = ROOT / "docs/data/speed.json", ROOT / "docs/speed.md"
KEY = ("case", "measure")
# What the oracles' versions say of a run, by the package they are asked for.
PEERS = ("torch", "torchvision", "timm", "yolov5", "opencv-python-headless")
INTRODUCTION = """This page is made by `scripts/bench/speed.py --page` of the records in [data/speed.json](data/speed.json); do not
change it by hand. Every ratio is ours / peer, the median of pairs of runs with the least and the greatest of them: of times, below 1
is faster than the peer; of rates, above 1. The number under run leads to [the list](#runs) of machines and commits."""


def chosen(patterns):
    """The cases that the patterns name."""
    cases, found = all_cases(), []
    for pattern in patterns:
        matching = [one for one in cases if pattern == "all" or one[0].startswith(pattern) or fnmatch.fnmatch(one[0], pattern)]
        if not matching:
            raise Failed(f"there is no case '{pattern}'; --list has them all")
        found += [one for one in matching if one not in found]
    return found


def with_parameters(cases, settings):
    """The cases with other parameters, each of which at least one of them must have."""
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not any(key in case.parameters for _, _, case in cases):
            raise Failed(f"--set {setting}: no chosen case has a parameter '{key}'; it is KEY=VALUE")
        for _, _, case in cases:
            if key in case.parameters:
                case.parameters[key] = type(case.parameters[key])(value)


def row(group, case, record, runs):
    """A row of a group's table."""
    digits = 2 if group.better == "less" else 1
    cells = {**case.columns, "measured": group.measures[record["measure"]]}
    cells[f"ours, {group.unit}"] = page.spread_middle(record.get("ours"))
    cells[f"{group.peer_name}, {group.unit}"] = page.spread_middle(record.get("peer"))
    cells["ratio (low to high)"] = page.spread(record.get("ratio"), lambda value: f"{value:.{digits}f}")
    if group.images:
        images = 1000 * case.parameters[group.images]
        for side, title in [("ours", "ours, images/s"), ("peer", f"{group.peer_name}, images/s")]:
            middle = page.middle(record.get(side))
            cells[title] = f"{images / middle:.1f}" if middle else ""
    for shown in group.shown:
        for side, value in record.get("shown", {}).get(shown.key, {}).items():
            title = f"{'our' if side == 'ours' else 'their'} {shown.title}" if shown.both else shown.title
            cells[title] = f"{value:.1%}" if shown.key == "wait" else page.number(value)
    return {**cells, "pairs": str(record.get("pairs", "")), "run": runs.mark(record["run"])}


def section(group, records, runs):
    """A group's part of the page: what is compared, its table, what was written down about it, and what is not measured yet."""
    table, missing = [], []
    for case in group.cases:
        name = f"{group.name}/{case.name}"
        found = [record for record in records.records if record["case"] == name]
        table += [row(group, case, record, runs) for record in found]
        missing += [] if found else [f"`{name}`"]
    parts = [f"## {group.title}", page.paragraph(f"`{group.name}`. {group.compares}")]
    parts += [page.table(table)] if table else []
    parts += page.remarks(records, group.name, runs)
    parts += [page.paragraph("No record yet: " + ", ".join(missing) + ".")] if missing else []
    return "\n\n".join(parts)


def made_page(records):
    known = {name for name, _, _ in all_cases()}
    lost = sorted({record["case"] for record in records.records} - known)
    if lost:
        raise Failed(f"{records.path} has records of cases that are not in the table: {', '.join(lost)}")
    runs = page.Runs(records.runs)
    sections = [section(group, records, runs) for group in GROUPS]
    return "\n\n".join(["# Speed", page.paragraph(INTRODUCTION), *sections, runs.section()]) + "\n"


def listed(records):
    """Every group and case, with what is known of it."""
    for group in GROUPS:
        peer = f"beside {group.peer_name}" if group.peer else "no peer"
        print(f"\n{group.name}: {group.title.lower()}, in {group.unit}, {peer}; {group.better} is better")
        for case in group.cases:
            name = f"{group.name}/{case.name}"
            found = [record for record in records.records if record["case"] == name]
            ratios = [page.spread(record["ratio"]) for record in found if "ratio" in record]
            known = f"ratio {'; '.join(ratios)}" if ratios else "recorded" if found else "no record"
            print(f"  {name:56} {known}")


def versions(place):
    """The peers' packages in the oracles' Python."""
    program = (
        "import importlib.metadata as m, json\n"
        f"print(json.dumps({{p: m.version(p) for p in {PEERS!r} if any(d.metadata['Name'] == p for d in m.distributions())}}))"
    )
    found = place.run([place.python, "-c", program.replace("{", "{{").replace("}", "}}")]).answer()
    return ", ".join(f"{name} {version}" for name, version in found.items())


def measure(cases, place, args):
    """Measures every case and prints its table as soon as it is known. Returns the run and its records."""
    run = {**machine.describe(), "threads": args.threads}
    if not args.ours and any(group.peer for _, group, _ in cases):
        run["peer"] = versions(place)
    others, found, runs = machine.OthersUse(), [], page.Runs({"": run})
    for name, group, case in cases:
        if args.ours and group.prepare is prepared_by_peer:
            print(f"\n{name}\nleft out: the peer writes what both sides read", flush=True)
            continue
        with tempfile.TemporaryDirectory() as folder:
            # Datasets are made once for all cases; the rest is a case's own.
            own = Place(**{**vars(place), "folder": pathlib.Path(folder)})
            (own.folder / "data").symlink_to(place.folder / "data")
            records = compare(group, case, own, args.pairs, not args.ours)
        found += records
        print(f"\n{name}\n" + page.table([row(group, case, {**record, "run": ""}, runs) for record in records]), flush=True)
    run["others"] = others.processors()
    return run, found


def quick(cases):
    """The first chosen case of each group, with parameters that take seconds."""
    first = {}
    for name, group, case in cases:
        first.setdefault(group.name, (name, group, case))
    for _, group, case in first.values():
        case.parameters.update(group.quick)
    return list(first.values())


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE")
    parser.add_argument("--list", action="store_true", help="name every case and end")
    parser.add_argument("--page", action="store_true", help="make the page of the records and end")
    parser.add_argument("--check", action="store_true", help="compare the page with the records and end")
    parser.add_argument("--quick", action="store_true", help="the first case of each group on generated images, one pair, not recorded")
    parser.add_argument("--ours", action="store_true", help="our side only, for which no Python of the oracles is needed; not recorded")
    parser.add_argument("--python", default=os.environ.get("FOVEA_ORACLE_PYTHON", "python3"), help="the Python of the oracles")
    parser.add_argument("--data", type=pathlib.Path, default=ROOT / "../shared/data", help="the folder of all datasets [../shared/data]")
    parser.add_argument("--pairs", type=int, default=3, help="runs of each side [3]")
    parser.add_argument("--threads", type=int, default=2, help="of each side, where a case does not say [2]")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="another value of a parameter; not recorded")
    parser.add_argument("--busy", action="store_true", help="measure although the machine does other work")
    parser.add_argument("--note", help="a sentence about the run, kept with its records")
    parser.add_argument("--json", type=pathlib.Path, help="write the run and its records there and leave the project's as they are")
    args = parser.parse_args()
    if args.pairs < 1 or args.threads < 1:
        parser.error("--pairs and --threads are at least 1")
    if not (args.cases or args.list or args.page or args.check or args.quick):
        parser.print_help()
        parser.exit(2)
    return args


def run(args):
    records = Records(RECORDS, KEY)
    if args.list:
        return listed(records)
    if args.page or args.check:
        return page.publish(PAGE, made_page(records), args.check)
    cases = chosen(args.cases or ["all"])
    if args.quick:
        cases, args.pairs = quick(cases), 1
    elif not args.busy:
        machine.refuse_when_busy()
    with_parameters(cases, args.set)
    with tempfile.TemporaryDirectory() as folder:
        place = Place(pathlib.Path(folder), args.data.resolve(), args.python, args.threads, args.quick)
        (place.folder / "data").mkdir()
        facts, found = measure(cases, place, args)
    if args.note:
        facts["note"] = args.note
    if args.json:
        args.json.write_text(json.dumps({"run": facts, "records": found}, indent=2) + "\n", encoding="utf-8")
    elif not (args.quick or args.ours or args.set):
        records.replace(machine.now().strftime("%Y-%m-%d %H:%M"), facts, found)
        records.write()
        return page.publish(PAGE, made_page(records), check=False)
    return 0


def main():
    args = arguments()
    try:
        return run(args)
    except (Failed, machine.Busy) as error:
        print(f"speed: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
