"""Whether an answer to an exercise is correct, what probably went wrong if not, and what was solved so far."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from emolab.course import checkers  # noqa: F401  registers them
from emolab.course.exercises import CHECKERS, NotAttempted, attempted
from emolab.storage import local_root, read_json, write_json


@dataclass(frozen=True)
class Verdict:
    """What a checker says of an answer.

    Attributes:
        exercise: Its name, such as "03.1".
        state: "correct", "incorrect" or "not attempted".
        message: What is wrong, or what to do.
    """

    exercise: str
    state: str
    message: str = ""

    def __repr__(self) -> str:
        return f"Exercise {self.exercise}: {self.state}" + f". {self.message}" * bool(self.message)


def check(name: str, answer: Any, *given: Any) -> Verdict:
    """Check an answer, and remember it if it is correct.

    Args:
        name: Of the exercise, such as "03.1".
        answer: What the learner put into the exercise's cell; `...` counts as not attempted.
        given: What the checker needs of the chapter.

    Raises:
        ValueError: If there is no such exercise.
    """
    if name not in CHECKERS:
        raise ValueError(f"no exercise {name!r}; expected one of {', '.join(sorted(CHECKERS))}. Correct the name.")
    try:
        attempted(answer)
        wrong = CHECKERS[name](answer, *given)
    except NotAttempted:
        return Verdict(name, "not attempted", "Fill in the cell above and run it and this one.")
    except Exception as error:  # of the learner's own function, or of an answer that is no number
        wrong = f"{type(error).__name__}: {error}"
    if wrong:
        return Verdict(name, "incorrect", wrong)
    if name not in (known := solved()):
        write_json(progress_file(), known | {name: date.today().isoformat()})
    return Verdict(name, "correct")


def progress_file() -> Path:
    """Return the file that remembers what was solved; it stays on this computer."""
    return local_root() / "progress.json"


def solved() -> dict[str, str]:
    """Return the exercises that were solved, and the day of each."""
    file, remedy = progress_file(), "Delete it; what a chapter checks is remembered when its cells run again."
    known = read_json(file, remedy=remedy) if file.is_file() else {}
    return {name: str(day) for name, day in known.items() if name in CHECKERS}


def progress_table() -> str:
    """Say chapter by chapter which exercises are solved, and how many of all."""
    known, chapters = solved(), sorted({name.partition(".")[0] for name in CHECKERS})
    lines = []
    for chapter in chapters:
        names = sorted(name for name in CHECKERS if name.startswith(f"{chapter}."))
        lines.append(f"{chapter}  " + "  ".join(f"{name} {known.get(name, '–'):10}" for name in names).rstrip())
    return "\n".join([*lines, f"{len({*known} & {*CHECKERS})} of {len(CHECKERS)} exercises solved"])
