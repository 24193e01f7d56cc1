"""`demo`: the main job on a synthetic catalogue, in a home of its own, scored against the known
truth.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from clustering_pipeline.cli.evaluate import show_metrics
from clustering_pipeline.cli.run import RunOutcome, RunRequest, run_catalogue, show_outcome
from clustering_pipeline.cli.terminal import Terminal, as_typed, terminal_of
from clustering_pipeline.project.project import HOME_VARIABLE
from clustering_pipeline.storage import make_folder

CATEGORY = "Hàng mẫu"


def demo(
    context: typer.Context,
    products: Annotated[
        int, typer.Option(min=1, max=2000, help="Different products to draw.")
    ] = 44,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same catalogue.")] = 0,
    folder: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Where everything goes; a new temporary folder by default."
        ),
    ] = None,
) -> None:
    """Draw a synthetic catalogue, serve it on a free loopback port, group it and score the result.

    Touches nothing else.
    """
    terminal = terminal_of(context)
    place = _prepare(folder)
    outcome = run_demo(place, products, seed, terminal)
    show_outcome(terminal, outcome)
    show_metrics(terminal, outcome.metrics)
    home = f"{HOME_VARIABLE}={place / 'home'}"
    terminal.details(
        "Look around",
        [
            ("in the review pages", f"{home} {as_typed('serve')}"),
            ("in the Dagster UI", f"{home} {as_typed('ui')}"),
        ],
    )
    terminal.emit(asdict(outcome))


def _prepare(folder: Path | None) -> Path:
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="clustering-pipeline-demo-"))
    make_folder(folder, "Choose another --folder.")
    return folder.absolute()


def run_demo(place: Path, products: int, seed: int, terminal: Terminal) -> RunOutcome:
    """Draw, serve, group and score a catalogue of `products` products below `place`."""
    from clustering_pipeline.evaluation import evaluate_workbook, read_truth
    from clustering_pipeline.synthetic import serve_folder, write_catalogue

    images = place / "shop" / "images"
    images.mkdir(parents=True, exist_ok=True)
    with serve_folder(images) as shop, _home_at(place / "home"):
        terminal.note(f"Drawing {products} products and their listings below {place} …")
        catalogue = write_catalogue(place / "shop", shop.url, products=products, seed=seed)
        request = RunRequest(
            catalogue.workbook, CATEGORY, place / "catalogue.clustered.xlsx", hosts=[shop.host]
        )
        outcome = run_catalogue(request, terminal)[0]
    metrics = evaluate_workbook(Path(outcome.workbook), read_truth(catalogue.truth))
    return replace(outcome, metrics=metrics)


@contextmanager
def _home_at(path: Path) -> Iterator[None]:
    before = os.environ.get(HOME_VARIABLE)
    os.environ[HOME_VARIABLE] = str(path)
    try:
        yield
    finally:
        if before is None:
            del os.environ[HOME_VARIABLE]
        else:
            os.environ[HOME_VARIABLE] = before
