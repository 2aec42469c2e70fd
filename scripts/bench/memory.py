"""Resident memory of a training on generated images, read after each epoch: memory.py TRAINER EPOCHS

Prints the slope over the second half of the epochs in MiB an epoch, and the memory after the last one and at some before.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time


def resident(process):
    """MiB of a process; None when it has just ended."""
    try:
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return None
    kib = next((line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")), None)
    return kib and int(kib) / 1024


def readings(trainer, epochs, folder):
    """MiB after each epoch."""
    data, run = f"{folder}/data", pathlib.Path(folder) / "run"
    subprocess.run([trainer, "sample-data", "--output", data, "--count", "120"], check=True, stdout=subprocess.DEVNULL)
    command = f"""train --training_data {data}/train.jsonl --validation_data {data}/validation.jsonl --pretrained none
        --train_crop_size 64 --valid_crop_size 64 --valid_resize_size 72 --early_stopping false --export none
        --number_of_epochs {epochs} --output {run}""".split()
    log = pathlib.Path(folder) / "log"
    with log.open("w") as errors:
        process = subprocess.Popen([trainer, *command], stdout=subprocess.DEVNULL, stderr=errors)
    records, found = run / "metrics.jsonl", {}
    while process.poll() is None:
        done = len(records.read_text().splitlines()) if records.exists() else 0
        mib = resident(process) if done else None
        if mib:
            found.setdefault(done, mib)
        time.sleep(0.02)
    if process.returncode:
        sys.exit(f"{trainer} ended with exit code {process.returncode}: {log.read_text()[-1000:]}")
    return found


def main():
    trainer, epochs = sys.argv[1], int(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        found = readings(trainer, epochs, folder)
    half = sorted((epoch, mib) for epoch, mib in found.items() if epoch > epochs / 2)
    middle = sum(epoch for epoch, _ in half) / len(half)
    mean = sum(mib for _, mib in half) / len(half)
    square = sum((epoch - middle) ** 2 for epoch, _ in half)
    slope = sum((epoch - middle) * (mib - mean) for epoch, mib in half) / square if square else 0.0
    some = {str(epoch): mib for epoch, mib in sorted(found.items()) if epoch == 1 or epoch % 10 == 0}
    print(json.dumps({"slope": slope, "resident": half[-1][1], "by epoch": some}))


if __name__ == "__main__":
    main()
