"""Gradients: the same as the libraries called by hand, one utterance at a time, and what they cannot explain."""

from __future__ import annotations

import copy
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import captum.attr as captum
import numpy as np
import pandas as pd
import pytest
import torch
from captum.attr import LayerIntegratedGradients
from numpy.typing import NDArray
from torch import nn

from emolab.corpora import Corpus
from emolab.explain import Explanation, explain
from emolab.explain.gradients import BASELINES, Centred
from emolab.features.audio import Classical8, LogMel
from emolab.features.pretrained import Subwords, TextHiddenStates, Waveforms
from emolab.features.text import Tokens, words
from emolab.late_fusion import LateFusion
from emolab.recognizer import LightRecognizer, NetworkRecognizer
from emolab.splits import Fold
from tests.checkpoints import save_checkpoint
from tests.explain.conftest import SMALL_CNN_BILSTM, fitted, network

GRADIENTS = (
    *("integrated-gradients", "saliency", "gradient-x-input", "deep-lift", "shap-gradient", "grad-cam", "attention"),
)


def some(corpus: Corpus, n: int = 8) -> Corpus:
    return corpus.select(np.arange(len(corpus)) < n)


def alone(corpus: Corpus, row: int) -> Corpus:
    return corpus.select(np.arange(len(corpus)) == row)


class CentredNetwork(nn.Module):
    """A network of words whose logits have a mean of 0, as Captum would be given it."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        logits = self.network(tokens, lengths)
        return logits - logits.mean(dim=1, keepdim=True)


def test_integrated_gradients_of_words_are_those_of_captum_on_the_embedding(
    reader: NetworkRecognizer, words_fold: Fold
) -> None:
    from captum.attr import LayerIntegratedGradients

    corpus = some(words_fold.test)
    explanation = explain(reader, corpus, "integrated-gradients", "sad", n_steps=16)
    by_hand = LayerIntegratedGradients(CentredNetwork(reader.network), reader.network.embedding)
    (arrays,) = reader.inputs(corpus)
    for item, array in zip(explanation, arrays, strict=True):
        tokens = torch.from_numpy(array)[None]
        lengths = torch.tensor([len(array)])
        values, delta = by_hand.attribute(
            tokens,
            torch.zeros_like(tokens),
            target=reader.emotions.index("sad"),
            additional_forward_args=(lengths,),
            n_steps=16,
            return_convergence_delta=True,
        )
        np.testing.assert_allclose(item.values, values.sum(dim=2)[0].detach(), atol=1e-5)
        np.testing.assert_allclose(item.native, item.values, atol=1e-5)  # each word is a token here
        assert item.convergence_delta == pytest.approx(float(delta), abs=1e-4)
        assert item.names == item.native_names


def gradient_by_hand(recognizer: NetworkRecognizer, array: NDArray[np.float32], target: int) -> NDArray[np.float32]:
    entered = torch.from_numpy(array)[None].requires_grad_()
    logits = recognizer.network.eval()(entered, torch.tensor([len(array)]))[0]
    (logits[target] - logits.mean()).backward()
    return entered.grad[0].numpy()  # type: ignore[union-attr]


def test_gradients_of_sound_are_those_of_torch(listener: NetworkRecognizer, hums_fold: Fold) -> None:
    corpus = some(hums_fold.test, 4)
    explained = {name: explain(listener, corpus, name, "true") for name in ("saliency", "gradient-x-input")}
    (arrays,) = listener.inputs(corpus)
    for row, (array, target) in enumerate(zip(arrays, corpus.targets(), strict=True)):
        gradient = gradient_by_hand(listener, array, int(target))
        np.testing.assert_allclose(explained["saliency"][row].native, np.abs(gradient), atol=1e-5)
        np.testing.assert_allclose(explained["gradient-x-input"][row].native, gradient * array, atol=1e-4)
        assert (explained["saliency"][row].values >= 0).all()


def test_units_of_sound_hold_what_their_frames_add(listener: NetworkRecognizer, hums_fold: Fold) -> None:
    for item in explain(listener, some(hums_fold.test, 3), "integrated-gradients"):
        assert item.native.shape[1] == 20
        assert item.values.sum() == pytest.approx(float(item.native.sum()), abs=1e-4)
        first = item.native[:10].sum()  # ten frames of 10 ms begin in the first 100 ms
        assert item.values[0] == pytest.approx(float(first), abs=1e-4)
        assert item.spans[0].tolist() == [0.0, 0.1]


def test_integrated_gradients_of_a_network_without_bends_are_the_gradient_times_the_way(senses_fold: Fold) -> None:
    straight = fitted(network("audio/straight", Classical8(), "Mlp", {"n_hidden": (8,)}, 3), senses_fold)
    hidden, out = straight.network.hidden[1], straight.network.out
    hidden.bias.data += 30  # so that no neuron is ever below 0
    corpus = some(senses_fold.test)
    found = {name: explain(straight, corpus, name, "sad") for name in ("integrated-gradients", "gradient-x-input")}
    found["deep-lift"] = explain(straight, corpus, "deep-lift", "sad")
    weights = (out.weight @ hidden.weight).detach().numpy()
    expected = (weights[2] - weights.mean(axis=0)) * np.stack(straight.inputs(corpus)[0])
    for explanation in found.values():
        np.testing.assert_allclose(explanation.values, expected, atol=1e-3)
        assert explanation.modality == "features"
        assert explanation[0].names == tuple(straight.features[0].feature_names)


KINDS: list[tuple[str, str, str]] = [  # recognizer, its fold, what is explained of it
    ("reader", "words_fold", "text"),
    ("listener", "hums_fold", "audio"),
    ("watcher", "senses_fold", "video"),
    ("joined", "senses_fold", "text"),
    ("joined", "senses_fold", "audio"),
]


@pytest.mark.parametrize("method", ["integrated-gradients", "saliency", "gradient-x-input", "shap-gradient"])
@pytest.mark.parametrize(("name", "fold_name", "modality"), KINDS)
def test_utterances_are_explained_together_as_each_alone(
    name: str, fold_name: str, modality: str, method: str, request: pytest.FixtureRequest
) -> None:
    recognizer, fold = request.getfixturevalue(name), request.getfixturevalue(fold_name)
    corpus = some(fold.test, 8 if method != "shap-gradient" else 2)
    how: dict[str, Any] = {"modality": modality, "n_steps": 4, "n_samples": 16, "background": fold.train}
    together = explain(recognizer, corpus, method, "true", **how)
    assert [item.utterance_id for item in together] == corpus.table["utterance_id"].tolist()
    assert [item.emotion for item in together] == corpus.table["emotion"].tolist()
    logits = recognizer.logits(corpus)
    for row in (0, 1, len(corpus) - 1):
        (one,) = explain(recognizer, alone(corpus, row), method, "true", **how)
        item, target = together[row], int(corpus.targets()[row])
        np.testing.assert_allclose(item.values, one.values, atol=2e-4)
        np.testing.assert_allclose(item.native, one.native, atol=2e-4)
        assert item.names == one.names
        assert item.logit == pytest.approx(logits[row, target] - logits[row].mean(), abs=1e-4)
        assert np.isnan(item.reference) == (method != "integrated-gradients")


def test_explaining_leaves_no_trace_in_the_network(listener: NetworkRecognizer, hums_fold: Fold) -> None:
    corpus = some(hums_fold.test, 3)
    before = listener.logits(corpus)
    torch.manual_seed(4)
    expected = torch.rand(1)
    torch.manual_seed(4)
    for method in ("integrated-gradients", "saliency", "kernel-shap", "attention"):
        if method == "attention":
            with pytest.raises(ValueError, match="sums up without attention"):
                explain(listener, corpus, method)
        else:
            explain(listener, corpus, method, n_samples=8)
    assert torch.equal(torch.rand(1), expected)  # nobody's random numbers were taken
    np.testing.assert_array_equal(listener.logits(corpus), before)
    assert all(not part._forward_hooks and not part._forward_pre_hooks for part in listener.network.modules())
    assert all(weights.requires_grad for weights in listener.network.parameters())


def reference(explanation: Explanation) -> NDArray[np.float64]:
    return np.array([item.reference for item in explanation])


def in_memory(corpus: Corpus, of: Any) -> Corpus:
    names = corpus.table["utterance_id"]
    sources = zip(names, corpus.audio_paths(), strict=True)
    return corpus.with_media(audio={name: of(source.content) for name, source in sources})


def test_baselines_of_sound_are_silence_and_the_mean_of_training(listener: NetworkRecognizer, hums_fold: Fold) -> None:
    corpus = some(hums_fold.test, 3)
    silence = explain(listener, corpus, "integrated-gradients", "sad", n_steps=2)
    assert silence.baseline == "silence"
    said = listener.logits(in_memory(corpus, np.zeros_like))
    np.testing.assert_allclose(reference(silence), said[:, 2] - said.mean(axis=1), atol=1e-4)
    mean = explain(listener, corpus, "integrated-gradients", "sad", n_steps=2, baseline="mean")
    said = listener.logits_of([[np.zeros_like(array) for array in listener.inputs(corpus)[0]]])
    np.testing.assert_allclose(reference(mean), said[:, 2] - said.mean(axis=1), atol=1e-4)
    assert not np.allclose(reference(mean), reference(silence))


def test_baselines_of_words_are_padding_and_the_unknown_word(reader: NetworkRecognizer, words_fold: Fold) -> None:
    corpus = some(words_fold.test, 3)
    for baseline, number in (("padding", 0), ("mask", 1)):
        found = explain(reader, corpus, "integrated-gradients", "sad", n_steps=2, baseline=baseline)
        said = reader.logits_of([[np.full_like(array, number) for array in reader.inputs(corpus)[0]]])
        np.testing.assert_allclose(reference(found), said[:, 2] - said.mean(axis=1), atol=1e-4)


def test_baselines_of_faces_are_the_mean_frame_and_grey(watcher: NetworkRecognizer, senses_fold: Fold) -> None:
    corpus = some(senses_fold.test, 3)
    (arrays,) = watcher.inputs(corpus)
    stills = [np.broadcast_to(np.rint(own.mean(axis=0)).astype(np.uint8), own.shape) for own in arrays]
    for baseline, instead in (("mean", stills), ("grey", [np.full_like(own, 127) for own in arrays])):
        found = explain(watcher, corpus, "integrated-gradients", "sad", n_steps=2, baseline=baseline)
        said = watcher.logits_of([instead])
        np.testing.assert_allclose(reference(found), said[:, 2] - said.mean(axis=1), atol=1e-4)
        assert found[0].native.shape == arrays[0].shape[:3]
        assert len(found[0]) == len(arrays[0])


def test_a_word_that_is_cut_in_several_tokens_is_one_unit(reader: NetworkRecognizer, words_fold: Fold) -> None:
    texts = ["blicket-home!", "-- ... dax", "( )", "we’ll WAIT..."]
    table = some(words_fold.test, 4).table.assign(text=pd.array(texts, dtype="string"))
    corpus = replace(words_fold.test, table=table)
    explanation = explain(reader, corpus, "integrated-gradients", n_steps=4)
    for item, text in zip(explanation, texts, strict=True):
        assert item.names == tuple(text.split())
        assert len(item.native) == max(1, len(words(text)))
    assert explanation[0].values[0] == pytest.approx(float(explanation[0].native.sum()), abs=1e-6)
    assert explanation[1].values[0] == 0  # signs that the network never sees
    assert not explanation[2].values.any()


@pytest.fixture(scope="module")
def pieces(words_fold: Fold, tmp_path_factory: pytest.TempPathFactory) -> NetworkRecognizer:
    """A tiny text encoder."""
    extractor = Subwords(str(save_checkpoint(tmp_path_factory.mktemp("bert"), "bert")))
    sizes = {"n_dense": 4, "dropout": 0.0}
    return fitted(network("text/pieces", extractor, "TextEncoder", sizes, 1), some_of(words_fold))


def some_of(fold: Fold) -> Fold:
    """Six utterances of each speaker are enough to have a fitted network."""
    parts = (part.select(part.table.groupby("speaker").cumcount() < 6) for part in (fold.train, fold.valid, fold.test))
    return Fold("by-hand/few", *parts)


@pytest.mark.parametrize("baseline", ["padding", "mask"])
def test_pieces_of_words_are_gathered_and_marks_belong_to_none(
    baseline: str, pieces: NetworkRecognizer, words_fold: Fold
) -> None:
    texts = ["we went homes !", "furious", "gloomys we", "home home"]
    table = some(words_fold.test, 4).table.assign(text=pd.array(texts, dtype="string"))
    corpus = replace(words_fold.test, table=table)
    explanation = explain(pieces, corpus, "integrated-gradients", n_steps=8, baseline=baseline)
    item = explanation[0]
    assert item.native_names == ("[CLS]", "we", "went", "home", "##s", "!", "[SEP]")
    np.testing.assert_allclose(
        item.values, [item.native[1], item.native[2], item.native[3:5].sum(), item.native[5]], atol=1e-6
    )
    np.testing.assert_allclose(explanation[1].native[[0, 2]], 0, atol=1e-6)  # marks are the same in the baseline
    weights = explain(pieces, corpus, "attention")
    for own in weights:
        assert (own.native >= 0).all()
        assert own.native.sum() == pytest.approx(1, abs=1e-5)


def test_attention_of_a_network_of_words_is_what_sums_its_states_up(words_fold: Fold) -> None:
    sizes = {"n_embedding": 4, "n_hidden": 4, "n_layers": 1, "n_dense": 4, "summary": "attention"}
    recognizer = fitted(network("text/attention", Tokens(min_count=1), "WordLstm", sizes, 2), some_of(words_fold))
    corpus = some(words_fold.test, 5)
    explanation = explain(recognizer, corpus, "attention", "sad")
    for row, item in enumerate(explanation):
        array = recognizer.inputs(corpus)[0][row]
        with torch.no_grad():
            states = recognizer.network.hidden_states(torch.from_numpy(array)[None], torch.tensor([len(array)]))
            weights = recognizer.network.summary.weights(*states)[0, :, 0]
        np.testing.assert_allclose(item.values, weights, atol=1e-5)
    other = explain(recognizer, corpus, "attention", "happy")
    np.testing.assert_array_equal(other[0].values, explanation[0].values)  # it knows no emotion


@pytest.mark.parametrize("kind", ["CnnBiLstm", "Cnn2d"])
def test_grad_cam_weighs_the_maps_of_the_last_convolution(kind: str, senses_fold: Fold) -> None:
    sizes = {"channels": (4, 6), "n_dense": 6, "dropout": 0.0} if kind == "Cnn2d" else SMALL_CNN_BILSTM
    recognizer = fitted(network("audio/cam", LogMel(n_mels=16), kind, sizes, 2), some_of(senses_fold))
    corpus = some(senses_fold.test, 4)
    together = explain(recognizer, corpus, "grad-cam", "true")
    (frames,) = recognizer.inputs(corpus)
    for row, item in enumerate(together):
        assert item.native.shape == frames[row].shape
        assert (item.native >= 0).all()
        (one,) = explain(recognizer, alone(corpus, row), "grad-cam", "true")
        np.testing.assert_allclose(item.native, one.native, rtol=1e-3, atol=1e-7)  # whatever is padded
    maps: list[torch.Tensor] = []
    last = recognizer.network.convolutions[-1]
    with last.register_forward_hook(lambda *parts: (parts[2].retain_grad(), maps.append(parts[2]))[1]):
        logits = Centred(recognizer.network.eval(), 0)(
            torch.from_numpy(frames[0])[None], torch.tensor([len(frames[0])])
        )
    logits[0, int(corpus.targets()[0])].backward()
    axes = tuple(range(2, maps[0].ndim))
    slopes = maps[0].grad.mean(dim=axes, keepdim=True)  # type: ignore[union-attr]
    weighed = torch.relu((slopes * maps[0].detach()).sum(dim=1))
    assert 0 < together[0].native.max() <= float(weighed.max()) * (1 + 1e-3)
    assert together[0].native.mean() == pytest.approx(float(weighed.mean()), rel=0.2)


def test_expected_gradients_add_up_to_the_distance_from_training(
    senses_fold: Fold, tones_mlp: NetworkRecognizer
) -> None:
    corpus = some(senses_fold.test, 3)
    how: dict[str, Any] = {"background": senses_fold.train, "n_samples": 2_000}
    found = explain(tones_mlp, corpus, "shap-gradient", "sad", **how)
    assert found.baseline == "training"
    logits = tones_mlp.logits(corpus)
    rows = np.linspace(0, len(senses_fold.train) - 1, 16).round().astype(int)
    others = tones_mlp.logits(senses_fold.train.select(np.isin(np.arange(len(senses_fold.train)), rows)))
    centre = (others[:, 2] - others.mean(axis=1)).mean()
    sums = [item.values.sum() for item in found]
    np.testing.assert_allclose(sums, logits[:, 2] - logits.mean(axis=1) - centre, atol=0.25)


def test_captum_and_shap_complain_of_nothing(
    listener: NetworkRecognizer, tones_mlp: Any, hums_fold: Fold, senses_fold: Fold
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for method in ("integrated-gradients", "saliency", "gradient-x-input", "ablation", "kernel-shap"):
            explain(listener, some(hums_fold.test, 2), method, n_samples=16)
        explain(tones_mlp, some(senses_fold.test, 2), "deep-lift")


def test_a_modality_of_a_joined_network_is_explained_beside_the_others(
    joined: NetworkRecognizer, senses_fold: Fold
) -> None:
    corpus = some(senses_fold.test, 3)
    for modality in ("text", "audio"):
        explanation = explain(joined, corpus, "integrated-gradients", "sad", modality=modality, n_steps=64)
        assert explanation.modality == modality
        (arrays,) = joined.inputs(corpus)[modality == "text" :][:1]
        assert [len(item.native) for item in explanation] == [len(array) for array in arrays]
        assert explanation.relative_convergence_delta < 0.2  # a kink of a gate apart


def test_gradients_of_waves_are_of_what_the_convolutions_make_of_them(senses_fold: Fold, tmp_path: Path) -> None:
    extractor = Waveforms(str(save_checkpoint(tmp_path / "wav2vec2", "wav2vec2")))
    sizes = {"n_dense": 4, "dropout": 0.0}
    recognizer = fitted(network("audio/waves", extractor, "AudioEncoder", sizes, 1), some_of(senses_fold))
    corpus = some(senses_fold.test, 3)
    together = explain(recognizer, corpus, "integrated-gradients", "sad", n_steps=4)
    for row, item in enumerate(together):
        (one,) = explain(recognizer, alone(corpus, row), "integrated-gradients", "sad", n_steps=4)
        np.testing.assert_allclose(item.values, one.values, atol=1e-3)
        assert item.spans[-1, 1] == pytest.approx(len(corpus.audio_paths()[row].content) / 16_000)
        assert len(item.native) == pytest.approx(item.spans[-1, 1] / 0.02, abs=2)  # a frame each 20 ms
    with pytest.raises(
        ValueError, match=r'input of Waveforms has no mean that stands for nothing; expected baseline="sil'
    ):
        explain(recognizer, corpus, "integrated-gradients", baseline="mean")


@pytest.mark.parametrize("modality", BASELINES)
@pytest.mark.parametrize("method", [*GRADIENTS])
def test_what_is_no_network_has_no_gradient(modality: str, method: Any, svm: LightRecognizer, words_fold: Fold) -> None:
    with pytest.raises(ValueError, match=r"text/light is no network; [\w-]+ expects one.*Take ablation, occlusion"):
        explain(svm, some(words_fold.test), method, modality=modality)


def test_gradients_need_a_network_for_whole_utterances(
    senses: LateFusion, senses_fold: Fold, hums_fold: Fold, listener: NetworkRecognizer
) -> None:
    corpus = some(senses_fold.test)
    for modality in ("modality", "text"):
        with pytest.raises(ValueError, match=r"fusion/tiny is no network; saliency expects.*for modalities shapley"):
            explain(senses, corpus, "saliency", modality=modality)
    in_pieces = fitted(
        network("audio/pieces", LogMel(n_mels=16), "CnnBiLstm", SMALL_CNN_BILSTM, 1, segment_s=0.5),
        some_of(senses_fold),
    )
    with pytest.raises(ValueError, match=r"audio/pieces predicts segments; saliency expects one network for whole"):
        explain(in_pieces, corpus, "saliency")
    with pytest.raises(ValueError, match=r"audio/tiny takes in audio; saliency expects .* that takes in text step by"):
        explain(listener, some(hums_fold.test), "saliency", modality="text")


def test_frozen_encoders_have_no_steps_to_explain(words_fold: Fold, tmp_path: Path) -> None:
    few = some_of(words_fold)
    extractor = TextHiddenStates(str(save_checkpoint(tmp_path / "bert", "bert")))
    recognizer = fitted(network("text/frozen", extractor, "WeightedLayerSum", {"n_dense": 4}, 1), few)
    with pytest.raises(ValueError, match=r"text/frozen takes in vectors; saliency expects .* takes in text step by"):
        explain(recognizer, few.test, "saliency")
    explanation = explain(recognizer, some(few.test, 2), "ablation")
    assert explanation.modality == "text"


def test_methods_say_which_networks_suit_them(
    listener: NetworkRecognizer,
    reader: NetworkRecognizer,
    tones_mlp: NetworkRecognizer,
    hums_fold: Fold,
    words_fold: Fold,
    senses_fold: Fold,
) -> None:
    with pytest.raises(
        ValueError, match=r"CnnBiLstm has logits that the rules of deep-lift miss.*expected dense layers.*Take"
    ):
        explain(listener, some(hums_fold.test), "deep-lift")
    with pytest.raises(ValueError, match=r"shap-gradient has nothing to start from; expected background=fold\.train"):
        explain(listener, some(hums_fold.test), "shap-gradient")
    with pytest.raises(ValueError, match=r"WordLstm has no convolutions over time.*expected.*Take integrated"):
        explain(reader, some(words_fold.test), "grad-cam")
    with pytest.raises(ValueError, match=r"Mlp sums up without attention; expected text/bilstm.*Take"):
        explain(tones_mlp, some(senses_fold.test), "attention")
    with pytest.raises(ValueError, match=r"no baseline 'noise' here; expected one of silence, mean\. Correct the name"):
        explain(listener, some(hums_fold.test), "integrated-gradients", baseline="noise")


class Convolutions(nn.Module):
    """A network of somebody else, for frames."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.convolution, self.out = nn.Conv1d(n_features, 6, 3, padding=1), nn.Linear(6, 3)

    def forward(self, frames: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        maps = torch.relu(self.convolution(frames.transpose(1, 2)))
        real = (torch.arange(maps.shape[2]) < lengths[:, None])[:, None]
        return self.out((maps * real).sum(dim=2) / lengths[:, None])


class Bag(nn.Module):
    """A network of somebody else, for tokens."""

    def __init__(self, n_words: int) -> None:
        super().__init__()
        self.vectors, self.out = nn.Embedding(n_words, 5), nn.Linear(5, 3)

    def forward(self, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        real = (torch.arange(tokens.shape[1]) < lengths[:, None])[..., None]
        return self.out(torch.tanh((self.vectors(tokens) * real).sum(dim=1)))


def with_network(recognizer: NetworkRecognizer, made: nn.Module) -> NetworkRecognizer:
    """Return a recognizer around a network of somebody else."""
    other = copy.copy(recognizer)
    other.network = made.eval()
    return other


def test_networks_of_others_are_explained_like_ours(listener: NetworkRecognizer, hums_fold: Fold) -> None:
    torch.manual_seed(0)
    recognizer, corpus = with_network(listener, Convolutions(20)), some(hums_fold.test, 3)
    found = explain(recognizer, corpus, "gradient-x-input", "sad")
    for item, array in zip(found, recognizer.inputs(corpus)[0], strict=True):
        np.testing.assert_allclose(item.native, gradient_by_hand(recognizer, array, 2) * array, atol=1e-5)
    assert explain(recognizer, corpus, "integrated-gradients", n_steps=64).relative_convergence_delta < 0.02
    exact = explain(recognizer, corpus, "ablation")
    assert [len(item) for item in exact] == [len(item) for item in found]
    with pytest.raises(
        ValueError, match=r"Convolutions has no convolutions over time; expected .* attribute `convolutions`"
    ):
        explain(recognizer, corpus, "grad-cam")


class Mean(nn.Module):
    """A network of somebody else that asks for no lengths."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.out = nn.Linear(n_features, 3)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return self.out(frames.mean(dim=1))


def test_a_network_without_lengths_is_explained(listener: NetworkRecognizer, hums_fold: Fold) -> None:
    recognizer = with_network(listener, Mean(20))
    (item,) = explain(recognizer, some(hums_fold.test, 1), "integrated-gradients", "sad", baseline="mean", n_steps=4)
    weights = recognizer.network.out.weight.detach().numpy()
    array = recognizer.inputs(some(hums_fold.test, 1))[0][0]
    np.testing.assert_allclose(item.native, array / len(array) * (weights[2] - weights.mean(axis=0)), atol=1e-5)


@pytest.mark.parametrize("method", ["integrated-gradients", LayerIntegratedGradients])
def test_tokens_reach_a_network_of_others_through_its_embedding(
    method: Any, reader: NetworkRecognizer, words_fold: Fold
) -> None:
    torch.manual_seed(0)
    network = Bag(len(reader.features[0].vocabulary))  # type: ignore[attr-defined]
    recognizer, corpus = with_network(reader, network), some(words_fold.test, 5)
    explanation = explain(recognizer, corpus, method, "sad", n_steps=16)
    by_hand = LayerIntegratedGradients(CentredNetwork(network), network.vectors)
    for item, array in zip(explanation, recognizer.inputs(corpus)[0], strict=True):
        tokens, lengths = torch.from_numpy(array)[None], torch.tensor([len(array)])
        values = by_hand.attribute(
            tokens, torch.zeros_like(tokens), target=2, additional_forward_args=(lengths,), n_steps=16
        )
        np.testing.assert_allclose(item.values, values.sum(dim=2)[0].detach(), atol=1e-5)
    assert not network.vectors._forward_hooks


def test_tokens_need_an_embedding(reader: NetworkRecognizer, words_fold: Fold) -> None:
    recognizer = with_network(reader, nn.Linear(3, 3))
    with pytest.raises(ValueError, match=r"Linear takes tokens and has no nn\.Embedding; expected one.*Take ablation"):
        explain(recognizer, some(words_fold.test), "saliency", "sad")


@pytest.mark.parametrize("method", [captum.IntegratedGradients, captum.GradientShap, captum.DeepLift, captum.Saliency])
def test_classes_of_captum_are_taken_as_they_are(method: Any, tones_mlp: NetworkRecognizer, senses_fold: Fold) -> None:
    names = {"IntegratedGradients": "integrated-gradients", "GradientShap": "shap-gradient", "DeepLift": "deep-lift"}
    corpus, how = some(senses_fold.test, 3), {"background": senses_fold.train}
    found = explain(tones_mlp, corpus, method, "sad", **how)
    named = explain(tones_mlp, corpus, names.get(method.__name__, "saliency"), "sad", **how)
    assert found.method == method.__name__
    assert found.baseline == named.baseline
    np.testing.assert_array_equal(found.values, named.values)


@pytest.mark.parametrize("method", [captum.GuidedBackprop, captum.Deconvolution])
def test_other_classes_of_captum_see_one_utterance_at_a_time(
    method: Any, tones_mlp: NetworkRecognizer, senses_fold: Fold
) -> None:
    corpus = some(senses_fold.test, 3)
    together = explain(tones_mlp, corpus, method, "sad")
    for row, item in enumerate(together):
        (one,) = explain(tones_mlp, alone(corpus, row), method, "sad")
        np.testing.assert_allclose(item.values, one.values, atol=1e-6)


def test_classes_of_captum_that_need_more_than_a_network_are_told_so(
    tones_mlp: NetworkRecognizer, senses_fold: Fold
) -> None:
    with pytest.raises(ValueError, match=r"DeepLiftShap fails here: .*baseline.*Expected a class of Captum or SHAP"):
        explain(tones_mlp, some(senses_fold.test, 3), captum.DeepLiftShap, "sad")
