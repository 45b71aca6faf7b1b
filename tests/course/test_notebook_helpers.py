from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import IPython.display
import matplotlib.pyplot as plt
import numpy as np
import pytest
import soundfile

from emolab.corpora import Corpus
from emolab.course import CASES, followed, listen, show, suited
from emolab.media import SAMPLE_RATE


def corpus_of(rows: list[dict[str, object]], emotions: Sequence[str] = ("angry", "sad")) -> Corpus:
    rows = [{"utterance_id": str(number), "speaker": "a", **row} for number, row in enumerate(rows)]
    return Corpus.from_rows("tiny", rows, emotions=emotions, root=Path())


def test_one_utterance_of_each_case_where_the_truth_is_known() -> None:
    rows = []
    for shown in [(False, False, True), *CASES, *CASES]:
        names = zip(("text", "audio", "video"), shown, strict=True)
        rows.append({"emotion": "sad", **{f"shown_{kind}": "sad" if here else "angry" for kind, here in names}})
    five, cases = followed(corpus_of(rows))
    assert cases == ["face alone", "all agree", "words alone", "voice alone", "face dissents"]
    assert five.table["utterance_id"].tolist() == ["0", "1", "2", "3", "5"]


def test_one_utterance_of_each_emotion_elsewhere_and_fewer_where_there_are_not_so_many() -> None:
    corpus = corpus_of([{"emotion": emotion} for emotion in ("sad", "sad", "angry")])
    five, cases = followed(corpus)
    assert (five.table["utterance_id"].tolist(), cases) == (["0", "2"], ["sad", "angry"])
    assert followed(corpus_of([{"emotion": letter} for letter in "abcdefg"], "abcdefg"))[1] == [*"abcde"]


@pytest.mark.parametrize("kind", ["figure", "axes", "array of axes"])
def test_show_displays_a_picture_with_its_description_and_closes_it(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[dict[str, Any], dict[str, Any]]] = []
    monkeypatch.setattr(IPython.display, "publish_display_data", lambda data, metadata: shown.append((data, metadata)))
    figure, axes = plt.subplots(1, 2)
    show({"figure": figure, "axes": axes[0], "array of axes": axes}[kind], "two empty axes")
    ((data, metadata),) = shown
    assert data["text/plain"] == metadata["image/png"]["alt"] == "two empty axes"
    assert data["image/png"].startswith("iVBOR")  # PNG, as base64
    assert not plt.fignum_exists(figure.number)


def test_show_wants_a_description() -> None:
    with pytest.raises(ValueError, match="expected a sentence on what it shows"):
        show(plt.figure(), " ")
    plt.close("all")


def test_listen_plays_samples_at_their_rate_under_a_title(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(IPython.display, "display", shown.append)
    listen(np.zeros(SAMPLE_RATE // 2, dtype=np.float32), title="silence")
    title, player = shown
    assert title.data == "<p>silence</p>"
    assert player.data[:4] == b"RIFF"
    assert int.from_bytes(player.data[24:28], "little") == SAMPLE_RATE


def test_suited_leaves_out_what_lacks_a_modality_and_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for number in range(4):
        soundfile.write(tmp_path / f"{number}.wav", np.full(1_600, 0.1 * (number != 2)), SAMPLE_RATE)
    rows: list[dict[str, object]] = [{"emotion": "sad", "text": "well", "audio_path": f"{n}.wav"} for n in range(4)]
    corpus = replace(corpus_of([*rows, {"emotion": "angry", "text": "out"}]), root=tmp_path)
    assert len(suited(corpus, "text")) == 5
    assert capsys.readouterr().out == ""
    assert suited(corpus, "audio", "text").table["utterance_id"].tolist() == ["0", "1", "3"]
    told = capsys.readouterr().out
    assert told.startswith("2 of 5 utterances of corpus 'tiny' have no usable audio or text: 2 (digital silence), 4 (")
    assert told.endswith("2 are left out.\n")


def test_suited_takes_the_sample_where_a_corpus_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    corpus = corpus_of([{"emotion": "sad", "text": "well"}])
    assert suited(corpus, "video").name == "sample"
    told = "tiny lacks video in 1 of 1 utterances: this chapter takes the synthetic sample in its place.\n"
    assert capsys.readouterr().out == told
    assert suited(corpus, "text", n_emotions=3).name == "sample"
    assert capsys.readouterr().out.startswith("tiny has only 2 emotions: ")
