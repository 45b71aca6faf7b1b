"""Who says what, and how it is meant: the script of the sample corpora, drawn before anything is heard or seen."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emolab.storage import settings_beside, toml_beside

SEED, UNDECIDED = 20_249, "undecided"
DESIGN = settings_beside(__file__, "design.toml", "script")
EMOTIONS = tuple(DESIGN.prior)
EMOTION_FACTS = toml_beside(__file__, "cast.toml")["emotions"]  # among them neighbours, and ratings of three scales
SENTENCES = toml_beside(__file__, "sentences.toml")
WORDS: Mapping[str, Mapping[str, str]] = SENTENCES["words"]  # by emotion and place in the sentence
SITUATIONS: Sequence[Sequence[str]] = [*SENTENCES["situations"].values()]  # whatever the emotion
RATINGS = np.array([*product(range(1, 6), repeat=DESIGN.n_annotators)])  # all that annotators may give an utterance


@dataclass(frozen=True)
class Line:
    """One utterance as it is meant, before it has sound and pictures.

    Attributes:
        key: Utterance id, as IEMOCAP writes it.
        speaker: F for the woman, M for the man.
        label: What most annotators heard, or "undecided".
        meant: What the speaker means; written down as self-evaluation.
        shown: Emotion that each modality shows.
        cue_words: Positions in `text.split()` of the words that show the emotion of the text.
        raters: Names of the annotators, such as E1.
        votes: One emotion an annotator.
        ratings: Valence, arousal and dominance by annotator, whole numbers from 1 to 5.
    """

    key: str
    speaker: str
    text: str
    label: str
    meant: str
    shown: Mapping[str, str]
    cue_words: tuple[int, ...]
    raters: tuple[str, ...]
    votes: tuple[str, ...]
    ratings: tuple[tuple[int, int, int], ...]


def dialogue_names() -> list[str]:
    """Name the dialogues of all sessions as IEMOCAP does: Ses01F_impro01 and so on."""
    return [f"Ses{session:02d}{scene}" for session in range(1, DESIGN.n_sessions + 1) for scene in DESIGN.scenes]


def write_dialogue(name: str) -> list[Line]:
    """Write the turns of one dialogue; the same name always gives the same lines."""
    rng = np.random.default_rng([SEED, dialogue_names().index(name)])
    cores = [core for place in rng.choice(len(SITUATIONS), 2, replace=False) for core in SITUATIONS[place]]
    cores = [cores[place] for place in rng.permutation(len(cores))]
    last: dict[str, str] = {}  # by speaker
    counts: Counter[str] = Counter()
    speaker, lines = "F" if rng.random() < 0.5 else "M", []
    for turn in range(DESIGN.n_turns):
        other = "M" if speaker == "F" else "F"
        meant = draw_emotion(rng, own=last.get(speaker), other=last.get(other))
        key = f"{name}_{speaker}{counts[speaker]:03d}"
        lines.append(write_line(rng, key, speaker, meant, cores[turn % len(cores)]))
        last[speaker] = meant
        counts[speaker] += 1
        speaker = speaker if rng.random() < 0.1 else other  # now and then somebody goes on
    return lines


def write_line(rng: np.random.Generator, key: str, speaker: str, meant: str, core: str) -> Line:
    """Write one utterance: what is shown where, the words, and what the annotators say."""
    shown = draw_shown(rng, meant)
    text, cue_words = write_text(rng, shown["text"], core, improvised="impro" in key)
    label = ""
    while label not in (UNDECIDED, *shown.values()):  # no annotator's slip becomes a label that nothing shows
        votes = tuple(draw_vote(rng, shown) for _ in range(DESIGN.n_annotators))
        winner, n_votes = Counter(votes).most_common(1)[0]
        label = winner if n_votes > DESIGN.n_annotators / 2 else UNDECIDED
    centre = np.mean([EMOTION_FACTS[vote]["ratings"] for vote in votes], axis=0)
    noise = DESIGN.rating_noise * rng.standard_normal((DESIGN.n_annotators, 3))
    raters = tuple(DESIGN.panels[int(key[3:5]) - 1].split())
    ratings = rate(centre + noise, raters)
    return Line(key, speaker, text, label, meant, shown, cue_words, raters, votes, ratings)


def rate(felt: NDArray[np.float64], raters: Sequence[str]) -> tuple[Any, ...]:
    """Turn impressions (n_annotators, 3) into ratings, whole numbers from 1 to 5, to which each rater adds a bias.

    Of all ratings with the sum that unbiased raters would give, the nearest to impression plus bias are taken: so the
    mean ratings of an utterance do not depend on the biases.
    """
    biased = felt + [DESIGN.raters[rater] for rater in raters]
    sums, rated = np.clip(np.rint(felt), 1, 5).sum(axis=0), []
    for wanted, total in zip(biased.T, sums, strict=True):
        allowed = RATINGS[RATINGS.sum(axis=1) == total]
        rated.append(allowed[((allowed - wanted) ** 2).sum(axis=1).argmin()].tolist())
    return (*zip(*rated, strict=True),)


def draw_emotion(rng: np.random.Generator, *, own: str | None, other: str | None) -> str:
    """Draw what is meant next: feelings last, and are catching."""
    drawn, luck = str(rng.choice(list(DESIGN.prior), p=list(DESIGN.prior.values()))), rng.random()
    if own and luck < DESIGN.p_same_speaker:
        return own
    return other if other and luck < DESIGN.p_same_speaker + DESIGN.p_same_dialogue else drawn


def draw_shown(rng: np.random.Generator, meant: str) -> dict[str, str]:
    """Draw which emotion each modality shows, independently; one of them at least shows what is meant."""
    while True:
        shown = {}
        for modality in DESIGN.p_shown:
            others = [emotion for emotion in EMOTIONS if emotion not in (meant, "neutral")]
            p_shown = DESIGN.p_neutral_shown if meant == "neutral" else DESIGN.p_shown[modality]
            contradicts = meant == "neutral" or rng.random() < DESIGN.p_contradicts
            wrong = str(rng.choice(others)) if contradicts else "neutral"
            shown[modality] = meant if rng.random() < p_shown else wrong
        if meant in shown.values():
            return shown


def draw_vote(rng: np.random.Generator, shown: Mapping[str, str]) -> str:
    """Draw what one annotator says, who weighs the evidence of the three modalities."""
    evidence = dict.fromkeys(EMOTIONS, 0.0)
    for emotion in shown.values():
        evidence[emotion] += DESIGN.neutral_weight if emotion == "neutral" else 1.0
    seen = [emotion for emotion in EMOTIONS if evidence[emotion]]
    odds = np.exp(DESIGN.decisiveness * np.array([evidence[emotion] for emotion in seen]))
    vote = str(rng.choice(seen, p=odds / odds.sum()))
    return str(rng.choice(EMOTION_FACTS[vote]["neighbours"])) if rng.random() < DESIGN.p_confused else vote


def write_text(rng: np.random.Generator, emotion: str, core: str, *, improvised: bool) -> tuple[str, tuple[int, ...]]:
    """Write a turn that shows `emotion`; return it with the positions of the words that do."""
    shape = str(rng.choice(DESIGN.shapes)).split()
    dropped = emotion == "neutral" and rng.random() < DESIGN.p_neutral_dropped
    filled = rng.random() < DESIGN.p_filler and improvised and "opener" not in shape
    filler = str(rng.choice(DESIGN.fillers)).split() if filled else []
    adjective = draw_word(rng, emotion, "adjective") if "adjective" in shape else ""
    sentences = [[*filler, *fill(choose(rng, core), "" if dropped else adjective)]]
    if "opener" in shape and not dropped:
        sentences[0][:0] = [f"*{draw_word(rng, emotion, 'opener')},"]
    if "feeling" in shape:
        feeling = choose(rng, str(rng.choice(DESIGN.feelings)))
        sentences.append(fill(feeling, draw_word(rng, emotion, "feeling")))
    words = [word for sentence in sentences for word in finish(sentence)]
    cue_words = tuple(place for place, word in enumerate(words) if word.startswith("*"))
    return " ".join(word.removeprefix("*") for word in words), cue_words


def choose(rng: np.random.Generator, pattern: str) -> list[str]:
    """Take one of the choices of each word of a pattern."""
    return [str(rng.choice(word.split("|"))) for word in pattern.split()]


def draw_word(rng: np.random.Generator, emotion: str, place: str) -> str:
    """Draw one of the words that show an emotion."""
    words = WORDS[emotion][place].split()
    weights = DESIGN.rarer ** np.arange(len(words))
    return str(rng.choice(words, p=weights / weights.sum()))


def fill(words: Sequence[str], filling: str) -> list[str]:
    """Put a word, marked by a star, in the place of the lone star, or nothing."""
    return [f"*{filling}" if word == "*" else word for word in words if word != "*" or filling]


def finish(sentence: Sequence[str]) -> list[str]:
    """Begin with a capital letter and end with a full stop; stars stay."""
    first = sentence[0]
    capital = f"*{first[1:].capitalize()}" if first.startswith("*") else first[0].upper() + first[1:]
    return [capital, *sentence[1:-1], f"{sentence[-1]}."]
