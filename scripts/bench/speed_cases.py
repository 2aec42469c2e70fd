"""The table of speed benchmarks: what is compared, how our side and the peer's are run, and in which unit.

A `Group` is a section of docs/speed.md: one kind of work, and one pair of programs. Its cases are the rows, each with its own
parameters. A command is a list of parts in which {name} is filled in from the case's parameters, from what `prepare` returned, or from
the place (programs, peers, python, threads). What it prints last is one JSON object: numbers, or lists of them, by name.

To add a case, add a row. To add another kind of work, add a group and, below peers/, the peer's side.
"""

import dataclasses
import json
import shutil
import statistics
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from place import listing, rows
from recipe_table import FASTER_RCNN, YOLO, flags


@dataclasses.dataclass(frozen=True)
class Case:
    """One row: its name within the group, what the first columns of the table say of it, and its parameters."""

    name: str
    columns: Dict[str, str]
    parameters: Dict[str, object] = dataclasses.field(default_factory=dict)
    # What both sides print besides and must agree on, so that both do the same work: each with the largest difference, relative to the
    # peer's value where that is above 1.
    agree: Dict[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Shown:
    """A number that is printed and recorded beside what is compared; of the peer too where `both`."""

    key: str
    title: str
    both: bool = False
    # A share, shown in percent.
    share: bool = False


def answer(finished, _folder):
    """What a program printed in its last line."""
    return finished.answer()


@dataclasses.dataclass(frozen=True)
class Group:
    """One kind of work. `better` is 'less' for times and 'more' for rates; the ratio is ours / peer, whatever the unit."""

    name: str
    title: str
    compares: str
    unit: str
    better: str
    ours: Sequence[str]
    cases: Sequence[Case]
    # By key in what the programs print: how the table calls it, empty where there is only one.
    measures: Dict[str, str]
    # No peer: only our side is measured.
    peer: Optional[Sequence[str]] = None
    peer_name: str = "PyTorch"
    prepare: Optional[Callable] = None
    # Our side's numbers, from a finished program and the folder it wrote to.
    read: Callable = answer
    # The first numbers of a list that do not count.
    warm_up: int = 0
    # Images of one unit of work, by parameter, for the columns of images a second; None leaves them out.
    images: Optional[str] = None
    shown: Sequence[Shown] = ()
    # Parameters that show in seconds whether the benchmark works.
    quick: Dict[str, object] = dataclasses.field(default_factory=dict)


def prepared_by_peer(place, words):
    """What the peer writes for both sides to read."""
    place.run(["{python}", "{peers}/{program}", "prepare", *words["case"], "{folder}"], words)
    return {}


def classification_rows(place, words):
    return {"listing": listing(place.dataset(words["data"])["train"])}


def many_rows(_place, words):
    """A JSONL file of rows whose images nobody opens."""
    path = words["folder"] / "rows.jsonl"
    with path.open("w", encoding="utf-8") as out:
        for index in range(words["rows"]):
            out.write(json.dumps({"image_url": f"images/{index % 100}/{index}.jpg", "label": f"class {index % 100}"}) + "\n")
    return {"listing": path}


def yolo_folder(place, words):
    """Rows for us, and the same as a dataset of YOLO for the original."""
    parts = place.dataset(words["data"])
    chosen = [listing(parts[part]) for part in ("train", "validation")]
    place.trainer("convert", "jsonl", *chosen, "--to", "yolo", "--output", words["folder"] / "yolo")
    return {"train": chosen[0], "validation": chosen[1], "yolo": words["folder"] / "yolo/data.yaml"}


def trained_detector(place, words):
    """A detector that was trained for a few epochs, and about `images` copies of the images it is evaluated on."""
    parts = place.dataset(words["data"])
    run = words["folder"] / "trained"
    place.trainer(
        "train", "--recipe", "specification", "--training_data", parts["train"], "--validation_data", parts["validation"],
        *flags(words["training"]),
        "--number_of_epochs", words["epochs"], "--export", "none", "--output", run,
    )
    (words["folder"] / "copies").mkdir()
    found = list(rows(parts.get("test", parts["validation"])))
    lines = []
    for copy in range(max(1, round(words["images"] / len(found)))):
        for index, (path, row) in enumerate(found):
            name = f"{copy}-{index}{path.suffix}"
            shutil.copyfile(path, words["folder"] / "copies" / name)
            lines.append(json.dumps({**row, "image_url": name}))
    data = words["folder"] / "copies/data.jsonl"
    data.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {"run": run, "listing": data, "count": len(lines), "weights": run / "checkpoints/best/model.safetensors"}


def epochs(_finished, folder):
    """Milliseconds an image and seconds of each epoch of a training, and the share of waiting for data after the first."""
    run = folder / "run"
    timing = [json.loads(line)["timing"] for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    # What is held back for validation is not trained on, so sides are compared by the image.
    images = len((run / "data/train.jsonl").read_text(encoding="utf-8").splitlines())
    waits = sum(epoch["data_wait_seconds"] for epoch in timing[1:]) / sum(epoch["seconds"] for epoch in timing[1:])
    seconds = [epoch["seconds"] for epoch in timing]
    shutil.rmtree(run)
    return {"epoch": seconds, "image": [1e3 * each / images for each in seconds], "wait": waits}


def evaluation(finished, folder):
    """Images a second of the whole program, and what it measured."""
    metrics = finished.answer()["metrics"]
    images = len((folder / "copies/data.jsonl").read_text(encoding="utf-8").splitlines())
    return {"images": images / finished.seconds, "AP50:95": metrics["ap50_95"], "AP50": metrics["ap50"]}


def operations(finished, _folder):
    """Times and sums of results of operations that are printed by name."""
    answers = finished.answer()
    times = {name: found["milliseconds"] for name, found in answers.items()}
    return {**times, **{f"sum of {name}": found["sum"] for name, found in answers.items()}}


CLASSIFIERS = {
    "resnet18": "ResNet-18", "resnet50": "ResNet-50", "mobilenetv2": "MobileNetV2",
    "efficientnet_lite0": "EfficientNet-Lite0 (peer: timm)", "resnest50": "ResNeSt-50 (peer: timm)",
    "seresnext": "SE-ResNeXt-50 (peer: timm)", "vits16r224": "ViT-S/16 (peer: timm)",
}
PRECISIONS = ("fp32", "bf16")


def classifier_steps():
    for model, title in CLASSIFIERS.items():
        for precision in PRECISIONS:
            # PyTorch in the layout it is faster in: ResNeSt's is the default one in bf16, too.
            layout = "contiguous" if precision == "fp32" or model == "resnest50" else "channels_last"
            yield Case(
                f"{model}/{precision}", {"model": title, "precision": precision},
                {"model": model, "precision": precision, "layout": layout},
            )


def classifier_epochs():
    chosen = [("fridge", model, precision) for model in ("mobilenetv2", "resnet18") for precision in PRECISIONS]
    for data, model, precision in [*chosen, ("clothing", "mobilenetv2", "fp32"), ("clothing", "resnet18", "bf16")]:
        yield Case(
            f"{data}/{model}/{precision}", {"images": data, "model": CLASSIFIERS[model], "precision": precision},
            {"data": data, "model": model, "precision": precision},
        )


def detector_steps():
    for model, title, size, batch in [
        ("yolov5s", "yolov5s", "320x320", 4), ("yolov5s", "yolov5s", "640x640", 4),
        ("fasterrcnn_resnet50_fpn", "Faster R-CNN ResNet-50", "600x800", 2),
        ("retinanet_resnet50_fpn", "RetinaNet ResNet-50", "600x800", 2),
        ("maskrcnn_resnet50_fpn", "Mask R-CNN ResNet-50", "600x800", 2),
    ]:
        for precision in PRECISIONS:
            # An R-CNN draws its samples, each side its own.
            agree = {} if "rcnn" in model else {"loss": 1e-3 if precision == "fp32" else 0.03}
            yield Case(
                f"{model}/{size}/{precision}", {"model": title, "size, batch": f"{size}, {batch}", "precision": precision},
                {
                    "model": model, "size": size, "batch": batch, "precision": precision, "program": "detector_step.py",
                    "case": ["{model}", "{size}", "{batch}"], "layout": "contiguous" if precision == "fp32" else "channels_last",
                },
                agree,
            )


STEP_OF_A_DETECTOR = dict(
    ours=[
        "{programs}/examples/bench", "detector-step", "{model}", "{size}", "{batch}", "{precision}", "channels_last", "{steps}", "{threads}",
        "{folder}",
    ],
    peer=[
        "{python}", "{peers}/detector_step.py", "{model}", "{size}", "{batch}", "{precision}", "{layout}", "{steps}", "{threads}", "{folder}",
    ],
    prepare=prepared_by_peer, quick={"size": "96x96", "batch": 2, "steps": 3},
)
EVALUATION_OF_MASKS = dict(
    ours=["{programs}/examples/bench", "mask-evaluation", "{size}", "{folder}"],
    prepare=prepared_by_peer, quick={"images": 2, "objects": 5}, shown=[Shown("AP50:95", "AP50:95", both=True)],
)


def mask_evaluation(size, images, objects, agree):
    return Case(
        f"{size}/{images}x{objects}", {"size": size, "images": str(images), "objects each": str(objects)},
        {"size": size, "images": images, "objects": objects, "program": "mask_evaluation.py", "case": ["{images}", "{objects}", "{size}"]},
        agree,
    )


OPERATIONS = [f"roi_align {layout}{gradient}" for layout in ("contiguous", "channels_last") for gradient in ("", " with gradient")]
OPERATIONS += [f"nms {name}" for name in ("proposals", "detections", "crowded")]

GROUPS: List[Group] = [
    Group(
        name="classifier-step",
        title="Training steps of classifiers",
        compares="""One step beside PyTorch eager: same machine, libtorch and threads, in turn, batch 16 at 224 pixels, 1000 classes, SGD
            with Nesterov momentum; uint8 pixels in, normalisation and optimizer step included. The median after two steps counts. Ours
            is in the trainer's memory layout. PyTorch is in its default layout in fp32 and, with autocast on both sides, in
            channels-last in bf16 (ResNeSt, which is slower in it, in the default one).""",
        unit="ms", better="less", measures={"step": ""}, warm_up=2, images="batch",
        ours=["{programs}/examples/bench", "classifier-step", "{model}", "{batch}", "{precision}", "preferred", "{steps}", "{threads}"],
        peer=["{python}", "{peers}/classifier_step.py", "{model}", "{batch}", "{precision}", "{layout}", "{steps}", "{threads}"],
        cases=[dataclasses.replace(case, parameters={"batch": 16, "steps": 6, **case.parameters}) for case in classifier_steps()],
        quick={"batch": 2, "steps": 3},
    ),
    Group(
        name="classifier-epoch",
        title="An epoch of a classifier with its data",
        compares="""A training from files, with random crops of 224 pixels, flips and colours: `trainer train` with its default loader
            beside a torchvision script with a DataLoader of two processes. Same model, batch and optimizer, from random weights. The
            first epoch of each is left out, and so is validation.""",
        unit="ms/image", better="less", measures={"image": ""}, warm_up=1, images="one",
        ours=[
            "{programs}/trainer", "train", "--recipe", "specification", "--training_data", "{listing}", "--model_name", "{model}",
            "--pretrained", "none",
            "--optimizer", "sgd", "--learning_rate", "0.01", "--training_batch_size", "{batch}", "--number_of_epochs", "{epochs}",
            "--evaluation_frequency", "{epochs}", "--early_stopping", "false", "--export", "none", "--precision", "{precision}",
            "--threads", "{threads}", "--output", "{folder}/run",
        ],
        peer=["{python}", "{peers}/classifier_epoch.py", "{model}", "{batch}", "{precision}", "{epochs}", "{threads}", "{listing}"],
        prepare=classification_rows, read=epochs, shown=[Shown("wait", "our wait for data", share=True)],
        cases=[
            dataclasses.replace(case, parameters={"batch": 16, "epochs": 3, "one": 1, **case.parameters}) for case in classifier_epochs()
        ],
        quick={"batch": 4, "epochs": 2},
    ),
    Group(
        name="detector-step",
        title="Training steps of detectors",
        compares="""As for classifiers, with 80 classes and 8 boxes an image. The peers are the original yolov5 7.0.14 and torchvision's
            detectors with their own assignment and losses, on the same pixels, boxes and initial weights. The losses of the first step
            have to agree (within .001 in fp32, .03 in bf16), but for those of R-CNNs, which draw their samples. For Mask R-CNN each object
            is an ellipse; torchvision is given whole masks, which its references make of annotations, ours the polygons.""",
        unit="ms", better="less", measures={"step": ""}, warm_up=2, images="batch", peer_name="PyTorch",
        shown=[Shown("loss", "loss", both=True)],
        cases=[dataclasses.replace(case, parameters={"steps": 6, **case.parameters}) for case in detector_steps()],
        **STEP_OF_A_DETECTOR,
    ),
    Group(
        name="detector-step-memory",
        title="Memory of training steps of detectors",
        compares="""The most resident memory of the whole process in the steps above, libraries and the Python of the peer included.""",
        unit="MB", better="less", measures={"peak": ""}, peer_name="PyTorch",
        cases=[
            dataclasses.replace(case, parameters={"steps": 3, **case.parameters}, agree={})
            for case in detector_steps() if "rcnn" in case.parameters["model"]
        ],
        **STEP_OF_A_DETECTOR,
    ),
    Group(
        name="detector-epoch",
        title="An epoch of a detector with its data",
        compares="""A training of yolov5s from files beside the original package's own, by the same recipe from random weights: 256
            pixels, batch 16, mosaics and colours, images cached by both. The first epoch of each, which fills the caches, is left out,
            and so is validation. As it comes, ours takes bf16 where the processor multiplies it; the original trains in fp32.""",
        unit="s", better="less", measures={"epoch": ""}, warm_up=1, peer_name="original",
        ours=[
            "{programs}/trainer", "train", "--recipe", "specification", "--training_data", "{train}", "--validation_data", "{validation}", *flags(YOLO),
            "--img_size", "{side}", "--number_of_epochs", "{epochs}", "--warmup_cosine_lr_warmup_epochs", "1", "--export", "none",
            "--precision", "{precision}", "--threads", "{threads}", "--output", "{folder}/run",
        ],
        peer=["{python}", "{peers}/detector_epoch.py", "{yolo}", "{side}", "16", "{epochs}", "{threads}"],
        prepare=yolo_folder, read=epochs, shown=[Shown("wait", "our wait for data", share=True)],
        cases=[
            Case(
                f"bccd/{precision}", {"images": "bccd", "precision": title},
                {"data": "bccd", "precision": precision, "side": 256, "epochs": 4},
            )
            for precision, title in [("auto", "as it comes"), ("fp32", "fp32 both")]
        ],
        quick={"side": 64, "epochs": 2},
    ),
    Group(
        name="detector-evaluation",
        title="Evaluation of detectors",
        compares="""From files to COCO's numbers, fp32 both. Both sides use the weights that our trainer has made, and images that are
            copied until there are about 200. Of ours the whole `trainer evaluate` counts: starting, checking the data, predicting,
            NMS and metrics; of the original only loading, predicting, NMS and metrics, after its imports and after the network is
            built.""",
        unit="images/s", better="more", measures={"images": ""}, peer_name="original",
        ours=["{programs}/trainer", "evaluate", "--checkpoint", "{run}", "--data", "{listing}", "--batch_size", "{batch}", "--json"],
        peer=["{python}", "{peers}/detector_evaluation.py", "{model}", "{side}", "{batch}", "{threads}", "{listing}", "{weights}"],
        prepare=trained_detector, read=evaluation,
        shown=[Shown("AP50:95", "AP50:95", both=True), Shown("AP50", "AP50", both=True)],
        cases=[
            Case(
                "yolov5s/256", {"model": "yolov5s", "size, batch": "256, 16"},
                {
                    "model": "yolov5s", "side": 256, "batch": 16, "data": "bccd", "images": 200, "epochs": 10,
                    "training": {**YOLO, "img_size": 256, "warmup_cosine_lr_warmup_epochs": 3},
                },
            ),
            Case(
                "fasterrcnn_resnet18_fpn/256", {"model": "Faster R-CNN ResNet-18", "size, batch": "256, 2"},
                {
                    "model": "fasterrcnn_resnet18_fpn", "side": 256, "batch": 2, "data": "fridge-detection", "images": 64, "epochs": 3,
                    "training": FASTER_RCNN,
                },
            ),
        ],
        quick={"epochs": 1, "images": 8, "training": {**YOLO, "img_size": 256}},
    ),
    Group(
        name="mask-evaluation",
        title="Evaluation of masks",
        compares="""From boxes, scores and masks of 28 x 28 probabilities beside true polygons to COCO's numbers, without network and files:
            torchvision pastes the masks, and pycocotools encodes and evaluates them, as torchvision's references do it. Ours measures
            everything that a report has of masks and boxes. AP50:95 and AP50 have to agree within .0001.""",
        unit="s", better="less", measures={"evaluation": ""}, peer_name="pycocotools",
        peer=["{python}", "{peers}/mask_evaluation.py", "{size}", "{threads}", "{folder}"],
        cases=[mask_evaluation("480x640", 200, 100, {"AP50:95": 1e-4, "AP50": 1e-4})], **EVALUATION_OF_MASKS,
    ),
    Group(
        name="mask-evaluation-memory",
        title="Memory of an evaluation of masks",
        compares="""The most resident memory of our process in such an evaluation of one large image. No peer: torchvision pastes all masks of an
            image at once, 17 GB of this one.""",
        unit="MB", better="less", measures={"peak": ""}, cases=[mask_evaluation("2160x3840", 1, 500, {})], **EVALUATION_OF_MASKS,
    ),
    Group(
        name="classifier-loader",
        title="The loader of classifiers",
        compares="""Read, decode, random crop, resize, flip and normalise on one core with nothing cached, beside torchvision with
            Pillow. The first pass over the images warms the file cache and does not count.""",
        unit="images/s", better="more", peer_name="torchvision",
        measures={"images": "by the clock", "images, by processor time": "by processor time"},
        ours=["{programs}/examples/bench", "classifier-loader", "{listing}", "{passes}", "0"],
        peer=["{python}", "{peers}/classifier_loader.py", "{listing}", "{passes}"],
        prepare=classification_rows,
        cases=[Case("fridge", {"images": "fridge"}, {"data": "fridge", "passes": 5, "threads": 1})],
        # Processor time is counted in steps of 10 ms, which one pass over a few small images may not reach.
        quick={"passes": 20},
    ),
    Group(
        name="detector-loader",
        title="The loader of detectors",
        compares="""The views of YOLO: mosaics of four images at 640 pixels, scale, shift, flip, hue, saturation and value, one worker
            beside OpenCV on one thread; once with every image decoded anew, and once with the images in memory.""",
        unit="views/s", better="more", peer_name="OpenCV",
        measures={
            f"{kind}{how}": f"{title}, {words}" for kind, title in [("decoded", "every image decoded"), ("in memory", "images in memory")]
            for how, words in [("", "by the clock"), (", by processor time", "by processor time")]
        },
        ours=["{programs}/examples/bench", "detector-loader", "{listing}", "{passes}", "1"],
        peer=["{python}", "{peers}/detector_loader.py", "{listing}", "{passes}"],
        prepare=classification_rows,
        cases=[Case("bccd", {"images": "bccd"}, {"data": "bccd", "passes": 3, "threads": 1})],
        quick={"passes": 1},
    ),
    Group(
        name="operations",
        title="Operations of detectors",
        compares="""RoIAlign on 512 rois of each of 2 images of 608 x 800 pixels (256 channels, 4 levels, 7 x 7 bins of 2 x 2 samples),
            and NMS of proposals (4 images of 1,000 boxes in one class at IoU 0.7), detections (8 images of 25,200 boxes in 3 classes of
            which about 300 pass the threshold) and a crowd (2 images of 25,200 boxes of which about 6,000 pass), filtering included.
            The sums of the results have to agree within 0.01 %.""",
        unit="ms", better="less", peer_name="torchvision", measures={name: name for name in OPERATIONS}, read=operations,
        ours=["{programs}/examples/vision_ops", "{folder}", "{threads}", "{rounds}"],
        peer=["{python}", "{peers}/vision_ops.py", "{folder}", "{threads}", "{rounds}"],
        prepare=prepared_by_peer,
        cases=[
            Case("all", {}, {"rounds": 10, "program": "vision_ops.py", "case": []}, {f"sum of {name}": 1e-4 for name in OPERATIONS}),
        ],
        quick={"rounds": 1},
    ),
    Group(
        name="rows",
        title="Opening rows",
        compares="Reading a JSONL file and counting its classes; memory is what is taken above the program's own. No peer.",
        unit="ms", better="less", measures={"opening": ""}, shown=[Shown("memory", "memory, MB"), Shown("text", "file, MB")],
        ours=["{programs}/examples/bench", "rows", "{listing}"],
        prepare=many_rows,
        cases=[Case("million", {"rows": "1,000,000"}, {"rows": 1_000_000})],
        quick={"rows": 1000},
    ),
    Group(
        name="memory",
        title="Memory of a training",
        compares="""Resident memory of a training of EfficientNet-Lite0 at 64 pixels on generated images: the slope over the second half
            of the epochs, which has to be none, and the memory at the end. No peer.""",
        unit="MiB an epoch", better="less", measures={"slope": ""}, shown=[Shown("resident", "memory, MiB")],
        ours=["{this_python}", "{bench}/memory.py", "{programs}/trainer", "{epochs}"],
        cases=[Case("fifty-epochs", {"epochs": "50"}, {"epochs": 50})],
        quick={"epochs": 4},
    ),
]


def all_cases() -> List[Tuple[str, Group, Case]]:
    """Every case with its full name."""
    return [(f"{group.name}/{case.name}", group, case) for group in GROUPS for case in group.cases]


def median(values, warm_up=0):
    """A number, or the median of a list of them after the first few."""
    if not isinstance(values, list):
        return float(values)
    return statistics.median(values[min(warm_up, len(values) - 1):])
