"""The command line: emolab doctor | sample | run | fit | explain | refresh | figures."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

FOLDS = {"usual": "folds_of", "sessions": "session_folds", "speakers": "speaker_folds"}
FOLDS |= {"actors": "actor_folds", "published": "published_parts"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 all well, 1 something failed, 2 wrongly called."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments, argparse.Namespace(typed=["emolab", *arguments]))
    if not sys.stdout.isatty():
        os.environ.setdefault("EMOLAB_PROGRESS", "0")  # bars would fill a log file
    try:
        return options.command(options)
    except (ValueError, OSError, KeyError, ImportError) as error:
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

    def add(command: Callable[[argparse.Namespace], int], about: str) -> argparse.ArgumentParser:
        added = commands.add_parser(command.__name__.strip("_"), help=about, description=about)
        added.set_defaults(command=command)
        return added

    add(_doctor, "say what is installed, missing and found, and what to do")
    sample = add(_sample, "build the synthetic sample corpora")
    sample.add_argument("--force", action="store_true", help="build them again even if they are there")
    _add_run_options(add(_run, "execute chapters into build/"))
    _add_fit_options(add(_fit, "cross-validate recipes on a corpus"))
    _add_explain_options(add(_explain, "score the explanations of recipes"))
    add(_refresh, "write tables, address, badges and set-up cells of README and chapters again")
    add(_figures, "write the README's figures again from the executed chapters")
    return parser


def _add_run_options(run: argparse.ArgumentParser) -> None:
    run.add_argument("chapters", nargs="*", metavar="CHAPTER", help="number or beginning of the name; default all")
    run.add_argument("--corpus", help="sample, ravdess, iemocap, meld, or a CSV file of your own")
    run.add_argument("--preset", choices=("quick", "full"), help="quick: CPU, offline; full: GPU, pretrained weights")
    run.add_argument("--seed", type=int, help="seed of everything random")
    run.add_argument("--jobs", type=int, default=1, metavar="N", help="chapters at once (default 1)")
    run.add_argument("--timeout", type=int, metavar="S", help="limit of one cell in seconds (quick 600, full 4 hours)")
    run.add_argument("--record", action="store_true", help="keep seconds and memory for README and chapters")


def _add_fit_options(fit: argparse.ArgumentParser) -> None:
    fit.add_argument("recipes", nargs="+", metavar="RECIPE", help="such as audio/cnn-bilstm")
    fit.add_argument("--corpus", default="sample", help="sample, ravdess, iemocap, meld, or a CSV file")
    fit.add_argument("--view", help="label view, such as iemocap4 (default: the corpus's usual one)")
    fit.add_argument("--preset", choices=("quick", "full"), default="quick", help="(default quick)")
    fit.add_argument("--seeds", type=int, nargs="+", default=[7], metavar="SEED", help="one run each (default 7)")
    fit.add_argument("--folds", choices=FOLDS, default="usual", help="who is tested apart from whom (default usual)")
    fit.add_argument("--weights", metavar="NAME", help="name or folder of a published encoder, in the recipe's place")
    fit.add_argument("--record", action="store_true", help="write each result to the ledger, data/results/")
    fit.add_argument("--replace", action="store_true", help="even over a result of another view, protocol or preset")


def _add_explain_options(explain: argparse.ArgumentParser) -> None:
    explain.add_argument("recipes", nargs="+", metavar="RECIPE", help="such as audio/cnn-bilstm-mel")
    explain.add_argument("--corpus", default="sample", help="sample, ravdess, iemocap, meld, or a CSV file")
    explain.add_argument(
        "--modality", required=True, choices=("audio", "text", "video", "modality"), help="whose units"
    )
    explain.add_argument("--methods", nargs="+", default=(), metavar="METHOD", help="(default: all that suit)")
    explain.add_argument("--preset", choices=("quick", "full"), default="quick", help="(default quick)")
    explain.add_argument("--seed", type=int, default=7, help="the next one is trained as well (default 7)")
    explain.add_argument("--utterances", type=int, default=200, metavar="N", help="of the first fold (default 200)")
    explain.add_argument("--alone", action="store_true", help="neither another seed nor shuffled labels: trained once")
    explain.add_argument("--record", action="store_true", help="write each scorecard to the ledger, data/results/")


def _doctor(_: argparse.Namespace) -> int:
    from emolab.course.doctor import doctor

    diagnosis = doctor()
    print(diagnosis)
    return 0 if diagnosis.healthy else 1


def _sample(options: argparse.Namespace) -> int:
    from emolab.sample import ensure

    began = time.perf_counter()
    print(f"sample corpora: {ensure(force=options.force)} ({time.perf_counter() - began:.0f} s)")
    return 0


def _run(options: argparse.Namespace) -> int:
    from emolab.course import chapters, links

    given = {name: getattr(options, name) for name in ("corpus", "preset", "seed")}
    parameters = {name: value for name, value in given.items() if value is not None}
    wanted = chapters.find_chapters(options.chapters)
    runs = chapters.run_chapters(wanted, parameters=parameters, jobs=options.jobs, timeout_s=options.timeout)
    print(f"\n{chapters.runs_table(runs)}\n\nThe executed chapters are in {chapters.BUILD}; open them with: make lab")
    if options.record:
        links.record_chapters(runs)
    return 1 if any(run.error for run in runs) else 0


def _fit(options: argparse.Namespace) -> int:
    from emolab import ledger, recipes, splits
    from emolab.corpora import load_corpus
    from emolab.evaluation import cross_validate

    how = {"preset": options.preset, "weights": options.weights}
    builds = {name: partial(recipes.recipe, name, **how) for name in options.recipes}
    starts_from = {name: build().pretrained for name, build in builds.items()}  # misspelt names are told at once
    corpus = load_corpus(options.corpus).view(options.view)
    folds = getattr(splits, FOLDS[options.folds])(corpus)
    if options.record:  # what the ledger would refuse in the end is told before hours of measuring
        same = {
            "corpus": corpus.name,
            "view": corpus.view_name,
            "protocol": folds[0].protocol,
            "preset": options.preset,
        }
        for name in builds:
            ledger.place_of({**same, "recipe": name}, replace=options.replace)
    for name, build in builds.items():
        measured = cross_validate(build, folds, seeds=options.seeds)
        print(f"{measured}\n")
        if options.record:
            typed = [word for word in options.typed if word == name or word not in options.recipes]
            typed = [starts_from[name] if word == options.weights else word for word in typed]  # no folder of one's own
            facts = {"recipe": name, "preset": options.preset, "pretrained": starts_from[name]}
            entry = ledger.entry_of(measured, **facts, command=shlex.join(typed))
            print(f"recorded in {ledger.record(entry, replace=options.replace)}\n")
    if options.record:
        print(ledger.results_table(corpus.name))
    return 0


def _explain(options: argparse.Namespace) -> int:
    from emolab.corpora import load_corpus
    from emolab.course import record
    from emolab.explain.scorecard import wide
    from emolab.splits import folds_of

    fold = folds_of(load_corpus(options.corpus).view())[0]
    how = {"modality": options.modality, "preset": options.preset, "seed": options.seed}
    how |= {"methods": options.methods, "alone": options.alone}
    for name in options.recipes:
        typed = [word for word in options.typed if word == name or word not in options.recipes]
        entry = record.measure(name, fold, n=options.utterances, command=shlex.join(typed), **how)
        print(f"{name}, {entry['n']} utterances of {entry['corpus']}, {entry['fold']}")
        print(wide(record.frame_of(entry)).T.to_string(float_format="{:.3f}".format, na_rep=""), "\n")
        if options.record:
            print(f"recorded in {record.record(entry)}\n")
    return 0


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
