"""Asks an exported classifier (form `whole`) what images show: python classify.py model.onnx image.jpg ...

Needs onnxruntime, numpy and pillow. Prints a line for each image: its name, the most probable label, the probability.
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
    model, *paths = sys.argv[1:]
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    metadata = json.loads(session.get_modelmeta().custom_metadata_map["fovea"])
    labels = metadata["labels"]
    for path in paths:
        # One image at a time, because images of one batch have one size.
        [probabilities] = session.run(["probabilities"], {"images": read_image(path)[None]})
        best = int(probabilities[0].argmax())
        print(f"{path}\t{labels[best]}\t{probabilities[0][best]:.4f}")


if __name__ == "__main__":
    main()
