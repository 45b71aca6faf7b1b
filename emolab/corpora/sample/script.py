"""Who says what, and how it is meant: the script of the sample corpora, drawn before anything is heard or seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

SEED = 20_249
UNDECIDED = "undecided"
N_SESSIONS = 5
N_TURNS = 21  # of a dialogue
SCENES = ("F_impro01", "M_impro02", "F_impro03", "M_impro04", "F_script01_1", "M_script02_2")  # of each session
EMOTIONS = ("neutral", "happy", "excited", "angry", "frustrated", "sad")
MODALITIES = ("text", "audio", "video")

# How an emotion spreads over the modalities, and what annotators make of it
PRIOR = {"neutral": 0.15, "happy": 0.17, "excited": 0.17, "angry": 0.17, "frustrated": 0.17, "sad": 0.17}
P_SAME_SPEAKER = 0.40  # the emotion of the speaker's last turn stays
P_SAME_DIALOGUE = 0.15  # the other speaker's emotion is caught
P_SHOWN = {"text": 0.82, "audio": 0.84, "video": 0.82}  # a modality shows the emotion; else nothing, or another one
P_CONTRADICTS = 0.16  # of the modalities that do not show it
P_NEUTRAL_SHOWN = 0.90  # a modality stays neutral with a neutral speaker
NEUTRAL_WEIGHT = 0.2  # the evidence of a neutral modality against that of one that shows an emotion
DECISIVENESS = 3.2  # of the annotators: 0 is guessing
P_CONFUSED = 0.13  # an annotator takes the emotion for its neighbour
N_ANNOTATORS = 3
NEIGHBOURS = {
    "neutral": ("frustrated", "sad", "happy"),
    "happy": ("excited", "neutral"),
    "excited": ("happy", "happy", "angry"),
    "angry": ("frustrated", "frustrated", "excited"),
    "frustrated": ("angry", "sad", "neutral"),
    "sad": ("frustrated", "neutral"),
}
RATINGS = {  # valence, arousal, dominance, from 1 to 5
    "neutral": (3.0, 2.5, 3.0),
    "happy": (4.1, 3.1, 3.2),
    "excited": (4.2, 4.0, 3.5),
    "angry": (1.9, 3.9, 4.0),
    "frustrated": (2.3, 3.1, 3.1),
    "sad": (2.0, 2.0, 2.3),
}
RATING_NOISE = 0.6

# The words that carry emotion, by their place in a sentence: an opener, an adjective, a feeling; the first are said
# most often, and a few words belong to two emotions.
WORDS: Mapping[str, Mapping[str, str]] = {
    "neutral": {"opener": "so right anyway then", "adjective": "usual other spare plain", "feeling": "fine okay ready"},
    "happy": {
        "opener": "lovely nice splendid great",
        "adjective": "lovely nice charming wonderful",
        "feeling": "happy glad pleased delighted",
    },
    "excited": {
        "opener": "wow hurray amazing great",
        "adjective": "amazing incredible thrilling wonderful",
        "feeling": "excited thrilled eager delighted",
    },
    "angry": {
        "opener": "damn outrageous nonsense ridiculous",
        "adjective": "damn stupid outrageous awful",
        "feeling": "angry furious mad annoyed",
    },
    "frustrated": {
        "opener": "ugh honestly typical ridiculous",
        "adjective": "useless hopeless endless awful",
        "feeling": "frustrated irritated stuck annoyed",
    },
    "sad": {
        "opener": "sadly alas unfortunately",
        "adjective": "poor lonely dreary awful",
        "feeling": "sad lonely miserable unhappy",
    },
}
RARER = 0.6  # each word of a list is said that much less often than the one before
# What the talk is about. It is drawn without looking at the emotion; * is the place of an adjective, | a choice.
SITUATIONS: Sequence[Sequence[str]] = (
    (  # moving house
        "the * van comes at six|seven|nine",
        "we carry the * sofa upstairs|outside",
        "your sister has the * key|lamp",
        "I packed all the * boxes",
        "the landlord saw the * kitchen again",
        "there is paint on the * floor|door",
        "they move the * piano|wardrobe tomorrow",
        "my father built the * shelves",
        "we left the * curtains behind",
        "the flat has a view of the * river|yard",
    ),
    (  # at the station
        "the * train leaves from platform two|four",
        "they changed the * timetable this morning|week",
        "I bought the * tickets yesterday",
        "my bag|coat is on the * bus",
        "the man at the * counter told me",
        "we sit in the * waiting room",
        "she took the * seat by the window",
        "the * driver knows my name",
        "they call the * passengers now",
        "I lost|found the * umbrella here",
    ),
    (  # cooking for guests
        "the * soup needs another hour|minute",
        "your cousin brings the * cake|bread",
        "I put the * plates on the table|shelf",
        "eleven people come to the * dinner",
        "somebody left the * oven on",
        "we have the * fish|rice from the market",
        "you cut the * onions|apples",
        "he wrote down the * recipe",
        "the * guests stay until midnight|Sunday",
        "I opened the * bottle from Spain",
    ),
    (  # at work
        "the * meeting moved to Monday|Thursday",
        "she sent the * report to everybody",
        "my boss read your * letter",
        "they gave me the * desk",
        "I wrote the * list twice|again",
        "we start the * project in April|June",
        "our * visitors come from Japan|Brazil",
        "you signed the * paper on Tuesday",
        "the * printer stands in the hall",
        "he asked for the * numbers",
    ),
    (  # something broken
        "the * phone|heater stopped on Tuesday",
        "the shop keeps my * bicycle",
        "he took the * engine apart",
        "the * bill came with the post",
        "I called the * number three times",
        "they want the * receipt",
        "we paid for the * battery|screen",
        "the * lock has a new spring",
        "she turned the * switch|handle",
        "I read the * manual to the end",
    ),
    (  # neighbours and pets
        "the * dog next door is back",
        "her cat sleeps in our * garden|shed",
        "the * neighbours sold the house",
        "the boy upstairs plays the * trumpet",
        "I met the * postman at the gate",
        "we share the * fence with them",
        "somebody feeds the * birds",
        "they cut down the * tree",
        "the * children rang our bell",
        "he walks the * poodle at night",
    ),
    (  # school and sport
        "the * team plays tomorrow|tonight",
        "our daughter|son sings in the * concert",
        "the teacher gave back the * tests",
        "the * match ended two to one",
        "I ran the * course in an hour",
        "they picked me for the * play",
        "she swims in the * lake|pool",
        "we practise the * song on Friday",
        "you wore the * shirt|cap",
        "the * class goes to the museum",
    ),
    (  # a visit
        "grandfather|grandmother has the * house by the lake",
        "the doctor showed us the * pictures",
        "my aunt sent the * parcel",
        "we go to the * island in August",
        "he told me about the * wedding",
        "the visitors saw the * album",
        "she remembers the * summer at sea",
        "they stay in the * hotel|cabin",
        "I wrote the * card on the plane",
        "your uncle keeps the * clock",
    ),
)
FEELINGS = ("I am * about it|that|this", "this makes me feel *", "I feel * now|today", "you can see that I am *")
FILLERS = ("well,", "um,", "look,", "you know,", "listen,")  # improvised speech has them, whatever the emotion
P_FILLER = 0.4
P_NEUTRAL_DROPPED = 0.5  # a neutral speaker may leave opener and adjective away
SHAPES = (*["opener", "adjective"] * 2, "feeling", "opener feeling", "adjective feeling")


@dataclass(frozen=True)
class Line:
    """One utterance as it is meant, before it has sound and pictures.

    Attributes:
        key: Utterance id, as IEMOCAP writes it.
        woman: Whether the woman speaks, not the man.
        label: What most annotators heard, or "undecided".
        meant: What the speaker means; written down as self-evaluation.
        shown: Emotion that each of `MODALITIES` shows.
        cue_words: Positions in `text.split()` of the words that show the emotion of the text.
        votes: One emotion an annotator.
        ratings: Valence, arousal and dominance by annotator, whole numbers from 1 to 5.
    """

    key: str
    woman: bool
    text: str
    label: str
    meant: str
    shown: Mapping[str, str]
    cue_words: tuple[int, ...]
    votes: tuple[str, ...]
    ratings: tuple[tuple[int, int, int], ...]

    @property
    def speaker(self) -> str:
        """F for the woman, M for the man."""
        return "F" if self.woman else "M"


def dialogue_names() -> list[str]:
    """Name the dialogues of all sessions as IEMOCAP does: Ses01F_impro01 and so on."""
    return [f"Ses{session:02d}{scene}" for session in range(1, N_SESSIONS + 1) for scene in SCENES]


def write_dialogue(name: str) -> list[Line]:
    """Write the turns of one dialogue; the same name always gives the same lines."""
    rng = np.random.default_rng([SEED, dialogue_names().index(name)])
    cores = [core for place in rng.choice(len(SITUATIONS), 2, replace=False) for core in SITUATIONS[place]]
    cores = [cores[place] for place in rng.permutation(len(cores))]
    last: dict[bool, str] = {}  # by speaker
    counts: Counter[bool] = Counter()
    woman, lines = bool(rng.random() < 0.5), []
    for turn in range(N_TURNS):
        meant = draw_emotion(rng, own=last.get(woman), other=last.get(not woman))
        key = f"{name}_{'F' if woman else 'M'}{counts[woman]:03d}"
        lines.append(write_line(rng, key, woman, meant, cores[turn % len(cores)]))
        last[woman] = meant
        counts[woman] += 1
        woman = woman if rng.random() < 0.1 else not woman  # now and then somebody goes on
    return lines


def write_line(rng: np.random.Generator, key: str, woman: bool, meant: str, core: str) -> Line:
    """Write one utterance: what is shown where, the words, and what the annotators say."""
    shown = draw_shown(rng, meant)
    text, cue_words = write_text(rng, shown["text"], core, improvised="impro" in key)
    label = ""
    while label not in (UNDECIDED, *shown.values()):  # no annotator's slip becomes a label that nothing shows
        votes = tuple(draw_vote(rng, shown) for _ in range(N_ANNOTATORS))
        winner, n_votes = Counter(votes).most_common(1)[0]
        label = winner if n_votes > N_ANNOTATORS / 2 else UNDECIDED
    centre = np.mean([RATINGS[vote] for vote in votes], axis=0)
    ratings = np.clip(np.rint(centre + RATING_NOISE * rng.standard_normal((N_ANNOTATORS, 3))), 1, 5).astype(int)
    return Line(key, woman, text, label, meant, shown, cue_words, votes, tuple(tuple(r) for r in ratings.tolist()))


def draw_emotion(rng: np.random.Generator, *, own: str | None, other: str | None) -> str:
    """Draw what is meant next: feelings last, and are catching."""
    drawn, luck = str(rng.choice(list(PRIOR), p=list(PRIOR.values()))), rng.random()
    if own and luck < P_SAME_SPEAKER:
        return own
    return other if other and luck < P_SAME_SPEAKER + P_SAME_DIALOGUE else drawn


def draw_shown(rng: np.random.Generator, meant: str) -> dict[str, str]:
    """Draw which emotion each modality shows, independently; one of them at least shows what is meant."""
    while True:
        shown = {}
        for modality in MODALITIES:
            others = [emotion for emotion in EMOTIONS if emotion not in (meant, "neutral")]
            p_shown = P_NEUTRAL_SHOWN if meant == "neutral" else P_SHOWN[modality]
            contradicts = meant == "neutral" or rng.random() < P_CONTRADICTS
            wrong = str(rng.choice(others)) if contradicts else "neutral"
            shown[modality] = meant if rng.random() < p_shown else wrong
        if meant in shown.values():
            return shown


def draw_vote(rng: np.random.Generator, shown: Mapping[str, str]) -> str:
    """Draw what one annotator says, who weighs the evidence of the three modalities."""
    evidence = dict.fromkeys(EMOTIONS, 0.0)
    for emotion in shown.values():
        evidence[emotion] += NEUTRAL_WEIGHT if emotion == "neutral" else 1.0
    seen = [emotion for emotion in EMOTIONS if evidence[emotion]]
    odds = np.exp(DECISIVENESS * np.array([evidence[emotion] for emotion in seen]))
    vote = str(rng.choice(seen, p=odds / odds.sum()))
    return str(rng.choice(NEIGHBOURS[vote])) if rng.random() < P_CONFUSED else vote


def write_text(rng: np.random.Generator, emotion: str, core: str, *, improvised: bool) -> tuple[str, tuple[int, ...]]:
    """Write a turn that shows `emotion`; return it with the positions of the words that do."""
    shape = str(rng.choice(SHAPES)).split()
    dropped = emotion == "neutral" and rng.random() < P_NEUTRAL_DROPPED
    filled = rng.random() < P_FILLER and improvised and "opener" not in shape
    filler = str(rng.choice(FILLERS)).split() if filled else []
    adjective = draw_word(rng, emotion, "adjective") if "adjective" in shape else ""
    sentences = [[*filler, *fill(choose(rng, core), adjective, dropped)]]
    if "opener" in shape and not dropped:
        sentences[0][:0] = [f"*{draw_word(rng, emotion, 'opener')},"]
    if "feeling" in shape:
        feeling = choose(rng, str(rng.choice(FEELINGS)))
        sentences.append(fill(feeling, draw_word(rng, emotion, "feeling"), dropped=False))
    words = [word for sentence in sentences for word in finish(sentence)]
    cue_words = tuple(place for place, word in enumerate(words) if word.startswith("*"))
    return " ".join(word.removeprefix("*") for word in words), cue_words


def choose(rng: np.random.Generator, pattern: str) -> list[str]:
    """Take one of the choices of each word of a pattern."""
    return [str(rng.choice(word.split("|"))) for word in pattern.split()]


def draw_word(rng: np.random.Generator, emotion: str, place: str) -> str:
    """Draw one of the words that show an emotion."""
    words = WORDS[emotion][place].split()
    weights = RARER ** np.arange(len(words))
    return str(rng.choice(words, p=weights / weights.sum()))


def fill(words: Sequence[str], filling: str, dropped: bool) -> list[str]:
    """Put a word, marked by a star, in the place of the lone star, or nothing."""
    filling = "" if dropped else filling
    return [f"*{filling}" if word == "*" else word for word in words if word != "*" or filling]


def finish(sentence: Sequence[str]) -> list[str]:
    """Begin with a capital letter and end with a full stop; stars stay."""
    first = sentence[0]
    capital = f"*{first[1:].capitalize()}" if first.startswith("*") else first[0].upper() + first[1:]
    return [capital, *sentence[1:-1], f"{sentence[-1]}."]
