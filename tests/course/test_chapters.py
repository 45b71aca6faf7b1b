"""The runner on tiny notebooks; a kernel takes about a second to start, so one run answers several questions."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import numpy as np
import psutil
import pytest
from joblib import cpu_count
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from emolab.course import chapters, record
from emolab.course.chapters import (
    BrokenChapter,
    ChapterRun,
    find_chapters,
    parameters_of,
    read_notebook,
    run_chapter,
    run_chapters,
    runs_table,
)
from emolab.evaluation import Interval

PARAMETERS = 'corpus = "sample"\nseed = 7'


def write_chapter(path: Path, *cells: str, parameters: str | None = PARAMETERS) -> Path:
    tagged = [new_code_cell(parameters, metadata={"tags": ["parameters"]})] if parameters is not None else []
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=[new_markdown_cell("# A chapter"), *tagged, *map(new_code_cell, cells)]), path)
    return path


def test_run_chapter_records_figures_and_keeps_the_source_untouched(tmp_path: Path) -> None:
    chapter = write_chapter(
        tmp_path / "notebooks" / "03_tiny.ipynb",
        "import os, sys\nfrom emolab.course import record",
        'import time\nheap = bytearray(b"1") * 150_000_000\ntime.sleep(1)',  # memory is looked at from time to time
        "record(ua=seed / 10, corpus=corpus, where=os.path.basename(os.getcwd()))",
        'print("a warning", file=sys.stderr)',
    )
    before = chapter.read_bytes()
    run = run_chapter(chapter, parameters={"seed": 5}, build=tmp_path / "build")
    assert run.figures == {"ua": 0.5, "corpus": "sample", "where": "notebooks"}
    assert run.parameters == {"corpus": "sample", "seed": 5}
    assert run.error is None
    assert run.state == "not clean"
    assert run.warnings == ['cell 6 (print("a warning", file=sys.stderr)): a warning']
    assert 150 < run.peak_mb < 1_000
    assert 0 < run.seconds < 60
    assert chapter.read_bytes() == before
    assert sorted(path.name for path in (tmp_path / "build").iterdir()) == ["03_tiny.ipynb"]
    assert "EMOLAB_PROGRESS" not in os.environ


def test_run_chapter_names_the_failing_cell_and_keeps_the_notebook(tmp_path: Path) -> None:
    chapter = write_chapter(tmp_path / "04_fails.ipynb", "# first\nvalue = {}", 'value["sad"]', "never = True")
    run = run_chapter(chapter, build=tmp_path / "build")
    assert run.error == "cell 4 (value[\"sad\"]): KeyError: 'sad'"
    assert "04_fails, cell 4" in runs_table([run])
    assert "KeyError" in (tmp_path / "build" / "04_fails.ipynb").read_text()


def test_run_chapter_stops_a_hung_cell_and_leaves_no_process(tmp_path: Path) -> None:
    chapter = write_chapter(
        tmp_path / "05_hangs.ipynb",
        "import subprocess, time\nchild = subprocess.Popen(['sleep', '60'])\nprint(child.pid)",
        "while True:\n    time.sleep(1)",
    )
    run = run_chapter(chapter, build=tmp_path / "build", timeout_s=2)
    assert run.error is not None
    assert run.error.startswith("cell 4 (while True:): took longer than the limit of 2 s")
    pid = int(run.notebook.cells[2].outputs[0].text)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_run_chapter_reports_a_dead_kernel_as_out_of_memory(tmp_path: Path) -> None:
    chapter = write_chapter(tmp_path / "06_dies.ipynb", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    run = run_chapter(chapter, build=tmp_path / "build")
    assert run.error is not None
    assert run.error.startswith("cell 3 (import os, signal): the kernel died, most likely out of memory: it had ")
    assert f"it had {run.peak_mb} MB at its peak" in run.error


def test_run_chapters_side_by_side_shares_the_cores_and_sees_the_early_exit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    code = "import os\nfrom emolab.course import record\nrecord(threads=int(os.environ['OMP_NUM_THREADS']))"
    fine = write_chapter(tmp_path / "01_fine.ipynb", code)
    leaves = write_chapter(tmp_path / "02_leaves.ipynb", "import sys\nsys.exit(0)", "never = True")
    build = tmp_path / "build"
    runs = run_chapters([leaves, fine], parameters={}, build=build, jobs=2)
    assert [run.state for run in runs] == ["ok", "FAILED"]
    assert runs[1].error == "cell 3 (import sys): the cell ended the chapter early; 1 cells were not run"
    assert runs[0].figures == {"threads": max(cpu_count() // 2, 1)}
    assert sorted(path.name for path in build.iterdir()) == ["01_fine.ipynb", "02_leaves.ipynb"]


STOPPED = """
import signal, sys
from pathlib import Path
from emolab import cli
from emolab.course import chapters

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are started to ignore it
chapters.find_chapters.__kwdefaults__["folder"] = Path("notebooks").resolve()
chapters.run_chapter.__kwdefaults__["build"] = Path("build").resolve()
sys.exit(cli.main(["run", *sys.argv[1:]]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize(("by", "jobs"), [(signal.SIGINT, "1"), (signal.SIGTERM, "2")], ids=["Ctrl-C", "TERM"])
def test_run_that_is_stopped_ends_its_kernels_keeps_what_is_finished_and_says_so_in_a_line(
    tmp_path: Path, by: signal.Signals, jobs: str
) -> None:
    write_chapter(tmp_path / "notebooks" / "01_quick.ipynb", "1 + 1")
    start = "import os, subprocess, time\nchild = subprocess.Popen(['sleep', '60'])"
    tell = "open('pids', 'w').write(f'{os.getpid()} {child.pid}')\nos.rename('pids', 'running')\ntime.sleep(60)"
    write_chapter(tmp_path / "notebooks" / "02_slow.ipynb", start, tell)
    write_chapter(tmp_path / "notebooks" / "03_never.ipynb", "import time; time.sleep(60)")
    command = [sys.executable, "-c", STOPPED, "--jobs", jobs]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    running, build = tmp_path / "notebooks" / "running", tmp_path / "build" / "01_quick.ipynb"
    until = time.monotonic() + 60
    while not (running.exists() and build.exists()) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    pids = [int(pid) for pid in running.read_text().split()]
    assert process.stdout is not None
    first = process.stdout.readline()  # its line may come after its file
    process.send_signal(by)
    more, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert first.startswith("01_quick: ok, ")
    assert more == ""
    assert err == "emolab: stopped; 1 of 3 chapters are finished and kept\n"
    assert [path.name for path in build.parent.iterdir()] == ["01_quick.ipynb"]
    left = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    assert [each for each in left if each.status() != psutil.STATUS_ZOMBIE] == []


INTERRUPTED = """
import random, signal, sys
from pathlib import Path
from emolab.course import chapters

def run(chapter, *, stop, **options):
    while chapter.stem != "01" and not stop.is_set():
        sum(range(200))
    return chapters.ChapterRun(chapter.stem, {})

def told(*line, **how):  # of the first chapter; the signal comes soon after
    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00001, 0.003))

chapters.run_chapter, chapters.parameters_of, chapters.print = run, lambda *given: {}, told
signal.signal(signal.SIGALRM, signal.default_int_handler)
for _ in range(100):
    try:
        chapters.run_chapters([Path("01"), Path("02"), Path("03")], parameters={}, jobs=2, build=Path("build"))
    except KeyboardInterrupt:
        print("stopped")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_run_is_stopped_at_whatever_moment_the_signal_comes(tmp_path: Path) -> None:
    """One that came while the main thread took a lock, or was just about to wait, was lost or left all waiting."""
    command = [sys.executable, "-c", INTERRUPTED]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (run.stdout.count("stopped"), run.stderr) == (100, "")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"corups": "ravdess"}, "no parameter corups = 'ravdess'; expected some of {'corpus': 'sample', 'seed': 7}"),
        ({"seed": "7"}, "no parameter seed = '7'; .* of its default's type"),
    ],
)
def test_run_chapters_refuses_wrong_parameters_before_anything_runs(
    tmp_path: Path, given: dict[str, str], message: str
) -> None:
    chapter = write_chapter(tmp_path / "01_fine.ipynb", "open('ran', 'w')")
    with pytest.raises(ValueError, match=message):
        run_chapters([chapter], parameters=given, build=tmp_path / "build")
    assert not (tmp_path / "build").exists()


@pytest.mark.parametrize(
    ("corpus", "error", "message"),
    [
        ("nope", ValueError, "no corpus 'nope'"),
        ("few.csv", ValueError, r"few.csv has 4 speakers; expected 5 or more in chapters"),
        ("gone.csv", FileNotFoundError, "gone.csv is no file"),
    ],
)
def test_run_chapters_tells_what_is_wrong_with_a_corpus_before_anything_runs(
    corpus: str, error: type[Exception], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f"{number},p{number % 4},{'happy' if number % 8 < 4 else 'sad'},well" for number in range(16)]
    (tmp_path / "few.csv").write_text("\n".join(["id,speaker,emotion,text", *rows]))
    monkeypatch.chdir(tmp_path)
    chapter = write_chapter(tmp_path / "01_fine.ipynb", "open('ran', 'w')")
    with pytest.raises(error, match=message):
        run_chapters([chapter], parameters={"corpus": corpus}, build=tmp_path / "build")
    assert not (tmp_path / "build").exists()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (None, "0 cells tagged"),
        ("n = 2 * 3", r"'n = 2 \* 3'"),
        ("import os", "only lines such as"),
        ("a = b = 1", "a = b"),
    ],
)
def test_parameters_of_wants_one_cell_of_literals(tmp_path: Path, parameters: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parameters_of(write_chapter(tmp_path / "01_odd.ipynb", parameters=parameters), {})


def test_find_chapters_takes_numbers_beginnings_and_paths(tmp_path: Path) -> None:
    three, four = (write_chapter(tmp_path / name) for name in ("03_audio.ipynb", "04_networks.ipynb"))
    write_chapter(tmp_path / "draft.ipynb")
    assert find_chapters(folder=tmp_path) == [three, four]
    assert find_chapters(["3"], folder=tmp_path) == [three]
    assert find_chapters(["04_net", "03", str(four)], folder=tmp_path) == [four, three]
    with pytest.raises(FileNotFoundError, match=r"no chapter '05_' .* 03_audio, 04_networks"):
        find_chapters(["05"], folder=tmp_path)


def test_runs_table_shows_figures_with_intervals() -> None:
    run = ChapterRun("03_audio", {}, 12.3, 456, {"ua": {"value": 0.6123, "low": 0.5, "high": 0.7}, "n": 1440})
    header, row = runs_table([run]).splitlines()
    assert header.split() == ["chapter", "state", "seconds", "peak", "MB", "figures"]
    assert row.endswith("ok              12      456  ua 0.612 [0.500, 0.700] · n 1440")


def test_record_refuses_what_a_table_cannot_show(capsys: pytest.CaptureFixture[str]) -> None:
    record(ua=0.25, what="calm")
    assert capsys.readouterr().out == "ua 0.250 · what calm\n"
    record(ua=Interval(0.5, 0.4, 0.6), n=np.int64(3))
    assert capsys.readouterr().out == "ua 0.500 [0.400, 0.600] · n 3\n"
    for odd in (float("nan"), np.float32("inf"), object()):
        with pytest.raises(ValueError, match=r"figures {'ua': .*expected finite numbers"):
            record(ua=odd)


def test_record_keeps_the_value_alone_of_an_interval_without_limits(capsys: pytest.CaptureFixture[str]) -> None:
    record(ua=Interval(0.5, float("nan"), float("nan")))
    assert capsys.readouterr().out == "ua 0.500\n"
    with pytest.raises(ValueError, match="cannot be recorded"):
        record(ua=Interval(0.5, 0.4, float("nan")))


WHOLE = nbformat.writes(new_notebook(cells=[new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})]))


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "line 1 column 1"),
        (WHOLE[:150], r"Unterminated|Expecting"),
        (WHOLE.replace(' "cells"', '<<<<<<< HEAD\n "cells"'), "Expecting property name.*line 2 column 1"),
        (WHOLE.replace('"cells"', '"sells"'), r"its parts are \['sells'"),
        (WHOLE.replace('"cell_type": "code"', '"cell_type": "mode"'), "mode"),
        (WHOLE.replace('"nbformat": 4', '"nbformat": 9'), "its nbformat is 9"),
        ("[1, 2]", "has no attribute"),
        ("[" * 100_000, "recursion"),
        ("\0" * 20, "line 1 column 1"),
    ],
)
def test_read_notebook_says_what_is_wrong_with_a_file_that_is_none(tmp_path: Path, text: str, where: str) -> None:
    path = tmp_path / "03_odd.ipynb"
    path.write_text(text)
    with pytest.raises(BrokenChapter, match=rf"(?s)03_odd\.ipynb is no notebook: .*({where}).*Expected JSON.*git"):
        read_notebook(path)


def test_parameters_of_names_the_chapter_whose_parameters_are_no_python(tmp_path: Path) -> None:
    chapter = write_chapter(tmp_path / "01_odd.ipynb", parameters='<<<<<<< HEAD\ncorpus = "sample"')
    with pytest.raises(BrokenChapter, match=r"01_odd\.ipynb has '<<<<<<< HEAD.*Compute elsewhere"):
        parameters_of(chapter)


def test_run_chapters_runs_the_others_where_one_is_no_notebook(tmp_path: Path) -> None:
    (tmp_path / "01_odd.ipynb").write_text(WHOLE[:50])
    paths = [tmp_path / "01_odd.ipynb", write_chapter(tmp_path / "02_fine.ipynb", "1 + 1")]
    odd, fine = run_chapters(paths, parameters={"seed": 3}, build=tmp_path / "build")
    assert odd.state == "FAILED"
    assert "01_odd, " + str(tmp_path / "01_odd.ipynb") in runs_table([odd, fine])
    assert (fine.state, fine.parameters["seed"]) == ("ok", 3)
    assert [path.name for path in (tmp_path / "build").iterdir()] == ["02_fine.ipynb"]


def test_run_chapters_notices_that_it_cannot_write_before_it_reads_the_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(chapters, "require_writable", refuse)
    monkeypatch.setattr(chapters, "load_corpus", lambda _: pytest.fail("the corpus was read first"))
    with pytest.raises(OSError, match="Read-only"):
        run_chapters([write_chapter(tmp_path / "02_fine.ipynb")], parameters={"corpus": "sample"})
