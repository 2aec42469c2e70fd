"""What the units of scripts/gpu work with: the kit, the device, the Python of the peers, and trainings on generated images."""

import dataclasses
import json
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import time
from array import array

from gpu_unit import Skipped
from machine import Failed
from place import Place

# A training of each task: what it answers, which model, what an image is resized to, and the same for a rehearsal, in seconds on a CPU.
TASKS = {
    "classification": ("image-classification", "resnet50", {"train_crop_size": 224, "valid_resize_size": 256, "valid_crop_size": 224}),
    "vit": ("image-classification", "vitb16r224", {"train_crop_size": 224, "valid_resize_size": 256, "valid_crop_size": 224}),
    "multilabel": (
        "image-classification-multilabel", "efficientnet_lite0", {"train_crop_size": 224, "valid_resize_size": 256, "valid_crop_size": 224},
    ),
    "yolov5": ("image-object-detection", "yolov5", {"model_size": "small", "img_size": 640}),
    "fasterrcnn": ("image-object-detection", "fasterrcnn_resnet50_fpn", {"min_size": 600, "max_size": 800}),
    "retinanet": ("image-object-detection", "retinanet_resnet50_fpn", {"min_size": 600, "max_size": 800}),
    "maskrcnn": ("image-instance-segmentation", "maskrcnn_resnet50_fpn", {"min_size": 600, "max_size": 800}),
}
SMALL_MODELS = {
    "resnet50": "resnet18", "vitb16r224": None, "fasterrcnn_resnet50_fpn": "fasterrcnn_resnet18_fpn",
    "retinanet_resnet50_fpn": None, "maskrcnn_resnet50_fpn": None,
}
SMALL = {
    "train_crop_size": 32, "valid_resize_size": 36, "valid_crop_size": 32, "img_size": 64, "min_size": 64, "max_size": 64, "model_size": "nano",
}


@dataclasses.dataclass
class Bench:
    """`device` is what --device of our programs gets; on the CPU everything is a rehearsal, with small models and images."""

    place: Place
    device: str
    # The unpacked kit.
    kit: pathlib.Path
    # The folder with ONNX Runtime's wheel for CUDA, or its parts.
    onnxruntime: pathlib.Path
    commit: str
    # What nvidia-smi says of the card; empty where there is none.
    card: dict = dataclasses.field(default_factory=dict)

    @property
    def rehearses(self):
        return self.device == "cpu"

    def has_card(self):
        """Whether units that need a card are run: a rehearsal runs them without."""
        return self.rehearses or bool(self.card)

    def folder(self, name):
        """An empty folder of this name for what a unit writes."""
        path = self.place.folder / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    def model(self, task):
        """Task, model and the options of a training. Raises `Skipped` where a rehearsal leaves the model out, or it is not known."""
        name, model, options = TASKS[task]
        if self.rehearses:
            model = SMALL_MODELS.get(model, model)
            options = {key: SMALL[key] for key in options}
        if model is None:
            raise Skipped("too large for a rehearsal")
        known = [one["name"] for one in self.place.trainer("models")["models"]]
        if model not in known:
            raise Skipped(f"this trainer has no {model}")
        return name, model, options

    def data(self, task, count):
        """The folder of generated images for a task; made once."""
        folder = self.place.folder / "data" / f"{task}-{count}"
        if not folder.exists():
            self.place.trainer("sample-data", "--task", task, "--count", count, "--output", folder)
        return folder

    def command(self, task, run, **options):
        """The arguments of a training of a task. `options` are those of the trainer."""
        name, model, own = self.model(task)
        data = self.data(name, options.pop("count", 24 if self.rehearses else 240))
        chosen = {
            "task": name, "model_name": model, "training_data": data / "train.jsonl", "validation_data": data / "validation.jsonl",
            "pretrained": "none", "seed": 3, "number_of_epochs": 1, "training_batch_size": 4 if self.rehearses else 16,
            "early_stopping": "false", "export": "none", "device": self.device, "output": run, **own, **options,
        }
        if self.rehearses:
            chosen.setdefault("threads", 1)
        return ["train", "--recipe", "specification", *(part for key, value in chosen.items() for part in (f"--{key}", value))]

    def train(self, task, run, **options):
        """Trains, and returns the records of its epochs."""
        self.place.trainer(*self.command(task, run, **options))
        return epochs(run)

    def attempt(self, command):
        """All that a program of the kit prints, whatever it ends with."""
        environment = {**os.environ, **self.place.environment, "RUST_BACKTRACE": "0"}
        done = subprocess.run(
            [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
            timeout=self.place.remaining(),
        )
        return done.stdout

    def process(self, arguments, log):
        """A trainer that runs on its own, with its output in a file."""
        command = [str(part) for part in [self.place.programs / "trainer", *arguments]]
        environment = {**os.environ, **self.place.environment}
        with log.open("w", encoding="utf-8") as out:
            return subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment)


def epochs(run):
    """The records of the epochs of a run, so far."""
    path = run / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def kill_after(process, condition, log, limit):
    """Kills a process with SIGKILL as soon as `condition` holds. Raises `Failed` where it ends, or takes too long, before."""
    started = time.monotonic()
    while not condition():
        if process.poll() is not None:
            raise Failed(f"the training that was to be killed had ended with exit code {process.returncode}: {tail(log)}")
        if time.monotonic() - started > limit:
            process.kill()
            process.wait()
            raise Failed(f"the training that was to be killed had ended no epoch after {limit:.0f} s: {tail(log)}")
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()


def tail(log, lines=8):
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def tensors(path):
    """The tensors of a safetensors file: by name, element type and bytes."""
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    start = 8 + length
    return {
        name: (one["dtype"], data[start + one["data_offsets"][0]:start + one["data_offsets"][1]])
        for name, one in header.items() if name != "__metadata__"
    }


def apart(first, second):
    """How two checkpoints differ: whether all bits are equal, how many tensors are not, and the largest difference of two numbers."""
    a, b = tensors(first), tensors(second)
    if a.keys() != b.keys():
        raise Failed(f"{first} and {second} do not have the same tensors")
    differing = [name for name in a if a[name] != b[name]]
    largest = 0.0
    for name in differing:
        if a[name][0] == "F32" and b[name][0] == "F32":
            values = zip(array("f", a[name][1]), array("f", b[name][1]))
            largest = max([largest, *(abs(x - y) for x, y in values)])
    return {"bits equal": not differing, "tensors": len(a), "tensors that differ": len(differing), "largest difference": largest}
