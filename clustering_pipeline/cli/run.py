"""`run`: the main job on one workbook."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from clustering_pipeline.cli.place import find_workplace, read_overrides, working
from clustering_pipeline.cli.terminal import DebugOption, JsonOption, Terminal, terminal_of
from clustering_pipeline.errors import StageError
from clustering_pipeline.workplace import Workplace


@dataclass(frozen=True)
class RunRequest:
    """What `run` was asked for. `output` is where the workbook goes, None for the default beside the catalogue."""

    catalogue: Path
    category: str | None = None
    output: Path | None = None
    settings: Path | None = None
    assignments: Sequence[str] = ()
    hosts: Sequence[str] = ()
    sheets: Sequence[str] = ()
    images_from: Path | None = None
    force: bool = False


@dataclass(frozen=True)
class RunOutcome:
    """What a run wrote. Paths are absolute; `metrics` is filled by who knows the truth.

    `message` says why the workbook is not where it was asked for, when it is not.
    """

    category: str
    workbook: str
    report: str | None
    rows: int
    status_counts: dict[str, int]
    clusters: int
    seconds: float
    metrics: dict[str, float | int]
    message: str = ""


def run(
    context: typer.Context,
    catalogue: Annotated[Path, typer.Argument(metavar="CATALOGUE", help="Workbook with product_base_id and url_thumbnail.")],
    category: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the category; the file's name by default.")
    ] = None,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Default: <name>.clustered.xlsx beside it.")] = None,
    settings: Annotated[Path | None, typer.Option(metavar="FILE", help="A settings file for this run only.")] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="SECTION.NAME=VALUE", help="One setting for this run only. Repeatable.")
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST[:PORT]", help="Fetch from this loopback or private host as well. Repeatable."),
    ] = None,
    sheet: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Read this sheet only. Repeatable.")] = None,
    images_from: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Cells may name picture files below this folder.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Compute everything anew, not only what is not fresh.")] = False,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write CATALOGUE with a cluster_id for every listing; what is fresh from an earlier run is not computed again."""
    terminal = terminal_of(context)
    request = RunRequest(
        catalogue, category, output, settings, assignments or (), allow_host or (), sheet or (), images_from, force
    )
    outcome = run_catalogue(request, terminal)
    show_outcome(terminal, outcome)
    terminal.emit(asdict(outcome))


def run_catalogue(request: RunRequest, terminal: Terminal) -> RunOutcome:
    """Record the catalogue, materialise what is not fresh and return what was written; raises InputError or StageError."""
    from clustering_pipeline.workbook import check_output, default_output

    started = time.monotonic()
    output = request.output or default_output(request.catalogue)
    check_output(request.catalogue, output)
    # Dagster takes seconds to import: what can be refused is refused before.
    category = _category_of(request)
    overrides = read_overrides(request.assignments, request.settings, request.hosts, category)
    workplace = find_workplace(overrides)
    workplace.category_settings(category)
    source = workplace.sources.record(
        request.catalogue,
        request.category or _plain_stem(request.catalogue),
        output=output,
        sheets=request.sheets,
        images_from=request.images_from,
    )
    _materialise(workplace, source.category, request.force, terminal)
    return _outcome(workplace, source.category, time.monotonic() - started)


def _category_of(request: RunRequest) -> str:
    from clustering_pipeline.catalogue import category_slug

    return category_slug(request.category or _plain_stem(request.catalogue))


def _plain_stem(catalogue: Path) -> str:
    return catalogue.stem.removesuffix(".clustered")


def _materialise(workplace: Workplace, category: str, force: bool, terminal: Terminal) -> None:
    from clustering_pipeline.automation import open_instance, synchronise

    with open_instance(workplace.home) as instance, working(workplace, terminal) as reporting:
        synchronise(category, workplace=reporting, instance=instance, force=force)


def _outcome(workplace: Workplace, category: str, seconds: float) -> RunOutcome:
    clusters = workplace.manifests.read("clusters", category)
    if clusters is None:
        raise StageError(f"The category {category} has no clusters although its run succeeded. Run it again with --force.")
    delivery = workplace.manifests.read_facts("labeled_excel", category)
    report = workplace.manifests.read_facts("category_report", category).get("report")
    numbers = clusters["cluster_id"].dropna()
    return RunOutcome(
        category=category,
        workbook=str(delivery["workbook"]),
        report=None if report is None else str(report),
        rows=len(clusters),
        status_counts={str(status): int(count) for status, count in clusters["status"].value_counts().sort_index().items()},
        clusters=int(numbers[numbers >= 0].nunique()),
        seconds=round(seconds, 2),
        metrics={},
        message=str(delivery.get("message") or ""),
    )


def show_outcome(terminal: Terminal, outcome: RunOutcome) -> None:
    """Show what was written and how the listings fared."""
    counts = ", ".join(f"{count:,} {status.replace('_', ' ')}" for status, count in outcome.status_counts.items())
    rows: list[tuple[str, Any]] = [
        ("workbook", outcome.workbook),
        ("report", outcome.report or "none"),
        ("listings", f"{outcome.rows:,}: {counts}"),
        ("clusters", f"{outcome.clusters:,}"),
        ("time", f"{outcome.seconds:.1f} s"),
    ]
    if outcome.message:
        rows.insert(1, ("note", outcome.message))
    terminal.details(f"Category {outcome.category}", rows)
