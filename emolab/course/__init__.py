"""What only notebooks need: figures with a description, sound, recorded figures, checked answers, doctor."""

from __future__ import annotations

import base64
import io
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emolab.course.doctor import doctor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from emolab.corpora import Corpus
    from emolab.media import Segment

__all__ = ["RESULT_MIME", "check", "doctor", "followed", "listen", "record", "show", "suited"]

RESULT_MIME = "application/vnd.emolab.result+json"  # what the runner reads back from an executed chapter
DPI = 110  # sharp at notebook width, about 60 KB a figure
N_FOLLOWED = 5
MOST = 0.5  # share of the utterances that a chapter has to find usable
CASES: Mapping[tuple[bool, ...], str] = {  # which of text, audio and video show the emotion: how tables call the case
    **{(True, True, True): "all agree", (True, False, False): "words alone", (False, True, False): "voice alone"},
    **{(False, False, True): "face alone", (True, True, False): "face dissents"},
}


def record(**figures: Any) -> None:
    """Record a chapter's headline figures in the cell's output, for the runner's table; they are displayed as well.

    Args:
        figures: Name and value: a finite number, a text, or an interval with `value`, `low` and `high`; of an
            interval without limits (NaN) the value alone is recorded.

    Raises:
        ValueError: If one is neither of these.

    Example:
        >>> record(ua=0.25, chance=0.125)
        ua 0.250 · chance 0.125
    """
    from IPython import get_ipython
    from IPython.display import display

    values = {}
    for name, figure in figures.items():
        has_limits = hasattr(figure, "_asdict") and figure.low == figure.low
        values[name] = figure._asdict() if has_limits else getattr(figure, "value", figure)
    try:  # as JSON holds them, numpy's numbers too
        plain = json.loads(json.dumps(values, allow_nan=False, default=lambda number: number.item()))
    except (TypeError, ValueError, AttributeError) as error:
        given = f"figures {figures} cannot be recorded"
        raise ValueError(f"{given}; expected finite numbers, texts or intervals. Record a few such.") from error
    text = " · ".join(f"{name} {figure_text(value)}" for name, value in plain.items())
    if get_ipython() is None:
        print(text)
    else:
        display({RESULT_MIME: plain, "text/plain": text}, raw=True)


def figure_text(value: Any) -> str:
    """Write a recorded figure in a few characters; an interval as "0.612 [0.571, 0.650]"."""
    if isinstance(value, dict):
        return f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def check(name: str, answer: Any, *given: Any) -> Any:
    """Check the answer to an exercise, and remember it if it is correct: see `emolab.course.progress.check`."""
    from emolab.course import progress  # with all checkers, and what they need

    return progress.check(name, answer, *given)


def show(drawn: Any, description: str) -> None:
    """Display a figure with its description as alternative text, and close it.

    Args:
        drawn: A matplotlib figure, or axes of it, or an array of axes.
        description: What the figure shows, in words, for readers who cannot see it.

    Raises:
        ValueError: If the description is empty.
    """
    import matplotlib.pyplot as plt
    from IPython.display import publish_display_data

    if not description.strip():
        raise ValueError("the figure has no description; expected a sentence on what it shows, for its alt text.")
    axes = drawn.flat[0] if hasattr(drawn, "flat") else drawn
    figure = getattr(axes, "figure", None) or axes
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=DPI, bbox_inches="tight")
    plt.close(figure)
    data = {"image/png": base64.b64encode(picture.getvalue()).decode(), "text/plain": description}
    publish_display_data(data, metadata={"image/png": {"alt": description}})


def listen(sound: Path | Segment | NDArray[np.float32], *, title: str = "") -> None:
    """Put a player into the notebook for an audio file or a segment of one, or for (samples,) float32 at 16 kHz."""
    from IPython.display import HTML, Audio, display

    from emolab.media import SAMPLE_RATE, read_audio

    if title:
        display(HTML(f"<p>{title}</p>"))
    source: Any = sound
    wave = source if hasattr(source, "dtype") else read_audio(source)
    display(Audio(wave, rate=SAMPLE_RATE, normalize=False))


def followed(test: Corpus) -> tuple[Corpus, list[str]]:
    """Pick the same five utterances of a test set in every chapter on fusion, and say what is special about each.

    Where the ground truth is known, as in the sample, these are the first of each of `CASES`; elsewhere the first
    utterance of each of five emotions, named by it. There are fewer where there are not so many.

    Returns:
        The utterances, and the name of each one's case.
    """
    table = test.table
    if "shown_text" in table:
        shown = [table[f"shown_{modality}"] == table["emotion"] for modality in ("text", "audio", "video")]
        cases, wanted = [CASES.get(row, "") for row in zip(*shown, strict=True)], list(CASES.values())
    else:
        cases, wanted = table["emotion"].tolist(), list(test.emotions)
    first = [cases.index(case) for case in wanted if case in cases][:N_FOLLOWED]
    chosen = table.reset_index(drop=True).index.isin(first)
    return test.select(chosen), [cases[place] for place in sorted(first)]


def suited(corpus: Corpus, *modalities: str, n_emotions: int = 2) -> Corpus:
    """Keep the utterances that have some modalities and name those that have not; where most have not, take the sample.

    Args:
        corpus: In the view that is to be used.
        modalities: What every utterance needs: audio, text, video.
        n_emotions: How many emotions there have to be, for the sample not to be taken.
    """
    from emolab.corpora import load_corpus
    from emolab.features.base import usable

    there = corpus.has(modalities[0])
    for modality in modalities[1:]:
        there &= corpus.has(modality)
    few = len(corpus.emotions) < n_emotions
    if few or there.mean() < MOST:
        lost = f"lacks {' or '.join(modalities)} in {(~there).sum():,} of {len(corpus):,} utterances"
        why = f"has only {len(corpus.emotions)} emotions" if few else lost
        print(f"{corpus.name} {why}: this chapter takes the synthetic sample in its place.")
        return load_corpus("sample").view()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        left = usable(corpus, *modalities)
    print(*(f"{each.message}\n" for each in told), sep="", end="")
    return left
