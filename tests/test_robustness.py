"""The parts of bench/robustness.py whose right answers are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import page_tables
import pytest
import robustness as bench
from scipy.stats import ttest_ind

from emolab.evaluation import report

EMOTIONS = ("angry", "sad")


def tone(seconds: float = 1.0, level: float = 0.5, hertz: float = 220.0) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(int(16_000 * seconds)) / 16_000)).astype(np.float32)


def answers(right: dict[str, float], n: int = 40) -> Any:
    """Make a report in which each speaker is right in a share of the utterances."""
    truth, shares, clusters = [], [], []
    for name, share in right.items():
        for number in range(n):
            place, correct = number % 2, number // 2 < share * n / 2
            truth.append(EMOTIONS[place])
            shares.append(np.eye(2)[place if correct else 1 - place] * 0.8 + 0.1)
            clusters.append(name)
    return report(truth, shares, emotions=EMOTIONS, clusters=clusters)


def test_opus_keeps_length_and_the_low_tones_at_few_bits() -> None:
    wave = tone(1, 0.3, 300) + tone(1, 0.1, 600)
    coded, finer = bench.opus(wave), bench.opus(wave, 64_000)
    assert (coded.shape, coded.dtype) == (wave.shape, np.float32)
    assert 0.9 < np.corrcoef(coded[2_000:-2_000], wave[2_000:-2_000])[0, 1] < 0.9999
    assert np.square(finer - wave)[2_000:-2_000].mean() < np.square(coded - wave)[2_000:-2_000].mean()
    assert bench.opus(tone(0.01)).shape == (160,)


@pytest.mark.parametrize("seconds", [0.3, 0.6])
def test_a_room_has_the_reverberation_asked_for(seconds: float) -> None:
    response = bench.room_response(seconds, np.random.default_rng(4))
    left = np.cumsum(np.square(response)[::-1])[::-1]  # Schroeder's integration
    decay = 10 * np.log10(left / left[0])
    fall = np.flatnonzero((decay < -5) & (decay > -25))
    measured = -60 / np.polyfit(fall / 16_000, decay[fall], 1)[0]
    assert 0.95 * seconds < measured < 1.35 * seconds
    assert np.square(response).sum() == pytest.approx(1)


def test_direct_sound_and_first_reflection_of_a_room_come_when_geometry_says() -> None:
    rng = np.random.default_rng(1)
    size = rng.uniform(bench.SMALLEST, bench.LARGEST)
    spoken, heard = rng.uniform(bench.WALL_M, size - bench.WALL_M, (2, 3))
    images = [np.where(np.arange(3) == axis, 2 * wall * size - spoken, spoken) for axis in range(3) for wall in (0, 1)]
    later = min(np.linalg.norm(image - heard) for image in images) - np.linalg.norm(spoken - heard)
    response = bench.room_response(0.5, np.random.default_rng(1))
    assert np.flatnonzero(response)[:2].tolist() == [0, round(later / 343 * 16_000)]
    assert response[0] > 0 > response[np.flatnonzero(response)[1]]


@pytest.mark.parametrize(("kind", "grade"), [(*each,) for each in bench.SIDE_CONDITIONS])
def test_each_condition_keeps_length_and_does_something(
    kind: str, grade: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "rooms", lambda *_: [bench.room_response(0.2, np.random.default_rng(0))])
    wave = tone(0.5) + tone(0.5, 0.2, 1_000)
    changed = bench.tested(kind, grade, [tone(0.5, 0.5, 330)])(wave, np.random.default_rng(0))
    assert changed.shape == wave.shape
    assert np.isfinite(changed).all()
    assert not np.allclose(changed, wave, atol=1e-3)
    if grade is not None:
        assert 10 * np.log10(np.square(wave).mean() / np.square(changed - wave).mean()) == pytest.approx(grade, abs=0.1)


def test_words_are_misheard_about_as_often_as_asked_for_and_as_words_that_sound_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spoken = {"their": "DH EH R", "there": "DH EH R", "bear": "B EH R", "the": "DH AH", "house": "HH AW S"}
    phones = {word: tuple(own.split()) for word, own in spoken.items()}
    monkeypatch.setattr(bench, "sounding_alike", lambda: (phones, bench.neighbours(phones)))
    words, rng = ["their"] * 300, np.random.default_rng(0)
    assert bench.misheard("Well, THERE it is!", 0.0, rng) == "well there it is"
    heard = bench.misheard(" ".join(words), 0.4, rng).split()
    assert 0.25 < bench.edits(words, heard) / 300 < 0.45  # what is put in can make up for what was left out
    assert {*heard} == {"their", "there", "bear"}


def test_typos_change_as_many_letters_as_asked_for() -> None:
    text = "abcdefghij" * 300
    changed = bench.typos(text, 0.1, np.random.default_rng(0))
    assert bench.typos(text, 0.0, np.random.default_rng(0)) == text
    assert abs(len(changed) - len(text)) < 100
    assert changed != text


def test_edits_are_counted() -> None:
    assert bench.edits(["he", "sold", "the", "old", "house"], ["he", "told", "a", "house"]) == 3
    assert bench.edits([], ["a"]) == bench.edits(["a"], []) == 1


def test_a_gap_is_the_difference_of_groups_and_its_interval_near_that_of_a_t_test() -> None:
    rng = np.random.default_rng(0)
    one, other = ({f"{name}{k}": rng.integers(20, 36) / 40 for k in range(12)} for name in "ab")
    first, second = answers(one), answers(other)
    found = bench.gap(first.replicates["wa"], second.replicates["wa"], [*first.sizes, *second.sizes])
    usual = ttest_ind([*one.values()], [*other.values()]).confidence_interval()
    assert found.value == pytest.approx(np.mean([*one.values()]) - np.mean([*other.values()]), abs=0.02)
    assert (found.low, found.high) == pytest.approx((usual.low, usual.high), abs=0.03)


def test_power_grows_with_gap_and_speakers_and_the_interval_covers() -> None:
    rows = {row["speakers in each"]: row for row in bench.power(0.1)}
    assert all(0.93 < row["covers"] < 0.97 for row in rows.values())
    assert rows[12]["shown in 80 %"] == pytest.approx(2.8 * 0.1 * np.sqrt(2 / 12), abs=0.03)  # in steps of 0.02
    assert rows[50]["shown in 80 %"] < rows[24]["shown in 80 %"] < rows[12]["shown in 80 %"]
    assert rows[12]["shown"] == sorted(rows[12]["shown"])


def test_speakers_who_are_alike_are_told_from_those_who_are_not() -> None:
    alike = bench.spread_of(answers(dict.fromkeys("abcdefgh", 0.7)), [*"abcdefgh"])
    assert alike["deviation"] < alike["deviation if all were alike"]
    different = bench.spread_of(answers({name: 0.3 + 0.09 * k for k, name in enumerate("abcdefgh")}), [*"abcdefgh"])
    assert different["deviation"] > 2 * different["deviation if all were alike"]
    assert different["p"] == 0
    *speakers, whole = bench.speaker_rows("audio/any", answers({"a": 0.2} | dict.fromkeys("bcdefgh", 0.75)))
    assert [row["group"] for row in speakers if row["p (Holm)"] < 0.05] == ["a"]
    assert whole["worst"] == pytest.approx(0.2)


def test_a_record_becomes_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    none = {"value": 0.5, "low": None, "high": None}
    arm = dict.fromkeys(("ua", "ece", "change", "answered", "accuracy", "accuracy of the answered"), none)
    row = {"recipe": "audio/svm", "condition": "music, 0 dB", "kind": "music", "in training": False, "n": 1_440}
    group = {"recipe": "audio/svm", "by": "gender", "group": "gap", "n": 1_440, "speakers": 24, "ua": none, "ece": none}
    record = {"protocol": "toy", "seed": 7, "intervals": "none", "date": "today", "command": "python bench/x.py"}
    record |= {"choice": {"recipe": "audio/svm", "n_copies": 1, "validation": []}, "missing": [], "explanations": []}
    record |= {"degradations": [row | {"clean": arm, "copies": arm, "gain": none}], "groups": [group], "words": []}
    (tmp_path / "robustness-toy.json").write_text(json.dumps(record | {"power": bench.power(0.1)}), encoding="utf-8")
    monkeypatch.setattr(page_tables, "results_roots", lambda: [tmp_path])
    written = page_tables.robustness_table("toy")
    assert "| audio/svm | music, 0 dB\\* | 1,440 | 0.500 | 0.500 | 0.500 |" in written
    assert "| audio/svm | gap | 1440 | 24 | 0.500 | 0.500 |" in written
    assert "Not measured yet" in page_tables.robustness_table("other")


def row_of(recipe: str, condition: str, ua: float) -> dict[str, Any]:
    return {"recipe": recipe, "condition": condition, "ua": ua}


def test_rows_of_one_recipe_are_measured_beside_those_that_are_recorded() -> None:
    old = [row_of("light", "clean", 0.5), row_of("small", "clean", 0.1), row_of("light", "hum", 0.4)]
    new = [row_of(name, condition, 0.6) for condition in ("clean", "hum") for name in ("light", "small")]
    about = {"choice": {"n_copies": 2}, "groups": [], "date": "2026-12-01"}
    recorded, facts = about | {"degradations": old, "words": ["kept"]}, about | {"degradations": new, "words": []}
    both = bench.beside(recorded, facts, ["small"])
    assert both["degradations"] == [old[0], new[1], old[2], new[3]]
    assert both["words"] == ["kept"]
    with pytest.raises(ValueError, match="recorded with 1 copies, not 2"):
        bench.beside(recorded | {"choice": {"n_copies": 1}}, facts, ["small"])
