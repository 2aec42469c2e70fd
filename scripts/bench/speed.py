#!/usr/bin/env python3
"""How fast Fovea is beside what else does the same work: same machine, same libtorch, same threads, in turn in one run.

    scripts/bench/speed.py --list                         every case, what is compared in it, and what is known of it
    scripts/bench/speed.py --quick [CASE...]              seconds instead of hours: does the benchmark work? Nothing is recorded
    scripts/bench/speed.py CASE... --python PYTHON        measures, prints the table, keeps the records, makes the page anew
    scripts/bench/speed.py --page                         makes docs/speed.md of docs/records/speed.json and the table of cases
    scripts/bench/speed.py --check                        ends with 1 when that page says something else than the records

CASE is the name of a case, the beginning of names (classifier-step, classifier-step/resnet18) or a pattern ('*/fp32'); all is
everything. Before: cargo build --release --locked --workspace --features tests/torch --bins --examples, and for the peers
scripts/oracle/environment FOLDER; PYTHON is then FOLDER/bin/python (or what FOVEA_ORACLE_PYTHON names).

Each side runs in fresh processes, who begins alternates, and the ratio ours / peer is taken pair by pair. A new record replaces the
old one of its case. On a busy machine nothing is measured unless --busy says so; how busy it was is kept with the numbers.
"""

import dataclasses
import fnmatch
import pathlib
import sys
import tempfile

import command
import machine
import page
from command import Book
from compare import compare
from machine import Failed
from place import Place
from speed_cases import GROUPS, all_cases, prepared_by_peer

# What is said of the peers' environment: the versions of these packages.
PEERS = ("torch", "torchvision", "timm", "yolov5", "opencv-python-headless")
INTRODUCTION = """Made by `scripts/bench/speed.py --page` of [records/speed.json](records/speed.json); do not
change it by hand. Every ratio is ours / peer, the median of pairs of runs with the least and the greatest of them: of times, below 1
is faster than the peer; of rates, above 1. The number under run leads to [machine and commit](#runs). Each section
begins with the name of its cases, by which `scripts/bench/speed.py` measures them again."""


def whole_number(setting, value):
    if not value.isdigit():
        raise Failed(f"--set {setting}: '{value}' is no whole number")
    return int(value)


def with_parameters(cases, settings):
    """The cases with other parameters, each of which at least one of them must have."""
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not any(key in case.parameters for _, _, case in cases):
            raise Failed(f"--set {setting}: no chosen case has a parameter '{key}'; it is KEY=VALUE")
        for _, _, case in cases:
            known = case.parameters.get(key)
            if isinstance(known, int):
                case.parameters[key] = whole_number(setting, value)
            elif isinstance(known, str):
                case.parameters[key] = value
            elif known is not None:
                raise Failed(f"--set {setting}: '{key}' is no number and no word; change the table instead")


def row(group, case, record, runs):
    """A row of a group's table."""
    digits = 2 if group.better == "less" else 1
    cells = {**case.columns, "measured": group.measures[record["measure"]]}
    cells[f"ours, {group.unit}"] = page.spread_middle(record.get("ours"))
    cells[f"{group.peer_name}, {group.unit}"] = page.spread_middle(record.get("peer"))
    cells["ratio (low to high)"] = page.spread(record.get("ratio"), lambda value: f"{value:.{digits}f}")
    if group.images:
        middle = page.middle(record.get("ours"))
        cells["ours, images/s"] = f"{1000 * case.parameters[group.images] / middle:.1f}" if middle else ""
    for shown in group.shown:
        for side, value in record.get("shown", {}).get(shown.key, {}).items():
            title = f"{'our' if side == 'ours' else 'their'} {shown.title}" if shown.both else shown.title
            cells[title] = f"{value:.1%}" if shown.share else page.number(value)
    return {**cells, "pairs": str(record.get("pairs", "")), "run": runs.mark(record["run"])}


def section(group, records, runs):
    """A group's part of the page: what is compared, its table, what was written down about it, and what is not measured yet."""
    rows, missing = [], []
    for case in group.cases:
        name = f"{group.name}/{case.name}"
        found = [record for record in records.records if record["case"] == name]
        rows += [row(group, case, record, runs) for record in found]
        missing += [] if found else [name]
    notes = page.remarks(records, group.name, runs) + page.missing(missing)
    return page.section(group.title, f"`{group.name}`. {group.compares}", rows, notes)


BOOK = Book(
    name="speed", title="Speed", introduction=INTRODUCTION, key=("case", "measure"), names=[name for name, _, _ in all_cases()],
    section=section, sections=GROUPS,
)


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


def facts(cases, place, args):
    """What is known of the run before it begins."""
    threads = sorted({case.parameters.get("threads", args.threads) for _, _, case in cases})
    run = {**machine.describe(), "threads": " or ".join(map(str, threads))}
    if not args.ours and any(group.peer for _, group, _ in cases):
        run["peer"] = versions(place)
    more = {"note": args.note, "set": args.set, "quick": args.quick}
    return {**run, **{key: value for key, value in more.items() if value}}


def measured(name, group, case, place, args):
    """The records of a case, whose table is printed. Its folder is its own; only the datasets are made once for all."""
    if args.ours and group.prepare is prepared_by_peer:
        print(f"\n{name}\nleft out: the peer writes what both sides read", flush=True)
        return []
    with tempfile.TemporaryDirectory() as folder:
        own = dataclasses.replace(place, folder=pathlib.Path(folder))
        (own.folder / "data").symlink_to(place.folder / "data")
        records = compare(group, case, own, args.pairs, not args.ours)
    runs = page.Runs({})
    quick = f", quick: {', '.join(f'{key} {value}' for key, value in group.quick.items())}" if place.quick else ""
    print(f"\n{name}{quick}\n" + page.table([row(group, case, {**record, "run": "this"}, runs) for record in records]), flush=True)
    return records


def quick(cases):
    """The first chosen case of each group, with parameters that take seconds."""
    first = {}
    for name, group, case in cases:
        first.setdefault(group.name, (name, group, case))
    for _, group, case in first.values():
        case.parameters.update(group.quick)
    return list(first.values())


def arguments():
    parser = command.parser(__doc__, "cases")
    parser.add_argument("--ours", action="store_true", help="our side only, for which no Python of the oracles is needed; not recorded")
    parser.add_argument("--pairs", type=int, default=3, help="runs of each side [3]")
    parser.add_argument("--threads", type=int, default=2, help="of each side, where a case does not say [2]")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="another value of a parameter; not recorded")
    parser.add_argument("--busy", action="store_true", help="measure although the machine does other work")
    args = command.read(parser)
    if args.pairs < 1 or args.threads < 1:
        parser.error("--pairs and --threads are at least 1")
    return args


def run(args):
    if args.list:
        return listed(BOOK.records())
    if args.page or args.check:
        return BOOK.publish(args.check)
    cases = command.select(args.names, all_cases(), lambda name, given: name.startswith(given) or fnmatch.fnmatch(name, given))
    if args.quick:
        cases, args.pairs = quick(cases), 1
    elif not args.busy:
        machine.refuse_when_busy()
    with_parameters(cases, args.set)
    whole = not (args.quick or args.ours or args.set)
    with tempfile.TemporaryDirectory() as folder:
        place = Place(pathlib.Path(folder), args.data.resolve(), args.python, args.threads, args.quick)
        (place.folder / "data").mkdir()
        this, found, others = facts(cases, place, args), [], machine.OthersUse()
        for name, group, case in cases:
            found += measured(name, group, case, place, args)
            if whole or args.json:
                # After each case, so that what ends the run early costs no more than one.
                BOOK.keep({**this, "others": others.processors()}, found, args.json)
    return 0


if __name__ == "__main__":
    sys.exit(command.main("speed", arguments(), run))
