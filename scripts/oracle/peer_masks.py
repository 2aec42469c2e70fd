"""Masks in COCO's JSON and YOLO's folders, pixel by pixel: what pycocotools and ultralytics see, and what `trainer convert` makes of it."""
import json
import math
import random
from contextlib import redirect_stdout
from io import StringIO

import peer_yolo


def check(trainer, seed, count, folder):
    """Three lines (what was compared, images, objects); every pixel must be the same."""
    import numpy
    from pycocotools import mask

    def of_rows(polygon, width, height):
        """The pixels that an odd number of segments hold, each by pycocotools' own rule."""
        pixels = numpy.zeros((height, width), bool)
        for segment in polygon:
            points = [value * (height if at % 2 else width) for at, value in enumerate(segment)]
            pixels ^= mask.decode(mask.frPyObjects([points], height, width))[:, :, 0].astype(bool)
        return pixels

    rng = random.Random(seed)
    sizes = [(rng.randrange(20, 200), rng.randrange(20, 200)) for _ in range(count)]
    (folder / "images").mkdir(parents=True)
    names = [f"{at:03}.png" for at in range(count)]
    for name, size in zip(names, sizes):
        save(folder / "images" / name, size)
    yield "COCO's segments and run lengths, written there and read here", count, there(trainer, rng, sizes, names, folder, of_rows)
    rows = [[(kind, holed(rng, *size, kind)) for kind in range(4) for _ in range(rng.randrange(1, 3))] for size in sizes]
    write(rows, names, sizes, folder / "rows.jsonl")
    trainer.convert("jsonl", folder / "rows.jsonl", "--to", "coco", "--output", folder / "here.json")
    with redirect_stdout(StringIO()):
        from pycocotools.coco import COCO

        truth = COCO(str(folder / "here.json"))
    for image, size, objects in zip(truth.imgs.values(), sizes, rows):
        annotations = truth.loadAnns(truth.getAnnIds(imgIds=image["id"]))
        assert len(annotations) == len(objects)
        for one, (_, polygon) in zip(annotations, objects):
            assert (truth.annToMask(one).astype(bool) == of_rows(polygon, *size)).all(), (image, one)
    objects = sum(map(len, rows))
    yield "holes and parts, written here and read by pycocotools", count, objects
    trainer.convert("jsonl", folder / "rows.jsonl", "--to", "yolo", "--output", folder / "yolo")
    found = peer_yolo.read(folder / "yolo")["train"]
    for name, size, expected in zip(names, sizes, rows):
        assert len(found[name]) == len(expected), name
        for (_, _, line), (_, polygon) in zip(found[name], expected):
            ours, theirs = of_rows(polygon, *size), of_rows([line], *size)
            # ultralytics keeps points in 32 bits, which may move one over the middle of a pixel.
            apart = int((ours != theirs).sum())
            assert apart <= max(2, 0.002 * ours.sum()), (name, size, apart, line, polygon)
    yield "holes and parts as lines of YOLO's, written here and read by ultralytics", count, objects


def there(trainer, rng, sizes, names, folder, of_rows):
    import numpy
    from pycocotools import mask

    annotations = []
    for number, (width, height) in enumerate(sizes):
        for kind in ("segments", "segments", "text", "list"):
            if kind == "segments":
                segmentation = [ring(rng, width, height) for _ in range(rng.randrange(1, 4))]
            else:
                pixels = numpy.zeros((height, width), numpy.uint8, order="F")
                for _ in range(4):
                    x, y = rng.randrange(width - 6), rng.randrange(height - 6)
                    pixels[y : y + rng.randrange(1, 12), x : x + rng.randrange(1, 12)] ^= 1
                if not pixels.any():
                    pixels[2, 3] = 1
                coded = mask.encode(pixels)
                segmentation = {"size": coded["size"], "counts": coded["counts"].decode()}
                if kind == "list":
                    segmentation["counts"] = runs(pixels.ravel(order="F").tolist())
            annotations.append(
                {"id": len(annotations) + 1, "image_id": number + 5, "category_id": 3, "iscrowd": rng.randrange(2)}
                | {"segmentation": segmentation}
            )
    listed = [
        {"id": at + 5, "file_name": name, "width": width, "height": height} for at, (name, (width, height)) in enumerate(zip(names, sizes))
    ]
    text = {"images": listed, "annotations": annotations, "categories": [{"id": 3, "name": "thing"}]}
    (folder / "there.json").write_text(json.dumps(text))
    with redirect_stdout(StringIO()):
        from pycocotools.coco import COCO

        truth = COCO(str(folder / "there.json"))
    trainer.convert("coco", folder / "there.json", "--images", folder / "images", "--output", folder / "there.jsonl")
    read = [json.loads(line) for line in (folder / "there.jsonl").read_text().splitlines()]
    assert len(read) == len(sizes)
    for number, (row, size) in enumerate(zip(read, sizes)):
        expected = [one for one in annotations if one["image_id"] == number + 5]
        assert len(row["label"]) == len(expected)
        for found, one in zip(row["label"], expected):
            assert found["isCrowd"] == bool(one["iscrowd"])
            theirs, ours = truth.annToMask(one).astype(bool), of_rows(found["polygon"], *size)
            # A line that leaves the image is cut at its edge, and what is left of it may pass a fifth of a pixel beside the whole one.
            assert (theirs != ours).sum() <= (max(3, 0.01 * theirs.sum()) if sticks_out(one, *size) else 0), (one, found)
    return len(annotations)


def sticks_out(annotation, width, height):
    segments = annotation["segmentation"]
    outside = lambda segment: any(not 0 <= value <= (height if at % 2 else width) for at, value in enumerate(segment))
    return isinstance(segments, list) and any(map(outside, segments))


def runs(pixels):
    lengths, before, length = [], 0, 0
    for pixel in pixels:
        if pixel != before:
            lengths.append(length)
            before, length = pixel, 0
        length += 1
    return [*lengths, length]


def ring(rng, width, height, reach=1.0):
    """A star around a point, in pixels; it may reach over the edge of the image."""
    x, y = rng.uniform(0.3, 0.7) * width, rng.uniform(0.3, 0.7) * height
    corners = rng.randrange(3, 12)
    angles = sorted(rng.uniform(0, math.tau) for _ in range(corners))
    far = lambda: rng.uniform(0.2, 0.5) * min(width, height) * reach
    return [value for angle in angles for value in (x + far() * math.cos(angle), y + far() * math.sin(angle))]


def holed(rng, width, height, kind):
    """Segments as fractions: one; two apart; one with a hole; two that overlap."""
    x1, y1, x2, y2 = (rng.uniform(*reach) for reach in ((0.05, 0.2), (0.05, 0.2), (0.6, 0.9), (0.6, 0.9)))
    outer = [x1, y1, x2, y1 + 0.01, x2 - 0.02, y2, x1 + 0.03, y2 - 0.04]
    a, b = rng.uniform(0.3, 0.4), rng.uniform(0.45, 0.55)
    inner = [a, a, b, a + 0.02, b, b, a - 0.05, b - 0.01]
    near = lambda *points: [value + rng.uniform(-0.01, 0.01) for value in points]
    apart = near(0.93, 0.92, 0.98, 0.93, 0.95, 0.98)
    over = near(0.4, 0.4, 0.98, 0.5, 0.7, 0.98)
    return [[outer], [outer, apart], [outer, inner], [outer, over]][kind]


def write(rows, names, sizes, path):
    lines = []
    for objects, name, (width, height) in zip(rows, names, sizes):
        label = [{"label": f"kind {kind}", "isCrowd": False, "polygon": polygon} for kind, polygon in objects]
        details = {"width": width, "height": height}
        lines.append(json.dumps({"image_url": f"images/{name}", "image_details": details, "label": label}))
    path.write_text("".join(line + "\n" for line in lines))


def save(path, size):
    from PIL import Image

    Image.new("RGB", size, (90, 90, 90)).save(path)
