"""What an open page has on this computer, and that it is gone when the page is closed."""

import os
import secrets
import shutil
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from emolab.annotate.annotation import Annotation
from emolab.storage import scratch

SWEEP_S = 30.0


@dataclass(eq=False)
class Session:
    """One open page.

    Attributes:
        media: The recording where gradio put it; pages that were sent the same file share it.
        folder: What is written about it, under a name that nobody guesses.
        annotation: What was found in it.
        played: What the browser plays, the recording or its sound.
        chosen: Number of the segment that is shown.
    """

    media: Path
    folder: Path
    annotation: Annotation | None = None
    played: Path = Path()
    chosen: int = 0


class Sessions:
    """All open pages by their names, and the folder of their files, in which nothing grows older than `keep_s`."""

    def __init__(self, keep_s: float) -> None:
        self.closing = ExitStack()  # those of servers that were killed are deleted now
        self.root = self.closing.enter_context(scratch("demo"))
        self.keep_s, self.open, self.stopped = keep_s, dict[str | None, Session](), threading.Event()
        threading.Thread(target=self._sweep_on, daemon=True).start()

    def of(self, name: str | None) -> Session | None:
        """Return what a page has; None if it has nothing, or was closed."""
        return self.open.get(name)

    def take(self, name: str | None, media: Path) -> Session:
        """Put a recording in the place of what a page had before."""
        old = self.open.get(name)
        self.open[name] = Session(media, self.root / secrets.token_hex(16))
        self._drop(old)
        return self.open[name]

    def close(self, name: str | None) -> None:
        """Forget a page and delete all that it had; a recording stays while another page has it."""
        self._drop(self.open.pop(name, None))

    def settle(self, session: Session) -> bool:
        """Tell whether a page is still open after a long job; delete what the job has written if it is not."""
        if is_open := session in self.open.values():
            return is_open
        self._drop(session)
        return False

    def _drop(self, session: Session | None) -> None:
        if session is not None:
            shutil.rmtree(session.folder, ignore_errors=True)
            if session.media not in {other.media for other in [*self.open.values()]}:
                session.media.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Delete what is older than `keep_s`: uploads over HTTP or broken off, and pages left open."""
        for folder, folders, names in os.walk(self.root, topdown=False):
            for path in (Path(folder, name) for name in [*names, *folders]):
                with suppress(OSError):  # a folder with something in it; or another thread was first
                    if time.time() - path.stat().st_mtime > self.keep_s:
                        path.rmdir() if path.is_dir() else path.unlink()

    def _sweep_on(self) -> None:
        while not self.stopped.wait(SWEEP_S):
            self.sweep()

    def end(self) -> None:
        """Delete everything."""
        self.stopped.set()
        self.closing.close()
