import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emolab.examples import Examples, LengthBuckets, SpectrogramChanges


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
        ([ragged(3, 0, 0)], r"2 arrays of inputs\[0\] have no steps, first at \[1, 2\]; expected at least one step"),
        ([ragged(3, 1, 1), [np.ones(1), np.array([np.nan]), np.ones(1)]], r"1 arrays of inputs\[1\] hold NaN.*\[1\]"),
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


def test_spectrogram_changes_hide_no_more_than_they_may_and_repeat_for_a_seed() -> None:
    sound, lengths = torch.ones(50, 80, 20), torch.full((50,), 80)
    change = SpectrogramChanges(n_stretches=1, max_stretch=10, n_bands=1, max_bands=3)
    changed, same_lengths = change((sound, lengths), torch.Generator().manual_seed(1))
    hidden_frames = (changed == 0).all(dim=2).sum(dim=1)
    hidden_bands = (changed == 0).all(dim=1).sum(dim=1)
    assert (hidden_frames.max(), hidden_bands.max()) == (10, 3)
    assert torch.equal(lengths, same_lengths)
    assert sound.all()  # the original stays as it was
    again, _ = change((sound, lengths), torch.Generator().manual_seed(1))
    assert torch.equal(changed, again)


def test_spectrogram_changes_shift_bands_and_tempo() -> None:
    ramp = torch.arange(20.0).expand(4, 81, 20) + 1
    still = {"n_stretches": 0, "n_bands": 0}
    shifted, _ = SpectrogramChanges(**still, max_shift=2)(
        (ramp, torch.full((4,), 81)), torch.Generator().manual_seed(2)
    )
    moved = shifted[:, 0, 10] - ramp[:, 0, 10]
    assert moved.abs().max() <= 2
    assert moved.any()
    quick = SpectrogramChanges(**still, max_tempo=0.2)
    sound, lengths, words = quick((ramp, torch.tensor([81, 40, 9, 1]), torch.ones(4)), torch.Generator().manual_seed(2))
    assert sound.shape[1] == lengths.max() != 81
    assert abs(lengths[1] / lengths[0] - 40 / 81) < 0.02
    assert lengths[3] >= 1
    assert words.tolist() == [1] * 4
