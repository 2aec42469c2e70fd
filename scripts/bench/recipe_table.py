"""The detection recipes of recipes.py: YOLOv5 small from random weights, on 2 cores.

bccd              256 px, 40 epochs; trained on `train`, measured on `val` and `test`
fridge-detection  the same on the shelf photographs
pcb               at half the pictures' size (320 px), once whole and once also in tiles of 2x2, which show defects at full
                  size; tiles make five views of a picture, so that run has a fifth of the epochs and sees as many views

SGD as YOLOv5 trains by default: learning rate 0.01 falling linearly to a hundredth, momentum 0.937, weight decay 5e-4 for 64
images an update, a warm-up of 100 steps as whole epochs, the average of the weights, mosaics, scale 0.5, shift 0.1, HSV. Measured
on the exported file: score above 0.001, IoU 0.6, 300 boxes an image.
"""

import pathlib
import statistics
import time

YOLO = """--task image-object-detection --model_name yolov5 --model_size small --pretrained none
--training_batch_size 16 --validation_batch_size 16 --early_stopping false --validation_metric_type coco
--optimizer sgd --learning_rate 0.01 --lr_scheduler linear --linear_lr_final 0.01 --momentum 0.937 --nesterov true
--weight_decay 0.0005 --nominal_batch_size 64 --warmup_bias_lr 0.1 --warmup_momentum 0.8
--grad_clip_type norm --grad_clip_value 10 --ema_decay 0.9999
--augment_scale 0.5 --augment_translate 0.1 --augment_hsv 1 --evaluation_frequency 5
--box_score_thresh 0.001 --box_nms_thresh 0.6 --box_detections_per_img 300""".split()
# 100 steps of 16 images, in whole epochs.
WARM_UP = {"bccd": 8, "fridge-detection": 14, "pcb": 5, "pcb in tiles": 1}
RECIPES = ["bccd", "fridge-detection", "pcb"]


def parts(recipe, data, trainer, folder):
    """Training data, and what is measured by name; the first of it also decides which epoch is best."""
    if recipe == "fridge-detection":
        return data / "training-mltable-folder", {"val": data / "validation-mltable-folder"}
    made = folder / "data"
    if recipe == "bccd":
        trainer("convert", "voc", data, "--output", made, "--overwrite")
        return made / "train.jsonl", {"val": made / "validation.jsonl", "test": made / "test.jsonl"}
    trainer("convert", "coco", data / "train.coco.json", data / "test.coco.json", "--output", made, "--overwrite")
    return made / "train.jsonl", {"test": made / "test.jsonl"}


def warm_up(name):
    return ["--warmup_cosine_lr_warmup_epochs", str(WARM_UP[name])]


def variants(recipe):
    """Name and options of what is compared."""
    if recipe == "pcb":
        half = ["--img_size", "320"]
        tiles = [*half, "--number_of_epochs", "8", *warm_up("pcb in tiles"), "--tile_grid_size", "2x2"]
        return {"whole": [*half, "--number_of_epochs", "40", *warm_up(recipe)], "2x2 tiles": tiles}
    return {"256 px": ["--img_size", "256", "--number_of_epochs", "40", *warm_up(recipe)]}


def run(trainer, args, folder):
    train, measured = parts(args.recipe, args.data, trainer, folder)
    validation = next(iter(measured.values()))
    print("| recipe | variant | seed | best epoch | measured on | AP50:95 | AP50 | AP50:95 of the checkpoint | seconds |")
    print("|---|---|---|---|---|---|---|---|---|")
    for variant, options in variants(args.recipe).items():
        scores = []
        for seed in range(args.seeds):
            output = folder / pathlib.Path(f"{args.recipe}-{variant}-{seed}".replace(" ", "-"))
            started = time.time()
            data = ["--training_data", train, "--validation_data", validation]
            made = trainer("train", *data, "--seed", seed, "--output", output, *YOLO, *options)
            seconds = time.time() - started
            for name, listing in measured.items():
                exported = trainer("evaluate", "--onnx", made["onnx"], "--data", listing)["metrics"]
                checkpoint = trainer("evaluate", "--checkpoint", output, "--data", listing)["metrics"]
                print(
                    f"| {args.recipe} | {variant} | {seed} | {made['best_epoch']} | {name} | {exported['ap50_95']:.4f} "
                    f"| {exported['ap50']:.4f} | {checkpoint['ap50_95']:.4f} | {seconds:.0f} |",
                    flush=True,
                )
            scores.append(exported["ap50_95"])
        print(f"\n{variant}: mean AP50:95 {statistics.mean(scores):.4f}, lowest {min(scores):.4f}, on {name}\n", flush=True)
