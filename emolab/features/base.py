"""Front ends: from the utterances of a corpus to the numbers that one kind of model sees."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from emolab import features
from emolab.corpora.corpus import Corpus
from emolab.features.audio import HOP_S, AudioKind, audio_features
from emolab.features.text import Vocabulary, read_vectors, words

SMALLEST_DEVIATION = 1e-5  # a feature that hardly moves is centred, not blown up


class FeatureExtractor(ABC):
    """What a model sees of one modality; whatever is learned is learned from the training part alone."""

    kinds: ClassVar[dict[str, type[FeatureExtractor]]] = {}
    modality: ClassVar[str]
    partial: bool = False  # whether it reads several modalities and can do without some
    n_parameters: int = 0  # of a frozen network that belongs to it
    pretrained: str | None = None  # name of the published weights that it brings

    def __init_subclass__(cls) -> None:
        FeatureExtractor.kinds[cls.__name__] = cls

    @property
    def modalities(self) -> tuple[str, ...]:
        """What is read of an utterance, a single modality but where others are joined."""
        return (self.modality,)

    def has(self, corpus: Corpus) -> NDArray[np.bool_]:
        """Mask (n_utterances,): true where there is what is needed here."""
        return corpus.has(self.modality)

    @abstractmethod
    def fit(self, corpus: Corpus) -> None:
        """Learn means, deviations or a vocabulary from the training part."""

    @abstractmethod
    def transform(self, corpus: Corpus) -> Any:
        """Return one array an utterance (a list), or one row an utterance (a matrix)."""

    def versions(self, corpus: Corpus) -> list[Any]:
        """Return what training sees of its part: what `transform` gives, and perhaps changed versions of it."""
        return [self.transform(corpus)]

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return everything that `extractor_from_state` needs, fit for JSON."""

    def save_files(self, folder: Path) -> None:  # noqa: B027
        """Write what is too large for JSON, to files of `folder` whose names begin with "front-"."""

    def load_files(self, folder: Path) -> None:  # noqa: B027
        """Read what `save_files` wrote."""

    def sizes(self) -> dict[str, Any]:
        """Return what a network has to know, such as {"n_features": 64}."""
        return {}

    def start(self, network: Any) -> None:  # noqa: B027
        """Give an untrained network what is known beforehand, such as word vectors; most front ends know nothing."""

    @property
    def feature_names(self) -> list[str]:
        """Name the columns of a matrix."""
        return []


def extractor_from_state(state: Mapping[str, Any]) -> FeatureExtractor:
    """Build a front end again from what its `state()` gave."""
    if state["kind"] not in FeatureExtractor.kinds:  # of a module that nobody has imported yet
        for module in iter_modules(features.__path__, f"{features.__name__}."):
            import_module(module.name)
    extractor = FeatureExtractor.kinds[state["kind"]](**state["options"])
    for name, value in state["learned"].items():
        setattr(extractor, name, np.asarray(value) if isinstance(value, list) else value)
    return extractor


def of_each(extractor: FeatureExtractor, corpus: Corpus, *, versions: bool = False) -> list[list[NDArray[Any]]]:
    """Return one array an utterance, empty where there is not what the front end needs; several `versions` if asked."""
    there = extractor.has(corpus)
    if not there.any():
        return [[np.zeros(0, dtype=np.float32)] * len(corpus)]
    some = corpus.select(there) if not there.all() else corpus
    seen = [list(arrays) for arrays in (extractor.versions(some) if versions else [extractor.transform(some)])]
    if there.all():
        return seen
    return [[next(rest) if here else arrays[0][:0] for here in there] for arrays in seen for rest in [iter(arrays)]]


class _Scaled(FeatureExtractor):
    """Sound features brought to mean 0 and deviation 1, feature by feature."""

    modality = "audio"

    def __init__(self, kind: AudioKind, **options: Any) -> None:
        self.kind, self.options = kind, options
        self.mean: NDArray[np.float64] = np.zeros(0)
        self.deviation: NDArray[np.float64] = np.ones(0)

    def raw(self, corpus: Corpus, speed: float = 1.0) -> list[NDArray[np.float32]]:
        """Return the features before scaling, from the cache where they are there."""
        return audio_features(self.kind, corpus.audio_paths(), speed=speed, **self.options)

    def fit(self, corpus: Corpus) -> None:
        self._fit_to(self.raw(corpus))

    def _fit_to(self, arrays: Sequence[NDArray[np.float32]]) -> None:
        stacked = np.vstack([np.atleast_2d(array) for array in arrays])
        self.mean = stacked.mean(axis=0, dtype=np.float64)
        self.deviation = np.maximum(stacked.std(axis=0, dtype=np.float64), SMALLEST_DEVIATION)

    def scale(self, array: NDArray[np.floating]) -> NDArray[np.float32]:
        """Scale (…, n_features) by the training part's mean and deviation."""
        return ((array - self.mean) / self.deviation).astype(np.float32)

    def sizes(self) -> dict[str, int]:
        return {"n_features": len(self.mean)}

    def state(self) -> dict[str, Any]:
        learned = {"mean": self.mean.tolist(), "deviation": self.deviation.tolist()}
        return {"kind": type(self).__name__, "options": {"kind": self.kind, **self.options}, "learned": learned}


class SoundFrames(_Scaled):
    """A row of sound features for each moment: log-mel, MFCC or chroma, (frames, n_features) float32 an utterance."""

    def __init__(self, kind: Literal["log-mel", "mfcc", "chroma"] = "log-mel", **options: Any) -> None:
        super().__init__(kind, **options)

    @property
    def hop_s(self) -> float:
        """Seconds from frame to frame."""
        return float(self.options.get("hop_s", HOP_S))

    def transform(self, corpus: Corpus) -> list[NDArray[np.float32]]:
        """Return (frames, n_features) float32 for each utterance, scaled."""
        return [self.scale(array) for array in self.raw(corpus)]


class SoundVector(_Scaled):
    """One row of sound statistics an utterance, (n_utterances, n_features) float32, scaled.

    Args:
        kind: Which statistics.
        speeds: Training also hears every utterance at these speeds, as from other bodies: 1.08 is 8 % faster and
            higher. Source: Ko et al. 2015, audio augmentation for speech recognition.
    """

    def __init__(
        self,
        kind: Literal["functionals", "classical8"] = "functionals",
        *,
        speeds: Sequence[float] = (),
        **options: Any,
    ) -> None:
        super().__init__(kind, **options)
        self.speeds = tuple(speeds)

    def fit(self, corpus: Corpus) -> None:
        """Learn mean and deviation of each feature, over all speeds."""
        self._fit_to([array for speed in (1.0, *self.speeds) for array in self.raw(corpus, speed)])

    def versions(self, corpus: Corpus) -> list[NDArray[np.float32]]:
        """Return (n_utterances, n_features) float32, scaled, for each speed, the ordinary one first."""
        return [self.scale(np.stack(self.raw(corpus, speed))) for speed in (1.0, *self.speeds)]

    def state(self) -> dict[str, Any]:
        """Return options, means and deviations."""
        state = super().state()
        return state | {"options": {**state["options"], "speeds": self.speeds}}

    def transform(self, corpus: Corpus) -> NDArray[np.float32]:
        """Return (n_utterances, n_features) float32, scaled."""
        return self.scale(np.stack(self.raw(corpus)))

    @property
    def feature_names(self) -> list[str]:
        """Name the columns."""
        from emolab.features import audio

        return list(audio.FUNCTIONAL_NAMES if self.kind == "functionals" else audio.CLASSICAL_NAMES)


class Tokens(FeatureExtractor):
    """The words of an utterance as numbers, (words,) int64; the vocabulary is that of the training part.

    Args:
        min_count: How often a word must occur in training to have a number of its own.
        weights: A file of word vectors, see `emolab.features.text.read_vectors`, that the network starts from.
        frozen: Whether training leaves these vectors as they are.
    """

    modality = "text"

    def __init__(self, min_count: int = 2, weights: Path | str | None = None, frozen: bool = False) -> None:
        self.min_count, self.weights, self.frozen = min_count, weights, frozen
        self.vocabulary: Vocabulary | None = None
        self.known: dict[str, NDArray[np.float32]] = {}  # the words that the file has

    @property
    def pretrained(self) -> str | None:  # type: ignore[override]
        """Name of the file of word vectors."""
        return Path(self.weights).name if self.weights else None

    def fit(self, corpus: Corpus) -> None:
        """Collect the vocabulary, and the vectors of its words where there is a file of them."""
        self.vocabulary = Vocabulary.fit(corpus.texts(), min_count=self.min_count)
        self.known = read_vectors(self.weights, self.vocabulary.terms) if self.weights else {}

    def transform(self, corpus: Corpus) -> list[NDArray[np.int64]]:
        """Return (words,) int64 for each utterance."""
        assert self.vocabulary is not None  # a recognizer fits its front ends before it uses them
        return [self.vocabulary.encode(text) for text in corpus.texts()]

    def sizes(self) -> dict[str, Any]:
        """Return the size of the vocabulary, n_words, and what a file of vectors settles."""
        settled = {"n_embedding": len(next(iter(self.known.values()))), "frozen": self.frozen} if self.known else {}
        return {"n_words": len(self.vocabulary or ()), **settled}

    def start(self, network: Any) -> None:
        """Begin with the vectors of the file."""
        if self.known and self.vocabulary:
            places = np.array([self.vocabulary.encode(word)[0] for word in self.known])
            network.take_vectors(places, np.stack(list(self.known.values())))

    def state(self) -> dict[str, Any]:
        """Return the vocabulary, as JSON text."""
        json = self.vocabulary.to_json() if self.vocabulary else None
        weights = str(self.weights) if self.weights else None
        options = {"min_count": self.min_count, "weights": weights, "frozen": self.frozen}
        return {"kind": "Tokens", "options": options, "learned": {"vocabulary_json": json}}

    @property
    def vocabulary_json(self) -> str | None:
        """The vocabulary as JSON text."""
        return self.vocabulary.to_json() if self.vocabulary else None

    @vocabulary_json.setter
    def vocabulary_json(self, text: str | None) -> None:
        self.vocabulary = Vocabulary.from_json(text) if text else None


class Tfidf(FeatureExtractor):
    """TF-IDF of single words and pairs, (n_utterances, n_terms) sparse; counted on the training part alone.

    Source: Salton and Buckley 1988, with the sublinear term frequency 1 + log tf.

    Args:
        max_words: The most words in a row that make a term.
        min_count: The fewest training utterances that a term must occur in.
        characters: Count runs of so many characters instead, from (2, 4) two to four, inside words with their signs.
    """

    modality = "text"

    def __init__(self, max_words: int = 2, min_count: int = 2, characters: Sequence[int] | None = None) -> None:
        self.max_words, self.min_count, self.characters = max_words, min_count, characters
        self.terms: Sequence[str] = ()
        self.idf: NDArray[np.float64] = np.zeros(0)

    def fit(self, corpus: Corpus) -> None:
        """Collect the terms, and how rare each is."""
        texts = corpus.texts()
        try:
            vectorizer = self._vectorizer(min_df=self.min_count).fit(texts)
        except ValueError as error:
            raise ValueError(
                f"no term occurs in {self.min_count} of the {len(texts)} training texts; expected at least one. "
                "Give more training texts, or lower min_count."
            ) from error
        self.terms, self.idf = vectorizer.get_feature_names_out().tolist(), vectorizer.idf_

    def transform(self, corpus: Corpus) -> Any:
        """Return (n_utterances, n_terms) float64 sparse, rows of length 1 (0 where no term is known)."""
        vectorizer = self._vectorizer(vocabulary=list(self.terms))
        vectorizer.idf_ = np.asarray(self.idf)
        return vectorizer.transform(corpus.texts())

    def _vectorizer(self, **options: Any) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer

        if self.characters:
            options |= {"analyzer": "char_wb", "ngram_range": tuple(self.characters)}
        else:
            options |= {"tokenizer": words, "token_pattern": None, "ngram_range": (1, self.max_words)}
        return TfidfVectorizer(sublinear_tf=True, lowercase=bool(self.characters), **options)

    @property
    def feature_names(self) -> list[str]:
        """Name the columns: the terms, those of characters in quotes, so that they are not taken for words."""
        return [f"'{term}'" for term in self.terms] if self.characters else list(self.terms)

    def state(self) -> dict[str, Any]:
        """Return the terms and their rarity."""
        options = {"max_words": self.max_words, "min_count": self.min_count, "characters": self.characters}
        learned = {"terms": list(self.terms), "idf": self.idf.tolist()}
        return {"kind": "Tfidf", "options": options, "learned": learned}
