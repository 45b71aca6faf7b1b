"""Corpora, folds, recognizers, reports and explanations for emotion recognition."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emolab.corpora import Corpus, load_corpus
    from emolab.evaluation import Report, compare, evaluate
    from emolab.explain import Attribution, Explanation
    from emolab.recipes import fit_or_load, fuse, recipe
    from emolab.recognizer import LightRecognizer, NetworkRecognizer, Recognizer
    from emolab.splits import Fold, actor_folds, folds_of, session_folds, speaker_folds

__all__ = ["Corpus", "Fold", "actor_folds", "folds_of", "load_corpus", "session_folds", "speaker_folds"]
__all__ += ["LightRecognizer", "NetworkRecognizer", "Recognizer", "fit_or_load", "fuse", "recipe"]
__all__ += ["Attribution", "Explanation", "Report", "compare", "evaluate"]
__version__ = "0.2.0"

# read when torch is imported: threads that wait sleep, so that a busy core does not make the others spin
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that `import emolab` stays quick."""
    home: Any
    if name in ("Corpus", "load_corpus"):
        from emolab import corpora as home
    elif name in ("Fold", "session_folds", "speaker_folds", "actor_folds", "folds_of"):
        from emolab import splits as home
    elif name in ("Recognizer", "LightRecognizer", "NetworkRecognizer"):
        from emolab import recognizer as home
    elif name in ("recipe", "fuse", "fit_or_load"):
        from emolab import recipes as home
    elif name in ("Report", "evaluate", "compare"):
        from emolab import evaluation as home
    elif name in ("Explanation", "Attribution"):
        from emolab import explain as home
    else:
        raise AttributeError(f"module 'emolab' has no attribute {name!r}; it has {__all__}")
    return getattr(home, name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
