"""`run`: the main job on one workbook."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clustering_pipeline.cli.place import find_project, read_overrides, waiting_sentence, working
from clustering_pipeline.cli.terminal import Terminal, terminal_of
from clustering_pipeline.core.errors import InputError, StageError
from clustering_pipeline.project import Project

if TYPE_CHECKING:
    import pandas as pd

    from clustering_pipeline.stages.catalogue import CatalogueSource

# The steps that the summary names, the longest ones, and from how many seconds on.
STEPS_SHOWN = 4
SHORTEST_SHOWN = 0.5
# The assets whose models a GPU may compute.
MODEL_ASSETS = ("crops", "embeddings")
# How many of the reasons for which listings have no picture are told.
REASONS_TOLD = 3


@dataclass(frozen=True)
class RunRequest:
    """What `run` was asked for.

    `output` is where the workbook goes, None for the default beside the catalogue.
    """

    catalogue: Path
    category: str | None = None
    output: Path | None = None
    settings: Path | None = None
    assignments: Sequence[str] = ()
    hosts: Sequence[str] = ()
    sheets: Sequence[str] = ()
    images_from: Path | None = None
    category_column: str | None = None
    force: bool = False
    # Settings of the columns that were chosen in the browser for this workbook.
    columns: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True)
class RunOutcome:
    """What a run wrote. Paths are absolute; `metrics` is filled by who knows the truth.

    `steps`: what was materialised, in order, and how long each took. `message` says why the
    workbook is not where it was asked for, when it is not, and `unused_gpu` why models ran on the
    processor although there is a GPU. `problems`: the commonest reasons for which listings could
    not be compared.
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
    steps: tuple["StepTime", ...] = ()
    unused_gpu: str = ""
    problems: tuple["Problem", ...] = ()


@dataclass(frozen=True)
class Problem:
    """Why so many listings could not be compared: the reason says what to do about it."""

    status: str
    listings: int
    reason: str


@dataclass(frozen=True)
class StepTime:
    """What one asset took that a run materialised: `rows` of its result, and how many rows of the
    work it found in the cache (`cache_hits`) and computed (`cache_misses`).
    """

    asset: str
    seconds: float
    rows: int
    rows_per_second: float
    cache_hits: int
    cache_misses: int


def run(
    context: typer.Context,
    catalogue: Annotated[
        Path,
        typer.Argument(
            metavar="CATALOGUE", help="Workbook with product_base_id and url_thumbnail."
        ),
    ],
    category: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name of the category; the file's name by default."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Default: <name>.clustered.xlsx beside it.")
    ] = None,
    settings: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A settings file for this run only.")
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="SECTION.NAME=VALUE", help="One setting for this run only. Repeatable."
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST[:PORT]",
            help="Fetch from this loopback or private host as well. Repeatable.",
        ),
    ] = None,
    sheet: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Read this sheet only. Repeatable.")
    ] = None,
    images_from: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Cells may name picture files below this folder."),
    ] = None,
    category_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Column whose values split the workbook into categories."
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Compute everything again, not only what is not fresh.")
    ] = False,
) -> None:
    """Write CATALOGUE with a cluster_id for every listing; what is fresh from an earlier run is not
    computed again.
    """
    terminal = terminal_of(context)
    request = RunRequest(
        catalogue=catalogue,
        category=category,
        output=output,
        settings=settings,
        assignments=assignments or (),
        hosts=allow_host or (),
        sheets=sheet or (),
        images_from=images_from,
        category_column=category_column,
        force=force,
    )
    outcomes = run_catalogue(request, terminal)
    for outcome in outcomes:
        show_outcome(terminal, outcome)
    terminal.emit(
        asdict(outcomes[0])
        if category_column is None
        else {"categories": [asdict(one) for one in outcomes]}
    )


def run_catalogue(request: RunRequest, terminal: Terminal) -> list[RunOutcome]:
    """Record the catalogue, materialise what is not fresh and return what was written, category by
    category.

    What can be refused is refused before any work is done; raises InputError or StageError.
    """
    request = _remember(request, terminal)
    jobs = [_prepare(request, category) for category in _categories(request)]
    return [_work(job, request, terminal) for job in jobs]


def _remember(request: RunRequest, terminal: Terminal) -> RunRequest:
    """Return the request with what an earlier run of the workbook was given and this one was not,
    and say so; hosts that were allowed stay allowed.
    """
    from clustering_pipeline.core.manifests import CLUSTERS

    project = find_project(read_overrides(request.assignments, request.settings))
    recorded, finished = (
        project.sources.of_path(request.catalogue),
        project.manifests.categories(CLUSTERS.name),
    )
    earlier = _earlier(
        [source for source in recorded if source.category in finished] or recorded, request
    )
    if earlier is None:
        return request
    changes, remembered = dict[str, Any](), list[str]()
    if request.category is None and earlier.display_name != _default_name(request.catalogue):
        changes["category"] = earlier.display_name
        remembered.append(f"--category {quote(earlier.display_name)}")
    folder = earlier.options.get("images_from")
    if request.images_from is None and folder is not None:
        changes["images_from"] = Path(folder)
        remembered.append(f"--images-from {quote(folder)}")
    if not request.sheets and earlier.sheets:
        changes["sheets"] = earlier.sheets
        remembered += [f"--sheet {quote(sheet)}" for sheet in earlier.sheets]
    if earlier.columns:
        changes["columns"] = earlier.columns
        remembered += [
            f"--set {quote(f'catalogue.{name}={value}')}" for name, value in earlier.columns.items()
        ]
    changes["hosts"] = tuple(dict.fromkeys([*earlier.hosts, *request.hosts]))
    remembered += [f"--allow-host {host}" for host in earlier.hosts if host not in request.hosts]
    if remembered:
        terminal.note(f"As in the last run of {request.catalogue.name}: {' '.join(remembered)}")
    return replace(request, **changes)


def _earlier(sources: "Sequence[CatalogueSource]", request: RunRequest) -> "CatalogueSource | None":
    """Return the record of an earlier run that this one goes on from: that of the category it
    names, else the only one.
    """
    from clustering_pipeline.core.text import category_slug

    if request.category_column is not None:
        return None
    whole = [source for source in sources if "category_column" not in source.options]
    if request.category is not None:
        slug = category_slug(request.category)
        return next((source for source in whole if source.category == slug), None)
    own = category_slug(_default_name(request.catalogue))
    same_name = next((source for source in whole if source.category == own), None)
    return same_name or (whole[0] if len(whole) == 1 else None)


def _default_name(catalogue: Path) -> str:
    return catalogue.stem.removesuffix(".clustered")


@dataclass(frozen=True)
class _Category:
    """A category's display name and, when it is a part of a workbook, the split column and the
    value that its rows have there.
    """

    name: str
    part: tuple[str, str] | None = None


@dataclass(frozen=True)
class _Job:
    category: _Category
    slug: str
    output: Path
    project: Project


def _categories(request: RunRequest) -> list[_Category]:
    from clustering_pipeline.stages.catalogue import category_values, read_source

    if request.category_column is None:
        return [_Category(request.category or _default_name(request.catalogue))]
    if request.category or request.output:
        raise InputError(
            "--category-column makes several categories, so --category and --output cannot be "
            "given with it."
        )
    settings = (
        find_project(read_overrides(request.assignments, request.settings))
        .settings.installation()
        .catalogue
    )
    content = read_source(request.catalogue)
    values = category_values(content, request.catalogue.name, request.category_column, settings)
    return [_Category(value, (request.category_column, value)) for value in values]


def _prepare(request: RunRequest, category: _Category) -> _Job:
    from clustering_pipeline.core.text import category_slug
    from clustering_pipeline.outputs.workbook import check_output, default_output

    slug = category_slug(category.name)
    output = request.output or default_output(request.catalogue, slug if category.part else None)
    check_output(request.catalogue, output)
    project = find_project(
        read_overrides(request.assignments, request.settings, request.hosts, slug)
    )
    project.sources.check_name(category.name)
    if request.catalogue.is_dir() or category.part:
        project.category_settings(slug)
    else:
        _refuse_unreadable(request, project, slug)
    return _Job(category, slug, output, project)


def _refuse_unreadable(request: RunRequest, project: Project, slug: str) -> None:
    """Raise the InputError of a workbook that cannot be used, before anything is recorded; one read
    before is not read again.
    """
    from clustering_pipeline.stages.catalogue import check_workbook, read_source

    settings, content = project.category_settings(slug).catalogue, read_source(request.catalogue)
    if not project.sources.holds(slug, content):
        asked = settings.model_copy(update={"sheets": tuple(request.sheets) or settings.sheets})
        check_workbook(content, request.catalogue.name, asked)


def _work(job: _Job, request: RunRequest, terminal: Terminal) -> RunOutcome:
    started = time.monotonic()
    job.project.claim_storage()
    record = partial(
        job.project.sources.record,
        request.catalogue,
        job.category.name,
        output=job.output,
        sheets=request.sheets,
        images_from=request.images_from,
        part=job.category.part,
        hosts=request.hosts,
        columns=request.columns,
    )
    with job.project.home.using_storage():
        made = _materialise(job, record, request.force, terminal)
    return _outcome(job.project, job.slug, time.monotonic() - started, made)


def _materialise(
    job: _Job, record: Callable[[], object], force: bool, terminal: Terminal
) -> tuple[str, ...]:
    """Record the catalogue once the category is this command's, and return the assets that were
    materialised, in order.
    """
    from clustering_pipeline.definitions import open_pipeline
    from clustering_pipeline.orchestration.runtime.instance import open_instance
    from clustering_pipeline.orchestration.sync.synchronise import synchronise

    with open_instance(job.project.home) as instance, working(job.project, terminal) as reporting:
        report = synchronise(
            job.slug,
            pipeline=open_pipeline(reporting),
            instance=instance,
            force=force,
            record=record,
        )
    if report.waiting:
        terminal.note(waiting_sentence(report.waiting))
    return report.materialised


def _outcome(
    project: Project, category: str, seconds: float, materialised: Sequence[str]
) -> RunOutcome:
    clusters = project.manifests.read("clusters", category)
    if clusters is None:
        raise StageError(
            f"The category {category} has no clusters although its run succeeded. Run it again "
            f"with --force."
        )
    delivery = project.manifests.read_facts("labeled_excel", category)
    report = project.manifests.read_facts("category_report", category).get("report")
    numbers = clusters["cluster_id"].dropna()
    return RunOutcome(
        category=category,
        workbook=str(delivery["workbook"]),
        report=None if report is None else str(report),
        rows=len(clusters),
        status_counts={
            str(status): int(count)
            for status, count in clusters["status"].value_counts().sort_index().items()
        },
        clusters=int(numbers[numbers >= 0].nunique()),
        seconds=round(seconds, 2),
        metrics={},
        message=str(delivery.get("message") or ""),
        unused_gpu=_unused_gpu(project, category),
        steps=tuple(
            _step_time(project, category, asset)
            for asset in materialised
            if not asset.startswith("settings/")
        ),
        problems=_problems(clusters),
    )


def _problems(clusters: "pd.DataFrame") -> tuple[Problem, ...]:
    """Return the commonest reasons of listings that could not be compared."""
    lost = clusters[clusters["status"].isin(["download_failed", "invalid_row", "rejected"])]
    counts = lost.groupby(["status", "reason"]).size().reset_index(name="listings")
    ordered = counts.sort_values(["listings", "status", "reason"], ascending=[False, True, True])
    return tuple(
        Problem(str(status), int(listings), str(reason))
        for status, reason, listings in ordered.head(REASONS_TOLD).itertuples(index=False)
    )


def _unused_gpu(project: Project, category: str) -> str:
    facts_of_models = (project.manifests.read_facts(asset, category) for asset in MODEL_ASSETS)
    return next(
        (str(facts["unused_gpu"]) for facts in facts_of_models if "unused_gpu" in facts), ""
    )


def _step_time(project: Project, category: str, asset: str) -> StepTime:
    facts = project.manifests.read_facts(asset, category)
    return StepTime(
        asset,
        seconds=float(facts["seconds"]),
        rows=int(facts["rows"]),
        rows_per_second=float(facts["rows_per_second"]),
        cache_hits=int(facts["cache_hits"]),
        cache_misses=int(facts["cache_misses"]),
    )


def show_outcome(terminal: Terminal, outcome: RunOutcome) -> None:
    """Show what was written and how the listings fared."""
    counts = ", ".join(
        f"{count:,} {status.replace('_', ' ')}" for status, count in outcome.status_counts.items()
    )
    rows: list[tuple[str, Any]] = [
        ("workbook", outcome.workbook),
        ("report", outcome.report or "none"),
        ("listings", f"{outcome.rows:,}: {counts}"),
        ("clusters", f"{outcome.clusters:,}"),
        ("time", f"{outcome.seconds:.1f} s{_longest_steps(outcome.steps)}"),
    ]
    rows += [
        ("not compared", f"{problem.listings:,} ×: {problem.reason}")
        for problem in outcome.problems
    ]
    if outcome.message:
        rows.insert(1, ("note", outcome.message))
    if outcome.unused_gpu:
        rows.append(("GPU", outcome.unused_gpu))
    terminal.details(f"Category {outcome.category}", rows)


def _longest_steps(steps: Sequence[StepTime]) -> str:
    """Return in words which steps took longest, and how many rows of each a second."""
    longest = sorted(steps, key=lambda step: -step.seconds)[:STEPS_SHOWN]
    shown = [
        f"{step.asset} {step.seconds:.1f} s ({step.rows_per_second:,.0f} rows/s)"
        for step in longest
        if step.seconds >= SHORTEST_SHOWN
    ]
    return f", most of it for {', '.join(shown)}" if shown else ""
