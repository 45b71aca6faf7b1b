"""Recognizers of every kind on a corpus that trains in a second: tones for voices, a word for each emotion."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import GenericAlias
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
import soundfile
from scipy.special import softmax

from emolab import saved
from emolab.corpora import Corpus
from emolab.evaluation import evaluate
from emolab.features.audio import Chroma, Classical8, Functionals, LogMel, Mfcc
from emolab.features.base import FeatureExtractor
from emolab.features.text import Tfidf, Tokens
from emolab.late_fusion import HOWS, How, LateFusion
from emolab.models.light import discriminant, laplacian_svm, linear_svm, logistic_regression, random_forest, svm
from emolab.recipes import RECIPES, TABLE, fit_or_load, fuse, kept_in, network_builder, recipe
from emolab.recognizer import (
    BODY,
    CARD,
    CODE,
    SMALLEST_PROBABILITY,
    LightRecognizer,
    NetworkRecognizer,
    Recognizer,
    segment_starts,
)
from emolab.splits import Fold
from emolab.storage import read_json, write_json
from emolab.training import TrainingConfig, _Run
from tests.outside import Posteriors

EMOTIONS = ("angry", "sad")
PITCH = {"angry": 400, "sad": 120}
WORD = {"angry": "furious", "sad": "gloomy"}
QUICK = TrainingConfig(n_epochs=25, batch_size=4, learning_rate=0.015, patience=None)


@pytest.fixture(scope="module")
def fold(tmp_path_factory: pytest.TempPathFactory) -> Fold:
    """Three speakers, sixteen utterances each; both sound and words tell the emotion."""
    root = tmp_path_factory.mktemp("tones")
    random = np.random.default_rng(0)
    rows = []
    for speaker in "abc":
        for number in range(16):
            emotion = EMOTIONS[number % 2]
            seconds = np.arange(int(16_000 * random.uniform(0.3, 0.6))) / 16_000
            wave = 0.3 * np.sin(2 * np.pi * PITCH[emotion] * seconds) + random.normal(0, 0.01, len(seconds))
            soundfile.write(root / f"{speaker}{number}.wav", wave, 16_000)
            text = " ".join(random.permutation([WORD[emotion], "we", "went", "home"])[: random.integers(3, 5)])
            text = text if WORD[emotion] in text else f"{text} {WORD[emotion]}"
            rows.append(
                {"utterance_id": f"{speaker}{number}", "speaker": speaker, "emotion": emotion, "text": text}
                | {"audio_path": f"{speaker}{number}.wav"}
            )
    corpus = Corpus.from_rows("tones", rows, emotions=EMOTIONS, root=root)
    parts = (corpus.select(corpus.table["speaker"] == speaker) for speaker in "abc")
    return Fold("by-hand/1", *parts)


TINY_CNN_BILSTM = {"channels": (4, 4), "strides": (2, 2), "n_hidden": 4, "n_dense": 8}


def tiny_network(
    extractor: FeatureExtractor | None = None, kind: str = "CnnBiLstm", **sizes: object
) -> NetworkRecognizer:
    build = network_builder(kind, sizes or TINY_CNN_BILSTM)
    return NetworkRecognizer("audio/tiny", extractor or LogMel(n_mels=16), build, QUICK, seed=1)


def tiny_listener(**how: Any) -> NetworkRecognizer:
    build = network_builder("CnnBiLstm", TINY_CNN_BILSTM)
    return NetworkRecognizer("audio/tiny", LogMel(n_mels=16), build, QUICK, seed=1, **how)


def tiny_reader() -> NetworkRecognizer:
    build = network_builder("WordLstm", {"n_embedding": 16, "n_hidden": 8, "n_dense": 8})
    return NetworkRecognizer("text/tiny", Tokens(min_count=1), build, QUICK, seed=1)


def tiny_fusion(how: str = "concat", **sizes: Any) -> NetworkRecognizer:
    sizes = {"modality_dropout": 0.0, "auxiliary": False, "dropout": 0.0, **sizes}
    fused = fuse([tiny_network(Mfcc(n_mfcc=8)), tiny_reader()], how, name="fusion/tiny", **sizes)
    assert isinstance(fused, NetworkRecognizer)
    return fused


def practised_fusion() -> NetworkRecognizer:
    """Make one that trains longer, since a modality is missing in a third of its examples."""
    fused = tiny_fusion(modality_dropout=0.3)
    fused.config = replace(QUICK, n_epochs=40, learning_rate=0.01)
    return fused


def tiny_late_fusion(how: How = "mean", **options: Any) -> LateFusion:
    return LateFusion("fusion/late/tiny", [tiny_network(), tiny_reader()], how, **options)


def light(*features: FeatureExtractor) -> LightRecognizer:
    return LightRecognizer("light/tiny", features, logistic_regression(1, c=1.0, scale=False))


KINDS = {
    "light audio": lambda: light(Classical8()),
    "light text": lambda: light(Tfidf(min_count=1)),
    "light characters": lambda: light(Tfidf(min_count=1), Tfidf(min_count=1, characters=(2, 3))),
    "light early": lambda: light(Functionals(), Tfidf(min_count=1)),
    "network audio": tiny_network,
    "network chroma": partial(tiny_network, extractor=Chroma(hop_s=0.02)),
    "network 2-D": partial(tiny_network, kind="Cnn2d", channels=(4, 8), n_dense=8, dropout=0.0),
    "network LSTM": partial(tiny_network, kind="Lstm", n_hidden=8, n_dense=8, dropout=0.0),
    "network audio in segments": lambda: tiny_listener(segment_s=0.3),
    "network text": tiny_reader,
    "hybrid fusion": tiny_fusion,
    "hybrid fusion, attention": partial(tiny_fusion, "cross-attention", n_heads=2, auxiliary=True),
    **{f"late fusion, {how}": partial(tiny_late_fusion, how, calibrated=how != "mean") for how in HOWS},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_learns_saves_and_loads(kind: str, fold: Fold, tmp_path: Path) -> None:
    recognizer = KINDS[kind]()
    recognizer.fit(fold.train, fold.valid)
    probabilities = recognizer.predict_proba(fold.test)
    assert probabilities.shape == (16, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert recognizer.predict(fold.test) == fold.test.table["emotion"].tolist()
    assert recognizer.n_parameters > 0
    recognizer.save(tmp_path / "kept")
    loaded = Recognizer.load(tmp_path / "kept")
    np.testing.assert_array_equal(loaded.predict_proba(fold.test), probabilities)
    assert [*(tmp_path / "kept").glob("*.pkl")] == []
    assert (loaded.name, loaded.emotions, loaded.modalities) == (recognizer.name, EMOTIONS, recognizer.modalities)
    assert loaded.history == recognizer.history


def of_model(make: Any, *extractor: FeatureExtractor) -> LightRecognizer:
    return LightRecognizer("light/tiny", extractor, make(1))


MODELS: dict[str, Any] = {
    "discriminant": lambda: of_model(discriminant, Classical8()),
    "logistic regression, scaled": lambda: of_model(logistic_regression, Classical8()),
    "forest": lambda: of_model(random_forest, Tfidf(min_count=1)),
    "linear svm": lambda: of_model(linear_svm, Tfidf(min_count=1)),
    "svm, RBF kernel": lambda: of_model(svm, Classical8()),
    "svm, Laplacian kernel": lambda: of_model(laplacian_svm, Classical8()),
    **{kind: KINDS[kind] for kind in ("light text", "network audio", "network audio in segments", "hybrid fusion")},
    **{kind: KINDS[kind] for kind in KINDS if kind.startswith("late fusion")},
}


@pytest.mark.parametrize("n_emotions", [2, 3])
@pytest.mark.parametrize("kind", MODELS)
def test_logits_are_numbers_whose_softmax_is_what_is_predicted(kind: str, n_emotions: int, fold: Fold) -> None:
    parts = [fold.train, fold.valid, fold.test]
    if n_emotions == 3:  # scikit-learn keeps of two emotions one column, of three each
        for place, part in enumerate(parts):
            third = part.table["emotion"].mask(np.arange(len(part)) % 3 == 2, "third").astype("string")
            parts[place] = replace(part, table=part.table.assign(emotion=third), emotions=(*EMOTIONS, "third"))
    recognizer = MODELS[kind]()
    for member in [recognizer, *getattr(recognizer, "members", [])]:
        member.config = replace(QUICK, n_epochs=2)
    recognizer.fit(parts[0], parts[1])
    logits, probabilities = recognizer.logits(parts[2]), recognizer.predict_proba(parts[2])
    assert logits.shape == probabilities.shape == (16, n_emotions)
    np.testing.assert_allclose(softmax(logits, axis=1), probabilities, atol=1e-5)
    nothing = parts[2].select(np.zeros(16, bool))
    assert recognizer.logits(nothing).shape == (0, n_emotions)


def test_no_logit_is_infinite_where_somebody_is_sure(fold: Fold) -> None:
    names = fold.test.table["utterance_id"]
    table = pd.DataFrame({"angry": [1.0, 0.0] * 8, "sad": [0.0, 1.0] * 8}, index=names)
    sure = Posteriors("outside", table)
    with pytest.raises(ValueError, match="outside is not fitted"):
        sure.logits(fold.test)
    sure.fit(fold.train, fold.valid)
    logits = sure.logits(fold.test)
    half = -np.log(SMALLEST_PROBABILITY) / 2
    np.testing.assert_allclose(logits, np.where(table == 1, half, -half))
    np.testing.assert_allclose(softmax(logits, axis=1), table, atol=2 * SMALLEST_PROBABILITY)


@pytest.mark.parametrize("make", [tiny_network, tiny_reader, tiny_fusion])
def test_neighbours_and_padding_change_no_prediction(make: object, fold: Fold) -> None:
    recognizer = make()  # type: ignore[operator]
    recognizer.fit(fold.train, fold.valid)
    together = recognizer.logits(fold.test)
    alone = [recognizer.logits(fold.test.select(np.arange(16) == number))[0] for number in range(16)]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_fit_is_repeatable_and_leaves_no_trace_of_the_test_part(fold: Fold) -> None:
    first, second = tiny_network(), tiny_network()
    first.fit(fold.train, fold.valid)
    second.fit(fold.train, fold.valid)
    np.testing.assert_array_equal(first.predict_proba(fold.test), second.predict_proba(fold.test))


def test_fronts_learn_from_training_only(fold: Fold) -> None:
    extractor = Tfidf(min_count=1)
    extractor.fit(fold.train.select(fold.train.table["emotion"] == "sad"))
    assert "furious" not in extractor.terms
    assert extractor.transform(fold.test).shape == (16, len(extractor.terms))
    again = pickle.loads(pickle.dumps(extractor))
    assert (again.transform(fold.test) != extractor.transform(fold.test)).nnz == 0


@pytest.mark.parametrize("extractor", [Tfidf, Tokens])
def test_fronts_say_when_no_word_comes_twice(extractor: type[FeatureExtractor], fold: Fold) -> None:
    texts = [f"word{number}" for number in range(16)]
    strange = replace(fold.train, table=fold.train.table.assign(text=pd.array(texts, dtype="string")))
    with pytest.raises(ValueError, match=r"expected at least one. Give more training texts, or lower min_count"):
        extractor().fit(strange)


def test_fit_names_what_is_missing(fold: Fold) -> None:
    deaf = Corpus.from_rows(
        "words",
        fold.train.table.drop(columns=["audio_path"]).to_dict("records"),
        emotions=EMOTIONS,
        root=fold.train.root,
    )
    with pytest.raises(ValueError, match=r"audio/tiny needs audio, but corpus 'words' has only text.*Take a recipe"):
        tiny_network().fit(deaf, fold.valid)
    only_sad = fold.train.select(fold.train.table["emotion"] == "sad")
    with pytest.raises(
        ValueError,
        match=r"no utterance of angry; expected at least one.*view without them, corpus\.only\(.*sad.*\), --emotions ",
    ):
        tiny_network().fit(only_sad, fold.valid)
    with pytest.raises(ValueError, match=r"text/tiny is not fitted; expected fit"):
        tiny_reader().predict(fold.test)


def test_an_interrupted_fit_leaves_an_unfitted_recognizer(fold: Fold, monkeypatch: pytest.MonkeyPatch) -> None:
    recognizer = tiny_reader()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_Run, "validate", interrupt)
    with pytest.raises(KeyboardInterrupt):
        recognizer.fit(fold.train, fold.valid)
    with pytest.raises(ValueError, match="text/tiny is not fitted; expected fit"):
        recognizer.predict(fold.test)


def test_save_replaces_nothing_but_recognizers(fold: Fold, tmp_path: Path) -> None:
    recognizer = light(Tfidf(min_count=1))
    recognizer.fit(fold.train, fold.valid)
    (tmp_path / "thesis.txt").write_text("precious")
    for place in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(FileExistsError, match=r"holds something else than a recognizer; expected.*Give a folder"):
            recognizer.save(place)
    assert (tmp_path / "thesis.txt").read_text() == "precious"
    (tmp_path / "empty").mkdir()
    recognizer.save(tmp_path / "empty")
    (tmp_path / "empty" / CARD).unlink()
    recognizer.save(tmp_path / "empty")  # mended
    assert Recognizer.load(tmp_path / "empty").predict(fold.test) == recognizer.predict(fold.test)


@pytest.mark.parametrize("file", [CARD, BODY])
def test_load_finds_a_file_cut_in_half(file: str, fold: Fold, tmp_path: Path) -> None:
    recognizer = tiny_reader()
    recognizer.fit(fold.train, fold.valid)
    recognizer.save(tmp_path / "kept")
    whole = (tmp_path / "kept" / file).read_bytes()
    (tmp_path / "kept" / file).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=rf"{file} is (damaged: .*line|missing, cut off).*Fit it again"):
        Recognizer.load(tmp_path / "kept")
    (tmp_path / "kept" / CARD).unlink()
    with pytest.raises(FileNotFoundError, match=r"no recognizer in .*Fit it again"):
        Recognizer.load(tmp_path / "kept")


@pytest.fixture(scope="module")
def kept(fold: Fold, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a saved recognizer; tests copy it before they damage it."""
    recognizer = light(Tfidf(min_count=1))
    recognizer.fit(fold.train, fold.valid)
    folder = tmp_path_factory.mktemp("saved") / "kept"
    recognizer.save(folder)
    return folder


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"angry",\n  "sad"', '"sad",\n  "angry"', "recognizer.json is damaged: .*checksum"),
        ("light/tiny", "light/tinz", "recognizer.json is damaged: .*checksum"),
        ('"format": 6', '"format": 7', "recognizer.json is damaged: .*checksum"),
        ('"sha256": "', '"sha256": "0', "recognizer.json is damaged: .*checksum"),
        ("{", "[" * 100_000, r"recognizer.json is damaged: .*recursion"),
    ],
)
def test_a_changed_card_is_noticed(old: str, new: str, message: str, kept: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(kept, tmp_path / "copied"))
    (copied / CARD).write_text((copied / CARD).read_text().replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        Recognizer.load(copied)


def test_a_card_of_another_recognizer_is_noticed(kept: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(kept, tmp_path / "copied"))
    card = read_json(copied / CARD, remedy="")
    write_json(copied / CARD, {**card, "emotions": ["sad", "angry"]})  # with a checksum that fits
    with pytest.raises(ValueError, match=r"recognizer\.json describes another recognizer.*Fit it again"):
        Recognizer.load(copied)


def test_no_code_of_a_folder_is_run_unless_it_is_trusted(
    fold: Fold, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "was run",)

    copied = Path(shutil.copytree(kept, tmp_path / "copied"))
    body = pickle.dumps(Trap())
    for facts in ({"format": 5}, {"format": 6, "code": ["os.system"]}):  # older, and with code of somebody's own
        (copied / CODE).write_bytes(body)
        about = {"name": "light/tiny", "emotions": [*EMOTIONS], "sha256": hashlib.sha256(body).hexdigest()}
        write_json(copied / CARD, facts | about)
        with pytest.raises(ValueError, match=r"holds code that loading would run.*trusted=True"):
            Recognizer.load(copied)
        assert not (tmp_path / "was run").exists()
    monkeypatch.setenv("EMOLAB_TRUST", "1")
    with pytest.raises(ValueError, match="describes another recognizer"):
        Recognizer.load(copied)
    assert (tmp_path / "was run").exists()


def test_a_file_that_names_other_code_is_refused(kept: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(kept, tmp_path / "copied"))
    body = skops.io.dumps([os.system, partial(os.system, "true"), LightRecognizer])
    (copied / BODY).write_bytes(body)
    card = read_json(copied / CARD, remedy="")
    write_json(copied / CARD, {**card, "sha256": hashlib.sha256(body).hexdigest()})
    with pytest.raises(ValueError, match=r"cannot be loaded here \(UntrustedTypes.*posix\.system|nt\.system"):
        Recognizer.load(copied)


def test_a_tree_that_points_outside_itself_is_refused(fold: Fold) -> None:
    recognizer = of_model(partial(random_forest, leaf_size=5), Tfidf(min_count=1))
    recognizer.candidates[0][-1].n_estimators = 2
    recognizer.fit(fold.train, fold.valid)
    body, code = saved.dumps(recognizer)
    assert code == []
    assert saved.loads(body).predict(fold.test) == recognizer.predict(fold.test)
    tree = recognizer.estimator[-1].estimators_[1].tree_
    state = tree.__getstate__()
    state["nodes"]["left_child"][0] = 10_000
    tree.__setstate__(state)
    with pytest.raises(ValueError, match="branches or features that are not there"):
        saved.loads(saved.dumps(recognizer)[0])


def test_what_is_trusted_are_classes_of_emolab_and_few_functions() -> None:
    from emolab import augmentation, late_fusion, recognizer, training
    from emolab.features import audio, base, combined, pretrained, text, video
    from emolab.models import fusion, light, sequence
    from emolab.models import pretrained as encoders
    from emolab.models import video as networks

    modules = (augmentation, late_fusion, recognizer, training, audio, base, combined, pretrained, text, video)
    for module in (*modules, fusion, light, sequence, encoders, networks):
        names = [name for name in vars(module) if saved.TRUSTED.fullmatch(f"{module.__name__}.{name}")]
        found = [vars(module)[name] for name in names if callable(vars(module)[name])]
        called = [each for each in found if not isinstance(each, GenericAlias)]  # of types, such as NDArray
        homes = {getattr(each, "__module__", "").split(".")[0] for each in called if each is not text.words}
        assert homes <= {"emolab", "sklearn", "typing", "pathlib", "collections", "abc", "types", "random", "torch"}
        own = [each for each in called if each.__module__.startswith("emolab") and each is not text.words]
        assert all(isinstance(each, type) for each in own)
    for name in ("os.system", "builtins.eval", "numpy.load", "numpy.testing.runstring", "emolab.storage.atomic_write"):
        assert not saved.TRUSTED.fullmatch(name)


@pytest.mark.parametrize("kind", ["light text", "network text"])
def test_a_save_that_breaks_off_leaves_the_older_one(
    kind: str, fold: Fold, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recognizer = KINDS[kind]()
    recognizer.fit(fold.train, fold.valid)
    recognizer.save(tmp_path / "kept")

    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match=r"no space left while writing .*Free some disk space"):
        recognizer.save(tmp_path / "kept")
    assert Recognizer.load(tmp_path / "kept").predict(fold.test) == recognizer.predict(fold.test)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_fit_or_load_keeps_what_it_trained_and_mends_what_was_damaged(fold: Fold) -> None:
    name = "text/logistic-regression"
    first = fit_or_load(name, fold)
    folder = kept_in(name, fold, preset="quick", seed=7)
    stamp = (folder / CARD).stat().st_mtime_ns
    np.testing.assert_array_equal(fit_or_load(name, fold).predict_proba(fold.test), first.predict_proba(fold.test))
    assert (folder / CARD).stat().st_mtime_ns == stamp
    (folder / CARD).write_text("{")
    with pytest.warns(UserWarning, match=r"recognizer\.json is damaged: .* It is trained anew now"):
        assert fit_or_load(name, fold).predict(fold.test) == first.predict(fold.test)
    assert kept_in(name, fold, preset="quick", seed=8) != folder
    swapped = Fold("by-hand/2", fold.valid, fold.train, fold.test)
    assert kept_in(name, swapped, preset="quick", seed=7) != folder


def test_fit_or_load_names_missing_sound_and_needs_it_only_where_it_is_heard(fold: Fold, tmp_path: Path) -> None:
    parts = [replace(part, root=tmp_path) for part in (fold.train, fold.valid, fold.test)]
    moved = Fold("by-hand/3", *parts)
    with pytest.raises(FileNotFoundError, match=r"16 of 16 files are missing: .*a0\.wav.*Check its root folder"):
        fit_or_load("audio/logistic-regression", moved)
    assert fit_or_load("text/logistic-regression", moved).emotions == EMOTIONS


def test_fit_or_load_goes_on_with_a_training_that_was_killed(fold: Fold, monkeypatch: pytest.MonkeyPatch) -> None:
    unbroken = recipe("text/bilstm")
    unbroken.fit(fold.train, fold.valid)
    validate, seen = _Run.validate, []

    def killed_after_three(run: _Run, data: object) -> object:
        seen.append(1)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return validate(run, data)

    monkeypatch.setattr(_Run, "validate", killed_after_three)
    with pytest.raises(KeyboardInterrupt):
        fit_or_load("text/bilstm", fold)
    resumed = fit_or_load("text/bilstm", fold)
    assert len(seen) == 4 + len(unbroken.history) - 3  # three epochs were not trained again
    np.testing.assert_array_equal(resumed.predict_proba(fold.test), unbroken.predict_proba(fold.test))
    kept = kept_in("text/bilstm", fold, preset="quick", seed=7)
    assert [path.name for path in kept.parent.iterdir() if path.name.startswith("text-bilstm")] == [kept.name]


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_are_made_unfitted_and_named(name: str) -> None:
    recognizer = recipe(name)
    assert recognizer.name == name
    assert recognizer.emotions == ()
    modalities = set(recognizer.modalities)
    kind = name.split("/")[0]
    assert modalities <= {"audio", "text", "video"}
    assert {"fusion": len(modalities) > 1, "conversation": "text" in modalities}.get(kind, modalities == {kind})


def test_recipe_lists_what_there_is() -> None:
    with pytest.raises(KeyError, match=r"no recipe 'audio/nothing'; expected a key of .*Did you mean audio/"):
        recipe("audio/nothing")
    with pytest.raises(KeyError, match=r"Did you mean fusion/gated/cnn-bilstm\+bilstm"):
        recipe("fusion/gate/cnn-bilstm+bilstm")
    with pytest.raises(ValueError, match=r"no preset 'slow'; expected one of quick, full"):
        recipe("audio/svm", preset="slow")  # type: ignore[arg-type]


def test_recipes_know_every_join_and_every_way() -> None:
    from emolab.models.fusion import JOINS

    ways = {group: {how for how, _ in rows.values()} for group, rows in TABLE["ways"].items()}
    assert ways["joins"] == {*JOINS}
    assert ways["mean"] | ways["others"] == {*HOWS}


def test_characters_see_a_spelling_that_words_have_never_met(fold: Fold) -> None:
    extractor = Tfidf(min_count=1, characters=(2, 3))
    extractor.fit(fold.train)
    assert "'fur'" in extractor.feature_names
    assert "' fu'" in extractor.feature_names  # a blank marks where a word begins
    again = pickle.loads(pickle.dumps(extractor))
    shouted = replace(fold.test, table=fold.test.table.assign(text=pd.array(["FURIOUSSS!!"] * 16, dtype="string")))
    assert (again.transform(shouted) != extractor.transform(shouted)).nnz == 0
    assert extractor.transform(shouted).nnz > 0
    plain = Tfidf(min_count=1)
    plain.fit(fold.train)
    assert plain.transform(shouted).nnz == 0


@pytest.mark.parametrize("frozen", [True, False])
def test_word_vectors_of_a_file_are_where_training_starts(frozen: bool, fold: Fold, tmp_path: Path) -> None:
    path = tmp_path / "tiny.txt"
    path.write_text("furious 1 0 0\ngloomy 0 1 0\nwe 0 0 1\nzebra 5 5 5\n")
    recognizer = tiny_reader()
    recognizer.features = [Tokens(min_count=1, weights=path, frozen=frozen)]
    recognizer.fit(fold.train, fold.valid)
    assert recognizer.predict(fold.test) == fold.test.table["emotion"].tolist()
    assert recognizer.pretrained == "tiny.txt"
    place = recognizer.features[0].vocabulary.encode("furious")  # type: ignore[attr-defined]
    vector = recognizer.network.embedding.weight[place].tolist()
    assert (vector == [[1, 0, 0]]) == frozen  # 3 numbers in either case, as in the file
    path.unlink()  # what is saved needs it no longer
    recognizer.save(tmp_path / "kept")
    loaded = Recognizer.load(tmp_path / "kept")
    np.testing.assert_allclose(loaded.predict_proba(fold.test), recognizer.predict_proba(fold.test), rtol=1e-5)
    assert loaded.n_trainable == recognizer.n_trainable
    assert (loaded.n_parameters - loaded.n_trainable > 0) == frozen


def test_fusion_starts_its_reader_from_word_vectors_too(fold: Fold, tmp_path: Path) -> None:
    (tmp_path / "tiny.txt").write_text("furious 1 0 0\ngloomy 0 1 0\n")
    fusion = tiny_fusion()
    fusion.features[1] = Tokens(min_count=1, weights=tmp_path / "tiny.txt", frozen=True)
    fusion.config = replace(QUICK, n_epochs=1)
    fusion.fit(fold.train, fold.valid)
    place = fusion.features[1].vocabulary.encode("gloomy")  # type: ignore[attr-defined]
    assert fusion.network.encoders[1].embedding.weight[place].tolist() == [[0, 1, 0]]


def test_a_recipe_of_words_takes_vectors_as_its_weights(fold: Fold, tmp_path: Path) -> None:
    (tmp_path / "tiny.txt").write_text("furious 1 0 0\ngloomy 0 1 0\n")
    recognizer = recipe("text/lstm", weights=str(tmp_path / "tiny.txt"))
    recognizer.fit(fold.train, fold.valid)
    assert recognizer.network.embedding.embedding_dim == 3  # type: ignore[attr-defined]
    assert recognizer.pretrained == "tiny.txt"
    assert recipe("text/lstm").pretrained is None


def test_segments_cover_an_utterance_and_their_logits_are_averaged(fold: Fold) -> None:
    assert [segment_starts(n, 30) for n in (1, 30, 31, 60, 100)] == [
        [0],
        [0],
        [0, 1],
        [0, 15, 30],
        [0, 14, 28, 42, 56, 70],
    ]
    recognizer = tiny_listener(segment_s=0.2)
    recognizer.fit(fold.train, fold.valid)
    (frames,) = recognizer.inputs(fold.test)
    long = frames[0]
    pieces = [long[start : start + 20] for start in segment_starts(len(long), 20)]
    assert len(pieces) > 1
    alone = recognizer.logits_of([pieces])
    np.testing.assert_allclose(recognizer.logits_of([frames])[0], alone.mean(axis=0), rtol=1e-4, atol=1e-5)


def test_training_hears_more_voices_and_prediction_does_not(fold: Fold) -> None:
    extractor = Classical8(speeds=(0.9, 1.1))
    extractor.fit(fold.train)
    as_it_is, slower, faster = extractor.training_copies(fold.train)
    np.testing.assert_array_equal(extractor.transform(fold.train), as_it_is)
    assert not np.allclose(slower, faster)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(extractor)).training_copies(fold.train)[2], faster)
    build = network_builder("Mlp", {"n_hidden": (8,)})
    makers = [light(extractor), NetworkRecognizer("audio/dense", [extractor], build, QUICK, seed=1)]
    for recognizer in (*makers, light(extractor, Tfidf(min_count=1))):
        recognizer.fit(fold.train, fold.valid)
        assert recognizer.predict_proba(fold.test).shape == (16, 2)


PARTIAL = {
    "early": lambda: light(Functionals(), Tfidf(min_count=1)),
    "hybrid": practised_fusion,
    "late": tiny_late_fusion,
}


@pytest.mark.parametrize("kind", PARTIAL)
def test_fusion_does_without_a_modality_and_says_when_nothing_is_left(kind: str, fold: Fold) -> None:
    recognizer = PARTIAL[kind]()
    recognizer.fit(fold.train, fold.valid)
    assert recognizer.partial
    both = recognizer.predict_proba(fold.test)
    for hidden in ("audio", "text"):
        alone = recognizer.predict_proba(fold.test.without(hidden))
        np.testing.assert_allclose(alone.sum(axis=1), 1)
        assert recognizer.predict(fold.test.without(hidden)) == fold.test.table["emotion"].tolist()
        assert (alone != both).any()
    table = fold.test.table.copy()
    table.loc[::2, "text"] = pd.NA
    mixed = recognizer.predict_proba(replace(fold.test, table=table))
    np.testing.assert_allclose(mixed[1::2], both[1::2], atol=1e-5)
    np.testing.assert_allclose(mixed[::2], recognizer.predict_proba(fold.test.without("text"))[::2], atol=1e-5)
    table.loc[0, "audio_path"] = pd.NA
    with pytest.raises(ValueError, match=r"1 of 16 utterances of corpus 'tones' have no usable audio or text: c0 "):
        recognizer.predict_proba(replace(fold.test, table=table))
    assert recognizer.covers(replace(fold.test, table=table)).tolist() == [False] + [True] * 15


@pytest.mark.parametrize("kind", PARTIAL)
def test_fusion_learns_from_utterances_that_lack_a_modality(kind: str, fold: Fold) -> None:
    table = fold.train.table.copy()
    table.loc[:3, "text"], table.loc[4:7, "audio_path"] = pd.NA, pd.NA
    recognizer = PARTIAL[kind]()
    recognizer.fit(replace(fold.train, table=table), fold.valid)
    assert recognizer.predict(fold.test) == fold.test.table["emotion"].tolist()


def test_one_modality_needs_what_it_needs(fold: Fold) -> None:
    recognizer = tiny_reader()
    recognizer.fit(fold.train, fold.valid)
    assert not recognizer.partial
    with pytest.raises(ValueError, match="text/tiny needs text, but corpus 'tones' has only audio"):
        recognizer.predict_proba(fold.test.without("text"))
    with pytest.raises(KeyError, match="no modality 'smell'; expected some of audio, text, video"):
        fold.test.without("smell")


def test_what_is_trained_on_as_well_is_heard_as_it_is_held_in_memory(fold: Fold) -> None:
    """Sound in memory takes the place of the files in the validation set as in the training set."""
    waves = {name: np.zeros(8_000, np.float32) for name in fold.valid.table["utterance_id"]}
    for number, wave in enumerate(waves.values()):
        wave[number::400] = 0.5  # clicks, so that no two are alike
    valid, found = fold.valid.with_media(audio=waves), []
    for given in (fold.valid, valid):
        recognizer = LightRecognizer("test/all", Functionals(), logistic_regression(7))
        recognizer.train_on_validation = True
        recognizer.fit(fold.train, given)
        found.append(recognizer.predict_proba(fold.test))
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_fit_leaves_out_what_cannot_be_heard_and_names_it(fold: Fold, tmp_path: Path) -> None:
    table, (broken, silent, missing) = fold.train.table.copy(), (tmp_path / f"{name}.wav" for name in "xyz")
    broken.write_bytes(b"not sound")
    soundfile.write(silent, np.zeros(8_000), 16_000)
    table.loc[[0, 1, 2], "audio_path"] = [str(broken), str(silent), str(missing)]
    table.loc[3, "audio_path"] = pd.NA
    train = replace(fold.train, table=table)
    for recognizer in (light(Functionals()), tiny_network()):
        with pytest.warns(
            UserWarning, match=r"4 of 16 utterances of corpus 'tones' have no usable audio: a0 \(Invalid da"
        ):
            recognizer.fit(train, fold.valid)
        assert recognizer.predict(fold.test) == fold.test.table["emotion"].tolist()
        with pytest.warns(UserWarning, match=r"4 of 16 utterances of corpus 'tones' have no usable audio"):
            assert evaluate(recognizer, train).n == 12
        with pytest.raises(ValueError, match=r"4 of 16 utterances .* no usable audio: a0 .*, a1 \(digital silence\)"):
            recognizer.predict_proba(train)
    fusion = LateFusion("both", [light(Functionals()), light(Tfidf(min_count=1))])
    with pytest.warns(UserWarning, match=r"3 of 16 utterances .* have no usable audio or text: .*; 0 are left out"):
        fusion.fit(train, fold.valid)
    for wrong in (broken, silent):
        for recognizer in (light_fitted(fold), fusion):
            with pytest.raises(ValueError, match=rf"1 of 2 utterances .* have no usable .*: {wrong.stem} \("):
                recognizer.predict_proba([fold.test.root / fold.test.table["audio_path"][0], wrong])


def light_fitted(fold: Fold) -> LightRecognizer:
    recognizer = light(Functionals())
    recognizer.fit(fold.train, fold.valid)
    return recognizer


def test_a_recognizer_says_what_it_wants(fold: Fold) -> None:
    recognizer = light(Functionals())
    matrix, targets = np.zeros((3, 2)), pd.Series(["sad"] * 3)
    for given, found in (
        ((matrix, targets), "ndarray, Series"),
        ((fold.train,), "Corpus, NoneType"),
        ((fold.train, targets), "Corpus, Series"),
    ):
        with pytest.raises(TypeError, match=rf"fit\({found}\); expected two corpora, .*feature_matrix\(corpus\)"):
            recognizer.fit(*given)
    raw = recognizer.feature_matrix(fold.train)  # what it points to needs no fit
    assert raw.shape == (len(fold.train), len(recognizer.feature_names))
    recognizer = light_fitted(fold)
    np.testing.assert_allclose(recognizer.feature_matrix(fold.train).mean(axis=0), 0, atol=1e-3)
    assert recognizer.feature_matrix(fold.train.select([False] * len(fold.train))).shape == (0, raw.shape[1])
    with pytest.raises(ValueError, match=r"'new.wav' is no list; expected files or texts. Put brackets around it"):
        recognizer.predict("new.wav")
    for wave in (np.zeros(3, np.float32), [np.zeros(3)], [1.0, 2.0], None):
        with pytest.raises(
            TypeError, match=r"of (ndarray|float|float32|NoneType); expected a corpus, or a list of files or texts"
        ):
            recognizer.predict(wave)
