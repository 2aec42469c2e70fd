"""Cases of our own for the operations that detectors are written in, and of the others for those that give several tensors or
nothing: (name, operator, call, inputs, outputs).

Most outputs are plain NumPy. Suppression is written out here, in float32, with the order of ties that `Ops::nms` promises, and its
sets are compared with torchvision's `batched_nms`; pooled regions are torchvision's `MultiScaleRoIAlign`.
"""

import numpy
import torch
from torchvision.ops import MultiScaleRoIAlign, batched_nms

END = 2**63 - 1


def floats(*values):
    return numpy.array(values, dtype=numpy.float32)


def ints(*values):
    return numpy.array(values, dtype=numpy.int64)


def cases():
    r = numpy.random.RandomState(11)
    for kind in (pointwise, shapes, lookups, suppression, regions):
        yield from kind(r)
    yield from parts(numpy.random.RandomState(13))
    yield from unflattened(numpy.random.RandomState(17))


def unflattened(r):
    f = lambda *shape: r.standard_normal(shape).astype(numpy.float32)
    for shape, like in [((6, 4), (2, 3, 7)), ((6,), (3, 2)), ((0, 2, 2), (0, 5)), ((0, 2), (4, 0, 1)), ((5, 1, 2), (1, 5))]:
        x, name = f(*shape), "x".join(map(str, shape)) + "_like_" + "x".join(map(str, like))
        yield f"unflatten_{name}", "unflatten", {"method": "unflatten"}, [x, f(*like)], [x.reshape(*like[:2], *shape[1:])]


def pointwise(r):
    f = lambda *shape: r.standard_normal(shape).astype(numpy.float32)
    for name, x in [("far_out", floats(-200, -20, -1, 0, 1, 20, 80)), ("image", f(2, 3, 4, 5)), ("empty", f(0, 3))]:
        wide = x.astype(numpy.float64)
        yield f"swish_{name}", "Swish", {"method": "silu"}, [x], [(wide / (1 + numpy.exp(-wide))).astype(numpy.float32)]
    x = floats(-100, -1, 0, 1, 50)
    yield "exp_far_out", "Exp", {"method": "exp"}, [x], [numpy.exp(x)]
    a, b = ints(7, -7, 7, -7, 6, 0), ints(2, 2, -2, -2, 3, 5)
    yield "div_integers_truncate", "Div", {"method": "div"}, [a, b], [ints(3, -3, -3, 3, 2, 0)]
    yield "div_empty", "Div", {"method": "div"}, [f(0, 3), f(3)], [f(0, 3)]
    yield "add_integers", "Add", {"method": "add"}, [ints([1], [2]), ints(10, 20)], [ints([11, 21], [12, 22])]
    yield "mul_integers", "Mul", {"method": "mul"}, [ints([1], [2]), ints(10, 20)], [ints([10, 20], [20, 40])]
    a, b = f(4, 1, 3), f(2, 1)
    yield "max_both_ways", "Max", {"method": "max"}, [a, b], [numpy.maximum(a, b)]
    yield "min_both_ways", "Min", {"method": "min"}, [a, b], [numpy.minimum(a, b)]
    a, b = ints(3, -5, 2**40), ints([4], [-6])
    yield "max_integers", "Max", {"method": "max"}, [a, b], [numpy.maximum(a, b)]
    yield "min_integers", "Min", {"method": "min"}, [a, b], [numpy.minimum(a, b)]
    nan = float("nan")
    a, b = floats(1, 2, nan, 0.0, nan, float("inf")), floats(2, 1, 1, -0.0, nan, float("inf"))
    yield "at_least_nan_and_zeros", "GreaterOrEqual", {"method": "at_least"}, [a, b], [floats(0, 1, 0, 1, 0, 1)]
    yield "max_nan_wins", "Max", {"method": "max"}, [floats(1, nan), floats(nan, 1)], [floats(nan, nan)]
    yield "min_nan_wins", "Min", {"method": "min"}, [floats(1, nan), floats(nan, 1)], [floats(nan, nan)]
    a, b = ints(1, 2, 3), ints([2], [3])
    yield "at_least_integers", "GreaterOrEqual", {"method": "at_least"}, [a, b], [(a >= b).astype(numpy.float32)]
    yield "at_least_empty", "GreaterOrEqual", {"method": "at_least"}, [f(0, 1), f(3)], [f(0, 3)]


def shapes(r):
    f = lambda *shape: r.standard_normal(shape).astype(numpy.float32)
    a, b, c = f(2, 3, 4, 5), f(2, 1, 4, 5), f(2, 0, 4, 5)
    yield "concat_channels", "Concat", {"method": "concat", "axis": 1}, [a, b, c], [numpy.concatenate([a, b], 1)]
    yield "concat_one", "Concat", {"method": "concat", "axis": -1}, [a], [a]
    yield "concat_integers", "Concat", {"method": "concat", "axis": 0}, [ints(1, 2), ints(3)], [ints(1, 2, 3)]
    yield "concat_empty_batch", "Concat", {"method": "concat", "axis": 1}, [f(0, 2), f(0, 3)], [f(0, 5)]
    for shape, wanted, out in [
        ((2, 6, 4, 5), (0, 3, 2, -1), (2, 3, 2, 20)), ((0, 6, 4, 5), (0, 3, 2, -1), (0, 3, 2, 20)), ((2, 3, 4), (-1, 4), (6, 4)),
        ((2, 0, 4), (-1, 4), (0, 4)), ((0, 3, 4), (-1, 4), (0, 4)), ((2, 0, 4), (0, 0, 2, -1), (2, 0, 2, 2)), ((4, 3, 0), (0, -1), (4, 0)),
        ((0, 0, 4), (0, -1, 4), (0, 0, 4)), ((2, 3), (1, 6, 1), (1, 6, 1)), ((1, 1), (-1,), (1,)), ((2, 3, 4), (0, 0, 0), (2, 3, 4)),
        ((2, 3, 4), (0, 12), (2, 12)),
    ]:
        name = "reshape_" + "x".join(map(str, shape)) + "_as_" + "x".join(map(str, wanted)).replace("-1", "rest")
        x = f(*shape)
        yield name, "Reshape", {"method": "reshape", "shape": list(wanted)}, [x], [x.reshape(out)]
    x = f(3, 5, 4)
    for axis, start, stop in [(1, 0, END), (1, 1, -1), (-1, -2, END), (1, 4, 2), (0, -9, 2), (2, 7, 9), (1, 2, 3)]:
        part = numpy.moveaxis(numpy.moveaxis(x, axis, 0)[start : min(stop, 10**6)], 0, axis)
        yield f"slice_{axis}_{start}_{min(stop, 99)}", "Slice", {"method": "slice", "axis": axis, "from": start, "to": stop}, [x], [part]
    x = f(0, 5)
    yield "slice_empty_batch", "Slice", {"method": "slice", "axis": 1, "from": 1, "to": 3}, [x], [x[:, 1:3]]
    yield "slice_integers", "Slice", {"method": "slice", "axis": 0, "from": 1, "to": END}, [ints(1, 2, 3)], [ints(2, 3)]
    for (h, w), (new_h, new_w) in [((2, 3), (4, 6)), ((3, 4), (5, 7)), ((4, 6), (2, 3)), ((5, 5), (5, 5)), ((13, 7), (25, 13)), ((1, 2), (3, 3))]:
        x, like = f(2, 3, h, w), f(1, 2, new_h, new_w)
        rows, columns = [numpy.arange(new) * old // new for old, new in [(h, new_h), (w, new_w)]]
        name = f"resize_nearest_{h}x{w}_to_{new_h}x{new_w}"
        yield name, "Resize", {"method": "resize_nearest_like"}, [x, like], [x[:, :, rows][:, :, :, columns]]
    yield "resize_nearest_empty_batch", "Resize", {"method": "resize_nearest_like"}, [f(0, 3, 2, 2), f(0, 1, 4, 4)], [f(0, 3, 4, 4)]
    for shape in [(1, 2, 2, 3), (3, 1, 1, 1), (0, 4, 3, 2), (1, 1, 0, 4), (1, 1, 4, 0)]:
        rows, columns = numpy.divmod(numpy.arange(shape[2] * shape[3]), max(shape[3], 1))
        grid = numpy.stack([columns, rows], 1).astype(numpy.float32)
        yield "cells_" + "x".join(map(str, shape)), "cells", {"method": "cells"}, [f(*shape)], [grid]
    for shape, axes in [((2, 3, 4, 5), (2, 3)), ((2, 3, 4, 5), (-1, 0)), ((0, 3), (0,)), ((0, 3), (1, 0, 1))]:
        name = "lengths_" + "x".join(map(str, shape)) + "_" + "_".join(map(str, axes))
        yield name, "Shape", {"method": "lengths", "axes": list(axes)}, [f(*shape)], [ints(*(shape[a] for a in axes))]
    x = f(1, 3, 2)
    for n in (0, 1, 4):
        yield f"repeat_{n}", "Expand", {"method": "repeat"}, [x, f(n, 7)], [numpy.repeat(x, n, 0)]
    yield "repeat_vector", "Expand", {"method": "repeat"}, [ints(7), f(3)], [ints(7, 7, 7)]


def parts(r):
    f = lambda *shape: r.standard_normal(shape).astype(numpy.float32)
    for name, x, axis, n in [("channels", f(2, 6, 3, 4), 1, 3), ("last", f(2, 3, 8), -1, 4), ("one", f(2, 3), 0, 1), ("empty_batch", f(0, 6), 1, 2)]:
        yield f"split_{name}", "Split", {"method": "split", "axis": axis, "parts": n}, [x], numpy.split(x, n, axis)
    x = ints([1, 2, 3, 4])
    yield "split_integers", "Split", {"method": "split", "axis": 1, "parts": 2}, [x], [x[:, :2], x[:, 2:]]
    q, k, v = f(0, 2, 3, 4), f(0, 2, 5, 4), f(0, 2, 5, 6)
    yield "attention_empty_batch", "Attention", {"method": "attention"}, [q, k, v], [f(0, 2, 3, 6)]


def lookups(r):
    f = lambda *shape: r.standard_normal(shape).astype(numpy.float32)
    ties = (r.randint(0, 4, (3, 50)) / 4).astype(numpy.float32)
    for name, x, k in [
        ("random", f(3, 40), 7), ("ties", ties, 20), ("more_than_there_are", f(2, 5), 9), ("all_of_them", f(2, 5), 5), ("none", f(2, 5), 0),
        ("no_rows", f(0, 5), 3), ("empty_rows", f(2, 0), 3), ("all_equal", numpy.zeros((2, 100), numpy.float32), 10),
        ("infinities", floats([-float("inf"), 1, float("inf"), -float("inf")]), 3), ("signed_zeros", floats([-0.0, 0.0, -0.0, 0.0]), 3),
    ]:
        at = numpy.argsort(-x, axis=1, kind="stable")[:, :k]
        yield f"topk_{name}", "TopK", {"method": "topk", "k": k}, [x], [numpy.take_along_axis(x, at, 1), at.astype(numpy.int64)]
    for name, shape, k in [
        ("boxes", (3, 6, 4), 5), ("values", (3, 6), 2), ("blocks", (2, 3, 2, 3), 4), ("no_images", (0, 6, 4), 5), ("nothing", (2, 6, 4), 0),
        ("from_nothing", (2, 0, 4), 0), ("one", (1, 1), 1),
    ]:
        x, index = f(*shape), r.randint(0, max(shape[1], 1), (shape[0], k)).astype(numpy.int64)
        out = numpy.stack([x[i][index[i]] for i in range(shape[0])]) if shape[0] else f(0, k, *shape[2:])
        yield f"take_{name}", "GatherND", {"method": "take"}, [x, index], [out]
    x, index = r.randint(0, 99, (2, 5)).astype(numpy.int64), ints([4, 4, 0], [1, 2, 3])
    yield "take_integers", "GatherND", {"method": "take"}, [x, index], [numpy.take_along_axis(x, index, 1)]
    for name, index, classes in [("some", ints([0, 2], [1, 1]), 3), ("outside", ints(-1, -3, 0, 2, 3, 99), 3), ("empty", ints([], []), 4), ("one", ints(0, 1), 1)]:
        out = (index[..., None] == numpy.arange(classes)).astype(numpy.float32)
        yield f"one_hot_{name}", "OneHot", {"method": "one_hot", "classes": classes}, [index], [out]
    for name, x, axis in [("last", f(2, 3, 4), -1), ("first", f(3, 2), 0), ("of_nothing", f(2, 0, 3), 1), ("empty_batch", f(0, 3), 1), ("vector", f(5), 0)]:
        yield f"sum_{name}", "ReduceSum", {"method": "sum", "axis": axis}, [x], [x.sum(axis, dtype=numpy.float64).astype(numpy.float32).reshape(numpy.delete(x.shape, axis))]
    yield "sum_integers", "ReduceSum", {"method": "sum", "axis": 1}, [ints([2**40, 1], [2, 3])], [ints(2**40 + 1, 5)]


def overlap(a, b):
    """Intersection over union of two boxes in float32; 0 for boxes without area."""
    size = numpy.minimum(a[2:], b[2:]) - numpy.maximum(a[:2], b[:2])
    if (size <= 0).any():
        return numpy.float32(0)
    common, both = size[0] * size[1], [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return common / (both[0] + both[1] - common)


def nms(boxes, scores, iou, least, cap):
    """What `Ops::nms` gives."""
    n, c, b = scores.shape
    d = min(cap, c * b)
    out = [numpy.zeros((n, d), numpy.float32), numpy.full((n, d), -1, numpy.int64), numpy.zeros((n, d), numpy.int64)]
    for image in range(n):
        best = []
        for label in range(c):
            row, kept = scores[image, label], []
            for i in sorted((i for i in range(b) if row[i] > least), key=lambda i: (-row[i], i)):
                if all(overlap(boxes[image, k], boxes[image, i]) <= iou for k in kept):
                    kept.append(i)
            best += [(-row[i], label * b + i) for i in kept]
        for place, (negative, at) in enumerate(sorted(best)[:d]):
            out[0][image, place], out[1][image, place], out[2][image, place] = -negative, at // b, at % b
    return out


def agrees_with_torchvision(boxes, scores, iou, least, outputs):
    """Whether the sets are those of `batched_nms`; for cases without ties and without a cap that cuts."""
    for image, (boxes, scores) in enumerate(zip(boxes, scores)):
        label, row = numpy.nonzero(scores > least)
        kept = batched_nms(torch.from_numpy(boxes[row]), torch.from_numpy(scores[label, row]), torch.from_numpy(label), float(iou)).numpy()
        theirs = sorted(zip(label[kept].tolist(), row[kept].tolist()))
        used = outputs[1][image] >= 0
        assert theirs == sorted(zip(outputs[1][image][used].tolist(), outputs[2][image][used].tolist())), image


def random_boxes(r, n, b, side=60):
    corner, size = r.uniform(0, side, (n, b, 2)), r.uniform(1, side / 2, (n, b, 2))
    return numpy.concatenate([corner, corner + size], 2).astype(numpy.float32)


def suppression(r):
    def case(name, boxes, scores, iou=0.5, least=0.0, cap=100, compare=False):
        boxes, scores = numpy.asarray(boxes, numpy.float32), numpy.asarray(scores, numpy.float32)
        iou, least = floats(iou), floats(least)
        outputs = nms(boxes, scores, iou[0], least[0], cap)
        if compare:
            agrees_with_torchvision(boxes, scores, iou[0], least[0], outputs)
        return f"nms_{name}", "NonMaxSuppression", {"method": "nms", "cap": cap}, [boxes, scores, iou, least], outputs

    boxes, scores = random_boxes(r, 3, 30), r.uniform(0, 1, (3, 4, 30))
    yield case("images_and_classes", boxes, scores, 0.4, 0.3, compare=True)
    yield case("capped", boxes, scores, 0.4, 0.3, cap=5)
    yield case("tied_scores", boxes, numpy.round(scores * 8) / 8, 0.3, 0.25)
    yield case("tied_scores_capped", boxes, numpy.round(scores * 4) / 4, 0.3, 0.25, cap=9)
    yield case("one_image_empty", boxes, scores * [[[1]], [[0.1]], [[1]]], 0.4, 0.3, compare=True)
    yield case("nothing", boxes, scores, 0.4, 2.0)
    yield case("loose", boxes, scores, 1.0, 0.5, compare=True)
    yield case("strict", boxes, scores, 0.0, 0.2, compare=True)
    yield case("negative_scores", boxes, scores - 2, 0.5, -1.5, cap=200, compare=True)
    yield case("no_images", boxes[:0], scores[:0])
    yield case("no_boxes", boxes[:, :0], scores[:, :, :0])
    yield case("no_boxes_no_images", boxes[:0, :0], scores[:0, :, :0])
    half = [[[0, 0, 2, 2], [0, 0, 2, 1]]]
    yield case("overlap_at_the_threshold", half, [[[0.9, 0.8]]], 0.5)
    yield case("overlap_above_the_threshold", half, [[[0.9, 0.8]]], 0.49)
    third = [[[0, 0, 2, 1], [1, 0, 3, 1]]]
    yield case("a_third_at_the_threshold", third, [[[0.8, 0.9]]], numpy.float32(1) / numpy.float32(3))
    yield case("score_at_the_threshold", half, [[[0.5, 0.75]]], 0.9, 0.5)
    yield case("a_dropped_box_drops_none", [[[0, 0, 10, 10], [3, 0, 13, 10], [6, 0, 16, 10]]], [[[0.9, 0.8, 0.7]]], 0.5)
    yield case("classes_apart", half, [[[0.9, 0.8], [0.7, 0.95]]], 0.3)
    yield case("equal_boxes_and_scores", [[[1, 1, 5, 5]] * 6], [[[0.5] * 6, [0.25] * 6]], 0.5)
    yield case("without_area", [[[1, 1, 1, 5], [1, 1, 1, 5], [2, 2, 2, 2], [2, 2, 2, 2], [0, 0, 4, 4]]], [[[0.5, 0.6, 0.7, 0.8, 0.9]]], 0.0)
    yield case("touching", [[[0, 0, 2, 2], [2, 0, 4, 2], [0, 2, 2, 4]]], [[[0.5, 0.6, 0.7]]], 0.0)
    yield case("nan_scores", half, [[[float("nan"), 0.5]]], 0.3)
    yield case("far_apart", numpy.array(half) + [[[1e6, 1e6, 1e6, 1e6], [0, 0, 0, 0]]], [[[0.9, 0.8]]], 0.3)


def regions(r):
    def case(name, levels, rois, sampling=2, output=7, canonical=(56.0, 4), image=(128, 160)):
        rois = numpy.asarray(rois, numpy.float32)
        names = [str(i) for i in range(len(levels))]
        scales = [level.shape[2] / image[0] for level in levels]
        first = round(-numpy.log2(scales[0]))
        arguments = {"method": "roi_align", "output": output, "sampling": sampling, "scales": scales, "canonical_size": canonical[0], "canonical_level": canonical[1], "first_level": first}
        if rois.shape[0] * rois.shape[1]:
            pool = MultiScaleRoIAlign(names, output, sampling, canonical_scale=canonical[0], canonical_level=canonical[1])
            features = {name: torch.from_numpy(level) for name, level in zip(names, levels)}
            out = pool(features, [torch.from_numpy(image) for image in rois], [image] * len(rois)).numpy()
        else:
            out = numpy.zeros((0, levels[0].shape[1], output, output), numpy.float32)
        return f"roi_align_{name}", "RoiAlign", arguments, [*levels, rois], [out]

    maps = lambda n, c, *sizes: [r.standard_normal((n, c, h, w)).astype(numpy.float32) for h, w in sizes]
    pyramid = maps(2, 3, (32, 40), (16, 20), (8, 10), (4, 5))

    def boxes(n, p, most):
        corner, size = r.uniform(0, 100, (n, p, 2)), r.uniform(1, most, (n, p, 2))
        return numpy.concatenate([corner, numpy.minimum(corner + size, [160, 128])], 2)

    yield case("pyramid", pyramid, boxes(2, 9, 140))
    yield case("some_levels_unused", pyramid, boxes(2, 5, 12))
    square = lambda side: [[3.25, 4.5, 3.25 + side, 4.5 + side]]
    yield case("at_the_borders_of_levels", pyramid, [sum(map(square, (14, 28, 56, 112)), []), sum(map(square, (13.75, 27.75, 55.75, 111.75)), [])])
    yield case("outside_and_degenerate", pyramid, [[[-40, -30, 20, 10], [150, 120, 300, 260], [5, 5, 5, 5]], [[10, 10, 10, 60], [-9, -9, -5, -5], [0, 0, 160, 128]]])
    yield case("one_level", pyramid[1:2], boxes(2, 4, 140))
    yield case("one_sample", pyramid[:2], boxes(2, 4, 60), sampling=1, output=3)
    yield case("three_samples", pyramid[:3], boxes(2, 4, 100), sampling=3, output=2)
    yield case("no_regions", pyramid, numpy.zeros((2, 0, 4)))
    yield case("no_images", [level[:0] for level in pyramid], numpy.zeros((0, 3, 4)))
    yield case("published_sizes", maps(1, 2, (32, 40), (16, 20), (8, 10), (4, 5)), boxes(1, 8, 150), canonical=(224.0, 4))
