"""Late fusion worked out by hand: what each way answers, what is chosen on validation, and who is left out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from emolab.corpora import Corpus
from emolab.evaluation import evaluate
from emolab.late_fusion import HOWS, How, LateFusion, likeliest_weights
from emolab.recipes import recipe
from emolab.recognizer import Recognizer
from tests.outside import Posteriors

EMOTIONS = ("angry", "calm", "sad")
SURE, TORN, SILENT = [0.8, 0.1, 0.1], [0.2, 0.4, 0.4], [np.nan] * 3
TRUTH = np.random.default_rng(4).integers(0, 3, size=240)


def corpus_of(targets: Sequence[int] | NDArray[np.int64], prefix: str = "u") -> Corpus:
    rows = [
        {"utterance_id": f"{prefix}{n}", "speaker": f"{prefix}-{n % 4}", "emotion": EMOTIONS[target], "text": "Hm."}
        for n, target in enumerate(targets)
    ]
    return Corpus.from_rows("by-hand", rows, emotions=EMOTIONS, root=Path())


def said_by(
    skill: float, inverse_temperature: float = 1.0, *, seed: int, targets: NDArray[np.int64] = TRUTH
) -> pd.DataFrame:
    """Simulate a judge: logits of noise, and of `skill` at the truth; its posteriors are right at sharpness 1."""
    noise = np.random.default_rng(seed).normal(size=(len(targets), 3))
    logits = inverse_temperature * (skill * noise + skill**2 * np.eye(3)[targets])
    values = np.exp(logits - logits.max(axis=1, keepdims=True))
    names = [f"u{n}" for n in range(len(targets))]
    return pd.DataFrame(values / values.sum(axis=1, keepdims=True), index=names, columns=list(EMOTIONS))


def fused(how: How = "mean", n_members: int = 2, **fitted: Any) -> LateFusion:
    """Make a fusion whose chosen numbers are given, so that its answer can be worked out by hand."""
    members = [Posteriors(str(n), said_by(1, seed=n)) for n in range(n_members)]
    made = LateFusion("fusion/late/by-hand", members, how, calibrated=how != "mean")
    made.emotions = EMOTIONS
    for name, value in fitted.items():
        setattr(made, name, np.array(value) if isinstance(value, list) else value)
    return made


def answers(fusion: LateFusion, *said: Sequence[float]) -> list[float]:
    """Join what the members say of one utterance."""
    return [round(float(p), 4) for p in fusion.join([np.array([own]) for own in said])[0]]


def test_join_averages() -> None:
    assert answers(fused(), SURE, TORN) == [0.5, 0.25, 0.25]


def test_join_multiplies_and_shares_out_anew() -> None:
    assert answers(fused("product"), SURE, TORN) == [round(p / 0.24, 4) for p in (0.16, 0.04, 0.04)]


def test_join_weighs_the_members() -> None:
    assert answers(fused("weighted", weights=[0.75, 0.25]), SURE, TORN) == [0.65, 0.175, 0.175]


def test_join_stacks_centred_logarithms_by_a_linear_model() -> None:
    first, second = (np.log(said) - np.log(said).mean() for said in (SURE, TORN))
    coef = np.hstack([2 * np.eye(3), np.eye(3)])
    expected = np.exp(2 * first + second + [0, 1, 0])
    stacked = fused("stacked", stack={"coef": coef, "intercept": np.array([0.0, 1.0, 0.0])})
    assert answers(stacked, SURE, TORN) == [round(float(p), 4) for p in expected / expected.sum()]


def test_join_softens_a_member_by_its_sharpness_before_anything_else() -> None:
    soft = np.sqrt(SURE) / np.sqrt(SURE).sum()
    expected = [round(float(p), 4) for p in (soft + TORN) / 2]
    assert answers(fused("weighted", inverse_temperature=[0.5, 1.0]), SURE, TORN) == expected


def test_join_lets_nobody_forbid_an_emotion() -> None:
    said = answers(fused("product"), [0.0, 0.5, 0.5], [0.9999998, 1e-7, 1e-7])
    assert said == [pytest.approx(0.3333, abs=0.2)] * 3


@pytest.mark.parametrize("how", ["mean", "product", "weighted"])
def test_join_leaves_a_silent_member_out_row_by_row(how: How) -> None:
    fusion = fused(how, weights=[0.9, 0.1])
    assert answers(fusion, SILENT, TORN) == TORN
    assert answers(fusion, SURE, SILENT) == SURE
    both = fusion.join([np.array([SILENT, SURE]), np.array([TORN, TORN])])
    np.testing.assert_allclose(both[1], fusion.join([np.array([SURE]), np.array([TORN])])[0])


def test_join_stacked_hears_nothing_from_a_silent_member() -> None:
    coef = np.hstack([2 * np.eye(3), np.eye(3)])
    stacked = fused("stacked", stack={"coef": coef, "intercept": np.zeros(3)})
    assert answers(stacked, SILENT, TORN) == TORN


def test_join_hears_a_member_of_no_weight_where_nobody_else_judges() -> None:
    assert answers(fused("weighted", weights=[0.0, 1.0]), SURE, SILENT) == SURE


def test_join_says_what_is_missing() -> None:
    with pytest.raises(ValueError, match=r"1 arrays for 2 members.*expected one array a member.*Give NaN only"):
        fused().join([np.array([SURE])])
    with pytest.raises(ValueError, match=r"none of them for 1 utterances"):
        fused().join([np.array([SILENT, SURE]), np.array([SILENT, TORN])])


@given(
    how=st.sampled_from(HOWS),
    logits=st.lists(st.lists(st.floats(-30, 30), min_size=6, max_size=6), min_size=1, max_size=5),
    inverse_temperature=st.lists(st.floats(0.01, 100), min_size=2, max_size=2),
    silent=st.integers(-1, 1),
)
def test_join_returns_probabilities(how: How, logits: Any, inverse_temperature: list[float], silent: int) -> None:
    values = np.exp(np.array(logits).reshape(-1, 2, 3).swapaxes(0, 1))
    said = values / values.sum(axis=2, keepdims=True)
    if silent >= 0:
        said[silent, 0] = np.nan
    stack = {"coef": np.random.default_rng(0).normal(size=(3, 6)), "intercept": np.zeros(3)}
    joined = fused(how, inverse_temperature=inverse_temperature, stack=stack).join(said)
    assert (joined >= 0).all()
    np.testing.assert_allclose(joined.sum(axis=1), 1)


def test_likeliest_weights_finds_the_mixture_that_the_truth_was_drawn_from() -> None:
    random = np.random.default_rng(2)
    said = random.dirichlet([0.5] * 3, size=(2, 20_000))
    mixture = 0.8 * said[0] + 0.2 * said[1]
    targets = (random.random(20_000)[:, None] > mixture.cumsum(axis=1)).sum(axis=1).clip(max=2)
    np.testing.assert_allclose(likeliest_weights(said, targets), [0.8, 0.2], atol=0.02)


def test_likeliest_weights_are_those_of_a_search_over_all() -> None:
    said = np.array([said_by(1.5, seed=0), said_by(1.0, seed=1)])
    true = said[:, np.arange(len(TRUTH)), TRUTH]
    grid = np.linspace(0, 1, 1_001)
    best = grid[np.argmax([np.log(w * true[0] + (1 - w) * true[1]).sum() for w in grid])]
    weights = likeliest_weights(said, TRUTH)
    assert weights[0] == pytest.approx(best, abs=0.005)
    assert weights.sum() == pytest.approx(1)


def test_likeliest_weights_do_not_punish_a_member_that_judges_less_often() -> None:
    said = np.array([said_by(1.2, seed=0), said_by(1.2, seed=1), said_by(1.2, seed=2)])
    whole = likeliest_weights(said, TRUTH)
    said[0, ::2] = np.nan
    said[1:, 1::4] = np.nan  # of these the first judges alone: nothing can be learned about the weights
    true = said[:, np.arange(len(TRUTH)), TRUTH]
    there = ~np.isnan(true)

    def likelihood(weights: NDArray[np.float64]) -> float:
        in_memory = weights[:, None] * there
        return float(np.log(np.nansum(in_memory * np.nan_to_num(true), axis=0) / in_memory.sum(axis=0)).sum())

    weights = likeliest_weights(said, TRUTH)
    others = [*np.random.default_rng(0).dirichlet([1, 1, 1], size=500), whole]
    assert likelihood(weights) >= max(map(likelihood, others)) - 1e-6


def test_likeliest_weights_of_members_that_never_judge_together_are_even() -> None:
    said = np.array([said_by(1.5, seed=0), said_by(1.0, seed=1)])
    said[0, ::3], said[1, 1::3], said[1, 2::3] = np.nan, np.nan, np.nan
    np.testing.assert_allclose(likeliest_weights(said, TRUTH), [0.5, 0.5])


@pytest.mark.parametrize("inverse_temperature", [0.3, 1.0, 4.0])
def test_fit_finds_how_sure_a_member_may_be(inverse_temperature: float) -> None:
    targets = np.random.default_rng(1).integers(0, 3, size=4_000)
    member = Posteriors("one", said_by(1.5, inverse_temperature, seed=0, targets=targets))
    fusion = LateFusion("calibrated", [member], calibrated=True)
    part = corpus_of(targets)
    fusion.fit(part, part)
    assert fusion.inverse_temperature[0] == pytest.approx(1 / inverse_temperature, rel=0.1)
    assert evaluate(fusion, part).metrics["ece"].value < 0.03


@pytest.mark.parametrize("how", ["product", "stacked", "weighted", "mean"])
def test_fit_silences_a_member_that_knows_nothing(how: How) -> None:
    one, noise = said_by(1.5, seed=0), said_by(1.5, seed=1, targets=np.random.default_rng(9).integers(0, 3, size=240))
    alone = Posteriors("one", one)
    fusion = LateFusion("both", [Posteriors("one", one), Posteriors("noise", noise)], how, calibrated=True)
    part = corpus_of(TRUTH)
    fusion.fit(part, part)
    alone.fit(part, part)
    lost = evaluate(alone, part).metrics["wa"].value - evaluate(fusion, part).metrics["wa"].value
    assert lost < 0.02
    assert fusion.inverse_temperature[1] < 0.2 < fusion.inverse_temperature[0]


class Rote(Recognizer):
    """Learns by heart: nearly certain of the utterances that it has seen, without an idea of all others."""

    def __init__(self, name: str = "rote", *, train_on_validation: bool = True) -> None:
        super().__init__(name, [], ["text"])
        self.train_on_validation = train_on_validation
        self.fits: list[set[str]] = []
        self.known: dict[str, int] = {}

    @property
    def n_parameters(self) -> int:
        return len(self.known)

    def covers(self, corpus: Corpus) -> NDArray[np.bool_]:
        return corpus.has("text")

    def _fit(self, train: Corpus, valid: Corpus) -> None:
        self.known = dict(zip(train.table["utterance_id"], train.targets(), strict=True))
        self.fits.append({*self.known})

    def _predict_proba(self, corpus: Corpus) -> NDArray[np.float64]:
        says = np.full((len(corpus), 3), 1 / 3)
        for row, name in enumerate(corpus.table["utterance_id"]):
            if name in self.known:
                says[row] = 0.05
                says[row, self.known[name]] = 0.9
        return says


def parts() -> tuple[Corpus, Corpus]:
    whole = corpus_of(TRUTH)
    first = np.arange(len(TRUTH)) < 120
    return whole.select(first), whole.select(~first)


@pytest.mark.parametrize("how", ["weighted", "stacked"])
@pytest.mark.parametrize("nested", [False, True])
def test_fit_judges_members_by_a_part_that_they_did_not_learn(how: How, nested: bool) -> None:
    rote, honest = Rote(), Posteriors("honest", said_by(1.2, seed=0))
    member: Recognizer = LateFusion("inner", [rote]) if nested else rote
    fusion = LateFusion("outer", [member, honest], how, calibrated=True)
    train, valid = parts()
    fusion.fit(train, valid)
    learned = {*train.table["utterance_id"]}
    assert rote.fits == [learned, learned | {*valid.table["utterance_id"]}]
    assert rote.train_on_validation
    if how == "weighted":
        assert fusion.weights[1] > 0.95
    else:
        assert np.abs(fusion.stack["coef"][:, :3]).max() < 1e-6 < np.abs(fusion.stack["coef"][:, 3:]).max()


def test_fit_chooses_nothing_for_a_plain_mean() -> None:
    rote = Rote()
    train, valid = parts()
    LateFusion("plain", [rote, Posteriors("honest", said_by(1, seed=0))]).fit(train, valid)
    assert rote.fits == [{*train.table["utterance_id"], *valid.table["utterance_id"]}]


def test_fit_gives_back_what_it_held_back_when_a_member_fails() -> None:
    rote, stranger = Rote(), Posteriors("stranger", said_by(1, seed=0).rename(columns={"sad": "glad"}))
    fusion = LateFusion("broken", [rote, stranger], "weighted")
    with pytest.raises(ValueError, match="expected the same emotions"):
        fusion.fit(*parts())
    assert rote.train_on_validation
    assert fusion.emotions == ()


@pytest.mark.parametrize("how", ["weighted", "stacked"])
def test_fit_depends_on_the_validation_part_alone(how: How) -> None:
    tables = [said_by(skill, seed=seed) for seed, skill in enumerate((1.5, 1.0))]
    train, valid = parts()
    there = valid.table["utterance_id"].tolist()
    chosen = []
    for others in (tables[0], tables[1][::-1].set_axis(tables[1].index)):  # the second says nonsense outside of it
        first = others.copy()
        first.loc[there] = tables[0].loc[there]
        fusion = LateFusion("one", [Posteriors("a", first), Posteriors("b", tables[1])], how, calibrated=True)
        fusion.fit(train, valid)
        chosen.append((fusion.inverse_temperature, fusion.weights, fusion.stack.get("coef", np.zeros(1))))
    for once, again in zip(*chosen, strict=True):
        np.testing.assert_allclose(once, again)


def test_fit_needs_two_utterances_of_each_emotion_to_stack() -> None:
    part = corpus_of([0, 0, 1, 1, 2])
    members = [Posteriors(str(n), said_by(1, seed=n)) for n in range(2)]
    with pytest.raises(ValueError, match=r"an emotion has 1 utterances in the validation set.*at least 2.*weighted"):
        LateFusion("stacked", members, "stacked").fit(part, part)


def test_fit_names_a_member_that_says_nothing_of_the_validation_part() -> None:
    train, valid = parts()
    only_train = Posteriors("published", said_by(1, seed=0).loc[train.table["utterance_id"]], ["audio"])
    members = [only_train, Posteriors("other", said_by(1, seed=1), ["text"])]
    with pytest.raises(ValueError, match=r"published predicts none of the 120 utterances.*expected some.*how=\"mean\""):
        LateFusion("weighted", members, "weighted", calibrated=True).fit(train, valid)


def test_fit_knows_the_ways() -> None:
    with pytest.raises(ValueError, match=r"how='vote' of 1 members; expected one of mean, product"):
        LateFusion("vote", [Rote()], "vote")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="of 0 members"):
        LateFusion("nobody", [])


@pytest.mark.parametrize("how", HOWS)
def test_predict_leaves_out_who_has_no_row(how: How) -> None:
    full, half = said_by(1.5, seed=0), said_by(1.0, seed=1).iloc[::2]
    fusion = LateFusion("half", [Posteriors("a", full, ["audio"]), Posteriors("b", half, ["text"])], how)
    part = corpus_of(TRUTH)
    fusion.fit(part, part)
    first, second = fusion.member_probabilities(part)
    assert not np.isnan(first).any()
    np.testing.assert_array_equal(np.isnan(second).all(axis=1), np.arange(240) % 2 == 1)
    said = fusion.predict_proba(part)
    np.testing.assert_allclose(said.sum(axis=1), 1)
    if how != "stacked":
        np.testing.assert_allclose(said[1::2], first[1::2], atol=1e-5)
    assert fusion.covers(part).all()
    assert fusion.partial


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("modality", ["audio", "text"])
def test_fit_of_probabilities_from_outside_needs_no_rows_of_the_training_part(how: How, modality: str) -> None:
    train, valid = parts()
    there = valid.table["utterance_id"]
    members = [Posteriors("a", said_by(1.5, seed=0).loc[there], ["audio"])]
    members += [Posteriors("b", said_by(1.0, seed=1).loc[there], [modality])]
    fusion = LateFusion("published", members, how)
    fusion.fit(train, valid)
    assert evaluate(fusion, valid).metrics["wa"].value > 0.5


def test_fit_asks_each_member_for_its_modality_before_any_learns() -> None:
    rote, train = Rote(), parts()[0]
    fusion = LateFusion("both", [rote, recipe("audio/logistic-regression")])
    with pytest.raises(ValueError, match=r"audio/logistic-regression needs audio, but corpus 'by-hand' has only text"):
        fusion.fit(train, train)
    assert rote.fits == []


@pytest.mark.parametrize("how", HOWS)
def test_save_and_load_keep_every_answer(how: How, tmp_path: Path) -> None:
    members = [Posteriors("a", said_by(1.5, seed=0), ["audio"]), Posteriors("b", said_by(1.0, seed=1), ["text"])]
    fusion = LateFusion(f"fusion/{how}/by-hand", members, how, calibrated=how != "mean")
    part = corpus_of(TRUTH)
    fusion.fit(part, part)
    fusion.save(tmp_path / "kept")
    loaded = Recognizer.load(tmp_path / "kept", trusted=True)  # its members are of a class of the tests
    assert isinstance(loaded, LateFusion)
    np.testing.assert_allclose(loaded.predict_proba(part), fusion.predict_proba(part), rtol=1e-12)
    assert [member.name for member in loaded.members] == ["a", "b"]
    assert (loaded.how, loaded.modalities, loaded.partial) == (how, ("audio", "text"), True)
    assert loaded.n_parameters == fusion.n_parameters
