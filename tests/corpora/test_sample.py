from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import soundfile
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline

from emolab import sample
from emolab.corpora import Corpus, load_corpus
from emolab.features.audio import audio_features, f0, functionals, mfcc, rms_level
from emolab.media import read_audio, read_frames
from emolab.sample import build, face, script, voice

LINES = {line.key: line for name in script.dialogue_names() for line in script.write_dialogue(name)}
WORDS_OF = {
    emotion: {word for words in places.values() for word in words.split()} for emotion, places in script.WORDS.items()
}


FILM_FPS = 4  # a second, of the films' ten pictures


@pytest.fixture(scope="module")
def corpora() -> Path:
    return sample.ensure()


@pytest.fixture(scope="module")
def iemocap(corpora: Path) -> Corpus:
    return load_corpus("sample", root=corpora)


def test_write_dialogue_is_repeatable_and_dialogues_differ() -> None:
    assert script.write_dialogue("Ses02M_impro04") == script.write_dialogue("Ses02M_impro04")
    texts = [[line.text for line in script.write_dialogue(name)] for name in script.dialogue_names()]
    assert all(a != b for place, a in enumerate(texts) for b in texts[:place])


def test_cue_words_are_those_and_only_those_that_show_the_emotion_of_the_text() -> None:
    every = set().union(*WORDS_OF.values())
    for line in LINES.values():
        words = [word.strip(".,").lower() for word in line.text.split()]
        assert {words[place] for place in line.cue_words} <= WORDS_OF[line.shown["text"]], line
        others = {word for place, word in enumerate(words) if place not in line.cue_words}
        assert not others & (every - WORDS_OF["neutral"]), line
        assert line.cue_words or line.shown["text"] == "neutral", line


def test_the_rest_of_the_text_says_nothing_about_the_emotion() -> None:
    lines = [line for line in LINES.values() if line.label != script.UNDECIDED]
    rest = [
        " ".join(word for place, word in enumerate(line.text.split()) if place not in line.cue_words) for line in lines
    ]
    emotions, sessions = [line.label for line in lines], [line.key[:5] for line in lines]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression(C=3.0, max_iter=500))
    found = cross_val_predict(model, rest, emotions, groups=sessions, cv=LeaveOneGroupOut())
    assert np.mean(found == np.array(emotions)) < 0.25  # chance is 0.18, the largest emotion


def test_label_is_what_most_annotators_say() -> None:
    for line in LINES.values():
        most = max(line.votes.count(vote) for vote in line.votes)
        assert line.votes.count(line.label) == most >= 2 or (line.label == script.UNDECIDED and most == 1), line


def test_emotions_are_balanced_and_some_are_in_dispute() -> None:
    labels = [line.label for line in LINES.values()]
    counts = {emotion: labels.count(emotion) for emotion in script.EMOTIONS}
    assert len(labels) == 630
    assert min(counts.values()) >= 75
    assert max(counts.values()) <= 135
    assert 8 <= labels.count(script.UNDECIDED) <= 60
    split = np.mean([len(set(line.votes)) > 1 for line in LINES.values()])
    assert 0.15 < split < 0.5


def test_feelings_last_from_turn_to_turn() -> None:
    same = total = 0
    for name in script.dialogue_names():
        last: dict[str, str] = {}
        for line in script.write_dialogue(name):
            total += line.speaker in last
            same += last.get(line.speaker) == line.meant
            last[line.speaker] = line.meant
    assert same / total > 0.4  # 1 in 6 by chance


def test_ratings_follow_the_emotion() -> None:
    rated = {emotion: [line.ratings for line in LINES.values() if line.label == emotion] for emotion in script.EMOTIONS}
    valence, arousal, dominance = ({e: np.mean(r, axis=(0, 1))[axis] for e, r in rated.items()} for axis in range(3))
    assert min(valence["happy"], valence["excited"]) > valence["neutral"] > max(valence["angry"], valence["sad"])
    assert min(arousal["angry"], arousal["excited"]) > arousal["neutral"] > arousal["sad"]
    assert dominance["angry"] > dominance["sad"]


@pytest.fixture(scope="module")
def speech_of() -> dict[str, voice.Speech]:
    """One sentence in the voice of the first woman, in each emotion; espeak may start once in a process."""
    synthesiser = voice.Synthesiser()
    text = "I wrote the letter on the morning train."
    rngs = {emotion: np.random.default_rng(3) for emotion in voice.PROSODIES}
    return {e: voice.say(synthesiser, text, voice.WOMEN[0], e, rng=rng) for e, rng in rngs.items()}


def test_say_changes_pitch_loudness_and_pace_with_the_emotion(speech_of: dict[str, voice.Speech]) -> None:
    pitch = {emotion: float(np.nanmedian(f0(speech.wave))) for emotion, speech in speech_of.items()}
    level = {emotion: float(np.sqrt(np.mean(speech.wave**2))) for emotion, speech in speech_of.items()}
    assert pitch["excited"] > pitch["happy"] > pitch["neutral"] > pitch["sad"]
    assert level["angry"] > level["frustrated"] > level["neutral"] > level["sad"]
    assert len(speech_of["sad"].wave) > len(speech_of["neutral"].wave) > len(speech_of["excited"].wave)
    assert all(np.abs(speech.wave).max() <= voice.DESIGN.peak + 1e-6 for speech in speech_of.values())


def test_say_plants_the_cue_where_it_says(speech_of: dict[str, voice.Speech]) -> None:
    assert np.isnan(speech_of["neutral"].cue_start)
    for emotion, louder in (("angry", True), ("excited", True), ("sad", False)):
        speech = speech_of[emotion]
        level = rms_level(speech.wave).ravel()
        seconds = np.arange(len(level)) * 0.010
        inside = (seconds > speech.cue_start) & (seconds < speech.cue_end)
        assert 0.15 < speech.cue_end - speech.cue_start < 2
        assert (np.quantile(level[inside], 0.9) > np.quantile(level[~inside], 0.9)) == louder, emotion


def test_heard_from_gives_a_joined_word_the_time_of_the_one_before() -> None:
    assert voice.heard_from([0.0, 0.2, None, None, 0.7]) == (0.0, 0.2, 0.2, 0.2, 0.7)
    assert voice.heard_from([None, 0.3]) == (0.0, 0.3)


def test_mark_up_puts_prosody_on_the_cue_alone() -> None:
    ssml, begins = voice.mark_up(["This", "is", "it."], 1, 1, voice.Prosody(pitch=12.0, rate=0.5), 1.0)
    assert ssml == "<speak>This <prosody pitch='200%' range='100%' rate='50%'>is</prosody> it.</speak>"
    assert [ssml[begin : begin + 2] for begin in begins] == ["Th", "is", "it"]


def test_brighten_moves_the_spectrum_and_keeps_the_loudness() -> None:
    noise = np.random.default_rng(0).standard_normal(16_000).astype(np.float32)
    for brightness in (-1.0, -0.3, 0.5, 1.0):
        power = np.abs(np.fft.rfft(voice.brighten(noise, brightness))) ** 2
        assert (power[4000:].sum() > power[:4000].sum()) == (brightness > 0)
        assert np.std(voice.brighten(noise, brightness)) == pytest.approx(np.std(noise), rel=0.01)
    np.testing.assert_array_equal(voice.brighten(noise, 0.0), noise)


def test_faces_differ_and_move_with_the_emotion() -> None:
    people = [*face.WOMEN, *face.MEN, *face.ACTORS]
    rest = [face.draw(person, "neutral", 0, 0, False).astype(float) for person in people]
    assert min(np.abs(a - b).mean() for place, a in enumerate(rest) for b in rest[:place]) > 4
    for person, picture in zip(people, rest, strict=True):
        for emotion in set(face.EXPRESSIONS) - {"neutral"}:
            assert np.abs(face.draw(person, emotion, face.DESIGN.n_levels, 0, False) - picture).mean() > 0.2, emotion


def test_performance_rises_stays_and_falls() -> None:
    performance = face.Performance("sad", 1.0, 1.0, 2.0)
    levels = [performance.level(time) for time in (0.0, 0.8, 1.0, 1.5, 2.0, 2.2, 4.0)]
    assert levels[0] == levels[-1] == face.DESIGN.resting
    assert levels[2] == levels[3] == levels[4] == 1.0
    assert face.DESIGN.resting < levels[1] < 1 > levels[5] > face.DESIGN.resting


def test_lips_open_with_the_sound() -> None:
    wave = np.concatenate([np.zeros(8_000), 0.2 * np.sin(np.arange(8_000)), np.zeros(1)]).astype(np.float32)
    opened = face.lips(wave, sample_rate=16_000, fps=10)
    assert opened.shape == (11,)
    assert opened[:5].max() == 0.0
    assert opened[5:10].min() > 0.9


def test_build_writes_what_the_readers_read(corpora: Path, iemocap: Corpus) -> None:
    view = iemocap.view()
    assert view.emotions == script.EMOTIONS
    assert iemocap.modalities == ("audio", "text", "video")
    assert len(iemocap) == len(LINES)
    assert iemocap.table["speaker"].nunique() == 10
    assert iemocap.dropped["reason"].str.contains("no utterance|not evaluated").any()
    row = iemocap.table.set_index("utterance_id").loc["Ses03M_script02_2_F004"]
    line = LINES["Ses03M_script02_2_F004"]
    assert (row["text"], row["emotion"], row["shown_audio"]) == (line.text, line.label, line.shown["audio"])
    assert (row["gender"], row["scripted"], row["video_side"]) == ("female", True, "right")
    assert row["valence"] == pytest.approx(np.mean(line.ratings, axis=0)[0], abs=1e-4)
    actors = load_corpus("sample-ravdess", root=corpora)
    assert len(actors) == 8 * 30
    assert set(actors.table["intensity"]) == {"normal", "strong"}
    assert actors.modalities == ("audio", "text", "video")


def test_build_writes_sound_that_is_short_and_never_clips(iemocap: Corpus) -> None:
    sounds = [soundfile.read(path) for path in iemocap.audio_paths()]
    assert {rate for _, rate in sounds} == {16_000}
    seconds = np.array([len(wave) / 16_000 for wave, _ in sounds])
    np.testing.assert_allclose(seconds, iemocap.table["end"] - iemocap.table["start"], atol=2e-4)
    assert 1_200 < seconds.sum() < 1_600
    assert max(np.abs(wave).max() for wave, _ in sounds) < 0.96
    level = 20 * np.log10([np.sqrt(np.mean(wave**2)) for wave, _ in sounds])
    assert -50 < level.min() < level.max() < -8


def test_build_says_where_the_cues_are(iemocap: Corpus) -> None:
    table = iemocap.table
    planted = table["shown_audio"] != "neutral"
    assert (table["cue_start"].notna() == planted).all()
    cues = table[planted]
    assert (cues["cue_start"] >= 0).all()
    assert (cues["cue_end"] > cues["cue_start"] + 0.05).all()
    assert (cues["cue_end"] <= cues["end"] - cues["start"]).all()
    for row in table.itertuples():
        shown = {"text": row.shown_text, "audio": row.shown_audio, "video": row.shown_video}
        assert set(row.cue_modalities) == {modality for modality, emotion in shown.items() if emotion == row.emotion}
        assert row.cue_modalities or row.emotion == "undecided", row.utterance_id


@pytest.mark.parametrize("name", ["sample", "sample-ravdess"])
def test_build_says_when_each_word_is_heard(corpora: Path, name: str) -> None:
    corpus = load_corpus(name, root=corpora)
    for path, row in zip(corpus.audio_paths(), corpus.table.itertuples(), strict=True):
        starts = np.array(row.word_starts)
        assert len(starts) == len(row.text.split())
        assert 0 <= starts[0] < 0.1
        assert (np.diff(starts) >= 0).all()
        assert np.mean(np.diff(starts) == 0) < 0.35, row.text  # few words are joined
        assert starts[-1] < soundfile.info(path).duration - voice.DESIGN.tail_s
        assert row.shown_audio == "neutral" or row.cue_start in starts  # the cue begins with a word


def test_voices_of_a_session_sound_different(iemocap: Corpus) -> None:
    calm = iemocap.select(iemocap.table["shown_audio"] == "neutral")
    pitch = [float(np.nanmedian(f0(read_audio(path)))) for path in calm.audio_paths()]
    by_speaker = pd.Series(pitch).groupby(calm.table["speaker"]).median()
    for session in range(1, 6):
        assert by_speaker[f"Ses{session:02d}F"] > 1.4 * by_speaker[f"Ses{session:02d}M"]


def test_films_show_the_speaker_at_the_stated_side(iemocap: Corpus) -> None:
    row = iemocap.table[(iemocap.table["shown_video"] == "excited") & (iemocap.table["video_side"] == "right")].iloc[0]
    frames = read_frames(iemocap.root / row["video_path"], start=row["video_start"], end=row["video_end"], fps=10)
    moves = np.abs(np.diff(frames.astype(float), axis=0)).mean(axis=(0, 1, 3))
    half = frames.shape[2] // 2
    assert frames.shape[1:] == (face.SIZE, 2 * face.SIZE, 3)
    assert moves[half:].mean() > moves[:half].mean()


@pytest.mark.parametrize(
    ("colour", "expected"),
    [((255, 255, 255), (235, 128, 128)), ((0, 0, 0), (16, 128, 128)), ((255, 0, 0), (82, 90, 240))],
)
def test_to_yuv_is_the_standard_for_television(colour: tuple[int, ...], expected: tuple[int, ...]) -> None:
    planes = build.to_yuv(np.full((4, 6, 3), colour, np.uint8))
    assert planes.shape == (6, 6)
    assert set(planes[:4].ravel()) == {expected[0]}
    chroma = planes[4:].ravel()
    assert (set(chroma[:6]), set(chroma[6:])) == ({expected[1]}, {expected[2]})


def test_parts_are_the_same_bit_for_bit(corpora: Path, tmp_path: Path) -> None:
    build.run_part(tmp_path, 2)
    written = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert len({path.suffix for path in written}) == 4  # txt wav avi mp4
    differing = [path for path in written if (tmp_path / path).read_bytes() != (corpora / path).read_bytes()]
    assert not differing


def test_failing_part_is_reported(tmp_path: Path) -> None:
    (tmp_path / "iemocap").write_text("a file in the way")
    with pytest.raises(RuntimeError, match=r"(?s)part \d of the sample corpora .* ended with code 1.*Error"):
        build.build(tmp_path)


def test_ensure_builds_once_and_again_for_another_generator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    built: list[Path] = []

    def small(target: Path) -> None:
        target.mkdir()
        built.append(target)

    monkeypatch.setenv("EMOLAB_DATA", str(tmp_path))
    monkeypatch.setattr(build, "build", small)
    assert sample.ensure() == sample.ensure() == tmp_path / "sample"
    assert len(built) == 1
    monkeypatch.setattr(sample, "SOURCES", sample.SOURCES[1:])  # another generator
    sample.ensure()
    (tmp_path / "sample" / "stamp.json").write_text("{")  # cut in half
    sample.ensure()
    (tmp_path / "sample" / "stamp.json").write_text("[" * 100_000)
    sample.ensure()
    (tmp_path / "sample" / "iemocap").mkdir()
    (tmp_path / "sample" / "iemocap" / "truth.csv").write_text("changed")
    sample.ensure()
    sample.ensure(force=True)
    assert len(built) == 6


def test_ensure_keeps_what_was_there_when_building_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(target: Path) -> None:
        target.mkdir()
        raise RuntimeError("no voice")

    monkeypatch.setenv("EMOLAB_DATA", str(tmp_path))
    monkeypatch.setattr(build, "build", broken)
    (tmp_path / "sample").mkdir()
    (tmp_path / "sample" / "old.txt").touch()
    with pytest.raises(RuntimeError, match="no voice"):
        sample.ensure()
    assert [path.name for path in (tmp_path / "sample").iterdir()] == ["old.txt"]
    assert not list(tmp_path.glob("*.part"))


def test_difficulty_is_as_designed(iemocap: Corpus) -> None:
    """Each modality is well above chance and below the ceiling; sound and words together are clearly better.

    All five sessions are tested, each by models that never heard its speakers.
    """
    corpus = iemocap.view()
    emotions, sessions = corpus.targets(), corpus.table["session"].to_numpy(str)
    words = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=3.0))
    forest = RandomForestClassifier(100, min_samples_leaf=2, random_state=0, n_jobs=-1)
    seen = {
        "audio": (forest, np.array(audio_features(functionals, corpus.audio_paths()))),
        "text": (words, np.array(corpus.texts())),
        "video": (forest, film_features(corpus)),
    }
    found = {
        name: cross_val_predict(model, x, emotions, groups=sessions, cv=LeaveOneGroupOut(), method="predict_proba")
        for name, (model, x) in seen.items()
    }
    found["audio + text"] = found["audio"] + found["text"]
    found["audio + text + video"] = found["audio + text"] + found["video"]
    scores = {name: f1_score(emotions, p.argmax(axis=1), average="weighted") for name, p in found.items()}
    print({name: round(score, 3) for name, score in scores.items()})
    singles = [scores[name] for name in seen]
    assert all(2.5 / 6 < score < 0.75 for score in singles), scores
    assert 0.55 < max(singles) < 0.75, scores
    assert scores["audio + text"] > max(scores["audio"], scores["text"]) + 0.08, scores
    assert scores["audio + text + video"] > scores["audio + text"], scores


def film_features(corpus: Corpus) -> np.ndarray:
    """Take the mean, lowest and highest of each of 24 x 24 green pixels of the speaker's half, less the film's median.

    Nothing is learned, so that what it finds is a floor for a network that sees the same pixels.
    """
    films, rows = {}, []
    for path in sorted(set(corpus.video_paths())):
        green = read_frames(path, fps=FILM_FPS)[..., 1].astype(np.float32)
        films[path] = green.reshape(len(green), 24, 4, 48, 4).mean(axis=(2, 4))  # of 96 x 192 pixels
    for path, row in zip(corpus.video_paths(), corpus.table.itertuples(), strict=True):
        side = films[path][:, :, :24] if row.video_side == "left" else films[path][:, :, 24:]
        first, last = round(row.video_start * FILM_FPS), round(row.video_end * FILM_FPS)
        moved = (side[first:last] - np.median(side, axis=0)).reshape(last - first, -1)
        rows.append(np.concatenate([moved.mean(axis=0), moved.min(axis=0), moved.max(axis=0)]))
    return np.array(rows)


def test_cue_stretch_tells_more_than_the_rest(iemocap: Corpus) -> None:
    """Whoever hears only the planted stretch of a voice knows its emotion better than who hears only the rest."""
    planted = iemocap.select((iemocap.table["shown_audio"] != "neutral") & (iemocap.table["turn"] % 2 == 0))
    inside, outside = [], []
    for path, row in zip(planted.audio_paths(), planted.table.itertuples(), strict=True):
        wave = read_audio(path)
        first, last = (round(time * 16_000) for time in (row.cue_start, row.cue_end))
        inside.append(voice_statistics(wave[first:last]))
        outside.append(voice_statistics(np.concatenate([wave[:first], wave[last:]])))
    emotions, sessions = planted.table["shown_audio"].to_numpy(str), planted.table["session"].to_numpy(str)
    forest = RandomForestClassifier(100, min_samples_leaf=2, random_state=0, n_jobs=-1)
    heard = [cross_val_predict(forest, x, emotions, groups=sessions, cv=LeaveOneGroupOut()) for x in (inside, outside)]
    of_cue, of_rest = (float(np.mean(found == emotions)) for found in heard)
    print(f"cue {of_cue:.3f}, rest {of_rest:.3f}")
    assert of_cue > of_rest + 0.05
    assert of_rest > 0.35  # the whole utterance is coloured too; chance is 0.2


def voice_statistics(wave: np.ndarray) -> np.ndarray:
    pitch, level = f0(wave), rms_level(wave).ravel()  # dB
    pitch = np.log(pitch[np.isfinite(pitch)]) if np.isfinite(pitch).any() else np.zeros(1)
    shape = mfcc(wave, n_mfcc=5)
    return np.array([*np.quantile(pitch, [0.1, 0.5, 0.9]), *np.quantile(level, [0.1, 0.5, 0.9]), *shape.mean(axis=0)])


def test_builders_end_with_the_process_that_waits_for_them(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from emolab.sample import ensure; ensure()"]
    process = psutil.Popen(command, env={**os.environ, "EMOLAB_DATA": str(tmp_path), "EMOLAB_PROGRESS": "0"})
    until = time.monotonic() + 60
    while not (builders := process.children()) and time.monotonic() < until:
        time.sleep(0.1)
    assert builders
    process.kill()
    process.wait(10)
    assert not psutil.wait_procs(builders, timeout=60)[1]  # they may still be importing
