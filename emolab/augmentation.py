"""Random changes of training batches that keep the emotion: the `augment` of `emolab.training.fit`."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class AudioAugmentation:
    """Masking, shifting and stretching of log-mel or other frames; every change is off by default.

    Audio is the first modality, (batch, frames, bands), standardized, so that 0 is an ordinary level. Sources:
    SpecAugment, Park et al. 2019; vocal tract length perturbation, Jaitly and Hinton 2013, simplified.
    """

    n_stretches: int = 0  # masked stretches of time
    max_stretch: int = 20  # frames
    n_bands: int = 0  # masked groups of neighbouring bands
    max_bands: int = 8
    max_shift: int = 0  # bands up or down, as in a shorter or longer vocal tract; the outermost bands are repeated
    max_tempo: float = 0.0  # 0.1: from 10 % slower to 10 % faster, one tempo a batch

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
        if self.max_shift:
            shifts = torch.randint(-self.max_shift, self.max_shift + 1, (len(audio), 1), generator=random)
            places = (torch.arange(audio.shape[2]) + shifts).clamp(0, audio.shape[2] - 1).to(audio.device)
            audio = audio.gather(2, places[:, None].expand_as(audio))
        for _ in range(self.n_stretches):
            audio = audio * ~_stretches(lengths, audio.shape[1], self.max_stretch, random)[:, :, None]
        for _ in range(self.n_bands):
            audio = audio * ~_stretches(n_bands, audio.shape[2], self.max_bands, random)[:, None]
        return (audio, lengths, *others)


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


def _stretches(lengths: Tensor, n_places: int, longest: int, random: torch.Generator) -> Tensor:
    """Mask (batch, n_places) one stretch a row, of 0 to `longest` places, somewhere in the row's length."""
    widths = torch.randint(longest + 1, (len(lengths),), generator=random).to(lengths.device)
    room = (lengths - widths).clamp(min=0)
    starts = (torch.rand(len(lengths), generator=random).to(lengths.device) * (room + 1)).long()
    places = torch.arange(n_places, device=lengths.device)
    return (places >= starts[:, None]) & (places < (starts + widths)[:, None])
