"""Answers to the exercises of chapter 19."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.course.answers import cases, goal


def power(sound: Any) -> Any:
    return np.mean(sound**2)


def snr(above: Any, below: Any, factor: float = 10) -> float:
    return float(factor * np.log10(above / below))


CASES = [
    *cases(
        "19.1",
        lambda wave, noise, on: snr(power(wave[on]), power(noise[on])),
        {
            "pauses count too": lambda wave, noise, on: snr(power(wave), power(noise)),
            "the noise is taken over all samples": lambda wave, noise, on: snr(power(wave[on]), power(noise)),
            "that is twice the decibels": lambda wave, noise, on: snr(power(wave[on]), power(noise[on]), 20),
            "that is half of the decibels": lambda wave, noise, on: snr(wave[on].std(), noise[on].std()),
            "the noise stands below the line": lambda wave, noise, on: snr(power(noise[on]), power(wave[on])),
            "that is the ratio itself": lambda wave, noise, on: power(wave[on]) / power(noise[on]),
            "too high": lambda wave, noise, on: 40.0,
        },
    ),
    *cases(
        "19.2",
        lambda deviation, n: 2.8 * deviation * np.sqrt(2 / n),
        {
            "that is the gap for one mean": lambda deviation, n: 2.8 * deviation / np.sqrt(n),
            "n is the number in each group": lambda deviation, n: 2.8 * deviation * np.sqrt(2 / (n / 2)),
            "that gap is shown in half of the studies": lambda deviation, n: 1.96 * deviation * np.sqrt(2 / n),
            "falls with the root of n": lambda deviation, n: 2.8 * deviation * 2 / n,
            "too low": lambda deviation, n: 0.1,
        },
    ),
    *goal("19.3", 0.70, 0.70),
]
