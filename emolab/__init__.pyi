from .corpora import Corpus, load_corpus
from .evaluation import Report, compare, evaluate
from .explain import Attribution, Explanation
from .recipes import fit_or_load, fuse, recipe
from .recognizer import LightRecognizer, NetworkRecognizer, Recognizer
from .splits import Fold, actor_folds, folds_of, session_folds, speaker_folds

__all__ = [
    "Attribution",
    "Corpus",
    "Explanation",
    "Fold",
    "LightRecognizer",
    "NetworkRecognizer",
    "Recognizer",
    "Report",
    "actor_folds",
    "compare",
    "evaluate",
    "fit_or_load",
    "folds_of",
    "fuse",
    "load_corpus",
    "recipe",
    "session_folds",
    "speaker_folds",
]
__version__: str
