"""Puts images into what schemathesis makes: a request that fits the schema holds any text or bytes in their place, which no server answers."""

import zlib

import schemathesis
from hypothesis import strategies

from checks import base64_of, encoded, pixels

MODELS = ["classifier", "whole", "multilabel", "detector", "detector_whole", "tiled", "masks", "masks_whole", "nothing"]
# With one of these, a request stays with the model that it names, which takes all of them.
OPTIONS = {
    "score_threshold", "iou_threshold", "tile_grid_size", "tile_overlap_ratio", "tile_predictions_nms_thresh", "masks",
    "mask_pixel_score_threshold", "max_number_of_polygon_points",
}
FILES = [encoded(pixels(16, 16)), encoded(pixels(9, 30), "JPEG"), encoded(pixels(1, 1), "BMP")]
TEXT = base64_of(FILES[0])


def with_images(value):
    """A list of texts, at any depth, with the image in the place of each."""
    if isinstance(value, list):
        return [with_images(one) for one in value]
    return TEXT if isinstance(value, str) else value


def of_json(body):
    """The body of /score or of an inference with images."""
    made = dict(body)
    for key in ("image", "image_base64"):
        if key in made:
            made[key] = with_images(made[key])
    if isinstance(made.get("input_data"), dict):
        made["input_data"] = {**made["input_data"], "data": with_images(made["input_data"].get("data"))}
    for at, one in enumerate(made.get("inputs") or []):
        if one.get("datatype") == "BYTES" and "data" in one:
            made["inputs"] = [*made["inputs"][:at], {**one, "data": with_images(one["data"])}, *made["inputs"][at + 1:]]
    return made


# Bodies that are an image: files, and what is none.
BODIES = strategies.one_of(strategies.sampled_from(FILES), strategies.binary())
schemathesis.openapi.media_type("image/*", BODIES, aliases=["application/octet-stream"])


@schemathesis.hook
def before_call(_context, case, _kwargs):
    """A request that is to fit the description goes to one of the models; two of three have images."""
    if case.meta is None or not case.meta.generation.mode.is_positive or case.method.upper() != "POST":
        return
    # By what the request says, so that every run makes the same ones.
    drawn = zlib.crc32(repr([case.body, case.query]).encode())
    if "model" in (case.path_parameters or {}):
        case.path_parameters["model"] = MODELS[drawn % len(MODELS)]
    is_json = isinstance(case.body, dict) and case.media_type == "application/json"
    said = {*(case.query or {}), *(case.body if is_json else {})}
    if "model" in (case.query or {}) and not said & OPTIONS:
        case.query["model"] = MODELS[drawn % len(MODELS)]
    if is_json:
        # What is said twice is refused, which the description cannot say.
        case.query = {name: value for name, value in (case.query or {}).items() if name == "model" or name not in case.body}
        if drawn // len(MODELS) % 3:
            case.body = of_json(case.body)
