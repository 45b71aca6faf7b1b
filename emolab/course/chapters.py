"""The runner: executes chapters with papermill into build/, and closes the holes through which errors slip.

A chapter runs in a fresh kernel whose working directory is the folder of its notebook, as in JupyterLab. Peak memory
is the resident memory of the kernel and its child processes together, looked at ten times a second; pages that two of
them share count twice.
"""

from __future__ import annotations

import ast
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from threading import Event, Thread
from typing import Any

import nbformat
import papermill
import psutil
from joblib import Parallel, delayed
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError
from tqdm import tqdm

from emolab.cost import environment
from emolab.course import RESULT_MIME, figure_text
from emolab.storage import CHECKOUT, atomic_write, cache_root

NOTEBOOKS = CHECKOUT / "notebooks"
BUILD = CHECKOUT / "build"
TIMEOUT_S = {"quick": 600, "full": 4 * 3600}  # for one cell, by preset
LOOK_EVERY_S = 0.05  # seconds; a short chapter may hold much for a moment only
FAREWELL_S = 3.0  # what a kernel leaves running is given this long to end by itself
MEGABYTE = 1_000_000
ERROR_LENGTH = 400  # characters of an error that a table can bear
OF_PAPERMILL = {"injected-parameters", "papermill-error-cell-tag"}


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
    """Return the chapters' notebooks in order: all, or those wanted by number or beginning of the name.

    Raises:
        FileNotFoundError: If there is no chapter, or none fits one of the wishes; the message lists those there are.
    """
    chapters = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    starts = [f"{int(wish):02d}_" if wish.isdecimal() else Path(wish).stem for wish in wanted or [""]]
    found = {start: [chapter for chapter in chapters if chapter.name.startswith(start)] for start in starts}
    if missing := [start for start, fitting in found.items() if not fitting]:
        names = ", ".join(chapter.stem for chapter in chapters) or "none"
        raise FileNotFoundError(
            f"no chapter {missing[0]!r} in {folder}; there: {names}. Expected a number (3) or the beginning of a name "
            "(03_audio); the chapters come with a clone of the repository."
        )
    return list(dict.fromkeys(chain(*found.values())))


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
    for name, value in given.items():
        if type(value) is not type(parameters.get(name, ...)):
            raise ValueError(
                f"{chapter.name} has no parameter {name} = {value!r}; expected some of {parameters}, each of its "
                "default's type. Correct name or value; nothing was run."
            )
    return {**parameters, **given}


def run_chapters(
    chapters: Sequence[Path],
    *,
    parameters: Mapping[str, Any],
    build: Path = BUILD,
    jobs: int = 1,
    timeout_s: int | None = None,
) -> list[ChapterRun]:
    """Execute chapters in `jobs` processes, which share the cores, and return what came of them in their order.

    Each of several has as many threads as there are cores for it, unless `OMP_NUM_THREADS` is set: joblib sees to it.
    Threads that wait for a core, spinning, would make small trainings many times slower.

    Raises:
        ValueError: If a parameter does not fit one of the chapters; then none is run.
    """
    for chapter in chapters:
        check_parameters(chapter, parameters)
    run = partial(run_chapter, parameters=parameters, build=build, timeout_s=timeout_s)
    runs = Parallel(n_jobs=jobs, return_as="generator_unordered")(map(delayed(run), chapters))
    done = []
    for one in tqdm(runs, desc="chapters", total=len(chapters), unit="chapter", disable=None):
        tqdm.write(f"{one.chapter}: {one.state}, {one.seconds:.0f} s, {one.peak_mb} MB")
        done.append(one)
    return sorted(done, key=lambda one: one.chapter)


def run_chapter(
    chapter: Path,
    *,
    parameters: Mapping[str, Any] | None = None,
    build: Path = BUILD,
    timeout_s: int | None = None,
) -> ChapterRun:
    """Execute one chapter into `build`; what goes wrong inside it is told in the result's `error`.

    Args:
        chapter: The notebook; it is never written to.
        parameters: Values that replace defaults in its cell tagged `parameters`.
        build: Folder of the executed notebook, which takes the old one's place only as a whole.
        timeout_s: Time limit of a cell; by default `TIMEOUT_S` of the preset.

    Raises:
        ValueError: If a parameter is unknown or of a wrong type; nothing is run then.
    """
    values = check_parameters(chapter, parameters or {})
    target, error = build / chapter.name, None
    timeout_s = timeout_s or TIMEOUT_S.get(values.get("preset", "quick"), TIMEOUT_S["quick"])
    with tempfile.TemporaryDirectory(prefix="emolab-run-") as scratch, environment(**_for_kernels(scratch)):
        executed, began = Path(scratch) / chapter.name, time.perf_counter()
        with Watch() as watch:
            try:
                papermill.execute_notebook(
                    str(chapter),
                    str(executed),
                    dict(parameters or {}),
                    kernel_name="python3",
                    language="python",
                    progress_bar=False,
                    execution_timeout=timeout_s,
                    extra_arguments=["--log-level=ERROR"],  # the kernel speaks to the terminal otherwise
                    resources={"metadata": {"path": str(chapter.resolve().parent)}},  # the kernel's working directory
                )
            except (PapermillExecutionError, CellTimeoutError, DeadKernelError) as caught:
                error = caught
        seconds = round(time.perf_counter() - began, 1)
        notebook = nbformat.read(executed, as_version=4)
    notebook.metadata["papermill"] |= {"input_path": chapter.name, "output_path": chapter.name}  # not this machine's
    with atomic_write(target) as part:
        nbformat.write(notebook, part)
    trouble = _explain(error, notebook, peak_mb=watch.peak_mb, timeout_s=timeout_s)
    return ChapterRun(chapter.stem, values, seconds, watch.peak_mb, *_read_back(notebook), trouble, str(target))


def _for_kernels(scratch: str) -> dict[str, str]:
    """Return variables for kernels: no progress bars, no user's start-up files, fonts looked for once."""
    fonts = os.environ.get("MPLCONFIGDIR", str(cache_root() / "matplotlib"))
    quiet = {"EMOLAB_PROGRESS": "0", "TQDM_DISABLE": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    return {**quiet, "IPYTHONDIR": scratch, "MPLCONFIGDIR": fonts}


class Watch(Thread):
    """Measures the peak memory of the child processes started inside; afterwards none of them is left running."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak_mb, self._over, self._seen = 0, Event(), set[psutil.Process]()
        self._before = set(psutil.Process().children(recursive=True))

    def run(self) -> None:
        """Add up the resident memory of all new children, again and again."""
        while not self._over.wait(LOOK_EVERY_S):
            total = 0
            for process in set(psutil.Process().children(recursive=True)) - self._before:
                with suppress(psutil.Error):  # it may just have ended
                    total += process.memory_info().rss
                    self._seen.add(process)
            self.peak_mb = max(self.peak_mb, total // MEGABYTE)

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()
        for process in psutil.wait_procs(self._seen, timeout=FAREWELL_S)[1]:
            process.kill()


def _read_back(notebook: NotebookNode) -> tuple[dict[str, Any], list[str]]:
    """Return the figures recorded in an executed notebook and what its cells wrote to standard error."""
    figures: dict[str, Any] = {}
    warnings = []
    for cell in notebook.cells:
        outputs = cell.get("outputs", [])
        for output in outputs:
            figures |= output.get("data", {}).get(RESULT_MIME, {})
        if text := "".join(output.text for output in outputs if output.get("name") == "stderr").strip():
            warnings.append(f"{_place(cell, notebook)}: {text[:ERROR_LENGTH]}")
    return figures, warnings


def _explain(error: Exception | None, notebook: NotebookNode, *, peak_mb: int, timeout_s: int) -> str | None:
    """Say which cell stopped the chapter and why; None if it ran to its end."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    started = [cell for cell in code if cell.metadata["papermill"]["start_time"]]
    if error is None and started == code:
        return None
    place = _place(started[-1], notebook) if started else "before the first cell"
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


def _place(cell: NotebookNode, notebook: NotebookNode) -> str:
    """Name a cell by its number in the chapter, which lacks what papermill put in, and by its first line of code."""
    numbered = [each for each in notebook.cells if not OF_PAPERMILL & {*each.metadata.get("tags", [])}]
    number = numbered.index(cell) + 1 if cell in numbered else "of the parameters"
    lines = [line for line in cell.source.splitlines() if line.strip() and not line.startswith("#")]
    return f"cell {number} ({lines[0].strip() if lines else 'empty'})"


def runs_table(runs: Sequence[ChapterRun]) -> str:
    """Return the closing table of a run: chapter, state, seconds, peak memory, headline figures."""
    width = max(len(run.chapter) for run in runs)
    lines = [f"{'chapter':{width}}  state      seconds  peak MB  figures"]
    for run in runs:
        figures = " · ".join(f"{name} {figure_text(value)}" for name, value in run.figures.items())
        lines.append(f"{run.chapter:{width}}  {run.state:9}  {run.seconds:7.0f}  {run.peak_mb:7}  {figures}".rstrip())
    for run in runs:
        lines += [f"{run.chapter}, {warning}" for warning in run.warnings]
        lines += [f"{run.chapter}, {run.error}; executed so far: {run.output}"] if run.error else []
    return "\n".join(lines)
