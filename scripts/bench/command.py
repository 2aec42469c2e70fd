"""What both commands share: their common options, and the book of records and page that each keeps."""

import argparse
import dataclasses
import json
import os
import pathlib
import sys
from typing import Callable, Sequence

import page
from machine import ROOT, Failed
from records import Records


@dataclasses.dataclass(frozen=True)
class Book:
    """The records docs/records/NAME.json and the page docs/NAME.md (or another) that is made from them."""

    name: str
    title: str
    introduction: str
    # The keys under which a record says what it is about.
    key: Sequence[str]
    # The names that records may have: those of the table.
    names: Sequence[str]
    # A section of the table, the records, and the numbers of runs, to the section's text.
    section: Callable
    sections: Sequence
    # The page's name, where it is another one than the records'.
    page: str = ""

    def path(self):
        return ROOT / f"docs/{self.page or self.name}.md"

    def records(self):
        return Records(ROOT / f"docs/records/{self.name}.json", self.key)

    def text(self):
        """The page."""
        records = self.records()
        lost = sorted({record["case"] for record in records.records} - set(self.names))
        if lost:
            raise Failed(f"{records.path} has records of what is no longer in the table: {', '.join(lost)}. Take them out")
        runs = page.Runs(records.runs)
        sections = [self.section(section, records, runs) for section in self.sections]
        return "\n\n".join([f"# {self.title}", page.paragraph(self.introduction), *sections, runs.section()]) + "\n"

    def publish(self, check=False):
        """Writes the page, or with `check` says whether it is up to date. Returns the exit code."""
        path, text = self.path(), self.text()
        name = path.relative_to(ROOT)
        if not check:
            path.write_text(text, encoding="utf-8")
            print(f"{name} is written")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            print(f"{name} does not say what docs/records/{self.name}.json says. Make it anew with --page; what is changed by hand is lost")
            return 1
        else:
            print(f"{name} says what docs/records/{self.name}.json says")
        return 0

    def keep(self, run, found, elsewhere):
        """Keeps what a run has found so far: in the file `elsewhere`, or in the book, whose page is then made anew."""
        if elsewhere:
            elsewhere.write_text(json.dumps({"run": run, "records": found}, indent=2) + "\n", encoding="utf-8")
            return
        records = self.records()
        records.replace(run["started"], run, found)
        records.write()
        self.path().write_text(self.text(), encoding="utf-8")


def parser(documentation, what):
    """A parser with the options that both commands have. `what` is the plural of what they are given."""
    made = argparse.ArgumentParser(description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("names", nargs="*", metavar=what[:-1].upper(), help=f"names of {what}, or all")
    made.add_argument("--list", action="store_true", help=f"name all {what} and end")
    made.add_argument("--page", action="store_true", help="make the page of the records and end")
    made.add_argument("--check", action="store_true", help="compare the page with the records and end")
    made.add_argument("--quick", action="store_true", help="seconds each, on generated images; nothing is recorded")
    made.add_argument("--python", default=os.environ.get("FOVEA_ORACLE_PYTHON", "python3"), help="the Python of the oracles")
    made.add_argument("--data", type=pathlib.Path, default=ROOT / "../shared/data", help="the folder of all datasets [../shared/data]")
    made.add_argument("--note", help="a sentence about the run, kept with its records")
    made.add_argument("--json", type=pathlib.Path, help="write the run and its records there and leave the project's as they are")
    return made


def read(made):
    """The arguments; without any, the help is printed and the program ends."""
    args = made.parse_args()
    if not (args.names or args.list or args.page or args.check or args.quick):
        made.print_help()
        made.exit(2)
    return args


def select(names, everything, fits):
    """Those of `everything` (tuples that begin with a name) that the given names mean, in their order."""
    found = []
    for name in names or ["all"]:
        matching = [one for one in everything if name == "all" or fits(one[0], name)]
        if not matching:
            raise Failed(f"there is nothing called '{name}'; --list names everything")
        found += [one for one in matching if one not in found]
    return found


def main(name, args, run):
    """Runs a command; what went wrong is said in one sentence. Returns the exit code."""
    try:
        return run(args)
    except Failed as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
