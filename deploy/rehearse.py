"""Run the Dockerfile's own steps without Docker: COPY, ENV and RUN, with /srv in a fresh folder; then start the page.

    python deploy/rehearse.py [FOLDER]

The base image and its Python, useradd, USER and the container's limits are not rehearsed: the user is the one who
calls it, and the Python the one that runs it. It takes some minutes, and downloads what requirements.lock names.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
START_S = 120
PORT = 7864


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the argument of each instruction of a Dockerfile."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        name, _, argument = line.partition(" ")
        yield name, argument.strip()


def rehearse(root: Path) -> None:
    """Do the steps with `root` in the place of /srv, then see whether the page comes up and ends when it is told to."""
    root.mkdir(parents=True, exist_ok=True)
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("EMOLAB", "PYTHON"))}
    steps = list(instructions((CHECKOUT / "deploy" / "Dockerfile").read_text(encoding="utf-8")))
    for name, argument in steps:
        argument = re.sub(r"(?<![\w.])/srv\b", str(root), argument)
        began = time.perf_counter()
        if name == "ENV":
            for pair in shlex.split(argument):
                key, _, value = pair.partition("=")
                known = "${PATH}", variables["PATH"]  # TORCH_INDEX, an argument of the build, is empty
                if "TORCH_INDEX" not in value:
                    variables[key] = value.replace(*known)
        elif name == "COPY":
            *sources, target = argument.split()
            for source in (CHECKOUT / each for each in sources):
                place = Path(target) / source.name if target.endswith("/") else Path(target)
                place.parent.mkdir(parents=True, exist_ok=True)
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, place, ignore=ignored, dirs_exist_ok=True) if source.is_dir() else shutil.copy(
                    source, place
                )
        elif name == "RUN" and not argument.startswith("useradd"):
            subprocess.run(["bash", "-ec", argument], env=variables, cwd=root, check=True)
        print(f"{name} {argument[:90]} ({time.perf_counter() - began:.0f} s)", flush=True)
    start = json.loads(dict(steps)["ENTRYPOINT"])
    check_page([*start[:-1], str(PORT)], variables, root)


def check_page(command: list[str], variables: dict[str, str], root: Path) -> None:
    """Start the page, ask for it as the health check does, and end it as Docker does."""
    began, temporary = time.perf_counter(), root / "tmp"
    temporary.mkdir(exist_ok=True)
    program = shutil.which(command[0], path=variables["PATH"])
    assert program, f"{command[0]} is not in {variables['PATH']}"
    own = variables | {"TMPDIR": str(temporary), "HOME": str(temporary)}
    server = subprocess.Popen([program, *command[1:]], env=own, cwd=root)
    try:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{PORT}/", timeout=4)
                break
            except OSError:
                if server.poll() is not None or time.perf_counter() - began > START_S:
                    raise
                time.sleep(0.5)
        print(f"the page is up after {time.perf_counter() - began:.0f} s", flush=True)
    finally:
        server.terminate()
        server.wait(60)
    left = list(temporary.glob("emolab-demo-*"))
    assert not left, f"left behind: {left}"
    print("and gone, with nothing left behind")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        rehearse(Path(sys.argv[1]).resolve())
    else:
        with tempfile.TemporaryDirectory() as folder:
            rehearse(Path(folder))
