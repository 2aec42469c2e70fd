"""tritonclient over HTTP, blocking and with asyncio: triton.py HOST:PORT"""

import asyncio
import json
import sys
import urllib.request

import tritonclient.http as http
import tritonclient.http.aio as aio
from tritonclient.utils import InferenceServerException

from checks import Checks, answered, pixels, session
from triton_cases import (
    CASES, ENCODED, UNKNOWN, about_the_server, case_inputs, classes, encoded_inputs, expected, mistakes, outputs_of, refused, wanted,
)

CODINGS = (None, "gzip", "deflate")


def client(url):
    return http.InferenceServerClient(url, concurrency=4, network_timeout=60)


def metadata(checks, url):
    """What a client asks before it sends anything."""
    with client(url) as ask:
        about_the_server(checks, ask, {})


def forms(checks, url):
    """The same pixels in every form: JSON or bytes, each way, with and without compression; equal to one another and to ONNX Runtime."""
    with client(url) as ask:
        for case in CASES:
            truth = expected(case)
            for binary_in in (True, False):
                for binary_out in (True, False):
                    for coding in CODINGS:
                        outputs = [http.InferRequestedOutput(name, binary_data=binary_out) for name in truth]
                        result = ask.infer(
                            case.model, case_inputs(http, case, binary_data=binary_in), outputs=outputs, request_id="a 1",
                            request_compression_algorithm=coding, response_compression_algorithm=coding,
                        )
                        what = f"{case.name}, bytes in {binary_in}, bytes out {binary_out}, {coding}"
                        checks.near(what, outputs_of(result), truth)
                        checks.equal(f"{what}, id", result.get_response().get("id"), "a 1")
                        checks.equal(f"{what}, model", result.get_response()["model_name"], case.model)


def images(checks, url):
    """Encoded images, as bytes and as base64 in JSON, of several sizes in one request."""
    with client(url) as ask:
        for model, outputs in ENCODED.items():
            first = outputs_of(ask.infer(model, encoded_inputs(http, binary_data=True)))
            checks.equal(f"{model}, outputs", sorted(first), sorted(outputs))
            for coding in CODINGS:
                again = ask.infer(
                    model, encoded_inputs(http, binary_data=False), request_compression_algorithm=coding, response_compression_algorithm=coding,
                )
                checks.near(f"{model}, base64, {coding}", outputs_of(again), first)
            for name in outputs:
                one = ask.infer(model, encoded_inputs(http, binary_data=True), outputs=[http.InferRequestedOutput(name)])
                checks.near(f"{model}, only {name}", outputs_of(one), {name: first[name]})
            checks.near(f"{model}, columns", outputs_of(ask.infer(model, encoded_inputs(http, column=True, binary_data=True))), first)
            checks.near(f"{model}, no output named", outputs_of(ask.infer(model, encoded_inputs(http, binary_data=True), outputs=[])), first)
        # A PNG is exact, and a whole file takes the pixels as they are.
        image = pixels(20, 30)
        truth = answered(session("tiny_whole.onnx"), image[None])
        checks.near("an encoded image and its pixels", outputs_of(ask.infer("whole", encoded_inputs(http, of=[image], binary_data=True))), truth)


def best(checks, url):
    """The most probable classes as texts, in JSON and as bytes."""
    with client(url) as ask:
        checks.that("the extension", "classification" in ask.get_server_metadata()["extensions"])
        classes(checks, http, ask, [{"binary_data": True}, {"binary_data": False}])


def calls(checks, url):
    """Versions, identifiers, options of the request, requests at the same time, and counts of them."""
    case = CASES[0]
    with client(url) as ask:
        checks.near("version 1", outputs_of(ask.infer(case.model, case_inputs(http, case), model_version="1")), expected(case))
        for name in ("", "42", "ü" * 256):
            found = ask.infer(case.model, case_inputs(http, case), request_id=name).get_response().get("id")
            checks.equal(f"id '{name[:4]}'", found, name or None)
        # What the protocol reserves and no model here has a use for.
        result = ask.infer(case.model, case_inputs(http, case), priority=1, timeout=60_000_000, sequence_id=7, sequence_start=True)
        checks.near("reserved parameters", outputs_of(result), expected(case))
        result = ask.infer("detector", encoded_inputs(http), parameters={"score_threshold": 0.99})
        checks.equal("a threshold of the request", outputs_of(result)["scores"].shape[1], 0)
        before = ask.get_inference_statistics(case.model)["model_stats"][0]["inference_stats"]["success"]["count"]
        waiting = [ask.async_infer(case.model, case_inputs(http, case), request_id=str(n)) for n in range(50)]
        for number, one in enumerate(waiting):
            result = one.get_result(timeout=60)
            checks.equal("id of one of many", result.get_response()["id"], str(number))
            checks.near("one of many", outputs_of(result), expected(case))
        after = ask.get_inference_statistics(case.model)["model_stats"][0]["inference_stats"]["success"]["count"]
        checks.equal("counted requests", after - before, 50)


def compressed(checks, url):
    """The answer is compressed on the wire, which the client does not say, and its own helpers read and write bodies."""
    case = CASES[0]
    body, length = http.InferenceServerClient.generate_request_body(case_inputs(http, case), request_id="x")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    address = f"http://{url}/v2/models/{case.model}/infer"
    kind = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(length)}

    def ask(headers):
        return opener.open(urllib.request.Request(address, body, {**kind, **headers}), timeout=60)

    for coding in ("gzip", "deflate"):
        with ask({"Accept-Encoding": coding}) as answer:
            checks.equal(f"Content-Encoding for {coding}", answer.headers["Content-Encoding"], coding)
    with ask({}) as answer:
        length = int(answer.headers["Inference-Header-Content-Length"])
        read = http.InferenceServerClient.parse_response_body(answer.read(), header_length=length)
        checks.near("a body made by the client's helper", outputs_of(read), expected(case))


def errors(checks, url):
    """Mistakes of the caller's, and what is not offered."""
    with client(url) as ask:
        mistakes(checks, http, ask, "404", "400")
        # Not offered, or not to every client.
        refused(checks, "load", lambda: ask.load_model(CASES[0].model), ("404", "403"), "")
        refused(checks, "unload", lambda: ask.unload_model(CASES[0].model), ("404", "403"), "")
        for what, call in [
            ("shared memory", ask.get_system_shared_memory_status), ("traces", ask.get_trace_settings), ("the log", ask.get_log_settings),
        ]:
            refused(checks, what, call, "404", "not found")


def asynchronous(checks, url):
    asyncio.run(awaited(checks, url))


async def awaited(checks, url):
    """The same with asyncio, fewer of them: the client is another one, the bodies are the same."""
    async with aio.InferenceServerClient(url) as ask:
        checks.equal("live, ready", [await ask.is_server_live(), await ask.is_server_ready(), await ask.is_model_ready("masks")], [True] * 3)
        checks.that("not there, not ready", not await ask.is_model_ready("nothing"))
        checks.equal("server", (await ask.get_server_metadata())["name"], "fovea")
        checks.equal("metadata", (await ask.get_model_metadata("detector"))["name"], "detector")
        checks.equal("config", (await ask.get_model_config("detector"))["backend"], "onnxruntime")
        checks.equal("statistics", [one["name"] for one in (await ask.get_inference_statistics("detector"))["model_stats"]], ["detector"])
        checks.equal("index", [one["state"] for one in await ask.get_model_repository_index()], ["READY"] * len(wanted()))
        for case in CASES:
            for coding in CODINGS:
                for binary in (True, False):
                    outputs = [aio.InferRequestedOutput(name, binary_data=binary) for name in expected(case)]
                    result = await ask.infer(
                        case.model, case_inputs(aio, case, binary_data=binary), outputs=outputs, request_id="7",
                        request_compression_algorithm=coding, response_compression_algorithm=coding,
                    )
                    checks.near(f"asyncio: {case.name}, bytes {binary}, {coding}", outputs_of(result), expected(case))
                    checks.equal("asyncio: id", result.get_response()["id"], "7")
        case = CASES[0]
        results = await asyncio.gather(*[ask.infer(case.model, case_inputs(aio, case)) for _ in range(50)])
        for result in results:
            checks.near("asyncio: one of many", outputs_of(result), expected(case))
        try:
            await ask.infer("nothing", case_inputs(aio, case))
            checks.that("asyncio: unknown model", False, "it was answered")
        except InferenceServerException as error:
            checks.that("asyncio: unknown model", error.status() == "404" and UNKNOWN in error.message(), json.dumps([error.status(), error.message()]))


if __name__ == "__main__":
    found = Checks("tritonclient, HTTP")
    for part in (metadata, forms, images, best, calls, compressed, errors, asynchronous):
        found.part(part, sys.argv[1])
    found.end()
