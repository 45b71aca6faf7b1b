from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from emolab.corpora.corpus import SCHEMA, Corpus, complete_table
from emolab.media import InMemoryMedia, Segment

ROWS = [
    {"utterance_id": "a", "speaker": "ann", "emotion": "happy", "text": "Hello", "audio_path": "a.wav"},
    {"utterance_id": "b", "speaker": "ben", "emotion": "excited", "text": "Well", "votes": {"excited": 2}},
    {"utterance_id": "c", "speaker": "ben", "emotion": "undecided", "start": 1, "end": 2, "mood": "odd"},
]
EMOTIONS = ("happy", "excited", "undecided")


@pytest.fixture
def corpus() -> Corpus:
    return Corpus.from_rows("toy", ROWS, emotions=EMOTIONS, root=Path("/data"), default_view="iemocap4")


def test_from_rows_completes_the_schema_and_keeps_other_columns(corpus: Corpus) -> None:
    assert list(corpus.table) == [*SCHEMA, "mood"]
    assert {column: str(corpus.table[column].dtype) for column in SCHEMA} == {
        c: dtype for c, (dtype, _) in SCHEMA.items()
    }
    assert corpus.table["valence"].isna().all()


def test_view_merges_and_lists_what_it_drops(corpus: Corpus) -> None:
    view = corpus.view()
    assert (len(view), view.view_name, view.table["emotion"].tolist()) == (2, "iemocap4", ["happy", "happy"])
    assert view.dropped.to_dict("records") == [{"utterance_id": "c", "reason": "not in view iemocap4: undecided"}]
    assert view.targets().tolist() == [1, 1]
    assert len(corpus) == 3
    assert view.view("iemocap4") is view


def test_view_explains_a_name_it_does_not_know(corpus: Corpus) -> None:
    with pytest.raises(KeyError, match=r"no view 'iemocap7'; expected one of .*'iemocap4'"):
        corpus.view("iemocap7")
    with pytest.raises(ValueError, match=r"has none of the emotions of view 'iemocap4'.*it has .*undecided"):
        corpus.select([False, False, True]).view()
    with pytest.raises(
        ValueError, match=r"is in view 'iemocap4', which has merged.*expected the whole corpus.*Take it"
    ):
        corpus.view("iemocap4").view("iemocap6")


def test_only_keeps_some_emotions_in_their_order_and_lists_the_others(corpus: Corpus) -> None:
    part = corpus.only("undecided", "happy")
    assert (part.emotions, part.table["utterance_id"].tolist()) == (("happy", "undecided"), ["a", "c"])
    assert part.view_name == "happy+undecided"
    assert part.dropped.to_dict("records") == [{"utterance_id": "b", "reason": "not in view happy+undecided: excited"}]
    again = part.only("happy")
    assert (again.view_name, len(again.dropped)) == ("happy+undecided > happy", 2)
    assert corpus.view("iemocap5").only("excited").view_name == "iemocap5 > excited"


def test_merged_gives_emotions_the_name_of_others_or_a_new_one(corpus: Corpus) -> None:
    merged = corpus.merged(excited="happy", undecided="mixed")
    assert (merged.emotions, merged.table["emotion"].tolist()) == (("happy", "mixed"), ["happy", "happy", "mixed"])
    assert merged.view_name == "excited=happy+undecided=mixed"
    assert merged.dropped.empty
    assert merged.only("mixed").view_name == "excited=happy+undecided=mixed > mixed"
    swapped = corpus.merged(happy="excited", excited="happy")
    assert swapped.table["emotion"].tolist() == ["excited", "happy", "undecided"]


def test_a_choice_is_no_place_to_take_a_view_from(corpus: Corpus) -> None:
    chosen = corpus.only("happy", "excited")
    assert chosen.view() is chosen  # its usual view would leave out what was chosen
    with pytest.raises(
        ValueError, match=r"is in view 'happy\+excited', which has merged or left out; expected the whole"
    ):
        chosen.view("iemocap4")


@pytest.mark.parametrize("choose", [lambda c: c.only("hapy", "sad"), lambda c: c.merged(hapy="happy", sad="x")])
def test_choices_name_the_emotions_that_are_there(corpus: Corpus, choose: Any) -> None:
    with pytest.raises(
        ValueError, match=r"'toy' has no emotion hapy, sad; expected some of happy, excited, undecided\."
    ):
        choose(corpus)
    with pytest.raises(ValueError, match=r"'toy' has no emotion \(none is named\); expected some of happy"):
        corpus.only()


def test_audio_paths_are_segments_where_an_utterance_is_a_part_of_its_file() -> None:
    rows = [dict(ROWS[0], audio_start=1.5, audio_end=2), dict(ROWS[0], utterance_id="b", audio_end=1), ROWS[0]]
    rows[2] = dict(ROWS[0], utterance_id="c", start=1, end=2)  # in its dialogue: the file is this utterance's alone
    corpus = Corpus.from_rows("toy", rows, emotions=EMOTIONS, root=Path("/data"))
    path = Path("/data/a.wav")
    assert corpus.audio_paths() == [Segment(path, 1.5, 2.0), Segment(path, None, 1.0), path]
    held = corpus.with_media(audio={"a": np.ones(8, np.float32)}).audio_paths()
    assert isinstance(held[0], InMemoryMedia)  # the utterance itself
    with pytest.raises(ValueError, match="audio_end lies before audio_start in rows 0"):
        Corpus.from_rows("toy", [dict(ROWS[0], audio_start=3, audio_end=2)], emotions=EMOTIONS, root=Path())


def test_select_keeps_the_marked_rows_in_order(corpus: Corpus) -> None:
    part = corpus.select(corpus.table["speaker"] == "ben")
    assert part.table["utterance_id"].tolist() == ["b", "c"]
    assert part.table.index.tolist() == [0, 1]


def test_paths_lie_below_the_root_and_modalities_are_what_is_there(corpus: Corpus) -> None:
    assert corpus.select([True, False, False]).audio_paths() == [Path("/data/a.wav")]
    assert corpus.modalities == ("audio", "text")


def test_holding_takes_sound_and_faces_from_memory(corpus: Corpus) -> None:
    wave, pictures = np.ones(8, np.float32), np.zeros((2, 4, 4, 3), np.uint8)
    in_memory = corpus.with_media(audio={"b": wave}, video={"c": pictures})
    assert in_memory.modalities == ("audio", "text", "video")
    assert in_memory.has("audio").tolist() == [True, True, False]
    assert in_memory.has("video").tolist() == [False, False, True]
    first, second = in_memory.select([True, True, False]).audio_paths()
    assert first == Path("/data/a.wav")
    assert second.content is wave
    assert in_memory.select([False, False, True]).video_paths()[0].content is pictures
    assert corpus.modalities == ("audio", "text")  # what was given stays as it is
    with pytest.raises(ValueError, match=r"1 of 3 utterances .* no audio_path: c\. "):
        in_memory.audio_paths()


def test_what_is_held_last_counts_and_the_other_modality_stays(corpus: Corpus) -> None:
    once = corpus.with_media(audio={"a": np.zeros(1, np.float32), "b": np.zeros(2, np.float32)})
    twice = once.with_media(video={"a": np.zeros((1, 4, 4, 3), np.uint8)}).with_media(
        audio={"a": np.zeros(3, np.float32)}
    )
    assert [*twice.in_memory] == ["audio", "video"]
    assert len(twice.select([True, False, False]).audio_paths()[0].content) == 3
    assert twice.has("audio").tolist() == [True, False, False]  # a new set of sounds, not a change of the old one


def test_what_is_held_is_hidden_like_files_and_follows_selections_and_views(corpus: Corpus) -> None:
    in_memory = corpus.with_media(audio={"b": np.ones(8, np.float32)})
    assert in_memory.without("audio").modalities == ("text",)
    assert not in_memory.without("audio").has("audio").any()
    assert in_memory.view().has("audio").tolist() == [True, True]
    assert "held" not in repr(in_memory)


def test_joined_keeps_the_rows_in_order_and_what_each_corpus_holds(corpus: Corpus) -> None:
    names = corpus.table["utterance_id"]
    ends = corpus.select(np.arange(len(corpus)) < 1), corpus.select(np.arange(len(corpus)) == len(corpus) - 1)
    waves = [np.full(16, level, np.float32) for level in (0.25, 0.5)]
    first, last = (
        end.with_media(audio={end.table["utterance_id"][0]: wave}) for end, wave in zip(ends, waves, strict=True)
    )
    both = first.joined(last)
    assert both.table["utterance_id"].tolist() == [names.iloc[0], names.iloc[-1]]
    assert [held.content[0] for held in both.audio_paths()] == [0.25, 0.5]
    pd.testing.assert_frame_equal(first.joined().table, first.table)
    with pytest.raises(ValueError, match="utterance_id occurs twice"):
        first.joined(first)


def test_held_sound_is_equal_to_nothing_but_itself() -> None:
    one, other = InMemoryMedia(np.zeros(2, np.float32)), InMemoryMedia(np.zeros(2, np.float32))
    assert one == one
    assert one != other
    assert len({one, other}) == 2


def test_paths_and_texts_name_the_utterances_that_have_none(corpus: Corpus) -> None:
    with pytest.raises(ValueError, match=r"2 of 3 utterances .* no audio_path: b, c\. Expected .* leave those out"):
        corpus.audio_paths()
    with pytest.raises(ValueError, match=r"1 of 3 .* no text: c\."):
        corpus.texts()


def test_corpus_lists_everything_that_breaks_the_schema() -> None:
    rows = [{**ROWS[0], "speaker": "", "gender": "f"}, {**ROWS[0], "emotion": "odd", "start": 3, "end": 2}]
    with pytest.raises(
        ValueError, match=r"(?s)5 problems in the table of corpus 'toy':\n  speaker.*\nExpected the columns"
    ) as caught:
        Corpus.from_rows("toy", rows, emotions=EMOTIONS, root=Path())
    for problem in ("speaker is empty in rows 0", "occurs twice: a", "unknown emotion odd in rows 1", "gender is not"):
        assert problem in str(caught.value)
    assert "end lies before start in rows 1" in str(caught.value)


def test_corpus_names_missing_columns_and_wrong_types() -> None:
    table = complete_table(pd.DataFrame(ROWS))
    with pytest.raises(ValueError, match="no column session"):
        Corpus("toy", table.drop(columns="session"), EMOTIONS, Path())
    with pytest.raises(ValueError, match="column turn has type float64, not Int64"):
        Corpus("toy", table.assign(turn=0.5), EMOTIONS, Path())
    with pytest.raises(ValueError, match=r"(?s)turn has type .*, not Int64.*valence has type .*, not float64"):
        Corpus.from_rows("toy", [{**ROWS[0], "valence": "high", "turn": "first"}], emotions=EMOTIONS, root=Path())


def test_repr_says_whether_the_corpus_is_synthetic(corpus: Corpus) -> None:
    assert repr(corpus) == "Corpus('toy', view 'all', 3 utterances, 2 speakers)"
