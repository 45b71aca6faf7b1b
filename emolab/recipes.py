"""Recipes: what each recognizer of the course is made of (recipes.toml), and where trained ones are kept."""

from __future__ import annotations

import hashlib
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import lru_cache
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from emolab.corpora.corpus import RATINGS, SCHEMA
from emolab.corpora.named import ACTION_UNITS
from emolab.features import audio, combined, text, video
from emolab.features import pretrained as encoders
from emolab.features.base import FeatureExtractor, source_digest
from emolab.features.combined import Concatenated, SpeakerNormalized
from emolab.late_fusion import HOWS, LateFusion
from emolab.models.light import small_grid
from emolab.recognizer import LightRecognizer, NetworkRecognizer, Recognizer, Target
from emolab.storage import cache_root, recovered, toml_beside

if TYPE_CHECKING:
    from torch import nn

    from emolab.corpora import Corpus
    from emolab.splits import Fold

Preset = Literal["quick", "full"]
PRESETS: tuple[Preset, ...] = ("quick", "full")
Options = Mapping[str, Any]

PER_SPEAKER = "per-speaker"  # behind a recipe's name and @
NEXT_SEED = 1000  # apart, so that neighbouring seeds share no member
EXTRACTORS: Options = {**vars(audio), **vars(combined), **vars(encoders), **vars(text), **vars(video)}


@dataclass(frozen=True)
class Recipe:
    """A row of recipes.toml, whose head says what the fields mean."""

    about: str
    inputs: Sequence[str] = ()
    estimator: str = ""
    network: str = ""
    sizes: Options = field(default_factory=dict)
    epochs: Options = field(default_factory=dict)
    training: Options = field(default_factory=dict)
    full: Options = field(default_factory=dict)
    augment: str = ""
    segment_s: float | None = None
    train_on_validation: bool = False
    members: Sequence[str] = ()
    how: str = ""
    n_seeds: int = 1
    ways: Sequence[str] = ()


TABLE: Options = toml_beside(__file__, "recipes.toml")
JOINS = tuple(TABLE["ways"]["joins"])  # ways of hybrid fusion
RECIPES: dict[str, Recipe] = {name: Recipe(**row) for name, row in TABLE["recipes"].items()}
for family, row in TABLE["families"].items():
    for way, (how, about) in chain.from_iterable(TABLE["ways"][group].items() for group in row["ways"]):
        RECIPES[f"fusion/{way}/{family}"] = Recipe(about, how=how, **row)


def recipe(
    name: str,
    *,
    preset: Preset = "quick",
    seed: int = 7,
    weights: str | None = None,
    train_only: bool = False,
    target: Target = "emotion",
) -> Recognizer:
    """Make the unfitted recognizer of a recipe.

    Args:
        name: A key of `RECIPES`; with "@per-speaker" behind it, vectors of features are standardised speaker by
            speaker, see `SpeakerNormalized`, which is a protocol of its own.
        preset: "quick" is small and offline, with tiny random models as stand-ins of pretrained ones; "full" takes
            published weights.
        seed: Of everything random.
        weights: Name or folder of published weights to take in the place of the recipe's own, or of its stand-in.
        train_only: Train on the training set as it is, even where the recipe adds the validation set or other speeds,
            so that recognizers can be compared that learned from the same utterances.
        target: What it learns: the label, the annotators' votes, or a rating; see `Recognizer`. The regressors of
            ratings are of the same kind as the classifiers of the recipe.

    Raises:
        KeyError: If there is no such recipe; the message lists those there are.
        ValueError: If the preset is unknown, or the recipe has no place for weights.
    """
    plain, _, option = name.partition("@")
    if plain not in RECIPES or option not in ("", PER_SPEAKER):
        close = ", ".join(get_close_matches(name, RECIPES, n=5, cutoff=0.3) or list(RECIPES)[:5])
        found = f"no recipe {name!r}; expected a key of emolab.recipes.RECIPES, @{PER_SPEAKER} behind it or not"
        raise KeyError(f"{found}. Did you mean {close}?")
    if preset not in PRESETS:
        raise ValueError(f"no preset {preset!r}; expected one of {', '.join(PRESETS)}.")
    made = _made(name, RECIPES[plain], preset, seed, target)
    if option:
        _per_speaker(made)
    if weights:
        _take_weights(made, weights)
    if train_only:
        _train_only(made)
    return made


def fuse(
    members: Sequence[Recognizer],
    how: str = "mean",
    *,
    name: str = "",
    calibrated: bool | None = None,
    config: Any = None,
    **sizes: Any,
) -> Recognizer:
    """Fuse any unfitted recognizers, in any way.

    Args:
        members: Recognizers of a recipe, or of your own.
        how: Decision level: "mean", "product", "weighted" or "stacked", of any members. Feature level: "early", the
            features of light members concatenated before the first one's estimator. Intermediate (hybrid): "concat",
            "add", "gated", "tensor", "cross-attention" or "transformer", which join the encoders of networks.
        name: Of the fused recognizer.
        calibrated: Whether members are calibrated before late fusion; None does so but for a plain mean.
        config: Of hybrid training; None takes the first member's.
        sizes: Of the join, see `emolab.models.fusion.FusionConfig`.

    Raises:
        ValueError: If there is no such way, or a member does not fit it.
    """
    given: list[Any] = list(members)
    name = name or f"fusion/{how}/" + "+".join(member.name.rpartition("/")[2] for member in given)
    if how in HOWS:
        return LateFusion(name, given, how, calibrated=how != "mean" if calibrated is None else calibrated)  # type: ignore[arg-type]
    kind = LightRecognizer if how == "early" else NetworkRecognizer
    if how not in ("early", *JOINS) or not given or not all(isinstance(member, kind) for member in given):
        kinds = ", ".join(f"{member.name} ({type(member).__name__})" for member in given)
        why = f"how={how!r} of {kinds or 'no members'}; expected {', '.join(HOWS)} of any, early of light recognizers,"
        raise ValueError(f"{why} or {', '.join(JOINS)} of networks. Take another way, or other members.")
    first, extractors = given[0], [extractor for member in given for extractor in member.features]
    if how == "early":
        return LightRecognizer(name, [Concatenated(extractors, scaled=True)], given[0].candidates, target=first.target)

    def build(*inputs: Options, n_emotions: int) -> nn.Module:
        from emolab.models.fusion import Fusion, FusionConfig

        encoders = [each.build_network(own, n_emotions=n_emotions) for each, own in zip(given, inputs, strict=True)]
        return Fusion(encoders, FusionConfig(n_emotions=n_emotions, join=how, **{**TABLE["hybrid"], **sizes}))  # type: ignore[arg-type]

    options: Options = {"seed": first.seed, "augment": first.augment, "target": first.target}
    return NetworkRecognizer(name, extractors, build, config or first.config, **options)


def _made(name: str, row: Recipe, preset: Preset, seed: int, target: Target) -> Recognizer:
    """Make the recognizer of a recipe."""
    if row.n_seeds > 1:
        seeds = [seed + NEXT_SEED * number for number in range(row.n_seeds)]
        return LateFusion(name, [_made(name, replace(row, n_seeds=1), preset, each, target) for each in seeds])
    if row.how in JOINS:
        members: list[Any] = [_made(name, replace(RECIPES[m], n_seeds=1), preset, seed, target) for m in row.members]
        slowest = min(member.config.encoder_rate for member in members)
        made = fuse(members, row.how, name=name, config=_config(row, preset, encoder_rate=slowest), **row.sizes)
    elif row.members:
        return fuse([recipe(m, preset=preset, seed=seed, target=target) for m in row.members], row.how, name=name)
    elif row.estimator:
        candidates = small_grid(row.estimator, seed, rates=target in RATINGS)
        made = LightRecognizer(name, _extractors(row.inputs, preset, seed), candidates, target=target)
    else:
        how: Options = {"seed": seed, "augment": _augmentation(row.augment, preset), "segment_s": row.segment_s}
        build, config = network_builder(row.network, row.sizes), _config(row, preset)
        made = NetworkRecognizer(name, _extractors(row.inputs, preset, seed), build, config, target=target, **how)
    made.train_on_validation = row.train_on_validation
    return made


def _extractors(names: Sequence[str], preset: Preset, seed: int) -> list[FeatureExtractor]:
    """Make feature extractors by their names in [inputs]; a tiny random model is drawn from `seed`."""
    made = []
    for name in names:
        row = dict(TABLE["inputs"][name])
        kind, inner, full = EXTRACTORS[row.pop("kind")], row.pop("inner", ()), row.pop("full", {})
        row |= full if preset == "full" else {}
        row |= {"seed": seed} if issubclass(kind, encoders.Pretrained) else {}  # its stand-in is drawn
        inside = [_extractors(inner, preset, seed)] if inner else []
        made.append(kind(*inside, **row))
    return made


def _config(row: Recipe, preset: Preset, **rates: Any) -> Any:
    from emolab.training import TrainingConfig

    options = {"patience": None, **TABLE["training"], **rates, **row.training, **(row.full if preset == "full" else {})}
    return TrainingConfig(n_epochs=row.epochs[preset], **options)


def network_builder(kind: str, sizes: Options) -> Callable[..., nn.Module]:
    """Return the `build` of a class of network with these sizes filled in; those of the features come before them."""
    from emolab.models import pretrained, sequence, video

    network = next(getattr(own, kind) for own in (sequence, pretrained, video) if hasattr(own, kind))
    return lambda *inputs, **more: network.build(*inputs, sizes, **more)


def _augmentation(kind: str, preset: Preset) -> Any:
    """Make what changes training batches; faces are changed only where there are epochs enough."""
    if not kind or (kind, preset) == ("faces", "quick"):
        return None
    from emolab.augmentation import AudioAugmentation, FaceAugmentation

    return AudioAugmentation(**TABLE["augmentation"][preset]) if kind == "audio" else FaceAugmentation()


def _take_weights(recognizer: Recognizer, weights: str) -> None:
    """Put other published weights in the place of those of a recipe's only encoder, else word vectors."""
    takers: list[Any] = [extractor for extractor in recognizer.extractors() if hasattr(extractor, "weights")]
    takers = [extractor for extractor in takers if extractor.weights] or takers  # word vectors are optional
    if len(takers) != 1:
        found = f"{recognizer.name} has {len(takers)} pretrained encoders"
        raise ValueError(f"{found}; expected one that takes weights={weights!r}. Take text/bert, say, or none.")
    takers[0].weights, takers[0].stand_in = weights, False


def _per_speaker(recognizer: Recognizer) -> None:
    """Standardise the features of a recognizer, or of all members of an ensemble, speaker by speaker."""
    joined: list[Any] = [extractor for extractor in recognizer.features if isinstance(extractor, Concatenated)]
    for holder in joined or [recognizer]:  # blocks are scaled after that
        holder.features = [SpeakerNormalized([extractor]) for extractor in holder.features]
    for member in getattr(recognizer, "members", ()):
        _per_speaker(member)


def _train_only(recognizer: Recognizer) -> None:
    recognizer.train_on_validation = False
    for extractor in recognizer.extractors():
        if hasattr(extractor, "speeds"):
            extractor.speeds = ()
    for member in getattr(recognizer, "members", ()):
        _train_only(member)


def fit_or_load(name: str, fold: Fold, *, preset: Preset = "quick", seed: int = 7, **options: Any) -> Recognizer:
    """Load the recognizer that was trained on this fold before, or train it now and keep it.

    The options are those of `recipe`: weights, train_only and target.

    Chapters may do this side by side: what is kept is whole or not there at all. A network whose training was killed
    goes on after its last whole epoch.
    """
    folder = kept_in(name, fold, preset=preset, seed=seed, **options)
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    if kept := load_kept(folder):
        return kept
    recognizer = recipe(name, preset=preset, seed=seed, **options)
    if isinstance(recognizer, NetworkRecognizer):
        recognizer.folder = unfinished
    recognizer.fit(fold.train, fold.valid)
    recognizer.save(folder)
    shutil.rmtree(unfinished, ignore_errors=True)
    return recognizer


def load_kept(folder: Path) -> Recognizer | None:
    """Load a recognizer that was kept to save time; None, with a warning, if it is damaged, or if there is none."""
    with suppress(FileNotFoundError):
        try:
            return Recognizer.load(recovered(folder))
        except ValueError as error:
            warnings.warn(f"{error} It is trained anew now.", stacklevel=3)
    return None


def kept_in(name: str, fold: Fold, *, preset: Preset, seed: int, **options: Any) -> Path:
    """Return the folder in which `fit_or_load` keeps a recognizer; it changes with all that training depends on."""
    facts = [_code_version(), name, preset, str(seed), *(f"{key} {own}" for key, own in sorted(options.items()) if own)]
    facts += [*_fingerprint(fold.train), *_fingerprint(fold.valid)]
    key = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
    return cache_root() / "recognizers" / fold.train.name / f"{name.replace('/', '-')}-{key}"


@lru_cache
def _code_version() -> str:
    """Identify the code that makes and trains recognizers: when it changes, what was kept is not taken."""
    patterns = ("models/*.*", "features/*.py", "rec*.*", "late*.py", "training.py", "augmentation.py", "media.py")
    files = sorted(str(file) for pattern in patterns for file in Path(__file__).parent.glob(pattern))
    known = ("numpy", "scikit-learn", "torch", "transformers")  # what another version wrote may not be readable
    return " ".join([source_digest(*files), *map(version, known)])


def _fingerprint(corpus: Corpus) -> list[str]:
    """Name everything in a set that training depends on: labels, words, and the files as they are on disk."""
    rows = ["\t".join(map(str, row)) for row in corpus.table[[*SCHEMA]].itertuples(index=False)]
    paths = dict.fromkeys([*corpus.table["audio_path"].dropna(), *corpus.table["video_path"].dropna(), ACTION_UNITS])
    files = [corpus.root / path for path in paths]
    stats = [path.stat() for path in files if path.is_file()]  # recipes that need the others say what is missing
    facts = [*corpus.emotions, *rows, *(f"{stat.st_size} {stat.st_mtime_ns}" for stat in stats)]
    for kind, held in sorted(corpus.in_memory.items()):
        there = (name for name in corpus.table["utterance_id"] if name in held)
        facts += [f"{kind} {name} {hashlib.sha256(held[name].content.tobytes()).hexdigest()}" for name in there]
    return facts
