"""Maskers: what a recognizer predicts for utterances of which only some units are left, whatever it is made of."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import compress
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.special import softmax

from emolab import media
from emolab.corpora.corpus import MODALITIES, Corpus
from emolab.corpora.degraded import with_noise
from emolab.explain.explanation import SET, Floats, names_in_time, no_spans, sound_spans
from emolab.features.text import joined_units, text_units
from emolab.features.video import FaceFrames, faces
from emolab.media import SAMPLE_RATE
from emolab.recognizer import SMALLEST_PROBABILITY, Recognizer

FADE = SAMPLE_RATE * 5 // 1000  # samples, 5 ms: a sound that is cut off hard clicks
GREY = 127  # of 255

Mask = NDArray[np.bool_]  # (n_units,) or (n_coalitions, n_units), true where a unit stays
Logits = Floats  # (n_coalitions, n_emotions), less their mean over the emotions
Units = tuple[list[tuple[str, ...]], list[Floats]]  # of each utterance the names of its units, and their spans


class Masker:
    """The units of some utterances, and what a recognizer predicts when only some of them are there.

    It copies utterances and changes the copies; what was asked before is remembered.

    Attributes:
        modality: Whose units: "text", "audio", "video" or "modality".
        recognizer: Predicts.
        corpus: The utterances.
        baseline: What stands for a unit that is removed.
        names: For each utterance the names of its units.
        spans: For each utterance (n_units, 2) seconds from and to; NaN where there is no known time.
        n_predictions: How many changed utterances were predicted so far.
    """

    modality: ClassVar[str]
    baselines: ClassVar[tuple[str, ...]]
    left: Callable[[int, Mask], Any]  # the sound, pictures or text of an utterance of which only some units stay
    _units: Callable[[], Units]

    def __init__(self, recognizer: Recognizer, corpus: Corpus, baseline: str | None = None) -> None:
        self.recognizer, self.corpus, self.n_predictions = recognizer, corpus, 0
        self.baseline = checked_baseline(baseline, self.baselines)
        self.names, self.spans = self._units()
        self._known: dict[Any, Floats] = {}

    def logits(self, masks: Sequence[Mask]) -> list[Logits]:
        """Predict each utterance with some units left, a few hundred copies at a time.

        Args:
            masks: For each utterance (n_coalitions, n_units) bool, true where a unit stays.

        Returns:
            For each utterance (n_coalitions, n_emotions) float64: logits less their mean, which no probability
            depends on.
        """
        asked = {(row, mask.tobytes()): (row, mask) for row, own in enumerate(masks) for mask in own}
        todo = [key for key in asked if key not in self._known]
        for start in range(0, len(todo), SET.n_copies):
            keys = todo[start : start + SET.n_copies]
            some = [asked[key] for key in keys]
            predicted = self.recognizer.logits(self._changed(self._copies([row for row, _ in some]), some))
            self._known |= zip(keys, predicted - predicted.mean(axis=1, keepdims=True), strict=True)
        self.n_predictions += len(todo)
        found = [[self._known[row, mask.tobytes()] for mask in own] for row, own in enumerate(masks)]
        return [np.array(own, np.float64).reshape(-1, len(self.recognizer.emotions)) for own in found]

    def ends(self) -> tuple[Logits, Logits]:
        """Return (n_utterances, n_emotions) logits of the whole utterances, and of what is left without any unit."""
        both = self.logits([np.repeat([[True], [False]], len(names), axis=1) for names in self.names])
        return np.array([own[0] for own in both]), np.array([own[1] for own in both])

    def _changed(self, copies: Corpus, asked: Sequence[tuple[int, Mask]]) -> Corpus:
        """Return the copies with only the units of a mask left, for pairs of an utterance's row and a mask."""
        left = {name: self.left(*one) for name, one in zip(copies.table["utterance_id"], asked, strict=True)}
        return copies.with_media(**{self.modality: left})

    def _copies(self, rows: Sequence[int]) -> Corpus:
        """Return a corpus of copies of some rows, under new names."""
        old = self.corpus.table["utterance_id"].iloc[list(rows)].tolist()
        new = [f"{name}#{number}" for number, name in enumerate(old)]
        table = self.corpus.table.iloc[list(rows)].reset_index(drop=True).assign(utterance_id=new)
        pairs, held = list(zip(new, old, strict=True)), self.corpus.in_memory.items()
        in_memory = {kind: {name: own[key] for name, key in pairs if key in own} for kind, own in held}
        return replace(self.corpus, table=table.astype({"utterance_id": "string"}), in_memory=in_memory)


class WordMasker(Masker):
    """Words of a text, see `text_units`; left out, or replaced by the mask token or an unknown word."""

    modality, baselines = "text", ("leave out", "mask")

    def _units(self) -> Units:
        names = [tuple(text_units(text)) for text in self.corpus.texts()]
        return names, [no_spans(len(own)) for own in names]

    def _changed(self, copies: Corpus, asked: Sequence[tuple[int, Mask]]) -> Corpus:
        texts = pd.array([self.left(*one) for one in asked], dtype="string")
        return replace(copies, table=copies.table.assign(text=texts))

    def left(self, row: int, mask: Mask) -> str:
        """Return the text of an utterance of which only some words stay."""
        instead = mask_word(self.recognizer) if self.baseline == "mask" else ""
        return joined_units(filter(None, np.where(mask, np.array(self.names[row], object), instead)))


class AudioMasker(Masker):
    """Stretches of 100 ms of a sound; silenced, or replaced by noise of the level of the whole utterance."""

    modality, baselines = "audio", ("silence", "noise")

    def _units(self) -> Units:
        self.waves = [media.read_audio(path) for path in self.corpus.audio_paths()]
        spans = [sound_spans(len(wave) / SAMPLE_RATE) for wave in self.waves]
        return [names_in_time(own) for own in spans], spans

    def left(self, row: int, mask: Mask) -> NDArray[np.float32]:
        """Return the sound (samples,) of an utterance of which only some stretches stay."""
        wave = self.waves[row]
        if mask.all():
            return wave
        edges = np.rint(np.append(self.spans[row][:, 0], self.spans[row][-1, 1]) * SAMPLE_RATE).astype(int)
        edges[-1] = len(wave)
        gain = uniform_filter1d(np.repeat(mask.astype(np.float32), np.diff(edges)), FADE)
        if self.baseline == "silence":
            return wave * gain
        noise = with_noise(wave, 0.0, np.random.default_rng(row)) - wave  # 0 dB: as strong as the sound
        return (wave * gain + noise * (1 - gain)).astype(np.float32)


class FrameMasker(Masker):
    """Frames of a face, at the model's frame rate; replaced by the clip's mean frame, or by grey."""

    modality, baselines = "video", ("mean", "grey")

    def _units(self) -> Units:
        extractor = face_extractor(self.recognizer)
        self.pictures = [face.pictures for face in faces(self.corpus, **extractor.options)]
        one = np.array([0, extractor.hop_s])  # each frame lasts until the next
        spans = [np.arange(len(own))[:, None] * extractor.hop_s + one for own in self.pictures]
        return [names_in_time(own) for own in spans], spans

    def left(self, row: int, mask: Mask) -> NDArray[np.uint8]:
        """Return the pictures (frames, size, size, 3) of an utterance of which only some frames stay."""
        pictures = self.pictures[row]
        return np.where(mask[:, None, None, None], pictures, still(pictures, self.baseline))


class ModalityMasker(Masker):
    """Whole modalities; without any, all emotions have the same logit."""

    modality, baselines = "modality", ("missing",)

    def _units(self) -> Units:
        if not self.recognizer.partial:
            why = f"{self.recognizer.name} cannot do without any of {', '.join(self.recognizer.modalities)}; expected a"
            raise ValueError(f"{why} recognizer of many, such as fusion/product/ensembles. Explain the units of one.")
        names, n = tuple(name for name in MODALITIES if name in self.recognizer.modalities), len(self.corpus)
        return [names] * n, [no_spans(len(names))] * n

    def logits(self, masks: Sequence[Mask]) -> list[Logits]:
        """Predict each utterance with some modalities left; all utterances of one coalition are predicted together."""
        found = [np.zeros((len(own), len(self.recognizer.emotions))) for own in masks]
        for row, (own, names) in enumerate(zip(masks, self.names, strict=True)):
            for place, mask in enumerate(own):
                found[row][place] = self._of(self.recognizer, frozenset(compress(names, mask)))[row]
        return found

    def _of(self, recognizer: Recognizer, left: frozenset[str]) -> Logits:
        """Return centred logits (n_utterances, n_emotions) with these modalities only; 0 where nothing is left."""
        key = (id(recognizer), left & {*recognizer.modalities})
        if key in self._known:
            return self._known[key]
        part = self.corpus.without(*({*MODALITIES} - left))
        covered, logits = recognizer.covers(part), np.zeros((len(part), len(recognizer.emotions)))
        members = getattr(recognizer, "members", ())  # late fusion: members without the rest are known
        if members and covered.any():
            each = [softmax(self._of(member, left), axis=1) for member in members]
            there = [member.covers(part)[:, None] for member in members]
            each = [np.where(can, own, np.nan)[covered] for can, own in zip(there, each, strict=True)]
            logits[covered] = np.log(np.maximum(recognizer.join(each), SMALLEST_PROBABILITY))  # type: ignore[attr-defined]
        elif covered.any():
            self.n_predictions += int(covered.sum())
            logits[covered] = recognizer.logits(part.select(covered))
        self._known[key] = logits - logits.mean(axis=1, keepdims=True)
        return self._known[key]


MASKERS: tuple[type[Masker], ...] = (WordMasker, AudioMasker, FrameMasker, ModalityMasker)


def masker_for(recognizer: Recognizer, corpus: Corpus, modality: str, baseline: str | None = None) -> Masker:
    """Build the masker of one modality's units, or of the modalities.

    Args:
        recognizer: A fitted recognizer of any kind.
        corpus: The utterances; each needs the modality.
        modality: "text", "audio", "video", or "modality".
        baseline: What stands for what is removed, one of the masker's `baselines`; None takes the first.

    Raises:
        ValueError: If the recognizer has no such modality, cannot predict copies, or the baseline is unknown.
    """
    kinds = {kind.modality: kind for kind in MASKERS if kind.modality in (*recognizer.modalities, "modality")}
    if modality not in kinds:
        known = ", ".join(kinds)
        raise ValueError(f"{recognizer.name} has no units of {modality!r}; expected one of {known}. Correct the name.")
    fixed = [type(extractor).__name__ for extractor in recognizer.extractors() if not extractor.maskable]
    if modality != "modality" and fixed:
        why = f"{recognizer.name} reads {', '.join(fixed)}, which looks utterances up by id, so a copy has none;"
        raise ValueError(f'{why} expected a recognizer without. Take modality="modality", or conversation/alone/….')
    return kinds[modality](recognizer, corpus, baseline)


def face_extractor(recognizer: Recognizer) -> FaceFrames:
    """Return the extractor of face frames of a recognizer, of several the one with the largest pictures.

    Raises:
        ValueError: If it has none.
    """
    features = [extractor for extractor in recognizer.extractors() if isinstance(extractor, FaceFrames)]
    if not features:
        problem = f"{recognizer.name} reads no frames of faces; expected a recognizer that does, such as video/cnn"
        raise ValueError(f'{problem}. Explain it by method="shapley" over modalities, or by its features.')
    return max(features, key=lambda extractor: extractor.options["size"])


def still(pictures: NDArray[np.uint8], baseline: str) -> NDArray[np.uint8]:
    """Return what stands for a frame that is removed: (size, size, 3), the mean frame of a clip or grey."""
    return np.full_like(pictures[0], GREY) if baseline == "grey" else np.rint(pictures.mean(axis=0)).astype(np.uint8)


def checked_baseline(baseline: str | None, known: Sequence[str]) -> str:
    """Return the baseline, or the first known one for None; ValueError if it is unknown."""
    if baseline is not None and baseline not in known:
        raise ValueError(f"no baseline {baseline!r} here; expected one of {', '.join(known)}. Correct the name.")
    return baseline or known[0]


def mask_word(recognizer: Recognizer) -> str:
    """Return the mask token of the recognizer's tokenizer, else a word that is in no vocabulary."""
    tokenizers = [getattr(extractor, "tokenizer", None) for extractor in recognizer.extractors()]
    return next((known_token(own, SET.mask_tokens) for own in tokenizers if own), None) or SET.unknown_word


def known_token(tokenizer: Any, tokens: Sequence[str]) -> str | None:
    """Return the first of some special tokens that a tokenizer has; None where it has none."""
    return next((token for token in tokens if tokenizer.token_to_id(token) is not None), None)
