"""Figures: what is drawn, in which order and colour, what is said about it, and that nothing covers anything else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.text import Text

from emolab import plots
from emolab.corpora.corpus import EMOTIONS, VIEWS, Corpus
from emolab.evaluation import CrossValidation, Interval, Report, report
from emolab.explain.explanation import Attribution, Explanation
from emolab.training import History

FOUR = VIEWS["iemocap4"].emotions


@pytest.fixture(autouse=True)
def closed_figures() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture
def result() -> Report:
    """Twenty utterances, four of five recognised; a wrong one is always taken for the next emotion."""
    truth = [emotion for emotion in FOUR for _ in range(5)]
    probabilities = np.full((20, 4), 0.1)
    for k in range(20):
        probabilities[k, (k // 5 + (k % 5 == 0)) % 4] = 0.7
    said = report(truth, probabilities, emotions=FOUR, clusters=[f"s{k % 5}" for k in range(20)])
    return replace(said, recognizer="toy/model", corpus="toy")


def facts(ax: Axes) -> str:
    """Return the grey line under the title."""
    lines = " ".join(text.get_text() for text in ax.texts if text.get_gid() == "facts")
    return lines.replace("\n", " · ").replace("\N{NO-BREAK SPACE}", " ")


def tick_labels(ax: Axes) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]


def legend(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def line_label(ax: Axes, label: str) -> list:
    return [artist for artist in (*ax.lines, *ax.collections) if artist.get_label() == label]


def drawn(ax: Axes) -> np.ndarray:
    """Return the values, lows and highs drawn first."""
    lines = next(lines for lines in ax.collections if isinstance(lines, LineCollection))
    dots = next(dots for dots in ax.collections if isinstance(dots, PathCollection))
    return np.column_stack([dots.get_offsets()[:, 0], [path.vertices[:, 0] for path in lines.get_paths()]])


# Machado, Oliveira and Fernandes 2009, full deficiency
COLOUR_BLIND = {
    "normal": np.eye(3),
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "tritanopia": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}


def lab(colour: str, sight: str) -> np.ndarray:
    """Return the CIELAB place of a colour as some eyes see it."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.asarray(COLOUR_BLIND[sight]) @ linear, 0, 1)
    to_xyz = np.array([[0.4339, 0.3762, 0.1899], [0.2126, 0.7152, 0.0722], [0.0178, 0.1095, 0.8727]])  # white is 1
    x, y, z = np.cbrt(to_xyz @ seen)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_emotion_colors_cover_every_emotion_once() -> None:
    assert set(plots.EMOTION_COLORS) == set(EMOTIONS)
    assert len(set(plots.EMOTION_COLORS.values())) == len(EMOTIONS)


@pytest.mark.parametrize("sight", COLOUR_BLIND)
@pytest.mark.parametrize("view", VIEWS)
def test_emotion_colors_of_a_view_can_be_told_apart(view: str, sight: str) -> None:
    places = [lab(plots.EMOTION_COLORS[emotion], sight) for emotion in VIEWS[view].emotions]
    assert min(np.linalg.norm(a - b) for a, b in combinations(places, 2)) > 20


def test_style_leaves_the_users_settings_alone(result: Report) -> None:
    before = dict(plt.rcParams)
    plots.confusion_matrix(result)
    assert dict(plt.rcParams) == before


def test_confusion_matrix_shows_per_cent_of_the_row_and_counts(result: Report) -> None:
    ax = plots.confusion_matrix(result)
    np.testing.assert_allclose(np.diag(ax.collections[0].get_array().reshape(4, 4)), 0.8)
    cells = [text.get_text() for text in ax.texts if not text.get_gid()]
    assert cells[:2] == ["80\n4", "20\n1"]
    assert tick_labels(ax)[0] == "neutral (5)"
    assert ax.get_title("left") == "Most often confused: neutral taken for happy (20\N{NO-BREAK SPACE}%)"
    assert "UA 0.800 [" in facts(ax)


def test_compare_reports_draws_rows_intervals_and_chance(result: Report) -> None:
    sample = replace(result, corpus="sample", synthetic=True)
    ax = plots.compare_reports({"first": result, "second": sample}, metric="ua")
    assert tick_labels(ax) == ["first", "second"]
    (chance,) = line_label(ax, "chance")
    assert [segment[0, 0] for segment in chance.get_segments()] == [0.25, 0.25]
    assert any(text.get_text().startswith("0.800 [") for text in ax.texts)
    assert "toy, sample (synthetic sample) · n = 20" in facts(ax)


def test_compare_reports_names_the_best(result: Report) -> None:
    def title(**reports: Report) -> str:
        return plots.compare_reports(reports).get_title("left")

    sure = replace(result, probabilities=np.eye(4)[np.arange(20) // 5])
    worse = replace(result, probabilities=np.eye(4)[(np.arange(20) // 5 + 1) % 4])
    assert title(a=worse, b=sure) == "Highest: b"
    assert title(a=result, b=worse, c=result) == "Highest: a and c"


def test_intervals_of_several_tables_are_named_and_hide_no_dot(result: Report) -> None:
    table = result.per_emotion[["f1", "f1_low", "f1_high"]]
    alone = plots.intervals({"": table})
    np.testing.assert_allclose(drawn(alone), table)
    dots = [dots for dots in alone.collections if isinstance(dots, PathCollection)]
    assert [to_hex(colour) for colour in dots[0].get_facecolor()] == [plots.EMOTION_COLORS[name] for name in FOUR]
    ax = plots.intervals({"one": table, "two": table})
    assert legend(ax) == ["one", "two"]
    dots = [dots for dots in ax.collections if isinstance(dots, PathCollection)]
    heights = np.concatenate([each.get_offsets()[:, 1] for each in dots])
    assert len(set(heights.round(6))) == 2 * len(FOUR)


def test_values_without_an_interval_are_drawn_as_points_alone() -> None:
    table = pd.DataFrame([Interval(0.5, np.nan, np.nan), Interval(0.6, 0.62, 0.7)], ["a", "b"])
    ax = plots.intervals({"": table})
    assert tick_labels(ax) == ["a", "b"]
    np.testing.assert_allclose(drawn(ax), [[0.5, np.nan, np.nan], [0.6, 0.62, 0.7]])  # need not hold its value
    ax.figure.draw_without_rendering()


def test_compare_reports_takes_cross_validations_and_shows_their_seeds(result: Report) -> None:
    many = CrossValidation({7: result, 8: result}, "actors-6-folds", ("audio",), False, (1.0,))
    ax = plots.compare_reports({"small": many})
    places = [dots.get_offsets()[0] for dots in ax.collections if isinstance(dots, PathCollection)]
    assert [x for x, _ in places] == [pytest.approx(0.8)] * 2  # the mean, then the seeds
    assert "single seeds" in facts(ax)


def test_compare_reports_needs_reports_and_a_known_metric(result: Report) -> None:
    with pytest.raises(ValueError, match=r"0 reports.*expected at least one.*Hand over"):
        plots.compare_reports({})
    with pytest.raises(ValueError, match=r"metric 'auc'; expected.*'weighted_f1'"):
        plots.compare_reports({"one": result}, metric="auc")


def test_compare_reports_has_no_chance_for_the_calibration_error(result: Report) -> None:
    assert not line_label(plots.compare_reports({"one": result}, metric="ece"), "chance")


def test_size_classes_can_be_told_apart() -> None:
    for sight in COLOUR_BLIND:
        pairs = combinations(plots.SIZE_COLORS.values(), 2)
        assert min(np.linalg.norm(lab(a, sight) - lab(b, sight)) for a, b in pairs) > 15


def test_learning_curves_mark_the_best_epoch() -> None:
    history = History("loss", [2.0, 1.0, 0.5], [2.0, 1.5, 1.8], [0.3, 0.5, 0.6], [1.0, 1.0, 1.0])
    ax = plots.learning_curves(history, n_emotions=4, note="synthetic sample")
    (loss, score) = ax.figure.axes
    assert loss is ax
    assert legend(loss) == ["training", "validation"]
    for panel, value in ((loss, 1.5), (score, 0.5)):
        (line,) = [line for line in panel.lines if line.get_label() in ("validation", "valid_score")]
        (best,) = line.get_markevery()
        assert line.get_xydata()[best].tolist() == [2, value]
    assert line_label(score, "chance")[0].get_ydata()[0] == 0.25
    assert "synthetic sample" in facts(ax)
    with pytest.raises(ValueError, match=r"no epochs; expected at least one"):
        plots.learning_curves(History())


def test_spectrogram_has_an_axis_of_hertz_where_f0_and_tone_meet() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000).astype(np.float32)
    ax = plots.spectrogram(tone, f0=np.full(100, 1000.0), cue=(0.2, 0.4), note="synthetic sample")
    image = ax.collections[0]
    edges = image.get_coordinates()[:, 0, 1]
    loudest = int(np.asarray(image.get_array())[:, 50].argmax())
    assert edges[loudest] <= 1000 <= edges[loudest + 1]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), 1000)
    (cue,) = [patch for patch in ax.patches if patch.get_gid() == "cue"]
    assert (cue.get_x(), cue.get_width()) == pytest.approx((0.2, 0.2))
    assert ax.get_xlim() == (0, 1)
    assert ax.get_ylim()[1] == pytest.approx(8000, rel=0.03)
    assert facts(ax) == "1.00 s · white line: f0 · blue frame: cue · synthetic sample"


def test_faces_choose_frames_over_the_whole_time() -> None:
    frames = np.zeros((30, 9, 16, 3), np.uint8)
    ax = plots.faces(frames, np.arange(30) / 10)
    assert ax.images[0].get_array().shape == (9, 6 * 16, 3)
    assert [label.get_text() for label in ax.get_xticklabels()][::5] == ["0.00 s", "2.90 s"]
    assert "6 of 30 frames" in facts(ax)
    with pytest.raises(ValueError, match=r"frames \(0, 9, 16, 3\); expected.*at least one"):
        plots.faces(frames[:0])


def test_figures_are_drawn_on_the_axes_handed_in(result: Report) -> None:
    _, (left, right) = plt.subplots(1, 2)
    assert plots.confusion_matrix(result, ax=left) is left
    assert plots.compare_reports({"toy": result}, ax=right) is right
    assert len(plt.get_fignums()) == 1


def test_titled_replaces_what_stood_there(result: Report) -> None:
    ax = plots.titled(plots.confusion_matrix(result), "Mine", "fact")
    assert (ax.get_title("left"), facts(ax)) == ("Mine", "fact")


def test_titled_breaks_lines_between_facts_only() -> None:
    given = "marker: mean of all utterances", "ellipse: one standard deviation each way", "n = 5,531", "a note"
    ax = plots.titled(plt.subplots(figsize=(5, 3))[1], "Title", *given, "")
    (text,) = [text.get_text() for text in ax.texts]
    assert "\n" in text
    assert text.replace("\n", " · ").replace("\N{NO-BREAK SPACE}", " ").split(" · ") == list(given)


# ---------------------------------------------------------------- explanations

TEXTS = {"u0": "Oh no, it broke.", "u1": "I am glad about this.", "u2": "No."}
LONG = " ".join(["What", "on", "earth", "$5", "did", "you", "think_of", "yesterday?"] * 8)[:-30]


def of_text(key: str, text: str, values: Any = None) -> Attribution:
    names = tuple(text.split())
    values = np.linspace(-1, 1, len(names)) if values is None else np.asarray(values, float)
    return Attribution(key, "sad", names, values, np.full((len(names), 2), np.nan), logit=1.5, reference=0.0)


def explanation(*items: Attribution, **fields: Any) -> Explanation:
    return Explanation("text/toy", fields.pop("method", "occlusion"), "text", "padding", items, **fields)


def of_texts(**columns: list) -> Corpus:
    rows = [{"utterance_id": key, "speaker": key, "emotion": "happy", "text": text} for key, text in TEXTS.items()]
    rows = [row | {name: values[k] for name, values in columns.items()} for k, row in enumerate(rows)]
    return Corpus.from_rows("toy", rows, emotions=["happy", "sad"], root=Path("."))


def words_of(ax: Axes, *gids: str) -> list[Text]:
    return [text for text in ax.texts if text.get_gid() in (gids or ("word", "cue"))]


def luminance(colour: str) -> float:
    rgb = np.array(to_rgb(colour))
    return float(np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722))


@pytest.mark.parametrize("sight", COLOUR_BLIND)
def test_the_ends_of_the_scale_can_be_told_apart_from_each_other_and_from_nothing(sight: str) -> None:
    ends = [lab(to_hex(plots.HEAT(place)), sight) for place in (0.0, 0.5, 1.0)]
    assert min(np.linalg.norm(a - b) for a, b in combinations(ends, 2)) > 35
    lightness = [lab(to_hex(plots.HEAT(place)), sight)[0] for place in np.linspace(0, 1, 11)]
    assert (np.diff(lightness[:6]) > 0).all()
    assert (np.diff(lightness[5:]) < 0).all()


def test_black_text_can_be_read_on_every_colour_of_the_scale() -> None:
    darkest = min(luminance(to_hex(plots.HEAT(place))) for place in np.linspace(0, 1, 101))
    assert (darkest + 0.05) / 0.05 >= 4.5  # WCAG 2


def test_word_attributions_share_one_scale_and_name_the_strongest() -> None:
    items = of_text("u0", TEXTS["u0"], [2, -2, 0, 1]), of_text("u1", TEXTS["u1"], [-1, 0, 0, 0, 0])
    ax = plots.word_attributions(explanation(*items))
    assert [text.get_text() for text in words_of(ax)] == [word for key in ("u0", "u1") for word in TEXTS[key].split()]
    assert {text.get_color() for text in words_of(ax)} == {"black"}
    colours = [to_hex(text.get_bbox_patch().get_facecolor()) for text in words_of(ax)]
    assert colours[:3] == [plots.FOR, plots.AGAINST, "#ffffff"]
    assert colours[4] == to_hex(plots.HEAT(0.25))  # half as strong as the strongest of all
    assert "text/toy · occlusion · baseline padding · 2 of 2 utterances" in facts(ax)
    assert "u0 · explained: sad, logit +1.50 · Oh +2.00, no, −2.00" in {text.get_text() for text in ax.texts}
    key = ax.figure.axes[1]
    assert [label.get_text() for label in key.get_yticklabels()] == ["−2.00\nagainst", "0", "+2.00\nfor"]


def test_word_attributions_name_stand_ins_and_the_sample() -> None:
    ax = plots.word_attributions(explanation(of_text("u2", "No."), stand_in=True, synthetic=True))
    assert "text/toy · stand-in · occlusion · baseline padding · synthetic sample" in facts(ax)


def test_attention_has_no_sign() -> None:
    ax = plots.word_attributions(explanation(of_text("u0", "No way.", [0.2, 0.8]), method="attention"))
    key = ax.figure.axes[1]
    assert key.get_ylim() == (0, 0.8)
    assert key.get_yticklabels()[-1].get_text() == "0.8\nattention"


def test_word_attributions_frame_what_was_planted_and_say_how_often_it_adds_most() -> None:
    items = [of_text(key, text) for key, text in TEXTS.items()]  # the last word adds most
    told = of_texts(cue_words=[(3,), (2, 3), None])
    ax = plots.word_attributions(explanation(*items), told)
    assert ax.get_title("left") == "A planted word adds most in 1 of 2 texts"
    assert [text.get_text() for text in words_of(ax, "cue")] == ["broke.", "glad", "about"]
    frames = {text.get_bbox_patch().get_edgecolor() for text in words_of(ax, "word")}
    assert frames == {(0.0, 0.0, 0.0, 0.0)}
    assert "frame: planted" in facts(ax)
    assert any("labelled: happy" in text.get_text() for text in ax.texts)
    only = plots.word_attributions(explanation(*items), told, places=[1])
    assert only.get_title("left") == "A planted word adds most in 0 of 1 texts"
    assert "1 of 3 utterances" in facts(only)
    plain = plots.word_attributions(explanation(*items), of_texts())
    assert plain.get_title("left") == "What each word adds"
    assert "planted" not in facts(plain)


@pytest.mark.parametrize("dpi", [72, 100, 200])
@pytest.mark.parametrize("given", [False, True])
def test_word_attributions_wrap_and_never_cover_each_other(dpi: int, given: bool) -> None:
    texts = [LONG, "No.", "a " + "x" * 300 + " b", ""]
    ax = plt.subplots(figsize=(9, 5), layout="constrained")[1] if given else None
    ax = plots.word_attributions(explanation(*(of_text(f"u{k}", text) for k, text in enumerate(texts))), ax=ax)
    ax.figure.set_dpi(dpi)
    ax.figure.draw_without_rendering()
    places = [text.get_window_extent() for text in words_of(ax)]
    assert len(places) == len(LONG.split()) + 4
    assert not any(a.overlaps(b) for a, b in combinations(places, 2))
    for place in places:
        assert ax.figure.bbox.x0 <= place.x0 < place.x1 <= ax.figure.axes[1].bbox.x0  # the key
        assert ax.bbox.y0 - 1 <= place.y0 < place.y1 <= ax.bbox.y1 + 1
    assert [text.get_text() for text in words_of(ax) if text.get_text().endswith("…")] != []


def test_words_of_zero_are_white() -> None:
    ax = plots.word_attributions(explanation(of_text("u0", "all of it", [0, 0, 0])))
    assert {to_hex(text.get_bbox_patch().get_facecolor()) for text in words_of(ax)} == {"#ffffff"}


def test_word_attributions_need_utterances_and_their_own_corpus() -> None:
    with pytest.raises(ValueError, match=r"0 utterances.* and places \(\); expected an utterance.*Name its place"):
        plots.word_attributions(explanation())
    with pytest.raises(KeyError, match=r"corpus 'toy' lacks 'u7'; expected.*Hand over"):
        plots.word_attributions(explanation(of_text("u7", "No.")), of_texts())
