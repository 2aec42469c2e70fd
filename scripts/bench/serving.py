"""What a classifier says of its images: by the server that was started on its file, and by the file itself."""

import contextlib
import json
import os
import pathlib
import subprocess
import urllib.request

from machine import Failed


def said(answer, many):
    """The most probable label of an answer, or all above one half."""
    ranked = sorted(zip(answer["probs"], answer["labels"]), reverse=True)
    return [label for probability, label in ranked if probability > 0.5] if many else ranked[0][1]


@contextlib.contextmanager
def served(place, onnx, *options):
    """The address of a server on this file, started with these options besides."""
    command = [str(place.programs / "server"), "--model", f"m={onnx}", "--bind", "127.0.0.1:0", *options]
    environment = {**os.environ, **place.environment}
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    try:
        announced = server.stdout.readline().split()
        if not announced:
            raise Failed(f"the server did not start; {' '.join(command)} says why")
        yield announced[-1]
    finally:
        server.terminate()
        server.wait()


def asked(url, image, timeout=60):
    """The server's answer about an image."""
    # No proxy: the server is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    headers = {"Content-Type": "application/octet-stream"}
    request = urllib.request.Request(f"{url}/score", pathlib.Path(image).read_bytes(), headers)
    with opener.open(request, timeout=timeout) as answer:
        return json.load(answer)


def predicted(place, onnx, images, many):
    """What `trainer predict` says of images."""
    return [said(answer, many) for answer in place.trainer("predict", "--onnx", onnx, *images)["predictions"]]


def equal_labels(place, onnx, images, many):
    """Of how many images the server and `trainer predict` say the same."""
    with served(place, onnx) as url:
        labels = [said(asked(url, image), many) for image in images]
    return sum(a == b for a, b in zip(labels, predicted(place, onnx, images, many)))
