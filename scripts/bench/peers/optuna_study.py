"""A case of samplers.py as an Optuna user writes it: optuna_study.py POINTS.json FUNCTION AT_ONCE TRIALS SEED...

A study with the default sampler minimises a function; another trial is asked for when the oldest of those that run is told. Prints the
simple regret of each seed, the milliseconds of a suggestion, the values of the function at the points that the file lists, and the name
and version of the sampler.
"""

import collections
import json
import math
import pathlib
import sys
import time

import optuna

optuna.logging.set_verbosity(optuna.logging.WARNING)

WEIGHTS = [1.0, 1.2, 3.0, 3.2]
SCALES_3 = [[3, 10, 30], [0.1, 10, 35], [3, 10, 30], [0.1, 10, 35]]
CENTRES_3 = [[0.3689, 0.117, 0.2673], [0.4699, 0.4387, 0.747], [0.1091, 0.8732, 0.5547], [0.0381, 0.5743, 0.8828]]
SCALES_6 = [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
CENTRES_6 = [
    [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
    [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
    [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.665],
    [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
]


def branin(p):
    x, y = p["x0"], p["x1"]
    bowl = (y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6) ** 2
    return bowl + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


def hartmann(p, scales, centres):
    x = list(p.values())
    return -sum(w * math.exp(-sum(a * (v - c) ** 2 for a, v, c in zip(s, x, m))) for w, s, m in zip(WEIGHTS, scales, centres))


def ackley(p):
    x = list(p.values())
    root = math.sqrt(sum(v * v for v in x) / len(x))
    waves = sum(math.cos(2 * math.pi * v) for v in x) / len(x)
    return -20 * math.exp(-0.2 * root) - math.exp(waves) + 20 + math.e


def mixed(p):
    rate = math.log10(p["rate"])
    if p["model"] == "small":
        penalty, best = {"sgd": (0.0, -2.0), "adam": (0.1, -3.0), "adamw": (0.05, -3.0)}[p["optimizer"]]
        return 0.1 + penalty + 0.25 * (rate - best) ** 2 + 0.02 * (p["layers"] - 5) ** 2
    penalty, best = {"sgd": (0.2, -1.5), "adam": (0.1, -3.5), "adamw": (0.0, -3.5)}[p["optimizer"]]
    penalty += {"step": 0.15, "cosine": 0.0, "linear": 0.05, "constant": 0.3}[p["schedule"]] + 0.01 * (p["warmup"] - 3) ** 2
    return penalty + 0.4 * (rate - best) ** 2 + 0.1 * (math.log10(p["decay"]) + 4 + 0.5 * (rate - best)) ** 2


def cube(dimensions, low, high):
    return lambda trial: {f"x{k}": trial.suggest_float(f"x{k}", low, high) for k in range(dimensions)}


def rectangle(trial):
    return {"x0": trial.suggest_float("x0", -5, 10), "x1": trial.suggest_float("x1", 0, 15)}


def models(trial):
    p = {
        "model": trial.suggest_categorical("model", ["small", "large"]),
        "rate": trial.suggest_float("rate", 1e-5, 0.1, log=True),
        "optimizer": trial.suggest_categorical("optimizer", ["sgd", "adam", "adamw"]),
    }
    if p["model"] == "small":
        return {**p, "layers": trial.suggest_int("layers", 1, 8)}
    schedule = trial.suggest_categorical("schedule", ["step", "cosine", "linear", "constant"])
    return {**p, "schedule": schedule, "decay": trial.suggest_float("decay", 1e-6, 0.01, log=True), "warmup": trial.suggest_int("warmup", 0, 10)}


# What a study has that names none, here with a seed.
DEFAULT = type(optuna.create_study().sampler)
# Of each function its space, its minimum, and itself.
FUNCTIONS = {
    "branin": (rectangle, 0.3978873577297381, branin),
    "hartmann3": (cube(3, 0, 1), -3.862779787332663, lambda p: hartmann(p, SCALES_3, CENTRES_3)),
    "hartmann6": (cube(6, 0, 1), -3.322368011415515, lambda p: hartmann(p, SCALES_6, CENTRES_6)),
    "ackley5": (cube(5, -32.768, 32.768), 0.0, ackley),
    "mixed": (models, 0.0, mixed),
}


def study(space, function, at_once, trials, seed):
    """The least value, and the seconds that suggestions took."""
    made = optuna.create_study(sampler=DEFAULT(seed=seed))
    running, seconds, least = collections.deque(), 0.0, math.inf
    for _ in range(trials):
        if len(running) == at_once:
            made.tell(*running.popleft())
        begun = time.perf_counter()
        trial = made.ask()
        point = space(trial)
        seconds += time.perf_counter() - begun
        running.append((trial, function(point)))
        least = min(least, running[-1][1])
    return least, seconds


def main():
    points, name, at_once, trials, *seeds = sys.argv[1:]
    space, minimum, function = FUNCTIONS[name]
    found = [study(space, function, int(at_once), int(trials), int(seed)) for seed in seeds]
    print(json.dumps({
        "regret": [least - minimum for least, _ in found],
        "suggestion_ms": [1000 * seconds / int(trials) for _, seconds in found],
        "agreed": [function(point) for point in json.loads(pathlib.Path(points).read_text(encoding="utf-8"))],
        "sampler": f"Optuna {optuna.__version__} ({DEFAULT.__name__})",
    }))


if __name__ == "__main__":
    main()
