"""Python environments of the project's own, each with the packages that a file of requirements pins, in a folder below native/tools."""

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]


class Unavailable(Exception):
    """An environment could not be made. The message says why, and what to do."""


def run(*command):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise Unavailable(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}")


def environment(name, requirements, bases=(sys.executable,), fits=lambda python: True):
    """The Python of native/tools/NAME, which is made if it is not there or its requirements have changed.

    It is made from the first of the Pythons `bases` with which `fits`, asked with the environment's Python, is content.
    """
    home = ROOT / "native/tools" / name
    # A change of any of these makes the environment anew.
    stamp = hashlib.sha256(repr(sys.version_info[:2]).encode() + requirements.read_bytes()).hexdigest()
    python, complete = home / "python/bin/python", home / "complete"
    if complete.is_file() and complete.read_text() == stamp:
        return python
    if os.environ.get("FOVEA_OFFLINE", "0") not in ("", "0"):
        raise Unavailable(f"FOVEA_OFFLINE is set and native/tools/{name} is not there or out of date; run this once without it")
    for base in bases:
        shutil.rmtree(home, ignore_errors=True)
        run(base, "-m", "venv", home / "python")
        run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", requirements)
        if fits(python):
            complete.write_text(stamp)
            return python
    shutil.rmtree(home, ignore_errors=True)
    raise Unavailable(f"what {requirements.name} installs does not run with any of these Pythons: {', '.join(map(str, bases))}")
