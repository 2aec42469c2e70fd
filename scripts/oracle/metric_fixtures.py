#!/usr/bin/env python3
"""Freeze what scikit-learn says of generated predictions, with one class an example and with any number.

Run:     python3 scripts/oracle/metric_fixtures.py [--cases 64] [--output trainer/metrics/tests/fixtures/classification_metrics.json]
Needs:   numpy, scikit-learn 1.9.
Writes:  a JSON list of cases, as many of each kind. Inputs are not stored: a case holds the seed and shape of an integer generator
         that the test (trainer/metrics/src/classification_tests.rs) repeats bit for bit; see `generate`.

What is asked of scikit-learn, and where Fovea differs from its defaults:
- predicted: argmax, or the classes above 0.5. A row with a NaN predicts an extra class C, which is left out of `labels`, so that it
  is a miss for its true classes and nobody's false alarm. For ranking such rows score -1, and in the log loss what is true gets 0.
- f1, precision, recall, Jaccard: labels = those that occur as truth or prediction (scikit-learn's default with one class an
  example), zero_division = 0; Jaccard by examples with zero_division = 1, because an empty answer to an empty truth is right.
- log loss with any number of classes: mean over the classes of the binary one.
- AUC and average precision: one class against the rest; classes without an example (AUC: or without a counter-example)
  are left out of macro and weighted. Where every class is present the numbers are also compared here with the
  package's own multi-class averages.
- the counts at thresholds (`at`: some of the 100 probabilities and percentiles) by confusion_matrix, calibration by
  calibration_curve on the rows without a NaN.
"""

import argparse
import json
import math
import warnings

import numpy as np
from sklearn import calibration, metrics

# Thresholds of which the counts are stored.
AT = {"probabilities": [1, 50, 99], "percentiles": [10, 50, 100]}

MULTIPLIER, INCREMENT, MASK = 6364136223846793005, 1442695040888963407, (1 << 64) - 1


class Lcg:
    """x <- (x * MULTIPLIER + INCREMENT) mod 2^64, output x >> 33."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state * MULTIPLIER + INCREMENT) & MASK
        return self.state >> 33


def generate(case):
    """Probabilities f32 [N, C] and truth bool [N, C]; every `broken_every`-th row ends in NaN.

    One class an example: per row a target below `present`, one weight in 1..=levels per class, doubled for the target when
    the next number is even; probability = weight / sum. Any number: per row and class below `present` the class is true when the
    next number is a multiple of 3; probability = (next % levels) / (levels - 1), of a true class the larger of two such."""
    random = Lcg(case["seed"])
    classes, levels = case["classes"], case["levels"]
    rows, truth = [], []
    for row in range(case["samples"]):
        if case["any_number"]:
            values, true = [], []
            for index in range(classes):
                true.append(index < case["present"] and random.next() % 3 == 0)
                draws = [random.next() % levels for _ in range(1 + true[-1])]
                values.append(np.float32(max(draws) / (levels - 1)))
        else:
            target = random.next() % case["present"]
            weights = [1 + random.next() % levels for _ in range(classes)]
            if random.next() % 2 == 0:
                weights[target] *= 2
            values = [np.float32(weight / sum(weights)) for weight in weights]
            true = [index == target for index in range(classes)]
        if case["broken_every"] and row % case["broken_every"] == 0:
            values[-1] = np.float32("nan")
        rows.append(values)
        truth.append(true)
    shape = (case["samples"], classes)
    return np.array(rows, dtype=np.float32).reshape(shape), np.array(truth, dtype=bool).reshape(shape)


def plan(index, any_number):
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
    levels = [2, 3, 10, 1 << 20][random.next() % 4]
    broken_every = [0, 0, 0, 4][random.next() % 4]
    if any_number and index % 10 == 7:
        present = 0
    return {
        "any_number": any_number,
        "seed": 7919 * (index + 1),
        "samples": samples,
        "classes": classes,
        "present": present,
        "levels": levels,
        "broken_every": broken_every,
    }


def mean(values, weights=None):
    pairs = [(value, 1 if weights is None else weight) for value, weight in zip(values, weights or values) if value is not None]
    total = sum(weight for _, weight in pairs)
    return sum(value * weight for value, weight in pairs) / total if total else None


def expected(probabilities, truth, any_number):
    samples, classes = truth.shape
    averages = ["macro", "micro", "weighted"] + (["binary"] if classes == 2 else [])
    names = ["AUC", "average_precision_score", "f1_score", "precision_score", "recall_score"]
    scalars = {f"{name}_{average}": None for name in names for average in averages}
    scalars["accuracy"] = scalars["log_loss"] = None
    if any_number:
        scalars.update({name: None for name in ["iou", "iou_macro", "iou_micro", "iou_weighted"]})
    columns = 6 if any_number else 5
    every = range(classes)
    if samples == 0:
        nothing = [[0.0, 0.0, 0.0, None, None, 0.0][:columns] for _ in every]
        return {
            "scalars": scalars,
            "per_class": nothing,
            "confusion_matrix": [] if any_number else [[0] * classes for _ in every],
            "tables": [[] for _ in every],
            "calibration": [[] for _ in every],
        }

    broken = np.isnan(probabilities).any(axis=1)
    scores = probabilities.astype(np.float64)
    scores[broken] = -1.0
    # The extra column stands for the class that a broken row is said to predict.
    if any_number:
        predicted = np.column_stack([(scores > 0.5), broken])
    else:
        best = np.where(broken, classes, np.argmax(np.where(broken[:, None], 0.0, probabilities), axis=1))
        predicted = best[:, None] == np.arange(classes + 1)[None, :]
    true = np.column_stack([truth, np.zeros(samples, dtype=bool)])

    scalars.update(decided(true, predicted, classes, any_number))
    scalars["accuracy"] = metrics.accuracy_score(true, predicted)
    scalars["log_loss"] = log_loss(scores, truth, broken, any_number)
    ranked = {}
    for name, function in [("AUC", metrics.roc_auc_score), ("average_precision_score", metrics.average_precision_score)]:
        values = [defined(function, truth[:, c], scores[:, c]) for c in every]
        ranked[name] = values
        support = truth.sum(axis=0).tolist()
        scalars[f"{name}_macro"] = mean(values)
        scalars[f"{name}_weighted"] = mean(values, support)
        scalars[f"{name}_micro"] = defined(function, truth.ravel(), scores.ravel())
        if classes == 2:
            scalars[f"{name}_binary"] = values[1]
        if classes > 1 and all(value is not None for value in values):
            for average in ["macro", "micro", "weighted"]:
                own = function(truth.astype(int), scores, average=average)
                assert math.isclose(own, scalars[f"{name}_{average}"], abs_tol=1e-12), (name, average)

    rows = metrics.precision_recall_fscore_support(true, predicted, labels=list(every), zero_division=0)
    rows = [rows[0], rows[1], rows[2], ranked["AUC"], ranked["average_precision_score"]]
    if any_number:
        rows.append(metrics.jaccard_score(true, predicted, labels=list(every), average=None, zero_division=0))
    single = [] if any_number else metrics.confusion_matrix(true.argmax(axis=1), predicted.argmax(axis=1), labels=list(range(classes + 1)))
    return {
        "scalars": scalars,
        "per_class": [[row[c] for row in rows] for c in every],
        "confusion_matrix": [] if any_number else single[:classes, :classes].tolist(),
        "tables": [table(truth[:, c], scores[:, c]) for c in every],
        "calibration": [calibrated(truth[~broken, c], scores[~broken, c]) for c in every],
    }


def decided(true, predicted, classes, any_number):
    """What depends on the predicted classes alone."""
    occur = [c for c in range(classes) if true[:, c].any() or predicted[:, c].any()]
    functions = {"f1_score": metrics.f1_score, "precision_score": metrics.precision_score, "recall_score": metrics.recall_score}
    if any_number:
        functions["iou"] = metrics.jaccard_score
    scalars = {}
    for name, function in functions.items():
        for average in ["macro", "micro", "weighted"]:
            value = function(true, predicted, labels=occur, average=average, zero_division=0) if occur else None
            # Without any true label scikit-learn's weighted mean has no weight and is 0.
            without_weight = average == "weighted" and not true.any()
            scalars[f"{name}_{average}"] = None if without_weight else value
        if classes == 2 and name != "iou":
            scalars[f"{name}_binary"] = function(true, predicted, labels=[1], average="macro", zero_division=0)
    if any_number:
        scalars["iou"] = metrics.jaccard_score(true, predicted, average="samples", zero_division=1)
    return scalars


def log_loss(scores, truth, broken, any_number):
    if any_number:
        given = np.where(broken[:, None], ~truth, scores)
        return float(np.mean([metrics.log_loss(truth[:, c], given[:, c], labels=[False, True]) for c in range(truth.shape[1])]))
    given = np.where(broken[:, None], 0.0, scores)
    targets, classes = truth.argmax(axis=1), truth.shape[1]
    if classes > 1:
        # The clipping and the mean are the package's; a row of zeros stands for a broken one.
        return metrics.log_loss(targets, given, labels=list(range(classes)))
    eps = np.finfo(np.float64).eps
    return float(np.mean(-np.log(np.clip(given[:, 0], eps, 1 - eps))))


def defined(function, truth, score):
    if not truth.any() or (function is metrics.roc_auc_score and truth.all()):
        return None
    return float(function(truth, score))


def table(truth, scores):
    """Counts [tp, fp, tn, fn] at the probabilities and percentiles of AT."""
    ordered = np.sort(scores)[::-1]
    ranks = [math.ceil(percent * len(scores) / 100) for percent in AT["percentiles"]]
    thresholds = [percent / 100 for percent in AT["probabilities"]] + [ordered[rank - 1] for rank in ranks]
    counts = []
    for threshold in thresholds:
        (tn, fp), (fn, tp) = metrics.confusion_matrix(truth, scores >= threshold, labels=[False, True])
        counts.append([int(tp), int(fp), int(tn), int(fn)])
    return counts


def calibrated(truth, scores):
    """[mean probability, share] of each bin that is not empty."""
    if len(truth) == 0:
        return []
    share, probability = calibration.calibration_curve(truth.astype(int), scores, n_bins=10)
    return [[float(p), float(s)] for p, s in zip(probability, share)]


def rounded(value):
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in sorted(value.items())}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return value if value is None or isinstance(value, int) else round(float(value), 11)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=64)
    parser.add_argument("--output", default="trainer/metrics/tests/fixtures/classification_metrics.json")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    lines = []
    for any_number in [False, True]:
        for index in range(arguments.cases):
            case = plan(index, any_number)
            lines.append(json.dumps({**case, **rounded(expected(*generate(case), any_number))}, separators=(",", ":")))
    with open(arguments.output, "w", encoding="utf-8") as file:
        file.write("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
