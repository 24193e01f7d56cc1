"""How every category stands, as a table in the UI, which does not show it for partitioned assets
itself.
"""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import dagster as dg

from clustering_pipeline.orchestration.runtime.dagster_internals import AssetGraph
from clustering_pipeline.orchestration.sync.lineage import Lineage
from clustering_pipeline.orchestration.sync.status import CategoryStatus, category_statuses
from clustering_pipeline.project import Project

SECONDS_A_DAY = 86_400
FRESHNESS_CHECK = dg.AssetCheckSpec(
    "freshness",
    asset="sync_report",
    description="Every category was materialised within `checks.fresh_for_days`.",
)


def make_sync_report(assets: Sequence[dg.AssetsDefinition]) -> dg.AssetsDefinition:
    """Return the asset `sync_report`, which looks at `assets`."""

    @dg.asset(
        group_name="operation",
        kinds={"python"},
        owners=["team:catalogue"],
        check_specs=[FRESHNESS_CHECK],
        code_version="1",
    )
    def sync_report(
        context: dg.AssetExecutionContext, project: dg.ResourceParam[Project]
    ) -> Iterator[dg.MaterializeResult[None]]:
        """Category × asset: fresh, stale and why, missing, failed; overrides in force; categories
        that are overdue.
        """
        all_statuses = category_statuses(
            project, context.instance, Lineage.of(AssetGraph.from_assets(assets))
        )
        statuses = [status for status in all_statuses if not status.retired]
        rows = [dg.TableRecord(_row(status)) for status in statuses]
        late = [status.category for status in statuses if _is_late(status, project)]
        states = [report.status.value for status in statuses for report in status.assets.values()]
        columns = [
            dg.TableColumn(name)
            for name in ("category", "stands", "problem", "overrides", "last run", "next refresh")
        ]

        yield dg.MaterializeResult(
            metadata={
                "categories": len(statuses),
                "fresh_categories": sum(_unsettled(status) == "" for status in statuses),
                "retired_categories": len(all_statuses) - len(statuses),
                **{
                    f"assets_{state}": states.count(state)
                    for state in ("fresh", "stale", "missing", "failed")
                },
                "table": dg.MetadataValue.table(rows, schema=dg.TableSchema(columns))
                if rows
                else "No category yet.",
                "settings_problems": "\n\n".join(
                    project.settings.problems(status.category for status in statuses)
                )
                or "none",
            },
            check_results=[
                dg.AssetCheckResult(
                    passed=not late,
                    check_name=FRESHNESS_CHECK.name,
                    severity=dg.AssetCheckSeverity.WARN,
                    description=f"Overdue: {', '.join(late)}."
                    if late
                    else "No category is overdue.",
                    metadata={"overdue": len(late)},
                )
            ],
        )

    return sync_report


def _row(status: CategoryStatus) -> dict[str, str]:
    return {
        "category": status.display_name,
        "stands": _unsettled(status) or "fresh",
        "problem": status.problem,
        "overrides": ", ".join(status.overrides),
        "last run": _moment(status.last_run),
        "next refresh": _moment(status.next_refresh),
    }


def _moment(time: float | None) -> str:
    return "never" if time is None else f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M} UTC"


def _unsettled(status: CategoryStatus) -> str:
    """Return in words what of a category is not fresh."""
    return "; ".join(
        f"{asset} {report.status.value}: {report.why}"
        for asset, report in status.assets.items()
        if report.status.value != "fresh"
    )


def _is_late(status: CategoryStatus, project: Project) -> bool:
    if status.problem:
        return True
    days = project.category_settings(status.category).checks.fresh_for_days
    return status.last_run is None or time.time() - status.last_run > days * SECONDS_A_DAY
