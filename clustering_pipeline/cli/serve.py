"""`serve`: the web pages on which people review and search clusters."""

import getpass
from typing import Annotated

import typer

from clustering_pipeline.cli.place import find_project
from clustering_pipeline.cli.terminal import terminal_of

TOKEN_VARIABLE = "CLUSTERING_PIPELINE_TOKEN"


def serve(
    context: typer.Context,
    host: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="Address to listen on; by default only this machine."),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8765,
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

    from clustering_pipeline.web import ServeOptions, create_app, is_loopback, new_token

    terminal = terminal_of(context)
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
    uvicorn.run(
        app,
        host=host,
        port=port,
        log_level="info" if terminal.debug else "warning",
        server_header=False,
        access_log=terminal.debug,
    )
