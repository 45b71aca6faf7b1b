"""The runner: executes chapters with papermill into build/, and closes the holes through which errors slip.

A chapter runs in a fresh kernel whose working directory is the folder of its notebook, as in JupyterLab. Peak memory
is the resident memory of the kernel and its child processes together, looked at ten times a second; pages that two of
them share count twice.
"""

import ast
import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any

import nbformat
import papermill
import psutil
from joblib import cpu_count
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, NotebookExecutionManager, papermill_engines
from papermill.exceptions import PapermillExecutionError

from emolab.corpora import load_corpus
from emolab.course import RESULT_MIME, figure_text
from emolab.evaluation import MIN_SPEAKERS
from emolab.storage import CHECKOUT, atomic_write, cache_root, require_writable, scratch

NOTEBOOKS = CHECKOUT / "notebooks"
BUILD = CHECKOUT / "build"
TIMEOUT_S = {"quick": 600, "full": 4 * 3600}  # for one cell, by preset
LOOK_EVERY_S = 0.1  # seconds
FAREWELL_S = 1.0  # what a kernel leaves running is given this long to end by itself
MEGABYTE = 1_000_000
FORMAT = 4  # of notebooks
ERROR_LENGTH = 400  # characters of an error that a table can bear
OF_PAPERMILL = {"injected-parameters", "papermill-error-cell-tag"}
ENGINE = "emolab"  # the name by which papermill knows `Engine`
SILENT = logging.getLogger("emolab.course.kernel")  # what went wrong is told in `ChapterRun.error`
SILENT.disabled = True


@dataclass
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
        notebook: The notebook, as far as it was executed.
    """

    chapter: str
    parameters: dict[str, Any]
    seconds: float = 0.0
    peak_mb: int = 0
    figures: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    error: str | None = None
    notebook: NotebookNode = field(default_factory=NotebookNode, repr=False)

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
        given = f"no chapter {missing[0]!r} in {folder}; there: {', '.join(chapter.stem for chapter in chapters)}"
        raise FileNotFoundError(f"{given}. Expected 3 or 03_audio, say; chapters come with a clone of the repository.")
    return list(dict.fromkeys(chapter for fitting in found.values() for chapter in fitting))


class BrokenChapter(ValueError):
    """A file that is no notebook, or no chapter; the others can run all the same."""


def read_notebook(path: Path) -> NotebookNode:
    """Read a notebook.

    Raises:
        BrokenChapter: If it is none, such as broken JSON, one with the marks of a merge, without cells or of another
            format; the message says which file and where in it.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if (version := (whole := json.loads(text)).get("nbformat")) != FORMAT or "cells" not in whole:
            raise ValueError(f"its nbformat is {version!r}, its parts are {[*whole]}")
        nbformat.validate(whole)
        return nbformat.reads(text, as_version=FORMAT)
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError, nbformat.ValidationError) as error:
        why = f"{path} is no notebook: {' '.join(str(error).split())[:ERROR_LENGTH].rstrip('.')}"
        remedy = f"Take it back from git (git checkout {path.name}), or save it anew in JupyterLab."
        raise BrokenChapter(f"{why}. Expected JSON of nbformat {FORMAT}, with cells. {remedy}") from error


def parameters_of(chapter: Path, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the parameters of a chapter, its defaults with the `given` values put in.

    Raises:
        BrokenChapter: If there is not exactly one cell tagged `parameters`, or it holds anything but literals:
            papermill sets parameters in a cell of its own after this one, so what is computed here would keep the old
            value. Or if the file is no notebook.
        ValueError: If the chapter has no parameter of a given name, or one of another type.
    """
    cells, parameters, given = read_notebook(chapter).cells, {}, dict(given or {})
    cells = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    if len(cells) != 1:
        raise BrokenChapter(f"{chapter} has {len(cells)} cells tagged parameters; expected one. Tag one cell so.")
    line = cells[0].source
    try:
        for statement in ast.parse(line).body:
            line = ast.unparse(statement)
            (target,) = statement.targets  # type: ignore[attr-defined]
            parameters[target.id] = ast.literal_eval(statement.value)  # type: ignore[attr-defined]
    except (AttributeError, TypeError, ValueError, SyntaxError, RecursionError) as error:
        found = f"{chapter} has {line[:ERROR_LENGTH]!r} in its cell tagged parameters"
        raise BrokenChapter(f'{found}; expected only lines such as corpus = "sample". Compute elsewhere.') from error
    for name, value in given.items():
        if type(value) is not type(parameters.get(name, ...)):
            found = f"{chapter.name} has no parameter {name} = {value!r}"
            raise ValueError(f"{found}; expected some of {parameters}, of its default's type. Correct it: nothing ran.")
    return parameters | given


def run_chapters(
    chapters: Sequence[Path], *, parameters: Mapping[str, Any], jobs: int = 1, **options: Any
) -> list[ChapterRun]:
    """Execute chapters, `jobs` at a time, and return what came of them in their order.

    Args:
        chapters: The notebooks.
        parameters: Values that replace defaults in the cells tagged `parameters`.
        jobs: How many run at once.
        options: `build` and `timeout_s` of `run_chapter`.

    Raises:
        FileNotFoundError: If there is no such corpus; then none is run.
        OSError: If nothing can be written to the build folder; then none is run.
        ValueError: If a parameter does not fit one of the chapters, or the corpus cannot be read or has too few
            speakers; then none is run.
        KeyboardInterrupt: If it is interrupted. Kernels and all that they started have ended then; the chapters that
            were finished are in the build folder, and the message says how many.
    """
    done = list[ChapterRun]()
    for chapter in chapters:
        try:
            parameters_of(chapter, parameters)
        except BrokenChapter as error:  # the others run
            done.append(ChapterRun(chapter.stem, {}, error=str(error)))
    require_writable(options.get("build", BUILD))
    if "corpus" in parameters:  # what is wrong with it is told once, before any kernel starts
        people = load_corpus(parameters["corpus"]).view().table["speaker"].nunique()
        if people < MIN_SPEAKERS:
            found = f"corpus {parameters['corpus']} has {people} speakers; expected {MIN_SPEAKERS} or more in chapters,"
            raise ValueError(f"{found} which show intervals over them. Take emolab fit or explore, or more speakers.")
    sound, stop = [each for each in chapters if each.stem not in {run.chapter for run in done}], Event()
    run = partial(run_chapter, parameters=parameters, jobs=jobs, stop=stop, **options)
    with ThreadPoolExecutor(jobs) as pool:  # threads only wait; the kernels, which work, are processes
        # An interrupt inside as_completed or wait may leave a lock of theirs held, for which the threads wait for ever;
        # one that comes just before a wait without a limit is not heard until the wait ends.
        ended = SimpleQueue[Future[ChapterRun]]()
        try:
            for each in sound:
                pool.submit(run, each).add_done_callback(ended.put)
            while len(done) < len(chapters):
                with suppress(Empty):
                    done.append(one := ended.get(timeout=LOOK_EVERY_S).result())
                    print(f"{one.chapter}: {one.state}, {one.seconds:.0f} s, {one.peak_mb} MB", flush=True)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"{len(done)} of {len(chapters)} chapters are finished and kept") from None
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
    return sorted(done, key=lambda one: one.chapter)


def run_chapter(
    chapter: Path,
    *,
    parameters: Mapping[str, Any] | None = None,
    build: Path = BUILD,
    timeout_s: int | None = None,
    jobs: int = 1,
    stop: Event | None = None,
) -> ChapterRun:
    """Execute one chapter into `build`; what goes wrong inside it is told in the result's `error`.

    Args:
        chapter: The notebook; it is never written to.
        parameters: Values that replace defaults in its cell tagged `parameters`.
        build: Folder of the executed notebook, which takes the old one's place only as a whole.
        timeout_s: Time limit of a cell; by default `TIMEOUT_S` of the preset.
        jobs: How many chapters share the cores: each of several has as many threads as there are cores for it, unless
            `OMP_NUM_THREADS` is set.
        stop: Once it is set, the kernel and all that it started end, and nothing is written.

    Raises:
        ValueError: If a parameter is unknown or of a wrong type; nothing is run then.
        KeyboardInterrupt: If it was stopped.
    """
    run, began, error = ChapterRun(chapter.stem, parameters_of(chapter, parameters)), time.perf_counter(), None
    stop, timeout_s = stop or Event(), timeout_s or TIMEOUT_S.get(run.parameters.get("preset", ""), TIMEOUT_S["quick"])
    how: dict[str, Any] = {"engine_name": ENGINE, "kernel_name": "python3", "language": "python", "progress_bar": False}
    how |= {"folder": str(chapter.resolve().parent), "run": run, "stop": stop, "timeout_s": timeout_s}
    with scratch("run") as folder:
        try:
            how |= {"variables": _variables(str(folder), jobs), "connection": str(folder / "kernel.json")}
            papermill.execute_notebook(chapter, None, dict(parameters or {}), **how)
        except (PapermillExecutionError, CellTimeoutError, RuntimeError) as caught:  # the last: the kernel died
            error = caught
    if stop.is_set():
        raise KeyboardInterrupt(f"{chapter.stem} was stopped before its end")
    run.seconds = round(time.perf_counter() - began, 1)
    run.notebook.metadata["papermill"] |= {"input_path": chapter.name, "output_path": chapter.name}  # no own folders
    with atomic_write(build / chapter.name) as part:
        nbformat.write(run.notebook, part)
    _read_back(run)
    run.error = _explain(error, run, timeout_s)
    return run


def _variables(scratch: str, jobs: int) -> dict[str, str]:
    """Return a kernel's environment: no progress bars, no user's start-up files, fonts looked for once, one heap."""
    usual = {"MPLCONFIGDIR": str(cache_root() / "matplotlib"), "MALLOC_ARENA_MAX": "1"}  # glibc frees more of one heap
    usual |= {"OMP_NUM_THREADS": str(max(cpu_count() // jobs, 1))} if jobs > 1 else {}
    quiet = {"EMOLAB_PROGRESS": "0", "TQDM_DISABLE": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    return {**usual, **os.environ, **quiet, "IPYTHONDIR": scratch}


class Engine(NBClientEngine):
    """papermill's engine with a kernel that is watched and ends at once; nothing is saved on the way."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: NotebookExecutionManager, kernel_name: str, *, run: ChapterRun, stop: Event, **options: Any
    ) -> None:
        """Start the kernel, watch it, and execute the notebook in it."""
        run.notebook, over = nb_man.nb, Event()
        how: dict[str, Any] = {"kernel_name": kernel_name, "timeout": options["timeout_s"], "log": SILENT}
        how["resources"] = {"metadata": {"path": options["folder"]}}
        how["shutdown_kernel"] = "immediate"  # a large process takes a second to end by itself
        how["extra_arguments"] = ["--log-level=CRITICAL"]  # the kernel speaks to the terminal otherwise
        client = PapermillNotebookClient(nb_man, **how)
        client.create_kernel_manager().connection_file = options["connection"]
        client.start_new_kernel(env=options["variables"])
        watch = Thread(target=_watch, args=(run, client.km.provisioner.pid, over, stop))
        watch.start()
        try:
            client.execute()
        finally:
            over.set()
            watch.join()


papermill_engines.register(ENGINE, Engine)


def _watch(run: ChapterRun, pid: int, over: Event, stop: Event) -> None:
    """Measure the memory of a kernel and its children until it is over; then leave none of them running."""
    seen, ended = {kernel := psutil.Process(pid)}, False
    while not ended:
        ended = over.wait(LOOK_EVERY_S) or stop.is_set()
        with suppress(psutil.Error):  # one of them may just have ended
            there = {kernel, *kernel.children(recursive=True)}
            seen |= there
            run.peak_mb = max(run.peak_mb, sum(each.memory_info().rss for each in there) // MEGABYTE)
    for process in psutil.wait_procs(seen, timeout=0 if stop.is_set() else FAREWELL_S)[1]:
        with suppress(psutil.Error):
            process.kill()


def _read_back(run: ChapterRun) -> None:
    """Read the recorded figures, and what cells wrote to standard error, from an executed notebook."""
    for cell in run.notebook.cells:
        outputs = cell.get("outputs", [])
        for output in outputs:
            run.figures |= output.get("data", {}).get(RESULT_MIME, {})
        if text := "".join(output.text for output in outputs if output.get("name") == "stderr").strip():
            run.warnings.append(f"{_place(cell, run.notebook)}: {text[:ERROR_LENGTH]}")


def _explain(error: Exception | None, run: ChapterRun, timeout_s: int) -> str | None:
    """Say which cell stopped the chapter and why; None if it ran to its end."""
    code = [cell for cell in run.notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    started = [cell for cell in code if cell.metadata["papermill"]["start_time"]]
    if error is None and started == code:
        return None
    why = str(error or f"the cell ended the chapter early; {len(code) - len(started)} cells were not run")
    if isinstance(error, PapermillExecutionError):
        why = f"{error.ename}: {' '.join(error.evalue.split())}"
    elif isinstance(error, CellTimeoutError):
        why = f"took longer than the limit of {timeout_s} s and was stopped; --timeout sets the limit"
    elif isinstance(error, DeadKernelError):
        memory = f"it had {run.peak_mb} MB at its peak, of {psutil.virtual_memory().total // MEGABYTE} MB here"
        why = f"the kernel died, most likely out of memory: {memory}. Close other programs, or take --jobs 1"
    return f"{_place(started[-1], run.notebook) if started else 'before the first cell'}: {why}"[:ERROR_LENGTH]


def _place(cell: NotebookNode, notebook: NotebookNode) -> str:
    """Name a cell by its number in the chapter, which lacks what papermill put in, and by its first line of code."""
    numbered = [each for each in notebook.cells if not OF_PAPERMILL & {*each.metadata.get("tags", [])}]
    number = numbered.index(cell) + 1 if cell in numbered else "of the parameters"
    lines = [line for line in cell.source.splitlines() if line.strip() and not line.startswith("#")]
    return f"cell {number} ({lines[0].strip() if lines else 'empty'})"


def explore(corpus: str, folder: Path) -> ChapterRun:
    """Execute the notebook that looks at a corpus before any training, into `folder`, and write it as a page as well.

    Args:
        corpus: As `load_corpus` takes it.
        folder: Gets explore.ipynb, to be opened and changed, and explore.html.

    Raises:
        FileNotFoundError: If there is no such corpus; then nothing is run. So it is for the others.
        OSError: If nothing can be written to the folder.
        ValueError: If it cannot be read.
    """
    from nbconvert import HTMLExporter

    require_writable(folder)
    load_corpus(corpus)
    run = run_chapter(Path(__file__).with_name("explore.ipynb"), parameters={"corpus": corpus}, build=folder)
    with atomic_write(folder / "explore.html") as part:
        part.write_text(HTMLExporter().from_notebook_node(run.notebook)[0], encoding="utf-8")
    return run


def runs_table(runs: Sequence[ChapterRun]) -> str:
    """Return the closing table of a run: chapter, state, seconds, peak memory, headline figures."""
    width = max(len(run.chapter) for run in runs)
    lines = [f"{'chapter':{width}}  state      seconds  peak MB  figures"]
    for run in runs:
        figures = " · ".join(f"{name} {figure_text(value)}" for name, value in run.figures.items())
        lines.append(f"{run.chapter:{width}}  {run.state:9}  {run.seconds:7.0f}  {run.peak_mb:7}  {figures}".rstrip())
    lines += [f"{run.chapter}, {problem}" for run in runs for problem in (*run.warnings, run.error) if problem]
    return "\n".join(lines)
