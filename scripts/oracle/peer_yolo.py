"""YOLO's folders, read by ultralytics, and written here as its documentation says."""
import contextlib
import os
import pathlib
import tempfile

from peer_cases import PARTS

# `val` is how the layout calls validation.
KEYS = dict(zip(PARTS, ("train", "val", "test")))


@contextlib.contextmanager
def elsewhere():
    """Another working folder, and settings of ultralytics that are nobody's; its font, which nothing here draws, is not fetched."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"YOLO_CONFIG_DIR": folder, "YOLO_OFFLINE": "1", "YOLO_AUTOINSTALL": "0", "YOLO_VERBOSE": "0"}
        from ultralytics.utils import USER_CONFIG_DIR

        for font in ("Arial.ttf", "Arial.Unicode.ttf"):
            USER_CONFIG_DIR.mkdir(parents=True, exist_ok=True)
            (USER_CONFIG_DIR / font).touch()
        with contextlib.chdir(folder):
            yield


def read(folder):
    """{part: {image: [(class, corners as fractions, outline as fractions)]}}; no image may be ignored, changed or without its labels."""
    with elsewhere():
        from ultralytics.data import YOLODataset
        from ultralytics.data.utils import check_det_dataset, verify_image_label

        data = check_det_dataset(str(folder / "data.yaml"), autodownload=False)
        found = {}
        for part, key in KEYS.items():
            if data.get(key) is None:
                continue
            images = YOLODataset(img_path=data[key], data=data, task="detect", augment=False)
            assert len(images.im_files) == sum(1 for _ in pathlib.Path(data[key]).iterdir()), f"{part}: an image is passed over"
            found[part] = {}
            for image, text in zip(images.im_files, images.label_files):
                answer = verify_image_label((image, text, "", False, data["nc"], 0, 0, False))
                _, rows, _, segments, _, missing, _, _, corrupt, message = answer
                assert not missing and not corrupt and not message, f"{image}: {message or 'its label file is missing'}"
                found[part][pathlib.Path(image).name] = objects(rows.astype(float), segments, data["names"])
        return found


def objects(rows, segments, names):
    outlines = [segment.astype(float).ravel().tolist() for segment in segments] or [[]] * len(rows)
    assert len(outlines) == len(rows)
    corners = [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for _, x, y, w, h in rows]
    return [(names[int(row[0])], box, outline) for row, box, outline in zip(rows, corners, outlines)]


def write(parts, folder):
    """A data set by another hand: validation as a list of files, other parts as folders; backgrounds without a label file or with
    an empty one; a byte-order mark now and then. Gives what `trainer convert yolo` is to be told."""
    import yaml

    classes = sorted({one.label for images in parts.values() for image in images for one in image.objects}, reverse=True)
    description = {"path": ".", "nc": len(classes), "names": dict(enumerate(classes))}
    for part, images in parts.items():
        key = KEYS[part]
        stored, texts = folder / "images" / key, folder / "labels" / key
        stored.mkdir(parents=True)
        texts.mkdir(parents=True)
        description[key] = f"images/{key}"
        for number, image in enumerate(images):
            image.save(stored)
            if image.objects or number % 2:
                lines = [line(image, one, classes) for one in image.objects]
                mark = "utf-8-sig" if number % 5 == 0 else "utf-8"
                (texts / image.name).with_suffix(".txt").write_text("\n".join(lines), encoding=mark)
        if key == "val":
            (folder / "val.txt").write_text("".join(f"./images/val/{image.name}\n" for image in images), encoding="utf-8")
            description[key] = "val.txt"
    (folder / "data.yaml").write_text(yaml.safe_dump(description, allow_unicode=True), encoding="utf-8")
    return ["yolo", folder / "data.yaml"]


def line(image, one, classes):
    numbers = image.fractions(one.outline)
    if not numbers:
        x1, y1, x2, y2 = image.fractions(one.pixels)
        numbers = [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]
    return " ".join(map(str, [classes.index(one.label), *numbers]))
