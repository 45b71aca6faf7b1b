"""What a recognizer costs: parameters, operations, disk, seconds, memory."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from timeit import timeit
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from emolab.storage import scratch, temporary_cache

if TYPE_CHECKING:
    from emolab.corpora import Corpus
    from emolab.recognizer import Recognizer

N_TIMED = 30  # single utterances that latency is measured on
N_WARM_UP = 2
N_BATCH = 32  # utterances of the batch that throughput is measured on
BATCH_S = 0.3  # seconds; a batch that is faster is repeated until they are over


def measure_cost(recognizer: Recognizer, corpus: Corpus, *, train_s: float | None = None) -> dict[str, Any]:
    """Measure what a fitted recognizer costs.

    Args:
        recognizer: The fitted recognizer.
        corpus: Where the single utterances are taken from.
        train_s: Mean seconds of one fit, handed on.

    Returns:
        `parameters` and `trainable` (counts), `flops` (multiplications and additions of the networks for one utterance
        of median place; None where there is no network), `train_s` (seconds), `latency_ms_p50` and `latency_ms_p95`
        (from files to probabilities, one utterance a call, nothing cached, after a warm-up), `peak_mb` (the highest
        resident memory of this process so far, Python and libraries included, so measure in a fresh process),
        `disk_mb` (10⁶ bytes of the saved recognizer), and `throughput` (utterances a second of a batch of 32, from
        files to probabilities, nothing cached). Energy is for codecarbon, which knows the machine's meters.
    """
    places = np.unique(np.linspace(0, len(corpus) - 1, N_TIMED + N_WARM_UP).round().astype(int))
    singles = [corpus.select(np.arange(len(corpus)) == place) for place in places]
    with temporary_cache("cost"):
        seconds = [timeit(partial(recognizer.predict_proba, single), number=1) for single in singles][-N_TIMED:]
    with temporary_cache("cost"):  # nothing is cached, of a frozen encoder either
        flops = _flops(recognizer, singles[len(singles) // 2])
    p50, p95 = np.percentile(seconds, [50, 95]) * 1_000
    costs: dict[str, Any] = {"parameters": int(recognizer.n_parameters), "trainable": int(recognizer.n_trainable)}
    costs |= {"flops": flops, "train_s": train_s, "latency_ms_p50": float(p50), "latency_ms_p95": float(p95)}
    costs |= {"peak_mb": _peak_mb(), "disk_mb": _disk_mb(recognizer)}
    return costs | {"throughput": _throughput(recognizer, corpus)}


def _flops(recognizer: Recognizer, single: Corpus) -> int | None:
    """Count the operations of all networks that run for one utterance; None if none does."""
    if "torch" not in sys.modules:  # whoever runs a network has imported it
        return None
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


def _disk_mb(recognizer: Recognizer) -> float:
    """Save the recognizer and return the size of all its files, in MB (10⁶ bytes)."""
    with scratch("cost") as folder:
        recognizer.save(folder / "saved")
        return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def _throughput(recognizer: Recognizer, corpus: Corpus) -> float:
    """Measure utterances a second, on utterances from all over the corpus that are handed over together."""
    places = np.linspace(0, len(corpus) - 1, N_BATCH).round().astype(int)
    batch = corpus.select(np.isin(np.arange(len(corpus)), places))
    seconds, n = 0.0, 0
    while seconds < BATCH_S:
        with temporary_cache("cost"):
            seconds += timeit(partial(recognizer.predict_proba, batch), number=1)
        n += len(batch)
    return n / seconds
