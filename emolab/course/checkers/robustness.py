"""Checkers of chapter 19: robustness and fairness."""

from collections.abc import Callable
from typing import Any

import numpy as np

from emolab.course.exercises import attempted, exercise, number

WAVE, NOISE = np.array([4.0, 0, -4, 0, 0, 0, 0, 0]), np.array([1.0, -1, 1, -1, 2, 2, -2, 2])
SPEAKING = np.arange(8) < 4


@exercise("19.1")
def speech_snr(answer: Callable[..., Any]) -> str | None:
    """Try the function where half of the sound is a pause in which the noise is louder."""
    slips = {
        "pauses count too in that; take the samples where `speaking` is true, of both.": 10 * np.log10(4 / 2.5),
        "the noise is taken over all samples; take those where `speaking` is true, of both.": 10 * np.log10(8 / 2.5),
        "that is twice the decibels: powers take 10, amplitudes 20.": 20 * np.log10(8),
        "that is half of the decibels: a power is the mean of the squares.": 5 * np.log10(8),
        "the noise stands below the line of the fraction.": -10 * np.log10(8),
        "that is the ratio itself; decibels are ten times its decimal logarithm.": 8,
    }
    return number(attempted(answer(WAVE, NOISE, SPEAKING)), 10 * np.log10(8), slips)


@exercise("19.2")
def smallest_gap(answer: Callable[[float, int], Any]) -> str | None:
    """Try the function on twelve speakers in each group."""
    right = 2.8 * np.sqrt(2 / 12)
    slips = {
        "that is the gap for one mean: the difference of two has twice the variance.": right / np.sqrt(2),
        "n is the number in each group, not in both.": right * np.sqrt(2),
        "that gap is shown in half of the studies only: add 0.84 for 80 per cent.": right * 1.96 / 2.8,
        "a deviation falls with the root of n.": 2.8 * 2 / 12,
    }
    return number(attempted(answer(1.0, 12)), right, slips)
