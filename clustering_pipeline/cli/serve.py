"""`serve`: the web pages on which people review and search clusters."""

import getpass
import os
import socket
import sys
import threading
import time
import webbrowser
from contextlib import suppress
from typing import Annotated

import typer

from clustering_pipeline.cli.place import checked_port, dagster_address, find_project, free_port
from clustering_pipeline.cli.terminal import terminal_of
from clustering_pipeline.core.errors import StageError

FIRST_PAGES_PORT = 8765
# How often, and how many times, it is seen whether the server answers.
SECONDS_BETWEEN_TRIES, TIMES_ASKED = 0.2, 100
TOKEN_VARIABLE = "CLUSTERING_PIPELINE_TOKEN"


def serve(
    context: typer.Context,
    host: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="Address to listen on; by default only this machine."),
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            help=f"Port to listen on; the first free one from {FIRST_PAGES_PORT} by default.",
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="SECRET",
            envvar=TOKEN_VARIABLE,
            help="What every visitor has to bring; drawn at random when other machines may "
            "connect.",
        ),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST", help="A host name under which browsers may open the pages. Repeatable."
        ),
    ] = None,
    author: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Who signs what nobody gave a name for; this account by default."
        ),
    ] = None,
    opens: Annotated[
        bool, typer.Option("--open", help="Open the pages in this machine's browser as well.")
    ] = False,
) -> None:
    """Serve the pages until Ctrl-C: drop a workbook, watch it being grouped, review, search, apply,
    download.
    """
    import uvicorn

    from clustering_pipeline.web import (
        ServeOptions,
        create_app,
        is_loopback,
        new_token,
        server_config,
    )

    terminal, project = terminal_of(context), find_project()
    port = checked_port(host, port) if port else free_port(host, FIRST_PAGES_PORT)
    options = ServeOptions(
        host=host,
        port=port,
        token=token or (None if is_loopback(host) else new_token()),
        names=tuple(name or ()),
        author=author or getpass.getuser(),
        dagster_url=dagster_address(project),
    )
    app = create_app(project, options)
    terminal.details("Pages", [("open", options.address), ("API", f"{options.root}api/docs")])
    level = "info" if terminal.debug else "warning"
    config = server_config(app, host=host, port=port, log_level=level, access_log=terminal.debug)
    server = uvicorn.Server(config)
    if opens and _has_screen():
        opening = threading.Thread(
            target=_open_when_ready, args=(host, port, options.address), daemon=True
        )
        opening.start()
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        raise StageError(
            f"The server did not start on {options.address}. Its log above says why; another "
            f"--port may help."
        )


def _has_screen() -> bool:
    """Whether a browser would have a window, and not take the terminal over."""
    return sys.platform == "darwin" or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )


def _open_when_ready(host: str, port: int, address: str) -> None:
    """Open a browser as soon as the server takes connections."""
    for _ in range(TIMES_ASKED):
        try:
            with socket.create_connection((host, port), SECONDS_BETWEEN_TRIES):
                webbrowser.open(address)
                return
        except OSError:
            time.sleep(SECONDS_BETWEEN_TRIES)
