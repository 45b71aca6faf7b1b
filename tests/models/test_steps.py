import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from emolab.models.steps import Normalization, SummaryOverTime, run_lstm, sequence_mask

LENGTHS = torch.tensor([2, 3])


def test_real_steps_marks_the_first_of_each() -> None:
    assert sequence_mask(LENGTHS, 4).tolist() == [[True, True, False, False], [True, True, True, False]]


def test_run_lstm_is_zero_after_each_end_and_keeps_the_width() -> None:
    lstm = nn.LSTM(3, 2, batch_first=True, bidirectional=True)
    states = run_lstm(lstm, torch.randn(2, 5, 3), LENGTHS)
    assert states.shape == (2, 5, 4)
    assert not states[0, 2:].any()
    assert not states[1, 3:].any()


def test_summary_over_time_is_the_mean_and_spread_worked_out_by_hand() -> None:
    states = torch.tensor([[[1.0], [3.0], [torch.inf]]])
    assert SummaryOverTime("mean", 1)(states, torch.tensor([2])).tolist() == [[2.0]]
    both = SummaryOverTime("mean+std", 1)(states, torch.tensor([2]))
    torch.testing.assert_close(both, torch.tensor([[2.0, 1.0]]), atol=1e-4, rtol=0)


def test_attention_without_preference_is_the_mean() -> None:
    summary = SummaryOverTime("attention", 4)
    nn.init.zeros_(summary.score.weight)
    states = torch.randn(2, 3, 4)
    torch.testing.assert_close(summary(states, LENGTHS), SummaryOverTime("mean", 4)(states, LENGTHS))


@pytest.mark.parametrize("kind", ["mean", "mean+std", "attention"])
def test_weights_of_a_summary_sum_to_one_and_padding_has_none(kind: str) -> None:
    summary = SummaryOverTime(kind, 4)  # type: ignore[arg-type]
    states = torch.randn(2, 5, 4)
    weights = summary.weights(states, LENGTHS)
    assert weights.shape == (2, 5, 1)
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2, 1))
    assert not weights[~sequence_mask(LENGTHS, 5)].any()
    torch.testing.assert_close((weights * states).sum(dim=1), summary(states, LENGTHS)[:, :4])
    if kind != "attention":
        assert weights[0, :2, 0].tolist() == [0.5, 0.5]


@pytest.mark.parametrize("both_ways", [True, False])
def test_run_lstm_equals_torch_on_packed_steps(both_ways: bool) -> None:
    lstm = nn.LSTM(3, 2, 2, batch_first=True, bidirectional=both_ways)
    steps = torch.randn(2, 3, 3)
    packed = pack_padded_sequence(steps, LENGTHS, batch_first=True, enforce_sorted=False)
    expected = pad_packed_sequence(lstm(packed)[0], batch_first=True)[0]
    torch.testing.assert_close(run_lstm(lstm, steps, LENGTHS), expected)


@pytest.mark.parametrize("kind", ["layer", "batch"])
def test_normalization_counts_real_steps_only(kind: str) -> None:
    norm = Normalization(kind, 4)
    steps, mask = torch.randn(2, 3, 4), sequence_mask(LENGTHS, 3)
    out = norm(steps, mask)
    junk = norm(steps.masked_fill(~mask[..., None], 1e6), mask)
    torch.testing.assert_close(out, junk)
    assert not out[0, 2].any()
    axis = 1 if kind == "layer" else 0
    torch.testing.assert_close(out[mask].mean(axis), torch.zeros_like(out[mask].mean(axis)), atol=1e-6, rtol=0)


def test_batch_statistics_of_a_single_step_are_those_of_earlier_batches() -> None:
    normalization = Normalization("batch", 2).train()
    alone, mask = torch.tensor([[[1.0, 2.0], [9.0, 9.0]]]), torch.tensor([[True, False]])
    torch.testing.assert_close(normalization(alone, mask), normalization.eval()(alone, mask))
    assert normalization.norm.running_mean.tolist() == [0, 0]  # one step tells nothing about the spread
