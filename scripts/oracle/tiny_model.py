"""Writes the tiny models that the tests of `runtime` and `server` run.

    python scripts/oracle/tiny_model.py        (needs the PyPI package onnx; run in the project root)

Writes server/tests/fixtures/tiny_{whole,prepared,any,multilabel}.onnx, valid exports of about 2 KB each (any is a prepared one for
images of any size), and foreign.onnx, an ONNX model without Fovea's metadata. The network answers with the mean colour: logits =
mean of the red, green and blue channel / 16, then softmax (sigmoid of logit - 8 in the multi-label one). Three labels: red, green, blue. The output is small enough to
be worked out by hand, so the tests state it as a formula. Rewriting gives identical bytes.

Also writes tiny_detector_{whole,prepared,tiled}.onnx, the last a prepared one whose settings ask for 2x2 tiles. They find four
boxes at fixed places of every image (BOXES, as fractions), labelled red, green, blue and red; the scores are the image's mean
red, green, blue and half of red, each / 255. The fourth overlaps the first by 0.4 and goes when iou_threshold is below that.

And tiny_masks_{whole,prepared}.onnx, the same with masks: a disc, a ring, a diamond and a square, whose probability falls from 1
to 0 across their edge (see `patterns`). tiny_masks_pixels.onnx has the output `pixels` too, without a pixel.
"""

import json
import pathlib

from onnx import TensorProto, checker, helper

FOLDER = pathlib.Path("server/tests/fixtures")
CROP = 16
MASK_SIDE = 28


BOXES = [[0.1, 0.2, 0.5, 0.6], [0.25, 0.25, 0.75, 0.75], [0.0, 0.0, 1.0, 1.0], [0.1, 0.2, 0.5, 0.36]]


def meta(task, labels):
    return {
        "schema_version": 1,
        "task": task,
        "model_name": "tiny",
        "labels": labels,
        "preprocessing": {
            "resize": 18,
            "crop": CROP,
            "interpolation": "bilinear",
            "mean": [0.0, 0.0, 0.0],
            "std": [1.0, 1.0, 1.0],
        },
        "epoch": 1,
        "metrics": {"accuracy": 1.0},
        "settings": {},
        "weights": None,
        "versions": {"fovea": "0.1.0"},
    }


def write(name, form=None, task="image-classification", any_size=False):
    side = CROP if form == "prepared" and not any_size else None
    shape = ["n", side or "h", side or "w", 3]
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "axes"], ["mean"], keepdims=0),
        helper.make_node("Div", ["mean", "sixteen"], ["logits"]),
    ]
    constants = [
        helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2]),
        helper.make_tensor("sixteen", TensorProto.FLOAT, [], [16.0]),
    ]
    if task == "image-classification-multilabel":
        constants.append(helper.make_tensor("eight", TensorProto.FLOAT, [], [8.0]))
        nodes.append(helper.make_node("Sub", ["logits", "eight"], ["shifted"]))
        nodes.append(helper.make_node("Sigmoid", ["shifted"], ["probabilities"]))
    else:
        nodes.append(helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 3])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], producer_name="fovea", ir_version=10)
    if form:
        text = json.dumps(meta(task, ["red", "green", "blue"]), separators=(",", ":"))
        helper.set_model_props(model, {"fovea": text, "fovea.form": form})
    checker.check_model(model)
    (FOLDER / name).write_bytes(model.SerializeToString(deterministic=True))


def patterns():
    """The masks of the four boxes, row by row. Of the distance r of a part from the middle of the box, in halves of its side:
    1.3 - r; 1.25 - |r - 0.6| / 0.4; 1.4 - |x| - |y|; 1.2 - max(|x|, |y|); each cut off at 0 and 1."""
    values = []
    for shape in range(4):
        for row in range(MASK_SIDE):
            for column in range(MASK_SIDE):
                x, y = ((2 * at + 1) / MASK_SIDE - 1 for at in (column, row))
                r = (x * x + y * y) ** 0.5
                inside = [1.3 - r, 1.25 - abs(r - 0.6) / 0.4, 1.4 - abs(x) - abs(y), 1.2 - max(abs(x), abs(y))]
                values.append(min(max(inside[shape], 0.0), 1.0))
    return values


def detector(name, form, settings, masks=False, pixels=False):
    def floats(name, shape, values):
        return helper.make_tensor(name, TensorProto.FLOAT, shape, values)

    def integers(name, shape, values):
        return helper.make_tensor(name, TensorProto.INT64, shape, values)

    node = helper.make_node
    thresholds = [floats("score_threshold", [1], [0.3]), floats("iou_threshold", [1], [0.5])]
    constants = thresholds + [
        floats("all", [], [255.0]), floats("shares", [4], [1.0, 1.0, 1.0, 0.5]), floats("overlaps", [4], [0.0, 0.0, 0.0, 0.4]),
        floats("nothing", [], [-1.0]), floats("zero", [], [0.0]), floats("places", [4, 4], sum(BOXES, [])),
        integers("axes", [2], [1, 2]), integers("classes", [4], [0, 1, 2, 0]), integers("none", [], [-1]),
        integers("four", [1], [4]), integers("one", [1], [1]), integers("corners", [4], [1, 0, 1, 0]),
        integers("sides_at", [4], [2, 1, 2, 1]),
    ]
    inputs = [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", "h", "w", 3])]
    if form == "prepared":
        inputs.append(helper.make_tensor_value_info("sizes", TensorProto.INT64, ["n", 2]))
        sides = [node("Gather", ["sizes", "corners"], ["whd"], axis=1), node("Unsqueeze", ["whd", "one"], ["sides"])]
    else:
        sides = [node("Shape", ["images"], ["shape"]), node("Gather", ["shape", "sides_at"], ["sides"])]
    inputs += [helper.make_tensor_value_info(t.name, TensorProto.FLOAT, [1]) for t in thresholds]
    nodes = sides + [
        node("Cast", ["sides"], ["scale"], to=TensorProto.FLOAT),
        node("Cast", ["images"], ["levels"], to=TensorProto.FLOAT),
        node("ReduceMean", ["levels", "axes"], ["mean"], keepdims=0),
        node("Div", ["mean", "all"], ["share"]),
        node("Gather", ["share", "classes"], ["each"], axis=1),
        node("Mul", ["each", "shares"], ["certain"]),
        node("Greater", ["certain", "score_threshold"], ["above"]),
        node("GreaterOrEqual", ["iou_threshold", "overlaps"], ["apart"]),
        node("And", ["above", "apart"], ["kept"]),
        node("Where", ["kept", "certain", "nothing"], ["masked"]),
        node("TopK", ["masked", "four"], ["best", "order"], axis=-1),
        node("GreaterOrEqual", ["best", "zero"], ["real"]),
        node("Where", ["real", "best", "zero"], ["scores"]),
        node("Gather", ["classes", "order"], ["ordered"], axis=0),
        node("Where", ["real", "ordered", "none"], ["labels"]),
        node("Gather", ["places", "order"], ["fractions"], axis=0),
        node("Mul", ["fractions", "scale"], ["boxes"]),
    ]
    outputs = [
        helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["n", "d", 4]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", "d"]),
        helper.make_tensor_value_info("labels", TensorProto.INT64, ["n", "d"]),
    ]
    if masks:
        constants.append(floats("patterns", [4, MASK_SIDE, MASK_SIDE], patterns()))
        nodes.append(node("Gather", ["patterns", "order"], ["masks"], axis=0))
        outputs.append(helper.make_tensor_value_info("masks", TensorProto.FLOAT, ["n", "d", MASK_SIDE, MASK_SIDE]))
    if pixels:
        constants.append(helper.make_tensor("no", TensorProto.UINT8, [1], [0]))
        nodes.append(node("Shape", ["labels"], ["rows"]))
        nodes.append(node("Shape", ["images"], ["size"], start=1, end=3))
        nodes.append(node("Concat", ["rows", "size"], ["all_pixels"], axis=0))
        nodes.append(node("Expand", ["no", "all_pixels"], ["pixels"]))
        outputs.append(helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", "d", "h", "w"]))
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], producer_name="fovea", ir_version=10)
    about = meta("image-instance-segmentation" if masks else "image-object-detection", ["red", "green", "blue"])
    about["preprocessing"] = {"letterbox": 32, "interpolation": "bilinear", "mean": [0.0] * 3, "std": [255.0] * 3}
    about["settings"] = {"box_score_thresh": 0.3, "box_nms_thresh": 0.5, "box_detections_per_img": 100} | settings
    text = json.dumps(about, separators=(",", ":"))
    helper.set_model_props(model, {"fovea": text, "fovea.form": form})
    checker.check_model(model)
    (FOLDER / name).write_bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    write("tiny_whole.onnx", "whole")
    write("tiny_prepared.onnx", "prepared")
    write("tiny_any.onnx", "prepared", any_size=True)
    write("tiny_multilabel.onnx", "prepared", "image-classification-multilabel")
    write("foreign.onnx")
    detector("tiny_detector_whole.onnx", "whole", {})
    detector("tiny_detector_prepared.onnx", "prepared", {})
    detector("tiny_detector_tiled.onnx", "prepared", {"tile_grid_size": "2x2", "tile_overlap_ratio": 0.0})
    detector("tiny_masks_whole.onnx", "whole", {}, masks=True)
    detector("tiny_masks_prepared.onnx", "prepared", {}, masks=True)
    detector("tiny_masks_pixels.onnx", "whole", {}, masks=True, pixels=True)
