"""Folds keep voices apart, balance what they can, and name what leaks."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emolab.corpora.corpus import Corpus
from emolab.splits import (
    LEAK_KINDS,
    RAVDESS_FOLDS,
    Fold,
    LeakError,
    actor_folds,
    cross_corpus_fold,
    dialogue_folds,
    find_leaks,
    folds_of,
    leave_one_speaker_out,
    published_parts,
    session_folds,
    speaker_folds,
)

EMOTIONS = ("angry", "calm", "sad")


def corpus(
    rows: Iterable[dict[str, Any]], name: str = "own", root: Path = Path(), protocol: str = "speakers"
) -> Corpus:
    """Build a corpus; what a row does not say is filled in so that rows differ."""
    filled = [
        {"utterance_id": f"u{i}", "emotion": EMOTIONS[i % 3], "text": f"text {i}", **row} for i, row in enumerate(rows)
    ]
    return Corpus.from_rows(name, filled, emotions=EMOTIONS, root=root, protocol=protocol)


def iemocap_like(n_sessions: int = 5, n: int = 6) -> Corpus:
    """Two speakers a session, who talk in one dialogue."""
    rows = [
        {"utterance_id": f"{s}{g}{i}", "session": str(s), "speaker": f"Ses0{s}{g}", "dialogue_id": f"Ses0{s}_impro01"}
        for s in range(1, n_sessions + 1)
        for g in "FM"
        for i in range(n)
    ]
    return corpus(rows, "iemocap", protocol="sessions")


def ravdess_like(actors: Iterable[int] = range(1, 25)) -> Corpus:
    """Four utterances an actor."""
    rows = [
        {"utterance_id": f"{a}-{i}", "speaker": f"{a:02}", "gender": "male" if a % 2 else "female"}
        for a in actors
        for i in range(4)
    ]
    return corpus(rows, "ravdess", protocol="actors")


def parts(*rows: dict[str, Any], root: Path = Path()) -> list[Corpus]:
    """Make train, valid and test of one row each."""
    whole = corpus([{"speaker": f"speaker {i}", **row} for i, row in enumerate(rows)], root=root)
    return [whole.select(np.arange(3) == i) for i in range(3)]


def speakers(part: Corpus) -> set[str]:
    return set(part.table["speaker"])


def assert_proper(folds: list[Fold], whole: Corpus) -> None:
    """Every utterance is tested once, every fold uses all of them, and no voice is shared."""
    assert sorted(u for fold in folds for u in fold.test.table["utterance_id"]) == sorted(whole.table["utterance_id"])
    for fold in folds:
        assert len(fold.train) + len(fold.valid) + len(fold.test) == len(whole)
        assert not speakers(fold.train) & speakers(fold.test)
        assert not speakers(fold.train) & speakers(fold.valid)
        assert not speakers(fold.valid) & speakers(fold.test)
        assert fold.leaks.empty


def test_session_folds_end_with_the_classic_split() -> None:
    folds = session_folds(iemocap_like())
    assert_proper(folds, iemocap_like())
    last = folds[-1]
    assert (last.name, last.protocol) == ("sessions-5-folds/5", "sessions-5-folds")
    assert [set(p.table["session"]) for p in (last.train, last.valid, last.test)] == [{"1", "2", "3"}, {"4"}, {"5"}]


def test_session_folds_count_as_people_do() -> None:
    folds = session_folds(iemocap_like(11, n=1))
    assert set(folds[9].test.table["session"]) == {"10"}


def test_session_folds_say_who_has_no_session() -> None:
    with pytest.raises(
        ValueError, match=r"1 utterances of corpus 'own' have no session: u0\. Expected .* speaker_folds"
    ):
        session_folds(corpus([{"speaker": "a"}, {"speaker": "b", "session": "1"}]))


def test_session_folds_need_three_sessions() -> None:
    with pytest.raises(ValueError, match="has 2 sessions; expected at least 3"):
        session_folds(iemocap_like(2))


@settings(max_examples=20)
@given(
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 8), st.sampled_from(EMOTIONS)), min_size=12, max_size=60),
    st.integers(3, 6),
    st.integers(0, 3),
)
def test_speaker_folds_are_disjoint_on_any_corpus(rows: list[tuple[int, int, str]], k: int, seed: int) -> None:
    # a speaker talks in dialogues of his own and, now and then, in dialogue 0 with others
    facts = [
        {
            "speaker": f"s{s}",
            "dialogue_id": "d0" if d == 0 else f"d{s}-{d}",
            "emotion": e,
            "gender": ("male", "female")[s % 2],
        }
        for s, d, e in rows
    ]
    whole = corpus(facts)
    talkers = {s for s, d, _ in rows if d == 0}
    n_circles = len({s for s, *_ in rows} - talkers) + bool(talkers)
    if k > n_circles:
        few = f"has {n_circles} groups of speakers; expected at least 3: with fewer"
        told = few if n_circles < 3 else f"k is {k}; expected at least 3 and at most {n_circles}"
        with pytest.raises(ValueError, match=told):
            speaker_folds(whole, k, seed=seed)
        return
    folds = speaker_folds(whole, k, seed=seed)
    assert len(folds) == k
    assert_proper(folds, whole)


def test_speaker_folds_balance_gender_and_emotion() -> None:
    # 10 speakers: 5 women who are often angry, 5 men who are often sad; perfect folds have one of each
    rows = [
        {"speaker": f"s{s}", "gender": "male" if s % 2 else "female", "emotion": "sad" if s % 2 and i else "angry"}
        for s in range(10)
        for i in range(4)
    ]
    for seed in range(5):
        for fold in speaker_folds(corpus(rows), 5, seed=seed):
            assert fold.test.table["gender"].value_counts().to_dict() == {"male": 4, "female": 4}


def test_speaker_folds_keep_those_together_who_talk_with_one_another() -> None:
    for fold in speaker_folds(iemocap_like(), 5):
        assert fold.test.table["session"].nunique() == 1


def test_speaker_folds_repeat_with_a_seed_and_change_with_another() -> None:
    whole = corpus({"speaker": f"s{i}"} for i in range(30))
    tests = [[speakers(f.test) for f in speaker_folds(whole, 5, seed=seed)] for seed in (1, 1, 2)]
    assert tests[0] == tests[1] != tests[2]


def test_actor_folds_are_the_published_ones() -> None:
    folds = actor_folds(ravdess_like())
    assert_proper(folds, ravdess_like())
    assert [fold.name for fold in folds] == [f"actors-6-folds/{i}" for i in range(1, 7)]
    assert tuple(tuple(sorted(speakers(fold.test))) for fold in folds) == RAVDESS_FOLDS
    assert sorted(actor for fold in RAVDESS_FOLDS for actor in fold) == [f"{i:02}" for i in range(1, 25)]


def test_actor_folds_choose_on_one_woman_and_one_man() -> None:
    for fold in actor_folds(ravdess_like()):
        assert sorted(int(s) % 2 for s in speakers(fold.valid)) == [0, 1]
    assert speakers(actor_folds(ravdess_like())[0].valid) == {"04", "09"}  # the next fold has women only


def test_actor_folds_say_which_actors_are_missing() -> None:
    with pytest.raises(ValueError, match=r"RAVDESS: missing actors 23, 24\. Expected 01 to 24; take folds_of"):
        actor_folds(ravdess_like(range(1, 23)))
    with pytest.raises(ValueError, match=r"RAVDESS: missing actors 01; unknown actors 25\. Expected 01 to 24"):
        actor_folds(ravdess_like(range(2, 26)))


@pytest.mark.parametrize(("n", "k"), [(3, 3), (4, 4), (6, 5), (23, 5)])
def test_folds_of_a_part_of_ravdess_are_by_speaker(n: int, k: int) -> None:
    whole = ravdess_like(range(1, n + 1))
    assert_proper(folds_of(whole), whole)
    assert {fold.protocol for fold in folds_of(whole)} == {f"speakers-{k}-folds"}


def test_folds_of_two_speakers_say_that_this_cannot_be_measured() -> None:
    with pytest.raises(
        ValueError, match=r"has 2 groups of speakers; .*with fewer, no figure is honest about strangers\. Take"
    ):
        folds_of(ravdess_like([1, 2]))


def dialogues(n: int = 30, *, client: str = "Client", **fields: Any) -> Corpus:
    """Two people a dialogue, of whom one is in all."""
    rows = [
        {
            "utterance_id": f"d{d}u{u}",
            "speaker": [client.format(d), "Therapist"][u % 2],
            "dialogue_id": f"d{d}",
            **fields,
        }
        for d in range(n)
        for u in range(10)
    ]
    return corpus(rows)


@pytest.mark.parametrize(("client", "shared"), [("Client", ("Client", "Therapist")), ("Client {}", ("Therapist",))])
def test_folds_of_dialogues_that_share_their_speakers_are_by_dialogue(client: str, shared: tuple[str, ...]) -> None:
    whole = dialogues(client=client)
    folds = folds_of(whole)
    assert {(fold.protocol, fold.leaky) for fold in folds} == {("dialogues-5-folds", ("speaker",))}
    assert sorted(u for fold in folds for u in fold.test.table["utterance_id"]) == sorted(whole.table["utterance_id"])
    for fold in folds:
        assert fold.leaks["kind"].unique().tolist() == ["speaker"]
        assert fold.leaks["values"].tolist() == [shared] * 3
        assert fold.test.table["dialogue_id"].nunique() == 6
    told = rf"has 1 groups of speakers; .* most of all {', '.join(shared)}, in 30 each\. Take .*--folds dialogues"
    with pytest.raises(ValueError, match=told):
        speaker_folds(whole)


def test_dialogue_folds_need_dialogues() -> None:
    with pytest.raises(ValueError, match=r"8 utterances of .* belong to no dialogue .*expected a dialogue_id for each"):
        dialogue_folds(ravdess_like([1, 2]))


def test_folds_of_obey_a_column_part_and_a_column_fold() -> None:
    whole = ravdess_like(range(1, 10))
    whole = replace(whole, protocol="speakers")
    place = whole.table["speaker"].astype(int) % 3
    part = replace(whole, table=whole.table.assign(part=place.map(dict(enumerate(["train", "dev", "test"])))))
    (shipped,) = folds_of(part)
    assert (shipped.name, shipped.leaks.empty) == ("as-shipped/test", True)
    assert speakers(shipped.valid) == {"01", "04", "07"}
    given = folds_of(replace(part, table=part.table.assign(fold=place.map(dict(enumerate(["a", "b", "c"]))))))
    assert [fold.name for fold in given] == [f"given-3-folds/{i}" for i in (1, 2, 3)]
    assert speakers(given[1].test) == {"01", "04", "07"}
    assert speakers(given[1].valid) == {"03", "06", "09"}
    assert {fold.protocol for fold in folds_of(replace(whole, table=whole.table.assign(part="train")))} == {
        "speakers-5-folds"
    }


def test_given_folds_tell_the_speakers_they_share_and_refuse_what_is_no_split() -> None:
    whole = corpus({"speaker": f"s{i % 2}", "fold": str(i % 3)} for i in range(12))
    assert all(fold.leaks["kind"].eq("speaker").all() and len(fold.leaks) for fold in folds_of(whole))
    with pytest.raises(ValueError, match="has 2 folds; expected at least 3"):
        folds_of(corpus({"speaker": f"s{i}", "fold": str(i % 2)} for i in range(4)))
    with pytest.raises(ValueError, match="have no fold: u3"):
        folds_of(corpus({"speaker": f"s{i}", "fold": str(i) if i < 3 else None} for i in range(4)))
    with pytest.raises(LeakError, match=r"recording d in .*Take speaker_folds\(corpus\), --folds speakers"):
        folds_of(corpus({"speaker": f"s{i}", "fold": str(i), "dialogue_id": "d"} for i in range(3)))


def test_leave_one_speaker_out_tests_each_alone_and_partners_together() -> None:
    folds = leave_one_speaker_out(ravdess_like(range(1, 8)))
    assert_proper(folds, ravdess_like(range(1, 8)))
    assert [len(speakers(fold.test)) for fold in folds] == [1] * 7
    assert {fold.protocol for fold in folds} == {"leave-one-speaker-out"}
    assert [len(speakers(fold.test)) for fold in leave_one_speaker_out(iemocap_like())] == [2] * 5


def cut(n_files: int, n_speakers: int, root: Path = Path()) -> Corpus:
    """Speakers who take turns in each of several long recordings, which no column dialogue tells apart."""
    rows = [
        {"speaker": f"f{f}s{s}", "audio_path": f"{f}.wav", "audio_start": turn + s / 8, "audio_end": turn + s / 8 + 0.1}
        for f in range(n_files)
        for turn in range(4)
        for s in range(n_speakers)
    ]
    return corpus(rows, root=root)


def test_segments_of_one_recording_are_one_recording() -> None:
    whole = cut(6, 2)
    assert_proper(folds_of(whole), whole)  # those who share a file stay together
    first = whole.table["speaker"].str.endswith("s0").to_numpy()
    rest = np.arange(len(whole)) < 24
    with pytest.raises(LeakError, match=r"recording 0\.wav, 1\.wav, 2\.wav in train and test"):
        Fold("f/1", whole.select(first & rest), whole.select(~rest), whole.select(~first & rest))
    with pytest.raises(
        ValueError, match=r"has 1 groups of speakers; .*Recordings link speakers, most of all f0s0, f0s1, in 1 each"
    ):
        folds_of(cut(1, 2))


def test_the_same_segment_of_copies_is_the_same_sound_and_recording(tmp_path: Path) -> None:
    for name in ("0", "1", "2"):
        (tmp_path / f"{name}.wav").write_bytes(b"one recording")
    whole = cut(3, 1, tmp_path)
    leaks = find_leaks(*(whole.select(whole.table["audio_path"] == f"{n}.wav") for n in range(3)))
    assert leaks["kind"].tolist() == ["recording"] * 3 + ["sound"] * 3
    assert leaks["values"][0] == ("0.wav = 1.wav",)
    assert leaks["values"][3] == tuple(f"u{i} = u{i + 4}" for i in range(4))


def test_many_rows_are_split_in_little_time() -> None:
    n = 20_000
    rows = ({"speaker": f"s{i % 300}", "dialogue_id": f"d{i % 300}-{i % 7}", "text": f"word {i}"} for i in range(n))
    whole = corpus(rows)
    began = time.process_time()
    assert len(speaker_folds(whole)) == 5
    assert time.process_time() - began < 2


def meld_like() -> Corpus:
    rows = [
        {"speaker": s, "part": part, "dialogue_id": f"{part}-dia{i}", "text": f"Hi from {part}."}
        for part in ("train", "dev", "test")
        for i, s in enumerate(["Joey", "Ross", f"Guest of {part}"])
    ]
    return corpus(rows, "meld", protocol="as-shipped")


def test_published_parts_report_the_speakers_they_share() -> None:
    (fold,) = published_parts(meld_like())
    assert (fold.name, fold.protocol, fold.leaky) == ("as-shipped/test", "as-shipped", ("speaker",))
    assert fold.leaks["kind"].unique().tolist() == ["speaker"]
    assert fold.leaks["between"].tolist() == ["train and valid", "train and test", "valid and test"]
    assert fold.leaks["values"].tolist() == [("Joey", "Ross")] * 3


def test_published_parts_need_parts() -> None:
    with pytest.raises(ValueError, match="expected a column part with train, dev, test"):
        published_parts(iemocap_like())


@pytest.mark.parametrize(
    ("whole", "protocol"),
    [
        (iemocap_like(), "sessions-5-folds"),
        (ravdess_like(), "actors-6-folds"),
        (meld_like(), "as-shipped"),
        (corpus({"speaker": f"s{i}"} for i in range(9)), "speakers-5-folds"),
        (corpus({"speaker": f"s{i}"} for i in range(4)), "speakers-4-folds"),
    ],
)
def test_folds_of_knows_the_protocol_of_each_corpus(whole: Corpus, protocol: str) -> None:
    assert {fold.protocol for fold in folds_of(whole)} == {protocol}


def test_folds_of_names_the_protocols_it_knows() -> None:
    with pytest.raises(ValueError, match=r"has the protocol 'dice'; expected one of sessions, .*as-shipped. Name one"):
        folds_of(corpus([{"speaker": "a"}], protocol="dice"))


def test_find_leaks_is_empty_where_all_is_well() -> None:
    leaks = find_leaks(*parts({}, {}, {}))
    assert leaks.empty
    assert list(leaks) == ["kind", "between", "values"]


@pytest.mark.parametrize(
    ("rows", "kind", "where", "value"),
    [
        ([{"speaker": "Ann"}, {}, {"speaker": "Ann"}], "speaker", "train and test", "Ann"),
        ([{"dialogue_id": "talk"}, {"dialogue_id": "talk"}, {}], "recording", "train and valid", "talk"),
        ([{}, {"speaker": "x", "text": "y", "emotion": "sad"}] * 2, "row", "valid and test", "u1 = u2"),
    ],
)
def test_fold_names_each_leak(rows: list[dict[str, Any]], kind: str, where: str, value: str) -> None:
    if kind == "row":  # the same content under two ids; its speaker is allowed here
        rows = [rows[0], rows[1], rows[1]]
    allowed = ("speaker",) if kind == "row" else ()
    with pytest.raises(LeakError, match=rf"fold 'f/1' leaks: {kind} {value} in {where}\. .*leaky=\('{kind}',\)"):
        Fold("f/1", *parts(*rows), leaky=allowed)
    leaks = Fold("f/1", *parts(*rows), leaky=(*allowed, kind)).leaks
    assert (kind, where, (value,)) in list(leaks.itertuples(index=False, name=None))


def test_fold_finds_the_same_utterance_twice() -> None:
    train, valid, test = parts({}, {}, {})
    with pytest.raises(LeakError, match="speaker speaker 0 in train and test; row u0 in train and test"):
        Fold("f/1", train, valid, train)
    assert not Fold("f/1", train, valid, train, leaky=LEAK_KINDS).leaks.empty
    assert Fold("f/1", train, valid, test).leaks.empty


def test_fold_finds_the_same_sound_under_two_names(tmp_path: Path) -> None:
    for name, content in {"a": b"sound", "b": b"other", "c": b"sound"}.items():
        (tmp_path / f"{name}.wav").write_bytes(content)  # all of one size
    three = parts(*({"audio_path": f"{name}.wav"} for name in "abc"), root=tmp_path)
    with pytest.raises(LeakError, match=r"leaks: sound u0 = u2 in train and test\."):
        Fold("f/1", *three)


def test_find_leaks_notices_that_a_sound_changed(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.wav").write_bytes(b"sound")
    three = parts(*({"audio_path": f"{name}.wav"} for name in "abc"), root=tmp_path)
    assert len(find_leaks(*three)) == 3
    for name in "bc":
        (tmp_path / f"{name}.wav").write_bytes(b"other " + name.encode())
    assert find_leaks(*three).empty


def test_find_leaks_passes_over_sounds_that_are_not_there() -> None:
    assert find_leaks(*parts(*({"audio_path": f"{name}.wav"} for name in "abc"))).empty


def test_fold_names_only_the_first_of_many() -> None:
    many = corpus({"speaker": f"s{i}"} for i in range(8))
    with pytest.raises(LeakError, match="speaker s0, s1, s2, s3, s4, and 3 more in train and valid"):
        Fold("f/1", many, many, many)


def test_fold_refuses_what_is_no_fold() -> None:
    train, valid, test = parts({}, {}, {})
    with pytest.raises(ValueError, match="has no utterance in valid; expected some in train, valid and test"):
        Fold("f/1", train, valid.select([False]), test)
    with pytest.raises(LeakError, match="speaker speaker 0"):  # no such kind, so it allows nothing
        Fold("f/1", train, valid, train, leaky=("voice",))
    other = Corpus.from_rows(
        "own", [{"utterance_id": "x", "speaker": "x", "emotion": "sad"}], emotions=["sad"], root=Path()
    )
    with pytest.raises(ValueError, match=r"mixes emotions: .*Take the view before: folds_of"):
        Fold("f/1", train, valid, other)


def test_fold_says_what_it_is() -> None:
    assert repr(Fold("f/1", *parts({}, {}, {}))) == "Fold('f/1': train 1, valid 1, test 1 utterances)"


def test_real_ravdess_has_no_sound_twice(ravdess_root: Path) -> None:
    files = sorted(ravdess_root.glob("audio/*/*"))
    rows = [{"speaker": f.stem[-2:], "audio_path": str(f.relative_to(ravdess_root))} for f in files]
    folds = actor_folds(corpus(rows, "ravdess", ravdess_root))
    assert [len(fold.test) for fold in folds] == [240] * 6


def test_real_meld_shares_its_speakers_and_nothing_else(meld_root: Path) -> None:
    rows: list[dict[str, Any]] = []
    for part in ("train", "dev", "test"):
        with (meld_root / f"{part}_sent_emo.csv").open(encoding="utf-8") as file:
            for line in csv.DictReader(file):
                dialogue = f"{part}-dia{line['Dialogue_ID']}"
                facts = {"utterance_id": f"{dialogue}-utt{line['Utterance_ID']}", "dialogue_id": dialogue, "part": part}
                rows.append({**facts, "speaker": line["Speaker"], "text": line["Utterance"]})
    (fold,) = folds_of(corpus(rows, "meld", protocol="as-shipped"))
    assert [len(p) for p in (fold.train, fold.valid, fold.test)] == [9989, 1109, 2610]
    assert {"Chandler", "Joey", "Monica", "Phoebe", "Rachel", "Ross"} <= set(fold.leaks["values"][1])


def words(name: str, labels: Sequence[str], n_speakers: int = 4) -> Corpus:
    said = [(speaker, label) for speaker in range(n_speakers) for label in labels]
    rows = [{"utterance_id": str(n), "speaker": f"{s:02}", "emotion": e, "text": e} for n, (s, e) in enumerate(said)]
    return Corpus.from_rows(name, rows, emotions=tuple(labels), root=Path())


def test_cross_corpus_fold_takes_the_emotions_that_all_have_in_one_order() -> None:
    one, two = words("one", ["sad", "happy", "calm"]), words("two", ["happy", "angry", "sad"])
    fold = cross_corpus_fold([one, two], replace(two, name="three"))
    sets = (fold.train, fold.valid, fold.test)
    assert {corpus.emotions for corpus in sets} == {("happy", "sad")}
    assert {*fold.train.table["emotion"], *fold.test.table["emotion"]} == {"happy", "sad"}
    assert (fold.protocol, fold.train.name, fold.test.name) == ("cross-corpus", "one+two", "one+two-to-three")
    assert len(fold.train) + len(fold.valid) == 16
    assert len(fold.test) == 8
    assert not {*fold.train.table["speaker"]} & {*fold.valid.table["speaker"]}
    assert {*fold.train.table["speaker"].str[:4], *fold.valid.table["speaker"].str[:4]} == {"one:", "two:"}
    with pytest.raises(ValueError, match=r"share 1 emotions: one has sad, happy, calm; three has angry, sad\."):
        cross_corpus_fold([one], words("three", ["angry", "sad"]))


def test_cross_corpus_fold_refuses_two_parts_of_one_corpus() -> None:
    whole = words("one", ["sad", "happy"], 6)
    first = whole.table["speaker"] < "04"
    with pytest.raises(LeakError, match="speaker"):
        cross_corpus_fold([whole.select(first)], whole)


def test_cross_corpus_fold_finds_files_and_media_in_memory(tmp_path: Path) -> None:
    corpora = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        corpus = words(name, ["sad", "happy"])
        table = corpus.table.assign(audio_path=(corpus.table["utterance_id"] + ".wav").astype("string"))
        corpora.append(replace(corpus, table=table, root=tmp_path / name))
    held = corpora[0].with_media(audio={"0": np.zeros(5, np.float32)})
    fold = cross_corpus_fold([held], corpora[1])
    assert fold.test.audio_paths()[0] == tmp_path / "two" / "0.wav"
    paths = [*fold.train.audio_paths(), *fold.valid.audio_paths()]
    assert sum(path == tmp_path / "one" / "1.wav" for path in paths) == 1
    assert [len(path.content) for path in paths if not isinstance(path, Path)] == [5]
