"""Data sets on which readers differ: stored turned by EXIF, boxes over the edge, odd names and classes, several parts, backgrounds."""
import json
import pathlib
import random
from dataclasses import dataclass, field

from PIL import Image

PARTS = ("train", "validation", "test")
# What stands in a file name before its number. `#` and `?` would end a URL's path, `%20` is no blank here.
STEMS = ("plain", "with blanks", "per%20cent 100%", "größe Ünïcode 图", "dots.in.it", "a#b", "quote'd", "images", "labels [1]")
CLASSES = ("cat", "traffic light", "Ñandú 鳥", "yes", "07", "a: b", 'the "best" & <only>')
# Sides in pixels; ultralytics refuses images below 10.
SIDES = (10, 33, 48, 100, 127, 256)
# EXIF's orientations; from 5 on, width and height are swapped.
TURNED = 5


@dataclass
class Object:
    label: str
    # x1, y1, x2, y2 of the upright image in whole pixels; some are beyond its edge.
    pixels: tuple
    # x1, y1, x2, y2, .. in pixels, within the image.
    outline: list = field(default_factory=list)


@dataclass
class Sample:
    """An image: its name, width and height as it is seen, orientation, and what it shows."""

    name: str
    size: tuple
    orientation: int
    objects: list

    def inside(self, one):
        """Corners of an object within the image, in pixels: what a reader that cuts at the edge has to find."""
        return tuple(min(max(value, 0), side) for value, side in zip(one.pixels, self.size * 2))

    def fractions(self, numbers):
        return [value / side for value, side in zip(numbers, self.size * (len(numbers) // 2))]

    def save(self, folder):
        """Stores its pixels as the orientation has them."""
        stored = self.size[::-1] if self.orientation >= TURNED else self.size
        exif = Image.Exif()
        exif[274] = self.orientation
        Image.new("RGB", stored, (sum(map(ord, self.name)) % 256, 90, 160)).save(folder / self.name, exif=exif)


def outline(draw, box):
    """A polygon of 3 to 7 corners of whole pixels that touches every side of the box."""
    x1, y1, x2, y2 = box
    corners = [(x1, draw.randint(y1, y2)), (draw.randint(x1, x2), y1), (x2, draw.randint(y1, y2)), (draw.randint(x1, x2), y2)]
    corners[1:1] = [(draw.randint(x1, x2), draw.randint(y1, y2)) for _ in range(draw.randint(0, 3))]
    return [value for corner in corners for value in corner]


def something(draw, size, outlined):
    """An object, on one of four occasions up to a tenth of the image beyond its edge."""
    width, height = size
    reach = 0 if outlined or draw.random() < 0.75 else 0.1
    corners = []
    for side in (width, height):
        beyond = int(side * reach)
        first = draw.randint(-beyond, side - 4)
        corners.append((first, draw.randint(max(first, 0) + 3, side + beyond)))
    (x1, x2), (y1, y2) = corners
    box = (x1, y1, x2, y2)
    return Object(draw.choice(CLASSES), box, outline(draw, box) if outlined else [])


def samples(seed, endings, count, outlined=False):
    """{part: samples}, the same for a seed. Every stem, ending and orientation occurs, and every third image is a background."""
    draw = random.Random(seed)
    found, number = {}, 0
    for part in PARTS:
        found[part] = []
        for _ in range(count):
            name = f"{STEMS[number % len(STEMS)]} {number}.{endings[number % len(endings)]}"
            size = (draw.choice(SIDES), draw.choice(SIDES))
            objects = [] if number % 3 == 1 else [something(draw, size, outlined) for _ in range(draw.randint(1, 5))]
            found[part].append(Sample(name, size, number % 8 + 1, distinct(objects)))
            number += 1
    return found


def distinct(objects):
    """Readers drop an object that stands there twice, and after the cut at the edge more may be equal: one of each first corner."""
    return list({(one.label, *(max(value, 0) for value in one.pixels[:2])): one for one in objects}.values())


def write_rows(parts, folder):
    """Images, and a JSONL file per part; gives these files."""
    (folder / "images").mkdir(parents=True)
    files = []
    for part, images in parts.items():
        lines = []
        for image in images:
            image.save(folder / "images")
            label = []
            for one in image.objects:
                x1, y1, x2, y2 = image.fractions(one.pixels)
                row = {"label": one.label, "topX": x1, "topY": y1, "bottomX": x2, "bottomY": y2}
                if one.outline:
                    row["polygon"] = [image.fractions(one.outline)]
                label.append(row)
            lines.append(json.dumps({"image_url": f"images/{image.name}", "label": label}, ensure_ascii=False) + "\n")
        files.append(folder / f"{part}.jsonl")
        files[-1].write_text("".join(lines), encoding="utf-8")
    return files


def read_rows(folder):
    """{part: {image: [(class, corners as fractions, outline as fractions)]}} of the JSONL files that `trainer convert` wrote."""
    found = {}
    for path in sorted(folder.glob("*.jsonl")):
        images = found[path.stem] = {}
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            assert (folder / row["image_url"]).is_file(), row["image_url"]
            corners = [[one[key] for key in ("topX", "topY", "bottomX", "bottomY")] for one in row["label"]]
            polygons = [one.get("polygon", []) for one in row["label"]]
            assert all(len(segments) < 2 for segments in polygons), line
            images[pathlib.PurePath(row["image_url"]).name] = [
                (one["label"], box, sum(segments, [])) for one, box, segments in zip(row["label"], corners, polygons)
            ]
    return found
