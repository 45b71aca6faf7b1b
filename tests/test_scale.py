"""Fits on a Dask cluster: the same figures as in one process, whatever the number of workers, and if one is killed."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import dask
import joblib
import numpy as np
import pytest
from dask.distributed import Client, LocalCluster

from emolab import cli
from emolab.corpora import Corpus
from emolab.evaluation import CrossValidation, cross_validate
from emolab.features.base import cached_features
from emolab.features.text import Tfidf
from emolab.recognizer import LightRecognizer
from emolab.splits import Fold, speaker_folds


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """Start two worker processes of one thread each."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as started:
        yield started


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Client]:
    with Client(cluster) as connected:
        yield connected


class Mortal(LightRecognizer):
    """It kills the process that it is fitted in, once, if it is told where to write that down."""

    def __init__(self, seed: int, grave: Path | None = None) -> None:
        from sklearn.linear_model import LogisticRegression

        super().__init__("mortal", Tfidf(), LogisticRegression(random_state=seed, C=seed))
        self.grave = grave

    def _fit(self, train: Corpus, valid: Corpus) -> None:
        if self.grave and not self.grave.exists() and self.candidates[0].C == 8:  # the first seed is done by then
            self.grave.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        super()._fit(train, valid)


def speeches() -> Corpus:
    """Six speakers say what is happy and sad, in words that mislead now and then."""
    rng, rows = np.random.default_rng(0), []
    for number in range(72):
        emotion = ("happy", "sad")[number % 2]
        words = " ".join(rng.choice(["sun", "rain", "well", emotion[:2], "so"], 5))
        speaker = "abcdef"[number // 2 % 6]
        rows.append({"utterance_id": str(number), "speaker": speaker, "emotion": emotion, "text": words})
    return Corpus.from_rows("speeches", rows, emotions=("happy", "sad"), root=Path())


@pytest.fixture(scope="module")
def folds() -> list[Fold]:
    return speaker_folds(speeches(), 3)


@pytest.fixture(scope="module")
def here(folds: list[Fold]) -> CrossValidation:
    """Measure in this process what the cluster has to find too."""
    return cross_validate(Mortal, folds, seeds=[7, 8])


def answers(found: CrossValidation) -> list[bytes]:
    return [said.probabilities.tobytes() for said in found.reports.values()]


def test_cross_validation_is_the_same_to_the_last_digit_on_any_number_of_workers(
    client: Client, folds: list[Fold], here: CrossValidation
) -> None:
    first, _ = client.scheduler_info()["workers"]
    with joblib.parallel_config("dask", workers=[first]):
        on_one = cross_validate(Mortal, folds, seeds=[7, 8])
    with joblib.parallel_config("dask"):
        on_two = cross_validate(Mortal, folds, seeds=[7, 8])
    assert answers(here) == answers(on_one) == answers(on_two)
    assert here.metrics == on_two.metrics
    assert len(on_two.train_s) == 6
    assert on_two.cost["parameters"] == here.cost["parameters"]


def test_a_worker_that_is_killed_in_the_middle_loses_nothing(
    client: Client, folds: list[Fold], here: CrossValidation, tmp_path: Path
) -> None:
    grave = tmp_path / "grave"
    with joblib.parallel_config("dask"):
        found = cross_validate(partial(Mortal, grave=grave), folds, seeds=[7, 8])
    assert grave.exists()
    assert answers(found) == answers(here)


def test_fit_runs_on_the_cluster_of_an_address_and_records_what_anybody_can_repeat(
    cluster: LocalCluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EMOLAB_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    table = speeches().table[["utterance_id", "speaker", "emotion", "text"]]
    table.to_csv("mine.csv", index=False)
    fit = ["fit", "text/logistic-regression", "--corpus", "mine.csv", "--record"]
    assert cli.main([*fit, "--dask", cluster.scheduler_address]) == 0
    told = capsys.readouterr().out
    assert f"on 2 threads of the Dask cluster {cluster.scheduler_address}; watch it at http://" in told
    (file,) = (tmp_path / "results").rglob("text-*.json")
    entry = json.loads(file.read_text())
    assert entry["command"] == f"emolab {' '.join(fit)}"
    assert cli.main(fit) == 0
    again = json.loads(file.read_text())
    assert (again["metrics"], again["answers"]) == (entry["metrics"], entry["answers"])


def refuse_dask(name: str, *_: object) -> None:
    if name.partition(".")[0] == "dask":
        raise ModuleNotFoundError(f"No module named {name!r}")


def test_fit_without_dask_says_in_a_sentence_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    speeches().table[["speaker", "emotion", "text"]].to_csv(tmp_path / "mine.csv", index=False)
    absent = SimpleNamespace(find_spec=refuse_dask)
    monkeypatch.delitem(sys.modules, "dask.distributed")
    monkeypatch.setattr(sys, "meta_path", [absent, *sys.meta_path])
    fit = ["fit", "text/logistic-regression", "--corpus", str(tmp_path / "mine.csv"), "--dask", "tcp://127.0.0.1:1"]
    assert cli.main(fit) == 2
    assert "--dask needs Dask, which is not installed; expected dask.distributed." in capsys.readouterr().err


def test_fit_says_that_nobody_answers_at_an_address(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    speeches().table[["speaker", "emotion", "text"]].to_csv(tmp_path / "mine.csv", index=False)
    fit = ["fit", "text/logistic-regression", "--corpus", str(tmp_path / "mine.csv"), "--dask", "tcp://127.0.0.1:1"]
    with dask.config.set({"distributed.comm.timeouts.connect": "0.5s"}):
        assert cli.main(fit) == 2
    assert "tcp://127.0.0.1:1" in capsys.readouterr().err


def slow_lengths(folder: str, files: list[Path]) -> list[int]:
    """Compute something slow about files, into a cache that others fill too; each computation leaves a mark."""

    def compute(file: Path) -> int:
        (Path(folder) / f"{file.name}-{os.getpid()}").touch()
        time.sleep(0.02)
        return len(file.read_bytes())

    os.environ["EMOLAB_CACHE"] = f"{folder}/cache"
    return cached_features("lengths", files, compute)


def test_processes_that_share_a_cache_compute_each_feature_about_once(client: Client, tmp_path: Path) -> None:
    files = [tmp_path / f"file{number}" for number in range(60)]
    for number, file in enumerate(files):
        file.write_bytes(bytes(number))
    (marks := tmp_path / "marks").mkdir()
    client.gather(client.map(len, ["a", "b"], pure=False))
    found = client.gather(client.map(partial(slow_lengths, str(marks)), [files, files], pure=False))
    assert found == [[*range(60)]] * 2
    assert len([*marks.glob("file*")]) < 90  # each would compute all 60 if both went through them in one order


def test_features_are_computed_here_where_jobs_run_on_a_cluster(client: Client, tmp_path: Path) -> None:
    files = [tmp_path / name for name in "ab"]
    for file in files:
        file.write_bytes(b"abc")
    with joblib.parallel_config("dask"):
        assert cached_features("lengths", files, lambda file: os.getpid()) == [os.getpid()] * 2
