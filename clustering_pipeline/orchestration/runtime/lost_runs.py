"""Runs that count as under way although nobody works on them: their code server or their command
was killed.

A worker that dies is noticed by its code server. When that goes too (a kill, a restart of the
machine), Dagster would wait for the run until its longest time is over, and every later run of the
category would wait behind it.
"""

import json
import os
from collections.abc import Iterator

import dagster as dg

from clustering_pipeline.orchestration.runtime.dagster_internals import (
    GRPC_INFO_TAG,
    has_worker,
)
from clustering_pipeline.orchestration.runtime.instance import (
    COMMAND_LINE_TAG,
    IN_FLIGHT,
    PARTITION_TAG,
)
from clustering_pipeline.project import PipelineHome

UNDER_WAY = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
ANSWER_SECONDS = 10


def lost_runs(home: PipelineHome, instance: dg.DagsterInstance) -> Iterator[dg.DagsterRun]:
    """Yield the runs under way that neither a code server, nor a worker it left behind, nor a
    command works on.
    """
    for run in instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY)):
        if COMMAND_LINE_TAG in run.tags:
            if _has_no_command(home, instance, run):
                yield run
        elif GRPC_INFO_TAG in run.tags and not _is_executed(run) and not _has_worker(instance, run):
            yield run


def end_lost_commands(home: PipelineHome, instance: dg.DagsterInstance) -> None:
    """End the runs whose command is gone, of every category that no process of this home holds."""
    for run in instance.get_runs(dg.RunsFilter(statuses=list(IN_FLIGHT))):
        if COMMAND_LINE_TAG in run.tags and _has_no_command(home, instance, run):
            end_as_lost(instance, run)


def end_as_lost(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Record that nobody works on a run any more, and give back its slots."""
    instance.report_run_failed(run, "Whoever worked on this run is gone.")
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def free_slots_of_ended_runs(instance: dg.DagsterInstance) -> None:
    """Give back the slots, and the places in the queues for them, of runs that are over."""
    storage = instance.event_log_storage
    for run_id in storage.get_concurrency_run_ids():
        run = instance.get_run_by_id(run_id)
        if run is None or (run.is_finished and not _has_worker(instance, run)):
            storage.free_concurrency_slots_for_run(run_id)


def _has_no_command(home: PipelineHome, instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the command of a run is gone: nobody holds the category, and still it is not over."""
    with home.working_on(run.tags.get(PARTITION_TAG, ""), seconds=0) as is_free:
        if not is_free:
            return False
        # It may have ended, and let go of the category, since the run was read.
        now = instance.get_run_by_id(run.run_id)
        return now is not None and not now.is_finished


def _has_worker(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the process of a run whose code server was on this machine is there without it."""
    if not json.loads(run.tags.get(GRPC_INFO_TAG, "{}")).get("socket"):
        return False
    started = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    events = [
        entry.dagster_event.engine_event_data
        for entry in started
        if entry.dagster_event is not None
    ]
    workers = {int(str(event.metadata["pid"].value)) for event in events if "pid" in event.metadata}
    return any(map(_exists, workers))


def _exists(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except (ProcessLookupError, PermissionError):
        # A process of another account is not ours: the number was given out again.
        return False
    return True


def _is_executed(run: dg.DagsterRun) -> bool:
    """Whether the code server that started a run is there and still has its worker."""
    return has_worker(json.loads(run.tags[GRPC_INFO_TAG]), run.run_id, ANSWER_SECONDS)
