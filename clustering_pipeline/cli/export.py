"""`export`: the pictures of a category as folders."""

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from clustering_pipeline.cli.place import find_project, only_category
from clustering_pipeline.cli.terminal import TerminalProgress, terminal_of
from clustering_pipeline.core.errors import InputError
from clustering_pipeline.project import Project

_MANIFESTS = ("catalogue", "raw_images", "crops", "clean_images", "clusters")


class Grouping(StrEnum):
    """What gets a folder of its own."""

    PRODUCT = "product"
    CLUSTER = "cluster"


def export(
    context: typer.Context,
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where the folders go; must be new or empty.")
    ],
    category: Annotated[
        str | None, typer.Option(metavar="NAME", help="Needed when there are several categories.")
    ] = None,
    by: Annotated[
        Grouping, typer.Option(help="A folder per cluster or per product_base_id.")
    ] = Grouping.CLUSTER,
    crops: Annotated[
        bool, typer.Option("--crops", help="The product cut out instead of the whole picture.")
    ] = False,
    kept_only: Annotated[
        bool, typer.Option("--kept-only", help="Leave out rejected pictures and duplicates.")
    ] = False,
    link: Annotated[
        bool,
        typer.Option("--link", help="Hard links where the file system can, instead of copies."),
    ] = False,
) -> None:
    """Write the pictures of a category as one folder per cluster or per product."""
    from clustering_pipeline.outputs.workbook import export_pictures, picture_table

    terminal, project = terminal_of(context), find_project()
    slug = only_category([source.category for source in project.sources.all()], category)
    with TerminalProgress(terminal.errors) as progress:
        exported = export_pictures(
            folder,
            picture_table(**_tables(project, slug)),
            blobs=project.blobs,
            by=by.value,
            cut=crops,
            kept_only=kept_only,
            link=link,
            progress=progress,
        )
    terminal.details(f"Wrote {folder}", list(asdict(exported).items()))
    terminal.emit({"folder": str(folder.absolute()), "category": slug, **asdict(exported)})


def _tables(project: Project, category: str) -> dict[str, pd.DataFrame]:
    tables = {name: project.manifests.read(name, category) for name in _MANIFESTS}
    missing = [name for name, table in tables.items() if table is None]
    if missing:
        raise InputError(
            f"The category {category} has no {missing[0]} yet. Run it once: `clustering-pipeline "
            f"sync --category {category}`."
        )
    return {name: table for name, table in tables.items() if table is not None}
