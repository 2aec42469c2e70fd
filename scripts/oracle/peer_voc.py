"""VOC's folders, read by torchvision's VOCDetection, and written here with the standard library's XML."""
import xml.etree.ElementTree as Xml

from PIL import Image, ImageOps

from peer_cases import PARTS

# `val` is how the layout calls validation. torchvision looks for the folder of a year; only 2007 has a test set.
SETS = dict(zip(PARTS, ("train", "val", "test")))
PLACE = "VOCdevkit/VOC2007"
SIDES = ("xmin", "ymin", "xmax", "ymax")


def read(root, inclusive):
    """{part: {image: [(class, corners in pixels)]}}; every image of the folder must be in a part, with the size that is seen."""
    from torchvision.datasets import VOCDetection

    found, first = {}, int(inclusive)
    for part, name in SETS.items():
        data = VOCDetection(root, year="2007", image_set=name)
        found[part] = {}
        for index, path in enumerate(data.images):
            annotation = data[index][1]["annotation"]
            with Image.open(path) as image:
                seen = ImageOps.exif_transpose(image).size
            size = tuple(int(annotation["size"][side]) for side in ("width", "height"))
            assert size == seen, f"{path}: declared {size}, seen {seen}"
            assert path.endswith("/" + annotation["filename"]), f"{path} is called {annotation['filename']}"
            boxes = []
            for one in annotation["object"]:
                # `int` refuses a number with a point, as readers that expect whole pixels do.
                x1, y1, x2, y2 = (int(one["bndbox"][side]) for side in SIDES)
                boxes.append((one["name"], (x1 - first, y1 - first, x2, y2)))
            found[part][annotation["filename"]] = boxes
    images = sum(1 for _ in (root / PLACE / "JPEGImages").iterdir())
    assert images == sum(map(len, found.values())), f"{images} images, of which some are in no part"
    return found


def write(parts, root, inclusive):
    """A data set by another hand, in several encodings. Gives what `trainer convert voc` is to be told."""
    folder = root / PLACE
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (folder / name).mkdir(parents=True)
    for part, images in parts.items():
        stems = [image.name.rpartition(".")[0] for image in images]
        for number, (stem, image) in enumerate(zip(stems, images)):
            image.save(folder / "JPEGImages")
            encoding = ("utf-8", "utf-16", "iso-8859-1", "us-ascii")[number % 4]
            tree = Xml.ElementTree(annotation(image, int(inclusive)))
            tree.write(folder / "Annotations" / f"{stem}.xml", encoding=encoding, xml_declaration=True)
        lines = "".join(f"{stem}\n" for stem in stems)
        (folder / "ImageSets/Main" / f"{SETS[part]}.txt").write_text(lines, encoding="utf-8")
    return ["voc", folder, *(["--voc_pixels", "inclusive"] if inclusive else [])]


def annotation(image, first):
    root = Xml.Element("annotation")
    nested(root, {"folder": "JPEGImages", "filename": image.name, "source": {"database": "Unknown"}})
    nested(root, {"size": dict(zip(("width", "height", "depth"), (*image.size, 3))), "segmented": 0})
    for one in image.objects:
        x1, y1, x2, y2 = one.pixels
        box = dict(zip(SIDES, (x1 + first, y1 + first, x2, y2)))
        nested(root, {"object": {"name": one.label, "pose": "Unspecified", "truncated": 0, "difficult": 0, "bndbox": box}})
    return root


def nested(parent, children):
    for name, value in children.items():
        child = Xml.SubElement(parent, name)
        if isinstance(value, dict):
            nested(child, value)
        else:
            child.text = str(value)
