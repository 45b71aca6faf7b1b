"""Figures of corpora, sounds, training and results: data objects in, axes out; nothing is computed by a model.

Every function draws on `ax`, or on a new figure as wide as a notebook, and returns the axes. An emotion has one colour
and one marker everywhere; the title says what is seen, the grey line under it on how many utterances, and whether they
are the synthetic sample. Where only arrays are handed in, `note` says so.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, cast
from zlib import crc32

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.gridspec import SubplotSpec
from matplotlib.patches import Ellipse, Patch, Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator, PercentFormatter
from matplotlib.transforms import Bbox
from numpy.typing import ArrayLike, NDArray

from emolab.corpora.corpus import Corpus
from emolab.corpora.meld import EMOTIONS
from emolab.media import SAMPLE_RATE

if TYPE_CHECKING:
    from emolab.evaluation import CrossValidation, Interval, Report
    from emolab.training import History

Span = tuple[float, float]  # from and to, seconds
Look = dict[str, Any]  # keyword arguments of a drawing function

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
DYNAMIC_RANGE_DB = 80  # below the loudest sound of a spectrogram everything is black
HERTZ_TICKS = (0, 250, 500, 1000, 2000, 4000, 8000)  # to the upper end of the mel bands
N_FACES = 6  # in a strip
SIZE_COLORS = (2, 0, 1)  # of the series' colours: light, small, large
CROWD = 24  # dots; of more, those away from the frontier are named only right beside them
NAME_PLACES = [(r, a * np.pi / 4) for r in (8, 14, 22, 32, 44, 60) for a in (0, 4, 2, 6, 1, 7, 3, 5)]  # points, angle
STYLE: Look = {
    "axes.edgecolor": GREY,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "legend.frameon": False,
}
CHANCE: Look = {"color": GREY, "linestyle": (0, (4, 2)), "linewidth": 1.3, "label": "chance"}
ASIDE: Look = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}  # a legend to the right of the axes


@contextmanager
def style() -> Iterator[None]:
    """Apply the course's look inside a with block, or to a function as a decorator, and nowhere else."""
    with plt.style.context(["default", STYLE]):
        yield


def titled(ax: Axes, title: str, *facts: str, loc: Literal["left", "center"] = "left") -> Axes:
    """Write above a figure, in place of what stood there, what it says and, small and grey, the facts behind it."""
    width = ax.bbox.width / ax.figure.dpi  # inches
    lines: list[str] = []
    for fact in filter(None, facts):
        if lines and len(lines[-1] + fact) + 3 <= width * 13.5:
            lines[-1] += f" · {fact}"
        else:
            lines += textwrap.wrap(fact, int(width * 13.5))
    for text in [text for text in ax.texts if text.get_gid() == "facts"]:
        text.remove()
    big: Look = {"loc": loc, "pad": 7 + 12.5 * len(lines), "fontsize": 12, "fontweight": "bold", "color": INK}
    ax.set_title(textwrap.fill(title, int(width * 10)), **big)
    small: Look = {"fontsize": 9, "color": GREY, "gid": "facts", "annotation_clip": False}
    ax.annotate("\n".join(lines), (0, 1), (0, 5), xycoords="axes fraction", textcoords="offset points", **small)
    for side in {"top", "right"} & set(ax.spines):  # axes handed in may have been made in another style
        ax.spines[side].set_visible(False)
    ax.set_axisbelow(True)
    return ax


def _percent(share: float) -> str:
    return f"{'< 1' if 0 < share < 0.005 else round(100 * share)}\N{NO-BREAK SPACE}%"


def tint(colour: str, white: float) -> str:
    """Mix a colour with white, from 0 (as it is) to 1 (white)."""
    return to_hex(cast(Any, np.array(to_rgb(colour)) * (1 - white) + white))


def new_axes(height: float, **subplot: Any) -> Axes:
    """Return the axes of a new figure as wide as a notebook, `height` inches high."""
    return plt.figure(figsize=(WIDTH, height), layout="constrained").add_subplot(**subplot)


def _beside(ax: Axes) -> Axes:
    """Halve the place of the axes, which must be of plt.subplots, and return the new ones on the right."""
    halves = cast(SubplotSpec, ax.get_subplotspec()).subgridspec(1, 2)
    ax.set_subplotspec(halves[0])
    return ax.figure.add_subplot(halves[1])


def text_rows(ax: Axes, names: Sequence[str]) -> None:
    """Turn the y axis into lines of text, the first on top."""
    ax.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.4, -0.6), ylabel="")
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x", color=PALE)


def _look(name: str, number: int | None = None) -> Look:
    """Return the colour and marker of an emotion; any other name gets those of its number, or fixed ones."""
    number = crc32(name.encode()) if number is None else number
    colour, marker = SERIES_COLORS[number % 7], SERIES_MARKERS[(number + number // 7) % 7]
    return {"color": EMOTION_COLORS.get(name, colour), "marker": EMOTION_MARKERS.get(name, marker)}


# ---------------------------------------------------------------- corpora


def _present(corpus: Corpus, used: ArrayLike | None = None, need: str = "utterances") -> tuple[pd.Series, list[str]]:
    """Count the utterances of each emotion that occurs, and put into words whose they are and what is left out.

    Args:
        corpus: The utterances.
        used: (n_utterances,) bool, those that have what the figure shows; all, if not given.
        need: What that is, and what to do where no utterance has it.

    Returns:
        The counts by emotion, in the corpus's order, and the facts.
    """
    known = np.ones(len(corpus), bool) if used is None else np.asarray(used, bool)
    if not known.any():
        raise ValueError(f"corpus {corpus.name!r} has no {need}")
    counts = corpus.table["emotion"][known].value_counts().reindex(list(corpus.emotions), fill_value=0)
    view = "" if corpus.view_name == "all" else f", view {corpus.view_name}"
    size = f"n = {known.sum():,}" + ("" if known.all() else f" ({(~known).sum():,} left out)")
    absent = "no utterances: " * (0 in counts.values) + ", ".join(counts.index[counts == 0])
    return counts[counts > 0], [corpus.name + view, "synthetic sample" * corpus.synthetic, size, absent]


def _counted(counts: pd.Series) -> list[str]:
    return [f"{name} ({n:,})" for name, n in counts.items()]


def _stack(ax: Axes, table: pd.DataFrame) -> Any:
    """Draw a bar for each emotion (a row), its parts (the columns) paler and paler, and return the last parts."""
    left, greys = np.zeros(len(table)), []
    edge: Look = {"edgecolor": INK, "linewidth": 0.5}
    for white, part in zip(TINTS, table, strict=False):
        colours = [tint(_look(emotion)["color"], white) for emotion in table.index]
        bars = ax.barh(range(len(table)), table[part], left=left, height=0.7, color=colours, **edge)
        greys.append(Patch(facecolor=tint(GREY, white), **edge))
        left += table[part].to_numpy()
    if len(greys) > 1:
        ax.legend(greys, list(table), **ASIDE)
    return bars


@style()
def class_balance(corpus: Corpus, *, by: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw how often each emotion occurs, split by another column of the table, such as gender or part, if named."""
    total, facts = _present(corpus)
    counts = total.to_frame()
    if by is not None:
        if by not in corpus.table or corpus.table[by].nunique(dropna=False) > len(TINTS):
            columns = f"a column of at most {len(TINTS)} values out of {sorted(corpus.table.columns)}"
            raise ValueError(f"cannot split by {by!r}; expected {columns}. Name another.")
        counts = pd.crosstab(corpus.table["emotion"], corpus.table[by].astype("string").fillna("not stated"))
    ax = ax or new_axes(1.4 + ROW_HEIGHT * len(total))
    bars = _stack(ax, counts.loc[total.index].rename(columns=lambda name: f"{name}, {counts[name].sum():,}"))
    ax.bar_label(bars, [f"{n:,}  ({_percent(n / len(corpus))})" for n in total], padding=6)
    text_rows(ax, list(total.index))
    ax.set(xlim=(0, 1.22 * total.max()), xlabel="utterances")  # with room for the numbers
    ax.xaxis.set_major_formatter("{x:,.0f}")
    return titled(ax, _balance_message(total), *facts)


def _balance_message(counts: pd.Series) -> str:
    low, high = counts.min(), counts.max()
    if low == high:
        return f"All {len(counts)} emotions are equally frequent"
    rarest, commonest = list(counts.index[counts == low]), list(counts.index[counts == high])
    rare = f"{' and '.join(rarest).capitalize()} {'is' if len(rarest) == 1 else 'are'} rarest"
    others = "the others are" if len(rarest) + len(commonest) == len(counts) else "the commonest are"
    times = f"{high / low:,.1f}".removesuffix(".0")
    return f"{rare}: {f'{commonest[0]} is' if len(commonest) == 1 else others} {times} times as frequent"


@style()
def durations(corpus: Corpus, seconds: ArrayLike | None = None, *, ax: Axes | None = None) -> Axes:
    """Draw how long the utterances of each emotion are; `seconds` (n_utterances,) replaces the table's end - start."""
    values = pd.Series(corpus.table["end"] - corpus.table["start"] if seconds is None else np.asarray(seconds, float))
    longest = float(values.quantile(0.995))
    beyond = values > (longest if values.max() > 2 * longest else np.inf)  # a few huge ones would squash all others
    need = "start and end; expected them, or `seconds`, for example of emolab.media.audio_seconds. Hand them over."
    ax, facts = _distributions(values.mask(beyond), corpus, ax, need)
    ax.set_xlabel("seconds")
    outliers = f"{beyond.sum()} beyond {longest:.0f} s, up to {values.max():.0f} s" if beyond.any() else ""
    message = f"Half of the utterances are shorter than {values.median():.1f} s; {values.sum() / 3600:.1f} h in all"
    return titled(ax, message, *facts, outliers)


@style()
def feature_by_emotion(values: ArrayLike, corpus: Corpus, *, name: str, unit: str = "", ax: Axes | None = None) -> Axes:
    """Draw how one feature, (n_utterances,) in the corpus's order, is distributed in each emotion; NaN is left out."""
    series = pd.Series(np.asarray(values, float))
    ax, facts = _distributions(series, corpus, ax, f"{name}; expected a number for at least one utterance.")
    ax.set_xlabel(f"{name}, {unit}" if unit else name)
    medians = series.groupby(corpus.table["emotion"].to_numpy()).median()
    message = f"{name.capitalize()} is highest in {medians.idxmax()}, lowest in {medians.idxmin()} utterances"
    return titled(ax, message, *facts)


def _distributions(values: pd.Series, corpus: Corpus, ax: Axes | None, need: str) -> tuple[Axes, list[str]]:
    """Draw one line an emotion: density, middle half and median."""
    import seaborn as sns  # takes a second, which only some figures need

    if len(values) != len(corpus):
        raise ValueError(f"{len(values)} values for {len(corpus)} utterances; expected one each, in the table's order.")
    counts, facts = _present(corpus, values.notna(), need)
    ax = ax or new_axes(1.5 + 1.3 * ROW_HEIGHT * len(counts))
    emotion, palette = corpus.table["emotion"].to_numpy(object), {name: _look(name)["color"] for name in counts.index}
    data: Look = {"x": values.to_numpy(), "y": emotion, "hue": emotion, "order": list(palette), "palette": palette}
    look: Look = {"saturation": 1, "alpha": 0.6, "linewidth": 0.6, "legend": False}
    box = {"box_width": 4, "whis_width": 0, "color": INK}
    sns.violinplot(**data, **look, cut=0, density_norm="width", inner_kws=box, ax=ax)
    text_rows(ax, _counted(counts))
    return ax, [*facts, "dark: middle half, with the median in white"]


@style()
def agreement(corpus: Corpus, *, ax: Axes | None = None) -> Axes:
    """Draw, for each emotion, in which share of the utterances all, most or few votes went to the same emotion."""
    votes = corpus.table["votes"].map(lambda votes: list(votes.values()) if isinstance(votes, Mapping) else [])
    known = votes.map(sum) > 0
    need = "votes; expected some for at least one utterance. Take a corpus with them, such as IEMOCAP or the sample."
    counts, facts = _present(corpus, known, need)
    share = votes[known].map(lambda votes: max(votes) / sum(votes))
    levels = ["all votes", "more than half", "half or fewer"]
    level = pd.cut(share, [0, 0.5, 0.999, 1], labels=levels[::-1])
    emotion = corpus.table["emotion"][known]
    table = pd.crosstab(emotion, level, normalize="index", dropna=False).loc[counts.index, levels]
    ax = ax or new_axes(1.7 + ROW_HEIGHT * len(table))
    _stack(ax, table)
    text_rows(ax, _counted(counts))
    ax.set(xlim=(0, 1), xlabel="share of the utterances, by how many of their votes went to the same emotion")
    ax.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    typical = f"{votes[known].map(sum).median():.0f} votes an utterance (median)"
    return titled(ax, f"In {_percent((share == 1).mean())} of the utterances all votes agree", *facts, typical)


@style()
def valence_arousal(corpus: Corpus, *, ax: Axes | None = None) -> Axes:
    """Draw the plane of valence and arousal: utterances, and the mean and spread of each emotion."""
    rated = corpus.table[["valence", "arousal"]].notna().all(axis=1)
    need = "valence and arousal; expected some ratings. Take a corpus with them, such as IEMOCAP or the sample."
    _, facts = _present(corpus, rated, need)
    emotions = corpus.table["emotion"][rated]
    points = corpus.table.loc[rated, ["valence", "arousal"]].astype(float)
    jitter = np.random.default_rng(0).uniform(-0.06, 0.06, points.shape)  # ratings fall on few values
    ax = scatter2d(points + jitter, emotions, ax=ax)
    for emotion, group in points.groupby(emotions):
        look: Look = {"edgecolor": _look(str(emotion))["color"], "fill": False, "linewidth": 1.8}
        ax.add_patch(Ellipse(tuple(group.mean()), *(2 * group.std(ddof=0)), **look))
    ax.grid(color=PALE)
    ax.set(xlabel="valence, from 1 (negative) to 5 (positive)", ylabel="arousal, from 1 (calm) to 5 (excited)")
    ax.set(xlim=(0.8, 5.2), ylim=(0.8, 5.2), xticks=range(1, 6), yticks=range(1, 6))
    title = "Where the emotions lie in valence and arousal"
    return titled(ax, title, *facts, "large: mean", "ellipse: 1 standard deviation each way")


@style()
def scatter2d(points: ArrayLike, labels: Sequence[str], *, note: str = "", ax: Axes | None = None) -> Axes:
    """Draw (n, 2) points of an embedding, and the mean of each group, coloured by emotion or by any other name."""
    places, names = np.asarray(points, float), np.asarray(labels, dtype=str)
    if places.shape != (len(names), 2):
        raise ValueError(f"points {places.shape} for {len(names)} labels; expected ({len(names)}, 2), as of PCA.")
    ax = ax or new_axes(5.6)
    known = [emotion for emotion in EMOTIONS if emotion in names]
    for number, name in enumerate([*known, *sorted(set(names) - set(known))]):
        group, look = places[names == name], _look(name, number)
        ax.scatter(group[:, 0], group[:, 1], s=14, alpha=0.4, linewidths=0, **look)
        x, y = group.mean(axis=0)
        ax.scatter(x, y, s=120, edgecolor=INK, linewidths=0.8, zorder=5, label=name, **look)
    ax.set(xticks=[], yticks=[])
    ax.legend(**ASIDE)
    return titled(ax, "Points that lie close together look alike", f"n = {len(names):,}", "large: mean", note)


# ---------------------------------------------------------------- results


def _seeds(report: Report | CrossValidation) -> list[Report]:
    """Return the reports of a cross-validation, one a seed, or the report itself."""
    return list(getattr(report, "reports", {"": report}).values())


def _tested(reports: Iterable[Report | CrossValidation]) -> tuple[str, str]:
    """Say on what, and on how many, the reports were measured."""
    ones = [_seeds(report)[0] for report in reports]
    corpora = dict.fromkeys(one.corpus + " (synthetic sample)" * one.synthetic for one in ones)
    return ", ".join(corpora), "n = " + " or ".join(dict.fromkeys(f"{one.n:,}" for one in ones))


def _dots(ax: Axes, y: ArrayLike, scores: pd.DataFrame, look: Look, name: str = "") -> None:
    """Draw scores with their intervals, (n, 3) value, low and high, on the rows `y`."""
    value, low, high = scores.to_numpy(float).T
    ax.hlines(y, low, high, colors=look["color"], linewidth=2.4)
    ax.scatter(value, y, s=48, edgecolor="white", zorder=4, label=name, **look)


@style()
def confusion_matrix(report: Report, *, ax: Axes | None = None) -> Axes:
    """Draw what each emotion (a row) was taken for, in per cent of its utterances, with counts below."""
    import seaborn as sns

    counts, names = report.confusion.to_numpy(), report.emotions
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax = ax or new_axes(1.6 + 0.52 * len(names))
    cells = [f"{100 * part:.0f}\n{n:,}" for part, n in zip(share.flat, counts.flat, strict=True)]
    labels: Look = {"xticklabels": names, "yticklabels": _counted(report.confusion.sum(axis=1))}
    look: Look = {"cmap": "Blues", "vmin": 0, "vmax": 1, "cbar": False, "linewidths": 2, "fmt": ""}
    sns.heatmap(share, annot=np.reshape(cells, share.shape), ax=ax, **labels, **look)
    ax.tick_params(length=0, rotation=0)
    ax.set(xlabel="recognised as", ylabel="emotion in the corpus (utterances)")
    np.fill_diagonal(share, 0)
    row, column = divmod(int(share.argmax()), len(names))
    pair = f"Most often confused: {names[row]} taken for {names[column]} ({_percent(share.max())})"
    facts = f"UA {report.metrics['ua']}", "per cent of the row, counts below"
    return titled(ax, pair if share.any() else "No emotion is taken for another", *_tested([report]), *facts)


@style()
def per_emotion(reports: Report | Mapping[str, Report], *, ax: Axes | None = None) -> Axes:
    """Draw the F1 of each emotion with its interval, for one report or several by name; grey: guessing evenly."""
    named = reports if isinstance(reports, Mapping) else {"": reports}
    vocabularies = {tuple(report.emotions) for report in named.values()}
    if len(vocabularies) != 1:
        raise ValueError(f"{len(vocabularies)} sets of emotions; expected one. Evaluate all on the same view.")
    emotions = vocabularies.pop()
    rows, n = np.arange(len(emotions)), len(named)
    ax = ax or new_axes(1.5 + (0.18 + 0.17 * n) * len(emotions))
    for number, (name, report) in enumerate(named.items()):
        look = _look(name, number) if name else {"color": [_look(emotion)["color"] for emotion in emotions]}
        y = rows + (number - (n - 1) / 2) * 0.7 / n
        _dots(ax, y, report.per_emotion[["f1", "f1_low", "f1_high"]], look, name)
    support = next(iter(named.values())).per_emotion["support"].astype(int)
    ax.vlines(2 * support / (len(emotions) * support + support.sum()), rows - 0.42, rows + 0.42, **CHANCE)
    text_rows(ax, _counted(support))
    ax.set(xlim=(0, 1.05), xlabel="F1 with 95 % interval")
    if n > 1:
        ax.legend(**ASIDE)
    message = "How well each emotion is recognised" + (f" by {n} recognizers" if n > 1 else "")
    return titled(ax, message, *_tested(named.values()), "dashed: guessing every emotion evenly")


@style()
def compare_reports(
    reports: Mapping[str, Report | CrossValidation], *, metric: str = "ua", ax: Axes | None = None
) -> Axes:
    """Draw one score of several reports or cross-validations, by name and in their order, with intervals and chance.

    The metric is one of `evaluation.METRICS`. Chance is the better of naming always the commonest emotion and guessing
    evenly; small dots are single seeds.
    """
    from emolab.evaluation import METRICS

    if not reports or metric not in METRICS:
        given = f"{len(reports)} reports, metric {metric!r}"
        raise ValueError(f"{given}; expected at least one, by name, and one of {list(METRICS)}. Hand over a dict.")
    ax, rows = ax or new_axes(1.5 + ROW_HEIGHT * len(reports)), np.arange(len(reports))
    scores = {name: report.metrics[metric] for name, report in reports.items()}
    seeds = [_seeds(report) for report in reports.values()]
    _dots(ax, rows, pd.DataFrame(scores.values()), {"color": SERIES_COLORS[0]})
    for row, score, ones in zip(rows, scores.values(), seeds, strict=True):
        ax.text(1.02, float(row), str(score), transform=ax.get_yaxis_transform(), va="center", fontsize=9.5)
        if len(ones) > 1:
            ax.scatter([one.metrics[metric].value for one in ones], [row + 0.22] * len(ones), s=9, color=GREY)
    if metric != "ece":
        chance = [max(guess[metric] for guess in ones[0].chance.values()) for ones in seeds]
        ax.vlines(chance, rows - 0.5, rows + 0.5, **CHANCE)
    text_rows(ax, list(reports))
    limit = min(1.02, 1.1 * max(score.high for score in scores.values()))
    ax.set(xlim=(0, limit), xlabel=f"{METRICS[metric]} with 95 % interval")
    facts = "dashed: chance" * (metric != "ece"), "small dots: single seeds" * (max(map(len, seeds)) > 1)
    message = _best_message(scores, "lowest" if metric == "ece" else "highest")
    return titled(ax, message, *_tested(reports.values()), *facts)


def _best_message(scores: Mapping[str, Interval], way: Literal["lowest", "highest"]) -> str:
    extreme = (min if way == "lowest" else max)(score.value for score in scores.values())
    best = [name for name, score in scores.items() if np.isclose(score.value, extreme)]
    if len(best) > 1 or len(scores) == 1:
        return " and ".join(best) + " tie" * (len(best) > 1)
    top, others = scores[best[0]], [score for name, score in scores.items() if name != best[0]]
    shared = any(score.low <= top.high and score.high >= top.low for score in others)
    return f"{best[0]} scores {way}" + ", but intervals overlap" * shared


@style()
def pareto_front(
    entries: pd.DataFrame, *, cost: str = "parameters", quality: str = "weighted_f1", ax: Axes | None = None
) -> Axes:
    """Draw quality with its interval against cost, for rows of `ledger.read_ledger`; stand-ins are hollow.

    The line is the frontier: the best that is to be had for a cost or less. Colour and marker tell the size class.

    Args:
        entries: Of one corpus, view and protocol.
        cost: One of `comparison.COSTS` but throughput; rows that lack it are left out and counted.
        quality: One of `evaluation.METRICS` but the calibration error.
        ax: Where to draw.

    Raises:
        ValueError: If cost or quality are unknown, no row has the cost, or the rows are not of one kind.
    """
    from emolab.comparison import COSTS, cost_of
    from emolab.evaluation import METRICS

    if cost not in {*COSTS} - {"throughput"} or quality not in {*METRICS} - {"ece"}:
        given = f"cost {cost!r}, quality {quality!r}"
        raise ValueError(f"{given}; expected one of {[*COSTS]} but throughput, of {[*METRICS]} but ece. Name others.")
    known = entries[cost_of(entries, cost) > 0]
    kinds = {tuple(kind) for kind in known[["corpus", "view", "protocol"]].to_numpy()}
    if len(kinds) != 1:
        given = f"{len(known)} of {len(entries)} rows with {cost}, of {len(kinds)} corpora, views and protocols"
        raise ValueError(f"{given}; expected some, of one. Take read_ledger(corpus), and of it one protocol.")
    ax, x, y = ax or new_axes(6.4), cost_of(known, cost).to_numpy(), known[quality].to_numpy(float)
    ax.vlines(x, known[f"{quality}_low"], known[f"{quality}_high"], colors=PALE, linewidth=2, zorder=1)
    best = _undefeated(x, y)
    line = [*x[best], x.max()], [*y[best], y.max()]
    ax.step(*line, where="post", color=INK, linewidth=1.3, zorder=2, label="frontier")
    ax.axhline(max(known[f"chance.{guess}.{quality}"].iloc[0] for guess in ("majority", "uniform")), **CHANCE)
    _sized_dots(ax, x, y, known)
    ax.set(xscale="log", xlabel=f"{COSTS[cost]}, logarithmic", ylabel=f"{METRICS[quality]} with 95 % interval")
    ax.margins(x=0.12, y=0.1)  # room for names
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if x.max() < 50 * x.min() else (1,)))
    ax.xaxis.set_major_formatter("{x:,.10g}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=6, handletextpad=0.4, columnspacing=1.4)
    _, view, _ = kinds.pop()
    first, n_without = known.iloc[0], len(entries) - len(known)
    facts = [f"{first['corpus']}, view {view}", "synthetic sample" * bool(first["synthetic"])]
    facts += [f"n = {first['n_test']:,}", f"{n_without} without {COSTS[cost]} left out" * bool(n_without)]
    titled(ax, _frontier_message(x, y, known, quality), *facts)
    nameless = _name_dots(ax, x, y, [*known["recipe"]], best)
    return titled(ax, ax.get_title("left"), *facts, f"no room for {nameless} names" * bool(nameless))


def _undefeated(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the places of the points of which none has both less x and more y, from left to right."""
    order = np.lexsort((-y, x))
    return order[np.diff(np.maximum.accumulate(y[order]), prepend=-np.inf) > 0]


def _sized_dots(ax: Axes, x: NDArray[np.float64], y: NDArray[np.float64], rows: pd.DataFrame) -> None:
    """Draw a dot for each row of the ledger, coloured by its size class, and name the classes."""
    from emolab.comparison import SIZES, size_class

    sizes = np.array([size_class(row) for row in rows.to_dict(orient="records")])
    stand_in = rows["stand_in"].to_numpy(bool)
    for number, name in enumerate(SIZES):
        colour, marker = SERIES_COLORS[SIZE_COLORS[number]], SERIES_MARKERS[number]
        for hollow in (False, True):
            chosen = (sizes == name) & (stand_in == hollow)
            look: Look = {"facecolor": "white" if hollow else colour, "edgecolor": colour, "marker": marker}
            label = f"{name}, stand-in" if hollow else name
            if chosen.any():
                ax.scatter(x[chosen], y[chosen], s=48, linewidths=1.8, zorder=4, label=label, **look)


def _frontier_message(x: NDArray[np.float64], y: NDArray[np.float64], rows: pd.DataFrame, quality: str) -> str:
    """Name the best, and the cheapest whose score lies within the best one's interval."""
    best = int(y.argmax())
    near = np.flatnonzero(y >= rows[f"{quality}_low"].iloc[best])
    cheapest = int(near[x[near].argmin()])
    names = rows["recipe"].to_numpy()
    if x[cheapest] == x[best]:
        return f"Best: {names[best]}; nothing cheaper lies in its interval"
    return f"Best: {names[best]}; cheapest in its interval: {names[cheapest]}"


def _name_dots(
    ax: Axes, x: NDArray[np.float64], y: NDArray[np.float64], names: Sequence[str], best: NDArray[np.int64]
) -> int:
    """Write names beside dots where none covers another or a dot, first come, first served; return how many not."""
    ax.figure.draw_without_rendering()  # type: ignore[union-attr]  # so that places on the paper are known
    reach = 4 * ax.figure.dpi / 72  # pixels, of a dot
    dots = ax.transData.transform(np.column_stack([x, y]))
    taken = [Bbox.from_extents(*(dot - reach), *(dot + reach)) for dot in dots]
    for here, there in pairwise(dots[best]):  # nor do they stand on the frontier
        taken += [Bbox([here, [there[0], here[1] + 1]]), Bbox([[there[0], here[1]], there + 1])]
    n_without = 0
    for place in dict.fromkeys([*best, *np.argsort(-y)]):
        for distance, angle in NAME_PLACES if place in best or len(x) <= CROWD else NAME_PLACES[:8]:
            right, up = distance * np.cos(angle), distance * np.sin(angle)
            sides: Look = {"ha": "center" if abs(right) < 1 else "left" if right > 0 else "right", "va": "center"}
            line = {"arrowprops": {"arrowstyle": "-", "color": GREY, "linewidth": 0.6}} if distance > 9 else {}
            look: Look = {"fontsize": 8, "color": INK, "textcoords": "offset points", "zorder": 5, **sides, **line}
            look["path_effects"] = [withStroke(linewidth=2, foreground="white")]
            name = ax.annotate(names[place], (x[place], y[place]), (right, up), **look)
            name.get_window_extent()  # puts it where it belongs
            box = Text.get_window_extent(name)
            inside = ax.bbox.contains(box.x0, box.y0) and ax.bbox.contains(box.x1, box.y1)
            if inside and not box.count_overlaps(taken):
                taken.append(box)
                break
            name.remove()
        else:
            n_without += 1
    return n_without


@style()
def curves(history: History, *, n_emotions: int | None = None, note: str = "", ax: Axes | None = None) -> Axes:
    """Draw the losses of training and, beside them, the score on the validation part; the best epoch is marked.

    Of `n_emotions` the chance level is drawn, if given.
    """
    if not len(history):
        raise ValueError("the history has no epochs; expected at least one. Fit a recognizer first.")
    loss = ax or new_axes(3.4)
    score, best = _beside(loss), history.best_epoch
    table = history.to_frame().rename(columns={"train_loss": "training", "valid_loss": "validation"})
    mark: Look = {"linewidth": 2, "marker": "o", "markevery": [best - 1], "markersize": 7, "markeredgecolor": "white"}
    table[["training", "validation"]].plot(ax=loss, color=SERIES_COLORS[:2], **mark)
    table["valid_score"].plot(ax=score, color=SERIES_COLORS[1], **mark)
    for panel in (loss, score):
        panel.grid(axis="y", color=PALE)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    if n_emotions:
        score.axhline(1 / n_emotions, **CHANCE)
        score.set_ylim(bottom=0)
    reached = f"UA {history.valid_score[best - 1]:.2f} in epoch {best}"
    titled(score, reached, "validation part", "dashed: chance" if n_emotions else "")
    return titled(loss, "Loss", f"{len(history)} epochs, {history.seconds:.0f} s", "dot: the best", note)


@style()
def feature_importance(
    names: Sequence[str], values: ArrayLike, *, top: int = 15, label: str = "importance", ax: Axes | None = None
) -> Axes:
    """Draw the features that weigh most, with their sign; `values` (n_features,) are in the order of `names`."""
    if np.shape(values) != (len(names),):
        raise ValueError(f"values have shape {np.shape(values)} for {len(names)} names; expected one number a name.")
    weights = pd.Series(values, list(names), dtype=float)
    heaviest = weights.sort_values(key=np.abs, ascending=False, kind="stable")[:top]
    ax = ax or new_axes(1.5 + 0.3 * len(heaviest))
    colours = np.where(heaviest < 0, SERIES_COLORS[1], SERIES_COLORS[0])
    ax.barh(range(len(heaviest)), heaviest, color=colours, height=0.62)
    ax.axvline(0, color=GREY, linewidth=1)
    text_rows(ax, list(heaviest.index))
    ax.set_xlabel(label)
    signs = "blue: speaks for, orange: against" if (heaviest < 0).any() else ""
    share = _percent(heaviest.abs().sum() / max(weights.abs().sum(), 1e-12))
    return titled(ax, f"{len(heaviest)} of {len(names)} features carry {share} of the weight", signs)


# ---------------------------------------------------------------- one utterance


@style()
def waveform(wave: ArrayLike, rms: ArrayLike | None = None, *, note: str = "", ax: Axes | None = None) -> Axes:
    """Draw a wave (samples,), 16 kHz, and over it its level `rms` (frames,), dB, of features.audio.rms_level."""
    sound = np.asarray(wave, float)
    seconds = len(sound) / SAMPLE_RATE
    ax = ax or new_axes(2.6)
    ax.plot(np.arange(len(sound)) / SAMPLE_RATE, sound, color=SERIES_COLORS[5], linewidth=0.5)
    if rms is not None:
        level = 10 ** (np.asarray(rms, float) / 20)  # from dB to the unit of the wave
        ax.plot(np.arange(len(level)) * HOP_S, level, color=SERIES_COLORS[1], label="level (rms)")
        ax.legend(loc="upper right")
    ax.set(xlim=(0, seconds), xlabel="seconds", ylabel="full scale is 1")
    ax.grid(axis="y", color=PALE)
    return titled(ax, "Waveform", f"{seconds:.2f} s", note)


@style()
def spectrogram(
    wave: ArrayLike, *, f0: ArrayLike | None = None, cue: Span | None = None, note: str = "", ax: Axes | None = None
) -> Axes:
    """Draw the log-mel spectrogram of a wave (samples,), 16 kHz, over seconds and Hz.

    Args:
        wave: The sound.
        f0: (frames,) Hz, NaN where there is no voice; drawn over it.
        cue: A stretch to frame.
        note: More facts, such as "synthetic sample".
        ax: Where to draw.
    """
    from emolab.features.audio import log_mel

    ax, level = ax or new_axes(3.4), log_mel(np.asarray(wave, np.float32))
    _mel_image(ax, level)
    if f0 is not None:
        pitch = np.asarray(f0, float)
        edge = [withStroke(linewidth=4, foreground="black")]
        ax.plot(np.arange(len(pitch)) * HOP_S, pitch, color="white", linewidth=2, path_effects=edge)
    if cue is not None:
        frame: Look = {"transform": ax.get_xaxis_transform(), "fill": False, "edgecolor": "#7fe3ff", "linewidth": 2}
        ax.add_patch(Rectangle((cue[0], 0.01), cue[1] - cue[0], 0.98, gid="cue", **frame))
    facts = "white line: f0" if f0 is not None else "", "blue frame: cue" if cue is not None else "", note
    return titled(ax, "Mel spectrogram", f"{len(level) * HOP_S:.2f} s", f"{level.shape[1]} mel bands", *facts)


def _mel_image(ax: Axes, level: NDArray[np.float32]) -> None:
    """Draw (frames, n_mels) dB on an axis of Hz that is even in mel; the 80 dB below the loudest are shown."""
    bands = mel_axis(ax, level.shape[1])
    _image(ax, bands, level, HOP_S, "dB", cmap="magma", vmin=level.max() - DYNAMIC_RANGE_DB)


def mel_axis(ax: Axes, n_mels: int) -> NDArray[np.float64]:
    """Make the y axis one of Hz that is even in mel, and return (n_mels + 1,) Hz, the edges of the bands on it."""
    from emolab.features.audio import mel_edges

    hertz = mel_edges(2_000)  # even in mel, in steps so small that a figure does not show them
    mel = np.arange(len(hertz))
    ax.set_yscale("function", functions=(lambda x: np.interp(x, hertz, mel), lambda y: np.interp(y, mel, hertz)))
    ax.set(ylim=(HERTZ_TICKS[0], HERTZ_TICKS[-1]), ylabel="Hz, spaced as mel")
    ax.set_yticks(HERTZ_TICKS, [f"{tick:,}" for tick in HERTZ_TICKS])
    ax.yaxis.set_minor_locator(NullLocator())
    bands = mel_edges(2 * n_mels + 1)[1::2]  # midway between their centres
    bands[0], bands[-1] = HERTZ_TICKS[0], HERTZ_TICKS[-1]  # so far do the outermost reach
    return bands


def _image(ax: Axes, edges: ArrayLike, values: NDArray[Any], hop_s: float, label: str, **look: Any) -> None:
    """Draw (frames, rows) over seconds, with a colour bar."""
    seconds = (np.arange(len(values) + 1) - 0.5) * hop_s
    mesh = ax.pcolormesh(seconds, edges, values.T, rasterized=True, **look)
    ax.figure.colorbar(mesh, ax=ax, pad=0.02, aspect=18, label=label).outline.set_visible(False)
    ax.set_xlabel("seconds")


@style()
def mel_and_mfcc(log_mel: ArrayLike, mfcc: ArrayLike, *, note: str = "", ax: Axes | None = None) -> Axes:
    """Draw the log-mel spectrogram (frames, n_mels) beside the MFCCs (frames, n_mfcc) made from it."""
    level, coefficients = np.asarray(log_mel, np.float32), np.asarray(mfcc, float)
    (n_frames, n_mels), n_mfcc = level.shape, coefficients.shape[1]
    ax = ax or new_axes(3.4)
    right = _beside(ax)
    _mel_image(ax, level)
    even = coefficients - coefficients.mean(axis=0)
    even /= np.maximum(coefficients.std(axis=0), 1e-9)  # else the first would outshine all others
    hop_s = HOP_S * n_frames / len(even)  # may differ from that of the mel bands
    _image(right, np.arange(n_mfcc + 1) - 0.5, even, hop_s, "standard deviations", cmap="PuOr_r", vmin=-3, vmax=3)
    right.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))
    right.set_ylabel("coefficient")
    titled(right, f"{n_mfcc} MFCCs", "each coefficient standardised")
    return titled(ax, f"{n_mels} mel bands", f"{n_frames} frames", "brighter is louder", note)


@style()
def radar(
    probabilities: ArrayLike | Mapping[str, ArrayLike], emotions: Sequence[str], *, note: str = "", ax: Any = None
) -> Axes:
    """Draw the probabilities (n_emotions,) of one utterance, or those of several models by name, as a closed line."""
    named = probabilities if isinstance(probabilities, Mapping) else {"": probabilities}
    lines, n = {name: np.asarray(values, float) for name, values in named.items()}, len(emotions)
    if wrong := [values.shape for values in lines.values() if values.shape != (n,)]:
        raise ValueError(f"probabilities have shape {wrong}; expected ({n},). Hand over one row, and its emotions.")
    ax = ax or new_axes(5.0, projection="polar")
    if ax.name != "polar":
        raise ValueError(f'ax is {ax.name}; expected polar. Make it with subplot_kw={{"projection": "polar"}}.')
    angles = np.linspace(0, 2 * np.pi, n + 1)  # the last closes the line
    for number, (name, values) in enumerate(lines.items()):
        look: Look = {"color": SERIES_COLORS[number % 7], "marker": SERIES_MARKERS[number % 7], "label": name}
        ax.plot(angles, np.append(values, values[0]), linewidth=2, markersize=8, markeredgecolor="white", **look)
        ax.fill(angles[:-1], values, color=look["color"], alpha=0.12)
    ax.plot(np.linspace(0, 2 * np.pi, 100), np.full(100, 1 / n), **CHANCE)
    ax.set(theta_offset=np.pi / 2, theta_direction=-1, xticks=angles[:-1], xticklabels=emotions)  # clockwise
    ax.set(ylim=(0, 1.05), rlabel_position=180 / n)  # the same for every utterance, with room for a marker at 100 %
    ax.set_yticks([0.25, 0.5, 0.75, 1], ["25 %", "50 %", "75 %", "100 %"], fontsize=8, color=GREY)
    ax.tick_params(axis="x", pad=12)
    ax.grid(color=PALE)
    ax.spines["polar"].set_visible(False)
    if len(lines) > 1:
        ax.legend(loc="center left", bbox_to_anchor=(1.18, 0.5))
    below = f"dashed: chance, {_percent(1 / n)}" + f" · {note}" * bool(note)
    ax.set_xlabel(below, color=GREY, fontsize=9)  # above are the names
    said = [f"{name}: " * bool(name) + f"{emotions[int(p.argmax())]}, {_percent(p.max())}" for name, p in lines.items()]
    return titled(ax, "; ".join(said), loc="center")


@style()
def faces(frames: ArrayLike, times: ArrayLike | None = None, *, note: str = "", ax: Axes | None = None) -> Axes:
    """Draw six of the frames (n_frames, height, width, 3) uint8 side by side, with their times in seconds."""
    pictures = np.asarray(frames)
    if pictures.ndim != 4 or not len(pictures):
        raise ValueError(f"frames {pictures.shape}; expected (n, height, width, 3), of read_frames, at least one.")
    shown = np.linspace(0, len(pictures) - 1, min(N_FACES, len(pictures))).round().astype(int)
    height, width = pictures.shape[1:3]
    ax = ax or new_axes(0.9 + min(3.5, WIDTH * height / (width * len(shown))))
    ax.imshow(np.hstack(pictures[shown]))
    for edge in range(1, len(shown)):
        ax.axvline(edge * width - 0.5, color="white", linewidth=6)
    names = [f"frame {k}" if times is None else f"{np.asarray(times)[k]:.2f} s" for k in shown]
    ax.set(xticks=(np.arange(len(shown)) + 0.5) * width, xticklabels=names, yticks=[])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return titled(ax, "The face over time", f"{len(shown)} of {len(pictures)} frames", note)
