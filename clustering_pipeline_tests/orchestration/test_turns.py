"""Whose turn it is: what the dead held is free at once, and a wait for the living is told."""

import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import dagster as dg
import pytest

from clustering_pipeline.orchestration.runtime.instance import (
    COMMAND_LINE_TAG,
    GPU,
    PARTITION_TAG,
    open_instance,
)
from clustering_pipeline.orchestration.runtime.runs import waiting_in_turn, working_alone
from clustering_pipeline.project import PipelineHome

# Dagster ends the helpers that copy a step's output with SIGTERM, and waits a minute in all for
# those that do not hear it.
PATIENCE_SECONDS = 150


@pytest.fixture(autouse=True)
def _sigterm_is_heard() -> Iterator[None]:
    """Let children of this process hear SIGTERM, whatever other tests left it at."""
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    blocked = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def home(tmp_path) -> PipelineHome:
    return PipelineHome(tmp_path / "home").prepare()


@pytest.fixture
def instance(home, monkeypatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("DAGSTER_HOME", str(home.path))
    with open_instance(home) as opened:
        yield opened


@dg.job
def empty() -> None:
    """A job without a step."""


@dg.op(pool=GPU)
def on_the_device() -> None:
    """A step that takes the only slot."""


@dg.job
def one_step() -> None:
    on_the_device()


def holder(instance: dg.DagsterInstance, category: str) -> dg.DagsterRun:
    """Return the run of a command that holds the only slot of the pool."""
    run = instance.create_run_for_job(
        empty,
        status=dg.DagsterRunStatus.STARTED,
        tags={COMMAND_LINE_TAG: "1", PARTITION_TAG: category},
    )
    assert instance.event_log_storage.claim_concurrency_slot(GPU, run.run_id, "crops").is_claimed
    return run


def holders(instance: dg.DagsterInstance) -> set[str]:
    return instance.event_log_storage.get_concurrency_info(GPU).active_run_ids


def test_a_run_frees_the_slots_of_killed_runs_of_all_categories(home, instance):
    killed = [holder(instance, "serum")]
    killed.append(
        instance.create_run_for_job(
            empty,
            status=dg.DagsterRunStatus.NOT_STARTED,
            tags={COMMAND_LINE_TAG: "1", PARTITION_TAG: "toner"},
        )
    )
    # In the queue for the slot when it was killed: it would be given the slot next.
    instance.event_log_storage.claim_concurrency_slot(GPU, killed[1].run_id, "embeddings")
    with working_alone(home, instance, "cleanser"):
        assert holders(instance) == set()
        assert instance.event_log_storage.get_concurrency_run_ids() == set()
    for run in killed:
        assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.FAILURE


def test_who_is_alive_keeps_the_slot(home, instance):
    with home.working_on("serum"):
        run = holder(instance, "serum")
        with working_alone(home, instance, "cleanser"):
            assert holders(instance) == {run.run_id}


def test_a_wait_ends_when_the_holder_is_killed_and_says_for_whom(home, instance, caplog):
    serum = threading.Event()
    with home.working_on("serum"):
        holder(instance, "serum")
        asked = instance.event_log_storage.claim_concurrency_slot

        def count(*arguments):
            claims.append(time.monotonic())
            return asked(*arguments)

        claims: list[float] = []
        instance.event_log_storage.claim_concurrency_slot = count
        done: list[dg.ExecuteInProcessResult] = []

        def wait():
            with waiting_in_turn(home):
                done.append(one_step.execute_in_process(instance=instance))
            serum.set()

        with caplog.at_level(logging.WARNING):
            waiting = threading.Thread(target=wait)
            waiting.start()
            while not (said := [r.message for r in caplog.records if "Waiting" in r.message]):
                assert not serum.wait(0.1)
    assert serum.wait(PATIENCE_SECONDS)
    assert done[0].success
    assert said == [f"Waiting for the pool gpu, which is used by {said[0].split(' by ')[1]}"]
    assert "the category serum" in said[0]
    # It looks a few times a second and sleeps between.
    assert len(claims) <= 3 * (claims[-1] - claims[0]) + 3


def test_a_slot_that_was_not_passed_on_is_taken(home, instance):
    storage = instance.event_log_storage
    storage.set_concurrency_slots(GPU, 0)
    result: list[bool] = []

    def wait():
        with waiting_in_turn(home):
            result.append(one_step.execute_in_process(instance=instance).success)

    waiting = threading.Thread(target=wait)
    waiting.start()
    while not storage.get_concurrency_run_ids():
        waiting.join(0.05)
    # A slot that is there, while the one in the queue was never told.
    with storage.index_connection() as connection:
        from dagster._core.storage.event_log.schema import ConcurrencySlotsTable

        connection.execute(
            ConcurrencySlotsTable.insert().values(concurrency_key=GPU, deleted=False)
        )
    waiting.join(PATIENCE_SECONDS)
    assert result == [True]


@pytest.mark.slow
def test_an_empty_home_is_opened_by_four_at_once(tmp_path):
    script = (
        "from clustering_pipeline.project import PipelineHome\n"
        "from clustering_pipeline.orchestration.runtime.instance import open_instance\n"
        "with open_instance(PipelineHome.find()) as instance:\n"
        "    instance.add_dynamic_partitions('category', ['serum'])\n"
        "    print(len(instance.event_log_storage.get_pool_limits()))\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            env={"DAGSTER_HOME": str(tmp_path / "home"), "PATH": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    ended = [process.communicate(timeout=200) for process in processes]
    assert [output.strip() for output, _ in ended] == ["3"] * 4, ended
