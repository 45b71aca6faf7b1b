"""Front ends of published encoders in recognizers: what they give, what they keep, and that nothing else is needed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emolab import cli
from emolab.corpora import Corpus
from emolab.cost import measure_cost
from emolab.features.pretrained import AudioHiddenStates, Subwords, TextHiddenStates, Waveforms
from emolab.features.standins import KINDS, stand_in
from emolab.features.vggish import PUBLISHED
from emolab.recipes import fit_or_load, kept_in, recipe
from emolab.recognizer import NetworkRecognizer, Recognizer
from emolab.splits import Fold
from emolab.training import TrainingConfig
from tests.checkpoints import save_checkpoint

EMOTIONS = ("angry", "sad")
LARGE = [f"audio/{name}" for name in ("wav2vec2-frozen", "wav2vec2", "wav2vec2-all", "hubert-frozen", "wavlm-frozen")]
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


def recognizer(extractor: str, folder: Path, **spec: object) -> NetworkRecognizer:
    features = {
        "AudioHiddenStates": AudioHiddenStates,
        "Waveforms": Waveforms,
        "TextHiddenStates": TextHiddenStates,
        "Subwords": Subwords,
    }
    kinds = {"Waveforms": "sound-encoder", "Subwords": "text-encoder"}
    config = TrainingConfig(n_epochs=25, batch_size=4, learning_rate=0.01, patience=None)
    parts = {"kind": kinds.get(extractor, "layer-head"), "n_dense": 8, "dropout": 0.0, **spec}
    return NetworkRecognizer(f"tiny/{extractor}", [features[extractor](str(folder))], parts, config, seed=1)


CASES = [
    ("AudioHiddenStates", "wav2vec2"),
    ("AudioHiddenStates", "wavlm"),
    ("Waveforms", "hubert"),
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
    from emolab.features.encoders import fingerprint, load_encoder

    folder = save_checkpoint(tmp_path, "wav2vec2")
    made = recognizer("AudioHiddenStates", folder)
    made.fit(fold.train, fold.valid)
    extractor = made.features[0]
    assert isinstance(extractor, AudioHiddenStates)
    assert fingerprint(extractor.encoder) == fingerprint(load_encoder(folder))
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
        Waveforms(str(save_checkpoint(tmp_path / "a", "wav2vec2")), max_s=0.1),
        Waveforms(str(save_checkpoint(tmp_path / "b", "wavlm"))),
    )
    for extractor in (normalised, plain):
        extractor.fit(fold.train)
    first = normalised.transform(fold.test)[0]
    assert len(first) == 1_600
    assert (first.mean(), first.std()) == (pytest.approx(0, abs=1e-5), pytest.approx(1, abs=1e-3))
    assert np.abs(plain.transform(fold.test)[0]).max() == pytest.approx(0.3, abs=1e-3)
    silent = tmp_path / "click.wav"
    soundfile.write(silent, np.zeros(3), 16_000)
    assert normalised.wave(silent).tolist() == [0.0] * 400  # one frame


def test_long_texts_are_cut_off(fold: Fold, tmp_path: Path) -> None:
    extractor = Subwords(str(save_checkpoint(tmp_path, "bert")), max_pieces=4)
    extractor.fit(fold.train)
    assert [pieces.tolist() for pieces in extractor.transform(fold.test)[:2]] == [[2, 7, 8, 3], [2, 7, 8, 3]]


def test_features_of_texts_are_computed_once(fold: Fold, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extractor = TextHiddenStates(str(save_checkpoint(tmp_path, "bert")))
    extractor.fit(fold.train)
    first = extractor.transform(fold.test)
    monkeypatch.setattr(TextHiddenStates, "_read", lambda *_: pytest.fail("read again"))
    np.testing.assert_array_equal(extractor.transform(fold.test), first)


@pytest.mark.parametrize("name", KINDS)
def test_stand_ins_are_tiny_and_repeatable(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["we went home", "we were furious"] * 3
    first = stand_in(name, texts)
    weights = (first / "model.safetensors").read_bytes()
    assert len(weights) < 2_000_000
    monkeypatch.setenv("EMOLAB_CACHE", str(tmp_path))
    again = stand_in(name, texts)
    assert again != first
    assert (again / "model.safetensors").read_bytes() == weights
    assert stand_in(name, texts, seed=8) != again


def test_stand_ins_read_frequent_words_whole_and_spell_the_others(tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    texts = ["We went home!", "we WENT out"]
    tokenizer = Tokenizer.from_file(str(stand_in("bert-base-cased", texts) / "tokenizer.json"))
    assert tokenizer.encode("We went home?").tokens == ["[CLS]", "we", "went", "h", "##ome", "[UNK]", "[SEP]"]
    numbers = tokenizer.get_vocab()
    assert [numbers[piece] for piece in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")] == [0, 1, 2, 3, 4]
    assert max(numbers, key=numbers.__getitem__) == "went"  # twice, and last by the alphabet


@pytest.mark.parametrize("name", LARGE)
def test_large_recipes_are_stand_ins_in_quick_only(name: str) -> None:
    assert recipe(name).stand_in
    assert recipe(name).pretrained is None
    full = recipe(name, preset="full")
    assert not full.stand_in
    assert full.pretrained in (*KINDS, PUBLISHED)


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
