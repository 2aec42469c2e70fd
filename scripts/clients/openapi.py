"""Schemathesis with the server's own description: openapi.py HOST:PORT

Requests are made of /openapi.json, of which some fit it and some do not. No answer may be a failure of the server, have a status, a type,
a header or a body that the description does not name, or accept what it refuses.
"""

import os
import pathlib
import subprocess
import sys
import sysconfig
import tempfile

import requests

from checks import Checks

HERE = pathlib.Path(__file__).parent
# The routes that run a model, with how many requests have to have been answered by each: else nothing was tested.
ANSWERED = {"score": 40, "v2_infer": 30}


def answers(url, route):
    """How many requests of a route the server has answered with what was asked for."""
    with requests.Session() as client:
        client.trust_env = False
        lines = client.get(f"{url}/metrics", timeout=60).text.splitlines()
    found = [line for line in lines if line.startswith("fovea_requests_total{") and f'route="{route}"' in line and 'outcome="ok"' in line]
    return sum(float(line.rsplit(" ", 1)[1]) for line in found)


def described(checks, url):
    """Runs schemathesis."""
    before = {route: answers(url, route) for route in ANSWERED}
    program = pathlib.Path(sysconfig.get_path("scripts")) / "st"
    command = [program, "--config-file", HERE / "schemathesis.toml", "run", f"{url}/openapi.json", "--no-color"]
    # It leaves a folder of its own where it is started.
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "SCHEMATHESIS_HOOKS": "openapi_hooks", "PYTHONPATH": str(HERE)}
        done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    checks.that("schemathesis", done.returncode == 0, f"\n{done.stdout}")
    made = [line.strip() for line in done.stdout.splitlines() if "generated" in line]
    print(f"schemathesis: {made[-1] if made else 'nothing generated'}")
    for route, least in ANSWERED.items():
        count = answers(url, route) - before[route]
        checks.that(f"requests that {route} answered", count >= least, f"{count} instead of {least} or more")


if __name__ == "__main__":
    found = Checks("openapi.json")
    found.part(described, f"http://{sys.argv[1]}")
    found.end()
