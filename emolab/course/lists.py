"""What there is: recipes, methods of explanation and corpora, in lines for a terminal."""

from collections.abc import Callable, Sequence
from typing import Any

from emolab.course.doctor import NAMED, Diagnosis, corpora_found, doctor
from emolab.course.progress import progress_table
from emolab.storage import corpus_places

HEADINGS = ("recipe", "modalities", "size", "weights", "what it is")
STAND_INS = "Where weights are not at hand, --preset quick takes a tiny random stand-in of the same kind and says so."


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Write rows of text, their cells below one another."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def recipes(word: str = "") -> str:
    """List the recipes in which a word occurs: name, modalities, size, published weights, what each is.

    Raises:
        ValueError: If it occurs in none.
    """
    from emolab.recipes import RECIPES, recipe
    from emolab.results import SIZES

    def has_network(name: str) -> bool:
        return bool(RECIPES[name].network) or any(map(has_network, RECIPES[name].members))

    rows = []
    for name, row in RECIPES.items():
        made = recipe(name, preset="full")
        size = "large" if made.pretrained else "small" if has_network(name) else "light"
        rows.append((name, "+".join(made.modalities), size, made.pretrained or "none", row.about))
    if not (found := [row for row in rows if word.lower() in " ".join(row).lower()]):
        raise ValueError(f"no recipe with the word {word!r}; expected one such as audio, svm or whisper. Try another.")
    sizes = "; ".join(f"{size}, {rule}" for size, rule in SIZES.items())
    return f"{columns([HEADINGS, *found])}\n\nsize: {sizes}.\n{STAND_INS}"


def methods() -> str:
    """List the methods of explanation: name, the class that computes it, what it asks."""
    from emolab.explain import TABLE

    return columns([(name, row["engine"], row["asks"]) for name, row in TABLE.items()])


def corpora() -> str:
    """List the corpora that are found, and those that belong in a folder of their name."""
    places = ", ".join(str(place.parent) for place in corpus_places("x"))
    also = f"{', '.join(sorted(NAMED))}, each in a folder of its name in {places}"
    return f"{Diagnosis(corpora_found())}\n\nRead by the names of their files, too: {also}"


LISTS: dict[str, Callable[..., Any]] = {"recipes": recipes, "methods": methods, "progress": progress_table}
LISTS |= {"corpora": corpora, "doctor": doctor}
