"""One thing that scripts/gpu measures or checks, and what comes of it."""

import dataclasses
import json
import math
import pathlib
import subprocess
import time
from typing import Callable, Sequence

from machine import Failed

DONE, FAILED, SKIPPED = "done", "failed", "skipped"


class Skipped(Exception):
    """A unit that cannot be tried here. The message says what is missing."""


@dataclasses.dataclass(frozen=True)
class Unit:
    """`run` takes a `Bench` and returns facts by name; it raises `Failed` where something is wrong, and `Skipped` where it cannot tell."""

    # The first part is the kind of unit, which is a section of the page.
    name: str
    # What is looked at, in the words of the page.
    title: str
    run: Callable
    # Whether there is nothing to run without a card.
    card: bool = True
    # Seconds that are left for it at least before it is begun.
    needs: int = 60

    def kind(self):
        return self.name.split("/")[0]


def outcome(unit, bench):
    """Runs a unit. Whatever goes wrong in it is its outcome, so that what comes after it is still tried."""
    started = time.monotonic()
    found = {"unit": unit.name, "device": bench.device, "commit": bench.commit}
    try:
        facts = unit.run(bench)
        found.update(status=DONE, facts=facts)
    except Skipped as missing:
        found.update(status=SKIPPED, why=str(missing))
    except subprocess.TimeoutExpired as late:
        found.update(status=SKIPPED, why=f"no time was left: it had not ended after {late.timeout:.0f} s")
    except Failed as error:
        found.update(status=FAILED, why=str(error))
    except Exception as error:  # a fault of the harness is an outcome too: the machine is not at hand twice
        found.update(status=FAILED, why=f"{type(error).__name__}: {error}")
    found["seconds"] = round(time.monotonic() - started, 1)
    return found


def selected(units: Sequence[Unit], names):
    """The units whose name begins with one of `names`, in their own order; all of them without a name."""
    lost = [name for name in names if not any(unit.name.startswith(name) for unit in units)]
    if lost:
        raise Failed(f"there is no unit '{lost[0]}'; --list names everything")
    return [unit for unit in units if not names or any(unit.name.startswith(name) for name in names)]


class Outcomes:
    """The file of outcomes: the machine they are of, and one for each unit."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        known = self._known() if self.path.exists() else {"machine": {}, "units": []}
        self.machine, self.units = known["machine"], known["units"]

    def _known(self):
        """What the file holds. Raises `Failed` where it holds anything else: it is written anew after each unit."""
        try:
            known = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise Failed(f"{self.path} is there and is no file of outcomes ({error}). Name another file with --json") from error
        if not isinstance(known, dict) or set(known) != {"machine", "units"}:
            raise Failed(f"{self.path} is there and is no file of outcomes. Name another file with --json")
        return known

    def of(self, name):
        return next((one for one in self.units if one["unit"] == name), None)

    def belong_to(self, machine):
        """Raises `Failed` where the file holds outcomes of another card or of another libtorch: numbers of two are no table. What was found
        without a card does not stand where there is one."""
        if self.machine.get("device") == machine.get("device") and machine.get("card") and not self.machine.get("card"):
            self.units = []
        for key in ("device", "card", "driver", "torch"):
            if self.units and self.machine.get(key) != machine.get(key):
                raise Failed(
                    f"{self.path} has outcomes of {key} {self.machine.get(key)}, and this is {machine.get(key)}. Name another file with "
                    "--json, or delete that one"
                )
        self.machine = machine

    def keep(self, found):
        """Puts an outcome in the place of the one before, and writes the file, so that an end at any moment loses one unit at most."""
        self.units = [one for one in self.units if one["unit"] != found["unit"]] + [found]
        lines = ",\n".join("    " + json.dumps(one, ensure_ascii=False) for one in self.units)
        text = f'{{\n  "machine": {json.dumps(self.machine, ensure_ascii=False)},\n  "units": [\n{lines}\n  ]\n}}\n'
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_name(f".{self.path.name}.unfinished")
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(self.path)


def run_all(units, bench, outcomes, deadline, say=print):
    """Runs units one after the other, and keeps what comes of each. Returns those for which no time was left."""
    left = []
    for unit in units:
        if unit.card and not bench.has_card():
            found = {"unit": unit.name, "device": bench.device, "commit": bench.commit, "status": SKIPPED, "why": "no CUDA card is at hand", "seconds": 0.0}
        elif deadline - time.monotonic() < unit.needs:
            left.append(unit)
            continue
        else:
            say(f"{unit.name} ...")
            found = outcome(unit, bench)
        outcomes.keep(found)
        say(f"{unit.name}: {found['status']} in {found['seconds']} s{told(found)}")
    return left


def told(found):
    """What an outcome says, on one line."""
    if "why" in found:
        return f"\n    {found['why']}"
    facts = ", ".join(f"{key} {plain(value)}" for key, value in found.get("facts", {}).items())
    return f": {facts}" if facts else ""


def plain(value):
    """A fact as it is read; of several measurements their median."""
    if isinstance(value, dict):
        return plain(value.get("median"))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else str(value)
    return str(value)
