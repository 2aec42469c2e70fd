#!/usr/bin/env python3
"""Freeze the ONNX standard's own node tests for the operators behind `trait Ops`, as calls of its methods.

Run:     python3 scripts/oracle/op_cases.py --output tests/fixtures
Needs:   onnx, onnxruntime, numpy, safetensors, torch, torchvision (see scripts/parity for the versions).
Writes:  ops/OPERATOR.json: the covered cases (name, call, number of inputs and, where not 1, of outputs, tolerances of the
         standard) and, with the reason, those that are not; ops/OPERATOR.safetensors: their tensors under `CASE/input0`, ...,
         `CASE/output`, `CASE/output1`, ....

Where the standard's cases leave out something that `Ops` promises (NaN, an empty batch, groups, SAME with an odd size,
casts among its own types), cases of our own follow, named `own_*`; their expected output is the standard's reference
implementation's (onnx.reference), and ONNX Runtime agrees with it. Those of the operations that only detectors use are in
detect_cases.py; methods that become several nodes are filed under the operator that they are about, or under their own name.
"""

import argparse
import json
import os
import pathlib

# Before ONNX Runtime is imported, which otherwise reports to its maker.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy
import onnx
from onnx import TensorProto, helper
from onnx.backend.test.case.node import collect_testcases
from onnx.reference import ReferenceEvaluator
from onnxruntime import InferenceSession
from safetensors.numpy import save_file

import detect_cases

OPERATORS = [
    "Add", "Attention", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Conv", "ConvTranspose", "Div", "Dropout", "Exp", "Expand", "Flatten", "GatherND", "Gelu", "Gemm",
    "GlobalAveragePool", "GreaterOrEqual", "Identity", "LayerNormalization", "Max", "MaxPool", "Min", "Mul", "NonMaxSuppression", "OneHot", "ReduceL2", "ReduceSum",
    "Relu", "Reshape", "Resize", "RoiAlign", "Shape", "Sigmoid", "Slice", "Softmax", "Split", "Sub", "Swish", "TopK", "Transpose", "cells", "unflatten",
]
OPSET = 18
# Operators that are younger, which the exporter writes as several nodes.
OPSETS = {"Gelu": 20, "Attention": 23}
TYPES = {"float32": "f32", "uint8": "u8", "int64": "i64"}


class NotCovered(Exception):
    pass


def require(condition, reason):
    if not condition:
        raise NotCovered(reason)


def window(attributes, rank):
    """Padding and stride of a 2-D window, as Ops takes them."""
    require(rank == 4, "Ops has 2-D windows only")
    require(attributes.get("dilations", [1, 1]) == [1, 1], "Ops has no dilation")
    auto = attributes.get("auto_pad", b"NOTSET").decode()
    require(auto != "SAME_LOWER", "Ops has no SAME_LOWER")
    pads = {"SAME_UPPER": "same_upper", "VALID": [0] * 4}.get(auto, list(attributes.get("pads", [0] * 4)))
    return {"padding": pads, "stride": list(attributes.get("strides", [1, 1]))}


def call(op, attributes, inputs, outputs):
    """The method with its arguments, the tensors it takes and those it gives; raises NotCovered with the reason."""
    if op == "Split":
        equal = len(inputs) == 1 and len({numpy.shape(o) for o in outputs}) == 1
        require(equal and str(inputs[0].dtype) in TYPES, "Ops splits into equal parts")
        return {"method": "split", "axis": attributes.get("axis", 0), "parts": len(outputs)}, inputs, outputs
    found = call_of_one(op, attributes, inputs)
    return (*found, outputs[:1]) if found else call_for_detectors(op, attributes, inputs, outputs)


def call_of_one(op, attributes, inputs):
    """The method with its arguments and the tensors it takes, for operators that classifiers use too."""
    x = inputs[0]
    if op in ("Add", "Sub", "Mul"):
        require(x.dtype == numpy.float32, "Ops computes on float32")
        return {"method": op.lower()}, inputs
    if op == "BatchNormalization":
        require(not attributes.get("training_mode"), "training is the trainer's, whose running variance is unbiased (PyTorch)")
        return {"method": "batch_norm", "eps": float(numpy.float32(attributes.get("epsilon", 1e-5)))}, inputs
    if op == "Cast":
        names = {TensorProto.FLOAT: "f32", TensorProto.UINT8: "u8", TensorProto.INT64: "i64"}
        require(isinstance(x, numpy.ndarray) and str(x.dtype) in TYPES and attributes["to"] in names, "Ops has float32, uint8 and int64")
        return {"method": "cast", "to": names[attributes["to"]]}, inputs
    if op == "Clip":
        require(x.dtype == numpy.float32, "Ops computes on float32")
        lo, hi = [float(i) if i is not None else None for i in (list(inputs[1:]) + [None, None])[:2]]
        require(lo is None or hi is None or lo <= hi, "Ops refuses bounds in the wrong order")
        return {"method": "clamp", "lo": lo, "hi": hi}, [x]
    if op == "Conv":
        return {"method": "conv2d", "groups": attributes.get("group", 1), **window(attributes, x.ndim)}, inputs
    if op == "ConvTranspose":
        asked = {name: attributes[name] for name in attributes if name not in ("kernel_shape", "strides")}
        plain = {"dilations": [1, 1], "group": 1, "pads": [0, 0, 0, 0], "auto_pad": b"NOTSET", "output_padding": [0, 0]}
        require(x.ndim == 4 and all(plain.get(name) == value for name, value in asked.items()), "Ops has it in 2-D, without padding, groups and dilation")
        return {"method": "conv_transpose2d", "stride": list(attributes.get("strides", [1, 1]))}, inputs
    if op == "Dropout":
        require(len(inputs) < 3, "training is the trainer's, and random")
        ratio = float(inputs[1]) if len(inputs) == 2 else attributes.get("ratio", 0.5)
        return {"method": "dropout", "p": ratio}, [x]
    if op == "Flatten":
        return {"method": "flatten", "axis": attributes.get("axis", 1)}, inputs
    if op == "Gemm":
        require(attributes.get("alpha", 1.0) == 1.0 and attributes.get("beta", 1.0) == 1.0, "Ops has no alpha and beta")
        # Ops takes x [N, I], w [O, I], b [O]: the same numbers, laid out so beforehand.
        a = x.T if attributes.get("transA") else x
        w = inputs[1] if attributes.get("transB") else inputs[1].T
        if len(inputs) == 2:
            return {"method": "linear"}, [a, w]
        require(inputs[2].ndim < 2 or inputs[2].shape[0] == 1, "Ops adds the same bias to every row")
        return {"method": "linear"}, [a, w, numpy.broadcast_to(inputs[2].reshape(-1), (w.shape[0],))]
    if op == "GlobalAveragePool":
        return {"method": "global_avg_pool"}, inputs
    if op == "MaxPool":
        require(x.dtype == numpy.float32, "Ops computes on float32")
        call = {"method": "max_pool", "kernel": list(attributes["kernel_shape"]), "ceil": bool(attributes.get("ceil_mode", 0))}
        return {**call, **window(attributes, x.ndim)}, inputs
    if op == "AveragePool":
        counted = bool(attributes.get("count_include_pad", 0))
        call = {"method": "avg_pool", "kernel": list(attributes["kernel_shape"]), "ceil": bool(attributes.get("ceil_mode", 0))}
        call |= {"count_include_pad": counted, **window(attributes, x.ndim)}
        require(call["padding"] != "same_upper", "Ops averages over explicit padding only")
        top, left, bottom, right = call["padding"]
        half = top == bottom and left == right and 2 * top <= call["kernel"][0] and 2 * left <= call["kernel"][1]
        require(half, "Ops pads an average alike on opposite sides, by at most half the window")
        require(not (counted and call["ceil"]), "Ops counts no padding of a size that is rounded up")
        return call, inputs
    if op == "LayerNormalization":
        require(len(inputs) == 3 and attributes.get("axis", -1) in (-1, x.ndim - 1), "Ops normalises the last axis, with a shift")
        return {"method": "layer_norm", "eps": float(numpy.float32(attributes.get("epsilon", 1e-5)))}, inputs
    if op == "Gelu":
        require(attributes.get("approximate", b"none") == b"none", "Ops has the exact form only")
        return {"method": "gelu"}, inputs
    if op == "Attention":
        require(not attributes and len(inputs) == 3 and all(i.dtype == numpy.float32 and i.ndim == 4 for i in inputs), "Ops has heads of float32, without mask, cache or another scale")
        require(len({i.shape[1] for i in inputs}) == 1, "Ops has as many heads of keys as of queries")
        return {"method": "attention"}, inputs
    if op == "ReduceL2":
        axes = list(range(x.ndim)) if len(inputs) == 1 or inputs[1] is None else inputs[1].tolist()
        require(attributes.get("keepdims", 1) and axes and all(x.shape[axis] for axis in axes), "Ops keeps the axes, which are not empty")
        return {"method": "norm", "axes": axes}, [x]
    if op in ("Relu", "Sigmoid"):
        return {"method": op.lower()}, inputs
    if op == "Softmax":
        return {"method": "softmax", "axis": attributes.get("axis", -1)}, inputs
    if op == "Transpose":
        return {"method": "transpose", "perm": list(attributes.get("perm", range(x.ndim)[::-1]))}, inputs
    return None


def call_for_detectors(op, attributes, inputs, outputs):
    """The method with its arguments, the tensors it takes and those it gives."""
    x = inputs[0]
    require(isinstance(x, numpy.ndarray), "Ops has tensors only")
    if op in ("Div", "Max", "Min", "GreaterOrEqual"):
        require(len(inputs) == 2, "Ops has two operands")
        require(str(x.dtype) in ("float32", "int64"), "Ops computes on float32 and int64")
        if op == "GreaterOrEqual":
            return {"method": "at_least"}, inputs, [outputs[0].astype(numpy.float32)]
        return {"method": op.lower()}, inputs, outputs
    if op in ("Exp", "Identity", "Swish"):
        require(x.dtype == numpy.float32, "Ops computes on float32")
        require(attributes.get("alpha", 1.0) == 1.0, "Ops has no alpha")
        return {"method": {"Exp": "exp", "Identity": "detach", "Swish": "silu"}[op]}, inputs, outputs
    if op == "Concat":
        return {"method": "concat", "axis": attributes["axis"]}, inputs, outputs
    if op == "Reshape":
        require(not attributes.get("allowzero", 0), "0 copies in Ops")
        return {"method": "reshape", "shape": inputs[1].tolist()}, [x], outputs
    if op == "Slice":
        starts, ends, axes, steps = [i.tolist() if i is not None else None for i in (*inputs[1:], None, None)[:4]]
        require(len(starts) == 1 and axes and (steps or [1]) == [1], "Ops slices one axis in steps of one")
        return {"method": "slice", "axis": axes[0], "from": starts[0], "to": ends[0]}, [x], outputs
    if op == "Resize":
        rule = [attributes.get(k, d).decode() for k, d in [("mode", b"nearest"), ("coordinate_transformation_mode", b"half_pixel"), ("nearest_mode", b"round_prefer_floor")]]
        require(rule == ["nearest", "asymmetric", "floor"] and x.ndim == 4, "Ops has nearest, asymmetric, floor on images only")
        return {"method": "resize_nearest_like"}, [x, numpy.zeros(outputs[0].shape, numpy.float32)], outputs
    if op == "Shape":
        axes = list(range(x.ndim))[attributes.get("start", 0) : attributes.get("end", x.ndim)]
        return {"method": "lengths", "axes": axes}, inputs, outputs
    if op == "Expand":
        require(x.shape[0] == 1 and x.shape[1:] == outputs[0].shape[1:], "Ops repeats along the first axis")
        return {"method": "repeat"}, [x, numpy.zeros(outputs[0].shape[:1], numpy.float32)], outputs
    if op == "ReduceSum":
        require(not attributes.get("keepdims", 1) and len(inputs) == 2 and len(inputs[1]) == 1, "Ops sums one axis, which goes")
        return {"method": "sum", "axis": int(inputs[1][0])}, [x], outputs
    if op == "OneHot":
        require(False, "Ops gives float32 and zeros for what is outside")
    if op == "TopK":
        rows = x.ndim == 2 and attributes.get("axis", -1) in (1, -1) and attributes.get("largest", 1) and attributes.get("sorted", 1)
        require(rows and x.dtype == numpy.float32, "Ops has the largest of float32 rows, sorted")
        return {"method": "topk", "k": int(inputs[1][0])}, [x], outputs
    if op == "GatherND":
        require(attributes.get("batch_dims", 0) == 1 and inputs[1].ndim == 3 and inputs[1].shape[2] == 1, "Ops takes rows of each image")
        require(str(x.dtype) in TYPES, "Ops has float32, uint8 and int64")
        return {"method": "take"}, [x, inputs[1][..., 0]], outputs
    if op == "NonMaxSuppression":
        return suppression(attributes, inputs, outputs)
    if op == "RoiAlign":
        require(attributes.get("coordinate_transformation_mode", b"half_pixel") == b"output_half_pixel", "Ops aligns as Faster R-CNN does")
        require(attributes.get("mode", b"avg") == b"avg", "Ops has the mean of samples")
        require(len(x) == 1 and attributes["output_height"] == attributes["output_width"], "Ops has square bins")
        arguments = {"output": attributes["output_height"], "sampling": attributes["sampling_ratio"], "scales": [attributes["spatial_scale"]]}
        return {"method": "roi_align", **arguments, "canonical_size": 224.0, "canonical_level": 4, "first_level": 2}, [x, inputs[1][None]], outputs
    raise AssertionError(op)


def suppression(attributes, inputs, outputs):
    """NonMaxSuppression as the dense call: the selected indices, sorted and padded."""
    boxes, scores, most, iou, least = inputs
    require(not attributes.get("center_point_box", 0), "Ops has corners only")
    require((boxes[..., :2] <= boxes[..., 2:]).all(), "Ops has corners in order only")
    (n, c, b), cap = scores.shape, int(most[0])
    require(c == 1, "Ops limits images, not classes")
    d = min(cap, c * b)
    dense = [numpy.zeros((n, d), numpy.float32), numpy.full((n, d), -1, numpy.int64), numpy.zeros((n, d), numpy.int64)]
    for image in range(n):
        kept = sorted((-scores[i, j, k], j, k) for i, j, k in outputs[0] if i == image)
        for place, (negative, j, k) in enumerate(kept):
            dense[0][image, place], dense[1][image, place], dense[2][image, place] = -negative, j, k
    return {"method": "nms", "cap": cap}, [boxes, scores, iou, least], dense


def own_cases():
    """(name, operator, attributes, inputs): what the standard's cases leave out."""
    r = numpy.random.RandomState(7)
    f = lambda *shape: r.standard_normal(shape).astype(numpy.float32)
    nan, inf = float("nan"), float("inf")
    special = numpy.array([nan, inf, -inf, -0.0, 0.0, 1e-40, 3.5, -7.25], dtype=numpy.float32)
    yield "relu_nan_and_infinities", "Relu", {}, [special]
    yield "clip_infinities", "Clip", {}, [special[1:], numpy.float32(-1), numpy.float32(6)]
    yield "sigmoid_far_out", "Sigmoid", {}, [numpy.array([-200, -20, 0, 20, 200], dtype=numpy.float32)]
    yield "softmax_one_class", "Softmax", {"axis": 1}, [f(3, 1)]
    yield "softmax_empty_batch", "Softmax", {"axis": 1}, [f(0, 4)]
    yield "add_channels", "Add", {}, [f(2, 3, 4, 5), f(1, 3, 1, 1)]
    yield "sub_channels", "Sub", {}, [f(2, 3, 4, 5), f(1, 3, 1, 1)]
    yield "sub_grows", "Sub", {}, [f(1, 3, 1, 1), f(2, 3, 4, 5)]
    yield "mul_both_ways", "Mul", {}, [f(4, 1, 3), f(2, 1)]
    yield "add_empty", "Add", {}, [f(0, 3), f(1, 3)]
    yield "flatten_empty_batch", "Flatten", {"axis": 1}, [f(0, 3, 2, 2)]
    yield "transpose_image", "Transpose", {"perm": [0, 3, 1, 2]}, [r.randint(0, 256, (2, 3, 4, 3)).astype(numpy.uint8)]
    yield "cast_pixels", "Cast", {"to": TensorProto.FLOAT}, [numpy.arange(256, dtype=numpy.uint8)]
    yield "cast_truncates", "Cast", {"to": TensorProto.INT64}, [numpy.array([-2.9, -0.5, 0.5, 2.9, 1e9], dtype=numpy.float32)]
    yield "cast_to_pixels", "Cast", {"to": TensorProto.UINT8}, [numpy.array([0, 0.99, 1.5, 254.99, 255], dtype=numpy.float32)]
    yield "cast_integers", "Cast", {"to": TensorProto.FLOAT}, [numpy.array([-3, 0, 2**40], dtype=numpy.int64)]
    yield "cast_pixels_to_integers", "Cast", {"to": TensorProto.INT64}, [numpy.array([0, 128, 255], dtype=numpy.uint8)]
    yield "cast_nothing", "Cast", {"to": TensorProto.FLOAT}, [f(2, 3)]
    yield "gemm_one_row", "Gemm", {"transB": 1}, [f(1, 7), f(3, 7), f(3)]
    yield "gemm_empty_batch", "Gemm", {"transB": 1}, [f(0, 7), f(3, 7), f(3)]
    yield "conv_bias", "Conv", {}, [f(2, 3, 6, 7), f(4, 3, 3, 2), f(4)]
    yield "conv_groups", "Conv", {"group": 2, "pads": [1, 1, 1, 1]}, [f(2, 4, 5, 5), f(6, 2, 3, 3)]
    yield "conv_depthwise_stride", "Conv", {"group": 4, "strides": [2, 2], "pads": [1, 1, 1, 1]}, [f(1, 4, 7, 8), f(4, 1, 3, 3)]
    for height, width in [(7, 8), (8, 7), (1, 1), (2, 5)]:
        same = {"auto_pad": "SAME_UPPER", "strides": [2, 2]}
        yield f"conv_same_upper_{height}x{width}", "Conv", same, [f(1, 2, height, width), f(3, 2, 3, 3)]
        yield f"conv_same_upper_5x5_{height}x{width}", "Conv", {**same, "group": 2}, [f(1, 2, height, width), f(2, 1, 5, 5)]
    yield "conv_same_upper_kernel_of_one", "Conv", {"auto_pad": "SAME_UPPER"}, [f(1, 2, 3, 4), f(3, 2, 1, 1)]
    yield "conv_unequal_strides", "Conv", {"strides": [1, 2], "pads": [0, 1, 2, 0]}, [f(1, 2, 5, 6), f(2, 2, 3, 3)]
    yield "max_pool_negative_with_padding", "MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}, [-1 - abs(f(2, 3, 7, 8))]
    yield "max_pool_uneven_padding", "MaxPool", {"kernel_shape": [2, 3], "strides": [2, 1], "pads": [0, 1, 1, 0]}, [f(1, 2, 5, 4)]
    yield "max_pool_one_pixel", "MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}, [f(1, 2, 1, 1)]
    yield "max_pool_ceil_padded", "MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}, [f(1, 2, 6, 7)]
    yield "global_average_pool_odd", "GlobalAveragePool", {}, [f(2, 3, 1, 7)]
    yield "batch_norm_one_pixel", "BatchNormalization", {"epsilon": 1e-3}, [f(2, 3, 1, 1), f(3), f(3), f(3), abs(f(3))]
    pool = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    yield "average_pool_padded", "AveragePool", {**pool, "count_include_pad": 1}, [f(2, 3, 7, 8)]
    yield "average_pool_padding_uncounted", "AveragePool", pool, [f(2, 3, 7, 8)]
    yield "average_pool_ceil_odd", "AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}, [f(2, 3, 7, 5)]
    yield "average_pool_ceil_even", "AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}, [f(1, 2, 6, 4)]
    yield "average_pool_empty_batch", "AveragePool", pool, [f(0, 3, 7, 8)]
    yield "layer_norm_rows", "LayerNormalization", {"axis": -1, "epsilon": 1e-6}, [f(5, 12) * 3 + 7, f(12), f(12)]
    yield "layer_norm_constant_row", "LayerNormalization", {"axis": -1, "epsilon": 1e-6}, [numpy.full((2, 4), 3.5, numpy.float32), f(4), f(4)]
    yield "layer_norm_empty", "LayerNormalization", {"axis": -1}, [f(0, 4), f(4), f(4)]
    yield "gelu_far_out", "Gelu", {}, [numpy.array([-inf, -30, -6, -0.75, -0.0, 0.0, 1e-30, 0.75, 6, 30], dtype=numpy.float32)[1:]]
    yield "attention_one_key", "Attention", {}, [f(2, 2, 3, 4), f(2, 2, 1, 4), f(2, 2, 1, 4)]
    yield "attention_large_scores", "Attention", {}, [20 * f(1, 3, 5, 16), 20 * f(1, 3, 5, 16), f(1, 3, 5, 16)]
    yield "conv_transpose_doubles", "ConvTranspose", {"strides": [2, 2]}, [f(2, 3, 4, 5), f(3, 2, 2, 2), f(2)]
    yield "conv_transpose_overlaps", "ConvTranspose", {"strides": [1, 2]}, [f(1, 2, 3, 4), f(2, 3, 3, 3)]
    yield "conv_transpose_one_pixel", "ConvTranspose", {"strides": [2, 2]}, [f(1, 4, 1, 1), f(4, 1, 2, 2), f(1)]
    yield "conv_transpose_empty_batch", "ConvTranspose", {"strides": [2, 2]}, [f(0, 3, 2, 2), f(3, 2, 2, 2), f(2)]
    maps = numpy.array([2, 3], dtype=numpy.int64)
    yield "reduce_l2_maps", "ReduceL2", {"keepdims": 1}, [f(2, 3, 4, 5), maps]
    yield "reduce_l2_zeros", "ReduceL2", {"keepdims": 1}, [numpy.zeros((1, 2, 3, 3), numpy.float32), maps]
    yield "reduce_l2_empty_batch", "ReduceL2", {"keepdims": 1}, [f(0, 3, 2, 2), maps]


def expected(op, attributes, inputs):
    names = [f"i{i}" for i in range(len(inputs))]
    types = [helper.np_dtype_to_tensor_dtype(numpy.asarray(i).dtype) for i in inputs]
    graph = helper.make_graph(
        [helper.make_node(op, names, ["y"], **attributes)],
        "case",
        [helper.make_tensor_value_info(n, t, numpy.shape(i)) for n, t, i in zip(names, types, inputs)],
        [helper.make_empty_tensor_value_info("y")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSETS.get(op, OPSET))])
    feeds = {n: numpy.asarray(i) for n, i in zip(names, inputs)}
    model.ir_version = 10
    second = InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, feeds)[0]
    if second.size == 0:
        return second  # the reference implementation cannot flatten or average an empty batch
    first = ReferenceEvaluator(model).run(None, feeds)[0]
    assert first.shape == second.shape and first.dtype == second.dtype, (op, attributes, first.shape, second.shape)
    numpy.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-6, err_msg=f"{op} {attributes}")
    return first


def standard_cases():
    for case in collect_testcases(None):
        if case.model is None or case.name.endswith("_expanded") or not case.data_sets:
            continue
        nodes = case.model.graph.node
        if len(nodes) == 1 and nodes[0].op_type in OPERATORS:
            attributes = {a.name: helper.get_attribute_value(a) for a in nodes[0].attribute}
            inputs, outputs = case.data_sets[0]
            # An operand that a case leaves out has an empty name.
            given = iter(inputs)
            inputs = [next(given) if name else None for name in nodes[0].input]
            yield case.name.removeprefix("test_"), nodes[0].op_type, attributes, inputs, outputs, (case.rtol, case.atol)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", required=True, type=pathlib.Path, help="fixture folder")
    folder = parser.parse_args().output / "ops"
    folder.mkdir(parents=True, exist_ok=True)
    found = {op: {"cases": [], "not_covered": []} for op in OPERATORS}
    tensors = {op: {} for op in OPERATORS}

    def add(name, op, arguments, inputs, outputs, tolerances):
        assert f"{name}/output" not in tensors[op], f"two cases are called {name}"
        arrays = {f"{name}/input{i}": v for i, v in enumerate(inputs)} | {f"{name}/output{i or ''}": v for i, v in enumerate(outputs)}
        assert all(str(numpy.asarray(v).dtype) in TYPES for v in arrays.values()), name
        tensors[op] |= {key: numpy.asarray(v, order="C") for key, v in arrays.items()}
        rtol, atol = tolerances
        several = {"outputs": len(outputs)} if len(outputs) > 1 else {}
        found[op]["cases"].append({"name": name, "call": arguments, "inputs": len(inputs), **several, "rtol": rtol, "atol": atol})

    def add_node(name, op, attributes, inputs, outputs, tolerances):
        try:
            case = call(op, attributes, inputs, outputs)
        except NotCovered as reason:
            found[op]["not_covered"].append({"name": name, "reason": str(reason)})
            return
        add(name, op, *case, tolerances)

    for case in standard_cases():
        add_node(*case)
    for name, op, attributes, inputs in own_cases():
        encoded = {k: v.encode() if isinstance(v, str) else v for k, v in attributes.items()}
        add_node(f"own_{name}", op, encoded, inputs, [expected(op, attributes, inputs)], (1e-3, 1e-7))
    for name, op, arguments, inputs, outputs in detect_cases.cases():
        add(f"own_{name}", op, arguments, inputs, outputs, (1e-4, 1e-6))
    for op in OPERATORS:
        text = {"operator": op, "source": f"node tests of onnx {onnx.__version__}", **found[op]}
        (folder / f"{op}.json").write_text(dump(text))
        save_file(tensors[op], folder / f"{op}.safetensors")
        print(f"{op}: {len(found[op]['cases'])} cases, {len(found[op]['not_covered'])} not covered")


def dump(text):
    """JSON with one case a line."""
    lines = ["{", f' "operator": {json.dumps(text["operator"])},', f' "source": {json.dumps(text["source"])},']
    for part in ("cases", "not_covered"):
        items = ",\n".join(f"  {json.dumps(item)}" for item in text[part])
        lines.append(f' "{part}": [\n{items}\n ]' if items else f' "{part}": []')
        lines[-1] += "," if part == "cases" else ""
    return "\n".join([*lines, "}"]) + "\n"


if __name__ == "__main__":
    main()
