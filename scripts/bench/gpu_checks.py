"""What scripts/gpu checks on a card: the tests, trainings and their repetition, memory, evaluation and prediction."""

import json
import re
import time

from gpu_bench import TASKS, apart, epochs, kill_after
from gpu_unit import Skipped, Unit
from machine import Failed

# Parts of the tests of parity, by what they hold Fovea against, with the beginnings of their names. What concerns ONNX Runtime on the
# CPU alone, and weight files, is left out.
TESTS = {
    "ops": ("operations, against the frozen cases of the ONNX standard", ["ops::"]),
    "random-ops": ("operations of detectors, against ONNX Runtime on the CPU", ["random::"]),
    "vision": ("suppression and RoIAlign with its gradient, against torchvision", ["vision::"]),
    "losses": ("losses of detectors and their gradients, against the originals", ["detect_loss::"]),
    "forward": ("logits of every classifier, against torchvision and timm", ["forward::logits_equal_the_oracles"]),
    "step-double": ("a training step of every classifier in float64", ["forward::a_training_step_equals_the_oracles_in_double"]),
    "step-single": ("a training step of every classifier in float32", ["forward::a_training_step_equals_the_oracles_in_single"]),
    "detectors": ("heads and final boxes of every detector, against the originals", ["detect_forward::"]),
}
# The least of each that shows in a rehearsal whether the harness works.
REHEARSED = {
    "forward": ["forward::logits_equal_the_oracles::resnet18"], "detectors": ["detect_forward::images_lie"],
    "step-double": ["forward::a_training_step_equals_the_oracles_in_double_precision::mobilenetv2"],
    "step-single": ["forward::a_training_step_equals_the_oracles_in_single_precision::mobilenetv2"],
    "random-ops": ["random::the_best_and_the_taken"], "losses": ["detect_loss::nothing_at_all"], "vision": ["vision::gradients_equal"],
}


def tests(part):
    """Runs a part of the tests on the device. They fail one by one, and all that failed are named."""

    def run(bench):
        chosen = REHEARSED.get(part, TESTS[part][1]) if bench.rehearses else TESTS[part][1]
        command = [bench.place.programs / "parity", "--test-threads=1", *chosen]
        done = bench.attempt(command)
        return counted(done)

    return run


def counted(output):
    """What libtest printed, as numbers of tests; raises `Failed` with the names and messages of those that failed."""
    summary = re.search(r"test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored", output)
    if summary is None:
        raise Failed(f"the tests did not run to their end:\n{shortened(output)}")
    passed, failed = int(summary[1]), int(summary[2])
    if failed:
        names = re.findall(r"^test (\S+) \.\.\. FAILED$", output, re.MULTILINE)
        # The message of a panic is on the lines below the place.
        messages = re.findall(r"panicked at [^\n]+:\n([^\n]+)", output)
        raise Failed(f"{failed} of {passed + failed} tests failed: {', '.join(names)}\n    " + "\n    ".join(messages[:12]))
    if not passed:
        raise Failed("no test has such a name")
    return {"tests passed": passed}


def shortened(text, lines=10):
    return "\n".join(text.strip().splitlines()[-lines:])


def trained(task, precision="auto"):
    """An epoch of a training: its loss has to be a number."""

    def run(bench):
        if precision == "fp16" and bench.rehearses:
            raise Skipped("fp16 is for cards")
        folder = bench.folder(f"train-{task}-{precision}")
        [record] = bench.train(task, folder / "run", precision=precision)
        timing = record["timing"]
        loss = record["train"]["loss"]
        if not loss < float("inf"):
            raise Failed(f"the loss of the first epoch is {loss}")
        return {
            "loss": loss, "images a second": timing["images_per_second"],
            "share of waiting for data": timing["data_wait_seconds"] / max(timing["seconds"], 1e-9),
        }

    return run


# float32 on both sides: sums in another order. The learning rate is so small that no step carries a difference on to the next.
NEAR, RATE = 0.002, 1e-6


def near_the_cpu(task):
    """The loss of one epoch on 48 images in float32, on the device and on the CPU."""

    def run(bench):
        folder, losses = bench.folder(f"near-{task}"), {}
        count = 24 if bench.rehearses else 48
        for device in (bench.device, "cpu"):
            # A rehearsal compares two numbers of threads, which split sums differently.
            threads = 2 if bench.rehearses and "device" in losses else 1 if bench.rehearses else 0
            name = "cpu" if "device" in losses else "device"
            options = {"count": count, "precision": "fp32", "device": device, "threads": threads, "training_batch_size": 4, "learning_rate": RATE}
            losses[name] = bench.train(task, folder / name, **options)[0]["train"]["loss"]
        relative = abs(losses["device"] - losses["cpu"]) / abs(losses["cpu"])
        if not relative <= NEAR:
            raise Failed(f"the loss is {losses['device']:.6g} on {bench.device} and {losses['cpu']:.6g} on the CPU; {NEAR:.1%} apart is allowed")
        return {"loss": losses["device"], "loss on the CPU": losses["cpu"], "apart": relative}

    return run


def repeated(task):
    """The same training twice. Equal bits are a fact and not a condition: docs/gpu.md says which operations have none."""

    def run(bench):
        folder = bench.folder(f"seed-{task}")
        for name in ("first", "second"):
            bench.train(task, folder / name, number_of_epochs=2)
        last = "checkpoints/last/model.safetensors"
        return apart(folder / "first" / last, folder / "second" / last)

    return run


def resumed(task):
    """A training that is killed in its second epoch and resumed, beside one that is not."""

    def run(bench):
        folder = bench.folder(f"resume-{task}")
        bench.train(task, folder / "whole", number_of_epochs=3)
        command, log = bench.command(task, folder / "killed", number_of_epochs=3), folder / "log"
        kill_after(bench.process(command, log), lambda: epochs(folder / "killed"), log, bench.place.remaining() or 300)
        before = len(epochs(folder / "killed"))
        if before >= 3:
            raise Failed("the training had ended before it was killed; give it more images")
        bench.place.trainer("train", "--output", folder / "killed", "--resume")
        after = len(epochs(folder / "killed"))
        if after != 3:
            raise Failed(f"the resumed training has records of {after} epochs instead of 3")
        last = "checkpoints/last/model.safetensors"
        return {"epochs before the kill": before, **apart(folder / "whole" / last, folder / "killed" / last)}

    return run


def used(task):
    """`evaluate`, `predict` and, for a classifier, `embed` of a checkpoint on the device and on the CPU."""

    def run(bench):
        folder = bench.folder(f"use-{task}")
        bench.train(task, folder / "run")
        data = bench.data(TASKS[task][0], 24 if bench.rehearses else 240)
        images = sorted((data / "images/test").iterdir())[:8]
        facts = {}
        for what, arguments in [
            ("evaluate", ["--data", data / "test.jsonl"]), ("predict", images),
            *([("embed", ["--output", folder / "{device}.jsonl", *images])] if "classification" in TASKS[task][0] else []),
        ]:
            answers = []
            for device in (bench.device, "cpu"):
                own = [str(part).format(device=f"{device.replace(':', '-')}-{len(answers)}") for part in arguments]
                started = time.perf_counter()
                answers.append(bench.place.trainer(what, "--checkpoint", folder / "run", "--device", device, *own))
                facts.setdefault(f"{what}, seconds", round(time.perf_counter() - started, 2))
            if what == "embed":
                answers = [lines(folder, device, index) for index, device in enumerate((bench.device, "cpu"))]
            facts[f"{what}, largest difference"] = largest_difference(*answers)
        return facts

    return run


def lines(folder, device, index):
    path = folder / f"{device.replace(':', '-')}-{index}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def largest_difference(a, b, place=""):
    """The largest difference of two numbers at the same place of two answers. Raises `Failed` where anything else differs."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return max([0.0, *(largest_difference(a[key], b[key], f"{place}/{key}") for key in a if key not in ("seconds", "saved", "output"))])
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return max([0.0, *(largest_difference(x, y, f"{place}/{number}") for number, (x, y) in enumerate(zip(a, b)))])
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return abs(a - b)
    if a != b:
        raise Failed(f"{place}: {str(a)[:120]} on the device and {str(b)[:120]} on the CPU")
    return 0.0


def units():
    """All checks, those first that explain the others."""
    yield from (Unit(f"tests/{part}", title, tests(part), needs=120) for part, (title, _) in TESTS.items())
    for task in TASKS:
        yield Unit(f"near/{task}", f"{task}: the loss of an epoch in float32, beside the CPU", near_the_cpu(task), needs=150)
    for task in ("classification", "yolov5", "fasterrcnn"):
        yield Unit(f"seed/{task}", f"{task}: the same seed twice", repeated(task), needs=120)
    for task in ("classification", "yolov5", "fasterrcnn"):
        yield Unit(f"resume/{task}", f"{task}: killed with SIGKILL and resumed", resumed(task), needs=150)
    for task in TASKS:
        yield Unit(f"train/{task}", f"{task}: an epoch of 168 images", trained(task), needs=90)
    for task in ("classification", "yolov5", "fasterrcnn"):
        yield Unit(f"train/{task}-fp16", f"{task}: the same in fp16 with a scaled loss", trained(task, "fp16"), needs=90)
    for task in ("classification", "yolov5"):
        yield Unit(f"use/{task}", f"{task}: evaluate, predict and embed, beside the CPU", used(task), needs=120)
