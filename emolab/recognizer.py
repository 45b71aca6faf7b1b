"""Recognizers: where utterances meet models, in scikit-learn's manners."""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from emolab.corpora.corpus import Corpus
from emolab.corpora.layout import some
from emolab.features.base import FeatureExtractor, SoundFrames, extractor_from_state, of_each
from emolab.features.joined import Concatenated
from emolab.storage import atomic_write

if TYPE_CHECKING:
    from emolab.examples import AudioAugmentation, Examples, FaceAugmentation
    from emolab.training import History, TrainingConfig

FORMAT = 3  # of a saved recognizer
CARD = "recognizer.json"
WEIGHTS = "weights.safetensors"
PIPELINE = "pipeline.joblib"
UNLIKELY = 1e-6  # probability; the logarithm of less would outweigh everything
OWN = re.compile(r"(recognizer|weights|pipeline|front-\w+)\.\w+|member-\d+|\..*")  # what `save` writes


class Recognizer(ABC):
    """Something that reads utterances and says how likely each emotion is.

    Attributes:
        name: The recipe it was made by, such as "audio/cnn-bilstm".
        modalities: What it needs of an utterance.
        emotions: The emotions it tells apart, in the order of its probabilities; empty before `fit`.
        history: How training went; None for models without epochs.
        train_s: Seconds that `fit` took, features included.
        stand_in: Whether a tiny untrained network stands where a large pretrained one belongs.
        all_parts: Whether it learns from the validation part as well, since nothing is chosen on it.
        partial: Whether it can do without some of its modalities, as long as one is there.
    """

    kinds: ClassVar[dict[str, type[Recognizer]]] = {}

    def __init__(self, name: str, modalities: Sequence[str], *, stand_in: bool = False) -> None:
        self.name = name
        self.modalities = tuple(dict.fromkeys(modalities))
        self.emotions: tuple[str, ...] = ()
        self.features: list[FeatureExtractor] = []
        self.history: History | None = None
        self.train_s = 0.0
        self.stand_in = stand_in
        self.train_on_validation = False
        self.partial = False

    def __init_subclass__(cls) -> None:
        Recognizer.kinds[cls.__name__] = cls

    def __repr__(self) -> str:
        state = f"tells {', '.join(self.emotions)}" if self.emotions else "not fitted"
        return f"{type(self).__name__}({self.name!r}, {' + '.join(self.modalities)}, {state})"

    def fit(self, train: Corpus, valid: Corpus) -> History | None:
        """Learn from `train`; whatever has to be chosen (epoch, penalty, size) is chosen on `valid`.

        Raises:
            ValueError: If a modality is missing, the parts differ in their emotions, or an emotion has no example.
        """
        self._check_parts(train, valid)
        self.emotions, began = train.emotions, time.perf_counter()
        try:
            self._fit(_joined(train, valid) if self.train_on_validation else train, valid)
        except BaseException:  # Ctrl-C too: what is trained by half may not be used or saved
            self.emotions = ()
            raise
        self.train_s = time.perf_counter() - began
        return self.history

    def predict_proba(self, corpus: Corpus) -> NDArray[np.float64]:
        """Return (n_utterances, n_emotions) float64 probabilities; each row sums to one.

        Raises:
            ValueError: If it is not fitted, or utterances lack what it needs: a modality, or all of them.
        """
        self._check_ready(corpus)
        if not len(corpus):
            return np.zeros((0, len(self.emotions)))
        return self._predict_proba(corpus)

    def logits(self, corpus: Corpus) -> NDArray[np.floating]:
        """Return (n_utterances, n_emotions): numbers whose softmax is `predict_proba`.

        Networks and linear models judge by them. Of all others it is the logarithm of the probabilities, `UNLIKELY` at
        least, less its mean over the emotions.
        """
        logs = np.log(np.maximum(self.predict_proba(corpus), UNLIKELY))
        return logs - logs.mean(axis=1, keepdims=True)

    def predict(self, corpus: Corpus) -> list[str]:
        """Return the likeliest emotion of each utterance."""
        return [self.emotions[number] for number in self.predict_proba(corpus).argmax(axis=1)]

    def save(self, folder: Path) -> None:
        """Write everything that `load` needs to `folder`, whole or not at all; an older one there is replaced.

        Raises:
            ValueError: If it is not fitted.
            FileExistsError: If there is anything but a recognizer in `folder`.
        """
        self._check_ready(None)
        folder = Path(folder)
        if folder.is_file() or (folder.is_dir() and any(not OWN.fullmatch(file.name) for file in folder.iterdir())):
            raise FileExistsError(
                f"{folder} holds something else than a recognizer; expected a new folder, or one that save wrote: all "
                "that is in it is replaced. Give a folder of its own."
            )
        with atomic_write(folder) as part:
            part.mkdir()
            card = {"format": FORMAT, "kind": type(self).__name__, "name": self.name, "emotions": list(self.emotions)}
            card |= {"modalities": list(self.modalities), "stand_in": self.stand_in, "train_s": self.train_s}
            card["history"] = asdict(self.history) if self.history else None
            card["body"] = self._save(part)
            card["sha256"] = {f.name: _sha256(f) for f in sorted(part.iterdir()) if f.is_file()}
            (part / CARD).write_text(json.dumps(card, indent=1), encoding="utf-8")

    @staticmethod
    def load(folder: Path) -> Recognizer:
        """Read a recognizer that `save` wrote. Load only folders you trust: light models are Python pickles.

        Raises:
            FileNotFoundError: If there is no recognizer in `folder`.
            ValueError: If a file in it was cut off or changed, or was written by another version.
        """
        folder = Path(folder)
        card = _read_card(folder)
        if card["kind"] not in Recognizer.kinds:  # of a module that nobody has imported yet
            import_module("emolab.late")
        recognizer = Recognizer.kinds[card["kind"]]._load(folder, card)
        recognizer.emotions, recognizer.train_s = tuple(card["emotions"]), card["train_s"]
        if card["history"]:
            from emolab.training import History

            recognizer.history = History(**card["history"])
        return recognizer

    @property
    @abstractmethod
    def n_parameters(self) -> int:
        """How many numbers the fitted model consists of."""

    @property
    def n_trainable(self) -> int:
        """How many of them training may change."""
        return self.n_parameters

    @property
    def pretrained(self) -> str | None:
        """Names of the published weights that it starts from; None without."""
        names = dict.fromkeys(extractor.pretrained for extractor in self.features if extractor.pretrained)
        return " + ".join(names) or None

    @abstractmethod
    def _fit(self, train: Corpus, valid: Corpus) -> None: ...

    @abstractmethod
    def _predict_proba(self, corpus: Corpus) -> NDArray[np.float64]: ...

    @abstractmethod
    def _save(self, folder: Path) -> dict[str, Any]: ...

    @classmethod
    @abstractmethod
    def _load(cls, folder: Path, card: Mapping[str, Any]) -> Recognizer: ...

    def _check_parts(self, train: Corpus, valid: Corpus) -> None:
        self._check_modalities(train, each=True)
        self._check_modalities(valid)
        if train.emotions != valid.emotions:
            raise ValueError(
                f"{self.name} got emotions {list(train.emotions)} to train on but {list(valid.emotions)} to choose "
                "by; expected one view for both. Take the view before the folds: folds_of(corpus.view())."
            )
        if empty := [emotion for emotion in train.emotions if emotion not in set(train.table["emotion"])]:
            raise ValueError(
                f"the training part of {train.name!r} has no utterance of {', '.join(empty)}; expected at least one "
                f"of each of {list(train.emotions)}. Take a view without them, or folds with more speakers in training."
            )

    def _check_ready(self, corpus: Corpus | None) -> None:
        if not self.emotions:
            raise ValueError(f"{self.name} is not fitted; expected fit(train, valid) or Recognizer.load(folder) first.")
        if corpus is not None:
            self._check_modalities(corpus)

    def covers(self, corpus: Corpus) -> NDArray[np.bool_]:
        """Mask (n_utterances,): true where there is what it needs, at least one modality if it can do with part."""
        there = np.array([extractor.has(corpus) for extractor in self.features])
        return cast(NDArray[np.bool_], there.any(axis=0) if self.partial else there.all(axis=0))

    def _check_modalities(self, corpus: Corpus, *, each: bool = False) -> None:
        if self.partial and not (covered := self.covers(corpus)).all():
            without = corpus.table.loc[~covered, "utterance_id"]
            raise ValueError(
                f"{len(without)} of {len(corpus)} utterances of corpus {corpus.name!r} have none of "
                f"{', '.join(self.modalities)}: {some(without)}. Expected at least one of them for {self.name}. Leave "
                "these utterances out: corpus.select(recognizer.covers(corpus))."
            )
        if missing := self._lacking(corpus) if len(corpus) and (each or not self.partial) else []:
            raise ValueError(
                f"{self.name} needs {' and '.join(missing)}, but corpus {corpus.name!r} has only "
                f"{', '.join(corpus.modalities) or 'no modality'}. Take a recipe for what is there."
            )

    def _lacking(self, corpus: Corpus) -> list[str]:
        """Name the modalities that are needed and not there in a single utterance."""
        lacking = [extractor.modalities for extractor in self.features if not extractor.has(corpus).any()]
        return [modality for modality in self.modalities if modality in {*chain(*lacking)}]


class LightRecognizer(Recognizer):
    """Vectors of named features before a scikit-learn model, its settings chosen on the validation part.

    Args:
        candidates: Makes the unfitted scikit-learn pipelines to choose among.
    """

    def __init__(
        self, name: str, features: Sequence[FeatureExtractor], candidates: Callable[[], Sequence[Any]] | None = None
    ) -> None:
        super().__init__(name, [*chain(*(extractor.modalities for extractor in features))])
        self.features = [Concatenated(features)] if len(features) > 1 else list(features)
        self.partial = self.features[0].partial
        self.candidates = candidates
        self.estimator: Any = None

    @property
    def feature_names(self) -> list[str]:
        """Name every column that the model sees."""
        return self.features[0].feature_names

    @property
    def n_parameters(self) -> int:  # noqa: D102
        from emolab.models.light import count_numbers

        return count_numbers(self.estimator)

    def feature_matrix(self, corpus: Corpus) -> Any:
        """Return what the model sees, (n_utterances, n_features) float64, sparse where words are counted."""
        return self.features[0].transform(corpus)

    def logits(self, corpus: Corpus) -> NDArray[np.floating]:
        """Return (n_utterances, n_emotions): the scores of a linear model, else logarithms of the probabilities."""
        from emolab.models.light import scores

        self._check_ready(corpus)
        judged = scores(self.estimator, self.feature_matrix(corpus)) if len(corpus) else None
        return super().logits(corpus) if judged is None else judged

    def _fit(self, train: Corpus, valid: Corpus) -> None:
        from emolab.models.light import select_on_validation

        if self.candidates is None:
            raise ValueError(f"{self.name} was loaded, not built; take recipe({self.name!r}) to fit a new one.")
        self.features[0].fit(train)
        versions = self.features[0].versions(train)
        rows, targets = _below(versions), np.tile(train.targets(), len(versions))
        self.estimator = select_on_validation(
            self.candidates(), rows, targets, self.feature_matrix(valid), valid.targets()
        )

    def _predict_proba(self, corpus: Corpus) -> NDArray[np.float64]:
        return np.asarray(self.estimator.predict_proba(self.feature_matrix(corpus)), dtype=np.float64)

    def _save(self, folder: Path) -> dict[str, Any]:
        import joblib

        joblib.dump(self.estimator, folder / PIPELINE, compress=3)
        return {"features": _save_features(self.features, folder)}

    @classmethod
    def _load(cls, folder: Path, card: Mapping[str, Any]) -> LightRecognizer:
        import joblib

        recognizer = cls(card["name"], _load_features(card["body"]["features"], folder))
        recognizer.estimator = joblib.load(folder / PIPELINE)
        return recognizer


class NetworkRecognizer(Recognizer):
    """Sequences of features before a network that `emolab.training.fit` trains.

    Args:
        spec: What `emolab.models.build` takes; sizes that depend on the corpus are filled in by `fit`.
        augment: Changes training batches, never others; the sound or the faces must be the first modality.
        segment_s: Longer utterances are cut in segments of so many seconds, half overlapping: each is an example of
            its own in training, and their logits are averaged in prediction. For sound frames alone.
        folder: Where a checkpoint is written after each epoch, so that a killed run goes on from there.
    """

    def __init__(
        self,
        name: str,
        features: Sequence[FeatureExtractor],
        spec: Mapping[str, Any],
        config: TrainingConfig,
        *,
        seed: int,
        augment: AudioAugmentation | FaceAugmentation | None = None,
        segment_s: float | None = None,
        folder: Path | None = None,
        stand_in: bool = False,
    ) -> None:
        super().__init__(name, [*chain(*(extractor.modalities for extractor in features))], stand_in=stand_in)
        self.features, self.spec, self.config = list(features), dict(spec), config
        self.partial = len(self.features) > 1 or self.features[0].partial
        self.seed, self.augment, self.segment_s, self.folder = seed, augment, segment_s, folder
        self.network: Any = None  # a torch module once it is fitted or loaded

    @property
    def n_parameters(self) -> int:  # noqa: D102
        frozen = sum(extractor.n_parameters for extractor in self.features)
        return frozen + sum(weights.numel() for weights in self._weights())

    @property
    def n_trainable(self) -> int:  # noqa: D102
        return sum(weights.numel() for weights in self._weights() if weights.requires_grad)

    def _weights(self) -> list[Any]:
        return list(self.network.parameters()) if self.network else []

    def inputs(self, corpus: Corpus) -> list[list[NDArray[Any]]]:
        """Return what the network sees: for each modality one array an utterance, (frames, n_features) or (words,).

        It is empty where the modality is missing.
        """
        return [of_each(extractor, corpus)[0] for extractor in self.features]

    def logits(self, corpus: Corpus) -> NDArray[np.float32]:
        """Return (n_utterances, n_emotions) float32, the network's outputs before the softmax."""
        self._check_ready(corpus)
        if not len(corpus):
            return np.zeros((0, len(self.emotions)), dtype=np.float32)
        return self.logits_of(self.inputs(corpus))

    def logits_of(self, inputs: Sequence[Sequence[NDArray[Any]]]) -> NDArray[np.float32]:
        """Return (n, n_emotions) float32 for inputs as `inputs` gives them, for instance with a word left out."""
        from emolab.examples import Examples
        from emolab.training import predict_logits

        pieces, owners = self._segments(inputs)
        examples = Examples(pieces, np.zeros(len(owners), dtype=np.int64))
        logits = predict_logits(self.network, examples, batch_size=self.config.batch_size)
        if len(owners) == len(inputs[0]):
            return logits
        starts = np.flatnonzero(np.diff(owners, prepend=-1))
        n_pieces = np.diff(starts, append=len(owners))[:, None].astype(np.float32)
        return cast(NDArray[np.float32], np.add.reduceat(logits, starts, axis=0) / n_pieces)

    def _segments(self, inputs: Sequence[Sequence[NDArray[Any]]]) -> tuple[list[list[NDArray[Any]]], NDArray[np.int64]]:
        """Cut long utterances; say for each piece which utterance, counted from 0, it belongs to."""
        arrays = [list(part) for part in inputs]
        if self.segment_s is None:
            return arrays, np.arange(len(arrays[0]))
        (extractor,) = self.features
        length = round(self.segment_s / cast(SoundFrames, extractor).hop_s)
        pieces = [[array[start : start + length] for start in _starts(len(array), length)] for array in arrays[0]]
        return [[piece for own in pieces for piece in own]], np.repeat(np.arange(len(pieces)), [*map(len, pieces)])

    def _fit(self, train: Corpus, valid: Corpus) -> None:
        import torch

        from emolab.examples import AudioAugmentation
        from emolab.models import build
        from emolab.training import fit

        for extractor in self.features:
            extractor.fit(train.select(extractor.has(train)))
        sizes = {"n_emotions": len(self.emotions)}
        self.spec = _filled(self.spec, [extractor.sizes() for extractor in self.features], sizes)
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            self.network = build(self.spec)
            for extractor, encoder in zip(
                self.features, getattr(self.network, "encoders", [self.network]), strict=True
            ):
                extractor.start(encoder)
        extractor = self.features[0]
        if (
            isinstance(self.augment, AudioAugmentation)
            and isinstance(extractor, SoundFrames)
            and extractor.kind == "log-mel"
        ):
            self.augment = self.augment.on_scale(
                extractor.mean, extractor.deviation
            )  # of others, decibels would be nonsense
        heard = [of_each(extractor, train, versions=True) for extractor in self.features]
        n_heard = max(map(len, heard))
        everything = [[*chain(*(own[number % len(own)] for number in range(n_heard)))] for own in heard]
        parts = [
            self._examples(everything, np.tile(train.targets(), n_heard)),
            self._examples(self.inputs(valid), valid.targets()),
        ]
        how: dict[str, Any] = {"config": self.config, "seed": self.seed, "augment": self.augment, "folder": self.folder}
        history = fit(self.network, *parts, **how)
        self.history = None if self.train_on_validation else history  # scores of a part that was learned would mislead

    def _examples(self, inputs: Sequence[Sequence[NDArray[Any]]], targets: NDArray[np.int64]) -> Examples:
        from emolab.examples import Examples

        pieces, owners = self._segments(inputs)
        return Examples(pieces, targets[owners], self.emotions)

    def _predict_proba(self, corpus: Corpus) -> NDArray[np.float64]:
        return softmax(self.logits_of(self.inputs(corpus)))

    def _save(self, folder: Path) -> dict[str, Any]:
        from safetensors.torch import save

        weights = {name: tensor.contiguous() for name, tensor in self.network.state_dict().items()}
        (folder / WEIGHTS).write_bytes(save(weights))
        augment = {"kind": type(self.augment).__name__, **asdict(self.augment)} if self.augment else None
        body = {"spec": self.spec, "config": asdict(self.config), "seed": self.seed, "augment": augment}
        body["segment_s"] = self.segment_s
        return body | {"features": _save_features(self.features, folder)}

    @classmethod
    def _load(cls, folder: Path, card: Mapping[str, Any]) -> NetworkRecognizer:
        from safetensors.torch import load_file

        from emolab.models import build
        from emolab.training import TrainingConfig

        body = card["body"]
        features = _load_features(body["features"], folder)
        options = {"seed": body["seed"], "stand_in": card["stand_in"], "segment_s": body["segment_s"]}
        options["augment"] = _changes(**body["augment"]) if body["augment"] else None
        recognizer = cls(card["name"], features, body["spec"], TrainingConfig(**body["config"]), **options)
        recognizer.network = build(body["spec"])
        recognizer.network.load_state_dict(load_file(folder / WEIGHTS))
        recognizer.network.eval()
        return recognizer


def _joined(train: Corpus, valid: Corpus) -> Corpus:
    """Put two parts of a corpus together."""
    import pandas as pd

    return replace(train, table=pd.concat([train.table, valid.table], ignore_index=True))


def _below(blocks: Sequence[Any]) -> Any:
    """Put utterances below each other."""
    from scipy import sparse

    return sparse.vstack(blocks, format="csr") if sparse.issparse(blocks[0]) else np.vstack(blocks)


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Turn logits (n, n_emotions) into probabilities; each row sums to one."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float64)
    return shifted / shifted.sum(axis=1, keepdims=True)


def _starts(n_steps: int, length: int) -> list[int]:
    """Say where segments of `length` steps begin: half overlapping, the last one flush with the end."""
    n_pieces = 1 + max(0, math.ceil((n_steps - length) / (length / 2)))
    return [round(place) for place in np.linspace(0, max(0, n_steps - length), n_pieces)]


def _changes(kind: Any, **sizes: Any) -> AudioAugmentation | FaceAugmentation:
    """Make again what changed the training batches of a saved recognizer."""
    from emolab.examples import AudioAugmentation, FaceAugmentation

    kinds: dict[str, Any] = {"AudioAugmentation": AudioAugmentation, "FaceAugmentation": FaceAugmentation}
    sizes = {name: tuple(value) if isinstance(value, list) else value for name, value in sizes.items()}
    return kinds[kind](**sizes)


def _save_features(features: Sequence[FeatureExtractor], folder: Path) -> list[dict[str, Any]]:
    for extractor in features:
        extractor.save_files(folder)
    return [extractor.state() for extractor in features]


def _load_features(states: Sequence[Mapping[str, Any]], folder: Path) -> list[FeatureExtractor]:
    features = [extractor_from_state(state) for state in states]
    for extractor in features:
        extractor.load_files(folder)
    return features


def _filled(spec: Mapping[str, Any], sizes: Sequence[Mapping[str, Any]], common: Mapping[str, int]) -> dict[str, Any]:
    """Fill in the sizes that depend on the corpus: those of one front end, or of one for each encoder."""
    if "encoders" not in spec:
        return {**spec, **sizes[0], **common}
    encoders = [{**part, **own, **common} for part, own in zip(spec["encoders"], sizes, strict=True)]
    return {**spec, "encoders": encoders, **common}


def _read_card(folder: Path) -> dict[str, Any]:
    """Read and verify the card of a saved recognizer."""
    remedy = "Fit it again, or take an intact copy."
    if not (folder / CARD).is_file():
        raise FileNotFoundError(f"no recognizer in {folder}: {CARD} is missing; expected what save wrote. {remedy}")
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{folder / CARD} is cut off or damaged; expected JSON. {remedy}") from error
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise ValueError(f"{folder / CARD} has no format {FORMAT}; expected what this version's save wrote. {remedy}")
    for file, digest in card["sha256"].items():
        if not (folder / file).is_file() or _sha256(folder / file) != digest:
            raise ValueError(f"{folder / file} is missing, cut off or changed; expected SHA-256 {digest}. {remedy}")
    return card


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
