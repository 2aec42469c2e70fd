"""Writes the tiny models that the tests of `runtime` and `server` run.

    python scripts/oracle/tiny_model.py        (needs the PyPI package onnx; run in the project root)

Writes server/tests/fixtures/tiny_{whole,prepared,multilabel}.onnx, valid exports of about 2 KB each, and foreign.onnx, an ONNX
model without Fovea's metadata. The network answers with the mean colour: logits = mean of the red, green and blue channel
/ 16, then softmax (sigmoid of logit - 8 in the multi-label one). Three labels: red, green, blue. The output is small enough to
be worked out by hand, so the tests state it as a formula. Rewriting gives identical bytes.
"""

import json
import pathlib

from onnx import TensorProto, checker, helper

FOLDER = pathlib.Path("server/tests/fixtures")
CROP = 16


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


def write(name, form=None, task="image-classification"):
    side = CROP if form == "prepared" else None
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


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    write("tiny_whole.onnx", "whole")
    write("tiny_prepared.onnx", "prepared")
    write("tiny_multilabel.onnx", "prepared", "image-classification-multilabel")
    write("foreign.onnx")
