"""Networks for sequences, and what holds for every network: sizes, padding, gradients, states."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from emolab.features.text import PAD
from emolab.models.pretrained import AudioEncoder, TextEncoder, Vggish, WeightedLayerSum
from emolab.models.sequence import (
    Cnn2d,
    Cnn2dConfig,
    CnnBiLstm,
    CnnBiLstmConfig,
    Conversation,
    ConversationConfig,
    Lstm,
    LstmConfig,
    Mlp,
    MlpConfig,
    Network,
    Normalization,
    SummaryOverTime,
    WordLstm,
    WordLstmConfig,
    run_lstm,
    sequence_mask,
)
from emolab.models.video import FaceCnn, I3d, ResNetTransformer
from tests.checkpoints import tiny_config
from tests.models.by_heart import loss_by_heart

pytestmark = pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")  # inside WavLM
HEAD = {"n_emotions": 3, "n_dense": 6}
RECURRENT: dict[str, Any] = {**HEAD, "n_hidden": 4}
N_LONG, N_SHORT = 9, 5  # steps
SOUND, WORDS, FACES = (N_LONG, 4), (N_LONG,), (N_LONG, 33, 33, 3)
CHANNELS = (4, 4, 6, 6)
# network, its sizes, shape of an utterance as it is padded, real length of the short one, states of both
KINDS: list[tuple[type[Network], dict[str, Any], tuple[int, ...], int, tuple[int, int], int]] = [
    (CnnBiLstm, {**RECURRENT, "n_features": 4}, SOUND, N_SHORT, (2, 1), 8),
    (Cnn2d, {**HEAD, "n_features": 4, "channels": (4, 5)}, SOUND, N_SHORT, (3, 2), 5),
    (Lstm, {**RECURRENT, "n_features": 4, "summary": "mean+std"}, SOUND, N_SHORT, (9, 5), 4),
    (WordLstm, {**RECURRENT, "n_words": 11}, WORDS, N_SHORT, (9, 5), 8),
    (WordLstm, {**RECURRENT, "n_words": 11, "both_ways": False}, WORDS, N_SHORT, (9, 5), 4),
    (WeightedLayerSum, {**HEAD, "n_layers": 3, "n_features": 4}, (3, 4), 3, (1, 1), 4),
    (AudioEncoder, {**HEAD, "encoder": tiny_config("wav2vec2")}, (2000,), 1040, (6, 3), 8),
    (AudioEncoder, {**HEAD, "encoder": tiny_config("wavlm")}, (2000,), 1040, (6, 3), 8),
    (TextEncoder, {**HEAD, "encoder": tiny_config("albert")}, WORDS, N_SHORT, (9, 5), 8),
    (Vggish, {**HEAD, "channels": (2, 3, 4, 4, 5, 6), "n_bands": 16}, (3, 32, 16), 2, (3, 2), 6),
    (FaceCnn, {"n_emotions": 3, "size": 33, "n_frame": 8}, FACES, N_SHORT, (9, 5), 8),
    (
        ResNetTransformer,
        {"n_emotions": 3, "size": 33, "channels": CHANNELS, "d_model": 8},
        FACES,
        N_SHORT,
        (9, 5),
        8,
    ),
    (I3d, {"n_emotions": 3, "size": 33, "width": 1 / 16}, FACES, N_SHORT, (2, 1), 64),
    (Mlp, {"n_emotions": 3, "n_features": 4, "n_hidden": (6,)}, (4,), 4, (1, 1), 6),
]


def drawn(kind: type[Network], shape: tuple[int, ...]) -> torch.Tensor:
    if kind in (WordLstm, TextEncoder):
        return torch.randint(5, 11, (2, *shape))
    if len(shape) == len(FACES):
        return torch.randint(0, 256, (2, *shape), dtype=torch.uint8)
    return torch.randn(2, *shape)


@pytest.mark.parametrize(("kind", "sizes", "shape", "n_short", "lengths", "state_size"), KINDS)
def test_states_have_their_lengths_and_ignore_padding(
    kind: type[Network],
    sizes: dict[str, Any],
    shape: tuple[int, ...],
    n_short: int,
    lengths: tuple[int, int],
    state_size: int,
) -> None:
    torch.manual_seed(1)
    network = kind.build(**sizes).eval()
    assert isinstance(network, Network)
    values, given = drawn(kind, shape), torch.tensor([shape[0], n_short])
    with torch.no_grad():
        states, left = network.hidden_states(values, given)
        alone, left_alone = network.hidden_states(values[1:, :n_short], given[1:])
        encoded = network.encode(values, given)
        torch.testing.assert_close(network(values, given), network.out(encoded))
    assert encoded.shape == (2, network.embedding_size)
    assert left.tolist() == list(lengths)
    assert left_alone.tolist() == [lengths[1]]
    assert states.shape == (2, max(lengths), state_size)
    assert network.state_size == state_size
    assert states.isfinite().all()
    torch.testing.assert_close(states[1, : lengths[1]], alone[0, : lengths[1]], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(states[0, 0], states[1, 0])


@pytest.mark.parametrize(("kind", "sizes", "shape", "n_short", "lengths", "state_size"), KINDS)
def test_what_was_entered_takes_the_place_of_the_values(
    kind: type[Network],
    sizes: dict[str, Any],
    shape: tuple[int, ...],
    n_short: int,
    lengths: tuple[int, int],
    state_size: int,
) -> None:
    torch.manual_seed(1)
    network = kind.build(**sizes).eval()
    values, given = drawn(kind, shape), torch.tensor([shape[0], n_short])
    with torch.no_grad():
        entered, left = network.input_embeddings(values, given)
    assert entered.is_floating_point()
    assert len(left) == 2
    assert (left <= entered.shape[1]).all()
    again, same = network.input_embeddings(entered, left)
    assert again is entered
    assert same is left
    entered.requires_grad_()
    judged = network(entered, left)
    with torch.no_grad():
        torch.testing.assert_close(judged, network(values, given), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(network.encode(entered, left), network.encode(values, given), rtol=1e-4, atol=1e-5)
    judged.sum().backward()
    assert entered.grad is not None
    assert entered.grad.isfinite().all()
    assert entered.grad.any()  # a gradient reaches it
    assert not entered.grad[1, int(left[1]) :].any()  # and never its padding


def test_a_network_without_hidden_states_is_none() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Network(None)  # type: ignore[abstract]


def test_build_names_unknown_and_missing_sizes() -> None:
    with pytest.raises(ValueError, match=r"Lstm cannot be built: .*'n_hiden'.*; expected the fields n_emotions, sum"):
        Lstm.build(n_hiden=3)
    with pytest.raises(ValueError, match=r"WordLstm cannot be built: .*'n_words'; expected the fields n_emotions, sum"):
        WordLstm.build(n_emotions=3)
    assert Lstm.build(n_emotions=4, n_hidden=8).config == LstmConfig(n_emotions=4, n_hidden=8)
    assert Lstm.build({"n_features": 5, "n_hidden": 9}, n_emotions=4, n_hidden=8).config == LstmConfig(
        n_emotions=4, n_features=5, n_hidden=8
    )


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


def test_normalization_counts_real_steps_only() -> None:
    norm = Normalization(4)
    steps, mask = torch.randn(2, 3, 4), sequence_mask(LENGTHS, 3)
    out = norm(steps, mask)
    junk = norm(steps.masked_fill(~mask[..., None], 1e6), mask)
    torch.testing.assert_close(out, junk)
    assert not out[0, 2].any()
    torch.testing.assert_close(out[mask].mean(0), torch.zeros(4), atol=1e-6, rtol=0)


def test_batch_statistics_of_a_single_step_are_those_of_earlier_batches() -> None:
    normalization = Normalization(2).train()
    alone, mask = torch.tensor([[[1.0, 2.0], [9.0, 9.0]]]), torch.tensor([[True, False]])
    torch.testing.assert_close(normalization(alone, mask), normalization.eval()(alone, mask))
    assert normalization.running_mean.tolist() == [0, 0]  # one step tells nothing about the spread


TINY = CnnBiLstmConfig(n_features=4, n_emotions=3, channels=(8, 8), strides=(1, 2), n_hidden=6, n_dense=5)
VARIANTS = [
    TINY,
    replace(TINY, normalization="batch", summary="mean+std"),
    replace(TINY, normalization="batch", summary="attention", dropout=0.5, n_layers=1),
]
TINY_2D = Cnn2dConfig(n_features=4, n_emotions=3, channels=(4, 6), n_dense=5, dropout=0.0)
TINY_LSTM = LstmConfig(n_features=4, n_emotions=3, n_hidden=6, n_dense=5, dropout=0.0)
MAKERS: list[Any] = [
    *(partial(CnnBiLstm, config) for config in VARIANTS),
    *(partial(Cnn2d, config) for config in (replace(TINY_2D, summary="attention", channels=(4,)), TINY_2D)),
    *(partial(Lstm, config) for config in (replace(TINY_LSTM, summary="attention", n_layers=2), TINY_LSTM)),
]


def test_cnn_bilstm_has_the_published_size() -> None:
    published = 1_260_496  # without the output layer, one bias vector a gate
    second_biases = 2 * 2 * 4 * 160  # layers, directions, gates, units
    n_parameters = sum(p.numel() for p in CnnBiLstm(CnnBiLstmConfig(n_emotions=6)).parameters())
    assert n_parameters == published + second_biases + (256 + 1) * 6


def test_cnn_bilstm_takes_its_widths_from_the_features() -> None:
    chroma = CnnBiLstm(CnnBiLstmConfig(n_features=12, channels=(24, 24, 48, 48, 96, 96), n_hidden=96))
    convolutions = sum(3 * n_in * n_out + n_out for n_in, n_out in pairwise((12, 24, 24, 48, 48, 96, 96)))
    assert sum(p.numel() for p in chroma.convolutions.parameters()) == convolutions == 54_768
    gates = 4 * 96 * (96 + 96 + 2) + 4 * 96 * (192 + 96 + 2)  # of both layers, in one direction
    assert sum(p.numel() for p in chroma.lstm.parameters()) == 2 * gates


def test_cnn_2d_has_the_size_that_its_layers_add_up_to() -> None:
    convolutions = sum(9 * n_in * n_out + n_out for n_in, n_out in pairwise((1, 16, 32, 48, 64)))
    norms, dense = 2 * (16 + 32 + 48 + 64), (2 * 64 * 4 + 1) * 128  # mean and spread of 64 channels in 4 bands
    n_parameters = sum(p.numel() for p in Cnn2d(Cnn2dConfig(n_emotions=8)).parameters())
    assert n_parameters == convolutions + norms + dense + (128 + 1) * 8 == 113_400


def test_lstm_has_the_published_layers() -> None:
    gates = 4 * 128 * (20 + 128 + 2)  # LSTM 128 and dense 64, as published, on 20 MFCCs
    n_parameters = sum(p.numel() for p in Lstm(LstmConfig(n_emotions=6)).parameters())
    assert n_parameters == gates + (128 + 1) * 64 + (64 + 1) * 6


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("n_padding", [1, 2, 7])
def test_networks_ignore_padding_and_neighbours(make: Callable[[], nn.Module], n_padding: int) -> None:
    torch.manual_seed(n_padding)
    model = make()
    model(torch.randn(6, 12, 4), torch.full((6,), 12))  # gives a batch normalisation something to remember
    model.eval()
    clip, neighbour = torch.randn(1, 9, 4), torch.randn(1, 9 + n_padding, 4)
    padded = torch.cat([clip, torch.full((1, n_padding, 4), 1e3)], dim=1)
    together = model(torch.cat([padded, neighbour]), torch.tensor([9, 9 + n_padding]))
    torch.testing.assert_close(together[:1], model(clip, torch.tensor([9])))


@pytest.mark.parametrize("make", MAKERS)
def test_batch_statistics_ignore_padding(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(1)
    model, clips = make(), torch.randn(4, 9, 4)
    other = copy.deepcopy(model)
    lengths = torch.full((4,), 9)
    model.encode(clips, lengths)
    other.encode(torch.cat([clips, torch.full((4, 8, 4), 1e3)], dim=1), lengths)
    for name, mean in model.named_buffers():
        torch.testing.assert_close(dict(other.named_buffers())[name], mean)


@pytest.mark.parametrize("make", MAKERS)
def test_networks_ignore_padding_that_is_no_number(make: Callable[[], nn.Module]) -> None:
    model = make().eval()
    clip = torch.randn(1, 9, 4)
    padded = torch.cat([clip, torch.full((1, 3, 4), torch.nan)], dim=1)
    torch.testing.assert_close(model(padded, torch.tensor([9])), model(clip, torch.tensor([9])))


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("n_frames", [1, 2, 31])
def test_networks_give_logits_and_encodings_of_any_length(make: Callable[[], Any], n_frames: int) -> None:
    model, lengths = make(), torch.full((2,), n_frames)
    assert model(torch.randn(2, n_frames, 4), lengths).shape == (2, 3)
    assert model.encode(torch.randn(2, n_frames, 4), lengths).shape == (2, model.embedding_size)


@pytest.mark.parametrize("make", MAKERS)
def test_gradients_reach_all_parameters(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(1)
    model = make()
    F.cross_entropy(model(torch.randn(8, 20, 4), torch.full((8,), 20)), torch.arange(8) % 3).backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # moving all scores or all inputs of a batch statistic alike changes nothing
    assert [name for name in idle if name != "summary.score.bias"] == []


@pytest.mark.parametrize("make", [MAKERS[0], *MAKERS[-3:]])
def test_networks_learn_one_batch_by_heart(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    model, lengths = make(), torch.tensor([12, 11, 9, 12, 7, 10])
    assert loss_by_heart(model, torch.randn(6, 12, 4), lengths, rate=0.02, n_steps=120) < 0.05


def test_cnn_2d_hears_the_same_pattern_later_and_tells_high_from_low() -> None:
    torch.manual_seed(0)
    model = Cnn2d(Cnn2dConfig(n_features=16, n_emotions=3, channels=(4, 8), n_dense=5, summary="mean")).eval()
    early, high = torch.zeros(2, 1, 40, 16)
    early[0, 8:12, 2:5], high[0, 8:12, 10:13] = 1, 1
    later, lengths = early.roll(16, dims=1), torch.tensor([40])
    torch.testing.assert_close(model(later, lengths), model(early, lengths))
    assert not torch.allclose(model(high, lengths), model(early, lengths))


TINY_WORDS = WordLstmConfig(n_words=11, n_emotions=3, n_embedding=5, n_hidden=4, n_dense=6)


def test_bilstm_has_the_published_size() -> None:
    published = 4_232_960  # without the output layer, one bias vector a gate, a vocabulary of 5,766
    second_biases = 2 * 2 * 4 * 256  # layers, directions, gates, units
    model = WordLstm(WordLstmConfig(n_words=5_766, n_emotions=6))
    assert sum(p.numel() for p in model.parameters()) == published + second_biases + (256 + 1) * 6


def test_lstm_has_the_founding_projects_size() -> None:
    published = 5_000 * 128 + 4 * 128 * (128 + 128 + 1) + (128 + 1) * 64 + (64 + 1) * 6  # one bias vector a gate
    config = WordLstmConfig(
        n_emotions=6, n_words=5_000, n_embedding=128, n_hidden=128, n_layers=1, n_dense=64, both_ways=False
    )
    assert sum(p.numel() for p in WordLstm(config).parameters()) == published + 4 * 128


@pytest.mark.parametrize("both_ways", [True, False])
@pytest.mark.parametrize("summary", ["mean", "mean+std", "attention"])
@pytest.mark.parametrize("n_padding", [1, 5])
def test_word_lstm_ignores_padding_and_neighbours(summary: str, n_padding: int, both_ways: bool) -> None:
    torch.manual_seed(n_padding)
    model = WordLstm(replace(TINY_WORDS, summary=summary, both_ways=both_ways)).eval()
    words, neighbour = torch.randint(1, 11, (1, 4)), torch.randint(1, 11, (1, 4 + n_padding))
    padded = torch.cat([words, torch.full((1, n_padding), 7)], dim=1)  # padding that looks like words
    together = model(torch.cat([padded, neighbour]), torch.tensor([4, 4 + n_padding]))
    torch.testing.assert_close(together[:1], model(words, torch.tensor([4])))


@pytest.mark.parametrize("both_ways", [True, False])
def test_word_lstm_gives_logits_and_encodings(both_ways: bool) -> None:
    model, words, lengths = (
        WordLstm(replace(TINY_WORDS, both_ways=both_ways)),
        torch.tensor([[3], [4]]),
        torch.tensor([1, 1]),
    )
    assert model(words, lengths).shape == (2, 3)
    assert model.encode(words, lengths).shape == (2, model.embedding_size)
    vectors = model.embedding(words)
    torch.testing.assert_close(model.encode(vectors, lengths), model.encode(words, lengths))


@pytest.mark.parametrize("both_ways", [True, False])
def test_word_lstm_gradients_reach_all_parameters(both_ways: bool) -> None:
    torch.manual_seed(0)
    model = WordLstm(replace(TINY_WORDS, both_ways=both_ways))
    F.cross_entropy(model(torch.randint(1, 11, (8, 6)), torch.full((8,), 6)), torch.arange(8) % 3).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("both_ways", [True, False])
def test_word_lstm_learns_one_batch_by_heart(both_ways: bool) -> None:
    torch.manual_seed(0)
    model, lengths = WordLstm(replace(TINY_WORDS, both_ways=both_ways)), torch.tensor([5, 4, 5, 3, 5, 2])
    assert loss_by_heart(model, torch.randint(1, 11, (6, 5)), lengths, rate=0.03, n_steps=100) < 0.05


def test_only_a_bilstm_knows_at_a_word_what_comes_after_it() -> None:
    torch.manual_seed(0)
    lengths, words = torch.tensor([4]), torch.tensor([[3, 4, 5, 6]])
    for both_ways in (True, False):
        model = WordLstm(replace(TINY_WORDS, both_ways=both_ways))
        vectors = model.embedding(words).detach().requires_grad_()
        states = run_lstm(model.lstm, vectors, lengths)
        states[0, 0].sum().backward()  # the state at the first word
        assert vectors.grad[0, 1:].any() == both_ways


def test_take_vectors_sets_known_words_and_spreads_the_others_like_them() -> None:
    torch.manual_seed(0)
    model = WordLstm(WordLstmConfig(n_words=2_000, n_emotions=3, n_embedding=2, n_hidden=2, n_dense=2, frozen=True))
    vectors = np.array([[10, -1], [12, -3]], np.float32)  # mean 11 and -2, deviation 1
    model.take_vectors(np.array([5, 7]), vectors)
    table = model.embedding.weight
    assert table[[5, 7]].tolist() == vectors.tolist()
    assert not table[PAD].any()
    torch.testing.assert_close(table[8:].mean(dim=0), torch.tensor([11.0, -2]), atol=0.1, rtol=0)
    torch.testing.assert_close(table[8:].std(dim=0), torch.ones(2), atol=0.1, rtol=0)
    assert not table.requires_grad


def test_mlp_has_the_size_of_its_layers() -> None:
    n_weights = sum(weights.numel() for weights in Mlp(MlpConfig(n_emotions=8, n_hidden=(128, 64))).parameters())
    assert n_weights == 36 * 128 + 129 * 64 + 65 * 8


def test_mlp_learns_one_batch_by_heart_and_asks_for_no_lengths() -> None:
    torch.manual_seed(0)
    network, features, lengths = (
        Mlp(MlpConfig(n_emotions=3, n_features=5, n_hidden=(16, 8))),
        torch.randn(9, 5),
        torch.full((9,), 5),
    )
    assert loss_by_heart(network, features, lengths, rate=0.02, n_steps=150) < 0.05
    assert network.encode(features, lengths).shape == (9, network.embedding_size)
    torch.testing.assert_close(network(features[:1], torch.tensor([1])), network(features, lengths)[:1])


TALK = ConversationConfig(n_emotions=3, n_features=5, n_hidden=8, n_context=12, dropout=0.2)
EVERY_CONTEXT = pytest.mark.parametrize("both_ways", [False, True])


def conversation(both_ways: bool = False, **sizes: Any) -> Conversation:
    torch.manual_seed(2)
    return Conversation(replace(TALK, both_ways=both_ways, **sizes))


def turns(n_before: list[int], n_after: list[int]) -> tuple[Tensor, Tensor]:
    """Draw windows, (batch, turns, 7), each with so many turns before and after the judged one."""
    torch.manual_seed(5)
    lengths = torch.tensor([before + 1 + after for before, after in zip(n_before, n_after, strict=True)])
    values = torch.randn(len(lengths), int(lengths.max()), 7)
    values[..., 5] = (values[..., 5] > 0).float()
    values[..., 6] = 0
    values[torch.arange(len(lengths)), n_before, 5:] = 1
    return values * (torch.arange(values.shape[1]) < lengths[:, None])[..., None], lengths


CAUSAL = turns([0, 3, 1, 2, 3, 4], [0] * 6)
AROUND = turns([0, 3, 1, 2, 0, 1], [2, 0, 3, 1, 0, 2])


@EVERY_CONTEXT
def test_conversation_has_the_size_of_its_layers(both_ways: bool) -> None:
    n_weights = sum(p.numel() for p in conversation(both_ways).parameters())
    lstm = 4 * (12 * 12 + 12 * 12 + 12 + 12) * (1 + both_ways)
    assert n_weights == lstm + (5 + 1) * 8 + (8 + 2 + 1) * 12 + (8 + 12 * (1 + both_ways) + 1) * 3


@EVERY_CONTEXT
def test_conversation_gives_logits_encodings_and_states(both_ways: bool) -> None:
    model = conversation(both_ways)
    assert model(*AROUND).shape == (6, 3)
    assert model.encode(*AROUND).shape == (6, model.embedding_size)
    states, lengths = model.hidden_states(*AROUND)
    assert states.shape == (6, AROUND[0].shape[1], model.state_size)
    assert torch.equal(lengths, AROUND[1])


@EVERY_CONTEXT
def test_conversation_ignores_padding_and_neighbours_in_the_batch(both_ways: bool) -> None:
    model = conversation(both_ways).eval()
    values, lengths = AROUND
    longer = F.pad(values, (0, 0, 0, 3))
    longer[..., :5] += 1e3 * (torch.arange(longer.shape[1]) >= lengths[:, None])[..., None]
    torch.testing.assert_close(model(longer, lengths), model(values, lengths))
    for row, length in enumerate(lengths):
        alone = model(values[row : row + 1, :length], lengths[row : row + 1])
        torch.testing.assert_close(alone[0], model(values, lengths)[row])


@EVERY_CONTEXT
def test_conversation_learns_a_batch_by_heart(both_ways: bool) -> None:
    windows = AROUND if both_ways else CAUSAL
    assert loss_by_heart(conversation(both_ways, dropout=0.0), *windows, rate=0.02, n_steps=150) < 0.05


@EVERY_CONTEXT
def test_conversation_gradients_reach_all_parameters(both_ways: bool) -> None:
    model = conversation(both_ways)
    F.cross_entropy(model(*turns([3, 2, 1, 0, 3], [0, 1, 2, 3, 3])), torch.arange(5) % 3).backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 10))
def test_every_turn_in_reach_is_heard_and_no_other(before: int, after: int, place: int) -> None:
    model = conversation(both_ways=True).eval()
    values, lengths = turns([before, 4], [after, 4])
    changed = values.clone()
    changed[0, min(place, 8), :5] += 3.0
    moved = (model(changed, lengths) - model(values, lengths)).abs().amax(dim=1) > 1e-6
    assert moved.tolist() == [min(place, 8) <= before + after, False]


@pytest.mark.parametrize("both_ways", [False, True])
def test_a_recurrent_context_that_reads_ahead_only_cannot_hear_later_turns(both_ways: bool) -> None:
    model, (values, lengths) = conversation(both_ways).eval(), AROUND
    later = torch.arange(values.shape[1]) > values[..., -1].argmax(dim=1)[:, None]
    changed = values + 3.0 * later[..., None] * torch.tensor([1.0] * 5 + [0, 0])
    moved = (model(changed, lengths) - model(values, lengths)).abs().amax(dim=1) > 1e-6
    has_later = [True, False, True, True, False, True]
    assert moved.tolist() == (has_later if both_ways else [False] * 6)


def test_who_speaks_and_how_far_away_matter() -> None:
    values, lengths = turns([3], [0])
    other = values.clone()
    other[0, 0, 5] = 1 - other[0, 0, 5]
    turned = values[:, [1, 0, 2, 3]]
    model = conversation().eval()
    assert (model(other, lengths) - model(values, lengths)).abs().max() > 1e-6
    assert (model(turned, lengths) - model(values, lengths)).abs().max() > 1e-6
