"""The short form of `make reliability`: some damaged inputs, a kill, secrets, and the page that the record makes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import inputs
import pytest
import reliability

from emolab.storage import CHECKOUT


@pytest.mark.parametrize(("kind", "n"), [("notebook", 30), ("wav", 30), ("flac", 20), ("own table, 4 columns", 15)])
def test_damaged_inputs_give_no_foreign_exception_and_lose_nothing_silently(tmp_path: Path, kind: str, n: int) -> None:
    found = [*inputs.damage(kind, n, 11, tmp_path)]
    assert len(found) == n
    assert [each for each in found if each[1] in inputs.BAD] == []
    assert sum(what == "error" for _, what, _ in found) > n / 4


def test_an_input_that_loses_rows_without_a_word_counts_as_silent(tmp_path: Path) -> None:
    kind = inputs.KINDS["own table, 4 columns"]
    kind.make(tmp_path)
    file = tmp_path / "mine.csv"
    whole = kind.read(tmp_path, file)
    assert inputs.outcome(kind, whole, tmp_path, file, "a bit") == ("same", "")
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-2]))
    assert inputs.outcome(kind, whole, tmp_path, file, "a stray quote")[0] == "SILENT"
    assert inputs.outcome(kind, whole, tmp_path, file, "cut")[0] == "content"  # such a table does not tell its length
    odd = kind._replace(read=lambda *_: {}["sad"])
    assert inputs.outcome(odd, whole, tmp_path, file, "cut")[0] == "FOREIGN"


def test_a_killed_record_of_results_is_whole_and_leaves_nothing(tmp_path: Path) -> None:
    table = reliability.kills(1, 7, tmp_path, ["ledger"])
    assert table["ledger"]["kills"] == 1
    assert (table["ledger"]["wrong"], table["ledger"]["litter"]) == (0, 0)


def test_no_secret_is_tracked() -> None:
    assert reliability.secrets()["found"] == []


def test_the_scan_finds_what_it_looks_for() -> None:
    found = ["hf_" + "a" * 34, "AKIA" + "A" * 16, "-----BEGIN RSA PRIVATE " + "KEY", "/home/" + "someone/data"]
    kinds = [[kind for kind, pattern in reliability.SECRETS.items() if re.search(pattern, text)] for text in found]
    assert kinds == [["token of a model hub"], ["cloud key"], ["private key"], ["private path"]]


def test_the_page_is_that_of_the_record() -> None:
    record = json.loads((CHECKOUT / "data" / "results" / reliability.FILE).read_text(encoding="utf-8"))
    assert reliability.PAGE.read_text(encoding="utf-8") == reliability.page(record)
