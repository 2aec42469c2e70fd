"""What a process and all below it have taken, from /proc: time of processors, and memory."""

import os
import pathlib

PROC = pathlib.Path("/proc")


def stat(process):
    """The fields of /proc/N/stat after the name, of which the first is the state; None where the process has gone."""
    try:
        return (PROC / str(process) / "stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return None


def tree(process):
    """The process and all below it."""
    found = {int(folder.name): stat(folder.name) for folder in PROC.iterdir() if folder.name.isdigit()}
    parents = {number: int(fields[1]) for number, fields in found.items() if fields}
    members = [process]
    for member in members:
        members += [number for number, parent in parents.items() if parent == member]
    return members


def seconds(process):
    """Seconds of processors that the process and all below it have taken, those that have ended included."""
    fields = [stat(member) for member in tree(process)]
    # User and system, and of children that have been waited for.
    return sum(int(value) for known in fields if known for value in known[11:15]) / os.sysconf("SC_CLK_TCK")


def memory(process):
    """Megabytes of them all; what several share is counted once."""
    total = 0
    for member in tree(process):
        try:
            lines = (PROC / str(member) / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1000
