"""The server of the page."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emolab.app.sessions import Sessions
from emolab.app.worker import TEXTS, Limits
from emolab.storage import toml_beside

SET = toml_beside(__file__, "settings.toml")
HERE = Path(__file__).parent


def serve(*, host: str, port: int, model: Path | None, **limits: int) -> None:
    """Serve the page until Ctrl-C or SIGTERM; see `serving` and `Limits`."""
    from emolab.app import jobs

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # like Ctrl-C: what was uploaded is deleted
    print(TEXTS["server"]["loading"], flush=True)
    with serving(Limits(**limits), jobs, host=host, port=port, model=model) as (blocks, _):
        print(TEXTS["server"]["ready"].format(url=blocks.local_url), flush=True)
        blocks.block_thread()


@contextmanager
def serving(
    limits: Limits, jobs: Any, *, host: str = "127.0.0.1", port: int, model: Path | None = None
) -> Iterator[tuple[Any, Any]]:
    """Load the models, then serve the page in the background; at the end, all that was uploaded is deleted.

    Args:
        limits: What it takes at most.
        jobs: What workers do, see `emolab.app.page.Demo`.
        host: Address to listen at; 0.0.0.0 is every address of this computer.
        port: Port.
        model: Folder of a recognizer; None takes the default one.

    Returns:
        The page's Blocks and its Demo.

    Raises:
        OSError: If the port is taken.
        ValueError: If the model cannot be loaded.
    """
    sessions = Sessions(limits.keep_s)
    os.environ.update(SET["environment"], GRADIO_TEMP_DIR=str(sessions.root))  # read when gradio makes its components
    import gradio as gr

    from emolab.app.page import Demo, page

    demo = Demo(limits, sessions, jobs, model)
    blocks = page(demo).queue(max_size=limits.max_waiting)
    how: dict[str, Any] = {"server_name": host, "server_port": port, "max_file_size": f"{limits.max_mb}mb"}
    how["theme"] = gr.themes.Default(**SET["theme"]).set(**SET["theme_set"])
    how |= {"css_paths": HERE / "page.css", "head": f"<script>{(HERE / 'page.js').read_text('utf-8')}</script>"}
    try:
        for worker in demo.workers:
            worker.run(None, jobs.prepare, model)
        blocks.launch(**how, **SET["launch"])
        yield blocks, demo
    finally:
        blocks.close(verbose=False)
        for worker in demo.workers:
            worker.end()
        sessions.end()
