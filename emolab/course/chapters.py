"""The runner: executes chapters with papermill into build/, and closes the holes through which errors slip.

A chapter runs in a fresh kernel whose working directory is the folder of its notebook, as in JupyterLab. Peak memory
is the resident memory of the kernel and its child processes together, looked at ten times a second and after each
cell; pages that two of them share count twice.
"""

from __future__ import annotations

import ast
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from threading import Event, Thread
from typing import Any

import nbformat
import papermill
import psutil
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError
from tqdm import tqdm

from emolab.course import RESULT_MIME, figure_text
from emolab.storage import CHECKOUT, cache_root, written_whole

NOTEBOOKS = CHECKOUT / "notebooks"
BUILD = CHECKOUT / "build"
TIMEOUT_S = {"quick": 600, "full": 4 * 3600}  # for one cell, by preset
LOOK_EVERY_S = 0.1
FAREWELL_S = 3.0  # what a kernel leaves running is given this long to end by itself
MEGABYTE = 1_000_000
ERROR_LENGTH = 400  # characters of an error that a table can bear


@dataclass(frozen=True)
class ChapterRun:
    """What came of executing one chapter.

    Attributes:
        chapter: Name of the notebook without ".ipynb".
        parameters: The values it ran with, defaults included.
        seconds: Wall-clock time, the kernel's start included.
        peak_mb: Peak memory of the kernel and its children, in millions of bytes.
        figures: What the chapter recorded with `emolab.course.record`.
        warnings: What it wrote to standard error, one entry a cell; a clean run has none.
        error: What broke it, cell and cause; None if it ran to its end.
        output: The executed notebook.
    """

    chapter: str
    parameters: dict[str, Any]
    seconds: float
    peak_mb: int
    figures: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    error: str | None = None
    output: str = ""

    @property
    def state(self) -> str:
        """Return "ok", "not clean" or "FAILED"."""
        return "FAILED" if self.error else "not clean" if self.warnings else "ok"


def find_chapters(wanted: Sequence[str] = (), *, folder: Path = NOTEBOOKS) -> list[Path]:
    """Return the chapters' notebooks in order: all, or those wanted by number, beginning of the name, or path.

    Raises:
        FileNotFoundError: If there is no chapter, or none fits one of the wishes; the message lists those there are.
    """
    chapters = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    if not wanted and chapters:
        return chapters
    found: list[Path] = []
    for wish in wanted or ["*"]:
        if Path(wish).suffix == ".ipynb" and Path(wish).is_file():
            fitting = [Path(wish).resolve()]
        else:
            start = f"{int(wish):02d}_" if wish.isdecimal() else Path(wish).name.removesuffix(".ipynb")
            fitting = [chapter for chapter in chapters if chapter.name.startswith(start)]
        if not fitting:
            names = ", ".join(chapter.stem for chapter in chapters) or "none"
            raise FileNotFoundError(
                f"no chapter {wish!r} in {folder}; there: {names}. Expected a number (3), the beginning of a name "
                "(03_audio) or the path of a notebook; the chapters come with a clone of the repository."
            )
        found += [chapter for chapter in fitting if chapter not in found]
    return found


def parameters_of(chapter: Path) -> dict[str, Any]:
    """Return the parameters of a chapter and their defaults, read from its cell tagged `parameters`.

    Raises:
        ValueError: If there is not exactly one such cell, or it holds anything but literals: papermill sets parameters
            in a cell of its own after this one, so what is computed here would keep the old value.
    """
    notebook = nbformat.read(chapter, as_version=4)
    cells = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    if len(cells) != 1:
        raise ValueError(f"{chapter.name} has {len(cells)} cells tagged parameters; expected one. Tag one cell so.")
    parameters = {}
    for statement in ast.parse(cells[0].source).body:
        try:
            (target,) = statement.targets  # type: ignore[attr-defined]
            parameters[target.id] = ast.literal_eval(statement.value)  # type: ignore[attr-defined]
        except (AttributeError, ValueError) as error:
            raise ValueError(
                f"{chapter.name} has {ast.unparse(statement)!r} in its cell tagged parameters; expected only lines "
                'such as corpus = "sample". Compute other values in the next cell.'
            ) from error
    return parameters


def check_parameters(chapter: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all parameters of a chapter with the `given` ones put in.

    Raises:
        ValueError: If the chapter has no parameter of that name, or one of another type.
    """
    parameters = parameters_of(chapter)
    if unknown := sorted(set(given) - set(parameters)):
        raise ValueError(
            f"{chapter.name} has no parameter {', '.join(map(repr, unknown))}; expected one of "
            f"{', '.join(parameters)}. Correct the name; nothing was run."
        )
    for name, value in given.items():
        default = parameters[name]
        if default is not None and not isinstance(value, type(default) if type(default) is not float else (int, float)):
            raise ValueError(
                f"{chapter.name} got {name}={value!r}; expected {type(default).__name__}, as in {name} = {default!r}. "
                "Correct the value; nothing was run."
            )
    return {**parameters, **given}


def run_chapters(
    chapters: Sequence[Path],
    *,
    parameters: Mapping[str, Any] | None = None,
    build: Path = BUILD,
    jobs: int = 1,
    timeout_s: int | None = None,
) -> list[ChapterRun]:
    """Execute chapters, `jobs` at a time, and remember their figures in build/chapters.json.

    Raises:
        ValueError: If a parameter does not fit one of the chapters; then none is run.
    """
    for chapter in chapters:
        check_parameters(chapter, parameters or {})
    run = partial(run_chapter, parameters=parameters, build=build, timeout_s=timeout_s)
    runs = _one_by_one(run, chapters) if jobs == 1 else _side_by_side(run, chapters, jobs)
    done = []
    with tqdm(total=len(chapters), desc="chapters", unit="chapter", disable=None) as bar:
        for result in runs:
            done.append(result)
            tqdm.write(f"{result.chapter}: {result.state}, {result.seconds:.0f} s, {result.peak_mb} MB")
            bar.update()
    done.sort(key=lambda result: result.chapter)
    _remember(done, build / "chapters.json")
    return done


def run_chapter(
    chapter: Path,
    *,
    parameters: Mapping[str, Any] | None = None,
    build: Path = BUILD,
    timeout_s: int | None = None,
    show_cells: bool = False,
    n_threads: int | None = None,
) -> ChapterRun:
    """Execute one chapter into `build`; what goes wrong inside it is told in the result's `error`.

    Args:
        chapter: The notebook; it is never written to.
        parameters: Values that replace defaults in its cell tagged `parameters`.
        build: Folder of the executed notebook, which takes the old one's place only as a whole.
        timeout_s: Time limit of a cell; by default `TIMEOUT_S` of the preset.
        show_cells: Show a progress bar over cells.
        n_threads: Limit of the threads that numerical libraries start; by default their own.

    Raises:
        ValueError: If a parameter is unknown or of a wrong type; nothing is run then.
    """
    values = check_parameters(chapter, parameters or {})
    source, target = nbformat.read(chapter, as_version=4), build / chapter.name
    timeout_s = timeout_s or TIMEOUT_S.get(values.get("preset", "quick"), TIMEOUT_S["quick"])
    bar = {"desc": chapter.stem, "leave": False, "position": 1, "disable": None} if show_cells else False
    with tempfile.TemporaryDirectory(prefix="emolab-run-") as scratch, _kernel_environment(scratch, n_threads):
        executed, error = Path(scratch) / chapter.name, None
        began = time.perf_counter()
        with watched_children() as memory:
            try:
                papermill.execute_notebook(
                    str(chapter),
                    str(executed),
                    dict(parameters or {}),
                    kernel_name="python3",
                    language="python",
                    progress_bar=bar,
                    execution_timeout=timeout_s,
                    extra_arguments=["--log-level=ERROR"],  # the kernel speaks to the terminal otherwise
                    on_cell_complete=lambda **_: memory.look(),
                    resources={"metadata": {"path": str(chapter.resolve().parent)}},  # the kernel's working directory
                )
            except (PapermillExecutionError, CellTimeoutError, DeadKernelError) as caught:
                error = caught
        seconds = time.perf_counter() - began
        notebook = nbformat.read(executed, as_version=4)
    with written_whole(target) as part:
        nbformat.write(notebook, part)
    figures, warnings = _read_back(notebook, source)
    trouble = _explain(error, notebook, source, peak_mb=memory.peak_mb, timeout_s=timeout_s)
    return ChapterRun(chapter.stem, values, round(seconds, 1), memory.peak_mb, figures, warnings, trouble, str(target))


class Memory:
    """The peak memory of the child processes that were started while it watched."""

    def __init__(self) -> None:
        self.looks = [0]  # bytes; two threads add to it
        self.seen: set[psutil.Process] = set()
        self._before = set(psutil.Process().children(recursive=True))

    def look(self) -> None:
        """Add up the resident memory of all new children."""
        total = 0
        for process in set(psutil.Process().children(recursive=True)) - self._before:
            try:
                total += process.memory_info().rss
            except psutil.Error:
                continue  # it has just ended
            self.seen.add(process)
        self.looks.append(total)

    @property
    def peak_mb(self) -> int:
        """Return the most that was seen, in millions of bytes."""
        return max(self.looks) // MEGABYTE


@contextmanager
def watched_children() -> Iterator[Memory]:
    """Measure the child processes started inside; afterwards none of them is left running."""
    memory, over = Memory(), Event()

    def watch() -> None:
        while not over.wait(LOOK_EVERY_S):
            memory.look()

    thread = Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        over.set()
        thread.join()
        for process in psutil.wait_procs(memory.seen, timeout=FAREWELL_S)[1]:
            process.kill()


@contextmanager
def _kernel_environment(scratch: str, n_threads: int | None) -> Iterator[None]:
    """Set the variables that a kernel inherits: no progress bars, no user's start-up files, fonts looked for once."""
    ours = {"EMOLAB_PROGRESS": "0", "TQDM_DISABLE": "1", "IPYTHONDIR": scratch, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    ours["MPLCONFIGDIR"] = os.environ.get("MPLCONFIGDIR", str(cache_root() / "matplotlib"))
    if n_threads:
        ours["OMP_NUM_THREADS"] = str(n_threads)
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _read_back(notebook: NotebookNode, source: NotebookNode) -> tuple[dict[str, Any], list[str]]:
    """Return the figures recorded in an executed notebook and what its cells wrote to standard error."""
    figures: dict[str, Any] = {}
    warnings = []
    for cell in notebook.cells:
        outputs = cell.get("outputs", [])
        for output in outputs:
            figures |= output.get("data", {}).get(RESULT_MIME, {})
        if text := "".join(output.text for output in outputs if output.get("name") == "stderr").strip():
            warnings.append(f"{_place(cell, source)}: {text[:ERROR_LENGTH]}")
    return figures, warnings


def _explain(
    error: Exception | None, notebook: NotebookNode, source: NotebookNode, *, peak_mb: int, timeout_s: int
) -> str | None:
    """Say which cell stopped the chapter and why; None if it ran to its end."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    started = [cell for cell in code if cell.metadata["papermill"]["start_time"]]
    if error is None and started == code:
        return None
    place = _place(started[-1], source) if started else "before the first cell"
    if isinstance(error, PapermillExecutionError):
        return f"{place}: {error.ename}: {' '.join(error.evalue.split())}"[:ERROR_LENGTH]
    if isinstance(error, CellTimeoutError):
        return f"{place}: took longer than the limit of {timeout_s} s and was stopped; --timeout sets the limit"
    if isinstance(error, DeadKernelError):
        whole = psutil.virtual_memory().total // MEGABYTE
        return (
            f"{place}: the kernel died, most likely out of memory: it had {peak_mb} MB at its peak, this computer has "
            f"{whole} MB. Close other programs, run fewer chapters at once (--jobs 1) or choose the quick preset"
        )
    return f"{place}: the cell ended the chapter early; {len(code) - len(started)} cells were not run"


def _place(cell: NotebookNode, source: NotebookNode) -> str:
    """Name a cell of an executed notebook by its number in the source and its first line of code."""
    numbers = {each.get("id"): number for number, each in enumerate(source.cells, 1)}
    lines = [line for line in cell.source.splitlines() if line.strip() and not line.startswith("#")]
    return f"cell {numbers.get(cell.get('id'), 'of the parameters')} ({lines[0].strip() if lines else 'empty'})"


def _one_by_one(run: partial[ChapterRun], chapters: Sequence[Path]) -> Iterator[ChapterRun]:
    for chapter in chapters:
        yield run(chapter, show_cells=True)


def _side_by_side(run: partial[ChapterRun], chapters: Sequence[Path], jobs: int) -> Iterator[ChapterRun]:
    """Run chapters in `jobs` worker processes, each with its share of the cores; yield them as they end."""
    share = max(1, (os.cpu_count() or 1) // jobs)
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        futures: dict[Future[ChapterRun], Path] = {pool.submit(run, each, n_threads=share): each for each in chapters}
        for future in as_completed(futures):
            try:
                yield future.result()
            except Exception as error:  # a worker was killed, or met what it could not foresee: the others go on
                yield ChapterRun(futures[future].stem, {}, 0.0, 0, error=f"the runner broke: {error!r}")


def _remember(runs: Sequence[ChapterRun], path: Path) -> None:
    """Add `runs` to what build/chapters.json knows of earlier ones; what is no longer there is forgotten."""
    known = {name: entry for name, entry in _recall(path).items() if (path.parent / f"{name}.ipynb").is_file()}
    known |= {run.chapter: asdict(run) for run in runs}
    with written_whole(path) as part:
        part.write_text(json.dumps(dict(sorted(known.items())), indent=1))


def _recall(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}  # nothing was run yet, or the file is not ours: it can always be made again


def runs_table(runs: Sequence[ChapterRun]) -> str:
    """Return the closing table of a run: chapter, state, seconds, peak memory, headline figures."""
    rows = [("chapter", "state", "seconds", "peak MB", "figures")]
    for run in runs:
        figures = " · ".join(f"{name} {figure_text(value)}" for name, value in run.figures.items())
        rows.append((run.chapter, run.state, f"{run.seconds:.0f}", str(run.peak_mb), figures))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]) for row in rows
    ]
    for run in runs:
        lines += [f"{run.chapter}, {warning}" for warning in run.warnings]
        lines += [f"{run.chapter}, {run.error}; executed so far: {run.output}"] if run.error else []
    return "\n".join(line.rstrip() for line in lines)
