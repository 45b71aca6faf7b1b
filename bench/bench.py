"""Measure each budget of the course and print it beside its target; `make bench`, or with --fresh a fresh clone too.

bench/compare.py measures the same of an older build beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from emolab.media import SAMPLE_RATE, read_audio

ROOT = Path(__file__).resolve().parents[1]
FRAMES, N_EMOTIONS, N_EPOCHS = 185, 8, 3  # 3.7 s at 20 ms, as in RAVDESS
N_DRAWN = 256  # utterances for each of the small networks
N_ENCODED = 60  # recordings that Whisper encodes
BUSY = ("04", "06", "07", "11", "12")  # chapters that train networks, and suffered most where a core was busy
CI_MINUTES = ROOT / "build" / "ci-minutes"  # .ci/run writes it


class Row(NamedTuple):
    """One measure: what was found, its target where there is one, and whether more is better."""

    what: str
    measured: float | None
    target: float | None
    unit: str
    more_is_better: bool = False
    note: str = ""

    def __str__(self) -> str:
        found = self.note or "not measured" if self.measured is None else f"{self.measured:,.2f}"
        if self.target is None:
            return f"{self.what:50} {found:>20} {'':8} {self.unit}"
        kept = "" if self.measured is None else "ok" if self._kept(self.measured, self.target) else "MISSED"
        sign = ">" if self.more_is_better else "<"
        return f"{self.what:50} {found:>20} {sign} {self.target:>6,g} {self.unit:4} {kept}".rstrip()

    def _kept(self, measured: float, target: float) -> bool:
        return measured >= target if self.more_is_better else measured <= target


def seconds(work: Callable[[], object]) -> float:
    """Time one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def import_time() -> Iterator[Row]:
    """Time `import emolab` in fresh processes; the best of five, since others may be working."""
    command = [sys.executable, "-c", "import emolab"]
    yield Row("import emolab", min(seconds(lambda: subprocess.run(command, check=True)) for _ in range(5)), 1, "s")


def sample() -> Iterator[Row]:
    """Build the sample corpora into a folder that is thrown away."""
    from emolab.sample.build import build

    with tempfile.TemporaryDirectory() as folder:
        yield Row("sample corpora", seconds(lambda: build(Path(folder) / "sample")), 40, "s")


def sound_features() -> Iterator[Row]:
    """Compute features of all RAVDESS speech, decoding included, nothing cached."""
    from emolab.corpora import load_corpus
    from emolab.features.audio import Functionals, LogMel, Mfcc

    rows = {"log-mel and MFCC": (10, (LogMel(), Mfcc())), "functionals": (None, (Functionals(),))}
    for what, (target, extractors) in rows.items():
        try:
            data = load_corpus("ravdess")
        except FileNotFoundError:
            yield Row(f"{what} of all RAVDESS speech", None, target, "s", note="RAVDESS is not here")
            continue
        with empty_cache():
            took = sum(seconds(partial(fit_and_transform, each, data)) for each in extractors)
        yield Row(f"{what} of all RAVDESS speech", took, target, "s")


def fit_and_transform(extractor: Any, corpus: Any) -> object:
    """Compute the features of a corpus, scaled by its own mean and deviation where they are."""
    extractor.fit(corpus)
    return extractor.transform(corpus)


@contextmanager
def empty_cache() -> Iterator[None]:
    """Point the cache to an empty folder for a while."""
    before = os.environ.get("EMOLAB_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["EMOLAB_CACHE"] = folder
        yield
    os.environ.pop("EMOLAB_CACHE")
    if before:
        os.environ["EMOLAB_CACHE"] = before


def whisper_vectors() -> Iterator[Row]:
    """Encode recordings by Whisper base: real frames alone, by the package, against 30 s each, by the library."""
    import torch
    from transformers import WhisperModel

    from emolab.corpora import load_corpus
    from emolab.features.pretrained import LayerStatistics, checkpoint

    what = f"Whisper base, {N_ENCODED} recordings: cut / 30 s"
    try:
        data, folder = load_corpus("ravdess"), checkpoint("openai/whisper-base")
    except OSError:
        yield Row(what, None, 0.25, "", note="weights or RAVDESS not here")
        return
    few, padded = data.select(np.arange(len(data)) % (len(data) // N_ENCODED) == 0), []
    cut, whisper = LayerStatistics(str(folder)), WhisperModel.from_pretrained(folder).encoder.eval()
    cut.fit(few)

    def library() -> None:
        for path in few.audio_paths():
            wave = read_audio(path)
            inputs = cut.processor(wave, sampling_rate=SAMPLE_RATE, return_tensors="pt")
            with torch.inference_mode():
                layers = whisper(**inputs, output_hidden_states=True).hidden_states
            real = torch.cat(layers)[
                :, : -(-len(wave) // (2 * cut.processor.hop_length))
            ]  # (n_layers + 1, frames, dim)
            padded.append(torch.cat([real.mean(dim=1), real.std(dim=1, correction=0)], dim=1).numpy())

    with empty_cache():
        ours = seconds(lambda: cut.statistics(few))
    yield Row(what, ours / seconds(library), 0.25, "")
    found = np.array(cut.statistics(few), np.float32)
    same = [
        np.corrcoef(np.ravel(found[:, n]), np.ravel([each[n] for each in padded]))[0, 1] for n in range(len(padded[0]))
    ]
    yield Row("correlation of the vectors, worst layer", min(same), None, "", more_is_better=True)
    yield Row("correlation of the vectors, best layer", max(same), None, "", more_is_better=True)


def networks() -> Iterator[Row]:
    """Train each small network on random inputs of a usual size, and let it predict them; utterances a second."""
    from emolab.models.sequence import Cnn2d, CnnBiLstm, Lstm, Mlp, WordLstm
    from emolab.models.video import FaceCnn
    from emolab.training import Examples, TrainingConfig, fit, predict_logits, threads

    rng = np.random.default_rng(7)
    coarse = FRAMES * 20 // 32  # frames of 32 ms
    sized: dict[str, tuple[Any, dict[str, Any], Callable[[], Any]]] = {
        "MLP, 1,000 features": (Mlp, {"n_features": 1_000}, lambda: rng.standard_normal(1_000)),
        "CNN-BiLSTM, MFCC": (CnnBiLstm, {"n_features": 20}, lambda: rng.standard_normal((coarse, 20))),
        "CNN-BiLSTM, log-mel": (CnnBiLstm, {"n_features": 64}, lambda: rng.standard_normal((FRAMES, 64))),
        "CNN, log-mel": (Cnn2d, {"n_features": 64}, lambda: rng.standard_normal((FRAMES, 64))),
        "LSTM, MFCC": (Lstm, {"n_features": 20}, lambda: rng.standard_normal((coarse, 20))),
        "BiLSTM, words": (WordLstm, {"n_words": 5_000}, lambda: rng.integers(1, 5_000, 12)),
        "CNN, faces": (FaceCnn, {}, lambda: rng.integers(0, 255, (18, 64, 64, 3)).astype(np.uint8)),
    }
    config = TrainingConfig(n_epochs=N_EPOCHS, batch_size=16, patience=None)
    for name, (kind, sizes, draw) in sized.items():
        drawn = [draw() for _ in range(N_DRAWN)]
        inputs = [x.astype(np.float32) if x.dtype == np.float64 else x for x in drawn]
        examples = Examples([inputs], np.arange(N_DRAWN) % N_EMOTIONS)
        few = Examples([inputs[:N_EMOTIONS]], examples.targets[:N_EMOTIONS])
        network = kind.build(**sizes, n_emotions=N_EMOTIONS)
        with threads(network):
            history = fit(network, examples, few, config=config, seed=7, progress=False)
            predicting = min(seconds(lambda n=network, e=examples: predict_logits(n, e)) for _ in range(2))
        target = 1_000 if name == "CNN-BiLSTM, log-mel" else None
        yield Row(f"{name}: training", N_DRAWN / min(history.epoch_seconds), target, "a s", True)
        yield Row(f"{name}: prediction", N_DRAWN / predicting, None, "a s")


def films() -> Iterator[Row]:
    """Decode a film of the sample, and one of RAVDESS where there is one; pictures a second."""
    from emolab.corpora import load_corpus
    from emolab.media import read_frames

    for corpus in ("sample", "ravdess"):
        what = f"film of {corpus} decoded"
        try:
            data = load_corpus(corpus)
            films = [data.root / path for path in data.table["video_path"].dropna()]
        except FileNotFoundError:
            films = []
        if not films:
            yield Row(what, None, None, "pictures a s", note="no film here")
            continue
        n_pictures = len(read_frames(films[0]))
        took = min(seconds(lambda film=films[0]: read_frames(film)) for _ in range(3))
        yield Row(what, n_pictures / took, None, "pictures a s")


def caches() -> Iterator[Row]:
    """Compute each feature of the sample twice: first cold, then from disk."""
    from emolab.corpora import load_corpus
    from emolab.features.audio import Chroma, Classical8, Functionals, LogMel, Mfcc
    from emolab.features.video import FaceFrames

    data = load_corpus("sample").view()
    for extractor in (LogMel(), Mfcc(), Chroma(), Functionals(), Classical8(), FaceFrames()):
        name, n_utterances = type(extractor).__name__, len(data)
        with empty_cache():
            cold, cached = (seconds(partial(fit_and_transform, extractor, data)) for _ in range(2))
        yield Row(f"{name} of {n_utterances} utterances, cold", cold, None, "s")
        yield Row(f"{name}, cached: times faster", cold / cached, 20, "", True)


def explaining() -> Iterator[Row]:
    """Explain by gradients, by SHAP's partition and by modalities: all at once, and naively, one after the other."""
    from emolab import fit_or_load, folds_of, load_corpus
    from emolab.explain import explain

    fold = folds_of(load_corpus("sample").view())[0]
    network = fit_or_load("audio/cnn-bilstm", fold)
    spoken = fold.train.select(by_length(fold.train, 100))
    took = min(seconds(lambda: explain(network, spoken, "integrated-gradients", n_steps=32)) for _ in range(2))
    yield Row("integrated gradients, 100 utterances of about 3 s", took, 10, "s")
    few = [spoken.select(np.arange(100) == place) for place in range(0, 100, 10)]
    alone = sum(seconds(lambda one=one: explain(network, one, "integrated-gradients", n_steps=32)) for one in few)
    yield Row("  times faster than one utterance at a time", 100 * alone / len(few) / took, None, "", True)
    naive = sum(seconds(lambda one=one: captum_step_by_step(network, one)) for one in few)
    yield Row("  times faster than unbatched Captum", 100 * naive / len(few) / took, 10, "", True)

    encoder, size = small_encoder(fold)
    said = fold.test.select(np.arange(len(fold.test)) < 20)
    shap_text_by_text(encoder, said.select(np.arange(20) < 1))  # compiles what both ways need
    took = seconds(lambda: explain(encoder, said, "shap-partition"))
    yield Row(f"SHAP text partition, 20 utterances, {size}", took, 30, "s")
    few = [said.select(np.arange(20) == place) for place in range(0, 20, 7)]
    naive = sum(seconds(lambda one=one: shap_text_by_text(encoder, one)) for one in few)
    yield Row("  times faster than text by text", 20 * naive / len(few) / took, 10, "", True)

    fused = fit_or_load("fusion/product/ensembles", fold)
    many = repeated(fold.train, 1_000)
    fused.predict(many)  # features are cached for both ways
    took = min(seconds(lambda: explain(fused, many, "shapley")) for _ in range(2))
    yield Row("modality Shapley, 1,000 utterances, late fusion", took, 2, "s")
    few = [many.select(np.arange(1_000) == place) for place in range(0, 1_000, 200)]
    naive = sum(seconds(lambda one=one: shap_kernel_of_modalities(fused, one)) for one in few)
    yield Row("  times faster than SHAP's KernelExplainer", 1_000 * naive / len(few) / took, 10, "", True)


def by_length(corpus: Any, n: int) -> Any:
    """Mask the `n` utterances whose sound lasts closest to 3 s."""
    from emolab.media import audio_seconds

    away = np.abs(np.array([audio_seconds(path) for path in corpus.audio_paths()]) - 3)
    return np.isin(np.arange(len(corpus)), np.argsort(away, kind="stable")[:n])


def repeated(corpus: Any, n: int) -> Any:
    """Return a corpus of `n` utterances, the same ones again and again under other names."""
    from dataclasses import replace

    table = corpus.table.iloc[np.arange(n) % len(corpus)].reset_index(drop=True)
    names = [f"{name}#{number}" for number, name in enumerate(table["utterance_id"])]
    return replace(corpus, table=table.assign(utterance_id=names).astype({"utterance_id": "string"}))


def small_encoder(fold: Any) -> tuple[Any, str]:
    """Return a text recognizer on MiniLM, else a stand-in, barely trained since only speed counts; and its size."""
    from dataclasses import replace

    from emolab import recipe

    few = fold.train.select(fold.train.table.groupby("emotion").cumcount().to_numpy() < 3)
    for preset in ("full", "quick"):
        made: Any = recipe("text/minilm", preset=preset)
        made.config = replace(made.config, n_epochs=1)
        try:
            made.fit(few, few)
        except OSError:
            continue
        return made, "stand-in" if made.stand_in else f"MiniLM, {made.n_parameters / 1e6:.0f} M parameters"
    raise OSError("no text encoder could be built")


def captum_step_by_step(network: Any, one: Any) -> object:
    """Call Captum's integrated gradients as its tutorials do, one step at a time."""
    import torch
    from captum.attr import IntegratedGradients

    from emolab.training import pad

    features, lengths = pad(network.inputs(one)[0])
    target = network.logits(one).argmax(axis=1).tolist()
    engine = IntegratedGradients(network.network.eval())
    return engine.attribute(
        features,
        torch.zeros_like(features),
        target=target,
        additional_forward_args=(lengths,),
        n_steps=32,
        internal_batch_size=1,
    )


def shap_text_by_text(recognizer: Any, one: Any) -> object:
    """Call SHAP's partition explainer as its tutorials do, on a model that is asked about one text at a time."""
    from dataclasses import replace

    import shap

    def say(texts: Any) -> Any:
        asked = (replace(one, table=one.table.assign(text=str(text)).astype({"text": "string"})) for text in texts)
        return np.vstack([recognizer.logits(corpus) for corpus in asked])

    explainer = shap.Explainer(say, shap.maskers.Text(r"\s+"))
    return explainer(one.texts(), max_evals=256, batch_size=1, silent=True)


def shap_kernel_of_modalities(recognizer: Any, one: Any) -> object:
    """Call SHAP's KernelExplainer on the modalities of one utterance."""
    import shap

    names = recognizer.modalities

    def say(masks: Any) -> Any:
        rows = []
        for mask in masks:
            gone = [name for name, stays in zip(names, mask, strict=True) if not stays]
            nothing = np.zeros((1, len(recognizer.emotions)))
            rows.append(nothing if len(gone) == len(names) else recognizer.logits(one.without(*gone)))
        return np.vstack(rows)

    explainer = shap.KernelExplainer(say, np.zeros((1, len(names))))
    return explainer.shap_values(np.ones((1, len(names))), silent=True)


RUN = """
import json, sys, tempfile
from pathlib import Path
from emolab.course.chapters import find_chapters, run_chapter
for chapter in find_chapters(sys.argv[1:]):
    run = run_chapter(chapter, build=Path(tempfile.mkdtemp()))
    print(json.dumps([run.chapter, run.seconds, run.peak_mb, run.error]), flush=True)
"""


def run_of(tree: Path, *wanted: str, busy: bool = False) -> dict[str, tuple[float, int]]:
    """Run chapters of a working tree from an empty cache; return seconds and peak megabytes of each.

    Args:
        tree: The working tree, this one or that of an older build.
        wanted: Numbers of chapters; all without.
        busy: Whether another process keeps a core busy meanwhile.

    Raises:
        RuntimeError: If a chapter fails.
    """
    found = {}
    with empty_cache(), busy_core() if busy else nullcontext():
        variables = {**os.environ, "PYTHONPATH": str(tree)}
        command = [sys.executable, "-c", RUN, *wanted]
        told = subprocess.run(command, cwd=tree, env=variables, check=True, stdout=subprocess.PIPE, text=True).stdout
    for chapter, took, peak_mb, error in map(json.loads, told.splitlines()):
        if error:
            raise RuntimeError(f"{chapter} of {tree}: {error}")
        found[chapter] = took, peak_mb
    return found


@contextmanager
def busy_core() -> Iterator[None]:
    """Keep a core busy, as a browser or a second notebook does."""
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        other.kill()
        other.wait()


def chapters() -> Iterator[Row]:
    """Run every chapter in the quick preset on the sample, one after the other, from an empty cache."""
    runs = run_of(ROOT)
    for chapter, (took, peak_mb) in runs.items():
        yield Row(f"chapter {chapter}", took, 30, "s")
        yield Row(f"chapter {chapter}, peak memory", peak_mb, 1_000, "MB")
    yield Row("all chapters", sum(took for took, _ in runs.values()), 300, "s")


def busy_chapters() -> Iterator[Row]:
    """Run chapters that train, alone and with one core kept busy, each from an empty cache."""
    for number in BUSY:
        ((chapter, (free, _)),) = run_of(ROOT, number).items()
        ((_, (busy, _)),) = run_of(ROOT, number, busy=True).items()
        yield Row(f"chapter {chapter}, free", free, 30, "s")
        yield Row(f"chapter {chapter}, one core busy: times its free time", busy / free, 1.5, "")


def fresh_clone() -> Iterator[Row]:
    """Clone the repository, set it up and run the first chapter, as somebody new would."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        subprocess.run(["git", "clone", "--quiet", str(ROOT), folder], check=True)
        subprocess.run(["make", "--no-print-directory", "course", "CHAPTERS=00"], cwd=folder, check=True)
        yield Row("fresh clone to first executed chapter", time.perf_counter() - began, 180, "s")


def whole_test() -> Iterator[Row]:
    """Read how long the last .ci/run on this machine took."""
    minutes = float(CI_MINUTES.read_text()) if CI_MINUTES.is_file() else None
    yield Row(".ci/run", minutes, 12, "min", note="run .ci/run first")


def tests() -> Iterator[Row]:
    """Run all tests, every chapter included, in the present environment."""
    yield Row("make test", seconds(lambda: subprocess.run(["make", "test"], cwd=ROOT, check=True)), 432, "s")


def main() -> int:
    """Print each budget as it is measured; the status is 1 if one was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fresh", action="store_true", help="also run all tests, and set up a fresh clone (minutes)")
    parser.add_argument(
        "only", nargs="*", help="beginnings of the measures to take: import, sample, sound, networks, chapters, busy, …"
    )
    options = parser.parse_args()
    os.environ["EMOLAB_PROGRESS"] = "0"  # only the figures, please
    measures = [import_time, sample, sound_features, caches, films, whisper_vectors, networks, explaining]
    measures += [chapters, busy_chapters, whole_test]
    measures += [tests, fresh_clone] if options.fresh else []
    missed = False
    for measure in measures:
        if not options.only or measure.__name__.startswith(tuple(options.only)):
            for row in measure():
                print(row, flush=True)
                missed |= "MISSED" in str(row)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
