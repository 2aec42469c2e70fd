"""Requests as Azure's clients send them, with the package requests that both SDKs are built on: azure.py HOST:PORT

Version 1 of the SDK (`Webservice.run`) posts what it is given to the scoring address; version 2 (`online_endpoints.invoke`, and the
samples of AutoML for images) posts the JSON of its request file, with the key, the name of a deployment and identifiers as headers.
"""

import io
import json
import sys

import numpy

from checks import LABELS, Checks, answered, base64_of, encoded, local, pixels, session

KEY = {"Authorization": "Bearer a-key-that-the-gateway-has-read", "azureml-model-deployment": "blue"}
JSON = {"Content-Type": "application/json"}
IDENTIFIED = {"x-ms-client-request-id": "3f2b8d0e-6a4e-4f5d-9f63-6e8c0f5f4c11", "x-ms-request-id": "1", "x-request-id": "2"}
IMAGES = [encoded(pixels(40, 60)), encoded(pixels(33, 21), "JPEG")]


def health(checks, url):
    """What probes of a deployment and of the local server ask."""
    with local() as client:
        for path in ("/", "/score", "/healthz", "/v2/health/live", "/v2/health/ready"):
            checks.equal(f"GET {path}", client.get(url + path, headers=IDENTIFIED, timeout=60).status_code, 200)
        swagger = client.get(f"{url}/swagger.json", params={"version": "3"}, timeout=60)
        checks.equal("swagger.json", [swagger.status_code, swagger.headers["Content-Type"]], [200, "application/json"])
        checks.that("swagger.json names /score", "post" in swagger.json()["paths"]["/score"])


def classified(checks, what, answer, name):
    """A classifier's answer about one image, as Azure documents it."""
    checks.equal(f"{what}, keys", list(answer), ["filename", "probs", "labels", "visualizations", "attributions"])
    checks.equal(f"{what}, filename and labels", [answer["filename"], answer["labels"]], [name, LABELS])
    checks.equal(f"{what}, nothing explained", [answer["visualizations"], answer["attributions"]], [None, None])


def version_2(checks, url):
    """`invoke` with the body of the samples, and with those that pandas and the designer write."""
    texts = [base64_of(image) for image in IMAGES]
    cells = [json.dumps({"image_base64": text}) for text in texts]
    with local() as client:
        one = [client.post(f"{url}/score", image, headers={"Content-Type": "application/octet-stream"}, timeout=60).json()["probs"] for image in IMAGES]
        for what, data in [("base64", texts), ("rows", [[text] for text in texts]), ("objects", cells), ("rows of objects", [[cell] for cell in cells])]:
            for index in ({}, {"index": [0, 1]}):
                body = json.dumps({"input_data": {"columns": ["image"], **index, "data": data}})
                answer = client.post(f"{url}/score", data=body, headers={**JSON, **KEY, **IDENTIFIED}, timeout=60)
                checks.equal(f"{what}, status", [answer.status_code, answer.headers["Content-Type"]], [200, "application/json"])
                found = answer.json()
                checks.equal(f"{what}, answers", [len(found), [row["probs"] for row in found]], [2, one])
                for at, row in enumerate(found):
                    classified(checks, what, row, f"image_{at}")
        extra = json.dumps({"input_data": {"columns": ["image"], "data": texts}, "params": {}, "client_id": "x"})
        checks.equal("keys of others", client.post(f"{url}/score", data=extra, headers=JSON, timeout=60).status_code, 200)


def version_1(checks, url):
    """`run` with the bytes of an image, and with the JSON of one image."""
    with local() as client:
        for media in ("application/octet-stream", "image/jpeg", None):
            headers = {**KEY, **({"Content-Type": media} if media else {})}
            answer = client.post(f"{url}/score", data=IMAGES[0], headers=headers, timeout=60)
            checks.equal(f"bytes as {media}", answer.status_code, 200)
            classified(checks, f"bytes as {media}", answer.json(), "image_0")
        for name in ("image", "image_base64"):
            body = json.dumps({name: base64_of(IMAGES[0]), "model_explainability": False})
            answer = client.post(f"{url}/score", data=body, headers=JSON, timeout=60)
            wanted = 200 if name == "image" else 400
            checks.equal(f"JSON of one {name}", answer.status_code, wanted)
        explained = {"model_explainability": True, "xai_parameters": {"xai_algorithm": "occlusion", "visualizations": True, "attributions": True}}
        answer = client.post(f"{url}/score", json={"image": base64_of(IMAGES[0]), **explained}, timeout=60)
        checks.equal("explained", answer.status_code, 200)
        checks.that("explained, an image and numbers", answer.json()["visualizations"] and answer.json()["attributions"])


def numbers(checks, url):
    """Probabilities and boxes are ONNX Runtime's, for a file that takes the pixels of a PNG as they are."""
    image = pixels(24, 50)
    file = encoded(image)
    with local() as client:
        answer = client.post(f"{url}/score", params={"model": "whole"}, data=file, timeout=60).json()
        truth = answered(session("tiny_whole.onnx"), image[None])["probabilities"][0]
        checks.that("probabilities", numpy.allclose(answer["probs"], truth, atol=1e-6), f"{answer['probs']} instead of {truth}")
        answer = client.post(f"{url}/score", params={"model": "detector_whole"}, data=file, timeout=60).json()
        truth = answered(session("tiny_detector_whole.onnx"), image[None])
        kept = truth["labels"][0] >= 0
        checks.equal("labels of boxes", [one["label"] for one in answer["boxes"]], [LABELS[label] for label in truth["labels"][0][kept]])
        corners = [[one["box"][key] for key in ("topX", "topY", "bottomX", "bottomY")] for one in answer["boxes"]]
        checks.that("corners", numpy.allclose(corners, truth["boxes"][0][kept] / [50, 24, 50, 24], atol=1e-6), corners)
        checks.that("scores", numpy.allclose([one["score"] for one in answer["boxes"]], truth["scores"][0][kept], atol=1e-6))
        answer = client.post(f"{url}/score", params={"model": "masks_whole"}, data=file, timeout=60).json()
        checks.that("polygons", answer["boxes"] and all(len(ring) >= 6 for one in answer["boxes"] for ring in one["polygon"]), answer)


def forms(checks, url):
    """Forms as requests writes them: one file, several, with options beside them."""
    with local() as client:
        answer = client.post(f"{url}/score", files={"image": ("a.png", io.BytesIO(IMAGES[0]), "image/png")}, timeout=60)
        checks.equal("one file", answer.status_code, 200)
        classified(checks, "one file", answer.json(), "a.png")
        files = [("images", ("a.png", IMAGES[0], "image/png")), ("images", ("b ü.jpg", IMAGES[1], "image/jpeg"))]
        answer = client.post(f"{url}/score", files=files, timeout=60)
        checks.equal("two files", [answer.status_code, [row["filename"] for row in answer.json()]], [200, ["a.png", "b ü.jpg"]])
        answer = client.post(f"{url}/score", params={"model": "detector"}, files=files, data={"score_threshold": "0.99"}, timeout=60)
        checks.equal("options", [row["boxes"] for row in answer.json()], [[], []])


def refusals(checks, url):
    """Refusals are JSON with a text and a code, as those of /v2 are."""
    with local() as client:
        for what, body, headers, status in [
            ("no JSON", b"{bad", JSON, 400), ("no image", b"no image", {}, 400), ("empty", b"", JSON, 400),
            ("another type", b"a: b", {"Content-Type": "text/yaml"}, 415),
            ("gradients", json.dumps({"image": base64_of(IMAGES[0]), "model_explainability": True, "xai_parameters": {"xai_algorithm": "xrai"}}), JSON, 400),
        ]:
            answer = client.post(f"{url}/score", data=body, headers={**headers, **KEY}, timeout=60)
            checks.equal(what, [answer.status_code, sorted(answer.json())], [status, ["code", "error"]])


if __name__ == "__main__":
    found = Checks("Azure's calls")
    for part in (health, version_2, version_1, numbers, forms, refusals):
        found.part(part, f"http://{sys.argv[1]}")
    found.end()
