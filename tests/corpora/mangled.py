"""Files as they come out of broken copies and careless edits: a hypothesis strategy for the tests of all readers.

`EMOLAB_EXAMPLES=10000 python -m pytest tests -k mangled` tries more of them than the tests usually do.
"""

from __future__ import annotations

import os

from hypothesis import settings
from hypothesis import strategies as st

SIGNS = (
    b'"',
    b'""',
    b",",
    b";",
    b"\t",
    b"|",
    b"\n",
    b"\r",
    b"\r\n",
    b"\0",
    b" ",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"sep=;\n",
)


def examples(n: int) -> settings:
    """Try `n` examples, or as many as the environment asks for."""
    return settings(max_examples=int(os.environ.get("EMOLAB_EXAMPLES", n)))


@st.composite
def mangled(draw: st.DrawFn, text: str, encodings: tuple[str, ...] = ("utf-8",)) -> bytes:
    """Cut, double, or overwrite a few stretches of a text, with signs that mean something or with anything."""
    raw = text.encode(draw(st.sampled_from(encodings)))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(raw)))
        end = draw(st.integers(start, min(len(raw), start + 40)))
        other = st.one_of(st.just(raw[start:end] * 2), st.sampled_from(SIGNS), st.binary(max_size=6))
        raw = raw[:start] + draw(other) + raw[end:]
    return raw
