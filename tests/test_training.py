import errno
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from emolab.augmentation import AudioAugmentation
from emolab.models.sequence import CnnBiLstm, CnnBiLstmConfig
from emolab.training import (
    CHECKPOINT,
    Examples,
    History,
    LengthBuckets,
    TrainingConfig,
    fit,
    learning_rate_at,
    make_accelerator,
    pad,
    predict_logits,
    threads,
)


def ragged(*lengths: int) -> list[np.ndarray]:
    return [np.full((length, 2), number + 1, np.float32) for number, length in enumerate(lengths)]


def test_batch_pads_each_modality_with_zeros_and_gives_lengths() -> None:
    words = [np.array([5, 6]), np.array([7]), np.array([8, 9, 9])]
    sound, n_frames, tokens, n_words, targets = Examples([ragged(3, 1, 2), words], np.array([2, 0, 1])).batch([2, 1])
    assert sound.dtype == torch.float32
    assert sound.tolist() == [[[3, 3], [3, 3]], [[2, 2], [0, 0]]]
    assert n_frames.tolist() == [2, 1]
    assert tokens.tolist() == [[8, 9, 9], [7, 0, 0]]
    assert tokens.dtype == torch.int64
    assert (n_words.tolist(), targets.tolist()) == ([3, 1], [1, 0])


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([ragged(3, 1)], r"inputs hold \[2\] arrays a modality for 3 targets; expected one array an utterance"),
        ([], r"inputs hold \[\] arrays"),
        ([ragged(3, 0, 0)], r"2 arrays of inputs\[0\] have no steps, .*first \[1, 2\]; expected at least one step"),
        (
            [ragged(3, 1, 1), [np.ones(1), np.array([np.nan]), np.ones(1)]],
            r"1 arrays of inputs\[1\] .*NaN.*first \[1\];",
        ),
    ],
)
def test_examples_say_what_is_wrong_with_them(inputs: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Examples(inputs, np.array([0, 1, 2]))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=200), st.integers(1, 40), st.none() | st.integers(0, 9))
def test_length_buckets_visit_everyone_once(lengths: list[int], batch_size: int, seed: int | None) -> None:
    buckets = LengthBuckets(np.array(lengths), batch_size, seed=seed)
    batches = list(buckets)
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    assert len(batches) == len(buckets)
    assert {len(batch) for batch in batches[:-1]} <= {batch_size}


def test_length_buckets_waste_little_and_mix_anew_each_epoch() -> None:
    lengths = np.random.default_rng(1).integers(50, 500, 640)
    buckets = LengthBuckets(lengths, 16, seed=1)
    first = list(buckets)
    padded = sum(lengths[batch].max() * len(batch) for batch in first)
    assert padded < 1.15 * lengths.sum()
    assert list(buckets) == first
    buckets.epoch = 1
    assert list(buckets) != first


def test_pictures_are_padded_as_bytes() -> None:
    batch, lengths = pad([np.ones((n, 4, 4, 3), np.uint8) for n in (3, 1)])
    assert batch.dtype == torch.uint8
    assert batch.shape == (2, 3, 4, 4, 3)
    assert lengths.tolist() == [3, 1]


def test_one_of_several_modalities_may_be_missing_and_all_may_not() -> None:
    ragged_pair = [[np.ones((2, 3)), np.ones((0, 3))], [np.ones(0, int), np.ones(4, int)]]
    values, n_values, words, n_words, _ = Examples(ragged_pair, np.array([0, 1])).batch([0, 1])
    assert (values.shape, words.shape) == ((2, 2, 3), (2, 4))
    assert (n_values.tolist(), n_words.tolist()) == ([2, 0], [0, 4])
    with pytest.raises(ValueError, match=r"1 arrays of inputs\[0\] have no steps, .*first \[1\];"):
        Examples([ragged_pair[0], [np.ones(4, int), np.ones(0, int)]], np.array([0, 1]))


QUICK = TrainingConfig(n_epochs=4, batch_size=8, learning_rate=0.01, patience=None)
TINY = CnnBiLstmConfig(
    n_features=4, n_emotions=3, channels=(8,), strides=(2,), n_hidden=6, n_dense=5, dropout=0.2, normalization="batch"
)


def clips(seed: int, n: int = 30) -> Examples:
    """Noise of several lengths; the loud feature tells the emotion."""
    rng = np.random.default_rng(seed)
    targets = np.arange(n) % 3
    sounds = [rng.standard_normal((rng.integers(5, 20), 4)).astype(np.float32) + 2 * np.eye(3, 4)[t] for t in targets]
    return Examples([[sound.astype(np.float32) for sound in sounds]], targets, ("angry", "happy", "sad"))


def network(config: CnnBiLstmConfig = TINY) -> CnnBiLstm:
    with torch.random.fork_rng():
        torch.manual_seed(11)
        return CnnBiLstm(config)


def train(model: nn.Module, config: TrainingConfig = QUICK, **options) -> History:
    return fit(model, clips(1), clips(2, 12), config=config, seed=5, progress=False, **options)


class Scripted(nn.Module):
    """Ignores what it hears; each epoch its weight goes down by about the learning rate."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(2.0))

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        return self.level * torch.ones(len(features), 1) * torch.tensor([1.0, 0.0, 0.0])


def test_fit_lowers_the_loss_and_learns() -> None:
    history = train(network(), replace(QUICK, n_epochs=15))
    assert history.train_loss[-1] < 0.6 * history.train_loss[0]
    assert max(history.valid_score) > 0.8
    assert len(history.to_frame()) == len(history) == 15
    assert history.to_frame().index[0] == 1
    assert sum(history.epoch_seconds) > 0


@pytest.mark.parametrize("choose_by", ["loss", "ua", "last"])
def test_fit_ends_with_the_weights_of_its_best_epoch(choose_by: str) -> None:
    model, valid = network(), clips(2, 12)
    config = replace(QUICK, n_epochs=8, learning_rate=0.1, choose_by=choose_by)  # coarse: the last is not the best
    history = train(model, config)
    logits = torch.from_numpy(predict_logits(model, valid))
    best = history.best_epoch - 1
    assert F.cross_entropy(logits, torch.from_numpy(valid.targets)).item() == pytest.approx(history.valid_loss[best])
    if choose_by == "loss":
        assert history.valid_loss[best] == min(history.valid_loss)
    elif choose_by == "ua":
        assert history.valid_score[best] == max(history.valid_score)
    else:
        assert best == 7


def test_fit_stops_when_the_loss_rises_and_goes_on_while_it_falls() -> None:
    def run(targets: list[int]) -> History:
        valid = Examples([[np.ones((3, 4), np.float32)] * len(targets)], np.array(targets))
        config = replace(QUICK, n_epochs=9, patience=2, weight_decay=0.0)
        return fit(Scripted(), clips(1), valid, config=config, seed=1, progress=False)  # the level falls from 2

    assert run([1, 2, 2]).best_epoch == 9  # falling is good for these
    rising = run([0, 0, 0])
    assert rising.valid_loss == sorted(rising.valid_loss)
    assert (rising.best_epoch, len(rising)) == (1, 3)


def test_best_epoch_goes_down_for_loss_and_up_for_score_and_takes_the_first_of_equals() -> None:
    columns = {"train_loss": [3, 2, 1, 1], "valid_loss": [2, 1, 1, 3], "valid_score": [0.5, 0.4, 0.6, 0.6]}
    assert History("loss", **columns).best_epoch == 2
    assert History("ua", **columns).best_epoch == 3
    assert History("loss", [1.0, 1.0], [math.nan, 2.0], [0.3, 0.3]).best_epoch == 2
    assert History().best_epoch == 0


class Killed(BaseException):
    pass


@pytest.mark.parametrize("killed_in", [2, 3])
@pytest.mark.parametrize("n_accumulated", [1, 2])
def test_a_killed_run_goes_on_to_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_in: int, n_accumulated: int
) -> None:
    config = replace(QUICK, schedule="cosine", warm_up=0.2, n_accumulated=n_accumulated)
    change = AudioAugmentation(max_stretch=3, max_bands=1, max_tempo=0.1)
    unbroken = network()
    expected = train(unbroken, config, augment=change)
    n_calls = 0

    def fatal(self, inputs, random):
        nonlocal n_calls
        n_calls += 1
        if n_calls == 4 * killed_in - 1:  # four batches an epoch: in the middle of one
            raise Killed
        return harmless(self, inputs, random)

    harmless = AudioAugmentation.__call__
    monkeypatch.setattr(AudioAugmentation, "__call__", fatal)
    with pytest.raises(Killed):
        train(network(), config, augment=change, folder=tmp_path)
    resumed = network()
    history = train(resumed, config, augment=change, folder=tmp_path)
    assert history.train_loss == expected.train_loss
    assert history.valid_loss == expected.valid_loss
    for name, weights in unbroken.state_dict().items():
        assert torch.equal(weights, resumed.state_dict()[name]), name
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    first = train(network(), folder=tmp_path)
    model = network()
    assert train(model, folder=tmp_path) == first
    assert not torch.equal(model.out.weight, network().out.weight)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99, None])
@pytest.mark.parametrize("name", ["run.pt", "pytorch_model.bin", "optimizer.bin"])
def test_a_checkpoint_cut_short_is_named_with_the_remedy(tmp_path: Path, name: str, share: float | None) -> None:
    train(network(), replace(QUICK, n_epochs=1), folder=tmp_path)
    path = tmp_path / CHECKPOINT / name
    whole = path.read_bytes()
    path.unlink() if share is None else path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ValueError, match=rf"{CHECKPOINT} cannot be read.*expected all files.*Delete the folder to tr"):
        train(network(), replace(QUICK, n_epochs=1), folder=tmp_path)


@pytest.mark.parametrize("said", ["by torch", "by the system"])
def test_a_full_disk_stops_a_run_and_names_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def full(*_: object, **__: object) -> None:
        raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed")  # as torch says it

    monkeypatch.setattr(torch, "save", full if said == "by torch" else refuse)
    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(OSError, match=rf"no space left while writing {tmp_path}.*Free some disk space"):
        train(network(), folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    train(network(), folder=tmp_path)
    other_sound = Examples([[2 * array for array in clips(1).inputs[0]]], clips(1).targets, clips(1).emotions)
    others = [
        lambda: train(network(), replace(QUICK, learning_rate=0.02), folder=tmp_path),
        lambda: train(network(replace(TINY, dropout=0.3)), folder=tmp_path),
        lambda: train(network(), augment=AudioAugmentation(), folder=tmp_path),
        lambda: fit(network(), other_sound, clips(2, 12), config=QUICK, seed=5, folder=tmp_path),
    ]
    for other in others:
        with pytest.raises(ValueError, match=r"belongs to another run.*expected.*Delete the folder to train anew"):
            other()


def test_an_empty_emotion_is_named() -> None:
    whole = clips(1)
    part = Examples([whole.inputs[0][:2]], whole.targets[:2], whole.emotions)
    with pytest.raises(ValueError, match=r"no training example of emotion 'sad'; expected at least one.*Take a view"):
        fit(network(), part, whole, config=QUICK, seed=1)
    with pytest.raises(ValueError, match="no training example of emotion '2'"):
        fit(network(), replace(part, emotions=()), whole, config=QUICK, seed=1)


def test_class_weights_and_smoothing_are_those_worked_out_by_hand() -> None:
    sounds = [np.ones((3, 4), np.float32)] * 4
    part = Examples([sounds], np.array([0, 0, 0, 1]))

    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.zero = nn.Parameter(torch.tensor(0.0))

        def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
            return self.zero + torch.tensor([[math.log(4.0), 0.0]]).repeat(len(features), 1)  # 0.8 against 0.2

    def first_loss(**options) -> float:
        config = TrainingConfig(n_epochs=1, batch_size=4, **options)
        return fit(Fixed(), part, part, config=config, seed=1, progress=False).train_loss[0]

    right, wrong = -math.log(0.8), -math.log(0.2)
    assert first_loss() == pytest.approx((3 * right + wrong) / 4)
    assert first_loss(class_weights=True) == pytest.approx((right + wrong) / 2)  # weights 4 / (2 * 3) and 4 / (2 * 1)
    smooth = (3 * (0.9 * right + 0.1 * wrong) + (0.9 * wrong + 0.1 * right)) / 4
    assert first_loss(label_smoothing=0.2) == pytest.approx(smooth)


def test_fit_leaves_the_random_state_alone_and_repeats_itself() -> None:
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    before, numbers = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = train(network())
    assert torch.equal(before, torch.get_rng_state())
    assert (numbers == np.random.get_state()[1]).all()  # noqa: NPY002
    torch.manual_seed(2)
    assert train(network()).train_loss == first.train_loss
    assert fit(network(), clips(1), clips(2), config=QUICK, seed=6, progress=False).train_loss != first.train_loss


def test_augment_sees_training_batches_only() -> None:
    seen = []

    def note(inputs, random):
        seen.append(len(inputs[0]))
        return inputs

    train(network(), replace(QUICK, n_epochs=2), augment=note)
    assert sum(seen) == 2 * 30  # not the 12 of validation


@pytest.mark.skipif(torch.cuda.is_available(), reason="about machines without a GPU")
def test_mixed_precision_is_off_on_a_cpu() -> None:
    assert make_accelerator(QUICK).mixed_precision == "no"
    model = network()
    train(model, replace(QUICK, n_epochs=1))
    assert model.out.weight.dtype == torch.float32
    assert "forward" not in vars(model)  # nothing of accelerate's wrapping stays on the network


def test_cpu_bfloat16_stays_close_to_32_bits() -> None:
    config = replace(QUICK, n_epochs=2)
    exact, rough = train(network(), config), train(network(), replace(config, cpu_bfloat16=True))
    assert rough.train_loss == pytest.approx(exact.train_loss, rel=0.05)
    assert rough.train_loss != exact.train_loss


@pytest.mark.parametrize("shown", [True, False])
def test_progress_bar_can_be_off(shown: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr("emolab.storage.DELAY_S", 0.0)
    monkeypatch.delenv("EMOLAB_PROGRESS", raising=False)
    fit(network(), clips(1), clips(2), config=replace(QUICK, n_epochs=1), seed=1, progress=shown)
    out, err = capsys.readouterr()
    assert ("training" in out + err) == shown


def test_gradients_are_clipped() -> None:
    model = network()
    train(model, replace(QUICK, n_epochs=1, clip_norm=1e-14, weight_decay=0.0))  # far below AdamW's epsilon
    torch.testing.assert_close(model.out.weight, network().out.weight, atol=1e-6, rtol=0)


def test_learning_rate_follows_its_schedule() -> None:
    config = TrainingConfig(learning_rate=0.1, schedule="cosine", warm_up=0.2)
    assert learning_rate_at(0.0, config) == 0.0
    assert learning_rate_at(0.1, config) == pytest.approx(0.05)
    assert learning_rate_at(0.2, config) == pytest.approx(0.1)
    assert learning_rate_at(0.6, config) == pytest.approx(0.05)
    assert learning_rate_at(1.0, config) == pytest.approx(0.0)
    assert learning_rate_at(0.7, replace(config, schedule="constant")) == 0.1


def test_fit_leaves_frozen_weights_as_they_are() -> None:
    model = network()
    model.convolutions.requires_grad_(False)
    train(model, replace(QUICK, n_epochs=1))
    assert torch.equal(model.convolutions[0].weight, network().convolutions[0].weight)
    assert not torch.equal(model.out.weight, network().out.weight)


def test_predict_logits_keeps_the_order_and_the_mode_for_any_batch_size() -> None:
    model, examples = network().train(), clips(3, 17)
    one_by_one = predict_logits(model, examples, batch_size=1)
    np.testing.assert_allclose(predict_logits(model, examples, batch_size=5), one_by_one, atol=1e-6)
    assert one_by_one.shape == (17, 3)
    assert one_by_one.dtype == np.float32
    assert model.training


class WithHeads(Scripted):
    """Gives auxiliary logits in training: a second head that is right, a third that says nothing."""

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        logits = super().forward(features, lengths)
        return torch.stack([logits, 2 * logits, 0 * logits], dim=2) if self.training else logits


def test_auxiliary_heads_add_their_share_to_the_loss_and_judge_nothing() -> None:
    still = replace(QUICK, n_epochs=1, learning_rate=1e-12, weight_decay=0.0)
    plain = train(Scripted(), still)
    helped = train(WithHeads(), replace(still, auxiliary=0.5))
    assert helped.valid_loss == plain.valid_loss
    truth, level = torch.from_numpy(clips(1).targets), torch.tensor([2.0, 0.0, 0.0])
    right, silent = (F.cross_entropy(logits.expand(len(truth), 3), truth).item() for logits in (2 * level, 0 * level))
    assert helped.train_loss[0] == pytest.approx(plain.train_loss[0] + 0.5 * (right + silent) / 2, rel=1e-4)


class ValuesAlone(nn.Module):
    """A researcher's own module: mean over time, no lengths asked for."""

    def __init__(self, n_features: int = 4, n_emotions: int = 3) -> None:
        super().__init__()
        self.out = nn.Linear(n_features, n_emotions)

    def forward(self, values: Tensor) -> Tensor:
        return self.out(values.mean(dim=1))


class WithLengths(ValuesAlone):
    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        return self.out(values.sum(dim=1) / lengths[:, None])


class WithOption(ValuesAlone):
    def forward(self, values: Tensor, verbose: bool = False) -> Tensor:
        assert verbose is False
        return super().forward(values)


class MaskedByLengths(ValuesAlone):
    def forward(self, values: Tensor, lengths: Tensor | None = None) -> Tensor:
        assert lengths is not None
        return self.out(values.sum(dim=1) / lengths[:, None])


@pytest.mark.parametrize("kind", [ValuesAlone, WithLengths, WithOption, MaskedByLengths])
def test_any_module_is_trained_whether_it_takes_lengths_or_not(kind: type[nn.Module]) -> None:
    torch.manual_seed(3)
    model = kind()
    history = train(model, replace(QUICK, n_epochs=10, learning_rate=0.1))
    assert max(history.valid_score) > 0.8
    logits = predict_logits(model, clips(2, 12), batch_size=1)  # one at a time: no padding, for those without lengths
    assert (logits.argmax(axis=1) == clips(2, 12).targets).mean() > 0.8
    assert "forward" not in vars(model)


def test_a_module_of_single_vectors_and_a_sequential_are_trained() -> None:
    vectors = Examples([[*3 * np.eye(3, 5, dtype=np.float32)] * 4], np.arange(12) % 3)
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))
    fit(model, vectors, vectors, config=replace(QUICK, n_epochs=40, patience=None), seed=1, progress=False)
    assert (predict_logits(model, vectors).argmax(axis=1) == vectors.targets).all()


def test_a_module_of_two_modalities_without_lengths_gets_both() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Linear(6, 3)

        def forward(self, sound: Tensor, face: Tensor) -> Tensor:
            return self.out(torch.cat([sound.mean(dim=1), face.mean(dim=1)], dim=1))

    sounds = clips(1, 12)
    both = Examples([sounds.inputs[0], [np.ones((3, 2), np.float32)] * 12], sounds.targets)
    assert predict_logits(Two(), both).shape == (12, 3)


@pytest.mark.parametrize(
    ("network", "found"),
    [
        (nn.Linear(4, 3), r"shape \(8, \d+, 3\)"),  # a step each, nobody sums up
        (ValuesAlone(n_emotions=2), r"shape \(8, 2\)"),
        (nn.LSTM(4, 3, batch_first=True), "tuple"),
    ],
)
def test_a_module_that_returns_no_logits_is_told_so(network: nn.Module, found: str) -> None:
    with pytest.raises(ValueError, match=rf"the network returned {found} for 8 utterances; expected.*reduce time"):
        train(network)


@pytest.mark.parametrize("large", [False, True])
def test_threads_are_as_many_as_a_network_is_worth(monkeypatch: pytest.MonkeyPatch, large: bool) -> None:
    monkeypatch.setattr("emolab.training.LARGE", 1 if large else 10**9)
    seen = []

    class Watching(ValuesAlone):
        def forward(self, values: Tensor) -> Tensor:
            seen.append(torch.get_num_threads())
            return super().forward(values)

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        model = Watching()
        train(model, replace(QUICK, n_epochs=1))
        predict_logits(model, clips(2, 12))
        with pytest.raises(KeyError), threads(model):
            raise KeyError
        assert torch.get_num_threads() == 2  # as it was, after an error too
    finally:
        torch.set_num_threads(before)
    assert {*seen} == {2 if large else 1}
