from __future__ import annotations

import multiprocessing
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from emolab import media, storage
from emolab.corpora import load_corpus
from emolab.corpora.corpus import MODALITIES, Corpus
from emolab.corpora.degraded import add_noise, drop, mishear, pink_noise, with_noise
from emolab.recipes import _fingerprint

LETTERS = st.sampled_from(["oh", "no", "yes", "really?", "(well,", "Don't", "—", "stop!!", "you", "YOU", "…"])
TEXTS = st.lists(st.lists(LETTERS, max_size=8).map(" ".join), min_size=1, max_size=8).map(lambda texts: [*texts, "a b"])
SHARES = st.floats(0, 1)
MODALITY = st.sampled_from(list(MODALITIES))
SEEDS = st.integers(0, 5)


def corpus_of(texts: Sequence[str | None], root: Path = Path("/data"), **columns: Sequence[object]) -> Corpus:
    """A corpus of these texts."""
    rows = [
        {"utterance_id": f"u{k}", "speaker": "s", "emotion": "a", "text": text, **{c: columns[c][k] for c in columns}}
        for k, text in enumerate(texts)
    ]
    return Corpus.from_rows("own", rows, emotions="a", root=root)


def seen(n: int) -> Corpus:
    """A corpus of `n` utterances that have everything, as far as the table tells."""
    files = [f"{k}.wav" for k in range(n)]
    return corpus_of([f"word {k}" for k in range(n)], audio_path=files, video_path=files)


def sounding(folder: Path, *waves: np.ndarray, rate: int = 16_000) -> Corpus:
    """A corpus of sound files."""
    for k, wave in enumerate(waves):
        soundfile.write(folder / f"{k}.wav", wave, rate, subtype="FLOAT")
    return corpus_of(["well"] * len(waves), folder, audio_path=[f"{k}.wav" for k in range(len(waves))])


def tone(seconds: float = 1.0, level: float = 0.5, hertz: float = 220.0) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(int(16_000 * seconds)) / 16_000)).astype(np.float32)


def plain(text: str) -> list[str]:
    """The words of a text without signs: (words,)."""
    return [bare for word in text.lower().split() if (bare := re.sub(r"^[\W_]+|[\W_]+$", "", word))]


def n_errors(spoken: Sequence[str], heard: Sequence[str]) -> int:
    """Count the fewest words to replace, leave out and put in: the edit distance."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(spoken, start=1):
        above, row[0] = row[0], i
        for j, other in enumerate(heard, start=1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (word != other))
    return row[-1]


def error_rate(corpus: Corpus, heard: Corpus) -> float:
    pairs = [(plain(one), plain(other)) for one, other in zip(corpus.texts(), heard.texts(), strict=True)]
    return sum(n_errors(*pair) for pair in pairs) / sum(len(spoken) for spoken, _ in pairs)


@given(n=st.integers(1, 30), modality=MODALITY, few=SHARES, more=SHARES, seed=SEEDS)
def test_drops_are_of_the_size_asked_for_and_nested(n: int, modality: str, few: float, more: float, seed: int) -> None:
    corpus, column, (few, more) = seen(n), MODALITIES[modality], sorted((few, more))
    before = corpus.table.copy(deep=True)
    gone_few, gone_more = (drop(corpus, modality, share, seed=seed).table[column].isna() for share in (few, more))
    assert (gone_few.sum(), gone_more.sum()) == (round(few * n), round(more * n))
    assert (gone_more | ~gone_few).all()
    pd.testing.assert_frame_equal(corpus.table, before)
    dropped = drop(corpus, modality, more, seed=seed)
    pd.testing.assert_frame_equal(dropped.table, drop(corpus, modality, more, seed=seed).table)
    pd.testing.assert_frame_equal(dropped.table.drop(columns=column), before.drop(columns=column))
    pd.testing.assert_frame_equal(drop(corpus, modality, 0, seed=seed).table, before)


def test_drops_of_two_modalities_or_seeds_are_drawn_apart_and_add_up() -> None:
    corpus = seen(200)
    both = drop(drop(corpus, "audio", 0.5), "text", 0.5)
    neither = (both.table["audio_path"].isna() & both.table["text"].isna()).mean()
    assert 0.15 < neither < 0.35
    other = drop(corpus, "audio", 0.5, seed=1)
    assert 0.3 < (other.table["audio_path"].isna() == both.table["audio_path"].isna()).mean() < 0.7
    assert drop(corpus, "video", 1.0).modalities == ("audio", "text")


def test_degradations_say_what_they_cannot_do(tmp_path: Path) -> None:
    corpus = seen(3)
    with pytest.raises(ValueError, match=r"no modality 'smell'; expected one of audio, text, video. Correct"):
        drop(corpus, "smell", 0.5)
    for share in (-0.1, 20, float("nan")):
        with pytest.raises(ValueError, match=r"share=.*; expected 0, nothing, to 1, everything. Divide percents"):
            drop(corpus, "text", share)
        with pytest.raises(ValueError, match=r"share=.*; expected 0, nothing, to 1, everything. Divide percents"):
            mishear(corpus, share)
    for snr_db in (-40, 1000, float("nan")):
        with pytest.raises(ValueError, match=r"snr_db=.*; expected -30 to 100 dB. Correct"):
            add_noise(corpus, snr_db)
    with pytest.raises(ValueError, match=r"no utterance of corpus 'own' has audio; expected some.*has text: degrade"):
        add_noise(corpus_of(["a b"]), 10)
    with pytest.raises(ValueError, match=r"no utterance of corpus 'own' has text; expected some.*nothing"):
        mishear(corpus_of([None]), 0.1)
    with pytest.raises(ValueError, match=r"the texts have 1 different words; expected two.*Give more"):
        mishear(corpus_of(["Oh", "oh!"]), 0.1)
    with pytest.raises(FileNotFoundError, match=r"3 of 3 files are missing: .*0.wav.*Expected.*Check its root"):
        add_noise(corpus, 10)
    (tmp_path / "0.wav").write_bytes(b"RIFF")
    with pytest.raises(ValueError, match=r"0.wav cannot be read"):
        add_noise(corpus_of(["a"], tmp_path, audio_path=["0.wav"]), 10)


@given(snr_db=st.floats(-30, 100), n=st.integers(1, 20_000), seed=SEEDS)
def test_noise_has_the_ratio_asked_for(snr_db: float, n: int, seed: int) -> None:
    wave = np.random.default_rng(1).uniform(-1, 1, n).astype(np.float32)
    noisy = with_noise(wave, snr_db, np.random.default_rng(seed))
    assert (noisy.shape, noisy.dtype) == (wave.shape, np.float32)
    noise = noisy.astype(np.float64) - wave
    measured = 10 * np.log10(np.square(wave, dtype=np.float64).mean() / np.square(noise).mean())
    assert measured == pytest.approx(snr_db, abs=0.01 if snr_db < 80 else 0.5 if n > 100 else 40)  # float32 rounds


def test_noise_is_pink() -> None:
    power = np.square(np.abs(np.fft.rfft(pink_noise(160_000, np.random.default_rng(0)))))
    hertz = np.fft.rfftfreq(160_000, 1 / 16_000)
    octaves = [power[(hertz >= low) & (hertz < 2 * low)].sum() for low in (125, 250, 500, 1000, 2000, 4000)]
    assert max(octaves) < 1.3 * min(octaves)
    assert power[hertz < 20].max() < 1e-9 * power.max()


def test_noisy_files_are_read_like_any_and_written_once(tmp_path: Path) -> None:
    corpus = sounding(tmp_path, tone(level=0.99), tone(0.3, 0.01), np.zeros(8_000, np.float32), np.ones(1, np.float32))
    before = corpus.table.copy(deep=True)
    noisy = add_noise(corpus, 0.0)
    pd.testing.assert_frame_equal(corpus.table, before)
    assert noisy.table["utterance_id"].tolist() == corpus.table["utterance_id"].tolist()
    for path, clean in zip(noisy.audio_paths(), corpus.audio_paths(), strict=True):
        assert path.is_relative_to(storage.cache_root())
        sounds = media.read_audio(path), media.read_audio(clean)
        assert len(sounds[0]) == len(sounds[1])
        power, own = (np.square(sound).mean() for sound in (sounds[0] - sounds[1], sounds[1]))
        assert power == pytest.approx(own, rel=1e-4)
    assert np.abs(media.read_audio(noisy.audio_paths()[0])).max() > 1  # no sample was clipped
    written = [path.stat().st_mtime_ns for path in noisy.audio_paths()]
    again = add_noise(replace(corpus), 0.0)
    assert again.table.equals(noisy.table)
    assert [path.stat().st_mtime_ns for path in again.audio_paths()] == written
    others = [add_noise(corpus, 10.0), add_noise(corpus, 0.0, seed=1)]
    assert len({path for part in (noisy, *others) for path in part.audio_paths()}) == 12
    sounding(tmp_path, tone(2.0), tone(2.0), tone(2.0), tone(2.0))  # the files changed
    assert not set(add_noise(corpus, 0.0).audio_paths()) & set(noisy.audio_paths())


def test_noise_differs_between_utterances_even_of_one_file_and_leaves_silence_out(tmp_path: Path) -> None:
    corpus = sounding(tmp_path, tone(), tone())
    same = replace(corpus, table=corpus.table.assign(audio_path=pd.array(["0.wav"] * 2, "string")))
    one, other = (media.read_audio(path) for path in add_noise(same, 5).audio_paths())
    assert abs(np.corrcoef(one - tone(), other - tone())[0, 1]) < 0.2
    part = drop(corpus, "audio", 0.5)
    assert add_noise(part, 5).table["audio_path"].isna().equals(part.table["audio_path"].isna())


def test_recipes_tell_noisy_corpora_apart(tmp_path: Path) -> None:
    corpus = sounding(tmp_path, tone())
    prints = [_fingerprint(part) for part in (corpus, add_noise(corpus, 5), add_noise(corpus, 6))]
    assert len({tuple(facts) for facts in prints}) == 3
    assert len({len(facts) for facts in prints}) == 1  # size and time of each file are among them


def _add_noise_elsewhere(folder: Path) -> list[str]:
    return [str(path) for path in add_noise(corpus_of(["a"] * 4, folder, audio_path=list(NAMES)), 3).audio_paths()]


NAMES = [f"{k}.wav" for k in range(4)]


def test_processes_may_write_the_same_noise(tmp_path: Path) -> None:
    sounding(tmp_path, *[tone(1 + k) for k in range(4)])
    with multiprocessing.get_context("fork").Pool(3) as pool:
        one, *others = pool.map(_add_noise_elsewhere, [tmp_path] * 3)
    assert others == [one, one]
    assert sorted(map(str, (storage.cache_root() / "noisy").iterdir())) == sorted(one)
    assert [len(media.read_audio(path)) for path in one] == [16_000 * (1 + k) for k in range(4)]


@given(texts=TEXTS, share=SHARES, seed=SEEDS)
def test_misheard_texts_belong_to_the_same_utterances(texts: list[str], share: float, seed: int) -> None:
    corpus = corpus_of([*texts, None])
    before = corpus.table.copy(deep=True)
    heard = mishear(corpus, share, seed=seed)
    pd.testing.assert_frame_equal(corpus.table, before)
    pd.testing.assert_frame_equal(heard.table, mishear(corpus, share, seed=seed).table)
    pd.testing.assert_frame_equal(heard.table.drop(columns="text"), before.drop(columns="text"))
    assert heard.table["text"].isna().tolist() == [False] * len(texts) + [True]
    pd.testing.assert_frame_equal(mishear(corpus, 0, seed=seed).table, before)
    known = {word for text in texts for word in plain(text)}
    assert {word for text in heard.table["text"].dropna() for word in plain(text)} <= known
    for spoken, text in zip(texts, heard.table["text"], strict=False):
        assert bool(plain(text)) == bool(plain(spoken))
        assert n_errors(plain(spoken), plain(text)) <= len(plain(spoken))


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 1.0])
def test_word_error_rate_is_about_the_share(share: float) -> None:
    rng = np.random.default_rng(3)
    frequent = 1 / np.arange(1, 401)
    words = rng.choice([f"word{k}" for k in range(400)], (500, 12), p=frequent / frequent.sum())
    corpus = corpus_of([" ".join(text).capitalize() + "!" for text in words])
    heard = mishear(corpus, share)
    assert error_rate(corpus, heard) == pytest.approx(share, rel=0.12)  # chance, and errors that meet
    n_spoken, n_heard = (sum(len(text.split()) for text in part.texts()) for part in (corpus, heard))
    assert n_heard / n_spoken == pytest.approx(1 - 0.05 * share, abs=0.02)  # 20 % less, 15 % more
    counts = pd.Series([word for text in heard.texts() for word in plain(text)]).value_counts()
    assert counts["word0"] > 3 * counts["word9"]
    assert sum(text.endswith("!") for text in heard.texts()) > (1 - 0.4 * share) * len(corpus)


def test_words_misheard_are_nested_and_cues_that_moved_are_gone() -> None:
    corpus = corpus_of(["one two three four five six"] * 50, cue_words=[(1,)] * 50, word_starts=[(0.0,) * 6] * 50)
    little, more = (mishear(corpus, share, seed=2) for share in (0.05, 0.3))
    changed_little, changed_more = (part.table["text"] != corpus.table["text"] for part in (little, more))
    assert 0 < changed_little.sum() < changed_more.sum()
    assert (changed_more | ~changed_little).all()
    for truth in ("cue_words", "word_starts"):
        assert little.table[truth].isna().tolist() == changed_little.tolist()


def test_the_sample_can_be_made_worse() -> None:
    corpus = load_corpus("sample").view()
    heard = mishear(corpus, 0.2)
    assert error_rate(corpus, heard) == pytest.approx(0.2, abs=0.02)
    few = corpus.select(np.arange(len(corpus)) < 3)
    assert len(add_noise(few, 10).audio_paths()) == 3
    assert drop(few, "video", 1.0).modalities == ("audio", "text")


def test_noise_is_not_added_to_sound_in_memory(tmp_path: Path) -> None:
    in_memory = sounding(tmp_path, tone()).with_media(audio={"u0": tone()})
    with pytest.raises(ValueError, match=r"holds sound in memory, and noise is added to files; expected files alone"):
        add_noise(in_memory, 20.0)
