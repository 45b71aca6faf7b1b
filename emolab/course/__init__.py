"""What only the notebooks need: recording figures, the doctor; the runner and the links have modules of their own."""

from __future__ import annotations

import json
from typing import Any

from emolab.course.doctor import doctor

__all__ = ["RESULT_MIME", "doctor", "record"]

RESULT_MIME = "application/vnd.emolab.result+json"  # what the runner reads back from an executed chapter


def record(**figures: Any) -> None:
    """Record a chapter's headline figures in the cell's output, for the runner's table; they are displayed as well.

    Args:
        figures: Name and value: a finite number, a text, or an interval with `value`, `low` and `high`.

    Raises:
        ValueError: If one is neither of these.

    Example:
        >>> record(ua=0.25, chance=0.125)
        ua 0.250 · chance 0.125
    """
    from IPython import get_ipython
    from IPython.display import display

    values = {name: value._asdict() if hasattr(value, "_asdict") else value for name, value in figures.items()}
    try:  # as JSON holds them, numpy's numbers too
        plain = json.loads(json.dumps(values, allow_nan=False, default=lambda number: number.item()))
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"figures {figures} cannot be recorded; expected finite numbers, texts, or intervals with value, low and "
            "high. Record the few numbers that the chapter's line in the table shall show."
        ) from error
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
