from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from emolab import media
from emolab.corpora import load_corpus
from emolab.corpora.corpus import MODALITIES, Corpus
from emolab.corpora.degraded import (
    add_noise,
    babble,
    degraded,
    drop,
    pink_noise,
    telephone,
    with_copies,
    with_noise,
)
from emolab.features.base import cached_features
from emolab.features.video import ActionUnits
from emolab.recipes import _fingerprint

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
    for snr_db in (-40, 1000, float("nan")):
        with pytest.raises(ValueError, match=r"snr_db=.*; expected -30 to 100 dB. Correct"):
            add_noise(corpus, snr_db)
    with pytest.raises(ValueError, match=r"no utterance of corpus 'own' has audio; expected some.*has text: take"):
        add_noise(corpus_of(["a b"]), 10)
    with pytest.raises(
        FileNotFoundError, match=r"0.wav does not exist; expected a sound.*Check the name and the corpus's root"
    ):
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


def test_noisy_sounds_are_read_like_any_and_the_same_each_time(tmp_path: Path) -> None:
    corpus = sounding(tmp_path, tone(level=0.99), tone(0.3, 0.01), np.zeros(8_000, np.float32), np.ones(1, np.float32))
    noisy, again = add_noise(corpus, 0.0), add_noise(replace(corpus), 0.0)
    pd.testing.assert_frame_equal(corpus.table, noisy.table)
    for sound, clean, same in zip(noisy.audio_paths(), corpus.audio_paths(), again.audio_paths(), strict=True):
        sounds = media.read_audio(sound), media.read_audio(clean)
        assert len(sounds[0]) == len(sounds[1])
        power, own = (np.square(sound).mean() for sound in (sounds[0] - sounds[1], sounds[1]))
        assert power == pytest.approx(own, rel=1e-4)
        np.testing.assert_array_equal(sounds[0], media.read_audio(same))
    assert np.abs(media.read_audio(noisy.audio_paths()[0])).max() > 1  # no sample was clipped
    other = add_noise(corpus, 0.0, seed=1).audio_paths()[0]
    assert not np.array_equal(media.read_audio(other), media.read_audio(noisy.audio_paths()[0]))


def test_noise_differs_between_utterances_even_of_one_file_and_leaves_silence_out(tmp_path: Path) -> None:
    corpus = sounding(tmp_path, tone(), tone())
    same = replace(corpus, table=corpus.table.assign(audio_path=pd.array(["0.wav"] * 2, "string")))
    one, other = (media.read_audio(path) for path in add_noise(same, 5).audio_paths())
    assert abs(np.corrcoef(one - tone(), other - tone())[0, 1]) < 0.2
    for part in (add_noise(drop(corpus, "audio", 0.5), 5), drop(add_noise(corpus, 5), "audio", 0.5)):
        assert part.has("audio").sum() == 1


def test_recipes_tell_noisy_corpora_apart(tmp_path: Path) -> None:
    corpus = sounding(tmp_path, tone())
    prints = [_fingerprint(part) for part in (corpus, add_noise(corpus, 5), add_noise(corpus, 6))]
    assert len({tuple(facts) for facts in prints}) == 3


def test_the_sample_can_be_made_worse() -> None:
    corpus = load_corpus("sample").view()
    few = corpus.select(np.arange(len(corpus)) < 3)
    assert len(add_noise(few, 10).audio_paths()) == 3
    assert drop(few, "video", 1.0).modalities == ("audio", "text")


def test_noise_is_added_to_sound_in_memory(tmp_path: Path) -> None:
    noisy = add_noise(sounding(tmp_path, tone()).with_media(audio={"u0": tone(2)}), 20.0)
    assert len(media.read_audio(noisy.audio_paths()[0])) == 32_000


def test_noise_is_added_to_the_segment_that_an_utterance_is(tmp_path: Path) -> None:
    corpus = sounding(tmp_path, np.concatenate([tone(1, 0.5), tone(1, 0.05)]))
    rows = [{**corpus.table.iloc[0], "utterance_id": f"s{k}", "audio_start": k, "audio_end": k + 1} for k in range(2)]
    noisy = add_noise(Corpus.from_rows("own", rows, emotions="a", root=tmp_path), 20.0)
    waves = [media.read_audio(path) for path in noisy.audio_paths()]
    assert [len(wave) for wave in waves] == [16_000, 16_000]
    for wave, level in zip(waves, (0.5, 0.05), strict=True):
        noise = wave - tone(1, level)
        assert 10 * np.log10(np.mean(tone(1, level) ** 2) / np.mean(noise**2)) == pytest.approx(20, abs=0.01)


def test_changes_are_applied_by_utterance_and_their_features_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMOLAB_CACHE", str(tmp_path / "cache"))
    corpus = drop(sounding(tmp_path, tone(), tone(), tone()), "audio", 0.4)
    there = corpus.has("audio")
    changed = degraded(corpus, lambda wave, rng: rng.random() * wave)
    assert (changed.has("audio") == there).all()
    first, second = (media.read_audio(path) for path in changed.select(there).audio_paths())
    assert first.dtype == np.float32
    assert np.abs(first).max() != pytest.approx(np.abs(second).max())
    seen: list[object] = []

    def level(sound: object) -> np.ndarray:
        seen.append(sound)
        return np.array([np.abs(media.read_audio(sound)).max()])  # type: ignore[arg-type]

    for again in (changed, degraded(corpus, lambda wave, rng: rng.random() * wave), changed):
        found = cached_features("levels", again.select(there).audio_paths(), level)
        assert [float(each[0]) for each in found] == [np.abs(first).max(), np.abs(second).max()]
    assert len(seen) == 2  # the same sound is measured once
    same = degraded(corpus, lambda wave, rng: wave).select(there).audio_paths()
    for number in range(2):  # one after the other: threads may begin both at once
        cached_features("levels", same[number : number + 1], level)
    assert len(seen) == 3  # both are the same tone


def test_copies_are_rows_of_their_own_with_sound_and_words_of_their_own(tmp_path: Path) -> None:
    corpus = sounding(tmp_path, tone(), tone(2))
    corpus = replace(corpus, table=corpus.table.assign(dialogue_id=pd.array(["d", None], "string")))
    quiet = degraded(corpus, lambda wave, rng: 0.1 * wave)
    reworded = replace(corpus, table=corpus.table.assign(text=pd.array(["ill", "ill"], "string")))
    both = with_copies(corpus, quiet, reworded.select([True, False]))
    assert both.table["utterance_id"].tolist() == ["u0", "u1", "u0 · copy 1", "u1 · copy 1", "u0 · copy 2"]
    assert both.table["dialogue_id"].fillna("").tolist() == ["d", "", "d · copy 1", "", "d · copy 2"]
    assert both.texts() == ["well", "well", "well", "well", "ill"]
    peaks = [np.abs(media.read_audio(path)).max() for path in both.audio_paths()]
    assert peaks == pytest.approx([0.5, 0.5, 0.05, 0.05, 0.5], rel=1e-3)
    assert both.targets().tolist() == [0] * 5
    assert len(with_copies(corpus)) == 2


def test_action_units_of_a_copy_are_those_of_its_utterance(tmp_path: Path) -> None:
    corpus = sounding(tmp_path, tone(), tone())
    units = [f"AU{number:02}_r" for number in range(35)]
    rows = pd.DataFrame(np.arange(70.0).reshape(2, 35) / 70, ["u0", "u1"], units)
    rows.rename_axis("utterance_id").to_csv(tmp_path / "action_units.csv")
    found = ActionUnits().table(with_copies(corpus, drop(corpus, "audio", 1.0)))
    assert found.iloc[:, 1].tolist() == [1 / 70, 36 / 70] * 2


def test_babble_is_of_several_voices_as_loud_as_each_other() -> None:
    voices = [level * tone(hertz=hertz) for level, hertz in ((1, 200), (0.1, 300), (0.01, 400))]
    spectrum = np.abs(np.fft.rfft(babble(voices, 16_000, np.random.default_rng(0)))) / 8_000
    heard = spectrum[[200, 300, 400]]
    assert heard.min() > 0.5
    assert spectrum.sum() == pytest.approx(heard.sum(), rel=1e-3)
    long = babble([tone(0.1)], 5_000, np.random.default_rng(0))
    assert long.shape == (5_000,)
    assert not babble([np.zeros(100, np.float32)], 200, np.random.default_rng(0)).any()  # nobody speaks


def test_a_telephone_passes_its_band() -> None:
    gain = {
        hertz: np.std(telephone(tone(1, 0.5, hertz))[4_000:-4_000]) / np.std(tone(1, 0.5, hertz))
        for hertz in (60, 1_000, 5_000)
    }
    assert gain[60] < 0.05
    assert gain[1_000] == pytest.approx(1, abs=0.05)
    assert gain[5_000] < 0.05
    steps = telephone(tone(1, 0.5, 1_000)) - 0.5 * telephone(2 * tone(1, 0.5, 1_000) / 2) * 2
    assert np.abs(steps).max() == 0  # it draws nothing
    assert telephone(tone(0.01)).shape == tone(0.01).shape
    assert np.isfinite(telephone(3 * tone())).all()  # beyond full scale it clips
