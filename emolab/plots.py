"""Figures of corpora, sounds, training and results: data objects in, axes out; nothing is computed by a model.

Every function draws on `ax`, or on a new figure as wide as a notebook, and returns the axes. An emotion has one colour
and one marker everywhere; the title says what is seen, the grey line under it on how many utterances.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.patches import Ellipse, Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator, PercentFormatter
from numpy.typing import ArrayLike, NDArray

from emolab.corpora.corpus import Corpus
from emolab.corpora.labels import EMOTIONS

if TYPE_CHECKING:
    from emolab.evaluation import Report
    from emolab.training import History

# chosen by search: within every view, any two differ by at least 24 in CIELAB, also to colour-blind eyes
EMOTION_COLORS: Mapping[str, str] = {
    "neutral": "#747579",
    "happy": "#f1bc11",
    "excited": "#db6b22",
    "angry": "#a40209",
    "frustrated": "#693574",
    "sad": "#0642d3",
    "fearful": "#310a4e",
    "surprised": "#bf3db4",
    "disgusted": "#389250",
    "calm": "#77d0e6",
    "other": "#b3afaf",
    "undecided": "#3f3d3d",
}
EMOTION_MARKERS: Mapping[str, str] = dict(zip(EMOTION_COLORS, "os^vDPXp*<hd", strict=True))
SERIES_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#222222")  # Okabe and Ito
SERIES_MARKERS = "osD^vP*"
INK, GREY, PALE = "#222222", "#636363", "#d9d9d9"
TINTS = (0.0, 0.45, 0.75, 0.9)  # share of white in the first, second, … part of a bar
WIDTH = 8.0  # inches, of a notebook
ROW_HEIGHT = 0.36  # inches, of one line of a chart
HOP_S = 0.010  # seconds between two frames of sound
MAX_HZ = 8000  # upper end of the mel bands
HERTZ_TICKS = (100, 250, 500, 1000, 2000, 4000, 8000)
SECOND_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)
METRIC_NAMES: Mapping[str, str] = {
    "ua": "unweighted average recall (UA)",
    "wa": "accuracy (WA)",
    "weighted_f1": "weighted F1",
    "macro_f1": "macro F1",
    "ece": "expected calibration error",
}
STYLE: Mapping[str, Any] = {
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "font.size": 10,
    "font.family": "sans-serif",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.labelsize": 10,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": PALE,
    "grid.linewidth": 0.7,
}


@contextmanager
def style() -> Iterator[None]:
    """Apply the course's look inside a with block, or to a function as a decorator, and nowhere else."""
    with plt.rc_context(dict(STYLE)):
        yield


def titled(ax: Axes, title: str, *facts: str) -> Axes:
    """Write above a figure, in place of what stood there, what it says and, small and grey, the facts behind it."""
    width = ax.get_position().width * ax.get_figure(root=True).get_figwidth() if ax.figure else WIDTH
    small = textwrap.fill(" · ".join(fact for fact in facts if fact), int(width * 15), break_long_words=False)
    for text in [text for text in ax.texts if text.get_gid() == "facts"]:
        text.remove()
    n_lines = small.count("\n") + 1 if small else 0
    big = {"loc": "left", "pad": 7 + 12.5 * n_lines, "fontsize": 12, "fontweight": "bold", "color": INK}
    ax.set_title(textwrap.fill(title, int(width * 10.5), break_long_words=False), **big)
    where = {"xycoords": "axes fraction", "xytext": (0, 5), "textcoords": "offset points"}
    ax.annotate(small, (0, 1), **where, fontsize=9, color=GREY, gid="facts", annotation_clip=False)
    return ax


def tint(colour: str, white: float) -> str:
    """Mix a colour with white, from 0 (as it is) to 1 (white)."""
    return to_hex(np.array(to_rgb(colour)) * (1 - white) + white)


def _axes(height: float, **subplot: Any) -> Axes:
    figure = plt.figure(figsize=(WIDTH, height), layout="constrained")
    return figure.add_subplot(**subplot)


def _beside(ax: Axes) -> Axes:
    """Halve the place of the axes and return the new ones on the right."""
    place, figure = ax.get_subplotspec(), ax.figure
    if place is None or figure is None:
        raise ValueError("ax is not part of a grid; expected axes of plt.subplots. Give none, to get a new figure.")
    left, right = place.subgridspec(1, 2)
    ax.set_subplotspec(left)
    return figure.add_subplot(right)


def _sample(thing: Any) -> str:
    """Say so where the data are the synthetic sample."""
    synthetic = getattr(thing, "synthetic", None)
    named = str(getattr(thing, "corpus", "")).startswith("sample") if synthetic is None else synthetic
    return "synthetic sample" if named else ""


def _named(corpus: Corpus) -> str:
    view = "" if corpus.view_name == "all" else f", view {corpus.view_name}"
    return f"{corpus.name}{view}"


def _rows(ax: Axes, names: Sequence[str], *, grid: bool = True) -> None:
    """Turn the y axis into lines of text, the first on top."""
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    if grid:
        ax.grid(axis="x")


def _key(ax: Axes, names: Sequence[str], *, right: float = 1.0) -> None:
    """Name the tints of the bars in a line above the first bar."""
    ax.set_ylim(ax.get_ylim()[0], -1.25)
    across = ax.get_yaxis_transform()
    for place, name, white in zip(np.arange(len(names)) / len(names) * right, names, TINTS, strict=False):
        swatch = {"facecolor": tint(GREY, white), "edgecolor": INK, "linewidth": 0.5}
        ax.scatter([place + 0.012], [-0.85], s=80, marker="s", transform=across, clip_on=False, **swatch)
        ax.text(place + 0.03, -0.85, name, transform=across, va="center", fontsize=9)


def _given(corpus: Corpus, column: str, remedy: str) -> pd.DataFrame:
    """Return the utterances that have a value in `column`, or say what to do when none has."""
    table = corpus.table[corpus.table[column].notna()]
    if table.empty:
        raise ValueError(f"corpus {corpus.name!r} has no {column}; expected at least one utterance with it. {remedy}")
    return table


def _n_of(table: pd.DataFrame, corpus: Corpus, lack: str) -> str:
    without = len(corpus) - len(table)
    return f"n = {len(table):,}" + (f" ({without:,} without {lack} left out)" if without else "")


def _halo() -> list[Any]:
    return [withStroke(linewidth=2.5, foreground="white")]


# ---------------------------------------------------------------- corpora


@style()
def class_balance(corpus: Corpus, *, by: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw how often each emotion occurs, split by another column of the table, such as gender or part, if named."""
    if by is not None and by not in corpus.table:
        raise ValueError(f"no column {by!r} to split by; expected one of {sorted(corpus.table.columns)}. Name another.")
    ax = ax or _axes(1.4 + ROW_HEIGHT * len(corpus.emotions))
    split = corpus.table[by].astype("string").fillna("not stated") if by else pd.Series("all", corpus.table.index)
    counts = pd.crosstab(corpus.table["emotion"], split)
    counts = counts.reindex(index=list(corpus.emotions), columns=list(split.unique()), fill_value=0)
    if counts.shape[1] > len(TINTS):
        raise ValueError(f"{by} has {counts.shape[1]} values; expected at most {len(TINTS)}. Split by gender or part.")
    left, total = np.zeros(len(counts)), counts.sum(axis=1)
    for white, group in zip(TINTS, counts, strict=False):
        colours = [tint(EMOTION_COLORS[emotion], white) for emotion in corpus.emotions]
        ax.barh(range(len(counts)), counts[group], left=left, color=colours, edgecolor=INK, linewidth=0.5, height=0.7)
        left += counts[group].to_numpy()
    for row, n in enumerate(total):
        ax.text(n, row, f"  {n:,}  ({n / len(corpus):.0%})", va="center", fontsize=9.5)
    _rows(ax, corpus.emotions)
    ax.set_xlim(0, total.max() * 1.16)
    ax.set_xlabel("utterances")
    if by:
        _key(ax, [f"{group}, {counts[group].sum():,}" for group in counts])
    return titled(ax, _balance_message(total), _named(corpus), f"n = {len(corpus):,}", _sample(corpus))


def _balance_message(total: pd.Series) -> str:
    most, least, present = total.idxmax(), total[total > 0].idxmin(), total[total > 0]
    if present.max() == present.min():
        return f"All {len(present)} emotions are equally frequent"
    return f"{most} is {total[most] / total[least]:.2g} times as frequent as {least}".capitalize()


@style()
def durations(corpus: Corpus, seconds: ArrayLike | None = None, *, ax: Axes | None = None) -> Axes:
    """Draw how long the utterances of each emotion are; `seconds` (n_utterances,) replaces the table's end - start."""
    remedy = "Measure the sound files, for example with emolab.media.audio_seconds, and hand over `seconds`."
    if seconds is None:
        _given(corpus, "start", remedy)
    values = pd.Series(corpus.table["end"] - corpus.table["start"] if seconds is None else np.asarray(seconds, float))
    ax = _distributions(values, corpus, ax, logarithmic=bool(values.min() > 0 and values.max() > 5 * values.median()))
    ax.set_xlabel("seconds")
    if ax.get_xscale() == "log":
        ax.xaxis.set_major_locator(FixedLocator(SECOND_TICKS))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    message = f"Half of the utterances are shorter than {values.median():.1f} s"
    known, total = values.notna().sum(), f"{values.sum() / 3600:.1f} h in all"
    left_out = f" ({len(corpus) - known:,} without times left out)" if known < len(corpus) else ""
    facts = f"n = {known:,}{left_out}", total, "dot: median, bar: middle half", _sample(corpus)
    return titled(ax, message, _named(corpus), *facts)


@style()
def feature_by_emotion(
    values: ArrayLike, corpus: Corpus, *, name: str, unit: str = "", ax: Axes | None = None
) -> Axes:
    """Draw how one feature, (n_utterances,) in the corpus's order, is distributed in each emotion; NaN is left out."""
    series = pd.Series(np.asarray(values, float))
    ax = _distributions(series, corpus, ax)
    ax.set_xlabel(f"{name}, {unit}" if unit else name)
    medians = series.groupby(corpus.table["emotion"].to_numpy()).median()
    message = f"{name.capitalize()} is highest in {medians.idxmax()}, lowest in {medians.idxmin()} utterances"
    left_out = f" ({series.isna().sum():,} without a value left out)" if series.isna().any() else ""
    facts = f"n = {series.notna().sum():,}{left_out}", "dot: median, bar: middle half", _sample(corpus)
    return titled(ax, message, _named(corpus), *facts)


def _distributions(values: pd.Series, corpus: Corpus, ax: Axes | None, *, logarithmic: bool = False) -> Axes:
    """Draw one line an emotion: density, middle half, median, and the utterances themselves where they are few."""
    if len(values) != len(corpus):
        raise ValueError(f"{len(values)} values for {len(corpus)} utterances; expected one each, in the table's order.")
    ax = ax or _axes(1.5 + 1.3 * ROW_HEIGHT * len(corpus.emotions))
    emotion, names = corpus.table["emotion"].to_numpy(), []
    for row, name in enumerate(corpus.emotions):
        group = values[(emotion == name) & values.notna().to_numpy()].to_numpy()
        names.append(f"{name} ({len(group):,})")
        if len(group):
            _distribution(ax, row, group, name, logarithmic)
    if logarithmic:
        ax.set_xscale("log")
    _rows(ax, names)
    return ax


def _distribution(ax: Axes, row: int, group: NDArray[np.float64], name: str, logarithmic: bool) -> None:
    from scipy.stats import gaussian_kde

    colour, places = EMOTION_COLORS[name], np.log(group) if logarithmic else group
    if len(np.unique(group)) > 2:
        grid = np.linspace(places.min(), places.max(), 200)
        height = gaussian_kde(places)(grid)
        height *= 0.42 / height.max()
        x = np.exp(grid) if logarithmic else grid
        ax.fill_between(x, row - height, row + height, color=tint(colour, 0.45), edgecolor=colour, linewidth=0.6)
    if len(group) <= 60:  # more would only blacken the shape
        jitter = np.random.default_rng(0).uniform(-0.12, 0.12, len(group))
        ax.scatter(group, row + jitter, s=7, color=colour, linewidths=0, alpha=0.8)
    low, middle, high = np.quantile(group, [0.25, 0.5, 0.75])
    ax.hlines(row, low, high, color=INK, linewidth=3)
    ax.scatter([middle], [row], s=34, facecolor="white", edgecolor=INK, zorder=5)


@style()
def agreement(corpus: Corpus, *, ax: Axes | None = None) -> Axes:
    """Draw, for each emotion, which share of the annotators gave the most frequent vote."""
    table = _given(corpus, "votes", "Take a corpus with several annotators, such as IEMOCAP or the sample.")
    share = table["votes"].map(lambda votes: max(votes.values()) / sum(votes.values()))
    level = pd.cut(share, [0, 0.5, 0.999, 1], labels=["half or fewer", "more than half", "all"])
    rows = pd.crosstab(table["emotion"], level, normalize="index", dropna=False)
    rows = rows.reindex(index=list(corpus.emotions), columns=["all", "more than half", "half or fewer"], fill_value=0)
    ax, left = ax or _axes(1.7 + ROW_HEIGHT * len(rows)), np.zeros(len(rows))
    for white, name in zip(TINTS, rows, strict=False):
        colours = [tint(EMOTION_COLORS[emotion], white) for emotion in rows.index]
        bars = ax.barh(range(len(rows)), rows[name], left=left, color=colours, edgecolor=INK, linewidth=0.5, height=0.7)
        for bar, colour, part in zip(bars, colours, rows[name], strict=True):
            if part >= 0.06:  # a smaller part has no room for its number
                x, y = bar.get_x() + bar.get_width() / 2, bar.get_y() + bar.get_height() / 2
                ax.text(x, y, f"{part:.0%}", ha="center", va="center", fontsize=9, color=_readable_on(colour))
        left += rows[name].fillna(0).to_numpy()
    counts = table["emotion"].value_counts()
    _rows(ax, [f"{emotion} ({counts.get(emotion, 0):,})" for emotion in rows.index], grid=False)
    _key(ax, rows.columns)
    ax.set_xlim(0, 1)
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.set_xlabel("share of the utterances, by how many of their annotators gave the most frequent vote")
    annotators = f"{table['votes'].map(lambda votes: sum(votes.values())).median():.0f} votes an utterance (median)"
    facts = _n_of(table, corpus, "votes"), annotators, _sample(corpus)
    return titled(ax, f"All annotators agree on {(share == 1).mean():.0%} of the utterances", _named(corpus), *facts)


def _readable_on(colour: str) -> str:
    """Return the ink, dark or white, that is easier to read on a colour."""
    luminance = np.dot([0.2126, 0.7152, 0.0722], np.array(to_rgb(colour)) ** 2.2)
    return "white" if luminance < 0.18 else INK


@style()
def valence_arousal(corpus: Corpus, *, ax: Axes | None = None) -> Axes:
    """Draw the plane of valence and arousal: utterances, and the mean and spread of each emotion."""
    table = _given(corpus, "valence", "Take a corpus with ratings, such as IEMOCAP or the sample.")
    table = table[table["arousal"].notna()]
    ax = ax or _axes(5.6)
    ax.axhline(3, color=PALE, zorder=0)
    ax.axvline(3, color=PALE, zorder=0)
    jitter = np.random.default_rng(0).uniform(-0.06, 0.06, (len(table), 2))  # ratings fall on few values
    present = [emotion for emotion in corpus.emotions if (table["emotion"] == emotion).any()]
    centres = []
    for emotion in present:
        rows = (table["emotion"] == emotion).to_numpy()
        points, colour = table.loc[rows, ["valence", "arousal"]].to_numpy(), EMOTION_COLORS[emotion]
        ax.scatter(*(points + jitter[rows]).T, s=6, color=tint(colour, 0.3), alpha=0.35, linewidths=0)
        centres.append(points.mean(axis=0))
        if len(points) > 2:
            ax.add_patch(_ellipse(points, facecolor="none", edgecolor=colour, linewidth=1.8))
    for emotion, centre in zip(present, centres, strict=True):
        _mark(ax, centre, emotion, s=110)
    ax.set(xlim=(0.8, 5.2), ylim=(0.8, 5.2), xticks=range(1, 6), yticks=range(1, 6))
    ax.set(xlabel="valence, from 1 (negative) to 5 (positive)", ylabel="arousal, from 1 (calm) to 5 (excited)")
    _label_points(ax, np.array(centres), present)
    facts = _n_of(table, corpus, "ratings"), "marker: mean, ellipse: 1 standard deviation", _sample(corpus)
    return titled(ax, "Where the emotions lie between calm and excited, negative and positive", _named(corpus), *facts)


def _ellipse(points: NDArray[np.float64], **look: Any) -> Ellipse:
    """Return the ellipse that lies one standard deviation around the mean of (n, 2) points."""
    variances, axes = np.linalg.eigh(np.cov(points.T))
    angle = np.degrees(np.arctan2(axes[1, 1], axes[0, 1]))
    width, height = 2 * np.sqrt(np.maximum(variances[::-1], 1e-6))
    return Ellipse(tuple(points.mean(axis=0)), width, height, angle=angle, **look)


def _mark(ax: Axes, place: ArrayLike, emotion: str, *, s: float) -> None:
    x, y = np.asarray(place)
    look = {"color": EMOTION_COLORS[emotion], "marker": EMOTION_MARKERS[emotion], "edgecolor": "white"}
    ax.scatter([x], [y], s=s, linewidths=1.2, zorder=5, **look)


def _label_points(ax: Axes, points: NDArray[np.float64], names: Sequence[str]) -> None:
    """Write names beside (n, 2) points, each at the nearest place where it hides neither a point nor a name."""
    pixels = ax.transData.transform(points) * 72 / ax.get_figure(root=True).dpi  # typographic points
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in pixels]
    rings = [(r * np.cos(a), r * np.sin(a)) for r in (12, 22, 34, 48, 64) for a in np.arange(8) * np.pi / 4]
    for (x, y), place, name in zip(pixels, points, names, strict=True):
        width = 6.4 * len(name)
        boxes = [(x + dx - width * (dx < -1), y + dy - 7, x + dx + width * (dx >= -1), y + dy + 7) for dx, dy in rings]
        clashes = [sum(_overlap(box, other) for other in taken) for box in boxes]
        best = int(np.argmin(clashes))
        taken.append(boxes[best])
        dx, dy = rings[best]
        look = {"ha": "right" if dx < -1 else "left", "va": "center", "fontweight": "bold", "path_effects": _halo()}
        line = {"arrowstyle": "-", "color": GREY, "linewidth": 0.8, "shrinkB": 4}
        ax.annotate(
            name, place, (dx, dy), textcoords="offset points", arrowprops=line, annotation_clip=False, zorder=6, **look
        )


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0)


# ---------------------------------------------------------------- results


@style()
def confusion_matrix(report: Report, *, ax: Axes | None = None) -> Axes:
    """Draw what each emotion (a row) was taken for, in per cent of its utterances, with counts; recall is framed."""
    counts = report.confusion.to_numpy()
    n = len(counts)
    support = counts.sum(axis=1)
    share = counts / np.maximum(support, 1)[:, None]
    ax = ax or _axes(1.6 + 0.52 * n)
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, column in np.ndindex(n, n):
        ink, strong = "white" if share[row, column] > 0.55 else INK, "bold" if row == column else "normal"
        where = {"ha": "center", "color": ink, "fontweight": strong}
        ax.text(column, row - 0.02, f"{share[row, column]:.0%}", va="bottom", fontsize=10, **where)
        ax.text(column, row + 0.1, f"{counts[row, column]:,}", va="top", fontsize=8, **where)
    for place in range(n):
        ax.add_patch(Rectangle((place - 0.48, place - 0.47), 0.96, 0.94, fill=False, edgecolor=INK, linewidth=1.4))
    ax.set_xticks(range(n), report.emotions)
    ax.set_yticks(range(n), [f"{emotion} ({k:,})" for emotion, k in zip(report.emotions, support, strict=True)])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set(xlabel="recognised as", ylabel="emotion in the corpus (utterances)")
    facts = "rows in per cent, counts below", f"UA {_interval(report.metrics['ua'])}", f"n = {support.sum():,}"
    return titled(ax, _confusion_message(share, report.emotions), *facts, _sample(report))


def _confusion_message(share: NDArray[np.float64], emotions: Sequence[str]) -> str:
    off = share - np.diag(np.diag(share))
    row, column = np.unravel_index(int(off.argmax()), off.shape)
    if off.max() == 0:
        return "No emotion is taken for another"
    return f"Most often confused: {emotions[row]} taken for {emotions[column]} ({off.max():.0%})"


def _interval(score: Any) -> str:
    return f"{score.value:.2f} [{score.low:.2f}, {score.high:.2f}]"


@style()
def per_emotion(reports: Report | Mapping[str, Report], *, ax: Axes | None = None) -> Axes:
    """Draw the F1 of each emotion with its interval, for one report or several by name; grey: guessing evenly."""
    named = reports if isinstance(reports, Mapping) else {"": reports}
    emotions = _shared_emotions(named)
    ax = ax or _axes(1.5 + (0.16 + 0.2 * len(named)) * len(emotions))
    rows = np.arange(len(emotions))
    for number, (name, report) in enumerate(named.items()):
        table, y = report.per_emotion.loc[list(emotions)], rows + (number - (len(named) - 1) / 2) * 0.8 / len(named)
        colours = [SERIES_COLORS[number % 7] if name else EMOTION_COLORS[emotion] for emotion in emotions]
        ax.hlines(y, table["f1_low"], table["f1_high"], colors=colours, linewidth=2.2)
        marker = SERIES_MARKERS[number % 7] if name else "o"
        ax.scatter(table["f1"], y, s=44, c=colours, marker=marker, edgecolor="white", zorder=4)
        for row, label in enumerate([name] if name else [f"{f1:.2f}" for f1 in table["f1"]]):
            ax.annotate(label, (table["f1_high"].iloc[row], y[row]), (6, 0), **_OFFSET, va="center", fontsize=9)
    support = next(iter(named.values())).per_emotion["support"].reindex(list(emotions))
    chance = 2 * (support / support.sum()) / (len(emotions) * support / support.sum() + 1)
    ax.vlines(chance, rows - 0.42, rows + 0.42, color=GREY, linestyle=(0, (2, 1.5)), linewidth=1.3, label="chance")
    _rows(ax, [f"{emotion} ({n:,.0f})" for emotion, n in support.items()])
    ax.set_xlim(0, 1.05)
    ax.set_xlabel("F1 with 95 % interval")
    message = "How well each emotion is recognised" + (f" by {len(named)} recognizers" if len(named) > 1 else "")
    first = next(iter(named.values()))
    return titled(ax, message, f"n = {support.sum():,.0f}", "dashed: guessing every emotion evenly", _sample(first))


_OFFSET: Mapping[str, Any] = {"textcoords": "offset points", "annotation_clip": False}


def _shared_emotions(named: Mapping[str, Report]) -> tuple[str, ...]:
    vocabularies = {tuple(report.emotions) for report in named.values()}
    if len(vocabularies) != 1:
        raise ValueError(
            f"{len(named)} reports with {len(vocabularies)} sets of emotions; expected one or more reports on the same "
            "emotions. Evaluate all recognizers on the same view of the corpus."
        )
    return vocabularies.pop()


@style()
def compare_reports(
    reports: Mapping[str, Report],
    *,
    metric: Literal["ua", "wa", "weighted_f1", "macro_f1", "ece"] = "ua",
    ax: Axes | None = None,
) -> Axes:
    """Draw one score of several reports, in their order, with intervals; the dashed line is chance."""
    if not reports or metric not in METRIC_NAMES:
        raise ValueError(
            f"{len(reports)} reports, metric {metric!r}; expected at least one report and one of "
            f"{list(METRIC_NAMES)}. Hand over a dict from names to reports."
        )
    ax = ax or _axes(1.5 + ROW_HEIGHT * len(reports))
    for row, report in enumerate(reports.values()):
        score, colour = report.metrics[metric], SERIES_COLORS[0]
        ax.hlines(row, score.low, score.high, color=colour, linewidth=2.4)
        ax.scatter([score.value], [row], s=52, color=colour, edgecolor="white", zorder=4)
        ax.text(1.02, row, _interval(score), transform=ax.get_yaxis_transform(), va="center", fontsize=9.5)
        if (chance := _chance(report, metric)) is not None:
            ax.vlines(chance, row - 0.6, row + 0.6, color=GREY, linestyle=(0, (4, 2)), linewidth=1.3, label="chance")
            if row == 0:
                where = {"textcoords": "offset points", "fontsize": 9, "color": GREY, "va": "center"}
                ax.annotate("chance", (chance, -0.35), (5, 0), path_effects=_halo(), **where)
    _rows(ax, list(reports))
    highest = max(report.metrics[metric].high for report in reports.values())
    ax.set_xlim(0, min(1.0, 1.1 * highest))
    ax.set_xlabel(f"{METRIC_NAMES[metric]} with 95 % interval")
    sizes = sorted({report.n for report in reports.values()})
    best = (min if metric == "ece" else max)(reports, key=lambda name: reports[name].metrics[metric].value)
    message = f"{best} scores best" if len(reports) > 1 else best
    facts = f"n = {' to '.join(f'{n:,}' for n in {sizes[0], sizes[-1]})}", _sample(next(iter(reports.values())))
    return titled(ax, message, *facts)


def _chance(report: Report, metric: str) -> float | None:
    """Return what the better of two ignorant guessers scores: always the commonest emotion, or all evenly."""
    shares = np.sort(report.confusion.to_numpy().sum(axis=1) / report.confusion.to_numpy().sum())
    n = len(shares[shares > 0])
    top = shares[-1]
    even = 2 * shares / (len(shares) * shares + 1)  # F1 of guessing evenly
    return {
        "ua": 1 / n,
        "wa": float(top),
        "weighted_f1": float(max(shares @ even, 2 * top**2 / (1 + top))),
        "macro_f1": float(max(even[shares > 0].mean(), 2 * top / (1 + top) / n)),
    }.get(metric)


@style()
def curves(history: History, *, ax: Axes | None = None) -> Axes:
    """Draw the losses of training, and beside them the score on the validation part; the best epoch is marked."""
    loss = ax or _axes(3.4)
    score = _beside(loss)
    epochs = np.arange(1, len(history.train_loss) + 1)
    best = history.best_epoch
    for values, name, colour in (
        (history.train_loss, "training", SERIES_COLORS[0]),
        (history.valid_loss, "validation", SERIES_COLORS[1]),
    ):
        loss.plot(epochs, values, color=colour, linewidth=2, label=name)
        loss.annotate(name, (epochs[-1], values[-1]), (5, 0), **_OFFSET, va="center", color=colour, fontweight="bold")
    score.plot(epochs, history.valid_score, color=SERIES_COLORS[1], linewidth=2)
    for panel, values in ((loss, history.valid_loss), (score, history.valid_score)):
        panel.axvline(best, color=GREY, linestyle=(0, (4, 2)), linewidth=1.2)
        panel.scatter([best], [values[best - 1]], s=50, color=SERIES_COLORS[1], edgecolor="white", zorder=4)
        panel.set_xlabel("epoch")
        panel.grid(axis="y")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    titled(score, f"{history.valid_score[best - 1]:.2f} in the best epoch, {best}", "score on the validation part")
    return titled(loss, "Loss", f"{len(epochs)} epochs in {history.seconds:.0f} s, dashed: best epoch")


@style()
def feature_importance(
    names: Sequence[str], values: ArrayLike, *, top: int = 15, label: str = "importance", ax: Axes | None = None
) -> Axes:
    """Draw the features that weigh most, with their sign; `values` (n_features,) or (n_repeats, n_features).

    Of repeated measurements the mean is drawn, with a line from the lowest to the highest.
    """
    table = np.atleast_2d(np.asarray(values, float))
    if table.shape[1] != len(names) or table.ndim != 2:
        raise ValueError(
            f"values have shape {np.shape(values)} for {len(names)} names; expected (n_features,) or (n_repeats, "
            "n_features). Hand over one name a feature, in the same order."
        )
    mean = table.mean(axis=0)
    order = np.argsort(-np.abs(mean), kind="stable")[:top]
    ax = ax or _axes(1.5 + 0.3 * len(order))
    rows, signed = np.arange(len(order)), bool((mean[order] < 0).any())
    colours = [SERIES_COLORS[1] if mean[place] < 0 else SERIES_COLORS[0] for place in order]
    ax.barh(rows, mean[order], color=colours, height=0.62)
    if len(table) > 1:
        ax.hlines(rows, table[:, order].min(axis=0), table[:, order].max(axis=0), color=INK, linewidth=1.6)
    _rows(ax, [names[place] for place in order])
    if signed:
        ax.axvline(0, color=GREY, linewidth=1)
    ax.set_xlabel(label)
    share = np.abs(mean[order]).sum() / max(np.abs(mean).sum(), 1e-12)
    facts = "blue: speaks for, orange: against" if signed else "", f"line: range of {len(table)} repeats"
    message = f"{len(order)} of {len(names)} features carry {share:.0%} of the weight"
    return titled(ax, message, facts[0], facts[1] if len(table) > 1 else "")


@style()
def scatter2d(points: ArrayLike, labels: Sequence[str], *, ax: Axes | None = None) -> Axes:
    """Draw (n, 2) points of an embedding, coloured by emotion or by any other name, with each group's name at it."""
    places, names = np.asarray(points, float), np.asarray(labels, dtype=str)
    if places.shape != (len(names), 2):
        raise ValueError(
            f"points have shape {places.shape} for {len(names)} labels; expected ({len(names)}, 2). Bring them to two "
            "dimensions first, for example with sklearn.decomposition.PCA."
        )
    ax = ax or _axes(5.6)
    known = [emotion for emotion in EMOTIONS if emotion in names]
    groups = known + sorted(set(names) - set(known))
    centres = []
    for number, name in enumerate(groups):
        x, y = places[names == name].T
        look = {"color": EMOTION_COLORS.get(name, SERIES_COLORS[number % 7])}
        look["marker"] = EMOTION_MARKERS.get(name, SERIES_MARKERS[number // 7 % 7])
        ax.scatter(x, y, s=22, alpha=0.65, linewidths=0, label=name, **look)
        centres.append((np.median(x), np.median(y)))
        ax.scatter(*centres[-1], s=110, edgecolor="white", linewidths=1.2, zorder=5, **look)
    ax.set(xticks=[], yticks=[])
    ax.margins(0.06)
    ax.autoscale_view()
    _label_points(ax, np.array(centres), groups)
    return titled(ax, "Utterances that lie close together look alike to the model", f"n = {len(names):,}")


# ---------------------------------------------------------------- one utterance


@style()
def waveform(
    wave: ArrayLike, rms: ArrayLike | None = None, *, sample_rate: int = 16_000, hop_s: float = HOP_S, ax: Axes | None = None
) -> Axes:
    """Draw a wave (samples,) over seconds, and over it the level `rms` (frames,) in the same unit."""
    sound = np.asarray(wave, float)
    ax = ax or _axes(2.6)
    step = max(1, len(sound) // 4000)  # samples drawn as one stroke, from the lowest to the highest
    strokes = np.pad(sound, (0, -len(sound) % step), mode="edge").reshape(-1, step)
    seconds = np.arange(len(strokes)) * step / sample_rate
    ax.fill_between(seconds, strokes.min(axis=1), strokes.max(axis=1), color=SERIES_COLORS[5], linewidth=0.6)
    if rms is not None:
        level = np.asarray(rms, float)
        times = np.arange(len(level)) * hop_s
        ax.plot(times, level, color=SERIES_COLORS[1], linewidth=1.8)
        peak = int(level.argmax())
        look = {"color": SERIES_COLORS[1], "fontweight": "bold", "path_effects": _halo()}
        ax.annotate("level (rms)", (times[peak], level[peak]), (6, 8), **_OFFSET, **look)
    ax.set(xlim=(0, len(sound) / sample_rate), xlabel="seconds", ylabel="full scale is 1")
    ax.grid(axis="y")
    return titled(ax, "Waveform", f"{len(sound) / sample_rate:.2f} s at {sample_rate / 1000:g} kHz")


@style()
def spectrogram(
    sound: ArrayLike,
    *,
    f0: ArrayLike | None = None,
    words: Sequence[tuple[str, float, float]] = (),
    cue: tuple[float, float] | None = None,
    hop_s: float = HOP_S,
    ax: Axes | None = None,
) -> Axes:
    """Draw a log-mel spectrogram over seconds and Hz.

    Args:
        sound: (frames, n_mels), dB, or a wave (samples,), 16 kHz, whose log-mel spectrogram is taken.
        f0: (frames,) Hz, NaN where there is no voice; drawn over it.
        words: (word, start, end) in seconds; written above it.
        cue: Start and end of a stretch to point out, seconds.
        hop_s: Seconds between two frames.
        ax: Where to draw.
    """
    from emolab.features.audio import log_mel

    level = np.asarray(sound, np.float32)
    level = log_mel(level) if level.ndim == 1 else level
    ax = ax or _axes(3.8 if len(words) else 3.4)
    _mel_image(ax, level, hop_s)
    for name, show in (("f0", f0), ("cue", cue)):
        if show is not None:
            (_draw_f0 if name == "f0" else _draw_cue)(ax, show, hop_s)
    for word, start, end in words:
        look = {"ha": "center", "va": "bottom", "fontsize": 9, "transform": ax.get_xaxis_transform()}
        ax.text((start + end) / 2, 1.01, word, **look)
        ax.vlines([start, end], 0.96, 1.0, color=INK, linewidth=1, transform=ax.get_xaxis_transform(), clip_on=False)
    titled(ax, "Mel spectrogram", f"{len(level) * hop_s:.2f} s, {level.shape[1]} mel bands, brighter is louder")
    return ax
