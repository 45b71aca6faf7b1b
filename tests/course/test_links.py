from __future__ import annotations

import base64
import io
import sys
import types
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from emolab.course import links

PYPROJECT = '[project.urls]\nRepository = "{}"  # here\n'


def fork(root: Path, monkeypatch: pytest.MonkeyPatch, address: str = "https://github.com/someone/fork") -> None:
    (root / "pyproject.toml").write_text(PYPROJECT.format(address))
    monkeypatch.setattr(links, "CHECKOUT", root)
    monkeypatch.setattr(links, "results_root", lambda: root / "results")


def test_setup_cell_does_nothing_outside_colab(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a process was started outside Colab")

    monkeypatch.setattr("subprocess.run", refuse)
    names: dict[str, object] = {}
    exec(links.setup_cell(), names)
    assert set(names) - {"__builtins__"} == {"sys"}


def test_setup_cell_installs_in_colab_and_moves_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[list[str]] = []

    def run(command: list[str], **_: object) -> types.SimpleNamespace:
        calls.append(command)
        return types.SimpleNamespace(stdout="numpy==2.1.3\nemolab==0.1.0\ntorch==2.11.0+cu128\n")

    monkeypatch.setattr("subprocess.run", run)
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    exec(links.setup_cell(), {})
    listing, install = calls
    assert listing[-2:] == ["list", "--format=freeze"]
    constraints = Path(install[install.index("--constraint") + 1])
    assert constraints.read_text() == "numpy==2.1.3\ntorch==2.11.0+cu128\n"
    assert install[-1] == f"emolab @ git+{links.repository()}"
    assert not {"-U", "--upgrade"} & set(install)
    assert "emolab 0.1.0" in capsys.readouterr().out


def test_badge_and_setup_cell_follow_the_one_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fork(tmp_path, monkeypatch)
    assert links.badge("03_audio.ipynb").endswith("/github/someone/fork/blob/main/notebooks/03_audio.ipynb)")
    assert "git+https://github.com/someone/fork" in links.setup_cell()


def test_repository_must_be_on_github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fork(tmp_path, monkeypatch, "https://example.org/emolab")
    with pytest.raises(ValueError, match=r"'https://example.org/emolab'; expected https://github.com/OWNER/NAME"):
        links.repository()


def test_refresh_writes_all_pages_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fork(tmp_path, monkeypatch)
    old_badge = "[![Open in Colab](x)](https://colab.research.google.com/github/a/b/blob/main/notebooks/03_audio.ipynb)"
    head = f"# 03 · Audio\n\n{old_badge} · sample corpus, quick preset: ? s, ? MB, no download"
    cells = [new_markdown_cell(head), new_code_cell("old", metadata={"tags": ["setup"]}), new_code_cell("x = 1")]
    (tmp_path / "notebooks").mkdir()
    nbformat.write(new_notebook(cells=cells), tmp_path / "notebooks" / "03_audio.ipynb")
    cells = [new_markdown_cell(f"# 04 · New\n\n{old_badge}")]
    nbformat.write(new_notebook(cells=cells), tmp_path / "notebooks" / "04_new.ipynb")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "chapters.json").write_text('{"chapters": {"03_audio": {"seconds": 21.4, "peak_mb": 640}}}')
    (tmp_path / "CITATION.cff").write_text("repository-code: https://github.com/a/b\n")
    (tmp_path / "README.md").write_text("git clone https://github.com/a/b && cd b\n<!-- chapters -->\n<!-- end -->\n")
    assert [path.name for path in links.refresh(tmp_path)] == [
        "03_audio.ipynb",
        "04_new.ipynb",
        "README.md",
        "CITATION.cff",
    ]
    assert links.refresh(tmp_path) == []
    audio, new = (nbformat.read(path, as_version=4) for path in sorted((tmp_path / "notebooks").iterdir()))
    assert links.badge("03_audio.ipynb") in audio.cells[0].source
    assert audio.cells[0].source.endswith("sample corpus, quick preset: 21 s, 640 MB, no download")
    assert audio.cells[1].source == links.setup_cell()
    assert new.cells[0].source == f"# 04 · New\n\n{links.badge('04_new.ipynb')}"
    readme = (tmp_path / "README.md").read_text()
    assert "git clone https://github.com/someone/fork && cd b" in readme
    assert "| [03 · Audio](notebooks/03_audio.ipynb) | 21 | 640 |" in readme
    assert "| [04 · New](notebooks/04_new.ipynb) | not measured |" in readme


@pytest.mark.parametrize("kind", list(links.MAKERS))
def test_refreshed_page_fills_tables_of_a_corpus(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(links.MAKERS, kind, lambda corpus: f"| {kind} of {corpus} |")
    page = f"before\n<!-- {kind} my-corpus -->\nold\n\nold\n<!-- end -->\nafter <!-- a remark --> text\n"
    new = links.refreshed_page(page)
    made = f"<!-- {kind} my-corpus -->\n| {kind} of my-corpus |\n<!-- end -->"
    assert new == f"before\n{made}\nafter <!-- a remark --> text\n"
    assert links.refreshed_page(new) == new


def test_readme_has_the_pairs_of_the_sample_and_of_iemocap() -> None:
    text = (links.CHECKOUT / "README.md").read_text(encoding="utf-8")
    for corpus in ("sample", "iemocap"):
        assert f"<!-- pairs {corpus} -->\n{links.pairs_table(corpus)}\n<!-- end -->" in text


def test_the_pages_of_this_repository_are_up_to_date() -> None:
    for name in links.PAGES:
        text = (links.CHECKOUT / name).read_text(encoding="utf-8")
        assert text == links.refreshed_page(text), f"{name} is behind; run: make tables"


def test_export_figures_writes_tagged_pictures_small(tmp_path: Path) -> None:
    noise = np.random.default_rng(7).integers(0, 255, (400, 1400, 3), dtype=np.uint8)
    picture = io.BytesIO()
    Image.fromarray(noise).save(picture, format="png")
    png = base64.b64encode(picture.getvalue()).decode()
    shown = new_code_cell(metadata={"tags": ["figure-votes"]}, outputs=[new_output("display_data", {"image/png": png})])
    other = new_code_cell(outputs=[new_output("display_data", {"image/png": png})])
    nbformat.write(new_notebook(cells=[other, shown]), tmp_path / "01_corpora.ipynb")
    (written,) = links.export_figures(tmp_path, tmp_path / "figures")
    assert written.name == "votes.png"
    assert Image.open(written).size == (900, 257)
    assert written.stat().st_size < len(picture.getvalue()) / 2
