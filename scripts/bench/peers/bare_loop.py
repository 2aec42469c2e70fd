"""One image after the other, without a server: bare_loop.py MODEL THREADS SECONDS IMAGE...

With `tensor:SIDE` in place of images, pixels of a square of that side are run as they are. Prints a JSON object: images a second, seconds
of processors an image, and the median of a run in milliseconds.
"""

import json
import pathlib
import statistics
import sys
import time

import numpy
from serving_model import Pipeline


def main():
    model, threads, seconds, *images = sys.argv[1:]
    pipeline = Pipeline(model, int(threads))
    if images[0].startswith("tensor:"):
        side = int(images[0].split(":")[1])
        work = [numpy.zeros((1, side, side, 3), numpy.uint8)]
        ask = lambda pixels: pipeline.session.run(None, {"images": pixels})
    else:
        work, ask = [pathlib.Path(image).read_bytes() for image in images], pipeline
    ask(work[0])
    times, started, before = [], time.perf_counter(), time.process_time()
    while time.perf_counter() - started < float(seconds):
        at = time.perf_counter()
        ask(work[len(times) % len(work)])
        times.append(time.perf_counter() - at)
    elapsed, cost = time.perf_counter() - started, time.process_time() - before
    print(json.dumps({"rate": len(times) / elapsed, "cpu": cost / len(times), "run": 1e3 * statistics.median(times)}))


if __name__ == "__main__":
    main()
