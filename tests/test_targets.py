"""What recognizers learn besides the label: ratings, for every kind of recognizer, and the votes as a distribution."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.svm import SVR

from emolab.corpora import Corpus
from emolab.evaluation import RatingReport, compare, cross_validate, evaluate
from emolab.features.audio import Classical8, Mfcc
from emolab.features.text import Tfidf, Tokens
from emolab.late_fusion import LateFusion
from emolab.models.light import concordance_correlation, logistic_regression
from emolab.recipes import fuse, kept_in, network_builder, recipe
from emolab.recognizer import LightRecognizer, NetworkRecognizer, Recognizer
from emolab.splits import Fold
from emolab.training import Examples, TrainingConfig, fit

WORDS = {1: "gloomy", 2: "plain", 3: "sunny"}
QUICK = TrainingConfig(n_epochs=25, batch_size=12, learning_rate=0.02, patience=None)
ANGRY_SAD = ("angry", "sad")


def rated(n: int, speakers: str, seed: int) -> Corpus:
    """Valence is read, arousal is heard, dominance is the mean of the two; votes go with arousal."""
    rng, rows, waves = np.random.default_rng(seed), [], {}
    seconds = np.arange(4_800) / 16_000
    for number in range(n):
        name, heard, read = f"{speakers}{number}", rng.integers(1, 4), int(rng.integers(1, 4))
        waves[name] = (0.3 * np.sin(2 * np.pi * 150 * heard * seconds)).astype(np.float32)
        waves[name] += rng.normal(0, 0.01, len(seconds)).astype(np.float32)
        angry = {1: 0, 2: 1, 3: 3}[int(heard)]
        row = {"utterance_id": name, "speaker": speakers[number % len(speakers)], "text": f"so {WORDS[read]} here"}
        row |= {
            "valence": read + 1,
            "arousal": heard + 1,
            "dominance": (read + heard) / 2 + 1,
            "audio_path": f"{name}.wav",
        }
        votes = {emotion: votes for emotion, votes in zip(ANGRY_SAD, (angry, 3 - angry), strict=True) if votes}
        rows.append(row | {"emotion": ANGRY_SAD[angry < 2], "votes": votes})
    return Corpus.from_rows("rated", rows, emotions=ANGRY_SAD, root=Path()).with_media(audio=waves)


@pytest.fixture(scope="module")
def fold() -> Fold:
    return Fold("by-hand/1", rated(48, "ab", 1), rated(24, "cd", 2), rated(40, "efghi", 3))


def ears(target: str = "arousal") -> NetworkRecognizer:
    build = network_builder("CnnBiLstm", {"channels": (4, 4), "strides": (2, 2), "n_hidden": 4, "n_dense": 8})
    return NetworkRecognizer("ears", Mfcc(n_mfcc=8, hop_s=0.05), build, QUICK, seed=1, target=target)  # type: ignore[arg-type]


def eyes(target: str = "valence") -> NetworkRecognizer:
    build = network_builder("WordLstm", {"n_embedding": 16, "n_hidden": 8, "n_dense": 8})
    return NetworkRecognizer("eyes", Tokens(min_count=1), build, QUICK, seed=1, target=target)  # type: ignore[arg-type]


def light(target: str, *features: Any) -> LightRecognizer:
    return LightRecognizer("light", features, [SVR(C=10), Ridge(0.1)], target=target)  # type: ignore[arg-type]


REGRESSORS = {
    "light, text": lambda: light("valence", Tfidf(min_count=1)),
    "network, audio": ears,
    "network, text": eyes,
    "early": lambda: fuse([light("dominance", Classical8()), light("dominance", Tfidf(min_count=1))], "early"),
    "hybrid": lambda: fuse([ears("dominance"), eyes("dominance")], "concat", dropout=0.0, modality_dropout=0.0),
    "late, mean": lambda: LateFusion("late", [light("arousal", Classical8()), light("arousal", Classical8())]),
    "late, stacked": lambda: fuse([light("dominance", Classical8()), eyes("dominance")], "stacked"),
}


@pytest.mark.parametrize("kind", REGRESSORS)
def test_every_kind_of_recognizer_learns_a_rating_and_is_saved(kind: str, fold: Fold, tmp_path: Path) -> None:
    recognizer = REGRESSORS[kind]()
    recognizer.fit(fold.train, fold.valid)
    said = evaluate(recognizer, fold.test)
    assert isinstance(said, RatingReport)
    assert said.metrics["ccc"].low > 0.8, said
    assert (recognizer.emotions, said.probabilities.shape) == ((recognizer.target,), (40, 1))
    assert said.predicted == recognizer.predict(fold.test)
    recognizer.save(tmp_path / "kept")
    again = Recognizer.load(tmp_path / "kept")
    np.testing.assert_array_equal(again.predict(fold.test), said.predicted)


def test_what_is_only_heard_cannot_be_read_and_fusion_takes_both(fold: Fold) -> None:
    parts = {"heard": Classical8(), "read": Tfidf(min_count=1)}
    reports = {}
    for target in ("arousal", "dominance"):
        for name, features in {**{name: (each,) for name, each in parts.items()}, "both": parts.values()}.items():
            recognizer = light(target, *features)
            recognizer.fit(fold.train, fold.valid)
            reports[target, name] = evaluate(recognizer, fold.test)
    ccc = {key: each.metrics["ccc"] for key, each in reports.items()}
    assert ccc["arousal", "heard"].low > 0.8
    assert ccc["arousal", "read"].value < 0.3
    gain = compare(reports["dominance", "both"], reports["dominance", "heard"])
    assert gain.difference["ccc"].low > 0.1
    assert gain.only_a > gain.only_b
    assert "concordance correlation coefficient" in repr(gain)


def test_ccc_of_a_report_is_worked_by_hand_and_has_an_interval_over_speakers() -> None:
    truth, said = np.arange(12) / 3 + 1, np.arange(12) / 3 + 2  # one too high throughout
    report = RatingReport(("arousal",), tuple(truth), said[:, None], (*"abcdef" * 2,), (*map(str, range(12)),))
    variance = np.var(truth)
    assert report.metrics["ccc"].value == pytest.approx(2 * variance / (2 * variance + 1))
    low, high = report.metrics["ccc"][1:]
    assert low < report.metrics["ccc"].value < high < 1
    left_out = np.arange(12) % 6 != 2  # the third speaker
    alone = concordance_correlation(truth[left_out], said[left_out])
    assert report.replicates["ccc"][3] == pytest.approx(alone)
    assert report.predicted[0] == 2
    assert "n = 12, 95 % intervals over 6 speakers" in repr(report)
    with pytest.raises(ValueError, match=r"expected \(12, 1\) finite ones"):
        RatingReport(("arousal",), tuple(truth), np.full((12, 1), np.nan), (*"abcdef" * 2,), (*map(str, range(12)),))


def test_concordance_is_1_only_where_values_are_equal_whatever_the_kind_of_array() -> None:
    truth = np.array([1.0, 2, 3, 4])
    assert concordance_correlation(truth, truth) == pytest.approx(1)
    assert concordance_correlation(truth, truth * 0 + 2) == 0
    assert concordance_correlation(truth, 5 - truth) == pytest.approx(-1)
    shifted = torch.tensor(truth) + 1
    assert float(concordance_correlation(torch.tensor(truth), shifted)) == pytest.approx(2.5 / 3.5)


def test_cross_validation_of_ratings_has_the_ccc_and_its_spread(fold: Fold) -> None:
    measured = cross_validate(lambda seed: light("arousal", Classical8()), [fold], seeds=[7, 8])
    assert list(measured.metrics) == ["ccc"]
    assert measured.spread.shape == (2, 1)
    assert "concordance correlation coefficient: 0.9" in repr(measured)


def test_a_network_of_values_learns_the_scale_too() -> None:
    torch.manual_seed(0)
    x = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    sets = Examples([list(x[:, None])], (2 * x[:, 0] + 1).astype(np.float64))
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3, 1))
    config = TrainingConfig(n_epochs=150, batch_size=16, learning_rate=0.05, patience=None)
    history = fit(network, sets, sets, config=config, seed=1, progress=False)
    assert min(history.valid_loss) < 0.01
    assert history.valid_score[-1] == pytest.approx(1 - history.valid_loss[-1])
    np.testing.assert_allclose(network[1].weight.detach().numpy(), [[2, 0, 0]], atol=0.2)
    assert network[1].bias.item() == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("kind", ["light", "network"])
def test_votes_teach_doubt_where_labels_teach_certainty(kind: str, fold: Fold) -> None:
    """Of the middle pitch one of three annotators says angry, of the others all agree."""
    medium = np.array([own == {"angry": 1, "sad": 2} for own in fold.test.table["votes"]])
    told = {}
    for target in ("emotion", "votes"):
        estimator = logistic_regression(1, c=10.0)
        made: Any = (
            LightRecognizer("light", Classical8(), estimator, target=target) if kind == "light" else ears(target)
        )  # type: ignore[arg-type]
        made.fit(fold.train, fold.valid)
        shares = fold.test.votes() / 3
        found = made.predict_proba(fold.test)
        told[target] = (found[medium, 0].mean(), -(shares * np.log(np.maximum(found, 1e-9))).sum(axis=1).mean())
        assert evaluate(made, fold.test).metrics["ua"].value > 0.9
    assert told["emotion"][0] < 0.2 < told["votes"][0] < 0.5
    assert told["votes"][1] < told["emotion"][1]


def test_votes_follow_the_view_and_leave_other_emotions_out(fold: Fold) -> None:
    rows = [
        {"utterance_id": "a", "speaker": "x", "emotion": "excited", "votes": {"excited": 2, "surprised": 1}},
        {"utterance_id": "b", "speaker": "x", "emotion": "happy", "votes": {"happy": 1, "excited": 1, "neutral": 1}},
    ]
    emotions = ("neutral", "happy", "excited", "surprised")
    corpus = Corpus.from_rows("two", rows, emotions=emotions, root=Path())
    assert corpus.votes().tolist() == [[0, 0, 2, 1], [1, 1, 1, 0]]
    four = corpus.view("iemocap4")
    assert four.votes()[:, :2].tolist() == [[0, 2], [1, 2]]
    shares = four.targets("votes")
    assert shares[:, :2].tolist() == [[0, 1], [1 / 3, 2 / 3]]
    places, targets = light_of_votes().examples(four)
    assert (places.tolist(), targets.tolist()) == ([0, 0, 1, 1, 1], [1, 1, 0, 1, 1])


def light_of_votes() -> LightRecognizer:
    return LightRecognizer("light", Classical8(), logistic_regression(1), target="votes")


def test_a_corpus_without_ratings_or_votes_is_told_in_a_sentence(fold: Fold) -> None:
    bare = fold.train.table.assign(arousal=float("nan"), votes=None)
    corpus = Corpus.from_rows("bare", bare.to_dict("records"), emotions=ANGRY_SAD, root=Path())
    corpus = corpus.with_media(audio={name: held.content for name, held in fold.train.in_memory["audio"].items()})
    words = r"48 of 48 utterances of corpus 'bare' have no {}: .* Expected each to; take another corpus"
    with pytest.raises(ValueError, match=words.format("arousal")):
        light("arousal", Classical8()).fit(corpus, fold.valid)
    with pytest.raises(ValueError, match=words.format("votes")):
        light_of_votes().fit(corpus, fold.valid)
    half = bare.assign(arousal=[2.0] * 24 + [float("nan")] * 24).to_dict("records")
    with pytest.raises(ValueError, match=r"24 of 48 .* leave those out: corpus.select\(corpus.table\[\"arousal\"\]"):
        Corpus.from_rows("half", half, emotions=ANGRY_SAD, root=Path()).targets("arousal")


def test_wrong_targets_and_estimators_are_refused(fold: Fold) -> None:
    with pytest.raises(ValueError, match="target='joy'; expected one of emotion, votes, valence, arousal, dominance"):
        ears("joy")
    with pytest.raises(ValueError, match=r"Ridge\(\) gives neither probabilities nor margins; expected predict_proba"):
        LightRecognizer("light", Classical8(), Ridge()).fit(fold.train, fold.valid)
    with pytest.raises(ValueError, match=r"gives no ratings; expected .* a regressor"):
        LightRecognizer("x", Classical8(), logistic_regression(1), target="arousal").fit(fold.train, fold.valid)
    with pytest.raises(ValueError, match="'product' of 1 members; expected one of mean, stacked and some"):
        LateFusion("late", [ears()], "product")
    with pytest.raises(ValueError, match="with one target, not arousal, valence"):
        LateFusion("late", [ears(), eyes()])


@pytest.mark.parametrize("name", ["audio/svm", "text/svm", "fusion/early/logistic-regression", "audio/random-forest"])
def test_a_recipe_of_classifiers_makes_regressors_for_ratings(name: str) -> None:
    made = recipe(name, target="arousal")
    assert isinstance(made, LightRecognizer)
    assert (made.target, made.rates) == ("arousal", True)
    assert all(hasattr(each, "predict") and not hasattr(each, "predict_proba") for each in made.candidates)


def test_members_of_a_recipe_learn_its_target_and_what_is_kept_is_apart(fold: Fold) -> None:
    made: Any = recipe("fusion/late/logistic-regression", target="valence")
    assert {member.target for member in made.members} == {"valence"}
    hybrid: Any = recipe("fusion/concat/statistics+words", target="dominance")
    assert hybrid.rates
    kept = [kept_in("audio/svm", fold, preset="quick", seed=7, target=each) for each in ("valence", "arousal")]
    assert len({*kept, kept_in("audio/svm", fold, preset="quick", seed=7)}) == 3
