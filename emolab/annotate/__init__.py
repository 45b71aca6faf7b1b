"""A recording becomes a table of segments: who speaks when, the words, and the emotion as raters would perceive it."""

from emolab.annotate.annotation import Annotation
from emolab.annotate.formats import read_annotation, write_annotation
from emolab.annotate.pipeline import annotate

__all__ = ["Annotation", "annotate", "read_annotation", "write_annotation"]
