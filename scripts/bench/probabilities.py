"""Measures of probabilities, and of two ways of training on the same images."""

import math
import random
import statistics

BINS = 15
RESAMPLES = 2000


def measures(probabilities, truths):
    """Accuracy, log loss and calibration error of rows of probabilities; `truths` are places in a row.

    The calibration error is that of the trainer: 15 bins of equal width, each with its upper end (Guo et al. 2017).
    """
    bins = [[0, 0.0, 0] for _ in range(BINS)]
    right = [row.index(max(row)) == truth for row, truth in zip(probabilities, truths)]
    for row, is_right in zip(probabilities, right):
        of_bin = bins[min(max(math.ceil(max(row) * BINS), 1), BINS) - 1]
        of_bin[0] += 1
        of_bin[1] += max(row)
        of_bin[2] += is_right
    return {
        "accuracy": statistics.mean(right),
        "log_loss": -statistics.mean(math.log(max(row[truth] / sum(row), 1e-15)) for row, truth in zip(probabilities, truths)),
        "calibration_error": sum(abs(sure - correct) for _, sure, correct in bins) / len(truths),
    }


def paired(first, second):
    """By how much `first` is ahead on the same images, and its 95 % interval by bootstrap.

    Each is a list of seeds, of each a number an image; of an image the mean of the seeds counts.
    """
    differences = [statistics.mean(a) - statistics.mean(b) for a, b in zip(zip(*first), zip(*second))]
    drawn = random.Random(0)
    means = sorted(statistics.fmean(drawn.choices(differences, k=len(differences))) for _ in range(RESAMPLES))
    return statistics.mean(differences), means[round(0.025 * RESAMPLES)], means[round(0.975 * RESAMPLES) - 1]
