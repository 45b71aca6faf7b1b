"""Figures of corpora, signals, results and explanations: data objects and given intervals in, axes out.

Every function draws on `ax`, or on a new figure as wide as a notebook, and returns the axes. An emotion has one colour
everywhere; the title says what is seen, the grey line under it on how many utterances, and whether they are the
synthetic sample. Where only arrays are handed in, `note` says so. Intervals that are not known (NaN) are not drawn. In
explanations blue speaks for the emotion explained, orange against it, and all colours of a figure share one scale, even
about 0.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike

from emolab.media import SAMPLE_RATE
from emolab.storage import settings_beside

if TYPE_CHECKING:
    from emolab.corpora.corpus import Corpus
    from emolab.evaluation import CrossValidation, Report
    from emolab.explain.explanation import Attribution, Explanation
    from emolab.training import History

    Reported = Report | CrossValidation

Track = ArrayLike | None  # (frames,) Hz, 10 ms apart, NaN where there is no voice
Cue = tuple[float, float] | None  # from and to, seconds
Look = dict[str, Any]  # keyword arguments of a drawing function

SET = settings_beside(__file__, "plots.toml")
EMOTION_COLORS, SERIES_COLORS, SERIES_MARKERS = SET.emotion_colors, SET.series_colors, SET.series_markers
SIZE_COLORS = SET.size_colors
INK, GREY, PALE = "#222222", "#636363", "#d9d9d9"
FOR, AGAINST = "#2f8fcb", "#e3752b"  # black text can be read on both
HEAT = LinearSegmentedColormap.from_list("heat", [AGAINST, "white", FOR], 257)  # odd, so that 0 is white
CHANCE: Look = {"color": GREY, "linestyle": (0, (4, 2)), "linewidth": 1.3, "label": "chance"}
ASIDE, WIDTH, TEXT_SIZE, LINE = SET.aside, SET.width, SET.text_size, SET.line


def titled(ax: Axes, title: str, *facts: str, loc: Literal["left", "center"] = "left") -> Axes:
    """Write above a figure, in place of what stood there, what it says and, small and grey, the facts behind it."""
    inches, space = ax.bbox.width / ax.figure.dpi, "\N{NO-BREAK SPACE}"
    n_letters = int(13.5 * inches)
    unbroken = [fact.replace(" ", space) if len(fact) < n_letters else fact for fact in facts if fact]
    wrapped = textwrap.wrap(f"{space}· ".join(unbroken), n_letters, break_on_hyphens=False)
    lines = [line.rstrip(f"{space}·") for line in wrapped]
    for text in [text for text in ax.texts if text.get_gid() == "facts"]:
        text.remove()
    big: Look = {"loc": loc, "pad": 7 + 12.5 * len(lines), "fontsize": 12, "fontweight": "bold", "color": INK}
    ax.set_title(textwrap.fill(title, int(10 * inches)), **big)
    small: Look = {"fontsize": 9, "color": GREY, "gid": "facts", "annotation_clip": False, "xycoords": "axes fraction"}
    ax.annotate("\n".join(lines), (0, 1), (0, 5), textcoords="offset points", **small)
    if ax.name == "rectilinear":
        ax.spines[["top", "right"]].set_visible(False)
    ax.set_axisbelow(True)
    return ax


def intervals(tables: Mapping[str, pd.DataFrame], *, ax: Axes | None = None) -> Axes:
    """Draw values with their intervals, a row each; of several tables, by name, one beside the other.

    Args:
        tables: Value, low and high, three columns; the same rows, by name, in each. Of a single table rows that are
            emotions get their colours.
        ax: Where to draw.
    """
    rows, n = list(next(iter(tables.values())).index), len(tables)
    ax = _axes(ax, 1.5 + (0.19 + 0.17 * n) * len(rows))
    for number, (name, table) in enumerate(tables.items()):
        value, low, high = table.to_numpy(float).T
        y, own = np.arange(len(rows)) + (number - (n - 1) / 2) * 0.7 / n, SERIES_COLORS[number % 7]
        colours = own if n > 1 else [EMOTION_COLORS.get(str(row), own) for row in rows]
        ax.hlines(y, low, high, colors=colours, linewidth=2.4, zorder=3)
        look: Look = {"edgecolor": "white", "zorder": 4, "label": name, "marker": SERIES_MARKERS[number % 7]}
        ax.scatter(value, y, s=48, color=colours, **look)
    ax.set(yticks=range(len(rows)), yticklabels=map(str, rows), ylim=(len(rows) - 0.4, -0.6))  # the first on top
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x", color=PALE)
    if n > 1:
        ax.legend(**ASIDE)
    return ax


def _axes(ax: Axes | None, height: float) -> Axes:
    """Return the axes, or those of a new figure as wide as a notebook, `height` inches high."""
    return ax or plt.subplots(figsize=(WIDTH, height), layout="constrained")[1]


def _signed(value: float) -> str:
    """Write a number with its sign and three digits."""
    text = f"{value:+.2f}" if 0.1 <= abs(value) < 100 else f"{value:+.2g}" if value else "0"
    return text.replace("-", "−")


# ---------------------------------------------------------------- results


def _seeds(report: Reported) -> list[Report]:
    """Return the reports of a cross-validation, one a seed, or the report itself."""
    return list(getattr(report, "reports", {"": report}).values())


def _tested(reports: Iterable[Reported]) -> tuple[str, str]:
    """Say on what, and on how many, the reports were measured."""
    ones = [_seeds(report)[0] for report in reports]
    corpora = dict.fromkeys(one.corpus + " (synthetic sample)" * one.synthetic for one in ones)
    return ", ".join(corpora), "n = " + " or ".join(dict.fromkeys(f"{one.n:,}" for one in ones))


def confusion_matrix(report: Report, *, ax: Axes | None = None) -> Axes:
    """Draw what each emotion (a row) was taken for, in per cent of its utterances, with counts below."""
    import seaborn as sns

    counts, names = report.confusion.to_numpy(), report.emotions
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax = _axes(ax, 1.6 + 0.52 * len(names))
    cells = [f"{100 * part:.0f}\n{n:,}" for part, n in zip(share.flat, counts.flat, strict=True)]
    named = [f"{name} ({n:,})" for name, n in report.confusion.sum(axis=1).items()]
    labels: Look = {"xticklabels": names, "yticklabels": named}
    sns.heatmap(share, annot=np.reshape(cells, share.shape), ax=ax, **labels, **SET.confusion)
    ax.tick_params(length=0, rotation=0)
    ax.set(xlabel="recognised as", ylabel="emotion in the corpus (utterances)")
    np.fill_diagonal(share, 0)
    row, column = divmod(int(share.argmax()), len(names))
    percent = round(100 * share.max()) or "< 1"
    pair = f"Most often confused: {names[row]} taken for {names[column]} ({percent}\N{NO-BREAK SPACE}%)"
    facts = f"UA {report.metrics['ua']}", "per cent of the row, counts below"
    return titled(ax, pair if share.any() else "No emotion is taken for another", *_tested([report]), *facts)


def compare_reports(reports: Mapping[str, Reported], *, metric: str = "ua", ax: Axes | None = None) -> Axes:
    """Draw one score of several reports or cross-validations, by name and in their order, with intervals and chance.

    The metric is one of `evaluation.METRICS`. Chance is the better of naming always the commonest emotion and guessing
    evenly; small dots are single seeds.
    """
    from emolab.evaluation import METRICS

    if not reports or metric not in METRICS:
        given = f"{len(reports)} reports, metric {metric!r}"
        raise ValueError(f"{given}; expected at least one, by name, and one of {list(METRICS)}. Hand over a dict.")
    scores = {name: report.metrics[metric] for name, report in reports.items()}
    seeds = [_seeds(report) for report in reports.values()]
    ax, rows = intervals({"": pd.DataFrame(scores.values(), list(scores))}, ax=ax), np.arange(len(reports))
    for row, score, ones in zip(rows, scores.values(), seeds, strict=True):
        ax.text(1.02, float(row), str(score), transform=ax.get_yaxis_transform(), va="center", fontsize=9.5)
        if len(ones) > 1:
            ax.scatter([one.metrics[metric].value for one in ones], [row + 0.22] * len(ones), s=9, color=GREY)
    if metric != "ece":
        chance = [max(guess[metric] for guess in ones[0].chance.values()) for ones in seeds]
        ax.vlines(chance, rows - 0.5, rows + 0.5, **CHANCE)
    known = np.isfinite([score.low for score in scores.values()]).any()
    highest = min(1.02, 1.1 * np.nanmax(list(scores.values())))
    ax.set(xlim=(0, highest), xlabel=METRICS[metric] + SET.interval * bool(known))
    facts = "dashed: chance" * (metric != "ece"), "small dots: single seeds" * (max(map(len, seeds)) > 1)
    best = (min if metric == "ece" else max)(score.value for score in scores.values())
    names = " and ".join(name for name, score in scores.items() if np.isclose(score.value, best))
    return titled(ax, f"{'Lowest' if metric == 'ece' else 'Highest'}: {names}", *_tested(reports.values()), *facts)


def learning_curves(history: History, *, n_emotions: int | None = None, note: str = "", ax: Axes | None = None) -> Axes:
    """Draw the losses of training and, beside them, the score on the validation set; the best epoch is marked.

    Of `n_emotions` the chance level is drawn, if given.
    """
    if not len(history):
        raise ValueError("the history has no epochs; expected at least one. Fit a recognizer first.")
    loss, best = _axes(ax, 3.4), history.best_epoch
    grid = cast(Any, loss.get_subplotspec()).subgridspec(1, 2)  # the axes give half of their place to new ones
    loss.set_subplotspec(grid[0])
    score = loss.figure.add_subplot(grid[1])
    table = history.to_frame().rename(columns={"train_loss": "training", "valid_loss": "validation"})
    mark: Look = {"linewidth": 2, "marker": "o", "markevery": [best - 1], "markersize": 7, "markeredgecolor": "white"}
    table[["training", "validation"]].plot(ax=loss, color=SERIES_COLORS[:2], **mark)
    table["valid_score"].plot(ax=score, color=SERIES_COLORS[1], **mark)
    loss.legend(frameon=False)
    for panel in (loss, score):
        panel.locator_params(axis="x", integer=True, nbins=6)
    if n_emotions:
        score.axhline(1 / n_emotions, **CHANCE)
        score.set_ylim(bottom=0)
    epoch = f"UA {history.valid_score[best - 1]:.2f} in epoch {best}"
    titled(score, epoch, "validation set", "dashed: chance" * bool(n_emotions))
    return titled(loss, "Loss", f"{len(history)} epochs, {sum(history.epoch_seconds):.0f} s", "dot: the best", note)


# ---------------------------------------------------------------- one utterance


def spectrogram(wave: ArrayLike, *, f0: Track = None, cue: Cue = None, note: str = "", ax: Axes | None = None) -> Axes:
    """Draw the log-mel spectrogram of a wave (samples,), 16 kHz, over seconds and Hz.

    Args:
        wave: The sound.
        f0: Fundamental frequency, (frames,) Hz, 10 ms apart, NaN where there is no voice; drawn over it.
        cue: A stretch to frame, from and to in seconds.
        note: More facts, such as "synthetic sample".
        ax: Where to draw.
    """
    import librosa.display

    from emolab.features.audio import log_mel

    ax, heard = _axes(ax, 3.4), np.asarray(wave, np.float32)
    level, seconds = log_mel(heard), len(heard) / SAMPLE_RATE
    place: Look = {"x_coords": np.linspace(0, seconds, len(level)), "x_axis": "time", "y_axis": "mel", "ax": ax}
    look: Look = {"cmap": "magma", "vmin": level.max() - SET.dynamic_range_db, "vmax": level.max()}
    mesh = librosa.display.specshow(level.T, sr=SAMPLE_RATE, **place, **look)
    ax.set(xlim=(0, seconds), xlabel="seconds", ylabel="Hz, spaced as mel")
    ax.xaxis.set_major_formatter("{x:g}")  # librosa's own rounds even ticks unevenly
    ax.figure.colorbar(mesh, ax=ax, pad=0.02, aspect=18, label="dB").outline.set_visible(False)
    if f0 is not None:
        pitch, edge = np.asarray(f0, float), [withStroke(linewidth=4, foreground="black")]
        ax.plot(np.arange(len(pitch)) * SET.hop_s, pitch, color="white", linewidth=1.8, path_effects=edge)
    if cue:
        across: Look = {"transform": ax.get_xaxis_transform(), "gid": "cue", "zorder": 6}
        ax.add_patch(plt.Rectangle((cue[0], 0.01), cue[1] - cue[0], 0.98, **SET.cue, **across))
    facts = "white line: f0" * (f0 is not None), "blue frame: cue" * bool(cue), note
    return titled(ax, "Mel spectrogram", f"{seconds:.2f} s", *facts)


def faces(frames: ArrayLike, times: ArrayLike | None = None, *, note: str = "", ax: Axes | None = None) -> Axes:
    """Draw six of the frames (n_frames, height, width, 3) uint8 side by side, with their times in seconds."""
    pictures = np.asarray(frames)
    if pictures.ndim != 4 or not len(pictures):
        raise ValueError(f"frames {pictures.shape}; expected (n, height, width, 3), of read_frames, at least one.")
    shown = np.linspace(0, len(pictures) - 1, min(SET.n_shown, len(pictures))).round().astype(int)
    names = [f"frame {k}" if times is None else f"{np.asarray(times)[k]:.2f} s" for k in shown]
    n, (height, width) = len(shown), pictures.shape[1:3]
    if ax is None:
        ax = _axes(None, 1.2 + min(3.5, WIDTH * height / (width * n)))
        cast(Any, ax.figure).set_layout_engine("compressed")  # the title goes with the pictures, whatever their shape
    ax.imshow(np.hstack([*pictures[shown]]), extent=(0, n, height / width, 0))  # each one unit wide
    ax.vlines(range(1, n), 0, height / width, color="white", linewidth=6)
    ax.set(xticks=np.arange(n) + 0.5, xticklabels=names, yticks=[])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return titled(ax, "The face over time", f"{len(shown)} of {len(pictures)} frames", note)


# ---------------------------------------------------------------- explanations


def _key(axes: Sequence[Axes], limit: float, *, signed: bool = True) -> None:
    """Draw the bar of colours to the right of the axes; what has no sign, such as attention, speaks for nothing."""
    colours = plt.cm.ScalarMappable(plt.Normalize(-limit, limit), HEAT)
    bar = axes[0].figure.colorbar(colours, ax=list(axes), pad=0.02, aspect=22, ticks=[-limit, 0, limit])
    ends = f"{_signed(-limit)}\nagainst", "0", f"{_signed(limit)}\nfor" if signed else f"{limit:.2g}\nattention"
    bar.ax.set_yticklabels(ends, fontsize=8.5)
    bar.ax.set_ylim(-limit if signed else 0, limit)
    bar.outline.set_visible(False)


def word_attributions(
    explanation: Explanation, corpus: Corpus | None = None, *, places: Sequence[int] = (), ax: Axes | None = None
) -> Axes:
    """Draw texts whose words are coloured by what they add to the logit of the emotion explained.

    Args:
        explanation: Of text.
        corpus: Tells the true emotions and, if words were planted, which; those are framed.
        places: Of the utterances in the explanation; the first six, if not given.
        ax: Where to draw.

    Raises:
        ValueError: If there is no utterance to draw.
        KeyError: If the corpus lacks an utterance.
    """
    items = [explanation[place] for place in places or range(len(explanation))[: SET.n_shown]]
    if not items:
        raise ValueError(f"{explanation!r} and places {places}; expected an utterance at least. Name its place.")
    truth = [_truth(corpus, item.utterance_id) for item in items]
    inches = 0.82 * WIDTH if ax is None else ax.bbox.width / ax.figure.dpi
    n_letters = int(72 * inches / (SET.letter_width * TEXT_SIZE))
    limit = float(np.abs(np.concatenate([item.values for item in items])).max(initial=0)) or 1.0
    texts = [_lines(item.names, n_letters) for item in items]
    tops = np.cumsum([0, *(1.5 + max((line for line, _, _ in text), default=0) for text in texts)])
    ax = _axes(ax, 1.1 + LINE / 72 * tops[-1])
    ax.set_axis_off()  # a unit is a letter to the right, a line downwards
    ax.set(xlim=(0, n_letters + 1), ylim=(max(tops[-1], 72 * ax.bbox.height / ax.figure.dpi / LINE - 3), 0))
    for item, text, top, (emotion, cues) in zip(items, texts, tops, truth, strict=False):
        about = textwrap.shorten(_header(item, emotion), int(1.25 * n_letters), placeholder=" …")
        ax.text(0, top + 0.5, about, fontsize=8, color=GREY, va="center", parse_math=False, in_layout=False)
        _write(ax, text, float(top), [HEAT((value / limit + 1) / 2) for value in item.values], cues)
    _key([ax], limit, signed=explanation.method != "attention")
    hits = [int(item.order[0]) in cues for item, (_, cues) in zip(items, truth, strict=True) if cues]
    title = f"A planted word adds most in {sum(hits)} of {len(hits)} texts" if hits else "What each word adds"
    shown = f"{len(items)} of {len(explanation):,} utterances", "frame: planted" * bool(hits)
    origin = [explanation.recognizer, "stand-in" * explanation.stand_in, explanation.method]
    origin += [f"baseline {explanation.baseline}", "synthetic sample" * explanation.synthetic]
    return titled(ax, title, *origin, *shown)


def _truth(corpus: Corpus | None, utterance_id: str) -> tuple[str, tuple[int, ...]]:
    """Return the true emotion of an utterance and the places of its planted words; "" and none, if not known."""
    if corpus is None:
        return "", ()
    rows = corpus.table[corpus.table["utterance_id"] == utterance_id]
    if rows.empty:
        raise KeyError(f"corpus {corpus.name!r} lacks {utterance_id!r}; expected every utterance. Hand over theirs.")
    cues = rows.iloc[0].get("cue_words")
    return str(rows.iloc[0]["emotion"]), cues if isinstance(cues, tuple) else ()


def _header(item: Attribution, emotion: str) -> str:
    """Say what is explained of an utterance, and the numbers of its strongest words."""
    logit = "" if np.isnan(item.logit) else f", logit {_signed(item.logit)}"
    order = np.argsort(-np.abs(item.values), kind="stable")[: SET.n_strongest]
    strongest = ", ".join(f"{item.names[place]} {_signed(float(item.values[place]))}" for place in order)
    known = f"labelled: {emotion}" * bool(emotion)
    return " · ".join(filter(None, [item.utterance_id, f"explained: {item.emotion}{logit}", known, strongest]))


def _lines(names: Sequence[str], n_letters: int) -> list[tuple[int, int, str]]:
    """Break words into lines of `n_letters`: the line, from 1, the letters before it, and the word, cut if too long."""
    cut = [name if len(name) <= n_letters else name[: n_letters - 1] + "…" for name in names]
    lines = textwrap.wrap(" ".join(cut), n_letters, break_long_words=False, break_on_hyphens=False)
    return [(n, word.start(), word[0]) for n, line in enumerate(lines, 1) for word in re.finditer(r"\S+", line)]


def _write(ax: Axes, text: Any, top: float, colours: Sequence[Any], cues: Collection[int]) -> None:
    """Write the words of an utterance, placed by `_lines`, in boxes of their colours, those of the cues framed."""
    for place, (line, column, word) in enumerate(text):
        edge, gid = (INK, "cue") if place in cues else ("none", "word")
        box = {"facecolor": colours[place], "edgecolor": edge, "linewidth": 1.3, "boxstyle": "square,pad=0.18"}
        ax.text(column + 0.4, top + line + 0.5, word, gid=gid, bbox=box, fontsize=TEXT_SIZE, **SET.word)
