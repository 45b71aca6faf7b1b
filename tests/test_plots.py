"""Figures: what is drawn, in which order and colour, and what is said about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.text import Text

from emolab import plots
from emolab.corpora.corpus import Corpus
from emolab.corpora.labels import EMOTIONS, VIEWS
from emolab.evaluation import CrossValidation, Report, report
from emolab.training import History

FOUR = VIEWS["iemocap4"].emotions
N_EACH = {"neutral": 6, "happy": 3, "angry": 2, "sad": 1}


@pytest.fixture(autouse=True)
def closed_figures() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture
def corpus() -> Corpus:
    labels = [emotion for emotion, n in N_EACH.items() for _ in range(n)]
    rows = [
        {
            "utterance_id": f"u{k}",
            "speaker": f"s{k % 4}",
            "gender": ("female", "male")[k % 2],
            "emotion": emotion,
            "votes": {emotion: 2, "other": 1} if k % 3 else {emotion: 3},
            "valence": 1 + k % 4,
            "arousal": 1 + k % 5,
            "start": 0.0,
            "end": 1.0 + k,
        }
        for k, emotion in enumerate(labels)
    ]
    return Corpus.from_rows("toy", rows, emotions=FOUR, root=Path("."))


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
    return " ".join(text.get_text() for text in ax.texts if text.get_gid() == "facts").replace("\n", " ")


def tick_labels(ax: Axes) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]


def legend(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def line_label(ax: Axes, label: str) -> list:
    return [artist for artist in (*ax.lines, *ax.collections) if artist.get_label() == label]


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
    assert set(plots.EMOTION_COLORS) == set(EMOTIONS) == set(plots.EMOTION_MARKERS)
    assert len(set(plots.EMOTION_COLORS.values())) == len(set(plots.EMOTION_MARKERS.values())) == len(EMOTIONS)


@pytest.mark.parametrize("sight", COLOUR_BLIND)
@pytest.mark.parametrize("view", VIEWS)
def test_emotion_colors_of_a_view_can_be_told_apart(view: str, sight: str) -> None:
    places = [lab(plots.EMOTION_COLORS[emotion], sight) for emotion in VIEWS[view].emotions]
    assert min(np.linalg.norm(a - b) for a, b in combinations(places, 2)) > 20


def test_style_leaves_the_users_settings_alone(corpus: Corpus) -> None:
    before = dict(plt.rcParams)
    plots.class_balance(corpus)
    assert dict(plt.rcParams) == before


def test_class_balance_draws_a_bar_for_each_emotion_in_order_and_colour(corpus: Corpus) -> None:
    ax = plots.class_balance(corpus)
    assert [bar.get_width() for bar in ax.patches] == list(N_EACH.values())
    assert tick_labels(ax) == list(FOUR)
    assert ax.yaxis_inverted()  # so that the first is on top
    assert [to_hex(bar.get_facecolor()) for bar in ax.patches] == [plots.EMOTION_COLORS[emotion] for emotion in FOUR]
    assert ax.get_title("left") == "Sad is rarest: neutral is 6 times as frequent"
    assert "n = 12" in facts(ax)


def test_class_balance_splits_bars_and_loses_nobody(corpus: Corpus) -> None:
    corpus.table.loc[0, "gender"] = None
    ax = plots.class_balance(corpus, by="gender")
    assert len(ax.patches) == 3 * len(FOUR)
    assert sum(bar.get_width() for bar in ax.patches) == len(corpus)
    assert set(legend(ax)) == {"not stated, 1", "male, 6", "female, 5"}


def test_class_balance_and_agreement_leave_out_emotions_without_utterances_and_say_so(corpus: Corpus) -> None:
    wider = replace(corpus, emotions=("calm", *FOUR, "surprised"))
    for draw in (plots.class_balance, plots.agreement):
        ax = draw(wider)
        assert [label.split(" (")[0] for label in tick_labels(ax)] == list(FOUR)
        assert "no utterances: calm, surprised" in facts(ax)
        assert "no utterances" not in facts(draw(corpus))


@pytest.mark.parametrize(
    ("counts", "title"),
    [
        ((96, 192, 192, 192), "Neutral is rarest: the others are 2 times as frequent"),
        ((1, 3, 4, 4), "Neutral is rarest: the commonest are 4 times as frequent"),
        ((2, 2, 3, 5), "Neutral and happy are rarest: sad is 2.5 times as frequent"),
        ((1, 1500, 2, 3), "Neutral is rarest: happy is 1,500 times as frequent"),
        ((3, 3, 3, 3), "All 4 emotions are equally frequent"),
    ],
)
def test_class_balance_names_the_rarest_in_a_sentence(corpus: Corpus, counts: tuple[int, ...], title: str) -> None:
    emotions = np.repeat(FOUR, counts)
    rows = [{"utterance_id": f"u{k}", "speaker": "s", "emotion": emotion} for k, emotion in enumerate(emotions)]
    ax = plots.class_balance(Corpus.from_rows("toy", rows, emotions=FOUR, root=corpus.root))
    assert ax.get_title("left").replace("\n", " ") == title


def test_class_balance_says_which_columns_there_are(corpus: Corpus) -> None:
    with pytest.raises(
        ValueError,
        match=r"cannot split by 'mood'; expected a column of at most 4 values out of .*'gender'.*Name another",
    ):
        plots.class_balance(corpus, by="mood")
    with pytest.raises(ValueError, match=r"cannot split by 'utterance_id'"):
        plots.class_balance(corpus, by="utterance_id")
    assert not plt.get_fignums()


@pytest.mark.parametrize("draw", [plots.class_balance, plots.durations, plots.agreement, plots.valence_arousal])
def test_figures_of_the_sample_say_so(corpus: Corpus, draw) -> None:
    assert "synthetic sample" in facts(draw(replace(corpus, synthetic=True)))
    assert "synthetic" not in facts(draw(corpus))


def test_an_emotion_of_the_users_own_has_a_fixed_colour(corpus: Corpus) -> None:
    own = replace(corpus, emotions=(*FOUR, "bored"), table=corpus.table.replace({"emotion": {"sad": "bored"}}))
    colours = [to_hex(plots.class_balance(own).patches[3].get_facecolor()) for _ in range(2)]
    assert colours[0] == colours[1]


def test_durations_state_the_median_and_the_groups(corpus: Corpus) -> None:
    ax = plots.durations(corpus)
    assert ax.get_title("left").startswith("Half of the utterances are shorter than 6.5 s")
    assert tick_labels(ax) == ["neutral (6)", "happy (3)", "angry (2)", "sad (1)"]


def test_durations_name_what_lies_beyond_the_axis(corpus: Corpus) -> None:
    table = corpus.table.loc[np.arange(1200) % 12].reset_index(drop=True)
    many = replace(corpus, table=table.assign(utterance_id=table.index.astype("string")))
    ax = plots.durations(many, [2.0] * 1199 + [300.0])
    assert "1 beyond 2 s, up to 300 s" in facts(ax)
    assert ax.get_xlim()[1] < 10


def test_durations_without_times_ask_for_seconds(corpus: Corpus) -> None:
    timeless = replace(corpus, table=corpus.table.assign(start=np.nan, end=np.nan))
    with pytest.raises(ValueError, match=r"'toy' has no start and end; expected them, or `seconds`.*Hand them over"):
        plots.durations(timeless)
    assert "n = 12" in facts(plots.durations(timeless, np.arange(12)))


def test_agreement_shares_add_up_to_one(corpus: Corpus) -> None:
    ax = plots.agreement(corpus)
    widths = np.array([bar.get_width() for bar in ax.patches]).reshape(3, len(FOUR))
    np.testing.assert_allclose(widths.sum(axis=0), 1)
    np.testing.assert_allclose(widths[0], [2 / 6, 1 / 3, 1 / 2, 0])  # every third utterance has one voice
    assert ax.get_title("left") == "In 33\N{NO-BREAK SPACE}% of the utterances all votes agree"


def test_agreement_takes_no_votes_for_none(corpus: Corpus) -> None:
    corpus.table["votes"] = [{}, None, {"sad": 0}, *corpus.table["votes"][3:]]
    assert "n = 9 (3 left out)" in facts(plots.agreement(corpus))
    corpus.table["votes"] = [{}] * 12
    with pytest.raises(ValueError, match=r"'toy' has no votes; expected.*such as IEMOCAP or the sample"):
        plots.agreement(corpus)


def test_valence_arousal_marks_the_mean_of_each_emotion(corpus: Corpus) -> None:
    ax = plots.valence_arousal(corpus)
    assert set(legend(ax)) == set(FOUR)
    means = corpus.table.groupby("emotion")[["valence", "arousal"]].mean()
    for name in FOUR:
        (mark,) = line_label(ax, name)
        np.testing.assert_allclose(mark.get_offsets()[0], means.loc[name], atol=0.06)  # the points are jittered
    ellipses = sorted(patch.center for patch in ax.patches)
    np.testing.assert_allclose(ellipses, sorted(means.to_numpy().tolist()))


def test_valence_arousal_without_ratings_names_a_remedy(corpus: Corpus) -> None:
    unrated = replace(corpus, table=corpus.table.assign(valence=np.nan))
    with pytest.raises(ValueError, match=r"no valence and arousal; expected.*such as IEMOCAP or the sample"):
        plots.valence_arousal(unrated)


def test_feature_by_emotion_names_feature_unit_and_extremes(corpus: Corpus) -> None:
    ax = plots.feature_by_emotion([1.0] * 6 + [9.0] * 3 + [5.0, np.nan, 5.0], corpus, name="pitch", unit="Hz")
    assert ax.get_xlabel() == "pitch, Hz"
    assert ax.get_title("left") == "Pitch is highest in happy, lowest in neutral utterances"
    assert "n = 11 (1 left out)" in facts(ax)
    with pytest.raises(ValueError, match="2 values for 12 utterances"):
        plots.feature_by_emotion([1.0, 2.0], corpus, name="pitch")


def test_confusion_matrix_shows_per_cent_of_the_row_and_counts(result: Report) -> None:
    ax = plots.confusion_matrix(result)
    np.testing.assert_allclose(np.diag(ax.collections[0].get_array().reshape(4, 4)), 0.8)
    cells = [text.get_text() for text in ax.texts if not text.get_gid()]
    assert cells[:2] == ["80\n4", "20\n1"]
    assert tick_labels(ax)[0] == "neutral (5)"
    assert ax.get_title("left") == "Most often confused: neutral taken for happy (20\N{NO-BREAK SPACE}%)"
    assert "UA 0.800 [" in facts(ax)


def test_per_emotion_draws_f1_intervals_and_chance(result: Report) -> None:
    ax = plots.per_emotion(result)
    (chance,) = line_label(ax, "chance")
    np.testing.assert_allclose([segment[0, 0] for segment in chance.get_segments()], 0.25)  # guessing evenly
    low_high = np.array([segment[:, 0] for segment in ax.collections[0].get_segments()])
    np.testing.assert_allclose(low_high, result.per_emotion[["f1_low", "f1_high"]])
    np.testing.assert_allclose(ax.collections[1].get_offsets()[:, 0], result.per_emotion["f1"])


def test_per_emotion_names_several_recognizers_and_hides_no_dot(result: Report) -> None:
    ax = plots.per_emotion({"one": result, "two": result})
    assert legend(ax) == ["one", "two", "chance"]
    heights = np.concatenate([dots.get_offsets()[:, 1] for dots in (ax.collections[1], ax.collections[3])])
    assert len(set(heights.round(6))) == 2 * len(FOUR)


def test_per_emotion_refuses_different_emotions(result: Report) -> None:
    other = report(["calm", "sad"], np.eye(2), emotions=["calm", "sad"], clusters=["a", "b"])
    with pytest.raises(ValueError, match=r"2 sets of emotions; expected one.*the same view"):
        plots.per_emotion({"one": result, "two": other})


def test_compare_reports_draws_rows_intervals_and_chance(result: Report) -> None:
    sample = replace(result, corpus="sample", synthetic=True)
    ax = plots.compare_reports({"first": result, "second": sample}, metric="ua")
    assert tick_labels(ax) == ["first", "second"]
    (chance,) = line_label(ax, "chance")
    assert [segment[0, 0] for segment in chance.get_segments()] == [0.25, 0.25]
    assert any(text.get_text().startswith("0.800 [") for text in ax.texts)
    assert "toy, sample (synthetic sample) · n = 20" in facts(ax)


def test_compare_reports_says_where_intervals_overlap(result: Report) -> None:
    def title(**reports: Report) -> str:
        return plots.compare_reports(reports).get_title("left")

    sure = replace(result, probabilities=np.eye(4)[np.arange(20) // 5])
    worse = replace(result, probabilities=np.eye(4)[(np.arange(20) // 5 + 1) % 4])
    slip = np.arange(20) // 5
    slip[[3, 17]] = 1
    close = replace(result, probabilities=np.eye(4)[slip])
    assert title(a=worse, b=sure) == "b scores highest"
    assert title(a=close, b=result) == "a scores highest, but intervals overlap"
    assert title(a=result, b=worse, c=result) == "a and c tie"
    assert title(a=result) == "a"


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


def ledger_rows(**changes: list) -> pd.DataFrame:
    """Four recognizers, one of each kind; the second is beaten by a cheaper one."""
    rows = {"recipe": ["audio/svm", "audio/lstm", "audio/mlp", "audio/hubert"], "parameters": [10, 500, 1_000, 90_000]}
    rows |= {"weighted_f1": [0.5, 0.4, 0.65, 0.7], "stand_in": [False, False, False, True], "flops": [None, 4, 8, 16]}
    frame = pd.DataFrame(rows | changes).assign(corpus="toy", view="v", protocol="p", pretrained=None, n_test=50)
    frame = frame.assign(synthetic=True, modalities=[["audio"]] * 4)
    frame = frame.assign(weighted_f1_low=frame["weighted_f1"] - 0.1, weighted_f1_high=frame["weighted_f1"] + 0.1)
    return frame.assign(**{"chance.majority.weighted_f1": 0.1, "chance.uniform.weighted_f1": 0.2})


def test_frontier_draws_what_nothing_beats_that_is_as_cheap() -> None:
    ax = plots.pareto_front(ledger_rows())
    (line,) = line_label(ax, "frontier")
    assert line.get_xydata().tolist() == [[10, 0.5], [1_000, 0.65], [90_000, 0.7], [90_000, 0.7]]
    assert (ax.get_xscale(), ax.get_xlabel()) == ("log", "parameters, logarithmic")
    assert line_label(ax, "chance")[0].get_ydata()[0] == 0.2
    assert ax.get_title("left") == "Best: audio/hubert; cheapest in its interval: audio/mlp"
    assert facts(ax) == "toy, view v · synthetic sample · n = 50"


def test_frontier_tells_size_classes_apart_and_hollows_stand_ins() -> None:
    ax = plots.pareto_front(ledger_rows())
    assert legend(ax) == ["frontier", "chance", "light", "small", "large, stand-in"]
    dots = {name: line_label(ax, name)[0] for name in legend(ax)[2:]}
    colours = [to_hex(each.get_edgecolor()[0]) for each in dots.values()]
    for sight in COLOUR_BLIND:
        assert min(np.linalg.norm(lab(a, sight) - lab(b, sight)) for a, b in combinations(colours, 2)) > 15
    assert to_hex(dots["large, stand-in"].get_facecolor()[0]) == "#ffffff"
    assert to_hex(dots["small"].get_facecolor()[0]) == colours[1]
    assert len({each.get_paths()[0].vertices.tobytes() for each in dots.values()}) == 3  # markers


def test_frontier_names_every_dot_where_there_is_room() -> None:
    crowded = pd.concat([ledger_rows(weighted_f1=list(0.3 + 0.1 * k + np.arange(4) / 40)) for k in range(5)])
    ax = plots.pareto_front(crowded)
    names = [text for text in ax.texts if text.get_text().startswith("audio/")]
    left_out = re.findall(r"no room for (\d+) names", facts(ax))
    assert len(names) == 20 - int(left_out[0] if left_out else 0) >= 15
    boxes = [Text.get_window_extent(name) for name in names]
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))


def test_frontier_counts_what_lacks_the_cost_and_wants_rows_of_one_kind() -> None:
    assert "1 without million multiply-adds left out" in facts(plots.pareto_front(ledger_rows(), cost="flops"))
    with pytest.raises(ValueError, match=r"0 of 4 rows with disk_mb.*expected some, of one\. Take read_ledger"):
        plots.pareto_front(ledger_rows(), cost="disk_mb")
    with pytest.raises(ValueError, match="4 of 4 rows with parameters, of 2 corpora"):
        plots.pareto_front(ledger_rows().assign(protocol=["p", "p", "p", "other"]))
    for cost, quality in (("throughput", "ua"), ("parameters", "ece")):
        with pytest.raises(ValueError, match=rf"cost '{cost}', quality '{quality}'; expected .* Name others"):
            plots.pareto_front(ledger_rows(), cost=cost, quality=quality)


def test_curves_mark_the_best_epoch() -> None:
    history = History("loss", [2.0, 1.0, 0.5], [2.0, 1.5, 1.8], [0.3, 0.5, 0.6], [1.0, 1.0, 1.0])
    ax = plots.curves(history, n_emotions=4, note="synthetic sample")
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
        plots.curves(History())


def test_feature_importance_takes_the_heaviest_first() -> None:
    ax = plots.feature_importance(["a", "b", "c"], [0.1, -3.0, 2.0], top=2)
    assert tick_labels(ax) == ["b", "c"]
    assert [bar.get_width() for bar in ax.patches] == [-3.0, 2.0]
    assert "against" in facts(ax)


def test_feature_importance_needs_one_number_a_name() -> None:
    with pytest.raises(ValueError, match=r"shape \(2,\) for 1 names; expected"):
        plots.feature_importance(["a"], [1.0, 2.0])


def test_scatter2d_gives_each_group_its_colour_and_name() -> None:
    ax = plots.scatter2d([[0, 0], [1, 1], [2, 2]], ["sad", "calm", "sad"])
    assert legend(ax) == [emotion for emotion in EMOTIONS if emotion in ("calm", "sad")]
    dots, (mean,) = ax.collections[0], line_label(ax, "sad")
    assert to_hex(dots.get_facecolor()[0]) == plots.EMOTION_COLORS["sad"]
    assert len(dots.get_offsets()) == 2
    assert mean.get_offsets()[0].tolist() == [1, 1]
    with pytest.raises(ValueError, match=r"points \(1, 3\) for 1 labels; expected \(1, 2\)"):
        plots.scatter2d([[1, 2, 3]], ["sad"])


def test_waveform_spans_its_seconds_and_overlays_the_level() -> None:
    wave = 0.5 * np.sin(np.arange(16_000))
    ax = plots.waveform(wave, np.full(100, -6.0206))
    assert ax.get_xlim() == (0, 1)
    (level,) = line_label(ax, "level (rms)")
    np.testing.assert_allclose(level.get_ydata(), 0.5, rtol=1e-4)


def test_spectrogram_has_an_axis_of_hertz_where_f0_and_tone_meet() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000).astype(np.float32)
    ax = plots.spectrogram(tone, f0=np.full(100, 1000.0), cue=(0.2, 0.4))
    image = ax.collections[0]
    edges = image.get_coordinates()[:, 0, 1]
    loudest = int(np.asarray(image.get_array())[:, 50].argmax())
    assert edges[loudest] <= 1000 <= edges[loudest + 1]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), 1000)
    (cue,) = [patch for patch in ax.patches if patch.get_gid() == "cue"]
    assert (cue.get_x(), cue.get_width()) == pytest.approx((0.2, 0.2))
    assert ax.get_ylim() == pytest.approx((0, 8000))


def test_mel_and_mfcc_lie_side_by_side_over_the_same_seconds() -> None:
    random = np.random.default_rng(1)
    ax = plots.mel_and_mfcc(random.normal(size=(100, 64)), random.normal(size=(50, 20)))
    panels = [panel for panel in ax.figure.axes if panel.get_title("left")]
    assert [panel.get_title("left") for panel in panels] == ["64 mel bands", "20 MFCCs"]
    assert panels[1].get_xlim()[1] == pytest.approx(panels[0].get_xlim()[1], abs=0.02)


def test_radar_closes_the_line_and_draws_chance() -> None:
    ax = plots.radar([0.7, 0.1, 0.1, 0.1], FOUR)
    line, chance = ax.lines[0].get_xydata(), line_label(ax, "chance")[0]
    np.testing.assert_allclose(line[0, 1], line[-1, 1])
    assert len(line) == len(FOUR) + 1
    np.testing.assert_allclose(chance.get_ydata(), 0.25)
    assert ax.get_title() == "neutral, 70\N{NO-BREAK SPACE}%"


def test_radars_share_a_scale_that_clips_no_marker() -> None:
    limits = [plots.radar(row, FOUR).get_ylim() for row in ([1.0, 0, 0, 0], [0.25] * 4)]
    assert limits[0] == limits[1]
    assert limits[0][1] > 1.02


def test_radar_lays_models_over_each_other_and_checks_its_input() -> None:
    ax = plots.radar({"voice": [0.7, 0.1, 0.1, 0.1], "words": [0.1, 0.1, 0.1, 0.7]}, FOUR)
    assert legend(ax) == ["voice", "words", "chance"]
    with pytest.raises(ValueError, match=r"\(2,\).*expected \(4,\)"):
        plots.radar([0.5, 0.5], FOUR)
    with pytest.raises(ValueError, match=r"rectilinear; expected polar"):
        plots.radar([0.25] * 4, FOUR, ax=plt.subplots()[1])


def test_faces_choose_frames_over_the_whole_time() -> None:
    frames = np.zeros((30, 9, 16, 3), np.uint8)
    ax = plots.faces(frames, np.arange(30) / 10)
    assert ax.images[0].get_array().shape == (9, 6 * 16, 3)
    assert [label.get_text() for label in ax.get_xticklabels()][::5] == ["0.00 s", "2.90 s"]
    assert "6 of 30 frames" in facts(ax)
    with pytest.raises(ValueError, match=r"frames \(0, 9, 16, 3\); expected.*at least one"):
        plots.faces(frames[:0])


def test_figures_are_drawn_on_the_axes_handed_in(corpus: Corpus, result: Report) -> None:
    _, (left, right) = plt.subplots(1, 2)
    assert plots.class_balance(corpus, ax=left) is left
    assert plots.per_emotion(result, ax=right) is right
    assert len(plt.get_fignums()) == 1


def test_titled_replaces_what_stood_there(corpus: Corpus) -> None:
    ax = plots.titled(plots.class_balance(corpus), "Mine", "fact")
    assert (ax.get_title("left"), facts(ax)) == ("Mine", "fact")


def test_titled_breaks_lines_between_facts_only() -> None:
    given = "marker: mean of all utterances", "ellipse: one standard deviation each way", "n = 5,531", "a note"
    ax = plots.titled(plt.subplots(figsize=(5, 3))[1], "Title", *given, "")
    (text,) = [text.get_text() for text in ax.texts]
    assert "\n" in text
    assert text.replace("\n", " · ").split(" · ") == list(given)
