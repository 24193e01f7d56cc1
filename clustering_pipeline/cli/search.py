"""`search`: the listings that show what a picture shows."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from clustering_pipeline.cli.place import find_project, only_category
from clustering_pipeline.cli.terminal import Terminal, terminal_of
from clustering_pipeline.core.errors import InputError

if TYPE_CHECKING:
    from clustering_pipeline.outputs.search import VerifiedHit
    from clustering_pipeline.project import Project


def search(
    context: typer.Context,
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="A picture file or a picture URL.")],
    category: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The category to search in; by default the only one."),
    ] = None,
    top: Annotated[int, typer.Option(min=1, max=1000, help="How many listings to show.")] = 10,
    mode: Annotated[
        str,
        typer.Option(
            metavar="MODE",
            help="exact: all listings; class: the same class; cluster: the nearest cluster.",
        ),
    ] = "exact",
    region: Annotated[
        int, typer.Option(min=0, help="Which product of the picture, the main one being 0.")
    ] = 0,
) -> None:
    """Find the listings that show what a picture shows."""
    from clustering_pipeline.core.manifests import CLUSTERS
    from clustering_pipeline.imaging import ImageError, decode_image
    from clustering_pipeline.outputs.search import PictureSearch, SearchIndex, checked_mode
    from clustering_pipeline.storage import FileTree

    terminal, project = terminal_of(context), find_project()
    slug = only_category(project.manifests.categories(CLUSTERS.name), category)
    asked = checked_mode(mode)
    try:
        pixels = decode_image(_read(image, project, slug))
    except ImageError as error:
        raise InputError(f"{image} cannot be searched with: {error}") from error
    index = SearchIndex.load(FileTree(project.search_root(slug)))
    searching = PictureSearch(index, project.context(slug, logging.getLogger(__name__)))
    hits = searching.search(searching.describe(pixels, region), top, asked)
    _show(terminal, hits)
    terminal.emit(
        {"image": image, "category": slug, "mode": mode, "hits": [_as_json(hit) for hit in hits]}
    )


def _read(image: str, project: "Project", slug: str) -> bytes:
    if image.lower().startswith(("http://", "https://")):
        from clustering_pipeline.stages.download import fetch_one

        return fetch_one(image, project.category_settings(slug).download)
    try:
        return Path(image).read_bytes()
    except OSError as error:
        raise InputError(
            f"The picture {image} cannot be read ({error.strerror}). Give the path or the URL of a "
            f"picture."
        ) from error


def _show(terminal: Terminal, hits: "list[VerifiedHit]") -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("score", "cluster", "print", "product_base_id", "title"):
        table.add_column(column, overflow="fold")
    for result in hits:
        cluster = "–" if result.hit.cluster_id in (None, -1) else str(result.hit.cluster_id)
        points = "1 point" if result.matched_points == 1 else f"{result.matched_points} points"
        table.add_row(
            f"{result.hit.score:.3f}",
            cluster,
            f"matches, {points}" if result.verified else "",
            result.hit.product_base_id,
            result.hit.title,
        )
    terminal.output.print(table)
    if any(result.verified for result in hits):
        terminal.note("Where the print matches, check size and variant: a search reads no packs.")


def _as_json(result: "VerifiedHit") -> dict[str, object]:
    hit = result.hit
    return {
        "score": hit.score,
        "verified": result.verified,
        "probability": round(result.judgement.probability, 4),
        "matched_points": result.matched_points,
        "product_base_id": hit.product_base_id,
        "title": hit.title,
        "url": hit.url,
        "cluster_id": hit.cluster_id,
        "cluster_size": hit.cluster_size,
        "status": hit.status,
    }
