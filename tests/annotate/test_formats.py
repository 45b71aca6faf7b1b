"""Round trips, what each format loses, and files that were made or edited elsewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emolab.annotate.annotation import UNSURE, Annotation
from emolab.annotate.formats import FORMATS, read_annotation, write_annotation
from emolab.annotate.subtitles import COLORS
from tests.annotate.conversation import at, conversation

STEP_S = {"eaf": 1e-3, "textgrid": 1e-3, "vtt": 1e-3, "srt": 1e-3, "rttm": 1e-3, "ass": 1e-2}
WHOLE = ("json", "audformat", "csv", "csv-long")
NUMBERS = (*WHOLE, "eaf", "textgrid")
LABELS = (*NUMBERS, "vtt")
FACTS = ("json", "audformat", "eaf", "vtt", "ass")


def back(annotation: Annotation, folder: Path, form: str) -> Annotation:
    return read_annotation(write_annotation(annotation, folder / f"a{FORMATS[form].suffix}"))


@pytest.mark.parametrize("form", FORMATS)
def test_round_trip_keeps_what_the_format_can_hold(form: str, tmp_path: Path) -> None:
    annotation = conversation()
    found, own = back(annotation, tmp_path, form).segments, annotation.segments
    step = STEP_S.get(form, 1e-6)
    np.testing.assert_allclose(found["start"], own["start"], atol=1e-9)
    np.testing.assert_allclose(found["end"], own["end"].where(own["end"] > own["start"], own["end"] + step), atol=2e-6)
    assert [*found["speaker"].str.replace("_", " ")] == [*own["speaker"]]
    texts = [*own["text"]]
    if form in ("srt", "ass"):  # no escape helps
        texts[-1] = "1 [laughs] [/an8] --] [sighs] 2"
    texts = [" ".join(text.split()) if form == "audacity" else text * (form != "rttm") for text in texts]
    assert [*found["text"]] == texts
    emotions, unsure = own["emotion"], own["unsure"]
    if form not in LABELS:
        emotions = emotions.mask(unsure)
    if form == "rttm":
        emotions, unsure = emotions.mask(emotions.notna()), unsure & False
    assert [*found["emotion"].fillna("")] == [*emotions.fillna("")]
    assert [*found["unsure"]] == [*unsure]
    for column in ("confidence", "valence", "arousal", "p_happy", "p_sad", "p_very angry"):
        if form in NUMBERS:
            np.testing.assert_allclose(found[column], own[column], atol=1e-9 if form in WHOLE else 1e-4)
    if form in ("json", "audformat", "csv"):
        assert [*found["second"].fillna("")] == [*own["second"].fillna("")]


@pytest.mark.parametrize("form", FORMATS)
def test_round_trip_keeps_words_and_facts(form: str, tmp_path: Path) -> None:
    annotation = conversation()
    found = back(annotation, tmp_path, form)
    if form in ("json", "audformat", "eaf", "textgrid"):
        columns = ["start", "end", "word", "segment"]
        pd.testing.assert_frame_equal(found.words[columns], annotation.words[columns])
    else:
        assert found.words.empty
    if form in FACTS:
        assert found.about == annotation.about | {"emotions": ["happy", "sad", "very angry"], "audit": annotation.audit}
        assert (found.media, found.seconds) == ("my film.flac", 4.0)
    elif form != "srt":
        assert found.audit == annotation.audit


@pytest.mark.parametrize("form", FORMATS)
def test_every_export_carries_the_audit_line_where_it_can_hold_a_comment(form: str, tmp_path: Path) -> None:
    path = write_annotation(conversation(), tmp_path / f"a{FORMATS[form].suffix}")
    text = (path / "db.yaml" if path.is_dir() else path).read_text(encoding="utf-8")
    assert ("Art. 50(3)" in re.sub(r"[_\s]+", " ", text)) == (form != "srt")


@pytest.mark.parametrize("form", FORMATS)
def test_an_annotation_without_segments_is_written_and_read(form: str, tmp_path: Path) -> None:
    empty = Annotation(pd.DataFrame(), pd.DataFrame(), "a.wav", 3.0, {})
    assert len(back(empty, tmp_path, form)) == 0


@pytest.mark.parametrize("form", FORMATS)
def test_writing_twice_gives_the_same_file(form: str, tmp_path: Path) -> None:
    once, again = (write_annotation(conversation(), tmp_path / f"{n}{FORMATS[form].suffix}") for n in ("a", "b"))
    if once.is_file():
        assert once.read_bytes() == again.read_bytes()


LINES = st.text(max_size=20) | st.sampled_from(
    ["-- >", '"', "a\n\nb", "<v Ben>x</v>", "NOTE x", "STYLE", "=1+1", "&amp;"]
)
NAMES = st.sampled_from(["Ana", "A@b", "x (2)", "made by", "ж,;:"])


@settings(max_examples=25)
@given(st.lists(st.tuples(NAMES, LINES, st.floats(0, 50), st.floats(0, 9)), max_size=4), st.sampled_from(LABELS))
def test_any_text_comes_back(rows: list[tuple[str, str, float, float]], form: str) -> None:
    table = pd.DataFrame(rows, columns=["speaker", "text", "start", "end"]).assign(emotion="sad")
    table["end"] += table["start"]
    annotation = Annotation(table, pd.DataFrame(), "a.wav", 99.0, {})
    with TemporaryDirectory() as folder:
        found = back(annotation, Path(folder), form).segments
    own, tidy = annotation.segments, r"\s*\n\s*" if form == "vtt" else "\n"
    assert sorted(found["speaker"]) == sorted(own["speaker"])
    assert sorted(found["text"]) == sorted(own["text"].str.replace(tidy, "\n", regex=True))


def test_segments_of_equal_times_stay_apart(tmp_path: Path) -> None:
    rows = {"start": [0, 0], "end": [1, 1], "speaker": ["Ana", "Ben"], "text": ["a", "b"]}
    annotation = Annotation(pd.DataFrame(rows), pd.DataFrame(), "a.wav", 2.0, {})
    for form in FORMATS:
        assert [*back(annotation, tmp_path, form).segments["speaker"]] == ["Ana", "Ben"]


# ---------------------------------------------------------------- names and files


def test_the_end_of_the_name_says_the_format(tmp_path: Path) -> None:
    annotation = conversation()
    assert write_annotation(annotation, tmp_path / "a.LONG.CSV").read_text().count("very angry") == 5
    path = write_annotation(annotation, tmp_path / "a.labels", "audacity")
    assert len(read_annotation(path, "audacity")) == 5
    known = r"no format '.docx' of annotations; expected one of csv \(\*.csv\), .*audformat"
    with pytest.raises(ValueError, match=known):
        write_annotation(annotation, tmp_path / "a.docx")
    with pytest.raises(FileNotFoundError, match=r"no file .*none\.srt; expected an annotation in srt"):
        read_annotation(tmp_path / "none.srt")


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_of_another_kind_is_named_with_its_path(form: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{FORMATS[form].suffix}"
    path.write_text("<html>\n  no such thing: 1\t2\n", encoding="utf-8")
    if form in ("ass", "rttm"):  # lines of other kinds are passed over there
        assert len(read_annotation(path)) == 0
    else:
        with pytest.raises(ValueError, match=f"{re.escape(str(path))} cannot be read as {form}"):
            read_annotation(path)


@pytest.mark.parametrize("form", FORMATS)
def test_what_was_edited_is_never_overwritten(form: str, tmp_path: Path) -> None:
    path = tmp_path / f"talk{FORMATS[form].suffix}"
    assert write_annotation(conversation(), path) == path
    assert write_annotation(conversation(model="newer"), path) == path  # nobody has touched it
    edited = path / "db.yaml" if path.is_dir() else path
    edited.write_text(edited.read_text(encoding="utf-8") + "\n# mine\n", encoding="utf-8")
    content = edited.read_bytes()
    second = write_annotation(conversation(), path)
    assert second.name == f"talk.2{FORMATS[form].suffix}"
    assert write_annotation(conversation(), path) == second
    assert edited.read_bytes() == content


def test_what_another_tool_wrote_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "talk.srt").write_text("mine")
    assert write_annotation(conversation(), tmp_path / "talk.srt").name == "talk.2.srt"
    (tmp_path / ".emolab-written.json").write_text("no JSON")
    assert write_annotation(conversation(), tmp_path / "talk.srt").name == "talk.3.srt"
    assert (tmp_path / "talk.srt").read_text() == "mine"


def test_nothing_half_written_stays_behind(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected less than 36000 s"):
        write_annotation(at(10), tmp_path / "a.ass")
    assert [*tmp_path.iterdir()] == []


# ---------------------------------------------------------------- subtitles


def test_long_recordings_are_written_or_refused(tmp_path: Path) -> None:
    assert back(at(123.5), tmp_path, "vtt").segments["start"][0] == 123.5 * 3600
    assert "123:30:00.000 --> 123:30:01.000" in (tmp_path / "a.vtt").read_text()
    assert back(at(99), tmp_path, "srt").segments["start"][0] == 99 * 3600
    for form, hours in (("srt", 100), ("ass", 10)):  # elsewhere clamped without a word
        with pytest.raises(ValueError, match=f"that {form.upper()} can say. Write WebVTT, EAF or CSV"):
            write_annotation(at(hours - 1e-4), tmp_path / f"b.{form}")


@pytest.mark.parametrize("form", ["srt", "vtt"])
@pytest.mark.parametrize("mark", [".", ","])
def test_subtitles_of_other_tools_are_read(form: str, mark: str, tmp_path: Path) -> None:
    cues = f"""\ufeff{"WEBVTT - talk" * (form == "vtt")}

7f3a/12-0
00:00:01{mark}5 --> 00:00:02{mark}250 align:start position:0%
<i>Ana Lima</i>: I &amp; you
and <00:00:01.700>two <00:00:02.000>words

NOTE Ben: not said

1:00:03{mark}000 --> 1:00:04{mark}000
Well, I think: yes


2
01:00:05{mark}000 --> 01:00:06{mark}000
[Ben] leaves

amid empty lines
"""
    path = tmp_path / f"talk.{form}"
    path.write_bytes(cues.replace("\n", "\r\n").encode())
    segments = read_annotation(path).segments
    assert [*segments["start"]] == [1.5, 3603.0, 3605.0]
    assert [*segments["end"]] == [2.25, 3604.0, 3606.0]
    assert [*segments["speaker"]] == ["Ana Lima", "unknown", "unknown"]
    assert [*segments["text"]] == ["I & you\nand two words", "Well, I think: yes", "[Ben] leaves\namid empty lines"]


def test_voices_of_vtt_are_speakers(tmp_path: Path) -> None:
    path = tmp_path / "talk.vtt"
    cues = "<v.loud Ana &amp; Co>Hi &lt;there&gt;</v>\n<v Ben>Hello</v>"
    path.write_text(f"WEBVTT\n\n00:01.000 --> 00:02.000\n{cues}\n")
    segments = read_annotation(path).segments
    assert [*segments["speaker"]] == ["Ana & Co", "Ben"]
    assert [*segments["text"]] == ["Hi <there>", "Hello"]
    assert segments["emotion"].isna().all()


def test_subtitles_without_cues_or_backwards_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.vtt").write_text("WEBVTT\n\n1:2 --> 3:4\nhi\n")
    with pytest.raises(ValueError, match="no cue in it"):
        read_annotation(tmp_path / "a.vtt")
    (tmp_path / "a.srt").write_text("1\n00:00:02,000 --> 00:00:01,000\nhi\n")
    with pytest.raises(ValueError, match="end lies before start"):
        read_annotation(tmp_path / "a.srt")


def test_ass_of_other_tools_has_no_emotions(tmp_path: Path) -> None:
    head = "[Script Info]\nScriptType: v4.00+\n\n[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, "
    line = "MarginV, Effect, Text\nDialogue: 0,0:00:01.00,0:00:02.00,sad,,0,0,0,,{\\i1}Well,{\\i0} yes\\Nno\n"
    (tmp_path / "a.ass").write_text(head + line)
    segments = read_annotation(tmp_path / "a.ass").segments
    assert segments.loc[0, ["speaker", "text"]].tolist() == ["unknown", "Well, yes\nno"]
    assert segments["emotion"].isna().all()


def test_colors_of_subtitles_are_legible_and_apart() -> None:
    from skimage.color import rgb2lab

    rgb = np.array([[*bytes.fromhex(color[1:])] for color in COLORS.values()]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    assert ((linear @ [0.2126, 0.7152, 0.0722] + 0.05) / 0.05).min() >= 7  # WCAG, against black
    lab = rgb2lab(rgb[None])[0]
    distances = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
    assert distances[np.triu_indices(len(lab), 1)].min() > 35


# ---------------------------------------------------------------- tiers


def test_tiers_hold_borders_that_a_rater_moved(tmp_path: Path) -> None:
    """A rater moves, splits, merges and empties emotions; text and numbers follow the segments that they overlap."""
    from praatio.utilities import textgrid_io

    rows = [(0.0, 2.0, "one"), (2.0, 5.0, "two"), (5.0, 6.0, "three"), (6.0, 7.0, "four"), (8.0, 9.0, "five")]
    segments = pd.DataFrame(rows, columns=["start", "end", "text"]).assign(speaker="Ana", emotion="sad", confidence=0.5)
    path = write_annotation(Annotation(segments, pd.DataFrame(), "a.wav", 10.0, {}), tmp_path / "a.TextGrid")
    grid = textgrid_io.parseTextgridStr(path.read_text())
    (tier,) = [tier for tier in grid["tiers"] if tier["name"] == "emotion@Ana"]
    moved = [(0.0, 1.7, "sad"), (2.0, 3.0, "happy"), (3.0, 5.0, "sad"), (5.0, 7.0, UNSURE), (9.2, 9.9, "new")]
    tier["entries"] = moved
    for each in grid["tiers"]:
        each["entries"] = [(float(start), float(end), label) for start, end, label in each["entries"]]
    path.write_text(textgrid_io.getTextgridAsStr(grid, "long_textgrid", True))
    found = read_annotation(path).segments
    assert [*zip(found["start"], found["end"], strict=True)] == [*[m[:2] for m in moved[:4]], (8.0, 9.0), (9.2, 9.9)]
    assert [*found["text"]] == ["one", "", "two", "three four", "five", ""]
    assert [*found["emotion"].fillna("")] == ["sad", "happy", "sad", "", "", "new"]
    assert [*found["unsure"]] == [False, False, False, True, False, False]
    assert [*found["confidence"].fillna(0)] == [0.5, 0, 0.5, 0.5, 0.5, 0]


@pytest.mark.parametrize("form", ["eaf", "textgrid"])
def test_tiers_never_hold_two_intervals_at_once(form: str, tmp_path: Path) -> None:
    path = write_annotation(conversation(), tmp_path / f"a{FORMATS[form].suffix}")
    text = path.read_text(encoding="utf-8")
    assert "emotion@Ben (overlap 1)" in text
    assert [*read_annotation(path).segments["speaker"].unique()] == ["Ben", "Ana B"]


def test_tiers_of_other_tools_are_turns(tmp_path: Path) -> None:
    from pympi import Eaf

    eaf = Eaf()
    eaf.remove_tier("default")
    eaf.add_linguistic_type("parts", "Time_Subdivision")
    eaf.add_tier("K-Spch", part="Kim")
    eaf.add_tier("A-Spch")
    eaf.add_tier("translation", ling="parts", parent="A-Spch")
    eaf.add_annotation("K-Spch", 1000, 2000, "hi")
    eaf.add_annotation("A-Spch", 1500, 2500, "you")
    eaf.add_annotation("translation", 1500, 2500, "du")
    eaf.add_linked_file("file:///C:/talks/talk.wav", relpath="./talk.wav", mimetype="audio/x-wav")
    eaf.to_file(tmp_path / "a.eaf")
    text = (tmp_path / "a.eaf").read_text().replace('TIME_VALUE="2000"', "")  # as ELAN subdivides: no time of its own
    (tmp_path / "b.eaf").write_text(text)
    for name, end in (("a", 2.0), ("b", 1.25)):
        found = read_annotation(tmp_path / f"{name}.eaf")
        assert [*found.segments["speaker"]] == ["Kim", "A-Spch"]
        assert [*found.segments["text"]] == ["hi", "you"]
        assert found.segments["end"][0] == end
        assert found.media == "talk.wav"


def test_eaf_has_a_vocabulary_and_a_relative_path(tmp_path: Path) -> None:
    text = write_annotation(conversation(), tmp_path / "a.eaf").read_text(encoding="utf-8")
    assert 'RELATIVE_MEDIA_URL="./my film.flac"' in text
    assert 'MIME_TYPE="audio/flac"' in text  # which pympi does not know
    assert str(tmp_path) not in text
    values = re.findall(r"<CVE_VALUE[^>]*>([^<]*)<", text)
    assert values == ["happy", "sad", "very angry", UNSURE]
    assert 'CONTROLLED_VOCABULARY_REF="emotions"' in text
    tiers = re.findall(r'TIER_ID="([^"]*@Ana B)"', text)
    kinds = ("text", "emotion", "confidence", "valence", "probabilities", "words")
    assert tiers == [f"{kind}@Ana B" for kind in kinds]  # arousal is unknown


# ---------------------------------------------------------------- tables


@pytest.mark.parametrize("form", ["csv", "csv-long", "json", "audformat"])
def test_words_that_look_like_missing_values_stay(form: str, tmp_path: Path) -> None:
    texts = ["NA", "None", "null", "nan", "", "-"]
    rows = pd.DataFrame({"start": range(6), "end": range(1, 7), "speaker": "None", "text": texts, "emotion": "NA"})
    found = back(Annotation(rows, pd.DataFrame(), "a.wav", 6.0, {}), tmp_path, form).segments
    assert [*found["text"]] == texts
    assert {*found["speaker"]} == {"None"}
    assert {*found["emotion"]} == {"NA"}


def test_a_table_from_a_spreadsheet_of_another_country_is_read(tmp_path: Path) -> None:
    table = (
        "start;end;speaker;text;emotion;confidence;unsure;note\n0,5;1,25;Ana;a, b;sad;0,75;FALSE;x\n2;3;Ben;;;;TRUE;\n"
    )
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" + table.encode())
    segments = read_annotation(tmp_path / "a.csv").segments
    assert segments.loc[0, ["start", "end", "text", "confidence"]].tolist() == [0.5, 1.25, "a, b", 0.75]
    assert [*segments["unsure"]] == [False, True]
    assert segments["emotion"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("begin,end\n1,2\n", "no column start, speaker; found: begin, end"),
        ("start,end,speaker\n1,2\n", "row 2 has 2 cells, the header 3"),
        ("start,end,speaker\n3,2,Ana\n", "end lies before start in rows 0"),
        ("start,end,speaker\n0:01,2,Ana\n", "start is no number in rows 0: '0:01'"),
    ],
)
def test_faults_of_a_table_are_named(table: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(table)
    with pytest.raises(ValueError, match=r"a\.csv") as caught:
        read_annotation(tmp_path / "a.csv")
    assert problem in str(caught.value)


def test_json_and_csv_say_their_units(tmp_path: Path) -> None:
    annotation = conversation()
    whole = json.loads(write_annotation(annotation, tmp_path / "a.json").read_text())
    assert "start and end in seconds" in whole["units"]
    assert whole["about"]["emotions"] == ["happy", "sad", "very angry"]
    table = pd.read_csv(write_annotation(annotation, tmp_path / "a.csv"), keep_default_na=False)
    assert "start and end in seconds" in table["made_by"][0]
    assert table["media"][0] == "my film.flac"


# ---------------------------------------------------------------- labels and turns


def test_labels_of_audacity_are_read(tmp_path: Path) -> None:
    lines = "0.500000\t1.250000\tAna: hi\n\\\t100.0\t2000.0\n2\t2\n3,5\t4\tNote\twith tab\n"
    (tmp_path / "a.txt").write_text(lines)
    segments = read_annotation(tmp_path / "a.txt").segments
    assert [*segments["start"]] == [0.5, 2.0, 3.5]
    assert [*segments["speaker"]] == ["Ana", "unknown", "unknown"]
    assert [*segments["text"]] == ["hi", "", "Note\twith tab"]


def test_rttm_has_no_blanks_and_one_recording(tmp_path: Path) -> None:
    rows = {"start": [0, 1], "end": [1, 2], "speaker": ["A B", "A_B"]}
    with pytest.raises(ValueError, match="speakers A B, A_B are the same once blanks are _"):
        write_annotation(Annotation(pd.DataFrame(rows), pd.DataFrame(), "a.wav", 2.0, {}), tmp_path / "a.rttm")
    turn = "SPEAKER {} 1 0.5 1.0 <NA> <NA> spk0 <NA> <NA>\n"
    (tmp_path / "b.rttm").write_text(";; comment\nSPKR-INFO a 1 <NA> <NA> <NA> unknown spk0 <NA>\n" + turn.format("a"))
    assert read_annotation(tmp_path / "b.rttm").segments["end"].tolist() == [1.5]
    (tmp_path / "c.rttm").write_text(turn.format("a") + turn.format("b"))
    with pytest.raises(ValueError, match="it holds 2 recordings, a, b; expected one a file"):
        read_annotation(tmp_path / "c.rttm")
