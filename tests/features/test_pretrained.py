"""Pretrained encoders: where weights come from, what becomes of padding, stand-ins, VGGish, and recognizers of them."""

from __future__ import annotations

import copy
import copyreg
import os
import pickle
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import soundfile
import torch

from emolab import cli
from emolab.corpora import Corpus
from emolab.cost import measure_cost
from emolab.features import pretrained as encoders
from emolab.features.pretrained import (
    VGGISH,
    AudioHiddenStates,
    LayerStatistics,
    Subwords,
    TextHiddenStates,
    VggishExamples,
    Waveforms,
    stand_in,
    vggish_examples,
)
from emolab.models.pretrained import AudioEncoder, TextEncoder, Vggish, VggishConfig, WeightedLayerSum
from emolab.recipes import fit_or_load, kept_in, recipe
from emolab.recognizer import NetworkRecognizer, Recognizer
from emolab.splits import Fold
from emolab.training import TrainingConfig
from tests.checkpoints import LISTENERS, READERS, WORDS, save_checkpoint, tiny_config

pytestmark = pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")  # inside WavLM
ENCODERS = {  # name: what its config.json says beside the defaults of its class, how many numbers
    "facebook/wav2vec2-base": ({"model_type": "wav2vec2"}, 94_371_712),
    "facebook/hubert-base-ls960": ({"model_type": "hubert"}, 94_371_712),
    "microsoft/wavlm-base": ({"model_type": "wavlm"}, 94_381_936),
    "openai/whisper-tiny.en": ({"model_type": "whisper", "vocab_size": 51_864}, 8_208_384),
    "openai/whisper-base": (
        {
            "model_type": "whisper",
            "d_model": 512,
            "encoder_layers": 6,
            "encoder_attention_heads": 8,
            "decoder_attention_heads": 8,
            "encoder_ffn_dim": 2048,
        },
        20_590_592,
    ),
    "bert-base-cased": ({"model_type": "bert", "vocab_size": 28_996}, 108_310_272),
    "albert-base-v2": (
        {"model_type": "albert", "hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12},
        11_683_584,
    ),
    "sentence-transformers/all-MiniLM-L6-v2": (
        {"model_type": "bert", "hidden_size": 384, "num_hidden_layers": 6, "intermediate_size": 1536},
        22_713_216,
    ),
}


NOBODY = Corpus.from_rows("nobody", [], emotions=("calm",), root=Path())
EMOTIONS = ("angry", "sad")
LARGE = [f"audio/{name}" for name in ("wav2vec2-frozen", "wav2vec2", "wav2vec2-all", "hubert-frozen", "wavlm-frozen")]
LARGE += [f"audio/whisper-{size}{part}" for size in ("tiny", "base") for part in ("-light", "-frozen", "", "-all")]
LARGE += ["audio/vggish", *(f"text/{name}{part}" for name in ("albert", "bert", "minilm") for part in ("", "-frozen"))]
TEXTS = {"angry": "we went furious !", "sad": "we went home gloomy"}


@pytest.fixture(scope="module")
def fold(tmp_path_factory: pytest.TempPathFactory) -> Fold:
    """Three speakers, eight utterances each, of different lengths; sound and words tell the emotion."""
    root, rows = tmp_path_factory.mktemp("tones"), []
    random = np.random.default_rng(0)
    for speaker in "abc":
        for number in range(8):
            emotion = EMOTIONS[number % 2]
            wave = np.sin(np.arange(random.integers(3_000, 6_000)) * {"angry": 0.6, "sad": 0.05}[emotion])
            soundfile.write(root / f"{speaker}{number}.wav", 0.3 * wave, 16_000)
            facts = {"utterance_id": f"{speaker}{number}", "speaker": speaker, "emotion": emotion}
            rows.append(facts | {"text": TEXTS[emotion], "audio_path": f"{speaker}{number}.wav"})
    corpus = Corpus.from_rows("tones", rows, emotions=EMOTIONS, root=root)
    return Fold("by-hand/1", *(corpus.select(corpus.table["speaker"] == speaker) for speaker in "abc"))


def recognizer(extractor: str, folder: Path) -> NetworkRecognizer:
    extractors = {kind.__name__: kind for kind in (AudioHiddenStates, Waveforms, TextHiddenStates, Subwords)}
    networks = {"Waveforms": AudioEncoder, "Subwords": TextEncoder}
    config = TrainingConfig(n_epochs=25, batch_size=4, learning_rate=0.01, patience=None)

    def build(sizes: dict[str, Any], n_emotions: int) -> Any:
        network = networks.get(extractor, WeightedLayerSum)
        return network.build(**sizes, n_emotions=n_emotions, n_dense=8, dropout=0.0)

    return NetworkRecognizer(f"tiny/{extractor}", extractors[extractor](str(folder)), build, config, seed=1)


CASES = [
    ("AudioHiddenStates", "hubert"),
    ("AudioHiddenStates", "wav2vec2"),
    ("AudioHiddenStates", "wavlm"),
    ("AudioHiddenStates", "whisper"),
    ("Waveforms", "hubert"),
    ("Waveforms", "whisper"),
    ("TextHiddenStates", "albert"),
]
CASES += [("Subwords", "bert")]


@pytest.mark.parametrize(("extractor", "kind"), CASES)
def test_encoders_learn_save_and_load_without_their_weights(
    extractor: str, kind: str, fold: Fold, tmp_path: Path
) -> None:
    folder = save_checkpoint(tmp_path / "org" / "tiny", kind)
    made = recognizer(extractor, folder)
    made.fit(fold.train, fold.valid)
    probabilities = made.predict_proba(fold.test)
    assert made.predict(fold.test) == fold.test.table["emotion"].tolist()
    assert made.pretrained == "tiny"
    made.save(tmp_path / "kept")
    made.save(tmp_path / "kept")  # over itself
    shutil.rmtree(folder)
    loaded = Recognizer.load(tmp_path / "kept")
    np.testing.assert_allclose(loaded.predict_proba(fold.test), probabilities, rtol=1e-4, atol=1e-5)
    assert (loaded.n_parameters, loaded.n_trainable) == (made.n_parameters, made.n_trainable)
    alone = [made.logits(fold.test.select(np.arange(8) == number))[0] for number in range(8)]
    np.testing.assert_allclose(made.logits(fold.test), alone, atol=1e-4)


def test_a_saved_recognizer_loads_in_another_process_without_the_hub(fold: Fold, tmp_path: Path) -> None:
    made = recognizer("TextHiddenStates", save_checkpoint(tmp_path / "tiny", "bert"))
    made.fit(fold.train, fold.valid)
    made.save(tmp_path / "kept")
    shutil.rmtree(tmp_path / "tiny")
    fold.test.table.to_pickle(tmp_path / "table.pickle")
    code = (
        "import sys, pandas, emolab\n"
        "rows = pandas.read_pickle(sys.argv[2]).to_dict('records')\n"
        "corpus = emolab.Corpus.from_rows('tones', rows, emotions=('angry', 'sad'), root='.')\n"
        "print(*emolab.Recognizer.load(sys.argv[1]).predict(corpus))"
    )
    command = [sys.executable, "-c", code, tmp_path / "kept", tmp_path / "table.pickle"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.stdout.split() == made.predict(fold.test), run.stderr


def test_frozen_encoders_are_not_changed_and_are_counted(fold: Fold, tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path, "wav2vec2")
    made = recognizer("AudioHiddenStates", folder)
    made.fit(fold.train, fold.valid)
    extractor = made.features[0]
    assert isinstance(extractor, AudioHiddenStates)
    assert encoders.fingerprint(extractor.encoder) == encoders.fingerprint(encoders.load_encoder(folder))
    assert made.n_parameters == extractor.n_parameters + made.n_trainable
    assert extractor.transform(fold.test)[0].shape == (4, 8)  # the input of three blocks and their outputs


@pytest.mark.parametrize(("extractor", "kind"), [("AudioHiddenStates", "hubert"), ("TextHiddenStates", "bert")])
def test_the_operations_of_a_frozen_encoder_are_counted(extractor: str, kind: str, fold: Fold, tmp_path: Path) -> None:
    made = recognizer(extractor, save_checkpoint(tmp_path, kind))
    made.fit(fold.train, fold.valid)
    operations = measure_cost(made, fold.test)["flops"]
    assert operations is not None
    assert operations > 10 * 2 * 8 * 8  # the head's dense layer has 8 times 8 weights


def test_waves_are_as_the_encoder_expects_them(fold: Fold, tmp_path: Path) -> None:
    normalised, plain = (
        Waveforms(str(save_checkpoint(tmp_path / "a", "wav2vec2"))),
        Waveforms(str(save_checkpoint(tmp_path / "b", "wavlm"))),
    )
    for extractor in (normalised, plain):
        extractor.fit(fold.train)
    first = normalised.transform(fold.test)[0]
    assert len(first) == len(soundfile.read(fold.test.audio_paths()[0])[0])
    assert (first.mean(), first.std()) == (pytest.approx(0, abs=1e-5), pytest.approx(1, abs=1e-3))
    assert np.abs(plain.transform(fold.test)[0]).max() == pytest.approx(0.3, abs=1e-3)
    silent = tmp_path / "click.wav"
    soundfile.write(silent, np.zeros(3), 16_000)
    assert normalised.steps(silent).tolist() == [0.0] * 400  # one frame


def test_long_texts_are_cut_off(fold: Fold, tmp_path: Path) -> None:
    extractor = Subwords(str(save_checkpoint(tmp_path, "bert")), max_subwords=4)
    extractor.fit(fold.train)
    assert [subwords.tolist() for subwords in extractor.transform(fold.test)[:2]] == [[2, 7, 8, 3], [2, 7, 8, 3]]


def test_features_of_texts_are_computed_once(fold: Fold, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extractor = TextHiddenStates(str(save_checkpoint(tmp_path, "bert")))
    extractor.fit(fold.train)
    first = extractor.transform(fold.test)
    monkeypatch.setattr(TextHiddenStates, "_hidden_states", lambda *_: pytest.fail("computed again"))
    np.testing.assert_array_equal(extractor.transform(fold.test), first)


@pytest.mark.parametrize("name", ENCODERS)
def test_stand_ins_are_tiny_and_repeatable(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["we went home", "we were furious"] * 3
    first = stand_in(name, texts)
    weights = (first / "model.safetensors").read_bytes()
    assert len(weights) < 2_000_000
    monkeypatch.setenv("EMOLAB_CACHE", str(tmp_path))
    again = stand_in(name, texts)
    assert again != first
    assert (again / "model.safetensors").read_bytes() == weights
    if (first / "tokenizer.json").is_file():
        assert (again / "tokenizer.json").read_bytes() == (first / "tokenizer.json").read_bytes()
    assert stand_in(name, texts, seed=8) != again


def test_stand_ins_read_frequent_words_whole_and_spell_the_others(tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    texts = ["We went home!", "we WENT out"]
    tokenizer = Tokenizer.from_file(str(stand_in("bert-base-cased", texts) / "tokenizer.json"))
    spelt = ["h", "##o", "##m", "##e"]
    assert tokenizer.encode("We went home?").tokens == ["[CLS]", "we", "went", *spelt, "[UNK]", "[SEP]"]
    numbers = tokenizer.get_vocab()
    assert [numbers[piece] for piece in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")] == [0, 1, 2, 3, 4]
    assert max(numbers, key=numbers.__getitem__) == "went"  # twice, and last by the alphabet


def test_stand_ins_number_their_subwords_alike_in_each_process(tmp_path: Path) -> None:
    texts = ["we went home and were furious", "they went home, furious", "she was calm and we were calm"]
    code = f"from emolab.features.pretrained import stand_in\nprint(stand_in('bert', {texts!r}))"
    files = [stand_in("bert", texts) / "tokenizer.json"]
    for number in range(2):  # the trainer of tokenizers 0.23 gives equally frequent subwords another number each time
        env = {**os.environ, "EMOLAB_CACHE": str(tmp_path / str(number))}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
        files.append(Path(done.stdout.strip(), "tokenizer.json"))
    assert len({file.read_bytes() for file in files}) == 1
    assert len({*files}) == 3


@pytest.mark.parametrize("name", LARGE)
def test_large_recipes_are_stand_ins_in_quick_only(name: str) -> None:
    assert recipe(name).stand_in
    assert recipe(name).pretrained is None
    full = recipe(name, preset="full")
    assert not full.stand_in
    assert full.pretrained in (*ENCODERS, Path(VGGISH).stem)


def test_other_weights_take_the_place_of_a_recipes_own(fold: Fold, tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "mine", "bert")
    made = recipe("text/bert-frozen", weights=str(folder))
    assert (made.stand_in, made.pretrained) == (False, "mine")
    first = fit_or_load("text/bert-frozen", fold, weights=str(folder))
    assert first.n_parameters < 10_000
    kept = [kept_in("text/bert-frozen", fold, preset="quick", seed=7, weights=w) for w in (None, str(folder))]
    assert [place.is_dir() for place in kept] == [False, True]
    with pytest.raises(ValueError, match=r"audio/svm has 0 pretrained encoders; expected one that takes weights='x'"):
        recipe("audio/svm", weights="x")


def test_fit_takes_weights_and_says_plainly_when_they_are_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fit", "text/bert", "--weights", "org/nothing"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("emolab: no weights of 'org/nothing': ")
    assert said.count("\n") == 1


def test_hidden_states_of_files_are_those_of_the_library_layer_by_layer(fold: Fold, tmp_path: Path) -> None:
    extractor = AudioHiddenStates(str(save_checkpoint(tmp_path, "wav2vec2")))
    extractor.fit(fold.train)
    found = extractor.transform(fold.test)  # several files at once, by threads
    for path, layers in zip(fold.test.audio_paths(), found, strict=True):
        with torch.no_grad():
            wave = torch.from_numpy(extractor.steps(path))
            expected = extractor.encoder(wave[None], output_hidden_states=True).hidden_states
        np.testing.assert_allclose(layers, [layer[0].mean(dim=0) for layer in expected], atol=2e-3)


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Whisper for sounds of 2 s."""
    from transformers import WhisperFeatureExtractor

    folder = save_checkpoint(tmp_path_factory.mktemp("whisper"), "whisper", max_source_positions=100)
    WhisperFeatureExtractor(feature_size=16, chunk_length=2).save_pretrained(folder)
    return folder


def sounds(folder: Path, *seconds: float) -> Corpus:
    """Noises of such lengths."""
    random, rows = np.random.default_rng(5), []
    for number, length in enumerate(seconds):
        soundfile.write(folder / f"{number}.wav", 0.1 * random.normal(size=round(length * 16_000)), 16_000)
        rows.append({"utterance_id": str(number), "speaker": "a", "emotion": "sad", "audio_path": f"{number}.wav"})
    return Corpus.from_rows("noises", rows, emotions=EMOTIONS, root=folder)


def test_whisper_hears_a_whole_window_as_the_library_does(whisper: Path, tmp_path: Path) -> None:
    corpus = sounds(tmp_path, 2.0)
    extractor, both = AudioHiddenStates(str(whisper)), AudioHiddenStates(str(whisper), deviation=True)
    for each in (extractor, both):
        each.fit(corpus)
    assert (extractor.sizes(), both.sizes()) == ({"n_layers": 4, "n_features": 8}, {"n_layers": 4, "n_features": 16})
    (path,), (means,), (statistics,) = corpus.audio_paths(), extractor.transform(corpus), both.transform(corpus)
    with torch.no_grad():
        mel = extractor.processor(soundfile.read(path)[0], sampling_rate=16_000, return_tensors="pt")["input_features"]
        layers = [layer[0] for layer in extractor.encoder(mel, output_hidden_states=True).hidden_states]
    np.testing.assert_allclose(means, [layer.mean(dim=0) for layer in layers], atol=2e-3)
    expected = [torch.cat([layer.mean(dim=0), layer.std(dim=0, correction=0)]) for layer in layers]
    np.testing.assert_allclose(statistics, torch.stack(expected), atol=2e-3)
    assert (extractor.step_s, extractor.hop_s) == (0.01, 0.02)


def test_neither_silence_nor_neighbours_change_what_whisper_hears(whisper: Path, tmp_path: Path) -> None:
    corpus, extractor = sounds(tmp_path, 0.3, 1.1), Waveforms(str(whisper))
    extractor.fit(corpus)
    encoder = encoders.load_encoder(whisper)
    short, long = (torch.from_numpy(mel) for mel in extractor.transform(corpus))
    frames, n_frames = encoders.convolve(encoder, [short, long])
    together = encoders.contextualise(encoder, frames, n_frames)
    assert n_frames.tolist() == [15, 55]  # a frame each 20 ms, none for silence
    for one, steps, n in zip(together, (short, long), n_frames, strict=True):
        torch.testing.assert_close(one[:n], encoders.hidden_layers(encoder, steps)[-1])


def test_every_second_of_a_long_recording_is_heard(
    whisper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoders, "WINDOW_S", 2.0)
    corpus, extractor = sounds(tmp_path, 5.0), AudioHiddenStates(str(whisper))
    extractor.fit(corpus)
    (path,), (found,) = corpus.audio_paths(), extractor.transform(corpus)
    layers = []
    for window in np.array_split(extractor.steps(path), 3):
        layers.append(encoders.hidden_layers(extractor.encoder, torch.from_numpy(window)).detach())
    np.testing.assert_allclose(found, torch.cat(layers, dim=1).mean(dim=1), atol=2e-3)


def test_statistics_of_layers_are_named_rows(whisper: Path, tmp_path: Path) -> None:
    corpus, extractor = sounds(tmp_path, 0.3, 0.5), LayerStatistics(str(whisper))
    extractor.fit(corpus)
    rows, names, raw = extractor.transform(corpus), extractor.feature_names, extractor.statistics(corpus)
    assert rows.shape == (2, 4 * 2 * 8) == (2, len(names))
    assert extractor.sizes() == {"n_features": 64}
    np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(rows.std(axis=0), 1, atol=1e-2)
    np.testing.assert_allclose(rows * extractor.deviation + extractor.mean, np.stack(raw).reshape(2, 64), atol=2e-3)
    assert (names[0], names[8], names[-1]) == ("layer 0, mean 0", "layer 0, deviation 0", "layer 3, deviation 7")
    assert extractor.transform(corpus.select(np.zeros(2, bool))).shape == (0, 64)


@pytest.mark.parametrize("name", ["audio/wav2vec2", "audio/whisper-tiny"])
def test_fine_tuned_encoders_hear_long_recordings_window_by_window(name: str, tmp_path: Path) -> None:
    made: Any = recipe(name)
    assert made.segment_s == encoders.WINDOW_S
    corpus = sounds(tmp_path, 0.5, 0.9)
    made.segment_s, made.emotions = 0.4, EMOTIONS
    made.features[0].fit(corpus)
    made.network = made._new_network().eval()
    (short, long), logits = made.inputs(corpus)[0], made.logits(corpus)
    cut = round(0.4 / made.features[0].step_s)
    for found, steps, starts in ((logits[0], short, (0, 1)), (logits[1], long, (0, 1 / 3, 2 / 3, 1))):
        windows = [steps[start : start + cut] for start in (round(s * (len(steps) - cut)) for s in starts)]
        np.testing.assert_allclose(found, made.logits_of([windows]).mean(axis=0), atol=1e-4)
    assert not made.takes_whole(corpus)


@pytest.mark.parametrize(("kind", "made"), [("wav2vec2", AudioHiddenStates), ("bert", TextHiddenStates)])
def test_a_saved_extractor_needs_no_file_and_names_no_folder(
    kind: str, made: type[AudioHiddenStates], fold: Fold, tmp_path: Path
) -> None:
    folder = save_checkpoint(tmp_path / "tiny", kind)
    extractor = made(str(folder))
    extractor.fit(fold.train)
    saved = pickle.dumps(extractor)
    shutil.rmtree(folder)
    copyreg.dispatch_table.pop(type(extractor.encoder))  # as in another process
    again = pickle.loads(pickle.dumps(pickle.loads(saved)))
    assert again.folder is None
    assert again.n_parameters == extractor.n_parameters > 0
    for one, other in zip(again.transform(fold.test), extractor.transform(fold.test), strict=True):
        np.testing.assert_array_equal(one, other)


# ---------------------------------------------------------------- encoders


@pytest.mark.parametrize("name", ENCODERS)
def test_encoders_have_the_published_sizes(name: str) -> None:
    config, published = ENCODERS[name]
    with torch.device("meta"):  # sizes without numbers
        encoder = encoders.build_encoder(config)
    assert sum(weights.numel() for weights in encoder.parameters()) == published


def waves(*seconds: float) -> list[torch.Tensor]:
    return [torch.randn(round(16_000 * s)) for s in seconds]


@pytest.mark.parametrize("kind", LISTENERS)
def test_waves_get_the_same_hidden_states_alone_and_beside_longer_ones(kind: str) -> None:
    torch.manual_seed(1)
    encoder = encoders.build_encoder(tiny_config(kind)).eval()
    short, long = waves(0.3, 0.5)
    frames, lengths = encoders.convolve(encoder, [short, long])
    together = encoders.contextualise(encoder, frames, lengths)
    alone = encoders.contextualise(encoder, *encoders.convolve(encoder, [short]))
    assert lengths.tolist() == [14, 24]  # a frame each 20 ms, the first after 25 ms
    torch.testing.assert_close(together[:1, :14], alone)


def test_padding_a_wave_changes_the_convolutions_of_wav2vec2_which_is_why_convolve_does_not() -> None:
    torch.manual_seed(1)
    encoder: Any = encoders.build_encoder(tiny_config("wav2vec2")).eval()
    wave = waves(0.3)[0]
    with torch.no_grad():
        alone = encoder.feature_extractor(wave[None])
        padded = encoder.feature_extractor(torch.cat([wave, torch.zeros(16_000)])[None])[..., : alone.shape[2]]
    assert (alone - padded).abs().mean() > 0.1 * alone.abs().mean()


@pytest.mark.parametrize("kind", LISTENERS)
def test_convolutions_and_blocks_together_are_the_published_forward_pass(kind: str) -> None:
    torch.manual_seed(1)
    encoder: Any = encoders.build_encoder(tiny_config(kind)).eval()
    wave = waves(0.3)[0]
    with torch.no_grad():
        expected = encoder(wave[None]).last_hidden_state
    torch.testing.assert_close(encoders.contextualise(encoder, *encoders.convolve(encoder, [wave])), expected)


@pytest.mark.parametrize("kind", [*LISTENERS, *READERS])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_encoders_that_have_been_used_are_copied_and_pickled_in_a_network(kind: str, copied: Any) -> None:
    network: Any = torch.nn.Sequential(encoders.build_encoder(tiny_config(kind)), torch.nn.Linear(2, 2)).eval()
    given = {"input_values": waves(0.1)[0][None]} if kind in LISTENERS else {"input_ids": torch.tensor([[2, 5, 3]])}
    first = next(iter(network[0].parameters())).requires_grad_(False)
    with torch.no_grad():
        expected = network[0](**given, output_hidden_states=True).hidden_states
    before = torch.random.get_rng_state()
    again = copied(network)
    assert torch.equal(before, torch.random.get_rng_state())
    assert [w.requires_grad for w in again.parameters()] == [w.requires_grad for w in network.parameters()]
    assert not again.training
    with torch.no_grad():
        first += 1  # what is copied shares nothing
        for layer, other in zip(again[0](**given, output_hidden_states=True).hidden_states, expected, strict=True):
            torch.testing.assert_close(layer, other)


@pytest.mark.parametrize("kind", READERS)
def test_texts_get_the_same_hidden_states_alone_and_beside_longer_ones(kind: str) -> None:
    torch.manual_seed(1)
    extractor = TextHiddenStates("by-hand")
    extractor._encoder = encoders.build_encoder(tiny_config(kind)).eval()
    short, long = np.array([2, 5, 7, 3]), np.array([2, 6, 7, 8, 9, 3])
    together, alone = extractor._hidden_states([short, long]), extractor._hidden_states([short])
    np.testing.assert_allclose(together[0], alone[0], rtol=1e-3, atol=1e-3)  # float16
    assert np.abs(together[0, -1].astype(float) - together[1, -1]).max() > 0.01


def test_masked_means_by_hand() -> None:
    layer = torch.tensor([[[1.0], [3.0], [100.0]]])
    assert encoders.masked_means([layer, 2 * layer], torch.tensor([2])).tolist() == [[[2.0], [4.0]]]


def test_a_checkpoint_is_found_in_a_folder_and_under_the_weights_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMOLAB_WEIGHTS", str(tmp_path))
    folder = save_checkpoint(tmp_path / "org" / "tiny", "bert")
    assert encoders.checkpoint(str(folder)) == encoders.checkpoint("org/tiny") == folder
    loaded = encoders.load_encoder(folder)
    again = encoders.build_encoder(encoders.read_config(folder))
    again.load_state_dict(loaded.state_dict())
    assert encoders.fingerprint(again) == encoders.fingerprint(loaded)


def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty cache of the hub, and return the folder in which it would keep org/tiny."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    repository = tmp_path / "hub" / "models--org--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc123")
    return repository / "snapshots" / "abc123"


def test_a_checkpoint_is_found_in_the_cache_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = hub_cache(tmp_path, monkeypatch)
    save_checkpoint(snapshot, "wav2vec2")
    assert encoders.checkpoint("org/tiny").samefile(snapshot)


def test_offline_and_not_there_is_one_clear_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub_cache(tmp_path, monkeypatch)
    with pytest.raises(OSError, match=r"no weights of 'org/tiny': .*the hub did not give .*Go online once, put"):
        encoders.checkpoint("org/tiny")
    with pytest.raises(OSError, match=r"no weights of 'a/b/c': .*the hub did not give .*or give weights="):
        encoders.checkpoint("a/b/c")
    config_alone = hub_cache(tmp_path / "second", monkeypatch)
    config_alone.mkdir(parents=True)
    (config_alone / "config.json").write_text("{}")
    with pytest.raises(OSError, match=r"the hub's org/tiny has no model.*safetensors.* or pytorch_model"):
        encoders.checkpoint("org/tiny")


def test_no_network_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub_cache(tmp_path, monkeypatch)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)

    def unreachable(*_: object, **__: object) -> NoReturn:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", unreachable)
    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    began = time.perf_counter()
    with pytest.raises(OSError, match=r"the hub did not give them \(\w+: .*Go online once") as caught:
        encoders.checkpoint("org/tiny")
    assert time.perf_counter() - began < 5
    assert "\n" not in str(caught.value)


def test_a_broken_checkpoint_says_so(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "tiny", "bert")
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:100])
    with pytest.raises(ValueError, match=r"cannot be read as an encoder \(.*expected config.json.*Get it again"):
        encoders.load_encoder(folder)


@pytest.mark.parametrize("file", ["tokenizer.json", "vocab.txt"])
def test_a_tokenizer_is_read_from_either_of_its_files(file: str, fold: Fold, tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path, "bert")
    (folder / {"tokenizer.json": "vocab.txt", "vocab.txt": "tokenizer.json"}[file]).unlink()
    extractor = Subwords(str(folder))
    extractor.fit(fold.train)
    subwords = extractor.tokenizer.encode("We went homes!").ids
    assert [WORDS[number] for number in subwords] == ["[CLS]", "we", "went", "home", "##s", "!", "[SEP]"]


def test_blocks_are_found_and_albert_has_none_of_its_own() -> None:
    for kind in (*LISTENERS, "bert"):
        assert len(encoders.blocks(encoders.build_encoder(tiny_config(kind)))) == 3
    with pytest.raises(ValueError, match=r"AlbertModel has no blocks.*expected encoder.layer.*Train all of it"):
        encoders.blocks(encoders.build_encoder(tiny_config("albert")))


def test_loading_writes_nothing_and_leaves_the_random_state(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = save_checkpoint(tmp_path, "wav2vec2")
    capfd.readouterr()
    before = torch.random.get_rng_state()
    encoders.load_encoder(folder)
    assert torch.equal(before, torch.random.get_rng_state())
    assert "".join(capfd.readouterr()) == ""


# ---------------------------------------------------------------- VGGish


@pytest.mark.parametrize(
    ("n_samples", "n_examples"), [(1, 1), (400, 1), (46_240, 1), (46_479, 1), (46_480, 2), (48_000, 2), (160_000, 4)]
)
def test_an_utterance_becomes_as_many_examples_as_it_takes(n_samples: int, n_examples: int) -> None:
    """192 frames begin 15 ms after each other and are 25 ms long: 191 * 240 + 400 = 46,240 samples."""
    examples = vggish_examples(np.ones(n_samples, np.float32))
    assert examples.shape == (n_examples, 192, 128)
    assert np.isfinite(examples).all()


def test_silence_is_the_logarithm_of_the_offset() -> None:
    np.testing.assert_allclose(vggish_examples(np.zeros(3_000, np.float32)), np.log(0.01), atol=2e-3)


def tone(hertz: float, size: float) -> np.ndarray:
    return (size * np.sin(2 * np.pi * hertz * np.arange(48_000) / 16_000)).astype(np.float32)


def test_a_tone_is_loudest_in_the_band_over_it() -> None:
    low, high = 1127 * np.log1p(np.array([725.0, 7_500.0]) / 700)  # the mel scale of HTK
    edges = 700 * np.expm1(np.linspace(low, high, 130) / 1127)
    band = int(vggish_examples(tone(2_000, 0.5))[0, 50].argmax())
    assert edges[band] < 2_000 < edges[band + 2]


def test_twice_the_amplitude_adds_log_2_since_magnitudes_are_taken_and_not_powers() -> None:
    soft, loud = (vggish_examples(tone(2_000, size))[0, 50].max() for size in (0.25, 0.5))
    assert loud - soft == pytest.approx(np.log(2), abs=0.01)


def test_every_band_holds_a_bin_between_725_and_7500_hz() -> None:
    for hertz in (725, 7_500):  # a tone at either end
        edge = 0 if hertz == 725 else -1
        assert vggish_examples(tone(hertz, 0.5))[0, 50].argmax() == range(128)[edge]
    noise = np.random.default_rng(0).normal(0, 0.1, 48_000).astype(np.float32)
    assert (vggish_examples(noise)[0].max(axis=0) > np.log(0.01) + 1).all()


def published(folder: Path, **others: torch.Tensor) -> Path:
    """Save a state dict in the published layout, with the embeddings that nobody needs here."""
    torch.manual_seed(4)
    weights = Vggish(VggishConfig(n_emotions=2)).features.state_dict()
    torch.save({f"features.{name}": w for name, w in weights.items()} | others, folder / "vggish.pth")
    return folder / "vggish.pth"


def test_published_weights_reach_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = published(tmp_path, **{"embeddings.0.weight": torch.zeros(2, 3)})
    monkeypatch.setenv("EMOLAB_WEIGHTS", str(tmp_path))
    for weights in (str(file), "vggish.pth"):
        extractor, network = VggishExamples(weights), Vggish(VggishConfig(n_emotions=3))
        extractor.fit(NOBODY)
        extractor.initialise(network)
        torch.testing.assert_close(network.features[13].weight, torch.load(file)["features.13.weight"])
        assert extractor.pretrained == "vggish"


def test_missing_and_broken_weights_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOLAB_WEIGHTS", str(tmp_path))
    network = Vggish(VggishConfig(n_emotions=3))
    with pytest.raises(FileNotFoundError, match=r"no weights 'vggish.*\.pth': .*torchvggish.*Put the file there"):
        VggishExamples(VGGISH).initialise(network)
    (tmp_path / "cut.pth").write_bytes(b"PK\x03\x04")
    with pytest.raises(ValueError, match=r"cut.pth cannot be read as weights .*; expected .*Get the file again .*http"):
        VggishExamples("cut.pth").initialise(network)
    torch.save({"layer.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other.pth does not fit Vggish: .*first features.0.bias. Expected .*http"):
        VggishExamples("other.pth").initialise(network)
