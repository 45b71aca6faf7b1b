"""The command line: emolab doctor | sample | run | fit | tables | links | figures."""

from __future__ import annotations

import argparse
import ast
import json
import os
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emolab.course.chapters import ChapterRun

FOLDS = ("usual", "sessions", "speakers", "actors", "published")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 all well, 1 something failed, 2 wrongly called."""
    options = _parser().parse_args(arguments)
    if not sys.stdout.isatty():
        os.environ.setdefault("EMOLAB_PROGRESS", "0")  # bars would fill a log file
    try:
        return options.command(options)
    except (ValueError, OSError, KeyError) as error:
        if os.environ.get("EMOLAB_DEBUG"):
            raise
        message = error.args[0] if isinstance(error, KeyError) else error
        print(f"emolab: {message}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("emolab: stopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    epilog = "EMOLAB_DEBUG=1 shows the whole traceback of an error."
    parser = argparse.ArgumentParser(prog="emolab", description="Multimodal emotion recognition", epilog=epilog)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Any, about: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=about, description=about)
        added.set_defaults(command=command)
        return added

    add("doctor", _doctor, "say what is installed, missing and found, and what to do")
    sample = add("sample", _sample, "build the synthetic sample corpora")
    sample.add_argument("--force", action="store_true", help="build them again even if they are there")
    _add_run_options(add("run", _run, "execute chapters into build/"))
    _add_fit_options(add("fit", _fit, "cross-validate recipes on a corpus"))
    add("tables", _refresh, "write the tables of README and chapters again from what was measured")
    add("links", _refresh, "write repository address, badges and set-up cells again from pyproject.toml")
    add("figures", _figures, "write the README's figures again from the executed chapters")
    return parser


def _add_run_options(run: argparse.ArgumentParser) -> None:
    run.add_argument(
        "chapters", nargs="*", metavar="CHAPTER", help="number, beginning of the name, or path; default all"
    )
    run.add_argument("--corpus", help="sample, ravdess, iemocap, meld, or a CSV file of your own")
    run.add_argument("--preset", choices=("quick", "full"), help="quick: CPU, offline; full: GPU, pretrained weights")
    run.add_argument("--seed", type=int, help="seed of everything random")
    pair = ("NAME", "VALUE")
    run.add_argument(
        "-p", "--parameter", nargs=2, action="append", default=[], metavar=pair, help="any other parameter"
    )
    run.add_argument("--jobs", type=int, default=1, metavar="N", help="chapters at once (default 1)")
    run.add_argument("--timeout", type=int, metavar="S", help="limit of one cell in seconds (quick 600, full 4 hours)")
    run.add_argument("--record", action="store_true", help="keep seconds and memory for README and chapters")


def _add_fit_options(fit: argparse.ArgumentParser) -> None:
    fit.add_argument("recipes", nargs="+", metavar="RECIPE", help="such as audio/cnn-bilstm")
    fit.add_argument(
        "--corpus", default="sample", help="sample, ravdess, iemocap, meld, or a CSV file (default sample)"
    )
    fit.add_argument("--view", help="label view, such as iemocap4 (default: the corpus's usual one)")
    fit.add_argument("--preset", choices=("quick", "full"), default="quick", help="(default quick)")
    fit.add_argument("--seeds", type=int, nargs="+", default=[7], metavar="SEED", help="one run each (default 7)")
    fit.add_argument("--folds", choices=FOLDS, default="usual", help="who is tested apart from whom (default usual)")
    fit.add_argument("--record", action="store_true", help="write each result to the ledger, data/results/")
    fit.add_argument("--replace", action="store_true", help="even over a result of another view, protocol or preset")


def _doctor(_: argparse.Namespace) -> int:
    from emolab.course.doctor import doctor

    diagnosis = doctor()
    print(diagnosis)
    return 0 if diagnosis.healthy else 1


def _sample(options: argparse.Namespace) -> int:
    from emolab.corpora.sample import ensure

    began = time.perf_counter()
    print(f"sample corpora: {ensure(force=options.force)} ({time.perf_counter() - began:.0f} s)")
    return 0


def _run(options: argparse.Namespace) -> int:
    from emolab.course import chapters

    given = {name: getattr(options, name) for name in ("corpus", "preset", "seed")}
    parameters = {name: value for name, value in given.items() if value is not None}
    parameters |= {name: _literal(value) for name, value in options.parameter}
    wanted = chapters.find_chapters(options.chapters)
    runs = chapters.run_chapters(wanted, parameters=parameters, jobs=options.jobs, timeout_s=options.timeout)
    print(f"\n{chapters.runs_table(runs)}\n\nThe executed chapters are in {chapters.BUILD}; open them with: make lab")
    failed = [run for run in runs if run.error]
    if options.record:
        _record_chapters(runs)
    return 1 if failed else 0


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _record_chapters(runs: Sequence[ChapterRun]) -> None:
    """Keep what the chapters took, for the tables; only clean runs on the sample in the quick preset are comparable."""
    from emolab import ledger
    from emolab.course.links import measured_chapters, measured_path
    from emolab.storage import written_whole

    for run in runs:
        setting = {"corpus": "sample", "preset": "quick"}
        other = {name: run.parameters.get(name) for name in setting if run.parameters.get(name) != setting[name]}
        if other or run.state != "ok":
            raise ValueError(
                f"{run.chapter} ran with {other or setting} and is {run.state}; expected clean runs with {setting}. "
                "Nothing was recorded: leave out --record, or run it again."
            )
    took = {run.chapter: {"seconds": run.seconds, "peak_mb": run.peak_mb, "figures": run.figures} for run in runs}
    about = {"device": ledger.device(), "versions": ledger.versions(), "command": "emolab run --record"}
    with written_whole(measured_path()) as part:
        entries = dict(sorted((measured_chapters() | took).items()))
        part.write_text(json.dumps({"about": about, "chapters": entries}, indent=1, ensure_ascii=False) + "\n")


def _fit(options: argparse.Namespace) -> int:
    from emolab import ledger, recipes, splits
    from emolab.corpora import load_corpus
    from emolab.evaluation import cross_validate

    for name in options.recipes:
        recipes.recipe(name, preset=options.preset)  # a misspelt name is told before hours of work
    corpus = load_corpus(options.corpus).view(options.view)
    ways = (splits.folds_of, splits.session_folds, splits.speaker_folds, splits.actor_folds, splits.published_parts)
    folds = dict(zip(FOLDS, ways, strict=True))[options.folds](corpus)
    for name in options.recipes:
        build = partial(_build, name, options.preset)
        measured = cross_validate(build, folds, seeds=options.seeds)
        print(f"{measured}\n")
        if options.record:
            entry = ledger.entry_of(
                measured, recipe=name, corpus=corpus, preset=options.preset, command=_fit_command(name, options)
            )
            print(f"recorded in {ledger.record(entry, replace=options.replace)}\n")
    if options.record:
        print(ledger.results_table(corpus.name))
    return 0


def _build(name: str, preset: Any, seed: int) -> Any:
    from emolab.recipes import recipe

    return recipe(name, preset=preset, seed=seed)


def _fit_command(recipe: str, options: argparse.Namespace) -> str:
    """Write the line that measures one entry of the ledger again."""
    parts = ["emolab fit", recipe, "--corpus", options.corpus, "--preset", options.preset]
    parts += ["--view", options.view] if options.view else []
    parts += ["--folds", options.folds] if options.folds != "usual" else []
    return " ".join([*parts, "--seeds", *map(str, options.seeds), "--record"])


def _refresh(_: argparse.Namespace) -> int:
    from emolab.course.links import refresh

    print("\n".join(f"changed: {path}" for path in refresh()) or "all pages are up to date")
    return 0


def _figures(_: argparse.Namespace) -> int:
    from emolab.course.chapters import BUILD
    from emolab.course.links import export_figures
    from emolab.storage import CHECKOUT

    for path in export_figures(BUILD, CHECKOUT / "docs" / "figures"):
        print(f"{path}: {path.stat().st_size // 1000} KB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
