"""What several pages repeat, kept in step with where it is defined: address, badge, set-up cell, measured tables."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from emolab.storage import CHECKOUT, results_root, written_whole

BRANCH = "main"
COLAB = "https://colab.research.google.com"
BADGE = re.compile(r"\[!\[Open in Colab\]\([^)]*\)\]\([^)]*\)")
MEASURED = re.compile(r"sample corpus, quick preset: [^,·\n]*(, [\d,. ]+ MB)?")
TABLE = re.compile(r"<!-- table: (?P<name>[\w-]+) -->\n.*?<!-- end of table -->", re.DOTALL)
SETUP = '''\
# Set-up: nothing happens on your own computer; Colab gets emolab, and keeps the versions of all it brings along.
import sys

if "google.colab" in sys.modules:
    import platform
    import subprocess

    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    brought = subprocess.run([*pip, "list", "--format=freeze"], capture_output=True, text=True, check=True).stdout
    with open("/tmp/constraints.txt", "w") as file:
        file.writelines(line + "\\n" for line in brought.splitlines() if not line.startswith("emolab=="))
    source = "emolab @ git+{repository}"
    subprocess.run([*pip, "install", "--constraint", "/tmp/constraints.txt", source], check=True)
    import emolab

    print("Python", platform.python_version(), "· emolab", emolab.__version__)'''


def repository() -> str:
    """Return the repository's address, which stands in pyproject.toml and nowhere else.

    Raises:
        ValueError: If it is not a GitHub address; Colab opens notebooks from there.
    """
    address = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["urls"]["Repository"].rstrip("/")
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", address):
        raise ValueError(
            f"pyproject.toml has Repository = {address!r}; expected https://github.com/OWNER/NAME, since Colab opens "
            "notebooks from GitHub. Correct that line and run: make links"
        )
    return address.removesuffix(".git")


def setup_cell() -> str:
    """Return the source of the set-up cell, the same in every chapter (tag: setup)."""
    return SETUP.format(repository=repository())


def badge(chapter_file: str) -> str:
    """Return the Markdown of the badge that opens notebooks/`chapter_file` in Colab."""
    owner_and_name = repository().removeprefix("https://github.com/")
    page = f"{COLAB}/github/{owner_and_name}/blob/{BRANCH}/notebooks/{Path(chapter_file).name}"
    return f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]({page})"
