"""`corrections`: what people said about pairs and clusters, in and out."""

import getpass
from pathlib import Path
from typing import Annotated

import typer

from clustering_pipeline.cli.place import find_project
from clustering_pipeline.cli.terminal import terminal_of
from clustering_pipeline.project import Project

SHOWN = 10

corrections_app = typer.Typer(
    help="Statements of people: same(a, b), different(a, b), name(cluster), keep(a).",
    no_args_is_help=True,
)


@corrections_app.command("import")
def import_corrections(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Statements, or an edited labelled workbook.")
    ],
    author: Annotated[
        str | None, typer.Option(help="Who said it; the account's name by default.")
    ] = None,
) -> None:
    """Add the statements of a file, or what was edited in a labelled workbook; the next `sync` or
    `run` honours them.
    """
    terminal = terminal_of(context)
    added, unknown = _add(find_project(), file, author or getpass.getuser())
    terminal.details(f"Read {file}", [("statements added", added)])
    for sentence in unknown[:SHOWN]:
        terminal.note(f"{sentence} What was said of it is kept and has no effect until it is.")
    if len(unknown) > SHOWN:
        terminal.note(f"{len(unknown) - SHOWN:,} more are not known either.")
    terminal.emit({"file": str(file.absolute()), "added": added, "unknown": unknown})


def _add(project: Project, file: Path, author: str) -> tuple[int, list[str]]:
    """Add the statements of a file; return how many were new, and which names nobody knows."""
    from clustering_pipeline.review import actions, read_incoming, unknown_references

    incoming = read_incoming(file, author, project.blobs, project.settings.installation().catalogue)
    listings = _listings(project)
    corrections = actions.names_placed(incoming.corrections, sorted(listings))
    added = project.corrections.add_new(corrections)
    return len(added), unknown_references(corrections, listings)


def _listings(project: Project) -> dict[str, set[str]]:
    """Return the ids of all listings by category."""
    tables = {
        source.category: project.manifests.read("catalogue", source.category)
        for source in project.sources.all()
    }
    return {
        category: set() if table is None else set(table["product_base_id"].dropna())
        for category, table in tables.items()
    }


@corrections_app.command("export")
def export_corrections(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help=".xlsx, .csv or .json")],
) -> None:
    """Write every statement to a file, in the form that `corrections import` reads."""
    terminal = terminal_of(context)
    written = find_project().corrections.export_file(file)
    terminal.details(f"Wrote {file}", [("statements", written)])
    terminal.emit({"file": str(file.absolute()), "written": written})
