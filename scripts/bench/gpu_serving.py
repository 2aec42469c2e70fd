"""The server on ONNX Runtime's CUDA provider, as scripts/gpu looks at it: what it answers, how much, and what memory it takes."""

import itertools
import pathlib
import threading
import time
import zipfile

from gpu_memory import of_card
from gpu_unit import Skipped, Unit
from machine import Failed
from serving import asked, served

CLIENTS = (1, 8, 32)
# Probabilities by a card and by a processor: products of float32 in another order, through fifty layers.
NEAR = 1e-3


def joined(folder, into):
    """ONNX Runtime's wheel for CUDA in a folder: as it lies there, or made of its parts in the order of their names. Raises `Skipped` where
    there is none."""
    whole, parts = sorted(folder.glob("*.whl")), sorted(folder.glob("*.part*"), key=lambda path: (len(path.name), path.name))
    if whole:
        return whole[0]
    if not parts:
        raise Skipped(f"{folder} has no wheel of onnxruntime-gpu and no parts of one: `scripts/gpu-kit --server` makes them, --onnxruntime names the folder")
    path = into / "onnxruntime-gpu.whl"
    with path.open("wb") as out:
        for part in parts:
            out.write(part.read_bytes())
    if not zipfile.is_zipfile(path):
        raise Skipped(f"the {len(parts)} parts in {folder} do not make a wheel yet; bring the others")
    return path


def library(bench):
    """ONNX Runtime for the device: the kit's own for the CPU, and for a card what is in the wheel, unpacked once."""
    if bench.rehearses:
        return pathlib.Path(bench.place.environment["FOVEA_ONNXRUNTIME"])
    made = bench.place.folder / "onnxruntime-gpu"
    if not (made / ".complete").exists():
        made.mkdir(exist_ok=True)
        with zipfile.ZipFile(joined(bench.onnxruntime, made)) as wheel:
            for name in wheel.namelist():
                file = name.split("/")[-1]
                if name.startswith("onnxruntime/capi/libonnxruntime") and "tensorrt" not in file:
                    (made / file).write_bytes(wheel.read(name))
        (made / ".complete").write_text("")
    return made


def options(bench, graphs=False):
    """How the server is told where to compute. Raises `Skipped` where it knows of no providers."""
    known = bench.attempt([bench.place.programs / "server", "--help"])
    if graphs and (bench.rehearses or "--cuda-graphs" not in known):
        raise Skipped("graphs are recorded on a card only, by a server that has --cuda-graphs")
    if "--provider" not in known and not bench.rehearses:
        raise Skipped("this server has no --provider: it computes on the CPU alone")
    chosen = ["--provider", bench.device] if "--provider" in known else []
    return [*chosen, *(["--cuda-graphs"] if graphs else []), "--library", str(library(bench))]


def model(bench):
    """A trained and exported classifier and images of several sizes; made once."""
    folder = bench.place.folder / "served"
    if not (folder / "model.onnx").exists():
        folder = bench.folder("served")
        bench.train("classification", folder / "run", device="cpu" if bench.rehearses else bench.device)
        bench.place.run(["{programs}/exporter", "--checkpoint", str(folder / "run"), "--form", "prepared", "--output", str(folder / "model.onnx")])
    data = bench.data("image-classification", 24 if bench.rehearses else 240)
    return folder / "model.onnx", sorted((data / "images/test").iterdir())


def golden(bench, graphs=False):
    """Answers of the server on the device beside those of the same file on the CPU."""
    chosen = options(bench, graphs)
    onnx, images = model(bench)
    expected = bench.place.trainer("predict", "--onnx", onnx, "--top", 1000, *images)["predictions"]
    largest = 0.0
    with served(bench.place, onnx, *chosen) as url:
        for image, wanted in zip(images, expected):
            answer = asked(url, image)
            by_label = dict(zip(answer["labels"], answer["probs"]))
            largest = max([largest, *(abs(by_label[label] - value) for label, value in zip(wanted["labels"], wanted["probs"]))])
    if not largest <= NEAR:
        raise Failed(f"a probability is {largest:.2g} from what the file says on the CPU; {NEAR} is allowed")
    return {"images": len(images), "largest difference": largest}


def load(url, images, clients, seconds):
    """Images a second that so many clients get answers about, one image a request. Raises `Failed` where a request fails."""
    until, answered, failed = time.monotonic() + seconds, [0] * clients, []

    def client(number):
        try:
            for image in itertools.islice(itertools.cycle(images), number, None):
                if time.monotonic() > until:
                    return
                asked(url, image)
                answered[number] += 1
        except Exception as error:  # of a thread: told to the one that started it
            failed.append(error)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise Failed(f"{len(failed)} of {clients} clients got no answer; the first: {failed[0]}")
    return sum(answered) / (time.monotonic() - started)


def throughput(bench, graphs=False):
    """Images a second at several numbers of clients, and the card's memory before and after."""
    chosen = options(bench, graphs)
    onnx, images = model(bench)
    facts, seconds = {}, 1 if bench.rehearses else 10
    with served(bench.place, onnx, *chosen) as url:
        for image in images:
            asked(url, image)
        before = of_card() if bench.card else None
        for clients in CLIENTS:
            facts[f"images a second at {clients} clients"] = round(load(url, images, clients, seconds), 1)
        after = of_card() if bench.card else None
    if before is not None and after is not None:
        facts["growth of the card's memory in MiB"] = round(after - before, 1)
    return facts


def units():
    yield Unit("server/golden", "the server's answers, beside the file's on the CPU", golden, needs=120)
    yield Unit("server/throughput", "the server's throughput", throughput, needs=120)
    for name, run in [("golden", golden), ("throughput", throughput)]:
        yield Unit(f"server/graphs-{name}", f"the same as `server/{name}` with CUDA graphs", lambda bench, run=run: run(bench, True), needs=120)
