from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from emolab.course import doctor as doctor_in_notebooks
from emolab.course.doctor import Diagnosis, Finding, doctor, locked_versions
from emolab.storage import CHECKOUT


@pytest.fixture(autouse=True)
def own_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMOLAB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    return tmp_path


def by_name(diagnosis: Diagnosis) -> dict[str, Finding]:
    return {finding.name: finding for finding in diagnosis}


def test_doctor_finds_the_installed_packages_and_calls_itself_healthy() -> None:
    diagnosis = doctor_in_notebooks()
    assert diagnosis.healthy
    assert by_name(diagnosis)["packages"].state == "ok"
    assert by_name(diagnosis)["sample"].found == "not built yet"


def test_doctor_names_missing_packages_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_seaborn(name: str) -> str:
        if name == "seaborn":
            raise PackageNotFoundError(name)
        return "0.0.1" if name == "scipy" else version(name)

    module = sys.modules["emolab.course.doctor"]  # the name in the package is the function
    monkeypatch.setattr(module, "version", without_seaborn)
    diagnosis = doctor()
    assert not diagnosis.healthy
    assert "seaborn" in str(diagnosis)
    assert "-> pip install -r requirements.lock" in str(diagnosis)
    assert f"scipy 0.0.1 (lock: {locked_versions()['scipy'][0]})" in by_name(diagnosis)["versions"].found


def test_doctor_says_that_emolab_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> list[str]:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(sys.modules["emolab.course.doctor"], "requires", nothing)
    assert by_name(doctor())["emolab"].remedy == "pip install --no-deps -e ."


def test_doctor_finds_sample_corpora_and_weights(own_data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("data/iemocap", "data/sample", "hub/hub/models--albert--albert-base-v2", "weights/wav2vec2-base"):
        (own_data_folder / folder).mkdir(parents=True)
    (own_data_folder / "data" / "sample" / "stamp.json").touch()
    (own_data_folder / "weights" / "wav2vec2-base" / "config.json").touch()
    monkeypatch.setenv("EMOLAB_WEIGHTS", str(own_data_folder / "weights"))
    found = by_name(doctor())
    assert found["sample"].state == "ok"
    assert found["iemocap"].found == f"in {own_data_folder / 'data' / 'iemocap'}"
    assert found["weights"].found == "wav2vec2-base, albert/albert-base-v2"


def test_doctor_names_places_as_seen_from_the_project() -> None:
    shown = str(doctor())
    assert str(CHECKOUT) not in shown
    assert "data/iemocap" in shown


def test_doctor_shows_a_table_with_escaped_text() -> None:
    table = Diagnosis([Finding("cache", "note", "<odd>", "delete it")])._repr_html_()
    assert "&lt;odd&gt;" in table
    assert "delete it" in table


def test_doctor_imports_no_heavy_package() -> None:
    heavy = "{'torch', 'librosa', 'numpy', 'pandas', 'papermill'}"
    code = f"import sys; from emolab.course.doctor import doctor; doctor(); assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
