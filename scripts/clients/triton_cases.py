"""What tritonclient asks over HTTP and over gRPC alike: inputs of each model, what ONNX Runtime answers to them, and the questions
before a request."""

import dataclasses
import functools
from typing import Optional, Sequence, Tuple

import numpy
from tritonclient.utils import InferenceServerException

from checks import LABELS, answered, as_served, base64_of, encoded, pixels, session

PROBABILITIES, BOXES = ("probabilities",), ("boxes", "scores", "labels")
MASKS = (*BOXES, "masks")
# The outputs of each model that is asked with encoded images.
ENCODED = {
    "classifier": PROBABILITIES, "whole": PROBABILITIES, "multilabel": PROBABILITIES, "detector": BOXES, "detector_whole": BOXES,
    "tiled": BOXES, "masks": MASKS, "masks_whole": MASKS,
}
UNKNOWN = "no model of this name and version is loaded"


@dataclasses.dataclass(frozen=True)
class Case:
    """Pixels for a model: its name at the server, its file, how many images of which height and width, and the sizes of the originals
    where the model takes them."""

    name: str
    model: str
    file: str
    count: int
    side: Tuple[int, int]
    sizes: Optional[Sequence[Tuple[int, int]]] = None


CASES = [
    Case("a classifier", "classifier", "tiny_prepared.onnx", 1, (16, 16)),
    Case("a classifier, five images", "classifier", "tiny_prepared.onnx", 5, (16, 16)),
    Case("a whole classifier", "whole", "tiny_whole.onnx", 2, (7, 13)),
    Case("labels", "multilabel", "tiny_multilabel.onnx", 3, (16, 16)),
    Case("a detector", "detector", "tiny_detector_prepared.onnx", 2, (32, 32), ((48, 40), (10, 20))),
    Case("a whole detector", "detector_whole", "tiny_detector_whole.onnx", 2, (24, 50)),
    Case("a detector with masks", "masks", "tiny_masks_prepared.onnx", 1, (32, 32), ((60, 80),)),
    Case("a whole detector with masks", "masks_whole", "tiny_masks_whole.onnx", 1, (30, 20)),
]


def wanted():
    """The names of the models, in the order of the server's list."""
    return list(ENCODED)


def images_of(case):
    return numpy.stack([pixels(*case.side, seed) for seed in range(case.count)])


@functools.lru_cache(maxsize=None)
def expected(case):
    """What ONNX Runtime answers, by output."""
    sizes = None if case.sizes is None else numpy.array(case.sizes, numpy.int64)
    return as_served(answered(session(case.file), images_of(case), sizes))


def tensor(client, name, datatype, values, **options):
    """An input of this client's."""
    made = client.InferInput(name, list(values.shape), datatype)
    made.set_data_from_numpy(values, **options)
    return made


def case_inputs(client, case, **options):
    made = [tensor(client, "images", "UINT8", images_of(case), **options)]
    if case.sizes is not None:
        made.append(tensor(client, "sizes", "INT64", numpy.array(case.sizes, numpy.int64), **options))
    return made


def encoded_inputs(client, of=None, column=False, **options):
    """Image files, by default of two sizes and formats; in JSON as base64."""
    files = [encoded(image) for image in of] if of else [encoded(pixels(40, 60)), encoded(pixels(33, 21), "JPEG")]
    # Binary is the rule.
    texts = files if options.get("binary_data", True) else [base64_of(file).encode() for file in files]
    values = numpy.array(texts, numpy.object_)
    return [tensor(client, "images", "BYTES", values[:, None] if column else values, **options)]


def outputs_of(result):
    """The arrays of an answer, by output."""
    answer = result.get_response()
    listed = answer["outputs"] if isinstance(answer, dict) else answer.outputs
    names = [output["name"] if isinstance(output, dict) else output.name for output in listed]
    return {name: result.as_numpy(name) for name in names}


def is_ready(ask, *model):
    """Whether a model is ready; over gRPC one that is not there may be an error."""
    try:
        return ask.is_model_ready(*model)
    except InferenceServerException:
        return False


def about_the_server(checks, ask, options):
    """Health, metadata, configuration, statistics and list of models. `options` make answers of gRPC what HTTP's are."""
    checks.equal("live, ready", [ask.is_server_live(), ask.is_server_ready()], [True, True])
    server = ask.get_server_metadata(**options)
    checks.equal("server", server["name"], "fovea")
    index = ask.get_model_repository_index(**options)
    index = index["models"] if isinstance(index, dict) else index
    checks.equal("index", [(one["name"], one["state"]) for one in index], [(name, "READY") for name in wanted()])
    statistics = ask.get_inference_statistics(**options)["model_stats"]
    checks.equal("statistics of all", [one["name"] for one in statistics], wanted())
    checks.that("not there, not ready", not is_ready(ask, "nothing"))
    for model, outputs in ENCODED.items():
        checks.equal(f"{model} ready", [is_ready(ask, model, *version) for version in ((), ("1",), ("2",))], [True, True, False])
        about = ask.get_model_metadata(model, **options)
        checks.equal(f"{model}, metadata", [about["name"], about["versions"], about["platform"]], [model, ["1"], "onnxruntime_onnx"])
        checks.equal(f"{model}, inputs", about["inputs"][0]["name"], "images")
        checks.equal(f"{model}, outputs", [one["name"] for one in about["outputs"]], list(outputs))
        if "parameters" in about:
            checks.equal(f"{model}, labels", about["parameters"]["labels"], LABELS)
        config = ask.get_model_config(model, "1", **options)
        config = config.get("config", config)
        checks.equal(f"{model}, config", [config["name"], config["input"][0]["name"]], [model, "images"])
        checks.that(f"{model}, batches", config["max_batch_size"] > 0, config)
        checks.equal(f"{model}, statistics", [one["name"] for one in ask.get_inference_statistics(model, "1", **options)["model_stats"]], [model])


def refused(checks, what, call, status, text):
    """A call that has to end with the client's exception, this status (or one of these) and this in its text."""
    statuses = (status,) if isinstance(status, str) else status
    try:
        call()
    except InferenceServerException as error:
        checks.that(what, any(one in str(error.status()) for one in statuses) and text in error.message(), f"{error.status()}: {error.message()}")
    else:
        checks.that(what, False, "it was answered")


def classes(checks, client, ask, options):
    """The most probable classes as texts, in each of the forms that `options` of an output ask for: those of the probabilities that the
    same request is answered with."""
    asked = [(case.name, case.model, functools.partial(case_inputs, client, case)) for case in CASES if case.sizes is None]
    asked += [(f"images for {model}", model, functools.partial(encoded_inputs, client)) for model in ENCODED]
    for what, model, inputs in asked:
        if ENCODED[model] != PROBABILITIES:
            continue
        plain = ask.infer(model, inputs()).as_numpy("probabilities")
        for form in options:
            for count in (1, 2, 3, 1000):
                outputs = [client.InferRequestedOutput("probabilities", class_count=count, **form)]
                found = ask.infer(model, inputs(), outputs=outputs).as_numpy("probabilities")
                checks.equal(f"{what}, {count} classes, {form}", texts_of(found), classes_of(plain, count))


def texts_of(found):
    """A tensor of texts as lists: elements are bytes, or texts where they stood in JSON."""
    return [[one.decode() if isinstance(one, bytes) else one for one in row] for row in found]


def classes_of(plain, count):
    """VALUE:INDEX:LABEL of the most probable classes of each row; of equal ones the first comes first."""
    orders = numpy.argsort(-plain, axis=1, kind="stable")[:, :count]
    return [[f"{float(row[at]):.6f}:{at}:{LABELS[at]}" for at in order] for row, order in zip(plain, orders)]


def mistakes(checks, client, ask, missing, bad):
    """Refusals reach the caller as the client's exception, with the server's text and the status of what is not there, or is wrong."""
    case = CASES[0]
    inputs = case_inputs(client, case)
    for what, call in [
        ("unknown model", lambda: ask.infer("nothing", inputs)),
        ("unknown version", lambda: ask.infer(case.model, inputs, model_version="9")),
        ("metadata of an unknown model", lambda: ask.get_model_metadata("nothing")),
        ("config of an unknown model", lambda: ask.get_model_config("nothing")),
        ("statistics of an unknown model", lambda: ask.get_inference_statistics("nothing")),
    ]:
        refused(checks, what, call, missing, UNKNOWN)
    less = [client.InferRequestedOutput("probabilities", class_count=-1)]
    refused(checks, "-1 classes", lambda: ask.infer(case.model, inputs, outputs=less), bad, "a whole number of at least 1")
    boxes = [client.InferRequestedOutput("boxes", class_count=2)]
    refused(checks, "classes of boxes", lambda: ask.infer("detector", encoded_inputs(client), outputs=boxes), bad, "is for probabilities")
    other = [client.InferRequestedOutput("nothing")]
    refused(checks, "unknown output", lambda: ask.infer(case.model, inputs, outputs=other), bad, "must name some of probabilities")
    for what, name, datatype, values, text in [
        ("a shape that the model does not take", "images", "UINT8", numpy.zeros((1, 4, 4, 3), numpy.uint8), "the model takes"),
        ("unknown input", "nothing", "BYTES", numpy.array([b"x"], numpy.object_), "its name is images"),
        ("no image", "images", "BYTES", numpy.array([b"no image"], numpy.object_), "image 0"),
    ]:
        given = [tensor(client, name, datatype, values)]
        refused(checks, what, lambda given=given: ask.infer(case.model, given), bad, text)
