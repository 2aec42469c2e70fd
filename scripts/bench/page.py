"""Pages of the documentation that are made from records."""

import math
import textwrap

WIDTH = 120


def number(value):
    """A number of a record as it is written there: to four digits, without zeros it does not have."""
    if value is None:
        return ""
    if abs(value) >= 1000:
        return f"{value:.0f}"
    if value and abs(value) < 0.001:
        return f"{value:.1e}".replace("e-0", "e-")
    return f"{value:.4g}"


def spread(value, form=number):
    """'median (low to high)', of which a record may know only a part."""
    if value is None:
        return ""
    middle, low, high = (value.get(key) for key in ("median", "low", "high"))
    ends = f"{form(low)} to {form(high)}" if low is not None else ""
    if middle is None:
        return ends
    return f"{form(middle)} ({ends})" if ends else form(middle)


def middle(value):
    """The number that stands for a spread, where one is needed."""
    if value is None:
        return None
    return value["median"] if "median" in value else math.sqrt(value["low"] * value["high"])


def spread_middle(value):
    """The middle of a spread, or its ends where the middle is not known."""
    return "" if value is None else number(value["median"]) if "median" in value else spread(value)


def table(rows):
    """A Markdown table of rows, each a dictionary of cells by column. Columns without any content are left out."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    columns = [column for column in columns if any(row.get(column) for row in rows)]
    cells = [columns] + [[str(row.get(column) or "-") for column in columns] for row in rows]
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    return "\n".join([lines[0], "|" + "---|" * len(columns), *lines[1:]])


def paragraph(text, indent=""):
    """Text in lines of the documentation's width; all but the first are indented."""
    form = {"break_long_words": False, "break_on_hyphens": False, "subsequent_indent": indent}
    return textwrap.fill(" ".join(text.split()), WIDTH, **form)


class Runs:
    """Numbers the runs in the order in which a page names them."""

    def __init__(self, runs):
        self.runs, self.named = runs, []

    def mark(self, name):
        if name not in self.named:
            self.named.append(name)
        return str(self.named.index(name) + 1)

    def section(self):
        """The list that the numbers lead to."""
        items, machines = [], []
        for at, name in enumerate(self.named):
            run = self.runs[name]
            machine = self._machine(run)
            known = f"as {machines.index(machine) + 1}" if machine in machines else machine
            machines.append(machine)
            items.append(f"{at + 1}. {self._sentence(run, known)}")
        return "## Runs\n\n" + "\n".join(paragraph(item, indent="   ") for item in items)

    @staticmethod
    def _machine(run):
        cores, sets = run["cores"], run.get("instruction_sets")
        return f"{run['processor']}, {cores} core{'s' if cores != 1 else ''}{', with ' + ', '.join(sets) if sets else ''}"

    @staticmethod
    def _sentence(run, machine):
        threads = run.get("threads")
        # Of what was measured before there were records only the commit that wrote it down is known.
        commit = f"commit {run['commit']}" if "commit" in run else f"written down with commit {run['written_down']}"
        parts = [
            f"{run['date']}, {commit}: {machine}",
            f"; {threads} thread{'' if str(threads) == '1' else 's'}" if threads else "",
            f"; load at the start {number(run['load'])}" if run.get("load") is not None else "",
            f"; other processes took {number(run['others'])} processors" if run.get("others") is not None else "",
            f"; beside {run['peer']}" if run.get("peer") else "",
            f". {run['note'].rstrip('.')}" if run.get("note") else "",
        ]
        return "".join(parts) + "."


def section(title, about, rows, notes):
    """A section: what it shows, its table where there are rows, and notes below."""
    return "\n\n".join([f"## {title}", paragraph(about), *([table(rows)] if rows else []), *notes])


def missing(names):
    """The note on what was never measured."""
    return [paragraph(f"No record yet: {', '.join(f'`{name}`' for name in names)}.")] if names else []


def remarks(records, section, runs):
    """What was written down about the records of a section."""
    return [paragraph(f"Run {runs.mark(r['run'])}: {r['text']}") for r in records.remarks if r["section"] == section]
