from __future__ import annotations

import numpy as np
import pytest

from emolab.explain.explanation import Attribution
from emolab.explain.sonification import FADE_S, sonify

RATE = 16_000


def explained(values: list[float], n_samples: int = RATE) -> Attribution:
    starts = np.arange(len(values)) / 10
    spans = np.column_stack([starts, np.minimum(starts + 0.1, n_samples / RATE)])
    return Attribution("u1", "sad", tuple(f"{start:.1f} s" for start in starts), np.array(values), spans)


def level(wave: np.ndarray, number: int) -> float:
    """dB of the middle of a unit."""
    middle = slice(round((number + 0.3) * RATE / 10), round((number + 0.7) * RATE / 10))
    return 20 * float(np.log10(np.abs(wave[middle]).max()))


def test_listenable_turns_down_what_adds_nothing() -> None:
    heard = sonify(explained([0.0, 2.0, -5.0, 1.0]), np.ones(RATE * 4 // 10), floor_db=-20)
    assert heard.dtype == np.float32
    assert [round(level(heard, number), 3) for number in range(4)] == [-20.0, 0.0, -20.0, -10.0]


def test_listenable_keeps_the_length_and_never_jumps() -> None:
    n_samples = 5_432  # the last unit is shorter
    wave = np.ones(n_samples, np.float32)
    heard = sonify(explained([0, 1, 0, 1], n_samples), wave)
    assert len(heard) == n_samples
    assert np.abs(np.diff(heard)).max() < 1.1 / (FADE_S * RATE)
    beyond = sonify(explained([1.0]), wave)  # what no unit covers adds nothing
    assert level(beyond, 0) == pytest.approx(0, abs=1e-3)
    assert level(beyond, 2) == pytest.approx(-24, abs=1e-3)


def test_listenable_is_soft_throughout_where_nothing_adds() -> None:
    for values in ([0.0, 0.0], [-1.0, -2.0]):
        heard = sonify(explained(values), np.ones(RATE // 5), floor_db=-6)
        np.testing.assert_allclose(heard, 10 ** (-6 / 20), rtol=1e-4)


def test_listenable_needs_spans_and_one_channel() -> None:
    words = Attribution("u1", "sad", ("oh", "no"), np.ones(2), np.full((2, 2), np.nan))
    with pytest.raises(ValueError, match=r"2 of 2 units of 'u1' have no span, such as 'oh'; expected.*modality audio"):
        sonify(words, np.ones(RATE))
    with pytest.raises(ValueError, match=r"shape \(2, 5\), floor_db is -24.0; expected \(samples,\).*emolab\.media"):
        sonify(explained([1.0]), np.ones((2, 5)))
    with pytest.raises(ValueError, match=r"floor_db is 3; expected.* below 0 dB"):
        sonify(explained([1.0]), np.ones(5), floor_db=3)
