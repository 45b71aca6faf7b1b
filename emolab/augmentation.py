"""Random changes of training batches that keep the emotion: the `augment` of `emolab.training.fit`."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from emolab.models.sequence import sequence_mask

FAINTEST = 1e-20  # power; where there is no voice, nothing is added
SMALLEST_CHANCE = 1e-6  # keeps the logarithm of a drawn number finite
RANGE_DB = 20.0  # noise and other voices are drawn from so far below the given level up to it


@dataclass(frozen=True)
class AudioAugmentation:
    """Masking, shifting, stretching and mixing of log-mel or other frames; every change is off by default.

    Audio is the first modality, (batch, frames, bands), standardized, so that 0 is an ordinary level. Gain, noise and
    other voices are added in decibels of log-mel bands, whose scale `on_scale` tells. Sources: SpecAugment, Park et al.
    2019; vocal tract length perturbation, Jaitly and Hinton 2013, simplified.
    """

    n_stretches: int = 0  # masked stretches of time
    max_stretch: int = 20  # frames
    n_bands: int = 0  # masked groups of neighbouring bands
    max_bands: int = 8
    max_shift: int = 0  # bands up or down, as in a shorter or longer vocal tract
    max_tempo: float = 0.0  # 0.1: from 10 % slower to 10 % faster, one tempo a batch
    max_delay: int = 0  # frames sooner or later; the edges last longer, what leaves is lost
    max_gain_db: float = 0.0  # louder or softer
    noise_db: float | None = None  # white noise, relative to the voice, see RANGE_DB
    other_db: float | None = None  # another utterance of the batch, likewise
    mean: tuple[float, ...] = ()  # dB, of each band in training
    deviation: tuple[float, ...] = ()

    def on_scale(self, mean: NDArray[np.floating], deviation: NDArray[np.floating]) -> AudioAugmentation:
        """Return the same changes for log-mel that was standardized with these, (bands,) each."""
        return replace(self, mean=tuple(map(float, mean)), deviation=tuple(map(float, deviation)))

    def __call__(self, inputs: tuple[Tensor, ...], random: torch.Generator) -> tuple[Tensor, ...]:
        """Change the first modality of a batch; what is drawn depends on `random` alone."""
        audio, lengths, *others = inputs
        if not lengths.any():  # fusion may get a batch without any audio
            return inputs
        if self.max_tempo:
            tempo = 1 + self.max_tempo * _drawn((), random).item()
            lengths = (lengths / tempo).long().clamp(min=1) * (lengths > 0)  # what is missing stays missing
            n_frames = max(int(lengths.max()), 1)
            audio = F.interpolate(audio.transpose(1, 2), size=n_frames, mode="linear").transpose(1, 2)
        n_bands = torch.full_like(lengths, audio.shape[2])
        if self.max_delay:
            audio = _shifted(audio, 1, lengths, self.max_delay, random)
        if self.max_shift:
            audio = _shifted(audio, 2, n_bands, self.max_shift, random)
        if self.max_gain_db or self.noise_db is not None or self.other_db is not None:
            audio = self._mixed(audio, lengths, random)
        for _ in range(self.n_stretches):
            audio = audio * ~_stretches(lengths, audio.shape[1], self.max_stretch, random)[:, :, None]
        for _ in range(self.n_bands):
            audio = audio * ~_stretches(n_bands, audio.shape[2], self.max_bands, random)[:, None]
        return (audio, lengths, *others)

    def _mixed(self, audio: Tensor, lengths: Tensor, random: torch.Generator) -> Tensor:
        """Add gain, noise and other voices: the powers of independent sounds add up, band by band."""
        if len(self.mean) != audio.shape[2]:
            raise ValueError(
                f"levels of {len(self.mean)} bands for audio of {audio.shape[2]}; expected the mean and deviation of "
                "each. Gain, noise and other voices need log-mel: call on_scale with those of the feature extractor."
            )
        mean, deviation = (audio.new_tensor(values) for values in (self.mean, self.deviation))
        real, rows = sequence_mask(lengths, audio.shape[1])[..., None], (len(audio), 1, 1)
        power = 10 ** ((audio * deviation + mean) / 10)  # (batch, frames, bands)
        voice = (power * real).sum(dim=(1, 2), keepdim=True) / (lengths.clamp(min=1)[:, None, None] * audio.shape[2])
        total = power
        if self.noise_db is not None:
            noise = -torch.rand(power.shape, generator=random).clamp(min=SMALLEST_CHANCE).log()
            level = self.noise_db - RANGE_DB * torch.rand(rows, generator=random)
            total = total + voice * (noise * 10 ** (level / 10)).to(voice)
        if self.other_db is not None:
            other = torch.randperm(len(audio), generator=random).to(power.device)
            level = self.other_db - RANGE_DB * torch.rand(rows, generator=random)
            share = (10 ** (level / 10)).to(voice) * voice / voice[other].clamp(min=FAINTEST)
            total = total + (power * real)[other] * share
        gain = self.max_gain_db * _drawn(rows, random).to(power)
        return (10 * total.log10() + gain - mean) / deviation


@dataclass(frozen=True)
class FaceAugmentation:
    """Mirroring, lighting and shifting of faces, the same for all frames of a clip.

    Faces are the first modality, (batch, frames, size, size, 3) uint8.
    """

    mirror: bool = True  # half of the clips
    max_light: float = 0.1  # each colour from a tenth darker to a tenth brighter, as skin, hair and lamps differ
    max_shift: int = 1  # pixels up, down, left or right, one shift a batch

    def __call__(self, inputs: tuple[Tensor, ...], random: torch.Generator) -> tuple[Tensor, ...]:
        """Change the first modality of a batch; what is drawn depends on `random` alone."""
        frames, *others = inputs
        shape = (len(frames), 1, 1, 1, 3)
        light = 1 + self.max_light * _drawn(shape, random)
        mirrored = (torch.rand(shape[:-1], generator=random)[..., None] < 0.5 * self.mirror).to(frames.device)
        shift = torch.randint(-self.max_shift, self.max_shift + 1, (2,), generator=random).tolist()
        frames = torch.where(mirrored, frames.flip(3), frames).roll(shift, dims=(2, 3))
        return ((frames * light.to(frames.device)).clamp(0, 255).to(torch.uint8), *others)


def _drawn(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    """Draw numbers between -1 and 1."""
    return 2 * torch.rand(shape, generator=random) - 1


def _shifted(audio: Tensor, axis: int, lengths: Tensor, largest: int, random: torch.Generator) -> Tensor:
    """Shift each item along an axis by at most `largest` places; the edges of its `lengths` are repeated."""
    places = torch.arange(audio.shape[axis]) + torch.randint(-largest, largest + 1, (len(audio), 1), generator=random)
    places = torch.minimum(places.clamp(min=0).to(lengths.device), (lengths[:, None] - 1).clamp(min=0))
    return audio.gather(axis, places.unsqueeze(3 - axis).expand_as(audio))


def _stretches(lengths: Tensor, n_places: int, longest: int, random: torch.Generator) -> Tensor:
    """Mask (batch, n_places) one stretch a row, of 0 to `longest` places, somewhere in the row's length."""
    widths = torch.randint(longest + 1, (len(lengths),), generator=random).to(lengths.device)
    room = (lengths - widths).clamp(min=0)
    starts = (torch.rand(len(lengths), generator=random).to(lengths.device) * (room + 1)).long()
    places = torch.arange(n_places, device=lengths.device)
    return (places >= starts[:, None]) & (places < (starts + widths)[:, None])
