"""The pipeline behind LitServe: serve_litserve.py PORT WORKERS. A form with the file `image`, the way in which its examples send files."""

import sys

import litserve
from fastapi import Request
from serving_model import from_environment


class Api(litserve.LitAPI):
    """One image a request."""

    def setup(self, device):
        self.pipeline = from_environment()

    def decode_request(self, request: Request):
        return request["image"].file.read()

    def predict(self, x):
        return self.pipeline(x)

    def encode_response(self, output):
        return output


if __name__ == "__main__":
    port, workers = map(int, sys.argv[1:])
    # It takes no more requests at once than the default, and gives none up: no time limit is needed on one machine.
    server = litserve.LitServer(Api(api_path="/score"), accelerator="cpu", workers_per_device=workers, timeout=False)
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="error")
