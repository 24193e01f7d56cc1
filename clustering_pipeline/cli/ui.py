"""`ui`: Dagster's own pages on the same home."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from clustering_pipeline.cli.place import checked_port, find_project, free_port, is_free
from clustering_pipeline.cli.terminal import Terminal, terminal_of
from clustering_pipeline.core.errors import InputError, StageError
from clustering_pipeline.project import Project
from clustering_pipeline.project.project import HOME_VARIABLE

if TYPE_CHECKING:
    from clustering_pipeline.web import ServeOptions

NAMES_VARIABLE = "CLUSTERING_PIPELINE_UI_NAMES"
FIRST_PORT = 3000
SECONDS_TO_CLOSE = 5
# What Dagster may take to end its runs; and how often it is seen whether it was told to.
SECONDS_TO_END, SECONDS_OF_A_LOOK = 60, 1


def ui(
    context: typer.Context,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; the first free one from 3000 by default.")
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on. Dagster's pages ask for no password: keep it local."
        ),
    ] = "127.0.0.1",
    name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST", help="A host name under which browsers may open the pages. Repeatable."
        ),
    ] = None,
) -> None:
    """Serve the pages of `serve`, and for operators the Dagster UI with its daemon on the same
    home: lineage, runs, schedules, sensors.
    """
    terminal, project = terminal_of(context), find_project()
    chosen = checked_port(host, port) if port else free_port(host, FIRST_PORT)
    terminal.details(
        "Dagster UI", [("address", f"http://{host}:{chosen}"), ("home", project.home.path)]
    )
    command = [
        sys.executable,
        "-m",
        "clustering_pipeline.orchestration.runtime.guarded_ui",
        "dev",
        "-m",
        "clustering_pipeline.definitions",
        "-h",
        host,
        "-p",
        str(chosen),
    ]
    names = " ".join([host, *(name or ())])
    environment = {**os.environ, HOME_VARIABLE: str(project.home.path), NAMES_VARIABLE: names}
    _set_up(project)
    with _pages(project, terminal, f"http://{host}:{chosen}"):
        status = _serve(command, environment)
    if status not in (0, -signal.SIGINT, -signal.SIGTERM):
        raise StageError(
            f"`dagster dev` ended with status {status}. Its own messages above say why."
        )


def _set_up(project: Project) -> None:
    from clustering_pipeline.orchestration.runtime.instance import open_instance

    with open_instance(project.home):
        project.home.catalogues.mkdir(exist_ok=True)


@contextmanager
def _pages(project: Project, terminal: Terminal, dagster_url: str) -> Iterator[None]:
    """Serve the pages that the UI links to while the block runs, unless they are elsewhere."""
    options = _page_options(project, terminal, dagster_url)
    if options is None:
        yield
        return
    import uvicorn

    from clustering_pipeline.web import create_app, server_config

    app = create_app(project, options)
    server = uvicorn.Server(
        server_config(app, host=options.host, port=options.port, log_level="warning")
    )
    # Signals are for the main thread, which waits for Dagster.
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    terminal.details("Pages", [("address", options.root)])
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(SECONDS_TO_CLOSE)


def _page_options(project: Project, terminal: Terminal, dagster_url: str) -> "ServeOptions | None":
    """Return where to serve the pages, None when they are not to be served here."""
    from clustering_pipeline.web import ServeOptions, is_loopback

    try:
        address = urlsplit(project.settings.installation().automation.pages_url)
    except InputError as error:
        terminal.note(f"The pages for reports are not served: {error}")
        return None
    host, port = address.hostname or "", address.port or 80
    if not is_loopback(host):
        return None
    if not is_free(host, port):
        taken, port = port, free_port(host, port + 1)
        terminal.note(
            f"Port {taken} is taken, so the pages are on {port}; links from Dagster open what runs "
            f"on {taken}. `automation.pages_url` names another address."
        )
    return ServeOptions(host=host, port=port, dagster_url=dagster_url)


def _serve(command: list[str], environment: dict[str, str]) -> int:
    """Run Dagster until it ends, and return its status; 0 when this process was told to end."""
    process = subprocess.Popen(command, env=environment)
    is_ending = threading.Event()

    def end(*_: object) -> None:
        # Whoever ends this process alone, such as a service manager, means Dagster's as well.
        is_ending.set()
        process.terminate()

    before = signal.signal(signal.SIGTERM, end)
    try:
        while True:
            try:
                status = process.wait(SECONDS_TO_END if is_ending.is_set() else SECONDS_OF_A_LOOK)
                return 0 if is_ending.is_set() else status
            except subprocess.TimeoutExpired:
                if is_ending.is_set():
                    process.kill()
            except KeyboardInterrupt:
                # The terminal sent it to Dagster as well, which now closes its runs.
                continue
    finally:
        signal.signal(signal.SIGTERM, before)
