"""What emolab does with damaged files, kills, full disks, odd places: `python bench/reliability.py` (make reliability).

It writes data/results/reliability.json and, from that, docs/reliability.md; `--page` writes the page alone. Everything
is drawn from a seed. Disks that are full or read-only are mounted in memory, which only root can do.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import inputs
import mutants

from emolab.results import device, versions
from emolab.storage import CHECKOUT, atomic_write, data_root, results_root

PAGE = CHECKOUT / "docs" / "reliability.md"
FILE = "reliability.json"
LITTER = re.compile(r"\..*\.(part|old)|emolab-.*|.*\.unfinished|kernel.*\.json")
TRIES = 3  # a kill that came too late is tried again so often
WAIT_S = 900  # at most for one run
FIRST = "import hashlib, json, os, sys\nfrom pathlib import Path\nhere = Path(sys.argv[1])\n"
READY = "\nprint('ready', flush=True)\n"  # from here on it is killed
JOBS = {
    "feature cache": f"""{FIRST}
from emolab import load_corpus
from emolab.features.base import cached_features
from emolab.media import read_audio
corpus = load_corpus("sample")
paths = corpus.audio_paths()[:150]{READY}
waves = cached_features("probe", paths, read_audio)
print(hashlib.sha256(b"".join(wave.tobytes() for wave in waves)).hexdigest())
""",
    "ledger": f"""{FIRST}
from emolab import results
(results.results_root() / "sample").mkdir(parents=True, exist_ok=True)
entry = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8")){READY}
for _ in range(40):
    path = results.record(entry)
(again,) = [each for each in results.read_entries("sample") if each["recipe"] == entry["recipe"]]
print(hashlib.sha256(json.dumps(again, sort_keys=True).encode()).hexdigest())
""",
    "emolab run": f"""{FIRST}
from emolab.course.chapters import read_notebook, run_chapters
chapter = here / "00_short.ipynb"
chapter.write_bytes((here.parent / "shared" / chapter.name).read_bytes()){READY}
(run,) = run_chapters([chapter], parameters={{"seed": 5}}, build=here / "build")
cells = read_notebook(here / "build" / chapter.name).cells
print(run.state, [cell.get("outputs") and cell.outputs[0].get("text") for cell in cells])
""",
    "emolab annotate": f"""{FIRST}
from emolab import cli
talk = here / "talk.wav"
talk.write_bytes((here.parent / "shared" / "talk.wav").read_bytes()) if not talk.is_file() else None{READY}
how = ["--model", str(here.parent / "shared" / "model"), "--asr", "none", "--to", "csv,srt"]
code = cli.main(["annotate", str(talk), *how])
digest = hashlib.sha256((here / "talk.srt").read_bytes()).hexdigest()
print(code, sorted(path.name for path in here.glob("talk*")), digest)
""",
    "fit": f"""{FIRST}
from emolab import load_corpus
from emolab.recipes import fit_or_load
from emolab.splits import folds_of
corpus = load_corpus("sample").view()
fold = folds_of(corpus.select(corpus.table.groupby(["speaker", "emotion"]).cumcount() < 2))[0]{READY}
fitted = fit_or_load("text/bilstm", fold, preset="quick", seed=7)
print(hashlib.sha256(fitted.predict_proba(fold.test).round(5).tobytes()).hexdigest())
""",
    "emolab sample": f"""{FIRST}
from emolab import cli
from emolab.storage import sample_root{READY}
code = cli.main(["sample"])
files = sorted(path for path in sample_root().rglob("*") if path.is_file())
print(code, len(files), hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest())
""",
}
SHARES = {
    "feature cache": 0.25,
    "ledger": 0.25,
    "emolab run": 0.15,
    "emolab annotate": 0.15,
    "fit": 0.15,
}  # sample: rest
NOTHING: dict[str, Any] = {"files": 0, "found": []}
PARTS = ("inputs", "kills", "together", "places", "secrets")
SHORT = ("ledger",)  # what the short form kills
SECRETS = {  # written so that this file does not find itself
    "private key": r"-----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY",
    "cloud key": r"AKIA[0-9A-Z]{16}",
    "token of a code host": r"(gh[pousr]|glpat)[_-][A-Za-z0-9]{20,}",
    "token of a model hub": r"\bhf_[A-Za-z0-9]{30,}",
    "token of a service": r"\b(sk|xox[bap])-[A-Za-z0-9-]{24,}",
    "password": r"(?i)\b(password|passwd|secret|token)\s*[=:]\s*['\"][^'\"{}$\s]{8,}['\"]",
    "private path": r"/(home|Users)[/](?!user\b|you\b|runner\b|emolab\b|ana\b)[a-z][\w.-]+/",
}


class Ran(NamedTuple):
    """What a process left: its exit status, its last line of output, all of its errors."""

    code: int
    said: str
    errors: str


def environment(work: Path, job: str, **more: str) -> dict[str, str]:
    """Return the environment of a job, with cache, temporary files, and what it makes, in its folder."""
    (work / "tmp").mkdir(parents=True, exist_ok=True)
    own = {"EMOLAB_CACHE": str(work / "cache"), "TMPDIR": str(work / "tmp"), "EMOLAB_PROGRESS": "0"}
    own |= {"EMOLAB_DATA": str(work / "data" if job in ("emolab sample", "ledger") else data_root())}
    path = os.pathsep.join([str(CHECKOUT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return {**os.environ, **own, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **more}


def command(job: str, work: Path) -> list[str]:
    """Return the command of a job in a folder."""
    entry = CHECKOUT / "data" / "results" / "sample" / "text-svm.json"
    return [sys.executable, "-c", JOBS[job], str(work), str(entry)]


def run(job: str, work: Path, **more: str) -> Ran:
    """Run a job to its end."""
    how: dict[str, Any] = {"capture_output": True, "text": True, "timeout": WAIT_S, "encoding": "utf-8"}
    done = subprocess.run(command(job, work), env=environment(work, job, **more), cwd=work, check=False, **how)
    return Ran(done.returncode, (done.stdout.strip().splitlines() or [""])[-1], done.stderr)


def killed(job: str, work: Path, after_s: float) -> bool:
    """Start a job and kill it so many seconds after it is ready; return whether it was still at work then."""
    with subprocess.Popen(
        command(job, work), env=environment(work, job), cwd=work, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(after_s)
        alive = process.poll() is None
        process.kill()
        process.stdout.close()  # builders and kernels hold its other end
    return alive


def litter(work: Path) -> list[str]:
    """Return what should have gone: half-written files and folders, temporary ones."""
    return [str(path.relative_to(work)) for path in work.rglob("*") if LITTER.fullmatch(path.name)]


def prepare(shared: Path) -> None:
    """Make what jobs share: a recording, a recognizer, a short chapter."""
    import nbformat
    import numpy as np
    import soundfile

    from emolab import load_corpus
    from emolab.media import SAMPLE_RATE, read_audio
    from emolab.recipes import recipe

    corpus = load_corpus("sample").view()
    few = corpus.select(corpus.table.groupby("emotion").cumcount() < 4)
    fitted = recipe("audio/logistic-regression")
    fitted.fit(few, few)
    fitted.save(shared / "model")
    silence = np.zeros(SAMPLE_RATE, np.float32)
    waves = [each for path in few.audio_paths()[:4] for each in (read_audio(path), silence)]
    soundfile.write(shared / "talk.wav", np.concatenate(waves), SAMPLE_RATE)
    cell = nbformat.v4.new_code_cell
    cells = [cell('corpus = "sample"\nseed = 7', metadata={"tags": ["parameters"]}), cell("import time; time.sleep(1)")]
    nbformat.write(nbformat.v4.new_notebook(cells=[*cells, cell("print(seed)")]), shared / "00_short.ipynb")


def kills(n: int, seed: int, scratch: Path, jobs: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Kill jobs at random moments and run them again; return how often that was, and what went wrong."""
    rng, table = random.Random(seed), {}
    shares = {job: SHARES.get(job, max(1 - sum(SHARES.values()), 0.05)) for job in jobs}
    for job, share in shares.items():
        reference = scratch / f"{job}-whole".replace(" ", "-")
        reference.mkdir()
        began = time.perf_counter()
        whole, seconds = run(job, reference), time.perf_counter() - began
        row: dict[str, Any] = {"kills": 0, "wrong": 0, "litter": 0, "too late": 0}
        if whole.code:
            raise RuntimeError(f"{job} failed without a kill: {whole.errors[-2000:]}")
        for number in range(max(1, round(n * share / sum(shares.values())))):
            work = scratch / f"{job}-{number}".replace(" ", "-")
            work.mkdir()
            for _ in range(TRIES):
                if killed(job, work, rng.uniform(0, seconds / 2)):
                    row["kills"] += 1
                    break
                row["too late"] += 1
            left = litter(work)
            again = run(job, work)
            row["wrong"] += (again.code, again.said) != (whole.code, whole.said)
            row["litter"] += bool(litter(work))
            if (again.code, again.said) != (whole.code, whole.said) or litter(work):
                print(f"  {job}: left {left}; then {litter(work)}; {again} instead of {whole}", flush=True)
            shutil.rmtree(work, ignore_errors=True)
        table[job] = row
        print(job, row, flush=True)
    return table


def together(scratch: Path, jobs: Sequence[str]) -> dict[str, str]:
    """Run two of each job at once on one cache; say what differs from one alone."""
    found = {}
    for job in jobs:
        alone, work = scratch / f"{job}-alone".replace(" ", "-"), scratch / f"{job}-two".replace(" ", "-")
        alone.mkdir()
        work.mkdir()
        whole = run(job, alone)
        how: dict[str, Any] = {"stdout": subprocess.PIPE, "text": True, "env": environment(work, job), "cwd": work}
        two = [subprocess.Popen(command(job, work), **how) for _ in range(2)]
        said = {(each.communicate(timeout=WAIT_S)[0].strip().splitlines() or [""])[-1] for each in two}
        found[job] = "ok" if said == {whole.said} and not litter(work) else f"{said}, {litter(work)}, not {whole.said}"
        print(f"two at once, {job}: {found[job]}", flush=True)
    return found


@contextmanager
def disk(at: Path, *, size: str = "8m") -> Iterator[Path]:
    """Mount a small disk in memory."""
    at.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(at)], check=True, capture_output=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


def one_sentence(ran: Ran, *words: str) -> str:
    """Return "ok" if a command ended with one line that holds these words, else what it said."""
    lines = ran.errors.strip().splitlines()
    right = ran.code == 2 and len(lines) == 1 and lines[0].startswith("emolab: ") and all(w in lines[0] for w in words)
    return "ok" if right else f"{ran.code}: {ran.errors[-400:]}"


def emolab(work: Path, *arguments: str, **more: str) -> Ran:
    """Run a command of emolab."""
    env = environment(work, "", **more)
    how: dict[str, Any] = {"capture_output": True, "timeout": WAIT_S, "cwd": work, "env": env, "check": False}
    done = subprocess.run([sys.executable, "-m", "emolab.cli", *arguments], **how)
    said = done.stdout.decode("utf-8", "replace").strip().splitlines() or [""]
    return Ran(done.returncode, said[-1], done.stderr.decode("utf-8", "replace"))


def places(scratch: Path, *, short: bool) -> dict[str, str]:
    """Try disks that are full or read-only, a plain terminal, odd paths; say of each whether it went well."""
    found, work = {}, scratch / "places"
    work.mkdir()
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    ran = emolab(work, "recipes", "svm", **plain)
    found["LC_ALL=C, a terminal of ASCII"] = "ok" if ran.code == 0 and "weights" in ran.said else str(ran)[-400:]
    odd = scratch / "with blanks, ümläuts and 日本語"
    odd.mkdir()
    job = "ledger" if short else "feature cache"
    whole, ran = run(job, work), run(job, odd)
    found["blanks and non-ASCII in the path"] = "ok" if ran[:2] == whole[:2] else str(ran)[-400:]
    try:
        with disk(scratch / "full") as full:
            (full / "filler").write_bytes(bytes((8 << 20) - 4096))
            ran = emolab(work, "fit", "text/svm", "--record", EMOLAB_DATA=str(full))
            found["full disk, ledger"] = one_sentence(ran, "no space left", "EMOLAB_DATA")
            if not short:
                (full / "filler").unlink()
                ran = emolab(work, "sample", EMOLAB_DATA=str(full))
                found["full disk, sample"] = one_sentence(ran, "no space left", "EMOLAB_DATA")
                left = litter(full)
                found["full disk, sample: nothing stays"] = "ok" if not left else str(left)
                (full / "filler").write_bytes(bytes((8 << 20) - 4096))
                ran = (
                    run("feature cache", work / "other", EMOLAB_CACHE=str(full / "cache"))
                    if ((work / "other").mkdir() is None)
                    else ran
                )
                right = ran[:2] == whole[:2] and "EMOLAB_CACHE" in ran.errors
                found["full disk, feature cache: computed, and told"] = "ok" if right else str(ran)[-400:]
        with disk(scratch / "read-only") as refused:
            subprocess.run(["mount", "-o", "remount,ro", str(refused)], check=True)
            for command_, more in {
                "fit text/svm --record": {"EMOLAB_DATA": str(refused)},
                f"fit text/svm --save {refused}/model": {},
                "explain text/svm --modality text --record": {"EMOLAB_DATA": str(refused)},
                f"explore sample --out {refused}/explored": {},
            }.items():
                ran = emolab(work, *command_.split(), **more)
                found[f"read-only, {command_.replace(str(refused), 'FOLDER')}"] = one_sentence(ran, "no permission")
            if not short:
                ran = run("feature cache", work, HOME=str(refused), EMOLAB_CACHE=str(refused / "cache"))
                right = ran[:2] == whole[:2] and "not cached" in ran.errors
                found["read-only home and cache: computed, and told"] = "ok" if right else str(ran)[-400:]
    except (subprocess.CalledProcessError, FileNotFoundError):
        found["full and read-only disks"] = "not tried: only root can mount disks in memory"
    for name, what in found.items():
        print(f"{name}: {what}", flush=True)
    return found


def secrets(root: Path = CHECKOUT) -> dict[str, Any]:
    """Look for keys, tokens and private paths in the files that git tracks; name those that have one."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True).stdout
    files = [root / os.fsdecode(name) for name in listed.split(b"\0") if name]
    found = []
    for file in filter(Path.is_file, files):
        text = file.read_bytes().decode("utf-8", "replace")
        kinds = [kind for kind, pattern in SECRETS.items() if re.search(pattern, text)]
        found += [f"{file.relative_to(root).as_posix()}: {kind}" for kind in kinds]
    return {"files": len(files), "found": found}


def others(seed: int, n: int) -> dict[str, dict[str, int]]:
    """Return what became of about n damaged recognizers and ledgers, all kinds together."""
    table: dict[str, dict[str, int]] = {}
    for kind, found, why in mutants.mutants(seed, max(1, n // len(mutants.kinds()))):
        row = table.setdefault(kind, {})
        row[found] = row.get(found, 0) + 1
        if found in inputs.BAD:
            print(f"  {found}: {kind}, {why}", flush=True)
    return table


def page(facts: Mapping[str, Any]) -> str:
    """Write the page from what was measured."""
    outcomes = inputs.OUTCOMES
    n = sum(sum(row.values()) for row in facts.get("inputs", {}).values())
    lines = [
        "# Reliability",
        "",
        "What emolab does with damaged files, killed processes, and disks that are full or read-only."
        f" Measured on {facts['date']} with seed {facts['seed']}; the counts below are those that were run. `make"
        " reliability` measures all of it again, with 10,000 damaged inputs and 200 kills, and writes this page.",
        "",
        f"## {n:,} damaged inputs",
        "",
        "Files are damaged in ways such as a flipped bit, a cut, a piece missing, a stray quotation mark or the marks"
        " of a merge, and read by the public readers, at most "
        f"{inputs.LIMIT_S:g} s each. *error*: an error that is documented and names the file. *told*: read, with a"
        " line in `corpus.dropped` or a warning. *same*: read as the whole input. *content*: read with other"
        " letters, numbers or samples, or fewer rows of a table that does not say how many it has: nothing in such a"
        " file can tell. *SILENT*: rows, samples or pictures are lost without a word. *FOREIGN*: an exception that is"
        " not documented or does not name the file. *HANG*: no answer. The last three should be 0.",
        "",
        f"| input | {' | '.join(outcomes)} |",
        f"| --- |{' ---: |' * len(outcomes)}",
    ]
    for name, row in facts.get("inputs", {}).items():
        lines.append(f"| {name} | {' | '.join(f'{row.get(what, 0):,}' for what in outcomes)} |")
    n = sum(row["kills"] for row in facts.get("kills", {}).values())
    absent = [part for part in PARTS if not facts.get(part)]
    lines += [
        "",
        f"## {n} kills",
        "",
        "Work is killed (SIGKILL) at a random moment after its libraries are loaded, then run again. *wrong*: the"
        " second run fails, or gives another result than one that was never killed. *litter*: a half-written or"
        " temporary file or folder is still there after it. Kills that came after the end do not count.",
        "",
        "| work | kills | wrong | litter |",
        "| --- | ---: | ---: | ---: |",
        *(
            f"| {job} | {row['kills']} | {row['wrong']} | {row['litter']} |"
            for job, row in facts.get("kills", {}).items()
        ),
        "",
        "## Two at once, disks, places",
        "",
        "| what | result |",
        "| --- | --- |",
        *(f"| two at once on one cache: {job} | {what} |" for job, what in facts.get("together", {}).items()),
        *(f"| {name} | {what} |" for name, what in facts.get("places", {}).items()),
        "",
        "A full or read-only disk has to be told in one sentence that names the place and the setting that helps there,"
        " before the work where that can be known.",
        "",
        "## Secrets",
        "",
        f"{facts.get('secrets', NOTHING)['files']} tracked files, looked through for keys, tokens, passwords and"
        f" private paths: {'; '.join(facts.get('secrets', NOTHING)['found']) or 'none found'}.",
        "",
        *([f"Not measured yet: {', '.join(absent)}."] if absent else []),
        *(facts.get("notes") or []),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


def measure(options: argparse.Namespace, facts: dict[str, Any]) -> dict[str, Any]:
    """Measure the parts that are asked for, in one temporary folder; others stay as they were recorded."""
    seed, n = options.seed, options.mutants
    with tempfile.TemporaryDirectory(prefix="reliability-") as folder:
        scratch = Path(folder)
        jobs = options.jobs or (SHORT if options.short else JOBS)
        if {*jobs} & {"emolab run", "emolab annotate"} and "kills" in options.only:
            (scratch / "shared").mkdir()
            prepare(scratch / "shared")
        make = {
            "inputs": lambda: inputs.counts(seed, n // 2, scratch) | others(seed, n // 2),
            "kills": lambda: kills(options.kills, seed, scratch, jobs),
            "together": lambda: together(scratch, [job for job in jobs if job in ("feature cache", "ledger", "fit")]),
            "places": lambda: places(scratch, short=options.short),
            "secrets": secrets,
        }
        facts = facts | {part: make[part]() for part in options.only}
    about = {"seed": seed, "date": datetime.now(UTC).date().isoformat(), "device": device(), "versions": versions()}
    return facts | about


def failed(facts: Mapping[str, Any]) -> bool:
    """Tell whether anything is not as it should be."""
    bad = [row.get(what, 0) for row in facts.get("inputs", {}).values() for what in inputs.BAD]
    bad += [row[what] for row in facts.get("kills", {}).values() for what in ("wrong", "litter")]
    said = [*facts.get("together", {}).values(), *facts.get("places", {}).values()]
    return (
        any(bad)
        or bool(facts.get("secrets", NOTHING)["found"])
        or any(not what.startswith(("ok", "not tried")) for what in said)
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write the record and the page; 1 if anything is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--mutants", type=int, default=10_000, help="damaged inputs")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--short", action="store_true", help="only what takes seconds; nothing is written")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="measure these parts again")
    parser.add_argument("--jobs", nargs="+", choices=[*JOBS], help="kill these alone")
    parser.add_argument("--page", action="store_true", help="write the page from the record, measure nothing")
    options = parser.parse_args(arguments)
    record = results_root() / FILE
    known = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    facts = known if options.page else measure(options, known)
    if not options.page and not options.short:
        with atomic_write(record) as part:
            part.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if not options.short:
        with atomic_write(PAGE) as part:
            part.write_text(page(facts), encoding="utf-8")
    print(page(facts))
    return int(failed(facts))


if __name__ == "__main__":
    sys.exit(main())
