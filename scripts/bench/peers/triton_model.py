"""What an instance of Triton's Python backend does; serve_triton.py makes it part of a folder of models."""

import json
import os

import numpy
import triton_python_backend_utils as backend
from serving_model import from_environment


class TritonPythonModel:
    """One image a request: its bytes, or its pixels, which the network gets as they are."""

    def initialize(self, arguments):
        self.pipeline = from_environment()
        self.answer = self.of_pixels if os.environ["BENCH_SENT"] == "pixels" else self.of_image

    def execute(self, requests):
        return [backend.InferenceResponse(self.answer(request)) for request in requests]

    def of_image(self, request):
        [data] = backend.get_input_tensor_by_name(request, "image").as_numpy()
        return [backend.Tensor("answer", numpy.array([json.dumps(self.pipeline(data))], numpy.object_))]

    def of_pixels(self, request):
        session = self.pipeline.session
        given = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        return [backend.Tensor(one.name, value) for one, value in zip(session.get_outputs(), session.run(None, given))]
