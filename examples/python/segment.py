"""Asks an exported mask model (form `whole`) which pixels are what: python segment.py model.onnx 0.5 image.jpg ...

Needs onnxruntime, numpy and pillow. The number is the lowest score that is of interest. Prints a line for each object: image, label,
score, and how many pixels of the image it covers.
"""

import json
import os
import sys

# Before the import; else ONNX Runtime reports to Microsoft.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy
import onnxruntime
from PIL import Image, ImageOps


def read_image(path):
    """RGB pixels, uint8 [height, width, 3], turned upright as EXIF says."""
    with Image.open(path) as image:
        return numpy.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def samples(low, high, length, side):
    """What each of the `length` pixels of an axis takes from a mask of `side` parts in a box from `low` to `high`: two parts of the
    mask with a border of one part, the share of the second, and whether the mask reaches the pixel at all."""
    middle, half = (high + low) * numpy.float32(0.5), (high - low) * numpy.float32(0.5) * numpy.float32((side + 2) / side)
    first, last = int(middle - half), int(middle + half)
    size = max(last - first + 1, 1)
    pixels = numpy.arange(length) - first
    at = numpy.maximum(numpy.float32((side + 2) / size) * (pixels + numpy.float32(0.5)) - numpy.float32(0.5), 0)
    near = numpy.minimum(at.astype(int), side + 1)
    return near, numpy.minimum(near + 1, side + 1), numpy.clip(at - near, 0, 1), (pixels >= 0) & (pixels < size)


def paste(mask, box, height, width):
    """The probability of each pixel [height, width] to belong to the object: the mask, put into its box."""
    (left, right, across, in_x), (top, bottom, down, in_y) = (
        samples(box[axis], box[axis + 2], length, len(mask)) for axis, length in [(0, width), (1, height)]
    )
    bordered = numpy.pad(mask, 1)
    rows = bordered[top] * (1 - down)[:, None] + bordered[bottom] * down[:, None]
    return (rows[:, left] * (1 - across) + rows[:, right] * across) * in_x * in_y[:, None]


def main():
    model, threshold, *paths = sys.argv[1:]
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    about = json.loads(session.get_modelmeta().custom_metadata_map["fovea"])
    for path in paths:
        image = read_image(path)
        inputs = {"images": image[None], "score_threshold": numpy.array([float(threshold)], "float32")}
        boxes, scores, labels, masks = session.run(["boxes", "scores", "labels", "masks"], inputs)
        for box, score, label, mask in zip(boxes[0], scores[0], labels[0], masks[0]):
            if label < 0:
                break  # padding: a file answers with as many rows for each image of a batch
            pixels = paste(mask, box, *image.shape[:2]) > about["settings"].get("mask_pixel_score_threshold", 0.5)
            print(f"{path}\t{about['labels'][label]}\t{score:.4f}\t{pixels.sum()}")


if __name__ == "__main__":
    main()
