"""The table of recipes: the documented trainings on real images, and what is measured of each.

A `Section` is a part of docs/results.md, a `Recipe` one training in it; its variants differ by a few settings and its parts are what the
exported file is measured on. To add a recipe, add it here.
"""

import dataclasses
import sys
from typing import Dict, List, Optional, Sequence


def settings(text):
    """Settings by name, of text as one types it: '--momentum 0.9 --nesterov true'."""
    words = text.split()
    return {name[2:]: value for name, value in zip(words[::2], words[1::2])}


def flags(chosen):
    """Settings as arguments of the trainer."""
    return [word for name, value in chosen.items() for word in (f"--{name}", str(value))]


# SGD as YOLOv5 trains by default: learning rate 0.01 falling linearly to a hundredth, momentum 0.937, weight decay 5e-4 for 64 images
# an update, the average of the weights, mosaics, scale 0.5, shift 0.1, HSV. Measured on the exported file: score above 0.001, IoU 0.6,
# 300 boxes an image.
YOLO = settings("""--task image-object-detection --model_name yolov5 --model_size small --pretrained none
--training_batch_size 16 --validation_batch_size 16 --early_stopping false --validation_metric_type coco
--optimizer sgd --learning_rate 0.01 --lr_scheduler linear --linear_lr_final 0.01 --momentum 0.937 --nesterov true
--weight_decay 0.0005 --nominal_batch_size 64 --warmup_bias_lr 0.1 --warmup_momentum 0.8
--grad_clip_type norm --grad_clip_value 10 --ema_decay 0.9999
--augment_scale 0.5 --augment_translate 0.1 --augment_hsv 1 --evaluation_frequency 5
--box_score_thresh 0.001 --box_nms_thresh 0.6 --box_detections_per_img 300""")
FASTER_RCNN = settings("""--task image-object-detection --model_name fasterrcnn_resnet18_fpn --pretrained none
--min_size 256 --max_size 400 --optimizer adamw --learning_rate 0.0005 --training_batch_size 2 --early_stopping false""")
SCRATCH = settings("""--model_name resnet18 --pretrained none --optimizer adamw --learning_rate 0.001 --weight_decay 0.05
--training_batch_size 32 --number_of_epochs 80 --early_stopping false
--train_crop_size 128 --valid_resize_size 144 --valid_crop_size 128""")


def yolo(side, epochs, warm_up):
    """The recipe of YOLOv5 with its warm-up of 100 steps of 16 images, in whole epochs."""
    return {**YOLO, "img_size": side, "number_of_epochs": epochs, "warmup_cosine_lr_warmup_epochs": warm_up}


def yolo_recipes(warm_up):
    """The two ways to train yolov5: without a word, and spelled out with so many epochs of warm-up."""
    auto = settings("--task image-object-detection --model_name yolov5 --model_size small --pretrained none --recipe auto")
    return {"auto": auto, "256 px, 40 epochs": yolo(256, 40, warm_up)}


# Small images, so that two processor cores train it in half an hour.
MASK_RCNN = {**FASTER_RCNN, **settings("--task image-instance-segmentation --model_name maskrcnn_resnet18_fpn")}
ACCURACY = {"accuracy": "accuracy"}
SURE = {"accuracy": "accuracy", "log_loss": "log loss", "calibration_error": "calibration error"}
# The same of Faster R-CNN.
FASTER_RCNN_RECIPES = {
    "auto": settings("--task image-object-detection --model_name fasterrcnn_resnet18_fpn --pretrained none --recipe auto"),
    "256 px, 15 epochs": {**FASTER_RCNN, "number_of_epochs": 15},
}
# What a training takes without a word, beside its two halves; all with EfficientNet-Lite0 and ten epochs.
RECIPES = {
    "auto": {"recipe": "auto"},
    "all trained": {"recipe": "specification"},
    "head alone": {"recipe": "specification", "head_epochs": 10},
}
# Beside them, each for as long as the longest of them took; see peers/classifier_recipe.py.
PEERS = {"timm, head then all": "plain", "fastai, fine_tune": "fastai"}
# Training images of each class: all that there are.
ALL = sys.maxsize
SETS = {"accuracy": "accuracy", "iou": "iou"}
AP = {"ap50_95": "AP50:95", "ap50": "AP50"}
MASK_AP = {"ap50_95": "AP50:95", "ap50": "AP50", "box_ap50": "AP50 of boxes"}
QUICK_CLASSIFIER = settings(
    "--number_of_epochs 1 --training_batch_size 4 --train_crop_size 64 --valid_resize_size 64 --valid_crop_size 64 --pretrained none"
)
QUICK_YOLO = settings("--model_size nano --number_of_epochs 1 --img_size 64 --training_batch_size 4 --warmup_cosine_lr_warmup_epochs 0")
QUICK_FASTER_RCNN = settings("--number_of_epochs 1 --min_size 64 --max_size 96")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One training. `data` names a dataset of place.py."""

    name: str
    title: str
    data: str
    metrics: Dict[str, str]
    # Settings by the name of the variant; a recipe with one variant calls it as the table should.
    variants: Dict[str, Dict[str, object]]
    # What is measured; the first of them also decides which epoch is best.
    parts: Sequence[str] = ("validation",)
    seeds: Sequence[int] = (0,)
    # What others report, in words.
    known: str = ""
    # Whether the server is asked about every image of the last part.
    served: bool = False
    # The original package trains by the same recipe; its side, batch and epochs.
    original: Optional[Dict[str, int]] = None
    # Only so many images, to learn them by heart: the training's are what is measured.
    by_heart: int = 0
    # Only so many training images of each class; of a set without a test part, its validation part is that, and training images that
    # are left over are to validate on.
    per_class: int = 0
    # Ways of others to train on the same images, by name; of recipes that measure one part, whose labels are single.
    peers: Dict[str, str] = dataclasses.field(default_factory=dict)
    # Settings that show in seconds whether the recipe works.
    quick: Dict[str, object] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the page: what is shown, and the recipes that show it."""

    name: str
    title: str
    text: str
    recipes: Sequence[Recipe]
    # The exported files are compared with the checkpoint box by box, instead of being measured.
    files: bool = False


FRIDGE_YOLO = {"256 px, 40 epochs": yolo(256, 40, 14)}
SECTIONS: List[Section] = [
    Section(
        "classification", "Classification",
        """Every number is that of the exported file, measured by ONNX Runtime on the images as decoded. EfficientNet-Lite0
        starts from its ImageNet weights. The sets are Azure's fridge objects (MIT; 107 + 27 images, with label sets 103 + 25) and
        alexeygrigorev's small clothing dataset (CC0; 1435 + 341 + 372 images, the training part cut to 150 a class). Accuracy of label
        sets is exact match. The best epoch is chosen on the validation data, so the fridge figures flatter a little. One fridge image
        is 3.7 points.""",
        [
            Recipe(
                "fridge", "fridge, EfficientNet-Lite0", "fridge", ACCURACY, {"specification": {}},
                seeds=range(5), known=".923 (ResNet-18, another split)", served=True, quick=QUICK_CLASSIFIER,
            ),
            Recipe(
                "fridge-multilabel", "label sets, EfficientNet-Lite0", "fridge-multilabel", SETS,
                {"20 epochs": settings("--task image-classification-multilabel --number_of_epochs 20")},
                seeds=range(5), known=".72 (ResNet-18)", served=True, quick=QUICK_CLASSIFIER,
            ),
            Recipe(
                "clothing", "clothing, EfficientNet-Lite0", "clothing", ACCURACY, {"specification": {}},
                parts=("validation", "test"), known=".887 (frozen features, twice the images)", served=True, quick=QUICK_CLASSIFIER,
            ),
            Recipe(
                "from-scratch", "clothing, ResNet-18 from random weights", "clothing", ACCURACY,
                {"AdamW 1e-3, weight decay .05, batch 32, 128 px, 80 epochs": SCRATCH},
                parts=("validation", "test"), served=True, quick=QUICK_CLASSIFIER,
            ),
        ],
    ),
    Section(
        "recipes", "What a training takes without a word",
        """`--recipe auto` beside training all of the network from the first step, and the head alone; all EfficientNet-Lite0 from ImageNet
        weights, ten epochs, batches of 16. The set's name says how many training images of each class there were. Numbers are the exported
        file's on the test part, by which nothing was chosen; of the fridge's objects that is the validation part, and training images
        that were left over, or every fifth, were to validate on. Below them, in the same run, what others make of the same weights in
        the time of the slowest of the three: timm's network with a script that trains the head and then everything, each with a
        one-cycle rate, and fastai's `fine_tune`. signs: ten digits in sign language (Apache-2.0; 200 + 400 images).""",
        [
            Recipe(
                f"{data}-{'all' if count == ALL else count}", f"{data}, {'all' if count == ALL else f'{count} a class'}", data, SURE, RECIPES,
                parts=("test",), seeds=range(3), per_class=count, peers=PEERS, quick=QUICK_CLASSIFIER,
            )
            for count in (10, 50, ALL) for data in ("fridge", "signs", "clothing")
            # The fridge has no more than 31 of a class.
            if (data, count) != ("fridge", 50)
        ],
    ),
    Section(
        "detector-recipes", "What a detector's training takes without a word",
        """`--recipe auto` beside recipes that were spelled out for these very sets: for yolov5 small the original's, as in the next section,
        for Faster R-CNN on ResNet-18 AdamW at .0005 with images of 256 px. All start from random weights. Numbers are the exported
        file's, by COCO's rules, on the test part of bccd and the validation part of the fridge.""",
        [
            Recipe(
                f"{data}-{model}", f"{data}, {title}", source, AP, variants(warm_up), parts=(part,), seeds=range(3), quick=quick,
            )
            for model, title, variants, quick in (
                ("yolov5", "yolov5 small", yolo_recipes, QUICK_YOLO),
                ("fasterrcnn", "Faster R-CNN, ResNet-18", lambda _: FASTER_RCNN_RECIPES, QUICK_FASTER_RCNN),
            )
            for data, source, part, warm_up in (("bccd", "bccd", "test", 8), ("fridge", "fridge-detection", "validation", 14))
        ],
    ),
    Section(
        "detection", "Detection beside the original",
        """yolov5 small from random weights by the recipe of the original (256 px, batch 16, 40 epochs, its learning rates, warm-up,
        averaging and augmentation), beside the original package with its own code. Both are scored by COCO's rules on original
        pixels, scores from .001 on, suppression at .6, with the best epoch by each one's own choice: Fovea's is the specification's
        metric, average precision at an overlap of .5. Fovea's numbers are the exported file's. The sets are bccd (blood cells,
        MIT; 205 + 87 + 72 images) and Azure's shelf photographs (fridge, MIT; 102 + 26).""",
        [
            Recipe(
                "bccd", "bccd", "bccd", AP, {"256 px, 40 epochs": yolo(256, 40, 8)}, parts=("validation", "test"),
                seeds=range(2), original={"side": 256, "batch": 16, "epochs": 40}, quick=QUICK_YOLO,
            ),
            Recipe(
                "fridge", "fridge", "fridge-detection", AP, FRIDGE_YOLO, seeds=range(2),
                original={"side": 256, "batch": 16, "epochs": 40}, quick=QUICK_YOLO,
            ),
        ],
    ),
    Section(
        "tiles", "What tiles gain on small objects",
        """pcb: circuit-board defects of 34 pixels in images of 640 (MIT; 300 + 110 images), at half size, 320 px. Tiles make five views
        of an image, so that training with them has a fifth of the epochs, and both have seen about as many views. The file does its own
        tiling.""",
        [
            Recipe(
                "pcb", "pcb", "pcb", AP,
                {
                    "whole images, 40 epochs": yolo(320, 40, 5),
                    "images and 2x2 tiles, 8 epochs": {**yolo(320, 8, 1), "tile_grid_size": "2x2"},
                },
                parts=("test",), quick=QUICK_YOLO,
            ),
        ],
    ),
    Section(
        "masks", "Instance segmentation",
        """Mask R-CNN on ResNet-18 from random weights, images of 256 px. Average precision is COCO's, of masks but for the last
        column of metrics. The sets are Azure's shelf photographs (fridge, MIT; 102 + 26 images) without the corner of the image that most of
        its rings begin with, a slip of whoever wrote them, and cell nuclei (Data Science Bowl 2018, CC0; 104 + 26 images of 1 to 375
        objects, every fifth to validate on), read from their masks by `trainer convert`. The known figure starts from COCO's weights,
        which were not at hand.""",
        [
            Recipe(
                "fridge", "fridge", "fridge-masks", MASK_AP, {"20 epochs": {**MASK_RCNN, "number_of_epochs": 20, "evaluation_frequency": 5}},
                seeds=range(2), known="mask AP50 .969, box .878 (ResNet-50 from COCO)", quick=QUICK_FASTER_RCNN,
            ),
            Recipe(
                "nuclei", "nuclei", "nuclei", MASK_AP,
                {"10 epochs": {**MASK_RCNN, "number_of_epochs": 10, "evaluation_frequency": 5, "box_detections_per_img": 400}},
                seeds=range(1), quick=QUICK_FASTER_RCNN,
            ),
        ],
    ),
    Section(
        "by-heart", "A few images by heart",
        "Models on ResNet-18 from random weights are trained on eight images and measured on the same eight.",
        [
            Recipe(
                "masks", "eight fridge images, Mask R-CNN", "fridge-masks", MASK_AP,
                {"60 epochs": {**MASK_RCNN, "number_of_epochs": 60, "evaluation_frequency": 5}},
                parts=("train",), by_heart=8, quick=QUICK_FASTER_RCNN,
            ),
            Recipe(
                "fridge", "eight fridge images, Faster R-CNN", "fridge-detection", AP, {"60 epochs": {**FASTER_RCNN, "number_of_epochs": 60}},
                parts=("train",), by_heart=8, quick=QUICK_FASTER_RCNN,
            ),
        ],
    ),
    Section(
        "files", "Exported files beside their checkpoint, box by box",
        """The detector of `detection/fridge`, seed 1, and the mask model of `by-heart/masks` are exported in both forms. Each file is
        asked about images, about the tiles of a grid of 2x2 of them, and about five pieces of odd sizes cut from them, 1, 3 and 8 at
        once; the first image and one among the others are empty. The checkpoint is given the pixels that the file gives its network,
        because the file's own resize rounds otherwise than the host's; how far, the export itself limits. Boxes with scores from .05 on
        need a partner of the same label. Those of the mask model without one, looked at one by one, are strips of .04 pixels at the edge
        of a tile, one of each class: the region behind them is as narrow as the least that counts, and rounding decides. Then the file that merges tiles itself is compared with the host's merge of what the file
        without tiles finds in each: in long chains of boxes that drop each other the graph decides otherwise, and a box in twenty may
        differ. Shown is the largest difference, and of masks how many pixels, pasted into the image, are the object's in one of the two
        only, though their probability is further than .001 from the threshold.""",
        [
            Recipe("fridge", "fridge", "fridge-detection", {}, FRIDGE_YOLO, seeds=(1,), quick=QUICK_YOLO),
            Recipe(
                "masks", "eight fridge images", "fridge-masks", {},
                {"60 epochs": {**MASK_RCNN, "number_of_epochs": 60, "evaluation_frequency": 5}}, seeds=(0,), by_heart=8,
                parts=("train",), quick=QUICK_FASTER_RCNN,
            ),
        ],
        files=True,
    ),
]
