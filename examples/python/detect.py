"""Asks an exported detector (form `whole`) what is where: python detect.py model.onnx 0.5 image.jpg ...

Needs onnxruntime, numpy and pillow. The number is the lowest score that is of interest. Prints a line for each object: image, label,
score, and left, top, right, bottom in pixels of the image.
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


def main():
    model, threshold, *paths = sys.argv[1:]
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = json.loads(session.get_modelmeta().custom_metadata_map["fovea"])["labels"]
    threshold = numpy.array([float(threshold)], "float32")
    for path in paths:
        # Without score_threshold the threshold that the file was exported with holds.
        inputs = {"images": read_image(path)[None], "score_threshold": threshold}
        boxes, scores, labels = session.run(["boxes", "scores", "labels"], inputs)
        for box, score, label in zip(boxes[0], scores[0], labels[0]):
            if label < 0:
                break  # padding: a file answers with as many rows for each image of a batch
            corners = "\t".join(f"{corner:.1f}" for corner in box)
            print(f"{path}\t{names[label]}\t{score:.4f}\t{corners}")


if __name__ == "__main__":
    main()
