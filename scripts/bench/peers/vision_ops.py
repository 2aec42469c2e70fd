"""RoIAlign and NMS by torchvision.

vision_ops.py prepare FOLDER            writes the inputs of both sides
vision_ops.py FOLDER THREADS ROUNDS     prints the milliseconds of each round of each operation, and the sum of its results

RoIAlign: 512 rois on each of 2 images of 608 x 800 pixels, 256 channels, 4 levels, 7 x 7 bins of 2 x 2 samples.
NMS: proposals, 4 images of 1,000 boxes in one class at IoU 0.7; detections, 8 images of 25,200 boxes in 3 classes of which about
300 pass the threshold; crowded, 2 images of 25,200 boxes in 3 classes of which about 6,000 pass. Filtering counts.
"""

import json
import pathlib
import sys
import time

import numpy
import torch
import torchvision

NMS = {"proposals": (0.7, -1.0, 1000), "detections": (0.45, 0.25, 300), "crowded": (0.6, 0.001, 300)}


def random_boxes(rng, count, width, height):
    size = 2 ** rng.uniform(3, 9, (*count, 2))
    centre = rng.uniform(0, 1, (*count, 2)) * [width, height]
    return numpy.concatenate([centre - size / 2, centre + size / 2], -1).clip(0, [width, height, width, height]).astype(numpy.float32)


def inputs():
    rng = numpy.random.default_rng(0)
    arrays = {}
    for level, (h, w) in enumerate([(152, 200), (76, 100), (38, 50), (19, 25)]):
        arrays[f"level{level}"] = rng.standard_normal((2, 256, h, w), dtype=numpy.float32)
    image = numpy.repeat([[0.0], [1.0]], 512, 0).astype(numpy.float32)
    arrays["rois"] = numpy.concatenate([image, random_boxes(rng, (1024,), 800, 608)], 1)
    arrays["upstream"] = rng.standard_normal((1024, 256, 7, 7), dtype=numpy.float32)
    arrays["proposals_boxes"] = random_boxes(rng, (4, 1000), 800, 608)
    arrays["proposals_scores"] = rng.uniform(0, 1, (4, 1, 1000)).astype(numpy.float32)
    for name, n, candidates in [("detections", 8, 300), ("crowded", 2, 6000)]:
        arrays[f"{name}_boxes"] = random_boxes(rng, (n, 25200), 640, 640)
        scores = rng.uniform(0, NMS[name][1], (n, 3, 25200)).astype(numpy.float32)
        chosen = rng.uniform(0, 1, scores.shape) < candidates / 75600
        scores[chosen] = rng.uniform(NMS[name][1], 1, scores.shape).astype(numpy.float32)[chosen]
        arrays[f"{name}_scores"] = scores
    return arrays


def torchvisions(arrays):
    """Functions that give the tensors to sum, by the name of the case."""
    t = {name: torch.from_numpy(array) for name, array in arrays.items()}
    boxes = [t["rois"][t["rois"][:, 0] == image, 1:] for image in range(2)]
    pool = torchvision.ops.MultiScaleRoIAlign([f"level{l}" for l in range(4)], 7, 2)
    cases = {}
    for order in ["contiguous", "channels_last"]:
        form = torch.contiguous_format if order == "contiguous" else torch.channels_last
        levels = {f"level{l}": t[f"level{l}"].contiguous(memory_format=form).requires_grad_() for l in range(4)}

        def forward(levels=levels):
            with torch.no_grad():
                return [pool(levels, boxes, [(608, 800)] * 2)]

        def backward(levels=levels):
            pooled = pool(levels, boxes, [(608, 800)] * 2)
            return torch.autograd.grad((pooled * t["upstream"]).sum(), list(levels.values()))

        cases[f"roi_align {order}"], cases[f"roi_align {order} with gradient"] = forward, backward
    for name, (iou, threshold, cap) in NMS.items():

        def suppress(name=name, iou=iou, threshold=threshold, cap=cap):
            result = []
            for box, score in zip(t[f"{name}_boxes"], t[f"{name}_scores"]):
                if score.shape[0] == 1:
                    result.append(score[0][torchvision.ops.nms(box, score[0], iou)[:cap]])
                    continue
                label, row = torch.nonzero(score > threshold, as_tuple=True)
                kept = score[label, row]
                result.append(kept[torchvision.ops.batched_nms(box[row], kept, label, iou)[:cap]])
            return result

        cases[f"nms {name}"] = suppress
    return cases


def main():
    if sys.argv[1] == "prepare":
        for name, array in inputs().items():
            numpy.save(f"{sys.argv[2]}/{name}.npy", array)
        return
    folder, threads, rounds = sys.argv[1:]
    torch.set_num_threads(int(threads))
    answer = {}
    arrays = {path.stem: numpy.load(path) for path in pathlib.Path(folder).glob("*.npy")}
    for name, run in torchvisions(arrays).items():
        # This first turn warms up, too.
        answer[f"sum of {name}"] = sum(float(tensor.sum(dtype=torch.float64)) for tensor in run())
        answer[name] = []
        for _ in range(int(rounds)):
            start = time.perf_counter()
            result = run()
            answer[name].append((time.perf_counter() - start) * 1e3)
            del result
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
