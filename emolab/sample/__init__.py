"""The synthetic sample corpora: spoken, written and drawn on first use, with planted cues and a known truth."""

import hashlib
from pathlib import Path

from filelock import FileLock

from emolab.storage import atomic_write, read_json, sample_root, write_json

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
                    write_json(part / "stamp.json", stamp(part))
    return root


def is_current(root: Path) -> bool:
    """Whether `root` holds sample corpora that this version of the generator made."""
    try:
        return read_json(root / "stamp.json", remedy="Build it again: emolab sample --force") == stamp(root)
    except (OSError, ValueError):
        return False


def stamp(root: Path) -> dict[str, str]:
    """Say which generator this is, by a hash of its sources, which hold all parameters, and what truth it planted."""
    files = {"sources": map(Path(__file__).with_name, SOURCES), "truth": sorted(root.glob("*/truth.csv"))}
    contents = {name: b"".join(own.read_bytes() for own in each) for name, each in files.items()}
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
