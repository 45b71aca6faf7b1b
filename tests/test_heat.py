"""Figures of explanations: what is coloured, framed and written, and that nothing covers anything else."""

from __future__ import annotations

from collections.abc import Iterator
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
from matplotlib.colors import to_hex, to_rgb
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from emolab import heat
from emolab.corpora.corpus import Corpus
from emolab.explain.explanation import Attribution, Explanation
from tests.test_plots import COLOUR_BLIND, lab

TEXTS = {"u0": "Oh no, it broke.", "u1": "I am glad about this.", "u2": "No."}
LONG = " ".join(["What", "on", "earth", "$5", "did", "you", "think_of", "yesterday?"] * 8)[:-30]


@pytest.fixture(autouse=True)
def closed_figures() -> Iterator[None]:
    yield
    plt.close("all")


def facts(ax: Axes) -> str:
    return " ".join(text.get_text() for text in ax.texts if text.get_gid() == "facts").replace("\n", " ")


def of_text(key: str, text: str, values: Any = None) -> Attribution:
    names = tuple(text.split())
    values = np.linspace(-1, 1, len(names)) if values is None else np.asarray(values, float)
    return Attribution(key, "sad", names, values, np.full((len(names), 2), np.nan), logit=1.5, reference=0.0)


def of_sound(values: Any, **fields: Any) -> Attribution:
    starts = np.arange(len(values)) / 10
    names = tuple(f"{start:.1f} s" for start in starts)
    spans = fields.pop("spans", np.column_stack([starts, starts + 0.1]))
    return Attribution("u0", "sad", names, np.asarray(values, float), spans, **fields)


def explanation(*items: Attribution, **fields: Any) -> Explanation:
    return Explanation("text/toy", "occlusion", "text", "padding", items, **fields)


def corpus(**columns: list) -> Corpus:
    rows = [{"utterance_id": key, "speaker": key, "emotion": "happy", "text": text} for key, text in TEXTS.items()]
    rows = [row | {name: values[k] for name, values in columns.items()} for k, row in enumerate(rows)]
    return Corpus.from_rows("toy", rows, emotions=["happy", "sad"], root=Path("."))


def boxes(ax: Axes, *gids: str) -> list[Rectangle]:
    return [patch for patch in ax.patches if patch.get_gid() in gids]


def words_of(ax: Axes) -> list[Text]:
    return [text for text in ax.texts if text.get_fontsize() == heat.TEXT_SIZE]


@pytest.mark.parametrize("sight", COLOUR_BLIND)
def test_the_ends_of_the_scale_can_be_told_apart_from_each_other_and_from_nothing(sight: str) -> None:
    ends = [lab(to_hex(heat.HEAT(place)), sight) for place in (0.0, 0.5, 1.0)]
    assert min(np.linalg.norm(a - b) for a, b in combinations(ends, 2)) > 35
    lightness = [lab(to_hex(heat.HEAT(place)), sight)[0] for place in np.linspace(0, 1, 11)]
    assert (np.diff(lightness[:6]) > 0).all()
    assert (np.diff(lightness[5:]) < 0).all()


def test_text_can_be_read_on_every_colour_of_the_scale() -> None:
    for place in np.linspace(0, 1, 101):
        colour = to_hex(heat.HEAT(place))
        luminance = [
            np.where((rgb := np.array(to_rgb(c))) <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
            @ (0.2126, 0.7152, 0.0722)
            for c in (colour, heat._readable(colour))
        ]
        assert (max(luminance) + 0.05) / (min(luminance) + 0.05) >= 4.5


def test_facts_say_where_an_explanation_comes_from() -> None:
    assert heat.facts(explanation()) == "text/toy · occlusion · baseline padding"
    marked = explanation(stand_in=True, synthetic=True)
    assert heat.facts(marked) == "text/toy · stand-in · occlusion · baseline padding · synthetic sample"


def test_words_are_coloured_on_one_scale_and_the_strongest_underlined() -> None:
    items = of_text("u0", TEXTS["u0"], [2, -2, 0, 1]), of_text("u1", TEXTS["u1"], [-1, 0, 0, 0, 0])
    ax = heat.words(explanation(*items))
    assert [text.get_text() for text in words_of(ax)] == [word for key in ("u0", "u1") for word in TEXTS[key].split()]
    colours = [to_hex(box.get_facecolor()) for box in boxes(ax, "word")]
    assert colours[:3] == [heat.FOR, heat.AGAINST, "#ffffff"]
    assert colours[4] == to_hex(heat.HEAT(0.25))  # half as strong as the strongest of all
    assert [line.get_linestyle() for line in ax.lines] == ["-", "--", "-", "--"]  # nothing under words that are 0
    assert "text/toy · occlusion · baseline padding · 2 of 2 utterances" in facts(ax)
    named = [text.get_text() for text in ax.texts]
    assert {"against −2.00", "+2.00 for the emotion explained", "u0 · explained: sad, logit +1.50"} <= {*named}


def test_words_frame_what_was_planted_and_say_how_often_it_adds_most() -> None:
    items = [of_text(key, text) for key, text in TEXTS.items()]  # the last word adds most
    ax = heat.words(explanation(*items), corpus(cue_words=[(3,), (2, 3), None]))
    assert ax.get_title("left") == "A planted word adds most in 1 of 2 texts"
    assert len(boxes(ax, "cue")) == 3
    assert "frame: planted" in facts(ax)
    assert any(text.get_text().endswith("in the corpus: happy") for text in ax.texts)
    only = heat.words(explanation(*items), corpus(cue_words=[(3,), (2, 3), None]), places=[1])
    assert only.get_title("left") == "Not a planted word adds most"
    plain = heat.words(explanation(*items), corpus())
    assert plain.get_title("left") == "What each word adds"
    assert "planted" not in facts(plain)


@pytest.mark.parametrize("dpi", [72, 100, 200])
def test_words_wrap_and_never_cover_each_other(dpi: int) -> None:
    texts = [LONG, "No.", "a " + "x" * 300 + " b", ""]
    ax = heat.words(explanation(*(of_text(f"u{k}", text) for k, text in enumerate(texts))))
    ax.figure.set_dpi(dpi)
    ax.figure.draw_without_rendering()
    places = [box.get_window_extent() for box in boxes(ax, "word")]
    assert len(places) == len(LONG.split()) + 4
    assert not any(a.overlaps(b) for a, b in combinations(places, 2))
    for place, text in zip(places, words_of(ax), strict=True):
        inside = text.get_window_extent()
        assert place.x0 - 0.5 <= inside.x0 < inside.x1 <= place.x1 + 0.5, text
        assert ax.figure.bbox.x0 <= place.x0 < place.x1 <= ax.figure.bbox.x1
        assert ax.figure.bbox.y0 <= place.y0
    assert [text.get_text() for text in words_of(ax) if text.get_text().endswith("…")] != []


def test_words_of_zero_are_white() -> None:
    ax = heat.words(explanation(of_text("u0", "all of it", [0, 0, 0])))
    assert {to_hex(box.get_facecolor()) for box in boxes(ax, "word")} == {"#ffffff"}
    assert not ax.lines


def test_words_leave_out_what_does_not_fit_into_axes_given() -> None:
    _, ax = plt.subplots(figsize=(5, 2.5))
    items = [of_text(f"u{k}", "one two three") for k in range(6)]
    assert heat.words(explanation(*items), ax=ax) is ax
    assert "no room for" in facts(ax)
    assert 0 < len(words_of(ax)) < 18
    assert all(box.get_window_extent().y0 >= ax.bbox.y0 for box in boxes(ax, "word"))


def test_words_need_utterances_and_their_own_corpus() -> None:
    with pytest.raises(ValueError, match=r"0 utterances.* and places None; expected an utterance.*Name its place"):
        heat.words(explanation())
    with pytest.raises(KeyError, match=r"corpus 'toy' lacks \['u7'\]; expected.*Hand over"):
        heat.words(explanation(of_text("u7", "No.")), corpus())


WAVE = np.sin(np.arange(16_000) / 5).astype(np.float32)


def test_sound_draws_the_units_as_bars_and_columns() -> None:
    ax = heat.sound(of_sound([1, -2, 0.5]), WAVE[:4_800], note="audio/toy")
    strip, picture, key = ax.figure.axes
    assert ax is strip
    assert [bar.get_height() for bar in strip.patches] == [1, -2, 0.5]
    assert [to_hex(bar.get_facecolor()) for bar in strip.patches] == [heat.FOR, heat.AGAINST, heat.FOR]
    assert [round(column.get_x(), 6) for column in picture.patches] == [0.0, 0.1, 0.2]
    assert to_hex(picture.patches[1].get_facecolor()) == heat.AGAINST
    assert [label.get_text() for label in key.get_yticklabels()] == ["−2.00\nagainst", "0", "+2.00\nfor"]
    assert ax.get_title("left") == "Most for sad: 0.0 to 0.1 s (+1.00)"
    assert facts(ax) == "audio/toy · u0, 0.30 s"


def test_sound_draws_the_heat_of_mel_bands_where_there_is_one() -> None:
    bands = np.random.default_rng(0).normal(size=(50, 64)).astype(np.float32)
    ax = heat.sound(of_sound([1, -2, 0.5], native=bands), WAVE)
    assert [mesh.get_array().shape for mesh in ax.figure.axes[1].collections] == [(64, 101), (64, 50)]
    assert "heat: bands and frames, smoothed, the strongest 0.5 % beyond the scale" in facts(ax).replace(
        "\N{NO-BREAK SPACE}", " "
    )
    for native, names in ((bands[:, :20], ()), (bands, tuple(f"b{k}" for k in range(64)))):
        other = heat.sound(of_sound([1, -2, 0.5], native=native, native_names=names), WAVE)
        assert len(other.figure.axes[1].collections) == 1  # the spectrogram alone


def test_sound_draws_f0_and_frames_the_cue_on_both_panels() -> None:
    pitch = np.full(100, 200.0)
    ax = heat.sound(of_sound([1.0, 2.0]), WAVE, f0=pitch, cue=(0.1, 0.4))
    strip, picture, _ = ax.figure.axes
    assert picture.lines[0].get_ydata().tolist() == pitch.tolist()
    for panel in (strip, picture):
        (frame,) = boxes(panel, "cue")
        assert (frame.get_x(), round(frame.get_width(), 6)) == (0.1, 0.3)
    assert "line: f0 · frame: planted cue" in facts(ax)


@pytest.mark.parametrize("n_words", [1, 12, 60])
def test_sound_writes_words_where_they_begin_and_none_covers_another(n_words: int) -> None:
    words = [(f"word{k}"[: 2 + k % 7], 0.9 * k / n_words) for k in range(n_words)]
    ax = heat.sound(of_sound(np.ones(10)), WAVE, words=[*words, ("last", 0.99)])
    ax.figure.draw_without_rendering()
    written = [text for text in ax.texts if text.get_fontsize() == heat.WORD_SIZE]
    places = [text.get_window_extent() for text in written]
    assert not any(a.overlaps(b) for a, b in combinations(places, 2))
    assert all(ax.bbox.x0 <= place.x0 and place.x1 <= ax.bbox.x1 + 1 for place in places)
    start = ax.transData.transform((words[0][1], 0))[0]
    assert start <= places[0].x0 <= start + 5
    top = max(bar.get_window_extent().y1 for bar in ax.patches)
    assert min(place.y0 for place in places) >= top - 1
    left_out = n_words + 1 - len(written)
    assert ("no room for" in facts(ax)) == (left_out > 0)
    assert left_out == 0 or f"no room for {left_out} words" in facts(ax)


def test_sound_counts_units_without_spans_and_needs_one_with() -> None:
    some = of_sound([3, 1, 2], spans=np.array([[np.nan, np.nan], [0, 0.1], [0.1, 0.2]]))
    ax = heat.sound(some, WAVE)
    assert "1 units without a span left out" in facts(ax)
    assert len(ax.patches) == 2
    none = of_sound([3, 1], spans=np.full((2, 2), np.nan))
    with pytest.raises(ValueError, match=r"no unit has a span of 'u0'; expected seconds\. Explain the sound"):
        heat.sound(none, WAVE)


def test_sound_says_that_nothing_speaks_for_the_emotion() -> None:
    assert heat.sound(of_sound([0, 0]), WAVE).get_title("left") == "Nothing speaks for sad"
    assert heat.sound(of_sound([-1, 0]), WAVE).get_title("left") == "Nothing speaks for sad"


def test_faces_show_six_frames_and_the_strongest_among_them() -> None:
    values = np.zeros(20)
    values[[0, 5]] = -1, 2
    pictures = np.zeros((20, 8, 6, 3), np.uint8)
    ax = heat.faces(of_sound(values), pictures, note="video/toy")
    names = [label.get_text() for label in ax.get_xticklabels()]
    assert names == ["0.00 s\n−1.00", "0.50 s\n+2.00", "0.80 s\n0", "1.10 s\n0", "1.50 s\n0", "1.90 s\n0"]
    assert [image.get_array().shape for image in ax.images] == [(8, 6, 3), (1, 1)] * 6
    assert [float(image.get_array()[0, 0]) for image in ax.images[1::2]] == [-1, 2, 0, 0, 0, 0]
    assert "video/toy · u0 · 6 of 20 frames" in facts(ax)


def test_faces_show_the_heat_of_pixels_where_there_is_one() -> None:
    pixels = np.random.default_rng(0).normal(size=(3, 4, 4)).astype(np.float32)
    ax = heat.faces(of_sound([1, 2, 3], native=pixels), np.zeros((3, 8, 8, 3), np.uint8))
    assert [image.get_array().shape for image in ax.images] == [(8, 8), (4, 4)] * 3
    ends = {image.get_clim() for image in ax.images[1::2]}
    ((low, high),) = ends
    assert low == -high


def test_faces_need_a_picture_a_unit() -> None:
    with pytest.raises(
        ValueError, match=r"shape \(2, 4, 4, 3\) for 3 units of 'u0'; expected .* a picture a unit\. Take"
    ):
        heat.faces(of_sound([1, 2, 3]), np.zeros((2, 4, 4, 3), np.uint8))


def of_modalities(*rows: tuple[float, ...]) -> Explanation:
    names = ("audio", "text", "video")
    empty = np.full((3, 2), np.nan)
    items = [
        Attribution(f"u{k}", "sad", names[: len(row)], np.array(row), empty[: len(row)]) for k, row in enumerate(rows)
    ]
    return Explanation("late/toy", "shapley", "modality", "prior", tuple(items))


def test_modalities_draw_means_with_intervals_and_every_utterance() -> None:
    one = of_modalities((1.0, 3.0, 0.0), (0.0, 1.0, 0.0), (2.0, 2.0))
    ax = heat.modalities(one, corpus())
    assert [label.get_text() for label in ax.get_yticklabels()] == ["audio", "text", "video"]
    dots = [each for each in ax.collections if hasattr(each, "get_offsets") and len(each.get_offsets())]
    clouds, means = dots[0::3], dots[2::3]
    assert [len(cloud.get_offsets()) for cloud in clouds] == [3, 3, 2]
    assert [float(mean.get_offsets()[0][0]) for mean in means] == [1.0, 2.0, 0.0]
    assert ax.get_title("left") == "Text adds most: +2.00 on average"
    assert "n = 3 · faint: utterances" in facts(ax)
    assert "bootstrap of speakers" in facts(ax)


def test_modalities_draw_speakers_whole() -> None:
    values, speakers = np.repeat([0.0, 1.0, 4.0], 50), [f"s{k // 50}" for k in range(150)]
    apart, together = heat._mean(values, [str(k) for k in range(150)]), heat._mean(values, speakers)
    assert apart[0] == together[0] == pytest.approx(5 / 3)
    assert together[1] < apart[1] < apart[2] < together[2]
    assert np.isnan(heat._mean(np.array([1.0]), ["a"])).tolist() == [False, True, True]


def test_modalities_compare_explanations_by_name_and_need_units() -> None:
    ax = heat.modalities({"a": of_modalities((1.0, 0.0)), "b": of_modalities((5.0, 0.0))})
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]
    assert ax.get_title("left") == "Audio of b adds most: +5.00 on average"
    with pytest.raises(ValueError, match=r"1 explanations without units; expected modalities\. Take method shapley"):
        heat.modalities(of_modalities())


def cells(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts if text.get_gid() == "cell"]


def test_scorecard_colours_each_column_by_its_own_range() -> None:
    table = pd.DataFrame({"hit": [0.9, 0.1, np.nan], "seconds": [1500.0, 2.0, 0.004]}, ["a · x", "b · x", "c · x"])
    ax = heat.scorecard(table, low_is_good=["seconds"])
    shades = np.ma.filled(ax.images[0].get_array().astype(float), np.nan)
    np.testing.assert_allclose(shades[:, 0], [1, 0, np.nan])
    np.testing.assert_allclose(shades[:, 1], [0, 1498 / 1500, 1], atol=1e-5)
    assert cells(ax) == ["0.90", "1,500", "0.10", "2", "–", "0.004"]
    assert [text.get_text() for text in ax.texts if text.get_rotation()] == ["↑ hit", "↓ seconds"]
    bold = [text.get_text() for text in ax.texts if text.get_gid() == "cell" and text.get_fontweight() == "bold"]
    assert bold == ["0.90", "0.004"]
    (gap,) = boxes(ax, "gap")
    assert (gap.get_x(), gap.get_y()) == (-0.5, 1.5)
    assert "–: not measured" in facts(ax)


def test_scorecard_can_be_read_with_many_rows_and_columns() -> None:
    names = [f"audio/network-{k // 5} · integrated-gradients" for k in range(25)]
    table = pd.DataFrame(
        np.random.default_rng(0).normal(size=(25, 14)), names, [f"a long score {k}" for k in range(14)]
    )
    ax = heat.scorecard(table)
    ax.figure.draw_without_rendering()
    places = [text.get_window_extent() for text in ax.texts if text.get_gid() == "cell"]
    assert len(places) == 25 * 14
    assert not any(a.overlaps(b) for a, b in combinations(places, 2))
    headings = [text.get_window_extent() for text in ax.texts if text.get_rotation()]
    assert max(box.y1 for box in headings) < ax.bbox.y1 + 1
    assert max(box.x1 for box in headings) <= ax.figure.bbox.x1
    assert min(text.get_fontsize() for text in ax.texts if text.get_gid() == "cell") > 5


def test_scorecard_shows_equal_infinite_and_tiny_numbers() -> None:
    table = pd.DataFrame({"same": [0.5, 0.5], "far": [np.inf, -1.0], "tiny": [0.0, -3.2e-5]})
    ax = heat.scorecard(table)
    shades = np.ma.filled(ax.images[0].get_array().astype(float), np.nan)
    assert shades[:, 0].tolist() == [0.5, 0.5]
    assert np.isnan(shades[0, 1])
    assert cells(ax) == ["0.50", "∞", "0.000", "0.50", "−1.00", "−3e−5"]


def test_scorecard_needs_numbers_and_knows_its_columns() -> None:
    table = pd.DataFrame({"hit": [1.0], "name": ["x"]})
    with pytest.raises(
        ValueError, match=r"no column \['cost'\]; expected some of \['hit', 'name'\]\. Correct low_is_good"
    ):
        heat.scorecard(table, low_is_good=["cost"])
    with pytest.raises(ValueError, match=r"table \(1, 2\) of .*; expected numbers\. Choose its columns"):
        heat.scorecard(table)
    with pytest.raises(ValueError, match=r"table \(0, 0\)"):
        heat.scorecard(pd.DataFrame())


def test_over_time_draws_a_panel_an_emotion_with_the_same_curves() -> None:
    mean = np.linspace(-1, 1, 5)
    curves = {"relevance": (mean, mean - 0.1, mean + 0.1), "f0": (-mean, -mean - 1, -mean + 1)}
    ax = heat.over_time({"sad": curves, "happy": curves, "angry": curves, "calm": curves}, note="n = 4")
    panels = [panel for panel in ax.figure.axes if panel is not ax]
    assert [panel.get_title("left") for panel in panels] == ["sad", "happy", "angry", "calm"]
    for panel in panels:
        relevance, pitch, _ = panel.lines
        assert relevance.get_xydata()[[0, -1]].tolist() == [[0, -1], [1, 1]]
        assert relevance.get_linestyle() != pitch.get_linestyle()
        assert len(panel.collections) == 2
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["relevance", "f0"]
    assert ax.get_title("left") == "Relevance and f0 over an utterance"
    assert facts(ax) == "0: beginning, 1: end · n = 4"


def test_over_time_needs_one_set_of_curves() -> None:
    with pytest.raises(ValueError, match=r"0 panels with 0 sets of curves; expected one set\. Name them alike"):
        heat.over_time({})
    one = {"f0": ([0, 1], [0, 1], [0, 1])}
    with pytest.raises(ValueError, match="2 panels with 2 sets"):
        heat.over_time({"sad": one, "happy": {"energy": one["f0"]}})
