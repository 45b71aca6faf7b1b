from collections.abc import Sequence
from pathlib import Path

from emolab.corpora import Corpus
from emolab.course.followed import CASES, followed


def corpus_of(rows: list[dict[str, object]], emotions: Sequence[str] = ("angry", "sad")) -> Corpus:
    rows = [{"utterance_id": str(number), "speaker": "a", **row} for number, row in enumerate(rows)]
    return Corpus.from_rows("tiny", rows, emotions=emotions, root=Path())


def test_one_utterance_of_each_case_where_the_truth_is_known() -> None:
    rows = []
    for shown in [(False, False, True), *CASES, *CASES]:
        names = zip(("text", "audio", "video"), shown, strict=True)
        rows.append({"emotion": "sad", **{f"shown_{kind}": "sad" if here else "angry" for kind, here in names}})
    five, cases = followed(corpus_of(rows))
    assert cases == ["face alone", "all agree", "words alone", "voice alone", "face dissents"]
    assert five.table["utterance_id"].tolist() == ["0", "1", "2", "3", "5"]


def test_one_utterance_of_each_emotion_elsewhere_and_fewer_where_there_are_not_so_many() -> None:
    corpus = corpus_of([{"emotion": emotion} for emotion in ("sad", "sad", "angry")])
    five, cases = followed(corpus)
    assert (five.table["utterance_id"].tolist(), cases) == (["0", "2"], ["sad", "angry"])
    assert followed(corpus_of([{"emotion": letter} for letter in "abcdefg"], "abcdefg"))[1] == [*"abcde"]
