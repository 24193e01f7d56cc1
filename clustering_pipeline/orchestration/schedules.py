"""The weekly refresh: every category at a moment of its own."""

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from clustering_pipeline.core.errors import PipelineError
from clustering_pipeline.orchestration.jobs import CATEGORY_JOB, REPORT_JOB
from clustering_pipeline.orchestration.sync.lineage import Lineage
from clustering_pipeline.orchestration.sync.synchronise import (
    active_categories,
    is_busy,
    next_request,
)
from clustering_pipeline.project import Project
from clustering_pipeline.settings import RefreshSettings
from clustering_pipeline.settings.installation import Cron

TICK_MINUTES = 10
# A refresh that came due while nothing was running is made up for when the daemon is back within
# this time.
LATEST = timedelta(hours=12)
REFRESH_TAG = "clustering_pipeline/refresh"


@dg.schedule(
    job_name=CATEGORY_JOB,
    cron_schedule=f"*/{TICK_MINUTES} * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Refreshes each category at its own time, by `refresh.cron` and what the "
    "download policy asks for.",
)
def weekly_refresh(
    context: dg.ScheduleEvaluationContext, project: dg.ResourceParam[Project]
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Request a run of each category that came due since the last look."""
    requests = list(_due_requests(project, context))
    yield from requests
    if not requests:
        yield dg.SkipReason("No category is due, or what is due is fresh.")


hourly_status = dg.ScheduleDefinition(
    name="hourly_status",
    job_name=REPORT_JOB,
    cron_schedule="5 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Brings the table of categories and assets up to date.",
)
SCHEDULES = [weekly_refresh, hourly_status]


def latest_moment(category: str, settings: RefreshSettings, now: datetime) -> datetime | None:
    """Return when the category was due last, within `LATEST` before `now` (aware); None when it was
    not.

    Categories of one cron are spread over `stagger_minutes` by the hash of their slugs, so that
    each keeps its moment.
    """
    if not settings.enabled:
        return None
    cron, delay = (
        Cron(settings.cron),
        timedelta(minutes=stagger(category, settings.stagger_minutes)),
    )
    minute = now.replace(second=0, microsecond=0)
    for back in range(int(LATEST.total_seconds() // 60)):
        moment = minute - timedelta(minutes=back)
        if cron.matches((moment - delay).astimezone(ZoneInfo(settings.time_zone))):
            return moment
    return None


def next_moment(category: str, settings: RefreshSettings, now: datetime) -> datetime | None:
    """Return when the category is due next after `now` (aware), in its own time zone; None when it
    never is.
    """
    if not settings.enabled:
        return None
    delay = timedelta(minutes=stagger(category, settings.stagger_minutes))
    moment = Cron(settings.cron).after((now - delay).astimezone(ZoneInfo(settings.time_zone)))
    return moment + delay


def stagger(category: str, minutes: int) -> int:
    """Return by how many minutes of at most `minutes` a category comes after its cron, a multiple
    of the tick.
    """
    slots = minutes // TICK_MINUTES + 1
    return int.from_bytes(hashlib.sha256(category.encode()).digest()[:8]) % slots * TICK_MINUTES


def _due_requests(
    project: Project, context: dg.ScheduleEvaluationContext
) -> Iterator[dg.RunRequest]:
    from clustering_pipeline.orchestration.sync.sources import due_work, refresh_record

    lineage = Lineage.of(context.repository_def.asset_graph)
    for category in active_categories(project, context.instance):
        try:
            settings = project.category_settings(category).refresh
            moment = latest_moment(category, settings, context.scheduled_execution_time)
            if (
                moment is None
                or _was_done(context.instance, category, moment)
                or is_busy(context.instance, category)
            ):
                continue
            refresh_record(project, category)
            due = due_work(project, category)
            request = next_request(project, context.instance, lineage, category, demanded=due)
        except PipelineError as error:
            context.log.error("%s: %s", category, error)
            continue
        if request is not None:
            name = _name(category, moment)
            yield request.with_replaced_attrs(
                run_key=name, tags={**request.tags, REFRESH_TAG: name}
            )


def _was_done(instance: dg.DagsterInstance, category: str, moment: datetime) -> bool:
    return bool(
        instance.get_runs(dg.RunsFilter(tags={REFRESH_TAG: _name(category, moment)}), limit=1)
    )


def _name(category: str, moment: datetime) -> str:
    return f"{category}@{moment:%Y-%m-%dT%H:%MZ}"
