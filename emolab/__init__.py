"""Corpora, folds, recognizers, reports and explanations for emotion recognition."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emolab.corpora import Corpus, load_corpus
    from emolab.evaluation import Report, compare, evaluate
    from emolab.explain import Explanation
    from emolab.recipes import fit_or_load, recipe
    from emolab.recognizer import Recognizer
    from emolab.splits import Fold, actor_folds, folds_of, session_folds, speaker_folds

_HOMES = {  # public name: module; imported on first use, so that `import emolab` stays quick
    "Corpus": "emolab.corpora",
    "load_corpus": "emolab.corpora",
    "Fold": "emolab.splits",
    "session_folds": "emolab.splits",
    "speaker_folds": "emolab.splits",
    "actor_folds": "emolab.splits",
    "folds_of": "emolab.splits",
    "Recognizer": "emolab.recognizer",
    "recipe": "emolab.recipes",
    "fit_or_load": "emolab.recipes",
    "Report": "emolab.evaluation",
    "evaluate": "emolab.evaluation",
    "compare": "emolab.evaluation",
    "Explanation": "emolab.explain",
}
__all__ = [
    "Corpus",
    "Explanation",
    "Fold",
    "Recognizer",
    "Report",
    "actor_folds",
    "compare",
    "evaluate",
    "fit_or_load",
    "folds_of",
    "load_corpus",
    "recipe",
    "session_folds",
    "speaker_folds",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'emolab' has no attribute {name!r}; it has {__all__}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
