"""The checkers of the chapters' exercises; importing this registers all of them."""

from emolab.course.checkers import audio, corpora, explanation, fusion, text_and_video  # noqa: F401
