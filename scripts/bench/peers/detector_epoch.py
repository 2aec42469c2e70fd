"""A training of yolov5s from random weights by the original package's own code: detector_epoch.py DATA.yaml SIDE BATCH EPOCHS THREADS

Prints the seconds of each epoch's training part. Images are cached in memory, as Fovea caches them; validation after each epoch does
not count.
"""

import importlib
import json
import os
import pathlib
import sys
import tempfile
import time
import unittest.mock

# What the package imports to fetch data and to log elsewhere. None of it is used here, and an environment need not have it.
for name in ("roboflow", "roboflow.core", "roboflow.core.version", "sahi", "boto3", "fire", "git", "tensorboard"):
    try:
        importlib.import_module(name)
    except ImportError:
        sys.modules[name] = unittest.mock.MagicMock(__spec__=None)
# The package keeps whole modules and reads them again with a call that torch has since restricted; they are of its own making.
os.environ.update(YOLOv5_AUTOINSTALL="false", WANDB_MODE="disabled", MPLBACKEND="Agg", TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD="1")

import torch
import yolov5.utils.downloads as downloads
import yolov5.utils.general as general


def nothing(*_args, **_options):
    """In the place of what would install or download."""


general.check_requirements = general.check_font = downloads.attempt_download_from_hub = nothing
import yolov5.train as original
from yolov5.models.yolo import BaseModel
from yolov5.utils.callbacks import Callbacks

original.check_requirements = nothing
# Its validation at the end, which does not count, would fuse layers and cannot where their weights are in the order chosen below.
BaseModel.fuse = lambda network: network


def absolute(listing, folder):
    """The dataset's description with its whole path: the original takes a relative one as a folder of its own."""
    path = folder / "data.yaml"
    path.write_text(listing.read_text(encoding="utf-8").replace("path: .", f"path: {listing.parent.resolve()}"), encoding="utf-8")
    return str(path)


def train(data, folder, callbacks=None, **chosen):
    """Trains yolov5s from random weights with the original's recipe; `chosen` are options of its training script."""
    package = pathlib.Path(original.__file__).parent
    options = original.parse_opt(True)
    fixed = dict(
        data=absolute(pathlib.Path(data), folder), weights="", cfg=str(package / "models/yolov5s.yaml"),
        hyp=str(package / "data/hyps/hyp.scratch-low.yaml"), device="cpu", workers=1, project=str(folder), name="run", noplots=True,
        cache="ram",
    )
    for name, value in {**fixed, **chosen}.items():
        setattr(options, name, value)
    # The same arithmetic in the memory order that processors prefer; Fovea uses it too.
    built = original.Model
    original.Model = lambda *args, **kwargs: built(*args, **kwargs).to(memory_format=torch.channels_last)
    original.main(options, callbacks or Callbacks())


def main():
    data, side, batch, epochs, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    moments, seconds = [], []
    callbacks = Callbacks()
    callbacks.register_action("on_train_epoch_start", callback=lambda: moments.append(time.perf_counter()))
    callbacks.register_action("on_train_epoch_end", callback=lambda **_: seconds.append(time.perf_counter() - moments[-1]))
    with tempfile.TemporaryDirectory() as folder:
        train(data, pathlib.Path(folder), callbacks, imgsz=int(side), batch_size=int(batch), epochs=int(epochs))
    print(json.dumps({"epoch": seconds}))


if __name__ == "__main__":
    main()
