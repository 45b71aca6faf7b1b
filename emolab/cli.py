"""The command line: emolab doctor | sample | predict | run | progress | fit | explain."""

import argparse
import os
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from emolab.storage import atomic_write, toml_beside

TABLE: dict[str, Any] = toml_beside(__file__, "cli.toml")
TYPES = {"int": int, "Path": Path}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 all well, 1 something failed, 2 wrongly called, 130 stopped."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments, argparse.Namespace(typed=["emolab", *arguments]))
    if not sys.stdout.isatty():
        os.environ.setdefault("EMOLAB_PROGRESS", "0")  # bars would fill a log file
    try:
        return options.command(options)
    except (ValueError, OSError, KeyError, ImportError) as error:
        if os.environ.get("EMOLAB_DEBUG"):
            raise
        print(f"emolab: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stopped:
        print("; ".join(["emolab: stopped", *map(str, stopped.args)]), file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    epilog = "EMOLAB_DEBUG=1 shows the whole traceback of an error."
    parser = argparse.ArgumentParser(prog="emolab", description="Multimodal emotion recognition", epilog=epilog)
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    commands = (_doctor, _sample, _predict, _run, _progress, _fit, _explain)
    for command, (name, row) in zip(commands, TABLE["commands"].items(), strict=True):
        added = subparsers.add_parser(name, help=row["about"], description=row["about"])
        for option in row["takes"]:
            settings = TABLE["options"][option]
            types = {"type": TYPES[settings["type"]]} if "type" in settings else {}
            added.add_argument(option, **settings | types)
        added.set_defaults(command=command, **row.get("defaults", {}))
    return parser


def _doctor(_: argparse.Namespace) -> int:
    from emolab.course import doctor

    diagnosis = doctor()
    print(diagnosis)
    return 0 if diagnosis.healthy else 1


def _sample(options: argparse.Namespace) -> int:
    from emolab.sample import ensure

    began = time.perf_counter()
    print(f"sample corpora: {ensure(force=options.force)} ({time.perf_counter() - began:.0f} s)")
    return 0


def _predict(options: argparse.Namespace) -> int:
    import pandas as pd

    from emolab.recognizer import Recognizer

    items = [*options.files, *options.text]
    if not items:
        raise ValueError('nothing to predict; expected files, or --text "some words". See emolab predict --help.')
    recognizer, rows = Recognizer.load(options.model), []
    for item in items:  # one by one: a file that cannot be read must not cost the others their result
        try:
            (probabilities,) = recognizer.predict_proba([item])
            rows.append([str(item), recognizer.emotions[probabilities.argmax()], *map(float, probabilities)])
        except (ValueError, OSError) as error:
            print(f"emolab: {item}: {error}", file=sys.stderr)
    frame = pd.DataFrame(rows, columns=["file" if options.files else "text", "emotion", *recognizer.emotions])
    text = frame.to_string(index=False, float_format="{:.3f}".format)
    form = options.format or (options.output.suffix.lower()[1:] if options.output else "table")
    if form in ("csv", "json"):
        text = frame.to_csv(index=False) if form == "csv" else frame.to_json(orient="records", indent=1)
    if options.output:
        with atomic_write(options.output) as part:
            part.write_text(text.rstrip("\n") + "\n", encoding="utf-8")
    else:
        print(text.rstrip("\n"))
    return 0 if len(rows) == len(items) else 1


def _run(options: argparse.Namespace) -> int:
    from emolab.course import chapters

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # like Ctrl-C: kernels end, what is finished stays
    names = [name for name in ("corpus", "preset", "seed") if getattr(options, name) is not None]
    how = {"parameters": {name: getattr(options, name) for name in names}, "jobs": options.jobs}
    runs = chapters.run_chapters(chapters.find_chapters(options.chapters), **how, timeout_s=options.timeout)
    print(f"\n{chapters.runs_table(runs)}\n\nThe executed chapters are in {chapters.BUILD}; open them with: make lab")
    return 1 if any(run.error for run in runs) else 0


def _progress(_: argparse.Namespace) -> int:
    from emolab.course.progress import progress_table

    print(progress_table())
    return 0


def _fit(options: argparse.Namespace) -> int:
    from emolab import recipes, results, splits
    from emolab.corpora import load_corpus
    from emolab.evaluation import cross_validate

    how = {"preset": options.preset, "weights": options.weights}
    builds = {name: partial(recipes.recipe, name, **how) for name in options.recipes}
    starts_from = {name: build().pretrained for name, build in builds.items()}  # misspelt names are told at once
    corpus = load_corpus(options.corpus).view(options.view)
    folds = getattr(splits, TABLE["folds"][options.folds])(corpus)
    if options.record:  # what the ledger would refuse in the end is told before hours of measuring
        same = {"corpus": corpus.name, "view": corpus.view_name, "protocol": folds[0].protocol}
        for name in builds:
            results.place_of({**same, "preset": options.preset, "recipe": name}, replace=options.replace)
    for name, build in builds.items():
        measured = cross_validate(build, folds, seeds=options.seeds)
        print(f"{measured}\n")
        if options.record:
            typed = [str(starts_from[name]) if word == options.weights else word for word in _typed(options, name)]
            facts = {"recipe": name, "preset": options.preset, "pretrained": starts_from[name]}
            entry = results.entry_of(measured, **facts, command=shlex.join(typed))  # no folder of one's own
            print(f"recorded in {results.record(entry, replace=options.replace)}\n")
    if options.record:
        print(results.results_table(corpus.name))
    return 0


def _typed(options: argparse.Namespace, recipe: str) -> list[str]:
    """Return the command as if it had been typed for one recipe alone."""
    return [word for word in options.typed if word == recipe or word not in options.recipes]


def _explain(options: argparse.Namespace) -> int:
    from emolab import results
    from emolab.corpora import load_corpus
    from emolab.explain.scorecard import measure_scorecard, wide
    from emolab.splits import folds_of

    fold = folds_of(load_corpus(options.corpus).view())[0]
    how = {name: getattr(options, name) for name in ("modality", "preset", "seed", "methods", "alone")}
    for name in options.recipes:
        entry = measure_scorecard(name, fold, command=shlex.join(_typed(options, name)), n=options.utterances, **how)
        print(f"{name}, {entry['n']} utterances of {entry['corpus']}, {entry['fold']}")
        print(wide(results.frame_of(entry)).T.to_string(float_format="{:.3f}".format, na_rep=""), "\n")
        if options.record:
            print(f"recorded in {results.record_scores(entry)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
