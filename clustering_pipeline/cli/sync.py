"""`sync` and `status`: what is stale or missing, and making that good."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from clustering_pipeline.cli.place import (
    choose_category,
    find_project,
    waiting_sentence,
    working,
    written_files,
)
from clustering_pipeline.cli.terminal import Terminal, terminal_of

if TYPE_CHECKING:
    from clustering_pipeline.orchestration.sync.status import CategoryStatus

_COLOURS = {"fresh": "green", "stale": "yellow", "missing": "cyan", "failed": "red"}
CategoryOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="One category only; all by default.")
]


def sync(context: typer.Context, category: CategoryOption = None) -> None:
    """Look at workbooks, settings and corrections, and materialise what is stale or missing, and
    only that.
    """
    from clustering_pipeline.definitions import open_pipeline
    from clustering_pipeline.orchestration.runtime.instance import open_instance
    from clustering_pipeline.orchestration.sync.synchronise import synchronise_all

    terminal, project = terminal_of(context), find_project()
    recorded, retired = [source.category for source in project.sources.all()], project.retired.all()
    slugs = [
        slug for slug in choose_category(recorded, category) if category or slug not in retired
    ]
    with open_instance(project.home) as instance, working(project, terminal) as reporting:
        reports, errors = synchronise_all(
            slugs, pipeline=open_pipeline(reporting), instance=instance
        )
    for report in reports:
        done = ", ".join(report.materialised) or "nothing: all of it is fresh"
        rows = [
            ("materialised", done),
            *written_files(project, report.category),
            ("time", f"{report.seconds:.1f} s"),
        ]
        if report.waiting:
            rows.append(("note", waiting_sentence(report.waiting)))
        terminal.details(f"Category {report.category}", rows)
    terminal.emit(
        {
            "categories": [
                {
                    "category": report.category,
                    "materialised": list(report.materialised),
                    "seconds": round(report.seconds, 2),
                    **dict(written_files(project, report.category)),
                }
                for report in reports
            ]
        }
    )
    if errors:
        # The others are done; the first kind of error decides the exit code.
        raise type(errors[0])(" ".join(map(str, errors)))


def status(
    context: typer.Context,
    category: CategoryOption = None,
    assets: Annotated[
        bool, typer.Option("--assets", help="Show every asset, not a line for each category.")
    ] = False,
) -> None:
    """Show for every category whether it is fresh, or what is stale and why, missing or failed."""
    from clustering_pipeline.definitions import open_pipeline
    from clustering_pipeline.orchestration.runtime.instance import open_instance
    from clustering_pipeline.orchestration.sync.status import category_statuses

    terminal, project = terminal_of(context), find_project()
    with open_instance(project.home) as instance:
        statuses = category_statuses(project, instance, open_pipeline(project).lineage)
    slugs = choose_category([category_status.category for category_status in statuses], category)
    chosen = [category_status for category_status in statuses if category_status.category in slugs]
    if assets:
        for category_status in chosen:
            _show(terminal, category_status)
    else:
        _summarise(terminal, chosen)
    problems = project.settings.problems(category_status.category for category_status in statuses)
    database = project.database
    if database is not None:
        terminal.details("", [("state shared in", database.name)])
    if problems:
        terminal.details("Settings", [("problem", problem) for problem in problems])
    categories = [_as_json(category_status) for category_status in chosen]
    terminal.emit(
        {
            "home": str(project.home.path),
            "database": database.name if database is not None else None,
            "categories": categories,
            "settings_problems": list(problems),
        }
    )


def _summarise(terminal: Terminal, statuses: "list[CategoryStatus]") -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=True, header_style="dim")
    for column in ("category", "state", "last run", "next refresh", "why"):
        table.add_column(column, overflow="fold")
    for category_status in statuses:
        state, why = _in_short(category_status)
        name = f"{category_status.category}{' (retired)' if category_status.retired else ''}"
        table.add_row(
            name,
            Text(state, style=_COLOURS.get(state.partition(" ")[0], "")),
            _moment(category_status.last_run),
            _moment(category_status.next_refresh) or "none",
            why,
        )
    terminal.output.print(table)


def _in_short(status: "CategoryStatus") -> tuple[str, str]:
    """Return the worst state with how many assets are in it, and why the first of them is."""
    if status.problem:
        return "failed", status.problem
    for state in ("failed", "missing", "stale"):
        assets = {name: one for name, one in status.assets.items() if str(one.status) == state}
        if assets:
            name, first = next(iter(assets.items()))
            return f"{state} ({len(assets)})", f"{name}: {first.why}" if first.why else name
    return "fresh", ""


def _show(terminal: Terminal, status: "CategoryStatus") -> None:
    standing = ", retired" if status.retired else ""
    title = Text.assemble(
        (f"Category {status.category}", "bold"), (f"  {status.display_name}{standing}", "dim")
    )
    terminal.output.print(title)
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=True, header_style="dim")
    for column in ("asset", "state", "since", "why"):
        table.add_column(column)
    for name, asset in status.assets.items():
        state = str(asset.status)
        table.add_row(
            name, Text(state, style=_COLOURS.get(state, "")), _moment(asset.time), asset.why
        )
    terminal.output.print(table)
    rows = [
        ("last run", _moment(status.last_run)),
        ("next refresh", _moment(status.next_refresh) or "none"),
    ]
    if status.problem:
        rows.append(("problem", status.problem))
    if status.overrides:
        rows.append(
            (
                "other settings",
                f"{', '.join(status.overrides)} ran with others than the file has; sync makes it "
                f"as the file says",
            )
        )
    terminal.details("", rows)


def _moment(time: float | None) -> str:
    return (
        "" if time is None else datetime.fromtimestamp(time).astimezone().strftime("%Y-%m-%d %H:%M")
    )


def _as_json(status: "CategoryStatus") -> dict[str, object]:
    return {
        "category": status.category,
        "display_name": status.display_name,
        "assets": {
            name: {
                "status": str(asset.status),
                "why": asset.why,
                "time": asset.time,
                "run_id": asset.run_id,
            }
            for name, asset in status.assets.items()
        },
        "overrides": list(status.overrides),
        "last_run": status.last_run,
        "next_refresh": status.next_refresh,
        "retired": status.retired,
        "problem": status.problem,
    }
