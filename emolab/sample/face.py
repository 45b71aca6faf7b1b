"""Drawn faces of the sample corpora: brows, eyes and mouth move with the emotion, lips with the sound."""

from collections import namedtuple
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from emolab.storage import settings_beside, toml_beside

Colour = tuple[int, ...]


# What one person looks like, and how far the parts of a face move (0 at rest, 1 as far as a face goes): see cast.toml
Face = namedtuple("Face", "skin hair shirt wall style width height eye_gap brow mouth glasses beard")
Expression = namedtuple("Expression", "brow_up brow_tilt eyes mouth_curve mouth_open mouth_wide")
CAST, DESIGN = toml_beside(__file__, "cast.toml"), settings_beside(__file__, "design.toml", "face")
SIZE, SMOOTH = DESIGN.size, DESIGN.smooth
SIDE = DESIGN.drawn * SMOOTH  # pixels


def _face(looks: Mapping[str, Any]) -> Face:
    skin, hair = (CAST["colours"][looks[part]] for part in ("skin", "hair"))
    colours: Any = map(tuple, (skin, hair, looks["shirt"], looks["wall"]))
    worn = (looks.get(part, False) for part in ("glasses", "beard"))
    return Face._make([*colours, looks["style"], *looks["lengths"], *worn])


WOMEN, MEN, ACTORS = ([_face(person["face"]) for person in CAST[group]] for group in ("women", "men", "actors"))
EXPRESSIONS = {emotion: Expression(*facts["face"]) for emotion, facts in CAST["emotions"].items()}


@dataclass(frozen=True)
class Performance:
    """How a face moves through one utterance: the emotion, how strongly, and when it is at its height (seconds)."""

    emotion: str
    strength: float
    start: float
    end: float

    def level(self, time: float) -> float:
        """Return how far the expression has come at a time, from `resting` to 1."""
        rise, fall = (time - self.start) / DESIGN.onset_s + 1, (self.end - time) / DESIGN.offset_s + 1
        return self.strength * float(np.clip(min(rise, fall), DESIGN.resting, 1))


def draw_performance(rng: np.random.Generator, emotion: str, seconds: float, *, intensity: float = 1.0) -> Performance:
    """Draw when in an utterance of so many seconds a face shows its emotion, and how strongly."""
    length = seconds * rng.uniform(0.3, 0.6)
    start = rng.uniform(0.1, 0.9) * (seconds - length)
    strength = min(intensity * float(rng.uniform(0.4, 1.0)), 1.25)
    return Performance(emotion, strength, round(float(start), 3), round(float(start + length), 3))


def lips(wave: NDArray[np.float32], *, sample_rate: int, fps: int) -> NDArray[np.float64]:
    """Measure how far the lips open in each film frame: (frames,) float64, 0 shut to 1, from the sound's energy."""
    hop = sample_rate // fps
    padded = np.pad(wave.astype(np.float64), (0, -len(wave) % hop))
    level = np.sqrt(np.square(padded.reshape(-1, hop)).mean(axis=1))
    return np.sqrt(np.clip(level / max(np.quantile(level, 0.95), 1e-4), 0, 1))


def frame(face: Face, performance: Performance | None, time: float, lips: float, phase: float) -> NDArray[np.uint8]:
    """Draw one frame of a film: (SIZE, SIZE, 3) uint8.

    Args:
        face: Who is shown.
        performance: What the face does; None for somebody who listens.
        time: Seconds since the performance began.
        lips: How far the sound opens the mouth, from 0 to 1.
        phase: Seconds that set this person's blinks and sway apart from others'.
    """
    emotion = performance.emotion if performance else "neutral"
    level = round(performance.level(time) * DESIGN.n_levels) if performance else 0
    shut = (time + phase) % DESIGN.blink_every_s < DESIGN.blink_s
    picture = draw(face, emotion, level, round(lips * DESIGN.n_lips), shut)
    margin = (DESIGN.drawn - SIZE) // 2
    left = margin + round(1.4 * np.sin(0.6 * (time + phase) + 1))
    top = margin - 3 + round(1.4 * np.sin(0.9 * (time + phase)))
    return picture[top : top + SIZE, left : left + SIZE]


@lru_cache(maxsize=20_000)
def draw(face: Face, emotion: str, level: int, lips: int, shut: bool) -> NDArray[np.uint8]:
    """Draw a face and more around it than a frame shows, so that the head can sway: (drawn, drawn, 3) uint8."""
    image = Image.new("RGB", (SIDE, SIDE), face.wall)
    pen = ImageDraw.Draw(image)
    shown, scale = EXPRESSIONS[emotion], level / DESIGN.n_levels
    _draw_head(pen, face)
    for right in (-1, 1):
        _draw_eye(pen, face, right, scale * shown.eyes, shut)
        _draw_brow(pen, face, right, scale * shown.brow_up, scale * shown.brow_tilt)
    opened = max(scale * shown.mouth_open, 0.0) + 0.55 * lips / DESIGN.n_lips
    _draw_mouth(pen, face, scale * shown.mouth_curve, opened, scale * shown.mouth_wide)
    return np.asarray(image.reduce(SMOOTH))


def _box(x: float, y: float, width: float, height: float) -> list[float]:
    """Return left, top, right and bottom, in pixels, of a box around (x, y), all in shares of the picture's width."""
    return [SIDE * value for value in (x - width / 2, y - height / 2, x + width / 2, y + height / 2)]


def _pixels(points: Iterable[Sequence[float]]) -> list[tuple[float, ...]]:
    """Turn points in shares of the picture's width into pixels."""
    return [tuple(SIDE * value for value in point) for point in points]


def _draw_head(pen: ImageDraw.ImageDraw, face: Face) -> None:
    """Draw shoulders, neck, hair, head, beard and nose."""
    shade = _darker(face.skin, 0.82)
    back = {"bald": 0.0, "short": 0.04, "bob": 0.13, "long": 0.16}[face.style]
    if bottom := {"bob": 0.80, "long": 0.98}.get(face.style):
        box = [0.5 - face.width / 2 - back / 2, 0.30, 0.5 + face.width / 2 + back / 2, bottom]
        pen.rounded_rectangle([SIDE * value for value in box], radius=0.12 * SIDE, fill=face.hair)
    pen.ellipse(_box(0.5, 1.08, 0.95, 0.42), fill=face.shirt)
    pen.ellipse(_box(0.5, 0.86, 0.24, 0.22), fill=shade)
    if face.style != "bald":
        pen.ellipse(_box(0.5, 0.42, face.width + back, face.height + 0.06), fill=face.hair)
    pen.ellipse(_box(0.5, 0.53, face.width, face.height), fill=face.skin)
    if face.beard:
        pen.chord(_box(0.5, 0.60, face.width * 0.93, face.height * 0.80), 15, 165, fill=face.hair)
    if face.style != "bald":  # the fringe
        pen.chord(_box(0.5, 0.50, face.width + 0.02, face.height + 0.05), 208, 332, fill=face.hair)
    pen.polygon(_pixels([(0.5, 0.50), (0.475, 0.60), (0.525, 0.60)]), fill=shade)


def _draw_eye(pen: ImageDraw.ImageDraw, face: Face, right: int, wide: float, shut: bool) -> None:
    x, y, frame = 0.5 + right * face.eye_gap / 2, 0.49, (50, 50, 60)
    height = 0.008 if shut else 0.055 * (1 + 0.62 * wide)
    pen.ellipse(_box(x, y, 0.095, height), fill=_darker(face.skin, 0.55) if shut else (250, 250, 250))
    if not shut:
        pen.ellipse(_box(x, y, 0.042, min(0.042, height)), fill=(40, 34, 40))
    if face.glasses:
        pen.ellipse(_box(x, y, 0.155, 0.13), outline=frame, width=SMOOTH)
        pen.line(_pixels([(0.48, y), (0.52, y)]), fill=frame, width=SMOOTH, joint="curve")


def _draw_brow(pen: ImageDraw.ImageDraw, face: Face, right: int, up: float, tilt: float) -> None:
    x, y = 0.5 + right * face.eye_gap / 2, 0.425 - 0.035 * up
    inner, outer = (x - right * 0.058, y - 0.030 * tilt), (x + right * 0.062, y + 0.014 * tilt + 0.006)
    middle = ((inner[0] + outer[0]) / 2, (inner[1] + outer[1]) / 2 - 0.010)
    hair = _darker(face.hair, 0.8) if face.style != "bald" else (40, 30, 28)
    pen.line(_pixels([inner, middle, outer]), fill=hair, width=round(face.brow * SIDE), joint="curve")


def _draw_mouth(pen: ImageDraw.ImageDraw, face: Face, curve: float, opened: float, wide: float) -> None:
    """Draw the lips as two arcs through the corners; they part as the mouth opens."""
    half = face.mouth * (1 + 0.35 * wide) / 2
    x = np.linspace(-1, 1, 17)
    gap = 0.055 * min(opened, 1.1) * (1 - x**2)
    middle = 0.70 - 0.018 * curve + 0.045 * curve * (1 - x**2)  # a smile hangs down in the middle
    lip = (168, 62, 66) if sum(face.skin) > 330 else (120, 44, 50)
    for half_width, thickness, fill in ((half, 0.008, lip), (0.88 * half, 0.0, (70, 18, 26))):
        if thickness or opened > 0.12:  # else the lips touch
            outline = [*zip(x, middle - 0.35 * gap - thickness, strict=True)]
            outline += zip(x[::-1], (middle + gap + thickness)[::-1], strict=True)
            pen.polygon(_pixels((0.5 + half_width * px, py) for px, py in outline), fill=fill)


def _darker(colour: Colour, factor: float) -> Colour:
    return tuple(round(factor * part) for part in colour)
