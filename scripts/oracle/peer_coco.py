"""COCO's JSON, read by pycocotools, and written here as its documentation says."""
import json
import pathlib
from contextlib import redirect_stdout
from io import StringIO


def read(folder):
    """{part: {image: [(class, corners as fractions, outline as fractions)]}}; the truth itself must be a perfect result."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    found = {}
    for path in sorted(folder.glob("[!.]*.json")):
        with redirect_stdout(StringIO()):
            truth = COCO(str(path))
            results = [
                {key: one[key] for key in ("image_id", "category_id", "bbox")} | {"score": 1.0} for one in truth.anns.values()
            ]
            evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        assert evaluation.stats[0] > 0.999, f"the truth itself has an average precision of {evaluation.stats[0]}"
        found[path.stem] = {}
        for image in truth.imgs.values():
            assert (folder / image["file_name"]).is_file(), image["file_name"]
            annotations = truth.loadAnns(truth.getAnnIds(imgIds=image["id"]))
            boxes = [annotated(one, truth, [image["width"], image["height"]]) for one in annotations]
            found[path.stem][pathlib.PurePath(image["file_name"]).name] = boxes
    return found


def annotated(one, truth, size):
    x, y, w, h = one["bbox"]
    outline = sum(one["segmentation"], [])
    assert outline or abs(one["area"] - w * h) < 1e-3, one
    fractions = [value / side for value, side in zip(outline, size * (len(outline) // 2))]
    corners = [value / side for value, side in zip((x, y, x + w, y + h), size * 2)]
    return truth.cats[one["category_id"]]["name"], corners, fractions


def write(part, images, folder):
    """A file by another hand. Gives what `trainer convert coco` is to be told."""
    (folder / "images").mkdir(parents=True)
    classes = sorted({one.label for image in images for one in image.objects}, reverse=True)
    annotations = []
    for number, image in enumerate(images):
        image.save(folder / "images")
        for one in image.objects:
            x1, y1, x2, y2 = one.pixels
            segments = [one.outline] if one.outline else []
            annotations.append(
                {"id": len(annotations) + 7, "image_id": number + 100, "category_id": classes.index(one.label) * 3 + 2}
                | {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "segmentation": segments, "iscrowd": 0}
            )
    sizes = [dict(zip(("width", "height"), image.size)) for image in images]
    listed = [{"id": at + 100, "file_name": image.name} | size for at, (image, size) in enumerate(zip(images, sizes))]
    categories = [{"id": at * 3 + 2, "name": name} for at, name in enumerate(classes)]
    text = json.dumps({"images": listed, "annotations": annotations, "categories": categories})
    (folder / f"{part}.json").write_text(text, encoding="utf-8")
    return ["coco", folder / f"{part}.json", "--images", folder / "images"]
