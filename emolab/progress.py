"""One progress bar for all long work: it appears only when the work takes long, and leaves nothing behind."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
DELAY_S = 2.0  # work that is done sooner shows no bar


def progress(items: Iterable[T], label: str, *, total: int | None = None, show: bool = True) -> Iterator[T]:
    """Iterate over `items` with a bar named `label` on standard output; `EMOLAB_PROGRESS=0` switches all bars off."""
    from tqdm import tqdm

    hidden = not show or os.environ.get("EMOLAB_PROGRESS") == "0"
    bar = tqdm(items, desc=label, total=total, delay=DELAY_S, leave=False, file=sys.stdout, disable=hidden)
    yield from bar
