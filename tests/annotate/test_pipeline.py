from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from emolab.annotate import annotate, read_annotation, write_annotation
from emolab.annotate.annotation import Annotation, P
from emolab.annotate.pipeline import PLANE, as_turns
from tests.annotate.recordings import labelled, model, talk

NEAR_S = 0.25


def test_recording_becomes_a_table(tmp_path: Path) -> None:
    spans = talk(tmp_path / "a.wav", (0, 1, 0, 1))
    found = annotate(tmp_path / "a.wav", model=model(), asr="none", names=("Ana", "Ben"))
    table, emotions = found.segments, list(model().emotions)
    np.testing.assert_allclose(table[["start", "end"]], spans, atol=NEAR_S)
    assert set(table["speaker"]) == {"Ana", "Ben"}
    assert table.loc[0, "speaker"] == "Ana"
    shares = table[[P + emotion for emotion in emotions]].to_numpy()
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert table["emotion"].tolist() == [emotions[place] for place in shares.argmax(axis=1)]
    assert table["second"].tolist() == [emotions[place] for place in shares.argsort(axis=1)[:, -2]]
    np.testing.assert_allclose(table["confidence"], shares.max(axis=1))
    assert table["unsure"].tolist() == (shares.max(axis=1) < model().unsure_below).tolist()
    plane = shares @ np.array([PLANE[emotion] for emotion in emotions])
    np.testing.assert_allclose(table[["valence", "arousal"]], plane)
    assert found.about["asr"] == "none"
    assert "2 speakers" in found.about["diarization"]
    assert found.seconds == pytest.approx(spans[-1][1] + 0.8, abs=0.01)


def test_all_turns_of_a_block_are_predicted_as_alone(tmp_path: Path) -> None:
    talk(tmp_path / "a.wav", (0, 1, 0))
    together = annotate(tmp_path / "a.wav", model=model(), asr="none").segments
    for row in together.itertuples():
        wave, rate = soundfile.read(tmp_path / "a.wav")
        soundfile.write(tmp_path / "one.wav", wave[round(row.start * rate) : round(row.end * rate)], rate)
        alone = model().calibrated(model().predict_proba([tmp_path / "one.wav"]))
        np.testing.assert_allclose(together.loc[row.Index, together.columns.str.startswith(P)], alone[0], atol=2e-3)


def test_silence_gives_no_segments(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(32_000), 16_000)
    found = annotate(tmp_path / "a.wav", model=model(), asr="none")
    assert (len(found), found.seconds) == (0, 2.0)


def test_turns_made_elsewhere_are_kept(tmp_path: Path) -> None:
    spans = talk(tmp_path / "a.wav", (0, 1, 0))
    rows = {"start": [begin for begin, _ in spans], "end": [end for _, end in spans], "speaker": ["Ö", "P", "Ö"]}
    given = Annotation(pd.DataFrame(rows), pd.DataFrame(), "a.wav", spans[-1][1], {})
    file = write_annotation(given, tmp_path / "turns.rttm")
    found = annotate(tmp_path / "a.wav", model=model(), asr="none", turns=file).segments
    assert found["speaker"].tolist() == ["Ö", "P", "Ö"]
    np.testing.assert_allclose(found[["start", "end"]], spans, atol=1e-3)
    with pytest.raises(ValueError, match="3 speakers or names, and turns"):
        annotate(tmp_path / "a.wav", model=model(), turns=file, speakers=3)


def test_turns_of_another_recording_are_refused(tmp_path: Path) -> None:
    talk(tmp_path / "a.wav", (0,))
    rows = {"start": [1.0, 500.0], "end": [2.0, 501.0], "speaker": ["A", "B"]}
    given = Annotation(pd.DataFrame(rows), pd.DataFrame(), "b.wav", 600.0, {})
    with pytest.raises(ValueError, match=r"last turn begins at 500\.0 s.*Give the file"):
        annotate(tmp_path / "a.wav", model=model(), turns=given)


def test_words_only_takes_nothing_but_words(tmp_path: Path) -> None:
    spans = talk(tmp_path / "a.wav", (0, 1))
    rows = {"start": [spans[0][0]], "end": [spans[0][1]], "speaker": ["A"], "text": ["I am so happy about this"]}
    cues = Annotation(pd.DataFrame(rows), pd.DataFrame(), "a.wav", spans[-1][1], {})
    text = model("text/characters")
    found = annotate(tmp_path / "a.wav", model=text, words_only=True, transcript=cues)
    assert found.segments["text"].tolist() == ["I am so happy about this", ""]
    assert found.segments["speaker"].tolist() == ["Speaker 1", "Speaker 1"]
    assert found.segments["emotion"].isna().tolist() == [False, True]
    assert found.segments["unsure"].tolist()[1]
    expected = text.calibrated(text.predict_proba(["I am so happy about this"]))[0]
    np.testing.assert_allclose(found.segments.loc[0, found.segments.columns.str.startswith(P)], expected)
    with pytest.raises(ValueError, match=r"words_only.*takes audio"):
        annotate(tmp_path / "a.wav", model=model(), words_only=True)
    with pytest.raises(ValueError, match="words_only, where voices"):
        annotate(tmp_path / "a.wav", model=text, words_only=True, speakers=2)


def test_training_utterances_are_cut_as_turns_are() -> None:
    corpus = labelled()
    few = corpus.select(np.arange(len(corpus)) < 4)
    cut = as_turns(few).table
    assert (cut["audio_start"] < cut["audio_end"]).all()
    assert (cut["audio_end"] - cut["audio_start"] > 0.25).all()


KILLED = """
import sys
from pathlib import Path
from emolab.annotate import annotate
annotate(sys.argv[1], model=sys.argv[2], asr="none", folder=Path(sys.argv[3]), show_progress=False)
"""


def test_killed_annotation_goes_on_where_it_was(tmp_path: Path) -> None:
    talk(tmp_path / "a.wav", (0, 1) * 6, gap_s=28.0)
    model().save(tmp_path / "model")
    expected = annotate(tmp_path / "a.wav", model=tmp_path / "model", asr="none")
    folder = tmp_path / "kept"
    command = [sys.executable, "-c", KILLED, *map(str, (tmp_path / "a.wav", tmp_path / "model", folder))]
    child = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    while not any(folder.glob("*/*.joblib")) and child.poll() is None:
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    kept = {file: file.stat().st_mtime_ns for file in folder.glob("*/*.joblib")}
    again = annotate(tmp_path / "a.wav", model=tmp_path / "model", asr="none", folder=folder)
    pd.testing.assert_frame_equal(again.segments, expected.segments)
    files = {file: file.stat().st_mtime_ns for file in folder.glob("*/*.joblib")}
    assert kept
    assert len(files) > len(kept)
    assert kept.items() <= files.items()  # what was done is not done again


def test_annotation_survives_its_own_formats(tmp_path: Path) -> None:
    talk(tmp_path / "a.wav", (0, 1))
    found = annotate(tmp_path / "a.wav", model=model(), asr="none")
    for name in ("a.json", "a.eaf", "a.TextGrid"):
        back = read_annotation(write_annotation(found, tmp_path / name))
        assert back.segments["speaker"].tolist() == found.segments["speaker"].tolist()
