from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from emolab.annotate.annotation import Annotation
from emolab.annotate.formats import read_annotation
from emolab.app import view
from emolab.app.page import corrected, table_of
from emolab.app.worker import TEXTS
from emolab.storage import CHECKOUT
from tests.app import jobs
from tests.app.conftest import Server

ANSWERS: dict[str, Any] = {"purpose": "own", "told": True, "words_only": False, "names": "Ana, Ben"}


@pytest.fixture(scope="module")
def client(server: Server) -> Client:
    return Client(server.url, verbose=False, analytics_enabled=False)


@pytest.fixture
def annotation(voice: Path) -> Annotation:
    return jobs.annotate(voice)


def test_api_gives_what_the_page_gives(client: Client, voice: Path, tmp_path: Path) -> None:
    result = client.predict(handle_file(str(voice)), api_name="/annotate", **ANSWERS)
    (tmp_path / "voice.json").write_text(json.dumps(result), encoding="utf-8")
    annotation = read_annotation(tmp_path / "voice.json")
    assert annotation.media == "voice.wav"
    assert list(annotation.segments["speaker"]) == ["Ana", "Ben", "Ana", "Ben"]
    assert list(annotation.segments["emotion"]) == ["happy", "happy", "neutral", "neutral"]
    assert list(annotation.segments["unsure"]) == [True, False, False, False]
    assert "not what people feel" in annotation.audit


def test_api_is_the_only_endpoint(client: Client) -> None:
    endpoints = client.view_api(return_format="dict", print_info=False)
    assert list(endpoints["named_endpoints"]) == ["/annotate"]
    assert not endpoints["unnamed_endpoints"]


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"purpose": "work"}, "This purpose is refused"),
        ({"purpose": "education"}, "This purpose is refused"),
        ({"purpose": "medical"}, "This purpose is refused"),
        ({"purpose": "sport"}, "This purpose is refused"),
        ({"purpose": ""}, "what is it for"),
        ({"told": False}, "Tell the people"),
    ],
)
def test_work_education_and_people_who_were_not_told_are_refused(
    client: Client, voice: Path, answers: dict[str, Any], message: str
) -> None:
    with pytest.raises(AppError, match=message):
        client.predict(handle_file(str(voice)), api_name="/annotate", **ANSWERS | answers)


def test_a_file_that_is_no_recording_is_told_without_a_folder_and_the_server_lives(
    client: Client, tmp_path: Path, voice: Path, server: Server
) -> None:
    (tmp_path / "<b>words.mp4").write_text("no film")
    with pytest.raises(AppError) as told:
        client.predict(handle_file(str(tmp_path / "<b>words.mp4")), api_name="/annotate", **ANSWERS)
    assert "no recording that can be read" in str(told.value)
    assert str(server.root) not in str(told.value)
    assert client.predict(handle_file(str(voice)), api_name="/annotate", **ANSWERS)["segments"]


def test_uploads_beyond_the_limit_are_refused_and_leave_nothing(server: Server) -> None:
    before = server.files()
    answer = httpx.post(f"{server.url}gradio_api/upload", files={"files": ("a.wav", bytes(3_000_000))})
    assert answer.status_code == 413
    assert server.files() == before


def test_a_killed_worker_costs_one_message_and_the_next_recording_is_annotated(
    client: Client, voice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(jobs, "annotate", jobs.die)
        with pytest.raises(AppError, match="ended in the middle"):
            client.predict(handle_file(str(voice)), api_name="/annotate", **ANSWERS)
    assert client.predict(handle_file(str(voice)), api_name="/annotate", **ANSWERS)["segments"]


def test_whoever_comes_first_is_served_first_and_all_are_told_their_place(
    server: Server, voice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "annotate", jobs.held)
    jobs_sent, places, done = [], [], []
    for _ in range(3):
        client = Client(server.url, verbose=False, analytics_enabled=False)
        jobs_sent.append(client.submit(handle_file(str(voice)), api_name="/annotate", **ANSWERS))
        while (status := jobs_sent[-1].status()).rank is None and status.code.name != "PROCESSING":
            time.sleep(0.02)
        places.append(status.rank)
    (server.root / "go").write_text("go")
    while len(done) < 3:
        done += [number for number, job in enumerate(jobs_sent) if job.done() and number not in done]
        time.sleep(0.02)
    (server.root / "go").unlink()
    assert done == [0, 1, 2]
    assert places[1:] == [0, 1]  # so many are before them in the line
    assert all(job.result()["segments"] for job in jobs_sent)


def test_corrections_are_a_raters_and_leave_the_rest_as_it_was(annotation: Annotation) -> None:
    table = table_of(annotation)
    assert list(table["emotion"]) == ["don't know", "happy", "neutral", "neutral"]
    table.loc[0, "emotion"] = "sad"
    table.loc[1, "speaker"] = "Zoé"
    table.loc[2, "end"] = 4.25
    table.loc[2, "emotion"] = "don't know"
    table.loc[3, "emotion"] = ""
    found, n = corrected(annotation, table)
    assert n == 4
    assert found.about["corrected"] == 4
    assert list(found.segments["emotion"].fillna("")) == ["sad", "happy", "neutral", ""]
    assert list(found.segments["unsure"]) == [False, False, True, False]
    assert found.segments.loc[1, "speaker"] == "Zoé"
    assert found.segments.loc[2, "end"] == 4.25
    assert np.isnan(found.segments.loc[0, "confidence"])
    assert found.segments.loc[1, "confidence"] == pytest.approx(0.7)
    assert found.segments.loc[0, "text"] == jobs.WORDS
    pd.testing.assert_series_equal(found.segments["p_sad"], annotation.segments["p_sad"])


def test_a_table_without_changes_corrects_nothing(annotation: Annotation) -> None:
    odd = replace(annotation, segments=annotation.segments.assign(start=annotation.segments["start"] + 0.123456 / 2))
    found, n = corrected(odd, table_of(odd))
    assert n == 0
    pd.testing.assert_frame_equal(found.segments, odd.segments)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("emotion", "hapy", "Segment 2: 'hapy' is none of neutral, happy, sad, angry, don't know"),
        ("end", "soon", "end is no number in rows 1"),
        ("end", -1, "negative"),
        ("speaker", "", "speaker is empty in rows 1"),
    ],
)
def test_what_cannot_be_is_told_with_its_row(annotation: Annotation, column: str, value: object, message: str) -> None:
    table = table_of(annotation).astype("object")
    table.loc[1, column] = value
    with pytest.raises(ValueError, match=message):
        corrected(annotation, table)


def test_what_people_said_is_shown_and_not_run(annotation: Annotation) -> None:
    evil = "<script>alert(1)</script>"
    segments = annotation.segments.assign(speaker=evil, text=evil)
    shown = replace(annotation, segments=segments)
    pieces = [str(view.PIECES.transcript(TEXTS["result"], view.described(shown))), view.heading(shown, 0)]
    one = {"modality": "text", "emotion": evil, "names": [evil], "values": np.ones(1), "spans": np.zeros((1, 2))}
    pieces.append(view.reasons([one | {"method": evil, "baseline": evil}], 0.0))
    for piece in pieces:
        assert "alert(1)" in piece
        assert "<script" not in piece


def test_radar_chart_shows_each_modality_where_it_is_known(annotation: Annotation) -> None:
    alone = {"audio": {"neutral": 0.9, "happy": 0.1}}
    together, voice = view.radar(annotation, 1, alone).data
    assert list(together.theta) == ["neutral", "happy", "sad", "angry", "neutral"]
    assert list(together.r) == pytest.approx([0.1, 0.7, 0.1, 0.1, 0.1])
    assert list(voice.r) == pytest.approx([0.9, 0.1, 0, 0, 0.9])
    assert (together.name, voice.name) == ("all together", "voice")


def test_a_recording_without_speech_has_no_segments_and_no_chart(server: Server, annotation: Annotation) -> None:
    empty = replace(annotation, segments=annotation.segments.iloc[:0])
    session = server.demo.sessions.take("empty", server.root / "gone.wav")
    assert server.demo.segment(session, empty) == (TEXTS["result"]["empty"], None, "")
    server.demo.sessions.close("empty")


def test_texts_name_each_purpose_that_is_refused() -> None:
    assert set(TEXTS["refused"]) < set(TEXTS["purposes"])
    assert {"work", "education"} <= set(TEXTS["refused"])
    assert "raters would perceive" in TEXTS["page"]["intro"]
    assert "Art. 50(3)" in TEXTS["purpose"]["notice_heading"]
    assert "Art. 5(1)(f)" in TEXTS["purpose"]["refused"]


def test_documented_client_works(server: Server, voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (CHECKOUT / "docs" / "demo.md").read_text(encoding="utf-8").replace("http://127.0.0.1:7860/", server.url)
    shutil.copy(voice, tmp_path / "interview.m4a")  # whatever its name, it is told by what it holds
    monkeypatch.chdir(tmp_path)
    python, shell = (re.search(rf"```{kind}\n(.*?)```", page, re.DOTALL) for kind in ("python", "bash"))
    assert python
    assert shell
    names: dict[str, Any] = {}
    exec(python[1], names)
    assert [segment["speaker"] for segment in names["found"]["segments"]] == ["Ana", "Ben", "Ana", "Ben"]
    run = subprocess.run(["bash", "-c", shell[1]], capture_output=True, text=True, timeout=60)
    assert "event: complete" in run.stdout
    assert '"emotion"' in run.stdout
