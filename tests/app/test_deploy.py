"""What can be told of deploy/ without Docker or Azure; deploy/rehearse.py runs the Dockerfile's steps."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from emolab import cli

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def instructions() -> list[tuple[str, str]]:
    sys.path.insert(0, str(DEPLOY))
    try:
        import rehearse
    finally:
        sys.path.remove(str(DEPLOY))
    return list(rehearse.instructions((DEPLOY / "Dockerfile").read_text(encoding="utf-8")))


def of(name: str) -> list[str]:
    return [argument for each, argument in instructions() if each == name]


def test_dockerfile_is_pinned_slim_without_root_and_watched() -> None:
    (base,) = of("FROM")
    found = re.fullmatch(r"python:(\d+\.\d+\.\d+)-slim-\w+", base)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert found
    assert found[1] in SpecifierSet(project["requires-python"])
    names = [name for name, _ in instructions()]
    assert names.index("USER") > max(place for place, name in enumerate(names) if name == "RUN")
    assert of("USER") == ["10001"]
    assert len(of("HEALTHCHECK")) == 1
    assert any("requirements.lock" in step and "--requirement" in step for step in of("RUN"))


def test_what_dockerfile_copies_is_there_and_let_through() -> None:
    let = [line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [source for argument in of("COPY") for source in argument.split()[:-1]]
    assert sorted(let) == sorted(copied)
    assert [source for source in copied if not (ROOT / source).exists()] == []


def test_compose_fits_the_dockerfile_and_its_variables_are_explained() -> None:
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    demo = yaml.safe_load(text)["services"]["demo"]
    defaults = dict(VARIABLE.findall(text))
    example = dict(re.findall(r"^(\w+)=(.*)$", (DEPLOY / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))
    assert example == defaults
    assert (ROOT / demo["build"]["dockerfile"]).is_file()
    assert set(demo["build"]["args"]) == {argument.partition("=")[0] for argument in of("ARG")}
    assert demo["ports"][0].endswith(f":{of('EXPOSE')[0]}")
    assert demo["ports"][0].startswith("${ADDRESS:-127.0.0.1}")
    assert demo["read_only"]
    assert demo["cap_drop"] == ["ALL"]
    assert demo["tmpfs"][0].startswith("/tmp:")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert demo["image"] == f"emolab-demo:{version}"


def test_what_is_called_is_what_the_command_takes() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]["demo"]
    more = VARIABLE.sub(lambda match: match[2] or "", compose["command"]).split()
    service = re.search(r"^ExecStart=\S+ (.*)$", (DEPLOY / "emolab-demo.service").read_text(), re.MULTILINE)
    assert service
    for words in ([*json.loads(of("ENTRYPOINT")[0])[1:], *more], service[1].split()):
        options = cli._parser().parse_args(words)
        assert options.workers == 1
        assert options.max_seconds == 600


@pytest.mark.parametrize("what", ["up", "down", "address"])
def test_azure_prints_each_command_when_dry_and_runs_none(what: str, tmp_path: Path) -> None:
    az = tmp_path / "az"
    az.write_text("#!/bin/sh\ntouch ran\n")
    az.chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"
    command = ["bash", str(DEPLOY / "azure.sh"), what, "--dry-run"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={"PATH": path}, check=True)
    lines = run.stdout.splitlines()
    assert all(line.startswith("az ") for line in lines)
    assert ("az group delete" in run.stdout) == (what == "down")
    assert not list(tmp_path.rglob("ran"))
    assert ("az acr build" in run.stdout) == (what == "up")


def test_azure_says_how_it_is_called(tmp_path: Path) -> None:
    wrong = subprocess.run(["bash", str(DEPLOY / "azure.sh"), "fly"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "up | down | address" in wrong.stderr


def test_scripts_and_service_are_well_formed(tmp_path: Path) -> None:
    subprocess.run(["bash", "-n", str(DEPLOY / "azure.sh")], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", str(DEPLOY / "azure.sh")], check=True)
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze: apt install systemd")
    text = (DEPLOY / "emolab-demo.service").read_text()
    service = tmp_path / "emolab-demo.service"
    service.write_text(text.replace("/srv/emolab/.venv/bin/emolab", shutil.which("true") or ""))
    run = subprocess.run(["systemd-analyze", "verify", str(service)], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
