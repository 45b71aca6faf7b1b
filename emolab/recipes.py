"""Named recipes: what each recognizer of the course is made of, and where trained ones are kept."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from emolab.features.cache import source_digest
from emolab.features.front import Front, SoundFrames, SoundVector, WordCounts, WordTokens
from emolab.recognizer import LateFusion, LightRecognizer, NetworkRecognizer, Recognizer
from emolab.storage import cache_root

if TYPE_CHECKING:
    from emolab.corpora.corpus import Corpus
    from emolab.splits import Fold

Preset = Literal["quick", "full"]
PRESETS: tuple[Preset, ...] = ("quick", "full")


@dataclass(frozen=True)
class Recipe:
    """How a recognizer is made.

    Attributes:
        name: Modality or fusion type, a slash, the model.
        about: One line for tables and help texts.
        build: Makes the unfitted recognizer from its name, a preset and a seed.
    """

    name: str
    about: str
    build: Callable[[str, Preset, int], Recognizer]


def recipe(name: str, *, preset: Preset = "quick", seed: int = 7) -> Recognizer:
    """Make the unfitted recognizer of a recipe.

    Raises:
        KeyError: If there is no such recipe; the message lists those there are.
        ValueError: If the preset is unknown.
    """
    if name not in RECIPES:
        raise KeyError(f"no recipe {name!r}; expected one of {', '.join(RECIPES)}.")
    if preset not in PRESETS:
        raise ValueError(f"no preset {preset!r}; expected one of {', '.join(PRESETS)}.")
    return RECIPES[name].build(name, preset, seed)


def fit_or_load(name: str, fold: Fold, *, preset: Preset = "quick", seed: int = 7) -> Recognizer:
    """Load the recognizer that was trained on this fold before, or train it now and keep it.

    Chapters may do this side by side: what is kept is whole or not there at all. A network whose training was killed
    goes on after its last whole epoch.
    """
    folder = kept_in(name, fold, preset=preset, seed=seed)
    try:
        return Recognizer.load(folder)
    except (FileNotFoundError, ValueError):  # not there, damaged, or of an older version
        recognizer = recipe(name, preset=preset, seed=seed)
        if isinstance(recognizer, NetworkRecognizer):
            recognizer.folder = folder.with_name(f"{folder.name}.unfinished")
        recognizer.fit(fold.train, fold.valid)
        recognizer.save(folder)
        shutil.rmtree(folder.with_name(f"{folder.name}.unfinished"), ignore_errors=True)
        return recognizer


def kept_in(name: str, fold: Fold, *, preset: Preset, seed: int) -> Path:
    """Return the folder in which `fit_or_load` keeps a recognizer; it changes with all that training depends on."""
    facts = [_code_version(), name, preset, str(seed), *_fingerprint(fold.train), *_fingerprint(fold.valid)]
    key = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
    return cache_root() / "recognizers" / fold.train.name / f"{name.replace('/', '-')}-{key}"


@lru_cache
def _code_version() -> str:
    """Tell the code that makes and trains recognizers: when it changes, what was kept is not taken."""
    folder = Path(__file__).parent
    files = [*folder.glob("models/*.py"), *folder.glob("features/*.py"), *folder.glob("rec*.py")]
    files += [folder / name for name in ("training.py", "examples.py", "media.py")]
    libraries = [version(name) for name in ("numpy", "scikit-learn", "torch")]  # pickles of another may not be read
    return " ".join([source_digest(*map(str, sorted(files))), *libraries])


def _fingerprint(corpus: Corpus) -> list[str]:
    """Name everything in a part that training sees: labels, words, and the sound files as they are on disk."""
    columns = corpus.table[["utterance_id", "emotion", "text", "audio_path"]].fillna("")
    rows = ["\t".join(map(str, row)) for row in columns.itertuples(index=False)]
    sounds = [corpus.root / path for path in corpus.table["audio_path"].dropna()]
    stats = [path.stat() for path in sounds if path.is_file()]  # recipes that need the others say what is missing
    return [*corpus.emotions, *rows, *(f"{stat.st_size} {stat.st_mtime_ns}" for stat in stats)]


Build = Callable[[str, Preset, int], Recognizer]
Fronts = Callable[[], list[Front]]


def _light(fronts: Fronts, model: str) -> Build:
    def build(name: str, preset: Preset, seed: int) -> Recognizer:
        from emolab.models import light

        return LightRecognizer(name, fronts(), lambda: light.CANDIDATES[model](seed))

    return build


def _network(
    fronts: Fronts, spec: Mapping[str, Any], *, quick: int, full: int, augment: bool = False, **how: Any
) -> Build:
    """Make a recipe of a network; `quick` and `full` are the epochs of either preset, `how` changes `TRAINING`."""

    def build(name: str, preset: Preset, seed: int) -> Recognizer:
        from emolab.examples import SpectrogramChanges
        from emolab.training import TrainingConfig

        config = TrainingConfig(n_epochs=quick if preset == "quick" else full, **{**TRAINING, **how})
        changes = SpectrogramChanges(**CHANGES[preset]) if augment else None
        return NetworkRecognizer(name, fronts(), spec, config, seed=seed, augment=changes)

    return build


def _late(*members: str) -> Build:
    def build(name: str, preset: Preset, seed: int) -> Recognizer:
        return LateFusion(name, [recipe(member, preset=preset, seed=seed) for member in members])

    return build


def _functionals() -> list[Front]:
    return [SoundVector("functionals")]


def _term_weights() -> list[Front]:
    return [WordCounts()]


def _mfccs() -> list[Front]:
    return [SoundFrames("mfcc", hop_s=MFCC_HOP_S)]


def _log_mels() -> list[Front]:
    return [SoundFrames("log-mel", hop_s=MEL_HOP_S)]


def _word_tokens() -> list[Front]:
    return [WordTokens()]


MFCC_HOP_S = 0.032  # seconds, 512 samples, as the recipe was published
MEL_HOP_S = 0.020  # seconds; the network shortens time itself
TRAINING: Mapping[str, Any] = {  # few utterances: small steps, a rate that falls to nothing, and all epochs compete
    "batch_size": 16,
    "schedule": "cosine",
    "warm_up": 0.1,
    "label_smoothing": 0.1,
    "choose_by": "ua",
    "patience": None,
}
CHANGES: Mapping[Preset, Mapping[str, Any]] = {  # strong changes pay only when there are epochs enough to get used to
    "quick": {"n_stretches": 1, "max_stretch": 10, "n_bands": 1, "max_bands": 6, "max_shift": 2, "max_tempo": 0.1},
    "full": {"max_stretch": 20, "max_shift": 4, "max_tempo": 0.15},
}
CNN_BILSTM = {"kind": "cnn-bilstm", "normalization": "batch", "summary": "attention", "dropout": 0.3}
MEL_SIZES = {"channels": (64, 64, 96, 96, 128, 128), "n_hidden": 96, "n_layers": 1, "n_dense": 128}
BILSTM = {"kind": "bilstm", "summary": "attention", "dropout": 0.5}
JOINED = {"kind": "early-fusion", "dropout": 0.3, "encoders": [CNN_BILSTM, BILSTM]}

RECIPES: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("audio/logistic-regression", "sound statistics, linear", _light(_functionals, "logistic-regression")),
        Recipe("audio/random-forest", "sound statistics, trees", _light(_functionals, "random-forest")),
        Recipe("audio/svm", "sound statistics, kernel machine", _light(_functionals, "svm")),
        Recipe("audio/cnn-bilstm", "20 MFCCs, published sizes", _network(_mfccs, CNN_BILSTM, quick=8, full=80)),
        Recipe(
            "audio/cnn-bilstm-mel",
            "64 mel bands, a third of the size, augmented",
            _network(_log_mels, {**CNN_BILSTM, **MEL_SIZES}, quick=8, full=100, augment=True),
        ),
        Recipe("text/logistic-regression", "TF-IDF, linear", _light(_term_weights, "word-logistic-regression")),
        Recipe("text/random-forest", "TF-IDF, trees", _light(_term_weights, "random-forest")),
        Recipe(
            "text/bilstm",
            "word vectors learned on the spot",
            _network(_word_tokens, BILSTM, quick=10, full=6, choose_by="loss"),
        ),
        Recipe(
            "fusion/early/logistic-regression",
            "sound statistics beside TF-IDF, linear",
            _light(lambda: _functionals() + _term_weights(), "word-logistic-regression"),
        ),
        Recipe(
            "fusion/late/logistic-regression",
            "both linear models, averaged",
            _late("audio/logistic-regression", "text/logistic-regression"),
        ),
        Recipe(
            "fusion/early/cnn-bilstm+bilstm",
            "both encoders before one classifier",
            _network(lambda: _mfccs() + _word_tokens(), JOINED, quick=12, full=60),
        ),
        Recipe("fusion/late/cnn-bilstm+bilstm", "both networks, averaged", _late("audio/cnn-bilstm", "text/bilstm")),
    )
}
