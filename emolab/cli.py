"""The command line; what each command takes and says stands in cli.toml."""

import argparse
import io
import os
import re
import shlex
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from emolab import __version__
from emolab.storage import recovered, require_writable, results_root, toml_beside

TABLE: dict[str, Any] = toml_beside(__file__, "cli.toml")
TYPES = {"int": int, "Path": Path}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 all well, 1 something failed, 2 wrongly called, 130 stopped."""
    arguments = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    options = _parser().parse_args(arguments, argparse.Namespace(typed=["emolab", *arguments]))
    warnings.formatwarning = lambda message, *_, **__: f"emolab: {message}\n"  # what was left out, say
    os.environ |= {f"EMOLAB_{name.upper()}": "1" for name in ("strict", "trust") if getattr(options, name, False)}
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without some letter must not cost the whole table
    if not sys.stdout.isatty():
        os.environ.setdefault("EMOLAB_PROGRESS", "0")  # bars would fill a log file
    try:
        return options.command(options)
    except BrokenPipeError:  # whoever reads it has read enough, such as `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError, KeyError, ImportError, TypeError) as error:
        if os.environ.get("EMOLAB_DEBUG"):
            raise
        print(f"emolab: {_told(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stopped:
        print("; ".join(["emolab: stopped", *map(str, stopped.args)]), file=sys.stderr)
        return 130


def _told(error: BaseException) -> str:
    """Return what an error says, its remedies as options of the command line."""
    text = str(error.args[0] if isinstance(error, KeyError) else error)
    for python, option in TABLE["remedies"].items():
        text = re.sub(python, option, text)
    return text


def _parser() -> argparse.ArgumentParser:
    about = "Multimodal emotion recognition\n"
    for group, names in TABLE["groups"].items():
        about += "".join([f"\n{group}\n", *(f"  {name:11}{TABLE['commands'][name]['about']}\n" for name in names)])
    how: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter, "epilog": TABLE["epilog"]}
    parser = argparse.ArgumentParser(prog="emolab", description=about, **how)
    parser.add_argument("--version", action="version", version=f"emolab {__version__}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND", help=TABLE["help"])
    others = [*[_list] * 5, _run, _sample, *[_correct] * 2, _demo, *[_annotate] * 2]
    users = [_fit, _predict, _explain, _explore, *others]  # in the order of the table
    for command, (name, row) in zip(users, TABLE["commands"].items(), strict=True):
        added = subparsers.add_parser(name, description=row["about"])
        for option in row["takes"]:
            settings = dict(TABLE["options"][option])
            names = [option.partition(" ")[0], *settings.pop("also", ())]
            types = {"type": TYPES[settings["type"]]} if "type" in settings else {}
            added.add_argument(*names, **settings | types)
        added.set_defaults(command=command, **row.get("defaults", {}))
    return parser


def _chosen(options: argparse.Namespace) -> str:
    """Return the corpus and what is chosen of it, as `load_corpus` takes it; the path of a file is whole."""
    name, folds = options.corpus or "sample", TABLE["folds"].get(options.folds, options.folds)
    choice = {name: getattr(options, name) for name in ("view", "merge", "emotions", "encoding")} | {"folds": folds}
    choice = {name: value for name, value in choice.items() if value}
    name = str(Path(name).resolve()) if Path(name).is_file() else name
    return f"{name}{'?&'['?' in name]}{urlencode(choice, safe=',=')}" if choice else name


def _list(options: argparse.Namespace) -> int:
    """Print what there is, or what was solved."""
    from emolab.course.lists import LISTS

    shown = LISTS[options.typed[1]](**{"word": options.word} if "word" in options else {})
    print(shown)
    return 0 if getattr(shown, "healthy", True) else 1


def _sample(options: argparse.Namespace) -> int:
    from emolab.sample import ensure

    print(f"sample corpora: {ensure(force=options.force)}")
    return 0


def _predict(options: argparse.Namespace) -> int:
    import pandas as pd

    from emolab.course import fits
    from emolab.recognizer import Recognizer

    require_writable(options.output and options.output.parent)
    recognizer, rows = Recognizer.load(recovered(options.model)), []
    items = [*_items(options.files, options.encoding), *((text, [text]) for text in options.text)]
    if not items:
        raise ValueError('nothing to predict; expected files, or --text "some words". See emolab predict --help.')
    if options.text and "text" not in recognizer.modalities:
        takes = f"{recognizer.name} takes {' + '.join(recognizer.modalities)}, no text"
        raise ValueError(f"{takes}; expected files. See emolab predict --help.")
    for name, item in items:  # one by one: a file that cannot be read must not cost the others their result
        try:
            rows.append({"file" if options.files else "text": name, **fits.answer(recognizer, item)})
        except (ValueError, OSError) as error:
            told = _told(error).replace(str(Path(name).resolve()), "it")
            print(f"emolab: {name}: {told}", file=sys.stderr)
    form = options.to or (options.output.suffix.lower()[1:] if options.output else "table")
    if rows:
        fits.write_table(pd.DataFrame(rows), form, options.output)
    return 0 if len(rows) == len(items) else 1


def _items(files: Sequence[Path], encoding: str | None = None) -> Iterator[tuple[str, Any]]:
    """Yield the name of each utterance in files, folders, lists of files and tables, and what to predict it from."""
    from emolab.corpora import load_corpus

    for file in files:
        if file.is_dir():
            yield from _items(sorted(each for each in file.rglob("*") if each.suffix.lower() in TABLE["media"]))
        elif file.suffix.lower() == ".txt":
            lines = file.read_text(encoding=encoding or "utf-8-sig").splitlines()
            yield from _items([file.parent / line for line in lines if line], encoding)
        elif file.suffix.lower() == ".csv":
            ids = (corpus := load_corpus(file, encoding=encoding)).table["utterance_id"]
            yield from ((name, corpus.select(ids == name)) for name in ids)
        else:
            yield str(file), [file]


def _run(options: argparse.Namespace) -> int:
    from emolab.course import chapters

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # like Ctrl-C: kernels end, what is finished stays
    names = [name for name in ("preset", "seed") if getattr(options, name) is not None]
    parameters = {"corpus": _chosen(options), **{name: getattr(options, name) for name in names}}
    how = {"parameters": parameters, "jobs": options.jobs, "timeout_s": options.timeout}
    runs = chapters.run_chapters(chapters.find_chapters(options.chapters), **how)
    print(f"\n{chapters.runs_table(runs)}\n\nThe executed chapters are in {chapters.BUILD}; open them with: make lab")
    return 1 if any(run.error for run in runs) else 0


def _explore(options: argparse.Namespace) -> int:
    from emolab.course.chapters import explore

    run = explore(_chosen(options), folder := options.out or Path("explored"))
    print(f"{run.error or run.figures['found']}\n\nThe notebook is in {folder}: look at it, change it, run it again.")
    return 1 if run.error else 0


def _fit(options: argparse.Namespace) -> int:
    from emolab import recipes, results
    from emolab.corpora import load_corpus
    from emolab.course import fits
    from emolab.evaluation import cross_validate
    from emolab.splits import folds_of

    require_writable(options.save, options.out, results_root() if options.record else None)
    how = {"preset": options.preset, "weights": options.weights}
    builds = {name: partial(recipes.recipe, name, **how) for name in options.recipes}
    starts_from = {name: build().pretrained for name, build in builds.items()}  # misspelt names are told at once
    crossed = fits.crossing(options)
    whole = crossed.test if crossed else load_corpus(_chosen(options)).view()
    all_folds = [crossed] if crossed else folds_of(whole)
    if options.record:  # what the ledger would refuse in the end is told before hours of measuring
        same = {"corpus": whole.name, "view": whole.view_name, "protocol": all_folds[0].protocol}
        for name in builds:
            results.place_of({**same, "preset": options.preset, "recipe": name}, replace=options.replace)
    for name, build in builds.items():
        corpus = whole if crossed else build().usable(whole)
        folds = all_folds if corpus is whole else folds_of(corpus)
        with fits.on_cluster(options.dask):
            measured = cross_validate(build, folds, seeds=options.seeds)
        print(f"{fits.in_words(measured)}\n")
        facts = {"recipe": name, "preset": options.preset, "pretrained": starts_from[name]}
        place, kept = name.replace("/", "-") * (len(builds) > 1), "none, see --save"
        if options.save:
            learned = crossed.train if crossed else corpus
            print(f"{(kept := fits.keep(build, learned, folds[0], measured, options.save / place))}\n")
        if options.out:
            fits.write(options.out / place, corpus, measured, **facts, kept=kept, command=shlex.join(options.typed))
        if options.record:  # no folder of one's own
            typed = [str(starts_from[name]) if word == options.weights else word for word in _typed(options, name)]
            entry = results.entry_of(measured, **facts, command=shlex.join(typed))
            print(f"recorded in {results.record(entry, replace=options.replace)}\n")
    if options.record:
        rows = results.read_ledger(corpus.name).sort_values("ua", ascending=False)
        print(rows[["recipe", "protocol", "trained_on", "ua", "weighted_f1"]].round(3).to_string(index=False))
    return 0


def _typed(options: argparse.Namespace, recipe: str) -> list[str]:
    """Return the command as if it had been typed for one recipe alone, without folders and addresses of one's own."""
    own = ("save", "out", "dask")
    others = {*options.recipes, *(f"--{name}" for name in own), *(str(vars(options).get(name)) for name in own)}
    return [word for word in options.typed if word == recipe or word not in others]


def _explain(options: argparse.Namespace) -> int:
    from emolab import results
    from emolab.corpora import load_corpus
    from emolab.explain.scorecard import measure_scorecard, wide
    from emolab.recipes import recipe
    from emolab.splits import folds_of

    require_writable(results_root() if options.record else None)
    whole = load_corpus(_chosen(options)).view()
    how = {name: getattr(options, name) for name in ("modality", "preset", "seed", "weights", "methods", "alone")}
    for name in options.recipes:
        fold = folds_of(recipe(name, preset=options.preset).usable(whole))[0]
        entry = measure_scorecard(name, fold, command=shlex.join(_typed(options, name)), n=options.utterances, **how)
        print(f"{name}, {entry['n']} utterances of {entry['corpus']}, {entry['fold']}")
        print(wide(results.frame_of(entry)).T.to_string(float_format="{:.3f}".format, na_rep=""), "\n")
        if options.record:
            print(f"recorded in {results.record_scores(entry)}\n")
    return 0


def _correct(options: argparse.Namespace) -> int:
    from emolab.annotate import corrections, formats

    given = [formats.read_annotation(file) for file in options.annotations]
    fitted = options.save and corrections.refit(options.model, given, options.media, options.save)
    print(fitted or corrections.compare(*given))
    return 0


def _demo(options: argparse.Namespace) -> int:
    from emolab.app.server import serve

    serve(**{name: getattr(options, name) for name in ("host", "port", "model", "max_seconds", "max_mb", "workers")})
    return 0


def _annotate(options: argparse.Namespace) -> int:
    from emolab.annotate import command

    return (command.capture if options.typed[1] == "capture" else command.annotate_files)(options)


if __name__ == "__main__":
    sys.exit(main())
