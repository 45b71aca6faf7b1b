"""The one training loop: padded batches, the best epoch by validation, checkpoints that survive a kill."""

from __future__ import annotations

import copy
import hashlib
import io
import math
import pickle
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, is_dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from emolab.examples import Examples, LengthBuckets
from emolab.progress import progress as progressed
from emolab.storage import atomic_write

with warnings.catch_warnings():  # in a notebook its progress bars, unused here, would ask for ipywidgets
    warnings.filterwarnings("ignore", "IProgress not found")
    from accelerate import Accelerator

CHECKPOINT = "checkpoint.pt"

Augment = Callable[[tuple[Tensor, ...], torch.Generator], tuple[Tensor, ...]]  # inputs of a batch, changed


@dataclass(frozen=True)
class TrainingConfig:
    """How a network is trained."""

    n_epochs: int = 30
    batch_size: int = 32
    learning_rate: float = 1e-3  # at its highest
    encoder_rate: float = 1.0  # the rate of a network's `pretrained_parameters()`, as a share of that of the others
    schedule: Literal["constant", "cosine"] = "constant"  # cosine falls to 0 at the last step
    warm_up: float = 0.0  # share of all steps in which the rate rises from 0
    weight_decay: float = 0.01
    clip_norm: float = 1.0  # largest norm of the gradient
    n_accumulated: int = 1  # batches that make one step
    class_weights: bool = False  # each emotion counts alike, however rare
    label_smoothing: float = 0.0
    choose_by: Literal["loss", "ua", "last"] = "loss"  # the best epoch: on the validation part, or no choice
    patience: int | None = 6  # epochs without a better one before training stops; None: never
    auxiliary: float = 0.3  # weight of what networks with auxiliary heads say by one modality alone, see `Fusion`
    cpu_bfloat16: bool = False  # on a CPU, multiply in 16 bits: faster where the processor can, a little rougher


@dataclass
class History:
    """What happened in each epoch; epochs are counted from 1."""

    choose_by: Literal["loss", "ua", "last"] = "loss"
    train_loss: list[float] = field(default_factory=list)  # nats, with smoothing, class weights and augmentation
    valid_loss: list[float] = field(default_factory=list)  # nats, plain cross-entropy
    valid_score: list[float] = field(default_factory=list)  # unweighted average recall, 0 to 1
    epoch_seconds: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.train_loss)

    @property
    def best_epoch(self) -> int:
        """The epoch of the lowest validation loss or the highest score, the first of equals; 0 before any.

        Or the last one, where nothing is chosen: with few validation speakers the highest score is mostly luck.
        """
        if not len(self) or self.choose_by == "last":
            return len(self)
        costs = self.valid_loss if self.choose_by == "loss" else [-score for score in self.valid_score]
        return int(np.argmin(np.nan_to_num(costs, nan=math.inf))) + 1

    @property
    def seconds(self) -> float:
        """Time that all epochs took together, validation included."""
        return sum(self.epoch_seconds)

    def to_frame(self) -> pd.DataFrame:
        """Return one row an epoch, by number: train_loss, valid_loss, valid_score, epoch_seconds."""
        columns = {name: values for name, values in asdict(self).items() if name != "choose_by"}
        return pd.DataFrame(columns, index=pd.RangeIndex(1, len(self) + 1, name="epoch"))


def fit(
    model: nn.Module,
    train: Examples,
    valid: Examples,
    *,
    config: TrainingConfig,
    seed: int,
    folder: Path | None = None,
    progress: bool = True,
    augment: Augment | None = None,
) -> History:
    """Train `model` in place; it ends with the weights of its best validation epoch.

    Args:
        model: Called with a padded tensor and (batch,) lengths for each modality in turn; gives logits.
        train: What the weights are fitted to.
        valid: What chooses the epoch and stops the training.
        config: How to train.
        seed: Of the order of the examples, dropout and augmentation; the caller's random state is left alone.
        folder: Where to keep a checkpoint after each epoch; a run that finds its own there goes on from it and
            ends as if it had never been interrupted.
        progress: Whether to show a bar.
        augment: Changes a training batch's inputs, drawing from the generator; never sees validation.

    Returns:
        The losses and scores of each epoch.

    Raises:
        ValueError: If an emotion has no training example, or the checkpoint is broken or another run's.
    """
    counts = _emotion_counts(train, valid)
    accelerator = make_accelerator(config)
    groups = _parameter_groups(model, config)
    optimizer = torch.optim.AdamW(groups, config.learning_rate, weight_decay=config.weight_decay, fused=True)
    batches = LengthBuckets(train.lengths, config.batch_size, seed=seed)
    net, optimizer, train_data, valid_data = accelerator.prepare(
        model, optimizer, _loader(train, batches), _loader(valid, LengthBuckets(valid.lengths, config.batch_size))
    )
    weights = torch.tensor(len(train) / (len(counts) * counts), dtype=torch.float32, device=accelerator.device)
    run = _Run(accelerator, net, optimizer, config, weights if config.class_weights else None, augment)
    checkpoint = _Checkpoint(run, folder, _fingerprint(model, train, valid, config, seed, augment) if folder else "")
    history = checkpoint.load()
    epochs = progressed(range(len(history), config.n_epochs), "training", show=progress)
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        for epoch in epochs:
            if len(history) - history.best_epoch >= (config.patience or math.inf):
                break
            started, batches.epoch = time.perf_counter(), epoch
            history.train_loss.append(run.train_epoch(train_data, epoch, seed))
            valid_loss, valid_score = run.judge(valid_data)
            history.valid_loss.append(valid_loss)
            history.valid_score.append(valid_score)
            history.epoch_seconds.append(time.perf_counter() - started)
            checkpoint.save(history)
    accelerator.unwrap_model(net, keep_fp32_wrapper=False).load_state_dict(checkpoint.best_weights)
    return history


@dataclass
class _Run:
    """The parts of one training, placed on their device."""

    accelerator: Accelerator
    net: nn.Module
    optimizer: torch.optim.Optimizer
    config: TrainingConfig
    class_weights: Tensor | None
    augment: Augment | None

    def train_epoch(self, data: DataLoader, epoch: int, seed: int) -> float:
        """Go through the training part once; return its mean loss."""
        random = _seeded(seed, epoch, self.accelerator.process_index)
        total, n_seen = torch.zeros((), device=self.accelerator.device), 0
        self.net.train()
        for number, (*inputs, targets) in enumerate(data):
            if self.augment is not None:
                inputs = list(self.augment(tuple(inputs), random))
            self._set_rate((epoch + number / len(data)) / self.config.n_epochs)
            with self.accelerator.accumulate(self.net):
                loss = self._loss(self._logits(*inputs), targets)
                self.accelerator.backward(loss)
                if self.accelerator.sync_gradients:
                    self.accelerator.clip_grad_norm_(self.net.parameters(), self.config.clip_norm)
                self.optimizer.step()
                self.optimizer.zero_grad()
            total += loss.detach() * len(targets)
            n_seen += len(targets)
        return total.item() / n_seen

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the cross-entropy of (batch, n_emotions), and of auxiliary heads behind it if there are any."""
        how: dict[str, Any] = {"weight": self.class_weights, "label_smoothing": self.config.label_smoothing}
        if logits.ndim == 2:
            return F.cross_entropy(logits, targets, **how)
        alone = targets[:, None].expand(-1, logits.shape[2] - 1)
        return F.cross_entropy(logits[..., 0], targets, **how) + self.config.auxiliary * F.cross_entropy(
            logits[..., 1:], alone, **how
        )

    @torch.no_grad()
    def judge(self, data: DataLoader) -> tuple[float, float]:
        """Return the mean cross-entropy in nats and the unweighted average recall, every utterance counted once."""
        self.net.eval()
        parts = [
            self.accelerator.gather_for_metrics((self._logits(*inputs), targets)) for (*inputs, targets) in data
        ]  # gathered without the fillers that make the last batch as large as the others
        logits, targets = (torch.cat(part).cpu() for part in zip(*parts, strict=True))
        hits = (logits.argmax(dim=1) == targets).double()
        recalls = [hits[targets == target].mean() for target in targets.unique()]
        return F.cross_entropy(logits, targets).item(), torch.stack(recalls).mean().item()

    def _logits(self, *inputs: Tensor) -> Tensor:
        """Run the network, in 16 bits where the configuration asks a CPU for it."""
        on_cpu = self.accelerator.device.type == "cpu"
        with torch.autocast("cpu", torch.bfloat16, enabled=on_cpu and self.config.cpu_bfloat16):
            return self.net(*inputs).float()

    def _set_rate(self, progress: float) -> None:
        """Set the learning rate for a point of the training between 0 and 1."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["share"] * learning_rate_at(progress, self.config)


def _parameter_groups(model: nn.Module, config: TrainingConfig) -> list[dict[str, Any]]:
    """Put what training may change in groups, those that come pretrained apart from the new ones."""
    parts: list[Any] = [part for part in model.modules() if hasattr(part, "pretrained_parameters")]
    pretrained = {id(weights) for part in parts for weights in part.pretrained_parameters()}
    groups: dict[float, list[nn.Parameter]] = {}
    for weights in filter(lambda weights: weights.requires_grad, model.parameters()):
        groups.setdefault(config.encoder_rate if id(weights) in pretrained else 1.0, []).append(weights)
    return [{"params": weights, "share": share} for share, weights in groups.items()]


def learning_rate_at(progress: float, config: TrainingConfig) -> float:
    """Return the learning rate when the share `progress` of all steps is done."""
    if progress < config.warm_up:
        return config.learning_rate * progress / config.warm_up
    if config.schedule == "constant":
        return config.learning_rate
    return config.learning_rate * (1 + math.cos(math.pi * (progress - config.warm_up) / (1 - config.warm_up))) / 2


def make_accelerator(config: TrainingConfig) -> Accelerator:
    """Choose device and precision: 16 bits on a GPU (bfloat16 where it can), else 32."""
    on_gpu = torch.cuda.is_available()
    precision = ("bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16") if on_gpu else "no"
    return Accelerator(mixed_precision=precision, gradient_accumulation_steps=config.n_accumulated)


@torch.inference_mode()
def predict_logits(model: nn.Module, examples: Examples, *, batch_size: int = 64) -> NDArray[np.float32]:
    """Return (n, n_emotions) float32 logits in the examples' order; targets are not looked at."""
    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    places, logits = [], []
    for batch in LengthBuckets(examples.lengths, batch_size):
        *inputs, _ = examples.batch(batch)
        logits.append(model(*(values.to(device) for values in inputs)).float().cpu())
        places += batch
    model.train(was_training)
    return torch.cat(logits)[np.argsort(places)].numpy()


@dataclass
class _Checkpoint:
    """The state of a run after an epoch, on disk where there is a folder, and the best weights so far."""

    run: _Run
    folder: Path | None
    fingerprint: str
    best_weights: dict[str, Tensor] = field(default_factory=dict)

    def save(self, history: History) -> None:
        """Note the weights if the last epoch was the best, and write everything down."""
        accelerator, scaler = self.run.accelerator, self.run.accelerator.scaler
        weights = accelerator.unwrap_model(self.run.net).state_dict()
        if history.best_epoch == len(history):
            self.best_weights = copy.deepcopy(weights)
        if self.folder is None or not accelerator.is_main_process:
            return
        state = {
            "fingerprint": self.fingerprint,
            "history": asdict(history),
            "weights": weights,
            "best_weights": self.best_weights,
            "optimizer": self.run.optimizer.state_dict(),
            "scaler": scaler.state_dict() if scaler else {},
        }
        content = io.BytesIO()
        torch.save(state, content)  # which would not tell a full disk from a broken one
        with atomic_write(self.folder / CHECKPOINT) as part:
            part.write_bytes(content.getbuffer())

    def load(self) -> History:
        """Take the run up where the file left it; without a file, at the beginning."""
        model = self.run.accelerator.unwrap_model(self.run.net)
        if self.folder is None or not (path := self.folder / CHECKPOINT).is_file():
            self.best_weights = copy.deepcopy(model.state_dict())
            return History(self.run.config.choose_by)
        state = read_checkpoint(path)
        if state["fingerprint"] != self.fingerprint:
            raise ValueError(
                f"{path} belongs to another run: its network, configuration, seed, augmentation or examples differ; "
                "expected those it was written with. Delete it to begin anew, or give this run a folder of its own."
            )
        model.load_state_dict(state["weights"])
        self.run.optimizer.load_state_dict(state["optimizer"])
        if self.run.accelerator.scaler and state["scaler"]:
            self.run.accelerator.scaler.load_state_dict(state["scaler"])
        self.best_weights = state["best_weights"]
        return History(**state["history"])


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read what `fit` has left in a file; ValueError says so if it is broken."""
    content = path.read_bytes()  # a disk that cannot be read raises its own OSError, here
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        return {key: state[key] for key in ("fingerprint", "history", "weights", "best_weights", "optimizer", "scaler")}
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} ({len(content)} bytes) cannot be read as a checkpoint; expected a whole file written by "
            "emolab.training.fit, this one is cut short or damaged. Delete it and train again."
        ) from error


def _emotion_counts(train: Examples, valid: Examples) -> NDArray[np.int64]:
    """Count the training examples of each emotion; raise if there is an emotion without any."""
    n_emotions = len(train.emotions) or int(max(train.targets.max(), valid.targets.max())) + 1
    counts = np.bincount(train.targets, minlength=n_emotions)
    names = list(train.emotions) or [str(number) for number in range(n_emotions)]
    if missing := [name for name, count in zip(names, counts, strict=True) if not count]:
        raise ValueError(
            f"no training example of emotion {', '.join(map(repr, missing))}; expected at least one of each of "
            f"{names}. Take a view without it, other folds, or more data: a network cannot learn what it never meets."
        )
    return counts


def _loader(examples: Examples, batches: LengthBuckets) -> DataLoader:
    places: Any = range(len(examples))
    return DataLoader(places, batch_sampler=batches, collate_fn=examples.batch)


def _seeded(*numbers: int) -> torch.Generator:
    """Seed torch's current random state and a new generator.

    Every epoch has its own seed, so that a resumed run draws what an unbroken one would have drawn.
    """
    first, second = np.random.SeedSequence(numbers).generate_state(2)
    torch.manual_seed(int(first))
    return torch.Generator().manual_seed(int(second))


def _fingerprint(
    model: nn.Module, train: Examples, valid: Examples, config: TrainingConfig, seed: int, augment: Augment | None
) -> str:
    """Tell runs apart by network, configuration, seed, augmentation and examples."""
    sizes = [part.config for part in model.modules() if is_dataclass(getattr(part, "config", None))]
    changes = repr(augment) if is_dataclass(augment) else getattr(augment, "__qualname__", type(augment))
    digest = hashlib.sha256(repr((model, sizes, config, seed, changes)).encode())
    for examples in (train, valid):
        for array in (examples.targets, examples.lengths, *chain(*examples.inputs)):
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
