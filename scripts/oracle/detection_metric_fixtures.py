#!/usr/bin/env python3
"""Freeze what pycocotools, and the specification's written rule, say of generated detections.

Run:     python3 scripts/oracle/detection_metric_fixtures.py [--cases 64] [--output trainer/metrics/tests/fixtures/detection_metrics.json]
Needs:   numpy, pycocotools 2.0.11.
Writes:  a JSON list of cases. Inputs are not stored: a case holds the seed and shape of an integer generator that the
         test (trainer/metrics/src/detection/fixture_tests.rs) repeats bit for bit; see `generate`.

What is asked:
- pycocotools: the twelve numbers, AP50 and AP50:95 of each class, AP50 of the boxes above the score threshold,
  and the precision at every tenth recall at IoU 0.50. Areas are those of the boxes. -1 becomes null.
- `Rule`, below, slow and to the letter: the specification's average precision (whole and truncated), precision and recall
  at the score threshold, best F1, image level, confusion matrix, recall by size.
An overlap is pycocotools' everywhere: boxes as x, y, width, height; a crowd's over the area of the found box.
"""

import argparse
import contextlib
import copy
import io
import json

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

MULTIPLIER, INCREMENT, MASK = 6364136223846793005, 1442695040888963407, (1 << 64) - 1
SIDES = [8, 16, 32, 48, 96, 128, 200]
# pycocotools' stats, in its order.
NAMES = "ap50_95 ap50 ap75 ap_small ap_medium ap_large ar_1 ar_10 ar_100 ar_small ar_medium ar_large".split()


class Lcg:
    """x <- (x * MULTIPLIER + INCREMENT) mod 2^64, output x >> 33."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state * MULTIPLIER + INCREMENT) & MASK
        return self.state >> 33

    def below(self, limit):
        return self.next() % limit


def generate(case):
    """Images as (truth, found): truth rows [corners, class, is_crowd], found rows [corners, class, score].

    Coordinates are integers over `unit`; sides come from SIDES, so that some lie on COCO's limits of size and overlaps on
    its thresholds. A true box is there twice now and then, and is found 0 to 3 times, moved by sixteenths of its sides,
    sometimes as another class; then there are `extras` boxes anywhere. Few `levels` of scores make ties."""
    random = Lcg(case["seed"])
    unit, spread = case["unit"], case["spread"]

    def anywhere():
        width = SIDES[random.below(7)] * unit + random.below(3) // 2
        height = SIDES[random.below(7)] * unit + random.below(3) // 2
        return random.below(case["canvas"] * unit), random.below(case["canvas"] * unit), width, height

    def moved(side):
        return (random.below(2 * spread + 1) - spread) * side // 16

    def corners(x, y, width, height):
        return [x / unit, y / unit, (x + width) / unit, (y + height) / unit]

    images = []
    for _ in range(case["images"]):
        truth, found = [], []
        for _ in range(random.below(case["objects"] + 1)):
            category = random.below(case["present"])
            x, y, width, height = anywhere()
            crowd = random.below(8) < case["crowds"]
            truth.append((corners(x, y, width, height), category, crowd))
            if random.below(6) == 0:
                truth.append((corners(x, y, width, height), random.below(case["present"]), False))
            for _ in range(random.below(4)):
                near = (x + moved(width), y + moved(height), max(width + moved(width), 0), max(height + moved(height), 0))
                other = random.below(5) == 0
                named = random.below(case["classes"])
                score = (1 + random.below(case["levels"])) / case["levels"]
                found.append((corners(*near), named if other else category, score))
        for _ in range(random.below(case["extras"] + 1)):
            box = anywhere()
            found.append((corners(*box), random.below(case["classes"]), random.below(case["levels"]) / case["levels"]))
        images.append((truth, found))
    return images


def plan(index):
    """The shape of case `index`: 1..6 classes, 0..11 images, crowds in every second, absent classes in every third; some
    without any found box or any truth; in every eighth more than 100 boxes of one class in an image."""
    random = Lcg(500 + index)
    classes = 1 + random.below(6)
    case = {
        "seed": 104729 * (index + 1),
        "images": 1 + random.below(11),
        "objects": 1 + random.below(8),
        "extras": random.below(8),
        "classes": classes,
        "present": 1 + random.below(classes) if index % 3 == 1 else classes,
        "levels": [2, 4, 16, 1 << 20][random.below(4)],
        "unit": [1, 4, 3, 7][random.below(4)],
        "canvas": [100, 300, 600][random.below(3)],
        "spread": [0, 1, 2, 5][random.below(4)],
        "crowds": [0, 1, 0, 3][index % 4],
        "iou_threshold": [0.5, 0.5, 0.3, 0.75][random.below(4)],
        "score_threshold": [0.3, 0.1, 0.5][random.below(3)],
        "max_detections": [1000, 1000, 5][random.below(3)],
    }
    if index % 8 == 7:
        case.update(classes=1 + index % 16 // 8, present=1, images=3, objects=40, extras=260, max_detections=1000)
    if index % 20 == 9:
        case.update(objects=0)
    if index % 20 == 14:
        case.update(images=4, max_detections=0)
    if index % 20 == 19:
        case.update(images=0)
    if index % 20 == 4:
        case.update(crowds=8)
    return case


def width_and_height(corners):
    left, top, right, bottom = corners
    return [left, top, right - left, bottom - top]


def area(corners):
    _, _, width, height = width_and_height(corners)
    return width * height


def capped(images, most):
    """The boxes that are looked at: the best `most` of each image, equals in the given order."""
    return [(truth, sorted(found, key=lambda one: -one[2])[:most]) for truth, found in images]


def evaluated(true, found, kind):
    """pycocotools' evaluation of two contents of COCO files, of `kind` bbox or segm."""
    with contextlib.redirect_stdout(io.StringIO()):
        tables = []
        for content in (true, found):
            table = COCO()
            table.dataset = content
            table.createIndex()
            tables.append(table)
        evaluation = COCOeval(*tables, kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def coco(images, classes):
    """pycocotools' stats, and its precision [T, R, K] for all sizes and 100 boxes."""
    info = {
        "images": [{"id": index} for index in range(len(images))],
        "categories": [{"id": category} for category in range(classes)],
    }
    true, guessed = copy.deepcopy(info), copy.deepcopy(info)
    true["annotations"], guessed["annotations"] = [], []
    for index, (truth, found) in enumerate(images):
        for corners, category, crowd in truth:
            row = {"image_id": index, "category_id": category, "bbox": width_and_height(corners), "area": area(corners)}
            true["annotations"].append({**row, "iscrowd": int(crowd), "id": len(true["annotations"]) + 1})
        for corners, category, score in found:
            row = {"image_id": index, "category_id": category, "bbox": width_and_height(corners), "area": area(corners)}
            guessed["annotations"].append({**row, "iscrowd": 0, "score": score, "id": len(guessed["annotations"]) + 1})
    evaluation = evaluated(true, guessed, "bbox")
    return evaluation.stats, evaluation.eval["precision"][:, :, :, 0, 2]


def overlap(found, truth):
    a, b = width_and_height(found), width_and_height(truth[0])
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    whole = a[2] * a[3] if truth[2] else a[2] * a[3] + b[2] * b[3] - width * height
    return width * height / whole


class Rule:
    """The specification's rule over all images."""

    def __init__(self, images, case):
        self.images, self.case = images, case
        # (score, image, class, index of the truth that was hit or None), without those ignored; by falling score.
        self.boxes = []
        for index, (truth, found) in enumerate(images):
            used = set()
            for corners, category, score in sorted(found, key=lambda one: -one[2]):
                rivals = [place for place, one in enumerate(truth) if one[1] == category]
                best = max(rivals, key=lambda place: overlap(corners, truth[place]), default=None)
                if best is None or overlap(corners, truth[best]) < case["iou_threshold"]:
                    self.boxes.append((score, index, category, None))
                elif truth[best][2]:
                    continue
                elif best in used:
                    self.boxes.append((score, index, category, None))
                else:
                    used.add(best)
                    self.boxes.append((score, index, category, best))
        self.boxes.sort(key=lambda one: -one[0])
        self.kept = [one for one in self.boxes if one[0] > case["score_threshold"]]

    def support(self, category):
        return sum(1 for truth, _ in self.images for one in truth if one[1] == category and not one[2])

    def average_precision(self, hits, support):
        """`hits`: booleans by falling score."""
        if support == 0:
            return None
        points = [(sum(hits[: n + 1]) / support, sum(hits[: n + 1]) / (n + 1)) for n in range(len(hits))]
        total, before = 0.0, 0.0
        for n, (recall, _) in enumerate(points):
            total += (recall - before) * max(precision for _, precision in points[n:])
            before = recall
        return total

    def row(self, category):
        support = self.support(category)
        every = [one[3] is not None for one in self.boxes if one[2] == category]
        kept = [one[3] is not None for one in self.kept if one[2] == category]
        best = None
        for threshold in sorted({one[0] for one in self.boxes if one[2] == category}, reverse=True):
            hits = [one[3] is not None for one in self.boxes if one[2] == category and one[0] >= threshold]
            lower = [one[2] for _, found in self.images for one in found if one[1] == category and one[2] < threshold]
            f1 = 2 * sum(hits) / (support + len(hits))
            if sum(hits) and (best is None or f1 > best[1]):
                best = (max(lower, default=0.0), f1)
        return [
            self.average_precision(every, support),
            self.average_precision(kept, support),
            sum(kept) / len(kept) if kept else None,
            sum(kept) / support if support else None,
            *(best or (None, None)),
        ]

    def image_level(self):
        judged, positives = [], 0
        for index, (truth, _) in enumerate(self.images):
            mine = [one for one in self.boxes if one[1] == index]
            if any(not one[2] for one in truth):
                positives += 1
                judged += [(one[0], True) for one in mine if one[3] is not None][:1]
            elif not truth:
                judged += [(one[0], False) for one in mine][:1]
        judged.sort(key=lambda one: -one[0])
        kept = [hit for score, hit in judged if score > self.case["score_threshold"]]
        return {
            "image_average_precision": self.average_precision([hit for _, hit in judged], positives),
            "image_precision": sum(kept) / len(kept) if kept else None,
            "image_recall": sum(kept) / positives if positives else None,
        }

    def confusion(self, threshold):
        classes = self.case["classes"]
        matrix = [[0] * (classes + 1) for _ in range(classes + 1)]
        for truth, found in self.images:
            free = {place for place, one in enumerate(truth) if not one[2]}
            for corners, category, score in sorted(found, key=lambda one: -one[2]):
                if score <= threshold:
                    continue
                near = [place for place in sorted(free) if overlap(corners, truth[place]) >= self.case["iou_threshold"]]
                if near:
                    best = max(near, key=lambda place: (overlap(corners, truth[place]), truth[place][1] == category))
                    free.remove(best)
                    matrix[truth[best][1]][category] += 1
                elif not any(one[2] and overlap(corners, one) >= self.case["iou_threshold"] for one in truth):
                    matrix[classes][category] += 1
            for place in free:
                matrix[truth[place][1]][classes] += 1
        return matrix

    def sizes(self):
        """[objects, hits by kept boxes] of small, medium, large."""
        hit = {(one[1], one[3]) for one in self.kept if one[3] is not None}
        counts = [[0, 0] for _ in range(3)]
        for index, (truth, _) in enumerate(self.images):
            for place, one in enumerate(truth):
                if not one[2]:
                    size = (area(one[0]) >= 32**2) + (area(one[0]) >= 96**2)
                    counts[size][0] += 1
                    counts[size][1] += (index, place) in hit
        return counts


def mean(values):
    values = [value for value in values if value is not None]
    return sum(values) / len(values) if values else None


def defined(value):
    return None if value < 0 else float(value)


def expected(images, case):
    images = capped(images, case["max_detections"])
    classes = range(case["classes"])
    stats, precision = coco(images, case["classes"])
    scalars = {name: defined(value) for name, value in zip(NAMES, stats)}
    above = [(truth, [one for one in found if one[2] > case["score_threshold"]]) for truth, found in images]
    rule = Rule(images, case)
    rows = [rule.row(category) for category in classes]
    present = [category for category in classes if rule.support(category)]
    for place, name in enumerate(["voc_map", "voc_map_truncated", "precision", "recall"]):
        scalars[name] = mean(rows[category][place] for category in present)
    scalars["ap50_truncated"] = defined(coco(above, case["classes"])[0][1])
    scalars.update(rule.image_level())
    per_class = [
        [rule.support(c), defined(precision[0, :, c].mean()), defined(precision[:, :, c].mean()), *rows[c]] for c in classes
    ]
    curve = precision[0][:, present].mean(axis=1)[::10].tolist() if present else []
    matrices = [rule.confusion(0.0), rule.confusion(case["score_threshold"])]
    return {"scalars": scalars, "per_class": per_class, "curve": curve, "sizes": rule.sizes(), "confusion": matrices}


def rounded(value):
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in sorted(value.items())}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return round(value, 12) if isinstance(value, float) else value


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=64)
    parser.add_argument("--output", default="trainer/metrics/tests/fixtures/detection_metrics.json")
    arguments = parser.parse_args()
    lines = []
    for index in range(arguments.cases):
        case = plan(index)
        lines.append(json.dumps({**case, **rounded(expected(generate(case), case))}, separators=(",", ":")))
    with open(arguments.output, "w", encoding="utf-8") as file:
        file.write("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
