#!/usr/bin/env python3
"""Checks against a real MLflow server what `sweep::mlflow` logs, and loads the model folder that it writes with MLflow.

    python scripts/oracle/mlflow_server.py --program target/release/examples/mlflow_check [--only proxied]

Starts a server of the installed MLflow three times: one that takes artifacts itself, one whose artifacts lie in a folder, and one that
asks for user and password. Each time the program (trainer/sweep/examples/mlflow_check.rs) logs a study with known contents, and
MLflow's own client must read the same. The server with a password is skipped by name where `mlflow[auth]` is not installed.
"""
import argparse
import contextlib
import hashlib
import importlib.util
import json
import logging
import math
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
import mlflow
import numpy
import onnx
import onnxruntime

START_MS = 1_700_000_000_000
SECONDS_TO_START = 120
USER, PASSWORD = "admin", "a word: of this check"
FIXTURES = pathlib.Path("server/tests/fixtures")


@contextlib.contextmanager
def served(folder, *words, environment=None):
    """A server in a folder of its own, and its address. It ends with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", *words]
    log = open(folder / "server.log", "w", encoding="utf-8")
    process = subprocess.Popen(
        command, stdout=log, stderr=log, cwd=folder, env={**os.environ, **(environment or {})}, start_new_session=True
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(SECONDS_TO_START * 4):
            assert process.poll() is None, f"the server ended: {(folder / 'server.log').read_text()}"
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.25)
        else:
            raise AssertionError(f"the server does not start: {(folder / 'server.log').read_text()}")
        yield address
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)
        log.close()


def logged(program, address, model, folder, environment=None):
    """Runs the program, and gives what it says."""
    command = [program, address, "signs & more/ü", *map(str, model), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env={**os.environ, **(environment or {})})


def read_back(address, made):
    """Compares what the server has with what the program has been told to log."""
    client = mlflow.MlflowClient(address)
    experiment = client.get_experiment_by_name("signs & more/ü")
    assert experiment.experiment_id == made["experiment"] == made["experiment_again"]
    runs = {name: client.get_run(made[name]) for name in ("parent", "trial", "failed")}
    ends = {name: (run.info.status, run.info.start_time, run.info.end_time, run.info.run_name) for name, run in runs.items()}
    assert ends == {
        "parent": ("KILLED", START_MS, START_MS + 3, "study"),
        "trial": ("FINISHED", START_MS, START_MS + 2, "trial 1"),
        "failed": ("FAILED", START_MS, START_MS + 1, "trial 2"),
    }, ends
    tags = runs["parent"].data.tags
    assert tags["fovea.study"] == "first study" and tags["mlflow.source.name"] == "trainer", tags
    assert tags[made["names"]["tag"]] == "ü" * 4997 + "..."
    assert runs["trial"].data.tags["mlflow.parentRunId"] == runs["failed"].data.tags["mlflow.parentRunId"] == made["parent"]
    assert (made["found"], made["missing"]) == (made["trial"], None)
    children = client.search_runs([made["experiment"]], f"tags.`mlflow.parentRunId` = '{made['parent']}'")
    assert {run.info.run_id for run in children} == {made["trial"], made["failed"]}

    params = {f"p{i}": str(i) for i in range(150)} | {"long": "ä" * 5997 + "...", "empty": "", made["names"]["param"]: "name"}
    assert runs["trial"].data.params == params
    assert made["conflict"] and "INVALID_PARAMETER_VALUE" in made["conflict"], made["conflict"]

    def history(name):
        rows = client.get_metric_history(made["trial"], name)
        return [(row.step, row.timestamp, row.value) for row in sorted(rows, key=lambda row: row.step)]

    assert history("loss") == [(step, START_MS + step, 1.0 / (step + 1)) for step in range(2500)]
    special = history("special")
    assert [row[:2] for row in special] == [(step, START_MS + step) for step in range(4)]
    values = [row[2] for row in special]
    assert math.isnan(values[0]) and values[1] >= sys.float_info.max and values[2] <= -sys.float_info.max and values[3] == -0.1, values
    assert history(made["names"]["metric"]) == [(0, START_MS, 0.5)]

    versions = client.search_model_versions("name = 'colours'")
    assert sorted(str(version.version) for version in versions) == sorted(made["versions"]) == ["1", "2"], versions
    assert all(version.run_id == made["trial"] and version.tags == {"task": "none"} for version in versions)
    return values


def loads(address, made, onnx_file, work):
    """Loads the model from the server, by the run and by the registry, and compares its answers with those of the file."""
    mlflow.set_tracking_uri(address)
    images = numpy.random.default_rng(1).integers(0, 256, (2, 33, 20, 3), dtype=numpy.uint8)
    session = onnxruntime.InferenceSession(str(onnx_file))
    names = [output.name for output in session.get_outputs()]
    expected = dict(zip(names, session.run(None, {"images": images})))
    digest = hashlib.sha256(onnx_file.read_bytes()).hexdigest()
    places = [made["folder"], f"runs:/{made['trial']}/model", f"models:/colours/{made['versions'][-1]}"]
    for place in places:
        assert mlflow.onnx.load_model(place) == onnx.load(str(onnx_file)), place
        loaded = mlflow.pyfunc.load_model(place)
        for given in ({"images": images}, images):
            answer = loaded.predict(given)
            assert list(answer) == names and all((answer[name] == expected[name]).all() for name in names), place
        with contextlib.suppress(mlflow.exceptions.MlflowException):
            loaded.predict({"images": images.astype(numpy.float32)})
            raise AssertionError("float images are taken against the signature")
        info = mlflow.models.get_model_info(place)
        assert [(tensor.name, tensor.type, tensor.shape) for tensor in info.signature.inputs] == [("images", "uint8", (-1, -1, -1, 3))]
        outputs = [(tensor.name, str(tensor.type), len(tensor.shape)) for tensor in info.signature.outputs]
        assert outputs == [(name, str(value.dtype), value.ndim) for name, value in expected.items()], outputs
        assert info.metadata == {"labels": '["red","green","blue"]'} and info.run_id == made["trial"], info
    copied = pathlib.Path(mlflow.artifacts.download_artifacts(run_id=made["trial"], artifact_path="model", dst_path=str(work / "copy")))
    # MLflow leaves a note in the folder of a store that it need not download from.
    files = sorted(path.name for path in copied.iterdir() if path.name != "registered_model_meta")
    assert files == ["MLmodel", "conda.yaml", "model.onnx", "python_env.yaml", "requirements.txt"], files
    assert hashlib.sha256((copied / "model.onnx").read_bytes()).hexdigest() == digest
    text = mlflow.artifacts.download_artifacts(run_id=made["parent"], artifact_path="reports/a b/ü.txt", dst_path=str(work / "text"))
    assert pathlib.Path(text).read_bytes() == (copied / "MLmodel").read_bytes()
    # MLflow's own reader of requirements must be content too.
    assert mlflow.pyfunc.get_model_dependencies(str(copied)), copied


def check(program, model, place, words, work, environment=None):
    folder = work / place
    (folder / "store").mkdir(parents=True)
    words = [word.replace("FOLDER", str(folder)) for word in words]
    with served(folder, *words, environment=environment) as address:
        done = logged(program, address, model, folder / "made", environment)
        assert done.returncode == 0, f"{done.stderr}{(folder / 'server.log').read_text()[-3000:]}"
        made = json.loads(done.stdout)
        values = read_back(address, made)
        loads(address, made, model[1], folder)
        if environment:
            refused = logged(program, address, model, folder / "again", {**environment, "MLFLOW_TRACKING_PASSWORD": "another word"})
            assert refused.returncode == 1 and "MLFLOW_TRACKING_PASSWORD" in refused.stderr and "401" in refused.stderr, refused
            assert "another word" not in refused.stderr, refused
    refused = logged(program, address, model, folder / "again")
    assert refused.returncode == 1 and "check that an MLflow server runs there" in refused.stderr, refused
    scheme = made["artifact_uri"].split(":")[0]
    print(
        f"mlflow: {place}, {model[0]}: 3 runs, 153 parameters, 2505 values (the special ones: {values}), 2 versions equal; "
        f"artifacts at {scheme}:; model loaded from folder, run and registry, answers equal",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="trainer/sweep/examples/mlflow_check.rs, built")
    parser.add_argument("--only", choices=("proxied", "folder", "password"), help="one of the three servers")
    wanted = parser.parse_args()
    program = str(pathlib.Path(wanted.program).resolve())
    models = [
        ("image-classification", (FIXTURES / "tiny_whole.onnx").resolve()),
        ("image-object-detection", (FIXTURES / "tiny_detector_whole.onnx").resolve()),
        ("image-instance-segmentation", (FIXTURES / "tiny_masks_whole.onnx").resolve()),
    ]
    # Thresholds that are optional inputs, and a card that is not there.
    onnxruntime.set_default_logger_severity(3)
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    print(f"mlflow: {mlflow.__version__}, onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}, numpy {numpy.__version__}", flush=True)
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        if wanted.only in (None, "proxied"):
            check(program, models[0], "proxied", ["--artifacts-destination", "FOLDER/store"], work)
        if wanted.only in (None, "folder"):
            check(program, models[1], "folder", ["--no-serve-artifacts", "--default-artifact-root", "file://FOLDER/store"], work)
        if wanted.only not in (None, "password"):
            return
        if importlib.util.find_spec("flask_wtf") is None:
            print("mlflow: password: skipped, mlflow[auth] is not installed")
            return
        settings = work / "auth.ini"
        settings.write_text(
            f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{work}/auth.db\nadmin_username = {USER}\n"
            f"admin_password = {PASSWORD}\nauthorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        )
        environment = {
            "MLFLOW_AUTH_CONFIG_PATH": str(settings),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "a key of this check",
            "MLFLOW_TRACKING_USERNAME": USER,
            "MLFLOW_TRACKING_PASSWORD": PASSWORD,
        }
        # Of the client in this program.
        os.environ.update({name: environment[name] for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")})
        check(program, models[2], "password", ["--artifacts-destination", "FOLDER/store", "--app-name", "basic-auth"], work, environment)


if __name__ == "__main__":
    main()
