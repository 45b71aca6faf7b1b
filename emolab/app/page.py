"""The page and its HTTP API: what is shown, and what happens when something is pressed."""

import json
import os
import queue
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd

from emolab.annotate.annotation import UNSURE, Annotation
from emolab.annotate.formats import FORMATS, write_annotation
from emolab.app import view
from emolab.app.sessions import Session, Sessions
from emolab.app.worker import TEXTS, WRONG, Limits, Worker, checked_seconds
from emolab.storage import scratch

SAYS: Mapping[str, str] = TEXTS["result"]
EDITED = ["start", "end", "speaker", "text", "emotion"]
SHOWN = [*EDITED, "confidence"]
WIDTHS: list[str | int] = [80, 80, 130, 300, 120, 110]  # pixels
CHECK_S = 60.0
CAMERA = {"video": {"width": {"ideal": 640}, "height": {"ideal": 480}}}  # pixels: enough for a face, and soon encoded
CHOOSE = Path(__file__).with_name("choose.js").read_text(encoding="utf-8")
PRIVATE: dict[str, Any] = {"api_visibility": "private"}


class Demo:
    """The page's handlers; each raises `gr.Error`, shown as one message, for what cannot be done.

    Args:
        limits: What it takes at most.
        sessions: What open pages have.
        jobs: What workers do, the module `emolab.app.jobs` or its like.
        model: Folder of a recognizer; None takes the default one.
    """

    def __init__(self, limits: Limits, sessions: Sessions, jobs: Any, model: Path | None = None) -> None:
        self.limits, self.sessions, self.jobs, self.model = limits, sessions, jobs, model
        self.workers = [Worker(limits.memory_gb) for _ in range(limits.workers)]
        self.free: queue.LifoQueue[Worker] = queue.LifoQueue()  # a worker that has its models comes first
        for worker in self.workers:
            self.free.put(worker)

    def take(self, upload: str | None, request: gr.Request) -> str:
        """Put what was uploaded or recorded in the place of what there was; say what is there."""
        if upload is None:
            self.sessions.close(request.session_hash)
            return str(TEXTS["record"]["nothing"])
        media = self.sessions.take(request.session_hash, Path(upload)).media
        if not media.is_file():  # another page with the same file was closed in this moment
            raise error("gone")
        return str(TEXTS["record"]["ready"].format(name=escape(media.name), mb=media.stat().st_size / 1e6))

    def close(self, request: gr.Request) -> None:
        """Delete what a page had."""
        self.sessions.close(request.session_hash)

    def analyse(self, media: Path, purpose: str | None, told: bool, words_only: bool, names: str) -> Annotation:
        """Annotate a recording in a worker, unless the purpose is refused."""
        refused = purpose not in TEXTS["purposes"] or purpose in TEXTS["refused"]
        if reason := "purpose" if not purpose else "refused" if refused else "" if told else "told":
            raise error(reason)
        named = [name.strip() for name in names.split(",") if name.strip()]
        seconds = self.work(media, CHECK_S, checked_seconds, media, self.limits)
        timeout_s = self.limits.seconds_more + seconds * self.limits.seconds_each
        how = {"model": self.model, "words_only": words_only, "names": named}
        found: Annotation = self.work(media, timeout_s, self.jobs.annotate, media, **how)
        return found

    def work(self, media: Path, timeout_s: float, job: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Do a job in a worker; its error becomes one message, in which no folder of this computer is named."""
        worker = self.free.get()
        try:
            return worker.run(timeout_s, job, *arguments, **options)
        except ValueError as problem:
            raise error(str(problem).replace(f"{media.parent}{os.sep}", "")) from problem
        finally:
            self.free.put(worker)

    def show(
        self, purpose: str | None, told: bool, words_only: bool, names: str, request: gr.Request
    ) -> tuple[Any, ...]:
        """Annotate what the page has, and show it."""
        session = self.sessions.of(request.session_hash)
        if session is None:
            raise error("nothing")
        annotation = self.analyse(session.media, purpose, told, words_only, names)
        session.played = self.work(session.media, CHECK_S, self.jobs.playable, session.media, session.folder)
        speakers = annotation.segments["speaker"].nunique()
        done = SAYS["done"].format(n=len(annotation), speakers=speakers, name=escape(annotation.media))
        table = gr.Dataframe(table_of(annotation), interactive=True)
        return (done, gr.Column(visible=True), table, annotation.audit, "", *self.shown(session, annotation))

    def shown(self, session: Session, annotation: Annotation) -> tuple[Any, ...]:
        """Write an annotation in every format; return player, transcript, links, and the first segment."""
        session.annotation, session.chosen, files = annotation, 0, {}
        for form, (suffix, *_) in FORMATS.items():
            path = write_annotation(annotation, session.folder / f"{Path(annotation.media).stem}{suffix}", form)
            files[form] = Path(shutil.make_archive(str(path), "zip", path)) if path.is_dir() else path
        if not self.sessions.settle(session):
            raise error("gone")
        return (*view.parts(annotation, files, session.played), *self.segment(session, annotation))

    def segment(self, session: Session, annotation: Annotation) -> tuple[str, Any, str]:
        """Return heading and radar chart of the chosen segment, and no reasons yet."""
        if not len(annotation):
            return SAYS["empty"], None, ""
        return view.heading(annotation, session.chosen), view.radar(annotation, session.chosen), ""

    def of(self, request: gr.Request) -> tuple[Session, Annotation]:
        """Return what a page has; raise if it is gone."""
        session = self.sessions.of(request.session_hash)
        if session is None or session.annotation is None:
            raise error("gone")
        return session, session.annotation

    def choose(self, event: gr.EventData, request: gr.Request) -> tuple[str, Any, str]:
        """Show another segment."""
        session, annotation = self.of(request)
        session.chosen = min(max(int(event._data["segment"]), 0), len(annotation) - 1)
        return self.segment(session, annotation)

    def explain(self, request: gr.Request) -> tuple[Any, str]:
        """Say of the chosen segment what each modality alone says, and which words and moments count."""
        session, annotation = self.of(request)
        row, timeout_s = annotation.segments.iloc[session.chosen].to_dict(), self.limits.seconds_more
        how = {"model": self.model, "words_only": [*annotation.about.get("modalities", ())] == ["text"]}
        alone, found = self.work(session.media, timeout_s, self.jobs.why, session.media, row, **how)
        return view.radar(annotation, session.chosen, alone), view.reasons(found, row["start"])

    def correct(self, table: pd.DataFrame, request: gr.Request) -> tuple[Any, ...]:
        """Put the table's corrections in the place of what the model said, and write all files anew."""
        session, annotation = self.of(request)
        try:
            annotation, n = corrected(annotation, table)
        except ValueError as problem:
            raise error(str(problem)) from problem
        says = SAYS["applied"].format(n=n, all=len(annotation)) if n else SAYS["unchanged"]
        return (says, *self.shown(session, annotation))

    def api(self, file: str, purpose: str, told: bool, words_only: bool, names: str) -> dict[str, Any]:
        """Annotate a recording as the page does; return what `emolab annotate --to json` writes.

        Args:
            file: Sound or film.
            purpose: own, research or film; other purposes are refused, as on the page.
            told: Whether the people who are heard or seen have been told.
            words_only: Whether the emotion is estimated from the words alone.
            names: Of the speakers, with commas between them.
        """
        annotation = self.analyse(Path(file), purpose, told, words_only, names)
        with scratch("demo") as folder:
            path = write_annotation(annotation, folder / "annotation.json")
            return dict(json.loads(path.read_text(encoding="utf-8")))


def error(message: str) -> gr.Error:
    """Return an error that the page shows until it is closed: a key of the texts, or a message."""
    return gr.Error(escape(WRONG.get(message, message)), duration=None, print_exception=False)


def table_of(annotation: Annotation) -> pd.DataFrame:
    """Return the table that is corrected, with `UNSURE` in an emotion's place where the model does not know."""
    shown = annotation.shown
    return shown.assign(emotion=shown["label"])[SHOWN].round({"start": 2, "end": 2, "confidence": 2})


def corrected(annotation: Annotation, table: pd.DataFrame) -> tuple[Annotation, int]:
    """Return an annotation with the changes of a table, and how many segments it changed.

    Raises:
        ValueError: If an emotion is none of the annotation's, or a time or name cannot be.
    """
    old, new = (each[EDITED].reset_index(drop=True).fillna("").astype(str) for each in (table_of(annotation), table))
    changed, emotions = old.ne(new), new["emotion"].str.strip()
    for row in changed.index[changed["emotion"] & ~emotions.isin([*annotation.emotions, UNSURE, ""])]:
        known = ", ".join([*annotation.emotions, UNSURE])
        raise ValueError(WRONG["emotion"].format(row=row + 1, emotion=emotions[row], known=known))
    segments = annotation.segments.astype("object")
    rated, unsure = changed["emotion"], emotions == UNSURE
    segments.loc[rated, ["confidence", "second"]] = pd.NA
    segments.loc[rated, "unsure"] = unsure[rated]
    segments[EDITED] = segments[EDITED].mask(changed.assign(emotion=rated & ~unsure), new)  # a guess is kept
    n = int(changed.any(axis=1).sum())
    return replace(annotation, segments=segments, about={**annotation.about, "corrected": n}), n


def page(demo: Demo) -> gr.Blocks:
    """Build the page."""
    says, limits = TEXTS["record"], demo.limits
    facts = {"minutes": limits.max_seconds / 60, "megapixels": limits.max_pixels / 1e6, "hours": limits.keep_s / 3600}
    in_line: dict[str, Any] = {"concurrency_id": "workers", "concurrency_limit": limits.workers}  # in turn
    with gr.Blocks(title=TEXTS["page"]["title"], analytics_enabled=False) as blocks:
        gr.Markdown(TEXTS["page"]["intro"] + TEXTS["page"]["limits"].format(**vars(limits), **facts))
        purpose, told = _questions()
        _recording(demo)
        words_only = gr.Checkbox(label=says["words_only"])
        names = gr.Textbox(label=says["names"], placeholder=says["names_hint"], max_lines=1)
        go = gr.Button(says["go"], variant="primary", elem_id="em-go")
        _result(demo, go, [purpose, told, words_only, names], in_line)
        blocks.unload(demo.close)
        takes = [kind(visible=False) for kind in (gr.File, gr.Textbox, gr.Checkbox, gr.Checkbox, gr.Textbox)]
        gr.Button(visible=False).click(demo.api, takes, gr.JSON(visible=False), api_name="annotate", **in_line)
    return blocks


def _questions() -> tuple[gr.Radio, gr.Checkbox]:
    """Ask for the purpose and whether people were told; explain a refusal."""
    says = TEXTS["purpose"]
    gr.Markdown(says["heading"])
    purpose = gr.Radio([(text, name) for name, text in TEXTS["purposes"].items()], label=says["question"])
    refusal = gr.Markdown(visible=False, elem_id="em-refusal")
    gr.Markdown(says["notice_heading"])
    gr.Textbox(says["notice"], label=says["notice_label"], lines=5, interactive=False, buttons=["copy"])

    def refuse(name: str) -> gr.Markdown:
        where = TEXTS["refused"].get(name)
        return gr.Markdown(says["refused"].format(where=where), visible=bool(where))

    purpose.change(refuse, purpose, refusal, queue=False, **PRIVATE)
    return purpose, gr.Checkbox(label=says["told"])


def _recording(demo: Demo) -> None:
    """Offer a file, the microphone and the webcam."""
    says = TEXTS["record"]
    gr.Markdown(says["heading"])
    with gr.Tab(says["file"]):
        file = gr.File(label=says["file_label"], elem_id="em-file")
    with gr.Tab(says["microphone"]):
        sound = gr.Audio(sources=["microphone"], type="filepath", label=says["microphone_label"], elem_id="em-mic")
    with gr.Tab(says["webcam"]):
        # gradio would call ffmpeg to mirror a film, or to take its sound away
        camera = gr.WebcamOptions(mirror=False, constraints=CAMERA)
        how: dict[str, Any] = {"webcam_options": camera, "include_audio": True}
        film = gr.Video(sources=["webcam"], label=says["webcam_label"], elem_id="em-webcam", **how)
    ready = gr.Markdown(says["nothing"], elem_id="em-ready")
    for source in (file, sound, film):
        source.change(demo.take, source, ready, queue=False, **PRIVATE)


def _result(demo: Demo, go: gr.Button, asked: list[Any], in_line: dict[str, Any]) -> None:
    """Show the result, once there is one."""
    status = gr.Markdown(elem_id="em-status", min_height=80)  # place in line, progress
    with gr.Column(visible=False) as result:
        gr.Markdown(SAYS["heading"])
        with gr.Row():
            with gr.Column(scale=3, min_width=320):
                player = gr.HTML(js_on_load=CHOOSE, elem_id="em-parts")
            with gr.Column(scale=2, min_width=320):
                chosen = gr.Markdown(elem_id="em-chosen")
                radar = gr.Plot(label=SAYS["radar"], elem_id="em-radar")
                why = gr.Button(SAYS["why"], elem_id="em-why")
        reasons = gr.HTML(elem_id="em-reasons")
        words = gr.HTML(js_on_load=CHOOSE, elem_id="em-words")
        gr.Markdown(SAYS["table"])
        table = gr.Dataframe(label=SAYS["table_label"], wrap=True, column_widths=WIDTHS, elem_id="em-table")
        apply = gr.Button(SAYS["apply"], elem_id="em-apply")
        applied = gr.Markdown(elem_id="em-applied")
        gr.Markdown(SAYS["downloads"])
        links = gr.HTML(elem_id="em-downloads")
        audit = gr.Markdown(elem_id="em-audit")
    of_segment = [chosen, radar, reasons]
    shows, how = [player, words, links, *of_segment], PRIVATE | in_line
    go.click(demo.show, asked, [status, result, table, audit, applied, *shows], show_progress_on=status, **how)
    for buttons in (player, words):
        buttons.choose(demo.choose, None, of_segment, **PRIVATE)
    why.click(demo.explain, None, [radar, reasons], show_progress_on=reasons, **how)
    apply.click(demo.correct, table, [applied, *shows], **PRIVATE)
