"""Recognizers: feature extractors and an estimator or a network behind fit, predict_proba, save and load."""

from __future__ import annotations

import copy
import hashlib
import math
import os
import pickle
import platform
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import softmax
from sklearn.base import clone

from emolab.corpora import Corpus
from emolab.corpora.corpus import RATINGS
from emolab.features.base import FeatureExtractor, of_each, usable
from emolab.features.combined import Concatenated, SpeakerNormalized
from emolab.models.light import count_numbers, fit_inverse_temperature, scores, select_on_validation
from emolab.storage import atomic_write, read_json, write_json

if TYPE_CHECKING:
    from torch import nn

    from emolab.training import Augment, Examples, History, TrainingConfig

FORMAT, PICKLED = 6, 5  # of a saved recognizer; and the one that is pickle alone
CARD, BODY, CODE = "recognizer.json", "recognizer.skops", "recognizer.pkl"
REMEDY = "Fit it again, or take an intact copy."
OWN = re.compile(r"(recognizer|weights|pipeline|front-\w+)\.\w+|member-\d+|\..*")  # what `save` wrote, now or before
COVERAGE = 0.7  # share of utterances that a calibrated recognizer answers
MIDDLE = 3.0  # of the scale of ratings; what a network learns is the distance from it
SMALLEST_PROBABILITY = 1e-6  # the logarithm of less would outweigh everything
TARGETS = ("emotion", "votes", *RATINGS)
Target = Literal["emotion", "votes", "valence", "arousal", "dominance"]
Extractors = FeatureExtractor | Sequence[FeatureExtractor]
Material = Corpus | Sequence[str | Path]  # utterances of a corpus, or sound files, films or texts


class Recognizer(ABC):
    """A classifier of emotions in utterances, or a regressor of ratings.

    A regressor has one output, the rating: its name is the only one of `emotions`, and where a classifier has
    (n_utterances, n_emotions) probabilities it has (n_utterances, 1) ratings.

    Attributes:
        name: The recipe it was made by, such as "audio/cnn-bilstm", or a name of your own.
        features: Its feature extractors, one for each input.
        modalities: What it needs of an utterance: audio, text, video.
        target: What it learns: "emotion", the label; "votes", how the annotators' votes are distributed over the
            emotions, instead of the label; "valence", "arousal" or "dominance", the mean rating.
        emotions: The emotions it tells apart, in the order of its probabilities; empty before `fit`.
        history: Losses and scores of each epoch; None for models without epochs.
        train_s: Seconds that `fit` took, features included.
        train_on_validation: Whether it is trained on the validation set as well, since nothing is chosen on it.
        partial: Whether it can do without some of its modalities, as long as one is there.
        temperature: Of the probabilities, see `calibrate`; 1 leaves them as they are.
        unsure_below: The calibrated confidence below which the answer is "don't know"; 0 answers always.
    """

    target = "emotion"  # where one was saved without

    def __init__(self, name: str, features: Any, modalities: Sequence[str] = (), target: str = "emotion") -> None:
        self.name, self.features, self.target = name, _listed(features), target
        if target not in TARGETS:
            raise ValueError(f"target={target!r}; expected one of {', '.join(TARGETS)}.")
        used = [*modalities, *chain(*(extractor.modalities for extractor in self.features))]
        self.modalities = tuple(dict.fromkeys(used))
        self.emotions: tuple[str, ...] = ()
        self.history: History | None = None
        self.train_s = 0.0
        self.train_on_validation = False
        self.temperature, self.unsure_below = 1.0, 0.0
        self.partial = len(self.features) > 1 or any(len(extractor.modalities) > 1 for extractor in self.features)

    def __repr__(self) -> str:
        state = f"tells {', '.join(self.emotions)}" if self.emotions else "not fitted"
        return f"{type(self).__name__}({self.name!r}, {' + '.join(self.modalities)}, {state})"

    @property
    def rates(self) -> bool:
        """Whether it is a regressor of ratings."""
        return self.target in RATINGS

    def examples(self, corpus: Corpus) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Return which utterance each example is, (n,), and its target, (n,): of votes an example each, else of all."""
        if self.target != "votes":
            return np.arange(len(corpus)), corpus.targets(self.target)
        votes = corpus.votes()
        return np.divmod(np.repeat(np.arange(votes.size), votes.ravel()), votes.shape[1])

    def fit(self, train: Corpus, valid: Corpus | None = None, *, train_only: bool = False) -> History | None:
        """Train on `train`; whatever has to be chosen (epoch, hyperparameter) is chosen on `valid`.

        Utterances that it can make nothing of are left out, with a warning that names them: see `usable`.

        Args:
            train: The training set.
            valid: The validation set.
            train_only: Do not train on the validation set, even where `train_on_validation` says so.

        Raises:
            TypeError: If one of them is no corpus.
            ValueError: If a modality is missing, the sets differ in their emotions, or an emotion has no example.
        """
        if not (isinstance(train, Corpus) and isinstance(valid, Corpus)):
            given = f"fit({type(train).__name__}, {type(valid).__name__})"
            remedy = "scikit-learn's own tools take feature_matrix(corpus) and corpus.targets()."
            raise TypeError(f"{given}; expected two corpora, such as fit(fold.train, fold.valid). {remedy}")
        train, valid = self.usable(train), self.usable(valid)
        self._check_sets(train, valid)
        self.emotions, began = (self.target,) if self.rates else train.emotions, time.perf_counter()
        self.temperature, self.unsure_below = 1.0, 0.0  # what was calibrated is no more
        try:
            self._train(train, valid, train_only)
        except BaseException:  # Ctrl-C too: a model that is half trained may not be used or saved
            self.emotions = ()
            raise
        self.train_s = time.perf_counter() - began
        return self.history

    def _train(self, train: Corpus, valid: Corpus, train_only: bool) -> None:
        if self.train_on_validation and not train_only:
            self._fit(train.joined(valid), valid)
            self.history = None  # scores on utterances that were trained on would mislead
        else:
            self._fit(train, valid)

    def predict_proba(self, utterances: Material) -> NDArray[np.float64]:
        """Return (n_utterances, n_emotions) float64 probabilities; each row sums to one. Of a regressor: ratings.

        Args:
            utterances: A corpus, or a list of sound or film files, or of texts for recognizers of text.

        Raises:
            ValueError: If it is not fitted, or utterances lack what it needs: a modality, or all of them.
        """
        corpus = self.corpus_of(utterances)
        return self._predict_proba(corpus) if len(corpus) else np.zeros((0, len(self.emotions)))

    def logits(self, utterances: Material) -> NDArray[np.floating]:
        """Return (n_utterances, n_emotions): numbers whose softmax is `predict_proba`.

        Those of networks and linear models are what they compute. Of all others they are the logarithms of the
        probabilities, `SMALLEST_PROBABILITY` at least, less their mean over the emotions. Of a regressor: ratings.
        """
        if self.rates:
            return self.predict_proba(utterances)
        logs = np.log(np.maximum(self.predict_proba(utterances), SMALLEST_PROBABILITY))
        return logs - logs.mean(axis=1, keepdims=True)

    def predict(self, utterances: Material) -> list[Any]:
        """Return the most probable emotion of each utterance; of a regressor, the rating."""
        if self.rates:
            return cast(list[Any], self.predict_proba(utterances)[:, 0].tolist())
        return [self.emotions[number] for number in self.predict_proba(utterances).argmax(axis=1)]

    def calibrate(
        self, probabilities: NDArray[np.floating], targets: NDArray[np.int64], *, coverage: float = COVERAGE
    ) -> None:
        """Choose `temperature` and `unsure_below` on utterances that it was not trained on, see Guo et al. 2017.

        Args:
            probabilities: (n, n_emotions) of such utterances, as `predict_proba` or cross-validation gives them.
            targets: (n,) the position of each one's emotion.
            coverage: The share of utterances, from 0 to 1, that is to be answered: the most confident ones.
        """
        self.temperature = 1 / fit_inverse_temperature(np.log(np.maximum(probabilities, SMALLEST_PROBABILITY)), targets)
        self.unsure_below = float(np.quantile(self.calibrated(probabilities).max(axis=1), 1 - coverage))

    def calibrated(self, probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return (n, n_emotions) probabilities as confident as they were right where `calibrate` looked."""
        powers = np.asarray(probabilities, np.float64) ** (1 / self.temperature)
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    def corpus_of(self, utterances: Material) -> Corpus:
        """Return the utterances as a corpus; raise ValueError unless this recognizer can predict them."""
        if not self.emotions:
            raise ValueError(f"{self.name} is not fitted; expected fit(train, valid) or Recognizer.load(folder) first.")
        if isinstance(utterances, str | Path):
            raise ValueError(f"{str(utterances)[:60]!r} is no list; expected files or texts. Put brackets around it.")
        if not isinstance(utterances, Corpus):
            given: Any = utterances if isinstance(utterances, Iterable) else [utterances]
            items, modality = list(given), "video" if self.modalities[:1] == ("video",) else "audio"
            if odd := {type(each).__name__ for each in items if not isinstance(each, str | Path)}:
                found = (
                    f"{type(utterances).__name__} of {', '.join(sorted(odd))}; expected a corpus, or a list of files"
                )
                raise TypeError(f"{found} or texts. Give a wave as corpus.with_media(audio={{utterance_id: wave}}).")
            files = any(isinstance(each, Path) or os.path.isfile(each) for each in items)
            utterances = Corpus.of_files(items, "text" if "text" in self.modalities and not files else modality)
        self._check_modalities(utterances)
        return self.usable(utterances, strict=True)

    def usable(self, corpus: Corpus, *, strict: bool | None = None) -> Corpus:
        """Leave out the utterances that it can make nothing of, for whatever reason: see `emolab.features.base.usable`.

        Raises:
            ValueError: If `strict`, or the environment variable EMOLAB_STRICT, allows of none, and there are some.
        """
        needed = dict.fromkeys(chain(*(extractor.modalities for extractor in self.extractors())))
        return usable(corpus, *needed, covers=self.covers, strict=strict) if needed else corpus

    def save(self, folder: Path | str) -> None:
        """Write everything that `load` needs to `folder`, whole or not at all; an older one there is replaced.

        It is saved without code, as names and numbers: see `emolab.saved`. A recognizer with a network, estimator or
        feature extractor that a notebook or script defines is pickled with its code, and has to be trusted to load.

        Raises:
            ValueError: If it is not fitted.
            FileExistsError: If there is anything but a recognizer in `folder`.
        """
        from emolab import saved

        folder = Path(folder)
        if not self.emotions:
            raise ValueError(f"{self.name} is not fitted; expected fit(train, valid) before it is saved.")
        if folder.is_file() or (folder.is_dir() and any(not OWN.fullmatch(file.name) for file in folder.iterdir())):
            found = f"{folder} holds something else than a recognizer"
            raise FileExistsError(f"{found}; expected a new folder, or one that save wrote. Give a folder of its own.")
        with atomic_write(folder) as part:
            part.mkdir()
            body, code = saved.dumps(self)
            (part / (CODE if code else BODY)).write_bytes(body)
            card = {"format": FORMAT, "name": self.name, "modalities": self.modalities, "emotions": self.emotions}
            card |= {"python": platform.python_version(), "code": code, "sha256": hashlib.sha256(body).hexdigest()}
            write_json(part / CARD, card)

    @staticmethod
    def load(folder: Path | str, *, trusted: bool | None = None) -> Recognizer:
        """Read a recognizer that `save` wrote. No code of the folder is run, unless it is `trusted`.

        Args:
            folder: Its folder.
            trusted: Whether code that lies in the folder may be run: that of somebody's own classes, and all of a
                folder from before format 6. None: where the environment variable EMOLAB_TRUST is 1.

        Raises:
            FileNotFoundError: If there is no recognizer in `folder`.
            ValueError: If a file in it was cut off or changed, another version wrote it, or it holds code that is not
                trusted; the message names the classes.
        """
        from emolab import saved

        card, body, pickled = _verified(Path(folder))
        if pickled and not (os.environ.get("EMOLAB_TRUST") == "1" if trusted is None else trusted):
            code = card.get("code", "a pickle of an older version")
            why = f"{folder} holds code that loading would run: {code}. Expected classes of emolab and its libraries"
            raise ValueError(f"{why}. If you trust who wrote it: Recognizer.load(folder, trusted=True), or --trust.")
        try:
            made = pickle.loads(body) if pickled else saved.loads(body)
            if not isinstance(made, Recognizer) or [made.name, *made.emotions] != [card["name"], *card["emotions"]]:
                raise ValueError(f"{CARD} describes another recognizer")
        except Exception as error:  # a class of another version of a library, or of a module that is not there
            why = f"{folder} cannot be loaded here ({type(error).__name__}: {error})"
            raise ValueError(f"{why}; expected the libraries and modules it was saved with. {REMEDY}") from error
        return made

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
        return " + ".join(dict.fromkeys(each.pretrained for each in self.extractors() if each.pretrained)) or None

    @property
    def stand_in(self) -> bool:
        """Whether a tiny random model stands where a large pretrained one belongs."""
        return any(getattr(extractor, "stand_in", False) for extractor in self.extractors())

    @property
    def training_data(self) -> str:
        """Say what it is trained on, for tables of results: models that are compared should agree in it."""
        n_speeds = 1 + max((len(getattr(extractor, "speeds", ())) for extractor in self.extractors()), default=0)
        sets = "training + validation sets" if self.train_on_validation else "training set"
        return sets + f", {n_speeds} speeds" * (n_speeds > 1) + ", augmented" * bool(getattr(self, "augment", None))

    @property
    def per_speaker(self) -> bool:
        """Whether it takes means of the test speakers' own recordings, see `SpeakerNormalized`."""
        return any(isinstance(extractor, SpeakerNormalized) for extractor in self.extractors())

    def extractors(self) -> Iterator[FeatureExtractor]:
        """Yield every feature extractor, those inside others included."""
        waiting: list[Any] = list(self.features)
        for extractor in waiting:  # grows as it goes
            yield extractor
            waiting += getattr(extractor, "features", [])

    @abstractmethod
    def _fit(self, train: Corpus, valid: Corpus) -> None: ...

    @abstractmethod
    def _predict_proba(self, corpus: Corpus) -> NDArray[np.float64]: ...

    def _check_sets(self, train: Corpus, valid: Corpus) -> None:
        self._check_modalities(train, each=True)
        self._check_modalities(valid)
        if self.rates:
            return  # not every emotion need be there
        if train.emotions != valid.emotions:
            found = f"{self.name} got emotions {list(train.emotions)} to train on, {list(valid.emotions)} to choose by"
            raise ValueError(f"{found}; expected one view for both. Take it before the folds: folds_of(corpus.view()).")
        if empty := [emotion for emotion in train.emotions if emotion not in set(train.table["emotion"])]:
            found = f"the training set of {train.name!r} has no utterance of {', '.join(empty)}; expected at least one."
            there = [emotion for emotion in train.emotions if emotion not in empty]
            remedy = f"Take a view without them, corpus.only{(*there,)}, --emotions {','.join(there)}, or larger folds."
            raise ValueError(f"{found} {remedy}")

    def covers(self, corpus: Corpus) -> NDArray[np.bool_]:
        """Mask (n_utterances,): true where there is what it needs, at least one modality if it can do with part."""
        there = np.array([extractor.has(corpus) for extractor in self.features])
        return cast(NDArray[np.bool_], there.any(axis=0) if self.partial else there.all(axis=0))

    def _check_modalities(self, corpus: Corpus, *, each: bool = False) -> None:
        """Raise if it can predict no utterance at all or, of `each`, a modality is missing in all of them."""
        if missing := self._lacking(corpus) if len(corpus) and (each or not self.covers(corpus).any()) else []:
            there = ", ".join(corpus.modalities) or "no modality"
            needed = (" or " if self.partial and not each else " and ").join(missing)
            found = f"{self.name} needs {needed}, but corpus {corpus.name!r} has only {there}"
            raise ValueError(f"{found}. Expected a corpus that has it. Take a recipe for what is there.")

    def _lacking(self, corpus: Corpus) -> list[str]:
        """Name the modalities that are needed and not there in a single utterance."""
        lacking = {*chain(*(extractor.modalities for extractor in self.features if not extractor.has(corpus).any()))}
        return [modality for modality in self.modalities if modality in lacking]


def _listed(features: Any) -> list[FeatureExtractor]:
    """Return one or several feature extractors as a list."""
    given = list(features) if isinstance(features, list | tuple) else [features]
    if wrong := [each for each in given if not isinstance(each, FeatureExtractor)]:
        raise TypeError(f"features={wrong[0]!r}; expected a FeatureExtractor, or several. Make one: LogMel(), say.")
    return given


class LightRecognizer(Recognizer):
    """Vectors of named features and a scikit-learn estimator.

    Args:
        name: Yours to choose.
        features: A feature extractor that gives one vector an utterance, or several, which are concatenated.
        estimator: Any unfitted classifier or pipeline of scikit-learn; or several, of which the one with the highest
            unweighted average recall on the validation set is taken. A classifier without probabilities, such as
            LinearSVC, gets them by temperature scaling. For ratings: regressors, and the highest CCC.
        target: What it learns, see `Recognizer`; of votes each is an example of its own.
    """

    def __init__(self, name: str, features: Extractors, estimator: Any, *, target: Target = "emotion") -> None:
        given = _listed(features)
        super().__init__(name, [Concatenated(given)] if len(given) > 1 else given, target=target)
        self.candidates: list[Any] = list(estimator) if isinstance(estimator, list | tuple) else [estimator]
        self.estimator: Any = None

    @property
    def feature_names(self) -> list[str]:
        """Name every column that the estimator is given."""
        return list(self.features[0].feature_names)

    @property
    def n_parameters(self) -> int:  # noqa: D102
        return count_numbers(self.estimator) + sum(extractor.n_parameters for extractor in self.extractors())

    def feature_matrix(self, corpus: Corpus) -> Any:
        """Return what the estimator is given, (n_utterances, n_features), sparse for TF-IDF."""
        return self.features[0].transform(corpus)

    def logits(self, utterances: Material) -> NDArray[np.floating]:
        """Return (n_utterances, n_emotions): the scores of a linear model, else logarithms of the probabilities."""
        corpus = self.corpus_of(utterances)
        found = scores(self.estimator, self.feature_matrix(corpus)) if len(corpus) else None
        return super().logits(corpus) if found is None else found

    def _fit(self, train: Corpus, valid: Corpus) -> None:
        places, targets = self.examples(train)
        truth, candidates = valid.targets(self.target if self.rates else "emotion"), map(clone, self.candidates)
        self.features[0].fit(train)
        copies = [each[places] for each in self.features[0].training_copies(train)]
        rows = sparse.vstack(copies, format="csr") if sparse.issparse(copies[0]) else np.vstack(copies)
        targets = np.tile(targets, len(copies))
        self.estimator = select_on_validation([*candidates], rows, targets, self.feature_matrix(valid), truth)

    def _predict_proba(self, corpus: Corpus) -> NDArray[np.float64]:
        given, model = self.feature_matrix(corpus), self.estimator
        return np.asarray(model.predict(given)[:, None] if self.rates else model.predict_proba(given), dtype=np.float64)


class NetworkRecognizer(Recognizer):
    """Feature extractors and a network that `emolab.training.fit` trains.

    Args:
        name: Yours to choose.
        features: One feature extractor for each input of the network.
        network: Any torch module that turns `(batch, frames, n_features)` float32, `(batch, n_features)` or
            `(batch, tokens)` int64, and `(batch,)` lengths if it takes them, into `(batch, n_emotions)` logits; it is
            copied by each `fit`. Or a function that builds one: it is given each extractor's `sizes()`, such as
            `{"n_features": 64}`, and `n_emotions=`.
        config: How to train.
        seed: Of the weights that are built, the order of the examples, dropout and augmentation.
        augment: Changes training batches, never others; sound or faces must be the first input.
        segment_s: Longer utterances are cut in segments of so many seconds, half overlapping: each is an example of
            its own in training, and their logits are averaged in prediction. For sound alone.
        folder: Where a checkpoint is written after each epoch, so that a killed training goes on from there.
        target: What it learns, see `Recognizer`: a network of votes by cross-entropy against their shares, one of
            ratings with a single output by 1 - CCC.
    """

    def __init__(
        self,
        name: str,
        features: Extractors,
        network: nn.Module | Callable[..., nn.Module],
        config: TrainingConfig | None = None,
        *,
        seed: int = 7,
        augment: Augment | None = None,
        segment_s: float | None = None,
        folder: Path | None = None,
        target: Target = "emotion",
    ) -> None:
        from emolab.training import TrainingConfig

        super().__init__(name, features, target=target)
        self.build: Any = network
        self.config, self.seed = config or TrainingConfig(), seed
        self.augment, self.segment_s, self.folder = augment, segment_s, folder
        self.network: Any = None  # a torch module once it is fitted or loaded

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what a loaded recognizer does not need, and bring the network to the CPU."""
        on_cpu = all(weights.device.type == "cpu" for weights in self._weights())
        network = self.network if on_cpu else copy.deepcopy(self.network).cpu()
        return {**self.__dict__, "network": network, "folder": None, "build": None}

    @property
    def n_parameters(self) -> int:  # noqa: D102
        return sum(e.n_parameters for e in self.extractors()) + sum(weights.numel() for weights in self._weights())

    @property
    def n_trainable(self) -> int:  # noqa: D102
        return sum(weights.numel() for weights in self._weights() if weights.requires_grad)

    def _weights(self) -> list[Any]:
        return list(self.network.parameters()) if self.network else []

    def inputs(self, corpus: Corpus) -> list[list[NDArray[Any]]]:
        """Return what the network is given: for each input one array an utterance, (frames, n_features) or (tokens,).

        It is empty where the modality is missing.
        """
        return [of_each(extractor, corpus)[0] for extractor in self.features]

    def logits(self, utterances: Material) -> NDArray[np.float32]:
        """Return (n_utterances, n_emotions) float32, the network's outputs before the softmax."""
        corpus = self.corpus_of(utterances)
        return self.logits_of(self.inputs(corpus)) if len(corpus) else np.zeros((0, len(self.emotions)), np.float32)

    def logits_of(self, inputs: Sequence[Sequence[NDArray[Any]]]) -> NDArray[np.float32]:
        """Return (n, n_emotions) float32 for inputs as `inputs` gives them, for instance with a word left out."""
        from emolab.training import Examples, predict_logits

        segments, owners = self._segments(inputs)
        examples = Examples(segments, np.zeros(len(owners), dtype=np.int64))
        logits = predict_logits(self.network, examples, batch_size=self.config.batch_size)
        if len(owners) == len(inputs[0]):
            return logits
        starts = np.flatnonzero(np.diff(owners, prepend=-1))
        n_segments = np.diff(starts, append=len(owners))[:, None].astype(np.float32)
        return cast(NDArray[np.float32], np.add.reduceat(logits, starts, axis=0) / n_segments)

    def _segments(self, inputs: Sequence[Sequence[NDArray[Any]]]) -> tuple[list[list[NDArray[Any]]], NDArray[np.int64]]:
        """Cut long utterances; say for each segment which utterance, counted from 0, it belongs to."""
        arrays = [list(part) for part in inputs]
        if self.segment_s is None:
            return arrays, np.arange(len(arrays[0]))
        first: Any = self.features[0]
        length = round(self.segment_s / getattr(first, "step_s", first.hop_s))
        cut = [[array[start : start + length] for start in segment_starts(len(array), length)] for array in arrays[0]]
        return [[*chain(*cut)]], np.repeat(np.arange(len(cut)), [*map(len, cut)])

    def takes_whole(self, corpus: Corpus) -> bool:
        """Tell whether no utterance is so long that it is cut in segments."""
        return len(self._segments(self.inputs(corpus))[1]) == len(corpus)

    def _fit(self, train: Corpus, valid: Corpus) -> None:
        from emolab.training import Examples, fit

        for extractor in self.features:
            extractor.fit(train.select(extractor.has(train)))
        self.network = self._new_network()
        copies = [of_each(extractor, train, copies=True) for extractor in self.features]
        n_copies = max(map(len, copies))
        everything = [[*chain(*(own[number % len(own)] for number in range(n_copies)))] for own in copies]
        sets = []
        for inputs, part in ((everything, train), (self.inputs(valid), valid)):
            segments, owners = self._segments(inputs)
            targets = part.targets(self.target)[owners % len(part)]
            sets.append(Examples(segments, targets - MIDDLE if self.rates else targets, self.emotions))
        self._try_out(sets[0])
        how: dict[str, Any] = {"config": self.config, "seed": self.seed, "augment": self.augment, "folder": self.folder}
        self.history = fit(self.network, *sets, **how)

    def build_network(self, *sizes: Mapping[str, Any], n_emotions: int) -> Any:
        """Build a network, untrained, for features of such sizes; one that was given as a module is copied."""
        if self.build is None:
            raise ValueError(f"{self.name} was loaded, not built; expected a new recognizer to fit. Build it again.")
        is_module = hasattr(self.build, "parameters")
        return copy.deepcopy(self.build) if is_module else self.build(*sizes, n_emotions=n_emotions)

    def _new_network(self) -> Any:
        import torch

        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            network = self.build_network(*(e.sizes() for e in self.features), n_emotions=len(self.emotions))
            for extractor, encoder in zip(self.features, getattr(network, "encoders", [network]), strict=False):
                extractor.initialise(encoder)
        return network

    def _try_out(self, examples: Examples) -> None:
        """Raise if the network does not take the features."""
        from emolab.training import Examples, predict_logits

        one = Examples([inputs[:1] for inputs in examples.inputs], examples.targets[:1], examples.emotions)
        try:
            predict_logits(self.network, one)
        except (RuntimeError, TypeError, IndexError) as error:  # what torch raises where shapes do not fit
            shapes = " and ".join(str(inputs[0].shape) for inputs in one.inputs)
            raise ValueError(
                f"{type(self.network).__name__} fails on an utterance of shape {shapes}: {error}. Expected a network "
                "for (batch, …) of them and (batch,) lengths. Fit its first layer to the features' sizes()."
            ) from error

    def _predict_proba(self, corpus: Corpus) -> NDArray[np.float64]:
        outputs = self.logits_of(self.inputs(corpus)).astype(np.float64)
        return outputs + MIDDLE if self.rates else np.asarray(softmax(outputs, axis=1))


def segment_starts(n_steps: int, length: int) -> list[int]:
    """Say where segments of `length` steps begin: half overlapping, the last one flush with the end."""
    n_segments = 1 + max(0, math.ceil((n_steps - length) / (length / 2)))
    return [round(place) for place in np.linspace(0, max(0, n_steps - length), n_segments)]


def _verified(folder: Path) -> tuple[dict[str, Any], bytes, bool]:
    """Return card and body of a saved recognizer, and whether it is a pickle; raise if it is not what `save` wrote."""
    if not (folder / CARD).is_file():
        raise FileNotFoundError(f"no recognizer in {folder}: {CARD} is missing; expected what save wrote. {REMEDY}")
    card = read_json(folder / CARD, remedy=REMEDY)
    pickled = card.get("format") == PICKLED or bool(card.get("code"))
    file = folder / (CODE if pickled else BODY)
    if card.get("format") not in (PICKLED, FORMAT):
        found = f"{folder / CARD} is of another version: format {card.get('format')}"
        raise ValueError(f"{found}; expected format {FORMAT}, as save writes it here. {REMEDY}")
    body = file.read_bytes() if file.is_file() else b""
    if card.get("sha256") != hashlib.sha256(body).hexdigest():
        raise ValueError(f"{file} is missing, cut off or changed; expected what {CARD} tells of it. {REMEDY}")
    return card, body, pickled
