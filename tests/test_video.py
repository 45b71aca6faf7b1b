"""Recipes that see, from films and tables to saved recognizers, on faces drawn for the purpose."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from emolab.augmentation import FaceAugmentation
from emolab.corpora import Corpus
from emolab.late_fusion import LateFusion
from emolab.recipes import RECIPES, fit_or_load, kept_in, recipe
from emolab.recognizer import NetworkRecognizer, Recognizer
from emolab.sample.face import MEN, WOMEN, Performance, frame
from emolab.splits import Fold
from tests.features.test_video import write, write_units

SPEAKERS = "abc"
EMOTIONS = ("happy", "sad")
N_EACH = 8
# of networks that learn in a second; torch 2.13 damages its memory on CPUs without AVX-512 where a ResNet has 4 or 6
# channels, multiples of 8 are safe
SIZES = {
    "video/cnn": {"channels": (4, 8), "n_frame": 8, "dropout": 0.0},
    "video/resnet-transformer": {"channels": (8, 8, 8, 16), "n_blocks": 1, "d_model": 8, "n_layers": 1, "n_ff": 8},
    "video/i3d": {"width": 1 / 16},
}


@pytest.fixture(scope="module")
def fold(tmp_path_factory: pytest.TempPathFactory) -> Fold:
    """Three faces, eight films each, of a second and less; action units that tell the emotion as well."""
    root, rows = tmp_path_factory.mktemp("films"), []
    for number, speaker in enumerate(SPEAKERS):
        for take in range(N_EACH):
            emotion, n_frames = EMOTIONS[take % 2], 8 + take % 3
            moves = Performance(emotion, 1.2, 0.5, 0.9)
            person = [WOMEN[0], MEN[1], WOMEN[2]][number]
            pictures = [frame(person, moves, k / 10, lips=0.2, phase=0.1 * take) for k in range(n_frames)]
            write(root / f"{speaker}{take}.avi", np.stack(pictures))
            rows.append({"utterance_id": f"u{len(rows)}", "speaker": speaker, "emotion": emotion})
            rows[-1]["video_path"] = f"{speaker}{take}.avi"
    write_units(root, len(rows))
    table = np.genfromtxt(root / "action_units.csv", delimiter=",", skip_header=1)[:, 1:]
    table[:, 10:16] = (np.arange(len(rows)) % 2)[:, None]
    lines = (root / "action_units.csv").read_text().splitlines()[:1]
    lines += [",".join([f"u{k}", *map(str, row)]) for k, row in enumerate(table)]
    (root / "action_units.csv").write_text("\n".join(lines))
    corpus = Corpus.from_rows("films", rows, emotions=EMOTIONS, root=root)
    return Fold("by-hand/1", *(corpus.select(corpus.table["speaker"] == speaker) for speaker in SPEAKERS))


def tiny(name: str) -> Recognizer:
    """Make a recipe whose faces are small and whose networks learn in a second."""
    made: Any = recipe(name, seed=1)
    if isinstance(made, NetworkRecognizer):
        sizes, (faces, *_) = SIZES.get(name, {}), made.features
        if made.stand_in:
            faces.small = sizes
        else:
            made.build = partial(made.build, **sizes)
        n_epochs = 2 if made.stand_in else 25
        made.config = replace(made.config, n_epochs=n_epochs, batch_size=4, learning_rate=5e-3)
        faces.options |= {"size": 32, "fps": 4.0}
        made.augment = FaceAugmentation() if "mlp" not in name else None
    for member in [made, *getattr(made, "members", ())]:
        for network in getattr(member, "members", [member]):
            if network.name == "video/action-units-mlp" and isinstance(network, NetworkRecognizer):
                network.config = replace(network.config, n_epochs=40, batch_size=4)
    return made


@pytest.mark.parametrize("name", [name for name in RECIPES if name.startswith("video/")])
def test_recipes_that_see_learn_save_and_load(name: str, fold: Fold, tmp_path: Path) -> None:
    recognizer = tiny(name)
    recognizer.fit(fold.train, fold.valid)
    probabilities = recognizer.predict_proba(fold.test)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    assert recognizer.modalities == ("video",)
    assert recognizer.n_parameters > 0
    assert recognizer.stand_in is (name in ("video/resnet-transformer", "video/i3d"))
    assert recognizer.pretrained is None
    if not recognizer.stand_in:  # two epochs are for the way there and back, not for learning
        assert np.mean(np.array(recognizer.predict(fold.test)) == fold.test.table["emotion"]) > 0.7
    recognizer.save(tmp_path / "kept")
    loaded = Recognizer.load(tmp_path / "kept")
    np.testing.assert_allclose(loaded.predict_proba(fold.test), probabilities, rtol=1e-5, atol=1e-7)
    if isinstance(recognizer, NetworkRecognizer):
        assert isinstance(loaded, NetworkRecognizer)
        assert loaded.augment == recognizer.augment


def test_published_weights_that_are_nowhere_are_one_sentence(fold: Fold) -> None:
    for name in ("video/resnet-transformer", "video/i3d"):
        recognizer: Any = recipe(name, preset="full")
        assert recognizer.pretrained
        recognizer.features[0].options |= {"size": 40, "fps": 2.0}
        with pytest.raises(OSError, match=r"no weights '.*': neither .* is there. Expected.*preset quick needs none"):
            recognizer.fit(fold.train, fold.valid)
        assert recipe(name, weights="mine.pth").pretrained == "mine"


def test_measured_faces_need_no_films_and_films_no_measures(fold: Fold, tmp_path: Path) -> None:
    blind = [
        replace(part, table=part.table.assign(video_path=pd.Series(dtype="string")))
        for part in (fold.train, fold.valid)
    ]
    assert recipe("video/action-units-svm").fit(*blind) is None
    with pytest.raises(ValueError, match=r"video/cnn needs video, but corpus 'films' has only no modality"):
        tiny("video/cnn").fit(*blind)
    elsewhere = [replace(part, root=tmp_path) for part in blind]
    with pytest.raises(FileNotFoundError, match=r"action_units\.csv"):
        recipe("video/action-units").fit(*elsewhere)


def test_what_chooses_nothing_learns_from_all_parts(fold: Fold) -> None:
    recognizer: Any = tiny("video/action-units-mlp")
    assert isinstance(recognizer, LateFusion)
    recognizer.fit(fold.train, fold.valid)
    both = np.vstack([recognizer.members[0].features[0].raw(part) for part in (fold.train, fold.valid)])
    np.testing.assert_allclose(recognizer.members[0].features[0].mean, both.mean(axis=0))
    assert len({member.seed for member in recognizer.members}) == 5
    assert recognizer.history is None
    assert recognizer.members[0].history is None


def test_a_changed_film_or_time_makes_a_kept_recognizer_stale(fold: Fold) -> None:
    keys = {kept_in("video/cnn", fold, preset="quick", seed=7)}
    moved = fold.train.table.assign(video_end=0.5)
    keys.add(kept_in("video/cnn", replace(fold, train=replace(fold.train, table=moved)), preset="quick", seed=7))
    table = fold.train.root / "action_units.csv"
    table.write_text(table.read_text() + "\n")
    keys.add(kept_in("video/cnn", fold, preset="quick", seed=7))
    assert len(keys) == 3
    kept = fit_or_load("video/action-units-svm", fold)
    again = fit_or_load("video/action-units-svm", fold)
    np.testing.assert_array_equal(kept.predict_proba(fold.test), again.predict_proba(fold.test))
