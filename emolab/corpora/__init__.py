"""Where utterances come from: real corpora, the synthetic sample, and the user's own files and tables."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from emolab.corpora.corpus import VIEWS, Corpus, some
from emolab.corpora.iemocap import read_iemocap
from emolab.corpora.meld import read_meld
from emolab.corpora.named import NAMED, read_action_units, read_named
from emolab.corpora.tables import WHERE_FROM, read_own
from emolab.storage import corpus_places

__all__ = ["READERS", "VIEWS", "Corpus", "chosen", "load_corpus", "read_action_units", "some"]

# Name of a corpus: the function that reads its folder. One line registers another: READERS["mine"] = read_mine
READERS: dict[str, Callable[..., Corpus]] = {"iemocap": read_iemocap, "meld": read_meld}
READERS |= {name: partial(read_named, name=name) for name in NAMED}
SAMPLES = {"sample": ("iemocap", "sessions"), "sample-ravdess": ("ravdess", "speakers")}  # layout and protocol


def load_corpus(name: str | Path = "sample", root: Path | None = None, **options: Any) -> Corpus:
    """Load a corpus whole; `corpus.view()` then takes its usual emotions.

    Args:
        name: "sample" or "sample-ravdess" (synthetic, built on first use), a key of `READERS` such as "iemocap",
            "ravdess" and "meld", capitals or not, or the path of a CSV file of your own or of a database of audformat.
            What is `chosen` of it, and options of its reader, may stand behind:
            "ravdess?merge=calm=neutral&emotions=happy,neutral&folds=speakers", "mine.csv?encoding=gbk", "tess?root=…".
        root: The folder it lies in. Without one, a corpus of `READERS` is looked for in the places of
            `emolab.storage.corpus_places`, a CSV file in the working directory.
        options: What its reader takes: skip_missing=True of IEMOCAP, strict=True of MELD and a CSV file, encoding="gbk"
            of the latter.

    Raises:
        FileNotFoundError: If it is not there; the message lists where it was looked for.
        ValueError: If its files break their format, or there is no corpus of that name.
    """
    if "?" in str(name):
        name, _, choice = str(name).partition("?")
        told: dict[str, Any] = {"root": root, **options, **dict(parse_qsl(choice))}
        words = {key: told.pop(key) for key in ("view", "merge", "emotions", "folds") if key in told}
        return chosen(load_corpus(name, **told), **words)
    known = {key.lower(): key for key in (*SAMPLES, *READERS)}
    if (key := known.get(str(name).lower(), "")) in SAMPLES:
        return _load_sample(key, root, **options)
    if key:
        read = READERS[key](Path(root).expanduser() if root else _place(key), **options)
        if not isinstance(read, Corpus):
            kind = type(read).__name__
            raise TypeError(f"READERS[{key!r}] returned {kind}; expected a Corpus. Let it return Corpus.from_rows(…).")
        return read
    path = Path(root or "", name).expanduser()
    if (path / "db.yaml").is_file():
        from emolab.corpora.audformats import read_audformat

        return read_audformat(path, **options)
    if path.is_dir():
        why = f"{path} is a folder; expected the name of a corpus or a CSV file that lists the recordings in it. Take"
        fits = [name for name in READERS if _reads(name, path)] or [*READERS]
        raise ValueError(f'{why} load_corpus("{fits[0]}", root="{path.resolve()}") for one of {", ".join(fits)}.')
    if isinstance(name, Path) or path.is_file() or path.suffix.lower() in (".csv", ".tsv", ".txt"):
        return read_own(path, **options)
    meant = get_close_matches(str(name).lower(), known, n=1)
    why = f"no corpus {name!r}. Expected one of {', '.join(known.values())}, or the path of a CSV file."
    raise ValueError(f"{why} Correct the name{': ' * len(meant)}{''.join(meant)}.")


def chosen(corpus: Corpus, *, view: str = "", merge: str = "", emotions: str = "", folds: str = "") -> Corpus:
    """Choose of a corpus what words such as those behind its name say; `view()` and `folds_of` then keep to it.

    Args:
        corpus: The whole corpus.
        view: Name of a view; its usual one if none is named.
        merge: Emotions that count as another, such as "calm=neutral,Joy=happy".
        emotions: Those that stay, such as "happy,sad".
        folds: A protocol of `emolab.splits`, taken as it is or refused, or a number of groups of speakers.

    Raises:
        KeyError: If there is no such view.
        ValueError: If the corpus lacks one of the emotions, or `merge` is not made of pairs.
    """
    corpus, pairs = corpus.view(view or None), [pair.split("=") for pair in merge.split(",") if merge]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"merge {merge!r}; expected pairs such as calm=neutral,Joy=happy. Part them by commas.")
    corpus = corpus.merged(**dict(pairs)) if pairs else corpus
    corpus = corpus.only(*emotions.split(",")) if emotions else corpus
    return replace(corpus, default_view=None, protocol=f"{folds}!" if folds else corpus.protocol)


def _reads(name: str, folder: Path) -> bool:
    """Tell whether a folder is laid out, or its files are named, as those of a corpus are."""
    with suppress(ValueError, OSError):
        return bool(len(READERS[name](folder)))
    return False


def _place(name: str) -> Path:
    """Return the first place that holds something by the name of a corpus."""
    places = corpus_places(name)
    for place in places:
        if place.is_dir() and any(place.iterdir()):
            return place
    why = f"no corpus {name!r} found; looked in {', '.join(map(str, places))}. Expected its files in one of these, or"
    raise FileNotFoundError(f'{why} load_corpus("{name}", root=...). {WHERE_FROM}')


def _load_sample(name: str, root: Path | None, **options: Any) -> Corpus:
    """Read a sample corpus with the reader of its layout, and join the ground truth that was planted in it."""
    from emolab.sample import ensure
    from emolab.sample.truth import join_truth

    layout, protocol = SAMPLES[name]
    folder = Path(root or ensure()) / layout
    corpus = join_truth(READERS[layout](folder, **options), folder / "truth.csv")
    return replace(corpus, name=name, synthetic=True, protocol=protocol)
