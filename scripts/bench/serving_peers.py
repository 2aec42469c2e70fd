#!/usr/bin/env python3
"""How much the server answers beside LitServe, BentoML and Triton, which run the same files with the same ONNX Runtime.

    scripts/bench/serving_peers.py --list                      every case, and what is known of it
    scripts/bench/serving_peers.py --quick [CASE...]           seconds each, on generated images: does the benchmark work? Nothing is recorded
    scripts/bench/serving_peers.py CASE...                     measures, prints the table, keeps the records, makes the page anew
    scripts/bench/serving_peers.py --page                      makes docs/serving-speed.md of docs/records/serving.json
    scripts/bench/serving_peers.py --check                     ends with 1 when that page says something else than the records

CASE is the name of a case or the beginning of names (classifier/8, overload); all is everything. Before: cargo build --release --locked
--workspace --features tests/torch --bins --examples. The peers are installed into native/tools/serving-peers, once (about 300 MB), by
scripts/bench/peers/serving.txt; FOVEA_OFFLINE=1 forbids the network: then they have to be there. So is Triton into
native/tools/serving-triton (about 450 MB), by serving_triton.txt, of the system's Python or else of the one that runs this: of the first
under which Triton starts. Where it starts under neither, it is left out, and that is said.

Servers are started one after the other, in every round in another order, and asked by server/examples/load.rs over connections that are
kept. On a busy machine nothing is measured unless --busy says so.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import command
import machine
import page
import processes
from command import Book
from machine import ROOT, Failed
from place import BENCH, PROGRAMS, Place, rows
from recipe_table import flags
from records import spread
from serving_cases import LOOPS, MODELS, SECTIONS, SIDES, WAYS, all_cases

sys.path.insert(0, str(ROOT / "scripts"))

from packages import Unavailable, environment

FIXTURES = ROOT / "server/tests/fixtures"
SMALL = FIXTURES / "progressive.jpg"
# The packages that a run names, by environment.
PEERS = {"serving": ("litserve", "bentoml", "onnxruntime", "pillow"), "serving_triton": ("nvidia-pytriton",)}
# Pixels of a side of the tensor: 600 KB.
TENSOR = 448
BOUNDARY = "fovea-bench"
V2_PATH, FRAME = "/v2/models/m/infer", "Inference-Header-Content-Length"
# Seconds that a server has to start, and to end.
PATIENCE = 120
# Triton's Python backend loads the system's libpython, and with it the standard library of this Python: the system's own fits best.
TRITON_PYTHONS = ("/usr/bin/python3", sys.executable)
# Clients of an overload, and how many find out what a server can do.
MANY, FULL = 256, 32
# By how much a probability may be another than ours, since each side has a resize of its own.
NEAR = 0.05
INTRODUCTION = """Made by `scripts/bench/serving_peers.py --page` of [records/serving.json](records/serving.json); do not change it by hand.
The server beside [LitServe](https://github.com/Lightning-AI/LitServe), [BentoML](https://github.com/bentoml/BentoML) and
[Triton](https://github.com/triton-inference-server/server) 2.51, whose applications are in `scripts/bench/peers/`: the same ONNX file (form
`prepared`), the same version of ONNX Runtime, the same number of threads, the same JPEGs; Pillow decodes and resizes for them. Triton is
that of [PyTriton](https://github.com/triton-inference-server/pytriton)'s package, which brings its Python backend alone: an instance of it
does what the others' applications do, and no batches are made. Every client sends its next request when it has its answer. Latencies are in
milliseconds. CPU is the time of processors that a request took, of all the server's processes; beside it stands that of a loop which
decodes, resizes and runs without a server. Memory is that of all processes, what they share counted once. Where there are several rounds, medians are shown with the
least and the greatest. The number under run leads to [machine and commit](#runs)."""


@dataclasses.dataclass
class Running:
    """A server that answers."""

    process: subprocess.Popen
    address: str

    def seconds(self):
        return processes.seconds(self.process.pid)

    def memory(self):
        return processes.memory(self.process.pid)


@dataclasses.dataclass(frozen=True)
class Requests:
    """What a side is sent: files of bodies, the headers and the path."""

    bodies: list
    headers: list
    path: str = "/score"


@dataclasses.dataclass(frozen=True)
class Work:
    """What a section sends, in each way of serving_cases.WAYS, and the images of it; none where it sends pixels."""

    ways: dict
    images: list

    def of(self, side):
        """What a side is sent."""
        return self.ways[side.way]


@dataclasses.dataclass
class Bench:
    """Everything that measurements share."""

    place: Place
    # Of each environment that sides need, by its name; without those that cannot be had.
    pythons: dict
    rounds: int
    seconds: float
    overload: float
    warm_up: float
    threads: int


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def kept_on(processor):
    """Keeps a process on a processor from its start."""
    return None if processor is None else lambda: os.sched_setaffinity(0, {processor})


def ask(url, body, headers):
    """Status, headers and body of an answer."""
    # No proxy: the server is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, body, dict(header.split(":", 1) for header in headers))
    try:
        with opener.open(request, timeout=PATIENCE) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def answered(side, requests, address):
    """Status and body of a side's answer to the first request; the body without its frame, if all was well."""
    status, headers, body = ask(f"http://{address}{requests.path}", requests.bodies[0].read_bytes(), requests.headers)
    if status == 200 and side.way == "element":
        # After the JSON about the tensor comes its one element: four bytes of its length, and the text.
        body = body[int(headers[FRAME]) + 4:]
    return status, body


@contextlib.contextmanager
def started(bench, side, model, work, processor=None):
    """A side's server on a file, once it has answered the first request well."""
    port, folder = free_port(), bench.place.folder
    workers, threads = (bench.threads, 1) if side.many else (1, bench.threads)
    if processor is not None:
        threads = 1
    processors = bench.threads if processor is None else 1
    words = {"programs": PROGRAMS, "peers": BENCH / "peers", "port": port, "workers": workers, "threads": threads, "processors": processors}
    words["python"] = bench.pythons.get(side.environment, "python3")
    parts = [part.format(model=model, **words) for part in side.command]
    variables = {
        **os.environ, "BENCH_MODEL": str(model), "BENCH_THREADS": str(threads), "BENCH_WORKERS": str(workers), "PYTHONDONTWRITEBYTECODE": "1",
        "BENTOML_HOME": str(folder / "bentoml"), "BENTOML_DO_NOT_TRACK": "True", "DO_NOT_TRACK": "1",
    }
    log = folder / f"{side.name}.log"
    with log.open("wb") as out:
        # A group of its own, so that the processes that it starts end with it.
        process = subprocess.Popen(
            parts, stdout=out, stderr=subprocess.STDOUT, env=variables, cwd=folder, start_new_session=True, preexec_fn=kept_on(processor),
        )
    try:
        running = Running(process, f"127.0.0.1:{port}")
        await_answer(running, side, work, log)
        yield running
    finally:
        end(process)


def await_answer(running, side, work, log):
    until, said = time.monotonic() + PATIENCE, "nothing"
    while time.monotonic() < until and running.process.poll() is None:
        try:
            status, said = answered(side, work.of(side), running.address)
            if status == 200:
                return
        except OSError as error:
            said = error
        time.sleep(0.2)
    lines = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    raise Failed(f"{side.title} did not answer within {PATIENCE} s; the last answer was: {said}. Its log ends with:\n{lines}")


def end(process):
    """Ends a server and all that it has started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)


def loaded(running, side, work, processor=None, **options):
    """What the load generator found, asked with these options."""
    requests = work.of(side)
    parts = [PROGRAMS / "examples/load", "--address", running.address, "--path", requests.path]
    parts += [word for header in requests.headers for word in ("--header", header)]
    parts += [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
    try:
        done = subprocess.run(
            [str(part) for part in [*parts, *requests.bodies]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=kept_on(processor),
        )
    except OSError as error:
        raise Failed(f"{parts[0]} could not be started: {error.strerror}. Build it: cargo build --release --locked -p server --examples") from error
    if done.returncode:
        raise Failed(f"the load generator ended with {done.returncode}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def latency(found, status, share):
    """A latency of the answers with a status; None without any."""
    return found["statuses"].get(status, {}).get(share)


def closed(bench, running, side, work, clients):
    """Numbers of a closed loop of so many clients."""
    loaded(running, side, work, clients=clients, seconds=bench.warm_up, warm_up=0)
    before = running.seconds()
    found = loaded(running, side, work, clients=clients, seconds=bench.seconds, warm_up=0)
    cost = running.seconds() - before
    bad = {status: of["count"] for status, of in found["statuses"].items() if status != "200"}
    if bad or not found["requests"]:
        raise Failed(f"{side.title} with {clients} clients: not every request was answered well, but {bad or 'none at all'}")
    return {
        "rate": found["rate"], "p50": latency(found, "200", "p50"), "p99": latency(found, "200", "p99"),
        "cpu": 1e3 * cost / found["requests"], "memory": running.memory(),
    }


def recovered(found):
    """Seconds until every request is answered well."""
    bad = [begun for begun, _, others in found["slices"] if others]
    return round(bad[-1] + 0.1, 1) if bad else 0.0


def overloaded(bench, side, model, work):
    """Numbers of a server that is asked twice what it can do."""
    if (os.cpu_count() or 1) < 2 or len(os.sched_getaffinity(0)) < 2:
        raise Failed("an overload needs two processors, one for the server and one for its clients")
    first, second = sorted(os.sched_getaffinity(0))[:2]
    with started(bench, side, model, work, first) as running:
        long = max(bench.seconds, bench.overload / 4)
        capacity = loaded(running, side, work, second, clients=FULL, seconds=long, warm_up=bench.warm_up)["rate"]
        if not capacity:
            raise Failed(f"{side.title} answered nothing within {long:g} s, so that there is no twice of it")
        before = running.memory()
        hard = loaded(running, side, work, second, clients=MANY, rate=2 * capacity, seconds=bench.overload, warm_up=0)
        after = running.memory()
        easy = loaded(running, side, work, second, clients=MANY, rate=capacity / 2, seconds=bench.seconds, warm_up=0)
    requests = max(hard["requests"], 1)
    count = lambda status: hard["statuses"].get(status, {}).get("count", 0)
    return {
        "capacity": capacity, "good": hard["good"], "p99": latency(hard, "200", "p99"), "refused": count("429") / requests,
        "refused_p99": latency(hard, "429", "p99"), "failed": (requests - count("200") - count("429")) / requests, "before": before,
        "after": after, "recovery": recovered(easy),
    }


def alone(bench, loop, model, work):
    """Numbers of a loop without a server."""
    images = work.images or [f"tensor:{TENSOR}"]
    ours = ["{programs}/examples/bare"] if loop == "loop" else ["{python}", "{peers}/bare_loop.py"]
    found = bench.place.run([*ours, model, bench.threads, bench.seconds, *images]).answer()
    return {"rate": found["rate"], "cpu": 1e3 * found["cpu"], **({"p50": found["run"]} if "run" in found else {})}


def model_of(bench, name):
    """The file of a model; made once."""
    model = MODELS[name]
    if model.fixture:
        return FIXTURES / model.fixture
    folder = bench.place.folder / f"model-{name}"
    file = folder / "model.onnx"
    if not file.exists():
        folder.mkdir(exist_ok=True)
        bench.place.trainer("sample-data", "--task", model.task, "--count", 12, "--output", folder / "data")
        options = {"task": model.task, **model.settings, **(model.quick if bench.place.quick else {})}
        bench.place.trainer(
            "train", "--recipe", "specification", "--training_data", folder / "data/train.jsonl", "--validation_data", folder / "data/validation.jsonl",
            "--pretrained", "none", "--number_of_epochs", 1, "--training_batch_size", 4, "--export", "none", "--output", folder / "run",
            *flags(options),
        )
        bench.place.run(["{programs}/exporter", "--checkpoint", folder / "run", "--form", "prepared", "--output", file])
    return file


def photographs(bench):
    """Images of a data set, or made ones."""
    found = [path for path, _ in rows(bench.place.dataset("fridge")["train"])]
    return [path for path in found if path.suffix.lower() in (".jpg", ".jpeg")][:32]


def of_pixels(folder):
    """A V2 request with pixels after its JSON, and the header that says where they begin: the same for every side."""
    shape = [1, TENSOR, TENSOR, 3]
    size = TENSOR * TENSOR * 3
    tensor = {"name": "images", "datatype": "UINT8", "shape": shape, "parameters": {"binary_data_size": size}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    path = folder / "tensor.bin"
    path.write_bytes(head + bytes(size))
    return Work(dict.fromkeys(WAYS, Requests([path], v2_headers(len(head)), V2_PATH)), [])


def v2_headers(length):
    """Those of a V2 request whose JSON is so many bytes long; without any, the body is the one element of the one tensor."""
    return ["Content-Type:application/octet-stream", f"{FRAME}:{length}"]


def of_images(images, folder):
    """The same images in every way."""
    folder.mkdir(exist_ok=True)
    forms = []
    for number, image in enumerate(images):
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="image.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
        forms.append(folder / str(number))
        forms[-1].write_bytes(head.encode() + image.read_bytes() + f"\r\n--{BOUNDARY}--\r\n".encode())
    return Work({
        "body": Requests(images, ["Content-Type:image/jpeg"]),
        "form": Requests(forms, [f"Content-Type:multipart/form-data; boundary={BOUNDARY}"]),
        "element": Requests(images, v2_headers(0), V2_PATH),
    }, images)


def work_of(bench, section):
    """What a section sends."""
    folder = bench.place.folder
    if section.sends == "tensor":
        return of_pixels(folder)
    images = photographs(bench) if section.sends == "photographs" else [SMALL]
    return of_images(images, folder / f"forms-{section.sends}")


def agreed(name, running, side, work, known):
    """A side answers about the first image as the one before it, so that all do the same work."""
    _, body = answered(side, work.of(side), running.address)
    # What follows the JSON of a V2 answer are numbers, which are left out.
    answer, _ = json.JSONDecoder().raw_decode(body.decode("latin-1" if not work.images else "utf-8"))
    if not known:
        known.update(answer)
    if sorted(answer) != sorted(known) or any(answer.get(key) != known.get(key) for key in ("labels", "outputs")):
        raise Failed(f"{name}: {side.title} answers something else: {body[:300]} instead of {json.dumps(known)[:300]}")
    far = max((abs(a - b) for a, b in zip(answer.get("probs", []), known.get("probs", []))), default=0)
    if far > NEAR:
        raise Failed(f"{name}: a probability of {side.title} is {far:.2g} from ours, and {NEAR} is allowed: it does other work")


def measured(bench, section, names):
    """The records of those cases of a section that are named."""
    model, work, found, known = model_of(bench, section.model), work_of(bench, section), {}, {}

    def keep(case, side, numbers):
        print(f"{case:16} {side:18} " + ", ".join(f"{key} {page.number(value)}" for key, value in numbers.items()), flush=True)
        found.setdefault((case, side), []).append(numbers)

    for turn in range(bench.rounds):
        # Who begins is another one in every round, so that a machine that warms up favours nobody.
        there = [side for side in map(SIDES.get, section.sides) if side.environment in bench.pythons]
        sides = [*there[turn % len(there):], *there[:turn % len(there)]]
        if f"{section.name}/alone" in names:
            for loop in section.loops:
                keep(f"{section.name}/alone", loop, alone(bench, loop, model, work))
        for side in sides:
            if section.overload:
                keep(f"{section.name}/twice", side.name, overloaded(bench, side, model, work))
                continue
            asked = [clients for clients in section.clients if f"{section.name}/{clients}" in names]
            if asked:
                with started(bench, side, model, work) as running:
                    agreed(section.name, running, side, work, known)
                    for clients in asked:
                        keep(f"{section.name}/{clients}", side.name, closed(bench, running, side, work, clients))
    return [{"case": case, "side": side, "rounds": len(all_rounds), **joined(all_rounds)} for (case, side), all_rounds in found.items()]


def joined(all_rounds):
    """Each number's median over the rounds, with its ends; left out where no round has it."""
    keys = dict.fromkeys(key for numbers in all_rounds for key in numbers)
    values = {key: [numbers[key] for numbers in all_rounds if numbers.get(key) is not None] for key in keys}
    return {key: spread(each) for key, each in values.items() if each}


COLUMNS = {
    "rate": "requests/s", "p50": "p50, ms", "p99": "p99, ms", "cpu": "CPU, ms a request", "memory": "memory, MB", "capacity": "capacity, requests/s",
    "good": "good answers/s", "refused": "refused", "refused_p99": "p99 of refusals, ms", "failed": "failed", "before": "memory before, MB",
    "after": "and after, MB", "recovery": "recovery, s",
}
SHARES = ("refused", "failed")


def shown(record, key):
    value = record.get(key)
    if value is None:
        return ""
    if key in SHARES:
        return f"{value['median']:.1%}"
    return page.spread(value) if record["rounds"] > 1 and key in ("rate", "p99", "good") else page.number(value["median"]) or "0"


def row(section, record, of_loop, mark):
    case = record["case"].split("/")[1]
    cells = {"clients": case if case.isdigit() else "", "server": LOOPS.get(record["side"]) or SIDES[record["side"]].title}
    for key, title in COLUMNS.items():
        cells[title] = shown(record, key)
        if key == "cpu":
            cells["CPU of the loop, ms"] = page.number(of_loop["cpu"]["median"]) if case.isdigit() and of_loop else ""
    return {**cells, "run": mark}


def section_of_page(one, records, runs):
    """A section of the page."""
    table, missing = [], []
    loops = {record["side"]: record for record in records.records if record["case"] == f"{one.name}/alone"}
    for name in [name for name, section in all_cases() if section is one]:
        found = [record for record in records.records if record["case"] == name]
        missing += [] if found else [name]
        for record in found:
            # Each beside the loop that does what it does.
            loop = loops.get("loop" if record["side"].startswith("ours") and "loop" in loops else "python-loop")
            table.append(row(one, record, loop, runs.mark(record["run"])))
    return page.section(one.title, f"`{one.name}`. {one.about}", table, page.remarks(records, one.name, runs) + page.missing(missing))


BOOK = Book(
    name="serving", page="serving-speed", title="Speed of serving", introduction=INTRODUCTION, key=("case", "side"),
    names=[name for name, _ in all_cases()], section=section_of_page, sections=SECTIONS,
)


def versions(pythons):
    """The peers' packages."""
    found = {}
    for name, python in pythons.items():
        program = f"import importlib.metadata as m, json; print(json.dumps({{p: m.version(p) for p in {PEERS[name]!r}}}))"
        found.update(json.loads(subprocess.run([str(python), "-c", program], stdout=subprocess.PIPE, text=True, check=True).stdout))
    return ", ".join(f"{name} {version}" for name, version in found.items())


def triton(bench):
    """The Python of Triton's environment; None, and a sentence about why, where Triton does not run."""

    def starts(python):
        trial, work = dataclasses.replace(bench, pythons={"serving_triton": python}), of_images([SMALL], bench.place.folder / "forms-trial")
        try:
            with started(trial, SIDES["triton"], FIXTURES / MODELS["tiny"].fixture, work):
                return True
        except Failed:
            return False

    try:
        return environment("serving-triton", BENCH / "peers/serving_triton.txt", TRITON_PYTHONS, starts)
    except Unavailable as error:
        print(f"Triton is left out: {error}", flush=True)
        return None


def listed(records):
    for name, section in all_cases():
        known = [record["side"] for record in records.records if record["case"] == name]
        print(f"  {name:20} {section.title:26} {', '.join(known) or 'no record'}")
    return 0


def arguments():
    parser = command.parser(__doc__, "cases")
    parser.set_defaults(python=None)
    parser.add_argument("--rounds", type=int, default=3, help="times that each server is started and asked [3]")
    parser.add_argument("--seconds", type=float, default=10, help="that each number of clients asks [10]")
    parser.add_argument("--overload", type=float, default=60, help="seconds of an overload [60]")
    parser.add_argument("--threads", type=int, default=2, help="of ONNX Runtime on each side [2]")
    parser.add_argument("--busy", action="store_true", help="measure although the machine does other work")
    return command.read(parser)


def run(args):
    if args.list:
        return listed(BOOK.records())
    if args.page or args.check:
        return BOOK.publish(args.check)
    chosen = command.select(args.names, all_cases(), lambda name, given: name.startswith(given))
    if not (args.quick or args.busy):
        machine.refuse_when_busy()
    try:
        python = args.python or str(environment("serving-peers", BENCH / "peers/serving.txt"))
    except Unavailable as error:
        raise Failed(str(error)) from error
    with tempfile.TemporaryDirectory() as folder:
        place = Place(pathlib.Path(folder), args.data.resolve(), python, 0, args.quick)
        (place.folder / "data").mkdir()
        times = {"rounds": 1, "seconds": 1, "overload": 3, "warm_up": 0.5} if args.quick else {
            "rounds": args.rounds, "seconds": args.seconds, "overload": args.overload, "warm_up": 2,
        }
        bench = Bench(place, {"serving": python}, threads=args.threads, **times)
        if any(SIDES[side].environment == "serving_triton" for _, section in chosen for side in section.sides):
            bench.pythons.update({"serving_triton": path for path in [triton(bench)] if path})
        this = {**machine.describe(), "threads": args.threads, "peer": versions(bench.pythons), **({"note": args.note} if args.note else {})}
        found, others = [], machine.OthersUse()
        for section in SECTIONS:
            names = [name for name, of in chosen if of is section]
            if names:
                found += measured(bench, section, names)
                if args.json or not args.quick:
                    BOOK.keep({**this, "others": others.processors()}, found, args.json)
    return 0


if __name__ == "__main__":
    sys.exit(command.main("serving_peers", arguments(), run))
