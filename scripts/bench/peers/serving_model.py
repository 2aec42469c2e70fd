"""What a peer's server does with an image: Pillow decodes and resizes it, ONNX Runtime runs the file (form `prepared`), and the answer is
the JSON that Fovea's server gives. As users of these servers write it: with their own hands, and without reading the pixels twice."""

import io
import json
import os

# Before the import; else ONNX Runtime reports to Microsoft.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy
import onnxruntime
from PIL import Image, ImageOps

STRIDE, GREY = 32, (114, 114, 114)


class Pipeline:
    """An exported file and what goes around it."""

    def __init__(self, model, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        about = json.loads(self.session.get_modelmeta().custom_metadata_map["fovea"])
        self.labels, self.fit = about["labels"], about["preprocessing"]
        self.finds_boxes = "letterbox" in self.fit

    def __call__(self, data):
        """The answer about the bytes of an image."""
        with Image.open(io.BytesIO(data)) as opened:
            image = ImageOps.exif_transpose(opened).convert("RGB")
        return self.boxes(image) if self.finds_boxes else self.probabilities(image)

    def probabilities(self, image):
        short, cut = self.fit["resize"], self.fit["crop"]
        width, height = image.size
        scale = short / min(width, height)
        image = image.resize((max(short, int(width * scale)), max(short, int(height * scale))), Image.Resampling.BILINEAR)
        left, top = (image.width - cut) // 2, (image.height - cut) // 2
        pixels = numpy.asarray(image.crop((left, top, left + cut, top + cut)))
        [found] = self.session.run(["probabilities"], {"images": pixels[None]})
        return {"filename": "image_0", "probs": found[0].tolist(), "labels": self.labels, "visualizations": None, "attributions": None}

    def boxes(self, image):
        side, (width, height) = self.fit["letterbox"], image.size
        inner = [-(-length * side // max(width, height)) for length in (width, height)]
        outer = [-(-length // STRIDE) * STRIDE for length in inner]
        framed = Image.new("RGB", outer, GREY)
        framed.paste(image.resize(inner, Image.Resampling.BILINEAR), [(a - b) // 2 for a, b in zip(outer, inner)])
        sizes = numpy.array([[height, width]], numpy.int64)
        boxes, scores, labels = self.session.run(["boxes", "scores", "labels"], {"images": numpy.asarray(framed)[None], "sizes": sizes})
        found = []
        for (x1, y1, x2, y2), score, label in zip(boxes[0].tolist(), scores[0].tolist(), labels[0].tolist()):
            if label >= 0:
                corners = {"topX": x1 / width, "topY": y1 / height, "bottomX": x2 / width, "bottomY": y2 / height}
                found.append({"box": corners, "label": self.labels[label], "score": score})
        return {"filename": "image_0", "boxes": found}


def from_environment():
    """The pipeline of the file and the number of threads that scripts/bench/serving_peers.py names."""
    return Pipeline(os.environ["BENCH_MODEL"], int(os.environ["BENCH_THREADS"]))
