"""tritonclient over gRPC, blocking and with asyncio: triton_grpc.py HOST:PORT"""

import asyncio
import queue
import sys

import tritonclient.grpc as grpc
import tritonclient.grpc.aio as aio
from tritonclient.utils import InferenceServerException

from checks import Checks, answered, pixels, session
from triton_cases import (
    CASES, ENCODED, UNKNOWN, about_the_server, case_inputs, classes, encoded_inputs, expected, mistakes, outputs_of, refused, wanted,
)

CODINGS = (None, "gzip", "deflate")


def client(url):
    return grpc.InferenceServerClient(url)


def metadata(checks, url):
    """What a client asks before it sends anything."""
    with client(url) as ask:
        about_the_server(checks, ask, {"as_json": True})


def forms(checks, url):
    """Pixels, with and without compression; equal to ONNX Runtime's answers."""
    with client(url) as ask:
        for case in CASES:
            truth = expected(case)
            for coding in CODINGS:
                for outputs in (None, [grpc.InferRequestedOutput(name) for name in truth]):
                    result = ask.infer(case.model, case_inputs(grpc, case), outputs=outputs, request_id="a 1", compression_algorithm=coding)
                    what = f"{case.name}, outputs named {outputs is not None}, {coding}"
                    checks.near(what, outputs_of(result), truth)
                    answer = result.get_response()
                    checks.equal(f"{what}, id, model and version", [answer.id, answer.model_name, answer.model_version], ["a 1", case.model, "1"])


def images(checks, url):
    """Encoded images of several sizes in one request, as a list and as a column."""
    with client(url) as ask:
        for model, outputs in ENCODED.items():
            first = outputs_of(ask.infer(model, encoded_inputs(grpc)))
            checks.equal(f"{model}, outputs", sorted(first), sorted(outputs))
            checks.near(f"{model}, columns", outputs_of(ask.infer(model, encoded_inputs(grpc, column=True))), first)
            for name in outputs:
                one = ask.infer(model, encoded_inputs(grpc), outputs=[grpc.InferRequestedOutput(name)])
                checks.near(f"{model}, only {name}", outputs_of(one), {name: first[name]})
        # A PNG is exact, and a whole file takes the pixels as they are.
        image = pixels(20, 30)
        truth = answered(session("tiny_whole.onnx"), image[None])
        checks.near("an encoded image and its pixels", outputs_of(ask.infer("whole", encoded_inputs(grpc, of=[image]))), truth)


def best(checks, url):
    """The most probable classes as texts."""
    with client(url) as ask:
        checks.that("the extension", "classification" in ask.get_server_metadata().extensions)
        classes(checks, grpc, ask, [{}])


def calls(checks, url):
    """Versions, options of the request, requests at the same time, and counts of them."""
    case = CASES[0]

    def count(ask):
        found = ask.get_inference_statistics(case.model, as_json=True)["model_stats"][0]["inference_stats"]["success"]
        return int(found.get("count", 0))

    with client(url) as ask:
        checks.near("version 1", outputs_of(ask.infer(case.model, case_inputs(grpc, case), model_version="1")), expected(case))
        result = ask.infer("detector", encoded_inputs(grpc), parameters={"score_threshold": "0.99"})
        checks.equal("a threshold of the request", outputs_of(result)["scores"].shape[1], 0)
        before, told = count(ask), queue.Queue()
        for number in range(50):
            ask.async_infer(case.model, case_inputs(grpc, case), lambda result, error: told.put((result, error)), request_id=str(number))
        found = [told.get(timeout=60) for _ in range(50)]
        checks.equal("errors of many", [str(error) for _, error in found if error], [])
        checks.equal("ids of many", sorted(int(result.get_response().id) for result, _ in found), list(range(50)))
        for result, _ in found:
            checks.near("one of many", outputs_of(result), expected(case))
        checks.equal("counted requests", count(ask) - before, 50)


def errors(checks, url):
    """Mistakes of the caller's, and what is not offered."""
    with client(url) as ask:
        mistakes(checks, grpc, ask, "NOT_FOUND", "INVALID_ARGUMENT")
        # Not offered, or not to every client.
        refused(checks, "load", lambda: ask.load_model(CASES[0].model), ("UNIMPLEMENTED", "PERMISSION_DENIED"), "")
        for what, call in [("shared memory", ask.get_system_shared_memory_status), ("traces", ask.get_trace_settings)]:
            refused(checks, what, call, "UNIMPLEMENTED", "")


def asynchronous(checks, url):
    asyncio.run(awaited(checks, url))


async def awaited(checks, url):
    """The same with asyncio, fewer of them."""
    async with aio.InferenceServerClient(url) as ask:
        checks.equal("live, ready", [await ask.is_server_live(), await ask.is_server_ready(), await ask.is_model_ready("masks")], [True] * 3)
        checks.equal("server", (await ask.get_server_metadata()).name, "fovea")
        checks.equal("metadata", (await ask.get_model_metadata("detector")).name, "detector")
        checks.equal("config", (await ask.get_model_config("detector")).config.name, "detector")
        checks.equal("index", [one.state for one in (await ask.get_model_repository_index()).models], ["READY"] * len(wanted()))
        for case in CASES:
            for coding in CODINGS:
                result = await ask.infer(case.model, case_inputs(aio, case), request_id="7", compression_algorithm=coding)
                checks.near(f"asyncio: {case.name}, {coding}", outputs_of(result), expected(case))
                checks.equal("asyncio: id", result.get_response().id, "7")
        case = CASES[0]
        for result in await asyncio.gather(*[ask.infer(case.model, case_inputs(aio, case)) for _ in range(50)]):
            checks.near("asyncio: one of many", outputs_of(result), expected(case))
        try:
            await ask.infer("nothing", case_inputs(aio, case))
            checks.that("asyncio: unknown model", False, "it was answered")
        except InferenceServerException as error:
            checks.that("asyncio: unknown model", "NOT_FOUND" in str(error.status()) and UNKNOWN in error.message(), f"{error.status()}: {error.message()}")


if __name__ == "__main__":
    found = Checks("tritonclient, gRPC")
    for part in (metadata, forms, images, best, calls, errors, asynchronous):
        found.part(part, sys.argv[1])
    found.end()
