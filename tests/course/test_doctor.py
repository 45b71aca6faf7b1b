from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from emolab.course import doctor as doctor_in_notebooks
from emolab.course.doctor import Diagnosis, Finding, doctor, locked_versions
from emolab.storage import CHECKOUT
from tests.corpora.test_iemocap import write_release
from tests.corpora.test_meld import write as write_tables


@pytest.fixture(autouse=True)
def own_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("emolab.storage.CHECKOUT", tmp_path / "checkout")  # real corpora beside it are read for long
    monkeypatch.setenv("EMOLAB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    for name in ("HF_HUB_CACHE", "EMOLAB_WEIGHTS", "EMOLAB_CORPORA"):
        monkeypatch.delenv(name, raising=False)
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


FILES = {
    "ravdess": "Actor_01/03-01-05-01-01-01-01.wav",
    "iemocap": "IEMOCAP_full_release/Session1/dialog/EmoEvaluation/Ses01F_impro01.txt",
    "meld": "MELD.Raw/train_sent_emo.csv",
}


def write(path: Path, text: str = "content") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_doctor_finds_sample_corpora_and_weights(own_data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, snapshot = own_data_folder / "data", "models--albert--albert-base-v2/snapshots/8e2f"
    write(data / "ravdess" / FILES["ravdess"])
    write_release(data / "iemocap" / "IEMOCAP_full_release")
    write_tables(data / "meld")
    write(data / "sample" / "stamp.json")
    write(data / "sample" / "iemocap" / FILES["iemocap"])
    for folder in (own_data_folder / "hub" / "hub" / snapshot, data / "weights" / "org" / "wav2vec2-base"):
        write(folder / "config.json")
        write(folder / "model.safetensors")
    write(data / "weights" / "vggish-10086976.pth")
    found = by_name(doctor())
    assert found["sample"].state == "ok"
    sizes = {"ravdess": "1 utterances, 1 speakers", "iemocap": "7 utterances, 6 speakers", "meld": "3 utterances, 1 sp"}
    for name, size in sizes.items():
        place, _, told = found[name].found.removeprefix("in ").partition(": ")
        assert found[name].state == "ok"
        assert (
            CHECKOUT / Path(place).expanduser()
        ).resolve() == data / name  # as seen from the project where it is near
        assert told.startswith(size)
    assert found["weights"].found == "albert/albert-base-v2, org/wav2vec2-base, vggish-10086976.pth"
    monkeypatch.setenv("EMOLAB_WEIGHTS", str(data / "weights" / "org"))
    assert by_name(doctor())["weights"].found == "albert/albert-base-v2, wav2vec2-base"


def test_doctor_says_no_where_the_reader_does(own_data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = own_data_folder / "data" / "meld"
    monkeypatch.setattr(sys.modules["emolab.course.doctor"], "corpus_places", lambda _: [folder])
    write(folder / "train_sent_emo.csv", "Utterance,Speaker\nHello.,Ross\n")
    finding = by_name(doctor())["meld"]
    assert finding.state == "note"
    assert finding.found.startswith("not readable: ")
    assert "train_sent_emo.csv" in finding.found
    assert len(finding.found) < 250


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("what", ["nothing", "other files", "an empty file"])
def test_doctor_does_not_take_an_empty_folder_for_a_corpus(
    name: str, what: str, own_data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = own_data_folder / "data" / name
    places = [folder]  # alone: this machine may have the real ones
    monkeypatch.setattr(sys.modules["emolab.course.doctor"], "corpus_places", lambda _: places)
    (folder / FILES[name]).parent.mkdir(parents=True)
    if what == "other files":
        write(folder / "README.txt")
    elif what == "an empty file":
        write(folder / FILES[name], "")
    finding = by_name(doctor())[name]
    assert finding.state == "note"
    assert finding.found.startswith("nothing of it in ")
    assert str(Path(*folder.parts[-3:])) in finding.found  # what is before depends on where the project lies
    assert "data/README.md says how to get it" in finding.remedy


def test_doctor_does_not_take_an_interrupted_build_for_the_sample(own_data_folder: Path) -> None:
    write(own_data_folder / "data" / "sample" / "stamp.json")
    (own_data_folder / "data" / "sample" / "iemocap").mkdir()
    assert by_name(doctor())["sample"].found == "not built yet"


def test_doctor_does_not_take_a_broken_download_for_weights(own_data_folder: Path) -> None:
    (own_data_folder / "hub" / "hub" / "models--albert--albert-base-v2" / "refs").mkdir(parents=True)
    write(own_data_folder / "data" / "weights" / "org" / "half" / "config.json")  # without its weights
    assert by_name(doctor())["weights"].found.startswith("no pretrained models found")


def test_doctor_without_a_lock_says_so_and_counts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["emolab.course.doctor"], "CHECKOUT", tmp_path)
    found = by_name(doctor())
    assert re.fullmatch(r"\d+ installed, no requirements.lock to compare with", found["packages"].found)
    assert "versions" not in found


def test_doctor_tells_a_package_that_the_lock_does_not_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["emolab.course.doctor"], "CHECKOUT", tmp_path)
    (tmp_path / "requirements.lock").write_text(f"scipy=={version('scipy')}\n")
    found = by_name(doctor())
    assert re.search(r"1 of them as in the lock", found["packages"].found)
    assert re.search(r"numpy [\d.]+ \(lock: none\)", found["versions"].found)


def test_doctor_names_places_as_seen_from_the_project() -> None:
    shown = str(doctor())
    assert str(CHECKOUT) not in shown
    assert "data/iemocap" in shown


def test_doctor_shows_itself_as_a_table_in_notebooks_too() -> None:
    shown = repr(Diagnosis([Finding("cache", "note", "<odd>", "delete it"), Finding("GPU", "ok", "one")]))
    assert shown.splitlines() == ["[note]    cache  <odd>", "                 -> delete it", "[ok]      GPU    one"]


def test_doctor_imports_no_heavy_package() -> None:
    heavy = "{'torch', 'librosa', 'numpy', 'pandas', 'papermill'}"
    code = f"import sys; from emolab.course.doctor import doctor; doctor(); assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
