"""The recipe of YOLOv5 small by the original package's own code: detector_recipe.py DATA.yaml SIDE BATCH EPOCHS SEED THREADS LISTING...

Trains from random weights, takes the package's own choice of the best epoch, and prints, for each JSONL file of images with boxes, COCO's
AP50:95 and AP50 on original pixels: scores from .001 on, suppression at .6.
"""

import json
import pathlib
import sys
import tempfile

from detector_epoch import train  # first: it tells the package to install and fetch nothing

import torch
from coco import numbers, read
from detector_evaluation import yolov5_detections, yolov5_loader


def measured(network, listing, side, batch):
    images, classes = read(pathlib.Path(listing))
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        found = yolov5_detections(network, yolov5_loader(images, classes, side, batch, pathlib.Path(folder)))
    stats = numbers(images, classes, found)
    return {"ap50_95": stats[0], "ap50": stats[1]}


def main():
    data, side, batch, epochs, seed, threads, *listings = sys.argv[1:]
    torch.set_num_threads(int(threads))
    with tempfile.TemporaryDirectory() as folder:
        train(data, pathlib.Path(folder), imgsz=int(side), batch_size=int(batch), epochs=int(epochs), seed=int(seed))
        # The package keeps whole modules, of its own classes; the file is the one it has just written.
        kept = torch.load(f"{folder}/run/weights/best.pt", map_location="cpu", weights_only=False)
    network = (kept.get("ema") or kept["model"]).float().eval()
    print(json.dumps([measured(network, listing, int(side), int(batch)) for listing in listings]))


if __name__ == "__main__":
    main()
