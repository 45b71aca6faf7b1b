"""What a researcher brings from a notebook: a network, an estimator, an encoder, an explainer, a corpus, files."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from captum.attr import IntegratedGradients
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from torch import Tensor, nn

from emolab import evaluate, fuse
from emolab.corpora import READERS, Corpus, load_corpus
from emolab.explain import explain
from emolab.explain.scorecard import scorecard
from emolab.features.audio import Functionals, LogMel
from emolab.features.pretrained import AudioHiddenStates, TextHiddenStates
from emolab.features.text import Tfidf, Tokens
from emolab.models.sequence import Network, NetworkConfig
from emolab.recipes import network_builder
from emolab.recognizer import LightRecognizer, NetworkRecognizer, Recognizer
from emolab.splits import Fold
from emolab.training import TrainingConfig
from tests.checkpoints import save_checkpoint

EMOTIONS = ("angry", "sad")
PITCH, WORD = {"angry": 400, "sad": 120}, {"angry": "furious", "sad": "gloomy"}
QUICK = TrainingConfig(n_epochs=20, batch_size=4, learning_rate=0.02, patience=None)


@pytest.fixture(scope="module")
def fold(tmp_path_factory: pytest.TempPathFactory) -> Fold:
    """Three speakers, twelve utterances each; pitch and one word tell the emotion."""
    root, random, rows = tmp_path_factory.mktemp("tones"), np.random.default_rng(0), []
    for speaker in "abc":
        for number in range(12):
            emotion = EMOTIONS[number % 2]
            seconds = np.arange(int(16_000 * random.uniform(0.3, 0.6))) / 16_000
            wave = 0.3 * np.sin(2 * np.pi * PITCH[emotion] * seconds) + random.normal(0, 0.01, len(seconds))
            soundfile.write(root / f"{speaker}{number}.wav", wave, 16_000)
            row = {"utterance_id": f"{speaker}{number}", "speaker": speaker, "emotion": emotion}
            rows.append({**row, "text": f"we are {WORD[emotion]} today", "audio_path": f"{speaker}{number}.wav"})
    corpus = Corpus.from_rows("tones", rows, emotions=EMOTIONS, root=root)
    return Fold("by-hand/1", *(corpus.select(corpus.table["speaker"] == speaker) for speaker in "abc"))


class MeanThenLinear(nn.Module):
    """Frames and lengths in, as a notebook cell would write it."""

    def __init__(self, n_features: int, n_emotions: int) -> None:
        super().__init__()
        self.out = nn.Linear(n_features, n_emotions)

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        mask = torch.arange(frames.shape[1]) < lengths[:, None]
        return self.out((frames * mask[..., None]).sum(dim=1) / lengths[:, None])


class Tagger(nn.Module):
    """Token ids and lengths in."""

    def __init__(self, n_words: int, n_emotions: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_words, 8, padding_idx=0)
        self.out = nn.Linear(8, n_emotions)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        return self.out(self.embedding(tokens).sum(dim=1) / lengths[:, None])


OWN: dict[str, Any] = {
    "frames": lambda: NetworkRecognizer("mine", LogMel(n_mels=16), MeanThenLinear(16, 2), QUICK),
    "one vector": lambda: NetworkRecognizer("mine", Functionals(), nn.Sequential(nn.Linear(984, 2)), QUICK),
    "token ids": lambda: NetworkRecognizer("mine", Tokens(min_count=1), Tagger(64, 2), QUICK),
}


@pytest.mark.parametrize("kind", OWN)
def test_a_network_of_ones_own_is_trained_evaluated_explained_fused_and_saved(
    kind: str, fold: Fold, tmp_path: Path
) -> None:
    mine = OWN[kind]()
    before = [weights.clone() for weights in mine.build.parameters()]
    mine.fit(fold.train, fold.valid)
    assert all(torch.equal(a, b) for a, b in zip(before, mine.build.parameters(), strict=True)), "a copy is trained"
    assert evaluate(mine, fold.test).metrics["ua"].value > 0.9
    few = fold.test.select(np.arange(12) < 2)
    modality = mine.modalities[0]
    for method in ("ablation", IntegratedGradients):
        asked = "features" if kind == "one vector" and method != "ablation" else modality
        found = explain(mine, few, method, modality=asked)
        assert len(found) == 2
        assert all(np.isfinite(item.values).all() and len(item) for item in found)
    mine.save(tmp_path / "kept")
    if kind != "one vector":  # a network without a class of one's own holds no code
        own = type(mine.build).__name__
        with pytest.raises(ValueError, match=rf"holds code .*tests\.test_plug_in\.{own}.*load\(folder, trusted=True\)"):
            Recognizer.load(tmp_path / "kept")
    loaded = Recognizer.load(tmp_path / "kept", trusted=kind != "one vector")
    np.testing.assert_array_equal(loaded.predict_proba(fold.test), mine.predict_proba(fold.test))
    both = fuse([OWN[kind](), LightRecognizer("words", Tfidf(min_count=1), LinearSVC())], "product")
    both.fit(fold.train, fold.valid)
    assert evaluate(both, fold.test).metrics["ua"].value > 0.9


class JoinedMean(Network):
    """Frames and lengths in, with hidden states that hybrid fusion can join."""

    def __init__(self, n_features: int, n_emotions: int) -> None:
        super().__init__(NetworkConfig(n_emotions=n_emotions, n_dense=0))
        self.add_head(n_features)

    def hidden_states(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return frames, lengths


def test_networks_of_ones_own_are_joined_in_hybrid_fusion(fold: Fold) -> None:
    voices = NetworkRecognizer("mine", LogMel(n_mels=16), JoinedMean(16, 2), QUICK)
    both = fuse([voices, NetworkRecognizer("other", LogMel(n_mels=8), JoinedMean(8, 2), QUICK)], "concat")
    both.fit(fold.train, fold.valid)
    assert evaluate(both, fold.test).metrics["ua"].value > 0.9
    assert "mine+other" in both.name


def test_networks_without_hidden_states_are_refused_by_hybrid_fusion_in_words(fold: Fold) -> None:
    mine = [NetworkRecognizer(name, LogMel(n_mels=16), MeanThenLinear(16, 2), QUICK) for name in "ab"]
    with pytest.raises(TypeError, match="MeanThenLinear, MeanThenLinear have logits, but no hidden states to join"):
        fuse(mine, "concat").fit(fold.train, fold.valid)


@pytest.mark.parametrize("features", [LogMel, [LogMel(), "mfcc"], np.zeros(3)])
def test_features_that_are_no_extractor_are_told_in_words(features: Any) -> None:
    for make in (
        lambda: LightRecognizer("mine", features, LinearSVC()),
        lambda: NetworkRecognizer("m", features, None),
    ):
        with pytest.raises(TypeError, match=r"expected a FeatureExtractor, or several\. Make one: LogMel\(\), say"):
            make()


def test_files_and_texts_are_explained_like_utterances_of_a_corpus(fold: Fold) -> None:
    words = LightRecognizer("words", Tfidf(min_count=1), LinearSVC())
    words.fit(fold.train, fold.valid)
    (found,) = explain(words, ["we are furious today"], "ablation", "angry")
    assert found.names[int(found.values.argmax())] == "furious"
    voices = LightRecognizer("voices", Functionals(), LinearSVC())
    voices.fit(fold.train, fold.valid)
    (found,) = explain(voices, fold.test.audio_paths()[:1], "ablation", modality="audio")
    assert np.isfinite(found.values).all()


def test_a_reader_that_returns_no_corpus_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(READERS, "mine", lambda root: [root])
    with pytest.raises(TypeError, match=r"READERS\['mine'\] returned list; expected a Corpus"):
        load_corpus("mine", root=tmp_path)


def test_a_network_that_does_not_fit_is_told_in_words(fold: Fold) -> None:
    with pytest.raises(ValueError, match=r"MeanThenLinear fails on an utterance of shape \(\d+, 16\)"):
        NetworkRecognizer("mine", LogMel(n_mels=16), MeanThenLinear(20, 2), QUICK).fit(fold.train, fold.valid)
    with pytest.raises(ValueError, match="logits"):
        NetworkRecognizer("mine", LogMel(n_mels=16), MeanThenLinear(16, 3), QUICK).fit(fold.train, fold.valid)


def test_a_network_of_a_notebook_cell_is_loaded_by_another_process(fold: Fold, tmp_path: Path) -> None:
    cell = textwrap.dedent("""
        import sys, torch
        from torch import nn
        from emolab import NetworkRecognizer, load_corpus
        from emolab.features.audio import LogMel
        from emolab.splits import Fold
        from emolab.training import TrainingConfig

        class Mine(nn.Module):
            def __init__(self):
                super().__init__()
                self.out = nn.Linear(16, 2)
            def forward(self, frames, lengths):
                return self.out(frames.mean(dim=1))

        corpus = load_corpus(sys.argv[1])
        parts = [corpus.select(corpus.table["speaker"] == speaker) for speaker in "abc"]
        mine = NetworkRecognizer("mine", LogMel(n_mels=16), Mine(), TrainingConfig(n_epochs=2))
        mine.fit(parts[0], parts[1])
        mine.save(sys.argv[2])
    """)
    table = fold.train.table, fold.valid.table, fold.test.table
    columns = ["utterance_id", "speaker", "emotion", "text", "audio_path"]
    path = fold.train.root / "all.csv"
    import pandas as pd

    pd.concat(table)[columns].to_csv(path, index=False)
    done = subprocess.run(
        [sys.executable, "-c", cell, str(path), str(tmp_path / "kept")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    loaded = Recognizer.load(tmp_path / "kept", trusted=True)
    assert type(loaded.network).__name__ == "Mine"  # type: ignore[attr-defined]
    assert loaded.predict_proba(fold.test).shape == (12, 2)


ESTIMATORS = {
    "pipeline": make_pipeline(StandardScaler(), RidgeClassifier()),
    "no probabilities": LinearSVC(),
    "boosting": HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=2),
    "several": [LinearSVC(C=0.01), LinearSVC(C=1.0)],
}


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_any_estimator_of_scikit_learn_becomes_a_recognizer(kind: str, fold: Fold, tmp_path: Path) -> None:
    mine = LightRecognizer("mine", Functionals(), ESTIMATORS[kind])
    mine.fit(fold.train, fold.valid)
    assert evaluate(mine, fold.test).metrics["ua"].value > 0.9
    assert mine.n_parameters > 0, "its size is known"
    np.testing.assert_allclose(mine.predict_proba(fold.test).sum(axis=1), 1)
    found = explain(mine, fold.test.select(np.arange(12) < 1), "ablation", modality="audio")
    assert np.isfinite(found[0].values).all()
    mine.save(tmp_path / "kept")
    loaded = Recognizer.load(tmp_path / "kept", trusted=kind == "boosting")  # its trees cannot be checked
    assert loaded.predict(fold.test) == mine.predict(fold.test)


def test_what_is_no_classifier_is_told_in_words(fold: Fold) -> None:
    with pytest.raises(ValueError, match=r"StandardScaler\(\) gives neither probabilities nor margins"):
        LightRecognizer("mine", Functionals(), StandardScaler()).fit(fold.train, fold.valid)


@pytest.mark.parametrize(("extractor", "kind"), [(AudioHiddenStates, "wav2vec2"), (TextHiddenStates, "bert")])
def test_an_encoder_is_any_folder_of_transformers(extractor: Any, kind: str, fold: Fold, tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "tiny", kind)
    head = network_builder("WeightedLayerSum", {"n_dense": 8, "dropout": 0.0})
    mine = NetworkRecognizer("mine", extractor(str(folder)), head, QUICK)
    mine.fit(fold.train, fold.valid)
    assert mine.predict_proba(fold.test).shape == (12, 2)
    assert mine.pretrained == "tiny"
    assert mine.n_parameters > mine.n_trainable


def leave_one_out(value: Any, n_units: int) -> np.ndarray:
    """An explainer in four lines: how far the logit falls without each unit."""
    masks = ~np.eye(n_units, dtype=bool)
    return value(np.ones((1, n_units), bool)) - value(masks)


def test_an_explainer_of_ones_own_explains_and_is_scored(fold: Fold) -> None:
    words = LightRecognizer("words", Tfidf(min_count=1), LinearSVC())
    words.fit(fold.train, fold.valid)
    few = fold.test.select(np.arange(12) < 4)
    mine, known = explain(words, few, leave_one_out), explain(words, few, "ablation")
    for own, item in zip(mine, known, strict=True):
        np.testing.assert_allclose(own.values, item.values, atol=1e-6)
        assert own.names[own.order[0]] in WORD.values()
    scores = scorecard(words, few, [leave_one_out, "ablation"], modality="text")
    assert {"leave_one_out", "ablation", "random"} == {*scores["method"]}


def test_a_corpus_is_a_reader_and_a_line(fold: Fold, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_tones(root: Path) -> Corpus:
        rows = [{"utterance_id": "u1", "speaker": "a", "emotion": "calm", "text": "Hm."}]
        return Corpus.from_rows("tones", rows, emotions=["calm"], root=root)

    monkeypatch.setitem(READERS, "tones", read_tones)
    assert load_corpus("tones", root=tmp_path).table["text"].tolist() == ["Hm."]


def test_a_fitted_recognizer_takes_files_and_texts(fold: Fold) -> None:
    mine = OWN["frames"]()
    mine.fit(fold.train, fold.valid)
    files = [fold.test.root / path for path in fold.test.table["audio_path"]]
    np.testing.assert_allclose(mine.predict_proba(files), mine.predict_proba(fold.test), atol=1e-6)
    assert mine.predict([str(files[0])]) == mine.predict(fold.test)[:1]
    words = LightRecognizer("words", Tfidf(min_count=1), LinearSVC())
    words.fit(fold.train, fold.valid)
    assert words.predict(["I am so furious", "how gloomy"]) == ["angry", "sad"]
    with pytest.raises(FileNotFoundError, match=r"nowhere\.wav"):
        mine.predict(["nowhere.wav"])
