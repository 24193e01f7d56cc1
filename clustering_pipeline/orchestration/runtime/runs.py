"""Runs of assets: in this process, with their failures as the errors that the stages raised; and
whose turn it is, for a category belongs to one process at a time, the slot of a pool to one step.
Some count as under way although nobody works on them: their code server or their command was
killed.

A worker that dies is noticed by its code server. When that goes too (a kill, a restart of the
machine), Dagster would wait for the run until its longest time is over, and every later run of the
category would wait behind it.
"""

import json
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cache

import dagster as dg

from clustering_pipeline.core.errors import InputError, PipelineError, StageError
from clustering_pipeline.orchestration.runtime.dagster_internals import (
    GRPC_INFO_TAG,
    MAX_RETRIES_TAG,
    SerializableErrorInfo,
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

INTERRUPTED = "DagsterExecutionInterruptedError"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def materialise(
    definitions: dg.Definitions, instance: dg.DagsterInstance, names: Sequence[str], category: str
) -> str:
    """Materialise assets of a category in one run in this process and return its id.

    Raises InputError or StageError with the words of the stage that failed; what did not depend on
    it is done. Raises KeyboardInterrupt when the person at the terminal ended it.
    """
    job = definitions.resolve_implicit_global_asset_job_def()
    with _own_termination(), _partitions_asked_once(instance):
        result = job.execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey.from_user_string(name) for name in names],
            partition_key=category,
            raise_on_error=False,
            run_config=QUIET,
            tags={COMMAND_LINE_TAG: str(os.getpid()), MAX_RETRIES_TAG: "0"},
        )
    if not result.success:
        raise _failure(result, category)
    return result.run_id


@contextmanager
def _partitions_asked_once(instance: dg.DagsterInstance) -> Iterator[None]:
    """Let the instance look up once whether a category is a partition: Dagster asks for every input
    and output of a run, seven hundred times for a category.
    """
    own = instance.has_dynamic_partition
    instance.has_dynamic_partition = cache(own)  # type: ignore[method-assign]
    try:
        yield
    finally:
        instance.has_dynamic_partition = own  # type: ignore[method-assign]


@contextmanager
def _own_termination() -> Iterator[None]:
    """Give SIGTERM back what it did before the block.

    Dagster leaves it to do what SIGINT does. Shells have that ignored in what they start in the
    background, so that the process, and all that it starts, would be deaf to both.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def asset_of_step(step: str) -> str:
    """Return the name of the asset that a step materialises."""
    return step.replace("__", "/")


def words_of(error: SerializableErrorInfo) -> str:
    """Return what a failed step says: the words of our own error where there is one, else the class
    and its words.
    """
    kind, words = _own_words(error)
    return words if kind in (InputError.__name__, StageError.__name__) else f"{kind}: {words}"


def _failure(result: dg.ExecuteInProcessResult, category: str) -> PipelineError:
    for event in result.all_events:
        if event.is_step_failure and event.step_failure_data.error:
            if INTERRUPTED in (kind for kind, _ in _causes(event.step_failure_data.error)):
                raise KeyboardInterrupt
            return _explained(
                asset_of_step(str(event.step_key)),
                category,
                event.step_failure_data.error,
                result.run_id,
            )
    return StageError(
        f"The run {result.run_id} of the category {category} ended early. See it in the UI under "
        f"Runs."
    )


def _explained(
    stage: str, category: str, error: SerializableErrorInfo, run_id: str
) -> PipelineError:
    kind, words = _own_words(error)
    if kind == InputError.__name__:
        return InputError(words)
    if kind == StageError.__name__:
        return StageError(f"The stage {stage} of the category {category} failed. {words}")
    return StageError(
        f"The stage {stage} of the category {category} failed: {kind}: {words} What the other "
        f"stages did is kept. The run is {run_id}; `clustering-pipeline ui` shows its log, and "
        "--debug the traceback."
    )


def _own_words(error: SerializableErrorInfo) -> tuple[str, str]:
    causes = list(_causes(error))
    own = (cause for cause in causes if cause[0] in (InputError.__name__, StageError.__name__))
    return next(own, causes[-1])


def _causes(error: SerializableErrorInfo | None) -> Iterator[tuple[str, str]]:
    """Yield the class and the words of an error and of what caused it, outermost first."""
    while error is not None:
        # Dagster keeps the last lines of a formatted traceback: the class with its module, then the
        # words.
        _, _, words = error.message.strip().partition(": ")
        yield error.cls_name or "Error", words or error.message.strip()
        error = error.cause


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
