"""Games: what a recognizer says of utterances of which only some units are left, whatever it is made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from emolab import media
from emolab.corpora.corpus import MODALITIES, Corpus
from emolab.corpora.degraded import pink_noise
from emolab.explain.units import NO_TIME, Masks, frame_spans, names_in_time, parts_of, sound_spans
from emolab.features.combined import DialogueContext
from emolab.features.video import ActionUnits, FaceFrames, faces
from emolab.late_fusion import LateFusion
from emolab.media import SAMPLE_RATE
from emolab.recognizer import UNLIKELY, Recognizer, softmax

N_ROWS = 256  # changed utterances that are judged at once; more sound would fill the memory
FADE = SAMPLE_RATE * 5 // 1000  # samples, 5 ms: a sound that is cut off hard clicks
GREY = 127  # of 255
MASK_MARKS = ("[MASK]", "<mask>")
STRANGER = "zzz"  # a word that no vocabulary has

Logits = NDArray[np.float64]  # (n_coalitions, n_emotions), less their mean over the emotions


class Masker(ABC):
    """The units of some utterances as players, and what a recognizer says when only some of them are there.

    Attributes:
        recognizer: Judges.
        corpus: The utterances.
        baseline: What stands for a unit that is taken away.
        names: For each utterance the names of its units.
        spans: For each utterance (n_units, 2) seconds from and to; NaN where there is no known time.
        n_judged: How many changed utterances were judged so far; what was asked before is remembered.
    """

    baselines: ClassVar[tuple[str, ...]]

    def __init__(self, recognizer: Recognizer, corpus: Corpus, baseline: str | None = None) -> None:
        self.recognizer, self.corpus = recognizer, corpus
        self.baseline = checked_baseline(baseline, self.baselines)
        self.n_judged = 0
        self.names, self.spans = self._units()

    @abstractmethod
    def logits(self, masks: Masks) -> list[Logits]:
        """Judge each utterance with some units left.

        Args:
            masks: For each utterance (n_coalitions, n_units) bool, true where a unit stays.

        Returns:
            For each utterance (n_coalitions, n_emotions) float64: logits less their mean, which no probability
            depends on.
        """

    def ends(self) -> tuple[Logits, Logits]:
        """Return (n_utterances, n_emotions) logits of the whole utterances, and of what is left without any unit."""
        sizes = [len(names) for names in self.names]
        both = self.logits([np.stack([np.ones(n, bool), np.zeros(n, bool)]) for n in sizes])
        return np.array([own[0] for own in both]), np.array([own[1] for own in both])

    @abstractmethod
    def _units(self) -> tuple[list[tuple[str, ...]], list[NDArray[np.float64]]]:
        """Name the units of each utterance, and say when they are."""


class CopyMasker(Masker):
    """A game in which utterances are copied, and changed where a unit is gone; what was asked before is remembered."""

    def __init__(self, recognizer: Recognizer, corpus: Corpus, baseline: str | None = None) -> None:
        super().__init__(recognizer, corpus, baseline)
        self._known: list[dict[bytes, NDArray[np.float64]]] = [{} for _ in range(len(corpus))]

    def logits(self, masks: Masks) -> list[Logits]:
        """Judge the copies that nobody has asked for yet, `N_ROWS` at a time; see `Masker.logits`."""
        asked = [(row, mask) for row, own in enumerate(masks) for mask in np.asarray(own, bool)]
        new = {(row, mask.tobytes()): mask for row, mask in asked if mask.tobytes() not in self._known[row]}
        todo = [(row, mask) for (row, _), mask in new.items()]
        for start in range(0, len(todo), N_ROWS):
            some = todo[start : start + N_ROWS]
            for (row, mask), judged in zip(some, self._judge(some), strict=True):
                self._known[row][mask.tobytes()] = judged - judged.mean()
        self.n_judged += len(todo)
        n_emotions = len(self.recognizer.emotions)
        said = [[self._known[row][mask.tobytes()] for mask in np.asarray(own, bool)] for row, own in enumerate(masks)]
        return [np.array(own).reshape(len(own), n_emotions) for own in said]

    @abstractmethod
    def _judge(self, asked: Sequence[tuple[int, NDArray[np.bool_]]]) -> NDArray[np.floating]:
        """Return logits (n, n_emotions) of pairs of an utterance's row and the (n_units,) mask of what stays."""

    def _copies(self, asked: Sequence[tuple[int, Any]]) -> tuple[Corpus, list[str]]:
        """Return a corpus of copies of the asked rows, and their new names."""
        rows = [row for row, _ in asked]
        names = [f"{name}#{number}" for number, name in enumerate(self.corpus.table["utterance_id"].iloc[rows])]
        table = self.corpus.table.iloc[rows].reset_index(drop=True).assign(utterance_id=names)
        in_memory = {
            kind: {
                name: own[key]
                for name, key in zip(names, self.corpus.table["utterance_id"].iloc[rows], strict=True)
                if key in own
            }
            for kind, own in self.corpus.in_memory.items()
        }
        return replace(self.corpus, table=table.astype({"utterance_id": "string"}), in_memory=in_memory), names


class WordMasker(CopyMasker):
    """Words of a text, as blanks part them; taken away, or replaced by a word or mark that stands for none."""

    baselines = ("leave out", "mask")

    def _units(self) -> tuple[list[tuple[str, ...]], list[NDArray[np.float64]]]:
        names = [tuple(text.split()) for text in self.corpus.texts()]
        return names, [np.full((len(own), 2), NO_TIME) for own in names]

    def _judge(self, asked: Sequence[tuple[int, NDArray[np.bool_]]]) -> NDArray[np.floating]:
        mark = mask_word(self.recognizer) if self.baseline == "mask" else ""
        texts = []
        for row, mask in asked:
            words = (word if stays else mark for word, stays in zip(self.names[row], mask, strict=True))
            texts.append(" ".join(filter(None, words)))
        corpus, _ = self._copies(asked)
        table = corpus.table.assign(text=np.array(texts, dtype=object)).astype({"text": "string"})
        return self.recognizer.logits(replace(corpus, table=table))


class MediaMasker(CopyMasker):
    """Sound or faces, of which what is left is held in memory."""

    sense: ClassVar[Literal["audio", "video"]]

    def _judge(self, asked: Sequence[tuple[int, NDArray[np.bool_]]]) -> NDArray[np.floating]:
        corpus, names = self._copies(asked)
        left = {name: self.left(row, mask) for name, (row, mask) in zip(names, asked, strict=True)}
        return self.recognizer.logits(corpus.with_media(**{self.sense: left}))

    @abstractmethod
    def left(self, row: int, mask: NDArray[np.bool_]) -> NDArray[Any]:
        """Return the sound or the pictures of an utterance of which only some units stay."""


class AudioMasker(MediaMasker):
    """Stretches of 100 ms of a sound; silenced, or replaced by noise as loud as the whole utterance."""

    baselines, sense = ("silence", "noise"), "audio"

    def _units(self) -> tuple[list[tuple[str, ...]], list[NDArray[np.float64]]]:
        self.waves = [media.read_audio(path) for path in self.corpus.audio_paths()]
        spans = [sound_spans(len(wave) / SAMPLE_RATE) for wave in self.waves]
        return [names_in_time(own) for own in spans], spans

    def left(self, row: int, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return the sound (samples,) of an utterance of which only some stretches stay."""
        wave = self.waves[row]
        if mask.all():
            return wave
        edges = np.rint(np.append(self.spans[row][:, 0], self.spans[row][-1, 1]) * SAMPLE_RATE).astype(int)
        edges[-1] = len(wave)
        gain = uniform_filter1d(np.repeat(mask.astype(np.float32), np.diff(edges)), FADE)
        if self.baseline == "silence":
            return wave * gain
        noise = pink_noise(max(len(wave), SAMPLE_RATE), np.random.default_rng(row))[: len(wave)]
        noise *= np.sqrt(np.square(wave, dtype=np.float64).mean() / np.square(noise).mean())
        return (wave * gain + noise * (1 - gain)).astype(np.float32)


class FrameMasker(MediaMasker):
    """Frames of a face, at the pace at which the model sees them; replaced by the clip's mean frame, or by grey."""

    baselines, sense = ("mean", "grey"), "video"

    def _units(self) -> tuple[list[tuple[str, ...]], list[NDArray[np.float64]]]:
        extractor = face_front(self.recognizer)
        self.pictures = [face.pictures for face in faces(self.corpus, **extractor.options)]
        spans = [frame_spans(len(own), extractor.hop_s) for own in self.pictures]
        return [names_in_time(own) for own in spans], spans

    def left(self, row: int, mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Return the pictures (frames, size, size, 3) of an utterance of which only some frames stay."""
        pictures = self.pictures[row]
        instead = np.rint(pictures.mean(axis=0)) if self.baseline == "mean" else np.full(pictures.shape[1:], GREY)
        return np.where(mask[:, None, None, None], pictures, instead.astype(np.uint8))


class ModalityMasker(Masker):
    """Whole modalities; what is left of nothing at all is an answer that makes all emotions alike."""

    baselines = ("missing",)

    def __init__(self, recognizer: Recognizer, corpus: Corpus, baseline: str | None = None) -> None:
        if not recognizer.partial:
            raise ValueError(
                f"{recognizer.name} cannot do without any of {', '.join(recognizer.modalities)}; expected a recognizer "
                "of several modalities that can, such as fusion/product/ensembles. Explain the units of one modality."
            )
        self._said: dict[tuple[int, frozenset[str]], Logits] = {}
        super().__init__(recognizer, corpus, baseline)

    def _units(self) -> tuple[list[tuple[str, ...]], list[NDArray[np.float64]]]:
        self.players = tuple(m for m in MODALITIES if m in self.recognizer.modalities)
        spans = np.full((len(self.players), 2), NO_TIME)
        return [self.players] * len(self.corpus), [spans] * len(self.corpus)

    def logits(self, masks: Masks) -> list[Logits]:
        """Judge each utterance with some modalities left; those that ask for the same ones are judged together."""
        judged = [np.zeros((len(own), len(self.recognizer.emotions))) for own in masks]
        rows: dict[frozenset[str], list[tuple[int, int]]] = {}
        for row, own in enumerate(masks):
            for place, mask in enumerate(own):
                here = frozenset(name for name, stays in zip(self.players, mask, strict=True) if stays)
                rows.setdefault(here, []).append((row, place))
        for here, places in rows.items():
            said = self._of(self.recognizer, here)
            for row, place in places:
                judged[row][place] = said[row]
        return judged

    def _of(self, recognizer: Recognizer, here: frozenset[str]) -> Logits:
        """Return centred logits (n_utterances, n_emotions) with these modalities only; 0 where nothing is left."""
        key = (id(recognizer), here & {*recognizer.modalities})
        if key not in self._said:
            if isinstance(recognizer, LateFusion):  # members that share no missing modality need not judge again
                said = [self._probabilities(member, here) for member in recognizer.members]
                heard = np.asarray(~np.isnan(said).any(axis=2).all(axis=0))
                joined = recognizer.join([own[heard] for own in said]) if heard.any() else np.ones((0, 1))
                self._said[key] = self._spread(heard, _centred_logs(joined))
            else:
                part = self.corpus.without(*({*MODALITIES} - here))
                heard = recognizer.covers(part)
                self.n_judged += int(heard.sum())
                logits = (
                    recognizer.logits(part.select(heard)) if heard.any() else np.zeros((0, len(recognizer.emotions)))
                )
                self._said[key] = self._spread(heard, logits - logits.mean(axis=1, keepdims=True))
        return self._said[key]

    def _probabilities(self, member: Recognizer, here: frozenset[str]) -> Logits:
        """Return what a member says with these modalities only, NaN in the rows that it cannot judge."""
        logits = self._of(member, here)
        silent = ~member.covers(self.corpus.without(*({*MODALITIES} - here)))
        return np.where(silent[:, None], np.nan, softmax(logits))

    def _spread(self, heard: NDArray[np.bool_], logits: Logits) -> Logits:
        spread = np.zeros((len(self.corpus), len(self.recognizer.emotions)))
        spread[heard] = logits
        return spread


def masker_for(recognizer: Recognizer, corpus: Corpus, modality: str, baseline: str | None = None) -> Masker:
    """Make the game of one modality's units, or of the modalities.

    Args:
        recognizer: A fitted recognizer of any kind.
        corpus: The utterances; each needs the modality.
        modality: "text", "audio", "video", or "modality".
        baseline: What stands for what is taken away, one of the game's `baselines`; None takes the first.

    Raises:
        ValueError: If the recognizer has no such modality, judges whole conversations, or the baseline is unknown.
    """
    kinds: Mapping[str, type[Masker]] = {"text": WordMasker, "audio": AudioMasker, "video": FrameMasker}
    kinds = {name: kind for name, kind in kinds.items() if name in recognizer.modalities} | {"modality": ModalityMasker}
    if modality not in kinds:
        raise ValueError(
            f"{recognizer.name} has no units of {modality!r}; expected one of {', '.join(kinds)}. Correct the name."
        )
    if modality != "modality" and any(isinstance(extractor, DialogueContext) for extractor in parts_of(recognizer)):
        raise ValueError(
            f"{recognizer.name} judges turns by their dialogue, so a copy without a word is no turn of it; expected "
            'modality="modality". Explain the recognizer of single turns, conversation/alone/….'
        )
    if modality != "modality" and any(isinstance(extractor, ActionUnits) for extractor in parts_of(recognizer)):
        raise ValueError(
            f"{recognizer.name} reads action units, which a table gives for recordings by name, and a changed copy has "
            f"none; expected a recognizer without. Explain its member that reads {modality} alone, or the modalities."
        )
    return kinds[modality](recognizer, corpus, baseline)


def _centred_logs(probabilities: Logits) -> Logits:
    logs = np.log(np.maximum(probabilities, UNLIKELY))
    return logs - logs.mean(axis=1, keepdims=True)


def face_front(recognizer: Recognizer) -> FaceFrames:
    """Return the front end by which a recognizer sees frames of faces, of several the one with the largest.

    Raises:
        ValueError: If it has none.
    """
    features = [extractor for extractor in parts_of(recognizer) if isinstance(extractor, FaceFrames)]
    if not features:
        raise ValueError(
            f"{recognizer.name} sees no frames of faces; expected a recognizer that does, such as video/cnn. "
            'Explain it by method="shapley" over modalities, or by its features.'
        )
    return max(features, key=lambda extractor: extractor.options["size"])


def checked_baseline(baseline: str | None, known: Sequence[str]) -> str:
    """Return the baseline, or the first known one for None; ValueError if it is unknown."""
    if baseline is not None and baseline not in known:
        raise ValueError(f"no baseline {baseline!r} here; expected one of {', '.join(known)}. Correct the name.")
    return baseline or known[0]


def mask_word(recognizer: Recognizer) -> str:
    """Return what stands for no word: the mask of the recognizer's tokenizer, else a word that nobody knows."""
    for extractor in parts_of(recognizer):
        if getattr(extractor, "tokenizer_json", ""):
            known = extractor.tokenizer
            return next((mark for mark in MASK_MARKS if known.token_to_id(mark) is not None), STRANGER)
    return STRANGER
