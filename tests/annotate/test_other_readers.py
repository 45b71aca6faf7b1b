"""What emolab writes is read by the formats' own programs or by other libraries, and what those write by emolab."""

from __future__ import annotations

import html
import io
import json
import warnings
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest

from emolab.annotate.annotation import UNSURE, Annotation
from emolab.annotate.formats import read_annotation, write_annotation
from tests.annotate.conversation import at, conversation


def test_praat_opens_the_textgrid(tmp_path: Path) -> None:
    parselmouth = pytest.importorskip("parselmouth")
    call = parselmouth.praat.call
    grid = parselmouth.read(str(write_annotation(conversation(), tmp_path / "a.TextGrid")))
    names = [call(grid, "Get tier name", number + 1) for number in range(call(grid, "Get number of tiers"))]
    assert call(grid, "Get end time") == 4.0
    assert {"text@Ana B", "emotion@Ana B", "emotion@Ben", "emotion@Ben (overlap 1)", "made by"} <= {*names}
    text, emotion = names.index("text@Ana B") + 1, names.index("emotion@Ana B") + 1
    assert call(grid, "Get number of intervals", text) == 3  # the gaps are filled
    assert call(grid, "Get start time of interval", text, 2) == 1.5
    assert call(grid, "Get label of interval", text, 2) == conversation().segments["text"][1]
    assert call(grid, "Get label of interval", emotion, 2) == UNSURE


@pytest.mark.parametrize("command", ["Save as text file", "Save as short text file", "Save as binary file"])
def test_textgrids_that_praat_wrote_are_read(command: str, tmp_path: Path) -> None:
    """Praat writes UTF-16 where letters ask for it; short files may end without a line break."""
    parselmouth = pytest.importorskip("parselmouth")
    call = parselmouth.praat.call
    grid = call("Create TextGrid", 0, 3, "emotion@Ana Ben marks", "marks")
    call(grid, "Insert boundary", 1, 1)
    call(grid, "Insert boundary", 2, 2)
    for tier, interval, label in ((1, 2, "sad"), (2, 1, 'ä "你"\nsecond line')):
        call(grid, "Set interval text", tier, interval, label)
    path = tmp_path / "a.TextGrid"
    call(grid, command, str(path))
    if "binary" in command:
        with pytest.raises(ValueError, match=r"a\.TextGrid cannot be read as textgrid"):
            read_annotation(path)
        return
    raw = path.read_bytes()
    assert raw.startswith(b"\xfe\xff")
    path.write_bytes(raw.decode("utf-16").rstrip("\n").encode("utf-16"))
    segments = read_annotation(path).segments
    assert segments[["start", "end", "speaker"]].to_numpy().tolist() == [[0.0, 2.0, "Ben"], [1.0, 3.0, "Ana"]]
    assert segments["text"][0] == 'ä "你"\nsecond line'
    assert segments["emotion"][1] == "sad"


def test_praatio_opens_the_textgrid(tmp_path: Path) -> None:
    from praatio import textgrid

    path = write_annotation(conversation(), tmp_path / "a.TextGrid")
    grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=False)
    assert [tuple(entry) for entry in grid.getTier("emotion@Ana B").entries] == [(1.5, 3.0, UNSURE)]


def test_pympi_opens_the_eaf_and_saves_it(tmp_path: Path) -> None:
    from pympi import Eaf

    path = write_annotation(conversation(), tmp_path / "a.eaf")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of an unknown version
        eaf = Eaf(str(path))
    assert eaf.get_annotation_data_for_tier("emotion@Ana B") == [(1500, 3000, UNSURE)]
    assert eaf.get_parameters_for_tier("emotion@Ana B")["PARTICIPANT"] == "Ana B"
    entries = eaf.get_cv_entries("emotions").values()
    assert [value[0][0][0] for value in entries] == ["happy", "sad", "very angry", UNSURE]
    eaf.remove_annotation("emotion@Ana B", 2000)
    eaf.add_annotation("emotion@Ana B", 1500, 3000, "sad")  # a rater's choice
    eaf.to_file(tmp_path / "corrected.eaf")
    corrected, own = read_annotation(tmp_path / "corrected.eaf"), read_annotation(path)
    assert [corrected.segments["emotion"][1], own.segments["emotion"][1]] == ["sad", "happy"]
    assert [corrected.segments["unsure"][1], own.segments["unsure"][1]] == [False, True]
    pd.testing.assert_series_equal(corrected.segments["text"], own.segments["text"])
    assert corrected.about == own.about


def test_webvtt_opens_the_vtt(tmp_path: Path) -> None:
    webvtt = pytest.importorskip("webvtt")
    captions = webvtt.read(str(write_annotation(conversation(), tmp_path / "a.vtt")))
    assert len(captions) == 5
    assert [captions[1].start, captions[1].end] == ["00:00:01.500", "00:00:03.000"]
    assert [caption.voice for caption in captions] == ["Ben", "Ana B", "Ben", "Ben", "Ben"]
    assert captions[1].raw_text.startswith("<v.happy.unsure Ana B>")
    assert html.unescape(captions[4].text) == "1 <laughs> {\\an8} --> [sighs] 2"
    assert "::cue(.very_angry) { color:" in captions.styles[0].text
    assert "Art. 50(3)" in captions.header_comments[0]


def test_pysubs2_opens_srt_and_ass(tmp_path: Path) -> None:
    import pysubs2

    annotation = conversation()
    srt = pysubs2.load(str(write_annotation(annotation, tmp_path / "a.srt")))
    assert [event.start for event in srt] == [250, 1500, 2000, 2400, 2750]
    assert srt[1].plaintext == f"Ana B [{UNSURE}]: {annotation.segments['text'][1]}"
    assert srt[2].plaintext == "Ben [very angry]:"
    assert srt[4].plaintext == "Ben [sad]: 1 [laughs] [/an8] --] [sighs] 2"  # nothing is taken for a command
    ass = pysubs2.load(str(write_annotation(annotation, tmp_path / "a.ass")))
    assert [event.name for event in ass] == ["Ben", "Ana B", "Ben", "Ben", "Ben"]
    assert [event.style for event in ass] == ["sad", UNSURE, "very angry", "Default", "sad"]
    assert ass[1].plaintext == annotation.segments["text"][1]
    assert ass[4].plaintext == "1 [laughs] [/an8] --] [sighs] 2"
    assert ass.styles["sad"].primarycolor == pysubs2.Color(0x80, 0x92, 0xFF)


@pytest.mark.parametrize("form", ["srt", "ass", "vtt"])
def test_ffmpeg_opens_the_subtitles(form: str, tmp_path: Path) -> None:
    path = write_annotation(conversation(), tmp_path / f"a.{form}")
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(subtitles=0) if packet.size]
        starts = [float(packet.pts * packet.time_base) for packet in packets]
        content = b"\n".join(map(bytes, packets)).decode()
    assert starts == pytest.approx([0.25, 1.5, 2.0, 2.4, 2.75])
    assert "y'all" in content


def test_pyannote_opens_the_rttm(tmp_path: Path) -> None:
    util = pytest.importorskip("pyannote.database.util")
    loaded = util.load_rttm(str(write_annotation(conversation(), tmp_path / "a.rttm")))
    assert [*loaded] == ["my_film"]
    turns = [(turn.start, turn.end, who) for turn, _, who in loaded["my_film"].itertracks(yield_label=True)]
    assert turns[:3] == [(0.25, 1.4, "Ben"), (1.5, 3.0, "Ana_B"), (2.0, 2.5, "Ben")]
    with (tmp_path / "b.rttm").open("w") as file:
        loaded["my_film"].write_rttm(file)
    again = read_annotation(tmp_path / "b.rttm").segments
    assert again["start"].tolist() == [0.25, 1.5, 2.0, 2.4, 2.75]


def test_audformat_opens_the_folder(tmp_path: Path) -> None:
    import audformat

    database = audformat.Database.load(str(write_annotation(conversation(), tmp_path / "a.audformat")))
    table = database["segments"].df
    assert table.index.get_level_values("start")[1] == pd.Timedelta(seconds=1.5)
    assert table.index.get_level_values("file")[1] == "my film.flac"
    assert database["segments"]["emotion"].get().dropna().tolist() == ["sad", "happy", "very angry", "sad"]
    assert database.schemes["emotion"].labels == ["happy", "sad", "very angry"]
    assert (database.schemes["confidence"].minimum, database.schemes["confidence"].maximum) == (0, 1)
    assert database.raters["model"].type == audformat.define.RaterType.MACHINE
    assert "Art. 50(3)" in database.description


def test_pandas_and_json_open_the_tables(tmp_path: Path) -> None:
    annotation = conversation()
    wide = pd.read_csv(write_annotation(annotation, tmp_path / "a.csv"), keep_default_na=False)
    assert wide["text"].tolist() == annotation.segments["text"].tolist()
    assert wide["unsure"].tolist() == annotation.segments["unsure"].tolist()
    long = pd.read_csv(write_annotation(annotation, tmp_path / "a.long.csv"))
    assert long[long["chosen"]]["segment"].tolist() == [0, 1, 2, 4]
    whole = json.loads(write_annotation(annotation, tmp_path / "a.json").read_text(encoding="utf-8"))
    assert whole["segments"][1]["p_happy"] == 0.7
    assert whole["segments"][3]["emotion"] is None
    assert whole["segments"][3]["valence"] is None  # NaN is not JSON


def test_audacity_labels_are_three_columns_of_six_decimals(tmp_path: Path) -> None:
    text = write_annotation(conversation(), tmp_path / "a.txt").read_text(encoding="utf-8")
    table = pd.read_csv(io.StringIO(text), sep="\t", header=None, keep_default_na=False, quoting=3)
    assert table.shape == (6, 3)
    assert text.split("\n")[1].startswith("0.250000\t1.400000\tBen [sad]: NA")
    np.testing.assert_allclose(table[0][1:], conversation().segments["start"])


def test_numpy_numbers_are_written_to_tiers(tmp_path: Path) -> None:
    """Numbers of numpy, which pympi refuses, or breaks the file at."""
    annotation = at(np.float32(0.001), np.float32(1.0), valence=np.float64(3), confidence=np.float32(0.5))
    assert isinstance(annotation, Annotation)
    found = read_annotation(write_annotation(annotation, tmp_path / "a.eaf")).segments
    assert found.loc[0, ["valence", "confidence"]].tolist() == [3.0, 0.5]
