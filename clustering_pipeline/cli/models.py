"""`models`: the neural models' files on this machine."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from clustering_pipeline.cli.place import find_project
from clustering_pipeline.cli.terminal import TerminalProgress, as_typed, terminal_of
from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.hardware import Hardware
from clustering_pipeline.models import check_models, held_models, pull_model

models_app = typer.Typer(
    help="Files of the neural models: what there is, where it is, whether it is whole.",
    no_args_is_help=True,
)


@models_app.command("list")
def list_models(context: typer.Context) -> None:
    """Show the known models with source, size and licence, and where they are on this machine."""
    terminal = terminal_of(context)
    models = held_models(_hardware())
    table = Table(box=None, pad_edge=False)
    for title in ("name", "kind", "MB", "licence", "source", "on this machine"):
        table.add_column(title, overflow="fold", justify="right" if title == "MB" else "left")
    for model in models:
        card = model.card
        table.add_row(
            card.name,
            card.kind,
            f"{card.megabytes:,}",
            card.licence,
            card.source,
            str(model.place or "–"),
        )
    terminal.output.print(table)
    rows = [
        {
            "name": model.card.name,
            "source": model.card.source,
            "licence": model.card.licence,
            "place": model.place,
        }
        for model in models
    ]
    terminal.emit({"models": rows})


@models_app.command("pull")
def pull(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="A name of `models list`, or a hub repository owner/name."
        ),
    ],
) -> None:
    """Fetch a model's files into the models folder; a broken-off pull goes on where it stopped."""
    terminal = terminal_of(context)
    with TerminalProgress(terminal.errors) as progress:
        place = pull_model(name, _models_folder(), progress)
    terminal.details(f"{name} is on this machine", [("folder", place)])
    terminal.emit({"name": name, "place": str(place)})


@models_app.command("check")
def check(context: typer.Context) -> None:
    """Open and hash the weights that are on this machine; exits with 3 when some are damaged."""
    terminal = terminal_of(context)
    checks = list(check_models(_hardware()))
    for one in checks:
        card, model = one.model.card, one.model
        sentence = one.problem or "whole"
        terminal.details(
            card.name,
            [
                ("files", model.place),
                ("size", f"{model.megabytes:,} MB"),
                ("sha256", one.digest or "–"),
                ("state", sentence),
            ],
        )
    if not checks:
        terminal.details(
            "No known model is on this machine",
            [("folder", _models_folder()), ("fetch one", as_typed("models pull NAME"))],
        )
    rows = [
        {
            "name": one.model.card.name,
            "place": one.model.place,
            "sha256": one.digest,
            "problem": one.problem,
        }
        for one in checks
    ]
    terminal.emit({"models": rows})
    damaged = [one.model.card.name for one in checks if one.problem]
    if damaged:
        raise StageError(
            f"The files of {', '.join(damaged)} are damaged: pull them again with "
            f"`{as_typed('models pull NAME')}`."
        )


def _hardware() -> Hardware:
    return Hardware(models_folder=_models_folder())


def _models_folder() -> Path:
    project = find_project()
    configured = project.settings.installation().compute.models
    return Path(configured) if configured else project.home.models
