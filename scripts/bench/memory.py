#!/usr/bin/env python3
"""Resident memory of a training over 50 epochs: one reading after each, and the slope of the second half.

    scripts/bench/memory.py                  # EfficientNet-Lite0 at 64 px on generated pictures, some two minutes
"""

import argparse
import json
import pathlib
import subprocess
import tempfile
import time

BIN = pathlib.Path(__file__).resolve().parents[2] / "target/release/trainer"


def resident(process):
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1]) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=50)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data, run = f"{folder}/data", f"{folder}/run"
        subprocess.run([BIN, "sample-data", "--output", data, "--count", "120"], check=True, stdout=subprocess.DEVNULL)
        command = f"""train --training_data {data}/train.jsonl --validation_data {data}/validation.jsonl --pretrained none
            --train_crop_size 64 --valid_crop_size 64 --valid_resize_size 72 --early_stopping false --export none
            --number_of_epochs {args.epochs} --output {run}""".split()
        process = subprocess.Popen([BIN, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        records, readings = pathlib.Path(run) / "metrics.jsonl", {}
        while process.poll() is None:
            done = len(records.read_text().splitlines()) if records.exists() else 0
            if done:
                try:
                    readings.setdefault(done, resident(process))
                except (FileNotFoundError, ProcessLookupError, StopIteration):
                    break  # it has just ended
            time.sleep(0.02)
        process.wait()
    for epoch, mib in sorted(readings.items()):
        if epoch == 1 or epoch % 10 == 0:
            print(f"epoch {epoch:3}: {mib:.0f} MiB")
    half = sorted((e, m) for e, m in readings.items() if e > args.epochs / 2)
    mean_e, mean_m = (sum(side) / len(half) for side in zip(*half))
    slope = sum((e - mean_e) * (m - mean_m) for e, m in half) / sum((e - mean_e) ** 2 for e, _ in half)
    print(json.dumps({"epochs": args.epochs, "slope_mib_per_epoch_second_half": round(slope, 3), "peak_mib": max(readings.values())}))


if __name__ == "__main__":
    main()
