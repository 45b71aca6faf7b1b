"""A few mutants of emolab's own files: none may give another answer without a word, or a foreign exception."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import mutants
import pytest

N = 8  # of each of eight kinds


def test_damaged_files_of_emolabs_own_are_noticed() -> None:
    found = [*mutants.mutants(seed=7, n=N)]
    names = {f"recognizer, {kind}" for kind in ("light", "network", "fused")}
    names |= {"ledger entry", "scorecard", "sample, stamp and truth", "truth.csv alone", "progress"}
    assert Counter(name for name, _, _ in found) == dict.fromkeys(names, N)
    assert [each for each in found if each[1] not in ("error", "same")] == []
    assert {outcome for _, outcome, _ in found} == {"error", "same"}


def test_a_foreign_exception_and_a_silent_change_are_told_apart(tmp_path: Path) -> None:
    def foreign(_: Path) -> None:
        raise KeyError("sha256")

    def documented(folder: Path) -> None:
        raise ValueError(f"{folder} is damaged")

    kind = mutants.Kind(lambda _: None, foreign)
    assert mutants.outcome(kind, tmp_path, 1)[0] == "FOREIGN"
    assert mutants.outcome(mutants.Kind(lambda _: None, documented), tmp_path, 1)[0] == "error"
    assert mutants.outcome(mutants.Kind(lambda _: None, lambda _: 2), tmp_path, 1)[0] == "SILENT"
    assert mutants.outcome(mutants.Kind(lambda _: None, lambda _: 1), tmp_path, 1)[0] == "same"


def test_the_same_seed_makes_the_same_mutants() -> None:
    first, again = ([*mutants.mutants(seed=3, n=5, names=["progress"])] for _ in range(2))
    assert [each[1] for each in first] == [each[1] for each in again]


@pytest.mark.parametrize("how", [mutants.flipped, mutants.nested, mutants.number_grown])
def test_a_mutant_is_changed(how: object) -> None:
    whole = b'{"ua": 0.5}\n'
    assert how(whole, mutants.Random(1)) != whole  # type: ignore[operator]
