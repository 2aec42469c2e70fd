#!/usr/bin/env python3
"""Freeze what scikit-learn says of generated multi-class predictions.

Run:     python3 scripts/oracle/metric_fixtures.py [--cases 64] [--output trainer/tests/fixtures/multiclass_metrics.json]
Needs:   numpy, scikit-learn 1.9.
Writes:  a JSON list of cases. Inputs are not stored: a case holds the seed and shape of an integer generator that the
         test (trainer/src/metric/classification_tests.rs) repeats bit for bit; see `generate`.

What is asked of scikit-learn, and where Fovea differs from its defaults:
- predicted class: argmax; a row with a NaN gets the extra class C, which is left out of `labels`, so that it is a miss
  for its true class and nobody's false alarm. For ranking such rows score -1, and in the log loss 0.
- f1, precision, recall: labels = those that occur as truth or prediction (scikit-learn's default), zero_division = 0.
- AUC and average precision: one class against the rest; classes without an example (AUC: or without a counter-example)
  are left out of macro and weighted. Where every class is present the numbers are also compared here with the
  package's own multi-class averages.
"""

import argparse
import json
import math
import warnings

import numpy as np
from sklearn import metrics

MULTIPLIER, INCREMENT, MASK = 6364136223846793005, 1442695040888963407, (1 << 64) - 1


class Lcg:
    """x <- (x * MULTIPLIER + INCREMENT) mod 2^64, output x >> 33."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state * MULTIPLIER + INCREMENT) & MASK
        return self.state >> 33


def generate(case):
    """Probabilities f32 [N, C] and targets [N]: per row a target below `present`, one weight in 1..=levels per class,
    doubled for the target when the next number is even; probability = weight / sum; every `broken_every`-th row ends in NaN."""
    random = Lcg(case["seed"])
    rows, targets = [], []
    for row in range(case["samples"]):
        target = random.next() % case["present"]
        weights = [1 + random.next() % case["levels"] for _ in range(case["classes"])]
        if random.next() % 2 == 0:
            weights[target] *= 2
        total = sum(weights)
        rows.append([np.float32(weight / total) for weight in weights])
        if case["broken_every"] and row % case["broken_every"] == 0:
            rows[-1][-1] = np.float32("nan")
        targets.append(target)
    return np.array(rows, dtype=np.float32).reshape(case["samples"], case["classes"]), np.array(targets, dtype=int)


def plan(index):
    """The shape of case `index`: C 1..10, N 0..60, every third with absent classes, few levels for ties, some NaN rows."""
    random = Lcg(1000 + index)
    classes = 1 + random.next() % 10
    if index % 6 == 0:
        classes = 2
    present = classes
    if index % 3 == 1:
        present = 1 + random.next() % classes
    samples = 1 + random.next() % 60
    if index % 20 == 19:
        samples = 0
    return {
        "seed": 7919 * (index + 1),
        "samples": samples,
        "classes": classes,
        "present": present,
        "levels": [2, 3, 10, 1 << 20][random.next() % 4],
        "broken_every": [0, 0, 0, 4][random.next() % 4],
    }


def mean(values, weights=None):
    pairs = [(value, 1 if weights is None else weight) for value, weight in zip(values, weights or values) if value is not None]
    total = sum(weight for _, weight in pairs)
    return sum(value * weight for value, weight in pairs) / total if total else None


def expected(probabilities, targets, classes):
    scalars = {}
    averages = ["macro", "micro", "weighted"] + (["binary"] if classes == 2 else [])
    names = ["AUC", "average_precision_score", "f1_score", "precision_score", "recall_score"]
    for name in names:
        for average in averages:
            scalars[f"{name}_{average}"] = None
    scalars["accuracy"] = scalars["log_loss"] = None
    every = list(range(classes))
    if len(targets) == 0:
        nothing = [[0.0, 0.0, 0.0, None, None] for _ in every]
        return scalars, nothing, [[0] * classes for _ in every]

    broken = np.isnan(probabilities).any(axis=1)
    scores = probabilities.astype(np.float64)
    scores[broken] = -1.0
    predicted = np.where(broken, classes, np.argmax(np.where(broken[:, None], 0.0, probabilities), axis=1))
    onehot = targets[:, None] == np.arange(classes)[None, :]
    support = onehot.sum(axis=0).tolist()

    scalars["accuracy"] = metrics.accuracy_score(targets, predicted)
    given = np.where(broken[:, None], 0.0, scores)
    if classes > 1:
        # The clipping and the mean are the package's; a row of zeros stands for a broken one.
        scalars["log_loss"] = metrics.log_loss(targets, given, labels=every)
    else:
        eps = np.finfo(np.float64).eps
        scalars["log_loss"] = float(np.mean(-np.log(np.clip(given[:, 0], eps, 1 - eps))))

    occur = sorted((set(targets.tolist()) | set(predicted.tolist())) - {classes})
    decided = {"f1_score": metrics.f1_score, "precision_score": metrics.precision_score, "recall_score": metrics.recall_score}
    for name, function in decided.items():
        for average in ["macro", "micro", "weighted"]:
            scalars[f"{name}_{average}"] = function(targets, predicted, labels=occur, average=average, zero_division=0)
        if classes == 2:
            scalars[f"{name}_binary"] = function(targets, predicted, labels=[1], average="macro", zero_division=0)
            if not broken.any() and len(occur) == 2:
                assert scalars[f"{name}_binary"] == function(targets, predicted, average="binary", zero_division=0)

    def defined(name, truth, score):
        if not truth.any() or (name == "AUC" and truth.all()):
            return None
        return float({"AUC": metrics.roc_auc_score, "average_precision_score": metrics.average_precision_score}[name](truth, score))

    ranked = {}
    for name, function in [("AUC", metrics.roc_auc_score), ("average_precision_score", metrics.average_precision_score)]:
        values = [defined(name, onehot[:, c], scores[:, c]) for c in every]
        ranked[name] = values
        scalars[f"{name}_macro"] = mean(values)
        scalars[f"{name}_weighted"] = mean(values, support)
        scalars[f"{name}_micro"] = defined(name, onehot.ravel(), scores.ravel())
        if classes == 2:
            scalars[f"{name}_binary"] = values[1]
        if classes > 1 and all(value is not None for value in values):
            for average in ["macro", "micro", "weighted"]:
                own = function(onehot.astype(int), scores, average=average)
                assert math.isclose(own, scalars[f"{name}_{average}"], abs_tol=1e-12), (name, average)

    per_label = metrics.precision_recall_fscore_support(targets, predicted, labels=every, zero_division=0)
    per_class = [
        [per_label[0][c], per_label[1][c], per_label[2][c], ranked["AUC"][c], ranked["average_precision_score"][c]] for c in every
    ]
    matrix = metrics.confusion_matrix(targets, predicted, labels=every + [classes])[:classes, :classes].tolist()
    return scalars, per_class, matrix


def rounded(value):
    return None if value is None else round(float(value), 12)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=64)
    parser.add_argument("--output", default="trainer/tests/fixtures/multiclass_metrics.json")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    lines = []
    for index in range(arguments.cases):
        case = plan(index)
        scalars, per_class, matrix = expected(*generate(case), case["classes"])
        case["scalars"] = {name: rounded(value) for name, value in sorted(scalars.items())}
        case["per_class"] = [[rounded(value) for value in row] for row in per_class]
        case["confusion_matrix"] = matrix
        lines.append(json.dumps(case, separators=(",", ":")))
    with open(arguments.output, "w", encoding="utf-8") as file:
        file.write("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
