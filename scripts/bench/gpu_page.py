"""The tables of docs/gpu.md, made of the outcomes of scripts/gpu."""

import gpu_cases
import page
from gpu_unit import DONE, FAILED, plain
from machine import Failed

BEGIN, END = "<!-- made by scripts/gpu: begin -->", "<!-- made by scripts/gpu: end -->"
NOTHING = "not measured yet: no card was at hand"


def machine(outcomes):
    """A sentence about the card and the versions."""
    facts = outcomes.machine
    if not facts:
        return f"Card: {NOTHING}."
    parts = [f"{facts.get('card')} ({facts.get('memory')}), driver {facts.get('driver')}", f"PyTorch {facts.get('torch')}"]
    parts += [f"{facts.get('cores')} cores of {facts.get('processor')}", facts.get("date")]
    commits = sorted({one["commit"] for one in outcomes.units})
    parts.append(f"{'commit' if len(commits) == 1 else 'commits'} {', '.join(commits)}")
    return page.paragraph(f"Card: {'; '.join(parts)}.")


def speed(outcomes):
    """A table for each group of speed cases. What was not measured says so in its row."""
    for group in gpu_cases.GROUPS:
        rows = []
        for case in group.cases:
            found = outcomes.of(f"speed/{group.name}/{case.name}")
            facts = (found or {}).get("facts", {})
            cells = gpu_cases.row(group, case, facts)
            cells["outcome"] = outcome(found)
            rows.append(cells)
        yield f"### {group.title}\n\n{page.paragraph(group.compares)}\n\n{page.table(rows)}"


def outcome(found):
    """A cell: whether it was done, or why not."""
    if found is None:
        return NOTHING
    if found["status"] == DONE:
        return "done"
    why = " ".join(found["why"].split())
    return f"{'failed' if found['status'] == FAILED else 'left out'}: {why[:300]}".replace("|", "\\|")


def checks(units, outcomes):
    """The table of everything that is no comparison of speed."""
    rows = []
    for unit in units:
        if unit.kind() == "speed":
            continue
        found = outcomes.of(unit.name)
        facts = (found or {}).get("facts", {})
        told = "; ".join(f"{key}: {plain(value)}" for key, value in facts.items())
        rows.append({"unit": f"`{unit.name}`", "what": unit.title, "outcome": outcome(found), "found": told})
    return "### Checks\n\n" + page.table(rows)


def tables(units, outcomes):
    return "\n\n".join([machine(outcomes), *speed(outcomes), checks(units, outcomes)])


def filled(text, made):
    """The page with the tables between its markers."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise Failed(f"the page has no lines '{BEGIN}' and '{END}' between which its tables stand")
    return f"{before}{BEGIN}\n\n{made}\n\n{END}{after}"
