"""What a chapter shows: figures that carry their description, and sound."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DPI = 110  # sharp at notebook width, about 60 KB a figure


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
        raise ValueError(
            "the figure has no description; expected a sentence that says what it shows, for its alt text."
        )
    axes = drawn.flat[0] if hasattr(drawn, "flat") else drawn
    figure = axes.figure if hasattr(axes, "figure") and axes.figure is not None else axes
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=DPI, bbox_inches="tight")
    plt.close(figure)
    data = {"image/png": base64.b64encode(picture.getvalue()).decode(), "text/plain": description}
    publish_display_data(data, metadata={"image/png": {"alt": description}})


def listen(sound: Path | NDArray[np.float32], *, title: str = "") -> None:
    """Put a player into the notebook for a sound file, or for (samples,) float32 at 16 kHz."""
    from IPython.display import HTML, Audio, display

    from emolab.media import SAMPLE_RATE, read_audio

    wave = read_audio(sound) if isinstance(sound, Path) else sound
    if title:
        display(HTML(f"<p>{title}</p>"))
    display(Audio(wave, rate=SAMPLE_RATE, normalize=False))
