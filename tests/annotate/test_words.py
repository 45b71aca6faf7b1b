from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emolab.annotate.annotation import Annotation
from emolab.annotate.pipeline import shared_out
from emolab.annotate.speech import Block
from emolab.annotate.words import SET, Word, _words, sphinx, spread, transcriber
from emolab.media import SAMPLE_RATE
from emolab.storage import weights_root
from tests.annotate.recordings import sentences


def test_sphinx_gives_words_whose_text_does_not_depend_on_others() -> None:
    turns = [np.pad(wave, 1_600) for wave in sentences(0, 3)]
    forward, backward = sphinx(turns), sphinx(turns[::-1])[::-1]
    assert [[word[:3] for word in own] for own in forward] == [[word[:3] for word in own] for own in backward]
    assert all(forward)
    for turn, words in zip(turns, forward, strict=True):
        assert all(0 <= word.start < word.end <= len(turn) / SAMPLE_RATE + 0.02 for word in words)


def test_recognizer_of_words_that_is_nowhere_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"no recognizer of words.*pocketsphinx"):
        transcriber(str(tmp_path / "missing"))
    assert transcriber("none")[1](sentences(0, 2)) == [[], []]


@pytest.mark.skipif(not any(weights_root().glob(SET.at_hand[0])), reason="needs Whisper's weights")
def test_whisper_hears_each_turn_by_itself() -> None:
    name, transcribe = transcriber()
    turns = [*sentences(0, 2), np.zeros(SAMPLE_RATE, np.float32)]
    together, alone = transcribe(turns), [transcribe([turn])[0] for turn in turns]
    assert name.startswith("faster-whisper")
    assert [[word.word for word in own] for own in together] == [[word.word for word in own] for own in alone]
    assert all(word.end <= len(turn) / SAMPLE_RATE for turn, own in zip(turns, together, strict=True) for word in own)


def test_punctuation_belongs_to_the_word_before_it_and_words_end_with_the_sound() -> None:
    aligned = [(" Kids", 0.0, 0.4), (" talk", 0.4, 0.9), (".", 0.9, 1.7)]
    given = [{"word": word, "start": start, "end": end, "probability": 0.5} for word, start, end in aligned]
    assert _words(given, 0.8) == [Word(0.0, 0.4, "Kids", 0.5), Word(0.4, 0.8, "talk.", 0.5)]


def transcript() -> Annotation:
    rows = {"start": [0.0, 4.0], "end": [2.0, 5.0], "speaker": ["A", "B"], "text": ["ab cd", "ef"]}
    return Annotation(pd.DataFrame(rows), pd.DataFrame(), "a.wav", 6.0, {})


def test_words_of_a_transcript_share_the_time_of_their_cue_and_go_to_the_nearest_turn() -> None:
    words = spread(transcript())
    assert words[["start", "end", "word"]].to_numpy().tolist() == [[0.0, 1.0, "ab"], [1.0, 2.0, "cd"], [4.0, 5.0, "ef"]]
    rate = SAMPLE_RATE
    block = Block(
        0, np.zeros(6 * rate, np.float32), [(0, rate), (rate, 2 * rate), (int(5.2 * rate), 6 * rate)], 6 * rate
    )
    first, second, third = shared_out(words, block)
    assert [(word.start, word.end, word.word) for word in first] == [(0.0, 1.0, "ab")]
    assert [word.word for word in second] == ["cd"]
    assert [(word.word, word.start) for word in third] == [("ef", 0.0)]
    assert shared_out(words, Block(0, block.wave, [], 6 * rate)) == []
