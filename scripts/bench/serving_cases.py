"""The table of serving benchmarks: which models, what is sent, and the servers that are asked.

A `Section` is a part of docs/serving-speed.md: one model and one kind of request. Its cases are numbers of clients. A `Side` is a server, and
how it is started. To add a server, add a side and, below peers/, its application.
"""

import dataclasses
from typing import Sequence

from recipe_table import settings

CLIENTS = (1, 8, 32)


@dataclasses.dataclass(frozen=True)
class Side:
    """A server: its command, filled in as those of place.py, and how many processes of it each have how many threads."""

    name: str
    title: str
    command: Sequence[str]
    # Each with all threads, or one of one thread for each of the threads.
    many: bool = False
    # How it wants an image: as the body, in a form, or as the one element of a V2 tensor of bytes. A tensor of pixels is the same for all.
    way: str = "body"
    # The environment that its Python is of: the name of a file of requirements in peers/.
    environment: str = "serving"


WAYS = ("body", "form", "element")
LITSERVE = ["{python}", "{peers}/serve_litserve.py", "{port}", "{workers}"]
BENTOML = ["{python}", "-m", "bentoml", "serve", "serve_bentoml:Scorer", "--working-dir", "{peers}", "--host", "127.0.0.1", "--port", "{port}"]
# What it is sent, an image or pixels, is the last word.
TRITON = ["{python}", "{peers}/serve_triton.py", "{port}", "{workers}"]
SERVER = [
    "{programs}/server", "--model", "m={model}", "--bind", "127.0.0.1:{port}", "--workers", "{workers}", "--threads", "{threads}",
    "--decode-threads", "{processors}",
]
OURS = [Side("ours", "ours", SERVER), Side("ours-many", "ours, a worker a thread", SERVER, many=True)]
PEERS = [
    Side("litserve", "LitServe", LITSERVE, way="form"),
    Side("litserve-many", "LitServe, a process a thread", LITSERVE, many=True, way="form"),
    Side("bentoml", "BentoML", BENTOML), Side("bentoml-many", "BentoML, a process a thread", BENTOML, many=True),
    Side("triton", "Triton", [*TRITON, "image"], way="element", environment="serving_triton"),
    Side("triton-many", "Triton, a process a thread", [*TRITON, "image"], many=True, way="element", environment="serving_triton"),
]
OF_PIXELS = [
    Side("triton-pixels", "Triton", [*TRITON, "pixels"], environment="serving_triton"),
    Side("triton-pixels-many", "Triton, a process a thread", [*TRITON, "pixels"], many=True, environment="serving_triton"),
]
SIDES = {side.name: side for side in [*OURS, *PEERS, *OF_PIXELS]}
# Loops without a server.
LOOPS = {"loop": "a loop in Rust", "python-loop": "a loop in Python"}


@dataclasses.dataclass(frozen=True)
class Model:
    """How a file is made: the task and settings of a training from random weights, or a file of the server's tests."""

    task: str = ""
    settings: dict = dataclasses.field(default_factory=dict)
    quick: dict = dataclasses.field(default_factory=dict)
    fixture: str = ""


MODELS = {
    "classifier": Model(
        "image-classification", settings("--model_name mobilenetv2"),
        settings("--train_crop_size 64 --valid_resize_size 73 --valid_crop_size 64"),
    ),
    "detector": Model("image-object-detection", settings("--model_name yolov5 --model_size nano"), settings("--img_size 128")),
    "tiny": Model(fixture="tiny_prepared.onnx"),
    "nothing": Model(fixture="tiny_whole.onnx"),
}


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the page."""

    name: str
    title: str
    about: str
    model: str
    sides: Sequence[str] = tuple(side.name for side in [*OURS, *PEERS])
    loops: Sequence[str] = tuple(LOOPS)
    clients: Sequence[int] = CLIENTS
    # What is sent: photographs, one small image, or pixels as a V2 tensor.
    sends: str = "photographs"
    # Twice what the server can do, in place of numbers of clients.
    overload: bool = False


SECTIONS = [
    Section(
        "classifier", "A classifier", "MobileNetV2 at 224 pixels: a JPEG in, the JSON of the task out.", "classifier",
    ),
    Section(
        "detector", "A detector", "YOLOv5 nano at 640 pixels: a JPEG in, the JSON of the task out. From random weights it finds next to nothing.", "detector",
    ),
    Section(
        "tiny", "The servers themselves", "A network that takes the mean of an image of 16 pixels, and a JPEG of some hundred bytes: what is "
        "left is the server.", "tiny", sends="small",
    ),
    Section(
        "tensor", "A tensor", "600 KB of pixels as V2's binary tensor, and a network that takes their mean. The loop runs the same tensor.", "nothing",
        sides=tuple(side.name for side in [*OURS, *OF_PIXELS]), loops=("python-loop",), sends="tensor",
    ),
    Section(
        "overload", "Twice what it can do", "The classifier again. The server is kept on one processor and the clients on another. First as many "
        "requests as 32 clients get answered, which is the capacity; then, at a constant rate, twice as many, each from a client of its own as "
        "far as 256 reach; then half as many. A good answer comes within a second of the moment at which its request was due.",
        "classifier", sides=("ours", "litserve", "bentoml", "triton"), loops=(), overload=True,
    ),
]


def cases_of(section):
    """The names of a section's cases."""
    if section.overload:
        return [f"{section.name}/twice"]
    return [*([f"{section.name}/alone"] if section.loops else []), *(f"{section.name}/{clients}" for clients in section.clients)]


def all_cases():
    """Every case with its full name and section."""
    return [(name, section) for section in SECTIONS for name in cases_of(section)]
