"""The one training loop: padded batches, the best epoch by validation, checkpoints that survive a kill."""

import copy
import ctypes
import inspect
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, is_dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal, cast

import joblib
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Sampler

from emolab.models.light import concordance_correlation
from emolab.storage import atomic_write, recovered
from emolab.storage import progress as progressed

CHECKPOINT = "checkpoint"  # a folder of accelerate's files, with one of our own:
RUN = "run.pt"  # fingerprint, history, and weights of the best epoch
N_POOLED = 16  # batches whose utterances are sorted by length together: little padding, yet no fixed order
LARGE = 8_000_000  # parameters of a network from which on a second thread pays

Augment = Callable[[tuple[Tensor, ...], torch.Generator], tuple[Tensor, ...]]  # inputs of a batch, changed


@dataclass(frozen=True)
class Examples:
    """Inputs and targets of a network.

    Attributes:
        inputs: One list a modality, of one array an utterance: (steps, …) float, or (steps,) int for tokens.
        targets: (n,) int64, the number of each utterance's emotion; (n, n_emotions) float, shares that sum to 1; or
            (n,) float, values that are predicted by a single output.
        emotions: Names of the emotions, for messages; without them emotions go by number.

    Raises:
        ValueError: If counts differ, an utterance has no steps in any modality, or a value is not finite.
    """

    inputs: Sequence[Sequence[NDArray[Any]]]
    targets: NDArray[Any]
    emotions: Sequence[str] = ()

    def __post_init__(self) -> None:
        counts = [len(arrays) for arrays in self.inputs]
        if not counts or {*counts} != {len(self.targets)} or not counts[0]:
            found = f"inputs hold {counts} arrays a modality for {len(self.targets)} targets"
            raise ValueError(f"{found}; expected one array an utterance in each, and some. Take all from one corpus.")
        empty = [not any(map(len, arrays)) for arrays in zip(*self.inputs, strict=True)]
        for number, arrays in enumerate(self.inputs):
            broken = [place for place, array in enumerate(arrays) if empty[place] or not np.isfinite(array).all()]
            if broken:
                what = f"{len(broken)} arrays of inputs[{number}] have no steps, or NaN or infinity, first {broken[:5]}"
                raise ValueError(f"{what}; expected at least one step, all finite. Mend the features, or drop these.")

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(n,) int64, steps of the first modality."""
        return np.array([len(array) for array in self.inputs[0]])

    def batch(self, places: Sequence[int]) -> tuple[Tensor, ...]:
        """Collate some utterances: padded (batch, steps, …) and (batch,) lengths a modality, then targets."""
        padded = (pad([arrays[place] for place in places]) for arrays in self.inputs)
        return (*chain(*padded), in_its_type(torch.as_tensor(self.targets[list(places)])))


def pad(arrays: Sequence[NDArray[Any]]) -> tuple[Tensor, Tensor]:
    """Pad arrays (steps, …) with zeros to one tensor (batch, most steps, …), and return their (batch,) lengths.

    Floats become float32, whole numbers int64; pictures stay uint8, an eighth of that.
    """
    padded = pad_sequence([torch.tensor(array) for array in arrays], batch_first=True)
    return in_its_type(padded), torch.tensor([len(array) for array in arrays])


def in_its_type(values: Tensor) -> Tensor:
    """Bring floats to float32 and whole numbers to int64; bytes, of pictures, stay an eighth of that."""
    as_number = values.float if values.is_floating_point() else values.long
    return values if values.dtype == torch.uint8 else as_number()


class LengthBuckets(Sampler[list[int]]):
    """Batches of places with utterances of similar length; each epoch shuffles them anew from (seed, epoch)."""

    def __init__(self, lengths: NDArray[np.int64], batch_size: int, *, seed: int | None = None) -> None:
        self.lengths, self.batch_size, self.seed = lengths, batch_size, seed
        self.epoch, self.drop_last = 0, False

    def __len__(self) -> int:
        return math.ceil(len(self.lengths) / self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        n, size = len(self.lengths), self.batch_size
        random = None if self.seed is None else np.random.default_rng((self.seed, self.epoch))
        order = np.arange(n) if random is None else random.permutation(n)
        pool = n if random is None else N_POOLED * size
        pools = [order[start : start + pool] for start in range(0, n, pool)]
        order = np.concatenate([part[np.argsort(self.lengths[part], kind="stable")] for part in pools])
        batches = [order[start : start + size].tolist() for start in range(0, n, size)]
        if random is not None:
            last = batches[-1:]  # perhaps a short one; accelerate expects it at the end
            batches = [batches[place] for place in random.permutation(len(batches) - 1)] + last
        yield from batches


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
    label_smoothing: float = 0.0  # of labels; shares of votes are taken as they are
    choose_by: Literal["loss", "ua", "last"] = "loss"  # the best epoch: on the validation set, or no choice
    patience: int | None = 6  # epochs without a better one before training stops; None: never
    auxiliary: float = 0.3  # weight of the loss of auxiliary heads, see `Fusion`
    cpu_bfloat16: bool = False  # on a CPU, multiply in 16 bits: faster where the processor can, a little rougher


@dataclass
class History:
    """What happened in each epoch; epochs are counted from 1."""

    choose_by: Literal["loss", "ua", "last"] = "loss"
    train_loss: list[float] = field(default_factory=list)  # nats, with smoothing, class weights and augmentation
    valid_loss: list[float] = field(default_factory=list)  # nats, plain cross-entropy; of values 1 - CCC, both losses
    valid_score: list[float] = field(default_factory=list)  # unweighted average recall, 0 to 1; of values CCC
    epoch_seconds: list[float] = field(default_factory=list)  # validation included

    def __len__(self) -> int:
        return len(self.train_loss)

    @property
    def best_epoch(self) -> int:
        """The epoch of the lowest validation loss or the highest score, the first of equals; 0 before any.

        The last one where nothing is chosen: with few validation speakers the highest score is mostly luck.
        """
        if not len(self) or self.choose_by == "last":
            return len(self)
        costs = self.valid_loss if self.choose_by == "loss" else [-score for score in self.valid_score]
        return int(np.argmin(np.nan_to_num(costs, nan=math.inf))) + 1

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
        model: Any network, called with a padded tensor and (batch,) lengths of each modality in turn, or with the
            tensors alone if its forward takes no lengths; it returns logits (batch, n_emotions).
        train: The training set.
        valid: The validation set, which chooses the epoch and stops the training.
        config: How to train.
        seed: Of the order of the examples, dropout and augmentation; the caller's random state is left alone.
        folder: Where to keep a checkpoint after each epoch; a run that finds its own there goes on from it and
            ends as if it had never been interrupted.
        progress: Whether to show a bar.
        augment: Changes a training batch's inputs, drawing from the generator; validation batches stay as they are.

    Returns:
        The losses and scores of each epoch.

    Raises:
        ValueError: If an emotion has no training example, the network returns no logits, or the checkpoint is damaged
            or another run's.
    """
    counts, accelerator = _emotion_counts(train, valid), make_accelerator(config)
    optimizer = torch.optim.AdamW(_parameter_groups(model, config), weight_decay=config.weight_decay, fused=True)
    batches = LengthBuckets(train.lengths, config.batch_size, seed=seed)
    loader = DataLoader(cast(Any, range(len(train))), batch_sampler=batches, collate_fn=train.batch)
    net, optimizer, data = accelerator.prepare(model, optimizer, loader)
    run = _Run(accelerator, net, optimizer, config, torch.tensor(counts, device=accelerator.device), augment, folder)
    run.fingerprint = _fingerprint(model, (train, valid), config, seed, augment) if folder else ""
    history = run.load()
    with threads(model), torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        for epoch in progressed(range(len(history), config.n_epochs), "training", show=progress):
            if len(history) - history.best_epoch >= (config.patience or math.inf):
                break
            started, batches.epoch = time.perf_counter(), epoch
            history.train_loss.append(run.train_epoch(data, epoch, seed))
            valid_loss, valid_score = run.validate(valid)
            history.valid_loss.append(valid_loss)
            history.valid_score.append(valid_score)
            history.epoch_seconds.append(time.perf_counter() - started)
            run.save(history)
            _give_memory_back()
    accelerator.unwrap_model(net, keep_fp32_wrapper=False).load_state_dict(run.best_weights)
    return history


@dataclass
class _Run:
    """The parts of one training on their device, its best weights so far, and its checkpoint."""

    accelerator: Accelerator
    net: nn.Module
    optimizer: torch.optim.Optimizer
    config: TrainingConfig
    counts: Tensor  # training examples of each emotion
    augment: Augment | None
    folder: Path | None
    fingerprint: str = ""
    best_weights: dict[str, Tensor] = field(default_factory=dict)

    def train_epoch(self, data: DataLoader, epoch: int, seed: int) -> float:
        """Go through the training set once; return its mean loss."""
        # each epoch has its own seed, so that a resumed run draws what an unbroken one would have drawn
        first, second = np.random.SeedSequence((seed, epoch, 0)).generate_state(2).tolist()
        torch.manual_seed(first)
        random, losses = torch.Generator().manual_seed(second), []
        self.net.train()
        for number, (*inputs, targets) in enumerate(data):
            if self.augment is not None:
                inputs = list(self.augment(tuple(inputs), random))
            rate = learning_rate_at((epoch + number / len(data)) / self.config.n_epochs, self.config)
            for group in self.optimizer.param_groups:
                group["lr"] = rate * group["share"]
            with self.accelerator.accumulate(self.net):
                with self.precision():
                    logits = _logits(self.net, inputs, len(self.counts))
                loss = self.loss(logits, targets)
                self.accelerator.backward(loss)
                if self.accelerator.sync_gradients:
                    self.accelerator.clip_grad_norm_(self.net.parameters(), self.config.clip_norm)
                self.optimizer.step()
                self.optimizer.zero_grad()
            losses.append(loss.detach().expand(len(targets)))
        return torch.cat(losses).mean().item()

    def precision(self) -> torch.autocast:
        """Multiply in 16 bits where the configuration asks a CPU for it."""
        on_cpu = self.accelerator.device.type == "cpu"
        return torch.autocast("cpu", torch.bfloat16, enabled=on_cpu and self.config.cpu_bfloat16)

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of (batch, n_outputs), and that of auxiliary heads behind it if there are any.

        Of emotions or shares of votes it is the cross-entropy, of values 1 - CCC.
        """
        weights = self.counts.sum() / (len(self.counts) * self.counts) if self.config.class_weights else None
        smoothing = self.config.label_smoothing * (targets.ndim == 1)  # votes are smooth by themselves
        cost: Any = partial(F.cross_entropy, weight=weights, label_smoothing=smoothing)
        cost = one_minus_concordance if of_values(targets) else cost
        if logits.ndim == 2:
            return cost(logits, targets)
        alone = targets[..., None].expand(*targets.shape, logits.shape[2] - 1)
        return cost(logits[..., 0], targets) + self.config.auxiliary * cost(logits[..., 1:], alone)

    def validate(self, valid: Examples) -> tuple[float, float]:
        """Return the loss on the validation set, cross-entropy in nats, and the unweighted average recall.

        Of values 1 - CCC and the CCC.
        """
        with self.precision():
            logits = torch.from_numpy(predict_logits(self.net, valid, batch_size=self.config.batch_size))
        targets = in_its_type(torch.as_tensor(valid.targets))
        if of_values(targets):
            return (cost := one_minus_concordance(logits, targets).item()), 1 - cost
        named = targets.argmax(dim=1) if targets.ndim == 2 else targets
        hits = (logits.argmax(dim=1) == named).double()
        recalls = [hits[named == emotion].mean() for emotion in named.unique()]
        return F.cross_entropy(logits, targets).item(), torch.stack(recalls).mean().item()

    def save(self, history: History) -> None:
        """Note the weights if the last epoch was the best, and write everything down."""
        if history.best_epoch == len(history):
            self.best_weights = copy.deepcopy(self.accelerator.unwrap_model(self.net).state_dict())
        if self.folder is None or not self.accelerator.is_main_process:
            return
        with atomic_write(self.folder / CHECKPOINT) as part:
            self.accelerator.save_state(str(part), safe_serialization=False)  # safetensors refuses shared weights
            torch.save((self.fingerprint, asdict(history), self.best_weights), part / RUN)
            for file in part.glob("random_states_*"):  # each epoch has its own seed; the caller's state is left alone
                file.unlink()

    def load(self) -> History:
        """Take the run up where the checkpoint left it; without one, at the beginning."""
        self.best_weights = copy.deepcopy(self.accelerator.unwrap_model(self.net).state_dict())
        if self.folder is None or not (path := recovered(self.folder / CHECKPOINT)).exists():
            return History(self.config.choose_by)
        why = "belongs to another run: its network, configuration, seed, augmentation or examples differ"
        try:
            fingerprint, history, best_weights = torch.load(path / RUN, "cpu", weights_only=True)
            if fingerprint == self.fingerprint:
                self.accelerator.load_state(str(path))
                self.best_weights = best_weights
                return History(**history)
        except Exception as error:  # pickle, zip and torch each have their own
            why = f"cannot be read ({type(error).__name__}): a file is missing, cut short or damaged"
        raise ValueError(f"{path} {why}; expected all files of this run. Delete the folder to train anew, or move it.")


def of_values(targets: Any) -> bool:
    """Tell whether targets, an array or tensor, are values: (n,) and no whole numbers."""
    return targets.ndim == 1 and "float" in str(targets.dtype)


def one_minus_concordance(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return 1 - CCC of outputs (batch, 1, …) over the batch, averaged over what stands behind; targets (batch, …)."""
    return 1 - concordance_correlation(targets, outputs[:, 0]).mean()


@torch.inference_mode()
def predict_logits(model: nn.Module, examples: Examples, *, batch_size: int = 64) -> NDArray[np.float32]:
    """Return (n, n_emotions) float32 logits in the examples' order; targets are not used."""
    was_training, device = model.training, next(model.parameters(), torch.empty(0)).device
    model.eval()
    places, logits = [], []
    with threads(model):
        for batch in LengthBuckets(examples.lengths, batch_size):
            logits.append(_logits(model, [values.to(device) for values in examples.batch(batch)[:-1]]).cpu())
            places += batch
    model.train(was_training)
    return torch.cat(logits)[np.argsort(places)].numpy()


def _give_memory_back() -> None:
    """Let Linux have what batches of ever other sizes left free between what is in use; other systems do so alone."""
    with suppress(AttributeError, OSError, TypeError):  # not everywhere is there a C library that can
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def threads(network: nn.Module) -> Iterator[None]:
    """Let torch use as many threads as the size of a network is worth: one, unless it has `LARGE` parameters.

    A second thread gains nothing on small tensors, and while another process keeps a core busy, each operation waits
    for the slower of two threads: training takes five times as long.
    """
    before, n_weights = torch.get_num_threads(), sum(weights.numel() for weights in network.parameters())
    torch.set_num_threads(before if n_weights >= LARGE else 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def taken_inputs(model: nn.Module, n_modalities: int) -> slice:
    """Say which inputs of a batch a network's forward takes: values and lengths of each modality, or the values."""
    parameters = inspect.signature(model.forward).parameters.values()
    asked = [p for p in parameters if p.default is p.empty or "length" in p.name]
    takes_all = len(asked) > n_modalities or any(p.kind == p.VAR_POSITIONAL for p in parameters)
    return slice(None) if takes_all else slice(None, None, 2)


def _logits(model: nn.Module, inputs: Sequence[Tensor], n_emotions: int | None = None) -> Tensor:
    """Run a network; raise unless it returns logits, in training perhaps with those of auxiliary heads behind them."""
    logits = model(*inputs[taken_inputs(model, len(inputs) // 2)])
    shape = tuple(logits.shape) if isinstance(logits, Tensor) else ()
    if len(shape) in (2, 2 + model.training) and shape[:2] == (len(inputs[0]), n_emotions or shape[1]):
        return logits.float()
    found = f"shape {shape}" if shape else type(logits).__name__
    found = f"the network returned {found} for {len(inputs[0])} utterances"
    raise ValueError(f"{found}; expected logits, (batch, n_emotions). Let its forward reduce time, to one an emotion.")


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


def _emotion_counts(train: Examples, valid: Examples) -> NDArray[Any]:
    """Count the training examples of each emotion, or add up shares; raise if there is an emotion without any."""
    if of_values(train.targets):
        return np.array([len(train)])
    n = len(train.emotions) or int(max(train.targets.max(), valid.targets.max())) + 1
    counts = train.targets.sum(axis=0) if train.targets.ndim == 2 else np.bincount(train.targets, minlength=n)
    names = list(train.emotions) or [*map(str, range(len(counts)))]
    if missing := [repr(name) for name, count in zip(names, counts, strict=True) if not count]:
        found = f"no training example of emotion {', '.join(missing)}"
        raise ValueError(f"{found}; expected at least one of each of {names}. Take a view without it, or more data.")
    return counts


def _fingerprint(model: nn.Module, sets: Sequence[Examples], config: TrainingConfig, seed: int, augment: Any) -> str:
    """Tell runs apart by network, configuration, seed, augmentation and examples."""
    sizes = [part.config for part in model.modules() if is_dataclass(getattr(part, "config", None))]
    shapes = {name: tuple(weights.shape) for name, weights in model.state_dict().items()}
    changes = repr(augment) if is_dataclass(augment) else getattr(augment, "__qualname__", type(augment))
    data = [(examples.targets, examples.inputs) for examples in sets]
    return joblib.hash((repr((model, sizes, shapes, config, seed, changes)), data))
