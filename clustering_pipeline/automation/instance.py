"""The Dagster instance of a home, the categories it knows, and who is working on them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from clustering_pipeline.automation.partitions import CATEGORIES
from clustering_pipeline.automation.pools import set_missing_limits
from clustering_pipeline.automation.sqlite import quick_commits
from clustering_pipeline.errors import StageError
from clustering_pipeline.workplace import PipelineHome

PARTITION_TAG = "dagster/partition"
COMMAND_LINE_TAG = "clustering_pipeline/command_line"
IN_FLIGHT = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


@contextmanager
def open_instance(home: PipelineHome) -> Iterator[dg.DagsterInstance]:
    """Open the instance of a home, which is created and filled when it is empty, with the limits of the pools."""
    home.prepare()
    # Whatever Dagster starts in this process looks for its home here.
    os.environ["DAGSTER_HOME"] = str(home.path)
    with quick_commits(), dg.DagsterInstance.from_config(str(home.path)) as instance:
        set_missing_limits(instance)
        yield instance


def add_category(instance: dg.DagsterInstance, category: str) -> None:
    """Make `category` a partition of the instance."""
    if not instance.has_dynamic_partition(str(CATEGORIES.name), category):
        instance.add_dynamic_partitions(str(CATEGORIES.name), [category])


def known_categories(instance: dg.DagsterInstance) -> list[str]:
    """Return every category that is a partition of the instance, retired ones included, in alphabetical order."""
    return sorted(instance.get_dynamic_partitions(str(CATEGORIES.name)))


def runs_in_flight(instance: dg.DagsterInstance, category: str | None = None) -> list[dg.DagsterRun]:
    """Return the runs that are queued or under way, of one category or of all."""
    tags = {PARTITION_TAG: category} if category else None
    return list(instance.get_runs(dg.RunsFilter(statuses=list(IN_FLIGHT), tags=tags)))


@contextmanager
def working_alone(home: PipelineHome, instance: dg.DagsterInstance, category: str) -> Iterator[None]:
    """Hold a category for this process; raises StageError when another process or a run of the daemon has it."""
    with _locked(_lock_of(home, category)) as locked:
        if not locked:
            raise StageError(
                f"Another command is working on the category {category}. Wait until it has ended; nothing was started here."
            )
        for run in runs_in_flight(instance, category):
            if COMMAND_LINE_TAG in run.tags:
                # Only the holder of the lock runs from the command line, so that this one ended without saying so.
                instance.report_run_failed(run, "The process of this run has ended.")
            else:
                raise StageError(
                    f"The Dagster run {run.run_id[:8]} of the category {category} is {run.status.value.lower()}. Wait for it, or "
                    "cancel it in the UI under Runs; nothing was started here."
                )
        yield


def is_worked_on(home: PipelineHome, category: str) -> bool:
    """Whether a command of this machine holds a category."""
    with _locked(_lock_of(home, category)) as locked:
        return not locked


def _lock_of(home: PipelineHome, category: str) -> Path:
    return home.state / "locks" / f"{category}.lock"


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
