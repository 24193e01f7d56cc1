"""How every asset of every category stands, in words."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import dagster as dg

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.orchestration.automation import next_moment
from clustering_pipeline.orchestration.runtime.instance import PARTITION_TAG, known_categories
from clustering_pipeline.orchestration.runtime.runs import asset_of_step, words_of
from clustering_pipeline.orchestration.sync.lineage import (
    SOURCE_CHANGED,
    AssetState,
    Lineage,
    Materialised,
    Status,
    judge,
    read_materialised,
    source_versions,
)
from clustering_pipeline.project import Project

FAILED_RUNS_LOOKED_AT = 500


@dataclass(frozen=True)
class AssetReport:
    """How one asset of a category stands; `time` is when it was materialised last, in seconds since
    1970.
    """

    status: Status
    why: str = ""
    time: float | None = None
    run_id: str | None = None


@dataclass(frozen=True)
class CategoryStatus:
    """How one category stands.

    `problem` says why it cannot be judged: its settings or its record cannot be used.

    `overrides`: stages whose last run was made with other settings than the file has now.
    `next_refresh`: when the weekly refresh comes to it, in seconds since 1970; None when it never
    does, as for one that is retired.
    """

    category: str
    display_name: str
    assets: Mapping[str, AssetReport]
    overrides: tuple[str, ...] = ()
    last_run: float | None = None
    problem: str = ""
    next_refresh: float | None = None
    retired: bool = False


@dataclass(frozen=True)
class Failure:
    """That an asset could not be materialised: why, in which run, and when, in seconds since
    1970.
    """

    why: str
    run_id: str
    time: float


def category_statuses(
    project: Project,
    instance: dg.DagsterInstance,
    lineage: Lineage,
    categories: Sequence[str] | None = None,
) -> list[CategoryStatus]:
    """Return the status of the categories of the instance, all of them by default, in alphabetical
    order.
    """
    wanted = known_categories(instance) if categories is None else sorted(categories)
    materialised = read_materialised(instance, lineage, wanted, project.manifests)
    failures = _last_failures(instance, set(wanted))
    names = {source.category: source.display_name for source in project.sources.all()}
    retired = project.retired.all()
    return [
        replace(
            _status(
                project,
                lineage,
                category,
                names.get(category, category),
                materialised[category],
                failures.get(category, {}),
            ),
            next_refresh=None if category in retired else _next_refresh(project, category),
            retired=category in retired,
        )
        for category in wanted
    ]


def _next_refresh(project: Project, category: str) -> float | None:
    try:
        moment = next_moment(
            category, project.category_settings(category).refresh, datetime.now(UTC)
        )
    except InputError:
        return None
    return None if moment is None else moment.timestamp()


def _status(
    project: Project,
    lineage: Lineage,
    category: str,
    display_name: str,
    materialised: Mapping[str, Materialised],
    failures: Mapping[str, Failure],
) -> CategoryStatus:
    last_run = max(
        [made.time for made in materialised.values()]
        + [failure.time for failure in failures.values()],
        default=None,
    )
    try:
        states = judge(lineage, materialised, source_versions(project, category))
        states = {name: _in_words(project, category, name, state) for name, state in states.items()}
        problem = ""
    except InputError as error:
        unknown = AssetState(Status.STALE, "its sources cannot be read")
        states, problem = dict.fromkeys(lineage.order, unknown), str(error)
    reports = {
        name: _report(state, materialised.get(name), failures.get(name))
        for name, state in states.items()
    }
    overrides = tuple(
        name.removeprefix("settings/")
        for name, state in states.items()
        if name.startswith("settings/")
        and name in materialised
        and state.status is not Status.FRESH
        and not problem
    )
    return CategoryStatus(category, display_name, reports, overrides, last_run, problem)


def _in_words(project: Project, category: str, name: str, state: AssetState) -> AssetState:
    """Return the state with what changed about its source, where that can be told."""
    stage = name.removeprefix("settings/")
    if state.why != SOURCE_CHANGED or stage == name:
        return state
    return replace(state, why=_changed_settings(project, category, stage) or state.why)


def _changed_settings(project: Project, category: str, stage: str) -> str:
    """Return with which other settings a stage ran last: those of one run's `--set`, or the file's
    of that time.
    """
    made = project.manifests.read(f"settings/{stage}", category)
    if made is None:
        return ""
    # As it was written: an older version may have known other names.
    then = json.loads(made["settings"].iloc[0])
    now = project.category_settings(category).stage(stage).model_dump(mode="json")
    changed = [
        f"{name}={then.get(name)} (now {now[name]})" for name in now if then.get(name) != now[name]
    ]
    return f"last made with {', '.join(changed)}" if changed else ""


def _report(state: AssetState, made: Materialised | None, failure: Failure | None) -> AssetReport:
    if failure is not None and (made is None or made.time < failure.time):
        return AssetReport(Status.FAILED, failure.why, made.time if made else None, failure.run_id)
    return AssetReport(
        state.status, state.why, made.time if made else None, made.run_id if made else None
    )


def _last_failures(
    instance: dg.DagsterInstance, categories: set[str]
) -> dict[str, dict[str, Failure]]:
    """Return by category and asset what failed in the category's latest failed run."""
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])
    latest: dict[str, str] = {}
    for record in instance.get_run_records(failed, limit=FAILED_RUNS_LOOKED_AT):
        category = record.dagster_run.tags.get(PARTITION_TAG)
        if category in categories:
            latest.setdefault(category, record.dagster_run.run_id)
    return {category: _failures_of(instance, run_id) for category, run_id in latest.items()}


def _failures_of(instance: dg.DagsterInstance, run_id: str) -> dict[str, Failure]:
    events = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
    failures = {}
    for event in (record.event_log_entry for record in events):
        if (
            event.dagster_event is not None
            and event.dagster_event.step_failure_data.error is not None
        ):
            asset = asset_of_step(str(event.step_key))
            failures[asset] = Failure(
                words_of(event.dagster_event.step_failure_data.error), run_id, event.timestamp
            )
    return failures
