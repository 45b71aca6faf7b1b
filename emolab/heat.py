"""Figures of explanations: blue speaks for the emotion explained, orange against it, white says nothing.

As in `emolab.plots`, every function draws on `ax`, or on a new figure as wide as a notebook, and returns the axes. The
colours of a figure share one scale, even about 0. Colour never stands alone: lines, directions or numbers say the
same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, cast

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_hex, to_rgb
from matplotlib.font_manager import FontProperties
from matplotlib.gridspec import SubplotSpec
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Affine2D, ScaledTranslation, Transform
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter

from emolab.corpora.corpus import Corpus
from emolab.evaluation import cluster_draws, interval_of
from emolab.explain.explanation import Attribution, Explanation
from emolab.media import SAMPLE_RATE
from emolab.plots import (
    DYNAMIC_RANGE_DB,
    GREY,
    HOP_S,
    INK,
    N_FACES,
    PALE,
    SERIES_COLORS,
    SERIES_MARKERS,
    WIDTH,
    Look,
    Span,
    mel_axis,
    new_axes,
    style,
    text_rows,
    titled,
)

Curve = tuple[ArrayLike, ArrayLike, ArrayLike]  # mean, low and high, (n_points,) each

FOR, AGAINST = SERIES_COLORS[:2]
N_COLOURS = 257  # odd, so that 0 is white
HEAT = LinearSegmentedColormap.from_list("heat", [AGAINST, "white", FOR], N_COLOURS)
OPAQUE = 0.7  # of the strongest heat over a picture
WINGS = (
    (0.0, (*to_rgb(AGAINST), OPAQUE)),
    (0.5, (*to_rgb(AGAINST), 0)),
    (0.5, (*to_rgb(FOR), 0)),
    (1.0, (*to_rgb(FOR), OPAQUE)),
)
HEAT_OVER = LinearSegmentedColormap.from_list("heat over", WINGS, N_COLOURS)  # the same, to be laid over a picture
GREYS = LinearSegmentedColormap.from_list("greys", ["white", "#707070"])  # leaves room for the heat over it
BETTER = LinearSegmentedColormap.from_list("better", ["white", "#74b3dc"])  # black numbers can be read on all of it
N_TEXTS = 6  # drawn, where none are named
WITHIN = 0.995  # of the heat of bands or pixels lies within the scale; a few would make the others pale
SOFT = f"smoothed, the strongest {1 - WITHIN:.1%} beyond the scale".replace("%", "\N{NO-BREAK SPACE}%")
N_MARKED = 3  # words of a text that are underlined
TEXT_SIZE, HEADER_SIZE, WORD_SIZE = 10.5, 9.0, 8.5  # points: of a text, of the line above it, of words above sound
LINE, HEADER, BLOCK_GAP = 20.0, 16.0, 9.0  # points, of heights
PAD, GAP, BELOW, ABOVE = 2.5, 1.5, 4.5, 11.0  # points: in and between the boxes of words, from the base line on
RESOLUTIONS = (72, 100, 200)  # dots an inch, of screens and files
KEY_SIZE = (90.0, 8.0)  # points
LEVEL, N_LEVELS = 11.0, 6  # points, and lines of words above sound
SMOOTHING = (1.5, 1.0)  # standard deviation in frames and mel bands
FACE_SMOOTHING = 0.03  # of the width of a face
N_COLUMNS = 3  # of small panels
HEADINGS_ANGLE = 55  # degrees
HEADINGS_SINE = float(np.sin(np.deg2rad(HEADINGS_ANGLE)))
ROW = 18.0  # points, the height of a line of the table
CELL_SIZES = (5.0, 8.0)  # points, of the numbers in a table
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (5, 2, 1.5, 2)))


def facts(explanation: Explanation) -> str:
    """Say in one line where an explanation comes from; a `note` for figures of a single utterance."""
    parts = explanation.recognizer, "stand-in" * explanation.stand_in, explanation.method
    origin = f"baseline {explanation.baseline}", "synthetic sample" * explanation.synthetic
    return " · ".join(filter(None, (*parts, *origin)))


def _limit(arrays: Iterable[ArrayLike], share: float = 1.0) -> float:
    """Return the size that a share of all values stay within, 1 where that is 0: the end of a scale even about 0."""
    sizes = np.concatenate([np.abs(np.ravel(values)) for values in arrays] or [np.zeros(1)]).astype(float)
    return float(np.nanquantile(sizes, share)) or 1.0 if np.isfinite(sizes).any() else 1.0


def _signed(value: float) -> str:
    """Write a number with its sign and three digits."""
    text = f"{value:+.2f}" if 0.1 <= abs(value) < 100 or value == 0 else f"{value:+.2g}"
    return "0" if value == 0 else text.replace("-", "−")


def _key(axes: Sequence[Axes], limit: float) -> None:
    """Draw the bar of colours to the right of the axes."""
    colours = ScalarMappable(Normalize(-limit, limit), HEAT)
    bar = axes[0].figure.colorbar(colours, ax=list(axes), pad=0.02, aspect=22, ticks=[-limit, 0, limit])
    bar.outline.set_edgecolor(GREY)
    ends = f"{_signed(-limit)}\nagainst", "0", f"{_signed(limit)}\nfor"
    lowest, _, highest = bar.ax.set_yticklabels(ends, fontsize=8.5)
    lowest.set_verticalalignment("bottom")
    highest.set_verticalalignment("top")
    bar.ax.tick_params(length=0)


def _colour(value: float, limit: float, colours: LinearSegmentedColormap = HEAT) -> str:
    return to_hex(colours((value / limit + 1) / 2), keep_alpha=True)


def _points(ax: Axes) -> Transform:
    """Return the coordinates whose origin is the upper left corner of the axes, and whose unit is a point."""
    corner = ScaledTranslation(0, 1, cast(Any, ax.transAxes))
    return Affine2D().scale(1 / 72) + ax.figure.dpi_scale_trans + corner


def _size(ax: Axes) -> tuple[float, float]:
    """Return width and height of the axes as laid out, in points."""
    ax.figure.draw_without_rendering()  # type: ignore[union-attr]
    return ax.bbox.width * 72 / ax.figure.dpi, ax.bbox.height * 72 / ax.figure.dpi


def _grow(ax: Axes, points: float) -> None:
    """Make the figure higher, or lower."""
    figure = cast(Any, ax.figure)
    figure.set_figheight(figure.get_figheight() + points / 72)


def _text_width(text: str, size: float, weight: str = "normal") -> float:
    """Return the width of a text in points; coarse screens write letters a little wider or narrower than fine ones."""
    font = FontProperties(size=size, weight=weight)
    sizes = (renderer.get_text_width_height_descent(text, font, False) for renderer in _renderers())
    return max(wide * 72 / dpi for (wide, _, _), dpi in zip(sizes, RESOLUTIONS, strict=True))


@cache
def _renderers() -> list[RendererAgg]:
    return [RendererAgg(1, 1, dpi) for dpi in RESOLUTIONS]


def _cut(text: str, size: float, width: float) -> str:
    """Shorten a text that is wider than `width` points."""
    while len(text) > 1 and _text_width(text, size) > width:
        text = text[: max(1, min(len(text) - 2, int(len(text) * width / _text_width(text, size)) - 1))] + "…"
    return text


def _missing(explained: Attribution, what: str, expected: str) -> ValueError:
    return ValueError(f"{what} of {explained.utterance_id!r}; expected {expected}.")


# ---------------------------------------------------------------- text


@style()
def words(
    explanation: Explanation,
    corpus: Corpus | None = None,
    *,
    places: Sequence[int] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw texts whose words are coloured by what they add to the logit of the emotion explained.

    The three strongest words of a text are underlined, solid where they speak for the emotion, dashed where against.

    Args:
        explanation: Of text.
        corpus: Tells the true emotions and, if it is the sample, the planted words, which are framed.
        places: Of the utterances in the explanation; the first six, if not given.
        ax: Where to draw; texts that do not fit are left out and counted.

    Raises:
        ValueError: If there is no utterance to draw.
        KeyError: If the corpus lacks an utterance.
    """
    items = [explanation[place] for place in (range(len(explanation))[:N_TEXTS] if places is None else places)]
    if not items:
        raise ValueError(f"{explanation!r} and places {places}; expected an utterance at least. Name its place.")
    truth = _truth(corpus, items)
    own, ax = ax is None, ax or new_axes(4.0)
    ax.set_axis_off()
    cited = [*facts(explanation).split(" · "), f"{len(items)} of {len(explanation):,} utterances"]
    cited += ["line: strongest, solid for, dashed against", "frame: planted" * any(cues for _, cues in truth)]
    titled(ax, _words_message(items, truth), *cited)
    width, height = _size(ax)
    blocks = [_placed(item.names, width) for item in items]
    heights = [HEADER + LINE * (block[-1, 0] + 1 if len(block) else 0) + BLOCK_GAP for block in blocks]
    needed = np.cumsum([LINE + KEY_SIZE[1], *heights])
    if own:
        _grow(ax, float(needed[-1]) - height)
    n_fitting = len(items) if own else max(1, int(np.sum(needed[1:] <= height)))
    limit = _limit(item.values for item in items)
    _key_line(ax, limit, width, signed=explanation.method != "attention")
    for item, block, top, (emotion, cues) in list(zip(items, blocks, needed, truth, strict=False))[:n_fitting]:
        _write(ax, _cut(_header(item, emotion), HEADER_SIZE, width), 0, top + HEADER_SIZE, HEADER_SIZE, GREY)
        _write_words(ax, item, block, float(top) + HEADER, cues, limit)
    left_out = len(items) - n_fitting
    return titled(ax, ax.get_title("left"), *cited, f"no room for {left_out} more") if left_out else ax


def _truth(corpus: Corpus | None, items: Sequence[Attribution]) -> list[tuple[str, frozenset[int]]]:
    """Return the true emotion of each utterance and the places of its planted words; "" and none, if not known."""
    if corpus is None:
        return [("", frozenset())] * len(items)
    table = corpus.table.set_index("utterance_id")
    if lost := [item.utterance_id for item in items if item.utterance_id not in table.index]:
        raise KeyError(
            f"corpus {corpus.name!r} lacks {lost}; expected the utterances explained. Hand over their corpus."
        )
    rows = [table.loc[item.utterance_id] for item in items]
    cues = [row.get("cue_words") for row in rows]
    return [
        (str(row["emotion"]), frozenset(cue if isinstance(cue, tuple) else ()))
        for row, cue in zip(rows, cues, strict=True)
    ]


def _words_message(items: Sequence[Attribution], truth: Sequence[tuple[str, frozenset[int]]]) -> str:
    hits = [bool(cues & {int(item.order[0])}) for item, (_, cues) in zip(items, truth, strict=True) if cues]
    if len(hits) == 1:
        return f"{'A planted' if hits[0] else 'Not a planted'} word adds most"
    return f"A planted word adds most in {sum(hits)} of {len(hits)} texts" if hits else "What each word adds"


def _header(item: Attribution, emotion: str) -> str:
    logit = "" if np.isnan(item.logit) else f", logit {_signed(item.logit)}"
    return f"{item.utterance_id} · explained: {item.emotion}{logit}" + f" · in the corpus: {emotion}" * bool(emotion)


def _placed(names: Sequence[str], width: float) -> NDArray[np.float64]:
    """Break words into lines of `width` points: (n_words, 3) line from 0, left edge and width of the word's box."""
    boxes, line, left = np.zeros((len(names), 3)), 0, 0.0
    for place, name in enumerate(names):
        box = _text_width(_cut(name, TEXT_SIZE, width - 2 * PAD), TEXT_SIZE) + 2 * PAD
        if left and left + box > width:
            line, left = line + 1, 0.0
        boxes[place] = line, left, box
        left += box + GAP
    return boxes


def _write(ax: Axes, text: str, x: float, y: float, size: float, colour: str) -> None:
    """Write a text `x` points right of and `y` below the upper left corner of the axes."""
    look: Look = {"fontsize": size, "color": colour, "transform": _points(ax), "parse_math": False, "clip_on": False}
    ax.text(x, -y, text, **look)


def _write_words(
    ax: Axes, item: Attribution, boxes: NDArray[np.float64], top: float, cues: frozenset[int], limit: float
) -> None:
    """Write the words of an utterance in their boxes, `top` points below the upper edge of the axes."""
    strongest = np.argsort(-np.abs(item.values), kind="stable")[:N_MARKED]
    look: Look = {"transform": _points(ax), "clip_on": False}
    for place, (line, left, wide) in enumerate(boxes):
        value, base = float(item.values[place]), -(top + LINE * line + ABOVE)
        colour, is_cue = _colour(value, limit), place in cues
        frame: Look = {"edgecolor": INK if is_cue else "none", "linewidth": 1.3, "gid": "cue" if is_cue else "word"}
        box = Rectangle((left, base - BELOW), wide, BELOW + ABOVE, facecolor=colour, **look, **frame)
        ax.add_patch(box)
        ink = _readable(colour)
        _write(ax, _cut(item.names[place], TEXT_SIZE, wide - 2 * PAD + 0.1), left + PAD, -base, TEXT_SIZE, ink)
        if place in strongest and value:
            ends, dashes = (left + PAD, left + wide - PAD), "-" if value > 0 else (0, (2.5, 1.5))
            line_look: Look = {"color": ink, "linewidth": 1.3, "linestyle": dashes}
            ax.add_line(Line2D(ends, [base - 2.6] * 2, **look, **line_look))


def _readable(colour: str) -> str:
    """Return black or white, whichever can be read better on a colour; the contrast is at least 4.5 (WCAG 2)."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return "black" if linear @ (0.2126, 0.7152, 0.0722) > 0.179 else "white"


def _key_line(ax: Axes, limit: float, room: float, *, signed: bool = True) -> None:
    """Draw the bar of colours along the upper edge, with the names of its ends beside it, in `room` points.

    What has no sign, such as attention, speaks neither for nor against: its bar begins at nothing.
    """
    against, for_it, (wide, high) = f"against {_signed(-limit)}", f"{_signed(limit)} for", KEY_SIZE
    if not signed:
        against, for_it = "no attention", f"{limit:.2f} of it, which explains no emotion"
    left = _text_width(against, HEADER_SIZE) + 6
    wide = max(wide / 3, min(wide, room - left - _text_width(for_it, HEADER_SIZE) - 6))
    long = f"{for_it} the emotion explained"
    for_it = long if signed and _text_width(long, HEADER_SIZE) + left + wide + 6 < room else for_it
    _write(ax, against, 0, high, HEADER_SIZE, INK)
    _write(ax, for_it, left + wide + 6, high, HEADER_SIZE, INK)
    bar = ax.inset_axes((left, -high, wide, high), transform=_points(ax))
    bar.imshow(np.linspace(-1 if signed else 0, 1, 256)[None], cmap=HEAT, vmin=-1, vmax=1, aspect="auto")
    bar.set(xticks=[], yticks=[])
    bar.spines[:].set(visible=True, color=GREY)


# ---------------------------------------------------------------- sound


@style()
def sound(
    explained: Attribution,
    wave: ArrayLike,
    *,
    f0: ArrayLike | None = None,
    words: Sequence[tuple[str, float]] | None = None,
    cue: Span | None = None,
    note: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw what each stretch of sound adds, as bars, and below it the spectrogram with the heat over it.

    The heat is that of each mel band and frame where the explanation has it (its features are the 64 mel bands), else
    that of the stretches.

    Args:
        explained: One utterance; its units have spans.
        wave: (samples,), mono, 16 kHz.
        f0: (frames,) Hz, 10 ms apart, NaN where there is no voice; drawn over the spectrogram.
        words: Words and when they begin, in seconds; those without room are left out and counted.
        cue: The planted stretch, in seconds; framed.
        note: More facts, such as `facts(explanation)`.
        ax: Where to draw; of plt.subplots.

    Raises:
        ValueError: If no unit has a span.
    """
    known = np.asarray(np.isfinite(explained.spans).all(axis=1), bool)
    heard = np.asarray(wave, np.float32)
    if not known.any():
        raise _missing(explained, "no unit has a span", "seconds. Explain the sound: modality audio")
    seconds = len(heard) / SAMPLE_RATE
    own, strip = ax is None, ax or new_axes(5.2)
    picture = _below(strip)
    limit, is_fine = _heat_over_mel(picture, explained, heard, known)
    _key([strip, picture], limit)
    _bars(strip, explained, known)
    if cue is not None:
        _frame((strip, picture), cue)
    if f0 is not None:
        pitch, edge = np.asarray(f0, float), [withStroke(linewidth=3.4, foreground="white")]
        picture.plot(np.arange(len(pitch)) * HOP_S, pitch, color=INK, linewidth=1.4, path_effects=edge)
    for panel in (strip, picture):
        panel.set_xlim(0, seconds)
    cited = [
        *note.split(" · "),
        f"{explained.utterance_id}, {seconds:.2f} s",
        f"heat: bands and frames, {SOFT}" * is_fine,
    ]
    cited += ["line: f0" * (f0 is not None), "frame: planted cue" * (cue is not None)]
    cited += [f"{(~known).sum()} units without a span left out" * (not known.all())]
    titled(strip, _strongest(explained), *cited)
    left_out = _write_above(strip, picture, words, grow=own) if words else 0
    return titled(strip, _strongest(explained), *cited, f"no room for {left_out} words") if left_out else strip


def _frame(panels: Iterable[Axes], cue: Span) -> None:
    look: Look = {"edgecolor": INK, "fill": False, "linewidth": 2, "gid": "cue", "zorder": 6}
    for panel in panels:
        panel.add_patch(Rectangle((cue[0], 0), cue[1] - cue[0], 1, transform=panel.get_xaxis_transform(), **look))


def _strongest(explained: Attribution) -> str:
    """Name the unit that adds most."""
    if not np.nanmax(explained.values, initial=0) > 0:
        return f"Nothing speaks for {explained.emotion}"
    best = int(np.nanargmax(explained.values))
    start, end = explained.spans[best]
    digits = 1 if end - start > 0.05 else 2  # frames of 20 ms would seem to last no time
    name = explained.names[best] if np.isnan(start) else f"{start:.{digits}f} to {end:.{digits}f} s"
    return f"Most for {explained.emotion}: {name} ({_signed(float(explained.values[best]))})"


def _below(ax: Axes) -> Axes:
    """Give the lower part of the place of the axes, which must be of plt.subplots, to new ones on the same time."""
    halves = cast(SubplotSpec, ax.get_subplotspec()).subgridspec(2, 1, height_ratios=(3, 4))
    ax.set_subplotspec(halves[0])
    lower = ax.figure.add_subplot(halves[1], sharex=ax)
    ax.tick_params(labelbottom=False)
    return lower


def _heat_over_mel(
    ax: Axes, explained: Attribution, wave: NDArray[np.float32], known: NDArray[np.bool_]
) -> tuple[float, bool]:
    """Draw the spectrogram in greys and the heat over it; return the scale's end, and whether the heat is of bands."""
    from emolab.features.audio import N_MELS, log_mel

    level, seconds = log_mel(wave), len(wave) / SAMPLE_RATE
    edges = mel_axis(ax, level.shape[1])
    frames = (np.arange(len(level) + 1) - 0.5) * HOP_S
    darkest = float(level.max())
    ax.pcolormesh(frames, edges, level.T, cmap=GREYS, vmin=darkest - DYNAMIC_RANGE_DB, vmax=darkest, rasterized=True)
    ax.set_xlabel("seconds (darker grey: louder)")
    native = explained.native
    if native.ndim == 2 and native.shape[1] == N_MELS and not explained.native_names:
        heat = gaussian_filter(np.nan_to_num(native.astype(float)), SMOOTHING)
        limit, times = _limit([heat], WITHIN), np.linspace(0, seconds, len(heat) + 1)
        ax.pcolormesh(times, edges, heat.T, cmap=HEAT_OVER, vmin=-limit, vmax=limit, rasterized=True)
        return limit, True
    limit = _limit([explained.values[known]])
    for (start, end), value in zip(explained.spans[known], explained.values[known], strict=True):
        ax.axvspan(start, end, facecolor=_colour(value, limit, HEAT_OVER), edgecolor="none")
    return limit, False


def _bars(ax: Axes, explained: Attribution, known: NDArray[np.bool_]) -> None:
    """Draw the units' values over their spans."""
    (starts, ends), values = explained.spans[known].T, explained.values[known]
    colours = np.where(values < 0, AGAINST, FOR)
    ax.bar(starts, values, width=ends - starts, align="edge", color=colours, edgecolor="white", linewidth=0.5)
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.set_ylabel("adds to the logit")
    ax.grid(axis="y", color=PALE)


def _write_above(ax: Axes, lower: Axes, words: Iterable[tuple[str, float]], *, grow: bool) -> int:
    """Write words where they begin, above the bars, so that none covers another; return how many found no room.

    The place of the bars grows by the lines that are needed, and the figure too if it may.
    """
    (width, height), (_, below) = _size(ax), _size(lower)
    lines = _lines_of(words, width / ax.get_xlim()[1], width)
    room = LEVEL * (1 + max((line for _, _, line, _ in lines), default=-1)) + 2
    if grow:
        _grow(ax, room)
    cast(SubplotSpec, lower.get_subplotspec()).get_gridspec().set_height_ratios((height + room, below))
    share, (low, high) = min(0.8, room / _size(ax)[1]), ax.get_ylim()
    ax.set(
        ylim=(low, high + (high - low) * share / (1 - share)), yticks=[y for y in ax.get_yticks() if low <= y <= high]
    )
    for word, left, line, start in lines:
        if line >= 0:
            _write(ax, word, left, (line + 1) * LEVEL - 2.5, WORD_SIZE, INK)
            for panel, top in ((ax, 1 - share), (lower, 1.0)):
                panel.axvline(start, 0, top, color=GREY, linewidth=0.5, linestyle=":")
    return sum(line < 0 for _, _, line, _ in lines)


def _lines_of(words: Iterable[tuple[str, float]], scale: float, width: float) -> list[tuple[str, float, int, float]]:
    """Give each word, in order, its left edge in points and the first line that is free there, -1 where none is."""
    free, placed = np.zeros(N_LEVELS), []  # where each line is free from
    for word, start in words:
        wide = _text_width(word, WORD_SIZE) + 4
        left = max(0.0, min(start * scale, width - wide))
        line = int(np.argmax(free <= left)) if (free <= left).any() else -1
        if line >= 0:
            free[line] = left + wide
        placed.append((word, left + 2, line, start))
    return placed


# ---------------------------------------------------------------- faces


@style()
def faces(explained: Attribution, pictures: ArrayLike, *, note: str = "", ax: Axes | None = None) -> Axes:
    """Draw six frames of a face, the strongest among them, with the heat over them or a coloured bar below each.

    Args:
        explained: One utterance, whose units are the frames; with `native` (frames, height, width) the heat is shown.
        pictures: (frames, height, width, 3) uint8, as the model sees them.
        note: More facts, such as `facts(explained)`.
        ax: Where to draw.

    Raises:
        ValueError: If there is not one picture a unit.
    """
    seen, n = np.asarray(pictures), len(explained)
    if seen.ndim != 4 or len(seen) != n or not n:
        given = f"pictures have shape {seen.shape} for {n} units"
        raise _missing(
            explained, given, "(units, height, width, 3), a picture a unit. Take emolab.features.video.faces"
        )
    shown = _shown(explained.values)
    height, width = seen.shape[1:3]
    is_fine = explained.native.ndim == 3 and len(explained.native) == n
    heat = [_smooth(explained.native[place]) for place in shown] if is_fine else explained.values[shown]
    limit = _limit(heat, WITHIN) if is_fine else _limit([heat])
    if ax is None:
        ax = new_axes(1.5 + min(3.5, 0.85 * WIDTH * height / (width * len(shown))))
        cast(Any, ax.figure).set_layout_engine("compressed")  # the title goes with the pictures, whatever their shape
    over: Look = {"cmap": HEAT_OVER if is_fine else HEAT, "vmin": -limit, "vmax": limit}
    for number, place in enumerate(shown):
        extent = (number * 1.04, number * 1.04 + 1, height / width, 0)
        grey = seen[place].mean(axis=2) if is_fine else seen[place]  # so that no colour of the face is taken for heat
        ax.imshow(grey, cmap="gray", vmin=-80, vmax=255, extent=extent)
        if is_fine:
            ax.imshow(heat[number], extent=extent, interpolation="bilinear", **over)
        else:
            bar = (extent[0], extent[1], height / width + 0.13, height / width + 0.03)
            ax.imshow([[heat[number]]], extent=bar, **over)
            ax.add_patch(Rectangle((bar[0], bar[3]), 1, bar[2] - bar[3], fill=False, edgecolor=GREY, linewidth=0.8))
    _key([ax], limit)
    names = [_time_of(explained, place) for place in shown]
    ax.set(xticks=np.arange(len(shown)) * 1.04 + 0.5, xticklabels=names, yticks=[])
    ax.set(xlim=(0, len(shown) * 1.04 - 0.04), ylim=(height / width + 0.14 * (not is_fine), 0))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    cited = [
        *note.split(" · "),
        explained.utterance_id,
        f"{len(shown)} of {n} frames",
        f"heat: pixels, {SOFT}" * is_fine,
    ]
    cited += ["numbers: what a frame adds to the logit"]
    return titled(ax, _strongest(explained), *cited)


def _shown(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Choose at most six places, evenly, but the nearest gives way to the one that adds most."""
    shown = np.linspace(0, len(values) - 1, min(N_FACES, len(values))).round().astype(int)
    best = int(np.argmax(np.nan_to_num(values, nan=-np.inf)))
    shown[np.abs(shown - best).argmin()] = best
    return shown


def _smooth(heat: NDArray[np.float32]) -> NDArray[np.float64]:
    return gaussian_filter(np.nan_to_num(heat.astype(float)), FACE_SMOOTHING * heat.shape[1])


def _time_of(explained: Attribution, place: int) -> str:
    start = explained.spans[place, 0]
    when = explained.names[place] if np.isnan(start) else f"{start:.2f} s"
    return f"{when}\n{_signed(float(explained.values[place]))}"


# ---------------------------------------------------------------- many utterances


@style()
def modalities(
    explanations: Mapping[str, Explanation] | Explanation, corpus: Corpus | None = None, *, ax: Axes | None = None
) -> Axes:
    """Draw what each modality adds: every utterance as a faint dot, and the mean with its 95 % interval.

    Args:
        explanations: One, or several by name, whose units are modalities.
        corpus: Tells who speaks, so that the interval draws whole speakers (a bootstrap); else it draws utterances.
        ax: Where to draw.

    Raises:
        ValueError: If there is nothing to draw.
    """
    named = explanations if isinstance(explanations, Mapping) else {"": explanations}
    rows = list(dict.fromkeys(name for one in named.values() for item in one for name in item.names))
    if not rows:
        raise ValueError(f"{len(named)} explanations without units; expected modalities. Take method shapley.")
    ax, n = ax or new_axes(1.7 + (0.5 + 0.22 * (len(named) - 1)) * len(rows)), len(named)
    rng, means = np.random.default_rng(0), {}
    for number, (name, one) in enumerate(named.items()):
        look: Look = {"color": SERIES_COLORS[number % 7], "marker": SERIES_MARKERS[number % 7]}
        for row, modality in enumerate(rows):
            values, speakers = _of_unit(one, modality, corpus)
            y = row + (number - (n - 1) / 2) * 0.8 / n
            ax.scatter(values, y + rng.uniform(-0.3, 0.3, len(values)) / n, s=7, alpha=0.25, linewidths=0, **look)
            mean = _mean(values, speakers)
            means[name, modality] = mean[0]
            ax.hlines(y, mean[1], mean[2], colors=INK, linewidth=2.2, zorder=4)
            ax.scatter(mean[0], y, s=36, edgecolor=INK, zorder=5, label=name if not row else "", **look)
    ax.axvline(0, color=GREY, linewidth=1)
    text_rows(ax, rows)
    ax.set_xlabel("adds to the logit: below 0 against the emotion, above 0 for it")
    if n > 1:
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return titled(ax, _modalities_message(means), *_modalities_facts(named, corpus))


def _of_unit(one: Explanation, unit: str, corpus: Corpus | None) -> tuple[NDArray[np.float64], list[str]]:
    """Return the values of one unit in every utterance that has it, and who speaks there (or the utterance)."""
    found = [(item.values[item.names.index(unit)], item.utterance_id) for item in one if unit in item.names]
    found = [(value, key) for value, key in found if np.isfinite(value)]
    speakers = {} if corpus is None else dict(zip(corpus.table["utterance_id"], corpus.table["speaker"], strict=True))
    return np.array([value for value, _ in found]), [speakers.get(key, key) for _, key in found]


def _mean(values: NDArray[np.float64], clusters: Sequence[str]) -> tuple[float, float, float]:
    """Return the mean of (n,) values and its 95 % interval by a bootstrap over clusters; NaN where there is none."""
    if len(set(clusters)) < 2:
        return (float(values.mean()) if len(values) else np.nan), np.nan, np.nan
    cluster, weights = cluster_draws(clusters)
    sums, sizes = np.bincount(cluster, values), np.bincount(cluster)
    interval = interval_of((weights @ sums) / (weights @ sizes))
    return interval.value, interval.low, interval.high


def _modalities_message(means: Mapping[tuple[str, str], float]) -> str:
    best = max(means, key=lambda pair: np.nan_to_num(means[pair], nan=-np.inf))
    of = f" of {best[0]}" * bool(best[0])
    return f"{best[1].capitalize()}{of} adds most: {_signed(means[best])} on average"


def _modalities_facts(named: Mapping[str, Explanation], corpus: Corpus | None) -> list[str]:
    sizes = dict.fromkeys(f"{len(one):,}" for one in named.values())
    interval = "95 % interval, bootstrap of " + ("utterances" if corpus is None else "speakers")
    said = dict.fromkeys(facts(one) for one in named.values())
    many = max(map(len, named.values())) > 1
    return [*said, f"n = {' or '.join(sizes)}", "faint: utterances", interval * many]


@style()
def scorecard(
    table: pd.DataFrame, *, low_is_good: Collection[str] = (), note: str = "", ax: Axes | None = None
) -> Axes:
    """Draw a table of scores, each column coloured from its worst (white) to its best (blue, in bold).

    Args:
        table: A row a model and explainer, a column a score; NaN where it was not measured.
        low_is_good: Columns of which the lowest is best.
        note: More facts.
        ax: Where to draw.

    Raises:
        ValueError: If the table is empty or not of numbers, or lacks a column of `low_is_good`.
    """
    if unknown := [*({*low_is_good} - {*table})]:
        raise ValueError(f"no column {unknown}; expected some of {[*table]}. Correct low_is_good.")
    if not table.size or not all(pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes):
        raise ValueError(f"table {table.shape} of {[*map(str, table.dtypes)]}; expected numbers. Choose its columns.")
    scores, marks = table.to_numpy(float), ["↓" if name in low_is_good else "↑" for name in table]
    shade = _shades(scores * np.where(np.array(marks) == "↓", -1, 1))
    names = [f"{mark} {name}" for mark, name in zip(marks, table, strict=True)]
    room = HEADINGS_SINE * max(_text_width(name, HEADER_SIZE) for name in names) + 10
    own, ax = ax is None, ax or new_axes(4.0)
    ax.imshow(shade, cmap=BETTER, vmin=0, vmax=1, aspect="auto")
    text_rows(ax, [str(name) for name in table.index])
    ax.tick_params(axis="y", labelsize=8.5)
    ax.grid(False)
    ax.set_xticks([])
    ax.spines[:].set_visible(False)
    cited = [note, "each column from its worst, white, to its best, blue and bold", "↑ high is good, ↓ low is good"]
    titled(ax, "The scorecard, column by column", *cited, "–: not measured" * bool(np.isnan(scores).any()))
    if own:
        _grow(ax, room + ROW * len(table) - _size(ax)[1])
    ax.set_ylim(len(table) - 0.5, -0.5 - len(table) * room / max(_size(ax)[1] - room, 1))
    look: Look = {"rotation": HEADINGS_ANGLE, "rotation_mode": "anchor", "fontsize": HEADER_SIZE, "parse_math": False}
    for column, name in enumerate(names):
        ax.text(column, -0.65, name, **look)
    _write_cells(ax, scores, shade)
    return ax


def _shades(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bring each column of (rows, columns) from its lowest, 0, to its highest, 1; 0.5 where all are the same."""
    finite = np.where(np.isfinite(scores), scores, np.nan)
    frame = pd.DataFrame(finite)
    span = (frame.max() - frame.min()).to_numpy()
    shade = np.divide(finite - frame.min().to_numpy(), span, out=np.full(scores.shape, 0.5), where=span > 0)
    return np.where(np.isnan(finite), np.nan, shade)


def _write_cells(ax: Axes, scores: NDArray[np.float64], shade: NDArray[np.float64]) -> None:
    """Write the number into each cell, as large as the narrowest allows, and hatch those without one."""
    texts = np.column_stack([_short(column) for column in scores.T])
    widest = max(_text_width(text, CELL_SIZES[1], "bold") for text in texts.flat) / CELL_SIZES[1]
    size = float(np.clip(0.92 * _size(ax)[0] / scores.shape[1] / widest, *CELL_SIZES))
    for (row, column), score in np.ndenumerate(scores):
        if np.isnan(score):
            gap: Look = {"facecolor": "#eeeeee", "edgecolor": "#c4c4c4", "linewidth": 0, "hatch": "////", "gid": "gap"}
            ax.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, **gap))
        weight = "bold" if shade[row, column] == 1 else "normal"
        look: Look = {"ha": "center", "va": "center", "fontsize": size, "fontweight": weight, "gid": "cell"}
        ax.text(column, row, str(texts[row, column]), **look)


def _short(scores: NDArray[np.float64]) -> list[str]:
    """Write the numbers of a column with the same digits, but more where one would look like 0; "–" for NaN."""
    finite = np.abs(scores[np.isfinite(scores)])
    n_digits = _n_digits(float(finite.max(initial=0)))
    texts = [f"{score:,.{n_digits}f}" for score in scores]
    for place, score in enumerate(scores):
        if not np.isfinite(score):
            texts[place] = "–" if np.isnan(score) else "∞" if score > 0 else "-∞"
        elif score and not float(texts[place].replace(",", "")):
            size = abs(score)
            texts[place] = f"{score:.{_n_digits(size)}f}" if size >= 0.00095 else f"{score:.0e}".replace("e-0", "e-")
    return [text.replace("-", "−") for text in texts]


def _n_digits(size: float) -> int:
    """Say how many digits after the point a number of this size needs."""
    return 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.095 or not size else 3


@style()
def over_time(panels: Mapping[str, Mapping[str, Curve]], *, note: str = "", ax: Axes | None = None) -> Axes:
    """Draw curves over the time of an utterance, from its beginning, 0, to its end, 1: a small panel an emotion.

    Args:
        panels: By emotion, the curves by name, the same in each panel and in one unit, such as standard deviations:
            mean, low and high, (n_points,) each.
        note: What the band is, and on how many utterances.
        ax: The place of all panels; of plt.subplots.

    Raises:
        ValueError: If there are no panels, or they have different curves.
    """
    names = {tuple(curves) for curves in panels.values()}
    if len(names) != 1:
        raise ValueError(f"{len(panels)} panels with {len(names)} sets of curves; expected one set. Name them alike.")
    n_columns = min(N_COLUMNS, len(panels))
    n_rows = -(-len(panels) // n_columns)
    ax = ax or new_axes(1.1 + 1.5 * n_rows)
    ax.set_axis_off()
    parts = cast(SubplotSpec, ax.get_subplotspec()).subgridspec(2, 1, height_ratios=(0.01, 1))
    ax.set_subplotspec(parts[0])  # keeps title and legend
    grid = parts[1].subgridspec(n_rows, n_columns)
    first: Axes | None = None
    for number, (emotion, curves) in enumerate(panels.items()):
        panel = ax.figure.add_subplot(grid[number], sharex=first, sharey=first)
        first = first or panel
        _draw_curves(panel, curves)
        panel.set_title(emotion, fontsize=10, loc="left")
        panel.tick_params(labelleft=number % n_columns == 0, labelbottom=number + n_columns >= len(panels))
    handles, labels = cast(Axes, first).get_legend_handles_labels()
    ax.legend(handles, labels, loc="upper left", bbox_to_anchor=(0, 0), ncols=4, borderpad=0)
    listed = " and ".join(filter(None, [", ".join(labels[:-1]), labels[-1]]))
    return titled(ax, f"{listed[0].upper()}{listed[1:]} over an utterance", "0: beginning, 1: end", note)


def _draw_curves(ax: Axes, curves: Mapping[str, Curve]) -> None:
    for number, (name, (mean, low, high)) in enumerate(curves.items()):
        times = np.linspace(0, 1, len(np.asarray(mean)))
        colour, dashes = SERIES_COLORS[number % 7], DASHES[number % len(DASHES)]
        ax.fill_between(times, np.asarray(low, float), np.asarray(high, float), color=colour, alpha=0.15, linewidth=0)
        ax.plot(times, np.asarray(mean, float), color=colour, linestyle=dashes, linewidth=2, label=name)
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.set(xlim=(0, 1), xticks=[0, 0.5, 1])
    ax.grid(color=PALE)
