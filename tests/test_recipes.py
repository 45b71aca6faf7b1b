"""What is true of the recognizers of all recipes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import soundfile

from emolab.corpora import Corpus
from emolab.media import SAMPLE_RATE
from emolab.recipes import RECIPES, recipe
from emolab.recognizer import Recognizer

LISTENERS = [name for name in RECIPES if recipe(name).modalities == ("audio",)]


def with_members(recognizer: Recognizer) -> Iterator[Any]:
    yield recognizer
    for member in getattr(recognizer, "members", ()):
        yield from with_members(member)


@pytest.fixture(scope="module")
def noises(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Twelve noises, loud or soft, short or long, and two of 40 s that differ in the last second alone."""
    root, rng, rows = tmp_path_factory.mktemp("noises"), np.random.default_rng(0), []
    long = rng.normal(0, 0.1, 40 * SAMPLE_RATE)
    other = np.concatenate([long[:-SAMPLE_RATE], 0.2 * long[-SAMPLE_RATE:]])
    for number in range(14):
        noise = rng.normal(0, (0.02, 0.2)[number % 2], SAMPLE_RATE // 2 * (1 + number // 2) ** 2)  # 0.5 to 18 s
        wave = noise if number < 12 else (long, other)[number - 12]
        soundfile.write(root / f"{number}.wav", wave, SAMPLE_RATE)
        about = {"utterance_id": str(number), "speaker": "abcdef"[number % 6], "audio_path": f"{number}.wav"}
        rows.append({**about, "emotion": ("sad", "angry")[number % 2]})
    return Corpus.from_rows("noises", rows, emotions=("angry", "sad"), root=root)


@pytest.mark.parametrize("name", LISTENERS)
def test_every_recognizer_of_sound_hears_a_recording_to_its_end(name: str, noises: Corpus) -> None:
    if "egemaps" in name and not find_spec("opensmile"):
        pytest.skip("opensmile is not installed")
    train, valid, test = (noises.select(np.isin(np.arange(14), part)) for part in (range(8), range(8, 12), (12, 13)))
    recognizer = recipe(name)
    for part in with_members(recognizer):
        if hasattr(part, "config"):
            part.config = replace(part.config, n_epochs=1)
    recognizer.fit(train, valid)
    first, second = recognizer.logits(test)
    assert not np.array_equal(first, second)
