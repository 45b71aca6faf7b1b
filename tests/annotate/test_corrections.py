from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from emolab.annotate.annotation import Annotation
from emolab.annotate.corrections import compare, corpus_of, krippendorff_alpha, refit
from emolab.annotate.formats import read_annotation, write_annotation
from emolab.cli import main
from emolab.corpora import Corpus
from emolab.features.audio import Functionals
from emolab.features.text import Tfidf
from emolab.models.light import logistic_regression
from emolab.recognizer import LightRecognizer, Recognizer


def of(emotions: Sequence[str | None], **columns: Any) -> Annotation:
    """Return an annotation of one-second segments."""
    start = np.arange(len(emotions), dtype=float)
    about = {"start": start, "end": start + 1, "speaker": "Ana", "text": "hm", "emotion": emotions}
    return Annotation(pd.DataFrame(about | columns), pd.DataFrame(), "a.wav", 99.0, {})


def test_compare_gives_kappa_alpha_and_what_differs() -> None:
    model = of(["sad", "sad", "happy", "happy", "sad", "angry"], unsure=[False] * 5 + [True])
    rater = of(["sad", "happy", "happy", "happy", None, "sad"])
    agreement = compare(model, rater)
    assert agreement.pairs.loc["model and rater 1", "n"] == 4
    assert agreement.pairs.loc["model and rater 1", "agreement"] == 0.75
    # both say sad 2 or 1 of 4 times, so chance is 2/4 * 1/4 + 2/4 * 3/4 = 1/2
    assert agreement.pairs.loc["model and rater 1", "kappa"] == pytest.approx((0.75 - 0.5) / (1 - 0.5))
    # 3 sad and 5 happy make 8 labels; expected 2 * 3 * 5 / 7 unequal pairs, 2 found
    assert agreement.alpha == pytest.approx(1 - 2 / (30 / 7))
    assert [*agreement.differ.index] == [1, 5]  # the unsure one is shown too
    assert agreement.added == 0
    assert "1 of 6 segments, in which the model is unsure, do not count" in repr(agreement)


def test_compare_takes_several_raters_and_moved_borders() -> None:
    model = of(["sad", "happy", "angry"])
    shifted = of(["sad", "happy", "angry"], start=[0.2, 1.4, 2.3], end=[1.3, 2.2, 2.9], speaker="A. Lima")
    halves = of(["sad", "happy", "happy"], start=[0, 1.0, 9], end=[0.9, 2.9, 10])
    agreement = compare(model, shifted, halves)
    assert [*agreement.pairs.index] == ["model and rater 1", "model and rater 2", "rater 1 and rater 2"]
    assert agreement.labels[["model", "rater 1", "rater 2"]].to_numpy().tolist() == [
        ["sad", "sad", "sad"],
        ["happy", "happy", "happy"],
        ["angry", "angry", "happy"],  # merged with the one before
    ]
    assert agreement.added == 1


def test_compare_prefers_the_same_speaker() -> None:
    times = {"start": [0.0, 0.0], "end": [2.0, 1.2]}
    model = of(["sad", "happy"], speaker=["Ana", "Ben"], **times)
    rater = of(["happy", "sad"], speaker=["Ben", "Ana"], **times)  # Ana's is now the shorter one
    assert [*compare(model, rater).labels["rater 1"]] == ["sad", "happy"]


def test_what_is_undefined_is_said_so() -> None:
    """Where everybody says one emotion, no chance is left to correct for."""
    agreement = compare(of(["sad", "sad"]), of(["sad", "sad"]))
    assert np.isnan([agreement.pairs["kappa"].iloc[0], agreement.alpha]).all()
    assert "undefined" in repr(agreement).split("\n")[1]
    assert "alpha undefined" in repr(agreement)
    with pytest.raises(ValueError, match=r"0 raters label none of the 1 segments of 'a\.wav'"):
        compare(of(["sad"]))
    with pytest.raises(ValueError, match="1 raters label none"):
        compare(of(["sad"]), of([None]))


def test_alpha_is_that_of_the_library() -> None:
    krippendorff = pytest.importorskip("krippendorff")
    rng = np.random.default_rng(7)
    for n_raters in (2, 3, 5):
        labels = pd.DataFrame(rng.choice(["a", "b", "c"], (40, n_raters), p=[0.6, 0.3, 0.1])).astype(object)
        labels[0] = labels[1]  # some agreement
        labels = labels.mask(rng.random(labels.shape) < 0.2, None)
        codes = labels.replace({"a": 0, "b": 1, "c": 2}).astype(float).T.to_numpy()  # to it, "" and -1 are labels
        expected = krippendorff.alpha(reliability_data=codes, level_of_measurement="nominal")
        assert krippendorff_alpha(labels) == pytest.approx(expected)


RATE = 16_000
SAID = {"happy": "yay great", "sad": "oh no", "neutral": "well then"}


def model_of_words(emotions: Sequence[str] = ("happy", "neutral", "sad")) -> LightRecognizer:
    """Fit a model that takes what is said for what `SAID` has it to be."""
    recognizer = LightRecognizer("words", Tfidf(), logistic_regression(7, c=10.0, scale=False))
    rows = [
        {"utterance_id": f"{emotion} {n}", "speaker": "abc"[n % 3], "emotion": emotion, "text": SAID[emotion]}
        for emotion in emotions
        for n in range(6)
    ]
    corpus = Corpus.from_rows("words", rows, emotions=emotions, root=Path())
    recognizer.fit(corpus, corpus)
    return recognizer


def corrected(n: int = 24, **meaning: str) -> Annotation:
    """Return segments of three speakers in which a rater takes some words for something else than the model does."""
    said = [[*SAID][number % 3] for number in range(n)]
    speakers = [("Ana", "Ben", "Kim")[number // 3 % 3] for number in range(n)]
    return of([meaning.get(each, each) for each in said], text=[SAID[each] for each in said], speaker=speakers)


def test_refit_learns_what_raters_see_and_measures_it_by_speaker(tmp_path: Path) -> None:
    base = model_of_words()
    found = refit(base, corrected(neutral="tender"), "talk.wav", tmp_path / "new")  # the model knows no tender
    assert found.recognizer.emotions == ("happy", "neutral", "sad", "tender")
    assert found.before.n == found.after.n == 24
    assert found.before.metrics["ua"].value == pytest.approx(2 / 3)
    assert found.after.metrics["ua"].value == 1.0
    assert "cross-validation by speaker, 3 folds" in repr(found)
    loaded = Recognizer.load(tmp_path / "new")
    assert loaded.predict([SAID["neutral"], SAID["sad"]]) == ["tender", "sad"]
    probabilities = loaded.predict_proba([SAID["happy"]])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert loaded.unsure_below > 0  # on what cross-validation predicted
    assert base.emotions == ("happy", "neutral", "sad")  # as it was
    again = refit(tmp_path / "new", corrected(happy="sad"), "talk.wav", tmp_path / "third")
    assert again.recognizer.predict([SAID["happy"]]) == ["sad"]


def test_refit_keeps_what_the_corrections_do_not_speak_of(tmp_path: Path) -> None:
    """Emotions that no correction has are still told."""
    rater = corrected()
    rater = rater_of(rater, rater.segments["emotion"] != "sad")
    found = refit(model_of_words(), rater, "talk.wav", tmp_path / "new")
    assert found.recognizer.predict([*SAID.values()]) == [*SAID]
    few = rater.segments[:10].assign(emotion=["neutral", *rater.segments["emotion"][1:10]])  # a slip, one of five
    slip = Annotation(few, pd.DataFrame(), "a.wav", 99.0, {})
    found = refit(model_of_words(), slip, "talk.wav", tmp_path / "few")
    assert found.recognizer.predict([*SAID.values()]) == [*SAID]


def rater_of(annotation: Annotation, rows: Any) -> Annotation:
    return Annotation(annotation.segments[rows], pd.DataFrame(), annotation.media, annotation.seconds, {})


def test_refit_of_two_emotions_and_one_speaker_says_so(tmp_path: Path) -> None:
    rater = corrected(45)
    rows = (rater.segments["emotion"] != "neutral") & (rater.segments["speaker"] == "Ana")
    found = refit(model_of_words(("happy", "sad")), rater_of(rater, rows), "talk.wav", tmp_path / "new")
    assert "one speaker, who is in the training and the test sets: too good for other voices" in found.protocol
    assert found.recognizer.predict([SAID["sad"], SAID["happy"]]) == ["sad", "happy"]


def test_refit_leaves_out_what_a_rater_cannot_tell(tmp_path: Path) -> None:
    rater = corrected()
    unsure = rater.segments.assign(unsure=rater.segments.index % 4 == 0)
    path = write_annotation(Annotation(unsure, pd.DataFrame(), "a.wav", 99.0, {}), tmp_path / "rater.eaf")
    assert refit(model_of_words(), read_annotation(path), "talk.wav", tmp_path / "new").after.n == 18


def test_refit_takes_several_recordings(tmp_path: Path) -> None:
    found = refit(model_of_words(), [corrected(9), corrected(12)], ["a.wav", "b.wav"], tmp_path / "new")
    assert found.after.n == 21
    with pytest.raises(ValueError, match="2 annotations of 1 recordings"):
        refit(model_of_words(), [corrected(9), corrected(12)], ["a.wav"], tmp_path / "other")


def test_refit_says_what_is_missing(tmp_path: Path) -> None:
    base = model_of_words()
    with pytest.raises(ValueError, match=r"6 corrected segments of 3 emotions; expected at least 10 of 2"):
        refit(base, corrected(6), "talk.wav", tmp_path / "new")
    with pytest.raises(ValueError, match=r"12 corrected segments of 1 emotions"):
        refit(base, of(["sad"] * 12), "talk.wav", tmp_path / "new")
    with pytest.raises(FileExistsError, match="is there already; expected a new folder"):
        refit(base, corrected(), "talk.wav", tmp_path)


def test_the_command_line_compares_and_refits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model_of_words().save(tmp_path / "model")
    own = write_annotation(corrected(), tmp_path / "talk.json")
    rater = write_annotation(corrected(neutral="sad"), tmp_path / "talk.TextGrid")
    assert main(["compare", str(own), str(rater)]) == 0
    assert "model and rater 1" in (said := capsys.readouterr().out)
    assert "neutral" in said.split("\n")[4]  # what differs
    files = [str(rater), "--media", "talk.wav", "--into", str(tmp_path / "new")]
    assert main(["refit", str(tmp_path / "model"), *files]) == 0
    assert "cross-validation by speaker" in capsys.readouterr().out
    assert Recognizer.load(tmp_path / "new").predict([SAID["neutral"]]) == ["sad"]
    assert main(["refit", str(tmp_path / "model"), *files]) == 2
    assert "is there already" in capsys.readouterr().err


def tones(folder: Path) -> tuple[Path, Annotation]:
    """Write a recording of low and high tones, two speakers in turn, and what a rater says of it."""
    rng, second = np.random.default_rng(7), np.arange(RATE) / RATE
    emotions = ["sad", "happy"] * 12
    pitches = [rng.uniform(100, 150) if emotion == "sad" else rng.uniform(300, 400) for emotion in emotions]
    waves = [sum(0.2 / k * np.sin(2 * np.pi * k * pitch * second) for k in (1, 2, 3)) for pitch in pitches]
    soundfile.write(folder / "talk.wav", np.concatenate(waves).astype(np.float32), RATE)
    return folder / "talk.wav", of(emotions, speaker=["Ana", "Ana", "Ben", "Ben"] * 6, text="")


def test_refit_hears_each_segment_of_the_recording_alone(tmp_path: Path) -> None:
    path, rater = tones(tmp_path)
    corpus = corpus_of(rater, path)
    base = LightRecognizer("tones", Functionals(), logistic_regression(7, c=1.0))
    base.fit(corpus, corpus)
    rater.segments.loc[23, "end"] += 0.05  # as formats and players round
    swapped = rater.segments.assign(
        emotion=[{"sad": "happy", "happy": "sad"}[each] for each in rater.segments["emotion"]]
    )
    found = refit(base, Annotation(swapped, pd.DataFrame(), "talk.wav", 24.1, {}), path, tmp_path / "new")
    assert found.before.metrics["ua"].value == 0.0
    assert found.after.metrics["ua"].value == 1.0
