"""`serve`: the web pages on which people review and search clusters."""

import getpass
from contextlib import suppress
from typing import Annotated

import typer

from clustering_pipeline.cli.place import checked_port, find_project, free_port
from clustering_pipeline.cli.terminal import terminal_of
from clustering_pipeline.core.errors import StageError

FIRST_PAGES_PORT = 8765
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
        typer.Option(metavar="NAME", help="Who signs corrections; this account by default."),
    ] = None,
) -> None:
    """Open the pages to review, correct and search the clusters, until Ctrl-C."""
    import uvicorn

    from clustering_pipeline.web import (
        ServeOptions,
        create_app,
        is_loopback,
        new_token,
        server_config,
    )

    terminal = terminal_of(context)
    port = checked_port(host, port) if port else free_port(host, FIRST_PAGES_PORT)
    options = ServeOptions(
        host=host,
        port=port,
        token=token or (None if is_loopback(host) else new_token()),
        names=tuple(name or ()),
        author=author or getpass.getuser(),
    )
    app = create_app(find_project(), options)
    terminal.details(
        "Review and search", [("open", options.address), ("API", f"{options.root}api/openapi.json")]
    )
    level = "info" if terminal.debug else "warning"
    config = server_config(app, host=host, port=port, log_level=level, access_log=terminal.debug)
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        raise StageError(
            f"The server did not start on {options.address}. Its log above says why; another "
            f"--port may help."
        )
