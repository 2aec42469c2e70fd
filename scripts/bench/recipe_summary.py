"""What the recipes of a section say together: means over the sets, and whether the first variant is behind on any of them."""

import statistics

import page
from probabilities import paired


def summary(section, records):
    """A table of the means over the sets and one of the sets; of a section without peers nothing."""
    cases = {f"{section.name}/{recipe.name}": recipe for recipe in section.recipes if recipe.peers}
    by_case = {case: by_variant([one for one in records if one["case"] == case]) for case in cases}
    complete = {case: found for case, found in by_case.items() if len(found) > 1}
    if not complete:
        return []
    first = next(iter(next(iter(cases.values())).variants))
    return [means(complete, first), differences(complete, cases, first)]


def by_variant(records):
    """The records of a set by variant, of the seeds that every variant has."""
    found = {}
    for record in records:
        if "right" in record:
            found.setdefault(record["variant"], {})[record["seeds"][0]] = record
    shared = set.intersection(*(set(of_seed) for of_seed in found.values())) if found else set()
    return {variant: [of_seed[seed] for seed in sorted(shared)] for variant, of_seed in found.items() if shared}


def means(complete, first):
    """The mean over sets, of each the mean over its seeds; only of variants that every set has."""
    variants = [one for one in dict.fromkeys(v for found in complete.values() for v in found) if all(one in found for found in complete.values())]
    rows = []
    for variant in variants:
        of_sets = [found[variant] for found in complete.values()]
        mean = lambda key: statistics.mean(statistics.mean(one["metrics"][key] for one in seeds) for seeds in of_sets)
        time = lambda seeds, other: statistics.mean(one["seconds"] for one in seeds) / statistics.mean(one["seconds"] for one in other)
        ratios = [time(found[variant], found[first]) for found in complete.values()]
        rows.append({
            "recipe": variant, "accuracy": f"{mean('accuracy'):.4f}", "log loss": f"{mean('log_loss'):.4f}",
            "calibration error": f"{mean('calibration_error'):.4f}", f"time beside {first}": f"{statistics.geometric_mean(ratios):.2f}",
        })
    return f"Means over {len(complete)} sets:\n\n{page.table(rows)}"


def differences(complete, cases, first):
    """Of each set by how many points the first variant is ahead of each other one, with the interval of the paired bootstrap."""
    rows = []
    for case, found in complete.items():
        right = {variant: [[100 * int(one) for one in record["right"]] for record in seeds] for variant, seeds in found.items()}
        row = {"set": cases[case].title, "seeds": str(len(found[first]))}
        for variant in [one for one in found if one != first]:
            mean, low, high = paired(right[first], right[variant])
            row[f"beside {variant}"] = f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"
        rows.append(row)
    text = f"Points of accuracy by which `{first}` is ahead, with 95 % intervals of a paired bootstrap of the test images:"
    return f"{page.paragraph(text)}\n\n{page.table(rows)}"
