"""The views of YOLO by OpenCV, on one core: detector_loader.py DATA.jsonl PASSES

Mosaics on a canvas of twice the side, warped. Prints the views a second of each pass and those a processor second, once with every
image decoded anew, and once with the images in memory.
"""

import json
import pathlib
import sys
import time

import cv2
import numpy

SIDE = 640
FILL = (114, 114, 114)


def load(path):
    """Image with its longer side at SIDE."""
    image = cv2.imread(str(path))
    height, width = image.shape[:2]
    ratio = SIDE / max(height, width)
    if ratio == 1:
        return image
    size = (int(numpy.ceil(width * ratio)), int(numpy.ceil(height * ratio)))
    return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)


def mosaic(rng, images):
    """Canvas of four images that meet at a random point, and their boxes in its pixels."""
    canvas = numpy.full((2 * SIDE, 2 * SIDE, 3), 114, numpy.uint8)
    x, y = rng.integers(SIDE // 2, 3 * SIDE // 2, 2)
    boxes = []
    for quarter, (image, objects) in enumerate(images):
        height, width = image.shape[:2]
        left = x if quarter % 2 else x - width
        top = y if quarter >= 2 else y - height
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + width, 2 * SIDE), min(top + height, 2 * SIDE)
        canvas[y0:y1, x0:x1] = image[y0 - top : y1 - top, x0 - left : x1 - left]
        boxes.append(objects * [width, height, width, height] + [left, top, left, top])
    return canvas, numpy.clip(numpy.concatenate(boxes), 0, 2 * SIDE)


def warp(rng, canvas, boxes):
    """Random scale and shift, to SIDE x SIDE."""
    scale = rng.uniform(0.5, 1.5)
    centre = rng.uniform(0.4, 0.6, 2) * SIDE
    shift = centre - scale * SIDE
    matrix = numpy.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    view = cv2.warpAffine(canvas, matrix, dsize=(SIDE, SIDE), borderValue=FILL)
    before = boxes * scale
    after = numpy.clip(before + [*shift, *shift], 0, SIDE)

    def sides(corners):
        return corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]

    (w, h), (w0, h0) = sides(after), sides(before)
    return view, after[(w > 2) & (h > 2) & (w * h > 0.1 * w0 * h0)]


def colours(rng, image):
    """Hue, saturation and value through tables."""
    gains = rng.uniform(-1, 1, 3) * [0.015, 0.7, 0.4] + 1
    hue, saturation, value = cv2.split(cv2.cvtColor(image, cv2.COLOR_BGR2HSV))
    steps = numpy.arange(256)
    tables = [(steps * gains[0]) % 180, numpy.clip(steps * gains[1], 0, 255), numpy.clip(steps * gains[2], 0, 255)]
    hue, saturation, value = (
        cv2.LUT(channel, table.astype(numpy.uint8)) for channel, table in zip((hue, saturation, value), tables)
    )
    return cv2.cvtColor(cv2.merge((hue, saturation, value)), cv2.COLOR_HSV2BGR)


def main():
    jsonl = pathlib.Path(sys.argv[1])
    passes = int(sys.argv[2])
    cv2.setNumThreads(1)
    rows = [json.loads(line) for line in jsonl.read_text(encoding="utf-8").splitlines()]
    keys = ("topX", "topY", "bottomX", "bottomY")
    paths = [jsonl.parent / row["image_url"] for row in rows]
    objects = [numpy.array([[one[key] for key in keys] for one in row["label"]]).reshape(-1, 4) for row in rows]
    memory = [load(path) for path in paths]
    answer = {}
    for name, get in [("decoded", lambda index: load(paths[index])), ("in memory", lambda index: memory[index])]:
        rates, processor, boxes = [], 0.0, 0
        for number in range(passes):
            rng = numpy.random.default_rng(number)
            started, used = time.perf_counter(), time.process_time()
            batch = []
            for index in rng.permutation(len(rows)):
                chosen = [index, *rng.integers(0, len(rows), 3)]
                rng.shuffle(chosen)
                canvas, all_boxes = mosaic(rng, [(get(one), objects[one]) for one in chosen])
                view, kept = warp(rng, canvas, all_boxes)
                view = colours(rng, view)
                if rng.random() < 0.5:
                    view = view[:, ::-1]
                    kept = kept[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [SIDE, 0, SIDE, 0]
                boxes += len(kept)
                batch.append(view[:, :, ::-1])
                if len(batch) == 16:
                    numpy.stack(batch)
                    batch = []
            rates.append(len(rows) / (time.perf_counter() - started))
            processor += time.process_time() - used
        n = passes * len(rows)
        answer.update({name: rates, f"{name}, by processor time": n / processor, f"{name}, boxes a view": boxes / n})
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
