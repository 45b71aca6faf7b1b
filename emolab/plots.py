"""Figures of corpora, sounds, training and results: data objects in, axes out; nothing is computed by a model.

Every function draws on `ax`, or on a new figure as wide as a notebook, and returns the axes. An emotion has one colour
and one marker everywhere; the title says what is seen, the grey line under it on how many utterances, and whether they
are the synthetic sample. Where only arrays are handed in, `note` says so.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, cast
from zlib import crc32

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.projections.polar import PolarAxes
from matplotlib.ticker import MaxNLocator, NullLocator, PercentFormatter
from numpy.typing import ArrayLike, NDArray

from emolab.corpora.corpus import Corpus
from emolab.corpora.labels import EMOTIONS

if TYPE_CHECKING:
    from emolab.evaluation import CrossValidation, Report
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
DYNAMIC_RANGE_DB = 80  # below the loudest sound of a spectrogram everything is black
HERTZ_TICKS = (0, 250, 500, 1000, 2000, 4000, 8000)
STYLE: Mapping[str, Any] = {
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
}


Look = dict[str, Any]  # keyword arguments of a drawing function
_OFFSET: Look = {"textcoords": "offset points", "annotation_clip": False}


@contextmanager
def style() -> Iterator[None]:
    """Apply the course's look inside a with block, or to a function as a decorator, and nowhere else."""
    with plt.rc_context(cast(Any, STYLE)):
        yield


def titled(ax: Axes, title: str, *facts: str, loc: Literal["left", "center"] = "left") -> Axes:
    """Write above a figure, in place of what stood there, what it says and, small and grey, the facts behind it."""
    width = ax.get_position().width * _figure(ax).bbox.width / _figure(ax).dpi  # inches
    small = textwrap.fill(" · ".join(fact for fact in facts if fact), int(width * 13.5), break_long_words=False)
    for text in [text for text in ax.texts if text.get_gid() == "facts"]:
        text.remove()
    n_lines = small.count("\n") + 1 if small else 0
    big: Look = {"loc": loc, "pad": 7 + 12.5 * n_lines, "fontsize": 12, "fontweight": "bold", "color": INK}
    ax.set_title(textwrap.fill(title, int(width * 10), break_long_words=False), **big)
    where: Look = {"xycoords": "axes fraction", "xytext": (0, 5), "textcoords": "offset points"}
    ax.annotate(small, (0, 1), **where, fontsize=9, color=GREY, gid="facts", annotation_clip=False)
    for side in {"top", "right"} & set(ax.spines):  # axes handed in may have been made in another style
        ax.spines[side].set_visible(False)
    ax.set_axisbelow(True)
    return ax


def _grid(ax: Axes, axis: Literal["x", "y"]) -> None:
    ax.grid(axis=axis, color=PALE, linewidth=0.7)


def _percent(share: float) -> str:
    return f"{'< 1' if 0 < share < 0.005 else round(100 * share)}\N{NO-BREAK SPACE}%"


def tint(colour: str, white: float) -> str:
    """Mix a colour with white, from 0 (as it is) to 1 (white)."""
    red, green, blue = (part * (1 - white) + white for part in to_rgb(colour))
    return to_hex((red, green, blue))


def _axes(height: float, **subplot: Any) -> Axes:
    figure = plt.figure(figsize=(WIDTH, height), layout="constrained")
    return figure.add_subplot(**subplot)


def _beside(ax: Axes) -> Axes:
    """Halve the place of the axes and return the new ones on the right."""
    if (place := ax.get_subplotspec()) is None:
        raise ValueError("ax is not part of a grid; expected axes of plt.subplots. Give none, to get a new figure.")
    halves = place.subgridspec(1, 2)
    ax.set_subplotspec(halves[0])
    return _figure(ax).add_subplot(halves[1])


def _figure(ax: Axes) -> Figure:
    return cast(Figure, ax.figure)


def _named(corpus: Corpus) -> str:
    view = "" if corpus.view_name == "all" else f", view {corpus.view_name}"
    return f"{corpus.name}{view}" + (" · synthetic sample" if corpus.synthetic else "")


def _tested(reports: Iterable[Report | CrossValidation]) -> str:
    """Say on what, and on how many, the reports were measured."""
    ones = [_one(report) for report in reports]
    corpora = ", ".join(dict.fromkeys(one.corpus + (" (synthetic sample)" if one.synthetic else "") for one in ones))
    sizes = " or ".join(dict.fromkeys(f"{one.n:,}" for one in ones))
    return f"{corpora} · n = {sizes}" if corpora else f"n = {sizes}"


def _one(report: Report | CrossValidation) -> Report:
    """Return the report, or the first seed's of a cross-validation."""
    return cast("Report", next(iter(report.reports.values()))) if hasattr(report, "reports") else cast("Report", report)


def _rows(ax: Axes, names: Sequence[str], *, grid: bool = True) -> None:
    """Turn the y axis into lines of text, the first on top."""
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    if grid:
        _grid(ax, "x")


def _key(ax: Axes, names: Sequence[str]) -> None:
    """Name the tints of the bars in a line above the first bar."""
    ax.set_ylim(ax.get_ylim()[0], -1.25)
    across = ax.get_yaxis_transform()
    for place, name, white in zip(np.arange(len(names)) / len(names), names, TINTS, strict=False):
        swatch: Look = {"facecolor": tint(GREY, white), "edgecolor": INK, "linewidth": 0.5}
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
    split = corpus.table[by].astype("string").fillna("not stated") if by else pd.Series("all", corpus.table.index)
    counts = pd.crosstab(corpus.table["emotion"], split)
    counts = counts.reindex(index=list(corpus.emotions), columns=list(split.unique()), fill_value=0)
    if counts.shape[1] > len(TINTS):
        raise ValueError(f"{by} has {counts.shape[1]} values; expected at most {len(TINTS)}. Split by gender or part.")
    ax = ax or _axes(1.4 + ROW_HEIGHT * len(corpus.emotions))
    left, total = np.zeros(len(counts)), counts.sum(axis=1)
    for white, group in zip(TINTS, counts, strict=False):
        colours = [tint(_look(emotion)["color"], white) for emotion in corpus.emotions]
        ax.barh(range(len(counts)), counts[group], left=left, color=colours, edgecolor=INK, linewidth=0.5, height=0.7)
        left += counts[group].to_numpy()
    for row, n in enumerate(total):
        ax.text(n, row, f"  {n:,}  ({_percent(n / len(corpus))})", va="center", fontsize=9.5)
    _rows(ax, corpus.emotions)
    width = ax.get_position().width * _figure(ax).bbox.width / _figure(ax).dpi
    ax.set_xlim(0, total.max() / (1 - min(0.5, 1.05 / width)))  # an inch for the numbers
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.set_xlabel("utterances")
    if by:
        _key(ax, [f"{group}, {counts[group].sum():,}" for group in counts])
    return titled(ax, _balance_message(total), _named(corpus), f"n = {len(corpus):,}")


def _balance_message(total: pd.Series) -> str:
    present = total[total > 0]
    if present.max() == present.min():
        return f"All {len(present)} emotions are equally frequent"
    most = present.idxmax() if (present == present.max()).sum() == 1 else "the commonest"
    return f"{present.idxmin().capitalize()} is rarest: {most} is {present.max() / present.min():.2g} times as frequent"


@style()
def durations(corpus: Corpus, seconds: ArrayLike | None = None, *, ax: Axes | None = None) -> Axes:
    """Draw how long the utterances of each emotion are; `seconds` (n_utterances,) replaces the table's end - start."""
    remedy = "Measure the sound files, for example with emolab.media.audio_seconds, and hand over `seconds`."
    if seconds is None:
        _given(corpus, "start", remedy)
    values = pd.Series(corpus.table["end"] - corpus.table["start"] if seconds is None else np.asarray(seconds, float))
    longest = float(values.quantile(0.995))
    beyond = values > (longest if values.max() > 2 * longest else np.inf)  # a few huge ones would squash all others
    ax = _distributions(values.mask(beyond), corpus, ax)
    ax.set_xlabel("seconds")
    known, lost = values.notna().sum(), values.isna().sum()
    facts = f"n = {known:,}" + (f" ({lost:,} without times left out)" if lost else ""), "dot: median, bar: middle half"
    outliers = f"{beyond.sum()} of {longest:.0f} s to {values.max():.0f} s not drawn" if beyond.any() else ""
    message = f"Half of the utterances are shorter than {values.median():.1f} s; {values.sum() / 3600:.1f} h in all"
    return titled(ax, message, _named(corpus), *facts, outliers)


@style()
def feature_by_emotion(values: ArrayLike, corpus: Corpus, *, name: str, unit: str = "", ax: Axes | None = None) -> Axes:
    """Draw how one feature, (n_utterances,) in the corpus's order, is distributed in each emotion; NaN is left out."""
    series = pd.Series(np.asarray(values, float))
    ax = _distributions(series, corpus, ax)
    ax.set_xlabel(f"{name}, {unit}" if unit else name)
    medians = series.groupby(corpus.table["emotion"].to_numpy()).median()
    message = f"{name.capitalize()} is highest in {medians.idxmax()}, lowest in {medians.idxmin()} utterances"
    left_out = f" ({series.isna().sum():,} without a value left out)" if series.isna().any() else ""
    facts = f"n = {series.notna().sum():,}{left_out}", "dot: median, bar: middle half"
    return titled(ax, message, _named(corpus), *facts)


def _distributions(values: pd.Series, corpus: Corpus, ax: Axes | None) -> Axes:
    """Draw one line an emotion: density, middle half, median, and the utterances themselves where they are few."""
    if len(values) != len(corpus):
        raise ValueError(f"{len(values)} values for {len(corpus)} utterances; expected one each, in the table's order.")
    ax = ax or _axes(1.5 + 1.3 * ROW_HEIGHT * len(corpus.emotions))
    emotion, names = corpus.table["emotion"].to_numpy(), []
    for row, name in enumerate(corpus.emotions):
        group = values[(emotion == name) & values.notna().to_numpy()].to_numpy()
        names.append(f"{name} ({len(group):,})")
        if len(group):
            _distribution(ax, row, group, _look(name)["color"])
    _rows(ax, names)
    return ax


def _distribution(ax: Axes, row: int, group: NDArray[np.float64], colour: str) -> None:
    from scipy.stats import gaussian_kde

    if len(np.unique(group)) > 2:
        grid = np.linspace(group.min(), group.max(), 200)
        height = gaussian_kde(group)(grid)
        height *= 0.42 / height.max()
        ax.fill_between(grid, row - height, row + height, color=tint(colour, 0.45), edgecolor=colour, linewidth=0.6)
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
        colours = [tint(_look(emotion)["color"], white) for emotion in rows.index]
        bars = ax.barh(range(len(rows)), rows[name], left=left, color=colours, edgecolor=INK, linewidth=0.5, height=0.7)
        for bar, colour, part in zip(bars, colours, rows[name], strict=True):
            if part >= 0.06:  # a smaller part has no room for its number
                x, y = bar.get_x() + bar.get_width() / 2, bar.get_y() + bar.get_height() / 2
                ax.text(x, y, _percent(part), ha="center", va="center", fontsize=9, color=_readable_on(colour))
        left += rows[name].fillna(0).to_numpy()
    counts = table["emotion"].value_counts()
    _rows(ax, [f"{emotion} ({counts.get(emotion, 0):,})" for emotion in rows.index], grid=False)
    _key(ax, rows.columns)
    ax.set_xlim(0, 1)
    ax.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    ax.set_xlabel("share of the utterances, by how many of their annotators gave the most frequent vote")
    annotators = f"{table['votes'].map(lambda votes: sum(votes.values())).median():.0f} votes an utterance (median)"
    facts = _n_of(table, corpus, "votes"), annotators
    return titled(
        ax, f"All annotators agree on {_percent((share == 1).mean())} of the utterances", _named(corpus), *facts
    )


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
        points, colour = table.loc[rows, ["valence", "arousal"]].to_numpy(), _look(emotion)["color"]
        x, y = (points + jitter[rows]).T
        ax.scatter(x, y, s=6, color=tint(colour, 0.3), alpha=0.35, linewidths=0)
        centres.append(points.mean(axis=0))
        if len(points) > 2:
            ax.add_patch(_ellipse(points, facecolor="none", edgecolor=colour, linewidth=1.8))
    for emotion, centre in zip(present, centres, strict=True):
        ax.scatter(centre[:1], centre[1:], s=120, edgecolor=INK, linewidths=0.8, zorder=5, **_look(emotion))
    ax.set(xlim=(0.8, 5.2), ylim=(0.8, 5.2), xticks=range(1, 6), yticks=range(1, 6))
    ax.set(xlabel="valence, from 1 (negative) to 5 (positive)", ylabel="arousal, from 1 (calm) to 5 (excited)")
    _label_points(ax, np.array(centres), present)
    facts = _n_of(table, corpus, "ratings"), "marker: mean, ellipse: 1 standard deviation"
    return titled(ax, "Where the emotions lie in valence and arousal", _named(corpus), *facts)


def _ellipse(points: NDArray[np.float64], **look: Any) -> Ellipse:
    """Return the ellipse that lies one standard deviation around the mean of (n, 2) points."""
    variances, axes = np.linalg.eigh(np.cov(points.T))
    angle = np.degrees(np.arctan2(axes[1, 1], axes[0, 1]))
    width, height = 2 * np.sqrt(np.maximum(variances[::-1], 1e-6))
    return Ellipse(tuple(points.mean(axis=0)), width, height, angle=angle, **look)


def _look(name: str, number: int | None = None) -> Look:
    """Return the colour and marker of an emotion; any other name gets those of its number, or fixed ones."""
    number = crc32(name.encode()) if number is None else number
    colour, marker = SERIES_COLORS[number % 7], SERIES_MARKERS[(number + number // 7) % 7]
    return {"color": EMOTION_COLORS.get(name, colour), "marker": EMOTION_MARKERS.get(name, marker)}


def _label_points(ax: Axes, points: NDArray[np.float64], names: Sequence[str]) -> None:
    """Write names beside (n, 2) points, each at the nearest place where it hides neither a point nor a name."""
    pixels = ax.transData.transform(points) * 72 / _figure(ax).dpi  # typographic points
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in pixels]
    rings = [(r * np.cos(a), r * np.sin(a)) for r in (12, 22, 34, 48, 64) for a in np.arange(8) * np.pi / 4]
    for (x, y), place, name in zip(pixels, points, names, strict=True):
        width = 6.4 * len(name)
        boxes = [(x + dx - width * (dx < -1), y + dy - 7, x + dx + width * (dx >= -1), y + dy + 7) for dx, dy in rings]
        clashes = [sum(_overlap(box, other) for other in taken) for box in boxes]
        best = int(np.argmin(clashes))
        taken.append(boxes[best])
        dx, dy = rings[best]
        look: Look = {
            "ha": "right" if dx < -1 else "left",
            "va": "center",
            "fontweight": "bold",
            "path_effects": _halo(),
        }
        line: Look = {"arrowstyle": "-", "color": GREY, "linewidth": 0.8, "shrinkB": 4}
        ax.annotate(name, place, (dx, dy), **_OFFSET, arrowprops=line if best >= 8 else None, zorder=6, **look)


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
        where: Look = {"ha": "center", "color": ink, "fontweight": strong}
        ax.text(column, row - 0.02, f"{100 * share[row, column]:.0f}", va="bottom", fontsize=10, **where)
        ax.text(column, row + 0.1, f"{counts[row, column]:,}", va="top", fontsize=8, **where)
    for place in range(n):
        ax.add_patch(Rectangle((place - 0.48, place - 0.47), 0.96, 0.94, fill=False, edgecolor=INK, linewidth=1.4))
    ax.set_xticks(range(n), report.emotions)
    ax.set_yticks(range(n), [f"{emotion} ({k:,})" for emotion, k in zip(report.emotions, support, strict=True)])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set(xlabel="recognised as", ylabel="emotion in the corpus (utterances)")
    facts = _tested([report]), f"UA {_interval(report.metrics['ua'])}", "per cent of the row, counts below"
    return titled(ax, _confusion_message(share, report.emotions), *facts)


def _confusion_message(share: NDArray[np.float64], emotions: Sequence[str]) -> str:
    off = share - np.diag(np.diag(share))
    row, column = divmod(int(off.argmax()), len(off))
    if off.max() == 0:
        return "No emotion is taken for another"
    return f"Most often confused: {emotions[row]} taken for {emotions[column]} ({_percent(off.max())})"


def _interval(score: Any) -> str:
    return f"{score.value:.2f} [{score.low:.2f}, {score.high:.2f}]"


@style()
def per_emotion(reports: Report | Mapping[str, Report], *, ax: Axes | None = None) -> Axes:
    """Draw the F1 of each emotion with its interval, for one report or several by name; grey: guessing evenly."""
    named = reports if isinstance(reports, Mapping) else {"": reports}
    emotions = _shared_emotions(named)
    ax = ax or _axes(1.5 + (0.18 + 0.17 * len(named)) * len(emotions))
    rows = np.arange(len(emotions))
    for number, (name, report) in enumerate(named.items()):
        table, y = report.per_emotion.loc[list(emotions)], rows + (number - (len(named) - 1) / 2) * 0.7 / len(named)
        colours = [SERIES_COLORS[number % 7] if name else _look(emotion)["color"] for emotion in emotions]
        ax.hlines(y, table["f1_low"], table["f1_high"], colors=colours, linewidth=2.2)
        marker = SERIES_MARKERS[number % 7] if name else "o"
        ax.scatter(table["f1"], y, s=44, c=colours, marker=marker, edgecolor="white", zorder=4)
        labels = [name] if name else [f"{f1:.2f}" if f1 == f1 else "" for f1 in table["f1"]]
        for label, x, height in zip(labels, table["f1_high"].fillna(0), y, strict=False):  # names on the first row only
            ax.annotate(label, (x, height), (6, 0), **_OFFSET, va="center", fontsize=9)
    support = next(iter(named.values())).per_emotion["support"].reindex(list(emotions))
    chance = 2 * (support / support.sum()) / (len(emotions) * support / support.sum() + 1)
    ax.vlines(chance, rows - 0.42, rows + 0.42, color=GREY, linestyle=(0, (2, 1.5)), linewidth=1.3, label="chance")
    _rows(ax, [f"{emotion} ({n:,.0f})" for emotion, n in support.items()])
    ax.set_xlim(0, 1.05)
    ax.set_xlabel("F1 with 95 % interval")
    message = "How well each emotion is recognised" + (f" by {len(named)} recognizers" if len(named) > 1 else "")
    return titled(ax, message, _tested(named.values()), "dashed: guessing every emotion evenly")


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
    reports: Mapping[str, Report | CrossValidation],
    *,
    metric: Literal["ua", "wa", "weighted_f1", "macro_f1", "ece"] = "ua",
    ax: Axes | None = None,
) -> Axes:
    """Draw one score of several reports or cross-validations, by name and in their order, with intervals and chance.

    Chance is the better of naming always the commonest emotion and guessing evenly; small dots are single seeds.
    """
    from emolab.evaluation import METRICS

    if not reports or metric not in METRICS:
        raise ValueError(
            f"{len(reports)} reports, metric {metric!r}; expected at least one report and one of "
            f"{list(METRICS)}. Hand over a dict from names to reports."
        )
    ax = ax or _axes(1.5 + ROW_HEIGHT * len(reports))
    for row, report in enumerate(reports.values()):
        _score_row(ax, row, report, metric)
    _rows(ax, list(reports))
    ax.set_xlim(0, min(1.0, 1.1 * max(report.metrics[metric].high for report in reports.values())))
    ax.set_xlabel(f"{METRICS[metric]} with 95 % interval")
    seeds = "small dots: single seeds" if any(hasattr(report, "reports") for report in reports.values()) else ""
    return titled(ax, _best_message(reports, metric), _tested(reports.values()), seeds)


def _best_message(reports: Mapping[str, Report | CrossValidation], metric: str) -> str:
    scores = {name: report.metrics[metric] for name, report in reports.items()}
    extreme, way = (min, "lowest") if metric == "ece" else (max, "highest")
    best = extreme(scores, key=lambda name: scores[name].value)
    others = [score for name, score in scores.items() if name != best]
    shared = any(score.low <= scores[best].high and score.high >= scores[best].low for score in others)
    return f"{best} scores {way}" + (", but intervals overlap" if shared else "") if others else best


def _score_row(ax: Axes, row: int, report: Report | CrossValidation, metric: str) -> None:
    score = report.metrics[metric]
    ax.hlines(row, score.low, score.high, color=SERIES_COLORS[0], linewidth=2.4)
    ax.scatter([score.value], [row], s=52, color=SERIES_COLORS[0], edgecolor="white", zorder=4)
    for single in getattr(report, "reports", {}).values():
        ax.scatter([single.metrics[metric].value], [row + 0.22], s=9, color=GREY, linewidths=0)
    ax.text(1.02, row, _interval(score), transform=ax.get_yaxis_transform(), va="center", fontsize=9.5)
    chances = [guess[metric] for guess in _one(report).chance.values() if metric in guess]
    if chances:
        ax.vlines(max(chances), row - 0.5, row + 0.5, color=GREY, linestyle=(0, (4, 2)), linewidth=1.3, label="chance")
    if chances and row == 0:
        ax.annotate("chance", (max(chances), -0.4), (4, 0), **_OFFSET, fontsize=9, color=GREY, path_effects=_halo())


@style()
def curves(history: History, *, n_emotions: int | None = None, note: str = "", ax: Axes | None = None) -> Axes:
    """Draw the losses of training and, beside them, the score on the validation part; the best epoch is marked.

    Of `n_emotions` the chance level is drawn, if given.
    """
    if not history.train_loss:
        raise ValueError("the history has no epochs; expected at least one. Fit a recognizer first.")
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
        _grid(panel, "y")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    if n_emotions:
        score.axhline(1 / n_emotions, color=GREY, linestyle=(0, (1, 1.5)), label="chance")
        score.annotate("chance", (epochs[-1], 1 / n_emotions), (0, 3), **_OFFSET, ha="right", fontsize=9, color=GREY)
        score.set_ylim(bottom=0)
    titled(score, f"UA {history.valid_score[best - 1]:.2f} in epoch {best}", "validation part")
    return titled(loss, "Loss", f"{len(epochs)} epochs, {history.seconds:.0f} s; dashed: the best", note)


@style()
def feature_importance(
    names: Sequence[str],
    values: ArrayLike,
    *,
    top: int = 15,
    label: str = "importance",
    note: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw the features that weigh most, with their sign; `values` (n_features,) or (n_repeats, n_features).

    Of repeated measurements the mean is drawn, with a line from the lowest to the highest.
    """
    table = np.atleast_2d(np.asarray(values, float))
    if table.ndim != 2 or table.shape[1] != len(names):
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
    message = f"{len(order)} of {len(names)} features carry {_percent(share)} of the weight"
    return titled(ax, message, facts[0], facts[1] if len(table) > 1 else "", note)


@style()
def scatter2d(points: ArrayLike, labels: Sequence[str], *, note: str = "", ax: Axes | None = None) -> Axes:
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
        ax.scatter(x, y, s=20, alpha=0.5, linewidths=0, label=name, **_look(name, number))
        centres.append((np.median(x), np.median(y)))
        ax.scatter(*centres[-1], s=130, edgecolor=INK, linewidths=0.8, zorder=5, **_look(name, number))
    ax.set(xticks=[], yticks=[])
    ax.margins(0.06)
    ax.spines[:].set_visible(False)
    ax.autoscale_view()
    _label_points(ax, np.array(centres), groups)
    return titled(
        ax, "Points that lie close together look alike to the model", f"n = {len(names):,}", "large: median", note
    )


# ---------------------------------------------------------------- one utterance


@style()
def waveform(
    wave: ArrayLike,
    rms: ArrayLike | None = None,
    *,
    sample_rate: int = 16_000,
    hop_s: float = HOP_S,
    note: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw a wave (samples,) over seconds, and over it its level `rms` (frames,), dB, of features.audio.rms_level."""
    sound = np.asarray(wave, float)
    ax = ax or _axes(2.6)
    step = max(1, len(sound) // 4000)  # samples drawn as one stroke, from the lowest to the highest
    strokes = np.pad(sound, (0, -len(sound) % step), mode="edge").reshape(-1, step)
    seconds = np.arange(len(strokes)) * step / sample_rate
    ax.fill_between(seconds, strokes.min(axis=1), strokes.max(axis=1), color=SERIES_COLORS[5], linewidth=0.6)
    if rms is not None:
        level = 10 ** (np.asarray(rms, float) / 20)  # from dB to the unit of the wave
        times = np.arange(len(level)) * hop_s
        ax.plot(times, level, color=SERIES_COLORS[1], linewidth=1.8)
        peak = int(level.argmax())
        look: Look = {"color": SERIES_COLORS[1], "fontweight": "bold", "path_effects": _halo()}
        ax.annotate("level (rms)", (times[peak], level[peak]), (6, 8), **_OFFSET, **look)
    ax.set(xlim=(0, len(sound) / sample_rate), xlabel="seconds", ylabel="full scale is 1")
    _grid(ax, "y")
    return titled(ax, "Waveform", f"{len(sound) / sample_rate:.2f} s at {sample_rate / 1000:g} kHz", note)


@style()
def spectrogram(
    sound: ArrayLike,
    *,
    f0: ArrayLike | None = None,
    words: Sequence[tuple[str, float, float]] = (),
    cue: tuple[float, float] | None = None,
    hop_s: float = HOP_S,
    note: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw a log-mel spectrogram over seconds and Hz.

    Args:
        sound: (frames, n_mels), dB, or a wave (samples,), 16 kHz, whose log-mel spectrogram is taken.
        f0: (frames,) Hz, NaN where there is no voice; drawn over it.
        words: (word, start, end) in seconds; written above it.
        cue: Start and end of a stretch to point out, seconds.
        hop_s: Seconds between two frames.
        note: More facts, such as "synthetic sample".
        ax: Where to draw.
    """
    from emolab.features.audio import log_mel

    level = np.asarray(sound, np.float32)
    level = log_mel(level) if level.ndim == 1 else level
    ax = ax or _axes(3.4)
    _mel_image(ax, level, hop_s)
    if f0 is not None:
        pitch = np.asarray(f0, float)
        line = [withStroke(linewidth=4, foreground="black")]
        ax.plot(np.arange(len(pitch)) * hop_s, pitch, color="white", linewidth=2, path_effects=line)
    if cue is not None:
        _draw_cue(ax, *cue)
    _write_words(ax, words)
    facts = f"{len(level) * hop_s:.2f} s, {level.shape[1]} mel bands", "white line: f0" if f0 is not None else ""
    return titled(ax, "Mel spectrogram", *facts, note)


def _mel_image(ax: Axes, level: NDArray[np.float32], hop_s: float) -> None:
    """Draw (frames, n_mels) dB on an axis of Hz that is even in mel; the 80 dB below the loudest are shown."""
    from emolab.features.audio import mel_edges

    edges = mel_edges(2 * level.shape[1] + 1)[1::2]  # midway between centres of bands
    edges[0], edges[-1] = 0, MAX_HZ  # so far do the outermost bands reach
    seconds = (np.arange(len(level) + 1) - 0.5) * hop_s
    ax.set_yscale("function", functions=(_mel_of, _hertz_of))
    loudest = level.max()
    look: Look = {"cmap": "magma", "vmin": loudest - DYNAMIC_RANGE_DB, "vmax": loudest, "rasterized": True}
    image = ax.pcolormesh(seconds, edges, level.T, **look)
    _colour_bar(ax, image, "dB")
    ax.set_yticks(HERTZ_TICKS, [f"{hertz:,}" for hertz in HERTZ_TICKS])
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set(ylim=(edges[0], edges[-1]), xlim=(seconds[0], seconds[-1]), xlabel="seconds", ylabel="Hz, spaced as mel")


def _mel_of(hertz: ArrayLike) -> NDArray[np.float64]:
    return np.interp(np.asarray(hertz, float), *_mel_scale())


def _hertz_of(mel: ArrayLike) -> NDArray[np.float64]:
    return np.interp(np.asarray(mel, float), *_mel_scale()[::-1])


@lru_cache
def _mel_scale() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return Hz and the mel that belong to them, in steps so small that a figure does not show them."""
    from emolab.features.audio import mel_edges

    hertz = mel_edges(2_000)
    return hertz, np.arange(len(hertz), dtype=float)


def _colour_bar(ax: Axes, image: QuadMesh, label: str) -> None:
    bar = _figure(ax).colorbar(image, ax=ax, pad=0.02, aspect=18, label=label)
    bar.outline.set_visible(False)


def _write_words(ax: Axes, words: Sequence[tuple[str, float, float]]) -> None:
    across, edge = ax.get_xaxis_transform(), [withStroke(linewidth=2, foreground="black")]
    look: Look = {"ha": "center", "va": "top", "fontsize": 9, "color": "white", "path_effects": edge}
    for number, (word, start, end) in enumerate(words):  # on two lines in turn, since words are short
        ax.text((start + end) / 2, 0.98 - 0.09 * (number % 2), word, transform=across, **look)
        ax.axvline(start, color="white", linewidth=0.5, alpha=0.5)


def _draw_cue(ax: Axes, start: float, end: float) -> None:
    frame: Look = {"facecolor": "none", "edgecolor": "#7fe3ff", "linewidth": 2, "transform": ax.get_xaxis_transform()}
    ax.add_patch(Rectangle((start, 0.01), end - start, 0.98, gid="cue", **frame))
    look: Look = {"color": "#7fe3ff", "ha": "center", "va": "bottom", "fontweight": "bold"}
    edge = [withStroke(linewidth=2.5, foreground="black")]
    ax.text((start + end) / 2, 0.72, "cue", transform=ax.get_xaxis_transform(), path_effects=edge, **look)


@style()
def mel_and_mfcc(
    log_mel: ArrayLike, mfcc: ArrayLike, *, hop_s: float = HOP_S, note: str = "", ax: Axes | None = None
) -> Axes:
    """Draw the log-mel spectrogram (frames, n_mels) beside the MFCCs (frames, n_mfcc) made from it."""
    level, coefficients = np.asarray(log_mel, np.float32), np.asarray(mfcc, float)
    ax = ax or _axes(3.4)
    right = _beside(ax)
    _mel_image(ax, level, hop_s)
    spread = np.maximum(coefficients.std(axis=0), 1e-9)
    even = (coefficients - coefficients.mean(axis=0)) / spread  # else the first would outshine all others
    n_frames, n_mfcc = even.shape
    seconds = (np.arange(n_frames + 1) - 0.5) * len(level) / n_frames * hop_s  # the hops may differ
    look: Look = {"cmap": "PuOr_r", "vmin": -3, "vmax": 3, "rasterized": True}
    image = right.pcolormesh(seconds, np.arange(n_mfcc + 1) - 0.5, even.T, **look)
    _colour_bar(right, image, "standard deviations")
    right.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))
    right.set(xlabel="seconds", ylabel="coefficient")
    titled(right, f"{n_mfcc} MFCCs", "each coefficient standardised")
    return titled(ax, f"{level.shape[1]} mel bands", f"{n_frames} frames, brighter is louder", note)


@style()
def radar(
    probabilities: ArrayLike | Mapping[str, ArrayLike],
    emotions: Sequence[str],
    *,
    note: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw the probabilities (n_emotions,) of one utterance, or those of several models by name, as a closed line."""
    named = probabilities if isinstance(probabilities, Mapping) else {"": probabilities}
    lines = {name: np.asarray(values, float) for name, values in named.items()}
    if wrong := {name: values.shape for name, values in lines.items() if values.shape != (len(emotions),)}:
        raise ValueError(
            f"probabilities have shape {wrong}; expected ({len(emotions)},), one number an "
            "emotion. Hand over one row of predict_proba, and its emotions."
        )
    if ax is not None and ax.name != "polar":
        raise ValueError(
            f'ax is {ax.name}; expected polar axes. Make them with plt.subplots(subplot_kw={{"projection": "polar"}}).'
        )
    ax = ax or _axes(5.0, projection="polar")
    angles = np.arange(len(emotions)) * 2 * np.pi / len(emotions)
    closed = np.append(angles, angles[0])
    for number, (name, values) in enumerate(lines.items()):
        colour = SERIES_COLORS[number % 7]
        ax.plot(closed, np.append(values, values[0]), color=colour, linewidth=2, label=name)
        ax.fill(angles, values, color=colour, alpha=0.12)
        for angle, value, emotion in zip(angles, values, emotions, strict=True):
            mark = _look("" if name else emotion, number)
            ax.scatter([angle], [value], s=60, edgecolor="white", zorder=4, **mark)
    _radar_frame(cast(PolarAxes, ax), angles, lines, emotions)
    top = {name: int(values.argmax()) for name, values in lines.items()}
    said = [f"{name + ': ' if name else ''}{emotions[k]}, {_percent(lines[name][k])}" for name, k in top.items()]
    below = f"dashed: chance, {_percent(1 / len(emotions))}" + (f" · {note}" if note else "")
    ax.set_xlabel(below, color=GREY, fontsize=9)  # above are the names
    return titled(ax, "; ".join(said), loc="center")


def _radar_frame(
    ax: PolarAxes, angles: NDArray[np.float64], lines: Mapping[str, NDArray[np.float64]], emotions: Sequence[str]
) -> None:
    ax.set_theta_zero_location("N")
    ax.set_theta_direction(-1)
    ax.spines["polar"].set_visible(False)
    ax.grid(color=PALE)
    around = np.linspace(0, 2 * np.pi, 100)
    ax.plot(around, np.full(100, 1 / len(emotions)), color=GREY, linestyle=(0, (4, 2)), linewidth=1.2, label="chance")
    single = next(iter(lines.values())) if len(lines) == 1 else None
    names = [f"{name}\n{_percent(single[k])}" if single is not None else name for k, name in enumerate(emotions)]
    ax.set_xticks(angles, names)
    ax.tick_params(axis="x", pad=12)
    highest = max(0.3, *(float(values.max()) for values in lines.values()))
    ax.set_ylim(0, min(1.0, highest * 1.08))
    rings = [ring for ring in (0.2, 0.4, 0.6, 0.8, 1.0) if ring <= ax.get_ylim()[1]]
    ax.set_yticks(rings, [_percent(ring) for ring in rings], fontsize=8, color=GREY)
    ax.set_rlabel_position(180 / len(emotions))
    if single is None:
        ax.legend(loc="center left", bbox_to_anchor=(1.18, 0.5), frameon=False)


@style()
def faces(
    frames: ArrayLike, times: ArrayLike | None = None, *, most: int = 6, note: str = "", ax: Axes | None = None
) -> Axes:
    """Draw a strip of frames (n_frames, height, width, 3) uint8, at most `most`, with their times in seconds."""
    pictures = np.asarray(frames)
    if pictures.ndim != 4 or not len(pictures):
        raise ValueError(
            f"frames have shape {pictures.shape}; expected (n_frames, height, width, 3), at least one. "
            "Read them with emolab.media.read_frames."
        )
    shown = np.unique(np.linspace(0, len(pictures) - 1, min(most, len(pictures))).round().astype(int))
    height, width = pictures.shape[1:3]
    gap = width // 20
    ax = ax or _axes(0.9 + min(3.5, WIDTH * height / ((width + gap) * len(shown))))
    for place, number in enumerate(shown):
        left = place * (width + gap)
        ax.imshow(pictures[number], extent=(left, left + width, height, 0))
    centres = np.arange(len(shown)) * (width + gap) + width / 2
    labels = [f"frame {number}" for number in shown]
    if times is not None:
        labels = [f"{np.asarray(times, float)[number]:.2f} s" for number in shown]
    ax.set(xlim=(0, len(shown) * (width + gap) - gap), ylim=(height, 0), yticks=[])
    ax.set_xticks(centres, labels)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return titled(ax, "The face over time", f"{len(shown)} of {len(pictures)} frames", note)
