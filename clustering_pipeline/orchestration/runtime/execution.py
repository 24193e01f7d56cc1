"""Runs of assets in this process, with their failures as the errors that the stages raised."""

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import dagster as dg

from clustering_pipeline.core.errors import InputError, PipelineError, StageError
from clustering_pipeline.orchestration.runtime.dagster_internals import (
    MAX_RETRIES_TAG,
    SerializableErrorInfo,
)
from clustering_pipeline.orchestration.runtime.instance import COMMAND_LINE_TAG

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
    with _own_termination():
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
