"""The synthetic sample corpora: spoken, written and drawn on first use, with planted cues and a known truth."""

import hashlib
import json
from pathlib import Path

from filelock import FileLock

from emolab.storage import atomic_write, sample_root

SOURCES = ("README.txt", "cast.toml", "design.toml", "sentences.toml", "script.py", "voice.py", "face.py", "build.py")


def ensure(*, force: bool = False) -> Path:
    """Build the sample corpora where they are missing or were made by another version of the generator.

    Processes that ask at the same time wait for the one that builds.

    Args:
        force: Build them anew in any case.

    Returns:
        The folder that holds them: `iemocap/`, `ravdess/`, each with its truth.csv.
    """
    root = sample_root()
    if force or not is_current(root):
        root.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(root.with_name(f".{root.name}.lock")):
            if force or not is_current(root):
                from emolab.sample.build import build  # its imports are heavy

                with atomic_write(root) as part:
                    build(part)
                    (part / "stamp.json").write_text(json.dumps(stamp(), indent=2) + "\n", encoding="utf-8")
    return root


def is_current(root: Path) -> bool:
    """Whether `root` holds sample corpora that this version of the generator made."""
    try:
        return bool(json.loads((root / "stamp.json").read_text(encoding="utf-8")) == stamp())
    except (OSError, ValueError):
        return False


def stamp() -> dict[str, str]:
    """Say which generator this is: a hash of its sources, which hold all parameters."""
    sources = b"".join(Path(__file__).with_name(name).read_bytes() for name in SOURCES)
    return {"sources": hashlib.sha256(sources).hexdigest()}
