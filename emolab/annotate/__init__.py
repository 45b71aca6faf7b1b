"""A recording becomes a table of segments: who speaks when, the words, and the emotion as raters would perceive it."""

from emolab.annotate.annotation import Annotation

__all__ = ["Annotation"]
