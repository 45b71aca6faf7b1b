"""What a recognizer says when only some units stay: the changed words, sounds, frames and modalities themselves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emolab.corpora import Corpus
from emolab.corpora.corpus import MODALITIES
from emolab.explain.maskers import FADE, GREY, ModalityMasker, checked_baseline, mask_word, masker_for
from emolab.features.audio import Classical8
from emolab.features.combined import DialogueContext
from emolab.features.pretrained import Subwords
from emolab.features.text import Tfidf
from emolab.late_fusion import HOWS, LateFusion
from emolab.models import light
from emolab.recognizer import LightRecognizer, NetworkRecognizer, Recognizer
from emolab.splits import Fold
from tests.checkpoints import save_checkpoint
from tests.explain.conftest import fitted, light_reader

KINDS = {"text": "svm", "audio": "listener", "video": "watcher", "modality": "senses"}
RATE = 16_000


def some(corpus: Corpus, n: int = 5) -> Corpus:
    return corpus.select(np.arange(len(corpus)) < n)


def centred(logits: np.ndarray) -> np.ndarray:
    return logits - logits.mean(axis=1, keepdims=True)


def fold_of(kind: str, request: pytest.FixtureRequest) -> Fold:
    return request.getfixturevalue({"text": "words_fold", "audio": "hums_fold"}.get(kind, "senses_fold"))


def drawn(sizes: list[int], n: int = 6, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.random((n, size)) < 0.5 for size in sizes]


@pytest.mark.parametrize("modality", KINDS)
def test_with_all_units_a_recognizer_says_what_it_always_says(modality: str, request: pytest.FixtureRequest) -> None:
    recognizer, corpus = request.getfixturevalue(KINDS[modality]), some(fold_of(modality, request).test)
    played = masker_for(recognizer, corpus, modality)
    whole, nothing = played.ends()
    np.testing.assert_allclose(whole, centred(recognizer.logits(corpus)), atol=1e-5)
    assert nothing.shape == whole.shape
    np.testing.assert_allclose(nothing.sum(axis=1), 0, atol=1e-6)
    for names, spans in zip(played.names, played.spans, strict=True):
        assert spans.shape == (len(names), 2)


@pytest.mark.parametrize("modality", KINDS)
def test_many_coalitions_at_once_are_judged_like_one_by_one(modality: str, request: pytest.FixtureRequest) -> None:
    recognizer, corpus = request.getfixturevalue(KINDS[modality]), some(fold_of(modality, request).test, 3)
    played = masker_for(recognizer, corpus, modality)
    masks = drawn([len(names) for names in played.names])
    together = played.logits(masks)
    for row, own in enumerate(masks):
        assert together[row].shape == (6, 3)
        alone = masker_for(recognizer, corpus.select(np.arange(3) == row), modality)
        for mask, said in zip(own, together[row], strict=True):
            np.testing.assert_allclose(alone.logits([mask[None]])[0][0], said, atol=1e-5)


def test_what_was_asked_before_is_remembered(svm: LightRecognizer, words_fold: Fold) -> None:
    played = masker_for(svm, some(words_fold.test, 2), "text")
    masks = [np.array([own, own, ~own]) for own in (np.arange(len(names)) % 2 == 0 for names in played.names)]
    first = played.logits(masks)
    assert played.n_predictions == 4  # what is asked twice is judged once
    again = played.logits(masks)
    assert played.n_predictions == 4
    np.testing.assert_array_equal(first, again)
    played.ends()
    assert played.n_predictions == 8
    none = played.logits([np.zeros((0, len(names)), bool) for names in played.names])
    assert [own.shape for own in none] == [(0, 3), (0, 3)]
    assert played.n_predictions == 8


def test_more_coalitions_than_fit_in_a_batch_are_all_judged(svm: LightRecognizer, words_fold: Fold) -> None:
    played = masker_for(svm, some(words_fold.test, 3), "text")
    masks = drawn([len(names) for names in played.names], n=300)
    said = played.logits(masks)
    other = masker_for(svm, some(words_fold.test, 3), "text")
    for row in range(3):
        np.testing.assert_allclose(said[row][-1], other.logits([own[-1:] for own in masks])[row][0], atol=1e-9)


@pytest.mark.parametrize("name", ["svm", "reader"])
def test_words_left_out_give_the_logits_of_the_shorter_text(
    name: str, words_fold: Fold, request: pytest.FixtureRequest
) -> None:
    recognizer, corpus = request.getfixturevalue(name), some(words_fold.test)
    played = masker_for(recognizer, corpus, "text")
    assert played.names == [tuple(text.split()) for text in corpus.texts()]
    assert np.isnan(np.concatenate(played.spans)).all()
    masks = [np.arange(len(names)) != 1 for names in played.names]
    shorter = [" ".join(np.array(names)[mask]) for names, mask in zip(played.names, masks, strict=True)]
    expected = recognizer.logits(replace(corpus, table=corpus.table.assign(text=pd.array(shorter, dtype="string"))))
    found = [own[0] for own in played.logits([mask[None] for mask in masks])]
    np.testing.assert_allclose(found, centred(expected), atol=1e-5)


def test_masked_words_give_way_to_one_that_nobody_knows(reader: NetworkRecognizer, words_fold: Fold) -> None:
    corpus = some(words_fold.test, 2)
    played = masker_for(reader, corpus, "text", "mask")
    assert mask_word(reader) not in reader.features[0].vocabulary.terms  # type: ignore[attr-defined]
    masks = [np.arange(len(names)) != 0 for names in played.names]
    texts = [" ".join(["unheardof", *names[1:]]) for names in played.names]
    expected = reader.logits(replace(corpus, table=corpus.table.assign(text=pd.array(texts, dtype="string"))))
    found = [own[0] for own in played.logits([mask[None] for mask in masks])]
    np.testing.assert_allclose(found, centred(expected), atol=1e-5)


def test_the_mask_of_a_tokenizer_is_its_own(tmp_path: Path, senses_fold: Fold) -> None:
    extractor = Subwords(str(save_checkpoint(tmp_path / "bert", "bert")))
    extractor.fit(senses_fold.train)
    recognizer = light_reader(light.linear_svm(1))
    recognizer.features = [extractor]
    assert mask_word(recognizer) == "[MASK]"


def test_silence_is_zero_inside_and_touches_nothing_outside(listener: NetworkRecognizer, hums_fold: Fold) -> None:
    corpus = some(hums_fold.test, 3)
    played = masker_for(listener, corpus, "audio")
    for row, (wave, names, spans) in enumerate(zip(played.waves, played.names, played.spans, strict=True)):  # type: ignore[attr-defined]
        np.testing.assert_array_equal(wave, corpus.audio_paths()[row].content)
        assert names[:2] == ("0.0 s", "0.1 s")
        assert spans[-1, 1] == pytest.approx(len(wave) / RATE)
        mask = np.ones(len(names), bool)
        mask[3:5] = False
        left = played.left(row, mask)  # type: ignore[attr-defined]
        start, end = round(0.3 * RATE), round(0.5 * RATE)
        assert left.dtype == np.float32
        assert len(left) == len(wave)
        assert not left[start + FADE : end - FADE].any()
        np.testing.assert_allclose(left[: start - FADE], wave[: start - FADE], atol=1e-6)
        np.testing.assert_allclose(left[end + FADE :], wave[end + FADE :], atol=1e-6)
        assert not played.left(row, ~np.ones(len(names), bool)).any()  # type: ignore[attr-defined]
        assert played.left(row, np.ones(len(names), bool)) is wave  # type: ignore[attr-defined]


def test_the_fade_has_no_click(listener: NetworkRecognizer, hums_fold: Fold) -> None:
    played = masker_for(listener, some(hums_fold.test, 1), "audio")
    played.waves[0] = np.ones_like(played.waves[0])  # type: ignore[attr-defined]
    mask = np.arange(len(played.names[0])) % 2 == 0
    assert np.abs(np.diff(played.left(0, mask))).max() < 1.1 / FADE  # type: ignore[attr-defined]


def test_noise_is_as_loud_as_the_utterance_and_always_the_same(listener: NetworkRecognizer, hums_fold: Fold) -> None:
    played = masker_for(listener, some(hums_fold.test, 2), "audio", "noise")
    for row, names in enumerate(played.names):
        left = played.left(row, np.zeros(len(names), bool))  # type: ignore[attr-defined]
        power = [np.square(sound, dtype=np.float64).mean() for sound in (left, played.waves[row])]  # type: ignore[attr-defined]
        assert power[0] == pytest.approx(power[1], rel=0.01)
        np.testing.assert_array_equal(left, played.left(row, np.zeros(len(names), bool)))  # type: ignore[attr-defined]
        half = played.left(row, np.arange(len(names)) < len(names) // 2)  # type: ignore[attr-defined]
        kept = slice(0, (len(names) // 2) * RATE // 10 - FADE)
        np.testing.assert_allclose(half[kept], played.waves[row][kept], atol=1e-6)  # type: ignore[attr-defined]


def test_a_silent_utterance_stays_silent_in_noise(listener: NetworkRecognizer, hums_fold: Fold) -> None:
    one = some(hums_fold.test, 1)
    silent = one.with_media(audio={one.table["utterance_id"].iloc[0]: np.zeros(8_000, np.float32)})
    played = masker_for(listener, silent, "audio", "noise")
    assert not played.left(0, np.zeros(5, bool)).any()  # type: ignore[attr-defined]


@pytest.mark.parametrize("baseline", ["mean", "grey"])
def test_frames_taken_away_become_the_mean_frame_or_grey(
    baseline: str, watcher: NetworkRecognizer, senses_fold: Fold
) -> None:
    corpus = some(senses_fold.test, 3)
    played = masker_for(watcher, corpus, "video", baseline)
    for row, in_memory in enumerate(corpus.video_paths()):
        pictures = in_memory.content
        mask = np.arange(len(pictures)) != 1
        left = played.left(row, mask)  # type: ignore[attr-defined]
        instead = np.rint(pictures.mean(axis=0)) if baseline == "mean" else np.full(pictures.shape[1:], GREY)
        assert left.dtype == np.uint8
        np.testing.assert_array_equal(left[1], instead.astype(np.uint8))
        np.testing.assert_array_equal(left[mask], pictures[mask])
        np.testing.assert_allclose(played.spans[row][:, 0], np.arange(len(pictures)) / 5)
        shown = corpus.select(np.arange(3) == row)
        expected = watcher.logits(shown.with_media(video={shown.table["utterance_id"].iloc[0]: left}))
        asked = [np.ones((0, len(names)), bool) for names in played.names]
        asked[row] = mask[None]
        np.testing.assert_allclose(played.logits(asked)[row], centred(expected), atol=1e-5)


def without(corpus: Corpus, *kept: str) -> Corpus:
    return corpus.without(*({*MODALITIES} - {*kept}))


@pytest.mark.parametrize("name", ["senses", "joined"])
def test_modalities_taken_away_are_missing(name: str, senses_fold: Fold, request: pytest.FixtureRequest) -> None:
    recognizer, corpus = request.getfixturevalue(name), some(senses_fold.test)
    played = masker_for(recognizer, corpus, "modality")
    players = played.names[0]
    assert players == tuple(name for name in MODALITIES if name in recognizer.modalities)
    for masks in np.array(np.meshgrid(*[[False, True]] * len(players))).T.reshape(-1, len(players)):
        said = np.array([own[0] for own in played.logits([masks[None]] * 5)])
        kept = [name for name, stays in zip(players, masks, strict=True) if stays]
        expected = centred(recognizer.logits(without(corpus, *kept))) if kept else np.zeros((5, 3))
        np.testing.assert_allclose(said, expected, atol=1e-5)


class Slow(Recognizer):
    """A late fusion that nobody takes for one."""

    def __init__(self, fusion: LateFusion) -> None:
        super().__init__(fusion.name, [], fusion.modalities)
        self.fusion, self.emotions, self.partial = fusion, fusion.emotions, fusion.partial

    @property
    def n_parameters(self) -> int:
        return self.fusion.n_parameters

    def covers(self, corpus: Corpus) -> np.ndarray:
        return self.fusion.covers(corpus)

    def _fit(self, train: Corpus, valid: Corpus) -> None: ...

    def _lacking(self, corpus: Corpus) -> list[str]:
        return self.fusion._lacking(corpus)

    def _predict_proba(self, corpus: Corpus) -> np.ndarray:
        return self.fusion.predict_proba(corpus)


@pytest.mark.parametrize("how", HOWS)
def test_late_fusions_are_joined_anew_without_asking_the_members_again(how: str, senses_fold: Fold) -> None:
    heard = LightRecognizer("audio/light", Classical8(), light.logistic_regression(1))
    fusion = LateFusion("late", [heard, light_reader(light.linear_svm(1))], how, calibrated=how != "mean")  # type: ignore[arg-type]
    fitted(fusion, senses_fold)
    corpus = some(senses_fold.test, 8)
    spoken = corpus.table["text"].mask(np.arange(8) == 0)  # the first has a sound only
    corpus = replace(corpus, table=corpus.table.assign(text=spoken))
    fast, slow = (masker_for(made, corpus, "modality") for made in (fusion, Slow(fusion)))
    masks = [np.array([[True, True], [True, False], [False, True], [False, False]])] * 8
    np.testing.assert_allclose(fast.logits(masks), slow.logits(masks), atol=1e-5)
    assert not fast.logits(masks)[0][2].any()  # words alone, of an utterance without words: nothing is left
    assert fast.n_predictions == 8 + 7  # each member once
    assert slow.n_predictions == 8 + 8 + 7
    fast.logits(masks)
    assert fast.n_predictions == 8 + 7


def test_copies_have_the_sound_and_faces_of_their_utterance(joined: NetworkRecognizer, senses_fold: Fold) -> None:
    corpus = some(senses_fold.test, 3)
    played = masker_for(joined, corpus, "text")
    mask = [np.ones((0, len(names)), bool) for names in played.names]
    mask[2] = np.arange(len(played.names[2]))[None] > 0
    table = corpus.table.assign(text=corpus.table["text"].where(np.arange(3) < 2, " ".join(played.names[2][1:])))
    expected = centred(joined.logits(replace(corpus, table=table)))[2]
    np.testing.assert_allclose(played.logits(mask)[2][0], expected, atol=1e-5)


def test_games_say_what_they_cannot_play(
    svm: LightRecognizer, listener: NetworkRecognizer, words_fold: Fold, senses_fold: Fold
) -> None:
    test = some(words_fold.test)
    with pytest.raises(ValueError, match=r"text/light has no units of 'audio'; expected one of text, modality\."):
        masker_for(svm, test, "audio")
    with pytest.raises(ValueError, match=r"cannot do without any of text; expected a recognizer of.*Explain the"):
        masker_for(svm, test, "modality")
    with pytest.raises(ValueError, match=r"no baseline 'grey' here; expected one of silence, noise\. Correct the name"):
        masker_for(listener, some(senses_fold.test), "audio", "grey")
    seeing = light_reader(light.linear_svm(1))
    seeing.modalities = ("video",)
    with pytest.raises(
        ValueError, match=r"text/light reads no frames of faces; expected a recognizer that does.*shapley"
    ):
        masker_for(seeing, some(senses_fold.test), "video")
    assert checked_baseline(None, ("silence", "noise")) == "silence"


def test_words_of_a_recognizer_of_conversations_cannot_be_asked_for(words_fold: Fold) -> None:
    turns = DialogueContext([Tfidf(min_count=1)], before=2)
    talker = LightRecognizer("conversation/tiny", turns, light.linear_svm(1))
    with pytest.raises(
        ValueError, match=r"conversation/tiny reads DialogueContext.*Take modality=.*conversation/alone"
    ):
        masker_for(talker, some(words_fold.test), "text")
    inside = LateFusion("fusion/tiny", [talker, light_reader(light.linear_svm(1))])
    with pytest.raises(ValueError, match=r"fusion/tiny reads DialogueContext"):
        masker_for(inside, some(words_fold.test), "text")


def test_modality_games_need_a_recognizer_that_can_do_without(listener: NetworkRecognizer, hums_fold: Fold) -> None:
    with pytest.raises(ValueError, match=r"audio/tiny cannot do without any of audio; expected a recognizer of"):
        ModalityMasker(listener, some(hums_fold.test))
