from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

import emolab
from emolab import cli, evaluation
from emolab.corpora import Corpus, load_corpus
from emolab.course import chapters
from emolab.course.chapters import ChapterRun
from emolab.explain import METHODS
from emolab.recipes import recipe
from emolab.recognizer import Recognizer
from emolab.splits import folds_of
from emolab.storage import CHECKOUT
from tests.voices import own


@pytest.fixture(autouse=True)
def no_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOLAB_PROGRESS", "0")  # the command line would set it for good


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, object]:
    """Catch what `emolab run` asks the runner for; the chapter says it is clean unless its seed is 13."""
    seen: dict[str, object] = {}

    def run_chapters(wanted: list[Path], **options: object) -> list[ChapterRun]:
        seen.update(wanted=wanted, **options)
        values = {"corpus": "sample", "preset": "quick", **options["parameters"]}  # type: ignore[dict-item]
        error = "cell 4: KeyError: 'sad'" if values.get("seed") == 13 else None
        return [ChapterRun("03_audio", values, 12.3, 456, {"ua": 0.5}, [], error)]

    monkeypatch.setattr(chapters, "run_chapters", run_chapters)
    monkeypatch.setattr(chapters, "find_chapters", lambda names: names)
    monkeypatch.setenv("EMOLAB_DATA", str(tmp_path))
    return seen


def test_run_hands_parameters_on_and_prints_the_table(
    called: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["run", "03", "--corpus", "ravdess", "--seed", "5"]
    assert cli.main([*arguments, "--jobs", "2", "--timeout", "9"]) == 0
    given = {"corpus": "ravdess", "seed": 5}
    assert called == {"wanted": ["03"], "parameters": given, "jobs": 2, "timeout_s": 9}
    assert "03_audio  ok              12      456  ua 0.500" in capsys.readouterr().out


def test_run_fails_where_a_chapter_fails(called: dict[str, object], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "--seed", "13"]) == 1
    assert "03_audio, cell 4: KeyError: 'sad'" in capsys.readouterr().out


EMOTIONS = ("angry", "sad")


def corpus_of(rows: list[dict[str, str]], root: Path = Path()) -> Corpus:
    rows = [{"utterance_id": str(number), "speaker": "abcdef"[number % 6], **row} for number, row in enumerate(rows)]
    return Corpus.from_rows("tiny", rows, emotions=EMOTIONS, root=root)


@pytest.fixture(scope="module")
def text_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a recognizer to which loud words are angry ones."""
    said = {"angry": "go away now", "sad": "i miss her"}
    corpus = corpus_of([{"emotion": emotion, "text": said[emotion]} for emotion in EMOTIONS for _ in range(6)])
    recognizer = recipe("text/logistic-regression")
    recognizer.fit(corpus, corpus)
    recognizer.save(folder := tmp_path_factory.mktemp("model") / "text")
    return folder


@pytest.fixture(scope="module")
def audio_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a recognizer to which high voices are angry ones, beside two recordings and what is none."""
    folder = tmp_path_factory.mktemp("audio")
    for name, pitch in {"low": 110, "high": 440}.items():
        wave = 0.3 * np.sign(np.sin(2 * np.pi * pitch * np.arange(16_000) / 16_000))
        soundfile.write(folder / f"{name}.wav", wave.astype(np.float32), 16_000)
    (folder / "broken.wav").write_text("no sound")
    sounds = {"angry": "high.wav", "sad": "low.wav"}
    rows = [{"emotion": emotion, "audio_path": sounds[emotion]} for emotion in EMOTIONS for _ in range(6)]
    corpus, recognizer = corpus_of(rows, folder), recipe("audio/classical-logistic-regression")
    recognizer.fit(corpus, corpus)
    recognizer.save(folder / "model")
    return folder


def test_predict_prints_a_table_of_texts(text_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predict", str(text_model), "--text", "go away", "--text", "i miss you"]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["text", "emotion", "angry", "sad"]
    assert [row.split()[-3] for row in rows] == ["angry", "sad"]
    assert all(re.fullmatch(r".* 0\.\d{3} 0\.\d{3}", row) for row in rows)


@pytest.mark.parametrize(
    ("form", "name"),
    [("csv", "emotions.txt"), ("json", "emotions"), ("csv", "emotions.csv"), ("json", "emotions.JSON")],
)
def test_predict_writes_what_the_recognizer_says(audio_model: Path, tmp_path: Path, form: str, name: str) -> None:
    files = [audio_model / "high.wav", audio_model / "low.wav"]
    target = tmp_path / name
    typed = ["predict", str(audio_model / "model"), *map(str, files), "--output", str(target)]
    told = [] if target.suffix.lower() == f".{form}" else ["--format", form]  # a name that says it is enough
    assert cli.main(typed + told) == 0
    rows = json.loads(target.read_text()) if form == "json" else list(csv.DictReader(target.open()))
    assert [*rows[0]] == ["file", "emotion", *EMOTIONS]
    assert [(row["file"], row["emotion"]) for row in rows] == list(zip(map(str, files), EMOTIONS, strict=True))
    recognizer = Recognizer.load(audio_model / "model")
    expected = np.concatenate([recognizer.predict_proba([file]) for file in files])  # one by one, as the command does
    found = [[float(row[emotion]) for emotion in EMOTIONS] for row in rows]
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_predict_names_a_broken_file_and_predicts_the_others(
    audio_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("low.wav", "broken.wav", "missing.wav", "high.wav")
    files = [str(audio_model / name) for name in names]
    assert cli.main(["predict", str(audio_model / "model"), *files, "--format", "csv"]) == 1
    out, err = capsys.readouterr()
    assert [line.split(",")[:2] for line in out.splitlines()[1:]] == [[files[0], "sad"], [files[3], "angry"]]
    told = err.splitlines()
    assert [line.startswith(f"emolab: {file}: ") for line, file in zip(told, files[1:3], strict=True)] == [True, True]
    assert re.fullmatch(r"no usable audio: .*\. Mend or convert the file\.", told[0].partition(f"{files[1]}: ")[2])
    assert err.count(str(audio_model)) == 2, "each path once"


def test_predict_says_what_it_lacks(
    text_model: Path, audio_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["predict", str(text_model)]) == 2
    assert capsys.readouterr().err.startswith("emolab: nothing to predict; expected files, or --text")
    assert cli.main(["predict", str(tmp_path / "no-model"), "--text", "well"]) == 2
    assert "no-model" in capsys.readouterr().err
    (tmp_path / "sound.wav").touch()
    assert cli.main(["predict", str(text_model), str(tmp_path / "sound.wav")]) == 1
    out, err = capsys.readouterr()
    assert err.startswith(f"emolab: {tmp_path / 'sound.wav'}: ")
    assert out == ""  # no table of nothing
    assert cli.main(["predict", str(audio_model / "model"), "--text", "well"]) == 2
    assert capsys.readouterr().err.endswith(" takes audio, no text; expected files. See emolab predict --help.\n")


def test_errors_are_one_line_and_status_2(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EMOLAB_DEBUG", raising=False)
    assert cli.main(["fit", "audio/cnn-bilstn"]) == 2
    told = capsys.readouterr().err
    assert told.startswith(
        "emolab: no recipe 'audio/cnn-bilstn'; expected one that emolab recipes lists, @per-speaker "
    )
    assert "Did you mean " in told
    assert "audio/cnn-bilstm," in told
    assert told.count("\n") == 1
    monkeypatch.setenv("EMOLAB_DEBUG", "1")
    with pytest.raises(KeyError):
        cli.main(["fit", "audio/cnn-bilstn"])


def test_fit_prints_the_report_and_records_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EMOLAB_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    said = [(speaker, emotion) for speaker in "abcdef" for emotion in ("happy", "sad") for _ in range(2)]
    rows = [f"{number},{speaker},{emotion},so {emotion} {speaker}" for number, (speaker, emotion) in enumerate(said)]
    Path("mine.csv").write_text("\n".join(["id,speaker,emotion,text", *rows]))
    arguments = ["fit", "text/logistic-regression", "--corpus", "mine.csv", "--folds", "speakers", "--seeds", "7", "8"]
    assert cli.main([*arguments, "--record"]) == 0
    assert "unweighted average recall: 1.000" in capsys.readouterr().out
    (file,) = (tmp_path / "results").glob("own-mine-*/text-logistic-regression.json")
    entry = json.loads(file.read_text())
    assert entry["command"] == (
        "emolab fit text/logistic-regression --corpus mine.csv --folds speakers --seeds 7 8 --record"
    )
    assert (entry["protocol"], entry["seeds"], entry["n_test"]) == ("speakers-5-folds", [7, 8], 24)


def test_fit_says_before_measuring_that_the_ledger_would_refuse(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EMOLAB_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    rows = [f"{speaker}{emotion},{speaker},{emotion},well" for speaker in "abcdef" for emotion in ("happy", "sad")]
    Path("mine.csv").write_text("\n".join(["id,speaker,emotion,text", *rows]))
    fit = ["fit", "text/logistic-regression", "--corpus", "mine.csv", "--record", "--folds", "speakers"]
    assert cli.main(fit) == 0
    capsys.readouterr()

    def never(*_: object, **__: object) -> None:
        raise AssertionError("it was measured")

    monkeypatch.setattr(evaluation, "cross_validate", never)
    assert cli.main([*fit, "--preset", "full"]) == 2
    assert "holds another measurement: {'preset': ('quick', 'full')}" in capsys.readouterr().err
    with pytest.raises(AssertionError, match="it was measured"):
        cli.main([*fit, "--preset", "full", "--replace"])


def speeches(folder: Path, n_speakers: int = 6) -> Path:
    """Write a CSV file of texts: everybody says twice what is happy, sad and calm."""
    said = [(speaker, emotion) for speaker in range(n_speakers) for emotion in ("happy", "sad", "calm") for _ in "ab"]
    rows = [f"u{number},p{speaker},{emotion},so {emotion} {number}" for number, (speaker, emotion) in enumerate(said)]
    (folder / "mine.csv").write_text("\n".join(["id,speaker,emotion,text", *rows]))
    return folder / "mine.csv"


def test_without_a_command_the_help_lists_all_of_them_in_groups(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main([])
    assert left.value.code == 0
    told = capsys.readouterr().out
    grouped = [name for names in cli.TABLE["groups"].values() for name in names]
    assert sorted(grouped) == sorted(cli.TABLE["commands"])
    assert [name for name in grouped if not re.search(rf"^  {name} +\w", told, re.MULTILINE)] == []


def test_the_page_on_the_command_line_names_every_command_and_shared_option() -> None:
    page = (CHECKOUT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert [name for name in cli.TABLE["commands"] if f"`{name}`" not in page] == []
    options = set.intersection(*(set(cli.TABLE["commands"][name]["takes"]) for name in ("fit", "explain", "run")))
    assert {"--corpus", "--view", "--emotions", "--merge", "--folds"} <= options
    assert [option for option in options - {"--preset"} if f"`{option}" not in page] == []


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"emolab {emolab.__version__}\n"


def test_recipes_lists_what_a_word_occurs_in(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["recipes", "bilstm"]) == 0
    rows = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines() if "/" in line}
    assert rows["audio/cnn-bilstm"][1:4] == ["audio", "small", "none"]
    assert rows["fusion/late/wav2vec2+bilstm"][1:4] == ["audio+text", "large", "facebook/wav2vec2-base"]
    assert "audio/svm" not in rows
    assert cli.main(["recipes", "audio/svm"]) == 0
    assert "audio/svm  audio       light  none" in capsys.readouterr().out
    assert cli.main(["recipes", "telepathy"]) == 2
    assert capsys.readouterr().err.startswith("emolab: no recipe with the word 'telepathy'")


def test_a_reader_who_has_read_enough_is_no_error() -> None:
    code = (
        "from emolab import cli; from emolab.course.lists import LISTS as s; s['progress'] = lambda: 'line ' * 10**6;"
    )
    typed = f"{sys.executable} -c \"{code} raise SystemExit(cli.main(['progress']))\" | head -c 5"
    done = subprocess.run(typed, shell=True, capture_output=True, text=True, cwd=CHECKOUT)
    assert (done.stdout, done.stderr) == ("line ", "")


def test_methods_lists_each_with_what_it_asks(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["methods"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [*METHODS]


def test_corpora_says_what_its_reader_finds_where(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EMOLAB_CORPORA", str(tmp_path))
    for name in ("DC/a01.wav", "JE/h02.wav"):
        (tmp_path / "savee" / name).parent.mkdir(parents=True)
        (tmp_path / "savee" / name).write_text("sound")
    assert cli.main(["corpora"]) == 0
    told = capsys.readouterr().out
    assert re.search(r"\[ok\] +savee +in \S+savee: 2 utterances, 2 speakers, audio\n", told)
    assert re.search(r"read by the names of their files, too: crema-d, emodb, savee, tess", told, re.IGNORECASE)


def test_run_takes_a_file_from_where_the_user_stands(
    called: dict[str, object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    speeches(tmp_path)
    monkeypatch.chdir(tmp_path)
    choice = ["--emotions", "happy,sad", "--merge", "calm=sad", "--folds", "loso", "--view", "all"]
    assert cli.main(["run", "00", "--corpus", "mine.csv", *choice]) == 0
    name = called["parameters"]["corpus"]  # type: ignore[index]
    monkeypatch.chdir("/")  # kernels stand elsewhere
    corpus = load_corpus(name).view()
    assert (corpus.emotions, len(corpus)) == (("happy", "sad"), 36)
    assert {fold.protocol for fold in folds_of(corpus)} == {"leave-one-speaker-out"}


@pytest.mark.parametrize(
    ("choice", "emotions", "protocol"),
    [
        (["--emotions", "happy,sad"], ["happy", "sad"], "speakers-5-folds"),
        (["--merge", "calm=sad", "--folds", "3"], ["happy", "sad"], "speakers-3-folds"),
        (["--folds", "loso"], ["calm", "happy", "sad"], "leave-one-speaker-out"),
    ],
)
def test_fit_takes_a_choice_of_emotions_and_folds(
    choice: list[str], emotions: list[str], protocol: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EMOLAB_DATA", str(tmp_path))
    corpus = str(speeches(tmp_path))
    assert cli.main(["fit", "text/logistic-regression", "--corpus", corpus, *choice, "--record"]) == 0
    (file,) = (tmp_path / "results").rglob("text-*.json")
    entry = json.loads(file.read_text())
    assert sorted(entry["per_emotion"]) == emotions
    assert entry["protocol"] == protocol


def test_commands_take_a_table_in_another_encoding(
    called: dict[str, object],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    text_model: Path,
    tmp_path: Path,
) -> None:
    table = speeches(tmp_path)
    table.write_bytes(table.read_text().replace("happy", "高兴").replace("sad", "悲伤").encode("gbk"))
    fit = ["fit", "text/logistic-regression", "--corpus", str(table)]
    assert cli.main(fit) == 2
    assert "or say what it is: --encoding gbk, for Chinese" in capsys.readouterr().err
    assert cli.main([*fit, "--encoding", "gbk"]) == 0
    assert "高兴" in capsys.readouterr().out
    assert cli.main(["run", "00", "--corpus", str(table), "--encoding", "gbk", "--emotions", "高兴,悲伤"]) == 0
    assert load_corpus(called["parameters"]["corpus"]).emotions == ("悲伤", "高兴")  # type: ignore[index]
    (tmp_path / "new.csv").write_bytes("id,text\na,走开\n".encode("gbk"))
    assert cli.main(["predict", str(text_model), str(tmp_path / "new.csv"), "--encoding", "gbk"]) == 0
    (tmp_path / "savee").mkdir()
    (tmp_path / "savee/DC_a01.wav").touch()
    monkeypatch.setenv("EMOLAB_CORPORA", str(tmp_path))
    assert cli.main(["fit", "audio/svm", "--corpus", "savee", "--encoding", "gbk"]) == 2
    assert "emolab: --encoding is for a CSV file of your own" in capsys.readouterr().err


def test_strict_stops_where_a_file_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EMOLAB_STRICT", "")  # undone after the test
    header, *rows = speeches(tmp_path).read_text().splitlines()
    rows = [f"{row},{number}.wav" for number, row in enumerate(rows)]
    (tmp_path / "mine.csv").write_text("\n".join([f"{header},audio", *rows]))
    for number in range(1, len(rows)):
        (tmp_path / f"{number}.wav").write_text(f"sound {number}")
    fit = ["fit", "text/logistic-regression", "--corpus", str(tmp_path / "mine.csv")]
    with pytest.warns(RuntimeWarning, match="1 of 36 utterances of mine.csv lack a file: no file 0.wav"):
        assert cli.main(fit) == 0
    assert cli.main([*fit, "--strict"]) == 2
    assert "the file of audio_path is missing in row 2 (0.wav)" in capsys.readouterr().err


def test_explain_takes_the_same_choice(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    choice = ["--corpus", str(speeches(tmp_path)), "--emotions", "happy,sad", "--folds", "loso"]
    how = ["--modality", "text", "--methods", "ablation", "--utterances", "4", "--alone"]
    assert cli.main(["explain", "text/logistic-regression", *choice, *how]) == 0
    assert re.search("4 utterances of own-mine-.{4}, leave-one-speaker-out", capsys.readouterr().out)


def test_remedies_are_options_at_a_shell(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    corpus = str(speeches(tmp_path))
    assert cli.main(["fit", "text/logistic-regression", "--corpus", corpus, "--folds", "sessions"]) == 2
    told = capsys.readouterr().err
    assert "take --folds speakers" in told
    assert "speaker_folds" not in told
    assert cli.main(["fit", "text/logistic-regression", "--corpus", corpus, "--folds", "often"]) == 2
    assert "has the protocol 'often'; expected one of sessions, speakers" in capsys.readouterr().err
    assert cli.main(["fit", "text/logistic-regression", "--corpus", corpus, "--folds", "9"]) == 2
    assert "at most 6" in capsys.readouterr().err


def test_fit_keeps_a_calibrated_recognizer_and_what_was_measured(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = own(tmp_path, emotions=("happy", "sad", "angry"))
    kept, out, name = tmp_path / "kept", tmp_path / "report", "audio/classical-logistic-regression"
    assert cli.main(["fit", name, "--corpus", str(tmp_path / "mine.csv"), "--save", str(kept), "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert "confusion matrix" in told
    assert f"kept in {kept}: trained on {len(rows)} utterances" in told
    assert sorted(path.name for path in out.iterdir()) == [
        *("confusion-matrix.png", "log.txt", "model-card.md", "per-emotion.csv", "utterances.csv")
    ]
    said = pd.read_csv(out / "utterances.csv")
    assert sorted(said["utterance_id"]) == sorted(row["id"] for row in rows)
    np.testing.assert_allclose(said[["p(happy)", "p(angry)", "p(sad)"]].sum(axis=1), 1)
    assert pd.read_csv(out / "per-emotion.csv")["support"].sum() == len(rows)
    card = (out / "model-card.md").read_text()
    assert (out / "log.txt").read_text() in card
    for fact in (name, "speakers-5-folds", f"trained on {len(rows)} utterances", "To judge people"):
        assert fact in card
    recognizer = Recognizer.load(kept)
    sure = recognizer.calibrated(said[[f"p({emotion})" for emotion in recognizer.emotions]].to_numpy()).max(axis=1)
    assert np.mean(sure >= recognizer.unsure_below) == pytest.approx(0.7, abs=0.02)  # the others: don't know


def test_predict_takes_folders_lists_and_tables_and_says_what_it_does_not_know(
    capsys: pytest.CaptureFixture[str], audio_model: Path, tmp_path: Path
) -> None:
    recognizer = Recognizer.load(audio_model / "model")
    recognizer.unsure_below = 0.999999  # of what it was trained on it is surer
    recognizer.save(model := tmp_path / "model")
    folder = tmp_path / "new" / "deep"
    folder.mkdir(parents=True)
    for name in ("high.wav", "low.wav"):
        shutil.copy(audio_model / name, folder / name)
    noise = np.random.default_rng(7).normal(0, 0.1, 16_000).astype(np.float32)
    soundfile.write(folder / "noise.WAV", noise, 16_000)
    (tmp_path / "new" / "notes.md").write_text("no recording")
    (tmp_path / "list.txt").write_text("new/deep/high.wav\n\nnew/deep/low.wav\n")
    assert cli.main(["predict", str(model), str(tmp_path / "new"), str(tmp_path / "list.txt"), "--to", "csv"]) == 0
    rows = [*csv.DictReader(capsys.readouterr().out.splitlines())]
    assert [*rows[0]] == ["file", "emotion", "most probable", *EMOTIONS]
    assert [Path(row["file"]).name for row in rows] == ["high.wav", "low.wav", "noise.WAV", "high.wav", "low.wav"]
    for row in rows:
        best = max(EMOTIONS, key=lambda emotion: float(row[emotion]))
        assert row["most probable"] == best
        assert row["emotion"] == (best if float(row[best]) >= 0.999999 else "don't know")
    assert cli.main(["predict", str(model), str(tmp_path / "model")]) == 2  # a folder without recordings
    assert "nothing to predict" in capsys.readouterr().err


@pytest.mark.parametrize("command", [*cli.TABLE["commands"]])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main([command, "--help"])
    assert left.value.code == 0
    assert f"usage: emolab {command}" in capsys.readouterr().out


@pytest.mark.parametrize("encoding", ["ascii", "cp932"])
def test_a_terminal_without_some_letter_does_not_lose_the_table(
    called: dict[str, object], monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setattr(chapters, "runs_table", lambda _: "ua 0.500 · 7 façades ok")
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown := io.BytesIO(), encoding=encoding))
    assert cli.main(["run", "03"]) == 0
    sys.stdout.flush()
    assert re.search(r"ua 0\.500 \S+ 7 fa\?ades ok", shown.getvalue().decode(encoding))


@pytest.mark.skipif(not Path("/sys").is_dir(), reason="there is no folder that refuses even root")
@pytest.mark.parametrize(
    "arguments",
    [
        ["fit", "audio/svm", "--record"],
        ["fit", "audio/svm", "--save", "{}/model"],
        ["fit", "audio/svm", "--out", "{}/out"],
        ["explain", "text/svm", "--modality", "text", "--record"],
        ["predict", "model", "a.wav", "--output", "{}/a.csv"],
        ["explore", "sample", "--out", "{}/explored"],
        ["capture", "a.wav", "--out", "{}/table"],
    ],
)
def test_a_place_that_cannot_be_written_to_is_told_before_any_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    place = "/sys"  # where nobody may make a file, not even root
    monkeypatch.setenv("EMOLAB_DATA", place)
    assert cli.main([word.format(place) for word in arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith("emolab: ")
    assert said.count("\n") == 1
    assert "no permission to write /sys" in said
