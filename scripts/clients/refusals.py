"""Requests of the V2 protocol that cannot be answered: refusals.py HOST:PORT

Each has to have the status that fits it, an object of a text and a code, and nothing of the machine in it. Other servers answer some
of them with 500 or with a part of their program.
"""

import gzip
import json
import re
import sys


from checks import Checks, local, pixels

LIMIT = 64 << 20
# What would tell of the machine or of the program.
LEAK = re.compile(r"panicked|\.rs\b|/src/|/home/|/root/|/tmp/|0x[0-9a-f]{6}|Traceback")
IMAGE = pixels(16, 16)
COUNT = IMAGE.size
LENGTH = "Inference-Header-Content-Length"


def tensor(**changes):
    """The input as it should be, but for these changes; None takes a key out."""
    made = {"name": "images", "datatype": "UINT8", "shape": [1, 16, 16, 3], "data": IMAGE.ravel().tolist(), **changes}
    return {key: value for key, value in made.items() if value is not None}


def request(*inputs, **more):
    return json.dumps({"inputs": list(inputs), **more}).encode()


def binary(size, blob, length=None, **changes):
    """A body with the bytes of the input after the JSON, and its header."""
    head = request(tensor(data=None, parameters={"binary_data_size": size}, **changes))
    return head + blob, {LENGTH: str(len(head) if length is None else length)}


def cases():
    """Name, body, headers and status."""
    pixels_of = IMAGE.tobytes()
    whole = request(tensor())
    yield "no JSON", b"{bad", {}, 400
    yield "an empty object", b"{}", {}, 400
    yield "no input", request(), {}, 400
    yield "more data than the shape says", request(tensor(data=[1] * (COUNT + 1))), {}, 400
    yield "less data than the shape says", request(tensor(data=[1] * (COUNT - 1))), {}, 400
    yield "an unknown input", request(tensor(name="q")), {}, 400
    yield "an unknown output", request(tensor(), outputs=[{"name": "zz"}]), {}, 400
    for what, output, count in [("no classes", "probabilities", 0), ("classes of boxes", "boxes", 2), ("classes as a text", "probabilities", "2")]:
        yield what, request(tensor(), outputs=[{"name": output, "parameters": {"classification": count}}]), {}, 400
    yield "another datatype", request(tensor(datatype="INT8")), {}, 400
    yield "a datatype that there is not", request(tensor(datatype="PIXELS")), {}, 400
    yield "a text among numbers", request(tensor(data=["a"] + [1] * (COUNT - 1))), {}, 400
    yield "a negative length", request(tensor(shape=[-1, 16, 16, 3])), {}, 400
    yield "more images than a request may hold", request(tensor(shape=[33, 16, 16, 3], data=[0] * 33 * COUNT)), {}, 413
    yield "bytes that end early", *binary(COUNT, pixels_of[:-4]), 400
    yield "bytes that nobody asks for", *binary(COUNT, pixels_of + b"1234"), 400
    yield "a size that is not the shape's", *binary(COUNT - 4, pixels_of[:-4]), 400
    both = request(tensor(parameters={"binary_data_size": COUNT}))
    yield "data in both forms", both + pixels_of, {LENGTH: str(len(both))}, 400
    yield "a JSON longer than the body", whole, {LENGTH: str(10 * len(whole))}, 400
    yield "a length that is no number", whole, {LENGTH: "abc"}, 400
    yield "brotli", whole, {"Content-Encoding": "br"}, 415
    yield "a body beyond the limit", b" " * (LIMIT + 1), {}, 413
    yield "a body that becomes larger than the limit", gzip.compress(b" " * (LIMIT + 1)), {"Content-Encoding": "gzip"}, 413
    yield "JSON 100,000 deep", b'{"inputs":' + b"[" * 100_000, {}, 400
    yield "a number of elements beyond 64 bits", request(tensor(shape=[1, 2**32, 2**32, 3], data=[])), {}, 400
    yield "a number of bytes beyond 64 bits", request(tensor(shape=[2**62, 16, 16, 3], data=[])), {}, 413
    yield "a number beyond floats", request(tensor()).replace(b"[1, 16", b"[1e309, 16"), {}, 400
    yield "no number", b'{"inputs": [NaN]}', {}, 400


def refused(checks, answer, what, *statuses):
    """An answer is a refusal with one of these statuses."""
    checks.that(f"{what}, status", answer.status_code in statuses, f"{answer.status_code} instead of {statuses}")
    checks.equal(f"{what}, type", answer.headers.get("Content-Type"), "application/json")
    body = answer.json()
    checks.that(f"{what}, an object", sorted(body) == ["code", "error"] and body["error"] and body["code"], body)
    checks.that(f"{what}, tells nothing of the machine", not LEAK.search(answer.text), answer.text)


def bodies(checks, url):
    with local() as ask:
        for what, body, headers, status in cases():
            headers = {"Content-Type": "application/octet-stream" if LENGTH in headers else "application/json", **headers}
            refused(checks, ask.post(f"{url}/v2/models/classifier/infer", data=body, headers=headers, timeout=60), what, status)
            checks.equal(f"the server after '{what}'", ask.get(f"{url}/v2/health/ready", timeout=60).status_code, 200)


def answered_in_parts(checks, url):
    """More images than a batch holds are no mistake: they are run in parts."""
    with local() as ask:
        body = request(tensor(shape=[20, 16, 16, 3], data=IMAGE.ravel().tolist() * 20))
        answer = ask.post(f"{url}/v2/models/classifier/infer", data=body, headers={"Content-Type": "application/json"}, timeout=60)
        checks.equal("20 images", [answer.status_code, answer.json()["outputs"][0]["shape"]], [200, [20, 3]])


def paths(checks, url):
    """Paths, versions and methods that there are not."""
    with local() as ask:
        for method, path, status in [
            ("GET", "/v2/models/nothing", 404), ("GET", "/v2/models/classifier/versions/9", 404), ("GET", "/v2/models/classifier/versions/v1", 404),
            ("GET", "/v2/models/nothing/ready", 404), ("POST", "/v2/models/nothing/infer", 404), ("GET", "/v2/nothing", 404), ("GET", "/v2/models", 404),
            ("GET", "/v2/models/classifier/infer", 405), ("POST", "/v2/health/ready", 405), ("DELETE", "/v2/models/classifier", 405),
            ("GET", "/v2/repository/index", 405), ("PUT", "/score", 405), ("GET", "/v2/models/..%2f..%2fetc%2fpasswd", 404),
        ]:
            answer = ask.request(method, url + path, timeout=60)
            refused(checks, answer, f"{method} {path}", status)
            checks.that(f"{method} {path}, Allow", (answer.status_code == 405) == ("Allow" in answer.headers), answer.headers)
        # Not offered, or not to every client.
        for call in ("load", "unload"):
            refused(checks, ask.post(f"{url}/v2/repository/models/classifier/{call}", timeout=60), call, 404, 403)


if __name__ == "__main__":
    found = Checks("refusals")
    for part in (bodies, answered_in_parts, paths):
        found.part(part, f"http://{sys.argv[1]}")
    found.end()
