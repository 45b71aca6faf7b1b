"""What networks learn from: examples, padded batches of them, and small changes that make more of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Sampler

from emolab.models.steps import sequence_mask

N_POOLED = 16  # batches whose utterances are sorted by length together: little padding, yet no fixed order
N_NAMED = 5  # an error names this many offenders
FAINTEST = 1e-20  # power; where no voice is, nothing is mixed in
QUIETER_DB = 20.0  # what is mixed in is at most so far below the level that is asked for


@dataclass(frozen=True)
class Examples:
    """What a network learns from.

    Attributes:
        inputs: One list a modality, of one array an utterance: (steps, …) float, or (steps,) int for words.
        targets: (n,) int64, the number of each utterance's emotion.
        emotions: Names of the emotions, for messages; without them emotions go by number.

    Raises:
        ValueError: If counts differ, an utterance has no steps in any modality, or a value is not finite.
    """

    inputs: Sequence[Sequence[NDArray[Any]]]
    targets: NDArray[np.int64]
    emotions: Sequence[str] = ()

    def __post_init__(self) -> None:
        counts = [len(arrays) for arrays in self.inputs]
        if not counts or {*counts} != {len(self.targets)} or not counts[0]:
            raise ValueError(
                f"inputs hold {counts} arrays a modality for {len(self.targets)} targets; expected one array an "
                "utterance in each modality, and at least one utterance. Take all from the same corpus."
            )
        nothing = [all(len(arrays[place]) == 0 for arrays in self.inputs) for place in range(len(self))]
        for number, arrays in enumerate(self.inputs):
            empty = np.flatnonzero(nothing).tolist()  # one of several modalities may be missing, having no steps
            broken = [place for place, array in enumerate(arrays) if not np.isfinite(array).all()]
            for places, slip in ((empty, "have no steps"), (broken, "hold NaN or infinity")):
                if places:
                    raise ValueError(
                        f"{len(places)} arrays of inputs[{number}] {slip}, first at {places[:N_NAMED]}; expected at "
                        "least one step, all finite. Mend the features, or leave these utterances out by id."
                    )

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(n,) int64, steps of the first modality."""
        return np.array([len(array) for array in self.inputs[0]])

    def batch(self, places: Sequence[int]) -> tuple[Tensor, ...]:
        """Join some utterances: (batch, steps, …) padded with zeros and (batch,) lengths a modality, then targets."""
        columns: list[Tensor] = []
        for arrays in self.inputs:
            columns += pad([arrays[place] for place in places])
        return (*columns, torch.as_tensor(self.targets[list(places)], dtype=torch.int64))


def pad(arrays: Sequence[NDArray[Any]]) -> tuple[Tensor, Tensor]:
    """Join arrays (steps, …) in one tensor (batch, most steps, …) with their (batch,) lengths.

    Floats become float32, whole numbers int64; pictures stay uint8, an eighth of that.
    """
    lengths = [len(array) for array in arrays]
    whole = np.uint8 if arrays[0].dtype == np.uint8 else np.int64
    dtype = whole if np.issubdtype(arrays[0].dtype, np.integer) else np.float32
    joined = np.zeros((len(arrays), max(lengths), *arrays[0].shape[1:]), dtype)
    for row, array in zip(joined, arrays, strict=True):
        row[: len(array)] = array
    return torch.from_numpy(joined), torch.tensor(lengths)


class LengthBuckets(Sampler[list[int]]):
    """Batches of places; utterances of similar length meet, and each epoch mixes them anew from (seed, epoch)."""

    def __init__(self, lengths: NDArray[np.int64], batch_size: int, *, seed: int | None = None) -> None:
        self.lengths, self.batch_size, self.seed = lengths, batch_size, seed
        self.epoch, self.drop_last = 0, False

    def __len__(self) -> int:
        return math.ceil(len(self.lengths) / self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        n, size = len(self.lengths), self.batch_size
        random = None if self.seed is None else np.random.default_rng((self.seed, self.epoch))
        order = np.arange(n) if random is None else random.permutation(n)
        pool = n if random is None else N_POOLED * size
        pools = [order[start : start + pool] for start in range(0, n, pool)]
        order = np.concatenate([part[np.argsort(self.lengths[part], kind="stable")] for part in pools])
        batches = [order[start : start + size].tolist() for start in range(0, n, size)]
        if random is not None:
            last = batches[-1:]  # perhaps a short one; accelerate expects it at the end
            batches = [batches[place] for place in random.permutation(len(batches) - 1)] + last
        yield from batches


@dataclass(frozen=True)
class AudioAugmentation:
    """Small changes of a training batch's sound that leave its emotion alone: an `augment` for `fit`.

    Sound is the first modality, (batch, frames, bands), standardised, so that 0 is an ordinary level. Gain, noise and
    other voices are added in decibels of log-mel bands, which `on_scale` makes known. Every change is off by default.
    Source: SpecAugment, Park et al. 2019, and vocal tract length perturbation, Jaitly and Hinton 2013, simplified.
    """

    n_stretches: int = 0  # hidden stretches of time
    max_stretch: int = 20  # frames
    n_bands: int = 0  # hidden groups of neighbouring bands
    max_bands: int = 8
    max_shift: int = 0  # bands up or down, as in a shorter or longer vocal tract
    max_tempo: float = 0.0  # 0.1: from 10 % slower to 10 % faster, one tempo a batch
    max_delay: int = 0  # frames sooner or later; the edges last longer, what leaves is lost
    max_gain_db: float = 0.0  # louder or softer
    noise_db: float | None = None  # white noise, from QUIETER_DB below this level up to it; 0: as loud as the voice
    other_db: float | None = None  # another utterance of the batch, likewise
    mean: tuple[float, ...] = ()  # dB, of each band in training
    deviation: tuple[float, ...] = ()

    def on_scale(self, mean: NDArray[np.floating], deviation: NDArray[np.floating]) -> AudioAugmentation:
        """Return the same changes for log-mel that was standardised with these, (bands,) each."""
        return replace(self, mean=tuple(map(float, mean)), deviation=tuple(map(float, deviation)))

    def __call__(self, inputs: tuple[Tensor, ...], random: torch.Generator) -> tuple[Tensor, ...]:
        """Change the first modality of a batch; what is drawn depends on `random` alone."""
        sound, lengths, *others = inputs
        if not lengths.any():  # fusion may meet a batch without any sound
            return inputs
        if self.max_tempo:
            tempo = 1 + self.max_tempo * (2 * torch.rand((), generator=random).item() - 1)
            lengths = (lengths / tempo).long().clamp(min=1) * (lengths > 0)  # what is missing stays missing
            n_frames = max(int(lengths.max()), 1)
            sound = F.interpolate(sound.transpose(1, 2), size=n_frames, mode="linear").transpose(1, 2)
        if self.max_delay:
            moved = torch.arange(sound.shape[1]) + self._drawn(len(sound), self.max_delay, random)
            frames = torch.minimum(moved.clamp(min=0).to(lengths.device), (lengths[:, None] - 1).clamp(min=0))
            sound = sound.gather(1, frames[..., None].expand_as(sound))
        if self.max_shift:
            moved = torch.arange(sound.shape[2]) + self._drawn(len(sound), self.max_shift, random)
            bands = moved.clamp(0, sound.shape[2] - 1).to(sound.device)
            sound = sound.gather(2, bands[:, None].expand_as(sound))
        if self.max_gain_db or self.noise_db is not None or self.other_db is not None:
            sound = self._mixed(sound, lengths, random)
        for _ in range(self.n_stretches):
            sound = sound * ~_stretches(lengths, sound.shape[1], self.max_stretch, random)[:, :, None]
        all_bands = torch.full_like(lengths, sound.shape[2])
        for _ in range(self.n_bands):
            sound = sound * ~_stretches(all_bands, sound.shape[2], self.max_bands, random)[:, None]
        return (sound, lengths, *others)

    @staticmethod
    def _drawn(n: int, largest: int, random: torch.Generator) -> Tensor:
        return torch.randint(-largest, largest + 1, (n, 1), generator=random)

    def _mixed(self, sound: Tensor, lengths: Tensor, random: torch.Generator) -> Tensor:
        """Add gain, noise and other voices: powers of independent sounds add up, band by band."""
        if len(self.mean) != sound.shape[2]:
            raise ValueError(
                f"levels of {len(self.mean)} bands for sound of {sound.shape[2]}; expected the mean and deviation of "
                "each. Gain, noise and other voices need log-mel: call on_scale with those of the front end."
            )
        mean, deviation = (sound.new_tensor(values) for values in (self.mean, self.deviation))
        power = 10 ** ((sound * deviation + mean) / 10)  # (batch, frames, bands)
        real = sequence_mask(lengths, sound.shape[1])[..., None]
        voice = (power * real).sum(dim=(1, 2), keepdim=True) / (lengths.clamp(min=1)[:, None, None] * sound.shape[2])
        added = torch.zeros_like(power)
        if self.noise_db is not None:
            grain = torch.rand(power.shape, generator=random).clamp(min=1e-6).log().neg().to(power.device)
            added = voice * grain * self._softer(self.noise_db, len(sound), random).to(power.device)
        if self.other_db is not None:
            other = torch.randperm(len(sound), generator=random).to(power.device)
            share = self._softer(self.other_db, len(sound), random).to(power.device)
            added = added + (power * real)[other] * share * voice / voice[other].clamp(min=FAINTEST)
        gain = self.max_gain_db * (2 * torch.rand(len(sound), 1, 1, generator=random) - 1)
        return (10 * (power + added).log10() + gain.to(power.device) - mean) / deviation

    @staticmethod
    def _softer(loudest_db: float, n: int, random: torch.Generator) -> Tensor:
        """Draw powers (n, 1, 1) relative to the voice, at most `loudest_db`."""
        return 10 ** ((loudest_db - QUIETER_DB * torch.rand(n, 1, 1, generator=random)) / 10)


@dataclass(frozen=True)
class FaceAugmentation:
    """Small changes of a training batch's faces that leave their emotion alone: an `augment` for `fit`.

    Faces are the first modality, (batch, frames, size, size, 3) uint8; all frames of a clip are changed alike.
    """

    mirror: bool = True  # half of the clips
    max_light: float = 0.1  # each colour from a tenth darker to a tenth brighter, as skin, hair and lamps differ
    max_shift: int = 1  # pixels up, down, left or right, one shift a batch

    def __call__(self, inputs: tuple[Tensor, ...], random: torch.Generator) -> tuple[Tensor, ...]:
        """Change the first modality of a batch; what is drawn depends on `random` alone."""
        frames, *others = inputs
        shape = (len(frames), 1, 1, 1, 3)
        light = 1 + self.max_light * (2 * torch.rand(shape, generator=random) - 1)
        turned = (torch.rand(shape[:-1], generator=random)[..., None] < 0.5 * self.mirror).to(frames.device)
        shift = torch.randint(-self.max_shift, self.max_shift + 1, (2,), generator=random).tolist()
        frames = torch.where(turned, frames.flip(3), frames).roll(shift, dims=(2, 3))
        return ((frames * light.to(frames.device)).clamp(0, 255).to(torch.uint8), *others)


def _stretches(lengths: Tensor, n_places: int, longest: int, random: torch.Generator) -> Tensor:
    """Mask (batch, n_places) one stretch a row, of 0 to `longest` places, somewhere in the row's length."""
    widths = torch.randint(longest + 1, (len(lengths),), generator=random).to(lengths.device)
    room = (lengths - widths).clamp(min=0)
    starts = (torch.rand(len(lengths), generator=random).to(lengths.device) * (room + 1)).long()
    places = torch.arange(n_places, device=lengths.device)
    return (places >= starts[:, None]) & (places < (starts + widths)[:, None])
