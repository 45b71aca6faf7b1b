"""Files as they come out of broken copies and careless edits: a hypothesis strategy for the tests of all readers."""

from __future__ import annotations

from hypothesis import strategies as st


@st.composite
def mangled(draw: st.DrawFn, text: str) -> bytes:
    """Cut, double, or overwrite a few stretches of a text."""
    raw = text.encode()
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(raw)))
        end = draw(st.integers(start, min(len(raw), start + 40)))
        raw = raw[:start] + draw(st.one_of(st.just(raw[start:end] * 2), st.binary(max_size=6))) + raw[end:]
    return raw
