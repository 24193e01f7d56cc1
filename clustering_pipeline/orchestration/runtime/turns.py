"""Whose turn it is: a category belongs to one process at a time, the slot of a pool to one step;
and runs that count as under way although nobody works on them: their code server or their command
was killed.

A worker that dies is noticed by its code server. When that goes too (a kill, a restart of the
machine), Dagster would wait for the run until its longest time is over, and every later run of the
category would wait behind it.
"""

import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

import dagster as dg

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.orchestration.runtime.dagster_internals import (
    GRPC_INFO_TAG,
    has_worker,
    waiting_for_slots,
)
from clustering_pipeline.orchestration.runtime.instance import (
    COMMAND_LINE_TAG,
    IN_FLIGHT,
    PARTITION_TAG,
    runs_in_flight,
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
        elif (
            GRPC_INFO_TAG in run.tags
            and not _is_executed(run)
            and not _has_worker(instance, run)
            and not home.worker_on(run.tags.get(PARTITION_TAG, ""))
        ):
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


SECONDS_BETWEEN_TURNS = 0.5
# A wait shorter than this is not worth a word.
_SECONDS_OF_SILENCE = 2.0
# A code server that restarts does not answer for a moment.
_SECONDS_UNTIL_LOST = 5.0
_log = logging.getLogger(__name__)


@contextmanager
def working_alone(
    home: PipelineHome, instance: dg.DagsterInstance, category: str
) -> Iterator[None]:
    """Hold a category for this process, and what it stores against pruning; raises StageError when
    another process or a run of the daemon has it.
    """
    with home.working_on(category) as is_mine, home.using_storage():
        if not is_mine:
            worker = home.worker_on(category) or "another command"
            raise StageError(
                f"{worker[0].upper()}{worker[1:]} is working on the category {category}. Wait "
                "until it has ended; nothing was started here."
            )
        for run in runs_in_flight(instance, category):
            # Only the holder of the lock runs from the command line, so that such a run has ended
            # without saying so.
            if COMMAND_LINE_TAG in run.tags or _stays_lost(home, instance, run):
                end_as_lost(instance, run)
            else:
                raise StageError(
                    f"The Dagster run {run.run_id[:8]} of the category {category} is "
                    f"{run.status.value.lower()}. Wait for it, or cancel it in the UI under Runs; "
                    "nothing was started here."
                )
        end_lost_commands(home, instance)
        free_slots_of_ended_runs(instance)
        yield


def _stays_lost(home: PipelineHome, instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    if not _is_lost(home, instance, run):
        return False
    time.sleep(_SECONDS_UNTIL_LOST)
    return _is_lost(home, instance, run)


def _is_lost(home: PipelineHome, instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    return run.run_id in {lost.run_id for lost in lost_runs(home, instance)}


def waiting_in_turn(home: PipelineHome) -> AbstractContextManager[None]:
    """Let runs of this process wait for the slots of pools while the block runs: never for the
    dead, and saying for whom.
    """
    return waiting_for_slots(_Wait(home).take_turn, SECONDS_BETWEEN_TURNS)


@dataclass
class _Wait:
    """What is known of the waits of one process."""

    home: PipelineHome
    since: float | None = None
    last_turn: float = 0.0
    said: str = ""
    missed: dict[str, float] = field(default_factory=dict)

    def take_turn(self, instance: dg.DagsterInstance, run_id: str) -> None:
        """Free what the dead hold, and say who holds what this run waits for."""
        now = time.monotonic()
        if self.since is None or now - self.last_turn > 4 * SECONDS_BETWEEN_TURNS:
            self.since = now
        self._free_slots_of_the_dead(instance, now)
        sentence = self._sentence(instance, run_id)
        if sentence and sentence != self.said and now - self.since >= _SECONDS_OF_SILENCE:
            _log.warning(sentence)
            self.said = sentence
        self.last_turn = time.monotonic()

    def _free_slots_of_the_dead(self, instance: dg.DagsterInstance, now: float) -> None:
        end_lost_commands(self.home, instance)
        lost = {run.run_id: run for run in lost_runs(self.home, instance)}
        self.missed = {run_id: self.missed.get(run_id, now) for run_id in lost}
        for run_id, first_missed in self.missed.items():
            if now - first_missed >= _SECONDS_UNTIL_LOST:
                end_as_lost(instance, lost[run_id])
        free_slots_of_ended_runs(instance)

    def _sentence(self, instance: dg.DagsterInstance, run_id: str) -> str:
        storage = instance.event_log_storage
        for pool in storage.get_concurrency_keys():
            info = storage.get_concurrency_info(pool)
            for step in info.pending_steps:
                if step.run_id != run_id or step.assigned_timestamp is not None:
                    continue
                if info.slot_count > info.assigned_step_count:
                    # Whoever gave the last slot back was killed before passing it on.
                    storage.free_concurrency_slot_for_step(run_id, step.step_key)
                holders = sorted(_holder(instance, slot.run_id) for slot in info.claimed_slots)
                return (
                    f"Waiting for the pool {pool}, which is used by {' and '.join(holders)}."
                    if holders
                    else ""
                )
        return ""


def _holder(instance: dg.DagsterInstance, run_id: str) -> str:
    run = instance.get_run_by_id(run_id)
    category = run.tags.get(PARTITION_TAG) if run else None
    return f"the category {category} (run {run_id[:8]})" if category else f"the run {run_id[:8]}"
