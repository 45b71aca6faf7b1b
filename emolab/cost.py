"""What a recognizer costs: parameters, operations, seconds, memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from tempfile import TemporaryDirectory
from timeit import timeit
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

if TYPE_CHECKING:
    from emolab.corpora.corpus import Corpus
    from emolab.recognizer import Recognizer

N_TIMED = 30  # single utterances that latency is measured on
N_WARM_UP = 2


def measure_cost(recognizer: Recognizer, corpus: Corpus, *, train_s: float | None = None) -> dict[str, float | None]:
    """Measure what a fitted recognizer costs.

    Args:
        recognizer: The fitted recognizer.
        corpus: Where the single utterances are taken from.
        train_s: Mean seconds of one fit, handed on.

    Returns:
        `parameters` and `trainable` (counts), `flops` (multiplications and additions of the networks for one utterance
        of median place; None where there is no network), `train_s` (seconds), `latency_ms_p50` and `latency_ms_p95`
        (from files to probabilities, one utterance a call, nothing cached, after a warm-up), `peak_mb` (the highest
        resident memory of this process so far, Python and libraries included, so measure in a fresh process).
    """
    places = np.unique(np.linspace(0, len(corpus) - 1, N_TIMED + N_WARM_UP).round().astype(int))
    singles = [corpus.select(np.arange(len(corpus)) == place) for place in places]
    with _nothing_cached():
        seconds = [timeit(partial(recognizer.predict_proba, single), number=1) for single in singles][-N_TIMED:]
    with _nothing_cached():  # of a frozen encoder either
        flops = _flops(recognizer, singles[len(singles) // 2])
    p50, p95 = np.percentile(seconds, [50, 95]) * 1_000
    sizes = {"parameters": int(recognizer.n_parameters), "trainable": int(recognizer.n_trainable)}
    times = {"train_s": train_s, "latency_ms_p50": float(p50), "latency_ms_p95": float(p95)}
    return {**sizes, "flops": flops, **times, "peak_mb": _peak_mb()}


@contextmanager
def _nothing_cached() -> Iterator[None]:
    """Let features be computed as if for the first time."""
    with TemporaryDirectory(prefix="emolab-cost-") as folder, environment(EMOLAB_CACHE=folder):
        yield


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Set environment variables for a while."""
    before = {name: os.environ[name] for name in values if name in os.environ}
    os.environ.update(values)
    try:
        yield
    finally:
        for name in values:
            del os.environ[name]
        os.environ.update(before)


def _flops(recognizer: Recognizer, single: Corpus) -> int | None:
    """Count the operations of all networks that run for one utterance; None if none does."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    formulas = {torch.ops.aten.mkldnn_rnn_layer: _cpu_lstm_flops, torch.ops.aten._cudnn_rnn: _gpu_lstm_flops}
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # the counter does not know the fused kernels
    try:
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False, custom_mapping=formulas) as counter:
            recognizer.predict_proba(single)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return int(counter.get_total_flops()) or None


def _cpu_lstm_flops(steps: Sequence[int], w_in: Sequence[int], w_hidden: Sequence[int], *_: Any, **__: Any) -> int:
    """Count one layer and direction of an LSTM: shapes (frames, batch, n_in), (4 n, n_in), (4 n, n)."""
    return 2 * steps[0] * steps[1] * w_in[0] * (w_in[1] + w_hidden[1])


def _gpu_lstm_flops(steps: Sequence[int], weights: Sequence[Sequence[int]], *_: Any, **__: Any) -> int:
    """Count a whole LSTM: shape (…, n_in), and the shapes of all weights, biases among them."""
    return 2 * int(np.prod(steps[:-1])) * sum(int(np.prod(shape)) for shape in weights if len(shape) > 1)


def _peak_mb() -> float:
    """Return the highest resident memory of this process so far, in MB (10⁶ bytes)."""
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset / 1e6
    import resource  # which Windows does not have

    unit = 1 if sys.platform == "darwin" else 1_024  # macOS counts bytes, Linux KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
