"""The device that a peer computes on, and how long its steps take there."""

import time

import torch

# Steps of a CUDA device between two waits for it: it works while the host queues the next ones, as in a training.
QUEUED = 10


def device(names):
    """The device that the last argument names: the CPU where there is none."""
    return torch.device(names[0] if names else "cpu")


def upload(images, to):
    """A function that brings images to the device: on a CUDA device from pinned memory, without a wait."""
    if to.type == "cpu":
        return lambda: images
    pinned = images.pin_memory()
    return lambda: pinned.to(to, non_blocking=True)


def timed(to, count, step):
    """Milliseconds of each of `count` steps. On a CUDA device each number is the mean of ten steps, from one wait to the next."""
    together = 1 if to.type == "cpu" else QUEUED
    times, done = [], 0
    while done < count:
        now = min(together, count - done)
        started = time.perf_counter()
        for _ in range(now):
            step()
        if to.type != "cpu":
            torch.cuda.synchronize(to)
        times.append((time.perf_counter() - started) * 1e3 / now)
        done += now
    return times
