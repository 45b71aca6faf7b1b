from __future__ import annotations

import numpy as np
import pytest

from emolab.annotate.speakers import cluster, encoder, voices
from tests.annotate.recordings import sentences


def cloud(*, n_each: int, directions: int, spread: float = 0.05) -> np.ndarray:
    """Return vectors of length 1 around some directions, those of one direction next to each other."""
    rng = np.random.default_rng(0)
    points = np.repeat(np.eye(8)[:directions], n_each, axis=0) + spread * rng.normal(size=(n_each * directions, 8))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def told(vectors: np.ndarray, n_speakers: int | None = None) -> np.ndarray:
    return cluster(vectors, len(vectors), n_speakers)[0]


@pytest.mark.parametrize("directions", [2, 3, 4])
def test_speakers_are_counted_and_numbered_as_they_appear(directions: int) -> None:
    expected = np.repeat(np.arange(directions), 10)
    np.testing.assert_array_equal(told(cloud(n_each=10, directions=directions)), expected)
    np.testing.assert_array_equal(told(cloud(n_each=10, directions=directions), directions), expected)


def test_one_voice_is_one_speaker_and_a_known_number_is_obeyed() -> None:
    assert told(cloud(n_each=12, directions=1)).tolist() == [0] * 12
    assert len({*told(cloud(n_each=12, directions=1), 2)}) == 2
    assert told(cloud(n_each=1, directions=2), 2).tolist() == [0, 1]
    assert cluster(np.zeros((0, 8), np.float32), 0)[0].tolist() == []
    with pytest.raises(ValueError, match="3 speakers in 2 turns"):
        told(cloud(n_each=1, directions=2), 3)


def test_embeddings_have_length_one_whatever_the_level() -> None:
    (wave, *_) = sentences(0, 1)
    if encoder() is None:
        pytest.skip("needs Resemblyzer's weights")
    first, quiet = voices([wave, 0.01 * wave])
    assert np.linalg.norm(first) == pytest.approx(1, abs=1e-4)
    assert float(first @ quiet) > 0.95
    assert len(voices([])) == 0


@pytest.mark.skipif(encoder() is None, reason="needs Resemblyzer's weights: pip install --no-deps resemblyzer")
def test_voices_of_two_speakers_are_told_apart() -> None:
    turns = [wave for place in range(5) for wave in (sentences(0, 5)[place], sentences(1, 5)[place])]
    assert told(voices(turns), 2).tolist() == [0, 1] * 5
