"""The pipeline behind Triton: serve_triton.py PORT WORKERS image|pixels. Makes a folder of models below the current one and becomes the server.

The Python backend runs the model, with as many instances, each a process, as there are workers. That is several times faster than to bind
a function with PyTriton, which puts a proxy before it; of PyTriton only the package with Triton's programs is taken. Dynamic batching is
off, as it is by default: tried with it, the network that does nothing took a fifth less of the processors, but the classifier was not
faster, and its slowest answers came later. Nothing but HTTP is open, on this machine alone.
"""

import os
import pathlib
import shutil
import sys

import onnxruntime
import pytriton

HERE = pathlib.Path(__file__).resolve().parent
PACKAGE = pathlib.Path(pytriton.__file__).parent
PROGRAMS = PACKAGE / "tritonserver"
# ONNX Runtime's names of types that files of the benchmarks have, in Triton's words.
TYPES = {"tensor(uint8)": "TYPE_UINT8", "tensor(int64)": "TYPE_INT64", "tensor(float)": "TYPE_FP32"}
IMAGE = [("image", "TYPE_STRING", [1])], [("answer", "TYPE_STRING", [1])]


def pixels():
    """The tensors of the file: those that go in, and those that come out."""
    session = onnxruntime.InferenceSession(os.environ["BENCH_MODEL"], providers=["CPUExecutionProvider"])
    return [
        [(one.name, TYPES[one.type], [length if isinstance(length, int) else -1 for length in one.shape]) for one in ends]
        for ends in (session.get_inputs(), session.get_outputs())
    ]


def configuration(workers, tensors):
    """The text of config.pbtxt."""
    lines = ['backend: "python"', "max_batch_size: 0", f"instance_group [{{ kind: KIND_CPU, count: {workers} }}]"]
    for end, ones in zip(("input", "output"), tensors):
        lines += [f'{end} {{ name: "{name}", data_type: {kind}, dims: {dims} }}' for name, kind, dims in ones]
    return "\n".join(lines) + "\n"


def models(folder, workers, sent):
    """A folder with one model, m."""
    (folder / "m/1").mkdir(parents=True)
    shutil.copy(HERE / "triton_model.py", folder / "m/1/model.py")
    shutil.copy(HERE / "serving_model.py", folder / "m/1")
    (folder / "m/config.pbtxt").write_text(configuration(workers, pixels() if sent == "pixels" else IMAGE))
    return folder


def backends(folder):
    """A folder with the Python backend, and in it the program of its instances that is made for this version of Python."""
    shutil.copytree(PROGRAMS / "backends", folder)
    version = ".".join(map(str, sys.version_info[:2]))
    shutil.copy(PROGRAMS / "python_backend_stubs" / version / "triton_python_backend_stub", folder / "python")
    return folder


def main():
    port, workers, sent = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    folder = pathlib.Path(f"triton-{port}").resolve()

    def before(name, first):
        return os.pathsep.join([str(first), *filter(None, [os.environ.get(name)])])

    variables = {
        # The instances take the first Python of the path, with its packages.
        **os.environ, "PATH": before("PATH", pathlib.Path(sys.executable).parent), "BENCH_SENT": sent,
        "LD_LIBRARY_PATH": before("LD_LIBRARY_PATH", PACKAGE.parent / "nvidia_pytriton.libs"),
    }
    options = {
        "model-repository": models(folder / "models", workers, sent), "backend-directory": backends(folder / "backends"),
        "http-address": "127.0.0.1", "http-port": port, "allow-grpc": "false", "allow-metrics": "false",
        # Before the benchmark kills what has not ended: it would leave its shared memory behind.
        "exit-timeout-secs": 5, "backend-config": f"python,shm-region-prefix-name=fovea-bench-{port}",
    }
    program = str(PROGRAMS / "bin/tritonserver")
    os.execve(program, [program, *(f"--{name}={value}" for name, value in options.items())], variables)


if __name__ == "__main__":
    main()
