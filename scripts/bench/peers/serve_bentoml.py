"""The pipeline behind BentoML: bentoml serve serve_bentoml:Scorer. The bytes of an image are the body, as for ours."""

import os
import pathlib
from typing import Annotated, Any, Dict

import bentoml
from serving_model import from_environment


@bentoml.service(workers=int(os.environ["BENCH_WORKERS"]), traffic={"timeout": 300, "concurrency": None})
class Scorer:
    """One image a request."""

    def __init__(self):
        self.pipeline = from_environment()

    @bentoml.api(route="/score")
    def score(self, image: Annotated[pathlib.Path, bentoml.validators.ContentType("image/jpeg")], /) -> Dict[str, Any]:
        return self.pipeline(image.read_bytes())
