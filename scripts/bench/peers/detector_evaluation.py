"""Evaluation by the PyTorch originals: detector_evaluation.py MODEL SIDE BATCH THREADS DATA.jsonl WEIGHTS.safetensors

Images a second from files to the COCO numbers: read, decode, resize, predict, NMS, back to the pixels of the image, pycocotools.
WEIGHTS holds the original's keys. yolov5: its loader, network and NMS as its validation uses them (rectangular batches,
confidence .001, IoU .6, 300 detections). torchvision: a DataLoader and the model as it is (score .05, IoU .5, 100 or 300
detections), SIDE the shorter side. Two loader processes in both.
"""

import functools
import json
import pathlib
import sys
import tempfile
import time

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from coco import numbers, read
from originals import first_label, is_yolov5, torchvision_detector, yolov5

WORKERS = 2


def results(image, boxes, scores, labels):
    sides = torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)
    rows = zip(sides.tolist(), scores.tolist(), labels.tolist())
    return [{"image_id": image, "bbox": b, "score": s, "category_id": int(c)} for b, s, c in rows]


def yolov5_loader(images, classes, side, batch, folder):
    """The package's validation loader, over links to the images with labels in its own format."""
    from yolov5.utils.dataloaders import create_dataloader

    for kind in ("images", "labels"):
        (folder / kind).mkdir()
    for index, image in enumerate(images):
        (folder / f"images/{index}{image['path'].suffix}").symlink_to(image["path"])
        extent = np.array([image["width"], image["height"]])
        lines = []
        for box, label in zip(image["boxes"], image["labels"]):
            centre, sides = (box[:2] + box[2:]) / 2 / extent, (box[2:] - box[:2]) / extent
            lines.append(" ".join(map(str, [classes.index(label), *centre, *sides])))
        (folder / f"labels/{index}.txt").write_text("\n".join(lines))
    return create_dataloader(str(folder / "images"), side, batch, 32, rect=True, pad=0.5, workers=WORKERS)[0]


def yolov5_detections(network, loader):
    from yolov5.utils.general import non_max_suppression, scale_boxes

    found = []
    for pixels, _, paths, shapes in loader:
        predictions = non_max_suppression(network(pixels.float() / 255)[0], 0.001, 0.6, multi_label=True, max_det=300)
        for prediction, path, (shape, ratio) in zip(predictions, paths, shapes):
            boxes = scale_boxes(pixels.shape[2:], prediction[:, :4].clone(), shape, ratio)
            found += results(int(pathlib.Path(path).stem), boxes, prediction[:, 4], prediction[:, 5])
    return found


class Images(torch.utils.data.Dataset):
    def __init__(self, images):
        self.paths = [image["path"] for image in images]

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        with Image.open(self.paths[index]) as image:
            pixels = np.array(image.convert("RGB"))
        return index, torch.from_numpy(pixels).permute(2, 0, 1).float() / 255


def torchvision_detections(network, loader, first):
    found = []
    for batch in loader:
        for (index, _), one in zip(batch, network([pixels for _, pixels in batch])):
            found += results(index, one["boxes"], one["scores"], one["labels"] - first)
    return found


def main():
    model, side, batch, threads, listing, weights = sys.argv[1:]
    side, batch = int(side), int(batch)
    torch.set_num_threads(int(threads))
    images, classes = read(pathlib.Path(listing))
    with tempfile.TemporaryDirectory() as folder:
        if is_yolov5(model):
            network = yolov5(model, side, len(classes))
            loader = yolov5_loader(images, classes, side, batch, pathlib.Path(folder))
            detect = yolov5_detections
        else:
            network = torchvision_detector(model, len(classes), min_size=side)
            loader = torch.utils.data.DataLoader(Images(images), batch, num_workers=WORKERS, collate_fn=list)
            detect = functools.partial(torchvision_detections, first=first_label(model))
        missing = network.load_state_dict(load_file(weights), strict=False).missing_keys
        assert all(key.endswith(".num_batches_tracked") for key in missing), missing
        network.eval()
        with torch.inference_mode():
            started = time.perf_counter()
            found = detect(network, loader)
            stats = numbers(images, classes, found)
            seconds = time.perf_counter() - started
    answer = {"images": len(images) / seconds, "detections": len(found), "AP50:95": stats[0], "AP50": stats[1]}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
