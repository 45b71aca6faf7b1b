from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from emolab.models.fusion import JOINS, Fusion, FusionConfig, FusionInputs, JoinKind
from emolab.models.sequence import CnnBiLstm, CnnBiLstmConfig, WordLstm, WordLstmConfig
from tests.models.by_heart import loss_by_heart

AUDIO = CnnBiLstmConfig(n_features=4, n_emotions=3, channels=(8, 8), strides=(1, 2), n_hidden=6, n_dense=5)
TEXT = WordLstmConfig(n_words=11, n_emotions=3, n_embedding=5, n_hidden=4, n_dense=6)
CONFIG = FusionConfig(n_emotions=3, n_joined=8, n_dense=7, rank=2, n_heads=2)
EVERY_JOIN = pytest.mark.parametrize("join", JOINS)


def build(join: JoinKind = "concat", **changes: object) -> Fusion:
    torch.manual_seed(3)
    return Fusion([CnnBiLstm(AUDIO), WordLstm(TEXT)], replace(CONFIG, join=join, **changes))  # type: ignore[arg-type]


def batch(size: int = 6) -> tuple[Tensor, ...]:
    torch.manual_seed(4)
    sound, words = torch.randn(size, 12, 4), torch.randint(1, 11, (size, 5))
    return sound, torch.full((size,), 12), words, torch.full((size,), 5)


def without(place: int, rows: list[int], inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Let the modality `place` be missing in some rows, with anything at all left in its values."""
    changed = [part.clone() for part in inputs]
    changed[2 * place][rows], changed[2 * place + 1][rows] = 1, 0
    return tuple(changed)


def n_parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@EVERY_JOIN
def test_fusion_counts_each_parameter_once_and_keeps_no_output_layer_of_an_encoder(join: JoinKind) -> None:
    model = build(join)
    alone = n_parameters(CnnBiLstm(AUDIO)) + n_parameters(WordLstm(TEXT)) - (5 + 1) * 3 - (6 + 1) * 3
    projected = (5 + 1) * 8 + (6 + 1) * 8 + 2 * 8  # each encoder to the common width, and what stands for a missing one
    steps = (12 + 1) * 8 + (8 + 1) * 8  # both ways of the LSTMs
    attention, norm = 4 * 8 * 8 + 4 * 8, 2 * 8
    own = {
        "concat": 0,
        "add": 0,
        "gated": (16 + 1) * 2,
        "tensor": 2 * 2 * (8 + 1) * 8 + 2,
        "cross-attention": steps + 2 * 8 + attention + norm,
        "transformer": 3 * 8 + attention + (8 + 1) * 16 + (16 + 1) * 8 + 3 * norm,
    }
    wide = 16 if join in ("concat", "cross-attention") else 8
    assert n_parameters(model) == alone + projected + own[join] + (wide + 1) * 7 + (7 + 1) * 3


@EVERY_JOIN
def test_fusion_ignores_padding_of_either_modality(join: JoinKind) -> None:
    model = build(join).eval()
    sound, n_frames, words, n_words = batch(1)
    longer = torch.cat([sound, torch.full((1, 3, 4), 1e3)], dim=1), n_frames, F.pad(words, (0, 2), value=9), n_words
    torch.testing.assert_close(model(*longer), model(sound, n_frames, words, n_words))


@EVERY_JOIN
def test_fusion_gives_logits_and_encodings(join: JoinKind) -> None:
    assert build(join)(*batch()).shape == (6, 3)
    assert build(join).encode(*batch()).shape == (6, build(join).embedding_size)


@EVERY_JOIN
def test_fusion_gradients_reach_all_parameters(join: JoinKind) -> None:
    model = build(join)
    inputs = without(0, [0], without(1, [1], batch()))
    F.cross_entropy(model(*inputs), torch.arange(6) % 3).backward()
    blind = join in ("gated", "cross-attention", "transformer")  # do not look at what stands for a missing modality
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == ["absent"] * blind


@EVERY_JOIN
def test_fusion_learns_one_batch_by_heart(join: JoinKind) -> None:
    assert loss_by_heart(build(join, n_dense=32), *batch(), rate=0.01, n_steps=100) < 0.05


@EVERY_JOIN
def test_fusion_looks_at_nothing_of_a_missing_modality_and_at_all_of_the_other(join: JoinKind) -> None:
    model, inputs = build(join).eval(), batch()
    model.absent.data.normal_()
    for place in (0, 1):
        gone = without(place, [0, 2], inputs)
        other = [part.clone() for part in gone]
        other[2 * place][[0, 2]] = 2
        assert torch.equal(model(*gone), model(*other))
        changed = (model(*gone) - model(*inputs)).abs().amax(dim=1) > 1e-6
        assert changed.tolist() == [True, False, True, False, False, False]
    alone = without(1, list(range(6)), inputs)
    assert (model(*alone)[0] - model(*alone)[1]).abs().max() > 1e-6  # the voice still tells utterances apart
    assert model(*without(0, list(range(6)), inputs)).isfinite().all()


@EVERY_JOIN
def test_a_modality_that_is_missing_throughout_needs_no_steps_at_all(join: JoinKind) -> None:
    model, (_, _, words, n_words) = build(join).eval(), batch()
    nothing = torch.zeros(6, 0), torch.zeros(6, dtype=torch.int64)
    torch.testing.assert_close(model(*nothing, words, n_words), model(*without(0, list(range(6)), batch())))


def test_gates_sum_to_one_and_close_for_what_is_missing() -> None:
    model = build("gated").eval()
    gates = model.join.gates(model.fusion_inputs(*without(1, [0], batch())))  # type: ignore[operator]
    torch.testing.assert_close(gates.sum(dim=1), torch.ones(6))
    assert gates[0].tolist() == [1.0, 0.0]
    assert (gates[1:] > 0).all()


def test_cross_attention_asks_the_other_modality_only() -> None:
    model = build("cross-attention").eval()
    given = model.fusion_inputs(*without(1, [0], batch()))
    weights = model.join.weights(given)  # type: ignore[operator]
    n_sound = int((given.owner[1] == 0).sum())
    assert (n_sound, int((given.owner[1] == 1).sum())) == (6, 5)
    assert not weights[:, 0, :n_sound].any()
    assert not weights[:, 1, n_sound:-1].any()
    torch.testing.assert_close(weights.sum(dim=2), torch.ones(6, 2))
    assert weights[0, 0, -1] == 1  # nobody is there to ask


def test_low_rank_tensor_equals_the_full_one() -> None:
    join = build("tensor").join
    summaries = torch.randn(5, 2, 8)
    given = FusionInputs(summaries, torch.ones(5, 2, dtype=torch.bool), summaries[:, :0], torch.zeros(5, 0))
    with_one = F.pad(summaries, (0, 1), value=1.0)
    factors = torch.cat([join.factors, join.constants], dim=2)  # type: ignore[list-item]
    full = torch.einsum("rio,rjo,r->ijo", factors[0], factors[1], join.ranks)
    by_hand = torch.einsum("bi,bj,ijo->bo", with_one[:, 0], with_one[:, 1], full)
    torch.testing.assert_close(join(given), by_hand, rtol=1e-4, atol=1e-5)


def test_modality_dropout_takes_modalities_away_in_training_alone_and_never_both() -> None:
    model = build(modality_dropout=0.6)
    there = torch.cat([model.fusion_inputs(*batch()).there for _ in range(50)])
    assert there.any(dim=1).all()
    assert 0.4 < there.float().mean() < 0.8
    assert model.eval().fusion_inputs(*batch()).there.all()


def test_auxiliary_heads_judge_each_modality_alone_in_training() -> None:
    model = build(auxiliary=True)
    gone = without(1, [0], batch())
    judged = model(*gone)
    assert judged.shape == (6, 3, 3)
    encoder = model.encoders[0]
    torch.testing.assert_close(judged[..., 1], encoder.out(encoder.encode(*gone[:2])))  # type: ignore[operator]
    assert not judged[0, :, 2].any()
    assert judged[1, :, 2].any()
    assert model.eval()(*gone).shape == (6, 3)


def test_fusion_says_which_inputs_it_expects() -> None:
    with pytest.raises(ValueError, match=r"2 inputs for 2 encoders; expected values and lengths.*Pass network"):
        build()(*batch()[:2])


def test_fusion_says_which_joins_there_are() -> None:
    with pytest.raises(ValueError, match="no join 'glue'; expected one of concat, add, gated, tensor"):
        build("glue")  # type: ignore[arg-type]


def test_an_encoder_without_hidden_states_is_refused() -> None:
    with pytest.raises(TypeError, match=r"encoders Linear have logits, but no hidden states.*expected subclasses of"):
        Fusion([CnnBiLstm(AUDIO), torch.nn.Linear(2, 3)], CONFIG)  # type: ignore[list-item]


@EVERY_JOIN
def test_each_encoder_runs_once_for_embedding_and_steps(join: JoinKind) -> None:
    model = build(join).train()
    n_runs = [0, 0]
    for place, encoder in enumerate(model.encoders):

        def counted(*given: Tensor, own=encoder.hidden_states, place=place) -> tuple[Tensor, Tensor]:
            n_runs[place] += 1
            return own(*given)

        encoder.hidden_states = counted
    model(*batch())
    assert n_runs == [1, 1]
