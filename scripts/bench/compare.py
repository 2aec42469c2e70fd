"""Runs a case: our side and the peer's in turn, in fresh processes, and what comes of the pairs."""

import statistics
import sys

from machine import Failed
from place import Place
from records import rounded, spread
from speed_cases import Case, Group, median


def compare(group: Group, case: Case, place: Place, pairs: int, with_peer=True):
    """The records of a case, one for each of its measures. `place` has the folder of this case alone."""
    words = {**case.parameters, "folder": place.folder, "this_python": sys.executable}
    if group.prepare:
        words.update(group.prepare(place, words))
    ours, peers = [], []
    for pair in range(pairs):
        sides = [(ours, lambda: group.read(place.run(group.ours, words), place.folder))]
        if group.peer and with_peer:
            sides.append((peers, lambda: place.run(group.peer, words).answer()))
        # Who begins alternates, so that a machine that slows down or warms up favours neither side.
        for found, run in sides if pair % 2 == 0 else reversed(sides):
            found.append(run())
    for key, limit in case.agree.items():
        for values in zip(ours, peers):
            agree(group, case, key, limit, [side[key] for side in values])
    return [record(group, case, measure, ours, peers) for measure in group.measures]


def agree(group, case, key, limit, values):
    """Both sides have to have done the same work. Neither has, where a value is not a number."""
    a, b = values
    allowed = limit * max(1.0, abs(b))
    if not abs(a - b) <= allowed:
        raise Failed(
            f"{group.name}/{case.name}: {key} is {a:.6g} on our side and {b:.6g} on the peer's, which may differ by {allowed:.2g}. The "
            "sides do not do the same work, so that their times say nothing"
        )


def record(group, case, measure, ours, peers):
    """What a measure came to: medians over the pairs, with their spread."""

    def values(side, key=measure, warm_up=group.warm_up):
        if not all(isinstance(answers.get(key), (int, float, list)) and answers[key] != [] for answers in side):
            raise Failed(f"{group.name}/{case.name}: a side gave no number for '{key}'; it said {side[-1]}")
        return [median(answers[key], warm_up) for answers in side]

    found = {"case": f"{group.name}/{case.name}", "measure": measure, "pairs": len(ours), "ours": spread(values(ours))}
    if peers:
        found["peer"] = spread(values(peers))
        found["ratio"] = spread([a / b for a, b in zip(values(ours), values(peers))])
    for shown in group.shown:
        sides = {"ours": ours, "peer": peers} if shown.both and peers else {"ours": ours}
        for side, answers in sides.items():
            found.setdefault("shown", {}).setdefault(shown.key, {})[side] = rounded(statistics.median(values(answers, shown.key, 0)))
    return found
