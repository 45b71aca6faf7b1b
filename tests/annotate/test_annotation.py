from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from emolab.annotate.annotation import Annotation, audit_line, homes
from tests.annotate.conversation import conversation


def of(words: Any = (), **columns: Any) -> Annotation:
    return Annotation(pd.DataFrame({"start": [0], "end": [1]} | columns), pd.DataFrame(words), "a.wav", 4.0, {})


def test_annotation_completes_types_and_order() -> None:
    columns = {"start": ["2.5", 1], "end": [3, 2.5], "speaker": [" Ana \n B", 7], "text": ["hi\r\nyou\x00", None]}
    annotation = of([{"start": 2.5, "end": 3, "word": "hi", "segment": 0}], **columns)
    assert [*annotation.segments["start"]] == [1.0, 2.5]
    assert [*annotation.segments["speaker"]] == ["7", "Ana B"]
    assert [*annotation.segments["text"]] == ["", "hi\nyou"]
    assert annotation.words["segment"][0] == 1  # follows its segment
    assert annotation.segments["emotion"].isna().all()
    assert annotation.segments["unsure"].dtype == bool
    assert annotation.emotions == ()
    assert len(Annotation(pd.DataFrame(), pd.DataFrame(), "a.wav", 0.0, {})) == 0


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"start": ["soon"]}, "start is no number in rows 0: 'soon'"),
        ({"start": [float("nan")]}, "start or end is missing, negative or infinite in rows 0"),
        ({"start": [-0.5]}, "start or end is missing, negative or infinite in rows 0"),
        ({"end": [float("inf")]}, "missing, negative or infinite"),
        ({"start": [2]}, "end lies before start in rows 0"),
        ({"end": [4.2]}, "end lies after the recording's 4.000 s in rows 0"),
        ({"speaker": [" "]}, "speaker is empty in rows 0"),
        ({"confidence": [1.5]}, "a probability is not between 0 and 1 in rows 0"),
        ({"p_sad": [0.5], "p_happy": [0.1]}, "the probabilities do not sum to 1 in rows 0"),
        ({"p_sad": [1.0], "p_happy": ["much"]}, "p_happy is no number in rows 0: 'much'"),
    ],
)
def test_annotation_names_what_is_wrong(columns: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=r"in the annotation of 'a\.wav'") as caught:
        of(**{"speaker": ["Ana"]} | columns)
    assert problem in str(caught.value)


def test_annotation_checks_words() -> None:
    with pytest.raises(ValueError, match="words: segment is none of 0 to 0 in rows 0"):
        of([{"start": 0, "end": 1, "word": "hm", "segment": 1}], speaker=["Ana"])
    with pytest.raises(ValueError, match="words: a time is missing, or end lies before start in rows 0"):
        of([{"start": 1, "end": 0, "word": "hm", "segment": 0}], speaker=["Ana"])


def test_annotation_shows_unsure_segments_and_says_what_it_is() -> None:
    annotation = conversation()
    assert [*annotation.shown["label"]] == ["sad", "don't know", "very angry", "", "sad"]
    assert annotation.emotions == ("happy", "sad", "very angry")
    assert repr(annotation) == (
        "Annotation('my film.flac', 4.0 s, 5 segments, 2 speakers, 1 unsure; audio/svm, synthetic)"
    )


def test_a_rater_may_write_that_nobody_can_tell() -> None:
    annotation = of(speaker=["Ana"], emotion=["don't know"])
    assert annotation.segments["unsure"][0]
    assert annotation.segments["emotion"].isna()[0]


def test_to_frame_long_has_a_row_for_each_emotion() -> None:
    annotation = conversation()
    long = annotation.to_frame(long=True)
    assert len(long) == 5 * 3
    of_first = long[long["segment"] == 0].set_index("emotion")
    assert of_first["probability"].to_dict() == {"happy": 0.25, "sad": 0.6, "very angry": 0.15}
    assert of_first["chosen"].to_dict() == {"happy": False, "sad": True, "very angry": False}
    assert [*of_first.columns[:5]] == ["segment", "start", "end", "speaker", "text"]
    pd.testing.assert_frame_equal(annotation.to_frame(), annotation.segments)


def test_audit_line_says_model_data_law_and_whether_it_is_synthetic() -> None:
    line = conversation().audit
    for part in ("audio/svm trained on sample", "as perceived by raters, not what people feel", "2026-12-01"):
        assert part in line
    for part in ("Art. 50(3)", "must be told", "not for use at work or in education (Art. 5(1)(f))"):
        assert part in line
    assert "says nothing about people" in line
    assert "says nothing about people" not in audit_line({"model": "m"})
    assert "by the words alone" in audit_line({"modalities": ["text"]})
    assert "by the words alone" not in audit_line({"modalities": ["audio", "text"]})
    assert conversation(audit="one\n\n--> line").audit == "one -> line"


def test_homes_takes_what_fits_best_and_shares_enough() -> None:
    segments = [(0, 2), (2, 6), (7, 7)]
    spans = [(0.5, 3), (1.5, 6), (5.5, 9), (6, 6.5), (7, 7)]
    np.testing.assert_array_equal(homes(spans, segments), [0, 1, 2, -1, 2])
    np.testing.assert_array_equal(homes(spans, []), [-1] * 5)
    np.testing.assert_array_equal(homes([(0, 2)], [(0, 2), (0, 1.5)], bonus=[[0, 9]]), [1])
    np.testing.assert_array_equal(homes([(4, 5)], [(0, 10), (4, 5.5)]), [1])
