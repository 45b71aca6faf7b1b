"""Each flaw of bench/leaks.py, on a toy corpus in which it is known what it must do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import leaks
import numpy as np
import page_tables
import pytest
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from emolab.corpora import Corpus

EMOTIONS = ("neutral", "angry", "sad")
N_SPEAKERS, N_EACH, N_FEATURES = 10, 24, 30
SVM = make_pipeline(StandardScaler(), SVC(C=10.0, class_weight="balanced"))


def toy(*, signal: float = 0.0, voice: float = 0.0, own: float = 0.0) -> Any:
    """Make utterances whose features hold the emotion, the speaker, and the emotion as this speaker expresses it."""
    rng = np.random.default_rng(0)
    y, speaker = rng.permutation(np.repeat(np.arange(3), 80)), np.repeat(np.arange(N_SPEAKERS), N_EACH)
    x = rng.normal(size=(len(y), N_FEATURES))
    x += signal * rng.normal(size=(3, N_FEATURES))[y] + voice * rng.normal(size=(N_SPEAKERS, N_FEATURES))[speaker]
    x += own * rng.normal(size=(N_SPEAKERS, 3, N_FEATURES))[speaker, y]
    rows = [
        {
            **{"utterance_id": f"u{n:03}", "speaker": f"s{who}", "emotion": EMOTIONS[label]},
            **{
                "dialogue_id": f"d{n // 12}",
                "text": ("a door", "a dog")[n % 2],
                "audio_path": f"03-{label + 1}-{n % 7}.wav",
            },
        }
        for n, (who, label) in enumerate(zip(speaker, y, strict=True))
    ]
    corpus = Corpus.from_rows("toy", rows, emotions=EMOTIONS, root=Path())
    halves = np.concatenate([x + rng.normal(size=x.shape), x + rng.normal(size=x.shape)])
    names = np.array([f"s{who}" for who in speaker])
    return leaks.Material(corpus, x, halves, {"SVM": SVM}, y, names, speaker // 2, "30 numbers", "toy")


def scores(m: Any, flaw: Any, model: Pipeline = SVM) -> tuple[float, float, list[str]]:
    row = leaks.measured(m, flaw, model, (7,))
    assert row["difference"]["low"] <= row["difference"]["value"] <= row["difference"]["high"]
    return row["honest"]["value"], row["leaky"]["value"], row["found_by_fold"]


def test_shared_speakers_pay_where_emotions_are_expressed_in_one_s_own_way() -> None:
    honest, leaky, found = scores(toy(own=1.0), leaks.shared_speakers)
    assert honest < 0.5 < 0.7 < leaky
    assert found == ["speaker", "recording"]


def test_ignored_groups_follow_the_order_of_the_table() -> None:
    m = toy(own=1.0)
    order = np.random.default_rng(0).permutation(len(m.y))
    table = m.corpus.table.iloc[order].reset_index(drop=True)
    mixed = replace(
        m,
        corpus=replace(m.corpus, table=table),
        x=m.x[order],
        y=m.y[order],
        speaker=m.speaker[order],
        fold=m.fold[order],
    )
    assert scores(mixed, leaks.ignored_groups)[1] > scores(m, leaks.ignored_groups)[1] + 0.2


@pytest.mark.parametrize("flaw", [leaks.drawn_with_replacement, leaks.doubled], ids=["drawn", "doubled"])
def test_copies_are_recognised_though_there_is_nothing_to_learn(flaw: Any) -> None:
    honest, leaky, found = scores(toy(), flaw)
    assert abs(honest - 1 / 3) < 0.12
    assert leaky > 0.6
    assert "row" in found


def test_copies_before_the_split_raise_the_score_of_rare_emotions() -> None:
    honest, leaky, found = scores(toy(), leaks.copied_before_split)
    assert leaky > honest + 0.2
    assert "row" in found


def test_with_copies_fills_rare_emotions_up() -> None:
    y = np.array([0] * 8 + [1] * 2)
    assert np.bincount(y[leaks.with_copies(y, np.array([1]))]).tolist() == [8, 8]


def test_segments_are_told_by_the_recording_that_they_were_cut_from() -> None:
    honest, leaky, found = scores(toy(), leaks.segments)
    assert leaky > honest + 0.1
    assert found == ["speaker", "recording"]


def test_scaling_on_everything_is_worth_little_and_selection_finds_what_is_not_there() -> None:
    honest, leaky, _ = scores(toy(signal=0.5), leaks.prepared_on_everything)
    assert abs(leaky - honest) < 0.05
    m = toy()
    wide = replace(m, x=np.random.default_rng(1).normal(size=(len(m.y), 2000)))
    honest, leaky, _ = scores(wide, leaks.selected_on_everything)
    assert honest < 0.45 < leaky


def test_the_epoch_picked_on_the_test_set_is_never_worse() -> None:
    honest, leaky, _ = scores(toy(signal=0.3), leaks.picked_on_test)
    assert leaky > honest


def test_speaker_means_take_the_voice_off() -> None:
    honest, leaky, _ = scores(toy(signal=0.5, voice=3.0), leaks.speaker_means)
    assert leaky > honest + 0.1


def test_future_turns_pay_where_the_next_turn_tells_the_emotion() -> None:
    m = toy()
    x = m.x.copy()
    x[1:, :3] += 5 * np.eye(3)[m.y[:-1]]  # each utterance answers to the one before it
    honest, leaky, _ = scores(replace(m, x=x), leaks.future_turns)
    assert honest < 0.5 < 0.8 < leaky


def test_rows_out_of_step_fall_to_chance_and_a_wrong_map_below_what_is_known() -> None:
    m = toy(signal=1.0)
    honest, leaky, _ = scores(m, leaks.out_of_step)
    assert honest > 0.8
    assert abs(leaky - 1 / 3) < 0.12
    assert scores(m, leaks.wrong_label_map)[1] < 0.5


def test_a_file_name_among_the_words_breaks_the_negative_control() -> None:
    honest, leaky, _ = scores(toy(), leaks.file_name_as_text)
    assert abs(honest - 1 / 3) < 0.12
    assert leaky > 0.95


def test_flaws_need_what_they_are_about() -> None:
    m = toy()
    assert all(leaks.applies(m, flaw) for flaw in leaks.FLAWS.values())
    alone = replace(
        m,
        corpus=replace(
            m.corpus,
            table=m.corpus.table.assign(dialogue_id=m.corpus.table["dialogue_id"].mask(m.corpus.table["text"].notna())),
        ),
    )
    assert not leaks.applies(alone, leaks.future_turns)
    assert set(leaks.ABOUT) == set(leaks.FLAWS)


def test_a_record_of_text_becomes_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = toy().corpus
    table = corpus.table.assign(audio_path=corpus.table["audio_path"].mask(corpus.table["text"].notna()))
    texts = replace(corpus, table=table.assign(text=table["text"] + " " + table["emotion"]))
    record = leaks.record_of(texts, seeds=(7,), flaws=("random split", "future turns"))
    assert [row["flaw"] for row in record["flaws"]] == ["random split"] * 2 + ["future turns"] * 2
    assert record["flaws"][0]["honest"]["value"] == 1
    assert any(line.startswith("[shuffled] random split") for line in leaks.lines_of(record))
    (tmp_path / "leaks-toy.json").write_text(json.dumps(record, allow_nan=False), encoding="utf-8")
    monkeypatch.setattr(page_tables, "results_roots", lambda: [tmp_path])
    written = page_tables.leaks_table("toy")
    assert "| future turns | 1.000 [1.000, 1.000] |" in written
    assert "`Fold`: speaker, recording" in written
    assert "Not measured yet" in page_tables.leaks_table("other")
