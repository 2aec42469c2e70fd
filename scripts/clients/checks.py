"""What the scripts of this folder share: how checks are counted, the small models as ONNX Runtime runs them, and images."""

import base64
import io
import pathlib
import sys
import traceback

import numpy
import onnxruntime
import requests
from PIL import Image

FIXTURES = pathlib.Path(__file__).resolve().parents[2] / "server/tests/fixtures"
LABELS = ["red", "green", "blue"]
# By how much two runs of one network may differ.
NEAR = 1e-6


class Checks:
    """Counts what was checked, and prints what is not as it should be."""

    def __init__(self, name):
        self.name, self.done, self.bad = name, 0, 0

    def that(self, what, holds, said=""):
        """One check."""
        self.done += 1
        if not holds:
            self.bad += 1
            print(f"{self.name}: {what}: {said}", file=sys.stderr)

    def equal(self, what, found, wanted):
        self.that(what, found == wanted, f"{found!r} instead of {wanted!r}")

    def near(self, what, found, wanted):
        """Of tensors by name: the same names, types and shapes, and nearly the same numbers."""
        self.equal(f"{what}, names", sorted(found), sorted(wanted))
        for name in sorted(set(found) & set(wanted)):
            mine, other = numpy.asarray(found[name]), numpy.asarray(wanted[name])
            same = mine.dtype == other.dtype and mine.shape == other.shape and numpy.allclose(mine, other, rtol=NEAR, atol=NEAR)
            self.that(f"{what}, {name}", same, f"{mine} ({mine.dtype}) instead of {other} ({other.dtype})")

    def part(self, call, *arguments):
        """Runs a function that makes checks; what it raises is as bad as a check that does not hold."""
        try:
            call(self, *arguments)
        except Exception:  # pylint: disable=broad-exception-caught
            self.that(call.__name__, False, f"\n{traceback.format_exc()}")

    def end(self):
        """Says how many there were, and ends the program."""
        print(f"{self.name}: {self.done} checks, {self.bad} of them not as they should be", flush=True)
        sys.exit(1 if self.bad or not self.done else 0)


def local():
    """A session of requests with a server of this machine."""
    made = requests.Session()
    # No proxy, and no key of the user's.
    made.trust_env = False
    return made


def pixels(height, width, seed=0):
    """An image [height, width, 3] of made pixels, brighter in red."""
    values = numpy.random.default_rng([seed, height, width]).integers(0, 200, (height, width, 3))
    return (values + [55, 20, 0]).astype(numpy.uint8)


def encoded(image, form="PNG"):
    """The file of an image."""
    out = io.BytesIO()
    Image.fromarray(image).save(out, form)
    return out.getvalue()


def base64_of(data):
    return base64.b64encode(data).decode()


def session(file):
    """ONNX Runtime on one of the small models."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(FIXTURES / file, options, providers=["CPUExecutionProvider"])


def answered(network, images, sizes=None):
    """What ONNX Runtime answers, by the name of the output."""
    inputs = {"images": images} if sizes is None else {"images": images, "sizes": sizes}
    return dict(zip([output.name for output in network.get_outputs()], network.run(None, inputs)))


def as_served(outputs):
    """A detector's outputs as the server answers them: rows that stand for no object are zeros, and cut off where no image needs them."""
    if "labels" not in outputs:
        return outputs
    there = outputs["labels"] >= 0
    most = int(there.sum(axis=1).max(initial=0))
    made = {name: values[:, :most].copy() for name, values in outputs.items()}
    for name, values in made.items():
        values[~there[:, :most]] = -1 if name == "labels" else 0
    return made
