"""What is started by itself: the weekly refresh, every category at a moment of its own; and what
the daemon looks at: the catalogue folder, categories that are not fresh, runs that ended, and the
message that people get of failed ones.
"""

import hashlib
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from clustering_pipeline.core.errors import InputError, PipelineError, StageError
from clustering_pipeline.orchestration.jobs import (
    CATEGORIES,
    CATEGORY_JOB,
    REPORT_JOB,
    WHOLE_CATEGORY,
)
from clustering_pipeline.orchestration.runtime.instance import PARTITION_TAG
from clustering_pipeline.orchestration.runtime.runs import asset_of_step, words_of
from clustering_pipeline.orchestration.sync.lineage import Lineage
from clustering_pipeline.orchestration.sync.synchronise import (
    UNTIL_FRESH_TAG,
    active_categories,
    is_busy,
    next_request,
)
from clustering_pipeline.project import Project
from clustering_pipeline.project.ingest import dump_memory, load_memory, take_in
from clustering_pipeline.settings import RefreshSettings
from clustering_pipeline.settings.installation import Cron
from clustering_pipeline.storage import FileTree

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
    from clustering_pipeline.orchestration.sync.lineage import due_work, refresh_record

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


TIMEOUT_SECONDS = 10
LONGEST_REASON = 600
AnySensorContext = dg.SensorEvaluationContext | dg.RunStatusSensorContext
SECONDS_BETWEEN_LOOKS = 15
SECONDS_BETWEEN_SYNCS = 60


@dg.sensor(
    job_name=CATEGORY_JOB,
    minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Adds a category for every new workbook in the catalogue folder, runs changed "
    "ones, retires removed ones.",
)
def catalogue_folder(
    context: dg.SensorEvaluationContext, project: dg.ResourceParam[Project]
) -> dg.SensorResult | dg.SkipReason:
    """Take in what is new in the catalogue folder, and request the runs that it makes due."""
    try:
        folder = FileTree(project.catalogue_folder)
        findings, memory = take_in(project, folder, load_memory(context.cursor))
    except InputError as error:
        return dg.SkipReason(str(error))
    for problem in findings.problems:
        context.log.error(problem)
    for category in findings.retired:
        context.log.info("%s is retired: its workbook was taken away. Its history stays.", category)
    requests = _requests(project, context, findings.changed)
    nothing = (
        " ".join(findings.problems)
        or f"{len(memory)} workbooks in {folder.root}; none is new or changed."
    )
    return dg.SensorResult(
        run_requests=requests or None,
        skip_reason=None if requests else dg.SkipReason(nothing),
        cursor=dump_memory(memory),
        dynamic_partitions_requests=[CATEGORIES.build_add_request(findings.changed)]
        if findings.changed
        else None,
    )


def sync(
    context: dg.SensorEvaluationContext, project: dg.ResourceParam[Project]
) -> dg.SensorResult:
    """Request the next run of each idle category that is not fresh."""
    idle = [
        name
        for name in active_categories(project, context.instance)
        if not is_busy(context.instance, name)
    ]
    requests = _requests(project, context, idle)
    requested_before = set((context.cursor or "").split())
    # A run that failed would fail again: the same work is requested once, until something that
    # it is made from changes.
    fresh = [request for request in requests if request.run_key not in requested_before]
    cursor = " ".join(sorted(str(request.run_key) for request in requests))
    if not fresh:
        return dg.SensorResult(
            skip_reason=dg.SkipReason(f"{len(idle)} categories looked at."), cursor=cursor
        )
    return dg.SensorResult(run_requests=fresh, cursor=cursor)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    request_job=WHOLE_CATEGORY,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
    description="Goes on with what a run of the folder, the schedule or sync made stale, until "
    "the category is fresh.",
)
def until_fresh(
    context: dg.RunStatusSensorContext, project: dg.ResourceParam[Project]
) -> dg.RunRequest | dg.SkipReason:
    """Request what is still stale in the category of a run that ended well."""
    tags = context.dagster_run.tags
    category = tags.get(PARTITION_TAG)
    if category is None or UNTIL_FRESH_TAG not in tags:
        return dg.SkipReason("Not a run of the folder, the schedule or sync.")
    if is_busy(context.instance, category):
        return dg.SkipReason(f"{category} has another run under way.")
    requests = _requests(project, context, [category])
    return requests[0] if requests else dg.SkipReason(f"{category} is fresh.")


@dg.run_failure_sensor(
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
    description="Posts a message in Slack's format when a run failed, where "
    "`automation.webhook_url` is set.",
)
def failure_message(
    context: dg.RunFailureSensorContext, project: dg.ResourceParam[Project]
) -> dg.SkipReason | None:
    """Post what failed in a run, and why."""
    settings = project.settings.installation().automation
    if settings.webhook_url is None:
        return dg.SkipReason("automation.webhook_url is not set.")
    failures = [
        (asset_of_step(str(event.step_key)), words_of(event.step_failure_data.error))
        for event in context.get_step_failure_events()
        if event.step_failure_data.error is not None
    ]
    post(settings.webhook_url, failure_message_of(context.dagster_run, failures, settings.ui_url))
    return None


@dg.sensor(
    job_name=CATEGORY_JOB,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=SECONDS_BETWEEN_SYNCS,
    description="Ends runs whose code server or command was killed, so that the next run of "
    "their category can start.",
)
def abandoned_runs(
    context: dg.SensorEvaluationContext, project: dg.ResourceParam[Project]
) -> dg.SensorResult:
    """Report runs as failed that nobody works on at two looks in a row."""
    from clustering_pipeline.orchestration.runtime.runs import lost_runs

    lost = {run.run_id: run for run in lost_runs(project.home, context.instance)}
    # A code server that is busy, or restarts, may be missed once.
    missed_before = set((context.cursor or "").split())
    for run_id in lost.keys() & missed_before:
        context.instance.report_run_failed(lost[run_id], "Whoever worked on this run is gone.")
    seen_first = sorted(lost.keys() - missed_before)
    reason = (
        f"{len(lost)} runs have nobody who works on them." if lost else "Every run is worked on."
    )
    return dg.SensorResult(skip_reason=dg.SkipReason(reason), cursor=" ".join(seen_first))


def make_sensors(project: Project) -> list[dg.SensorDefinition]:
    """Return the sensors of an installation; whether `sync` is on at first is a setting of it."""
    return [
        catalogue_folder,
        dg.sensor(
            job_name=CATEGORY_JOB,
            minimum_interval_seconds=SECONDS_BETWEEN_SYNCS,
            default_status=_sync_status(project),
            description="Runs what is stale or missing in every category, in order, until nothing "
            "is. On with `automation.sync`.",
        )(sync),
        until_fresh,
        failure_message,
        abandoned_runs,
    ]


def _requests(
    project: Project, context: AnySensorContext, categories: Sequence[str]
) -> list[dg.RunRequest]:
    """Return the next run of each category that is not fresh; one that cannot be judged is logged
    and left out.
    """
    repository = context.repository_def
    if repository is None:
        return []
    lineage = Lineage.of(repository.asset_graph)
    requests = []
    for category in categories:
        try:
            request = next_request(project, context.instance, lineage, category)
        except PipelineError as error:
            context.log.error("%s: %s", category, error)
            continue
        requests += [request] if request else []
    return requests


def _sync_status(project: Project) -> dg.DefaultSensorStatus:
    try:
        wanted = project.settings.installation().automation.sync
    except InputError:
        wanted = False
    return dg.DefaultSensorStatus.RUNNING if wanted else dg.DefaultSensorStatus.STOPPED


def failure_message_of(
    run: dg.DagsterRun, failures: Sequence[tuple[str, str]], ui_url: str
) -> dict[str, str]:
    """Return the message of a failed run in Slack's format; `failures`: the failed assets with what
    each said.
    """
    category = run.tags.get(PARTITION_TAG, "")
    what = f"Category {category}" if category else f"Job {run.job_name}"
    lines = [f"• `{asset}`: {words[:LONGEST_REASON]}" for asset, words in failures] or [
        "• The run ended without a failed step."
    ]
    link = f"<{ui_url.rstrip('/')}/runs/{run.run_id}|run {run.run_id[:8]}>"
    return {"text": "\n".join([f"{what} failed in {link}.", *lines])}


def post(url: str, message: dict[str, str]) -> None:
    """Post a message to a webhook; raises StageError naming its host, never its path, which is a
    secret.
    """
    request = urllib.request.Request(
        url, json.dumps(message).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):
            pass
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise StageError(
            f"The failure message could not be posted to {request.host or 'the webhook'} "
            f"({type(error).__name__}). Check automation.webhook_url and the network."
        ) from None
